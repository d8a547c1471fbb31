/* Leaving nothing behind: processes, files, shared memory, limits. */
#include "mesh/cell_init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/clock.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

static void count_usage(struct init_usage *usage, const struct rusage *r)
{
    usage->user_us += (uint64_t)r->ru_utime.tv_sec * 1000000 + (uint64_t)r->ru_utime.tv_usec;
    usage->sys_us += (uint64_t)r->ru_stime.tv_sec * 1000000 + (uint64_t)r->ru_stime.tv_usec;
    if ((uint64_t)r->ru_maxrss > usage->peak_kib) {
        usage->peak_kib = (uint64_t)r->ru_maxrss;
    }
}

bool init_reap(struct init *init)
{
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid <= 0) {
            return pid == 0;
        }
        count_usage(&init->attempt.usage, &usage);
        if (pid == init->attempt.pid) {
            init->attempt.has_ended = true;
            init->attempt.status = status;
            init->attempt.ended_ns = meshd_clock_ns();
        }
    }
}

/* --- bare mode: finding what descends from us ---------------------------------------------------
 * Orphans come to us (PR_SET_CHILD_SUBREAPER), so that parent links always lead here. */

struct process {
    pid_t pid;
    pid_t parent;
    bool is_ours;
};

struct processes {
    struct process *items; /* owned */
    size_t n;
    size_t cap;
};

/* 0 when it is no number of a process. */
static pid_t parse_pid(const char *text)
{
    uint64_t pid;
    return text_parse_u64(text, INT_MAX, &pid) == 0 ? (pid_t)pid : 0;
}

/* 0 when there is no such process. */
static pid_t parent_of(pid_t pid)
{
    char path[64];
    char text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    const char *name_end = strrchr(text, ')'); /* the name may hold anything */
    if (name_end == NULL || strlen(name_end) < 5) {
        return 0;
    }
    char *parent = text + (name_end - text) + 4; /* ") S PARENT ..." */
    parent[strcspn(parent, " ")] = '\0';
    return parse_pid(parent);
}

static int list_processes(struct processes *all)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return -errno;
    }
    int r = 0;
    const struct dirent *entry;
    while (r == 0 && (entry = readdir(proc)) != NULL) {
        pid_t pid = parse_pid(entry->d_name);
        pid_t parent = pid > 0 ? parent_of(pid) : 0;
        if (parent <= 0) {
            continue;
        }
        if (all->n == all->cap) {
            size_t cap = all->cap == 0 ? 512 : all->cap * 2;
            struct process *items = mem_realloc(all->items, cap, sizeof *items);
            r = items == NULL ? -ENOMEM : 0;
            all->items = items == NULL ? all->items : items;
            all->cap = items == NULL ? all->cap : cap;
        }
        if (r == 0) {
            all->items[all->n++] = (struct process){.pid = pid, .parent = parent};
        }
    }
    closedir(proc);
    return r;
}

/* Kills the process unless its number has passed to another since it was listed. */
static void kill_if_same(const struct process *process)
{
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (fd < 0) {
        return; /* gone; or the next pass has more luck */
    }
    pid_t parent = parent_of(process->pid);
    if (parent == process->parent || parent == getpid()) {
        IGNORE(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0)); /* wait(2) tells */
    }
    close(fd);
}

static int kill_descendants(void)
{
    struct processes all = {0};
    int r = list_processes(&all);
    for (bool has_grown = r == 0; has_grown;) {
        has_grown = false;
        for (size_t i = 0; i < all.n; i++) {
            struct process *p = &all.items[i];
            bool parent_is_ours = p->parent == getpid();
            for (size_t j = 0; !parent_is_ours && !p->is_ours && j < all.n; j++) {
                parent_is_ours = all.items[j].is_ours && all.items[j].pid == p->parent;
            }
            if (parent_is_ours && !p->is_ours) {
                p->is_ours = true;
                has_grown = true;
            }
        }
    }
    for (size_t i = 0; r == 0 && i < all.n; i++) {
        if (all.items[i].is_ours) {
            kill_if_same(&all.items[i]);
        }
    }
    mem_free(all.items);
    return r;
}

