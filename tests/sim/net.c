/* Hosts on a network. A connection is two ends; what an end sends is a segment that arrives after
 * a while and never overtakes another. A way that is cut keeps what is sent, as TCP would, and lets
 * it go some time after it was mended; or the sender's kernel gives up. */
#include <errno.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"
#include "wire/key.h"
#include "wire/message_codec.h"

#define HANDSHAKE_NS (3 * SIM_S)     /* for a peer that dialled us to prove itself */
#define FLUSH_NS     UINT64_C(20000) /* what is sent within this time shares a frame */

static void end_flush(struct sim *sim, struct sim_conn *conn, struct sim_end *end);

/* --- connections -------------------------------------------------------------------------------
 */

struct sim_conn *net_conn(const struct sim *sim, uint64_t id)
{
    struct table_entry *entry = table_find(&sim->conns, &id);
    return entry != NULL ? LIST_ENTRY(entry, struct sim_conn, by_id) : NULL;
}

uint64_t net_link(const struct sim_conn *conn, const struct sim_end *end)
{
    return conn->id * 2 + (end == &conn->ends[1]);
}

struct sim_end *net_end(const struct sim *sim, uint64_t link, struct sim_conn **ret_conn)
{
    *ret_conn = net_conn(sim, link / 2);
    return *ret_conn != NULL ? &(*ret_conn)->ends[link % 2] : NULL;
}

static struct sim_end *other_end(struct sim_conn *conn, const struct sim_end *end)
{
    return end == &conn->ends[0] ? &conn->ends[1] : &conn->ends[0];
}

static void drop_list(struct sim *sim, struct list *events)
{
    while (!list_is_empty(events)) {
        sim_event_free(sim, LIST_ENTRY(events->next, struct sim_event, parked));
    }
}

static void end_close(struct sim *sim, struct sim_end *end)
{
    if (end->state == SIM_END_NONE || end->state == SIM_END_CLOSED) {
        return;
    }
    end->state = SIM_END_CLOSED;
    list_remove(&end->of_node);
    list_remove(&end->dirty);
    end->session = wire_session_free(end->session);
    buf_done(&end->out);
    while (!list_is_empty(&end->serves)) {
        struct sim_serve *serve = LIST_ENTRY(end->serves.next, struct sim_serve, node);
        list_remove(&serve->node);
        mem_free(serve);
    }
}

static void conn_maybe_free(struct sim *sim, struct sim_conn *conn)
{
    for (unsigned i = 0; i < 2; i++) {
        if (conn->ends[i].state != SIM_END_CLOSED) {
            return;
        }
    }
    drop_list(sim, &conn->ends[0].stuck);
    drop_list(sim, &conn->ends[1].stuck);
    table_remove(&sim->conns, &conn->by_id);
    mem_free(conn);
}

static struct sim_conn *conn_new(struct sim *sim, struct sim_node *from, struct sim_node *to)
{
    struct sim_conn *conn = mem_alloc_or_die(1, sizeof(*conn));
    conn->id = sim->next_conn++;
    conn->ends[0].node = from;
    conn->ends[1].node = to;
    for (unsigned i = 0; i < 2; i++) {
        struct sim_end *end = &conn->ends[i];
        end->conn = conn->id;
        end->life = end->node != NULL ? end->node->life : 0;
        list_init(&end->of_node);
        list_init(&end->dirty);
        list_init(&end->serves);
        list_init(&end->stuck);
        buf_init(&end->out, WIRE_QUEUE_BYTES_MAX);
    }
    table_insert(&sim->conns, &conn->by_id, &conn->id);
    return conn;
}

