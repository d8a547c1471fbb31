/* The child shares the daemon's memory, stack and all, until it executes the program or leaves, and
 * the daemon's thread stands still until then. So the child
 *   - runs system calls only, and writes to nothing that the daemon reads after (no heap, and
 *     setresuid() by its number: the C library's would send signals to the daemon's threads);
 *   - runs with all signals blocked until none has a handler of the daemon's any more.
 * That it failed comes through a pipe that closes when the program runs: memory would say so too,
 * but not under valgrind, ThreadSanitizer or qemu, which make a fork of a vfork. */
#include "mesh/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/base/mem.h"

#define N_STANDARD 3

/* 32-bit systems have two of each; the older take numbers of 16 bits. */
#ifdef SYS_setresuid32
#define SET_USER   SYS_setresuid32
#define SET_GROUP  SYS_setresgid32
#define SET_GROUPS SYS_setgroups32
#else
#define SET_USER   SYS_setresuid
#define SET_GROUP  SYS_setresgid
#define SET_GROUPS SYS_setgroups
#endif

/* --- in the child --- */

/* Lifts what a later descriptor comes from out of the way of the earlier ones. */
static int place_fds(int *fds, size_t n_fds)
{
    for (size_t i = 0; i < n_fds; i++) {
        if (fds[i] >= 0 && (size_t)fds[i] < i) {
            fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, (int)n_fds);
            if (fds[i] < 0) {
                return -errno;
            }
        }
    }
    for (size_t i = 0; i < n_fds; i++) {
        int to = (int)i;
        if (fds[i] < 0) {
            close(to);
            if (i < N_STANDARD && open("/dev/null", i == 0 ? O_RDONLY : O_RDWR) != to) {
                return -EMFILE; /* the lowest free number is `to`: those before are all taken */
            }
        } else if (fds[i] == to ? fcntl(to, F_SETFD, 0) < 0 : dup2(fds[i], to) < 0) {
            return -errno;
        }
    }
    return 0;
}

static int take_id(uint32_t id)
{
    return syscall(SET_GROUPS, 0, NULL) < 0 || syscall(SET_GROUP, id, id, id) < 0 ||
                   syscall(SET_USER, id, id, id) < 0
               ? -errno
               : 0;
}

static void default_signals(void)
{
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        IGNORE(sigaction(number, &action, NULL)); /* some cannot be set, nor have handlers */
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become_program(const struct spawn_options *options, int *fds, size_t n_fds,
                                     int said_fd)
{
    char *env[] = {NULL};
    int fd = (size_t)said_fd < n_fds ? fcntl(said_fd, F_DUPFD_CLOEXEC, (int)n_fds) : said_fd;
    int r = fd < 0 ? -errno : place_fds(fds, n_fds);
    if (r == 0 && options->has_id) {
        r = take_id(options->id);
    }
    if (r == 0) {
        default_signals();
        execve(options->file, options->argv, env);
        r = -errno;
    }
    IGNORE(write(fd < 0 ? said_fd : fd, &r, sizeof r));
    _exit(127);
}

/* --- in the daemon --- */

/* A function of its own, that nothing the child does can reach a variable of its caller. */
static __attribute__((noinline)) pid_t borrow_memory(const struct spawn_options *options, int *fds,
                                                     size_t n_fds, int said_fd)
{
    pid_t pid = vfork();
    if (pid == 0) {
        become_program(options, fds, n_fds, said_fd);
    }
    return pid < 0 ? -errno : pid;
}

/* Everything around it that is the thread's, or the memory's: changed, and put back. */
static pid_t start_child(const struct spawn_options *options, int *fds, size_t n_fds, int said_fd)
{
    sigset_t all;
    sigset_t before;
    int was_dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = borrow_memory(options, fds, n_fds, said_fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (options->has_id && was_dumpable == 1) {
        /* A change of user hides the memory from that user, and it was this memory. */
        IGNORE(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    }
    return pid;
}

/* 0 once the program runs, or why it does not. */
static int read_failure(int fd)
{
    int failure;
    ssize_t n;
    do {
        n = read(fd, &failure, sizeof failure);
    } while (n < 0 && errno == EINTR);
    return n == 0 ? 0 : n == (ssize_t)sizeof failure ? failure : -EIO;
}

/* Waits for a child that is about to end. */
static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static int start(const struct spawn_options *options, int *fds, size_t n_fds, pid_t *ret_pid)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    pid_t pid = start_child(options, fds, n_fds, ends[1]);
    close(ends[1]);
    int r = pid < 0 ? (int)pid : read_failure(ends[0]);
    close(ends[0]);
    if (r == 0) {
        *ret_pid = pid;
    } else if (pid > 0) {
        reap(pid);
    }
    return r;
}

/* Some child has ended. Each spawned has a handle of its own for that: the list of them is libuv's.
 */
static void on_child_signal(uv_signal_t *handle, int number)
{
    struct spawned *spawned = CONTAINER_OF(handle, struct spawned, child_signal);
    int how = 0;
    pid_t pid = waitpid(spawned->pid, &how, WNOHANG);
    if (pid != spawned->pid) {
        return; /* another one */
    }
    bool is_killed = WIFSIGNALED(how);
    spawned->has_ended = true;
    uv_signal_stop(handle);
    spawned->on_end(spawned, is_killed ? 0 : WEXITSTATUS(how), is_killed ? WTERMSIG(how) : 0);
}

int spawn(uv_loop_t *loop, struct spawned *spawned, const struct spawn_options *options,
          void (*on_end)(struct spawned *spawned, int status, int signal))
{
    size_t n_fds = options->n_fds < N_STANDARD ? N_STANDARD : options->n_fds;
    int *fds = mem_alloc(n_fds, sizeof *fds);
    for (size_t i = 0; fds != NULL && i < n_fds; i++) {
        fds[i] = i < options->n_fds ? options->fds[i] : -1;
    }
    *spawned = (struct spawned){.on_end = on_end};
    /* Before the child can end: nothing tells of one that has. */
    ensure(uv_signal_init(loop, &spawned->child_signal) == 0);
    ensure(uv_signal_start(&spawned->child_signal, on_child_signal, SIGCHLD) == 0);
    int r = fds == NULL ? -ENOMEM : start(options, fds, n_fds, &spawned->pid);
    mem_free(fds);
    if (r < 0) {
        spawned->has_ended = true;
        uv_signal_stop(&spawned->child_signal);
    }
    return r;
}

void spawned_kill(struct spawned *spawned, int signal)
{
    if (!spawned->has_ended) { /* not reaped: the number is still its own */
        kill(spawned->pid, signal);
    }
}

static void on_signal_closed(uv_handle_t *handle)
{
    struct spawned *spawned = CONTAINER_OF((uv_signal_t *)handle, struct spawned, child_signal);
    if (spawned->on_closed != NULL) {
        spawned->on_closed(spawned);
    }
}

void spawned_close(struct spawned *spawned, void (*on_closed)(struct spawned *spawned))
{
    ensure(spawned->has_ended);
    spawned->on_closed = on_closed;
    uv_close((uv_handle_t *)&spawned->child_signal, on_signal_closed);
}
