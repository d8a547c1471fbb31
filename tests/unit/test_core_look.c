/* What is asked of the disk: clients that attach to detached jobs or want them forgotten, and jobs
 * that come after others. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"
#include "wire/base/mem.h"

static struct world *mesh_of(unsigned n, uint64_t seed)
{
    return world_mesh_kept(n, seed, 50 * CORE_MS);
}

static struct wire_message detached(void)
{
    struct wire_message job = world_job();
    job.submit.is_detached = true;
    return job;
}

/* Submits a job and gives its number once it is kept. */
static uint64_t submit(struct world *world, const struct wire_message *job, uint32_t n_tasks,
                       const char *word, const char *value)
{
    struct world_client *client = world_client(world, 0);
    world_submit(world, 0, job, n_tasks, word, value);
    for (unsigned i = 0; i < 5000 && !client->is_kept && !client->has_error; i++) {
        world_run_for(world, CORE_MS);
    }
    return client->is_kept ? client->job : 0;
}

static bool run_to_end(struct world *world, uint64_t job, uint64_t ns_max)
{
    for (uint64_t ns = 0; ns < ns_max && !world_kept(world, 0, job).is_over; ns += 10 * CORE_MS) {
        world_run_for(world, 10 * CORE_MS);
    }
    return world_kept(world, 0, job).is_over;
}

/* The client begins anew, as another command of the user would. */
static struct world_client *fresh_client(struct world *world, uint64_t job)
{
    struct world_client *client = world_client(world, 0);
    if (client->is_up) {
        world_client_down(world, 0);
    }
    world_client_up(world, 0);
    mem_free(client->n_reports);
    client->n_reports = mem_alloc_or_die(WORLD_TASKS_MAX, 1);
    client->job = job;
    client->n_done = 0;
    client->is_job_done = client->has_error = client->has_ok = false;
    return client;
}

static void say_attach(struct world *world, uint64_t job, uint32_t task, bool is_wait)
{
    struct wire_message message = {.type = WIRE_MESSAGE_ATTACH};
    message.attach =
        (struct wire_attach){.job = job, .task = task, .is_wait = is_wait, .wants_tasks = true};
    world_client_say(world, 0, &message);
}

static void say_job(struct world *world, enum wire_message_type type, uint64_t job)
{
    struct wire_message message = {.type = type};
    if (type == WIRE_MESSAGE_JOB_FORGET) {
        message.job_forget.job = job;
    } else {
        message.job_cancel.job = job;
    }
    world_client(world, 0)->has_ok = world_client(world, 0)->has_error = false;
    world_client_say(world, 0, &message);
    world_run_for(world, 50 * CORE_MS);
}

/* --- attached ----------------------------------------------------------------------------------
 */

START_TEST(who_attaches_gets_each_result_once_and_then_the_end)
{
    struct world *world = mesh_of(3, 1);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 1000, "sleep", "10");
    struct world_client *client = fresh_client(world, id);
    say_attach(world, id, 0, true);
    for (unsigned i = 0; i < 60 && !client->is_job_done; i++) {
        world_run_for(world, CORE_S);
    }
    ck_assert(client->is_job_done && world_kept(world, 0, id).is_over);
    ck_assert_uint_eq(client->n_done, 1000); /* the world asserts that each comes once */
    ck_assert_uint_eq(client->job_done.n_succeeded, 1000);
    ck_assert(!client->job_done.is_running);
    world_end(world);
}
END_TEST

START_TEST(an_ended_job_is_attached_to_as_often_as_one_likes_in_any_life)
{
    struct world *world = mesh_of(2, 2);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 300, "exit", "0");
    ck_assert(run_to_end(world, id, 60 * CORE_S));
    for (unsigned i = 0; i < 3; i++) {
        struct world_client *client = fresh_client(world, id);
        say_attach(world, id, 0, i != 1);
        world_run_for(world, CORE_S);
        ck_assert(client->is_job_done && !client->job_done.is_running);
        ck_assert_uint_eq(client->n_done, 300);
        world_client_down(world, 0);
        world_kill(world, 0);
        world_restart(world, 0);
        world_run_for(world, CORE_S);
    }
    world_end(world);
}
END_TEST

START_TEST(nothing_more_is_sent_before_what_was_sent_is_dealt_with)
{
    struct world *world = mesh_of(2, 3);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 400, "exit", "0");
    ck_assert(run_to_end(world, id, 60 * CORE_S));
    struct world_client *client = fresh_client(world, id);
    client->holds_acks = true;
    say_attach(world, id, 0, true);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(client->n_done, WIRE_ATTACH_AHEAD);
    client->holds_acks = false;
    struct wire_message ack = {.type = WIRE_MESSAGE_DONE_ACK};
    ack.done_ack.job = id;
    ack.done_ack.n_done = client->n_done;
    world_client_say(world, 0, &ack);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(client->n_done, 400);
    ck_assert(client->is_job_done);
    world_end(world);
}
END_TEST

