/* What a peer gone bad can do with its own keys: hellos, proofs and frames that are signed and
 * sealed as they should be, and wrong. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "tests/lib/runner.h"
#include "tests/unit/session_pair.h"
#include "wire/handshake.h"
#include "wire/pack.h"

static struct pair pair;

static void set_up(void)
{
    pair_configure(&pair);
    pair_start(&pair);
}

static void tear_down(void)
{
    pair_done(&pair);
}

/* --- hellos that are signed well and wrong --- */

enum fault {
    FAULT_NONE,
    FAULT_EXTRA_FIELD,
    FAULT_ZERO_EPHEMERAL,
    FAULT_LOW_ORDER_EPHEMERAL,
    FAULT_MISSING_FIELD,
    FAULT_TRAILING_BYTE,
    FAULT_SHORT_TAG,
    FAULT_VERSION_ZERO,
    FAULT_VERSION_REVERSED,
    FAULT_CORES,
    FAULT_PORT,
    FAULT_NAME_LONG,
    FAULT_NAME_NO_TEXT,
    FAULT_NO_ARRAY,
    FAULT_EMPTY,
    N_FAULTS,
};

static void pack_faulty(struct buf *to, enum fault fault)
{
    static const uint8_t name[WIRE_NAME_BYTES_MAX + 1] = {'x'};
    /* The point of order 8 that RFC 7748 implementations reject by the zero result. */
    static const uint8_t low_order[32] = {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae,
                                          0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
                                          0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
                                          0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00};
    static const uint8_t zero[32] = {0};
    uint8_t ephemeral[32], scalar[32] = {9};
    ck_assert_int_eq(crypto_scalarmult_base(ephemeral, scalar), 0);
    const uint8_t *point = fault == FAULT_ZERO_EPHEMERAL        ? zero
                           : fault == FAULT_LOW_ORDER_EPHEMERAL ? low_order
                                                                : ephemeral;
    if (fault == FAULT_NO_ARRAY) {
        wire_pack_uint(to, 14);
        return;
    }
    if (fault == FAULT_EMPTY) {
        return;
    }
    wire_pack_array(to, fault == FAULT_EXTRA_FIELD ? 15 : fault == FAULT_MISSING_FIELD ? 13 : 14);
    wire_pack_uint(to, fault == FAULT_VERSION_ZERO ? 0 : 1);
    wire_pack_uint(to, fault == FAULT_VERSION_REVERSED ? 0 : 1);
    wire_pack_bin(to, slice_of(wire_identity_key(pair.identity[A])->b, 32));
    wire_pack_uint(to, 5);
    wire_pack_uint(to, 6);
    wire_pack_bin(to, slice_of(point, 32));
    wire_pack_bin(to, slice_of(zero, 32));
    wire_pack_bin(to, slice_of(zero, fault == FAULT_SHORT_TAG ? 15 : 16));
    wire_pack_uint(to, fault == FAULT_CORES ? WIRE_CORES_MAX + 1 : 4);
    wire_pack_uint(to, fault == FAULT_PORT ? 65536 : 7);
    wire_pack_str(to, fault == FAULT_NAME_LONG      ? slice_of(name, sizeof(name))
                      : fault == FAULT_NAME_NO_TEXT ? slice_str("\xff")
                                                    : slice_str("evil"));
    wire_pack_str(to, slice_str(""));
    wire_pack_str(to, slice_str(""));
    if (fault != FAULT_MISSING_FIELD) {
        wire_pack_str(to, slice_str(""));
    }
    if (fault == FAULT_EXTRA_FIELD) {
        wire_pack_str(to, slice_str("from the future"));
    }
    if (fault == FAULT_TRAILING_BYTE) {
        wire_pack_uint(to, 1);
    }
}

/* A hello frame of the initiator with this body, signed as it should be. */
static void sign_hello(struct buf *to, struct slice body)
{
    uint8_t digest[32], signature[64];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, (const uint8_t *)"mesh hello\0\1", 12);
    crypto_generichash_update(&state, body.p, body.n);
    crypto_generichash_final(&state, digest, 32);
    wire_identity_sign(pair.identity[A], slice_of(digest, 32), signature);
    uint8_t prefix[4];
    wire_put_u32(prefix, (uint32_t)(5 + 64 + body.n));
    buf_append(to, prefix, 4);
    buf_append(to, "mesh\1", 5);
    buf_append(to, signature, 64);
    buf_append_slice(to, body);
}

