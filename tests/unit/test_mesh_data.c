/* What calls share: buffers that come back changed, data by reference, results as arguments, maps,
 * threads, and a daemon that dies under it all. */
#include <fcntl.h>
#include <mesh.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mesh/client/handle.h"
#include "tests/lib/fake_calls.h"
#include "tests/lib/runner.h"
#include "wire/message.h"

static struct fake_calls fake;
static mesh *m;
static int gate[2];

static void open_with(const struct fake_calls_options *options)
{
    ck_assert_int_eq(pipe(gate), 0);
    fake_calls_start(&fake, options);
    m = mesh_open(&(struct mesh_options){.socket = fake.path, .patience = 10});
    ck_assert_str_eq(mesh_error_text(m), "");
}

static void setup(void)
{
    open_with(&(struct fake_calls_options){0});
}

static void teardown(void)
{
    m = mesh_close(m);
    fake_calls_stop(&fake);
    close(gate[0]);
    close(gate[1]);
}

static void open_gate(unsigned n)
{
    while (n-- > 0) {
        ck_assert_int_eq(write(gate[1], "", 1), 1);
    }
}

static void pass_gate(void)
{
    char byte;
    while (read(gate[0], &byte, 1) < 0) {
    }
}

MESH_FUNCTION(add)
{
    return mesh_return_int(task, mesh_arg_int(task, 0) + mesh_arg_int(task, 1));
}

MESH_FUNCTION(gated)
{
    pass_gate();
    return mesh_return_int(task, mesh_arg_int(task, 0));
}

/* Adds argument 1 to every byte of argument 0. */
MESH_FUNCTION(raise_bytes)
{
    size_t n;
    uint8_t *p = mesh_arg_inout(task, 0, &n);
    if (mesh_n_args(task) > 2) {
        pass_gate();
    }
    for (size_t i = 0; p != NULL && i < n; i++) {
        p[i] = (uint8_t)(p[i] + mesh_arg_int(task, 1));
    }
    return mesh_arg_int(task, 1) == 13 ? mesh_fail(task, "unlucky") : 0;
}

MESH_FUNCTION(swap_buffers)
{
    size_t n, k;
    uint8_t *p = mesh_arg_inout(task, 0, &n);
    uint8_t *q = mesh_arg_inout(task, 1, &k);
    for (size_t i = 0; i < n && i < k; i++) {
        uint8_t byte = p[i];
        p[i] = q[i];
        q[i] = byte;
    }
    return mesh_return_int(task, (int64_t)n);
}

MESH_FUNCTION(sum_bytes)
{
    int64_t sum = 0;
    for (size_t i = 0; i < mesh_n_args(task); i++) {
        size_t n;
        const uint8_t *p = mesh_arg_bytes(task, i, &n);
        for (size_t k = 0; p != NULL && k < n; k++) {
            sum += p[k];
        }
    }
    return mesh_return_int(task, sum);
}

MESH_FUNCTION(ones)
{
    size_t n = (size_t)mesh_arg_int(task, 0);
    void *to = mesh_return_space(task, n);
    memset(to, 1, n);
    return 0;
}

MESH_FUNCTION(refuse)
{
    return mesh_fail(task, "no");
}

MESH_FUNCTION(square)
{
    int64_t x = mesh_arg_int(task, 0);
    if (x == 666) {
        raise(SIGKILL);
    }
    if (x % 1000 == 777) {
        return mesh_fail(task, "%d is evil", (int)x);
    }
    return mesh_return_int(task, x * x + (mesh_n_args(task) > 1 ? mesh_arg_int(task, 1) : 0));
}

struct pair {
    int32_t a, b;
};

MESH_FUNCTION(turn_pair)
{
    const struct pair *p = mesh_arg_raw(task, 0, sizeof(*p));
    if (p == NULL) {
        return -1;
    }
    struct pair q = {.a = p->b, .b = p->a};
    return mesh_return_raw(task, &q, sizeof(q));
}

