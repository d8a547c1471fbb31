/* Bytes come in through feed: while the peer is unproved they are frames of the handshake and dealt
 * with at once; later they wait in `in` until next opens one frame after the other, checks its
 * signature and decodes its messages one by one. Messages go out through send into the outbox, and
 * from there, a frame at a time, through drain.
 *
 * Failures all pass through fail(): the session is FAILED, delivers and sends nothing more of what
 * was queued, and has one thing left to say: a sealed goodbye where the peer can open one, else the
 * refusal in clear. */
#include "wire/session.h"

#include <errno.h>

#include "wire/base/arena.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/frame.h"
#include "wire/handshake.h"
#include "wire/message_codec.h"
#include "wire/outbox.h"

/* Buffers larger than this are given back when a session falls idle. */
#define IDLE_BYTES_MAX 8192u
/* The numbers of the messages between client and daemon begin here: see WIRE_MESSAGES. */
#define LOCAL_MESSAGE_FIRST 64u

struct wire_session {
    enum wire_session_state state;
    enum wire_reason reason;
    int error; /* what feed and next return once FAILED */
    struct errmsg err;
    struct wire_handshake handshake;

    struct buf in; /* received, from in_at on not yet looked at */
    size_t in_at;
    struct buf plain;          /* the frame that is being delivered */
    bool has_secret;           /* in `plain`: of the mesh */
    struct wire_opened opened; /* the same, while its signature is not checked */
    bool is_unchecked;
    struct slice body;  /* of it, what is not decoded yet */
    uint32_t n_pending; /* messages in `body` */
    bool is_final;      /* it is the peer's last frame */
    struct arena arena; /* of the last delivered message */

    struct buf out; /* frames of the handshake, ready to go */
    struct wire_outbox outbox;
    struct wire_session_counts counts;
};

struct wire_session *wire_session_new(const struct wire_session_config *config)
{
    struct wire_session *session = mem_alloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    buf_init(&session->in, WIRE_PREFIX_BYTES + WIRE_FRAME_BYTES_MAX + WIRE_BODY_BYTES_MAX);
    buf_init(&session->plain, WIRE_SIGNATURE_BYTES + WIRE_BODY_BYTES_MAX);
    arena_init(&session->arena, WIRE_ARENA_BYTES_MAX);
    /* Two hellos, a proof and a refusal at most. */
    buf_init(&session->out, (size_t)4 * (WIRE_PREFIX_BYTES + WIRE_HELLO_BYTES_MAX));
    wire_outbox_init(&session->outbox);
    if (wire_handshake_init(&session->handshake, config, &session->out) < 0) {
        return wire_session_free(session);
    }
    return session;
}

/* A mesh's secret stays in memory no longer than it takes to read it. */
static void wipe_plain(struct wire_session *session)
{
    if (session->has_secret) {
        explicit_bzero(session->plain.p, session->plain.cap);
        arena_wipe(&session->arena);
        session->has_secret = false;
    }
}

struct wire_session *wire_session_free(struct wire_session *session)
{
    if (session != NULL) {
        wire_handshake_done(&session->handshake);
        buf_done(&session->in);
        wipe_plain(session);
        buf_done(&session->plain);
        arena_done(&session->arena);
        buf_done(&session->out);
        wire_outbox_clear(&session->outbox);
        mem_free(session);
    }
    return NULL;
}

/* --- last words --- */

/* At most WIRE_REASON_BYTES_MAX of it, not cut within a character; nothing of what is no text. */
static struct slice clip_text(struct slice text)
{
    if (text.n > WIRE_REASON_BYTES_MAX) {
        text.n = WIRE_REASON_BYTES_MAX;
        while (text.n > 0 && (text.p[text.n] & 0xc0) == 0x80) {
            text.n--;
        }
    }
    return text_is_utf8(text) ? text : slice_of(NULL, 0);
}

/* Tells the peer in whatever way it can understand. Where memory is short it is told nothing and
 * sees the connection close. */
static void say(struct wire_session *session, enum wire_reason reason, struct slice text)
{
    text = clip_text(text);
    if (session->handshake.is_sealing) {
        struct wire_message goodbye = {.type = WIRE_MESSAGE_GOODBYE,
                                       .goodbye = {.reason = reason, .text = text}};
        IGNORE(wire_outbox_put(&session->outbox, &goodbye, false, true));
    } else {
        wire_handshake_refuse(&session->out, reason, text);
    }
}

static void report(const struct wire_session *session, enum wire_reason *reterr_reason,
                   struct errmsg *err)
{
    if (reterr_reason != NULL) {
        *reterr_reason = session->reason;
    }
    errmsg_set(err, "%s", session->err.text);
}

