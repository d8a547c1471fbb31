/* Faults of the network and of discovery, as each strikes and ends. */
#include "tests/sim/strike.h"

#include "wire/base/mem.h"

static struct sim_conn *pick_conn(struct sim *sim, struct dice *dice)
{
    uint64_t skip = sim->conns.n > 0 ? dice_roll(dice, sim->conns.n) : 0;
    struct sim_conn *picked = NULL;
    table_for_each (entry, &sim->conns) {
        struct sim_conn *conn = LIST_ENTRY(entry, struct sim_conn, by_id);
        bool is_up = conn->ends[0].state == SIM_END_UP && conn->ends[1].state == SIM_END_UP;
        picked = is_up && (picked == NULL || skip > 0) ? conn : picked;
        skip -= skip > 0;
    }
    return picked;
}

/* --- the network -------------------------------------------------------------------------------
 */

bool strike_reset(struct sim *sim, struct dice *dice)
{
    struct sim_conn *conn = pick_conn(sim, dice);
    if (conn != NULL) {
        net_break(sim, conn, true, true);
    }
    return conn != NULL;
}

bool strike_half_open(struct sim *sim, struct dice *dice)
{
    struct sim_conn *conn = pick_conn(sim, dice);
    if (conn != NULL) {
        bool is_first = dice_chance(dice, 50);
        net_break(sim, conn, is_first, !is_first);
    }
    return conn != NULL;
}

/* a: from, b: to. */
static void one_way_over(struct sim *sim, struct sim_event *event)
{
    if (!sim->is_healed) {
        net_cut(sim, sim->nodes[event->a], sim->nodes[event->b], -1);
        net_mended(sim);
    }
}

bool strike_one_way(struct sim *sim, struct dice *dice)
{
    struct sim_node *from = strike_pick(sim, dice);
    struct sim_node *to = strike_pick(sim, dice);
    if (from == NULL || from == to) {
        return false;
    }
    net_cut(sim, from, to, 1);
    strike_undo(sim, dice, from, one_way_over)->b = to->index;
    return true;
}

static bool is_in_group(uint64_t group, unsigned i)
{
    return dice_mix(group + i) & 1;
}

static void cut_groups(struct sim *sim, uint64_t group, unsigned n, int change)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < n; j++) {
            if (is_in_group(group, i) != is_in_group(group, j)) {
                net_cut(sim, sim->nodes[i], sim->nodes[j], change);
            }
        }
    }
}

/* b: the group's seed, c: how many nodes there were. */
static void partition_over(struct sim *sim, struct sim_event *event)
{
    if (!sim->is_healed) {
        cut_groups(sim, event->b, (unsigned)event->c, -1);
        net_mended(sim);
    }
}

bool strike_partition(struct sim *sim, struct dice *dice)
{
    uint64_t group = dice_next(dice);
    struct sim_event *event = strike_undo(sim, dice, NULL, partition_over);
    event->b = group;
    event->c = sim->n_nodes;
    cut_groups(sim, group, sim->n_nodes, 1);
    return true;
}

static void cut_host(struct sim *sim, const struct sim_node *node, unsigned n, int change)
{
    for (unsigned i = 0; i < n; i++) {
        if (i != node->index) {
            net_cut(sim, node, sim->nodes[i], change);
            net_cut(sim, sim->nodes[i], node, change);
        }
    }
}

static void cable_over(struct sim *sim, struct sim_event *event)
{
    if (!sim->is_healed) {
        cut_host(sim, sim->nodes[event->a], (unsigned)event->c, -1);
        net_mended(sim);
    }
}

void strike_unplug(struct sim *sim, const struct sim_node *node, uint64_t for_ns)
{
    strike_undo_in(sim, node, for_ns, cable_over)->c = sim->n_nodes;
    cut_host(sim, node, sim->n_nodes, 1);
}

bool strike_cable(struct sim *sim, struct dice *dice)
{
    if (dice_chance(dice, 20)) {
        return strike_only_host(sim, dice);
    }
    const struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL) {
        return false;
    }
    bool is_restarted = dice_chance(dice, 10);
    strike_unplug(sim, node, is_restarted ? 12 * SIM_S : strike_span_ns(dice));
    if (is_restarted) { /* by somebody who looks for the cause in the wrong place */
        strike_restart_soon(sim, dice, node);
    }
    return true;
}

