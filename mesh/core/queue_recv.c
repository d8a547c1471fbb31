/* What peers ask of the queues here, ourselves among them. Each message may be said again after a
 * cut, and then changes nothing. */
#include "mesh/core/queue.h"

#include "mesh/core/peer.h"
#include "wire/base/mem.h"

static const char late_text[] = "the item was handed out again meanwhile";
static const char no_queue_text[] = "there is no such queue";

void core_queue_answer(struct core *core, struct core_peer *peer, uint64_t request,
                       enum wire_error error, struct slice text)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ANSWER};
    message.queue_answer =
        (struct wire_queue_answer){.request = request, .error = error, .text = text};
    core_send(core, peer, &message);
}

static struct core_queue *queue_of(const struct core *core, struct slice name)
{
    char key[CORE_QUEUE_NAME_BYTES];
    core_queue_name_set(key, name);
    return core_queue_find(core, key);
}

/* --- put ---------------------------------------------------------------------------------------
 */

static void lot_free(struct core *core, struct core_lot *lot)
{
    while (!list_is_empty(&lot->items)) {
        core_item_free(core, LIST_ENTRY(lot->items.next, struct core_item, in_queue));
    }
    mem_free(lot);
}

/* NULL: memory is short. */
static struct core_lot *lot_new(struct core *core, struct core_queue *queue,
                                struct core_putter *putter, const struct wire_queue_put *put)
{
    struct core_lot *lot = mem_alloc(1, sizeof(*lot));
    if (lot == NULL) {
        return NULL;
    }
    lot->queue = queue;
    lot->putter = putter;
    lot->request = put->request;
    list_init(&lot->items);
    for (uint32_t i = 0; i < put->items.n; i++) {
        struct core_item *item =
            core_item_new(core, queue, putter, core->queues.next_item + i, &put->items.items[i]);
        if (item == NULL) {
            lot_free(core, lot);
            return NULL;
        }
        list_push_back(&lot->items, &item->in_queue);
    }
    core->queues.next_item += put->items.n;
    return lot;
}

static void take_put(struct core *core, struct core_peer *peer, struct core_queue *queue,
                     const struct wire_queue_put *put)
{
    struct wire_key forgotten = {0};
    struct core_putter *putter = core_putter_get(core, &peer->key, &forgotten);
    struct core_lot *lot = putter != NULL ? lot_new(core, queue, putter, put) : NULL;
    if (lot == NULL) {
        core_queue_answer(core, peer, put->request, WIRE_ERROR_LIMIT,
                          slice_str(putter == NULL ? "too many peers put something here"
                                                   : "the queue's peer is short of memory"));
        return;
    }
    putter->pending = put->request;
    lot->forgotten = forgotten;
    core_lot_begin(core, lot, peer);
}

static void on_put(struct core *core, struct core_peer *peer, const struct wire_queue_put *put)
{
    const struct core_putter *putter = core_putter_find(core, &peer->key);
    if (putter != NULL && put->request == putter->pending) {
        return; /* said again; it is answered once it is on disk */
    }
    if (putter != NULL && put->request == putter->request) {
        core_queue_answer(core, peer, put->request, WIRE_ERROR_NONE, (struct slice){0});
        return;
    }
    struct core_queue *queue = queue_of(core, put->name);
    if (queue == NULL) {
        core_queue_answer(core, peer, put->request, WIRE_ERROR_UNKNOWN, slice_str(no_queue_text));
        return;
    }
    struct slice fault = core_queue_fault(core);
    struct slice full = core_queue_full(core, queue, peer, &put->items);
    if (fault.n > 0) {
        core_queue_answer(core, peer, put->request, WIRE_ERROR_UNAVAILABLE, fault);
    } else if (full.n > 0) {
        core_queue_answer(core, peer, put->request, WIRE_ERROR_LIMIT, full);
    } else {
        take_put(core, peer, queue, put);
    }
}

/* --- get ---------------------------------------------------------------------------------------
 */

/* Nobody else was handed it since that hand: in this life, or at all. */
static bool may_claim(const struct core *core, const struct core_item *item, uint64_t hand)
{
    uint64_t first = (uint64_t)core->config.incarnation << 32 | 1;
    return item->state == CORE_ITEM_WAITING && hand > 0 &&
           (item->hand == hand || (item->hand == 0 && hand < first));
}

/* NULL, and answered: there are too many. */
static struct core_taker *new_taker(struct core *core, struct core_peer *peer,
                                    struct core_queue *queue, uint64_t request)
{
    struct core_taker *taker =
        peer->n_takers < CORE_TAKERS_MAX ? core_taker_new(core, peer, queue, request) : NULL;
    if (taker == NULL) {
        core_queue_answer(core, peer, request, WIRE_ERROR_LIMIT,
                          core_batch_printf(core, "this peer has %u gets at %s already",
                                            peer->n_takers, core->config.name));
    }
    return taker;
}

static void claim(struct core *core, struct core_peer *peer, struct core_queue *queue,
                  const struct wire_queue_get *get)
{
    struct core_item *item = core_item_find(core, get->item);
    if (item == NULL || item->queue != queue || !may_claim(core, item, get->hand)) {
        core_queue_answer(core, peer, get->request, WIRE_ERROR_UNKNOWN, slice_str(late_text));
        return;
    }
    struct core_taker *taker = new_taker(core, peer, queue, get->request);
    if (taker != NULL) {
        core_taker_has(taker, item);
        item->hand = get->hand;
    }
}

