/* One connection: bytes between its socket and its session.
 *
 * Happy path: link_begin() makes the session; on_read() feeds it and hands its messages on;
 * link_flush() drains it into one write per frame. Failures: the socket fails or ends (link_fail()
 * with the kernel's error), the session breaks a rule (its goodbye is flushed, then the link
 * lingers), the timer runs out (handshake, linger), the peer does not read (the session's queue is
 * full). Each ends in link_close(), and the link is freed when its last handle is closed. */
#include <errno.h>
#include <sys/random.h>

#include "mesh/clock.h"
#include "mesh/link_internal.h"
#include "wire/base/mem.h"

/* --- life --------------------------------------------------------------------------------------
 */

static void on_timeout(uv_timer_t *timer)
{
    struct meshd_link *link = timer->data;
    if (link->state == LINK_LINGERING) {
        link_close(link);
    } else {
        link_fail(link, -ETIMEDOUT, CORE_LINK_END_SILENT, WIRE_REASON_TIMEOUT);
    }
}

struct meshd_link *link_new(struct meshd_links *links, uint64_t timeout_ms)
{
    struct meshd_link *link = mem_alloc(1, sizeof(*link));
    if (link == NULL) {
        return NULL;
    }
    link->links = links;
    link->id = links->next_id++;
    list_init(&link->dirty);
    list_init(&link->waiting);
    buf_init(&link->writing, SIZE_MAX / 2); /* bounded by the frame it is taken from */
    int rc = uv_timer_init(links->config.loop, &link->timer);
    ensure(rc == 0);
    link->timer.data = link;
    link->n_handles = 1;
    rc = uv_timer_start(&link->timer, on_timeout, timeout_ms, 0);
    ensure(rc == 0);
    list_push_back(&links->all, &link->node);
    links->n_links++;
    return link;
}

static void link_free(struct meshd_link *link)
{
    struct meshd_links *links = link->links;
    list_remove(&link->node);
    list_remove(&link->dirty);
    links->n_links--;
    link->session = wire_session_free(link->session);
    buf_done(&link->writing);
    explicit_bzero(&link->invitation, sizeof(link->invitation));
    if (link->source != NULL) {
        source_account(&links->sources, link->source, link->bytes, 0);
        source_unref(&links->sources, link->source, meshd_clock_ns());
    }
    mem_free(link);
    listener_retry(links);
    links_maybe_closed(links);
}

void link_handle_closed(uv_handle_t *handle)
{
    struct meshd_link *link = handle->data;
    ensure(link->n_handles > 0);
    link->n_handles--;
    if (link->n_handles == 0) {
        link_free(link);
    }
}

/* Leaves the state in which others count on it. */
static void link_leave(struct meshd_link *link)
{
    if (link->state == LINK_UP) {
        table_remove(&link->links->up, &link->by_id);
    } else if (link->state == LINK_HANDSHAKE && link->dial == 0) {
        ensure(link->source != NULL); /* as of each that came in */
        link->links->n_handshakes--;
        link->source->n_handshakes--;
    }
    list_remove(&link->waiting);
}

void link_close(struct meshd_link *link)
{
    if (link->state == LINK_CLOSED) {
        return;
    }
    link_leave(link);
    bool has_socket = link->state >= LINK_CONNECTING;
    link->state = LINK_CLOSED;
    if (link->is_counted) {
        ensure(link->source != NULL);
        link->is_counted = false;
        link->source->n_accepted--;
        link->links->n_accepted--;
    }
    list_remove(&link->dirty);
    uv_close((uv_handle_t *)&link->timer, link_handle_closed);
    if (has_socket) {
        uv_close((uv_handle_t *)&link->tcp, link_handle_closed);
    }
    if (link->lookup != NULL) {
        lookup_drop(STEAL(link->lookup));
    }
}

/* --- what the core is told ---------------------------------------------------------------------
 */

