/* mesh-cell: the init of a cell. See cell_init.h.
 *
 * Happy path: set up, READY; START -> fork, exec -> STARTED; the program ends -> kill and reap
 * what it left, clear -> ENDED. KILL and an expired lease take the second half at once. When the
 * daemon's end of the socket closes, everything is killed and the init ends. An init that cannot
 * clean up says so and is thrown away by the daemon; one that cannot work at all exits with a line
 * on standard error, which the daemon reports. */
#include "mesh/cell_init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/clock.h"

static _Noreturn void die(const char *what, int error)
{
    dprintf(STDERR_FILENO, "mesh-cell: %s: %s\n", what, strerror(error));
    _exit(EXIT_FAILURE);
}

/* The daemon closed the socket, or is gone: nothing may go on without it. */
static _Noreturn void leave(struct init *init)
{
    int r = init_kill_all(init);
    if (!init->is_sandbox) {
        int cleared = init_clear(init);
        r = r < 0 ? r : cleared;
    }
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void reply(struct init *init, const struct cell_message *message)
{
    if (cell_message_send(init->socket_fd, message, NULL, 0) < 0) {
        leave(init);
    }
}

void init_set_lease(struct init *init, uint64_t lease_ms)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(lease_ms / 1000),
                                         .tv_nsec = (long)(lease_ms % 1000) * 1000000}};
    if (timerfd_settime(init->timer_fd, 0, &at, NULL) < 0) {
        die("set the lease", errno);
    }
}

/* Once nothing runs any more: makes the cell as new. 0 or -errno of the first thing that failed. */
static int make_as_new(struct init *init, int killed)
{
    if (init->task_fd >= 0) {
        close(init->task_fd);
        init->task_fd = -1;
    }
    int cleared = init_clear(init);
    int limits = init_limits_check(&init->limits);
    return killed < 0 ? killed : cleared < 0 ? cleared : limits;
}

static void forget_attempt(struct init *init)
{
    if (init->attempt.exec_pipe >= 0) {
        close(init->attempt.exec_pipe);
    }
    init_feed_done(&init->attempt.feed);
    init_command_done(&init->attempt.command);
    init->attempt = (struct init_attempt){.exec_pipe = -1};
    init_set_lease(init, 0);
}

static void report_failure(struct init *init, uint64_t serial,
                           const struct init_exec_failure *failure)
{
    int killed = init_kill_all(init);
    struct cell_message message = {.type = CELL_START_FAILED,
                                   .serial = serial,
                                   .start_failed = {.why = failure->why,
                                                    .error = failure->error,
                                                    .is_clean = make_as_new(init, killed) == 0}};
    forget_attempt(init);
    reply(init, &message);
}

/* How the attempt ends by that: EXITED where all is well. */
static enum cell_how return_files(struct init *init)
{
    int r = init_return_files(init);
    if (r == -ECANCELED) {
        return CELL_HOW_KILLED;
    }
    if (r == -ETIME) {
        return CELL_HOW_LEASE;
    }
    if (r < 0) {
        leave(init); /* nobody listens any more */
    }
    return CELL_HOW_EXITED;
}

/* Ends the attempt: `how` is what to say unless its own process had ended by itself. */
static void finish(struct init *init, enum cell_how how, uint64_t memory_bytes)
{
    struct init_attempt *attempt = &init->attempt;
    bool by_itself = attempt->has_ended;
    int killed = init_kill_all(init);
    uint64_t ended_ns = by_itself ? attempt->ended_ns : meshd_clock_ns();
    if (by_itself && killed == 0 && how == CELL_HOW_EXITED) {
        how = return_files(init);
        by_itself = how == CELL_HOW_EXITED;
    }
    int clean = make_as_new(init, killed);
    struct cell_message message = {
        .type = CELL_ENDED,
        .serial = attempt->serial,
        .ended = {.how = how,
                  .status = SIGKILL,
                  .is_clean = clean == 0,
                  .error = (uint32_t)-clean,
                  .wall_us = attempt->started_ns > 0 ? (ended_ns - attempt->started_ns) / 1000 : 0,
                  .user_us = attempt->usage.user_us,
                  .sys_us = attempt->usage.sys_us,
                  .peak_kib = attempt->usage.peak_kib,
                  .memory_kib = memory_bytes / 1024},
    };
    if (by_itself && WIFEXITED(attempt->status)) {
        message.ended.how = CELL_HOW_EXITED;
        message.ended.status = (uint32_t)WEXITSTATUS(attempt->status);
    } else if (by_itself) {
        message.ended.how = CELL_HOW_SIGNALED;
        message.ended.status = (uint32_t)WTERMSIG(attempt->status);
    }
    forget_attempt(init);
    reply(init, &message);
}

/* The exec pipe spoke: closed by a successful execve(), or holding why there was none. */
static void on_exec_pipe(struct init *init)
{
    struct init_attempt *attempt = &init->attempt;
    struct init_exec_failure failure;
    ssize_t n = read(attempt->exec_pipe, &failure, sizeof failure);
    if (n < 0 && errno == EINTR) {
        return;
    }
    close(attempt->exec_pipe);
    attempt->exec_pipe = -1;
    if (n == sizeof failure) {
        report_failure(init, attempt->serial, &failure);
        return;
    }
    struct cell_message message = {.type = CELL_STARTED, .serial = attempt->serial};
    reply(init, &message);
}

