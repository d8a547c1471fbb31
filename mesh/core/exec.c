/* What starts next, and what the shell tells of what was started.
 *
 * Owners take turns by the cores they have in use; ourselves come first while we have less than
 * half, with a task that is wider than what is missing to the half every other time. The owner
 * whose turn it is and whose task does not fit keeps its turn: cores that come free are left for
 * it, so that a wide task is not passed by for ever. */
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/client.h"
#include "mesh/core/exec.h"
#include "mesh/core/grant.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

/* --- the pick ----------------------------------------------------------------------------------
 */

bool core_exec_may_begin(const struct core_peer *owner)
{
    return (owner->is_self || owner->link != NULL) && owner->n_ended < CORE_HELD_ENDED_MAX;
}

void core_exec_turn(struct core *core, struct core_peer *owner)
{
    bool is_waiting = !list_is_empty(&owner->queue) && core_exec_may_begin(owner);
    if (is_waiting == list_is_linked(&owner->queued)) {
        return;
    }
    if (is_waiting) {
        list_push_back(&owner->origin->waiting, &owner->queued);
    } else {
        list_remove(&owner->queued);
    }
    core_origin_turn(core, owner->origin);
}

/* We come first, for the half that is ours. A task that goes beyond the half, as on few cores each
 * wide one does, would keep all others out for ever: they are let in between two of those. */
static bool has_own_right(const struct core *core)
{
    const struct core_peer *self = core->self;
    uint32_t half = (core->config.cores + 1) / 2;
    if (!list_is_linked(&self->queued) || self->cores_used >= half) {
        return false;
    }
    struct list *head = list_first(&self->queue);
    uint32_t cores = LIST_ENTRY(head, struct core_held, in_queue)->xjob->spec.cores;
    return self->cores_used + cores <= half || self->served != core->n_starts;
}

static struct core_peer *pick_owner(const struct core *core)
{
    if (core->reserved != NULL && core_exec_may_begin(core->reserved)) {
        return core->reserved;
    }
    if (has_own_right(core)) {
        return core->self;
    }
    struct heap_entry *first = heap_first(&core->turns);
    return first != NULL ? core_origin_next_owner(CONTAINER_OF(first, struct core_origin, by_turn))
                         : NULL;
}

/* Of what waits and what was paused. Whose turn has come again is let in before those that have as
 * many cores; where nothing has waited for a while, everyone is. */
struct core_held *core_exec_next(struct core *core)
{
    const struct core_peer *owner = pick_owner(core);
    struct core_held *paused = NULL;
    core->n_quiet_looks = owner != NULL ? 0 : core->n_quiet_looks;
    bool may_go_on = owner != NULL ? !has_own_right(core) : core->n_quiet_looks > 1;
    if (!list_is_empty(&core->paused) && may_go_on) {
        paused = core_turn_next(core, owner != NULL ? owner->origin : NULL);
    }
    return paused != NULL  ? paused
           : owner != NULL ? LIST_ENTRY(list_first(&owner->queue), struct core_held, in_queue)
                           : NULL;
}

static bool has_room(const struct core *core, const struct core_held *held)
{
    uint64_t mem = core->config.mem_bytes;
    return core_turn_has_room(core, held) &&
           (mem == 0 || held->xjob->spec.mem_bytes <= mem - core->mem_used);
}

/* False: there is no room for it, and it has to wait. */
static bool begin(struct core *core, struct core_held *held)
{
    if (held->is_paused) {
        if (!core_turn_has_room(core, held)) {
            return false;
        }
        core_turn_resume(core, held);
        return true;
    }
    if (held->xjob->spec.cores > core->config.cores) {
        core->reserved = NULL;
        core_held_refuse(core, held, WIRE_REFUSAL_DRAINING, slice_str("fewer cores now"));
        return true;
    }
    if (!has_room(core, held)) {
        core->reserved = core->config.cores > core->cores_used ? held->owner : NULL;
        return false;
    }
    core->reserved = NULL;
    core_held_start(core, held, core_cell_take(core, held->xjob));
    return true;
}

void core_exec_run(struct core *core)
{
    while (!core->is_stopping && core->config.cores > 0) {
        if (core->cores_used >= core->config.cores) { /* whosever turn it is */
            core->reserved = NULL;
            break;
        }
        struct core_held *held = core_exec_next(core);
        if (held == NULL || !begin(core, held)) {
            break;
        }
    }
    core_turn_watch(core);
}

