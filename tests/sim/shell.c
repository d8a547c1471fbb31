/* What a daemon's shell does: effects become bytes, programs and blobs; what comes back becomes
 * events. Nothing here steps a core while effects of that core are carried out. */
#include <errno.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

#define CHUNK_BYTES 16384u

static uint8_t zeros[CHUNK_BYTES];

/* --- the store ---------------------------------------------------------------------------------
 */

struct sim_blob *shell_stored(const struct sim_node *node, const struct wire_hash *hash)
{
    struct table_entry *entry = table_find(&node->store, hash);
    return entry != NULL ? LIST_ENTRY(entry, struct sim_blob, by_hash) : NULL;
}

void shell_store(struct sim_node *node, const struct wire_hash *hash, uint64_t n_bytes)
{
    if (shell_stored(node, hash) != NULL) {
        return;
    }
    struct sim_blob *blob = mem_alloc_or_die(1, sizeof(*blob));
    blob->hash = *hash;
    blob->bytes = n_bytes;
    table_insert(&node->store, &blob->by_hash, &blob->hash);
}

void shell_store_drop(struct sim_node *node, const struct wire_hash *hash)
{
    struct sim_blob *blob = shell_stored(node, hash);
    if (blob != NULL) {
        table_remove(&node->store, &blob->by_hash);
        mem_free(blob);
    }
}

/* --- fetching ----------------------------------------------------------------------------------
 */

static struct sim_fetch *fetch_find(struct sim_node *node, const struct wire_hash *hash)
{
    list_for_each (at, &node->fetches) {
        struct sim_fetch *fetch = LIST_ENTRY(at, struct sim_fetch, node);
        if (memcmp(&fetch->hash, hash, sizeof(*hash)) == 0) {
            return fetch;
        }
    }
    return NULL;
}

static void fetch_free(struct sim_fetch *fetch)
{
    list_remove(&fetch->node);
    mem_free(fetch);
}

enum outcome { STORED, FAILED_THERE, FAILED_HERE };

static void fetched(struct sim *sim, struct sim_node *node, const struct wire_hash *hash,
                    enum outcome outcome)
{
    struct sim_fetch *fetch = fetch_find(node, hash);
    if (fetch == NULL) {
        return;
    }
    struct core_event event = {.type = outcome == STORED ? CORE_EVENT_BLOB_STORED
                                                         : CORE_EVENT_BLOB_FAILED};
    struct wire_hash copy = *hash;
    if (outcome == STORED) {
        shell_store(node, hash, fetch->got);
        event.blob_stored.hash = copy;
    } else {
        event.blob_failed.hash = copy;
        event.blob_failed.is_ours = outcome == FAILED_HERE;
    }
    fetch_free(fetch);
    sim_step(sim, node, &event);
}

/* bytes: the hash; a: the outcome. */
static void fetched_fire(struct sim *sim, struct sim_event *event)
{
    fetched(sim, event->node, event->bytes, (enum outcome)event->a);
}

static void fetched_later(struct sim *sim, struct sim_node *node, const struct wire_hash *hash,
                          enum outcome outcome)
{
    struct sim_event *event = sim_event_new(sim, SIM_DAEMON, node, 0, fetched_fire);
    event->bytes = mem_dup(hash, sizeof(*hash));
    event->a = outcome;
}

static void fetch(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    const struct wire_hash *hash = &effect->blob_fetch.hash;
    if (fetch_find(node, hash) != NULL) {
        sim_broken(sim, "%s fetches a blob twice at once", node->name);
    }
    struct sim_fetch *fetch = mem_alloc_or_die(1, sizeof(*fetch));
    fetch->hash = *hash;
    fetch->link = effect->blob_fetch.link;
    fetch->bytes_max = effect->blob_fetch.bytes;
    list_push_back(&node->fetches, &fetch->node);
    struct sim_blob *known = shell_stored(node, hash);
    if (known != NULL) {
        fetch->got = known->bytes;
        fetched_later(sim, node, hash, STORED);
        return;
    }
    if (node->disk_error != 0) {
        fetched_later(sim, node, hash, FAILED_HERE);
        return;
    }
    struct sim_conn *conn;
    struct sim_end *end = net_end(sim, fetch->link, &conn);
    if (end == NULL || end->state != SIM_END_UP) {
        fetched_later(sim, node, hash, FAILED_THERE);
        return;
    }
    struct wire_message want = {.type = WIRE_MESSAGE_BLOB_WANT};
    want.blob_want.hash = *hash;
    want.blob_want.owner = effect->blob_fetch.owner;
    want.blob_want.may_point = effect->blob_fetch.may_point;
    net_send(sim, conn, end, &want, false);
}

