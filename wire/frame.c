#include "wire/frame.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

static_assert(WIRE_SEAL_BYTES == crypto_secretstream_xchacha20poly1305_ABYTES, "libsodium's");
static_assert(WIRE_STREAM_HEADER_BYTES == crypto_secretstream_xchacha20poly1305_HEADERBYTES,
              "libsodium's");
static_assert(crypto_secretstream_xchacha20poly1305_KEYBYTES == 32, "a direction's key");

void wire_put_u32(uint8_t to[static 4], uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

void wire_put_u64(uint8_t to[static 8], uint64_t v)
{
    wire_put_u32(to, (uint32_t)(v >> 32));
    wire_put_u32(to + 4, (uint32_t)v);
}

int wire_frame_peek(struct slice from, size_t frame_bytes_max, struct slice *ret_frame)
{
    /* What is missing of the prefix counts as zero: the length is at least this much. */
    uint32_t length = 0;
    for (unsigned i = 0; i < WIRE_PREFIX_BYTES && i < from.n; i++) {
        length |= (uint32_t)from.p[i] << (24 - 8 * i);
    }
    if (length > frame_bytes_max) {
        return -EPROTO;
    }
    if (from.n < WIRE_PREFIX_BYTES || from.n - WIRE_PREFIX_BYTES < length) {
        return 0;
    }
    *ret_frame = slice_of(from.p + WIRE_PREFIX_BYTES, length);
    return 1;
}

void wire_seal_init(struct wire_seal *seal, const uint8_t key[static 32],
                    const uint8_t header[static WIRE_STREAM_HEADER_BYTES],
                    const uint8_t session_id[static WIRE_SESSION_ID_BYTES], enum wire_role sender)
{
    /* init_push draws a header at random and then does with it what init_pull does with one that
     * is given. Using the latter for both ends keeps randomness out of here: the same inputs give
     * the same bytes, in vectors and in the simulator. */
    int r = crypto_secretstream_xchacha20poly1305_init_pull(&seal->state, header, key);
    ensure(r == 0);
    seal->sequence = 0;
    memcpy(seal->session_id, session_id, sizeof(seal->session_id));
    seal->sender = sender;
}

void wire_seal_push(struct wire_seal *seal, struct slice plain, bool is_final, uint8_t *to)
{
    uint8_t tag = is_final ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                           : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
    int r = crypto_secretstream_xchacha20poly1305_push(&seal->state, to, NULL, plain.p, plain.n,
                                                       NULL, 0, tag);
    ensure(r == 0);
    seal->sequence++;
}

int wire_seal_pull(struct wire_seal *seal, struct slice frame, uint8_t *to, bool *ret_is_final)
{
    uint8_t tag;
    if (frame.n < WIRE_SEAL_BYTES ||
        crypto_secretstream_xchacha20poly1305_pull(&seal->state, to, NULL, &tag, frame.p, frame.n,
                                                   NULL, 0) != 0) {
        return -EPROTO;
    }
    if (tag != crypto_secretstream_xchacha20poly1305_TAG_MESSAGE &&
        tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL) {
        return -EPROTO;
    }
    *ret_is_final = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    seal->sequence++;
    return 0;
}

void wire_frame_digest(const uint8_t session_id[static WIRE_SESSION_ID_BYTES],
                       enum wire_role sender, uint64_t sequence, struct slice body,
                       uint8_t ret_digest[static WIRE_DIGEST_BYTES])
{
    uint8_t head[sizeof(WIRE_LABEL_FRAME) + WIRE_SESSION_ID_BYTES + 1 + 8];
    uint8_t *at = head;
    memcpy(at, WIRE_LABEL_FRAME, sizeof(WIRE_LABEL_FRAME));
    at += sizeof(WIRE_LABEL_FRAME);
    memcpy(at, session_id, WIRE_SESSION_ID_BYTES);
    at += WIRE_SESSION_ID_BYTES;
    *at++ = (uint8_t)sender;
    wire_put_u64(at, sequence);

    crypto_generichash_state state;
    int r = crypto_generichash_init(&state, NULL, 0, WIRE_DIGEST_BYTES);
    r |= crypto_generichash_update(&state, head, sizeof(head));
    r |= crypto_generichash_update(&state, body.p, body.n);
    r |= crypto_generichash_final(&state, ret_digest, WIRE_DIGEST_BYTES);
    ensure(r == 0);
}

int wire_frame_seal(struct wire_seal *seal, const struct wire_identity *identity, uint8_t *plain,
                    size_t n_plain, bool is_final, struct buf *to)
{
    ensure(n_plain > WIRE_SIGNATURE_BYTES);
    ensure(n_plain <= WIRE_SIGNATURE_BYTES + WIRE_BODY_BYTES_MAX);
    size_t n_frame = n_plain + WIRE_SEAL_BYTES;
    uint8_t *at = buf_reserve(to, WIRE_PREFIX_BYTES + n_frame);
    if (at == NULL) {
        return buf_error(to);
    }
    uint8_t digest[WIRE_DIGEST_BYTES];
    struct slice body = slice_of(plain + WIRE_SIGNATURE_BYTES, n_plain - WIRE_SIGNATURE_BYTES);
    wire_frame_digest(seal->session_id, seal->sender, seal->sequence, body, digest);
    wire_identity_sign(identity, slice_of(digest, sizeof(digest)), plain);
    wire_put_u32(at, (uint32_t)n_frame);
    wire_seal_push(seal, slice_of(plain, n_plain), is_final, at + WIRE_PREFIX_BYTES);
    buf_extend(to, WIRE_PREFIX_BYTES + n_frame);
    return 0;
}

int wire_frame_open(struct wire_seal *seal, struct slice frame, struct buf *plain,
                    struct wire_opened *ret_opened)
{
    if (frame.n <= WIRE_SEAL_BYTES + WIRE_SIGNATURE_BYTES) {
        return -EPROTO;
    }
    size_t n_plain = frame.n - WIRE_SEAL_BYTES;
    buf_clear(plain);
    uint8_t *to = buf_reserve(plain, n_plain);
    if (to == NULL) {
        return buf_error(plain);
    }
    uint64_t sequence = seal->sequence;
    bool is_final;
    int r = wire_seal_pull(seal, frame, to, &is_final);
    if (r < 0) {
        return r;
    }
    buf_extend(plain, n_plain);
    *ret_opened = (struct wire_opened){
        .signature = plain->p,
        .body = slice_of(plain->p + WIRE_SIGNATURE_BYTES, n_plain - WIRE_SIGNATURE_BYTES),
        .sequence = sequence,
        .is_final = is_final,
    };
    return 0;
}

bool wire_frame_verify(const struct wire_key *key,
                       const uint8_t session_id[static WIRE_SESSION_ID_BYTES],
                       enum wire_role sender, const struct wire_opened *opened)
{
    uint8_t digest[WIRE_DIGEST_BYTES];
    wire_frame_digest(session_id, sender, opened->sequence, opened->body, digest);
    return wire_verify(key, slice_of(digest, sizeof(digest)), opened->signature);
}
