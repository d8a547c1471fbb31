#include "mesh/state_owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/state_dir.h"
#include "wire/base/text.h"

/* Deeper than anything that a daemon makes. */
#define DEPTH_MAX 16u

struct change {
    const struct state_owners *owners;
    const char *path; /* of the state directory, for messages */
    dev_t dev;
    struct errmsg *err;
};

int state_owner_make_dir(const char *path, struct errmsg *err)
{
    char parent[MESHD_PATH_BYTES];
    size_t n = strlen(path);
    int rc = n == 0 ? -ENOENT : n >= sizeof(parent) ? -ENAMETOOLONG : 0;
    if (rc == 0) {
        memcpy(parent, path, n + 1);
        while (n > 1 && parent[n - 1] == '/') {
            parent[--n] = '\0';
        }
        char *slash = strrchr(parent, '/');
        if (slash != NULL && slash != parent) {
            *slash = '\0';
            rc = meshd_make_dirs(parent, 0755);
        }
    }
    rc = rc < 0 ? rc : meshd_make_dirs(path, 0700);
    if (rc < 0) {
        errmsg_set(err, "cannot make the state directory %s: %s; choose another with --state DIR",
                   path, strerror(-rc));
    }
    return rc;
}

/* --- one thing at a time -----------------------------------------------------------------------
 */

static int refuse(const struct change *change, const char *name, const char *why, int error)
{
    char shown[128];
    errmsg_set(change->err, "cannot hand the state directory %s over: %s: %s", change->path,
               text_printable(slice_str(name), shown, sizeof(shown)), why);
    return -error;
}

static int change_dir(const struct change *change, int fd, const char *name, unsigned depth);

/* What is not the old owner's is none of our business, nor is what is neither file nor folder. */
static int change_entry(const struct change *change, int dir_fd, const char *name, unsigned depth)
{
    struct stat st;
    int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int error = errno;
        if (fd >= 0) {
            IGNORE(close(fd)); /* a handle without a file position */
        }
        return error == ENOENT ? 0 : refuse(change, name, strerror(error), error);
    }
    int rc = 0;
    if (st.st_uid == change->owners->from && S_ISREG(st.st_mode)) {
        if (st.st_nlink > 1) {
            rc = refuse(change, name, "it has another name (a hard link); remove one of them",
                        EMLINK);
        } else if (fchownat(fd, "", change->owners->to, change->owners->gid, AT_EMPTY_PATH) < 0) {
            rc = refuse(change, name, strerror(errno), errno);
        }
    } else if (st.st_uid == change->owners->from && S_ISDIR(st.st_mode) &&
               st.st_dev == change->dev) {
        int sub_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rc = sub_fd < 0 ? refuse(change, name, strerror(errno), errno)
                        : change_dir(change, sub_fd, name, depth);
    }
    IGNORE(close(fd)); /* as above */
    return rc;
}

static int change_entries(const struct change *change, DIR *dir, const char *name, unsigned depth)
{
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            int rc = change_entry(change, dirfd(dir), entry->d_name, depth + 1);
            if (rc < 0) {
                return rc;
            }
        }
    }
    return errno != 0 ? refuse(change, name, strerror(errno), errno) : 0;
}

/* Takes the descriptor. */
static int change_dir(const struct change *change, int fd, const char *name, unsigned depth)
{
    DIR *dir = depth <= DEPTH_MAX ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int error = depth <= DEPTH_MAX ? errno : ELOOP;
        IGNORE(close(fd)); /* was opened for reading */
        return refuse(change, name, strerror(error), error);
    }
    const struct state_owners *owners = change->owners;
    bool is_taken = owners->to == 0;
    int rc = 0;
    if (is_taken && fchown(fd, owners->to, owners->gid) < 0) {
        rc = refuse(change, name, strerror(errno), errno);
    }
    rc = rc < 0 ? rc : change_entries(change, dir, name, depth);
    if (rc == 0 && !is_taken && fchown(fd, owners->to, owners->gid) < 0) {
        rc = refuse(change, name, strerror(errno), errno);
    }
    IGNORE(closedir(dir)); /* was opened for reading */
    return rc;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

/* Whether a daemon has been here, or nobody: another folder is never given away. */
static int check_is_state(int fd, const char *path, struct errmsg *err)
{
    bool is_strange = false;
    bool is_used = false;
    int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
    if (dir == NULL) {
        int error = errno;
        if (list_fd >= 0) {
            IGNORE(close(list_fd)); /* was opened for reading */
        }
        errmsg_set(err, "cannot read the state directory %s: %s", path, strerror(error));
        return -error;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const char *name = entry->d_name;
        is_used = is_used || strcmp(name, "incarnation") == 0;
        /* The lock comes first: a daemon may have been killed right after. */
        is_strange = is_strange || (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
                                    strcmp(name, "lock") != 0 && strcmp(name, "mesh.sock") != 0);
    }
    IGNORE(closedir(dir)); /* as above */
    if (is_strange && !is_used) {
        errmsg_set(err,
                   "%s is neither empty nor a state directory; choose another with --state DIR, "
                   "or give it to user mesh yourself (chown -R)",
                   path);
        return -ENOTEMPTY;
    }
    return 0;
}

/* While a daemon holds the lock nothing is moved under its feet. The lock is let go at the end: who
 * opens the directory next takes it again. */
static int check_unlocked(int dir_fd, const char *path, struct errmsg *err)
{
    int fd = openat(dir_fd, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return 0; /* none yet; if it is anything else, taking it will say so */
    }
    int rc = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK ? -EBUSY : 0;
    IGNORE(close(fd)); /* was opened for reading */
    if (rc < 0) {
        errmsg_set(err,
                   "another meshd runs on %s; stop it, or give this one its own --state DIR and "
                   "--socket PATH",
                   path);
    }
    return rc;
}

static int change_opened(int fd, const char *path, const struct state_owners *owners,
                         struct errmsg *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        int error = errno;
        errmsg_set(err, "cannot examine the state directory %s: %s", path, strerror(error));
        return -error;
    }
    if (st.st_uid != owners->from || (st.st_mode & 0022) != 0) {
        return 0; /* who opens it as a state directory will refuse it, if it is to be refused */
    }
    int rc = check_unlocked(fd, path, err);
    rc = rc < 0 ? rc : check_is_state(fd, path, err);
    if (rc < 0) {
        return rc;
    }
    struct change change = {.owners = owners, .path = path, .dev = st.st_dev, .err = err};
    /* Root's alone before anything in it is touched; taken back, it is first made root's. */
    if ((owners->to == 0 && fchown(fd, 0, owners->gid) < 0) || fchmod(fd, 0700) < 0) {
        return refuse(&change, ".", strerror(errno), errno);
    }
    int walk_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return walk_fd < 0 ? refuse(&change, ".", strerror(errno), errno)
                       : change_dir(&change, walk_fd, ".", 0);
}

int state_owner_change(const char *path, const struct state_owners *owners, struct errmsg *err)
{
    ensure(owners->from == 0 || owners->to == 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int error = errno;
        errmsg_set(err, "cannot open the state directory %s: %s; name the directory itself", path,
                   strerror(error));
        return -error;
    }
    int rc = change_opened(fd, path, owners, err);
    IGNORE(close(fd)); /* was opened for reading */
    return rc;
}
