/* Frames: the length prefix, the seal and the signature. wire/README.md, "Frames" and "Sealed
 * frames".
 *
 * Everything here works on bytes that are already there and knows nothing of messages, of the
 * handshake or of the order in which frames are legal. */
#ifndef MESH_WIRE_FRAME_H
#define MESH_WIRE_FRAME_H

#include <sodium/crypto_secretstream_xchacha20poly1305.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/slice.h"
#include "wire/identity.h"

#define WIRE_PREFIX_BYTES        4u
#define WIRE_SESSION_ID_BYTES    32u
#define WIRE_DIGEST_BYTES        32u
#define WIRE_STREAM_HEADER_BYTES 24u
/* What secretstream adds to a plain text: its tag and its MAC. */
#define WIRE_SEAL_BYTES 17u
/* The largest sealed frame, without its prefix. */
#define WIRE_FRAME_BYTES_MAX (WIRE_SEAL_BYTES + WIRE_SIGNATURE_BYTES + WIRE_BODY_BYTES_MAX)

/* Who dialled, and who was dialled. The value enters hashes: it is the wire's and never changes.
 * A direction is named by the role of its sender. */
enum wire_role { WIRE_ROLE_NONE = 0, WIRE_ROLE_INITIATOR = 1, WIRE_ROLE_RESPONDER = 2 };

/* What a signature or hash is for: enters it first, with its NUL, so that nothing signed for one
 * purpose passes for another. */
#define WIRE_LABEL_HELLO   "mesh hello"
#define WIRE_LABEL_SESSION "mesh session"
#define WIRE_LABEL_KEY     "mesh key"
#define WIRE_LABEL_PROOF   "mesh proof"
#define WIRE_LABEL_FRAME   "mesh frame"
#define WIRE_LABEL_TAG     "mesh tag"
#define WIRE_LABEL_INVITE  "mesh invite"

/* --- length prefix --- */

/* Looks for the first frame of `from`. 1: *ret_frame is it, without its prefix; 0: more bytes are
 * needed; -EPROTO: it is going to be longer than frame_bytes_max, which shows as early as its first
 * byte. */
int wire_frame_peek(struct slice from, size_t frame_bytes_max, struct slice *ret_frame) MUST_CHECK;
/* Big-endian, as all numbers of mesh outside msgpack. */
void wire_put_u32(uint8_t to[static 4], uint32_t v);
void wire_put_u64(uint8_t to[static 8], uint64_t v);

/* --- the seal --- */

/* One direction of one session. Holds a key: lives in locked memory. */
struct wire_seal {
    crypto_secretstream_xchacha20poly1305_state state;
    uint64_t sequence; /* of the next frame; the proof is number 0 */
    uint8_t session_id[WIRE_SESSION_ID_BYTES];
    enum wire_role sender;
};

/* Both ends of a direction are set up alike, from the header that the sender chose. */
void wire_seal_init(struct wire_seal *seal, const uint8_t key[static 32],
                    const uint8_t header[static WIRE_STREAM_HEADER_BYTES],
                    const uint8_t session_id[static WIRE_SESSION_ID_BYTES], enum wire_role sender);
/* Seals `plain` into `to`, which has room for plain.n + WIRE_SEAL_BYTES bytes and does not overlap
 * it, and counts one frame. */
void wire_seal_push(struct wire_seal *seal, struct slice plain, bool is_final, uint8_t *to);
/* Opens a frame that wire_seal_push() made into `to`, which has room for frame.n - WIRE_SEAL_BYTES
 * bytes, and counts one frame. 0, or -EPROTO: not the next frame of this direction, whole. */
int wire_seal_pull(struct wire_seal *seal, struct slice frame, uint8_t *to,
                   bool *ret_is_final) MUST_CHECK;

/* --- signed frames --- */

/* What the signature of a frame signs. */
void wire_frame_digest(const uint8_t session_id[static WIRE_SESSION_ID_BYTES],
                       enum wire_role sender, uint64_t sequence, struct slice body,
                       uint8_t ret_digest[static WIRE_DIGEST_BYTES]);

/* Appends the next frame of this direction to `to`, prefix included. `plain` is the body with room
 * for the signature in front: the first WIRE_SIGNATURE_BYTES are written here.
 * 0, or the buffer's error: then nothing happened. */
int wire_frame_seal(struct wire_seal *seal, const struct wire_identity *identity, uint8_t *plain,
                    size_t n_plain, bool is_final, struct buf *to) MUST_CHECK;

/* A frame that came out of its seal. */
struct wire_opened {
    const uint8_t *signature; /* in the plain text, as the body */
    struct slice body;        /* at least one byte */
    uint64_t sequence;
    bool is_final;
};

/* Opens a frame (without its prefix) into `plain`, replacing what is there. The seal proves that it
 * is the next one of this direction and that whoever sent it holds the session's keys; the
 * signature is not checked yet. 0, -EPROTO, or the buffer's error. */
int wire_frame_open(struct wire_seal *seal, struct slice frame, struct buf *plain,
                    struct wire_opened *ret_opened) MUST_CHECK;

/* Checks the signature of an opened frame. Depends on its arguments alone and takes nearly all of
 * the time that a small frame costs, so that it can be moved to another thread: work may begin
 * before it is done, as long as nothing is reported or kept on the strength of the frame. */
bool wire_frame_verify(const struct wire_key *key,
                       const uint8_t session_id[static WIRE_SESSION_ID_BYTES],
                       enum wire_role sender, const struct wire_opened *opened) MUST_CHECK;

#endif
