/* The happy path: the first input is read, the daemon accepts the job, tasks are added within its
 * credit while results come back, submit_end says that was all, job_done that every task has its
 * result. What goes wrong: a signal, a reader that left, a bad input line or a full disk stop the
 * job (cmd_run_stop) and wait for the daemon to confirm; a daemon that is gone ends it at once. */
#include "cli/submit_run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/signals.h"
#include "cli/submit_internal.h"
#include "mesh/client/clock.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define UNSENT_BYTES_MAX (256u << 10) /* queued for the daemon: more waits until it reads */
#define HELD_MAX         65536u       /* results that wait for an earlier one before adding rests */
#define ADD_AT_ONCE      256u         /* tasks added before results are looked at again */
#define HINT_TASKS       16u          /* tasks whose arguments are looked at for a hint */
#define STOP_TIMEOUT_MS  10000        /* for the daemon to confirm a cancel */

void cmd_run_say(struct cmd_run *run, const char *format, ...)
{
    struct errmsg line;
    va_list args;
    va_start(args, format);
    vsnprintf(line.text, sizeof(line.text), format, args);
    va_end(args);
    cmd_bar_hide(&run->bar);
    cmd_complain("%s", line.text);
}

struct cmd_progress cmd_run_progress(const struct cmd_run *run)
{
    struct cmd_progress progress = {.n_done = run->n_done, .n_failed = run->n_failed};
    const struct cmd_inputs *inputs = run->submission->inputs;
    if (run->sender != NULL && inputs != NULL) {
        progress.is_total = true;
        progress.n_known = cmd_sender_total(run->sender);
    } else {
        progress.is_total =
            run->is_input_over || (inputs != NULL && cmd_inputs_total(inputs, &progress.n_known));
    }
    if (run->is_input_over || !progress.is_total) {
        progress.n_known = run->n_added;
    }
    return progress;
}

void cmd_run_stop(struct cmd_run *run, int status)
{
    if (run->stop_status != 0) {
        return;
    }
    run->stop_status = status;
    run->stopped_ms = mesh_client_now_ms();
    run->is_input_over = true;
    if (!run->is_accepted || run->attach != NULL) {
        run->is_finished = true; /* closing the connection withdraws it */
        return;
    }
    struct wire_message cancel = {.type = WIRE_MESSAGE_JOB_CANCEL, .job_cancel.job = run->job};
    IGNORE(mesh_client_send(run->client, &cancel, NULL, 0, NULL)); /* a lost daemon shows itself */
}

void cmd_run_output_failed(struct cmd_run *run, int error, const struct errmsg *err)
{
    if (error == -EINTR) {
        return; /* the loop sees the signal */
    }
    if (error == -EPIPE) {
        cmd_run_stop(run, CMD_EXIT_SIGPIPE);
        return;
    }
    if (run->stop_status == 0) {
        cmd_run_say(run, "%s", err->text);
    }
    cmd_run_stop(run, CMD_EXIT_MESH);
}

/* --- adding tasks ------------------------------------------------------------------------------
 */

static void hint(struct cmd_run *run, const struct wire_slices *argv, const struct slice *values,
                 unsigned n_values)
{
    bool may_be_sent = run->submission->options->n_transfers > 0;
    if (run->has_hinted || may_be_sent || run->n_added >= HINT_TASKS) {
        return;
    }
    bool is_argv = run->submission->program->form == CMD_FORM_ARGV;
    const struct slice *words = is_argv ? argv->items + 1 : values;
    unsigned n = is_argv ? argv->n - 1 : n_values;
    for (unsigned i = 0; i < n; i++) {
        if (cmd_program_misses(run->submission->program, words[i])) {
            char shown[128];
            cmd_run_say(run,
                        "note: %s is a file here and does not travel with the task: send it "
                        "along with --transferfile, or share its folder (meshd --bind)",
                        text_printable(words[i], shown, sizeof(shown)));
            run->has_hinted = true;
            return;
        }
    }
}

void cmd_tag_of(struct wire_slices values, struct buf *to)
{
    buf_clear(to);
    for (uint32_t i = 0; i < values.n; i++) {
        buf_append_str(to, i > 0 ? " " : "");
        buf_append_slice(to, values.items[i]);
    }
}

