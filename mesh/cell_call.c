/* An attempt that is a call: one packet to the cell's worker, one back.
 *
 * Where no worker stands, one is started first, and the call waits for its hello. An answer ends
 * the attempt as soon as what was printed before it is taken. A worker that ends under a call ends
 * it, with the words of the cell's init; one that ends between two calls is replaced at the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "mesh/cell_internal.h"
#include "mesh/clock.h"
#include "wire/base/text.h"

/* A call that is over before this is never reported as begun: it would be news of the past. */
#define STARTED_MS 1

/* --- keeping a call that cannot be sent yet ------------------------------------------------------
 */

static void drop_kept(struct cell *cell)
{
    while (cell->n_kept > 0) {
        close(cell->kept_fds[--cell->n_kept]);
    }
}

static int keep(struct cell *cell, const int *fds, size_t n_fds)
{
    for (size_t i = 0; i < n_fds; i++) {
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (fd < 0) {
            int r = -errno;
            drop_kept(cell);
            return r;
        }
        cell->kept_fds[cell->n_kept++] = fd;
    }
    return 0;
}

void cell_call_abandon(struct cell *cell)
{
    struct cell_attempt *attempt = &cell->attempt;
    drop_kept(cell);
    if (attempt->is_call && attempt->result.out.spool_fd >= 0) {
        close(attempt->result.out.spool_fd);
    }
}

static void close_worker(struct cell *cell)
{
    struct cell_worker *worker = cell->worker;
    cell->worker = NULL;
    cell_worker_close(worker);
}

/* --- sending ------------------------------------------------------------------------------------
 */

static int encode(struct cell *cell, const struct cell_call *call)
{
    struct wire_worker_call message = {
        .serial = cell->serials + 1,
        .function = call->function,
        .attempt = call->attempt,
        .peer = buf_slice(&cell->program.peer),
        .args = {.bytes = call->args.n, .inlined = call->args},
        .n_refs = call->n_refs,
    };
    if (call->big_args != NULL) {
        message.args = (struct wire_worker_body){.is_fd = true, .bytes = call->big_args->bytes};
    }
    ensure(call->n_refs <= WIRE_CALL_REFS_MAX);
    for (uint32_t i = 0; i < call->n_refs; i++) {
        message.ref_bytes[i] = call->refs[i].bytes;
    }
    buf_clear(&cell->packet);
    return wire_worker_call_encode(&message, &cell->packet);
}

static bool can_take_call(const struct cell_worker *worker)
{
    return worker->is_ready && !worker->is_ending && !worker->has_ended;
}

/* 0: it is sent, or is to wait, for its worker is gone. */
static int send_call(struct cell *cell, const int *fds, size_t n_fds)
{
    struct cell_worker *worker = cell->worker;
    struct cell_attempt *attempt = &cell->attempt;
    int r = cell_worker_send(worker, buf_slice(&cell->packet), fds, n_fds);
    if (r == -EPIPE) {
        cell_worker_stop(worker);
        return fds == cell->kept_fds ? 0 : keep(cell, fds, n_fds);
    }
    if (r == -EAGAIN) { /* one call at a time always fits a socket that is read */
        cell_worker_fault(worker, "its worker does not take calls");
        r = 0;
    }
    if (r == 0) {
        attempt->is_sent = true;
        attempt->sent_ns = meshd_clock_ns();
        cell_worker_renew(worker, attempt->lease_ms);
        drop_kept(cell);
        cell_run_later(cell, STARTED_MS);
    }
    return r;
}

