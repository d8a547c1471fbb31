/* The step: one event in, then everything that follows from it, until nothing is left to do. */
#include "mesh/core/core.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/client.h"
#include "mesh/core/core_internal.h"
#include "mesh/core/exec.h"
#include "mesh/core/job.h"
#include "mesh/core/journal.h"
#include "mesh/core/look.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"
#include "mesh/core/trust.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

/* Rounds in one step: each places or starts something, so more than this is a loop of ours. */
#define ROUNDS_MAX 100000u

static void dispatch(struct core *core, const struct core_event *event)
{
    switch (event->type) {
    case CORE_EVENT_TICK:
        return;
    case CORE_EVENT_PEER_FOUND:
    case CORE_EVENT_PEER_LOST:
    case CORE_EVENT_PEER_CLONED:
    case CORE_EVENT_DIAL_FAILED:
    case CORE_EVENT_LINK_UP:
    case CORE_EVENT_LINK_DOWN:
    case CORE_EVENT_MESSAGE:
        core_peer_on_event(core, event);
        return;
    case CORE_EVENT_CLIENT_UP:
    case CORE_EVENT_CLIENT_DOWN:
    case CORE_EVENT_CLIENT_MESSAGE:
        core_client_on_event(core, event);
        return;
    case CORE_EVENT_ATTEMPT_STARTED:
    case CORE_EVENT_ATTEMPT_STREAM:
    case CORE_EVENT_ATTEMPT_ENDED:
    case CORE_EVENT_ATTEMPT_REFUSED:
    case CORE_EVENT_CORES:
        core_exec_on_event(core, event);
        return;
    case CORE_EVENT_BLOB_STORED:
        core_blob_on_stored(core, &event->blob_stored.hash);
        return;
    case CORE_EVENT_BLOB_FAILED:
        core_blob_on_failed(core, &event->blob_failed.hash, event->blob_failed.is_ours);
        return;
    case CORE_EVENT_BLOB_MOVING:
        core_moving_on(core, event);
        return;
    case CORE_EVENT_ADDRESS:
        core_peer_own_address(core, event->address.text);
        return;
    case CORE_EVENT_STOP:
        core_stop(core);
        return;
    case CORE_EVENT_JOURNALED:
        core_journal_on_journaled(core, event->journaled.number, event->journaled.error);
        return;
    case CORE_EVENT_JOURNAL_JOB:
        core_restore_on_job(core, event);
        return;
    case CORE_EVENT_JOURNAL_TASKS:
        core_restore_on_tasks(core, event);
        return;
    case CORE_EVENT_JOURNAL_QUEUE:
    case CORE_EVENT_JOURNAL_ITEMS:
    case CORE_EVENT_JOURNAL_PUTTER:
        core_queue_restore(core, event);
        return;
    case CORE_EVENT_JOURNAL_END:
        core_restore_on_end(core);
        return;
    case CORE_EVENT_JOURNAL_LOOKED:
        core_look_on_looked(core, event);
        return;
    case CORE_EVENT_JOURNAL_LISTED:
        core_look_on_listed(core, event);
        return;
    case CORE_EVENT_TRUST_KEPT:
    case CORE_EVENT_DRAWN:
        core_trust_on_event(core, event);
        return;
    }
    ensure(!"reached");
}

/* What may come before the journal has been read. */
static bool is_early(enum core_event_type type)
{
    return type == CORE_EVENT_TICK || type == CORE_EVENT_STOP || type == CORE_EVENT_JOURNALED ||
           type == CORE_EVENT_JOURNAL_JOB || type == CORE_EVENT_JOURNAL_TASKS ||
           type == CORE_EVENT_JOURNAL_QUEUE || type == CORE_EVENT_JOURNAL_ITEMS ||
           type == CORE_EVENT_JOURNAL_PUTTER || type == CORE_EVENT_JOURNAL_END ||
           type == CORE_EVENT_JOURNAL_LOOKED || type == CORE_EVENT_TRUST_KEPT ||
           type == CORE_EVENT_DRAWN;
}

static void run_timers(struct core *core)
{
    while (heap_first_ns(&core->timers) <= core->now_ns) {
        struct core_timer *timer =
            CONTAINER_OF(heap_first(&core->timers), struct core_timer, entry);
        heap_remove(&core->timers, &timer->entry);
        timer->fire(core, timer);
    }
}

static void settle(struct core *core)
{
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        struct list *first = list_first(&core->letters);
        if (first != NULL) {
            struct core_letter *letter = LIST_ENTRY(first, struct core_letter, node);
            list_remove(&letter->node);
            core_peer_deliver(core, core->self, &letter->message);
        } else if (!list_is_empty(&core->ended)) {
            core_after_run(core);
        } else if (core->is_place_due) {
            core->is_place_due = false;
            core_place_run(core);
        } else if (core->is_start_due) {
            core->is_start_due = false;
            core_exec_run(core);
        } else if (core->is_credit_due) {
            core->is_credit_due = false;
            core_credit_run(core);
        } else if (core->is_want_due) {
            core->is_want_due = false;
            core_want_run(core);
        } else if (core->queues.is_due || core->queues.are_names_changed) {
            core_queue_run(core);
        } else if (core->is_tail_due) {
            core->is_tail_due = false;
            core_tail_run(core);
        } else {
            return;
        }
    }
    ensure(!"a step ends");
}

