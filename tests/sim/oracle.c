/* The rules that must hold, seen from outside. They know what was asked, what ran and what was
 * told, and nothing of how the core came to it; core_check() looks at its insides.
 *
 *  a task has one reported result, and it is one that can be right
 *  an attempt is started once, with the words and arguments that were given
 *  it is started on a host that knows of such tasks, where all that it reads is
 *  what a task reads is not let go
 *  a task of a job that runs at most once begins once
 *  an executor runs no more cores, and promises no more memory, than it has
 *  a cell runs one attempt at a time
 *  no submitter has more outstanding than the credit it was told of
 *  no lease is renewed for an owner that was not heard just before
 *  once nothing goes wrong any more: no task waits while cores idle that may run it; each job ends
 *  within its bound; and then nothing is left anywhere, and everybody sees everybody */
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"

#define RENEW_SLACK_NS (1500 * SIM_MS)
#define HUNGRY_NS      (8 * SIM_S)  /* a rest after a refusal is 5 s */
#define DISK_RETRY_NS  (31 * SIM_S) /* and the time to write */
#define REST_NS_MIN    (SIM_S / 2)
#define RESTS_MAX      3u
#define JOB_BASE_NS    (60 * SIM_S) /* leases, redials, rests: whatever there is to wait for */
#define JOB_FACTOR     6u           /* of the ideal makespan */

struct sim_started {
    struct table_entry by_id;
    uint64_t id; /* mixed from owner and attempt */
};

static uint64_t mix_id(const struct wire_key *owner, const struct wire_attempt_id *id)
{
    uint64_t x;
    memcpy(&x, owner->b, sizeof(x));
    x = dice_mix(x ^ id->job);
    x = dice_mix(x ^ ((uint64_t)id->task << 32 | id->number));
    return dice_mix(x ^ id->incarnation);
}

/* --- messages ----------------------------------------------------------------------------------
 */

static struct sim_task *kept_task(const struct sim *sim, const struct sim_node *node,
                                  const struct wire_attempt_id *id)
{
    struct sim_job *job = client_job(sim, &node->key, id->job);
    bool is_kept = job != NULL && job->is_detached && job->is_kept && !job->is_cancelled;
    return is_kept && id->task > 0 && id->task <= job->n_added ? &job->tasks[id->task] : NULL;
}

/* The first success that the owner of a detached job hears of. */
static void note_good(struct sim *sim, const struct sim_node *node,
                      const struct wire_attempt_result *result)
{
    struct sim_task *task = kept_task(sim, node, &result->id);
    bool is_good = result->result.end == WIRE_END_EXITED && result->result.status == 0;
    /* Output that is a blob may turn out to be gone where it was, and is run again. */
    is_good &= result->result.out.bytes == result->result.out.inlined.n;
    if (task != NULL && is_good && task->good_number == 0 && task->n_reports == 0) {
        task->good_number = result->id.number;
        task->good_incarnation = result->id.incarnation;
    }
}

void oracle_own_result(struct sim *sim, const struct sim_run *run)
{
    struct wire_attempt_result result = {.id = run->id, .result = run->result};
    note_good(sim, run->host, &result);
}

static void check_ack(struct sim *sim, const struct sim_node *node,
                      const struct wire_attempt_id *id)
{
    const struct sim_task *task = kept_task(sim, node, id);
    if (task != NULL && task->good_number == id->number &&
        task->good_incarnation == id->incarnation && !disk_has_result(node, id->job, id->task)) {
        sim_broken(sim, "%s acknowledges the result of task %u, which is not on its disk",
                   node->name, id->task);
    }
}

void oracle_sent(struct sim *sim, struct sim_node *node, struct sim_end *end,
                 const struct wire_message *message)
{
    if (message->type == WIRE_MESSAGE_TASK && ++end->n_out > end->credit.n_tasks) {
        sim_broken(sim, "%s has %u tasks out where its credit is %u", node->name, end->n_out,
                   end->credit.n_tasks);
    }
    fair_sent(sim, node, end, message);
    if (message->type == WIRE_MESSAGE_RESULT_ACK) {
        check_ack(sim, node, &message->result_ack.id);
    }
    if (message->type == WIRE_MESSAGE_RECALL) {
        sim->report.n_recalled += message->recall.ids.n;
    }
}

