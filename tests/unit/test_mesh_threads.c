/* One handle used from eight threads at once. Each throws dice for what it does next, out of all
 * that a handle can do, and looks whether its own results are right; some futures, a group and data
 * belong to all of them. Under a thread sanitizer this is the test for races; everywhere it is one
 * for results that get lost or mixed up.
 *
 * $MESH_SEEDS is how many seeds to play, where the usual few are not enough. */
#include <inttypes.h>
#include <mesh.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/client/handle.h"
#include "tests/lib/fake_calls.h"
#include "tests/lib/runner.h"

#define N_THREADS 8
#define N_ROUNDS  30
#define N_SEEDS   4
#define LARGE     100000 /* bytes: goes by blob */

/* --- functions ---------------------------------------------------------------------------------
 */

MESH_FUNCTION(add)
{
    return mesh_return_int(task, mesh_arg_int(task, 0) + mesh_arg_int(task, 1));
}

MESH_FUNCTION(raise_bytes)
{
    size_t n;
    uint8_t *p = mesh_arg_inout(task, 0, &n);
    for (size_t i = 0; p != NULL && i < n; i++) {
        p[i]++;
    }
    return p != NULL ? 0 : -1;
}

MESH_FUNCTION(ones)
{
    size_t n = (size_t)mesh_arg_int(task, 0);
    void *to = mesh_return_space(task, n);
    if (to == NULL) {
        return -1;
    }
    memset(to, 1, n);
    return 0;
}

MESH_FUNCTION(sum_bytes)
{
    size_t n;
    int64_t sum = 0;
    const uint8_t *p = mesh_arg_bytes(task, 0, &n);
    for (size_t i = 0; p != NULL && i < n; i++) {
        sum += p[i];
    }
    return mesh_return_int(task, sum);
}

MESH_FUNCTION(square)
{
    int64_t x = mesh_arg_int(task, 0);
    return x == 13 ? mesh_fail(task, "unlucky") : mesh_return_int(task, x * x);
}

MESH_FUNCTION(crash)
{
    return raise(SIGKILL);
}

/* --- what the threads share --------------------------------------------------------------------
 */

struct scene {
    mesh *m;
    mesh_data *data;    /* LARGE twos */
    mesh_future *large; /* LARGE ones, when it is done */
    mesh_group *group;  /* anybody's calls, taken by anybody */
    FILE *nowhere;

    atomic_llong put_into_group, taken_from_group;
};

struct thread {
    pthread_t id;
    struct scene *scene;
    uint64_t dice;
    atomic_int n_called_back;
    atomic_llong sum_called_back;
    char wrong[160]; /* the first thing that was */
};

static uint32_t roll(struct thread *thread, uint32_t n)
{
    uint64_t z = thread->dice += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64, by Sebastiano Vigna */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % n);
}

static void expect(struct thread *thread, bool is_right, const char *what, int64_t got)
{
    if (!is_right && thread->wrong[0] == '\0') {
        snprintf(thread->wrong, sizeof(thread->wrong), "%s: %" PRId64 "; the handle says: %s", what,
                 got, mesh_error_text(thread->scene->m));
    }
}

static void expect_int(struct thread *thread, mesh_future *future, int64_t wanted, const char *what)
{
    int64_t got = mesh_get_int(future);
    expect(thread, mesh_future_error(future) == 0, mesh_future_error_text(future),
           mesh_future_error(future));
    expect(thread, got == wanted, what, got);
}

/* --- what a thread does ------------------------------------------------------------------------
 */

static void do_one(struct thread *thread)
{
    int64_t a = roll(thread, 1000000);
    mesh_future *future = mesh_submit(thread->scene->m, "add", mesh_int(a), mesh_int(1));
    while (roll(thread, 2) == 0 && mesh_wait(future, 0.0001) != 0) {
    }
    expect_int(thread, future, a + 1, "a sum");
    expect(thread, mesh_future_seconds(future) > 0, "seconds", 0);
    expect(thread, mesh_future_peer(future)[0] != '\0', "a peer", 0);
    expect(thread, mesh_future_printed(future)[0] == '\0', "printed", 0);
    mesh_free(future);
}

