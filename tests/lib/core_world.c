#include "tests/lib/core_world.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "mesh/core/trace.h"
#include "wire/base/heap.h"
#include "wire/base/list.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"

#define LINKS_MAX    20000
#define STREAM_CHUNK 1000u
#define LONE_LINK    1000u /* a lone link's number is this or a little more */

enum item_kind { ITEM_TICK, ITEM_EVENT, ITEM_STARTED, ITEM_ENDED, ITEM_STREAM, ITEM_FEED };

struct run { /* an attempt that a node's "processes" run */
    struct list node;
    struct wire_key owner;
    struct wire_attempt_id id;
    uint64_t cell;
    uint32_t cores;
    char word[16], value[16];
    bool is_killed, is_begun;
    enum wire_end end;
    uint64_t sent, acked;
};

struct item {
    struct heap_entry at;
    struct list held; /* back, while its node is frozen or cut off */
    enum item_kind kind;
    unsigned node, life;
    struct core_event event;
    struct wire_message message;
    struct arena arena;
    uint64_t link;  /* 0: of no link */
    bool is_remote; /* came over a cable, and waits while it is pulled */
    struct wire_key owner;
    struct wire_attempt_id id;
};

struct link {
    unsigned node[2]; /* 0 dialled */
    unsigned life[2];
    bool is_up[2];
    struct wire_credit credit[2]; /* as node i heard it */
    uint32_t n_out[2];
};

struct node {
    char name[8], address[16];
    struct core_config config;
    struct core *core;
    struct core_effects effects;
    unsigned life;
    bool is_frozen, is_cut, is_finding, has_exited;
    uint32_t cores;
    struct list runs;
    struct list held; /* of item.held */
    struct item tick;
    struct world_client client;
    uint32_t n_started;
    uint64_t n_effects[32], n_sent[128], n_steps;
    struct {
        struct wire_hash hash;
        uint64_t link;
    } fetches[512];
    unsigned n_fetches;
    struct world_closed closed;
    uint64_t lone_token[8]; /* of the last beat over link LONE_LINK + index */
};

struct world {
    uint64_t now_ns, latency_ns, run_ns, seed;
    struct heap heap;
    struct node nodes[WORLD_NODES_MAX];
    unsigned n_nodes;
    struct link *links;
    uint64_t n_links;
    bool is_tracing;
    uint64_t hash;
    struct buf text, line;
};

static void step(struct world *world, unsigned i, struct core_event *event);

/* --- items -------------------------------------------------------------------------------------
 */

static struct item *item_new(struct world *world, enum item_kind kind, unsigned i, uint64_t in_ns)
{
    struct item *item = mem_alloc_or_die(1, sizeof(*item));
    item->kind = kind;
    item->node = i;
    item->life = world->nodes[i].life;
    arena_init(&item->arena, SIZE_MAX);
    heap_set(&world->heap, &item->at, world->now_ns + in_ns);
    return item;
}

static void item_free(struct world *world, struct item *item)
{
    heap_remove(&world->heap, &item->at);
    list_remove(&item->held);
    arena_done(&item->arena);
    mem_free(item);
}

static struct item *event_in(struct world *world, unsigned i, uint64_t in_ns,
                             const struct core_event *event)
{
    struct item *item = item_new(world, ITEM_EVENT, i, in_ns);
    item->event = *event;
    return item;
}

static void message_in(struct world *world, unsigned i, uint64_t in_ns, uint64_t link,
                       const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_MESSAGE};
    event.message.link = link;
    struct item *item = event_in(world, i, in_ns, &event);
    int r = wire_message_copy(message, &item->arena, &item->message);
    ck_assert_int_eq(r, 0);
    item->event.message.message = &item->message;
    item->link = link;
    item->is_remote = true;
}

/* --- links -------------------------------------------------------------------------------------
 */

static void link_down_in(struct world *world, uint64_t id, unsigned side, uint64_t in_ns,
                         enum core_link_end end, enum wire_reason reason)
{
    struct link *link = &world->links[id];
    struct core_event event = {.type = CORE_EVENT_LINK_DOWN};
    event.link_down.link = id;
    event.link_down.end = end;
    event.link_down.reason = reason;
    struct item *item = event_in(world, link->node[side], in_ns, &event);
    item->link = id;
    item->is_remote = end != CORE_LINK_END_BY_US;
}

