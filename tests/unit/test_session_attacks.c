/* Everything a stranger or a man in the middle can do to the bytes of a session. Whatever they do,
 * it ends FAILED or waits on, and delivers nothing that was not said. */
#include <errno.h>
#include <stdlib.h>

#include "tests/lib/runner.h"
#include "tests/unit/session_pair.h"
#include "wire/handshake.h"

static struct pair pair;
/* What one whole conversation consists of: what each says in each of its two turns. */
static struct buf said[2][2];
enum { N_FRAMES = 3 }; /* of one beat each, in each second turn */

static void say_in_turn(int from, int turn)
{
    struct buf *to = &said[from][turn];
    buf_clear(to);
    while (wire_session_has_output(pair.session[from])) {
        ck_assert_int_eq(wire_session_drain(pair.session[from], to), 0);
    }
    ck_assert_int_eq(pair_hear(&pair, 1 - from, buf_slice(to)), 0);
}

/* Each beat in a frame of its own, behind whatever the session has to say first. */
static void say_beats(int from)
{
    struct buf *to = &said[from][1];
    buf_clear(to);
    for (uint64_t i = 0; i < N_FRAMES; i++) {
        pair_send(&pair, from, i);
        ck_assert_int_eq(wire_session_drain(pair.session[from], to), 0);
    }
    ck_assert(!wire_session_has_output(pair.session[from]));
    ck_assert_int_eq(pair_hear(&pair, 1 - from, buf_slice(to)), 0);
}

static void record(void)
{
    pair_start(&pair);
    say_in_turn(A, 0);
    say_in_turn(B, 0);
    say_beats(A);
    say_beats(B);
    ck_assert_uint_eq(pair.n_received[A], N_FRAMES);
    ck_assert_uint_eq(pair.n_received[B], N_FRAMES);
}

static void set_up(void)
{
    pair_configure(&pair);
    for (int i = 0; i < 4; i++) {
        buf_init(&said[i / 2][i % 2], 1u << 20);
    }
    record();
    pair_start(&pair);
}

static void tear_down(void)
{
    pair_done(&pair);
    for (int i = 0; i < 4; i++) {
        buf_done(&said[i / 2][i % 2]);
    }
}

static struct slice turn(int from, int i)
{
    return buf_slice(&said[from][i]);
}

/* Brings `to` to the point where it has heard the other's first turn. */
static void hear_first(int to)
{
    ck_assert_int_eq(pair_hear(&pair, to, turn(1 - to, 0)), 0);
}

/* --- bytes that were changed, cut or moved --- */

/* What one listener makes of the other's two turns, of which one byte is altered: the frames before
 * it are delivered and nothing after. */
static void hear_flipped(int to, int i_turn, size_t at, unsigned bit)
{
    struct buf *altered = &said[1 - to][i_turn];
    altered->p[at] ^= (uint8_t)(1u << bit);
    /* Length prefixes that grow leave it waiting for more, so neither call needs to fail. */
    IGNORE(pair_hear(&pair, to, turn(1 - to, 0)));
    IGNORE(pair_hear(&pair, to, turn(1 - to, 1)));
    altered->p[at] ^= (uint8_t)(1u << bit);

    /* Frames that were whole before the altered byte; the first a responder hears is the proof. */
    unsigned n_before = 0, n_proofs = to == B ? 1 : 0;
    size_t end = 0;
    for (unsigned i = 0; i_turn == 1 && i < n_proofs + N_FRAMES; i++) {
        end += nth_frame(turn(1 - to, 1), i).n;
        n_before += at >= end && i >= n_proofs;
    }
    ck_assert_uint_eq(pair.n_received[to], n_before);
    enum wire_session_state state = pair_state(&pair, to);
    bool is_unproved = i_turn == 0 || (to == B && at < nth_frame(turn(A, 1), 0).n);
    if (is_unproved) {
        ck_assert_msg(state != WIRE_SESSION_UP, "turn %d byte %zu bit %u", i_turn, at, bit);
    }
}

START_TEST(a_flipped_bit_anywhere_delivers_nothing)
{
    int to = _i / 2, i_turn = _i % 2;
    size_t n = said[1 - to][i_turn].n;
    ck_assert_uint_gt(n, 200);
    for (size_t at = 0; at < n; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            pair_start(&pair);
            hear_flipped(to, i_turn, at, bit);
        }
    }
}
END_TEST