/* Expands the next combination. 0; -ENODATA, -EAGAIN; other errors with err. */
static int prepare_one(struct cmd_run *run, struct errmsg *err)
{
    const struct cmd_submission *submission = run->submission;
    struct cmd_values values = {.sequence = run->n_read + 1};
    if (submission->inputs != NULL) {
        int r = run->sender != NULL ? cmd_sender_values(run->sender, &values.items)
                                    : cmd_inputs_next(submission->inputs, &values.items, err);
        if (r < 0) {
            return r;
        }
        values.n = cmd_inputs_n_sources(submission->inputs);
    } else if (run->n_read > 0) {
        return -ENODATA;
    }
    run->n_read++;
    if (run->n_added == UINT32_MAX) {
        errmsg_set(err, "a job holds %" PRIu32 " tasks at most", UINT32_MAX);
        return -E2BIG;
    }
    int r = cmd_replace_expand(submission->replace, &values, &run->next_argv, err);
    if (r < 0) {
        return r;
    }
    run->next_values = values;
    cmd_tag_of((struct wire_slices){.items = values.items, .n = values.n}, &run->tag);
    hint(run, &run->next_argv, values.items, values.n);
    return 0;
}

int cmd_run_prepare_next(struct cmd_run *run, struct errmsg *err)
{
    int r;
    do {
        r = prepare_one(run, err);
    } while (r == 0 && cmd_joblog_has_run(&run->ran, run->n_read));
    if (r == 0 && run->sender != NULL) {
        r = cmd_sender_begin(run->sender, &run->next_values, err);
    }
    run->has_next = r == 0;
    return r;
}

static struct slice copy_slice(struct slice s)
{
    struct slice copy = slice_of(mem_dup(s.p, s.n), s.n);
    ensure(copy.p != NULL || s.n == 0);
    return copy;
}

/* In one block. */
static void keep_values(struct cmd_task *task, const struct cmd_values *values)
{
    size_t n_bytes = 0;
    for (unsigned i = 0; i < values->n; i++) {
        n_bytes += values->items[i].n;
    }
    task->n_values = values->n;
    task->values = mem_alloc_or_die(1, values->n * sizeof(*task->values) + n_bytes + 1);
    uint8_t *at = (uint8_t *)&task->values[values->n];
    for (unsigned i = 0; i < values->n; i++) {
        size_t n = values->items[i].n;
        memcpy(at, n > 0 ? values->items[i].p : at, n);
        task->values[i] = slice_of(at, n);
        at += n;
    }
}

struct cmd_task *cmd_task_new(struct cmd_run *run, uint32_t number, uint64_t sequence,
                              struct slice command, struct slice tag)
{
    struct cmd_task *task = mem_alloc_or_die(1, sizeof(*task));
    task->number = number;
    task->sequence = sequence;
    task->command = copy_slice(command);
    task->tag = copy_slice(tag);
    for (unsigned i = 0; i < 2; i++) {
        buf_init(&task->part[i], 1u << 20);
    }
    if (run->results != NULL) {
        keep_values(task, &run->next_values);
    }
    table_insert(&run->tasks, &task->entry, &task->number);
    return task;
}

void cmd_task_free(struct cmd_run *run, struct cmd_task *task)
{
    const void *command = task->command.p;
    const void *tag = task->tag.p;
    table_remove(&run->tasks, &task->entry);
    cmd_returns_done(&task->returns);
    mem_free(task->values);
    buf_done(&task->part[0]);
    buf_done(&task->part[1]);
    mem_free((void *)(uintptr_t)command);
    mem_free((void *)(uintptr_t)tag);
    mem_free(task);
}

static struct cmd_task *note_task(struct cmd_run *run)
{
    struct buf line;
    buf_init(&line, 8 * WIRE_ARGV_BYTES_MAX);
    cmd_replace_line(run->submission->replace, run->next_argv, &line);
    struct cmd_task *task = cmd_task_new(run, (uint32_t)(run->n_added + 1), run->n_read,
                                         buf_slice(&line), buf_slice(&run->tag));
    buf_done(&line);
    return task;
}

static int add_next(struct cmd_run *run, struct errmsg *err)
{
    struct wire_message add = {.type = WIRE_MESSAGE_ADD_TASK};
    add.add_task.job = run->job;
    add.add_task.task = (uint32_t)(run->n_added + 1);
    add.add_task.argv = run->next_argv;
    add.add_task.has_input = run->stdin_fd >= 0;
    struct wire_slices values = {.items = run->next_values.items, .n = run->next_values.n};
    struct cmd_task *task = NULL;
    if (!run->submission->options->is_detached) {
        task = note_task(run);
    } else if (wire_values_bytes(&values) <= WIRE_VALUES_BYTES_MAX) {
        add.add_task.values = values; /* so that it can be tagged later */
    }
    if (run->sender != NULL) {
        cmd_sender_fill(run->sender, &add.add_task);
    }
    int fd = run->stdin_fd;
    run->stdin_fd = -1;
    run->has_next = false;
    run->n_added++;
    int r = mesh_client_send(run->client, &add, &fd, fd >= 0 ? 1 : 0, err);
    if (run->sender != NULL) {
        struct cmd_returns returns = {0};
        cmd_sender_added(run->sender, run, task != NULL ? &task->returns : &returns);
        cmd_returns_done(&returns); /* of a detached job: whoever attaches is told them */
    }
    return r == -EPIPE ? 0 : r; /* that shows when receiving, after the results that are there */
}

