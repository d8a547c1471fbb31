/* The test vectors of wire/README.md: the sessions must give these bytes, and a second reading of
 * the specification, written here on libsodium alone, must arrive at the same.
 *
 * With MESH_VECTORS_TO=FILE in the environment the block is written to that file: a change of it is
 * a change of the protocol. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/runner.h"
#include "tests/unit/session_pair.h"
#include "wire/base/text.h"
#include "wire/handshake.h"
#include "wire/invite.h"

enum { VECTOR_BYTES_MAX = 600, VECTORS_MAX = 32, CODE_BYTES = 64 };

struct vector {
    const char *name;
    uint8_t bytes[VECTOR_BYTES_MAX];
    size_t n;
};

static struct vector vectors[VECTORS_MAX];
static unsigned n_vectors;

static void add(const char *name, const void *p, size_t n)
{
    ck_assert_uint_lt(n_vectors, VECTORS_MAX);
    ck_assert_uint_le(n, VECTOR_BYTES_MAX);
    struct vector *vector = &vectors[n_vectors++];
    vector->name = name;
    vector->n = n;
    memcpy(vector->bytes, p, n);
}

static const struct vector *get(const char *name)
{
    for (unsigned i = 0; i < n_vectors; i++) {
        if (strcmp(vectors[i].name, name) == 0) {
            return &vectors[i];
        }
    }
    ck_abort_msg("no vector %s", name);
    return NULL;
}

/* The next whole frame of the pipe, prefix included. */
static void add_frame(const char *name, struct slice *from)
{
    struct slice frame;
    ck_assert_int_eq(wire_frame_peek(*from, WIRE_FRAME_BYTES_MAX, &frame), 1);
    add(name, from->p, 4 + frame.n);
    from->p += 4 + frame.n;
    from->n -= 4 + frame.n;
}

static const struct wire_secret secret = {{0x5e, 0xc2, 0xe7, 0x00, 0x01, 0x02, 0x03, 0x04,
                                           0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c,
                                           0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14,
                                           0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c}};

static struct pair pair;

static void add_inputs(void)
{
    static const char *const names[2][3] = {
        {"initiator seed", "initiator key", "initiator random"},
        {"responder seed", "responder key", "responder random"}};
    add("mesh secret", secret.b, sizeof(secret.b));
    add("mesh tag", pair.door[A]->present.tag, WIRE_TAG_BYTES);
    for (int i = 0; i < 2; i++) {
        uint8_t seed[WIRE_SEED_BYTES];
        for (unsigned k = 0; k < sizeof(seed); k++) {
            seed[k] = (uint8_t)(32 * i + (int)k);
        }
        add(names[i][0], seed, sizeof(seed));
        add(names[i][1], wire_identity_key(pair.identity[i])->b, 32);
        add(names[i][2], pair.config[i].random, 88);
    }
}

static char code_text[WIRE_INVITE_TEXT_BYTES];

/* An invitation by the responder, and the code that says it. */
static void add_invitation(void)
{
    struct wire_invite_code code = {.key = *wire_identity_key(pair.identity[B]),
                                    .expires_min = 30000000,
                                    .n_addresses = 1,
                                    .addresses = {{.ip = {192, 168, 1, 7}, .port = 6374}}};
    for (unsigned i = 0; i < sizeof(code.token.b); i++) {
        code.token.b[i] = (uint8_t)(0x10 + i);
    }
    struct wire_secret made;
    uint8_t tag[WIRE_TAG_BYTES], bytes[CODE_BYTES + 1] = {0};
    wire_invitation_secret(&code.token, &made);
    wire_mesh_tag(&made, tag);
    add("invitation token", code.token.b, sizeof(code.token.b));
    add("invitation secret", made.b, sizeof(made.b));
    add("invitation tag", tag, sizeof(tag));
    unsigned n_bits = 0;
    for (const char *c = wire_invite_code_format(&code, code_text); *c != '\0'; c++) {
        if (*c != '-') {
            unsigned value = (unsigned)text_base32_value(*c);
            for (unsigned bit = 0; bit < 5; bit++, n_bits++) {
                ck_assert_uint_lt(n_bits, 8 * sizeof(bytes));
                bytes[n_bits / 8] |= (uint8_t)((value >> (4 - bit) & 1u) << (7 - n_bits % 8));
            }
        }
    }
    ck_assert_uint_eq(n_bits / 8, CODE_BYTES);
    ck_assert_uint_eq(bytes[CODE_BYTES], 0);
    add("invitation code", bytes, CODE_BYTES);
}

