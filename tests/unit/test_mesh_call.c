/* Calls and their futures, against a daemon that runs libmesh's own workers. */
#include <inttypes.h>
#include <math.h>
#include <mesh.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/client/handle.h"
#include "tests/lib/fake_calls.h"
#include "tests/lib/runner.h"
#include "wire/message.h"

static struct fake_calls fake;
static mesh *m;
static int gate[2]; /* functions wait at it; both ends are everybody's */

static void open_with(const struct fake_calls_options *options)
{
    ck_assert_int_eq(pipe(gate), 0);
    fake_calls_start(&fake, options);
    m = mesh_open(&(struct mesh_options){.socket = fake.path, .name = "test"});
    ck_assert_str_eq(mesh_error_text(m), "");
    ck_assert_int_eq(mesh_error(m), 0);
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

MESH_FUNCTION(add)
{
    return mesh_return_int(task, mesh_arg_int(task, 0) + mesh_arg_int(task, 1));
}

MESH_FUNCTION(half)
{
    return mesh_return_double(task, mesh_arg_double(task, 0) / 2);
}

MESH_FUNCTION(shout)
{
    char text[64];
    snprintf(text, sizeof(text), "%s!", mesh_arg_string(task, 0));
    return mesh_return_string(task, text);
}

MESH_FUNCTION(echo)
{
    size_t n;
    const void *p = mesh_arg_bytes(task, 0, &n);
    return (uintptr_t)p % 16 != 0 ? mesh_fail(task, "not aligned") : mesh_return_bytes(task, p, n);
}

MESH_FUNCTION(space)
{
    size_t n = (size_t)mesh_arg_int(task, 0);
    uint8_t *to = mesh_return_space(task, n);
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)(i % 251);
    }
    return 0;
}

struct point {
    double x, y;
    int32_t tag, rest; /* no padding: what is sent is all set */
};

MESH_FUNCTION(mirror)
{
    const struct point *p = mesh_arg_raw(task, 0, sizeof(*p));
    struct point q = {0};
    if (p != NULL) {
        q = (struct point){.x = p->y, .y = p->x, .tag = p->tag};
    }
    return mesh_return_raw(task, &q, sizeof(q));
}

MESH_FUNCTION(n_args)
{
    return mesh_return_int(task, (int64_t)mesh_n_args(task));
}

MESH_FUNCTION(wait_at_gate)
{
    char byte;
    while (read(gate[0], &byte, 1) < 0) {
    }
    return mesh_return_int(task, mesh_n_args(task) > 0 ? mesh_arg_int(task, 0) : 0);
}

MESH_FUNCTION(refuse)
{
    return mesh_fail(task, "%s is not to my taste", mesh_arg_string(task, 0));
}

MESH_FUNCTION(say_seven)
{
    return 7;
}

MESH_FUNCTION(say_nothing)
{
    return 0;
}

MESH_FUNCTION(crash)
{
    raise(SIGKILL);
    return 0;
}

MESH_FUNCTION(leave)
{
    _exit(3);
}

MESH_FUNCTION(print)
{
    printf("to out\n");
    fflush(stdout);
    fprintf(stderr, "to err\n");
    return mesh_return_int(task, (int64_t)mesh_task_attempt(task));
}

MESH_FUNCTION(where)
{
    return mesh_return_string(task, mesh_task_peer(task));
}

/* --- values ------------------------------------------------------------------------------------
 */

START_TEST(integers_doubles_and_strings_come_back)
{
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "add", mesh_int(INT64_MAX), mesh_int(-1))),
                     INT64_MAX - 1);
    ck_assert_double_eq(mesh_get_double(mesh_submit(m, "half", mesh_double(0.5))), 0.25);
    ck_assert_double_eq(mesh_get_double(mesh_submit(m, "half", mesh_int(3))), 1.5);
    ck_assert_str_eq(mesh_get_string(mesh_submit(m, "shout", mesh_string("mesh"))), "mesh!");
    ck_assert_double_eq(mesh_get_double(mesh_submit(m, "add", mesh_int(2), mesh_int(3))), 5);
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "n_args")), 0);
    ck_assert_str_eq(mesh_get_string(mesh_submit(m, "where")), "hal");
}
END_TEST