/* What may pass rests the host, and puts it out at the third time in a row; all that it refuses at
 * one moment is one time. Rests of 1 s may cut one of 5 s short, and its owner's clock be fast. */
void oracle_refused(const struct sim *sim, struct sim_job *job, const struct sim_node *host,
                    enum wire_refusal refusal)
{
    struct sim_refusals *refusals = &job->refusals[host->index];
    bool may_pass = refusal == WIRE_REFUSAL_NO_CELL || refusal == WIRE_REFUSAL_NO_MEMORY ||
                    refusal == WIRE_REFUSAL_NO_DISK;
    refusals->n_rests += refusals->n_rests == 0 || sim->now_ns - refusals->at_ns > REST_NS_MIN;
    refusals->at_ns = sim->now_ns;
    refusals->may_be_out |= !may_pass || refusals->n_rests >= RESTS_MAX;
}

void oracle_heard(struct sim *sim, struct sim_node *node, struct sim_end *end,
                  struct sim_node *from, const struct wire_message *message)
{
    fair_heard(sim, node, end, from, message);
    list_for_each (at, &node->runs) {
        struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        if (sim_owner_of(sim, &run->owner) == from) { /* whose key may be another by now */
            run->heard_ns = sim->now_ns;
        }
    }
    switch ((unsigned)message->type) { /* as a number: only these count */
    case WIRE_MESSAGE_CREDIT:
        end->credit = message->credit;
        return;
    case WIRE_MESSAGE_RESULT:
        end->n_out -= end->n_out > 0;
        note_good(sim, node, &message->result);
        return;
    case WIRE_MESSAGE_REFUSE: {
        end->n_out -= end->n_out > 0;
        struct sim_job *job = client_job(sim, &node->key, message->refuse.id.job);
        if (job != NULL && message->refuse.refusal >= WIRE_REFUSAL_NOT_FOUND) {
            job->n_refusals++;
            oracle_refused(sim, job, from, (enum wire_refusal)message->refuse.refusal);
        }
        return;
    }
    default:
        return;
    }
}

/* --- what runs ---------------------------------------------------------------------------------
 */

static void check_room(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    uint64_t cores = effect->start.spec->cores;
    uint64_t mem_bytes = effect->start.spec->mem_bytes;
    list_for_each (at, &node->runs) {
        const struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        cores += run->is_paused ? 0 : run->cores;
        mem_bytes += run->mem_bytes;
        if (run->cell == effect->start.cell) {
            sim_broken(sim, "%s runs two tasks in one cell", node->name);
        }
    }
    if (cores > node->config.cores) {
        sim_broken(sim, "%s runs %llu cores and offers %u", node->name, (unsigned long long)cores,
                   node->config.cores);
    }
    if (node->config.mem_bytes > 0 && mem_bytes > node->config.mem_bytes) {
        sim_broken(sim, "%s promises more memory than it has", node->name);
    }
}

void oracle_room(struct sim *sim, const struct sim_run *run)
{
    const struct sim_node *node = run->host;
    uint64_t offered = node->config.cores;
    uint64_t cores = run->cores < offered ? run->cores : offered; /* there were more once */
    list_for_each (at, &node->runs) {
        const struct sim_run *other = LIST_ENTRY(at, struct sim_run, node);
        cores += other == run || other->is_paused ? 0 : other->cores;
    }
    if (offered > 0 && cores > offered) {
        sim_broken(sim, "%s lets a task go on, which makes %llu cores, and offers %llu", node->name,
                   (unsigned long long)cores, (unsigned long long)offered);
    }
}

