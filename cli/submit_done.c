/* What the daemon says of a running job, and what is printed of it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/joblog.h"
#include "cli/result.h"
#include "cli/submit_internal.h"
#include "wire/base/text.h"

#define FAILURES_TOLD 10u /* lines about failed tasks before they are only counted */
#define COMMAND_SHOWN 96u

static struct cmd_task *find_task(const struct cmd_run *run, uint32_t number)
{
    struct table_entry *entry = table_find(&run->tasks, &number);
    return entry != NULL ? CONTAINER_OF(entry, struct cmd_task, entry) : NULL;
}

static void on_accepted(struct cmd_run *run, const struct wire_accepted *accepted)
{
    run->is_accepted = true;
    run->job = accepted->job;
    run->tasks_max = accepted->tasks_max;
    struct errmsg err;
    if (run->sender != NULL && cmd_sender_check_base(run->sender, &err) < 0) {
        cmd_run_say(run, "%s", err.text);
        cmd_run_stop(run, CMD_EXIT_MESH);
    }
}

/* The daemon refuses the job, or something about it. */
static void on_error(struct cmd_run *run, const struct wire_error_reply *error)
{
    char text[WIRE_REASON_BYTES_MAX * 4 + 8];
    text_printable(error->text, text, sizeof(text));
    if (run->stop_status == 0) {
        cmd_run_say(run, "%s", error->text.n > 0 ? text : wire_error_text(error->error));
    }
    cmd_run_stop(run, error->error == WIRE_ERROR_NOT_FOUND        ? CMD_EXIT_NOT_FOUND
                      : error->error == WIRE_ERROR_NOT_EXECUTABLE ? CMD_EXIT_NOT_EXECUTABLE
                                                                  : CMD_EXIT_MESH);
    run->is_finished = true;
}

/* Why a task failed, in a line; not for the one task whose exit status is ours, unless that alone
 * would not tell. */
static void tell_failure(struct cmd_run *run, const struct wire_done *done,
                         const struct cmd_task *task)
{
    if (run->is_single && done->result.end == WIRE_END_EXITED) {
        return;
    }
    char why[1024];
    char command[COMMAND_SHOWN];
    cmd_result_text(done, why, sizeof(why));
    text_printable(task->command, command, sizeof(command));
    if (run->n_failed <= FAILURES_TOLD) {
        cmd_run_say(run, "task %" PRIu64 " (%s) failed: %s", task->sequence, command, why);
    } else if (run->n_failed == FAILURES_TOLD + 1) {
        cmd_run_say(run, "more tasks failed and are only counted: --joblog lists them all");
    }
}

static struct cmd_piece take_piece(struct cmd_run *run, const struct wire_output *output,
                                   unsigned *i_fd)
{
    struct cmd_piece piece = {.inlined = output->inlined, .fd = -1};
    if (output->bytes > output->inlined.n) {
        piece.fd = mesh_client_take_fd(run->client, (*i_fd)++);
    }
    return piece;
}

static void drop_piece(bool is_unwanted, struct cmd_piece *piece)
{
    if (is_unwanted) {
        if (piece->fd >= 0) {
            close(piece->fd);
        }
        *piece = (struct cmd_piece){.fd = -1};
    }
}

