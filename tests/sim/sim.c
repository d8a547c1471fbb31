/* The queue, the lives of nodes, and a step of a core. */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mesh/core/trace.h"
#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

#define FULL_PEERS_MAX 12u

/* --- saying things -----------------------------------------------------------------------------
 */

_Noreturn void sim_broken(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "seed %llu, %.6f s: ", (unsigned long long)sim->options.seed,
            (double)(sim->now_ns - sim->start_ns) / 1e9);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    abort();
}

static void trace_line(struct sim *sim, const char *who, const char *arrow)
{
    struct buf *trace = sim->options.trace;
    if (trace->n > sim->options.trace_bytes_max) {
        buf_consume(trace, trace->n / 2);
    }
    buf_printf(trace, "%12.6f %-5s %s ", (double)(sim->now_ns - sim->start_ns) / 1e9, who, arrow);
    buf_append_slice(trace, buf_slice(&sim->line));
    buf_append_str(trace, "\n");
    if (sim->options.trace_file != NULL) {
        fwrite(trace->p, 1, trace->n, sim->options.trace_file);
        fflush(sim->options.trace_file);
        buf_clear(trace);
    }
    for (size_t i = 0; i < sim->line.n; i++) {
        sim->trace_hash = (sim->trace_hash ^ sim->line.p[i]) * UINT64_C(0x100000001b3);
    }
    buf_clear(&sim->line);
}

void sim_note(struct sim *sim, const char *who, const char *arrow, const char *format, ...)
{
    if (sim->options.trace == NULL) {
        return;
    }
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_append_str(&sim->line, text);
    trace_line(sim, who, arrow);
}

/* --- the queue ---------------------------------------------------------------------------------
 */

struct sim_event *sim_event_new(struct sim *sim, enum sim_layer layer, struct sim_node *node,
                                uint64_t in_ns,
                                void (*fire)(struct sim *sim, struct sim_event *event))
{
    struct sim_event *event = mem_alloc_or_die(1, sizeof(*event));
    event->layer = layer;
    event->node = node;
    event->life = node != NULL ? node->life : 0;
    event->fire = fire;
    heap_set(&sim->queue, &event->at, sim->now_ns + in_ns);
    return event;
}

void sim_event_free(struct sim *sim, struct sim_event *event)
{
    heap_remove(&sim->queue, &event->at);
    list_remove(&event->parked);
    mem_free(event->bytes);
    mem_free(event);
}

bool sim_node_runs(const struct sim_node *node)
{
    return node->core != NULL && !node->is_frozen && !node->is_suspended;
}

static bool has_to_wait(const struct sim_event *event)
{
    const struct sim_node *node = event->node;
    return event->layer != SIM_WORLD &&
           (node->is_suspended || (event->layer == SIM_DAEMON && node->is_frozen));
}

static void run_next(struct sim *sim)
{
    struct sim_event *event = LIST_ENTRY(heap_first(&sim->queue), struct sim_event, at);
    sim->now_ns = event->at.at_ns > sim->now_ns ? event->at.at_ns : sim->now_ns;
    heap_remove(&sim->queue, &event->at);
    struct sim_node *node = event->node;
    if (node != NULL && event == node->tick) {
        if (sim_node_runs(node)) {
            event->fire(sim, event);
        }
        return;
    }
    if (event->layer != SIM_WORLD && event->life != node->life) {
        sim_event_free(sim, event);
        return;
    }
    if (has_to_wait(event)) {
        list_push_back(&node->parked, &event->parked);
        return;
    }
    event->fire(sim, event);
    if (!heap_has(&event->at) && !list_is_linked(&event->parked)) {
        sim_event_free(sim, event);
    }
}

void sim_run_until(struct sim *sim, uint64_t until_ns)
{
    while (heap_first_ns(&sim->queue) <= until_ns) {
        run_next(sim);
    }
    sim->now_ns = until_ns;
}

/* --- clocks ------------------------------------------------------------------------------------
 */

#define PPB INT64_C(1000000000)

uint64_t sim_clock_local(const struct sim *sim, const struct sim_node *node)
{
    __int128 dt = sim->now_ns - node->base_true_ns;
    return node->base_local_ns + (uint64_t)(dt * (PPB + node->drift_ppb) / PPB);
}

