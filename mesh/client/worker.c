/* The program as a worker: says which functions it has, then runs one call after another.
 *
 * The daemon's end speaks wire/worker.h. What it says is believed no more than it must be: a packet
 * that cannot be read ends the worker. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/client/handle.h"
#include "mesh/client/task.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/worker.h"

/* A memory file that came with a call. */
struct file {
    void *p; /* NULL: empty, or none */
    size_t n;
    dev_t device;
    ino_t inode;
};

struct worker {
    int fd;
    struct buf packet;
    struct rusage usage; /* when the call before had run */
    struct mesh_task task;
    struct file args;
    struct file refs[WIRE_CALL_REFS_MAX]; /* of this call, and mapped on for the next one */
    size_t n_refs;
    int fds[WIRE_WORKER_FDS_MAX];
    size_t n_fds;
};

/* --- memory files ------------------------------------------------------------------------------
 */

static void file_done(struct file *file)
{
    if (file->p != NULL) {
        IGNORE(munmap(file->p, file->n)); /* it is mapped */
    }
    *file = (struct file){0};
}

/* Private and writable: what a function changes in place is its own copy. 0 or -errno. */
static int file_map(struct file *file, int fd, uint64_t bytes)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size < bytes || bytes > SIZE_MAX) {
        return -EPROTO;
    }
    if (bytes == 0) {
        return 0;
    }
    void *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED) {
        return -errno;
    }
    *file = (struct file){.p = p, .n = (size_t)bytes, .device = st.st_dev, .inode = st.st_ino};
    return 0;
}

/* A blob: read only, so that what is shared by many calls is the same for all. One that the call
 * before had is mapped already. */
static int ref_map(struct file *old, size_t n_old, struct file *file, int fd, uint64_t bytes)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].p != NULL && old[i].inode == st.st_ino && old[i].device == st.st_dev &&
            old[i].n == bytes) {
            *file = old[i];
            old[i].p = NULL;
            return 0;
        }
    }
    int r = file_map(file, fd, bytes);
    if (r == 0 && file->p != NULL && mprotect(file->p, file->n, PROT_READ) < 0) {
        r = -errno;
        file_done(file);
    }
    return r;
}

static void close_fds(struct worker *worker)
{
    for (size_t i = 0; i < worker->n_fds; i++) {
        close(worker->fds[i]);
    }
    worker->n_fds = 0;
}

/* --- the socket --------------------------------------------------------------------------------
 */

static int send_packet(struct worker *worker, const struct buf *packet, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec iov = {.iov_base = packet->p, .iov_len = packet->n};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        header.msg_control = &control;
        header.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        ensure(c != NULL); /* there is room for one */
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    ssize_t n;
    do {
        n = sendmsg(worker->fd, &header, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static int take_rights(struct worker *worker, struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        size_t n = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS
                       ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int)
                       : 0;
        if (n > WIRE_WORKER_FDS_MAX - worker->n_fds) {
            return -EPROTO; /* the room for control data holds no more */
        }
        memcpy(worker->fds + worker->n_fds, CMSG_DATA(c), n * sizeof(int));
        worker->n_fds += n;
    }
    return (header->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ? -EPROTO : 0;
}

/* The next packet. 0; -ENODATA when the daemon's end is closed; -errno. */
static int receive_packet(struct worker *worker)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(WIRE_WORKER_FDS_MAX * sizeof(int))];
    } control;
    buf_clear(&worker->packet);
    uint8_t *room = buf_reserve(&worker->packet, WIRE_WORKER_BYTES_MAX);
    if (room == NULL) {
        return -ENOMEM;
    }
    struct iovec iov = {.iov_base = room, .iov_len = WIRE_WORKER_BYTES_MAX};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    ssize_t n;
    do {
        n = recvmsg(worker->fd, &header, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return n < 0 && errno != ECONNRESET ? -errno : -ENODATA;
    }
    buf_extend(&worker->packet, (size_t)n);
    return take_rights(worker, &header);
}

static int say_hello(struct worker *worker)
{
    static struct wire_worker_hello hello; /* large */
    struct buf packet;
    hello.version = WIRE_WORKER_VERSION;
    hello.library = slice_str(MESH_VERSION);
    const struct mesh_entry *entry = mesh_function_first();
    for (; entry != NULL && hello.n_functions < WIRE_FUNCTIONS_MAX; entry = entry->next) {
        hello.functions[hello.n_functions++] = slice_str(entry->name);
    }
    buf_init(&packet, WIRE_WORKER_BYTES_MAX);
    int r = wire_worker_hello_encode(&hello, &packet);
    r = r == 0 ? send_packet(worker, &packet, -1) : r;
    buf_done(&packet);
    return r;
}

/* --- a call ------------------------------------------------------------------------------------
 */

static void run_function(mesh_task *task, mesh_function *function)
{
    int r = function(task);
    if (r != 0) {
        mesh_task_fail(task, WIRE_CALL_FAILED, "%s: returned %d", task->function, r);
    }
}