static unsigned side_of(const struct link *link, unsigned i)
{
    return link->node[0] == i ? 0 : 1;
}

static void link_up_in(struct world *world, uint64_t id, unsigned side, uint64_t dial)
{
    struct link *link = &world->links[id];
    struct node *other = &world->nodes[link->node[1 - side]];
    struct core_event event = {.type = CORE_EVENT_LINK_UP};
    event.link_up.link = id;
    event.link_up.dial = dial;
    event.link_up.key = other->config.key;
    event.link_up.epoch = other->config.epoch;
    event.link_up.incarnation = other->config.incarnation;
    event.link_up.protocol = 1;
    event.link_up.cores = other->cores;
    event.link_up.name = slice_str(other->name);
    event.link_up.arch = slice_str(other->config.arch);
    event.link_up.os = slice_str("linux");
    event.link_up.program = slice_str("test");
    event.link_up.address = slice_str(other->address);
    event.link_up.is_on_link = true;
    struct item *item = event_in(world, link->node[side], 0, &event);
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
    event_in(world, i, in_ns, &event);
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
        struct item *item = event_in(world, i, world->latency_ns * 3, &event);
        item->link = UINT64_MAX;
    }
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
        ck_assert_uint_lt(world->n_links, LINKS_MAX);
        uint64_t id = world->n_links++;
        world->links[id] = (struct link){.node = {i, to}};
        link_up_in(world, id, 0, dial);
        link_up_in(world, id, 1, 0);
    }
}

