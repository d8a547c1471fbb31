/* The life of a job: submitted, filled while it already runs, done when each task has its result.
 *
 * Memory is bounded by back-pressure: a client may add only so many tasks beyond those whose
 * results it has dealt with, and results that it does not deal with stop further placing. */
#include "mesh/core/job.h"

#include <stdarg.h>
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/journal.h"
#include "mesh/core/look.h"
#include "mesh/core/peer.h"
#include "mesh/core/put.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

struct core_job *core_job_find(const struct core *core, uint64_t id)
{
    struct table_entry *entry = table_find(&core->jobs, &id);
    return entry != NULL ? LIST_ENTRY(entry, struct core_job, by_id) : NULL;
}

/* --- what the client is told -------------------------------------------------------------------
 */

void core_client_error(struct core *core, uint64_t client, enum wire_error error,
                       const char *format, ...)
{
    char line[WIRE_REASON_BYTES_MAX];
    va_list args;
    va_start(args, format);
    size_t n = text_vformat(line, sizeof(line), format, args);
    va_end(args);
    struct wire_message message = {.type = WIRE_MESSAGE_ERROR};
    message.error.error = error;
    message.error.text = core_batch_copy(core, slice_of(line, n));
    core_client_send(core, client, &message);
}

void core_job_notice(struct core *core, struct core_job *job, const char *format, ...)
{
    if (job->client == NULL) {
        return;
    }
    char line[WIRE_REASON_BYTES_MAX];
    va_list args;
    va_start(args, format);
    size_t n = text_vformat(line, sizeof(line), format, args);
    va_end(args);
    struct wire_message message = {.type = WIRE_MESSAGE_NOTICE};
    message.notice.job = job->id;
    message.notice.text = core_batch_copy(core, slice_of(line, n));
    core_client_send(core, job->client->id, &message);
}

static bool fits_here(struct core *core, struct core_job *job)
{
    uint32_t cores = core->config.cores;
    return cores > 0 && job->spec.cores <= cores && core_site_get(core, job, core->self)->fits;
}

static void tell_if_alone(struct core *core, struct core_job *job)
{
    if (!job->is_alone_told && !job->is_over && !core_peer_is_any_up(core) &&
        fits_here(core, job)) {
        job->is_alone_told = true;
        core_job_notice(core, job, "no other peer in sight: running here");
    }
}

void core_job_accept(struct core *core, struct core_job *job)
{
    job->tasks_max = CORE_TASKS_FIRST;
    struct wire_message message = {.type = WIRE_MESSAGE_ACCEPTED};
    message.accepted.job = job->id;
    message.accepted.tasks_max = job->tasks_max;
    core_client_send(core, job->client->id, &message);
    if (core->now_ns >= core->config.now_ns + CORE_STARTUP_NS) {
        tell_if_alone(core, job);
    }
}

void core_job_begin(struct core *core, struct core_job *job)
{
    if (job->n_looked_for > 0) {
        return; /* when the disk has told */
    }
    if (job->is_detached) {
        core_journal_job(core, job);
    } else {
        core_job_accept(core, job);
    }
}

/* --- birth and death ---------------------------------------------------------------------------
 */

static void job_free(struct core_grave *grave)
{
    struct core_job *job = CONTAINER_OF(grave, struct core_job, grave);
    table_done(&job->tasks);
    table_done(&job->by_peer);
    arena_done(&job->arena);
    mem_free(job);
}

static void job_bury(struct core *core, struct core_job *job)
{
    if (!job->is_over) { /* it never began */
        core_after_on_end(core, job);
    }
    core_look_drop_waiter(core, job);
    while (!list_is_empty(&job->sites)) {
        core_site_free(core, LIST_ENTRY(job->sites.next, struct core_site, of_job));
    }
    for (uint32_t i = 0; i < job->spec.files.n; i++) {
        core_blob_unref(core, &job->spec.files.items[i].hash);
    }
    core_timer_stop(core, &job->stuck_timer);
    core_timer_stop(core, &job->read_timer);
    list_remove(&job->ready);
    list_remove(&job->in_startup);
    table_remove(&core->jobs, &job->by_id);
    core_bury(core, &job->grave, job_free);
}

