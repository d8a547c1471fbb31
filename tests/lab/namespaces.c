/* A host is held by its process 1, which is ours: it is made by clone3() in new network, UTS,
 * mount, pid and IPC namespaces, sets the host up from within, sends the descriptor of its TAP
 * back, and then waits for the control socket to close. When it ends, by that, by PR_SET_PDEATHSIG
 * or by a kill from outside, the kernel kills all others of its pid namespace, and the rest is
 * freed with them. */
#include "tests/lab/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/fdpass.h"
#include "tests/lab/link.h"

#define HOST_NAMESPACES (CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC)
/* Where a host's new folder is filled before it is moved over the old one. */
#define STAGE      NAMESPACES_SHARE "/.stage"
#define PATH_BYTES 4096
#define DISK_BYTES 64 /* of the path of a disk */

/* What process 1 says once it is ready or has failed. */
struct ready {
    int error;
    struct errmsg message;
};

static int fail(struct errmsg *err, const char *what, const char *name)
{
    int error = errno > 0 ? errno : EIO;
    errmsg_set(err, "%s%s%s: %s", what, *name == '\0' ? "" : " ", name, strerror(error));
    return -error;
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = write(fd, text, strlen(text));
    int error = n < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* In it this user is root and nobody else exists. */
static int enter_user_namespace(struct errmsg *err)
{
    char uid_map[64];
    char gid_map[64];
    snprintf(uid_map, sizeof(uid_map), "0 %u 1", (unsigned)geteuid());
    snprintf(gid_map, sizeof(gid_map), "0 %u 1", (unsigned)getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0) {
        return fail(err, "neither root nor user namespaces: unshare(CLONE_NEWUSER)", "");
    }
    errno = 0;
    if (write_file("/proc/self/setgroups", "deny") < 0 ||
        write_file("/proc/self/uid_map", uid_map) < 0 ||
        write_file("/proc/self/gid_map", gid_map) < 0) {
        return fail(err, "cannot write the user namespace's maps", "");
    }
    return 0;
}

int namespaces_enter(struct errmsg *err)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0) {
        int error = enter_user_namespace(err);
        if (error != 0) {
            return error;
        }
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return fail(err, "cannot make mounts private", "");
    }
    if (mount("lab", NAMESPACES_SHARE, "tmpfs", MS_NOSUID, "mode=0755") < 0) {
        return fail(err, "cannot mount a tmpfs at", NAMESPACES_SHARE);
    }
    if (mkdir(STAGE, 0755) < 0) {
        return fail(err, "cannot make", STAGE);
    }
    return 0;
}

static void disk_path(unsigned number, char path[DISK_BYTES])
{
    snprintf(path, DISK_BYTES, "%s/.disk-%u", NAMESPACES_SHARE, number);
}

int namespaces_make_disk(unsigned number, uint64_t bytes, struct errmsg *err)
{
    char path[DISK_BYTES];
    char options[64];
    disk_path(number, path);
    snprintf(options, sizeof(options), "mode=0755,size=%llu", (unsigned long long)bytes);
    if (mkdir(path, 0755) < 0 ||
        (bytes > 0 && mount("disk", path, "tmpfs", MS_NOSUID, options) < 0)) {
        return fail(err, "cannot make the disk", path);
    }
    return 0;
}

/* --- a host from within ---------------------------------------------------------------------- */

static int make_folders(const char *path)
{
    char part[PATH_BYTES];
    for (const char *end = strchr(path + 1, '/');; end = strchr(end + 1, '/')) {
        size_t n = end == NULL ? strlen(path) : (size_t)(end - path);
        if (n >= sizeof(part)) {
            return -ENAMETOOLONG;
        }
        memcpy(part, path, n);
        part[n] = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST) {
            return -errno;
        }
        if (end == NULL) {
            return 0;
        }
    }
}

/* If the folder `kept` lies below `hidden`, it is made to be seen in the stage, too. */
static int keep_below(const char *hidden, const char *kept)
{
    size_t n = strlen(hidden);
    if (strncmp(kept, hidden, n) != 0 || kept[n] != '/') {
        return 0;
    }
    char staged[PATH_BYTES];
    if (snprintf(staged, sizeof(staged), "%s%s", STAGE, kept + n) >= (int)sizeof(staged)) {
        return -ENAMETOOLONG;
    }
    int error = make_folders(staged);
    if (error != 0) {
        return error;
    }
    return mount(kept, staged, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
}

/* This disk, or for NULL an empty tmpfs, in the place of the machine's folder. What the tests
 * themselves need (the list $MESH_LAB_KEEP, parted by colons: the build folder, say) stays where it
 * was below it. */
static int hide_folder(const char *folder, const char *mode, const char *disk, struct errmsg *err)
{
    int error = disk != NULL ? mount(disk, STAGE, NULL, MS_BIND, NULL)
                             : mount("lab", STAGE, "tmpfs", MS_NOSUID, mode);
    if (error < 0) {
        return fail(err, disk != NULL ? "cannot mount the disk for" : "cannot mount a tmpfs for",
                    folder);
    }
    const char *list = getenv("MESH_LAB_KEEP");
    while (list != NULL && *list != '\0') {
        char kept[PATH_BYTES];
        size_t n = strcspn(list, ":");
        snprintf(kept, sizeof(kept), "%.*s", (int)n, list);
        error = keep_below(folder, kept);
        if (error != 0) {
            errno = -error;
            return fail(err, "cannot keep", kept);
        }
        list += n + (list[n] == ':');
    }
    if (mount(STAGE, folder, NULL, MS_MOVE, NULL) < 0) {
        return fail(err, "cannot put a new folder over", folder);
    }
    return 0;
}

static int set_up_mounts(unsigned number, struct errmsg *err)
{
    char disk[DISK_BYTES];
    disk_path(number, disk);
    int error = hide_folder("/tmp", "mode=1777", NULL, err);
    if (error == 0) {
        error = hide_folder("/run", "mode=0755", NULL, err);
    }
    if (error == 0) {
        error = hide_folder("/var/lib", NULL, disk, err);
    }
    if (error != 0) {
        return error;
    }
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        return fail(err, "cannot mount", "/proc");
    }
    /* The network's own view of /sys/class/net; where that is not allowed, the machine's will do.
     */
    IGNORE(mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL));
    return 0;
}

