/* Discovery: who is reported to whom, when, and with which address. What is reported may be late,
 * said twice, stale, or missing where multicast does not get through; then one peer that was named
 * by hand, and what peers tell each other, have to do. */
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

static void print_address(char *to, size_t n_to, uint32_t number)
{
    snprintf(to, n_to, "10.%u.%u.%u:6374", number >> 16 & 255, number >> 8 & 255, number & 255);
}

/* key: of whom, a: address number, b: source. */
static void found_fire(struct sim *sim, struct sim_event *event)
{
    if (event->node->core == NULL) {
        return;
    }
    char text[32];
    print_address(text, sizeof(text), (uint32_t)event->a);
    struct slice address = slice_str(text);
    struct core_event found = {.type = CORE_EVENT_PEER_FOUND};
    found.peer_found.source = (enum core_source)event->b;
    found.peer_found.has_key = event->b != CORE_SOURCE_STATIC;
    found.peer_found.key = event->key;
    found.peer_found.addresses = (struct wire_slices){.items = &address, .n = 1};
    found.peer_found.static_name = event->b == CORE_SOURCE_STATIC ? address : slice_of(NULL, 0);
    sim_step(sim, event->node, &found);
}

static void tell(struct sim *sim, struct sim_node *to, const struct wire_key *key, uint64_t in_ns,
                 uint32_t address_number, enum core_source source)
{
    struct sim_event *event = sim_event_new(sim, SIM_DAEMON, to, in_ns, found_fire);
    event->key = *key;
    event->a = address_number;
    event->b = source;
}

void found_tell(struct sim *sim, struct sim_node *to, const struct sim_node *of, uint64_t in_ns,
                uint32_t address_number)
{
    tell(sim, to, &of->key, in_ns, address_number, CORE_SOURCE_MDNS);
}

static void lost_fire(struct sim *sim, struct sim_event *event)
{
    if (event->node->core != NULL) {
        struct core_event lost = {.type = CORE_EVENT_PEER_LOST};
        lost.peer_lost.key = event->key;
        sim_step(sim, event->node, &lost);
    }
}

void found_lost(struct sim *sim, struct sim_node *to, const struct sim_node *of)
{
    sim_event_new(sim, SIM_DAEMON, to, 0, lost_fire)->key = of->key;
}

static bool hears(const struct sim *sim, const struct sim_node *to, const struct sim_node *of)
{
    return to != of && to->core != NULL && of->core != NULL && net_is_open(sim, of, to);
}

static uint64_t delay_ns(struct sim *sim)
{
    struct dice *dice = &sim->dice;
    return dice_chance(dice, 5) ? dice_roll(dice, 20 * SIM_S) : dice_log(dice, 1, 300) * SIM_MS;
}

void found_new_node(struct sim *sim, struct sim_node *node)
{
    for (unsigned i = 0; node->memories != NULL && i < sim->nodes_max; i++) {
        const struct sim_memory *memory = &node->memories[i];
        if (memory->address_number != 0) {
            tell(sim, node, &memory->key, 0, memory->address_number, CORE_SOURCE_REMEMBERED);
        }
    }
    if (sim->is_multicast_dead) {
        if (node->index > 0) {
            tell(sim, node, &node->key, 0, sim->nodes[0]->address_number, CORE_SOURCE_STATIC);
        }
        return;
    }
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *other = sim->nodes[i];
        if (hears(sim, other, node)) {
            found_tell(sim, other, node, delay_ns(sim), node->address_number);
        }
        if (hears(sim, node, other)) {
            found_tell(sim, node, other, delay_ns(sim), other->address_number);
        }
    }
}

void found_all(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        for (unsigned j = 0; j < sim->n_nodes && !sim->is_multicast_dead; j++) {
            struct sim_node *to = sim->nodes[i];
            struct sim_node *of = sim->nodes[j];
            if (hears(sim, to, of)) {
                found_tell(sim, to, of, dice_roll(&sim->dice, SIM_S), of->address_number);
            }
        }
        struct sim_node *node = sim->nodes[i];
        if (sim->is_multicast_dead && i > 0 && node->core != NULL) {
            tell(sim, node, &node->key, 0, sim->nodes[0]->address_number, CORE_SOURCE_STATIC);
        }
    }
}

/* --- what is kept of peers from life to life ---------------------------------------------------
 */

void found_remember(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    if (sim->options.is_plain) {
        return; /* nobody starts again, and thousands would remember thousands */
    }
    const struct sim_node *of = sim_owner_of(sim, &effect->remember.key);
    char text[64];
    unsigned a, b, c;
    snprintf(text, sizeof(text), "%.*s", SLICE_FMT(effect->remember.address));
    if (of == NULL || sscanf(text, "10.%u.%u.%u:", &a, &b, &c) != 3) {
        return;
    }
    if (node->memories == NULL) {
        node->memories = mem_alloc_or_die(sim->nodes_max, sizeof(*node->memories));
    }
    node->memories[of->index].key = effect->remember.key;
    node->memories[of->index].address_number = a << 16 | b << 8 | c;
}

void found_forget(struct sim *sim, struct sim_node *node)
{
    node->memories = mem_free(node->memories);
}
