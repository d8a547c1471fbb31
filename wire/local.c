#include "wire/local.h"

#include <errno.h>

#include "wire/message_codec.h"

#define HEADER_BYTES 4u

static uint32_t read_u32_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void write_u32_be(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

int wire_local_encode(const struct wire_message *message, struct buf *to)
{
    int r = buf_error(to);
    if (r < 0) {
        return r;
    }
    size_t n_before = to->n;
    static const uint8_t room[HEADER_BYTES];
    buf_append(to, room, sizeof(room)); /* the length, once it is known */
    wire_body_begin(to, 1);
    r = buf_error(to);
    if (r == 0) {
        r = wire_message_encode(message, to);
    }
    if (r == 0 && to->n - n_before - HEADER_BYTES > WIRE_BODY_BYTES_MAX) {
        r = -ENOBUFS;
    }
    if (r < 0) {
        to->n = n_before;
        to->error = 0;
        return r;
    }
    write_u32_be(to->p + n_before, (uint32_t)(to->n - n_before - HEADER_BYTES));
    return 0;
}

int wire_local_frame(struct slice from, size_t *ret_frame_bytes)
{
    size_t frame_bytes = 0;
    if (from.n >= HEADER_BYTES) {
        uint32_t body_bytes = read_u32_be(from.p);
        if (body_bytes > WIRE_BODY_BYTES_MAX) {
            return -EPROTO;
        }
        frame_bytes = HEADER_BYTES + (size_t)body_bytes;
    }
    *ret_frame_bytes = from.n >= frame_bytes ? frame_bytes : 0;
    return 0;
}

int wire_local_decode(struct slice frame, struct arena *arena, struct wire_message *ret_message,
                      struct errmsg *err)
{
    ensure(frame.n >= HEADER_BYTES);
    ensure(read_u32_be(frame.p) == frame.n - HEADER_BYTES);
    struct slice body = slice_from(frame, HEADER_BYTES);
    uint32_t n_messages;
    int r = wire_body_open(&body, &n_messages);
    if (r < 0 || n_messages != 1) {
        errmsg_set(err, "a frame that does not hold exactly one message");
        return -EPROTO;
    }
    struct wire_message message;
    r = wire_message_decode(&body, arena, &message, err);
    if (r < 0) {
        return r;
    }
    if (body.n > 0) {
        errmsg_set(err, "a frame with %zu bytes behind its message", body.n);
        return -EPROTO;
    }
    *ret_message = message;
    return 0;
}

/* A stream that is neither inlined nor a blob was streamed: nothing of it is left to hand over. */
static unsigned is_blob(const struct wire_output *output)
{
    static const struct wire_hash none;
    return memcmp(output->hash.b, none.b, sizeof(none.b)) != 0;
}

static unsigned n_blobs(const struct wire_queue_items *items)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < items->n; i++) {
        n += items->items[i].blob_bytes > 0;
    }
    return n;
}

unsigned wire_local_n_fds(const struct wire_message *message)
{
    if (message->type == WIRE_MESSAGE_SUBMIT) {
        return message->submit.spec.files.n;
    }
    if (message->type == WIRE_MESSAGE_ADD_TASK) {
        return message->add_task.has_input;
    }
    if (message->type == WIRE_MESSAGE_PUT) {
        return 1;
    }
    if (message->type == WIRE_MESSAGE_DONE) {
        const struct wire_done *done = &message->done;
        return (!done->is_away && is_blob(&done->result.out)) + is_blob(&done->result.err);
    }
    if (message->type == WIRE_MESSAGE_GOT) {
        return message->got.error == WIRE_ERROR_NONE;
    }
    if (message->type == WIRE_MESSAGE_QUEUE_ADD) {
        return n_blobs(&message->queue_add.items);
    }
    if (message->type == WIRE_MESSAGE_QUEUE_TAKEN) {
        return message->queue_taken.content.blob_bytes > 0;
    }
    return 0;
}
