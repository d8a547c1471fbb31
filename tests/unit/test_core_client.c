/* What clients ask and are told, and how cores are shared: back-pressure, choice of peers,
 * fairness, changes of cores. */
#include <stdio.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

static struct world *mesh_of(unsigned n, const uint32_t *cores)
{
    struct world *world = world_new(42);
    for (unsigned i = 0; i < n; i++) {
        world_config(world, i)->cores = cores[i];
        world_start(world, i, true);
    }
    world_run_for(world, 2 * CORE_S);
    return world;
}

START_TEST(a_hundred_thousand_tasks_stream_through_in_bounded_memory)
{
    struct world *world = mesh_of(3, (const uint32_t[]){4, 4, 4});
    world_set_run(world, CORE_MS);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 100000, "exit", "0");
    uint32_t n_tasks_max = 0;
    while (!world_client(world, 0)->is_job_done) {
        world_run_for(world, 50 * CORE_MS);
        struct core_counts counts = core_counts(world_core(world, 0));
        n_tasks_max = counts.n_tasks > n_tasks_max ? counts.n_tasks : n_tasks_max;
        ck_assert_uint_lt(world_now(world), 1200 * CORE_S);
    }
    ck_assert_uint_le(n_tasks_max, CORE_JOB_TASKS_MAX);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 100000);
    /* Twelve cores, a task each 1.1 ms: 9.2 s is the ideal. */
    ck_assert_uint_lt(world_now(world), (1002 + 12) * CORE_S);
    world_end(world);
}
END_TEST

START_TEST(results_that_the_client_does_not_deal_with_stop_the_job)
{
    struct world *world = mesh_of(2, (const uint32_t[]){4, 4});
    world_set_run(world, CORE_MS);
    world_client(world, 0)->holds_acks = true;
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4000, "exit", "0");
    world_run_for(world, 10 * CORE_S);
    uint64_t n_done = world_client(world, 0)->n_done;
    ck_assert_uint_ge(n_done, CORE_DONE_UNACKED_MAX);
    ck_assert_uint_le(n_done, CORE_DONE_UNACKED_MAX + 200);
    world_client(world, 0)->holds_acks = false;
    struct wire_message ack = {.type = WIRE_MESSAGE_DONE_ACK};
    ack.done_ack.job = world_client(world, 0)->job;
    ack.done_ack.n_done = n_done;
    world_client_say(world, 0, &ack);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(a_task_out_of_order_or_beyond_the_credit_cancels_the_job)
{
    enum { BEYOND_END, AGAIN, BEYOND_CREDIT };
    struct world *world = mesh_of(1, (const uint32_t[]){1});
    struct world_client *client = world_client(world, 0);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, _i == BEYOND_END ? 1 : 100000, "sleep", "60000");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(client->n_added, _i == BEYOND_END ? 1 : client->tasks_max);
    struct slice word = slice_str("exit");
    struct wire_message add = {.type = WIRE_MESSAGE_ADD_TASK};
    add.add_task.job = client->job;
    add.add_task.task = (uint32_t)client->n_added + (_i == AGAIN ? 0 : 1);
    add.add_task.argv = (struct wire_slices){.items = &word, .n = 1};
    world_client_say(world, 0, &add);
    ck_assert(world_run_job(world, 0, CORE_S));
    ck_assert(client->has_error);
    ck_assert_uint_eq(client->error, WIRE_ERROR_INVALID);
    world_end(world);
}
END_TEST

START_TEST(too_few_peers_refuse_a_job_after_the_start_up_second)
{
    struct world *world = world_new(1);
    world_start(world, 0, true);
    struct wire_message job = world_job();
    job.submit.require_peers = 1;
    world_submit(world, 0, &job, 1, "exit", "0");
    world_run_for(world, 900 * CORE_MS);
    ck_assert(!world_client(world, 0)->has_error);
    world_run_for(world, 200 * CORE_MS);
    ck_assert(world_client(world, 0)->has_error);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_UNAVAILABLE);
    world_end(world);
}
END_TEST

