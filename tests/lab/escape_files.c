/* Attempts at files: the host's, the daemon's, other tasks', the kernel's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/lab/escape.h"

static int open_to(const char *path, int flags)
{
    int fd = path == NULL ? -1 : open(path, flags | O_CLOEXEC);
    return path == NULL ? ESCAPE_NO_TARGET : escape_result(fd);
}

static int read_from(const char *path)
{
    char byte;
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (path == NULL) {
        return ESCAPE_NO_TARGET;
    }
    return fd < 0 ? errno : escape_result(read(fd, &byte, 1));
}

/* Makes a file there and takes it away again. */
static int make_in(const char *folder)
{
    char path[512];
    if (folder == NULL) {
        return ESCAPE_NO_TARGET;
    }
    snprintf(path, sizeof path, "%s/.mesh-escape-%d", folder, (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result = escape_result(fd);
    if (fd >= 0) {
        unlink(path);
    }
    return result;
}

static int of_process(const char *who, const char *file, int flags)
{
    char path[128];
    if (who == NULL) {
        return ESCAPE_NO_TARGET;
    }
    snprintf(path, sizeof path, "/proc/%s/%s", who, file);
    return open_to(path, flags);
}

static int identity_key(void)
{
    return read_from(escape_word("key"));
}

static int state_directory(void)
{
    const char *path = escape_word("state");
    if (path == NULL) {
        return ESCAPE_NO_TARGET;
    }
    return opendir(path) != NULL ? 0 : errno;
}

static int others_blob(void)
{
    return read_from(escape_word("blob"));
}

static int home(void)
{
    return read_from(escape_word("home"));
}

/* Through the number that it has outside, and through every process that is in sight. */
static int others_scratch(void)
{
    char path[300];
    const char *who = escape_word("witness");
    if (who == NULL) {
        return ESCAPE_NO_TARGET;
    }
    snprintf(path, sizeof path, "/proc/%s/root/task/secret", who);
    int result = read_from(path);
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    while (result != 0 && proc != NULL && (entry = readdir(proc)) != NULL) {
        snprintf(path, sizeof path, "/proc/%s/root/task/secret", entry->d_name);
        result = read_from(path) == 0 ? 0 : result;
        snprintf(path, sizeof path, "/proc/%s/cwd/secret", entry->d_name);
        result = result == 0 || read_from(path) == 0 ? 0 : result;
    }
    return result;
}

static int daemon_environment(void)
{
    return of_process(escape_word("daemon"), "environ", O_RDONLY);
}

static int daemon_memory(void)
{
    return of_process(escape_word("daemon"), "mem", O_RDONLY);
}

static int init_memory(void)
{
    return of_process("1", "mem", O_RDWR);
}

static int init_environment(void)
{
    return of_process("1", "environ", O_RDONLY);
}

static int init_socket(void)
{
    return of_process("1", "fd/3", O_RDWR);
}

static int init_oom_score(void)
{
    return of_process("1", "oom_score_adj", O_WRONLY);
}

static int own_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    return fd < 0 ? errno : escape_result(write(fd, "-1000", 5));
}

static int shadow(void)
{
    return read_from("/etc/shadow");
}

static int write_passwd(void)
{
    return open_to("/etc/passwd", O_WRONLY);
}

static int write_usr(void)
{
    return make_in("/usr");
}

static int write_root(void)
{
    return make_in("/");
}

static int write_dev(void)
{
    return make_in("/dev");
}

static int write_bind(void)
{
    return make_in(escape_word("bind"));
}

static int link_out(void)
{
    const char *key = escape_word("key");
    char name[64];
    if (key == NULL) {
        return ESCAPE_NO_TARGET;
    }
    snprintf(name, sizeof name, "link-%d", (int)getpid());
    int result = symlink(key, name) < 0 ? errno : read_from(name);
    unlink(name);
    return result;
}

/* The job's own program is shared by all tasks of the cell that come after. */
static int rewrite_job(void)
{
    int result = open_to("/job/escape", O_WRONLY);
    result = result == 0 ? 0 : open_to("/proc/self/exe", O_WRONLY);
    result = result == 0 || chmod("/job/escape", 0777) == 0 ? 0 : result;
    result = result == 0 || unlink("/job/escape") == 0 ? 0 : result;
    return result == 0 || rename("/job/escape", "/job/x") == 0 ? 0 : result;
}

static int make_node(mode_t type, unsigned major_number, unsigned minor_number)
{
    char name[64];
    snprintf(name, sizeof name, "node-%d", (int)getpid());
    int result = escape_result(mknod(name, type | 0600, makedev(major_number, minor_number)));
    unlink(name);
    return result;
}

static int node_of_memory(void)
{
    return make_node(S_IFCHR, 1, 1);
}

static int node_of_disk(void)
{
    return make_node(S_IFBLK, 254, 0);
}

static int any_of(const char *const *paths, size_t n, int flags)
{
    int result = ENOENT;
    for (size_t i = 0; i < n && result != 0; i++) {
        int r = open_to(paths[i], flags);
        result = r == 0 || r != ENOENT ? r : result;
    }
    return result;
}

static int devices(void)
{
    static const char *const paths[] = {
        "/dev/mem",     "/dev/kmsg",      "/dev/port",         "/dev/sda",     "/dev/vda",
        "/dev/nvme0n1", "/dev/dm-0",      "/dev/loop-control", "/dev/fuse",    "/dev/kvm",
        "/dev/net/tun", "/dev/vhost-net", "/dev/uinput",       "/dev/console",
    };
    return any_of(paths, sizeof paths / sizeof paths[0], O_RDONLY);
}

static int core_pattern(void)
{
    return open_to("/proc/sys/kernel/core_pattern", O_WRONLY);
}

static int kernel_settings(void)
{
    static const char *const paths[] = {"/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches",
                                        "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
                                        "/proc/sys/fs/mqueue/queues_max"};
    return any_of(paths, sizeof paths / sizeof paths[0], O_WRONLY);
}

static int sysfs(void)
{
    return opendir("/sys/kernel") != NULL ? 0 : errno;
}

static int control_groups(void)
{
    return opendir("/sys/fs/cgroup") != NULL ? 0 : errno;
}

static int kernel_memory(void)
{
    return open_to("/proc/kcore", O_RDONLY);
}

const struct escape_attempt escape_files[] = {
    {"read the daemon's identity key", identity_key, ESCAPE_ANYBODY},
    {"list the daemon's state directory", state_directory, ESCAPE_ANYBODY},
    {"read another submitter's blob", others_blob, ESCAPE_ANYBODY},
    {"read another task's scratch", others_scratch, ESCAPE_ROOT},
    {"read a user's home", home, ESCAPE_ANYBODY},
    {"read the daemon's environment", daemon_environment, ESCAPE_ANYBODY},
    {"read the daemon's memory", daemon_memory, ESCAPE_ROOT},
    {"write the init's memory", init_memory, ESCAPE_NOBODY},
    {"read the init's environment", init_environment, ESCAPE_ROOT},
    {"open the init's socket", init_socket, ESCAPE_NOBODY},
    {"give the init to the OOM killer", init_oom_score, ESCAPE_ROOT},
    {"hide from the OOM killer", own_oom_score, ESCAPE_ROOT},
    {"read /etc/shadow", shadow, ESCAPE_ROOT},
    {"write /etc/passwd", write_passwd, ESCAPE_ROOT},
    {"write to /usr", write_usr, ESCAPE_ROOT},
    {"write to /", write_root, ESCAPE_ROOT},
    {"write to /dev", write_dev, ESCAPE_ROOT},
    {"write to a read-only --bind", write_bind, ESCAPE_ANYBODY},
    {"follow a link out of the scratch", link_out, ESCAPE_ANYBODY},
    {"rewrite the job's program", rewrite_job, ESCAPE_NOBODY},
    {"make a node of /dev/mem", node_of_memory, ESCAPE_ROOT},
    {"make a node of a disk", node_of_disk, ESCAPE_ROOT},
    {"open a device", devices, ESCAPE_ROOT},
    {"open the kernel's memory", kernel_memory, ESCAPE_ROOT},
    {"write core_pattern", core_pattern, ESCAPE_ROOT},
    {"write other /proc/sys", kernel_settings, ESCAPE_ROOT},
    {"see /sys", sysfs, ESCAPE_ANYBODY},
    {"see control groups", control_groups, ESCAPE_ANYBODY},
};
const size_t escape_n_files = sizeof escape_files / sizeof escape_files[0];
