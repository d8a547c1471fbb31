/* Attempts at other processes, bombs, and what is left for the next task. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/escape.h"

#define MIB            (1u << 20)
#define PROCESSES_MANY 4096
#define DISK_MIB_MANY  2048u

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            pause();
        }
    }
    return pid;
}

static char secret[] = "secret";

static int read_memory_of(pid_t pid)
{
    char to[sizeof secret];
    struct iovec here = {to, sizeof to};
    struct iovec there = {secret, sizeof secret};
    return escape_result(process_vm_readv(pid, &here, 1, &there, 1, 0));
}

static int trace_sibling(void)
{
    return escape_result(ptrace(PTRACE_SEIZE, sleeper(), NULL, NULL));
}

static int trace_init(void)
{
    return escape_result(ptrace(PTRACE_SEIZE, 1, NULL, NULL));
}

static int read_sibling(void)
{
    return read_memory_of(sleeper());
}

static int read_init(void)
{
    return read_memory_of(1);
}

static int fd_of(pid_t pid, int number)
{
    long pidfd = syscall(SYS_pidfd_open, pid, 0);
    return pidfd < 0 ? errno : escape_result(syscall(SYS_pidfd_getfd, pidfd, number, 0));
}

static int take_siblings_fd(void)
{
    return fd_of(sleeper(), 0);
}

/* With it a task could tell the daemon how the next one ended. */
static int take_inits_socket(void)
{
    for (int fd = STDERR_FILENO + 1; fd < 1024; fd++) {
        struct stat st;
        if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
            return 0; /* one that was left open */
        }
    }
    return fd_of(1, 3);
}

static int limit_init(void)
{
    const struct rlimit little = {4096, 4096};
    return escape_result(syscall(SYS_prlimit64, 1, RLIMIT_FSIZE, &little, NULL));
}

/* As the init it takes no signal; what is left of the family would not live to say so. */
static int kill_init(void)
{
    char state[256] = "";
    kill(1, SIGKILL);
    kill(1, SIGSTOP);
    kill(1, SIGTERM);
    poll(NULL, 0, 200);
    int fd = open("/proc/1/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, state, sizeof state - 1);
    const char *end = n > 0 ? strrchr(state, ')') : NULL;
    return end != NULL && strchr("TtZX", end[2]) == NULL ? EPERM : 0;
}

static int signal_daemon(void)
{
    const char *who = escape_word("daemon");
    if (who == NULL) {
        return ESCAPE_NO_TARGET;
    }
    return escape_result(kill((pid_t)strtol(who, NULL, 10), 0));
}

static int see_daemon(void)
{
    const char *who = escape_word("daemon");
    if (who == NULL) {
        return ESCAPE_NO_TARGET;
    }
    return getpriority(PRIO_PROCESS, (id_t)strtol(who, NULL, 10)) == -1 && errno != 0 ? errno : 0;
}

/* --- bombs that have a limit of their own --- */

static int fork_bomb(void)
{
    for (int n = 0; n < PROCESSES_MANY; n++) {
        pid_t pid = sleeper();
        if (pid < 0) {
            int error = errno;
            fprintf(stderr, "processes: %d\n", n);
            return error;
        }
    }
    return 0;
}

static int fill(const char *folder)
{
    static char block[MIB];
    char path[128];
    snprintf(path, sizeof path, "%s/bomb-%d", folder, (int)getpid());
    memset(block, 'x', sizeof block);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    unlink(path);
    if (fd < 0) {
        return errno;
    }
    escape_ignore(SIGXFSZ);
    for (unsigned n = 0; n < DISK_MIB_MANY; n++) {
        if (write(fd, block, sizeof block) < 0) {
            fprintf(stderr, "%s: %u MiB\n", folder, n);
            return errno;
        }
    }
    return 0;
}

static int fill_scratch(void)
{
    return fill(".");
}

static int fill_tmp(void)
{
    return fill("/tmp");
}

static int fill_shm(void)
{
    return fill("/dev/shm");
}

static int huge_file(void)
{
    escape_ignore(SIGXFSZ);
    int fd = memfd_create("bomb", MFD_CLOEXEC);
    return fd < 0 ? errno : escape_result(ftruncate(fd, 1ll << 40));
}

static int dump_core(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        abort();
    }
    waitpid(pid, &status, 0);
    return WCOREDUMP(status) ? 0 : EPERM;
}

