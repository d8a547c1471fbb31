/* What is said to the disk, and what follows once it is there or cannot be.
 *
 * Records are said in order and answered in order. What a client or an executor waits for (a job
 * accepted, a result acknowledged) happens when the record is on disk, never before. When the disk
 * fails, all that was said and is not there yet has to be said again: jobs that were not accepted
 * yet are refused instead, and until the rest is there no task of a detached job is placed. */
#include "mesh/core/journal.h"

#include <errno.h>

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/look.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"
#include "wire/base/mem.h"

/* --- saying ------------------------------------------------------------------------------------
 */

static struct wire_slices texts_of(struct core *core, char *const *texts, uint32_t n)
{
    struct slice *items = core_batch_alloc(core, n, sizeof(*items));
    for (uint32_t i = 0; i < n; i++) {
        items[i] = slice_str(texts[i]);
    }
    return (struct wire_slices){.items = items, .n = n};
}

static struct wire_submit submit_of(struct core *core, const struct core_job *job)
{
    return (struct wire_submit){.spec = job->spec,
                                .name = job->name,
                                .jobs_max = job->jobs_max,
                                .runs_max = job->runs_max,
                                .is_once = job->is_once,
                                .is_detached = true,
                                .may_speculate = job->may_speculate,
                                .require_peers = job->require_peers,
                                .on = texts_of(core, job->on, job->n_on),
                                .except = texts_of(core, job->except, job->n_except),
                                .after = job->after,
                                .is_after_any = job->is_after_any,
                                .is_single = job->is_single,
                                .is_shell = job->is_shell};
}

static struct core_task *keeping_task(const struct core *core, const struct core_entry *entry)
{
    struct core_job *job = core_job_find(core, entry->job);
    struct core_task *task = job != NULL ? core_task_find(job, entry->task) : NULL;
    return task != NULL && task->state == CORE_TASK_KEEPING ? task : NULL;
}

/* Its number, and the place in which the caller fills in the rest. */
static struct core_record *emit(struct core *core, struct core_entry *entry)
{
    struct core_journal *journal = &core->journal;
    entry->number = ++journal->last;
    list_push_back(&journal->said, &entry->node);
    journal->n_said++;
    struct core_record *record = &core_emit(core, CORE_EFFECT_JOURNAL)->journal;
    record->type = entry->type;
    record->number = entry->number;
    record->job = entry->job;
    return record;
}

static void emit_result(struct core *core, struct core_entry *entry, const struct core_task *task)
{
    const struct wire_done *done = &task->keeping->done;
    struct core_record *record = emit(core, entry);
    record->result.done = *done;
    record->result.is_success = done->result.end == WIRE_END_EXITED && done->result.status == 0;
    record->result.is_lost = !core_task_is_own_end(done->result.end);
}

/* NULL, and freed: there is no need for it any more. */
static struct core_record *say_queue(struct core *core, struct core_entry *entry)
{
    struct core_record about = {0};
    if (!core_queue_fill(core, entry, &about)) {
        mem_free(entry);
        return NULL;
    }
    struct core_record *record = emit(core, entry);
    about.type = record->type;
    about.number = record->number;
    about.job = record->job;
    *record = about;
    return record;
}

/* A record that has to get to disk some day; nothing when there is no need for it any more. */
static void say(struct core *core, struct core_entry *entry)
{
    const struct core_job *job = core_job_find(core, entry->job);
    const struct core_task *task = NULL;
    switch (entry->type) {
    case CORE_RECORD_RESULT:
        task = keeping_task(core, entry);
        if (task == NULL) {
            mem_free(entry);
            return;
        }
        emit_result(core, entry, task);
        return;
    case CORE_RECORD_OVER:
        ensure(job != NULL); /* it goes when this is on disk */
        emit(core, entry)->over = core_job_outcome(job);
        return;
    case CORE_RECORD_CANCEL:
    case CORE_RECORD_FORGET:
        emit(core, entry);
        return;
    case CORE_RECORD_QUEUE_DONE:
    case CORE_RECORD_QUEUE_REMOVED:
        say_queue(core, entry);
        return;
    case CORE_RECORD_JOB:
    case CORE_RECORD_TASK:
    case CORE_RECORD_COMPLETE:
    case CORE_RECORD_QUEUE:
    case CORE_RECORD_QUEUE_PUT:
        break; /* said once: if they fail, the job or the put is refused */
    }
    ensure(!"reached");
}

