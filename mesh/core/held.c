/* The life of one attempt that we hold for an owner: wanting its input, queued, started, ended,
 * and its result kept until the owner has it. */
#include <errno.h>
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/exec.h"
#include "mesh/core/grant.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define STREAM_HELD_MAX (WIRE_STREAM_WINDOW_BYTES + WIRE_CHUNK_BYTES_MAX)

static struct core_held_key key_of(const struct wire_key *owner, const struct wire_attempt_id *id)
{
    struct core_held_key key;
    memset(&key, 0, sizeof(key));
    key.owner = *owner;
    key.id.job = id->job;
    key.id.task = id->task;
    key.id.incarnation = id->incarnation;
    key.id.number = id->number;
    return key;
}

struct core_held *core_held_find(const struct core *core, const struct wire_key *owner,
                                 const struct wire_attempt_id *id)
{
    struct core_held_key key = key_of(owner, id);
    struct table_entry *entry = table_find(&core->held, &key);
    return entry != NULL ? LIST_ENTRY(entry, struct core_held, by_key) : NULL;
}

/* --- records -----------------------------------------------------------------------------------
 */

static void timeout_fire(struct core *core, struct core_timer *timer)
{
    core_held_kill(core, CONTAINER_OF(timer, struct core_held, timeout_timer), WIRE_END_TIMEOUT);
}

static void note_asked(struct core_held *held, const struct core_need *need)
{
    held->n_refs_pending += need->state == CORE_NEED_PENDING;
}

/* The peer that keeps the ref's blob did not give it: the owner will. It is ours where we are the
 * owner; then it is found out whether anybody has it. */
static bool has_other_source(struct core *core, struct core_held *held, struct core_need *need)
{
    if (need == &held->input_need || !need->is_of_holder) {
        return false;
    }
    const struct wire_ref *ref = &core_cargo_refs(held->cargo).items[need - held->ref_needs];
    need->is_of_holder = false;
    if (held->owner->is_self) {
        core_left_refused(core, held->key.id.job, &ref->hash, &ref->holder);
        return false;
    }
    core_need_want(core, need, held->owner, &ref->hash, ref->bytes);
    note_asked(held, need);
    return true;
}

static void want_refs(struct core *core, struct core_held *held);

/* Its input or a ref came, or will not. */
static void blob_done(struct core *core, struct core_need *need, int error)
{
    struct core_held *held = need->of;
    held->n_refs_pending -= need != &held->input_need;
    if (error == -ENOENT && has_other_source(core, held, need)) {
        core_held_maybe_ready(core, held);
        return;
    }
    const char *what =
        need == &held->input_need ? "the task's input" : "a blob that the task reads";
    if (error == 0) {
        want_refs(core, held);
        core_held_maybe_ready(core, held);
    } else if (error == -ENOSPC) {
        core_held_refuse(core, held, WIRE_REFUSAL_NO_DISK,
                         core_batch_printf(core, "no room here for %s", what));
    } else {
        core_held_refuse(core, held, WIRE_REFUSAL_NO_BLOB,
                         core_batch_printf(core, "%s could not be had", what));
    }
}

static void held_free(struct core_grave *grave)
{
    struct core_held *held = CONTAINER_OF(grave, struct core_held, grave);
    for (unsigned i = 0; held->streams != NULL && i < 2; i++) {
        buf_done(&held->streams[i]);
    }
    mem_free(held->streams);
    mem_free(held->texts);
    mem_free(held->ref_needs);
    mem_free(held->grants);
    mem_free(held);
}

static void need_init(struct core_held *held, struct core_need *need)
{
    need->of = held;
    need->on_done = blob_done;
}

/* From who keeps it for the owner, where that is said and we have a session with it; it may be
 * ourselves. */
static void want_ref(struct core *core, struct core_held *held, struct core_need *need,
                     const struct wire_ref *ref)
{
    static const struct wire_key none;
    struct core_peer *holder =
        wire_key_eq(&ref->holder, &none) ? NULL : core_peer_find(core, &ref->holder);
    bool is_third = holder != NULL && holder != held->owner;
    if (is_third && holder->is_self) {
        bool is_here = core_grant_find(held->owner, &ref->hash) != NULL;
        core_need_want(core, need, is_here ? holder : held->owner, &ref->hash, ref->bytes);
    } else if (is_third && held->owner->is_self) {
        need->is_of_holder = true;
        core_need_want(core, need, holder, &ref->hash, ref->bytes);
    } else if (is_third && holder->link != NULL) {
        need->is_of_holder = true;
        core_need_want_of(core, need, holder, held->owner, &ref->hash, ref->bytes);
    } else {
        core_need_want(core, need, held->owner, &ref->hash, ref->bytes);
    }
}