int cell_call(struct cell *cell, const struct cell_call *call, struct errmsg *reterr)
{
    struct cell_attempt *attempt = &cell->attempt;
    int fds[WIRE_WORKER_FDS_MAX];
    size_t n_fds = 0;
    ensure(cell->program.body_fd >= 0);
    ensure(!cell->is_closing);
    ensure(!attempt->is_under_way);
    int r = encode(cell, call);
    if (r < 0) {
        errmsg_set(reterr, "call a function: %s", strerror(-r));
        return r;
    }
    if (call->big_args != NULL) {
        fds[n_fds++] = call->big_args->fd;
    }
    for (uint32_t i = 0; i < call->n_refs; i++) {
        fds[n_fds++] = call->refs[i].fd;
    }
    *attempt = (struct cell_attempt){.is_under_way = true,
                                     .is_call = true,
                                     .serial = ++cell->serials,
                                     .lease_ms = call->lease_ms,
                                     .result = {.out = {.spool_fd = -1}}};
    struct cell_worker *worker = cell->worker;
    if (cell->is_paused) {
        cell_pause(cell, false); /* its last call may have been over when it was told to */
    }
    if (cell->is_dead) {
        cell_run_later(cell, 0);
    } else if (worker == NULL) {
        r = cell_worker_start(cell, reterr);
        r = r < 0 ? r : keep(cell, fds, n_fds);
    } else if (!can_take_call(worker)) {
        r = keep(cell, fds, n_fds);
    } else if (cell_worker_is_stale(worker, call->lease_ms)) {
        cell_worker_stop(worker); /* its lease could run out before a renewal reaches the init */
        r = keep(cell, fds, n_fds);
    } else {
        r = send_call(cell, fds, n_fds);
    }
    if (r < 0) {
        *attempt = (struct cell_attempt){0};
        errmsg_set(reterr, "call a function: %s", strerror(-r));
    }
    return r;
}

void cell_call_on_ready(struct cell *cell)
{
    struct cell_attempt *attempt = &cell->attempt;
    if (!attempt->is_under_way || attempt->is_sent || attempt->kill_end != WIRE_END_NONE) {
        return;
    }
    int r = send_call(cell, cell->kept_fds, cell->n_kept);
    if (r < 0) {
        struct errmsg what;
        errmsg_set(&what, "send a call to its worker: %s", strerror(-r));
        cell_worker_fault(cell->worker, what.text);
    }
}

/* --- while it runs ------------------------------------------------------------------------------
 */

bool cell_call_is_due(const struct cell *cell, uint64_t serial)
{
    const struct cell_attempt *attempt = &cell->attempt;
    return attempt->is_under_way && attempt->is_sent && !attempt->has_ended &&
           attempt->serial == serial;
}

bool cell_call_has_returned(const struct cell *cell)
{
    return cell->attempt.is_under_way && cell->attempt.has_ended;
}

void cell_call_kill(struct cell *cell, enum wire_end why)
{
    struct cell_attempt *attempt = &cell->attempt;
    if (attempt->has_ended) {
        return; /* its answer is here; only what it printed is not stored yet */
    }
    attempt->kill_end = why;
    if (cell->worker != NULL) {
        cell_worker_stop(cell->worker);
    }
}

void cell_call_stop(struct cell *cell, enum wire_end end, const struct errmsg *err)
{
    struct cell_attempt *attempt = &cell->attempt;
    if (attempt->is_under_way && attempt->stop_end == WIRE_END_NONE) {
        attempt->stop_end = end;
        attempt->result.detail = *err;
    }
}

void cell_call_on_later(struct cell *cell)
{
    struct cell_attempt *attempt = &cell->attempt;
    if (cell->is_dead && !attempt->has_ended) {
        cell_attempt_on_death(cell);
    } else if (attempt->is_sent && !attempt->is_started && !attempt->has_ended) {
        attempt->is_started = true;
        cell->config.events->on_started(cell->config.user, cell);
    }
}

/* --- the end ------------------------------------------------------------------------------------
 */

void cell_call_on_drained(struct cell *cell)
{
    if (cell->attempt.is_under_way && cell->attempt.has_ended) {
        cell_call_report(cell);
    }
}

void cell_call_on_return(struct cell *cell, const struct wire_worker_return *ret, int value_fd)
{
    struct cell_attempt *attempt = &cell->attempt;
    struct cell_worker *worker = cell->worker;
    struct cell_result *result = &attempt->result;
    attempt->has_ended = true;
    result->end = WIRE_END_EXITED;
    result->status = ret->status;
    result->wall_us = (meshd_clock_ns() - attempt->sent_ns) / 1000;
    result->user_us = ret->user_us;
    result->sys_us = ret->sys_us;
    result->peak_kib = ret->peak_kib;
    result->out = (struct output_result){
        .bytes = ret->value.bytes, .memory = ret->value.inlined, .spool_fd = value_fd};
    errmsg_set(&result->detail, "%.*s", SLICE_FMT(ret->text));
    if (ret->value.bytes > cell->program.output_bytes_max) {
        struct errmsg err;
        errmsg_set(&err, "a value of %llu bytes, where output may have %llu",
                   (unsigned long long)ret->value.bytes,
                   (unsigned long long)cell->program.output_bytes_max);
        cell_call_stop(cell, WIRE_END_OUTPUT_LIMIT, &err);
    }
    worker->user_us += ret->user_us;
    worker->sys_us += ret->sys_us;
    if (output_cut(worker->output)) {
        cell_call_report(cell);
    }
}

