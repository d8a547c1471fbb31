#include "mesh/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/text.h"

static int put_path(char to[static MESHD_PATH_BYTES], const char *a, size_t n_a, const char *b,
                    struct errmsg *err)
{
    int n = snprintf(to, MESHD_PATH_BYTES, "%.*s%s", (int)n_a, a, b);
    if (n < 0 || n >= MESHD_PATH_BYTES) {
        errmsg_set(err,
                   "the state directory's path is longer than %d bytes; choose another with "
                   "--state DIR",
                   MESHD_PATH_BYTES - 1);
        return -ENAMETOOLONG;
    }
    return 0;
}

/* NULL when unset or empty. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

int meshd_state_path(const char *option, char ret_path[static MESHD_PATH_BYTES], struct errmsg *err)
{
    const char *direct = option != NULL ? option : environment("MESH_STATE");
    if (direct != NULL) {
        return put_path(ret_path, direct, strlen(direct), "", err);
    }
    const char *service = environment("STATE_DIRECTORY");
    if (service != NULL) { /* systemd separates several by colons */
        return put_path(ret_path, service, strcspn(service, ":"), "", err);
    }
    if (geteuid() == 0) {
        return put_path(ret_path, "/var/lib", strlen("/var/lib"), "/mesh", err);
    }
    const char *xdg = environment("XDG_STATE_HOME");
    if (xdg != NULL && xdg[0] == '/') { /* the specification: relative ones are ignored */
        return put_path(ret_path, xdg, strlen(xdg), "/mesh", err);
    }
    const char *home = environment("HOME");
    if (home == NULL) {
        errmsg_set(err, "no place for the state: HOME is not set; name one with --state DIR");
        return -ENOENT;
    }
    return put_path(ret_path, home, strlen(home), "/.local/state/mesh", err);
}

int meshd_make_dirs(const char *path, unsigned mode)
{
    char partial[MESHD_PATH_BYTES];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(partial)) {
        return n == 0 ? -ENOENT : -ENAMETOOLONG;
    }
    memcpy(partial, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (partial[i] == '/' || partial[i] == '\0') {
            char kept = partial[i];
            partial[i] = '\0';
            if (mkdir(partial, (mode_t)mode) < 0 && errno != EEXIST) {
                int error = errno;
                struct stat st; /* a parent on a read-only file system may well be there */
                if (stat(partial, &st) < 0) {
                    return -error;
                }
            }
            partial[i] = kept;
        }
    }
    return 0;
}

int meshd_file_write_whole(int dir_fd, const char *name, struct slice bytes, struct errmsg *err)
{
    char temporary[64];
    int n = snprintf(temporary, sizeof(temporary), ".%s.new", name);
    ensure(n > 0 && (size_t)n < sizeof(temporary));
    int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd < 0 ? -errno : 0;
    for (size_t done = 0; rc == 0 && done < bytes.n;) {
        ssize_t n_written = write(fd, bytes.p + done, bytes.n - done);
        if (n_written < 0 && errno != EINTR) {
            rc = -errno;
        } else if (n_written > 0) {
            done += (size_t)n_written;
        }
    }
    if (rc == 0 && fsync(fd) < 0) {
        rc = -errno;
    }
    if (fd >= 0 && close(fd) < 0 && rc == 0) {
        rc = -errno;
    }
    if (rc == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        IGNORE(unlinkat(dir_fd, temporary, 0)); /* best effort: the next start truncates it */
        errmsg_set(err, "cannot write the file \"%s\": %s", name, strerror(-rc));
        return rc;
    }
    if (fsync(dir_fd) < 0 && errno != EINVAL) { /* EINVAL: a file system that cannot */
        rc = -errno;
        errmsg_set(err, "cannot put the file \"%s\" on disk: %s", name, strerror(-rc));
    }
    return rc;
}

/* The pid that holds the lock, as text, for the error line. */
static void read_holder(int lock_fd, char to[static 16])
{
    ssize_t n = pread(lock_fd, to, 15, 0);
    to[n > 0 ? n : 0] = '\0';
    to[strspn(to, "0123456789")] = '\0';
}

