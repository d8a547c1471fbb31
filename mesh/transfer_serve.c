/* What is served: chunks out of the store, as links have room for them. */
#include <errno.h>
#include <unistd.h>

#include "mesh/transfer_internal.h"
#include "wire/base/mem.h"

/* A link that waits for acknowledgements is looked at again after so long, growing. */
#define LOOK_MS_MIN 1u
#define LOOK_MS_MAX 16u

struct serve {
    struct list node; /* in transfers->serves; the link's next one to go first */
    struct meshd_transfers *transfers;
    uint64_t link;
    struct wire_hash hash;
    uint64_t offset;
    uint64_t bytes;
    uint64_t begun_ms;
    int fd;          /* -1: being verified */
    bool is_dropped; /* while being verified: to be freed when that is done */
};

/* One that is being verified is freed when that is done. */
static void serve_free(struct serve *serve)
{
    list_remove(&serve->node);
    if (serve->fd < 0) {
        serve->is_dropped = true;
        return;
    }
    IGNORE(close(serve->fd)); /* was only read */
    mem_free(serve);
}

void meshd_serves_drop(struct meshd_transfers *transfers, uint64_t link)
{
    list_for_each_safe (it, &transfers->serves) {
        struct serve *serve = LIST_ENTRY(it, struct serve, node);
        if (link == 0 || serve->link == link) {
            serve_free(serve);
        }
    }
}

static void refuse(struct meshd_transfers *transfers, uint64_t link, const struct wire_hash *hash)
{
    struct wire_message message = {
        .type = WIRE_MESSAGE_BLOB_REFUSE,
        .blob_refuse = {.hash = *hash},
    };
    meshd_links_send(transfers->links, link, &message);
}

/* One chunk. False: the serve has ended, well or not. */
static bool serve_chunk(struct serve *serve, size_t room)
{
    struct meshd_transfers *transfers = serve->transfers;
    uint64_t left = serve->bytes - serve->offset;
    size_t n_want = left < room ? (size_t)left : room;
    ssize_t n = pread(serve->fd, transfers->chunk, n_want, (off_t)serve->offset);
    if (n < 0 || (n == 0 && left > 0)) {
        refuse(transfers, serve->link, &serve->hash);
        return false;
    }
    struct wire_message message = {
        .type = WIRE_MESSAGE_BLOB_DATA,
        .blob_data = {.hash = serve->hash,
                      .offset = serve->offset,
                      .total = serve->bytes,
                      .bytes = slice_of(transfers->chunk, (size_t)n)},
    };
    meshd_links_send_bulk(transfers->links, serve->link, &message);
    serve->offset += (uint64_t)n;
    struct wire_key key;
    if (serve->offset == serve->bytes && meshd_links_peer(transfers->links, serve->link, &key)) {
        meshd_blobs_set_known(transfers->blobs, &serve->hash, &key); /* it names it back some day */
    }
    return serve->offset < serve->bytes;
}

/* The link's serve whose turn it is, or NULL. */
static struct serve *next_serve(struct meshd_transfers *transfers, uint64_t link)
{
    list_for_each (it, &transfers->serves) {
        struct serve *serve = LIST_ENTRY(it, struct serve, node);
        if (serve->link == link && serve->fd >= 0) {
            return serve;
        }
    }
    return NULL;
}

static void on_look(uv_timer_t *timer);

static void look_later(struct meshd_transfers *transfers)
{
    if (!uv_is_active((uv_handle_t *)&transfers->timer)) {
        int rc = uv_timer_start(&transfers->timer, on_look, transfers->look_ms, 0);
        ensure(rc == 0);
    }
}

