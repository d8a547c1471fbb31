/* What happens next, and the effects of a step carried out: links, messages, blobs, the trace. */
#include <check.h>
#include <errno.h>

#include "mesh/core/trace.h"
#include "tests/lib/core_world_internal.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"

/* --- items -------------------------------------------------------------------------------------
 */

struct item *world_item_new(struct world *world, enum item_kind kind, unsigned i, uint64_t in_ns)
{
    struct item *item = mem_alloc_or_die(1, sizeof(*item));
    item->kind = kind;
    item->node = i;
    item->life = world->nodes[i].life;
    arena_init(&item->arena, SIZE_MAX);
    heap_set(&world->heap, &item->at, world->now_ns + in_ns);
    return item;
}

void world_item_free(struct world *world, struct item *item)
{
    heap_remove(&world->heap, &item->at);
    list_remove(&item->held);
    arena_done(&item->arena);
    mem_free(item);
}

struct item *world_event_in(struct world *world, unsigned i, uint64_t in_ns,
                            const struct core_event *event)
{
    struct item *item = world_item_new(world, ITEM_EVENT, i, in_ns);
    item->event = *event;
    return item;
}

static void message_in(struct world *world, unsigned i, uint64_t in_ns, uint64_t link,
                       const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_MESSAGE};
    event.message.link = link;
    struct item *item = world_event_in(world, i, in_ns, &event);
    int r = wire_message_copy(message, &item->arena, &item->message);
    ck_assert_int_eq(r, 0);
    item->event.message.message = &item->message;
    item->link = link;
    item->is_remote = true;
}

/* --- links -------------------------------------------------------------------------------------
 */

void world_link_down_in(struct world *world, uint64_t id, unsigned side, uint64_t in_ns,
                        enum core_link_end end, enum wire_reason reason)
{
    struct link *link = &world->links[id];
    struct core_event event = {.type = CORE_EVENT_LINK_DOWN};
    event.link_down.link = id;
    event.link_down.end = end;
    event.link_down.reason = reason;
    struct item *item = world_event_in(world, link->node[side], in_ns, &event);
    item->link = id;
    item->is_remote = end != CORE_LINK_END_BY_US;
}

unsigned world_side_of(const struct link *link, unsigned i)
{
    return link->node[0] == i ? 0 : 1;
}

static void link_up_in(struct world *world, uint64_t id, unsigned side, uint64_t dial,
                       enum wire_door_kind door, const struct world_proof *proof)
{
    struct link *link = &world->links[id];
    struct node *other = &world->nodes[link->node[1 - side]];
    struct core_event event = {.type = CORE_EVENT_LINK_UP};
    event.link_up.link = id;
    event.link_up.dial = dial;
    event.link_up.key = other->config.key;
    event.link_up.epoch = other->config.epoch;
    event.link_up.incarnation = other->config.incarnation;
    uint32_t mine = world->nodes[link->node[side]].protocol;
    event.link_up.protocol = mine < other->protocol ? mine : other->protocol;
    event.link_up.cores = other->cores;
    event.link_up.name = slice_str(other->config.name);
    event.link_up.arch = slice_str(other->config.arch);
    event.link_up.os = slice_str("linux");
    event.link_up.program = slice_str("test");
    event.link_up.address = slice_str(other->address);
    event.link_up.is_on_link = true;
    event.link_up.door = door;
    event.link_up.token = proof->token;
    struct item *item = world_event_in(world, link->node[side], 0, &event);
    item->link = id;
    link->is_up[side] = true;
    link->life[side] = world->nodes[link->node[side]].life;
}

static void dial_failed_in(struct world *world, unsigned i, uint64_t in_ns, uint64_t dial,
                           int error)
{
    struct core_event event = {.type = CORE_EVENT_DIAL_FAILED};
    event.dial_failed.dial = dial;
    event.dial_failed.error = error;
    world_event_in(world, i, in_ns, &event);
}

