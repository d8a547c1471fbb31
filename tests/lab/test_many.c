/* What happens to a whole mesh: restarts one after the other, peers that come and go, all but one
 * gone, all at once, two who submit, another version, a clock that is set back. */
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/avahi.h"
#include "tests/lab/bounds.h"
#include "tests/lab/scenario.h"

#define N_TASKS 9
#define TASK_MS 1500

/* Where each run is counted, no slow task is begun twice, and --dead-after is 5: no peer is taken
 * for dead only because this machine is busy. */
static const char *const one_run_each[] = {"--no-speculate", NULL};

/* A host is of use again: it runs a new task, or, as a submitter, more of its tasks have ended. */
static void wait_of_use(struct scenario *sc, const struct scenario_job *job, unsigned host)
{
    if (host == 0) {
        unsigned n = scenario_count_ended(sc, job) + 5;
        scenario_wait_ended(sc, job, n < job->n_tasks ? n : job->n_tasks);
    } else {
        scenario_wait_runs(sc, (int)host, scenario_count_runs(sc, (int)host) + 1);
    }
}

/* Each peer is stopped as an administrator stops it, and started again when it is gone; the next
 * one when all see it and it is at work again. The submitter too: its job is detached, and lasts
 * longer than all of that. */
START_TEST(rolling_restart)
{
    struct scenario sc;
    scenario_begin(&sc, "rolling restart of every peer", &(struct scenario_setup){.cores = 3});
    struct scenario_job *job = scenario_detach(&sc, 0, 120, 700);
    scenario_wait_busy(&sc, job);
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        ck_assert_uint_lt(scenario_count_started(&sc, job), job->n_tasks);
        scenario_strike(&sc, i, "stopped");
        lab_stop(sc.daemons[i], SCENARIO_PATIENCE_MS);
        scenario_expect_down(&sc, i, -1);
        scenario_mark(&sc, (int)i, "started again");
        scenario_start(&sc, i);
        scenario_figure(&sc, "whole again after", scenario_wait_whole(&sc), "ms", -1);
        wait_of_use(&sc, job, i);
    }
    scenario_mark(&sc, -1, "all are new");
    ck_assert_uint_lt(scenario_count_ended(&sc, job), job->n_tasks);
    scenario_attach(&sc, job);
    scenario_expect_results(&sc, job);
    scenario_end(&sc);
}
END_TEST

#define FLAP_NS UINT64_C(2000000000)

static void let_pass_until(uint64_t at_ns)
{
    uint64_t now_ns = lab_now_ns();
    lab_let_pass(now_ns < at_ns ? (unsigned)((at_ns - now_ns) / 1000000) : 0);
}

/* Up for two seconds, down for two, for a minute; whatever it is given runs elsewhere. */
START_TEST(flapping_peer)
{
    struct scenario sc;
    scenario_begin(&sc, "a peer that flaps: up and down every 2 s for a minute", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, 700, 1000);
    unsigned victim = scenario_wait_busy(&sc, job);
    double noticed_ms = 0;
    double whole_ms = 0;
    for (unsigned i = 0; i < 15; i++) {
        scenario_strike(&sc, victim, "down");
        lab_kill(sc.daemons[victim]);
        noticed_ms = fmax(noticed_ms, scenario_wait_down(&sc, victim));
        let_pass_until(sc.last_struck_ns[victim] + FLAP_NS);
        scenario_mark(&sc, (int)victim, "up");
        uint64_t up_ns = lab_now_ns();
        scenario_start(&sc, victim);
        whole_ms = fmax(whole_ms, scenario_wait_whole(&sc));
        let_pass_until(up_ns + FLAP_NS);
    }
    scenario_figure(&sc, "noticed after", noticed_ms, "ms", -1); /* the slowest of them */
    scenario_figure(&sc, "whole again after", whole_ms, "ms", -1);
    scenario_expect_results(&sc, job);
    scenario_end(&sc);
}
END_TEST

START_TEST(all_but_one_die)
{
    struct scenario sc;
    scenario_begin(&sc, "all executors but one die", &(struct scenario_setup){.n_executors = 5});
    struct scenario_job *job = scenario_submit(&sc, 0, 4 * N_TASKS, TASK_MS);
    unsigned survivor = scenario_wait_busy(&sc, job);
    for (unsigned i = 1; i < sc.n_hosts; i++) {
        if (i != survivor) {
            scenario_strike(&sc, i, "power off");
            lab_power_off(sc.hosts[i]);
        }
    }
    for (unsigned i = 1; i < sc.n_hosts; i++) {
        if (i != survivor) {
            scenario_expect_down(&sc, i, -1);
        }
    }
    scenario_expect_results(&sc, job);
    scenario_expect_reruns(&sc, -1);
    scenario_end(&sc);
}
END_TEST