/* bytes: the hash. */
static void stopped_fire(struct sim *sim, struct sim_event *event)
{
    struct core_event failed = {.type = CORE_EVENT_BLOB_FAILED};
    failed.blob_failed.hash = *(const struct wire_hash *)event->bytes;
    sim_step(sim, event->node, &failed);
}

static void stop_fetch(struct sim *sim, struct sim_node *node, const struct wire_hash *hash)
{
    struct sim_fetch *fetch = fetch_find(node, hash);
    if (fetch != NULL) {
        fetch_free(fetch);
        sim_event_new(sim, SIM_DAEMON, node, 0, stopped_fire)->bytes = mem_dup(hash, sizeof(*hash));
    }
}

static void on_blob_data(struct sim *sim, struct sim_node *node, uint64_t link,
                         const struct wire_blob_data *data)
{
    struct sim_fetch *fetch = fetch_find(node, &data->hash);
    if (fetch == NULL || fetch->link != link || data->offset != fetch->got) {
        return;
    }
    fetch->got += data->bytes.n;
    if (fetch->got > fetch->bytes_max) {
        sim_broken(sim, "%s is sent %llu bytes of a blob announced with %llu", node->name,
                   (unsigned long long)fetch->got, (unsigned long long)fetch->bytes_max);
    }
    if (node->disk_error != 0) {
        fetched(sim, node, &data->hash, FAILED_HERE);
    } else if (fetch->got == data->total) {
        fetched(sim, node, &data->hash, STORED);
    }
}

static void on_blob_refuse(struct sim *sim, struct sim_node *node, uint64_t link,
                           const struct wire_hash *hash)
{
    const struct sim_fetch *fetch = fetch_find(node, hash);
    if (fetch != NULL && fetch->link == link) {
        fetched(sim, node, hash, FAILED_THERE);
    }
}

/* --- serving -----------------------------------------------------------------------------------
 */

static void pump(struct sim *sim, struct sim_conn *conn, struct sim_end *end);

/* a: link. What was sent has about arrived. */
static void pump_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_conn *conn;
    struct sim_end *end = net_end(sim, event->a, &conn);
    if (end != NULL && end->state == SIM_END_UP) {
        end->is_pumping = false;
        pump(sim, conn, end);
    }
}

static void pump(struct sim *sim, struct sim_conn *conn, struct sim_end *end)
{
    struct list *first = list_first(&end->serves);
    if (first == NULL || end->is_pumping) {
        return;
    }
    struct sim_serve *serve = LIST_ENTRY(first, struct sim_serve, node);
    uint64_t left = serve->total - serve->offset;
    size_t n = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
    struct wire_message message = {.type = WIRE_MESSAGE_BLOB_DATA};
    message.blob_data.hash = serve->hash;
    message.blob_data.offset = serve->offset;
    message.blob_data.total = serve->total;
    message.blob_data.bytes = slice_of(zeros, n);
    net_send(sim, conn, end, &message, true);
    serve->offset += n;
    list_remove(&serve->node);
    if (serve->offset < serve->total) {
        list_push_back(&end->serves, &serve->node);
    } else {
        mem_free(serve);
    }
    end->is_pumping = true;
    uint64_t bandwidth = end->node->bandwidth;
    uint64_t in_ns = bandwidth > 0 ? n * SIM_S / bandwidth : SIM_MS / 5;
    sim_event_new(sim, SIM_DAEMON, end->node, in_ns, pump_fire)->a = net_link(conn, end);
}

static void serve(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    struct sim_conn *conn;
    struct sim_end *end = net_end(sim, effect->blob_serve.link, &conn);
    if (end == NULL || end->state != SIM_END_UP) {
        return;
    }
    struct sim_blob *blob = shell_stored(node, &effect->blob_serve.hash);
    if (blob == NULL || effect->blob_serve.offset > blob->bytes) {
        struct wire_message refuse = {.type = WIRE_MESSAGE_BLOB_REFUSE};
        refuse.blob_refuse.hash = effect->blob_serve.hash;
        net_send(sim, conn, end, &refuse, false);
        return;
    }
    struct sim_serve *serve = mem_alloc_or_die(1, sizeof(*serve));
    serve->hash = blob->hash;
    serve->offset = effect->blob_serve.offset;
    serve->total = blob->bytes;
    list_push_back(&end->serves, &serve->node);
    pump(sim, conn, end);
}

