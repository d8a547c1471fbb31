/* Attempts in cells. Run it as root and as an ordinary user: the sandbox is made differently. */
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

START_TEST(an_end_is_reported_as_it_was)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    cell_run_argv(&fx, "true", NULL, NULL);
    ck_assert(fx.is_started);
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    cell_run_argv(&fx, "/bin/false", NULL, NULL);
    cell_assert_end(&fx, WIRE_END_EXITED, 1);
    cell_run_sh(&fx, "exit 77");
    cell_assert_end(&fx, WIRE_END_EXITED, 77);
    cell_run_sh(&fx, "kill -TERM $$");
    cell_assert_end(&fx, WIRE_END_SIGNALED, SIGTERM);
    cell_run_sh(&fx, "kill -KILL $$");
    cell_assert_end(&fx, WIRE_END_SIGNALED, SIGKILL);
    ck_assert(fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(usage_counts_every_process_of_the_task)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    cell_run_sh(&fx, "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; true");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_uint_gt(fx.result.user_us, 10000);
    ck_assert_uint_ge(fx.result.wall_us, 10000);
    ck_assert_uint_gt(fx.result.peak_kib, 500);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(output_of_any_size_comes_back_byte_for_byte)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 10 * MIB};
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        char script[128];
        snprintf(script, sizeof script, "yes 0123456789abcde | head -c %zu", sizes[s]);
        cell_run_sh(&fx, script);
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_uint_eq(fx.out.n, sizes[s]);
        ck_assert_uint_eq(fx.result.out.bytes, sizes[s]);
        ck_assert_int_eq(fx.result.out.spool_fd >= 0, sizes[s] > OUTPUT_MEMORY_BYTES_MAX);
        size_t n_right = 0;
        while (n_right < sizes[s] &&
               fx.out.p[n_right] == (uint8_t) "0123456789abcde\n"[n_right % 16]) {
            n_right++;
        }
        ck_assert_uint_eq(n_right, sizes[s]);
        ck_assert_uint_eq(fx.errs.n, 0);
    }
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(streams_stay_apart_and_may_be_opened_by_name)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    cell_run_sh(&fx, "echo out; echo err >&2; echo out2 > /dev/stdout; echo err2 > /dev/stderr");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out), "out\nout2\n");
    ck_assert_str_eq(buf_cstr(&fx.errs), "err\nerr2\n");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(too_much_output_kills_and_says_so)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    struct slice words[] = {slice_str("yes")};
    struct cell_start start = cell_command(words, 1);
    start.output_bytes_max = 300000;
    cell_run(&fx, &start);
    ck_assert_int_eq(fx.result.end, WIRE_END_OUTPUT_LIMIT);
    ck_assert_uint_eq(fx.result.out.bytes, 300000);
    ck_assert_uint_eq(fx.out.n, 300000);
    ck_assert(fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(streamed_output_stops_at_the_window_and_ends_complete)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    struct slice words[] = {slice_str("sh"), slice_str("-c"),
                            slice_str("yes 0123456789abcde | head -c 3000000; echo e >&2")};
    struct cell_start start = cell_command(words, 3);
    start.is_streamed = true;
    cell_run(&fx, &start);
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_uint_eq(fx.out.n, 3000000);
    ck_assert_str_eq(buf_cstr(&fx.errs), "e\n");

    struct errmsg err;
    fx.withhold_acks = true;
    fx.is_done = false;
    buf_clear(&fx.out);
    buf_clear(&fx.errs);
    words[2] = slice_str("yes 0123456789abcde"); /* it does not end before it is killed */
    ck_assert_int_eq(cell_start(fx.cell, &start, &err), 0);
    while (fx.out.n < WIRE_STREAM_WINDOW_BYTES) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    for (int i = 0; i < 20; i++) {
        uv_run(&fx.loop, UV_RUN_NOWAIT);
    }
    ck_assert_uint_eq(fx.out.n, WIRE_STREAM_WINDOW_BYTES);
    ck_assert(!fx.is_done);
    cell_kill(fx.cell, WIRE_END_CANCELLED);
    while (!fx.is_done) {
        if (fx.out.n > 0) {
            cell_kill(fx.cell, WIRE_END_CANCELLED);
        }
        fx.withhold_acks = false;
        cell_ack(fx.cell, WIRE_STREAM_OUT, fx.out.n);
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(fx.result.end, WIRE_END_CANCELLED);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(standard_input_is_fed_whole_and_may_be_ignored)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    struct slice words[] = {slice_str("cat"), slice_str("/dev/stdin")};
    static uint8_t bytes[300000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    for (uint32_t n = 0; n < 3; n++) { /* cat, cat /dev/stdin, true */
        char name[] = "/tmp/test-cell-in-XXXXXX";
        struct cell_start start = cell_command(words, n == 1 ? 2 : 1);
        start.exec = n == 2 ? slice_str("true") : slice_str("cat");
        start.input_fd = mkstemp(name);
        unlink(name);
        ck_assert_int_eq(write(start.input_fd, bytes, sizeof bytes), sizeof bytes);
        cell_run(&fx, &start);
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_uint_eq(fx.out.n, n == 2 ? 0 : sizeof bytes);
        ck_assert(n == 2 || memcmp(fx.out.p, bytes, sizeof bytes) == 0);
    }
    cell_run_argv(&fx, "cat", NULL, NULL); /* none: empty, and the daemon's is not used */
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    cell_fixture_done(&fx);
}
END_TEST

/* A tree that does all it can to live on: double fork, own session, no SIGTERM. It holds a lock on
 * standard output's pipe only through us; that it is gone shows in `left`. */
#define STUBBORN                                                                                   \
    "trap '' TERM HUP INT; (setsid sh -c 'trap \"\" TERM HUP; echo $$; "                           \
    "exec sleep 1000' &) ; (sleep 1000 & sleep 1000 & wait) & "

static void kill_when_output(uv_timer_t *timer)
{
    cell_kill(timer->data, WIRE_END_TIMEOUT);
    uv_close((uv_handle_t *)timer, NULL);
}

START_TEST(killing_takes_the_whole_tree)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    /* Left behind by a program that ends by itself. */
    cell_run_sh(&fx, STUBBORN "sleep 0.2; exit 5");
    cell_assert_end(&fx, WIRE_END_EXITED, 5);
    ck_assert(fx.is_usable);
    int pid = cell_number_in(&fx.out);
    ck_assert_int_gt(pid, 1);
    if (_i == CELL_BARE) {
        ck_assert_int_eq(kill(pid, 0), -1);
        ck_assert_int_eq(errno, ESRCH);
    }
    /* Killed while it runs. */
    uv_timer_t timer;
    uv_timer_init(&fx.loop, &timer);
    timer.data = fx.cell;
    uv_timer_start(&timer, kill_when_output, 300, 0);
    cell_run_sh(&fx, STUBBORN "wait; sleep 1000");
    ck_assert_int_eq(fx.result.end, WIRE_END_TIMEOUT);
    ck_assert(fx.is_usable);
    pid = cell_number_in(&fx.out);
    ck_assert_int_gt(pid, 1);
    if (_i == CELL_BARE) {
        ck_assert_int_eq(kill(pid, 0), -1);
    } else {
        cell_run_sh(&fx, "ls -d /proc/[0-9]* | wc -l"); /* init, sh, ls, wc: nothing older */
        ck_assert_int_le(cell_number_in(&fx.out), 4);
    }
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_lease_that_is_not_renewed_ends_the_task)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    struct slice words[] = {slice_str("sleep"), slice_str("1000")};
    struct cell_start start = cell_command(words, 2);
    start.lease_ms = 150;
    cell_run(&fx, &start);
    ck_assert_int_eq(fx.result.end, WIRE_END_LEASE);
    ck_assert_uint_ge(fx.result.wall_us, 100000); /* the lease began before its program did */
    ck_assert(fx.is_usable);
    /* Renewed, it runs on. */
    struct slice shorter[] = {slice_str("sleep"), slice_str("0.4")};
    start.argv.items = shorter;
    struct errmsg err;
    fx.is_done = false;
    ck_assert_int_eq(cell_start(fx.cell, &start, &err), 0);
    cell_renew(fx.cell, 20000);
    while (!fx.is_done) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    cell_fixture_done(&fx);
}
END_TEST