/* --- the shell's events ------------------------------------------------------------------------
 */

static void on_started(struct core *core, const struct core_event *event)
{
    struct core_held *held =
        core_held_find(core, &event->attempt_started.owner, &event->attempt_started.id);
    if (held == NULL || !core_held_move(core, held, CORE_HELD_ON_BEGUN)) {
        return;
    }
    uint64_t timeout_ms = held->xjob->spec.timeout_ms;
    if (timeout_ms > 0 && held->state == CORE_HELD_RUNNING) {
        uint64_t max_ms = UINT64_MAX / CORE_MS / 4;
        uint64_t ms = timeout_ms < max_ms ? timeout_ms : max_ms;
        core_timer_set(core, &held->timeout_timer, core->now_ns + ms * CORE_MS);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_STARTED};
    message.started.id = held->key.id;
    core_send_lazily(core, held->owner, &message);
}

/* Run times are measured as cores are occupied. */
static void measure(struct core *core, struct core_held *held)
{
    struct core_peer *owner = held->owner;
    uint64_t ns = core->now_ns - held->start_ns + 1;
    owner->wall_ns = core_credit_smooth(owner->wall_ns, ns);
    core_credit_update(core, owner);
}

static void release_result_blobs(struct core *core, const struct wire_result *result)
{
    core_blob_ref_result(core, result);
    core_blob_unref_result(core, result);
}

static void on_ended(struct core *core, const struct core_event *event)
{
    struct core_held *held =
        core_held_find(core, &event->attempt_ended.owner, &event->attempt_ended.id);
    if (held == NULL || !core_held_has_cores(held)) {
        core->n_ignored++;
        return;
    }
    if (held->is_forgotten) {
        release_result_blobs(core, &event->attempt_ended.result);
    } else if (held->state == CORE_HELD_RUNNING) {
        measure(core, held);
    }
    core_cell_give(core, STEAL(held->cell), event->attempt_ended.is_cell_usable);
    core_held_end(core, held, &event->attempt_ended.result);
}

static void on_refused(struct core *core, const struct core_event *event)
{
    struct core_held *held =
        core_held_find(core, &event->attempt_refused.owner, &event->attempt_refused.id);
    if (held == NULL || !core_held_has_cores(held)) {
        core->n_ignored++;
        return;
    }
    core_cell_give(core, STEAL(held->cell), event->attempt_refused.is_cell_usable);
    core_held_refuse(core, held, event->attempt_refused.refusal, event->attempt_refused.text);
}

void core_exec_on_event(struct core *core, const struct core_event *event)
{
    switch ((unsigned)event->type) { /* as a number: dispatch() in core.c sends only these */
    case CORE_EVENT_ATTEMPT_STARTED:
        on_started(core, event);
        break;
    case CORE_EVENT_ATTEMPT_STREAM: {
        struct core_held *held =
            core_held_find(core, &event->attempt_stream.owner, &event->attempt_stream.data.id);
        if (held != NULL) {
            core_held_on_stream(core, held, &event->attempt_stream.data);
        }
        break;
    }
    case CORE_EVENT_ATTEMPT_ENDED:
        on_ended(core, event);
        break;
    case CORE_EVENT_ATTEMPT_REFUSED:
        on_refused(core, event);
        break;
    case CORE_EVENT_CORES:
        core->config.cores_effective = event->cores.cores;
        if (!core->config.are_cores_fixed) {
            core_exec_set_cores(core, event->cores.cores);
        }
        break;
    default:
        ensure(!"reached");
    }
    if (core->is_stopping && core->n_running == 0 && core->stop_timer.fire != NULL) {
        core_timer_set(core, &core->stop_timer, core->now_ns);
    }
}

/* --- owners come and go ------------------------------------------------------------------------
 */

