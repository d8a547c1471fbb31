/* What a connection to a peer asks of its TCP socket beyond libuv's reach. */
#ifndef MESH_SOCKET_H
#define MESH_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"

/* Unsent bytes in the kernel above which a socket is not writable. */
#define MESHD_NOTSENT_BYTES (128u << 10)

/* For each socket before it connects, and for listening ones (whose accepted sockets inherit them):
 * no Nagle, packets leave with TTL 255, unacknowledged data ends the connection after
 * user_timeout_ms, little unsent data in the kernel. family: AF_INET or AF_INET6. 0 or -errno. */
int meshd_socket_prepare(int fd, int family, unsigned user_timeout_ms) MUST_CHECK;

/* From now on only packets that crossed no router are taken (IP_MINTTL, IPV6_MINHOPCOUNT), or any
 * again. To be called once connected: the reset of a closed port comes with an ordinary TTL. 0 or
 * -errno. */
int meshd_socket_require_on_link(int fd, int family, bool is_required) MUST_CHECK;

/* Bytes given to the kernel and not acknowledged by the other host. 0 when that cannot be told. */
size_t meshd_socket_unacked_bytes(int fd);

struct meshd_socket_pace {
    uint64_t acked;      /* bytes, since the connection began */
    uint64_t min_rtt_ns; /* the shortest round trip that was measured: without what our own bytes
                          * make others wait */
};

/* All zeros when it cannot be told. */
void meshd_socket_get_pace(int fd, struct meshd_socket_pace *ret_pace);

#endif
