/* The codec against itself (round trips), against msgpack-c (every message read back with its own
 * unpacker), against fixed bytes, and against everything that can be wrong with foreign ones. */
#include <errno.h>
#include <msgpack.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/lib/random_message.h"
#include "tests/lib/runner.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"
#include "wire/message_layout.h"

#define BODY_OFFSET offsetof(struct wire_message, goodbye)

/* --- help --------------------------------------------------------------------------------------
 */

static struct arena arena;   /* of made messages */
static struct arena decoded; /* of decoded ones */
static struct buf bytes;
static struct errmsg err;
static const char *type_under_test; /* to be seen in a debugger */

static void set_up(void)
{
    arena_init(&arena, WIRE_ARENA_BYTES_MAX);
    arena_init(&decoded, WIRE_ARENA_BYTES_MAX);
    buf_init(&bytes, 4 * WIRE_BODY_BYTES_MAX);
}

static void tear_down(void)
{
    mem_set_ops(NULL);
    arena_done(&arena);
    arena_done(&decoded);
    buf_done(&bytes);
}

static void encode(const struct wire_message *message)
{
    buf_clear(&bytes);
    ck_assert_int_eq(wire_message_encode(message, &bytes), 0);
}

/* From a block of exactly that size, so that reading beyond it is found out. What it decoded to is
 * checked, encoded and decoded again: whatever decode lets through must be a message. */
static int decode_exact(const uint8_t *p, size_t n)
{
    uint8_t *block = malloc(n > 0 ? n : 1);
    if (n > 0) {
        memcpy(block, p, n);
    }
    struct slice from = slice_of(block, n);
    struct wire_message message;
    arena_clear(&decoded);
    int r = wire_message_decode(&from, &decoded, &message, &err);
    if (r == 0 && message.type != WIRE_MESSAGE_NONE) {
        ck_assert_msg(wire_message_check(&message, &err) == 0, "%s", err.text);
        struct buf again;
        buf_init(&again, 4 * WIRE_BODY_BYTES_MAX);
        ck_assert_int_eq(wire_message_encode(&message, &again), 0);
        struct slice from_again = buf_slice(&again);
        struct wire_message same;
        ck_assert_int_eq(wire_message_decode(&from_again, &decoded, &same, &err), 0);
        ck_assert(wire_message_eq(&message, &same));
        buf_done(&again);
    }
    free(block);
    return r;
}

/* A test whose body is run for each `type`, all in one process: a fork for each is slow under the
 * sanitizers. */
#define TEST_OF_EACH_TYPE(name)                                                                    \
    static void name##_of(uint32_t type);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (size_t i = 0; i < random_n_types(); i++) {                                            \
            arena_clear(&arena);                                                                   \
            arena_clear(&decoded);                                                                 \
            buf_clear(&bytes);                                                                     \
            type_under_test = wire_message_name(random_type(i));                                   \
            name##_of(random_type(i));                                                             \
        }                                                                                          \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_of(uint32_t type)

static void from_hex(const char *hex)
{
    buf_clear(&bytes);
    unsigned digits = 0;
    unsigned v = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex == ' ') {
            continue;
        }
        v = v << 4 | (unsigned)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10);
        if (++digits % 2 == 0) {
            buf_append_u8(&bytes, (uint8_t)v);
            v = 0;
        }
    }
    ck_assert_uint_eq(digits % 2, 0);
}

static int pack_to_buf(void *to, const char *p, size_t n)
{
    buf_append(to, p, n);
    return 0;
}

/* --- the tables --------------------------------------------------------------------------------
 */

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
            memset(covered + field->offset, 1, sizes[field->kind]);
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

#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define HAS_CLEAR_PADDING 1
#endif
#endif

#ifdef HAS_CLEAR_PADDING
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
    CHECK_STRUCT(wire_peer_entry, layout_in(WIRE_MESSAGE_PEERS, 0))
    CHECK_STRUCT(wire_held_attempt, layout_in(WIRE_MESSAGE_INVENTORY, 0))
    CHECK_STRUCT(wire_attempt_id, layout_in(WIRE_MESSAGE_RECALL, 0))
    CHECK_STRUCT(wire_peer_row, layout_in(WIRE_MESSAGE_PEERS_LIST, 0))
    CHECK_STRUCT(wire_stats_row, layout_in(WIRE_MESSAGE_STATS_LIST, 0))
    CHECK_STRUCT(wire_job_row, layout_in(WIRE_MESSAGE_JOBS_LIST, 0))
}
END_TEST
#endif

