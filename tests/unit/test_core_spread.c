/* Large blobs that several executors read: that they leave their owner about once, and what becomes
 * of those who were sent to a peer that vanishes, is silent, refuses or lies. */
#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

#define GIB   (UINT64_C(1) << 30)
#define NODES 5u
#define MANY  8u

/* Node 0 owns, the others run; so slow a network that a test can look in between. */
static struct world *mesh_of(unsigned n)
{
    struct world *world = world_new(7);
    for (unsigned i = 0; i < n; i++) {
        world_config(world, i)->cores = i == 0 ? 0 : 1;
        world_start(world, i, true);
    }
    world_run_for(world, 2 * CORE_S);
    world_set_latency(world, 20 * CORE_MS);
    return world;
}

static struct world *mesh(void)
{
    return mesh_of(NODES);
}

static void end(struct world *world)
{
    world_run_for(world, 30 * CORE_S);
    world_assert_quiet(world);
    world_free(world);
}

static uint64_t n_serves(const struct world *world, unsigned i)
{
    return world_n_effects(world, i, CORE_EFFECT_BLOB_SERVE);
}

static uint64_t n_serves_of_all(const struct world *world)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < NODES; i++) {
        n += n_serves(world, i);
    }
    return n;
}

static struct wire_file file_of(uint64_t n_bytes)
{
    return (struct wire_file){
        .path = slice_str("base"), .mode = 0644, .hash = {{1, 2, 3}}, .bytes = n_bytes};
}

/* Many tasks, so that each executor gets some; one second each. */
static void submit(struct world *world, const struct wire_file *file)
{
    struct wire_message job = world_job();
    job.submit.spec.files = (struct wire_files){.items = file, .n = 1};
    job.submit.may_speculate = false;
    world_submit(world, 0, &job, 40, "sleep", "1000");
}

static void check_done(struct world *world)
{
    ck_assert(world_run_job(world, 0, 300 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 40);
}

/* The node that says first that it has the blob, just then. */
static unsigned wait_holder(struct world *world)
{
    for (unsigned ms = 0; ms < 5000; ms++) {
        for (unsigned i = 1; i < NODES; i++) {
            if (world_n_sent(world, i, WIRE_MESSAGE_BLOB_HAD) > 0) {
                return i;
            }
        }
        world_run_for(world, CORE_MS);
    }
    ck_abort_msg("nobody has it");
    return 0;
}

/* Until somebody was sent to it. */
static unsigned wait_pointed(struct world *world)
{
    unsigned holder = wait_holder(world);
    for (unsigned ms = 0; ms < 5000 && world_n_sent(world, 0, WIRE_MESSAGE_BLOB_FROM) == 0; ms++) {
        world_run_for(world, CORE_MS);
    }
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_BLOB_FROM), 1);
    return holder;
}

START_TEST(a_large_file_leaves_its_owner_once)
{
    struct world *world = mesh();
    struct wire_file file = file_of(_i == 0 ? CORE_SPREAD_BYTES_MIN : GIB);
    submit(world, &file);
    check_done(world);
    ck_assert_uint_eq(n_serves(world, 0), 1);
    ck_assert_uint_eq(n_serves_of_all(world), NODES - 1);
    for (unsigned i = 1; i < NODES; i++) {
        ck_assert_uint_gt(world_n_started(world, i), 0);
        /* No more than one at a time is sent to a peer: two have it from the second at most. */
        ck_assert_uint_le(n_serves(world, i), 2);
    }
    end(world);
}
END_TEST

START_TEST(a_small_file_comes_from_its_owner)
{
    struct world *world = mesh();
    struct wire_file file = file_of(CORE_SPREAD_BYTES_MIN - 1);
    submit(world, &file);
    check_done(world);
    ck_assert_uint_eq(n_serves(world, 0), NODES - 1);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_BLOB_FROM), 0);
    end(world);
}
END_TEST

START_TEST(a_holder_that_vanishes_costs_one_more_copy_at_most)
{
    struct world *world = mesh();
    struct wire_file file = file_of(GIB);
    submit(world, &file);
    unsigned holder = wait_pointed(world);
    world_run_for(world, _i * 10 * CORE_MS); /* before it is asked, when it was, when it answers */
    world_kill(world, holder);
    check_done(world);
    ck_assert_uint_le(n_serves(world, 0), 2);
    world_restart(world, holder);
    end(world);
}
END_TEST

START_TEST(a_holder_that_is_silent_is_given_up_in_time)
{
    struct world *world = mesh();
    struct wire_file file = file_of(CORE_SPREAD_BYTES_MIN);
    submit(world, &file);
    unsigned holder = wait_pointed(world);
    world_freeze(world, holder);
    uint64_t n_stops = 0;
    world_run_for(world, CORE_SPREAD_VIA_NS(CORE_SPREAD_BYTES_MIN) + 200 * CORE_MS);
    for (unsigned i = 1; i < NODES; i++) {
        n_stops += world_n_effects(world, i, CORE_EFFECT_BLOB_STOP);
    }
    ck_assert_uint_ge(n_stops, 2); /* to move there, and to leave it */
    ck_assert_uint_ge(n_serves(world, 0), 2);
    world_thaw(world, holder);
    check_done(world);
    end(world);
}
END_TEST

