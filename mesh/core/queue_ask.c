/* What clients here want of queues, wherever these live.
 *
 * A put goes to one peer: to us if the queue is here, else to whom the smallest key of those that
 * have it; to nobody's it is made here. One put at a time is on its way to a peer. A get is said to
 * all that have the queue, also to those that turn up later, and the first item ends that. What was
 * said and not answered is said again in each new session. */
#include "mesh/core/queue.h"

#include <string.h>

#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

static bool is_reachable(const struct core_peer *peer)
{
    return peer->is_self || peer->link != NULL;
}

/* --- posts -------------------------------------------------------------------------------------
 */

static struct core_post *post_at(const struct core_queue_ask *ask, const struct core_peer *peer)
{
    list_for_each (node, &ask->posts) {
        struct core_post *post = LIST_ENTRY(node, struct core_post, of_ask);
        if (post->peer == peer) {
            return post;
        }
    }
    return NULL;
}

static struct core_post *only_post(const struct core_queue_ask *ask)
{
    struct list *first = list_first(&ask->posts);
    ensure(first != NULL);
    return LIST_ENTRY(first, struct core_post, of_ask);
}

static void post_free(struct core_post *post)
{
    if (post->peer->putting == post) {
        post->peer->putting = NULL;
    }
    list_remove(&post->of_ask);
    list_remove(&post->of_peer);
    mem_free(post);
}

static struct core_post *post_new(struct core *core, struct core_queue_ask *ask,
                                  struct core_peer *peer)
{
    struct core_post *post = mem_alloc_or_die(1, sizeof(*post));
    post->ask = ask;
    post->peer = peer;
    list_push_back(&ask->posts, &post->of_ask);
    list_push_back(&peer->posts, &post->of_peer);
    core_beat_hurry(core, peer);
    return post;
}

static void say_done(struct core *core, struct core_peer *peer, uint64_t request, uint64_t item,
                     uint64_t hand, bool is_done)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_DONE};
    message.queue_done = (struct wire_queue_done){
        .request = request, .item = item, .hand = hand, .is_done = is_done};
    core_send(core, peer, &message);
}

/* Nothing more is wanted there. In a session that is cut meanwhile it is not named any more. */
static void call_off(struct core *core, struct core_post *post)
{
    const struct core_queue_ask *ask = post->ask;
    if (ask->request != 0 && !ask->is_put) {
        say_done(core, post->peer, ask->request, ask->item, ask->hand, false);
    }
    post_free(post);
}

/* --- asks --------------------------------------------------------------------------------------
 */

static void set_request(struct core *core, struct core_queue_ask *ask)
{
    if (ask->request == 0) {
        ask->request = core->queues.next_request++;
        table_insert(&core->queues.by_request, &ask->by_request, &ask->request);
    }
}

static struct core_queue_ask *ask_of(const struct core *core, uint64_t request)
{
    struct table_entry *entry = table_find(&core->queues.by_request, &request);
    return entry != NULL ? LIST_ENTRY(entry, struct core_queue_ask, by_request) : NULL;
}

static struct core_queue_ask *ask_find(const struct core *core, const struct core_client *client,
                                       uint64_t id)
{
    list_for_each (node, &core->queues.asks) {
        struct core_queue_ask *ask = LIST_ENTRY(node, struct core_queue_ask, node);
        if (ask->client == client && ask->id == id) {
            return ask;
        }
    }
    return NULL;
}

static void ask_bury(struct core_grave *grave)
{
    struct core_queue_ask *ask = CONTAINER_OF(grave, struct core_queue_ask, grave);
    mem_free(ask->block);
    mem_free(ask);
}

