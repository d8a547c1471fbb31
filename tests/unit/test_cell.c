/* Cells with the real mesh-cell, bare and, where the machine allows it, in bwrap. Run it as root
 * and as an ordinary user: the sandbox is made differently. */
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

#include "mesh/cell_internal.h" /* the process, to kill it */
#include "mesh/cell_proto.h"
#include "tests/lib/runner.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define MIB (1u << 20)

enum { BARE, BOXED, N_MODES };

struct fixture {
    uv_loop_t loop;
    uv_timer_t guard; /* nothing here takes this long */
    char work_dir[64];
    char bwrap[256];
    struct sandbox sandbox;
    struct cell *cell;
    struct cell_file files[4];
    size_t n_files;
    /* what came back */
    bool is_started;
    bool is_done;
    bool is_refused;
    bool is_dead;
    bool is_closed;
    bool is_usable;
    struct cell_result result;
    enum wire_refusal refusal;
    struct errmsg err;
    struct buf out;
    struct buf errs;
    uint64_t ack_held; /* streamed bytes not acknowledged on purpose */
    bool withhold_acks;
    void (*when_started)(struct fixture *fx);
};

static bool have_sandbox; /* found out once, in main() */

static void on_guard(uv_timer_t *timer)
{
    ck_abort_msg("30 s passed");
}

static void on_started(void *user, struct cell *cell)
{
    struct fixture *fx = user;
    fx->is_started = true;
    if (fx->when_started != NULL) {
        fx->when_started(fx);
    }
}

static void on_output(void *user, struct cell *cell, enum wire_stream stream, uint64_t offset,
                      struct slice bytes)
{
    struct fixture *fx = user;
    struct buf *to = stream == WIRE_STREAM_OUT ? &fx->out : &fx->errs;
    ck_assert_uint_eq(offset, to->n);
    buf_append_slice(to, bytes);
    if (!fx->withhold_acks) {
        cell_ack(cell, stream, offset + bytes.n);
    }
}

static void collect(struct buf *to, const struct output_result *result)
{
    if (result->spool_fd < 0) {
        buf_append_slice(to, result->memory);
        return;
    }
    for (uint64_t at = 0; at < result->bytes;) {
        uint8_t *room = buf_reserve(to, 65536);
        ck_assert_ptr_nonnull(room);
        ssize_t n = pread(result->spool_fd, room, 65536, (off_t)at);
        ck_assert_int_gt(n, 0);
        buf_extend(to, (size_t)n);
        at += (uint64_t)n;
    }
    close(result->spool_fd);
}

static void on_ended(void *user, struct cell *cell, const struct cell_result *result)
{
    struct fixture *fx = user;
    ck_assert(!fx->is_done);
    fx->is_done = true;
    fx->result = *result;
    fx->is_usable = result->is_cell_usable;
    collect(&fx->out, &result->out);
    collect(&fx->errs, &result->err);
}

static void on_refused(void *user, struct cell *cell, enum wire_refusal why,
                       const struct errmsg *err, bool is_cell_usable)
{
    struct fixture *fx = user;
    ck_assert(!fx->is_done);
    fx->is_done = true;
    fx->is_refused = true;
    fx->refusal = why;
    fx->err = *err;
    fx->is_usable = is_cell_usable;
}

static void on_dead(void *user, struct cell *cell, const struct errmsg *err)
{
    struct fixture *fx = user;
    fx->is_dead = true;
    fx->err = *err;
}

static void on_closed(void *user)
{
    struct fixture *fx = user;
    fx->is_closed = true;
}

static const struct cell_events events = {on_started, on_output, on_ended, on_refused, on_dead};

static bool skips(int mode)
{
    if (mode == BOXED && !have_sandbox) {
        fprintf(stderr, "SKIPPED: no sandbox on this machine\n");
        return true;
    }
    return false;
}

