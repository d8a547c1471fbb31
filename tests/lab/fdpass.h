/* One message, with a descriptor or without, over a SOCK_SEQPACKET socket pair between the lab's
 * processes. */
#ifndef MESH_LAB_FDPASS_H
#define MESH_LAB_FDPASS_H

#include <stddef.h>

#include "wire/base/ensure.h"

/* Sends n bytes and, unless fd is -1, a copy of the descriptor. 0 or -errno; -EPIPE without a
 * signal when the other end is gone. */
int fdpass_send(int socket, const void *bytes, size_t n, int fd) MUST_CHECK;

/* Receives a message of exactly n bytes. *ret_fd, close-on-exec, belongs to the caller; -1 when the
 * message carried none. ret_fd may be NULL where none is expected. 0; -ECONNRESET when the other
 * end is gone; -EPROTO for any other length; else -errno. */
int fdpass_receive(int socket, void *bytes, size_t n, int *ret_fd) MUST_CHECK;

#endif