static void tell_dial_failed(struct meshd_link *link, int error, enum wire_reason reason)
{
    const struct wire_hello *peer = link->session != NULL ? wire_session_peer(link->session) : NULL;
    struct core_event event = {
        .type = CORE_EVENT_DIAL_FAILED,
        .dial_failed = {.dial = link->dial, .error = error, .reason = reason},
    };
    if (peer != NULL) {
        event.dial_failed.has_key = true;
        event.dial_failed.key = peer->key;
    }
    meshd_sink_put(&link->links->config.sink, &event);
}

void link_tell_down(struct meshd_link *link, enum core_link_end end, enum wire_reason reason)
{
    struct core_event event = {
        .type = CORE_EVENT_LINK_DOWN,
        .link_down = {.link = link->id, .end = end, .reason = reason},
    };
    meshd_sink_put(&link->links->config.sink, &event);
}

/* Tells the core in the form that the state before calls for; the link must have left it. */
static void tell_end(struct meshd_link *link, enum link_state was, int error,
                     enum core_link_end end, enum wire_reason reason)
{
    if (was == LINK_UP) {
        link_tell_down(link, end, reason);
    } else if (was < LINK_UP && link->dial != 0) {
        tell_dial_failed(link, error, reason);
    }
}

void link_fail(struct meshd_link *link, int error, enum core_link_end end, enum wire_reason reason)
{
    enum link_state was = link->state;
    link_close(link);
    tell_end(link, was, error, end, reason);
}

static enum core_link_end end_of_error(int error)
{
    return error == UV_ETIMEDOUT || error == UV_EHOSTUNREACH || error == UV_ENETUNREACH ||
                   error == UV_ENETDOWN
               ? CORE_LINK_END_SILENT
               : CORE_LINK_END_CLOSED;
}

static void tell_up(struct meshd_link *link)
{
    const struct wire_hello *peer = wire_session_peer(link->session);
    struct sockaddr_storage address = link->remote;
    if (link->dial == 0) {
        meshd_address_set_port(&address, (uint16_t)peer->port);
    }
    char text[MESHD_ADDRESS_BYTES];
    struct core_event event = {
        .type = CORE_EVENT_LINK_UP,
        .link_up =
            {
                .link = link->id,
                .dial = link->dial,
                .key = peer->key,
                .epoch = peer->epoch,
                .incarnation = peer->incarnation,
                .protocol = wire_session_version(link->session),
                .cores = peer->cores,
                .name = peer->name,
                .arch = peer->arch,
                .os = peer->os,
                .program = peer->program,
                .is_on_link = link->is_on_link,
                .door = wire_session_door(link->session),
            },
    };
    if (event.link_up.door == WIRE_DOOR_INVITATION) {
        event.link_up.token = *wire_session_invitation(link->session);
    }
    if (link->dial != 0 || (peer->port > 0 && peer->port <= UINT16_MAX)) {
        event.link_up.address = slice_str(meshd_address_format(&address, text));
    }
    meshd_sink_put(&link->links->config.sink, &event);
    explicit_bzero(&event.link_up.token, sizeof(event.link_up.token));
}

/* --- goodbye -----------------------------------------------------------------------------------
 */

void link_mark_dirty(struct meshd_link *link)
{
    if (link->n_lazy > 0) {
        list_remove(&link->dirty);
        link->n_lazy = 0;
    }
    if (!list_is_linked(&link->dirty)) {
        list_push_back(&link->links->dirty, &link->dirty);
    }
}

void link_mark_lazy(struct meshd_link *link)
{
    if (!list_is_linked(&link->dirty)) {
        list_push_back(&link->links->lazy, &link->dirty);
        link->lazy_ns = meshd_clock_ns();
        link->n_lazy = 1;
    } else if (link->n_lazy > 0) {
        link->n_lazy++; /* else it is flushed in this turn anyway */
    }
}