static void close_link(struct world *world, unsigned i, uint64_t id, enum wire_reason reason)
{
    if (id >= world->n_links) {
        return; /* a lone one */
    }
    struct link *link = &world->links[id];
    unsigned side = side_of(link, i);
    if (!link->is_up[side]) {
        return;
    }
    link->is_up[side] = false;
    link_down_in(world, id, side, 0, CORE_LINK_END_BY_US, WIRE_REASON_NONE);
    if (link->is_up[1 - side]) {
        link_down_in(world, id, 1 - side, world->latency_ns, CORE_LINK_END_CLOSED, reason);
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
            event_in(world, i, 0, &event);
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

/* --- runs --------------------------------------------------------------------------------------
 */

static struct run *run_find(struct node *node, const struct wire_key *owner,
                            const struct wire_attempt_id *id)
{
    list_for_each (at, &node->runs) {
        struct run *run = LIST_ENTRY(at, struct run, node);
        if (memcmp(&run->owner, owner, sizeof(*owner)) == 0 && run->id.job == id->job &&
            run->id.task == id->task && run->id.incarnation == id->incarnation &&
            run->id.number == id->number) {
            return run;
        }
    }
    return NULL;
}

static void run_item(struct world *world, enum item_kind kind, unsigned i, const struct run *run,
                     uint64_t in_ns)
{
    struct item *item = item_new(world, kind, i, in_ns);
    item->owner = run->owner;
    item->id = run->id;
}

static void copy_word(char *to, size_t n, struct slice from)
{
    snprintf(to, n, "%.*s", SLICE_FMT(from));
}

static void on_start(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct node *node = &world->nodes[i];
    uint32_t cores = effect->start.spec->cores;
    list_for_each (at, &node->runs) {
        struct run *other = LIST_ENTRY(at, struct run, node);
        ck_assert_msg(other->cell != effect->start.cell, "a cell runs one attempt at a time");
        cores += other->cores;
    }
    ck_assert_msg(cores <= node->cores, "%s runs %u cores, offers %u", node->name, cores,
                  node->cores);
    ck_assert_ptr_null(run_find(node, &effect->start.owner, &effect->start.id));
    struct run *run = mem_alloc_or_die(1, sizeof(*run));
    run->owner = effect->start.owner;
    run->id = effect->start.id;
    run->cell = effect->start.cell;
    run->cores = effect->start.spec->cores;
    copy_word(run->word, sizeof(run->word), effect->start.argv.items[0]);
    if (effect->start.argv.n > 1) {
        copy_word(run->value, sizeof(run->value), effect->start.argv.items[1]);
    }
    list_push_back(&node->runs, &run->node);
    node->n_started++;
    run_item(world, ITEM_STARTED, i, run, CORE_MS / 10);
}

static void run_end(struct world *world, unsigned i, struct run *run,
                    const struct wire_result *result, bool is_usable)
{
    struct core_event event = {.type = CORE_EVENT_ATTEMPT_ENDED};
    event.attempt_ended.owner = run->owner;
    event.attempt_ended.id = run->id;
    event.attempt_ended.result = *result;
    event.attempt_ended.is_cell_usable = is_usable;
    list_remove(&run->node);
    step(world, i, &event);
    mem_free(run);
}

static void run_started(struct world *world, unsigned i, struct run *run)
{
    if (strcmp(run->word, "missing") == 0 || strcmp(run->word, "nocell") == 0) {
        struct core_event event = {.type = CORE_EVENT_ATTEMPT_REFUSED};
        event.attempt_refused.owner = run->owner;
        event.attempt_refused.id = run->id;
        event.attempt_refused.refusal =
            run->word[0] == 'm' ? WIRE_REFUSAL_NOT_FOUND : WIRE_REFUSAL_NO_CELL;
        event.attempt_refused.text = slice_str(run->word);
        event.attempt_refused.is_cell_usable = true;
        list_remove(&run->node);
        step(world, i, &event);
        mem_free(run);
        return;
    }
    run->is_begun = true;
    struct core_event event = {.type = CORE_EVENT_ATTEMPT_STARTED};
    event.attempt_started.owner = run->owner;
    event.attempt_started.id = run->id;
    uint64_t ns = world->run_ns;
    if (strcmp(run->word, "sleep") == 0) {
        ns = strtoull(run->value, NULL, 10) * CORE_MS;
    }
    bool is_stream = strcmp(run->word, "stream") == 0;
    run_item(world, is_stream ? ITEM_STREAM : ITEM_ENDED, i, run, ns);
    step(world, i, &event);
}

static void hash_of(struct wire_hash *hash, const struct run *run)
{
    memset(hash, 0, sizeof(*hash));
    memcpy(hash->b, &run->id, sizeof(run->id));
    hash->b[31] = 1;
}

static void run_finish(struct world *world, unsigned i, struct run *run)
{
    struct wire_result result = {.end = WIRE_END_EXITED, .wall_us = world->run_ns / 1000};
    bool is_usable = true;
    if (run->is_killed) {
        result.end = run->end;
    } else if (strcmp(run->word, "exit") == 0) {
        result.status = (uint32_t)strtoul(run->value, NULL, 10);
    } else if (strcmp(run->word, "poison") == 0) {
        result.end = WIRE_END_CELL_DIED;
        is_usable = false;
    } else if (strcmp(run->word, "blob") == 0) {
        hash_of(&result.out.hash, run);
        result.out.bytes = strtoull(run->value, NULL, 10);
    } else if (strcmp(run->word, "echo") == 0) {
        result.out.inlined = slice_str(run->value);
        result.out.bytes = result.out.inlined.n;
    }
    run_end(world, i, run, &result, is_usable);
}

static void run_stream(struct world *world, unsigned i, struct run *run)
{
    uint64_t total = strtoull(run->value, NULL, 10) * STREAM_CHUNK;
    if (run->is_killed) {
        return;
    }
    if (run->sent == total) {
        run_item(world, ITEM_ENDED, i, run, 0);
        return;
    }
    if (run->sent + STREAM_CHUNK > run->acked + WIRE_STREAM_WINDOW_BYTES) {
        run_item(world, ITEM_STREAM, i, run, CORE_MS);
        return;
    }
    uint8_t bytes[STREAM_CHUNK];
    memset(bytes, 'a' + (int)(run->sent / STREAM_CHUNK % 26), sizeof(bytes));
    struct core_event event = {.type = CORE_EVENT_ATTEMPT_STREAM};
    event.attempt_stream.owner = run->owner;
    event.attempt_stream.data.id = run->id;
    event.attempt_stream.data.stream = WIRE_STREAM_OUT;
    event.attempt_stream.data.offset = run->sent;
    event.attempt_stream.data.bytes = slice_of(bytes, sizeof(bytes));
    run->sent += STREAM_CHUNK;
    run_item(world, ITEM_STREAM, i, run, CORE_MS);
    step(world, i, &event);
}

/* --- clients -----------------------------------------------------------------------------------
 */

static void client_say_in(struct world *world, unsigned i, const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_MESSAGE};
    event.client_message.client = WORLD_CLIENT;
    struct item *item = event_in(world, i, 0, &event);
    int r = wire_message_copy(message, &item->arena, &item->message);
    ck_assert_int_eq(r, 0);
    item->event.client_message.message = &item->message;
}

void world_client_say(struct world *world, unsigned i, const struct wire_message *message)
{
    client_say_in(world, i, message);
}

static void feed(struct world *world, unsigned i)
{
    struct world_client *client = &world->nodes[i].client;
    if (!client->is_up || client->is_fed || client->job == 0) {
        return;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_ADD_TASK};
    if (client->n_added < client->n_tasks && client->n_added < client->tasks_max) {
        struct slice argv[2] = {slice_str(client->words[0]), slice_str(client->words[1])};
        message.add_task.job = client->job;
        message.add_task.task = ++client->n_added;
        message.add_task.argv = (struct wire_slices){.items = argv, .n = client->words[1] ? 2 : 1};
        client_say_in(world, i, &message);
        item_new(world, ITEM_FEED, i, 0);
    } else if (client->n_added == client->n_tasks) {
        message.type = WIRE_MESSAGE_SUBMIT_END;
        message.submit_end.job = client->job;
        message.submit_end.n_tasks = client->n_tasks;
        client->is_fed = true;
        client_say_in(world, i, &message);
    }
}

static void on_done(struct world *world, unsigned i, const struct wire_done *done)
{
    struct world_client *client = &world->nodes[i].client;
    if (done->job != client->job) {
        return; /* of a job that this client submitted earlier */
    }
    ck_assert_uint_lt(done->task, WORLD_TASKS_MAX);
    client->n_reports[done->task]++;
    ck_assert_msg(client->n_reports[done->task] == 1, "task %u is reported once", done->task);
    client->n_done++;
    client->n_by_end[done->result.end]++;
    client->n_failed_status += done->result.end == WIRE_END_EXITED && done->result.status != 0;
    client->last = *done;
    client->last.result.out.inlined = client->last.result.err.inlined = (struct slice){0};
    client->last.result.detail = client->last.peer_name = (struct slice){0};
    if (!client->holds_acks) {
        struct wire_message message = {.type = WIRE_MESSAGE_DONE_ACK};
        message.done_ack.job = done->job;
        message.done_ack.n_done = client->n_done;
        client_say_in(world, i, &message);
    }
}

static void on_client_stream(struct world *world, unsigned i, const struct wire_client_stream *data)
{
    struct world_client *client = &world->nodes[i].client;
    ck_assert_uint_eq(data->offset, client->stream.n);
    buf_append_slice(&client->stream, data->bytes);
    if (!client->holds_stream_acks) {
        struct wire_message message = {.type = WIRE_MESSAGE_CLIENT_STREAM_ACK};
        message.client_stream_ack.job = data->job;
        message.client_stream_ack.task = data->task;
        message.client_stream_ack.stream = data->stream;
        message.client_stream_ack.offset = client->stream.n;
        client_say_in(world, i, &message);
    }
}

static void on_client_send(struct world *world, unsigned i, const struct wire_message *message)
{
    struct world_client *client = &world->nodes[i].client;
    switch ((unsigned)message->type) {
    case WIRE_MESSAGE_ACCEPTED:
        client->is_accepted = true;
        client->job = message->accepted.job;
        client->tasks_max = message->accepted.tasks_max;
        item_new(world, ITEM_FEED, i, 0);
        break;
    case WIRE_MESSAGE_TASK_CREDIT: {
        bool was_stalled = client->n_added == client->tasks_max;
        ck_assert_uint_gt(message->task_credit.tasks_max, client->tasks_max);
        client->tasks_max = message->task_credit.tasks_max;
        if (was_stalled) {
            item_new(world, ITEM_FEED, i, 0);
        }
        break;
    }
    case WIRE_MESSAGE_DONE:
        on_done(world, i, &message->done);
        break;
    case WIRE_MESSAGE_CLIENT_STREAM:
        on_client_stream(world, i, &message->client_stream);
        break;
    case WIRE_MESSAGE_JOB_DONE:
        if (message->job_done.job == client->job) {
            ck_assert(!client->is_job_done);
            client->is_job_done = true;
            client->job_done = message->job_done;
        }
        break;
    case WIRE_MESSAGE_NOTICE:
        buf_append_slice(&client->notices, message->notice.text);
        buf_append_str(&client->notices, "\n");
        break;
    case WIRE_MESSAGE_ERROR:
        client->has_error = true;
        client->error = message->error.error;
        break;
    case WIRE_MESSAGE_PEERS_LIST:
        client->n_rows = message->peers_list.n;
        for (uint32_t k = 0; k < client->n_rows && k <= WORLD_NODES_MAX; k++) {
            client->rows[k] = message->peers_list.items[k];
        }
        break;
    default:
        break;
    }
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
    unsigned side = side_of(link, i);
    world->nodes[i].n_sent[message->type]++;
    if (!link->is_up[side]) {
        return;
    }
    if (message->type == WIRE_MESSAGE_TASK) {
        ck_assert_msg(++link->n_out[side] <= link->credit[side].n_tasks, "%s exceeds its credit",
                      world->nodes[i].name);
    }
    if (link->is_up[1 - side]) {
        message_in(world, link->node[1 - side], world->latency_ns, id, message);
    }
}

static void on_blob_effect(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct node *node = &world->nodes[i];
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
        unsigned side = side_of(link, i);
        struct wire_message want = {.type = WIRE_MESSAGE_BLOB_WANT};
        want.blob_want.hash = effect->blob_fetch.hash;
        if (link->is_up[1 - side]) {
            message_in(world, link->node[1 - side], world->latency_ns, effect->blob_fetch.link,
                       &want);
        }
    } else {
        struct link *link = &world->links[effect->blob_serve.link];
        struct wire_message data = {.type = WIRE_MESSAGE_BLOB_DATA};
        data.blob_data.hash = effect->blob_serve.hash;
        message_in(world, link->node[1 - side_of(link, i)], world->latency_ns,
                   effect->blob_serve.link, &data);
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
        on_client_send(world, i, &effect->client_send.message);
        return;
    case CORE_EFFECT_START:
        on_start(world, i, effect);
        return;
    case CORE_EFFECT_KILL: {
        struct run *run = run_find(node, &effect->kill.owner, &effect->kill.id);
        if (run != NULL && !run->is_killed) {
            run->is_killed = true;
            run->end = effect->kill.end;
            run_item(world, ITEM_ENDED, i, run, CORE_MS);
        }
        return;
    }
    case CORE_EFFECT_STREAM_WINDOW: {
        struct run *run =
            run_find(node, &effect->stream_window.owner, &effect->stream_window.ack.id);
        if (run != NULL) {
            run->acked = effect->stream_window.ack.offset;
        }
        return;
    }
    case CORE_EFFECT_BLOB_FETCH:
    case CORE_EFFECT_BLOB_SERVE:
        on_blob_effect(world, i, effect);
        return;
    case CORE_EFFECT_ADVERTISE:
        node->cores = effect->advertise.cores;
        return;
    case CORE_EFFECT_EXIT:
        node->has_exited = true;
        return;
    case CORE_EFFECT_CANCEL_DIAL:
    case CORE_EFFECT_CLIENT_CLOSE:
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

static void step(struct world *world, unsigned i, struct core_event *event)
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
    struct core_counts counts = core_counts(node->core);
    if (counts.n_tasks < 300 || node->n_steps++ % 256 == 0) {
        core_check(node->core);
    }
    uint64_t at_ns = core_next_deadline(node->core);
    if (at_ns == UINT64_MAX) {
        heap_remove(&world->heap, &node->tick.at);
    } else {
        heap_set(&world->heap, &node->tick.at, at_ns > world->now_ns ? at_ns : world->now_ns);
    }
}

/* Shell work on a message before the core sees it. False: the core does not. */
static bool is_for_core(struct world *world, unsigned i, struct item *item)
{
    const struct wire_message *message = &item->message;
    struct link *link = &world->links[item->link];
    unsigned side = side_of(link, i);
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
            step(world, i, &event);
        }
        return false;
    case WIRE_MESSAGE_BLOB_REFUSE:
        event.type = CORE_EVENT_BLOB_FAILED;
        event.blob_failed.hash = message->blob_refuse.hash;
        if (take_fetch(&world->nodes[i], &message->blob_refuse.hash)) {
            step(world, i, &event);
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
        unsigned side = side_of(link, i);
        if (item->is_remote && !link->is_up[side]) {
            return; /* we closed it ourselves meanwhile */
        }
        link->is_up[side] = false;
        fail_fetches(world, i, item->link);
    }
    step(world, i, &item->event);
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
        feed(world, item->node);
        return;
    case ITEM_STARTED:
    case ITEM_ENDED:
    case ITEM_STREAM:
        run = run_find(node, &item->owner, &item->id);
        if (run == NULL) {
            return;
        }
        if (item->kind == ITEM_STARTED) {
            if (!run->is_killed) {
                run_started(world, item->node, run);
            }
        } else if (item->kind == ITEM_ENDED) {
            run_finish(world, item->node, run);
        } else {
            run_stream(world, item->node, run);
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
            step(world, item->node, &event);
        }
        return true;
    }
    if (item->life != node->life || node->core == NULL) {
        item_free(world, item);
    } else if (node->is_frozen || is_stopped(world, item)) {
        list_push_back(&node->held, &item->held);
    } else {
        run_item_now(world, item);
        item_free(world, item);
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

bool world_run_job(struct world *world, unsigned i, uint64_t ns_max)
{
    uint64_t until_ns = world->now_ns + ns_max;
    while (!world->nodes[i].client.is_job_done && run_next(world, until_ns)) {
    }
    return world->nodes[i].client.is_job_done;
}

/* --- life --------------------------------------------------------------------------------------
 */

struct world *world_new(uint64_t seed)
{
    static const char *const names[WORLD_NODES_MAX] = {"hal",  "lily", "mona", "nick",
                                                       "otto", "pam",  "quin", "rita"};
    struct world *world = mem_alloc_or_die(1, sizeof(*world));
    world->seed = seed;
    world->now_ns = 1000 * CORE_S;
    world->latency_ns = CORE_MS / 5;
    world->run_ns = 10 * CORE_MS;
    world->hash = UINT64_C(0xcbf29ce484222325);
    world->links = mem_alloc_or_die(LINKS_MAX, sizeof(struct link));
    world->n_links = 1;
    heap_init(&world->heap);
    buf_init(&world->text, 64u << 20);
    buf_init(&world->line, 1u << 20);
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        struct node *node = &world->nodes[i];
        snprintf(node->name, sizeof(node->name), "%s", names[i]);
        snprintf(node->address, sizeof(node->address), "10.0.0.%u:7", i + 1);
        struct core_config *config = &node->config;
        memset(config->key.b, 0x11 * (int)(i + 1), sizeof(config->key.b));
        config->seed = seed * 31 + i;
        config->epoch = seed * 1000 + i + 1;
        config->incarnation = 1;
        config->name = node->name;
        config->arch = "x86_64";
        config->os = "linux";
        config->program = "test";
        config->address = node->address;
        config->cores = config->cores_effective = 2;
        config->dead_after_ns = 3 * CORE_S;
        config->has_sandbox = true;
        list_init(&node->runs);
        list_init(&node->held);
        node->tick.kind = ITEM_TICK;
        node->tick.node = i;
        core_effects_init(&node->effects);
        buf_init(&node->client.stream, 16u << 20);
        buf_init(&node->client.notices, 1u << 20);
    }
    return world;
}

