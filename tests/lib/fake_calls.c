#include "tests/lib/fake_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/client/client_internal.h"
#include "mesh/client/task.h"
#include "wire/worker.h"

#define WORKERS_MAX 8u
#define TASKS_MAX   65536u
#define BLOBS_MAX   4096u
#define JOBS_MAX    256u

struct task {
    uint64_t job;
    uint32_t number;
    char function[256];
    uint8_t *args;
    size_t n_args;
    int input;
    bool keeps_result, is_lost;                /* what it reads is */
    uint32_t n_refs, refs[WIRE_CALL_REFS_MAX]; /* indices of blobs */
};

struct worker {
    pid_t pid;
    int fd, out_fd;
    bool is_busy, is_cancelled;
    struct task task;
};

struct blob {
    int fd;
    uint64_t bytes;
    uint32_t n_pins;
    bool is_away, is_lost;
};

struct daemon {
    const struct fake_calls_options *options;
    struct fake_calls_counts *counts;
    struct mesh_client *client;
    struct worker workers[WORKERS_MAX];
    uint32_t n_workers;
    struct task queue[TASKS_MAX];
    uint32_t first, end;
    struct blob blobs[BLOBS_MAX];
    uint32_t n_blobs;
    struct {
        uint64_t added, done;
    } jobs[JOBS_MAX];
    uint64_t next_job;
    uint32_t n_done;
    bool is_last;
};

static void die(const char *what)
{
    fprintf(stderr, "fake daemon: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void send_message(struct daemon *daemon, const struct wire_message *message, const int *fds,
                         unsigned n_fds)
{
    struct errmsg err = {{0}};
    int r = mesh_client_send(daemon->client, message, fds, n_fds, &err);
    if (r < 0 && r != -EPIPE) {
        errno = -r;
        die(err.text);
    }
}

/* --- blobs -------------------------------------------------------------------------------------
 */

static struct wire_hash add_blob(struct daemon *daemon, int fd, uint64_t *ret_bytes)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || daemon->n_blobs == BLOBS_MAX) {
        die("blob");
    }
    uint32_t i = daemon->n_blobs++;
    daemon->blobs[i] = (struct blob){.fd = fd, .bytes = (uint64_t)st.st_size, .n_pins = 1};
    *ret_bytes = daemon->blobs[i].bytes;
    daemon->counts->n_unreleased++;
    struct wire_hash hash = {{1, (uint8_t)(i >> 8), (uint8_t)i}};
    return hash;
}

static uint32_t blob_of(const struct wire_hash *hash)
{
    return (uint32_t)hash->b[1] << 8 | hash->b[2];
}

/* --- workers -----------------------------------------------------------------------------------
 */

static void start_worker(struct worker *worker)
{
    int pair[2], out[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
        pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0) {
        die("socketpair");
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fcntl(out[1], F_SETFL, 0);
        if (dup2(out[1], 1) < 0 || dup2(out[1], 2) < 0) {
            _exit(98);
        }
        close(pair[0]);
        _exit(mesh_worker_run(pair[1]));
    }
    close(pair[1]);
    close(out[1]);
    *worker = (struct worker){.pid = pid, .fd = pair[0], .out_fd = out[0]};
    uint8_t hello[WIRE_WORKER_BYTES_MAX];
    if (recv(worker->fd, hello, sizeof(hello), 0) <= 0) {
        die("no hello");
    }
}

static void end_worker(struct worker *worker)
{
    close(worker->fd);
    close(worker->out_fd);
}