static void ask_free(struct core *core, struct core_queue_ask *ask)
{
    struct core_peer *putting = NULL;
    core_timer_stop(core, &ask->gone_timer);
    while (!list_is_empty(&ask->posts)) {
        struct core_post *post = only_post(ask);
        putting = post->peer->putting == post ? post->peer : putting;
        post_free(post);
    }
    if (ask->request != 0) {
        table_remove(&core->queues.by_request, &ask->by_request);
    }
    list_remove(&ask->node);
    core->queues.n_asks--;
    core->queues.is_due |= putting != NULL; /* the next put may be said */
    if (ask->client != NULL) {
        ask->client->n_asks--;
        ask->client->n_queue_puts -= ask->is_put;
    }
    core_bury(core, &ask->grave, ask_bury); /* effects may point to its items */
}

static void reply(struct core *core, struct core_queue_ask *ask, enum wire_error error,
                  struct slice text)
{
    if (ask->client != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_REPLY};
        message.queue_reply =
            (struct wire_queue_reply){.id = ask->id, .error = error, .text = text};
        core_client_send(core, ask->client->id, &message);
    }
    ask_free(core, ask);
}

static void reply_to_client(struct core *core, const struct core_client *client, uint64_t id,
                            enum wire_error error, const char *text)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_REPLY};
    message.queue_reply =
        (struct wire_queue_reply){.id = id, .error = error, .text = slice_str(text)};
    core_client_send(core, client->id, &message);
}

/* What was said is not answered, and its peer is away. */
static void gone_fire(struct core *core, struct core_timer *timer)
{
    struct core_queue_ask *ask = CONTAINER_OF(timer, struct core_queue_ask, gone_timer);
    const struct core_peer *peer = only_post(ask)->peer;
    if (ask->client == NULL || !is_reachable(peer)) {
        reply(core, ask, WIRE_ERROR_UNAVAILABLE,
              core_batch_printf(core,
                                "%s, where the queue lives, is gone: it is not known whether "
                                "%s",
                                core_peer_label(peer),
                                ask->is_put ? "the items are in it" : "the item counts as done"));
    }
}

static struct core_queue_ask *ask_new(struct core *core, struct core_client *client, uint64_t id,
                                      struct slice name)
{
    struct core_queue_ask *ask = mem_alloc_or_die(1, sizeof(*ask));
    ask->client = client;
    ask->id = id;
    ask->gone_timer.fire = gone_fire;
    core_queue_name_set(ask->name, name);
    list_init(&ask->posts);
    list_push_back(&core->queues.asks, &ask->node);
    core->queues.n_asks++;
    client->n_asks++;
    return ask;
}

/* --- saying ------------------------------------------------------------------------------------
 */

static void say_put(struct core *core, struct core_post *post)
{
    struct core_queue_ask *ask = post->ask;
    set_request(core, ask);
    ask->state = CORE_ASK_SAID;
    post->peer->putting = post;
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_PUT};
    message.queue_put = (struct wire_queue_put){
        .request = ask->request, .name = slice_str(ask->name), .items = ask->items};
    core_send(core, post->peer, &message);
}

static void say_get(struct core *core, struct core_post *post)
{
    struct core_queue_ask *ask = post->ask;
    set_request(core, ask);
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_GET};
    message.queue_get = (struct wire_queue_get){.request = ask->request,
                                                .name = slice_str(ask->name),
                                                .item = ask->item,
                                                .hand = ask->hand};
    core_send(core, post->peer, &message);
}

/* The next put, when none is on its way there. */
static void say_next_put(struct core *core, struct core_peer *peer)
{
    if (!is_reachable(peer) || peer->putting != NULL) {
        return;
    }
    list_for_each (node, &peer->posts) {
        struct core_post *post = LIST_ENTRY(node, struct core_post, of_peer);
        if (post->ask->is_put) {
            say_put(core, post);
            return;
        }
    }
}

