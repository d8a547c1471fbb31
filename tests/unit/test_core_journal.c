/* Detached jobs: accepted when on disk, each result kept before it is acknowledged, and nothing
 * lost or doubled by a kill of the submitter at any instant. JOURNAL_SEED=N plays one random
 * schedule and prints its timeline; JOURNAL_SEEDS=N plays N in each group. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

#define N_GROUPS        10
#define SEEDS_PER_GROUP 30

static struct world *mesh_of(unsigned n, uint64_t seed)
{
    return world_mesh_kept(n, seed, 50 * CORE_MS);
}

static struct wire_message detached(void)
{
    struct wire_message job = world_job();
    job.submit.is_detached = true;
    job.submit.spec.lease_ms = 0;
    return job;
}

/* Until the disk of node i says that the job has ended, or for so long. */
static bool run_to_end(struct world *world, unsigned i, uint64_t job, uint64_t ns_max)
{
    for (uint64_t ns = 0; ns < ns_max && !world_kept(world, i, job).is_over; ns += 100 * CORE_MS) {
        world_run_for(world, 100 * CORE_MS);
    }
    return world_kept(world, i, job).is_over;
}

static bool run_to_kept(struct world *world, unsigned i, uint64_t ns_max)
{
    for (uint64_t ns = 0; ns < ns_max && !world_client(world, i)->is_kept; ns += CORE_MS) {
        world_run_for(world, CORE_MS);
    }
    return world_client(world, i)->is_kept;
}

static void check_all_succeeded(struct world *world, unsigned i, uint64_t job, uint32_t n_tasks)
{
    struct world_kept kept = world_kept(world, i, job);
    ck_assert(kept.is_over);
    ck_assert_uint_eq(kept.n_tasks, n_tasks);
    ck_assert_uint_eq(kept.n_results, n_tasks);
    ck_assert_uint_eq(kept.n_succeeded, n_tasks);
}

/* --- accepted ----------------------------------------------------------------------------------
 */

START_TEST(a_detached_job_is_accepted_when_it_is_on_disk)
{
    struct world *world = mesh_of(2, 1);
    world_disk_set_latency(world, 0, 100 * CORE_MS);
    struct wire_message job = detached();
    struct world_client *client = world_client(world, 0);
    world_submit(world, 0, &job, 40, "exit", "0");
    world_run_for(world, 99 * CORE_MS);
    ck_assert(!client->is_accepted);
    world_run_for(world, 2 * CORE_MS);
    ck_assert(client->is_accepted && client->is_fed);
    world_run_for(world, 97 * CORE_MS);
    ck_assert(!client->is_kept);
    ck_assert(run_to_kept(world, 0, CORE_S)); /* the world holds that the disk has it all */
    world_client_down(world, 0);
    ck_assert(run_to_end(world, 0, client->job, 10 * CORE_S));
    check_all_succeeded(world, 0, client->job, 40);
    ck_assert_uint_ge(world_n_started(world, 1), 10);
    ck_assert_uint_eq(client->n_done, 0);
    ck_assert_uint_eq(world_n_records(world, 0, CORE_RECORD_RESULT), 40);
    world_end(world);
}
END_TEST

START_TEST(a_client_that_leaves_before_that_leaves_nothing_behind)
{
    for (unsigned ms = 0; ms < 30; ms += 3) { /* said after 0, 10 and 20 ms, kept after 30 */
        struct world *world = mesh_of(2, 2);
        world_disk_set_latency(world, 0, 10 * CORE_MS);
        struct wire_message job = detached();
        world_submit(world, 0, &job, 1000, "exit", "0");
        world_run_for(world, ms * CORE_MS);
        ck_assert(!world_client(world, 0)->is_kept);
        world_client_down(world, 0);
        world_run_for(world, CORE_S);
        ck_assert_uint_eq(world_n_kept_jobs(world, 0), 0);
        world_end(world);
    }
}
END_TEST

START_TEST(a_daemon_without_journal_takes_no_detached_jobs)
{
    struct world *world = world_new(3);
    world_start(world, 0, true);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 5, "exit", "0");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_uint_eq(world_n_records(world, 0, CORE_RECORD_JOB), 0);
    world_end(world);
}
END_TEST

