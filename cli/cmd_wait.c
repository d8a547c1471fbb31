/* mesh wait JOB: attach to a detached job until it has ended. */
#include "cli/attach_run.h"

static const struct cmd_option options[] = {
    {CMD_ATTACH_KEEP_ORDER, 'k', "keep-order", NULL, "print results in the order of the inputs"},
    {CMD_ATTACH_TAG, 0, "tag", NULL, "begin each line of output with its input and a tab"},
    {CMD_ATTACH_BAR, 0, "bar", NULL, "show progress and remaining time on standard error"},
    {CMD_ATTACH_JOBLOG, 0, "joblog", "FILE",
     "write a line for each task that ended, as parallel does"},
    {CMD_ATTACH_RESULTS, 0, "results", "NAME",
     "write outputs into a tree of files, or NAME.csv, .json"},
    {CMD_ATTACH_FILES, 0, "files", "DIR", "write the files that tasks returned into DIR"},
};

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct errmsg err;
    struct cmd_attach attach = {.is_wait = true};
    unsigned n;
    if (cmd_options_parse(options, ARRAY_LEN(options), argv, n_argv, cmd_attach_option, &attach, &n,
                          &err) < 0) {
        return cmd_misuse(&cmd_wait, &err);
    }
    if (cmd_job_word(&cmd_wait, argv + n, n_argv - n, &attach.job) < 0) {
        return CMD_EXIT_MESH;
    }
    return cmd_attach_run(globals, &attach);
}

const struct cmd_command cmd_wait = {
    .name = "wait",
    .synopsis = "[OPTIONS] JOB",
    .summary = "wait for a detached job and print its results",
    .text =
        "Prints what the tasks of a job printed that was submitted with --detach, all that is\n"
        "there already and then the rest as it comes, and exits as `mesh submit` would have.\n"
        "Files that tasks returned are kept, too; --files writes them into a folder.\n"
        "Leaving it (Ctrl-C) leaves the job as it is. Results stay until `mesh forget`, so this\n"
        "can be done again, also when the job has ended. Only for the user who submitted the\n"
        "job, and for root.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  job=$(mesh submit --detach --return {}.png ./render {} :::: frames.txt)\n"
                "  mesh wait --bar -k --files frames $job > log\n",
    .usage_exit = CMD_EXIT_MESH,
    .run = run,
};
