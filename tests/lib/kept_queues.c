#include "tests/lib/kept_queues.h"

#include <string.h>

#include "wire/base/ensure.h"
#include "wire/base/mem.h"

struct kept_putter {
    struct table_entry by_key;
    struct wire_key key;
    uint64_t request;
};

bool kept_is_of_queue(enum core_record_type type)
{
    return type == CORE_RECORD_QUEUE || type == CORE_RECORD_QUEUE_PUT ||
           type == CORE_RECORD_QUEUE_DONE || type == CORE_RECORD_QUEUE_REMOVED;
}

void kept_queues_init(struct kept_queues *kept)
{
    list_init(&kept->queues);
    table_init(&kept->putters, sizeof(struct wire_key), 7);
}

static void queue_free(struct kept_queue *queue)
{
    list_remove(&queue->node);
    table_for_each (entry, &queue->items) {
        struct kept_item *item = LIST_ENTRY(entry, struct kept_item, by_number);
        table_remove(&queue->items, entry);
        mem_free(item);
    }
    table_done(&queue->items);
    mem_free(queue);
}

void kept_queues_wipe(struct kept_queues *kept)
{
    while (!list_is_empty(&kept->queues)) {
        queue_free(LIST_ENTRY(kept->queues.next, struct kept_queue, node));
    }
    table_for_each (entry, &kept->putters) {
        struct kept_putter *putter = LIST_ENTRY(entry, struct kept_putter, by_key);
        table_remove(&kept->putters, entry);
        mem_free(putter);
    }
    table_done(&kept->putters);
    kept_queues_init(kept);
}

static struct slice copy(struct arena *arena, struct slice from)
{
    struct slice to;
    int r = arena_copy(arena, from, &to);
    ensure(r == 0);
    return to;
}

struct core_record kept_record_copy(struct arena *arena, const struct core_record *record)
{
    struct core_record to = *record;
    if (record->type == CORE_RECORD_QUEUE) {
        to.queue.name = copy(arena, record->queue.name);
    } else if (record->type == CORE_RECORD_QUEUE_PUT) {
        struct wire_queue_bytes *items =
            arena_alloc(arena, record->queue_put.items.n, sizeof(*items));
        ensure(items != NULL);
        for (uint32_t i = 0; i < record->queue_put.items.n; i++) {
            items[i] = record->queue_put.items.items[i];
            items[i].bytes = copy(arena, items[i].bytes);
        }
        to.queue_put.items.items = items;
        to.queue_put.name = copy(arena, record->queue_put.name);
    }
    return to;
}

/* --- records -----------------------------------------------------------------------------------
 */

static struct kept_queue *queue_by_id(const struct kept_queues *kept, uint64_t id)
{
    list_for_each (node, &kept->queues) {
        struct kept_queue *queue = LIST_ENTRY(node, struct kept_queue, node);
        if (queue->id == id) {
            return queue;
        }
    }
    return NULL;
}

struct kept_queue *kept_queue_find(const struct kept_queues *kept, const char *name)
{
    list_for_each (node, &kept->queues) {
        struct kept_queue *queue = LIST_ENTRY(node, struct kept_queue, node);
        if (strcmp(queue->name, name) == 0) {
            return queue;
        }
    }
    return NULL;
}

static const char *apply_queue(struct kept_queues *kept, const struct core_record *record)
{
    struct kept_queue *queue = mem_alloc_or_die(1, sizeof(*queue));
    queue->id = record->job;
    queue->uid = record->queue.uid;
    memcpy(queue->name, record->queue.name.p, record->queue.name.n);
    table_init(&queue->items, sizeof(uint64_t), 7);
    bool is_twice = queue_by_id(kept, record->job) != NULL || kept_queue_find(kept, queue->name);
    list_push_back(&kept->queues, &queue->node);
    return is_twice ? "a queue is made that is there" : NULL;
}

static struct kept_item *item_find(const struct kept_queue *queue, uint64_t number)
{
    struct table_entry *entry = table_find(&queue->items, &number);
    return entry != NULL ? LIST_ENTRY(entry, struct kept_item, by_number) : NULL;
}

static void item_free(struct kept_queue *queue, struct kept_item *item)
{
    table_remove(&queue->items, &item->by_number);
    mem_free(item);
}

static void set_putter(struct kept_queues *kept, const struct wire_key *key, uint64_t request)
{
    struct table_entry *entry = table_find(&kept->putters, key);
    struct kept_putter *putter =
        entry != NULL ? LIST_ENTRY(entry, struct kept_putter, by_key) : NULL;
    if (putter == NULL) {
        putter = mem_alloc_or_die(1, sizeof(*putter));
        putter->key = *key;
        table_insert(&kept->putters, &putter->by_key, &putter->key);
    }
    putter->request = request;
}

