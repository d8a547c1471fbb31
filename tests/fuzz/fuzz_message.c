/* One message: what decode lets through is a message, and comes back from its bytes as it was. */
#include "tests/fuzz/fuzz.h"
#include "wire/base/ensure.h"
#include "wire/message_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct arena arena;
    struct buf buf;
    arena_init(&arena, 2 * WIRE_ARENA_BYTES_MAX);
    buf_init(&buf, 2 * WIRE_BODY_BYTES_MAX);
    struct slice from = slice_of(bytes, n);
    struct wire_message message;
    struct wire_message back;
    struct errmsg err;
    while (from.n > 0 && wire_message_decode(&from, &arena, &message, &err) == 0) {
        wire_message_print(&message, &buf);
        buf_clear(&buf);
        if (message.type != WIRE_MESSAGE_NONE && wire_message_encode(&message, &buf) == 0) {
            struct slice again = buf_slice(&buf);
            ensure(wire_message_decode(&again, &arena, &back, &err) == 0);
            ensure(again.n == 0);
            ensure(wire_message_eq(&message, &back));
        }
        buf_clear(&buf);
        arena_clear(&arena);
    }
    arena_done(&arena);
    buf_done(&buf);
    return 0;
}
