/* Several submitters that want the same cores, all of them, and for long enough to see who gets
 * what. It comes when all else is over, in some of the seeds, and has dice of its own: what a
 * seed is until then does not depend on it. What must hold is in fairness.c. */
#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

#define CONTEST_PERCENT    15u             /* of the seeds */
#define CONTEST_TASKS      400u            /* at most, in all */
#define CONTEST_PER_CORE   24u             /* at least */
#define CONTEST_NS         (1200 * SIM_MS) /* at least, that a core is busy for */
#define CONTEST_SUBMITTERS 4u              /* at most */

struct contest {
    struct client_wish wish; /* what all have in common */
    struct slice *on;
    uint32_t n_on, n_cores, cores_most;
};

static bool may_compete(const struct sim_node *node)
{
    return sim_node_runs(node) && !node->is_stopping && node->clone_of == NULL &&
           !node->was_cloned && !node->is_version_odd && !node->is_traitor;
}

bool contest_may_run(const struct sim_node *node)
{
    return may_compete(node) && node->config.has_sandbox && !node->has_no_command &&
           !node->is_black_hole && node->config.cores > 0 &&
           node->config.cores == node->config.cores_effective;
}

/* Executors from a random one on, until there are cores enough. */
static void choose_executors(struct sim *sim, struct contest *contest, struct dice *dice,
                             uint32_t cores_max)
{
    unsigned from = (unsigned)dice_roll(dice, sim->n_nodes);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = sim->nodes[(from + i) % sim->n_nodes];
        if (contest_may_run(node) && contest->n_cores + node->config.cores <= cores_max) {
            contest->on[contest->n_on++] = slice_str(node->name);
            contest->n_cores += node->config.cores;
            if (node->config.cores > contest->cores_most) {
                contest->cores_most = node->config.cores;
            }
        }
    }
}

static uint32_t fewer(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* One job, or two: of the same priority, or the second of a higher one and a little later. */
static void compete(struct sim *sim, const struct contest *contest, struct sim_node *node,
                    struct dice *dice, uint32_t n_tasks)
{
    struct client_wish wish = contest->wish;
    if (dice_chance(dice, 25)) {
        wish.millis = wish.millis / 2 + 1;
    }
    if (contest->cores_most > 1 && dice_chance(dice, 15)) {
        wish.cores = (uint32_t)dice_between(dice, 2, fewer(contest->cores_most, 4));
        n_tasks = n_tasks / wish.cores + 1;
    }
    uint64_t kind = dice_roll(dice, 4);
    wish.n_tasks = kind < 2 ? n_tasks : n_tasks / 2 + 1;
    client_submit_wish(sim, node, &wish);
    if (kind >= 2) {
        wish.priority += kind == 3;
        client_submit_wish(sim, node, &wish);
    }
}

bool contest_is_drawn(const struct sim *sim)
{
    struct dice dice = {dice_mix(sim->options.seed + UINT64_C(0xfa11))};
    return dice_chance(&dice, CONTEST_PERCENT);
}

void contest_start(struct sim *sim)
{
    uint64_t settled_ns = sim->healed_ns + FAIR_SETTLE_NS + SIM_MS;
    sim_run_until(sim, sim->now_ns > settled_ns ? sim->now_ns : settled_ns);
    struct dice dice = {dice_mix(sim->options.seed + UINT64_C(0xfa12))};
    struct contest contest = {.wish = {.millis = (uint32_t)dice_log(&dice, 10, 400), .cores = 1}};
    uint32_t per_core = (uint32_t)(CONTEST_NS / (contest.wish.millis * SIM_MS));
    per_core = per_core > CONTEST_PER_CORE ? per_core : CONTEST_PER_CORE;
    contest.on = mem_alloc_or_die(sim->n_nodes, sizeof(*contest.on));
    uint32_t cores_max = CONTEST_TASKS / per_core;
    choose_executors(sim, &contest, &dice, dice_chance(&dice, 30) ? cores_max / 3 : cores_max);
    contest.wish.on = (struct wire_slices){.items = contest.on, .n = contest.n_on};
    contest.wish.may_speculate = dice_chance(&dice, 50);
    uint32_t n = (uint32_t)dice_between(&dice, 2, CONTEST_SUBMITTERS);
    uint32_t n_tasks = contest.n_cores * per_core / n;
    unsigned from = (unsigned)dice_roll(&dice, sim->n_nodes);
    for (unsigned i = 0; i < sim->n_nodes && n > 0 && contest.n_on > 0; i++) {
        struct sim_node *node = sim->nodes[(from + i) % sim->n_nodes];
        if (may_compete(node)) {
            compete(sim, &contest, node, &dice, n_tasks);
            n--;
        }
    }
    mem_free(contest.on);
}