static int run_single(mesh_task *task, mesh_function *function, struct mesh_writer *writer)
{
    run_function(task, function);
    return task->status == WIRE_CALL_OK ? mesh_task_write(task, writer) : 0;
}

struct failure {
    uint32_t i, status, text_bytes;
};

static void note_failure(struct buf *failures, uint32_t i, const mesh_task *task)
{
    struct failure failure = {
        .i = i, .status = task->status, .text_bytes = (uint32_t)strlen(task->text)};
    buf_append(failures, &failure, sizeof(failure));
    buf_append(failures, task->text, failure.text_bytes);
}

static void write_failures(struct mesh_writer *writer, const struct buf *failures)
{
    for (size_t at = 0; at < failures->n;) {
        struct failure failure;
        memcpy(&failure, failures->p + at, sizeof(failure));
        at += sizeof(failure);
        mesh_writer_failure(writer, failure.i, failure.status,
                            slice_of(failures->p + at, failure.text_bytes));
        at += failure.text_bytes;
    }
}

/* All elements of a map's chunk. Each may fail alone. */
static int run_chunk(mesh_task *task, mesh_function *function, const struct mesh_chunk *chunk,
                     struct mesh_writer *writer)
{
    struct mesh_result out = {.fd = -1};
    struct buf failures;
    int r = mesh_result_space(&out, (size_t)(chunk->n * chunk->out_bytes));
    if (r < 0) {
        return r;
    }
    struct mesh_arg elements = task->args[0];
    buf_init(&failures, (size_t)chunk->n * (sizeof(struct failure) + sizeof(task->text)));
    for (uint32_t i = 0; i < chunk->n; i++) {
        task->args[0] = (struct mesh_arg){.kind = MESH_ARG_ELEMENT,
                                          .p = elements.p + i * chunk->in_bytes,
                                          .n = (size_t)chunk->in_bytes};
        run_function(task, function);
        if (task->status == WIRE_CALL_OK) {
            mesh_task_give(task, out.p + i * chunk->out_bytes, (size_t)chunk->out_bytes);
        }
        if (task->status != WIRE_CALL_OK) {
            note_failure(&failures, i, task);
        }
        if (task->args[0].is_copied) {
            mem_free(task->args[0].p);
        }
        mesh_task_reset(task);
    }
    task->args[0] = elements;
    task->result = out;
    r = mesh_task_write(task, writer);
    write_failures(writer, &failures);
    r = r == 0 ? buf_error(&failures) : r;
    buf_done(&failures);
    return r;
}

/* Maps what came with the call. 0 or -errno. */
static int map_files(struct worker *worker, const struct wire_worker_call *call)
{
    struct file old[WIRE_CALL_REFS_MAX];
    size_t n_old = worker->n_refs;
    size_t i_fd = 0;
    int r = 0;
    memcpy(old, worker->refs, sizeof(old));
    worker->n_refs = 0;
    if (call->args.is_fd) {
        r = file_map(&worker->args, worker->fds[i_fd++], call->args.bytes);
    }
    for (uint32_t i = 0; r == 0 && i < call->n_refs; i++) {
        worker->refs[i] = (struct file){0};
        r = ref_map(old, n_old, &worker->refs[i], worker->fds[i_fd++], call->ref_bytes[i]);
        worker->n_refs = i + 1;
    }
    for (size_t i = 0; i < n_old; i++) {
        file_done(&old[i]);
    }
    return r;
}

static int run_call(struct worker *worker, const struct wire_worker_call *call,
                    struct mesh_writer *writer)
{
    mesh_task *task = &worker->task;
    struct slice refs[WIRE_CALL_REFS_MAX];
    struct mesh_chunk chunk;
    struct slice body = call->args.inlined;
    int r = map_files(worker, call);
    if (r < 0) {
        return r;
    }
    if (call->args.is_fd) {
        body = slice_of(worker->args.p, worker->args.n);
    } else if (body.n >= MESH_ALIGNED_BYTES && (uintptr_t)body.p % MESH_ALIGN != 0) {
        /* Moved to the front of the packet, which is aligned and not needed any more. */
        memmove(worker->packet.p, body.p, body.n);
        body.p = worker->packet.p;
    }
    for (size_t i = 0; i < worker->n_refs; i++) {
        refs[i] = slice_of(worker->refs[i].p, worker->refs[i].n);
    }
    mesh_function *function = mesh_function_find(task->function, strlen(task->function));
    if (function == NULL) {
        mesh_task_fail(task, WIRE_CALL_NO_FUNCTION,
                       "the program registers no function named \"%s\"", task->function);
        return 0;
    }
    if (mesh_task_begin(task, body, refs, worker->n_refs, &chunk) < 0) {
        return 0;
    }
    return chunk.n > 0 ? run_chunk(task, function, &chunk, writer)
                       : run_single(task, function, writer);
}

static uint64_t us_of(struct timeval now, struct timeval then)
{
    return (uint64_t)((now.tv_sec - then.tv_sec) * 1000000 + (now.tv_usec - then.tv_usec));
}

