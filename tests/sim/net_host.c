/* Hosts: which address is whose, and how long it takes from one to the other. */
#include <stdio.h>

#include "tests/sim/sim_internal.h"

/* --- addresses ---------------------------------------------------------------------------------
 */

static void print_address(char *to, size_t n_to, uint32_t number)
{
    snprintf(to, n_to, "10.%u.%u.%u:%u", number >> 16 & 255, number >> 8 & 255, number & 255,
             NET_PORT);
}

void net_set_address(struct sim *sim, struct sim_node *node, uint32_t number)
{
    ensure(number < sim->n_addresses);
    if (node->address_number != 0 && sim->at_address[node->address_number] == node->index + 1) {
        sim->at_address[node->address_number] = 0;
    }
    node->address_number = number;
    sim->at_address[number] = node->index + 1;
    print_address(node->address, sizeof(node->address), number);
}

void net_init_node(struct sim *sim, struct sim_node *node)
{
    net_set_address(sim, node, node->index + 1);
}

struct sim_node *net_node_at(const struct sim *sim, struct slice address)
{
    char text[64];
    unsigned a, b, c, port;
    snprintf(text, sizeof(text), "%.*s", SLICE_FMT(address));
    if (sscanf(text, "10.%u.%u.%u:%u", &a, &b, &c, &port) != 4 || port != NET_PORT) {
        return NULL;
    }
    uint32_t number = a << 16 | b << 8 | c;
    uint32_t at = number < sim->n_addresses ? sim->at_address[number] : 0;
    return at > 0 ? sim->nodes[at - 1] : NULL;
}

/* --- ways --------------------------------------------------------------------------------------
 */

void net_cut(struct sim *sim, const struct sim_node *from, const struct sim_node *to, int change)
{
    uint8_t *cut = &sim->cut[from->index * sim->nodes_max + to->index];
    ensure(change > 0 || *cut > 0);
    *cut = (uint8_t)(*cut + change);
}

bool net_is_open(const struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    return from->is_host_up && to->is_host_up && !from->is_suspended && !to->is_suspended &&
           (sim->cut == NULL || sim->cut[from->index * sim->nodes_max + to->index] == 0);
}

uint64_t net_latency_ns(struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    uint64_t ns = from->latency_ns + to->latency_ns + from->delay_ns + to->delay_ns;
    ns += dice_roll(&sim->dice, from->jitter_ns + to->jitter_ns + 1);
    uint64_t late_ns = NET_LOSS_DELAY_NS;
    while (dice_chance(&sim->dice, from->loss_percent + to->loss_percent) && late_ns < 4 * SIM_S) {
        ns += late_ns;
        late_ns *= 2;
    }
    return ns;
}

bool net_is_up(const struct sim_conn *conn)
{
    return conn != NULL && conn->ends[0].state == SIM_END_UP && conn->ends[1].state == SIM_END_UP;
}

bool net_are_linked(const struct sim *sim, const struct sim_node *a, const struct sim_node *b)
{
    list_for_each (at, &a->ends) {
        const struct sim_end *end = LIST_ENTRY(at, struct sim_end, of_node);
        const struct sim_conn *conn = net_conn(sim, end->conn);
        if (net_is_up(conn) && (conn->ends[0].node == b || conn->ends[1].node == b)) {
            return true;
        }
    }
    return false;
}
