/* Queues: found from any peer, each item with one getter at a time, nothing lost and nothing done
 * twice by cuts and restarts. At random: test_core_queue_chaos.c. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/core_world.h"
#include "tests/lib/queues_world.h"
#include "tests/lib/runner.h"

/* --- where -------------------------------------------------------------------------------------
 */

START_TEST(a_queue_lives_where_it_was_made_and_is_found_from_anywhere)
{
    struct world *world = queues_mesh_of(3, 1);
    queues_put(world, 0, 1, "work", "a b");
    queues_put(world, 2, 1, "work", "c");
    ck_assert_uint_eq(queues_n_kept(world, 0, "work"), 3);
    ck_assert_uint_eq(queues_n_kept(world, 2, "work"), 0);
    queues_get(world, 1, 1, "work", "a");
    queues_get(world, 2, 2, "work", "b");
    queues_get(world, 0, 2, "work", "c");
    queues_done(world, 1, 1);
    queues_done(world, 2, 2);
    queues_done(world, 0, 2);
    ck_assert_uint_eq(queues_n_kept(world, 0, "work"), 0);
    queues_end(world);
}
END_TEST

START_TEST(a_get_waits_for_a_queue_that_is_made_later)
{
    struct world *world = queues_mesh_of(2, 2);
    world_queue_get(world, 1, 1, "later");
    world_run_for(world, 5 * CORE_S);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_taken, 0);
    queues_put(world, 0, 1, "later", "x");
    world_run_for(world, CORE_S);
    ck_assert_str_eq(world_ask_of(world, 1, 1)->taken, "x");
    queues_done(world, 1, 1);
    queues_end(world);
}
END_TEST

START_TEST(two_queues_of_one_name_are_one_to_getters)
{
    struct world *world = queues_mesh_of(3, 3);
    world_queue_put(world, 0, 1, "twin", "a"); /* at once: neither has heard of the other */
    world_queue_put(world, 1, 1, "twin", "b");
    world_queue_wait(world, 0, 1);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(queues_n_kept(world, 0, "twin"), 1);
    ck_assert_uint_eq(queues_n_kept(world, 1, "twin"), 1);
    queues_put(world, 1, 2, "twin", "c"); /* to its own */
    ck_assert_uint_eq(queues_n_kept(world, 1, "twin"), 2);
    unsigned n_taken = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        world_queue_get(world, 2, id, "twin");
        n_taken += world_queue_wait(world, 2, id)->n_taken;
        queues_done(world, 2, id);
    }
    ck_assert_uint_eq(n_taken, 3);
    ck_assert_uint_eq(queues_n_kept(world, 0, NULL) + queues_n_kept(world, 1, NULL), 0);
    world_queue_look(world, 2);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(world_client(world, 2)->n_queue_rows, 2);
    queues_end(world);
}
END_TEST

START_TEST(a_large_mesh_hears_of_queues_it_has_no_session_with)
{
    enum { N = 24 };
    struct world *world = world_new(4);
    for (unsigned i = 0; i < N; i++) {
        struct core_config *config = world_config(world, i);
        config->has_journal = true;
        config->dense_max = 8;
        config->chosen = 3;
        world_start(world, i, true);
    }
    world_run_for(world, 120 * CORE_S); /* sessions that nobody needs are closed */
    unsigned far = 0;
    for (unsigned i = 1; i < N && far == 0; i++) {
        far = world_are_linked(world, 0, i) ? 0 : i;
    }
    ck_assert_uint_gt(far, 0);
    queues_put(world, 0, 1, "work", "a b");
    world_run_for(world, 30 * CORE_S);
    queues_get(world, far, 1, "work", "a");
    ck_assert(world_are_linked(world, 0, far));
    world_run_for(world, 90 * CORE_S); /* as long as it has an item, the session stays */
    ck_assert(world_are_linked(world, 0, far));
    queues_done(world, far, 1);
    queues_put(world, far, 2, "work", "c");
    ck_assert_uint_eq(queues_n_kept(world, 0, "work"), 2);
    for (unsigned i = 0; i < N; i++) {
        world_client_down(world, i);
    }
    world_run_for(world, 90 * CORE_S);
    ck_assert(!world_are_linked(world, 0, far));
    world_free(world);
}
END_TEST

