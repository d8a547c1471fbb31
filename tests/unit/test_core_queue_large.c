/* Items of queues that are blobs: they come whole before a put counts and before a getter hears of
 * them, and take nothing when they do not. At random: test_core_queue_chaos.c. */
#include <string.h>

#include "tests/lib/queues_world.h"
#include "tests/lib/runner.h"

/* All that is left comes out at node i. */
static void drain(struct world *world, unsigned i, const char *name)
{
    unsigned n = queues_n_kept(world, 0, name);
    for (unsigned k = 0; k < n; k++) {
        world_queue_get(world, i, 20 + k, name);
        ck_assert_uint_eq(world_queue_wait(world, i, 20 + k)->n_replies, 0);
        queues_done(world, i, 20 + k);
    }
    queues_end(world);
}

START_TEST(a_large_item_comes_whole_to_whoever_gets_it)
{
    struct world *world = queues_mesh_of(3, 30);
    queues_put(world, 0, 1, "q", "#a b");
    queues_put(world, 1, 1, "q", "#c"); /* fetched from there before it is kept */
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 3);
    struct wire_ref c = world_ref('c', 1);
    ck_assert(world_keeps(world, 0, &c.hash));
    queues_get(world, 2, 1, "q", "#a");
    queues_get(world, 1, 2, "q", "b");
    queues_get(world, 0, 2, "q", "#c");
    queues_done(world, 2, 1);
    queues_done(world, 1, 2);
    ck_assert_uint_eq(queues_end_of(world, 0, 2, false), 0);
    queues_get(world, 2, 2, "q", "#c");
    queues_done(world, 2, 2);
    queues_end(world); /* and nobody needs a blob */
}
END_TEST

START_TEST(a_large_item_that_finds_no_room_is_refused)
{
    struct world *world = queues_mesh_of(2, 31);
    queues_put(world, 0, 1, "q", "a");
    world_set_room(world, 0, 1000);
    world_queue_put(world, 1, 1, "q", "b #c");
    const struct world_ask *ask = world_queue_wait(world, 1, 1);
    ck_assert_uint_eq(ask->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(ask->error_text, "no room on its disk"));
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 1);
    world_set_room(world, 0, UINT64_MAX);
    queues_put(world, 1, 2, "q", "b #c");
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 3);
    drain(world, 1, "q");
}
END_TEST

START_TEST(a_large_item_that_finds_no_room_at_its_getter_goes_back)
{
    struct world *world = queues_mesh_of(3, 32);
    queues_put(world, 0, 1, "q", "#a");
    world_set_room(world, 1, 1000);
    world_queue_get(world, 1, 1, "q");
    const struct world_ask *ask = world_queue_wait(world, 1, 1);
    ck_assert_uint_eq(ask->n_taken, 0);
    ck_assert_uint_eq(ask->error, WIRE_ERROR_UNAVAILABLE);
    queues_get(world, 2, 1, "q", "#a");
    queues_done(world, 2, 1);
    queues_end(world);
}
END_TEST

/* The loop says how long after the put the connection is cut. */
START_TEST(a_large_item_is_put_once_over_a_cut)
{
    struct world *world = queues_mesh_of(2, 33);
    queues_put(world, 0, 1, "q", "a");
    world_queue_put(world, 1, 1, "q", "#b");
    world_run_for(world, (uint64_t)_i * (CORE_MS / 4));
    world_reset_link(world, 0, 1);
    ck_assert_uint_eq(world_queue_wait(world, 1, 1)->error, 0);
    ck_assert_uint_eq(kept_n_of(world_kept_queues(world, 0), slice_str("#b")), 1);
    drain(world, 1, "q");
}
END_TEST

START_TEST(a_large_item_is_got_over_a_cut)
{
    struct world *world = queues_mesh_of(2, 34);
    queues_put(world, 0, 1, "q", "#a");
    world_queue_get(world, 1, 1, "q");
    world_run_for(world, (uint64_t)_i * (CORE_MS / 4));
    world_reset_link(world, 0, 1);
    if (world_ask_of(world, 1, 1)->n_taken == 0) {
        world_queue_wait(world, 1, 1);
    }
    ck_assert_str_eq(world_ask_of(world, 1, 1)->taken, "#a");
    queues_done(world, 1, 1);
    queues_end(world);
}
END_TEST