START_TEST(what_a_detached_job_cannot_promise_is_refused)
{
    struct world *world = mesh_of(1, 3);
    struct wire_message job = detached();
    job.submit.is_once = true;
    world_submit(world, 0, &job, 5, "exit", "0");
    world_run_for(world, 10 * CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_INVALID);
    job = detached();
    job.submit.spec.is_streamed = true;
    world_submit(world, 0, &job, 5, "exit", "0");
    world_run_for(world, 10 * CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_INVALID);
    world_end(world);
}
END_TEST

/* --- the disk fails ----------------------------------------------------------------------------
 */

START_TEST(a_full_disk_refuses_new_jobs_and_keeps_nothing_of_them)
{
    struct world *world = mesh_of(2, 4);
    struct wire_message job = detached();
    struct world_client *client = world_client(world, 0);
    world_disk_set_full(world, 0, true);
    world_submit(world, 0, &job, 5, "exit", "0");
    world_run_for(world, CORE_S);
    ck_assert(!client->is_accepted);
    ck_assert_uint_eq(client->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_jobs, 0);
    world_disk_set_full(world, 0, false);
    world_submit(world, 0, &job, 5, "exit", "0");
    ck_assert(run_to_kept(world, 0, CORE_S));
    ck_assert(run_to_end(world, 0, client->job, 5 * CORE_S));
    ck_assert_uint_eq(world_n_kept_jobs(world, 0), 1);
    world_end(world);
}
END_TEST

START_TEST(a_disk_that_fills_while_tasks_come_in_keeps_none_of_them)
{
    struct world *world = mesh_of(2, 5);
    struct wire_message job = detached();
    struct world_client *client = world_client(world, 0);
    world_disk_set_latency(world, 0, 50 * CORE_MS);
    world_submit(world, 0, &job, 6000, "exit", "0");
    world_run_for(world, 120 * CORE_MS);
    ck_assert_uint_eq(world_n_kept_jobs(world, 0), 1);
    world_disk_set_full(world, 0, true);
    world_run_for(world, CORE_S / 2);
    ck_assert(!client->is_kept);
    ck_assert_uint_eq(client->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_uint_ge(core_counts(world_core(world, 0)).n_records_failed, 1); /* forget it */
    world_submit(world, 0, &job, 5, "exit", "0"); /* no new one either */
    world_run_for(world, CORE_S / 4);
    ck_assert_uint_eq(client->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert(!client->is_accepted);
    world_disk_set_full(world, 0, false);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(world_n_kept_jobs(world, 0), 0);
    world_client_down(world, 0);
    world_end(world);
}
END_TEST

static uint32_t n_started_on(const struct world *world, unsigned n)
{
    uint32_t n_started = 0;
    for (unsigned i = 0; i < n; i++) {
        n_started += world_n_started(world, i);
    }
    return n_started;
}

START_TEST(results_wait_for_the_disk_and_executors_hold_them)
{
    enum { N_TASKS = 1500 };
    struct world *world = mesh_of(3, 6);
    world_check_acks(world);
    struct wire_message job = detached();
    world_submit(world, 0, &job, N_TASKS, "sleep", "200");
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_run_for(world, 500 * CORE_MS);
    world_disk_set_full(world, 0, true);
    uint32_t n_kept = world_kept(world, 0, id).n_results;
    ck_assert_uint_gt(n_kept, 0);
    world_run_for(world, CORE_S);
    uint32_t n_started = n_started_on(world, 3);
    world_run_for(world, 38 * CORE_S);
    ck_assert_uint_eq(n_started_on(world, 3), n_started); /* nothing new is begun */
    ck_assert_uint_eq(world_kept(world, 0, id).n_results, n_kept);
    ck_assert_uint_gt(core_counts(world_core(world, 0)).n_keeping, 0);
    ck_assert_uint_gt(core_counts(world_core(world, 1)).n_held_ended, 0);
    ck_assert_uint_lt(world_n_records(world, 0, CORE_RECORD_RESULT), 300); /* with pauses */
    world_disk_set_full(world, 0, false);
    ck_assert(run_to_end(world, 0, id, 120 * CORE_S));
    check_all_succeeded(world, 0, id, N_TASKS);
    world_end(world);
}
END_TEST

START_TEST(a_write_that_ends_half_way_is_said_again)
{
    struct world *world = mesh_of(3, 7);
    world_check_acks(world);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 200, "exit", "0");
    ck_assert(run_to_kept(world, 0, CORE_S));
    for (unsigned k = 0; k < 5; k++) {
        world_disk_tear(world, 0);
        world_run_for(world, 100 * CORE_MS);
    }
    ck_assert(run_to_end(world, 0, world_client(world, 0)->job, 60 * CORE_S));
    check_all_succeeded(world, 0, world_client(world, 0)->job, 200);
    world_end(world);
}
END_TEST

/* --- another life ------------------------------------------------------------------------------
 */

START_TEST(executors_go_on_and_deliver_to_the_next_life)
{
    struct world *world = mesh_of(3, 8);
    world_check_acks(world);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 6, "sleep", "5000");
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1) + world_n_running(world, 2), 4);
    world_kill(world, 0);
    world_run_for(world, 10 * CORE_S); /* they end while nobody is there to hear */
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_held_ended, 2);
    world_restart(world, 0);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_kept(world, 0, id).n_results, 4);
    ck_assert(run_to_end(world, 0, id, 30 * CORE_S));
    check_all_succeeded(world, 0, id, 6);
    ck_assert_uint_eq(world_n_started(world, 1) + world_n_started(world, 2) +
                          world_n_started(world, 0),
                      6 + 2); /* only what ran on the killed one ran again */
    world_end(world);
}
END_TEST

