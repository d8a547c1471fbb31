/* Queues at their peer: items in order, who has which, and what they take.
 *
 * An item comes with a put (NEW), waits once that is on disk, is handed to one getter (TAKEN), and
 * leaves when that getter is done (LEAVING, until that is on disk). If the getter goes before, the
 * item waits again where it was. Its number and last hand stay a while (DONE), for a done whose
 * answer was lost. */
#include "mesh/core/queue.h"

#include <string.h>

#include "mesh/core/peer.h"
#include "wire/base/mem.h"

/* --- items -------------------------------------------------------------------------------------
 */

static void add(struct core_queue_use *use, const struct core_item *item)
{
    use->bytes += item->n_bytes + CORE_ITEM_OVERHEAD;
    use->blob_bytes += item->blob != NULL ? item->blob->n_bytes : 0;
}

static void subtract(struct core_queue_use *use, const struct core_item *item)
{
    use->bytes -= item->n_bytes + CORE_ITEM_OVERHEAD;
    use->blob_bytes -= item->blob != NULL ? item->blob->n_bytes : 0;
}

static void count(struct core *core, struct core_item *item)
{
    add(&item->queue->use, item);
    add(&core->queues.use, item);
    add(&item->putter->use, item);
    item->putter->n_items++;
}

static void uncount(struct core *core, struct core_item *item)
{
    struct core_putter *putter = STEAL(item->putter);
    if (putter != NULL) {
        subtract(&item->queue->use, item);
        subtract(&core->queues.use, item);
        subtract(&putter->use, item);
        putter->n_items--;
    }
}

static uint32_t *n_in(struct core_queue *queue, enum core_item_state state)
{
    switch (state) {
    case CORE_ITEM_NEW:
        return &queue->n_new;
    case CORE_ITEM_WAITING:
        return &queue->n_waiting;
    case CORE_ITEM_TAKEN:
    case CORE_ITEM_LEAVING:
        return &queue->n_taken;
    case CORE_ITEM_DONE:
        return &queue->n_done;
    }
    ensure(!"reached");
}

/* Out of its list. */
static void move(struct core_item *item, enum core_item_state state)
{
    list_remove(&item->in_queue);
    --*n_in(item->queue, item->state);
    item->state = state;
    ++*n_in(item->queue, state);
}

struct core_item *core_item_find(const struct core *core, uint64_t number)
{
    struct table_entry *entry = table_find(&core->queues.items, &number);
    return entry != NULL ? LIST_ENTRY(entry, struct core_item, by_number) : NULL;
}

struct core_item *core_item_new(struct core *core, struct core_queue *queue,
                                struct core_putter *putter, uint64_t number,
                                const struct wire_queue_bytes *content)
{
    struct core_item *item = mem_alloc(1, sizeof(*item));
    uint8_t *copy = mem_dup(content->bytes.p, content->bytes.n);
    struct core_item_blob *blob = content->blob_bytes > 0 ? mem_alloc(1, sizeof(*blob)) : NULL;
    if (item == NULL || copy == NULL || (blob == NULL && content->blob_bytes > 0)) {
        mem_free(copy);
        mem_free(blob);
        return mem_free(item);
    }
    if (blob != NULL) {
        blob->hash = content->hash;
        blob->n_bytes = content->blob_bytes;
        item->blob = blob;
    }
    item->queue = queue;
    item->putter = putter;
    item->number = number;
    item->n_bytes = (uint32_t)content->bytes.n;
    item->bytes = copy;
    queue->n_new++;
    count(core, item);
    table_insert(&core->queues.items, &item->by_number, &item->number);
    return item;
}

static void item_bury(struct core_grave *grave)
{
    struct core_item *item = CONTAINER_OF(grave, struct core_item, grave);
    mem_free(item->bytes);
    mem_free(item->blob);
    mem_free(item);
}

struct wire_queue_bytes core_item_content(const struct core_item *item)
{
    struct wire_queue_bytes content = {.bytes = slice_of(item->bytes, item->n_bytes)};
    if (item->blob != NULL) {
        content.hash = item->blob->hash;
        content.blob_bytes = item->blob->n_bytes;
    }
    return content;
}

