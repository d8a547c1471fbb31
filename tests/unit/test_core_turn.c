/* Long tasks of one owner, and others that wait: who is paused, for how long, and what of it shows.
 * The world asserts that nobody runs more cores than it offers, the paused ones left out. */
#include "mesh/core/exec.h"
#include "mesh/core/peer.h"
#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

#define FIRST_LINK 1000u

/* Node 0 offers so many cores, the others none. */
static struct world *world_of(unsigned n_nodes, uint32_t cores, uint64_t seed)
{
    struct world *world = world_new(seed);
    for (unsigned i = 0; i < n_nodes; i++) {
        struct core_config *config = world_config(world, i);
        config->cores = config->cores_effective = i == 0 ? cores : 0;
        config->are_cores_fixed = true;
        world_start(world, i, true);
    }
    world_run_for(world, CORE_S);
    return world;
}

static struct wire_message job_of(void)
{
    struct wire_message job = world_job();
    job.submit.spec.lease_ms = 10000;
    return job;
}

static uint32_t n_pauses(const struct world *world)
{
    return (uint32_t)world_n_effects(world, 0, CORE_EFFECT_PAUSE);
}

/* The client leaves, and its tasks go with it. */
static void end_without(struct world *world, unsigned client)
{
    world_client_down(world, client);
    world_run_for(world, 20 * CORE_S);
    world_end(world);
}

START_TEST(endless_tasks_make_room_for_others_within_a_second)
{
    struct world *world = world_of(3, 4, 1);
    struct wire_message job = job_of();
    world_submit(world, 1, &job, 4, "sleep", "3600000");
    world_run_for(world, 5 * CORE_S);
    ck_assert_uint_eq(world_n_running(world, 0), 4);
    ck_assert_uint_eq(n_pauses(world), 0); /* nobody else wants anything */
    world_submit(world, 2, &job, 100, "sleep", "100");
    ck_assert(world_run_job(world, 2, 7 * CORE_S)); /* 100 times 0.1 s on two cores */
    ck_assert_uint_eq(world_client(world, 2)->job_done.n_succeeded, 100);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(n_pauses(world), 4); /* two, and they have gone on */
    ck_assert_uint_eq(core_counts(world_core(world, 0)).cores_used, 4);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_KILL), 0);
    end_without(world, 1);
}
END_TEST

/* One core: they take turns by the clock, and the short ones have two thirds of it. */
START_TEST(a_single_core_is_shared_by_the_second)
{
    struct world *world = world_of(3, 1, 2);
    struct wire_message job = job_of();
    world_submit(world, 1, &job, 1, "sleep", "3600000");
    world_run_for(world, 5 * CORE_S);
    world_submit(world, 2, &job, 200, "sleep", "100");
    ck_assert(world_run_job(world, 2, 45 * CORE_S));
    ck_assert_uint_gt(world_now(world), 1000 * CORE_S + 25 * CORE_S); /* not without the other */
    ck_assert_uint_ge(n_pauses(world), 10);
    end_without(world, 1);
}
END_TEST

START_TEST(tasks_that_share_evenly_are_left_alone)
{
    struct world *world = world_of(3, 4, 3);
    struct wire_message job = job_of();
    world_submit(world, 1, &job, 20, "sleep", "1500");
    world_submit(world, 2, &job, 20, "sleep", "1500");
    ck_assert(world_run_job(world, 1, 60 * CORE_S));
    ck_assert(world_run_job(world, 2, 60 * CORE_S));
    ck_assert_uint_le(n_pauses(world), 4); /* until the first are as many as the second */
    world_end(world);
}
END_TEST