/* The handshake's end is an item of its own, marked by is_on_link of a found event. */
static void on_dial(struct world *world, unsigned i, const struct core_effect *effect)
{
    unsigned to = WORLD_NODES_MAX;
    for (unsigned j = 0; j < WORLD_NODES_MAX; j++) {
        if (world->nodes[j].config.name != NULL &&
            slice_eq_str(effect->dial.address, world->nodes[j].address)) {
            to = j;
        }
    }
    bool is_dead = to == WORLD_NODES_MAX || world->nodes[to].core == NULL;
    bool is_deaf = !is_dead && (world->nodes[to].is_cut || world->nodes[to].is_frozen);
    if (world->nodes[i].is_cut || is_deaf) {
        dial_failed_in(world, i, effect->dial.timeout_ns, effect->dial.dial, -ETIMEDOUT);
    } else if (is_dead) {
        dial_failed_in(world, i, world->latency_ns * 2, effect->dial.dial, -ECONNREFUSED);
    } else {
        struct core_event event = {.type = CORE_EVENT_LINK_UP}; /* filled in when it is due */
        event.link_up.dial = effect->dial.dial;
        event.link_up.incarnation = to;
        struct item *item = world_event_in(world, i, world->latency_ns * 3, &event);
        item->link = UINT64_MAX;
        item->proof = (struct world_proof){.older = effect->dial.older,
                                           .has_invitation = effect->dial.has_invitation,
                                           .token = effect->dial.token,
                                           .key = effect->dial.key};
    }
}

static void dial_refused_in(struct world *world, const struct item *item, unsigned to,
                            enum wire_reason reason)
{
    struct core_event event = {.type = CORE_EVENT_DIAL_FAILED};
    event.dial_failed.dial = item->event.link_up.dial;
    event.dial_failed.error = -EPROTO;
    event.dial_failed.reason = reason;
    event.dial_failed.has_key = true;
    event.dial_failed.key = world->nodes[to].config.key;
    world_event_in(world, item->node, 0, &event);
}

static void finish_handshake(struct world *world, struct item *item)
{
    unsigned i = item->node;
    unsigned to = item->event.link_up.incarnation;
    uint64_t dial = item->event.link_up.dial;
    struct node *other = &world->nodes[to];
    if (other->core == NULL) {
        dial_failed_in(world, i, 0, dial, -ECONNREFUSED);
    } else if (other->is_cut || other->is_frozen || world->nodes[i].is_cut) {
        dial_failed_in(world, i, 2 * CORE_S, dial, -ETIMEDOUT);
    } else {
        enum wire_door_kind doors[2];
        enum wire_reason reason = world_doors(world, i, to, &item->proof, doors);
        bool is_other = !wire_key_is_zero(&item->proof.key) &&
                        !wire_key_eq(&item->proof.key, &other->config.key);
        if (reason != WIRE_REASON_NONE || is_other) {
            dial_refused_in(world, item, to, is_other ? WIRE_REASON_NONE : reason);
            return;
        }
        ck_assert_uint_lt(world->n_links, LINKS_MAX);
        uint64_t id = world->n_links++;
        world->links[id] = (struct link){.node = {i, to}};
        link_up_in(world, id, 0, dial, doors[0], &item->proof);
        link_up_in(world, id, 1, 0, doors[1], &item->proof);
    }
}

static void close_link(struct world *world, unsigned i, uint64_t id, enum wire_reason reason)
{
    if (id >= world->n_links) {
        return; /* a lone one */
    }
    struct link *link = &world->links[id];
    unsigned side = world_side_of(link, i);
    if (!link->is_up[side]) {
        return;
    }
    link->is_up[side] = false;
    world_link_down_in(world, id, side, 0, CORE_LINK_END_BY_US, WIRE_REASON_NONE);
    if (link->is_up[1 - side]) {
        world_link_down_in(world, id, 1 - side, world->latency_ns, CORE_LINK_END_CLOSED, reason);
    }
}

void world_forge(struct world *world, unsigned from, unsigned to,
                 const struct wire_message *message)
{
    for (uint64_t id = 1; id < world->n_links; id++) {
        const struct link *link = &world->links[id];
        bool is_it = (link->node[0] == from && link->node[1] == to) ||
                     (link->node[0] == to && link->node[1] == from);
        if (is_it && link->is_up[0] && link->is_up[1]) {
            message_in(world, to, 0, id, message);
        }
    }
}

