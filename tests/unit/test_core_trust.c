/* The closed mesh: who is let in, what is kept, which names are whose. */
#include <errno.h>
#include <stdio.h>

#include "tests/unit/trust_world.h"

/* --- lock, invite, join ------------------------------------------------------------------------
 */

START_TEST(lock_cuts_everybody_off_and_invitations_bring_them_back)
{
    struct world *world = world_mesh(3, 1);
    ck_assert(world_lock(world, 0));
    world_run_for(world, CORE_S);
    assert_alone(world, 0, 3);
    ck_assert(world_are_linked(world, 1, 2));
    ck_assert_uint_eq(generation(world, 0), 1);
    ck_assert_int_eq(row_of(world, 0, 1)->state, WIRE_PEER_REFUSED);
    ck_assert(world_invite(world, 0, 1));
    ck_assert(world_invite(world, 0, 2));
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    ck_assert_uint_eq(core_book_n_members(book(world, 2)), 2);
    world_end(world);
}
END_TEST

START_TEST(work_goes_on_in_a_closed_mesh)
{
    struct world *world = closed(3, 2);
    struct wire_message job = world_job();
    world_submit(world, 1, &job, 20, "sleep", "100");
    ck_assert(world_run_job(world, 1, 20 * CORE_S));
    ck_assert_uint_gt(world_n_started(world, 0), 0);
    ck_assert_uint_gt(world_n_started(world, 2), 0);
    world_end(world);
}
END_TEST

START_TEST(every_member_may_invite)
{
    struct world *world = world_mesh(3, 3);
    ck_assert(world_lock(world, 0));
    ck_assert(world_invite(world, 0, 1));
    ck_assert(world_invite(world, 1, 2));
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    ck_assert(core_book_is_member(book(world, 0), key_of(world, 2)));
    world_end(world);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_with_its_reason)
{
    struct world *world = world_mesh(2, 4);
    struct wire_message message = {.type = WIRE_MESSAGE_INVITE, .invite = {.valid_s = 60}};
    ck_assert(!world_ask(world, 0, &message));
    assert_refused(world, 0, WIRE_ERROR_INVALID, "mesh lock");
    message.type = WIRE_MESSAGE_UNLOCK;
    ck_assert(!world_ask(world, 0, &message));
    assert_refused(world, 0, WIRE_ERROR_INVALID, "no closed mesh");
    ck_assert(world_lock(world, 0));
    ck_assert(!world_lock(world, 0));
    assert_refused(world, 0, WIRE_ERROR_INVALID, "already");
    message.type = WIRE_MESSAGE_INVITE;
    message.invite.valid_s = 0;
    ck_assert(!world_ask(world, 0, &message));
    message.invite.valid_s = CORE_INVITE_SECONDS_MAX + 1;
    ck_assert(!world_ask(world, 0, &message));
    assert_refused(world, 0, WIRE_ERROR_INVALID, "7 days");
    ck_assert(!world_ban(world, 0, 0, false));
    assert_refused(world, 0, WIRE_ERROR_INVALID, "this very peer");
    ck_assert(!world_ban(world, 0, 1, true));
    assert_refused(world, 0, WIRE_ERROR_UNKNOWN, "not banned");
    ck_assert(world_invite(world, 0, 1));
    ck_assert(!world_invite(world, 0, 1));
    assert_refused(world, 1, WIRE_ERROR_INVALID, "closed mesh already");
    ck_assert(!world_invite(world, 0, 0));
    world_end(world);
}
END_TEST

START_TEST(only_the_privileged_may)
{
    struct world *world = world_mesh(2, 5);
    struct core_event up = {.type = CORE_EVENT_CLIENT_UP};
    up.client_up.client = WORLD_CLIENT;
    up.client_up.uid = 1000;
    world_client_up(world, 1); /* so that nobody connects for us */
    world_client(world, 0)->is_up = true;
    world_event(world, 0, &up);
    static const enum wire_message_type types[] = {WIRE_MESSAGE_LOCK,  WIRE_MESSAGE_UNLOCK,
                                                   WIRE_MESSAGE_JOIN,  WIRE_MESSAGE_INVITE,
                                                   WIRE_MESSAGE_TRUST, WIRE_MESSAGE_BAN};
    for (unsigned k = 0; k < ARRAY_LEN(types); k++) {
        struct wire_message message = {.type = types[k]};
        if (types[k] == WIRE_MESSAGE_TRUST) {
            message.trust.name = slice_str("lily");
        }
        ck_assert(!world_ask(world, 0, &message));
        assert_refused(world, 0, WIRE_ERROR_DENIED, "root");
    }
    struct wire_message query = {.type = WIRE_MESSAGE_TRUST_QUERY};
    ck_assert(world_ask(world, 0, &query));
    ck_assert(!world_client(world, 0)->trust.is_locked);
    world_end(world);
}
END_TEST

