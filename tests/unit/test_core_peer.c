/* Who is there: dialling, two sessions with one peer, restarts, clones, gossip. */
#include <errno.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

static uint32_t n_up(struct world *world, unsigned i)
{
    return core_counts(world_core(world, i)).n_peers_up;
}

START_TEST(peers_that_dial_each_other_at_once_keep_one_session)
{
    struct world *world = world_new(1);
    world_start(world, 0, false);
    world_start(world, 1, false);
    world_found(world, 0, 1);
    world_found(world, 1, 0);
    world_run_for(world, CORE_S);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(n_up(world, i), 1);
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_links, 1);
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_dials, 0);
    }
    ck_assert_uint_le(world_n_effects(world, 0, CORE_EFFECT_DIAL), 2);
    world_run_for(world, 60 * CORE_S);
    ck_assert_uint_eq(n_up(world, 0), 1);
    world_free(world);
}
END_TEST

static void found_at(struct world *world, unsigned i, const struct wire_key *key, const char *text)
{
    struct slice address = slice_str(text);
    struct core_event event = {.type = CORE_EVENT_PEER_FOUND,
                               .peer_found = {.has_key = true,
                                              .key = *key,
                                              .source = CORE_SOURCE_REMEMBERED,
                                              .addresses = {&address, 1}}};
    world_event(world, i, &event);
}

/* Over whichever of its links stands: messages of others are ignored. */
static void hear(struct world *world, unsigned i, const struct wire_message *message)
{
    for (uint64_t link = 1; link <= 8; link++) {
        struct core_event event = {.type = CORE_EVENT_MESSAGE,
                                   .message = {.link = link, .message = message}};
        world_event(world, i, &event);
    }
}

START_TEST(an_address_that_peers_tell_is_tried_beside_a_stale_one)
{
    struct world *world = world_new(3);
    world_start(world, 0, true);
    world_start(world, 1, true);
    struct wire_key key = {{0x77}};
    found_at(world, 0, &key, "10.9.9.9:1");
    world_run_for(world, 30 * CORE_S); /* in back-off by now */
    uint64_t n_dials = world_n_effects(world, 0, CORE_EFFECT_DIAL);
    struct slice address = slice_str("10.9.9.9:2");
    struct wire_peer_entry entry = {.key = key, .addresses = {&address, 1}};
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS, .peers = {&entry, 1}};
    hear(world, 0, &message);
    world_run_for(world, 300 * CORE_MS);
    uint64_t n_more = world_n_effects(world, 0, CORE_EFFECT_DIAL) - n_dials;
    ck_assert_uint_ge(n_more, 2); /* the stale one and the new one, at once */
    hear(world, 0, &message);
    world_run_for(world, 300 * CORE_MS);
    /* Hearing it again is no news. */
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL) - n_dials, n_more);
    world_free(world);
}
END_TEST

START_TEST(what_peers_tell_of_others_makes_a_whole_mesh)
{
    struct world *world = world_new(2);
    for (unsigned i = 0; i < 5; i++) {
        world_start(world, i, false);
    }
    for (unsigned i = 1; i < 5; i++) {
        world_found(world, i, 0); /* multicast reaches only the first */
    }
    world_run_for(world, 2 * CORE_S);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_uint_eq(n_up(world, i), 4);
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_links, 4);
    }
    world_free(world);
}
END_TEST

START_TEST(a_static_peer_is_dialled_until_it_answers)
{
    struct world *world = world_new(3);
    world_start(world, 0, false);
    struct slice address = slice_str("10.0.0.2:7");
    struct core_event event = {.type = CORE_EVENT_PEER_FOUND};
    event.peer_found.source = CORE_SOURCE_STATIC;
    event.peer_found.addresses = (struct wire_slices){.items = &address, .n = 1};
    event.peer_found.static_name = address;
    world_event(world, 0, &event);
    world_run_for(world, 100 * CORE_S);
    ck_assert_uint_eq(n_up(world, 0), 0);
    world_start(world, 1, false);
    world_run_for(world, 70 * CORE_S);
    ck_assert_uint_eq(n_up(world, 0), 1);
    world_kill(world, 1);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(n_up(world, 0), 0);
    world_restart(world, 1);
    world_run_for(world, 3 * CORE_S);
    ck_assert_uint_eq(n_up(world, 0), 1);
    world_free(world);
}
END_TEST

