/* What goes wrong: the schedule of a seed, each fault as it strikes, and its end. */
#include "tests/sim/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/strike.h"
#include "wire/base/mem.h"

#define FAULTS_MAX 200u

#define NAME_TEXT(name, word, text)    word,
#define EXPLAIN_TEXT(name, word, text) text,
static const char *const names[] = {SIM_FAULTS(NAME_TEXT)};
static const char *const texts[] = {SIM_FAULTS(EXPLAIN_TEXT)};

const char *sim_fault_name(enum sim_fault_kind kind)
{
    return names[kind];
}

const char *sim_fault_text(enum sim_fault_kind kind)
{
    return texts[kind];
}

bool sim_fault_parse(const char *name, enum sim_fault_kind *ret_kind)
{
    for (unsigned kind = 0; kind < SIM_N_FAULTS; kind++) {
        if (strcmp(names[kind], name) == 0) {
            *ret_kind = (enum sim_fault_kind)kind;
            return true;
        }
    }
    return false;
}

/* --- the schedule ------------------------------------------------------------------------------
 */

static int by_time(const void *a, const void *b)
{
    const struct sim_fault *x = a;
    const struct sim_fault *y = b;
    return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

/* Those that often find nobody to strike, or lead to what seldom comes up, late answers for one,
 * are drawn more often. */
static uint32_t shyness(const struct sim *sim, unsigned kind)
{
    switch (kind) {
    case SIM_FAULT_CELL_CRASH:
    case SIM_FAULT_CELL_HANG:
    case SIM_FAULT_CLIENT_GONE:
    case SIM_FAULT_CLIENT_CANCEL:
    case SIM_FAULT_CLIENT_STALL:
        return 5;
    case SIM_FAULT_RESET:
    case SIM_FAULT_HALF_OPEN:
    case SIM_FAULT_CABLE:
    case SIM_FAULT_FREEZE:
        return 4;
    case SIM_FAULT_VERSION: /* in a large mesh those that merely heard of it meet it later */
        return sim->dense_max > 0 ? 6 : 1;
    default:
        return 1;
    }
}

/* Swarm: each seed has its own mix of kinds, so that rare combinations come up at all. */
void fault_plan(struct sim *sim)
{
    struct dice dice = {dice_next(&sim->dice)};
    uint32_t weights[SIM_N_FAULTS];
    uint32_t sum = 0;
    for (unsigned kind = 0; kind < SIM_N_FAULTS; kind++) {
        uint32_t weight = (uint32_t)dice_between(&dice, 1, 8) * shyness(sim, kind);
        bool is_in = dice_chance(&dice, 45) && !sim->options.is_kind_off[kind];
        weights[kind] = is_in ? weight : 0;
        sum += weights[kind];
    }
    uint32_t n = (uint32_t)dice_log(&dice, 1, 90);
    n = dice_chance(&dice, 5) || sum == 0 || sim->options.is_calm ? 0 : n;
    sim->faults = mem_alloc_or_die(n + 1, sizeof(*sim->faults));
    sim->n_faults = n;
    uint64_t span_ns = sim->faults_end_ns - sim->start_ns - SIM_S;
    for (uint32_t i = 0; i < n; i++) {
        struct sim_fault *fault = &sim->faults[i];
        fault->at_ns = SIM_S / 2 + dice_roll(&dice, span_ns);
        fault->dice = dice_next(&dice);
        uint64_t at = dice_roll(&dice, sum);
        unsigned kind = 0;
        while (at >= weights[kind]) {
            at -= weights[kind++];
        }
        fault->kind = (enum sim_fault_kind)kind;
    }
    qsort(sim->faults, n, sizeof(*sim->faults), by_time);
    sim->report.n_planned = n;
    if (sim->options.planned != NULL) {
        *sim->options.planned = n;
    }
}

/* --- choosing ----------------------------------------------------------------------------------
 */

bool strike_runs(const struct sim_node *node)
{
    return sim_node_runs(node) && node->clone_of == NULL && !node->is_stopping;
}

/* One of those that run; NULL: none does. */
struct sim_node *strike_pick(struct sim *sim, struct dice *dice)
{
    unsigned from = (unsigned)dice_roll(dice, sim->n_nodes);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = sim->nodes[(from + i) % sim->n_nodes];
        if (strike_runs(node)) {
            return node;
        }
    }
    return NULL;
}

uint64_t strike_span_ns(struct dice *dice)
{
    return dice_log(dice, 50, 15000) * SIM_MS;
}

struct sim_event *strike_undo_in(struct sim *sim, const struct sim_node *node, uint64_t in_ns,
                                 void (*fire)(struct sim *sim, struct sim_event *event))
{
    struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, in_ns, fire);
    event->a = node != NULL ? node->index : 0;
    return event;
}

/* Calls `fire` when the fault is over; a: index of the node, b: what it needs. */
struct sim_event *strike_undo(struct sim *sim, struct dice *dice, const struct sim_node *node,
                              void (*fire)(struct sim *sim, struct sim_event *event))
{
    return strike_undo_in(sim, node, strike_span_ns(dice), fire);
}

/* --- striking ----------------------------------------------------------------------------------
 */