START_TEST(a_daemon_without_journal_makes_no_queue_but_uses_those_of_others)
{
    struct world *world = world_new(5);
    world_config(world, 0)->has_journal = true;
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, 2 * CORE_S);
    world_queue_put(world, 1, 1, "work", "a");
    const struct world_ask *ask = world_queue_wait(world, 1, 1);
    ck_assert_uint_eq(ask->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(ask->error_text, "keeps no journal"));
    queues_put(world, 0, 1, "work", "b");
    queues_put(world, 1, 2, "work", "c");
    queues_get(world, 1, 3, "work", "b");
    queues_done(world, 1, 3);
    ck_assert_uint_eq(queues_n_kept(world, 0, "work"), 1);
    queues_end(world);
}
END_TEST

/* --- exactly one getter ------------------------------------------------------------------------
 */

START_TEST(an_item_comes_back_to_its_place_when_it_is_given_back)
{
    struct world *world = queues_mesh_of(2, 6);
    queues_put(world, 0, 1, "q", "a b c");
    queues_get(world, 1, 1, "q", "a");
    queues_get(world, 1, 2, "q", "b");
    ck_assert_uint_eq(queues_end_of(world, 1, 2, false), 0);
    ck_assert_uint_eq(queues_end_of(world, 1, 1, false), 0);
    queues_get(world, 0, 2, "q", "a");
    queues_get(world, 0, 3, "q", "b");
    queues_get(world, 0, 4, "q", "c");
    queues_end(world);
}
END_TEST

START_TEST(an_item_comes_back_when_its_getter_leaves)
{
    struct world *world = queues_mesh_of(2, 7);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    world_queue_get(world, 0, 2, "q");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_ask_of(world, 0, 2)->n_taken, 0);
    world_client_down(world, 1);
    world_run_for(world, CORE_S);
    ck_assert_str_eq(world_ask_of(world, 0, 2)->taken, "a");
    queues_end(world);
}
END_TEST

START_TEST(an_item_comes_back_when_its_getters_peer_is_down)
{
    for (unsigned is_cut = 0; is_cut < 2; is_cut++) {
        struct world *world = queues_mesh_of(3, 8);
        queues_put(world, 0, 1, "q", "a");
        queues_get(world, 1, 1, "q", "a");
        world_queue_get(world, 2, 1, "q");
        world_run_for(world, CORE_S);
        if (is_cut) {
            world_cut(world, 1);
        } else {
            world_kill(world, 1);
        }
        world_run_for(world, 5 * CORE_S);
        ck_assert_str_eq(world_ask_of(world, 2, 1)->taken, "a");
        if (is_cut) { /* the late word does not count, and says so */
            world_mend(world, 1);
            world_run_for(world, 10 * CORE_S);
            ck_assert_uint_eq(queues_end_of(world, 1, 1, true), WIRE_ERROR_UNKNOWN);
            ck_assert_ptr_nonnull(
                strstr(world_ask_of(world, 1, 1)->error_text, "handed out again"));
        }
        queues_done(world, 2, 1);
        queues_end(world);
    }
}
END_TEST

START_TEST(who_is_silent_is_down_however_often_it_is_asked)
{
    struct world *world = queues_mesh_of(3, 8);
    queues_put(world, 0, 1, "q", "a");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_peers_up, 2);
    world_freeze(world, 0);
    for (uint64_t id = 1; id <= 10; id++) {
        world_queue_get(world, 1, id, "q");
        world_run_for(world, CORE_S / 2);
    }
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_peers_up, 1);
    queues_end(world);
}
END_TEST

START_TEST(a_short_cut_changes_nothing)
{
    struct world *world = queues_mesh_of(3, 9);
    queues_put(world, 0, 1, "q", "a b");
    queues_get(world, 1, 1, "q", "a");
    world_queue_get(world, 1, 2, "other");
    world_reset_link(world, 0, 1);
    world_run_for(world, CORE_S);
    world_cut(world, 1);
    world_run_for(world, CORE_S);
    world_mend(world, 1);
    world_run_for(world, 2 * CORE_S);
    queues_get(world, 2, 1, "q", "b"); /* not the other one's */
    queues_done(world, 1, 1);
    queues_done(world, 2, 1);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 0);
    queues_end(world);
}
END_TEST