static void check_given(struct sim *sim, const struct sim_node *node,
                        const struct core_effect *effect, const struct sim_task *task)
{
    struct sim_words words;
    struct wire_add_task add = client_task(task->job, task->number, &words);
    struct wire_refs refs = effect->start.refs;
    bool is_same = effect->start.argv.n == add.argv.n && refs.n == add.refs.n &&
                   slice_eq(effect->start.args, add.args) &&
                   effect->start.spec->is_call == task->job->submit.submit.spec.is_call;
    for (uint32_t i = 0; is_same && i < add.argv.n; i++) {
        is_same = slice_eq(effect->start.argv.items[i], add.argv.items[i]);
    }
    for (uint32_t i = 0; is_same && i < refs.n; i++) {
        is_same = wire_hash_eq(&refs.items[i].hash, &add.refs.items[i].hash);
        if (shell_stored(node, &refs.items[i].hash) == NULL && !node->had_disk_fault &&
            node->clone_of == NULL) {
            sim_broken(sim, "%s starts task %u, and what that reads is not there", node->name,
                       task->number);
        }
    }
    if (!is_same) {
        sim_broken(sim, "%s starts task %u as something else than was asked", node->name,
                   task->number);
    }
    bool is_stranger = !wire_key_eq(&effect->start.owner, &node->key);
    bool is_new = effect->start.spec->is_call || refs.n > 0; /* what version 1 has not */
    if (is_stranger && node->is_version_old && is_new) {
        sim_broken(sim, "%s is of version 1 and starts task %u, which is not", node->name,
                   task->number);
    }
}

/* Whether a task of a client that is here has no result yet and was added. */
static const struct sim_task *reader(const struct sim *sim, const struct sim_node *node,
                                     const struct wire_hash *hash)
{
    list_for_each (at, &sim->jobs) {
        const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        bool is_open = job->owner == node && job->is_connected && !job->is_detached &&
                       !job->is_cancelled && job->n_refs > 0;
        for (uint32_t i = 1; is_open && i <= job->n_added; i++) {
            if (job->tasks[i].n_reports == 0 && client_does_read(&job->tasks[i], hash)) {
                return &job->tasks[i];
            }
        }
    }
    return NULL;
}

void oracle_release(struct sim *sim, const struct sim_node *node, const struct wire_hash *hash)
{
    const struct sim_task *task = node->is_stopping ? NULL : reader(sim, node, hash);
    list_for_each (at, &node->runs) {
        const struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        task = !run->is_ended && client_does_read(run->task, hash) ? run->task : task;
    }
    if (task != NULL) {
        sim_broken(sim, "%s lets go what task %u of %s reads", node->name, task->number,
                   task->job->owner->name);
    }
}

/* The job that this one comes after has not ended, as far as its disk knows. */
static bool is_early(const struct sim *sim, const struct sim_job *job)
{
    const struct sim_job *before =
        job->after.job != 0 ? client_job(sim, &job->owner_key, job->after.job) : NULL;
    return before != NULL && before->n_done < before->n_added && !before->is_cancelled &&
           !before->is_dead;
}

void oracle_start(struct sim *sim, struct sim_node *node, const struct core_effect *effect,
                  struct sim_task **ret_task)
{
    const struct wire_attempt_id *id = &effect->start.id;
    check_room(sim, node, effect);
    uint64_t mixed = mix_id(&effect->start.owner, id);
    if (table_find(&sim->started, &mixed) != NULL) {
        sim_broken(sim, "%s starts attempt %u of task %u a second time", node->name, id->number,
                   id->task);
    }
    struct sim_started *started = mem_alloc_or_die(1, sizeof(*started));
    started->id = mixed;
    table_insert(&sim->started, &started->by_id, &started->id);
    struct sim_job *job = client_job(sim, &effect->start.owner, id->job);
    if (job == NULL || id->task == 0 || id->task > job->n_added) {
        sim_broken(sim, "%s starts a task that nobody submitted", node->name);
    }
    struct sim_task *task = &job->tasks[id->task];
    if (job->submit.submit.is_once && task->n_begun > 0) {
        sim_broken(sim, "%s starts task %u again, which may run once only", node->name, id->task);
    }
    if (is_early(sim, job)) {
        sim_broken(sim, "%s starts a task of a job that is to wait for another", node->name);
    }
    bool is_stranger = !wire_key_eq(&effect->start.owner, &node->key);
    if (is_stranger && !node->config.has_sandbox) {
        sim_broken(sim, "%s has no sandbox and runs a stranger's task", node->name);
    }
    fair_start(sim, node, effect, job);
    check_given(sim, node, effect, task);
    task->n_started++;
    sim->report.n_attempts++;
    sim->report.n_second += task->n_running > 0;
    *ret_task = task;
}

