/* The closed mesh: who is put out, and how those who were away come to know. */
#include "tests/unit/trust_world.h"

/* --- bans --------------------------------------------------------------------------------------
 */

START_TEST(the_banned_are_cut_off_everywhere)
{
    struct world *world = closed(4, 20);
    ck_assert(world_ban(world, 1, 3, false));
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    assert_alone(world, 3, 4);
    ck_assert_uint_eq(generation(world, 3), 1);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(generation(world, i), 2);
        ck_assert(core_book_is_banned(book(world, i), key_of(world, 3)));
        ck_assert(!core_book_is_member(book(world, i), key_of(world, 3)));
        uint64_t n = world_n_effects(world, i, CORE_EFFECT_DIAL);
        world_found(world, i, 3); /* it is not dialled, */
        world_run_for(world, 400 * CORE_S);
        ck_assert_uint_eq(world_n_effects(world, i, CORE_EFFECT_DIAL), n);
    }
    world_kill(world, 3);
    world_restart(world, 3); /* nor let in, in whichever life */
    world_run_for(world, SETTLE_NS);
    assert_alone(world, 3, 4);
    if (!world_client(world, 0)->is_up) {
        world_client_up(world, 0);
    }
    ck_assert_int_eq(row_of(world, 0, 3)->state, WIRE_PEER_REFUSED);
    struct wire_message query = {.type = WIRE_MESSAGE_TRUST_QUERY};
    ck_assert(world_ask(world, 0, &query));
    ck_assert_uint_eq(world_client(world, 0)->n_banned, 1);
    ck_assert_uint_eq(world_client(world, 0)->trust.n_members, 3);
    world_free(world);
}
END_TEST

START_TEST(what_the_banned_have_here_ends_and_what_they_ran_runs_elsewhere)
{
    struct world *world = closed(3, 21);
    struct wire_message job = world_job();
    world_submit(world, 2, &job, 6, "sleep", "60000");
    world_run_for(world, CORE_S);
    ck_assert_uint_gt(world_n_running(world, 0), 0);
    ck_assert(world_ban(world, 0, 2, false));
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(world_n_running(world, 0), 0);
    ck_assert_uint_eq(world_n_running(world, 1), 0);
    world_free(world);

    world = closed(3, 22);
    world_submit(world, 0, &job, 12, "sleep", "2000");
    world_run_for(world, CORE_S);
    ck_assert_uint_gt(world_n_running(world, 2), 0);
    struct wire_message ban = {.type = WIRE_MESSAGE_BAN, .ban = {.key = *key_of(world, 2)}};
    world_client_say(world, 0, &ban);
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 12);
    world_free(world);
}
END_TEST

START_TEST(a_ban_that_is_lifted_takes_a_new_invitation)
{
    struct world *world = closed(3, 23);
    ck_assert(world_ban(world, 0, 2, false));
    ck_assert(world_ban(world, 0, 2, false)); /* twice is once */
    world_run_for(world, SETTLE_NS);
    ck_assert_uint_eq(generation(world, 0), 2);
    struct wire_message unlock = {.type = WIRE_MESSAGE_UNLOCK};
    ck_assert(world_ask(world, 2, &unlock));
    ck_assert(!world_invite(world, 0, 2)); /* the token of a banned key opens nothing */
    ck_assert(world_ban(world, 1, 2, true));
    world_run_for(world, SETTLE_NS);
    ck_assert_uint_eq(generation(world, 0), 3);
    assert_alone(world, 2, 3);
    ck_assert(world_invite(world, 0, 2));
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    world_end(world);
}
END_TEST

START_TEST(bans_at_two_members_at_once_converge)
{
    struct world *world = closed(6, 24);
    struct wire_message ban = {.type = WIRE_MESSAGE_BAN, .ban = {.key = *key_of(world, 4)}};
    world_client_up(world, 5);
    world_client_say(world, 0, &ban);
    ban.ban.key = *key_of(world, 5);
    world_client_say(world, 1, &ban);
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2, 3);
    assert_alone(world, 4, 6);
    assert_alone(world, 5, 6);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert(core_book_is_banned(book(world, i), key_of(world, 4)));
        ck_assert(core_book_is_banned(book(world, i), key_of(world, 5)));
        ck_assert(!book(world, i)->is_renewal_due);
        /* The secrets of that generation were told to one of the two each. */
        for (unsigned k = 4; k < 6; k++) {
            ck_assert_int_ne(core_secret_cmp(&book(world, i)->present, &book(world, k)->present),
                             0);
        }
    }
    world_free(world);
}
END_TEST