static void say_again(struct core *core, struct core_post *post)
{
    struct core_queue_ask *ask = post->ask;
    switch (ask->state) {
    case CORE_ASK_OPEN:
        if (!ask->is_put) {
            say_get(core, post);
        }
        return;
    case CORE_ASK_SAID:
        say_put(core, post);
        return;
    case CORE_ASK_HOLDING:
        say_get(core, post);
        return;
    case CORE_ASK_LATE:
        return;
    case CORE_ASK_DONE:
        say_done(core, post->peer, ask->request, ask->item, ask->hand, true);
        return;
    }
    ensure(!"reached");
}

void core_ask_link_up(struct core *core, struct core_peer *peer)
{
    list_for_each (node, &peer->posts) {
        struct core_post *post = LIST_ENTRY(node, struct core_post, of_peer);
        if (post->ask->client != NULL) {
            core_timer_stop(core, &post->ask->gone_timer);
        }
        say_again(core, post);
    }
    say_next_put(core, peer);
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ALL};
    core_send(core, peer, &message);
}

void core_ask_peer_lost(struct core *core, struct core_peer *peer)
{
    list_for_each_safe (node, &peer->posts) {
        struct core_post *post = LIST_ENTRY(node, struct core_post, of_peer);
        struct core_queue_ask *ask = post->ask;
        if (ask->state == CORE_ASK_OPEN) {
            post_free(post);
            core->queues.is_due = true;
        } else if ((ask->state == CORE_ASK_SAID || ask->state == CORE_ASK_DONE) &&
                   !heap_has(&ask->gone_timer.entry)) {
            core_timer_set(core, &ask->gone_timer, core->now_ns + CORE_QUEUE_GONE_NS);
        }
    }
}

/* --- where to ----------------------------------------------------------------------------------
 */

enum sight { SIGHT_NONE, SIGHT_AWAITED, SIGHT_HERE };

static enum sight sight_of(const struct core *core, const struct core_card *card)
{
    const struct core_peer *peer = card->peer;
    unsigned state = core_card_state(card);
    if (state == CORE_PEER_KNOWN || (peer != NULL && (peer->is_self || core_peer_is_here(peer)))) {
        return SIGHT_HERE;
    }
    bool was_here = state == CORE_PEER_DOWN && peer != NULL && peer->lost_ns > 0 &&
                    core->now_ns - peer->lost_ns < CORE_QUEUE_BACK_NS;
    return was_here ? SIGHT_AWAITED : SIGHT_NONE;
}

static void post_to(struct core *core, struct core_queue_ask *ask, struct core_card *card)
{
    struct core_peer *peer = core_peer_of(core, card);
    if (peer == NULL || post_at(ask, peer) != NULL) {
        return;
    }
    struct core_post *post = post_new(core, ask, peer);
    if (!is_reachable(peer)) {
        core_dial_heard_of(core, card);
    } else if (!ask->is_put) {
        say_get(core, post);
    }
}

static bool is_better(const struct core *core, const struct core_card *card,
                      const struct core_card *than)
{
    if (than == NULL || card->peer == core->self) {
        return true;
    }
    return than->peer != core->self && wire_key_cmp(&card->key, &than->key) < 0;
}

static void consider(struct core *core, struct core_queue_ask *ask, struct core_card *card,
                     enum sight sight)
{
    if (ask->state != CORE_ASK_OPEN || !core_queue_has(core, card, ask->name)) {
        return;
    }
    if (sight == SIGHT_AWAITED) {
        ask->is_awaited = true;
    } else if (!ask->is_put) {
        post_to(core, ask, card);
    } else if (is_better(core, card, ask->home)) {
        ask->home = card;
    }
}

static void make_here(struct core *core, struct core_queue_ask *ask)
{
    struct slice fault = core_queue_fault(core);
    if (fault.n > 0) {
        reply(core, ask, WIRE_ERROR_UNAVAILABLE, fault);
        return;
    }
    if (core->queues.by_name.n >= WIRE_QUEUES_MAX) {
        reply(core, ask, WIRE_ERROR_LIMIT,
              core_batch_printf(core, "this peer has %u queues already: remove one",
                                WIRE_QUEUES_MAX));
        return;
    }
    struct core_queue *queue =
        core_queue_new(core, core->queues.next_queue++, ask->client->uid, ask->name);
    core_queue_keep(core, queue);
    post_to(core, ask, core->self->card);
}

