/* Queues: their records on the way to the journal's thread, and what comes back at start. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mesh/journal_internal.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"

/* The name of a put's queue and its items are put together in memory, each behind its length. Of an
 * item the hash comes first, empty where it is no blob. */
static void pack(struct buf *to, struct slice bytes)
{
    uint32_t n = (uint32_t)bytes.n;
    buf_append(to, &n, sizeof(n));
    buf_append_slice(to, bytes);
}

static void pack_content(struct buf *to, const struct wire_queue_bytes *content)
{
    size_t n_hash = content->blob_bytes > 0 ? sizeof(content->hash.b) : 0;
    pack(to, slice_of(content->hash.b, n_hash));
    pack(to, content->bytes);
}

void journal_queue_fill(struct journal_item *item, const struct core_record *record)
{
    struct journal_put_queue *queue = &item->put.queue;
    switch ((unsigned)record->type) { /* as a number: the others are not of queues */
    case CORE_RECORD_QUEUE:
        item->put.uid = record->queue.uid;
        buf_append_slice(&item->bytes, record->queue.name);
        return;
    case CORE_RECORD_QUEUE_PUT:
        item->put.uid = record->queue_put.uid;
        pack(&item->bytes, record->queue_put.name);
        queue->first = record->queue_put.first;
        queue->putter = record->queue_put.putter;
        queue->request = record->queue_put.request;
        queue->forgotten_putter = record->queue_put.forgotten;
        for (uint32_t i = 0; i < record->queue_put.items.n; i++) {
            pack_content(&item->bytes, &record->queue_put.items.items[i]);
        }
        return;
    case CORE_RECORD_QUEUE_DONE:
        queue->item = record->queue_done.item;
        queue->hand = record->queue_done.hand;
        queue->forgotten = record->queue_done.forgotten;
        return;
    default:
        return;
    }
}

/* --- at start ----------------------------------------------------------------------------------
 */

#define PIECE_ITEMS 1024u
#define PIECE_BYTES (1u << 20)

/* Items of one queue that stand one behind the other, gathered until there are enough. */
struct report {
    struct meshd_journal *journal;
    uint64_t queue;
    uint32_t n;
    struct arena arena;
    int error;
    struct core_kept_item items[PIECE_ITEMS];
};

static void report_queue(void *user, uint64_t id, uint32_t uid, struct slice name)
{
    struct report *report = user;
    if (!wire_queue_name_is_good(name)) {
        report->error = -EBADMSG;
        return;
    }
    struct core_event event = {.type = CORE_EVENT_JOURNAL_QUEUE,
                               .journal_queue = {.queue = id, .uid = uid, .name = name}};
    meshd_sink_put(&report->journal->config.sink, &event);
}

static void flush(struct report *report)
{
    if (report->n > 0 && report->error == 0) {
        struct core_event event = {
            .type = CORE_EVENT_JOURNAL_ITEMS,
            .journal_items = {.queue = report->queue, .items = report->items, .n = report->n}};
        meshd_sink_put(&report->journal->config.sink, &event);
    }
    report->n = 0;
    arena_clear(&report->arena);
}

/* How long the blob is, the store knows. */
static int measure(struct report *report, struct wire_queue_bytes *content)
{
    int fd;
    int rc =
        meshd_blobs_open(report->journal->config.blobs, &content->hash, &fd, &content->blob_bytes);
    if (rc < 0) {
        meshd_log(report->journal->config.log, CORE_LOG_ERROR,
                  "an item of a queue is lost: what is in it cannot be opened: %s", strerror(-rc));
        return rc;
    }
    IGNORE(close(fd)); /* opened for reading */
    return 0;
}

static void report_item(void *user, uint64_t queue, const struct core_kept_item *item)
{
    struct report *report = user;
    struct wire_queue_bytes content = item->content;
    if (!wire_hash_is_zero(&content.hash) && measure(report, &content) < 0) {
        return;
    }
    if (report->n == PIECE_ITEMS || report->arena.used_bytes >= PIECE_BYTES ||
        report->queue != queue) {
        flush(report);
    }
    report->queue = queue;
    struct core_kept_item *copy = &report->items[report->n];
    *copy = *item;
    copy->content = content;
    int rc = arena_copy(&report->arena, item->content.bytes, &copy->content.bytes);
    report->error = rc < 0 ? rc : report->error;
    report->n++;
}

static void report_putter(void *user, const struct wire_key *key, uint64_t request)
{
    struct report *report = user;
    struct core_event event = {.type = CORE_EVENT_JOURNAL_PUTTER,
                               .journal_putter = {.key = *key, .request = request}};
    meshd_sink_put(&report->journal->config.sink, &event);
}

int journal_queue_report(struct meshd_journal *journal)
{
    struct report *report = mem_alloc_or_die(1, sizeof(*report));
    report->journal = journal;
    arena_init(&report->arena, SIZE_MAX);
    int error = journal_db_each_queue(journal->db, report_queue, report);
    if (error == 0 && report->error == 0) {
        error = journal_db_each_item(journal->db, report_item, report);
        flush(report);
    }
    if (error == 0 && report->error == 0) {
        error = journal_db_each_putter(journal->db, report_putter, report);
    }
    error = error == 0 ? report->error : error;
    arena_done(&report->arena);
    mem_free(report);
    return error;
}
