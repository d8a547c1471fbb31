/* A program given with a slash travels with its job, is cached by its hash, and is sent to each
 * peer once. Read off the wire: the switch counts what it carries to each executor while one job
 * runs, while the next one with the same program does, and after one byte of it has changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lab/daemons.h"

#define N_EXECUTORS 3
#define CORES       "2"
#define N_TASKS     24
#define PATIENCE_MS 30000

#define PROGRAM_BYTES (4u << 20)
/* Headers of TCP and IP are 5 % of full frames; signatures, tasks, beats and what is sent a second
 * time because a receiver's queue was full come on top. */
#define FIRST_PERCENT_MAX 120
/* Tasks, acknowledgements and beats alone. */
#define AGAIN_PERCENT_MAX 5

static const char *const names[] = {"hal", "lily", "max", "rosa"};

struct scene {
    struct lab *lab;
    struct lab_host *hosts[N_EXECUTORS + 1]; /* the submitter first: it runs nothing itself */
    char program[LAB_PATH_BYTES_MAX];
};

/* A script, and behind its end what does not compress. `edition` changes it by one byte. */
static void write_program(const struct scene *scene, unsigned edition)
{
    FILE *file = fopen(scene->program, "we");
    ck_assert_ptr_nonnull(file);
    int n = fprintf(file,
                    "#!/bin/sh\necho \"$1 squared is $(($1 * $1))\"\necho \"on $MESH_PEER\" "
                    ">&2\nsleep 0.05\nexit 0\n# %u ",
                    edition);
    ck_assert_int_gt(n, 0);
    uint64_t x = 88172645463325252u; /* xorshift64 */
    for (unsigned i = (unsigned)n; i < PROGRAM_BYTES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        fputc((int)(x >> 56), file);
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(scene->program, 0755), 0);
}

static void make_scene(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    scene->lab = lab_new();
    for (unsigned i = 0; i <= N_EXECUTORS; i++) {
        scene->hosts[i] = lab_host(scene->lab, names[i]);
    }
    for (unsigned i = 0; i <= N_EXECUTORS; i++) {
        daemon_start(scene->hosts[i], "--cores", i == 0 ? "0" : CORES, NULL);
    }
    daemon_wait_whole_mesh(scene->hosts, N_EXECUTORS + 1, PATIENCE_MS);
    snprintf(scene->program, sizeof(scene->program), "%s/squares", lab_share(scene->lab));
    write_program(scene, 1);
}

/* How many bytes each executor receives while a job with the program runs; its results are checked.
 */
static void run_job(struct scene *scene, uint64_t received[N_EXECUTORS])
{
    static char inputs[N_TASKS][16];
    const char *argv[8 + N_TASKS + 1] = {getenv("MESH"), "--socket", DAEMON_SOCKET, "submit",
                                         "-k",           NULL,       "{}",          ":::"};
    argv[5] = scene->program;
    char wanted[N_TASKS * 32] = "";
    size_t n = 0;
    for (unsigned i = 0; i < N_TASKS; i++) {
        snprintf(inputs[i], sizeof(inputs[i]), "%u", i + 1);
        argv[8 + i] = inputs[i];
        n += (size_t)snprintf(wanted + n, sizeof(wanted) - n, "%u squared is %u\n", i + 1,
                              (i + 1) * (i + 1));
    }
    uint64_t before[N_EXECUTORS];
    for (unsigned i = 0; i < N_EXECUTORS; i++) {
        before[i] = lab_counters(scene->hosts[i + 1], SWITCH_TO_HOST).n_bytes;
    }
    struct lab_process *job = lab_spawnv(scene->hosts[0], argv, NULL);
    lab_expect(job, PATIENCE_MS, 0);
    ck_assert_str_eq(lab_output(job), wanted);
    for (unsigned i = 1; i <= N_EXECUTORS; i++) { /* else what it received says nothing */
        char line[32];
        snprintf(line, sizeof(line), "on %s\n", names[i]);
        ck_assert_msg(strstr(lab_errors(job), line) != NULL, "no task ran on %s", names[i]);
    }
    for (unsigned i = 0; i < N_EXECUTORS; i++) {
        received[i] = lab_counters(scene->hosts[i + 1], SWITCH_TO_HOST).n_bytes - before[i];
    }
}

static void check_received(const uint64_t received[N_EXECUTORS], const char *what,
                           unsigned percent_min, unsigned percent_max)
{
    for (unsigned i = 0; i < N_EXECUTORS; i++) {
        printf("# figure: program: %s: %s received %.1f %% of the program's size (limit %u)\n",
               what, names[i + 1], 100.0 * (double)received[i] / PROGRAM_BYTES, percent_max);
        ck_assert_uint_ge(received[i], (uint64_t)PROGRAM_BYTES / 100 * percent_min);
        ck_assert_uint_le(received[i], (uint64_t)PROGRAM_BYTES / 100 * percent_max);
    }
}

START_TEST(a_program_is_sent_to_each_peer_once_and_known_by_its_hash)
{
    struct scene scene;
    uint64_t received[N_EXECUTORS];
    make_scene(&scene);
    run_job(&scene, received);
    check_received(received, "first job", 100, FIRST_PERCENT_MAX);
    run_job(&scene, received);
    check_received(received, "same program again", 0, AGAIN_PERCENT_MAX);
    /* Under the same name, another program: the name is not what it is known by. */
    write_program(&scene, 2);
    run_job(&scene, received);
    check_received(received, "one byte changed", 100, FIRST_PERCENT_MAX);
    lab_free(scene.lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("program");
    TCase *tc = tcase_create("program");
    tcase_set_timeout(tc, getenv("MESH_LAB_WRAP") == NULL ? 60 : 280);
    tcase_add_test(tc, a_program_is_sent_to_each_peer_once_and_known_by_its_hash);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