static const size_t sizes[] = {0, 1, 1000, 1024, 65000, 65536, 70000, 1 << 20};

START_TEST(bytes_of_every_size_come_back)
{
    size_t n = sizes[_i];
    uint8_t *bytes = malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(i * 3);
    }
    mesh_future *future = mesh_submit(m, "echo", mesh_bytes(bytes, n));
    size_t n_back = 99;
    const void *back = mesh_get_bytes(future, &n_back);
    ck_assert_str_eq(mesh_future_error_text(future), "");
    ck_assert_ptr_nonnull(back);
    ck_assert_uint_eq(n_back, n);
    ck_assert_int_eq(memcmp(back, bytes, n), 0);
    ck_assert_uint_eq((uintptr_t)back % 16, 0);
    mesh_future *made = mesh_submit(m, "space", mesh_int((int64_t)n));
    uint8_t *copy = calloc(n + 1, 1);
    ck_assert_int_eq(mesh_get_copy(made, copy, n, &n_back), 0);
    ck_assert_uint_eq(n_back, n);
    for (size_t i = 0; i < n; i++) { /* one assertion for each takes Check minutes */
        n_back -= copy[i] == i % 251;
    }
    ck_assert_uint_eq(n_back, 0);
    free(copy);
    free(bytes);
    mesh_free(made);
    mesh_free(future);
    mesh_group_wait(m, NULL, MESH_FOREVER);
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "add", mesh_int(1), mesh_int(1))), 2);
    ck_assert_uint_eq(fake.counts->n_unreleased, 0);
}
END_TEST

START_TEST(a_struct_comes_back_as_it_is)
{
    struct point p = {.x = 1, .y = 2, .tag = 3};
    struct point q;
    mesh_future *future = mesh_submit(m, "mirror", mesh_raw(&p, sizeof(p)));
    ck_assert_int_eq(mesh_get_copy(future, &q, sizeof(q), NULL), 0);
    ck_assert(q.x == 2 && q.y == 1 && q.tag == 3);
}
END_TEST

START_TEST(a_buffer_that_is_too_small_is_left_alone_and_the_size_told)
{
    char small[3] = "ab";
    size_t n = 0;
    mesh_future *future = mesh_submit(m, "shout", mesh_string("hello"));
    ck_assert_int_eq(mesh_get_copy(future, small, sizeof(small), &n), MESH_ESMALL);
    ck_assert_uint_eq(n, 6);
    ck_assert_str_eq(small, "ab");
    ck_assert_int_eq(mesh_future_error(future), 0);
}
END_TEST

/* --- errors ------------------------------------------------------------------------------------
 */

static const struct {
    const char *function;
    struct mesh_value argument;
    int error;
    const char *text;
} failures[] = {
    {"no_such", {.type = MESH_INT}, MESH_EFUNCTION, "no function named \"no_such\""},
    {"shout", {.type = MESH_INT}, MESH_ETYPE, "shout: argument 0 is an integer, not a string"},
    {"add", {.type = MESH_INT}, MESH_ETYPE, "there is no argument 1, for there are 1"},
    {"half", {.type = MESH_STRING, .bytes = 1, .as.borrowed = "x"}, MESH_ETYPE, "not a double"},
    {"mirror",
     {.type = MESH_RAW, .bytes = 5, .as.borrowed = "12345"},
     MESH_ETYPE,
     "argument 0 has 5 bytes, not 24"},
    {"refuse",
     {.type = MESH_STRING, .bytes = 4, .as.borrowed = "kale"},
     MESH_EFAILED,
     "kale is not to my taste"},
    {"say_seven", {.type = MESH_INT}, MESH_EFAILED, "say_seven: returned 7"},
    {"crash", {.type = MESH_INT}, MESH_ECRASHED, "killed by signal 9"},
    {"leave", {.type = MESH_INT}, MESH_ECRASHED, "exited with status 3"},
    {"", {.type = MESH_INT}, MESH_EINVAL, "no sense"},
    {"add", {.type = 77}, MESH_EINVAL, "argument 0"},
    {"add", {.type = MESH_STRING}, MESH_EINVAL, "argument 0"},
    {"add", {.type = MESH_FUTURE}, MESH_EINVAL, "argument 0"},
};