static void make_session(struct sim *sim, struct sim_conn *conn, struct sim_end *end)
{
    struct sim_node *node = end->node;
    end->state = SIM_END_HANDSHAKE;
    if (!list_is_linked(&end->of_node)) {
        list_push_back(&node->ends, &end->of_node);
    }
    if (sim->transport == SIM_TRANSPORT_BARE) {
        return;
    }
    if (end == &conn->ends[0] && node->door != NULL && conn->older > node->door->n_older) {
        conn->older = 0; /* that secret is forgotten; the dial ends in a moment */
    }
    const struct core_config *config = &node->config;
    struct wire_session_config session = {
        .identity = node->identity,
        .door = node->door != NULL ? node->door : sim->door,
        .is_initiator = end == &conn->ends[0],
        .hello =
            {
                .version_min = node->is_version_odd ? 1000 : WIRE_VERSION_MIN,
                .version_max = node->is_version_odd   ? 1000
                               : node->is_version_old ? WIRE_VERSION_MIN
                                                      : WIRE_VERSION_MAX,
                .epoch = config->epoch,
                .incarnation = config->incarnation,
                .cores = node->cores_told,
                .port = NET_PORT,
                .name = slice_str(node->name),
                .arch = slice_str(config->arch),
                .os = slice_str(config->os),
                .program = slice_str(config->program),
            },
    };
    if (session.is_initiator) {
        session.older = conn->older;
        session.invitation = conn->has_invitation ? &conn->token : NULL;
        session.peer = wire_key_is_zero(&conn->key) ? NULL : &conn->key;
    }
    for (unsigned i = 0; i < sizeof(session.random); i++) {
        session.random[i] = (uint8_t)dice_next(&sim->dice);
    }
    end->session = wire_session_new(&session);
    ensure(end->session != NULL);
    end_flush(sim, conn, end);
}

/* --- ends that break ---------------------------------------------------------------------------
 */

static void dial_failed(struct sim *sim, struct sim_end *end, int error, enum wire_reason reason)
{
    const struct wire_hello *peer = end->session != NULL ? wire_session_peer(end->session) : NULL;
    struct core_event event = {.type = CORE_EVENT_DIAL_FAILED};
    event.dial_failed.dial = end->dial;
    event.dial_failed.error = error;
    event.dial_failed.reason = reason;
    if (peer != NULL) {
        event.dial_failed.has_key = true;
        event.dial_failed.key = peer->key;
    }
    end_close(sim, end);
    sim_step(sim, end->node, &event);
}

/* The daemon hears that its end is gone. */
static void end_gone(struct sim *sim, struct sim_conn *conn, struct sim_end *end, int error,
                     enum core_link_end how, enum wire_reason reason)
{
    enum sim_end_state was = end->state;
    if (was == SIM_END_UP) {
        end_close(sim, end);
        shell_down(sim, conn, end, how, reason);
    } else if ((was == SIM_END_HANDSHAKE || was == SIM_END_DIALLING) && end->dial != 0) {
        dial_failed(sim, end, error, reason);
    } else {
        end_close(sim, end);
    }
    conn_maybe_free(sim, conn);
}

/* a: link, b: how, c: errno. */
static void gone_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn;
    struct sim_end *end = net_end(sim, event->a, &conn);
    if (end != NULL) {
        end_gone(sim, conn, end, -(int)event->c, (enum core_link_end)event->b, WIRE_REASON_NONE);
    }
}

static void tell_gone(struct sim *sim, struct sim_conn *conn, struct sim_end *end, uint64_t in_ns,
                      enum core_link_end how, int error)
{
    if (end->state == SIM_END_NONE || end->state == SIM_END_CLOSED) {
        return;
    }
    struct sim_event *event = sim_event_new(sim, SIM_DAEMON, end->node, in_ns, gone_fire);
    event->a = net_link(conn, end);
    event->b = how;
    event->c = (uint64_t)error;
}

void net_end_handshakes(struct sim *sim, struct sim_node *node)
{
    list_for_each (at, &node->ends) {
        struct sim_end *end = LIST_ENTRY(at, struct sim_end, of_node);
        if (end->state == SIM_END_HANDSHAKE) {
            tell_gone(sim, net_conn(sim, end->conn), end, 0, CORE_LINK_END_FAILED, ECANCELED);
        }
    }
}

/* Data came for an end that is gone: its host says so, if it can. */
static void answer_reset(struct sim *sim, struct sim_conn *conn, struct sim_end *gone)
{
    struct sim_end *end = other_end(conn, gone);
    if (end->node != NULL && net_is_open(sim, gone->node, end->node)) {
        tell_gone(sim, conn, end, net_latency_ns(sim, gone->node, end->node), CORE_LINK_END_CLOSED,
                  ECONNRESET);
    }
}

