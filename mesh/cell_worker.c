/* The worker of a call cell: its start, its socket, its end.
 *
 * It is made by a START of the cell's init with one descriptor more, says hello, and then takes one
 * call at a time. Whatever it says that is not due is its fault: it is killed, and the call that is
 * under way ends with it. What has become of it is known only when the init has reported its end;
 * until then the cell is not clean, and no other is started. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/cell_internal.h"
#include "mesh/clock.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

/* The kernel closes a socket some time before its process can be waited for. One that has only
 * closed it is killed after this long. */
#define END_TIMEOUT_MS 1000

/* --- its end ------------------------------------------------------------------------------------
 */

static void on_poll_closed(uv_handle_t *handle)
{
    struct cell_worker *worker = CONTAINER_OF((uv_poll_t *)handle, struct cell_worker, poll);
    struct cell *cell = worker->cell;
    close(worker->socket_fd);
    mem_free(worker);
    cell_part_closed(cell);
}

void cell_worker_close(struct cell_worker *worker)
{
    output_close(worker->output, cell_part_closed, worker->cell);
    uv_close((uv_handle_t *)&worker->poll, on_poll_closed);
}

void cell_worker_stop(struct cell_worker *worker)
{
    struct cell *cell = worker->cell;
    struct cell_message message = {.type = CELL_KILL, .serial = worker->serial};
    worker->is_ending = true;
    if (worker->is_killed || worker->has_ended || cell->is_dead) {
        return;
    }
    worker->is_killed = true;
    if (cell_message_send(cell->socket_fd, &message, NULL, 0) < 0) {
        spawned_kill(&cell->process, SIGKILL); /* an init that does not read cannot kill */
    }
}

void cell_worker_fault(struct cell_worker *worker, const char *what)
{
    if (worker->fault.text[0] == '\0') {
        errmsg_set(&worker->fault, "%s", what);
    }
    uv_poll_stop(&worker->poll);
    cell_worker_stop(worker);
}

static void on_no_end(uv_timer_t *timer)
{
    struct cell *cell = CONTAINER_OF(timer, struct cell, timer);
    if (cell->worker != NULL) {
        cell_worker_fault(cell->worker, "its worker closed its socket and went on");
    }
}

/* It closed its socket, most likely because it died: the init tells. */
static void on_hang_up(struct cell_worker *worker)
{
    uv_poll_stop(&worker->poll);
    worker->is_ending = true;
    if (worker->cell->is_ready) { /* else the cell itself is on trial, or dead */
        uv_timer_start(&worker->cell->timer, on_no_end, END_TIMEOUT_MS, 0);
    }
}

/* --- what it says -------------------------------------------------------------------------------
 */

/* Takes the descriptors out of the control data: the first is returned, others are closed. -1 when
 * there is none. */
static int take_fd(struct msghdr *header, size_t *ret_n)
{
    int first = -1;
    *ret_n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (*ret_n == 0) {
                first = fd;
            } else {
                close(fd);
            }
            ++*ret_n;
        }
    }
    return first;
}

/* Receives one packet. 0, -EAGAIN, -EPIPE, -EPROTO (too large, more than one descriptor). */
static int receive(struct cell_worker *worker, struct slice *ret_packet, int *ret_fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 2)];
    } control;
    struct iovec iov = {.iov_base = worker->packet, .iov_len = sizeof worker->packet};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    size_t n_fds = 0;
    ssize_t n;
    do {
        n = recvmsg(worker->socket_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN ? -EAGAIN : -EPIPE;
    }
    int fd = take_fd(&header, &n_fds);
    bool is_sound = n_fds <= 1 && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    if (n > 0 && is_sound) {
        *ret_packet = slice_of(worker->packet, (size_t)n);
        *ret_fd = fd;
        return 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return n == 0 && is_sound ? -EPIPE : -EPROTO;
}

/* NULL, or why a hello will not do. */
static const char *hello_fault(struct slice packet, int fd, struct errmsg *text)
{
    struct wire_worker_hello hello;
    const char *fault = NULL;
    if (fd >= 0) {
        return "a descriptor came with its hello";
    }
    if (wire_worker_hello_decode(packet, &hello, &fault) < 0) {
        errmsg_set(text, "its hello is %s", fault);
        return text->text;
    }
    if (hello.version != WIRE_WORKER_VERSION) {
        errmsg_set(text, "its libmesh speaks version %u to daemons, this one version %u",
                   hello.version, WIRE_WORKER_VERSION);
        return text->text;
    }
    return hello.n_functions == 0 ? "the program registers no functions" : NULL;
}

static void on_hello(struct cell_worker *worker, struct slice packet, int fd)
{
    struct errmsg text = {""};
    const char *fault = hello_fault(packet, fd, &text);
    if (fd >= 0) {
        close(fd);
    }
    if (fault != NULL) {
        cell_worker_fault(worker, fault);
        return;
    }
    uv_timer_stop(&worker->cell->timer);
    worker->is_ready = true;
    cell_call_on_ready(worker->cell);
}

/* Whether the file is what it is said to be, and will stay so. */
static bool is_sealed(int fd, uint64_t bytes)
{
    const int needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & needed) == needed && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == bytes;
}