/* Whoever loses its parent on this host becomes a child of process 1 and must not stay a zombie. */
static void reap_orphans(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    sigaction(SIGCHLD, &action, NULL);
}

static _Noreturn void run_init(int control_fd, const char *name, unsigned number)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Nothing else of the parent's may be kept open here: others wait for its end. */
    int control = dup2(control_fd, 3);
    close_range(4, ~0U, 0);
    setsid();
    reap_orphans();
    struct ready ready;
    memset(&ready, 0, sizeof(ready));
    if (sethostname(name, strlen(name)) < 0) {
        ready.error = fail(&ready.message, "cannot set the host name", name);
    }
    if (ready.error == 0) {
        ready.error = set_up_mounts(number, &ready.message);
    }
    char byte;
    if (read(control, &byte, 1) != 1) {
        _exit(1); /* the cable never came */
    }
    int link = -1;
    if (ready.error == 0) {
        ready.error = link_set_up_host(number, &link, &ready.message);
    }
    if (fdpass_send(control, &ready, sizeof(ready), link) != 0 || ready.error != 0) {
        _exit(1);
    }
    if (link >= 0) {
        close(link);
    }
    while (read(control, &byte, 1) < 0 && errno == EINTR) {
    }
    _exit(0);
}

/* --- from outside ---------------------------------------------------------------------------- */

static pid_t clone_process(uint64_t flags, uint64_t exit_signal, int *pidfd)
{
    struct clone_args args;
    memset(&args, 0, sizeof(args));
    args.flags = flags;
    args.exit_signal = exit_signal;
    if (pidfd != NULL) {
        args.flags |= CLONE_PIDFD;
        args.pidfd = (uint64_t)(uintptr_t)pidfd;
    }
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    return pid < 0 ? -errno : (pid_t)pid;
}

/* Our part of setting a host up: its cable, if that is made from here, and waiting until it is
 * ready. */
static int plug_in(int control, pid_t init, const char *name, unsigned number, int *ret_link,
                   struct errmsg *err)
{
    int ours = -1;
    int error = link_make(init, number, &ours, err);
    if (error != 0) {
        return error;
    }
    struct ready ready;
    int theirs = -1;
    error = fdpass_send(control, "x", 1, -1);
    if (error == 0) {
        error = fdpass_receive(control, &ready, sizeof(ready), &theirs);
    }
    if (error != 0) {
        errno = -error;
        error = fail(err, "the host ended while it was set up:", name);
    } else if (ready.error != 0) {
        error = ready.error;
        errmsg_set(err, "host %s: %s", name, ready.message.text);
    }
    if (error != 0 && ours >= 0) {
        close(ours);
    }
    if (error == 0) {
        *ret_link = ours >= 0 ? ours : theirs;
    }
    return error;
}

int namespaces_make_host(const char *name, unsigned number, struct namespaces_host *ret_host,
                         struct errmsg *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return fail(err, "cannot make a socket pair", "");
    }
    fflush(NULL);
    int init_fd = -1;
    pid_t init = clone_process(HOST_NAMESPACES, SIGCHLD, &init_fd);
    if (init == 0) {
        run_init(pair[1], name, number);
    }
    close(pair[1]);
    if (init < 0) {
        close(pair[0]);
        errno = -init;
        return fail(err, "cannot make the namespaces of", name);
    }
    int link = -1;
    int error = plug_in(pair[0], init, name, number, &link, err);
    if (error != 0) {
        close(pair[0]);
        close(init_fd);
        kill(init, SIGKILL);
        waitpid(init, NULL, 0);
        return error;
    }
    *ret_host = (struct namespaces_host){
        .init = init, .init_fd = init_fd, .control = pair[0], .link_fd = link};
    return 0;
}

/* A process cannot move itself into a pid namespace, only its children. So a helper enters all
 * namespaces and makes the wanted process as its sibling, a child of ours; the helper's parting
 * word is the sibling's number. */
pid_t namespaces_fork(int init_fd)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        return -errno;
    }
    fflush(NULL);
    pid_t helper = fork();
    if (helper == 0) {
        pid_t made = setns(init_fd, HOST_NAMESPACES) < 0 ? -errno : 0;
        if (made == 0) {
            made = clone_process(CLONE_PARENT, 0, NULL);
            if (made == 0) {
                return 0;
            }
        }
        IGNORE(write(report[1], &made, sizeof(made)));
        _exit(0);
    }
    int error = helper < 0 ? -errno : 0;
    close(report[1]);
    pid_t made = 0;
    if (error == 0 && read(report[0], &made, sizeof(made)) != sizeof(made)) {
        error = -EIO;
    }
    close(report[0]);
    if (helper > 0) {
        while (waitpid(helper, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    return error != 0 ? error : made;
}