/* The next ones, each when others have come: a task names thousands in one message, and each that
 * is asked for costs us something even where it cannot be had. */
static void want_refs(struct core *core, struct core_held *held)
{
    struct wire_refs refs = core_cargo_refs(held->cargo);
    while (held->n_refs_wanted < refs.n && held->n_refs_pending < CORE_REFS_PENDING_MAX) {
        uint32_t i = held->n_refs_wanted++;
        need_init(held, &held->ref_needs[i]);
        want_ref(core, held, &held->ref_needs[i], &refs.items[i]);
        note_asked(held, &held->ref_needs[i]);
    }
}

static void drop_needs(struct core *core, struct core_held *held)
{
    core_need_drop(core, &held->input_need);
    for (uint32_t i = 0; i < held->n_refs_wanted; i++) {
        core_need_drop(core, &held->ref_needs[i]);
    }
}

/* Thousands of refs may come one by one: those that were seen to be here are not looked at again,
 * for they stay. */
static bool has_all(struct core_held *held)
{
    uint32_t n = core_cargo_refs(held->cargo).n;
    while (held->n_refs_met < n && held->ref_needs[held->n_refs_met].state == CORE_NEED_MET) {
        held->n_refs_met++;
    }
    bool has_input = !held->has_input || held->input_need.state == CORE_NEED_MET;
    return has_input && held->n_refs_met == n;
}

static struct core_held *held_alloc(const struct core_xjob *xjob, const struct wire_task *task)
{
    struct core_cargo cargo = core_cargo_of_task(task);
    struct core_held *held = mem_alloc(1, sizeof(*held) + core_load_bytes(task->argv, cargo));
    struct buf *streams =
        held != NULL && xjob->spec.is_streamed ? mem_alloc(2, sizeof(*streams)) : NULL;
    struct core_need *needs =
        held != NULL && cargo.refs.n > 0 ? mem_alloc(cargo.refs.n, sizeof(*needs)) : NULL;
    if (held == NULL || (xjob->spec.is_streamed && streams == NULL) ||
        (cargo.refs.n > 0 && needs == NULL)) {
        mem_free(needs);
        mem_free(streams);
        mem_free(held);
        return NULL;
    }
    held->ref_needs = needs;
    for (unsigned i = 0; streams != NULL && i < 2; i++) {
        buf_init(&streams[i], STREAM_HELD_MAX);
    }
    held->streams = streams;
    held->argv = core_load_put(held + 1, task->argv, cargo, &held->cargo);
    return held;
}

/* Memory for what it may leave in its result: of files as much as of a stream, and what is said of
 * them is weighed when it is known. */
static uint64_t output_room(const struct core_cargo *cargo)
{
    return (cargo != NULL && cargo->returns.n > 0 ? UINT64_C(3) : UINT64_C(2)) *
           WIRE_INLINE_BYTES_MAX;
}

static uint64_t weight_of(const struct core_xjob *xjob, const struct wire_task *task)
{
    struct core_cargo cargo = core_cargo_of_task(task);
    uint64_t output = xjob->spec.is_streamed ? UINT64_C(2) * STREAM_HELD_MAX : output_room(&cargo);
    return sizeof(struct core_held) + core_load_bytes(task->argv, cargo) +
           task->refs.n * (uint64_t)sizeof(struct core_need) + output;
}

bool core_held_has_room(const struct core *core, const struct core_xjob *xjob,
                        const struct wire_task *task)
{
    return core_origin_has_room(core, xjob->owner, weight_of(xjob, task));
}

/* What was kept for its output and is not needed is free again. */
static void weigh_result(struct core *core, struct core_held *held)
{
    if (held->xjob->spec.is_streamed) {
        return; /* its output may still be here */
    }
    uint64_t output = core_result_inlined_bytes(&held->result);
    uint64_t bytes = held->bytes - output_room(held->cargo) + output;
    core_origin_weigh(core, held->owner, held->bytes, bytes);
    held->bytes = bytes;
}

/* Memory may allow for fewer at once than cores do: the credit follows. */
static void note_memory(struct core *core, struct core_peer *owner,
                        const struct wire_job_spec *spec)
{
    if (core->config.mem_bytes == 0) {
        return;
    }
    owner->mem_open += spec->mem_bytes; /* each was compared with ours, which is no large number */
    core->is_credit_due |= spec->mem_bytes > 0;
    owner->mem_each = owner->mem_open / owner->n_open;
}

