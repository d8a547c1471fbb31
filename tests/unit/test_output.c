#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mesh/core/effect.h"
#include "mesh/disk_share.h"
#include "mesh/input.h"
#include "mesh/output.h"
#include "tests/lib/runner.h"

struct fixture {
    uv_loop_t loop;
    struct output *output;
    int write_fd;
    uint64_t n_seen;
    unsigned n_stops;
    unsigned n_drained;
    enum output_stop why;
    struct errmsg err;
    bool is_closed;
};

static void on_data(void *user, struct output *output, uint64_t offset, struct slice bytes)
{
    struct fixture *fx = user;
    ck_assert_uint_eq(offset, fx->n_seen);
    fx->n_seen += bytes.n;
}

static void on_stop(void *user, struct output *output, enum output_stop why,
                    const struct errmsg *err)
{
    struct fixture *fx = user;
    fx->n_stops++;
    fx->why = why;
    fx->err = *err;
}

static void on_drained(void *user, struct output *output)
{
    ((struct fixture *)user)->n_drained++;
}

static void on_closed(void *user)
{
    ((struct fixture *)user)->is_closed = true;
}

static void init_with(struct fixture *fx, const char *dir, uint64_t bytes_max, bool is_streamed,
                      struct disk_share *disk)
{
    memset(fx, 0, sizeof *fx);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    ck_assert_int_eq(sigaction(SIGPIPE, &ignore, NULL), 0);
    ck_assert_int_eq(uv_loop_init(&fx->loop), 0);
    struct output_config config = {.loop = &fx->loop,
                                   .spool_dir = dir,
                                   .disk = disk,
                                   .bytes_max = bytes_max,
                                   .is_streamed = is_streamed,
                                   .user = fx,
                                   .on_data = on_data,
                                   .on_stop = on_stop,
                                   .on_drained = on_drained};
    ck_assert_int_eq(output_new(&config, &fx->output, &fx->write_fd, NULL), 0);
}

static void init(struct fixture *fx, const char *dir, uint64_t bytes_max, bool is_streamed)
{
    init_with(fx, dir, bytes_max, is_streamed, NULL);
}

static void done(struct fixture *fx)
{
    output_close(fx->output, on_closed, fx);
    uv_run(&fx->loop, UV_RUN_DEFAULT);
    ck_assert(fx->is_closed);
    ck_assert_int_eq(uv_loop_close(&fx->loop), 0);
    close(fx->write_fd);
}

static void put(struct fixture *fx, size_t n)
{
    static char bytes[16384];
    for (size_t at = 0; at < n;) {
        size_t n_now = n - at < sizeof bytes ? n - at : sizeof bytes;
        ck_assert_int_eq(write(fx->write_fd, bytes, n_now), (ssize_t)n_now);
        at += n_now;
        for (int i = 0; i < 3; i++) {
            uv_run(&fx->loop, UV_RUN_NOWAIT);
        }
    }
}

static void drain(struct fixture *fx)
{
    if (!output_drain(fx->output)) {
        while (fx->n_drained == 0) {
            uv_run(&fx->loop, UV_RUN_ONCE);
        }
    }
}

START_TEST(a_pipe_that_others_hold_open_is_drained_all_the_same)
{
    struct fixture fx;
    struct output_result result;
    init(&fx, "/tmp", 1000, false);
    ck_assert_int_eq(write(fx.write_fd, "left", 4), 4);
    ck_assert(output_drain(fx.output));
    output_get(fx.output, &result);
    ck_assert(slice_eq_str(result.memory, "left"));
    ck_assert_int_eq(result.spool_fd, -1);
    done(&fx);
}
END_TEST

START_TEST(exactly_the_limit_is_no_excess)
{
    struct fixture fx;
    init(&fx, "/tmp", 1000, _i == 1);
    put(&fx, 1000);
    ck_assert_uint_eq(fx.n_stops, 0);
    put(&fx, 1);
    ck_assert_uint_eq(fx.n_stops, 1);
    ck_assert_int_eq(fx.why, OUTPUT_STOP_LIMIT);
    struct output_result result;
    drain(&fx);
    output_get(fx.output, &result);
    ck_assert_uint_eq(result.bytes, 1000);
    ck_assert_uint_eq(fx.n_seen, _i == 1 ? 1000 : 0);
    done(&fx);
}
END_TEST

