/* Frames: the length in front, and the seal. The first byte chooses how the rest is used; see enum
 * use. A frame that was sealed opens as it was, and with anything changed does not open. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/frame.h"
#include "wire/handshake.h"

enum use {
    PEEK,    /* a stream of frames as it comes, cut in two */
    OPEN,    /* bytes in the place of a sealed frame */
    CHANGED, /* frames of our own, one of which is changed: u8 number, u16 place, u8 mask, bodies */
    N_USES,
};

#define BODY_BYTES_MAX 4096u
#define FRAMES_MAX     8u

static struct wire_identity *identity;

static void set_up(struct wire_seal *seals)
{
    static const uint8_t key[32] = {1}, header[WIRE_STREAM_HEADER_BYTES] = {2};
    static const uint8_t session_id[WIRE_SESSION_ID_BYTES] = {3};
    if (identity == NULL) {
        static const uint8_t seed[WIRE_SEED_BYTES] = {4};
        ensure(wire_init() == 0);
        identity = wire_identity_new(seed);
        ensure(identity != NULL);
    }
    for (int i = 0; i < 2; i++) {
        wire_seal_init(&seals[i], key, header, session_id, WIRE_ROLE_RESPONDER);
    }
}

/* What was no frame does not become one by waiting, and what is one stays the same. */
static void peek(struct slice input)
{
    while (input.n > 0) {
        struct slice part = slice_of(input.p, input.n / 2), frame, again;
        enum wire_reason reason = WIRE_REASON_NONE;
        int early = wire_frame_peek(part, BODY_BYTES_MAX, &frame);
        int r = wire_frame_peek(input, BODY_BYTES_MAX, &again);
        ensure(early >= 0 || r < 0);
        ensure(early <= 0 || (r == 1 && frame.p == again.p && frame.n == again.n));
        int of_handshake = wire_handshake_peek(input, &frame, &reason);
        ensure((of_handshake < 0) == (reason != WIRE_REASON_NONE));
        ensure(of_handshake <= 0 || frame.n > WIRE_MAGIC_BYTES);
        if (r != 1) {
            return;
        }
        ensure(again.p + again.n <= input.p + input.n);
        input = slice_from(input, WIRE_PREFIX_BYTES + again.n);
    }
}

static void open_foreign(struct wire_seal *seal, struct slice input)
{
    struct buf plain;
    struct wire_opened opened;
    buf_init(&plain, WIRE_SIGNATURE_BYTES + WIRE_BODY_BYTES_MAX);
    ensure(wire_frame_open(seal, input, &plain, &opened) < 0); /* nobody finds a tag by chance */
    buf_done(&plain);
}

/* Seals up to FRAMES_MAX bodies; returns how many, and where each ends. */
static size_t seal_all(struct wire_seal *seal, struct slice input, struct buf *out, size_t *ends,
                       struct slice *bodies)
{
    size_t n = 0;
    while (input.n > 1 && n < FRAMES_MAX) {
        uint8_t plain[WIRE_SIGNATURE_BYTES + 256];
        size_t n_body = input.p[0] < input.n - 1 ? input.p[0] : input.n - 1;
        n_body = n_body > 0 ? n_body : 1;
        bodies[n] = slice_of(input.p + 1, n_body);
        memcpy(plain + WIRE_SIGNATURE_BYTES, bodies[n].p, n_body);
        ensure(wire_frame_seal(seal, identity, plain, WIRE_SIGNATURE_BYTES + n_body, n % 3 == 2,
                               out) == 0);
        ends[n++] = out->n;
        input = slice_from(input, 1 + n_body);
    }
    return n;
}

static void open_changed(struct wire_seal *seals, struct slice input)
{
    if (input.n < 6) {
        return;
    }
    struct buf out, plain;
    struct slice bodies[FRAMES_MAX];
    size_t ends[FRAMES_MAX];
    buf_init(&out, 1u << 16);
    buf_init(&plain, WIRE_SIGNATURE_BYTES + 256);
    size_t n = seal_all(&seals[0], slice_from(input, 4), &out, ends, bodies);
    size_t bad = input.p[0] % (2 * FRAMES_MAX); /* often none of them */
    size_t begin = bad < n && bad > 0 ? ends[bad - 1] : 0;
    if (bad < n) {
        size_t n_frame = ends[bad] - begin - WIRE_PREFIX_BYTES;
        size_t at = ((size_t)input.p[1] << 8 | input.p[2]) % n_frame;
        out.p[begin + WIRE_PREFIX_BYTES + at] ^= input.p[3];
    }
    struct slice from = buf_slice(&out), frame;
    for (size_t i = 0; i < n; i++) {
        struct wire_opened opened;
        ensure(wire_frame_peek(from, WIRE_FRAME_BYTES_MAX, &frame) == 1);
        bool is_changed = i == bad && input.p[3] != 0;
        ensure((wire_frame_open(&seals[1], frame, &plain, &opened) == 0) == !is_changed);
        if (is_changed) {
            break;
        }
        ensure(slice_eq(opened.body, bodies[i]));
        ensure(opened.sequence == i && opened.is_final == (i % 3 == 2));
        bool is_good = wire_frame_verify(wire_identity_key(identity), seals[1].session_id,
                                         seals[1].sender, &opened);
        ensure(is_good);
        ensure(!wire_frame_verify(wire_identity_key(identity), seals[1].session_id,
                                  WIRE_ROLE_INITIATOR, &opened));
        from = slice_from(from, WIRE_PREFIX_BYTES + frame.n);
    }
    buf_done(&out);
    buf_done(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0) {
        return 0;
    }
    struct wire_seal seals[2];
    set_up(seals);
    struct slice input = slice_of(bytes + 1, n - 1);
    switch ((enum use)(bytes[0] % N_USES)) {
    case PEEK:
        peek(input);
        break;
    case OPEN:
        open_foreign(&seals[1], input);
        break;
    case CHANGED:
        open_changed(seals, input);
        break;
    case N_USES:
        break;
    }
    return 0;
}
