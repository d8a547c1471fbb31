/* Everything that can be wrong with foreign bytes, and being short of room and memory. */
#include <errno.h>
#include <msgpack.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/lib/message_fixture.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"

static const struct wire_attempt_id two_ids[] = {ID, {.job = 1, .task = 2, .number = 4}};

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
    arena_clear(&fixture.decoded);
    int r = wire_message_decode(&from, &fixture.decoded, &message, &fixture.err);
    if (r == 0 && message.type != WIRE_MESSAGE_NONE) {
        ck_assert_msg(wire_message_check(&message, &fixture.err) == 0, "%s", fixture.err.text);
        struct buf again;
        buf_init(&again, 4 * WIRE_BODY_BYTES_MAX);
        ck_assert_int_eq(wire_message_encode(&message, &again), 0);
        struct slice from_again = buf_slice(&again);
        struct wire_message same;
        ck_assert_int_eq(wire_message_decode(&from_again, &fixture.decoded, &same, &fixture.err),
                         0);
        ck_assert(wire_message_eq(&message, &same));
        buf_done(&again);
    }
    free(block);
    return r;
}

/* --- what is refused ---------------------------------------------------------------------------
 */

TEST_OF_EACH_TYPE(a_message_cut_short_anywhere_is_refused)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct wire_message message = fixture_make(seed, type);
        fixture_encode(&message);
        for (size_t n = 0; n < fixture.bytes.n; n++) {
            ck_assert_int_eq(decode_exact(fixture.bytes.p, n), -EPROTO);
        }
        ck_assert_int_eq(decode_exact(fixture.bytes.p, fixture.bytes.n), 0);
    }
}