START_TEST(nobody_waits_long_for_a_copy_that_does_not_come)
{
    struct world *world = mesh();
    struct wire_file file = file_of(CORE_SPREAD_BYTES_MIN);
    submit(world, &file);
    for (unsigned ms = 0; ms < 5000 && n_serves(world, 0) == 0; ms++) {
        world_run_for(world, CORE_MS);
    }
    world_lose(world, WIRE_MESSAGE_BLOB_HAD);
    world_run_for(world, CORE_SPREAD_WAIT_NS(CORE_SPREAD_BYTES_MIN) + 100 * CORE_MS);
    ck_assert_uint_eq(n_serves(world, 0), NODES - 1);
    check_done(world);
    end(world);
}
END_TEST

START_TEST(a_holder_that_may_not_or_will_not_give_it_is_asked_by_two)
{
    struct world *world = mesh_of(MANY);
    struct wire_file file = file_of(GIB);
    world_lose(world, WIRE_MESSAGE_BLOB_LEND);
    submit(world, &file);
    check_done(world);
    ck_assert_uint_eq(n_serves(world, 0), MANY - 1);
    for (unsigned i = 1; i < MANY; i++) {
        ck_assert_uint_eq(n_serves(world, i), 0);
        ck_assert_uint_le(world_n_sent(world, i, WIRE_MESSAGE_BLOB_REFUSE), CORE_SPREAD_FAILED_MAX);
    }
    end(world);
}
END_TEST

START_TEST(who_says_that_it_has_what_it_has_not_delays_others_and_no_more)
{
    struct world *world = mesh();
    struct wire_file file = file_of(GIB);
    submit(world, &file);
    for (unsigned ms = 0; ms < 5000 && n_serves(world, 0) == 0; ms++) {
        world_run_for(world, CORE_MS);
    }
    struct wire_message had = {.type = WIRE_MESSAGE_BLOB_HAD};
    had.blob_had.hash = file.hash;
    for (unsigned i = 1; i < NODES; i++) {
        world_forge(world, i, 0, &had);
    }
    check_done(world);
    /* And it is no way to what is none of one's business. */
    had.blob_had.hash = (struct wire_hash){{9}};
    world_forge(world, 1, 0, &had);
    end(world);
}
END_TEST

START_TEST(a_holder_gives_it_to_nobody_whom_the_owner_did_not_name)
{
    struct world *world = mesh();
    struct wire_file file = file_of(GIB);
    submit(world, &file);
    unsigned holder = wait_holder(world); /* its word is on the way: nobody comes by itself yet */
    unsigned thief = holder == 1 ? 2 : 1;
    uint64_t n_before = n_serves(world, holder);
    struct wire_message lend = {.type = WIRE_MESSAGE_BLOB_LEND};
    lend.blob_lend =
        (struct wire_blob_lend){.hash = {{7}}, .peer = world_config(world, thief)->key};
    world_forge(world, 0, holder, &lend); /* of something else */
    lend.blob_lend.hash = file.hash;
    world_forge(world, 4, holder, &lend); /* by somebody else */
    struct wire_message want = {.type = WIRE_MESSAGE_BLOB_WANT};
    want.blob_want.hash = file.hash;
    for (unsigned k = 0; k < 2; k++) {
        want.blob_want.owner = world_config(world, k == 0 ? 0 : 4)->key;
        world_forge(world, thief, holder, &want);
    }
    world_run_for(world, 10 * CORE_MS);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_BLOB_LEND), 0);
    ck_assert_uint_eq(n_serves(world, holder), n_before);
    lend.blob_lend.peer = world_config(world, thief == 2 ? 3 : 2)->key;
    world_forge(world, 0, holder, &lend); /* by the owner, to a third */
    want.blob_want.owner = world_config(world, 0)->key;
    world_forge(world, thief, holder, &want);
    world_run_for(world, 5 * CORE_MS);
    ck_assert_uint_eq(n_serves(world, holder), n_before);
    check_done(world);
    end(world);
}
END_TEST

START_TEST(who_does_not_know_of_this_is_sent_it)
{
    struct world *world = mesh();
    struct wire_file file = file_of(GIB);
    submit(world, &file);
    (void)wait_pointed(world);
    struct wire_message want = {.type = WIRE_MESSAGE_BLOB_WANT};
    want.blob_want.hash = file.hash;
    uint64_t n_before = n_serves(world, 0);
    world_forge(world, 4, 0, &want);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(n_serves(world, 0), n_before + 1);
    check_done(world);
    end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_spread");
    TCase *tc = tcase_create("core_spread");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_large_file_leaves_its_owner_once, 0, 2);
    tcase_add_test(tc, a_small_file_comes_from_its_owner);
    tcase_add_loop_test(tc, a_holder_that_vanishes_costs_one_more_copy_at_most, 0, 6);
    tcase_add_test(tc, a_holder_that_is_silent_is_given_up_in_time);
    tcase_add_test(tc, nobody_waits_long_for_a_copy_that_does_not_come);
    tcase_add_test(tc, a_holder_that_may_not_or_will_not_give_it_is_asked_by_two);
    tcase_add_test(tc, who_says_that_it_has_what_it_has_not_delays_others_and_no_more);
    tcase_add_test(tc, a_holder_gives_it_to_nobody_whom_the_owner_did_not_name);
    tcase_add_test(tc, who_does_not_know_of_this_is_sent_it);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