/* --- in-out ------------------------------------------------------------------------------------
 */

static const size_t sizes[] = {1, 100, 5000, 65536, 1000000};

START_TEST(an_inout_buffer_comes_back_changed_when_it_is_synchronised)
{
    size_t n = sizes[_i];
    uint8_t *buffer = calloc(n, 1);
    teardown();
    open_with(&(struct fake_calls_options){.n_workers = 1});
    mesh_future *future = mesh_submit(m, "raise_bytes", mesh_inout(buffer, n), mesh_int(3));
    /* There is one worker: when the second is done, so is the first. */
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "add", mesh_int(1), mesh_int(1))), 2);
    ck_assert_uint_eq(buffer[0], 0);
    ck_assert_int_eq(mesh_wait(future, MESH_FOREVER), 0);
    size_t n_right = 0; /* one assertion for each byte takes Check minutes */
    for (size_t i = 0; i < n; i++) {
        n_right += buffer[i] == 3;
    }
    ck_assert_uint_eq(n_right, n);
    mesh_submit(m, "raise_bytes", mesh_inout(buffer, n), mesh_int(1));
    ck_assert_int_eq(mesh_sync(m, buffer + n / 2, 1), 0);
    ck_assert_uint_eq(buffer[0], 4);
    free(buffer);
}
END_TEST

START_TEST(two_writers_of_one_buffer_are_refused_whatever_their_order)
{
    uint8_t buffer[300] = {0};
    mesh_future *first =
        mesh_submit(m, "raise_bytes", mesh_inout(buffer + 100, 100), mesh_int(1), mesh_int(0));
    const struct mesh_value others[] = {mesh_inout(buffer + 100, 100), mesh_inout(buffer, 101),
                                        mesh_inout(buffer + 199, 101), mesh_inout(buffer, 300),
                                        mesh_bytes(buffer, 300),       mesh_raw(buffer + 150, 1)};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        mesh_future *other = mesh_submit(m, "raise_bytes", others[i], mesh_int(1));
        ck_assert_int_eq(mesh_future_error(other), MESH_EBUSY);
    }
    mesh_future *before = mesh_submit(m, "raise_bytes", mesh_inout(buffer, 100), mesh_int(2));
    mesh_future *after = mesh_submit(m, "raise_bytes", mesh_inout(buffer + 200, 100), mesh_int(3));
    mesh_future *twice =
        mesh_submit(m, "swap_buffers", mesh_inout(buffer + 100, 10), mesh_inout(buffer + 105, 10));
    ck_assert_int_eq(mesh_future_error(twice), MESH_EBUSY);
    ck_assert_int_eq(mesh_future_error(before), 0);
    ck_assert_int_eq(mesh_future_error(after), 0);
    open_gate(1);
    ck_assert_int_eq(mesh_sync(m, buffer, sizeof(buffer)), 0);
    ck_assert_uint_eq(buffer[99], 2);
    ck_assert_uint_eq(buffer[100], 1);
    ck_assert_uint_eq(buffer[200], 3);
    ck_assert_int_eq(mesh_future_error(first), 0);
    ck_assert_int_eq(mesh_future_error(mesh_submit(m, "sum_bytes", mesh_bytes(buffer, 300))), 0);
}
END_TEST

START_TEST(a_call_that_fails_or_is_freed_leaves_its_buffer_as_it_was)
{
    uint8_t buffer[100] = {5};
    mesh_submit(m, "raise_bytes", mesh_inout(buffer, 100), mesh_int(13));
    ck_assert_int_eq(mesh_sync(m, NULL, 0), MESH_EFAILED);
    ck_assert_str_eq(mesh_error_text(m), "unlucky");
    ck_assert_uint_eq(buffer[0], 5);
    mesh_free(mesh_submit(m, "raise_bytes", mesh_inout(buffer, 100), mesh_int(1)));
    mesh_future *future = mesh_submit(m, "raise_bytes", mesh_inout(buffer, 100), mesh_int(2));
    ck_assert_int_eq(mesh_future_error(future), 0);
    ck_assert_uint_eq(buffer[0], 7);
}
END_TEST

