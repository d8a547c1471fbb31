/* libmesh on real hosts: a submitter that offers no cores, and executors that have neither the
 * program nor the library. What values come to, how calls fail, what is sent over the wire how
 * often, what happens to calls when a daemon dies; and the examples. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lab/daemons.h"

#define PATIENCE_MS 60000
#define SHARED      (16u << 20)
/* As in test_program.c: headers, signatures, beats, what a full queue sends again. */
#define SHARED_PERCENT_MAX 120

/* A program of ours on the submitter's host; `folder` is where it runs, or NULL. */
static struct lab_process *start(const struct daemon_scene *scene, const char *folder,
                                 const char *program, const char *a, const char *b, const char *c)
{
    const char *argv[] = {getenv(program), a, b, c, NULL};
    const char *env[] = {"MESH_SOCKET=" DAEMON_SOCKET, NULL};
    struct lab_start how = {.folder = folder, .env = env};
    ck_assert_ptr_nonnull(argv[0]);
    return lab_spawnv(scene->hosts[0], argv, &how);
}

static const char *run(const struct daemon_scene *scene, const char *program, const char *a,
                       const char *b, const char *c)
{
    struct lab_process *process = start(scene, NULL, program, a, b, c);
    lab_expect(process, PATIENCE_MS, 0);
    return lab_output(process);
}

START_TEST(values_and_buffers_come_back_as_they_must)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    const char *said = run(&scene, "LAB_CALLER", "good", NULL, NULL);
    ck_assert_ptr_null(strstr(said, "WRONG"));
    ck_assert_ptr_nonnull(strstr(said, "map in place: right\n"));
    ck_assert_ptr_nonnull(strstr(said, "in-out of 3145728: right\n"));
    ck_assert_ptr_null(strstr(said, "ran on hal")); /* it offers no cores */
    lab_free(scene.lab);
}
END_TEST

START_TEST(what_fails_says_what_happened_where)
{
    static const char *const wanted[] = {
        "no_such_function",
        "twice: argument 0 is a string, not an integer",
        "twice: there is no argument 0",
        "was killed by signal 6 (Aborted)",
        "exited with status 3",
        "no, not 7",
        "the function set no result",
        "cancelled",
        "afterwards: right",
    };
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    const char *said = run(&scene, "LAB_CALLER", "bad", NULL, NULL);
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        ck_assert_msg(strstr(said, wanted[i]) != NULL, "nothing of \"%s\" in:\n%s", wanted[i],
                      said);
    }
    lab_free(scene.lab);
}
END_TEST

START_TEST(a_value_by_reference_is_sent_to_each_executor_once)
{
    struct daemon_scene scene;
    char bytes[16];
    uint64_t before[DAEMON_EXECUTORS];
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    run(&scene, "LAB_CALLER", "share", "1", "12"); /* the program is there from now on */
    for (unsigned i = 0; i < DAEMON_EXECUTORS; i++) {
        before[i] = lab_counters(scene.hosts[i + 1], SWITCH_TO_HOST).n_bytes;
    }
    snprintf(bytes, sizeof(bytes), "%u", SHARED);
    ck_assert_str_eq(run(&scene, "LAB_CALLER", "share", bytes, "60"), "60 right\n");
    for (unsigned i = 0; i < DAEMON_EXECUTORS; i++) {
        uint64_t n = lab_counters(scene.hosts[i + 1], SWITCH_TO_HOST).n_bytes - before[i];
        printf("# figure: calls: %s received %.1f %% of a value that its calls refer to (limit "
               "%u)\n",
               daemon_names[i + 1], 100.0 * (double)n / SHARED, SHARED_PERCENT_MAX);
        ck_assert_uint_le(n, (uint64_t)SHARED / 100 * SHARED_PERCENT_MAX);
    }
    lab_free(scene.lab);
}
END_TEST

START_TEST(calls_of_an_executor_that_is_lost_run_elsewhere)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    struct lab_process *caller = start(&scene, NULL, "LAB_CALLER", "steady", "60", "200");
    ck_assert(lab_wait_text(caller, "first is there", PATIENCE_MS));
    lab_kill(scene.daemons[1]);
    lab_expect(caller, PATIENCE_MS, 0);
    ck_assert_ptr_nonnull(strstr(lab_output(caller), "60 right\n"));
    lab_free(scene.lab);
}
END_TEST