START_TEST(a_peer_lost_a_moment_ago_is_dialled_each_second)
{
    struct world *world = world_new(4);
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, CORE_S);
    world_kill(world, 1);
    uint64_t n_before = world_n_effects(world, 0, CORE_EFFECT_DIAL);
    world_run_for(world, 20 * CORE_S);
    uint64_t n_dials = world_n_effects(world, 0, CORE_EFFECT_DIAL) - n_before;
    ck_assert_uint_ge(n_dials, 18);
    ck_assert_uint_le(n_dials, 22);
    world_run_for(world, 900 * CORE_S);
    n_before = world_n_effects(world, 0, CORE_EFFECT_DIAL);
    world_run_for(world, 600 * CORE_S);
    ck_assert_uint_le(world_n_effects(world, 0, CORE_EFFECT_DIAL) - n_before, 20);
    world_free(world);
}
END_TEST

/* A LINK_UP as the shell would report it, of a session of node 1's key. */
static void link_up_at(struct world *world, uint64_t link, uint64_t epoch, struct wire_key key,
                       const char *address)
{
    struct core_event event = {.type = CORE_EVENT_LINK_UP};
    event.link_up.link = link;
    event.link_up.key = key;
    event.link_up.epoch = epoch;
    event.link_up.incarnation = (uint32_t)epoch; /* in these tests later lives have larger ones */
    event.link_up.cores = 2;
    event.link_up.name = slice_str("twin");
    event.link_up.arch = slice_str("x86_64");
    event.link_up.address = slice_str(address);
    event.link_up.is_on_link = true;
    event.now_ns = 0;
    world_event(world, 0, &event);
}

static void link_up(struct world *world, uint64_t link, uint64_t epoch, struct wire_key key)
{
    link_up_at(world, link, epoch, key, "10.0.0.99:7");
}

static void message(struct world *world, uint64_t link, const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_MESSAGE};
    event.message.link = link;
    event.message.message = message;
    world_event(world, 0, &event);
}

START_TEST(an_answer_counts_only_from_where_its_attempt_was_placed)
{
    struct world *world = world_new(8);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1001, 5, key);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 2, "sleep", "800");
    world_run_for(world, 500 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 0), 2);
    struct wire_message result = {.type = WIRE_MESSAGE_RESULT};
    result.result.id = (struct wire_attempt_id){
        .job = world_client(world, 0)->job, .task = 1, .incarnation = 1, .number = 1};
    result.result.result = (struct wire_result){.end = WIRE_END_EXITED, .status = 3};
    message(world, 1001, &result);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 2);
    world_free(world);
}
END_TEST

START_TEST(an_owner_that_exceeds_its_credit_is_refused_the_rest)
{
    struct world *world = world_new(9);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1001, 5, key);
    struct wire_message job = {.type = WIRE_MESSAGE_JOB};
    job.job.job = 1;
    job.job.spec = world_job().submit.spec;
    message(world, 1001, &job);
    const struct slice argv[2] = {slice_str("sleep"), slice_str("60000")};
    for (uint32_t i = 1; i <= 20; i++) {
        struct wire_message task = {.type = WIRE_MESSAGE_TASK};
        task.task.id = (struct wire_attempt_id){.job = 1, .task = i, .incarnation = 5, .number = 1};
        task.task.argv = (struct wire_slices){.items = argv, .n = 2};
        message(world, 1001, &task);
    }
    struct core_counts counts = core_counts(world_core(world, 0));
    ck_assert_uint_eq(counts.n_held_running + counts.n_held_queued, 2); /* as it has cores */
    world_free(world);
}
END_TEST