void net_break(struct sim *sim, struct sim_conn *conn, bool is_told_0, bool is_told_1)
{
    for (unsigned i = 0; i < 2; i++) {
        struct sim_end *end = &conn->ends[i];
        drop_list(sim, &end->stuck);
        if (i == 0 ? is_told_0 : is_told_1) {
            tell_gone(sim, conn, end, dice_roll(&sim->dice, 5 * SIM_MS), CORE_LINK_END_CLOSED,
                      ECONNRESET);
        }
    }
}

void net_node_gone(struct sim *sim, struct sim_node *node, bool is_power)
{
    while (!list_is_empty(&node->ends)) {
        struct sim_end *end = LIST_ENTRY(node->ends.next, struct sim_end, of_node);
        struct sim_conn *conn = net_conn(sim, end->conn);
        end_close(sim, end);
        if (!is_power) {
            answer_reset(sim, conn, end);
        }
        conn_maybe_free(sim, conn);
    }
}

/* --- segments ----------------------------------------------------------------------------------
 */

/* a: link of the sender, b: whether the stream ends here. */
static void segment_fire(struct sim *sim, struct sim_event *event);

/* a: link, b: since when it is stuck. */
static void give_up_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn;
    struct sim_end *end = net_end(sim, event->a, &conn);
    if (end != NULL && end->stuck_ns == event->b && !list_is_empty(&end->stuck)) {
        tell_gone(sim, conn, end, 0, CORE_LINK_END_SILENT, ETIMEDOUT);
    }
}

static void get_stuck(struct sim *sim, struct sim_conn *conn, struct sim_end *from,
                      struct sim_event *segment)
{
    heap_remove(&sim->queue, &segment->at);
    if (list_is_empty(&from->stuck)) {
        from->stuck_ns = sim->now_ns;
        struct sim_event *event =
            sim_event_new(sim, SIM_HOST, from->node, 2 * sim->dead_after_ns, give_up_fire);
        event->a = net_link(conn, from);
        event->b = from->stuck_ns;
    }
    list_push_back(&from->stuck, &segment->parked);
}

static void send_segment(struct sim *sim, struct sim_conn *conn, struct sim_end *from,
                         struct slice bytes, bool is_end)
{
    struct sim_end *to = other_end(conn, from);
    uint64_t bandwidth = from->node->bandwidth;
    if (to->node->bandwidth > 0 && (bandwidth == 0 || to->node->bandwidth < bandwidth)) {
        bandwidth = to->node->bandwidth;
    }
    uint64_t line_ns = from->line_ns > sim->now_ns ? from->line_ns : sim->now_ns;
    from->line_ns = line_ns + (bandwidth > 0 ? bytes.n * SIM_S / bandwidth : bytes.n * 8);
    uint64_t at_ns = from->line_ns + net_latency_ns(sim, from->node, to->node);
    from->arrival_ns = at_ns > from->arrival_ns ? at_ns : from->arrival_ns;
    struct sim_event *event =
        sim_event_new(sim, SIM_WORLD, NULL, from->arrival_ns - sim->now_ns, segment_fire);
    event->a = net_link(conn, from);
    event->b = is_end;
    event->bytes = mem_dup(bytes.p, bytes.n);
    event->n_bytes = bytes.n;
    sim->report.n_frames++;
    sim->report.n_bytes += bytes.n;
    if (!list_is_empty(&from->stuck)) {
        get_stuck(sim, conn, from, event);
    }
}

void net_mended(struct sim *sim)
{
    table_for_each (entry, &sim->conns) {
        struct sim_conn *conn = LIST_ENTRY(entry, struct sim_conn, by_id);
        for (unsigned i = 0; i < 2; i++) {
            struct sim_end *from = &conn->ends[i];
            if (list_is_empty(&from->stuck) ||
                !net_is_open(sim, from->node, other_end(conn, from)->node)) {
                continue;
            }
            /* TCP tries again after about as long as it has tried already. */
            uint64_t stuck_ns = sim->now_ns - from->stuck_ns;
            uint64_t pause_ns = dice_roll(&sim->dice, stuck_ns < 5 * SIM_S ? stuck_ns : 5 * SIM_S);
            from->arrival_ns = sim->now_ns + pause_ns + NET_LOSS_DELAY_NS / 10;
            while (!list_is_empty(&from->stuck)) {
                struct sim_event *segment = LIST_ENTRY(from->stuck.next, struct sim_event, parked);
                list_remove(&segment->parked);
                heap_set(&sim->queue, &segment->at, from->arrival_ns);
            }
        }
    }
}