static void fail_fetches(struct world *world, unsigned i, uint64_t link)
{
    struct node *node = &world->nodes[i];
    for (unsigned k = node->n_fetches; k-- > 0;) {
        if (node->fetches[k].link == link) {
            struct core_event event = {.type = CORE_EVENT_BLOB_FAILED};
            event.blob_failed.hash = node->fetches[k].hash;
            node->fetches[k] = node->fetches[--node->n_fetches];
            world_event_in(world, i, 0, &event);
        }
    }
}

static bool take_fetch(struct node *node, const struct wire_hash *hash)
{
    for (unsigned k = 0; k < node->n_fetches; k++) {
        if (memcmp(&node->fetches[k].hash, hash, sizeof(*hash)) == 0) {
            node->fetches[k] = node->fetches[--node->n_fetches];
            return true;
        }
    }
    return false;
}

/* --- effects -----------------------------------------------------------------------------------
 */

static void on_send(struct world *world, unsigned i, const struct core_effect *effect)
{
    const struct wire_message *message = &effect->send.message;
    uint64_t id = effect->send.link;
    if (id >= world->n_links) {
        ck_assert_uint_lt(id - LONE_LINK, ARRAY_LEN(world->nodes[i].lone_token));
        if (message->type == WIRE_MESSAGE_BEAT) {
            world->nodes[i].lone_token[id - LONE_LINK] = message->beat.token;
        }
        return;
    }
    struct link *link = &world->links[id];
    unsigned side = world_side_of(link, i);
    world->nodes[i].n_sent[message->type]++;
    if (!link->is_up[side]) {
        return;
    }
    if (message->type == WIRE_MESSAGE_RESULT_ACK && world->is_ack_checked) {
        const struct wire_attempt_id *acked = &message->result_ack.id;
        ck_assert_msg(world_has_result(world, i, acked->job, acked->task),
                      "the result of task %u is acknowledged before it is kept", acked->task);
    }
    if (message->type == WIRE_MESSAGE_TASK) {
        ck_assert_msg(++link->n_out[side] <= link->credit[side].n_tasks, "%s exceeds its credit",
                      world->nodes[i].name);
    }
    if (link->is_up[1 - side] && message->type != world->lost) {
        message_in(world, link->node[1 - side], world->latency_ns, id, message);
    }
}

static void on_blob_effect(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct node *node = &world->nodes[i];
    if (effect->type == CORE_EFFECT_BLOB_FETCH && world_store_answers(world, i, effect)) {
        return;
    }
    if (effect->type == CORE_EFFECT_BLOB_FETCH) {
        for (unsigned k = 0; k < node->n_fetches; k++) {
            ck_assert_msg(memcmp(&node->fetches[k].hash, &effect->blob_fetch.hash,
                                 sizeof(struct wire_hash)) != 0,
                          "a blob is fetched once at a time");
        }
        ck_assert_uint_lt(node->n_fetches, ARRAY_LEN(node->fetches));
        node->fetches[node->n_fetches].hash = effect->blob_fetch.hash;
        node->fetches[node->n_fetches++].link = effect->blob_fetch.link;
        struct link *link = &world->links[effect->blob_fetch.link];
        unsigned side = world_side_of(link, i);
        struct wire_message want = {.type = WIRE_MESSAGE_BLOB_WANT};
        want.blob_want.hash = effect->blob_fetch.hash;
        want.blob_want.owner = effect->blob_fetch.owner;
        want.blob_want.may_point = effect->blob_fetch.may_point;
        if (link->is_up[1 - side]) {
            message_in(world, link->node[1 - side], world->latency_ns, effect->blob_fetch.link,
                       &want);
        }
    } else {
        struct link *link = &world->links[effect->blob_serve.link];
        struct wire_message data = {.type = WIRE_MESSAGE_BLOB_DATA};
        data.blob_data.hash = effect->blob_serve.hash;
        message_in(world, link->node[1 - world_side_of(link, i)], world->latency_ns,
                   effect->blob_serve.link, &data);
    }
}

