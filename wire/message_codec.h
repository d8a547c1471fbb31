/* Messages to msgpack and back. See wire/README.md, "Messages", for the layout: a message is the
 * array [type, fields...], a structure inside it an array of its fields in the order in which the
 * header lists them.
 *
 * Unknown types and extra trailing fields are skipped; a field that a newer version added and that
 * is missing reads as zero. Everything else that is off is refused: wrong kinds, lengths beyond
 * wire/limits.h, counts beyond the bytes present, depth, text that is no UTF-8 where text is meant,
 * paths that are absolute or hold "..", an argv without a command. */
#ifndef MESH_WIRE_MESSAGE_CODEC_H
#define MESH_WIRE_MESSAGE_CODEC_H

#include <stddef.h>

#include "wire/base/arena.h"
#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/message.h"

/* Appends one message. 0, -ENOBUFS or -ENOMEM (the buffer's). Aborts on a message that decode would
 * refuse: whoever builds one from foreign values checks them first (wire_message_check). On an
 * error the buffer holds what it held before and may be appended to further. */
int wire_message_encode(const struct wire_message *message, struct buf *to) MUST_CHECK;

/* 0, or -EINVAL and, in err, which field breaks which limit. */
int wire_message_check(const struct wire_message *message, struct errmsg *err) MUST_CHECK;

/* Reads one message from the front of *from and moves *from behind it. Slices point into `from`,
 * arrays into `arena`. A message of unknown type gives WIRE_MESSAGE_NONE.
 * 0; -EPROTO (malformed; err says which field of which message); -ENOMEM (memory, or the arena's
 * ceiling). */
int wire_message_decode(struct slice *from, struct arena *arena, struct wire_message *ret_message,
                        struct errmsg *err) MUST_CHECK;

/* A whole body: the array of messages that a frame carries. Appends the array's header; the
 * messages follow through wire_message_encode(). */
void wire_body_begin(struct buf *to, uint32_t n_messages);
/* Reads the header of a body: how many messages follow. 0 or -EPROTO. */
int wire_body_open(struct slice *from, uint32_t *ret_n_messages) MUST_CHECK;

/* Copies the message with all it points to into the arena. 0 or -ENOMEM. */
int wire_message_copy(const struct wire_message *message, struct arena *arena,
                      struct wire_message *ret_copy) MUST_CHECK;

/* Whether the two have the same type and fields. */
bool wire_message_eq(const struct wire_message *a, const struct wire_message *b) MUST_CHECK;

#endif
