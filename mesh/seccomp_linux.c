/* The table of denied system calls, and the filter that is made from it.
 *
 * What is not in the table is allowed, but for two things: calls that this libseccomp has no name
 * for do not exist (-ENOSYS, as on an older kernel), so that a kernel from tomorrow brings nothing
 * new into a cell; and calls of another ABI (i386 and x32 on x86-64) end the process with SIGSYS:
 * their numbers mean other calls, and a program of that ABI could not even exit. */
#include "mesh/sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/base/slice.h"

/* Numbers without a name are denied up to here. Linux 6.18 ends at 470 and adds some ten a year. */
#define NUMBERS_MAX 600

/* Without a header of the kernel's own on every libc. */
#define CLONE_NEWTIME_FLAG   0x00000080u
#define CLONE_NEWNS_FLAG     0x00020000u
#define CLONE_NEWCGROUP_FLAG 0x02000000u
#define CLONE_NEWUTS_FLAG    0x04000000u
#define CLONE_NEWIPC_FLAG    0x08000000u
#define CLONE_NEWUSER_FLAG   0x10000000u
#define CLONE_NEWPID_FLAG    0x20000000u
#define CLONE_NEWNET_FLAG    0x40000000u

#define PERSONALITY_HARMLESS 0x00020008u /* PER_LINUX32, UNAME26: what uname(2) says */
#define NETLINK_ROUTE_ONLY   0
#define LOW_32               0xffffffffu

/* --- the table: whole calls ---------------------------------------------------------------------
 */

struct denial {
    const char *name; /* by name: a libseccomp or an architecture without it has nothing to deny */
    int error;        /* EPERM: as for a user who may not; ENOSYS: so that callers fall back */
};

static const struct denial denials[] = {
    /* Another process' memory and descriptors. The init and later tasks have the same uid. */
    {"ptrace", EPERM},
    {"process_vm_readv", EPERM},
    {"process_vm_writev", EPERM},
    {"process_madvise", EPERM},
    {"pidfd_getfd", EPERM},
    {"kcmp", EPERM}, /* tells where the kernel's objects lie */
    /* The file system is an allow-list: nothing is mounted, by either API, and no root changed. */
    {"mount", EPERM},
    {"umount", EPERM},
    {"umount2", EPERM},
    {"pivot_root", EPERM},
    {"chroot", EPERM},
    {"open_tree", EPERM},
    {"move_mount", EPERM},
    {"fsopen", EPERM},
    {"fsconfig", EPERM},
    {"fsmount", EPERM},
    {"fspick", EPERM},
    {"mount_setattr", EPERM},
    /* Opens files that no path leads to. */
    {"open_by_handle_at", EPERM},
    /* A new user namespace gives all capabilities inside: most of the kernel's holes need that.
     * clone() is looked at below; the arguments of clone3() are in memory, where no filter sees
     * them: ENOSYS makes every libc use clone(). */
    {"unshare", EPERM},
    {"setns", EPERM},
    {"clone3", ENOSYS},
    /* Keyrings are not in any namespace: the user's keys, and what one task leaves the next. */
    {"add_key", EPERM},
    {"request_key", EPERM},
    {"keyctl", EPERM},
    /* Large, young, and where many of the last years' holes were. */
    {"bpf", EPERM},
    {"perf_event_open", EPERM},
    {"userfaultfd", EPERM},
    {"fanotify_init", EPERM},
    {"io_uring_setup", ENOSYS},
    {"io_uring_enter", ENOSYS},
    {"io_uring_register", ENOSYS},
    {"memfd_secret", ENOSYS}, /* memory that no one can count */
    /* The machine: its kernel, clock, name, swap, quotas, log, accounting, ports. */
    {"init_module", EPERM},
    {"finit_module", EPERM},
    {"delete_module", EPERM},
    {"kexec_load", EPERM},
    {"kexec_file_load", EPERM},
    {"reboot", EPERM},
    {"swapon", EPERM},
    {"swapoff", EPERM},
    {"quotactl", EPERM},
    {"quotactl_fd", EPERM},
    {"acct", EPERM},
    {"syslog", EPERM},
    {"vhangup", EPERM},
    {"settimeofday", EPERM},
    {"stime", EPERM},
    {"clock_settime", EPERM},
    {"clock_settime64", EPERM},
    {"clock_adjtime", EPERM},
    {"clock_adjtime64", EPERM},
    {"adjtimex", EPERM},
    {"sethostname", EPERM},
    {"setdomainname", EPERM},
    {"iopl", EPERM},
    {"ioperm", EPERM},
    {"s390_pci_mmio_read", EPERM},
    {"s390_pci_mmio_write", EPERM},
    /* 16-bit segments, and calls that nothing has used for decades. */
    {"modify_ldt", EPERM},
    {"vm86", EPERM},
    {"vm86old", EPERM},
    {"lookup_dcookie", EPERM},
    {"uselib", EPERM},
    {"ustat", EPERM},
    {"sysfs", EPERM},
    {"_sysctl", EPERM},
    {"nfsservctl", EPERM},
};