/* The other side closes when it read the goodbye; what it sends till then is dropped. Closing at
 * once could reset the connection and take the goodbye with it. */
static void shut_down(struct meshd_link *link)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&link->tcp, &fd) == 0) {
        IGNORE(shutdown(fd, SHUT_WR)); /* fails when the peer is gone: fine */
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void read_on(struct meshd_link *link)
{
    if (link->is_paused) {
        link->is_paused = false;
        int rc = uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read);
        ensure(rc == 0); /* it was read before */
    }
}

void link_linger(struct meshd_link *link)
{
    link_leave(link);
    link->state = LINK_LINGERING;
    int rc = uv_timer_start(&link->timer, on_timeout, LINK_LINGER_MS, 0);
    ensure(rc == 0);
    read_on(link); /* to the end, or closing resets it */
    link_mark_dirty(link);
}

static void session_failed(struct meshd_link *link)
{
    enum link_state was = link->state;
    enum wire_reason reason = wire_session_reason(link->session);
    link_linger(link);
    tell_end(link, was, -EPROTO, CORE_LINK_END_FAILED, reason);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct meshd_link *link = handle->data;
    *ret_buf = uv_buf_init((char *)link->links->read_bytes, LINK_READ_BYTES);
}

/* The handshake may have just ended well. */
static void check_up(struct meshd_link *link)
{
    if (link->state != LINK_HANDSHAKE || wire_session_state(link->session) != WIRE_SESSION_UP) {
        return;
    }
    link_leave(link);
    link->state = LINK_UP;
    table_insert(&link->links->up, &link->by_id, &link->id);
    IGNORE(uv_timer_stop(&link->timer)); /* always 0 */
    tell_up(link);
}

static bool is_turn_over(const struct meshd_link *link)
{
    const struct meshd_links *links = link->links;
    return link->source->spent_ns >= MESHD_TURN_SOURCE_NS || links->spent_ns >= MESHD_TURN_NS;
}

/* Counts what passed since then, and gives the time it is now. */
static uint64_t spend(struct meshd_link *link, uint64_t since_ns)
{
    uint64_t now_ns = meshd_clock_ns();
    if (link->source->turn != link->links->turn) {
        link->source->turn = link->links->turn;
        link->source->spent_ns = 0;
    }
    link->source->spent_ns += now_ns - since_ns;
    link->links->spent_ns += now_ns - since_ns;
    source_spend(link->source, now_ns - since_ns, now_ns, link->links->config.n_processors);
    return now_ns;
}

/* The next message, to the core. 1: there may be more; 0: none, or the link is no more. */
static int take_message(struct meshd_link *link)
{
    struct wire_message message;
    enum wire_reason reason;
    struct errmsg err;
    int rc = wire_session_next(link->session, &message, &reason, &err);
    check_up(link);
    if (link->state != LINK_UP && link->state != LINK_HANDSHAKE) {
        return 0;
    }
    if (rc < 0) {
        session_failed(link);
        return 0;
    }
    if (rc == 0 || message.type == WIRE_MESSAGE_GOODBYE) {
        return 0; /* after a goodbye the session has ended; link_go_on() sees it */
    }
    struct core_event event = {
        .type = CORE_EVENT_MESSAGE,
        .message = {.link = link->id, .message = &message},
    };
    meshd_sink_put(&link->links->config.sink, &event);
    return link->state == LINK_UP; /* else the core closed it over this message */
}

/* The rest is left for its next turn; until then nothing is read, and the peer has to wait. What
 * was begun on the strength of an unchecked signature is not left so. */
static void wait_for_turn(struct meshd_link *link)
{
    enum wire_reason reason;
    struct errmsg err;
    if (wire_session_check(link->session, &reason, &err) < 0) {
        session_failed(link);
        return;
    }
    IGNORE(uv_read_stop((uv_stream_t *)&link->tcp)); /* always 0 */
    link->is_paused = true;
    struct meshd_source *source = link->source;
    list_push_back(&source->waiting, &link->waiting);
    if (!list_is_linked(&source->in_turn)) {
        list_push_back(&link->links->turns, &source->in_turn);
    }
}