/* A host that makes itself keys has no more by it: they wait for one another as ever. */
START_TEST(keys_of_one_host_do_not_pause_each_other)
{
    struct world *world = world_of(1, 2, 4);
    for (unsigned i = 0; i < 2; i++) {
        struct core_event event = {.type = CORE_EVENT_LINK_UP};
        event.link_up.link = FIRST_LINK + i;
        event.link_up.key = (struct wire_key){{0xee, (uint8_t)i, 1}};
        event.link_up.epoch = event.link_up.incarnation = 1;
        event.link_up.protocol = WIRE_VERSION_MAX;
        event.link_up.name = event.link_up.arch = slice_str("x86_64");
        event.link_up.address = slice_str("10.9.9.9:7");
        event.link_up.is_on_link = true;
        world_event(world, 0, &event);
        struct wire_message job = {.type = WIRE_MESSAGE_JOB};
        job.job.job = UINT64_C(1) << 32 | 1;
        job.job.spec.cores = 1;
        job.job.spec.lease_ms = 3600000;
        struct wire_message want = {.type = WIRE_MESSAGE_WANT, .want = {10, 10}};
        struct slice words[] = {slice_str("sleep"), slice_str("3600000")};
        const struct wire_message *messages[] = {&want, &job};
        for (unsigned k = 0; k < 4; k++) {
            struct wire_message task = {.type = WIRE_MESSAGE_TASK};
            task.task.id = (struct wire_attempt_id){
                .job = job.job.job, .task = k, .incarnation = 1, .number = 1};
            task.task.argv = (struct wire_slices){words, 2};
            struct core_event said = {.type = CORE_EVENT_MESSAGE};
            said.message.link = FIRST_LINK + i;
            said.message.message = k < 2 ? messages[k] : &task;
            world_event(world, 0, &said);
        }
    }
    for (unsigned s = 0; s < 20; s++) { /* and neither is silent */
        world_run_for(world, CORE_S / 2);
    }
    ck_assert_uint_eq(n_pauses(world), 0);
    world_free(world);
}
END_TEST

/* The limit of time is one of running: what a pause takes does not count. */
START_TEST(a_timeout_stands_still_while_its_task_does)
{
    struct world *world = world_of(3, 1, 5);
    struct wire_message job = job_of();
    job.submit.spec.timeout_ms = 6000;
    world_submit(world, 1, &job, 1, "sleep", "3600000");
    world_run_for(world, 2 * CORE_S);
    job.submit.spec.timeout_ms = 0;
    uint64_t from_ns = world_now(world);
    world_submit(world, 2, &job, 200, "sleep", "100");
    ck_assert(world_run_job(world, 1, 60 * CORE_S));
    ck_assert_uint_eq(world_client(world, 1)->n_by_end[WIRE_END_TIMEOUT], 1);
    ck_assert_uint_gt(world_now(world) - from_ns, 9 * CORE_S); /* four seconds of it by turns */
    ck_assert(world_run_job(world, 2, 60 * CORE_S));
    world_end(world);
}
END_TEST

START_TEST(our_own_tasks_are_not_paused_and_have_their_half)
{
    struct world *world = world_of(2, 4, 6);
    struct wire_message job = job_of();
    world_submit(world, 1, &job, 4, "sleep", "3600000");
    world_run_for(world, 5 * CORE_S);
    world_submit(world, 0, &job, 2, "sleep", "30000"); /* the half that is ours */
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(n_pauses(world), 2);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).cores_used, 4);
    ck_assert(world_run_job(world, 0, 32 * CORE_S)); /* never paused for the other */
    end_without(world, 1);
}
END_TEST

/* What is paused when a peer stops offering cores may end all the same. */
START_TEST(no_task_stays_paused_where_no_cores_are_offered)
{
    struct world *world = world_of(3, 2, 7);
    struct wire_message job = job_of();
    world_submit(world, 1, &job, 2, "sleep", "20000");
    world_run_for(world, 2 * CORE_S);
    world_submit(world, 2, &job, 1, "sleep", "20000");
    world_run_for(world, 3 * CORE_S);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).cores_used, 2);
    ck_assert_uint_eq(n_pauses(world), 1);
    world_client_up(world, 0);
    world_client_say(world, 0,
                     &(struct wire_message){.type = WIRE_MESSAGE_SET_CORES, .set_cores = {0}});
    ck_assert(world_run_job(world, 1, 30 * CORE_S));
    ck_assert(world_run_job(world, 2, 30 * CORE_S));
    ck_assert_uint_eq(n_pauses(world), 2);
    world_end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_turn");
    TCase *tc = tcase_create("turn");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, endless_tasks_make_room_for_others_within_a_second);
    tcase_add_test(tc, a_single_core_is_shared_by_the_second);
    tcase_add_test(tc, tasks_that_share_evenly_are_left_alone);
    tcase_add_test(tc, keys_of_one_host_do_not_pause_each_other);
    tcase_add_test(tc, a_timeout_stands_still_while_its_task_does);
    tcase_add_test(tc, our_own_tasks_are_not_paused_and_have_their_half);
    tcase_add_test(tc, no_task_stays_paused_where_no_cores_are_offered);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