void core_exec_link_up(struct core *core, struct core_peer *peer)
{
    core_origin_set(core, peer);
    struct list *at = peer->xjobs.next;
    while (at != &peer->xjobs) {
        struct core_xjob *xjob = LIST_ENTRY(at, struct core_xjob, of_owner);
        at = at->next;
        core_timer_stop(core, &xjob->lease_timer);
        core_xjob_maybe_free(core, xjob);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_INVENTORY};
    struct wire_held_attempt *items = NULL;
    uint32_t n = 0;
    list_for_each (node, &peer->held) {
        struct core_held *held = LIST_ENTRY(node, struct core_held, of_owner);
        if (held->is_forgotten) {
            continue;
        }
        held->is_repeat_due = held->streams != NULL;
        if (n == WIRE_IDS_MAX) {
            message.inventory = (struct wire_inventory){.items = items, .n = n};
            core_send(core, peer, &message);
            n = 0;
        }
        if (n == 0) {
            items = core_batch_alloc(core, WIRE_IDS_MAX, sizeof(*items));
        }
        bool is_running = held->state == CORE_HELD_RUNNING;
        uint64_t until_ns = held->is_paused ? held->turn_ns : core->now_ns;
        items[n++] = (struct wire_held_attempt){
            .id = held->key.id,
            .held = held->state == CORE_HELD_ENDED ? WIRE_HELD_ENDED
                    : core_held_has_cores(held)    ? WIRE_HELD_RUNNING
                                                   : WIRE_HELD_QUEUED,
            .run_ms = is_running ? (until_ns - held->start_ns) / CORE_MS + 1 : 0,
        };
    }
    message.inventory = (struct wire_inventory){.items = items, .n = n, .is_last = true};
    core_send(core, peer, &message);
    peer->credit_given = (struct wire_credit){0};
    peer->want = (struct wire_want){0};
    core_credit_active(core, peer);
    core_credit_update(core, peer);
    core_exec_turn(core, peer);
    core->is_credit_due = core->is_standing_due = true;
    core->is_start_due = true;
}

void core_exec_owner_gone(struct core *core, struct core_peer *peer)
{
    peer->want = (struct wire_want){0};
    core_credit_active(core, peer);
    core_exec_turn(core, peer);
    core->is_credit_due = true;
    core->is_start_due = true;
    list_for_each (node, &peer->xjobs) {
        struct core_xjob *xjob = LIST_ENTRY(node, struct core_xjob, of_owner);
        /* One that is over, too, while results of it are not acknowledged. One of which nothing is
         * held has only files and cells to lose, whatever its lease. */
        uint64_t ms = xjob->spec.lease_ms;
        ms = xjob->n_held == 0 && ms > CORE_LEASE_DEFAULT_MS ? CORE_LEASE_DEFAULT_MS : ms;
        if (!heap_has(&xjob->lease_timer.entry)) {
            core_timer_set(core, &xjob->lease_timer, peer->heard_ns + ms * CORE_MS);
        }
    }
}

void core_exec_owner_restarted(struct core *core, struct core_peer *peer)
{
    struct list *node = peer->xjobs.next;
    while (node != &peer->xjobs) {
        struct core_xjob *xjob = LIST_ENTRY(node, struct core_xjob, of_owner);
        node = node->next;
        if (!xjob->spec.is_durable) {
            core_xjob_drop(core, xjob, WIRE_END_LEASE);
        }
    }
}

void core_exec_owner_out(struct core *core, struct core_peer *peer)
{
    struct list *node = peer->xjobs.next;
    while (node != &peer->xjobs) {
        struct core_xjob *xjob = LIST_ENTRY(node, struct core_xjob, of_owner);
        node = node->next;
        core_xjob_drop(core, xjob, WIRE_END_LEASE);
    }
}

void core_exec_owner_idle(struct core *core, struct core_peer *peer)
{
    struct list *node = peer->xjobs.next;
    while (node != &peer->xjobs) {
        struct core_xjob *xjob = LIST_ENTRY(node, struct core_xjob, of_owner);
        node = node->next;
        if (xjob->n_held == 0) {
            core_xjob_over(core, xjob);
        }
    }
}

void core_exec_on_late(struct core *core, uint64_t late_ns)
{
    bool is_any = late_ns > CORE_LEASE_DEFAULT_MS * CORE_MS;
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        struct list *node = peer->xjobs.next;
        while (!peer->is_self && node != &peer->xjobs) {
            struct core_xjob *xjob = LIST_ENTRY(node, struct core_xjob, of_owner);
            node = node->next;
            if (late_ns >= xjob->spec.lease_ms * CORE_MS) {
                is_any = true;
                core_xjob_drop(core, xjob, WIRE_END_LEASE);
            }
        }
    }
    if (!is_any) {
        return;
    }
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->link != NULL) {
            peer->lost_ns = core->now_ns;
            core_link_close(core, peer->link, WIRE_REASON_SILENT, "slept longer than a lease");
            core_peer_move(core, peer, CORE_PEER_ON_CUT);
            core_dial_start(core, peer, 0);
        }
    }
}

