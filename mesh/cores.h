/* What this process may use of the machine: processors by affinity mask and cgroup quota (v1 and
 * v2), memory by cgroup limit. sysconf(3) says neither. Cheap enough to be asked every few
 * seconds; both may change while the daemon runs. */
#ifndef MESH_CORES_H
#define MESH_CORES_H

#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"

/* `root` is "" for this machine; tests give a folder that holds a made-up /proc and cgroup trees
 * in its place. What cannot be read does not limit. */

/* At least 1. A quota of 2.5 processors makes 2: the daemon needs its part, and a task that is
 * throttled makes the others wait. */
uint32_t cores_effective(const char *root);

/* MemTotal, in bytes; 0 when it cannot be read. */
uint64_t cores_memory_total_bytes(const char *root);
/* The least of it and the limits of the control groups above this process. */
uint64_t cores_memory_limit_bytes(const char *root);

/* The folder of this process' control group: in version 2, if `controller` is "", else in version
 * 1's hierarchy of that controller. 0, or -ENOENT where there is none in sight. */
int cores_own_group(const char *root, const char *controller, char *to, size_t n_to) MUST_CHECK;

#endif
