/* Who gets how much: the rules of sharing, seen from outside. oracle.c passes on what it is told.
 *
 * Turns. An executor starts no task of one core for a submitter while another's task is ready there
 * that has fewer cores in use there; nor for anybody else while its own user waits with less than
 * half of the cores (the own half, which is excepted from turns).
 *
 * Waits. A task that is ready at an executor is not left there while its submitter starts nothing
 * for longer than 2 * n * longest: n submitters want that executor, and the longest run there took
 * `longest`. For what runs ends within that time; the next core that comes free is for whoever has
 * least, so that each of the n - 1 others is served at most once before; and when a turn is that of
 * a wide task, cores are first gathered for it, again for no longer than that. (4 * n * longest
 * where wide tasks and the own user are: every other turn is that user's.)
 *
 * Shares. In a window in which a submitter has always had tasks of one core waiting that any of
 * the executors asked for may run, the core time it has had at each of these is
 *
 *     used >= due - due / 10 - rate * (edge + 4 * rtt),    due = rate * length of the window
 *
 *   own user      rate = half of the cores, rounded up; edge = longest
 *   others, of c cores (without that half, when the own user wants the executor, too) and n of them
 *   at most:
 *     c >= n      rate = c / n, rounded down: credit gives so many to each; edge = 2 * longest
 *     c <  n      rate = c * l / (l + (n - 1) * m), or c / (2 n - 1); edge = (n + 1) * longest
 *
 * Where there are fewer cores than submitters it is turns that are shared: a round has one run of
 * each, of mean length l for this one and m for the others; long ones are paused for others. The
 * edge is the wait for the first core when the window opens (n turns where cores are shared so).
 * Others wait once more: only their first run tells how long their tasks take, and until then none
 * is prefetched. A round trip passes before the first task is there, one until the credit for more
 * is, and two with the first run and what is prefetched then. A tenth is for the times at which a
 * core waits for the next task or another's takes its place: prefetch covers two round trips or 5
 * ms at the mean run time. Of tasks that last over a second none is prefetched: a core that such a
 * one leaves may be gone to another's when the next arrives, a round trip later, and each run may
 * have to wait for one of another's: half of the due. So may one by turns: a turn is missed while
 * the next task is on its way.
 *
 * No share is promised while a wide task, or one with memory to reserve, wants the same executor.
 *
 * Jobs of one submitter. It sends no task while one of a higher priority waits that could go to the
 * same executor; and none of a job that has more cores out than another of the same priority that
 * waits: their cores never differ by more than a task. An executor starts none while one of the
 * same submitter that has a higher priority is ready there. So what was sent before a job of higher
 * priority came is all that may begin before it. */
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

#define UNACKED_MAX     500u /* results not acknowledged: the client may be what holds back */
#define PREFETCH_NS     (5 * SIM_MS)
#define PREFETCH_RUN_NS SIM_S /* of longer ones none is prefetched */
/* Of a window: what its own user wants has been reckoned by then. */
#define FRESH_NS (SIM_S / 2)

struct fair_task { /* an attempt that waits at an executor */
    struct list node;
    struct wire_attempt_id id;
    uint64_t conn; /* over which it came */
    uint32_t priority;
};

struct fair_sum {
    uint64_t used; /* core time */
    uint64_t n_starts;
};

struct fair_window {
    uint64_t from_ns;         /* 0: not open */
    struct fair_sum own, all; /* as they were then: of this submitter, and of all there */
    uint32_t n_sharers;       /* most at a time */
    bool is_with_local;       /* the executor's own user was among them */
    bool is_any_wide;
};

/* What a submitter has at an executor. */
struct fair_pair {
    struct list queue;   /* of fair_task */
    uint32_t life;       /* of the executor */
    uint32_t cores;      /* in use */
    struct fair_sum sum; /* until at_ns */
    uint64_t at_ns;
    uint64_t waits_ns;   /* since when something waits and nothing starts; 0: nothing waits */
    uint64_t longest_ns; /* run of this submitter there in that life */
    struct fair_window window;
};