struct core_held *core_held_new(struct core *core, struct core_xjob *xjob,
                                const struct wire_task *task)
{
    struct core_held *held = held_alloc(xjob, task);
    if (held == NULL) {
        return NULL;
    }
    struct core_peer *owner = xjob->owner;
    held->key = key_of(&owner->key, &task->id);
    held->owner = owner;
    held->xjob = xjob;
    held->has_input = task->has_input;
    held->input = task->input;
    held->timeout_timer.fire = timeout_fire;
    need_init(held, &held->input_need);
    table_insert(&core->held, &held->by_key, &held->key);
    list_push_back(&owner->held, &held->of_owner);
    list_push_back(&xjob->held, &held->of_xjob);
    list_init(&held->in_queue);
    list_init(&held->in_paused);
    xjob->n_held++;
    held->bytes = weight_of(xjob, task);
    core_origin_weigh(core, owner, 0, held->bytes);
    held->is_open = true;
    owner->cores_open += xjob->spec.cores;
    owner->n_queued++;
    core->n_queued++;
    if (owner->n_open++ == 0) {
        core_beat_hurry(core, owner);
        core_credit_active(core, owner);
    }
    note_memory(core, owner, &xjob->spec);
    if (task->has_input) {
        core_need_want(core, &held->input_need, owner, &task->input, task->input_bytes);
    }
    want_refs(core, held);
    return held;
}

void core_held_discard(struct core *core, struct core_held *held)
{
    if (held->cell != NULL) {
        core_cell_give(core, STEAL(held->cell), false);
    }
    core_timer_stop(core, &held->timeout_timer);
    drop_needs(core, held);
    core_blob_unref_result(core, &held->result);
    table_remove(&core->held, &held->by_key);
    core_origin_weigh(core, held->owner, held->bytes, 0);
    core_bury(core, &held->grave, held_free);
}

static bool is_unbegun(unsigned state)
{
    return state == CORE_HELD_WANTING || state == CORE_HELD_QUEUED;
}

bool core_held_has_cores(const struct core_held *held)
{
    return held->state == CORE_HELD_STARTING || held->state == CORE_HELD_RUNNING ||
           held->state == CORE_HELD_ENDING;
}

static void leave_queue(struct core *core, struct core_held *held)
{
    struct core_peer *owner = held->owner;
    bool is_next = list_first(&owner->queue) == &held->in_queue;
    list_remove(&held->in_queue);
    if (is_next && core->reserved == owner) {
        core->reserved = NULL; /* it was for this one, not for what comes after it */
    }
}

static void close_account(struct core *core, struct core_held *held)
{
    if (!held->is_open) {
        return;
    }
    struct core_peer *owner = held->owner;
    held->is_open = false;
    owner->n_open--;
    owner->cores_open -= held->xjob->spec.cores;
    if (core->config.mem_bytes > 0) {
        owner->mem_open -= held->xjob->spec.mem_bytes;
    }
    if (owner->n_open == 0) {
        core_credit_active(core, owner);
        core->is_credit_due = true;
    }
}

static void act_on_gone(struct core *core, struct core_held *held)
{
    struct core_xjob *xjob = held->xjob;
    core_timer_stop(core, &held->timeout_timer);
    drop_needs(core, held);
    core_blob_unref_result(core, &held->result);
    table_remove(&core->held, &held->by_key);
    list_remove(&held->of_owner);
    list_remove(&held->of_xjob);
    core_origin_weigh(core, held->owner, held->bytes, 0);
    core_bury(core, &held->grave, held_free);
    xjob->n_held--;
    core_xjob_maybe_free(core, xjob); /* and with it, maybe, the owner */
}

bool core_held_move(struct core *core, struct core_held *held, enum core_held_cause cause)
{
    unsigned from = held->state;
    bool had_cores = core_held_has_cores(held);
    if (!core_move(&core->moves, CORE_MACHINE_HELD, &held->state, cause)) {
        core_log(core, CORE_LOG_DEBUG, "an attempt that is %s: %s is nothing to it",
                 core_state_text(CORE_MACHINE_HELD, from),
                 core_cause_text(CORE_MACHINE_HELD, cause));
        return false;
    }
    if (is_unbegun(from) && !is_unbegun(held->state)) {
        leave_queue(core, held);
        held->owner->n_queued--;
        core->n_queued--;
    }
    if (had_cores && !core_held_has_cores(held)) {
        core_held_release_cores(core, held);
    }
    if (from == CORE_HELD_ENDED) {
        held->owner->n_ended--;
    }
    if (held->state == CORE_HELD_ENDED) {
        held->owner->n_ended++;
        core_timer_stop(core, &held->timeout_timer);
    }
    if (held->state == CORE_HELD_ENDED || held->state == CORE_HELD_GONE) {
        close_account(core, held);
        core->is_start_due = true;
    }
    core_exec_turn(core, held->owner);
    if (held->state == CORE_HELD_GONE) {
        act_on_gone(core, held);
    }
    return true;
}