static void send_call(struct daemon *daemon, struct worker *worker)
{
    static struct wire_worker_call call;
    struct task *task = &worker->task;
    int fds[WIRE_WORKER_FDS_MAX];
    size_t n_fds = 0;
    struct stat st = {0};
    memset(&call, 0, sizeof(call));
    call.serial = daemon->n_done + 1;
    call.function = slice_str(task->function);
    call.attempt = 1;
    call.peer = slice_str("hal");
    if (task->input >= 0) {
        fstat(task->input, &st);
        fds[n_fds++] = task->input;
        call.args.is_fd = true;
        call.args.bytes = (uint64_t)st.st_size;
    } else {
        call.args.inlined = slice_of(task->args, task->n_args);
        call.args.bytes = task->n_args;
    }
    call.n_refs = task->n_refs;
    for (uint32_t i = 0; i < task->n_refs; i++) {
        call.ref_bytes[i] = daemon->blobs[task->refs[i]].bytes;
        fds[n_fds++] = daemon->blobs[task->refs[i]].fd;
    }
    struct buf packet;
    buf_init(&packet, WIRE_WORKER_BYTES_MAX);
    if (wire_worker_call_encode(&call, &packet) < 0) {
        die("encode");
    }
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(WIRE_WORKER_FDS_MAX * sizeof(int))];
    } control = {{0}};
    struct iovec iov = {.iov_base = packet.p, .iov_len = packet.n};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > 0) {
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    if (sendmsg(worker->fd, &header, MSG_NOSIGNAL) < 0) {
        die("call");
    }
    buf_done(&packet);
    if (task->input >= 0) {
        close(task->input);
    }
    free(task->args);
    worker->is_busy = true;
    daemon->counts->n_begun++;
}

static void count_done(struct daemon *daemon, uint64_t job)
{
    daemon->n_done++;
    daemon->counts->n_open--;
    daemon->jobs[job].done++;
    struct wire_message credit = {.type = WIRE_MESSAGE_TASK_CREDIT};
    credit.task_credit.job = job;
    credit.task_credit.tasks_max = daemon->jobs[job].done + daemon->options->credit;
    send_message(daemon, &credit, NULL, 0);
    if (daemon->n_done == daemon->options->die_after && !daemon->is_last) {
        _exit(0);
    }
}

/* Whether it is lost, now that somebody wants it. */
static bool is_lost(struct daemon *daemon, const struct wire_hash *hash)
{
    struct blob *blob = &daemon->blobs[blob_of(hash)];
    if (blob->is_away && !blob->is_lost && daemon->counts->n_lost < daemon->options->n_losses) {
        struct wire_message gone = {.type = WIRE_MESSAGE_GONE};
        gone.gone.hash = *hash;
        blob->is_lost = true;
        daemon->counts->n_lost++;
        send_message(daemon, &gone, NULL, 0);
    }
    return blob->is_lost;
}

static void send_done(struct daemon *daemon, uint32_t i_worker, struct wire_result *result, int fd)
{
    static const char *const names[] = {"hal", "lily", "mary", "zoe", "a", "b", "c", "d"};
    struct worker *worker = &daemon->workers[i_worker];
    static uint8_t printed[WIRE_INLINE_BYTES_MAX];
    struct wire_message message = {.type = WIRE_MESSAGE_DONE};
    ssize_t n = read(worker->out_fd, printed, sizeof(printed));
    if (n > 0) {
        result->err.bytes = (uint64_t)n;
        result->err.inlined = slice_of(printed, (size_t)n);
    }
    message.done = (struct wire_done){.job = worker->task.job,
                                      .task = worker->task.number,
                                      .attempt = 1,
                                      .n_runs = 1,
                                      .peer_name = slice_str(names[i_worker]),
                                      .result = *result};
    message.done.peer.b[0] = (uint8_t)(i_worker + 1);
    if (fd >= 0 && daemon->options->keeps_results && worker->task.keeps_result) {
        message.done.is_away = true;
        daemon->blobs[blob_of(&result->out.hash)].is_away = true;
        daemon->counts->n_away++;
        close(fd);
        fd = -1;
    }
    send_message(daemon, &message, &fd, fd >= 0 ? 1 : 0);
    worker->is_busy = false;
    count_done(daemon, worker->task.job);
}

