#include "tests/lib/fake_daemon.h"

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
#include "wire/base/mem.h"
#include "wire/limits.h"

#define CREDIT_DEFAULT 64u
#define JOB            7u

/* A result that is ready and waits for its turn. */
struct ready {
    uint32_t task;
    struct wire_result result;
    uint32_t refusal;
    int out_fd, err_fd;
    const char *peer;
};

struct server {
    const struct fake_daemon_options *options;
    struct mesh_client *client; /* the same transport serves both ends */
    int program_fd;
    bool is_streamed;
    uint32_t n_added, n_done, n_end;
    uint32_t n_failed;
    bool has_end, is_hanging;
    struct ready *ready;
    uint32_t n_ready, cap_ready;
};

static void die(const char *what)
{
    fprintf(stderr, "fake daemon: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void send_message(struct server *server, const struct wire_message *message, const int *fds,
                         unsigned n_fds)
{
    struct errmsg err = {{0}};
    int r = mesh_client_send(server->client, message, fds, n_fds, &err);
    if (r < 0 && r != -EPIPE) {
        errno = -r;
        die(err.text);
    }
}

static uint64_t fd_bytes(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        die("fstat");
    }
    return (uint64_t)st.st_size;
}

/* The output of a task: inline if it fits, else by descriptor. */
static unsigned fill_output(struct wire_output *output, int fd, uint8_t *space, int *fds,
                            unsigned n_fds)
{
    output->bytes = fd_bytes(fd);
    if (output->bytes > WIRE_INLINE_BYTES_MAX) {
        output->hash.b[0] = 1;
        fds[n_fds++] = dup(fd);
    } else {
        ssize_t n = pread(fd, space, WIRE_INLINE_BYTES_MAX, 0);
        output->inlined = slice_of(space, (size_t)n);
    }
    return n_fds;
}

static void stream_fd(struct server *server, uint32_t task, uint32_t stream, int fd)
{
    static uint8_t bytes[WIRE_CHUNK_BYTES_MAX];
    uint64_t offset = 0;
    bool is_second = server->options->stream_offset == 0;
    for (;;) {
        ssize_t n = pread(fd, bytes, 5000, (off_t)offset);
        if (n <= 0 && is_second) {
            return;
        }
        if (n <= 0) { /* once more, as a second attempt would */
            is_second = true;
            offset = server->options->stream_offset;
            continue;
        }
        struct wire_message message = {.type = WIRE_MESSAGE_CLIENT_STREAM};
        message.client_stream = (struct wire_client_stream){.job = JOB,
                                                            .task = task,
                                                            .stream = stream,
                                                            .offset = offset,
                                                            .bytes = slice_of(bytes, (size_t)n)};
        send_message(server, &message, NULL, 0);
        offset += (uint64_t)n;
    }
}

static void send_ready(struct server *server, struct ready *ready)
{
    static uint8_t out[WIRE_INLINE_BYTES_MAX], err[WIRE_INLINE_BYTES_MAX];
    struct wire_message message = {.type = WIRE_MESSAGE_DONE};
    struct wire_done *done = &message.done;
    int fds[2];
    unsigned n_fds = 0;
    *done = (struct wire_done){.job = JOB,
                               .task = ready->task,
                               .attempt = 1,
                               .n_runs = 1,
                               .peer_name = slice_str(ready->peer),
                               .refusal = ready->refusal,
                               .result = ready->result};
    if (server->is_streamed && ready->out_fd >= 0) {
        stream_fd(server, ready->task, WIRE_STREAM_OUT, ready->out_fd);
        stream_fd(server, ready->task, WIRE_STREAM_ERR, ready->err_fd);
    } else if (ready->out_fd >= 0) {
        n_fds = fill_output(&done->result.out, ready->out_fd, out, fds, n_fds);
        n_fds = fill_output(&done->result.err, ready->err_fd, err, fds, n_fds);
    }
    if (ready->out_fd >= 0) {
        close(ready->out_fd);
        close(ready->err_fd);
    }
    send_message(server, &message, fds, n_fds);
    server->n_done++;
    bool is_failed = ready->result.end != WIRE_END_EXITED || ready->result.status != 0;
    server->n_failed += is_failed;
    struct wire_message credit = {.type = WIRE_MESSAGE_TASK_CREDIT};
    credit.task_credit.job = JOB;
    credit.task_credit.tasks_max = server->n_done + server->options->credit;
    send_message(server, &credit, NULL, 0);
}