void core_held_maybe_ready(struct core *core, struct core_held *held)
{
    if (held->state != CORE_HELD_WANTING || held->xjob->n_missing > 0 || !has_all(held)) {
        return;
    }
    core_held_move(core, held, CORE_HELD_ON_READY);
    struct core_peer *owner = held->owner;
    struct list *at = owner->queue.prev;
    while (at != &owner->queue && LIST_ENTRY(at, struct core_held, in_queue)->xjob->spec.priority <
                                      held->xjob->spec.priority) {
        at = at->prev;
    }
    list_insert_before(at->next, &held->in_queue);
    core_exec_turn(core, owner);
    core->is_start_due = true;
}

/* --- running -----------------------------------------------------------------------------------
 */

void core_held_use_cores(struct core *core, struct core_held *held, bool is_used)
{
    struct core_peer *owner = held->owner;
    uint32_t cores = held->xjob->spec.cores;
    if (is_used) {
        core->cores_used += cores;
        owner->cores_used += cores;
        owner->origin->cores_used += cores;
        owner->origin->served = owner->served = ++core->n_starts;
    } else {
        ensure(core->cores_used >= cores);
        core->cores_used -= cores;
        owner->cores_used -= cores;
        owner->origin->cores_used -= cores;
    }
    core_origin_turn(core, owner->origin);
}

void core_held_start(struct core *core, struct core_held *held, struct core_cell *cell)
{
    const struct wire_job_spec *spec = &held->xjob->spec;
    core_held_move(core, held, CORE_HELD_ON_START);
    held->cell = cell;
    held->start_ns = held->turn_ns = core->now_ns;
    core->mem_used += spec->mem_bytes;
    core->n_running++;
    core_held_use_cores(core, held, true);
    struct core_effect *effect = core_emit(core, CORE_EFFECT_START);
    effect->start.owner = held->key.owner;
    effect->start.is_own = held->owner->is_self;
    effect->start.origin = held->owner->origin->text;
    effect->start.cell = cell->number;
    effect->start.id = held->key.id;
    effect->start.job = held->key.id.job;
    effect->start.spec = spec;
    effect->start.argv = held->argv;
    effect->start.has_input = held->has_input;
    effect->start.input = held->input;
    if (held->cargo != NULL) {
        effect->start.args = held->cargo->args;
        effect->start.refs = held->cargo->refs;
        effect->start.files = held->cargo->files;
        effect->start.returns = held->cargo->returns;
        effect->start.workdir = held->cargo->workdir;
    }
    if (held->owner->is_self && !heap_has(&core->renew_timer.entry)) {
        core_timer_set(core, &core->renew_timer, core->now_ns);
    }
}

void core_held_release_cores(struct core *core, struct core_held *held)
{
    core->mem_used -= held->xjob->spec.mem_bytes;
    core->n_running--;
    if (held->is_paused) {
        core_turn_forget(core, held);
    } else {
        core_held_use_cores(core, held, false);
    }
}

void core_held_kill(struct core *core, struct core_held *held, enum wire_end end)
{
    /* The first reason stands. */
    bool is_first = held->state != CORE_HELD_ENDING;
    if (!core_held_move(core, held, CORE_HELD_ON_KILL) || !is_first) {
        return;
    }
    held->killed_as = end;
    core_timer_stop(core, &held->timeout_timer);
    struct core_effect *effect = core_emit(core, CORE_EFFECT_KILL);
    effect->kill.owner = held->key.owner;
    effect->kill.id = held->key.id;
    effect->kill.end = end;
}

static void send_result(struct core *core, struct core_held *held)
{
    if (held->is_repeat_due) {
        return; /* KEEP brings it, behind the output that is to be said again */
    }
    struct wire_message message = {.type = WIRE_MESSAGE_RESULT};
    message.result.id = held->key.id;
    message.result.result = held->result;
    /* While more of this owner's runs here, and is over soon, they leave together. */
    struct core_peer *owner = held->owner;
    if (owner->n_open > 0 && owner->wall_ns < CORE_GATHER_NS) {
        core_send_lazily(core, owner, &message);
    } else {
        core_send(core, owner, &message);
    }
}