/* Twenty hosts on one switch, within some milliseconds of each other. */
START_TEST(all_start_at_once)
{
    struct scenario sc;
    scenario_begin(&sc, "20 hosts start at the same instant",
                   &(struct scenario_setup){
                       .n_executors = 19, .cores = 1, .dead_after = "3", .is_late = true});
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        scenario_start(&sc, i);
    }
    scenario_mark(&sc, -1, "all have begun");
    scenario_figure(&sc, "whole after", scenario_wait_whole(&sc), "ms", -1);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, 60, 200));
    scenario_end(&sc);
}
END_TEST

/* Of the tasks that started while both jobs had some to start, each has a quarter or more. */
static void expect_shares(struct scenario *sc, const struct scenario_job *first,
                          const struct scenario_job *second)
{
    const struct scenario_job *const jobs[] = {first, second};
    uint64_t from_ns = 0;
    uint64_t to_ns = UINT64_MAX;
    unsigned n[2] = {0, 0};
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
        uint64_t first_ns = UINT64_MAX;
        uint64_t last_ns = 0;
        for (unsigned k = 0; k < sc->log->n; k++) {
            const struct task_event *event = &sc->log->events[k];
            if (!event->is_end && event->input / SCENARIO_TASKS_MAX == jobs[i]->number) {
                first_ns = event->at_ns < first_ns ? event->at_ns : first_ns;
                last_ns = event->at_ns > last_ns ? event->at_ns : last_ns;
            }
        }
        from_ns = first_ns > from_ns ? first_ns : from_ns;
        to_ns = last_ns < to_ns ? last_ns : to_ns;
    }
    for (unsigned k = 0; k < sc->log->n; k++) {
        const struct task_event *event = &sc->log->events[k];
        if (!event->is_end && event->at_ns >= from_ns && event->at_ns <= to_ns) {
            n[0] += event->input / SCENARIO_TASKS_MAX == first->number;
            n[1] += event->input / SCENARIO_TASKS_MAX == second->number;
        }
    }
    unsigned n_all = n[0] + n[1];
    ck_assert_uint_gt(n_all, first->n_tasks / 2); /* or they did not run side by side */
    scenario_figure(sc, "the first one's share", n[0] * 100.0 / n_all, "%", 75);
    scenario_figure(sc, "the second one's share", n[1] * 100.0 / n_all, "%", 75);
}

/* Neither waits for the other: each has its share of the cores. */
START_TEST(two_submitters)
{
    struct scenario sc;
    scenario_begin(&sc, "two submitters from different hosts", NULL);
    struct scenario_job *first = scenario_submit(&sc, 0, 60, 500);
    struct scenario_job *second = scenario_submit(&sc, 1, 60, 500);
    unsigned victim = scenario_wait_busy(&sc, second);
    victim = victim == 1 ? 2 : victim;
    scenario_strike(&sc, victim, "kill -9 of meshd");
    lab_kill(sc.daemons[victim]);
    scenario_expect_down(&sc, victim, -1);
    scenario_expect_results(&sc, first);
    scenario_expect_results(&sc, second);
    scenario_count_runs(&sc, -1); /* looks at the log */
    expect_shares(&sc, first, second);
    scenario_end(&sc);
}
END_TEST

