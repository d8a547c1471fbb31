/* Processes and hosts that are struck while they work: killed, frozen, without power. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/scenario.h"

#define N_TASKS 9
#define TASK_MS 1500

static const char *const lease_of_3_s[] = {"--lease", "3s", NULL};
#define LEASE_MS 3000

/* --- the power ----------------------------------------------------------------------------- */

START_TEST(power_off_of_an_executor)
{
    struct scenario sc;
    scenario_begin(&sc, "power off", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(&sc, job);
    scenario_strike(&sc, victim, "power off");
    lab_power_off(sc.hosts[victim]);
    scenario_expect_down(&sc, victim, SCENARIO_SILENCE_MS);
    scenario_expect_results(&sc, job);
    scenario_expect_reruns(&sc, SCENARIO_SILENCE_MS + SCENARIO_RERUN_MS);
    scenario_end(&sc);
}
END_TEST

/* --- kill -9 --------------------------------------------------------------------------------- */

/* Nobody wants the results any more: what runs is ended, wherever it is. */
START_TEST(kill_of_the_command)
{
    struct scenario sc;
    scenario_begin(&sc, "kill -9 of mesh submit", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    scenario_wait_busy(&sc, job);
    scenario_strike(&sc, 0, "kill -9 of mesh submit");
    lab_kill(job->process);
    scenario_expect_idle(&sc, SCENARIO_RERUN_MS);
    lab_let_pass(2 * TASK_MS); /* nor does anything begin again */
    scenario_expect_died(&sc, -1, SCENARIO_RERUN_MS);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), N_TASKS);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 50));
    scenario_end(&sc);
}
END_TEST

/* Attached jobs: test_faults.c. This one is back at once. */
START_TEST(kill_of_the_submitters_daemon_detached)
{
    struct scenario sc;
    scenario_begin(&sc, "kill -9 of the submitter's daemon, detached, back at once", NULL);
    struct scenario_job *job = scenario_detach(&sc, 0, 3 * N_TASKS, TASK_MS);
    scenario_wait_ended(&sc, job, 3);
    scenario_strike(&sc, 0, "kill -9 of meshd");
    lab_kill(sc.daemons[0]);
    scenario_start(&sc, 0);
    scenario_figure(&sc, "whole again after", scenario_wait_whole(&sc), "ms", -1);
    scenario_attach(&sc, job);
    scenario_expect_results(&sc, job);
    /* Executors held on to what they ran: nothing is done again. */
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), 3 * N_TASKS);
    scenario_end(&sc);
}
END_TEST

START_TEST(kill_of_the_submitters_daemon_away_for_a_minute)
{
    struct scenario sc;
    scenario_begin(&sc, "kill -9 of the submitter's daemon, detached, away for a minute", NULL);
    struct scenario_job *job = scenario_detach(&sc, 0, 3 * N_TASKS, TASK_MS);
    scenario_wait_ended(&sc, job, 3);
    scenario_strike(&sc, 0, "kill -9 of meshd");
    lab_kill(sc.daemons[0]);
    scenario_expect_down(&sc, 0, -1);
    lab_let_pass(60000);
    scenario_mark(&sc, 0, "meshd is started again");
    scenario_start(&sc, 0);
    scenario_figure(&sc, "whole again after", scenario_wait_whole(&sc), "ms", -1);
    scenario_attach(&sc, job);
    scenario_expect_results(&sc, job);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), 3 * N_TASKS);
    scenario_end(&sc);
}
END_TEST

/* The init of a cell dies, and with it all in the cell: the attempt is lost, and begun again. */
START_TEST(kill_of_a_cell)
{
    struct scenario sc;
    scenario_begin(&sc, "kill -9 of a cell", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(&sc, job);
    scenario_strike(&sc, victim, "kill -9 of a cell's init");
    scenario_shell(&sc, victim, "kill -9 $(pgrep -n mesh-cell)");
    scenario_expect_results(&sc, job);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), N_TASKS + 1);
    scenario_expect_no_downs(&sc);
    scenario_end(&sc);
}
END_TEST

/* Processes of libmesh's functions; the calls that they were at are made again. */
START_TEST(kill_of_workers)
{
    struct scenario sc;
    const char *const env[] = {"MESH_SOCKET=" DAEMON_SOCKET, NULL};
    const struct lab_start how = {.env = env};
    scenario_begin(&sc, "kill -9 of workers", &(struct scenario_setup){.cores = 2});
    const char *const argv[] = {getenv("LAB_CALLER"),      "steady", "120", "200",
                                daemon_log_folder(sc.lab), NULL};
    struct lab_process *caller = lab_spawnv(sc.hosts[0], argv, &how);
    ck_assert(lab_wait_text(caller, "first is there", SCENARIO_PATIENCE_MS));
    for (unsigned i = 1; i < sc.n_hosts; i++) {
        scenario_shell(&sc, i, "until pgrep -n caller > /tmp/worker; do sleep 0.02; done");
        scenario_strike(&sc, i, "kill -9 of a worker");
        scenario_shell(&sc, i, "kill -9 $(cat /tmp/worker)");
    }
    lab_expect(caller, SCENARIO_PATIENCE_MS, 0);
    ck_assert_ptr_nonnull(strstr(lab_output(caller), "120 right\n"));
    scenario_figure(&sc, "results, each right and once", 120, "calls", -1);
    unsigned n_more = scenario_count_runs(&sc, -1) - 120;
    scenario_figure(&sc, "calls made again", n_more, "calls", -1);
    ck_assert_uint_gt(n_more, 0); /* or none was at work */
    scenario_expect_no_downs(&sc);
    scenario_end(&sc);
}
END_TEST

/* --- freezing ------------------------------------------------------------------------------ */

