/* The tail of jobs: cores idle at some peers, while the last tasks wait in the queues of others or
 * run where it is slow. What waits is recalled, to be placed on an idle core; when nothing can be
 * recalled, the slowest of those that run are started a second time.
 *
 * It is looked at only when placing has come to an end, some peer has an idle core for us and
 * attempts are out; at most every CORE_TAIL_NS, and less often the more attempts and peers there
 * are, so that the cost stays small whatever happens. A look goes over all attempts once, and says
 * when the next would find something new. */
#include <stdlib.h>

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"

/* --- run times ---------------------------------------------------------------------------------
 */

static int compare_ns(const void *a, const void *b)
{
    uint64_t p = *(const uint64_t *)a;
    uint64_t q = *(const uint64_t *)b;
    return (p > q) - (p < q);
}

void core_runs_reckon(struct core_runs *runs)
{
    if (runs->is_reckoned || runs->n == 0) {
        return;
    }
    uint64_t sorted[CORE_RUNS_KEPT];
    uint32_t n = runs->n < CORE_RUNS_KEPT ? runs->n : CORE_RUNS_KEPT;
    for (uint32_t i = 0; i < n; i++) {
        sorted[i] = runs->ns[i];
    }
    qsort(sorted, n, sizeof(sorted[0]), compare_ns);
    uint64_t median = sorted[(n - 1) / 2];
    uint64_t upper = sorted[(n - 1) * 3 / 4];
    /* Half of the job's tasks may be long ones: those are not late. */
    uint64_t late = 2 * median > upper + upper / 2 ? 2 * median : upper + upper / 2;
    late = runs->n < CORE_TAIL_RUNS_FEW ? 2 * late : late;
    runs->typical_ns = median;
    runs->late_ns = late > CORE_TAIL_LATE_NS ? late : CORE_TAIL_LATE_NS;
    runs->is_reckoned = true;
}

void core_tail_note_run(struct core_site *site, uint64_t ns)
{
    struct core_runs *runs = &site->job->runs;
    ns = ns > 0 ? ns : 1;
    runs->ns[runs->n % CORE_RUNS_KEPT] = ns;
    /* Once full it stays so, whatever the count does. */
    runs->n = runs->n < 2 * CORE_RUNS_KEPT - 1 ? runs->n + 1 : CORE_RUNS_KEPT;
    runs->is_reckoned = false;
    site->wall_ns = site->wall_ns == 0 ? ns : (7 * site->wall_ns + ns) / 8;
}

static uint64_t wall_at(struct core_site *site)
{
    core_runs_reckon(&site->job->runs);
    return site->wall_ns > 0 ? site->wall_ns : site->job->runs.typical_ns;
}

/* --- the look ----------------------------------------------------------------------------------
 */

struct candidate {
    struct core_attempt *attempt;
    uint64_t rank;    /* the highest goes first, after priority */
    uint64_t ends_ns; /* from now, by what is known; UINT64_MAX: not known */
};

struct look {
    struct core *core;
    uint64_t next_ns; /* when something that is not due yet will be */
    struct candidate *queued, *slow;
    uint32_t n_queued, n_slow;
};

struct queue { /* our attempts at one peer, as seen by the one that is looked at */
    struct core_peer *peer;
    uint64_t begun_ns; /* the longest mean run time of those that run */
    uint64_t ahead_ns; /* of those that wait ahead, one after the other */
    uint64_t cores;    /* of those that run or wait ahead */
    uint32_t n_begun, n_ahead;
    bool is_unknown; /* the times are not all known */
};

static int64_t idle_cores(const struct core_peer *peer)
{
    return (int64_t)peer->credit.cores - peer->cores_placed - peer->cores_spoken;
}

static bool is_any_idle(const struct core *core)
{
    bool is_any = false;
    list_for_each (node, &core->spare) {
        struct core_peer *peer = LIST_ENTRY(node, struct core_peer, spare);
        peer->cores_spoken = 0;
        is_any |= idle_cores(peer) > 0;
    }
    return is_any;
}

