/* Standard input of `mesh submit` as the input of its one task. */
#ifndef MESH_CLI_SUBMIT_STDIN_H
#define MESH_CLI_SUBMIT_STDIN_H

#include <stdbool.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

/* Whether it is something that a task could want to read. */
bool cmd_stdin_is_input(void);

/* All of it up to its end, as a file that can be sent; the caller's to close. 0; -EINTR; -errno
 * with err. */
int cmd_stdin_spool(int *ret_fd, struct errmsg *err) MUST_CHECK;

#endif