START_TEST(a_peer_that_moved_is_told_of_again)
{
    struct world *world = world_new(6);
    struct wire_key key = {{77}};
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, CORE_S);
    /* What node 0 tells node 1; the newcomer's links go nowhere and are not counted. */
    uint64_t n_told = world_n_sent(world, 0, WIRE_MESSAGE_PEERS);
    link_up_at(world, 1001, 5, key, "10.0.0.99:7");
    world_run_for(world, 2 * CORE_NEWS_NS);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_PEERS), n_told + 1);
    /* The same daemon at the same place is no news. */
    link_up_at(world, 1002, 5, key, "10.0.0.99:7");
    world_run_for(world, 2 * CORE_NEWS_NS);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_PEERS), n_told + 1);
    /* At another address it is: node 1 may have no other way to learn it. */
    link_up_at(world, 1003, 5, key, "10.0.0.98:7");
    world_run_for(world, 2 * CORE_NEWS_NS);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_PEERS), n_told + 2);
    world_free(world);
}
END_TEST

START_TEST(the_newest_session_replaces_the_older)
{
    struct world *world = world_new(5);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1001, 5, key);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_CLOSE_LINK), 0);
    world_run_for(world, CORE_S);
    link_up(world, 1002, 5, key);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_CLOSE_LINK), 1);
    ck_assert_uint_eq(n_up(world, 0), 1);
    ck_assert(world_last_closed(world, 0).link == 1001);
    ck_assert_int_eq(world_last_closed(world, 0).reason, WIRE_REASON_REPLACED);
    world_free(world);
}
END_TEST

/* The newer life goes on beating, and the session of the older is closed for it. */
static void assert_older_is_replaced(struct world *world)
{
    struct wire_message beat = {.type = WIRE_MESSAGE_BEAT};
    beat.beat.interval_ms = 500;
    for (unsigned i = 0; i < 8; i++) {
        world_run_for(world, CORE_S / 2);
        message(world, 1002, &beat);
    }
    ck_assert_uint_eq(n_up(world, 0), 1);
    ck_assert(world_last_closed(world, 0).link == 1001);
    ck_assert_int_eq(world_last_closed(world, 0).reason, WIRE_REASON_REPLACED);
}

START_TEST(a_new_life_replaces_the_old_one_when_that_stays_mute)
{
    struct world *world = world_new(6);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1001, 5, key);
    world_run_for(world, CORE_S);
    link_up(world, 1002, 6, key);
    ck_assert_uint_eq(n_up(world, 0), 1);
    assert_older_is_replaced(world);
    world_free(world);
}
END_TEST

START_TEST(two_lives_that_both_answer_are_a_cloned_machine)
{
    struct world *world = world_new(7);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1001, 5, key);
    world_run_for(world, CORE_S);
    link_up(world, 1002, 6, key);
    struct wire_message ack = {.type = WIRE_MESSAGE_BEAT_ACK};
    ack.beat_ack.token = world_challenge(world, 0, 1001);
    ck_assert_uint_ne(ack.beat_ack.token, 0);
    message(world, 1001, &ack);
    ck_assert_uint_eq(n_up(world, 0), 0);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_CLOSE_LINK), 2);
    ck_assert_int_eq(world_last_closed(world, 0).reason, WIRE_REASON_CLONED);
    /* And is kept out for a while. */
    link_up(world, 1003, 5, key);
    ck_assert_uint_eq(n_up(world, 0), 0);
    ck_assert_int_eq(world_last_closed(world, 0).reason, WIRE_REASON_CLONED);
    world_client_up(world, 0);
    struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    world_client_say(world, 0, &query);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->n_rows, 2);
    ck_assert_uint_eq(world_client(world, 0)->rows[1].state, WIRE_PEER_CONFLICT);
    world_run_for(world, CORE_CONFLICT_NS); /* perhaps somebody has put it right */
    link_up(world, 1004, 5, key);
    ck_assert_uint_eq(n_up(world, 0), 1);
    world_free(world);
}
END_TEST

START_TEST(a_late_session_of_an_earlier_life_is_no_clone)
{
    struct world *world = world_new(7);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1002, 6, key);
    link_up(world, 1001, 5, key); /* its last bytes were on the way for long */
    assert_older_is_replaced(world);
    world_free(world);
}
END_TEST