/* Two halves of a mesh that do not see each other each ban somebody of the other half. */
START_TEST(bans_on_both_sides_of_a_split_converge)
{
    struct world *world = closed(4, 25);
    world_kill(world, 1);
    world_kill(world, 3);
    world_run_for(world, SETTLE_NS);
    ck_assert(world_ban(world, 0, 3, false)); /* 0 and 2 know of it */
    world_run_for(world, SETTLE_NS);
    world_kill(world, 0);
    world_kill(world, 2);
    world_restart(world, 1);
    struct wire_message ban = {.type = WIRE_MESSAGE_BAN, .ban = {.key = *key_of(world, 2)}};
    ck_assert(world_ask(world, 1, &ban)); /* and 1 alone of this one */
    world_run_for(world, SETTLE_NS);
    ck_assert_uint_eq(generation(world, 1), 2);
    world_restart(world, 0);
    world_restart(world, 2);
    world_restart(world, 3);
    world_run_for(world, 60 * CORE_S);
    ASSERT_ONE_MESH(world, 0, 1);
    ck_assert_uint_eq(generation(world, 0), 3);
    assert_alone(world, 2, 4);
    assert_alone(world, 3, 4);
    world_free(world);
}
END_TEST

START_TEST(in_an_open_mesh_a_ban_is_one_s_own)
{
    struct world *world = world_mesh(3, 26);
    ck_assert(world_ban(world, 0, 2, false));
    world_run_for(world, SETTLE_NS);
    ck_assert(!world_are_linked(world, 0, 2));
    ck_assert(world_are_linked(world, 0, 1));
    ck_assert(world_are_linked(world, 1, 2));
    ck_assert_uint_eq(generation(world, 0), 0);
    /* It stays one's own when the mesh is closed, and is told nobody. */
    ck_assert(world_lock(world, 0));
    ck_assert(world_invite(world, 0, 1));
    ck_assert(world_invite(world, 1, 2));
    world_run_for(world, SETTLE_NS);
    ck_assert(world_are_linked(world, 1, 2));
    ck_assert(!world_are_linked(world, 0, 2));
    ck_assert_uint_eq(generation(world, 1), 1);
    ck_assert(world_ban(world, 0, 2, true));
    world_found(world, 0, 2);
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    world_end(world);
}
END_TEST

START_TEST(nobody_hears_of_the_banned_from_us)
{
    struct world *world = closed(3, 27);
    ck_assert(world_ban(world, 0, 2, false));
    world_run_for(world, SETTLE_NS);
    struct slice address = slice_str("10.0.0.77:7");
    struct wire_peer_entry entry = {.key = *key_of(world, 2),
                                    .addresses = {.items = &address, .n = 1},
                                    .version = UINT64_C(9) << 32};
    struct wire_message peers = {.type = WIRE_MESSAGE_PEERS, .peers = {.items = &entry, .n = 1}};
    uint64_t n = world_n_effects(world, 0, CORE_EFFECT_DIAL);
    world_forge(world, 1, 0, &peers);
    world_run_for(world, SETTLE_NS);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL), n);
    const struct core_card *card = NULL;
    table_for_each (at, &world_core(world, 0)->cards) {
        const struct core_card *each = LIST_ENTRY(at, struct core_card, by_key);
        card = wire_key_eq(&each->key, key_of(world, 2)) ? each : card;
    }
    ck_assert(card == NULL || card->version == 0);
    world_free(world);
}
END_TEST