START_TEST(a_call_that_fails_says_how)
{
    mesh_future *future =
        mesh_submit_values(m, NULL, failures[_i].function, &failures[_i].argument, 1);
    ck_assert_int_eq(mesh_get_int(future), 0);
    ck_assert_int_eq(mesh_future_error(future), failures[_i].error);
    ck_assert_msg(strstr(mesh_future_error_text(future), failures[_i].text) != NULL, "%s",
                  mesh_future_error_text(future));
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "add", mesh_int(1), mesh_int(2))), 3);
}
END_TEST

START_TEST(a_result_of_another_type_or_none_is_told)
{
    mesh_future *future = mesh_submit(m, "shout", mesh_string("x"));
    ck_assert_int_eq(mesh_get_int(future), 0);
    ck_assert_int_eq(mesh_future_error(future), MESH_ETYPE);
    ck_assert_ptr_nonnull(strstr(mesh_future_error_text(future), "another type"));
    ck_assert(isnan(mesh_get_double(future)));
    ck_assert_str_eq(mesh_get_string(future), "x!");
    ck_assert_int_eq(mesh_future_error(future), 0);
    mesh_future *nothing = mesh_submit(m, "say_nothing");
    ck_assert_int_eq(mesh_wait(nothing, MESH_FOREVER), 0);
    ck_assert_int_eq(mesh_future_error(nothing), 0);
    ck_assert_ptr_null(mesh_get_bytes(nothing, NULL));
    ck_assert_int_eq(mesh_future_error(nothing), MESH_ENONE);
}
END_TEST

START_TEST(more_values_than_may_be_are_refused)
{
    struct mesh_value values[MESH_VALUES_MAX + 1];
    for (size_t i = 0; i <= MESH_VALUES_MAX; i++) {
        values[i] = mesh_int(1);
    }
    mesh_future *most = mesh_submit_values(m, NULL, "n_args", values, MESH_VALUES_MAX);
    ck_assert_int_eq(mesh_get_int(most), MESH_VALUES_MAX);
    mesh_future *more = mesh_submit_values(m, NULL, "n_args", values, MESH_VALUES_MAX + 1);
    ck_assert_int_eq(mesh_future_error(more), MESH_ELIMIT);
}
END_TEST

START_TEST(a_handle_that_did_not_open_fails_every_call)
{
    mesh *lost = mesh_open(&(struct mesh_options){.socket = "/nowhere/mesh.sock"});
    ck_assert_int_eq(mesh_error(lost), MESH_EDAEMON);
    ck_assert_ptr_nonnull(strstr(mesh_error_text(lost), "/nowhere/mesh.sock"));
    mesh_future *future = mesh_submit(lost, "add", mesh_int(1), mesh_int(2));
    ck_assert_int_eq(mesh_future_error(future), MESH_EDAEMON);
    ck_assert_int_eq(mesh_get_int(future), 0);
    ck_assert_ptr_null(mesh_put(lost, "x", 1));
    ck_assert_uint_eq(mesh_cores(lost), 0);
    ck_assert_int_eq(mesh_sync(lost, NULL, 0), 0);
    int64_t in = 1;
    ck_assert_int_eq(mesh_map_array(lost, "add", &in, 1, 8, NULL, 0, NULL), MESH_EDAEMON);
    mesh_close(lost);
    lost = mesh_open(&(struct mesh_options){.socket = fake.path, .program = "/no/such/file"});
    ck_assert_int_eq(mesh_error(lost), MESH_EINVAL);
    ck_assert_ptr_nonnull(strstr(mesh_error_text(lost), "/no/such/file"));
    mesh_close(lost);
}
END_TEST

START_TEST(null_is_taken_with_an_error)
{
    ck_assert_ptr_null(mesh_close(NULL));
    ck_assert_ptr_null(mesh_free(NULL));
    ck_assert_ptr_null(mesh_group_free(NULL));
    ck_assert_ptr_null(mesh_data_free(NULL));
    ck_assert_ptr_null(mesh_map_free(NULL));
    ck_assert_int_eq(mesh_get_int(NULL), 0);
    ck_assert_ptr_null(mesh_get_string(NULL));
    ck_assert_int_eq(mesh_future_error(NULL), MESH_EINVAL);
    ck_assert_ptr_null(mesh_submit(NULL, "add"));
    ck_assert_int_eq(mesh_wait(NULL, 1), MESH_EINVAL);
    ck_assert_int_eq(mesh_error(NULL), MESH_ENOMEM);
    size_t i;
    ck_assert_int_eq(mesh_map_next(NULL, 0, &i), MESH_EINVAL);
    mesh_cancel(NULL);
    for (int error = 0; error > -20; error--) {
        ck_assert_ptr_nonnull(mesh_strerror(error));
    }
}
END_TEST