START_TEST(a_peer_that_comes_in_time_lets_the_job_begin)
{
    struct world *world = world_new(1);
    world_start(world, 0, true);
    struct wire_message job = world_job();
    job.submit.require_peers = 1;
    world_submit(world, 0, &job, 4, "exit", "0");
    world_run_for(world, 500 * CORE_MS);
    ck_assert(!world_client(world, 0)->is_accepted);
    world_start(world, 1, true);
    ck_assert(world_run_job(world, 0, 400 * CORE_MS));
    world_end(world);
}
END_TEST

START_TEST(on_and_except_choose_by_name_and_by_id)
{
    struct world *world = mesh_of(3, (const uint32_t[]){2, 2, 2});
    struct wire_message job = world_job();
    struct slice on[2] = {slice_str("lily"), slice_str("mona")};
    job.submit.on = (struct wire_slices){.items = on, .n = 2};
    struct slice except = slice_str("48h2-48h2"); /* lily's id */
    job.submit.except = (struct wire_slices){.items = &except, .n = 1};
    world_submit(world, 0, &job, 10, "exit", "0");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 2), 10);
    world_end(world);
}
END_TEST

START_TEST(a_job_that_nobody_can_run_says_so_and_waits)
{
    struct world *world = mesh_of(2, (const uint32_t[]){2, 2});
    struct wire_message job = world_job();
    job.submit.spec.cores = 3;
    world_submit(world, 0, &job, 2, "exit", "0");
    ck_assert(!world_run_job(world, 0, 5 * CORE_S));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&world_client(world, 0)->notices), "it waits for one"));
    world_config(world, 2)->cores = 4;
    world_start(world, 2, true);
    ck_assert(world_run_job(world, 0, CORE_S));
    ck_assert_uint_eq(world_n_started(world, 2), 2);
    world_end(world);
}
END_TEST

START_TEST(at_most_so_many_tasks_of_a_job_run_at_once)
{
    struct world *world = mesh_of(3, (const uint32_t[]){4, 4, 4});
    struct wire_message job = world_job();
    job.submit.jobs_max = 5;
    world_submit(world, 0, &job, 20, "sleep", "1000");
    world_run_for(world, 500 * CORE_MS);
    uint32_t n = 0;
    for (unsigned i = 0; i < 3; i++) {
        n += world_n_running(world, i);
    }
    ck_assert_uint_eq(n, 5);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(wide_tasks_take_their_cores_and_are_not_passed_by)
{
    struct world *world = mesh_of(2, (const uint32_t[]){0, 4});
    struct wire_message narrow = world_job();
    world_submit(world, 0, &narrow, 40, "sleep", "100");
    world_run_for(world, 50 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 1), 4);
    struct wire_message wide = world_job();
    wide.submit.spec.cores = 4;
    world_submit(world, 1, &wide, 1, "sleep", "100");
    ck_assert(world_run_job(world, 1, 500 * CORE_MS));
    ck_assert(!world_client(world, 0)->is_job_done);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(two_submitters_share_an_executor_evenly)
{
    struct world *world = mesh_of(3, (const uint32_t[]){0, 0, 8});
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 200, "sleep", "100");
    world_run_for(world, 300 * CORE_MS);
    world_submit(world, 1, &job, 200, "sleep", "100");
    world_run_for(world, 300 * CORE_MS); /* what ran has ended */
    uint64_t before[2] = {world_client(world, 0)->n_done, world_client(world, 1)->n_done};
    world_run_for(world, CORE_S);
    uint64_t n_first = world_client(world, 0)->n_done - before[0];
    uint64_t n_second = world_client(world, 1)->n_done - before[1];
    ck_assert_uint_ge(n_first, 36);
    ck_assert_uint_ge(n_second, 36);
    ck_assert_uint_le(n_first, 44);
    ck_assert_uint_le(n_second, 44);
    ck_assert(world_run_job(world, 0, 20 * CORE_S));
    ck_assert(world_run_job(world, 1, 20 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(half_of_the_cores_are_kept_for_ones_own_jobs)
{
    struct world *world = mesh_of(4, (const uint32_t[]){0, 0, 0, 8});
    struct wire_message job = world_job();
    for (unsigned i = 0; i < 4; i++) {
        world_submit(world, i, &job, 200, "sleep", "100");
    }
    world_run_for(world, 300 * CORE_MS);
    uint64_t before = world_client(world, 3)->n_done;
    world_run_for(world, CORE_S);
    ck_assert_uint_ge(world_client(world, 3)->n_done - before, 36);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert(world_run_job(world, i, 60 * CORE_S));
    }
    world_end(world);
}
END_TEST

START_TEST(ones_own_wide_tasks_let_others_in_between)
{
    struct world *world = mesh_of(3, (const uint32_t[]){0, 0, 2});
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 200, "sleep", "100");
    world_submit(world, 1, &job, 200, "sleep", "100");
    job.submit.spec.cores = 2;
    world_submit(world, 2, &job, 100, "sleep", "100");
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_ge(world_client(world, 0)->n_done, 4);
    ck_assert_uint_ge(world_client(world, 1)->n_done, 4);
    ck_assert_uint_ge(world_client(world, 2)->n_done, 8);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(world_run_job(world, i, 120 * CORE_S));
    }
    world_end(world);
}
END_TEST

