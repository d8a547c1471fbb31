/* The results of a detached job, printed as `mesh submit` would have: what `mesh wait` and `mesh
 * results` share. */
#ifndef MESH_CLI_ATTACH_RUN_H
#define MESH_CLI_ATTACH_RUN_H

#include "cli/cmd.h"

struct cmd_attach {
    uint64_t job;
    uint32_t task; /* 0: all */
    bool is_wait;  /* for the job's end; else what is there now */
    bool is_keep_order, is_tag, is_bar;
    const char *joblog;  /* path, or NULL */
    const char *results; /* --results of `mesh submit`, or NULL */
    const char *files;   /* the folder that gets what tasks returned, or NULL: none does */
    unsigned stream;     /* enum wire_stream: only this one is printed; NONE: both */
};

/* What both commands may be told; each lists those that it takes. */
enum cmd_attach_key {
    CMD_ATTACH_TASK = 1,
    CMD_ATTACH_STREAM,
    CMD_ATTACH_KEEP_ORDER,
    CMD_ATTACH_TAG,
    CMD_ATTACH_BAR,
    CMD_ATTACH_JOBLOG,
    CMD_ATTACH_RESULTS,
    CMD_ATTACH_FILES,
};
/* A cmd_option_fn: `to` is the struct cmd_attach. */
int cmd_attach_option(void *to, int key, const char *value, struct errmsg *err);

/* Returns the exit status: with is_wait, that of `mesh submit`; else 0 if the results could be had
 * and printed, or CMD_EXIT_FAILED. */
int cmd_attach_run(const struct cmd_globals *globals, const struct cmd_attach *attach);

/* Reads the one word that is left as a job. 0 or -EINVAL (said already, as wrong use). */
int cmd_job_word(const struct cmd_command *command, char *const *words, unsigned n_words,
                 uint64_t *ret_job) MUST_CHECK;

#endif