static void drop_runs(struct node *node)
{
    while (!list_is_empty(&node->runs)) {
        struct run *run = LIST_ENTRY(node->runs.next, struct run, node);
        list_remove(&run->node);
        mem_free(run);
    }
}

static void drop_held(struct world *world, struct node *node)
{
    while (!list_is_empty(&node->held)) {
        item_free(world, LIST_ENTRY(node->held.next, struct item, held));
    }
}

struct world *world_free(struct world *world)
{
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        struct node *node = &world->nodes[i];
        heap_remove(&world->heap, &node->tick.at);
        node->core = core_free(node->core);
        core_effects_done(&node->effects);
        drop_runs(node);
        drop_held(world, node);
        buf_done(&node->client.stream);
        buf_done(&node->client.notices);
        mem_free(node->client.n_reports);
    }
    while (heap_first(&world->heap) != NULL) {
        item_free(world, LIST_ENTRY(heap_first(&world->heap), struct item, at));
    }
    heap_done(&world->heap);
    buf_done(&world->text);
    buf_done(&world->line);
    mem_free(world->links);
    return mem_free(world);
}

struct core_config *world_config(struct world *world, unsigned i)
{
    return &world->nodes[i].config;
}

void world_found(struct world *world, unsigned i, unsigned of)
{
    struct slice address = slice_str(world->nodes[of].address);
    struct core_event event = {.type = CORE_EVENT_PEER_FOUND};
    event.peer_found.has_key = true;
    event.peer_found.key = world->nodes[of].config.key;
    event.peer_found.source = CORE_SOURCE_MDNS;
    event.peer_found.addresses = (struct wire_slices){.items = &address, .n = 1};
    world_event(world, i, &event);
}

