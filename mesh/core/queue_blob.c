/* Large items: blobs that come from who put them before the put is kept, and go to whoever has the
 * item. */
#include <errno.h>
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"
#include "wire/base/mem.h"

/* --- items -------------------------------------------------------------------------------------
 */

void core_item_keep_blob(struct core *core, struct core_item *item)
{
    if (item->blob != NULL) {
        ensure(!item->blob->is_here);
        item->blob->is_here = true;
        core_blob_ref(core, &item->blob->hash);
    }
}

void core_item_let_blob_go(struct core *core, struct core_item *item)
{
    if (item->blob == NULL) {
        return;
    }
    core_need_drop(core, &item->blob->need);
    if (item->blob->is_here) {
        item->blob->is_here = false;
        core_blob_unref(core, &item->blob->hash);
    }
}

/* --- puts --------------------------------------------------------------------------------------
 */

void core_lot_refuse(struct core *core, struct core_lot *lot, struct slice text)
{
    struct core_peer *peer = core_peer_find(core, &lot->putter->key);
    if (lot->putter->pending == lot->request) {
        lot->putter->pending = 0;
    }
    while (!list_is_empty(&lot->items)) {
        core_item_free(core, LIST_ENTRY(lot->items.next, struct core_item, in_queue));
    }
    if (peer != NULL && core->effects != NULL) {
        core_queue_answer(core, peer, lot->request, WIRE_ERROR_UNAVAILABLE, text);
    }
    list_remove(&lot->node);
    mem_free(lot);
}

static void keep_when_whole(struct core *core, struct core_lot *lot)
{
    if (lot->n_missing == 0) {
        list_remove(&lot->node);
        list_push_back(&lot->queue->lots, &lot->node);
        core_queue_keep_lot(core, lot);
    }
}

static void come(struct core *core, struct core_item *item)
{
    core_item_keep_blob(core, item);
    core_need_drop(core, &item->blob->need);
    item->blob->lot->n_missing--;
}

static void on_fetched(struct core *core, struct core_need *need, int error)
{
    struct core_item *item = need->of;
    struct core_lot *lot = item->blob->lot;
    if (error == 0) {
        come(core, item);
        keep_when_whole(core, lot);
    } else if (error == -ENOSPC) {
        core_lot_refuse(core, lot,
                        core_batch_printf(core,
                                          "%s has no room on its disk for the item's %llu "
                                          "bytes",
                                          core->config.name,
                                          (unsigned long long)item->blob->n_bytes));
    } else {
        core_lot_refuse(core, lot, slice_str("the item was not there any more to be fetched"));
    }
}

void core_lot_begin(struct core *core, struct core_lot *lot, struct core_peer *from)
{
    list_push_back(&lot->queue->coming, &lot->node);
    list_for_each (node, &lot->items) {
        struct core_item *item = LIST_ENTRY(node, struct core_item, in_queue);
        if (item->blob == NULL) {
            continue;
        }
        lot->n_missing++;
        item->blob->lot = lot;
        item->blob->need.of = item;
        item->blob->need.on_done = on_fetched;
        core_need_want(core, &item->blob->need, from, &item->blob->hash, item->blob->n_bytes);
        if (item->blob->need.state == CORE_NEED_MET) {
            come(core, item);
        }
    }
    keep_when_whole(core, lot);
}

void core_lots_lost(struct core *core, const struct core_peer *peer)
{
    table_for_each (entry, &core->queues.by_name) {
        struct core_queue *queue = LIST_ENTRY(entry, struct core_queue, by_name);
        list_for_each_safe (node, &queue->coming) {
            struct core_lot *lot = LIST_ENTRY(node, struct core_lot, node);
            if (wire_key_eq(&lot->putter->key, &peer->key)) {
                core_lot_refuse(core, lot, slice_str("the item did not come whole"));
            }
        }
    }
}

/* --- who may have them -------------------------------------------------------------------------
 */

static bool is_same(const struct wire_queue_bytes *content, const struct wire_hash *hash)
{
    return content->blob_bytes > 0 && memcmp(&content->hash, hash, sizeof(*hash)) == 0;
}

bool core_queue_may_serve(const struct core *core, const struct core_peer *peer,
                          const struct wire_hash *hash)
{
    list_for_each (node, &peer->takers) {
        const struct core_item *item = LIST_ENTRY(node, struct core_taker, of_peer)->item;
        if (item != NULL && item->state == CORE_ITEM_TAKEN) {
            struct wire_queue_bytes content = core_item_content(item);
            if (is_same(&content, hash)) {
                return true;
            }
        }
    }
    const struct wire_queue_items *items =
        peer->putting != NULL ? &peer->putting->ask->items : NULL;
    for (uint32_t i = 0; items != NULL && i < items->n; i++) {
        if (is_same(&items->items[i], hash)) {
            return true;
        }
    }
    return false;
}
