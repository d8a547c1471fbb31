#include <errno.h>
#include <stdlib.h>

#include "tests/lib/runner.h"
#include "tests/unit/session_pair.h"
#include "wire/base/mem.h"

static struct pair pair;

static void set_up(void)
{
    pair_configure(&pair);
}

static void tear_down(void)
{
    pair_done(&pair);
}

static struct wire_message chunk_of(size_t n_bytes, uint64_t offset)
{
    static const uint8_t bytes[WIRE_CHUNK_BYTES_MAX];
    return (struct wire_message){
        .type = WIRE_MESSAGE_BLOB_DATA,
        .blob_data = {.offset = offset, .total = 1u << 30, .bytes = slice_of(bytes, n_bytes)}};
}

/* --- the handshake --- */

START_TEST(both_are_up_and_know_each_other_after_the_handshake)
{
    pair_start(&pair);
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_null(wire_session_peer(pair.session[i]));
        ck_assert_ptr_null(wire_session_id(pair.session[i]));
        ck_assert_uint_eq(wire_session_version(pair.session[i]), 0);
    }
    ck_assert(wire_session_has_output(pair.session[A]));
    ck_assert(!wire_session_has_output(pair.session[B]));
    pair_talk(&pair, 65536);
    for (int i = 0; i < 2; i++) {
        const struct wire_hello *peer = wire_session_peer(pair.session[i]);
        const struct wire_hello *said = &pair.config[1 - i].hello;
        ck_assert_int_eq(pair_state(&pair, i), WIRE_SESSION_UP);
        ck_assert(wire_key_eq(&peer->key, wire_identity_key(pair.identity[1 - i])));
        ck_assert_uint_eq(peer->epoch, said->epoch);
        ck_assert_uint_eq(peer->incarnation, said->incarnation);
        ck_assert_uint_eq(peer->cores, said->cores);
        ck_assert_uint_eq(peer->port, said->port);
        ck_assert(slice_eq(peer->name, said->name));
        ck_assert(slice_eq(peer->arch, said->arch));
        ck_assert(slice_eq(peer->os, said->os));
        ck_assert(slice_eq(peer->program, said->program));
        ck_assert_uint_eq(wire_session_version(pair.session[i]), WIRE_VERSION_MAX);
        ck_assert_int_eq(wire_session_reason(pair.session[i]), WIRE_REASON_NONE);
    }
    ck_assert_mem_eq(wire_session_id(pair.session[A]), wire_session_id(pair.session[B]), 32);
}
END_TEST

START_TEST(the_same_inputs_give_the_same_bytes)
{
    uint8_t id[WIRE_SESSION_ID_BYTES];
    pair_up(&pair);
    memcpy(id, wire_session_id(pair.session[A]), sizeof(id));
    pair_up(&pair);
    ck_assert_mem_eq(wire_session_id(pair.session[A]), id, sizeof(id));
    pair.config[B].random[32]++; /* the nonce alone makes it another session */
    pair_up(&pair);
    ck_assert_mem_ne(wire_session_id(pair.session[A]), id, sizeof(id));
}
END_TEST

START_TEST(a_closed_mesh_works_as_an_open_one)
{
    static const struct wire_secret secret = {{7, 7, 7}};
    wire_door_lock(pair.door[A], &secret);
    wire_door_lock(pair.door[B], &secret);
    pair_up(&pair);
    uint8_t open_tag[WIRE_TAG_BYTES], zero[WIRE_TAG_BYTES] = {0};
    wire_mesh_tag(NULL, open_tag);
    ck_assert_mem_eq(open_tag, zero, sizeof(zero));
    ck_assert_mem_ne(wire_session_peer(pair.session[A])->tag, zero, sizeof(zero));
}
END_TEST

START_TEST(the_highest_common_version_is_spoken)
{
    pair.config[A].hello.version_max = 5;
    pair.config[B].hello.version_max = 3;
    pair.config[B].hello.version_min = 2;
    pair_up(&pair);
    ck_assert_uint_eq(wire_session_version(pair.session[A]), 3);
    ck_assert_uint_eq(wire_session_version(pair.session[B]), 3);
}
END_TEST

