/* The cable between a host's eth0 and the switch, in one of two kinds. A TAP, where /dev/net/tun
 * can be opened, is made by the host and read by the switch. Elsewhere (an ordinary user on a
 * machine that keeps that device to root) it is a veth pair, whose other end lies in the lab's own
 * network namespace and is read through a packet socket. MESH_LAB_LINK=packet chooses the second
 * always.
 *
 * For namespaces.c only. */
#ifndef MESH_LAB_LINK_H
#define MESH_LAB_LINK_H

#include <sys/types.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

/* In the lab's process, once the host's process 1 is in its namespaces: makes the veth pair, and
 * gives the packet socket in *ret_fd, owned by the caller; -1 where the host makes a TAP. */
int link_make(pid_t init, unsigned number, int *ret_fd, struct errmsg *err) MUST_CHECK;

/* In the host, after that: eth0 and lo get their addresses and are up. *ret_fd is the TAP, owned by
 * the caller; -1 where there is none. Both: 0 or -errno with the failed step in *err. */
int link_set_up_host(unsigned number, int *ret_fd, struct errmsg *err) MUST_CHECK;

#endif
