/* What `mesh submit` sends along with tasks: the files that --transferfile names, --basefile's, and
 * the names of those that --return is to bring back.
 *
 * The inputs are read to their end before anything runs, so that a missing file is found first.
 * Then, task by task: the files are looked up, the daemon takes in those whose content it does not
 * have from us yet (a few at a time, so a task of 10,000 files takes a few descriptors), and when
 * all are there the task can be added. A file is sent once as long as it does not change. */
#ifndef MESH_CLI_SUBMIT_FILES_H
#define MESH_CLI_SUBMIT_FILES_H

#include "cli/file_walk.h"
#include "cli/replace.h"
#include "cli/submit_run.h"
#include "wire/message.h"

struct cmd_run;
struct cmd_sender;

/* One that a task is to bring back: `path` below the task's directory, to be put below `base`. */
struct cmd_return {
    char *base; /* owned, as the next */
    char *path;
};

struct cmd_returns {
    struct cmd_return *items; /* owned */
    uint32_t n;
};

/* All of these paths, to be put below one folder. */
void cmd_returns_set(struct cmd_returns *returns, const char *base, struct wire_slices paths);
void cmd_returns_done(struct cmd_returns *returns);

/* NULL in *ret_sender when no option asks for files. 0; -EINVAL with err. */
int cmd_sender_new(const struct cmd_submission *submission, struct cmd_sender **ret_sender,
                   struct errmsg *err) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct cmd_sender *cmd_sender_free(struct cmd_sender *sender);

/* Looks through all tasks' files: values() is called until it says -ENODATA, and its values are
 * kept for cmd_sender_values(). 0; -ENOENT and the like, with err; what values() returned. */
int cmd_sender_check(struct cmd_sender *sender,
                     int (*values)(void *user, const struct slice **ret_values, struct errmsg *err),
                     void *user, unsigned n_values, struct errmsg *err) MUST_CHECK;
/* The next of those. 0; -ENODATA. */
int cmd_sender_values(struct cmd_sender *sender, const struct slice **ret_values) MUST_CHECK;
/* How many there are. */
uint64_t cmd_sender_total(const struct cmd_sender *sender);

/* The job's files: the descriptors become the caller's. */
struct cmd_basefiles {
    struct wire_file files[WIRE_FILES_MAX];
    int fds[WIRE_FILES_MAX];
    uint32_t n;
};
/* Adds those of --basefile behind what is there. 0; -errno with err. */
int cmd_sender_open_base(struct cmd_sender *sender, struct cmd_run *run, struct cmd_basefiles *to,
                         struct errmsg *err) MUST_CHECK;
/* The job was accepted, so they were read: -EBUSY where one was changed meanwhile. */
int cmd_sender_check_base(const struct cmd_sender *sender, struct errmsg *err) MUST_CHECK;

/* Begins the next task. 0; -errno with err. */
int cmd_sender_begin(struct cmd_sender *sender, const struct cmd_values *values,
                     struct errmsg *err) MUST_CHECK;
/* Puts what can be put now. 0: all is there; -EAGAIN: answers must come first; -errno with err. */
int cmd_sender_step(struct cmd_sender *sender, struct cmd_run *run, struct errmsg *err) MUST_CHECK;
/* An answer. 0; -errno with err: the file cannot be sent, or was changed meanwhile. */
int cmd_sender_on_put_done(struct cmd_sender *sender, const struct wire_put_done *done,
                           struct errmsg *err) MUST_CHECK;
/* Results came: where the daemon had no room there may be some now. */
void cmd_sender_retry(struct cmd_sender *sender);
/* Fills in the task; what it points to stays until cmd_sender_added(). */
void cmd_sender_fill(struct cmd_sender *sender, struct wire_add_task *add);
/* The task was added: gives back what the next ones will not need, and takes its returns over. */
void cmd_sender_added(struct cmd_sender *sender, struct cmd_run *run,
                      struct cmd_returns *ret_returns);

#endif