static void fixture_init(struct fixture *fx)
{
    memset(fx, 0, sizeof *fx);
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(uv_loop_init(&fx->loop), 0);
    uv_timer_init(&fx->loop, &fx->guard);
    uv_timer_start(&fx->guard, on_guard, 30000, 0);
    uv_unref((uv_handle_t *)&fx->guard);
    strcpy(fx->work_dir, "/tmp/test-cell-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fx->work_dir));
    struct errmsg err = {""};
    fx->sandbox.cell_program = MESH_CELL_PROGRAM;
    if (sandbox_find_bwrap(fx->bwrap, sizeof fx->bwrap, &err) == 0) {
        fx->sandbox.bwrap = fx->bwrap;
    }
    buf_init(&fx->out, 64 * MIB);
    buf_init(&fx->errs, 64 * MIB);
}

static void make_cell(struct fixture *fx, int mode)
{
    struct errmsg err = {""};
    struct cell_config config = {
        .loop = &fx->loop,
        .sandbox = &fx->sandbox,
        .is_bare = mode == BARE,
        .work_dir = fx->work_dir,
        .scratch_bytes = 16 * MIB,
        .files = fx->files,
        .n_files = fx->n_files,
        .events = &events,
        .user = fx,
    };
    ck_assert_msg(cell_new(&config, &fx->cell, &err) == 0, "%s", err.text);
}

static void close_cell(struct fixture *fx)
{
    fx->is_closed = false;
    cell_close(fx->cell, on_closed, fx);
    while (!fx->is_closed) {
        uv_run(&fx->loop, UV_RUN_ONCE);
    }
    fx->cell = NULL;
}

static void fixture_done(struct fixture *fx)
{
    if (fx->cell != NULL) {
        close_cell(fx);
    }
    for (size_t i = 0; i < fx->n_files; i++) {
        close(fx->files[i].fd);
    }
    uv_close((uv_handle_t *)&fx->guard, NULL);
    uv_run(&fx->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&fx->loop), 0); /* nothing was left open */
    ck_assert_msg(rmdir(fx->work_dir) == 0, "%s: %s", fx->work_dir, strerror(errno));
    buf_done(&fx->out);
    buf_done(&fx->errs);
}

static void add_file(struct fixture *fx, const char *path, const void *bytes, size_t n,
                     bool is_exec)
{
    char name[] = "/tmp/test-cell-file-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    fx->files[fx->n_files++] = (struct cell_file){.fd = fd, .path = path, .is_executable = is_exec};
}

static struct cell_start command(struct slice *words, uint32_t n)
{
    return (struct cell_start){
        .argv = {words, n}, .input_fd = -1, .lease_ms = 60000, .output_bytes_max = 32 * MIB};
}

static void run_start(struct fixture *fx, const struct cell_start *start)
{
    struct errmsg err = {""};
    fx->is_done = fx->is_started = fx->is_refused = false;
    buf_clear(&fx->out);
    buf_clear(&fx->errs);
    ck_assert_msg(cell_start(fx->cell, start, &err) == 0, "%s", err.text);
    while (!fx->is_done) {
        uv_run(&fx->loop, UV_RUN_ONCE);
    }
}

static void run_argv(struct fixture *fx, const char *a, const char *b, const char *c)
{
    struct slice words[] = {slice_str(a), slice_str(b), slice_str(c)};
    struct cell_start start = command(words, c != NULL ? 3 : b != NULL ? 2 : 1);
    run_start(fx, &start);
}

static void run_sh(struct fixture *fx, const char *script)
{
    run_argv(fx, "sh", "-c", script);
}

#define assert_end(fx, e, s)                                                                       \
    do {                                                                                           \
        ck_assert_msg(!(fx)->is_refused, "refused: %s", (fx)->err.text);                           \
        ck_assert_msg((fx)->result.end == (e) && (fx)->result.status == (s),                       \
                      "end %d status %u: %s / %s", (fx)->result.end, (fx)->result.status,          \
                      (fx)->result.detail.text, buf_cstr(&(fx)->errs));                            \
    } while (0)