static struct wire_message invitation_of(struct world *world, unsigned i, uint32_t valid_s,
                                         struct slice *address)
{
    struct wire_message message = {.type = WIRE_MESSAGE_INVITE, .invite = {.valid_s = valid_s}};
    ck_assert(world_ask(world, i, &message));
    *address = slice_str(world_config(world, i)->address);
    message.type = WIRE_MESSAGE_JOIN;
    message.join.key = *key_of(world, i);
    message.join.token = world_client(world, i)->invitation.token;
    message.join.addresses = (struct wire_slices){.items = address, .n = 1};
    return message;
}

START_TEST(an_invitation_ends_with_its_time)
{
    struct world *world = world_mesh(2, 6);
    ck_assert(world_lock(world, 0));
    struct slice address;
    struct wire_message join = invitation_of(world, 0, 60, &address);
    world_run_for(world, 61 * CORE_S);
    ck_assert_uint_eq(world_core(world, 0)->trust.n_invitations, 0);
    ck_assert(!world_ask(world, 1, &join));
    assert_refused(world, 1, WIRE_ERROR_DENIED, "no such invitation");
    ck_assert(!core_trust_is_locked(world_core(world, 1)));
    world_end(world);
}
END_TEST

START_TEST(an_invitation_is_one_key_s)
{
    struct world *world = world_mesh(3, 7);
    ck_assert(world_lock(world, 0));
    struct slice address;
    struct wire_message join = invitation_of(world, 0, 600, &address);
    ck_assert(world_ask(world, 1, &join));
    ck_assert(!world_ask(world, 2, &join));
    assert_refused(world, 2, WIRE_ERROR_DENIED, "no such invitation");
    /* A cut in the middle costs no new one: the same key may use it again. */
    struct wire_message unlock = {.type = WIRE_MESSAGE_UNLOCK};
    ck_assert(world_ask(world, 1, &unlock));
    ck_assert(world_ask(world, 1, &join));
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1);
    assert_alone(world, 2, 3);
    world_end(world);
}
END_TEST

/* The door was asked before the first one bound it: the core is, too. */
START_TEST(an_invitation_that_was_bound_meanwhile_opens_nothing)
{
    struct world *world = world_mesh(2, 8);
    ck_assert(world_lock(world, 0));
    struct slice address;
    struct wire_message join = invitation_of(world, 0, 600, &address);
    ck_assert(world_ask(world, 1, &join));
    struct core_event event = {.type = CORE_EVENT_LINK_UP};
    event.link_up.link = WORLD_LONE_LINK;
    memset(event.link_up.key.b, 9, sizeof(event.link_up.key.b));
    event.link_up.door = WIRE_DOOR_INVITATION;
    event.link_up.token = join.join.token;
    uint64_t n_said = world_n_sent(world, 0, WIRE_MESSAGE_MEMBERSHIP);
    world_event(world, 0, &event);
    ck_assert_uint_eq(world_last_closed(world, 0).link, WORLD_LONE_LINK);
    ck_assert_int_eq(world_last_closed(world, 0).reason, WIRE_REASON_INVITATION);
    ck_assert_uint_eq(world_n_sent(world, 0, WIRE_MESSAGE_MEMBERSHIP), n_said);
    ck_assert(!core_book_is_member(book(world, 0), &event.link_up.key));
    world_end(world);
}
END_TEST