START_TEST(two_inout_buffers_of_one_call_keep_apart)
{
    uint8_t p[2000], q[2000];
    memset(p, 1, sizeof(p));
    memset(q, 2, sizeof(q));
    mesh_future *future =
        mesh_submit(m, "swap_buffers", mesh_inout(p, sizeof(p)), mesh_inout(q, sizeof(q)));
    ck_assert_int_eq(mesh_get_int(future), 2000);
    ck_assert(p[1999] == 2 && q[0] == 1);
}
END_TEST

/* --- by reference ------------------------------------------------------------------------------
 */

START_TEST(data_is_put_once_for_many_calls)
{
    static uint8_t bytes[300000];
    memset(bytes, 1, sizeof(bytes));
    mesh_data *data = mesh_put(m, bytes, sizeof(bytes));
    mesh_data *empty = mesh_put(m, NULL, 0);
    ck_assert_ptr_nonnull(data);
    ck_assert_ptr_nonnull(empty);
    memset(bytes, 2, sizeof(bytes));
    mesh_future *futures[50];
    for (int i = 0; i < 50; i++) {
        futures[i] = mesh_submit(m, "sum_bytes", mesh_ref(data), mesh_bytes("\1", 1),
                                 mesh_ref(empty), mesh_ref(data));
    }
    mesh_data_free(data);
    mesh_data_free(empty);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(mesh_get_int(futures[i]), 600001);
    }
    ck_assert_uint_eq(fake.counts->n_puts, 2);
    ck_assert_uint_gt(mesh_cores(m), 0); /* the releases went before */
    ck_assert_uint_eq(fake.counts->n_unreleased, 0);
}
END_TEST

START_TEST(a_file_is_put_and_what_is_none_refused)
{
    mesh_data *data = mesh_put_file(m, "/proc/self/exe");
    ck_assert_ptr_nonnull(data);
    ck_assert_int_gt(mesh_get_int(mesh_submit(m, "sum_bytes", mesh_ref(data))), 1000);
    ck_assert_ptr_null(mesh_put_file(m, "/no/such/file"));
    ck_assert_int_eq(mesh_error(m), MESH_EIO);
    ck_assert_ptr_nonnull(strstr(mesh_error_text(m), "/no/such/file"));
    ck_assert_ptr_null(mesh_put_file(m, "/tmp"));
    ck_assert_int_eq(mesh_error(m), MESH_EINVAL);
    ck_assert_ptr_null(mesh_put(m, NULL, 5));
}
END_TEST

START_TEST(data_that_the_daemon_does_not_take_is_told)
{
    teardown();
    open_with(&(struct fake_calls_options){.refuses_puts = true});
    ck_assert_ptr_null(mesh_put(m, "x", 1));
    ck_assert_int_eq(mesh_error(m), MESH_ELIMIT);
    ck_assert_ptr_nonnull(strstr(mesh_error_text(m), "the store is full"));
}
END_TEST

/* --- results as arguments ----------------------------------------------------------------------
 */

START_TEST(a_call_waits_for_the_results_it_takes)
{
    mesh_future *a = mesh_submit(m, "gated", mesh_int(20));
    mesh_future *b = mesh_submit(m, "add", mesh_int(1), mesh_int(1));
    mesh_future *c = mesh_submit(m, "add", mesh_result(a), mesh_result(b));
    mesh_future *d = mesh_submit(m, "add", mesh_result(c), mesh_result(c));
    mesh_free(c); /* still wanted by d */
    ck_assert_int_eq(mesh_wait(d, 0.02), MESH_ETIMEDOUT);
    open_gate(1);
    ck_assert_int_eq(mesh_get_int(d), 44);
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "add", mesh_result(d), mesh_int(1))), 45);
}
END_TEST