/* --- links -------------------------------------------------------------------------------------
 */

void shell_up(struct sim *sim, struct sim_conn *conn, struct sim_end *end)
{
    struct sim_node *node = end->node;
    struct sim_end *other = end == &conn->ends[0] ? &conn->ends[1] : &conn->ends[0];
    const struct core_config *config = &other->node->config;
    struct core_event event = {.type = CORE_EVENT_LINK_UP};
    event.link_up.link = net_link(conn, end);
    event.link_up.dial = end->dial;
    event.link_up.key = other->node->key;
    event.link_up.epoch = config->epoch;
    event.link_up.incarnation = config->incarnation;
    event.link_up.protocol =
        node->is_version_old || other->node->is_version_old ? WIRE_VERSION_MIN : WIRE_VERSION_MAX;
    event.link_up.cores = other->node->cores_told;
    event.link_up.name = slice_str(other->node->name);
    event.link_up.arch = slice_str(config->arch);
    event.link_up.os = slice_str(config->os);
    event.link_up.program = slice_str(config->program);
    event.link_up.address = slice_str(other->node->address);
    event.link_up.is_on_link = true;
    if (end->session != NULL) { /* as it was proved, whatever lives there by now */
        const struct wire_hello *peer = wire_session_peer(end->session);
        event.link_up.key = peer->key;
        event.link_up.epoch = peer->epoch;
        event.link_up.incarnation = peer->incarnation;
        event.link_up.protocol = wire_session_version(end->session);
        event.link_up.cores = peer->cores;
        event.link_up.name = peer->name;
        event.link_up.arch = peer->arch;
        event.link_up.os = peer->os;
        event.link_up.program = peer->program;
        event.link_up.door = wire_session_door(end->session);
        if (event.link_up.door == WIRE_DOOR_INVITATION) {
            event.link_up.token = *wire_session_invitation(end->session);
        }
    }
    sim_step(sim, node, &event);
}

static void fail_fetches(struct sim *sim, struct sim_node *node, uint64_t link)
{
    list_for_each (at, &node->fetches) {
        struct sim_fetch *fetch = LIST_ENTRY(at, struct sim_fetch, node);
        if (fetch->link == link) {
            fetched_later(sim, node, &fetch->hash, FAILED_THERE);
        }
    }
}

/* a: link, b: how, c: reason. */
static void down_fire(struct sim *sim, struct sim_event *event)
{
    struct core_event down = {.type = CORE_EVENT_LINK_DOWN};
    down.link_down.link = event->a;
    down.link_down.end = (enum core_link_end)event->b;
    down.link_down.reason = (enum wire_reason)event->c;
    fail_fetches(sim, event->node, event->a);
    sim_step(sim, event->node, &down);
}

void shell_down(struct sim *sim, struct sim_conn *conn, struct sim_end *end, enum core_link_end how,
                enum wire_reason reason)
{
    struct sim_event *event = sim_event_new(sim, SIM_DAEMON, end->node, 0, down_fire);
    event->a = net_link(conn, end);
    event->b = how;
    event->c = reason;
}

void shell_message(struct sim *sim, struct sim_conn *conn, struct sim_end *end,
                   const struct wire_message *message)
{
    struct sim_node *node = end->node;
    struct sim_end *other = end == &conn->ends[0] ? &conn->ends[1] : &conn->ends[0];
    oracle_heard(sim, node, end, other->node, message);
    switch ((unsigned)message->type) { /* as a number: the rest is the core's */
    case WIRE_MESSAGE_BLOB_DATA:
        on_blob_data(sim, node, net_link(conn, end), &message->blob_data);
        return;
    case WIRE_MESSAGE_BLOB_REFUSE:
        on_blob_refuse(sim, node, net_link(conn, end), &message->blob_refuse.hash);
        return;
    default: {
        struct core_event event = {.type = CORE_EVENT_MESSAGE};
        event.message.link = net_link(conn, end);
        event.message.message = message;
        sim_step(sim, node, &event);
        return;
    }
    }
}

/* --- effects -----------------------------------------------------------------------------------
 */

static void send(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    struct sim_conn *conn;
    struct sim_end *end = net_end(sim, effect->send.link, &conn);
    if (end != NULL && end->state == SIM_END_UP) {
        oracle_sent(sim, node, end, &effect->send.message);
        if (effect->send.message.type == WIRE_MESSAGE_TASK) {
            strike_aim_at_second(sim, node, &effect->send.message.task);
        }
        net_send(sim, conn, end, &effect->send.message, false);
    }
}

