/* Jobs over several cores: placed, run, retried, lost and found, each task reported once. */
#include <stdio.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

START_TEST(two_cores_run_a_job)
{
    struct world *world = world_mesh(2, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 40, "exit", "0");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 40);
    ck_assert_uint_ge(world_n_started(world, 0), 15);
    ck_assert_uint_ge(world_n_started(world, 1), 15);
    world_end(world);
}
END_TEST

START_TEST(a_job_alone_runs_here_and_says_so)
{
    struct world *world = world_mesh(1, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 5, "sleep", "800");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&world_client(world, 0)->notices), "no other peer"));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 5);
    world_end(world);
}
END_TEST

START_TEST(a_failing_task_is_run_as_often_as_asked)
{
    struct world *world = world_mesh(2, 13);
    struct wire_message job = world_job();
    job.submit.runs_max = 3;
    world_submit(world, 0, &job, 5, "exit", "7");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->job_done.n_failed, 5);
    ck_assert_uint_eq(client->job_done.n_lost, 0);
    ck_assert_uint_eq(client->last.n_runs, 3);
    ck_assert_uint_eq(client->last.result.status, 7);
    ck_assert_uint_eq(world_n_started(world, 0) + world_n_started(world, 1), 15);
    world_end(world);
}
END_TEST

START_TEST(a_task_that_may_run_once_is_reported_lost_with_its_peer)
{
    struct world *world = world_mesh(2, 14);
    struct wire_message job = world_job();
    job.submit.is_once = true;
    world_submit(world, 0, &job, 4, "sleep", "1000");
    world_run_for(world, 200 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    world_kill(world, 1);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_LOST], 2);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_lost, 2);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 2);
    world_end(world);
}
END_TEST

START_TEST(a_missing_command_is_reported_when_no_peer_has_it)
{
    struct world *world = world_mesh(3, 15);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 20, "missing", NULL);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->n_by_end[WIRE_END_NOT_STARTED], 20);
    ck_assert_uint_eq(client->last.refusal, WIRE_REFUSAL_NOT_FOUND);
    ck_assert_uint_eq(client->last.attempt, 0);
    world_end(world);
}
END_TEST

START_TEST(refusals_that_come_one_by_one_leave_no_task_behind)
{
    struct world *world = world_mesh(2, 15);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 6, "missing", "700"); /* beyond CORE_STUCK_NS */
    ck_assert(world_run_job(world, 0, 20 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_NOT_STARTED], 6);
    world_end(world);
}
END_TEST

static struct world *one_of_8_cores(uint64_t seed)
{
    struct world *world = world_new(seed);
    world_config(world, 0)->cores = 8;
    world_config(world, 0)->cores_effective = 8;
    world_start(world, 0, true);
    return world;
}

START_TEST(starts_that_fail_at_one_moment_rest_a_peer_once)
{
    struct world *world = one_of_8_cores(15);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 20, "nocell", "100");
    ck_assert(!world_run_job(world, 0, CORE_REST_NS));
    ck_assert_uint_eq(world_n_started(world, 0), 8);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 20);
    world_end(world);
}
END_TEST

START_TEST(a_peer_that_makes_no_cells_is_out_at_the_third_rest)
{
    struct world *world = one_of_8_cores(15);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 20, "nocell", "3600000");
    ck_assert(!world_run_job(world, 0, 2 * CORE_REST_NS));
    ck_assert(world_run_job(world, 0, 2 * CORE_REST_NS));
    ck_assert_uint_eq(world_n_started(world, 0), (CORE_RESTS_MAX * 8));
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_NOT_STARTED], 20);
    ck_assert_uint_eq(world_client(world, 0)->last.refusal, WIRE_REFUSAL_NO_CELL);
    world_end(world);
}
END_TEST

START_TEST(jobs_that_take_turns_keep_their_cells)
{
    struct world *world = world_new(15);
    world_config(world, 0)->cores = 0;
    world_config(world, 1)->cores = 0;
    world_config(world, 2)->cores = 1;
    for (unsigned i = 0; i < 3; i++) {
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 40, "sleep", "2");
    world_submit(world, 1, &job, 40, "sleep", "2");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert(world_run_job(world, 1, 5 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 2), 80);
    ck_assert_uint_le(world_n_effects(world, 2, CORE_EFFECT_CELL_CLOSE), 2);
    world_end(world);
}
END_TEST