/* Who wants an executor, now. */
struct wants {
    uint32_t n_sharers;
    bool is_with_local, is_any_wide;
};

struct fair {
    struct fair_pair *pairs;      /* [executor * nodes_max + submitter] */
    uint64_t *longest_ns;         /* nodes_max: run at that executor since it was watched */
    uint64_t from_ns, watched_ns; /* it is watched since, and was last */
};

static struct fair_pair *pair_of(const struct sim *sim, const struct sim_node *host,
                                 const struct sim_node *owner)
{
    return &sim->fair->pairs[(size_t)host->index * sim->nodes_max + owner->index];
}

/* --- who waits ---------------------------------------------------------------------------------
 */

static bool is_judged(const struct sim *sim, const struct sim_node *node)
{
    return !node->has_clone && !node->was_cloned && node->clone_of == NULL &&
           sim->report.n_by_kind[SIM_FAULT_RENUMBER] == 0;
}

static bool is_calm_since(const struct sim *sim, uint64_t ns)
{
    return sim->report.n_faults == 0 || (sim->is_healed && ns > sim->healed_ns + FAIR_SETTLE_NS);
}

/* Attempts of it were counted from the first on, and nothing but cores holds it back. */
static bool is_tracked(const struct sim *sim, const struct sim_job *job)
{
    return job->is_simple && job->is_connected && job->is_accepted && !job->is_cancelled &&
           !job->is_stalled && !job->is_done && job->n_done - job->n_acked <= UNACKED_MAX &&
           is_calm_since(sim, job->at_ns);
}

/* Those at its own host that have not begun are seen by nobody: at most what may be there. */
static uint64_t hidden_max(const struct sim *sim, const struct sim_job *job)
{
    const struct sim_node *node = job->owner;
    uint64_t cores = node->config.cores;
    if (cores == 0 || (!client_is_eligible(job, node) && !node->is_black_hole)) {
        return 0;
    }
    if (sim->report.n_by_kind[SIM_FAULT_CELL_CRASH] > 0) {
        return WIRE_CREDIT_MAX; /* runs of no length were measured */
    }
    uint64_t ms = node->is_black_hole ? 1 : node->shortest_ms;
    return cores + cores * PREFETCH_NS / (ms * SIM_MS) + 1;
}

/* Tasks that surely are placed nowhere. */
static uint64_t n_waiting(const struct sim *sim, const struct sim_job *job)
{
    uint64_t n_elsewhere = job->n_done + job->n_out + hidden_max(sim, job);
    return job->n_added > n_elsewhere ? job->n_added - n_elsewhere : 0;
}

static bool does_wait_for(const struct sim *sim, const struct sim_job *job,
                          const struct sim_node *host)
{
    return is_tracked(sim, job) && client_is_eligible(job, host) &&
           !job->refusals[host->index].may_be_out && n_waiting(sim, job) > 0;
}

/* --- what is where -----------------------------------------------------------------------------
 */

static void task_free(struct fair_pair *pair, struct fair_task *task)
{
    list_remove(&task->node);
    mem_free(task);
    if (list_is_empty(&pair->queue)) {
        pair->waits_ns = 0;
    }
}

static void queue_clear(struct fair_pair *pair)
{
    while (!list_is_empty(&pair->queue)) {
        task_free(pair, LIST_ENTRY(pair->queue.next, struct fair_task, node));
    }
}

void fair_init(struct sim *sim)
{
    size_t n = (size_t)sim->nodes_max * sim->nodes_max;
    sim->fair = mem_alloc_or_die(1, sizeof(*sim->fair));
    sim->fair->pairs = mem_alloc_or_die(n, sizeof(*sim->fair->pairs));
    sim->fair->longest_ns = mem_alloc_or_die(sim->nodes_max, sizeof(uint64_t));
    for (size_t i = 0; i < n; i++) {
        list_init(&sim->fair->pairs[i].queue);
    }
}