/* session->err has the text. Returns r. */
static int fail(struct wire_session *session, int r, enum wire_reason reason)
{
    session->state = WIRE_SESSION_FAILED;
    session->reason = reason;
    session->error = r;
    session->n_pending = 0;
    wire_outbox_clear(&session->outbox);
    buf_done(&session->in);
    session->in_at = 0;
    if (!session->handshake.is_refused) {
        say(session, reason, slice_str(session->err.text));
    }
    return r;
}

static int fail_memory(struct wire_session *session)
{
    errmsg_set(&session->err, "out of memory for what the peer sent");
    return fail(session, -ENOMEM, WIRE_REASON_LIMIT);
}

/* --- receiving --- */

static struct slice unread(const struct wire_session *session)
{
    return slice_from(buf_slice(&session->in), session->in_at);
}

/* The handshake's next frame, if it is whole. 1, 0 or an error. */
static int step_handshake(struct wire_session *session)
{
    struct wire_handshake *handshake = &session->handshake;
    enum wire_reason reason = WIRE_REASON_PROTOCOL;
    struct slice frame;
    int r = wire_handshake_peek(unread(session), &frame, &reason);
    if (r < 0) {
        errmsg_set(&session->err, "what came is no frame of a handshake: no mesh peer there?");
        return fail(session, r, reason);
    }
    if (r == 0) {
        return 0;
    }
    r = wire_handshake_frame(handshake, frame, &session->out, &reason, &session->err);
    if (r < 0) {
        return r == -ENOMEM ? fail_memory(session) : fail(session, r, reason);
    }
    session->in_at += WIRE_PREFIX_BYTES + frame.n;
    if (handshake->state == WIRE_HANDSHAKE_PROVED) {
        session->state = WIRE_SESSION_UP;
    }
    return 1;
}

int wire_session_feed(struct wire_session *session, struct slice bytes,
                      enum wire_reason *reterr_reason, struct errmsg *err)
{
    ensure(bytes.n <= WIRE_BODY_BYTES_MAX);
    ensure(session->n_pending == 0);
    int r = 0;
    switch (session->state) {
    case WIRE_SESSION_CLOSING:
    case WIRE_SESSION_ENDED:
        return 0;
    case WIRE_SESSION_FAILED:
        r = session->error;
        break;
    case WIRE_SESSION_HANDSHAKE:
    case WIRE_SESSION_UP:
        /* Once per feed, so that many small frames in one are not moved for each of them; and only
         * when something was read, so that one large frame in many feeds is not either. */
        if (session->in_at > 0) {
            buf_consume(&session->in, session->in_at);
            session->in_at = 0;
        }
        buf_append_slice(&session->in, bytes);
        if (buf_error(&session->in) != 0) {
            r = fail_memory(session);
            break;
        }
        do {
            r = session->state == WIRE_SESSION_HANDSHAKE ? step_handshake(session) : 0;
        } while (r > 0);
        break;
    }
    if (r < 0) {
        report(session, reterr_reason, err);
    }
    return r;
}

/* Nothing is waiting: large buffers go back. */
static void trim(struct wire_session *session)
{
    if (session->in_at == session->in.n) {
        session->in_at = 0;
        buf_clear(&session->in);
        if (session->in.cap > IDLE_BYTES_MAX) {
            buf_done(&session->in);
        }
    }
    if (session->plain.cap > IDLE_BYTES_MAX) {
        buf_done(&session->plain);
    }
}

/* 0 or an error. */
static int check_signature(struct wire_session *session)
{
    struct wire_handshake *handshake = &session->handshake;
    if (!session->is_unchecked) {
        return 0;
    }
    session->is_unchecked = false;
    if (!wire_frame_verify(&handshake->peer.key, handshake->session_id,
                           handshake->secrets->receive.sender, &session->opened)) {
        errmsg_set(&session->err, "bad signature of frame %llu",
                   (unsigned long long)session->opened.sequence);
        return fail(session, -EPROTO, WIRE_REASON_SIGNATURE);
    }
    return 0;
}

/* What begins nothing but an attempt, and what ends the need of one, may be dealt with before the
 * signature of its frame is checked (wire/README.md): the seal proves already that it is the
 * peer's. What comes of it can be reported only when the check is over, which is when the next
 * message is asked for. */
static bool may_be_early(const struct wire_message *message)
{
    return message->type == WIRE_MESSAGE_TASK || message->type == WIRE_MESSAGE_RESULT_ACK;
}

