/* mesh cancel JOB: end a job everywhere. */
#include <errno.h>
#include <stdio.h>

#include "cli/attach_run.h"

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct errmsg err;
    unsigned n;
    if (cmd_options_parse(NULL, 0, argv, n_argv, NULL, NULL, &n, &err) < 0) {
        return cmd_misuse(&cmd_cancel, &err);
    }
    uint64_t job;
    if (cmd_job_word(&cmd_cancel, argv + n, n_argv - n, &job) < 0) {
        return CMD_EXIT_USAGE;
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    struct wire_message cancel = {.type = WIRE_MESSAGE_JOB_CANCEL, .job_cancel.job = job};
    const struct wire_message *answer;
    int r = cmd_ask(client, &cancel, WIRE_MESSAGE_OK, &answer);
    mesh_client_free(client);
    return r == 0 ? CMD_EXIT_OK : CMD_EXIT_FAILED;
}

const struct cmd_command cmd_cancel = {
    .name = "cancel",
    .synopsis = "JOB",
    .summary = "end a job on all peers",
    .text =
        "Kills the running tasks of the job on every peer and forgets the waiting ones. Only the\n"
        "user who submitted it, and root, may.\n",
    .examples = "  mesh cancel 7.3\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