void world_start(struct world *world, unsigned i, bool is_found)
{
    struct node *node = &world->nodes[i];
    node->config.now_ns = world->now_ns;
    node->cores = node->config.cores;
    node->core = core_new(&node->config);
    node->has_exited = false;
    struct core_event event = {.type = CORE_EVENT_TICK};
    step(world, i, &event);
    for (unsigned j = 0; is_found && j < WORLD_NODES_MAX; j++) {
        if (j != i && world->nodes[j].core != NULL && !world->nodes[j].is_frozen) {
            world_found(world, i, j);
            world_found(world, j, i);
        }
    }
}

struct core *world_core(struct world *world, unsigned i)
{
    return world->nodes[i].core;
}

struct world_client *world_client(struct world *world, unsigned i)
{
    return &world->nodes[i].client;
}

uint64_t world_now(const struct world *world)
{
    return world->now_ns;
}

void world_event(struct world *world, unsigned i, struct core_event *event)
{
    step(world, i, event);
}

struct world_closed world_last_closed(const struct world *world, unsigned i)
{
    return world->nodes[i].closed;
}

uint64_t world_challenge(const struct world *world, unsigned i, uint64_t link)
{
    return world->nodes[i].lone_token[link - LONE_LINK];
}

/* --- faults ------------------------------------------------------------------------------------
 */