TEST_OF_EACH_TYPE(a_message_with_any_byte_changed_is_refused_or_a_message)
{
    static const uint8_t others[] = {0x00, 0x01, 0x7f, 0x80, 0x90, 0x9f, 0xa0, 0xc0, 0xc1, 0xc3,
                                     0xc4, 0xc6, 0xca, 0xcf, 0xd3, 0xdb, 0xdd, 0xdf, 0xff};
    struct wire_message message = fixture_make(5, type);
    fixture_encode(&message);
    unsigned n_refused = 0;
    for (size_t i = 0; i < fixture.bytes.n; i++) {
        uint8_t original = fixture.bytes.p[i];
        for (size_t j = 0; j < ARRAY_LEN(others) + 8; j++) {
            fixture.bytes.p[i] = j < 8 ? (uint8_t)(original ^ 1u << j) : others[j - 8];
            int r = decode_exact(fixture.bytes.p, fixture.bytes.n);
            ck_assert(r == 0 || r == -EPROTO);
            n_refused += r < 0;
        }
        fixture.bytes.p[i] = original;
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
    void *p = counting_realloc(NULL, n);
    return p != NULL ? memset(p, 0, n) : NULL;
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
    struct wire_message message = fixture_make(9, type);
    fixture_encode(&message);
    for (size_t i = 0; i < fixture.bytes.n; i++) {
        for (size_t j = 0; j < ARRAY_LEN(bombs); j++) {
            struct buf bomb;
            buf_init(&bomb, WIRE_BODY_BYTES_MAX);
            buf_append(&bomb, fixture.bytes.p, i);
            buf_append(&bomb, bombs[j], sizeof(bombs[j]));
            buf_append(&bomb, fixture.bytes.p + i + 1, fixture.bytes.n - i - 1);
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
            /* A slice for each byte at the worst; an arena's chunks are of 4,000 fixture.bytes. */
            ck_assert_uint_le(heap.n_bytes, 3 * (4096 + sizeof(struct slice) * bomb.n));
            arena_done(&fresh);
            buf_done(&bomb);
        }
    }
}

/* A result, but for its files. */
#define RESULT_HEX                                                                                 \
    "93 0e " ID_HEX "9a 01 00 00 00 00 00 93 00 c400 " NO_KEY_HEX "93 00 c400 " NO_KEY_HEX "a0 "

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
    {"98 09 " ID_HEX "91 c40166 c3 " NO_KEY_HEX "07 c40101 90", "task: args: beside an input"},
    {"98 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c600010001", "task: args: too long"},
    {"98 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 91 92 " NO_KEY_HEX "07",
     "task: refs[0]: hash: of no blob"},
    {"98 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 dc4001", "task: refs: too many elements"},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 91 93 c400 00 00 90 c400",
     "task: files[0]: path: empty"},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 91 93 c4022f66 00 00 90 c400",
     "task: files[0]: path: absolute, or with an empty part, \".\" or \"..\""},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 91 93 c402662f 00 00 90 c400",
     "task: files[0]: path: absolute, or with an empty part, \".\" or \"..\""},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 91 93 c404612f2e2e 00 00 90 c400",
     "task: files[0]: path: absolute, or with an empty part, \".\" or \"..\""},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 91 93 c4012e 00 00 90 c400",
     "task: files[0]: path: absolute, or with an empty part, \".\" or \"..\""},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 91 93 c40166 00 01 90 c400",
     "task: files: of no ref"},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 91 93 c40166 cd0200 00 90 c400",
     "task: files[0]: mode: too large"},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 90 91 c403612f2f c400",
     "task: path: absolute, or with an empty part, \".\" or \"..\""},
    {"9b 09 " ID_HEX "91 c40166 c2 " NO_KEY_HEX "00 c400 90 90 90 c4022e2e",
     "task: path: absolute, or with an empty part, \".\" or \"..\""},
    {RESULT_HEX "91 97 c4022e2e 00 00 c400 " NO_KEY_HEX "c2 00",
     "result: result: files[0]: path: absolute, or with an empty part, \".\" or \"..\""},
    {RESULT_HEX "91 97 c40166 00 02 c40100 " NO_KEY_HEX "c2 00",
     "result: result: files[0]: inlined: not all of it"},
    {RESULT_HEX "91 97 c40166 00 01 c40100 " KEY_HEX "c2 00",
     "result: result: files[0]: hash: of a file that is inlined"},
    {RESULT_HEX "91 97 c40166 00 01 c400 " NO_KEY_HEX "c2 00",
     "result: result: files[0]: hash: of no blob"},
    {RESULT_HEX "91 97 c40166 00 01 c40100 " NO_KEY_HEX "c3 00",
     "result: result: files[0]: bytes: of what is no file"},
    {RESULT_HEX "91 97 c40166 00 01 c400 " KEY_HEX "c2 01",
     "result: result: files[0]: bytes: of what is no file"},
    {"93 07 01 9e c400 90 90 a0 01 00 00 cd2710 00 c2 00 00 c2 c3",
     "job: spec: exec: empty, and the job's tasks are calls"},
    {"94 1b 01 a161 90", "queue_put: items: none"},
    {"94 1b 01 a0 91 93 c40100 " NO_KEY_HEX "00", "queue_put: name: not one that a queue may have"},
    {"94 1b 01 a3612f62 91 93 c40100 " NO_KEY_HEX "00",
     "queue_put: name: not one that a queue may have"},
    {"94 1b 01 a161 dc0401", "queue_put: items: too many elements"},
    {"94 1b 01 a161 91 93 c600010001", "queue_put: items[0]: bytes: too long"},
    {"94 1b 01 a161 91 93 c40100 " KEY_HEX "01", "queue_put: items[0]: blob_bytes: beside bytes"},
    {"94 1b 01 a161 91 93 c400 " KEY_HEX "ce40000001", "queue_put: items[0]: blob_bytes: too many"},
    {"94 1b 01 a161 91 93 c400 " NO_KEY_HEX "01", "queue_put: items: a blob without hash"},
    {"95 1d 01 01 01 93 c400 " NO_KEY_HEX "01", "queue_item: content: a blob without hash"},
    {"95 1c 01 a2617f 00 00", "queue_get: name: not one that a queue may have"},
    {"93 71 01 a1090a", "queue_take: name: not one that a queue may have"},
    {"92 75 a3c28561", "queue_remove: name: not one that a queue may have"},
};