static const unsigned char foreign_elf[64] = {
    0x7f, 'E', 'L', 'F', 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 22 /* s390 */, 0, 0, 0, 1};

START_TEST(start_failures_are_told_apart)
{
    static const struct {
        const char *word;
        enum wire_refusal refusal;
    } cases[] = {
        {"no-such-command", WIRE_REFUSAL_NOT_FOUND}, {"./no-such-file", WIRE_REFUSAL_NOT_FOUND},
        {"./plain", WIRE_REFUSAL_NOT_EXECUTABLE},    {"/usr", WIRE_REFUSAL_NOT_EXECUTABLE},
        {"./orphan", WIRE_REFUSAL_NO_INTERPRETER},   {"./foreign", WIRE_REFUSAL_WRONG_ARCH},
        {"./binary", WIRE_REFUSAL_NOT_EXECUTABLE},
    };
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_add(&fx, "plain", "echo no\n", 8, false);
    cell_fixture_add(&fx, "orphan", "#!/no/such/interpreter\n", 23, true);
    cell_fixture_add(&fx, "foreign", foreign_elf, sizeof foreign_elf, true);
    cell_fixture_add(&fx, "binary", "\0\1\2\3", 4, true);
    cell_fixture_make(&fx, _i);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cell_run_argv(&fx, cases[i].word, NULL, NULL);
        ck_assert_msg(fx.is_refused, "%s ran", cases[i].word);
        ck_assert_msg(fx.refusal == cases[i].refusal, "%s: %d (%s)", cases[i].word, fx.refusal,
                      fx.err.text);
        ck_assert(!fx.is_started);
        ck_assert(fx.is_usable);
    }
    cell_run_argv(&fx, "true", NULL, NULL);
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_mebibyte_of_arguments_arrives)
{
    enum { N = 16, EACH = 65535 };
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    static char word[EACH];
    memset(word, 'w', sizeof word);
    struct slice words[N + 3] = {slice_str("sh"), slice_str("-c"),
                                 slice_str("printf %s \"$0\" \"$@\" | wc -c")};
    for (int i = 0; i < N; i++) {
        words[3 + i] = slice_of(word, sizeof word);
    }
    struct cell_start start = cell_command(words, N + 3);
    cell_run(&fx, &start);
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_int_eq(cell_number_in(&fx.out), N * EACH);
    struct errmsg err;
    words[3] = slice_of("a\0b", 3);
    ck_assert_int_eq(cell_start(fx.cell, &start, &err), -EINVAL);
    ck_assert(!cell_is_busy(fx.cell));
    cell_fixture_done(&fx);
}
END_TEST

