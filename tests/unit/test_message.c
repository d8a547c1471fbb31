/* The codec against itself (round trips), against msgpack-c (every message read back with its own
 * unpacker), against fixed bytes, and against other versions. test_message_refused.c holds what can
 * be wrong with foreign bytes. */
#include <errno.h>
#include <msgpack.h>

#include "tests/lib/message_fixture.h"
#include "wire/message_codec.h"
#include "wire/message_layout.h"

#define BODY_OFFSET offsetof(struct wire_message, goodbye)

/* --- the tables --------------------------------------------------------------------------------
 */

#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define HAS_CLEAR_PADDING 1
#endif
#endif

#ifdef HAS_CLEAR_PADDING
static void cover(const struct wire_layout *layout, uint8_t *covered)
{
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        const struct wire_field *field = &layout->fields[i];
        static const size_t sizes[] = {
            [WIRE_KIND_U32] = 4,
            [WIRE_KIND_U64] = 8,
            [WIRE_KIND_BOOL] = sizeof(bool),
            [WIRE_KIND_ENUM] = 4,
            [WIRE_KIND_FIXED] = WIRE_FIXED_BYTES,
            [WIRE_KIND_SECRET] = 0, /* by its field */
            [WIRE_KIND_TEXT] = sizeof(struct slice),
            [WIRE_KIND_WORD] = sizeof(struct slice),
            [WIRE_KIND_BYTES] = sizeof(struct slice),
            [WIRE_KIND_TEXTS] = sizeof(struct wire_slices),
            [WIRE_KIND_WORDS] = sizeof(struct wire_slices),
            [WIRE_KIND_ITEMS] = sizeof(void *),
            [WIRE_KIND_STRUCT] = 0,
        };
        if (field->kind == WIRE_KIND_STRUCT) {
            cover(field->layout, covered + field->offset);
        } else {
            size_t n = field->kind == WIRE_KIND_SECRET ? field->max : sizes[field->kind];
            memset(covered + field->offset, 1, n);
        }
        if (field->kind == WIRE_KIND_ITEMS) {
            memset(covered + field->offset_n, 1, sizeof(uint32_t));
        }
    }
}

static void check_covered(const char *name, const struct wire_layout *layout, const uint8_t *member,
                          size_t n)
{
    uint8_t covered[sizeof(struct wire_message)] = {0};
    ck_assert_uint_eq(layout->bytes, n);
    cover(layout, covered);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(member[i] == 0 || covered[i] == 1, "%s: the byte at %zu is in no field", name,
                      i);
    }
}

static const struct wire_layout *layout_in(uint32_t type, uint32_t i_field)
{
    return wire_layout_of(type)->fields[i_field].layout;
}