/* The last line of a streamed task, which has no end of its own. */
static int flush_parts(struct cmd_run *run, struct cmd_task *task, struct errmsg *err)
{
    for (unsigned i = 0; i < 2; i++) {
        int r = cmd_output_lines(run->output, i == 1, task->tag, buf_slice(&task->part[i]), err);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int write_results(struct cmd_run *run, const struct wire_done *done,
                         const struct cmd_task *task, const struct cmd_piece *out,
                         const struct cmd_piece *err_piece, struct errmsg *err)
{
    const struct cmd_results_entry entry = {
        .values = {.items = task->values, .n = task->n_values, .sequence = task->sequence},
        .command = task->command,
        .done = done,
        .streams = {
            {.inlined = out->inlined, .fd = out->fd, .bytes = done->result.out.bytes},
            {.inlined = err_piece->inlined, .fd = err_piece->fd, .bytes = done->result.err.bytes}}};
    return cmd_results_write(run->results, &entry, err);
}

static void print_result(struct cmd_run *run, const struct wire_done *done, struct cmd_task *task)
{
    struct errmsg err;
    int r;
    if (run->is_streamed) {
        r = flush_parts(run, task, &err);
    } else {
        unsigned i_fd = 0;
        struct cmd_piece out = take_piece(run, &done->result.out, &i_fd);
        struct cmd_piece err_piece = take_piece(run, &done->result.err, &i_fd);
        r = run->results != NULL ? write_results(run, done, task, &out, &err_piece, &err) : 0;
        if (r < 0) {
            cmd_run_output_failed(run, r, &err);
        }
        unsigned only = run->attach != NULL ? run->attach->stream : WIRE_STREAM_NONE;
        drop_piece(only == WIRE_STREAM_ERR, &out);
        drop_piece(only == WIRE_STREAM_OUT, &err_piece);
        r = cmd_output_piece(run->output, done->task, task->tag, out, err_piece, &err);
    }
    if (r < 0) {
        cmd_run_output_failed(run, r, &err);
    }
}

/* All of it is here: it counts. */
static void end_task(struct cmd_run *run, const struct wire_done *done, struct cmd_task *task)
{
    run->n_done++;
    if (run->stop_status == 0) {
        struct errmsg err;
        bool is_failed = !cmd_result_is_success(done);
        run->n_failed += is_failed;
        run->single_status = cmd_result_exit(done);
        if (run->joblog != NULL) {
            int r = cmd_joblog_write(run->joblog, task->sequence, done, task->command, &err);
            if (r < 0) {
                cmd_run_output_failed(run, r, &err);
            }
        }
        if (is_failed && run->stop_status == 0) {
            tell_failure(run, done, task);
        }
    }
    cmd_task_free(run, task);
    if (run->sender != NULL) {
        cmd_sender_retry(run->sender);
        run->is_putting = false;
    }
}

void cmd_run_end_received(struct cmd_run *run)
{
    for (struct cmd_received *received = cmd_receiver_next_done(run->receiver); received != NULL;
         received = cmd_receiver_next_done(run->receiver)) {
        struct wire_done done = received->done;
        run->n_faults += received->fault.text[0] != '\0';
        if (received->fault.text[0] != '\0' && cmd_result_is_success(&done)) {
            done.result.end = WIRE_END_NO_RETURN;
            done.result.detail = slice_str(received->fault.text);
        }
        end_task(run, &done, received->task);
        cmd_received_free(received);
    }
    run->is_finished |= run->is_job_done && cmd_receiver_is_idle(run->receiver);
}

static void on_got(struct cmd_run *run, const struct wire_got *got)
{
    struct errmsg err;
    int fd = mesh_client_take_fd(run->client, 0);
    int r = run->receiver != NULL ? cmd_receiver_on_got(run->receiver, run, got, fd, &err) : 0;
    if (r < 0) {
        cmd_run_output_failed(run, r, &err);
    } else if (run->receiver != NULL) {
        cmd_run_end_received(run);
    }
}

static void on_put_done(struct cmd_run *run, const struct wire_put_done *done)
{
    struct errmsg err;
    run->is_putting = false; /* the next one may go on its way, or the task be added */
    int r = run->sender != NULL ? cmd_sender_on_put_done(run->sender, done, &err) : 0;
    bool may_wait = r == -ENOSPC && run->n_done < run->n_added; /* that makes room */
    if (r < 0 && !may_wait && run->stop_status == 0) {
        cmd_run_say(run, "%s; the job is cancelled after %" PRIu64 " tasks", err.text,
                    run->n_added);
        cmd_run_stop(run, CMD_EXIT_MESH);
    }
}

static uint32_t n_returned(const struct wire_done *done)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < done->result.files.n; i++) {
        const struct wire_result_file *file = &done->result.files.items[i];
        n += !file->is_dir && file->fault == WIRE_FILE_FAULT_NONE;
    }
    return n;
}

