/* Faults of hosts, daemons, machines and clients, as each strikes and ends. */
#include <errno.h>

#include "tests/sim/strike.h"
#include "wire/base/mem.h"

/* --- hosts and daemons -------------------------------------------------------------------------
 */

static void restart_over(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if (node->core == NULL && node->clone_of == NULL) {
        sim_node_start(sim, node);
    } else if (node->is_stopping) { /* it takes its time */
        sim_event_new(sim, SIM_WORLD, NULL, SIM_S, restart_over)->a = event->a;
    }
}

void strike_kill_one(struct sim *sim, struct dice *dice, struct sim_node *node)
{
    sim_node_kill(sim, node, false);
    strike_undo(sim, dice, node, restart_over);
}

bool strike_kill(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node != NULL) {
        strike_kill_one(sim, dice, node);
    }
    return node != NULL;
}

bool strike_power(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node != NULL) {
        sim_node_kill(sim, node, true);
        strike_undo(sim, dice, node, restart_over);
    }
    return node != NULL;
}

static void version_over(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if ((node->is_version_odd || node->is_version_old) && !sim->is_healed) {
        sim_node_kill(sim, node, false);
        node->is_version_odd = node->is_version_old = false;
        sim_node_start(sim, node);
    }
}

bool strike_version(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL || node->is_version_odd || node->is_version_old) {
        return false;
    }
    sim_node_kill(sim, node, false);
    node->is_version_old = dice_chance(dice, 50);
    node->is_version_odd = !node->is_version_old;
    if (dice_chance(dice, 35)) { /* others may give it up meanwhile */
        strike_undo_in(sim, node, dice_between(dice, 100, 3000) * SIM_MS, restart_over);
    } else {
        sim_node_start(sim, node);
    }
    strike_undo_in(sim, node, strike_span_ns(dice) + (sim->dense_max > 0 ? 2 * SIM_S : 0),
                   version_over);
    struct sim_node *owner = sim->dense_max > 0 ? strike_pick(sim, dice) : NULL;
    if (owner != NULL && owner != node) {
        /* Work for all cores: those that only heard of it dial it, too. */
        struct sim_wish wish = {.millis_min = 300};
        IGNORE(client_submit_as(sim, owner, dice, (uint32_t)dice_between(dice, 60, 200), &wish));
    }
    return true;
}

static void forget_all(struct sim *sim, struct sim_node *node, struct dice *dice)
{
    table_for_each (entry, &node->store) {
        shell_store_drop(node, &LIST_ENTRY(entry, struct sim_blob, by_hash)->hash);
    }
    found_forget(sim, node);
    disk_wipe(sim, node);
    closed_forget(node);
    sim_node_key(sim, node, dice);
}

bool strike_amnesia(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL || node->has_clone || node->is_traitor) {
        return false;
    }
    sim_node_kill(sim, node, dice_chance(dice, 50));
    forget_all(sim, node, dice);
    strike_undo(sim, dice, node, restart_over);
    return true;
}

/* b: life. */
static void thaw(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if (node->is_frozen && node->life == event->b) {
        node->is_frozen = false;
        sim_node_unpark(sim, node);
    }
}

void strike_freeze_one(struct sim *sim, struct sim_node *node, uint64_t for_ns)
{
    node->is_frozen = true;
    sim_tick_update(sim, node);
    struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, for_ns, thaw);
    event->a = node->index;
    event->b = node->life;
}

static bool freeze_one(struct sim *sim, struct dice *dice, uint64_t ns)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node != NULL) {
        strike_freeze_one(sim, node, ns);
    }
    return node != NULL;
}

static void stop_fire(struct sim *sim, struct sim_event *event)
{
    struct core_event stop = {.type = CORE_EVENT_STOP};
    sim_step(sim, event->node, &stop);
}

void strike_stop_one(struct sim *sim, struct dice *dice, struct sim_node *node)
{
    node->is_stopping = true;
    strike_undo(sim, dice, node, restart_over);
    if (dice_chance(dice, 40)) { /* it was hanging when it was asked */
        strike_freeze_one(sim, node, dice_log(dice, 1000, 9000) * SIM_MS);
    }
    sim_event_new(sim, SIM_DAEMON, node, 0, stop_fire);
}

