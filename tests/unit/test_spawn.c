#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/spawn.h"
#include "tests/lib/runner.h"

#define NOBODY 65534

struct fixture {
    uv_loop_t loop;
    struct spawned spawned;
    int ends[2]; /* of the pipe that is the program's standard output */
    unsigned n_ends;
    unsigned n_closed;
    int status;
    int signal;
    char said[8192];
};

static void setup(struct fixture *fx)
{
    memset(fx, 0, sizeof *fx);
    ck_assert_int_eq(uv_loop_init(&fx->loop), 0);
    ck_assert_int_eq(pipe2(fx->ends, O_CLOEXEC), 0);
}

static void done(struct fixture *fx)
{
    close(fx->ends[0]);
    close(fx->ends[1]);
    ck_assert_int_eq(uv_loop_close(&fx->loop), 0);
}

static void on_closed(struct spawned *spawned)
{
    CONTAINER_OF(spawned, struct fixture, spawned)->n_closed++;
}

static void on_end(struct spawned *spawned, int status, int signal)
{
    struct fixture *fx = CONTAINER_OF(spawned, struct fixture, spawned);
    fx->n_ends++;
    fx->status = status;
    fx->signal = signal;
    spawned_kill(spawned, SIGKILL); /* too late: nobody is there */
    spawned_close(spawned, on_closed);
}

/* execve()'s own type: it does not write to them. */
static char *const *words(const char *const *argv)
{
    return (char *const *)(uintptr_t)argv;
}

/* Its standard output goes to the pipe, what it said to fx->said. */
static void run(struct fixture *fx, const struct spawn_options *options)
{
    ck_assert_int_eq(spawn(&fx->loop, &fx->spawned, options, on_end), 0);
    ck_assert_int_eq(uv_run(&fx->loop, UV_RUN_DEFAULT), 0);
    ck_assert_uint_eq(fx->n_ends, 1);
    ck_assert_uint_eq(fx->n_closed, 1);
    ck_assert_int_eq(waitpid(fx->spawned.pid, NULL, 0), -1); /* it was reaped */
    ck_assert_int_eq(fcntl(fx->ends[0], F_SETFL, O_NONBLOCK), 0);
    ssize_t n = read(fx->ends[0], fx->said, sizeof fx->said - 1);
    fx->said[n < 0 ? 0 : n] = '\0';
}

static void run_shell(struct fixture *fx, const char *script, const int *fds, size_t n_fds)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    const struct spawn_options options = {
        .file = "/bin/sh", .argv = words(argv), .fds = fds, .n_fds = n_fds};
    run(fx, &options);
}

START_TEST(how_it_ended_is_told_once)
{
    struct fixture fx;
    setup(&fx);
    run_shell(&fx, "exit 7", NULL, 0);
    ck_assert_int_eq(fx.status, 7);
    ck_assert_int_eq(fx.signal, 0);
    fx.n_ends = fx.n_closed = 0;
    run_shell(&fx, "kill -TERM $$", NULL, 0);
    ck_assert_int_eq(fx.status, 0);
    ck_assert_int_eq(fx.signal, SIGTERM);
    done(&fx);
}
END_TEST

static void kill_it(uv_timer_t *timer)
{
    spawned_kill(timer->data, SIGKILL);
    uv_close((uv_handle_t *)timer, NULL);
}

START_TEST(it_can_be_killed)
{
    struct fixture fx;
    uv_timer_t timer;
    setup(&fx);
    uv_timer_init(&fx.loop, &timer);
    timer.data = &fx.spawned;
    uv_timer_start(&timer, kill_it, 0, 0);
    int fds[] = {fx.ends[0]}; /* nothing comes, and no end of it */
    const char *argv[] = {"cat", NULL};
    const struct spawn_options options = {
        .file = "/bin/cat", .argv = words(argv), .fds = fds, .n_fds = 1};
    run(&fx, &options);
    ck_assert_int_eq(fx.signal, SIGKILL);
    done(&fx);
}
END_TEST

#define N_AT_ONCE 20

START_TEST(many_at_once_are_each_told_of)
{
    struct fixture fx[N_AT_ONCE];
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    memset(fx, 0, sizeof fx);
    for (int i = 0; i < N_AT_ONCE; i++) {
        char script[24];
        snprintf(script, sizeof script, "exit %d", i);
        const char *argv[] = {"sh", "-c", script, NULL};
        const struct spawn_options options = {.file = "/bin/sh", .argv = words(argv)};
        ck_assert_int_eq(spawn(&loop, &fx[i].spawned, &options, on_end), 0);
    }
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    for (int i = 0; i < N_AT_ONCE; i++) {
        ck_assert_uint_eq(fx[i].n_ends, 1);
        ck_assert_int_eq(fx[i].status, i);
    }
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(what_cannot_be_executed_is_an_error_at_once)
{
    static const char *const files[] = {"/no/such/program", "/dev/null"};
    static const int errors[] = {-ENOENT, -EACCES};
    struct fixture fx;
    setup(&fx);
    const char *argv[] = {"x", NULL};
    const struct spawn_options options = {.file = files[_i], .argv = words(argv)};
    ck_assert_int_eq(spawn(&fx.loop, &fx.spawned, &options, on_end), errors[_i]);
    ck_assert_int_eq(waitpid(-1, NULL, 0), -1); /* no child is left */
    ck_assert_int_eq(errno, ECHILD);
    spawned_close(&fx.spawned, on_closed);
    ck_assert_int_eq(uv_run(&fx.loop, UV_RUN_DEFAULT), 0);
    ck_assert_uint_eq(fx.n_ends, 0);
    ck_assert_uint_eq(fx.n_closed, 1);
    done(&fx);
}
END_TEST

/* A file that holds this character, at the lowest free number from `at` on. */
static int file_of(char c, int at)
{
    int fd = memfd_create("x", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, &c, 1), 1);
    int high = fcntl(fd, F_DUPFD_CLOEXEC, at);
    ck_assert_int_ge(high, at);
    close(fd);
    return high;
}

