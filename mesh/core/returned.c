/* Output of our tasks that is on its way from their executors: their results are dealt with when
 * all of it is here. Happy path: core_task_result() wants each blob, the last one that comes
 * reports. */
#include <errno.h>

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

static void returned_free(struct core_grave *grave)
{
    struct core_returned *returned = CONTAINER_OF(grave, struct core_returned, grave);
    arena_done(&returned->arena);
    mem_free(returned);
}

void core_task_drop_returned(struct core *core, struct core_task *task)
{
    struct core_returned *returned = STEAL(task->returned);
    if (returned != NULL) {
        for (uint32_t i = 0; i < returned->n_needs; i++) {
            core_need_drop(core, &returned->needs[i]);
        }
        core_timer_stop(core, &returned->timer);
        core_bury(core, &returned->grave, returned_free);
    }
}

static void fetch_returned(struct core *core, struct core_returned *returned, uint32_t i)
{
    uint64_t n_bytes;
    const struct wire_hash *hash = core_result_blob(&returned->result, i, &n_bytes);
    core_need_want(core, &returned->needs[i], returned->attempt->site->peer, hash, n_bytes);
}

static void report_when_whole(struct core *core, struct core_returned *returned)
{
    if (returned->n_pending == 0) {
        core_task_report(core, returned->task, returned->attempt, WIRE_REFUSAL_NONE,
                         &returned->result);
    }
}

static void room_fire(struct core *core, struct core_timer *timer)
{
    struct core_returned *returned = CONTAINER_OF(timer, struct core_returned, timer);
    for (uint32_t i = 0; i < returned->n_needs; i++) {
        if (returned->needs[i].state == CORE_NEED_NONE) {
            fetch_returned(core, returned, i);
            /* Another task's may have brought it meanwhile. */
            returned->n_pending -= returned->needs[i].state == CORE_NEED_MET;
        }
    }
    report_when_whole(core, returned);
}

/* A detached job loses nothing for want of room here: its executor holds the result for the lease,
 * and as long it is asked for again. Whether that is so. */
static bool waits_for_room(struct core *core, struct core_returned *returned)
{
    struct core_job *job = returned->task->job;
    uint64_t now_ns = core->now_ns;
    returned->full_ns = returned->full_ns != 0 ? returned->full_ns : now_ns;
    if (!job->is_detached || now_ns - returned->full_ns >= job->spec.lease_ms * CORE_MS) {
        return false;
    }
    if (!job->is_room_told) {
        char text[WIRE_JOB_TEXT_BYTES];
        job->is_room_told = true;
        core_log(core, CORE_LOG_WARN,
                 "no room here for the output of job %s: it stays with its executors until there "
                 "is some, for its lease at most",
                 wire_job_text(job->id, text));
    }
    returned->timer.fire = room_fire;
    if (!heap_has(&returned->timer.entry)) {
        core_timer_set(core, &returned->timer, now_ns + CORE_RETRY_FILES_NS);
    }
    return true;
}

static void returned_done(struct core *core, struct core_need *need, int error)
{
    struct core_returned *returned = need->of;
    struct core_task *task = returned->task;
    struct core_attempt *attempt = returned->attempt;
    if (error == -ENOENT) { /* not there any more: as if it had been lost */
        struct wire_attempt_id id = core_attempt_id(attempt);
        core_result_ack(core, attempt->site->peer, &id);
        core_attempt_lost(core, attempt);
        return;
    }
    if (error == -ENOSPC && waits_for_room(core, returned)) {
        return;
    }
    if (error == -ENOSPC) {
        struct wire_result result = {.end = WIRE_END_NO_DISK,
                                     .detail = slice_str("no room at its submitter")};
        core_task_report(core, task, attempt, WIRE_REFUSAL_NONE, &result);
        return;
    }
    returned->n_pending--;
    report_when_whole(core, returned);
}

static struct core_returned *returned_new(struct core_attempt *attempt,
                                          const struct wire_result *result)
{
    struct core_returned *returned = mem_alloc_or_die(1, sizeof(*returned));
    uint32_t n = core_result_n_blobs(result);
    arena_init(&returned->arena, WIRE_ARENA_BYTES_MAX);
    int r = core_result_copy(&returned->arena, result, &returned->result);
    returned->needs = arena_alloc(&returned->arena, n, sizeof(*returned->needs));
    ensure(r == 0 && returned->needs != NULL); /* within the limits of one message */
    returned->n_needs = n;
    returned->task = attempt->task;
    returned->attempt = attempt;
    for (uint32_t i = 0; i < n; i++) {
        returned->needs[i].of = returned;
        returned->needs[i].on_done = returned_done;
    }
    return returned;
}

void core_task_result(struct core *core, struct core_attempt *attempt,
                      const struct wire_result *result)
{
    struct core_task *task = attempt->task;
    struct core_peer *peer = attempt->site->peer;
    if (peer->is_self || !core_result_has_blobs(result) || core_left_may(attempt, result)) {
        core_task_report(core, task, attempt, WIRE_REFUSAL_NONE, result);
        return;
    }
    if (task->returned != NULL && task->returned->attempt != attempt) {
        struct wire_attempt_id id = core_attempt_id(attempt);
        core_result_ack(core, peer, &id); /* another attempt's output is on its way already */
        core_attempt_free(core, attempt);
        return;
    }
    if (task->returned != NULL || !core_task_move(core, task, CORE_TASK_ON_FETCH)) {
        return; /* sent twice */
    }
    core_job_update(core, task->job); /* of a lost attempt: one more is active */
    struct core_returned *returned = returned_new(attempt, result);
    task->returned = returned;
    for (uint32_t i = 0; i < returned->n_needs; i++) {
        fetch_returned(core, returned, i);
        returned->n_pending += returned->needs[i].state == CORE_NEED_PENDING;
    }
    report_when_whole(core, returned);
}