static const char *apply_put(struct kept_queues *kept, struct kept_queue *queue,
                             const struct core_record *record)
{
    const struct wire_queue_items *items = &record->queue_put.items;
    struct table_entry *entry = table_find(&kept->putters, &record->queue_put.putter);
    bool is_again = entry != NULL && LIST_ENTRY(entry, struct kept_putter, by_key)->request ==
                                         record->queue_put.request;
    for (uint32_t i = 0; i < items->n; i++) {
        struct slice bytes = items->items[i].bytes;
        struct kept_item *item = mem_alloc_or_die(1, sizeof(*item) + bytes.n);
        item->hash = items->items[i].hash;
        item->blob_bytes = items->items[i].blob_bytes;
        item->number = record->queue_put.first + i;
        item->putter = record->queue_put.putter;
        item->n = bytes.n;
        if (item->n > 0) {
            memcpy(item->bytes, bytes.p, item->n);
        }
        if (item_find(queue, item->number) != NULL) {
            mem_free(item);
            return "an item's number is used twice";
        }
        table_insert(&queue->items, &item->by_number, &item->number);
    }
    set_putter(kept, &record->queue_put.putter, record->queue_put.request);
    return is_again ? "a put is kept twice" : NULL;
}

static const char *apply_done(struct kept_queue *queue, const struct core_record *record)
{
    struct kept_item *item = item_find(queue, record->queue_done.item);
    if (item == NULL || item->hand != 0) {
        return "an item is done that is not there";
    }
    struct kept_item *forgotten = item_find(queue, record->queue_done.forgotten);
    if (record->queue_done.hand == 0 || (forgotten != NULL && forgotten->hand == 0)) {
        return "an item is forgotten that is not done";
    }
    item->hand = record->queue_done.hand;
    item->blob_bytes = 0;
    item->n = 0;
    queue->n_done++;
    if (forgotten != NULL) {
        item_free(queue, forgotten);
    }
    return NULL;
}

const char *kept_queues_apply(struct kept_queues *kept, const struct core_record *record)
{
    struct kept_queue *queue = queue_by_id(kept, record->job);
    if (record->type == CORE_RECORD_QUEUE) {
        return apply_queue(kept, record);
    }
    if (queue == NULL) {
        return record->type == CORE_RECORD_QUEUE_REMOVED ? NULL : "there is no such queue";
    }
    if (record->type == CORE_RECORD_QUEUE_PUT) {
        return apply_put(kept, queue, record);
    }
    if (record->type == CORE_RECORD_QUEUE_DONE) {
        return apply_done(queue, record);
    }
    queue_free(queue);
    return NULL;
}

/* --- reading -----------------------------------------------------------------------------------
 */

#define PIECE 100u /* small, so that a queue takes several */

static void restore_items(const struct kept_queue *queue,
                          void (*step)(void *user, struct core_event *event), void *user)
{
    struct core_kept_item items[PIECE];
    struct core_event event = {.type = CORE_EVENT_JOURNAL_ITEMS};
    event.journal_items.queue = queue->id;
    event.journal_items.items = items;
    uint32_t n = 0;
    table_for_each (entry, &queue->items) { /* put in order, so by number */
        const struct kept_item *item = LIST_ENTRY(entry, struct kept_item, by_number);
        items[n++] = (struct core_kept_item){.number = item->number,
                                             .hand = item->hand,
                                             .putter = item->putter,
                                             .content = {.bytes = slice_of(item->bytes, item->n),
                                                         .hash = item->hash,
                                                         .blob_bytes = item->blob_bytes}};
        if (n == PIECE || entry->order.next == &queue->items.order) {
            event.journal_items.n = n;
            step(user, &event);
            n = 0;
        }
    }
}

void kept_queues_restore(const struct kept_queues *kept,
                         void (*step)(void *user, struct core_event *event), void *user)
{
    list_for_each (node, &kept->queues) {
        const struct kept_queue *queue = LIST_ENTRY(node, struct kept_queue, node);
        struct core_event event = {.type = CORE_EVENT_JOURNAL_QUEUE};
        event.journal_queue.queue = queue->id;
        event.journal_queue.uid = queue->uid;
        event.journal_queue.name = slice_str(queue->name);
        step(user, &event);
        restore_items(queue, step, user);
    }
    table_for_each (entry, &kept->putters) {
        const struct kept_putter *putter = LIST_ENTRY(entry, struct kept_putter, by_key);
        struct core_event event = {.type = CORE_EVENT_JOURNAL_PUTTER};
        event.journal_putter.key = putter->key;
        event.journal_putter.request = putter->request;
        step(user, &event);
    }
}

/* A large item is told by its hash, as the world of cores makes it of "#x". */
static bool is_it(const struct kept_item *item, struct slice bytes)
{
    return item->blob_bytes == 0
               ? slice_eq(slice_of(item->bytes, item->n), bytes)
               : bytes.n == 2 && bytes.p[0] == '#' && bytes.p[1] == item->hash.b[1];
}

static bool is_live(const struct kept_item *item, const struct slice *bytes)
{
    return item->hand == 0 && (bytes == NULL || is_it(item, *bytes));
}

static unsigned count(const struct kept_queues *kept, const char *name, const struct slice *bytes)
{
    unsigned n = 0;
    list_for_each (node, &kept->queues) {
        const struct kept_queue *queue = LIST_ENTRY(node, struct kept_queue, node);
        if (name != NULL && strcmp(queue->name, name) != 0) {
            continue;
        }
        table_for_each (entry, &queue->items) {
            n += is_live(LIST_ENTRY(entry, struct kept_item, by_number), bytes);
        }
    }
    return n;
}

unsigned kept_n_items(const struct kept_queues *kept, const char *name)
{
    return count(kept, name, NULL);
}

unsigned kept_n_of(const struct kept_queues *kept, struct slice bytes)
{
    return count(kept, NULL, &bytes);
}