/* Opens the next frame of `in`, if it is whole. 1, 0 or an error. */
static int open_frame(struct wire_session *session)
{
    struct wire_handshake *handshake = &session->handshake;
    struct wire_seal *seal = &handshake->secrets->receive;
    struct slice frame;
    wipe_plain(session);
    int r = wire_frame_peek(unread(session), WIRE_FRAME_BYTES_MAX, &frame);
    if (r < 0) {
        errmsg_set(&session->err, "a frame longer than %u bytes", WIRE_FRAME_BYTES_MAX);
        return fail(session, r, WIRE_REASON_LIMIT);
    }
    if (r == 0) {
        trim(session);
        return 0;
    }
    struct wire_opened opened;
    r = wire_frame_open(seal, frame, &session->plain, &opened);
    if (r == -EPROTO) {
        errmsg_set(&session->err, "a frame that does not open: altered, replayed or out of order");
        return fail(session, r, WIRE_REASON_SEAL);
    }
    if (r < 0) {
        return fail_memory(session);
    }
    session->opened = opened;
    session->is_unchecked = true;
    session->in_at += WIRE_PREFIX_BYTES + frame.n;
    session->counts.n_frames_in++;
    session->counts.bytes_in += opened.body.n;
    session->body = opened.body;
    session->is_final = opened.is_final;
    r = wire_body_open(&session->body, &session->n_pending);
    if (r < 0 || session->n_pending == 0) {
        errmsg_set(&session->err, "a body that is no array of messages");
        return fail(session, -EPROTO, WIRE_REASON_PROTOCOL);
    }
    if (session->n_pending > WIRE_BATCH_MESSAGES_MAX) {
        errmsg_set(&session->err, "more than %u messages in a frame", WIRE_BATCH_MESSAGES_MAX);
        return fail(session, -EPROTO, WIRE_REASON_LIMIT);
    }
    return 1;
}

/* What holds for every message that its codec cannot know. */
static int check_message(struct wire_session *session, const struct wire_message *message)
{
    bool is_last = session->n_pending == 0;
    bool is_goodbye = message->type == WIRE_MESSAGE_GOODBYE;
    const char *fault = NULL;
    if (is_last && session->body.n > 0) {
        fault = "bytes behind the last message of a frame";
    } else if ((uint32_t)message->type >= LOCAL_MESSAGE_FIRST) {
        fault = "a message that belongs on the local socket";
    } else if (is_goodbye != (is_last && session->is_final)) {
        /* The seal says which frame is the last, so a cut can never be taken for an end. */
        fault = is_goodbye ? "a goodbye that is not the end" : "an end without a goodbye";
    }
    if (fault == NULL) {
        return 0;
    }
    errmsg_set(&session->err, "%s", fault);
    return fail(session, -EPROTO, WIRE_REASON_PROTOCOL);
}

/* The reason of a goodbye, as far as this build knows it. */
static enum wire_reason known_reason(uint32_t reason)
{
    switch (reason) {
#define X(name, value, text)                                                                       \
    case value:                                                                                    \
        return WIRE_REASON_##name;
        WIRE_REASONS(X)
#undef X
    default:
        return WIRE_REASON_NONE;
    }
}

/* Decodes the next message of the open frame. 0 or an error. */
static int decode_next(struct wire_session *session, struct wire_message *ret_message)
{
    if (session->has_secret) {
        arena_wipe(&session->arena);
    }
    if (session->arena.used_bytes > IDLE_BYTES_MAX) {
        arena_done(&session->arena);
    }
    arena_clear(&session->arena);
    int r = wire_message_decode(&session->body, &session->arena, ret_message, &session->err);
    if (r < 0) {
        return r == -ENOMEM ? fail_memory(session) : fail(session, r, WIRE_REASON_PROTOCOL);
    }
    session->n_pending--;
    session->has_secret = session->has_secret || ret_message->type == WIRE_MESSAGE_MEMBERSHIP;
    r = check_message(session, ret_message);
    if (r < 0) {
        return r;
    }
    session->counts.n_messages_in++;
    if (ret_message->type == WIRE_MESSAGE_GOODBYE) {
        session->state = WIRE_SESSION_ENDED;
        session->reason = known_reason(ret_message->goodbye.reason);
        wire_outbox_clear(&session->outbox);
    }
    return 0;
}