START_TEST(a_hello_that_is_malformed_or_weak_is_refused_though_signed)
{
    struct buf body, frame;
    buf_init(&body, 4096);
    buf_init(&frame, 4096);
    for (enum fault fault = FAULT_NONE; fault < N_FAULTS; fault++) {
        buf_clear(&body);
        buf_clear(&frame);
        pack_faulty(&body, fault);
        sign_hello(&frame, buf_slice(&body));
        pair_start(&pair);
        int r = pair_hear(&pair, B, buf_slice(&frame));
        if (fault == FAULT_NONE || fault == FAULT_EXTRA_FIELD) {
            ck_assert_msg(r == 0, "%d: %s", (int)fault, pair.err[B].text);
            ck_assert(slice_eq_str(wire_session_peer(pair.session[B])->name, "evil"));
        } else {
            ck_assert_msg(r == -EPROTO, "%d", (int)fault);
            pair_failed(&pair, B, WIRE_REASON_PROTOCOL);
        }
    }
    buf_done(&body);
    buf_done(&frame);
}
END_TEST

/* --- a proved peer gone bad --- */

/* A real handshake driven by hand on A's side, so that its seal can be misused. */
static struct wire_handshake evil;

static void evil_handshake(void)
{
    struct buf out;
    buf_init(&out, 8192);
    pair_start(&pair);
    ck_assert_int_eq(wire_handshake_init(&evil, &pair.config[A], &out), 0);
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&out)), 0);
    pair_drain(&pair, B);
    buf_clear(&out);
    for (unsigned i = 0; i < 2; i++) {
        struct slice frame = nth_frame(buf_slice(&pair.pipe[B]), i);
        frame = slice_from(frame, 4);
        enum wire_reason reason;
        ck_assert_int_eq(wire_handshake_frame(&evil, frame, &out, &reason, NULL), 0);
    }
    ck_assert_int_eq(evil.state, WIRE_HANDSHAKE_PROVED);
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&out)), 0);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_UP);
    buf_done(&out);
}

/* A's hello, and then a proof that seals this signature. */
static int evil_proof(const uint8_t signature[static WIRE_SIGNATURE_BYTES], bool is_final)
{
    uint8_t sealed[WIRE_SIGNATURE_BYTES + WIRE_SEAL_BYTES], prefix[4];
    wire_seal_push(&evil.secrets->send, slice_of(signature, WIRE_SIGNATURE_BYTES), is_final,
                   sealed);
    struct buf frame;
    buf_init(&frame, 256);
    wire_put_u32(prefix, 5 + WIRE_STREAM_HEADER_BYTES + sizeof(sealed));
    buf_append(&frame, prefix, sizeof(prefix));
    buf_append(&frame, "mesh\3", 5);
    buf_append(&frame, evil.header, sizeof(evil.header));
    buf_append(&frame, sealed, sizeof(sealed));
    int r = pair_hear(&pair, B, buf_slice(&frame));
    buf_done(&frame);
    return r;
}

