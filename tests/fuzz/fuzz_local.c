/* The local socket's bytes, frame after frame. */
#include "tests/fuzz/fuzz.h"
#include "wire/base/ensure.h"
#include "wire/local.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct arena arena;
    arena_init(&arena, WIRE_ARENA_BYTES_MAX);
    struct slice from = slice_of(bytes, n);
    size_t n_frame;
    while (wire_local_frame(from, &n_frame) == 0 && n_frame > 0) {
        ensure(n_frame <= from.n);
        struct wire_message message;
        struct errmsg err;
        if (wire_local_decode(slice_of(from.p, n_frame), &arena, &message, &err) == 0) {
            ensure(wire_local_n_fds(&message) <= WIRE_FILES_MAX);
        }
        arena_clear(&arena);
        from = slice_from(from, n_frame);
    }
    arena_done(&arena);
    return 0;
}