START_TEST(an_end_is_reported_as_it_was)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    run_argv(&fx, "true", NULL, NULL);
    ck_assert(fx.is_started);
    assert_end(&fx, WIRE_END_EXITED, 0);
    run_argv(&fx, "/bin/false", NULL, NULL);
    assert_end(&fx, WIRE_END_EXITED, 1);
    run_sh(&fx, "exit 77");
    assert_end(&fx, WIRE_END_EXITED, 77);
    run_sh(&fx, "kill -TERM $$");
    assert_end(&fx, WIRE_END_SIGNALED, SIGTERM);
    run_sh(&fx, "kill -KILL $$");
    assert_end(&fx, WIRE_END_SIGNALED, SIGKILL);
    ck_assert(fx.is_usable);
    fixture_done(&fx);
}
END_TEST

START_TEST(usage_counts_every_process_of_the_task)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    run_sh(&fx, "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; true");
    assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_uint_gt(fx.result.user_us, 10000);
    ck_assert_uint_ge(fx.result.wall_us, 10000);
    ck_assert_uint_gt(fx.result.peak_kib, 500);
    fixture_done(&fx);
}
END_TEST

START_TEST(output_of_any_size_comes_back_byte_for_byte)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 10 * MIB};
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        char script[128];
        snprintf(script, sizeof script, "yes 0123456789abcde | head -c %zu", sizes[s]);
        run_sh(&fx, script);
        assert_end(&fx, WIRE_END_EXITED, 0);
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
    fixture_done(&fx);
}
END_TEST

START_TEST(streams_stay_apart_and_may_be_opened_by_name)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    run_sh(&fx, "echo out; echo err >&2; echo out2 > /dev/stdout; echo err2 > /dev/stderr");
    assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out), "out\nout2\n");
    ck_assert_str_eq(buf_cstr(&fx.errs), "err\nerr2\n");
    fixture_done(&fx);
}
END_TEST

START_TEST(too_much_output_kills_and_says_so)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    struct slice words[] = {slice_str("yes")};
    struct cell_start start = command(words, 1);
    start.output_bytes_max = 300000;
    run_start(&fx, &start);
    ck_assert_int_eq(fx.result.end, WIRE_END_OUTPUT_LIMIT);
    ck_assert_uint_eq(fx.result.out.bytes, 300000);
    ck_assert_uint_eq(fx.out.n, 300000);
    ck_assert(fx.is_usable);
    fixture_done(&fx);
}
END_TEST

START_TEST(streamed_output_stops_at_the_window_and_ends_complete)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    struct slice words[] = {slice_str("sh"), slice_str("-c"),
                            slice_str("yes 0123456789abcde | head -c 3000000; echo e >&2")};
    struct cell_start start = command(words, 3);
    start.is_streamed = true;
    run_start(&fx, &start);
    assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_uint_eq(fx.out.n, 3000000);
    ck_assert_str_eq(buf_cstr(&fx.errs), "e\n");

    struct errmsg err;
    fx.withhold_acks = true;
    fx.is_done = false;
    buf_clear(&fx.out);
    buf_clear(&fx.errs);
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
    fixture_done(&fx);
}
END_TEST

START_TEST(standard_input_is_fed_whole_and_may_be_ignored)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    struct slice words[] = {slice_str("cat"), slice_str("/dev/stdin")};
    static uint8_t bytes[300000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    for (uint32_t n = 0; n < 3; n++) { /* cat, cat /dev/stdin, true */
        char name[] = "/tmp/test-cell-in-XXXXXX";
        struct cell_start start = command(words, n == 1 ? 2 : 1);
        start.exec = n == 2 ? slice_str("true") : slice_str("cat");
        start.input_fd = mkstemp(name);
        unlink(name);
        ck_assert_int_eq(write(start.input_fd, bytes, sizeof bytes), sizeof bytes);
        run_start(&fx, &start);
        assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_uint_eq(fx.out.n, n == 2 ? 0 : sizeof bytes);
        ck_assert(n == 2 || memcmp(fx.out.p, bytes, sizeof bytes) == 0);
    }
    run_argv(&fx, "cat", NULL, NULL); /* none: empty, and the daemon's is not used */
    assert_end(&fx, WIRE_END_EXITED, 0);
    fixture_done(&fx);
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
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    /* Left behind by a program that ends by itself. */
    run_sh(&fx, STUBBORN "sleep 0.2; exit 5");
    assert_end(&fx, WIRE_END_EXITED, 5);
    ck_assert(fx.is_usable);
    long pid = strtol(buf_cstr(&fx.out), NULL, 10);
    ck_assert_int_gt(pid, 1);
    if (_i == BARE) {
        ck_assert_int_eq(kill((pid_t)pid, 0), -1);
        ck_assert_int_eq(errno, ESRCH);
    }
    /* Killed while it runs. */
    uv_timer_t timer;
    uv_timer_init(&fx.loop, &timer);
    timer.data = fx.cell;
    uv_timer_start(&timer, kill_when_output, 300, 0);
    run_sh(&fx, STUBBORN "wait; sleep 1000");
    ck_assert_int_eq(fx.result.end, WIRE_END_TIMEOUT);
    ck_assert(fx.is_usable);
    pid = strtol(buf_cstr(&fx.out), NULL, 10);
    ck_assert_int_gt(pid, 1);
    if (_i == BARE) {
        ck_assert_int_eq(kill((pid_t)pid, 0), -1);
    } else {
        run_sh(&fx, "ls -d /proc/[0-9]* | wc -l"); /* init, sh, ls, wc: nothing older */
        ck_assert_int_le(strtol(buf_cstr(&fx.out), NULL, 10), 4);
    }
    fixture_done(&fx);
}
END_TEST

