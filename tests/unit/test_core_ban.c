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

/* A secret that follows this one, if any. `older` is where that is put. */
static struct wire_message membership(uint64_t generation, uint8_t secret,
                                      const struct core_secret *follows, struct wire_older *older)
{
    struct wire_message message = {.type = WIRE_MESSAGE_MEMBERSHIP};
    message.membership.generation = generation;
    memset(message.membership.secret.b, secret, sizeof(message.membership.secret.b));
    if (follows != NULL) {
        *older = (struct wire_older){follows->generation, follows->secret};
        message.membership.olders = (struct wire_olders){.items = older, .n = 1};
    }
    return message;
}

START_TEST(a_member_s_word_counts_within_limits)
{
    struct world *world = closed(3, 40);
    const struct core_secret first = book(world, 0)->present;
    struct wire_older older;
    struct wire_message said = membership(UINT64_C(1) << 63, 7, &first, &older);
    world_forge(world, 1, 0, &said);
    said = membership(0, 7, &first, &older);
    world_forge(world, 1, 0, &said);
    said = membership(9, 0, &first, &older);
    world_forge(world, 1, 0, &said);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(generation(world, 0), 1);
    said = membership(9, 7, &first, &older);
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
    struct wire_message said = membership(9, 7, NULL, NULL);
    world_forge(world, 1, 0, &said);
    world_run_for(world, CORE_S);
    ck_assert(!core_trust_is_locked(world_core(world, 0)));
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_TRUST), 0);
    world_end(world);
}
END_TEST

static const struct wire_key one = {.b = {1}}, two = {.b = {2}}, five = {.b = {5}},
                             six = {.b = {6}};

/* What the book would say, with all its members and `from`. */
static struct wire_membership word_of(const struct core_book *book, const struct wire_key *from,
                                      struct wire_member *members, struct wire_older *olders)
{
    uint32_t n = core_book_n_members(book);
    for (uint32_t i = 0; i < n; i++) {
        members[i].key = core_book_members(book)[i].key;
    }
    members[n].key = *from;
    for (uint32_t i = 0; i < book->n_olds; i++) {
        olders[i] = (struct wire_older){book->olds[i].generation, book->olds[i].secret};
    }
    return (struct wire_membership){
        .generation = book->present.generation,
        .secret = book->present.secret,
        .bans = {.items = core_book_bans(book), .n = core_book_n_bans(book)},
        .members = {.items = members, .n = n + 1},
        .olders = {.items = olders, .n = book->n_olds},
    };
}

static void hear(struct core_book *book, const struct wire_key *self, const struct core_book *from,
                 const struct wire_key *key, struct core_merged *ret_merged)
{
    struct wire_member members[8];
    struct wire_older olders[CORE_OLDS_MAX];
    struct wire_membership said = word_of(from, key, members, olders);
    ck_assert(core_book_merge(book, self, key, &said, ret_merged));
}

static void renew(struct core_book *book, uint64_t generation, uint8_t with)
{
    uint8_t bytes[WIRE_SECRET_BYTES];
    memset(bytes, with, sizeof(bytes));
    core_book_renew(book, generation, bytes);
}

/* Two members, one secret, and each knows the other, five and six. */
static void make_two(struct core_book books[static 2])
{
    for (unsigned k = 0; k < 2; k++) {
        core_book_init(&books[k]);
        renew(&books[k], 1, 4);
        core_book_add_member(&books[k], k == 0 ? &two : &one, false);
        core_book_add_member(&books[k], &five, false);
        core_book_add_member(&books[k], &six, k == 0);
    }
}

static void done_two(struct core_book books[static 2])
{
    core_book_done(&books[0]);
    core_book_done(&books[1]);
}

