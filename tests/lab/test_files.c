/* Files of tasks on real hosts: what one program makes of many sounds on three peers is what it
 * makes of them here, byte for byte; a file that all tasks read is sent to each peer once; what is
 * missing is found before anything runs. $MESH_LAB_SOUNDS says how many sounds; 60 without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/daemons.h"

#define SOUNDS      "60"
#define PATIENCE_MS 120000
#define BASE_BYTES  (4u << 20)
/* As in test_program.c. */
#define BASE_PERCENT_MAX 120
/* One copy, and what a loaded machine may make a peer wait for too long. */
#define LARGE_BYTES       (8u << 20)
#define LARGE_PERCENT_MAX 220

/* A line for a shell on the submitter's host, in the folder that all hosts and the test share. */
static struct lab_process *shell(struct daemon_scene *scene, const char *line)
{
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    char mesh[LAB_PATH_BYTES_MAX + 32];
    char sounds[32];
    const char *n_sounds = getenv("MESH_LAB_SOUNDS");
    snprintf(mesh, sizeof(mesh), "MESH=%s --socket %s", getenv("MESH"), DAEMON_SOCKET);
    snprintf(sounds, sizeof(sounds), "N=%s", n_sounds != NULL ? n_sounds : SOUNDS);
    const char *const env[] = {mesh, sounds, NULL};
    const struct lab_start start = {.folder = lab_share(scene->lab), .env = env};
    return lab_spawnv(scene->hosts[0], argv, &start);
}

static void run(struct daemon_scene *scene, const char *line, int status)
{
    lab_expect(shell(scene, line), PATIENCE_MS, status);
}

START_TEST(sounds_are_converted_as_they_are_here)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    run(&scene,
        "mkdir in local && i=0; while [ $i -lt $N ]; do i=$((i + 1));"
        "sox -R -n -r 16000 -b 16 -c 1 in/$i.wav synth 0.$((100 + i)) sine $((200 + i)) || exit 1;"
        "sox -R in/$i.wav -r 8000 local/$i.flac || exit 1; done",
        0);
    struct lab_process *job =
        shell(&scene, "$MESH submit --joblog log --trc {.}.flac 'sox -R {} -r 8000 {.}.flac' "
                      "::: in/*.wav");
    lab_expect(job, PATIENCE_MS, 0);
    run(&scene, "set -e; for f in local/*.flac; do cmp $f in/${f#local/}; done", 0);
    run(&scene, "test $(ls in/*.flac | wc -l) = $N; test $(ls -A in | wc -l) = $((2 * N))", 0);
    for (unsigned i = 1; i <= DAEMON_EXECUTORS; i++) { /* else it says nothing of them */
        char line[64];
        snprintf(line, sizeof(line), "cut -f 2 log | grep -qx %s", daemon_names[i]);
        run(&scene, line, 0);
    }
    lab_free(scene.lab);
}
END_TEST

START_TEST(a_file_that_all_tasks_read_is_sent_to_each_peer_once)
{
    static const char *const lines[] = {
        "$MESH submit --basefile base 'cat base | cksum; sleep 0.05; : {}' ::: $(seq 24)",
        "$MESH submit --transferfile base2 'cat base2 | cksum; sleep 0.05; : {}' ::: $(seq 24)"};
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    run(&scene, "head -c 4194304 /dev/urandom > base; head -c 4194304 /dev/urandom > base2", 0);
    for (size_t k = 0; k < ARRAY_LEN(lines); k++) {
        uint64_t before[DAEMON_EXECUTORS];
        for (unsigned i = 0; i < DAEMON_EXECUTORS; i++) {
            before[i] = lab_counters(scene.hosts[i + 1], SWITCH_TO_HOST).n_bytes;
        }
        run(&scene, lines[k], 0);
        for (unsigned i = 0; i < DAEMON_EXECUTORS; i++) {
            uint64_t n = lab_counters(scene.hosts[i + 1], SWITCH_TO_HOST).n_bytes - before[i];
            printf("# figure: files: %s received %.1f %% of a file of 24 tasks (limit %d)\n",
                   daemon_names[i + 1], 100.0 * (double)n / BASE_BYTES, BASE_PERCENT_MAX);
            ck_assert_uint_le(n, (uint64_t)BASE_BYTES / 100 * BASE_PERCENT_MAX);
        }
    }
    lab_free(scene.lab);
}
END_TEST