bool strike_stop(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node != NULL) {
        strike_stop_one(sim, dice, node);
    }
    return node != NULL;
}

bool strike_freeze(struct sim *sim, struct dice *dice)
{
    return dice_chance(dice, 20) ? strike_only_host(sim, dice)
                                 : freeze_one(sim, dice, strike_span_ns(dice));
}

bool strike_late_loop(struct sim *sim, struct dice *dice)
{
    return freeze_one(sim, dice, dice_log(dice, 300, 3000) * SIM_MS);
}

static void wake(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if (node->is_suspended && node->life == event->b) {
        node->is_suspended = false;
        sim_node_unpark(sim, node);
    }
}

bool strike_suspend(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL) {
        return false;
    }
    node->is_suspended = true;
    sim_tick_update(sim, node);
    strike_undo(sim, dice, node, wake)->b = node->life;
    return true;
}

bool strike_clock_jump(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node != NULL) {
        sim_clock_set(sim, node, dice_log(dice, 10, 20000) * SIM_MS, node->drift_ppb);
    }
    return node != NULL;
}

bool strike_clock_drift(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node != NULL) {
        sim_clock_set(sim, node, 0, (int64_t)dice_roll(dice, 40000000) - 20000000);
    }
    return node != NULL;
}

bool strike_join(struct sim *sim, struct dice *dice)
{
    if (sim->n_nodes == sim->nodes_max || sim->n_nodes >= SIM_PEERS_MAX) {
        return false;
    }
    sim_node_start(sim, sim_node_new(sim));
    return true;
}

static void clone_over(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if (node->core != NULL) {
        sim_node_kill(sim, node, false);
    }
}

/* The state directory of a host was copied to a new one. */
bool strike_clone(struct sim *sim, struct dice *dice)
{
    struct sim_node *of = strike_pick(sim, dice);
    if (of == NULL || of->has_clone || sim->n_nodes == sim->nodes_max || sim->is_closed) {
        return false;
    }
    list_for_each (at, &sim->jobs) {
        const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->owner == of && client_is_open(job)) {
            return false;
        }
    }
    struct sim_node *clone = sim_node_new(sim);
    sim_node_clone(sim, clone, of);
    strike_undo(sim, dice, clone, clone_over);
    sim_node_start(sim, clone);
    return true;
}

/* --- machines ----------------------------------------------------------------------------------
 */

static void disk_over(struct sim *sim, struct sim_event *event)
{
    sim->nodes[event->a]->disk_error = 0;
}

void strike_disk_one(struct sim *sim, struct sim_node *node, unsigned error, uint64_t for_ns)
{
    node->disk_error = error;
    node->had_disk_fault = true;
    strike_undo_in(sim, node, for_ns, disk_over);
}

static bool fail_disk(struct sim *sim, struct dice *dice, unsigned error)
{
    if (dice_chance(dice, 15)) {
        return strike_keep_nothing(sim, dice, error);
    }
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL || node->disk_error != 0) {
        return false;
    }
    strike_disk_one(sim, node, error, strike_span_ns(dice));
    return true;
}

bool strike_disk_fail(struct sim *sim, struct dice *dice)
{
    return fail_disk(sim, dice, EIO);
}

bool strike_disk_full(struct sim *sim, struct dice *dice)
{
    return fail_disk(sim, dice, ENOSPC);
}

bool strike_blob_gone(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL || node->store.n == 0) {
        return false;
    }
    node->had_disk_fault = true;
    table_for_each (entry, &node->store) {
        const struct wire_hash *hash = &LIST_ENTRY(entry, struct sim_blob, by_hash)->hash;
        if (dice_chance(dice, 50) && !queues_is_item(hash)) { /* that would be lost for good */
            shell_store_drop(node, hash);
        }
    }
    return true;
}

/* One on which something runs. */
static struct sim_node *pick_busy(struct sim *sim, struct dice *dice)
{
    unsigned from = (unsigned)dice_roll(dice, sim->n_nodes);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = sim->nodes[(from + i) % sim->n_nodes];
        if (strike_runs(node) && !list_is_empty(&node->runs)) {
            return node;
        }
    }
    return NULL;
}