void sim_clock_set(struct sim *sim, struct sim_node *node, uint64_t leap_ns, int64_t drift_ppb)
{
    node->base_local_ns = sim_clock_local(sim, node) + leap_ns;
    node->base_true_ns = sim->now_ns;
    node->drift_ppb = drift_ppb;
    sim_tick_update(sim, node);
}

void sim_tick_update(struct sim *sim, struct sim_node *node)
{
    uint64_t at_ns = node->core != NULL ? core_next_deadline(node->core) : UINT64_MAX;
    if (at_ns == UINT64_MAX || !sim_node_runs(node)) {
        heap_remove(&sim->queue, &node->tick->at);
        return;
    }
    uint64_t true_ns = node->base_true_ns;
    if (at_ns > node->base_local_ns) {
        __int128 dl = at_ns - node->base_local_ns;
        true_ns += (uint64_t)((dl * PPB + PPB + node->drift_ppb - 1) / (PPB + node->drift_ppb));
    }
    heap_set(&sim->queue, &node->tick->at, true_ns > sim->now_ns ? true_ns : sim->now_ns);
}

static void tick_fire(struct sim *sim, struct sim_event *event)
{
    struct core_event tick = {.type = CORE_EVENT_TICK};
    sim_step(sim, event->node, &tick);
}

/* --- a step ------------------------------------------------------------------------------------
 */

static void note_event(struct sim *sim, struct sim_node *node, const struct core_event *event)
{
    uint64_t x = sim->now_ns ^ (uint64_t)event->type << 56 ^ (uint64_t)node->index << 40;
    sim->report.hash = dice_mix(sim->report.hash + x);
    if (sim->options.trace != NULL && event->type != CORE_EVENT_TICK) {
        core_event_print(event, &sim->line);
        trace_line(sim, node->name, "<");
    }
}

static void note_effect(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    sim->report.hash = dice_mix(sim->report.hash + effect->type);
    if (sim->options.trace != NULL) {
        core_effect_print(effect, &sim->line);
        trace_line(sim, node->name, ">");
    }
}

void sim_step(struct sim *sim, struct sim_node *node, struct core_event *event)
{
    ensure(sim_node_runs(node));
    event->now_ns = sim_clock_local(sim, node);
    sim->report.n_events++;
    note_event(sim, node, event);
    if (sim->gauge != NULL) {
        sim->gauge->before(sim->gauge, node, event);
        core_step(node->core, event, &node->effects);
        sim->gauge->after(sim->gauge, node, event);
    } else {
        core_step(node->core, event, &node->effects);
        core_check(node->core);
    }
    for (size_t i = 0; i < node->effects.n; i++) {
        note_effect(sim, node, &node->effects.items[i]);
        shell_carry_out(sim, node, &node->effects.items[i]);
    }
    sim_tick_update(sim, node);
}

/* --- nodes -------------------------------------------------------------------------------------
 */

static void own_key(struct sim *sim, struct sim_node *node)
{
    struct table_entry *entry = table_find(&sim->by_key, &node->key);
    if (entry != NULL) {
        return;
    }
    struct sim_owner *owner = mem_alloc_or_die(1, sizeof(*owner));
    owner->key = node->key;
    owner->node = node;
    table_insert(&sim->by_key, &owner->by_key, &owner->key);
}

struct sim_node *sim_owner_of(const struct sim *sim, const struct wire_key *key)
{
    struct table_entry *entry = table_find(&sim->by_key, key);
    return entry != NULL ? LIST_ENTRY(entry, struct sim_owner, by_key)->node : NULL;
}

void sim_node_key(struct sim *sim, struct sim_node *node, struct dice *dice)
{
    for (unsigned i = 0; i < sizeof(node->seed); i++) {
        node->seed[i] = (uint8_t)dice_next(dice);
    }
    node->identity = wire_identity_free(node->identity);
    node->identity = wire_identity_new(node->seed);
    ensure(node->identity != NULL);
    node->key = *wire_identity_key(node->identity);
    node->config.incarnation = 0;
    own_key(sim, node);
}

