/* The tail of jobs: what waits is recalled to idle cores, stragglers are started a second time, and
 * a peer on which everything fails at once wins no work by it. */
#include <stdio.h>

#include "mesh/core/job.h"
#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"
#include "wire/base/mem.h"

static void end(struct world *world)
{
    world_run_for(world, 90 * CORE_S);
    world_assert_quiet(world);
    world_free(world);
}

static uint32_t n_started(const struct world *world)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        n += world_n_started(world, i);
    }
    return n;
}

/* Virtual milliseconds until the job is done. */
static uint64_t makespan_ms(struct world *world, const struct wire_message *job, uint32_t n_tasks,
                            const char *word, const char *value)
{
    uint64_t from_ns = world_now(world);
    world_submit(world, 0, job, n_tasks, word, value);
    ck_assert(world_run_job(world, 0, 600 * CORE_S));
    return (world_now(world) - from_ns) / CORE_MS;
}

/* --- second attempts ---------------------------------------------------------------------------
 */

static uint64_t makespan_with_straggler(bool may_speculate)
{
    struct world *world = world_mesh(4, 1);
    world_set_slowness(world, 3, 10);
    struct wire_message job = world_job();
    job.submit.may_speculate = may_speculate;
    uint64_t ms = makespan_ms(world, &job, 40, "sleep", "500");
    const struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->job_done.n_succeeded, 40);
    ck_assert_uint_eq(client->job_done.n_lost, 0);
    ck_assert_uint_eq(n_started(world) > 40, may_speculate);
    ck_assert_uint_le(n_started(world), 44);
    end(world);
    return ms;
}

START_TEST(second_attempts_shorten_a_job_with_a_straggler)
{
    uint64_t without_ms = makespan_with_straggler(false);
    uint64_t with_ms = makespan_with_straggler(true);
    printf("# makespan with a straggler 10 times slower: %llu ms, with second attempts %llu ms\n",
           (unsigned long long)without_ms, (unsigned long long)with_ms);
    /* 38 tasks on six cores take 3.5 s; the last begins a second time at most 1 s after. */
    ck_assert_uint_ge(without_ms, 5000);
    ck_assert_uint_le(with_ms, 4600);
}
END_TEST

START_TEST(a_job_that_may_not_speculate_or_runs_once_has_no_second_attempts)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        struct world *world = world_mesh(4, 2);
        world_set_slowness(world, 3, 10);
        struct wire_message job = world_job();
        job.submit.may_speculate = kind != 0;
        job.submit.is_once = kind == 1;
        job.submit.spec.is_streamed = kind == 2;
        makespan_ms(world, &job, 20, "sleep", "500");
        ck_assert_uint_eq(n_started(world), 20);
        end(world);
    }
}
END_TEST

START_TEST(without_a_finished_task_nothing_is_late)
{
    struct world *world = world_mesh(4, 3);
    struct wire_message job = world_job();
    job.submit.may_speculate = true;
    makespan_ms(world, &job, 4, "sleep", "60000");
    ck_assert_uint_eq(n_started(world), 4);
    end(world);
}
END_TEST

START_TEST(tasks_that_all_take_as_long_are_not_started_twice)
{
    struct world *world = world_mesh(4, 4);
    struct wire_message job = world_job();
    job.submit.may_speculate = true;
    makespan_ms(world, &job, 101, "sleep", "700");
    ck_assert_uint_eq(n_started(world), 101);
    end(world);
}
END_TEST

/* Node 0 only submits, 1 and 2 are fast, 3 is slow. Four tasks have ended, two run on the slow
 * node, and a second time elsewhere. */