static int take_lock(struct meshd_state *state, struct errmsg *err)
{
    state->lock_fd = openat(state->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state->lock_fd < 0) {
        int error = errno;
        errmsg_set(err,
                   "cannot write in the state directory %s: %s; choose another with "
                   "--state DIR",
                   state->path, strerror(error));
        return -error;
    }
    if (flock(state->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        char holder[16];
        read_holder(state->lock_fd, holder);
        errmsg_set(err,
                   "another meshd%s%s%s runs on %s; stop it, or give this one its own --state "
                   "DIR and --socket PATH",
                   holder[0] != '\0' ? " (process " : "", holder, holder[0] != '\0' ? ")" : "",
                   state->path);
        return -EBUSY;
    }
    char pid[16];
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    IGNORE(ftruncate(state->lock_fd, 0)); /* the pid is for people; the lock is what counts */
    IGNORE(pwrite(state->lock_fd, pid, (size_t)n, 0));
    return 0;
}

static int raise_incarnation(struct meshd_state *state, struct errmsg *err)
{
    char text[16];
    uint64_t last = 0;
    int fd = openat(state->dir_fd, "incarnation", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof(text) - 1);
        IGNORE(close(fd)); /* opened for reading */
        text[n > 0 ? n : 0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        if (text_parse_u64(text, UINT32_MAX - 1, &last) < 0) {
            errmsg_set(err,
                       "%s/incarnation holds no number; write the last one into it, or "
                       "choose another directory with --state DIR",
                       state->path);
            return -EINVAL;
        }
    } else if (errno != ENOENT) {
        int error = errno;
        errmsg_set(err, "cannot read %s/incarnation: %s", state->path, strerror(error));
        return -error;
    }
    int n = snprintf(text, sizeof(text), "%u\n", (unsigned)last + 1);
    int rc = meshd_file_write_whole(state->dir_fd, "incarnation", slice_of(text, (size_t)n), err);
    if (rc < 0) {
        errmsg_wrap(err, "state directory %s", state->path);
        return rc;
    }
    state->incarnation = (uint32_t)last + 1;
    return 0;
}

static int open_dir(struct meshd_state *state, struct errmsg *err)
{
    int rc = meshd_make_dirs(state->path, 0700);
    if (rc < 0) {
        errmsg_set(err, "cannot make the state directory %s: %s; choose another with --state DIR",
                   state->path, strerror(-rc));
        return rc;
    }
    state->dir_fd = open(state->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (state->dir_fd < 0 || fstat(state->dir_fd, &st) < 0) {
        int error = errno;
        errmsg_set(err, "cannot open the state directory %s: %s; choose another with --state DIR",
                   state->path, strerror(error));
        return -error;
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        errmsg_set(err,
                   "the state directory %s belongs to user %lu, this is user %lu; choose another "
                   "with --state DIR",
                   state->path, (unsigned long)st.st_uid, (unsigned long)geteuid());
        return -EPERM;
    }
    if ((st.st_mode & 0022) != 0) {
        errmsg_set(err,
                   "the state directory %s can be written by others; it must be its owner's "
                   "alone (chmod go-w)",
                   state->path);
        return -EPERM;
    }
    return 0;
}

int meshd_state_open(const char *path, struct meshd_state *ret_state, struct errmsg *err)
{
    struct meshd_state state = {.dir_fd = -1, .lock_fd = -1};
    int n = snprintf(state.path, sizeof(state.path), "%s", path);
    if (n <= 0 || (size_t)n >= sizeof(state.path)) {
        errmsg_set(err, "the state directory's path is empty or too long; name one with "
                        "--state DIR");
        return -ENAMETOOLONG;
    }
    int rc = open_dir(&state, err);
    if (rc == 0) {
        rc = take_lock(&state, err);
    }
    if (rc == 0) {
        rc = raise_incarnation(&state, err);
    }
    if (rc < 0) {
        meshd_state_close(&state);
        return rc;
    }
    *ret_state = state;
    return 0;
}

void meshd_state_close(struct meshd_state *state)
{
    if (state->lock_fd >= 0) {
        IGNORE(close(state->lock_fd)); /* nothing to be done about it */
        state->lock_fd = -1;
    }
    if (state->dir_fd >= 0) {
        IGNORE(close(state->dir_fd));
        state->dir_fd = -1;
    }
}