START_TEST(a_join_must_meet_the_inviter)
{
    struct world *world = world_mesh(3, 9);
    ck_assert(world_lock(world, 0));
    struct slice address;
    struct wire_message join = invitation_of(world, 0, 600, &address);
    join.join.key = *key_of(world, 2);
    ck_assert(!world_ask(world, 1, &join));
    assert_refused(world, 1, WIRE_ERROR_UNAVAILABLE, "another peer than the inviter");
    join.join.key = *key_of(world, 0);
    struct slice nowhere = slice_str("10.9.9.9:7");
    join.join.addresses.items = &nowhere;
    ck_assert(!world_ask(world, 1, &join));
    assert_refused(world, 1, WIRE_ERROR_UNAVAILABLE, "no inviter at 10.9.9.9:7");
    join.join.addresses.items = &address;
    join.join.addresses.n = 0;
    ck_assert(!world_ask(world, 1, &join));
    assert_refused(world, 1, WIRE_ERROR_INVALID, "no address");
    world_cut(world, 0);
    join.join.addresses.n = 1;
    ck_assert(!world_ask(world, 1, &join));
    assert_refused(world, 1, WIRE_ERROR_UNAVAILABLE, "no inviter");
    world_mend(world, 0);
    ck_assert(world_ask(world, 1, &join));
    world_end(world);
}
END_TEST

START_TEST(one_good_address_of_several_is_enough)
{
    struct world *world = world_mesh(2, 10);
    ck_assert(world_lock(world, 0));
    struct slice addresses[3];
    struct wire_message join = invitation_of(world, 0, 600, &addresses[2]);
    addresses[0] = slice_str("10.9.9.9:7");
    addresses[1] = slice_str("10.9.9.8:7");
    join.join.addresses = (struct wire_slices){.items = addresses, .n = 3};
    ck_assert(world_ask(world, 1, &join));
    world_end(world);
}
END_TEST

/* Beyond the link nobody announces anything: the invitation says where one member is, and that one
 * where the others are. */
START_TEST(who_joins_needs_no_announcement)
{
    struct world *world = world_mesh(2, 40);
    world_start(world, 2, false);
    ck_assert(world_lock(world, 0));
    ck_assert(world_invite(world, 0, 1));
    ck_assert(world_invite(world, 0, 2));
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    world_end(world);
}
END_TEST

START_TEST(invitations_have_a_limit)
{
    struct world *world = world_mesh(1, 11);
    ck_assert(world_lock(world, 0));
    struct wire_message message = {.type = WIRE_MESSAGE_INVITE, .invite = {.valid_s = 100}};
    for (unsigned k = 0; k < CORE_INVITATIONS_MAX; k++) {
        ck_assert(world_ask(world, 0, &message));
    }
    ck_assert(!world_ask(world, 0, &message));
    assert_refused(world, 0, WIRE_ERROR_LIMIT, "invitations");
    world_run_for(world, 101 * CORE_S);
    ck_assert(world_ask(world, 0, &message));
    world_end(world);
}
END_TEST

START_TEST(who_unlocks_is_in_the_open_mesh_again)
{
    struct world *world = closed(3, 12);
    ck_assert(world_ban(world, 0, 2, false));
    struct wire_message unlock = {.type = WIRE_MESSAGE_UNLOCK};
    ck_assert(world_ask(world, 0, &unlock));
    world_run_for(world, SETTLE_NS);
    assert_alone(world, 0, 2);
    ck_assert_uint_eq(generation(world, 0), 0);
    ck_assert_uint_eq(core_book_n_members(book(world, 0)), 0);
    ck_assert_uint_eq(core_book_n_bans(book(world, 0)), 0);
    ck_assert_uint_eq(book(world, 0)->n_olds, 0);
    ck_assert_uint_eq(generation(world, 1), 2);
    world_end(world);
}
END_TEST

/* --- the disk ----------------------------------------------------------------------------------
 */

START_TEST(a_change_that_cannot_be_kept_is_not_made)
{
    struct world *world = closed(3, 13);
    uint64_t before = generation(world, 0);
    world_trust_fail(world, 0, -ENOSPC);
    ck_assert(!world_ban(world, 0, 2, false));
    assert_refused(world, 0, WIRE_ERROR_UNAVAILABLE, "nothing was changed");
    struct wire_message unlock = {.type = WIRE_MESSAGE_UNLOCK};
    ck_assert(!world_ask(world, 0, &unlock));
    world_run_for(world, SETTLE_NS);
    ck_assert_uint_eq(generation(world, 0), before);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    world_trust_fail(world, 0, 0);
    ck_assert(world_ban(world, 0, 2, false));
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1);
    assert_alone(world, 2, 3);
    world_end(world);
}
END_TEST