/* What two sessions say to each other. */
static void make_vectors(void)
{
    n_vectors = 0;
    pair_configure(&pair);
    for (int i = 0; i < 2; i++) {
        wire_door_lock(pair.door[i], &secret);
    }
    add_inputs();
    pair_start(&pair);
    pair_drain(&pair, A);
    struct slice said = buf_slice(&pair.pipe[A]);
    add_frame("initiator hello", &said);
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), 0);
    pair_drain(&pair, B);
    said = buf_slice(&pair.pipe[B]);
    add_frame("responder hello", &said);
    add("session id", wire_session_id(pair.session[B]), WIRE_SESSION_ID_BYTES);
    add_frame("responder proof", &said);
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&pair.pipe[B])), 0);
    buf_clear(&pair.pipe[A]);
    pair_send(&pair, A, 0);
    pair_drain(&pair, A);
    said = buf_slice(&pair.pipe[A]);
    add_frame("initiator proof", &said);
    add_frame("initiator frame 1", &said);
    ck_assert_int_eq(pair_hear(&pair, B, buf_slice(&pair.pipe[A])), 0);
    ck_assert_uint_eq(pair.n_received[B], 1);
    buf_clear(&pair.pipe[B]);
    wire_session_close(pair.session[B], WIRE_REASON_LEAVING, slice_str("bye"));
    pair_drain(&pair, B);
    said = buf_slice(&pair.pipe[B]);
    add_frame("responder frame 1", &said);
    ck_assert_int_eq(pair_hear(&pair, A, buf_slice(&pair.pipe[B])), 0);
    ck_assert_int_eq(pair_state(&pair, A), WIRE_SESSION_ENDED);
    buf_clear(&pair.pipe[A]);
    wire_handshake_refuse(&pair.pipe[A], WIRE_REASON_MESH, slice_str("another mesh"));
    add("refusal", pair.pipe[A].p, pair.pipe[A].n);
    add_invitation();
}

static void clear_vectors(void)
{
    pair_done(&pair);
}

/* --- the second reading --- */

static uint8_t text[4096]; /* what is hashed, put together */
static size_t n_text;

static void put(const void *p, size_t n)
{
    memcpy(text + n_text, p, n);
    n_text += n;
}

/* BLAKE2b-256 of what was put. */
static void hash(const uint8_t *key, uint8_t to[static 32])
{
    ck_assert_int_eq(crypto_generichash(to, 32, text, n_text, key, key != NULL ? 32 : 0), 0);
    n_text = 0;
}

static void signed_by(const char *who, const uint8_t digest[static 32], const uint8_t *signature)
{
    ck_assert_int_eq(crypto_sign_verify_detached(signature, digest, 32, get(who)->bytes), 0);
}

static void check_hello(const char *name, const char *key, uint8_t role)
{
    const struct vector *hello = get(name);
    uint8_t digest[32];
    ck_assert_uint_eq((size_t)hello->bytes[2] << 8 | hello->bytes[3], hello->n - 4);
    ck_assert_mem_eq(hello->bytes + 4, "mesh\1", 5);
    put("mesh hello", 11);
    put(&role, 1);
    put(hello->bytes + 73, hello->n - 73);
    hash(NULL, digest);
    signed_by(key, digest, hello->bytes + 9);
}

/* The ephemeral key stands in the hello where its own header says: after the bin of 32 bytes that
 * is the identity, the epoch and the incarnation. */