START_TEST(a_job_that_is_refused_fails_its_calls_with_the_reason)
{
    teardown();
    open_with(&(struct fake_calls_options){.refuse = WIRE_ERROR_NOT_EXECUTABLE});
    mesh_future *future = mesh_submit(m, "add", mesh_int(1), mesh_int(2));
    ck_assert_int_eq(mesh_future_error(future), MESH_ESTART);
    ck_assert_str_eq(mesh_future_error_text(future), "the fake daemon refuses");
}
END_TEST

#ifdef MESH_CHECKED
START_TEST(a_future_used_after_it_was_freed_is_told)
{
    mesh_future *future = mesh_submit(m, "add", mesh_int(1), mesh_int(2));
    ck_assert_int_eq(mesh_get_int(future), 3);
    mesh_free(future);
    ck_assert_int_eq(mesh_get_int(future), 0);
    ck_assert_int_eq(mesh_future_error(future), MESH_EINVAL);
    ck_assert_ptr_nonnull(strstr(mesh_future_error_text(future), "after it was freed"));
    ck_assert_ptr_nonnull(strstr(mesh_error_text(m), "after it was freed"));
    mesh_future *other = mesh_submit(m, "add", mesh_result(future), mesh_int(2));
    ck_assert_int_eq(mesh_future_error(other), MESH_EINVAL);
    mesh_free(future);
    ck_assert_ptr_nonnull(strstr(mesh_error_text(m), "freed twice"));
}
END_TEST
#endif

/* --- futures -----------------------------------------------------------------------------------
 */

START_TEST(a_wait_that_times_out_leaves_the_call_alone)
{
    mesh_future *future = mesh_submit(m, "wait_at_gate", mesh_int(5));
    ck_assert_int_eq(mesh_wait(future, 0.02), MESH_ETIMEDOUT);
    ck_assert(!mesh_is_done(future));
    ck_assert_int_eq(mesh_wait(future, 0), MESH_ETIMEDOUT);
    ck_assert_int_eq(mesh_wait(future, (double)NAN), MESH_ETIMEDOUT);
    open_gate(1);
    ck_assert_int_eq(mesh_wait(future, 30), 0);
    ck_assert(mesh_is_done(future));
    ck_assert_int_eq(mesh_get_int(future), 5);
    ck_assert_double_gt(mesh_future_seconds(future), 0);
    ck_assert_str_ne(mesh_future_peer(future), "");
}
END_TEST

START_TEST(what_a_call_printed_comes_with_it)
{
    mesh_future *future = mesh_submit(m, "print");
    ck_assert_int_eq(mesh_get_int(future), 1);
    ck_assert_str_eq(mesh_future_printed(future), "to out\nto err\n");
    ck_assert_str_eq(mesh_future_printed(mesh_submit(m, "n_args")), "");
}
END_TEST

START_TEST(any_of_several_is_one_that_is_done)
{
    mesh_future *futures[3];
    futures[0] = mesh_submit(m, "wait_at_gate");
    futures[1] = mesh_submit(m, "add", mesh_int(1), mesh_int(2));
    futures[2] = mesh_submit(m, "wait_at_gate");
    size_t i = 99;
    ck_assert_int_eq(mesh_wait_any(futures, 3, MESH_FOREVER, &i), 0);
    ck_assert_uint_eq(i, 1);
    ck_assert_int_eq(mesh_wait_all(futures, 3, 0.01), MESH_ETIMEDOUT);
    open_gate(2);
    ck_assert_int_eq(mesh_wait_all(futures, 3, MESH_FOREVER), 0);
    ck_assert_int_eq(mesh_wait_all(futures, 0, 0), 0);
    ck_assert_int_eq(mesh_wait_any(futures, 0, 0, &i), MESH_EINVAL);
}
END_TEST

