/* How a submission begins: all that is found out before anything runs (the joblog, the files, the
 * first input), and the job itself. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cli/signals.h"
#include "cli/submit_internal.h"
#include "cli/submit_stdin.h"
#include "wire/base/text.h"

/* The next combination, as it is read; waits for a pipe. */
static int read_values(void *user, const struct slice **ret_values, struct errmsg *err)
{
    struct cmd_run *run = user;
    struct cmd_inputs *inputs = run->submission->inputs;
    if (inputs == NULL) {
        return cmd_sender_total(run->sender) > 0 ? -ENODATA : 0;
    }
    for (;;) {
        int r = cmd_inputs_next(inputs, ret_values, err);
        if (r != -EAGAIN) {
            return r;
        }
        struct pollfd fds[2] = {{.fd = cmd_inputs_wait_fd(inputs), .events = POLLIN},
                                {.fd = run->signal_fd, .events = POLLIN}};
        IGNORE(poll(fds, ARRAY_LEN(fds), -1)); /* read tells what happened */
        if (cmd_signals_caught() != 0) {
            return -EINTR;
        }
    }
}

/* With files: all inputs are read, and what they name is looked for. */
static int check_files(struct cmd_run *run, struct errmsg *err)
{
    const struct cmd_inputs *inputs = run->submission->inputs;
    int r = cmd_sender_new(run->submission, &run->sender, err);
    if (r < 0 || run->sender == NULL) {
        return r;
    }
    run->receiver = cmd_receiver_new();
    return cmd_sender_check(run->sender, read_values, run,
                            inputs != NULL ? cmd_inputs_n_sources(inputs) : 0, err);
}

/* Reads up to the first task, so that a bad first line is found before anything runs. 0, -ENODATA,
 * -EINTR; others with err. */
static int prepare_first(struct cmd_run *run, struct errmsg *err)
{
    for (;;) {
        int r = cmd_run_prepare_next(run, err);
        if (r != -EAGAIN) {
            return r;
        }
        struct pollfd fds[2] = {
            {.fd = cmd_inputs_wait_fd(run->submission->inputs), .events = POLLIN},
            {.fd = run->signal_fd, .events = POLLIN}};
        IGNORE(poll(fds, ARRAY_LEN(fds), -1)); /* read tells what happened */
        if (cmd_signals_caught() != 0) {
            return -EINTR;
        }
    }
}

static void name_job(const struct cmd_submission *submission, struct slice *ret_name)
{
    const struct cmd_submit_options *options = submission->options;
    const char *name = options->name;
    if (name == NULL) {
        name = options->n_command > 0 ? options->command[0] : "";
        const char *slash = strrchr(name, '/');
        name = slash != NULL && submission->program->form == CMD_FORM_ARGV ? slash + 1 : name;
    }
    size_t n = strlen(name);
    n = n < WIRE_NAME_BYTES_MAX ? n : WIRE_NAME_BYTES_MAX;
    while (n > 0 && !text_is_utf8(slice_of(name, n))) {
        n--;
    }
    *ret_name = slice_of(name, n);
}