static int read_whole(int fd, uint8_t *to, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes;) {
        ssize_t n = pread(fd, to + at, n_bytes - at, (off_t)at);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return -EIO;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* NULL, or why a return will not do. What is small enough to be inlined is in the packet's place
 * afterwards, however it came; *fd is then -1. */
static const char *check_return(struct cell_worker *worker, struct slice packet,
                                struct wire_worker_return *ret, struct errmsg *text, int *fd)
{
    const char *fault = NULL;
    if (wire_worker_return_decode(packet, ret, &fault) < 0) {
        errmsg_set(text, "its worker's answer is %s", fault);
        return text->text;
    }
    if (!cell_call_is_due(worker->cell, ret->serial)) {
        return "its worker answered a call that it was not asked for";
    }
    if (ret->value.is_fd != (*fd >= 0)) {
        return "its worker's answer came with a descriptor too many, or without one";
    }
    if (*fd >= 0 && !is_sealed(*fd, ret->value.bytes)) {
        return "its worker's value is in a file that is not sealed, or of another size";
    }
    if (*fd >= 0 && ret->value.bytes <= WIRE_INLINE_BYTES_MAX) {
        /* The text moves out of the way: it is in the packet too. */
        errmsg_set(text, "%.*s", SLICE_FMT(ret->text));
        ret->text = slice_str(text->text);
        if (read_whole(*fd, worker->packet, (size_t)ret->value.bytes) < 0) {
            return "its worker's value cannot be read";
        }
        ret->value.inlined = slice_of(worker->packet, (size_t)ret->value.bytes);
        close(*fd);
        *fd = -1;
    }
    return NULL;
}

static void on_return(struct cell_worker *worker, struct slice packet, int fd)
{
    struct wire_worker_return ret;
    struct errmsg text = {""};
    const char *fault = check_return(worker, packet, &ret, &text, &fd);
    if (fault != NULL) {
        if (fd >= 0) {
            close(fd);
        }
        cell_worker_fault(worker, fault);
        return;
    }
    cell_call_on_return(worker->cell, &ret, fd);
}

void cell_worker_take_packet(struct cell_worker *worker)
{
    struct slice packet;
    int fd = -1;
    if (worker->fault.text[0] != '\0' || worker->is_killed) {
        return; /* nothing that it says counts any more */
    }
    if (cell_call_has_returned(worker->cell)) {
        /* The value may lie where the packet would. */
        cell_worker_fault(worker, "its worker answered a call that it was not asked for");
        return;
    }
    int r = receive(worker, &packet, &fd);
    if (r == -EPIPE) {
        on_hang_up(worker);
    } else if (r == -EPROTO) {
        cell_worker_fault(worker, "its worker sent what is no packet");
    } else if (r == 0 && !worker->is_ready) {
        on_hello(worker, packet, fd);
    } else if (r == 0) {
        on_return(worker, packet, fd);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    /* One a turn: a flood does not keep the daemon from the others. */
    cell_worker_take_packet(CONTAINER_OF(poll, struct cell_worker, poll));
}

/* --- what it prints -----------------------------------------------------------------------------
 */

static void on_stop(void *user, struct output *output, enum output_stop why,
                    const struct errmsg *err)
{
    struct cell_worker *worker = user;
    cell_call_stop(worker->cell,
                   why == OUTPUT_STOP_LIMIT ? WIRE_END_OUTPUT_LIMIT : WIRE_END_NO_DISK, err);
    cell_worker_stop(worker);
}

static void on_drained(void *user, struct output *output)
{
    struct cell_worker *worker = user;
    cell_call_on_drained(worker->cell);
}

/* --- its start ----------------------------------------------------------------------------------
 */

static int open_output(struct cell_worker *worker, int *ret_fd, struct errmsg *reterr)
{
    struct cell *cell = worker->cell;
    struct output_config config = {.loop = cell->config.loop,
                                   .spool_dir = cell->config.work_dir,
                                   .disk = cell->config.disk,
                                   .bytes_max = cell->program.output_bytes_max,
                                   .user = worker,
                                   .on_stop = on_stop,
                                   .on_drained = on_drained};
    int r = output_new(&config, &worker->output, ret_fd, reterr);
    if (r == 0) {
        cell->n_open++;
        r = cell_own_pipe(cell, *ret_fd);
    }
    return r;
}

static int send_start(struct cell_worker *worker, int socket_fd, int output_fd)
{
    struct cell *cell = worker->cell;
    struct cell_message message = cell->program.start;
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0) {
        return -errno;
    }
    const int fds[CELL_FDS_MAX] = {[CELL_FD_STDIN] = null_fd,
                                   [CELL_FD_STDOUT] = output_fd,
                                   [CELL_FD_STDERR] = output_fd,
                                   [CELL_FD_BODY] = cell->program.body_fd,
                                   [CELL_FD_WORKER] = socket_fd};
    message.serial = worker->serial;
    message.start.lease_ms = cell->attempt.lease_ms;
    int r = cell_message_send(cell->socket_fd, &message, fds, CELL_FDS_MAX);
    close(null_fd);
    return r == -EPIPE ? 0 : r; /* the death that is about to be seen ends the attempt */
}

int cell_worker_start(struct cell *cell, struct errmsg *reterr)
{
    int sockets[2] = {-1, -1};
    int output_fd = -1;
    struct cell_worker *worker = mem_alloc(1, sizeof *worker);
    int r = worker == NULL ? -ENOMEM : 0;
    if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        r = -errno;
    }
    if (r == 0) {
        worker->cell = cell;
        worker->socket_fd = sockets[0];
        r = uv_poll_init(cell->config.loop, &worker->poll, sockets[0]);
    }
    if (r < 0) {
        if (sockets[0] >= 0) {
            close(sockets[0]);
            close(sockets[1]);
        }
        mem_free(worker);
        errmsg_set(reterr, "start a worker: %s", strerror(-r));
        return r;
    }
    cell->n_open++;
    worker->serial = ++cell->serials;
    worker->renewed_ns = meshd_clock_ns();
    r = open_output(worker, &output_fd, reterr);
    r = r < 0 ? r : send_start(worker, sockets[1], output_fd);
    close(sockets[1]);
    if (output_fd >= 0) {
        close(output_fd);
    }
    if (r == 0) {
        cell->worker = worker;
        uv_poll_start(&worker->poll, UV_READABLE, on_readable);
        return 0;
    }
    errmsg_set(reterr, "start a worker: %s", strerror(-r));
    if (worker->output != NULL) {
        cell_worker_close(worker);
    } else {
        uv_close((uv_handle_t *)&worker->poll, on_poll_closed);
    }
    return r;
}

