/* What a task cannot see, change or leave behind. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/cell_fixture.h"

START_TEST(the_next_attempt_finds_nothing_of_the_last)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_add(&fx, "bin/data", "x\n", 2, false);
    cell_fixture_make(&fx, _i);
    cell_run_sh(&fx,
                "mkdir -p a/b/c d; touch a/b/c/f d/g .h; ln -s / root; mkfifo p; chmod 000 a/b a; "
                "rm -r bin; i=0; while [ $i -lt 300 ]; do mkdir deep; cd deep; i=$((i+1)); done; "
                "touch z; cd /; chmod 500 \"$HOME\"");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_msg(fx.is_usable, "%s", fx.result.detail.text);
    if (_i == CELL_BOXED) {
        cell_run_sh(&fx, "touch /tmp/x /dev/shm/y; chmod 0 /tmp /dev/shm; ipcmk -M 64 -S 2 -Q >&2");
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_msg(fx.is_usable, "%s", fx.result.detail.text);
        cell_run_sh(&fx, "ls -A /tmp /dev/shm; tail -qn +2 /proc/sysvipc/*");
        ck_assert_str_eq(buf_cstr(&fx.out), "/dev/shm:\n\n/tmp:\n");
    }
    cell_run_sh(&fx, "pwd -P > /dev/null; ls -A; cat bin/data");
    ck_assert_str_eq(buf_cstr(&fx.out), "bin\nx\n");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_folder_bound_in_tmp_stays_and_costs_no_cell)
{
    char dir[] = "/tmp/bound.XXXXXX";
    struct sandbox_bind bind = {.path = dir, .is_writable = true};
    struct cell_fixture fx;
    if (cell_skips(CELL_BOXED)) {
        return;
    }
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chmod(dir, 0777), 0); /* cells may run under another uid */
    cell_fixture_init(&fx);
    fx.sandbox.binds = &bind;
    fx.sandbox.n_binds = 1;
    cell_fixture_make(&fx, CELL_BOXED);
    cell_run_sh(&fx, "cd /tmp/bound.*; mkdir d; echo kept > d/f; cd ..; touch x; mv bound.* y; "
                     "rmdir bound.*; chmod 0 .");
    ck_assert_msg(fx.is_usable, "%s", fx.result.detail.text);
    cell_run_sh(&fx, "ls -A /tmp | tr -d a-zA-Z0-9; cat /tmp/bound.*/d/f; rm -r /tmp/bound.*/d");
    ck_assert_str_eq(buf_cstr(&fx.out), ".\nkept\n");
    cell_fixture_done(&fx);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* A task may rename what such a mount stands in. */
START_TEST(a_folder_bound_deeper_in_tmp_costs_the_cell)
{
    char dir[] = "/tmp/bound.XXXXXX";
    char deeper[sizeof(dir) + 2];
    struct sandbox_bind bind = {.path = deeper};
    struct cell_fixture fx;
    if (cell_skips(CELL_BOXED)) {
        return;
    }
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(deeper, sizeof(deeper), "%s/d", dir);
    ck_assert_int_eq(chmod(dir, 0755) | mkdir(deeper, 0755), 0);
    cell_fixture_init(&fx);
    fx.sandbox.binds = &bind;
    fx.sandbox.n_binds = 1;
    cell_fixture_make(&fx, CELL_BOXED);
    cell_run_sh(&fx, "mv /tmp/bound.* /tmp/moved");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert(!fx.is_usable);
    cell_fixture_done(&fx);
    ck_assert_int_eq(rmdir(deeper) | rmdir(dir), 0);
}
END_TEST