START_TEST(a_done_said_during_a_cut_is_late_for_what_another_was_handed)
{
    struct world *world = queues_mesh_of(3, 40);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    world_cut(world, 1);
    world_run_for(world, CORE_S);
    world_queue_end(world, 1, 1, true); /* nobody hears it */
    queues_get(world, 2, 1, "q", "a");
    world_mend(world, 1);
    ck_assert_uint_eq(world_queue_wait(world, 1, 1)->error, WIRE_ERROR_UNKNOWN);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 1);
    queues_done(world, 2, 1);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 0);
    queues_end(world);
}
END_TEST

START_TEST(what_nobody_was_handed_since_may_still_be_done)
{
    struct world *world = queues_mesh_of(2, 10);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    world_cut(world, 1);
    world_run_for(world, 10 * CORE_S); /* taken back, and nobody asked for it */
    world_mend(world, 1);
    world_run_for(world, 5 * CORE_S);
    queues_done(world, 1, 1);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 0);
    queues_end(world);
}
END_TEST

START_TEST(two_puts_are_not_doubled_by_a_cut)
{
    struct world *world = queues_mesh_of(2, 41);
    queues_put(world, 0, 1, "q", "x");
    world_disk_set_latency(world, 0, 500 * CORE_MS);
    world_queue_put(world, 1, 1, "q", "a");
    world_queue_put(world, 1, 2, "q", "b");
    world_run_for(world, 100 * CORE_MS);
    world_reset_link(world, 0, 1);
    world_run_for(world, 5 * CORE_S);
    for (uint64_t id = 1; id <= 2; id++) {
        ck_assert_uint_eq(world_ask_of(world, 1, id)->n_replies, 1);
        ck_assert_uint_eq(world_ask_of(world, 1, id)->error, 0);
    }
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 3);
    queues_end(world);
}
END_TEST

START_TEST(a_done_counts_when_it_is_on_disk)
{
    struct world *world = queues_mesh_of(2, 11);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    world_disk_set_latency(world, 0, 500 * CORE_MS);
    world_queue_end(world, 1, 1, true);
    world_run_for(world, 400 * CORE_MS);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_replies, 0);
    world_run_for(world, 200 * CORE_MS);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_replies, 1);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->error, 0);
    queues_end(world);
}
END_TEST

START_TEST(a_client_that_leaves_with_its_done_under_way_is_believed)
{
    struct world *world = queues_mesh_of(2, 12);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    world_reset_link(world, 0, 1);
    world_queue_end(world, 1, 1, true);
    world_run_for(world, CORE_MS);
    world_client_down(world, 1);
    world_run_for(world, 3 * CORE_S);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 0);
    queues_end(world);
}
END_TEST

/* --- restarts and disks ------------------------------------------------------------------------
 */

START_TEST(a_queue_survives_its_peers_restart)
{
    struct world *world = queues_mesh_of(3, 13);
    queues_put(world, 0, 1, "q", "a b c");
    queues_get(world, 1, 1, "q", "a");
    queues_get(world, 2, 1, "q", "b");
    world_kill(world, 0);
    world_run_for(world, 500 * CORE_MS);
    world_restart(world, 0);
    world_queue_get(world, 2, 2, "q");
    world_run_for(world, 10 * CORE_S);
    ck_assert_str_eq(world_ask_of(world, 2, 2)->taken, "c"); /* the others have theirs still */
    queues_done(world, 1, 1);
    queues_done(world, 2, 1);
    queues_done(world, 2, 2);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 0);
    queues_end(world);
}
END_TEST

START_TEST(what_its_getter_does_not_claim_after_a_restart_goes_to_others)
{
    struct world *world = queues_mesh_of(3, 14);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    world_kill(world, 0);
    world_kill(world, 1);
    world_run_for(world, 500 * CORE_MS);
    world_restart(world, 0);
    queues_get(world, 2, 1, "q", "a");
    queues_done(world, 2, 1);
    queues_end(world);
}
END_TEST

START_TEST(a_put_during_a_restart_waits_for_the_queue)
{
    struct world *world = queues_mesh_of(2, 15);
    queues_put(world, 0, 1, "q", "a");
    world_kill(world, 0);
    world_run_for(world, CORE_S);
    world_queue_put(world, 1, 1, "q", "b");
    world_run_for(world, 2 * CORE_S);
    world_restart(world, 0);
    ck_assert_uint_eq(world_queue_wait(world, 1, 1)->error, 0);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 2);
    ck_assert_uint_eq(queues_n_kept(world, 1, NULL), 0);
    world_kill(world, 0); /* and stays away: a new one is made */
    world_run_for(world, CORE_S);
    queues_put(world, 1, 2, "q", "c");
    ck_assert_uint_eq(queues_n_kept(world, 1, "q"), 1);
    queues_end(world);
}
END_TEST

