/* Peers that are killed, silent, frozen or cut off while they have tasks: when they are given up,
 * and what becomes of what they ran when they are back. */
#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

START_TEST(tasks_of_a_killed_peer_run_elsewhere_within_half_a_second)
{
    struct world *world = world_mesh(3, 2);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 6, "sleep", "2000");
    world_run_for(world, 500 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    ck_assert_uint_eq(world_n_running(world, 2), 2);
    world_kill(world, 2);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    /* All six began by 0.1 s, so four end by 2.1 s; the lost two begin on cores that come free. */
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 6);
    ck_assert_uint_lt(world_now(world), 1000 * CORE_S + 4200 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 1);
    world_end(world);
}
END_TEST

START_TEST(a_refused_redial_gives_a_cut_peer_up_at_once)
{
    struct world *world = world_mesh(2, 3);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "sleep", "1000");
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    uint64_t killed_ns = world_now(world);
    world_kill(world, 1);
    while (core_counts(world_core(world, 0)).n_attempts > 2 &&
           world_now(world) < killed_ns + CORE_S) {
        world_run_for(world, CORE_MS);
        struct core_counts counts = core_counts(world_core(world, 0));
        if (counts.n_peers_up == 0 && world_now(world) > killed_ns + 10 * CORE_MS) {
            break;
        }
    }
    ck_assert_uint_lt(world_now(world) - killed_ns, 150 * CORE_MS);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(a_silent_peer_is_given_up_after_dead_after)
{
    struct world *world = world_mesh(2, 4);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "sleep", "8000");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    world_cut(world, 1);
    world_run_for(world, 2400 * CORE_MS); /* the last beat came up to 0.5 s before */
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 1);
    world_run_for(world, 1100 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 0);
    ck_assert(world_run_job(world, 0, 20 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 4);
    world_mend(world, 1);
    world_end(world);
}
END_TEST

static uint64_t n_moves(struct world *world, unsigned i, enum core_peer_row row)
{
    return core_moves_of(world_core(world, i))->n_taken[CORE_MACHINE_PEER][row];
}

/* Of the shortest --dead-after: a packet that has to be sent again takes a beat 0.2 s longer. */
START_TEST(one_late_beat_makes_nobody_suspect)
{
    struct world *world = world_new(4);
    for (unsigned i = 0; i < 2; i++) {
        world_config(world, i)->dead_after_ns = CORE_S;
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "sleep", "60000");
    for (unsigned i = 0; i < 10; i++) {
        world_set_latency(world, CORE_MS);
        world_run_for(world, 1730 * CORE_MS);
        world_set_latency(world, 220 * CORE_MS);
        world_run_for(world, 1730 * CORE_MS);
    }
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(n_moves(world, i, CORE_PEER_ROW_UP_QUIET), 0);
    }
    /* And silence is noticed as ever, not without suspicion. */
    world_cut(world, 1);
    world_run_for(world, 1010 * CORE_MS);
    ck_assert_uint_eq(n_moves(world, 0, CORE_PEER_ROW_UP_QUIET), 1);
    ck_assert_uint_eq(n_moves(world, 0, CORE_PEER_ROW_SUSPECT_SILENT), 1);
    world_mend(world, 1);
    world_end(world);
}
END_TEST

START_TEST(silence_right_after_the_first_task_is_noticed_as_fast)
{
    struct world *world = world_mesh(2, 5);
    world_run_for(world, 20 * CORE_S); /* idle: beats every 5 s */
    struct wire_message job = world_job();
    world_cut(world, 1);
    world_submit(world, 0, &job, 4, "exit", "0");
    ck_assert(world_run_job(world, 0, 3700 * CORE_MS));
    world_mend(world, 1);
    world_end(world);
}
END_TEST

START_TEST(an_idle_silent_peer_is_down_after_its_interval_and_dead_after)
{
    struct world *world = world_mesh(2, 6);
    world_run_for(world, 20 * CORE_S);
    for (uint64_t n = world_n_sent(world, 1, WIRE_MESSAGE_BEAT);
         n == world_n_sent(world, 1, WIRE_MESSAGE_BEAT);) {
        world_run_for(world, CORE_MS);
    }
    world_run_for(world, 10 * CORE_MS); /* it is heard */
    world_cut(world, 1);
    world_run_for(world, 7900 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 1);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 0);
    world_mend(world, 1);
    world_run_for(world, 5 * CORE_S);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 1);
    world_end(world);
}
END_TEST

START_TEST(attempts_run_on_through_a_short_cut)
{
    struct world *world = world_mesh(2, 7);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "sleep", "1000");
    world_run_for(world, 300 * CORE_MS);
    world_reset_link(world, 0, 1);
    ck_assert(world_run_job(world, 0, 3 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 0) + world_n_started(world, 1), 4);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 4);
    world_end(world);
}
END_TEST