START_TEST(who_does_not_wait_gets_what_is_there)
{
    struct world *world = mesh_of(2, 4);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 40, "sleep", "1000");
    world_run_for(world, 2500 * CORE_MS);
    uint32_t n_results = world_kept(world, 0, id).n_results;
    struct world_client *client = fresh_client(world, id);
    say_attach(world, id, 0, false);
    world_run_for(world, 100 * CORE_MS);
    ck_assert(client->is_job_done && client->job_done.is_running);
    ck_assert_uint_gt(n_results, 0);
    ck_assert_uint_ge(client->n_done, n_results);
    ck_assert_uint_lt(client->n_done, 40);
    client = fresh_client(world, id);
    say_attach(world, id, 40, false); /* of one task, which has none */
    world_run_for(world, 100 * CORE_MS);
    ck_assert(client->is_job_done && client->n_done == 0);
    client = fresh_client(world, id);
    say_attach(world, id, 1, true);
    world_run_for(world, 5 * CORE_S);
    ck_assert(client->is_job_done);
    ck_assert_uint_eq(client->n_reports[1], 1);
    client = fresh_client(world, id);
    say_attach(world, id, 41, false);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_str_eq(client->error_text, "job 1.1 has 40 tasks");
    ck_assert(run_to_end(world, id, 60 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(a_client_that_leaves_while_the_disk_is_asked_is_forgotten)
{
    struct world *world = mesh_of(1, 5);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 4, "exit", "0");
    ck_assert(run_to_end(world, id, 10 * CORE_S));
    for (unsigned i = 0; i < 4; i++) {
        fresh_client(world, id);
        say_attach(world, id, 0, true);
        world_run_for(world, i * CORE_MS);
        world_client_down(world, 0);
        world_run_for(world, 100 * CORE_MS);
    }
    world_end(world);
}
END_TEST

START_TEST(an_unreadable_disk_is_said)
{
    struct world *world = mesh_of(1, 6);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 4, "exit", "0");
    ck_assert(run_to_end(world, id, 10 * CORE_S));
    struct world_client *client = fresh_client(world, id);
    world_disk_set_unreadable(world, 0, true);
    say_attach(world, id, 0, true);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_str_eq(client->error_text, "the journal cannot be read (errno 5)");
    world_end(world);
}
END_TEST

/* --- room for output ---------------------------------------------------------------------------
 */

/* A submitter without room for output, and an executor of one core. */
static struct world *cramped(uint64_t seed)
{
    struct world *world = world_new(seed);
    for (unsigned i = 0; i < 2; i++) {
        world_config(world, i)->has_journal = true;
        world_config(world, i)->cores = i;
        world_start(world, i, true);
    }
    world_run_for(world, CORE_S);
    world_set_room(world, 0, 1000);
    return world;
}

START_TEST(output_for_which_there_is_no_room_waits_with_its_executor)
{
    struct world *world = cramped(9);
    struct wire_message job = detached();
    job.submit.spec.lease_ms = 60000;
    uint64_t id = submit(world, &job, 3, "blob", "70000");
    ck_assert_uint_ne(id, 0);
    world_run_for(world, 20 * CORE_S);
    ck_assert_uint_eq(world_kept(world, 0, id).n_results, 0);
    uint32_t n_started = world_n_started(world, 1);
    ck_assert_uint_gt(n_started, 0);
    world_set_room(world, 0, UINT64_MAX);
    ck_assert(run_to_end(world, id, 5 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 1), 3); /* nothing ran twice */
    struct world_client *client = fresh_client(world, id);
    say_attach(world, id, 0, true);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(client->job_done.n_succeeded, 3);
    world_end(world);
}
END_TEST

/* When it is asked for again it may be here already, as another task's that waits for more. */
START_TEST(the_same_output_of_two_tasks_finds_room_once)
{
    struct world *world = cramped(11);
    struct wire_message job = detached();
    job.submit.spec.lease_ms = 60000;
    uint64_t id = submit(world, &job, 2, "same", "70000");
    world_run_for(world, 5 * CORE_S);
    world_set_room(world, 0, 100000); /* for what they share */
    world_run_for(world, 5 * CORE_S);
    world_set_room(world, 0, UINT64_MAX);
    ck_assert(run_to_end(world, id, 10 * CORE_S));
    ck_assert_uint_eq(world_kept(world, 0, id).n_results, 2);
    world_end(world);
}
END_TEST

