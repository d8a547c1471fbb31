/* Writes a file that came from elsewhere: whole or not at all, below one folder and never outside
 * of it. No link is followed below that folder: a task, or whoever ran it, may have chosen the
 * name. */
#ifndef MESH_CLI_FILE_WRITE_H
#define MESH_CLI_FILE_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"

struct cmd_content { /* `inlined`, or the first `bytes` of what fd holds */
    struct slice inlined;
    int fd; /* borrowed; -1: none */
    uint64_t bytes;
};

/* `path` has no part that is empty, "." or ".."; `base` is a folder as the user named it, which is
 * made where it is missing, as are the folders on the way. The file is written beside its place and
 * renamed into it. 0; -EINTR: a signal asks to stop; -ELOOP: a link is in the way; -ENOTDIR,
 * -EISDIR: something else is; other -errno (a full disk), with err. Nothing is left behind then but
 * folders. */
int cmd_file_write(const char *base, struct slice path, uint32_t mode,
                   const struct cmd_content *content, struct errmsg *err) MUST_CHECK;
/* The same for a folder. *ret_is_new: it was not there. */
int cmd_dir_make(const char *base, struct slice path, bool *ret_is_new,
                 struct errmsg *err) MUST_CHECK;
/* Sets the mode of a folder that was made. 0 or -errno. */
int cmd_dir_set_mode(const char *base, struct slice path, uint32_t mode,
                     struct errmsg *err) MUST_CHECK;

#endif