static void free_graves(struct core *core)
{
    while (!list_is_empty(&core->graves)) {
        struct core_grave *grave = LIST_ENTRY(core->graves.next, struct core_grave, node);
        list_remove(&grave->node);
        grave->free(grave);
    }
}

/* A loop that did not run when it was promised to be woken was not listening either. */
static void note_lateness(struct core *core)
{
    uint64_t late_ns = core->now_ns > core->promised_ns ? core->now_ns - core->promised_ns : 0;
    if (late_ns <= CORE_LATE_NS) {
        return;
    }
    core->grace_until_ns = core->now_ns + CORE_GRACE_NS;
    core_log(core, CORE_LOG_WARN, "own loop was late by %llu ms",
             (unsigned long long)(late_ns / CORE_MS));
    core_exec_on_late(core, late_ns);
}

void core_step(struct core *core, const struct core_event *event, struct core_effects *effects)
{
    ensure(!core->is_stepping);
    ensure(event->now_ns >= core->now_ns);
    core->is_stepping = true;
    core->effects = effects;
    effects->n = 0;
    arena_clear(&effects->arena);
    free_graves(core);
    core->now_ns = event->now_ns;
    if (!core->has_exited) {
        ensure(core->journal.is_read || !core->config.has_journal || is_early(event->type));
        note_lateness(core);
        dispatch(core, event);
        run_timers(core);
        settle(core);
        core_client_after_step(core);
    }
    arena_clear(&core->letter_arena);
    core->promised_ns = heap_first_ns(&core->timers);
    core->effects = NULL;
    core->is_stepping = false;
}

uint64_t core_next_deadline(const struct core *core)
{
    return core->has_exited ? UINT64_MAX : heap_first_ns(&core->timers);
}

/* --- life --------------------------------------------------------------------------------------
 */

static void init_lists(struct core *core)
{
    heap_init(&core->timers);
    heap_init(&core->by_idle);
    heap_init(&core->turns);
    list_init(&core->graves);
    list_init(&core->letters);
    arena_init(&core->letter_arena, SIZE_MAX);
    list_init(&core->contacts);
    list_init(&core->ready);
    list_init(&core->spare);
    list_init(&core->startup);
    list_init(&core->active);
    list_init(&core->idle_cells);
    uint64_t seed = core->config.seed;
    table_init(&core->cards, sizeof(struct wire_key), seed);
    table_init(&core->peers, sizeof(struct wire_key), seed);
    table_init(&core->links, sizeof(uint64_t), seed);
    table_init(&core->dials, sizeof(uint64_t), seed);
    table_init(&core->jobs, sizeof(uint64_t), seed);
    table_init(&core->clients, sizeof(uint64_t), seed);
    table_init(&core->xjobs, sizeof(struct core_xjob_key), seed);
    table_init(&core->held, sizeof(struct core_held_key), seed);
    table_init(&core->origins, CORE_ORIGIN_BYTES, seed);
    table_init(&core->tellers, CORE_ORIGIN_BYTES, seed);
    table_init(&core->blobs, sizeof(struct wire_hash), seed);
}

struct core *core_new(const struct core_config *config)
{
    struct core *core = mem_alloc_or_die(1, sizeof(*core));
    core->config = *config;
    if (config->dense_max == 0) {
        core->config.dense_max = CORE_DENSE_MAX;
    }
    if (config->chosen == 0 || config->chosen > CORE_CHOSEN) {
        core->config.chosen = CORE_CHOSEN;
    }
    core->now_ns = config->now_ns;
    core->promised_ns = UINT64_MAX;
    core->random = config->seed;
    core->next_dial = 1;
    core->next_token = 1;
    core->next_job = (uint64_t)config->incarnation << 32 | 1; /* never used by an earlier life */
    core->next_cell = 1;
    init_lists(core);
    core_trust_init(core);
    core_peer_new_self(core);
    core_gossip_init(core);
    core_sparse_init(core);
    core_exec_init(core);
    core_job_init(core);
    core_journal_init(core);
    core_look_init(core);
    core_queue_init(core);
    return core;
}