START_TEST(a_stream_cut_at_any_byte_delivers_whole_frames_only)
{
    for (int to = 0; to < 2; to++) {
        size_t n_first = said[1 - to][0].n, n_all = n_first + said[1 - to][1].n;
        uint64_t n_last = 0;
        for (size_t n = 0; n <= n_all; n++) {
            pair_start(&pair);
            size_t n_heard = n < n_first ? n : n_first;
            ck_assert_int_eq(pair_hear(&pair, to, slice_of(said[1 - to][0].p, n_heard)), 0);
            if (n > n_first) {
                struct slice part = slice_of(said[1 - to][1].p, n - n_first);
                ck_assert_int_eq(pair_hear(&pair, to, part), 0);
            }
            ck_assert_uint_ge(pair.n_received[to], n_last);
            ck_assert_uint_le(pair.n_received[to], n_last + 1);
            n_last = pair.n_received[to];
            ck_assert_int_ne(pair_state(&pair, to), WIRE_SESSION_FAILED);
            ck_assert_int_ne(pair_state(&pair, to), WIRE_SESSION_ENDED);
        }
        ck_assert_uint_eq(n_last, N_FRAMES);
    }
}
END_TEST

START_TEST(a_frame_that_is_replayed_is_refused)
{
    hear_first(B);
    ck_assert_int_eq(pair_hear(&pair, B, turn(A, 1)), 0);
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(A, 1), N_FRAMES)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
    ck_assert_uint_eq(pair.n_received[B], N_FRAMES);
}
END_TEST

START_TEST(frames_that_change_places_are_refused)
{
    hear_first(B);
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(A, 1), 0)), 0);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_UP);
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(A, 1), 2)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
    ck_assert_uint_eq(pair.n_received[B], 0);
}
END_TEST

START_TEST(a_frame_that_is_left_out_is_noticed)
{
    hear_first(B);
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(A, 1), 0)), 0);
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(A, 1), 1)), 0);
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(A, 1), 3)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
}
END_TEST

START_TEST(what_is_reflected_to_its_sender_is_refused)
{
    /* The hello. */
    ck_assert_int_eq(pair_hear(&pair, A, turn(A, 0)), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_SELF);
    /* The proof, and a sealed frame. */
    pair_start(&pair);
    hear_first(B);
    pair_drain(&pair, B);
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(B, 0), 1)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
    pair_start(&pair);
    hear_first(A);
    ck_assert_int_eq(pair_hear(&pair, A, nth_frame(turn(A, 1), 1)), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_SEAL);
}
END_TEST

START_TEST(a_hello_of_the_other_role_is_refused)
{
    /* The right key, but signed for the other role: what a third party would pass along. */
    pair.config[B].is_initiator = true;
    pair_start(&pair);
    pair_drain(&pair, B);
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&pair.pipe[B])), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_SIGNATURE);
}
END_TEST

START_TEST(a_conversation_that_is_replayed_proves_nothing)
{
    pair.config[B].random[5]++; /* another day: B draws other randoms */
    pair_start(&pair);
    hear_first(B);
    ck_assert_int_eq(pair_hear(&pair, B, turn(A, 1)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
    ck_assert_uint_eq(pair.n_received[B], 0);
}
END_TEST

START_TEST(a_frame_of_another_session_of_the_same_peers_is_refused)
{
    pair.config[A].random[40]++;
    pair_start(&pair);
    pair_talk(&pair, 65536);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_UP);
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(A, 1), 1)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
}
END_TEST