static bool (*const strikes[SIM_N_FAULTS])(struct sim *sim, struct dice *dice) = {
    [SIM_FAULT_RESET] = strike_reset,
    [SIM_FAULT_HALF_OPEN] = strike_half_open,
    [SIM_FAULT_ONE_WAY] = strike_one_way,
    [SIM_FAULT_PARTITION] = strike_partition,
    [SIM_FAULT_CABLE] = strike_cable,
    [SIM_FAULT_SLOW_LINK] = strike_slow_link,
    [SIM_FAULT_DELAY] = strike_delay,
    [SIM_FAULT_LOSS] = strike_loss,
    [SIM_FAULT_KILL] = strike_kill,
    [SIM_FAULT_POWER] = strike_power,
    [SIM_FAULT_AMNESIA] = strike_amnesia,
    [SIM_FAULT_STOP] = strike_stop,
    [SIM_FAULT_FREEZE] = strike_freeze,
    [SIM_FAULT_SUSPEND] = strike_suspend,
    [SIM_FAULT_LATE_LOOP] = strike_late_loop,
    [SIM_FAULT_CLOCK_JUMP] = strike_clock_jump,
    [SIM_FAULT_CLOCK_DRIFT] = strike_clock_drift,
    [SIM_FAULT_DISK_FAIL] = strike_disk_fail,
    [SIM_FAULT_DISK_FULL] = strike_disk_full,
    [SIM_FAULT_BLOB_GONE] = strike_blob_gone,
    [SIM_FAULT_CELL_CRASH] = strike_cell_crash,
    [SIM_FAULT_CELL_HANG] = strike_cell_hang,
    [SIM_FAULT_CELL_NONE] = strike_cell_none,
    [SIM_FAULT_CLIENT_GONE] = strike_client_gone,
    [SIM_FAULT_CLIENT_CANCEL] = strike_client_cancel,
    [SIM_FAULT_CLIENT_STALL] = strike_client_stall,
    [SIM_FAULT_CORES] = strike_cores,
    [SIM_FAULT_JOIN] = strike_join,
    [SIM_FAULT_SUBMIT] = strike_submit,
    [SIM_FAULT_FOUND_AGAIN] = strike_found_again,
    [SIM_FAULT_FOUND_STALE] = strike_found_stale,
    [SIM_FAULT_FOUND_LOST] = strike_found_lost,
    [SIM_FAULT_RENUMBER] = strike_renumber,
    [SIM_FAULT_CLONE] = strike_clone,
    [SIM_FAULT_VERSION] = strike_version,
};

/* a: number of the fault. */
static void strike_fire(struct sim *sim, struct sim_event *event)
{
    const struct sim_fault *fault = &sim->faults[event->a];
    struct dice dice = {fault->dice};
    sim_note(sim, "-----", "!", "fault %u: %s", (unsigned)event->a, names[fault->kind]);
    for (unsigned i = 0; i < 4; i++) { /* somebody whom it can strike */
        if (strikes[fault->kind](sim, &dice)) {
            sim->report.n_faults++;
            sim->report.n_by_kind[fault->kind]++;
            return;
        }
    }
}

static bool is_skipped(const struct sim_options *options, uint32_t i)
{
    for (uint32_t k = 0; k < options->n_skips; k++) {
        if (options->skips[k] == i) {
            return true;
        }
    }
    return i >= options->n_faults_first;
}

void fault_start(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->n_faults; i++) {
        if (!is_skipped(&sim->options, i)) {
            uint64_t in_ns = sim->faults[i].at_ns;
            sim_event_new(sim, SIM_WORLD, NULL, in_ns, strike_fire)->a = i;
        }
    }
}

/* --- the end of all of them --------------------------------------------------------------------
 */

static void heal_node(struct sim *sim, struct sim_node *node)
{
    node->bandwidth = node->delay_ns = 0;
    node->loss_percent = 0;
    node->disk_error = 0;
    node->has_no_cells = node->is_given_up = node->is_frail = false;
    work_hang_all(sim, node, false);
    if (node->clone_of != NULL) {
        node->clone_of->has_clone = false;
        sim_node_kill(sim, node, false);
        return;
    }
    if (node->is_version_odd || node->is_version_old) { /* brought up to date */
        sim_node_kill(sim, node, false);
        node->is_version_odd = node->is_version_old = false;
    }
    if (node->is_frozen || node->is_suspended) {
        node->is_frozen = node->is_suspended = false;
        sim_node_unpark(sim, node);
    }
}

void fault_heal(struct sim *sim)
{
    sim_note(sim, "-----", "!", "all is mended");
    sim->is_healed = true;
    if (sim->cut != NULL) {
        memset(sim->cut, 0, (size_t)sim->nodes_max * sim->nodes_max);
    }
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        heal_node(sim, sim->nodes[i]);
    }
    net_mended(sim);
    sim_run_until(sim, sim->now_ns + SIM_MS);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = sim->nodes[i];
        if (node->clone_of != NULL) {
            continue;
        }
        if (node->core == NULL) {
            node->config.cores = node->config.cores_effective;
            sim_node_start(sim, node);
        } else if (!node->is_stopping && node->config.cores != node->config.cores_effective) {
            sim_event_new(sim, SIM_DAEMON, node, 0, strike_cores_fire)->a =
                node->config.cores_effective;
        }
    }
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->is_stalled) {
            client_stall(sim, job, false);
        }
    }
    found_all(sim);
}