START_TEST(the_job_of_higher_priority_goes_first)
{
    struct world *world = mesh_of(1, (const uint32_t[]){2});
    struct wire_message low = world_job();
    world_submit(world, 0, &low, 40, "sleep", "100");
    world_run_for(world, 150 * CORE_MS);
    struct wire_message high = world_job();
    high.submit.spec.priority = 5;
    world_client(world, 0)->n_tasks = 40;
    uint64_t n_before = world_client(world, 0)->n_done;
    world_submit(world, 0, &high, 10, "sleep", "100"); /* reports are counted for it from now on */
    world_run_for(world, 800 * CORE_MS);
    ck_assert_uint_le(n_before, 4);
    ck_assert(world_client(world, 0)->is_job_done);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_tasks, 10);
    world_client_down(world, 0);
    world_end(world);
}
END_TEST

static void set_cores(struct world *world, unsigned i, uint32_t cores)
{
    struct wire_message message = {.type = WIRE_MESSAGE_SET_CORES};
    message.set_cores.cores = cores;
    world_client_say(world, i, &message);
}

START_TEST(a_job_that_is_cancelled_during_a_cut_ends_everywhere)
{
    struct world *world = world_new(16);
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, 50 * CORE_MS);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "sleep", "60000");
    world_run_for(world, 300 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    world_reset_link(world, 0, 1);
    world_client_down(world, 0);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 1);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    world_free(world);
}
END_TEST

/* It may have let go of it when the session went. */
START_TEST(a_job_is_named_again_before_its_next_task_over_a_new_session)
{
    struct world *world = mesh_of(2, (const uint32_t[]){0, 1});
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 10, "sleep", "100");
    world_run_for(world, 150 * CORE_MS);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_JOB), 1);
    world_reset_link(world, 0, 1);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_JOB), 2);
    ck_assert_uint_eq(world_n_sent(world, 1, WIRE_MESSAGE_REFUSE), 0);
    ck_assert_uint_eq(world_n_started(world, 1), 10);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 10);
    world_end(world);
}
END_TEST

/* Its lease ran out while the core was there: the launcher ends it, and says so. */
START_TEST(what_mesh_ended_is_run_again_unless_it_may_run_once_only)
{
    bool is_once = _i == 1;
    struct world *world = world_new(14);
    world_config(world, 0)->cores = 3; /* one for the task that the world takes for running still */
    world_start(world, 0, false);
    struct wire_message job = world_job();
    job.submit.is_once = is_once;
    world_submit(world, 0, &job, 2, "sleep", "800");
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 0), 2);
    struct core_event event = {.type = CORE_EVENT_ATTEMPT_ENDED};
    event.attempt_ended.owner = world_config(world, 0)->key;
    event.attempt_ended.id = (struct wire_attempt_id){
        .job = world_client(world, 0)->job, .task = 1, .incarnation = 1, .number = 1};
    event.attempt_ended.result.end = WIRE_END_LEASE;
    world_event(world, 0, &event);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, is_once ? 1 : 2);
    ck_assert_uint_eq(world_client(world, 0)->n_by_end[WIRE_END_LOST], is_once);
    ck_assert_uint_eq(world_n_started(world, 0), is_once ? 2 : 3);
    world_end(world);
}
END_TEST