/* To be kept, or to be streamed. */
START_TEST(the_largest_limit_is_one_to_read_up_to)
{
    struct fixture fx;
    struct output_result result;
    init(&fx, "/tmp", UINT64_MAX, _i == 1);
    put(&fx, 1000);
    ck_assert(output_drain(fx.output));
    output_get(fx.output, &result);
    ck_assert_uint_eq(result.bytes, 1000);
    ck_assert_uint_eq(fx.n_stops, 0);
    done(&fx);
}
END_TEST

START_TEST(a_spool_that_cannot_be_made_is_an_error)
{
    struct fixture fx;
    init(&fx, "/no/such/folder", 1 << 20, false);
    put(&fx, 65536);
    ck_assert_uint_eq(fx.n_stops, 0); /* fits memory */
    put(&fx, 1);
    drain(&fx);
    ck_assert_uint_eq(fx.n_stops, 1);
    ck_assert_int_eq(fx.why, OUTPUT_STOP_DISK);
    ck_assert_ptr_nonnull(strstr(fx.err.text, "/no/such/folder"));
    done(&fx);
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_no_silent_cut)
{
    struct fixture fx;
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {100000, before.rlim_max}; /* as a full disk: writes beyond fail, EFBIG */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    ck_assert_int_eq(sigaction(SIGXFSZ, &ignore, NULL), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    init(&fx, "/tmp", 1 << 20, false);
    put(&fx, 65537);
    for (unsigned i = 0; i < 1000 && fx.n_stops == 0; i++) {
        char bytes[4096] = {0};
        IGNORE(write(fx.write_fd, bytes, sizeof bytes)); /* the pipe is read on */
        uv_run(&fx.loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(fx.n_stops, 1);
    ck_assert_int_eq(fx.why, OUTPUT_STOP_DISK);
    drain(&fx);
    done(&fx);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
}
END_TEST

/* --- shares of the disk ------------------------------------------------------------------------
 */

#define SHARED_BYTES (UINT64_C(8) << 20)

/* Until so much was written, or nobody reads any more. */
static void feed(struct fixture *fx, size_t n)
{
    static char bytes[16384];
    ck_assert_int_eq(fcntl(fx->write_fd, F_SETFL, O_NONBLOCK), 0);
    while (n > 0 && fx->n_stops == 0) {
        ssize_t n_now = write(fx->write_fd, bytes, n < sizeof bytes ? n : sizeof bytes);
        ck_assert(n_now > 0 || errno == EAGAIN);
        n -= n_now > 0 ? (size_t)n_now : 0;
        uv_run(&fx->loop, UV_RUN_NOWAIT);
    }
}

static const char ada[CORE_ORIGIN_BYTES] = "10.0.0.1";
static const char self[CORE_ORIGIN_BYTES] = "=";
static const char bob[CORE_ORIGIN_BYTES] = "10.0.0.2";

/* However much one submitter's tasks print, it is half, and the next ones find room. */
START_TEST(a_submitter_fills_its_part_of_the_disk_and_no_more)
{
    struct disk_shares shares;
    disk_shares_init(&shares, SHARED_BYTES, 1);
    struct disk_share *of_ada = disk_share_get(&shares, ada, false);
    struct disk_share *of_bob = disk_share_get(&shares, bob, false);
    struct fixture first, second, other;
    init_with(&first, "/tmp", UINT64_MAX, false, of_ada);
    init_with(&second, "/tmp", UINT64_MAX, false, of_ada);
    init_with(&other, "/tmp", UINT64_MAX, false, of_bob);
    feed(&first, SHARED_BYTES / 4);
    feed(&second, SHARED_BYTES);
    ck_assert_uint_eq(second.n_stops, 1);
    ck_assert_int_eq(second.why, OUTPUT_STOP_DISK);
    ck_assert_uint_le(disk_share_bytes(of_ada), SHARED_BYTES / 2);
    feed(&other, SHARED_BYTES / 8);
    drain(&other);
    ck_assert_msg(other.n_stops == 0, "%s", other.err.text);
    struct output_result result;
    output_get(other.output, &result);
    ck_assert_uint_eq(result.disk_bytes, SHARED_BYTES / 8);
    int fd = output_take_spool(other.output);
    ck_assert_int_ge(fd, 0);
    done(&first);
    done(&second);
    done(&other);
    ck_assert_uint_eq(disk_share_bytes(of_ada), 0);
    ck_assert_uint_eq(disk_share_bytes(of_bob), SHARED_BYTES / 8); /* as long as it is there */
    close(fd);
    disk_share_give(of_bob, result.disk_bytes);
    disk_share_unref(of_ada);
    disk_share_unref(of_bob);
    disk_shares_done(&shares);
}
END_TEST

START_TEST(what_is_left_is_shared_with_whoever_comes)
{
    struct disk_shares shares;
    disk_shares_init(&shares, 1200, 1);
    struct disk_share *of_ada = disk_share_get(&shares, ada, false);
    struct disk_share *of_bob = disk_share_get(&shares, bob, false);
    struct disk_share *own = disk_share_get(&shares, self, true);
    ck_assert(disk_share_take(of_ada, 600));
    ck_assert(!disk_share_take(of_ada, 1));
    ck_assert(disk_share_take(of_bob, 300));
    ck_assert(!disk_share_take(of_bob, 1));
    ck_assert(disk_share_take(own, 300)); /* all that is left */
    ck_assert(!disk_share_take(own, 1));
    ck_assert(disk_share_take(NULL, UINT64_MAX));
    disk_share_give(of_ada, 600);
    ck_assert(disk_share_take(of_bob, 100));
    disk_share_give(of_bob, 400);
    disk_share_give(own, 300);
    disk_share_unref(of_ada);
    disk_share_unref(of_bob);
    disk_share_unref(own);
    disk_shares_done(&shares);
}
END_TEST

START_TEST(a_stream_stops_a_window_ahead)
{
    struct fixture fx;
    init(&fx, "/tmp", 1 << 30, true);
    put(&fx, WIRE_STREAM_WINDOW_BYTES);
    put(&fx, 30000); /* fits the pipe */
    ck_assert_uint_eq(fx.n_seen, WIRE_STREAM_WINDOW_BYTES);
    ck_assert(!output_drain(fx.output));
    output_ack(fx.output, WIRE_STREAM_WINDOW_BYTES * 2); /* beyond what was sent: ignored */
    ck_assert_uint_eq(fx.n_seen, WIRE_STREAM_WINDOW_BYTES);
    output_ack(fx.output, 10000);
    ck_assert_uint_eq(fx.n_seen, WIRE_STREAM_WINDOW_BYTES + 10000);
    ck_assert_uint_eq(fx.n_drained, 0);
    output_ack(fx.output, 40000);
    ck_assert_uint_eq(fx.n_seen, WIRE_STREAM_WINDOW_BYTES + 30000);
    ck_assert_uint_eq(fx.n_drained, 1);
    done(&fx);
}
END_TEST

START_TEST(closing_in_the_middle_of_a_write_waits_for_it)
{
    struct fixture fx;
    init(&fx, "/tmp", 1 << 30, false);
    put(&fx, 60000);
    static char bytes[60000];
    ck_assert_int_eq(write(fx.write_fd, bytes, sizeof bytes), sizeof bytes);
    IGNORE(output_drain(fx.output)); /* a write to the spool is under way */
    done(&fx);
}
END_TEST

static void on_failed(void *user, const struct errmsg *err)
{
    ((struct fixture *)user)->n_stops++;
}

START_TEST(input_that_cannot_be_read_is_told)
{
    struct fixture fx = {0};
    struct input *input;
    int fd;
    ck_assert_int_eq(uv_loop_init(&fx.loop), 0);
    struct input_config config = {.loop = &fx.loop,
                                  .file_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                  .user = &fx,
                                  .on_failed = on_failed};
    ck_assert_int_eq(input_new(&config, &input, &fd, NULL), 0);
    uv_run(&fx.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(fx.n_stops, 1);
    input_close(input, on_closed, &fx);
    uv_run(&fx.loop, UV_RUN_DEFAULT);
    ck_assert(fx.is_closed);
    close(fd);
    ck_assert_int_eq(uv_loop_close(&fx.loop), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("output");
    TCase *tc = tcase_create("output");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_pipe_that_others_hold_open_is_drained_all_the_same);
    tcase_add_loop_test(tc, exactly_the_limit_is_no_excess, 0, 2);
    tcase_add_loop_test(tc, the_largest_limit_is_one_to_read_up_to, 0, 2);
    tcase_add_test(tc, a_spool_that_cannot_be_made_is_an_error);
    tcase_add_test(tc, a_full_disk_is_an_error_and_no_silent_cut);
    tcase_add_test(tc, a_submitter_fills_its_part_of_the_disk_and_no_more);
    tcase_add_test(tc, what_is_left_is_shared_with_whoever_comes);
    tcase_add_test(tc, a_stream_stops_a_window_ahead);
    tcase_add_test(tc, closing_in_the_middle_of_a_write_waits_for_it);
    tcase_add_test(tc, input_that_cannot_be_read_is_told);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