static void drop_value(struct output_result *value)
{
    if (value->spool_fd >= 0) {
        close(value->spool_fd);
    }
    *value = (struct output_result){.spool_fd = -1};
}

void cell_call_report(struct cell *cell)
{
    struct cell_worker *worker = cell->worker;
    struct cell_result result = cell->attempt.result;
    enum wire_end stop_end = cell->attempt.stop_end;
    cell->attempt = (struct cell_attempt){0};
    drop_kept(cell);
    uv_timer_stop(&cell->later);
    if (stop_end != WIRE_END_NONE) {
        result.end = stop_end;
        drop_value(&result.out);
    }
    result.err = (struct output_result){.spool_fd = -1};
    if (worker != NULL && result.end != WIRE_END_CELL_DIED && result.end != WIRE_END_NO_DISK) {
        output_get(worker->output, &result.err);
        result.err.spool_fd = output_take_spool(worker->output);
    }
    bool has_ended = worker != NULL && worker->has_ended;
    if (worker != NULL) {
        result.is_cell_usable = !cell->is_dead && (!has_ended || worker->is_clean);
    }
    if (has_ended) {
        close_worker(cell); /* its output's memory lives until the loop turns */
    }
    cell->config.events->on_ended(cell->config.user, cell, &result);
    if (worker != NULL && cell->worker == worker && !cell->is_closing && !cell->is_dead) {
        output_next(worker->output);
    }
}

/* --- the worker's end ---------------------------------------------------------------------------
 */

