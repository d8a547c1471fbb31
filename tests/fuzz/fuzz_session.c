/* A session under a stranger's bytes, and, since those rarely get past a signature, under bytes
 * that are signed and sealed as they should be by a peer gone bad. The first byte says how deep the
 * rest enters; see enum depth. Keys and randoms are fixed. */
#include <sodium.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "wire/base/buf.h"
#include "wire/handshake.h"
#include "wire/session.h"

enum depth {
    RAW_RESPONDER, /* fed as they are */
    RAW_INITIATOR,
    HELLO_BODY, /* a hello's body, signed */
    PROOF,      /* what stands in the place of the proof's stream header and seal */
    FRAMES,     /* bodies, each behind a u16 length and a byte of flags, signed and sealed */
    ALTERED,    /* a good conversation with bytes changed: u16 place, u8 mask */
    CLOSED,     /* closed by us: u8 when, u8 flags, the text of the goodbye, and what comes then */
    N_DEPTHS,
};

#define SEAL_FLAGS_FINAL    1u
#define SEAL_FLAGS_UNSIGNED 2u

static struct wire_identity *identities[2];
static struct wire_door *door;

static struct wire_session_config config_of(int i)
{
    struct wire_session_config config = {
        .identity = identities[i],
        .door = door,
        .is_initiator = i == 0,
        .hello = {.version_min = 1, .version_max = 1, .name = slice_str("fuzz")},
    };
    memset(config.random, 0x11 * (i + 1), sizeof(config.random));
    return config;
}

static void set_up(void)
{
    ensure(wire_init() == 0);
    for (int i = 0; i < 2 && identities[i] == NULL; i++) {
        uint8_t seed[WIRE_SEED_BYTES] = {(uint8_t)(i + 1)};
        identities[i] = wire_identity_new(seed);
        ensure(identities[i] != NULL);
    }
    if (door == NULL) {
        door = wire_door_new();
        ensure(door != NULL);
    }
}

static struct wire_session *start(int i)
{
    struct wire_session_config config = config_of(i);
    struct wire_session *session = wire_session_new(&config);
    ensure(session != NULL);
    return session;
}

/* Feeds in two parts, takes what comes, answers; what must hold whatever the bytes were is checked
 * here. */
static void hear(struct wire_session *session, struct slice bytes, struct buf *answer)
{
    size_t n_first = bytes.n / 3;
    const struct slice parts[] = {slice_of(bytes.p, n_first), slice_from(bytes, n_first)};
    enum wire_reason reason = WIRE_REASON_NONE;
    struct errmsg err = {""};
    struct wire_message message;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int r = wire_session_feed(session, parts[i], &reason, &err);
        while (r == 0 && (r = wire_session_next(session, &message, &reason, &err)) > 0) {
            ensure(message.type != WIRE_MESSAGE_NONE);
            ensure(wire_session_peer(session) != NULL);
            r = 0;
        }
        bool is_failed = wire_session_state(session) == WIRE_SESSION_FAILED;
        ensure(is_failed == (r < 0));
        ensure(!is_failed || (reason != WIRE_REASON_NONE && err.text[0] != '\0'));
    }
    while (wire_session_has_output(session)) {
        ensure(wire_session_drain(session, answer) == 0);
    }
}

static void put_frame(struct buf *to, uint8_t kind, const void *p, size_t n, struct slice rest)
{
    uint8_t prefix[WIRE_PREFIX_BYTES];
    wire_put_u32(prefix, (uint32_t)(WIRE_MAGIC_BYTES + 1 + n + rest.n));
    buf_append(to, prefix, sizeof(prefix));
    buf_append_str(to, WIRE_MAGIC);
    buf_append_u8(to, kind);
    buf_append(to, p, n);
    buf_append_slice(to, rest);
}