void core_item_free(struct core *core, struct core_item *item)
{
    uncount(core, item);
    core_item_let_blob_go(core, item);
    list_remove(&item->in_queue);
    --*n_in(item->queue, item->state);
    if (item->taker != NULL) {
        item->taker->item = NULL;
    }
    table_remove(&core->queues.items, &item->by_number);
    core_bury(core, &item->grave, item_bury); /* effects may point to its bytes */
}

void core_item_wait(struct core *core, struct core_item *item)
{
    struct core_queue *queue = item->queue;
    if (item->taker != NULL) {
        STEAL(item->taker)->item = NULL;
    }
    move(item, CORE_ITEM_WAITING);
    struct list *behind = queue->waiting.prev;
    if (behind != &queue->waiting &&
        LIST_ENTRY(behind, struct core_item, in_queue)->number > item->number) {
        list_for_each (node, &queue->waiting) { /* who was handed out was among the first */
            if (LIST_ENTRY(node, struct core_item, in_queue)->number > item->number) {
                list_insert_before(node, &item->in_queue);
                return;
            }
        }
    }
    list_push_back(&queue->waiting, &item->in_queue);
}

void core_item_leave(struct core *core, struct core_item *item)
{
    uncount(core, item);
    move(item, CORE_ITEM_LEAVING);
    list_push_back(&item->queue->taken, &item->in_queue);
    core_item_let_blob_go(core, item);
    item->bytes = mem_free(item->bytes);
    item->n_bytes = 0;
}

void core_item_done(struct core_item *item)
{
    move(item, CORE_ITEM_DONE);
    list_push_back(&item->queue->done, &item->in_queue);
}

uint64_t core_item_forget(struct core *core, struct core_queue *queue)
{
    if (queue->n_done < CORE_QUEUE_DONES_MAX) {
        return 0;
    }
    struct core_item *oldest = LIST_ENTRY(queue->done.next, struct core_item, in_queue);
    uint64_t number = oldest->number;
    core_item_free(core, oldest);
    return number;
}

/* --- getters -----------------------------------------------------------------------------------
 */

static struct core_taker_key key_of(const struct core_peer *peer, uint64_t request)
{
    return (struct core_taker_key){.peer = peer->key, .request = request};
}

struct core_taker *core_taker_find(const struct core *core, const struct core_peer *peer,
                                   uint64_t request)
{
    struct core_taker_key key = key_of(peer, request);
    struct table_entry *entry = table_find(&core->queues.takers, &key);
    return entry != NULL ? LIST_ENTRY(entry, struct core_taker, by_key) : NULL;
}

struct core_taker *core_taker_new(struct core *core, struct core_peer *peer,
                                  struct core_queue *queue, uint64_t request)
{
    struct core_taker *taker = mem_alloc(1, sizeof(*taker));
    if (taker == NULL) {
        return NULL;
    }
    taker->key = key_of(peer, request);
    taker->peer = peer;
    taker->queue = queue;
    taker->is_seen = true;
    table_insert(&core->queues.takers, &taker->by_key, &taker->key);
    list_push_back(&peer->takers, &taker->of_peer);
    peer->n_takers++;
    return taker;
}

void core_taker_wait(struct core *core, struct core_taker *taker)
{
    list_push_back(&taker->queue->takers, &taker->in_queue);
    taker->queue->n_takers++;
    core_queue_hand_out(core, taker->queue);
}

static void wait_no_longer(struct core_taker *taker)
{
    if (list_is_linked(&taker->in_queue)) {
        list_remove(&taker->in_queue);
        taker->queue->n_takers--;
    }
}

void core_taker_has(struct core_taker *taker, struct core_item *item)
{
    wait_no_longer(taker);
    if (item->taker != NULL) {
        item->taker->item = NULL;
    }
    move(item, CORE_ITEM_TAKEN);
    list_push_back(&item->queue->taken, &item->in_queue);
    item->taker = taker;
    taker->item = item;
}

void core_taker_free(struct core *core, struct core_taker *taker)
{
    struct core_queue *queue = taker->queue;
    struct core_item *item = STEAL(taker->item);
    wait_no_longer(taker);
    table_remove(&core->queues.takers, &taker->by_key);
    list_remove(&taker->of_peer);
    taker->peer->n_takers--;
    mem_free(taker);
    if (item == NULL) {
        return;
    }
    item->taker = NULL;
    if (item->state == CORE_ITEM_TAKEN) {
        core_item_wait(core, item);
        core_queue_hand_out(core, queue);
    }
}

