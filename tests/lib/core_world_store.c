/* What the nodes' stores hold of the blobs that a test watches; of others nothing is known. */
#include <check.h>

#include "tests/lib/core_world_internal.h"

static unsigned index_of(const struct world *world, const struct wire_hash *hash)
{
    unsigned k = 0;
    while (k < world->n_watched && memcmp(&world->watched[k], hash, sizeof(*hash)) != 0) {
        k++;
    }
    return k;
}

void world_watch(struct world *world, const struct wire_hash *hash)
{
    if (index_of(world, hash) == world->n_watched) {
        ck_assert_uint_lt(world->n_watched, WATCHED_MAX);
        world->watched[world->n_watched++] = *hash;
    }
}

void world_keep(struct world *world, unsigned i, const struct wire_hash *hash)
{
    unsigned k = index_of(world, hash);
    if (k < world->n_watched) {
        world->nodes[i].has_watched[k] = true;
    }
}

bool world_keeps(const struct world *world, unsigned i, const struct wire_hash *hash)
{
    unsigned k = index_of(world, hash);
    return k < world->n_watched && world->nodes[i].has_watched[k];
}

struct wire_ref world_ref(uint8_t name, uint64_t n_bytes)
{
    struct wire_ref ref = {.bytes = n_bytes};
    memset(ref.hash.b, name, sizeof(ref.hash.b));
    ref.hash.b[0] = 'r';
    return ref;
}

void world_put(struct world *world, unsigned i, const struct wire_ref *ref)
{
    if (!world->nodes[i].client.is_up) {
        world_client_up(world, i);
    }
    world_watch(world, &ref->hash);
    world_keep(world, i, &ref->hash);
    struct wire_message message = {.type = WIRE_MESSAGE_PUT};
    message.put = (struct wire_put){.id = ref->hash.b[1], .hash = ref->hash, .bytes = ref->bytes};
    world_client_say(world, i, &message);
}

void world_release(struct world *world, unsigned i, const struct wire_ref *ref)
{
    struct wire_message message = {.type = WIRE_MESSAGE_RELEASE};
    message.release.hash = ref->hash;
    world_client_say(world, i, &message);
}

void world_get(struct world *world, unsigned i, const struct wire_ref *ref)
{
    struct wire_message message = {.type = WIRE_MESSAGE_GET};
    message.get.hash = ref->hash;
    world_client_say(world, i, &message);
}

void world_set_room(struct world *world, unsigned i, uint64_t n_bytes)
{
    world->nodes[i].room = n_bytes;
}

void world_set_protocol(struct world *world, unsigned i, uint32_t version)
{
    world->nodes[i].protocol = version;
}

bool world_store_answers(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct core_event event = {.type = CORE_EVENT_BLOB_STORED};
    event.blob_stored.hash = effect->blob_fetch.hash;
    if (world_keeps(world, i, &effect->blob_fetch.hash)) {
        world_event_in(world, i, 0, &event);
        return true;
    }
    if (effect->blob_fetch.bytes > world->nodes[i].room) {
        event.type = CORE_EVENT_BLOB_FAILED;
        event.blob_failed.hash = effect->blob_fetch.hash;
        event.blob_failed.is_ours = true;
        world_event_in(world, i, 0, &event);
        return true;
    }
    return false;
}

void world_check_start(struct world *world, unsigned i, const struct core_effect *effect)
{
    const struct node *node = &world->nodes[i];
    struct wire_refs refs = effect->start.refs;
    for (uint32_t k = 0; k < refs.n; k++) {
        ck_assert_msg(world_keeps(world, i, &refs.items[k].hash),
                      "%s starts a task before it has what the task reads", node->name);
    }
    struct wire_files files = effect->start.spec->files;
    for (uint32_t k = 0; k < files.n; k++) {
        ck_assert_msg(files.items[k].arch.n == 0 ||
                          slice_eq_str(files.items[k].arch, node->config.arch),
                      "%s is to stand a file of another architecture", node->name);
    }
    bool knows_calls = node->protocol >= WIRE_VERSION_CALLS;
    ck_assert_msg(knows_calls ||
                      (!effect->start.spec->is_call && refs.n == 0 && effect->start.args.n == 0),
                  "%s is given what it knows nothing of", node->name);
}