START_TEST(bans_have_a_limit)
{
    struct core_book full;
    core_book_init(&full);
    struct wire_ban ban = {.generation = 5, .is_banned = true};
    for (uint32_t k = 0; k < WIRE_BANS_MAX; k++) {
        ban.key.b[0] = (uint8_t)(k >> 8);
        ban.key.b[1] = (uint8_t)k;
        ban.key.b[2] = 1;
        ban.is_banned = k != 77;
        ck_assert(core_book_put_ban(&full, &ban));
    }
    ban.is_banned = true;
    ban.key.b[2] = 2;
    ck_assert(core_book_put_ban(&full, &ban)); /* in the place of the one that was lifted */
    ban.key.b[2] = 3;
    ck_assert(!core_book_put_ban(&full, &ban));
    ck_assert_uint_eq(core_book_n_bans(&full), WIRE_BANS_MAX);
    core_book_done(&full);
}
END_TEST

/* --- members that were away --------------------------------------------------------------------
 */

START_TEST(a_member_that_was_away_gets_the_new_secret)
{
    struct world *world = closed(4, 30);
    world_kill(world, 2);
    world_run_for(world, SETTLE_NS);
    ck_assert(world_ban(world, 0, 3, false));
    world_run_for(world, SETTLE_NS);
    world_restart(world, 2);
    ck_assert_uint_eq(generation(world, 2), 1);
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    ck_assert_uint_eq(generation(world, 2), 2);
    world_free(world);
}
END_TEST

START_TEST(many_secrets_later_a_member_still_gets_in)
{
    struct world *world = closed(CORE_OLDS_MAX + 4, 31);
    world_kill(world, 1);
    world_run_for(world, SETTLE_NS);
    for (unsigned k = 0; k < CORE_OLDS_MAX; k++) {
        ck_assert(world_ban(world, 0, k + 3, false));
    }
    world_restart(world, 1);
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    /* One more, and its secret is not known any more: it takes an invitation. */
    world_kill(world, 1);
    ck_assert(world_ban(world, 0, CORE_OLDS_MAX + 3, false));
    for (unsigned k = 0; k < CORE_OLDS_MAX; k++) {
        ck_assert(world_ban(world, 0, k + 3, true));
    }
    world_restart(world, 1);
    world_run_for(world, SETTLE_NS);
    ck_assert(!world_are_linked(world, 0, 1));
    struct wire_message unlock = {.type = WIRE_MESSAGE_UNLOCK};
    ck_assert(world_ask(world, 1, &unlock));
    ck_assert(world_invite(world, 0, 1));
    world_run_for(world, SETTLE_NS);
    ASSERT_ONE_MESH(world, 0, 1, 2);
    world_free(world);
}
END_TEST

/* A link that only node 0 knows. */
static void up(struct world *world, uint64_t link, const struct wire_key *key,
               enum wire_door_kind door)
{
    struct core_event event = {.type = CORE_EVENT_LINK_UP};
    event.link_up.link = link;
    event.link_up.key = *key;
    event.link_up.epoch = 99;
    event.link_up.incarnation = 99;
    event.link_up.door = door;
    event.link_up.protocol = WIRE_VERSION_MAX;
    event.link_up.address = slice_str("10.7.7.7:7");
    world_event(world, 0, &event);
}

START_TEST(an_older_secret_opens_to_members_alone)
{
    struct world *world = closed(3, 32);
    ck_assert(world_ban(world, 0, 2, false));
    world_run_for(world, SETTLE_NS);
    up(world, WORLD_LONE_LINK, key_of(world, 2), WIRE_DOOR_OLDER);
    ck_assert_uint_eq(world_last_closed(world, 0).link, WORLD_LONE_LINK);
    ck_assert_int_eq(world_last_closed(world, 0).reason, WIRE_REASON_BANNED);
    struct wire_key stranger = {.b = {1, 2, 3}}; /* who stole the state of a banned one */
    up(world, WORLD_LONE_LINK + 1, &stranger, WIRE_DOOR_OLDER);
    ck_assert_uint_eq(world_last_closed(world, 0).link, WORLD_LONE_LINK + 1);
    ck_assert_int_eq(world_last_closed(world, 0).reason, WIRE_REASON_MESH);
    up(world, WORLD_LONE_LINK + 2, key_of(world, 2), WIRE_DOOR_PRESENT);
    ck_assert_uint_eq(world_last_closed(world, 0).link, WORLD_LONE_LINK + 2);
    up(world, WORLD_LONE_LINK + 3, &stranger, WIRE_DOOR_OPEN);
    ck_assert_uint_eq(world_last_closed(world, 0).link, WORLD_LONE_LINK + 3);
    ck_assert_uint_eq(world_core(world, 0)->trust.n_visits, 0);
    world_free(world);
}
END_TEST