static void on_done(struct cmd_run *run, const struct wire_done *done)
{
    struct cmd_task *task = find_task(run, done->task);
    if (task == NULL || task->has_ended || done->job != run->job) {
        return; /* each result counts once */
    }
    task->has_ended = true;
    if (run->stop_status == 0) {
        print_result(run, done, task);
    }
    if (run->attach != NULL && run->receiver == NULL) {
        run->n_left += n_returned(done);
    }
    if (run->stop_status != 0 || run->receiver == NULL || done->result.files.n == 0) {
        end_task(run, done, task);
        return;
    }
    struct errmsg err;
    int r = cmd_receiver_add(run->receiver, run, task, done, &err);
    if (r < 0) {
        cmd_run_output_failed(run, r, &err);
    } else {
        cmd_run_end_received(run);
    }
}

/* Whole lines of what came, behind what was left of the last time. */
static int print_lines(struct cmd_run *run, struct cmd_task *task, unsigned i, struct slice bytes,
                       struct errmsg *err)
{
    const uint8_t *newline = memrchr(bytes.p, '\n', bytes.n);
    size_t n = newline != NULL ? (size_t)(newline - bytes.p) + 1 : 0;
    struct buf *part = &task->part[i];
    if (n == 0 && part->n + bytes.n <= part->bytes_max) {
        buf_append_slice(part, bytes);
        return 0;
    }
    n = n > 0 ? n : bytes.n; /* a line that is too long to wait for its end */
    if (part->n + n <= part->bytes_max) {
        buf_append(part, bytes.p, n);
        bytes = slice_from(bytes, n);
    }
    int r = cmd_output_lines(run->output, i == 1, task->tag, buf_slice(part), err);
    buf_clear(part);
    buf_append_slice(part, bytes);
    return r;
}

static void on_stream(struct cmd_run *run, const struct wire_client_stream *stream)
{
    struct cmd_task *task = find_task(run, stream->task);
    if (task == NULL || stream->job != run->job ||
        (stream->stream != WIRE_STREAM_OUT && stream->stream != WIRE_STREAM_ERR)) {
        return;
    }
    unsigned i = stream->stream == WIRE_STREAM_ERR;
    uint64_t end = stream->offset + stream->bytes.n;
    if (run->stop_status == 0 && end > task->seen[i]) {
        /* A task that runs again prints again what it printed before its peer was lost. */
        uint64_t n_old = stream->offset < task->seen[i] ? task->seen[i] - stream->offset : 0;
        struct slice bytes = slice_from(stream->bytes, (size_t)n_old);
        struct errmsg err;
        bool is_raw = run->is_single ? !run->submission->options->is_tag
                                     : run->submission->options->is_ungrouped;
        int r = is_raw ? cmd_output_stream(run->output, i == 1, bytes, &err)
                       : print_lines(run, task, i, bytes, &err);
        if (r < 0) {
            cmd_run_output_failed(run, r, &err);
        }
        task->seen[i] = end;
    }
    struct wire_message ack = {.type = WIRE_MESSAGE_CLIENT_STREAM_ACK};
    ack.client_stream_ack = (struct wire_client_stream_ack){
        .job = stream->job, .task = stream->task, .stream = stream->stream, .offset = end};
    IGNORE(mesh_client_send(run->client, &ack, NULL, 0, NULL)); /* a lost daemon shows itself */
}

static void on_notice(struct cmd_run *run, const struct wire_notice *notice)
{
    char text[WIRE_REASON_BYTES_MAX * 4 + 8];
    bool is_wanted = !notice->is_progress || run->bar.is_on || isatty(STDERR_FILENO);
    if (run->stop_status == 0 && is_wanted) {
        cmd_run_say(run, "%s", text_printable(notice->text, text, sizeof(text)));
    }
}

/* --detach: all of it is on disk. */
static void on_kept(struct cmd_run *run, const struct wire_job_kept *kept)
{
    char job[WIRE_JOB_TEXT_BYTES];
    if (kept->job == run->job && run->stop_status == 0) {
        printf("%s\n", wire_job_text(run->job, job));
        run->is_kept = cmd_finish_output() == CMD_EXIT_OK;
        run->is_finished = true;
    }
}

