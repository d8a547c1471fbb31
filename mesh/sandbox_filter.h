/* The system calls that no task may make, as a filter that bwrap loads last of all (--seccomp), so
 * that the cell's init lives under it too. Which calls, and why, is one table in seccomp_linux.c.
 *
 * The filter is the second wall: a task has no capability in any namespace anyway. It takes away
 * what the kernel gives to everybody and has been broken through before. */
#ifndef MESH_SANDBOX_FILTER_H
#define MESH_SANDBOX_FILTER_H

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

/* Makes the filter for this machine: a memory file with all seals, close-on-exec, the caller's to
 * close; its position is the start. Takes some milliseconds: once, at start. 0, or -errno with err
 * set: the kernel has no seccomp, or libseccomp does not know this architecture. */
int sandbox_filter_make(int *ret_fd, struct errmsg *err) MUST_CHECK;

#endif