START_TEST(it_has_the_descriptors_that_are_named_and_no_others)
{
    enum { N_FDS = 60 };
    struct fixture fx;
    setup(&fx);
    int a = file_of('a', 30);
    int b = file_of('b', a + 1);
    int c = file_of('c', b + 1);
    int d = file_of('d', 100);
    ck_assert_int_lt(c, N_FDS - 1);
    int fds[N_FDS];
    for (int i = 0; i < N_FDS; i++) {
        fds[i] = -1;
    }
    fds[1] = fx.ends[1];
    fds[4] = d;
    fds[a] = b; /* in each other's place */
    fds[b] = a;
    fds[c] = c;
    fds[N_FDS - 1] = a;
    char script[512];
    snprintf(script, sizeof script,
             "i=0; while [ $i -lt 200 ]; do [ ! -e /proc/$$/fd/$i ] || echo -n \"$i \"; "
             "i=$((i + 1)); done; for i in 4 %d %d %d %d; do cat /proc/$$/fd/$i; done; "
             "readlink /proc/$$/fd/0 /proc/$$/fd/2",
             a, b, c, N_FDS - 1);
    run_shell(&fx, script, fds, N_FDS);
    char want[256];
    snprintf(want, sizeof want, "0 1 2 4 %d %d %d %d dbaca/dev/null\n/dev/null\n", a, b, c,
             N_FDS - 1);
    ck_assert_str_eq(fx.said, want);
    ck_assert_int_eq(fcntl(c, F_GETFD), FD_CLOEXEC); /* ours stay as they are */
    close(a);
    close(b);
    close(c);
    close(d);
    done(&fx);
}
END_TEST

static void ignore_this(int number)
{
}

START_TEST(signals_are_as_new)
{
    struct fixture fx;
    sigset_t blocked;
    sigset_t after;
    struct sigaction action = {.sa_handler = SIG_IGN};
    setup(&fx);
    ck_assert_int_eq(sigaction(SIGPIPE, &action, NULL), 0);
    ck_assert_int_eq(sigaction(SIGRTMAX, &action, NULL), 0);
    action.sa_handler = ignore_this;
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
    int fds[] = {-1, fx.ends[1]};
    const char *argv[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
    const struct spawn_options options = {
        .file = "/bin/grep", .argv = words(argv), .fds = fds, .n_fds = 2};
    run(&fx, &options);
    ck_assert_str_eq(fx.said, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    /* Ours are as they were. */
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &after), 0);
    ck_assert_int_eq(sigismember(&after, SIGUSR2), 1);
    ck_assert_int_eq(sigismember(&after, SIGUSR1), 0);
    ck_assert_int_eq(sigaction(SIGUSR1, NULL, &action), 0);
    ck_assert(action.sa_handler == ignore_this);
    done(&fx);
}
END_TEST

START_TEST(its_environment_is_empty)
{
    struct fixture fx;
    setup(&fx);
    int fds[] = {-1, fx.ends[1]};
    const char *argv[] = {"env", NULL};
    const struct spawn_options options = {
        .file = "/usr/bin/env", .argv = words(argv), .fds = fds, .n_fds = 2};
    run(&fx, &options);
    ck_assert_int_eq(fx.status, 0);
    ck_assert_str_eq(fx.said, "");
    done(&fx);
}
END_TEST

START_TEST(it_becomes_another_user_and_we_stay)
{
    if (geteuid() != 0) {
        printf("# skipped: not root\n");
        return;
    }
    struct fixture fx;
    setup(&fx);
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    int fds[] = {-1, fx.ends[1]};
    const char *argv[] = {"grep", "-E", "^(Uid|Gid|Groups|CapEff)", "/proc/self/status", NULL};
    const struct spawn_options options = {.file = "/bin/grep",
                                          .argv = words(argv),
                                          .fds = fds,
                                          .n_fds = 2,
                                          .has_id = true,
                                          .id = NOBODY};
    int r = spawn(&fx.loop, &fx.spawned, &options, on_end);
    if (r == -EINVAL) { /* a user namespace that does not know the number */
        printf("# skipped: no other user here\n");
        spawned_close(&fx.spawned, NULL);
        ck_assert_int_eq(uv_run(&fx.loop, UV_RUN_DEFAULT), 0);
        done(&fx);
        return;
    }
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(uv_run(&fx.loop, UV_RUN_DEFAULT), 0);
    ssize_t n = read(fx.ends[0], fx.said, sizeof fx.said - 1);
    ck_assert_int_gt(n, 0);
    fx.said[n] = '\0';
    ck_assert_str_eq(fx.said, "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\n"
                              "Groups:\t \nCapEff:\t0000000000000000\n");
    ck_assert_int_eq(geteuid(), 0);
    ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), dumpable);
    done(&fx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spawn");
    TCase *tcase = tcase_create("spawn");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, how_it_ended_is_told_once);
    tcase_add_test(tcase, it_can_be_killed);
    tcase_add_test(tcase, many_at_once_are_each_told_of);
    tcase_add_loop_test(tcase, what_cannot_be_executed_is_an_error_at_once, 0, 2);
    tcase_add_test(tcase, it_has_the_descriptors_that_are_named_and_no_others);
    tcase_add_test(tcase, signals_are_as_new);
    tcase_add_test(tcase, its_environment_is_empty);
    tcase_add_test(tcase, it_becomes_another_user_and_we_stay);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