START_TEST(output_for_which_there_is_never_room_fails_with_the_lease)
{
    struct world *world = cramped(10);
    struct wire_message job = detached();
    job.submit.spec.lease_ms = 10000;
    uint64_t id = submit(world, &job, 1, "blob", "70000");
    world_run_for(world, 9 * CORE_S);
    ck_assert(!world_kept(world, 0, id).is_over);
    ck_assert(run_to_end(world, id, 5 * CORE_S));
    struct world_client *client = fresh_client(world, id);
    say_attach(world, id, 0, true);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(client->job_done.n_failed, 1);
    ck_assert_uint_eq(client->last.result.end, WIRE_END_NO_DISK);
    world_end(world);
}
END_TEST

/* --- forgetting --------------------------------------------------------------------------------
 */

START_TEST(only_a_job_that_has_ended_is_forgotten)
{
    struct world *world = mesh_of(2, 7);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 4, "sleep", "1000");
    struct world_client *client = world_client(world, 0);
    say_job(world, WIRE_MESSAGE_JOB_FORGET, id);
    ck_assert_str_eq(client->error_text, "job 1.1 has not ended: cancel it first");
    ck_assert(run_to_end(world, id, 60 * CORE_S));
    world_run_for(world, CORE_S);
    say_job(world, WIRE_MESSAGE_JOB_CANCEL, id);
    ck_assert_str_eq(client->error_text, "job 1.1 has ended already");
    say_job(world, WIRE_MESSAGE_JOB_FORGET, id);
    ck_assert(client->has_ok && !client->has_error);
    ck_assert(!world_kept(world, 0, id).is_known);
    say_job(world, WIRE_MESSAGE_JOB_FORGET, id);
    ck_assert_str_eq(client->error_text, "there is no job 1.1");
    say_attach(world, id, 0, true);
    world_run_for(world, 50 * CORE_MS);
    ck_assert_str_eq(client->error_text, "there is no job 1.1");
    world_end(world);
}
END_TEST

/* A task that was begun a second time has ended, and the peer that was slow has not yet let go of
 * it. The job is over all the same, who waited has heard so, and it may be forgotten. */
START_TEST(an_ended_job_is_forgotten_although_a_peer_is_silent)
{
    struct world *world = mesh_of(3, 7);
    struct wire_message job = detached();
    job.submit.may_speculate = true;
    uint64_t id = submit(world, &job, 6, "sleep", "500");
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_gt(world_n_running(world, 1), 0);
    world_cut(world, 1);
    struct world_client *client = fresh_client(world, id);
    say_attach(world, id, 0, true);
    for (unsigned i = 0; i < 20000 && !client->is_job_done; i++) {
        world_run_for(world, CORE_MS);
    }
    ck_assert(client->is_job_done && !client->job_done.is_running);
    ck_assert_uint_eq(client->n_done, 6);
    say_job(world, WIRE_MESSAGE_JOB_FORGET, id);
    ck_assert_msg(client->has_ok, "%s", client->error_text);
    ck_assert(!world_kept(world, 0, id).is_known);
    say_job(world, WIRE_MESSAGE_JOB_FORGET, id);
    ck_assert_str_eq(client->error_text, "there is no job 1.1");
    world_mend(world, 1);
    world_run_for(world, 20 * CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    ck_assert(!world_kept(world, 0, id).is_known);
    world_end(world);
}
END_TEST

START_TEST(jobs_of_others_are_not_to_be_had)
{
    struct world *world = mesh_of(1, 8);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 1, "exit", "0");
    ck_assert(run_to_end(world, id, 10 * CORE_S));
    world_client_down(world, 0);
    struct world_client *client = fresh_client(world, id);
    world_client_down(world, 0);
    struct core_event up = {.type = CORE_EVENT_CLIENT_UP};
    up.client_up.client = WORLD_CLIENT;
    up.client_up.uid = _i == 0 ? 1001 : 0;
    client->is_up = true;
    world_event(world, 0, &up);
    say_attach(world, id, 0, true);
    world_run_for(world, 50 * CORE_MS);
    ck_assert_uint_eq(client->is_job_done, _i == 1);
    if (_i == 0) {
        ck_assert_str_eq(client->error_text,
                         "job 1.1 is another user's: only its owner and root may ask for it");
    }
    say_job(world, WIRE_MESSAGE_JOB_FORGET, id);
    ck_assert_uint_eq(client->has_ok, _i == 1);
    ck_assert_uint_eq(world_kept(world, 0, id).is_known, _i == 0);
    world_end(world);
}
END_TEST

