/* The files that a path names: itself, or all that is below a folder. Reads names and modes, and no
 * content. Links are followed where the user named one; below a folder only links to files are. */
#ifndef MESH_CLI_FILE_WALK_H
#define MESH_CLI_FILE_WALK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "cli/file_path.h"
#include "wire/base/arena.h"

struct cmd_file {
    const char *local; /* as it is opened here; in the arena, as the next */
    struct slice path; /* in the task's directory */
    uint32_t mode;
    bool is_dir;
    struct stat st;
    uint32_t ref; /* the caller's */
};

struct cmd_files { /* owned by whoever walks; zeroed to begin with */
    struct cmd_file *items;
    uint32_t n, cap;
    size_t bytes; /* paths, with what a message takes beside each */
};

void cmd_files_done(struct cmd_files *files);

/* What makes the content of a file what it was. */
struct cmd_file_key {
    uint64_t device, inode, bytes;
    int64_t changed_s, changed_ns, status_s, status_ns;
};

struct cmd_file_key cmd_file_key_of(const struct stat *st);
/* Opens it, if it is as it was when it was looked up. 0; -EBUSY: it was changed; -errno, with err.
 */
int cmd_file_open(const struct cmd_file *file, int *ret_fd, struct errmsg *err) MUST_CHECK;
/* Lines for err; they return -EBUSY, and the error. */
int cmd_file_was_changed(const char *local, struct errmsg *err);
int cmd_file_cannot_open(const char *local, int error, struct errmsg *err);

/* Whether it is there and can be sent: a readable file or folder; nothing is looked at below it.
 * -ENOENT and the like, with err. */
int cmd_file_check(const char *what, const struct cmd_file_path *path,
                   struct errmsg *err) MUST_CHECK;

/* The path by which it is opened here. 0 or -ENAMETOOLONG. */
#define CMD_LOCAL_BYTES (2 * WIRE_PATH_BYTES_MAX + 2)
int cmd_file_local(const struct cmd_file_path *path, char to[static CMD_LOCAL_BYTES]) MUST_CHECK;

/* Appends the file, or the folder and all below it. 0; -errno with err (-E2BIG: more than one task
 * may be given). */
int cmd_file_walk(const char *what, const struct cmd_file_path *path, struct arena *arena,
                  struct cmd_files *files, struct errmsg *err) MUST_CHECK;

#endif