void sim_node_clone(struct sim *sim, struct sim_node *clone, struct sim_node *of)
{
    uint8_t seed[WIRE_SEED_BYTES];
    memcpy(seed, of->seed, sizeof(seed));
    table_for_each (entry, &sim->by_key) { /* the key it was made with was never seen */
        struct sim_owner *owner = LIST_ENTRY(entry, struct sim_owner, by_key);
        if (owner->node == clone) {
            table_remove(&sim->by_key, &owner->by_key);
            mem_free(owner);
        }
    }
    clone->identity = wire_identity_free(clone->identity);
    clone->identity = wire_identity_new(seed);
    ensure(clone->identity != NULL);
    clone->key = of->key;
    clone->clone_of = of;
    clone->is_version_odd = of->is_version_odd;
    clone->is_version_old = of->is_version_old;
    clone->is_black_hole = of->is_black_hole; /* what is said of a key holds for both */
    clone->has_no_command = of->has_no_command;
    clone->config.incarnation = of->config.incarnation;
    of->has_clone = of->was_cloned = true;
}

static void plain_traits(struct sim *sim, struct sim_node *node)
{
    struct core_config *config = &node->config;
    config->arch = "x86_64";
    config->os = "linux";
    config->program = "sim";
    config->cores = config->cores_effective = sim->options.plain_cores;
    config->dead_after_ns = sim->dead_after_ns;
    config->has_sandbox = true;
    node->slowness = 10;
    node->latency_ns = SIM_MS / 20;
    node->jitter_ns = SIM_MS / 50;
    node->base_true_ns = sim->now_ns;
    node->base_local_ns = SIM_S;
}

/* What a machine is like; most are ordinary. */
static void draw_traits(struct sim *sim, struct sim_node *node)
{
    struct dice *dice = &sim->dice;
    struct core_config *config = &node->config;
    config->arch = dice_chance(dice, 12) ? "aarch64" : "x86_64";
    config->os = "linux";
    config->program = "sim";
    config->cores = config->cores_effective = (uint32_t)dice_log(dice, 1, 16);
    if (node->index > 0 && dice_chance(dice, 8)) {
        config->cores = 0;
    }
    config->mem_bytes = dice_chance(dice, 30) ? UINT64_C(4) << 30 : 0;
    config->dead_after_ns = sim->dead_after_ns;
    config->dense_max = sim->dense_max;
    config->chosen = sim->dense_max / 2;
    node->is_disk_slow = dice_chance(dice, 40);
    config->has_journal = true;
    config->has_sandbox = node->index == 0 || !dice_chance(dice, 4);
    node->slowness = dice_chance(dice, 15) ? (uint32_t)dice_between(dice, 15, 100) : 10;
    node->is_black_hole = node->index > 1 && dice_chance(dice, 3);
    node->has_no_command = node->index > 1 && dice_chance(dice, 5);
    node->is_version_odd = node->index > 1 && dice_chance(dice, 3);
    node->is_version_old = dice_chance(dice, 5);
    node->latency_ns = dice_log(dice, 20, 2000) * 1000;
    node->jitter_ns = dice_roll(dice, node->latency_ns);
    node->base_true_ns = sim->now_ns;
    node->base_local_ns = dice_log(dice, 1, 1u << 20) * SIM_S;
    node->drift_ppb = (int64_t)dice_roll(dice, 400000) - 200000;
}

struct sim_node *sim_node_new(struct sim *sim)
{
    ensure(sim->n_nodes < sim->nodes_max);
    struct sim_node *node = mem_alloc_or_die(1, sizeof(*node));
    node->index = sim->n_nodes;
    sim->nodes[sim->n_nodes++] = node;
    snprintf(node->name, sizeof(node->name), "p%u", node->index);
    node->is_host_up = true;
    list_init(&node->parked);
    list_init(&node->ends);
    list_init(&node->dirty);
    list_init(&node->runs);
    list_init(&node->fetches);
    list_init(&node->kept);
    list_init(&node->said);
    kept_queues_init(&node->queues);
    table_init(&node->store, sizeof(struct wire_hash), sim->options.seed);
    core_effects_init(&node->effects);
    node->tick = mem_alloc_or_die(1, sizeof(*node->tick));
    node->tick->node = node;
    node->tick->layer = SIM_DAEMON;
    node->tick->fire = tick_fire;
    if (sim->options.is_plain) {
        plain_traits(sim, node);
    } else {
        draw_traits(sim, node);
    }
    sim_node_key(sim, node, &sim->dice);
    closed_new_node(sim, node);
    net_init_node(sim, node);
    sim->report.n_peers++;
    return node;
}

