/* Clients of queues. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/core_world_internal.h"

#define LARGE_BYTES 1000000u

static void say(struct world *world, unsigned i, const struct wire_message *message)
{
    if (!world->nodes[i].client.is_up) {
        world_client_up(world, i);
    }
    world_client_say(world, i, message);
}

static struct wire_queue_bytes content_of(struct world *world, unsigned i, struct slice word)
{
    if (word.n != 2 || word.p[0] != '#') {
        return (struct wire_queue_bytes){.bytes = word};
    }
    struct wire_ref ref = world_ref(word.p[1], LARGE_BYTES);
    world_watch(world, &ref.hash);
    world_keep(world, i, &ref.hash);
    return (struct wire_queue_bytes){.hash = ref.hash, .blob_bytes = ref.bytes};
}

void world_queue_put(struct world *world, unsigned i, uint64_t id, const char *name,
                     const char *words)
{
    struct wire_queue_bytes items[WIRE_PUT_ITEMS_MAX];
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ADD};
    message.queue_add = (struct wire_queue_add){.id = id, .name = slice_str(name)};
    uint32_t n = 0;
    while (*words != '\0') {
        size_t n_word = strcspn(words, " ");
        items[n++] = content_of(world, i, slice_of(words, n_word));
        words += n_word + (words[n_word] == ' ');
    }
    message.queue_add.items = (struct wire_queue_items){.items = items, .n = n};
    say(world, i, &message);
}

void world_queue_get(struct world *world, unsigned i, uint64_t id, const char *name)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_TAKE};
    message.queue_take = (struct wire_queue_take){.id = id, .name = slice_str(name)};
    say(world, i, &message);
}

void world_queue_end(struct world *world, unsigned i, uint64_t id, bool is_done)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_END};
    message.queue_end = (struct wire_queue_end){.id = id, .is_done = is_done};
    say(world, i, &message);
}

void world_queue_remove(struct world *world, unsigned i, const char *name)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_REMOVE};
    message.queue_remove.name = slice_str(name);
    say(world, i, &message);
}

void world_queue_look(struct world *world, unsigned i)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUES_QUERY};
    world->nodes[i].client.n_queue_rows = 0;
    say(world, i, &message);
}

const struct world_ask *world_ask_of(struct world *world, unsigned i, uint64_t id)
{
    ck_assert(id > 0 && id <= WORLD_ASKS_MAX);
    return &world->nodes[i].client.asks[id];
}

const struct world_ask *world_queue_wait(struct world *world, unsigned i, uint64_t id)
{
    const struct world_ask *ask = world_ask_of(world, i, id);
    unsigned n = ask->n_replies + ask->n_taken;
    for (unsigned ms = 0; ms < 20000 && ask->n_replies + ask->n_taken == n; ms += 5) {
        world_run_for(world, 5 * CORE_MS);
    }
    ck_assert_msg(ask->n_replies + ask->n_taken > n, "nothing was heard of %llu",
                  (unsigned long long)id);
    return ask;
}

const struct kept_queues *world_kept_queues(const struct world *world, unsigned i)
{
    return &world->nodes[i].disk.queues;
}

static struct world_ask *ask_of(struct world_client *client, uint64_t id)
{
    ck_assert(id > 0 && id <= WORLD_ASKS_MAX);
    return &client->asks[id];
}

static void on_list(struct world_client *client, const struct wire_queue_rows_list *rows)
{
    client->n_queue_rows = rows->n < WIRE_QUEUES_MAX ? rows->n : WIRE_QUEUES_MAX;
    for (unsigned k = 0; k < client->n_queue_rows; k++) {
        client->queue_rows[k] = rows->items[k];
        client->queue_rows[k].peer = (struct slice){0};
        snprintf(client->queue_names[k], sizeof(client->queue_names[k]), "%.*s",
                 SLICE_FMT(rows->items[k].name));
        client->queue_rows[k].name = slice_str(client->queue_names[k]);
    }
}

static void on_taken(struct world *world, unsigned i, const struct wire_queue_taken *taken)
{
    struct world_ask *ask = ask_of(&world->nodes[i].client, taken->id);
    ask->n_taken++;
    if (taken->content.blob_bytes > 0) {
        ck_assert_uint_eq(taken->content.blob_bytes, LARGE_BYTES);
        ck_assert_msg(world_keeps(world, i, &taken->content.hash),
                      "an item is handed out that is not here");
        snprintf(ask->taken, sizeof(ask->taken), "#%c", taken->content.hash.b[1]);
    } else {
        snprintf(ask->taken, sizeof(ask->taken), "%.*s", SLICE_FMT(taken->content.bytes));
    }
}

void world_queue_on_message(struct world *world, unsigned i, const struct wire_message *message)
{
    struct world_client *client = &world->nodes[i].client;
    if (message->type == WIRE_MESSAGE_QUEUE_REPLY) {
        struct world_ask *ask = ask_of(client, message->queue_reply.id);
        ask->n_replies++;
        ask->error = message->queue_reply.error;
        snprintf(ask->error_text, sizeof(ask->error_text), "%.*s",
                 SLICE_FMT(message->queue_reply.text));
    } else if (message->type == WIRE_MESSAGE_QUEUE_TAKEN) {
        on_taken(world, i, &message->queue_taken);
    } else if (message->type == WIRE_MESSAGE_QUEUES_LIST) {
        on_list(client, &message->queues_list.rows);
    }
}
