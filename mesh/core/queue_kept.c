/* Queues on disk: each put, each done, and what follows once that is there or cannot be. And what
 * comes back at start.
 *
 * A put that fails is refused, and nothing of it stays. A done that fails is said again until there
 * is room: its item is nobody's meanwhile, and its getter waits. */
#include "mesh/core/queue.h"

#include <string.h>

#include "mesh/core/job.h"
#include "mesh/core/journal.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

struct slice core_queue_fault(struct core *core)
{
    if (!core->config.has_journal) {
        return slice_str("this daemon keeps no journal, so no queue can live here");
    }
    struct slice fault = core_journal_disk_fault(core);
    return fault.n == 0 ? fault
                        : core_batch_printf(core, "%.*s: nothing is put until there is room",
                                            SLICE_FMT(fault));
}

/* --- saying ------------------------------------------------------------------------------------
 */

void core_queue_keep(struct core *core, struct core_queue *queue)
{
    core_journal_queue(core, CORE_RECORD_QUEUE, queue->id, 0, 0);
}

void core_queue_keep_lot(struct core *core, struct core_lot *lot)
{
    const struct core_queue *queue = lot->queue;
    struct core_record *record = core_journal_queue(core, CORE_RECORD_QUEUE_PUT, queue->id, 0, 0);
    uint32_t n = 0;
    list_for_each (node, &lot->items) {
        n++;
    }
    struct wire_queue_bytes *items = core_batch_alloc(core, n, sizeof(*items));
    n = 0;
    list_for_each (node, &lot->items) {
        const struct core_item *item = LIST_ENTRY(node, struct core_item, in_queue);
        record->queue_put.first = n == 0 ? item->number : record->queue_put.first;
        items[n++] = core_item_content(item);
    }
    record->queue_put.uid = queue->uid;
    record->queue_put.name = core_batch_copy(core, slice_str(queue->name));
    record->queue_put.putter = lot->putter->key;
    record->queue_put.request = lot->request;
    record->queue_put.forgotten = lot->forgotten;
    record->queue_put.items = (struct wire_queue_items){.items = items, .n = n};
}

void core_queue_keep_done(struct core *core, struct core_item *item)
{
    item->forgotten = core_item_forget(core, item->queue);
    core_journal_queue(core, CORE_RECORD_QUEUE_DONE, item->queue->id, item->number, 0);
}

void core_queue_keep_removed(struct core *core, uint64_t queue, uint64_t client)
{
    core_journal_queue(core, CORE_RECORD_QUEUE_REMOVED, queue, 0, client);
}

static struct core_item *leaving_item(const struct core *core, const struct core_entry *entry)
{
    struct core_item *item = core_item_find(core, entry->item);
    return item != NULL && item->state == CORE_ITEM_LEAVING ? item : NULL;
}

bool core_queue_fill(struct core *core, const struct core_entry *entry, struct core_record *record)
{
    if (entry->type == CORE_RECORD_QUEUE) {
        const struct core_queue *queue = core_queue_by_id(core, entry->job);
        ensure(queue != NULL);
        record->queue.uid = queue->uid;
        record->queue.name = slice_str(queue->name);
    } else if (entry->type == CORE_RECORD_QUEUE_DONE) {
        const struct core_item *item = leaving_item(core, entry);
        if (item == NULL) {
            return false; /* removed meanwhile with its queue */
        }
        record->queue_done.item = item->number;
        record->queue_done.hand = item->hand;
        record->queue_done.forgotten = item->forgotten;
    }
    return true; /* of a put: by who said it */
}

/* --- on disk -----------------------------------------------------------------------------------
 */

static struct core_lot *first_lot(struct core_queue *queue)
{
    struct list *first = queue != NULL ? list_first(&queue->lots) : NULL;
    return first != NULL ? LIST_ENTRY(first, struct core_lot, node) : NULL;
}

static void on_put_kept(struct core *core, struct core_queue *queue)
{
    struct core_lot *lot = first_lot(queue);
    if (lot == NULL) {
        return; /* its queue was removed */
    }
    while (!list_is_empty(&lot->items)) {
        core_item_wait(core, LIST_ENTRY(lot->items.next, struct core_item, in_queue));
    }
    struct core_peer *peer = core_peer_find(core, &lot->putter->key);
    lot->putter->request = lot->request;
    if (lot->putter->pending == lot->request) { /* a later life of it may have said the next */
        lot->putter->pending = 0;
    }
    if (peer != NULL) {
        core_queue_answer(core, peer, lot->request, WIRE_ERROR_NONE, (struct slice){0});
    }
    list_remove(&lot->node);
    mem_free(lot);
    core_queue_hand_out(core, queue);
}

static void on_done_kept(struct core *core, struct core_item *item)
{
    struct core_taker *taker = item->taker;
    core_item_done(item);
    item->queue->n_finished++;
    if (taker != NULL) {
        core_queue_answer(core, taker->peer, taker->key.request, WIRE_ERROR_NONE,
                          (struct slice){0});
        core_taker_free(core, taker);
    }
}

