/* Results that stay where they were made: who reads them without their coming here, when they come,
 * and what happens when they are lost. */
#include <mesh.h>
#include <string.h>
#include <unistd.h>

#include "mesh/client/handle.h"
#include "tests/lib/fake_calls.h"
#include "tests/lib/runner.h"

#define LARGE 200000

static struct fake_calls fake;
static mesh *m;

static void open_with(const struct fake_calls_options *options)
{
    fake_calls_start(&fake, options);
    m = mesh_open(&(struct mesh_options){.socket = fake.path, .patience = 10});
    ck_assert_str_eq(mesh_error_text(m), "");
}

static void open_losing(uint32_t n_losses)
{
    open_with(&(struct fake_calls_options){.keeps_results = true, .n_losses = n_losses});
}

static void teardown(void)
{
    m = mesh_close(m);
    fake_calls_stop(&fake);
}

/* All that was counted as put was released. A question leaves before what is released in the same
 * turn of the handle's thread: the daemon has heard that once it answers a second one. */
static void check_released(void)
{
    ck_assert_uint_gt(mesh_cores(m), 0);
    ck_assert_uint_gt(mesh_cores(m), 0);
    ck_assert_uint_eq(fake.counts->n_unreleased, 0);
}

MESH_FUNCTION(fill)
{
    size_t n = (size_t)mesh_arg_int(task, 0);
    void *to = mesh_return_space(task, n);
    if (to != NULL) {
        memset(to, (int)mesh_arg_int(task, 1), n);
    }
    return 0;
}

/* One more in each byte of all of its arguments together. */
MESH_FUNCTION(more)
{
    size_t n;
    const uint8_t *from = mesh_arg_bytes(task, 0, &n);
    uint8_t *to = mesh_return_space(task, n);
    for (size_t i = 0; from != NULL && to != NULL && i < n; i++) {
        to[i] = (uint8_t)(from[i] + 1);
    }
    return 0;
}

MESH_FUNCTION(merge)
{
    size_t n;
    size_t k;
    const uint8_t *p = mesh_arg_bytes(task, 0, &n);
    const uint8_t *q = mesh_arg_bytes(task, 1, &k);
    uint8_t *to = mesh_return_space(task, n);
    for (size_t i = 0; p != NULL && q != NULL && to != NULL && i < n && i < k; i++) {
        to[i] = (uint8_t)(p[i] + q[i]);
    }
    return 0;
}

MESH_FUNCTION(total)
{
    size_t n;
    int64_t sum = 0;
    const uint8_t *p = mesh_arg_bytes(task, 0, &n);
    for (size_t i = 0; p != NULL && i < n; i++) {
        sum += p[i];
    }
    return mesh_return_int(task, sum);
}

/* A result that only a chain of n calls reads, and what that comes to. */
static mesh_future *chain(const struct mesh_call *call, int n)
{
    mesh_future *last = mesh_submit_with(m, call, "fill", mesh_int(LARGE), mesh_int(0));
    for (int i = 0; i < n; i++) {
        mesh_future *next = mesh_submit_with(m, call, "more", mesh_result(last));
        mesh_free(last);
        last = next;
    }
    mesh_future *sum = mesh_submit_with(m, call, "total", mesh_result(last));
    mesh_free(last);
    return sum;
}

/* --- staying and coming ------------------------------------------------------------------------
 */

START_TEST(a_chain_of_calls_passes_its_results_on_without_us)
{
    open_losing(0);
    mesh_future *sum = chain(NULL, 20);
    ck_assert_int_eq(mesh_get_int(sum), 20 * LARGE);
    ck_assert_uint_eq(fake.counts->n_away, 21);
    ck_assert_uint_eq(fake.counts->n_gets, 0);
    mesh_free(sum);
    check_released();
}
END_TEST

START_TEST(what_no_call_reads_comes_at_once)
{
    open_losing(0);
    mesh_future *future = mesh_submit(m, "fill", mesh_int(LARGE), mesh_int(7));
    size_t n = 0;
    const uint8_t *bytes = mesh_get_bytes(future, &n);
    ck_assert_uint_eq(n, LARGE);
    ck_assert_uint_eq(bytes[LARGE - 1], 7);
    ck_assert_uint_eq(fake.counts->n_gets, 1);
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "total", mesh_result(future))), 7 * LARGE);
    mesh_free(future);
    check_released();
}
END_TEST

