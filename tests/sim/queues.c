/* Queues, in 40 % of the seeds, closed meshes as well: clients all over the mesh put items that are
 * all different, get, are done, give back, and leave, while everything else goes wrong. The rules:
 *
 *  an item whose put was answered is on a disk; one whose put was refused is on none
 *  an item comes to one disk, once, and is done there once
 *  a done that was answered is on disk, and is answered so to one getter only
 *  in the end all comes out, and nothing is left
 *
 * Not judged: what was on a disk that is gone, and seeds in which a second daemon had a key. */
#include <assert.h>
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

#define N_CLIENTS  12u
#define N_ITEMS    4000u
#define ITEM_BYTES sizeof(uint64_t)
#define BLOB_MAX   (1u << 20)
#define FINISH_NS  (400 * SIM_S) /* a put whose peer is away is answered after a minute */

enum client_state { QUEUE_IDLE, QUEUE_WAITING, QUEUE_HOLDING, QUEUE_ENDING };

struct queue_client {
    struct sim_node *node; /* NULL: it has left */
    uint64_t client, id;
    enum client_state state;
    uint64_t item; /* that it holds, or said to be done with */
    bool is_done_said;
};

struct queue_item {
    bool is_said, is_answered, is_refused, is_lost;
    uint32_t n_on_disk, n_done, n_done_heard;
};

struct queue_play {
    struct dice dice;
    struct queue_client clients[N_CLIENTS];
    struct queue_item items[N_ITEMS];
    uint64_t n_items;
    bool is_finishing;
};

/* --- what is on disk ---------------------------------------------------------------------------
 */

static const char blob_mark[] = "item of a queue";
static_assert(ITEM_BYTES + sizeof(blob_mark) <= sizeof(struct wire_hash), "a hash holds both");

bool queues_is_item(const struct wire_hash *hash)
{
    return memcmp(hash->b + ITEM_BYTES, blob_mark, sizeof(blob_mark)) == 0;
}

/* A large item has its number in its hash. */
static uint64_t number_of(const struct wire_queue_bytes *content)
{
    uint64_t number;
    ensure(content->blob_bytes > 0 || content->bytes.n == ITEM_BYTES);
    memcpy(&number, content->blob_bytes > 0 ? content->hash.b : content->bytes.p, ITEM_BYTES);
    return number;
}

static struct queue_item *item_of(const struct sim *sim, const struct wire_queue_bytes *content)
{
    uint64_t number = number_of(content);
    ensure(sim->queues != NULL && number < sim->queues->n_items);
    return &sim->queues->items[number];
}

static struct queue_item *item_of_kept(const struct sim *sim, const struct kept_item *kept)
{
    struct wire_queue_bytes content = {.bytes = slice_of(kept->bytes, kept->n),
                                       .hash = kept->hash,
                                       .blob_bytes = kept->blob_bytes};
    return item_of(sim, &content);
}

