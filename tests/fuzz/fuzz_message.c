/* Messages, one after the other, and at last a body of them. What decode lets through prints, is
 * copied and encoded whatever it holds, and comes back from its bytes as it was. */
#include "tests/fuzz/fuzz.h"
#include "wire/base/ensure.h"
#include "wire/base/text.h"
#include "wire/message_codec.h"

struct room {
    struct arena arena;
    struct buf buf;
};

/* One line of text, whatever was in it. */
static void print(const struct wire_message *message, struct room *room)
{
    buf_clear(&room->buf);
    wire_message_print(message, &room->buf);
    ensure(buf_error(&room->buf) == 0);
    ensure(text_is_utf8(buf_slice(&room->buf)));
    for (size_t i = 0; i < room->buf.n; i++) {
        ensure(room->buf.p[i] >= ' ' && room->buf.p[i] != 0x7f);
    }
}

static void go_round(const struct wire_message *message, struct room *room)
{
    struct wire_message copy, back;
    struct errmsg err;
    ensure(wire_message_copy(message, &room->arena, &copy) == 0);
    ensure(wire_message_eq(message, &copy));
    if (message->type == WIRE_MESSAGE_NONE) {
        return; /* one that a newer peer knows */
    }
    buf_clear(&room->buf);
    ensure(wire_message_encode(&copy, &room->buf) == 0);
    struct slice again = buf_slice(&room->buf);
    ensure(wire_message_decode(&again, &room->arena, &back, &err) == 0);
    ensure(again.n == 0);
    ensure(wire_message_eq(message, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct room room;
    arena_init(&room.arena, 4 * WIRE_ARENA_BYTES_MAX);
    buf_init(&room.buf, 2 * WIRE_BODY_BYTES_MAX);
    struct slice from = slice_of(bytes, n);
    struct wire_message message;
    struct errmsg err;
    uint32_t n_messages = 0;
    while (from.n > 0 && wire_message_decode(&from, &room.arena, &message, &err) == 0) {
        print(&message, &room);
        go_round(&message, &room);
        arena_clear(&room.arena);
    }
    from = slice_of(bytes, n);
    if (wire_body_open(&from, &n_messages) == 0) {
        ensure(n_messages <= from.n); /* a message takes a byte at least */
    }
    arena_done(&room.arena);
    buf_done(&room.buf);
    return 0;
}
