/* What clients say about queues, and the answers of the peers that these go to. */
#include <errno.h>
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue_ask.h"
#include "wire/base/mem.h"

/* --- clients -----------------------------------------------------------------------------------
 */

static void reply_to_client(struct core *core, const struct core_client *client, uint64_t id,
                            enum wire_error error, const char *text)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_REPLY};
    message.queue_reply =
        (struct wire_queue_reply){.id = id, .error = error, .text = slice_str(text)};
    core_client_send(core, client->id, &message);
}

/* NULL: answered. */
static struct core_queue_ask *take_ask(struct core *core, struct core_client *client, uint64_t id,
                                       struct slice name, bool is_put)
{
    const char *fault = NULL;
    enum wire_error error = WIRE_ERROR_LIMIT;
    if (core->is_stopping) {
        fault = "the daemon is ending";
        error = WIRE_ERROR_UNAVAILABLE;
    } else if (client->n_asks >= CORE_ASKS_MAX ||
               (is_put && client->n_queue_puts >= CORE_ASK_PUTS_MAX)) {
        fault = "too many puts and gets that are not answered";
    } else if (core_ask_find(core, client, id) != NULL) {
        fault = "another put or get has that number";
        error = WIRE_ERROR_INVALID;
    }
    if (fault != NULL) {
        reply_to_client(core, client, id, error, fault);
        return NULL;
    }
    struct core_queue_ask *ask = core_ask_new(core, client, id, name);
    ask->is_put = is_put;
    client->n_queue_puts += is_put;
    return ask;
}

static void *items_dup(struct core *core, const struct wire_queue_items *from,
                       struct wire_queue_items *to)
{
    size_t n_bytes = from->n * sizeof(struct wire_queue_bytes);
    for (uint32_t i = 0; i < from->n; i++) {
        n_bytes += from->items[i].bytes.n;
    }
    struct wire_queue_bytes *items = mem_alloc_or_die(1, n_bytes);
    uint8_t *at = (uint8_t *)&items[from->n];
    for (uint32_t i = 0; i < from->n; i++) {
        struct slice bytes = from->items[i].bytes;
        if (bytes.n > 0) {
            memcpy(at, bytes.p, bytes.n);
        }
        items[i] = from->items[i];
        items[i].bytes = slice_of(at, bytes.n);
        at += bytes.n;
        if (items[i].blob_bytes > 0) {
            core_blob_ref(core, &items[i].hash);
        }
    }
    *to = (struct wire_queue_items){.items = items, .n = from->n};
    return items;
}

static void on_add(struct core *core, struct core_client *client, const struct wire_queue_add *add)
{
    struct core_queue_ask *ask = take_ask(core, client, add->id, add->name, true);
    if (ask == NULL) {
        for (uint32_t i = 0; i < add->items.n; i++) {
            core_blob_let_go(core, &add->items.items[i].hash); /* stored for this */
        }
        return;
    }
    ask->block = items_dup(core, &add->items, &ask->items);
    core_ask_look_around(core, ask);
    struct core_card *home = ask->home;
    core_ask_send_put(core, ask); /* which may end it */
    struct core_peer *peer = home != NULL ? home->peer : core->self;
    if (peer != NULL) {
        core_ask_say_next_put(core, peer);
    }
}

static void on_take(struct core *core, struct core_client *client,
                    const struct wire_queue_take *take)
{
    struct core_queue_ask *ask = take_ask(core, client, take->id, take->name, false);
    if (ask != NULL) {
        core_ask_look_around(core, ask);
    }
}

/* What it has goes back; it waits no longer. */
static void give_up(struct core *core, struct core_queue_ask *ask)
{
    while (!list_is_empty(&ask->posts)) {
        core_post_call_off(core, core_ask_post(ask));
    }
}