static struct core_entry *entry_new(enum core_record_type type, uint64_t job)
{
    struct core_entry *entry = mem_alloc_or_die(1, sizeof(*entry));
    entry->type = type;
    entry->job = job;
    return entry;
}

static void say_or_wait(struct core *core, struct core_entry *entry)
{
    struct core_journal *journal = &core->journal;
    if (journal->is_failing) {
        list_push_back(&journal->failed, &entry->node);
        journal->n_failed++;
    } else {
        say(core, entry);
    }
}

struct core_record *core_journal_queue(struct core *core, enum core_record_type type,
                                       uint64_t queue, uint64_t item, uint64_t client)
{
    struct core_entry *entry = entry_new(type, queue);
    entry->item = item;
    entry->client = client;
    bool may_wait = type == CORE_RECORD_QUEUE_DONE || type == CORE_RECORD_QUEUE_REMOVED;
    if (may_wait && core->journal.is_failing) {
        say_or_wait(core, entry);
        return NULL;
    }
    return say_queue(core, entry);
}

void core_journal_job(struct core *core, struct core_job *job)
{
    struct core_record *record = emit(core, entry_new(CORE_RECORD_JOB, job->id));
    record->job_record.uid = job->uid;
    record->job_record.submit = submit_of(core, job);
}

static struct wire_slices copy_words(struct core *core, struct wire_slices from)
{
    struct slice *words = core_batch_alloc(core, from.n, sizeof(*words));
    for (uint32_t i = 0; i < from.n; i++) {
        words[i] = core_batch_copy(core, from.items[i]);
    }
    return (struct wire_slices){.items = words, .n = from.n};
}

static struct wire_add_task with_load(const struct wire_add_task *add, struct wire_slices argv,
                                      const struct core_cargo *cargo)
{
    struct wire_add_task task = *add;
    task.argv = argv;
    if (cargo != NULL) {
        task.args = cargo->args;
        task.refs = cargo->refs;
        task.files = cargo->files;
        task.returns = cargo->returns;
        task.workdir = cargo->workdir;
    }
    return task;
}

static struct wire_add_task copy_task(struct core *core, const struct wire_add_task *add)
{
    const struct core_cargo *cargo;
    size_t n_bytes = core_load_bytes(add->argv, core_cargo_of_add(add));
    void *block = core_batch_alloc(core, 1, n_bytes);
    struct wire_slices argv = core_load_put(block, add->argv, core_cargo_of_add(add), &cargo);
    return with_load(add, argv, cargo);
}

void core_journal_task(struct core *core, struct core_job *job, const struct wire_add_task *add)
{
    struct core_entry *entry = entry_new(CORE_RECORD_TASK, job->id);
    entry->task = add->task;
    struct wire_add_task task;
    bool is_room = job->tasks.n < CORE_JOB_TASKS_MAX && job->argv_bytes < CORE_JOB_BYTES_MAX;
    bool is_loaded = job->n_unloaded == 0 && is_room;
    if (is_loaded) {
        const struct core_task *loaded = core_job_load_task(core, job, add);
        task = with_load(add, loaded->argv, loaded->cargo);
    } else {
        task = copy_task(core, add);
        job->n_unloaded++;
    }
    entry->bytes += core_load_bytes(add->argv, core_cargo_of_add(add));
    entry->bytes += wire_values_bytes(&add->values);
    job->record_bytes += entry->bytes;
    task.values = copy_words(core, add->values);
    emit(core, entry)->task = task;
    if (!is_loaded && add->has_input) { /* the journal holds it: nothing here does */
        core_blob_let_go(core, &add->input);
    }
}