START_TEST(what_breaks_a_rule_is_refused_with_the_field_named)
{
    fixture_from_hex(refused[_i].hex);
    ck_assert_int_eq(decode_exact(fixture.bytes.p, fixture.bytes.n), -EPROTO);
    ck_assert_str_eq(fixture.err.text, refused[_i].text);
}
END_TEST

START_TEST(items_too_long_in_all_are_refused)
{
    static uint8_t bytes[WIRE_ITEM_BYTES_MAX];
    struct wire_queue_bytes items[WIRE_PUT_BYTES_MAX / WIRE_ITEM_BYTES_MAX + 1] = {0};
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        items[i].bytes = slice_of(bytes, sizeof(bytes));
    }
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_PUT};
    message.queue_put = (struct wire_queue_put){.name = slice_str("q")};
    message.queue_put.items = (struct wire_queue_items){items, ARRAY_LEN(items) - 1};
    fixture_encode(&message); /* exactly the limit */
    ck_assert_int_eq(decode_exact(fixture.bytes.p, fixture.bytes.n), 0);
    message.queue_put.items.n++;
    items[ARRAY_LEN(items) - 1].bytes.n = 1;
    ck_assert_int_eq(wire_message_check(&message, &fixture.err), -EINVAL);
    ck_assert_str_eq(fixture.err.text, "queue_put: items: too long in all");
}
END_TEST

START_TEST(too_many_blobs_in_one_put_are_refused)
{
    struct wire_queue_bytes items[WIRE_PUT_BLOBS_MAX + 1] = {0};
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        items[i].blob_bytes = WIRE_ITEM_BLOB_BYTES_MAX;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ADD};
    message.queue_add = (struct wire_queue_add){.name = slice_str("q")};
    message.queue_add.items = (struct wire_queue_items){items, ARRAY_LEN(items) - 1};
    fixture_encode(&message); /* exactly the limit; the hashes are the daemon's to fill in */
    ck_assert_int_eq(decode_exact(fixture.bytes.p, fixture.bytes.n), 0);
    message.queue_add.items.n++;
    ck_assert_int_eq(wire_message_check(&message, &fixture.err), -EINVAL);
    ck_assert_str_eq(fixture.err.text, "queue_add: items: too many blobs");
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
    fixture_encode(&message); /* with their NULs exactly the limit */
    ck_assert_int_eq(decode_exact(fixture.bytes.p, fixture.bytes.n), 0);
    message.task.argv.n = 9;
    words[8].n = 0; /* one NUL more */
    ck_assert_int_eq(wire_message_check(&message, &fixture.err), -EINVAL);
    ck_assert_str_eq(fixture.err.text, "task: argv: too long in all");
    message.task.argv.n = 1;
    words[0].n = WIRE_ARG_BYTES_MAX;
    ck_assert_int_eq(wire_message_check(&message, &fixture.err), -EINVAL);
    ck_assert_str_eq(fixture.err.text, "task: argv: too long");

    buf_clear(&fixture.bytes);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &fixture.bytes, fixture_pack);
    static const uint8_t front[] = {0x96, 0x09, 0x94, 1, 1, 1, 1};
    buf_append(&fixture.bytes, front, sizeof(front));
    msgpack_pack_array(&packer, 9);
    for (size_t i = 0; i < 9; i++) {
        msgpack_pack_bin_with_body(&packer, word, WIRE_ARG_BYTES_MAX - 1);
    }
    msgpack_pack_false(&packer);
    msgpack_pack_bin_with_body(&packer, word, 32);
    msgpack_pack_int(&packer, 0);
    ck_assert_int_eq(decode_exact(fixture.bytes.p, fixture.bytes.n), -EPROTO);
    ck_assert_str_eq(fixture.err.text, "task: argv: too long in all");
}
END_TEST