START_TEST(what_cannot_be_is_said_and_nothing_half_done_stays)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    run(&scene, "mkdir d; echo 1 > a; echo 2 > d/b; ln -s /tmp out; echo old > same", 0);
    /* Before anything runs. */
    struct lab_process *job =
        shell(&scene, "$MESH submit --transferfile {} --return ran 'touch ran' ::: a none");
    lab_expect(job, PATIENCE_MS, 125);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "none: No such file"));
    run(&scene, "test ! -e ran", 0);
    job = shell(&scene, "$MESH submit --transferfile {} cat ::: ../a");
    lab_expect(job, PATIENCE_MS, 125);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "leads out"));
    job = shell(&scene, "mkfifo p; $MESH submit --transferfile {} cat ::: p");
    lab_expect(job, PATIENCE_MS, 125);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "neither a file nor a folder"));
    /* A folder where a file is meant is a folder there. */
    run(&scene, "test \"$($MESH submit --transferfile {} 'cat {}/b' ::: d)\" = 2", 0);
    /* When the task has ended. */
    job = shell(&scene, "$MESH submit --return l ': {}; ln -s /etc/passwd l' ::: 1");
    lab_expect(job, PATIENCE_MS, 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "symbolic link"));
    job = shell(&scene, "$MESH submit --return same 'echo {} > same' ::: 1 2");
    lab_expect(job, PATIENCE_MS, 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "has returned"));
    /* No link is followed here either. */
    job = shell(&scene, "$MESH submit --return out/x ': {}; mkdir out; echo x > out/x' ::: 1");
    lab_expect(job, PATIENCE_MS, 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "a symbolic link is in the way"));
    run(&scene, "test ! -e /tmp/x && test ! -e l", 0);
    /* More than may be comes back not at all, and a file that cannot be written whole leaves what
     * was there. */
    job =
        shell(&scene,
              "$MESH submit --max-output 1M --return big ': {}; head -c 2M /dev/zero > big' ::: 1");
    lab_expect(job, PATIENCE_MS, 1);
    run(&scene, "test ! -e big", 0);
    job = shell(&scene, "ulimit -f 64; trap '' XFSZ;"
                        "$MESH submit --return same ': {}; head -c 1M /dev/zero > same' ::: 1");
    lab_expect(job, PATIENCE_MS, 125);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "cannot write same"));
    run(&scene, "test \"$(cat same)\" != \"\" && test $(ls -A | grep -c '^[.]mesh') = 0", 0);
    lab_free(scene.lab);
}
END_TEST

/* What is returned is with the results until it is asked for: over a kill of the daemon that has
 * them, by whom and where one likes, as often as one likes, and only there. */
START_TEST(what_a_detached_job_returns_is_brought_when_asked_for)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    run(&scene,
        "mkdir in && for i in 1 2 3 4 5 6; do head -c $((i * 40000)) /dev/urandom > in/$i; done",
        0);
    run(&scene,
        "$MESH submit --detach --trc {}.out 'cat {} {} > {}.out; chmod 750 {}.out; echo out {};"
        "echo err {} >&2' ::: in/* > job; test $(ls in | wc -l) = 6",
        0);
    struct lab_process *job = shell(&scene, "$MESH wait $(cat job)");
    lab_expect(job, PATIENCE_MS, 0);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "6 returned files are kept"));
    lab_kill(scene.daemons[0]);
    scene.daemons[0] = daemon_start(scene.hosts[0], "--cores", "0", "--dead-after", "1", NULL);
    daemon_wait_whole_mesh(scene.hosts, 1, PATIENCE_MS);
    static const char *const lines[] = {"$MESH wait --bar -k --files got/a $(cat job) > printed",
                                        "$MESH results --files got/b $(cat job)",
                                        "$MESH results --task 3 --files got/c $(cat job)"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        run(&scene, lines[i], 0);
    }
    run(&scene,
        "set -e; for d in a b; do for f in in/*; do cat $f $f | cmp - got/$d/$f.out;"
        "test $(stat -c %a got/$d/$f.out) = 750; done; done; test \"$(ls got/c/in)\" = 3.out;"
        "for i in 1 2 3 4 5 6; do echo out in/$i; done | cmp - printed; test $(ls in | wc -l) = 6;"
        "test $(find got -type f | wc -l) = 13",
        0);
    /* Outputs as a tree, and one stream alone. */
    run(&scene,
        "set -e; $MESH results --stream out --results tree $(cat job) | sort | cmp - printed;"
        "test \"$(cat 'tree/1/in\\_4/stderr')\" = 'err in/4'; test $(ls tree/1 | wc -l) = 6",
        0);
    lab_free(scene.lab);
}
END_TEST