static int send_return(struct worker *worker, struct wire_worker_return *ret,
                       struct mesh_body *value)
{
    struct buf packet;
    ret->value = (struct wire_worker_body){.is_fd = value->fd >= 0, .bytes = value->n};
    if (value->fd < 0) {
        ret->value.inlined = mesh_body_slice(value);
    }
    buf_init(&packet, WIRE_WORKER_BYTES_MAX);
    int r = wire_worker_return_encode(ret, &packet);
    r = r == 0 ? send_packet(worker, &packet, value->fd) : r;
    buf_done(&packet);
    return r;
}

static int answer(struct worker *worker, const struct wire_worker_call *call)
{
    mesh_task *task = &worker->task;
    struct mesh_writer writer;
    struct mesh_body value;
    struct rusage after;
    uint64_t serial = call->serial;
    snprintf(task->function, sizeof(task->function), "%.*s", SLICE_FMT(call->function));
    snprintf(task->peer, sizeof(task->peer), "%.*s", SLICE_FMT(call->peer));
    task->attempt = call->attempt;
    mesh_task_reset(task);
    mesh_writer_init(&writer);
    mesh_body_init(&value);
    int r = run_call(worker, call, &writer);
    IGNORE(getrusage(RUSAGE_SELF, &after)); /* cannot fail */
    if (r == 0 && task->status == WIRE_CALL_OK) {
        r = mesh_writer_finish(&writer, WIRE_INLINE_BYTES_MAX, &value);
    } else {
        mesh_writer_done(&writer);
    }
    if (r < 0) {
        mesh_task_fail(task, WIRE_CALL_NO_MEMORY, "%s: %s", task->function,
                       r == -E2BIG ? "the result is too large" : strerror(-r));
    }
    IGNORE(fflush(stdout)); /* what cannot be printed is lost, as in any program */
    IGNORE(fflush(stderr));
    struct wire_worker_return ret = {.serial = serial,
                                     .status = task->status,
                                     .text = slice_str(task->text),
                                     .user_us = us_of(after.ru_utime, worker->usage.ru_utime),
                                     .sys_us = us_of(after.ru_stime, worker->usage.ru_stime),
                                     .peak_kib = (uint64_t)after.ru_maxrss};
    worker->usage = after; /* what it takes to answer and to receive counts for the next */
    r = send_return(worker, &ret, &value);
    mesh_body_done(&value);
    mesh_task_end(task);
    file_done(&worker->args);
    return r;
}

/* One packet. 0; -ENODATA at the end; -errno with words on standard error. */
static int serve(struct worker *worker)
{
    static struct wire_worker_call call; /* large */
    const char *fault = "descriptors are missing";
    int r = receive_packet(worker);
    enum wire_worker_type type = WIRE_WORKER_NONE;
    if (r == 0) {
        r = wire_worker_type_of(buf_slice(&worker->packet), &type);
    }
    if (r == 0 && type == WIRE_WORKER_CALL) {
        r = wire_worker_call_decode(buf_slice(&worker->packet), &call, &fault);
        if (r == 0 && wire_worker_call_fds(&call) != worker->n_fds) {
            r = -EPROTO;
        }
        if (r < 0) {
            fprintf(stderr, "mesh: a call that cannot be read: %s\n", fault);
        } else {
            r = answer(worker, &call);
        }
    }
    close_fds(worker);
    return r;
}

int mesh_worker_run(int fd)
{
    static struct worker worker; /* large, and there is one */
    worker.fd = fd;
    worker.task.result.fd = -1;
    buf_init(&worker.packet, WIRE_WORKER_BYTES_MAX);
    IGNORE(getrusage(RUSAGE_SELF, &worker.usage)); /* cannot fail */
    int r = say_hello(&worker);
    while (r == 0) {
        r = serve(&worker);
    }
    for (size_t i = 0; i < worker.n_refs; i++) {
        file_done(&worker.refs[i]);
    }
    buf_done(&worker.packet);
    if (r < 0 && r != -ENODATA && r != -EPIPE) {
        fprintf(stderr, "mesh: the worker ends: %s\n", strerror(-r));
    }
    return r == -ENODATA || r == -EPIPE ? 0 : 1;
}

void mesh_init(void)
{
    const char *text = getenv(WIRE_WORKER_ENV);
    uint64_t fd;
    if (text == NULL) {
        return;
    }
    if (text_parse_u64(text, INT32_MAX, &fd) < 0 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0) {
        fprintf(stderr, "mesh: %s=%s names no descriptor\n", WIRE_WORKER_ENV, text);
        exit(1);
    }
    IGNORE(unsetenv(WIRE_WORKER_ENV)); /* what it starts is no worker */
    struct errmsg err;
    if (mesh_functions_check(&err) < 0) {
        fprintf(stderr, "mesh: %s\n", err.text);
        exit(1);
    }
    exit(mesh_worker_run((int)fd));
}
