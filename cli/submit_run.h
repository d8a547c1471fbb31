/* A job's life as the client sees it: the second and third part of `mesh submit`, ask and print.
 * One loop that adds tasks as the daemon gives credit, and prints results as they come, so that
 * what is held in memory is bounded by what is outstanding. */
#ifndef MESH_CLI_SUBMIT_RUN_H
#define MESH_CLI_SUBMIT_RUN_H

#include "cli/cmd.h"
#include "cli/inputs.h"
#include "cli/submit_command.h"
#include "cli/submit_options.h"

struct cmd_submission {
    const struct cmd_globals *globals;
    const struct cmd_submit_options *options;
    struct cmd_program *program;
    struct cmd_inputs *inputs; /* NULL: one task, streamed */
    struct cmd_replace *replace;
};

/* Runs it to its end and returns the exit status of `mesh submit`. */
int cmd_submit_run(const struct cmd_submission *submission);
/* --dry-run: prints the commands. */
int cmd_submit_print(const struct cmd_submission *submission);

#endif