static void do_several(struct thread *thread)
{
    mesh_future *futures[12];
    size_t n = 1 + roll(thread, 12);
    for (size_t i = 0; i < n; i++) {
        futures[i] = mesh_submit(thread->scene->m, "square", mesh_int(100 + (int64_t)i));
    }
    size_t i = n;
    expect(thread, mesh_wait_any(futures, n, MESH_FOREVER, &i) == 0 && i < n, "any", (int64_t)i);
    expect(thread, mesh_is_done(futures[i]), "done", (int64_t)i);
    while (mesh_wait_all(futures, n, 0.001) != 0) {
    }
    for (i = 0; i < n; i++) {
        expect_int(thread, futures[i], (int64_t)((100 + i) * (100 + i)), "one of several");
        mesh_free(futures[i]);
    }
}

static void do_group(struct thread *thread)
{
    mesh_group *group = mesh_group_new(thread->scene->m);
    struct mesh_call call = {.group = group, .priority = roll(thread, 3)};
    bool is_in_order = roll(thread, 2) == 0;
    int n = 1 + (int)roll(thread, 20);
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        mesh_submit_with(thread->scene->m, &call, "add", mesh_int(i), mesh_int(0));
    }
    for (int i = 0; i < n; i++) {
        mesh_future *future = is_in_order ? mesh_group_next_in_order(group, MESH_FOREVER)
                                          : mesh_group_next(group, MESH_FOREVER);
        int64_t got = mesh_get_int(future);
        expect(thread, !is_in_order || got == i, "the order of a group", got);
        sum += got;
        mesh_free(future);
    }
    expect(thread, sum == n * (n - 1) / 2, "the sum of a group", sum);
    expect(thread, mesh_group_next(group, MESH_FOREVER) == NULL, "more in a group", 0);
    mesh_group_free(group);
}

static void do_shared_group(struct thread *thread)
{
    struct scene *scene = thread->scene;
    struct mesh_call call = {.group = scene->group};
    unsigned n = 1 + roll(thread, 8);
    for (unsigned i = 0; i < n; i++) {
        int64_t a = roll(thread, 1000);
        scene->put_into_group += a;
        mesh_submit_with(scene->m, &call, "add", mesh_int(a), mesh_int(0));
    }
    for (unsigned i = 0; i < n; i++) {
        mesh_future *future = mesh_group_next(scene->group, roll(thread, 2) ? 0.001 : 10);
        if (future != NULL) {
            scene->taken_from_group += mesh_get_int(future);
            mesh_free(future);
        }
    }
}

static void do_map_array(struct thread *thread)
{
    int64_t numbers[400] = {0};
    size_t n = roll(thread, 400);
    struct mesh_map_options options = {.chunk = roll(thread, 3) * 7};
    for (size_t i = 0; i < n; i++) {
        numbers[i] = (int64_t)i + 14;
    }
    int r = mesh_map_array(thread->scene->m, "square", numbers, n, sizeof(*numbers), numbers,
                           sizeof(*numbers), &options);
    expect(thread, r == 0, "a map", r);
    for (size_t i = 0; i < n; i++) {
        expect(thread, numbers[i] == (int64_t)((i + 14) * (i + 14)), "an element", numbers[i]);
    }
}

static void do_map(struct thread *thread)
{
    int64_t in[100], out[100];
    bool is_in_order = roll(thread, 2) == 0;
    size_t n_wanted = roll(thread, 120); /* perhaps not all of them */
    size_t next = 0, i = 0;
    for (int k = 0; k < 100; k++) {
        in[k] = k;
    }
    mesh_map *map =
        mesh_map_start(thread->scene->m, "square", in, 100, sizeof(*in), out, sizeof(*out), NULL);
    int r = 0;
    while (next < n_wanted && r != MESH_ENONE) {
        r = is_in_order ? mesh_map_next_in_order(map, MESH_FOREVER, &i)
                        : mesh_map_next(map, MESH_FOREVER, &i);
        if (r == MESH_ENONE) {
            break;
        }
        expect(thread, !is_in_order || i == next, "the order of a map", (int64_t)i);
        expect(thread, r == (i == 13 ? MESH_EFAILED : 0), "an element's error", r);
        expect(thread, r != 0 || out[i] == (int64_t)(i * i), "an element's result", out[i]);
        expect(thread, r == 0 || strstr(mesh_map_error_text(map), "unlucky") != NULL, "text", r);
        next++;
    }
    expect(thread, next == (n_wanted < 100 ? n_wanted : 100), "elements", (int64_t)next);
    mesh_map_free(map);
}