/* --- the table: calls with certain arguments ----------------------------------------------------
 */

struct condition {
    const char *name;
    int error;
    unsigned n;
    struct scmp_arg_cmp args[2];
};

/* Of clone(): the flags are its first argument, but on s390 its second. */
#if defined(__s390__) || defined(__s390x__)
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif
#define CLONE_WITH(flag)                                                                           \
    {                                                                                              \
        "clone", EPERM, 1,                                                                         \
        {                                                                                          \
            SCMP_CMP64(CLONE_FLAGS_ARG, SCMP_CMP_MASKED_EQ, flag, flag)                            \
        }                                                                                          \
    }
/* The kernel looks at the lower half of the number only. */
#define IOCTL_IS(number)                                                                           \
    {                                                                                              \
        "ioctl", EPERM, 1,                                                                         \
        {                                                                                          \
            SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, LOW_32, number)                                      \
        }                                                                                          \
    }
#define INET_SOCKET(family, ...)                                                                   \
    {                                                                                              \
        "socket", EPERM, 2,                                                                        \
        {                                                                                          \
            SCMP_CMP64(0, SCMP_CMP_EQ, family), __VA_ARGS__                                        \
        }                                                                                          \
    }

static const struct condition conditions[] = {
    CLONE_WITH(CLONE_NEWNS_FLAG),
    CLONE_WITH(CLONE_NEWCGROUP_FLAG),
    CLONE_WITH(CLONE_NEWUTS_FLAG),
    CLONE_WITH(CLONE_NEWIPC_FLAG),
    CLONE_WITH(CLONE_NEWUSER_FLAG),
    CLONE_WITH(CLONE_NEWPID_FLAG),
    CLONE_WITH(CLONE_NEWNET_FLAG),
    /* Types into a terminal that others read from: the classic way out of su and sandboxes. */
    IOCTL_IS(TIOCSTI),
    IOCTL_IS(TIOCLINUX),
    /* Limits of other processes: the init's, which has the same uid. */
    {"prlimit64", EPERM, 2, {SCMP_CMP64(0, SCMP_CMP_NE, 0), SCMP_CMP64(2, SCMP_CMP_NE, 0)}},
    /* There is no network in a cell, only its own loopback. What loads modules into the kernel, and
     * raw packets, do not work in there either. Netlink: getaddrinfo() and getifaddrs() ask it for
     * addresses. */
    {"socket",
     EPERM,
     2,
     {SCMP_CMP64(0, SCMP_CMP_EQ, AF_NETLINK), SCMP_CMP64(2, SCMP_CMP_NE, NETLINK_ROUTE_ONLY)}},
    INET_SOCKET(AF_INET, SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW)),
    INET_SOCKET(AF_INET6, SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW)),
    INET_SOCKET(AF_INET, SCMP_CMP64(2, SCMP_CMP_EQ, 33)), /* DCCP */
    INET_SOCKET(AF_INET6, SCMP_CMP64(2, SCMP_CMP_EQ, 33)),
    INET_SOCKET(AF_INET, SCMP_CMP64(2, SCMP_CMP_GE, 59)), /* behind ICMPv6: L2TP, SCTP, MPTCP... */
    INET_SOCKET(AF_INET6, SCMP_CMP64(2, SCMP_CMP_GE, 59)),
};