/* Where all files are there (feed 0), starts the program; not while some are still to come (1). */
static void go_on(struct init *init, int feed_result)
{
    struct init_attempt *attempt = &init->attempt;
    struct init_feed *feed = &attempt->feed;
    if (feed_result == 1) {
        return;
    }
    int r = feed_result;
    attempt->started_ns = meshd_clock_ns();
    if (r == 0) {
        r = init_spawn(init, &feed->command, &feed->start, feed->fds);
    }
    if (r < 0) {
        struct init_exec_failure failure = init_failure_of(r);
        report_failure(init, attempt->serial, &failure);
        return;
    }
    attempt->n_returns = feed->start.start.n_returns;
    attempt->command = feed->command;
    feed->command = (struct init_command){0};
    init_feed_done(feed); /* else the outputs would never end */
}

/* Takes the descriptors. */
static void on_start(struct init *init, const struct cell_message *message, const int *fds,
                     size_t n_fds)
{
    if (init->attempt.is_active ||
        n_fds != (message->start.is_worker == 1 ? CELL_FDS_MAX : CELL_FD_WORKER)) {
        die("unexpected start", EPROTO);
    }
    init->attempt =
        (struct init_attempt){.is_active = true, .serial = message->serial, .exec_pipe = -1};
    struct init_feed *feed = &init->attempt.feed;
    feed->start = *message;
    feed->is_open = true;
    for (size_t i = 0; i < CELL_FDS_MAX; i++) {
        feed->fds[i] = i < n_fds ? fds[i] : -1; /* ours now */
    }
    init_set_lease(init, message->start.lease_ms);
    init_memory_begin(init);
    int r = init_command_read(&feed->command, message, fds[CELL_FD_BODY]);
    r = r == 0 ? init_task_dir(init, feed->command.body.workdir) : r;
    r = r == 0 ? init_link_files(init) : r;
    go_on(init, r < 0 ? r : init_feed_next(init));
}

/* The contents of the next files. */
static void on_give(struct init *init, const int *fds, size_t n_fds)
{
    int r = 1;
    for (size_t i = 0; i < n_fds; i++) {
        r = r == 1 ? init_feed_take(init, fds[i]) : r;
        r = r == 0 ? init_feed_next(init) : r;
        close(fds[i]);
        if (r == 0 && i + 1 < n_fds) {
            die("a file too many", EPROTO);
        }
    }
    if (r == 1) {
        struct cell_message message = {.type = CELL_GIVEN, .serial = init->attempt.serial};
        reply(init, &message);
        return;
    }
    go_on(init, r);
}

/* Takes the descriptors. */
static void on_message(struct init *init, const struct cell_message *message, const int *fds,
                       size_t n_fds)
{
    bool is_ours = init->attempt.is_active && message->serial == init->attempt.serial;
    if (message->type == CELL_START) {
        on_start(init, message, fds, n_fds);
        return;
    }
    if (message->type == CELL_GIVE && is_ours && init->attempt.feed.is_open) {
        on_give(init, fds, n_fds);
        return;
    }
    for (size_t i = 0; i < n_fds; i++) {
        close(fds[i]);
    }
    if (message->type == CELL_KILL) {
        if (is_ours) {
            finish(init, CELL_HOW_KILLED, 0);
        }
    } else if (message->type == CELL_RENEW) {
        if (init->attempt.is_active) {
            init_set_lease(init, message->renew.lease_ms);
        }
    } else if (message->type == CELL_PAUSE) {
        if (is_ours && init->attempt.pid != 0 && init->is_sandbox) {
            init_pause(init, message->pause.is_paused);
        }
    } else if (message->type != CELL_GIVE && message->type != CELL_TAKEN) {
        die("unknown message", EPROTO);
    }
}

static void on_socket(struct init *init)
{
    struct cell_message message;
    int fds[CELL_GIVE_MAX];
    size_t n_fds = 0;
    int r = cell_message_receive(init->socket_fd, &message, fds, &n_fds);
    if (r == -EPIPE) {
        leave(init);
    }
    if (r < 0) {
        die("receive from the daemon", -r);
    }
    on_message(init, &message, fds, n_fds);
}

static void on_child(struct init *init)
{
    struct signalfd_siginfo info;
    IGNORE(read(init->signal_fd, &info, sizeof info)); /* only wakes us: wait(2) tells what ended */
    init_reap(init);
    if (init->attempt.pid == 0 || !init->attempt.has_ended) {
        return;
    }
    if (init->attempt.exec_pipe >= 0) {
        on_exec_pipe(init); /* it has spoken, for its writer is gone; STARTED goes before ENDED */
    }
    if (init->attempt.pid != 0) {
        finish(init, CELL_HOW_EXITED, 0);
    }
}