static void finish_if_over(struct server *server)
{
    if (!server->has_end || server->n_done < server->n_end) {
        return;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_JOB_DONE};
    message.job_done = (struct wire_job_done){.job = JOB,
                                              .n_tasks = server->n_done,
                                              .n_succeeded = server->n_done - server->n_failed,
                                              .n_failed = server->n_failed};
    send_message(server, &message, NULL, 0);
    server->has_end = false;
}

static void send_all_ready(struct server *server)
{
    for (uint32_t i = 0; i < server->n_ready; i++) {
        uint32_t at = server->options->is_reversed ? server->n_ready - 1 - i : i;
        send_ready(server, &server->ready[at]);
    }
    server->n_ready = 0;
}

static void add_ready(struct server *server, const struct ready *ready)
{
    if (server->n_ready == server->cap_ready) {
        server->cap_ready = server->cap_ready * 2 + 64;
        server->ready = mem_realloc(server->ready, server->cap_ready, sizeof(*ready));
    }
    server->ready[server->n_ready++] = *ready;
}

static _Noreturn void exec_task(const struct server *server, const struct wire_slices *argv,
                                int in_fd, int out_fd, int err_fd)
{
    char **words = calloc(argv->n + 1, sizeof(*words));
    for (uint32_t i = 0; i < argv->n; i++) {
        words[i] = strndup((const char *)argv->items[i].p, argv->items[i].n);
    }
    if (in_fd < 0) {
        in_fd = open("/dev/null", O_RDONLY);
    } else {
        lseek(in_fd, 0, SEEK_SET);
    }
    dup2(in_fd, 0);
    dup2(out_fd, 1);
    dup2(err_fd, 2);
    if (server->program_fd >= 0) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", server->program_fd);
        fcntl(server->program_fd, F_SETFD, 0);
        execv(path, words);
    }
    execvp(words[0], words);
    _exit(127);
}