int wire_session_next(struct wire_session *session, struct wire_message *ret_message,
                      enum wire_reason *reterr_reason, struct errmsg *err)
{
    int r = session->state == WIRE_SESSION_FAILED ? session->error : 0;
    while (r >= 0 && session->state == WIRE_SESSION_UP) {
        if (session->n_pending == 0) {
            r = check_signature(session);
            r = r == 0 ? open_frame(session) : r;
            if (r == 0) {
                break;
            }
            continue;
        }
        struct wire_message message;
        r = decode_next(session, &message);
        if (r == 0 && !may_be_early(&message)) {
            r = check_signature(session);
        }
        if (r == 0 && message.type != WIRE_MESSAGE_NONE) {
            *ret_message = message;
            return 1;
        }
    }
    if (r < 0) {
        report(session, reterr_reason, err);
        return r;
    }
    return 0;
}

int wire_session_check(struct wire_session *session, enum wire_reason *reterr_reason,
                       struct errmsg *err)
{
    int r = session->state == WIRE_SESSION_UP ? check_signature(session) : 0;
    if (r < 0) {
        report(session, reterr_reason, err);
    }
    return r;
}

/* --- sending --- */

int wire_session_send(struct wire_session *session, const struct wire_message *message,
                      bool is_bulk)
{
    ensure((uint32_t)message->type < LOCAL_MESSAGE_FIRST);
    ensure(message->type != WIRE_MESSAGE_GOODBYE);
    ensure(message->type != WIRE_MESSAGE_NONE);
    if (session->state != WIRE_SESSION_HANDSHAKE && session->state != WIRE_SESSION_UP) {
        return 0;
    }
    return wire_outbox_put(&session->outbox, message, is_bulk, false);
}

/* The batch that may leave now: none before the peer is proved. */
static struct wire_batch *next_batch(const struct wire_session *session)
{
    return session->state == WIRE_SESSION_HANDSHAKE ? NULL : wire_outbox_first(&session->outbox);
}

int wire_session_drain(struct wire_session *session, struct buf *to)
{
    if (session->out.n > 0) {
        buf_append_slice(to, buf_slice(&session->out));
        if (buf_error(to) != 0) {
            return buf_error(to);
        }
        buf_done(&session->out);
    }
    struct wire_batch *batch = next_batch(session);
    if (batch == NULL) {
        return 0;
    }
    size_t n;
    uint8_t *plain = wire_batch_plain(batch, &n);
    int r = wire_frame_seal(&session->handshake.secrets->send, session->handshake.identity, plain,
                            n, batch->is_final, to);
    if (r < 0) {
        return r;
    }
    session->counts.n_frames_out++;
    session->counts.n_messages_out += batch->n_messages;
    session->counts.bytes_out += n - WIRE_SIGNATURE_BYTES;
    wire_outbox_pop(&session->outbox);
    return 0;
}

bool wire_session_has_output(const struct wire_session *session)
{
    return session->out.n > 0 || next_batch(session) != NULL;
}

size_t wire_session_queued_bytes(const struct wire_session *session)
{
    return session->outbox.queued_bytes;
}

void wire_session_close(struct wire_session *session, enum wire_reason reason, struct slice text)
{
    if (session->state != WIRE_SESSION_HANDSHAKE && session->state != WIRE_SESSION_UP) {
        return;
    }
    if (session->state == WIRE_SESSION_UP) {
        wire_outbox_clear_bulk(&session->outbox);
    } else {
        /* Meant for a peer that was never proved. */
        wire_outbox_clear(&session->outbox);
    }
    session->state = WIRE_SESSION_CLOSING;
    session->n_pending = 0;
    buf_done(&session->in);
    session->in_at = 0;
    say(session, reason, text);
}

/* --- looking --- */

size_t wire_session_held_bytes(const struct wire_session *session)
{
    return session->in.cap + session->plain.cap + session->arena.used_bytes + session->out.cap +
           session->outbox.queued_bytes;
}

enum wire_session_state wire_session_state(const struct wire_session *session)
{
    return session->state;
}

enum wire_reason wire_session_reason(const struct wire_session *session)
{
    return session->reason;
}

const struct wire_hello *wire_session_peer(const struct wire_session *session)
{
    return session->handshake.has_peer ? &session->handshake.peer : NULL;
}

uint32_t wire_session_version(const struct wire_session *session)
{
    return session->handshake.has_peer ? session->handshake.version : 0;
}

enum wire_door_kind wire_session_door(const struct wire_session *session)
{
    return session->handshake.has_peer ? session->handshake.door_kind : WIRE_DOOR_NONE;
}

const struct wire_token *wire_session_invitation(const struct wire_session *session)
{
    return wire_session_door(session) == WIRE_DOOR_INVITATION ? &session->handshake.secrets->token
                                                              : NULL;
}

const uint8_t *wire_session_id(const struct wire_session *session)
{
    return session->handshake.has_session ? session->handshake.session_id : NULL;
}

struct wire_session_counts wire_session_counts(const struct wire_session *session)
{
    return session->counts;
}