static void synchronise(struct thread *thread, mesh_future *future, const void *p, size_t n)
{
    mesh *m = thread->scene->m;
    int r;
    switch (roll(thread, 4)) {
    case 0:
        expect(thread, mesh_wait(future, MESH_FOREVER) == 0, "a wait", 0);
        return;
    case 1:
        r = mesh_sync(m, p, n); /* which tells of the second, too, unless somebody was told */
        expect(thread, r == 0 || r == MESH_EBUSY, "a sync", r);
        return;
    case 2:
        expect(thread, mesh_future_error(future) == 0, "an in-out", mesh_future_error(future));
        return;
    default:
        while (!mesh_is_done(future)) {
        }
    }
}

static void do_inout(struct thread *thread)
{
    size_t n = 1 + roll(thread, roll(thread, 4) == 0 ? LARGE : 100);
    uint8_t *buffer = calloc(n, 1);
    mesh_future *first = mesh_submit(thread->scene->m, "raise_bytes", mesh_inout(buffer, n));
    /* Another thread may have waited for the first meanwhile: mesh_sync() of all there are. */
    mesh_future *second = mesh_submit(thread->scene->m, "raise_bytes", mesh_inout(buffer, n));
    synchronise(thread, first, buffer, n);
    int error = mesh_future_error(second);
    uint8_t wanted = error == 0 ? 2 : 1;
    expect(thread, error == 0 || error == MESH_EBUSY, "a conflict", error);
    for (size_t i = 0; i < n; i++) {
        expect(thread, buffer[i] == wanted, "a byte that came back", buffer[i]);
    }
    mesh_free(first);
    mesh_free(second);
    free(buffer);
}

/* The buffer is ours again when the future is freed, whoever wanted to write it. */
static void do_inout_freed(struct thread *thread)
{
    uint8_t *buffer = calloc(LARGE, 1);
    mesh_future *future = mesh_submit(thread->scene->m, "raise_bytes", mesh_inout(buffer, LARGE));
    if (roll(thread, 2) == 0) {
        mesh_group_wait(thread->scene->m, NULL, 0.002);
    }
    mesh_free(future);
    expect(thread, buffer[0] == buffer[LARGE - 1], "half a buffer", buffer[0]);
    free(buffer);
}

static void do_put(struct thread *thread)
{
    static const uint8_t threes[LARGE] = {3, 3, 3};
    mesh *m = thread->scene->m;
    size_t n = 3 + roll(thread, LARGE - 3);
    mesh_data *data = mesh_put(m, threes, n);
    expect(thread, data != NULL, "a put", mesh_error(m));
    mesh_future *own = mesh_submit(m, "sum_bytes", mesh_ref(data));
    mesh_future *shared = mesh_submit(m, "sum_bytes", mesh_ref(thread->scene->data));
    mesh_data_free(data);
    expect_int(thread, own, 9, "a sum of what was put");
    expect_int(thread, shared, 2 * LARGE, "a sum of what is everybody's");
    mesh_free(own);
    mesh_free(shared);
}

static void do_cancel(struct thread *thread)
{
    mesh_future *futures[10];
    for (int i = 0; i < 10; i++) {
        futures[i] = mesh_submit(thread->scene->m, "add", mesh_int(i), mesh_int(0));
    }
    for (int i = 0; i < 10; i++) {
        if (roll(thread, 2) == 0) {
            mesh_cancel(futures[i]);
            int error = mesh_future_error(futures[i]);
            expect(thread, error == MESH_ECANCELLED || error == 0, "a cancelled call", error);
        } else if (roll(thread, 2) == 0) {
            expect_int(thread, futures[i], i, "beside cancelled ones");
        }
        mesh_free(futures[i]);
    }
}

static void on_done(mesh_future *future, void *user)
{
    struct thread *thread = user;
    thread->sum_called_back += mesh_get_int(future);
    if (++thread->n_called_back % 2 == 0) {
        mesh_free(future);
    }
}