void oracle_cores(struct sim *sim, struct sim_run *run, bool is_start)
{
    struct sim_job *job = run->task->job;
    run->task->n_running += is_start ? 1 : -1;
    job->n_running += is_start ? 1 : -1;
    fair_cores(sim, run, is_start);
    /* While nothing is lost, everything that runs is known to run. */
    uint32_t jobs_max = job->submit.submit.jobs_max;
    if (is_start && sim->report.n_faults == 0 && jobs_max > 0 && job->n_running > jobs_max) {
        sim_broken(sim, "%u tasks of a job run where %u at once were asked for", job->n_running,
                   jobs_max);
    }
}

void oracle_lease(struct sim *sim, const struct sim_run *run)
{
    if (!run->is_own && sim->now_ns - run->heard_ns > RENEW_SLACK_NS) {
        sim_broken(sim, "%s renews the lease of an owner it has not heard for %.1f s",
                   run->host->name, (double)(sim->now_ns - run->heard_ns) / 1e9);
    }
}

/* --- results -----------------------------------------------------------------------------------
 */

static _Noreturn void wrong(struct sim *sim, const struct sim_task *task,
                            const struct wire_done *done, const char *why)
{
    sim_broken(sim, "task %u of %s (program %u) is reported as %s %u: %s", task->number,
               task->job->owner->name, task->program, wire_end_text(done->result.end),
               done->result.status, why);
}

static void check_success(struct sim *sim, const struct sim_task *task,
                          const struct wire_done *done)
{
    char text[64];
    if (task->program == SIM_SLEEP) {
        int n = snprintf(text, sizeof(text), "%llu/%u", (unsigned long long)task->job->id,
                         task->number);
        if (!slice_eq(done->result.out.inlined, slice_of(text, (size_t)n))) {
            wrong(sim, task, done, "with another's output");
        }
    } else if (task->program == SIM_BLOB) {
        if (!done->is_away && shell_stored(task->job->owner, &done->result.out.hash) == NULL &&
            !task->job->owner->had_disk_fault && !task->job->is_dead && !task->job->is_cancelled) {
            wrong(sim, task, done, "and its output is not here");
        }
    } else if (task->program == SIM_STREAM) {
        if (task->streamed != task->bytes) {
            wrong(sim, task, done, "before all of its output came");
        }
    } else if (task->program != SIM_FLAKY) {
        wrong(sim, task, done, "which it cannot do");
    }
}

static void check_exit(struct sim *sim, const struct sim_task *task, const struct wire_done *done)
{
    const struct sim_node *on = sim_owner_of(sim, &done->peer);
    const struct wire_submit *submit = &task->job->submit.submit;
    if (on == NULL || task->n_ended == 0) {
        wrong(sim, task, done, "and never ended");
    }
    bool is_success = done->result.end == WIRE_END_EXITED && done->result.status == 0;
    if (is_success) {
        check_success(sim, task, done);
        return;
    }
    uint32_t status = done->result.status;
    bool is_possible = (on->is_black_hole && status == 1) ||
                       (task->program == SIM_EXIT && status == task->status) ||
                       (task->program == SIM_FLAKY && status == 3) ||
                       (task->program == SIM_SIGNAL && done->result.end == WIRE_END_SIGNALED);
    if (!is_possible) {
        wrong(sim, task, done, "which it does not do");
    }
    uint32_t n_failed = task->n_failed + task->n_timeouts;
    if (!submit->is_once && (submit->runs_max == 0 || n_failed < submit->runs_max)) {
        wrong(sim, task, done, "with runs left");
    }
    if (sim->report.n_faults == 0 && !submit->may_speculate && submit->runs_max > 0 &&
        n_failed > submit->runs_max) {
        wrong(sim, task, done, "after more runs than it may have");
    }
}