static void on_crash(struct daemon *daemon, uint32_t i_worker)
{
    struct worker *worker = &daemon->workers[i_worker];
    int status = 0;
    waitpid(worker->pid, &status, 0);
    struct wire_result result = {.end = WIRE_END_SIGNALED, .status = (uint32_t)WTERMSIG(status)};
    if (WIFEXITED(status)) {
        result.end = WIRE_END_EXITED;
        result.status = WIRE_CALL_EXITED + (uint32_t)WEXITSTATUS(status);
    }
    if (worker->is_cancelled) {
        result = (struct wire_result){.end = WIRE_END_CANCELLED};
    }
    send_done(daemon, i_worker, &result, -1);
    end_worker(worker);
    start_worker(worker);
}

static void on_return(struct daemon *daemon, uint32_t i_worker)
{
    static uint8_t bytes[WIRE_WORKER_BYTES_MAX];
    struct worker *worker = &daemon->workers[i_worker];
    if (worker->is_cancelled) { /* killed, though it may have answered before */
        on_crash(daemon, i_worker);
        return;
    }
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(worker->fd, &header, MSG_CMSG_CLOEXEC);
    if (n <= 0) {
        on_crash(daemon, i_worker);
        return;
    }
    struct wire_worker_return ret;
    const char *fault;
    if (wire_worker_return_decode(slice_of(bytes, (size_t)n), &ret, &fault) < 0) {
        die(fault);
    }
    struct wire_result result = {
        .end = WIRE_END_EXITED, .status = ret.status, .wall_us = 100 + ret.user_us + ret.sys_us};
    result.detail = ret.text;
    result.out.bytes = ret.value.bytes;
    result.out.inlined = ret.value.inlined;
    int fd = -1;
    if (ret.value.is_fd) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(int));
        if ((fcntl(fd, F_GET_SEALS) & WIRE_WORKER_SEALS) != WIRE_WORKER_SEALS) {
            die("a value that is not sealed");
        }
        result.out.hash = add_blob(daemon, dup(fd), &result.out.bytes);
    }
    send_done(daemon, i_worker, &result, fd);
}

static void place(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->n_workers && daemon->first != daemon->end; i++) {
        struct worker *worker = &daemon->workers[i];
        if (!worker->is_busy) {
            worker->task = daemon->queue[daemon->first++ % TASKS_MAX];
            if (worker->task.is_lost) {
                struct wire_result result = {.end = WIRE_END_NO_DATA};
                free(worker->task.args);
                send_done(daemon, i, &result, -1);
                i--;
                continue;
            }
            send_call(daemon, worker);
        }
    }
}

/* --- the client --------------------------------------------------------------------------------
 */

static void on_add_task(struct daemon *daemon, const struct wire_add_task *add)
{
    struct task *task = &daemon->queue[daemon->end++ % TASKS_MAX];
    if (add->job >= daemon->next_job || add->task != ++daemon->jobs[add->job].added ||
        add->task > daemon->jobs[add->job].done + daemon->options->credit || add->argv.n != 1) {
        errno = EPROTO;
        die("a task out of order or beyond the credit");
    }
    *task = (struct task){
        .job = add->job, .number = add->task, .input = -1, .keeps_result = add->keeps_result};
    snprintf(task->function, sizeof(task->function), "%.*s", SLICE_FMT(add->argv.items[0]));
    if (add->has_input) {
        task->input = mesh_client_take_fd(daemon->client, 0);
    }
    task->args = malloc(add->args.n + 1);
    task->n_args = add->args.n;
    memcpy(task->args, add->args.p != NULL ? add->args.p : (const uint8_t *)"", add->args.n);
    for (uint32_t i = 0; i < add->refs.n; i++) {
        uint32_t blob = blob_of(&add->refs.items[i].hash);
        if (blob >= daemon->n_blobs || daemon->blobs[blob].n_pins == 0 ||
            daemon->blobs[blob].bytes != add->refs.items[i].bytes) {
            errno = EPROTO;
            die("a ref to what this connection did not put");
        }
        task->refs[task->n_refs++] = blob;
        task->is_lost |= is_lost(daemon, &add->refs.items[i].hash);
    }
    daemon->counts->n_tasks++;
    unsigned n = ++daemon->counts->n_open;
    if (n > daemon->counts->n_open_max) {
        daemon->counts->n_open_max = n;
    }
}