static char **copy_texts(struct arena *arena, struct wire_slices from)
{
    char **texts = arena_alloc(arena, from.n, sizeof(char *));
    ensure(texts != NULL);
    for (uint32_t i = 0; i < from.n; i++) {
        texts[i] = arena_alloc(arena, from.items[i].n + 1, 1);
        ensure(texts[i] != NULL);
        memcpy(texts[i], from.items[i].p, from.items[i].n);
    }
    return texts;
}

static void copy_options(struct core_job *job, const struct wire_submit *submit)
{
    int r = core_spec_copy(&job->arena, &submit->spec, &job->spec);
    r = r == 0 ? arena_copy(&job->arena, submit->name, &job->name) : r;
    ensure(r == 0); /* our own client's, within the limits of one message */
    struct wire_job_spec *spec = &job->spec;
    spec->cores = spec->cores > 0 ? spec->cores : 1;
    spec->is_durable = job->is_detached = submit->is_detached;
    uint32_t lease_ms = job->is_detached ? CORE_LEASE_DETACHED_MS : CORE_LEASE_DEFAULT_MS;
    spec->lease_ms = spec->lease_ms == 0                  ? lease_ms
                     : spec->lease_ms < CORE_LEASE_MIN_MS ? CORE_LEASE_MIN_MS
                     : spec->lease_ms < CORE_LEASE_MAX_MS ? spec->lease_ms
                                                          : CORE_LEASE_MAX_MS;
    if (spec->output_bytes_max == 0) {
        spec->output_bytes_max = CORE_OUTPUT_DEFAULT_BYTES;
    }
    job->on = copy_texts(&job->arena, submit->on);
    job->n_on = submit->on.n;
    job->except = copy_texts(&job->arena, submit->except);
    job->n_except = submit->except.n;
    job->jobs_max = submit->jobs_max;
    job->runs_max = submit->runs_max;
    job->is_once = submit->is_once;
    job->may_speculate = submit->may_speculate;
    job->require_peers = submit->require_peers;
    job->is_after_any = submit->is_after_any;
    job->is_single = submit->is_single;
    job->is_shell = submit->is_shell;
}

/* "./prog" is the file "prog". */
static bool is_path(struct slice path, struct slice exec)
{
    while (exec.n > 2 && exec.p[0] == '.' && exec.p[1] == '/') {
        exec = slice_from(exec, 2);
    }
    return slice_eq(path, exec);
}

bool core_job_has_exec_for(const struct core_job *job, const char *arch)
{
    bool is_any_here = false;
    for (uint32_t i = 0; i < job->spec.files.n; i++) {
        const struct wire_file *file = &job->spec.files.items[i];
        if (file->arch.n > 0 && is_path(file->path, job->spec.exec)) {
            if (slice_eq_str(file->arch, arch)) {
                return true;
            }
            is_any_here = true;
        }
    }
    return !is_any_here;
}

/* What peers must speak, and what is to be sent to each. */
static void reckon_files(struct core_job *job)
{
    job->protocol_min = job->spec.is_call ? WIRE_VERSION_CALLS : WIRE_VERSION_MIN;
    job->file_bytes = job->spec.files.n > 0; /* even empty ones take their time */
    for (uint32_t i = 0; i < job->spec.files.n; i++) {
        const struct wire_file *file = &job->spec.files.items[i];
        job->protocol_min = file->arch.n > 0 ? WIRE_VERSION_CALLS : job->protocol_min;
        job->file_bytes += file->bytes <= UINT64_MAX - job->file_bytes ? file->bytes : 0;
    }
}

struct core_job *core_job_new(struct core *core, uint64_t id, uint32_t uid,
                              const struct wire_submit *submit)
{
    struct core_job *job = mem_alloc_or_die(1, sizeof(*job));
    arena_init(&job->arena, WIRE_ARENA_BYTES_MAX);
    copy_options(job, submit);
    reckon_files(job);
    job->id = id;
    job->uid = uid;
    job->next_load = 1;
    job->since_ns = core->now_ns;
    job->stuck_timer.fire = core_job_stuck_fire;
    table_init(&job->tasks, sizeof(uint32_t), core->config.seed);
    table_init(&job->by_peer, sizeof(struct wire_key), core->config.seed);
    list_init(&job->waiting);
    list_init(&job->ready);
    list_init(&job->sites);
    list_init(&job->in_startup);
    table_insert(&core->jobs, &job->by_id, &job->id);
    for (uint32_t i = 0; i < job->spec.files.n; i++) {
        core_blob_ref(core, &job->spec.files.items[i].hash);
    }
    return job;
}