START_TEST(values_have_their_texts_and_unknown_ones_say_so)
{
    ck_assert_str_eq(wire_message_name(WIRE_MESSAGE_BEAT_ACK), "beat_ack");
    ck_assert_str_eq(wire_message_name(0), "unknown");
    ck_assert_str_eq(wire_message_name(63), "unknown");
    ck_assert_str_eq(wire_message_name(UINT32_MAX), "unknown");
    ck_assert_str_eq(wire_reason_text(WIRE_REASON_TIMEOUT), "handshake timed out");
    ck_assert_str_eq(wire_reason_text(WIRE_REASON_TIMEOUT + 1), "unknown");
    ck_assert_str_eq(wire_end_text(WIRE_END_LOST), "lost");
    ck_assert_str_eq(wire_refusal_text(WIRE_REFUSAL_BUSY), "busy");
    ck_assert_str_eq(wire_peer_state_text(WIRE_PEER_DOWN), "down");
    ck_assert_str_eq(wire_held_text(WIRE_HELD_ENDED), "ended");
    ck_assert_str_eq(wire_error_text(WIRE_ERROR_DENIED), "denied");
    ck_assert_str_eq(wire_error_text(UINT32_MAX), "unknown");
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
    ck_assert_int_eq(msgpack_unpack_next(&unpacked, (const char *)bytes.p, bytes.n, &n_read),
                     MSGPACK_UNPACK_SUCCESS);
    ck_assert_uint_eq(n_read, bytes.n);
    struct buf again;
    buf_init(&again, 4 * WIRE_BODY_BYTES_MAX);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &again, pack_to_buf);
    ck_assert_int_eq(msgpack_pack_object(&packer, unpacked.data), 0);
    ck_assert(slice_eq(buf_slice(&again), buf_slice(&bytes)));
    buf_done(&again);
    msgpack_unpacked_destroy(&unpacked);
}