START_TEST(a_visit_is_no_session)
{
    struct world *world = closed(3, 33);
    world_kill(world, 2);
    ck_assert(world_ban(world, 0, 2, false));
    ck_assert(world_ban(world, 0, 2, true));
    ck_assert(world_invite(world, 0, 1) == false);
    struct core_counts before = core_counts(world_core(world, 0));
    up(world, WORLD_LONE_LINK, key_of(world, 1), WIRE_DOOR_OLDER);
    ck_assert_uint_eq(world_core(world, 0)->trust.n_visits, 1);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_links, before.n_links);
    struct wire_message want = {.type = WIRE_MESSAGE_WANT, .want = {.n_tasks = 5, .cores = 5}};
    struct core_event event = {.type = CORE_EVENT_MESSAGE};
    event.message.link = WORLD_LONE_LINK;
    event.message.message = &want;
    world_event(world, 0, &event);
    ck_assert_uint_eq(world_core(world, 0)->trust.n_visits, 1);
    world_run_for(world, CORE_VISIT_NS + CORE_S); /* who says nothing is shown out */
    ck_assert_uint_eq(world_core(world, 0)->trust.n_visits, 0);
    world_free(world);
}
END_TEST

/* --- membership --------------------------------------------------------------------------------
 */

static struct wire_message membership(uint64_t generation, uint8_t secret)
{
    struct wire_message message = {.type = WIRE_MESSAGE_MEMBERSHIP};
    message.membership.generation = generation;
    memset(message.membership.secret.b, secret, sizeof(message.membership.secret.b));
    return message;
}

START_TEST(a_member_s_word_counts_within_limits)
{
    struct world *world = closed(3, 40);
    struct wire_message said = membership(UINT64_C(1) << 63, 7);
    world_forge(world, 1, 0, &said);
    said = membership(0, 7);
    world_forge(world, 1, 0, &said);
    said = membership(9, 0);
    world_forge(world, 1, 0, &said);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(generation(world, 0), 1);
    said = membership(9, 7);
    world_forge(world, 1, 0, &said);
    world_run_for(world, SETTLE_NS);
    ck_assert_uint_eq(generation(world, 0), 9);
    ck_assert_uint_eq(generation(world, 1), 9);
    ASSERT_ONE_MESH(world, 0, 1);
    world_end(world);
}
END_TEST

START_TEST(in_an_open_mesh_nobody_s_word_counts)
{
    struct world *world = world_mesh(2, 41);
    struct wire_message said = membership(9, 7);
    world_forge(world, 1, 0, &said);
    world_run_for(world, CORE_S);
    ck_assert(!core_trust_is_locked(world_core(world, 0)));
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_TRUST), 0);
    world_end(world);
}
END_TEST

START_TEST(merging_is_the_same_in_any_order)
{
    struct wire_key self = {.b = {1}};
    struct wire_key from = {.b = {2}};
    struct wire_ban bans[2] = {{.key = {.b = {5}}, .generation = 2, .is_banned = true},
                               {.key = {.b = {6}}, .generation = 2, .is_banned = true}};
    struct wire_message said[2] = {membership(2, 8), membership(2, 9)};
    struct core_book books[2];
    struct core_merged merged;
    for (unsigned k = 0; k < 2; k++) {
        said[k].membership.bans = (struct wire_bans){.items = &bans[k], .n = 1};
        core_book_init(&books[k]);
        core_book_renew(&books[k], 1, said[0].membership.secret.b);
        core_book_add_member(&books[k], &bans[0].key, false);
        core_book_add_member(&books[k], &bans[1].key, true);
    }
    for (unsigned k = 0; k < 2; k++) {
        ck_assert(core_book_merge(&books[0], &self, &from, &said[k].membership, &merged));
        ck_assert(core_book_merge(&books[1], &self, &from, &said[1 - k].membership, &merged));
    }
    ck_assert(core_book_eq(&books[0], &books[1]));
    ck_assert_uint_eq(books[0].present.secret.b[0], 9);
    ck_assert_uint_eq(core_book_n_bans(&books[0]), 2);
    ck_assert(books[0].is_renewal_due);
    ck_assert_uint_eq(core_book_n_members(&books[0]), 1);
    /* Of one generation the ban holds; a higher one lifts it. */
    bans[0].is_banned = false;
    ck_assert(!core_book_put_ban(&books[0], &bans[0]));
    bans[0].generation = 3;
    ck_assert(core_book_put_ban(&books[0], &bans[0]));
    ck_assert(!core_book_is_banned(&books[0], &bans[0].key));
    core_book_done(&books[0]);
    core_book_done(&books[1]);
}
END_TEST