/* Whether a chunk left. */
static bool pump(struct meshd_transfers *transfers, uint64_t link)
{
    struct serve *serve = next_serve(transfers, link);
    size_t room = serve != NULL ? meshd_links_bulk_room(transfers->links, link) : 0;
    if (serve == NULL) {
        return false;
    }
    if (room == 0) {
        look_later(transfers);
        return false;
    }
    if (transfers->chunk == NULL) {
        transfers->chunk = mem_alloc(1, WIRE_CHUNK_BYTES_MAX);
        if (transfers->chunk == NULL) {
            look_later(transfers);
            return false;
        }
    }
    list_remove(&serve->node);
    list_push_back(&transfers->serves, &serve->node);
    bool is_under_way = serve_chunk(serve, room);
    if (!is_under_way) {
        serve_free(serve);
    }
    transfers->look_ms = LOOK_MS_MIN;
    if (list_is_empty(&transfers->serves)) {
        transfers->chunk = mem_free(transfers->chunk);
    }
    if (is_under_way) {
        meshd_transfers_tell(transfers, serve->begun_ms, link, &serve->hash, serve->offset,
                             serve->bytes, false);
    }
    return true;
}

static void on_look(uv_timer_t *timer)
{
    struct meshd_transfers *transfers = timer->data;
    bool is_moving = false;
    list_for_each (it, &transfers->serves) {
        is_moving = pump(transfers, LIST_ENTRY(it, struct serve, node)->link) || is_moving;
        if (is_moving) {
            break; /* the list has changed; the others are looked at next time */
        }
    }
    if (!is_moving) {
        transfers->look_ms =
            2 * transfers->look_ms < LOOK_MS_MAX ? 2 * transfers->look_ms : LOOK_MS_MAX;
    }
    if (!list_is_empty(&transfers->serves)) {
        look_later(transfers);
    }
}

void meshd_serves_init(struct meshd_transfers *transfers, uv_loop_t *loop)
{
    transfers->look_ms = LOOK_MS_MIN;
    list_init(&transfers->serves);
    int rc = uv_timer_init(loop, &transfers->timer);
    ensure(rc == 0);
    transfers->timer.data = transfers;
}

void meshd_transfers_on_room(struct meshd_transfers *transfers, uint64_t link)
{
    if (!list_is_empty(&transfers->serves)) {
        pump(transfers, link);
    }
}

static void on_serve_verified(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    struct serve *serve = user;
    struct meshd_transfers *transfers = serve->transfers;
    transfers->n_checks--;
    int rc = error;
    if (error == 0) {
        rc = serve->is_dropped ? -ECANCELED
                               : meshd_blobs_open(transfers->blobs, hash, &serve->fd, &bytes);
        meshd_blobs_unhold(transfers->blobs, hash);
    }
    if (rc == 0 && serve->offset > bytes) {
        rc = -EINVAL;
    }
    if (rc < 0) {
        if (!serve->is_dropped) {
            refuse(transfers, serve->link, &serve->hash);
        }
        list_remove(&serve->node);
        if (serve->fd >= 0) {
            IGNORE(close(serve->fd)); /* was only read */
        }
        mem_free(serve);
        meshd_transfers_maybe_closed(transfers);
        return;
    }
    serve->bytes = bytes;
    serve->begun_ms = uv_now(transfers->timer.loop);
    transfers->look_ms = LOOK_MS_MIN;
    pump(transfers, serve->link);
}

static uint32_t count_serves(const struct meshd_transfers *transfers, uint64_t link)
{
    uint32_t n = 0;
    list_for_each (it, &transfers->serves) {
        n += LIST_ENTRY(it, struct serve, node)->link == link;
    }
    return n;
}

void meshd_transfers_serve(struct meshd_transfers *transfers, uint64_t link,
                           const struct wire_hash *hash, uint64_t offset)
{
    struct serve *serve =
        count_serves(transfers, link) < MESHD_SERVES_MAX ? mem_alloc(1, sizeof(*serve)) : NULL;
    if (serve == NULL) {
        refuse(transfers, link, hash);
        return;
    }
    serve->transfers = transfers;
    serve->link = link;
    serve->hash = *hash;
    serve->offset = offset;
    serve->fd = -1;
    list_push_back(&transfers->serves, &serve->node);
    transfers->n_checks++;
    int rc = meshd_blobs_verify(transfers->blobs, hash, on_serve_verified, serve);
    if (rc < 0) {
        transfers->n_checks--;
        list_remove(&serve->node);
        mem_free(serve);
        refuse(transfers, link, hash);
    }
}