static void check_end(struct sim *sim, const struct sim_task *task, const struct wire_done *done)
{
    const struct sim_job *job = task->job;
    const struct wire_submit *submit = &job->submit.submit;
    switch ((enum wire_end)done->result.end) {
    case WIRE_END_EXITED:
    case WIRE_END_SIGNALED:
        check_exit(sim, task, done);
        return;
    case WIRE_END_TIMEOUT:
        if (submit->spec.timeout_ms == 0 || task->n_timeouts == 0) {
            wrong(sim, task, done, "and has all the time");
        }
        return;
    case WIRE_END_NO_RETURN:
        wrong(sim, task, done, "and was to return nothing");
        return;
    case WIRE_END_CELL_DIED:
    case WIRE_END_NO_DISK:
        if (!job->owner->had_disk_fault && task->n_deaths < (submit->is_once ? 1u : 3u)) {
            wrong(sim, task, done, "too early");
        }
        return;
    case WIRE_END_CANCELLED:
        if (!job->is_cancelled && !task->is_cancelled) {
            wrong(sim, task, done, "and nobody asked for it");
        }
        return;
    case WIRE_END_LOST:
        if (!submit->is_once) {
            wrong(sim, task, done, "and may be run again");
        }
        return;
    case WIRE_END_NOT_STARTED:
        if (job->n_refusals == 0) {
            wrong(sim, task, done, "and nobody refused it");
        }
        return;
    case WIRE_END_NO_DATA: {
        const char *fault = pass_fault_of_no_data(sim, task);
        if (fault != NULL) {
            wrong(sim, task, done, fault);
        }
        return;
    }
    case WIRE_END_NONE:
    case WIRE_END_LEASE:
    case WIRE_END_OUTPUT_LIMIT:
        break;
    }
    wrong(sim, task, done, "which is never a result");
}

void oracle_done(struct sim *sim, struct sim_job *job, const struct wire_done *done)
{
    if (done->job != job->id || done->task == 0 || done->task > job->n_added) {
        sim_broken(sim, "a client of %s hears of a task that it did not add", job->owner->name);
    }
    struct sim_task *task = &job->tasks[done->task];
    if (++task->n_reports > 1) {
        wrong(sim, task, done, "again");
    }
    check_end(sim, task, done);
}

void oracle_job_done(struct sim *sim, struct sim_job *job, const struct wire_job_done *done)
{
    if (job->is_detached && (job->is_cancelled || job->owner->is_stopping)) {
        return; /* given up before it was kept: nothing of it is on disk */
    }
    for (uint32_t i = 1; i <= job->n_added; i++) {
        if (job->tasks[i].n_reports != 1) {
            sim_broken(sim, "a job of %s is done, and task %u has %u results", job->owner->name, i,
                       job->tasks[i].n_reports);
        }
    }
    if (done->n_tasks != job->n_added || done->n_succeeded + done->n_failed != done->n_tasks) {
        sim_broken(sim, "a job of %s is done with wrong sums", job->owner->name);
    }
}

/* --- progress ----------------------------------------------------------------------------------
 */

/* At best, with everybody well: all cores that may run it, shared with nobody. */
static uint64_t ideal_ns(const struct sim *sim, const struct sim_job *job)
{
    uint64_t per_mille = 0; /* of one core at normal speed */
    uint64_t slowest = 10;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (client_is_eligible(job, node)) {
            per_mille += (uint64_t)node->config.cores * 10000 / node->slowness;
            slowest = node->slowness > slowest ? node->slowness : slowest;
        }
    }
    uint64_t ns = per_mille > 0 ? job->work_ns / per_mille * 1000 : 0;
    uint32_t at_once = job->submit.submit.jobs_max;
    if (at_once > 0 && job->work_ns / at_once / job->submit.submit.spec.cores > ns) {
        ns = job->work_ns / at_once / job->submit.submit.spec.cores * slowest / 10;
    }
    return ns + job->longest_ns * slowest / 10;
}

