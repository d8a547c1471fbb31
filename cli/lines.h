/* Reads a file value by value, without waiting, within the kernel's limit for one argument. */
#ifndef MESH_CLI_LINES_H
#define MESH_CLI_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"

struct cmd_lines {
    int fd;           /* owned, but for standard input */
    const char *name; /* borrowed, for messages */
    char separator;
    bool is_at_end; /* of the file; what is buffered may still hold values */
    struct buf bytes;
    size_t used;     /* of these given out */
    uint64_t number; /* of the last value, from 1 */
};

/* "-" is standard input. 0 or -errno, err names the file. */
int cmd_lines_open(struct cmd_lines *lines, const char *path, char separator,
                   struct errmsg *err) MUST_CHECK;
void cmd_lines_close(struct cmd_lines *lines);

/* 0; -ENODATA, -EAGAIN (nothing to read now), -E2BIG, -EINVAL, -errno as cmd_inputs_next(). The
 * value is borrowed until the next call. */
int cmd_lines_next(struct cmd_lines *lines, struct slice *ret_value, struct errmsg *err) MUST_CHECK;

/* For a regular file: reads through all of it, checks each value, and goes back to where it was.
 * -ESPIPE for anything else; errors as above. */
int cmd_lines_count(struct cmd_lines *lines, uint64_t *ret_n, struct errmsg *err) MUST_CHECK;

#endif
