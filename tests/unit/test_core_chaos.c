/* Random schedules of faults over a few cores: whatever happens, each task of a job is reported
 * exactly once, and when all is quiet nothing is left anywhere. A failing seed replays exactly:
 * CORE_SEED=N build/tests/unit/test_core_chaos prints its timeline. CORE_SEEDS=N plays N seeds in
 * each of the ten groups. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

#define N_GROUPS        10
#define SEEDS_PER_GROUP 40
#define N_SUBMITTERS    2 /* nodes 0 and 1: never killed, all else may happen to them */

struct dice {
    uint64_t state;
};

static uint64_t roll(struct dice *dice, uint64_t below)
{
    dice->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = dice->state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % below;
}

struct weather {
    struct dice dice;
    unsigned n_nodes;
    bool is_dead[WORLD_NODES_MAX], is_frozen[WORLD_NODES_MAX], is_cut[WORLD_NODES_MAX];
    bool has_job[N_SUBMITTERS];
};

static void submit(struct world *world, struct weather *weather, unsigned i)
{
    static const char *const programs[][2] = {
        {"exit", "0"}, {"exit", "3"},     {"sleep", "300"}, {"sleep", "20"},   {"blob", "200000"},
        {"echo", "x"}, {"missing", NULL}, {"poison", NULL}, {"sleep", "2500"}, {"every", "3"},
    };
    struct dice *dice = &weather->dice;
    struct wire_message job = world_job();
    job.submit.runs_max = (uint32_t)roll(dice, 4) + 1;
    job.submit.spec.lease_ms = 1000 + roll(dice, 10000);
    job.submit.spec.cores = roll(dice, 5) == 0 ? 2 : 1;
    job.submit.is_once = roll(dice, 8) == 0;
    job.submit.jobs_max = roll(dice, 4) == 0 ? 3 : 0;
    job.submit.may_speculate = roll(dice, 2) == 0;
    struct wire_file file = {
        .path = slice_str("prog"), .mode = 0755, .hash = {{1, 2, 3}}, .bytes = 5000};
    if (roll(dice, 2) == 0) {
        job.submit.spec.files = (struct wire_files){.items = &file, .n = 1};
    }
    const char *const *program = programs[roll(dice, ARRAY_LEN(programs))];
    if (roll(dice, 6) == 0) {
        job.submit.spec.is_streamed = true;
        static const char *const stream[2] = {"stream", "300"};
        program = stream;
    }
    uint32_t n_tasks = job.submit.spec.is_streamed ? 1 : (uint32_t)roll(dice, 60) + 1;
    world_submit(world, i, &job, n_tasks, program[0], program[1]);
    weather->has_job[i] = true;
}

static void strike(struct world *world, struct weather *weather)
{
    struct dice *dice = &weather->dice;
    unsigned i = (unsigned)roll(dice, weather->n_nodes);
    unsigned j = (unsigned)roll(dice, weather->n_nodes);
    switch (roll(dice, 8)) {
    case 0:
        if (i >= N_SUBMITTERS && !weather->is_dead[i]) {
            weather->is_dead[i] = true;
            weather->is_frozen[i] = false;
            world_kill(world, i);
        }
        break;
    case 1:
        if (weather->is_dead[i]) {
            weather->is_dead[i] = false;
            world_restart(world, i);
        }
        break;
    case 2:
        if (!weather->is_cut[i]) {
            weather->is_cut[i] = true;
            world_cut(world, i);
        }
        break;
    case 3:
        for (unsigned k = 0; k < weather->n_nodes; k++) {
            if (weather->is_cut[k]) {
                weather->is_cut[k] = false;
                world_mend(world, k);
            }
        }
        break;
    case 4:
        if (!weather->is_dead[i] && !weather->is_frozen[i]) {
            weather->is_frozen[i] = true;
            world_freeze(world, i);
        }
        break;
    case 5:
        for (unsigned k = 0; k < weather->n_nodes; k++) {
            if (weather->is_frozen[k]) {
                weather->is_frozen[k] = false;
                world_thaw(world, k);
            }
        }
        break;
    case 6:
        if (i != j) {
            world_reset_link(world, i, j);
        }
        break;
    case 7:
        if (!weather->is_dead[i] && !weather->is_frozen[i]) {
            struct core_event event = {.type = CORE_EVENT_CORES};
            event.cores.cores = (uint32_t)roll(dice, 4);
            world_event(world, i, &event);
        }
        break;
    }
}

