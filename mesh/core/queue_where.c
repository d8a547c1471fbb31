/* Where what clients want of queues goes: which peers have the queue, and who makes it when nobody
 * has. */
#include "mesh/core/queue_ask.h"

#include "mesh/core/job.h"
#include "mesh/core/peer.h"

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
    if (peer == NULL || core_post_at(ask, peer) != NULL) {
        return;
    }
    struct core_post *post = core_post_new(core, ask, peer);
    if (!core_ask_is_reachable(peer)) {
        core_dial_heard_of(core, card);
    } else if (!ask->is_put) {
        core_ask_say_get(core, post);
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
        core_ask_reply(core, ask, WIRE_ERROR_UNAVAILABLE, fault);
        return;
    }
    if (core->queues.by_name.n >= WIRE_QUEUES_MAX) {
        core_ask_reply(core, ask, WIRE_ERROR_LIMIT,
                       core_batch_printf(core, "this peer has %u queues already: remove one",
                                         WIRE_QUEUES_MAX));
        return;
    }
    struct core_queue *queue =
        core_queue_new(core, core->queues.next_queue++, ask->client->uid, ask->name);
    core_queue_keep(core, queue);
    post_to(core, ask, core->self->card);
}

void core_ask_send_put(struct core *core, struct core_queue_ask *ask)
{
    bool is_young = core->now_ns < core->config.now_ns + CORE_STARTUP_NS;
    if (ask->home == NULL && core_queue_find(core, ask->name) != NULL) {
        ask->home = core->self->card; /* made for another put a moment ago */
    }
    if (ask->home != NULL) {
        struct core_post *other = list_is_empty(&ask->posts) ? NULL : core_ask_post(ask);
        if (other != NULL && other->peer->card != ask->home) {
            core_post_free(other);
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
void core_ask_look_around(struct core *core, struct core_queue_ask *only)
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
    core_ask_look_around(core, NULL);
    list_for_each_safe (node, &core->queues.asks) {
        struct core_queue_ask *ask = LIST_ENTRY(node, struct core_queue_ask, node);
        if (is_open_put(ask)) {
            core_ask_send_put(core, ask);
        }
    }
    list_for_each (node, &core->queues.asks) {
        const struct core_queue_ask *ask = LIST_ENTRY(node, struct core_queue_ask, node);
        if (is_open_put(ask) && !list_is_empty(&ask->posts)) {
            core_ask_say_next_put(core, core_ask_post(ask)->peer);
        }
    }
}
