/* What is fetched; transfer_serve.c has what is served. */
#include <errno.h>

#include "mesh/transfer_internal.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"

struct fetch {
    struct list node; /* in transfers->fetches or ->waiting */
    uint64_t link;
    struct wire_key key;   /* of the peer it comes from */
    struct wire_key owner; /* for whom that keeps it; zero: it is its own */
    bool may_point;
    struct wire_hash hash;
    uint64_t bytes;
    uint64_t begun_ms;
    struct meshd_blob_part *part;
};

/* A fetch of what is here already, while it is hashed again. */
struct check {
    struct meshd_transfers *transfers;
    struct wire_hash hash;
};

static void start_waiting(struct meshd_transfers *transfers);

/* --- life --------------------------------------------------------------------------------------
 */

struct meshd_transfers *meshd_transfers_new(uv_loop_t *loop, const struct meshd_sink *sink,
                                            struct meshd_links *links, struct meshd_blobs *blobs)
{
    struct meshd_transfers *transfers = mem_alloc(1, sizeof(*transfers));
    if (transfers == NULL) {
        return NULL;
    }
    transfers->sink = *sink;
    transfers->links = links;
    transfers->blobs = blobs;
    list_init(&transfers->fetches);
    list_init(&transfers->waiting);
    meshd_partials_init(&transfers->partials, loop, MESHD_PARTIALS_KEEP_MS);
    meshd_serves_init(transfers, loop);
    return transfers;
}

static void fetch_free(struct fetch *fetch)
{
    list_remove(&fetch->node);
    fetch->part = meshd_blob_part_free(fetch->part);
    mem_free(fetch);
}

void meshd_transfers_maybe_closed(struct meshd_transfers *transfers)
{
    if (transfers->is_closing && transfers->n_closing == 0 && transfers->n_checks == 0) {
        void (*on_closed)(void *) = transfers->on_closed;
        void *user = transfers->on_closed_user;
        mem_free(transfers->chunk);
        mem_free(transfers);
        on_closed(user);
    }
}

void meshd_transfers_tell(struct meshd_transfers *transfers, uint64_t begun_ms, uint64_t link,
                          const struct wire_hash *hash, uint64_t n_moved, uint64_t n_bytes,
                          bool is_in)
{
    uint64_t now_ms = uv_now(transfers->timer.loop);
    uint64_t last_ms = begun_ms > transfers->told_ms ? begun_ms : transfers->told_ms;
    if (now_ms - last_ms >= MESHD_TELL_MS) {
        transfers->told_ms = now_ms;
        struct core_event event = {.type = CORE_EVENT_BLOB_MOVING,
                                   .blob_moving = {.link = link,
                                                   .hash = *hash,
                                                   .n_moved = n_moved,
                                                   .n_bytes = n_bytes,
                                                   .is_in = is_in}};
        meshd_sink_put(&transfers->sink, &event);
    }
}