static void check_round_trip(const struct wire_message *message)
{
    encode(message);
    check_with_msgpack_c();
    buf_append_u8(&bytes, 0x7f); /* what follows is left alone */
    struct slice from = buf_slice(&bytes);
    struct wire_message back;
    arena_clear(&decoded);
    int r = wire_message_decode(&from, &decoded, &back, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    ck_assert_uint_eq(from.n, 1);
    ck_assert(wire_message_eq(message, &back));
    struct wire_message copy;
    ck_assert_int_eq(wire_message_copy(message, &decoded, &copy), 0);
    ck_assert(wire_message_eq(&copy, &back));
}

TEST_OF_EACH_TYPE(small_messages_come_back_as_they_were)
{
    for (uint64_t i = 0; i < 60; i++) {
        uint64_t seed = i * 1000 + type;
        struct wire_message message;
        arena_clear(&arena);
        random_message(&seed, type, RANDOM_SMALL, &arena, &message);
        check_round_trip(&message);
    }
}

TEST_OF_EACH_TYPE(empty_and_largest_messages_come_back_as_they_were)
{
    struct wire_message message;
    uint64_t seed = type;
    random_message(&seed, type, RANDOM_EMPTY, &arena, &message);
    check_round_trip(&message);
    for (uint64_t i = 0; i < 4; i++) {
        seed = i;
        arena_clear(&arena);
        random_message(&seed, type, RANDOM_LARGEST, &arena, &message);
        check_round_trip(&message);
        ck_assert_uint_lt(bytes.n, WIRE_BODY_BYTES_MAX - 8);
    }
}

static struct wire_message make_small(uint64_t seed, uint32_t type)
{
    struct wire_message message;
    arena_clear(&arena);
    random_message(&seed, type, RANDOM_SMALL, &arena, &message);
    return message;
}

TEST_OF_EACH_TYPE(a_copy_stands_on_its_own)
{
    struct wire_message message = make_small(7, type);
    encode(&message);
    struct wire_message copy;
    ck_assert_int_eq(wire_message_copy(&message, &decoded, &copy), 0);
    arena_done(&arena); /* the original is gone: what the copy still borrowed would be found out */
    struct buf again;
    buf_init(&again, WIRE_BODY_BYTES_MAX);
    ck_assert_int_eq(wire_message_encode(&copy, &again), 0);
    ck_assert(slice_eq(buf_slice(&again), buf_slice(&bytes)));
    buf_done(&again);
}

/* Two messages are equal exactly when their bytes are: so eq sees each field that encode writes. */
TEST_OF_EACH_TYPE(a_difference_in_any_field_is_seen)
{
    struct wire_message message = make_small(11, type);
    encode(&message);
    struct arena changed;
    arena_init(&changed, WIRE_ARENA_BYTES_MAX);
    for (size_t i = 0; i < bytes.n; i++) {
        struct buf other;
        buf_init(&other, WIRE_BODY_BYTES_MAX);
        bytes.p[i] ^= 1;
        struct slice from = buf_slice(&bytes);
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
        bytes.p[i] ^= 1;
        buf_done(&other);
    }
    arena_done(&changed);
}

/* --- bytes that never change -------------------------------------------------------------------
 */

#define KEY_HEX    "c420 0101010101010101010101010101010101010101010101010101010101010101 "
#define NO_KEY_HEX "c420 0000000000000000000000000000000000000000000000000000000000000000 "
#define ID                                                                                         \
    {                                                                                              \
        .job = 258, .task = 3, .incarnation = 70000, .number = 1                                   \
    }
#define ID_HEX "94 cd0102 03 ce00011170 01 "

static const struct slice two_words[] = {{(const uint8_t *)"ls", 2}, {(const uint8_t *)"-l", 2}};
static const struct slice one_address[] = {{(const uint8_t *)"[::1]:9", 7}};
static const struct slice one_env[] = {{(const uint8_t *)"A=b", 3}};
static const struct wire_attempt_id two_ids[] = {ID, {.job = 1, .task = 2, .number = 4}};
static const struct wire_file one_file[] = {
    {.path = {(const uint8_t *)"bin/p", 5}, .mode = 0755, .bytes = 1ull << 32}};
static struct wire_peer_entry one_peer[] = {
    {.name = {(const uint8_t *)"h\xc3\xa9", 3}, .addresses = {one_address, 1}}};

#define SPEC                                                                                       \
    {                                                                                              \
        .exec = {(const uint8_t *)"./p", 3}, .files = {one_file, 1}, .env = {one_env, 1},          \
        .arch = {(const uint8_t *)"x86_64", 6}, .cores = 1, .mem_bytes = 65536, .lease_ms = 10000, \
        .output_bytes_max = 1ull << 30, .is_streamed = true, .nice = 19, .priority = 200           \
    }
#define SPEC_HEX                                                                                   \
    "9c c4032e2f70 91 94 c405 62696e2f70 cd01ed " NO_KEY_HEX "cf0000000100000000 "                 \
    "91 c403413d62 a6 7838365f3634 01 ce00010000 00 cd2710 ce40000000 c3 13 ccc8 "

static const struct {
    struct wire_message message;
    const char *hex;
} vectors[] = {
    {{.type = WIRE_MESSAGE_OK}, "91 55"},
    {{.type = WIRE_MESSAGE_GOODBYE, .goodbye = {3, {(const uint8_t *)"no", 2}}}, "93 01 03 a26e6f"},
    {{.type = WIRE_MESSAGE_BEAT,
      .beat = {UINT64_C(0x0102030405060708), 500, 16, 5, 256, UINT32_MAX}},
     "97 02 cf0102030405060708 cd01f4 10 05 cd0100 ceffffffff"},
    {{.type = WIRE_MESSAGE_PEERS, .peers = {one_peer, 1}},
     "92 04 91 93 " KEY_HEX "a368c3a9 91 a75b3a3a315d3a39"},
    {{.type = WIRE_MESSAGE_JOB, .job = {255, SPEC}}, "93 07 ccff " SPEC_HEX},
    {{.type = WIRE_MESSAGE_TASK,
      .task = {.id = ID, .argv = {two_words, 2}, .has_input = true, .input_bytes = 128}},
     "96 09 " ID_HEX "92 c4026c73 c4022d6c c3 " NO_KEY_HEX "cc80"},
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
                            .detail = {(const uint8_t *)"d", 1}}}},
     "93 0e " ID_HEX "99 01 07 ce000f4240 01 02 03 93 02 c4026f6b " NO_KEY_HEX
     "93 00 c400 " NO_KEY_HEX "a164"},
    {{.type = WIRE_MESSAGE_RECALL, .recall = {{two_ids, 2}}}, "92 11 92 " ID_HEX "94 01 02 00 04"},
    {{.type = WIRE_MESSAGE_INVENTORY, .inventory = {NULL, 0, true}}, "93 12 90 c3"},
    {{.type = WIRE_MESSAGE_SUBMIT,
      .submit = {.spec = SPEC,
                 .name = {(const uint8_t *)"n", 1},
                 .jobs_max = 1,
                 .runs_max = 2,
                 .is_detached = true,
                 .require_peers = 3,
                 .except = {one_address, 1}}},
     "9b 42 " SPEC_HEX "a16e 01 02 c2 c3 c2 03 90 91 a75b3a3a315d3a39"},
    {{.type = WIRE_MESSAGE_ERROR, .error = {2, {NULL, 0}}}, "93 56 02 a0"},
};

