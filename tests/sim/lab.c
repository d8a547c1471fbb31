/* Two schedules that the lab met on real hosts, and that faults drawn at random seldom make: two
 * hosts so far apart that their dials cross, and a short cut in the middle of a long task. Each
 * comes when all else is over, in some of the seeds, and has dice of its own, as a contest has. */
#include "tests/sim/sim_internal.h"

#define LAB_PERCENT  12u /* of the seeds, each */
#define FAR_SETTLE_S 15u /* dials that time out, and their pauses, among them */
#define FAR_WATCH_S  10u
#define CUT_MILLIS   20000u         /* the longest task; the shortest takes three quarters of it */
#define CUT_AFTER_NS (8 * SIM_S)    /* it runs for so long before */
#define CUT_LIMIT_NS (23 * SIM_S)   /* the longest, by clocks that drift */
#define CUT_MORE_NS  (700 * SIM_MS) /* longer than --dead-after */

static bool is_drawn(const struct sim *sim, uint64_t salt)
{
    struct dice dice = {dice_mix(sim->options.seed + salt)};
    return dice_chance(&dice, LAB_PERCENT) && sim->cut != NULL && sim->dense_max == 0 &&
           !sim->is_closed && sim->report.n_by_kind[SIM_FAULT_CLONE] == 0;
}

/* --- far apart --------------------------------------------------------------------------------
 */

static bool is_between(const struct sim_conn *conn, const struct sim_node *a,
                       const struct sim_node *b)
{
    const struct sim_node *x = conn->ends[0].node;
    const struct sim_node *y = conn->ends[1].node;
    return (x == a && y == b) || (x == b && y == a);
}

bool lab_far_is_drawn(const struct sim *sim)
{
    return is_drawn(sim, UINT64_C(0xfa13)) && sim->n_nodes > 1;
}

/* Both lose their session at the same instant, so both dial; each hears of the other's dial half a
 * round trip later than that one itself. They must agree on one of the two, and keep it. */
void lab_far_play(struct sim *sim)
{
    struct dice dice = {dice_mix(sim->options.seed + UINT64_C(0xfa14))};
    unsigned from = (unsigned)dice_roll(&dice, sim->n_nodes);
    struct sim_node *a = sim->nodes[from];
    struct sim_node *b = sim->nodes[(from + 1) % sim->n_nodes];
    a->delay_ns = b->delay_ns = dice_between(&dice, 255, 285) * SIM_MS;
    sim_note(sim, "-----", "!", "%s and %s are a second apart", a->name, b->name);
    table_for_each (entry, &sim->conns) {
        struct sim_conn *conn = LIST_ENTRY(entry, struct sim_conn, by_id);
        if (is_between(conn, a, b)) {
            net_break(sim, conn, true, true);
        }
    }
    sim_run_until(sim, sim->now_ns + FAR_SETTLE_S * SIM_S);
    for (unsigned i = 0; i < 4 * FAR_WATCH_S; i++) {
        sim_run_until(sim, sim->now_ns + 250 * SIM_MS);
        if (!oracle_do_all_see(sim)) {
            sim_broken(sim, "%s and %s are a second apart, and do not stay together", a->name,
                       b->name);
        }
    }
    a->delay_ns = b->delay_ns = 0;
}

/* --- a short cut ------------------------------------------------------------------------------
 */

bool lab_cut_is_drawn(const struct sim *sim)
{
    return is_drawn(sim, UINT64_C(0xfa15));
}

static bool is_fast(const struct sim_node *node)
{
    return contest_may_run(node) && node->slowness == 10;
}

/* Two executors and a third who submits; false: there are none. */
static bool choose(const struct sim *sim, struct dice *dice, struct sim_node *ret_chosen[3])
{
    unsigned n = 0;
    unsigned from = (unsigned)dice_roll(dice, sim->n_nodes);
    for (unsigned i = 0; i < sim->n_nodes && n < 3; i++) {
        struct sim_node *node = sim->nodes[(from + i) % sim->n_nodes];
        if (n < 2 ? is_fast(node) : sim_node_runs(node)) {
            ret_chosen[n++] = node;
        }
    }
    return n == 3;
}

static void cut_off(struct sim *sim, const struct sim_node *node, int change)
{
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        if (i != node->index) {
            net_cut(sim, node, sim->nodes[i], change);
            net_cut(sim, sim->nodes[i], node, change);
        }
    }
}

/* An executor is away for longer than it takes to give it up, and shorter than the lease: its tasks
 * are begun elsewhere. What it has done of them by then is not thrown away when it is back. */
void lab_cut_play(struct sim *sim)
{
    struct dice dice = {dice_mix(sim->options.seed + UINT64_C(0xfa16))};
    struct sim_node *chosen[3];
    if (!choose(sim, &dice, chosen)) {
        return;
    }
    uint32_t cores[2] = {chosen[0]->config.cores, chosen[1]->config.cores};
    struct slice on[2] = {slice_str(chosen[0]->name), slice_str(chosen[1]->name)};
    struct client_wish wish = {.n_tasks = cores[0] < cores[1] ? cores[0] : cores[1],
                               .millis = CUT_MILLIS,
                               .cores = 1,
                               .lease_ms = CUT_MILLIS,
                               .on = {.items = on, .n = 2}};
    wish.n_tasks = wish.n_tasks < 4 ? wish.n_tasks : 4;
    client_submit_wish(sim, chosen[2], &wish);
    const struct sim_job *job = LIST_ENTRY(sim->jobs.prev, struct sim_job, node);
    uint64_t from_ns = sim->now_ns;
    sim_run_until(sim, from_ns + CUT_AFTER_NS);
    const struct sim_node *node = list_is_empty(&chosen[0]->runs) ? chosen[1] : chosen[0];
    sim_note(sim, "-----", "!", "%s is away for a moment", node->name);
    cut_off(sim, node, 1);
    sim_run_until(sim, sim->now_ns + sim->dead_after_ns + CUT_MORE_NS);
    cut_off(sim, node, -1);
    net_mended(sim);
    while (client_is_open(job) && sim->now_ns < from_ns + CUT_LIMIT_NS) {
        sim_run_until(sim, sim->now_ns + 100 * SIM_MS);
    }
    if (client_is_open(job)) {
        sim_broken(sim, "%s was away for a moment, and what it had done of long tasks is lost",
                   node->name);
    }
}