START_TEST(a_large_item_whose_putter_dies_is_not_put)
{
    struct world *world = queues_mesh_of(2, 35);
    queues_put(world, 0, 1, "q", "a");
    world_queue_put(world, 1, 1, "q", "#b");
    world_run_for(world, (uint64_t)_i * (CORE_MS / 4));
    world_kill(world, 1);
    world_run_for(world, 10 * CORE_S);
    unsigned n_items = core_counts(world_core(world, 0)).n_items;
    ck_assert_uint_eq(n_items, queues_n_kept(world, 0, "q")); /* nothing is waited for */
    world_restart(world, 1);
    world_run_for(world, 2 * CORE_S);
    unsigned n = kept_n_of(world_kept_queues(world, 0), slice_str("#b"));
    ck_assert_uint_le(n, 1); /* whole, or not at all */
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 1 + n);
    queues_put(world, 1, 2, "q", "#c"); /* what it puts next is not held up */
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 2 + n);
    drain(world, 1, "q");
}
END_TEST

START_TEST(a_large_item_survives_its_peers_restart)
{
    struct world *world = queues_mesh_of(2, 36);
    queues_put(world, 0, 1, "q", "#a #b");
    queues_get(world, 1, 1, "q", "#a");
    world_kill(world, 0);
    world_restart(world, 0);
    world_run_for(world, 2 * CORE_S);
    queues_done(world, 1, 1);
    queues_get(world, 1, 2, "q", "#b");
    queues_done(world, 1, 2);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 0);
    queues_end(world);
}
END_TEST

/* While it comes its client has been told nothing. */
START_TEST(a_get_whose_item_does_not_come_is_said_anew)
{
    struct world *world = queues_mesh_of(2, 37);
    queues_put(world, 0, 1, "q", "#a");
    world_set_latency(world, 100 * CORE_MS);
    world_queue_get(world, 1, 1, "q");
    world_run_for(world, 250 * CORE_MS); /* the item is there, its bytes are not */
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_taken, 0);
    world_kill(world, 0);
    world_set_latency(world, CORE_MS);
    world_run_for(world, 20 * CORE_S);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_taken, 0);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_replies, 0);
    world_restart(world, 0);
    queues_put(world, 0, 2, "q", "b");
    ck_assert_uint_eq(world_queue_wait(world, 1, 1)->n_replies, 0);
    ck_assert_str_eq(world_ask_of(world, 1, 1)->taken, "#a");
    queues_done(world, 1, 1);
    queues_end(world);
}
END_TEST

START_TEST(what_has_not_come_cannot_be_done)
{
    struct world *world = queues_mesh_of(2, 39);
    queues_put(world, 0, 1, "q", "#a");
    world_set_latency(world, 100 * CORE_MS);
    world_queue_get(world, 1, 1, "q");
    world_run_for(world, 250 * CORE_MS);
    ck_assert_uint_eq(queues_end_of(world, 1, 1, true), WIRE_ERROR_INVALID);
    world_set_latency(world, CORE_MS);
    queues_get(world, 0, 2, "q", "#a");
    queues_done(world, 0, 2);
    queues_end(world);
}
END_TEST

START_TEST(who_has_no_item_has_not_its_bytes_either)
{
    struct world *world = queues_mesh_of(3, 38);
    queues_put(world, 0, 1, "q", "#a b");
    queues_get(world, 1, 1, "q", "#a");
    queues_get(world, 2, 1, "q", "b"); /* another one is no excuse */
    struct wire_ref a = world_ref('a', 1);
    struct wire_message want = {.type = WIRE_MESSAGE_BLOB_WANT};
    want.blob_want.hash = a.hash;
    world_forge(world, 2, 0, &want);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_BLOB_REFUSE), 1);
    queues_done(world, 1, 1);
    world_forge(world, 1, 0, &want); /* nor has who had it */
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_BLOB_REFUSE), 2);
    queues_done(world, 2, 1);
    queues_end(world);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core_queue_large");
    TCase *tc = tcase_create("core_queue_large");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_large_item_comes_whole_to_whoever_gets_it);
    tcase_add_test(tc, a_large_item_that_finds_no_room_is_refused);
    tcase_add_test(tc, a_large_item_that_finds_no_room_at_its_getter_goes_back);
    tcase_add_loop_test(tc, a_large_item_is_put_once_over_a_cut, 0, 12);
    tcase_add_loop_test(tc, a_large_item_is_got_over_a_cut, 0, 12);
    tcase_add_loop_test(tc, a_large_item_whose_putter_dies_is_not_put, 0, 12);
    tcase_add_test(tc, a_large_item_survives_its_peers_restart);
    tcase_add_test(tc, a_get_whose_item_does_not_come_is_said_anew);
    tcase_add_test(tc, what_has_not_come_cannot_be_done);
    tcase_add_test(tc, who_has_no_item_has_not_its_bytes_either);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
