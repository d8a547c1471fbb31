/* The local socket's bytes, frame after frame. What is taken comes back from its bytes as it was.
 */
#include "tests/fuzz/fuzz.h"
#include "wire/base/ensure.h"
#include "wire/local.h"
#include "wire/message_codec.h"

static void go_round(const struct wire_message *message, struct arena *arena)
{
    struct buf frame;
    struct wire_message back;
    struct errmsg err;
    size_t n_frame = 0;
    buf_init(&frame, 2 * WIRE_BODY_BYTES_MAX);
    ensure(wire_local_encode(message, &frame) == 0);
    ensure(wire_local_frame(buf_slice(&frame), &n_frame) == 0 && n_frame == frame.n);
    ensure(wire_local_decode(buf_slice(&frame), arena, &back, &err) == 0);
    ensure(wire_message_eq(message, &back));
    buf_done(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct arena arena;
    arena_init(&arena, 2 * WIRE_ARENA_BYTES_MAX);
    struct slice from = slice_of(bytes, n);
    size_t n_frame;
    while (wire_local_frame(from, &n_frame) == 0 && n_frame > 0) {
        ensure(n_frame <= from.n);
        struct wire_message message;
        struct errmsg err;
        if (wire_local_decode(slice_of(from.p, n_frame), &arena, &message, &err) == 0) {
            ensure(wire_local_n_fds(&message) <= WIRE_FILES_MAX);
            if (message.type != WIRE_MESSAGE_NONE) {
                go_round(&message, &arena);
            }
        }
        arena_clear(&arena);
        from = slice_from(from, n_frame);
    }
    arena_done(&arena);
    return 0;
}