static void run_task(struct server *server, const struct wire_slices *argv, int in_fd,
                     struct ready *ready)
{
    pid_t pid = fork();
    if (pid == 0) {
        exec_task(server, argv, in_fd, ready->out_fd, ready->err_fd);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        die("task");
    }
    ready->result.end = WIFEXITED(status) ? WIRE_END_EXITED : WIRE_END_SIGNALED;
    ready->result.status = (uint32_t)(WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    ready->result.wall_us = 1500;
}

static bool word_is(struct slice word, const char *text)
{
    return slice_eq_str(word, text);
}

/* Plays the words that begin with @. False: it is a real command. */
static bool play(struct server *server, const struct wire_slices *argv, struct ready *ready)
{
    bool is_line = argv->n == 3 && word_is(argv->items[0], "sh");
    struct slice word = argv->items[is_line ? 2 : 0];
    ready->result.end = WIRE_END_EXITED;
    if (word_is(word, "@ok")) {
        IGNORE(write(ready->out_fd, argv->items[1].p, argv->items[1].n));
        IGNORE(write(ready->out_fd, "\n", 1));
    } else if (word_is(word, "@signal")) {
        ready->result.end = WIRE_END_SIGNALED;
        ready->result.status = (uint32_t)(argv->items[1].p[0] - '0');
    } else if (word_is(word, "@lost")) {
        ready->result.end = WIRE_END_LOST;
    } else if (word_is(word, "@timeout")) {
        ready->result.end = WIRE_END_TIMEOUT;
    } else if (word_is(word, "@missing")) {
        ready->result.end = WIRE_END_NOT_STARTED;
        ready->refusal = WIRE_REFUSAL_NOT_FOUND;
        ready->peer = "";
    } else if (word_is(word, "@gone")) {
        ready->result.end = WIRE_END_NOT_STARTED;
        ready->refusal = WIRE_REFUSAL_NOT_FOUND;
        ready->result.detail = slice_str("command not found (No such file or directory)");
        ready->peer = "";
    } else if (word_is(word, "@wrong-arch")) {
        ready->result.end = WIRE_END_NOT_STARTED;
        ready->refusal = WIRE_REFUSAL_WRONG_ARCH;
        ready->peer = "";
    } else if (word_is(word, "@evil")) {
        ready->result.status = 1;
        ready->peer = "\033[31mevil";
    } else if (word_is(word, "@hang")) {
        server->is_hanging = true;
    } else if (word_is(word, "@gone")) {
        _exit(0);
    } else {
        return false;
    }
    return true;
}

static void on_task(struct server *server, const struct wire_add_task *task)
{
    struct ready ready = {.task = task->task, .peer = "lily"};
    ready.out_fd = memfd_create("out", MFD_CLOEXEC);
    ready.err_fd = memfd_create("err", MFD_CLOEXEC);
    server->n_added++;
    if (!play(server, &task->argv, &ready)) {
        int in_fd = task->has_input ? mesh_client_take_fd(server->client, 0) : -1;
        run_task(server, &task->argv, in_fd, &ready);
        if (in_fd >= 0) {
            close(in_fd);
        }
    }
    if (server->is_hanging) {
        ready.result.end = WIRE_END_CANCELLED;
    }
    if (ready.result.end == WIRE_END_LOST || ready.result.end == WIRE_END_NOT_STARTED ||
        ready.result.end == WIRE_END_CANCELLED) {
        close(ready.out_fd);
        close(ready.err_fd);
        ready.out_fd = ready.err_fd = -1;
    }
    if (server->options->is_reversed || server->is_hanging) {
        add_ready(server, &ready);
        if (server->options->is_reversed && server->n_ready == server->options->credit) {
            send_all_ready(server);
        }
    } else {
        send_ready(server, &ready);
    }
}

static void on_submit(struct server *server, const struct wire_submit *submit)
{
    struct wire_message message = {.type = WIRE_MESSAGE_ACCEPTED};
    if (server->options->refuse != 0) {
        message.type = WIRE_MESSAGE_ERROR;
        message.error.error = server->options->refuse;
        message.error.text = slice_str("the fake daemon refuses");
        send_message(server, &message, NULL, 0);
        return;
    }
    server->is_streamed = submit->spec.is_streamed;
    server->program_fd = submit->spec.files.n > 0 ? mesh_client_take_fd(server->client, 0) : -1;
    message.accepted = (struct wire_accepted){.job = JOB, .tasks_max = server->options->credit};
    send_message(server, &message, NULL, 0);
    if (server->options->n_peers == 0) {
        message.type = WIRE_MESSAGE_NOTICE;
        message.notice = (struct wire_notice){
            .job = JOB, .text = slice_str("no other peer in sight: \033[31mrunning here")};
        send_message(server, &message, NULL, 0);
        message.notice = (struct wire_notice){
            .job = JOB, .text = slice_str("half of it has come"), .is_progress = true};
        send_message(server, &message, NULL, 0);
    }
}

static void on_peers_query(struct server *server)
{
    static const char *const names[] = {"hal", "lily", "mary", "\033[2Jbad"};
    struct wire_peer_row rows[4] = {0};
    uint32_t n = server->options->n_peers + 1;
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = (struct wire_peer_row){.name = slice_str(names[i]),
                                         .arch = slice_str("x86_64"),
                                         .os = slice_str("linux"),
                                         .version = slice_str("0.1.0"),
                                         .address = slice_str("10.0.0.1:7766"),
                                         .cores = 4,
                                         .free = 3,
                                         .state = WIRE_PEER_UP,
                                         .is_local = i == 0,
                                         .has_rtt = i > 0,
                                         .rtt_us = 312};
        memset(rows[i].key.b, (int)i + 1, sizeof(rows[i].key.b));
    }
    if (server->options->is_crowded) {
        rows[2].name = slice_str("lily");
        rows[2].state = WIRE_PEER_CONFLICT;
        rows[2].detail = slice_str("the name lily is pinned to 0810-40g2");
        rows[3].state = WIRE_PEER_REFUSED;
        rows[3].detail = slice_str("another\033[31m mesh");
    }
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS_LIST};
    message.peers_list = (struct wire_peers_list){.items = rows, .n = n};
    send_message(server, &message, NULL, 0);
}

static void on_stats_query(struct server *server)
{
    struct wire_stats_row rows[2] = {
        {.name = slice_str("hal"), .is_local = true, .n_tasks = 3, .wall_us = 3000000},
        {.name = slice_str("lily"), .n_tasks = 1, .n_failed = 1, .n_lost = 2, .wall_us = 500000}};
    rows[0].key.b[0] = 1;
    rows[1].key.b[0] = 2;
    struct wire_message message = {.type = WIRE_MESSAGE_STATS_LIST};
    message.stats_list = (struct wire_stats_list){
        .items = rows, .n = 2, .uptime_us = 12500000, .n_running = 2, .cores = 8};
    send_message(server, &message, NULL, 0);
}

static void on_jobs_query(struct server *server)
{
    struct wire_job_row row = {.job = 3,
                               .name = slice_str("render"),
                               .uid = 0,
                               .n_tasks = 10,
                               .n_waiting = 4,
                               .n_placed = 4,
                               .n_succeeded = 1,
                               .n_failed = 1,
                               .age_us = 90000000};
    struct wire_message message = {.type = WIRE_MESSAGE_JOBS_LIST};
    message.jobs_list = (struct wire_jobs_list){.items = &row, .n = 1};
    send_message(server, &message, NULL, 0);
}