START_TEST(no_common_version_fails_both_with_the_reason)
{
    pair.config[A].hello.version_min = pair.config[A].hello.version_max = 4;
    pair_start(&pair);
    pair_talk(&pair, 65536);
    pair_failed(&pair, A, WIRE_REASON_VERSION);
    pair_failed(&pair, B, WIRE_REASON_VERSION);
    ck_assert_ptr_nonnull(strstr(pair.err[A].text, "unproved"));
}
END_TEST

START_TEST(another_mesh_fails_both_with_the_reason_and_the_peer_is_known)
{
    pair.door[A]->present.tag[0] = 1;
    pair_start(&pair);
    pair_talk(&pair, 7);
    pair_failed(&pair, A, WIRE_REASON_MESH);
    pair_failed(&pair, B, WIRE_REASON_MESH);
    ck_assert(slice_eq_str(wire_session_peer(pair.session[B])->name, "hal"));
}
END_TEST

START_TEST(a_secret_that_differs_under_the_same_tag_fails_both)
{
    pair.door[A]->present.secret.b[0] = 1;
    pair_start(&pair);
    pair_send(&pair, A, 0);
    pair_send(&pair, B, 0);
    pair_talk(&pair, 65536);
    pair_failed(&pair, A, WIRE_REASON_SEAL);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
    ck_assert_uint_eq(pair.n_received[A] + pair.n_received[B], 0);
}
END_TEST

START_TEST(ones_own_identity_is_refused)
{
    pair.config[B].identity = pair.identity[A];
    pair_start(&pair);
    pair_talk(&pair, 65536);
    pair_failed(&pair, A, WIRE_REASON_SELF);
    pair_failed(&pair, B, WIRE_REASON_SELF);
}
END_TEST

START_TEST(a_session_closed_before_the_proof_says_why_in_one_clear_frame)
{
    for (int stage = 0; stage < 2; stage++) {
        for (int closer = 0; closer < 2; closer++) {
            pair_start(&pair);
            pair_send(&pair, closer, 0); /* queued for a peer that is never proved */
            if (stage == 1) {
                pair_drain(&pair, A);
                ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), 0);
                buf_clear(&pair.pipe[A]);
            }
            wire_session_close(pair.session[closer], WIRE_REASON_BANNED, slice_str("go away\n"));
            ck_assert_int_eq(pair_state(&pair, closer), WIRE_SESSION_CLOSING);
            pair_talk(&pair, 65536);
            enum wire_session_state end = pair_state(&pair, 1 - closer);
            if (stage == 1 && closer == B) {
                /* Its proof was out already, so that its goodbye is sealed. */
                ck_assert_int_eq(end, WIRE_SESSION_ENDED);
                ck_assert_int_eq(wire_session_reason(pair.session[A]), WIRE_REASON_BANNED);
            } else {
                pair_failed(&pair, 1 - closer, WIRE_REASON_BANNED);
                ck_assert_ptr_nonnull(strstr(pair.err[1 - closer].text, "go away\\x0a"));
            }
            ck_assert_uint_eq(pair.next_token[1 - closer], 0);
        }
    }
}
END_TEST

/* --- messages --- */

START_TEST(thousands_of_messages_pass_in_order_whatever_the_chunks)
{
    static const size_t chunks[] = {1, 3, 100, 5000, 1u << 20};
    size_t chunk_max = chunks[_i];
    uint64_t n_rounds = 40, n_each = 50;
    pair_start(&pair);
    for (uint64_t round = 0; round < n_rounds; round++) {
        for (uint64_t i = 0; i < n_each; i++) {
            pair_send(&pair, A, round * n_each + i);
            pair_send(&pair, B, round * n_each + i);
        }
        pair_talk(&pair, chunk_max);
    }
    for (int i = 0; i < 2; i++) {
        struct wire_session_counts counts = wire_session_counts(pair.session[i]);
        ck_assert_int_eq(pair_state(&pair, i), WIRE_SESSION_UP);
        ck_assert_uint_eq(pair.n_received[i], n_rounds * n_each);
        ck_assert_uint_eq(counts.n_messages_in, n_rounds * n_each);
        ck_assert_uint_eq(counts.n_messages_out, n_rounds * n_each);
        ck_assert_uint_eq(counts.n_frames_in, n_rounds); /* one signature for each batch */
        ck_assert_uint_eq(wire_session_queued_bytes(pair.session[i]), 0);
    }
}
END_TEST

