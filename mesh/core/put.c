#include "mesh/core/put.h"

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/left.h"
#include "wire/base/mem.h"

struct core_put *core_put_find(const struct core_client *client, const struct wire_hash *hash)
{
    struct table_entry *entry = table_find(&client->puts, hash);
    return entry != NULL ? LIST_ENTRY(entry, struct core_put, by_hash) : NULL;
}

static void put_free(struct core *core, struct core_put *put)
{
    core_left_drop_all(core, put);
    core_blob_unref(core, &put->hash);
    table_remove(&put->client->puts, &put->by_hash);
    mem_free(put);
}

void core_put_maybe_free(struct core *core, struct core_put *put)
{
    if (put->n == 0 && put->n_reads == 0) {
        put_free(core, put);
    }
}

struct core_put *core_put_add(struct core *core, struct core_client *client,
                              const struct wire_hash *hash, uint64_t n_bytes, bool is_here)
{
    if (core_hash_is_zero(hash)) {
        return NULL;
    }
    struct core_put *put = core_put_find(client, hash);
    if (put == NULL) {
        put = mem_alloc_or_die(1, sizeof(*put));
        put->client = client;
        put->hash = *hash;
        put->bytes = n_bytes;
        list_init(&put->lefts);
        list_init(&put->asks);
        table_insert(&client->puts, &put->by_hash, &put->hash);
        core_blob_ref(core, hash);
    }
    put->n++;
    if (is_here) {
        core_left_is_here(core, put);
    }
    return put;
}

void core_put_on_put(struct core *core, struct core_client *client, const struct wire_put *put)
{
    struct wire_message message = {.type = WIRE_MESSAGE_PUT_DONE};
    message.put_done.id = put->id;
    if (client->puts.n >= CORE_PUTS_MAX && core_put_find(client, &put->hash) == NULL) {
        core_blob_let_go(core, &put->hash);
        message.put_done.error = WIRE_ERROR_LIMIT;
        message.put_done.text =
            core_batch_printf(core, "%u blobs are put already: release some", CORE_PUTS_MAX);
    } else {
        core_put_add(core, client, &put->hash, put->bytes, true);
        message.put_done.hash = put->hash;
        message.put_done.bytes = put->bytes;
    }
    core_client_send(core, client->id, &message);
}

void core_put_on_release(struct core *core, struct core_client *client,
                         const struct wire_hash *hash)
{
    struct core_put *put = core_put_find(client, hash);
    if (put == NULL || put->n == 0) {
        core->n_ignored++;
        return;
    }
    if (--put->n == 0) {
        core_left_is_released(core, put);
    }
    core_put_maybe_free(core, put);
}

bool core_put_has_all(const struct core_client *client, struct wire_refs refs, bool is_here)
{
    for (uint32_t i = 0; i < refs.n; i++) {
        const struct core_put *put = core_put_find(client, &refs.items[i].hash);
        if (put == NULL || put->n == 0 || put->bytes != refs.items[i].bytes ||
            (is_here && !put->is_here)) {
            return false;
        }
    }
    return true;
}

void core_put_pin(struct core_client *client, struct wire_refs refs)
{
    for (uint32_t i = 0; client != NULL && i < refs.n; i++) {
        struct core_put *put = core_put_find(client, &refs.items[i].hash);
        ensure(put != NULL); /* it was asked for when the task came */
        put->n_reads++;
    }
}

void core_put_unpin(struct core *core, struct core_client *client, struct wire_refs refs)
{
    for (uint32_t i = 0; client != NULL && i < refs.n; i++) {
        struct core_put *put = core_put_find(client, &refs.items[i].hash);
        ensure(put != NULL && put->n_reads > 0);
        put->n_reads--;
        core_left_review(core, put);
        core_put_maybe_free(core, put);
    }
}

void core_put_drop_all(struct core *core, struct core_client *client)
{
    table_for_each (entry, &client->puts) {
        put_free(core, LIST_ENTRY(entry, struct core_put, by_hash));
    }
    table_done(&client->puts);
}
