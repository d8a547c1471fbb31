/* Calls in cells: a worker that behaves, and its ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/cell_fixture.h"

static void begin(struct cell_fixture *fx, int mode, const char *env_word)
{
    cell_fixture_init(fx);
    cell_fixture_make_calls(fx, mode, MESH_CALL_WORKER, env_word);
}

#define assert_value(fx, text) ck_assert_str_eq(buf_cstr(&(fx)->out), text)

START_TEST(calls_come_back_from_one_worker)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    for (int i = 1; i <= 50; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        cell_run_function(&fx, "count", "");
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        assert_value(&fx, number);
        ck_assert(fx.is_usable);
    }
    cell_run_function(&fx, "echo", "hello");
    assert_value(&fx, "hello");
    ck_assert_uint_eq(fx.result.user_us, 5);
    cell_run_function(&fx, "nothing", "");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    assert_value(&fx, "");
    ck_assert_uint_eq(fx.errs.n, 0);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_call_knows_where_it_runs_and_how_often_it_was_placed)
{
    struct cell_fixture fx;
    begin(&fx, CELL_BARE, NULL);
    struct cell_call call = cell_call_of("who", "");
    call.attempt = 3;
    cell_run_call(&fx, &call);
    assert_value(&fx, "olive 3");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_failed_call_brings_its_text)
{
    struct cell_fixture fx;
    begin(&fx, CELL_BARE, NULL);
    cell_run_function(&fx, "fail", "no such file");
    cell_assert_end(&fx, WIRE_END_EXITED, 1);
    ck_assert_str_eq(fx.result.detail.text, "no such file");
    cell_run_function(&fx, "nobody", "");
    cell_assert_end(&fx, WIRE_END_EXITED, 2);
    cell_run_function(&fx, "count", "");
    assert_value(&fx, "3"); /* the same worker still */
    struct errmsg err;
    struct cell_call call = cell_call_of("", "");
    ck_assert_int_eq(cell_call(fx.cell, &call, &err), -EINVAL);
    ck_assert(!cell_is_busy(fx.cell));
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(what_a_call_prints_is_its_own)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    cell_run_function(&fx, "print", "one");
    ck_assert_str_eq(buf_cstr(&fx.errs), "!one");
    cell_run_function(&fx, "count", "");
    ck_assert_uint_eq(fx.errs.n, 0);
    cell_run_function(&fx, "print-much", "");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_uint_eq(fx.errs.n, 20000 * 11);
    ck_assert_int_eq(memcmp(fx.errs.p + 19999 * 11, "0123456789\n", 11), 0);
    cell_run_function(&fx, "print", "two");
    ck_assert_str_eq(buf_cstr(&fx.errs), "!two");
    cell_run_function(&fx, "count", "");
    assert_value(&fx, "5");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(too_much_output_ends_the_call_and_says_so)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    fx.output_bytes_max = 100000;
    cell_fixture_make_calls(&fx, _i, MESH_CALL_WORKER, NULL);
    cell_run_function(&fx, "print-for-ever", "");
    ck_assert_int_eq(fx.result.end, WIRE_END_OUTPUT_LIMIT);
    ck_assert_uint_eq(fx.errs.n, 100000);
    ck_assert(fx.is_usable);
    cell_run_function(&fx, "count", "");
    assert_value(&fx, "1"); /* of another worker */
    cell_run_function(&fx, "large", "100001");
    ck_assert_int_eq(fx.result.end, WIRE_END_OUTPUT_LIMIT);
    ck_assert_uint_eq(fx.out.n, 0);
    cell_run_function(&fx, "large", "100000");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_uint_eq(fx.out.n, 100000);
    cell_run_function(&fx, "count", "");
    assert_value(&fx, "4");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_crash_costs_its_call_and_names_the_signal)
{
    static const int signals[] = {SIGSEGV, SIGKILL, SIGABRT};
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", signals[i]);
        cell_run_function(&fx, "leave", "");
        cell_run_function(&fx, "look", "");
        assert_value(&fx, "there");
        cell_run_function(&fx, "signal", number);
        cell_assert_end(&fx, WIRE_END_SIGNALED, (uint32_t)signals[i]);
        ck_assert_str_eq(buf_cstr(&fx.errs), "last words");
        ck_assert_ptr_nonnull(strstr(fx.result.detail.text, strsignal(signals[i])));
        ck_assert(fx.is_usable);
        cell_run_function(&fx, "look", ""); /* cleaned, processes and files */
        assert_value(&fx, "gone");
        cell_run_function(&fx, "count", "");
        assert_value(&fx, "2");
    }
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(an_exit_in_a_call_is_told_apart_from_its_answer)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    cell_run_function(&fx, "exit", "7");
    cell_assert_end(&fx, WIRE_END_EXITED, 128 + 7);
    cell_run_function(&fx, "exit", "0");
    cell_assert_end(&fx, WIRE_END_EXITED, 128);
    for (int i = 0; i < 10; i++) { /* whichever is seen first: the answer counts */
        cell_run_function(&fx, "answer-and-exit", "last");
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        assert_value(&fx, "last");
        ck_assert(fx.is_usable);
        /* Its end may or may not be known by now. */
        do {
            cell_run_function(&fx, "count", "");
        } while (fx.result.status != 0);
        assert_value(&fx, "1");
    }
    cell_fixture_done(&fx);
}
END_TEST