/* In rising order. All others are denied, as by a kernel that was built without them. */
static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* --- the filter ---------------------------------------------------------------------------------
 */

/* -EDOM: this architecture has no such call. */
static int deny(scmp_filter_ctx ctx, const char *name, int error, unsigned n,
                const struct scmp_arg_cmp *args)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
        return 0;
    }
    int r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((unsigned)error), number, n, args);
    return r == -EDOM ? 0 : r;
}

static int deny_families(scmp_filter_ctx ctx, const char *call)
{
    unsigned next = 0;
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        for (; r == 0 && next < families[i]; next++) {
            const struct scmp_arg_cmp is_it = SCMP_CMP64(0, SCMP_CMP_EQ, next);
            r = deny(ctx, call, EAFNOSUPPORT, 1, &is_it);
        }
        next = families[i] + 1;
    }
    const struct scmp_arg_cmp is_later = SCMP_CMP64(0, SCMP_CMP_GE, next);
    return r < 0 ? r : deny(ctx, call, EAFNOSUPPORT, 1, &is_later);
}

/* Allowed are numbers made of the harmless bits, and all bits set, which only asks. A rule sees
 * masked bits: one that is set where the highest is not, or missing where that is set. */
static int deny_personalities(scmp_filter_ctx ctx)
{
    const uint32_t top = 1u << 31;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < 31; i++) {
        uint32_t bit = 1u << i;
        const struct scmp_arg_cmp is_set = SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, top | bit, bit);
        const struct scmp_arg_cmp is_missing = SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, top | bit, top);
        r = (bit & PERSONALITY_HARMLESS) == 0 ? deny(ctx, "personality", EPERM, 1, &is_set) : 0;
        r = r < 0 ? r : deny(ctx, "personality", EPERM, 1, &is_missing);
    }
    return r;
}

static int deny_unknown(scmp_filter_ctx ctx)
{
    int r = 0;
    for (int number = 0; r == 0 && number < NUMBERS_MAX; number++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        if (name == NULL) {
            r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), number, 0);
        }
        free(name); /* libseccomp's */
    }
    return r;
}

static int add_rules(scmp_filter_ctx ctx)
{
    int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    /* A tree: the kernel walks it once for every call number when a cell is made. */
    r = r < 0 ? r : seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(denials); i++) {
        r = deny(ctx, denials[i].name, denials[i].error, 0, NULL);
    }
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(conditions); i++) {
        const struct condition *c = &conditions[i];
        r = deny(ctx, c->name, c->error, c->n, c->args);
    }
    r = r < 0 ? r : deny_families(ctx, "socket");
    r = r < 0 ? r : deny_families(ctx, "socketpair");
    r = r < 0 ? r : deny_personalities(ctx);
    return r < 0 ? r : deny_unknown(ctx);
}

static int export_to_memory(scmp_filter_ctx ctx, int *ret_fd)
{
    int fd = memfd_create("mesh-seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    int r = seccomp_export_bpf(ctx, fd);
    if (r == 0 &&
        (lseek(fd, 0, SEEK_SET) != 0 ||
         fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)) {
        r = -errno;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int sandbox_filter_make(int *ret_fd, struct errmsg *err)
{
    /* 0 or more where the kernel has it; bwrap's own error would be harder to understand. */
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        errmsg_set(err, "the kernel has no seccomp filters");
        return -ENOSYS;
    }
    /* What the filter may say is not found out by trying it out here (a tracer like valgrind does
     * not let that through): bwrap loads it, and a kernel before 4.14, which knows no "kill
     * process", takes that for "kill thread". */
    IGNORE(seccomp_api_set(3));
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int r = ctx == NULL ? -ENOMEM : add_rules(ctx);
    r = r < 0 ? r : export_to_memory(ctx, ret_fd);
    seccomp_release(ctx);
    if (r < 0) {
        errmsg_set(err, "libseccomp cannot make the filter of system calls: %s", strerror(-r));
    }
    return r;
}
