/* mesh submit: parse, then ask and print (submit_run.c). */
#include <errno.h>
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/submit_run.h"

int cmd_submit_print(const struct cmd_submission *submission)
{
    struct errmsg err;
    struct buf line;
    buf_init(&line, 8 * WIRE_ARGV_BYTES_MAX);
    int r = 0;
    for (uint64_t sequence = 1; r == 0; sequence++) {
        struct cmd_values values = {.sequence = sequence};
        struct wire_slices argv;
        if (submission->inputs != NULL) {
            values.n = cmd_inputs_n_sources(submission->inputs);
            r = cmd_inputs_next_wait(submission->inputs, &values.items, &err);
        } else if (sequence > 1) {
            r = -ENODATA;
        }
        if (r == 0) {
            r = cmd_replace_expand(submission->replace, &values, &argv, &err);
        }
        if (r == 0) {
            buf_clear(&line);
            cmd_replace_line(submission->replace, argv, &line);
            buf_append_u8(&line, '\n');
            fwrite(line.p, 1, line.n, stdout);
        }
    }
    buf_done(&line);
    if (r != -ENODATA) {
        fflush(stdout);
        cmd_complain("%s", err.text);
        return CMD_EXIT_MESH;
    }
    int status = cmd_finish_output();
    return status == CMD_EXIT_FAILED ? CMD_EXIT_MESH : status;
}

static int run_parsed(const struct cmd_globals *globals, const struct cmd_submit_options *options,
                      struct cmd_program *program, struct cmd_inputs *inputs)
{
    struct errmsg err;
    struct cmd_replace *replace;
    if (cmd_replace_new(options->command, options->n_command, program->form, inputs != NULL,
                        &replace, &err) < 0) {
        return cmd_misuse(&cmd_submit, &err);
    }
    const struct cmd_submission submission = {.globals = globals,
                                              .options = options,
                                              .program = program,
                                              .inputs = inputs,
                                              .replace = replace};
    int status = options->is_dry_run ? cmd_submit_print(&submission) : cmd_submit_run(&submission);
    cmd_replace_free(replace);
    return status;
}

static int run_options(const struct cmd_globals *globals, const struct cmd_submit_options *options)
{
    struct errmsg err;
    struct cmd_program program;
    int r = cmd_program_open(&program, options, &err);
    if (r < 0) {
        cmd_complain("%s", err.text);
        return r == -ENOENT ? CMD_EXIT_NOT_FOUND : CMD_EXIT_NOT_EXECUTABLE;
    }
    struct cmd_inputs *inputs = NULL;
    r = cmd_submit_open_inputs(options, &inputs, &err);
    int status = r == 0 ? run_parsed(globals, options, &program, inputs) : CMD_EXIT_MESH;
    if (r == -EINVAL) {
        cmd_misuse(&cmd_submit, &err);
    } else if (r < 0) {
        cmd_complain("%s", err.text);
    }
    cmd_inputs_free(inputs);
    cmd_program_close(&program);
    return status;
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct errmsg err;
    static struct cmd_submit_options options; /* too large for a stack; one submit a process */
    int status;
    if (cmd_submit_options_init(&options, argv, n_argv, &err) < 0) {
        status = cmd_misuse(&cmd_submit, &err);
    } else {
        status = run_options(globals, &options);
    }
    cmd_submit_options_done(&options);
    return status;
}

const struct cmd_command cmd_submit = {
    .name = "submit",
    .synopsis = "[OPTIONS] COMMAND [ARG...] [::: ARG... | :::: FILE... | :::+ ARG...]",
    .summary = "run a command once, or once for each input, on the mesh",
    .text =
        "Follows GNU parallel. Without an input source it runs COMMAND once: standard input is "
        "sent\n"
        "along when it has ended, output streams, and the exit status is the command's own. With\n"
        "one it runs COMMAND for each input, prints each task's output in one piece when it ends,\n"
        "and exits with the number of failed tasks (101: more than 100).\n"
        "\n"
        "COMMAND with a slash (./prog) travels to the other machines; without (gzip) it is looked\n"
        "up there. One word with white space or shell syntax runs through `sh -c`. A task starts "
        "in\n"
        "an empty directory with a new environment.\n"
        "\n"
        "input sources: ::: words, :::: files, -a FILE; several are combined. :::+ and ::::+ go\n"
        "along with the source before. A command with a replacement string and no source, or no\n"
        "command at all, reads standard input line by line.\n"
        "replacement strings: {} the input   {.} without extension   {/} base name   {//} "
        "directory\n"
        "   {/.} base name without extension   {#} number of the task   {1} {2.} of one source\n"
        "   With a source and none of them, {} is appended.\n",
    .options = cmd_submit_option_table,
    .n_options = CMD_SUBMIT_OPTIONS,
    .examples =
        "  mesh submit uname -n\n"
        "  mesh submit --bar ./sum_primes {} ::: 500000 500100 500200\n"
        "  mesh submit -k --tag ./simulate --seed {1} --size {2} ::: 1 2 3 ::: small large\n"
        "  mesh submit --retries 3 --timeout 10m --joblog log -a frames.txt ./render {}\n"
        "  seq 100 | mesh submit -k --tag 'factor {} | cut -d: -f2'\n"
        "  mesh submit sort -n < numbers > sorted\n"
        "  mesh submit --on lily,hal --cores 4 make -C /srv/src -j4\n",
    .usage_exit = CMD_EXIT_MESH,
    .run = run,
};