/* A program that never ran says why through its loader, in whatever words this libc has. */
static bool is_loaders_word(const char *line)
{
    static const char *const phrases[] = {
        "error while loading shared libraries",
        "Error loading shared library",
        "not found (required by",
        "symbol lookup error",
        "Error relocating",
    };
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
        if (strstr(line, phrases[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void ending_text(const struct cell_worker *worker, struct errmsg *text)
{
    if (worker->how == CELL_HOW_SIGNALED) {
        errmsg_set(text, "was killed by signal %u (%s)", worker->status,
                   strsignal((int)worker->status));
    } else {
        errmsg_set(text, "exited with status %u", worker->status);
    }
}

/* It ended before it said hello. Its last words, or rather its first, say why. */
static void refuse_start(struct cell *cell)
{
    struct cell_worker *worker = cell->worker;
    struct output_result said = {.spool_fd = -1};
    struct errmsg err;
    char line[300];
    IGNORE(output_drain(worker->output)); /* what goes to a file is too long to be shown */
    output_get(worker->output, &said);
    const uint8_t *end = said.memory.n > 0 ? memchr(said.memory.p, '\n', said.memory.n) : NULL;
    size_t n = end != NULL ? (size_t)(end - said.memory.p) : said.memory.n;
    text_printable(slice_of(said.memory.p, n), line, 200);
    bool is_loader = is_loaders_word(line);
    if (worker->fault.text[0] != '\0') {
        err = worker->fault;
    } else if (is_loader) {
        errmsg_set(&err, "%s", line);
    } else {
        ending_text(worker, &err);
        errmsg_wrap(&err, "the program does not call mesh_init()");
    }
    if (!is_loader && line[0] != '\0') {
        struct errmsg why = err;
        errmsg_set(&err, "%s; it said: %s", why.text, line);
    }
    bool is_clean = worker->is_clean;
    close_worker(cell);
    cell_attempt_refuse(cell, is_loader ? WIRE_REFUSAL_NO_INTERPRETER : WIRE_REFUSAL_NOT_EXECUTABLE,
                        &err, is_clean);
}

/* It was idle when it ended: the call that waits gets another. */
static void start_again(struct cell *cell)
{
    struct errmsg err = {"its cell could not be cleaned after a worker's end"};
    bool is_clean = cell->worker->is_clean;
    close_worker(cell);
    if (!is_clean || cell_worker_start(cell, &err) < 0) {
        cell_attempt_refuse(cell, WIRE_REFUSAL_NO_CELL, &err, is_clean);
    }
}

static void end_call(struct cell *cell)
{
    struct cell_attempt *attempt = &cell->attempt;
    struct cell_worker *worker = cell->worker;
    struct cell_result *result = &attempt->result;
    struct errmsg text;
    attempt->has_ended = true;
    result->wall_us = attempt->is_sent ? (meshd_clock_ns() - attempt->sent_ns) / 1000 : 0;
    if (attempt->kill_end != WIRE_END_NONE) {
        result->end = attempt->kill_end;
    } else if (worker->how == CELL_HOW_LEASE) {
        result->end = WIRE_END_LEASE;
    } else if (worker->how == CELL_HOW_EXITED) {
        result->end = WIRE_END_EXITED;
        result->status = WIRE_CALL_STATUS_MAX + 1 + worker->status;
    } else {
        result->end = WIRE_END_SIGNALED;
        result->status = worker->how == CELL_HOW_SIGNALED ? worker->status : SIGKILL;
    }
    if (worker->fault.text[0] != '\0') {
        text = worker->fault;
    } else {
        ending_text(worker, &text);
        errmsg_wrap(&text, "its worker ended");
    }
    bool by_itself = worker->how == CELL_HOW_EXITED || worker->how == CELL_HOW_SIGNALED;
    if (attempt->stop_end == WIRE_END_NONE && (by_itself || worker->fault.text[0] != '\0')) {
        result->detail = text;
    }
    if (output_drain(worker->output)) {
        cell_call_report(cell);
    }
}

static void on_ended(struct cell *cell, struct cell_message *message)
{
    struct cell_worker *worker = cell->worker;
    struct cell_attempt *attempt = &cell->attempt;
    uint64_t user_us = message->ended.user_us;
    uint64_t sys_us = message->ended.sys_us;
    struct errmsg breach;
    if (cell_breach_end(cell, message, &breach) && worker->fault.text[0] == '\0') {
        errmsg_set(&worker->fault, "its worker ended: %s", breach.text);
    }
    worker->has_ended = true;
    worker->is_clean = message->ended.is_clean == 1;
    worker->how = message->ended.how;
    worker->status = message->ended.status;
    uv_timer_stop(&cell->timer);
    if (attempt->is_under_way && attempt->is_sent && !attempt->has_ended) {
        cell_worker_take_packet(worker); /* the answer may have been its last deed */
        if (cell->worker != worker || cell->is_closing) {
            return;
        }
    }
    uv_poll_stop(&worker->poll);
    if (cell_call_has_returned(cell)) {
        return; /* goes on when its output is stored */
    }
    if (!attempt->is_under_way) {
        bool is_clean = worker->is_clean;
        close_worker(cell);
        if (!is_clean) {
            cell_die(cell, "it could not be cleaned after a worker's end");
        }
        return;
    }
    attempt->result.user_us = user_us > worker->user_us ? user_us - worker->user_us : 0;
    attempt->result.sys_us = sys_us > worker->sys_us ? sys_us - worker->sys_us : 0;
    attempt->result.peak_kib = message->ended.peak_kib;
    if (attempt->is_sent || attempt->kill_end != WIRE_END_NONE ||
        attempt->stop_end != WIRE_END_NONE) {
        end_call(cell);
    } else if (worker->is_ready) {
        start_again(cell);
    } else {
        refuse_start(cell);
    }
}

void cell_call_on_message(struct cell *cell, struct cell_message *message)
{
    struct cell_worker *worker = cell->worker;
    struct cell_attempt *attempt = &cell->attempt;
    if (worker == NULL || message->serial != worker->serial || worker->has_ended) {
        return; /* of a worker that was given up */
    }
    if (message->type == CELL_STARTED) {
        cell_worker_on_started(worker);
    } else if (message->type == CELL_START_FAILED) {
        close_worker(cell);
        if (attempt->is_under_way) {
            cell_attempt_start_failed(cell, message);
        } else if (message->start_failed.is_clean != 1) {
            cell_die(cell, "it could not be cleaned after a worker's start");
        }
    } else if (message->type == CELL_ENDED) {
        on_ended(cell, message);
    }
}