START_TEST(who_is_accused_of_a_clone_does_not_accuse)
{
    struct world *world = world_new(7);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1001, 5, key);
    struct core_event event = {.type = CORE_EVENT_LINK_DOWN};
    event.link_down.link = 1001;
    event.link_down.reason = WIRE_REASON_CLONED;
    world_event(world, 0, &event);
    ck_assert_uint_eq(n_up(world, 0), 0);
    world_run_for(world, CORE_S);
    link_up(world, 1002, 5, key); /* the other's minute is over */
    ck_assert_uint_eq(n_up(world, 0), 1);
    world_free(world);
}
END_TEST

START_TEST(who_is_accused_of_a_clone_looks_again_when_that_has_passed)
{
    struct world *world = world_new(7);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1001, 5, key);
    found_at(world, 0, &key, "10.9.9.9:1");
    struct core_event event = {.type = CORE_EVENT_LINK_DOWN};
    event.link_down.link = 1001;
    event.link_down.reason = WIRE_REASON_CLONED;
    world_event(world, 0, &event);
    world_run_for(world, CORE_ACCUSED_NS - CORE_S);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL), 0);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_ge(world_n_effects(world, 0, CORE_EFFECT_DIAL), 1);
    world_free(world);
}
END_TEST

START_TEST(an_address_taken_over_is_not_dialled_for_its_former_peer)
{
    struct world *world = world_new(7);
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(n_up(world, 0), 1);
    struct slice address = slice_str("10.0.0.2:7");
    struct core_event event = {.type = CORE_EVENT_PEER_FOUND};
    event.peer_found.has_key = true;
    event.peer_found.key = (struct wire_key){{77}}; /* lives there no more */
    event.peer_found.addresses = (struct wire_slices){.items = &address, .n = 1};
    uint64_t n_before = world_n_effects(world, 0, CORE_EFFECT_DIAL);
    world_event(world, 0, &event);
    world_run_for(world, 30 * CORE_S);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL), n_before);
    ck_assert_uint_eq(n_up(world, 0), 1);
    world_free(world);
}
END_TEST

START_TEST(an_old_answer_to_a_challenge_proves_nothing)
{
    struct world *world = world_new(8);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    link_up(world, 1001, 5, key);
    world_run_for(world, CORE_S);
    link_up(world, 1002, 6, key);
    struct wire_message ack = {.type = WIRE_MESSAGE_BEAT_ACK};
    ack.beat_ack.token = world_challenge(world, 0, 1001) + 1;
    message(world, 1001, &ack);
    ck_assert_uint_eq(n_up(world, 0), 1);
    world_free(world);
}
END_TEST

START_TEST(ones_own_key_at_the_other_end_is_refused)
{
    struct world *world = world_new(9);
    world_start(world, 0, false);
    link_up(world, 1001, 5, world_config(world, 0)->key);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_CLOSE_LINK), 1);
    ck_assert_int_eq(world_last_closed(world, 0).reason, WIRE_REASON_SELF);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers, 1);
    world_free(world);
}
END_TEST

START_TEST(a_peer_of_another_mesh_is_refused_and_shown_so)
{
    struct world *world = world_new(10);
    world_start(world, 0, false);
    world_found(world, 0, 1); /* not alive, but announced */
    struct core_event event = {.type = CORE_EVENT_DIAL_FAILED};
    event.dial_failed.dial = 1;
    event.dial_failed.error = -EPROTO;
    event.dial_failed.reason = WIRE_REASON_MESH;
    world_event(world, 0, &event);
    world_client_up(world, 0);
    struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    world_client_say(world, 0, &query);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->n_rows, 2);
    ck_assert_uint_eq(world_client(world, 0)->rows[1].state, WIRE_PEER_REFUSED);
    world_free(world);
}
END_TEST

START_TEST(a_refusal_at_a_former_address_is_not_the_last_word)
{
    struct world *world = world_new(10);
    struct wire_key key = {{77}};
    world_start(world, 0, false);
    found_at(world, 0, &key, "10.9.9.9:1");
    struct core_event event = {.type = CORE_EVENT_DIAL_FAILED};
    event.dial_failed.dial = 1;
    event.dial_failed.error = -EPROTO;
    event.dial_failed.reason = WIRE_REASON_MESH; /* who lives there now is of another mesh */
    world_event(world, 0, &event);
    uint64_t n_dials = world_n_effects(world, 0, CORE_EFFECT_DIAL);
    ck_assert_uint_eq(n_dials, 1);
    found_at(world, 0, &key, "10.9.9.9:1");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL), n_dials); /* no news */
    found_at(world, 0, &key, "10.9.9.9:2");
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL), n_dials + 1);
    world_free(world);
}
END_TEST