START_TEST(a_join_that_cannot_be_kept_leaves_the_open_mesh_as_it_was)
{
    struct world *world = world_mesh(3, 14);
    ck_assert(world_lock(world, 0));
    world_trust_fail(world, 1, -EROFS);
    ck_assert(!world_invite(world, 0, 1));
    assert_refused(world, 1, WIRE_ERROR_UNAVAILABLE, "nothing was changed");
    world_run_for(world, SETTLE_NS);
    ck_assert(world_are_linked(world, 1, 2));
    ck_assert(!core_trust_is_locked(world_core(world, 1)));
    world_end(world);
}
END_TEST

/* Word from others that could not be kept is written again. */
START_TEST(what_others_said_is_kept_once_the_disk_is_well)
{
    struct world *world = closed(3, 15);
    world_trust_fail(world, 1, -EIO);
    ck_assert(world_ban(world, 0, 2, false));
    world_run_for(world, SETTLE_NS);
    ck_assert_uint_eq(generation(world, 1), 2);
    ck_assert_uint_eq(world_kept_trust(world, 1)->present.generation, 1);
    world_trust_fail(world, 1, 0);
    world_run_for(world, 2 * CORE_TRUST_RETRY_NS);
    ck_assert_uint_eq(world_kept_trust(world, 1)->present.generation, 2);
    world_end(world);
}
END_TEST

START_TEST(the_state_outlives_the_daemon)
{
    struct world *world = closed(3, 16);
    ck_assert(world_ban(world, 1, 2, false));
    world_run_for(world, SETTLE_NS);
    for (unsigned i = 0; i < 2; i++) {
        world_kill(world, i);
        world_run_for(world, CORE_S);
        world_restart(world, i);
        world_run_for(world, SETTLE_NS);
    }
    ASSERT_ONE_MESH(world, 0, 1);
    assert_alone(world, 2, 3);
    ck_assert_uint_eq(generation(world, 0), 2);
    world_end(world);
}
END_TEST

START_TEST(requests_are_answered_in_their_order)
{
    struct world *world = closed(4, 17);
    for (unsigned k = 2; k < 4; k++) {
        struct wire_message ban = {.type = WIRE_MESSAGE_BAN, .ban = {.key = *key_of(world, k)}};
        world_client_say(world, 0, &ban);
    }
    world_client(world, 0)->n_answers = 0;
    world_run_for(world, SETTLE_NS);
    ck_assert_uint_eq(world_client(world, 0)->n_answers, 2);
    ck_assert_uint_eq(generation(world, 0), 3);
    ASSERT_ONE_MESH(world, 0, 1);
    world_end(world);
}
END_TEST

/* --- names -------------------------------------------------------------------------------------
 */

static bool pin(struct world *world, unsigned i, const char *name, const struct wire_key *key,
                bool is_removed)
{
    struct wire_message message = {.type = WIRE_MESSAGE_TRUST};
    message.trust.name = slice_str(name);
    message.trust.key = *key;
    message.trust.is_removed = is_removed;
    return world_ask(world, i, &message);
}

START_TEST(a_pinned_name_with_another_key_is_a_conflict)
{
    struct world *world = world_mesh(3, 50);
    world_config(world, 2)->name = "lily"; /* in its next life; lily is node 1 */
    ck_assert(pin(world, 0, "lily", key_of(world, 1), false));
    ck_assert(world_are_linked(world, 0, 2));
    world_kill(world, 2);
    world_restart(world, 2);
    world_run_for(world, SETTLE_NS);
    ck_assert(world_are_linked(world, 0, 1));
    ck_assert(!world_are_linked(world, 0, 2));
    ck_assert_int_eq(row_of(world, 0, 2)->state, WIRE_PEER_CONFLICT);
    ck_assert_int_eq(row_of(world, 0, 1)->state, WIRE_PEER_UP);
    ck_assert(pin(world, 0, "lily", key_of(world, 1), true));
    world_run_for(world, 400 * CORE_S);
    ck_assert(world_are_linked(world, 0, 2));
    world_end(world);
}
END_TEST

START_TEST(a_pin_cuts_a_session_that_stands)
{
    struct world *world = world_mesh(3, 51);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 6, "sleep", "3000");
    world_run_for(world, CORE_S);
    ck_assert_uint_gt(world_n_running(world, 2), 0);
    ck_assert(pin(world, 0, "mona", key_of(world, 1), false)); /* node 2 is mona */
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 6);
    ck_assert(!world_are_linked(world, 0, 2));
    ck_assert(world_are_linked(world, 1, 2));
    ck_assert_int_eq(row_of(world, 0, 2)->state, WIRE_PEER_CONFLICT);
    world_free(world);
}
END_TEST