START_TEST(running_attempts_are_taken_back_and_not_begun_again)
{
    struct world *world = mesh_of(3, 9);
    struct wire_message job = detached();
    world_config(world, 0)->cores = 0;
    world_submit(world, 0, &job, 4, "sleep", "20000");
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_run_for(world, CORE_S);
    uint32_t n_remote = world_n_running(world, 1) + world_n_running(world, 2);
    for (unsigned k = 0; k < 3; k++) { /* several lives */
        world_kill(world, 0);
        world_run_for(world, CORE_S);
        world_restart(world, 0);
        world_run_for(world, 4 * CORE_S);
    }
    ck_assert(run_to_end(world, 0, id, 60 * CORE_S));
    check_all_succeeded(world, 0, id, 4);
    ck_assert_uint_ge(n_remote, 2);
    ck_assert_uint_le(world_n_started(world, 1) + world_n_started(world, 2), 4);
    world_end(world);
}
END_TEST

/* What ends soon after it was taken back has not run for a short time: the next ones, which take as
 * long, are not late. */
START_TEST(how_long_a_task_has_run_is_known_to_the_next_life)
{
    struct world *world = mesh_of(4, 10);
    struct wire_message job = detached();
    job.submit.may_speculate = true;
    world_submit(world, 0, &job, 12, "sleep", "2000"); /* on 8 cores */
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_run_for(world, 1500 * CORE_MS);
    uint32_t n_own = world_n_started(world, 0);
    world_kill(world, 0);
    world_run_for(world, 50 * CORE_MS);
    world_restart(world, 0);
    ck_assert(run_to_end(world, 0, id, 20 * CORE_S));
    check_all_succeeded(world, 0, id, 12);
    uint32_t n_started = 0;
    for (unsigned i = 0; i < 4; i++) {
        n_started += world_n_started(world, i);
    }
    ck_assert_uint_eq(n_started, 12 + n_own); /* only what ran on the killed one ran again */
    world_end(world);
}
END_TEST

START_TEST(nothing_is_placed_before_dead_after)
{
    struct world *world = mesh_of(2, 10);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 8, "sleep", "300");
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_kill(world, 0);
    world_run_for(world, 60 * CORE_S);
    uint32_t n_started = world_n_started(world, 1);
    world_restart(world, 0);
    world_run_for(world, 2900 * CORE_MS);
    ck_assert_uint_eq(world_n_started(world, 1), n_started);
    ck_assert(run_to_end(world, 0, id, 10 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(results_are_held_for_the_lease_and_no_longer)
{
    struct world *world = mesh_of(2, 11);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 4, "sleep", "3000");
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_run_for(world, CORE_S);
    world_kill(world, 0);
    world_run_for(world, 3590 * CORE_S); /* an hour: the default */
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_held_ended, 2);
    world_restart(world, 0);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(world_kept(world, 0, id).n_results, 2);
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_held_ended, 0);
    ck_assert(run_to_end(world, 0, id, 30 * CORE_S));

    job.submit.spec.lease_ms = 60000;
    world_submit(world, 0, &job, 4, "sleep", "3000");
    ck_assert(run_to_kept(world, 0, CORE_S));
    id = world_client(world, 0)->job;
    world_run_for(world, CORE_S);
    world_kill(world, 0);
    world_run_for(world, 59 * CORE_S);
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_held_ended, 2);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_held_ended, 0);
    world_restart(world, 0);
    ck_assert(run_to_end(world, 0, id, 30 * CORE_S)); /* they run again */
    check_all_succeeded(world, 0, id, 4);
    world_end(world);
}
END_TEST