START_TEST(a_refusal_leaves_the_other_addresses_to_be_tried)
{
    struct world *world = world_new(10);
    struct wire_key key = {{77}};
    struct slice addresses[] = {slice_str("10.9.9.9:1"), slice_str("10.9.9.9:2")};
    struct core_event found = {.type = CORE_EVENT_PEER_FOUND};
    found.peer_found.has_key = true;
    found.peer_found.key = key;
    found.peer_found.addresses = (struct wire_slices){.items = addresses, .n = 2};
    world_start(world, 0, false);
    world_event(world, 0, &found);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL), 1);
    struct core_event event = {.type = CORE_EVENT_DIAL_FAILED};
    event.dial_failed.dial = 1;
    event.dial_failed.error = -EPROTO;
    event.dial_failed.reason = WIRE_REASON_VERSION;
    world_event(world, 0, &event);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL), 2);
    world_free(world);
}
END_TEST

START_TEST(round_trips_are_measured)
{
    struct world *world = world_new(11);
    world_set_latency(world, 4 * CORE_MS);
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, CORE_S);
    world_client_up(world, 0);
    struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    world_client_say(world, 0, &query);
    world_run_for(world, CORE_MS);
    const struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->n_rows, 2);
    ck_assert(client->rows[0].is_local);
    ck_assert(!client->rows[0].has_rtt);
    ck_assert(client->rows[1].has_rtt);
    ck_assert_uint_eq(client->rows[1].rtt_us, 8000);
    /* Of a peer that is down there is nothing to measure. */
    world_kill(world, 1);
    world_run_for(world, CORE_S);
    world_client_say(world, 0, &query);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(client->rows[1].state, WIRE_PEER_DOWN);
    ck_assert(!client->rows[1].has_rtt);
    world_free(world);
}
END_TEST

/* Two daemons, of which the first is told to end while both run tasks of its job. */
static struct world *stop_at_work(void)
{
    struct world *world = world_new(12);
    world_start(world, 0, true);
    world_start(world, 1, true);
    world_run_for(world, CORE_S);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 8, "sleep", "60000");
    world_run_for(world, CORE_S);
    struct core_event event = {.type = CORE_EVENT_STOP};
    world_event(world, 0, &event);
    return world;
}

START_TEST(a_daemon_that_stops_says_goodbye_and_ends)
{
    struct world *world = stop_at_work();
    world_run_for(world, 10 * CORE_MS);
    ck_assert(world_has_exited(world, 0));
    ck_assert_uint_eq(world_n_running(world, 0), 0);
    world_run_for(world, 10 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    ck_assert_uint_eq(n_up(world, 1), 0);
    world_free(world);
}
END_TEST

/* It cannot know what becomes of them: its clients hear that it goes, not that tasks failed. */
START_TEST(a_daemon_that_stops_fails_no_task_of_its_clients)
{
    struct world *world = stop_at_work();
    world_run_for(world, CORE_S);
    const struct world_client *client = world_client(world, 0);
    ck_assert(client->is_closed);
    ck_assert_uint_eq(client->n_done, 0);
    ck_assert(!client->is_job_done);
    ck_assert(world_has_exited(world, 0));
    world_free(world);
}
END_TEST

START_TEST(a_daemon_that_nobody_needs_ends)
{
    struct world *world = world_new(13);
    world_config(world, 0)->exit_idle_ns = 60 * CORE_S;
    world_start(world, 0, false);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 3, "sleep", "50000");
    world_run_for(world, 120 * CORE_S);
    ck_assert(!world_has_exited(world, 0));
    world_client_down(world, 0);
    world_run_for(world, 59 * CORE_S);
    ck_assert(!world_has_exited(world, 0));
    world_run_for(world, 2 * CORE_S);
    ck_assert(world_has_exited(world, 0));
    world_free(world);
}
END_TEST