static void on_end(struct core *core, struct core_client *client, const struct wire_queue_end *end)
{
    struct core_queue_ask *ask = core_ask_find(core, client, end->id);
    if (ask == NULL || ask->is_put || ask->state == CORE_ASK_DONE) {
        core->n_ignored++; /* answered a moment ago */
        return;
    }
    if (!end->is_done) {
        give_up(core, ask);
        core_ask_reply(core, ask, WIRE_ERROR_NONE, (struct slice){0});
    } else if (!ask->is_told) {
        give_up(core, ask);
        core_ask_reply(core, ask, WIRE_ERROR_INVALID, slice_str("nothing was handed out yet"));
    } else if (ask->state == CORE_ASK_LATE) {
        core_ask_reply(core, ask, WIRE_ERROR_UNKNOWN,
                       slice_str("the item was handed out again meanwhile"));
    } else {
        struct core_peer *peer = core_ask_post(ask)->peer;
        ask->state = CORE_ASK_DONE;
        core_ask_say_done(core, peer, ask->request, ask->item, ask->hand, true);
        if (!core_ask_is_reachable(peer)) {
            core_timer_set(core, &ask->gone_timer, core->now_ns + CORE_QUEUE_GONE_NS);
        }
    }
}

static void on_remove(struct core *core, struct core_client *client, struct slice text)
{
    char name[CORE_QUEUE_NAME_BYTES];
    core_queue_name_set(name, text);
    struct core_queue *queue = core_queue_find(core, name);
    if (queue == NULL) {
        core_client_error(core, client->id, WIRE_ERROR_UNKNOWN,
                          "no queue %s lives at this peer: it is removed where it lives", name);
    } else if (client->uid != queue->uid && client->uid != 0) {
        core_client_error(core, client->id, WIRE_ERROR_DENIED,
                          "queue %s is another user's: only who made it and root may remove it",
                          name);
    } else {
        uint64_t id = queue->id;
        core_queue_drop(core, queue);
        core_queue_keep_removed(core, id, client->id);
    }
}

bool core_queue_on_client_message(struct core *core, struct core_client *client,
                                  const struct wire_message *message)
{
    switch ((unsigned)message->type) { /* as a number: the others are not of queues */
    case WIRE_MESSAGE_QUEUE_ADD:
        on_add(core, client, &message->queue_add);
        return true;
    case WIRE_MESSAGE_QUEUE_TAKE:
        on_take(core, client, &message->queue_take);
        return true;
    case WIRE_MESSAGE_QUEUE_END:
        on_end(core, client, &message->queue_end);
        return true;
    case WIRE_MESSAGE_QUEUE_REMOVE:
        on_remove(core, client, message->queue_remove.name);
        return true;
    case WIRE_MESSAGE_QUEUES_QUERY:
        core_queue_look_start(core, client);
        return true;
    default:
        return false;
    }
}

/* What it said stands, put or done, until that is answered. */
void core_queue_client_gone(struct core *core, struct core_client *client)
{
    core_queue_look_client_gone(core, client);
    list_for_each_safe (node, &core->queues.asks) {
        struct core_queue_ask *ask = LIST_ENTRY(node, struct core_queue_ask, node);
        if (ask->client != client) {
            continue;
        }
        if (ask->state == CORE_ASK_SAID || ask->state == CORE_ASK_DONE) {
            client->n_asks--;
            client->n_queue_puts -= ask->is_put;
            ask->client = NULL;
            core_timer_set(core, &ask->gone_timer, core->now_ns + CORE_QUEUE_GONE_NS);
        } else {
            give_up(core, ask);
            core_ask_free(core, ask);
        }
    }
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void tell(struct core *core, struct core_queue_ask *ask, struct slice bytes)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_TAKEN};
    message.queue_taken = (struct wire_queue_taken){.id = ask->id, .content = ask->content};
    message.queue_taken.content.bytes = bytes;
    ask->is_told = true;
    core_client_send(core, ask->client->id, &message);
}

static void tell_blob(struct core *core, struct core_queue_ask *ask)
{
    core_blob_ref(core, &ask->content.hash);
    core_need_drop(core, &ask->need);
    tell(core, ask, (struct slice){0});
}

static void on_fetched(struct core *core, struct core_need *need, int error)
{
    struct core_queue_ask *ask = need->of;
    if (error == 0) {
        tell_blob(core, ask);
        return;
    }
    const struct core_peer *peer = core_ask_post(ask)->peer;
    struct slice text =
        error == -ENOSPC
            ? core_batch_printf(core, "an item of %llu bytes finds no room here: it was given back",
                                (unsigned long long)ask->content.blob_bytes)
            : core_batch_printf(core, "%s does not give the item that it handed out",
                                core_peer_label(peer));
    give_up(core, ask);
    core_ask_reply(core, ask, WIRE_ERROR_UNAVAILABLE, text);
}

