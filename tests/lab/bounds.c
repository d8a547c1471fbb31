#include "tests/lab/bounds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/cores.h"

#define PERIOD_US 100000 /* the kernel's own */
/* How long processes of a test that was killed may take to be gone. */
#define LOOKS_MAX 1000
#define LOOK_MS   20

static const struct {
    const char *what;
    const char *controller; /* in version 1 */
    const char *files[2];   /* of version 1 and 2: there, where such a limit can be set */
} kinds[] = {
    [LAB_LIMIT_CORES] = {"processors", "cpu", {"cpu.cfs_quota_us", "cpu.max"}},
    [LAB_LIMIT_MEMORY] = {"memory", "memory", {"memory.limit_in_bytes", "memory.max"}},
};

static int open_in(const char *folder, const char *name, int flags)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_in(const char *folder, const char *name, const char *text)
{
    int fd = open_in(folder, name, O_WRONLY);
    if (fd < 0) {
        return fd;
    }
    int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return error;
}

static bool has_file(const char *folder, const char *name)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, W_OK) == 0;
}

/* --- making one --------------------------------------------------------------------------------
 */

/* Whether a process of ours may move there: one does, and ends. */
static int try_to_enter(const char *folder)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(-write_in(folder, "cgroup.procs", "0"));
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        return -errno;
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* Groups of tests that are no more, and of whoever watched over them. */
static void remove_left(const char *parent)
{
    DIR *dir = opendir(parent);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX + sizeof(entry->d_name)];
        int pid;
        if (sscanf(entry->d_name, "mesh-lab-%d-", &pid) == 1 && kill(pid, 0) < 0 &&
            errno == ESRCH) {
            snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
            IGNORE(rmdir(path)); /* one that is in use stays */
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static int make_below(const char *parent, const char *file, char folder[static PATH_MAX])
{
    static unsigned n_made;
    remove_left(parent);
    int n = snprintf(folder, PATH_MAX, "%s/mesh-lab-%d-%u", parent, (int)getpid(), ++n_made);
    if (n < 0 || n >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    if (mkdir(folder, 0755) < 0 && errno != EEXIST) {
        return -errno;
    }
    int error = has_file(folder, file) ? try_to_enter(folder) : -EACCES;
    if (error != 0) {
        rmdir(folder);
    }
    return error;
}

/* One level up; false where that is no control group. */
static bool go_up(char folder[static PATH_MAX])
{
    char *slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder) {
        return false;
    }
    *slash = '\0';
    int fd = open_in(folder, "cgroup.procs", O_RDONLY);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* A new group that such a limit can be set in: within the test's own, or above. In version 2 a
 * group that has processes passes no limits on, so theirs are beside it. */
static int make_group(enum lab_limit limit, char folder[static PATH_MAX], struct errmsg *err)
{
    char parent[PATH_MAX];
    const char *file = kinds[limit].files[0];
    int error = cores_own_group("", kinds[limit].controller, parent, sizeof(parent));
    if (error != 0) {
        file = kinds[limit].files[1];
        error = cores_own_group("", "", parent, sizeof(parent));
    }
    if (error == 0) {
        do {
            error = make_below(parent, file, folder);
        } while (error != 0 && go_up(parent));
    }
    if (error != 0) {
        errmsg_set(err, "no control group may be made that limits %s: %s", kinds[limit].what,
                   strerror(-error));
    }
    return error;
}

bool lab_may_limit(enum lab_limit limit, struct errmsg *err)
{
    char folder[PATH_MAX];
    if (make_group(limit, folder, err) != 0) {
        return false;
    }
    rmdir(folder);
    return true;
}

/* --- of a host ---------------------------------------------------------------------------------
 */

/* A process that removes the group when the test is over, however that ends: the other end of its
 * standard input is the test's alone. */
static void watch(struct lab_group *group)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    group->watcher = fork();
    ck_assert_int_ge(group->watcher, 0);
    if (group->watcher > 0) {
        close(ends[0]);
        group->watcher_fd = ends[1];
        return;
    }
    setsid(); /* who kills the test's group of processes leaves it alone */
    if (dup2(ends[0], STDIN_FILENO) < 0) {
        _exit(1);
    }
    close_range(1, ~0U, 0);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR) {
    }
    for (unsigned i = 0; i < LOOKS_MAX && rmdir(group->folder) < 0 && errno == EBUSY; i++) {
        poll(NULL, 0, LOOK_MS); /* its processes are on their way out */
    }
    _exit(0);
}

