/* AvahiPoll's contract (avahi-common/watch.h), held against ours and against Avahi's own
 * simple-poll alike: what both pass is the contract, not our idea of it. */
#include <avahi-common/simple-watch.h>
#include <avahi-common/timeval.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "discovery/avahi_poll_uv.h"
#include "tests/lib/runner.h"

/* One of the two implementations under one handle. */
struct world {
    bool is_simple;
    uv_loop_t loop;
    struct avahi_poll_uv *ours;
    AvahiSimplePoll *simple;
    const AvahiPoll *api;
    bool is_closed;
};

static void world_init(struct world *w, bool is_simple)
{
    *w = (struct world){.is_simple = is_simple};
    if (is_simple) {
        w->simple = avahi_simple_poll_new();
        w->api = avahi_simple_poll_get(w->simple);
        return;
    }
    ck_assert_int_eq(uv_loop_init(&w->loop), 0);
    w->ours = avahi_poll_uv_new(&w->loop);
    w->api = avahi_poll_uv_api(w->ours);
}

static void on_closed(void *user)
{
    *(bool *)user = true;
}

static void world_done(struct world *w)
{
    if (w->is_simple) {
        avahi_simple_poll_free(w->simple);
        return;
    }
    avahi_poll_uv_close(w->ours, on_closed, &w->is_closed);
    ck_assert(!w->is_closed);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    ck_assert(w->is_closed);
    ck_assert_int_eq(uv_loop_close(&w->loop), 0);
}

/* Turns the loop until *flag, or, where wait_ms is over, gives up. */
static void world_run(struct world *w, const bool *flag, unsigned wait_ms)
{
    struct timeval end;
    avahi_elapse_time(&end, wait_ms, 0);
    while (!*flag && avahi_age(&end) < 0) {
        if (w->is_simple) {
            ck_assert_int_ge(avahi_simple_poll_iterate(w->simple, 5), 0);
        } else {
            uv_run(&w->loop, UV_RUN_NOWAIT);
            IGNORE(poll(NULL, 0, 1)); /* leave the processor to others */
        }
    }
}

struct seen {
    const AvahiPoll *api;
    bool is_called;
    unsigned n;
    AvahiWatchEvent events;
    int fd;
    bool free_inside;
    struct timeval again;
    bool rearm;
};

static void on_watch(AvahiWatch *watch, int fd, AvahiWatchEvent event, void *user)
{
    struct seen *seen = user;
    seen->is_called = true;
    seen->n++;
    seen->fd = fd;
    seen->events = event;
    ck_assert_int_eq(seen->api->watch_get_events(watch), event);
    if (seen->free_inside) {
        seen->api->watch_free(watch);
    } else {
        char c;
        IGNORE(read(fd, &c, 1)); /* so that it is not readable any more */
    }
}

static void on_timeout(AvahiTimeout *timeout, void *user)
{
    struct seen *seen = user;
    seen->is_called = true;
    seen->n++;
    if (seen->free_inside) {
        seen->api->timeout_free(timeout);
    } else if (seen->rearm) {
        seen->rearm = false;
        seen->is_called = false;
        seen->api->timeout_update(timeout, &seen->again);
    }
}