static struct world *at_second_attempts(uint64_t seed, uint64_t slowness, const char *word,
                                        uint64_t latency_ns)
{
    struct world *world = world_new(seed);
    world_config(world, 0)->cores = 0;
    world_set_run(world, CORE_S);
    world_set_slowness(world, 3, slowness);
    for (unsigned i = 0; i < 4; i++) {
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    struct wire_message job = world_job();
    job.submit.may_speculate = true;
    world_submit(world, 0, &job, 6, word, "0");
    for (unsigned k = 0; k < 4000 && n_started(world) < 8; k++) {
        world_run_for(world, CORE_MS);
        world_set_latency(world, world_client(world, 0)->n_done == 4 ? latency_ns : CORE_MS / 5);
    }
    ck_assert_uint_eq(n_started(world), 8);
    ck_assert_uint_eq(world_n_running(world, 3), 2);
    ck_assert_uint_eq(world_client(world, 0)->n_done, 4);
    if (latency_ns < CORE_MS) {
        world_run_for(world, 2 * CORE_MS); /* and begin */
    }
    return world;
}

static void assert_all_succeed(struct world *world, uint64_t within_ms)
{
    ck_assert(world_run_job(world, 0, within_ms * CORE_MS));
    const struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->job_done.n_succeeded, client->n_tasks);
    ck_assert_uint_eq(client->job_done.n_lost, 0);
}

START_TEST(the_first_answer_wins_and_the_other_attempt_is_cancelled)
{
    struct world *world = at_second_attempts(5, 10, "exit", CORE_MS / 5);
    assert_all_succeed(world, 1100);
    ck_assert_uint_eq(world_client(world, 0)->last.n_runs, 1);
    world_run_for(world, 10 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 3), 0);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_CANCEL), 2);
    ck_assert_uint_eq(n_started(world), 8);
    end(world);
}
END_TEST

START_TEST(loss_of_the_first_attempt_leaves_the_second)
{
    struct world *world = at_second_attempts(6, 10, "exit", CORE_MS / 5);
    world_kill(world, 3);
    assert_all_succeed(world, 1100);
    ck_assert_uint_eq(n_started(world), 8);
    end(world);
}
END_TEST

START_TEST(loss_of_the_first_attempt_leaves_a_second_that_has_not_begun)
{
    struct world *world = at_second_attempts(18, 10, "exit", 50 * CORE_MS);
    world_set_latency(world, CORE_MS / 10); /* the loss is heard of before the second has begun */
    world_kill(world, 3);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 2);
    assert_all_succeed(world, 1100);
    ck_assert_uint_eq(n_started(world), 8);
    end(world);
}
END_TEST

START_TEST(loss_of_the_second_attempt_leaves_the_first)
{
    struct world *world = at_second_attempts(7, 10, "exit", CORE_MS / 5);
    world_kill(world, 1);
    world_kill(world, 2);
    ck_assert(!world_run_job(world, 0, 7 * CORE_S));
    assert_all_succeed(world, 2000);
    ck_assert_uint_eq(n_started(world), 8);
    ck_assert_uint_eq(world_client(world, 0)->last.n_runs, 2); /* the one that was lost counts */
    end(world);
}
END_TEST

START_TEST(a_peer_that_comes_back_with_an_attempt_that_was_replaced_drops_it)
{
    struct world *world = at_second_attempts(8, 20, "exit", CORE_MS / 5);
    world_set_slowness(world, 1, 10);
    world_cut(world, 3);
    world_run_for(world, 800 * CORE_MS);
    world_mend(world, 3);
    assert_all_succeed(world, 1000);
    end(world);
}
END_TEST

START_TEST(both_answers_at_once_are_one_report)
{
    /* The owner's loop stands still while both come in, the first attempt's sooner or later than
     * the second's. The world asserts that no task is reported twice. */
    for (uint64_t slowness = 3; slowness <= 4; slowness++) {
        struct world *world = at_second_attempts(9, slowness, "exit", CORE_MS / 5);
        world_freeze(world, 0);
        world_run_for(world, 2200 * CORE_MS);
        ck_assert_uint_eq(world_n_running(world, 1) + world_n_running(world, 2), 0);
        ck_assert_uint_eq(world_n_running(world, 3), 0);
        world_thaw(world, 0);
        assert_all_succeed(world, 1);
        ck_assert_uint_eq(world_client(world, 0)->n_done, 6);
        world_run_for(world, CORE_MS);
        ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_RESULT_ACK), 8);
        end(world);
    }
}
END_TEST