/* NULL, or the path of two files that one executor would be given. */
static const struct slice *find_clash(const struct wire_files *files)
{
    for (uint32_t i = 0; i < files->n; i++) {
        const struct wire_file *file = &files->items[i];
        for (uint32_t k = 0; k < i; k++) {
            const struct wire_file *other = &files->items[k];
            bool is_apart =
                file->arch.n > 0 && other->arch.n > 0 && !slice_eq(file->arch, other->arch);
            if (!is_apart && slice_eq(file->path, other->path)) {
                return &file->path;
            }
        }
    }
    return NULL;
}

/* What makes no sense in it; nothing when all does. */
static struct slice submit_fault(struct core *core, const struct wire_submit *submit)
{
    const struct slice *clash = find_clash(&submit->spec.files);
    if (clash != NULL) {
        char path[128];
        core_text_set(path, sizeof(path), *clash);
        return core_batch_printf(core, "two files of the job would stand at %s", path);
    }
    if (submit->spec.is_call && submit->spec.is_streamed) {
        return slice_str("what calls print cannot be had as it comes");
    }
    if (submit->spec.cores > WIRE_CORES_MAX) {
        return core_batch_printf(core, "a task may ask for at most %u cores", WIRE_CORES_MAX);
    }
    return slice_str("");
}

static bool is_submit_refused(struct core *core, struct core_client *client,
                              const struct wire_submit *submit)
{
    struct slice fault = submit_fault(core, submit);
    if (core->is_stopping) {
        core_client_error(core, client->id, WIRE_ERROR_UNAVAILABLE, "the daemon is ending");
    } else if (submit->is_detached && core_journal_fault(core).n > 0) {
        core_client_error(core, client->id, WIRE_ERROR_UNAVAILABLE, "%.*s",
                          SLICE_FMT(core_journal_fault(core)));
    } else if (submit->is_detached && (submit->spec.is_streamed || submit->is_once)) {
        core_client_error(core, client->id, WIRE_ERROR_INVALID,
                          submit->is_once
                              ? "a detached job cannot promise to run each task at most once"
                              : "nobody is there to take the output of a detached job as it comes");
    } else if (core->jobs.n >= CORE_JOBS_MAX) {
        core_client_error(core, client->id, WIRE_ERROR_LIMIT, "this peer has %u jobs already",
                          CORE_JOBS_MAX);
    } else if (fault.n > 0) {
        core_client_error(core, client->id, WIRE_ERROR_INVALID, "%.*s", SLICE_FMT(fault));
    } else if (core_after_fault(core, client, submit).n > 0) {
        core_client_error(core, client->id, WIRE_ERROR_INVALID, "%.*s",
                          SLICE_FMT(core_after_fault(core, client, submit)));
    } else {
        return false;
    }
    return true;
}

void core_job_refuse(struct core *core, struct core_job *job, enum wire_error error,
                     struct slice text)
{
    if (job->client != NULL) {
        core_client_error(core, job->client->id, error, "%.*s", SLICE_FMT(text));
    }
    job_bury(core, job);
}

static void refuse_lonely(struct core *core, struct core_job *job)
{
    core_job_refuse(core, job, WIRE_ERROR_UNAVAILABLE,
                    core_batch_printf(core, "%u other peers are up, %u are required",
                                      core_peer_n_up(core), job->require_peers));
}

/* How many peers must be up before the job begins: one, for a moment, where the daemon has only
 * just been started for it. */
static uint32_t peers_awaited(const struct core *core, const struct core_job *job)
{
    bool is_new =
        core->config.exit_idle_ns > 0 && core->now_ns < core->config.now_ns + CORE_STARTUP_NS;
    return is_new && job->require_peers == 0 ? 1 : job->require_peers;
}

void core_job_submit(struct core *core, struct core_client *client,
                     const struct wire_submit *submit)
{
    if (is_submit_refused(core, client, submit)) {
        return;
    }
    struct core_job *job = core_job_new(core, core->next_job++, client->uid, submit);
    job->client = client;
    core_after_begin(core, job, submit->after);
    if (peers_awaited(core, job) <= core_peer_n_up(core)) {
        core_job_begin(core, job);
    } else if (core->now_ns < core->config.now_ns + CORE_STARTUP_NS) {
        list_push_back(&core->startup, &job->in_startup);
    } else {
        refuse_lonely(core, job);
    }
}