START_TEST(a_large_result_is_passed_on_without_being_put_again)
{
    mesh_future *large = mesh_submit(m, "ones", mesh_int(500000));
    mesh_future *small = mesh_submit(m, "ones", mesh_int(50));
    mesh_future *sum =
        mesh_submit(m, "sum_bytes", mesh_result(large), mesh_result(small), mesh_bytes("\2", 1));
    mesh_free(large);
    mesh_free(small);
    ck_assert_int_eq(mesh_get_int(sum), 500052);
    ck_assert_uint_eq(fake.counts->n_puts, 0);
    ck_assert_uint_gt(mesh_cores(m), 0);
    ck_assert_uint_eq(fake.counts->n_unreleased, 0);
}
END_TEST

START_TEST(the_error_of_an_argument_is_the_calls_own)
{
    mesh_future *bad = mesh_submit(m, "refuse");
    mesh_future *next = mesh_submit(m, "add", mesh_result(bad), mesh_int(1));
    mesh_future *last = mesh_submit(m, "add", mesh_result(next), mesh_int(1));
    ck_assert_int_eq(mesh_future_error(last), MESH_EFAILED);
    ck_assert_str_eq(mesh_future_error_text(last),
                     "add, whose result is an argument: refuse, whose "
                     "result is an argument: no");
    mesh_future *gated = mesh_submit(m, "gated", mesh_int(1));
    mesh_future *waits = mesh_submit(m, "add", mesh_result(gated), mesh_int(1));
    mesh_cancel(gated);
    ck_assert_int_eq(mesh_future_error(waits), MESH_ECANCELLED);
    open_gate(1);
}
END_TEST

START_TEST(a_sync_tells_of_calls_that_were_never_begun)
{
    uint8_t bytes[10] = {0};
    struct mesh_call senseless = {.timeout = -1};
    mesh_submit(m, "raise_bytes", mesh_inout(bytes, 10), mesh_int(1), mesh_int(0)); /* gated */
    mesh_submit(m, "raise_bytes", mesh_inout(bytes + 5, 5), mesh_int(1));           /* refused */
    open_gate(1);
    ck_assert_int_eq(mesh_sync(m, bytes, 5), 0);
    ck_assert_int_eq(mesh_sync(m, bytes, 10), MESH_EBUSY);
    ck_assert_str_eq(mesh_error_text(m), mesh_strerror(MESH_EBUSY));
    ck_assert_int_eq(mesh_sync(m, NULL, 0), 0);
    ck_assert_uint_eq(bytes[0], 1);
    mesh_submit_with(m, &senseless, "raise_bytes", mesh_inout(bytes, 10), mesh_int(1));
    ck_assert_int_eq(mesh_sync(m, NULL, 0), MESH_EINVAL);
    mesh_future *told =
        mesh_submit_with(m, &senseless, "raise_bytes", mesh_inout(bytes, 10), mesh_int(1));
    ck_assert_int_eq(mesh_future_error(told), MESH_EINVAL);
    ck_assert_int_eq(mesh_sync(m, NULL, 0), 0);
}
END_TEST

/* It has no job while it waits: the one that it would have had may go meanwhile. */
START_TEST(what_waits_for_a_result_needs_no_job_meanwhile)
{
    struct mesh_call urgent = {.priority = 1000000};
    mesh_future *first = mesh_submit(m, "gated", mesh_int(1));
    mesh_submit_with(m, &urgent, "add", mesh_int(1), mesh_int(1));
    mesh_future *waits = mesh_submit_with(m, &urgent, "add", mesh_result(first), mesh_int(1));
    for (unsigned i = 1; i <= MESH_JOBS_MAX; i++) {
        struct mesh_call other = {.priority = i};
        mesh_future *future = mesh_submit_with(m, &other, "add", mesh_int(1), mesh_int(1));
        ck_assert_int_eq(mesh_get_int(future), 2);
    }
    open_gate(1);
    ck_assert_int_eq(mesh_get_int(waits), 2);
}
END_TEST