void core_journal_complete(struct core *core, struct core_job *job)
{
    emit(core, entry_new(CORE_RECORD_COMPLETE, job->id))->complete.n_tasks = job->n_added;
}

void core_journal_cancel(struct core *core, struct core_job *job, uint64_t client)
{
    struct core_entry *entry = entry_new(CORE_RECORD_CANCEL, job->id);
    entry->client = client;
    say_or_wait(core, entry);
}

void core_journal_forget(struct core *core, uint64_t job, uint64_t client)
{
    struct core_entry *entry = entry_new(CORE_RECORD_FORGET, job);
    entry->client = client;
    say_or_wait(core, entry);
}

void core_journal_over(struct core *core, struct core_job *job)
{
    say_or_wait(core, entry_new(CORE_RECORD_OVER, job->id));
}

/* --- results -----------------------------------------------------------------------------------
 */

static void keeping_free(struct core_grave *grave)
{
    struct core_keeping *keeping = CONTAINER_OF(grave, struct core_keeping, grave);
    arena_done(&keeping->arena);
    mem_free(keeping);
}

static struct core_keeping *keeping_new(struct core_task *task, const struct core_attempt *attempt,
                                        enum wire_refusal refusal, const struct wire_result *result)
{
    struct core_keeping *keeping = mem_alloc_or_die(1, sizeof(*keeping));
    arena_init(&keeping->arena, WIRE_ARENA_BYTES_MAX);
    struct wire_done *done = &keeping->done;
    done->job = task->job->id;
    done->task = task->number;
    done->n_runs = task->n_runs + task->n_lost_runs;
    done->refusal = refusal;
    int r = core_result_copy(&keeping->arena, result, &done->result);
    if (attempt != NULL) {
        const struct core_peer *peer = attempt->site->peer;
        done->attempt = attempt->number;
        done->peer = peer->key;
        keeping->incarnation = attempt->incarnation;
        r = r == 0 ? arena_copy(&keeping->arena, slice_str(peer->name), &done->peer_name) : r;
    }
    ensure(r == 0); /* within the limits of one message */
    return keeping;
}

void core_journal_result(struct core *core, struct core_task *task, struct core_attempt *attempt,
                         enum wire_refusal refusal, const struct wire_result *result)
{
    if (!core_task_move(core, task, CORE_TASK_ON_KEEP)) {
        return;
    }
    struct core_job *job = task->job;
    struct core_keeping *keeping = keeping_new(task, attempt, refusal, result);
    task->keeping = keeping;
    const struct wire_result *kept = &keeping->done.result;
    core_blob_ref_result(core, kept);
    core_task_drop_returned(core, task);
    job->n_keeping++;
    job->keeping_bytes += core_result_inlined_bytes(kept);
    core->journal.n_keeping++;
    if (attempt != NULL) { /* the disk takes its time; the executor's core need not wait for it */
        core_attempt_put_aside(core, attempt);
    }
    struct core_entry *entry = entry_new(CORE_RECORD_RESULT, job->id);
    entry->task = task->number;
    say_or_wait(core, entry);
    core_job_update(core, job);
}

bool core_journal_is_of(const struct core_task *task, const struct core_attempt *attempt)
{
    const struct core_keeping *keeping = task->keeping;
    return keeping->done.attempt == attempt->number &&
           keeping->incarnation == attempt->incarnation &&
           wire_key_eq(&keeping->done.peer, &attempt->site->key);
}