/* --- the rest ----------------------------------------------------------------------------------
 */

static bool is_blob_of(const struct wire_result *result, const struct wire_hash *hash)
{
    uint64_t n_bytes;
    for (uint32_t i = 0; i < core_result_n_blobs(result); i++) {
        if (memcmp(core_result_blob(result, i, &n_bytes), hash, sizeof(*hash)) == 0) {
            return true;
        }
    }
    return false;
}

bool core_exec_may_serve(const struct core *core, const struct core_peer *peer,
                         const struct wire_hash *hash)
{
    list_for_each (node, &peer->held) {
        const struct core_held *held = LIST_ENTRY(node, struct core_held, of_owner);
        if (held->state == CORE_HELD_ENDED && is_blob_of(&held->result, hash)) {
            return !core_hash_is_zero(hash);
        }
    }
    return false;
}

bool core_exec_is_for_own(const struct core *core)
{
    return core->config.is_for_own || !core->config.has_sandbox;
}

uint32_t core_exec_offered(const struct core *core)
{
    return core_exec_is_for_own(core) ? 0 : core->config.cores;
}

void core_exec_set_cores(struct core *core, uint32_t cores)
{
    if (cores == core->config.cores) {
        return;
    }
    core->config.cores = cores;
    if (cores == 0) {
        core_credit_drain(core);
    }
    core->self->cores = cores;
    core->are_peers_changed = true;
    struct core_effect *effect = core_emit(core, CORE_EFFECT_ADVERTISE);
    effect->advertise.cores = core_exec_offered(core);
    core_log(core, CORE_LOG_INFO, "offers %u cores from now on", cores);
    if (cores == 0) {
        core_turn_resume_all(core); /* what was begun may end */
    }
    core->reserved = NULL;
    core->is_start_due = true;
    core->is_credit_due = core->is_standing_due = true;
    core_place_peer_changed(core, core->self);
    core_beat_all(core);
    core_gossip_self_changed(core);
}

static void renew_fire(struct core *core, struct core_timer *timer)
{
    if (core->self->cores_used == 0) {
        return;
    }
    struct core_effect *effect = core_emit(core, CORE_EFFECT_RENEW);
    effect->renew.owner = core->self->key;
    uint64_t in_ns = core->self->lease_ns / 10;
    core_timer_set(core, timer,
                   core->now_ns + (in_ns > 0 && in_ns < CORE_RENEW_NS ? in_ns : CORE_RENEW_NS));
}

static void stop_fire(struct core *core, struct core_timer *timer)
{
    core->has_exited = true;
    core_emit(core, CORE_EFFECT_EXIT)->exit.status = 0;
}

void core_exec_init(struct core *core)
{
    core_origin_set(core, core->self);
    core_credit_init(core);
    core_turn_init(core);
    core->renew_timer.fire = renew_fire;
    core->stop_timer.fire = stop_fire;
    core_cell_init(core);
    core_grant_init(core);
}

void core_stop(struct core *core)
{
    if (core->is_stopping) {
        return;
    }
    core->is_stopping = true;
    core_timer_set(core, &core->stop_timer, core->now_ns + CORE_STOP_NS);
    core_client_close_all(core);
    core_job_stop_all(core);
    table_for_each (entry, &core->xjobs) {
        core_xjob_drop(core, LIST_ENTRY(entry, struct core_xjob, by_key), WIRE_END_CANCELLED);
    }
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        core_dial_stop(core, peer);
        if (peer->link != NULL) {
            core_link_close(core, peer->link, WIRE_REASON_LEAVING, "the daemon stops");
            core_peer_move(core, peer, CORE_PEER_ON_LEFT);
        }
    }
    if (core->n_running == 0) {
        core_timer_set(core, &core->stop_timer, core->now_ns);
    }
}

void core_exec_free_all(struct core *core)
{
    core->effects = NULL;
    core_grant_free_all(core);
    table_for_each (entry, &core->held) {
        core_held_discard(core, LIST_ENTRY(entry, struct core_held, by_key));
    }
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        while (!list_is_empty(&peer->xjobs)) {
            core_xjob_discard(core, LIST_ENTRY(peer->xjobs.next, struct core_xjob, of_owner));
        }
    }
}
