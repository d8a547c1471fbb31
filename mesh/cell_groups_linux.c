/* Version 2: a group that hands a controller on may hold no processes itself, so the daemon's own
 * is divided first (cgroup.h). Version 1 has no such rule. */
#include "mesh/cell_groups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/cores.h"
#include "wire/base/slice.h"
#include "wire/base/text.h"

#define CELL_PREFIX "mesh-cell-"

static int write_to(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX + 64];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path) {
        return -ENAMETOOLONG;
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

static int write_number(const char *dir, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return write_to(dir, name, text);
}

static bool read_from(const char *dir, const char *name, char *to, size_t n_to)
{
    char path[PATH_MAX + 64];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = n < 0 || (size_t)n >= sizeof path ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, to, n_to - 1);
    if (fd >= 0) {
        close(fd);
    }
    to[got > 0 ? got : 0] = '\0';
    return got >= 0;
}

/* Groups of cells whose daemon was killed. One that is in use cannot be removed, so nobody is
 * harmed. */
static void remove_left(const char *dir)
{
    char path[PATH_MAX + 300];
    DIR *all = opendir(dir);
    const struct dirent *entry;
    while (all != NULL && (entry = readdir(all)) != NULL) {
        if (strncmp(entry->d_name, CELL_PREFIX, strlen(CELL_PREFIX)) == 0) {
            snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
            IGNORE(rmdir(path)); /* as above */
        }
    }
    if (all != NULL) {
        closedir(all);
    }
}

/* The proof that they can be made there is to make one. */
static int try_dir(struct cell_groups *groups, const char *dir, bool is_v2)
{
    struct cell_group trial = {0};
    int procs_fd = -1;
    int n = snprintf(groups->dir, sizeof groups->dir, "%s", dir);
    groups->is_v2 = is_v2;
    int r = n < 0 || (size_t)n >= sizeof groups->dir ? -ENAMETOOLONG : 0;
    if (r == 0) {
        remove_left(groups->dir);
        r = cell_group_make(groups, 1 << 30, &trial, &procs_fd);
    }
    if (r < 0) {
        groups->dir[0] = '\0';
        return r;
    }
    close(procs_fd);
    cell_group_done(&trial);
    return 0;
}

int cell_groups_init(struct cell_groups *groups, const char *base, const char *root)
{
    char dir[PATH_MAX];
    *groups = (struct cell_groups){.dir = ""};
    if (base[0] != '\0' && try_dir(groups, base, true) == 0) {
        return 0;
    }
    int r = cores_own_group(root, "memory", dir, sizeof dir);
    return r < 0 ? r : try_dir(groups, dir, false);
}

static int open_procs(const struct cell_group *group)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/cgroup.procs", group->dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int cell_group_make(struct cell_groups *groups, uint64_t memory_bytes, struct cell_group *ret_group,
                    int *ret_procs_fd)
{
    struct cell_group group = {.is_v2 = groups->is_v2};
    if (groups->dir[0] == '\0') {
        return -ENOENT;
    }
    snprintf(group.dir, sizeof group.dir, "%s/" CELL_PREFIX "%d-%llu", groups->dir, (int)getpid(),
             (unsigned long long)groups->n_made++);
    if (mkdir(group.dir, 0755) < 0) {
        return -errno;
    }
    int r =
        write_number(group.dir, group.is_v2 ? "memory.max" : "memory.limit_in_bytes", memory_bytes);
    /* Swap is no way around it. A kernel that does not count it has no such file. */
    int swap = r < 0         ? r
               : group.is_v2 ? write_to(group.dir, "memory.swap.max", "0")
                             : write_number(group.dir, "memory.memsw.limit_in_bytes", memory_bytes);
    r = swap == -ENOENT ? 0 : swap;
    int fd = r < 0 ? r : open_procs(&group);
    if (fd < 0) {
        rmdir(group.dir);
        return fd;
    }
    *ret_group = group;
    *ret_procs_fd = fd;
    return 0;
}

bool cell_group_has_killed(struct cell_group *group)
{
    char text[512];
    char number[24];
    uint64_t n = 0;
    const char *name = group->is_v2 ? "memory.events" : "memory.oom_control";
    if (group->dir[0] == '\0' || !read_from(group->dir, name, text, sizeof text)) {
        return false;
    }
    const char *at = strstr(text, "oom_kill ");
    if (at == NULL) {
        return false; /* before Linux 4.13 version 1 does not count them */
    }
    at += strlen("oom_kill ");
    size_t n_digits = strspn(at, "0123456789");
    n_digits = n_digits < sizeof number ? n_digits : 0;
    memcpy(number, at, n_digits);
    number[n_digits] = '\0';
    if (text_parse_u64(number, UINT64_MAX, &n) < 0 || n == group->n_kills) {
        return false;
    }
    group->n_kills = n;
    return true;
}

void cell_group_done(struct cell_group *group)
{
    if (group->dir[0] != '\0') {
        IGNORE(rmdir(group->dir)); /* what could not be killed keeps it; the next daemon tries */
        group->dir[0] = '\0';
    }
}