/* All bytes of the structure that are not padding are set. */
#define CHECK_STRUCT(s, layout)                                                                    \
    do {                                                                                           \
        union {                                                                                    \
            struct s object;                                                                       \
            uint8_t bytes[sizeof(struct s)];                                                       \
        } u;                                                                                       \
        memset(u.bytes, 0xff, sizeof(u.bytes));                                                    \
        __builtin_clear_padding(&u.object);                                                        \
        check_covered(#s, layout, u.bytes, sizeof(u.bytes));                                       \
    } while (0);

START_TEST(every_member_of_every_message_is_in_its_table)
{
#define CHECK_MESSAGE(name, number, type, member)                                                  \
    if (wire_layout_of(number)->n_fields > 0) { /* else all it has is a place holder */            \
        CHECK_STRUCT(type, wire_layout_of(number))                                                 \
    }
    WIRE_MESSAGES(CHECK_MESSAGE)
    CHECK_STRUCT(wire_file, wire_layout_of(WIRE_MESSAGE_JOB)->fields[1].layout->fields[1].layout)
    CHECK_STRUCT(wire_task_file, layout_in(WIRE_MESSAGE_TASK, 7))
    CHECK_STRUCT(wire_result_file, layout_in(WIRE_MESSAGE_RESULT, 1)->fields[9].layout)
    CHECK_STRUCT(wire_peer_entry, layout_in(WIRE_MESSAGE_PEERS, 0))
    CHECK_STRUCT(wire_held_attempt, layout_in(WIRE_MESSAGE_INVENTORY, 0))
    CHECK_STRUCT(wire_attempt_id, layout_in(WIRE_MESSAGE_RECALL, 0))
    CHECK_STRUCT(wire_peer_row, layout_in(WIRE_MESSAGE_PEERS_LIST, 0))
    CHECK_STRUCT(wire_stats_row, layout_in(WIRE_MESSAGE_STATS_LIST, 0))
    CHECK_STRUCT(wire_job_row, layout_in(WIRE_MESSAGE_JOBS_LIST, 0))
    CHECK_STRUCT(wire_job_ref, layout_in(WIRE_MESSAGE_SUBMIT, 10))
    CHECK_STRUCT(wire_ban, layout_in(WIRE_MESSAGE_MEMBERSHIP, 2))
    CHECK_STRUCT(wire_member, layout_in(WIRE_MESSAGE_MEMBERSHIP, 3))
    CHECK_STRUCT(wire_older, layout_in(WIRE_MESSAGE_MEMBERSHIP, 4))
    CHECK_STRUCT(wire_pin, layout_in(WIRE_MESSAGE_TRUST_LIST, 3))
}
END_TEST
#endif

START_TEST(values_have_their_texts_and_unknown_ones_say_so)
{
    ck_assert_str_eq(wire_message_name(WIRE_MESSAGE_BEAT_ACK), "beat_ack");
    ck_assert_str_eq(wire_message_name(0), "unknown");
    ck_assert_str_eq(wire_message_name(63), "unknown");
    ck_assert_str_eq(wire_message_name(UINT32_MAX), "unknown");
    ck_assert_str_eq(wire_reason_text(WIRE_REASON_IDLE), "not needed now");
    ck_assert_str_eq(wire_reason_text(WIRE_REASON_INVITATION + 1), "unknown");
    ck_assert_str_eq(wire_end_text(WIRE_END_LOST), "lost");
    ck_assert_str_eq(wire_refusal_text(WIRE_REFUSAL_BUSY), "busy");
    ck_assert_str_eq(wire_peer_state_text(WIRE_PEER_DOWN), "down");
    ck_assert_str_eq(wire_held_text(WIRE_HELD_ENDED), "ended");
    ck_assert_str_eq(wire_error_text(WIRE_ERROR_DENIED), "denied");
    ck_assert_str_eq(wire_error_text(UINT32_MAX), "unknown");
    ck_assert_str_eq(wire_job_state_text(WIRE_JOB_CANCELLED), "cancelled");
    ck_assert_str_eq(wire_call_status_text(WIRE_CALL_OK), "ok");
    ck_assert_str_eq(wire_call_status_text(WIRE_CALL_NO_MEMORY), "out of memory");
    ck_assert_str_eq(wire_call_status_text(WIRE_CALL_EXITED), "unknown");
}
END_TEST

/* --- round trips -------------------------------------------------------------------------------
 */

/* msgpack-c reads it whole, and packing what it read gives the same bytes again. */
static void check_with_msgpack_c(void)
{
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t n_read = 0;
    ck_assert_int_eq(
        msgpack_unpack_next(&unpacked, (const char *)fixture.bytes.p, fixture.bytes.n, &n_read),
        MSGPACK_UNPACK_SUCCESS);
    ck_assert_uint_eq(n_read, fixture.bytes.n);
    struct buf again;
    buf_init(&again, 4 * WIRE_BODY_BYTES_MAX);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &again, fixture_pack);
    ck_assert_int_eq(msgpack_pack_object(&packer, unpacked.data), 0);
    ck_assert(slice_eq(buf_slice(&again), buf_slice(&fixture.bytes)));
    buf_done(&again);
    msgpack_unpacked_destroy(&unpacked);
}