static void on_submit(struct daemon *daemon, const struct wire_submit *submit)
{
    struct wire_message message = {.type = WIRE_MESSAGE_ACCEPTED};
    daemon->counts->n_submits++;
    if (!submit->spec.is_call || submit->spec.files.n == 0) {
        errno = EPROTO;
        die("no job of calls");
    }
    if (daemon->options->refuse != 0) {
        message.type = WIRE_MESSAGE_ERROR;
        message.error.error = daemon->options->refuse;
        message.error.text = slice_str("the fake daemon refuses");
    } else {
        message.accepted =
            (struct wire_accepted){.job = daemon->next_job++, .tasks_max = daemon->options->credit};
    }
    send_message(daemon, &message, NULL, 0);
}

static void on_put(struct daemon *daemon, const struct wire_put *put)
{
    struct wire_message message = {.type = WIRE_MESSAGE_PUT_DONE};
    daemon->counts->n_puts++;
    message.put_done.id = put->id;
    if (daemon->options->refuses_puts) {
        message.put_done.error = WIRE_ERROR_LIMIT;
        message.put_done.text = slice_str("the store is full");
    } else {
        message.put_done.hash =
            add_blob(daemon, mesh_client_take_fd(daemon->client, 0), &message.put_done.bytes);
    }
    send_message(daemon, &message, NULL, 0);
}

static void on_peers_query(struct daemon *daemon)
{
    struct wire_peer_row rows[WORKERS_MAX] = {0};
    for (uint32_t i = 0; i < daemon->n_workers; i++) {
        rows[i] = (struct wire_peer_row){.name = slice_str(i == 0 ? "hal" : "lily"),
                                         .arch = slice_str("x86_64"),
                                         .os = slice_str("linux"),
                                         .version = slice_str("0.1.0"),
                                         .address = slice_str("10.0.0.1:7766"),
                                         .cores = i == 0 ? daemon->counts->cores : 1,
                                         .free = 1,
                                         .state = WIRE_PEER_UP,
                                         .is_local = i == 0};
        rows[i].key.b[0] = (uint8_t)(i + 1);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS_LIST};
    message.peers_list = (struct wire_peers_list){.items = rows, .n = daemon->n_workers};
    send_message(daemon, &message, NULL, 0);
}

static void on_release(struct daemon *daemon, const struct wire_hash *hash)
{
    uint32_t i = blob_of(hash);
    if (i >= daemon->n_blobs || daemon->blobs[i].n_pins == 0) {
        errno = EPROTO;
        die("a release of what is not there");
    }
    daemon->blobs[i].n_pins--;
    daemon->counts->n_unreleased--;
    daemon->counts->n_releases++;
}

static bool is_meant(const struct task *task, const struct wire_task_cancel *cancel)
{
    return task->job == cancel->job && task->number == cancel->task;
}