START_TEST(what_a_detached_job_cannot_return_is_said)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    run(&scene, "mkdir -p got/real && ln -s real got/out", 0);
    run(&scene, "$MESH submit --detach --return same 'echo {} > same' ::: 1 2 > job", 0);
    struct lab_process *job = shell(&scene, "$MESH wait --files got $(cat job)");
    lab_expect(job, PATIENCE_MS, 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "has returned"));
    run(&scene, "$MESH submit --detach --return out/x 'mkdir out; echo {} > out/x' ::: 1 > job", 0);
    run(&scene, "$MESH wait $(cat job)", 0); /* the program did well: it is there to be had */
    job = shell(&scene, "$MESH results --files got $(cat job)");
    lab_expect(job, PATIENCE_MS, 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "a symbolic link is in the way"));
    run(&scene,
        "test -z \"$(ls got/real)\" && $MESH results --files new $(cat job)"
        " && test $(cat new/out/x) = 1",
        0);
    run(&scene, "$MESH submit --detach --return none 'echo {}' ::: 1 > job", 0);
    job = shell(&scene, "$MESH wait $(cat job)");
    lab_expect(job, PATIENCE_MS, 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "a file was not returned"));
    /* A folder on a disk that is full: what is kept is had once there is room. */
    run(&scene,
        "$MESH submit --detach --return big 'head -c 200000 /dev/zero > big; {}' ::: true > job",
        0);
    job = shell(&scene, "mkdir small && mount -t tmpfs -o size=64k tmpfs small && "
                        "{ $MESH wait --files small $(cat job); s=$?; ls -A small; exit $s; }");
    lab_expect(job, PATIENCE_MS, 125);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "cannot write small/big: No space left"));
    ck_assert_str_eq(lab_output(job), "");
    run(&scene, "$MESH results --files roomy $(cat job) && test $(stat -c %s roomy/big) = 200000",
        0);
    lab_free(scene.lab);
}
END_TEST

/* Runs the line, whose job reads `base`, which is new; how many bytes the submitter sent. Three
 * peers must have read it. */
static uint64_t bytes_sent_by_owner(struct daemon_scene *scene, const char *line)
{
    uint64_t n_before[DAEMON_EXECUTORS];
    run(scene, "head -c 8388608 /dev/urandom > base", 0);
    uint64_t n = lab_counters(scene->hosts[0], SWITCH_FROM_HOST).n_bytes;
    for (unsigned i = 0; i < DAEMON_EXECUTORS; i++) {
        n_before[i] = lab_counters(scene->hosts[i + 1], SWITCH_TO_HOST).n_bytes;
    }
    run(scene, line, 0);
    run(scene, "test $(wc -l < sums) = 18 && test $(sort -u sums | wc -l) = 1", 0);
    n = lab_counters(scene->hosts[0], SWITCH_FROM_HOST).n_bytes - n;
    unsigned n_readers = 0;
    for (unsigned i = 0; i < DAEMON_EXECUTORS; i++) {
        uint64_t n_got = lab_counters(scene->hosts[i + 1], SWITCH_TO_HOST).n_bytes - n_before[i];
        n_readers += n_got > LARGE_BYTES;
    }
    printf("# figure: files: the submitter sent %.1f %% of a file that %u peers have read "
           "(limit %d)\n",
           100.0 * (double)n / LARGE_BYTES, n_readers, LARGE_PERCENT_MAX);
    ck_assert_uint_eq(n_readers, DAEMON_EXECUTORS);
    return n;
}

/* Three peers read it; the submitter's link carries it about once, the other copies go between
 * them. Nobody waits for a copy for long, so on a machine that is slow enough more of them come
 * from the submitter: one of three times is to be as it must be. */