START_TEST(a_frozen_executor_that_wakes_changes_no_result)
{
    struct world *world = world_mesh(3, 8);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 12, "sleep", "500");
    world_run_for(world, 200 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 2), 2);
    world_freeze(world, 2);
    ck_assert(world_run_job(world, 0, 20 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 12);
    world_thaw(world, 2);
    world_run_for(world, 3 * CORE_S);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 2);
    world_end(world);
}
END_TEST

START_TEST(the_result_of_an_older_attempt_counts_while_the_task_is_not_done)
{
    struct world *world = world_mesh(2, 9);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "sleep", "12000");
    world_run_for(world, CORE_S);
    world_cut(world, 1); /* both sides run two tasks until 12 s */
    world_run_for(world, 4500 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 0);
    world_mend(world, 1); /* still running there, waiting again here */
    ck_assert(world_run_job(world, 0, 8 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 0), 2);
    ck_assert_uint_eq(world_n_started(world, 1), 2);
    world_end(world);
}
END_TEST

/* The first submits and runs nothing, the second runs what it submits. */
static struct world *owner_and_executor(void)
{
    struct world *world = world_new(9);
    world_config(world, 0)->cores = 0;
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, CORE_S);
    return world;
}

/* The executor is silent until it is given up, and is back. */
static void lose_and_find(struct world *world)
{
    world_cut(world, 1);
    world_run_for(world, 4500 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 0);
    world_mend(world, 1);
}

/* Its executor was given up, but ran on, and comes back with the result in its hands. */
START_TEST(a_result_that_was_made_in_a_cut_is_not_made_again)
{
    struct world *world = owner_and_executor();
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 2, "sleep", "2000");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    lose_and_find(world);
    ck_assert(world_run_job(world, 0, 3 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 2);
    ck_assert_uint_eq(world_n_started(world, 1), 2);
    world_end(world);
}
END_TEST

/* Nor is what still waits there sent again: it might begin before the word to drop it comes. */
START_TEST(what_waits_at_a_lost_peer_is_not_sent_again)
{
    struct world *world = owner_and_executor();
    struct wire_message job = world_job();
    /* So that it is given more than it has cores. */
    world_submit(world, 0, &job, 100, "sleep", "5");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    world_submit(world, 0, &job, 8, "sleep", "9000");
    world_run_for(world, CORE_S);
    ck_assert_uint_gt(core_counts(world_core(world, 1)).n_held_queued, 0);
    lose_and_find(world);
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_DROP), 0);
    ck_assert_uint_eq(world_n_started(world, 1), 108);
    world_end(world);
}
END_TEST

/* Two hours are not begun anew for five seconds of silence: the attempt that has run longer goes
 * on, and the one that took its place is let go. */
START_TEST(what_has_run_longer_goes_on_after_a_cut)
{
    struct world *world = world_mesh(3, 9);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "sleep", "20000"); /* of 6 cores */
    world_run_for(world, CORE_S);
    unsigned lost = world_n_running(world, 1) > 0 ? 1 : 2;
    uint32_t n_lost = world_n_running(world, lost);
    ck_assert_uint_gt(n_lost, 0);
    world_cut(world, lost);
    world_run_for(world, 5 * CORE_S);
    uint32_t n_again = 0;
    for (unsigned i = 0; i < 3; i++) {
        n_again += i != lost ? world_n_running(world, i) : 0;
    }
    ck_assert_uint_eq(n_again, 4); /* those that were lost among them */
    world_mend(world, lost);
    world_run_for(world, 3 * CORE_S);
    ck_assert_uint_eq(world_n_running(world, lost), n_lost);
    ck_assert_uint_eq(
        world_n_running(world, 0) + world_n_running(world, 1) + world_n_running(world, 2), 4);
    ck_assert(world_run_job(world, 0, 11500 * CORE_MS)); /* 20 s after they began, not 25 */
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 4);
    world_end(world);
}
END_TEST

