/* The state directory changes hands between root and user `mesh`: a daemon that was root's and now
 * drops, or one that dropped and now cannot.
 *
 * Root touches what is in a directory only while that is root's alone (mode 0700), so nobody can
 * put anything in its way: given away, contents go first; taken back, the directory does. Only
 * directories and regular files that belong to the one are given to the other; symbolic links are
 * not followed, other file systems not entered, and a file that has another name somewhere (a hard
 * link) is refused. And only what is a state directory: an empty one, or one that a daemon has
 * used.
 */
#ifndef MESH_STATE_OWNER_H
#define MESH_STATE_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

struct state_owners {
    uid_t from; /* one of the two is root, 0 */
    uid_t to;
    gid_t gid; /* of `to` */
};

/* Makes the directory, 0700, where it is missing; missing parents are made for all to pass. As
 * root. 0 or -errno, err set. */
int state_owner_make_dir(const char *path, struct errmsg *err) MUST_CHECK;

/* 0: the directory and all in it belong to `to` now, or belonged to somebody other than `from`
 * before and were left alone. Else -errno and one line in err: not ours, in use by a daemon
 * (-EBUSY), a file that cannot change hands. What was done until then is done. */
int state_owner_change(const char *path, const struct state_owners *owners,
                       struct errmsg *err) MUST_CHECK;

#endif