static int send_submit(struct cmd_run *run, struct errmsg *err)
{
    const struct cmd_submit_options *o = run->submission->options;
    struct cmd_program *program = run->submission->program;
    struct wire_message message = {.type = WIRE_MESSAGE_SUBMIT};
    struct wire_submit *submit = &message.submit;
    static struct cmd_basefiles files; /* large; one submit a process */
    if (program->fd >= 0) {
        files.files[0] =
            (struct wire_file){.path = slice_str(program->sent_path), .mode = program->mode};
        files.fds[0] = program->fd;
        files.n = 1;
        program->fd = -1; /* the client closes it */
    }
    if (run->sender != NULL) {
        int rc = cmd_sender_open_base(run->sender, run, &files, err);
        if (rc < 0) {
            return rc; /* and the program ends */
        }
    }
    submit->spec = (struct wire_job_spec){
        .exec = slice_str(program->exec),
        .files = {.items = files.files, .n = files.n},
        .env = {.items = o->env, .n = o->n_env},
        .arch = slice_str(o->arch != NULL ? o->arch : program->arch),
        .cores = o->cores,
        .mem_bytes = o->mem_bytes,
        .timeout_ms = o->timeout_ms,
        .lease_ms = o->lease_ms > 0  ? o->lease_ms
                    : o->is_detached ? CMD_LEASE_DETACHED_MS
                                     : CMD_LEASE_MS,
        .output_bytes_max = o->output_bytes_max,
        .is_streamed = run->is_streamed,
        .nice = o->nice,
        .priority = o->priority,
    };
    name_job(run->submission, &submit->name);
    submit->jobs_max = o->jobs_max;
    submit->runs_max = o->runs_max;
    submit->is_once = o->is_once;
    submit->is_detached = o->is_detached;
    submit->after = (struct wire_job_refs){.items = o->after, .n = o->n_after};
    submit->is_after_any = o->is_after_any;
    submit->is_single = run->is_single;
    submit->is_shell = program->form != CMD_FORM_ARGV;
    submit->may_speculate = !o->no_speculate && !o->is_once;
    submit->require_peers = o->require_peers;
    submit->on = (struct wire_slices){.items = o->on, .n = o->n_on};
    submit->except = (struct wire_slices){.items = o->except, .n = o->n_except};
    int r = mesh_client_send(run->client, &message, files.fds, files.n, err);
    return r == -EPIPE ? 0 : r; /* shows when receiving */
}

/* Everything before the job is the daemon's. 0, or the exit status not 0. */
static int begin(struct cmd_run *run)
{
    struct errmsg err;
    int r = 0;
    if (run->is_single && cmd_stdin_is_input()) {
        r = cmd_stdin_spool(&run->stdin_fd, &err);
    }
    if (r == 0) {
        r = send_submit(run, &err);
    }
    if (cmd_signals_caught() != 0) {
        return 128 + cmd_signals_caught();
    }
    if (r < 0) {
        cmd_complain("%s", err.text);
        return CMD_EXIT_MESH;
    }
    return 0;
}

static int open_joblog(struct cmd_run *run)
{
    struct errmsg err;
    const struct cmd_submit_options *o = run->submission->options;
    bool is_append = o->is_resume || o->is_resume_failed;
    if (o->joblog != NULL && cmd_joblog_open(o->joblog, is_append, &run->joblog, &err) < 0) {
        cmd_complain("%s", err.text);
        return CMD_EXIT_MESH;
    }
    return 0;
}

static int read_joblog(struct cmd_run *run)
{
    struct errmsg err;
    const struct cmd_submit_options *o = run->submission->options;
    if ((o->is_resume || o->is_resume_failed) &&
        cmd_joblog_read(o->joblog, o->is_resume_failed, &run->ran, &err) < 0) {
        cmd_complain("%s", err.text);
        return CMD_EXIT_MESH;
    }
    return 0;
}

static int open_results(struct cmd_run *run)
{
    struct errmsg err;
    const struct cmd_submission *submission = run->submission;
    unsigned n = submission->inputs != NULL ? cmd_inputs_n_sources(submission->inputs) : 0;
    if (submission->options->results != NULL &&
        cmd_results_new(submission->options->results, n, &run->results, &err) < 0) {
        cmd_complain("%s", err.text);
        return CMD_EXIT_MESH;
    }
    return 0;
}

int cmd_run_submit(struct cmd_run *run)
{
    struct errmsg err;
    int status = read_joblog(run);
    if (status != 0) {
        return status;
    }
    int r = check_files(run, &err);
    r = r < 0 ? r : prepare_first(run, &err);
    if (r == -EINTR) {
        return 128 + cmd_signals_caught();
    }
    if (r < 0 && r != -ENODATA) {
        cmd_complain("%s", err.text);
        return CMD_EXIT_MESH;
    }
    status = open_joblog(run);
    status = status == 0 && r == 0 ? open_results(run) : status;
    if (status != 0 || r == -ENODATA) {
        return status; /* no input, no task, and no daemon needed */
    }
    if (cmd_open(run->submission->globals, true, &run->client) < 0) {
        return CMD_EXIT_MESH;
    }
    status = begin(run);
    if (status != 0) {
        return status;
    }
    cmd_run_loop(run);
    return cmd_run_finish(run);
}