START_TEST(messages_have_these_bytes_on_every_machine)
{
    memset(one_peer[0].key.b, 1, sizeof(one_peer[0].key.b));
    const struct wire_message *message = &vectors[_i].message;
    from_hex(vectors[_i].hex);
    struct slice from = buf_slice(&bytes);
    struct wire_message back;
    int r = wire_message_decode(&from, &decoded, &back, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    ck_assert_uint_eq(from.n, 0);
    ck_assert(wire_message_eq(message, &back));
    struct buf again;
    buf_init(&again, WIRE_BODY_BYTES_MAX);
    ck_assert_int_eq(wire_message_encode(message, &again), 0);
    ck_assert(slice_eq(buf_slice(&again), buf_slice(&bytes)));
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
    struct wire_message message = make_small(3, type);
    encode(&message);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t n_read = 0;
    ck_assert_int_eq(msgpack_unpack_next(&unpacked, (const char *)bytes.p, bytes.n, &n_read),
                     MSGPACK_UNPACK_SUCCESS);
    struct buf longer;
    buf_init(&longer, WIRE_BODY_BYTES_MAX);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &longer, pack_to_buf);
    pack_extended(&packer, wire_layout_of(type), &unpacked.data, 1);
    ck_assert_uint_gt(longer.n, bytes.n);
    struct slice from = buf_slice(&longer);
    struct wire_message back;
    int r = wire_message_decode(&from, &decoded, &back, &err);
    ck_assert_msg(r == 0, "%s", err.text);
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
        from_hex(unknown[i]);
        buf_append(&bytes, "\x92\x03\x07", 3);
        struct slice from = buf_slice(&bytes);
        struct wire_message message;
        ck_assert_int_eq(wire_message_decode(&from, &decoded, &message, &err), 0);
        ck_assert_uint_eq(message.type, WIRE_MESSAGE_NONE);
        ck_assert_int_eq(wire_message_decode(&from, &decoded, &message, &err), 0);
        ck_assert_uint_eq(message.type, WIRE_MESSAGE_BEAT_ACK);
        ck_assert_uint_eq(message.beat_ack.token, 7);
    }
}
END_TEST

START_TEST(values_of_later_versions_are_taken_as_none)
{
    from_hex("94 10 " ID_HEX "ccc8 a0");
    struct slice from = buf_slice(&bytes);
    struct wire_message message;
    ck_assert_int_eq(wire_message_decode(&from, &decoded, &message, &err), 0);
    ck_assert_uint_eq(message.refuse.refusal, WIRE_REFUSAL_NONE);
    from_hex("93 01 cf0000000100000001 a0");
    from = buf_slice(&bytes);
    ck_assert_int_eq(wire_message_decode(&from, &decoded, &message, &err), 0);
    ck_assert_uint_eq(message.goodbye.reason, WIRE_REASON_NONE);
}
END_TEST

/* --- what is refused ---------------------------------------------------------------------------
 */

TEST_OF_EACH_TYPE(a_message_cut_short_anywhere_is_refused)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct wire_message message = make_small(seed, type);
        encode(&message);
        for (size_t n = 0; n < bytes.n; n++) {
            ck_assert_int_eq(decode_exact(bytes.p, n), -EPROTO);
        }
        ck_assert_int_eq(decode_exact(bytes.p, bytes.n), 0);
    }
}

TEST_OF_EACH_TYPE(a_message_with_any_byte_changed_is_refused_or_a_message)
{
    static const uint8_t others[] = {0x00, 0x01, 0x7f, 0x80, 0x90, 0x9f, 0xa0, 0xc0, 0xc1, 0xc3,
                                     0xc4, 0xc6, 0xca, 0xcf, 0xd3, 0xdb, 0xdd, 0xdf, 0xff};
    struct wire_message message = make_small(5, type);
    encode(&message);
    unsigned n_refused = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t original = bytes.p[i];
        for (size_t j = 0; j < ARRAY_LEN(others) + 8; j++) {
            bytes.p[i] = j < 8 ? (uint8_t)(original ^ 1u << j) : others[j - 8];
            int r = decode_exact(bytes.p, bytes.n);
            ck_assert(r == 0 || r == -EPROTO);
            n_refused += r < 0;
        }
        bytes.p[i] = original;
    }
    ck_assert_uint_gt(n_refused, 0);
}