/* Of an attempt that has been started; it may be gone by now. */
static void on_run_effect(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct node *node = &world->nodes[i];
    struct run *run;
    if (effect->type == CORE_EFFECT_KILL) {
        run = world_run_find(node, &effect->kill.owner, &effect->kill.id);
        if (run != NULL && !run->is_killed) {
            run->is_killed = true;
            run->end = effect->kill.end;
            world_run_item(world, ITEM_ENDED, i, run, CORE_MS);
        }
    } else if (effect->type == CORE_EFFECT_PAUSE) {
        run = world_run_find(node, &effect->pause.owner, &effect->pause.id);
        if (run != NULL) {
            world_run_pause(world, i, run, effect->pause.is_paused);
        }
    } else {
        ensure(effect->type == CORE_EFFECT_STREAM_WINDOW);
        run = world_run_find(node, &effect->stream_window.owner, &effect->stream_window.ack.id);
        if (run != NULL) {
            run->acked = effect->stream_window.ack.offset;
        }
    }
}

static void on_blob_stop(struct world *world, unsigned i, const struct wire_hash *hash)
{
    if (take_fetch(&world->nodes[i], hash)) {
        struct core_event event = {.type = CORE_EVENT_BLOB_FAILED};
        event.blob_failed.hash = *hash;
        world_event_in(world, i, 0, &event);
    }
}

static void carry_out(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct node *node = &world->nodes[i];
    node->n_effects[effect->type]++;
    switch (effect->type) {
    case CORE_EFFECT_SEND:
        on_send(world, i, effect);
        return;
    case CORE_EFFECT_CLOSE_LINK:
        node->closed = (struct world_closed){.link = effect->close_link.link,
                                             .reason = effect->close_link.reason};
        close_link(world, i, effect->close_link.link, effect->close_link.reason);
        return;
    case CORE_EFFECT_DIAL:
        on_dial(world, i, effect);
        return;
    case CORE_EFFECT_CLIENT_SEND:
        world_on_client_send(world, i, &effect->client_send.message);
        return;
    case CORE_EFFECT_START:
        world_on_start(world, i, effect);
        return;
    case CORE_EFFECT_KILL:
    case CORE_EFFECT_PAUSE:
    case CORE_EFFECT_STREAM_WINDOW:
        on_run_effect(world, i, effect);
        return;
    case CORE_EFFECT_BLOB_FETCH:
    case CORE_EFFECT_BLOB_SERVE:
        on_blob_effect(world, i, effect);
        return;
    case CORE_EFFECT_BLOB_STOP:
        on_blob_stop(world, i, &effect->blob_stop.hash);
        return;
    case CORE_EFFECT_ADVERTISE:
        node->cores = effect->advertise.cores;
        return;
    case CORE_EFFECT_EXIT:
        node->has_exited = true;
        return;
    case CORE_EFFECT_JOURNAL:
        world_disk_on_journal(world, i, &effect->journal);
        return;
    case CORE_EFFECT_JOURNAL_READ:
        world_disk_on_read(world, i, effect);
        return;
    case CORE_EFFECT_JOURNAL_LOOK:
    case CORE_EFFECT_JOURNAL_LIST:
        world_disk_on_look(world, i, effect);
        return;
    case CORE_EFFECT_TRUST:
        world_on_trust(world, i, effect);
        return;
    case CORE_EFFECT_DRAW:
        world_on_draw(world, i);
        return;
    case CORE_EFFECT_CLIENT_CLOSE:
        world_client(world, i)->is_closed = true;
        return;
    case CORE_EFFECT_CANCEL_DIAL:
    case CORE_EFFECT_RENEW:
    case CORE_EFFECT_CELL_CLOSE:
    case CORE_EFFECT_BLOB_RELEASE:
    case CORE_EFFECT_REMEMBER:
    case CORE_EFFECT_LOG:
        return;
    }
}