void core_taker_tell(struct core *core, const struct core_taker *taker)
{
    const struct core_item *item = taker->item;
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ITEM};
    message.queue_item = (struct wire_queue_item){.request = taker->key.request,
                                                  .item = item->number,
                                                  .hand = item->hand,
                                                  .content = core_item_content(item)};
    core_send(core, taker->peer, &message);
}

void core_queue_hand_out(struct core *core, struct core_queue *queue)
{
    while (!core->queues.is_holding && core->effects != NULL && queue->n_waiting > 0 &&
           queue->n_takers > 0) {
        struct core_taker *taker = LIST_ENTRY(queue->takers.next, struct core_taker, in_queue);
        struct core_item *item = LIST_ENTRY(queue->waiting.next, struct core_item, in_queue);
        core_taker_has(taker, item);
        item->hand = core->queues.next_hand++;
        core_taker_tell(core, taker);
        core_beat_hurry(core, taker->peer);
    }
}

/* --- putters -----------------------------------------------------------------------------------
 */

struct core_putter *core_putter_find(const struct core *core, const struct wire_key *key)
{
    struct table_entry *entry = table_find(&core->queues.putters, key);
    return entry != NULL ? LIST_ENTRY(entry, struct core_putter, by_key) : NULL;
}

/* The first that put nothing which is still here, and is not here itself. */
static struct core_putter *one_to_forget(const struct core *core)
{
    table_for_each (entry, &core->queues.putters) {
        struct core_putter *putter = LIST_ENTRY(entry, struct core_putter, by_key);
        const struct core_peer *peer = core_peer_find(core, &putter->key);
        bool is_here = peer != NULL && (peer->is_self || core_peer_is_here(peer));
        if (putter->n_items == 0 && putter->pending == 0 && !is_here) {
            return putter;
        }
    }
    return NULL;
}

static void putter_free(struct core *core, struct core_putter *putter)
{
    table_remove(&core->queues.putters, &putter->by_key);
    mem_free(putter);
}

struct core_putter *core_putter_get(struct core *core, const struct wire_key *key,
                                    struct wire_key *ret_forgotten)
{
    struct core_putter *putter = core_putter_find(core, key);
    if (putter != NULL) {
        return putter;
    }
    if (core->queues.putters.n >= CORE_PUTTERS_MAX) {
        struct core_putter *other = one_to_forget(core);
        if (other == NULL) {
            return NULL;
        }
        *ret_forgotten = other->key;
        putter_free(core, other);
    }
    putter = mem_alloc_or_die(1, sizeof(*putter));
    putter->key = *key;
    table_insert(&core->queues.putters, &putter->by_key, &putter->key);
    return putter;
}

static uint64_t bytes_max(const struct core *core)
{
    uint64_t quarter = core->config.mem_bytes / 4;
    return quarter > 0 && quarter < CORE_QUEUES_BYTES_MAX ? quarter : CORE_QUEUES_BYTES_MAX;
}

/* What is here of all that share its origin. */
static struct core_queue_use use_of_origin(const struct core *core, const struct core_peer *peer)
{
    struct core_queue_use use = {0};
    table_for_each (entry, &core->queues.putters) {
        const struct core_putter *putter = LIST_ENTRY(entry, struct core_putter, by_key);
        const struct core_peer *other =
            putter->n_items > 0 ? core_peer_find(core, &putter->key) : NULL;
        if (other != NULL && (other == peer || other->origin == peer->origin)) {
            use.bytes += putter->use.bytes;
            use.blob_bytes += putter->use.blob_bytes;
        }
    }
    return use;
}

static struct core_queue_use use_of(const struct wire_queue_items *items)
{
    struct core_queue_use use = {.bytes = (uint64_t)items->n * CORE_ITEM_OVERHEAD};
    for (uint32_t i = 0; i < items->n; i++) {
        use.bytes += items->items[i].bytes.n;
        use.blob_bytes += items->items[i].blob_bytes;
    }
    return use;
}

/* An origin may hold as much as it leaves free; what is there and comes is not beyond max. */
static bool is_beyond(uint64_t more, uint64_t before, uint64_t of_origin, uint64_t max)
{
    return more > 0 && of_origin + more > max - (before + more);
}