START_TEST(a_submitter_that_lost_its_disk_wants_nothing_back)
{
    struct world *world = mesh_of(2, 12);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 8, "sleep", "5000");
    ck_assert(run_to_kept(world, 0, CORE_S));
    world_run_for(world, CORE_S);
    world_kill(world, 0);
    world_disk_wipe(world, 0);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    world_restart(world, 0);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    world_end(world);
}
END_TEST

START_TEST(a_daemon_that_stops_leaves_its_detached_jobs_to_the_next_life)
{
    struct world *world = mesh_of(2, 13);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 6, "sleep", "6000");
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_run_for(world, CORE_S);
    struct core_event stop = {.type = CORE_EVENT_STOP};
    world_event(world, 0, &stop);
    world_run_for(world, 3 * CORE_S);
    ck_assert(world_has_exited(world, 0));
    ck_assert(!world_kept(world, 0, id).is_over && !world_kept(world, 0, id).is_cancelled);
    ck_assert_uint_eq(world_n_running(world, 1), 2);
    world_kill(world, 0);
    world_restart(world, 0);
    ck_assert(run_to_end(world, 0, id, 60 * CORE_S));
    check_all_succeeded(world, 0, id, 6);
    world_end(world);
}
END_TEST

/* --- cancel ------------------------------------------------------------------------------------
 */

static void cancel(struct world *world, unsigned i, uint64_t id)
{
    struct wire_message message = {.type = WIRE_MESSAGE_JOB_CANCEL};
    message.job_cancel.job = id;
    world_client(world, i)->has_ok = world_client(world, i)->has_error = false;
    world_client_say(world, i, &message);
}

START_TEST(any_client_of_the_user_cancels_and_it_stays_cancelled)
{
    struct world *world = mesh_of(2, 14);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 100, "sleep", "1000");
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_run_for(world, 1500 * CORE_MS);
    world_client_down(world, 0);
    world_client_up(world, 0);
    cancel(world, 0, id);
    world_run_for(world, CORE_MS);
    ck_assert(!world_client(world, 0)->has_ok); /* not on disk yet */
    world_run_for(world, 10 * CORE_MS);
    ck_assert(world_client(world, 0)->has_ok);
    ck_assert(world_kept(world, 0, id).is_cancelled);
    world_kill(world, 0);
    world_restart(world, 0);
    world_run_for(world, 5 * CORE_S);
    struct world_kept kept = world_kept(world, 0, id);
    ck_assert(kept.is_over);
    ck_assert_uint_lt(kept.n_results, 20);
    ck_assert_uint_eq(kept.n_results, kept.n_succeeded);
    world_end(world);
}
END_TEST

START_TEST(a_cancel_that_the_disk_does_not_take_says_so_and_is_made_good)
{
    struct world *world = mesh_of(2, 15);
    struct wire_message job = detached();
    world_submit(world, 0, &job, 100, "sleep", "1000");
    ck_assert(run_to_kept(world, 0, CORE_S));
    uint64_t id = world_client(world, 0)->job;
    world_run_for(world, 1500 * CORE_MS);
    world_disk_set_full(world, 0, true);
    cancel(world, 0, id);
    world_run_for(world, CORE_S);
    ck_assert(!world_client(world, 0)->has_ok);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    world_disk_set_full(world, 0, false);
    world_run_for(world, 10 * CORE_S);
    ck_assert(world_kept(world, 0, id).is_cancelled && world_kept(world, 0, id).is_over);
    world_end(world);
}
END_TEST

/* --- long jobs ---------------------------------------------------------------------------------
 */

