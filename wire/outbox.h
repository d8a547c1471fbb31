/* What a session has to say: messages, already encoded, gathered into the bodies of frames.
 *
 * A message is encoded straight into the batch it will leave in; sealing the batch is the only
 * other pass over its bytes. Bulk leaves when nothing else waits. */
#ifndef MESH_WIRE_OUTBOX_H
#define MESH_WIRE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/list.h"
#include "wire/message.h"

/* The messages of one frame. */
struct wire_batch {
    struct list link;
    struct buf bytes; /* room for the signature and the body's header, then the messages */
    uint32_t n_messages;
    bool is_final;   /* ends with the goodbye */
    bool has_secret; /* of the mesh: wiped when it is freed */
};

struct wire_outbox {
    struct list normal; /* of struct wire_batch, oldest first */
    struct list bulk;
    size_t queued_bytes; /* of encoded messages in both */
};

void wire_outbox_init(struct wire_outbox *outbox);
/* Drops everything; the outbox may be used again. */
void wire_outbox_clear(struct wire_outbox *outbox);
void wire_outbox_clear_bulk(struct wire_outbox *outbox);

/* Encodes the message into the last batch, or into a new one once that is full. The one with
 * is_final is the last, and always let in. 0; -ENOBUFS: WIRE_QUEUE_BYTES_MAX are queued; -ENOMEM.
 * On an error the outbox holds what it held before. */
int wire_outbox_put(struct wire_outbox *outbox, const struct wire_message *message, bool is_bulk,
                    bool is_final) MUST_CHECK;

/* The batch that leaves next, or NULL. It stays until wire_outbox_pop(). */
struct wire_batch *wire_outbox_first(const struct wire_outbox *outbox);
/* The plain text of its frame: the body with WIRE_SIGNATURE_BYTES of room in front. */
uint8_t *wire_batch_plain(struct wire_batch *batch, size_t *ret_n);
/* Frees the first batch. */
void wire_outbox_pop(struct wire_outbox *outbox);

#endif