void world_kill(struct world *world, unsigned i)
{
    struct node *node = &world->nodes[i];
    heap_remove(&world->heap, &node->tick.at);
    node->core = core_free(node->core);
    node->life++;
    node->is_frozen = false;
    drop_runs(node);
    drop_held(world, node);
    node->n_fetches = 0;
    for (uint64_t id = 1; id < world->n_links; id++) {
        struct link *link = &world->links[id];
        unsigned side = side_of(link, i);
        if (link->node[side] != i) {
            continue;
        }
        link->is_up[side] = false;
        if (link->is_up[1 - side]) {
            link_down_in(world, id, 1 - side, world->latency_ns, CORE_LINK_END_CLOSED,
                         WIRE_REASON_NONE);
        }
    }
    struct world_client *client = &node->client;
    client->is_up = false;
}

void world_restart(struct world *world, unsigned i)
{
    struct node *node = &world->nodes[i];
    node->config.epoch += 1000000;
    node->config.incarnation++;
    world_start(world, i, true);
}

void world_cut(struct world *world, unsigned i)
{
    world->nodes[i].is_cut = true;
}

static void release_held(struct world *world, struct node *node)
{
    struct list moved;
    list_init(&moved);
    while (!list_is_empty(&node->held)) {
        struct list *first = node->held.next;
        list_remove(first);
        list_push_back(&moved, first);
    }
    while (!list_is_empty(&moved)) {
        struct item *item = LIST_ENTRY(moved.next, struct item, held);
        list_remove(&item->held);
        heap_set(&world->heap, &item->at, world->now_ns);
    }
}