START_TEST(an_output_that_is_lost_on_its_way_leaves_the_other_attempt)
{
    struct world *world = at_second_attempts(10, 10, "blob", CORE_MS / 5);
    world_set_latency(world, 20 * CORE_MS);
    uint64_t n_before = world_n_effects(world, 0, CORE_EFFECT_BLOB_FETCH);
    for (unsigned k = 0;
         k < 2000 && world_n_effects(world, 0, CORE_EFFECT_BLOB_FETCH) < n_before + 2; k++) {
        world_run_for(world, CORE_MS);
    }
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_FETCH), n_before + 2);
    world_kill(world, 1);
    world_kill(world, 2);
    ck_assert(!world_run_job(world, 0, 5 * CORE_S));
    assert_all_succeed(world, 5000);
    ck_assert_uint_eq(n_started(world), 8);
    end(world);
}
END_TEST

START_TEST(second_attempts_count_for_jobs_at_once)
{
    struct world *world = world_mesh(4, 10);
    world_set_slowness(world, 1, 10);
    struct wire_message job = world_job();
    job.submit.may_speculate = true;
    job.submit.jobs_max = 3;
    makespan_ms(world, &job, 20, "sleep", "500");
    ck_assert_uint_le(world_n_running_max(world), 3);
    ck_assert_uint_gt(n_started(world), 20);
    end(world);
}
END_TEST

START_TEST(a_second_attempt_is_not_made_where_the_first_is_slow)
{
    struct world *world = world_new(19);
    world_config(world, 0)->cores = 0;
    world_config(world, 1)->cores = 4;
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, 50 * CORE_MS);
    struct wire_message job = world_job();
    job.submit.may_speculate = true;
    world_submit(world, 0, &job, 6, "sleep", "500");
    world_run_for(world, 300 * CORE_MS);
    world_set_slowness(world, 1, 10); /* for the last two, beside which two cores are idle */
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_ge(world_now(world), 1005 * CORE_S);
    ck_assert_uint_eq(n_started(world), 6);
    end(world);
}
END_TEST

START_TEST(second_attempts_stay_within_on_and_except)
{
    struct world *world = world_mesh(4, 17);
    world_set_slowness(world, 3, 10);
    struct slice except[2] = {slice_str("hal"), slice_str("lily")};
    struct wire_message job = world_job();
    job.submit.may_speculate = true;
    job.submit.except = (struct wire_slices){.items = except, .n = 2};
    makespan_ms(world, &job, 10, "sleep", "500");
    ck_assert_uint_gt(n_started(world), 10);
    ck_assert_uint_eq(world_n_started(world, 0) + world_n_started(world, 1), 0);
    end(world);
}
END_TEST

START_TEST(no_run_is_late_by_a_few_odd_ones)
{
    struct core_runs runs = {0};
    core_runs_reckon(&runs);
    ck_assert_uint_eq(runs.late_ns, 0);
    struct core_job *job = mem_alloc_or_die(1, sizeof(*job));
    struct core_site site = {.job = job};
    core_tail_note_run(&site, CORE_S);
    core_runs_reckon(&job->runs);
    ck_assert_uint_eq(job->runs.late_ns, 4 * CORE_S); /* little is known: twice the patience */
    for (unsigned i = 0; i < 1000; i++) {
        core_tail_note_run(&site, i % 8 == 0 ? 60 * CORE_S : CORE_S);
        core_runs_reckon(&job->runs);
        ck_assert_uint_eq(job->runs.typical_ns, CORE_S);
        ck_assert_uint_eq(job->runs.late_ns, (i < 2 ? 4 : 2) * CORE_S);
    }
    for (unsigned i = 0; i < 1000; i++) { /* a third of them are long: they are not late */
        core_tail_note_run(&site, i % 3 == 0 ? 60 * CORE_S : CORE_S);
    }
    core_runs_reckon(&job->runs);
    ck_assert_uint_eq(job->runs.late_ns, 90 * CORE_S);
    for (unsigned i = 0; i < CORE_RUNS_KEPT; i++) {
        core_tail_note_run(&site, CORE_MS);
    }
    core_runs_reckon(&job->runs);
    ck_assert_uint_eq(job->runs.late_ns, CORE_TAIL_LATE_NS);
    mem_free(job);
}
END_TEST