START_TEST(nothing_but_the_handshake_is_said_before_the_peer_is_proved)
{
    pair_start(&pair);
    size_t n_quiet[2];
    pair_drain(&pair, A);
    n_quiet[A] = pair.pipe[A].n;
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), 0);
    pair_drain(&pair, B);
    n_quiet[B] = pair.pipe[B].n;

    pair_start(&pair);
    pair_send(&pair, A, 0);
    pair_send(&pair, B, 0);
    pair_drain(&pair, A);
    ck_assert_uint_eq(pair.pipe[A].n, n_quiet[A]);
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), 0);
    pair_drain(&pair, B);
    ck_assert_uint_eq(pair.pipe[B].n, n_quiet[B]);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_HANDSHAKE);

    /* The initiator's proof and its messages leave in one. */
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&pair.pipe[B])), 0);
    ck_assert_int_eq(pair_state(&pair, A), WIRE_SESSION_UP);
    buf_clear(&pair.pipe[A]);
    ck_assert_int_eq(wire_session_drain(pair.session[A], &pair.pipe[A]), 0);
    ck_assert(!wire_session_has_output(pair.session[A]));
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), 0);
    ck_assert_uint_eq(pair.n_received[B], 1);
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_UP);
    buf_clear(&pair.pipe[A]);
    buf_clear(&pair.pipe[B]);
    pair_talk(&pair, 65536);
    ck_assert_uint_eq(pair.n_received[A], 1);
}
END_TEST

START_TEST(a_frame_holds_what_fits_a_batch_and_a_larger_message_goes_alone)
{
    pair_up(&pair);
    struct wire_message large = chunk_of(WIRE_CHUNK_BYTES_MAX, 0);
    struct wire_message half = chunk_of(WIRE_BATCH_BYTES / 2, 0);
    pair_send(&pair, A, 0);
    ck_assert_int_eq(wire_session_send(pair.session[A], &large, false), 0);
    pair_send(&pair, A, 1);
    ck_assert_int_eq(wire_session_send(pair.session[A], &half, false), 0);
    ck_assert_int_eq(wire_session_send(pair.session[A], &half, false), 0);
    size_t queued = wire_session_queued_bytes(pair.session[A]);
    ck_assert_uint_gt(queued, WIRE_CHUNK_BYTES_MAX + WIRE_BATCH_BYTES);
    uint64_t n_before = wire_session_counts(pair.session[A]).n_frames_out;
    pair_talk(&pair, 65536);
    /* beat | large | beat half | half */
    ck_assert_uint_eq(wire_session_counts(pair.session[A]).n_frames_out - n_before, 4);
    ck_assert_uint_eq(pair.n_received[B], 5);
}
END_TEST

START_TEST(bulk_leaves_when_nothing_else_waits)
{
    pair_up(&pair);
    struct wire_message bulk = chunk_of(WIRE_CHUNK_BYTES_MAX, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(wire_session_send(pair.session[A], &bulk, true), 0);
    }
    pair_send(&pair, A, 0);
    ck_assert_int_eq(wire_session_drain(pair.session[A], &pair.pipe[A]), 0);
    ck_assert_uint_lt(pair.pipe[A].n, 300);
    ck_assert_int_eq(wire_session_drain(pair.session[A], &pair.pipe[A]), 0);
    pair_send(&pair, A, 1); /* goes before the bulk that is left */
    ck_assert_int_eq(wire_session_drain(pair.session[A], &pair.pipe[A]), 0);
    ck_assert_uint_lt(pair.pipe[A].n, WIRE_CHUNK_BYTES_MAX + 1000);
    pair_talk(&pair, 65536);
    ck_assert_uint_eq(pair.n_received[B], 5);
}
END_TEST