void world_mend(struct world *world, unsigned i)
{
    world->nodes[i].is_cut = false;
    for (unsigned j = 0; j < WORLD_NODES_MAX; j++) {
        if (!world->nodes[j].is_frozen) {
            release_held(world, &world->nodes[j]);
        }
    }
}

void world_reset_link(struct world *world, unsigned i, unsigned j)
{
    for (uint64_t id = 1; id < world->n_links; id++) {
        struct link *link = &world->links[id];
        bool is_it = (link->node[0] == i && link->node[1] == j) ||
                     (link->node[0] == j && link->node[1] == i);
        for (unsigned side = 0; is_it && side < 2; side++) {
            if (link->is_up[side]) {
                link_down_in(world, id, side, 0, CORE_LINK_END_CLOSED, WIRE_REASON_NONE);
            }
        }
    }
}

void world_freeze(struct world *world, unsigned i)
{
    world->nodes[i].is_frozen = true;
}

void world_thaw(struct world *world, unsigned i)
{
    struct node *node = &world->nodes[i];
    node->is_frozen = false;
    if (node->core == NULL) {
        return;
    }
    heap_set(&world->heap, &node->tick.at, world->now_ns);
    release_held(world, node);
}

/* --- clients -----------------------------------------------------------------------------------
 */