static void exit_fire(struct sim *sim, struct sim_event *event)
{
    sim_node_kill(sim, event->node, false);
}

static void cell_close(struct sim *sim, struct sim_node *node, uint64_t cell)
{
    list_for_each (at, &node->runs) {
        if (LIST_ENTRY(at, struct sim_run, node)->cell == cell) {
            sim_broken(sim, "%s closes a cell in which a task runs", node->name);
        }
    }
}

static void carry_out_blob(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    if (effect->type == CORE_EFFECT_BLOB_FETCH) {
        fetch(sim, node, effect);
    } else if (effect->type == CORE_EFFECT_BLOB_STOP) {
        stop_fetch(sim, node, &effect->blob_stop.hash);
    } else if (effect->type == CORE_EFFECT_BLOB_SERVE) {
        serve(sim, node, effect);
    } else {
        oracle_release(sim, node, &effect->blob_release.hash);
        if (dice_chance(&sim->dice, 50) && !disk_names(sim, node, &effect->blob_release.hash)) {
            /* Released: it may go, at once or never. */
            shell_store_drop(node, &effect->blob_release.hash);
        }
    }
}

static void carry_out_journal(struct sim *sim, struct sim_node *node,
                              const struct core_effect *effect)
{
    if (effect->type == CORE_EFFECT_JOURNAL) {
        disk_say(sim, node, effect);
    } else if (effect->type == CORE_EFFECT_JOURNAL_READ) {
        disk_read(sim, node, effect);
    } else {
        disk_look(sim, node, effect);
    }
}

void shell_carry_out(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    switch ((unsigned)effect->type) { /* as a number: the others need nothing done here */
    case CORE_EFFECT_SEND:
        send(sim, node, effect);
        return;
    case CORE_EFFECT_CLOSE_LINK:
        net_close(sim, effect->close_link.link, effect->close_link.reason, effect->close_link.text);
        return;
    case CORE_EFFECT_DIAL:
        net_dial(sim, node, effect);
        return;
    case CORE_EFFECT_CANCEL_DIAL:
        net_cancel_dial(sim, node, effect->cancel_dial.dial);
        return;
    case CORE_EFFECT_CLIENT_SEND:
        client_hear(sim, node, effect->client_send.client, &effect->client_send.message);
        return;
    case CORE_EFFECT_CLIENT_CLOSE:
        client_closed(sim, node, effect->client_close.client);
        return;
    case CORE_EFFECT_START:
        work_start(sim, node, effect);
        return;
    case CORE_EFFECT_KILL:
        work_kill(sim, node, effect);
        return;
    case CORE_EFFECT_PAUSE:
        work_pause(sim, node, effect);
        return;
    case CORE_EFFECT_STREAM_WINDOW:
        work_window(sim, node, effect);
        return;
    case CORE_EFFECT_RENEW:
        work_renew(sim, node, &effect->renew.owner);
        return;
    case CORE_EFFECT_CELL_CLOSE:
        cell_close(sim, node, effect->cell_close.cell);
        return;
    case CORE_EFFECT_BLOB_FETCH:
    case CORE_EFFECT_BLOB_STOP:
    case CORE_EFFECT_BLOB_SERVE:
    case CORE_EFFECT_BLOB_RELEASE:
        carry_out_blob(sim, node, effect);
        return;
    case CORE_EFFECT_ADVERTISE:
        node->cores_told = effect->advertise.cores;
        return;
    case CORE_EFFECT_JOURNAL:
    case CORE_EFFECT_JOURNAL_READ:
    case CORE_EFFECT_JOURNAL_LOOK:
        carry_out_journal(sim, node, effect);
        return;
    case CORE_EFFECT_REMEMBER:
        found_remember(sim, node, effect);
        return;
    case CORE_EFFECT_TRUST:
        closed_trust(sim, node, effect);
        return;
    case CORE_EFFECT_DRAW:
        closed_draw(sim, node);
        return;
    case CORE_EFFECT_EXIT:
        sim_event_new(sim, SIM_DAEMON, node, 0, exit_fire);
        return;
    default:
        return;
    }
}

void shell_forget(struct sim_node *node)
{
    while (!list_is_empty(&node->fetches)) {
        fetch_free(LIST_ENTRY(node->fetches.next, struct sim_fetch, node));
    }
}