static void send_put(struct core *core, struct core_queue_ask *ask)
{
    bool is_young = core->now_ns < core->config.now_ns + CORE_STARTUP_NS;
    if (ask->home == NULL && core_queue_find(core, ask->name) != NULL) {
        ask->home = core->self->card; /* made for another put a moment ago */
    }
    if (ask->home != NULL) {
        struct core_post *other = list_is_empty(&ask->posts) ? NULL : only_post(ask);
        if (other != NULL && other->peer->card != ask->home) {
            post_free(other);
        }
        post_to(core, ask, ask->home);
    } else if (list_is_empty(&ask->posts) && (ask->is_awaited || is_young)) {
        core_timer_set(core, &core->queues.look_timer, core->now_ns + CORE_STARTUP_NS / 4);
    } else if (list_is_empty(&ask->posts)) {
        make_here(core, ask);
    }
}

static bool is_open_put(const struct core_queue_ask *ask)
{
    return ask->is_put && ask->state == CORE_ASK_OPEN;
}

/* Looks for peers that have the queue of this ask; NULL: of each. */
static void look_around(struct core *core, struct core_queue_ask *only)
{
    list_for_each (node, &core->queues.asks) {
        struct core_queue_ask *ask = LIST_ENTRY(node, struct core_queue_ask, node);
        ask->home = NULL;
        ask->is_awaited = false;
    }
    table_for_each (entry, &core->cards) {
        struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        enum sight sight = core_queue_has(core, card, NULL) ? sight_of(core, card) : SIGHT_NONE;
        if (sight == SIGHT_NONE) {
            continue; /* as most are */
        }
        if (only != NULL) {
            consider(core, only, card, sight);
            continue;
        }
        list_for_each (node, &core->queues.asks) {
            consider(core, LIST_ENTRY(node, struct core_queue_ask, node), card, sight);
        }
    }
}

void core_ask_run(struct core *core)
{
    look_around(core, NULL);
    list_for_each_safe (node, &core->queues.asks) {
        struct core_queue_ask *ask = LIST_ENTRY(node, struct core_queue_ask, node);
        if (is_open_put(ask)) {
            send_put(core, ask);
        }
    }
    list_for_each (node, &core->queues.asks) {
        const struct core_queue_ask *ask = LIST_ENTRY(node, struct core_queue_ask, node);
        if (is_open_put(ask) && !list_is_empty(&ask->posts)) {
            say_next_put(core, only_post(ask)->peer);
        }
    }
}

/* --- clients -----------------------------------------------------------------------------------
 */

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
    } else if (ask_find(core, client, id) != NULL) {
        fault = "another put or get has that number";
        error = WIRE_ERROR_INVALID;
    }
    if (fault != NULL) {
        reply_to_client(core, client, id, error, fault);
        return NULL;
    }
    struct core_queue_ask *ask = ask_new(core, client, id, name);
    ask->is_put = is_put;
    client->n_queue_puts += is_put;
    return ask;
}

static void *items_dup(const struct wire_queue_items *from, struct wire_queue_items *to)
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
        items[i].bytes = slice_of(at, bytes.n);
        at += bytes.n;
    }
    *to = (struct wire_queue_items){.items = items, .n = from->n};
    return items;
}

static void on_add(struct core *core, struct core_client *client, const struct wire_queue_add *add)
{
    struct core_queue_ask *ask = take_ask(core, client, add->id, add->name, true);
    if (ask == NULL) {
        return;
    }
    ask->block = items_dup(&add->items, &ask->items);
    look_around(core, ask);
    struct core_card *home = ask->home;
    send_put(core, ask); /* which may end it */
    struct core_peer *peer = home != NULL ? home->peer : core->self;
    if (peer != NULL) {
        say_next_put(core, peer);
    }
}