static void on_lease(struct init *init)
{
    uint64_t n_expired;
    if (read(init->timer_fd, &n_expired, sizeof n_expired) == sizeof n_expired &&
        init->attempt.is_active) {
        finish(init, CELL_HOW_LEASE, 0);
    }
}

/* Whether that ended the attempt. */
static bool on_look(struct init *init)
{
    uint64_t bytes;
    bool is_over = init_memory_is_over(init, &bytes);
    if (is_over) {
        finish(init, CELL_HOW_MEMORY, bytes);
        return true;
    }
    is_over = init_pause_is_broken(init);
    if (is_over) {
        finish(init, CELL_HOW_AWAKE, 0);
    }
    return is_over;
}

/* As poll(2) takes it. */
static int wait_ms(const struct init *init)
{
    int memory_ms = init_memory_wait_ms(init);
    int pause_ms = init_pause_wait_ms(init);
    return memory_ms < 0 || (pause_ms >= 0 && pause_ms < memory_ms) ? pause_ms : memory_ms;
}

static _Noreturn void run(struct init *init)
{
    struct cell_message ready = {.type = CELL_READY, .ready = {.version = CELL_PROTO_VERSION}};
    reply(init, &ready);
    for (;;) {
        struct pollfd polls[] = {
            {.fd = init->attempt.exec_pipe, .events = POLLIN},
            {.fd = init->signal_fd, .events = POLLIN},
            {.fd = init->timer_fd, .events = POLLIN},
            {.fd = init->socket_fd, .events = POLLIN},
        };
        if (poll(polls, ARRAY_LEN(polls), wait_ms(init)) < 0 && errno != EINTR) {
            die("poll", errno);
        }
        /* One event a turn: each may end the attempt that another was about. */
        if (on_look(init)) { /* first: however busy the rest is */
            continue;
        }
        if (polls[0].revents != 0) {
            on_exec_pipe(init);
        } else if (polls[1].revents != 0) {
            on_child(init);
        } else if (polls[2].revents != 0) {
            on_lease(init);
        } else if (polls[3].revents != 0) {
            on_socket(init);
        }
    }
}

/* Whatever else the daemon's process had open, a library's or its parent's, ends here. */
static void shield_descriptors(void)
{
    if (syscall(SYS_close_range, CELL_SOCKET_FD, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
        return;
    }
    long n_max = sysconf(_SC_OPEN_MAX); /* before Linux 5.11 */
    for (int fd = CELL_SOCKET_FD; fd < n_max && fd < 1 << 20; fd++) {
        IGNORE(fcntl(fd, F_SETFD, FD_CLOEXEC)); /* most are not open */
    }
}

static void set_up(struct init *init)
{
    sigset_t mask;
    struct rlimit none = {0, 0};
    umask(022);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0) {
        die("set up", errno);
    }
    shield_descriptors();
    if (!init->is_sandbox && (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || setsid() < 0)) {
        die("adopt orphans", errno);
    }
    /* POSIX message queues could not be found and removed without a mount; nobody may make one. */
    if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_MSGQUEUE, &none) < 0) {
        die("set limits", errno);
    }
    int r = init_memory_set_up(init);
    if (r < 0) {
        die("set limits", -r);
    }
    init->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    init->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    init->scratch_fd = open(init->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (init->signal_fd < 0 || init->timer_fd < 0 || init->scratch_fd < 0) {
        die(init->scratch, errno);
    }
    for (int i = 0; i < init->n_files; i++) {
        if (strlen(init->files[i]) < 3 || !cell_path_is_inside(init->files[i] + 2)) {
            die("path of a job's file", EINVAL);
        }
    }
    r = init->is_sandbox ? 0 : init_copy_files(init);
    if (r < 0) {
        die("copy the job's files", -r);
    }
    if (chdir("/") < 0) {
        die("/", errno);
    }
    init_limits_read(&init->limits);
}

static int remove_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? -errno : init_empty_dir(fd);
    if (r == 0 && rmdir(path) < 0) {
        r = -errno;
    }
    if (r < 0) {
        die(path, -r);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, CELL_ARG_PROBE) == 0) {
        _exit(EXIT_SUCCESS);
    }
    if (strcmp(mode, CELL_ARG_REMOVE) == 0 && argc == 3) {
        _exit(remove_dir(argv[2]));
    }
    bool is_sandbox = strcmp(mode, CELL_ARG_SANDBOX) == 0;
    static struct init init; /* one to a process; zeroed */
    if (argc < 5 || cell_limits_parse(argv[4], &init.allowed) < 0 ||
        (!is_sandbox && strcmp(mode, CELL_ARG_BARE) != 0)) {
        dprintf(STDERR_FILENO, "mesh-cell %s: started by meshd, not by hand\n", MESH_VERSION);
        _exit(2);
    }
    init.is_sandbox = is_sandbox;
    init.socket_fd = CELL_SOCKET_FD;
    init.scratch = argv[2];
    init.job_dir = argv[3];
    init.files = argv + 5;
    init.n_files = argc - 5;
    init.attempt.exec_pipe = -1;
    init.task_fd = -1;
    set_up(&init);
    run(&init);
}
