/* The scratch directory: the job's files in it, and emptying it.
 *
 * The files themselves are out of the tasks' reach (on a read-only file system in a sandbox); what
 * stands in the scratch are links to them, made anew for each attempt. */
#include "mesh/cell_init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int init_make_parents(int dir_fd, const char *path)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t n = (size_t)(slash - path);
        if (n >= sizeof part) {
            return -ENAMETOOLONG;
        }
        memcpy(part, path, n);
        part[n] = '\0';
        if (mkdirat(dir_fd, part, 0755) < 0 && errno != EEXIST) {
            return -errno;
        }
    }
    return 0;
}

int init_link_files(struct init *init)
{
    for (int i = 0; i < init->n_files; i++) {
        const char *path = init->files[i] + 2;
        char target[PATH_MAX];
        int n = snprintf(target, sizeof target, "%s/%s", init->job_dir, path);
        int r = n < 0 || (size_t)n >= sizeof target ? -ENAMETOOLONG
                                                    : init_make_parents(init->task_fd, path);
        if (r == 0 && symlinkat(target, init->task_fd, path) < 0) {
            r = -errno;
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int init_copy_bytes(int from, int to)
{
    char bytes[65536];
    for (;;) {
        ssize_t n = read(from, bytes, sizeof bytes);
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        for (ssize_t at = 0; at < n;) {
            ssize_t written = write(to, bytes + at, (size_t)(n - at));
            if (written < 0) {
                return -errno;
            }
            at += written;
        }
    }
}

int init_copy_files(struct init *init)
{
    int dir_fd = open(init->job_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dir_fd < 0 ? -errno : 0;
    for (int i = 0; r == 0 && i < init->n_files; i++) {
        const char *path = init->files[i] + 2;
        mode_t mode = init->files[i][0] == 'x' ? 0555 : 0444;
        r = init_make_parents(dir_fd, path);
        int to =
            r < 0 ? -1 : openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode | 0200);
        if (r == 0) {
            r = to < 0 ? -errno : init_copy_bytes(CELL_FIRST_FILE_FD + i, to);
        }
        if (r == 0 && fchmod(to, mode) < 0) {
            r = -errno;
        }
        if (to >= 0) {
            close(to);
        }
        close(CELL_FIRST_FILE_FD + i);
    }
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    return r;
}

/* Takes off what could carry a note from one attempt to the next. */
static int clear_attributes(int dir_fd)
{
    char names[4096];
    ssize_t n = flistxattr(dir_fd, names, sizeof names);
    if (n < 0) {
        return errno == ENOTSUP ? 0 : -errno;
    }
    for (const char *name = names; name < names + n; name += strlen(name) + 1) {
        if ((strncmp(name, "user.", 5) == 0 || strncmp(name, "system.posix_acl", 16) == 0) &&
            fremovexattr(dir_fd, name) < 0) {
            return -errno;
        }
    }
    return 0;
}

struct flatten { /* the directory being emptied, and the next name for what is moved up */
    int dir_fd;
    unsigned long next_name;
};

static int empty_level(struct flatten *top, int dir_fd);

/* Moves an entry of a subdirectory to the top, under a name that is free there. */
static int move_up(struct flatten *top, int from_fd, const char *name)
{
    for (;;) {
        char to[32];
        snprintf(to, sizeof to, "%lu", top->next_name++);
        if (renameat2(from_fd, name, top->dir_fd, to, RENAME_NOREPLACE) == 0) {
            return 0;
        }
        if (errno != EEXIST) {
            return -errno;
        }
    }
}

/* Empties a directory that stands at the top by moving its directories up beside it; removes it. */
static int take_apart(struct flatten *top, const char *name)
{
    int fd = openat(top->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = empty_level(top, fd);
    close(fd);
    return r == 0 && unlinkat(top->dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : r;
}

/* A mount: the owner's --bind, for a task cannot make one, nor move or remove it where it stands at
 * the top. Further down a task can rename what it stands in. */
static bool is_mount(const struct flatten *top, int dir_fd, const char *name)
{
    struct statx st;
    return dir_fd == top->dir_fd &&
           statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* Removes one entry; 1 when it stays. A directory that is not empty is taken apart if it stands at
 * the top, else moved there first, where a later pass finds it: depth costs neither stack nor
 * descriptors. */
static int remove_entry(struct flatten *top, int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, 0) == 0) {
        return 0;
    }
    int error = errno;
    if (is_mount(top, dir_fd, name)) {
        return 1;
    }
    if (error != EISDIR && error != EPERM) {
        return -error;
    }
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0) {
        return 0;
    }
    if (errno != ENOTEMPTY && errno != EEXIST) {
        return -errno;
    }
    if (fchmodat(dir_fd, name, 0700, 0) < 0) { /* else it may not be moved or read */
        return -errno;
    }
    return dir_fd == top->dir_fd ? take_apart(top, name) : move_up(top, dir_fd, name);
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Calls remove_entry() on what a walk of the directory yields, and counts what went. */
static int remove_entries(struct flatten *top, DIR *dir, int dir_fd, unsigned long *ret_n)
{
    unsigned long n = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            break;
        }
        if (is_dots(entry->d_name)) {
            continue;
        }
        int r = remove_entry(top, dir_fd, entry->d_name);
        if (r < 0) {
            return r;
        }
        n += r == 0;
    }
    if (errno != 0) {
        return -errno;
    }
    *ret_n = n;
    return 0;
}

/* Walks the directory until a walk finds nothing: one that is changed meanwhile may skip some. */
static int empty_level(struct flatten *top, int dir_fd)
{
    int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    if (dir == NULL) {
        int r = -errno;
        if (own_fd >= 0) {
            close(own_fd);
        }
        return r;
    }
    unsigned long n = 0;
    int r;
    do {
        rewinddir(dir);
        r = remove_entries(top, dir, dir_fd, &n);
    } while (r == 0 && n > 0);
    closedir(dir);
    return r;
}

int init_empty_dir(int dir_fd)
{
    struct flatten top = {.dir_fd = dir_fd};
    struct stat st;
    if (fstat(dir_fd, &st) < 0) {
        return -errno;
    }
    /* The task may have locked the directory itself. */
    if ((st.st_mode & 0700) != 0700 && fchmod(dir_fd, 0700) < 0) {
        return -errno;
    }
    int r = empty_level(&top, dir_fd);
    return r < 0 ? r : clear_attributes(dir_fd);
}