void core_job_on_peer_up(struct core *core)
{
    uint32_t n_up = core_peer_n_up(core);
    struct list *node = core->startup.next;
    while (node != &core->startup) {
        struct core_job *job = LIST_ENTRY(node, struct core_job, in_startup);
        node = node->next;
        if (peers_awaited(core, job) <= n_up) {
            list_remove(&job->in_startup);
            core_job_begin(core, job);
        }
    }
}

static void startup_fire(struct core *core, struct core_timer *timer)
{
    core_job_on_peer_up(core);
    while (!list_is_empty(&core->startup)) {
        refuse_lonely(core, LIST_ENTRY(core->startup.next, struct core_job, in_startup));
    }
    table_for_each (entry, &core->jobs) {
        tell_if_alone(core, LIST_ENTRY(entry, struct core_job, by_id));
    }
    core->is_check_due = true;
    core->is_place_due = true;
}

void core_job_init(struct core *core)
{
    core->startup_timer.fire = startup_fire;
    core_timer_set(core, &core->startup_timer, core->now_ns + CORE_STARTUP_NS);
    core_tail_init(core);
}

/* --- tasks come in -----------------------------------------------------------------------------
 */

/* What makes no sense in it; nothing when all does. */
static struct slice task_fault(struct core *core, const struct core_job *job,
                               const struct wire_add_task *add)
{
    if (job->is_complete || add->task != job->n_added + 1 || add->task > job->tasks_max) {
        return core_batch_printf(core, "comes out of order or beyond the credit of %llu",
                                 (unsigned long long)job->tasks_max);
    }
    if (job->spec.is_call && add->argv.n != 1) {
        return slice_str("is a call, and has words beside the function's name");
    }
    if (!job->spec.is_call && add->args.n > 0) {
        return slice_str("has arguments of a call and is none");
    }
    if (job->spec.is_call && (add->refs.n > WIRE_CALL_REFS_MAX || add->files.n > 0 ||
                              add->returns.n > 0 || add->workdir.n > 0)) {
        return slice_str("is a call, and has files, or too many refs");
    }
    if (!core_put_has_all(job->client, add->refs, job->is_detached)) {
        return slice_str("reads a blob that this connection did not put");
    }
    return slice_str("");
}

/* It was stored for a task that is not taken. */
static void let_go_input(struct core *core, const struct wire_add_task *add)
{
    if (add->has_input) {
        core_blob_let_go(core, &add->input);
    }
}

void core_job_add_task(struct core *core, struct core_client *client,
                       const struct wire_add_task *add)
{
    char text[WIRE_JOB_TEXT_BYTES];
    struct core_job *job = core_job_find(core, add->job);
    if (job == NULL || job->client != client || job->is_over) {
        core->n_ignored++; /* cancelled a moment ago */
        let_go_input(core, add);
        return;
    }
    struct slice fault = task_fault(core, job, add);
    if (fault.n > 0) {
        let_go_input(core, add);
        core_client_error(core, client->id, WIRE_ERROR_INVALID, "task %u of job %s %.*s", add->task,
                          wire_job_text(job->id, text), SLICE_FMT(fault));
        core_job_cancel(core, job);
        return;
    }
    job->n_added++;
    if (job->is_detached) {
        core_journal_task(core, job, add);
    } else {
        core_job_load_task(core, job, add);
    }
    core_job_update(core, job);
}

struct core_task *core_job_load_task(struct core *core, struct core_job *job,
                                     const struct wire_add_task *add)
{
    struct core_task *task = core_task_new(core, job, add);
    job->argv_bytes += task->argv_bytes;
    if (task->cargo != NULL && job->protocol_min < WIRE_VERSION_CALLS) {
        job->protocol_min = WIRE_VERSION_CALLS;
        core_place_job_changed(core, job);
    }
    job->next_load = add->task + 1;
    core->is_check_due |= job->n_refused > 0 || job->n_added == 1;
    return task;
}

void core_job_submit_end(struct core *core, struct core_job *job, uint32_t n_tasks)
{
    if (job->is_over || job->is_complete) {
        return;
    }
    if (n_tasks != job->n_added) {
        char text[WIRE_JOB_TEXT_BYTES];
        core_client_error(core, job->client->id, WIRE_ERROR_INVALID, "job %s has %u tasks, not %u",
                          wire_job_text(job->id, text), job->n_added, n_tasks);
        core_job_cancel(core, job);
        return;
    }
    job->is_complete = true;
    if (job->is_detached) {
        core_journal_complete(core, job);
    }
    core_job_update(core, job);
}