START_TEST(what_calls_read_comes_when_it_is_asked_for)
{
    open_losing(0);
    mesh_future *first = mesh_submit(m, "fill", mesh_int(LARGE), mesh_int(1));
    mesh_future *second = mesh_submit(m, "merge", mesh_result(first), mesh_result(first));
    mesh_future *third = mesh_submit(m, "merge", mesh_result(first), mesh_result(second));
    mesh_future *sum = mesh_submit(m, "total", mesh_result(third));
    ck_assert_int_eq(mesh_get_int(sum), 3 * LARGE);
    ck_assert_uint_eq(fake.counts->n_gets, 0);
    ck_assert(mesh_is_done(second));
    size_t n = 0;
    const uint8_t *bytes = mesh_get_bytes(second, &n);
    ck_assert_uint_eq(n, LARGE);
    ck_assert_uint_eq(bytes[0], 2);
    ck_assert_ptr_eq(mesh_get_bytes(second, NULL), bytes); /* it stays here now */
    ck_assert_uint_eq(fake.counts->n_gets, 1);
    mesh_free(first);
    mesh_free(second);
    mesh_free(third);
    mesh_free(sum);
    check_released();
}
END_TEST

START_TEST(who_says_so_leaves_a_result_that_nobody_reads_yet)
{
    open_losing(0);
    struct mesh_call keeps = {.keeps_result = true};
    mesh_future *future = mesh_submit_with(m, &keeps, "fill", mesh_int(LARGE), mesh_int(3));
    ck_assert_int_eq(mesh_wait(future, MESH_FOREVER), 0);
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "total", mesh_result(future))), 3 * LARGE);
    ck_assert_uint_eq(fake.counts->n_gets, 0);
    uint8_t byte;
    ck_assert_int_eq(mesh_get_copy(future, &byte, 1, NULL), MESH_ESMALL);
    ck_assert_uint_eq(fake.counts->n_gets, 1);
}
END_TEST

static void take_bytes(mesh_future *future, void *user)
{
    size_t n = 0;
    const uint8_t *bytes = mesh_get_bytes(future, &n);
    *(int *)user = bytes != NULL && n == LARGE ? bytes[0] : -1;
}

START_TEST(results_for_callbacks_and_inout_buffers_do_not_stay)
{
    open_losing(0);
    int value = 0;
    struct mesh_call calls_back = {.on_done = take_bytes, .user = &value};
    mesh_submit_with(m, &calls_back, "fill", mesh_int(LARGE), mesh_int(9));
    ck_assert_int_eq(mesh_group_wait(m, NULL, MESH_FOREVER), 0);
    ck_assert_int_eq(value, 9);
    ck_assert_uint_eq(fake.counts->n_away, 0);
}
END_TEST

static mesh_future *elsewhere;

static void take_other(mesh_future *future, void *user)
{
    ck_assert_ptr_null(mesh_get_bytes(elsewhere, NULL));
    *(int *)user = mesh_future_error(elsewhere);
}

START_TEST(a_callback_does_not_wait_for_what_is_elsewhere)
{
    open_losing(0);
    int error = 0;
    struct mesh_call keeps = {.keeps_result = true};
    struct mesh_call calls_back = {.on_done = take_other, .user = &error};
    elsewhere = mesh_submit_with(m, &keeps, "fill", mesh_int(LARGE), mesh_int(3));
    ck_assert_int_eq(mesh_wait(elsewhere, MESH_FOREVER), 0);
    mesh_submit_with(m, &calls_back, "fill", mesh_int(1), mesh_int(1));
    ck_assert_int_eq(mesh_group_wait(m, NULL, MESH_FOREVER), 0);
    ck_assert_int_eq(error, MESH_EINVAL);
    ck_assert_ptr_nonnull(mesh_get_bytes(elsewhere, NULL));
    ck_assert_int_eq(mesh_future_error(elsewhere), 0);
}
END_TEST