void core_queue_on_kept(struct core *core, const struct core_entry *entry)
{
    struct core_queue *queue = core_queue_by_id(core, entry->job);
    switch ((unsigned)entry->type) { /* as a number: only these */
    case CORE_RECORD_QUEUE:
        if (queue != NULL) {
            queue->is_kept = true;
            core_queue_names_changed(core);
        }
        return;
    case CORE_RECORD_QUEUE_PUT:
        on_put_kept(core, queue);
        return;
    case CORE_RECORD_QUEUE_DONE: {
        struct core_item *item = leaving_item(core, entry);
        if (item != NULL) {
            on_done_kept(core, item);
        }
        return;
    }
    case CORE_RECORD_QUEUE_REMOVED:
        if (table_find(&core->clients, &entry->client) != NULL) {
            struct wire_message message = {.type = WIRE_MESSAGE_OK};
            core_client_send(core, entry->client, &message);
        }
        return;
    default:
        ensure(!"reached");
    }
}

/* --- or not ------------------------------------------------------------------------------------
 */

static void refuse_lot(struct core *core, struct core_lot *lot, struct slice fault)
{
    core_lot_refuse(core, lot,
                    core_batch_printf(core, "%.*s: nothing of this was put", SLICE_FMT(fault)));
}

bool core_queue_on_failed(struct core *core, struct core_entry *entry, struct slice fault)
{
    struct core_queue *queue = core_queue_by_id(core, entry->job);
    struct core_lot *lot;
    switch ((unsigned)entry->type) { /* as a number: only these */
    case CORE_RECORD_QUEUE:
        while ((lot = first_lot(queue)) != NULL) {
            refuse_lot(core, lot, fault);
        }
        if (queue != NULL) {
            core_queue_drop(core, queue);
        }
        return false;
    case CORE_RECORD_QUEUE_PUT:
        lot = first_lot(queue);
        if (lot != NULL) {
            refuse_lot(core, lot, fault);
        }
        return false;
    case CORE_RECORD_QUEUE_DONE:
        return leaving_item(core, entry) != NULL;
    case CORE_RECORD_QUEUE_REMOVED:
        if (table_find(&core->clients, &entry->client) != NULL) {
            core_client_error(core, entry->client, WIRE_ERROR_UNAVAILABLE,
                              "%.*s: the queue is gone now, but back if this daemon is killed "
                              "before there is room",
                              SLICE_FMT(fault));
        }
        entry->client = 0;
        return true;
    default:
        ensure(!"reached");
    }
}

/* --- coming back -------------------------------------------------------------------------------
 */

static void raise_above(uint64_t *next, uint64_t number)
{
    *next = *next > number ? *next : number + 1;
}

static void restore_queue(struct core *core, const struct core_event *event)
{
    char name[CORE_QUEUE_NAME_BYTES];
    core_queue_name_set(name, event->journal_queue.name);
    ensure(core_queue_find(core, name) == NULL);
    struct core_queue *queue =
        core_queue_new(core, event->journal_queue.queue, event->journal_queue.uid, name);
    queue->is_kept = true;
    raise_above(&core->queues.next_queue, queue->id);
}

static void restore_item(struct core *core, struct core_queue *queue,
                         const struct core_kept_item *kept)
{
    struct wire_key forgotten = {0};
    struct core_putter *putter = core_putter_get(core, &kept->putter, &forgotten);
    ensure(putter != NULL); /* there were as many before */
    struct core_item *item = core_item_new(core, queue, putter, kept->number, &kept->content);
    ensure(item != NULL); /* at start */
    core_item_keep_blob(core, item);
    raise_above(&core->queues.next_item, kept->number);
    if (kept->hand == 0) {
        core_item_wait(core, item);
        return;
    }
    item->hand = kept->hand;
    raise_above(&core->queues.next_hand, kept->hand);
    core_item_leave(core, item);
    core_item_done(item);
}

void core_queue_restore(struct core *core, const struct core_event *event)
{
    ensure(core->config.has_journal && !core->journal.is_read);
    if (event->type == CORE_EVENT_JOURNAL_QUEUE) {
        restore_queue(core, event);
    } else if (event->type == CORE_EVENT_JOURNAL_ITEMS) {
        struct core_queue *queue = core_queue_by_id(core, event->journal_items.queue);
        ensure(queue != NULL);
        for (uint32_t i = 0; i < event->journal_items.n; i++) {
            restore_item(core, queue, &event->journal_items.items[i]);
        }
    } else {
        struct wire_key forgotten = {0};
        struct core_putter *putter = core_putter_get(core, &event->journal_putter.key, &forgotten);
        if (putter != NULL) {
            putter->request = event->journal_putter.request;
        }
    }
}

void core_queue_restored(struct core *core)
{
    if (core->queues.by_name.n == 0) {
        return;
    }
    core->queues.is_holding = true;
    core_timer_set(core, &core->queues.hold_timer, core->now_ns + core->config.dead_after_ns);
    core_queue_names_changed(core);
    core_log(core, CORE_LOG_INFO, "%zu queues are back from the journal", core->queues.by_name.n);
}
