/* What is paused stands still, whatever it does to go on. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/cell_fixture.h"

/* As long as a task is paused before others that wait let it go on. */
#define PAUSE_MS 2000

struct pausing {
    struct cell_fixture *fx;
    uv_timer_t timer;
    uint64_t ms;
    bool is_paused;
};

static void put_waker(struct cell_fixture *fx)
{
    static char bytes[4 * MIB];
    FILE *f = fopen(MESH_WAKER, "re");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    ck_assert_uint_lt(n, sizeof bytes);
    fclose(f);
    cell_fixture_add(fx, "waker", bytes, n, true);
}

/* Once it has said that it runs; and lets it go on and killed when the pause is over. */
static void on_time(uv_timer_t *timer)
{
    struct pausing *pausing = timer->data;
    struct cell_fixture *fx = pausing->fx;
    if (pausing->is_paused) {
        cell_kill(fx->cell, WIRE_END_CANCELLED);
        uv_timer_stop(timer);
    } else if (fx->out.n > 0) {
        cell_pause(fx->cell, true);
        pausing->is_paused = true;
        uv_timer_start(timer, on_time, pausing->ms, 0);
    }
}

/* False: cells cannot be boxed here. */
static bool run_paused(struct cell_fixture *fx, struct slice *words, uint32_t n, uint64_t ms)
{
    if (cell_skips(CELL_BOXED)) {
        return false;
    }
    cell_fixture_init(fx);
    put_waker(fx);
    cell_fixture_make(fx, CELL_BOXED);
    static struct pausing pausing; /* closed with the loop */
    pausing = (struct pausing){.fx = fx, .ms = ms};
    uv_timer_init(&fx->loop, &pausing.timer);
    pausing.timer.data = &pausing;
    uv_timer_start(&pausing.timer, on_time, 10, 10);
    struct cell_start start = cell_command(words, n);
    start.is_streamed = true;
    cell_run(fx, &start);
    ck_assert(pausing.is_paused);
    uv_close((uv_handle_t *)&pausing.timer, NULL);
    return true;
}

/* Every millisecond, so that it is hardly ever seen standing; or now and then. */
START_TEST(what_wakes_itself_up_is_killed_for_it)
{
    static const char *const ms[] = {"1", "150"};
    struct slice words[] = {slice_str("./waker"), slice_str(ms[_i])};
    struct cell_fixture fx;
    if (!run_paused(&fx, words, ARRAY_LEN(words), 20000)) {
        return;
    }
    cell_assert_end(&fx, WIRE_END_SIGNALED, SIGKILL);
    ck_assert_msg(strstr(fx.result.detail.text, "while it was paused") != NULL, "%s",
                  fx.result.detail.text);
    uint64_t used_us = fx.result.user_us + fx.result.sys_us;
    ck_assert_msg(used_us < 2000000, "%llu us of a processor", (unsigned long long)used_us);
    ck_assert(fx.is_usable);
    cell_run_sh(&fx, "exit 3"); /* the next one is not paused */
    cell_assert_end(&fx, WIRE_END_EXITED, 3);
    cell_fixture_done(&fx);
}
END_TEST

/* It wakes up three times in the pause: it is stopped again, and not killed for that. */
START_TEST(what_goes_on_a_few_times_is_stopped_again)
{
    struct slice words[] = {slice_str("./waker"), slice_str("1200")};
    struct cell_fixture fx;
    if (!run_paused(&fx, words, ARRAY_LEN(words), 2 * PAUSE_MS)) {
        return;
    }
    ck_assert_int_eq(fx.result.end, WIRE_END_CANCELLED);
    /* It would run for 2.8 s of the pause if nobody stopped it. */
    uint64_t used_us = fx.result.user_us + fx.result.sys_us;
    ck_assert_msg(used_us < 500000, "%llu us of a processor", (unsigned long long)used_us);
    ck_assert(fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(honest_processes_are_left_alone)
{
    struct slice words[] = {slice_str("sh"), slice_str("-c"),
                            slice_str("(while :; do :; done) & (sleep 100 | cat) & echo x; wait")};
    struct cell_fixture fx;
    if (!run_paused(&fx, words, ARRAY_LEN(words), PAUSE_MS)) {
        return;
    }
    ck_assert_msg(fx.result.end == WIRE_END_CANCELLED, "end %d: %s", fx.result.end,
                  fx.result.detail.text);
    ck_assert(fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

int main(void)
{
    cell_find_sandbox();
    Suite *suite = suite_create("cell_pause");
    TCase *tc = tcase_create("cell_pause");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, what_wakes_itself_up_is_killed_for_it, 0, 2);
    tcase_add_test(tc, what_goes_on_a_few_times_is_stopped_again);
    tcase_add_test(tc, honest_processes_are_left_alone);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
