/* The course of one run: who submits what, faults, their end, what has to be well again; and adding
 * up the reports of runs. */
#include "tests/sim/sim.h"

#include "tests/sim/sim_internal.h"

static void start_node_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if (node->core == NULL && !node->was_started) {
        sim_node_start(sim, node);
    }
}

static void submit_fire(struct sim *sim, struct sim_event *event)
{
    struct dice dice = {event->b};
    IGNORE(client_submit(sim, sim->nodes[event->a], &dice, (uint32_t)event->c));
}

/* Who submits what, and when: at least 100 tasks in all. */
static void plan_jobs(struct sim *sim)
{
    struct dice *dice = &sim->dice;
    uint32_t n_jobs = (uint32_t)dice_log(dice, 1, 8);
    uint32_t n_tasks = (uint32_t)dice_log(dice, 100, 600);
    for (uint32_t i = 0; i < n_jobs; i++) {
        uint64_t at_ns = dice_roll(dice, i == 0 ? 2 * SIM_S : 25 * SIM_S);
        struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, at_ns, submit_fire);
        event->a = dice_roll(dice, sim->n_nodes < 4 ? sim->n_nodes : 4);
        event->b = dice_next(dice);
        event->c = i + 1 < n_jobs ? n_tasks / n_jobs : n_tasks - n_tasks / n_jobs * (n_jobs - 1);
    }
}

/* Until every job is over: the oracle knows how long that may take. */
static void run_to_end(struct sim *sim)
{
    while (!client_are_all_over(sim)) {
        sim_run_until(sim, sim->now_ns + 100 * SIM_MS);
        oracle_watch(sim);
    }
}

static uint64_t count_begun(const struct sim *sim)
{
    uint64_t n = 0;
    list_for_each (at, &sim->jobs) {
        const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        for (uint32_t i = 1; i <= job->n_tasks; i++) {
            n += job->tasks[i].n_begun > 0;
        }
    }
    return n;
}

/* Where clients were gone or had cancelled before much had begun, others come. */
static void top_up(struct sim *sim)
{
    for (unsigned i = 0; i < 60 && count_begun(sim) < SIM_TASKS_MIN; i++) {
        uint32_t n = SIM_TASKS_MIN - (uint32_t)count_begun(sim);
        struct sim_node *node = sim->nodes[i % sim->n_nodes];
        if (!node->was_cloned || i >= sim->n_nodes) { /* else it may be kept out for a while */
            IGNORE(client_submit(sim, node, &sim->dice, n));
            run_to_end(sim);
        }
    }
}

void sim_play(const struct sim_options *options, struct sim_report *ret_report)
{
    struct sim *sim = sim_new(options);
    struct dice *dice = &sim->dice;
    uint64_t spread_ns = dice_chance(dice, 50) ? 0 : dice_roll(dice, 5 * SIM_S);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        uint64_t in_ns = spread_ns > 0 && i > 0 ? dice_roll(dice, spread_ns) : 0;
        sim_event_new(sim, SIM_WORLD, NULL, in_ns, start_node_fire)->a = i;
    }
    plan_jobs(sim);
    bool is_long = sim->n_nodes <= 10 && dice_chance(dice, 10);
    uint64_t seconds = is_long ? dice_between(dice, 75, 100) : dice_between(dice, 30, 45);
    seconds = options->seconds_min > seconds ? options->seconds_min : seconds;
    sim->faults_end_ns = sim->start_ns + seconds * SIM_S;
    fault_plan(sim);
    closed_play(sim);
    queues_play(sim);
    fault_start(sim);
    while (sim->now_ns < sim->faults_end_ns) {
        sim_run_until(sim, sim->now_ns + 500 * SIM_MS);
        oracle_watch(sim);
    }
    fault_heal(sim);
    sim->healed_ns = sim->now_ns;
    sim->is_healed = true;
    run_to_end(sim);
    top_up(sim);
    if (contest_is_drawn(sim)) {
        contest_start(sim);
        run_to_end(sim);
    }
    if (lab_cut_is_drawn(sim)) {
        lab_cut_play(sim);
    }
    if (lab_far_is_drawn(sim)) {
        lab_far_play(sim);
    }
    queues_finish(sim);
    /* A cloned key is kept out for a minute; as long is not believed what could not be reached. */
    bool is_slow =
        sim->report.n_by_kind[SIM_FAULT_CLONE] > 0 || sim->dense_max > 0 || sim->is_closed;
    uint64_t end_ns = sim->now_ns + (is_slow ? 90 : 10) * SIM_S;
    uint64_t least_ns = sim->start_ns + SIM_SPAN_MIN;
    sim_run_until(sim, end_ns > least_ns ? end_ns : least_ns);
    /* In a large mesh what could not be reached is believed again a minute later. */
    for (unsigned i = 0; i < 5 && sim->dense_max > 0 && !oracle_do_all_see(sim); i++) {
        sim_run_until(sim, sim->now_ns + 60 * SIM_S);
    }
    oracle_quiet(sim);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        if (sim->nodes[i]->core != NULL) {
            sim_count_moves(sim, sim->nodes[i]->core);
        }
    }
    sim->report.virtual_ns = sim->report.least_ns = sim->now_ns - sim->start_ns;
    sim->report.n_begun_least = count_begun(sim);
    sim->report.hash ^= sim->trace_hash;
    *ret_report = sim->report;
    sim_free(sim);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void sim_report_add(struct sim_report *a, const struct sim_report *b)
{
    bool is_first = a->n_plays == 0; /* the least of none is not 0 */
    if (b->n_plays > 0) {
        a->least_ns = is_first ? b->least_ns : least(a->least_ns, b->least_ns);
        a->n_begun_least = is_first ? b->n_begun_least : least(a->n_begun_least, b->n_begun_least);
    }
    a->n_plays += b->n_plays;
    a->n_full += b->n_full;
    for (unsigned size = 0; size < SIM_SIZES; size++) {
        a->n_by_size[size] += b->n_by_size[size];
    }
    a->n_events += b->n_events;
    a->n_faults += b->n_faults;
    a->n_planned += b->n_planned;
    a->n_tasks += b->n_tasks;
    a->n_peers += b->n_peers;
    a->n_jobs += b->n_jobs;
    a->n_attempts += b->n_attempts;
    a->n_second += b->n_second;
    a->n_away += b->n_away;
    a->n_passed += b->n_passed;
    a->n_gone += b->n_gone;
    a->n_closed += b->n_closed;
    a->n_joins += b->n_joins;
    a->n_bans += b->n_bans;
    a->n_queue_plays += b->n_queue_plays;
    a->n_queue_items += b->n_queue_items;
    a->n_queue_dones += b->n_queue_dones;
    a->n_recalled += b->n_recalled;
    a->n_frames += b->n_frames;
    a->n_bytes += b->n_bytes;
    a->n_messages += b->n_messages;
    a->n_shares += b->n_shares;
    a->virtual_ns += b->virtual_ns;
    a->hash ^= b->hash;
    for (unsigned kind = 0; kind < SIM_N_FAULTS; kind++) {
        a->n_by_kind[kind] += b->n_by_kind[kind];
    }
    for (unsigned i = 0; i < CORE_N_MACHINES; i++) {
        for (unsigned row = 0; row < CORE_ROWS_MAX; row++) {
            a->n_taken[i][row] += b->n_taken[i][row];
        }
    }
    a->slowest_permille =
        b->slowest_permille > a->slowest_permille ? b->slowest_permille : a->slowest_permille;
    a->unfair_permille =
        b->unfair_permille > a->unfair_permille ? b->unfair_permille : a->unfair_permille;
}