START_TEST(a_chain_of_ten_thousand_calls_ends)
{
    mesh_future *future = mesh_submit(m, "gated", mesh_int(0));
    for (int i = 0; i < 10000; i++) {
        mesh_future *next = mesh_submit(m, "add", mesh_result(future), mesh_int(1));
        mesh_free(future);
        future = next;
    }
    mesh_future *doomed = mesh_submit(m, "refuse");
    for (int i = 0; i < 10000; i++) {
        mesh_future *next = mesh_submit(m, "add", mesh_result(doomed), mesh_int(1));
        mesh_free(doomed);
        doomed = next;
    }
    open_gate(1);
    ck_assert_int_eq(mesh_get_int(future), 10000);
    ck_assert_int_eq(mesh_future_error(doomed), MESH_EFAILED);
}
END_TEST

/* --- maps --------------------------------------------------------------------------------------
 */

enum { N = 50000 };
static int64_t in[N], out[N];

static void fill(void)
{
    for (int64_t i = 0; i < N; i++) {
        in[i] = i % 1000 == 777 || i == 666 ? 1 : i;
        out[i] = -1;
    }
}

START_TEST(a_map_fills_the_array_with_far_fewer_calls_than_elements)
{
    fill();
    ck_assert_int_eq(mesh_map_array(m, "square", in, N, 8, out, 8, NULL), 0);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(out[i], in[i] * in[i]);
    }
    ck_assert_uint_lt(fake.counts->n_tasks, N / 50);
    ck_assert_int_eq(mesh_map_array(m, "square", in, N, 8, in, 8, NULL), 0);
    ck_assert_int_eq(memcmp(in, out, sizeof(in)), 0);
    ck_assert_int_eq(mesh_map_array(m, "square", NULL, 0, 8, NULL, 8, NULL), 0);
}
END_TEST

START_TEST(chunks_are_as_large_as_was_asked)
{
    fill();
    struct mesh_value seven = mesh_int(7);
    struct mesh_map_options options = {.chunk = 1000, .values = &seven, .n_values = 1};
    ck_assert_int_eq(mesh_map_array(m, "square", in, 10500, 8, out, 8, &options), 0);
    ck_assert_uint_eq(fake.counts->n_tasks, 11);
    for (int i = 0; i < 10500; i++) {
        ck_assert_int_eq(out[i], in[i] * in[i] + 7);
    }
    ck_assert_int_eq(out[10500], -1);
}
END_TEST

START_TEST(structs_are_mapped_too)
{
    struct pair pairs[1000], turned[1000];
    for (int i = 0; i < 1000; i++) {
        pairs[i] = (struct pair){.a = i, .b = -i};
    }
    ck_assert_int_eq(
        mesh_map_array(m, "turn_pair", pairs, 1000, sizeof(*pairs), turned, sizeof(*turned), NULL),
        0);
    for (int i = 0; i < 1000; i++) {
        ck_assert(turned[i].a == -i && turned[i].b == i);
    }
}
END_TEST

START_TEST(elements_that_fail_or_crash_fail_alone)
{
    fill();
    in[1777] = 777;
    in[4000] = 666;
    in[9000] = 1777;
    ck_assert_int_eq(mesh_map_array(m, "square", in, 10000, 8, out, 8, NULL), MESH_EFAILED);
    ck_assert_str_eq(mesh_error_text(m), "element 1777: 777 is evil");
    for (int i = 0; i < 10000; i++) {
        if (i != 1777 && i != 4000 && i != 9000) {
            ck_assert_int_eq(out[i], in[i] * in[i]);
        }
    }
    mesh_map *map = mesh_map_start(m, "square", in, 10000, 8, out, 8, NULL);
    int crashed = 0, failed = 0;
    for (size_t i, n = 0; n < 10000; n++) {
        int r = mesh_map_next(map, MESH_FOREVER, &i);
        crashed += r == MESH_ECRASHED && i == 4000;
        failed += r == MESH_EFAILED && (i == 1777 || i == 9000);
        ck_assert(r == 0 || i == 4000 || i == 1777 || i == 9000);
    }
    ck_assert_int_eq(crashed, 1);
    ck_assert_int_eq(failed, 2);
    ck_assert_str_eq(mesh_map_error_text(map), "element 1777: 777 is evil");
    mesh_map_free(map);
}
END_TEST