START_TEST(a_lease_that_is_not_renewed_ends_the_task)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    struct slice words[] = {slice_str("sleep"), slice_str("1000")};
    struct cell_start start = command(words, 2);
    start.lease_ms = 150;
    run_start(&fx, &start);
    ck_assert_int_eq(fx.result.end, WIRE_END_LEASE);
    ck_assert_uint_ge(fx.result.wall_us, 150000);
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
    assert_end(&fx, WIRE_END_EXITED, 0);
    fixture_done(&fx);
}
END_TEST

START_TEST(the_next_attempt_finds_nothing_of_the_last)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    add_file(&fx, "bin/data", "x\n", 2, false);
    make_cell(&fx, _i);
    run_sh(&fx, "mkdir -p a/b/c d; touch a/b/c/f d/g .h; ln -s / root; mkfifo p; chmod 000 a/b a; "
                "rm -r bin; i=0; while [ $i -lt 300 ]; do mkdir deep; cd deep; i=$((i+1)); done; "
                "touch z; cd /; chmod 500 \"$HOME\"");
    assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_msg(fx.is_usable, "%s", fx.result.detail.text);
    if (_i == BOXED) {
        run_sh(&fx, "touch /tmp/x /dev/shm/y; chmod 0 /tmp /dev/shm; ipcmk -M 64 -S 2 -Q >&2");
        assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_msg(fx.is_usable, "%s", fx.result.detail.text);
        run_sh(&fx, "ls -A /tmp /dev/shm; tail -qn +2 /proc/sysvipc/*");
        ck_assert_str_eq(buf_cstr(&fx.out), "/dev/shm:\n\n/tmp:\n");
    }
    run_sh(&fx, "pwd -P > /dev/null; ls -A; cat bin/data");
    ck_assert_str_eq(buf_cstr(&fx.out), "bin\nx\n");
    fixture_done(&fx);
}
END_TEST

START_TEST(a_change_to_the_init_costs_the_cell)
{
    struct fixture fx;
    if (skips(BOXED)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, BOXED);
    run_sh(&fx, "kill -9 1; kill -STOP 1; kill -TERM 1; kill -CHLD 1; exit 3");
    assert_end(&fx, WIRE_END_EXITED, 3); /* signals do not reach it */
    ck_assert(fx.is_usable);
    run_sh(&fx, "prlimit --pid 1 --fsize=1000");
    assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert(!fx.is_usable);
    fixture_done(&fx);
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
    struct fixture fx;
    if (skips(BOXED)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, BOXED);
    for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
        run_sh(&fx, denied[i]);
        ck_assert(!fx.is_refused);
        ck_assert_msg(fx.result.end == WIRE_END_EXITED && fx.result.status != 0, "worked: %s",
                      denied[i]);
    }
    run_sh(&fx, "id -un; id -u; cat /proc/sys/kernel/random/boot_id > /dev/null; echo $HOME; pwd; "
                "grep -E 'NoNewPrivs|CapEff|CapPrm|CapBnd' /proc/self/status; ulimit -c");
    assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out),
                     "mesh\n1000\n/task\n/task\nCapPrm:\t0000000000000000\nCapEff:\t"
                     "0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n0\n");
    run_sh(&fx, "ls -1 /proc | grep -c '^[0-9]'");
    ck_assert_int_le(strtol(buf_cstr(&fx.out), NULL, 10), 4);
    run_sh(&fx, "ls -1 /proc/self/fd"); /* ls itself opens 3 */
    ck_assert_str_eq(buf_cstr(&fx.out), "0\n1\n2\n3\n");
    fixture_done(&fx);
}
END_TEST

