/* mesh results JOB: what a detached job has printed so far. */
#include <errno.h>
#include <stdio.h>

#include "cli/attach_run.h"
#include "wire/base/text.h"

enum { KEY_TASK = 1, KEY_KEEP_ORDER, KEY_TAG, KEY_JOBLOG };

static const struct cmd_option options[] = {
    {KEY_TASK, 0, "task", "N", "only of task number N"},
    {KEY_KEEP_ORDER, 'k', "keep-order", NULL,
     "print in the order of the inputs, up to the first task without a result"},
    {KEY_TAG, 0, "tag", NULL, "begin each line of output with its input and a tab"},
    {KEY_JOBLOG, 0, "joblog", "FILE", "write a line for each task that ended, as parallel does"},
};

static int on_option(void *to, int key, const char *value, struct errmsg *err)
{
    struct cmd_attach *attach = to;
    uint64_t task = 0;
    if (key == KEY_TASK && (text_parse_u64(value, UINT32_MAX, &task) < 0 || task == 0)) {
        errmsg_set(err, "--task: give the number of a task, from 1 on");
        return -EINVAL;
    }
    attach->task = key == KEY_TASK ? (uint32_t)task : attach->task;
    attach->is_keep_order |= key == KEY_KEEP_ORDER;
    attach->is_tag |= key == KEY_TAG;
    attach->joblog = key == KEY_JOBLOG ? value : attach->joblog;
    return 0;
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct errmsg err;
    struct cmd_attach attach = {0};
    unsigned n;
    if (cmd_options_parse(options, ARRAY_LEN(options), argv, n_argv, on_option, &attach, &n, &err) <
        0) {
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
        "not because a task failed. Only for the user who submitted the job, and for root.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  mesh results 7.3\n"
                "  mesh results --task 12 7.3 2> /dev/null\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