START_TEST(a_map_gives_each_element_once_in_either_order)
{
    static char seen[N];
    fill();
    size_t i;
    mesh_map *map = mesh_map_start(m, "square", in, N, 8, out, 8, NULL);
    for (size_t n = 0; n < N; n++) {
        ck_assert_int_eq(mesh_map_next(map, MESH_FOREVER, &i), 0);
        ck_assert_int_eq(seen[i]++, 0);
        ck_assert_int_eq(out[i], in[i] * in[i]);
    }
    ck_assert_int_eq(mesh_map_next(map, MESH_FOREVER, &i), MESH_ENONE);
    mesh_map_free(map);
    map = mesh_map_start(m, "square", in, N, 8, out, 8, NULL);
    for (size_t n = 0; n < N; n++) {
        ck_assert_int_eq(mesh_map_next_in_order(map, MESH_FOREVER, &i), 0);
        ck_assert_uint_eq(i, n);
    }
    ck_assert_int_eq(mesh_map_next_in_order(map, 0, &i), MESH_ENONE);
    mesh_map_free(map);
}
END_TEST

/* Two run, two wait; the pieces of the map that follows are all that begins besides. */
START_TEST(what_is_cancelled_is_killed_or_never_begun)
{
    fill();
    mesh_future *calls[4];
    for (unsigned i = 0; i < 4; i++) {
        calls[i] = mesh_submit(m, "gated", mesh_int(i));
    }
    while (fake.counts->n_begun < 2) {
        ck_assert_int_eq(mesh_wait(calls[3], 0.001), MESH_ETIMEDOUT);
    }
    for (unsigned i = 4; i-- > 0;) { /* those that wait first, or they take the place of others */
        mesh_cancel(calls[i]);
        ck_assert_int_eq(mesh_future_error(calls[i]), MESH_ECANCELLED);
    }
    ck_assert_int_eq(
        mesh_map_array(m, "square", in, 3, 8, out, 8, &(struct mesh_map_options){.chunk = 1}), 0);
    ck_assert_uint_eq(fake.counts->n_begun, 2 + 3);
}
END_TEST

START_TEST(a_map_that_is_freed_or_wrong_ends)
{
    fill();
    size_t i;
    mesh_map *map = mesh_map_start(m, "gated", in, 100, 8, out, 8, NULL);
    ck_assert_int_eq(mesh_map_next(map, 0.02, &i), MESH_ETIMEDOUT);
    mesh_map_free(map);
    ck_assert_int_eq(mesh_map_array(m, "no_such", in, 3, 8, out, 8, NULL), MESH_EFUNCTION);
    ck_assert_int_eq(mesh_map_array(m, "turn_pair", in, 3, 16, out, 8, NULL), MESH_ETYPE);
    ck_assert_int_eq(mesh_map_array(m, "square", in, 3, 8, out, 4, NULL), MESH_EFAILED);
    ck_assert_int_eq(mesh_map_array(m, "square", in, SIZE_MAX, 8, out, 8, NULL), MESH_EINVAL);
    ck_assert_int_eq(mesh_map_array(m, "square", NULL, 3, 8, out, 8, NULL), MESH_EINVAL);
    map = mesh_map_start(m, "gated", in, 100, 8, out, 8, NULL); /* closed with the handle */
    ck_assert_ptr_nonnull(map);
}
END_TEST

/* --- a daemon that dies ------------------------------------------------------------------------
 */