const struct escape_attempt escape_processes[] = {
    {"trace a sibling", trace_sibling, ESCAPE_ANYBODY},
    {"trace the init", trace_init, ESCAPE_NOBODY},
    {"read a sibling's memory", read_sibling, ESCAPE_ANYBODY},
    {"read the init's memory", read_init, ESCAPE_NOBODY},
    {"take a sibling's descriptor", take_siblings_fd, ESCAPE_ANYBODY},
    {"forge results: take the init's socket", take_inits_socket, ESCAPE_NOBODY},
    {"limit the init", limit_init, ESCAPE_NOBODY},
    {"kill or stop the init", kill_init, ESCAPE_NOBODY},
    {"signal the daemon", signal_daemon, ESCAPE_ANYBODY},
    {"see the daemon", see_daemon, ESCAPE_ANYBODY},
    {"fork bomb", fork_bomb, ESCAPE_NOBODY},
    {"disk bomb in the scratch", fill_scratch, ESCAPE_NOBODY},
    {"disk bomb in /tmp", fill_tmp, ESCAPE_NOBODY},
    {"disk bomb in /dev/shm", fill_shm, ESCAPE_NOBODY},
    {"a file of 1 TiB", huge_file, ESCAPE_ANYBODY},
    {"dump core", dump_core, ESCAPE_NOBODY},
};
const size_t escape_n_processes = sizeof escape_processes / sizeof escape_processes[0];

/* --- bombs that have to be stopped --- */

static void *take(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        exit(3); /* by a limit of the process: that is an end, too */
    }
    memset(p, 'x', bytes);
    return p;
}

static void bomb_memory(void)
{
    for (;;) {
        take(MIB);
    }
}

/* None of them large. */
static void bomb_family(void)
{
    for (;;) {
        if (fork() == 0) {
            take(8 * MIB);
            for (;;) {
                pause();
            }
        }
        poll(NULL, 0, 1);
    }
}

/* Nothing of it is mapped. */
static void bomb_memory_files(void)
{
    static char block[MIB];
    memset(block, 'x', sizeof block);
    for (;;) {
        int fd = memfd_create("bomb", 0);
        for (int i = 0; i < 64; i++) {
            if (write(fd, block, sizeof block) < 0) {
                exit(3);
            }
        }
    }
}

static void bomb_files(void)
{
    static const char *const folders[] = {".", "/tmp", "/dev/shm"};
    static char block[MIB];
    char path[64];
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(path, sizeof path, "%s/bomb", folders[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        memset(block, 'x', sizeof block);
        while (write(fd, block, sizeof block) > 0) {
        }
    }
    for (;;) {
        pause();
    }
}

static void bomb_segments(void)
{
    for (;;) {
        int id = shmget(IPC_PRIVATE, 16 * MIB, IPC_CREAT | 0600);
        char *at = id < 0 ? NULL : shmat(id, NULL, 0);
        if (at == NULL || at == (char *)-1) {
            exit(3);
        }
        memset(at, 'x', 16 * MIB);
        shmdt(at);
    }
}

int escape_bomb(const char *name)
{
    static const struct {
        const char *name;
        void (*explode)(void);
    } bombs[] = {{"memory", bomb_memory},
                 {"family", bomb_family},
                 {"memory-files", bomb_memory_files},
                 {"files", bomb_files},
                 {"segments", bomb_segments}};
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        if (strcmp(name, bombs[i].name) == 0) {
            bombs[i].explode();
        }
    }
    return 2;
}

/* --- what is left for the next --- */

#define LEFT_KEY 0x6d657368

/* Returns how many of the eight things it could leave. */
int escape_leave(void)
{
    int n = 0;
    static const char *const files[] = {"left", "/tmp/left", "/dev/shm/left"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        n += open(files[i], O_WRONLY | O_CREAT, 0666) >= 0;
    }
    n += shmget(LEFT_KEY, 4096, IPC_CREAT | 0666) >= 0;
    n += semget(LEFT_KEY, 1, IPC_CREAT | 0666) >= 0;
    n += msgget(LEFT_KEY, IPC_CREAT | 0666) >= 0;
    int ends[2];
    char byte = 'x';
    pid_t pid = pipe(ends) < 0 ? -1 : fork();
    if (pid == 0) {
        setsid();
        if (fork() == 0) {
            escape_ignore(SIGTERM);
            escape_ignore(SIGHUP);
            prctl(PR_SET_NAME, "left-behind");
            if (write(ends[1], &byte, 1) != 1) {
                _exit(1);
            }
            close(0);
            close(1);
            close(2);
            for (;;) {
                pause();
            }
        }
        _exit(0);
    }
    n += pid > 0 && read(ends[0], &byte, 1) == 1;
    printf("left %d things\n", n);
    return n == 7 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int n_processes_left(void)
{
    int n = 0;
    for (int pid = 2; pid < 32768; pid++) {
        char path[64];
        char name[32] = "";
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        n += fd >= 0 && read(fd, name, sizeof name - 1) > 0 && strcmp(name, "left-behind\n") == 0;
        if (fd >= 0) {
            close(fd);
        }
    }
    return n;
}

int escape_seek(void)
{
    int n = 0;
    static const char *const files[] = {"left", "/tmp/left", "/dev/shm/left"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        n += access(files[i], F_OK) == 0;
    }
    n += shmget(LEFT_KEY, 4096, 0) >= 0;
    n += semget(LEFT_KEY, 1, 0) >= 0;
    n += msgget(LEFT_KEY, 0) >= 0;
    n += n_processes_left();
    printf("found %d things\n", n);
    return n == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