START_TEST(a_poisonous_task_dies_after_three_cells)
{
    struct world *world = world_mesh(3, 16);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "poison", NULL);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_CELL_DIED], 1);
    ck_assert_uint_eq(world_n_started(world, 0), 1);
    ck_assert_uint_eq(world_n_started(world, 1), 1);
    ck_assert_uint_eq(world_n_started(world, 2), 1);
    world_end(world);
}
END_TEST

START_TEST(output_that_fits_on_no_disk_fails_the_task_after_three)
{
    struct world *world = world_mesh(_i == 0 ? 3 : 1, 18);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "full", NULL);
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_NO_DISK], 1);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_failed, 1);
    world_end(world);
}
END_TEST

START_TEST(a_task_past_its_timeout_is_killed_and_counts_as_failed)
{
    struct world *world = world_mesh(2, 17);
    struct wire_message job = world_job();
    job.submit.spec.timeout_ms = 300;
    world_submit(world, 0, &job, 4, "sleep", "60000");
    ck_assert(world_run_job(world, 0, 2 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_TIMEOUT], 4);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_lost, 0);
    world_end(world);
}
END_TEST

START_TEST(the_number_of_a_job_is_not_used_again_by_a_later_life)
{
    struct world *world = world_mesh(1, 41);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "echo", "x");
    ck_assert(world_run_job(world, 0, CORE_S));
    uint64_t before = world_client(world, 0)->job;
    world_kill(world, 0);
    world_restart(world, 0);
    job = world_job();
    world_submit(world, 0, &job, 1, "echo", "x");
    ck_assert(world_run_job(world, 0, CORE_S));
    uint64_t after = world_client(world, 0)->job;
    ck_assert_uint_eq(after >> 32, (before >> 32) + 1);
    ck_assert_uint_eq(after & UINT32_MAX, before & UINT32_MAX);
    world_end(world);
}
END_TEST

START_TEST(a_cancelled_job_ends_everywhere_and_reports_each_task)
{
    struct world *world = world_mesh(3, 18);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 50, "sleep", "60000");
    world_run_for(world, CORE_S);
    struct wire_message cancel = {.type = WIRE_MESSAGE_JOB_CANCEL};
    cancel.job_cancel.job = world_client(world, 0)->job;
    world_client_say(world, 0, &cancel);
    ck_assert(world_run_job(world, 0, 100 * CORE_MS));
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_CANCELLED], 50);
    world_run_for(world, 100 * CORE_MS);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(world_n_running(world, i), 0);
    }
    world_end(world);
}
END_TEST

START_TEST(a_task_that_is_cancelled_ends_alone)
{
    struct world *world = world_mesh(2, 21);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 50, "sleep", "500");
    world_run_for(world, 100 * CORE_MS);
    uint32_t n_running = world_n_running(world, 0) + world_n_running(world, 1);
    uint64_t n_kills =
        world_n_effects(world, 0, CORE_EFFECT_KILL) + world_n_effects(world, 1, CORE_EFFECT_KILL);
    for (uint32_t task = 1; task <= 50; task += 49) { /* one that runs, one that waits */
        struct wire_message cancel = {.type = WIRE_MESSAGE_TASK_CANCEL};
        cancel.task_cancel.job = world_client(world, 0)->job;
        cancel.task_cancel.task = task;
        world_client_say(world, 0, &cancel);
        world_client_say(world, 0, &cancel); /* it has ended */
    }
    world_run_for(world, 10 * CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_CANCELLED], 2);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_KILL) +
                          world_n_effects(world, 1, CORE_EFFECT_KILL),
                      n_kills + 1);
    ck_assert_uint_eq(world_n_running(world, 0) + world_n_running(world, 1), n_running);
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_EXITED], 48);
    ck_assert_uint_eq(world_n_started(world, 0) + world_n_started(world, 1), 49);
    world_end(world);
}
END_TEST

START_TEST(a_job_dies_with_its_client)
{
    struct world *world = world_mesh(3, 19);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 500, "sleep", "60000");
    world_run_for(world, CORE_S);
    world_client_down(world, 0);
    world_run_for(world, 100 * CORE_MS);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(world_n_running(world, i), 0);
    }
    world_end(world);
}
END_TEST

START_TEST(a_dead_owner_leaves_nothing_running_past_its_lease)
{
    struct world *world = world_mesh(2, 20);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 8, "sleep", "60000");
    world_run_for(world, CORE_S);
    world_kill(world, 0);
    world_run_for(world, 11 * CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    world_end(world);
}
END_TEST