START_TEST(calls_outlive_their_daemon)
{
    teardown();
    open_with(&(struct fake_calls_options){.die_after = 50, .n_daemons = 2});
    static uint8_t bytes[70000];
    memset(bytes, 1, sizeof(bytes));
    mesh_data *data = mesh_put(m, bytes, sizeof(bytes));
    mesh_future *large = mesh_submit(m, "ones", mesh_int(100000));
    ck_assert_int_eq(mesh_wait(large, MESH_FOREVER), 0);
    mesh_future *futures[500];
    for (int i = 0; i < 500; i++) {
        futures[i] = i % 5 == 0   ? mesh_submit(m, "sum_bytes", mesh_ref(data))
                     : i % 5 == 1 ? mesh_submit(m, "sum_bytes", mesh_result(large))
                     : i % 5 == 2 ? mesh_submit(m, "sum_bytes", mesh_bytes(bytes, sizeof(bytes)))
                                  : mesh_submit(m, "add", mesh_int(i), mesh_int(1));
    }
    for (int i = 0; i < 500; i++) {
        int64_t value = i % 5 == 0 || i % 5 == 2 ? 70000 : i % 5 == 1 ? 100000 : i + 1;
        ck_assert_int_eq(mesh_get_int(futures[i]), value);
    }
    ck_assert_uint_eq(fake.counts->n_daemons, 2);
    ck_assert_int_eq(mesh_error(m), 0);
    int64_t bytes_in[4] = {1, 2, 3, 4};
    ck_assert_int_eq(mesh_map_array(m, "square", bytes_in, 4, 8, bytes_in, 8, NULL), 0);
}
END_TEST

START_TEST(a_call_that_may_run_once_only_is_lost_with_its_daemon)
{
    teardown();
    open_with(&(struct fake_calls_options){.die_after = 5, .n_daemons = 2});
    struct mesh_call once = {.is_once = true};
    int n_lost = 0;
    mesh_future *futures[50];
    for (int i = 0; i < 50; i++) {
        futures[i] = mesh_submit_with(m, &once, "add", mesh_int(i), mesh_int(0));
    }
    for (int i = 0; i < 50; i++) {
        int error = mesh_future_error(futures[i]);
        ck_assert(error == 0 || error == MESH_ELOST);
        n_lost += error != 0;
    }
    ck_assert_int_gt(n_lost, 0);
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "add", mesh_int(1), mesh_int(1))), 2);
}
END_TEST

START_TEST(a_daemon_that_is_gone_for_good_ends_every_call)
{
    m = mesh_close(m);
    m = mesh_open(&(struct mesh_options){.socket = fake.path, .patience = 0.2});
    mesh_future *first = mesh_submit(m, "gated", mesh_int(1));
    mesh_future *second = mesh_submit(m, "add", mesh_result(first), mesh_int(1));
    ck_assert_int_eq(mesh_wait(first, 0.02), MESH_ETIMEDOUT);
    fake_calls_stop(&fake);
    ck_assert_int_eq(mesh_future_error(first), MESH_EDAEMON);
    ck_assert_int_eq(mesh_future_error(second), MESH_EDAEMON);
    ck_assert_int_eq(mesh_error(m), MESH_EDAEMON);
    ck_assert_ptr_nonnull(strstr(mesh_error_text(m), "no meshd"));
    ck_assert_int_eq(mesh_future_error(mesh_submit(m, "add")), MESH_EDAEMON);
    fake_calls_start(&fake, &(struct fake_calls_options){0});
}
END_TEST

/* --- threads -----------------------------------------------------------------------------------
 */

static void count(mesh_future *future, void *user)
{
    atomic_int *n = user;
    ++*n;
}

static atomic_int n_called;