static bool is_soon(struct look *look, uint64_t due_ns)
{
    if (due_ns <= look->core->now_ns) {
        return true;
    }
    look->next_ns = due_ns < look->next_ns ? due_ns : look->next_ns;
    return false;
}

static uint64_t patience_with(const struct core_task *task, uint64_t ns)
{
    uint32_t n = task->n_recalls < CORE_TAIL_BACKOFF_MAX ? task->n_recalls : CORE_TAIL_BACKOFF_MAX;
    return ns << n;
}

/* One that has not begun. What waits behind others is due at once, unless its turn comes within two
 * round trips; what should have begun by now, once it has waited too long for that. */
static void look_at_queued(struct look *look, const struct queue *queue,
                           struct core_attempt *attempt)
{
    const struct core_task *task = attempt->task;
    const struct core_peer *peer = queue->peer;
    if (attempt->is_recalled || task->n_out > 1 || peer->state != CORE_PEER_UP ||
        task->state == CORE_TASK_KEEPING || core_job_is_blocked(look->core, task->job)) {
        return;
    }
    uint64_t span_ns = 2 * peer->rtt_ns;
    span_ns = span_ns > CORE_PREFETCH_NS ? span_ns : CORE_PREFETCH_NS;
    uint64_t since_ns = attempt->at_ns > peer->begun_ns ? attempt->at_ns : peer->begun_ns;
    uint64_t wait_ns = 0;
    uint64_t due_ns;
    bool finds_a_core = queue->cores + task->job->spec.cores <= peer->credit.cores;
    if (finds_a_core || queue->is_unknown || queue->n_begun == 0) {
        due_ns = since_ns + patience_with(task, CORE_TAIL_BEGIN_NS);
    } else {
        wait_ns = (queue->begun_ns + queue->ahead_ns) / queue->n_begun;
        due_ns = wait_ns > patience_with(task, span_ns)
                     ? look->core->now_ns
                     : since_ns + patience_with(task, span_ns + wait_ns);
    }
    if (!is_soon(look, due_ns)) {
        return;
    }
    uint64_t wall_ns = wall_at(attempt->site);
    bool is_overdue = look->core->now_ns - since_ns > wait_ns + span_ns;
    look->queued[look->n_queued++] = (struct candidate){
        .attempt = attempt,
        .rank = queue->n_ahead,
        .ends_ns = wait_ns > 0 && wall_ns > 0 && !is_overdue ? wait_ns + wall_ns : UINT64_MAX};
}

/* One that runs. */
static void look_at_running(struct look *look, struct core_attempt *attempt)
{
    const struct core_task *task = attempt->task;
    struct core_job *job = task->job;
    if (!job->may_speculate || job->is_once || job->spec.is_streamed || job->n_waiting > 0 ||
        task->state != CORE_TASK_RUNNING || task->n_out > 1 || core_job_is_full(job) ||
        core_job_is_blocked(look->core, job)) {
        return;
    }
    core_runs_reckon(&job->runs);
    if (job->runs.late_ns == 0 || !is_soon(look, attempt->begun_ns + job->runs.late_ns)) {
        return;
    }
    uint64_t ns = look->core->now_ns - attempt->begun_ns;
    look->slow[look->n_slow++] = (struct candidate){.attempt = attempt, .rank = ns, .ends_ns = ns};
}

static struct queue queue_of(struct core_peer *peer)
{
    struct queue queue = {.peer = peer};
    list_for_each (node, &peer->placed) {
        struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_peer);
        if (attempt->is_begun) {
            uint64_t wall_ns = wall_at(attempt->site);
            queue.begun_ns = wall_ns > queue.begun_ns ? wall_ns : queue.begun_ns;
            queue.is_unknown |= wall_ns == 0;
            queue.cores += attempt->task->job->spec.cores;
            queue.n_begun++;
        }
    }
    return queue;
}