START_TEST(a_restarted_owner_ends_what_its_former_life_had_attached)
{
    struct world *world = world_mesh(2, 21);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 8, "sleep", "60000");
    world_run_for(world, CORE_S);
    world_kill(world, 0);
    world_run_for(world, 20 * CORE_MS);
    world_restart(world, 0);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 1);
    world_end(world);
}
END_TEST

START_TEST(large_output_is_fetched_before_the_result_is_reported)
{
    struct world *world = world_mesh(2, 22);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 20, "blob", "1000000");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 20);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_FETCH), world_n_started(world, 1));
    ck_assert_uint_eq(world_n_effects(world, 1, CORE_EFFECT_BLOB_SERVE), world_n_started(world, 1));
    const char *progress = buf_cstr(&world_client(world, 0)->progress);
    ck_assert_ptr_nonnull(strstr(progress, "20 of 40 MiB (50 %) come from lily"));
    ck_assert_ptr_nonnull(strstr(progress, ": output of task "));
    world_end(world);
}
END_TEST

START_TEST(output_is_made_again_or_fetched_again)
{
    struct world *world = world_mesh(2, 23);
    world_set_latency(world, 20 * CORE_MS);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "blob", "1000000");
    while (world_n_effects(world, 0, CORE_EFFECT_BLOB_FETCH) == 0) {
        world_run_for(world, CORE_MS);
    }
    if (_i == 0) { /* gone with its peer, or with the session only */
        world_kill(world, 1);
    } else {
        world_reset_link(world, 0, 1);
    }
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 4);
    ck_assert(_i == 0 || world_n_started(world, 0) + world_n_started(world, 1) == 4);
    world_end(world);
}
END_TEST

START_TEST(a_jobs_files_are_fetched_once_by_each_peer)
{
    struct world *world = world_mesh(3, 24);
    struct wire_message job = world_job();
    struct wire_file files[2] = {
        {.path = slice_str("prog"), .mode = 0755, .hash = {{1, 2, 3}}, .bytes = 5000},
        {.path = slice_str("data"), .mode = 0644, .hash = {{4, 5, 6}}, .bytes = 50000}};
    job.submit.spec.files = (struct wire_files){.items = files, .n = 2};
    world_submit(world, 0, &job, 60, "exit", "0");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_FETCH), 0);
    ck_assert_uint_eq(world_n_effects(world, 1, CORE_EFFECT_BLOB_FETCH), 2);
    ck_assert_uint_eq(world_n_effects(world, 2, CORE_EFFECT_BLOB_FETCH), 2);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_JOB), 2);
    ck_assert_uint_ge(world_n_started(world, 1), 10);
    const char *progress = buf_cstr(&world_client(world, 0)->progress);
    ck_assert_ptr_nonnull(strstr(progress, "20 of 40 MiB (50 %) sent to lily"));
    ck_assert_ptr_nonnull(strstr(progress, ": prog\n"));
    ck_assert_ptr_nonnull(strstr(progress, ": data\n"));
    world_end(world);
}
END_TEST

/* end() asserts that they are let go. */
START_TEST(a_tasks_input_is_fetched_by_the_peer_that_runs_it_and_kept_until_it_is_done)
{
    struct world *world = world_mesh(2, 38);
    struct wire_message job = world_job();
    world_client(world, 0)->has_input = true;
    world_submit(world, 0, &job, 20, "sleep", "20");
    world_run_for(world, 30 * CORE_MS);
    ck_assert_uint_gt(core_counts(world_core(world, 0)).n_blob_refs, 10);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 20);
    ck_assert_uint_ge(world_n_started(world, 1), 5);
    ck_assert_uint_ge(world_n_effects(world, 1, CORE_EFFECT_BLOB_FETCH), world_n_started(world, 1));
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_FETCH), 0);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_blob_refs, 0);
    world_end(world);
}
END_TEST

/* The lines of a trace that hold one of the words: they tell a story. */
static void pick_lines(struct world *world, const char *const *words, struct buf *to)
{
    struct slice all = world_trace_text(world);
    while (all.n > 0) {
        const uint8_t *newline = memchr(all.p, '\n', all.n);
        size_t n = (size_t)(newline - all.p);
        char line[80];
        snprintf(line, sizeof(line), "%.*s", (int)n, (const char *)all.p);
        for (const char *const *word = words; *word != NULL; word++) {
            if (strstr(line, *word) != NULL) {
                buf_printf(to, "%s\n", line);
                break;
            }
        }
        all = slice_of(newline + 1, all.n - n - 1);
    }
}