static void on_get(struct core *core, struct core_peer *peer, const struct wire_queue_get *get)
{
    struct core_taker *taker = core_taker_find(core, peer, get->request);
    struct core_queue *queue = queue_of(core, get->name);
    if (taker == NULL && queue == NULL) {
        core_queue_answer(core, peer, get->request, WIRE_ERROR_UNKNOWN, slice_str(no_queue_text));
    } else if (taker == NULL && get->item == 0) {
        taker = new_taker(core, peer, queue, get->request);
        if (taker != NULL) {
            core_taker_wait(core, taker);
        }
    } else if (taker == NULL) {
        claim(core, peer, queue, get);
    } else {
        taker->is_seen = true;
        bool is_unheard = taker->item != NULL && taker->item->state == CORE_ITEM_TAKEN &&
                          get->item == 0; /* the word of it went with the former session */
        if (is_unheard) {
            core_taker_tell(core, taker);
        }
    }
}

/* --- done --------------------------------------------------------------------------------------
 */

static void give_back(struct core *core, struct core_taker *taker,
                      const struct wire_queue_done *done)
{
    struct core_item *item = taker->item;
    if (item != NULL && item->state == CORE_ITEM_TAKEN && item->number == done->item) {
        item->hand = 0; /* nobody's word counts any more */
    }
    core_taker_free(core, taker);
}

/* Whose done counts for the item, if this one does: there already, or made. */
static struct core_taker *taker_of_done(struct core *core, struct core_peer *peer,
                                        struct core_item *item, const struct wire_queue_done *done)
{
    struct core_taker *taker = core_taker_find(core, peer, done->request);
    if (item->state == CORE_ITEM_TAKEN || (item->state == CORE_ITEM_LEAVING && taker != NULL)) {
        return taker != NULL && item->taker == taker && item->hand == done->hand ? taker : NULL;
    }
    bool is_again =
        item->state == CORE_ITEM_LEAVING && item->taker == NULL && item->hand == done->hand;
    if (taker != NULL || !(is_again || may_claim(core, item, done->hand))) {
        return NULL;
    }
    taker = core_taker_new(core, peer, item->queue, done->request);
    if (taker != NULL && is_again) {
        taker->item = item;
        item->taker = taker;
    } else if (taker != NULL) {
        core_taker_has(taker, item);
        item->hand = done->hand;
    }
    return taker;
}

static void on_done(struct core *core, struct core_peer *peer, const struct wire_queue_done *done)
{
    struct core_taker *taker = core_taker_find(core, peer, done->request);
    if (!done->is_done) {
        if (taker != NULL) {
            give_back(core, taker, done);
        }
        return;
    }
    struct core_item *item = core_item_find(core, done->item);
    if (item != NULL && item->state == CORE_ITEM_DONE && item->hand == done->hand) {
        core_queue_answer(core, peer, done->request, WIRE_ERROR_NONE, (struct slice){0});
        return;
    }
    bool may_count = item != NULL && item->state != CORE_ITEM_NEW && item->state != CORE_ITEM_DONE;
    struct core_taker *counts = may_count ? taker_of_done(core, peer, item, done) : NULL;
    if (counts == NULL) {
        core_queue_answer(core, peer, done->request, WIRE_ERROR_UNKNOWN, slice_str(late_text));
        if (taker != NULL) {
            core_taker_free(core, taker);
        }
        return;
    }
    counts->is_seen = true;
    if (item->state == CORE_ITEM_TAKEN) {
        core_item_leave(core, item);
        core_queue_keep_done(core, item);
    }
}

/* --- sessions ----------------------------------------------------------------------------------
 */

void core_queue_owner_link_up(struct core_peer *peer)
{
    list_for_each (node, &peer->takers) {
        LIST_ENTRY(node, struct core_taker, of_peer)->is_seen = false;
    }
}

void core_queue_owner_lost(struct core *core, struct core_peer *peer)
{
    core_lots_lost(core, peer);
    while (!list_is_empty(&peer->takers)) {
        core_taker_free(core, LIST_ENTRY(peer->takers.next, struct core_taker, of_peer));
    }
}

/* Each that goes may pass its item to another, that goes as well: hence from the start again. */
static void on_all(struct core *core, struct core_peer *peer)
{
    struct core_taker *unseen;
    do {
        unseen = NULL;
        list_for_each (node, &peer->takers) {
            struct core_taker *taker = LIST_ENTRY(node, struct core_taker, of_peer);
            if (!taker->is_seen) {
                unseen = taker;
                break;
            }
        }
        if (unseen != NULL) {
            core_taker_free(core, unseen);
        }
    } while (unseen != NULL);
}

bool core_queue_owner_on_message(struct core *core, struct core_peer *peer,
                                 const struct wire_message *message)
{
    switch ((unsigned)message->type) { /* as a number: the others are not for this role */
    case WIRE_MESSAGE_QUEUE_PUT:
        on_put(core, peer, &message->queue_put);
        return true;
    case WIRE_MESSAGE_QUEUE_GET:
        on_get(core, peer, &message->queue_get);
        return true;
    case WIRE_MESSAGE_QUEUE_DONE:
        on_done(core, peer, &message->queue_done);
        return true;
    case WIRE_MESSAGE_QUEUE_ALL:
        on_all(core, peer);
        return true;
    case WIRE_MESSAGE_QUEUE_QUERY:
        core_queue_look_on_query(core, peer, message->queue_query.request);
        return true;
    default:
        return false;
    }
}
