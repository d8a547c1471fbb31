/* The daemon's state directory: where it is, that it is ours alone, and what survives a restart.
 *
 *     STATE/lock         held (flock) while a daemon lives; its pid, for people
 *     STATE/key          the identity; wire/identity_file.c
 *     STATE/incarnation  how many times a daemon started here
 *     STATE/peers        peers once reached; known_peers.c
 *     STATE/trust        the closed mesh, its secret included; trust_file.c
 *     STATE/blobs/       blobs.c
 *     STATE/journal.db   detached jobs, a SQLite database; journal_db.c
 *
 * Directories are made 0700; files are written whole: temporary, fsync, rename. */
#ifndef MESH_STATE_DIR_H
#define MESH_STATE_DIR_H

#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"

#define MESHD_PATH_BYTES 4096

struct meshd_state {
    int dir_fd;
    int lock_fd;
    uint32_t incarnation; /* of this start: one more than the last */
    char path[MESHD_PATH_BYTES];
};

/* Which directory: `option` (--state) if not NULL, $MESH_STATE, $STATE_DIRECTORY, /var/lib/mesh for
 * root, $XDG_STATE_HOME/mesh, ~/.local/state/mesh. 0, or -errno with err set. */
int meshd_state_path(const char *option, char ret_path[static MESHD_PATH_BYTES],
                     struct errmsg *err) MUST_CHECK;

/* Makes the directory where it is missing, takes its lock and raises the incarnation. 0, or -errno
 * with one line in err: read-only, full, not ours, or another daemon holds the lock (-EBUSY). */
int meshd_state_open(const char *path, struct meshd_state *ret_state,
                     struct errmsg *err) MUST_CHECK;
/* Gives the lock back. */
void meshd_state_close(struct meshd_state *state);

/* Replaces DIR_FD/name as a whole, mode 0600; it is on disk then. 0 or -errno with err set; on
 * failure the old file stands, unless only the directory's entry could not be put on disk. May be
 * called on any thread. */
int meshd_file_write_whole(int dir_fd, const char *name, struct slice bytes,
                           struct errmsg *err) MUST_CHECK;

/* Makes a directory and its missing parents with this mode. An existing one is left as it is.
 * 0 or -errno. */
int meshd_make_dirs(const char *path, unsigned mode) MUST_CHECK;

#endif