static void check_round_trip(const struct wire_message *message)
{
    fixture_encode(message);
    check_with_msgpack_c();
    buf_append_u8(&fixture.bytes, 0x7f); /* what follows is left alone */
    struct slice from = buf_slice(&fixture.bytes);
    struct wire_message back;
    arena_clear(&fixture.decoded);
    int r = wire_message_decode(&from, &fixture.decoded, &back, &fixture.err);
    ck_assert_msg(r == 0, "%s", fixture.err.text);
    ck_assert_uint_eq(from.n, 1);
    ck_assert(wire_message_eq(message, &back));
    struct wire_message copy;
    ck_assert_int_eq(wire_message_copy(message, &fixture.decoded, &copy), 0);
    ck_assert(wire_message_eq(&copy, &back));
}

TEST_OF_EACH_TYPE(small_messages_come_back_as_they_were)
{
    for (uint64_t i = 0; i < 60; i++) {
        uint64_t seed = i * 1000 + type;
        struct wire_message message;
        arena_clear(&fixture.arena);
        random_message(&seed, type, RANDOM_SMALL, &fixture.arena, &message);
        check_round_trip(&message);
    }
}

TEST_OF_EACH_TYPE(empty_and_largest_messages_come_back_as_they_were)
{
    struct wire_message message;
    uint64_t seed = type;
    random_message(&seed, type, RANDOM_EMPTY, &fixture.arena, &message);
    check_round_trip(&message);
    for (uint64_t i = 0; i < 4; i++) {
        seed = i;
        arena_clear(&fixture.arena);
        random_message(&seed, type, RANDOM_LARGEST, &fixture.arena, &message);
        check_round_trip(&message);
        ck_assert_uint_lt(fixture.bytes.n, WIRE_BODY_BYTES_MAX - 8);
    }
}

TEST_OF_EACH_TYPE(a_copy_stands_on_its_own)
{
    struct wire_message message = fixture_make(7, type);
    fixture_encode(&message);
    struct wire_message copy;
    ck_assert_int_eq(wire_message_copy(&message, &fixture.decoded, &copy), 0);
    arena_done(
        &fixture.arena); /* the original is gone: what the copy still borrowed would be found out */
    struct buf again;
    buf_init(&again, WIRE_BODY_BYTES_MAX);
    ck_assert_int_eq(wire_message_encode(&copy, &again), 0);
    ck_assert(slice_eq(buf_slice(&again), buf_slice(&fixture.bytes)));
    buf_done(&again);
}

/* Two messages are equal exactly when their bytes are: so eq sees each field that encode writes. */
TEST_OF_EACH_TYPE(a_difference_in_any_field_is_seen)
{
    struct wire_message message = fixture_make(11, type);
    fixture_encode(&message);
    struct arena changed;
    arena_init(&changed, WIRE_ARENA_BYTES_MAX);
    for (size_t i = 0; i < fixture.bytes.n; i++) {
        struct buf other;
        buf_init(&other, WIRE_BODY_BYTES_MAX);
        fixture.bytes.p[i] ^= 1;
        struct slice from = buf_slice(&fixture.bytes);
        struct wire_message back;
        arena_clear(&changed);
        if (wire_message_decode(&from, &changed, &back, NULL) == 0 && from.n == 0 &&
            back.type == type) {
            ck_assert_int_eq(wire_message_encode(&back, &other), 0);
            struct buf same;
            buf_init(&same, WIRE_BODY_BYTES_MAX);
            ck_assert_int_eq(wire_message_encode(&message, &same), 0);
            ck_assert_int_eq(slice_eq(buf_slice(&other), buf_slice(&same)),
                             wire_message_eq(&back, &message));
            buf_done(&same);
        }
        fixture.bytes.p[i] ^= 1;
        buf_done(&other);
    }
    arena_done(&changed);
}

/* --- bytes that never change -------------------------------------------------------------------
 */

static const struct slice two_words[] = {{(const uint8_t *)"ls", 2}, {(const uint8_t *)"-l", 2}};
static const struct slice one_address[] = {{(const uint8_t *)"[::1]:9", 7}};
static const struct slice one_env[] = {{(const uint8_t *)"A=b", 3}};
static const struct wire_held_attempt one_held[] = {
    {.id = ID, .held = WIRE_HELD_RUNNING, .run_ms = 1500}};
