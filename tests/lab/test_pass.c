/* Results of calls that read one another, on real hosts: they go from executor to executor, and
 * what is lost with one of them is made again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/daemons.h"

#define PATIENCE_MS 60000
#define BYTES       (16u << 20)
#define N_PAIRS     4
/* Of one result: beats, acknowledgements, results that are not the bytes, for all of the calls. */
#define TO_SUBMITTER_PERCENT_MAX 5

static struct lab_process *start(const struct daemon_scene *scene, unsigned bytes, unsigned n_pairs,
                                 const char *ms)
{
    char size[16];
    char pairs[16];
    snprintf(size, sizeof(size), "%u", bytes);
    snprintf(pairs, sizeof(pairs), "%u", n_pairs);
    const char *argv[] = {getenv("LAB_CALLER"), "pass", size, pairs, ms, NULL};
    const char *env[] = {"MESH_SOCKET=" DAEMON_SOCKET, NULL};
    struct lab_start how = {.env = env};
    ck_assert_ptr_nonnull(argv[0]);
    return lab_spawnv(scene->hosts[0], argv, &how);
}

static void expect_right(struct lab_process *caller)
{
    lab_expect(caller, PATIENCE_MS, 0);
    ck_assert_ptr_nonnull(strstr(lab_output(caller), "passed on,: right\n"));
}

static uint64_t n_to(const struct daemon_scene *scene, unsigned i)
{
    return lab_counters(scene->hosts[i], SWITCH_TO_HOST).n_bytes;
}

START_TEST(results_go_from_executor_to_executor)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "1", PATIENCE_MS);
    expect_right(start(&scene, 1000, 1, "200")); /* the program is there from now on */
    uint64_t before[DAEMON_EXECUTORS + 1];
    for (unsigned i = 0; i <= DAEMON_EXECUTORS; i++) {
        before[i] = n_to(&scene, i);
    }
    expect_right(start(&scene, BYTES, N_PAIRS, "100"));
    uint64_t n_among = 0;
    for (unsigned i = 1; i <= DAEMON_EXECUTORS; i++) {
        n_among += n_to(&scene, i) - before[i];
    }
    uint64_t n_back = n_to(&scene, 0) - before[0];
    printf("# figure: pass: the submitter received %.2f %% of one result of %u MiB (limit %u), the "
           "executors %.1f of them\n",
           100.0 * (double)n_back / BYTES, BYTES >> 20, TO_SUBMITTER_PERCENT_MAX,
           (double)n_among / BYTES);
    ck_assert_uint_le(n_back, (uint64_t)BYTES / 100 * TO_SUBMITTER_PERCENT_MAX);
    ck_assert_uint_ge(n_among, (uint64_t)BYTES); /* else nothing was passed on */
    lab_free(scene.lab);
}
END_TEST

/* Whichever of them it is: it has a part of what the calls to come read. */
START_TEST(what_is_lost_with_an_executor_is_made_again)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "1", PATIENCE_MS);
    struct lab_process *caller = start(&scene, BYTES / 4, 3 * N_PAIRS, "300");
    ck_assert(lab_wait_text(caller, "first is there", PATIENCE_MS));
    lab_let_pass(700 + 100 * (unsigned)_i); /* some pairs on: it may have one, or be at one */
    lab_kill(scene.daemons[1 + _i]);
    expect_right(caller);
    lab_free(scene.lab);
}
END_TEST

START_TEST(results_outlive_the_submitters_daemon)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "1", PATIENCE_MS);
    struct lab_process *caller = start(&scene, BYTES / 4, 2 * N_PAIRS, "300");
    ck_assert(lab_wait_text(caller, "first is there", PATIENCE_MS));
    lab_kill(scene.daemons[0]);
    scene.daemons[0] = daemon_start(scene.hosts[0], "--cores", "0", "--dead-after", "1", NULL);
    expect_right(caller);
    lab_free(scene.lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pass");
    TCase *tc = tcase_create("pass");
    tcase_set_timeout(tc, getenv("MESH_LAB_WRAP") == NULL ? 90 : 280);
    tcase_add_test(tc, results_go_from_executor_to_executor);
    tcase_add_loop_test(tc, what_is_lost_with_an_executor_is_made_again, 0, DAEMON_EXECUTORS);
    tcase_add_test(tc, results_outlive_the_submitters_daemon);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
