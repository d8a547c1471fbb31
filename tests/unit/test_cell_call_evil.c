/* Workers that do what they may not: it costs the call that is under way, and nothing else. */
#include <signal.h>
#include <string.h>

#include "tests/lib/cell_fixture.h"

START_TEST(a_worker_that_breaks_the_rules_is_killed_and_replaced)
{
    static const char *const ways[] = {
        "garbage",       "oversize", "serial",     "descriptors",    "descriptor",
        "no-descriptor", "unsealed", "other-size", "no-memory-file", "packets",
    };
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_make_calls(&fx, _i, MESH_CALL_WORKER, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        cell_run_function(&fx, ways[i], "");
        ck_assert_msg(fx.result.end == WIRE_END_SIGNALED, "%s: %d", ways[i], fx.result.end);
        ck_assert_uint_eq(fx.result.status, SIGKILL);
        ck_assert_msg(strncmp(fx.result.detail.text, "its worker", 10) == 0, "%s: %s", ways[i],
                      fx.result.detail.text);
        ck_assert_uint_eq(fx.out.n, 0);
        ck_assert(fx.is_usable);
        cell_run_function(&fx, "count", "");
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_str_eq(buf_cstr(&fx.out), "1");
    }
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_worker_that_hangs_up_and_lives_is_killed)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_make_calls(&fx, _i, MESH_CALL_WORKER, NULL);
    cell_run_function(&fx, "hang-up", "");
    ck_assert_int_eq(fx.result.end, WIRE_END_SIGNALED);
    ck_assert_str_eq(fx.result.detail.text, "its worker closed its socket and went on");
    cell_run_function(&fx, "count", "");
    ck_assert_str_eq(buf_cstr(&fx.out), "1");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_second_answer_costs_no_call_but_the_next_at_most)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_make_calls(&fx, _i, MESH_CALL_WORKER, NULL);
    for (int i = 0; i < 5; i++) {
        cell_run_function(&fx, "twice", "once");
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_str_eq(buf_cstr(&fx.out), "once");
        while (fx.cell->worker != NULL) { /* seen while it is idle: nobody is hurt */
            uv_run(&fx.loop, UV_RUN_ONCE);
        }
        cell_run_function(&fx, "count", "");
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        cell_run_function(&fx, "twice", "once");
        cell_run_function(&fx, "count", ""); /* ahead of the daemon's look at it */
        ck_assert(fx.result.end == WIRE_END_EXITED || fx.result.end == WIRE_END_SIGNALED);
        ck_assert(fx.is_usable);
        while (fx.cell->worker != NULL && fx.cell->worker->is_ending) {
            uv_run(&fx.loop, UV_RUN_ONCE);
        }
    }
    cell_fixture_done(&fx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cell_call_evil");
    TCase *tcase = tcase_create("all");
    cell_find_sandbox();
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_worker_that_breaks_the_rules_is_killed_and_replaced, 0,
                        CELL_MODES);
    tcase_add_loop_test(tcase, a_worker_that_hangs_up_and_lives_is_killed, 0, CELL_MODES);
    tcase_add_loop_test(tcase, a_second_answer_costs_no_call_but_the_next_at_most, 0, CELL_MODES);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
