/* What clients here want of queues, wherever these live.
 *
 * A put goes to one peer: to us if the queue is here, else to whom the smallest key of those that
 * have it; to nobody's it is made here. One put at a time is on its way to a peer. A get is said to
 * all that have the queue, also to those that turn up later, and the first item ends that. What was
 * said and not answered is said again in each new session. */
#include "mesh/core/queue_ask.h"

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

bool core_ask_is_reachable(const struct core_peer *peer)
{
    return peer->is_self || peer->link != NULL;
}

/* --- posts -------------------------------------------------------------------------------------
 */

struct core_post *core_post_at(const struct core_queue_ask *ask, const struct core_peer *peer)
{
    list_for_each (node, &ask->posts) {
        struct core_post *post = LIST_ENTRY(node, struct core_post, of_ask);
        if (post->peer == peer) {
            return post;
        }
    }
    return NULL;
}

struct core_post *core_ask_post(const struct core_queue_ask *ask)
{
    struct list *first = list_first(&ask->posts);
    ensure(first != NULL);
    return LIST_ENTRY(first, struct core_post, of_ask);
}

void core_post_free(struct core_post *post)
{
    if (post->peer->putting == post) {
        post->peer->putting = NULL;
    }
    list_remove(&post->of_ask);
    list_remove(&post->of_peer);
    mem_free(post);
}

struct core_post *core_post_new(struct core *core, struct core_queue_ask *ask,
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

void core_ask_say_done(struct core *core, struct core_peer *peer, uint64_t request, uint64_t item,
                       uint64_t hand, bool is_done)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_DONE};
    message.queue_done = (struct wire_queue_done){
        .request = request, .item = item, .hand = hand, .is_done = is_done};
    core_send(core, peer, &message);
}

/* Nothing more is wanted there. In a session that is cut meanwhile it is not named any more. */
void core_post_call_off(struct core *core, struct core_post *post)
{
    const struct core_queue_ask *ask = post->ask;
    if (ask->request != 0 && !ask->is_put) {
        core_ask_say_done(core, post->peer, ask->request, ask->item, ask->hand, false);
    }
    core_post_free(post);
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

struct core_queue_ask *core_ask_of(const struct core *core, uint64_t request)
{
    struct table_entry *entry = table_find(&core->queues.by_request, &request);
    return entry != NULL ? LIST_ENTRY(entry, struct core_queue_ask, by_request) : NULL;
}

struct core_queue_ask *core_ask_find(const struct core *core, const struct core_client *client,
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

static void unref(struct core *core, const struct wire_queue_bytes *content)
{
    if (content->blob_bytes > 0) {
        core_blob_unref(core, &content->hash);
    }
}

void core_ask_free(struct core *core, struct core_queue_ask *ask)
{
    struct core_peer *putting = NULL;
    core_timer_stop(core, &ask->gone_timer);
    while (!list_is_empty(&ask->posts)) {
        struct core_post *post = core_ask_post(ask);
        putting = post->peer->putting == post ? post->peer : putting;
        core_post_free(post);
    }
    if (ask->request != 0) {
        table_remove(&core->queues.by_request, &ask->by_request);
    }
    core_need_drop(core, &ask->need);
    for (uint32_t i = 0; i < ask->items.n; i++) {
        unref(core, &ask->items.items[i]);
    }
    if (ask->is_told) {
        unref(core, &ask->content);
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

void core_ask_reply(struct core *core, struct core_queue_ask *ask, enum wire_error error,
                    struct slice text)
{
    if (ask->client != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_REPLY};
        message.queue_reply =
            (struct wire_queue_reply){.id = ask->id, .error = error, .text = text};
        core_client_send(core, ask->client->id, &message);
    }
    core_ask_free(core, ask);
}

void core_ask_start_over(struct core *core, struct core_queue_ask *ask)
{
    ensure(ask->state == CORE_ASK_HOLDING && !ask->is_told);
    core_need_drop(core, &ask->need);
    core_post_free(core_ask_post(ask));
    table_remove(&core->queues.by_request, &ask->by_request);
    ask->by_request.key = NULL;
    ask->request = ask->item = ask->hand = 0;
    ask->content = (struct wire_queue_bytes){0};
    ask->state = CORE_ASK_OPEN;
    core->queues.is_due = true;
}

/* What was said is not answered, and its peer is away. */
static void gone_fire(struct core *core, struct core_timer *timer)
{
    struct core_queue_ask *ask = CONTAINER_OF(timer, struct core_queue_ask, gone_timer);
    const struct core_peer *peer = core_ask_post(ask)->peer;
    if (ask->client == NULL || !core_ask_is_reachable(peer)) {
        core_ask_reply(
            core, ask, WIRE_ERROR_UNAVAILABLE,
            core_batch_printf(core,
                              "%s, where the queue lives, is gone: it is not known whether "
                              "%s",
                              core_peer_label(peer),
                              ask->is_put ? "the items are in it" : "the item counts as done"));
    }
}

struct core_queue_ask *core_ask_new(struct core *core, struct core_client *client, uint64_t id,
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

void core_ask_say_get(struct core *core, struct core_post *post)
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
void core_ask_say_next_put(struct core *core, struct core_peer *peer)
{
    if (!core_ask_is_reachable(peer) || peer->putting != NULL) {
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
            core_ask_say_get(core, post);
        }
        return;
    case CORE_ASK_SAID:
        say_put(core, post);
        return;
    case CORE_ASK_HOLDING:
        core_ask_say_get(core, post);
        return;
    case CORE_ASK_LATE:
        return;
    case CORE_ASK_DONE:
        core_ask_say_done(core, post->peer, ask->request, ask->item, ask->hand, true);
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
    core_ask_say_next_put(core, peer);
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ALL};
    core_send(core, peer, &message);
}

void core_ask_peer_lost(struct core *core, struct core_peer *peer)
{
    list_for_each_safe (node, &peer->posts) {
        struct core_post *post = LIST_ENTRY(node, struct core_post, of_peer);
        struct core_queue_ask *ask = post->ask;
        if (ask->state == CORE_ASK_HOLDING && !ask->is_told) {
            core_ask_start_over(core, ask);
        } else if (ask->state == CORE_ASK_OPEN) {
            core_post_free(post);
            core->queues.is_due = true;
        } else if ((ask->state == CORE_ASK_SAID || ask->state == CORE_ASK_DONE) &&
                   !heap_has(&ask->gone_timer.entry)) {
            core_timer_set(core, &ask->gone_timer, core->now_ns + CORE_QUEUE_GONE_NS);
        }
    }
}

void core_ask_free_all(struct core *core)
{
    list_for_each_safe (node, &core->queues.asks) {
        core_ask_free(core, LIST_ENTRY(node, struct core_queue_ask, node));
    }
}
