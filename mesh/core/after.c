/* Jobs that wait for others (--after, --after-any). None of a job's tasks begins before the jobs
 * that it names have ended; where one of them failed it is cancelled, and says so.
 *
 * Only earlier jobs can be named, so there are no cycles. A detached job waits for detached ones
 * only, whose end is on disk: after a restart each of those is in memory again, or its end can be
 * looked up, or it was forgotten, which it can be only after it ended. Had it failed, the job that
 * waited would have been cancelled, on disk, before that. */
#include <errno.h>

#include "mesh/core/job.h"
#include "mesh/core/journal.h"
#include "mesh/core/look.h"
#include "wire/base/mem.h"

static struct slice fault_of(struct core *core, const struct core_client *client,
                             const struct wire_submit *submit, uint64_t id)
{
    char text[WIRE_JOB_TEXT_BYTES];
    const struct core_job *job = core_job_find(core, id);
    wire_job_text(id, text);
    if (job == NULL && !core->config.has_journal) {
        return core_batch_printf(core, "there is no job %s", text);
    }
    if (job == NULL) {
        return slice_str(""); /* the disk will tell */
    }
    if (job->uid != client->uid && client->uid != 0) {
        return core_batch_printf(core, "job %s is another user's", text);
    }
    if (submit->is_detached && !job->is_detached) {
        return core_batch_printf(
            core, "job %s ends with its terminal: a detached job can only wait for detached ones",
            text);
    }
    if ((job->is_cancelled || (job->is_over && job->n_failed > 0)) && !submit->is_after_any) {
        return core_batch_printf(core, "job %s %s", text,
                                 job->is_cancelled ? "is cancelled" : "failed");
    }
    return slice_str("");
}

struct slice core_after_fault(struct core *core, const struct core_client *client,
                              const struct wire_submit *submit)
{
    for (uint32_t i = 0; i < submit->after.n; i++) {
        struct slice fault = fault_of(core, client, submit, submit->after.items[i].job);
        if (fault.n > 0) {
            return fault;
        }
    }
    return slice_str("");
}

void core_after_begin(struct core *core, struct core_job *job, struct wire_job_refs after)
{
    struct wire_job_ref *items = arena_alloc(&job->arena, after.n, sizeof(*items));
    ensure(items != NULL);
    job->are_ended = arena_alloc(&job->arena, after.n, sizeof(*job->are_ended));
    ensure(job->are_ended != NULL);
    job->after = (struct wire_job_refs){.items = items, .n = after.n};
    for (uint32_t i = 0; i < after.n; i++) {
        items[i] = after.items[i];
        job->n_awaited++;
        const struct core_job *other = core_job_find(core, items[i].job);
        if (other == NULL) {
            core_look_for_after(core, job, items[i].job);
        } else if (other->is_over) {
            core_after_on_end(core, other);
        }
    }
}

/* --- what became of them -----------------------------------------------------------------------
 */

static void go_on(struct core *core, struct core_job *job)
{
    ensure(job->n_awaited > 0);
    job->n_awaited--;
    core->is_check_due = true;
    core_job_update(core, job);
}

/* One of them failed. */
static void give_up(struct core *core, struct core_job *job, struct slice why)
{
    if (job->is_over || job->is_cancelled) {
        return;
    }
    core_job_set_reason(job, why);
    core_job_notice(core, job, "%.*s: this one is cancelled", SLICE_FMT(why));
    if (job->is_kept) {
        core_journal_cancel(core, job, 0);
    }
    core_job_cancel(core, job);
}

static struct slice failure_text(struct core *core, uint64_t id, const struct wire_job_done *done)
{
    char text[WIRE_JOB_TEXT_BYTES];
    wire_job_text(id, text);
    if (done->is_cancelled) {
        return core_batch_printf(core, "job %s, which it was to come after, was cancelled", text);
    }
    return core_batch_printf(core, "job %s, which it was to come after, failed (%u of %u tasks)",
                             text, done->n_failed, done->n_tasks);
}