static const struct wire_attempt_id two_ids[] = {ID, {.job = 1, .task = 2, .number = 4}};
static const struct wire_file one_file[] = {{.path = {(const uint8_t *)"bin/p", 5},
                                             .mode = 0755,
                                             .bytes = 1ull << 32,
                                             .arch = {(const uint8_t *)"x32", 3}}};
static const struct wire_task_file two_files[] = {
    {.path = {(const uint8_t *)"d", 1}, .mode = 0755},
    {.path = {(const uint8_t *)"d/f", 3}, .mode = 0644, .ref = 1}};
static const struct wire_result_file three_files[] = {
    {.path = {(const uint8_t *)"f", 1},
     .mode = 0600,
     .bytes = 2,
     .inlined = {(const uint8_t *)"\0\n", 2}},
    {.path = {(const uint8_t *)"d", 1}, .mode = 0755, .is_dir = true},
    {.path = {(const uint8_t *)"g", 1}, .fault = WIRE_FILE_FAULT_LINK}};
static struct wire_ref one_ref[] = {{.bytes = 1ull << 30}};
static struct wire_peer_entry one_peer[] = {{.name = {(const uint8_t *)"h\xc3\xa9", 3},
                                             .addresses = {one_address, 1},
                                             .version = 7,
                                             .is_gone = true,
                                             .cores = 256,
                                             .arch = {(const uint8_t *)"x32", 3}}};

#define SPEC                                                                                       \
    {                                                                                              \
        .exec = {(const uint8_t *)"./p", 3}, .files = {one_file, 1}, .env = {one_env, 1},          \
        .arch = {(const uint8_t *)"x86_64", 6}, .cores = 1, .mem_bytes = 65536, .lease_ms = 10000, \
        .output_bytes_max = 1ull << 30, .is_streamed = true, .nice = 19, .priority = 200,          \
        .is_durable = true                                                                         \
    }
#define SPEC_HEX                                                                                   \
    "9e c4032e2f70 91 95 c405 62696e2f70 cd01ed " NO_KEY_HEX "cf0000000100000000 a3783332 "        \
    "91 c403413d62 a6 7838365f3634 01 ce00010000 00 cd2710 ce40000000 c3 13 ccc8 c3 c2 "

