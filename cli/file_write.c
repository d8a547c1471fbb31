#include "cli/file_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/signals.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/limits.h"

#define COPY_BYTES (64u << 10)

static int fail(const char *base, struct slice path, int error, struct errmsg *err)
{
    char shown[256];
    const char *why =
        error == -ELOOP ? "a symbolic link is in the way, and none is followed" : strerror(-error);
    if (error == -EINTR) {
        return error;
    }
    text_printable(path, shown, sizeof(shown));
    errmsg_set(err, "cannot write %s%s%s: %s", strcmp(base, ".") == 0 ? "" : base,
               strcmp(base, ".") == 0 ? "" : "/", shown, why);
    return error;
}

/* The folder that the user named, made where it is missing, as `mkdir -p` does. */
static int open_base(const char *base)
{
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT) {
        return fd < 0 ? -errno : fd;
    }
    char path[WIRE_PATH_BYTES_MAX + 1];
    size_t n = strlen(base);
    if (n >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    memcpy(path, base, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            char kept = path[i];
            path[i] = '\0';
            if (mkdir(path, 0777) < 0 && errno != EEXIST) {
                return -errno;
            }
            path[i] = kept;
        }
    }
    fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* One step down. -ELOOP: it is a link. */
static int open_part(int dir_fd, const char *part, bool may_make, bool *ret_is_new)
{
    *ret_is_new = may_make && mkdirat(dir_fd, part, 0777) == 0;
    if (may_make && !*ret_is_new && errno != EEXIST) {
        return -errno;
    }
    int fd = openat(dir_fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        return fd;
    }
    struct stat st;
    int error = errno;
    bool is_link = fstatat(dir_fd, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
    return is_link ? -ELOOP : -error;
}

/* Opens the folder that holds the last part of the path, which is copied to `name`. */
static int open_parent(const char *base, struct slice path, bool may_make,
                       char name[static WIRE_PATH_BYTES_MAX + 1])
{
    if (path.n == 0 || path.n > WIRE_PATH_BYTES_MAX) {
        return -ENAMETOOLONG;
    }
    int fd = open_base(base);
    while (fd >= 0) {
        const uint8_t *slash = memchr(path.p, '/', path.n);
        size_t n = slash != NULL ? (size_t)(slash - path.p) : path.n;
        memcpy(name, path.p, n);
        name[n] = '\0';
        ensure(n > 0 && strcmp(name, ".") != 0 &&
               strcmp(name, "..") != 0); /* the codec saw to it */
        if (slash == NULL) {
            break;
        }
        bool is_new;
        int next = open_part(fd, name, may_make, &is_new);
        close(fd);
        fd = next;
        path = slice_from(path, n + 1);
    }
    return fd;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t n_written = write(fd, p, n);
        if (n_written < 0 && errno != EINTR) {
            return -errno;
        }
        if (cmd_signals_caught() != 0) {
            return -EINTR;
        }
        p += n_written > 0 ? n_written : 0;
        n -= n_written > 0 ? (size_t)n_written : 0;
    }
    return 0;
}

static int copy_content(const struct cmd_content *content, int to)
{
    if (content->fd < 0) {
        return write_all(to, content->inlined.p, content->inlined.n);
    }
    uint8_t *bytes = mem_alloc_or_die(1, COPY_BYTES);
    uint64_t at = 0;
    int r = 0;
    while (r == 0 && at < content->bytes) {
        uint64_t left = content->bytes - at;
        ssize_t n =
            pread(content->fd, bytes, left < COPY_BYTES ? (size_t)left : COPY_BYTES, (off_t)at);
        if (n <= 0) {
            r = n == 0 ? -EIO : errno == EINTR ? 0 : -errno; /* shorter than it was said to be */
        } else {
            r = write_all(to, bytes, (size_t)n);
            at += (uint64_t)n;
        }
    }
    mem_free(bytes);
    return r;
}

/* Writes it under a name of our own, then gives it its name. */
static int write_in(int dir_fd, const char *name, uint32_t mode, const struct cmd_content *content)
{
    static unsigned n_temporary;
    char temporary[64];
    int fd;
    do {
        snprintf(temporary, sizeof(temporary), ".mesh-%ld-%u", (long)getpid(), n_temporary++);
        fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0) {
        return -errno;
    }
    int r = copy_content(content, fd);
    if (r == 0 && fchmod(fd, mode & 0777) < 0) {
        r = -errno;
    }
    if (close(fd) < 0 && r == 0) {
        r = -errno;
    }
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0) {
        r = -errno;
    }
    if (r < 0) {
        IGNORE(unlinkat(dir_fd, temporary, 0)); /* it is of no use; what failed is told */
    }
    return r;
}

int cmd_file_write(const char *base, struct slice path, uint32_t mode,
                   const struct cmd_content *content, struct errmsg *err)
{
    char name[WIRE_PATH_BYTES_MAX + 1];
    int dir_fd = open_parent(base, path, true, name);
    int r = dir_fd < 0 ? dir_fd : write_in(dir_fd, name, mode, content);
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    return r < 0 ? fail(base, path, r, err) : 0;
}

int cmd_dir_make(const char *base, struct slice path, bool *ret_is_new, struct errmsg *err)
{
    char name[WIRE_PATH_BYTES_MAX + 1];
    int dir_fd = open_parent(base, path, true, name);
    int fd = dir_fd < 0 ? dir_fd : open_part(dir_fd, name, true, ret_is_new);
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    if (fd < 0) {
        return fail(base, path, fd, err);
    }
    close(fd);
    return 0;
}

int cmd_dir_set_mode(const char *base, struct slice path, uint32_t mode, struct errmsg *err)
{
    char name[WIRE_PATH_BYTES_MAX + 1];
    bool is_new;
    int dir_fd = open_parent(base, path, false, name);
    int fd = dir_fd < 0 ? dir_fd : open_part(dir_fd, name, false, &is_new);
    int r = fd < 0 ? fd : fchmod(fd, mode & 0777) < 0 ? -errno : 0;
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    if (fd >= 0) {
        close(fd);
    }
    return r < 0 ? fail(base, path, r, err) : 0;
}
