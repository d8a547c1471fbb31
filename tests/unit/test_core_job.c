/* Jobs over several cores: placed, run, retried, lost and found, each task reported once. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"
#include "wire/base/list.h"

static struct world *mesh_of(unsigned n, uint64_t seed)
{
    struct world *world = world_new(seed);
    for (unsigned i = 0; i < n; i++) {
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_peers_up, n - 1);
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_links, n - 1);
    }
    return world;
}

START_TEST(two_cores_run_a_job)
{
    struct world *world = mesh_of(2, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 40, "exit", "0");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 40);
    ck_assert_uint_ge(world_n_started(world, 0), 15);
    ck_assert_uint_ge(world_n_started(world, 1), 15);
    world_run_for(world, 10 * CORE_S);
    world_assert_quiet(world);
    world_free(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_job");
    TCase *tcase = tcase_create("jobs");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, two_cores_run_a_job);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