void core_held_end(struct core *core, struct core_held *held, const struct wire_result *result)
{
    if (held->is_forgotten) {
        core_held_move(core, held, CORE_HELD_ON_FORGET);
        return;
    }
    held->texts = core_result_dup(result, &held->result);
    weigh_result(core, held);
    core_blob_ref_result(core, &held->result);
    if (core_held_move(core, held, CORE_HELD_ON_END)) {
        send_result(core, held);
    }
}

void core_refuse(struct core *core, struct core_peer *owner, const struct wire_attempt_id *id,
                 enum wire_refusal refusal, struct slice text)
{
    struct wire_message message = {.type = WIRE_MESSAGE_REFUSE};
    message.refuse.id = *id;
    message.refuse.refusal = refusal;
    message.refuse.text = core_batch_copy(core, text);
    core_send(core, owner, &message);
}

void core_held_refuse(struct core *core, struct core_held *held, enum wire_refusal refusal,
                      struct slice text)
{
    struct core_peer *owner = held->owner;
    struct wire_attempt_id id = held->key.id;
    bool is_told = !held->is_forgotten;
    if (core_held_move(core, held, CORE_HELD_ON_REFUSE) && is_told) {
        core_refuse(core, owner, &id, refusal, text);
    }
}

void core_held_forget(struct core *core, struct core_held *held, enum wire_end end)
{
    if (core_held_has_cores(held)) {
        core_held_kill(core, held, end);
        held->is_forgotten = true;
        close_account(core, held);
    } else {
        core_held_move(core, held, CORE_HELD_ON_FORGET);
    }
}

void core_held_ack(struct core *core, struct core_held *held)
{
    core_held_move(core, held, CORE_HELD_ON_ACK);
}

/* --- streams -----------------------------------------------------------------------------------
 */

static void send_stream(struct core *core, struct core_held *held, unsigned i, uint64_t offset,
                        struct slice bytes)
{
    while (bytes.n > 0 && !held->is_repeat_due) {
        size_t n = bytes.n < WIRE_CHUNK_BYTES_MAX ? bytes.n : WIRE_CHUNK_BYTES_MAX;
        struct wire_message message = {.type = WIRE_MESSAGE_STREAM};
        message.stream.id = held->key.id;
        message.stream.stream = i + 1;
        message.stream.offset = offset;
        message.stream.bytes = core_batch_copy(core, slice_of(bytes.p, n));
        core_send(core, held->owner, &message);
        offset += n;
        bytes = slice_from(bytes, n);
    }
}

void core_held_on_stream(struct core *core, struct core_held *held,
                         const struct wire_stream_data *data)
{
    if (held->streams == NULL || held->is_forgotten || data->stream < 1 || data->stream > 2) {
        return;
    }
    unsigned i = data->stream - 1;
    struct buf *kept = &held->streams[i];
    uint64_t expected = held->stream_at[i] + kept->n;
    ensure(data->offset == expected); /* the shell reads a pipe in order, within the window */
    buf_append_slice(kept, data->bytes);
    ensure(buf_error(kept) == 0);
    send_stream(core, held, i, data->offset, data->bytes);
}

void core_held_on_stream_ack(struct core *core, struct core_held *held,
                             const struct wire_stream_ack *ack)
{
    if (held->streams == NULL || ack->stream < 1 || ack->stream > 2) {
        return;
    }
    unsigned i = ack->stream - 1;
    struct buf *kept = &held->streams[i];
    if (ack->offset <= held->stream_at[i] || ack->offset > held->stream_at[i] + kept->n) {
        return;
    }
    buf_consume(kept, (size_t)(ack->offset - held->stream_at[i]));
    held->stream_at[i] = ack->offset;
    if (core_held_has_cores(held)) {
        struct core_effect *effect = core_emit(core, CORE_EFFECT_STREAM_WINDOW);
        effect->stream_window.owner = held->key.owner;
        effect->stream_window.ack = *ack;
    }
}

void core_held_repeat(struct core *core, struct core_held *held)
{
    held->is_repeat_due = false;
    for (unsigned i = 0; held->streams != NULL && i < 2; i++) {
        send_stream(core, held, i, held->stream_at[i], buf_slice(&held->streams[i]));
    }
    if (held->state == CORE_HELD_ENDED) {
        send_result(core, held);
    } else if (held->state == CORE_HELD_RUNNING) {
        struct wire_message message = {.type = WIRE_MESSAGE_STARTED};
        message.started.id = held->key.id;
        core_send(core, held->owner, &message);
    }
}