static bool may_add(const struct cmd_run *run)
{
    return run->is_accepted && run->stop_status == 0 && !run->is_input_over &&
           run->n_added < run->tasks_max &&
           mesh_client_unsent_bytes(run->client) < UNSENT_BYTES_MAX &&
           cmd_output_n_held(run->output) < HELD_MAX;
}

static void send_end(struct cmd_run *run)
{
    struct wire_message end = {.type = WIRE_MESSAGE_SUBMIT_END};
    end.submit_end.job = run->job;
    end.submit_end.n_tasks = (uint32_t)run->n_added;
    IGNORE(mesh_client_send(run->client, &end, NULL, 0, NULL)); /* a lost daemon shows itself */
    run->is_end_sent = true;
}

static void add_tasks(struct cmd_run *run)
{
    struct errmsg err;
    run->is_waiting = false;
    run->is_putting = false;
    for (unsigned i = 0; i < ADD_AT_ONCE && may_add(run); i++) {
        int r = run->has_next ? 0 : cmd_run_prepare_next(run, &err);
        if (r == 0 && run->sender != NULL) {
            r = cmd_sender_step(run->sender, run, &err);
            run->is_putting = r == -EAGAIN;
        }
        if (run->is_putting) {
            return;
        }
        if (r == 0) {
            r = add_next(run, &err);
        }
        if (r == -EAGAIN) {
            run->is_waiting = true;
            return;
        }
        if (r == -ENODATA) {
            run->is_input_over = true;
        } else if (r < 0) {
            cmd_run_say(run, "%s; the job is cancelled after %" PRIu64 " tasks", err.text,
                        run->n_added);
            cmd_run_stop(run, CMD_EXIT_MESH);
        }
    }
    if (run->is_input_over && run->is_accepted && !run->is_end_sent && run->stop_status == 0) {
        send_end(run);
    }
}

/* --- the loop ----------------------------------------------------------------------------------
 */

static void on_daemon_gone(struct cmd_run *run, const struct errmsg *err)
{
    run->is_finished = true;
    if (run->stop_status != 0) {
        return;
    }
    struct cmd_progress progress = cmd_run_progress(run);
    uint64_t n_missing = progress.n_known - run->n_done;
    cmd_run_say(run, "%s: %" PRIu64 " of %" PRIu64 "%s tasks have no result", err->text, n_missing,
                progress.n_known, progress.is_total ? "" : "+");
    run->stop_status = CMD_EXIT_MESH;
}

void cmd_run_receive(struct cmd_run *run)
{
    struct errmsg err;
    const struct wire_message *message;
    int r = 0;
    while (!run->is_finished && (r = mesh_client_next(run->client, 0, &message, &err)) == 0) {
        cmd_run_on_message(run, message);
    }
    if (r < 0 && r != -EAGAIN && r != -EINTR) {
        on_daemon_gone(run, &err);
    }
    if (run->n_acked < run->n_done && !run->is_finished) {
        struct wire_message ack = {.type = WIRE_MESSAGE_DONE_ACK};
        ack.done_ack.job = run->job;
        ack.done_ack.n_done = run->n_done;
        IGNORE(mesh_client_send(run->client, &ack, NULL, 0, NULL)); /* a lost daemon shows itself */
        run->n_acked = run->n_done;
    }
}

static void check_stop(struct cmd_run *run)
{
    int signal = cmd_signals_caught();
    if (signal != 0) {
        cmd_run_stop(run, 128 + signal);
    }
    if (run->stop_status != 0 && !run->is_finished &&
        mesh_client_now_ms() - run->stopped_ms >= STOP_TIMEOUT_MS) {
        cmd_run_say(run, "meshd did not confirm that the job is cancelled: see `mesh jobs`");
        run->is_finished = true;
    }
}