/* What a client may add is bounded by what it has not dealt with; of a detached job, by what is
 * not on disk. */
static void raise_credit(struct core *core, struct core_job *job)
{
    if (job->is_complete || job->client == NULL || job->n_added == 0) {
        return;
    }
    uint64_t n_dealt = job->is_detached ? job->n_journaled : job->n_acked;
    uint64_t n_ended = job->is_detached ? job->n_journaled : job->n_done;
    uint64_t n_bytes = job->is_detached ? job->record_bytes : job->argv_bytes;
    uint64_t n_open = job->n_added - n_dealt;
    if (n_open >= CORE_JOB_TASKS_MAX || n_bytes >= CORE_JOB_BYTES_MAX) {
        return;
    }
    uint64_t n_live = job->n_added - n_ended;
    uint64_t each = n_live > 0 ? n_bytes / n_live + 1 : 1;
    uint64_t ahead = (CORE_JOB_BYTES_MAX - n_bytes) / each + 1;
    ahead = ahead < CORE_TASKS_STEP ? ahead : CORE_TASKS_STEP;
    uint64_t max = job->n_added + ahead;
    uint64_t window = n_dealt + CORE_JOB_TASKS_MAX;
    max = max < window ? max : window;
    bool is_short = job->tasks_max - job->n_added <= CORE_TASKS_FIRST / 2;
    if (max > job->tasks_max && (is_short || max - job->tasks_max >= CORE_TASKS_STEP / 2)) {
        job->tasks_max = max;
        struct wire_message message = {.type = WIRE_MESSAGE_TASK_CREDIT};
        message.task_credit.job = job->id;
        message.task_credit.tasks_max = max;
        core_client_send(core, job->client->id, &message);
    }
}

/* --- results go out ----------------------------------------------------------------------------
 */

void core_job_on_done_ack(struct core *core, struct core_job *job, uint64_t n_done)
{
    if (job->is_detached || n_done <= job->n_acked || n_done > job->n_done) {
        return;
    }
    /* The bytes of each result are not kept: those acknowledged are taken for average ones. */
    uint64_t n_before = job->n_done - job->n_acked;
    uint64_t n_after = job->n_done - n_done;
    job->unacked_bytes = job->unacked_bytes / n_before * n_after;
    job->n_acked = n_done;
    core_job_update(core, job);
}

void core_job_set_reason(struct core_job *job, struct slice reason)
{
    IGNORE(arena_copy(&job->arena, reason, &job->reason)); /* else it stays empty */
}

struct wire_job_done core_job_outcome(const struct core_job *job)
{
    return (struct wire_job_done){.job = job->id,
                                  .n_tasks = job->n_added,
                                  .n_succeeded = job->n_succeeded,
                                  .n_failed = job->n_failed,
                                  .n_lost = job->n_lost,
                                  .text = job->reason,
                                  .is_cancelled = job->is_cancelled};
}

static void job_over(struct core *core, struct core_job *job)
{
    job->is_over = true;
    core_timer_stop(core, &job->stuck_timer);
    if (job->is_kept) {
        core_journal_over(core, job);
    }
    if (job->client != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_JOB_DONE};
        message.job_done = core_job_outcome(job);
        core_client_send(core, job->client->id, &message);
    }
    struct wire_message end = {.type = WIRE_MESSAGE_JOB_END};
    end.job_end.job = job->id;
    list_for_each (node, &job->sites) {
        struct core_site *site = LIST_ENTRY(node, struct core_site, of_job);
        uint64_t link = site->peer->is_self        ? 1
                        : site->peer->link != NULL ? site->peer->link->id
                                                   : 0;
        if (site->job_link != 0 && site->job_link == link) {
            core_send(core, site->peer, &end);
        }
    }
    core_after_on_end(core, job);
}

bool core_job_is_blocked(const struct core *core, const struct core_job *job)
{
    if (job->n_awaited > 0) {
        return true;
    }
    if (job->is_detached) {
        return core_journal_is_blocked(core, job);
    }
    return job->n_done - job->n_acked > CORE_DONE_UNACKED_MAX ||
           job->unacked_bytes > CORE_DONE_BYTES_MAX;
}