static void answer(struct server *server, bool is_ok, uint32_t error, const char *text)
{
    struct wire_message message = {.type = WIRE_MESSAGE_OK};
    if (!is_ok) {
        message.type = WIRE_MESSAGE_ERROR;
        message.error = (struct wire_error_reply){.error = error, .text = slice_str(text)};
    }
    send_message(server, &message, NULL, 0);
}

static void on_invite(struct server *server, uint32_t valid_s)
{
    static const char *const addresses[] = {"[fe80::1%eth0]:7766", "[fe80::1]:7766", FAKE_ADDRESS,
                                            "hal.example:7766", FAKE_ADDRESS_V6};
    struct slice items[ARRAY_LEN(addresses)];
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        items[i] = slice_str(addresses[i]);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_INVITATION};
    message.invitation.valid_s = valid_s;
    message.invitation.addresses = (struct wire_slices){.items = items, .n = ARRAY_LEN(items)};
    if (!server->options->is_locked) {
        answer(server, false, WIRE_ERROR_INVALID, "this mesh is open");
        return;
    }
    if (server->options->n_peers == 0) {
        message.invitation.addresses.n = 2; /* none that could be reached */
    }
    message.invitation.key.b[0] = 1;
    memset(message.invitation.token.b, FAKE_TOKEN_BYTE, sizeof(message.invitation.token.b));
    send_message(server, &message, NULL, 0);
}

static void on_join(struct server *server, const struct wire_join *join)
{
    struct wire_token token;
    memset(token.b, FAKE_TOKEN_BYTE, sizeof(token.b));
    bool is_right = join->key.b[0] == 1 && memcmp(&join->token, &token, sizeof(token)) == 0 &&
                    join->addresses.n == 2 && word_is(join->addresses.items[0], FAKE_ADDRESS) &&
                    word_is(join->addresses.items[1], FAKE_ADDRESS_V6);
    answer(server, is_right, WIRE_ERROR_DENIED, "the inviter knows no such invitation");
}

static void on_trust(struct server *server, const struct wire_trust *trust)
{
    if (trust->is_removed) {
        answer(server, word_is(trust->name, "max"), WIRE_ERROR_UNKNOWN, "the name is not pinned");
    } else {
        answer(server, word_is(trust->name, "lily") && trust->key.b[0] == 2, WIRE_ERROR_INVALID,
               "that was not the peer");
    }
}

static void on_trust_query(struct server *server)
{
    struct wire_pin pins[] = {{.name = slice_str("max")}, {.name = slice_str("ros\033[31ma")}};
    struct wire_ban ban = {.generation = 2, .is_banned = true};
    memset(pins[0].key.b, 8, sizeof(pins[0].key.b));
    memset(ban.key.b, 9, sizeof(ban.key.b));
    struct wire_message message = {.type = WIRE_MESSAGE_TRUST_LIST};
    if (server->options->is_locked) {
        message.trust_list = (struct wire_trust_list){.is_locked = true,
                                                      .generation = 3,
                                                      .n_members = 4,
                                                      .pins = {.items = pins, .n = 2},
                                                      .bans = {.items = &ban, .n = 1}};
    }
    send_message(server, &message, NULL, 0);
}

static void on_cancel(struct server *server, uint64_t job)
{
    if (job != JOB && job != 3) {
        answer(server, false, WIRE_ERROR_UNKNOWN, "there is no such job: see mesh jobs");
        return;
    }
    if (job == 3) {
        answer(server, true, 0, NULL);
        return;
    }
    if (server->options->cancel_fd > 0) {
        if (write(server->options->cancel_fd, "", 1) != 1) {
            abort();
        }
        return;
    }
    send_all_ready(server);
    server->has_end = true;
    server->n_end = server->n_done;
    finish_if_over(server);
}

/* Of the closed mesh. True: the message was one of these. */
static bool on_trust_message(struct server *server, const struct wire_message *message)
{
    bool is_locked = server->options->is_locked;
    switch ((int)message->type) {
    case WIRE_MESSAGE_LOCK:
        answer(server, !is_locked, WIRE_ERROR_INVALID, "this peer is in a closed mesh already");
        return true;
    case WIRE_MESSAGE_UNLOCK:
        answer(server, is_locked, WIRE_ERROR_INVALID, "this peer is in no \033[31mclosed mesh");
        return true;
    case WIRE_MESSAGE_INVITE:
        on_invite(server, message->invite.valid_s);
        return true;
    case WIRE_MESSAGE_JOIN:
        on_join(server, &message->join);
        return true;
    case WIRE_MESSAGE_TRUST:
        on_trust(server, &message->trust);
        return true;
    case WIRE_MESSAGE_BAN:
        answer(server, message->ban.key.b[0] == (message->ban.is_removed ? 9 : 2),
               WIRE_ERROR_INVALID, "that was not the key");
        return true;
    case WIRE_MESSAGE_TRUST_QUERY:
        on_trust_query(server);
        return true;
    default:
        return false;
    }
}