/* --- what it is told ----------------------------------------------------------------------------
 */

int cell_worker_send(struct cell_worker *worker, struct slice packet, const int *fds, size_t n_fds)
{
    static_assert(WIRE_WORKER_FDS_MAX <= CELL_PACKET_FDS_MAX, "a call fits a packet");
    int r = cell_packet_send(worker->socket_fd, packet, fds, n_fds, MSG_DONTWAIT);
    return r == -ECONNRESET || r == -ENOTCONN ? -EPIPE : r;
}

void cell_worker_renew(struct cell_worker *worker, uint64_t lease_ms)
{
    struct cell_message message = {.type = CELL_RENEW, .renew = {.lease_ms = lease_ms}};
    uint64_t now_ns = meshd_clock_ns();
    if (lease_ms > 0 && now_ns - worker->renewed_ns > lease_ms * 1000000 / 4) {
        worker->renewed_ns = now_ns;
        /* Lost, it is as if the daemon had been late; the cell's death is seen elsewhere. */
        IGNORE(cell_message_send(worker->cell->socket_fd, &message, NULL, 0));
    }
}

bool cell_worker_is_stale(const struct cell_worker *worker, uint64_t lease_ms)
{
    return lease_ms > 0 && meshd_clock_ns() - worker->renewed_ns > lease_ms * 1000000 / 4 * 3;
}

static void on_no_hello(uv_timer_t *timer)
{
    struct cell *cell = CONTAINER_OF(timer, struct cell, timer);
    if (cell->worker != NULL) {
        cell_worker_fault(cell->worker, "the program did not call mesh_init() in time");
    }
}

void cell_worker_on_started(struct cell_worker *worker)
{
    if (!worker->is_ready) {
        uv_timer_start(&worker->cell->timer, on_no_hello, WIRE_WORKER_HELLO_MS, 0);
    }
}