/* --- recall ------------------------------------------------------------------------------------
 */

/* Node 1 learns that tasks are short, so that many are sent ahead; then it is slow. */
static uint64_t makespan_with_queue(bool may_recall, uint64_t *ret_n_recalls)
{
    struct world *world = world_mesh(3, 11);
    struct wire_message job = world_job();
    world_set_run(world, CORE_MS);
    makespan_ms(world, &job, 300, "exit", "0");
    world_set_slowness(world, 1, 10);
    world_lose(world, may_recall ? WIRE_MESSAGE_NONE : WIRE_MESSAGE_RECALL);
    uint64_t ms = makespan_ms(world, &job, 24, "sleep", "300");
    *ret_n_recalls = world_n_sent(world, 0, WIRE_MESSAGE_RECALL);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 24);
    ck_assert_uint_eq(n_started(world), 324);
    end(world);
    return ms;
}

START_TEST(recalls_shorten_a_job_with_a_straggler)
{
    uint64_t n_recalls = 0;
    uint64_t without_ms = makespan_with_queue(false, &n_recalls);
    ck_assert_uint_gt(n_recalls, 0);
    ck_assert_uint_le(n_recalls, 10); /* none is asked for twice, though no answer comes */
    uint64_t with_ms = makespan_with_queue(true, &n_recalls);
    printf("# makespan with a queue at a straggler 10 times slower: %llu ms, with %llu recalls "
           "%llu ms\n",
           (unsigned long long)without_ms, (unsigned long long)n_recalls,
           (unsigned long long)with_ms);
    /* What runs there lasts 3 s; six more times two wait behind it. */
    ck_assert_uint_le(with_ms, 3100);
    ck_assert_uint_ge(without_ms, 2 * with_ms);
    ck_assert_uint_le(n_recalls, 16); /* none of them twice */
}
END_TEST

START_TEST(short_queues_are_left_alone)
{
    struct world *world = world_mesh(4, 12);
    world_set_latency(world, 5 * CORE_MS);
    world_set_run(world, CORE_MS);
    struct wire_message job = world_job();
    job.submit.may_speculate = true;
    makespan_ms(world, &job, 2000, "exit", "0");
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_RECALL), 0);
    ck_assert_uint_eq(n_started(world), 2000);
    end(world);
}
END_TEST

START_TEST(tasks_are_not_passed_to_and_fro_between_busy_peers)
{
    struct world *world = world_new(13);
    world_config(world, 0)->cores = 0;
    world_config(world, 1)->cores = 0;
    for (unsigned i = 0; i < 4; i++) {
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    struct wire_message job = world_job();
    world_submit(world, 1, &job, 4, "sleep", "30000");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 2) + world_n_running(world, 3), 4);
    /* No core is free at either, though each offers this submitter its share. */
    world_submit(world, 0, &job, 2, "sleep", "1000");
    world_run_for(world, 25 * CORE_S);
    uint64_t n_recalls = world_n_sent(world, 0, WIRE_MESSAGE_RECALL);
    ck_assert_uint_le(n_recalls, 2 * 7); /* a quarter of a second, and each time twice as long */
    ck_assert(world_run_job(world, 0, 7 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 2);
    ck_assert(world_run_job(world, 1, 7 * CORE_S));
    end(world);
}
END_TEST

START_TEST(a_recall_that_is_lost_with_its_session_is_sent_again)
{
    struct world *world = world_mesh(3, 14);
    struct wire_message job = world_job();
    world_set_run(world, CORE_MS);
    makespan_ms(world, &job, 300, "exit", "0");
    world_set_slowness(world, 1, 10);
    world_lose(world, WIRE_MESSAGE_RECALL);
    world_submit(world, 0, &job, 24, "sleep", "300");
    world_run_for(world, 1400 * CORE_MS);
    uint64_t n_recalls = world_n_sent(world, 0, WIRE_MESSAGE_RECALL);
    ck_assert_uint_gt(n_recalls, 0);
    world_lose(world, WIRE_MESSAGE_NONE);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_RECALL), n_recalls);
    world_reset_link(world, 0, 1);
    assert_all_succeed(world, 2000);
    ck_assert_uint_eq(n_started(world), 324);
    end(world);
}
END_TEST

