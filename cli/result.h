/* What a task's end means: for the exit status, for the joblog, and in words. Pure. */
#ifndef MESH_CLI_RESULT_H
#define MESH_CLI_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/message.h"

bool cmd_result_is_success(const struct wire_done *done);
/* The exit status of `mesh submit` for one task without an input source. */
int cmd_result_exit(const struct wire_done *done);
/* parallel's Exitval and Signal; -1 where it has no exit status. */
void cmd_result_parallel(const struct wire_done *done, int *ret_exit, int *ret_signal);
/* "exit status 3 on lily": what happened, where, and what to do next where there is something to
 * do. Printable. Returns `to`. */
const char *cmd_result_text(const struct wire_done *done, char *to, size_t n_to);

#endif