void fair_free(struct sim *sim)
{
    if (sim->fair == NULL) {
        return;
    }
    for (size_t i = 0; i < (size_t)sim->nodes_max * sim->nodes_max; i++) {
        queue_clear(&sim->fair->pairs[i]);
    }
    mem_free(sim->fair->pairs);
    mem_free(sim->fair->longest_ns);
    sim->fair = mem_free(sim->fair);
}

static bool is_same(const struct wire_attempt_id *a, const struct wire_attempt_id *b)
{
    return a->job == b->job && a->task == b->task && a->number == b->number &&
           a->incarnation == b->incarnation;
}

static void forget(struct fair_pair *pair, const struct wire_attempt_id *id)
{
    list_for_each (at, &pair->queue) {
        struct fair_task *task = LIST_ENTRY(at, struct fair_task, node);
        if (is_same(&task->id, id)) {
            task_free(pair, task);
            return;
        }
    }
}

static void forget_job(struct fair_pair *pair, uint64_t job)
{
    struct list *at = pair->queue.next;
    while (at != &pair->queue) {
        struct fair_task *task = LIST_ENTRY(at, struct fair_task, node);
        at = at->next;
        if (task->id.job == job) {
            task_free(pair, task);
        }
    }
}

static void arrives(struct sim *sim, struct sim_node *host, const struct sim_end *end,
                    struct sim_node *owner, const struct wire_attempt_id *id)
{
    struct fair_pair *pair = pair_of(sim, host, owner);
    const struct sim_job *job = client_job(sim, &owner->key, id->job);
    if (job == NULL || !job->is_simple) {
        return;
    }
    if (pair->life != host->life) {
        pair->life = host->life;
        queue_clear(pair);
    }
    forget(pair, id);
    struct fair_task *task = mem_alloc_or_die(1, sizeof(*task));
    task->id = *id;
    task->conn = end->conn;
    task->priority = job->submit.submit.spec.priority;
    pair->waits_ns = list_is_empty(&pair->queue) ? sim->now_ns : pair->waits_ns;
    list_push_back(&pair->queue, &task->node);
}

/* It is there still, and its submitter connected. */
static bool is_ready(const struct sim *sim, const struct sim_node *host,
                     const struct fair_pair *pair, const struct fair_task *task)
{
    return pair->life == host->life && net_is_up(net_conn(sim, task->conn));
}

static bool is_any_ready(const struct sim *sim, const struct sim_node *host,
                         const struct fair_pair *pair)
{
    list_for_each (at, &pair->queue) {
        if (is_ready(sim, host, pair, LIST_ENTRY(at, struct fair_task, node))) {
            return true;
        }
    }
    return false;
}

/* --- sums --------------------------------------------------------------------------------------
 */

static void account(const struct sim *sim, struct fair_pair *pair)
{
    pair->sum.used += (sim->now_ns - pair->at_ns) * pair->cores;
    pair->at_ns = sim->now_ns;
}

static struct fair_sum sum_all(const struct sim *sim, const struct sim_node *host)
{
    struct fair_sum all = {0};
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct fair_pair *pair = pair_of(sim, host, sim->nodes[i]);
        account(sim, pair);
        all.used += pair->sum.used;
        all.n_starts += pair->sum.n_starts;
    }
    return all;
}

/* Of those that ended there since it was watched, and those that run. */
static uint64_t longest_ns(const struct sim *sim, const struct sim_node *host)
{
    uint64_t longest = sim->fair->longest_ns[host->index];
    list_for_each (at, &host->runs) {
        const struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        uint64_t ns = sim->now_ns - run->start_ns;
        longest = ns > longest ? ns : longest;
    }
    return longest;
}