static void kill_it(struct cell_fixture *fx)
{
    cell_kill(fx->cell, WIRE_END_TIMEOUT);
}

START_TEST(a_call_that_hangs_can_be_killed)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    fx.when_started = kill_it;
    cell_run_function(&fx, "hang", "");
    ck_assert_int_eq(fx.result.end, WIRE_END_TIMEOUT);
    ck_assert(fx.is_started);
    ck_assert(fx.is_usable);
    fx.when_started = NULL;
    cell_run_function(&fx, "count", "");
    assert_value(&fx, "1");

    struct errmsg err; /* at once, before it is under way */
    struct cell_call call = cell_call_of("hang", "");
    fx.is_done = false;
    ck_assert_int_eq(cell_call(fx.cell, &call, &err), 0);
    cell_kill(fx.cell, WIRE_END_CANCELLED);
    while (!fx.is_done) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(fx.result.end, WIRE_END_CANCELLED);
    fx.is_done = false;
    ck_assert_int_eq(cell_call(fx.cell, &call, &err), 0); /* before its worker stands */
    cell_kill(fx.cell, WIRE_END_CANCELLED);
    while (!fx.is_done) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(fx.result.end, WIRE_END_CANCELLED);
    cell_run_function(&fx, "count", "");
    assert_value(&fx, "1");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_lease_that_is_not_renewed_ends_the_call)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    struct cell_call call = cell_call_of("hang", "");
    call.lease_ms = 300;
    cell_run_call(&fx, &call);
    ck_assert_int_eq(fx.result.end, WIRE_END_LEASE);
    ck_assert(fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

/* Renews the lease of 600 ms that the call began with after 300, and ends it after 1,200. */
static void on_turn(uv_timer_t *timer)
{
    struct cell_fixture *fx = timer->data;
    ck_assert(!fx->is_done);
    if (uv_timer_get_repeat(timer) == 300) {
        cell_renew(fx->cell, 60000);
        uv_timer_set_repeat(timer, 900);
        return;
    }
    cell_kill(fx->cell, WIRE_END_CANCELLED);
    uv_close((uv_handle_t *)timer, NULL);
}

START_TEST(a_lease_that_is_renewed_lets_the_call_go_on)
{
    struct cell_fixture fx;
    uv_timer_t timer;
    begin(&fx, CELL_BARE, NULL);
    struct cell_call call = cell_call_of("hang", "");
    call.lease_ms = 600;
    uv_timer_init(&fx.loop, &timer);
    timer.data = &fx;
    uv_timer_start(&timer, on_turn, 300, 300);
    cell_run_call(&fx, &call);
    ck_assert_int_eq(fx.result.end, WIRE_END_CANCELLED);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(an_idle_worker_whose_lease_ran_out_is_replaced)
{
    struct cell_fixture fx;
    begin(&fx, CELL_BARE, NULL);
    struct cell_call call = cell_call_of("count", "");
    call.lease_ms = 200;
    cell_run_call(&fx, &call);
    while (fx.cell->worker != NULL) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    ck_assert(!fx.is_dead);
    cell_run_call(&fx, &call);
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    assert_value(&fx, "1");
    cell_fixture_done(&fx);
}
END_TEST

/* --- starts that fail --- */

START_TEST(a_program_that_is_no_worker_is_refused_with_its_words)
{
    static const struct {
        const char *mode;
        enum wire_refusal refusal;
        const char *text;
    } cases[] = {
        {"MODE=quit", WIRE_REFUSAL_NOT_EXECUTABLE,
         "the program does not call mesh_init(): exited with status 5; it said: usage: something "
         "else"},
        {"MODE=loader", WIRE_REFUSAL_NO_INTERPRETER,
         "./worker: error while loading shared libraries: libnone.so.1: cannot open shared object "
         "file: No such file or directory"},
        {"MODE=no-functions", WIRE_REFUSAL_NOT_EXECUTABLE, "the program registers no functions"},
        {"MODE=version", WIRE_REFUSAL_NOT_EXECUTABLE,
         "its libmesh speaks version 99 to daemons, this one version 1"},
        {"MODE=garbage", WIRE_REFUSAL_NOT_EXECUTABLE, "its hello is not an array"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cell_fixture fx;
        if (cell_skips(_i)) {
            return;
        }
        begin(&fx, _i, cases[i].mode);
        for (int n = 0; n < 2; n++) { /* the cell is good for another */
            cell_run_function(&fx, "count", "");
            ck_assert(fx.is_refused);
            ck_assert_int_eq(fx.refusal, cases[i].refusal);
            ck_assert_str_eq(fx.err.text, cases[i].text);
            ck_assert(fx.is_usable);
        }
        cell_fixture_done(&fx);
    }
}
END_TEST

START_TEST(a_library_that_is_missing_is_named_by_the_loader)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_make_calls(&fx, _i, MESH_ORPHAN_WORKER, NULL);
    cell_run_function(&fx, "count", "");
    ck_assert(fx.is_refused);
    ck_assert_int_eq(fx.refusal, WIRE_REFUSAL_NO_INTERPRETER);
    ck_assert_msg(strstr(fx.err.text, "libmesh-nowhere.so") != NULL, "%s", fx.err.text);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_program_that_cannot_be_executed_is_refused_as_any)
{
    struct cell_fixture fx;
    cell_fixture_init(&fx);
    cell_fixture_add(&fx, "worker", "\0\1\2\3", 4, true);
    cell_fixture_make_calls(&fx, CELL_BARE, NULL, NULL);
    cell_run_function(&fx, "count", "");
    ck_assert(fx.is_refused);
    ck_assert_int_eq(fx.refusal, WIRE_REFUSAL_NOT_EXECUTABLE);
    ck_assert(fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_program_that_says_no_hello_is_refused)
{
    struct cell_fixture fx;
    begin(&fx, CELL_BARE, "MODE=silent");
    struct cell_call call = cell_call_of("count", "");
    struct errmsg err;
    ck_assert_int_eq(cell_call(fx.cell, &call, &err), 0);
    /* Time is made to pass once the worker runs. */
    while (!uv_is_active((uv_handle_t *)&fx.cell->timer) || !fx.cell->is_ready) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    ck_assert_uint_gt(uv_timer_get_due_in(&fx.cell->timer), 15000);
    uv_timer_set_repeat(&fx.cell->timer, 1);
    ck_assert_int_eq(uv_timer_again(&fx.cell->timer), 0);
    while (!fx.is_done) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    ck_assert(fx.is_refused);
    ck_assert_int_eq(fx.refusal, WIRE_REFUSAL_NOT_EXECUTABLE);
    ck_assert_str_eq(fx.err.text, "the program did not call mesh_init() in time");
    ck_assert(fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

/* --- descriptors --- */

static struct cell_ref make_ref(size_t n_bytes, uint8_t value)
{
    int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    uint8_t bytes[4096];
    char path[64];
    memset(bytes, value, sizeof bytes);
    for (size_t at = 0; at < n_bytes; at += sizeof bytes) {
        size_t n = n_bytes - at < sizeof bytes ? n_bytes - at : sizeof bytes;
        ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    }
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, WIRE_WORKER_SEALS), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct cell_ref ref = {.fd = open(path, O_RDONLY | O_CLOEXEC), .bytes = n_bytes};
    close(fd);
    return ref;
}

START_TEST(large_arguments_and_refs_arrive_whole_and_cannot_be_changed)
{
    struct cell_fixture fx;
    struct cell_ref refs[WIRE_CALL_REFS_MAX];
    unsigned long long sum = 0;
    char text[64];
    if (cell_skips(_i)) {
        return;
    }
    for (unsigned i = 0; i < WIRE_CALL_REFS_MAX; i++) {
        refs[i] = make_ref(i * 1000, (uint8_t)i);
        sum += (unsigned long long)i * i * 1000;
    }
    begin(&fx, _i, NULL);
    for (int n = 0; n < 2; n++) { /* before its worker stands, and after */
        struct cell_call call = cell_call_of("sum-refs", "");
        call.refs = refs;
        call.n_refs = WIRE_CALL_REFS_MAX;
        snprintf(text, sizeof text, "%llu", sum);
        cell_run_call(&fx, &call);
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        assert_value(&fx, text);
    }
    struct cell_call call = cell_call_of("size", "");
    call.big_args = &refs[63];
    cell_run_call(&fx, &call);
    assert_value(&fx, "63000 63000");
    cell_run_function(&fx, "list-fds", "");
    assert_value(&fx, "0 1 2 3 "); /* it closed what it was given; nothing else ever came */
    call = cell_call_of("attack-ref", "");
    call.refs = &refs[1];
    call.n_refs = 1;
    cell_run_call(&fx, &call);
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    assert_value(&fx, "");
    cell_fixture_done(&fx);
    for (unsigned i = 0; i < WIRE_CALL_REFS_MAX; i++) {
        close(refs[i].fd);
    }
}
END_TEST

START_TEST(values_of_any_size_come_back)
{
    static const size_t sizes[] = {0, 1, 65536, 65537, 5000000};
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", sizes[s]);
        cell_run_function(&fx, "large", number);
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_uint_eq(fx.out.n, sizes[s]);
        ck_assert_int_eq(fx.result.out.spool_fd >= 0, sizes[s] > WIRE_INLINE_BYTES_MAX);
        size_t n_right = 0;
        while (n_right < sizes[s] && fx.out.p[n_right] == n_right % 251) {
            n_right++;
        }
        ck_assert_uint_eq(n_right, sizes[s]);
    }
    cell_fixture_done(&fx);
}
END_TEST

/* --- the cell's end --- */

static void close_it(struct cell_fixture *fx)
{
    cell_fixture_close(fx);
    fx->is_done = true;
}

START_TEST(a_cell_may_be_closed_in_a_call_and_when_idle)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    cell_run_function(&fx, "leave", "");
    cell_fixture_close(&fx);
    cell_fixture_make_calls(&fx, _i, MESH_CALL_WORKER, NULL);
    struct cell_call call = cell_call_of("hang", "");
    struct errmsg err;
    ck_assert_int_eq(cell_call(fx.cell, &call, &err), 0);
    close_it(&fx); /* its worker has not begun */
    cell_fixture_make_calls(&fx, _i, MESH_CALL_WORKER, NULL);
    fx.is_started = false;
    ck_assert_int_eq(cell_call(fx.cell, &call, &err), 0);
    while (!fx.is_started) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    close_it(&fx);
    cell_fixture_done(&fx);
}
END_TEST

static void kill_the_cell(struct cell_fixture *fx)
{
    spawned_kill(&fx->cell->process, SIGKILL);
}

START_TEST(a_killed_cell_ends_its_call_once)
{
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    begin(&fx, _i, NULL);
    fx.when_started = kill_the_cell;
    cell_run_function(&fx, "hang", "");
    ck_assert_int_eq(fx.result.end, WIRE_END_CELL_DIED);
    ck_assert(!fx.is_usable);
    fx.when_started = NULL;
    fx.is_done = false;
    struct cell_call call = cell_call_of("count", "");
    struct errmsg err;
    ck_assert_int_eq(cell_call(fx.cell, &call, &err), 0); /* on a dead one: refused */
    while (!fx.is_done) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    ck_assert(fx.is_refused);
    cell_fixture_done(&fx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cell_call");
    TCase *tcase = tcase_create("all");
    cell_find_sandbox();
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, calls_come_back_from_one_worker, 0, CELL_MODES);
    tcase_add_test(tcase, a_call_knows_where_it_runs_and_how_often_it_was_placed);
    tcase_add_test(tcase, a_failed_call_brings_its_text);
    tcase_add_loop_test(tcase, what_a_call_prints_is_its_own, 0, CELL_MODES);
    tcase_add_loop_test(tcase, too_much_output_ends_the_call_and_says_so, 0, CELL_MODES);
    tcase_add_loop_test(tcase, a_crash_costs_its_call_and_names_the_signal, 0, CELL_MODES);
    tcase_add_loop_test(tcase, an_exit_in_a_call_is_told_apart_from_its_answer, 0, CELL_MODES);
    tcase_add_loop_test(tcase, a_call_that_hangs_can_be_killed, 0, CELL_MODES);
    tcase_add_loop_test(tcase, a_lease_that_is_not_renewed_ends_the_call, 0, CELL_MODES);
    tcase_add_test(tcase, a_lease_that_is_renewed_lets_the_call_go_on);
    tcase_add_test(tcase, an_idle_worker_whose_lease_ran_out_is_replaced);
    tcase_add_loop_test(tcase, a_program_that_is_no_worker_is_refused_with_its_words, 0,
                        CELL_MODES);
    tcase_add_loop_test(tcase, a_library_that_is_missing_is_named_by_the_loader, 0, CELL_MODES);
    tcase_add_test(tcase, a_program_that_cannot_be_executed_is_refused_as_any);
    tcase_add_test(tcase, a_program_that_says_no_hello_is_refused);
    tcase_add_loop_test(tcase, large_arguments_and_refs_arrive_whole_and_cannot_be_changed, 0,
                        CELL_MODES);
    tcase_add_loop_test(tcase, values_of_any_size_come_back, 0, CELL_MODES);
    tcase_add_loop_test(tcase, a_cell_may_be_closed_in_a_call_and_when_idle, 0, CELL_MODES);
    tcase_add_loop_test(tcase, a_killed_cell_ends_its_call_once, 0, CELL_MODES);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