void sim_node_start(struct sim *sim, struct sim_node *node)
{
    ensure(node->core == NULL);
    struct core_config *config = &node->config;
    node->is_host_up = true;
    node->is_stopping = false;
    config->key = node->key;
    config->name = node->name;
    config->address = node->address;
    config->epoch = ++sim->next_epoch * UINT64_C(0x9e3779b97f4a7c15);
    config->incarnation++;
    config->seed = dice_next(&sim->dice);
    config->now_ns = sim_clock_local(sim, node);
    node->cores_told = config->has_sandbox ? config->cores : 0;
    struct core_trust_state trust;
    config->trust = closed_start(node, &trust);
    if (sim->gauge != NULL) {
        sim->gauge->before(sim->gauge, node, NULL);
        node->core = core_new(config);
        sim->gauge->after(sim->gauge, node, NULL);
    } else {
        node->core = core_new(config);
    }
    config->trust = NULL; /* it was copied */
    net_mended(sim);      /* a host that was off answers again */
    sim_note(sim, node->name, "=", "starts, life %u", config->incarnation);
    struct core_event event = {.type = CORE_EVENT_TICK};
    sim_step(sim, node, &event);
    if (!sim->options.is_plain) { /* else the measurement says who finds whom */
        disk_start(sim, node);
        found_new_node(sim, node);
    }
    node->was_started = true;
}

void sim_count_moves(struct sim *sim, const struct core *core)
{
    const struct core_moves *moves = core_moves_of(core);
    for (unsigned machine = 0; machine < CORE_N_MACHINES; machine++) {
        for (unsigned row = 0; row < CORE_ROWS_MAX; row++) {
            sim->report.n_taken[machine][row] += moves->n_taken[machine][row];
        }
    }
}

static void drop_parked(struct sim *sim, struct sim_node *node)
{
    while (!list_is_empty(&node->parked)) {
        sim_event_free(sim, LIST_ENTRY(node->parked.next, struct sim_event, parked));
    }
}

void sim_node_kill(struct sim *sim, struct sim_node *node, bool is_power)
{
    if (node->core == NULL) {
        return;
    }
    sim_note(sim, node->name, "=", is_power ? "loses power" : "is gone");
    sim_count_moves(sim, node->core);
    heap_remove(&sim->queue, &node->tick->at);
    node->core = core_free(node->core);
    node->life++;
    node->is_frozen = node->is_suspended = false;
    node->is_host_up = !is_power;
    node->is_stopping = false;
    node->is_flush_due = false;
    disk_kill(sim, node);
    work_drop_all(sim, node);
    net_node_gone(sim, node, is_power);
    shell_forget(node);
    client_daemon_gone(sim, node);
    drop_parked(sim, node);
}

void sim_node_unpark(struct sim *sim, struct sim_node *node)
{
    while (!list_is_empty(&node->parked)) {
        struct sim_event *event = LIST_ENTRY(node->parked.next, struct sim_event, parked);
        list_remove(&event->parked);
        heap_set(&sim->queue, &event->at, sim->now_ns);
    }
    net_mended(sim);
    sim_tick_update(sim, node);
}

/* --- a whole run -------------------------------------------------------------------------------
 */

static unsigned size_of(uint32_t n_peers)
{
    unsigned size = 0;
    while (size + 1 < SIM_SIZES && n_peers >= 4u << size) {
        size++;
    }
    return size;
}