void fair_cores(struct sim *sim, const struct sim_run *run, bool is_start)
{
    if (sim->fair == NULL) {
        return;
    }
    struct fair_pair *pair = pair_of(sim, run->host, run->task->job->owner);
    account(sim, pair);
    pair->cores = is_start ? pair->cores + run->cores : pair->cores - run->cores;
    uint64_t *longest = &sim->fair->longest_ns[run->host->index];
    uint64_t ns = sim->now_ns - run->start_ns;
    *longest = !is_start && ns > *longest ? ns : *longest;
    pair->longest_ns = !is_start && ns > pair->longest_ns ? ns : pair->longest_ns;
}

/* --- shares ------------------------------------------------------------------------------------
 */

static uint64_t mean_ns(struct fair_sum sum)
{
    return sum.n_starts > 0 ? sum.used / sum.n_starts : 0;
}

struct due { /* millionths of a core; how many times the longest run may pass before it has that */
    uint64_t rate, n_edges;
};

static struct due due_of(const struct fair_window *window, const struct sim_node *host, bool is_own,
                         struct fair_sum own, struct fair_sum others)
{
    uint64_t cores = host->config.cores;
    uint64_t half = (cores + 1) / 2;
    uint64_t n = window->n_sharers;
    if (is_own) {
        return (struct due){.rate = half * 1000000, .n_edges = 1};
    }
    if (window->is_with_local) {
        cores -= half;
        n -= 1;
    }
    if (cores >= n) {
        return (struct due){.rate = cores / n * 1000000, .n_edges = 2};
    }
    uint64_t each = mean_ns(own) / 1000 + 1;
    uint64_t round = each + (n - 1) * (mean_ns(others) / 1000 + 1);
    uint64_t rate = cores * 1000000 * each / round;
    uint64_t least = cores * 1000000 / (2 * n - 1);
    return (struct due){rate < least ? rate : least, n + 1};
}

static uint64_t rtt_max(const struct sim_node *a, const struct sim_node *b)
{
    return a == b ? 0 : 2 * (a->latency_ns + b->latency_ns + a->jitter_ns + b->jitter_ns);
}

static struct fair_sum less(struct fair_sum a, struct fair_sum b)
{
    return (struct fair_sum){.used = a.used - b.used, .n_starts = a.n_starts - b.n_starts};
}

static void judge(struct sim *sim, const struct sim_node *host, const struct sim_node *owner)
{
    struct fair_pair *pair = pair_of(sim, host, owner);
    const struct fair_window *window = &pair->window;
    struct fair_sum all = less(sum_all(sim, host), window->all);
    struct fair_sum own = less(pair->sum, window->own);
    struct due due = due_of(window, host, host == owner, own, less(all, own));
    uint64_t span_ns = sim->now_ns - window->from_ns;
    uint64_t due_ns = span_ns / 1000 * due.rate / 1000;
    uint64_t edge_ns = due.n_edges * longest_ns(sim, host) + 4 * rtt_max(host, owner);
    bool is_always_fed = host == owner || (due.n_edges <= 2 && pair->longest_ns <= PREFETCH_RUN_NS);
    uint64_t allowed_ns = due_ns / (is_always_fed ? 10 : 2) + edge_ns / 1000 * due.rate / 1000 + 1;
    uint64_t short_ns = due_ns > own.used ? due_ns - own.used : 0;
    if (short_ns > allowed_ns) {
        sim_broken(sim,
                   "%s has had %.3f s of the cores of %s in %.3f s, with %u submitters, and should "
                   "have had %.3f s, less %.3f s",
                   owner->name, (double)own.used / 1e9, host->name, (double)span_ns / 1e9,
                   window->n_sharers, (double)due_ns / 1e9, (double)allowed_ns / 1e9);
    }
    uint64_t permille = short_ns * 1000 / allowed_ns;
    if (permille > sim->report.unfair_permille) {
        sim->report.unfair_permille = permille;
    }
}

/* It has nothing more to run there from now on. */
static void window_close(struct sim *sim, const struct sim_node *host, const struct sim_node *owner)
{
    struct fair_window *window = &pair_of(sim, host, owner)->window;
    if (window->from_ns > 0 && !window->is_any_wide && is_calm_since(sim, window->from_ns)) {
        judge(sim, host, owner);
        sim->report.n_shares += window->n_sharers > 1;
    }
    window->from_ns = 0;
}