static void fetch(struct core *core, struct core_queue_ask *ask, struct core_peer *from)
{
    ask->need.of = ask;
    ask->need.on_done = on_fetched;
    core_need_want(core, &ask->need, from, &ask->content.hash, ask->content.blob_bytes);
    if (ask->need.state == CORE_NEED_MET) {
        tell_blob(core, ask);
    }
}

static void on_item(struct core *core, struct core_peer *peer, const struct wire_queue_item *item)
{
    struct core_queue_ask *ask = core_ask_of(core, item->request);
    struct core_post *from = ask != NULL ? core_post_at(ask, peer) : NULL;
    if (from != NULL && ask->state == CORE_ASK_HOLDING && ask->item == item->item &&
        ask->hand == item->hand) {
        return; /* said again */
    }
    if (from == NULL || ask->is_put || ask->state != CORE_ASK_OPEN) {
        core_ask_say_done(core, peer, item->request, item->item, item->hand, false);
        return;
    }
    list_for_each_safe (node, &ask->posts) { /* while the ask has no item to give back */
        struct core_post *post = LIST_ENTRY(node, struct core_post, of_ask);
        if (post != from) {
            core_post_call_off(core, post);
        }
    }
    ask->state = CORE_ASK_HOLDING;
    ask->item = item->item;
    ask->hand = item->hand;
    ask->content = item->content;
    ask->content.bytes = (struct slice){0};
    if (item->content.blob_bytes > 0) {
        fetch(core, ask, peer);
    } else {
        tell(core, ask, item->content.bytes);
    }
}

/* It is not taken there. */
static void on_open_refused(struct core *core, struct core_queue_ask *ask, struct core_post *post,
                            const struct wire_queue_answer *answer)
{
    if (answer->error == WIRE_ERROR_UNKNOWN) {
        core_queue_unheard(core, post->peer->card, ask->name);
    }
    core_post_free(post);
    if (answer->error != WIRE_ERROR_UNKNOWN && list_is_empty(&ask->posts)) {
        core_ask_reply(core, ask, answer->error, answer->text);
    }
    core->queues.is_due = true;
}

static void on_answer(struct core *core, struct core_peer *peer,
                      const struct wire_queue_answer *answer)
{
    struct core_queue_ask *ask = core_ask_of(core, answer->request);
    struct core_post *post = ask != NULL ? core_post_at(ask, peer) : NULL;
    if (post == NULL) {
        core->n_ignored++;
        return;
    }
    bool is_no_queue =
        ask->state == CORE_ASK_SAID && ask->client != NULL && answer->error == WIRE_ERROR_UNKNOWN;
    if (is_no_queue) {
        ask->state = CORE_ASK_OPEN; /* nothing of it was put: it goes elsewhere */
    }
    switch (ask->state) {
    case CORE_ASK_OPEN:
        if (answer->error != WIRE_ERROR_NONE) {
            on_open_refused(core, ask, post, answer);
        }
        return;
    case CORE_ASK_SAID:
    case CORE_ASK_DONE:
        core_ask_reply(core, ask, answer->error, answer->text);
        return;
    case CORE_ASK_HOLDING:
        if (answer->error != WIRE_ERROR_NONE && !ask->is_told) {
            core_ask_start_over(core, ask);
            return;
        }
        ask->state = answer->error != WIRE_ERROR_NONE ? CORE_ASK_LATE : CORE_ASK_HOLDING;
        return;
    case CORE_ASK_LATE:
        return;
    }
    ensure(!"reached");
}

bool core_ask_on_message(struct core *core, struct core_peer *peer,
                         const struct wire_message *message)
{
    switch ((unsigned)message->type) { /* as a number: the others are not for this role */
    case WIRE_MESSAGE_QUEUE_ITEM:
        on_item(core, peer, &message->queue_item);
        return true;
    case WIRE_MESSAGE_QUEUE_ANSWER:
        on_answer(core, peer, &message->queue_answer);
        return true;
    case WIRE_MESSAGE_QUEUE_ROWS:
        core_queue_look_on_rows(core, peer, &message->queue_rows);
        return true;
    default:
        return false;
    }
}
