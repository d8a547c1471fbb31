#include <errno.h>
#include <sodium.h>

#include "tests/lib/runner.h"
#include "wire/frame.h"

static const uint8_t key[32] = {1, 2, 3};
static const uint8_t session_id[WIRE_SESSION_ID_BYTES] = {4, 5, 6};

static void set_up(void)
{
    ck_assert_int_eq(wire_init(), 0);
}

START_TEST(a_prefix_is_judged_by_the_bytes_that_are_there)
{
    static const struct {
        const char *bytes;
        size_t n;
        int result;
    } cases[] = {
        {"", 0, 0},           {"\0", 1, 0},
        {"\1", 1, -EPROTO},   {"\0\0\1", 3, -EPROTO}, /* at least 256 */
        {"\0\0\0\x64", 4, 0}, {"\0\0\0\x65", 4, -EPROTO},
        {"\0\0\0\2x", 5, 0},  {"\0\0\0\2xyz", 7, 1},
        {"\0\0\0\0", 4, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice frame = slice_of("?", 1);
        int r = wire_frame_peek(slice_of(cases[i].bytes, cases[i].n), 100, &frame);
        ck_assert_msg(r == cases[i].result, "case %zu", i);
        if (r == 1) {
            ck_assert_uint_eq(frame.n, (size_t)cases[i].bytes[3]);
            ck_assert_ptr_eq(frame.p, cases[i].bytes + 4);
        } else {
            ck_assert_uint_eq(frame.n, 1); /* untouched */
        }
    }
}
END_TEST

START_TEST(our_sending_state_is_the_one_libsodium_would_set_up)
{
    crypto_secretstream_xchacha20poly1305_state theirs;
    uint8_t header[WIRE_STREAM_HEADER_BYTES];
    ck_assert_int_eq(crypto_secretstream_xchacha20poly1305_init_push(&theirs, header, key), 0);
    struct wire_seal ours;
    wire_seal_init(&ours, key, header, session_id, WIRE_ROLE_INITIATOR);
    ck_assert_mem_eq(&ours.state, &theirs, sizeof(theirs));
}
END_TEST

START_TEST(libsodiums_own_pull_opens_our_stream_and_its_push_ours)
{
    static const uint8_t header[WIRE_STREAM_HEADER_BYTES] = {9, 8, 7};
    struct wire_seal ours;
    crypto_secretstream_xchacha20poly1305_state theirs;
    wire_seal_init(&ours, key, header, session_id, WIRE_ROLE_INITIATOR);
    ck_assert_int_eq(crypto_secretstream_xchacha20poly1305_init_pull(&theirs, header, key), 0);
    uint8_t sealed[1000 + WIRE_SEAL_BYTES], plain[1000], opened[1000];
    for (size_t n = 0; n <= sizeof(plain); n += 125) {
        bool is_final = n == sizeof(plain);
        uint8_t tag;
        unsigned long long n_opened;
        memset(plain, (int)n, n);
        wire_seal_push(&ours, slice_of(plain, n), is_final, sealed);
        ck_assert_int_eq(crypto_secretstream_xchacha20poly1305_pull(&theirs, opened, &n_opened,
                                                                    &tag, sealed,
                                                                    n + WIRE_SEAL_BYTES, NULL, 0),
                         0);
        ck_assert_uint_eq(n_opened, n);
        ck_assert_mem_eq(opened, plain, n);
        ck_assert_int_eq(tag, is_final ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                                       : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE);
    }

    uint8_t drawn[WIRE_STREAM_HEADER_BYTES];
    ck_assert_int_eq(crypto_secretstream_xchacha20poly1305_init_push(&theirs, drawn, key), 0);
    wire_seal_init(&ours, key, drawn, session_id, WIRE_ROLE_INITIATOR);
    for (int i = 0; i < 3; i++) {
        bool is_final;
        crypto_secretstream_xchacha20poly1305_push(&theirs, sealed, NULL, plain, 100, NULL, 0, 0);
        ck_assert_int_eq(
            wire_seal_pull(&ours, slice_of(sealed, 100 + WIRE_SEAL_BYTES), opened, &is_final), 0);
        ck_assert(!is_final);
        ck_assert_mem_eq(opened, plain, 100);
    }
    /* Tags that mesh does not use. */
    bool is_final;
    crypto_secretstream_xchacha20poly1305_push(&theirs, sealed, NULL, plain, 100, NULL, 0,
                                               crypto_secretstream_xchacha20poly1305_TAG_REKEY);
    ck_assert_int_eq(
        wire_seal_pull(&ours, slice_of(sealed, 100 + WIRE_SEAL_BYTES), opened, &is_final), -EPROTO);
}
END_TEST

START_TEST(a_signature_holds_for_its_session_direction_number_and_body_alone)
{
    static const uint8_t seed[WIRE_SEED_BYTES] = {3}, header[WIRE_STREAM_HEADER_BYTES] = {1};
    struct wire_identity *identity = wire_identity_new(seed);
    struct wire_seal send, receive;
    wire_seal_init(&send, key, header, session_id, WIRE_ROLE_RESPONDER);
    wire_seal_init(&receive, key, header, session_id, WIRE_ROLE_RESPONDER);
    uint8_t plain[WIRE_SIGNATURE_BYTES + 10] = {0};
    struct buf to, opened_bytes;
    buf_init(&to, 1000);
    buf_init(&opened_bytes, 1000);
    ck_assert_int_eq(wire_frame_seal(&send, identity, plain, sizeof(plain), true, &to), 0);
    ck_assert_uint_eq(to.n, WIRE_PREFIX_BYTES + WIRE_SEAL_BYTES + sizeof(plain));
    struct wire_opened opened;
    ck_assert_int_eq(
        wire_frame_open(&receive, slice_from(buf_slice(&to), 4), &opened_bytes, &opened), 0);
    ck_assert(opened.is_final);
    ck_assert_uint_eq(opened.body.n, 10);

    const struct wire_key *signer = wire_identity_key(identity);
    ck_assert(wire_frame_verify(signer, session_id, WIRE_ROLE_RESPONDER, &opened));
    ck_assert(!wire_frame_verify(signer, session_id, WIRE_ROLE_INITIATOR, &opened));
    ck_assert(!wire_frame_verify(signer, key, WIRE_ROLE_RESPONDER, &opened));
    struct wire_opened other = opened;
    other.sequence++;
    ck_assert(!wire_frame_verify(signer, session_id, WIRE_ROLE_RESPONDER, &other));
    other = opened;
    other.body.n--;
    ck_assert(!wire_frame_verify(signer, session_id, WIRE_ROLE_RESPONDER, &other));
    wire_identity_free(identity);
    buf_done(&to);
    buf_done(&opened_bytes);
}
END_TEST

START_TEST(a_frame_that_finds_no_room_changes_nothing)
{
    static const uint8_t seed[WIRE_SEED_BYTES] = {3}, header[WIRE_STREAM_HEADER_BYTES] = {1};
    struct wire_identity *identity = wire_identity_new(seed);
    struct wire_seal send, before;
    wire_seal_init(&send, key, header, session_id, WIRE_ROLE_RESPONDER);
    before = send;
    uint8_t plain[WIRE_SIGNATURE_BYTES + 10] = {0};
    struct buf to;
    buf_init(&to, 50);
    ck_assert_int_eq(wire_frame_seal(&send, identity, plain, sizeof(plain), false, &to), -ENOBUFS);
    ck_assert_mem_eq(&send.state, &before.state, sizeof(send.state));
    ck_assert_uint_eq(send.sequence, before.sequence);
    ck_assert_uint_eq(to.n, 0);
    wire_identity_free(identity);
    buf_done(&to);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tcase = tcase_create("frame");
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, a_prefix_is_judged_by_the_bytes_that_are_there);
    tcase_add_test(tcase, our_sending_state_is_the_one_libsodium_would_set_up);
    tcase_add_test(tcase, libsodiums_own_pull_opens_our_stream_and_its_push_ours);
    tcase_add_test(tcase, a_signature_holds_for_its_session_direction_number_and_body_alone);
    tcase_add_test(tcase, a_frame_that_finds_no_room_changes_nothing);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