/* So many ms later node 0 is killed and comes back, or loses its link to node 1; in the end all
 * that could be answered is. */
static void strike_after(struct world *world, int ms)
{
    world_run_for(world, (uint64_t)ms * CORE_MS);
    if (ms % 2 == 0) {
        world_kill(world, 0);
        world_run_for(world, CORE_S);
        world_restart(world, 0);
    } else {
        world_reset_link(world, 0, 1);
    }
    world_run_for(world, 10 * CORE_S);
}

/* Killed at each moment of a put, of which the answer may be lost: it is there once. */
START_TEST(a_put_is_not_doubled_by_a_lost_answer)
{
    struct world *world = queues_mesh_of(2, 16);
    queues_put(world, 0, 1, "q", "first");
    world_disk_set_latency(world, 0, 5 * CORE_MS);
    world_queue_put(world, 1, 1, "q", "a b");
    strike_after(world, _i);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_replies, 1);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->error, 0);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 3);
    queues_end(world);
}
END_TEST

/* The same of a done: it counts once, and its getter hears that it does. */
START_TEST(a_done_is_not_lost_with_its_answer)
{
    struct world *world = queues_mesh_of(3, 17);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    world_queue_get(world, 2, 1, "q");
    world_disk_set_latency(world, 0, 5 * CORE_MS);
    world_queue_end(world, 1, 1, true);
    strike_after(world, _i);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_replies, 1);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->error, 0);
    ck_assert_uint_eq(world_ask_of(world, 2, 1)->n_taken, 0);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 0);
    queues_end(world);
}
END_TEST

START_TEST(a_full_disk_refuses_puts_and_keeps_dones_for_later)
{
    struct world *world = queues_mesh_of(2, 18);
    queues_put(world, 0, 1, "q", "a b");
    queues_get(world, 1, 1, "q", "a");
    world_disk_set_full(world, 0, true);
    world_queue_put(world, 1, 2, "q", "c");
    ck_assert_uint_eq(world_queue_wait(world, 1, 2)->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(world_ask_of(world, 1, 2)->error_text, "the disk is full"));
    world_queue_put(world, 0, 2, "new", "d");
    ck_assert_uint_eq(world_queue_wait(world, 0, 2)->error, WIRE_ERROR_UNAVAILABLE);
    world_queue_end(world, 1, 1, true);
    world_run_for(world, 5 * CORE_S);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_replies, 0);
    world_disk_set_full(world, 0, false);
    ck_assert_uint_eq(world_queue_wait(world, 1, 1)->error, 0);
    queues_put(world, 1, 3, "q", "e");
    queues_get(world, 1, 4, "q", "b");
    queues_done(world, 1, 4);
    queues_get(world, 1, 5, "q", "e");
    queues_done(world, 1, 5);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_queues, 1);
    queues_end(world);
}
END_TEST

START_TEST(a_put_or_done_whose_peer_stays_away_is_answered_at_last)
{
    struct world *world = queues_mesh_of(2, 19);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    world_kill(world, 0);
    world_queue_end(world, 1, 1, true);
    world_run_for(world, 50 * CORE_S);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->n_replies, 0);
    world_run_for(world, 20 * CORE_S);
    ck_assert_uint_eq(world_ask_of(world, 1, 1)->error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(world_ask_of(world, 1, 1)->error_text, "not known whether"));
    queues_end(world);
}
END_TEST

/* --- removing, bounds --------------------------------------------------------------------------
 */

START_TEST(a_queue_is_removed_by_its_owner_where_it_lives)
{
    struct world *world = queues_mesh_of(2, 20);
    queues_put(world, 0, 1, "q", "a b");
    queues_get(world, 1, 1, "q", "a");
    world_queue_remove(world, 1, "q");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_client(world, 1)->error, WIRE_ERROR_UNKNOWN);
    world_queue_remove(world, 0, "q");
    world_run_for(world, CORE_S);
    ck_assert(world_client(world, 0)->has_ok);
    ck_assert_ptr_null(kept_queue_find(world_kept_queues(world, 0), "q"));
    ck_assert_uint_eq(queues_end_of(world, 1, 1, true), WIRE_ERROR_UNKNOWN);
    queues_put(world, 1, 2, "q", "c"); /* a new one, here */
    ck_assert_uint_eq(queues_n_kept(world, 1, "q"), 1);
    queues_end(world);
}
END_TEST

