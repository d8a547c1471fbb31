/* Attempts at system calls. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/escape.h"

/* --- file systems --- */

static int mount_old(void)
{
    return escape_result(mount("escape", "/tmp", "tmpfs", 0, NULL));
}

static int mount_new(void)
{
    return escape_result(syscall(SYS_fsopen, "tmpfs", 0));
}

static int open_tree_of_root(void)
{
    return escape_result(syscall(SYS_open_tree, AT_FDCWD, "/", O_CLOEXEC));
}

static int unmount(void)
{
    int result = escape_result(umount2("/proc/sys", MNT_DETACH));
    return result == 0 ? 0 : escape_result(umount2("/dev", MNT_DETACH));
}

static int remount(void)
{
    return escape_result(mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int pivot(void)
{
    return escape_result(syscall(SYS_pivot_root, ".", "."));
}

/* The classic: a new root below an open directory, and up from there. */
static int chroot_out(void)
{
    char name[64];
    snprintf(name, sizeof name, "root-%d", (int)getpid());
    mkdir(name, 0700);
    int result = escape_result(chroot(name));
    rmdir(name);
    return result;
}

static int open_by_handle(void)
{
    union {
        struct file_handle handle;
        char room[sizeof(struct file_handle) + 128];
    } at = {.handle = {.handle_bytes = 128}};
    int mount_id;
    int root = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (name_to_handle_at(AT_FDCWD, "/usr", &at.handle, &mount_id, 0) < 0) {
        at.handle.handle_bytes = 8; /* some file systems have none: any will do to be refused */
    }
    return escape_result(open_by_handle_at(root, &at.handle, O_RDONLY));
}

/* --- namespaces --- */

static int unshare_user(void)
{
    return escape_result(unshare(CLONE_NEWUSER));
}

static int unshare_net(void)
{
    return escape_result(unshare(CLONE_NEWNET));
}

static int child_nothing(void *unused)
{
    return 0;
}

static int clone_user(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    return escape_result(clone(child_nothing, stack + sizeof stack, CLONE_NEWUSER | SIGCHLD, NULL));
}

static int clone3_user(void)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
        _exit(0);
    }
    return escape_result(pid);
}

static int enter_namespace(void)
{
    int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? errno : escape_result(setns(fd, 0));
}

/* --- privileges --- */

static int become_root(void)
{
    int result = escape_result(setresuid(0, 0, 0));
    return result == 0 ? 0 : escape_result(setgid(0));
}

static int setuid_program(void)
{
    const char *program = escape_word("setuid");
    int status = 0;
    if (program == NULL) {
        return ESCAPE_NO_TARGET;
    }
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, program, "whoami", (char *)NULL);
        _exit(126);
    }
    waitpid(pid, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) == 126 ? ENOEXEC
           : WEXITSTATUS(status) == 0                       ? 0
                                                            : EPERM;
}

static int gain_privileges(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : EINVAL;
}

static int raise_limits(void)
{
    static const __rlimit_resource_t which[] = {RLIMIT_NPROC, RLIMIT_FSIZE, RLIMIT_CORE,
                                                RLIMIT_MSGQUEUE};
    int result = EPERM;
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        const struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
        result = setrlimit(which[i], &most) == 0 ? 0 : result;
    }
    return result;
}

static int raise_priority(void)
{
    return escape_result(setpriority(PRIO_PROCESS, 0, -5));
}

static int real_time(void)
{
    const struct sched_param how = {.sched_priority = 1};
    return escape_result(sched_setscheduler(0, SCHED_FIFO, &how));
}

/* --- what is young and large --- */

static int io_uring(void)
{
    char params[120] = {0};
    return escape_result(syscall(SYS_io_uring_setup, 4, params));
}

static int bpf(void)
{
    struct {
        uint32_t type, key_bytes, value_bytes, n_max, flags;
    } map = {.type = 2, .key_bytes = 4, .value_bytes = 4, .n_max = 1};
    return escape_result(syscall(SYS_bpf, 0, &map, sizeof map));
}

static int perf(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_SW_CPU_CLOCK,
                                   .exclude_kernel = 1};
    return escape_result(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int user_faults(void)
{
    return escape_result(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */));
}

static int add_key(void)
{
    return escape_result(
        syscall(SYS_add_key, "user", "mesh-escape", "x", 1, -2 /* process keyring */));
}

static int read_keyring(void)
{
    return escape_result(syscall(SYS_keyctl, 0, -3 /* session keyring */, 1));
}

/* --- the machine --- */

static int load_module(void)
{
    int result = escape_result(syscall(SYS_init_module, "x", 1, ""));
    return result == 0 ? 0 : escape_result(syscall(SYS_finit_module, 0, "", 0));
}

static int kexec(void)
{
    int result = escape_result(syscall(SYS_kexec_load, 0, 0, NULL, KEXEC_ARCH_DEFAULT));
    return result;
}

static int restart(void)
{
    return escape_result(
        syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD_OFF: the mildest */, NULL));
}

static int host_name(void)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return escape_result(sethostname(name, strlen(name)));
}