bool queues_names(const struct sim_node *node, const struct wire_hash *hash)
{
    list_for_each (at, &node->queues.queues) {
        const struct kept_queue *queue = LIST_ENTRY(at, struct kept_queue, node);
        table_for_each (entry, &queue->items) {
            const struct kept_item *kept = LIST_ENTRY(entry, struct kept_item, by_number);
            if (kept->blob_bytes > 0 && memcmp(&kept->hash, hash, sizeof(*hash)) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_judged(const struct sim *sim)
{
    return sim->report.n_by_kind[SIM_FAULT_CLONE] == 0;
}

static void note_put(struct sim *sim, const struct sim_node *node, const struct core_record *record)
{
    for (uint32_t i = 0; i < record->queue_put.items.n; i++) {
        const struct wire_queue_bytes *content = &record->queue_put.items.items[i];
        struct queue_item *item = item_of(sim, content);
        if (content->blob_bytes > 0 && shell_stored(node, &content->hash) == NULL) {
            sim_broken(sim, "%s keeps an item that is not in its store", node->name);
        }
        item->n_on_disk++;
        if (is_judged(sim) && (item->n_on_disk > 1 || item->is_refused)) {
            sim_broken(sim, "%s keeps an item %s", node->name,
                       item->is_refused ? "that it refused" : "that was kept before");
        }
    }
}

static void note_done(struct sim *sim, const struct sim_node *node,
                      const struct core_record *record)
{
    list_for_each (at, &node->queues.queues) {
        const struct kept_queue *queue = LIST_ENTRY(at, struct kept_queue, node);
        struct table_entry *entry = table_find(&queue->items, &record->queue_done.item);
        if (entry != NULL) {
            const struct kept_item *kept = LIST_ENTRY(entry, struct kept_item, by_number);
            struct queue_item *item = item_of_kept(sim, kept);
            if (++item->n_done > 1 && is_judged(sim)) {
                sim_broken(sim, "%s keeps that an item is done that was done before", node->name);
            }
        }
    }
}

void queues_apply(struct sim *sim, struct sim_node *node, const struct core_record *record)
{
    if (record->type == CORE_RECORD_QUEUE_PUT) {
        note_put(sim, node, record);
    } else if (record->type == CORE_RECORD_QUEUE_DONE) {
        note_done(sim, node, record);
    }
    const char *fault = kept_queues_apply(&node->queues, record);
    if (fault != NULL) {
        sim_broken(sim, "%s writes a record of a queue: %s", node->name, fault);
    }
}

void queues_wipe(struct sim *sim, struct sim_node *node)
{
    list_for_each (at, &node->queues.queues) {
        struct kept_queue *queue = LIST_ENTRY(at, struct kept_queue, node);
        table_for_each (entry, &queue->items) {
            const struct kept_item *kept = LIST_ENTRY(entry, struct kept_item, by_number);
            if (kept->hand == 0 && sim->queues != NULL) {
                item_of_kept(sim, kept)->is_lost = true;
            }
        }
    }
    kept_queues_wipe(&node->queues);
}

/* --- clients -----------------------------------------------------------------------------------
 */

static void say(struct sim *sim, struct queue_client *client, const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_MESSAGE};
    event.client_message.client = client->client;
    event.client_message.message = message;
    sim_step(sim, client->node, &event);
}

static void connect_to(struct sim *sim, struct queue_client *client, struct sim_node *node)
{
    *client = (struct queue_client){.node = node, .client = sim->next_client++, .id = 1};
    struct core_event up = {.type = CORE_EVENT_CLIENT_UP};
    up.client_up.client = client->client;
    sim_step(sim, node, &up);
}

static void leave(struct sim *sim, struct queue_client *client)
{
    struct core_event down = {.type = CORE_EVENT_CLIENT_DOWN};
    struct sim_node *node = client->node;
    down.client_down.client = client->client;
    client->node = NULL;
    sim_step(sim, node, &down);
}

static const char *draw_name(struct sim *sim)
{
    static const char *const names[] = {"songs", "work", "\xc3\xa9t\xc3\xa9"};
    return names[dice_roll(&sim->queues->dice, ARRAY_LEN(names))];
}

static void put(struct sim *sim, struct queue_client *client)
{
    struct queue_play *play = sim->queues;
    uint64_t numbers[8];
    struct wire_queue_bytes items[ARRAY_LEN(numbers)];
    uint32_t n = (uint32_t)dice_log(&play->dice, 1, ARRAY_LEN(numbers));
    if (play->n_items + n > N_ITEMS) {
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        numbers[i] = play->n_items++;
        play->items[numbers[i]].is_said = true;
        items[i] = (struct wire_queue_bytes){.bytes = slice_of(&numbers[i], sizeof(numbers[i]))};
        if (dice_chance(&play->dice, 25)) {
            items[i] = (struct wire_queue_bytes){
                .blob_bytes = dice_log(&play->dice, WIRE_ITEM_BYTES_MAX + 1, BLOB_MAX)};
            memcpy(items[i].hash.b, &numbers[i], ITEM_BYTES);
            memcpy(items[i].hash.b + ITEM_BYTES, blob_mark, sizeof(blob_mark));
            shell_store(client->node, &items[i].hash, items[i].blob_bytes);
        }
    }
    /* The number of the put says which items it is of. */
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ADD};
    message.queue_add.id = (numbers[0] << 8 | n) << 1 | 1;
    message.queue_add.name = slice_str(draw_name(sim));
    message.queue_add.items = (struct wire_queue_items){.items = items, .n = n};
    say(sim, client, &message);
}

static void get(struct sim *sim, struct queue_client *client, const char *name)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_TAKE};
    client->id += 2; /* even: puts have the odd numbers */
    client->state = QUEUE_WAITING;
    message.queue_take = (struct wire_queue_take){.id = client->id << 1, .name = slice_str(name)};
    say(sim, client, &message);
}