START_TEST(readable_descriptor_calls_its_watch)
{
    struct world w;
    world_init(&w, _i == 1);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    struct seen seen = {.api = w.api};
    AvahiWatch *watch = w.api->watch_new(w.api, fds[0], AVAHI_WATCH_IN, on_watch, &seen);
    world_run(&w, &seen.is_called, 20);
    ck_assert(!seen.is_called);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    world_run(&w, &seen.is_called, 5000);
    ck_assert(seen.is_called);
    ck_assert_int_eq(seen.fd, fds[0]);
    ck_assert((seen.events & AVAHI_WATCH_IN) != 0);
    w.api->watch_free(watch);
    world_done(&w);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(one_descriptor_may_be_watched_twice)
{
    struct world w;
    world_init(&w, _i == 1);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    struct seen a = {.api = w.api, .free_inside = true};
    struct seen b = {.api = w.api, .free_inside = true};
    AvahiWatch *wa = w.api->watch_new(w.api, fds[0], AVAHI_WATCH_IN, on_watch, &a);
    AvahiWatch *wb = w.api->watch_new(w.api, fds[0], AVAHI_WATCH_IN, on_watch, &b);
    ck_assert_ptr_nonnull(wa);
    ck_assert_ptr_nonnull(wb);
    world_run(&w, &a.is_called, 5000);
    world_run(&w, &b.is_called, 5000);
    ck_assert(a.is_called);
    ck_assert(b.is_called);
    world_done(&w);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(watch_may_be_freed_inside_its_callback)
{
    struct world w;
    world_init(&w, _i == 1);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    struct seen seen = {.api = w.api, .free_inside = true};
    ck_assert_ptr_nonnull(w.api->watch_new(w.api, fds[0], AVAHI_WATCH_IN, on_watch, &seen));
    world_run(&w, &seen.is_called, 5000);
    bool never = false;
    world_run(&w, &never, 20);
    ck_assert_uint_eq(seen.n, 1);
    world_done(&w);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(updated_watch_waits_for_what_it_was_updated_to)
{
    struct world w;
    world_init(&w, _i == 1);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    struct seen seen = {.api = w.api, .free_inside = true};
    AvahiWatch *watch = w.api->watch_new(w.api, fds[1], (AvahiWatchEvent)0, on_watch, &seen);
    world_run(&w, &seen.is_called, 20);
    ck_assert(!seen.is_called);
    w.api->watch_update(watch, AVAHI_WATCH_OUT);
    world_run(&w, &seen.is_called, 5000);
    ck_assert((seen.events & AVAHI_WATCH_OUT) != 0);
    world_done(&w);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

struct flood {
    unsigned n;
    bool is_enough;
};

static void on_flood(AvahiWatch *watch, int fd, AvahiWatchEvent event, void *userdata)
{
    struct flood *flood = userdata;
    flood->n++;
    flood->is_enough = flood->n >= 320;
}

/* Ours alone: a descriptor that is always readable is not all that the loop does. */
START_TEST(flooded_watch_rests)
{
    struct world w;
    struct flood flood = {0};
    int fds[2];
    world_init(&w, false);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1); /* never read */
    AvahiWatch *watch = w.api->watch_new(w.api, fds[0], AVAHI_WATCH_IN, on_flood, &flood);
    ck_assert_ptr_nonnull(watch);
    struct timeval start;
    avahi_elapse_time(&start, 0, 0);
    world_run(&w, &flood.is_enough, 10000);
    ck_assert(flood.is_enough); /* it comes back each time */
    ck_assert_int_ge(avahi_age(&start),
                     1900000); /* and 64 more than it may at once take two seconds */
    w.api->watch_free(watch);
    close(fds[0]);
    close(fds[1]);
    world_done(&w);
}
END_TEST

struct storm {
    const AvahiPoll *api;
    AvahiTimeout *timeout;
    unsigned n;
};

/* It is due again as soon as it was called, as Avahi's is that has more to do than there is time
 * for. */
static void on_storm(AvahiTimeout *timeout, void *user)
{
    struct storm *storm = user;
    struct timeval tv = {.tv_sec = 1};
    storm->n++;
    uint64_t until_ns = uv_hrtime() + 100000;
    while (uv_hrtime() < until_ns) {
    }
    storm->api->timeout_update(timeout, &tv);
}

static void on_storm_watch(AvahiWatch *watch, int fd, AvahiWatchEvent event, void *user)
{
    ((struct flood *)user)->n++;
}

/* Ours alone: the loop turns all the same, and no packets are taken that would bring more of it. */
START_TEST(timeouts_that_are_always_due_leave_the_loop_to_others)
{
    struct world w;
    struct flood flood = {0};
    int fds[2];
    world_init(&w, false);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1); /* never read */
    AvahiWatch *watch = w.api->watch_new(w.api, fds[0], AVAHI_WATCH_IN, on_storm_watch, &flood);
    struct storm storm = {.api = w.api};
    struct timeval tv = {.tv_sec = 1};
    storm.timeout = w.api->timeout_new(w.api, &tv, on_storm, &storm);
    unsigned n_most = 0;
    for (unsigned i = 0; i < 50; i++) {
        unsigned before = storm.n;
        uv_run(&w.loop, UV_RUN_ONCE);
        n_most = storm.n - before > n_most ? storm.n - before : n_most;
    }
    ck_assert_uint_gt(storm.n, 0);
    ck_assert_uint_le(n_most,
                      150);        /* 64, twice in a turn if that is slow; no end without a limit */
    ck_assert_uint_le(flood.n, 1); /* before the first of them was called */
    w.api->timeout_free(storm.timeout);
    w.api->watch_free(watch);
    close(fds[0]);
    close(fds[1]);
    world_done(&w);
}
END_TEST

START_TEST(timeout_of_null_is_disarmed_and_can_be_armed)
{
    struct world w;
    world_init(&w, _i == 1);
    struct seen seen = {.api = w.api};
    AvahiTimeout *timeout = w.api->timeout_new(w.api, NULL, on_timeout, &seen);
    world_run(&w, &seen.is_called, 30);
    ck_assert(!seen.is_called);
    struct timeval tv;
    w.api->timeout_update(timeout, avahi_elapse_time(&tv, 10, 0));
    world_run(&w, &seen.is_called, 5000);
    ck_assert(seen.is_called);
    ck_assert_int_ge(avahi_age(&tv), 0); /* not early */
    bool never = false;
    world_run(&w, &never, 30);
    ck_assert_uint_eq(seen.n, 1); /* and once */
    w.api->timeout_free(timeout);
    world_done(&w);
}
END_TEST

START_TEST(timeout_in_the_past_is_due_at_once)
{
    struct world w;
    world_init(&w, _i == 1);
    struct seen seen = {.api = w.api, .free_inside = true};
    struct timeval tv = {.tv_sec = 1};
    ck_assert_ptr_nonnull(w.api->timeout_new(w.api, &tv, on_timeout, &seen));
    world_run(&w, &seen.is_called, 5000);
    ck_assert_uint_eq(seen.n, 1);
    world_done(&w);
}
END_TEST

START_TEST(timeout_may_be_armed_again_inside_its_callback)
{
    struct world w;
    world_init(&w, _i == 1);
    struct seen seen = {.api = w.api, .rearm = true};
    avahi_elapse_time(&seen.again, 20, 0);
    struct timeval tv;
    AvahiTimeout *timeout =
        w.api->timeout_new(w.api, avahi_elapse_time(&tv, 1, 0), on_timeout, &seen);
    world_run(&w, &seen.is_called, 5000);
    ck_assert_uint_eq(seen.n, 2);
    w.api->timeout_free(timeout);
    world_done(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("avahi_poll");
    TCase *tc = tcase_create("ours and simple-poll");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, readable_descriptor_calls_its_watch, 0, 2);
    tcase_add_loop_test(tc, one_descriptor_may_be_watched_twice, 0, 2);
    tcase_add_loop_test(tc, watch_may_be_freed_inside_its_callback, 0, 2);
    tcase_add_loop_test(tc, updated_watch_waits_for_what_it_was_updated_to, 0, 2);
    tcase_add_test(tc, flooded_watch_rests);
    tcase_add_test(tc, timeouts_that_are_always_due_leave_the_loop_to_others);
    tcase_add_loop_test(tc, timeout_of_null_is_disarmed_and_can_be_armed, 0, 2);
    tcase_add_loop_test(tc, timeout_in_the_past_is_due_at_once, 0, 2);
    tcase_add_loop_test(tc, timeout_may_be_armed_again_inside_its_callback, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