static void end_of_stream(struct sim *sim, struct sim_conn *conn, struct sim_end *to)
{
    enum wire_reason reason =
        to->session != NULL ? wire_session_reason(to->session) : WIRE_REASON_NONE;
    end_gone(sim, conn, to, -ECONNRESET, CORE_LINK_END_CLOSED, reason);
}

static bool is_open_end(const struct sim_end *end)
{
    return end->state == SIM_END_UP || end->state == SIM_END_HANDSHAKE;
}

/* As the daemon's link does: a session that comes up is told of before its first message. */
static void check_up(struct sim *sim, struct sim_conn *conn, struct sim_end *end)
{
    if (end->state == SIM_END_HANDSHAKE && wire_session_state(end->session) == WIRE_SESSION_UP) {
        end->state = SIM_END_UP;
        shell_up(sim, conn, end);
    }
}

static void session_failed(struct sim *sim, struct sim_conn *conn, struct sim_end *end)
{
    enum wire_reason reason = wire_session_reason(end->session);
    end_flush(sim, conn, end); /* what it has to say about it */
    send_segment(sim, conn, end, slice_of(NULL, 0), true);
    end_gone(sim, conn, end, -EPROTO, CORE_LINK_END_FAILED, reason);
}

/* False: the end is not there any more. */
static bool take_messages(struct sim *sim, uint64_t link)
{
    for (;;) {
        struct sim_conn *conn;
        struct sim_end *end = net_end(sim, link, &conn);
        if (end == NULL || !is_open_end(end) || !sim_node_runs(end->node)) {
            return false;
        }
        struct wire_message message;
        enum wire_reason reason;
        struct errmsg err;
        int rc = wire_session_next(end->session, &message, &reason, &err);
        check_up(sim, conn, end);
        end = net_end(sim, link, &conn);
        if (end == NULL || !is_open_end(end)) {
            return false;
        }
        if (rc < 0) {
            session_failed(sim, conn, end);
            return false;
        }
        if (rc == 0 || message.type == WIRE_MESSAGE_GOODBYE) {
            return true;
        }
        shell_message(sim, conn, end, &message);
    }
}

static void take_bare(struct sim *sim, uint64_t link, struct slice bytes)
{
    struct arena arena;
    arena_init(&arena, WIRE_ARENA_BYTES_MAX);
    while (bytes.n > 0) {
        struct sim_conn *conn;
        struct sim_end *end = net_end(sim, link, &conn);
        if (end == NULL || end->state != SIM_END_UP) {
            break;
        }
        struct wire_message message;
        struct errmsg err;
        int r = wire_message_decode(&bytes, &arena, &message, &err);
        ensure(r == 0);
        shell_message(sim, conn, end, &message);
        arena_clear(&arena);
    }
    arena_done(&arena);
}

static void take_bytes(struct sim *sim, struct sim_conn *conn, struct sim_end *end,
                       struct slice bytes)
{
    uint64_t link = net_link(conn, end);
    if (sim->transport == SIM_TRANSPORT_BARE) {
        take_bare(sim, link, bytes);
        return;
    }
    enum wire_reason reason;
    struct errmsg err;
    if (wire_session_feed(end->session, bytes, &reason, &err) < 0) {
        session_failed(sim, conn, end);
        return;
    }
    check_up(sim, conn, end);
    if (!take_messages(sim, link)) {
        return;
    }
    end = net_end(sim, link, &conn);
    if (end == NULL || !is_open_end(end)) {
        return;
    }
    if (wire_session_state(end->session) == WIRE_SESSION_ENDED) {
        end_of_stream(sim, conn, end);
    } else if (wire_session_has_output(end->session)) {
        end_flush(sim, conn, end);
    }
}

static void segment_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn;
    struct sim_end *from = net_end(sim, event->a, &conn);
    if (from == NULL) {
        return;
    }
    struct sim_end *to = other_end(conn, from);
    if (!net_is_open(sim, from->node, to->node)) {
        get_stuck(sim, conn, from, event);
        return;
    }
    if (to->state == SIM_END_CLOSED || to->life != to->node->life) {
        answer_reset(sim, conn, to);
        return;
    }
    if (to->node->is_frozen) {
        list_push_back(&to->node->parked, &event->parked);
        return;
    }
    if (event->n_bytes > 0) {
        uint64_t link = net_link(conn, to);
        take_bytes(sim, conn, to, slice_of(event->bytes, event->n_bytes));
        to = net_end(sim, link, &conn);
    }
    if (event->b != 0 && to != NULL && is_open_end(to)) {
        end_of_stream(sim, conn, to);
    }
}

