/* mesh results JOB: what a detached job has printed so far. */
#include "cli/attach_run.h"

static const struct cmd_option options[] = {
    {CMD_ATTACH_TASK, 0, "task", "N", "only of task number N"},
    {CMD_ATTACH_STREAM, 0, "stream", "NAME", "print only out, or only err"},
    {CMD_ATTACH_KEEP_ORDER, 'k', "keep-order", NULL,
     "print in the order of the inputs, up to the first task without a result"},
    {CMD_ATTACH_TAG, 0, "tag", NULL, "begin each line of output with its input and a tab"},
    {CMD_ATTACH_JOBLOG, 0, "joblog", "FILE",
     "write a line for each task that ended, as parallel does"},
    {CMD_ATTACH_RESULTS, 0, "results", "NAME",
     "write outputs into a tree of files, or NAME.csv, .json"},
    {CMD_ATTACH_FILES, 0, "files", "DIR", "write the files that tasks returned into DIR"},
};

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct errmsg err;
    struct cmd_attach attach = {0};
    unsigned n;
    if (cmd_options_parse(options, ARRAY_LEN(options), argv, n_argv, cmd_attach_option, &attach, &n,
                          &err) < 0) {
        return cmd_misuse(&cmd_results, &err);
    }
    if (cmd_job_word(&cmd_results, argv + n, n_argv - n, &attach.job) < 0) {
        return CMD_EXIT_USAGE;
    }
    return cmd_attach_run(globals, &attach);
}

const struct cmd_command cmd_results = {
    .name = "results",
    .synopsis = "[OPTIONS] JOB",
    .summary = "print the results that a detached job has so far",
    .text =
        "Prints what those tasks printed that have ended, standard output and standard error\n"
        "apart, and does not wait for the others (`mesh wait` does). Fails if it could not, and\n"
        "not because a task failed. Files that tasks returned (--return) are kept with the "
        "results\n"
        "and brought with --files, as often as you like. Only for the user who submitted the job,\n"
        "and for root.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  mesh results 7.3\n"
                "  mesh results --task 12 --stream out 7.3\n"
                "  mesh results --files frames 7.3\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
