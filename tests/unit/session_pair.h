/* Two sessions and the pipes between them, for the tests of wire/session. Everything is made from
 * fixed seeds, so that each run gives the same bytes. */
#ifndef MESH_TESTS_SESSION_PAIR_H
#define MESH_TESTS_SESSION_PAIR_H

#include <check.h>
#include <string.h>

#include "wire/base/buf.h"
#include "wire/frame.h"
#include "wire/message_codec.h"
#include "wire/session.h"

enum { A = 0, B = 1 }; /* the initiator and the responder */

struct pair {
    struct wire_identity *identity[2];
    struct wire_door *door[2]; /* open, until a test closes it */
    struct wire_session_config config[2];
    struct wire_session *session[2];
    struct buf pipe[2];         /* what the session of that index said, not yet heard */
    uint64_t n_received[2];     /* messages that session delivered */
    uint64_t next_token[2];     /* of the beat that it expects */
    enum wire_reason reason[2]; /* and err: of the last failure */
    struct errmsg err[2];
    uint32_t seed; /* of the chunks' sizes */
};

static inline void pair_configure(struct pair *pair)
{
    *pair = (struct pair){.seed = 1};
    ck_assert_int_eq(wire_init(), 0);
    for (int i = 0; i < 2; i++) {
        uint8_t seed[WIRE_SEED_BYTES];
        struct wire_session_config *config = &pair->config[i];
        for (unsigned k = 0; k < sizeof(seed); k++) {
            seed[k] = (uint8_t)(32 * i + (int)k);
        }
        for (unsigned k = 0; k < sizeof(config->random); k++) {
            config->random[k] = (uint8_t)(64 + 96 * i + (int)k);
        }
        pair->identity[i] = wire_identity_new(seed);
        ck_assert_ptr_nonnull(pair->identity[i]);
        config->identity = pair->identity[i];
        pair->door[i] = wire_door_new();
        ck_assert_ptr_nonnull(pair->door[i]);
        config->door = pair->door[i];
        config->is_initiator = i == A;
        config->hello = (struct wire_hello){
            .version_min = WIRE_VERSION_MIN,
            .version_max = WIRE_VERSION_MAX,
            .epoch = 0x0102030405060708u + (uint64_t)i,
            .incarnation = 3 + (uint32_t)i,
            .cores = 8 + (uint32_t)i,
            .port = 7400 + (uint32_t)i,
            .name = slice_str(i == A ? "hal" : "lily"),
            .arch = slice_str(i == A ? "x86_64" : "aarch64"),
            .os = slice_str("linux"),
            .program = slice_str("0.1.0"),
        };
        buf_init(&pair->pipe[i], (size_t)256 << 20);
    }
}

static inline void pair_start(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        wire_session_free(pair->session[i]);
        buf_clear(&pair->pipe[i]);
        pair->n_received[i] = 0;
        pair->next_token[i] = 0;
        pair->session[i] = wire_session_new(&pair->config[i]);
        ck_assert_ptr_nonnull(pair->session[i]);
    }
}

static inline void pair_done(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        pair->session[i] = wire_session_free(pair->session[i]);
        pair->identity[i] = wire_identity_free(pair->identity[i]);
        pair->door[i] = wire_door_free(pair->door[i]);
        buf_done(&pair->pipe[i]);
    }
}

static inline struct wire_message beat(uint64_t token)
{
    return (struct wire_message){.type = WIRE_MESSAGE_BEAT,
                                 .beat = {.token = token,
                                          .interval_ms = 500,
                                          .cores = 8,
                                          .free = 2,
                                          .n_queued = 3,
                                          .n_running = 6}};
}

/* Everything the session has to say goes into its pipe. */
static inline void pair_drain(struct pair *pair, int from)
{
    while (wire_session_has_output(pair->session[from])) {
        size_t before = pair->pipe[from].n;
        ck_assert_int_eq(wire_session_drain(pair->session[from], &pair->pipe[from]), 0);
        ck_assert_uint_gt(pair->pipe[from].n, before);
    }
}

/* Bytes to one session, which must keep to the order of beats. 0, or what feed or next returned. */
static inline int pair_hear(struct pair *pair, int to, struct slice bytes)
{
    struct wire_session *session = pair->session[to];
    int r = wire_session_feed(session, bytes, &pair->reason[to], &pair->err[to]);
    struct wire_message message;
    while (r == 0) {
        int n = wire_session_next(session, &message, &pair->reason[to], &pair->err[to]);
        if (n <= 0) {
            return n;
        }
        pair->n_received[to]++;
        if (message.type == WIRE_MESSAGE_BEAT) {
            struct wire_message expected = beat(pair->next_token[to]++);
            ck_assert(wire_message_eq(&message, &expected));
        }
    }
    return r;
}

/* Carries everything both ways until both are quiet, in chunks of 1 to chunk_max bytes. */
static inline void pair_talk(struct pair *pair, size_t chunk_max)
{
    bool is_moving = true;
    while (is_moving) {
        is_moving = false;
        for (int from = 0; from < 2; from++) {
            pair_drain(pair, from);
            struct buf *pipe = &pair->pipe[from];
            for (size_t at = 0; at < pipe->n; is_moving = true) {
                pair->seed = pair->seed * 1103515245u + 12345u;
                size_t n = 1 + (pair->seed >> 8) % chunk_max;
                n = n < pipe->n - at ? n : pipe->n - at;
                /* A failure shows in the session's state, which the tests look at. */
                IGNORE(pair_hear(pair, 1 - from, slice_of(pipe->p + at, n)));
                at += n;
            }
            buf_clear(pipe);
        }
    }
}

static inline enum wire_session_state pair_state(const struct pair *pair, int i)
{
    return wire_session_state(pair->session[i]);
}

static inline void pair_up(struct pair *pair)
{
    pair_start(pair);
    pair_talk(pair, 65536);
    ck_assert_int_eq(pair_state(pair, A), WIRE_SESSION_UP);
    ck_assert_int_eq(pair_state(pair, B), WIRE_SESSION_UP);
}

static inline void pair_send(struct pair *pair, int from, uint64_t token)
{
    struct wire_message message = beat(token);
    ck_assert_int_eq(wire_session_send(pair->session[from], &message, false), 0);
}

/* The n-th frame of what was said, prefix included. */
static inline struct slice nth_frame(struct slice from, unsigned n)
{
    struct slice frame = slice_of(NULL, 0);
    for (unsigned i = 0; i <= n; i++) {
        from.p += frame.n;
        from.n -= frame.n;
        ck_assert_int_eq(wire_frame_peek(from, WIRE_FRAME_BYTES_MAX, &frame), 1);
        frame = slice_of(from.p, WIRE_PREFIX_BYTES + frame.n);
    }
    return frame;
}

/* The session failed for this reason and says so in one printable line. */
static inline void pair_failed(const struct pair *pair, int i, enum wire_reason reason)
{
    ck_assert_int_eq(pair_state(pair, i), WIRE_SESSION_FAILED);
    ck_assert_msg(wire_session_reason(pair->session[i]) == reason, "%s instead of %s: %s",
                  wire_reason_text(wire_session_reason(pair->session[i])), wire_reason_text(reason),
                  pair->err[i].text);
    ck_assert_int_eq(pair->reason[i], reason);
    ck_assert_uint_gt(strlen(pair->err[i].text), 0);
    ck_assert_ptr_null(strchr(pair->err[i].text, '\n'));
}

#endif