START_TEST(a_cancelled_call_is_done_at_once_and_others_go_on)
{
    mesh_future *running = mesh_submit(m, "wait_at_gate", mesh_int(1));
    mesh_future *other = mesh_submit(m, "wait_at_gate", mesh_int(2));
    mesh_future *third = mesh_submit(m, "wait_at_gate", mesh_int(3));
    mesh_cancel(running);
    ck_assert_int_eq(mesh_future_error(running), MESH_ECANCELLED);
    mesh_cancel(running);
    open_gate(3);
    ck_assert_int_eq(mesh_get_int(other), 2);
    ck_assert_int_eq(mesh_get_int(third), 3);
    mesh_cancel(third);
    ck_assert_int_eq(mesh_get_int(third), 3);
}
END_TEST

START_TEST(closing_ends_what_is_under_way)
{
    for (int i = 0; i < 1000; i++) {
        mesh_submit(m, "wait_at_gate");
    }
    mesh_free(mesh_submit(m, "wait_at_gate"));
    m = mesh_close(m);
    m = mesh_open(&(struct mesh_options){.socket = fake.path});
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "add", mesh_int(1), mesh_int(2))), 3);
}
END_TEST

START_TEST(twenty_thousand_calls_have_each_its_own_result)
{
    enum { N = 20000 };
    static mesh_future *futures[N];
    for (int i = 0; i < N; i++) {
        futures[i] = mesh_submit(m, "add", mesh_int(i), mesh_int(1));
    }
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(mesh_get_int(futures[i]), i + 1);
        mesh_free(futures[i]);
    }
    ck_assert_uint_le(fake.counts->n_open_max, 256);
    ck_assert_uint_eq(fake.counts->n_submits, 1);
}
END_TEST

/* --- needs -------------------------------------------------------------------------------------
 */

START_TEST(calls_of_equal_needs_share_a_job)
{
    struct mesh_call two = {.cores = 2, .timeout = 1.5};
    struct mesh_call three = {.cores = 3};
    for (int i = 0; i < 5; i++) {
        mesh_submit_with(m, &two, "n_args");
        mesh_submit_with(m, &three, "n_args");
        mesh_submit(m, "n_args");
    }
    ck_assert_int_eq(mesh_group_wait(m, NULL, MESH_FOREVER), 0);
    ck_assert_uint_eq(fake.counts->n_submits, 3);
    struct mesh_call senseless = {.timeout = -1};
    ck_assert_int_eq(mesh_future_error(mesh_submit_with(m, &senseless, "n_args")), MESH_EINVAL);
    struct mesh_call many = {.cores = 100000};
    ck_assert_int_eq(mesh_future_error(mesh_submit_with(m, &many, "n_args")), MESH_EINVAL);
}
END_TEST

START_TEST(the_job_unused_longest_makes_room_for_another)
{
    for (unsigned i = 1; i <= 2 * MESH_JOBS_MAX; i++) {
        struct mesh_call call = {.priority = i};
        ck_assert_int_eq(mesh_future_error(mesh_submit_with(m, &call, "n_args")), 0);
    }
    ck_assert_uint_eq(fake.counts->n_submits, 2 * MESH_JOBS_MAX);
}
END_TEST

START_TEST(a_job_that_is_full_is_followed_by_another)
{
    m->tasks_per_job = 10;
    for (int i = 0; i < 100; i++) {
        mesh_submit(m, "add", mesh_int(i), mesh_int(i));
    }
    ck_assert_int_eq(mesh_group_wait(m, NULL, MESH_FOREVER), 0);
    ck_assert_uint_eq(fake.counts->n_submits, 10);
}
END_TEST

/* --- groups and callbacks ----------------------------------------------------------------------
 */