START_TEST(a_task_that_may_run_once_only_fails_once)
{
    struct world *world = world_new(15);
    world_start(world, 0, false);
    struct wire_message job = world_job();
    job.submit.is_once = true;
    job.submit.runs_max = 3;
    world_submit(world, 0, &job, 3, "exit", "3");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 0), 3);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_failed, 3);
    world_free(world);
}
END_TEST

START_TEST(a_drained_peer_ends_what_runs_and_gives_the_rest_back)
{
    struct world *world = mesh_of(2, (const uint32_t[]){2, 2});
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 30, "sleep", "50");
    world_run_for(world, 120 * CORE_MS);
    world_client_up(world, 1);
    set_cores(world, 1, 0);
    world_run_for(world, 10 * CORE_MS);
    uint32_t n_started = world_n_started(world, 1);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 1), n_started);
    ck_assert_uint_eq(world_n_effects(world, 1, CORE_EFFECT_KILL), 0);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 30);
    set_cores(world, 1, 2);
    world_run_for(world, 10 * CORE_MS);
    world_submit(world, 0, &job, 10, "sleep", "50");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_gt(world_n_started(world, 1), n_started);
    world_end(world);
}
END_TEST

START_TEST(strangers_tasks_are_refused_where_there_is_no_sandbox)
{
    struct world *world = world_new(1);
    world_config(world, 1)->has_sandbox = false;
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, 2 * CORE_S);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 20, "exit", "0");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 1), 0);
    ck_assert_uint_eq(world_n_started(world, 0), 20);
    world_end(world);
}
END_TEST

START_TEST(a_peer_without_sandbox_offers_others_nothing_and_serves_its_own_user)
{
    struct world *world = world_new(1);
    world_config(world, 1)->has_sandbox = false;
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, 2 * CORE_S);
    struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    world_client_up(world, 0);
    world_client_say(world, 0, &query);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->n_rows, 2);
    ck_assert_uint_eq(world_client(world, 0)->rows[1].state, WIRE_PEER_UP);
    ck_assert_uint_eq(world_client(world, 0)->rows[1].cores, 0);
    ck_assert_uint_eq(world_client(world, 0)->rows[1].free, 0);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 20, "sleep", "50");
    ck_assert(world_run_job(world, 0, 20 * CORE_S));
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_TASK), 0); /* not even tried */
    ck_assert_uint_eq(world_n_sent(world, 1, WIRE_MESSAGE_CREDIT), 0);
    world_submit(world, 1, &job, 20, "sleep", "50");
    ck_assert(world_run_job(world, 1, 20 * CORE_S));
    ck_assert_uint_gt(world_n_started(world, 1), 0);
    world_end(world);
}
END_TEST

/* Submits to node 0, and what its client is told before anything can run. */
static const char *notice_of(struct world *world, const struct wire_message *job)
{
    struct buf *notices = &world_client(world, 0)->notices;
    buf_clear(notices);
    world_submit(world, 0, job, 1, "exit", "0");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_client(world, 0)->n_done, 0);
    return buf_cstr(notices);
}

static void cancel(struct world *world)
{
    struct wire_message message = {.type = WIRE_MESSAGE_JOB_CANCEL};
    message.job_cancel.job = world_client(world, 0)->job;
    world_client_say(world, 0, &message);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
}