START_TEST(pins_are_told_apart)
{
    struct world *world = world_mesh(2, 52);
    struct wire_key none = {0};
    ck_assert(!pin(world, 0, "lily", &none, true));
    assert_refused(world, 0, WIRE_ERROR_UNKNOWN, "not pinned");
    ck_assert(!pin(world, 0, "lily", &none, false));
    assert_refused(world, 0, WIRE_ERROR_INVALID, "no key");
    ck_assert(pin(world, 0, "lily", key_of(world, 1), false));
    ck_assert(pin(world, 0, "lily", key_of(world, 1), false));
    ck_assert(!pin(world, 0, "lily", key_of(world, 0), false));
    assert_refused(world, 0, WIRE_ERROR_INVALID, "is pinned to");
    for (unsigned k = 1; k < WIRE_PINS_MAX; k++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", k);
        ck_assert(pin(world, 0, name, key_of(world, 1), false));
    }
    ck_assert(!pin(world, 0, "more", key_of(world, 1), false));
    assert_refused(world, 0, WIRE_ERROR_LIMIT, "pinned");
    ck_assert_uint_eq(core_book_n_pins(world_kept_trust(world, 0)), WIRE_PINS_MAX);
    world_end(world);
}
END_TEST

/* --- what is printed ---------------------------------------------------------------------------
 */

START_TEST(no_secret_is_ever_printed)
{
    struct world *world = world_mesh(3, 60);
    world_trace(world);
    ck_assert(world_lock(world, 0));
    ck_assert(world_invite(world, 0, 1));
    ck_assert(world_ban(world, 0, 2, false));
    world_run_for(world, SETTLE_NS);
    struct buf text;
    buf_init(&text, 64u << 20);
    buf_append_slice(&text, world_trace_text(world));
    const struct core_book *now = book(world, 1);
    const uint8_t *secrets[] = {now->present.secret.b, now->olds[0].secret.b,
                                world_client(world, 0)->invitation.token.b};
    ck_assert_uint_gt(text.n, 1000);
    for (unsigned k = 0; k < ARRAY_LEN(secrets); k++) {
        char hex[9];
        snprintf(hex, sizeof(hex), "%02x%02x%02x%02x", secrets[k][0], secrets[k][1], secrets[k][2],
                 secrets[k][3]);
        ck_assert_ptr_null(strstr(buf_cstr(&text), hex));
        ck_assert_ptr_null(memmem(text.p, text.n, secrets[k], 4));
    }
    buf_done(&text);
    world_free(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_trust");
    TCase *tc = tcase_create("core_trust");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, lock_cuts_everybody_off_and_invitations_bring_them_back);
    tcase_add_test(tc, work_goes_on_in_a_closed_mesh);
    tcase_add_test(tc, every_member_may_invite);
    tcase_add_test(tc, what_makes_no_sense_is_refused_with_its_reason);
    tcase_add_test(tc, only_the_privileged_may);
    tcase_add_test(tc, an_invitation_ends_with_its_time);
    tcase_add_test(tc, an_invitation_is_one_key_s);
    tcase_add_test(tc, an_invitation_that_was_bound_meanwhile_opens_nothing);
    tcase_add_test(tc, a_join_must_meet_the_inviter);
    tcase_add_test(tc, one_good_address_of_several_is_enough);
    tcase_add_test(tc, who_joins_needs_no_announcement);
    tcase_add_test(tc, invitations_have_a_limit);
    tcase_add_test(tc, who_unlocks_is_in_the_open_mesh_again);
    tcase_add_test(tc, a_change_that_cannot_be_kept_is_not_made);
    tcase_add_test(tc, a_join_that_cannot_be_kept_leaves_the_open_mesh_as_it_was);
    tcase_add_test(tc, what_others_said_is_kept_once_the_disk_is_well);
    tcase_add_test(tc, the_state_outlives_the_daemon);
    tcase_add_test(tc, requests_are_answered_in_their_order);
    tcase_add_test(tc, a_pinned_name_with_another_key_is_a_conflict);
    tcase_add_test(tc, a_pin_cuts_a_session_that_stands);
    tcase_add_test(tc, pins_are_told_apart);
    tcase_add_test(tc, no_secret_is_ever_printed);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
