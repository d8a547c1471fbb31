/* The control group (version 2) below which cells may get groups of their own, where the daemon was
 * given one: by meshd.service (Delegate=), `systemd-run --scope -p Delegate=yes`, or a group that
 * it is alone in. Nobody's groups are touched but its own. */
#ifndef MESH_CGROUP_H
#define MESH_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

#define CGROUP_PATH_BYTES 4096

/* What `to` may write in afterwards: a folder BASE, absolute, that holds no process itself.
 *
 *     BASE/daemon     this process is there
 *     BASE/NAME       may be made and removed; a process is moved by writing
 * BASE/NAME/cgroup.procs, and memory.*, pids.* are there if the kernel gives those controllers to
 *                     version 2 and to us; cgroup.kill ends them all
 *
 * `root` is "" for this machine; tests give a folder that holds a made-up /proc and cgroup tree.
 * Call before the change of user, as root or as whoever the daemon is. 0; or -errno, and why there
 * is none: then the daemon is where it was. */
int cgroup_prepare(const char *root, uid_t to_uid, gid_t to_gid,
                   char ret_base[static CGROUP_PATH_BYTES], struct errmsg *reterr) MUST_CHECK;

#endif
