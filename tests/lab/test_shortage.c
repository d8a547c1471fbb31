/* What there is too little of: disk, descriptors, memory; and tasks that take more than is theirs:
 * of time, of processes, of output. Who has too little says so, others go on, and all is well again
 * when there is enough. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/bounds.h"
#include "tests/lab/scenario.h"

#define N_TASKS 9
#define TASK_MS 1500

/* Where each run is counted, no slow task is begun twice, and no peer is taken for dead only
 * because this machine is busy. */
static const char *const one_run_each[] = {"--no-speculate", NULL};
static const struct scenario_setup patient = {.dead_after = "5"};

/* What a host has that is limited: room for the daemon and a few tasks, under a sanitizer, too. */
#define HOST_BYTES (UINT64_C(512) << 20)

/* What a killed task may live beyond its time: the promise of SIGKILL, and a loaded machine. */
#define KILL_MS 1000

/* A line for a shell on the submitter's host, in the folder that all hosts and the test share; to
 * it, $MESH is the command and $LOG the folder that tasks may write to. The program `task` is in
 * that folder: a job that begins with it sends it, another one needs it as a basefile. */
static struct lab_process *shell(struct scenario *sc, const char *line)
{
    char copy[LAB_PATH_BYTES_MAX * 2];
    snprintf(copy, sizeof(copy), "test -e %s/task || cp %s %s/task", lab_share(sc->lab),
             getenv("LAB_TASK"), lab_share(sc->lab));
    scenario_shell(sc, 0, copy);
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    char mesh[LAB_PATH_BYTES_MAX + 32];
    char log[LAB_PATH_BYTES_MAX];
    snprintf(mesh, sizeof(mesh), "MESH=%s --socket %s", getenv("MESH"), DAEMON_SOCKET);
    snprintf(log, sizeof(log), "LOG=%s", daemon_log_folder(sc->lab));
    const char *const env[] = {mesh, log, NULL};
    const struct lab_start start = {.folder = lab_share(sc->lab), .env = env};
    return lab_spawnv(sc->hosts[0], argv, &start);
}

static void run(struct scenario *sc, const char *line)
{
    lab_expect(shell(sc, line), SCENARIO_PATIENCE_MS, 0);
}

static double number(const char *text)
{
    return strtod(text, NULL);
}

/* Fails unless it said this on standard error. */
static void expect_said(struct lab_process *process, const char *text)
{
    if (strstr(lab_errors(process), text) == NULL) {
        lab_fail(process->host->lab, "it does not say '%s'", text);
    }
}

/* --- disk ----------------------------------------------------------------------------------- */

/* A mesh in which one host has its state on a disk of 64 MiB. */
static void begin_on_small_disk(struct scenario *sc, const char *function, const char *title,
                                unsigned host)
{
    scenario_begin_named(sc, function, title,
                         &(struct scenario_setup){.cores = 4, .dead_after = "5", .is_late = true});
    scenario_shell(sc, host,
                   "mkdir -m 700 /var/lib/mesh && "
                   "mount -t tmpfs -o size=64m,mode=700 tmpfs /var/lib/mesh");
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        scenario_start(sc, i);
    }
    scenario_wait_whole(sc);
}

/* To the last byte, by something else. */
static void fill_disk(struct scenario *sc, unsigned host)
{
    scenario_strike(sc, host, "the disk is full");
    scenario_shell(sc, host, "! head -c 70m /dev/zero > /var/lib/mesh/filler");
}

static void make_room(struct scenario *sc, unsigned host)
{
    scenario_mark(sc, (int)host, "there is room again");
    scenario_shell(sc, host, "rm /var/lib/mesh/filler");
}