/* What waits is never begun, what runs is killed. */
static void on_task_cancel(struct daemon *daemon, const struct wire_task_cancel *cancel)
{
    for (uint32_t i = 0; i < daemon->n_workers; i++) {
        struct worker *worker = &daemon->workers[i];
        if (worker->is_busy && is_meant(&worker->task, cancel)) {
            worker->is_cancelled = true;
            kill(worker->pid, SIGKILL); /* its end is told when it is seen */
        }
    }
    for (uint32_t i = daemon->first; i != daemon->end; i++) {
        if (!is_meant(&daemon->queue[i % TASKS_MAX], cancel)) {
            continue;
        }
        free(daemon->queue[i % TASKS_MAX].args);
        for (uint32_t j = i; j != daemon->first; j--) {
            daemon->queue[j % TASKS_MAX] = daemon->queue[(j - 1) % TASKS_MAX];
        }
        daemon->first++;
        struct wire_message message = {.type = WIRE_MESSAGE_DONE};
        message.done = (struct wire_done){
            .job = cancel->job, .task = cancel->task, .result = {.end = WIRE_END_CANCELLED}};
        send_message(daemon, &message, NULL, 0);
        count_done(daemon, cancel->job);
        return;
    }
}

static void on_get(struct daemon *daemon, const struct wire_hash *hash)
{
    uint32_t i = blob_of(hash);
    struct wire_message message = {.type = WIRE_MESSAGE_GOT};
    int fd = -1;
    daemon->counts->n_gets++;
    message.got.hash = *hash;
    if (i >= daemon->n_blobs || daemon->blobs[i].n_pins == 0) {
        message.got.error = WIRE_ERROR_UNKNOWN;
    } else if (is_lost(daemon, hash)) {
        message.got.error = WIRE_ERROR_UNAVAILABLE;
    } else {
        message.got.bytes = daemon->blobs[i].bytes;
        daemon->blobs[i].is_away = false;
        fd = dup(daemon->blobs[i].fd);
    }
    send_message(daemon, &message, &fd, fd >= 0 ? 1 : 0);
}

static void on_message(struct daemon *daemon, const struct wire_message *message)
{
    struct wire_message answer = {.type = WIRE_MESSAGE_DAEMON_HELLO};
    switch ((int)message->type) {
    case WIRE_MESSAGE_CLIENT_HELLO:
        answer.daemon_hello = (struct wire_daemon_hello){.protocol = WIRE_VERSION_MAX,
                                                         .version = slice_str("0.1.0"),
                                                         .name = slice_str("hal"),
                                                         .cores = 1};
        answer.daemon_hello.key.b[0] = 1;
        send_message(daemon, &answer, NULL, 0);
        break;
    case WIRE_MESSAGE_SUBMIT:
        on_submit(daemon, &message->submit);
        break;
    case WIRE_MESSAGE_ADD_TASK:
        on_add_task(daemon, &message->add_task);
        break;
    case WIRE_MESSAGE_PUT:
        on_put(daemon, &message->put);
        break;
    case WIRE_MESSAGE_GET:
        on_get(daemon, &message->get.hash);
        break;
    case WIRE_MESSAGE_RELEASE:
        on_release(daemon, &message->release.hash);
        break;
    case WIRE_MESSAGE_TASK_CANCEL:
        on_task_cancel(daemon, &message->task_cancel);
        break;
    case WIRE_MESSAGE_DONE_ACK:
        daemon->counts->n_acked = (unsigned)message->done_ack.n_done;
        break;
    case WIRE_MESSAGE_SUBMIT_END:
        if (message->submit_end.n_tasks != daemon->jobs[message->submit_end.job].added) {
            errno = EPROTO;
            die("a wrong number of tasks");
        }
        break;
    case WIRE_MESSAGE_PEERS_QUERY:
        on_peers_query(daemon);
        break;
    case WIRE_MESSAGE_SET_CORES:
        answer.type = message->set_cores.cores != 13 ? WIRE_MESSAGE_OK : WIRE_MESSAGE_ERROR;
        answer.error.error = WIRE_ERROR_DENIED;
        answer.error.text = slice_str("not your daemon");
        if (answer.type == WIRE_MESSAGE_OK) {
            answer.ok.unused = 0;
            daemon->counts->cores = message->set_cores.cores;
        }
        send_message(daemon, &answer, NULL, 0);
        break;
    default:
        break;
    }
}

