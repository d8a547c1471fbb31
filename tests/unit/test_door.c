/* Who gets into a closed mesh, and who does not: the door by itself, and both ends of a handshake
 * at doors of every kind. */
#include <errno.h>
#include <string.h>

#include "tests/lib/runner.h"
#include "tests/unit/session_pair.h"

static const struct wire_secret present = {{1}};
static const struct wire_secret older = {{2}};
static const struct wire_secret oldest = {{3}};
static const struct wire_secret strange = {{4}};
static const struct wire_token token = {{5}};
static const struct wire_token other_token = {{6}};

static struct pair pair;

static void set_up(void)
{
    pair_configure(&pair);
}

static void tear_down(void)
{
    pair_done(&pair);
}

static const struct wire_key *key_of(int i)
{
    return wire_identity_key(pair.identity[i]);
}

static void talk(void)
{
    pair_start(&pair);
    pair_send(&pair, A, 0);
    pair_send(&pair, B, 0);
    pair_talk(&pair, 65536);
}

/* Both are up, proved in these ways, and hear each other. */
static void is_up_by(enum wire_door_kind kind_a, enum wire_door_kind kind_b)
{
    talk();
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(pair_state(&pair, i) == WIRE_SESSION_UP, "%s", pair.err[i].text);
        ck_assert_uint_eq(pair.n_received[i], 1);
    }
    ck_assert_int_eq(wire_session_door(pair.session[A]), kind_a);
    ck_assert_int_eq(wire_session_door(pair.session[B]), kind_b);
}

/* The one refuses with this reason, the other hears of it, and nothing is delivered. */
static void is_refused_by(int i, enum wire_reason reason)
{
    talk();
    pair_failed(&pair, i, reason);
    ck_assert_int_eq(pair_state(&pair, 1 - i), WIRE_SESSION_FAILED);
    ck_assert_ptr_nonnull(strstr(pair.err[1 - i].text, "unproved"));
    ck_assert_uint_eq(pair.n_received[A] + pair.n_received[B], 0);
}

static void invite(const struct wire_token *with)
{
    pair.config[A].invitation = with;
    pair.config[A].peer = key_of(B);
}

/* --- both have the present secret, or none --- */

START_TEST(an_open_door_lets_the_open_in)
{
    is_up_by(WIRE_DOOR_OPEN, WIRE_DOOR_OPEN);
    ck_assert_ptr_null(wire_session_invitation(pair.session[B]));
}
END_TEST

START_TEST(members_meet_by_the_present_secret)
{
    wire_door_lock(pair.door[A], &present);
    wire_door_lock(pair.door[B], &present);
    is_up_by(WIRE_DOOR_PRESENT, WIRE_DOOR_PRESENT);
    ck_assert_mem_eq(wire_session_peer(pair.session[A])->tag, pair.door[A]->present.tag,
                     WIRE_TAG_BYTES);
}
END_TEST

/* Each kind of outsider dials a member, and is dialled by one. */
START_TEST(outsiders_complete_no_session_with_a_member)
{
    int member = _i / 2;
    bool is_of_another_mesh = _i % 2 != 0;
    wire_door_lock(pair.door[member], &present);
    if (is_of_another_mesh) {
        wire_door_lock(pair.door[1 - member], &strange);
    }
    is_refused_by(B, WIRE_REASON_MESH);
    ck_assert_ptr_null(wire_session_id(pair.session[A]));
    /* What the outsider saw of a member that it dialled: not even a hello. */
    ck_assert_ptr_null(wire_session_peer(pair.session[A]));
}
END_TEST

START_TEST(who_knows_the_tag_but_not_the_secret_does_not_get_in)
{
    int thief = _i;
    wire_door_lock(pair.door[1 - thief], &present);
    wire_door_lock(pair.door[thief], &strange);
    memcpy(pair.door[thief]->present.tag, pair.door[1 - thief]->present.tag, WIRE_TAG_BYTES);
    talk();
    pair_failed(&pair, A, WIRE_REASON_SEAL);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
    ck_assert_uint_eq(pair.n_received[A] + pair.n_received[B], 0);
}
END_TEST

/* --- bans --- */

START_TEST(the_banned_are_refused_at_the_hello_whoever_dialled)
{
    int judge = _i / 2;
    bool is_locked = _i % 2 != 0;
    for (int i = 0; i < 2 && is_locked; i++) {
        wire_door_lock(pair.door[i], &present);
    }
    wire_door_add_ban(pair.door[judge], key_of(1 - judge));
    is_refused_by(judge, WIRE_REASON_BANNED);
}
END_TEST

START_TEST(a_ban_is_for_one_key)
{
    struct wire_key near = *key_of(B);
    near.b[31] ^= 1;
    wire_door_add_ban(pair.door[A], &near);
    wire_door_add_ban(pair.door[A], key_of(A));
    is_up_by(WIRE_DOOR_OPEN, WIRE_DOOR_OPEN);
}
END_TEST