static void on_attached(struct cmd_run *run, const struct wire_attached *attached)
{
    run->is_accepted = true;
    run->is_single = attached->is_single;
    run->is_shell = attached->is_shell;
    run->n_added = attached->n_tasks;
    run->is_input_over = true;
}

/* With the first task it is known how many values each has. */
static int open_results(struct cmd_run *run, const struct wire_kept_task *kept, struct errmsg *err)
{
    const char *name = run->attach->results;
    if (name == NULL) {
        return 0;
    }
    if (kept->values.n == 0 && !run->is_single) {
        errmsg_set(err,
                   "--results: the inputs of task %" PRIu32 " were too long to be kept: have its "
                   "results with --task, and without --results",
                   kept->task);
        return -ENODATA;
    }
    run->next_values = (struct cmd_values){
        .items = kept->values.items, .n = kept->values.n, .sequence = kept->task};
    return run->results != NULL ? 0 : cmd_results_new(name, kept->values.n, &run->results, err);
}

static void on_kept_task(struct cmd_run *run, const struct wire_kept_task *kept)
{
    struct buf line;
    struct errmsg err;
    if (kept->job != run->job || run->attach == NULL || find_task(run, kept->task) != NULL) {
        return;
    }
    int r = open_results(run, kept, &err);
    if (r < 0) {
        cmd_run_output_failed(run, r, &err);
        return;
    }
    buf_init(&line, 8 * WIRE_ARGV_BYTES_MAX);
    cmd_argv_line(kept->argv, run->is_shell, &line);
    cmd_tag_of(kept->values, &run->tag);
    struct cmd_task *task =
        cmd_task_new(run, kept->task, kept->task, buf_slice(&line), buf_slice(&run->tag));
    buf_done(&line);
    if (run->receiver != NULL) {
        cmd_returns_set(&task->returns, run->attach->files, kept->returns);
    }
}

static void on_job_done(struct cmd_run *run, const struct wire_job_done *done)
{
    if (done->job != run->job) {
        return;
    }
    run->is_job_done = true;
    run->is_finished |=
        run->stop_status != 0 || run->receiver == NULL || cmd_receiver_is_idle(run->receiver);
    if (run->attach == NULL || run->stop_status != 0) {
        return;
    }
    char text[WIRE_REASON_BYTES_MAX * 4 + 8];
    text_printable(done->text, text, sizeof(text));
    run->is_cut = done->is_running;
    if (done->is_cancelled && !done->is_running) {
        cmd_run_say(run, "the job was cancelled%s%s", done->text.n > 0 ? ": " : "", text);
    }
}

void cmd_run_on_message(struct cmd_run *run, const struct wire_message *message)
{
    switch ((int)message->type) {
    case WIRE_MESSAGE_ACCEPTED:
        on_accepted(run, &message->accepted);
        break;
    case WIRE_MESSAGE_TASK_CREDIT:
        if (message->task_credit.tasks_max > run->tasks_max) {
            run->tasks_max = message->task_credit.tasks_max;
        }
        break;
    case WIRE_MESSAGE_CLIENT_STREAM:
        on_stream(run, &message->client_stream);
        break;
    case WIRE_MESSAGE_DONE:
        on_done(run, &message->done);
        break;
    case WIRE_MESSAGE_JOB_DONE:
        on_job_done(run, &message->job_done);
        break;
    case WIRE_MESSAGE_JOB_KEPT:
        on_kept(run, &message->job_kept);
        break;
    case WIRE_MESSAGE_ATTACHED:
        on_attached(run, &message->attached);
        break;
    case WIRE_MESSAGE_KEPT_TASK:
        on_kept_task(run, &message->kept_task);
        break;
    case WIRE_MESSAGE_GOT:
        on_got(run, &message->got);
        break;
    case WIRE_MESSAGE_PUT_DONE:
        on_put_done(run, &message->put_done);
        break;
    case WIRE_MESSAGE_NOTICE:
        on_notice(run, &message->notice);
        break;
    case WIRE_MESSAGE_ERROR:
        on_error(run, &message->error);
        break;
    default:
        break; /* a newer daemon's, or the answer to a question nobody waits for any more */
    }
}