START_TEST(what_is_cancelled_or_freed_on_its_way_is_let_go)
{
    open_losing(0);
    for (int i = 0; i < 50; i++) {
        mesh_future *future = mesh_submit(m, "fill", mesh_int(LARGE), mesh_int(1));
        if (i % 3 == 0) {
            ck_assert_int_eq(mesh_wait(future, MESH_FOREVER), 0);
        } else if (i % 3 == 1) {
            mesh_cancel(future);
        }
        mesh_free(future);
    }
    ck_assert_int_eq(mesh_get_int(mesh_submit(m, "total", mesh_bytes("\1", 1))), 1);
    while (fake.counts->n_open > 0) {
        ck_assert_uint_gt(mesh_cores(m), 0);
    }
    ck_assert_uint_gt(mesh_cores(m), 0);
    check_released();
}
END_TEST

/* --- losses ------------------------------------------------------------------------------------
 */

START_TEST(a_lost_result_is_made_again_for_those_who_read_it)
{
    open_losing((uint32_t)_i);
    mesh_future *sum = chain(NULL, 10);
    ck_assert_int_eq(mesh_get_int(sum), 10 * LARGE);
    ck_assert_int_eq(mesh_future_error(sum), 0);
    ck_assert_uint_eq(fake.counts->n_lost, (unsigned)_i);
    ck_assert_uint_gt(fake.counts->n_tasks, 12 + (unsigned)_i);
    mesh_free(sum);
    check_released();
}
END_TEST

START_TEST(a_result_that_is_lost_when_it_is_asked_for_is_made_again)
{
    open_losing(2);
    struct mesh_call keeps = {.keeps_result = true};
    mesh_future *future = mesh_submit_with(m, &keeps, "fill", mesh_int(LARGE), mesh_int(3));
    ck_assert_int_eq(mesh_wait(future, MESH_FOREVER), 0);
    size_t n = 0;
    const uint8_t *bytes = mesh_get_bytes(future, &n); /* the first, and its successor */
    ck_assert_uint_eq(n, LARGE);
    ck_assert_uint_eq(bytes[5], 3);
    ck_assert_uint_eq(fake.counts->n_lost, 2);
    ck_assert_uint_eq(fake.counts->n_tasks, 3);
    mesh_free(future);
    check_released();
}
END_TEST

START_TEST(a_result_that_is_lost_on_its_way_is_made_again)
{
    open_losing(1);
    mesh_future *first = mesh_submit(m, "fill", mesh_int(LARGE), mesh_int(3));
    ck_assert_ptr_nonnull(mesh_get_bytes(first, NULL));
    ck_assert_uint_eq(fake.counts->n_lost, 1);
    ck_assert_uint_eq(fake.counts->n_tasks, 2);
    mesh_free(first);
    check_released();
}
END_TEST

START_TEST(what_may_run_once_only_is_not_made_again)
{
    open_losing(1);
    struct mesh_call once = {.is_once = true};
    mesh_future *sum = chain(&once, 3);
    ck_assert_int_eq(mesh_get_int(sum), 0);
    ck_assert_int_eq(mesh_future_error(sum), MESH_ELOST);
    ck_assert_ptr_nonnull(strstr(mesh_future_error_text(sum), "may not run again"));
    mesh_future *future = mesh_submit_with(m, &once, "total", mesh_bytes("\1", 1));
    ck_assert_int_eq(mesh_get_int(future), 1);
    mesh_free(sum);
    check_released();
}
END_TEST

START_TEST(what_is_lost_on_its_way_and_may_run_once_only_is_lost)
{
    open_losing(1);
    struct mesh_call once = {.is_once = true};
    mesh_future *future = mesh_submit_with(m, &once, "fill", mesh_int(LARGE), mesh_int(1));
    ck_assert_ptr_null(mesh_get_bytes(future, NULL));
    ck_assert_int_eq(mesh_future_error(future), MESH_ELOST);
}
END_TEST