bool link_is_resting(const struct meshd_link *link, uint64_t now_ns)
{
    static const struct wire_key nobody;
    const struct meshd_links_config *config = &link->links->config;
    const struct wire_hello *peer = wire_session_peer(link->session);
    return config->is_wanted != NULL && source_rest_ns(link->source, now_ns) > 0 &&
           config->is_wanted(config->is_wanted_user, peer != NULL ? &peer->key : &nobody);
}

void link_go_on(struct meshd_link *link)
{
    uint64_t since_ns = spend(link, meshd_clock_ns());
    bool is_resting = link_is_resting(link, since_ns);
    int rc = 1;
    while (rc > 0 && !is_resting && !is_turn_over(link)) {
        rc = take_message(link);
        since_ns = spend(link, since_ns);
    }
    if (link->state != LINK_UP && link->state != LINK_HANDSHAKE) {
        return;
    }
    if (rc > 0) {
        wait_for_turn(link);
    } else if (wire_session_state(link->session) == WIRE_SESSION_ENDED) {
        link_fail(link, -EPROTO, CORE_LINK_END_CLOSED, wire_session_reason(link->session));
    } else {
        read_on(link);
    }
}

bool link_account(struct meshd_link *link)
{
    size_t before = link->bytes;
    link->bytes = wire_session_held_bytes(link->session) + link->writing.cap;
    if (!source_account(&link->links->sources, link->source, before, link->bytes)) {
        link_fail(link, -ENOBUFS, CORE_LINK_END_FAILED, WIRE_REASON_LIMIT);
        return false;
    }
    return true;
}