/* --- older secrets --- */

static void renew(int i)
{
    wire_door_lock(pair.door[i], &present);
    wire_door_add_older(pair.door[i], &older);
    wire_door_add_older(pair.door[i], &oldest);
}

START_TEST(a_member_that_was_away_comes_in_by_an_older_secret)
{
    wire_door_lock(pair.door[A], _i == 0 ? &older : &oldest);
    renew(B);
    wire_door_add_member(pair.door[B], key_of(A));
    is_up_by(WIRE_DOOR_PRESENT, WIRE_DOOR_OLDER);
}
END_TEST

START_TEST(a_member_that_was_away_can_be_dialled_with_its_secret)
{
    renew(A);
    wire_door_add_member(pair.door[A], key_of(B));
    wire_door_lock(pair.door[B], _i == 0 ? &older : &oldest);
    pair.config[A].older = 1 + (uint32_t)_i;
    is_up_by(WIRE_DOOR_OLDER, WIRE_DOOR_PRESENT);
}
END_TEST

START_TEST(an_older_secret_is_nothing_without_being_a_member)
{
    /* Dials, then is dialled. */
    wire_door_lock(pair.door[A], &older);
    renew(B);
    wire_door_add_member(pair.door[B], key_of(B));
    is_refused_by(B, WIRE_REASON_MESH);
    wire_door_clear(pair.door[A]);
    wire_door_clear(pair.door[B]);
    renew(A);
    wire_door_lock(pair.door[B], &older);
    pair.config[A].older = 1;
    talk();
    pair_failed(&pair, A, WIRE_REASON_MESH);
    ck_assert_int_ne(pair_state(&pair, B), WIRE_SESSION_UP);
}
END_TEST

START_TEST(a_banned_member_does_not_come_in_by_an_older_secret)
{
    wire_door_lock(pair.door[A], &older);
    renew(B);
    wire_door_add_member(pair.door[B], key_of(A));
    wire_door_add_ban(pair.door[B], key_of(A));
    is_refused_by(B, WIRE_REASON_BANNED);
}
END_TEST

START_TEST(an_older_secret_that_the_other_does_not_know_any_more_is_another_mesh)
{
    renew(A);
    wire_door_add_member(pair.door[A], key_of(B));
    wire_door_lock(pair.door[B], &present);
    pair.config[A].older = 1;
    is_refused_by(B, WIRE_REASON_MESH);
}
END_TEST

/* --- invitations --- */

START_TEST(an_invitation_lets_its_bearer_in)
{
    /* From an open mesh, from a closed one, and by an invitation that it used before. */
    invite(&token);
    wire_door_lock(pair.door[B], &present);
    wire_door_add_invitation(pair.door[B], &other_token, NULL);
    if (_i == 1) {
        wire_door_lock(pair.door[A], &strange);
    }
    wire_door_add_invitation(pair.door[B], &token, _i == 2 ? key_of(A) : NULL);
    is_up_by(WIRE_DOOR_INVITATION, WIRE_DOOR_INVITATION);
    for (int i = 0; i < 2; i++) {
        ck_assert_mem_eq(wire_session_invitation(pair.session[i]), &token, sizeof(token));
    }
}
END_TEST

START_TEST(an_invitation_that_another_used_is_void)
{
    invite(&token);
    wire_door_lock(pair.door[B], &present);
    wire_door_add_invitation(pair.door[B], &token, key_of(B));
    is_refused_by(B, WIRE_REASON_INVITATION);
}
END_TEST

START_TEST(an_invitation_that_nobody_made_is_another_mesh)
{
    invite(&token);
    wire_door_lock(pair.door[B], &present);
    wire_door_add_invitation(pair.door[B], &other_token, NULL);
    is_refused_by(B, WIRE_REASON_MESH);
}
END_TEST

START_TEST(an_open_door_takes_no_invitation)
{
    invite(&token);
    wire_door_add_invitation(pair.door[B], &token, NULL);
    is_refused_by(B, WIRE_REASON_MESH);
}
END_TEST

START_TEST(the_banned_are_not_invited)
{
    int judge = _i;
    invite(&token);
    wire_door_lock(pair.door[B], &present);
    wire_door_add_invitation(pair.door[B], &token, judge == B ? key_of(A) : NULL);
    wire_door_add_ban(pair.door[judge], key_of(1 - judge));
    is_refused_by(judge, WIRE_REASON_BANNED);
}
END_TEST

START_TEST(whoever_does_not_hold_the_inviters_key_learns_nothing_from_the_invited)
{
    invite(&token);
    pair.config[A].peer = key_of(A); /* anybody but B */
    wire_door_lock(pair.door[B], &present);
    wire_door_add_invitation(pair.door[B], &token, NULL);
    is_refused_by(A, WIRE_REASON_NONE);
    ck_assert(wire_key_eq(&wire_session_peer(pair.session[A])->key, key_of(B)));
}
END_TEST