/* False when the client is gone. */
static bool receive(struct daemon *daemon)
{
    const struct wire_message *message;
    struct errmsg err;
    int r;
    while ((r = mesh_client_next(daemon->client, 0, &message, &err)) == 0) {
        on_message(daemon, message);
    }
    return r == -EAGAIN || r == -EINTR;
}

static void serve(struct daemon *daemon)
{
    bool is_there = true;
    while (is_there) {
        struct pollfd fds[WORKERS_MAX + 1];
        for (uint32_t i = 0; i < daemon->n_workers; i++) {
            fds[i] = (struct pollfd){.fd = daemon->workers[i].fd, .events = POLLIN};
        }
        fds[daemon->n_workers] = (struct pollfd){.fd = mesh_client_fd(daemon->client),
                                                 .events = mesh_client_poll_events(daemon->client)};
        poll(fds, daemon->n_workers + 1, -1);
        for (uint32_t i = 0; i < daemon->n_workers; i++) {
            if (fds[i].revents != 0) {
                on_return(daemon, i);
            }
        }
        is_there = receive(daemon);
        place(daemon);
    }
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0) {
        die(path);
    }
    return fd;
}

/* One daemon: a client or two, then its end. */
static _Noreturn void run_daemon(struct fake_calls *fake, const struct fake_calls_options *options,
                                 int listening, bool is_last)
{
    static struct daemon daemon;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fake->counts->n_daemons++;
    fake->counts->n_open = 0;
    for (;;) {
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            die("accept");
        }
        daemon.options = options;
        daemon.counts = fake->counts;
        daemon.is_last = is_last;
        daemon.client = mesh_client_new(fd);
        daemon.n_workers = options->n_workers;
        for (uint32_t i = 0; i < daemon.n_workers; i++) {
            start_worker(&daemon.workers[i]);
        }
        serve(&daemon);
        for (uint32_t i = 0; i < daemon.n_workers; i++) {
            kill(daemon.workers[i].pid, SIGKILL);
            waitpid(daemon.workers[i].pid, NULL, 0);
            end_worker(&daemon.workers[i]);
        }
        mesh_client_free(daemon.client);
        memset(&daemon, 0, sizeof(daemon));
    }
}

/* Starts one daemon after the other, as the last of them may not end. */
static _Noreturn void run_all(struct fake_calls *fake, const struct fake_calls_options *options,
                              int listening)
{
    struct fake_calls_options full = *options;
    full.n_workers = options->n_workers != 0 ? options->n_workers : 2;
    full.credit = options->credit != 0 ? options->credit : 256;
    uint32_t n = options->n_daemons != 0 ? options->n_daemons : 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint32_t i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            run_daemon(fake, &full, listening, i + 1 == n);
        }
        waitpid(pid, NULL, 0);
    }
    _exit(0);
}

void fake_calls_start(struct fake_calls *daemon, const struct fake_calls_options *options)
{
    memset(daemon, 0, sizeof(*daemon));
    snprintf(daemon->dir, sizeof(daemon->dir), "/tmp/mesh-test-XXXXXX");
    daemon->counts = mmap(NULL, sizeof(*daemon->counts), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mkdtemp(daemon->dir) == NULL || daemon->counts == MAP_FAILED) {
        abort();
    }
    daemon->counts->cores = 1;
    snprintf(daemon->path, sizeof(daemon->path), "%s/mesh.sock", daemon->dir);
    int listening = listen_at(daemon->path); /* there from the start, whoever accepts */
    daemon->pid = fork();
    if (daemon->pid == 0) {
        run_all(daemon, options, listening);
    }
    close(listening);
}

void fake_calls_stop(struct fake_calls *daemon)
{
    kill(daemon->pid, SIGKILL);
    waitpid(daemon->pid, NULL, 0);
    munmap(daemon->counts, sizeof(*daemon->counts));
    unlink(daemon->path);
    rmdir(daemon->dir);
}