/* --- sending -----------------------------------------------------------------------------------
 */

static void end_flush(struct sim *sim, struct sim_conn *conn, struct sim_end *end)
{
    list_remove(&end->dirty);
    if (sim->transport == SIM_TRANSPORT_BARE) {
        if (end->out.n > 0) {
            send_segment(sim, conn, end, buf_slice(&end->out), false);
            buf_done(&end->out); /* a thousand cores have too many to keep what one burst took */
            buf_init(&end->out, WIRE_QUEUE_BYTES_MAX);
        }
        return;
    }
    while (end->session != NULL && wire_session_has_output(end->session)) {
        buf_clear(&sim->wire_bytes);
        int r = wire_session_drain(end->session, &sim->wire_bytes);
        ensure(r == 0);
        send_segment(sim, conn, end, buf_slice(&sim->wire_bytes), false);
    }
}

static void flush_fire(struct sim *sim, struct sim_event *event)
{
    event->node->is_flush_due = false;
    net_flush(sim, event->node);
}

void net_flush(struct sim *sim, struct sim_node *node)
{
    while (!list_is_empty(&node->dirty)) {
        struct sim_end *end = LIST_ENTRY(node->dirty.next, struct sim_end, dirty);
        end_flush(sim, net_conn(sim, end->conn), end);
    }
}

void net_send(struct sim *sim, struct sim_conn *conn, struct sim_end *end,
              const struct wire_message *message, bool is_bulk)
{
    sim->report.n_messages++;
    if (sim->transport == SIM_TRANSPORT_BARE) {
        int r = wire_message_encode(message, &end->out);
        ensure(r == 0);
    } else {
        int r = wire_session_send(end->session, message, is_bulk);
        ensure(r == 0);
    }
    struct sim_node *node = end->node;
    if (!list_is_linked(&end->dirty)) {
        list_push_back(&node->dirty, &end->dirty);
    }
    if (!node->is_flush_due) {
        node->is_flush_due = true;
        sim_event_new(sim, SIM_DAEMON, node, FLUSH_NS, flush_fire);
    }
}

void net_close(struct sim *sim, uint64_t link, enum wire_reason reason, struct slice text)
{
    struct sim_conn *conn;
    struct sim_end *end = net_end(sim, link, &conn);
    if (end == NULL || end->state != SIM_END_UP) {
        return;
    }
    if (end->session != NULL) {
        wire_session_close(end->session, reason, text);
    }
    end_flush(sim, conn, end);
    send_segment(sim, conn, end, slice_of(NULL, 0), true);
    end_close(sim, end);
    shell_down(sim, conn, end, CORE_LINK_END_BY_US, reason);
    conn_maybe_free(sim, conn);
}

/* --- dialling ----------------------------------------------------------------------------------
 */

/* a: link. The dialled end has had enough of a handshake. */
static void handshake_late_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn;
    struct sim_end *end = net_end(sim, event->a, &conn);
    if (end != NULL && end->state == SIM_END_HANDSHAKE) {
        end_gone(sim, conn, end, -ETIMEDOUT, CORE_LINK_END_SILENT, WIRE_REASON_TIMEOUT);
    }
}

/* a: conn. */
static void dial_late_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn = net_conn(sim, event->a);
    if (conn == NULL) {
        return;
    }
    struct sim_end *end = &conn->ends[0];
    if (end->state == SIM_END_HANDSHAKE || end->state == SIM_END_DIALLING) {
        dial_failed(sim, end, -ETIMEDOUT, WIRE_REASON_TIMEOUT);
        if (conn->ends[1].state == SIM_END_NONE) {
            conn->ends[1].state = SIM_END_CLOSED;
        }
        conn_maybe_free(sim, conn);
    }
}