START_TEST(a_job_that_fits_nobody_says_what_is_asked_for_and_who_lacks_it)
{
    struct world *world = mesh_of(3, (const uint32_t[]){0, 1, 4});
    const char *const names[] = {world_config(world, 0)->name, world_config(world, 1)->name,
                                 world_config(world, 2)->name};
    const char *arch = world_config(world, 2)->arch;
    char wanted[512];

    struct wire_message job = world_job();
    job.submit.spec.cores = 8;
    snprintf(wanted, sizeof(wanted),
             "no peer in sight can run this job (8 cores a task): %s offers no cores, "
             "%s offers 1 core, %s offers 4 cores; it waits for one that can\n",
             names[0], names[1], names[2]);
    ck_assert_str_eq(notice_of(world, &job), wanted);
    cancel(world);

    struct slice on[] = {slice_str("nobody"), slice_str(names[0])};
    job = world_job();
    job.submit.on = (struct wire_slices){on, ARRAY_LEN(on)};
    snprintf(wanted, sizeof(wanted),
             "no peer in sight can run this job (1 core a task): nobody is not in sight, "
             "%s offers no cores; it waits for one that can\n",
             names[0]);
    ck_assert_str_eq(notice_of(world, &job), wanted);
    cancel(world);

    struct slice except[] = {slice_str(names[2])};
    job.submit.on = (struct wire_slices){0};
    job.submit.except = (struct wire_slices){except, 1};
    job.submit.spec.arch = slice_str("riscv64");
    snprintf(wanted, sizeof(wanted),
             "no peer in sight can run this job (1 core a task, riscv64): %s is %s, %s is %s, "
             "%s is left out by --except; it waits for one that can\n",
             names[0], arch, names[1], arch, names[2]);
    ck_assert_str_eq(notice_of(world, &job), wanted);
    cancel(world);
    world_end(world);
}
END_TEST

START_TEST(a_long_list_of_reasons_is_cut_and_counted)
{
    struct world *world = mesh_of(1, (const uint32_t[]){2});
    struct slice on[7];
    for (unsigned i = 0; i < ARRAY_LEN(on); i++) {
        on[i] = slice_str((const char *[]){"a1", "b2", "c3", "d4", "e5", "f6", "g7"}[i]);
    }
    struct wire_message job = world_job();
    job.submit.on = (struct wire_slices){on, ARRAY_LEN(on)};
    ck_assert_str_eq(notice_of(world, &job),
                     "no peer in sight can run this job (1 core a task): a1 is not in sight, "
                     "b2 is not in sight, c3 is not in sight, d4 is not in sight, and 3 more; "
                     "it waits for one that can\n");
    cancel(world);
    world_end(world);
}
END_TEST

START_TEST(another_architecture_gets_no_tasks)
{
    struct world *world = world_new(1);
    world_config(world, 1)->arch = "aarch64";
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, 2 * CORE_S);
    struct wire_message job = world_job();
    job.submit.spec.arch = slice_str("x86_64");
    world_submit(world, 0, &job, 20, "exit", "0");
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 0), 20);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_TASK), 0);
    world_end(world);
}
END_TEST

START_TEST(memory_is_not_promised_twice)
{
    struct world *world = world_new(1);
    world_config(world, 0)->cores = 8;
    world_config(world, 0)->mem_bytes = 1000;
    world_start(world, 0, true);
    struct wire_message job = world_job();
    job.submit.spec.mem_bytes = 400;
    world_submit(world, 0, &job, 6, "sleep", "100");
    world_run_for(world, 50 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 0), 2);
    ck_assert(world_run_job(world, 0, CORE_S));
    world_end(world);
}
END_TEST

START_TEST(a_watcher_has_at_most_four_lists_a_second)
{
    struct world *world = mesh_of(2, (const uint32_t[]){2, 2});
    world_client_up(world, 0);
    struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    query.peers_query.is_watch = true;
    world_client_say(world, 0, &query);
    world_run_for(world, 10 * CORE_MS);
    uint64_t n_before = world_n_effects(world, 0, CORE_EFFECT_CLIENT_SEND);
    for (unsigned i = 0; i < 100; i++) {
        struct core_event event = {.type = CORE_EVENT_CORES};
        event.cores.cores = 1 + i % 2;
        world_event(world, 1, &event);
        world_run_for(world, 20 * CORE_MS);
    }
    uint64_t n = world_n_effects(world, 0, CORE_EFFECT_CLIENT_SEND) - n_before;
    ck_assert_uint_ge(n, 6);
    ck_assert_uint_le(n, 9);
    world_client_down(world, 0);
    world_end(world);
}
END_TEST