START_TEST(a_proof_by_another_key_or_for_another_end_is_refused)
{
    static const struct {
        int signer;
        uint8_t role;
        bool is_final;
        int result;
        enum wire_reason reason;
    } cases[] = {
        {A, WIRE_ROLE_INITIATOR, false, 0, WIRE_REASON_NONE},
        {B, WIRE_ROLE_INITIATOR, false, -EPROTO, WIRE_REASON_SIGNATURE},
        {A, WIRE_ROLE_RESPONDER, false, -EPROTO, WIRE_REASON_SIGNATURE},
        {A, WIRE_ROLE_INITIATOR, true, -EPROTO, WIRE_REASON_SEAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        enum wire_reason reason;
        buf_init(&out, 8192);
        pair_start(&pair);
        ck_assert_int_eq(wire_handshake_init(&evil, &pair.config[A], &out), 0);
        ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&out)), 0);
        pair_drain(&pair, B);
        struct slice hello = nth_frame(buf_slice(&pair.pipe[B]), 0);
        hello = slice_from(hello, 4);
        ck_assert_int_eq(wire_handshake_frame(&evil, hello, &out, &reason, NULL), 0);

        uint8_t text[sizeof("mesh proof") + 1 + 32] = "mesh proof", digest[32], signature[64];
        text[sizeof("mesh proof")] = cases[i].role;
        memcpy(text + sizeof("mesh proof") + 1, evil.session_id, 32);
        ck_assert_int_eq(crypto_generichash(digest, 32, text, sizeof(text), NULL, 0), 0);
        wire_identity_sign(pair.identity[cases[i].signer], slice_of(digest, 32), signature);
        ck_assert_int_eq(evil_proof(signature, cases[i].is_final), cases[i].result);
        if (cases[i].result < 0) {
            pair_failed(&pair, B, cases[i].reason);
        } else {
            ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_UP);
        }
        wire_handshake_done(&evil);
        buf_done(&out);
    }
}
END_TEST

/* Sends one frame with this body, signed by `signer`. */
static int evil_frame(struct slice body, const struct wire_identity *signer, bool is_final)
{
    struct buf plain, frame;
    buf_init(&plain, WIRE_SIGNATURE_BYTES + WIRE_BODY_BYTES_MAX);
    buf_init(&frame, WIRE_PREFIX_BYTES + WIRE_FRAME_BYTES_MAX);
    uint8_t *room = buf_reserve(&plain, WIRE_SIGNATURE_BYTES);
    ck_assert_ptr_nonnull(room);
    buf_extend(&plain, WIRE_SIGNATURE_BYTES);
    buf_append_slice(&plain, body);
    ck_assert_int_eq(
        wire_frame_seal(&evil.secrets->send, signer, plain.p, plain.n, is_final, &frame), 0);
    int r = pair_hear(&pair, B, buf_slice(&frame));
    buf_done(&plain);
    buf_done(&frame);
    return r;
}

START_TEST(a_bad_signature_under_a_good_seal_ends_the_session)
{
    evil_handshake();
    struct buf body;
    buf_init(&body, 4096);
    struct wire_message message = beat(0);
    wire_body_begin(&body, 1);
    ck_assert_int_eq(wire_message_encode(&message, &body), 0);
    ck_assert_int_eq(evil_frame(buf_slice(&body), pair.identity[A], false), 0);
    ck_assert_uint_eq(pair.n_received[B], 1);
    ck_assert_int_eq(evil_frame(buf_slice(&body), pair.identity[B], false), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SIGNATURE);
    ck_assert_uint_eq(pair.n_received[B], 1);
    buf_done(&body);
    wire_handshake_done(&evil);
}
END_TEST

START_TEST(a_body_that_breaks_a_rule_ends_the_session)
{
    struct wire_message message = beat(0);
    struct wire_message goodbye = {.type = WIRE_MESSAGE_GOODBYE,
                                   .goodbye = {.reason = WIRE_REASON_LEAVING}};
    struct wire_message local = {.type = WIRE_MESSAGE_SET_CORES, .set_cores = {.cores = 0}};
    const struct {
        uint32_t n_claimed;
        const struct wire_message *messages[3];
        const char *trailing;
        bool is_final;
        uint64_t n_delivered;
    } cases[] = {
        {0, {NULL}, "", false, 0},
        {2, {&message}, "", false, 1},               /* one is missing */
        {1, {&message}, "\1", false, 0},             /* bytes behind */
        {1, {&local}, "", false, 0},                 /* not between peers */
        {1, {&goodbye}, "", false, 0},               /* goodbye, but not the end */
        {2, {&goodbye, &message}, "", true, 0},      /* goodbye is not last */
        {1, {&message}, "", true, 0},                /* an end without goodbye */
        {70000, {&message, &message}, "", false, 0}, /* more than there can be */
        {1, {NULL}, "\x91\xc1", false, 0},           /* no msgpack */
    };
    struct buf body;
    buf_init(&body, 1u << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        evil_handshake();
        buf_clear(&body);
        wire_pack_array(&body, cases[i].n_claimed);
        for (unsigned k = 0; k < 3 && cases[i].messages[k] != NULL; k++) {
            ck_assert_int_eq(wire_message_encode(cases[i].messages[k], &body), 0);
        }
        buf_append_str(&body, cases[i].trailing);
        int r = evil_frame(buf_slice(&body), pair.identity[A], cases[i].is_final);
        ck_assert_msg(r == -EPROTO, "case %zu: %d", i, r);
        ck_assert_msg(pair.n_received[B] == cases[i].n_delivered, "case %zu", i);
        pair_failed(&pair, B, WIRE_REASON_PROTOCOL);
        wire_handshake_done(&evil);
    }
    buf_done(&body);
}
END_TEST

