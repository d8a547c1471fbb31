/* Happy path: attach is answered by attached; results are printed as they come, each behind the
 * task that it is of; job_done is the end. Leaving early leaves the job as it is. */
#include "cli/attach_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/results_tree.h"
#include "cli/signals.h"
#include "cli/submit_internal.h"
#include "wire/base/text.h"

static int set_stream(struct cmd_attach *attach, const char *value, struct errmsg *err)
{
    bool is_out = strcmp(value, "out") == 0;
    if (!is_out && strcmp(value, "err") != 0) {
        errmsg_set(err, "--stream: give out or err");
        return -EINVAL;
    }
    attach->stream = is_out ? WIRE_STREAM_OUT : WIRE_STREAM_ERR;
    return 0;
}

int cmd_attach_option(void *to, int key, const char *value, struct errmsg *err)
{
    struct cmd_attach *attach = to;
    uint64_t task = 0;
    switch ((enum cmd_attach_key)key) {
    case CMD_ATTACH_TASK:
        if (text_parse_u64(value, UINT32_MAX, &task) < 0 || task == 0) {
            errmsg_set(err, "--task: give the number of a task, from 1 on");
            return -EINVAL;
        }
        attach->task = (uint32_t)task;
        return 0;
    case CMD_ATTACH_STREAM:
        return set_stream(attach, value, err);
    case CMD_ATTACH_KEEP_ORDER:
        attach->is_keep_order = true;
        return 0;
    case CMD_ATTACH_TAG:
        attach->is_tag = true;
        return 0;
    case CMD_ATTACH_BAR:
        attach->is_bar = true;
        return 0;
    case CMD_ATTACH_JOBLOG:
        attach->joblog = value;
        return 0;
    case CMD_ATTACH_RESULTS:
        attach->results = value;
        return cmd_results_check_name(value, err);
    case CMD_ATTACH_FILES:
        if (value[0] == '\0' || strlen(value) > WIRE_PATH_BYTES_MAX) {
            errmsg_set(err, "--files: give the name of a folder, %u bytes at most",
                       WIRE_PATH_BYTES_MAX);
            return -EINVAL;
        }
        attach->files = value;
        return 0;
    }
    ensure(!"reached");
    return 0;
}

int cmd_job_word(const struct cmd_command *command, char *const *words, unsigned n_words,
                 uint64_t *ret_job)
{
    struct errmsg err;
    char shown[64];
    if (n_words != 1) {
        errmsg_set(&err, "give one job, as `mesh jobs` lists them");
        IGNORE(cmd_misuse(command, &err)); /* the caller knows the status */
        return -EINVAL;
    }
    if (wire_job_parse(words[0], ret_job) < 0) {
        errmsg_set(&err, "'%s' is no job: give it as `mesh jobs` lists it, like 7.3",
                   text_printable(slice_str(words[0]), shown, sizeof(shown)));
        IGNORE(cmd_misuse(command, &err)); /* the caller knows the status */
        return -EINVAL;
    }
    return 0;
}

static int open_all(struct cmd_run *run, const struct cmd_attach *attach)
{
    struct errmsg err;
    if (attach->joblog != NULL && cmd_joblog_open(attach->joblog, false, &run->joblog, &err) < 0) {
        cmd_complain("%s", err.text);
        return -EIO;
    }
    /* Where no daemon runs, one is started to read the journal. */
    return cmd_open(run->submission->globals, true, &run->client);
}

static int ask(struct cmd_run *run, const struct cmd_attach *attach)
{
    struct errmsg err;
    struct wire_message message = {.type = WIRE_MESSAGE_ATTACH};
    message.attach = (struct wire_attach){
        .job = attach->job, .task = attach->task, .is_wait = attach->is_wait, .wants_tasks = true};
    run->job = attach->job;
    run->attach = attach;
    if (attach->files != NULL) {
        run->receiver = cmd_receiver_new();
    }
    int r = mesh_client_send(run->client, &message, NULL, 0, &err);
    if (r < 0 && r != -EPIPE) { /* that shows when receiving */
        cmd_complain("%s", err.text);
        return r;
    }
    return 0;
}

static void loop(struct cmd_run *run)
{
    while (!run->is_finished) {
        if (cmd_signals_caught() != 0) {
            cmd_run_stop(run, 128 + cmd_signals_caught());
            return;
        }
        cmd_run_receive(run);
        if (!run->is_finished) {
            cmd_run_wait(run);
        }
    }
}

static int status_of(struct cmd_run *run, const struct cmd_attach *attach)
{
    if (run->stop_status == 0 && run->n_left > 0) {
        cmd_run_say(run, "%" PRIu64 " returned files are kept: --files DIR writes them into DIR",
                    run->n_left);
    }
    if (attach->is_wait && attach->task == 0) {
        return cmd_run_finish(run);
    }
    struct cmd_progress progress = cmd_run_progress(run);
    cmd_bar_update(&run->bar, &progress, true);
    if (run->stop_status == 0 && attach->task != 0 && run->n_done == 0) {
        cmd_run_say(run, "task %" PRIu32 " has no result yet", attach->task);
        return CMD_EXIT_FAILED;
    }
    if (run->stop_status == 0 && run->n_faults > 0) {
        return CMD_EXIT_FAILED;
    }
    return run->stop_status == CMD_EXIT_MESH ? CMD_EXIT_FAILED : run->stop_status;
}

int cmd_attach_run(const struct cmd_globals *globals, const struct cmd_attach *attach)
{
    static struct cmd_submit_options options; /* too large for a stack; one a process */
    const struct cmd_submission submission = {.globals = globals, .options = &options};
    struct cmd_run run;
    options.is_keep_order = attach->is_keep_order && attach->task == 0;
    options.is_tag = attach->is_tag;
    options.is_bar = attach->is_bar;
    cmd_run_init(&run, &submission);
    run.is_streamed = run.is_single = false; /* attached says */
    int failed = attach->is_wait ? CMD_EXIT_MESH : CMD_EXIT_FAILED;
    int status = failed;
    run.signal_fd = cmd_signals_catch();
    if (run.signal_fd < 0) {
        cmd_complain("cannot catch signals: %s", strerror(-run.signal_fd));
    } else if (open_all(&run, attach) == 0 && ask(&run, attach) == 0) {
        loop(&run);
        status = status_of(&run, attach);
    }
    cmd_run_done(&run);
    return status;
}
