#include "mesh/partials.h"

#include <string.h>

#include "wire/base/mem.h"
#include "wire/blob_hash.h"
#include "wire/key.h"

struct partial {
    struct list node; /* in partials->list */
    struct wire_key key;
    struct wire_hash hash;
    uint64_t bytes_total;
    uint64_t until_ms; /* of the loop's clock */
    struct meshd_blob_part *part;
};

static void on_timer(uv_timer_t *timer);

static void drop(struct meshd_partials *partials, struct partial *partial)
{
    ensure(partial != NULL);
    list_remove(&partial->node);
    partials->n--;
    partial->part = meshd_blob_part_free(partial->part);
    mem_free(partial);
}

static struct partial *oldest(const struct meshd_partials *partials)
{
    struct list *first = list_first(&partials->list);
    return first != NULL ? LIST_ENTRY(first, struct partial, node) : NULL;
}

static void set_timer(struct meshd_partials *partials)
{
    const struct partial *first = oldest(partials);
    if (first == NULL) {
        IGNORE(uv_timer_stop(&partials->timer)); /* never fails */
        return;
    }
    uint64_t now_ms = uv_now(partials->timer.loop);
    uint64_t in_ms = first->until_ms > now_ms ? first->until_ms - now_ms : 0;
    int rc = uv_timer_start(&partials->timer, on_timer, in_ms, 0);
    ensure(rc == 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct meshd_partials *partials = timer->data;
    for (struct partial *first = oldest(partials);
         first != NULL && first->until_ms <= uv_now(timer->loop); first = oldest(partials)) {
        drop(partials, first);
    }
    set_timer(partials);
}

void meshd_partials_init(struct meshd_partials *partials, uv_loop_t *loop, uint64_t keep_ms)
{
    memset(partials, 0, sizeof(*partials));
    list_init(&partials->list);
    partials->keep_ms = keep_ms;
    int rc = uv_timer_init(loop, &partials->timer);
    ensure(rc == 0);
    partials->timer.data = partials;
}

static void on_closed(uv_handle_t *handle)
{
    struct meshd_partials *partials = handle->data;
    partials->on_closed(partials->on_closed_user);
}

void meshd_partials_close(struct meshd_partials *partials, void (*closed)(void *user), void *user)
{
    meshd_partials_drop_all(partials);
    partials->on_closed = closed;
    partials->on_closed_user = user;
    uv_close((uv_handle_t *)&partials->timer, on_closed);
}

void meshd_partials_keep(struct meshd_partials *partials, const struct wire_key *key,
                         const struct wire_hash *hash, uint64_t bytes_total,
                         struct meshd_blob_part *part)
{
    struct partial *partial = NULL;
    if (meshd_blob_part_bytes(part) > 0) { /* else there is nothing to go on with */
        partial = mem_alloc(1, sizeof(*partial));
    }
    if (partial == NULL) {
        IGNORE(meshd_blob_part_free(part)); /* NULL */
        return;
    }
    *partial = (struct partial){.key = *key,
                                .hash = *hash,
                                .bytes_total = bytes_total,
                                .until_ms = uv_now(partials->timer.loop) + partials->keep_ms,
                                .part = part};
    list_push_back(&partials->list, &partial->node);
    partials->n++;
    if (partials->n > MESHD_PARTIALS_MAX) {
        drop(partials, oldest(partials));
    }
    set_timer(partials);
}

struct meshd_blob_part *meshd_partials_take(struct meshd_partials *partials,
                                            const struct wire_key *key,
                                            const struct wire_hash *hash, uint64_t bytes_total)
{
    list_for_each (it, &partials->list) {
        struct partial *partial = LIST_ENTRY(it, struct partial, node);
        if (wire_hash_eq(&partial->hash, hash) && partial->bytes_total == bytes_total &&
            wire_key_eq(&partial->key, key)) {
            struct meshd_blob_part *part = STEAL(partial->part);
            drop(partials, partial);
            set_timer(partials);
            return part;
        }
    }
    return NULL;
}

void meshd_partials_drop_all(struct meshd_partials *partials)
{
    list_for_each_safe (it, &partials->list) {
        drop(partials, LIST_ENTRY(it, struct partial, node));
    }
    set_timer(partials);
}