static const struct {
    struct wire_message message;
    const char *hex;
} vectors[] = {
    {{.type = WIRE_MESSAGE_OK}, "91 55"},
    {{.type = WIRE_MESSAGE_GOODBYE, .goodbye = {3, {(const uint8_t *)"no", 2}}}, "93 01 03 a26e6f"},
    {{.type = WIRE_MESSAGE_BEAT,
      .beat = {UINT64_C(0x0102030405060708), 500, 16, 5, 256, UINT32_MAX, true}},
     "98 02 cf0102030405060708 cd01f4 10 05 cd0100 ceffffffff c3"},
    {{.type = WIRE_MESSAGE_PEERS, .peers = {one_peer, 1}},
     "92 04 91 98 " KEY_HEX "a368c3a9 91 a75b3a3a315d3a39 07 c3 cd0100 a3783332 90"},
    {{.type = WIRE_MESSAGE_JOB, .job = {255, SPEC}}, "93 07 ccff " SPEC_HEX},
    {{.type = WIRE_MESSAGE_TASK,
      .task = {.id = ID, .argv = {two_words, 2}, .has_input = true, .input_bytes = 128}},
     "9b 09 " ID_HEX "92 c4026c73 c4022d6c c3 " NO_KEY_HEX "cc80 c400 90 90 90 c400"},
    {{.type = WIRE_MESSAGE_TASK,
      .task = {.id = ID,
               .argv = {two_words, 1},
               .args = {(const uint8_t *)"\0\xff", 2},
               .refs = {one_ref, 1},
               .files = {two_files, 2},
               .returns = {two_words, 1},
               .workdir = {(const uint8_t *)"w", 1}}},
     "9b 09 " ID_HEX "91 c4026c73 c2 " NO_KEY_HEX "00 c40200ff 91 93 " KEY_HEX
     "ce40000000 " NO_KEY_HEX "92 93 c40164 cd01ed 00 93 c403642f66 cd01a4 01 "
     "91 c4026c73 c40177"},
    {{.type = WIRE_MESSAGE_PUT, .put = {.id = 3}}, "94 58 03 " NO_KEY_HEX "00"},
    {{.type = WIRE_MESSAGE_PUT_DONE, .put_done = {.id = 3, .bytes = 9, .error = 5}},
     "96 59 03 " NO_KEY_HEX "09 05 a0"},
    {{.type = WIRE_MESSAGE_RELEASE}, "92 5a " NO_KEY_HEX},
    {{.type = WIRE_MESSAGE_TASK_CANCEL, .task_cancel = {.job = 7, .task = 300}}, "93 5b 07 cd012c"},
    {{.type = WIRE_MESSAGE_GET}, "92 5c " NO_KEY_HEX},
    {{.type = WIRE_MESSAGE_GOT, .got = {.bytes = 9, .error = 4, .text = {(const uint8_t *)"d", 1}}},
     "95 5d " NO_KEY_HEX "09 04 a164"},
    {{.type = WIRE_MESSAGE_GONE}, "92 5e " NO_KEY_HEX},
    {{.type = WIRE_MESSAGE_GRANT, .grant = {.id = ID}}, "93 19 " ID_HEX NO_KEY_HEX},
    {{.type = WIRE_MESSAGE_BLOB_WANT, .blob_want = {.offset = 65535}},
     "95 15 " NO_KEY_HEX "cdffff " NO_KEY_HEX "c2"},
    {{.type = WIRE_MESSAGE_STREAM,
      .stream = {.id = ID, .stream = 2, .offset = 65535, .bytes = {(const uint8_t *)"\0\n", 2}}},
     "95 0c " ID_HEX "02 cdffff c402000a"},
    {{.type = WIRE_MESSAGE_RESULT,
      .result = {.id = ID,
                 .result = {.end = 1,
                            .status = 7,
                            .wall_us = 1000000,
                            .user_us = 1,
                            .sys_us = 2,
                            .peak_kib = 3,
                            .out = {.bytes = 2, .inlined = {(const uint8_t *)"ok", 2}},
                            .detail = {(const uint8_t *)"d", 1},
                            .files = {three_files, 3}}}},
     "93 0e " ID_HEX "9a 01 07 ce000f4240 01 02 03 93 02 c4026f6b " NO_KEY_HEX
     "93 00 c400 " NO_KEY_HEX "a164 93 97 c40166 cd0180 02 c402000a " NO_KEY_HEX
     "c2 00 97 c40164 cd01ed 00 c400 " NO_KEY_HEX "c3 00 97 c40167 00 00 c400 " NO_KEY_HEX "c2 02"},
    {{.type = WIRE_MESSAGE_RECALL, .recall = {{two_ids, 2}}}, "92 11 92 " ID_HEX "94 01 02 00 04"},
    {{.type = WIRE_MESSAGE_INVENTORY, .inventory = {NULL, 0, true}}, "93 12 90 c3"},
    {{.type = WIRE_MESSAGE_INVENTORY, .inventory = {one_held, 1, true}},
     "93 12 91 93 " ID_HEX "02 cd05dc c3"},
    {{.type = WIRE_MESSAGE_SUBMIT,
      .submit = {.spec = SPEC,
                 .name = {(const uint8_t *)"n", 1},
                 .jobs_max = 1,
                 .runs_max = 2,
                 .is_detached = true,
                 .require_peers = 3,
                 .except = {one_address, 1}}},
     "9f 42 " SPEC_HEX "a16e 01 02 c2 c3 c2 03 90 91 a75b3a3a315d3a39 90 c2 c2 c2"},
    {{.type = WIRE_MESSAGE_ERROR, .error = {2, {NULL, 0}}}, "93 56 02 a0"},
};