static void watch_time(struct sim *sim, const struct sim_job *job, uint64_t all_ns)
{
    uint64_t from_ns = job->at_ns > sim->healed_ns ? job->at_ns : sim->healed_ns;
    uint64_t took_ns = sim->now_ns - from_ns;
    uint64_t allowed_ns = JOB_BASE_NS + JOB_FACTOR * (all_ns + ideal_ns(sim, job));
    if (took_ns > allowed_ns) {
        sim_broken(sim,
                   "a job of %s (%u of %u tasks done, %u run) is not over %.1f s after the last "
                   "fault; alone it would take %.1f s",
                   job->owner->name, (unsigned)job->n_done, job->n_tasks, job->n_running,
                   (double)took_ns / 1e9, (double)ideal_ns(sim, job) / 1e9);
    }
    uint64_t permille = took_ns * 1000 / allowed_ns;
    if (permille > sim->report.slowest_permille) {
        sim->report.slowest_permille = permille;
    }
}

static const struct sim_node *idle_one(const struct sim *sim, const struct sim_job *job)
{
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        const struct sim_node *node = sim->nodes[i];
        uint64_t used = 0;
        uint64_t mem = 0;
        list_for_each (at, &node->runs) {
            const struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
            used += run->is_paused ? 0 : run->cores;
            mem += run->mem_bytes;
        }
        const struct wire_job_spec *spec = &job->submit.submit.spec;
        bool has_mem =
            node->config.mem_bytes == 0 || mem + spec->mem_bytes <= node->config.mem_bytes;
        if (sim_node_runs(node) && client_is_eligible(job, node) && has_mem &&
            !job->refusals[i].may_be_out && !node->was_cloned &&
            used + spec->cores <= node->config.cores) {
            return node;
        }
    }
    return NULL;
}

/* A disk that failed is tried again within 30 s. Until then its owner's detached jobs place
 * nothing, and what has ended has no result. */
static bool may_wait_for_disk(const struct sim *sim, const struct sim_job *job)
{
    return job->is_detached && job->owner->had_disk_fault &&
           sim->now_ns - sim->healed_ns <= DISK_RETRY_NS;
}

/* In a large mesh who could not be reached is believed to be up again a minute later. */
static uint64_t hungry_max_ns(const struct sim *sim)
{
    return HUNGRY_NS + (sim->dense_max > 0 ? 60 * SIM_S : 0);
}

/* Wide tasks reserve cores, and so do others' that need memory; failing programs rest peers, a task
 * whose cell died waits for another peer, a cloned key is kept out, and -j holds back: then cores
 * may idle. */
static void watch_hunger(struct sim *sim, struct sim_job *job, bool is_any_wide,
                         bool do_others_need)
{
    bool is_waiting = job->n_added > job->n_done + job->n_running;
    bool is_held = job->submit.submit.jobs_max > 0 || job->n_done - job->n_acked > 500 ||
                   is_early(sim, job) || job->has_failures || job->has_deaths ||
                   job->owner->was_cloned || may_wait_for_disk(sim, job);
    const struct sim_node *idle = idle_one(sim, job);
    bool is_reserved = is_any_wide || do_others_need;
    if (!is_waiting || is_held || is_reserved || job->is_cancelled || idle == NULL) {
        job->hungry_ns = 0;
        return;
    }
    job->hungry_ns = job->hungry_ns > 0 ? job->hungry_ns : sim->now_ns;
    uint64_t max_ns = hungry_max_ns(sim);
    if (sim->now_ns - job->hungry_ns > max_ns && sim->now_ns - sim->healed_ns > 2 * max_ns) {
        sim_broken(sim, "tasks of job %u of %s wait for %.1f s, and cores of %s idle",
                   (unsigned)job->id, job->owner->name,
                   (double)(sim->now_ns - job->hungry_ns) / 1e9, idle->name);
    }
}