static void on_outcome(struct core *core, struct core_job *job, uint64_t id,
                       const struct wire_job_done *done)
{
    if (job->is_after_any || (done->n_failed == 0 && !done->is_cancelled)) {
        go_on(core, job);
    } else {
        give_up(core, job, failure_text(core, id, done));
    }
}

/* Notes that this one has ended. False: the job does not wait for it (any more). */
static bool take(struct core_job *job, uint64_t id)
{
    for (uint32_t i = 0; i < job->after.n && job->n_awaited > 0; i++) {
        if (job->after.items[i].job == id && !job->are_ended[i]) {
            job->are_ended[i] = true;
            return true;
        }
    }
    return false;
}

static struct core_job *find_waiter(struct core *core, uint64_t id)
{
    table_for_each (entry, &core->jobs) {
        struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        if (!job->is_over && take(job, id)) {
            return job;
        }
    }
    return NULL;
}

/* Only noted: whoever ends a job may be walking over all of them. */
void core_after_on_end(struct core *core, const struct core_job *job)
{
    struct core_ended *ended = mem_alloc_or_die(1, sizeof(*ended));
    ended->done = core_job_outcome(job);
    ended->done.text = (struct slice){0};
    ended->done.is_cancelled |= !job->is_over;
    list_push_back(&core->ended, &ended->node);
}

/* What becomes of one job may end the next. */
void core_after_run(struct core *core)
{
    struct core_ended *ended = LIST_ENTRY(core->ended.next, struct core_ended, node);
    struct core_job *waiter;
    list_remove(&ended->node);
    while ((waiter = find_waiter(core, ended->done.job)) != NULL) {
        on_outcome(core, waiter, ended->done.job, &ended->done);
    }
    mem_free(ended);
}

void core_after_free_all(struct core *core)
{
    while (!list_is_empty(&core->ended)) {
        struct core_ended *ended = LIST_ENTRY(core->ended.next, struct core_ended, node);
        list_remove(&ended->node);
        mem_free(ended);
    }
}

/* --- looked up ---------------------------------------------------------------------------------
 */

/* Of a job that is not accepted yet, what was found may be no reason to wait, but to refuse it. */
static struct slice refusal_of(struct core *core, const struct core_job *waiter,
                               const struct core_event *event, uint64_t id)
{
    char text[WIRE_JOB_TEXT_BYTES];
    wire_job_text(id, text);
    int error = event->journal_looked.error;
    if (error == -ENOENT || (error == 0 && !event->journal_looked.is_over)) {
        return core_batch_printf(core, "there is no job %s", text);
    }
    if (event->journal_looked.error < 0) {
        return core_batch_printf(core, "job %s cannot be looked up: the disk fails (errno %d)",
                                 text, -event->journal_looked.error);
    }
    if (waiter->uid != event->journal_looked.uid && waiter->uid != 0) {
        return core_batch_printf(core, "job %s is another user's", text);
    }
    const struct wire_job_done *done = &event->journal_looked.over;
    if (!waiter->is_after_any && (done->n_failed > 0 || done->is_cancelled)) {
        return core_batch_printf(core, "job %s %s", text,
                                 done->is_cancelled ? "was cancelled" : "failed");
    }
    return slice_str("");
}

void core_after_on_looked(struct core *core, struct core_job *waiter,
                          const struct core_event *event, uint64_t id)
{
    bool is_first = take(waiter, id);
    ensure(is_first); /* one look for each */
    if (waiter->is_restored) {
        static const struct wire_job_done forgotten;
        on_outcome(core, waiter, id,
                   event->journal_looked.error == -ENOENT ? &forgotten
                                                          : &event->journal_looked.over);
        return;
    }
    struct slice refusal = refusal_of(core, waiter, event, id);
    if (refusal.n > 0) {
        int error = event->journal_looked.error;
        core_job_refuse(core, waiter,
                        error == 0         ? WIRE_ERROR_INVALID
                        : error == -ENOENT ? WIRE_ERROR_UNKNOWN
                                           : WIRE_ERROR_UNAVAILABLE,
                        refusal);
        return;
    }
    waiter->n_awaited--;
    waiter->n_looked_for--;
    if (!list_is_linked(&waiter->in_startup)) {
        core_job_begin(core, waiter);
    }
}