static const uint8_t *ephemeral_of(const char *name)
{
    const uint8_t *at = get(name)->bytes + 73;
    ck_assert_uint_eq(at[0], 0x9e); /* an array of 14 */
    ck_assert_mem_eq(at + 1, "\1\2\xc4\x20", 4);
    ck_assert_uint_eq(at[37], 0xcf); /* epoch */
    ck_assert_mem_eq(at + 47, "\xc4\x20", 2);
    return at + 49;
}

START_TEST(a_second_reading_arrives_at_the_same_session)
{
    check_hello("initiator hello", "initiator key", 1);
    check_hello("responder hello", "responder key", 2);

    uint8_t id[32], shared[32], keys[2][32], digest[32], plain[VECTOR_BYTES_MAX];
    put("mesh session", 13);
    put(get("initiator hello")->bytes, get("initiator hello")->n);
    put(get("responder hello")->bytes, get("responder hello")->n);
    hash(NULL, id);
    ck_assert_mem_eq(id, get("session id")->bytes, 32);

    ck_assert_int_eq(
        crypto_scalarmult(shared, get("initiator random")->bytes, ephemeral_of("responder hello")),
        0);
    for (uint8_t role = 1; role <= 2; role++) {
        put("mesh key", 9);
        put(&role, 1);
        put(shared, 32);
        put(id, 32);
        hash(get("mesh secret")->bytes, keys[role - 1]);
    }
    static const char *const names[2][3] = {
        {"initiator key", "initiator proof", "initiator frame 1"},
        {"responder key", "responder proof", "responder frame 1"}};
    for (uint8_t role = 1; role <= 2; role++) {
        crypto_secretstream_xchacha20poly1305_state stream;
        unsigned long long n;
        uint8_t tag;
        const struct vector *proof = get(names[role - 1][1]), *frame = get(names[role - 1][2]);
        ck_assert_mem_eq(proof->bytes + 4, "mesh\3", 5);
        ck_assert_int_eq(crypto_secretstream_xchacha20poly1305_init_pull(&stream, proof->bytes + 9,
                                                                         keys[role - 1]),
                         0);
        ck_assert_int_eq(crypto_secretstream_xchacha20poly1305_pull(
                             &stream, plain, &n, &tag, proof->bytes + 33, proof->n - 33, NULL, 0),
                         0);
        ck_assert_uint_eq(n, 64);
        put("mesh proof", 11);
        put(&role, 1);
        put(id, 32);
        hash(NULL, digest);
        signed_by(names[role - 1][0], digest, plain);

        ck_assert_int_eq(crypto_secretstream_xchacha20poly1305_pull(
                             &stream, plain, &n, &tag, frame->bytes + 4, frame->n - 4, NULL, 0),
                         0);
        ck_assert_uint_eq(tag, role == 1 ? 0 : 3);
        put("mesh frame", 11);
        put(id, 32);
        put(&role, 1);
        put("\0\0\0\0\0\0\0\1", 8);
        put(plain + 64, n - 64);
        hash(NULL, digest);
        signed_by(names[role - 1][0], digest, plain);
        if (role == 2) { /* [[1, 1, "bye"]] */
            ck_assert_uint_eq(n, 64 + 8);
            ck_assert_mem_eq(plain + 64,
                             "\x91\x93\1\1\xa3"
                             "bye",
                             8);
        } else { /* [[2, 0, 500, 8, 2, 3, 6, false]] */
            ck_assert_uint_eq(n, 64 + 12);
            ck_assert_mem_eq(plain + 64, "\x91\x98\2\0\xcd\1\xf4\x08\2\3\6\xc2", 12);
        }
    }
    put("mesh tag", 9);
    put(secret.b, 32);
    hash(NULL, digest);
    ck_assert_mem_eq(digest, get("mesh tag")->bytes, 16);
}
END_TEST