/* It began in the moment of the cut: that it has is news when the peer is back. */
START_TEST(what_began_unheard_and_has_run_longer_goes_on)
{
    struct world *world = world_new(9);
    struct wire_message job = world_job();
    world_config(world, 0)->cores = 0;
    for (unsigned i = 0; i < 3; i++) {
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    world_set_latency(world, 20 * CORE_MS);
    world_submit(world, 0, &job, 2, "sleep", "20000"); /* of 4 cores */
    unsigned lost = 0;
    for (unsigned i = 0; i < 1000 && lost == 0; i++) {
        world_run_for(world, CORE_MS);
        lost = world_n_running(world, 1) > 0 ? 1 : world_n_running(world, 2) > 0 ? 2 : 0;
    }
    ck_assert_uint_gt(lost, 0);
    uint32_t n_lost = world_n_running(world, lost);
    world_cut(world, lost);
    world_run_for(world, 5 * CORE_S);
    ck_assert_uint_eq(world_n_running(world, 3 - lost), 2); /* all of them */
    world_mend(world, lost);
    world_run_for(world, 3 * CORE_S);
    ck_assert_uint_eq(world_n_running(world, lost), n_lost);
    ck_assert_uint_eq(world_n_running(world, 1) + world_n_running(world, 2), 2);
    ck_assert(world_run_job(world, 0, 13 * CORE_S)); /* 20 s after they began, not 23 */
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 2);
    world_end(world);
}
END_TEST

START_TEST(an_executor_drops_what_it_runs_when_its_lease_runs_out)
{
    struct world *world = world_mesh(2, 10);
    struct wire_message job = world_job();
    job.submit.spec.lease_ms = 2000;
    world_submit(world, 0, &job, 4, "sleep", "60000");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    world_cut(world, 1);
    world_run_for(world, 5600 * CORE_MS); /* it accuses us after 3 s; the lease was over by then */
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    ck_assert_uint_gt(world_n_effects(world, 1, CORE_EFFECT_RENEW), 0);
    world_mend(world, 1);
    world_client_down(world, 0);
    world_end(world);
}
END_TEST

START_TEST(a_sleeper_drops_what_it_ran_for_others_before_it_speaks)
{
    struct world *world = world_mesh(2, 11);
    struct wire_message job = world_job();
    job.submit.spec.lease_ms = 2000;
    world_submit(world, 0, &job, 3, "sleep", "30000");
    world_run_for(world, CORE_S);
    ck_assert_uint_ge(world_n_running(world, 1), 1);
    world_freeze(world, 1);
    world_run_for(world, _i == 0 ? 4 * CORE_S : 20 * CORE_S); /* its lease, and any lease */
    world_thaw(world, 1);
    world_run_for(world, 500 * CORE_MS);
    ck_assert_uint_ge(world_n_effects(world, 1, CORE_EFFECT_KILL), 1);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_KILL), 0);
    ck_assert(world_run_job(world, 0, 90 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 3);
    world_end(world);
}
END_TEST

START_TEST(a_late_loop_accuses_nobody)
{
    struct world *world = world_new(12);
    for (unsigned i = 0; i < 3; i++) {
        world_config(world, i)->dead_after_ns = (i == 0 ? 2 : 5) * CORE_S; /* they have patience */
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 6, "sleep", "9000");
    world_run_for(world, CORE_S);
    uint64_t n_closed = world_n_effects(world, 0, CORE_EFFECT_CLOSE_LINK);
    world_freeze(world, 0);
    world_run_for(world, 2800 * CORE_MS);
    world_thaw(world, 0);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 2);
    ck_assert(world_run_job(world, 0, 20 * CORE_S));
    ck_assert_uint_eq(
        world_n_started(world, 0) + world_n_started(world, 1) + world_n_started(world, 2), 6);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_CLOSE_LINK), n_closed);
    world_end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_lost");
    TCase *tcase = tcase_create("lost");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, tasks_of_a_killed_peer_run_elsewhere_within_half_a_second);
    tcase_add_test(tcase, a_refused_redial_gives_a_cut_peer_up_at_once);
    tcase_add_test(tcase, a_silent_peer_is_given_up_after_dead_after);
    tcase_add_test(tcase, one_late_beat_makes_nobody_suspect);
    tcase_add_test(tcase, silence_right_after_the_first_task_is_noticed_as_fast);
    tcase_add_test(tcase, an_idle_silent_peer_is_down_after_its_interval_and_dead_after);
    tcase_add_test(tcase, attempts_run_on_through_a_short_cut);
    tcase_add_test(tcase, a_frozen_executor_that_wakes_changes_no_result);
    tcase_add_test(tcase, the_result_of_an_older_attempt_counts_while_the_task_is_not_done);
    tcase_add_test(tcase, a_result_that_was_made_in_a_cut_is_not_made_again);
    tcase_add_test(tcase, what_waits_at_a_lost_peer_is_not_sent_again);
    tcase_add_test(tcase, what_has_run_longer_goes_on_after_a_cut);
    tcase_add_test(tcase, what_began_unheard_and_has_run_longer_goes_on);
    tcase_add_test(tcase, an_executor_drops_what_it_runs_when_its_lease_runs_out);
    tcase_add_loop_test(tcase, a_sleeper_drops_what_it_ran_for_others_before_it_speaks, 0, 2);
    tcase_add_test(tcase, a_late_loop_accuses_nobody);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