START_TEST(frames_of_the_handshake_come_once_and_in_order)
{
    ck_assert_int_eq(pair_hear(&pair, B, nth_frame(turn(A, 1), 0)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_PROTOCOL); /* a proof first */
    pair_start(&pair);
    hear_first(B);
    ck_assert_int_eq(pair_hear(&pair, B, turn(A, 0)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_PROTOCOL); /* a second hello */
    pair_start(&pair);
    ck_assert_int_eq(pair_hear(&pair, A, slice_of("\0\0\0\5mesh\7", 9)), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_PROTOCOL); /* a kind that is none */
    pair_start(&pair);
    ck_assert_int_eq(pair_hear(&pair, A, slice_of("\0\0\0\4mesh", 8)), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_PROTOCOL);
    pair_start(&pair);
    ck_assert_int_eq(pair_hear(&pair, A, slice_of("\0\0\0\0", 4)), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_PROTOCOL);
}
END_TEST

/* --- strangers --- */

START_TEST(a_client_of_another_protocol_is_refused_at_its_first_odd_byte)
{
    static const struct {
        const char *bytes;
        size_t n_taken; /* before the one that is refused */
        enum wire_reason reason;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", 0, WIRE_REASON_LIMIT}, {"SSH-2.0-OpenSSH", 0, WIRE_REASON_LIMIT},
        {"\x16\x03\x01\x02", 0, WIRE_REASON_LIMIT},   {"\0\1\0\0", 1, WIRE_REASON_LIMIT},
        {"\0\0\x08\1", 3, WIRE_REASON_LIMIT}, /* WIRE_HELLO_BYTES_MAX and one */
        {"\0\0\x08\0mess", 7, WIRE_REASON_PROTOCOL},  {"\0\0\0\x20PRI ", 4, WIRE_REASON_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int to = 0; to < 2; to++) {
            pair_start(&pair);
            size_t n = cases[i].n_taken;
            ck_assert_int_eq(pair_hear(&pair, to, slice_of(cases[i].bytes, n)), 0);
            ck_assert_int_eq(pair_hear(&pair, to, slice_of(cases[i].bytes + n, 1)), -EPROTO);
            pair_failed(&pair, to, cases[i].reason);
        }
    }
}
END_TEST

START_TEST(a_refusal_is_a_hint_and_cannot_reach_the_terminal_raw)
{
    struct buf frame;
    buf_init(&frame, 4096);
    wire_handshake_refuse(&frame, WIRE_REASON_BANNED, slice_str("\x1b[2J"));
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&frame)), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_BANNED);
    ck_assert_ptr_null(strchr(pair.err[A].text, '\x1b'));
    ck_assert_ptr_nonnull(strstr(pair.err[A].text, "unproved"));
    /* It is not answered: two refusals would chase each other. */
    buf_clear(&pair.pipe[A]);
    pair_drain(&pair, A);
    struct slice rest = buf_slice(&pair.pipe[A]);
    ck_assert(slice_eq(rest, turn(A, 0)));
    /* A reason of the future reads as a broken rule. */
    pair_start(&pair);
    buf_clear(&frame);
    wire_handshake_refuse(&frame, (enum wire_reason)99, slice_str("x"));
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&frame)), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_PROTOCOL);
    /* Once the peer is proved it is noise. */
    pair_start(&pair);
    hear_first(A);
    ck_assert_int_eq(pair_state(&pair, A), WIRE_SESSION_UP);
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&frame)), -EPROTO);
    pair_failed(&pair, A, WIRE_REASON_SEAL);
    buf_done(&frame);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_attacks");
    TCase *moved = tcase_create("moved");
    tcase_set_timeout(moved, 110);
    tcase_add_checked_fixture(moved, set_up, tear_down);
    tcase_add_loop_test(moved, a_flipped_bit_anywhere_delivers_nothing, 0, 4);
    tcase_add_test(moved, a_stream_cut_at_any_byte_delivers_whole_frames_only);
    tcase_add_test(moved, a_frame_that_is_replayed_is_refused);
    tcase_add_test(moved, frames_that_change_places_are_refused);
    tcase_add_test(moved, a_frame_that_is_left_out_is_noticed);
    tcase_add_test(moved, what_is_reflected_to_its_sender_is_refused);
    tcase_add_test(moved, a_hello_of_the_other_role_is_refused);
    tcase_add_test(moved, a_conversation_that_is_replayed_proves_nothing);
    tcase_add_test(moved, a_frame_of_another_session_of_the_same_peers_is_refused);
    tcase_add_test(moved, frames_of_the_handshake_come_once_and_in_order);
    suite_add_tcase(suite, moved);
    TCase *strangers = tcase_create("strangers");
    tcase_add_checked_fixture(strangers, set_up, tear_down);
    tcase_add_test(strangers, a_client_of_another_protocol_is_refused_at_its_first_odd_byte);
    tcase_add_test(strangers, a_refusal_is_a_hint_and_cannot_reach_the_terminal_raw);
    suite_add_tcase(suite, strangers);
    return run_suite(suite);
}