/* Of two jobs that wait behind the same slow tasks. */
START_TEST(tasks_of_the_job_with_priority_are_recalled_first)
{
    struct world *world = world_mesh(3, 16);
    struct wire_message job = world_job();
    world_set_run(world, CORE_MS);
    makespan_ms(world, &job, 300, "exit", "0");
    world_set_slowness(world, 1, 10);
    job.submit.spec.priority = 5;
    world_submit(world, 0, &job, 15, "sleep", "300");
    world_run_for(world, CORE_MS / 10);
    char high[64];
    snprintf(high, sizeof(high), "recall{ids=[{job=%llu ",
             (unsigned long long)world_client(world, 0)->job);
    ck_assert_uint_ne(world_client(world, 0)->job, 0);
    job.submit.spec.priority = 1;
    world_trace(world);
    world_submit(world, 0, &job, 15, "sleep", "300");
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    const char *text = (const char *)world_trace_text(world).p;
    const char *first = strstr(text, "recall{");
    ck_assert_ptr_nonnull(first);
    ck_assert_int_eq(strncmp(first, high, strlen(high)), 0);
    end(world);
}
END_TEST

START_TEST(recalled_tasks_stay_within_on_and_except)
{
    struct world *world = world_mesh(3, 15);
    struct slice on = slice_str("lily");
    struct wire_message job = world_job();
    job.submit.on = (struct wire_slices){.items = &on, .n = 1};
    world_set_run(world, CORE_MS);
    makespan_ms(world, &job, 300, "exit", "0");
    makespan_ms(world, &job, 12, "sleep", "300");
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_RECALL), 0);
    ck_assert_uint_eq(world_n_started(world, 1), 312);
    end(world);
}
END_TEST

/* --- black holes -------------------------------------------------------------------------------
 */

START_TEST(a_peer_on_which_everything_fails_at_once_wins_few_tasks)
{
    struct world *world = world_mesh(4, 20);
    world_set_broken(world, 3, true);
    struct wire_message job = world_job();
    uint64_t ms = makespan_ms(world, &job, 300, "sleep", "200");
    const struct world_client *client = world_client(world, 0);
    printf("# of 300 tasks %u failed on a black hole, in %llu ms\n", client->job_done.n_failed,
           (unsigned long long)ms);
    ck_assert_uint_eq(client->job_done.n_failed, world_n_started(world, 3));
    /* Three in a row, some that began before the word came there, and probes after 1, 3 and 7 s. */
    ck_assert_uint_ge(world_n_started(world, 3), 4);
    ck_assert_uint_le(world_n_started(world, 3), 10);
    end(world);
}
END_TEST

START_TEST(a_probe_that_succeeds_ends_the_rest)
{
    struct world *world = world_mesh(4, 21);
    world_set_broken(world, 3, true);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 300, "sleep", "200");
    world_run_for(world, 500 * CORE_MS);
    world_set_broken(world, 3, false);
    uint32_t n_before = world_n_started(world, 3);
    world_run_for(world, 1700 * CORE_MS); /* rested until 1.2 s at most, one probe of 0.2 s */
    ck_assert_uint_ge(world_n_started(world, 3), n_before + 3);
    ck_assert(world_run_job(world, 0, 20 * CORE_S));
    ck_assert_uint_le(world_client(world, 0)->job_done.n_failed, 7);
    end(world);
}
END_TEST

START_TEST(black_holes_rest_while_others_have_not_ended_anything)
{
    struct world *world = world_mesh(5, 22);
    world_set_broken(world, 3, true);
    world_set_broken(world, 4, true);
    struct wire_message job = world_job();
    makespan_ms(world, &job, 60, "sleep", "2000");
    ck_assert_uint_le(world_client(world, 0)->job_done.n_failed, 20);
    end(world);
}
END_TEST

