/* What tasks bring back: each file whole at its place, only those that were asked for, and no file
 * by two tasks. Contents that are not in the result are asked of the daemon a few at a time; until
 * all are written the task is not done. */
#ifndef MESH_CLI_SUBMIT_RETURNS_H
#define MESH_CLI_SUBMIT_RETURNS_H

#include "cli/submit_files.h"
#include "wire/message.h"

struct cmd_receiver;
struct cmd_task;

struct cmd_receiver *cmd_receiver_new(void) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct cmd_receiver *cmd_receiver_free(struct cmd_receiver *receiver);

/* Begins with the files of a result; its task stays until cmd_receiver_next_done() gives it back.
 * 0; -errno with err: they cannot be written here, and the job must stop. */
int cmd_receiver_add(struct cmd_receiver *receiver, struct cmd_run *run, struct cmd_task *task,
                     const struct wire_done *done, struct errmsg *err) MUST_CHECK;
/* The daemon's answer, with its descriptor or -1, which is taken. The same. */
int cmd_receiver_on_got(struct cmd_receiver *receiver, struct cmd_run *run,
                        const struct wire_got *got, int fd, struct errmsg *err) MUST_CHECK;

/* One whose files are all dealt with; the caller's to free. */
struct cmd_received {
    struct cmd_task *task;
    struct arena arena;
    struct wire_done done; /* without output and files */
    struct errmsg fault;   /* why the task failed all the same; "": it did not */
};
/* NULL when there is none. */
struct cmd_received *cmd_receiver_next_done(struct cmd_receiver *receiver) MUST_CHECK;
void cmd_received_free(struct cmd_received *received);
/* Whether nothing is under way. */
bool cmd_receiver_is_idle(const struct cmd_receiver *receiver);

#endif
