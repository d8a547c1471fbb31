/* A proved, sealed conversation with one peer: bytes in, messages out, and the reverse.
 *
 * Sans-IO: no socket, no clock, no randomness of its own. The owner moves bytes between the session
 * and the network and gives it 32-byte randoms at birth. wire/README.md specifies every byte.
 *
 * Life: new -> (feed, drain)* until wire_session_state() is UP; the peer's key and hello are known
 * and proved from then on, and no message is delivered, or sent, before. A session that failed
 * delivers nothing more; drain still gives what should be said to the peer (the goodbye), then
 * close.
 *
 * Signatures of frames are checked in wire_session_next(), on the caller's time;
 * wire_frame_verify() is all of that work and could be done elsewhere. */
#ifndef MESH_WIRE_SESSION_H
#define MESH_WIRE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/door.h"
#include "wire/identity.h"
#include "wire/message.h"

/* What a session takes in memory beyond wire_session_held_bytes(): itself, both hellos, and keys in
 * pages of their own. */
#define WIRE_SESSION_BYTES (32u << 10)

/* What a peer says of itself in its signed hello. */
struct wire_hello {
    uint32_t version_min;
    uint32_t version_max;
    struct wire_key key;
    uint64_t epoch;              /* random, drawn at each start of the daemon */
    uint32_t incarnation;        /* raised at each start */
    uint8_t tag[WIRE_TAG_BYTES]; /* of the secret of this session; zero in an open mesh */
    uint32_t cores;              /* offered */
    uint32_t port;               /* where it listens, for telling others; 0: it does not */
    struct slice name;
    struct slice arch;
    struct slice os;
    struct slice program; /* version of the program, for people */
};

enum wire_session_state {
    WIRE_SESSION_HANDSHAKE, /* the peer is not proved yet */
    WIRE_SESSION_UP,
    WIRE_SESSION_CLOSING, /* our goodbye is queued or sent; nothing is delivered */
    WIRE_SESSION_ENDED,   /* the peer said goodbye under its seal */
    WIRE_SESSION_FAILED,  /* a rule was broken; wire_session_reason() says which */
};

struct wire_session_config {
    const struct wire_identity *identity; /* borrowed for the session's life */
    /* Borrowed for the session's life, in which it may be changed: what counts is what it says when
     * the peer's hello comes and again when the peer is proved. */
    const struct wire_door *door;
    bool is_initiator; /* the side that dialled. For it alone: */
    /* What it proves: the door's present secret; or, counted from 1, one of its older ones; or an
     * invitation. */
    uint32_t older;
    const struct wire_token *invitation; /* NULL: none */
    const struct wire_key *peer; /* whom it must meet; NULL: anybody, but with an invitation */
    struct wire_hello hello;     /* ours; key and tag are filled in */
    uint8_t random[96]; /* fresh: ephemeral secret 32, nonce 32, stream header 24, 8 unused */
};

struct wire_session;

/* Copies all of the config but the identity and the door. NULL when memory is short. An initiator
 * has its hello ready to drain at once. */
struct wire_session *wire_session_new(const struct wire_session_config *config) MUST_CHECK;
/* NULL is allowed; wipes keys. Returns NULL. */
struct wire_session *wire_session_free(struct wire_session *session);

/* Takes bytes from the network, at most WIRE_BODY_BYTES_MAX at a time. 0; -EPROTO: the session is
 * FAILED and *reterr_reason and err, which may be NULL, say why; -ENOMEM: the same, with the reason
 * LIMIT. Messages wait for wire_session_next(); feed again only after next returned 0. Bytes that
 * come in CLOSING or ENDED are dropped. */
int wire_session_feed(struct wire_session *session, struct slice bytes,
                      enum wire_reason *reterr_reason, struct errmsg *err) MUST_CHECK;

/* The next received message. 1: *ret_message is set, its memory valid until the next call of next
 * or feed; 0: none is complete yet; -EPROTO or -ENOMEM as feed. Goodbyes end the session (state
 * ENDED) and are delivered as the last message. */
int wire_session_next(struct wire_session *session, struct wire_message *ret_message,
                      enum wire_reason *reterr_reason, struct errmsg *err) MUST_CHECK;

/* Checks now what next would check before it goes on: the signature of the frame whose message it
 * delivered last. To be called where the owner leaves messages for later; 0 or an error as next. */
int wire_session_check(struct wire_session *session, enum wire_reason *reterr_reason,
                       struct errmsg *err) MUST_CHECK;

/* Queues a message (copied), any but a goodbye. Legal in HANDSHAKE too: it leaves right behind the
 * proof of whichever side proves itself last, and never to a peer that is not proved. In any other
 * state but UP it is dropped silently: the peer is gone. Bulk (blob data) leaves only when nothing
 * else waits. 0 or -ENOBUFS (WIRE_QUEUE_BYTES_MAX: the peer does not read) or -ENOMEM. */
int wire_session_send(struct wire_session *session, const struct wire_message *message,
                      bool is_bulk) MUST_CHECK;

/* Appends the next frame to `to`: all that is queued up to WIRE_BATCH_BYTES, under one signature;
 * nothing when nothing is to be sent. Frames of the handshake that are due go in front of it, in
 * the same call. Call when the network takes more. Returns 0 or the buffer's error; the frame is
 * then still to be drained. */
int wire_session_drain(struct wire_session *session, struct buf *to) MUST_CHECK;
/* Whether drain would append anything. */
bool wire_session_has_output(const struct wire_session *session);
/* Bytes of messages queued and not drained: bulk is paced by it. */
size_t wire_session_queued_bytes(const struct wire_session *session);

/* Queues the goodbye as the last message, sealed with FINAL once our proof was given; before that
 * it is one clear refusal frame. What is queued leaves before it when the session is UP, but for
 * bulk, which is dropped. State CLOSING. No effect unless HANDSHAKE or UP. `text` is cut to
 * WIRE_REASON_BYTES_MAX, and left out when it is no UTF-8. */
void wire_session_close(struct wire_session *session, enum wire_reason reason, struct slice text);

enum wire_session_state wire_session_state(const struct wire_session *session);
/* Why it FAILED or ENDED; NONE otherwise, and where another peer than config.peer answered. Nobody
 * vouches for the reason of a session that failed because the peer refused it in clear (the text
 * then says "unproved"): show it, decide nothing by it. */
enum wire_reason wire_session_reason(const struct wire_session *session);
/* The peer's hello: NULL before one with a valid signature came; proved only from UP on. */
const struct wire_hello *wire_session_peer(const struct wire_session *session);
/* The version both speak; 0 before the hellos were exchanged. */
uint32_t wire_session_version(const struct wire_session *session);
/* With which kind of secret it is proved; NONE before the hellos were exchanged. */
enum wire_door_kind wire_session_door(const struct wire_session *session);
/* Of the invitation it is proved with; NULL when that is no invitation. */
const struct wire_token *wire_session_invitation(const struct wire_session *session);
/* The session id, 32 bytes; NULL before both hellos are there. */
const uint8_t *wire_session_id(const struct wire_session *session);
/* Memory that it holds for what came in and what is to go out; what it needs besides is less than
 * WIRE_SESSION_BYTES. */
size_t wire_session_held_bytes(const struct wire_session *session);
/* Frames and payload bytes so far: for the benches and the simulator. */
struct wire_session_counts {
    uint64_t n_frames_in, n_frames_out, n_messages_in, n_messages_out, bytes_in, bytes_out;
};
struct wire_session_counts wire_session_counts(const struct wire_session *session);

#endif
