/* Limits of a host, by the kernel's control groups of either version.
 *
 *     lab_limit_cores(rosa, 0.25);
 *     lab_limit_memory(rosa, UINT64_C(256) << 20);
 *
 * They hold for all together that is started on the host from then on, and for what that puts into
 * the host's folders, which lie in memory. The kernel slows down who wants more processor, and
 * kills something where more memory is wanted.
 *
 * A group is the only thing of a lab that has a name on the machine: `mesh-lab-PID-NUMBER`, within
 * the test's own group, whose share of the machine it keeps, or, in version 2, within the nearest
 * one above that has such limits to give. It is gone when lab_free() returns, and soon after the
 * end of a test that ends in any other way: a process of its own waits for that. Who kills that
 * process as well leaves a group without a process in it, which does nothing, and which the next
 * lab removes that makes one in that place. */
#ifndef MESH_LAB_BOUNDS_H
#define MESH_LAB_BOUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/host.h"

enum lab_limit { LAB_LIMIT_CORES, LAB_LIMIT_MEMORY };

/* Whether this user may limit hosts so on this machine; if not, *err says why. Changes nothing. */
bool lab_may_limit(enum lab_limit limit, struct errmsg *err);

/* Each at most once a host; what is not allowed fails the test. */
void lab_limit_cores(struct lab_host *host, double cores);
/* Nothing is swapped out for it, where the kernel can be told so. */
void lab_limit_memory(struct lab_host *host, uint64_t bytes);

/* How many processes of the host, whose memory is limited, the kernel has killed for want of it. */
unsigned lab_memory_kills(const struct lab_host *host);

/* For process.c, in the new process: it and what it starts are limited as the host is. 0 or -errno.
 */
int lab_limits_enter(const struct lab_host *host) MUST_CHECK;
/* For host.c, once nothing runs there: the groups are gone when it returns. */
void lab_limits_end(struct lab_host *host);

#endif