START_TEST(another_users_queue_is_not_removed)
{
    struct world *world = queues_mesh_of(1, 21);
    queues_put(world, 0, 1, "q", "a");
    struct core_event event = {.type = CORE_EVENT_CLIENT_UP};
    event.client_up.client = 99;
    event.client_up.uid = 4242;
    world_event(world, 0, &event);
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_REMOVE};
    message.queue_remove.name = slice_str("q");
    event = (struct core_event){.type = CORE_EVENT_CLIENT_MESSAGE};
    event.client_message.client = 99;
    event.client_message.message = &message;
    world_event(world, 0, &event);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 1);
    queues_end(world);
}
END_TEST

/* Of bytes that nobody reads, until it is told that this is enough. */
START_TEST(one_peer_fills_half_of_what_is_free_and_no_more)
{
    struct world *world = world_new(22);
    for (unsigned i = 0; i < 3; i++) {
        struct core_config *config = world_config(world, i);
        config->has_journal = true;
        config->mem_bytes = UINT64_C(32) << 20; /* of which queues take a quarter */
        world_start(world, i, true);
    }
    world_run_for(world, 2 * CORE_S);
    queues_put(world, 0, 1, "q", "a");
    static uint8_t block[WIRE_ITEM_BYTES_MAX];
    struct wire_queue_bytes items[8] = {0};
    for (unsigned k = 0; k < 8; k++) {
        items[k].bytes = slice_of(block, sizeof(block));
    }
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ADD};
    message.queue_add = (struct wire_queue_add){.id = 1, .name = slice_str("q")};
    message.queue_add.items = (struct wire_queue_items){.items = items, .n = 8};
    unsigned n_of[3] = {0};
    for (unsigned i = 2; i + 1 > 0; i--) { /* a stranger, another one, our own */
        uint32_t error = 0;
        world_client_up(world, i);
        while (error == 0) {
            world_client_say(world, i, &message);
            error = world_queue_wait(world, i, 1)->error;
            n_of[i] += error == 0;
        }
        ck_assert_uint_eq(error, WIRE_ERROR_LIMIT);
    }
    ck_assert_uint_eq(n_of[2], 7); /* of 15 half-MiB puts that there is room for */
    ck_assert_uint_ge(n_of[1], 3);
    ck_assert_uint_eq(n_of[0] + n_of[1] + n_of[2], 15);
    world_queue_get(world, 1, 2, "q");
    world_queue_wait(world, 1, 2);
    queues_done(world, 1, 2);
    queues_end(world);
}
END_TEST

START_TEST(a_peer_that_makes_up_words_spoils_nothing)
{
    struct world *world = queues_mesh_of(3, 23);
    queues_put(world, 0, 1, "q", "a");
    queues_get(world, 1, 1, "q", "a");
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_DONE};
    for (uint64_t number = 0; number < 200; number++) { /* it guesses item and hand */
        uint64_t item = (UINT64_C(1) << 32) + number % 10;
        uint64_t hand = (UINT64_C(1) << 32) + number / 10;
        message.queue_done = (struct wire_queue_done){
            .request = number, .item = item, .hand = hand, .is_done = number % 2 == 0};
        world_forge(world, 2, 0, &message);
    }
    struct wire_message answer = {.type = WIRE_MESSAGE_QUEUE_ANSWER};
    struct wire_message claim = {.type = WIRE_MESSAGE_QUEUE_GET};
    for (uint64_t number = 0; number < 50; number++) {
        answer.queue_answer.request = (UINT64_C(1) << 32) + number;
        world_forge(world, 2, 1, &answer);
        claim.queue_get = (struct wire_queue_get){.request = number,
                                                  .name = slice_str("q"),
                                                  .item = (UINT64_C(1) << 32) + number,
                                                  .hand = number};
        world_forge(world, 2, 0, &claim);
    }
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 1);
    queues_done(world, 1, 1);
    ck_assert_uint_eq(queues_n_kept(world, 0, "q"), 0);
    queues_end(world);
}
END_TEST