static void try_hello(struct slice body)
{
    struct buf frame, answer;
    buf_init(&frame, 1u << 21);
    buf_init(&answer, 1u << 16);
    uint8_t digest[32], signature[WIRE_SIGNATURE_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(digest));
    crypto_generichash_update(&state, (const uint8_t *)WIRE_LABEL_HELLO "\0\1",
                              sizeof(WIRE_LABEL_HELLO) + 1);
    crypto_generichash_update(&state, body.p, body.n);
    crypto_generichash_final(&state, digest, sizeof(digest));
    wire_identity_sign(identities[0], slice_of(digest, sizeof(digest)), signature);
    put_frame(&frame, WIRE_HANDSHAKE_HELLO, signature, sizeof(signature), body);
    struct wire_session *session = start(1);
    hear(session, buf_slice(&frame), &answer);
    wire_session_free(session);
    buf_done(&frame);
    buf_done(&answer);
}

/* Our end of a handshake, made by hand so that its seal is in our hands. */
static void shake_hands(struct wire_handshake *ours, struct wire_session *session, struct buf *out)
{
    struct wire_session_config config = config_of(0);
    struct buf answer;
    buf_init(&answer, 1u << 16);
    ensure(wire_handshake_init(ours, &config, out) == 0);
    hear(session, buf_slice(out), &answer);
    buf_clear(out);
    struct slice rest = buf_slice(&answer), frame;
    while (wire_frame_peek(rest, WIRE_HELLO_BYTES_MAX, &frame) == 1 && rest.n > 0) {
        enum wire_reason reason;
        ensure(wire_handshake_frame(ours, frame, out, &reason, NULL) == 0);
        rest = slice_of(frame.p + frame.n, rest.n - WIRE_PREFIX_BYTES - frame.n);
    }
    ensure(ours->state == WIRE_HANDSHAKE_PROVED);
    buf_done(&answer);
}

static void try_frames(struct slice input)
{
    struct wire_handshake ours;
    struct buf out, plain;
    buf_init(&out, 1u << 21);
    buf_init(&plain, 1u << 17);
    struct wire_session *session = start(1);
    shake_hands(&ours, session, &out);
    while (input.n >= 4) {
        size_t n = (size_t)input.p[0] << 8 | input.p[1];
        uint8_t flags = input.p[2];
        n = n < input.n - 3 ? n : input.n - 3;
        n = n > 0 ? n : 1;
        buf_clear(&plain);
        uint8_t *room = buf_reserve(&plain, WIRE_SIGNATURE_BYTES + n);
        ensure(room != NULL);
        memcpy(room + WIRE_SIGNATURE_BYTES, input.p + 3, n);
        bool is_unsigned = (flags & SEAL_FLAGS_UNSIGNED) != 0;
        ensure(wire_frame_seal(&ours.secrets->send, identities[is_unsigned ? 1 : 0], room,
                               WIRE_SIGNATURE_BYTES + n, (flags & SEAL_FLAGS_FINAL) != 0,
                               &out) == 0);
        input = slice_from(input, 3 + n);
    }
    buf_clear(&plain);
    hear(session, buf_slice(&out), &plain);
    wire_session_free(session);
    wire_handshake_done(&ours);
    buf_done(&out);
    buf_done(&plain);
}

static void try_proof(struct slice input)
{
    struct wire_handshake ours;
    struct buf out, answer;
    buf_init(&out, 1u << 21);
    buf_init(&answer, 1u << 16);
    struct wire_session *session = start(1);
    shake_hands(&ours, session, &out);
    buf_clear(&out);
    put_frame(&out, WIRE_HANDSHAKE_PROOF, "", 0, input);
    hear(session, buf_slice(&out), &answer);
    wire_session_free(session);
    wire_handshake_done(&ours);
    buf_done(&out);
    buf_done(&answer);
}

/* Changes what `said` holds, of a stream of which n_before bytes went before it. */
static void alter(struct buf *said, size_t n_before, struct slice input)
{
    for (size_t i = 0; i + 3 <= input.n; i += 3) {
        size_t at = (size_t)input.p[i] << 8 | input.p[i + 1];
        if (at >= n_before && at - n_before < said->n) {
            said->p[at - n_before] ^= input.p[i + 2];
        }
    }
}