START_TEST(check_finds_what_decode_would_refuse)
{
    struct wire_message message = {.type = WIRE_MESSAGE_NONE};
    ck_assert_int_eq(wire_message_check(&message, &fixture.err), -EINVAL);
    message = (struct wire_message){.type = WIRE_MESSAGE_GOODBYE, .goodbye = {.reason = 99}};
    ck_assert_int_eq(wire_message_check(&message, &fixture.err), -EINVAL);
    ck_assert_str_eq(fixture.err.text, "goodbye: reason: too large");
    static char text[WIRE_REASON_BYTES_MAX + 2];
    memset(text, 't', sizeof(text) - 1);
    message =
        (struct wire_message){.type = WIRE_MESSAGE_NOTICE, .notice = {.text = slice_str(text)}};
    ck_assert_int_eq(wire_message_check(&message, &fixture.err), -EINVAL);
    ck_assert_str_eq(fixture.err.text, "notice: text: too long");
}
END_TEST

START_TEST(encoding_what_decode_would_refuse_aborts)
{
    struct wire_message message = {.type = WIRE_MESSAGE_CANCEL};
    IGNORE(wire_message_encode(&message, &fixture.bytes)); /* never returns */
}
END_TEST

/* --- short of room -----------------------------------------------------------------------------
 */

TEST_OF_EACH_TYPE(a_buffer_too_small_keeps_what_it_held)
{
    struct wire_message message = fixture_make(2, type);
    fixture_encode(&message);
    for (size_t room = 0; room < fixture.bytes.n; room++) {
        struct buf small;
        buf_init(&small, room + 2);
        buf_append(&small, "ab", 2);
        ck_assert_int_eq(wire_message_encode(&message, &small), -ENOBUFS);
        ck_assert(slice_eq_str(buf_slice(&small), "ab"));
        ck_assert_int_eq(buf_error(&small), 0);
        buf_done(&small);
    }
    struct buf exact;
    buf_init(&exact, fixture.bytes.n);
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
        r = wire_message_decode(&from, &small, &back, &fixture.err);
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
    random_message(&seed, type, RANDOM_LARGEST, &fixture.arena, &message);
    unsigned n = 0;
    while (run_short_of_memory(&message, n) < 0) {
        ck_assert_uint_lt(++n, 200);
    }
    ck_assert_uint_gt(n, 0);
}

START_TEST(an_arena_too_small_is_reported)
{
    struct wire_message message = {.type = WIRE_MESSAGE_RECALL, .recall = {{two_ids, 2}}};
    fixture_encode(&message);
    arena_done(&fixture.decoded);
    arena_init(&fixture.decoded, sizeof(two_ids) - 1);
    struct slice from = buf_slice(&fixture.bytes);
    ck_assert_int_eq(wire_message_decode(&from, &fixture.decoded, &message, &fixture.err), -ENOMEM);
    ck_assert_str_eq(fixture.err.text, "recall: ids: out of memory");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message_refused");
    TCase *tc = tcase_create("message_refused");
    tcase_add_checked_fixture(tc, fixture_set_up, fixture_tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_message_cut_short_anywhere_is_refused);
    tcase_add_test(tc, a_message_with_any_byte_changed_is_refused_or_a_message);
    tcase_add_test(tc, a_claimed_count_allocates_nothing_that_was_not_sent);
    tcase_add_loop_test(tc, what_breaks_a_rule_is_refused_with_the_field_named, 0,
                        ARRAY_LEN(refused));
    tcase_add_test(tc, items_too_long_in_all_are_refused);
    tcase_add_test(tc, too_many_blobs_in_one_put_are_refused);
    tcase_add_test(tc, arguments_too_long_in_all_are_refused);
    tcase_add_test(tc, check_finds_what_decode_would_refuse);
    const char *fork = getenv("CK_FORK");
    if (fork == NULL || strcmp(fork, "no") != 0) {
        tcase_add_test_raise_signal(tc, encoding_what_decode_would_refuse_aborts, SIGABRT);
    }
    tcase_add_test(tc, a_buffer_too_small_keeps_what_it_held);
    tcase_add_test(tc, memory_short_at_any_point_is_reported_and_nothing_leaks);
    tcase_add_test(tc, an_arena_too_small_is_reported);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
