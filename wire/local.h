/* Frames on the local socket: what clients and their daemon send each other, unsigned and unsealed,
 * for the kernel's peer credentials are the authentication there.
 *
 * Descriptors travel as SCM_RIGHTS with the first byte of the frame of the message they belong to,
 * in one sendmsg(); the receiver queues them in order of arrival, and each message takes as many
 * from the queue as wire_local_n_fds() says of it. */
#ifndef MESH_WIRE_LOCAL_H
#define MESH_WIRE_LOCAL_H

#include <stddef.h>

#include "wire/base/arena.h"
#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/message.h"

/* Appends one message as one frame: u32 length (big endian) and body. 0 or the buffer's error. */
int wire_local_encode(const struct wire_message *message, struct buf *to) MUST_CHECK;

/* The length in bytes of the first frame of `from`, header included, once it is whole; 0 when more
 * is needed. -EPROTO when it claims more than WIRE_BODY_BYTES_MAX. */
int wire_local_frame(struct slice from, size_t *ret_frame_bytes) MUST_CHECK;
/* Decodes one whole frame that wire_local_frame() found: exactly one message. */
int wire_local_decode(struct slice frame, struct arena *arena, struct wire_message *ret_message,
                      struct errmsg *err) MUST_CHECK;

/* How many descriptors travel with this message: a submit has one for each of its files, an
 * add_task one when it has_input, a put one, a done one for each stream that is not inlined; others
 * none. */
unsigned wire_local_n_fds(const struct wire_message *message);

#endif