START_TEST(messages_have_these_bytes_on_every_machine)
{
    memset(one_peer[0].key.b, 1, sizeof(one_peer[0].key.b));
    memset(one_ref[0].hash.b, 1, sizeof(one_ref[0].hash.b));
    const struct wire_message *message = &vectors[_i].message;
    fixture_from_hex(vectors[_i].hex);
    struct slice from = buf_slice(&fixture.bytes);
    struct wire_message back;
    int r = wire_message_decode(&from, &fixture.decoded, &back, &fixture.err);
    ck_assert_msg(r == 0, "%s", fixture.err.text);
    ck_assert_uint_eq(from.n, 0);
    ck_assert(wire_message_eq(message, &back));
    struct buf again;
    buf_init(&again, WIRE_BODY_BYTES_MAX);
    ck_assert_int_eq(wire_message_encode(message, &again), 0);
    ck_assert(slice_eq(buf_slice(&again), buf_slice(&fixture.bytes)));
    buf_done(&again);
}
END_TEST

/* --- other versions ----------------------------------------------------------------------------
 */

static void pack_extended(msgpack_packer *packer, const struct wire_layout *layout,
                          const msgpack_object *o, uint32_t n_skip);

static void pack_extended_field(msgpack_packer *packer, const struct wire_field *field,
                                const msgpack_object *o)
{
    if (field->kind == WIRE_KIND_STRUCT) {
        pack_extended(packer, field->layout, o, 0);
    } else if (field->kind == WIRE_KIND_ITEMS) {
        msgpack_pack_array(packer, o->via.array.size);
        for (uint32_t i = 0; i < o->via.array.size; i++) {
            pack_extended(packer, field->layout, &o->via.array.ptr[i], 0);
        }
    } else {
        msgpack_pack_object(packer, *o);
    }
}

/* The same structure with two fields of a later version behind. */
static void pack_extended(msgpack_packer *packer, const struct wire_layout *layout,
                          const msgpack_object *o, uint32_t n_skip)
{
    msgpack_pack_array(packer, o->via.array.size + 2);
    for (uint32_t i = 0; i < n_skip; i++) {
        msgpack_pack_object(packer, o->via.array.ptr[i]);
    }
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        pack_extended_field(packer, &layout->fields[i], &o->via.array.ptr[n_skip + i]);
    }
    msgpack_pack_map(packer, 1);
    msgpack_pack_double(packer, 0.5);
    msgpack_pack_array(packer, 2);
    msgpack_pack_int(packer, -70000);
    msgpack_pack_nil(packer);
    msgpack_pack_ext_with_body(packer, "xyz", 3, 9);
}

TEST_OF_EACH_TYPE(fields_of_later_versions_are_skipped_at_every_level)
{
    struct wire_message message = fixture_make(3, type);
    fixture_encode(&message);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t n_read = 0;
    ck_assert_int_eq(
        msgpack_unpack_next(&unpacked, (const char *)fixture.bytes.p, fixture.bytes.n, &n_read),
        MSGPACK_UNPACK_SUCCESS);
    struct buf longer;
    buf_init(&longer, WIRE_BODY_BYTES_MAX);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &longer, fixture_pack);
    pack_extended(&packer, wire_layout_of(type), &unpacked.data, 1);
    ck_assert_uint_gt(longer.n, fixture.bytes.n);
    struct slice from = buf_slice(&longer);
    struct wire_message back;
    int r = wire_message_decode(&from, &fixture.decoded, &back, &fixture.err);
    ck_assert_msg(r == 0, "%s", fixture.err.text);
    ck_assert_uint_eq(from.n, 0);
    ck_assert(wire_message_eq(&message, &back));
    buf_done(&longer);
    msgpack_unpacked_destroy(&unpacked);
}