/* --- steps -------------------------------------------------------------------------------------
 */

static void note(struct world *world, unsigned i, const char *arrow)
{
    const uint8_t *p = world->line.p;
    for (size_t k = 0; k < world->line.n; k++) {
        world->hash = (world->hash ^ p[k]) * UINT64_C(0x100000001b3);
    }
    buf_printf(&world->text, "%10.3f %s %s ", (double)world->now_ns / 1e6, world->nodes[i].name,
               arrow);
    buf_append_slice(&world->text, buf_slice(&world->line));
    buf_append_str(&world->text, "\n");
    buf_clear(&world->line);
}

void world_step(struct world *world, unsigned i, struct core_event *event)
{
    struct node *node = &world->nodes[i];
    ck_assert_ptr_nonnull(node->core);
    event->now_ns = world->now_ns;
    if (world->is_tracing) {
        core_event_print(event, &world->line);
        note(world, i, "<");
    }
    core_step(node->core, event, &node->effects);
    for (size_t k = 0; k < node->effects.n; k++) {
        if (world->is_tracing) {
            core_effect_print(&node->effects.items[k], &world->line);
            note(world, i, ">");
        }
        carry_out(world, i, &node->effects.items[k]);
    }
    bool is_cheap = world->n_nodes < 20 && core_counts(node->core).n_tasks < 300;
    if (is_cheap || node->n_steps++ % 256 == 0) {
        core_check(node->core);
    }
    uint64_t at_ns = core_next_deadline(node->core);
    if (at_ns == UINT64_MAX) {
        heap_remove(&world->heap, &node->tick.at);
    } else {
        heap_set(&world->heap, &node->tick.at, at_ns > world->now_ns ? at_ns : world->now_ns);
    }
}

/* As if half of it had taken long: to whom it comes, and from whom. */
static void tell_moving(struct world *world, unsigned i, uint64_t link_id,
                        const struct wire_hash *hash)
{
    const struct link *link = &world->links[link_id];
    for (unsigned side = 0; side < 2; side++) {
        struct core_event event = {.type = CORE_EVENT_BLOB_MOVING};
        event.blob_moving.link = link_id;
        event.blob_moving.hash = *hash;
        event.blob_moving.n_moved = 20u << 20;
        event.blob_moving.n_bytes = 40u << 20;
        event.blob_moving.is_in = link->node[side] == i;
        if (link->is_up[side]) {
            world_step(world, link->node[side], &event);
        }
    }
}

/* Shell work on a message before the core sees it. False: the core does not. */
static bool is_for_core(struct world *world, unsigned i, struct item *item)
{
    const struct wire_message *message = &item->message;
    struct link *link = &world->links[item->link];
    unsigned side = world_side_of(link, i);
    if (!link->is_up[side]) {
        return false;
    }
    struct core_event event = {0};
    switch ((unsigned)message->type) {
    case WIRE_MESSAGE_CREDIT:
        link->credit[side] = message->credit;
        return true;
    case WIRE_MESSAGE_RESULT:
    case WIRE_MESSAGE_REFUSE:
        link->n_out[side] -= link->n_out[side] > 0;
        return true;
    case WIRE_MESSAGE_BLOB_DATA:
        event.type = CORE_EVENT_BLOB_STORED;
        event.blob_stored.hash = message->blob_data.hash;
        if (take_fetch(&world->nodes[i], &message->blob_data.hash)) {
            tell_moving(world, i, item->link, &message->blob_data.hash);
            world_keep(world, i, &message->blob_data.hash);
            world_step(world, i, &event);
        }
        return false;
    case WIRE_MESSAGE_BLOB_REFUSE:
        event.type = CORE_EVENT_BLOB_FAILED;
        event.blob_failed.hash = message->blob_refuse.hash;
        if (take_fetch(&world->nodes[i], &message->blob_refuse.hash)) {
            world_step(world, i, &event);
        }
        return false;
    default:
        return true;
    }
}