static void slow_over(struct sim *sim, struct sim_event *event)
{
    sim->nodes[event->a]->bandwidth = 0;
}

void strike_slow_down(struct sim *sim, struct dice *dice, struct sim_node *node, uint64_t bandwidth)
{
    node->bandwidth = bandwidth;
    strike_undo(sim, dice, node, slow_over);
}

bool strike_slow_link(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL || node->bandwidth != 0) {
        return false;
    }
    strike_slow_down(sim, dice, node, dice_log(dice, 16, 256) << 10);
    return true;
}

static void delay_over(struct sim *sim, struct sim_event *event)
{
    sim->nodes[event->a]->delay_ns = 0;
}

bool strike_delay(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL || node->delay_ns != 0) {
        return false;
    }
    node->delay_ns = dice_log(dice, 1, 400) * SIM_MS;
    strike_undo(sim, dice, node, delay_over);
    return true;
}

static void loss_over(struct sim *sim, struct sim_event *event)
{
    sim->nodes[event->a]->loss_percent = 0;
}

bool strike_loss(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL || node->loss_percent != 0) {
        return false;
    }
    node->loss_percent = (uint32_t)dice_log(dice, 1, 20);
    strike_undo(sim, dice, node, loss_over);
    return true;
}

bool strike_renumber(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    if (node == NULL) {
        return false;
    }
    uint32_t number = (uint32_t)dice_between(dice, 1, sim->n_addresses - 1);
    uint32_t old = node->address_number;
    if (sim->at_address[number] == 0 && number <= sim->nodes_max) {
        number += sim->nodes_max - 1; /* it is kept for one that joins */
    }
    uint32_t holder = sim->at_address[number];
    if (holder == node->index + 1) {
        return false;
    }
    struct sim_node *swapped = holder != 0 ? sim->nodes[holder - 1] : NULL;
    net_set_address(sim, node, number);
    if (swapped != NULL) {
        net_set_address(sim, swapped, old);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct sim_node *moved = i == 0 ? node : swapped;
        list_for_each (at, &(moved != NULL ? moved : node)->ends) {
            const struct sim_end *end = LIST_ENTRY(at, struct sim_end, of_node);
            struct sim_conn *conn = net_conn(sim, end->conn);
            if (moved != NULL && conn->ends[1].node != NULL) {
                net_break(sim, conn, true, true);
            }
        }
        for (unsigned j = 0; moved != NULL && j < sim->n_nodes && !sim->is_multicast_dead; j++) {
            if (j != moved->index && sim->nodes[j]->core != NULL) {
                found_tell(sim, sim->nodes[j], moved, dice_roll(dice, 3 * SIM_S),
                           moved->address_number);
            }
        }
    }
    return true;
}

/* --- discovery ---------------------------------------------------------------------------------
 */

bool strike_found_again(struct sim *sim, struct dice *dice)
{
    struct sim_node *to = strike_pick(sim, dice);
    struct sim_node *of = strike_pick(sim, dice);
    if (to == NULL || to == of) {
        return false;
    }
    found_tell(sim, to, of, 0, of->address_number);
    found_tell(sim, to, of, dice_roll(dice, SIM_S), of->address_number);
    return true;
}

bool strike_found_stale(struct sim *sim, struct dice *dice)
{
    struct sim_node *to = strike_pick(sim, dice);
    const struct sim_node *of = sim->nodes[dice_roll(dice, sim->n_nodes)];
    if (to == NULL || to == of) {
        return false;
    }
    found_tell(sim, to, of, 0, (uint32_t)dice_between(dice, 1, sim->n_addresses - 1));
    return true;
}

bool strike_found_lost(struct sim *sim, struct dice *dice)
{
    struct sim_node *to = strike_pick(sim, dice);
    const struct sim_node *of = sim->nodes[dice_roll(dice, sim->n_nodes)];
    if (to == NULL || to == of) {
        return false;
    }
    found_lost(sim, to, of);
    return true;
}