int init_kill_all(struct init *init)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    uint64_t give_up_ns = meshd_clock_ns() + INIT_KILL_NS;
    while (init_reap(init)) {
        int r = 0;
        if (!init->is_sandbox) {
            r = kill_descendants();
        } else if (kill(-1, SIGKILL) < 0 && errno != ESRCH) {
            r = -errno;
        }
        if (r < 0 || meshd_clock_ns() > give_up_ns) {
            return r < 0 ? r : -EBUSY;
        }
        struct timespec patience = {.tv_nsec = 20000000};
        sigtimedwait(&child, NULL, &patience);
    }
    return 0;
}

/* --- System V IPC --- */

static int clear_shm(void)
{
    struct shm_info info;
    /* The SHM_INFO family takes a pointer to another structure than the prototype says. */
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
    for (int i = 0; info.used_ids > 0 && i <= last; i++) {
        struct shmid_ds ds;
        int id = shmctl(i, SHM_STAT, &ds);
        if (id >= 0 && shmctl(id, IPC_RMID, NULL) < 0) {
            return -errno;
        }
    }
    return last < 0 ? -errno : 0;
}

static int clear_sem(void)
{
    union {
        struct seminfo *info;
        struct semid_ds *ds;
    } arg;
    struct seminfo info = {0};
    struct semid_ds ds;
    arg.info = &info;
    int last = semctl(0, 0, SEM_INFO, arg);
    arg.ds = &ds;
    for (int i = 0; info.semusz > 0 && i <= last; i++) {
        int id = semctl(i, 0, SEM_STAT, arg);
        if (id >= 0 && semctl(id, 0, IPC_RMID) < 0) {
            return -errno;
        }
    }
    return last < 0 ? -errno : 0;
}

static int clear_msg(void)
{
    struct msginfo info = {0};
    int last = msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&info);
    for (int i = 0; info.msgpool > 0 && i <= last; i++) {
        struct msqid_ds ds;
        int id = msgctl(i, MSG_STAT, &ds);
        if (id >= 0 && msgctl(id, IPC_RMID, NULL) < 0) {
            return -errno;
        }
    }
    return last < 0 ? -errno : 0;
}

/* A kernel without System V IPC has nothing to clear. */
static int clear_ipc(void)
{
    int (*const clear[])(void) = {clear_shm, clear_sem, clear_msg};
    for (size_t i = 0; i < ARRAY_LEN(clear); i++) {
        int r = clear[i]();
        if (r < 0 && r != -ENOSYS) {
            return r;
        }
    }
    return 0;
}

static int clear_dir(const char *path)
{
    /* A task may have taken away our right to read it. */
    if (chmod(path, 01777) < 0) {
        return -errno;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? -errno : init_empty_dir(fd);
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

int init_clear(struct init *init)
{
    int r = init_empty_dir(init->scratch_fd);
    if (r == 0 && fchmod(init->scratch_fd, 0700) < 0) {
        r = -errno;
    }
    if (r == 0 && init->is_sandbox) {
        r = clear_dir("/tmp");
        r = r < 0 ? r : clear_dir("/dev/shm");
        r = r < 0 ? r : clear_ipc();
    }
    return r;
}

/* --- limits --- */

void init_limits_read(struct init_limits *limits)
{
    memset(limits, 0, sizeof *limits);
    for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
        IGNORE(getrlimit((__rlimit_resource_t)i, &limits->limits[i])); /* zeros compare as well */
    }
    IGNORE(sched_getaffinity(0, sizeof limits->affinity, &limits->affinity)); /* as above */
    limits->priority = getpriority(PRIO_PROCESS, 0);
}

int init_limits_check(const struct init_limits *limits)
{
    struct init_limits now;
    init_limits_read(&now);
    bool is_same = memcmp(now.limits, limits->limits, sizeof now.limits) == 0 &&
                   CPU_EQUAL(&now.affinity, &limits->affinity) && now.priority == limits->priority;
    return is_same ? 0 : -EPERM;
}