START_TEST(messages_of_unknown_type_are_skipped)
{
    static const char *const unknown[] = {
        "92 3f 07",
        "93 cd1000 81a16bcb3ff0000000000000 d603 01020304",
        "91 cfffffffffffffffff",
        "91 00",
    };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        fixture_from_hex(unknown[i]);
        buf_append(&fixture.bytes, "\x92\x03\x07", 3);
        struct slice from = buf_slice(&fixture.bytes);
        struct wire_message message;
        ck_assert_int_eq(wire_message_decode(&from, &fixture.decoded, &message, &fixture.err), 0);
        ck_assert_uint_eq(message.type, WIRE_MESSAGE_NONE);
        ck_assert_int_eq(wire_message_decode(&from, &fixture.decoded, &message, &fixture.err), 0);
        ck_assert_uint_eq(message.type, WIRE_MESSAGE_BEAT_ACK);
        ck_assert_uint_eq(message.beat_ack.token, 7);
    }
}
END_TEST

START_TEST(a_field_of_a_later_version_that_is_missing_reads_as_zero)
{
    fixture_from_hex("93 07 01 9c c400 90 90 a0 01 00 00 cd2710 00 c2 00 00");
    struct slice from = buf_slice(&fixture.bytes);
    struct wire_message message;
    memset(&message, 0xff, sizeof(message));
    ck_assert_int_eq(wire_message_decode(&from, &fixture.decoded, &message, &fixture.err), 0);
    ck_assert_uint_eq(message.job.spec.lease_ms, 10000);
    ck_assert(!message.job.spec.is_durable);
}
END_TEST

START_TEST(values_of_later_versions_are_taken_as_none)
{
    fixture_from_hex("94 10 " ID_HEX "ccc8 a0");
    struct slice from = buf_slice(&fixture.bytes);
    struct wire_message message;
    ck_assert_int_eq(wire_message_decode(&from, &fixture.decoded, &message, &fixture.err), 0);
    ck_assert_uint_eq(message.refuse.refusal, WIRE_REFUSAL_NONE);
    fixture_from_hex("93 01 cf0000000100000001 a0");
    from = buf_slice(&fixture.bytes);
    ck_assert_int_eq(wire_message_decode(&from, &fixture.decoded, &message, &fixture.err), 0);
    ck_assert_uint_eq(message.goodbye.reason, WIRE_REASON_NONE);
}
END_TEST

/* --- bodies, printing --------------------------------------------------------------------------
 */

START_TEST(a_body_says_how_many_messages_follow)
{
    static const uint32_t counts[] = {0, 1, 15, 16, WIRE_BATCH_MESSAGES_MAX};
    struct wire_message ok = {.type = WIRE_MESSAGE_OK};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        buf_clear(&fixture.bytes);
        wire_body_begin(&fixture.bytes, counts[i]);
        for (uint32_t j = 0; j < counts[i]; j++) {
            ck_assert_int_eq(wire_message_encode(&ok, &fixture.bytes), 0);
        }
        struct slice from = buf_slice(&fixture.bytes);
        uint32_t n = 99;
        ck_assert_int_eq(wire_body_open(&from, &n), 0);
        ck_assert_uint_eq(n, counts[i]);
        ck_assert_uint_eq(from.n, 2 * counts[i]);
        if (n > 0) {
            from = slice_of(fixture.bytes.p, fixture.bytes.n - 1);
            ck_assert_int_eq(wire_body_open(&from, &n), -EPROTO);
        }
    }
    static const char *const wrong[] = {"", "01", "dd0fffffff 9155", "dc1001"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        fixture_from_hex(wrong[i]);
        struct slice from = buf_slice(&fixture.bytes);
        uint32_t n = 99;
        ck_assert_int_eq(wire_body_open(&from, &n), -EPROTO);
        ck_assert_uint_eq(n, 99);
    }
}
END_TEST

