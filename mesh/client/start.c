/* meshd is forked twice, so that it is nobody's child and leaves no zombie in a host that never
 * waits. Its standard error is a file in memory: a pipe would kill it with SIGPIPE once we are
 * gone, and a file on disk would have to be somewhere. */
#include "mesh/client/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/base/text.h"

#define EXIT_IDLE_S    "60"
#define N_CANDIDATES   2
#define LAST_LINE_READ 4096

struct candidates {
    char paths[N_CANDIDATES][4096 + 16]; /* tried in order; after them PATH */
};

static void find_candidates(struct candidates *to)
{
    static const char *const beside[N_CANDIDATES] = {"meshd", "../mesh/meshd"};
    memset(to, 0, sizeof(*to));
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0) {
        return;
    }
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
        return;
    }
    slash[1] = '\0';
    for (size_t i = 0; i < N_CANDIDATES; i++) {
        snprintf(to->paths[i], sizeof(to->paths[i]), "%s%s", self, beside[i]);
    }
}

/* In the grandchild: never returns. Only async-signal-safe calls, for the host may have threads. */
static _Noreturn void run_daemon(const struct candidates *candidates, int log_fd, int report_fd)
{
    static char name[] = "meshd", idle[] = "--exit-idle", idle_s[] = EXIT_IDLE_S;
    static char level[] = "--log-level", error_level[] = "error";
    char *const argv[] = {name, idle, idle_s, level, error_level, NULL};
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 && dup2(null_fd, STDOUT_FILENO) >= 0 &&
        dup2(log_fd, STDERR_FILENO) >= 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(SIGPIPE, &plain, NULL);
        sigaction(SIGINT, &plain, NULL);
        sigaction(SIGTERM, &plain, NULL);
        errno = ENOENT;
        for (size_t i = 0; i < N_CANDIDATES && (errno == ENOENT || errno == ENOTDIR); i++) {
            if (candidates->paths[i][0] != '\0') {
                execv(candidates->paths[i], argv);
            }
        }
        if (errno == ENOENT || errno == ENOTDIR) {
            execvp(argv[0], argv);
        }
    }
    int32_t error = -errno;
    IGNORE(write(report_fd, &error, sizeof(error))); /* the reader takes silence for a failure */
    _exit(127);
}

/* In the child: starts the grandchild, reports its pid and ends. */
static _Noreturn void run_between(const struct candidates *candidates, int log_fd, int report_fd)
{
    setsid();
    pid_t pid = fork();
    if (pid == 0) {
        run_daemon(candidates, log_fd, report_fd);
    }
    int32_t word = pid < 0 ? -errno : pid;
    IGNORE(write(report_fd, &word, sizeof(word))); /* as above */
    _exit(0);
}

static int read_word(int fd, int32_t *ret_word)
{
    ssize_t n;
    do {
        n = read(fd, ret_word, sizeof(*ret_word));
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*ret_word) ? 0 : -EIO;
}

/* The pid and, only if the exec failed, an error, in either order. */
static int read_report(int fd, int *ret_pid)
{
    int32_t pid = 0;
    int32_t word;
    int error = 0;
    while (read_word(fd, &word) == 0) {
        if (word > 0) {
            pid = word;
        } else {
            error = word;
        }
    }
    if (error < 0) {
        return error;
    }
    *ret_pid = pid;
    return pid > 0 ? 0 : -EIO;
}

static int fork_twice(int log_fd, int *ret_pid)
{
    struct candidates candidates;
    find_candidates(&candidates);
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        return -errno;
    }
    pid_t child = fork();
    if (child == 0) {
        run_between(&candidates, log_fd, report[1]);
    }
    int r = child < 0 ? -errno : 0;
    close(report[1]);
    if (child > 0) {
        r = read_report(report[0], ret_pid);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    close(report[0]);
    return r;
}

int mesh_start_daemon(struct mesh_started *ret_started, struct errmsg *err)
{
    struct mesh_started started = {.alive_fd = -1, .log_fd = -1};
    started.log_fd = memfd_create("meshd-stderr", MFD_CLOEXEC);
    if (started.log_fd < 0) {
        int r = -errno;
        errmsg_set(err, "cannot start meshd: %s", strerror(-r));
        return r;
    }
    int r = fork_twice(started.log_fd, &started.pid);
    if (r < 0) {
        if (r == -ENOENT) {
            errmsg_set(err, "no meshd runs here, and none was found beside mesh or along PATH: "
                            "install meshd or start it yourself");
        } else {
            errmsg_set(err, "cannot start meshd: %s", strerror(-r));
        }
        mesh_started_done(&started);
        return r;
    }
    started.alive_fd = (int)syscall(SYS_pidfd_open, started.pid, 0);
    *ret_started = started;
    return 0;
}

bool mesh_started_has_ended(const struct mesh_started *started, int timeout_ms)
{
    struct pollfd p = {.fd = started->alive_fd, .events = POLLIN};
    int n = poll(&p, 1, timeout_ms);
    if (started->alive_fd >= 0) {
        return n > 0;
    }
    return kill(started->pid, 0) < 0 && errno == ESRCH;
}

void mesh_started_last_words(const struct mesh_started *started, char *to, size_t n_to)
{
    char text[LAST_LINE_READ];
    off_t end = lseek(started->log_fd, 0, SEEK_END);
    off_t from = end > (off_t)sizeof(text) ? end - (off_t)sizeof(text) : 0;
    ssize_t n = pread(started->log_fd, text, sizeof(text), from);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ')) {
        n--;
    }
    ssize_t first = n > 0 ? n : 0;
    while (first > 0 && text[first - 1] != '\n') {
        first--;
    }
    text_printable(slice_of(text + first, n > 0 ? (size_t)(n - first) : 0), to, n_to);
}

void mesh_started_done(struct mesh_started *started)
{
    if (started->alive_fd >= 0) {
        close(started->alive_fd);
    }
    if (started->log_fd >= 0) {
        close(started->log_fd);
    }
    started->alive_fd = -1;
    started->log_fd = -1;
}