START_TEST(a_journal_that_was_lost_ends_its_jobs_and_takes_new_ones)
{
    struct world *world = mesh_of(2, 9);
    struct wire_message job = detached();
    uint64_t id = submit(world, &job, 20, "sleep", "5000");
    world_run_for(world, CORE_S);
    ck_assert_uint_gt(world_n_running(world, 1), 0);
    world_disk_lose(world, 0);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    ck_assert(!world_kept(world, 0, id).is_known);
    id = submit(world, &job, 4, "exit", "0");
    ck_assert(run_to_end(world, id, 10 * CORE_S));
    ck_assert_uint_eq(world_kept(world, 0, id).n_succeeded, 4);
    world_end(world);
}
END_TEST

/* --- after others ------------------------------------------------------------------------------
 */

static struct wire_message after(struct wire_job_ref *ref, uint64_t job, bool is_any)
{
    struct wire_message message = detached();
    ref->job = job;
    message.submit.after = (struct wire_job_refs){.items = ref, .n = 1};
    message.submit.is_after_any = is_any;
    return message;
}

START_TEST(a_job_begins_when_the_one_before_it_has_succeeded)
{
    struct world *world = mesh_of(2, 10);
    struct wire_job_ref refs[2];
    struct wire_message job = detached();
    uint64_t first = submit(world, &job, 4, "sleep", "2000");
    job = after(&refs[0], first, false);
    uint64_t second = submit(world, &job, 4, "exit", "0");
    job = after(&refs[1], second, false);
    uint64_t third = submit(world, &job, 4, "exit", "0");
    ck_assert(second != 0 && third != 0);
    world_run_for(world, 1500 * CORE_MS);
    if (_i == 1) { /* in another life, too */
        world_kill(world, 0);
        world_restart(world, 0);
        world_client(world, 0)->is_up = false;
    }
    while (!world_kept(world, 0, first).is_over) {
        ck_assert_uint_eq(world_kept(world, 0, second).n_results, 0);
        ck_assert_uint_eq(world_kept(world, 0, third).n_results, 0);
        world_run_for(world, 10 * CORE_MS);
    }
    ck_assert(run_to_end(world, third, 30 * CORE_S));
    ck_assert(world_kept(world, 0, second).is_over);
    ck_assert_uint_eq(world_kept(world, 0, third).n_succeeded, 4);
    job = after(&refs[0], first, false); /* which has ended, and is on disk only */
    world_run_for(world, CORE_S);
    uint64_t fourth = submit(world, &job, 2, "exit", "0");
    ck_assert(run_to_end(world, fourth, 30 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(a_failure_cancels_what_comes_after_it_unless_any_end_will_do)
{
    struct world *world = mesh_of(2, 11);
    struct wire_job_ref refs[3];
    struct wire_message job = detached();
    uint64_t first = submit(world, &job, 4, "exit", "1");
    world_disk_set_latency(world, 0, 2 * CORE_MS);
    job = after(&refs[0], first, false);
    uint64_t second = submit(world, &job, 4, "exit", "0");
    if (second == 0) { /* it had failed already */
        ck_assert_str_eq(world_client(world, 0)->error_text, "job 1.1 failed");
    }
    job = after(&refs[2], first, true);
    uint64_t any = submit(world, &job, 4, "exit", "0");
    ck_assert(any != 0 && run_to_end(world, any, 30 * CORE_S));
    ck_assert_uint_eq(world_kept(world, 0, any).n_succeeded, 4);
    world_end(world);
}
END_TEST

START_TEST(a_chain_is_cancelled_with_its_first_and_says_why)
{
    struct world *world = mesh_of(2, 12);
    struct wire_job_ref refs[2];
    struct wire_message job = detached();
    uint64_t first = submit(world, &job, 4, "sleep", "3000");
    job = after(&refs[0], first, false);
    uint64_t second = submit(world, &job, 4, "exit", "0");
    job = after(&refs[1], second, false);
    uint64_t third = submit(world, &job, 4, "exit", "0");
    if (_i == 1) {
        world_kill(world, 0);
        world_restart(world, 0);
        world_client(world, 0)->is_up = false;
        world_run_for(world, CORE_S);
        world_client_up(world, 0);
    }
    say_job(world, WIRE_MESSAGE_JOB_CANCEL, first);
    ck_assert(run_to_end(world, third, 10 * CORE_S));
    ck_assert(world_kept(world, 0, second).is_cancelled);
    ck_assert(world_kept(world, 0, third).is_cancelled);
    ck_assert_uint_eq(world_kept(world, 0, second).n_results, 0);
    struct world_client *client = fresh_client(world, third);
    say_attach(world, third, 0, true);
    world_run_for(world, 100 * CORE_MS);
    ck_assert(client->is_job_done && client->job_done.is_cancelled);
    world_end(world);
}
END_TEST

START_TEST(jobs_that_are_not_there_are_refused_as_such)
{
    struct world *world = mesh_of(1, 13);
    struct wire_job_ref ref;
    struct wire_message job = after(&ref, UINT64_C(0x100000063), false);
    job.submit.is_detached = _i == 0;
    ck_assert_uint_eq(submit(world, &job, 1, "exit", "0"), 0);
    ck_assert_str_eq(world_client(world, 0)->error_text, "there is no job 1.99");
    ck_assert(!world_client(world, 0)->is_accepted);
    world_end(world);
}
END_TEST

START_TEST(a_detached_job_does_not_come_after_an_attached_one)
{
    struct world *world = mesh_of(1, 14);
    struct wire_job_ref ref;
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "sleep", "2000");
    world_run_for(world, 100 * CORE_MS);
    job = after(&ref, world_client(world, 0)->job, false);
    ck_assert_uint_eq(submit(world, &job, 1, "exit", "0"), 0);
    ck_assert_str_eq(world_client(world, 0)->error_text,
                     "job 1.1 ends with its terminal: a detached job can only wait for detached "
                     "ones");
    job.submit.is_detached = false; /* an attached one may */
    world_submit(world, 0, &job, 1, "exit", "0");
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 1);
    world_end(world);
}
END_TEST

START_TEST(a_job_that_was_forgotten_after_it_ended_holds_nobody_up_in_the_next_life)
{
    struct world *world = mesh_of(1, 15);
    struct wire_job_ref refs[2];
    struct wire_message job = detached();
    uint64_t quick = submit(world, &job, 1, "exit", "0");
    ck_assert(run_to_end(world, quick, 10 * CORE_S));
    world_run_for(world, CORE_S);
    uint64_t slow = submit(world, &job, 1, "sleep", "5000");
    refs[0].job = quick;
    refs[1].job = slow;
    job.submit.after = (struct wire_job_refs){.items = refs, .n = 2};
    uint64_t last = submit(world, &job, 1, "exit", "0");
    say_job(world, WIRE_MESSAGE_JOB_FORGET, quick);
    ck_assert(world_client(world, 0)->has_ok);
    world_kill(world, 0);
    world_restart(world, 0);
    ck_assert(run_to_end(world, last, 60 * CORE_S));
    ck_assert_uint_eq(world_kept(world, 0, last).n_succeeded, 1);
    world_end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_look");
    TCase *tc = tcase_create("attached");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, who_attaches_gets_each_result_once_and_then_the_end);
    tcase_add_test(tc, an_ended_job_is_attached_to_as_often_as_one_likes_in_any_life);
    tcase_add_test(tc, nothing_more_is_sent_before_what_was_sent_is_dealt_with);
    tcase_add_test(tc, who_does_not_wait_gets_what_is_there);
    tcase_add_test(tc, a_client_that_leaves_while_the_disk_is_asked_is_forgotten);
    tcase_add_test(tc, an_unreadable_disk_is_said);
    tcase_add_test(tc, output_for_which_there_is_no_room_waits_with_its_executor);
    tcase_add_test(tc, the_same_output_of_two_tasks_finds_room_once);
    tcase_add_test(tc, output_for_which_there_is_never_room_fails_with_the_lease);
    tcase_add_test(tc, only_a_job_that_has_ended_is_forgotten);
    tcase_add_test(tc, an_ended_job_is_forgotten_although_a_peer_is_silent);
    tcase_add_loop_test(tc, jobs_of_others_are_not_to_be_had, 0, 2);
    tcase_add_test(tc, a_journal_that_was_lost_ends_its_jobs_and_takes_new_ones);
    suite_add_tcase(suite, tc);
    tc = tcase_create("after");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_job_begins_when_the_one_before_it_has_succeeded, 0, 2);
    tcase_add_test(tc, a_failure_cancels_what_comes_after_it_unless_any_end_will_do);
    tcase_add_loop_test(tc, a_chain_is_cancelled_with_its_first_and_says_why, 0, 2);
    tcase_add_loop_test(tc, jobs_that_are_not_there_are_refused_as_such, 0, 2);
    tcase_add_test(tc, a_detached_job_does_not_come_after_an_attached_one);
    tcase_add_test(tc, a_job_that_was_forgotten_after_it_ended_holds_nobody_up_in_the_next_life);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
