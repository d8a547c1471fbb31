#include "mesh/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mesh/cores.h"

#define DAEMON_GROUP "daemon"
#define TEXT_BYTES   4096

static int fail(struct errmsg *reterr, int error, const char *what)
{
    errmsg_set(reterr, "no control group for tasks: %s: %s", what, strerror(error));
    return -error;
}

/* One read, one text: files of the kernel. */
static int read_file(int dir_fd, const char *name, char to[static TEXT_BYTES])
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = read(fd, to, TEXT_BYTES - 1);
    int rc = n < 0 ? -errno : 0;
    IGNORE(close(fd)); /* was opened for reading */
    to[n > 0 ? n : 0] = '\0';
    return rc;
}

static int write_file(int dir_fd, const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = write(fd, text, strlen(text));
    int rc = n < 0 ? -errno : 0;
    IGNORE(close(fd)); /* the kernel has taken it, or not */
    return rc;
}

/* Ours to divide: it belongs to the user, or it is marked as given away, or this is a machine where
 * nobody divides. */
static bool is_ours(const char *root, int dir_fd, uid_t to_uid)
{
    struct stat st;
    char mark = '0';
    char path[CGROUP_PATH_BYTES];
    if (fstat(dir_fd, &st) < 0) {
        return false;
    }
    if (st.st_uid == to_uid && to_uid != 0) {
        return true;
    }
    if (st.st_uid != 0 || geteuid() != 0) {
        return false;
    }
    if (fgetxattr(dir_fd, "trusted.delegate", &mark, 1) == 1 ||
        fgetxattr(dir_fd, "user.delegate", &mark, 1) == 1) {
        return mark == '1';
    }
    int n = snprintf(path, sizeof(path), "%s/run/systemd/system", root);
    return n > 0 && (size_t)n < sizeof(path) && stat(path, &st) < 0;
}

/* Whoever else is in it would stand in the way: a group that has members gives its children no
 * controllers. */
static bool is_alone(int dir_fd)
{
    char members[TEXT_BYTES];
    char self[32];
    IGNORE(snprintf(self, sizeof(self), "%ld\n", (long)getpid())); /* it fits */
    return read_file(dir_fd, "cgroup.procs", members) == 0 && strcmp(members, self) == 0;
}

/* The controllers that are here, of those that cells use. */
static void enable_controllers(int dir_fd)
{
    static const char *const wanted[] = {"memory", "pids"};
    char here[TEXT_BYTES];
    char *rest = here;
    if (read_file(dir_fd, "cgroup.controllers", here) < 0) {
        return;
    }
    here[strcspn(here, "\n")] = '\0';
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
            char line[32];
            if (strcmp(word, wanted[i]) == 0) {
                IGNORE(snprintf(line, sizeof(line), "+%s", word));          /* it fits */
                IGNORE(write_file(dir_fd, "cgroup.subtree_control", line)); /* cells look for its
                                                                             * files */
            }
        }
    }
}

/* What one who may divide a group must be able to write. */
static int give(int dir_fd, uid_t uid, gid_t gid)
{
    static const char *const names[] = {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (fchownat(dir_fd, names[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT) {
            return -errno;
        }
    }
    return fchown(dir_fd, uid, gid) < 0 ? -errno : 0;
}

static int divide(int dir_fd, uid_t uid, gid_t gid, struct errmsg *reterr)
{
    if (mkdirat(dir_fd, DAEMON_GROUP, 0755) < 0 && errno != EEXIST) {
        return fail(reterr, errno, "make a group for the daemon");
    }
    int rc = write_file(dir_fd, DAEMON_GROUP "/cgroup.procs", "0");
    if (rc < 0) {
        IGNORE(unlinkat(dir_fd, DAEMON_GROUP, AT_REMOVEDIR)); /* it does no harm */
        return fail(reterr, -rc, "move the daemon into a group of its own");
    }
    enable_controllers(dir_fd);
    rc = geteuid() == 0 ? give(dir_fd, uid, gid) : 0;
    return rc < 0 ? fail(reterr, -rc, "give the group away") : 0;
}

int cgroup_prepare(const char *root, uid_t to_uid, gid_t to_gid,
                   char ret_base[static CGROUP_PATH_BYTES], struct errmsg *reterr)
{
    char base[CGROUP_PATH_BYTES];
    int rc = cores_own_group(root, "", base, sizeof(base));
    if (rc < 0) {
        return fail(reterr, -rc, "version 2 is not mounted");
    }
    int dir_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return fail(reterr, errno, base);
    }
    if (!is_ours(root, dir_fd, to_uid)) {
        rc = fail(reterr, EPERM, "that of the daemon is not delegated");
    } else if (!is_alone(dir_fd)) {
        rc = fail(reterr, EBUSY, "the daemon is not alone in its own");
    } else {
        rc = divide(dir_fd, to_uid, to_gid, reterr);
    }
    IGNORE(close(dir_fd)); /* was opened for reading */
    if (rc == 0) {
        memcpy(ret_base, base, sizeof(base));
    }
    return rc;
}