START_TEST(what_was_made_apart_takes_a_secret_that_follows_both)
{
    for (unsigned first = 0; first < 2; first++) {
        struct core_book books[2];
        struct core_merged merged;
        make_two(books);
        for (unsigned k = 0; k < 2; k++) { /* each bans somebody */
            struct wire_ban ban = {k == 0 ? five : six, 2, true};
            renew(&books[k], 2, (uint8_t)(8 + k));
            ck_assert(core_book_put_ban(&books[k], &ban));
        }
        struct core_book said;
        core_book_init(&said);
        core_book_copy(&said, &books[1 - first]);
        hear(&books[1 - first], first == 0 ? &two : &one, &books[first], first == 0 ? &one : &two,
             &merged);
        ck_assert(!merged.is_adopted && merged.is_rival_new && merged.are_bans_new);
        hear(&books[first], first == 0 ? &one : &two, &said, first == 0 ? &two : &one, &merged);
        ck_assert(!merged.is_adopted && merged.is_rival_new && merged.are_bans_new);
        for (unsigned k = 0; k < 2; k++) {
            ck_assert_uint_eq(books[k].present.secret.b[0], 8 + k);
            ck_assert(books[k].is_renewal_due);
            ck_assert_uint_eq(core_book_n_bans(&books[k]), 2);
        }
        renew(&books[first], 3, 1);
        hear(&books[1 - first], first == 0 ? &two : &one, &books[first], first == 0 ? &one : &two,
             &merged);
        ck_assert(merged.is_adopted && !books[1 - first].is_renewal_due);
        ck_assert_int_eq(core_secret_cmp(&books[0].present, &books[1].present), 0);
        ck_assert_uint_eq(core_book_n_members(&books[0]), 1);
        core_book_done(&said);
        done_two(books);
    }
}
END_TEST

START_TEST(of_two_that_followed_the_same_the_lower_holds)
{
    struct core_book books[2];
    struct core_merged merged;
    make_two(books);
    renew(&books[0], CORE_GENERATION_MAX, 7);
    renew(&books[1], 2, 9);
    struct core_book said;
    core_book_init(&said);
    core_book_copy(&said, &books[1]);
    hear(&books[1], &two, &books[0], &one, &merged);
    ck_assert(!merged.is_adopted && merged.are_they_behind && !books[1].is_renewal_due);
    hear(&books[0], &one, &said, &two, &merged);
    ck_assert(merged.is_adopted && !books[0].is_renewal_due);
    ck_assert_uint_eq(books[0].present.generation, 2);
    core_book_done(&said);
    done_two(books);
}
END_TEST

START_TEST(a_ban_is_lifted_by_who_knows_of_it)
{
    struct core_book books[2];
    struct core_merged merged;
    make_two(books);
    struct wire_ban ban = {five, 2, true};
    renew(&books[0], 2, 8);
    ck_assert(core_book_put_ban(&books[0], &ban));
    ban = (struct wire_ban){five, CORE_GENERATION_MAX, false};
    ck_assert(core_book_put_ban(&books[1], &ban));
    hear(&books[0], &one, &books[1], &two, &merged); /* it was away, and says what it was told */
    ck_assert(merged.are_they_behind && core_book_is_banned(&books[0], &five));
    renew(&books[1], CORE_GENERATION_MAX, 9);
    hear(&books[0], &one, &books[1], &two, &merged); /* or made a secret of it */
    ck_assert(merged.is_rival_new && core_book_is_banned(&books[0], &five));
    renew(&books[0], 3, 8);
    hear(&books[1], &two, &books[0], &one, &merged); /* and then it hears */
    ck_assert(merged.is_adopted && core_book_is_banned(&books[1], &five));
    ck_assert_uint_le(core_book_ban(&books[1], &five)->generation, 3);
    ban = (struct wire_ban){five, 4, false};
    renew(&books[1], 4, 8);
    ck_assert(core_book_put_ban(&books[1], &ban));
    hear(&books[0], &one, &books[1], &two, &merged);
    ck_assert(merged.is_adopted && !core_book_is_banned(&books[0], &five));
    done_two(books);
}
END_TEST