/* The whole host, or its daemon alone. */
static void freeze(struct scenario *sc, unsigned host, bool is_host)
{
    scenario_strike(sc, host, is_host ? "the host is frozen" : "SIGSTOP of meshd");
    if (is_host) {
        lab_freeze_host(sc->hosts[host]);
    } else {
        lab_freeze(sc->daemons[host]);
    }
}

static void thaw(struct scenario *sc, unsigned host, bool is_host)
{
    scenario_mark(sc, (int)host, "it goes on");
    if (is_host) {
        lab_thaw_host(sc->hosts[host]);
    } else {
        lab_thaw(sc->daemons[host]);
    }
}

/* Shorter than any deadline: as if nothing had been. */
static void play_short_freeze(struct scenario *sc, bool is_host)
{
    struct scenario_job *job = scenario_submit(sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(sc, job);
    freeze(sc, victim, is_host);
    lab_let_pass(400);
    thaw(sc, victim, is_host);
    scenario_expect_results(sc, job);
    ck_assert_uint_eq(scenario_count_runs(sc, -1), N_TASKS);
    scenario_expect_no_downs(sc);
    scenario_end(sc);
}

/* Longer than --dead-after, shorter than the lease: its tasks are begun elsewhere, but what ran
 * longer goes on once it is back: the job is over when those are, and nothing ran to its end twice.
 */
static void play_freeze_within_lease(struct scenario *sc, bool is_host)
{
    struct scenario_job *job = scenario_submit(sc, 0, N_TASKS, 4000);
    unsigned victim = scenario_wait_busy(sc, job);
    freeze(sc, victim, is_host);
    scenario_expect_down(sc, victim, SCENARIO_SILENCE_MS);
    lab_let_pass(1000);
    thaw(sc, victim, is_host);
    scenario_figure(sc, "whole again after", scenario_wait_whole(sc), "ms", -1);
    scenario_expect_results(sc, job);
    /* What began again did so after 1 s, and would take 4 from then on. */
    scenario_figure(sc, "job over after", (double)(lab_now_ns() - sc->struck_ns) / 1e6, "ms", 4800);
    scenario_expect_once(sc);
    scenario_end(sc);
}

/* Longer than the lease: what it was at is ended, by the cells themselves where only the daemon is
 * frozen, and as soon as they wake up where they are, too: their time is not over by then. */
static void play_freeze_beyond_lease(struct scenario *sc, bool is_host)
{
    unsigned silence_ms = scenario_patience() > 1 ? 4000 : 1000; /* as --dead-after is */
    sc->job_options = lease_of_3_s;
    struct scenario_job *job = scenario_submit(sc, 0, N_TASKS, silence_ms + LEASE_MS + 2000);
    unsigned victim = scenario_wait_busy(sc, job);
    freeze(sc, victim, is_host);
    scenario_expect_down(sc, victim, SCENARIO_SILENCE_MS);
    lab_let_pass(LEASE_MS + 500);
    thaw(sc, victim, is_host);
    scenario_figure(sc, "whole again after", scenario_wait_whole(sc), "ms", -1);
    scenario_expect_results(sc, job);
    scenario_expect_reruns(sc, SCENARIO_SILENCE_MS + SCENARIO_RERUN_MS);
    scenario_expect_died(sc, (int)victim, LEASE_MS);
    scenario_expect_results(sc, scenario_submit(sc, 0, N_TASKS, 50));
    scenario_end(sc);
}

START_TEST(freeze_of_a_daemon_for_a_moment)
{
    struct scenario sc;
    scenario_begin(&sc, "a daemon is frozen for a moment", NULL);
    play_short_freeze(&sc, false);
}
END_TEST

START_TEST(freeze_of_a_host_for_a_moment)
{
    struct scenario sc;
    scenario_begin(&sc, "a host is frozen for a moment", NULL);
    play_short_freeze(&sc, true);
}
END_TEST

START_TEST(freeze_of_a_daemon_within_the_lease)
{
    struct scenario sc;
    scenario_begin(&sc, "a daemon is frozen, shorter than the lease", NULL);
    play_freeze_within_lease(&sc, false);
}
END_TEST

START_TEST(freeze_of_a_host_within_the_lease)
{
    struct scenario sc;
    scenario_begin(&sc, "a host is frozen, shorter than the lease", NULL);
    play_freeze_within_lease(&sc, true);
}
END_TEST

START_TEST(freeze_of_a_daemon_beyond_the_lease)
{
    struct scenario sc;
    scenario_begin(&sc, "a daemon is frozen, longer than the lease", NULL);
    play_freeze_beyond_lease(&sc, false);
}
END_TEST

START_TEST(freeze_of_a_host_beyond_the_lease)
{
    struct scenario sc;
    scenario_begin(&sc, "a host is frozen, longer than the lease", NULL);
    play_freeze_beyond_lease(&sc, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("strike");
    scenario_add(suite, power_off_of_an_executor);
    scenario_add(suite, kill_of_the_command);
    scenario_add(suite, kill_of_the_submitters_daemon_detached);
    scenario_add(suite, kill_of_the_submitters_daemon_away_for_a_minute);
    scenario_add(suite, kill_of_a_cell);
    scenario_add(suite, kill_of_workers);
    scenario_add(suite, freeze_of_a_daemon_for_a_moment);
    scenario_add(suite, freeze_of_a_host_for_a_moment);
    scenario_add(suite, freeze_of_a_daemon_within_the_lease);
    scenario_add(suite, freeze_of_a_host_within_the_lease);
    scenario_add(suite, freeze_of_a_daemon_beyond_the_lease);
    scenario_add(suite, freeze_of_a_host_beyond_the_lease);
    return lab_run_suite(suite);
}