START_TEST(a_peer_that_does_not_read_fills_the_queue_to_its_limit)
{
    pair_up(&pair);
    struct wire_message bulk = chunk_of(WIRE_CHUNK_BYTES_MAX, 0);
    int r = 0;
    while (r == 0) {
        r = wire_session_send(pair.session[A], &bulk, true);
    }
    ck_assert_int_eq(r, -ENOBUFS);
    size_t queued = wire_session_queued_bytes(pair.session[A]);
    ck_assert_uint_ge(queued, WIRE_QUEUE_BYTES_MAX);
    ck_assert_uint_lt(queued, WIRE_QUEUE_BYTES_MAX + 2 * WIRE_CHUNK_BYTES_MAX);
    struct wire_message small = beat(0);
    ck_assert_int_eq(wire_session_send(pair.session[A], &small, false), -ENOBUFS);
    /* The goodbye goes out even so, and takes the bulk's place. */
    wire_session_close(pair.session[A], WIRE_REASON_SILENT, slice_str(""));
    ck_assert_uint_lt(wire_session_queued_bytes(pair.session[A]), 100);
}
END_TEST

START_TEST(a_large_frame_fed_by_the_byte_takes_linear_time)
{
    pair_up(&pair);
    enum { N_ARGS = 10, ARG_BYTES = 100000 };
    static uint8_t arg[ARG_BYTES];
    memset(arg, 'x', sizeof(arg));
    struct slice argv[N_ARGS];
    for (int i = 0; i < N_ARGS; i++) {
        argv[i] = slice_of(arg, sizeof(arg));
    }
    struct wire_message task = {.type = WIRE_MESSAGE_TASK,
                                .task = {.id = {.job = 1, .task = 1, .incarnation = 1, .number = 1},
                                         .argv = {.items = argv, .n = N_ARGS}}};
    ck_assert_int_eq(wire_session_send(pair.session[A], &task, false), 0);
    pair_talk(&pair, 1);
    ck_assert_uint_eq(pair.n_received[B], 1);
}
END_TEST

/* --- ends --- */

START_TEST(a_goodbye_is_the_last_message_and_ends_the_session)
{
    pair_up(&pair);
    struct wire_message bulk = chunk_of(1000, 0);
    ck_assert_int_eq(wire_session_send(pair.session[A], &bulk, true), 0);
    pair_send(&pair, A, 0);
    pair_send(&pair, A, 1);
    wire_session_close(pair.session[A], WIRE_REASON_LEAVING, slice_str("stopping"));
    ck_assert_int_eq(pair_state(&pair, A), WIRE_SESSION_CLOSING);
    struct wire_message late = beat(2);
    ck_assert_int_eq(wire_session_send(pair.session[A], &late, false), 0); /* dropped */
    wire_session_close(pair.session[A], WIRE_REASON_BANNED, slice_str("no effect"));
    pair_drain(&pair, A);

    ck_assert_int_eq(wire_session_feed(pair.session[B], buf_slice(&pair.pipe[A]), NULL, NULL), 0);
    struct wire_message message;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(wire_session_next(pair.session[B], &message, NULL, NULL), 1);
        ck_assert_int_eq(message.type, WIRE_MESSAGE_BEAT);
        ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_UP);
    }
    ck_assert_int_eq(wire_session_next(pair.session[B], &message, NULL, NULL), 1);
    ck_assert_int_eq(message.type, WIRE_MESSAGE_GOODBYE);
    ck_assert_uint_eq(message.goodbye.reason, WIRE_REASON_LEAVING);
    ck_assert(slice_eq_str(message.goodbye.text, "stopping"));
    ck_assert_int_eq(pair_state(&pair, B), WIRE_SESSION_ENDED);
    ck_assert_int_eq(wire_session_reason(pair.session[B]), WIRE_REASON_LEAVING);
    ck_assert_int_eq(wire_session_next(pair.session[B], &message, NULL, NULL), 0);
    /* Nothing that comes behind it is looked at, and nothing more is said. */
    ck_assert_int_eq(wire_session_feed(pair.session[B], slice_str("GET /"), NULL, NULL), 0);
    ck_assert_int_eq(wire_session_send(pair.session[B], &late, false), 0);
    ck_assert(!wire_session_has_output(pair.session[B]));
}
END_TEST