static void end_get(struct sim *sim, struct queue_client *client, bool is_done)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_END};
    client->is_done_said = is_done;
    client->state = QUEUE_ENDING;
    message.queue_end = (struct wire_queue_end){.id = client->id << 1, .is_done = is_done};
    say(sim, client, &message);
}

static void act(struct sim *sim, struct queue_client *client)
{
    struct dice *dice = &sim->queues->dice;
    if (client->node == NULL) {
        struct sim_node *node = sim->nodes[dice_roll(dice, sim->n_nodes)];
        if (sim_node_runs(node) && node->clone_of == NULL && !node->is_stopping) {
            connect_to(sim, client, node);
        }
    } else if (!sim_node_runs(client->node)) {
        return;
    } else if (dice_chance(dice, 4)) {
        leave(sim, client);
    } else if (client->state == QUEUE_IDLE && dice_chance(dice, 50)) {
        put(sim, client);
    } else if (client->state == QUEUE_IDLE) {
        get(sim, client, draw_name(sim));
    } else if (client->state == QUEUE_WAITING && dice_chance(dice, 20)) {
        end_get(sim, client, false);
    } else if (client->state == QUEUE_HOLDING && dice_chance(dice, 70)) {
        end_get(sim, client, dice_chance(dice, 80));
    }
}

static void act_fire(struct sim *sim, struct sim_event *event)
{
    if (sim->queues->is_finishing) {
        return;
    }
    struct dice *dice = &sim->queues->dice;
    act(sim, &sim->queues->clients[dice_roll(dice, N_CLIENTS)]);
    sim_event_new(sim, SIM_WORLD, NULL, dice_log(dice, 1, 300) * SIM_MS, act_fire);
}

/* --- what they hear ----------------------------------------------------------------------------
 */

static void on_put_reply(struct sim *sim, const struct wire_queue_reply *reply)
{
    uint64_t first = reply->id >> 9;
    for (uint64_t i = 0; i < (reply->id >> 1 & 0xff); i++) {
        struct queue_item *item = &sim->queues->items[first + i];
        item->is_answered = reply->error == WIRE_ERROR_NONE;
        /* But when it is not known. */
        item->is_refused = reply->error == WIRE_ERROR_LIMIT;
        if (item->is_answered && item->n_on_disk == 0 && is_judged(sim)) {
            sim_broken(sim, "a put is answered that is not on disk");
        }
        if (item->is_refused && item->n_on_disk > 0 && is_judged(sim)) {
            sim_broken(sim, "a put is refused that is on disk");
        }
    }
}

static void on_get_reply(struct sim *sim, struct queue_client *client,
                         const struct wire_queue_reply *reply)
{
    bool is_accepted =
        client->state == QUEUE_ENDING && client->is_done_said && reply->error == WIRE_ERROR_NONE;
    client->state = QUEUE_IDLE;
    if (!is_accepted) {
        return;
    }
    struct queue_item *item = &sim->queues->items[client->item];
    sim->report.n_queue_dones++;
    if (is_judged(sim) && (++item->n_done_heard > 1 || item->n_done != 1) && !item->is_lost) {
        sim_broken(sim,
                   "a done is answered of an item that is done %u times on disk, and was "
                   "%u times so answered",
                   item->n_done, item->n_done_heard);
    }
}

bool queues_hears(struct sim *sim, const struct sim_node *node, uint64_t id,
                  const struct wire_message *message)
{
    for (unsigned i = 0; sim->queues != NULL && i < N_CLIENTS; i++) {
        struct queue_client *client = &sim->queues->clients[i];
        if (client->node != node || client->client != id) {
            continue;
        }
        if (message->type == WIRE_MESSAGE_QUEUE_TAKEN) {
            bool is_wanted = client->state == QUEUE_WAITING && message->queue_taken.id == client->id
                                                                                              << 1;
            if (is_wanted) {
                const struct wire_queue_bytes *content = &message->queue_taken.content;
                client->item = number_of(content);
                client->state = QUEUE_HOLDING;
                if (content->blob_bytes > 0 && shell_stored(node, &content->hash) == NULL) {
                    sim_broken(sim, "%s hands out an item that is not in its store", node->name);
                }
            }
        } else if (message->type == WIRE_MESSAGE_QUEUE_REPLY) {
            if ((message->queue_reply.id & 1) != 0) {
                on_put_reply(sim, &message->queue_reply);
            } else if (message->queue_reply.id == client->id << 1) {
                on_get_reply(sim, client, &message->queue_reply);
            }
        }
        return true;
    }
    return false;
}