/* The handle finds the daemon that takes its place and submits again what is not done. */
START_TEST(calls_outlive_the_submitters_daemon)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    struct lab_process *caller = start(&scene, NULL, "LAB_CALLER", "steady", "60", "200");
    ck_assert(lab_wait_text(caller, "first is there", PATIENCE_MS));
    lab_kill(scene.daemons[0]);
    scene.daemons[0] = daemon_start(scene.hosts[0], "--cores", "0", "--dead-after", "1", NULL);
    lab_expect(caller, PATIENCE_MS, 0);
    ck_assert_ptr_nonnull(strstr(lab_output(caller), "60 right\n"));
    lab_free(scene.lab);
}
END_TEST

/* --- the examples ------------------------------------------------------------------------------
 */

static void check_sums(struct daemon_scene *scene)
{
    static const uint64_t sums[] = {9914236195, 9917236483, 9922237979, 9926740220,
                                    9930743046, 9934746636, 9938250425, 9941254397};
    char wanted[1024] = "";
    size_t n = 0;
    for (unsigned i = 0; i < 16; i++) {
        n += (size_t)snprintf(wanted + n, sizeof(wanted) - n, "%u\t%llu\n", 500000 + 100 * (i % 8),
                              (unsigned long long)sums[i % 8]);
    }
    ck_assert_str_eq(run(scene, "EXAMPLE_SUM_PRIMES_MESH", NULL, NULL, NULL), wanted);
}

static void check_words(struct daemon_scene *scene)
{
    static const char *const texts[] = {"the cat and the dog", "The cat, the cat!", "dog; owl"};
    const char *files[3];
    char paths[3][LAB_PATH_BYTES_MAX];
    for (unsigned i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/text%u", lab_share(scene->lab), i);
        FILE *file = fopen(paths[i], "we");
        ck_assert_ptr_nonnull(file);
        fputs(texts[i], file);
        ck_assert_int_eq(fclose(file), 0);
        files[i] = paths[i];
    }
    ck_assert_str_eq(run(scene, "EXAMPLE_WORD_COUNT", files[0], files[1], files[2]),
                     "       4 the\n       3 cat\n       2 dog\n       1 and\n       1 owl\n");
}

/* The same picture, whoever drew which rows. */
static void check_picture(struct daemon_scene *scene)
{
    char all[LAB_PATH_BYTES_MAX];
    char one[LAB_PATH_BYTES_MAX];
    struct lab_process *same;
    if (getenv("EXAMPLE_MANDELBROT") == NULL) {
        return; /* built without libpng */
    }
    snprintf(all, sizeof(all), "%s/all.png", lab_share(scene->lab));
    snprintf(one, sizeof(one), "%s/one.png", lab_share(scene->lab));
    run(scene, "EXAMPLE_MANDELBROT", all, "300", "200");
    lab_stop(scene->daemons[2], PATIENCE_MS);
    lab_stop(scene->daemons[3], PATIENCE_MS);
    run(scene, "EXAMPLE_MANDELBROT", one, "300", "200");
    ck_assert_int_eq(lab_run(scene->hosts[0], PATIENCE_MS, &same, "/usr/bin/cmp", all, one, NULL),
                     0);
}

START_TEST(the_examples_print_what_their_readmes_say)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    check_sums(&scene);
    ck_assert_str_eq(run(&scene, "EXAMPLE_MATRIX", "384", NULL, NULL),
                     "384 x 384 in 9 blocks: largest error 0\n");
    check_words(&scene);
    ck_assert_int_eq(strncmp(run(&scene, "EXAMPLE_PI", "2", NULL, NULL), "3.14 from ", 10), 0);
    check_picture(&scene);
    lab_free(scene.lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls");
    TCase *tc = tcase_create("calls");
    tcase_set_timeout(tc, getenv("MESH_LAB_WRAP") == NULL ? 90 : 280);
    tcase_add_test(tc, values_and_buffers_come_back_as_they_must);
    tcase_add_test(tc, what_fails_says_what_happened_where);
    tcase_add_test(tc, a_value_by_reference_is_sent_to_each_executor_once);
    tcase_add_test(tc, calls_of_an_executor_that_is_lost_run_elsewhere);
    tcase_add_test(tc, calls_outlive_the_submitters_daemon);
    tcase_add_test(tc, the_examples_print_what_their_readmes_say);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