static bool is_wide(const struct sim_job *job)
{
    return job->submit.submit.spec.cores > 1 || job->submit.submit.spec.mem_bytes > 0;
}

/* It has more to run there, and nothing is in its way. */
static bool presses(const struct sim *sim, const struct sim_node *owner,
                    const struct sim_node *host)
{
    list_for_each (at, &sim->jobs) {
        const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->owner == owner && !is_wide(job) && does_wait_for(sim, job, host)) {
            return sim_node_runs(host) && sim_node_runs(owner) && !host->is_stopping &&
                   !pass_is_any_open(sim, owner) && is_judged(sim, owner) && is_judged(sim, host) &&
                   (host == owner || net_are_linked(sim, host, owner));
        }
    }
    return false;
}

static void window_watch(struct sim *sim, struct sim_node *host, struct sim_node *owner,
                         struct wants wants)
{
    struct fair_pair *pair = pair_of(sim, host, owner);
    struct fair_window *window = &pair->window;
    if (wants.n_sharers == 0 || !is_calm_since(sim, sim->now_ns) || !presses(sim, owner, host)) {
        window->from_ns = 0; /* it is not known since when */
        return;
    }
    bool is_new = window->from_ns == 0;
    if (is_new) {
        *window = (struct fair_window){.from_ns = sim->now_ns, .all = sum_all(sim, host)};
        window->own = pair->sum;
    }
    window->n_sharers = wants.n_sharers > window->n_sharers ? wants.n_sharers : window->n_sharers;
    window->is_with_local |= wants.is_with_local;
    window->is_any_wide |= wants.is_any_wide;
    if (!is_new && !window->is_any_wide) {
        judge(sim, host, owner);
    }
}

/* --- waits -------------------------------------------------------------------------------------
 */

static void check_wait(struct sim *sim, const struct sim_node *host, const struct sim_node *owner,
                       struct wants wants)
{
    struct fair_pair *pair = pair_of(sim, host, owner);
    if (wants.is_with_local && host->config.cores == 1 && pair->waits_ns > 0) {
        pair->waits_ns = sim->now_ns; /* the half that is its user's is all of it */
    }
    if (pair->waits_ns == 0 || !is_judged(sim, owner) || !is_calm_since(sim, pair->waits_ns) ||
        !is_any_ready(sim, host, pair)) {
        return;
    }
    uint64_t from_ns = pair->waits_ns > sim->fair->from_ns ? pair->waits_ns : sim->fair->from_ns;
    uint64_t waits_ns = sim->now_ns - from_ns;
    uint64_t n_turns = wants.n_sharers * (wants.is_with_local && wants.is_any_wide ? 2 : 1);
    uint64_t most_ns = 2 * n_turns * longest_ns(sim, host);
    if (waits_ns > most_ns) {
        sim_broken(sim, "a task of %s waits at %s for %.3f s, where no run took more than %.3f s",
                   owner->name, host->name, (double)waits_ns / 1e9,
                   (double)longest_ns(sim, host) / 1e9);
    }
}

/* --- the watch ---------------------------------------------------------------------------------
 */

static struct wants wants_of(struct sim *sim, const struct sim_node *host)
{
    struct wants wants = {0};
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        const struct sim_node *owner = sim->nodes[i];
        const struct fair_pair *pair = pair_of(sim, host, owner);
        bool does_want = pair->cores > 0 || !list_is_empty(&pair->queue);
        list_for_each (at, &sim->jobs) {
            const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
            if (job->owner == owner && client_is_open(job) && client_is_eligible(job, host)) {
                does_want = true;
                wants.is_any_wide |= is_wide(job);
            }
        }
        wants.n_sharers += does_want;
        wants.is_with_local |= does_want && owner == host;
    }
    return wants;
}