static struct {
    size_t n_bytes;      /* allocated in all */
    unsigned n_allowed;  /* allocations before one fails */
    unsigned n_failures; /* that were asked for */
} heap;

static void *counting_realloc(void *p, size_t n)
{
    if (heap.n_allowed == 0) {
        heap.n_failures++;
        return NULL;
    }
    heap.n_allowed--;
    heap.n_bytes += n;
    return realloc(p, n);
}

static void *counting_alloc(size_t n)
{
    return counting_realloc(NULL, n);
}

static const struct mem_ops counting = {counting_alloc, counting_realloc, free};

/* In place of each byte in turn, a count or length that the bytes cannot hold. */
TEST_OF_EACH_TYPE(a_claimed_count_allocates_nothing_that_was_not_sent)
{
    static const uint8_t bombs[][5] = {
        {0xdd, 0x0f, 0xff, 0xff, 0xff}, {0xdd, 0x00, 0x00, 0x08, 0x00},
        {0xdc, 0x01, 0x00, 0xc0, 0xc0}, {0xc6, 0xff, 0xff, 0xff, 0xff},
        {0xdb, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0x0f, 0xff, 0xff, 0xff},
    };
    struct wire_message message = make_small(9, type);
    encode(&message);
    for (size_t i = 0; i < bytes.n; i++) {
        for (size_t j = 0; j < ARRAY_LEN(bombs); j++) {
            struct buf bomb;
            buf_init(&bomb, WIRE_BODY_BYTES_MAX);
            buf_append(&bomb, bytes.p, i);
            buf_append(&bomb, bombs[j], sizeof(bombs[j]));
            buf_append(&bomb, bytes.p + i + 1, bytes.n - i - 1);
            struct arena fresh;
            arena_init(&fresh, WIRE_ARENA_BYTES_MAX);
            heap.n_bytes = 0;
            heap.n_allowed = UINT32_MAX;
            mem_set_ops(&counting);
            struct slice from = buf_slice(&bomb);
            struct wire_message back;
            int r = wire_message_decode(&from, &fresh, &back, NULL);
            mem_set_ops(NULL);
            ck_assert(r == 0 || r == -EPROTO);
            /* A slice for each byte at the worst; an arena's chunks are of 4,000 bytes. */
            ck_assert_uint_le(heap.n_bytes, 3 * (4096 + sizeof(struct slice) * bomb.n));
            arena_done(&fresh);
            buf_done(&bomb);
        }
    }
}