START_TEST(a_watcher_hears_of_our_other_address)
{
    struct world *world = mesh_of(2, (const uint32_t[]){2, 2});
    world_client_up(world, 0);
    struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    query.peers_query.is_watch = true;
    world_client_say(world, 0, &query);
    world_run_for(world, CORE_S);
    for (unsigned i = 0; i < 4; i++) { /* which is another every other time */
        uint64_t n_before = world_n_effects(world, 0, CORE_EFFECT_CLIENT_SEND);
        struct core_event event = {.type = CORE_EVENT_ADDRESS};
        event.address.text = slice_str(i < 2 ? "10.0.0.77:6374" : "10.0.0.78:6374");
        world_event(world, 0, &event);
        world_run_for(world, 500 * CORE_MS);
        uint64_t n = world_n_effects(world, 0, CORE_EFFECT_CLIENT_SEND) - n_before;
        ck_assert_uint_eq(n, i % 2 == 0);
    }
    world_client_down(world, 0);
    world_end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_client");
    TCase *tcase = tcase_create("clients");
    tcase_set_timeout(tcase, 90);
    tcase_add_test(tcase, a_hundred_thousand_tasks_stream_through_in_bounded_memory);
    tcase_add_test(tcase, results_that_the_client_does_not_deal_with_stop_the_job);
    tcase_add_loop_test(tcase, a_task_out_of_order_or_beyond_the_credit_cancels_the_job, 0, 3);
    tcase_add_test(tcase, too_few_peers_refuse_a_job_after_the_start_up_second);
    tcase_add_test(tcase, a_peer_that_comes_in_time_lets_the_job_begin);
    tcase_add_test(tcase, on_and_except_choose_by_name_and_by_id);
    tcase_add_test(tcase, a_job_that_nobody_can_run_says_so_and_waits);
    tcase_add_test(tcase, at_most_so_many_tasks_of_a_job_run_at_once);
    tcase_add_test(tcase, wide_tasks_take_their_cores_and_are_not_passed_by);
    tcase_add_test(tcase, two_submitters_share_an_executor_evenly);
    tcase_add_test(tcase, half_of_the_cores_are_kept_for_ones_own_jobs);
    tcase_add_test(tcase, ones_own_wide_tasks_let_others_in_between);
    tcase_add_test(tcase, the_job_of_higher_priority_goes_first);
    tcase_add_test(tcase, a_job_is_named_again_before_its_next_task_over_a_new_session);
    tcase_add_test(tcase, a_job_that_is_cancelled_during_a_cut_ends_everywhere);
    tcase_add_loop_test(tcase, what_mesh_ended_is_run_again_unless_it_may_run_once_only, 0, 2);
    tcase_add_test(tcase, a_task_that_may_run_once_only_fails_once);
    tcase_add_test(tcase, a_drained_peer_ends_what_runs_and_gives_the_rest_back);
    tcase_add_test(tcase, strangers_tasks_are_refused_where_there_is_no_sandbox);
    tcase_add_test(tcase, a_peer_without_sandbox_offers_others_nothing_and_serves_its_own_user);
    tcase_add_test(tcase, a_job_that_fits_nobody_says_what_is_asked_for_and_who_lacks_it);
    tcase_add_test(tcase, a_long_list_of_reasons_is_cut_and_counted);
    tcase_add_test(tcase, another_architecture_gets_no_tasks);
    tcase_add_test(tcase, memory_is_not_promised_twice);
    tcase_add_test(tcase, a_watcher_hears_of_our_other_address);
    tcase_add_test(tcase, a_watcher_has_at_most_four_lists_a_second);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