static void look_at_peer(struct look *look, struct core_peer *peer)
{
    struct queue queue = queue_of(peer);
    list_for_each (node, &peer->placed) {
        struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_peer);
        if (attempt->is_cancelled) {
            continue;
        }
        if (attempt->is_begun) {
            look_at_running(look, attempt);
            continue;
        }
        look_at_queued(look, &queue, attempt);
        uint64_t wall_ns = wall_at(attempt->site);
        queue.ahead_ns += wall_ns;
        queue.is_unknown |= wall_ns == 0;
        queue.cores += attempt->task->job->spec.cores;
        queue.n_ahead++;
    }
}

static int compare(const void *a, const void *b)
{
    const struct candidate *p = a;
    const struct candidate *q = b;
    const struct core_task *s = p->attempt->task;
    const struct core_task *t = q->attempt->task;
    if (s->job->spec.priority != t->job->spec.priority) {
        return s->job->spec.priority > t->job->spec.priority ? -1 : 1;
    }
    if (p->rank != q->rank) {
        return p->rank > q->rank ? -1 : 1;
    }
    if (p->attempt->at_ns != q->attempt->at_ns) {
        return p->attempt->at_ns > q->attempt->at_ns ? -1 : 1;
    }
    if (s->job->id != t->job->id) {
        return s->job->id < t->job->id ? -1 : 1;
    }
    return s->number < t->number ? -1 : s->number > t->number;
}

/* --- where to ----------------------------------------------------------------------------------
 */

/* What it reads is there, or soon sent. */
static bool is_light_at(const struct look *look, const struct core_task *task,
                        const struct core_peer *peer)
{
    if (task->cargo == NULL) {
        return true;
    }
    uint64_t n_bytes = peer->is_self ? core_left_bytes_away(task)
                                     : core_blob_bytes_missing(look->core, task->cargo->refs, peer);
    return n_bytes <= CORE_REFS_MOVE_MAX && core_left_state_of(task) == CORE_LEFT_READY;
}

/* The idle peer where the task would end first, if that is sooner than where it is. */
static struct core_site *target_of(struct look *look, const struct candidate *candidate,
                                   bool is_second)
{
    const struct core_task *task = candidate->attempt->task;
    struct core_job *job = task->job;
    if (job->hopeless_ns == look->core->now_ns) {
        return NULL;
    }
    struct core_site *best = NULL;
    bool is_any = false;
    list_for_each (node, &look->core->spare) {
        struct core_peer *peer = LIST_ENTRY(node, struct core_peer, spare);
        if (idle_cores(peer) < (int64_t)job->spec.cores) {
            continue;
        }
        struct core_site *site = core_site_get(look->core, job, peer);
        if (!core_site_is_open(site)) {
            continue;
        }
        is_any = true;
        bool has_files = job->spec.files.n == 0 || peer->is_self || site->has_begun;
        if (site == candidate->attempt->site || core_task_died_on(task, peer) ||
            (is_second ? site->n_bad_row > 0 : !has_files) || !is_light_at(look, task, peer)) {
            continue;
        }
        uint64_t there_ns = wall_at(site) + peer->rtt_ns;
        if (there_ns > candidate->ends_ns) {
            (void)is_soon(look, look->core->now_ns + (there_ns - candidate->ends_ns));
            continue;
        }
        bool is_better =
            best == NULL || wall_at(site) < wall_at(best) ||
            (wall_at(site) == wall_at(best) && idle_cores(peer) > idle_cores(best->peer));
        best = is_better ? site : best;
    }
    if (!is_any) {
        job->hopeless_ns = look->core->now_ns; /* nor for its other tasks */
    }
    return best;
}

/* --- recall ------------------------------------------------------------------------------------
 */

static void send_recall(struct core *core, struct core_attempt *attempt)
{
    attempt->is_recalled = true;
    attempt->task->n_recalls++;
    struct wire_attempt_id *id = core_batch_alloc(core, 1, sizeof(*id));
    *id = core_attempt_id(attempt);
    struct wire_message message = {.type = WIRE_MESSAGE_RECALL};
    message.recall.ids = (struct wire_attempt_ids){.items = id, .n = 1};
    core_send(core, attempt->site->peer, &message);
}