static const struct {
    const char *hex;
    const char *text;
} refused[] = {
    {"", "a message: cut short"},
    {"c0", "a message: not an array"},
    {"90", "a message: no type"},
    {"91 a161", "a message: not an integer"},
    {"91 ff", "a message: a negative number"},
    {"dd 0fffffff 02", "a message: more elements than bytes"},
    {"92 3f c1", "an unknown message: no msgpack"},
    {"92 3f 9191919191919191 01", "an unknown message: nested too deep"},
    {"91 03", "beat_ack: token: missing"},
    {"92 03 ff", "beat_ack: token: a negative number"},
    {"92 03 ca3f800000", "beat_ack: token: not an integer"},
    {"93 03 07 c1", "beat_ack: a field behind the known ones: no msgpack"},
    {"97 02 07 01 cd1001 00 00 00", "beat: cores: too large"},
    {"97 02 07 cf0000000100000000 01 00 00 00", "beat: interval_ms: a number that is too large"},
    {"93 01 03 c4026e6f", "goodbye: text: not a text"},
    {"93 01 03 a2c328", "goodbye: text: not UTF-8 text"},
    {"93 01 03 a26100", "goodbye: text: not UTF-8 text"},
    {"93 01 03 da0101", "goodbye: text: too long"},
    {"93 06 cd0401 01", "credit: n_tasks: too large"},
    {"92 0a 94 01 00 01 01", "cancel: id: task: too small"},
    {"92 0a 94 01 01 01 00", "cancel: id: number: too small"},
    {"92 0a 93 01 01 01", "cancel: id: number: missing"},
    {"92 0a 01", "cancel: id: not an array"},
    {"96 09 " ID_HEX "90 c2 " NO_KEY_HEX "00", "task: argv: empty"},
    {"96 09 " ID_HEX "91 a16c c2 " NO_KEY_HEX "00", "task: argv: not a byte string"},
    {"96 09 " ID_HEX "91 c4026c00 c2 " NO_KEY_HEX "00", "task: argv: holds a NUL"},
    {"96 09 " ID_HEX "91 c6000200006c", "task: argv: too long"},
    {"96 09 " ID_HEX "91 c4016c 01 " NO_KEY_HEX "00", "task: has_input: not a boolean"},
    {"96 09 " ID_HEX "91 c4016c c2 c40100 00", "task: input: too short"},
    {"95 0c " ID_HEX "01 cfffffffffffffffff c40100", "stream: offset: beyond any stream's end"},
    {"92 11 92 " ID_HEX "94 01 00 00 04", "recall: ids[1]: task: too small"},
    {"92 11 dd 0fffffff", "recall: ids: too many elements"},
    {"92 11 dc 0800 94", "recall: ids: more elements than bytes"},
    {"92 04 91 93 " KEY_HEX "a0 99 a0a0a0a0a0a0a0a0a0",
     "peers: peers[0]: addresses: too many elements"},
    {"95 16 " NO_KEY_HEX "02 02 c40100", "blob_data: offset: beyond the blob's end"},
    {"93 07 01 9c c400 91 94 c400 00 " NO_KEY_HEX "00", "job: spec: files[0]: path: empty"},
    {"93 07 01 9c c400 91 94 c4022f61 00 " NO_KEY_HEX "00", "job: spec: files[0]: path: absolute"},
    {"93 07 01 9c c400 91 94 c404612f2e2e 00 " NO_KEY_HEX "00",
     "job: spec: files[0]: path: leads out through \"..\""},
    {"93 07 01 9c c400 91 94 c40161 cd0200 " NO_KEY_HEX "00",
     "job: spec: files[0]: mode: too large"},
    {"93 07 01 9c c400 90 91c40141 a0 01 00 00 cd2710 00 c2 00 00",
     "job: spec: env: not NAME=VALUE"},
    {"93 07 01 9c c400 90 91c4023d41 a0 01 00 00 cd2710 00 c2 00 00",
     "job: spec: env: not NAME=VALUE"},
    {"93 07 01 9c c400 90 90 a0 00 00 00 cd2710 00 c2 00 00", "job: spec: cores: too small"},
    {"93 07 01 9c c400 90 90 a0 01 00 00 cd03e7 00 c2 00 00", "job: spec: lease_ms: too small"},
    {"93 07 01 9c c400 90 90 a0 01 00 00 cd2710 00 c2 14 00", "job: spec: nice: too large"},
    {"93 07 01 9c c4042e2e2f70 90 90 a0 01 00 00 cd2710 00 c2 00 00",
     "job: spec: exec: leads out through \"..\""},
    {"93 0e " ID_HEX "99 01 00 00 00 00 00 93 03 c4026f6b " NO_KEY_HEX,
     "result: result: out: inlined: not all of it"},
    {"93 0e " ID_HEX "99 01 00 00 00 00 00 93 03 c400 " KEY_HEX,
     "result: result: out: hash: of a blob that is small enough to be inlined"},
};

START_TEST(what_breaks_a_rule_is_refused_with_the_field_named)
{
    from_hex(refused[_i].hex);
    ck_assert_int_eq(decode_exact(bytes.p, bytes.n), -EPROTO);
    ck_assert_str_eq(err.text, refused[_i].text);
}
END_TEST

START_TEST(arguments_too_long_in_all_are_refused)
{
    static uint8_t word[WIRE_ARG_BYTES_MAX];
    memset(word, 'w', sizeof(word));
    struct slice words[9];
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        words[i] = slice_of(word, WIRE_ARG_BYTES_MAX - 1);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_TASK,
                                   .task = {.id = ID, .argv = {words, 8}}};
    check_round_trip(&message); /* with their NULs exactly the limit */
    message.task.argv.n = 9;
    words[8].n = 0; /* one NUL more */
    ck_assert_int_eq(wire_message_check(&message, &err), -EINVAL);
    ck_assert_str_eq(err.text, "task: argv: too long in all");
    message.task.argv.n = 1;
    words[0].n = WIRE_ARG_BYTES_MAX;
    ck_assert_int_eq(wire_message_check(&message, &err), -EINVAL);
    ck_assert_str_eq(err.text, "task: argv: too long");

    buf_clear(&bytes);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &bytes, pack_to_buf);
    static const uint8_t front[] = {0x96, 0x09, 0x94, 1, 1, 1, 1};
    buf_append(&bytes, front, sizeof(front));
    msgpack_pack_array(&packer, 9);
    for (size_t i = 0; i < 9; i++) {
        msgpack_pack_bin_with_body(&packer, word, WIRE_ARG_BYTES_MAX - 1);
    }
    msgpack_pack_false(&packer);
    msgpack_pack_bin_with_body(&packer, word, 32);
    msgpack_pack_int(&packer, 0);
    ck_assert_int_eq(decode_exact(bytes.p, bytes.n), -EPROTO);
    ck_assert_str_eq(err.text, "task: argv: too long in all");
}
END_TEST

