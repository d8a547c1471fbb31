/* The files of one task: those that come before it starts, and those that it returns.
 *
 * What is returned is taken when every process of the task is dead, so nothing changes under the
 * walk; and it is opened from directory to directory without following a link, so that nothing
 * outside the task's directory is ever opened. The daemon reads the descriptors it is sent. */
#include "mesh/cell_init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/message_files.h"

/* --- before it starts --------------------------------------------------------------------------
 */

int init_task_dir(struct init *init, const char *workdir)
{
    const char *path = workdir[0] != '\0' ? workdir : ".";
    if (workdir[0] != '\0') {
        if (!cell_path_is_inside(workdir)) {
            return -EINVAL;
        }
        int r = init_make_parents(init->scratch_fd, workdir);
        if (r < 0) {
            return r;
        }
        if (mkdirat(init->scratch_fd, workdir, 0755) < 0) {
            return -errno; /* the scratch is empty */
        }
    }
    init->task_fd = openat(init->scratch_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return init->task_fd < 0 ? -errno : 0;
}

/* Where a directory is there already, made for what is in it, it gets the mode it should have.
 * Never one that its owner could not use: files may still have to be put into it. */
static int make_dir(int dir_fd, const char *path, uint32_t mode)
{
    int r = init_make_parents(dir_fd, path);
    if (r == 0 && mkdirat(dir_fd, path, 0755) < 0 && errno != EEXIST) {
        r = -errno;
    }
    int fd = r < 0 ? -1 : openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r == 0 && (fd < 0 || fchmod(fd, mode | 0700) < 0)) {
        r = -errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

int init_feed_next(struct init *init)
{
    struct init_feed *feed = &init->attempt.feed;
    for (; feed->next < feed->start.start.n_files; feed->next++) {
        char *path = feed->command.body.files[feed->next];
        bool is_dir;
        uint32_t mode;
        int r = cell_body_file(&path, &is_dir, &mode);
        if (r == 0 && !is_dir) {
            return 1;
        }
        r = r == 0 ? make_dir(init->task_fd, path, mode) : r;
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int init_feed_take(struct init *init, int content_fd)
{
    struct init_feed *feed = &init->attempt.feed;
    char *path = feed->command.body.files[feed->next++];
    bool is_dir;
    uint32_t mode;
    int r = cell_body_file(&path, &is_dir, &mode);
    ensure(r == 0 && !is_dir); /* init_feed_next() said so */
    r = init_make_parents(init->task_fd, path);
    int to = r < 0 ? -1
                   : openat(init->task_fd, path,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (r == 0) {
        r = to < 0 ? -errno : init_copy_bytes(content_fd, to);
    }
    if (r == 0 && fchmod(to, mode) < 0) {
        r = -errno;
    }
    if (to >= 0 && close(to) < 0 && r == 0) {
        r = -errno;
    }
    return r;
}

void init_feed_done(struct init_feed *feed)
{
    for (int i = 0; feed->is_open && i < CELL_FDS_MAX; i++) {
        if (feed->fds[i] >= 0) {
            close(feed->fds[i]);
        }
    }
    init_command_done(&feed->command);
    *feed = (struct init_feed){0};
}

/* --- when it has ended -------------------------------------------------------------------------
 */

struct taking {
    struct init *init;
    struct cell_message message; /* its path is that of where the walk is */
    size_t n_path;
    bool is_enough;
};

static bool is_over(const struct init *init)
{
    uint64_t n_expired;
    return read(init->timer_fd, &n_expired, sizeof n_expired) == sizeof n_expired;
}

/* Waits for the daemon's TAKEN. */
static int wait_taken(struct taking *taking)
{
    struct init *init = taking->init;
    for (;;) {
        struct pollfd polls[] = {{.fd = init->timer_fd, .events = POLLIN},
                                 {.fd = init->socket_fd, .events = POLLIN}};
        struct cell_message message;
        int fds[CELL_GIVE_MAX];
        size_t n_fds = 0;
        if (poll(polls, ARRAY_LEN(polls), -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        if (polls[0].revents != 0 && is_over(init)) {
            return -ETIME;
        }
        if (polls[1].revents == 0) {
            continue;
        }
        int r = cell_message_receive(init->socket_fd, &message, fds, &n_fds);
        while (n_fds > 0) {
            close(fds[--n_fds]); /* none is due */
        }
        if (r < 0) {
            return r;
        }
        if (message.type == CELL_RENEW) {
            init_set_lease(init, message.renew.lease_ms);
        } else if (message.serial == init->attempt.serial && message.type == CELL_KILL) {
            return -ECANCELED;
        } else if (message.serial == init->attempt.serial && message.type == CELL_TAKEN) {
            taking->is_enough = message.taken.is_enough == 1;
            return 0;
        }
    }
}

/* One file, directory or fault at the present path. fd -1: none goes along; else it is closed. */
static int send_file(struct taking *taking, uint32_t mode, bool is_dir, uint32_t fault, int fd)
{
    struct cell_message *message = &taking->message;
    message->file.mode = mode & 0777;
    message->file.is_dir = is_dir;
    message->file.fault = fault;
    int r = cell_message_send(taking->init->socket_fd, message, &fd, fd >= 0);
    if (fd >= 0) {
        close(fd);
    }
    return r < 0 ? r : wait_taken(taking);
}

static uint32_t fault_of(int dir_fd, const char *name, int error)
{
    struct stat st;
    if (error == ENOENT) {
        return WIRE_FILE_FAULT_MISSING;
    }
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISLNK(st.st_mode)) {
            return WIRE_FILE_FAULT_LINK;
        }
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
            return WIRE_FILE_FAULT_KIND;
        }
    }
    return WIRE_FILE_FAULT_UNREADABLE;
}

static int send_entry(struct taking *taking, int dir_fd, const char *name);

/* All that is below the directory. Takes its descriptor. */
static int send_below(struct taking *taking, int dir_fd)
{
    DIR *dir = fdopendir(dir_fd);
    if (dir == NULL) {
        int error = errno;
        close(dir_fd);
        return -error;
    }
    size_t n_path = taking->n_path;
    char *path = taking->message.file.path;
    taking->message.file.is_named = 0;
    int r = 0;
    for (const struct dirent *entry = readdir(dir); r == 0 && entry != NULL && !taking->is_enough;
         entry = readdir(dir)) {
        size_t n = strlen(entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (n_path + 1 + n > WIRE_PATH_BYTES_MAX) {
            r = send_file(taking, 0, false, WIRE_FILE_FAULT_LIMIT, -1);
            continue;
        }
        path[n_path] = '/';
        memcpy(path + n_path + 1, entry->d_name, n + 1);
        taking->n_path = n_path + 1 + n;
        r = send_entry(taking, dir_fd, path + n_path + 1);
        taking->n_path = n_path;
        path[n_path] = '\0';
    }
    closedir(dir);
    return r;
}

/* The entry of that name, which is the last part of the present path. */
static int send_entry(struct taking *taking, int dir_fd, const char *name)
{
    struct stat st;
    /* A pipe that nobody writes to must not hold us. */
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        return send_file(taking, 0, false, fault_of(dir_fd, name, errno), -1);
    }
    if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
        close(fd);
        return send_file(taking, 0, false, WIRE_FILE_FAULT_KIND, -1);
    }
    if (S_ISREG(st.st_mode)) {
        return send_file(taking, st.st_mode, false, WIRE_FILE_FAULT_NONE, fd);
    }
    int r = send_file(taking, st.st_mode, true, WIRE_FILE_FAULT_NONE, -1);
    if (r < 0 || taking->is_enough) {
        close(fd);
        return r;
    }
    return send_below(taking, fd);
}

/* The directory that holds the last part of the path, and in *ret_name that part; or -errno. */
static int open_parent(int dir_fd, const char *path, const char **ret_name)
{
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    for (const char *slash = strchr(path, '/'); fd >= 0 && slash != NULL;
         slash = strchr(path, '/')) {
        char part[WIRE_PATH_BYTES_MAX + 1];
        size_t n = (size_t)(slash - path);
        memcpy(part, path, n);
        part[n] = '\0';
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        if (next < 0 && error == ENOTDIR && fault_of(fd, part, error) == WIRE_FILE_FAULT_LINK) {
            error = ELOOP;
        }
        close(fd);
        if (next < 0) {
            return -error;
        }
        fd = next;
        path = slash + 1;
    }
    *ret_name = path;
    return fd < 0 ? -errno : fd;
}

static int send_return(struct taking *taking, const char *path)
{
    const char *name = path;
    taking->n_path = strlen(path);
    memcpy(taking->message.file.path, path, taking->n_path + 1);
    taking->message.file.is_named = 1;
    int fd = open_parent(taking->init->task_fd, path, &name);
    if (fd < 0) {
        uint32_t fault = fd == -ELOOP                      ? WIRE_FILE_FAULT_LINK
                         : fd == -ENOENT || fd == -ENOTDIR ? WIRE_FILE_FAULT_MISSING
                                                           : WIRE_FILE_FAULT_UNREADABLE;
        return send_file(taking, 0, false, fault, -1);
    }
    int r = send_entry(taking, fd, name);
    close(fd);
    return r;
}

int init_return_files(struct init *init)
{
    struct taking taking = {.init = init,
                            .message = {.type = CELL_FILE, .serial = init->attempt.serial}};
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < init->attempt.n_returns && !taking.is_enough; i++) {
        const char *path = init->attempt.command.body.returns[i];
        if (!cell_path_is_inside(path) || strlen(path) > WIRE_PATH_BYTES_MAX) {
            return -EINVAL;
        }
        r = send_return(&taking, path);
    }
    return r;
}
