/* What a cell may take, and what becomes of one that takes more. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/cell_fixture.h"

static bool begin(struct cell_fixture *fx, struct cell_limits limits)
{
    if (cell_skips(CELL_BOXED)) {
        return false;
    }
    cell_fixture_init(fx);
    fx->limits = limits;
    cell_fixture_make(fx, CELL_BOXED);
    return true;
}

static void expect_over(struct cell_fixture *fx, const char *script)
{
    cell_run_sh(fx, script);
    cell_assert_end(fx, WIRE_END_SIGNALED, SIGKILL);
    ck_assert_msg(strstr(fx->result.detail.text, "where it may have 32 MiB") != NULL, "%s: %s",
                  script, fx->result.detail.text);
    ck_assert(fx->is_usable);
}

START_TEST(what_all_its_processes_hold_together_is_limited)
{
    struct cell_fixture fx;
    if (!begin(&fx, (struct cell_limits){.memory_bytes = 32 * MIB})) {
        return;
    }
    /* tail keeps what has no line's end; none of the four is over the limit by itself. */
    expect_over(&fx, "head -c 64M /dev/zero | tail -n 1 | wc -c");
    expect_over(&fx, "for i in 1 2 3 4; do (head -c 12M /dev/zero; sleep 60) | tail -n 1 & done; "
                     "wait");
    /* Files are memory, too, in whatever folder, and after they lost their names. */
    expect_over(&fx, "head -c 14M /dev/zero > a; head -c 14M /dev/zero > /tmp/b; "
                     "exec 9> /dev/shm/c; rm /dev/shm/c; head -c 14M /dev/zero >&9; sleep 60");
    cell_run_sh(&fx, "head -c 8M /dev/zero | tail -n 1 | wc -c; ls -A /tmp /dev/shm .");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out), "8388608\n.:\n\n/dev/shm:\n\n/tmp:\n");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(pages_that_processes_share_count_once)
{
    struct cell_fixture fx;
    if (!begin(&fx, (struct cell_limits){.memory_bytes = 32 * MIB})) {
        return;
    }
    /* A shell's variable of 2 MiB in ten processes, for longer than two looks. */
    cell_run_sh(&fx, "x=$(head -c 2M /dev/zero | tr '\\0' x); for i in 1 2 3 4 5 6 7 8 9; do "
                     "(sleep 1.5; echo ${#x}) & done; wait");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_int_eq(cell_number_in(&fx.out), 2 * MIB);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(processes_are_counted_by_cell)
{
    static const char script[] = "i=0; while [ $i -lt 30 ]; do sleep 60 & i=$((i+1)); done";
    struct cell_fixture fx;
    struct cell_fixture other;
    if (!begin(&fx, (struct cell_limits){.n_processes = 20})) {
        return;
    }
    cell_run_sh(&fx, script);
    cell_assert_end(&fx, WIRE_END_EXITED, 2);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&fx.errs), "fork"));
    ck_assert(fx.is_usable);
    cell_run_argv(&fx, "bash", "-c", "ulimit -Su; ulimit -u 21 2> /dev/null || echo no");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out), "20\nno\n");
    /* As many of the same user in another cell change nothing here. */
    ck_assert(begin(&other, (struct cell_limits){.n_processes = 64}));
    cell_run_sh(&other, script);
    cell_assert_end(&other, WIRE_END_EXITED, 0);
    cell_fixture_done(&other);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(files_and_address_space_are_limited)
{
    struct cell_fixture fx;
    if (!begin(&fx, (struct cell_limits){.file_bytes = MIB, .address_bytes = 64 * MIB})) {
        return;
    }
    cell_run_sh(&fx, "head -c 1M /dev/zero > a && exec head -c 2M /dev/zero > b");
    cell_assert_end(&fx, WIRE_END_SIGNALED, SIGXFSZ);
    ck_assert(fx.is_usable);
    cell_run_sh(&fx, "head -c 96M /dev/zero | tail -n 1 > /dev/null");
    cell_assert_end(&fx, WIRE_END_EXITED, 1); /* tail says so itself */
    ck_assert_ptr_nonnull(strstr(buf_cstr(&fx.errs), "memory"));
    cell_run_sh(&fx, "ulimit -f unlimited || ulimit -v unlimited || echo no");
    ck_assert_str_eq(buf_cstr(&fx.out), "no\n");
    cell_fixture_done(&fx);
}
END_TEST

/* Where the machine has no memory left, tasks and what they start go first, and not the init. */
START_TEST(the_kernel_is_told_to_take_tasks_first)
{
    struct cell_fixture fx;
    if (!begin(&fx, (struct cell_limits){0})) {
        return;
    }
    cell_run_sh(&fx, "cat /proc/$$/oom_score_adj /proc/self/oom_score_adj; "
                     "test $(cat /proc/1/oom_score_adj) -lt 1000");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out), "1000\n1000\n");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(limits_of_its_namespaces_are_not_a_tasks_to_change)
{
    struct cell_fixture fx;
    if (!begin(&fx, (struct cell_limits){0})) {
        return;
    }
    cell_run_sh(&fx, "for f in fs/mqueue/queues_max kernel/shmmax kernel/sem kernel/msgmax "
                     "net/ipv4/ip_forward user/max_net_namespaces; do "
                     "[ ! -e /proc/sys/$f ] || ! (: > /proc/sys/$f) 2> /dev/null || echo $f; done");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out), "");
    cell_fixture_done(&fx);
}
END_TEST

int main(void)
{
    cell_find_sandbox();
    Suite *suite = suite_create("cell_limits");
    TCase *tc = tcase_create("cell_limits");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_all_its_processes_hold_together_is_limited);
    tcase_add_test(tc, pages_that_processes_share_count_once);
    tcase_add_test(tc, processes_are_counted_by_cell);
    tcase_add_test(tc, files_and_address_space_are_limited);
    tcase_add_test(tc, the_kernel_is_told_to_take_tasks_first);
    tcase_add_test(tc, limits_of_its_namespaces_are_not_a_tasks_to_change);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
