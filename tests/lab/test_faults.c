/* A job over three executors, of which one is struck while it works: killed, frozen, or cut off.
 * Whatever happens, every input has its right result, once; and what the lost peer was at runs
 * elsewhere soon. The quick ones of the scenarios, which every run of the tests plays. */
#include <stdlib.h>

#include "tests/lab/scenario.h"

#define N_TASKS 9
#define TASK_MS 1500
/* Where the end of a daemon is told by its connections, work goes on elsewhere so fast. */
#define RERUN_MEDIAN_MS 200

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

START_TEST(a_job_ends_with_125_when_its_own_daemon_is_killed)
{
    struct scenario sc;
    scenario_begin(&sc, "kill -9 of the submitter's daemon, attached", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    scenario_wait_busy(&sc, job);
    scenario_strike(&sc, 0, "kill -9 of meshd");
    lab_kill(sc.daemons[0]);
    scenario_expect_down(&sc, 0, -1);
    lab_expect(job->process, SCENARIO_PATIENCE_MS, 125);
    ck_assert_str_ne(lab_errors(job->process), "");
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