START_TEST(check_finds_what_decode_would_refuse)
{
    struct wire_message message = {.type = WIRE_MESSAGE_NONE};
    ck_assert_int_eq(wire_message_check(&message, &err), -EINVAL);
    message = (struct wire_message){.type = WIRE_MESSAGE_GOODBYE, .goodbye = {.reason = 99}};
    ck_assert_int_eq(wire_message_check(&message, &err), -EINVAL);
    ck_assert_str_eq(err.text, "goodbye: reason: too large");
    static char text[WIRE_REASON_BYTES_MAX + 2];
    memset(text, 't', sizeof(text) - 1);
    message =
        (struct wire_message){.type = WIRE_MESSAGE_NOTICE, .notice = {.text = slice_str(text)}};
    ck_assert_int_eq(wire_message_check(&message, &err), -EINVAL);
    ck_assert_str_eq(err.text, "notice: text: too long");
}
END_TEST

START_TEST(encoding_what_decode_would_refuse_aborts)
{
    struct wire_message message = {.type = WIRE_MESSAGE_CANCEL};
    IGNORE(wire_message_encode(&message, &bytes)); /* never returns */
}
END_TEST

/* --- short of room -----------------------------------------------------------------------------
 */

TEST_OF_EACH_TYPE(a_buffer_too_small_keeps_what_it_held)
{
    struct wire_message message = make_small(2, type);
    encode(&message);
    for (size_t room = 0; room < bytes.n; room++) {
        struct buf small;
        buf_init(&small, room + 2);
        buf_append(&small, "ab", 2);
        ck_assert_int_eq(wire_message_encode(&message, &small), -ENOBUFS);
        ck_assert(slice_eq_str(buf_slice(&small), "ab"));
        ck_assert_int_eq(buf_error(&small), 0);
        buf_done(&small);
    }
    struct buf exact;
    buf_init(&exact, bytes.n);
    ck_assert_int_eq(wire_message_encode(&message, &exact), 0);
    buf_done(&exact);
}

/* Encodes, decodes and copies with the allocation number `n_allowed` failing; what each said. */
static int run_short_of_memory(const struct wire_message *message, unsigned n_allowed)
{
    struct buf to;
    struct arena small;
    struct wire_message back;
    buf_init(&to, WIRE_BODY_BYTES_MAX);
    arena_init(&small, WIRE_ARENA_BYTES_MAX);
    heap.n_failures = 0;
    heap.n_allowed = n_allowed;
    mem_set_ops(&counting);
    int r = wire_message_encode(message, &to);
    if (r == 0) {
        struct slice from = buf_slice(&to);
        size_t n_before = from.n;
        r = wire_message_decode(&from, &small, &back, &err);
        ck_assert_uint_eq(from.n, r < 0 ? n_before : 0);
    }
    if (r == 0) {
        ck_assert(wire_message_eq(message, &back));
        r = wire_message_copy(message, &small, &back);
    }
    mem_set_ops(NULL);
    ck_assert_int_eq(r, heap.n_failures > 0 ? -ENOMEM : 0);
    buf_done(&to);
    arena_done(&small);
    return r;
}

TEST_OF_EACH_TYPE(memory_short_at_any_point_is_reported_and_nothing_leaks)
{
    struct wire_message message;
    uint64_t seed = 1;
    random_message(&seed, type, RANDOM_LARGEST, &arena, &message);
    unsigned n = 0;
    while (run_short_of_memory(&message, n) < 0) {
        ck_assert_uint_lt(++n, 200);
    }
    ck_assert_uint_gt(n, 0);
}

START_TEST(an_arena_too_small_is_reported)
{
    struct wire_message message = {.type = WIRE_MESSAGE_RECALL, .recall = {{two_ids, 2}}};
    encode(&message);
    arena_done(&decoded);
    arena_init(&decoded, sizeof(two_ids) - 1);
    struct slice from = buf_slice(&bytes);
    ck_assert_int_eq(wire_message_decode(&from, &decoded, &message, &err), -ENOMEM);
    ck_assert_str_eq(err.text, "recall: ids: out of memory");
}
END_TEST

/* --- bodies, printing --------------------------------------------------------------------------
 */