START_TEST(what_comes_after_ones_own_goodbye_is_not_delivered)
{
    pair_up(&pair);
    pair_send(&pair, B, 0);
    pair_drain(&pair, B);
    wire_session_close(pair.session[A], WIRE_REASON_REPLACED, slice_str(""));
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&pair.pipe[B])), 0);
    ck_assert_uint_eq(pair.n_received[A], 0);
    ck_assert_int_eq(pair_state(&pair, A), WIRE_SESSION_CLOSING);
}
END_TEST

START_TEST(a_goodbyes_text_is_cut_between_characters_and_must_be_text)
{
    char text[WIRE_REASON_BYTES_MAX + 10];
    memset(text, 'x', sizeof(text));
    memcpy(text + WIRE_REASON_BYTES_MAX - 1, "\xc3\xa9", 2);
    const struct slice given[] = {slice_of(text, sizeof(text)), slice_str("\xff\xfe")};
    static const size_t expected[] = {WIRE_REASON_BYTES_MAX - 1, 0};
    for (size_t i = 0; i < ARRAY_LEN(given); i++) {
        pair_up(&pair);
        wire_session_close(pair.session[A], WIRE_REASON_LEAVING, given[i]);
        pair_drain(&pair, A);
        struct wire_message message;
        IGNORE(wire_session_feed(pair.session[B], buf_slice(&pair.pipe[A]), NULL, NULL));
        ck_assert_int_eq(wire_session_next(pair.session[B], &message, NULL, NULL), 1);
        ck_assert_uint_eq(message.goodbye.text.n, expected[i]);
    }
}
END_TEST

START_TEST(a_peer_that_breaks_a_rule_is_told_under_the_seal)
{
    pair_up(&pair);
    pair_send(&pair, B, 0);
    uint8_t garbage[64] = {0, 0, 0, 60};
    ck_assert_int_eq(pair_hear(&pair, B, slice_of(garbage, sizeof(garbage))), -EPROTO);
    pair_failed(&pair, B, WIRE_REASON_SEAL);
    /* What was queued is gone; the goodbye alone is left. */
    pair_talk(&pair, 65536);
    ck_assert_uint_eq(pair.n_received[A], 1);
    ck_assert_int_eq(pair_state(&pair, A), WIRE_SESSION_ENDED);
    ck_assert_int_eq(wire_session_reason(pair.session[A]), WIRE_REASON_SEAL);
    struct wire_message message;
    ck_assert_int_eq(wire_session_feed(pair.session[B], slice_of(NULL, 0), NULL, NULL), -EPROTO);
    ck_assert_int_eq(wire_session_next(pair.session[B], &message, NULL, NULL), -EPROTO);
}
END_TEST

/* --- memory --- */

static int n_left;     /* allocations until the one that fails; below 0: none does */
static size_t n_bytes; /* asked for in all */

static void *counted_alloc(size_t n)
{
    n_bytes += n;
    return n_left-- == 0 ? NULL : calloc(1, n);
}

static void *counted_realloc(void *p, size_t n)
{
    n_bytes += n;
    return n_left-- == 0 ? NULL : realloc(p, n);
}

static const struct mem_ops counted = {
    .alloc = counted_alloc, .realloc = counted_realloc, .free = free};

/* A whole conversation in which any allocation may fail. Whether none did. */
static bool converse(void)
{
    bool is_whole = true;
    struct buf pipe[2];
    struct wire_session *sessions[2];
    for (int i = 0; i < 2; i++) {
        buf_init(&pipe[i], 1u << 20);
        sessions[i] = wire_session_new(&pair.config[i]);
        is_whole = is_whole && sessions[i] != NULL;
    }
    struct wire_message large = chunk_of(20000, 0);
    for (int round = 0; is_whole && round < 6; round++) {
        struct wire_session *from = sessions[round % 2], *to = sessions[1 - round % 2];
        struct wire_message small = beat((uint64_t)round);
        is_whole = wire_session_send(from, &small, false) == 0 && is_whole;
        is_whole = wire_session_send(from, &large, true) == 0 && is_whole;
        if (round == 5) {
            wire_session_close(from, WIRE_REASON_LEAVING, slice_str("done"));
        }
        while (wire_session_has_output(from)) {
            if (wire_session_drain(from, &pipe[0]) != 0) {
                is_whole = false;
                break;
            }
        }
        int r = wire_session_feed(to, buf_slice(&pipe[0]), NULL, NULL);
        struct wire_message message;
        while (r == 0 && wire_session_next(to, &message, NULL, NULL) > 0) {
        }
        buf_clear(&pipe[0]);
    }
    is_whole = is_whole && wire_session_state(sessions[0]) == WIRE_SESSION_ENDED;
    for (int i = 0; i < 2; i++) {
        wire_session_free(sessions[i]);
        buf_done(&pipe[i]);
    }
    return is_whole;
}