START_TEST(a_group_gives_its_calls_in_both_orders)
{
    mesh_group *group = mesh_group_new(m);
    struct mesh_call call = {.group = group};
    mesh_future *late = mesh_submit_with(m, &call, "wait_at_gate", mesh_int(0));
    for (int i = 1; i < 10; i++) {
        mesh_submit_with(m, &call, "add", mesh_int(i), mesh_int(0));
    }
    ck_assert_ptr_null(mesh_group_next_in_order(group, 0.01));
    int64_t sum = 0;
    for (int i = 1; i < 10; i++) {
        mesh_future *future = mesh_group_next(group, MESH_FOREVER);
        ck_assert_ptr_ne(future, late);
        sum += mesh_get_int(future);
        mesh_free(future);
    }
    ck_assert_int_eq(sum, 45);
    ck_assert_int_eq(mesh_group_wait(m, group, 0.01), MESH_ETIMEDOUT);
    open_gate(1);
    ck_assert_int_eq(mesh_group_wait(m, group, MESH_FOREVER), 0);
    ck_assert_ptr_eq(mesh_group_next_in_order(group, MESH_FOREVER), late);
    ck_assert_ptr_null(mesh_group_next(group, MESH_FOREVER));
    for (int i = 0; i < 10; i++) {
        mesh_submit_with(m, &call, "add", mesh_int(i), mesh_int(0));
    }
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(mesh_get_int(mesh_group_next_in_order(group, MESH_FOREVER)), i);
    }
    mesh_group_free(group);
    mesh_group_free(mesh_group_new(m));
}
END_TEST

struct told {
    atomic_int n, n_nested;
    mesh_future *nested;
    int64_t value;
    int wait_error;
};

static void on_nested(mesh_future *future, void *user)
{
    struct told *told = user;
    told->value = mesh_get_int(future);
    mesh_free(future);
    told->n_nested++;
}

static void on_done(mesh_future *future, void *user)
{
    struct told *told = user;
    struct mesh_call call = {.on_done = on_nested, .user = user};
    told->nested = mesh_submit_with(m, &call, "add", mesh_int(mesh_get_int(future)), mesh_int(1));
    told->wait_error = mesh_wait(told->nested, MESH_FOREVER);
    told->n++;
}

START_TEST(a_callback_may_get_submit_and_free_but_not_wait)
{
    struct told told = {0};
    struct mesh_call call = {.on_done = on_done, .user = &told};
    mesh_future *future = mesh_submit_with(m, &call, "add", mesh_int(1), mesh_int(1));
    ck_assert_int_eq(mesh_wait(future, MESH_FOREVER), 0);
    while (told.n_nested == 0) {
        mesh_group_wait(m, NULL, 0.01);
    }
    ck_assert_int_eq(told.n, 1);
    ck_assert_int_eq(told.wait_error, MESH_EINVAL);
    ck_assert_int_eq(told.value, 3);
}
END_TEST

static void count(mesh_future *future, void *user)
{
    atomic_int *n = user;
    ++*n;
}

START_TEST(each_callback_is_called_once_however_it_ends)
{
    atomic_int n = 0;
    struct mesh_call call = {.on_done = count, .user = &n};
    mesh_submit_with(m, &call, "add", mesh_int(1), mesh_int(1));
    mesh_submit_with(m, &call, "refuse", mesh_string("x"));
    mesh_submit_with(m, &call, "crash");
    mesh_submit_with(m, &call, "");
    mesh_cancel(mesh_submit_with(m, &call, "wait_at_gate"));
    mesh_submit_with(m, &call, "wait_at_gate");
    mesh_free(mesh_submit_with(m, &call, "wait_at_gate")); /* not this one */
    m = mesh_close(m);
    ck_assert_int_eq(n, 6);
    m = mesh_open(&(struct mesh_options){.socket = "/nowhere/mesh.sock"});
    mesh_submit_with(m, &call, "add");
    ck_assert_int_eq(n, 7);
}
END_TEST

/* --- peers and statistics ----------------------------------------------------------------------
 */

