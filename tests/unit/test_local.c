#include <errno.h>
#include <stdlib.h>

#include "tests/lib/random_message.h"
#include "tests/lib/runner.h"
#include "wire/local.h"
#include "wire/message_codec.h"

static struct arena arena;
static struct buf bytes;
static struct errmsg err;

static void set_up(void)
{
    arena_init(&arena, WIRE_ARENA_BYTES_MAX);
    buf_init(&bytes, 4 * WIRE_BODY_BYTES_MAX);
}

static void tear_down(void)
{
    arena_done(&arena);
    buf_done(&bytes);
}

START_TEST(frames_come_back_one_by_one_as_they_were_sent)
{
    enum { N = 200 };
    static struct wire_message messages[N];
    uint64_t seed = 1;
    for (int i = 0; i < N; i++) {
        uint32_t type = random_type(random_below(&seed, random_n_types()));
        random_message(&seed, type, RANDOM_SMALL, &arena, &messages[i]);
        ck_assert_int_eq(wire_local_encode(&messages[i], &bytes), 0);
    }
    struct arena decoded;
    arena_init(&decoded, WIRE_ARENA_BYTES_MAX);
    struct slice from = buf_slice(&bytes);
    for (int i = 0; i < N; i++) {
        size_t n = 0;
        ck_assert_int_eq(wire_local_frame(from, &n), 0);
        ck_assert_uint_gt(n, 4);
        struct wire_message back;
        int r = wire_local_decode(slice_of(from.p, n), &decoded, &back, &err);
        ck_assert_msg(r == 0, "%s", err.text);
        ck_assert(wire_message_eq(&messages[i], &back));
        arena_clear(&decoded);
        from = slice_from(from, n);
    }
    ck_assert_uint_eq(from.n, 0);
    arena_done(&decoded);
}
END_TEST

START_TEST(a_frame_is_found_only_when_it_is_whole)
{
    struct wire_message message = {.type = WIRE_MESSAGE_NOTICE,
                                   .notice = {7, slice_str("hello"), true}};
    ck_assert_int_eq(wire_local_encode(&message, &bytes), 0);
    static const uint8_t expected[] = "\x00\x00\x00\x0b\x91\x94\x4c\x07\xa5hello\xc3";
    ck_assert(slice_eq(buf_slice(&bytes), slice_of(expected, sizeof(expected) - 1)));
    size_t n_whole = bytes.n;
    buf_append_str(&bytes, "\x01");
    for (size_t n = 0; n <= bytes.n; n++) {
        size_t n_frame = 99;
        ck_assert_int_eq(wire_local_frame(slice_of(bytes.p, n), &n_frame), 0);
        ck_assert_uint_eq(n_frame, n < n_whole ? 0 : n_whole);
    }
}
END_TEST