START_TEST(what_is_lost_again_and_again_is_given_up)
{
    open_losing(1000000);
    mesh_future *sum = chain(NULL, 4);
    ck_assert_int_eq(mesh_future_error(sum), MESH_ELOST);
    mesh_future *future = mesh_submit(m, "fill", mesh_int(LARGE), mesh_int(1));
    ck_assert_int_eq(mesh_future_error(future), MESH_ELOST);
    struct mesh_call keeps = {.keeps_result = true};
    mesh_future *kept = mesh_submit_with(m, &keeps, "fill", mesh_int(LARGE), mesh_int(1));
    ck_assert_int_eq(mesh_wait(kept, MESH_FOREVER), 0);
    ck_assert_ptr_null(mesh_get_bytes(kept, NULL));
    ck_assert_int_eq(mesh_future_error(kept), MESH_ELOST);
    ck_assert_uint_lt(fake.counts->n_tasks, 100);
    mesh_free(sum);
    mesh_free(kept);
    mesh_free(future);
    check_released();
}
END_TEST

START_TEST(what_stayed_is_made_again_when_the_daemon_dies)
{
    open_with(&(struct fake_calls_options){
        .keeps_results = true, .die_after = (uint32_t)_i, .n_daemons = 2});
    struct mesh_call keeps = {.keeps_result = true};
    mesh_future *kept = mesh_submit_with(m, &keeps, "fill", mesh_int(LARGE), mesh_int(3));
    mesh_future *sum = chain(NULL, 10);
    ck_assert_int_eq(mesh_get_int(sum), 10 * LARGE);
    ck_assert_uint_eq(fake.counts->n_daemons, 2);
    size_t n = 0;
    const uint8_t *bytes = mesh_get_bytes(kept, &n);
    ck_assert_uint_eq(n, LARGE);
    ck_assert_uint_eq(bytes[0], 3);
}
END_TEST

START_TEST(a_long_chain_keeps_two_results_at_a_time_and_ends_with_its_handle)
{
    open_losing(1);
    mesh_future *last = mesh_submit(m, "fill", mesh_int(70000), mesh_int(0));
    for (int i = 0; i < 1000; i++) {
        mesh_future *next = mesh_submit(m, "more", mesh_result(last));
        mesh_free(last);
        last = next;
    }
    struct mesh_call keeps = {.keeps_result = true};
    mesh_future *end = mesh_submit_with(m, &keeps, "more", mesh_result(last));
    mesh_free(last);
    ck_assert_int_eq(mesh_wait(end, MESH_FOREVER), 0);
    ck_assert_uint_gt(mesh_cores(m), 0);
    ck_assert_uint_eq(fake.counts->n_unreleased, 1); /* its own */
    mesh_submit(m, "total", mesh_result(end));
    m = mesh_close(m); /* with all that end was made of */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh_pass");
    TCase *tc = tcase_create("pass");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, a_chain_of_calls_passes_its_results_on_without_us);
    tcase_add_test(tc, what_no_call_reads_comes_at_once);
    tcase_add_test(tc, what_calls_read_comes_when_it_is_asked_for);
    tcase_add_test(tc, who_says_so_leaves_a_result_that_nobody_reads_yet);
    tcase_add_test(tc, results_for_callbacks_and_inout_buffers_do_not_stay);
    tcase_add_test(tc, a_callback_does_not_wait_for_what_is_elsewhere);
    tcase_add_test(tc, what_is_cancelled_or_freed_on_its_way_is_let_go);
    tcase_add_loop_test(tc, a_lost_result_is_made_again_for_those_who_read_it, 1,
                        MESH_REMAKES_MAX + 1);
    tcase_add_test(tc, a_result_that_is_lost_when_it_is_asked_for_is_made_again);
    tcase_add_test(tc, a_result_that_is_lost_on_its_way_is_made_again);
    tcase_add_test(tc, what_may_run_once_only_is_not_made_again);
    tcase_add_test(tc, what_is_lost_on_its_way_and_may_run_once_only_is_lost);
    tcase_add_test(tc, what_is_lost_again_and_again_is_given_up);
    tcase_add_loop_test(tc, what_stayed_is_made_again_when_the_daemon_dies, 1, 9);
    tcase_add_test(tc, a_long_chain_keeps_two_results_at_a_time_and_ends_with_its_handle);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