void core_journal_drop_keeping(struct core *core, struct core_task *task)
{
    struct core_keeping *keeping = STEAL(task->keeping);
    if (keeping == NULL) {
        return;
    }
    const struct wire_done *done = &keeping->done;
    task->job->n_keeping--;
    task->job->keeping_bytes -= core_result_inlined_bytes(&done->result);
    core->journal.n_keeping--;
    struct core_peer *peer = done->attempt > 0 ? core_peer_find(core, &done->peer) : NULL;
    if (peer != NULL && core->effects != NULL) {
        struct wire_attempt_id id = {.job = done->job,
                                     .task = done->task,
                                     .incarnation = keeping->incarnation,
                                     .number = done->attempt};
        core_result_ack(core, peer, &id);
        struct core_attempt *attempt = core_attempt_find(task, peer, &id);
        if (attempt != NULL) {
            core_attempt_free(core, attempt);
        }
    }
    core_blob_unref_result(core, &done->result);
    core_bury(core, &keeping->grave, keeping_free);
}

/* --- on disk -----------------------------------------------------------------------------------
 */

static bool is_client_there(const struct core *core, uint64_t client)
{
    return client != 0 && table_find(&core->clients, &client) != NULL;
}

static void on_complete_kept(struct core *core, struct core_job *job)
{
    job->is_kept = true;
    if (job->client != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_JOB_KEPT};
        message.job_kept = (struct wire_job_kept){.job = job->id, .n_tasks = job->n_added};
        core_client_send(core, job->client->id, &message);
        job->client = NULL;
    }
    core_job_update(core, job);
}

static void on_kept(struct core *core, const struct core_entry *entry)
{
    struct core_job *job = core_job_find(core, entry->job);
    struct core_task *task = NULL;
    switch (entry->type) {
    case CORE_RECORD_JOB:
        if (job != NULL && !job->is_over) {
            core_job_accept(core, job);
        }
        return;
    case CORE_RECORD_TASK:
        if (job != NULL) {
            job->n_journaled++;
            job->record_bytes -= entry->bytes;
            core_job_update(core, job);
        }
        return;
    case CORE_RECORD_COMPLETE:
        if (job != NULL && !job->is_over) {
            on_complete_kept(core, job);
        }
        return;
    case CORE_RECORD_RESULT:
        task = keeping_task(core, entry);
        if (task != NULL) {
            core_task_kept(core, task);
        }
        core_look_on_news(core, entry->job);
        return;
    case CORE_RECORD_CANCEL:
    case CORE_RECORD_FORGET:
        if (is_client_there(core, entry->client)) {
            struct wire_message message = {.type = WIRE_MESSAGE_OK};
            core_client_send(core, entry->client, &message);
        }
        return;
    case CORE_RECORD_OVER:
        if (job != NULL) {
            job->is_end_kept = true;
            core_job_update(core, job);
        }
        core_look_on_news(core, entry->job);
        return;
    case CORE_RECORD_QUEUE:
    case CORE_RECORD_QUEUE_PUT:
    case CORE_RECORD_QUEUE_DONE:
    case CORE_RECORD_QUEUE_REMOVED:
        core_queue_on_kept(core, entry);
        return;
    }
    ensure(!"reached");
}

/* --- or not ------------------------------------------------------------------------------------
 */

static struct slice fault_text(struct core *core, int error)
{
    return error == -ENOSPC    ? slice_str("the disk is full")
           : error == -EBADMSG ? slice_str("the journal was lost")
                               : core_batch_printf(core, "the disk fails (errno %d)", -error);
}

static void refuse_job(struct core *core, struct core_job *job, int error)
{
    struct core_client *client = STEAL(job->client);
    if (client != NULL) {
        core_client_error(core, client->id, WIRE_ERROR_UNAVAILABLE,
                          "%.*s: nothing of this job is kept", SLICE_FMT(fault_text(core, error)));
    }
    core_job_cancel(core, job);
}

static void tell_cancel_failed(struct core *core, struct core_entry *entry, int error)
{
    char text[WIRE_JOB_TEXT_BYTES];
    if (is_client_there(core, entry->client)) {
        core_client_error(
            core, entry->client, WIRE_ERROR_UNAVAILABLE,
            "%.*s: job %s ends now, but is back if this daemon is killed before there "
            "is room",
            SLICE_FMT(fault_text(core, error)), wire_job_text(entry->job, text));
    }
    entry->client = 0;
}

