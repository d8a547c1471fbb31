/* The handshake: two signed hellos, then a sealed proof each way. wire/README.md, "Handshake".
 *
 * Frames in, frames out; session.c owns the bytes around it. What it leaves behind is the peer's
 * hello, the version, the session id and one seal per direction. */
#ifndef MESH_WIRE_HANDSHAKE_H
#define MESH_WIRE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"
#include "wire/frame.h"
#include "wire/session.h"

/* How every frame before the proof begins: four bytes that a stranger's client does not send, and
 * the kind of the frame. */
#define WIRE_MAGIC       "mesh"
#define WIRE_MAGIC_BYTES 4u

/* X(NAME, number on the wire, text). */
#define WIRE_HANDSHAKE_KINDS(X)                                                                    \
    X(NONE, 0, "unknown frame")                                                                    \
    X(HELLO, 1, "hello")                                                                           \
    X(REFUSAL, 2, "refusal")                                                                       \
    X(PROOF, 3, "proof")

#define WIRE_HANDSHAKE_STATES(X)                                                                   \
    X(WAIT_HELLO, 0, "waiting for the hello")                                                      \
    X(WAIT_PROOF, 1, "waiting for the proof")                                                      \
    X(PROVED, 2, "proved")                                                                         \
    X(FAILED, 3, "failed")

#define WIRE_ENUM_HANDSHAKE_KIND(name, value, text)  WIRE_HANDSHAKE_##name = value,
#define WIRE_ENUM_HANDSHAKE_STATE(name, value, text) WIRE_HANDSHAKE_##name = value,
enum wire_handshake_kind { WIRE_HANDSHAKE_KINDS(WIRE_ENUM_HANDSHAKE_KIND) };
enum wire_handshake_state { WIRE_HANDSHAKE_STATES(WIRE_ENUM_HANDSHAKE_STATE) };

/* Everything that must not leak, in one sodium_malloc() block. */
struct wire_handshake_secrets {
    struct wire_secret mesh; /* wiped, as the ephemeral, once the keys are made */
    struct wire_token token; /* of the invitation, if it is one */
    uint8_t ephemeral[32];
    uint8_t receive_key[32]; /* until the proof brings the header of that direction */
    struct wire_seal send;
    struct wire_seal receive;
};

struct wire_handshake {
    enum wire_handshake_state state;
    enum wire_role role;
    const struct wire_identity *identity;   /* borrowed */
    const struct wire_door *door;           /* borrowed */
    struct wire_handshake_secrets *secrets; /* owned */
    uint8_t header[WIRE_STREAM_HEADER_BYTES];
    uint8_t tag[WIRE_TAG_BYTES];       /* of secrets->mesh; a responder's is chosen by the hello */
    enum wire_door_kind door_kind;     /* the same */
    uint8_t first_tag[WIRE_TAG_BYTES]; /* of the door's present secret when this began */
    bool has_expected;
    struct wire_key expected;          /* who must be at the other end */
    uint32_t version_min, version_max; /* ours */
    struct buf hello_ours; /* the whole frames, prefix included: the session id covers */
    struct buf hello_peer; /* them, and `peer` points into this one */
    size_t hello_tag_at;   /* where the tag stands in hello_ours */
    struct wire_hello peer;
    uint8_t peer_ephemeral[32];
    bool has_peer;    /* a hello with a valid signature came */
    bool has_session; /* session_id and the keys stand */
    bool is_sealing;  /* our proof is in `out`: what follows is sealed */
    bool is_refused;  /* FAILED because the peer said so, not because it broke a rule */
    uint32_t version; /* 0: not agreed yet */
    uint8_t session_id[WIRE_SESSION_ID_BYTES];
};

/* Builds our hello; the initiator's is appended to `out` at once, the responder's lacks a tag until
 * the peer's chose one. 0 or -ENOMEM; done is called in either case. */
int wire_handshake_init(struct wire_handshake *handshake, const struct wire_session_config *config,
                        struct buf *out) MUST_CHECK;
/* Wipes and frees; a zeroed handshake is allowed. */
void wire_handshake_done(struct wire_handshake *handshake);

/* Looks for the first frame, as wire_frame_peek(), and refuses what cannot become a frame of a
 * handshake at its first byte that is off. 1, 0, or -EPROTO and *reterr_reason. */
int wire_handshake_peek(struct slice from, struct slice *ret_frame,
                        enum wire_reason *reterr_reason) MUST_CHECK;

/* Takes one frame without its prefix and appends what is to be said to `out`. 0; -EPROTO: the state
 * is FAILED, *reterr_reason and err say why; -ENOMEM. */
int wire_handshake_frame(struct wire_handshake *handshake, struct slice frame, struct buf *out,
                         enum wire_reason *reterr_reason, struct errmsg *err) MUST_CHECK;

/* Appends the refusal: the one thing that can be said in clear. Nobody can know that it is from
 * us. `text` is UTF-8 of at most WIRE_REASON_BYTES_MAX. */
void wire_handshake_refuse(struct buf *out, enum wire_reason reason, struct slice text);

#endif
