/* Tasks of detached jobs that come back from disk: those of an earlier life of ours at start, and
 * the later ones of a long job, of which only a window is in memory.
 *
 * A restored job places nothing for --dead-after: executors that hold attempts of it say so in
 * their inventories first (reunion.c). */
#include "mesh/core/job.h"
#include "mesh/core/journal.h"
#include "mesh/core/look.h"
#include "mesh/core/queue.h"

static void read_fire(struct core *core, struct core_timer *timer)
{
    core_restore_read(core, CONTAINER_OF(timer, struct core_job, read_timer));
}

void core_restore_on_job(struct core *core, const struct core_event *event)
{
    ensure(core->config.has_journal && !core->journal.is_read);
    uint64_t id = event->journal_job.job;
    if (!event->journal_job.is_complete) {
        core_journal_forget(core, id, 0); /* it was never accepted */
        return;
    }
    uint32_t n_tasks = event->journal_job.n_tasks;
    uint32_t n_results = event->journal_job.n_results;
    ensure(n_results <= n_tasks);
    struct core_job *job =
        core_job_new(core, id, event->journal_job.uid, event->journal_job.submit);
    job->is_kept = job->is_complete = job->is_restored = true;
    job->tasks_max = job->n_added = job->n_journaled = n_tasks;
    job->n_done = job->n_acked = n_results;
    job->n_succeeded = event->journal_job.n_succeeded;
    job->n_failed = n_results - job->n_succeeded;
    job->n_lost = event->journal_job.n_lost;
    job->n_unloaded = n_tasks - n_results;
    uint64_t age_ns = event->journal_job.age_ns;
    job->since_ns = age_ns < core->now_ns ? core->now_ns - age_ns : 0;
    if (event->journal_job.is_cancelled) {
        job->is_cancelled = true;
        core_job_give_up_rest(core, job);
    } else {
        core_after_begin(core, job, event->journal_job.submit->after);
        core_job_update(core, job);
    }
}

static void read_again(struct core *core, struct core_job *job, int error)
{
    char text[WIRE_JOB_TEXT_BYTES];
    core_log(core, CORE_LOG_ERROR, "job %s: its tasks cannot be read back (error %d)",
             wire_job_text(job->id, text), error);
    job->read_timer.fire = read_fire;
    core_timer_set(core, &job->read_timer, core->now_ns + CORE_JOURNAL_RETRY_NS);
}

void core_restore_on_tasks(struct core *core, const struct core_event *event)
{
    struct core_job *job = core_job_find(core, event->journal_tasks.job);
    if (job == NULL || job->n_unloaded == 0) {
        core->n_ignored++; /* cancelled meanwhile */
        return;
    }
    job->is_reading = false;
    if (event->journal_tasks.n == 0) {
        read_again(core, job, event->journal_tasks.error);
        return;
    }
    for (uint32_t i = 0; i < event->journal_tasks.n && job->n_unloaded > 0; i++) {
        const struct wire_add_task *add = &event->journal_tasks.items[i];
        if (add->task < job->next_load || add->task > job->n_journaled) {
            core->n_ignored++;
            continue;
        }
        core_job_load_task(core, job, add);
        job->n_unloaded--;
    }
    core_job_update(core, job);
}

void core_restore_read(struct core *core, struct core_job *job)
{
    bool is_due = core->journal.is_read && !job->is_reading && !job->is_over &&
                  job->n_unloaded > 0 && job->next_load <= job->n_journaled &&
                  !heap_has(&job->read_timer.entry);
    if (!is_due || job->tasks.n > CORE_JOB_TASKS_MAX / 2 ||
        job->argv_bytes > CORE_JOB_BYTES_MAX / 2) {
        return;
    }
    job->is_reading = true;
    uint32_t n_there = job->n_journaled - job->next_load + 1;
    struct core_effect *effect = core_emit(core, CORE_EFFECT_JOURNAL_READ);
    effect->journal_read.job = job->id;
    effect->journal_read.first = job->next_load;
    effect->journal_read.n = n_there < CORE_READ_TASKS_MAX ? n_there : CORE_READ_TASKS_MAX;
    effect->journal_read.bytes = CORE_JOB_BYTES_MAX - job->argv_bytes;
}

static void update_jobs(struct core *core)
{
    table_for_each (entry, &core->jobs) {
        struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        if (job->is_restored) {
            core_job_update(core, job);
        }
    }
}

static void hold_fire(struct core *core, struct core_timer *timer)
{
    core->journal.is_holding = false;
    core->is_check_due = true;
    update_jobs(core);
}

void core_restore_on_end(struct core *core)
{
    ensure(core->config.has_journal && !core->journal.is_read);
    core->journal.is_read = true;
    if (core->jobs.n > 0) {
        core->journal.is_holding = true;
        core_timer_set(core, &core->journal.hold_timer, core->now_ns + core->config.dead_after_ns);
        core_log(core, CORE_LOG_INFO, "%zu jobs go on from the journal", core->jobs.n);
    }
    core_queue_restored(core);
    update_jobs(core);
}

void core_restore_init(struct core *core)
{
    core->journal.hold_timer.fire = hold_fire;
}