/* A good conversation in which what the initiator says is changed on the way. */
static void try_altered(struct slice input)
{
    struct wire_session *initiator = start(0), *responder = start(1);
    struct buf said[4]; /* by turns: hello; hello, proof; proof, message; nothing or a goodbye */
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        buf_init(&said[i], 1u << 18);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_BEAT_ACK, .beat_ack = {.token = 7}};
    ensure(wire_session_send(initiator, &message, false) == 0);
    hear(initiator, slice_of("", 0), &said[0]);
    alter(&said[0], 0, input);
    hear(responder, buf_slice(&said[0]), &said[1]);
    hear(initiator, buf_slice(&said[1]), &said[2]);
    alter(&said[2], said[0].n, input);
    hear(responder, buf_slice(&said[2]), &said[3]);
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        buf_done(&said[i]);
    }
    wire_session_free(initiator);
    wire_session_free(responder);
}

/* What is known of a session agrees with its state. */
static void check_known(const struct wire_session *session)
{
    enum wire_session_state state = wire_session_state(session);
    bool is_over = state == WIRE_SESSION_ENDED || state == WIRE_SESSION_FAILED;
    bool is_met = state == WIRE_SESSION_UP || state == WIRE_SESSION_ENDED;
    struct wire_session_counts counts = wire_session_counts(session);
    ensure(is_over || wire_session_reason(session) == WIRE_REASON_NONE);
    ensure(!is_met || wire_session_id(session) != NULL);
    ensure(!is_met || wire_session_version(session) == 1);
    ensure(wire_session_peer(session) != NULL || wire_session_version(session) == 0);
    ensure(counts.n_messages_in <= counts.bytes_in);
}

/* Two honest sessions, of which the initiator says goodbye after so many turns; whether it had
 * something to say, and in which order it leaves, must make no difference to its end. */
static void try_closed(struct slice input)
{
    if (input.n < 2) {
        return;
    }
    struct wire_session *sessions[] = {start(0), start(1)};
    struct slice text = slice_from(input, 2);
    struct wire_message message = {.type = WIRE_MESSAGE_BLOB_REFUSE};
    struct buf said;
    buf_init(&said, 1u << 18);
    for (unsigned turn = 0; turn < 6; turn++) {
        struct wire_session *speaker = sessions[turn % 2], *listener = sessions[(turn + 1) % 2];
        if (turn == (input.p[0] & 6u)) {
            for (unsigned i = 0; i < (input.p[1] & 3u); i++) {
                ensure(wire_session_send(speaker, &message, (input.p[1] >> (2 + i) & 1) != 0) == 0);
            }
            ensure(wire_session_queued_bytes(speaker) > 0 || (input.p[1] & 3u) == 0 ||
                   wire_session_state(speaker) == WIRE_SESSION_ENDED);
            wire_session_close(speaker, WIRE_REASON_LEAVING, text);
            wire_session_close(speaker, WIRE_REASON_LEAVING, text); /* no effect */
        }
        buf_clear(&said);
        while (wire_session_has_output(speaker)) {
            ensure(wire_session_drain(speaker, &said) == 0);
        }
        hear(listener, buf_slice(&said), &said);
        check_known(speaker);
        check_known(listener);
    }
    ensure(wire_session_state(sessions[0]) != WIRE_SESSION_UP);
    buf_done(&said);
    wire_session_free(sessions[0]);
    wire_session_free(sessions[1]);
}

static void try_raw(int i, struct slice input)
{
    struct buf answer;
    buf_init(&answer, 1u << 16);
    struct wire_session *session = start(i);
    hear(session, input, &answer);
    ensure(wire_session_state(session) != WIRE_SESSION_UP);
    wire_session_free(session);
    buf_done(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0 || n > 60000) {
        return 0;
    }
    set_up();
    struct slice input = slice_of(bytes + 1, n - 1);
    switch ((enum depth)(bytes[0] % N_DEPTHS)) {
    case RAW_RESPONDER:
        try_raw(1, input);
        break;
    case RAW_INITIATOR:
        try_raw(0, input);
        break;
    case HELLO_BODY:
        try_hello(input);
        break;
    case PROOF:
        try_proof(input);
        break;
    case FRAMES:
        try_frames(input);
        break;
    case ALTERED:
        try_altered(input);
        break;
    case CLOSED:
        try_closed(input);
        break;
    case N_DEPTHS:
        break;
    }
    return 0;
}