/* Its tasks print much, and it has no room for it: they run again where there is. */
START_TEST(full_disk_of_an_executor)
{
    struct scenario sc;
    begin_on_small_disk(&sc, __func__, "an executor's disk is full while a job runs", 3);
    struct lab_process *job =
        shell(&sc, "$MESH submit -k --joblog joblog './task '$LOG' start {}; "
                   "sleep 1.5; yes {} | head -c 8000000; ./task '$LOG' end {}' "
                   "::: $(seq 12) > printed && cksum < printed");
    scenario_wait_runs(&sc, -1, 12);
    fill_disk(&sc, 3);
    lab_expect(job, SCENARIO_PATIENCE_MS, 0);
    char sum[64];
    snprintf(sum, sizeof(sum), "%s",
             scenario_shell(&sc, 0,
                            "for i in $(seq 12); do yes $i | head -c 8000000; done | "
                            "cksum"));
    ck_assert_str_eq(lab_output(job), sum);
    scenario_figure(&sc, "results, each right and once", 12, "tasks", -1);
    /* What it was at was no fault of the tasks': each has ended well, somewhere else. */
    unsigned n_runs = scenario_count_runs(&sc, -1);
    scenario_figure(&sc, "runs again for want of disk", n_runs - 12, "runs", -1);
    ck_assert_uint_gt(n_runs, 12); /* else it says nothing */
    run(&sc, "test $(cut -f 2 joblog | grep -cx rosa) = 0");
    run(&sc, "test $(awk 'NR > 1 && $7 != 0' joblog | wc -l) = 0");
    scenario_expect_no_downs(&sc);
    make_room(&sc, 3);
    run(&sc, "test $($MESH submit --on rosa 'yes | head -c 8000000' | wc -c) = 8000000");
    scenario_end(&sc);
}
END_TEST

/* A detached job's results count once they are on disk: it stands still, what is new is refused,
 * and all goes on where it was when there is room. */
START_TEST(full_disk_of_a_submitter)
{
    struct scenario sc;
    begin_on_small_disk(&sc, __func__, "the submitter's disk is full while a detached job runs", 0);
    sc.job_options = one_run_each;
    struct scenario_job *job = scenario_detach(&sc, 0, 4 * N_TASKS, TASK_MS);
    scenario_wait_busy(&sc, job);
    fill_disk(&sc, 0);
    struct lab_process *late = shell(&sc, "$MESH submit --detach 'echo late {}' ::: 1 2 3");
    lab_expect(late, SCENARIO_PATIENCE_MS, 125);
    expect_said(late, "the disk is full: nothing of this job is kept");
    lab_let_pass(3 *
                 TASK_MS); /* longer than what runs takes, and than the daemon's first retries */
    ck_assert(lab_is_running(sc.daemons[0]));
    make_room(&sc, 0);
    uint64_t room_ns = lab_now_ns();
    scenario_attach(&sc, job);
    scenario_expect_results(&sc, job);
    scenario_figure(&sc, "over after there was room", (double)(lab_now_ns() - room_ns) / 1e6, "ms",
                    -1);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), 4 * N_TASKS);
    scenario_expect_no_downs(&sc);
    run(&sc, "$MESH wait $($MESH submit --detach true)");
    scenario_end(&sc);
}
END_TEST

/* --- descriptors ---------------------------------------------------------------------------- */

/* No descriptor more than the daemon has open now: the lowest number that is free, which may lie
 * between others, is too large. A later line makes it many again. */
static void take_descriptors(struct scenario *sc, unsigned host)
{
    scenario_strike(sc, host, "no descriptor is left");
    scenario_shell(sc, host,
                   "p=$(pgrep -x meshd) && n=0 && "
                   "while [ -L /proc/$p/fd/$n ]; do n=$((n + 1)); done && "
                   "prlimit --pid $p --nofile=$n:4096");
}

static void give_descriptors(struct scenario *sc, unsigned host)
{
    scenario_mark(sc, (int)host, "there are descriptors again");
    scenario_shell(sc, host, "prlimit --pid $(pgrep -x meshd) --nofile=4096:4096");
}

/* What the struck host could not start began elsewhere, as a later attempt: there is no other
 * reason for one. */