START_TEST(a_change_to_the_init_costs_the_cell)
{
    struct cell_fixture fx;
    if (cell_skips(CELL_BOXED)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_make(&fx, CELL_BOXED);
    cell_run_sh(&fx, "kill -9 1; kill -STOP 1; kill -TERM 1; kill -CHLD 1; exit 3");
    cell_assert_end(&fx, WIRE_END_EXITED, 3); /* signals do not reach it */
    ck_assert(fx.is_usable);
    cell_run_sh(&fx, "prlimit --pid 1 --fsize=1000");
    cell_assert_end(&fx, WIRE_END_EXITED, 1); /* the filter of system calls */
    ck_assert(fx.is_usable);
    cell_run_sh(&fx, "renice -n 19 -p 1"); /* that is every thread's right, too */
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert(!fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(the_host_is_out_of_sight)
{
    static const char *const denied[] = {
        "ls /home",         "ls /root",
        "ls /run",          "ls /var",
        "ls /srv",          "ls /opt",
        "cat /etc/shadow",  "cat /etc/hostname",
        "ls /proc/1/fd",    "cat /proc/1/environ",
        "touch /x",         "touch /usr/x",
        "touch /dev/x",     "touch /job/x",
        "touch /etc/x",     "mount -t tmpfs x /tmp",
        "cat /proc/1/maps",
    };
    struct cell_fixture fx;
    if (cell_skips(CELL_BOXED)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_make(&fx, CELL_BOXED);
    for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
        cell_run_sh(&fx, denied[i]);
        ck_assert(!fx.is_refused);
        ck_assert_msg(fx.result.end == WIRE_END_EXITED && fx.result.status != 0, "worked: %s",
                      denied[i]);
    }
    cell_run_sh(&fx,
                "id -un; id -u; cat /proc/sys/kernel/random/boot_id > /dev/null; echo $HOME; pwd; "
                "grep -E 'NoNewPrivs|CapEff|CapPrm|CapBnd' /proc/self/status; ulimit -c");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out),
                     "mesh\n1000\n/task\n/task\nCapPrm:\t0000000000000000\nCapEff:\t"
                     "0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n0\n");
    cell_run_sh(&fx, "ls -1 /proc | grep -c '^[0-9]'");
    ck_assert_int_le(cell_number_in(&fx.out), 4);
    cell_run_sh(&fx, "ls -1 /proc/self/fd"); /* ls itself opens 3 */
    ck_assert_str_eq(buf_cstr(&fx.out), "0\n1\n2\n3\n");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(there_is_no_network)
{
    struct cell_fixture fx;
    if (cell_skips(CELL_BOXED)) {
        return;
    }
    cell_fixture_init(&fx);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n_address = sizeof address;
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &n_address), 0);
    char script[128];
    snprintf(script, sizeof script, "exec 3<>/dev/tcp/127.0.0.1/%d", ntohs(address.sin_port));
    for (int mode = CELL_BARE; mode <= CELL_BOXED; mode++) {
        cell_fixture_make(&fx, mode);
        cell_run_argv(&fx, "bash", "-c", script);
        cell_assert_end(&fx, WIRE_END_EXITED,
                        mode == CELL_BARE ? 0u : 1u); /* it would work without */
        cell_fixture_close(&fx);
    }
    close(listener);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(files_of_the_job_run_and_stay_as_they_are)
{
    static const char script[] = "#!/bin/sh\necho \"$0 $1\"\n";
    static const char no_head[] = "echo \"$0 $1\"\n";
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_add(&fx, "tools/run", script, sizeof script - 1, true);
    cell_fixture_add(&fx, "plain", no_head, sizeof no_head - 1, true);
    cell_fixture_make(&fx, _i);
    for (int i = 0; i < 2; i++) {
        cell_run_argv(&fx, "tools/run", "a b", NULL);
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_str_eq(buf_cstr(&fx.out), "tools/run a b\n");
        cell_run_argv(&fx, "./plain", "c", NULL); /* no "#!": as every shell does */
        ck_assert_str_eq(buf_cstr(&fx.out), "./plain c\n");
        if (_i == CELL_BOXED) {
            cell_run_sh(&fx, "echo evil > tools/run; echo evil >> tools/run; chmod 777 tools/run; "
                             "rm -rf /job/tools; rm -rf tools; mkdir tools; echo x > tools/run");
        }
    }
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(the_environment_is_new)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    setenv("MESH_TEST_SECRET", "1", 1);
    cell_fixture_init(&fx);
    cell_fixture_make(&fx, _i);
    struct slice words[] = {slice_str("env")};
    struct slice env[] = {slice_str("MESH_TASK=7"), slice_str("LANG=xx"), slice_str("HOME=/h"),
                          slice_str("TMPDIR=/t")};
    struct cell_start start = cell_command(words, 1);
    start.env = (struct wire_slices){env, 4};
    cell_run(&fx, &start);
    ck_assert_str_eq(buf_cstr(&fx.out), "PATH=/usr/local/bin:/usr/bin:/bin\nMESH_TASK=7\nLANG=xx\n"
                                        "HOME=/h\nTMPDIR=/t\n");
    cell_fixture_done(&fx);
}
END_TEST

int main(void)
{
    cell_find_sandbox();
    Suite *suite = suite_create("cell_isolation");
    TCase *tc = tcase_create("cell_isolation");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, the_next_attempt_finds_nothing_of_the_last, 0, CELL_MODES);
    tcase_add_test(tc, a_folder_bound_in_tmp_stays_and_costs_no_cell);
    tcase_add_test(tc, a_folder_bound_deeper_in_tmp_costs_the_cell);
    tcase_add_test(tc, a_change_to_the_init_costs_the_cell);
    tcase_add_test(tc, the_host_is_out_of_sight);
    tcase_add_test(tc, there_is_no_network);
    tcase_add_loop_test(tc, files_of_the_job_run_and_stay_as_they_are, 0, CELL_MODES);
    tcase_add_loop_test(tc, the_environment_is_new, 0, CELL_MODES);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
