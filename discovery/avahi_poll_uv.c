#include "discovery/avahi_poll_uv.h"

#include <avahi-common/timeval.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "wire/base/mem.h"
#include "wire/base/rate.h"

/* How often one watch is called: anybody on the link can send packets to an mDNS responder as fast
 * as the link carries them, and it takes one each time. What is beyond waits in the socket, or is
 * dropped there. Avahi compares each record that comes with all of the last half second, so that a
 * packet costs more the more there are: twice as many a second take four times the processor. Many
 * peers that start at once are a burst; a hundred that are there send some five a second. */
#define CALLS_PER_S 32u
#define CALLS_BURST 256u
#define REST_MS     100u
/* So many timeouts are called one after the other before the loop does something else: some two
 * milliseconds. While there are more, no packets are taken: it is timeouts that make Avahi forget
 * what it compares. */
#define BEHIND_MS   5u
#define STRETCH_MAX 64u

struct avahi_poll_uv {
    AvahiPoll api; /* its userdata is this */
    uv_loop_t *loop;
    uv_prepare_t turn;  /* the loop came around */
    uint32_t n_stretch; /* timeouts that were called since then */
    bool is_behind;     /* some are due and wait for the next turn */
    unsigned n_open;    /* watches and timeouts that libuv holds, and 1 until close was called */
    void (*on_closed)(void *user);
    void *user;
};

struct AvahiWatch {
    uv_poll_t handle;
    uv_timer_t rest;   /* runs while it was called often enough */
    unsigned n_closed; /* of these two */
    struct avahi_poll_uv *poll;
    AvahiWatchEvent wanted;
    uint64_t paid_ns; /* it was called on account up to then */
    bool is_resting;
    int fd;                   /* Avahi's */
    int dup_fd;               /* ours, polled */
    AvahiWatchEvent happened; /* during the callback */
    AvahiWatchCallback callback;
    void *userdata;
    bool is_dead; /* freed by Avahi; waits for libuv */
};

struct AvahiTimeout {
    uv_timer_t handle;
    struct avahi_poll_uv *poll;
    AvahiTimeoutCallback callback;
    void *userdata;
    bool is_dead;
};

static void unref(struct avahi_poll_uv *poll)
{
    ensure(poll->n_open > 0);
    if (--poll->n_open > 0) {
        return;
    }
    void (*on_closed)(void *user) = poll->on_closed;
    void *user = poll->user;
    mem_free(poll);
    if (on_closed != NULL) {
        on_closed(user);
    }
}

/* --- watches --- */

static void watch_arm(AvahiWatch *w, AvahiWatchEvent event);

static void on_rested(uv_timer_t *handle)
{
    AvahiWatch *w = handle->data;
    w->is_resting = false;
    if (!w->is_dead) {
        watch_arm(w, w->wanted);
    }
}

static bool may_call(AvahiWatch *w)
{
    uint64_t now_ns = uv_now(w->poll->loop) * 1000000;
    bool is_behind = w->poll->is_behind;
    if (!is_behind && rate_take(&w->paid_ns, now_ns, CALLS_PER_S, CALLS_BURST)) {
        return true;
    }
    w->is_resting = true;
    IGNORE(uv_poll_stop(&w->handle)); /* always 0 */
    int r = uv_timer_start(&w->rest, on_rested, is_behind ? BEHIND_MS : REST_MS, 0);
    ensure(r == 0);
    return false;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    AvahiWatch *w = handle->data;
    if (w->is_dead || !may_call(w)) {
        return;
    }
    int happened = 0;
    if (status < 0) {
        happened = POLLERR | POLLHUP;
    } else {
        happened |= (events & UV_READABLE) != 0 ? POLLIN : 0;
        happened |= (events & UV_WRITABLE) != 0 ? POLLOUT : 0;
        happened |= (events & UV_DISCONNECT) != 0 ? POLLHUP : 0;
    }
    w->happened = (AvahiWatchEvent)happened;
    /* May free w; its memory stays until libuv's close callback. */
    w->callback(w, w->fd, w->happened, w->userdata);
    w->happened = (AvahiWatchEvent)0;
}

static void watch_arm(AvahiWatch *w, AvahiWatchEvent event)
{
    int events = 0;
    w->wanted = event;
    if (w->is_resting) {
        return;
    }
    events |= (event & AVAHI_WATCH_IN) != 0 ? UV_READABLE : 0;
    events |= (event & AVAHI_WATCH_OUT) != 0 ? UV_WRITABLE : 0;
    events |= (event & AVAHI_WATCH_HUP) != 0 ? UV_DISCONNECT : 0;
    int r = events != 0 ? uv_poll_start(&w->handle, events, on_poll) : uv_poll_stop(&w->handle);
    ensure(r == 0);
}

static AvahiWatch *watch_new(const AvahiPoll *api, int fd, AvahiWatchEvent event,
                             AvahiWatchCallback callback, void *userdata)
{
    struct avahi_poll_uv *poll = api->userdata;
    AvahiWatch *w = mem_alloc(1, sizeof(*w));
    if (w == NULL) {
        return NULL;
    }
    *w = (AvahiWatch){.poll = poll, .fd = fd, .callback = callback, .userdata = userdata};
    w->dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (w->dup_fd < 0) {
        return mem_free(w);
    }
    if (uv_poll_init(poll->loop, &w->handle, w->dup_fd) != 0) {
        IGNORE(close(w->dup_fd)); /* a duplicate: nothing is lost */
        return mem_free(w);
    }
    int r = uv_timer_init(poll->loop, &w->rest);
    ensure(r == 0);
    w->handle.data = w->rest.data = w;
    poll->n_open++;
    watch_arm(w, event);
    return w;
}