/* Two daemons of this version and two of the next one, which says more than this one knows. */
START_TEST(mixed_versions)
{
    struct scenario sc;
    const char *daemons[] = {getenv("MESHD"), getenv("LAB_MESHD_NEXT")};
    ck_assert_ptr_nonnull(daemons[0]);
    ck_assert_ptr_nonnull(daemons[1]);
    scenario_begin(&sc, "a mesh of two protocol versions",
                   &(struct scenario_setup){.dead_after = "5", .is_late = true});
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        setenv("MESHD", daemons[i % 2], 1); /* this test's process is its own */
        scenario_start(&sc, i);
    }
    scenario_wait_whole(&sc);
    scenario_mark(&sc, 1, "is of the next version");
    scenario_mark(&sc, 3, "is of the next version");
    struct scenario_job *job = scenario_submit(&sc, 0, 60, 200);
    struct scenario_job *theirs = scenario_submit(&sc, 1, 60, 200);
    scenario_expect_results(&sc, job);
    scenario_expect_results(&sc, theirs);
    scenario_expect_no_downs(&sc);
    for (unsigned i = 1; i < sc.n_hosts; i++) { /* else it says nothing of them */
        ck_assert_uint_gt(scenario_count_runs(&sc, (int)i), 0);
    }
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        ck_assert_ptr_null(strstr(lab_errors(sc.daemons[i]), "protocol error"));
    }
    for (unsigned i = 1; i < sc.n_hosts; i += 2) {
        unsigned n_hellos = 0;
        unsigned n_longer = 0;
        unsigned n_unknown = 0;
        unsigned version = 0;
        lab_stop(sc.daemons[i], SCENARIO_PATIENCE_MS);
        const char *said = strstr(lab_errors(sc.daemons[i]), "next version: ");
        ck_assert_ptr_nonnull(said);
        ck_assert_int_eq(sscanf(said,
                                "next version: %u hellos, %u longer messages, %u unknown ones, "
                                "version %u",
                                &n_hellos, &n_longer, &n_unknown, &version),
                         4);
        ck_assert_uint_ge(n_hellos, sc.n_hosts - 1);
        ck_assert_uint_eq(version, 3); /* among themselves */
        scenario_figure(&sc, "messages with more fields", n_longer, "messages", -1);
        scenario_figure(&sc, "unknown messages", n_unknown, "messages", -1);
        ck_assert_uint_gt(n_longer, 60);
        ck_assert_uint_gt(n_unknown, 15);
    }
    scenario_end(&sc);
}
END_TEST

/* --- avahi-daemon -------------------------------------------------------------------------- */

/* On a LAN of its own with each of the first two a newcomer, who knows nobody and of whom nobody
 * tells: mDNS works on both. Afterwards all are one mesh. */
static void expect_newcomers(struct scenario *sc)
{
    unsigned newcomer[2];
    for (unsigned i = 2; i < 4; i++) {
        lab_stop(sc->daemons[i], SCENARIO_PATIENCE_MS);
    }
    for (unsigned i = 0; i < ARRAY_LEN(newcomer); i++) {
        newcomer[i] = scenario_newcomer(sc);
        lab_partition(sc->hosts[i], i);
        lab_partition(sc->hosts[newcomer[i]], i);
    }
    scenario_mark(sc, -1, "two LANs, a newcomer on each");
    uint64_t from_ns = lab_now_ns();
    for (unsigned i = 0; i < ARRAY_LEN(newcomer); i++) {
        scenario_start(sc, newcomer[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(newcomer); i++) {
        const struct lab_host *host = sc->hosts[newcomer[i]];
        daemon_wait_state(sc->hosts[i], host->name, "up", SCENARIO_PATIENCE_MS);
        daemon_wait_state(sc->hosts[newcomer[i]], sc->hosts[i]->name, "up", SCENARIO_PATIENCE_MS);
    }
    scenario_figure(sc, "newcomers are found after", scenario_ms_since(from_ns), "ms", -1);
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        lab_partition(sc->hosts[i], 0);
    }
    scenario_mark(sc, -1, "one LAN again");
    for (unsigned i = 2; i < 4; i++) {
        scenario_start(sc, i);
    }
    scenario_figure(sc, "whole again after", scenario_wait_whole(sc), "ms", -1);
}

/* Hosts with an avahi-daemon, the submitter's among them, beside hosts that have none, which answer
 * mDNS themselves; all avahi-daemons are killed in the middle of a job, and one is started again.
 */
START_TEST(kill_of_avahi_daemons)
{
    struct scenario sc;
    struct lab_process *avahi[2];
    scenario_begin(&sc, "avahi-daemon beside embedded, and kill -9 of it during a job",
                   &(struct scenario_setup){.dead_after = "5", .is_late = true});
    for (unsigned i = 0; i < ARRAY_LEN(avahi); i++) {
        lab_start_bus(sc.hosts[i]);
        avahi[i] = lab_start_avahi(sc.hosts[i]);
    }
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        scenario_start(&sc, i);
    }
    scenario_wait_whole(&sc);
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        bool is_asked = i < ARRAY_LEN(avahi);
        ck_assert(lab_wait_text(
            sc.daemons[i], is_asked ? "mDNS goes through avahi-daemon" : "mDNS is answered here",
            SCENARIO_PATIENCE_MS));
    }
    sc.job_options = one_run_each;
    struct scenario_job *job = scenario_submit(&sc, 0, 4 * N_TASKS, TASK_MS);
    scenario_wait_busy(&sc, job);
    for (unsigned i = 0; i < ARRAY_LEN(avahi); i++) {
        scenario_strike(&sc, i, "kill -9 of avahi-daemon");
        lab_kill(avahi[i]);
    }
    scenario_mark(&sc, 0, "avahi-daemon is started again");
    lab_start_avahi(sc.hosts[0]);
    scenario_expect_results(&sc, job);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), 4 * N_TASKS);
    scenario_expect_no_downs(&sc);
    expect_newcomers(&sc);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 50));
    scenario_end(&sc);
}
END_TEST