static void expect_refusals(struct scenario *sc)
{
    unsigned n = 0;
    uint64_t first_ns = 0;
    scenario_count_runs(sc, -1); /* looks at the log */
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        if (!event->is_end && event->attempt > 1) {
            first_ns = n == 0 ? event->at_ns : first_ns;
            n++;
        }
    }
    if (n == 0) {
        lab_fail(sc->lab, "nothing was refused for want of descriptors");
    }
    scenario_figure(sc, "refused tasks", n, "tasks", -1);
    scenario_figure(sc, "the first of them begun elsewhere after",
                    (double)(first_ns - sc->struck_ns) / 1e6, "ms", -1);
}

/* It can start nothing more: what is sent to it runs elsewhere, and the session stands. */
START_TEST(no_descriptors_at_an_executor)
{
    struct scenario sc;
    scenario_begin(&sc, "an executor is out of descriptors while a job runs", &patient);
    sc.job_options = one_run_each;
    struct scenario_job *job = scenario_submit(&sc, 0, 6 * N_TASKS, 700);
    unsigned victim = scenario_wait_busy(&sc, job);
    take_descriptors(&sc, victim);
    scenario_expect_results(&sc, job);
    /* What was on its way began, if at all, at once. */
    scenario_expect_no_starts(&sc, victim, 100);
    expect_refusals(&sc);
    scenario_expect_no_downs(&sc);
    ck_assert(lab_is_running(sc.daemons[victim]));
    give_descriptors(&sc, victim);
    char line[128];
    snprintf(line, sizeof(line), "test \"$($MESH submit --on %s 'echo $MESH_PEER')\" = %s",
             sc.hosts[victim]->name, sc.hosts[victim]->name);
    run(&sc, line);
    scenario_end(&sc);
}
END_TEST

/* Its job goes on; who comes to it waits at the door, and is let in when the first one leaves. */
START_TEST(no_descriptors_at_a_submitter)
{
    struct scenario sc;
    scenario_begin(&sc, "a submitter's daemon is out of descriptors while a job runs", &patient);
    sc.job_options = one_run_each;
    struct scenario_job *job = scenario_submit(&sc, 0, 3 * N_TASKS, TASK_MS);
    scenario_wait_busy(&sc, job);
    take_descriptors(&sc, 0);
    struct lab_process *late = shell(&sc, "$MESH submit -k 'echo late {}' ::: 1 2 3");
    scenario_wait_ended(&sc, job, 2 * N_TASKS);
    ck_assert(lab_is_running(late)); /* nor was it refused */
    scenario_expect_results(&sc, job);
    uint64_t left_ns = job->process->ended_ns;
    scenario_expect_no_downs(&sc);
    ck_assert(lab_is_running(sc.daemons[0]));
    give_descriptors(&sc, 0);
    int status = -1;
    if (lab_wait(late, SCENARIO_PATIENCE_MS, &status) != 0) {
        lab_fail(sc.lab, "the second job is neither refused nor taken");
    }
    if (status == 0) {
        ck_assert_str_eq(lab_output(late), "late 1\nlate 2\nlate 3\n");
        scenario_figure(&sc, "who waited is served after", (double)(late->ended_ns - left_ns) / 1e6,
                        "ms", -1);
    } else {
        ck_assert_int_eq(status, 125);
        ck_assert_str_ne(lab_errors(late), "");
    }
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 50));
    scenario_end(&sc);
}
END_TEST

/* --- tasks that take more than is theirs ---------------------------------------------------- */

START_TEST(no_memory_for_a_task)
{
    struct scenario sc;
    scenario_begin(&sc, "a task takes five times the memory that it may", &patient);
    sc.job_options = one_run_each;
    struct scenario_job *job = scenario_submit(&sc, 0, 3 * N_TASKS, 500);
    scenario_wait_busy(&sc, job);
    scenario_mark(&sc, -1, "a task takes 300 MiB of 64");
    /* tail keeps all of a line that does not end. */
    struct lab_process *large = shell(
        &sc,
        "$MESH submit -k --no-speculate --mem 64M './task '$LOG' start {}; "
        "test {} = 2 && head -c 300M /dev/zero | tail | wc -c || echo {}; ./task '$LOG' end {}' "
        "::: 1 2 3");
    lab_expect(large, SCENARIO_PATIENCE_MS, 1);
    scenario_figure(&sc, "killed after", (double)(large->ended_ns - large->started_ns) / 1e6, "ms",
                    -1);
    expect_said(large, "task 2 ");
    expect_said(large, "memory");
    ck_assert_str_eq(lab_output(large), "1\n3\n");
    scenario_expect_results(&sc, job);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), 3 * N_TASKS + 3);
    scenario_expect_no_downs(&sc);
    scenario_end(&sc);
}
END_TEST