static void *work(void *user)
{
    int64_t base = (int64_t)(intptr_t)user * 100000;
    mesh_group *group = mesh_group_new(m);
    struct mesh_call call = {.group = group, .on_done = count, .user = &n_called};
    mesh_future *futures[100];
    int64_t squares[500];
    uint8_t buffer[1000] = {0};
    for (int i = 0; i < 100; i++) {
        futures[i] = mesh_submit(m, "add", mesh_int(base), mesh_int(i));
    }
    mesh_submit(m, "raise_bytes", mesh_inout(buffer, sizeof(buffer)), mesh_int(9));
    for (int i = 0; i < 50; i++) {
        mesh_submit_with(m, &call, "add", mesh_int(i), mesh_result(futures[i]));
    }
    for (int i = 0; i < 500; i++) {
        squares[i] = i == 777 ? 0 : i;
    }
    mesh_map_array(m, "square", squares, 500, 8, squares, 8, NULL);
    bool is_good = squares[499] == 499 * 499;
    is_good &= mesh_sync(m, buffer, sizeof(buffer)) == 0 && buffer[999] == 9;
    for (int i = 0; i < 100; i++) {
        is_good &= mesh_get_int(futures[i]) == base + i;
    }
    for (int i = 0; i < 50; i++) {
        mesh_future *future = mesh_group_next(group, MESH_FOREVER);
        is_good &= future != NULL && mesh_get_int(future) >= base;
    }
    mesh_data *data = mesh_put(m, "\1\2\3", 3);
    is_good &= mesh_get_int(mesh_submit(m, "sum_bytes", mesh_ref(data))) == 6;
    mesh_cancel(mesh_submit(m, "add", mesh_int(1), mesh_int(1)));
    mesh_data_free(data);
    for (int i = 0; i < 100; i++) {
        mesh_free(futures[i]);
    }
    mesh_group_wait(m, group, MESH_FOREVER);
    mesh_group_free(group);
    return is_good ? user : NULL;
}

START_TEST(eight_threads_share_a_handle)
{
    pthread_t threads[8];
    for (intptr_t i = 0; i < 8; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    }
    for (intptr_t i = 0; i < 8; i++) {
        void *back;
        ck_assert_int_eq(pthread_join(threads[i], &back), 0);
        ck_assert_ptr_eq(back, (void *)(i + 1));
    }
    m = mesh_close(m);
    ck_assert_int_eq(n_called, 8 * 50);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh_data");
    TCase *tc = tcase_create("data");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, an_inout_buffer_comes_back_changed_when_it_is_synchronised, 0,
                        ARRAY_LEN(sizes));
    tcase_add_test(tc, two_writers_of_one_buffer_are_refused_whatever_their_order);
    tcase_add_test(tc, a_call_that_fails_or_is_freed_leaves_its_buffer_as_it_was);
    tcase_add_test(tc, two_inout_buffers_of_one_call_keep_apart);
    tcase_add_test(tc, data_is_put_once_for_many_calls);
    tcase_add_test(tc, a_file_is_put_and_what_is_none_refused);
    tcase_add_test(tc, data_that_the_daemon_does_not_take_is_told);
    tcase_add_test(tc, a_call_waits_for_the_results_it_takes);
    tcase_add_test(tc, a_large_result_is_passed_on_without_being_put_again);
    tcase_add_test(tc, the_error_of_an_argument_is_the_calls_own);
    tcase_add_test(tc, a_sync_tells_of_calls_that_were_never_begun);
    tcase_add_test(tc, what_waits_for_a_result_needs_no_job_meanwhile);
    tcase_add_test(tc, a_chain_of_ten_thousand_calls_ends);
    tcase_add_test(tc, a_map_fills_the_array_with_far_fewer_calls_than_elements);
    tcase_add_test(tc, chunks_are_as_large_as_was_asked);
    tcase_add_test(tc, structs_are_mapped_too);
    tcase_add_test(tc, elements_that_fail_or_crash_fail_alone);
    tcase_add_test(tc, a_map_gives_each_element_once_in_either_order);
    tcase_add_test(tc, what_is_cancelled_is_killed_or_never_begun);
    tcase_add_test(tc, a_map_that_is_freed_or_wrong_ends);
    tcase_add_test(tc, calls_outlive_their_daemon);
    tcase_add_test(tc, a_call_that_may_run_once_only_is_lost_with_its_daemon);
    tcase_add_test(tc, a_daemon_that_is_gone_for_good_ends_every_call);
    tcase_add_test(tc, eight_threads_share_a_handle);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