static bool is_any_tracked(const struct sim *sim)
{
    list_for_each (at, &sim->jobs) {
        if (is_tracked(sim, LIST_ENTRY(at, struct sim_job, node))) {
            return true;
        }
    }
    return false;
}

void fair_watch(struct sim *sim)
{
    if (sim->fair == NULL || !is_any_tracked(sim)) {
        return;
    }
    if (sim->now_ns - sim->fair->watched_ns > SIM_S) { /* others ran then */
        memset(sim->fair->longest_ns, 0, sim->nodes_max * sizeof(uint64_t));
        sim->fair->from_ns = sim->now_ns;
        for (size_t i = 0; i < (size_t)sim->nodes_max * sim->nodes_max; i++) {
            sim->fair->pairs[i].window.from_ns = 0;
        }
    }
    sim->fair->watched_ns = sim->now_ns;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *host = sim->nodes[i];
        struct wants wants = wants_of(sim, host);
        for (unsigned j = 0; j < sim->n_nodes; j++) {
            window_watch(sim, host, sim->nodes[j], wants); /* closed, where nobody wants any */
            if (wants.n_sharers > 0) {
                check_wait(sim, host, sim->nodes[j], wants);
            }
        }
    }
}

/* --- turns -------------------------------------------------------------------------------------
 */

static void check_turn(struct sim *sim, struct sim_node *host, struct sim_node *owner)
{
    const struct fair_pair *pair = pair_of(sim, host, owner);
    if (host == owner && pair->cores < (host->config.cores + 1) / 2) {
        return;
    }
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        const struct sim_node *other = sim->nodes[i];
        const struct fair_pair *passed = pair_of(sim, host, other);
        if (passed->cores < pair->cores && is_judged(sim, other) &&
            is_any_ready(sim, host, passed)) {
            sim_broken(sim, "%s starts a task of %s, which has %u cores there; %s waits with %u",
                       host->name, owner->name, pair->cores, other->name, passed->cores);
        }
    }
}

static void check_own_half(struct sim *sim, struct sim_node *host, struct sim_node *owner)
{
    const struct fair_pair *own = pair_of(sim, host, host);
    if (host != owner && own->window.from_ns != 0 && !own->window.is_any_wide &&
        own->cores < (host->config.cores + 1) / 2 && sim->now_ns - own->window.from_ns > FRESH_NS &&
        presses(sim, host, host)) {
        sim_broken(sim, "%s starts a task of %s, and its own user has %u of %u cores, and waits",
                   host->name, owner->name, own->cores, host->config.cores);
    }
}

static void check_urgent(struct sim *sim, struct sim_node *host, const struct sim_job *job,
                         const struct wire_attempt_id *id)
{
    const struct fair_pair *pair = pair_of(sim, host, job->owner);
    list_for_each (at, &pair->queue) {
        const struct fair_task *task = LIST_ENTRY(at, struct fair_task, node);
        if (task->priority > job->submit.submit.spec.priority && is_ready(sim, host, pair, task)) {
            sim_broken(sim, "%s starts task %u of %s, and one of a higher priority waits there",
                       host->name, id->task, job->owner->name);
        }
    }
}

void fair_start(struct sim *sim, struct sim_node *host, const struct core_effect *effect,
                const struct sim_job *job)
{
    if (sim->fair == NULL) {
        return;
    }
    struct fair_pair *pair = pair_of(sim, host, job->owner);
    forget(pair, &effect->start.id);
    if (is_judged(sim, job->owner)) {
        check_urgent(sim, host, job, &effect->start.id);
    }
    if (is_judged(sim, job->owner) && !is_wide(job)) {
        check_turn(sim, host, job->owner);
        check_own_half(sim, host, job->owner);
    }
    pair->sum.n_starts++;
    pair->waits_ns = list_is_empty(&pair->queue) ? 0 : sim->now_ns;
}

/* --- jobs of one submitter ---------------------------------------------------------------------
 */