START_TEST(a_daemon_beside_another_runs_only_its_own_tasks)
{
    struct world *world = world_new(14);
    world_config(world, 0)->is_for_own = true;
    world_start(world, 0, false);
    world_start(world, 1, true);
    world_run_for(world, CORE_S);
    struct wire_message job = world_job();
    world_submit(world, 1, &job, 30, "sleep", "50");
    ck_assert(world_run_job(world, 1, 60 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 0), 0);
    job = world_job();
    world_submit(world, 0, &job, 30, "sleep", "50");
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_gt(world_n_started(world, 0), 0);
    world_free(world);
}
END_TEST

START_TEST(a_daemon_started_for_a_job_waits_a_moment_for_peers)
{
    struct world *world = world_new(15);
    world_config(world, 0)->exit_idle_ns = 60 * CORE_S;
    world_start(world, 0, false);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "sleep", "1");
    world_run_for(world, 990 * CORE_MS);
    ck_assert(!world_client(world, 0)->is_accepted); /* alone: the moment is waited out */
    ck_assert(world_run_job(world, 0, 100 * CORE_MS));
    ck_assert_uint_gt(world_client(world, 0)->notices.n, 0);
    world_free(world);

    world = world_new(16);
    world_config(world, 0)->exit_idle_ns = 60 * CORE_S;
    world_start(world, 0, false);
    world_start(world, 1, true);
    world_found(world, 0, 1);
    job = world_job();
    world_submit(world, 0, &job, 1, "sleep", "1");
    ck_assert(world_run_job(world, 0, 200 * CORE_MS)); /* a peer is up: no more waiting */
    ck_assert_uint_eq(world_client(world, 0)->notices.n, 0);
    world_free(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_peer");
    TCase *tcase = tcase_create("peers");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, peers_that_dial_each_other_at_once_keep_one_session);
    tcase_add_test(tcase, an_address_that_peers_tell_is_tried_beside_a_stale_one);
    tcase_add_test(tcase, what_peers_tell_of_others_makes_a_whole_mesh);
    tcase_add_test(tcase, a_static_peer_is_dialled_until_it_answers);
    tcase_add_test(tcase, a_peer_lost_a_moment_ago_is_dialled_each_second);
    tcase_add_test(tcase, an_answer_counts_only_from_where_its_attempt_was_placed);
    tcase_add_test(tcase, an_owner_that_exceeds_its_credit_is_refused_the_rest);
    tcase_add_test(tcase, a_peer_that_moved_is_told_of_again);
    tcase_add_test(tcase, the_newest_session_replaces_the_older);
    tcase_add_test(tcase, a_new_life_replaces_the_old_one_when_that_stays_mute);
    tcase_add_test(tcase, two_lives_that_both_answer_are_a_cloned_machine);
    tcase_add_test(tcase, an_old_answer_to_a_challenge_proves_nothing);
    tcase_add_test(tcase, ones_own_key_at_the_other_end_is_refused);
    tcase_add_test(tcase, a_peer_of_another_mesh_is_refused_and_shown_so);
    tcase_add_test(tcase, a_refusal_at_a_former_address_is_not_the_last_word);
    tcase_add_test(tcase, a_refusal_leaves_the_other_addresses_to_be_tried);
    tcase_add_test(tcase, a_late_session_of_an_earlier_life_is_no_clone);
    tcase_add_test(tcase, who_is_accused_of_a_clone_does_not_accuse);
    tcase_add_test(tcase, who_is_accused_of_a_clone_looks_again_when_that_has_passed);
    tcase_add_test(tcase, an_address_taken_over_is_not_dialled_for_its_former_peer);
    tcase_add_test(tcase, round_trips_are_measured);
    tcase_add_test(tcase, a_daemon_that_stops_says_goodbye_and_ends);
    tcase_add_test(tcase, a_daemon_that_stops_fails_no_task_of_its_clients);
    tcase_add_test(tcase, a_daemon_that_nobody_needs_ends);
    tcase_add_test(tcase, a_daemon_beside_another_runs_only_its_own_tasks);
    tcase_add_test(tcase, a_daemon_started_for_a_job_waits_a_moment_for_peers);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
