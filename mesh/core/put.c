#include "mesh/core/put.h"

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "wire/base/mem.h"

struct core_put { /* a blob of a client */
    struct table_entry by_hash;
    struct wire_hash hash;
    uint64_t bytes;
    uint64_t n; /* times it was put and not taken back */
};

static struct core_put *put_find(const struct core_client *client, const struct wire_hash *hash)
{
    struct table_entry *entry = table_find(&client->puts, hash);
    return entry != NULL ? LIST_ENTRY(entry, struct core_put, by_hash) : NULL;
}

static void put_drop(struct core *core, struct core_client *client, struct core_put *put)
{
    core_blob_unref(core, &put->hash);
    table_remove(&client->puts, &put->by_hash);
    mem_free(put);
}

void core_put_add(struct core *core, struct core_client *client, const struct wire_hash *hash,
                  uint64_t n_bytes)
{
    if (core_hash_is_zero(hash)) {
        return;
    }
    struct core_put *put = put_find(client, hash);
    if (put == NULL) {
        put = mem_alloc_or_die(1, sizeof(*put));
        put->hash = *hash;
        put->bytes = n_bytes;
        table_insert(&client->puts, &put->by_hash, &put->hash);
        core_blob_ref(core, hash);
    }
    put->n++;
}

void core_put_on_put(struct core *core, struct core_client *client, const struct wire_put *put)
{
    struct wire_message message = {.type = WIRE_MESSAGE_PUT_DONE};
    message.put_done.id = put->id;
    if (client->puts.n >= CORE_PUTS_MAX && put_find(client, &put->hash) == NULL) {
        core_blob_let_go(core, &put->hash);
        message.put_done.error = WIRE_ERROR_LIMIT;
        message.put_done.text =
            core_batch_printf(core, "%u blobs are put already: release some", CORE_PUTS_MAX);
    } else {
        core_put_add(core, client, &put->hash, put->bytes);
        message.put_done.hash = put->hash;
        message.put_done.bytes = put->bytes;
    }
    core_client_send(core, client->id, &message);
}

void core_put_on_release(struct core *core, struct core_client *client,
                         const struct wire_hash *hash)
{
    struct core_put *put = put_find(client, hash);
    if (put == NULL) {
        core->n_ignored++;
    } else if (--put->n == 0) {
        put_drop(core, client, put);
    }
}

bool core_put_has_all(const struct core_client *client, struct wire_refs refs)
{
    for (uint32_t i = 0; i < refs.n; i++) {
        const struct core_put *put = put_find(client, &refs.items[i].hash);
        if (put == NULL || put->bytes != refs.items[i].bytes) {
            return false;
        }
    }
    return true;
}

void core_put_drop_all(struct core *core, struct core_client *client)
{
    table_for_each (entry, &client->puts) {
        put_drop(core, client, LIST_ENTRY(entry, struct core_put, by_hash));
    }
    table_done(&client->puts);
}