static void kill_the_cell(struct cell_fixture *fx)
{
    spawned_kill(&fx->cell->process, SIGKILL);
}

struct pausing {
    uv_timer_t timer;
    struct cell_fixture *fx;
    unsigned stage;
    size_t n_seen;
};

/* Pauses it, lets what is in the pipe come, looks that nothing follows, and lets it go on. */
static void next_stage(uv_timer_t *timer)
{
    struct pausing *pausing = timer->data;
    struct cell_fixture *fx = pausing->fx;
    switch (pausing->stage++) {
    case 0:
        ck_assert_uint_gt(fx->out.n, 0);
        cell_pause(fx->cell, true);
        break;
    case 1:
        pausing->n_seen = fx->out.n;
        break;
    case 2:
        ck_assert_uint_eq(fx->out.n, pausing->n_seen);
        cell_pause(fx->cell, false);
        break;
    case 3:
        ck_assert_uint_gt(fx->out.n, pausing->n_seen);
        cell_pause(fx->cell, true);
        cell_kill(fx->cell, WIRE_END_CANCELLED); /* it need not go on for that */
        break;
    }
}

START_TEST(a_paused_attempt_stands_still_goes_on_and_can_be_killed)
{
    struct cell_fixture fx;
    if (cell_skips(CELL_BOXED)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_make(&fx, CELL_BOXED);
    struct pausing pausing = {.fx = &fx};
    uv_timer_init(&fx.loop, &pausing.timer);
    pausing.timer.data = &pausing;
    uv_timer_start(&pausing.timer, next_stage, 1000, 400);
    struct slice words[] = {slice_str("sh"), slice_str("-c"),
                            slice_str("(while :; do echo x; sleep 0.01; done) & wait")};
    struct cell_start start = cell_command(words, 3);
    start.is_streamed = true;
    cell_run(&fx, &start);
    ck_assert_uint_eq(pausing.stage, 4);
    ck_assert_int_eq(fx.result.end, WIRE_END_CANCELLED);
    ck_assert(fx.is_usable);
    uv_close((uv_handle_t *)&pausing.timer, NULL);
    cell_run_sh(&fx, "exit 3"); /* the next one is not paused */
    cell_assert_end(&fx, WIRE_END_EXITED, 3);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_killed_cell_is_reported_once)
{
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    fx.when_started = kill_the_cell;
    cell_run_argv(&fx, "sleep", "1000", NULL);
    ck_assert_int_eq(fx.result.end, WIRE_END_CELL_DIED);
    ck_assert(!fx.is_usable);
    ck_assert(!fx.is_dead);
    cell_fixture_close(&fx);
    fx.when_started = NULL;
    cell_fixture_make(&fx, _i);
    cell_run_argv(&fx, "true", NULL, NULL);
    kill_the_cell(&fx); /* while it is idle */
    while (!fx.is_dead) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_cell_that_cannot_be_made_refuses_and_says_why)
{
    struct cell_fixture fx;
    if (cell_skips(CELL_BOXED)) {
        return;
    }
    struct sandbox_bind bind = {.path = "/no/such/folder"};
    cell_fixture_init(&fx);
    fx.sandbox.binds = &bind;
    fx.sandbox.n_binds = 1;
    cell_fixture_make(&fx, CELL_BOXED);
    cell_run_argv(&fx, "true", NULL, NULL);
    ck_assert(fx.is_refused);
    ck_assert_int_eq(fx.refusal, WIRE_REFUSAL_NO_CELL);
    ck_assert_msg(strstr(fx.err.text, "/no/such/folder") != NULL, "%s", fx.err.text);
    ck_assert(!fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

/* In a process of its own: a cell with a stubborn task, whose daemon is then killed. */
static void be_a_daemon(int mode, int tell_fd)
{
    struct cell_fixture fx;
    cell_fixture_init(&fx);
    cell_fixture_make(&fx, mode);
    struct slice words[] = {slice_str("sh"), slice_str("-c"), slice_str(STUBBORN "wait")};
    struct cell_start start = cell_command(words, 3);
    struct errmsg err;
    start.is_streamed = true;
    if (cell_start(fx.cell, &start, &err) < 0) {
        _exit(1);
    }
    while (fx.out.n == 0) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    char text[128];
    snprintf(text, sizeof text, "%s %d", fx.work_dir, cell_number_in(&fx.out));
    IGNORE(write(tell_fd, text, strlen(text) + 1)); /* the reader notices */
    for (;;) {
        pause();
    }
}

START_TEST(nothing_outlives_the_daemon)
{
    int ends[2];
    int alive[2]; /* inherited by bwrap and init, not close-on-exec */
    char text[128];
    char work_dir[64];
    int pid = 0;
    if (cell_skips(_i)) {
        return;
    }
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(pipe(alive), 0);
    pid_t daemon = fork();
    if (daemon == 0) {
        close(ends[0]);
        close(alive[0]);
        fcntl(ends[1], F_SETFD, FD_CLOEXEC);
        be_a_daemon(_i, ends[1]);
    }
    close(ends[1]);
    close(alive[1]);
    ck_assert_int_gt(read(ends[0], text, sizeof text), 1);
    ck_assert_int_eq(sscanf(text, "%63s %d", work_dir, &pid), 2);
    ck_assert_int_gt(pid, 1);
    ck_assert_int_eq(kill(daemon, SIGKILL), 0);
    ck_assert_int_eq(waitpid(daemon, NULL, 0), daemon);
    /* bwrap and init hold the pipe until they end, which the init does last of all. In a sandbox
     * the kernel kills what is in the pid namespace with it. */
    char byte;
    ck_assert_int_eq(read(alive[0], &byte, 1), 0);
    ck_assert(_i == CELL_BOXED || (kill(pid, 0) < 0 && errno == ESRCH));
    close(alive[0]);
    close(ends[0]);
    pid_t rm = fork(); /* what a killed daemon leaves is an empty folder of the cell */
    if (rm == 0) {
        execlp("rm", "rm", "-rf", work_dir, NULL);
        _exit(127);
    }
    int status;
    ck_assert_int_eq(waitpid(rm, &status, 0), rm);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(one_cell_serves_hundreds_of_tasks)
{
    enum { N = 300 };
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    cell_run_argv(&fx, "/bin/true", NULL, NULL);
    uint64_t from = uv_hrtime();
    for (int i = 0; i < N; i++) {
        cell_run_argv(&fx, "/bin/true", NULL, NULL);
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
    }
    double s = (double)(uv_hrtime() - from) / 1e9;
    fprintf(stderr, "# %s: %.0f tasks/s, %.2f ms each\n", _i == CELL_BARE ? "bare" : "sandbox",
            N / s, s * 1000 / N);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(foreign_bodies_and_paths_are_refused)
{
    char body[] = "exec\0a\0b\0E=1\0w\0d755:d\0f644:d/f\0r";
    char *args[3], *env[2], *files[3], *returns[2];
    struct cell_body parsed = {.args = args, .env = env, .files = files, .returns = returns};
    struct cell_message start = {
        .start = {
            .body_bytes = sizeof body, .n_args = 2, .n_env = 1, .n_files = 2, .n_returns = 1}};
    bool is_dir;
    uint32_t mode;
    ck_assert_int_eq(cell_body_parse(body, &start, &parsed), 0);
    ck_assert_str_eq(args[1], "b");
    ck_assert_ptr_null(args[2]);
    ck_assert_str_eq(parsed.workdir, "w");
    ck_assert_str_eq(returns[0], "r");
    ck_assert_int_eq(cell_body_file(&files[0], &is_dir, &mode), 0);
    ck_assert(is_dir && mode == 0755);
    ck_assert_str_eq(files[0], "d");
    ck_assert_int_eq(cell_body_file(&files[1], &is_dir, &mode), 0);
    ck_assert(!is_dir && mode == 0644);
    for (size_t n = 0; n < sizeof body; n++) {
        start.start.body_bytes = n;
        ck_assert_int_eq(cell_body_parse(body, &start, &parsed), -EPROTO);
    }
    start.start.body_bytes = sizeof body;
    start.start.n_args = 1;
    ck_assert_int_eq(cell_body_parse(body, &start, &parsed), -EPROTO);
    static const char *const bad[] = {"f644:", "f644:/a", "f644:../a", "x644:a", "f64:a", "f648:a"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char word[16];
        char *at = word;
        snprintf(word, sizeof word, "%s", bad[i]);
        ck_assert_int_eq(cell_body_file(&at, &is_dir, &mode), -EPROTO);
    }
    ck_assert(cell_path_is_inside("a/b..c/.d"));
    ck_assert(!cell_path_is_inside(""));
    ck_assert(!cell_path_is_inside("/a"));
    ck_assert(!cell_path_is_inside("a/"));
    ck_assert(!cell_path_is_inside("a//b"));
    ck_assert(!cell_path_is_inside("./a"));
    ck_assert(!cell_path_is_inside("a/../b"));
}
END_TEST

int main(void)
{
    cell_find_sandbox();
    Suite *suite = suite_create("cell");
    TCase *tc = tcase_create("cell");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, an_end_is_reported_as_it_was, 0, CELL_MODES);
    tcase_add_loop_test(tc, usage_counts_every_process_of_the_task, 0, CELL_MODES);
    tcase_add_loop_test(tc, output_of_any_size_comes_back_byte_for_byte, 0, CELL_MODES);
    tcase_add_loop_test(tc, streams_stay_apart_and_may_be_opened_by_name, 0, CELL_MODES);
    tcase_add_loop_test(tc, too_much_output_kills_and_says_so, 0, CELL_MODES);
    tcase_add_loop_test(tc, streamed_output_stops_at_the_window_and_ends_complete, 0, CELL_MODES);
    tcase_add_loop_test(tc, standard_input_is_fed_whole_and_may_be_ignored, 0, CELL_MODES);
    tcase_add_loop_test(tc, killing_takes_the_whole_tree, 0, CELL_MODES);
    tcase_add_loop_test(tc, a_lease_that_is_not_renewed_ends_the_task, 0, CELL_MODES);
    tcase_add_loop_test(tc, start_failures_are_told_apart, 0, CELL_MODES);
    tcase_add_loop_test(tc, a_mebibyte_of_arguments_arrives, 0, CELL_MODES);
    tcase_add_test(tc, a_paused_attempt_stands_still_goes_on_and_can_be_killed);
    tcase_add_loop_test(tc, a_killed_cell_is_reported_once, 0, CELL_MODES);
    tcase_add_test(tc, a_cell_that_cannot_be_made_refuses_and_says_why);
    tcase_add_loop_test(tc, nothing_outlives_the_daemon, 0, CELL_MODES);
    tcase_add_loop_test(tc, one_cell_serves_hundreds_of_tasks, 0, CELL_MODES);
    tcase_add_test(tc, foreign_bodies_and_paths_are_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