static void heal(struct world *world, struct weather *weather)
{
    for (unsigned i = 0; i < weather->n_nodes; i++) {
        if (weather->is_cut[i]) {
            world_mend(world, i);
        }
        if (weather->is_frozen[i]) {
            world_thaw(world, i);
        }
        weather->is_cut[i] = weather->is_frozen[i] = false;
    }
    world_run_for(world, CORE_MS);
    for (unsigned i = 0; i < weather->n_nodes; i++) {
        if (weather->is_dead[i]) {
            world_restart(world, i);
        }
        struct core_event event = {.type = CORE_EVENT_CORES};
        event.cores.cores = 2;
        world_event(world, i, &event);
    }
}

static void check_results(struct world *world, const struct weather *weather, uint64_t seed)
{
    for (unsigned i = 0; i < N_SUBMITTERS; i++) {
        const struct world_client *client = world_client(world, i);
        if (!weather->has_job[i]) {
            continue;
        }
        ck_assert_msg(client->is_job_done, "seed %llu: the job of node %u is not done",
                      (unsigned long long)seed, i);
        for (uint32_t task = 1; task <= client->n_tasks; task++) {
            ck_assert_msg(client->n_reports[task] == 1, "seed %llu: task %u of node %u: %u results",
                          (unsigned long long)seed, task, i, client->n_reports[task]);
        }
        ck_assert_uint_eq(client->job_done.n_tasks, client->n_tasks);
    }
}

static uint64_t play(uint64_t seed, bool is_traced)
{
    struct world *world = world_new(seed);
    struct weather weather = {.dice = {seed}};
    weather.n_nodes = 3 + (unsigned)roll(&weather.dice, 3);
    if (is_traced) {
        world_trace(world);
    }
    world_set_latency(world, CORE_MS / 10 + roll(&weather.dice, 20) * CORE_MS);
    for (unsigned i = 0; i < weather.n_nodes; i++) {
        world_config(world, i)->cores = 1 + (uint32_t)roll(&weather.dice, 4);
        if (i >= N_SUBMITTERS && roll(&weather.dice, 3) == 0) {
            world_set_slowness(world, i, 10);
        }
        world_set_broken(world, i, i >= N_SUBMITTERS && roll(&weather.dice, 5) == 0);
        world_start(world, i, true);
    }
    world_run_for(world, roll(&weather.dice, 500) * CORE_MS);
    for (unsigned i = 0; i < N_SUBMITTERS; i++) {
        if (i == 0 || roll(&weather.dice, 2) == 0) {
            submit(world, &weather, i);
        }
    }
    unsigned n_strikes = (unsigned)roll(&weather.dice, 25);
    for (unsigned k = 0; k < n_strikes; k++) {
        world_run_for(world, roll(&weather.dice, 1500) * CORE_MS);
        strike(world, &weather);
    }
    heal(world, &weather);
    for (unsigned i = 0; i < N_SUBMITTERS; i++) {
        if (weather.has_job[i]) {
            world_run_job(world, i, 300 * CORE_S);
        }
    }
    if (is_traced && getenv("CORE_SEED") != NULL) {
        fwrite(world_trace_text(world).p, 1, world_trace_text(world).n, stderr);
    }
    check_results(world, &weather, seed);
    world_run_for(world, 60 * CORE_S);
    for (unsigned i = 0; i < weather.n_nodes; i++) {
        ck_assert_msg(core_counts(world_core(world, i)).n_peers_up == weather.n_nodes - 1,
                      "seed %llu: node %u does not see all", (unsigned long long)seed, i);
    }
    world_assert_quiet(world);
    uint64_t hash = world_trace_hash(world);
    world_free(world);
    return hash;
}

START_TEST(each_task_is_reported_once_whatever_fails)
{
    const char *one = getenv("CORE_SEED");
    if (one != NULL) {
        play(strtoull(one, NULL, 10), true);
        return;
    }
    const char *more = getenv("CORE_SEEDS"); /* per group, for a longer hunt */
    uint64_t n = more != NULL ? strtoull(more, NULL, 10) : SEEDS_PER_GROUP;
    for (uint64_t k = 0; k < n; k++) {
        uint64_t seed = (uint64_t)_i * n + k;
        if (getenv("CORE_VERBOSE") != NULL) {
            fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        }
        play(seed, false);
    }
}
END_TEST

START_TEST(the_same_seed_gives_the_same_trace)
{
    for (uint64_t seed = 1000; seed < 1005; seed++) {
        ck_assert_uint_eq(play(seed, true), play(seed, true));
    }
    ck_assert_uint_ne(play(1000, true), play(1001, true));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_chaos");
    TCase *tcase = tcase_create("chaos");
    tcase_set_timeout(tcase, 100);
    tcase_add_loop_test(tcase, each_task_is_reported_once_whatever_fails, 0, N_GROUPS);
    tcase_add_test(tcase, the_same_seed_gives_the_same_trace);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