bool core_job_is_full(const struct core_job *job)
{
    return job->jobs_max > 0 && (uint64_t)job->n_active + job->n_extra >= job->jobs_max;
}

/* Each task has its result, and whoever was promised the job has it to the end. */
static bool has_ended(const struct core_job *job)
{
    bool is_whole = !job->is_detached || job->is_kept || job->is_forgotten;
    return job->is_complete && job->n_done == job->n_added && is_whole;
}

/* Nothing of it is left to be told, to executors or to the disk. */
static bool is_gone(const struct core_job *job)
{
    return job->is_over && job->tasks.n == 0 && (!job->is_kept || job->is_end_kept);
}

void core_job_update(struct core *core, struct core_job *job)
{
    if (job->is_detached) { /* its client deals with no results: the disk has them */
        job->n_acked = job->n_done;
        job->unacked_bytes = 0;
    }
    if (!job->is_over && has_ended(job)) {
        job_over(core, job);
    }
    bool is_ready = job->n_waiting > 0 && !job->is_over && !core_job_is_full(job) &&
                    !core_job_is_blocked(core, job);
    if (is_ready && !list_is_linked(&job->ready)) {
        list_push_back(&core->ready, &job->ready);
    } else if (!is_ready) {
        list_remove(&job->ready);
    }
    core->is_place_due = true;
    if (is_gone(job)) {
        job_bury(core, job);
    } else if (!job->is_over) {
        raise_credit(core, job);
        core_restore_read(core, job);
    }
}

void core_job_give_up_rest(struct core *core, struct core_job *job)
{
    job->is_complete = true;
    job->n_done += job->n_unloaded; /* they need no memory for that */
    job->n_failed += job->n_unloaded;
    job->n_lost += job->n_unloaded;
    job->n_unloaded = 0;
    job->n_added++; /* so that it is not over before the last task is */
    table_for_each (entry, &job->tasks) {
        struct core_task *task = LIST_ENTRY(entry, struct core_task, by_number);
        bool has_result = task->state == CORE_TASK_KEEPING && !job->is_forgotten;
        if (task->state != CORE_TASK_DONE && !has_result) {
            core_task_give_up(core, task, WIRE_END_CANCELLED, WIRE_REFUSAL_NONE, slice_str(""));
        }
    }
    job->n_added--;
    core_job_update(core, job);
}

void core_job_cancel(struct core *core, struct core_job *job)
{
    if (job->is_over || job->is_cancelled) {
        return;
    }
    if (list_is_linked(&job->in_startup) || (job->n_looked_for > 0 && !job->is_restored)) {
        job_bury(core, job);
        return;
    }
    job->is_cancelled = true;
    if (job->is_detached && !job->is_kept) {
        job->is_forgotten = true;
        if (!job->is_unsaid) {
            core_journal_forget(core, job->id, 0);
        }
    }
    core_job_give_up_rest(core, job);
}

void core_job_cancel_task(struct core *core, struct core_job *job, uint32_t number)
{
    struct core_task *task = core_task_find(job, number);
    if (task == NULL || task->state == CORE_TASK_DONE || job->is_detached) {
        core->n_ignored++; /* it ended a moment ago */
        return;
    }
    core_task_give_up(core, task, WIRE_END_CANCELLED, WIRE_REFUSAL_NONE, slice_str(""));
}

void core_job_stop_all(struct core *core)
{
    table_for_each (entry, &core->jobs) {
        struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        if (job->is_kept) {
            core_job_update(core, job); /* it goes on in the next life */
        } else {
            core_job_cancel(core, job);
        }
    }
}

void core_job_free_all(struct core *core)
{
    core->effects = NULL;
    table_for_each (entry, &core->jobs) {
        struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        table_for_each (inner, &job->tasks) {
            struct core_task *task = LIST_ENTRY(inner, struct core_task, by_number);
            while (!list_is_empty(&task->attempts)) {
                core_attempt_free(core,
                                  LIST_ENTRY(task->attempts.next, struct core_attempt, of_task));
            }
            core_journal_drop_keeping(core, task);
            task->state = CORE_TASK_DONE;
            core_task_maybe_free(core, task);
        }
        job->is_over = true;
        if (table_find(&core->jobs, &job->id) != NULL) {
            job_bury(core, job);
        }
    }
}