START_TEST(cores_and_peers_are_those_of_now)
{
    struct mesh_peer peers[4];
    size_t n;
    ck_assert_uint_eq(mesh_cores(m), 2);
    ck_assert_int_eq(mesh_set_cores(m, 5), 0);
    ck_assert_uint_eq(mesh_cores(m), 6);
    ck_assert_int_eq(mesh_set_cores(m, 13), MESH_EDAEMON);
    ck_assert_str_eq(mesh_error_text(m), "not your daemon");
    ck_assert_int_eq(mesh_peers(m, peers, 4, &n), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert(peers[0].is_local && peers[0].is_up && !peers[1].is_local);
    ck_assert_str_eq(peers[0].name, "hal");
    ck_assert_uint_eq(peers[0].cores, 5);
    ck_assert_int_eq(mesh_peers(m, NULL, 0, &n), 0);
    ck_assert_uint_eq(n, 2);
}
END_TEST

START_TEST(statistics_look_like_those_of_parallel_python)
{
    for (int i = 0; i < 10; i++) {
        mesh_submit(m, i == 0 ? "say_seven" : "n_args");
    }
    mesh_group_wait(m, NULL, MESH_FOREVER);
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    ck_assert_int_eq(mesh_print_stats(m, to), 0);
    fclose(to);
    ck_assert_ptr_eq(strstr(text, "Job execution statistics:\n job count | % of all jobs | job "
                                  "time sum | time per job | job server\n"),
                     text);
    ck_assert_ptr_nonnull(strstr(text, "Time elapsed since server creation "));
    ck_assert_ptr_nonnull(strstr(text, "\n0 active tasks, 2 cores\n"));
    free(text);
    struct mesh_stats stats[4];
    ck_assert_int_eq(mesh_get_stats(m, stats, 4, &n), 0);
    uint64_t n_calls = 0, n_failed = 0;
    for (size_t i = 0; i < n; i++) {
        n_calls += stats[i].n_calls;
        n_failed += stats[i].n_failed;
    }
    ck_assert_uint_eq(n_calls, 10);
    ck_assert_uint_eq(n_failed, 1);
}
END_TEST

START_TEST(a_child_may_open_a_handle_of_its_own)
{
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "n_args")), 0);
    pid_t pid = fork();
    if (pid == 0) {
        mesh_close(m); /* forgets it */
        mesh *own = mesh_open(&(struct mesh_options){.socket = "/nowhere"});
        bool is_refused = mesh_error(own) == MESH_EDAEMON;
        _exit(mesh_close(own) == NULL && is_refused ? 0 : 1);
    }
    int status;
    ck_assert(waitpid(pid, &status, 0) == pid && status == 0);
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "add", mesh_int(1), mesh_int(1))), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh_call");
    TCase *tc = tcase_create("call");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, integers_doubles_and_strings_come_back);
    tcase_add_loop_test(tc, bytes_of_every_size_come_back, 0, ARRAY_LEN(sizes));
    tcase_add_test(tc, a_struct_comes_back_as_it_is);
    tcase_add_test(tc, a_buffer_that_is_too_small_is_left_alone_and_the_size_told);
    tcase_add_loop_test(tc, a_call_that_fails_says_how, 0, ARRAY_LEN(failures));
    tcase_add_test(tc, a_result_of_another_type_or_none_is_told);
    tcase_add_test(tc, more_values_than_may_be_are_refused);
    tcase_add_test(tc, a_handle_that_did_not_open_fails_every_call);
    tcase_add_test(tc, null_is_taken_with_an_error);
    tcase_add_test(tc, a_job_that_is_refused_fails_its_calls_with_the_reason);
#ifdef MESH_CHECKED
    tcase_add_test(tc, a_future_used_after_it_was_freed_is_told);
#endif
    tcase_add_test(tc, a_wait_that_times_out_leaves_the_call_alone);
    tcase_add_test(tc, what_a_call_printed_comes_with_it);
    tcase_add_test(tc, any_of_several_is_one_that_is_done);
    tcase_add_test(tc, a_cancelled_call_is_done_at_once_and_others_go_on);
    tcase_add_test(tc, closing_ends_what_is_under_way);
    tcase_add_test(tc, twenty_thousand_calls_have_each_its_own_result);
    tcase_add_test(tc, calls_of_equal_needs_share_a_job);
    tcase_add_test(tc, the_job_unused_longest_makes_room_for_another);
    tcase_add_test(tc, a_job_that_is_full_is_followed_by_another);
    tcase_add_test(tc, a_group_gives_its_calls_in_both_orders);
    tcase_add_test(tc, a_callback_may_get_submit_and_free_but_not_wait);
    tcase_add_test(tc, each_callback_is_called_once_however_it_ends);
    tcase_add_test(tc, cores_and_peers_are_those_of_now);
    tcase_add_test(tc, statistics_look_like_those_of_parallel_python);
    tcase_add_test(tc, a_child_may_open_a_handle_of_its_own);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