START_TEST(a_printed_message_is_one_printable_line)
{
    static const struct slice nasty[] = {{(const uint8_t *)"\x1b[2J\n", 5}};
    struct wire_message message = {.type = WIRE_MESSAGE_TASK,
                                   .task = {.id = ID, .argv = {nasty, 1}, .has_input = true}};
    memset(message.task.input.b, 0xab, sizeof(message.task.input.b));
    wire_message_print(&message, &fixture.bytes);
    ck_assert_str_eq(buf_cstr(&fixture.bytes),
                     "task{id={job=258 task=3 incarnation=70000 number=1} argv=[\"\\x1b[2J\\x0a\"] "
                     "has_input=true input=abababababababab input_bytes=0 args=(0 bytes) refs=[] "
                     "files=[] returns=[] workdir=\"\"}");
    buf_clear(&fixture.bytes);
    message =
        (struct wire_message){.type = WIRE_MESSAGE_GOODBYE,
                              .goodbye = {.reason = WIRE_REASON_LEAVING, .text = slice_str("bye")}};
    wire_message_print(&message, &fixture.bytes);
    ck_assert_str_eq(buf_cstr(&fixture.bytes), "goodbye{reason=\"leaving\" text=\"bye\"}");
    static struct wire_attempt_id ids[10];
    for (uint32_t i = 0; i < 10; i++) {
        ids[i] = (struct wire_attempt_id){.task = i + 1, .number = 1};
    }
    buf_clear(&fixture.bytes);
    message = (struct wire_message){.type = WIRE_MESSAGE_DROP, .drop = {{ids, 10}}};
    wire_message_print(&message, &fixture.bytes);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&fixture.bytes), "number=1} and 2 more]}"));
    for (size_t i = 0; i < random_n_types(); i++) {
        message = fixture_make(i, random_type(i));
        buf_clear(&fixture.bytes);
        wire_message_print(&message, &fixture.bytes);
        for (size_t j = 0; j < fixture.bytes.n; j++) {
            ck_assert_uint_ge(fixture.bytes.p[j], 0x20);
        }
    }
}
END_TEST

START_TEST(a_job_is_named_by_incarnation_and_count)
{
    static const char *const bad[] = {"",
                                      "7",
                                      ".",
                                      "7.",
                                      ".3",
                                      "7.3.1",
                                      "-7.3",
                                      "7.3x",
                                      "4294967296.1",
                                      "1.4294967296",
                                      "123456789012345678901234.1"};
    static const uint64_t jobs[] = {1, UINT64_C(7) << 32 | 3, UINT64_MAX};
    char text[WIRE_JOB_TEXT_BYTES];
    uint64_t job;
    ck_assert_str_eq(wire_job_text(jobs[1], text), "7.3");
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        ck_assert_int_eq(wire_job_parse(wire_job_text(jobs[i], text), &job), 0);
        ck_assert_uint_eq(job, jobs[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(wire_job_parse(bad[i], &job) == -EINVAL, "'%s' is taken", bad[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tc = tcase_create("message");
    tcase_add_checked_fixture(tc, fixture_set_up, fixture_tear_down);
    tcase_set_timeout(tc, 60);
#ifdef HAS_CLEAR_PADDING
    tcase_add_test(tc, every_member_of_every_message_is_in_its_table);
#endif
    tcase_add_test(tc, values_have_their_texts_and_unknown_ones_say_so);
    tcase_add_test(tc, small_messages_come_back_as_they_were);
    tcase_add_test(tc, empty_and_largest_messages_come_back_as_they_were);
    tcase_add_test(tc, a_copy_stands_on_its_own);
    tcase_add_test(tc, a_difference_in_any_field_is_seen);
    tcase_add_loop_test(tc, messages_have_these_bytes_on_every_machine, 0, ARRAY_LEN(vectors));
    tcase_add_test(tc, fields_of_later_versions_are_skipped_at_every_level);
    tcase_add_test(tc, messages_of_unknown_type_are_skipped);
    tcase_add_test(tc, a_field_of_a_later_version_that_is_missing_reads_as_zero);
    tcase_add_test(tc, values_of_later_versions_are_taken_as_none);
    tcase_add_test(tc, a_body_says_how_many_messages_follow);
    tcase_add_test(tc, a_job_is_named_by_incarnation_and_count);
    tcase_add_test(tc, a_printed_message_is_one_printable_line);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
