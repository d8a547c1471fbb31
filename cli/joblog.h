/* GNU parallel's --joblog: a line for each task that ended, in its columns. */
#ifndef MESH_CLI_JOBLOG_H
#define MESH_CLI_JOBLOG_H

#include <stdio.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/message.h"

/* Creates or empties the file and writes the heading. 0 or -errno. */
int cmd_joblog_open(const char *path, FILE **ret_log, struct errmsg *err) MUST_CHECK;
/* One line; `command` is what parallel shows as Command. 0 or -errno: the line is not whole. */
int cmd_joblog_write(FILE *log, const struct wire_done *done, struct slice command,
                     struct errmsg *err) MUST_CHECK;

#endif