struct slice core_queue_full(struct core *core, const struct core_queue *queue,
                             const struct core_peer *peer, const struct wire_queue_items *items)
{
    uint64_t n_after = (uint64_t)queue->n_new + queue->n_waiting + queue->n_taken + items->n;
    if (n_after > CORE_QUEUE_ITEMS_MAX) {
        return core_batch_printf(core, "queue %s is full: %u items at most", queue->name,
                                 CORE_QUEUE_ITEMS_MAX);
    }
    struct core_queue_use more = use_of(items);
    struct core_queue_use before = core->queues.use;
    uint64_t max = bytes_max(core);
    if (before.bytes + more.bytes > max ||
        before.blob_bytes + more.blob_bytes > CORE_QUEUES_BLOBS_BYTES_MAX) {
        return core_batch_printf(core,
                                 "the queues of %s are full: %llu MiB at most, each item "
                                 "counted with %u bytes more, and %llu MiB of large items",
                                 core->config.name, (unsigned long long)(max >> 20),
                                 CORE_ITEM_OVERHEAD,
                                 (unsigned long long)(CORE_QUEUES_BLOBS_BYTES_MAX >> 20));
    }
    struct core_queue_use own = use_of_origin(core, peer);
    if (!peer->is_self && (is_beyond(more.bytes, before.bytes, own.bytes, max) ||
                           is_beyond(more.blob_bytes, before.blob_bytes, own.blob_bytes,
                                     CORE_QUEUES_BLOBS_BYTES_MAX))) {
        return core_batch_printf(core,
                                 "this peer's share of the queues of %s is used up: as much "
                                 "as is still free",
                                 core->config.name);
    }
    return (struct slice){0};
}

/* --- queues ------------------------------------------------------------------------------------
 */

void core_queue_name_set(char to[static CORE_QUEUE_NAME_BYTES], struct slice from)
{
    ensure(from.n < CORE_QUEUE_NAME_BYTES);
    memset(to, 0, CORE_QUEUE_NAME_BYTES);
    if (from.n > 0) {
        memcpy(to, from.p, from.n);
    }
}

struct core_queue *core_queue_find(const struct core *core, const char *name)
{
    struct table_entry *entry = table_find(&core->queues.by_name, name);
    return entry != NULL ? LIST_ENTRY(entry, struct core_queue, by_name) : NULL;
}

struct core_queue *core_queue_by_id(const struct core *core, uint64_t id)
{
    table_for_each (entry, &core->queues.by_name) {
        struct core_queue *queue = LIST_ENTRY(entry, struct core_queue, by_name);
        if (queue->id == id) {
            return queue;
        }
    }
    return NULL;
}

struct core_queue *core_queue_new(struct core *core, uint64_t id, uint32_t uid, const char *name)
{
    struct core_queue *queue = mem_alloc_or_die(1, sizeof(*queue));
    queue->id = id;
    queue->uid = uid;
    memcpy(queue->name, name, sizeof(queue->name));
    list_init(&queue->waiting);
    list_init(&queue->taken);
    list_init(&queue->done);
    list_init(&queue->lots);
    list_init(&queue->coming);
    list_init(&queue->takers);
    table_insert(&core->queues.by_name, &queue->by_name, queue->name);
    return queue;
}

static void queue_bury(struct core_grave *grave)
{
    mem_free(CONTAINER_OF(grave, struct core_queue, grave));
}

static void drop_items(struct core *core, struct list *items)
{
    while (!list_is_empty(items)) {
        core_item_free(core, LIST_ENTRY(items->next, struct core_item, in_queue));
    }
}

static void drop_takers(struct core *core, struct core_queue *queue)
{
    table_for_each (entry, &core->queues.takers) {
        struct core_taker *taker = LIST_ENTRY(entry, struct core_taker, by_key);
        if (taker->queue != queue) {
            continue;
        }
        if (core->effects != NULL) {
            core_queue_answer(core, taker->peer, taker->key.request, WIRE_ERROR_UNKNOWN,
                              slice_str("the queue was removed"));
        }
        core_taker_free(core, taker);
    }
}

static void drop_lots(struct core *core, struct list *lots)
{
    while (!list_is_empty(lots)) {
        core_lot_refuse(core, LIST_ENTRY(lots->next, struct core_lot, node),
                        slice_str("the queue was removed"));
    }
}