START_TEST(an_expected_key_holds_without_an_invitation_too)
{
    pair.config[A].peer = key_of(B);
    is_up_by(WIRE_DOOR_OPEN, WIRE_DOOR_OPEN);
    pair.config[A].peer = key_of(A);
    is_refused_by(A, WIRE_REASON_NONE);
}
END_TEST

START_TEST(an_inviter_without_the_token_is_found_out)
{
    /* It shows the tag that it saw in the hello, under the very key that is expected. */
    invite(&token);
    wire_door_lock(pair.door[B], &strange);
    wire_door_add_invitation(pair.door[B], &token, NULL);
    pair.door[B]->invitations[0].made.secret.b[0] ^= 1;
    talk();
    pair_failed(&pair, A, WIRE_REASON_SEAL);
    ck_assert_uint_eq(pair.n_received[A] + pair.n_received[B], 0);
}
END_TEST

/* --- a door that changes in the middle --- */

/* Says and hears everything up to, and without, the last proof. */
static void talk_to_the_last_proof(void)
{
    pair_start(&pair);
    for (int i = 0; i < 2; i++) {
        buf_clear(&pair.pipe[i]);
        pair_drain(&pair, i);
        ck_assert_int_eq(pair_hear(&pair, 1 - i, buf_slice(&pair.pipe[i])), 0);
    }
    buf_clear(&pair.pipe[A]);
    pair_drain(&pair, A);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_HANDSHAKE);
}

static void lock_late(void)
{
    wire_door_lock(pair.door[B], &present);
}

static void ban_late(void)
{
    wire_door_add_ban(pair.door[B], key_of(A));
}

static void bind_late(void)
{
    pair.door[B]->invitations[0].is_bound = true;
    pair.door[B]->invitations[0].key = *key_of(B);
}

static void expire_late(void)
{
    pair.door[B]->n_invitations = 0;
}

START_TEST(a_responders_door_that_closes_during_a_handshake_is_closed)
{
    static const struct {
        void (*change)(void);
        bool is_invited;
        enum wire_reason reason;
    } cases[] = {
        {lock_late, false, WIRE_REASON_MESH},
        {ban_late, false, WIRE_REASON_BANNED},
        {bind_late, true, WIRE_REASON_INVITATION},
        {expire_late, true, WIRE_REASON_MESH},
    };
    if (cases[_i].is_invited) {
        invite(&token);
        wire_door_lock(pair.door[B], &present);
        wire_door_add_invitation(pair.door[B], &token, NULL);
    }
    talk_to_the_last_proof();
    cases[_i].change();
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), -EPROTO);
    pair_failed(&pair, B, cases[_i].reason);
}
END_TEST

START_TEST(a_secret_that_is_renewed_during_a_handshake_is_an_older_one)
{
    wire_door_lock(pair.door[A], &older);
    wire_door_lock(pair.door[B], &older);
    talk_to_the_last_proof();
    wire_door_clear(pair.door[B]);
    renew(B);
    wire_door_add_member(pair.door[B], key_of(A));
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), 0);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_UP);
    ck_assert_int_eq(wire_session_door(pair.session[B]), WIRE_DOOR_OLDER);
}
END_TEST

START_TEST(an_initiator_whose_mesh_changes_dials_anew)
{
    wire_door_lock(pair.door[B], &present);
    wire_door_add_invitation(pair.door[B], &token, NULL);
    if (_i == 1) {
        invite(&token);
    } else {
        wire_door_lock(pair.door[A], &present);
    }
    pair_start(&pair);
    pair_drain(&pair, A);
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), 0);
    pair_drain(&pair, B);
    wire_door_lock(pair.door[A], &strange);
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&pair.pipe[B])), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_REPLACED);
}
END_TEST

/* --- the words that are hashed --- */

START_TEST(no_label_is_the_beginning_of_another)
{
    static const char *const labels[] = {WIRE_LABEL_HELLO, WIRE_LABEL_SESSION, WIRE_LABEL_KEY,
                                         WIRE_LABEL_PROOF, WIRE_LABEL_FRAME,   WIRE_LABEL_TAG,
                                         WIRE_LABEL_INVITE};
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        for (size_t j = 0; j < ARRAY_LEN(labels); j++) {
            ck_assert(i == j || strncmp(labels[i], labels[j], strlen(labels[i])) != 0);
        }
    }
}
END_TEST

