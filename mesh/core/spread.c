#include "mesh/core/spread.h"

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

static struct core_reader *reader_find(const struct core_blob *blob, const struct core_peer *peer)
{
    list_for_each (node, &blob->readers) {
        struct core_reader *reader = LIST_ENTRY(node, struct core_reader, of_blob);
        if (reader->peer == peer) {
            return reader;
        }
    }
    return NULL;
}

static void serve(struct core *core, const struct core_peer *peer, const struct wire_hash *hash,
                  uint64_t offset)
{
    struct core_effect *effect = core_emit(core, CORE_EFFECT_BLOB_SERVE);
    effect->blob_serve.link = peer->link->id;
    effect->blob_serve.hash = *hash;
    effect->blob_serve.offset = offset;
}

static void reader_serve(struct core *core, struct core_reader *reader)
{
    core_timer_stop(core, &reader->timer);
    reader->state = CORE_READER_SENT;
    reader->source = NULL;
    serve(core, reader->peer, &reader->blob->hash, reader->offset);
}

static void wait_fire(struct core *core, struct core_timer *timer)
{
    reader_serve(core, CONTAINER_OF(timer, struct core_reader, timer));
}

static struct core_reader *reader_get(struct core_blob *blob, struct core_peer *peer)
{
    struct core_reader *reader = reader_find(blob, peer);
    if (reader == NULL) {
        reader = mem_alloc_or_die(1, sizeof(*reader));
        reader->blob = blob;
        reader->peer = peer;
        reader->state = CORE_READER_SENT;
        reader->timer.fire = wait_fire;
        list_push_back(&blob->readers, &reader->of_blob);
        list_push_back(&peer->readers, &reader->of_peer);
    }
    return reader;
}

static void forget_source(const struct core_blob *blob, const struct core_reader *source)
{
    list_for_each (node, &blob->readers) {
        struct core_reader *reader = LIST_ENTRY(node, struct core_reader, of_blob);
        if (reader->source == source) {
            reader->source = NULL;
        }
    }
}

static void reader_free(struct core *core, struct core_reader *reader)
{
    forget_source(reader->blob, reader);
    core_timer_stop(core, &reader->timer);
    list_remove(&reader->of_blob);
    list_remove(&reader->of_peer);
    mem_free(reader);
}

/* Whether somebody is on the way to it already. */
static bool is_source(const struct core_reader *source)
{
    list_for_each (node, &source->blob->readers) {
        if (LIST_ENTRY(node, struct core_reader, of_blob)->source == source) {
            return true;
        }
    }
    return false;
}

static struct core_reader *find_source(const struct core_reader *reader)
{
    list_for_each (node, &reader->blob->readers) {
        struct core_reader *other = LIST_ENTRY(node, struct core_reader, of_blob);
        if (other != reader && other->state == CORE_READER_HAS &&
            other->n_failed < CORE_SPREAD_FAILED_MAX && !is_source(other)) {
            return other;
        }
    }
    return NULL;
}

/* Whether waiting leads anywhere: a copy is on its way to another. */
static bool is_copying(const struct core_reader *reader)
{
    list_for_each (node, &reader->blob->readers) {
        const struct core_reader *other = LIST_ENTRY(node, struct core_reader, of_blob);
        if (other != reader &&
            (other->state == CORE_READER_SENT || other->state == CORE_READER_POINTED)) {
            return true;
        }
    }
    return false;
}

static void point(struct core *core, struct core_reader *reader, struct core_reader *source)
{
    core_timer_stop(core, &reader->timer);
    reader->state = CORE_READER_POINTED;
    reader->source = source;
    struct wire_message lend = {.type = WIRE_MESSAGE_BLOB_LEND};
    lend.blob_lend = (struct wire_blob_lend){.hash = reader->blob->hash, .peer = reader->peer->key};
    core_send(core, source->peer, &lend);
    struct wire_message from = {.type = WIRE_MESSAGE_BLOB_FROM};
    from.blob_from = (struct wire_blob_from){.hash = reader->blob->hash, .peer = source->peer->key};
    core_send(core, reader->peer, &from);
}

static void choose(struct core *core, struct core_reader *reader, uint64_t n_bytes)
{
    struct core_reader *source = find_source(reader);
    if (source != NULL) {
        point(core, reader, source);
    } else if (!is_copying(reader)) {
        reader_serve(core, reader);
    } else if (reader->state != CORE_READER_WAITING) {
        reader->state = CORE_READER_WAITING;
        core_timer_set(core, &reader->timer, core->now_ns + CORE_SPREAD_WAIT_NS(n_bytes));
    }
}

/* Something came to its end: who waited may go on. */
static void review(struct core *core, struct core_blob *blob)
{
    list_for_each (node, &blob->readers) {
        struct core_reader *reader = LIST_ENTRY(node, struct core_reader, of_blob);
        if (reader->state == CORE_READER_WAITING) {
            choose(core, reader, 0); /* its timer is set */
        }
    }
}

void core_spread_on_want(struct core *core, struct core_peer *peer,
                         const struct wire_blob_want *want, uint64_t n_bytes)
{
    struct core_blob *blob = core_blob_find(core, &want->hash);
    struct core_reader *reader = blob != NULL ? reader_find(blob, peer) : NULL;
    if (blob == NULL || n_bytes < CORE_SPREAD_BYTES_MIN || (reader == NULL && !want->may_point)) {
        serve(core, peer, &want->hash, want->offset);
        return;
    }
    reader = reader_get(blob, peer);
    reader->offset = want->offset;
    if (reader->state == CORE_READER_HAS) {
        forget_source(blob, reader); /* it lost it again */
        reader->state = CORE_READER_SENT;
    }
    if (want->may_point) {
        reader->source = NULL;
        choose(core, reader, n_bytes);
        return;
    }
    if (reader->source != NULL) {
        reader->source->n_failed++;
    }
    reader_serve(core, reader);
    review(core, blob);
}

void core_spread_on_had(struct core *core, struct core_peer *peer, const struct wire_hash *hash)
{
    struct core_blob *blob = core_blob_find(core, hash);
    uint64_t n_bytes;
    bool is_ours = blob != NULL && core_owner_may_serve(core, peer, hash, &n_bytes);
    if (!is_ours || n_bytes < CORE_SPREAD_BYTES_MIN) {
        core->n_ignored++;
        return;
    }
    struct core_reader *reader = reader_get(blob, peer);
    core_timer_stop(core, &reader->timer);
    reader->state = CORE_READER_HAS;
    reader->source = NULL;
    review(core, blob);
}

void core_spread_link_gone(struct core *core, struct core_peer *peer)
{
    while (!list_is_empty(&peer->readers)) {
        struct core_reader *reader = LIST_ENTRY(peer->readers.next, struct core_reader, of_peer);
        struct core_blob *blob = reader->blob;
        reader_free(core, reader);
        review(core, blob);
    }
}

void core_spread_drop(struct core *core, struct core_blob *blob)
{
    while (!list_is_empty(&blob->readers)) {
        reader_free(core, LIST_ENTRY(blob->readers.next, struct core_reader, of_blob));
    }
}