START_TEST(there_is_no_network)
{
    struct fixture fx;
    if (skips(BOXED)) {
        return;
    }
    fixture_init(&fx);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n_address = sizeof address;
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &n_address), 0);
    char script[128];
    snprintf(script, sizeof script, "exec 3<>/dev/tcp/127.0.0.1/%d", ntohs(address.sin_port));
    for (int mode = BARE; mode <= BOXED; mode++) {
        make_cell(&fx, mode);
        run_argv(&fx, "bash", "-c", script);
        assert_end(&fx, WIRE_END_EXITED, mode == BARE ? 0u : 1u); /* it would work without */
        close_cell(&fx);
    }
    close(listener);
    fixture_done(&fx);
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
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    add_file(&fx, "plain", "echo no\n", 8, false);
    add_file(&fx, "orphan", "#!/no/such/interpreter\n", 23, true);
    add_file(&fx, "foreign", foreign_elf, sizeof foreign_elf, true);
    add_file(&fx, "binary", "\0\1\2\3", 4, true);
    make_cell(&fx, _i);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        run_argv(&fx, cases[i].word, NULL, NULL);
        ck_assert_msg(fx.is_refused, "%s ran", cases[i].word);
        ck_assert_msg(fx.refusal == cases[i].refusal, "%s: %d (%s)", cases[i].word, fx.refusal,
                      fx.err.text);
        ck_assert(!fx.is_started);
        ck_assert(fx.is_usable);
    }
    run_argv(&fx, "true", NULL, NULL);
    assert_end(&fx, WIRE_END_EXITED, 0);
    fixture_done(&fx);
}
END_TEST

START_TEST(files_of_the_job_run_and_stay_as_they_are)
{
    static const char script[] = "#!/bin/sh\necho \"$0 $1\"\n";
    static const char no_head[] = "echo \"$0 $1\"\n";
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    add_file(&fx, "tools/run", script, sizeof script - 1, true);
    add_file(&fx, "plain", no_head, sizeof no_head - 1, true);
    make_cell(&fx, _i);
    for (int i = 0; i < 2; i++) {
        run_argv(&fx, "tools/run", "a b", NULL);
        assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_str_eq(buf_cstr(&fx.out), "tools/run a b\n");
        run_argv(&fx, "./plain", "c", NULL); /* no "#!": as every shell does */
        ck_assert_str_eq(buf_cstr(&fx.out), "./plain c\n");
        if (_i == BOXED) {
            run_sh(&fx, "echo evil > tools/run; echo evil >> tools/run; chmod 777 tools/run; "
                        "rm -rf /job/tools; rm -rf tools; mkdir tools; echo x > tools/run");
        }
    }
    fixture_done(&fx);
}
END_TEST

START_TEST(the_environment_is_new)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    setenv("MESH_TEST_SECRET", "1", 1);
    fixture_init(&fx);
    make_cell(&fx, _i);
    struct slice words[] = {slice_str("env")};
    struct slice env[] = {slice_str("MESH_TASK=7"), slice_str("LANG=xx"), slice_str("HOME=/h"),
                          slice_str("TMPDIR=/t")};
    struct cell_start start = command(words, 1);
    start.env = (struct wire_slices){env, 4};
    run_start(&fx, &start);
    ck_assert_str_eq(buf_cstr(&fx.out), "PATH=/usr/local/bin:/usr/bin:/bin\nMESH_TASK=7\nLANG=xx\n"
                                        "HOME=/h\nTMPDIR=/t\n");
    fixture_done(&fx);
}
END_TEST