START_TEST(too_many_messages_in_a_frame_are_refused)
{
    evil_handshake();
    struct buf body;
    buf_init(&body, 1u << 20);
    struct wire_message message = {.type = WIRE_MESSAGE_BEAT_ACK};
    wire_pack_array(&body, WIRE_BATCH_MESSAGES_MAX + 1);
    for (unsigned i = 0; i < WIRE_BATCH_MESSAGES_MAX + 1; i++) {
        ck_assert_int_eq(wire_message_encode(&message, &body), 0);
    }
    ck_assert_int_eq(evil_frame(buf_slice(&body), pair.identity[A], false), -EPROTO);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_FAILED);
    ck_assert_uint_eq(pair.n_received[B], 0);
    buf_done(&body);
    wire_handshake_done(&evil);
}
END_TEST

START_TEST(messages_of_the_future_are_skipped)
{
    evil_handshake();
    struct buf body;
    buf_init(&body, 4096);
    struct wire_message message = beat(0);
    wire_body_begin(&body, 3);
    buf_append(&body, "\x93\x3e\xa3new\xc0", 7); /* [62, "new", nil] */
    ck_assert_int_eq(wire_message_encode(&message, &body), 0);
    buf_append(&body, "\x91\xcd\x10\x00", 4); /* [4096] */
    ck_assert_int_eq(evil_frame(buf_slice(&body), pair.identity[A], false), 0);
    ck_assert_uint_eq(pair.n_received[B], 1);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_UP);
    buf_done(&body);
    wire_handshake_done(&evil);
}
END_TEST

START_TEST(lengths_beyond_the_limit_are_refused_before_their_bytes_come)
{
    evil_handshake();
    uint8_t claim[4];
    wire_put_u32(claim, WIRE_FRAME_BYTES_MAX + 1);
    ck_assert_int_eq(pair_hear(&pair, B, slice_of(claim, 3)), 0);
    ck_assert_int_eq(pair_hear(&pair, B, slice_of(claim + 3, 1)), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_LIMIT);
    wire_handshake_done(&evil);
    /* Too short to hold a signature and a byte. */
    evil_handshake();
    uint8_t tiny[4 + WIRE_SEAL_BYTES + WIRE_SIGNATURE_BYTES] = {0, 0, 0, 81};
    ck_assert_int_eq(pair_hear(&pair, B, slice_of(tiny, sizeof(tiny))), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
    wire_handshake_done(&evil);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_evil");
    TCase *bad = tcase_create("bad_peer");
    tcase_add_checked_fixture(bad, set_up, tear_down);
    tcase_add_test(bad, a_hello_that_is_malformed_or_weak_is_refused_though_signed);
    tcase_add_test(bad, a_proof_by_another_key_or_for_another_end_is_refused);
    tcase_add_test(bad, a_bad_signature_under_a_good_seal_ends_the_session);
    tcase_add_test(bad, a_body_that_breaks_a_rule_ends_the_session);
    tcase_add_test(bad, too_many_messages_in_a_frame_are_refused);
    tcase_add_test(bad, messages_of_the_future_are_skipped);
    tcase_add_test(bad, lengths_beyond_the_limit_are_refused_before_their_bytes_come);
    suite_add_tcase(suite, bad);
    return run_suite(suite);
}