struct core *core_free(struct core *core)
{
    if (core == NULL) {
        return NULL;
    }
    core->effects = NULL; /* nobody carries any out */
    free_graves(core);
    core_queue_free_all(core);
    core_client_free_all(core);
    core_job_free_all(core);
    core_look_free_all(core);
    core_journal_free_all(core);
    core_exec_free_all(core);
    core_blob_free_all(core);
    core_trust_free_all(core);
    core_peer_free_all(core);
    free_graves(core);
    table_done(&core->cards);
    table_done(&core->peers);
    table_done(&core->links);
    table_done(&core->dials);
    table_done(&core->jobs);
    table_done(&core->clients);
    table_done(&core->xjobs);
    table_done(&core->held);
    table_done(&core->blobs);
    table_done(&core->origins);
    table_done(&core->tellers);
    arena_done(&core->letter_arena);
    heap_done(&core->timers);
    heap_done(&core->by_idle);
    heap_done(&core->turns);
    return mem_free(core);
}

/* --- services ----------------------------------------------------------------------------------
 */

void core_timer_set(struct core *core, struct core_timer *timer, uint64_t at_ns)
{
    ensure(timer->fire != NULL);
    heap_set(&core->timers, &timer->entry, at_ns);
}

void core_timer_stop(struct core *core, struct core_timer *timer)
{
    heap_remove(&core->timers, &timer->entry);
}

void core_bury(struct core *core, struct core_grave *grave, void (*free)(struct core_grave *grave))
{
    grave->free = free;
    list_push_back(&core->graves, &grave->node);
}

/* splitmix64 (Vigna, public domain). */
uint64_t core_random(struct core *core, uint64_t below)
{
    core->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = core->random;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return below > 0 ? x % below : x;
}

void core_effects_init(struct core_effects *effects)
{
    *effects = (struct core_effects){0};
    arena_init(&effects->arena, SIZE_MAX);
}

void core_effects_done(struct core_effects *effects)
{
    arena_done(&effects->arena);
    effects->items = mem_free(effects->items);
    effects->n = effects->cap = 0;
}

static struct core_effect *emit_raw(struct core *core, enum core_effect_type type)
{
    struct core_effects *effects = core->effects;
    ensure(effects != NULL);
    if (effects->n == effects->cap) {
        size_t cap = effects->cap > 0 ? effects->cap * 2 : 64;
        struct core_effect *items = mem_realloc(effects->items, cap, sizeof(*items));
        ensure(items != NULL);
        effects->items = items;
        effects->cap = cap;
    }
    struct core_effect *effect = &effects->items[effects->n++];
    effect->type = type;
    return effect;
}

struct core_effect *core_emit(struct core *core, enum core_effect_type type)
{
    struct core_effect *effect = emit_raw(core, type);
    memset(effect, 0, sizeof(*effect));
    effect->type = type;
    return effect;
}

void *core_batch_alloc(struct core *core, size_t n, size_t size)
{
    void *p = arena_alloc(&core->effects->arena, n, size);
    ensure(p != NULL);
    return p;
}

struct slice core_batch_copy(struct core *core, struct slice s)
{
    struct slice copy;
    int r = arena_copy(&core->effects->arena, s, &copy);
    ensure(r == 0);
    return copy;
}

__attribute__((format(printf, 2, 0))) static struct slice
batch_vprintf(struct core *core, const char *format, va_list args)
{
    char line[1024];
    size_t n = text_vformat(line, sizeof(line), format, args);
    return core_batch_copy(core, slice_of(line, n));
}

struct slice core_batch_printf(struct core *core, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice s = batch_vprintf(core, format, args);
    va_end(args);
    return s;
}

void core_log(struct core *core, enum core_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice text = batch_vprintf(core, format, args);
    va_end(args);
    struct core_effect *effect = core_emit(core, CORE_EFFECT_LOG);
    effect->log.level = level;
    effect->log.text = text;
}

static void send_message(struct core *core, struct core_peer *peer,
                         const struct wire_message *message, bool may_wait)
{
    if (peer->is_self) {
        struct core_letter *letter = arena_alloc(&core->letter_arena, 1, sizeof(*letter));
        ensure(letter != NULL);
        letter->message = *message;
        list_push_back(&core->letters, &letter->node);
    } else if (peer->link != NULL) {
        struct core_effect *effect = emit_raw(core, CORE_EFFECT_SEND);
        effect->send.link = peer->link->id;
        effect->send.may_wait = may_wait;
        effect->send.message = *message;
    }
}

void core_send(struct core *core, struct core_peer *peer, const struct wire_message *message)
{
    send_message(core, peer, message, false);
}

void core_send_lazily(struct core *core, struct core_peer *peer, const struct wire_message *message)
{
    send_message(core, peer, message, true);
}

void core_client_send(struct core *core, uint64_t client, const struct wire_message *message)
{
    struct core_effect *effect = emit_raw(core, CORE_EFFECT_CLIENT_SEND);
    effect->client_send.client = client;
    effect->client_send.message = *message;
}

void core_text_set(char *to, size_t n_to, struct slice from)
{
    text_printable(from, to, n_to);
}

bool core_hash_is_zero(const struct wire_hash *hash)
{
    static const struct wire_hash zero;
    return memcmp(hash, &zero, sizeof(zero)) == 0;
}
