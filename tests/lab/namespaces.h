/* The Linux side of the lab: entering namespaces, and making a host's. host.c builds on it; a
 * scenario has no use for it. */
#ifndef MESH_LAB_NAMESPACES_H
#define MESH_LAB_NAMESPACES_H

#include <stdint.h>
#include <sys/types.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

/* Where the lab's tmpfs is mounted, on the hosts and for the test. */
#define NAMESPACES_SHARE "/mnt"

/* Moves this process, which must have one thread, into network and mount namespaces of its own with
 * an empty tmpfs at NAMESPACES_SHARE; without root, into a user namespace first in which it is
 * root. 0 or -errno with the step that failed in *err; the process is of no further use then. */
int namespaces_enter(struct errmsg *err) MUST_CHECK;

struct namespaces_host {
    pid_t init;  /* its process 1, a child of this process */
    int init_fd; /* pidfd of it; owned */
    int control; /* closing it, or the end of this process, ends the host; owned */
    int link_fd; /* reads and writes the frames of its eth0; owned */
};

/* An empty disk for host NUMBER, of so many bytes (0: as many as there are); it is there until this
 * process ends. Hosts made before it do not see it. 0 or -errno, as above. */
int namespaces_make_disk(unsigned number, uint64_t bytes, struct errmsg *err) MUST_CHECK;

/* Makes a host with the address 10.99.0.NUMBER, whose /var/lib is that disk. 0 or -errno, as above.
 * After namespaces_enter(). */
int namespaces_make_host(const char *name, unsigned number, struct namespaces_host *ret_host,
                         struct errmsg *err) MUST_CHECK;

/* Starts a process as a child of this one in the host of that init. Returns twice: 0 in the new
 * process, the process id (> 0) in the old one; or -errno in the old one. */
pid_t namespaces_fork(int init_fd) MUST_CHECK;

#endif