static void do_callbacks(struct thread *thread)
{
    mesh *m = thread->scene->m;
    mesh_group *group = mesh_group_new(m);
    struct mesh_call call = {.group = group, .on_done = on_done, .user = thread};
    uint8_t zeros[64] = {0};
    thread->n_called_back = 0;
    thread->sum_called_back = 0;
    for (int i = 0; i < 10; i++) {
        mesh_submit_with(m, &call, "add", mesh_int(i), mesh_int(0));
    }
    mesh_submit_with(m, &call, "sum_bytes", mesh_inout(zeros, sizeof(zeros)));
    expect(thread, mesh_group_wait(m, group, MESH_FOREVER) == 0, "a group with callbacks", 0);
    expect(thread, thread->n_called_back == 11, "callbacks", thread->n_called_back);
    expect(thread, thread->sum_called_back == 45, "their sum", thread->sum_called_back);
    for (mesh_future *left; (left = mesh_group_next(group, MESH_FOREVER)) != NULL;) {
        mesh_free(left);
    }
    mesh_group_free(group);
}

static uint8_t ones_to_send[LARGE]; /* set before the threads begin */

static void do_chain(struct thread *thread)
{
    mesh *m = thread->scene->m;
    mesh_future *first = mesh_submit(m, "add", mesh_int(1), mesh_int(2));
    mesh_future *second = mesh_submit(m, "add", mesh_result(first), mesh_int(3));
    mesh_future *third = mesh_submit(m, "add", mesh_result(first), mesh_result(second));
    mesh_future *large = mesh_submit(m, "sum_bytes", mesh_result(thread->scene->large));
    /* While its bytes are written the result that it waits for may come. */
    mesh_future *slow =
        mesh_submit(m, "sum_bytes", mesh_bytes(ones_to_send, LARGE), mesh_result(second));
    mesh_free(first);
    expect_int(thread, slow, LARGE, "a call that was long in the making");
    mesh_free(slow);
    expect_int(thread, third, 9, "a chain");
    expect_int(thread, second, 6, "a link");
    expect_int(thread, large, LARGE, "a large result, passed on");
    mesh_free(large);
    mesh_free(third);
    mesh_free(second);
}

static void do_fail(struct thread *thread)
{
    mesh *m = thread->scene->m;
    mesh_future *future = mesh_submit(m, "square", mesh_int(13));
    mesh_future *dependent = mesh_submit(m, "add", mesh_result(future), mesh_int(1));
    expect(thread, mesh_future_error(dependent) == MESH_EFAILED, "a dependent",
           mesh_future_error(dependent));
    expect(thread, strcmp(mesh_future_error_text(future), "unlucky") == 0, "a text", 0);
    mesh_free(dependent);
    mesh_free(future);
    future = mesh_submit(m, "square", mesh_string("x"));
    expect(thread, mesh_future_error(future) == MESH_ETYPE, "a type", mesh_future_error(future));
    mesh_free(future);
    if (roll(thread, 8) == 0) {
        future = mesh_submit(m, "crash");
        expect(thread, mesh_future_error(future) == MESH_ECRASHED, "a crash",
               mesh_future_error(future));
        mesh_free(future);
    }
}

static void do_ask(struct thread *thread)
{
    struct mesh_peer peers[4];
    struct mesh_stats stats[4];
    size_t n = 0;
    mesh *m = thread->scene->m;
    expect(thread, mesh_cores(m) > 0, "cores", 0);
    expect(thread, mesh_peers(m, peers, 4, &n) == 0 && n > 0, "peers", (int64_t)n);
    expect(thread, mesh_get_stats(m, stats, 4, &n) == 0, "statistics", (int64_t)n);
    expect(thread, mesh_print_stats(m, thread->scene->nowhere) == 0, "printed statistics", 0);
    expect(thread, strlen(mesh_error_text(m)) < 4096, "an error's text", mesh_error(m));
}

static void do_wait_for_all(struct thread *thread)
{
    mesh *m = thread->scene->m;
    if (roll(thread, 4) == 0) {
        mesh_sync(m, NULL, 0); /* of everybody: the error may be another's */
    } else {
        mesh_group_wait(m, NULL, 0.001);
    }
}

static void *run_thread(void *user)
{
    static void (*const acts[])(struct thread *) = {
        do_one,       do_several, do_group,       do_shared_group, do_map_array,
        do_map,       do_inout,   do_inout_freed, do_put,          do_cancel,
        do_callbacks, do_chain,   do_fail,        do_ask,          do_wait_for_all,
    };
    struct thread *thread = user;
    for (int i = 0; i < N_ROUNDS && thread->wrong[0] == '\0'; i++) {
        acts[roll(thread, sizeof(acts) / sizeof(acts[0]))](thread);
    }
    return NULL;
}

/* --- the scene ---------------------------------------------------------------------------------
 */