/* --- the clock ------------------------------------------------------------------------------ */

/* Where Debian has it, on any architecture; NULL: not here, or of no use (a sanitizer wants to be
 * loaded first, and a checker is a program of its own). */
static const char *find_faketime(void)
{
    static char path[LAB_PATH_BYTES_MAX];
    glob_t found;
#ifdef __SANITIZE_ADDRESS__
    return NULL;
#endif
    if (getenv("MESH_LAB_WRAP") != NULL ||
        glob("/usr/lib/*/faketime/libfaketimeMT.so.1", 0, NULL, &found) != 0) {
        return NULL;
    }
    snprintf(path, sizeof(path), "%s", found.gl_pathv[0]);
    globfree(&found);
    return path;
}

/* What the daemon's clock shows beside everybody else's: read from this file each time. */
static void set_clock(struct scenario *sc, const char *offset)
{
    char path[LAB_PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/clock", lab_share(sc->lab));
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fprintf(file, "%s\n", offset), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void start_on_own_clock(struct scenario *sc, unsigned host)
{
    char wrap[LAB_PATH_BYTES_MAX * 3];
    const char *library = find_faketime();
    ck_assert_ptr_nonnull(library);
    snprintf(wrap, sizeof(wrap),
             "env LD_PRELOAD=%s FAKETIME_TIMESTAMP_FILE=%s/clock FAKETIME_NO_CACHE=1 "
             "DONT_FAKE_MONOTONIC=1",
             library, lab_share(sc->lab));
    setenv("MESH_LAB_WRAP", wrap, 1); /* this test's process is its own */
    scenario_start(sc, host);
    unsetenv("MESH_LAB_WRAP");
    /* It is loaded there, and does what it is there for. */
    char line[LAB_PATH_BYTES_MAX * 4];
    snprintf(line, sizeof(line), "until grep -q faketime /proc/%s/maps; do sleep 0.01; done",
             "$(pgrep -x meshd)");
    scenario_shell(sc, host, line);
    set_clock(sc, "-1d");
    snprintf(line, sizeof(line), "test $(($(date +%%s) - $(%s date +%%s))) -ge 86399", wrap);
    scenario_shell(sc, host, line);
    set_clock(sc, "+0");
}

/* Nothing is reckoned by the time of day, so nothing happens. Struck are the submitter's daemon and
 * its detached job, whose times are on disk, and an executor's. */
static void play_clock(struct scenario *sc, unsigned host)
{
    set_clock(sc, "+0");
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        if (i == host) {
            start_on_own_clock(sc, i);
        } else {
            scenario_start(sc, i);
        }
    }
    scenario_wait_whole(sc);
    sc->job_options = one_run_each;
    struct scenario_job *job = scenario_detach(sc, 0, 4 * N_TASKS, TASK_MS);
    scenario_wait_busy(sc, job);
    scenario_strike(sc, host, "its clock is set back a day");
    set_clock(sc, "-1d");
    scenario_attach(sc, job);
    scenario_expect_results(sc, job);
    ck_assert_uint_eq(scenario_count_runs(sc, -1), 4 * N_TASKS);
    scenario_expect_no_downs(sc);
    scenario_mark(sc, (int)host, "its clock is right again");
    set_clock(sc, "+0");
    scenario_expect_results(sc, scenario_submit(sc, 0, N_TASKS, 50));
    scenario_expect_no_downs(sc);
    scenario_end(sc);
}

START_TEST(clock_of_an_executor_set_back)
{
    struct scenario sc;
    scenario_begin(&sc, "an executor's clock is set back a day, and on again",
                   &(struct scenario_setup){.dead_after = "5", .is_late = true});
    play_clock(&sc, 1);
}
END_TEST

START_TEST(clock_of_a_submitter_set_back)
{
    struct scenario sc;
    scenario_begin(&sc, "the submitter's clock is set back a day, and on again",
                   &(struct scenario_setup){.dead_after = "5", .is_late = true});
    play_clock(&sc, 0);
}
END_TEST

/* --- a slow host ---------------------------------------------------------------------------- */

static double ask(struct scenario *sc, const char *line)
{
    return strtod(scenario_shell(sc, 0, line), NULL);
}

/* All executors offer two cores; one has a tenth of a core for them. Each task reckons. */
START_TEST(slow_host)
{
    struct scenario sc;
    char line[4 * LAB_PATH_BYTES_MAX];
    scenario_begin(&sc, "a host of a tenth of a core beside others",
                   &(struct scenario_setup){.cores = 2, .dead_after = "5", .is_late = true});
    const char *log = daemon_log_folder(sc.lab);
    lab_limit_cores(sc.hosts[3], 0.1);
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        scenario_start(&sc, i);
    }
    scenario_wait_whole(&sc);
    scenario_mark(&sc, 3, "has a tenth of a core");
    snprintf(line, sizeof(line),
             "cd /mnt && cp %s . && %s --socket %s submit -k --joblog joblog "
             "'./task %s start {}; echo {} $MESH_PEER $(date +%%s.%%N) >> %s/begun; "
             "echo {} $(seq 50000 | sort -R | sort -n | cksum); ./task %s end {}' ::: "
             "$(seq 24) > printed",
             getenv("LAB_TASK"), getenv("MESH"), DAEMON_SOCKET, log, log, log);
    /* It reckons, so a busy machine has its say in how long that takes. */
    lab_expect(lab_spawn(sc.hosts[0], "/bin/sh", "-c", line, NULL), 3 * SCENARIO_PATIENCE_MS, 0);
    ck_assert_double_eq(ask(&sc, "wc -l < /mnt/printed"), 24);
    ck_assert_double_eq(ask(&sc, "cut -d ' ' -f 2- /mnt/printed | sort -u | wc -l"), 1);
    ck_assert_double_ge(ask(&sc, "grep -c rosa /mnt/log/begun || true"),
                        1); /* or it says nothing */
    double n_slow = ask(&sc, "cut -f 2 /mnt/joblog | grep -cx rosa || true");
    scenario_figure(&sc, "tasks of the slow host", n_slow, "tasks", -1);
    scenario_figure(&sc, "tasks of the two others", 24 - n_slow, "tasks", -1);
    ck_assert_double_lt(n_slow, ask(&sc, "cut -f 2 /mnt/joblog | grep -cx lily || true"));
    ck_assert_double_lt(n_slow, ask(&sc, "cut -f 2 /mnt/joblog | grep -cx max || true"));
    /* Once all tasks have begun, what it has is begun elsewhere, too: as soon as it takes twice as
     * long as is usual, and then it takes as long as it takes there. */
    double other_ms = ask(&sc, "awk 'NR > 1 && $2 != \"rosa\" && $4 > m { m = $4 } END { print m * "
                               "1000 }' /mnt/joblog");
    double tail_ms = ask(&sc, "sort -k 3n /mnt/log/begun | awk '!seen[$1]++ { b = $3 } END { while "
                              "((getline < \"/mnt/joblog\") > 0) { if ($3 + $4 > e) e = $3 + $4 } "
                              "print (e - b) * 1000 }'");
    scenario_figure(&sc, "longest task of the others", other_ms, "ms", -1);
    scenario_figure(&sc, "over after all had begun", tail_ms, "ms", 3 * other_ms + 250);
    scenario_expect_no_downs(&sc);
    scenario_end(&sc);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("many");
    scenario_add(suite, rolling_restart);
    scenario_add(suite, flapping_peer);
    scenario_add(suite, all_but_one_die);
    scenario_add(suite, all_start_at_once);
    scenario_add(suite, two_submitters);
    scenario_add(suite, mixed_versions);
    if (getenv("LAB_AVAHI") != NULL && access("/usr/sbin/avahi-daemon", X_OK) == 0) {
        scenario_add(suite, kill_of_avahi_daemons);
    } else {
        scenario_skip(kill_of_avahi_daemons, "no avahi-daemon, or a meshd that speaks to none");
    }
    if (find_faketime() != NULL) {
        scenario_add(suite, clock_of_an_executor_set_back);
        scenario_add(suite, clock_of_a_submitter_set_back);
    } else {
        scenario_skip(clock_of_an_executor_set_back, "no libfaketime, or of no use here");
        scenario_skip(clock_of_a_submitter_set_back, "no libfaketime, or of no use here");
    }
    struct errmsg err;
    if (lab_may_limit(LAB_LIMIT_CORES, &err)) {
        scenario_add(suite, slow_host);
    } else {
        scenario_skip(slow_host, err.text);
    }
    return lab_run_suite(suite);
}
