/* What happens to a whole mesh: restarts one after the other, peers that come and go, all but one
 * gone, all at once, two who submit, another version, a clock that is set back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/scenario.h"

#define N_TASKS 9
#define TASK_MS 1500

/* Each peer is stopped as an administrator stops it, and started again when it is gone; the next
 * one when all see it. The submitter too: its job is detached. */
START_TEST(rolling_restart)
{
    struct scenario sc;
    scenario_begin(&sc, "rolling restart of every peer", NULL);
    struct scenario_job *job = scenario_detach(&sc, 0, 60, 700);
    scenario_wait_busy(&sc, job);
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        scenario_strike(&sc, i, "stopped and started");
        lab_stop(sc.daemons[i], SCENARIO_PATIENCE_MS);
        scenario_start(&sc, i);
        scenario_wait_whole(&sc);
    }
    scenario_mark(&sc, -1, "all are new");
    scenario_attach(&sc, job);
    scenario_expect_results(&sc, job);
    scenario_end(&sc);
}
END_TEST

/* Up for two seconds, down for two, for a minute; whatever it is given runs elsewhere. */
START_TEST(flapping_peer)
{
    struct scenario sc;
    scenario_begin(&sc, "a peer that flaps: up and down every 2 s for a minute", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, 700, 1000);
    unsigned victim = scenario_wait_busy(&sc, job);
    for (unsigned i = 0; i < 15; i++) {
        scenario_strike(&sc, victim, "down");
        lab_kill(sc.daemons[victim]);
        lab_let_pass(2000);
        scenario_mark(&sc, (int)victim, "up");
        scenario_start(&sc, victim);
        lab_let_pass(2000);
    }
    scenario_expect_results(&sc, job);
    scenario_figure(&sc, "whole again after", scenario_wait_whole(&sc), "ms", -1);
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
                       .n_executors = 19, .cores = "1", .dead_after = "3", .is_late = true});
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        scenario_start(&sc, i);
    }
    scenario_mark(&sc, -1, "all have begun");
    scenario_figure(&sc, "whole after", scenario_wait_whole(&sc), "ms", -1);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, 60, 200));
    scenario_end(&sc);
}
END_TEST

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
    scenario_expect_results(&sc, first);
    scenario_expect_results(&sc, second);
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
    return lab_run_suite(suite);
}