static void make_scene(struct scene *scene, const char *socket)
{
    static uint8_t twos[LARGE];
    memset(twos, 2, sizeof(twos));
    memset(ones_to_send, 1, sizeof(ones_to_send));
    scene->m = mesh_open(&(struct mesh_options){.socket = socket});
    ck_assert_str_eq(mesh_error_text(scene->m), "");
    scene->group = mesh_group_new(scene->m);
    scene->data = mesh_put(scene->m, twos, sizeof(twos));
    ck_assert_ptr_nonnull(scene->data);
    scene->large = mesh_submit(scene->m, "ones", mesh_int(LARGE));
    scene->nowhere = fopen("/dev/null", "we");
    ck_assert_ptr_nonnull(scene->nowhere);
}

static void run_threads(struct scene *scene, int seed)
{
    static struct thread threads[N_THREADS];
    memset(threads, 0, sizeof(threads));
    for (unsigned i = 0; i < N_THREADS; i++) {
        threads[i].scene = scene;
        threads[i].dice = (uint64_t)seed * 1000 + i;
        ck_assert_int_eq(pthread_create(&threads[i].id, NULL, run_thread, &threads[i]), 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i].id, NULL), 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) {
        ck_assert_msg(threads[i].wrong[0] == '\0', "seed %d, thread %u: %s", seed, i,
                      threads[i].wrong);
    }
}

static void end_scene(struct scene *scene)
{
    for (mesh_future *left; (left = mesh_group_next(scene->group, MESH_FOREVER)) != NULL;) {
        scene->taken_from_group += mesh_get_int(left);
        mesh_free(left);
    }
    ck_assert_int_eq(scene->taken_from_group, scene->put_into_group);
    ck_assert_int_eq(mesh_group_wait(scene->m, NULL, MESH_FOREVER), 0);
    mesh_group_free(scene->group);
    mesh_free(scene->large);
    mesh_data_free(scene->data);
}

START_TEST(eight_threads_get_each_their_own_results)
{
    struct fake_calls fake;
    struct scene scene = {0};
    fake_calls_start(&fake, &(struct fake_calls_options){.n_workers = 4});
    make_scene(&scene, fake.path);
    run_threads(&scene, _i);
    end_scene(&scene);
    for (int i = 0; fake.counts->n_unreleased > 0 && i < 1000; i++) {
        mesh_cores(scene.m); /* there and back again */
    }
    ck_assert_uint_eq(fake.counts->n_unreleased, 0);
    ck_assert_uint_eq(fake.counts->n_daemons, 1);
    mesh_close(scene.m);
    fclose(scene.nowhere);
    fake_calls_stop(&fake);
}
END_TEST

START_TEST(eight_threads_outlive_their_daemons)
{
    struct fake_calls fake;
    struct scene scene = {0};
    fake_calls_start(
        &fake, &(struct fake_calls_options){.n_workers = 4, .die_after = 300, .n_daemons = 3});
    make_scene(&scene, fake.path);
    run_threads(&scene, _i);
    end_scene(&scene);
    ck_assert_uint_eq(fake.counts->n_daemons, 3);
    mesh_close(scene.m);
    fclose(scene.nowhere);
    fake_calls_stop(&fake);
}
END_TEST

/* What the threads leave behind is the handle's to end: calls, maps, groups, data. */
START_TEST(closing_ends_what_eight_threads_left)
{
    struct fake_calls fake;
    struct scene scene = {0};
    fake_calls_start(&fake, &(struct fake_calls_options){.n_workers = 2});
    make_scene(&scene, fake.path);
    run_threads(&scene, 100 + _i);
    for (int i = 0; i < 500; i++) {
        mesh_submit(scene.m, "sum_bytes", mesh_result(scene.large));
    }
    mesh_close(scene.m);
    fclose(scene.nowhere);
    fake_calls_stop(&fake);
}
END_TEST

int main(void)
{
    const char *seeds = getenv("MESH_SEEDS");
    int n_seeds = seeds != NULL ? atoi(seeds) : N_SEEDS;
    Suite *suite = suite_create("mesh_threads");
    TCase *tc = tcase_create("threads");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, eight_threads_get_each_their_own_results, 0, n_seeds);
    tcase_add_loop_test(tc, eight_threads_outlive_their_daemons, 0, n_seeds);
    tcase_add_loop_test(tc, closing_ends_what_eight_threads_left, 0, n_seeds);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
