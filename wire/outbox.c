#include "wire/outbox.h"

#include <errno.h>
#include <string.h>

#include "wire/base/mem.h"
#include "wire/identity.h"
#include "wire/message_codec.h"

/* The longest header of an array in msgpack. */
#define BODY_HEAD_BYTES 5u
#define ROOM_BYTES      (WIRE_SIGNATURE_BYTES + BODY_HEAD_BYTES)
#define BATCH_BYTES_MAX (WIRE_SIGNATURE_BYTES + WIRE_BODY_BYTES_MAX)

static size_t message_bytes(const struct wire_batch *batch)
{
    return batch->bytes.n - ROOM_BYTES;
}

static void free_batch(struct wire_outbox *outbox, struct wire_batch *batch)
{
    outbox->queued_bytes -= message_bytes(batch);
    list_remove(&batch->link);
    if (batch->has_secret) {
        explicit_bzero(batch->bytes.p, batch->bytes.cap);
    }
    buf_done(&batch->bytes);
    mem_free(batch);
}

static void clear_list(struct wire_outbox *outbox, struct list *list)
{
    list_for_each_safe (it, list) {
        free_batch(outbox, LIST_ENTRY(it, struct wire_batch, link));
    }
}

void wire_outbox_init(struct wire_outbox *outbox)
{
    list_init(&outbox->normal);
    list_init(&outbox->bulk);
    outbox->queued_bytes = 0;
}

void wire_outbox_clear(struct wire_outbox *outbox)
{
    clear_list(outbox, &outbox->normal);
    clear_list(outbox, &outbox->bulk);
    ensure(outbox->queued_bytes == 0);
}

void wire_outbox_clear_bulk(struct wire_outbox *outbox)
{
    clear_list(outbox, &outbox->bulk);
}

/* An empty batch at the end of the list, or NULL. */
static struct wire_batch *new_batch(struct list *list)
{
    struct wire_batch *batch = mem_alloc(1, sizeof(*batch));
    if (batch == NULL) {
        return NULL;
    }
    buf_init(&batch->bytes, BATCH_BYTES_MAX);
    if (buf_reserve(&batch->bytes, ROOM_BYTES) == NULL) {
        return mem_free(batch);
    }
    buf_extend(&batch->bytes, ROOM_BYTES);
    list_push_back(list, &batch->link);
    return batch;
}

/* The last batch, if more may be put into it. One whose buffer once refused a message is closed,
 * for the buffer's error stays. */
static struct wire_batch *open_batch(const struct list *list)
{
    if (list_is_empty(list)) {
        return NULL;
    }
    struct wire_batch *batch = LIST_ENTRY(list->prev, struct wire_batch, link);
    bool is_open = buf_error(&batch->bytes) == 0 && message_bytes(batch) < WIRE_BATCH_BYTES &&
                   batch->n_messages < WIRE_BATCH_MESSAGES_MAX && !batch->is_final;
    return is_open ? batch : NULL;
}

/* Appends the message to the batch if it fits: into the batch's size, or whatever its own when it
 * is alone there. 0, -ENOBUFS: not into this one; -ENOMEM. */
static int encode_into(struct wire_batch *batch, const struct wire_message *message)
{
    size_t before = batch->bytes.n;
    int r = wire_message_encode(message, &batch->bytes);
    if (r == 0 && batch->n_messages > 0 && message_bytes(batch) > WIRE_BATCH_BYTES) {
        batch->bytes.n = before;
        return -ENOBUFS;
    }
    if (r == 0) {
        batch->n_messages++;
        batch->has_secret = batch->has_secret || message->type == WIRE_MESSAGE_MEMBERSHIP;
    }
    return r;
}

int wire_outbox_put(struct wire_outbox *outbox, const struct wire_message *message, bool is_bulk,
                    bool is_final)
{
    struct list *list = is_bulk ? &outbox->bulk : &outbox->normal;
    if (outbox->queued_bytes >= WIRE_QUEUE_BYTES_MAX && !is_final) {
        return -ENOBUFS;
    }
    struct wire_batch *batch = open_batch(list);
    size_t before = batch != NULL ? message_bytes(batch) : 0;
    int r = batch != NULL ? encode_into(batch, message) : -ENOBUFS;
    if (r == -ENOBUFS) {
        batch = new_batch(list);
        if (batch == NULL) {
            return -ENOMEM;
        }
        before = 0;
        r = encode_into(batch, message);
        if (r != 0) {
            free_batch(outbox, batch);
        }
    }
    if (r == 0) {
        outbox->queued_bytes += message_bytes(batch) - before;
        batch->is_final = is_final;
    }
    return r;
}

struct wire_batch *wire_outbox_first(const struct wire_outbox *outbox)
{
    struct list *first = list_first(&outbox->normal);
    first = first != NULL ? first : list_first(&outbox->bulk);
    return first != NULL ? LIST_ENTRY(first, struct wire_batch, link) : NULL;
}

uint8_t *wire_batch_plain(struct wire_batch *batch, size_t *ret_n)
{
    /* The body's header stands right in front of the messages, the signature's room before it. */
    uint8_t bytes[BODY_HEAD_BYTES];
    struct buf head = {.p = bytes, .cap = sizeof(bytes), .bytes_max = sizeof(bytes)};
    wire_body_begin(&head, batch->n_messages);
    ensure(buf_error(&head) == 0);
    size_t skipped = BODY_HEAD_BYTES - head.n;
    memcpy(batch->bytes.p + ROOM_BYTES - head.n, bytes, head.n);
    *ret_n = batch->bytes.n - skipped;
    return batch->bytes.p + skipped;
}

void wire_outbox_pop(struct wire_outbox *outbox)
{
    struct wire_batch *batch = wire_outbox_first(outbox);
    ensure(batch != NULL);
    free_batch(outbox, batch);
}