START_TEST(a_length_beyond_the_limit_is_refused_from_the_header_alone)
{
    static const uint8_t most[] = {0x00, 0x20, 0x00, 0x00};
    static const uint8_t more[] = {0x00, 0x20, 0x00, 0x01};
    size_t n = 99;
    ck_assert_int_eq(wire_local_frame(slice_of(more, 4), &n), -EPROTO);
    ck_assert_uint_eq(n, 99);
    ck_assert_int_eq(wire_local_frame(slice_of(most, 4), &n), 0);
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(a_frame_holds_exactly_one_message)
{
    static const struct {
        size_t n;
        const char *frame;
    } wrong[] = {
        {4, "\x00\x00\x00\x00"},
        {5, "\x00\x00\x00\x01\x90"},
        {9, "\x00\x00\x00\x05\x92\x91\x55\x91\x55"},
        {8, "\x00\x00\x00\x04\x91\x91\x55\x00"},
        {6, "\x00\x00\x00\x02\x91\x91"},
        {7, "\x00\x00\x00\x03\x91\x91\xff"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct wire_message message = {.type = WIRE_MESSAGE_ERROR};
        struct slice frame = slice_of(wrong[i].frame, wrong[i].n);
        ck_assert_int_eq(wire_local_decode(frame, &arena, &message, &err), -EPROTO);
        ck_assert_uint_eq(message.type, WIRE_MESSAGE_ERROR);
    }
    struct wire_message message;
    struct slice right = slice_of("\x00\x00\x00\x03\x91\x91\x55", 7);
    ck_assert_int_eq(wire_local_decode(right, &arena, &message, &err), 0);
    ck_assert_uint_eq(message.type, WIRE_MESSAGE_OK);
}
END_TEST

START_TEST(a_message_that_does_not_fit_a_frame_leaves_the_buffer_as_it_was)
{
    static struct wire_peer_row rows[WIRE_LIST_MAX];
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS_LIST, .peers_list = {rows, 20000}};
    ck_assert_int_eq(wire_local_encode(&message, &bytes), 0);
    buf_clear(&bytes);
    buf_append_str(&bytes, "before");
    message.peers_list.n = WIRE_LIST_MAX; /* 47 bytes each */
    ck_assert_int_eq(wire_local_encode(&message, &bytes), -ENOBUFS);
    ck_assert(slice_eq_str(buf_slice(&bytes), "before"));
    ck_assert_int_eq(buf_error(&bytes), 0);

    message = (struct wire_message){.type = WIRE_MESSAGE_OK};
    for (size_t room = 0; room < 7; room++) {
        struct buf small;
        buf_init(&small, room);
        ck_assert_int_eq(wire_local_encode(&message, &small), -ENOBUFS);
        ck_assert_uint_eq(small.n, 0);
        buf_done(&small);
    }
}
END_TEST

START_TEST(descriptors_travel_with_files_inputs_and_blobs)
{
    static const struct wire_file files[3];
    struct wire_message message = {.type = WIRE_MESSAGE_SUBMIT,
                                   .submit = {.spec = {.files = {files, 3}}}};
    ck_assert_uint_eq(wire_local_n_fds(&message), 3);
    message = (struct wire_message){.type = WIRE_MESSAGE_ADD_TASK};
    ck_assert_uint_eq(wire_local_n_fds(&message), 0);
    message.add_task.has_input = true;
    ck_assert_uint_eq(wire_local_n_fds(&message), 1);
    message = (struct wire_message){.type = WIRE_MESSAGE_DONE};
    message.done.result.out.bytes = WIRE_INLINE_BYTES_MAX + 1; /* streamed: nothing to hand over */
    ck_assert_uint_eq(wire_local_n_fds(&message), 0);
    message.done.result.err.hash.b[31] = 1;
    ck_assert_uint_eq(wire_local_n_fds(&message), 1);
    message.done.result.out.hash.b[0] = 1;
    ck_assert_uint_eq(wire_local_n_fds(&message), 2);
    message = (struct wire_message){.type = WIRE_MESSAGE_TASK, .task = {.has_input = true}};
    ck_assert_uint_eq(wire_local_n_fds(&message), 0);
    message = (struct wire_message){.type = WIRE_MESSAGE_PUT};
    ck_assert_uint_eq(wire_local_n_fds(&message), 1);
    message = (struct wire_message){.type = WIRE_MESSAGE_PUT_DONE};
    ck_assert_uint_eq(wire_local_n_fds(&message), 0);
    struct wire_queue_bytes items[3] = {{.blob_bytes = 1}, {.blob_bytes = 0}, {.blob_bytes = 2}};
    message =
        (struct wire_message){.type = WIRE_MESSAGE_QUEUE_ADD, .queue_add = {.items = {items, 3}}};
    ck_assert_uint_eq(wire_local_n_fds(&message), 2);
    message = (struct wire_message){.type = WIRE_MESSAGE_QUEUE_TAKEN};
    ck_assert_uint_eq(wire_local_n_fds(&message), 0);
    message.queue_taken.content.blob_bytes = 1;
    ck_assert_uint_eq(wire_local_n_fds(&message), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local");
    TCase *tc = tcase_create("local");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, frames_come_back_one_by_one_as_they_were_sent);
    tcase_add_test(tc, a_frame_is_found_only_when_it_is_whole);
    tcase_add_test(tc, a_length_beyond_the_limit_is_refused_from_the_header_alone);
    tcase_add_test(tc, a_frame_holds_exactly_one_message);
    tcase_add_test(tc, a_message_that_does_not_fit_a_frame_leaves_the_buffer_as_it_was);
    tcase_add_test(tc, descriptors_travel_with_files_inputs_and_blobs);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
