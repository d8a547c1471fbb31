/* An attempt in a cell: started, running, ended, its output taken, reported.
 *
 * START goes out at once, even before the cell stands; the socket keeps it. The end that the init
 * reports is passed on only after both pipes are empty. Where output or input failed, that is the
 * end, however the program ended: its result would be incomplete. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mesh/cell_internal.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/limits.h"

/* Arguments and environment each have their own limit; a program's name and our own few variables
 * come on top. */
#define BODY_BYTES_MAX (WIRE_TASK_BYTES_MAX + WIRE_ARGV_BYTES_MAX + (16u << 10))

static void report(struct cell *cell);

static void close_parts(struct cell *cell, struct output *out, struct output *err,
                        struct input *input)
{
    if (out != NULL) {
        output_close(out, cell_part_closed, cell);
    }
    if (err != NULL) {
        output_close(err, cell_part_closed, cell);
    }
    if (input != NULL) {
        input_close(input, cell_part_closed, cell);
    }
}

void cell_attempt_abandon(struct cell *cell)
{
    struct cell_attempt *attempt = &cell->attempt;
    cell_call_abandon(cell);
    close_parts(cell, attempt->out, attempt->err, attempt->input);
    *attempt = (struct cell_attempt){0};
}

/* --- the words --- */

static bool env_names(const struct wire_slices *env, const char *assignment)
{
    size_t n_name = strcspn(assignment, "=") + 1;
    for (uint32_t i = 0; i < env->n; i++) {
        if (env->items[i].n >= n_name && memcmp(env->items[i].p, assignment, n_name) == 0) {
            return true;
        }
    }
    return false;
}