static void check_choice(struct sim *sim, struct sim_node *host, const struct sim_job *job)
{
    const struct wire_job_spec *spec = &job->submit.submit.spec;
    list_for_each (at, &sim->jobs) {
        const struct sim_job *other = LIST_ENTRY(at, struct sim_job, node);
        const struct wire_job_spec *with = &other->submit.submit.spec;
        if (other == job || other->owner != job->owner || !does_wait_for(sim, other, host)) {
            continue;
        }
        if (with->priority > spec->priority) {
            sim_broken(sim, "%s sends a task to %s, and one of a higher priority waits",
                       job->owner->name, host->name);
        }
        uint64_t most = (other->n_out + hidden_max(sim, other)) * with->cores;
        if (with->priority == spec->priority && (uint64_t)job->n_out * spec->cores > most) {
            sim_broken(sim, "%s sends a task of a job with %u out, and one of a job with %u waits",
                       job->owner->name, job->n_out, other->n_out);
        }
    }
}

static bool does_any_wait(const struct sim *sim, const struct sim_node *owner)
{
    list_for_each (at, &sim->jobs) {
        const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->owner == owner && !is_wide(job) && is_tracked(sim, job) &&
            n_waiting(sim, job) > 0) {
            return true;
        }
    }
    return false;
}

void fair_fewer(struct sim *sim, const struct sim_job *job)
{
    if (sim->fair == NULL || !job->is_simple || does_any_wait(sim, job->owner)) {
        return;
    }
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        window_close(sim, sim->nodes[i], job->owner);
    }
}

static void sends_task(struct sim *sim, struct sim_node *owner, struct sim_node *host,
                       const struct wire_attempt_id *id)
{
    struct sim_job *job = client_job(sim, &owner->key, id->job);
    if (job == NULL) {
        return;
    }
    bool is_second = job->tasks[id->task].n_running > 0;
    if (is_tracked(sim, job) && !is_second && is_judged(sim, owner)) {
        check_choice(sim, host, job);
    }
    job->n_out++;
    fair_fewer(sim, job);
}

/* --- messages ----------------------------------------------------------------------------------
 */

void fair_sent(struct sim *sim, struct sim_node *node, struct sim_end *end,
               const struct wire_message *message)
{
    if (sim->fair == NULL) {
        return;
    }
    struct sim_conn *conn = net_conn(sim, end->conn);
    struct sim_node *to = conn->ends[end == &conn->ends[0] ? 1 : 0].node;
    if (message->type == WIRE_MESSAGE_REFUSE) {
        forget(pair_of(sim, node, to), &message->refuse.id);
    } else if (message->type == WIRE_MESSAGE_RESULT) {
        forget(pair_of(sim, node, to), &message->result.id);
    } else if (message->type == WIRE_MESSAGE_TASK) {
        sends_task(sim, node, to, &message->task.id);
    }
}

static void answered(struct sim *sim, const struct sim_node *node, uint64_t id)
{
    struct sim_job *job = client_job(sim, &node->key, id);
    if (job != NULL) {
        job->n_out -= job->n_out > 0;
    }
}

void fair_heard(struct sim *sim, struct sim_node *node, const struct sim_end *end,
                struct sim_node *from, const struct wire_message *message)
{
    if (sim->fair == NULL) {
        return;
    }
    switch ((unsigned)message->type) { /* as a number: only these count */
    case WIRE_MESSAGE_TASK:
        arrives(sim, node, end, from, &message->task.id);
        return;
    case WIRE_MESSAGE_JOB_END:
        forget_job(pair_of(sim, node, from), message->job_end.job);
        return;
    case WIRE_MESSAGE_DROP:
        for (uint32_t i = 0; i < message->drop.ids.n; i++) {
            forget(pair_of(sim, node, from), &message->drop.ids.items[i]);
        }
        return;
    case WIRE_MESSAGE_RESULT:
        answered(sim, node, message->result.id.job);
        return;
    case WIRE_MESSAGE_REFUSE:
        answered(sim, node, message->refuse.id.job);
        return;
    default:
        return;
    }
}