static void tell_forget_failed(struct core *core, struct core_entry *entry, int error)
{
    char text[WIRE_JOB_TEXT_BYTES];
    if (is_client_there(core, entry->client)) {
        core_client_error(core, entry->client, WIRE_ERROR_UNAVAILABLE,
                          "%.*s: job %s is forgotten once there is room",
                          SLICE_FMT(fault_text(core, error)), wire_job_text(entry->job, text));
    }
    entry->client = 0;
}

/* Whether it has to be said again. */
static bool on_failed(struct core *core, struct core_entry *entry, int error)
{
    struct core_job *job = core_job_find(core, entry->job);
    switch (entry->type) {
    case CORE_RECORD_JOB:
    case CORE_RECORD_TASK:
    case CORE_RECORD_COMPLETE:
        if (job != NULL && entry->type == CORE_RECORD_JOB) {
            job->is_unsaid = true; /* there is nothing to be forgotten */
        }
        if (job != NULL) {
            job->record_bytes -= entry->bytes;
        }
        if (job != NULL && !job->is_over) {
            refuse_job(core, job, error);
        }
        return false;
    case CORE_RECORD_CANCEL:
        tell_cancel_failed(core, entry, error);
        return true;
    case CORE_RECORD_RESULT:
        return keeping_task(core, entry) != NULL;
    case CORE_RECORD_FORGET:
        tell_forget_failed(core, entry, error);
        return true;
    case CORE_RECORD_OVER:
        return true;
    case CORE_RECORD_QUEUE:
    case CORE_RECORD_QUEUE_PUT:
    case CORE_RECORD_QUEUE_DONE:
    case CORE_RECORD_QUEUE_REMOVED:
        return core_queue_on_failed(core, entry, fault_text(core, error));
    }
    ensure(!"reached");
}

static void update_jobs(struct core *core)
{
    table_for_each (entry, &core->jobs) {
        struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        if (job->is_detached) {
            core_job_update(core, job);
        }
    }
}

static void say_failed(struct core *core)
{
    struct core_journal *journal = &core->journal;
    while (!list_is_empty(&journal->failed)) {
        struct core_entry *entry = LIST_ENTRY(journal->failed.next, struct core_entry, node);
        list_remove(&entry->node);
        journal->n_failed--;
        say(core, entry);
    }
}

/* The disk is tried again: with all of it, so that it is over when there is room. */
static void retry_fire(struct core *core, struct core_timer *timer)
{
    say_failed(core);
    if (list_is_empty(&core->journal.said)) { /* none of it was needed any more */
        core->journal.is_failing = false;
        core->journal.retry_ns = 0;
        update_jobs(core);
    }
}

static void recover(struct core *core)
{
    struct core_journal *journal = &core->journal;
    core_log(core, CORE_LOG_INFO, "the journal can be written again");
    journal->is_failing = false;
    journal->retry_ns = 0;
    core_timer_stop(core, &journal->retry_timer);
    say_failed(core);
    update_jobs(core);
}

static void fail(struct core *core, int error)
{
    struct core_journal *journal = &core->journal;
    if (!journal->is_failing) {
        core_log(core, CORE_LOG_ERROR, "the journal cannot be written: %.*s",
                 SLICE_FMT(fault_text(core, error)));
    }
    journal->is_failing = true;
    journal->error = error;
    uint64_t in_ns = journal->retry_ns * 2;
    in_ns = in_ns > CORE_JOURNAL_RETRY_NS ? in_ns : CORE_JOURNAL_RETRY_NS;
    journal->retry_ns = in_ns < CORE_JOURNAL_RETRY_MAX_NS ? in_ns : CORE_JOURNAL_RETRY_MAX_NS;
    while (!list_is_empty(&journal->said)) {
        struct core_entry *entry = LIST_ENTRY(journal->said.next, struct core_entry, node);
        list_remove(&entry->node);
        journal->n_said--;
        if (on_failed(core, entry, error)) {
            list_push_back(&journal->failed, &entry->node);
            journal->n_failed++;
        } else {
            mem_free(entry);
        }
    }
    journal->is_failing = journal->n_failed > 0;
    if (journal->is_failing) {
        core_timer_set(core, &journal->retry_timer, core->now_ns + journal->retry_ns);
    }
    update_jobs(core);
}