static int append_env(const struct cell *cell, struct buf *body, const struct wire_slices *env,
                      bool is_worker, uint32_t *ret_n)
{
    char home[PATH_MAX + 16];
    char tmpdir[PATH_MAX + 16];
    const char *scratch = cell->dir != NULL ? cell->dir : CELL_SCRATCH_DIR;
    const char *below = cell->dir != NULL ? "/task" : "";
    snprintf(home, sizeof home, "HOME=%s%s", scratch, below);
    snprintf(tmpdir, sizeof tmpdir, "TMPDIR=%s%s", scratch, below);
    const char *const own[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", home, tmpdir};
    uint32_t n = 0;
    if (is_worker) {
        char word[64];
        snprintf(word, sizeof word, "%s=%d", WIRE_WORKER_ENV, WIRE_WORKER_FD);
        int r = cell_append_word(body, slice_str(word));
        ensure(r == 0);
        n++;
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (!env_names(env, own[i])) {
            int r = cell_append_word(body, slice_str(own[i]));
            ensure(r == 0);
            n++;
        }
    }
    for (uint32_t i = 0; i < env->n; i++) {
        int r = cell_append_word(body, env->items[i]);
        if (r < 0) {
            return r;
        }
    }
    *ret_n = n + env->n;
    return 0;
}

/* Writes the body of message, a START, into a memory file. */
static int make_body(struct cell *cell, const struct cell_start *start,
                     struct cell_message *message, int *ret_fd)
{
    const struct wire_slices *argv = &start->argv;
    struct slice exec = start->exec.n > 0 ? start->exec : argv->items[0];
    struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    int r = cell_append_word(&body, exec);
    for (uint32_t i = 0; r == 0 && i < argv->n; i++) {
        r = cell_append_word(&body, argv->items[i]);
    }
    if (r == 0) {
        bool is_worker = message->start.is_worker == 1;
        r = append_env(cell, &body, &start->env, is_worker, &message->start.n_env);
    }
    r = r == 0 ? cell_files_append(cell, start, &body, message) : r;
    if (r == 0 && buf_error(&body) != 0) {
        r = buf_error(&body) == -ENOBUFS ? -E2BIG : buf_error(&body);
    }
    int fd = r < 0 ? -1 : memfd_create("mesh-start", MFD_CLOEXEC);
    if (r == 0 && fd < 0) {
        r = -errno;
    }
    for (size_t at = 0; r == 0 && at < body.n;) {
        ssize_t n = write(fd, body.p + at, body.n - at);
        r = n < 0 ? -errno : 0;
        at += n > 0 ? (size_t)n : 0;
    }
    message->start.n_args = argv->n;
    message->start.body_bytes = body.n;
    buf_done(&body);
    if (r < 0 && fd >= 0) {
        close(fd);
    }
    if (r == 0) {
        *ret_fd = fd;
    }
    return r;
}

int cell_program_keep(struct cell *cell, const struct cell_program *program)
{
    struct cell_program_state *state = &cell->program;
    const struct cell_start start = {.argv = {.items = &program->exec, .n = 1},
                                     .env = program->env};
    state->start =
        (struct cell_message){.type = CELL_START, .start = {.nice = program->nice, .is_worker = 1}};
    state->output_bytes_max = program->output_bytes_max;
    buf_append_slice(&state->peer, program->peer);
    int r = buf_error(&state->peer);
    return r < 0 ? r : make_body(cell, &start, &state->start, &state->body_fd);
}

/* --- output and input --- */

/* Else `> /dev/stderr` in a script would be refused: it opens the pipe anew. */
int cell_own_pipe(const struct cell *cell, int fd)
{
    bool drops_ids = sandbox_drops_ids() && !cell->config.is_bare;
    return drops_ids && fchown(fd, SANDBOX_OUTSIDE_ID, SANDBOX_OUTSIDE_ID) < 0 ? -errno : 0;
}

static void send_kill(struct cell *cell)
{
    struct cell_message message = {.type = CELL_KILL, .serial = cell->attempt.serial};
    if (cell->attempt.has_ended || cell->is_dead) {
        return;
    }
    if (cell_message_send(cell->socket_fd, &message, NULL, 0) < 0) {
        /* An init that does not read any more cannot kill either: the process goes, and with it
         * all that is inside. */
        spawned_kill(&cell->process, SIGKILL);
    }
}

void cell_attempt_stop(struct cell *cell, enum wire_end end, const struct errmsg *err)
{
    if (cell->attempt.stop_end == WIRE_END_NONE) {
        cell->attempt.stop_end = end;
        cell->attempt.result.detail = *err;
        send_kill(cell);
    }
}

static void on_data(void *user, struct output *output, uint64_t offset, struct slice bytes)
{
    struct cell *cell = user;
    enum wire_stream stream = output == cell->attempt.out ? WIRE_STREAM_OUT : WIRE_STREAM_ERR;
    cell->config.events->on_output(cell->config.user, cell, stream, offset, bytes);
}

static void on_stop(void *user, struct output *output, enum output_stop why,
                    const struct errmsg *err)
{
    cell_attempt_stop(user, why == OUTPUT_STOP_LIMIT ? WIRE_END_OUTPUT_LIMIT : WIRE_END_NO_DISK,
                      err);
}

static void on_input_failed(void *user, const struct errmsg *err)
{
    cell_attempt_stop(user, WIRE_END_NO_DISK, err);
}

static void on_drained(void *user, struct output *output)
{
    cell_run_later(user, 0); /* it may be output_ack() that called */
}

/* Makes the pipes. What was made is in the attempt and fds, whatever it returns. */
static int open_pipes(struct cell *cell, const struct cell_start *start, int *fds,
                      struct errmsg *reterr)
{
    struct cell_attempt *attempt = &cell->attempt;
    struct output_config output = {.loop = cell->config.loop,
                                   .spool_dir = cell->config.work_dir,
                                   .disk = cell->config.disk,
                                   .bytes_max = start->output_bytes_max,
                                   .is_streamed = start->is_streamed,
                                   .user = cell,
                                   .on_data = on_data,
                                   .on_stop = on_stop,
                                   .on_drained = on_drained};
    struct input_config input = {
        .loop = cell->config.loop, .file_fd = -1, .user = cell, .on_failed = on_input_failed};
    int r = output_new(&output, &attempt->out, &fds[CELL_FD_STDOUT], reterr);
    if (r == 0) {
        cell->n_open++;
        r = output_new(&output, &attempt->err, &fds[CELL_FD_STDERR], reterr);
    }
    if (r == 0) {
        cell->n_open++;
        if (start->input_fd < 0) {
            fds[CELL_FD_STDIN] = open("/dev/null", O_RDONLY | O_CLOEXEC);
            r = fds[CELL_FD_STDIN] < 0 ? -errno : 0;
        } else {
            input.file_fd = fcntl(start->input_fd, F_DUPFD_CLOEXEC, 3);
            r = input.file_fd < 0 ? -errno : 0;
            if (r == 0) {
                r = input_new(&input, &attempt->input, &fds[CELL_FD_STDIN], reterr);
                cell->n_open += r == 0;
            }
            if (r < 0 && input.file_fd >= 0) {
                close(input.file_fd);
            }
        }
    }
    for (int i = CELL_FD_STDIN; r == 0 && i <= CELL_FD_STDERR; i++) {
        bool is_pipe = i != CELL_FD_STDIN || attempt->input != NULL;
        r = is_pipe ? cell_own_pipe(cell, fds[i]) : 0;
    }
    return r;
}

int cell_start(struct cell *cell, const struct cell_start *start, struct errmsg *reterr)
{
    enum { N_FDS = CELL_FD_WORKER }; /* all but that one */
    int fds[N_FDS] = {-1, -1, -1, -1};
    struct cell_message message = {
        .type = CELL_START,
        .serial = cell->serials + 1,
        .start = {.lease_ms = start->lease_ms, .nice = start->nice},
    };
    ensure(!cell->is_closing);
    ensure(!cell->attempt.is_under_way);
    ensure(start->argv.n > 0);
    ensure(cell->program.body_fd < 0);
    struct errmsg detail = {""};
    int r = make_body(cell, start, &message, &fds[CELL_FD_BODY]);
    if (r == 0) {
        r = open_pipes(cell, start, fds, &detail);
    }
    if (r == 0 && !cell->is_dead) {
        r = cell_message_send(cell->socket_fd, &message, fds, N_FDS);
        r = r == -EPIPE ? 0 : r; /* the death that is about to be seen ends the attempt */
    }
    for (int i = 0; i < N_FDS; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (r < 0) {
        cell_attempt_abandon(cell);
        errmsg_set(reterr, "start a task: %s", detail.text[0] != '\0' ? detail.text : strerror(-r));
        return r;
    }
    if (start->input_fd >= 0) {
        close(start->input_fd);
    }
    cell->is_paused = false;
    cell->attempt.is_under_way = true;
    cell->attempt.serial = ++cell->serials;
    if (cell->is_dead || cell->attempt.n_contents > 0) {
        cell_run_later(cell, 0);
    }
    return 0;
}

/* --- calls while it runs --- */

bool cell_is_busy(const struct cell *cell)
{
    return cell->attempt.is_under_way;
}

void cell_kill(struct cell *cell, enum wire_end why)
{
    struct cell_attempt *attempt = &cell->attempt;
    if (!attempt->is_under_way || attempt->kill_end != WIRE_END_NONE) {
        return;
    }
    if (attempt->is_call) {
        cell_call_kill(cell, why);
        return;
    }
    attempt->kill_end = why;
    if (attempt->has_ended) {
        cell_run_later(cell, 0); /* ends the wait for acknowledgements */
    } else {
        send_kill(cell);
    }
}

void cell_pause(struct cell *cell, bool is_paused)
{
    bool is_worker = cell->worker != NULL && cell->attempt.is_call;
    struct cell_message message = {
        .type = CELL_PAUSE,
        .serial = is_worker ? cell->worker->serial : cell->attempt.serial,
        .pause = {.is_paused = is_paused},
    };
    bool may_go_on = !is_paused && cell->is_paused; /* a worker may have outlived its call */
    if (cell->is_dead || cell->config.is_bare || (!cell->attempt.is_under_way && !may_go_on)) {
        return;
    }
    if (cell_message_send(cell->socket_fd, &message, NULL, 0) == 0) {
        cell->is_paused = is_paused;
    } else if (!is_paused) {
        /* An init that does not read any more: nothing in there will ever go on. */
        spawned_kill(&cell->process, SIGKILL);
    }
}

void cell_renew(struct cell *cell, uint64_t lease_ms)
{
    struct cell_message message = {.type = CELL_RENEW, .renew = {.lease_ms = lease_ms}};
    if (cell->worker != NULL && cell->attempt.is_under_way && !cell->is_dead) {
        cell_worker_renew(cell->worker, lease_ms);
    } else if (cell->attempt.is_under_way && !cell->attempt.has_ended && !cell->is_dead) {
        /* Lost, it is as if the daemon had been late; the cell's death is seen elsewhere. */
        IGNORE(cell_message_send(cell->socket_fd, &message, NULL, 0));
    }
}

void cell_ack(struct cell *cell, enum wire_stream stream, uint64_t offset)
{
    struct cell_attempt *attempt = &cell->attempt;
    uint64_t *acked = stream == WIRE_STREAM_OUT ? &attempt->out_acked : &attempt->err_acked;
    if (attempt->is_under_way && offset > *acked) {
        *acked = offset;
        cell_run_later(cell, 0);
    }
}

/* --- the end --- */

static enum wire_end end_of(const struct cell_attempt *attempt, uint32_t how)
{
    switch ((enum cell_how)how) {
    case CELL_HOW_EXITED:
        return WIRE_END_EXITED;
    case CELL_HOW_SIGNALED:
        return WIRE_END_SIGNALED;
    case CELL_HOW_KILLED:
        return attempt->kill_end;
    case CELL_HOW_LEASE:
        return WIRE_END_LEASE;
    case CELL_HOW_MEMORY:
    case CELL_HOW_AWAKE:
        break; /* cell_breach_end() made a signal of it */
    }
    return WIRE_END_CELL_DIED;
}

/* Whether the kernel has killed in the cell for want of memory; then *ret_text says so. */
static bool has_overdrawn(struct cell *cell, struct errmsg *ret_text)
{
    if (!cell_group_has_killed(&cell->group)) {
        return false;
    }
    errmsg_set(ret_text, "it took more memory than the %llu MiB it may have",
               (unsigned long long)(cell->config.size.limits.memory_bytes >> 20));
    return true;
}

bool cell_breach_end(struct cell *cell, struct cell_message *ended, struct errmsg *ret_text)
{
    unsigned long long allowed = cell->config.size.limits.memory_bytes >> 20;
    if (has_overdrawn(cell, ret_text)) {
        return true;
    }
    bool was_awake = ended->ended.how == CELL_HOW_AWAKE;
    if (ended->ended.how != CELL_HOW_MEMORY && !was_awake) {
        return false;
    }
    ended->ended.how = CELL_HOW_SIGNALED;
    ended->ended.status = SIGKILL;
    if (was_awake) {
        errmsg_set(ret_text, "it ran on while it was paused for others");
        return true;
    }
    errmsg_set(ret_text, "it had %llu MiB of memory, where it may have %llu MiB",
               (unsigned long long)(ended->ended.memory_kib >> 10), allowed);
    return true;
}

static void on_ended(struct cell *cell, struct cell_message *message)
{
    struct cell_attempt *attempt = &cell->attempt;
    struct cell_result *result = &attempt->result;
    if (attempt->is_content_missing && attempt->kill_end == WIRE_END_NONE) {
        struct errmsg err = result->detail;
        cell_attempt_refuse(cell, WIRE_REFUSAL_NO_BLOB, &err, message->ended.is_clean == 1);
        return;
    }
    attempt->has_ended = true;
    struct errmsg breach;
    if (cell_breach_end(cell, message, &breach) && result->detail.text[0] == '\0') {
        result->detail = breach;
    }
    result->end = end_of(attempt, message->ended.how);
    result->status = message->ended.status;
    result->wall_us = message->ended.wall_us;
    result->user_us = message->ended.user_us;
    result->sys_us = message->ended.sys_us;
    result->peak_kib = message->ended.peak_kib;
    result->is_cell_usable = message->ended.is_clean == 1;
    if (!result->is_cell_usable && result->detail.text[0] == '\0') {
        errmsg_set(&result->detail, "its cell could not be cleaned: %s",
                   strerror((int)message->ended.error));
    }
    bool out_drained = output_drain(attempt->out);
    bool err_drained = output_drain(attempt->err);
    if (out_drained && err_drained) {
        report(cell);
    }
}

static void take_output(struct output *output, struct output_result *ret_result)
{
    output_get(output, ret_result);
    ret_result->spool_fd = output_take_spool(output);
}

/* Tells the result and forgets the attempt; the receiver may start the next from within. */
static void report(struct cell *cell)
{
    struct output *out = cell->attempt.out;
    struct output *err = cell->attempt.err;
    struct input *input = cell->attempt.input;
    enum wire_end stop_end = cell->attempt.stop_end;
    struct cell_result result = cell->attempt.result;
    cell->attempt = (struct cell_attempt){0};
    if (stop_end != WIRE_END_NONE) {
        result.end = stop_end;
    }
    result.out = (struct output_result){.spool_fd = -1};
    result.err = (struct output_result){.spool_fd = -1};
    if (result.end != WIRE_END_CELL_DIED && result.end != WIRE_END_NO_DISK) {
        take_output(out, &result.out);
        take_output(err, &result.err);
    }
    if (cell->is_dead) {
        result.is_cell_usable = false;
    }
    cell->config.events->on_ended(cell->config.user, cell, &result);
    close_parts(cell, out, err, input);
}

static void report_any(struct cell *cell)
{
    if (cell->attempt.is_call) {
        cell_call_report(cell);
    } else {
        report(cell);
    }
}

void cell_attempt_refuse(struct cell *cell, enum wire_refusal why, const struct errmsg *err,
                         bool is_cell_usable)
{
    cell_attempt_abandon(cell);
    cell->config.events->on_refused(cell->config.user, cell, why, err, is_cell_usable);
}

void cell_attempt_start_failed(struct cell *cell, const struct cell_message *message)
{
    static const struct {
        enum wire_refusal refusal;
        const char *text;
    } whys[] = {
        [CELL_WHY_OTHER] = {WIRE_REFUSAL_NO_CELL, "the program could not be started"},
        [CELL_WHY_NOT_FOUND] = {WIRE_REFUSAL_NOT_FOUND, "command not found"},
        [CELL_WHY_NOT_EXECUTABLE] = {WIRE_REFUSAL_NOT_EXECUTABLE, "not executable"},
        [CELL_WHY_NO_INTERPRETER] = {WIRE_REFUSAL_NO_INTERPRETER,
                                     "its interpreter or dynamic loader is missing"},
        [CELL_WHY_WRONG_ARCH] = {WIRE_REFUSAL_WRONG_ARCH, "built for another architecture"},
        [CELL_WHY_TOO_LARGE] = {WIRE_REFUSAL_TOO_LARGE, "arguments too large"},
        [CELL_WHY_NO_MEMORY] = {WIRE_REFUSAL_NO_MEMORY, "out of memory or processes"},
        [CELL_WHY_NO_DISK] = {WIRE_REFUSAL_NO_DISK, "no room in the scratch"},
    };
    uint32_t why = message->start_failed.why;
    why = why < ARRAY_LEN(whys) ? why : CELL_WHY_OTHER;
    struct errmsg err;
    errmsg_set(&err, "%s (%s)", whys[why].text, strerror((int)message->start_failed.error));
    if (cell->attempt.kill_end != WIRE_END_NONE || cell->attempt.stop_end != WIRE_END_NONE) {
        /* Killed before it began: the end that was asked for is the truth that counts. */
        cell->attempt.result.end = cell->attempt.kill_end;
        cell->attempt.result.is_cell_usable = message->start_failed.is_clean == 1;
        report_any(cell);
        return;
    }
    cell_attempt_refuse(cell, whys[why].refusal, &err, message->start_failed.is_clean == 1);
}

void cell_attempt_on_message(struct cell *cell, struct cell_message *message, int fd)
{
    struct cell_attempt *attempt = &cell->attempt;
    bool is_due = attempt->is_under_way && !attempt->has_ended && !attempt->is_call &&
                  message->serial == attempt->serial;
    if (message->type == CELL_FILE && is_due) {
        cell_files_on_file(cell, message, fd);
        return;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (cell->program.body_fd >= 0) {
        cell_call_on_message(cell, message);
        return;
    }
    if (!attempt->is_under_way || attempt->has_ended || message->serial != attempt->serial) {
        return; /* of an attempt that was given up */
    }
    if (message->type == CELL_STARTED && !attempt->is_started) {
        attempt->is_started = true;
        cell->config.events->on_started(cell->config.user, cell);
    } else if (message->type == CELL_START_FAILED && !attempt->is_started) {
        cell_attempt_start_failed(cell, message);
    } else if (message->type == CELL_GIVEN) {
        cell_files_give(cell);
    } else if (message->type == CELL_ENDED) {
        on_ended(cell, message);
    }
}

void cell_attempt_on_death(struct cell *cell)
{
    struct cell_attempt *attempt = &cell->attempt;
    if (attempt->has_ended) {
        return; /* its end is known; only its output is not all taken */
    }
    if (!attempt->is_started && !attempt->is_sent && attempt->kill_end == WIRE_END_NONE) {
        cell_attempt_refuse(cell, WIRE_REFUSAL_NO_CELL, &cell->death, false);
        return;
    }
    attempt->result.end =
        attempt->kill_end != WIRE_END_NONE ? attempt->kill_end : WIRE_END_CELL_DIED;
    attempt->result.detail = cell->death;
    if (attempt->kill_end == WIRE_END_NONE && has_overdrawn(cell, &attempt->result.detail)) {
        /* The kernel took the init as well: that is no fault of this machine's. */
        attempt->result.end = WIRE_END_SIGNALED;
        attempt->result.status = SIGKILL;
    }
    report_any(cell);
}

void cell_attempt_on_later(struct cell *cell)
{
    struct cell_attempt *attempt = &cell->attempt;
    if (!attempt->is_under_way) {
        return;
    }
    if (attempt->is_call) {
        cell_call_on_later(cell);
        return;
    }
    if (cell->is_dead && !attempt->has_ended) {
        cell_attempt_on_death(cell);
        return;
    }
    if (attempt->n_given == 0 && attempt->n_contents > 0) {
        cell_files_give(cell);
    }
    if (attempt->has_ended && attempt->kill_end != WIRE_END_NONE) {
        /* What is still in the pipes will not be asked for: the end is no longer the program's. */
        attempt->result.end = attempt->kill_end;
        report(cell);
        return;
    }
    if (attempt->out_acked > 0) {
        output_ack(attempt->out, attempt->out_acked);
    }
    if (attempt->is_under_way && attempt->err_acked > 0) {
        output_ack(attempt->err, attempt->err_acked);
    }
    if (attempt->is_under_way && attempt->has_ended && output_drain(attempt->out) &&
        output_drain(attempt->err)) {
        report(cell);
    }
}