/* a: conn. The dialler hears that it is connected, and speaks first. */
static void connected_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn = net_conn(sim, event->a);
    if (conn == NULL || conn->ends[0].state != SIM_END_DIALLING) {
        return;
    }
    make_session(sim, conn, &conn->ends[0]);
    if (sim->transport == SIM_TRANSPORT_BARE) {
        conn->ends[0].state = SIM_END_UP;
        shell_up(sim, conn, &conn->ends[0]);
    }
}

/* a: conn. */
static void refused_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn = net_conn(sim, event->a);
    if (conn == NULL || conn->ends[0].state != SIM_END_DIALLING) {
        return;
    }
    conn->ends[1].state = SIM_END_CLOSED;
    dial_failed(sim, &conn->ends[0], -ECONNREFUSED, WIRE_REASON_NONE);
    conn_maybe_free(sim, conn);
}

/* a: conn. The dialled daemon takes the connection. */
static void accept_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn = net_conn(sim, event->a);
    if (conn == NULL || conn->ends[1].state != SIM_END_NONE) {
        return;
    }
    struct sim_end *end = &conn->ends[1];
    end->life = end->node->life;
    make_session(sim, conn, end);
    struct sim_event *late =
        sim_event_new(sim, SIM_DAEMON, end->node, HANDSHAKE_NS, handshake_late_fire);
    late->a = net_link(conn, end);
    if (sim->transport == SIM_TRANSPORT_BARE) {
        end->state = SIM_END_UP;
        shell_up(sim, conn, end);
    }
}

/* a: conn. The first packet reaches the host. */
static void knock_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn = net_conn(sim, event->a);
    if (conn == NULL) {
        return;
    }
    struct sim_node *from = conn->ends[0].node;
    struct sim_node *to = conn->ends[1].node;
    if (!net_is_open(sim, from, to) || !net_is_open(sim, to, from)) {
        return; /* nobody answers: the dial runs out of time */
    }
    uint64_t back_ns = net_latency_ns(sim, to, from);
    if (to->core == NULL) {
        sim_event_new(sim, SIM_DAEMON, from, back_ns, refused_fire)->a = conn->id;
        return;
    }
    sim_event_new(sim, SIM_DAEMON, to, 0, accept_fire)->a = conn->id;
    sim_event_new(sim, SIM_DAEMON, from, back_ns, connected_fire)->a = conn->id;
}

void net_dial(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    struct sim_node *to = net_node_at(sim, effect->dial.address);
    struct sim_conn *conn = conn_new(sim, node, to);
    conn->ends[0].dial = effect->dial.dial;
    conn->older = effect->dial.older;
    conn->has_invitation = effect->dial.has_invitation;
    conn->token = effect->dial.token;
    conn->key = effect->dial.key;
    conn->ends[0].state = SIM_END_DIALLING;
    list_push_back(&node->ends, &conn->ends[0].of_node);
    struct sim_event *late =
        sim_event_new(sim, SIM_DAEMON, node, effect->dial.timeout_ns, dial_late_fire);
    late->a = conn->id;
    if (to != NULL && to != node) {
        sim_event_new(sim, SIM_WORLD, NULL, net_latency_ns(sim, node, to), knock_fire)->a =
            conn->id;
    }
}

void net_cancel_dial(struct sim *sim, struct sim_node *node, uint64_t dial)
{
    list_for_each (at, &node->ends) {
        struct sim_end *end = LIST_ENTRY(at, struct sim_end, of_node);
        bool is_dialling = end->state == SIM_END_DIALLING || end->state == SIM_END_HANDSHAKE;
        if (end->dial != dial || !is_dialling) {
            continue;
        }
        struct sim_conn *conn = net_conn(sim, end->conn);
        if (end->state == SIM_END_HANDSHAKE) {
            send_segment(sim, conn, end, slice_of(NULL, 0), true);
        } else if (conn->ends[1].state == SIM_END_NONE) {
            conn->ends[1].state = SIM_END_CLOSED;
        }
        end_close(sim, end);
        conn_maybe_free(sim, conn);
        return;
    }
}

void net_free_all(struct sim *sim)
{
    table_for_each (entry, &sim->conns) {
        struct sim_conn *conn = LIST_ENTRY(entry, struct sim_conn, by_id);
        for (unsigned i = 0; i < 2; i++) {
            end_close(sim, &conn->ends[i]);
            conn->ends[i].state = SIM_END_CLOSED;
        }
        conn_maybe_free(sim, conn);
    }
}