void world_client_up(struct world *world, unsigned i)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_UP};
    event.client_up.client = WORLD_CLIENT;
    event.client_up.uid = 1000;
    event.client_up.is_privileged = true;
    world->nodes[i].client.is_up = true;
    step(world, i, &event);
}

void world_client_down(struct world *world, unsigned i)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_DOWN};
    event.client_down.client = WORLD_CLIENT;
    world->nodes[i].client.is_up = false;
    step(world, i, &event);
}

struct wire_message world_job(void)
{
    struct wire_message message = {.type = WIRE_MESSAGE_SUBMIT};
    message.submit.spec.cores = 1;
    message.submit.spec.lease_ms = 10000;
    message.submit.runs_max = 1;
    return message;
}

void world_submit(struct world *world, unsigned i, const struct wire_message *submit,
                  uint32_t n_tasks, const char *word, const char *value)
{
    struct world_client *client = &world->nodes[i].client;
    if (!client->is_up) {
        world_client_up(world, i);
    }
    mem_free(client->n_reports);
    client->n_reports = mem_alloc_or_die(WORLD_TASKS_MAX, 1);
    client->job = client->n_done = client->n_added = client->tasks_max = 0;
    client->is_fed = client->is_job_done = client->is_accepted = client->has_error = false;
    memset(client->n_by_end, 0, sizeof(client->n_by_end));
    client->n_failed_status = 0;
    client->n_tasks = n_tasks;
    client->words[0] = word;
    client->words[1] = value;
    buf_clear(&client->stream);
    buf_clear(&client->notices);
    client_say_in(world, i, submit);
}

/* --- what happened -----------------------------------------------------------------------------
 */

void world_set_run(struct world *world, uint64_t run_ns)
{
    world->run_ns = run_ns;
}

void world_set_latency(struct world *world, uint64_t latency_ns)
{
    world->latency_ns = latency_ns;
}

uint32_t world_n_started(const struct world *world, unsigned i)
{
    return world->nodes[i].n_started;
}

uint32_t world_n_running(const struct world *world, unsigned i)
{
    uint32_t n = 0;
    list_for_each (at, &world->nodes[i].runs) {
        n++;
    }
    return n;
}

uint64_t world_n_effects(const struct world *world, unsigned i, enum core_effect_type type)
{
    return world->nodes[i].n_effects[type];
}

uint64_t world_n_sent(const struct world *world, unsigned i, enum wire_message_type type)
{
    return world->nodes[i].n_sent[type];
}

bool world_has_exited(const struct world *world, unsigned i)
{
    return world->nodes[i].has_exited;
}

void world_trace(struct world *world)
{
    world->is_tracing = true;
}

uint64_t world_trace_hash(const struct world *world)
{
    return world->hash;
}

struct slice world_trace_text(const struct world *world)
{
    return buf_slice(&world->text);
}

void world_assert_quiet(struct world *world)
{
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        if (world->nodes[i].core == NULL) {
            continue;
        }
        struct core_counts counts = core_counts(world->nodes[i].core);
        const char *name = world->nodes[i].name;
        ck_assert_msg(counts.n_jobs == 0, "%s has jobs", name);
        ck_assert_msg(counts.n_tasks == 0, "%s has tasks", name);
        ck_assert_msg(counts.n_attempts == 0, "%s has attempts", name);
        ck_assert_msg(counts.n_held_queued == 0, "%s holds queued attempts", name);
        ck_assert_msg(counts.n_held_running == 0, "%s holds running attempts", name);
        ck_assert_msg(counts.n_held_ended == 0, "%s holds %u results", name, counts.n_held_ended);
        ck_assert_msg(counts.cores_used == 0, "%s uses cores", name);
        ck_assert_msg(counts.n_cells == 0, "%s has %u cells", name, counts.n_cells);
        ck_assert_msg(counts.n_blob_refs == 0, "%s needs %u blobs", name, counts.n_blob_refs);
        core_check(world->nodes[i].core);
    }
}