struct sim *sim_new(const struct sim_options *options)
{
    struct sim *sim = mem_alloc_or_die(1, sizeof(*sim));
    sim->options = *options;
    sim->dice.state = dice_mix(options->seed + UINT64_C(0x51a2));
    struct dice *dice = &sim->dice;
    heap_init(&sim->queue);
    list_init(&sim->jobs);
    table_init(&sim->by_key, sizeof(struct wire_key), options->seed);
    table_init(&sim->conns, sizeof(uint64_t), options->seed);
    table_init(&sim->started, sizeof(uint64_t), options->seed);
    buf_init(&sim->line, 1u << 20);
    buf_init(&sim->wire_bytes, WIRE_QUEUE_BYTES_MAX);
    sim->now_ns = sim->start_ns = 1000 * SIM_S;
    sim->next_conn = sim->next_run = sim->next_client = 1;
    uint32_t n_drawn = (uint32_t)dice_log(dice, 2, SIM_PEERS_MAX);
    uint32_t n = options->n_peers > 0 ? options->n_peers : n_drawn;
    /* A tenth of all, among the smaller meshes: a signature costs more than all the rest. */
    bool is_full = n <= FULL_PEERS_MAX && dice_chance(dice, 19);
    sim->transport = options->transport != SIM_TRANSPORT_DRAWN ? options->transport
                     : is_full                                 ? SIM_TRANSPORT_FULL
                                                               : SIM_TRANSPORT_FAST;
    sim->report.n_plays = 1;
    sim->report.n_full = sim->transport == SIM_TRANSPORT_FULL;
    sim->report.n_by_size[size_of(n)] = 1;
    sim->nodes_max = n + 16; /* some may join */
    sim->nodes = mem_alloc_or_die(sim->nodes_max, sizeof(*sim->nodes));
    sim->n_addresses = sim->nodes_max * 2;
    sim->at_address = mem_alloc_or_die(sim->n_addresses, sizeof(*sim->at_address));
    if (sim->transport != SIM_TRANSPORT_BARE) {
        sim->cut = mem_alloc_or_die((size_t)sim->nodes_max * sim->nodes_max, 1);
    }
    sim->dead_after_ns = dice_chance(dice, 60) ? 3 * SIM_S : dice_between(dice, 1, 6) * SIM_S;
    sim->is_multicast_dead = dice_chance(dice, 10);
    /* What is a large mesh is smaller in some, so that large ones are played at all. */
    sim->dense_max = n >= 8 && dice_chance(dice, 20) ? (uint32_t)dice_between(dice, 6, 12) : 0;
    if (options->is_plain) {
        sim->dead_after_ns = 3 * SIM_S;
        sim->is_multicast_dead = false;
        sim->dense_max = 0;
    }
    crypto_seed(options->seed, sim->transport != SIM_TRANSPORT_FULL);
    sim->door = wire_door_new(); /* in memory as that says */
    ensure(sim->door != NULL);
    sim->is_closed = closed_is_drawn(sim);
    sim->report.n_closed = sim->is_closed;
    for (uint32_t i = 0; i < n; i++) {
        IGNORE(sim_node_new(sim));
    }
    closed_begin(sim);
    if (!options->is_plain) {
        fair_init(sim);
    }
    return sim;
}

static void node_free(struct sim *sim, struct sim_node *node)
{
    node->core = core_free(node->core);
    node->life++;
    work_drop_all(sim, node);
    shell_forget(node);
    disk_wipe(sim, node);
    drop_parked(sim, node);
    table_for_each (entry, &node->store) {
        struct sim_blob *blob = LIST_ENTRY(entry, struct sim_blob, by_hash);
        table_remove(&node->store, &blob->by_hash);
        mem_free(blob);
    }
    table_done(&node->store);
    core_effects_done(&node->effects);
    heap_remove(&sim->queue, &node->tick->at);
    mem_free(node->tick);
    mem_free(node->memories);
    wire_identity_free(node->identity);
    closed_free_node(node);
    mem_free(node);
}

void sim_free(struct sim *sim)
{
    net_free_all(sim);
    wire_door_free(sim->door);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        node_free(sim, sim->nodes[i]);
    }
    client_free_all(sim);
    queues_free(sim);
    while (heap_first(&sim->queue) != NULL) {
        sim_event_free(sim, LIST_ENTRY(heap_first(&sim->queue), struct sim_event, at));
    }
    table_for_each (entry, &sim->by_key) {
        struct sim_owner *owner = LIST_ENTRY(entry, struct sim_owner, by_key);
        table_remove(&sim->by_key, &owner->by_key);
        mem_free(owner);
    }
    oracle_free(sim);
    heap_done(&sim->queue);
    table_done(&sim->by_key);
    table_done(&sim->conns);
    table_done(&sim->started);
    buf_done(&sim->line);
    buf_done(&sim->wire_bytes);
    mem_free(sim->nodes);
    mem_free(sim->at_address);
    mem_free(sim->cut);
    mem_free(sim->faults);
    mem_free(sim);
}