START_TEST(a_long_job_takes_memory_for_a_window_only)
{
    enum { N_TASKS = 60000 };
    struct world *world = mesh_of(4, 16);
    world_set_run(world, 2 * CORE_MS);
    struct wire_message job = detached();
    world_submit(world, 0, &job, N_TASKS, "exit", "0");
    ck_assert(run_to_kept(world, 0, 60 * CORE_S)); /* long before the tasks are done */
    uint64_t id = world_client(world, 0)->job;
    ck_assert_uint_lt(world_kept(world, 0, id).n_results, N_TASKS / 2);
    bool did_kill = false;
    while (!world_kept(world, 0, id).is_over) {
        world_run_for(world, 500 * CORE_MS);
        struct core_counts counts = core_counts(world_core(world, 0));
        ck_assert_uint_le(counts.n_tasks, CORE_JOB_TASKS_MAX + CORE_READ_TASKS_MAX);
        ck_assert_uint_le(counts.n_records_said, CORE_JOB_TASKS_MAX);
        if (!did_kill && world_kept(world, 0, id).n_results > N_TASKS / 2) {
            did_kill = true;
            world_kill(world, 0);
            world_restart(world, 0);
            world_disk_set_unreadable(world, 0, true);
            world_run_for(world, 8 * CORE_S);
            world_disk_set_unreadable(world, 0, false);
        }
        ck_assert_uint_lt(world_now(world), 2000 * CORE_S);
    }
    ck_assert(did_kill);
    ck_assert_uint_ge(world_n_reads(world, 0), (N_TASKS - CORE_JOB_TASKS_MAX) / 1024);
    check_all_succeeded(world, 0, id, N_TASKS);
    world_end(world);
}
END_TEST

/* --- killed at any instant ---------------------------------------------------------------------
 */

static uint64_t roll(uint64_t *state, uint64_t below)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % below;
}

struct story {
    struct world *world;
    uint64_t dice, seed;
    unsigned n_nodes;
    uint64_t jobs[16]; /* answered as kept */
    uint32_t n_tasks[16];
    unsigned n_jobs;
};

static void note_kept(struct story *story)
{
    struct world_client *client = world_client(story->world, 0);
    if (client->is_kept && story->n_jobs < ARRAY_LEN(story->jobs) &&
        (story->n_jobs == 0 || story->jobs[story->n_jobs - 1] != client->job)) {
        story->jobs[story->n_jobs] = client->job;
        story->n_tasks[story->n_jobs++] = client->n_tasks;
    }
}

static void submit(struct story *story)
{
    static const char *const programs[][2] = {
        {"exit", "0"}, {"sleep", "300"}, {"blob", "200000"}, {"echo", "x"}, {"sleep", "2500"}};
    note_kept(story);
    struct wire_message job = detached();
    job.submit.jobs_max = roll(&story->dice, 4) == 0 ? 3 : 0;
    struct wire_file file = {
        .path = slice_str("prog"), .mode = 0755, .hash = {{1, 2, 3}}, .bytes = 5000};
    if (roll(&story->dice, 2) == 0) {
        job.submit.spec.files = (struct wire_files){.items = &file, .n = 1};
    }
    const char *const *program = programs[roll(&story->dice, ARRAY_LEN(programs))];
    world_submit(story->world, 0, &job, (uint32_t)roll(&story->dice, 80) + 1, program[0],
                 program[1]);
}

static void mend_all(struct story *story)
{
    for (unsigned i = 0; i < story->n_nodes; i++) {
        world_mend(story->world, i);
    }
}

static void strike(struct story *story)
{
    struct world *world = story->world;
    unsigned i = 1 + (unsigned)roll(&story->dice, story->n_nodes - 1);
    switch (roll(&story->dice, 10)) {
    case 0:
    case 1:
    case 2:
        note_kept(story);
        world_kill(world, 0);
        world_run_for(world, roll(&story->dice, 5000) * CORE_MS);
        world_restart(world, 0);
        break;
    case 3:
        world_kill(world, i);
        world_run_for(world, roll(&story->dice, 200) * CORE_MS);
        world_restart(world, i);
        break;
    case 4:
        world_reset_link(world, 0, i);
        break;
    case 5:
        world_disk_set_full(world, 0, roll(&story->dice, 2) == 0);
        break;
    case 6:
        world_disk_tear(world, 0);
        break;
    case 7:
        submit(story);
        break;
    case 8:
        world_cut(world, roll(&story->dice, 2) == 0 ? 0 : i);
        break;
    case 9:
        mend_all(story);
        break;
    }
}