void queues_daemon_gone(struct sim *sim, const struct sim_node *node)
{
    for (unsigned i = 0; sim->queues != NULL && i < N_CLIENTS; i++) {
        if (sim->queues->clients[i].node == node) {
            sim->queues->clients[i].node = NULL;
        }
    }
}

/* --- the course --------------------------------------------------------------------------------
 */

void queues_play(struct sim *sim)
{
    struct dice dice = {dice_mix(sim->options.seed + UINT64_C(0x9fe0e5))};
    if (sim->transport == SIM_TRANSPORT_BARE || !dice_chance(&dice, 40)) {
        return;
    }
    sim->queues = mem_alloc_or_die(1, sizeof(*sim->queues));
    sim->queues->dice = dice;
    sim->report.n_queue_plays++;
    sim_event_new(sim, SIM_WORLD, NULL, 0, act_fire);
}

/* One that takes whatever there is, at each node in turn: what lives on a host that speaks to
 * nobody comes out there. */
static void drain_at(struct sim *sim, struct queue_client *client, struct sim_node *node)
{
    if (client->node == NULL) {
        connect_to(sim, client, node);
    } else if (client->state == QUEUE_IDLE) {
        get(sim, client, draw_name(sim));
    } else if (client->state == QUEUE_HOLDING) {
        end_get(sim, client, true);
    } else if (client->state == QUEUE_WAITING && dice_chance(&sim->queues->dice, 20)) {
        end_get(sim, client, false); /* another name, another node */
    } else if (client->state == QUEUE_WAITING) {
        return;
    }
}

static unsigned n_left(const struct sim *sim)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        const struct sim_node *node = sim->nodes[i];
        n += node->core != NULL && node->clone_of == NULL ? kept_n_items(&node->queues, NULL) : 0;
    }
    return n;
}

/* Each client that is at a node with something in it stays there. */
static void choose(struct sim *sim, struct queue_client *client)
{
    struct dice *dice = &sim->queues->dice;
    struct sim_node *node = sim->nodes[dice_roll(dice, sim->n_nodes)];
    if (client->node != NULL && client->state == QUEUE_IDLE && dice_chance(dice, 10)) {
        leave(sim, client);
    }
    if (client->node != NULL) {
        node = client->node;
    }
    if (sim_node_runs(node) && node->clone_of == NULL) {
        drain_at(sim, client, node);
    }
}

void queues_finish(struct sim *sim)
{
    if (sim->queues == NULL) {
        return;
    }
    uint64_t until_ns = sim->now_ns + FINISH_NS;
    sim->queues->is_finishing = true;
    while (sim->now_ns < until_ns && n_left(sim) > 0) {
        for (unsigned i = 0; i < N_CLIENTS; i++) {
            choose(sim, &sim->queues->clients[i]);
        }
        sim_run_until(sim, sim->now_ns + 20 * SIM_MS);
    }
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        if (sim->queues->clients[i].node != NULL && sim_node_runs(sim->queues->clients[i].node)) {
            leave(sim, &sim->queues->clients[i]);
        }
    }
    if (is_judged(sim) && n_left(sim) > 0) {
        sim_broken(sim, "%u items of queues do not come out", n_left(sim));
    }
}

void queues_quiet(struct sim *sim)
{
    for (uint64_t i = 0; sim->queues != NULL && is_judged(sim) && i < sim->queues->n_items; i++) {
        const struct queue_item *item = &sim->queues->items[i];
        sim->report.n_queue_items += item->is_answered;
        if (item->is_answered && !item->is_lost && item->n_done != 1) {
            sim_broken(sim, "item %llu was put, and is done %u times in the end",
                       (unsigned long long)i, item->n_done);
        }
    }
}

void queues_free(struct sim *sim)
{
    sim->queues = mem_free(sim->queues);
}