/* To what it is: no harm where it works. */
static int set_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return escape_result(clock_settime(CLOCK_REALTIME, &now));
}

static int adjust_clock(void)
{
    struct timex how = {.modes = ADJ_TICK, .tick = 10000};
    return escape_result(adjtimex(&how));
}

static int swap(void)
{
    return escape_result(syscall(SYS_swapon, "/tmp/x", 0));
}

static int quota(void)
{
    return escape_result(syscall(SYS_quotactl, 0, "/dev/vda", 0, NULL));
}

static int accounting(void)
{
    return escape_result(syscall(SYS_acct, NULL));
}

static int kernel_log(void)
{
    char text[64];
    return escape_result(syscall(SYS_syslog, 3, text, sizeof text));
}

/* --- terminals, other ABIs --- */

/* On a terminal of its own, which is how the filter is told from the lack of one. */
static int type_into_terminal(unsigned long number)
{
    char byte = 'x';
    setsid();
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        return errno;
    }
    int terminal = open(ptsname(master), O_RDWR | O_CLOEXEC);
    return terminal < 0 ? errno : escape_result(ioctl(terminal, number, &byte));
}

static int tiocsti(void)
{
    return type_into_terminal(TIOCSTI);
}

static int tiocsti_disguised(void)
{
    return type_into_terminal(TIOCSTI | (1ul << 32)); /* the kernel drops the upper half */
}

static int tioclinux(void)
{
    return type_into_terminal(TIOCLINUX);
}

static int executable_data(void)
{
    return escape_result(personality(READ_IMPLIES_EXEC));
}

#if defined(__x86_64__)
static int call_of_i386(void)
{
    long pid = 20; /* getpid() */
    __asm__ volatile("int $0x80" : "+a"(pid) : : "memory", "r8", "r9", "r10", "r11");
    return pid > 0 ? 0 : (int)-pid;
}

static int call_of_x32(void)
{
    return escape_result(syscall(0x40000000 | SYS_getpid));
}
#endif

const struct escape_attempt escape_kernel[] = {
    {"mount a file system", mount_old, ESCAPE_NOBODY},
    {"open a file system (new API)", mount_new, ESCAPE_ROOT},
    {"open a tree (new API)", open_tree_of_root, ESCAPE_ANYBODY},
    {"unmount what covers /proc/sys", unmount, ESCAPE_NOBODY},
    {"make /usr writable", remount, ESCAPE_NOBODY},
    {"pivot_root", pivot, ESCAPE_NOBODY},
    {"chroot", chroot_out, ESCAPE_ROOT},
    {"open a file by handle", open_by_handle, ESCAPE_NOBODY},
    {"unshare a user namespace", unshare_user, ESCAPE_ANYBODY},
    {"unshare a network namespace", unshare_net, ESCAPE_ROOT},
    {"clone into a user namespace", clone_user, ESCAPE_ANYBODY},
    {"clone3 into a user namespace", clone3_user, ESCAPE_ANYBODY},
    {"enter a namespace", enter_namespace, ESCAPE_ROOT},
    {"become root", become_root, ESCAPE_ROOT},
    {"run a set-user-id program", setuid_program, ESCAPE_USER},
    {"drop no_new_privs", gain_privileges, ESCAPE_ANYBODY},
    {"raise a limit", raise_limits, ESCAPE_ROOT},
    {"raise the priority", raise_priority, ESCAPE_ROOT},
    {"real-time scheduling", real_time, ESCAPE_ROOT},
    {"io_uring", io_uring, ESCAPE_NOBODY},
    {"bpf", bpf, ESCAPE_ROOT},
    {"perf_event_open", perf, ESCAPE_ROOT},
    {"userfaultfd", user_faults, ESCAPE_ANYBODY},
    {"add a key to a keyring", add_key, ESCAPE_ANYBODY},
    {"read the session keyring", read_keyring, ESCAPE_ANYBODY},
    {"load a module", load_module, ESCAPE_NOBODY},
    {"kexec", kexec, ESCAPE_NOBODY},
    {"reboot", restart, ESCAPE_NOBODY},
    {"set the host name", host_name, ESCAPE_ROOT},
    {"set the clock", set_clock, ESCAPE_NOBODY},
    {"adjust the clock", adjust_clock, ESCAPE_NOBODY},
    {"swapon", swap, ESCAPE_NOBODY},
    {"quotactl", quota, ESCAPE_NOBODY},
    {"acct", accounting, ESCAPE_NOBODY},
    {"read the kernel's log", kernel_log, ESCAPE_ROOT},
    {"type into a terminal (TIOCSTI)", tiocsti, ESCAPE_ROOT},
    {"TIOCSTI in disguise", tiocsti_disguised, ESCAPE_ROOT},
    {"TIOCLINUX", tioclinux, ESCAPE_NOBODY},
    {"personality: executable data", executable_data, ESCAPE_ANYBODY},
#if defined(__x86_64__)
    {"a system call of i386", call_of_i386, ESCAPE_NOBODY},
    {"a system call of x32", call_of_x32, ESCAPE_NOBODY},
#endif
};
const size_t escape_n_kernel = sizeof escape_kernel / sizeof escape_kernel[0];