START_TEST(a_full_door_knows_all_of_them)
{
    struct wire_door *door = pair.door[A];
    struct wire_door_answer answer;
    enum wire_reason reason;
    uint8_t tag[WIRE_TAG_BYTES];
    wire_door_lock(door, &present);
    for (unsigned i = 0; i < WIRE_OLDER_MAX; i++) {
        wire_door_add_older(door, &(struct wire_secret){{7, (uint8_t)i}});
    }
    for (unsigned i = 0; i < WIRE_INVITATIONS_MAX; i++) {
        wire_door_add_invitation(door, &(struct wire_token){{8, (uint8_t)i}}, NULL);
    }
    for (unsigned i = 0; i < WIRE_MEMBERS_MAX; i++) {
        wire_door_add_member(door, &(struct wire_key){{9, (uint8_t)i, (uint8_t)(i >> 8)}});
    }
    for (unsigned i = 0; i < WIRE_BANS_MAX; i++) {
        wire_door_add_ban(door, &(struct wire_key){{10, (uint8_t)i, (uint8_t)(i >> 8)}});
    }
    struct wire_key last_member = {{9, 0xff, 0x0f}}, last_ban = {{10, 0xff, 0x03}};
    wire_mesh_tag(&(struct wire_secret){{7, WIRE_OLDER_MAX - 1}}, tag);
    ck_assert_int_eq(wire_door_admit(door, tag, &last_member, &answer, &reason), 0);
    ck_assert_int_eq(answer.kind, WIRE_DOOR_OLDER);
    ck_assert_int_eq(wire_door_admit(door, tag, key_of(B), &answer, &reason), -EACCES);
    ck_assert_int_eq(wire_door_admit(door, tag, &last_ban, &answer, &reason), -EACCES);
    ck_assert_int_eq(reason, WIRE_REASON_BANNED);
    struct wire_secret made;
    wire_invitation_secret(&(struct wire_token){{8, WIRE_INVITATIONS_MAX - 1}}, &made);
    wire_mesh_tag(&made, tag);
    ck_assert_int_eq(wire_door_admit(door, tag, key_of(B), &answer, &reason), 0);
    ck_assert_int_eq(answer.kind, WIRE_DOOR_INVITATION);
    ck_assert_uint_eq(answer.token->b[1], WIRE_INVITATIONS_MAX - 1);
    wire_door_clear(door);
    ck_assert_int_eq(wire_door_admit(door, tag, key_of(B), &answer, &reason), -EACCES);
    memset(tag, 0, sizeof(tag));
    ck_assert_int_eq(wire_door_admit(door, tag, &last_ban, &answer, &reason), 0);
    ck_assert_int_eq(answer.kind, WIRE_DOOR_OPEN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("door");
    TCase *tcase = tcase_create("door");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, an_open_door_lets_the_open_in);
    tcase_add_test(tcase, members_meet_by_the_present_secret);
    tcase_add_loop_test(tcase, outsiders_complete_no_session_with_a_member, 0, 4);
    tcase_add_loop_test(tcase, who_knows_the_tag_but_not_the_secret_does_not_get_in, 0, 2);
    tcase_add_loop_test(tcase, the_banned_are_refused_at_the_hello_whoever_dialled, 0, 4);
    tcase_add_test(tcase, a_ban_is_for_one_key);
    tcase_add_loop_test(tcase, a_member_that_was_away_comes_in_by_an_older_secret, 0, 2);
    tcase_add_loop_test(tcase, a_member_that_was_away_can_be_dialled_with_its_secret, 0, 2);
    tcase_add_test(tcase, an_older_secret_is_nothing_without_being_a_member);
    tcase_add_test(tcase, a_banned_member_does_not_come_in_by_an_older_secret);
    tcase_add_test(tcase, an_older_secret_that_the_other_does_not_know_any_more_is_another_mesh);
    tcase_add_loop_test(tcase, an_invitation_lets_its_bearer_in, 0, 3);
    tcase_add_test(tcase, an_invitation_that_another_used_is_void);
    tcase_add_test(tcase, an_invitation_that_nobody_made_is_another_mesh);
    tcase_add_test(tcase, an_open_door_takes_no_invitation);
    tcase_add_loop_test(tcase, the_banned_are_not_invited, 0, 2);
    tcase_add_test(tcase, whoever_does_not_hold_the_inviters_key_learns_nothing_from_the_invited);
    tcase_add_test(tcase, an_expected_key_holds_without_an_invitation_too);
    tcase_add_test(tcase, an_inviter_without_the_token_is_found_out);
    tcase_add_loop_test(tcase, a_responders_door_that_closes_during_a_handshake_is_closed, 0, 4);
    tcase_add_test(tcase, a_secret_that_is_renewed_during_a_handshake_is_an_older_one);
    tcase_add_loop_test(tcase, an_initiator_whose_mesh_changes_dials_anew, 0, 2);
    tcase_add_test(tcase, no_label_is_the_beginning_of_another);
    tcase_add_test(tcase, a_full_door_knows_all_of_them);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