START_TEST(a_second_reading_arrives_at_the_same_invitation)
{
    const uint8_t *token = get("invitation token")->bytes;
    const uint8_t *code = get("invitation code")->bytes;
    uint8_t digest[32];
    put("mesh invite", 12);
    put(token, 16);
    hash(NULL, digest);
    ck_assert_mem_eq(digest, get("invitation secret")->bytes, 32);
    put("mesh tag", 9);
    put(digest, 32);
    hash(NULL, digest);
    ck_assert_mem_eq(digest, get("invitation tag")->bytes, 16);

    ck_assert_uint_eq(code[0], 1);
    ck_assert_mem_eq(code + 1, token, 16);
    ck_assert_mem_eq(code + 17, get("responder key")->bytes, 32);
    ck_assert_mem_eq(code + 49, "\x01\xc9\xc3\x80", 4); /* 30,000,000 minutes */
    ck_assert_mem_eq(code + 53, "\1\xc0\xa8\1\7\x18\xe6", 7);
    uint32_t crc = UINT32_MAX;
    for (unsigned i = 0; i < 8 * 60; i++) {
        uint32_t bit = (crc ^ code[i / 8] >> i % 8) & 1u;
        crc = crc >> 1 ^ (bit != 0 ? 0xedb88320u : 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(code[60 + i], (uint8_t)(~crc >> 8 * i));
    }
}
END_TEST

/* --- the README --- */

/* Reads the block into `to`, as NAME -> hexadecimal digits without white space. */
static void read_vector(FILE *file, const char *name, char *to, size_t n_to)
{
    char line[256];
    size_t n = 0;
    bool is_in_block = false, is_in_value = false;
    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "```", 3) == 0) {
            is_in_block = strcmp(line, "```vectors\n") == 0;
            is_in_value = false;
            continue;
        }
        if (!is_in_block) {
            continue;
        }
        if (line[0] != ' ') {
            line[strcspn(line, "\n")] = '\0';
            is_in_value = strcmp(line, name) == 0;
            continue;
        }
        for (const char *c = line; is_in_value && *c != '\0'; c++) {
            if (*c != ' ' && *c != '\n' && n + 1 < n_to) {
                to[n++] = *c;
            }
        }
    }
    to[n] = '\0';
}

START_TEST(the_readme_holds_what_the_sessions_say)
{
    FILE *file = fopen(MESH_SOURCE_ROOT "/wire/README.md", "re");
    ck_assert_ptr_nonnull(file);
    for (unsigned i = 0; i < n_vectors; i++) {
        char expected[2 * VECTOR_BYTES_MAX + 1], found[2 * VECTOR_BYTES_MAX + 1];
        text_hex(slice_of(vectors[i].bytes, vectors[i].n), expected, sizeof(expected));
        read_vector(file, vectors[i].name, found, sizeof(found));
        ck_assert_msg(strcmp(expected, found) == 0, "%s: %s in the README, %s", vectors[i].name,
                      found, expected);
    }
    bool has_code = false;
    rewind(file);
    for (char line[512]; fgets(line, sizeof(line), file) != NULL;) {
        has_code = has_code || strstr(line, code_text) != NULL;
    }
    ck_assert_msg(has_code, "the README lacks the code %s", code_text);
    fclose(file);
}
END_TEST

/* The block anew, where it is asked for. */
START_TEST(the_block_is_written_where_asked)
{
    const char *path = getenv("MESH_VECTORS_TO");
    FILE *file = fopen(path != NULL ? path : "/dev/null", "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "```vectors\n");
    for (unsigned i = 0; i < n_vectors; i++) {
        char hex[2 * VECTOR_BYTES_MAX + 1];
        text_hex(slice_of(vectors[i].bytes, vectors[i].n), hex, sizeof(hex));
        fprintf(file, "%s\n", vectors[i].name);
        for (size_t at = 0; at < 2 * vectors[i].n; at += 64) {
            fprintf(file, "    %.64s\n", hex + at);
        }
    }
    fprintf(file, "```\n");
    ck_assert_int_eq(fclose(file), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vectors");
    TCase *tcase = tcase_create("vectors");
    tcase_add_checked_fixture(tcase, make_vectors, clear_vectors);
    tcase_add_test(tcase, a_second_reading_arrives_at_the_same_session);
    tcase_add_test(tcase, a_second_reading_arrives_at_the_same_invitation);
    tcase_add_test(tcase, the_block_is_written_where_asked);
    tcase_add_test(tcase, the_readme_holds_what_the_sessions_say);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