START_TEST(a_large_file_leaves_its_submitter_about_once)
{
    static const char *const lines[] = {
        "$MESH submit --basefile base ': {}; cat base | cksum; sleep 0.3' ::: $(seq 18) > sums",
        "$MESH submit --transferfile base ': {}; cat base | cksum; sleep 0.3' ::: $(seq 18) > "
        "sums"};
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    const uint64_t n_max = (uint64_t)LARGE_BYTES / 100 * LARGE_PERCENT_MAX;
    for (size_t k = 0; k < ARRAY_LEN(lines); k++) {
        uint64_t n = UINT64_MAX;
        for (unsigned time = 0; time < 3 && n > n_max; time++) {
            n = bytes_sent_by_owner(&scene, lines[k]);
        }
        ck_assert_uint_le(n, n_max);
    }
    lab_free(scene.lab);
}
END_TEST

/* Changing all the while: it is said, and nothing of the job runs. */
START_TEST(a_file_that_changes_while_it_is_sent_is_an_error)
{
    static const char *const options[] = {"--transferfile", "--basefile"};
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char line[512];
        snprintf(line, sizeof(line),
                 "head -c 4000000 /dev/zero > base; touch go;"
                 "{ while [ -e go ]; do echo more >> base; done; } & "
                 "$MESH submit %s base --return ran 'touch ran; : {}' ::: 1 2 3; s=$?;"
                 "rm go; wait; test -e ran && exit 99; exit $s",
                 options[i]);
        struct lab_process *job = shell(&scene, line);
        lab_expect(job, PATIENCE_MS, 125);
        ck_assert_ptr_nonnull(strstr(lab_errors(job), "base was changed while it was sent"));
    }
    run(&scene, "test -z \"$($MESH jobs --json | tr -d '[] \n')\"", 0);
    lab_free(scene.lab);
}
END_TEST

static void start_on_small_disk(struct daemon_scene *scene, unsigned i)
{
    struct lab_process *process;
    lab_kill(scene->daemons[i]);
    ck_assert_int_eq(lab_run(scene->hosts[i], PATIENCE_MS, &process, "/bin/sh", "-c",
                             "mkdir /var/lib/kept && cp -a /var/lib/mesh/. /var/lib/kept &&"
                             "mount -t tmpfs -o size=64m,mode=700 tmpfs /var/lib/mesh &&"
                             "cp -a /var/lib/kept/. /var/lib/mesh",
                             NULL),
                     0);
    scene->daemons[i] =
        daemon_start(scene->hosts[i], "--cores", i == 0 ? "0" : "2", "--dead-after", "1", NULL);
    daemon_wait_whole_mesh(scene->hosts, DAEMON_EXECUTORS + 1, PATIENCE_MS);
}

/* To the last byte, by something else; or makes room again. */
static void fill_disk(struct daemon_scene *scene, unsigned i, bool is_full)
{
    struct lab_process *process;
    const char *line =
        is_full ? "head -c 70m /dev/zero > /var/lib/mesh/filler" : "rm /var/lib/mesh/filler";
    ck_assert_int_eq(lab_run(scene->hosts[i], PATIENCE_MS, &process, "/bin/sh", "-c", line, NULL),
                     is_full);
}

START_TEST(an_executor_whose_disk_is_full_leaves_tasks_to_others)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    start_on_small_disk(&scene, 3);
    fill_disk(&scene, 3, true);
    run(&scene,
        "head -c 3000000 /dev/urandom > base; $MESH submit --joblog log --basefile base "
        "': {}; cat base | cksum; sleep 0.1' ::: $(seq 18) > sums",
        0);
    run(&scene,
        "test $(wc -l < sums) = 18 && test \"$(sort -u sums)\" = \"$(cksum < base)\" &&"
        "test $(cut -f 2 log | grep -cx rosa) = 0",
        0);
    ck_assert(daemon_sees_up(scene.hosts[0], DAEMON_EXECUTORS));
    fill_disk(&scene, 3, false);
    run(&scene,
        "test \"$($MESH submit --on rosa --basefile base 'cat base | cksum')\" = "
        "\"$(cksum < base)\"",
        0);
    lab_free(scene.lab);
}
END_TEST

/* Its daemon has no room for what is sent, nor for what is returned: both are said, nothing is half
 * done, and it goes on when there is room again. */