static uint64_t play(uint64_t seed, bool is_traced)
{
    struct story story = {.dice = seed, .seed = seed};
    struct world *world = story.world = world_new(seed);
    if (is_traced) {
        world_trace(world);
    }
    story.n_nodes = 2 + (unsigned)roll(&story.dice, 3);
    world_set_latency(world, CORE_MS / 10 + roll(&story.dice, 20) * CORE_MS);
    for (unsigned i = 0; i < story.n_nodes; i++) {
        world_config(world, i)->has_journal = true;
        world_config(world, i)->cores = 1 + (uint32_t)roll(&story.dice, 4);
        world_start(world, i, true);
    }
    world_check_acks(world);
    world_disk_set_latency(world, 0, roll(&story.dice, 40) * CORE_MS / 4);
    world_run_for(world, roll(&story.dice, 500) * CORE_MS);
    submit(&story);
    unsigned n_strikes = 3 + (unsigned)roll(&story.dice, 15);
    for (unsigned k = 0; k < n_strikes; k++) {
        world_run_for(world, roll(&story.dice, 2) == 0 ? roll(&story.dice, 1500) * CORE_MS
                                                       : roll(&story.dice, 60000) * 1000);
        strike(&story);
    }
    world_disk_set_full(world, 0, false);
    mend_all(&story);
    world_run_for(world, 400 * CORE_S);
    note_kept(&story);
    if (is_traced && getenv("JOURNAL_SEED") != NULL) {
        fwrite(world_trace_text(world).p, 1, world_trace_text(world).n, stderr);
    }
    for (unsigned k = 0; k < story.n_jobs; k++) {
        struct world_kept kept = world_kept(world, 0, story.jobs[k]);
        ck_assert_msg(kept.is_over && kept.n_tasks == story.n_tasks[k] &&
                          kept.n_succeeded == story.n_tasks[k],
                      "seed %llu: job %u: %u of %u results, %s", (unsigned long long)seed, k,
                      kept.n_succeeded, story.n_tasks[k], kept.is_over ? "over" : "not over");
    }
    world_client_down(world, 0);
    world_run_for(world, 10 * CORE_S);
    world_assert_quiet(world);
    uint64_t hash = world_trace_hash(world);
    world_free(world);
    return hash;
}

START_TEST(no_accepted_task_is_lost_and_no_result_is_doubled_by_kills)
{
    const char *one = getenv("JOURNAL_SEED");
    if (one != NULL) {
        play(strtoull(one, NULL, 10), true);
        return;
    }
    const char *more = getenv("JOURNAL_SEEDS");
    uint64_t n = more != NULL ? strtoull(more, NULL, 10) : SEEDS_PER_GROUP;
    for (uint64_t k = 0; k < n; k++) {
        if (getenv("JOURNAL_VERBOSE") != NULL) {
            fprintf(stderr, "seed %llu\n", (unsigned long long)((uint64_t)_i * n + k));
        }
        play((uint64_t)_i * n + k, false);
    }
}
END_TEST

START_TEST(the_same_seed_gives_the_same_trace)
{
    ck_assert_uint_eq(play(1000, true), play(1000, true));
    ck_assert_uint_ne(play(1000, true), play(1001, true));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_journal");
    TCase *tcase = tcase_create("journal");
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, a_detached_job_is_accepted_when_it_is_on_disk);
    tcase_add_test(tcase, a_client_that_leaves_before_that_leaves_nothing_behind);
    tcase_add_test(tcase, a_daemon_without_journal_takes_no_detached_jobs);
    tcase_add_test(tcase, what_a_detached_job_cannot_promise_is_refused);
    tcase_add_test(tcase, a_full_disk_refuses_new_jobs_and_keeps_nothing_of_them);
    tcase_add_test(tcase, a_disk_that_fills_while_tasks_come_in_keeps_none_of_them);
    tcase_add_test(tcase, results_wait_for_the_disk_and_executors_hold_them);
    tcase_add_test(tcase, a_write_that_ends_half_way_is_said_again);
    tcase_add_test(tcase, executors_go_on_and_deliver_to_the_next_life);
    tcase_add_test(tcase, running_attempts_are_taken_back_and_not_begun_again);
    tcase_add_test(tcase, how_long_a_task_has_run_is_known_to_the_next_life);
    tcase_add_test(tcase, nothing_is_placed_before_dead_after);
    tcase_add_test(tcase, results_are_held_for_the_lease_and_no_longer);
    tcase_add_test(tcase, a_submitter_that_lost_its_disk_wants_nothing_back);
    tcase_add_test(tcase, a_daemon_that_stops_leaves_its_detached_jobs_to_the_next_life);
    tcase_add_test(tcase, any_client_of_the_user_cancels_and_it_stays_cancelled);
    tcase_add_test(tcase, a_cancel_that_the_disk_does_not_take_says_so_and_is_made_good);
    tcase_add_test(tcase, a_long_job_takes_memory_for_a_window_only);
    tcase_add_loop_test(tcase, no_accepted_task_is_lost_and_no_result_is_doubled_by_kills, 0,
                        N_GROUPS);
    tcase_add_test(tcase, the_same_seed_gives_the_same_trace);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