void core_tail_recall_site(struct core *core, struct core_site *site)
{
    list_for_each (node, &site->peer->placed) {
        struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_peer);
        if (attempt->site == site && !attempt->is_begun && !attempt->is_cancelled &&
            !attempt->is_recalled) {
            send_recall(core, attempt);
        }
    }
}

/* What was recalled and is on its way back has its idle core already. */
static void reserve_recalled(struct look *look)
{
    table_for_each (entry, &look->core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        list_for_each (node, &peer->placed) {
            struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_peer);
            if (attempt->is_recalled && !attempt->is_begun && !attempt->is_cancelled) {
                struct candidate candidate = {.attempt = attempt, .ends_ns = UINT64_MAX};
                struct core_site *site = target_of(look, &candidate, false);
                if (site != NULL) {
                    site->peer->cores_spoken += attempt->task->job->spec.cores;
                }
            }
        }
    }
}

static void recall(struct look *look)
{
    qsort(look->queued, look->n_queued, sizeof(look->queued[0]), compare);
    for (uint32_t i = 0; i < look->n_queued; i++) {
        struct core_attempt *attempt = look->queued[i].attempt;
        struct core_site *site = target_of(look, &look->queued[i], false);
        if (site != NULL) {
            site->peer->cores_spoken += attempt->task->job->spec.cores;
            send_recall(look->core, attempt);
        }
    }
}

/* --- second attempts ---------------------------------------------------------------------------
 */

static void start_again(struct look *look)
{
    qsort(look->slow, look->n_slow, sizeof(look->slow[0]), compare);
    for (uint32_t i = 0; i < look->n_slow; i++) {
        struct core_task *task = look->slow[i].attempt->task;
        struct core_site *site = target_of(look, &look->slow[i], true);
        if (site == NULL || core_job_is_full(task->job)) {
            continue;
        }
        char job[WIRE_JOB_TEXT_BYTES];
        core_log(look->core, CORE_LOG_DEBUG, "task %u of job %s is slow: started again on %s",
                 task->number, wire_job_text(task->job->id, job), core_peer_label(site->peer));
        core_task_second(look->core, task, site);
        core_job_update(look->core, task->job);
    }
}

/* --- when --------------------------------------------------------------------------------------
 */

static void tail_fire(struct core *core, struct core_timer *timer)
{
    (void)timer;
    core->is_tail_due = true;
}

void core_tail_init(struct core *core)
{
    core->tail_timer.fire = tail_fire;
}

static uint64_t next_look_ns(const struct core *core)
{
    return core->tail_ns + CORE_TAIL_NS + (core->n_attempts + core->peers.n) * CORE_TAIL_EACH_NS;
}

void core_tail_consider(struct core *core)
{
    if (list_is_empty(&core->spare) || core->n_attempts == 0 || core->is_stopping) {
        return;
    }
    uint64_t at_ns = next_look_ns(core);
    if (at_ns <= core->now_ns) {
        core->is_tail_due = true;
    } else if (!heap_has(&core->tail_timer.entry) || core->tail_timer.entry.at_ns > at_ns) {
        core_timer_set(core, &core->tail_timer, at_ns);
    }
}

void core_tail_run(struct core *core)
{
    struct look look = {.core = core, .next_ns = UINT64_MAX};
    core->tail_ns = core->now_ns;
    core_timer_stop(core, &core->tail_timer);
    if (core->is_stopping || core->n_attempts == 0 || !is_any_idle(core)) {
        return; /* placing comes first when a core is free, and considers the tail then */
    }
    look.queued = core_batch_alloc(core, core->n_attempts, sizeof(look.queued[0]));
    look.slow = core_batch_alloc(core, core->n_attempts, sizeof(look.slow[0]));
    table_for_each (entry, &core->peers) {
        look_at_peer(&look, LIST_ENTRY(entry, struct core_peer, by_key));
    }
    reserve_recalled(&look);
    recall(&look);
    start_again(&look);
    if (look.next_ns != UINT64_MAX) {
        uint64_t soonest_ns = next_look_ns(core);
        core_timer_set(core, &core->tail_timer,
                       look.next_ns > soonest_ns ? look.next_ns : soonest_ns);
    }
}