START_TEST(a_submitter_whose_disk_is_full_says_so)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    start_on_small_disk(&scene, 0);
    run(&scene, "head -c 3000000 /dev/urandom > base", 0);
    fill_disk(&scene, 0, true);
    struct lab_process *job = shell(&scene, "$MESH submit --transferfile base 'cksum < base'");
    lab_expect(job, PATIENCE_MS, 125);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "cannot send base"));
    const char *line = "$MESH submit --return big 'head -c 3000000 /dev/zero > big; {}' ::: true";
    job = shell(&scene, line);
    lab_expect(job, PATIENCE_MS, 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "no room at its submitter"));
    run(&scene, "test ! -e big", 0);
    fill_disk(&scene, 0, false);
    run(&scene, line, 0);
    run(&scene, "test $(stat -c %s big) = 3000000", 0);
    lab_free(scene.lab);
}
END_TEST

START_TEST(a_very_large_file_is_named_while_it_is_sent)
{
    static const char *const options[] = {"--transferfile", "--basefile"};
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    run(&scene, "truncate -s 64M big; truncate -s 1M less", 0);
    for (unsigned i = 0; i < 2 * ARRAY_LEN(options); i++) {
        bool is_shown = i % 2 != 0;
        char line[256];
        snprintf(line, sizeof(line), "$MESH submit %s --on lily %s big %s less true",
                 is_shown ? "--bar" : "", options[i / 2], options[i / 2]);
        struct lab_process *job = shell(&scene, line);
        lab_expect(job, PATIENCE_MS, 0);
        ck_assert_int_eq(strstr(lab_errors(job), "sending big: 64 MiB") != NULL, is_shown);
        ck_assert_ptr_null(strstr(lab_errors(job), "sending less"));
    }
    lab_free(scene.lab);
}
END_TEST

/* How far it has come, both ways, over a line that is slow. */
START_TEST(how_far_a_file_has_come_is_said_where_it_takes_long)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "2", PATIENCE_MS);
    run(&scene, "head -c 4194304 /dev/urandom > there", 0);
    lab_slow(scene.hosts[1], 8000000);
    struct lab_process *job =
        shell(&scene, "$MESH submit --bar --on lily --transferfile there --return back "
                      "'{ cat there; echo; } > back; {}' ::: true");
    lab_expect(job, PATIENCE_MS, 0);
    ck_assert_ptr_nonnull(strstr(lab_errors(job), "of 4096 KiB ("));
    ck_assert_ptr_nonnull(strstr(lab_errors(job), " %) sent to lily"));
    ck_assert_ptr_nonnull(strstr(lab_errors(job), ": there\n"));
    ck_assert_ptr_nonnull(strstr(lab_errors(job), " %) come from lily"));
    ck_assert_ptr_nonnull(strstr(lab_errors(job), ": back\n"));
    lab_free(scene.lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files");
    TCase *tc = tcase_create("files");
    tcase_set_timeout(tc, 280);
    if (access("/usr/bin/sox", X_OK) == 0) {
        tcase_add_test(tc, sounds_are_converted_as_they_are_here);
    } else {
        printf("# skipped: no sox on this machine: sounds that are converted by peers\n");
    }
    tcase_add_test(tc, a_file_that_all_tasks_read_is_sent_to_each_peer_once);
    tcase_add_test(tc, what_cannot_be_is_said_and_nothing_half_done_stays);
    suite_add_tcase(suite, tc);
    tc = tcase_create("detached");
    tcase_set_timeout(tc, 280);
    tcase_add_test(tc, what_a_detached_job_returns_is_brought_when_asked_for);
    tcase_add_test(tc, what_a_detached_job_cannot_return_is_said);
    suite_add_tcase(suite, tc);
    tc = tcase_create("bad");
    tcase_set_timeout(tc, 280);
    tcase_add_test(tc, a_file_that_changes_while_it_is_sent_is_an_error);
    tcase_add_test(tc, an_executor_whose_disk_is_full_leaves_tasks_to_others);
    tcase_add_test(tc, a_submitter_whose_disk_is_full_says_so);
    suite_add_tcase(suite, tc);
    tc = tcase_create("large");
    tcase_set_timeout(tc, 280);
    tcase_add_test(tc, a_large_file_leaves_its_submitter_about_once);
    tcase_add_test(tc, a_very_large_file_is_named_while_it_is_sent);
    tcase_add_test(tc, how_far_a_file_has_come_is_said_where_it_takes_long);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