/* Something else on a host takes all the memory that the host has. The kernel ends tasks before it
 * ends that, and the daemon not at all; what has --retries runs again. Tasks wait for a word. */
START_TEST(no_memory_on_a_host)
{
    struct scenario sc;
    scenario_begin(&sc, "a host is out of memory while a job runs",
                   &(struct scenario_setup){.dead_after = "5", .is_late = true});
    lab_limit_memory(sc.hosts[3], HOST_BYTES);
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        scenario_start(&sc, i);
    }
    scenario_wait_whole(&sc);
    struct lab_process *job =
        shell(&sc, "$MESH submit -k --no-speculate --retries 8 './task '$LOG' start {}; "
                   "while [ ! -e '$LOG'/go ]; do sleep 0.1; done; echo {}; ./task '$LOG' end {}' "
                   "::: $(seq 18) > printed");
    scenario_wait_runs(&sc, -1, 18);
    ck_assert_uint_eq(lab_memory_kills(sc.hosts[3]), 0);
    scenario_strike(&sc, 3, "something takes all memory");
    /* tail keeps all of a line that does not end. */
    ck_assert_int_eq(lab_run(sc.hosts[3], SCENARIO_PATIENCE_MS, NULL, "/bin/sh", "-c",
                             "head -c 2G /dev/zero | tail > /dev/null", NULL),
                     128 + SIGKILL);
    scenario_mark(&sc, 3, "the kernel has ended that, too");
    scenario_figure(&sc, "killed by the kernel", lab_memory_kills(sc.hosts[3]), "processes", -1);
    ck_assert(lab_is_running(sc.daemons[3]));
    run(&sc, "touch $LOG/go");
    lab_expect(job, SCENARIO_PATIENCE_MS, 0);
    run(&sc, "seq 18 | cmp - printed");
    scenario_figure(&sc, "results, each right and once", 18, "tasks", -1);
    unsigned n_runs = scenario_count_runs(&sc, -1);
    scenario_figure(&sc, "runs again for want of memory", n_runs - 18, "runs", -1);
    ck_assert_uint_ge(n_runs, 18 + 6); /* all that were there */
    scenario_expect_no_downs(&sc);
    run(&sc, "test \"$($MESH submit --on rosa 'echo $MESH_PEER')\" = rosa");
    scenario_end(&sc);
}
END_TEST

START_TEST(task_that_ignores_sigterm)
{
    struct scenario sc;
    scenario_begin(&sc, "a task ignores SIGTERM", NULL);
    struct lab_process *job =
        shell(&sc, "$MESH submit --timeout 2 --basefile task 'trap \"\" TERM INT HUP; "
                   "./task '$LOG' start {}; while :; do sleep 0.1; done' ::: 1");
    scenario_wait_runs(&sc, -1, 1);
    uint64_t begun_ns = sc.log->events[0].at_ns;
    scenario_mark(&sc, -1, "it has begun");
    lab_expect(job, SCENARIO_PATIENCE_MS, 1);
    expect_said(job, "it ran longer than --timeout");
    scenario_figure(&sc, "ended after its time was over",
                    fmax(0, (double)(job->ended_ns - begun_ns) / 1e6 - 2000), "ms", KILL_MS);
    scenario_end(&sc);
}
END_TEST