static void run_event(struct world *world, struct item *item)
{
    unsigned i = item->node;
    if (item->event.type == CORE_EVENT_LINK_UP && item->link == UINT64_MAX) {
        finish_handshake(world, item);
        return;
    }
    if (item->event.type == CORE_EVENT_MESSAGE && !is_for_core(world, i, item)) {
        return;
    }
    if (item->event.type == CORE_EVENT_LINK_DOWN) {
        struct link *link = &world->links[item->link];
        unsigned side = world_side_of(link, i);
        if (item->is_remote && !link->is_up[side]) {
            return; /* we closed it ourselves meanwhile */
        }
        link->is_up[side] = false;
        fail_fetches(world, i, item->link);
    }
    world_step(world, i, &item->event);
}

static void run_item_now(struct world *world, struct item *item)
{
    struct node *node = &world->nodes[item->node];
    struct run *run;
    switch (item->kind) {
    case ITEM_TICK:
        ensure(!"ticks are apart");
        return;
    case ITEM_EVENT:
        run_event(world, item);
        return;
    case ITEM_FEED:
        world_feed(world, item->node);
        return;
    case ITEM_WRITTEN:
        world_disk_written(world, item->node);
        return;
    case ITEM_READ:
        world_disk_read(world, item);
        return;
    case ITEM_LOOK:
        world_disk_look(world, item);
        return;
    case ITEM_STARTED:
    case ITEM_ENDED:
    case ITEM_STREAM:
        run = world_run_find(node, &item->owner, &item->id);
        if (run == NULL) {
            return;
        }
        if (item->kind == ITEM_STARTED) {
            if (!run->is_killed) {
                world_run_started(world, item->node, run);
            }
        } else if (item->kind == ITEM_ENDED) {
            world_run_finish(world, item->node, run);
        } else {
            world_run_stream(world, item->node, run);
        }
        return;
    }
}

/* Over a cable that is pulled now. */
static bool is_stopped(struct world *world, const struct item *item)
{
    if (!item->is_remote) {
        return false;
    }
    const struct link *link = &world->links[item->link];
    return world->nodes[link->node[0]].is_cut || world->nodes[link->node[1]].is_cut;
}

static bool run_next(struct world *world, uint64_t until_ns)
{
    if (heap_first_ns(&world->heap) > until_ns) {
        return false;
    }
    struct item *item = LIST_ENTRY(heap_first(&world->heap), struct item, at);
    heap_remove(&world->heap, &item->at);
    world->now_ns = item->at.at_ns > world->now_ns ? item->at.at_ns : world->now_ns;
    struct node *node = &world->nodes[item->node];
    if (item->kind == ITEM_TICK) {
        if (node->core != NULL && !node->is_frozen) {
            struct core_event event = {.type = CORE_EVENT_TICK};
            world_step(world, item->node, &event);
        }
        return true;
    }
    if (item->life != node->life || node->core == NULL) {
        world_item_free(world, item);
    } else if (node->is_frozen || is_stopped(world, item)) {
        list_push_back(&node->held, &item->held);
    } else {
        run_item_now(world, item);
        world_item_free(world, item);
    }
    return true;
}

void world_run_for(struct world *world, uint64_t ns)
{
    uint64_t until_ns = world->now_ns + ns;
    while (run_next(world, until_ns)) {
    }
    world->now_ns = until_ns;
}

bool world_ask(struct world *world, unsigned i, const struct wire_message *message)
{
    struct world_client *client = &world->nodes[i].client;
    if (!client->is_up) {
        world_client_up(world, i);
    }
    client->n_answers = 0;
    client->has_ok = client->has_error = client->has_invitation = client->has_trust = false;
    world_client_say(world, i, message);
    uint64_t until_ns = world->now_ns + 20 * CORE_S;
    while (client->n_answers == 0 && run_next(world, until_ns)) {
    }
    return client->has_ok || client->has_invitation || client->has_trust;
}

bool world_run_job(struct world *world, unsigned i, uint64_t ns_max)
{
    uint64_t until_ns = world->now_ns + ns_max;
    while (!world->nodes[i].client.is_job_done && run_next(world, until_ns)) {
    }
    return world->nodes[i].client.is_job_done;
}
