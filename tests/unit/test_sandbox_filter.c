/* The filter of system calls, loaded into a process of its own. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/sandbox_filter.h"
#include "tests/lib/runner.h"
#include "wire/base/slice.h"

/* Looking for leaks takes ptrace(), which is what is denied here. */
int __lsan_is_turned_off(void);
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
    return 1;
}

static void load_filter(void)
{
    static struct sock_filter code[BPF_MAXINSNS];
    struct errmsg err = {""};
    int fd;
    ck_assert_msg(sandbox_filter_make(&fd, &err) == 0, "%s", err.text);
    ck_assert_int_lt(write(fd, "x", 1), 0); /* nobody changes it between two cells */
    ssize_t n = read(fd, code, sizeof code);
    ck_assert_int_gt(n, 0);
    ck_assert_int_lt(n, (ssize_t)sizeof code);
    close(fd);
    struct sock_fprog program = {.len = (unsigned short)((size_t)n / sizeof *code), .filter = code};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

#define assert_denied(call, error)                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        ck_assert_msg((call) < 0 && errno == (error), #call ": %s", strerror(errno));              \
    } while (0)

START_TEST(what_the_table_names_is_denied)
{
    static const long numbers[] = {
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_mount,
        SYS_umount2,
        SYS_pivot_root,
        SYS_open_tree,
        SYS_fsopen,
        SYS_keyctl,
        SYS_add_key,
        SYS_request_key,
        SYS_bpf,
        SYS_unshare,
        SYS_setns,
        SYS_kexec_load,
        SYS_init_module,
        SYS_finit_module,
        SYS_delete_module,
        SYS_perf_event_open,
        SYS_userfaultfd,
        SYS_swapon,
        SYS_reboot,
        SYS_quotactl,
        SYS_acct,
        SYS_pidfd_getfd,
        SYS_kcmp,
        SYS_open_by_handle_at,
        SYS_chroot,
        SYS_syslog,
        SYS_clock_settime,
        SYS_sethostname,
    };
    load_filter();
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        errno = 0;
        /* Arguments that the kernel itself would refuse in another way. */
        ck_assert_msg(syscall(numbers[i], -1L, -1L, -1L, -1L, -1L, -1L) < 0 && errno == EPERM,
                      "call %ld: %s", numbers[i], strerror(errno));
    }
    assert_denied(syscall(SYS_clone3, NULL, 0), ENOSYS);
    assert_denied(syscall(SYS_io_uring_setup, 1, NULL), ENOSYS);
}
END_TEST

START_TEST(a_call_from_tomorrow_does_not_exist)
{
    load_filter();
    for (long number = 480; number < 600; number++) {
        assert_denied(syscall(number, 0, 0, 0), ENOSYS);
    }
}
END_TEST

START_TEST(arguments_decide)
{
    static const int namespaces[] = {CLONE_NEWNS,  CLONE_NEWUTS, CLONE_NEWIPC,   CLONE_NEWUSER,
                                     CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};
    struct rlimit limit = {100, 100};
    load_filter();
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        assert_denied(syscall(SYS_clone, SIGCHLD | namespaces[i], NULL, NULL, NULL, NULL), EPERM);
    }
    assert_denied(ioctl(0, TIOCSTI, "x"), EPERM);
    assert_denied(ioctl(0, TIOCLINUX, "x"), EPERM);
    assert_denied(syscall(SYS_ioctl, 0, TIOCSTI | 1ul << 32, "x"), EPERM);
    assert_denied(syscall(SYS_prlimit64, getppid(), RLIMIT_FSIZE, &limit, NULL), EPERM);
    for (int family = 0; family < 64; family++) {
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK) {
            assert_denied(socket(family, SOCK_STREAM, 0), EAFNOSUPPORT);
        }
    }
    assert_denied(socket(AF_NETLINK, SOCK_RAW, 9), EPERM);
    assert_denied(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1), EPERM);
    assert_denied(socket(AF_INET6, SOCK_STREAM, 262), EPERM);
}
END_TEST

/* 0xffffffff asks; all else that is allowed is made of two harmless bits. */
START_TEST(personalities_are_harmless)
{
    static const unsigned allowed[] = {0xffffffffu, 0, 0x8, 0x20000, 0x20008, 0};
    static const unsigned denied[] = {0x40000,    0x100000,   0x400000,   1,
                                      0x80400000, 0x80000000, 0xfffffffe, 0x7fffffff};
    load_filter();
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        ck_assert_int_ge(syscall(SYS_personality, allowed[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
        errno = 0;
        ck_assert_msg(syscall(SYS_personality, denied[i]) < 0 && errno == EPERM, "%x", denied[i]);
    }
}
END_TEST

static void *thread(void *unused)
{
    return unused;
}

START_TEST(what_programs_need_works)
{
    struct rlimit limit;
    pthread_t id;
    int status = -1;
    int ends[2];
    load_filter();
    ck_assert_int_eq(pthread_create(&id, NULL, thread, NULL), 0);
    ck_assert_int_eq(pthread_join(id, NULL), 0);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(7);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
    ck_assert_int_ge(socket(AF_UNIX, SOCK_STREAM, 0), 0);
    ck_assert_int_ge(socket(AF_INET, SOCK_STREAM, 6), 0);
    ck_assert_int_ge(socket(AF_INET, SOCK_DGRAM, 0), 0);
    ck_assert_int_ge(socket(AF_NETLINK, SOCK_RAW, 0), 0); /* getifaddrs() */
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_ge(syscall(SYS_memfd_create, "x", 0), 0);
    char shell[] = "/bin/sh";
    char option[] = "-c";
    char script[] = "exit 3";
    char *const words[] = {shell, option, script, NULL};
    ck_assert_int_eq(posix_spawn(&pid, shell, NULL, NULL, words, words + 3), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 3);
}
END_TEST

#if defined(__x86_64__)
/* In a fork: SIGSYS is what is expected. */
static int signal_of(void (*call)(void))
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        load_filter();
        call();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void call_i386(void)
{
    long number = 20;
    __asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
}

static void call_x32(void)
{
    IGNORE(syscall(0x40000000 | SYS_getpid)); /* its end is what counts */
}

START_TEST(another_abi_ends_the_process)
{
    ck_assert_int_eq(signal_of(call_i386), SIGSYS);
    ck_assert_int_eq(signal_of(call_x32), SIGSYS);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("sandbox_filter");
    TCase *tc = tcase_create("sandbox_filter");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, what_the_table_names_is_denied);
    tcase_add_test(tc, a_call_from_tomorrow_does_not_exist);
    tcase_add_test(tc, arguments_decide);
    tcase_add_test(tc, personalities_are_harmless);
    tcase_add_test(tc, what_programs_need_works);
#if defined(__x86_64__)
    tcase_add_test(tc, another_abi_ends_the_process);
#endif
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