/* The host's group that has this file; a new one, if it has none: in version 2 a process is in one
 * group, which sets all its limits. */
static struct lab_group *group_for(struct lab_host *host, enum lab_limit limit)
{
    for (unsigned i = 0; i < host->n_groups; i++) {
        if (has_file(host->groups[i].folder, kinds[limit].files[1])) {
            return &host->groups[i];
        }
    }
    ck_assert_uint_lt(host->n_groups, LAB_GROUPS_MAX);
    struct lab_group *group = &host->groups[host->n_groups];
    char folder[PATH_MAX];
    struct errmsg err;
    if (make_group(limit, folder, &err) != 0) {
        ck_abort_msg("lab: %s: %s", host->name, err.text);
    }
    group->folder = strdup(folder);
    ck_assert_ptr_nonnull(group->folder);
    watch(group);
    group->procs_fd = open_in(folder, "cgroup.procs", O_WRONLY);
    ck_assert_int_ge(group->procs_fd, 0);
    host->n_groups++;
    return group;
}

/* Of version 1 or 2, whichever it is. */
static void set(struct lab_host *host, const struct lab_group *group, enum lab_limit limit,
                const char *v1, const char *v2)
{
    bool is_v2 = has_file(group->folder, kinds[limit].files[1]);
    int error = write_in(group->folder, kinds[limit].files[is_v2 ? 1 : 0], is_v2 ? v2 : v1);
    ck_assert_msg(error == 0, "lab: cannot limit %s of %s: %s", kinds[limit].what, host->name,
                  strerror(-error));
}

void lab_limit_cores(struct lab_host *host, double cores)
{
    char v1[32];
    char v2[64];
    snprintf(v1, sizeof(v1), "%.0f", cores * PERIOD_US);
    snprintf(v2, sizeof(v2), "%s %d", v1, PERIOD_US);
    set(host, group_for(host, LAB_LIMIT_CORES), LAB_LIMIT_CORES, v1, v2);
}

void lab_limit_memory(struct lab_host *host, uint64_t bytes)
{
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
    const struct lab_group *group = group_for(host, LAB_LIMIT_MEMORY);
    set(host, group, LAB_LIMIT_MEMORY, text, text);
    /* Not there where the kernel does not count what is swapped out. */
    IGNORE(write_in(group->folder, "memory.memsw.limit_in_bytes", text));
    IGNORE(write_in(group->folder, "memory.swap.max", "0"));
}

unsigned lab_memory_kills(const struct lab_host *host)
{
    static const char *const names[] = {"memory.oom_control", "memory.events"};
    char text[1024];
    for (unsigned i = 0; i < host->n_groups * ARRAY_LEN(names); i++) {
        int fd = open_in(host->groups[i / ARRAY_LEN(names)].folder, names[i % ARRAY_LEN(names)],
                         O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = '\0';
        if (fd >= 0) {
            close(fd);
        }
        unsigned n_kills;
        const char *at = strstr(text, "oom_kill ");
        if (at != NULL && sscanf(at, "oom_kill %u", &n_kills) == 1) {
            return n_kills;
        }
    }
    return 0;
}

int lab_limits_enter(const struct lab_host *host)
{
    for (unsigned i = 0; i < host->n_groups; i++) {
        if (write(host->groups[i].procs_fd, "0", 1) < 0) {
            return -errno;
        }
    }
    return 0;
}

void lab_limits_end(struct lab_host *host)
{
    for (unsigned i = 0; i < host->n_groups; i++) {
        struct lab_group *group = &host->groups[i];
        close(group->procs_fd);
        close(group->watcher_fd);
        while (waitpid(group->watcher, NULL, 0) < 0 && errno == EINTR) {
        }
        free(group->folder);
    }
    host->n_groups = 0;
}