static void on_message(struct server *server, const struct wire_message *message)
{
    struct wire_message hello = {.type = WIRE_MESSAGE_DAEMON_HELLO};
    if (on_trust_message(server, message)) {
        return;
    }
    switch ((int)message->type) {
    case WIRE_MESSAGE_CLIENT_HELLO:
        hello.daemon_hello = (struct wire_daemon_hello){.protocol = WIRE_VERSION_MAX,
                                                        .version = slice_str("0.1.0"),
                                                        .name = slice_str("hal"),
                                                        .cores = 4};
        hello.daemon_hello.key.b[0] = 1;
        send_message(server, &hello, NULL, 0);
        break;
    case WIRE_MESSAGE_SUBMIT:
        on_submit(server, &message->submit);
        break;
    case WIRE_MESSAGE_ADD_TASK:
        on_task(server, &message->add_task);
        break;
    case WIRE_MESSAGE_SUBMIT_END:
        server->has_end = true;
        server->n_end = message->submit_end.n_tasks;
        if (!server->is_hanging) {
            send_all_ready(server);
        }
        finish_if_over(server);
        break;
    case WIRE_MESSAGE_JOB_CANCEL:
        on_cancel(server, message->job_cancel.job);
        break;
    case WIRE_MESSAGE_PEERS_QUERY:
        on_peers_query(server);
        break;
    case WIRE_MESSAGE_STATS_QUERY:
        on_stats_query(server);
        break;
    case WIRE_MESSAGE_JOBS_QUERY:
        on_jobs_query(server);
        break;
    case WIRE_MESSAGE_SET_CORES:
        answer(server, message->set_cores.cores != 13, WIRE_ERROR_DENIED, "not your daemon");
        break;
    default:
        break;
    }
}

static void serve(const struct fake_daemon_options *options, int fd)
{
    struct server server = {.options = options, .program_fd = -1};
    server.client = mesh_client_new(fd);
    for (;;) {
        const struct wire_message *message;
        struct errmsg err;
        if (options->is_silent) {
            pause();
        }
        if (mesh_client_next(server.client, -1, &message, &err) < 0) {
            break;
        }
        on_message(&server, message);
    }
    if (server.program_fd >= 0) {
        close(server.program_fd);
    }
    mem_free(server.ready);
    mesh_client_free(server.client);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(path, 0666) < 0 || listen(fd, 8) < 0) {
        die(path);
    }
    return fd;
}

static _Noreturn void run_daemon(const struct fake_daemon *daemon,
                                 const struct fake_daemon_options *options, int ready_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (options->uid != 0 && setuid(options->uid) < 0) {
        die("setuid");
    }
    struct fake_daemon_options with_defaults = *options;
    with_defaults.credit = options->credit != 0 ? options->credit : CREDIT_DEFAULT;
    int listening = listen_at(daemon->path); /* its credentials are those of this moment */
    IGNORE(write(ready_fd, "", 1));
    close(ready_fd);
    for (;;) {
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            serve(&with_defaults, fd);
        }
    }
}

void fake_daemon_start(struct fake_daemon *daemon, const struct fake_daemon_options *options)
{
    memset(daemon, 0, sizeof(*daemon));
    snprintf(daemon->dir, sizeof(daemon->dir), "/tmp/mesh-test-XXXXXX");
    int ready[2];
    if (mkdtemp(daemon->dir) == NULL || chmod(daemon->dir, 0777) < 0 ||
        pipe2(ready, O_CLOEXEC) < 0) {
        abort();
    }
    snprintf(daemon->path, sizeof(daemon->path), "%s/mesh.sock", daemon->dir);
    daemon->pid = fork();
    if (daemon->pid == 0) {
        run_daemon(daemon, options, ready[1]);
    }
    close(ready[1]);
    char byte;
    if (read(ready[0], &byte, 1) != 1) {
        abort();
    }
    close(ready[0]);
}

void fake_daemon_stop(struct fake_daemon *daemon)
{
    kill(daemon->pid, SIGKILL);
    waitpid(daemon->pid, NULL, 0);
    unlink(daemon->path);
    rmdir(daemon->dir);
}