START_TEST(the_table_shows_each_queue)
{
    struct world *world = queues_mesh_of(3, 24);
    queues_put(world, 0, 1, "q", "z a b c");
    queues_put(world, 1, 1, "p", "x");
    queues_get(world, 2, 4, "q", "z");
    queues_done(world, 2, 4);
    queues_get(world, 2, 1, "q", "a");
    world_queue_get(world, 2, 2, "p");
    world_queue_get(world, 2, 3, "p");
    world_run_for(world, CORE_S);
    world_queue_look(world, 2);
    world_run_for(world, CORE_S);
    const struct world_client *client = world_client(world, 2);
    ck_assert_uint_eq(client->n_queue_rows, 2);
    for (unsigned k = 0; k < 2; k++) {
        const struct wire_queue_row *row = &client->queue_rows[k];
        bool is_q = slice_eq_str(row->name, "q");
        ck_assert(is_q || slice_eq_str(row->name, "p"));
        ck_assert(row->is_known);
        ck_assert_uint_eq(row->n_waiting, is_q ? 2 : 0);
        ck_assert_uint_eq(row->n_taken, 1);
        ck_assert_uint_eq(row->n_getters, is_q ? 0 : 1);
        ck_assert_uint_eq(row->n_done, is_q ? 1 : 0);
    }
    world_cut(world, 0); /* who does not answer is shown without numbers */
    world_queue_look(world, 2);
    world_run_for(world, 1500 * CORE_MS);
    ck_assert_uint_eq(client->n_queue_rows, 2);
    ck_assert_uint_eq(client->queue_rows[0].is_known + client->queue_rows[1].is_known, 1);
    world_mend(world, 0);
    queues_end(world);
}
END_TEST

static Suite *core_queue_suite(void)
{
    Suite *s = suite_create("core_queue");
    TCase *tc = tcase_create("core_queue");
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, a_queue_lives_where_it_was_made_and_is_found_from_anywhere);
    tcase_add_test(tc, a_get_waits_for_a_queue_that_is_made_later);
    tcase_add_test(tc, two_queues_of_one_name_are_one_to_getters);
    tcase_add_test(tc, a_large_mesh_hears_of_queues_it_has_no_session_with);
    tcase_add_test(tc, a_daemon_without_journal_makes_no_queue_but_uses_those_of_others);
    tcase_add_test(tc, an_item_comes_back_to_its_place_when_it_is_given_back);
    tcase_add_test(tc, an_item_comes_back_when_its_getter_leaves);
    tcase_add_test(tc, an_item_comes_back_when_its_getters_peer_is_down);
    tcase_add_test(tc, who_is_silent_is_down_however_often_it_is_asked);
    tcase_add_test(tc, a_short_cut_changes_nothing);
    tcase_add_test(tc, a_done_said_during_a_cut_is_late_for_what_another_was_handed);
    tcase_add_test(tc, what_nobody_was_handed_since_may_still_be_done);
    tcase_add_test(tc, two_puts_are_not_doubled_by_a_cut);
    tcase_add_test(tc, a_done_counts_when_it_is_on_disk);
    tcase_add_test(tc, a_client_that_leaves_with_its_done_under_way_is_believed);
    tcase_add_test(tc, a_queue_survives_its_peers_restart);
    tcase_add_test(tc, what_its_getter_does_not_claim_after_a_restart_goes_to_others);
    tcase_add_test(tc, a_put_during_a_restart_waits_for_the_queue);
    tcase_add_loop_test(tc, a_put_is_not_doubled_by_a_lost_answer, 0, 12);
    tcase_add_loop_test(tc, a_done_is_not_lost_with_its_answer, 0, 12);
    tcase_add_test(tc, a_full_disk_refuses_puts_and_keeps_dones_for_later);
    tcase_add_test(tc, a_put_or_done_whose_peer_stays_away_is_answered_at_last);
    tcase_add_test(tc, a_queue_is_removed_by_its_owner_where_it_lives);
    tcase_add_test(tc, another_users_queue_is_not_removed);
    tcase_add_test(tc, one_peer_fills_half_of_what_is_free_and_no_more);
    tcase_add_test(tc, a_peer_that_makes_up_words_spoils_nothing);
    tcase_add_test(tc, the_table_shows_each_queue);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return run_suite(core_queue_suite());
}