static void watch_update(AvahiWatch *w, AvahiWatchEvent event)
{
    ensure(!w->is_dead);
    watch_arm(w, event);
}

static AvahiWatchEvent watch_get_events(AvahiWatch *w)
{
    return w->happened;
}

static void on_watch_closed(uv_handle_t *handle)
{
    AvahiWatch *w = handle->data;
    struct avahi_poll_uv *poll = w->poll;
    if (++w->n_closed == 2) {
        mem_free(w);
        unref(poll);
    }
}

static void watch_free(AvahiWatch *w)
{
    ensure(!w->is_dead);
    w->is_dead = true;
    /* libuv forgets the descriptor here; it may be closed at once. */
    IGNORE(uv_poll_stop(&w->handle)); /* always 0 */
    uv_close((uv_handle_t *)&w->handle, on_watch_closed);
    uv_close((uv_handle_t *)&w->rest, on_watch_closed);
    IGNORE(close(w->dup_fd)); /* a duplicate: nothing is lost */
}

/* --- timeouts --- */

static void on_timer(uv_timer_t *handle)
{
    AvahiTimeout *t = handle->data;
    struct avahi_poll_uv *poll = t->poll;
    if (!t->is_dead) {
        poll->n_stretch++;
        t->callback(t, t->userdata); /* may free t */
    }
}

static void timeout_update(AvahiTimeout *t, const struct timeval *tv)
{
    ensure(!t->is_dead);
    if (tv == NULL) {
        IGNORE(uv_timer_stop(&t->handle)); /* always 0 */
        return;
    }
    /* How long ago it was due; above 0 when overdue. Rounded up, so that it is not early. */
    AvahiUsec age_us = avahi_age(tv);
    uint64_t wait_ms = age_us >= 0 ? 0 : (uint64_t)(-age_us + 999) / 1000;
    t->poll->is_behind = wait_ms == 0 && t->poll->n_stretch >= STRETCH_MAX;
    if (t->poll->is_behind) {
        wait_ms = 1; /* libuv calls what is due at once before it looks at anything else */
    }
    uv_update_time(t->poll->loop);
    int r = uv_timer_start(&t->handle, on_timer, wait_ms, 0);
    ensure(r == 0);
}

static AvahiTimeout *timeout_new(const AvahiPoll *api, const struct timeval *tv,
                                 AvahiTimeoutCallback callback, void *userdata)
{
    struct avahi_poll_uv *poll = api->userdata;
    AvahiTimeout *t = mem_alloc(1, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    *t = (AvahiTimeout){.poll = poll, .callback = callback, .userdata = userdata};
    int r = uv_timer_init(poll->loop, &t->handle);
    ensure(r == 0);
    t->handle.data = t;
    poll->n_open++;
    timeout_update(t, tv);
    return t;
}

static void on_timeout_closed(uv_handle_t *handle)
{
    AvahiTimeout *t = handle->data;
    struct avahi_poll_uv *poll = t->poll;
    mem_free(t);
    unref(poll);
}

static void timeout_free(AvahiTimeout *t)
{
    ensure(!t->is_dead);
    t->is_dead = true;
    uv_close((uv_handle_t *)&t->handle, on_timeout_closed);
}

/* --- the adapter --- */

static void on_turn(uv_prepare_t *handle)
{
    struct avahi_poll_uv *poll = handle->data;
    poll->n_stretch = 0;
}

struct avahi_poll_uv *avahi_poll_uv_new(uv_loop_t *loop)
{
    struct avahi_poll_uv *poll = mem_alloc(1, sizeof(*poll));
    if (poll == NULL) {
        return NULL;
    }
    *poll = (struct avahi_poll_uv){
        .api = {.userdata = poll,
                .watch_new = watch_new,
                .watch_update = watch_update,
                .watch_get_events = watch_get_events,
                .watch_free = watch_free,
                .timeout_new = timeout_new,
                .timeout_update = timeout_update,
                .timeout_free = timeout_free},
        .loop = loop,
        .n_open = 1,
    };
    int r = uv_prepare_init(loop, &poll->turn);
    ensure(r == 0);
    poll->turn.data = poll;
    r = uv_prepare_start(&poll->turn, on_turn);
    ensure(r == 0); /* fails only without a callback */
    return poll;
}

const AvahiPoll *avahi_poll_uv_api(struct avahi_poll_uv *poll)
{
    return &poll->api;
}

static void on_turn_closed(uv_handle_t *handle)
{
    unref(handle->data);
}

void avahi_poll_uv_close(struct avahi_poll_uv *poll, void (*on_closed)(void *user), void *user)
{
    poll->on_closed = on_closed;
    poll->user = user;
    uv_close((uv_handle_t *)&poll->turn, on_turn_closed); /* so on_closed runs from the loop */
}