START_TEST(a_new_secret_leaves_out_whom_its_maker_does_not_know)
{
    struct wire_key self = {.b = {1}};
    struct wire_key from = {.b = {2}};
    struct wire_key invited = {.b = {3}};
    struct wire_key thief = {.b = {4}}; /* it proved the former secret to us, while we were away */
    struct wire_member named = {.key = {.b = {5}}};
    struct wire_message said = membership(2, 8);
    said.membership.members = (struct wire_members){.items = &named, .n = 1};
    struct core_book away;
    struct core_merged merged;
    core_book_init(&away);
    core_book_renew(&away, 1, said.membership.secret.b);
    core_book_add_member(&away, &from, false);
    core_book_add_member(&away, &invited, true);
    core_book_add_member(&away, &thief, false);
    ck_assert(core_book_merge(&away, &self, &from, &said.membership, &merged));
    ck_assert(merged.is_adopted);
    ck_assert(core_book_is_member(&away, &from));
    ck_assert(core_book_is_member(&away, &invited));
    ck_assert(core_book_is_member(&away, &named.key));
    ck_assert(!core_book_is_member(&away, &thief));
    ck_assert(!core_book_is_member(&away, &self));
    core_book_done(&away);
}
END_TEST

START_TEST(older_secrets_are_the_highest_that_there_were)
{
    struct core_book book;
    core_book_init(&book);
    uint8_t bytes[WIRE_SECRET_BYTES] = {1};
    for (uint64_t g = 1; g <= 20; g++) {
        core_book_renew(&book, g, bytes);
    }
    ck_assert_uint_eq(book.n_olds, CORE_OLDS_MAX);
    for (uint64_t k = 0; k < CORE_OLDS_MAX; k++) {
        ck_assert_uint_eq(book.olds[k].generation, 19 - k);
    }
    core_book_done(&book);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_ban");
    TCase *tc = tcase_create("core_ban");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, the_banned_are_cut_off_everywhere);
    tcase_add_test(tc, what_the_banned_have_here_ends_and_what_they_ran_runs_elsewhere);
    tcase_add_test(tc, a_ban_that_is_lifted_takes_a_new_invitation);
    tcase_add_test(tc, bans_at_two_members_at_once_converge);
    tcase_add_test(tc, bans_on_both_sides_of_a_split_converge);
    tcase_add_test(tc, in_an_open_mesh_a_ban_is_one_s_own);
    tcase_add_test(tc, nobody_hears_of_the_banned_from_us);
    tcase_add_test(tc, bans_have_a_limit);
    tcase_add_test(tc, a_member_that_was_away_gets_the_new_secret);
    tcase_add_test(tc, many_secrets_later_a_member_still_gets_in);
    tcase_add_test(tc, an_older_secret_opens_to_members_alone);
    tcase_add_test(tc, a_visit_is_no_session);
    tcase_add_test(tc, a_member_s_word_counts_within_limits);
    tcase_add_test(tc, in_an_open_mesh_nobody_s_word_counts);
    tcase_add_test(tc, merging_is_the_same_in_any_order);
    tcase_add_test(tc, a_new_secret_leaves_out_whom_its_maker_does_not_know);
    tcase_add_test(tc, older_secrets_are_the_highest_that_there_were);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