static void on_part_closed(void *user)
{
    struct meshd_transfers *transfers = user;
    transfers->n_closing--;
    meshd_transfers_maybe_closed(transfers);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

void meshd_transfers_close(struct meshd_transfers *transfers, void (*on_closed)(void *user),
                           void *user)
{
    transfers->is_closing = true;
    transfers->on_closed = on_closed;
    transfers->on_closed_user = user;
    list_for_each_safe (it, &transfers->fetches) {
        fetch_free(LIST_ENTRY(it, struct fetch, node));
    }
    list_for_each_safe (it, &transfers->waiting) {
        fetch_free(LIST_ENTRY(it, struct fetch, node));
    }
    meshd_serves_drop(transfers, 0);
    transfers->n_closing = 2;
    meshd_partials_close(&transfers->partials, on_part_closed, transfers);
    uv_close((uv_handle_t *)&transfers->timer, on_timer_closed);
}

/* --- fetching ----------------------------------------------------------------------------------
 */

static void put_stored(struct meshd_transfers *transfers, const struct wire_hash *hash)
{
    meshd_blobs_pin(transfers->blobs, hash); /* before the core may release it */
    struct core_event event = {.type = CORE_EVENT_BLOB_STORED, .blob_stored = {.hash = *hash}};
    meshd_sink_put(&transfers->sink, &event);
}

static void put_failed(struct meshd_transfers *transfers, const struct wire_hash *hash,
                       bool is_ours)
{
    struct core_event event = {
        .type = CORE_EVENT_BLOB_FAILED,
        .blob_failed = {.hash = *hash, .is_ours = is_ours},
    };
    meshd_sink_put(&transfers->sink, &event);
}

static void fetch_fail(struct meshd_transfers *transfers, struct fetch *fetch, bool is_ours)
{
    struct wire_hash hash = fetch->hash;
    fetch_free(fetch);
    transfers->n_fetches--;
    put_failed(transfers, &hash, is_ours);
    start_waiting(transfers);
}

static void on_fetched_verified(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    struct check *check = user;
    struct meshd_transfers *transfers = check->transfers;
    transfers->n_checks--;
    transfers->n_fetches--;
    if (error == 0) {
        meshd_blobs_pin(transfers->blobs, hash);
        meshd_blobs_unhold(transfers->blobs, hash);
    }
    if (!transfers->is_closing) {
        if (error == 0) {
            put_stored(transfers, &check->hash);
        } else {
            put_failed(transfers, &check->hash, false);
        }
        start_waiting(transfers);
    }
    mem_free(check);
    meshd_transfers_maybe_closed(transfers);
}

/* The peer showed before that it has this blob, and so have we. 0, or why it must be sent. */
static int fetch_from_store(struct meshd_transfers *transfers, const struct wire_hash *hash)
{
    struct check *check = mem_alloc(1, sizeof(*check));
    if (check == NULL) {
        return -ENOMEM;
    }
    check->transfers = transfers;
    check->hash = *hash;
    transfers->n_checks++;
    transfers->n_fetches++;
    int rc = meshd_blobs_verify(transfers->blobs, hash, on_fetched_verified, check);
    if (rc < 0) {
        transfers->n_checks--;
        transfers->n_fetches--;
        mem_free(check);
    }
    return rc;
}

/* With what an earlier link of the same peer left of this blob, if it did. */
static struct fetch *new_fetch(struct meshd_transfers *transfers, const struct wire_key *key,
                               const struct wire_hash *hash, uint64_t bytes)
{
    struct fetch *fetch = mem_alloc(1, sizeof(*fetch));
    if (fetch == NULL) {
        return NULL;
    }
    fetch->key = *key;
    fetch->hash = *hash;
    fetch->bytes = bytes;
    fetch->part = meshd_partials_take(&transfers->partials, key, hash, bytes);
    if (fetch->part != NULL) {
        return fetch;
    }
    int rc = meshd_blob_part_new(transfers->blobs, bytes, &fetch->part);
    if (rc == -ENOSPC && transfers->partials.n > 0) {
        meshd_partials_drop_all(&transfers->partials);
        rc = meshd_blob_part_new(transfers->blobs, bytes, &fetch->part);
    }
    if (rc < 0) {
        return mem_free(fetch);
    }
    return fetch;
}

/* Its turn has come. */
static void fetch_begin(struct meshd_transfers *transfers, const struct fetch *waiting)
{
    static const struct wire_key none;
    bool is_of_another = memcmp(&waiting->owner, &none, sizeof(none)) != 0;
    /* Who names it must have shown that it has it: that is the owner, who named the peer as well.
     */
    const struct wire_key *by = is_of_another ? &waiting->owner : &waiting->key;
    if (meshd_blobs_is_known(transfers->blobs, &waiting->hash, by) &&
        fetch_from_store(transfers, &waiting->hash) == 0) {
        return;
    }
    struct fetch *fetch = new_fetch(transfers, &waiting->key, &waiting->hash, waiting->bytes);
    if (fetch == NULL) {
        put_failed(transfers, &waiting->hash, true);
        return;
    }
    fetch->link = waiting->link;
    fetch->owner = waiting->owner;
    fetch->begun_ms = uv_now(transfers->timer.loop);
    list_push_back(&transfers->fetches, &fetch->node);
    transfers->n_fetches++;
    struct wire_message want = {
        .type = WIRE_MESSAGE_BLOB_WANT,
        .blob_want = {.hash = fetch->hash,
                      .offset = meshd_blob_part_bytes(fetch->part),
                      .owner = fetch->owner,
                      .may_point = waiting->may_point},
    };
    meshd_links_send(transfers->links, fetch->link, &want);
}

static uint32_t count_fetches(const struct meshd_transfers *transfers, uint64_t link)
{
    uint32_t n = 0;
    list_for_each (it, &transfers->fetches) {
        n += LIST_ENTRY(it, struct fetch, node)->link == link;
    }
    return n;
}

/* The first that may begin, or NULL. Most often that is the first of all; behind so many of links
 * that are full no others are looked for. */
#define LOOK_AHEAD_MAX 1024u
static struct fetch *next_waiting(const struct meshd_transfers *transfers)
{
    uint64_t full_link = 0;
    uint32_t n_looked = 0;
    list_for_each (it, &transfers->waiting) {
        struct fetch *fetch = LIST_ENTRY(it, struct fetch, node);
        if (n_looked++ == LOOK_AHEAD_MAX) {
            break;
        }
        if (fetch->link == full_link) {
            continue;
        }
        if (count_fetches(transfers, fetch->link) < MESHD_FETCHES_LINK_MAX) {
            return fetch;
        }
        full_link = fetch->link;
    }
    return NULL;
}

/* One that fails at once starts the next from here, and not from within. */
static void start_waiting(struct meshd_transfers *transfers)
{
    if (transfers->is_starting || transfers->is_closing) {
        return;
    }
    transfers->is_starting = true;
    while (transfers->n_fetches < MESHD_FETCHES_MAX) {
        struct fetch *fetch = next_waiting(transfers);
        if (fetch == NULL) {
            break;
        }
        list_remove(&fetch->node);
        list_init(&fetch->node);
        fetch_begin(transfers, fetch);
        mem_free(fetch);
    }
    transfers->is_starting = false;
}

void meshd_transfers_fetch(struct meshd_transfers *transfers, uint64_t link,
                           const struct wire_hash *hash, uint64_t bytes,
                           const struct wire_key *owner, bool may_point)
{
    struct wire_key key;
    struct fetch *fetch = mem_alloc(1, sizeof(*fetch));
    if (fetch == NULL || !meshd_links_peer(transfers->links, link, &key)) {
        put_failed(transfers, hash, fetch == NULL);
        mem_free(fetch);
        return;
    }
    *fetch = (struct fetch){.link = link,
                            .key = key,
                            .owner = *owner,
                            .may_point = may_point,
                            .hash = *hash,
                            .bytes = bytes};
    list_push_back(&transfers->waiting, &fetch->node);
    if (count_fetches(transfers, link) < MESHD_FETCHES_LINK_MAX) { /* else nothing can begin now */
        start_waiting(transfers);
    }
}

/* Over this link; 0: over any. */
static struct fetch *find_in(const struct list *fetches, uint64_t link,
                             const struct wire_hash *hash)
{
    list_for_each (it, fetches) {
        struct fetch *fetch = LIST_ENTRY(it, struct fetch, node);
        if ((link == 0 || fetch->link == link) && wire_hash_eq(&fetch->hash, hash)) {
            return fetch;
        }
    }
    return NULL;
}

static void fetch_finish(struct meshd_transfers *transfers, struct fetch *fetch)
{
    int rc = meshd_blob_part_finish(fetch->part, &fetch->hash);
    if (rc < 0) {
        fetch_fail(transfers, fetch, rc != -EBADMSG);
        return;
    }
    struct wire_hash hash = fetch->hash;
    static const struct wire_key none;
    meshd_blobs_set_known(transfers->blobs, &hash, &fetch->key);
    if (memcmp(&fetch->owner, &none, sizeof(none)) != 0) {
        meshd_blobs_set_known(transfers->blobs, &hash, &fetch->owner); /* it let us have it */
    }
    meshd_blobs_pin(transfers->blobs, &hash);
    meshd_blobs_unhold(transfers->blobs, &hash);
    fetch_free(fetch);
    transfers->n_fetches--;
    put_stored(transfers, &hash);
    start_waiting(transfers);
}

void meshd_transfers_on_data(struct meshd_transfers *transfers, uint64_t link,
                             const struct wire_blob_data *data)
{
    struct fetch *fetch = find_in(&transfers->fetches, link, &data->hash);
    if (fetch == NULL) {
        return; /* of a fetch that failed meanwhile */
    }
    uint64_t done = meshd_blob_part_bytes(fetch->part);
    bool is_next = data->total == fetch->bytes && data->offset == done &&
                   data->bytes.n <= fetch->bytes - done && (data->bytes.n > 0 || data->total == 0);
    if (!is_next) {
        fetch_fail(transfers, fetch, false);
        return;
    }
    if (meshd_blob_part_append(fetch->part, data->bytes) < 0) {
        fetch_fail(transfers, fetch, true);
        return;
    }
    done += data->bytes.n;
    if (done == fetch->bytes) {
        fetch_finish(transfers, fetch);
    } else {
        meshd_transfers_tell(transfers, fetch->begun_ms, link, &fetch->hash, done, fetch->bytes,
                             true);
    }
}

void meshd_transfers_on_refuse(struct meshd_transfers *transfers, uint64_t link,
                               const struct wire_hash *hash)
{
    struct fetch *fetch = find_in(&transfers->fetches, link, hash);
    if (fetch != NULL) {
        fetch_fail(transfers, fetch, false);
    }
}

void meshd_transfers_stop(struct meshd_transfers *transfers, const struct wire_hash *hash)
{
    struct fetch *fetch = find_in(&transfers->fetches, 0, hash);
    if (fetch != NULL) {
        fetch_fail(transfers, fetch, false);
        return;
    }
    fetch = find_in(&transfers->waiting, 0, hash);
    if (fetch != NULL) {
        fetch_free(fetch);
        put_failed(transfers, hash, false);
    }
}

/* Those that wait for their turn on that link. They are taken out first: there may be many, among
 * many others, and what the core does over each may change the list. */
static void drop_waiting(struct meshd_transfers *transfers, uint64_t link)
{
    struct list dropped;
    list_init(&dropped);
    list_for_each_safe (it, &transfers->waiting) {
        if (LIST_ENTRY(it, struct fetch, node)->link == link) {
            list_remove(it);
            list_push_back(&dropped, it);
        }
    }
    for (struct list *first; (first = list_first(&dropped)) != NULL;) {
        struct fetch *fetch = LIST_ENTRY(first, struct fetch, node);
        struct wire_hash hash = fetch->hash;
        fetch_free(fetch);
        put_failed(transfers, &hash, false);
    }
}

/* --- both --------------------------------------------------------------------------------------
 */

void meshd_transfers_on_link_down(struct meshd_transfers *transfers, uint64_t link)
{
    meshd_serves_drop(transfers, link);
    /* One at a time: what the core does over each may change the list. */
    for (bool is_found = true; is_found;) {
        is_found = false;
        list_for_each (it, &transfers->fetches) {
            struct fetch *fetch = LIST_ENTRY(it, struct fetch, node);
            if (fetch->link == link) {
                struct wire_hash hash = fetch->hash;
                meshd_partials_keep(&transfers->partials, &fetch->key, &hash, fetch->bytes,
                                    STEAL(fetch->part));
                fetch_free(fetch);
                transfers->n_fetches--;
                put_failed(transfers, &hash, false);
                is_found = true;
                break;
            }
        }
    }
    drop_waiting(transfers, link);
    start_waiting(transfers);
}
