/* A job over three executors, of which one is struck while it works: killed, frozen, or cut off.
 * Whatever happens, every input has its right result, once; and what the lost peer was at runs
 * elsewhere soon. The quick ones of the scenarios, which every run of the tests plays. */
#include <stdio.h>
#include <string.h>

#include "tests/lab/scenario.h"

#define N_TASKS 9
#define TASK_MS 1500
#define LONG_MS 4000 /* longer than the lease */
/* Where the end of a daemon is told by its connections, work goes on elsewhere so fast. */
#define RERUN_MEDIAN_MS 200

static const char *const lease_of_3_s[] = {"--lease", "3s", NULL};
#define LEASE_MS 3000

START_TEST(a_job_without_faults_runs_each_task_once_and_spreads)
{
    struct scenario sc;
    scenario_begin(&sc, "nothing happens", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    scenario_expect_results(&sc, job);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), N_TASKS);
    unsigned n_executors = 0;
    for (int i = 1; i < (int)sc.n_hosts; i++) {
        n_executors += scenario_count_runs(&sc, i) > 0;
    }
    ck_assert_uint_gt(n_executors, 1);
    scenario_expect_no_downs(&sc);
    scenario_end(&sc);
}
END_TEST

START_TEST(tasks_of_a_killed_executor_run_elsewhere_and_die_with_it)
{
    struct scenario sc;
    scenario_begin(&sc, "kill -9 of an executor's daemon", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(&sc, job);
    scenario_strike(&sc, victim, "kill -9 of meshd");
    lab_kill(sc.daemons[victim]);
    scenario_expect_down(&sc, victim, -1);
    scenario_expect_results(&sc, job);
    scenario_expect_reruns(&sc, SCENARIO_RERUN_MS);
    scenario_promise_median(&sc, "all run again after", RERUN_MEDIAN_MS);
    scenario_expect_died(&sc, (int)victim, SCENARIO_RERUN_MS);
    scenario_end(&sc);
}
END_TEST

START_TEST(tasks_of_a_frozen_executor_run_elsewhere_and_count_once)
{
    struct scenario sc;
    scenario_begin(&sc, "an executor's daemon is frozen for long", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(&sc, job);
    scenario_strike(&sc, victim, "SIGSTOP of meshd");
    lab_freeze(sc.daemons[victim]);
    scenario_expect_down(&sc, victim, SCENARIO_SILENCE_MS);
    scenario_expect_results(&sc, job);
    scenario_expect_reruns(&sc, SCENARIO_SILENCE_MS + SCENARIO_RERUN_MS);
    /* It wakes with results that nobody wants any more, and is a good peer again. */
    scenario_mark(&sc, (int)victim, "SIGCONT");
    lab_thaw(sc.daemons[victim]);
    scenario_figure(&sc, "whole again after", scenario_wait_whole(&sc), "ms", -1);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 50));
    scenario_end(&sc);
}
END_TEST

START_TEST(tasks_of_an_executor_behind_a_cut_cable_run_elsewhere_and_count_once)
{
    struct scenario sc;
    scenario_begin(&sc, "an executor's cable is cut for long", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(&sc, job);
    scenario_strike(&sc, victim, "cable cut");
    lab_cut(sc.hosts[victim]);
    scenario_expect_down(&sc, victim, SCENARIO_SILENCE_MS);
    scenario_expect_results(&sc, job);
    scenario_expect_reruns(&sc, SCENARIO_SILENCE_MS + SCENARIO_RERUN_MS);
    scenario_mark(&sc, (int)victim, "cable back");
    lab_plug(sc.hosts[victim]);
    scenario_figure(&sc, "whole again after", scenario_wait_whole(&sc), "ms", -1);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 50));
    scenario_end(&sc);
}
END_TEST

/* The command counts the tasks without a result. It may have results that it had not printed yet,
 * for they come in order, but none of a task that had not ended. */
static void expect_told(struct scenario *sc, const struct scenario_job *job)
{
    unsigned n_printed = 0;
    unsigned n_missing = 0;
    unsigned n_all = 0;
    for (const char *c = lab_output(job->process); *c != '\0'; c++) {
        n_printed += *c == '\n';
    }
    const char *said = strstr(lab_errors(job->process), "meshd is gone: ");
    if (said == NULL ||
        sscanf(said, "meshd is gone: %u of %u tasks have no result", &n_missing, &n_all) != 2) {
        lab_fail(sc->lab, "it does not count the tasks that have no result");
    }
    ck_assert_uint_eq(n_all, job->n_tasks);
    ck_assert_uint_le(n_missing, job->n_tasks - n_printed);
    ck_assert_uint_ge(n_missing, job->n_tasks - scenario_count_ended(sc, job));
    scenario_figure(sc, "tasks without a result", n_missing, "tasks", -1);
}

START_TEST(a_job_ends_with_125_when_its_own_daemon_is_killed)
{
    struct scenario sc;
    scenario_begin(&sc, "kill -9 of the submitter's daemon, attached", NULL);
    sc.job_options = lease_of_3_s;
    struct scenario_job *job = scenario_submit(&sc, 0, 4 * N_TASKS, LONG_MS);
    scenario_wait_busy(&sc, job);
    ck_assert(lab_wait_text(job->process, "\n", SCENARIO_PATIENCE_MS)); /* its first result */
    scenario_strike(&sc, 0, "kill -9 of meshd");
    lab_kill(sc.daemons[0]);
    lab_expect(job->process, SCENARIO_PATIENCE_MS, 125);
    scenario_figure(&sc, "ended with 125 after",
                    (double)(job->process->ended_ns - sc.struck_ns) / 1e6, "ms", -1);
    expect_told(&sc, job);
    scenario_expect_down(&sc, 0, -1);
    /* Nobody wants the results any more: what had begun just then does not come to its end. */
    scenario_expect_idle(&sc, LEASE_MS + SCENARIO_RERUN_MS);
    scenario_expect_died(&sc, -1, SCENARIO_RERUN_MS);
    scenario_end(&sc);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults");
    scenario_add(suite, a_job_without_faults_runs_each_task_once_and_spreads);
    scenario_add(suite, tasks_of_a_killed_executor_run_elsewhere_and_die_with_it);
    scenario_add(suite, tasks_of_a_frozen_executor_run_elsewhere_and_count_once);
    scenario_add(suite, tasks_of_an_executor_behind_a_cut_cable_run_elsewhere_and_count_once);
    scenario_add(suite, a_job_ends_with_125_when_its_own_daemon_is_killed);
    return lab_run_suite(suite);
}