static void drop_failed(struct core_journal *journal)
{
    while (!list_is_empty(&journal->failed)) {
        struct core_entry *entry = LIST_ENTRY(journal->failed.next, struct core_entry, node);
        list_remove(&entry->node);
        mem_free(entry);
    }
    journal->n_failed = 0;
}

/* What was on disk is not there any more: jobs that lived from it end, and nothing is to be said of
 * them. */
static void lose(struct core *core)
{
    struct core_journal *journal = &core->journal;
    table_for_each (entry, &core->jobs) {
        struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        if (job->is_detached) {
            job->is_unsaid = job->is_forgotten = true;
            job->is_kept = job->is_restored = false;
        }
    }
    fail(core, -EBADMSG);
    drop_failed(journal);
    journal->is_failing = false;
    core_timer_stop(core, &journal->retry_timer);
    table_for_each (entry, &core->jobs) {
        struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        if (job->is_detached && !job->is_over && !job->is_cancelled) {
            core_job_set_reason(job, slice_str("the journal that held it was lost"));
            core_job_cancel(core, job);
        } else if (job->is_detached) {
            core_job_update(core, job);
        }
    }
}

void core_journal_on_journaled(struct core *core, uint64_t number, int error)
{
    struct core_journal *journal = &core->journal;
    ensure(number <= journal->last);
    bool is_any = false;
    while (!list_is_empty(&journal->said)) {
        struct core_entry *entry = LIST_ENTRY(journal->said.next, struct core_entry, node);
        if (entry->number > number) {
            break;
        }
        list_remove(&entry->node);
        journal->n_said--;
        is_any = true;
        on_kept(core, entry);
        mem_free(entry);
    }
    if (error == -EBADMSG) {
        lose(core);
    } else if (error < 0) {
        journal->retry_ns = is_any ? 0 : journal->retry_ns;
        fail(core, error);
    } else if (journal->is_failing && is_any) {
        recover(core);
    }
}

/* --- what depends on it ------------------------------------------------------------------------
 */

struct slice core_journal_fault(struct core *core)
{
    if (!core->config.has_journal) {
        return slice_str("this daemon keeps no journal, so it takes no detached jobs");
    }
    if (!core->journal.is_failing) {
        return (struct slice){0};
    }
    return core_batch_printf(core, "%.*s: no detached job is taken until there is room",
                             SLICE_FMT(fault_text(core, core->journal.error)));
}

struct slice core_journal_disk_fault(struct core *core)
{
    return core->journal.is_failing ? fault_text(core, core->journal.error) : (struct slice){0};
}

bool core_journal_is_blocked(const struct core *core, const struct core_job *job)
{
    return core->journal.is_failing || core->is_stopping || job->is_cancelled ||
           (job->is_restored && (core->journal.is_holding || !core->journal.is_read)) ||
           job->n_keeping > CORE_DONE_UNACKED_MAX || job->keeping_bytes > CORE_DONE_BYTES_MAX;
}

void core_journal_init(struct core *core)
{
    struct core_journal *journal = &core->journal;
    list_init(&journal->said);
    list_init(&journal->failed);
    journal->retry_timer.fire = retry_fire;
    core_restore_init(core);
}

static void free_entries(struct list *entries)
{
    while (!list_is_empty(entries)) {
        struct core_entry *entry = LIST_ENTRY(entries->next, struct core_entry, node);
        list_remove(&entry->node);
        mem_free(entry);
    }
}

void core_journal_free_all(struct core *core)
{
    free_entries(&core->journal.said);
    free_entries(&core->journal.failed);
}