/* How many processes of all hosts have this argument. */
static unsigned count_left(struct scenario *sc, const char *argument)
{
    char line[160];
    unsigned n = 0;
    snprintf(line, sizeof(line),
             "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | "
             "grep -cx '%s' || true",
             argument);
    for (unsigned i = 1; i < sc->n_hosts; i++) {
        n += (unsigned)number(scenario_shell(sc, i, line));
    }
    return n;
}

/* Two forks and a session of its own, as daemons do it: what the task leaves behind ends with it,
 * whether or not it holds on to the task's output. */
START_TEST(task_that_leaves_a_daemon)
{
    struct scenario sc;
    scenario_begin(&sc, "a task forks twice and leaves a daemon", NULL);
    struct lab_process *job =
        shell(&sc, "$MESH submit -k --basefile task '(setsid sh -c \"sleep 271828 & sleep 271828 "
                   ">/dev/null 2>&1 & \" &) ; ./task '$LOG' start {}; while [ ! -e '$LOG'/go ]; "
                   "do sleep 0.1; done; echo {}; ./task '$LOG' end {}' ::: 1 2 3 4 5 6");
    scenario_wait_runs(&sc, -1, 6);
    scenario_figure(&sc, "processes left while it runs", count_left(&sc, "27182[8]"), "processes",
                    -1);
    ck_assert_uint_eq(count_left(&sc, "27182[8]"), 12);
    scenario_mark(&sc, -1, "the tasks may end");
    uint64_t go_ns = lab_now_ns();
    run(&sc, "touch $LOG/go");
    lab_expect(job, SCENARIO_PATIENCE_MS, 0);
    ck_assert_str_eq(lab_output(job), "1\n2\n3\n4\n5\n6\n");
    scenario_figure(&sc, "job over after", (double)(job->ended_ns - go_ns) / 1e6, "ms", -1);
    scenario_figure(&sc, "processes left", count_left(&sc, "27182[8]"), "processes", 0);
    ck_assert_uint_eq(count_left(&sc, "27182[8]"), 0);
    scenario_end(&sc);
}
END_TEST

START_TEST(task_that_fills_its_output)
{
    struct scenario sc;
    scenario_begin(&sc, "a task prints without end", &patient);
    sc.job_options = one_run_each;
    struct scenario_job *job = scenario_submit(&sc, 0, 3 * N_TASKS, 500);
    scenario_wait_busy(&sc, job);
    scenario_mark(&sc, -1, "a task prints without end");
    struct lab_process *loud =
        shell(&sc, "$MESH submit -k --no-speculate --max-output 1M './task '$LOG' start {}; "
                   "test {} = 2 && yes || echo {}; ./task '$LOG' end {}' ::: 1 2 3 > loud");
    lab_expect(loud, SCENARIO_PATIENCE_MS, 1);
    expect_said(loud, "it printed more than --max-output");
    scenario_figure(&sc, "killed after", (double)(loud->ended_ns - loud->started_ns) / 1e6, "ms",
                    -1);
    run(&sc, "test \"$(grep -v y loud | tr '\\n' ' ')\" = '1 3 '");
    scenario_figure(&sc, "of its output is home",
                    number(scenario_shell(&sc, 0, "grep -c y /mnt/loud || true")) * 2 / 1024, "KiB",
                    1024);
    scenario_expect_results(&sc, job);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), 3 * N_TASKS + 3);
    scenario_expect_no_downs(&sc);
    scenario_end(&sc);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shortage");
    scenario_add(suite, full_disk_of_an_executor);
    scenario_add(suite, full_disk_of_a_submitter);
    scenario_add(suite, no_descriptors_at_an_executor);
    scenario_add(suite, no_descriptors_at_a_submitter);
    scenario_add(suite, no_memory_for_a_task);
    struct errmsg err;
    if (lab_may_limit(LAB_LIMIT_MEMORY, &err)) {
        scenario_add(suite, no_memory_on_a_host);
    } else {
        scenario_skip(no_memory_on_a_host, err.text);
    }
    scenario_add(suite, task_that_ignores_sigterm);
    scenario_add(suite, task_that_leaves_a_daemon);
    scenario_add(suite, task_that_fills_its_output);
    return lab_run_suite(suite);
}
