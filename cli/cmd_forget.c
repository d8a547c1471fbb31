/* mesh forget JOB: a detached job that has ended, and its results, are of no use any more. */
#include <stdio.h>

#include "cli/attach_run.h"

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct errmsg err;
    unsigned n;
    uint64_t job;
    if (cmd_options_parse(NULL, 0, argv, n_argv, NULL, NULL, &n, &err) < 0) {
        return cmd_misuse(&cmd_forget, &err);
    }
    if (cmd_job_word(&cmd_forget, argv + n, n_argv - n, &job) < 0) {
        return CMD_EXIT_USAGE;
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, true, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    struct wire_message forget = {.type = WIRE_MESSAGE_JOB_FORGET, .job_forget.job = job};
    const struct wire_message *answer;
    int r = cmd_ask(client, &forget, WIRE_MESSAGE_OK, &answer);
    mesh_client_free(client);
    return r == 0 ? CMD_EXIT_OK : CMD_EXIT_FAILED;
}

const struct cmd_command cmd_forget = {
    .name = "forget",
    .synopsis = "JOB",
    .summary = "remove a detached job that has ended, with its results",
    .text =
        "A job that was submitted with --detach is kept with its results when it has ended, for\n"
        "30 days. This removes it at once. Only for the user who submitted it, and for root.\n",
    .examples = "  mesh forget 7.3\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