bool strike_cell_crash(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = pick_busy(sim, dice);
    if (node != NULL) {
        work_crash_all(sim, node);
        node->is_frail = dice_chance(dice, 50); /* they may die again */
    }
    return node != NULL;
}

static void hang_over(struct sim *sim, struct sim_event *event)
{
    sim->nodes[event->a]->is_frail = false;
    work_hang_all(sim, sim->nodes[event->a], false);
}

bool strike_cell_hang(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = pick_busy(sim, dice);
    if (node == NULL) {
        return false;
    }
    work_hang_all(sim, node, true);
    node->is_frail = dice_chance(dice, 80);
    strike_undo(sim, dice, node, hang_over);
    return true;
}

static void cells_over(struct sim *sim, struct sim_event *event)
{
    sim->nodes[event->a]->has_no_cells = sim->nodes[event->a]->is_given_up = false;
}

bool strike_cell_none(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL || node->has_no_cells) {
        return false;
    }
    node->has_no_cells = true;
    if (dice_chance(dice, 60)) {
        strike_give_up(sim, dice, node);
    }
    strike_undo(sim, dice, node, cells_over);
    return true;
}

/* a: cores. */
void strike_cores_fire(struct sim *sim, struct sim_event *event)
{
    struct core_event cores = {.type = CORE_EVENT_CORES};
    cores.cores.cores = (uint32_t)event->a;
    if (event->node->core != NULL) {
        event->node->config.cores = (uint32_t)event->a;
        sim_step(sim, event->node, &cores);
    }
}

static void cores_over(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if (node->core != NULL) {
        sim_event_new(sim, SIM_DAEMON, node, 0, strike_cores_fire)->a =
            node->config.cores_effective;
    }
}

void strike_cores_one(struct sim *sim, struct sim_node *node, uint32_t cores, uint64_t for_ns)
{
    sim_event_new(sim, SIM_DAEMON, node, 0, strike_cores_fire)->a = cores;
    strike_undo_in(sim, node, for_ns, cores_over);
}

bool strike_cores(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node != NULL) {
        uint32_t cores = dice_chance(dice, 30) ? 0 : (uint32_t)dice_log(dice, 1, 16);
        strike_cores_one(sim, node, cores, strike_span_ns(dice));
    }
    return node != NULL;
}

static struct sim_job *pick_job(struct sim *sim, struct dice *dice)
{
    unsigned n = 0;
    struct sim_job *picked = NULL;
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (client_is_open(job) && job->is_accepted && strike_runs(job->owner) &&
            dice_roll(dice, ++n) == 0) {
            picked = job;
        }
    }
    return picked;
}

/* --- clients -----------------------------------------------------------------------------------
 */

bool strike_client_gone(struct sim *sim, struct dice *dice)
{
    struct sim_job *job = pick_job(sim, dice);
    if (job != NULL) {
        client_leave(sim, job);
    }
    return job != NULL;
}

bool strike_client_cancel(struct sim *sim, struct dice *dice)
{
    if (dice_chance(dice, 15)) {
        return strike_cancel_late(sim, dice);
    }
    struct sim_job *job = pick_job(sim, dice);
    if (job != NULL) {
        client_cancel(sim, job);
    }
    return job != NULL;
}

/* a: client. */
static void stall_over(struct sim *sim, struct sim_event *event)
{
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->client == event->a) {
            client_stall(sim, job, false);
        }
    }
}

bool strike_client_stall(struct sim *sim, struct dice *dice)
{
    struct sim_job *job = pick_job(sim, dice);
    if (job == NULL || job->is_stalled) {
        return false;
    }
    client_stall(sim, job, true);
    strike_undo(sim, dice, NULL, stall_over)->a = job->client;
    return true;
}

bool strike_submit(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL) {
        return false;
    }
    return dice_chance(dice, 12)
               ? strike_submit_and_go(sim, dice, node)
               : client_submit(sim, node, dice, (uint32_t)dice_log(dice, 1, 60)) != NULL;
}
