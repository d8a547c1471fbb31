/* Where a file of a task lies here and where it lies there, as GNU parallel has it: relative to the
 * task's directory as it is to ours; of "FROM/./REST" only REST counts there. Pure. */
#ifndef MESH_CLI_FILE_PATH_H
#define MESH_CLI_FILE_PATH_H

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"
#include "wire/limits.h"

struct cmd_file_path {
    char base[WIRE_PATH_BYTES_MAX + 1]; /* here: the folder that it is relative to; "." or FROM */
    char path[WIRE_PATH_BYTES_MAX + 1]; /* below that, and below the task's directory: no part of it
                                         * is empty, "." or ".." */
};

/* `what` is the option, for err. 0; -EINVAL: empty, absolute, leading out, too long, or it holds a
 * NUL; err says which, and what to write instead. */
int cmd_file_path_parse(const char *what, struct slice text, struct cmd_file_path *ret_path,
                        struct errmsg *err) MUST_CHECK;

/* The task's directory below its scratch, as --workdir says: "." and "..." are the scratch itself,
 * which is "". The same. */
int cmd_workdir_parse(struct slice text, char ret_path[static WIRE_PATH_BYTES_MAX + 1],
                      struct errmsg *err) MUST_CHECK;

#endif