static void on_bytes(struct meshd_link *link, struct slice bytes)
{
    bool was_up = link->state == LINK_UP;
    uint64_t since_ns = meshd_clock_ns();
    enum wire_reason reason;
    struct errmsg err;
    if (wire_session_feed(link->session, bytes, &reason, &err) < 0) {
        session_failed(link);
        return;
    }
    spend(link, since_ns);
    check_up(link);
    if ((link->state != LINK_UP && link->state != LINK_HANDSHAKE) || !link_account(link)) {
        return;
    }
    link_go_on(link);
    /* The handshake answers by itself; all else was marked, as urgent or not, when it was queued.
     */
    if (!was_up && link->state != LINK_CLOSED && wire_session_has_output(link->session)) {
        link_mark_dirty(link);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct meshd_link *link = stream->data;
    if (n == 0) {
        return;
    }
    if (n < 0) {
        if (link->state == LINK_LINGERING) {
            link_close(link);
        } else {
            int error = n == UV_EOF ? -ECONNRESET : (int)n;
            link_fail(link, error, end_of_error((int)n), wire_session_reason(link->session));
        }
        return;
    }
    if (link->state == LINK_UP || link->state == LINK_HANDSHAKE) {
        on_bytes(link, slice_of(buf->base, (size_t)n));
    }
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void on_written(uv_write_t *req, int status)
{
    struct meshd_link *link = req->data;
    link->is_writing = false;
    buf_done(&link->writing);
    if (link->state == LINK_CLOSED || !link_account(link)) {
        return;
    }
    if (status < 0) {
        link_fail(link, status, end_of_error(status), WIRE_REASON_NONE);
        return;
    }
    link_flush(link);
}

/* Writes one frame that stands in links->frame. Returns false when the link is closed by it. */
static bool write_frame(struct meshd_link *link)
{
    struct buf *frame = &link->links->frame;
    uv_stream_t *stream = (uv_stream_t *)&link->tcp;
    uv_buf_t all = uv_buf_init((char *)frame->p, (unsigned)frame->n);
    int n = uv_try_write(stream, &all, 1);
    if (n == UV_EAGAIN) {
        n = 0;
    }
    if (n < 0) {
        link_fail(link, n, end_of_error(n), WIRE_REASON_NONE);
        return false;
    }
    if ((size_t)n == frame->n) {
        return true;
    }
    /* The rest goes with the link: the shared buffer is needed for others meanwhile. */
    link->writing = *frame;
    buf_init(frame, link->writing.bytes_max);
    uv_buf_t rest =
        uv_buf_init((char *)link->writing.p + n, (unsigned)(link->writing.n - (size_t)n));
    link->write_req.data = link;
    link->is_writing = true;
    int rc = uv_write(&link->write_req, stream, &rest, 1, on_written);
    if (rc < 0) {
        link->is_writing = false;
        link_fail(link, rc, end_of_error(rc), WIRE_REASON_NONE);
        return false;
    }
    return true;
}

void link_flush(struct meshd_link *link)
{
    struct meshd_links *links = link->links;
    list_remove(&link->dirty);
    link->n_lazy = 0;
    while (!link->is_writing && wire_session_has_output(link->session)) {
        buf_clear(&links->frame);
        if (wire_session_drain(link->session, &links->frame) < 0) {
            link_fail(link, -ENOMEM, CORE_LINK_END_FAILED, WIRE_REASON_LIMIT);
            return;
        }
        if (links->frame.n == 0 || !write_frame(link)) {
            break;
        }
    }
    if (link->state == LINK_CLOSED || !link_account(link) || link->is_writing) {
        return;
    }
    if (link->state == LINK_LINGERING) {
        shut_down(link);
    } else if (link->state == LINK_UP && links->on_room != NULL) {
        links->on_room(links->on_room_user, link->id);
    }
}

/* --- the session begins ------------------------------------------------------------------------
 */

static int make_session(struct meshd_link *link)
{
    const struct meshd_links_config *config = &link->links->config;
    struct wire_session_config session = {
        .identity = config->identity,
        .door = config->door,
        .is_initiator = link->dial != 0,
        .older = link->older,
        .invitation = link->has_invitation ? &link->invitation : NULL,
        .peer = wire_key_is_zero(&link->peer) ? NULL : &link->peer,
        .hello = config->hello,
    };
    session.hello.port = link->links->port;
    if (link->older > config->door->n_older) {
        return -ECANCELED; /* forgotten since it was dialled */
    }
    if (getrandom(session.random, sizeof(session.random), 0) != sizeof(session.random)) {
        return -EIO;
    }
    link->session = wire_session_new(&session);
    explicit_bzero(session.random, sizeof(session.random));
    explicit_bzero(&link->invitation, sizeof(link->invitation));
    return link->session != NULL ? 0 : -ENOMEM;
}

void link_begin(struct meshd_link *link)
{
    uv_os_fd_t fd;
    int rc = uv_fileno((uv_handle_t *)&link->tcp, &fd);
    if (rc == 0 && link->source == NULL) {
        link->source = source_ref(&link->links->sources, &link->remote, meshd_clock_ns());
        rc = link->source != NULL ? 0 : -ENOMEM;
    }
    if (rc == 0 && link->must_be_on_link) {
        /* From here on, so that the proof itself must come that way. */
        rc = meshd_socket_require_on_link(fd, link->remote.ss_family, true);
        link->is_on_link = rc == 0;
    }
    if (rc == 0) {
        rc = make_session(link);
    }
    if (rc == 0) {
        rc = uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read);
    }
    if (rc < 0) {
        link_fail(link, rc, CORE_LINK_END_FAILED, WIRE_REASON_NONE);
        return;
    }
    link->state = LINK_HANDSHAKE;
    if (link->dial == 0) {
        link->links->n_handshakes++;
        link->source->n_handshakes++;
    }
    link_mark_dirty(link);
}