START_TEST(the_story_of_a_killed_executor)
{
    struct world *world = world_mesh(2, 30);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 3, "sleep", "100");
    world_run_for(world, 40 * CORE_MS);
    world_trace(world);
    world_kill(world, 1);
    ck_assert(world_run_job(world, 0, CORE_S));
    static const char *const words[] = {"link down", "dial",  "log ",     "< attempt",
                                        "> start",   "done{", "job_done", NULL};
    struct buf story;
    buf_init(&story, 1u << 16);
    pick_lines(world, words, &story);
    static const char golden[] =
        "1000090.200 hal < link down link 2 closed none\n"
        "1000090.200 hal > log text=lily (48h2-48h2) is lost: cut\n"
        "1000090.200 hal > dial 2 address=10.0.0.2:7\n"
        "1000090.600 hal < dial failed 2 error -111 none\n"
        "1000090.600 hal > log text=lily (48h2-48h2) is down: give up\n"
        "1000150.100 hal < attempt ended 248h-248h 1.1/1#1 exited 0\n"
        "1000150.100 hal > client send 7 done{job=4294967297 task=1 attempt=1 n_runs=1 p\n"
        "1000150.100 hal > start 248h-248h 1.1/2#2 cell 1\n"
        "1000150.100 hal < attempt ended 248h-248h 1.1/3#1 exited 0\n"
        "1000150.100 hal > client send 7 done{job=4294967297 task=3 attempt=1 n_runs=1 p\n"
        "1000150.200 hal < attempt started 248h-248h 1.1/2#2\n"
        "1000250.200 hal < attempt ended 248h-248h 1.1/2#2 exited 0\n"
        "1000250.200 hal > client send 7 done{job=4294967297 task=2 attempt=2 n_runs=2 p\n"
        "1000250.200 hal > client send 7 job_done{job=4294967297 n_tasks=3 n_succeeded=3\n";
    ck_assert_str_eq(buf_cstr(&story), golden);
    buf_done(&story);
    world_end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_job");
    TCase *tcase = tcase_create("jobs");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, two_cores_run_a_job);
    tcase_add_test(tcase, a_job_alone_runs_here_and_says_so);
    tcase_add_test(tcase, a_failing_task_is_run_as_often_as_asked);
    tcase_add_test(tcase, a_task_that_may_run_once_is_reported_lost_with_its_peer);
    tcase_add_test(tcase, a_missing_command_is_reported_when_no_peer_has_it);
    tcase_add_test(tcase, refusals_that_come_one_by_one_leave_no_task_behind);
    tcase_add_test(tcase, starts_that_fail_at_one_moment_rest_a_peer_once);
    tcase_add_test(tcase, a_peer_that_makes_no_cells_is_out_at_the_third_rest);
    tcase_add_test(tcase, jobs_that_take_turns_keep_their_cells);
    tcase_add_test(tcase, a_poisonous_task_dies_after_three_cells);
    tcase_add_loop_test(tcase, output_that_fits_on_no_disk_fails_the_task_after_three, 0, 2);
    tcase_add_test(tcase, a_task_past_its_timeout_is_killed_and_counts_as_failed);
    tcase_add_test(tcase, the_number_of_a_job_is_not_used_again_by_a_later_life);
    tcase_add_test(tcase, a_cancelled_job_ends_everywhere_and_reports_each_task);
    tcase_add_test(tcase, a_task_that_is_cancelled_ends_alone);
    tcase_add_test(tcase, a_job_dies_with_its_client);
    tcase_add_test(tcase, a_dead_owner_leaves_nothing_running_past_its_lease);
    tcase_add_test(tcase, a_restarted_owner_ends_what_its_former_life_had_attached);
    tcase_add_test(tcase, large_output_is_fetched_before_the_result_is_reported);
    tcase_add_loop_test(tcase, output_is_made_again_or_fetched_again, 0, 2);
    tcase_add_test(tcase, a_jobs_files_are_fetched_once_by_each_peer);
    tcase_add_test(tcase,
                   a_tasks_input_is_fetched_by_the_peer_that_runs_it_and_kept_until_it_is_done);
    tcase_add_test(tcase, the_story_of_a_killed_executor);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