static void on_take(struct core *core, struct core_client *client,
                    const struct wire_queue_take *take)
{
    struct core_queue_ask *ask = take_ask(core, client, take->id, take->name, false);
    if (ask != NULL) {
        look_around(core, ask);
    }
}

/* What it has goes back; it waits no longer. */
static void give_up(struct core *core, struct core_queue_ask *ask)
{
    while (!list_is_empty(&ask->posts)) {
        call_off(core, only_post(ask));
    }
}

static void on_end(struct core *core, struct core_client *client, const struct wire_queue_end *end)
{
    struct core_queue_ask *ask = ask_find(core, client, end->id);
    if (ask == NULL || ask->is_put || ask->state == CORE_ASK_DONE) {
        core->n_ignored++; /* answered a moment ago */
        return;
    }
    if (!end->is_done) {
        give_up(core, ask);
        reply(core, ask, WIRE_ERROR_NONE, (struct slice){0});
    } else if (ask->state == CORE_ASK_OPEN) {
        give_up(core, ask);
        reply(core, ask, WIRE_ERROR_INVALID, slice_str("nothing was handed out yet"));
    } else if (ask->state == CORE_ASK_LATE) {
        reply(core, ask, WIRE_ERROR_UNKNOWN, slice_str("the item was handed out again meanwhile"));
    } else {
        struct core_peer *peer = only_post(ask)->peer;
        ask->state = CORE_ASK_DONE;
        say_done(core, peer, ask->request, ask->item, ask->hand, true);
        if (!is_reachable(peer)) {
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
            ask_free(core, ask);
        }
    }
}

void core_ask_free_all(struct core *core)
{
    list_for_each_safe (node, &core->queues.asks) {
        ask_free(core, LIST_ENTRY(node, struct core_queue_ask, node));
    }
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void on_item(struct core *core, struct core_peer *peer, const struct wire_queue_item *item)
{
    struct core_queue_ask *ask = ask_of(core, item->request);
    struct core_post *from = ask != NULL ? post_at(ask, peer) : NULL;
    if (from != NULL && ask->state == CORE_ASK_HOLDING && ask->item == item->item &&
        ask->hand == item->hand) {
        return; /* said again */
    }
    if (from == NULL || ask->is_put || ask->state != CORE_ASK_OPEN) {
        say_done(core, peer, item->request, item->item, item->hand, false);
        return;
    }
    list_for_each_safe (node, &ask->posts) { /* while the ask has no item to give back */
        struct core_post *post = LIST_ENTRY(node, struct core_post, of_ask);
        if (post != from) {
            call_off(core, post);
        }
    }
    ask->state = CORE_ASK_HOLDING;
    ask->item = item->item;
    ask->hand = item->hand;
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_TAKEN};
    message.queue_taken = (struct wire_queue_taken){.id = ask->id, .bytes = item->bytes};
    core_client_send(core, ask->client->id, &message);
}

/* It is not taken there. */
static void on_open_refused(struct core *core, struct core_queue_ask *ask, struct core_post *post,
                            const struct wire_queue_answer *answer)
{
    if (answer->error == WIRE_ERROR_UNKNOWN) {
        core_queue_unheard(core, post->peer->card, ask->name);
    }
    post_free(post);
    if (answer->error != WIRE_ERROR_UNKNOWN && list_is_empty(&ask->posts)) {
        reply(core, ask, answer->error, answer->text);
    }
    core->queues.is_due = true;
}

static void on_answer(struct core *core, struct core_peer *peer,
                      const struct wire_queue_answer *answer)
{
    struct core_queue_ask *ask = ask_of(core, answer->request);
    struct core_post *post = ask != NULL ? post_at(ask, peer) : NULL;
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
        reply(core, ask, answer->error, answer->text);
        return;
    case CORE_ASK_HOLDING:
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