START_TEST(a_mebibyte_of_arguments_arrives)
{
    enum { N = 16, EACH = 65535 };
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    static char word[EACH];
    memset(word, 'w', sizeof word);
    struct slice words[N + 3] = {slice_str("sh"), slice_str("-c"),
                                 slice_str("printf %s \"$0\" \"$@\" | wc -c")};
    for (int i = 0; i < N; i++) {
        words[3 + i] = slice_of(word, sizeof word);
    }
    struct cell_start start = command(words, N + 3);
    run_start(&fx, &start);
    assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_int_eq(strtol(buf_cstr(&fx.out), NULL, 10), N * EACH);
    struct errmsg err;
    words[3] = slice_of("a\0b", 3);
    ck_assert_int_eq(cell_start(fx.cell, &start, &err), -EINVAL);
    ck_assert(!cell_is_busy(fx.cell));
    fixture_done(&fx);
}
END_TEST

static void kill_the_cell(struct fixture *fx)
{
    ck_assert_int_eq(uv_process_kill(&fx->cell->process, SIGKILL), 0);
}

START_TEST(a_killed_cell_is_reported_once)
{
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    fx.when_started = kill_the_cell;
    run_argv(&fx, "sleep", "1000", NULL);
    ck_assert_int_eq(fx.result.end, WIRE_END_CELL_DIED);
    ck_assert(!fx.is_usable);
    ck_assert(!fx.is_dead);
    close_cell(&fx);
    fx.when_started = NULL;
    make_cell(&fx, _i);
    run_argv(&fx, "true", NULL, NULL);
    kill_the_cell(&fx); /* while it is idle */
    while (!fx.is_dead) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    fixture_done(&fx);
}
END_TEST

START_TEST(a_cell_that_cannot_be_made_refuses_and_says_why)
{
    struct fixture fx;
    if (skips(BOXED)) {
        return;
    }
    struct sandbox_bind bind = {.path = "/no/such/folder"};
    fixture_init(&fx);
    fx.sandbox.binds = &bind;
    fx.sandbox.n_binds = 1;
    make_cell(&fx, BOXED);
    run_argv(&fx, "true", NULL, NULL);
    ck_assert(fx.is_refused);
    ck_assert_int_eq(fx.refusal, WIRE_REFUSAL_NO_CELL);
    ck_assert_msg(strstr(fx.err.text, "/no/such/folder") != NULL, "%s", fx.err.text);
    ck_assert(!fx.is_usable);
    fixture_done(&fx);
}
END_TEST