START_TEST(a_new_secret_leaves_out_whom_its_maker_does_not_know)
{
    struct wire_key self = {.b = {1}};
    struct wire_key from = {.b = {2}};
    struct wire_key invited = {.b = {3}};
    struct wire_key thief = {.b = {4}}; /* it proved the former secret to us, while we were away */
    struct wire_member named = {.key = {.b = {5}}};
    struct core_book away;
    struct core_merged merged;
    struct wire_older older;
    core_book_init(&away);
    renew(&away, 1, 8);
    struct wire_message said = membership(2, 8, &away.present, &older);
    said.membership.members = (struct wire_members){.items = &named, .n = 1};
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

START_TEST(older_secrets_are_the_newest_that_there_were)
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

static const struct wire_key thief = {.b = {0x7e, 4}};

START_TEST(while_a_renewal_is_due_nobody_becomes_a_member)
{
    struct world *world = closed(3, 44);
    struct core_trust *trust = &world_core(world, 0)->trust;
    up(world, WORLD_LONE_LINK, &thief, WIRE_DOOR_PRESENT);
    ck_assert(core_book_is_member(&trust->now, &thief)); /* a friend of a friend, else */
    struct wire_key second = thief;
    second.b[2] = 1;
    trust->now.is_renewal_due = true;
    up(world, WORLD_LONE_LINK + 1, &second, WIRE_DOOR_PRESENT);
    ck_assert_uint_eq(world_last_closed(world, 0).link, WORLD_LONE_LINK + 1);
    ck_assert(!core_book_is_member(&trust->now, &second));
    struct wire_message said = {.type = WIRE_MESSAGE_MEMBERSHIP};
    struct wire_member named = {.key = second};
    said.membership.generation = trust->now.present.generation;
    said.membership.secret = trust->now.present.secret;
    said.membership.members = (struct wire_members){.items = &named, .n = 1};
    world_forge(world, 1, 0, &said);
    world_run_for(world, 10 * CORE_MS);
    ck_assert(!core_book_is_member(&trust->now, &second));
    world_free(world);
}
END_TEST

/* Node 3 was banned by 0 while 2 was away; 2 comes back where nobody else is and is told a secret
 * that 3 made, and that somebody is a member who is 3 under a new key. */
static void be_deceived(struct world *world, uint64_t generation, const struct wire_ban *ban)
{
    world_kill(world, 2);
    world_run_for(world, SETTLE_NS);
    ck_assert(world_ban(world, 0, 3, false));
    world_run_for(world, SETTLE_NS);
    world_kill(world, 0);
    world_kill(world, 1);
    world_restart(world, 2);
    world_run_for(world, SETTLE_NS);
    ck_assert(world_are_linked(world, 2, 3));
    struct wire_older older;
    struct wire_message said = membership(generation, 7, &book(world, 2)->present, &older);
    struct wire_member members[] = {
        {thief}, {*key_of(world, 0)}, {*key_of(world, 1)}, {*key_of(world, 3)}};
    said.membership.members = (struct wire_members){.items = members, .n = ARRAY_LEN(members)};
    said.membership.bans = (struct wire_bans){.items = ban, .n = ban != NULL};
    world_forge(world, 3, 2, &said);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(book(world, 2)->present.secret.b[5], 7); /* it cannot know better */
    ck_assert(core_book_is_member(book(world, 2), &thief));
}

/* Whether the secret is one that the banned peer made, or that was told the thief. */
static void assert_clean(struct world *world, const struct core_secret *told)
{
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(core_book_is_banned(book(world, i), key_of(world, 3)));
        ck_assert(!core_book_is_member(book(world, i), &thief));
        ck_assert_uint_ne(book(world, i)->present.secret.b[5], 7);
        ck_assert_int_ne(core_secret_cmp(&book(world, i)->present, told), 0);
        ck_assert_uint_lt(generation(world, i), 20);
        ck_assert(!book(world, i)->is_renewal_due);
    }
    ASSERT_ONE_MESH(world, 0, 1, 2);
    assert_alone(world, 3, 4);
}

START_TEST(what_a_banned_peer_told_a_member_that_was_away_goes_no_further)
{
    static const uint64_t generations[] = {2, 3, 9, CORE_GENERATION_MAX - 1, CORE_GENERATION_MAX};
    for (unsigned k = 0; k < 4 * ARRAY_LEN(generations); k++) {
        struct world *world = closed(5, 45 + k);
        world_kill(world, 4);
        /* It may know of its ban and say so, or say that it was lifted. */
        uint64_t generation = generations[k / 4];
        struct wire_ban ban = {*key_of(world, 3), generation, k % 4 == 1};
        be_deceived(world, generation, k % 4 == 0 ? NULL : &ban);
        if (k % 4 == 3) { /* and what it then makes itself, the thief is told, too */
            ck_assert(world_ban(world, 2, 4, false));
        }
        const struct core_secret told = book(world, 2)->present;
        world_restart(world, 0);
        world_restart(world, 1);
        world_run_for(world, 60 * CORE_S);
        assert_clean(world, &told);
        world_free(world);
    }
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
    tcase_add_test(tc, what_was_made_apart_takes_a_secret_that_follows_both);
    tcase_add_test(tc, of_two_that_followed_the_same_the_lower_holds);
    tcase_add_test(tc, a_ban_is_lifted_by_who_knows_of_it);
    tcase_add_test(tc, a_new_secret_leaves_out_whom_its_maker_does_not_know);
    tcase_add_test(tc, older_secrets_are_the_newest_that_there_were);
    tcase_add_test(tc, while_a_renewal_is_due_nobody_becomes_a_member);
    tcase_add_test(tc, what_a_banned_peer_told_a_member_that_was_away_goes_no_further);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