void core_queue_drop(struct core *core, struct core_queue *queue)
{
    bool was_kept = queue->is_kept;
    drop_lots(core, &queue->lots);
    drop_lots(core, &queue->coming);
    /* Those LEAVING as well: that they are gone is what was asked for. */
    drop_items(core, &queue->waiting);
    drop_items(core, &queue->taken);
    drop_items(core, &queue->done);
    drop_takers(core, queue);
    table_remove(&core->queues.by_name, &queue->by_name);
    core_bury(core, &queue->grave, queue_bury);
    if (was_kept) {
        core_queue_names_changed(core);
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

static void hold_fire(struct core *core, struct core_timer *timer)
{
    core->queues.is_holding = false;
    table_for_each (entry, &core->queues.by_name) {
        core_queue_hand_out(core, LIST_ENTRY(entry, struct core_queue, by_name));
    }
}

static void look_fire(struct core *core, struct core_timer *timer)
{
    core->queues.is_due = true;
}

void core_queue_init(struct core *core)
{
    struct core_queues *queues = &core->queues;
    uint64_t seed = core->config.seed;
    table_init(&queues->by_name, CORE_QUEUE_NAME_BYTES, seed);
    table_init(&queues->items, sizeof(uint64_t), seed);
    table_init(&queues->putters, sizeof(struct wire_key), seed);
    table_init(&queues->takers, sizeof(struct core_taker_key), seed);
    table_init(&queues->by_request, sizeof(uint64_t), seed);
    uint64_t first = (uint64_t)core->config.incarnation << 32 | 1; /* of no earlier life */
    queues->next_item = queues->next_hand = queues->next_queue = queues->next_request = first;
    list_init(&queues->asks);
    list_init(&queues->looks);
    queues->hold_timer.fire = hold_fire;
    queues->look_timer.fire = look_fire;
}

void core_queue_free_all(struct core *core)
{
    struct core_queues *queues = &core->queues;
    core_ask_free_all(core);
    table_for_each (entry, &queues->by_name) {
        core_queue_drop(core, LIST_ENTRY(entry, struct core_queue, by_name));
    }
    table_for_each (entry, &queues->putters) {
        putter_free(core, LIST_ENTRY(entry, struct core_putter, by_key));
    }
    table_done(&queues->by_name);
    table_done(&queues->items);
    table_done(&queues->putters);
    table_done(&queues->takers);
    table_done(&queues->by_request);
}

bool core_queue_is_needed(const struct core *core)
{
    table_for_each (entry, &core->queues.by_name) {
        const struct core_queue *queue = LIST_ENTRY(entry, struct core_queue, by_name);
        if (queue->n_new + queue->n_waiting + queue->n_taken + queue->n_takers > 0) {
            return true;
        }
    }
    return false;
}

bool core_queue_on_message(struct core *core, struct core_peer *peer,
                           const struct wire_message *message)
{
    return core_queue_owner_on_message(core, peer, message) ||
           core_ask_on_message(core, peer, message);
}

void core_queue_link_up(struct core *core, struct core_peer *peer)
{
    core_queue_owner_link_up(peer);
    core_ask_link_up(core, peer);
}

void core_queue_peer_lost(struct core *core, struct core_peer *peer)
{
    core_queue_owner_lost(core, peer);
    core_ask_peer_lost(core, peer);
}

bool core_queue_needs(const struct core_peer *peer)
{
    return peer->n_takers > 0 || !list_is_empty(&peer->posts);
}

/* --- rules -------------------------------------------------------------------------------------
 */

static void check_lots(const struct list *lots, bool is_coming, struct core_queue_use *sum)
{
    list_for_each (node, lots) {
        const struct core_lot *lot = LIST_ENTRY(node, struct core_lot, node);
        uint32_t n_missing = 0;
        list_for_each (inner, &lot->items) {
            const struct core_item *item = LIST_ENTRY(inner, struct core_item, in_queue);
            add(sum, item);
            n_missing += item->blob != NULL && !item->blob->is_here;
        }
        ensure(n_missing == lot->n_missing);       /* 37 */
        ensure(is_coming == (lot->n_missing > 0)); /* 37 */
    }
}

static bool has_all(const struct core_item *item)
{
    return item->blob == NULL || item->blob->is_here;
}

static void check_queue(const struct core *core, const struct core_queue *queue,
                        struct core_queue_use *of_all)
{
    uint32_t n_waiting = 0;
    uint32_t n_taken = 0;
    uint32_t n_done = 0;
    uint64_t last = 0;
    struct core_queue_use sum = {0};
    list_for_each (node, &queue->waiting) {
        const struct core_item *item = LIST_ENTRY(node, struct core_item, in_queue);
        ensure(item->state == CORE_ITEM_WAITING && item->queue == queue); /* 32 */
        ensure(item->number > last && item->taker == NULL);               /* 32 */
        ensure(has_all(item));                                            /* 37 */
        last = item->number;
        add(&sum, item);
        n_waiting++;
    }
    list_for_each (node, &queue->taken) {
        const struct core_item *item = LIST_ENTRY(node, struct core_item, in_queue);
        bool is_leaving = item->state == CORE_ITEM_LEAVING;
        ensure(item->queue == queue && (is_leaving || item->state == CORE_ITEM_TAKEN)); /* 32 */
        ensure(is_leaving || item->taker != NULL);                                      /* 33 */
        ensure(item->taker == NULL || item->taker->item == item);                       /* 33 */
        ensure(is_leaving || has_all(item));                                            /* 37 */
        if (!is_leaving) {
            add(&sum, item);
        }
        n_taken++;
    }
    list_for_each (node, &queue->done) {
        ensure(LIST_ENTRY(node, struct core_item, in_queue)->state == CORE_ITEM_DONE); /* 32 */
        n_done++;
    }
    ensure(n_waiting == queue->n_waiting && n_taken == queue->n_taken); /* 32 */
    ensure(n_done == queue->n_done);                                    /* 32 */
    check_lots(&queue->lots, false, &sum);
    check_lots(&queue->coming, true, &sum);
    ensure(sum.bytes == queue->use.bytes);           /* 34 */
    ensure(sum.blob_bytes == queue->use.blob_bytes); /* 34 */
    of_all->bytes += sum.bytes;
    of_all->blob_bytes += sum.blob_bytes;
    bool can_hand_out = n_waiting > 0 && queue->n_takers > 0;
    ensure(!can_hand_out || core->queues.is_holding); /* 35 */
}

void core_queue_check(const struct core *core)
{
    const struct core_queues *queues = &core->queues;
    struct core_queue_use use = {0};
    uint64_t n_items = 0;
    table_for_each (entry, &queues->by_name) {
        const struct core_queue *queue = LIST_ENTRY(entry, struct core_queue, by_name);
        check_queue(core, queue, &use);
        n_items += (uint64_t)queue->n_new + queue->n_waiting + queue->n_taken + queue->n_done;
    }
    ensure(n_items == queues->items.n);                                                 /* 32 */
    ensure(use.bytes == queues->use.bytes && use.blob_bytes == queues->use.blob_bytes); /* 34 */
    table_for_each (entry, &queues->putters) {
        const struct core_putter *putter = LIST_ENTRY(entry, struct core_putter, by_key);
        use.bytes -= putter->use.bytes;
        use.blob_bytes -= putter->use.blob_bytes;
    }
    ensure(use.bytes == 0 && use.blob_bytes == 0); /* 34 */
    uint64_t n_takers = 0;
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        ensure(peer->n_takers == 0 || peer->is_self || core_peer_is_here(peer)); /* 33 */
        n_takers += peer->n_takers;
    }
    ensure(n_takers == queues->takers.n); /* 33 */
    list_for_each (node, &queues->asks) {
        const struct core_queue_ask *ask = LIST_ENTRY(node, struct core_queue_ask, node);
        bool is_one = !list_is_empty(&ask->posts) && ask->posts.next == ask->posts.prev;
        ensure(ask->state == CORE_ASK_OPEN || is_one); /* 36 */
        ensure(ask->client != NULL || ask->state == CORE_ASK_SAID ||
               ask->state == CORE_ASK_DONE);                          /* 36 */
        ensure((ask->request != 0) == (ask->by_request.key != NULL)); /* 36 */
        ensure(ask->state != CORE_ASK_OPEN || !ask->is_told);         /* 36 */
    }
}