START_TEST(any_allocation_may_fail)
{
    int n = 0;
    bool is_whole = false;
    while (!is_whole) {
        ck_assert_int_lt(n, 1000);
        n_left = n++;
        mem_set_ops(&counted);
        is_whole = converse();
        mem_set_ops(NULL);
        if (!is_whole) {
            ck_assert_int_lt(n_left, 0); /* it did come to the failing one */
        }
    }
    ck_assert_int_gt(n, 20);
}
END_TEST

START_TEST(memory_follows_the_bytes_that_came_and_not_those_that_are_claimed)
{
    pair_up(&pair);
    uint8_t claim[5] = {0};
    wire_put_u32(claim, WIRE_FRAME_BYTES_MAX);
    n_left = -1;
    n_bytes = 0;
    mem_set_ops(&counted);
    int r = wire_session_feed(pair.session[A], slice_of(claim, sizeof(claim)), NULL, NULL);
    struct wire_message message;
    int n = wire_session_next(pair.session[A], &message, NULL, NULL);
    mem_set_ops(NULL);
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(n, 0);
    ck_assert_uint_lt(n_bytes, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *handshake = tcase_create("handshake");
    tcase_add_checked_fixture(handshake, set_up, tear_down);
    tcase_add_test(handshake, both_are_up_and_know_each_other_after_the_handshake);
    tcase_add_test(handshake, the_same_inputs_give_the_same_bytes);
    tcase_add_test(handshake, a_closed_mesh_works_as_an_open_one);
    tcase_add_test(handshake, the_highest_common_version_is_spoken);
    tcase_add_test(handshake, no_common_version_fails_both_with_the_reason);
    tcase_add_test(handshake, another_mesh_fails_both_with_the_reason_and_the_peer_is_known);
    tcase_add_test(handshake, a_secret_that_differs_under_the_same_tag_fails_both);
    tcase_add_test(handshake, ones_own_identity_is_refused);
    tcase_add_test(handshake, a_session_closed_before_the_proof_says_why_in_one_clear_frame);
    suite_add_tcase(suite, handshake);
    TCase *messages = tcase_create("messages");
    tcase_set_timeout(messages, 60);
    tcase_add_checked_fixture(messages, set_up, tear_down);
    tcase_add_loop_test(messages, thousands_of_messages_pass_in_order_whatever_the_chunks, 0, 5);
    tcase_add_test(messages, nothing_but_the_handshake_is_said_before_the_peer_is_proved);
    tcase_add_test(messages, a_frame_holds_what_fits_a_batch_and_a_larger_message_goes_alone);
    tcase_add_test(messages, bulk_leaves_when_nothing_else_waits);
    tcase_add_test(messages, a_peer_that_does_not_read_fills_the_queue_to_its_limit);
    tcase_add_test(messages, a_large_frame_fed_by_the_byte_takes_linear_time);
    suite_add_tcase(suite, messages);
    TCase *ends = tcase_create("ends");
    tcase_add_checked_fixture(ends, set_up, tear_down);
    tcase_add_test(ends, a_goodbye_is_the_last_message_and_ends_the_session);
    tcase_add_test(ends, what_comes_after_ones_own_goodbye_is_not_delivered);
    tcase_add_test(ends, a_goodbyes_text_is_cut_between_characters_and_must_be_text);
    tcase_add_test(ends, a_peer_that_breaks_a_rule_is_told_under_the_seal);
    suite_add_tcase(suite, ends);
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 60);
    tcase_add_checked_fixture(memory, set_up, tear_down);
    tcase_add_test(memory, any_allocation_may_fail);
    tcase_add_test(memory, memory_follows_the_bytes_that_came_and_not_those_that_are_claimed);
    suite_add_tcase(suite, memory);
    return run_suite(suite);
}