START_TEST(a_program_that_fails_everywhere_ends_as_fast_as_it_fails)
{
    struct world *world = world_mesh(4, 23);
    struct wire_message job = world_job();
    uint64_t ms = makespan_ms(world, &job, 800, "exit", "3");
    printf("# 800 tasks of 10 ms that all fail, on 8 cores: %llu ms\n", (unsigned long long)ms);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_failed, 800);
    ck_assert_uint_le(ms, 1500);
    end(world);
}
END_TEST

START_TEST(a_program_that_often_fails_is_no_fault_of_peers)
{
    struct world *world = world_mesh(4, 24);
    struct wire_message job = world_job();
    uint64_t ms = makespan_ms(world, &job, 800, "every", "3");
    printf("# 800 tasks of 10 ms, two of three fail, on 8 cores: %llu ms\n",
           (unsigned long long)ms);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 266);
    ck_assert_uint_le(ms, 1800);
    end(world);
}
END_TEST

START_TEST(a_job_goes_on_when_the_last_good_peer_leaves)
{
    struct world *world = world_new(25);
    world_config(world, 0)->cores = 0;
    for (unsigned i = 0; i < 4; i++) {
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    world_set_broken(world, 2, true);
    world_set_broken(world, 3, true);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 200, "sleep", "200");
    world_run_for(world, 10 * CORE_S);
    ck_assert_uint_le(world_n_started(world, 2) + world_n_started(world, 3), 20);
    world_kill(world, 1);
    ck_assert(world_run_job(world, 0, CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->n_done, 200);
    end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_tail");
    TCase *tcase = tcase_create("second");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, second_attempts_shorten_a_job_with_a_straggler);
    tcase_add_test(tcase, a_job_that_may_not_speculate_or_runs_once_has_no_second_attempts);
    tcase_add_test(tcase, without_a_finished_task_nothing_is_late);
    tcase_add_test(tcase, tasks_that_all_take_as_long_are_not_started_twice);
    tcase_add_test(tcase, the_first_answer_wins_and_the_other_attempt_is_cancelled);
    tcase_add_test(tcase, loss_of_the_first_attempt_leaves_the_second);
    tcase_add_test(tcase, loss_of_the_first_attempt_leaves_a_second_that_has_not_begun);
    tcase_add_test(tcase, loss_of_the_second_attempt_leaves_the_first);
    tcase_add_test(tcase, a_peer_that_comes_back_with_an_attempt_that_was_replaced_drops_it);
    tcase_add_test(tcase, both_answers_at_once_are_one_report);
    tcase_add_test(tcase, an_output_that_is_lost_on_its_way_leaves_the_other_attempt);
    tcase_add_test(tcase, second_attempts_count_for_jobs_at_once);
    tcase_add_test(tcase, a_second_attempt_is_not_made_where_the_first_is_slow);
    tcase_add_test(tcase, second_attempts_stay_within_on_and_except);
    tcase_add_test(tcase, no_run_is_late_by_a_few_odd_ones);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("recall");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, recalls_shorten_a_job_with_a_straggler);
    tcase_add_test(tcase, short_queues_are_left_alone);
    tcase_add_test(tcase, tasks_are_not_passed_to_and_fro_between_busy_peers);
    tcase_add_test(tcase, a_recall_that_is_lost_with_its_session_is_sent_again);
    tcase_add_test(tcase, tasks_of_the_job_with_priority_are_recalled_first);
    tcase_add_test(tcase, recalled_tasks_stay_within_on_and_except);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("black hole");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_peer_on_which_everything_fails_at_once_wins_few_tasks);
    tcase_add_test(tcase, a_probe_that_succeeds_ends_the_rest);
    tcase_add_test(tcase, black_holes_rest_while_others_have_not_ended_anything);
    tcase_add_test(tcase, a_program_that_fails_everywhere_ends_as_fast_as_it_fails);
    tcase_add_test(tcase, a_program_that_often_fails_is_no_fault_of_peers);
    tcase_add_test(tcase, a_job_goes_on_when_the_last_good_peer_leaves);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