/* In a process of its own: a cell with a stubborn task, whose daemon is then killed. */
static void be_a_daemon(int mode, int tell_fd)
{
    struct fixture fx;
    fixture_init(&fx);
    make_cell(&fx, mode);
    struct slice words[] = {slice_str("sh"), slice_str("-c"), slice_str(STUBBORN "wait")};
    struct cell_start start = command(words, 3);
    struct errmsg err;
    start.is_streamed = true;
    if (cell_start(fx.cell, &start, &err) < 0) {
        _exit(1);
    }
    while (fx.out.n == 0) {
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    char text[128];
    snprintf(text, sizeof text, "%s %ld", fx.work_dir, strtol(buf_cstr(&fx.out), NULL, 10));
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
    if (skips(_i)) {
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
    ck_assert(_i == BOXED || (kill(pid, 0) < 0 && errno == ESRCH));
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

START_TEST(thousand_tasks_a_second_in_a_warm_cell)
{
    enum { N = 300 };
    struct fixture fx;
    if (skips(_i)) {
        return;
    }
    fixture_init(&fx);
    make_cell(&fx, _i);
    run_argv(&fx, "/bin/true", NULL, NULL);
    uint64_t from = uv_hrtime();
    for (int i = 0; i < N; i++) {
        run_argv(&fx, "/bin/true", NULL, NULL);
        assert_end(&fx, WIRE_END_EXITED, 0);
    }
    double s = (double)(uv_hrtime() - from) / 1e9;
    fprintf(stderr, "# %s: %.0f tasks/s, %.2f ms each\n", _i == BARE ? "bare" : "sandbox", N / s,
            s * 1000 / N);
    fixture_done(&fx);
}
END_TEST

START_TEST(foreign_bodies_and_paths_are_refused)
{
    char body[] = "exec\0a\0b\0E=1";
    char *exec;
    char *args[3];
    char *env[2];
    ck_assert_int_eq(cell_body_parse(body, sizeof body, 2, 1, &exec, args, env), 0);
    ck_assert_str_eq(args[1], "b");
    ck_assert_ptr_null(args[2]);
    for (size_t n = 0; n < sizeof body; n++) {
        ck_assert_int_eq(cell_body_parse(body, n, 2, 1, &exec, args, env), -EPROTO);
    }
    ck_assert_int_eq(cell_body_parse(body, sizeof body, 1, 1, &exec, args, env), -EPROTO);
    ck_assert(cell_path_is_inside("a/b..c/.d"));
    ck_assert(!cell_path_is_inside(""));
    ck_assert(!cell_path_is_inside("/a"));
    ck_assert(!cell_path_is_inside("a/"));
    ck_assert(!cell_path_is_inside("a//b"));
    ck_assert(!cell_path_is_inside("./a"));
    ck_assert(!cell_path_is_inside("a/../b"));
}
END_TEST

static void find_out(void)
{
    char bwrap[256];
    struct errmsg err;
    struct sandbox sandbox = {.cell_program = MESH_CELL_PROGRAM};
    if (sandbox_find_bwrap(bwrap, sizeof bwrap, &err) == 0) {
        sandbox.bwrap = bwrap;
        have_sandbox = sandbox_probe(&sandbox, &err) == 0;
    }
    if (!have_sandbox) {
        fprintf(stderr, "SANDBOX TESTS SKIPPED: %s\n", err.text);
    }
}

int main(void)
{
    find_out();
    Suite *suite = suite_create("cell");
    TCase *tc = tcase_create("cell");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, an_end_is_reported_as_it_was, 0, N_MODES);
    tcase_add_loop_test(tc, usage_counts_every_process_of_the_task, 0, N_MODES);
    tcase_add_loop_test(tc, output_of_any_size_comes_back_byte_for_byte, 0, N_MODES);
    tcase_add_loop_test(tc, streams_stay_apart_and_may_be_opened_by_name, 0, N_MODES);
    tcase_add_loop_test(tc, too_much_output_kills_and_says_so, 0, N_MODES);
    tcase_add_loop_test(tc, streamed_output_stops_at_the_window_and_ends_complete, 0, N_MODES);
    tcase_add_loop_test(tc, standard_input_is_fed_whole_and_may_be_ignored, 0, N_MODES);
    tcase_add_loop_test(tc, killing_takes_the_whole_tree, 0, N_MODES);
    tcase_add_loop_test(tc, a_lease_that_is_not_renewed_ends_the_task, 0, N_MODES);
    tcase_add_loop_test(tc, the_next_attempt_finds_nothing_of_the_last, 0, N_MODES);
    tcase_add_test(tc, a_change_to_the_init_costs_the_cell);
    tcase_add_test(tc, the_host_is_out_of_sight);
    tcase_add_test(tc, there_is_no_network);
    tcase_add_loop_test(tc, start_failures_are_told_apart, 0, N_MODES);
    tcase_add_loop_test(tc, files_of_the_job_run_and_stay_as_they_are, 0, N_MODES);
    tcase_add_loop_test(tc, the_environment_is_new, 0, N_MODES);
    tcase_add_loop_test(tc, a_mebibyte_of_arguments_arrives, 0, N_MODES);
    tcase_add_loop_test(tc, a_killed_cell_is_reported_once, 0, N_MODES);
    tcase_add_test(tc, a_cell_that_cannot_be_made_refuses_and_says_why);
    tcase_add_loop_test(tc, nothing_outlives_the_daemon, 0, N_MODES);
    tcase_add_loop_test(tc, thousand_tasks_a_second_in_a_warm_cell, 0, N_MODES);
    tcase_add_test(tc, foreign_bodies_and_paths_are_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