void cmd_run_wait(struct cmd_run *run)
{
    struct cmd_progress progress = cmd_run_progress(run);
    cmd_bar_update(&run->bar, &progress, false);
    struct pollfd fds[3] = {
        {.fd = mesh_client_fd(run->client), .events = mesh_client_poll_events(run->client)},
        {.fd = run->stop_status == 0 ? run->signal_fd : -1, .events = POLLIN},
        {.fd = run->is_waiting ? cmd_inputs_wait_fd(run->submission->inputs) : -1,
         .events = POLLIN},
    };
    int timeout_ms = cmd_bar_timeout_ms(&run->bar);
    if (run->stop_status != 0) {
        timeout_ms = STOP_TIMEOUT_MS / 100;
    } else if (may_add(run) && !run->is_waiting && !run->is_putting) {
        timeout_ms = 0;
    }
    IGNORE(poll(fds, ARRAY_LEN(fds), timeout_ms)); /* whatever woke us is looked at anyway */
}

void cmd_run_loop(struct cmd_run *run)
{
    while (!run->is_finished) {
        check_stop(run);
        add_tasks(run);
        cmd_run_receive(run);
        if (!run->is_finished) {
            cmd_run_wait(run);
        }
    }
}

/* --- the end ------------------------------------------------------------------------------------
 */

static int exit_status(const struct cmd_run *run)
{
    if (run->stop_status != 0) {
        return run->stop_status;
    }
    if (run->submission->options->is_detached) {
        return run->is_kept ? CMD_EXIT_OK : CMD_EXIT_MESH;
    }
    if (run->n_done < run->n_added) {
        return CMD_EXIT_MESH;
    }
    if (run->is_single) {
        return run->single_status;
    }
    return run->n_failed > CMD_EXIT_TASKS_MAX ? CMD_EXIT_TASKS_MORE : (int)run->n_failed;
}

int cmd_run_finish(struct cmd_run *run)
{
    bool is_detached = run->submission->options->is_detached;
    struct cmd_progress progress = cmd_run_progress(run);
    cmd_bar_update(&run->bar, &progress, true);
    if (run->stop_status == 0 && run->n_done < run->n_added && !is_detached && !run->is_cut) {
        cmd_run_say(run, "the job ended and %" PRIu64 " of %" PRIu64 " tasks have no result",
                    run->n_added - run->n_done, run->n_added);
    }
    if (!run->is_single && run->n_failed > 1) {
        cmd_run_say(run, "%" PRIu64 " of %" PRIu64 " tasks failed", run->n_failed, run->n_done);
    }
    return exit_status(run);
}

void cmd_run_init(struct cmd_run *run, const struct cmd_submission *submission)
{
    const struct cmd_submit_options *o = submission->options;
    *run = (struct cmd_run){.submission = submission, .stdin_fd = -1, .signal_fd = -1};
    run->is_single = submission->inputs == NULL;
    run->is_streamed =
        ((run->is_single && o->results == NULL) || o->is_ungrouped || o->is_line_buffered) &&
        !o->is_detached;
    cmd_bar_init(&run->bar, o->is_bar);
    struct cmd_output_options output_options = {.is_keep_order = o->is_keep_order,
                                                .is_tagged = o->is_tag && !o->is_ungrouped,
                                                .bar = &run->bar};
    run->output = cmd_output_new(&output_options);
    buf_init(&run->tag, 2 * WIRE_ARGV_BYTES_MAX);
    table_init(&run->tasks, sizeof(uint32_t), 1);
}

void cmd_run_done(struct cmd_run *run)
{
    cmd_joblog_ran_done(&run->ran);
    table_for_each (it, &run->tasks) {
        cmd_task_free(run, CONTAINER_OF(it, struct cmd_task, entry));
    }
    table_done(&run->tasks);
    buf_done(&run->tag);
    cmd_output_free(run->output);
    cmd_sender_free(run->sender);
    cmd_receiver_free(run->receiver);
    cmd_results_free(run->results);
    mesh_client_free(run->client);
    if (run->joblog != NULL) {
        fclose(run->joblog); /* each line was flushed and checked */
    }
    if (run->stdin_fd >= 0) {
        close(run->stdin_fd);
    }
    if (run->signal_fd >= 0) {
        close(run->signal_fd);
    }
}

int cmd_submit_run(const struct cmd_submission *submission)
{
    struct cmd_run run;
    cmd_run_init(&run, submission);
    int status;
    run.signal_fd = cmd_signals_catch();
    if (run.signal_fd < 0) {
        cmd_complain("cannot catch signals: %s", strerror(-run.signal_fd));
        status = CMD_EXIT_MESH;
    } else {
        status = cmd_run_submit(&run);
    }
    cmd_run_done(&run);
    return status;
}
