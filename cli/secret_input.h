/* One secret from whoever uses the command: typed without being shown, or from standard input. */
#ifndef MESH_CLI_SECRET_INPUT_H
#define MESH_CLI_SECRET_INPUT_H

#include <stddef.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

/* Where standard input is a terminal: asks on standard error, reads a line without echo, and leaves
 * the terminal as it was, also when a signal ends the command. Elsewhere: all of standard input.
 * *ret_n bytes are in `to`, which is the caller's to wipe. 0; -EFBIG (more than n_to bytes) or
 * another -errno, and a line in err. */
int cmd_secret_read(const char *prompt, char *to, size_t n_to, size_t *ret_n,
                    struct errmsg *err) MUST_CHECK;

#endif
