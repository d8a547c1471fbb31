/* GNU parallel's --joblog: a line for each task that ended, in its columns. */
#ifndef MESH_CLI_JOBLOG_H
#define MESH_CLI_JOBLOG_H

#include <stdio.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/message.h"

/* Tasks that a joblog says ran, by Seq. */
struct cmd_joblog_ran {
    uint8_t *bits; /* owned */
    size_t n_bytes;
};

/* What of an earlier run is not to be run again: every task in the log, or, with is_failed_again,
 * those that succeeded. A last line that is not whole was being written when that run ended, and
 * does not count; it is cut off. No such file: nothing ran. 0; -EINVAL: it is no joblog; -errno. */
int cmd_joblog_read(const char *path, bool is_failed_again, struct cmd_joblog_ran *ret_ran,
                    struct errmsg *err) MUST_CHECK;
bool cmd_joblog_has_run(const struct cmd_joblog_ran *ran, uint64_t sequence);
void cmd_joblog_ran_done(struct cmd_joblog_ran *ran);

/* Opens the file: emptied, or, with is_append, to go on behind what is there; an empty one is given
 * its heading. 0 or -errno. */
int cmd_joblog_open(const char *path, bool is_append, FILE **ret_log,
                    struct errmsg *err) MUST_CHECK;
/* One line of task number `sequence`; `command` is what parallel shows as Command. 0 or -errno: the
 * line is not whole. */
int cmd_joblog_write(FILE *log, uint64_t sequence, const struct wire_done *done,
                     struct slice command, struct errmsg *err) MUST_CHECK;

#endif