void oracle_watch(struct sim *sim)
{
    fair_watch(sim);
    closed_watch(sim);
    if (!sim->is_healed) {
        return;
    }
    uint64_t all_ns = 0;
    bool is_any_wide = false;
    uint32_t n_in_need = 0; /* of memory */
    list_for_each (at, &sim->jobs) {
        const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        bool is_open = client_is_open(job);
        /* Who was served in the meantime kept the others waiting. */
        bool is_since = job->is_accepted && (job->done_ns == 0 || job->done_ns > sim->healed_ns);
        all_ns += is_since ? ideal_ns(sim, job) : 0;
        is_any_wide |= is_open && job->submit.submit.spec.cores > 1;
        n_in_need += is_open && job->submit.submit.spec.mem_bytes > 0;
    }
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (client_is_open(job)) {
            watch_time(sim, job, all_ns);
            bool is_in_need = job->submit.submit.spec.mem_bytes > 0;
            watch_hunger(sim, job, is_any_wide, n_in_need > is_in_need);
        }
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

/* Executors hold what a detached job of theirs left for as long as its lease: an hour. */
static bool is_any_held_long(const struct sim *sim)
{
    list_for_each (at, &sim->jobs) {
        const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        bool has_other_key = !wire_key_eq(&job->owner_key, &job->owner->key);
        if (job->is_detached && job->submit.submit.spec.lease_ms == 0 &&
            (job->is_dead || job->is_cancelled || has_other_key)) {
            return true;
        }
    }
    return false;
}

static unsigned count_live(const struct sim *sim)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        n += sim->nodes[i]->core != NULL && !sim->nodes[i]->is_traitor;
    }
    return n;
}

static bool does_see(const struct sim *sim, const struct core_counts *counts, unsigned n_live)
{
    return sim->dense_max == 0 ? counts->n_peers_up == n_live - 1
                               : counts->n_peers_up + counts->n_peers_known >= n_live - 1;
}

bool oracle_do_all_see(const struct sim *sim)
{
    unsigned n_live = count_live(sim);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        const struct sim_node *node = sim->nodes[i];
        struct core_counts counts = {0};
        if (node->core != NULL && !node->is_traitor) {
            counts = core_counts(node->core);
            if (!does_see(sim, &counts, n_live)) {
                return false;
            }
        }
    }
    return true;
}

static void check_rest(struct sim *sim, const struct sim_node *node, unsigned n_live)
{
    struct core_counts counts = core_counts(node->core);
    if (counts.n_jobs + counts.n_tasks + counts.n_attempts > 0) {
        sim_broken(sim, "%s still has %u jobs, %u tasks, %u attempts", node->name, counts.n_jobs,
                   counts.n_tasks, counts.n_attempts);
    }
    bool is_held_long = is_any_held_long(sim);
    if (!is_held_long && counts.n_held_queued + counts.n_held_running + counts.n_held_ended > 0) {
        sim_broken(sim, "%s still holds %u queued, %u running, %u ended attempts", node->name,
                   counts.n_held_queued, counts.n_held_running, counts.n_held_ended);
    }
    /* A put whose queue's peer is gone for good waits, and its item with it. */
    bool may_pin = is_held_long || counts.n_asks > 0;
    if (counts.n_cells > 0 || counts.cores_used > 0 || (counts.n_blob_refs > 0 && !may_pin)) {
        sim_broken(sim, "%s still has %u cells, %u cores in use, %u blobs pinned", node->name,
                   counts.n_cells, counts.cores_used, counts.n_blob_refs);
    }
    if (!list_is_empty(&node->runs)) {
        sim_broken(sim, "something still runs on %s", node->name);
    }
    if (!node->is_traitor && !does_see(sim, &counts, n_live)) {
        sim_broken(sim, "%s sees %u peers, and knows of %u, of %u", node->name, counts.n_peers_up,
                   counts.n_peers_known, n_live - 1);
    }
}

void oracle_quiet(struct sim *sim)
{
    closed_quiet(sim);
    queues_quiet(sim);
    unsigned n_live = count_live(sim);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        if (sim->nodes[i]->core != NULL) {
            check_rest(sim, sim->nodes[i], n_live);
        }
    }
}

void oracle_free(struct sim *sim)
{
    fair_free(sim);
    table_for_each (entry, &sim->started) {
        struct sim_started *started = LIST_ENTRY(entry, struct sim_started, by_id);
        table_remove(&sim->started, &started->by_id);
        mem_free(started);
    }
}
