/* Control groups for cells, where the daemon may make them: below the folder of version 2 that was
 * made ready for it (cgroup.h), or below its own group of version 1's memory controller. Where it
 * may not, the init of each cell watches its memory (cell_init_memory.c). */
#ifndef MESH_CELL_GROUPS_H
#define MESH_CELL_GROUPS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"

struct cell_groups {
    char dir[PATH_MAX]; /* below which they are made; "": nowhere */
    bool is_v2;
    uint64_t n_made; /* names them */
};

struct cell_group {
    char dir[PATH_MAX + 32]; /* "": none */
    bool is_v2;
    uint64_t n_kills; /* that were told of */
};

/* Finds out where, and removes what a daemon that was killed left there. `base`: what
 * cgroup_prepare() made ready, or "". `root` as in cores.h. 0 or -errno: they cannot be made here.
 */
int cell_groups_init(struct cell_groups *groups, const char *base, const char *root) MUST_CHECK;

/* Makes one that holds so much memory. *ret_procs_fd, close-on-exec, is the caller's: who writes
 * "0" to it is in the group, and whatever it starts. 0 or -errno. */
int cell_group_make(struct cell_groups *groups, uint64_t memory_bytes, struct cell_group *ret_group,
                    int *ret_procs_fd) MUST_CHECK;
/* Whether the kernel killed anything in it for want of memory since this was last asked. */
bool cell_group_has_killed(struct cell_group *group);
/* Removes it: nothing runs in it any more. Of none: nothing. */
void cell_group_done(struct cell_group *group);

#endif