START_TEST(a_body_says_how_many_messages_follow)
{
    static const uint32_t counts[] = {0, 1, 15, 16, WIRE_BATCH_MESSAGES_MAX};
    struct wire_message ok = {.type = WIRE_MESSAGE_OK};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        buf_clear(&bytes);
        wire_body_begin(&bytes, counts[i]);
        for (uint32_t j = 0; j < counts[i]; j++) {
            ck_assert_int_eq(wire_message_encode(&ok, &bytes), 0);
        }
        struct slice from = buf_slice(&bytes);
        uint32_t n = 99;
        ck_assert_int_eq(wire_body_open(&from, &n), 0);
        ck_assert_uint_eq(n, counts[i]);
        ck_assert_uint_eq(from.n, 2 * counts[i]);
        if (n > 0) {
            from = slice_of(bytes.p, bytes.n - 1);
            ck_assert_int_eq(wire_body_open(&from, &n), -EPROTO);
        }
    }
    static const char *const wrong[] = {"", "01", "dd0fffffff 9155", "dc1001"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        from_hex(wrong[i]);
        struct slice from = buf_slice(&bytes);
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
    wire_message_print(&message, &bytes);
    ck_assert_str_eq(buf_cstr(&bytes),
                     "task{id={job=258 task=3 incarnation=70000 number=1} argv=[\"\\x1b[2J\\x0a\"] "
                     "has_input=true input=abababababababab input_bytes=0}");
    buf_clear(&bytes);
    message =
        (struct wire_message){.type = WIRE_MESSAGE_GOODBYE,
                              .goodbye = {.reason = WIRE_REASON_LEAVING, .text = slice_str("bye")}};
    wire_message_print(&message, &bytes);
    ck_assert_str_eq(buf_cstr(&bytes), "goodbye{reason=\"leaving\" text=\"bye\"}");
    static struct wire_attempt_id ids[10];
    for (uint32_t i = 0; i < 10; i++) {
        ids[i] = (struct wire_attempt_id){.task = i + 1, .number = 1};
    }
    buf_clear(&bytes);
    message = (struct wire_message){.type = WIRE_MESSAGE_DROP, .drop = {{ids, 10}}};
    wire_message_print(&message, &bytes);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&bytes), "number=1} and 2 more]}"));
    for (size_t i = 0; i < random_n_types(); i++) {
        message = make_small(i, random_type(i));
        buf_clear(&bytes);
        wire_message_print(&message, &bytes);
        for (size_t j = 0; j < bytes.n; j++) {
            ck_assert_uint_ge(bytes.p[j], 0x20);
        }
    }
}
END_TEST

static void add_per_type(TCase *tc)
{
    tcase_add_test(tc, small_messages_come_back_as_they_were);
    tcase_add_test(tc, empty_and_largest_messages_come_back_as_they_were);
    tcase_add_test(tc, a_copy_stands_on_its_own);
    tcase_add_test(tc, a_difference_in_any_field_is_seen);
    tcase_add_test(tc, fields_of_later_versions_are_skipped_at_every_level);
    tcase_add_test(tc, a_message_cut_short_anywhere_is_refused);
    tcase_add_test(tc, a_message_with_any_byte_changed_is_refused_or_a_message);
    tcase_add_test(tc, a_claimed_count_allocates_nothing_that_was_not_sent);
    tcase_add_test(tc, a_buffer_too_small_keeps_what_it_held);
    tcase_add_test(tc, memory_short_at_any_point_is_reported_and_nothing_leaks);
}

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tc = tcase_create("message");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
#ifdef HAS_CLEAR_PADDING
    tcase_add_test(tc, every_member_of_every_message_is_in_its_table);
#endif
    add_per_type(tc);
    tcase_add_test(tc, values_have_their_texts_and_unknown_ones_say_so);
    tcase_add_loop_test(tc, messages_have_these_bytes_on_every_machine, 0, ARRAY_LEN(vectors));
    tcase_add_test(tc, messages_of_unknown_type_are_skipped);
    tcase_add_test(tc, values_of_later_versions_are_taken_as_none);
    tcase_add_loop_test(tc, what_breaks_a_rule_is_refused_with_the_field_named, 0,
                        ARRAY_LEN(refused));
    tcase_add_test(tc, arguments_too_long_in_all_are_refused);
    tcase_add_test(tc, check_finds_what_decode_would_refuse);
    const char *fork = getenv("CK_FORK");
    if (fork == NULL || strcmp(fork, "no") != 0) {
        tcase_add_test_raise_signal(tc, encoding_what_decode_would_refuse_aborts, SIGABRT);
    }
    tcase_add_test(tc, an_arena_too_small_is_reported);
    tcase_add_test(tc, a_body_says_how_many_messages_follow);
    tcase_add_test(tc, a_printed_message_is_one_printable_line);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
