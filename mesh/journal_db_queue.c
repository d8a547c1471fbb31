/* Queues in the journal's file: their items, and who put what last. */
#include <errno.h>
#include <string.h>

#include "mesh/journal_db_internal.h"
#include "wire/key.h"

/* --- writing -----------------------------------------------------------------------------------
 */

static struct slice key_slice(const struct wire_key *key)
{
    return slice_of(key->b, sizeof(key->b));
}

/* What journal_queue.c packed. */
static struct slice unpack(struct slice *from)
{
    uint32_t n;
    ensure(from->n >= sizeof(n));
    memcpy(&n, from->p, sizeof(n));
    struct slice bytes = slice_part(*from, sizeof(n), n);
    *from = slice_from(*from, sizeof(n) + n);
    return bytes;
}

static int add_item(struct journal_db *db, const struct journal_put *put, uint64_t number,
                    struct slice bytes)
{
    sqlite3_stmt *add = db_statement(db, STATEMENT_ADD_ITEM);
    db_bind_u64(add, 1, number);
    db_bind_u64(add, 2, put->job);
    db_bind_bytes(add, 3, key_slice(&put->queue.putter));
    db_bind_bytes(add, 4, bytes);
    return db_run(db, add);
}

/* *i_hash counts those among the record's hashes that were stored. */
static int put_item(struct journal_db *db, const struct journal_put *put, uint64_t number,
                    struct slice *rest, uint32_t *i_hash)
{
    struct slice hash = unpack(rest);
    int error = add_item(db, put, number, unpack(rest));
    if (error == 0 && hash.n > 0) {
        uint32_t i = (*i_hash)++;
        ensure(i < put->n_hashes);
        error = db_add_blob(db, ~number, &put->hashes[i], &put->are_new[i]);
    }
    return error;
}

static int add_queue(struct journal_db *db, const struct journal_put *put, struct slice name)
{
    sqlite3_stmt *add = db_statement(db, STATEMENT_ADD_QUEUE);
    db_bind_u64(add, 1, put->job);
    db_bind_u64(add, 2, put->uid);
    db_bind_bytes(add, 3, name);
    return db_run(db, add);
}

static int put_items(struct journal_db *db, const struct journal_put *put)
{
    struct slice rest = put->bytes;
    uint64_t number = put->queue.first;
    uint32_t i_hash = 0;
    int error = add_queue(db, put, unpack(&rest)); /* it is there, but in a file that is new */
    while (rest.n > 0 && error == 0) {
        error = put_item(db, put, number++, &rest, &i_hash);
    }
    return error;
}

static int run_with_key(struct journal_db *db, enum journal_statement which,
                        const struct wire_key *key, uint64_t request)
{
    sqlite3_stmt *statement = db_statement(db, which);
    db_bind_bytes(statement, 1, key_slice(key));
    if (which == STATEMENT_SET_PUTTER) {
        db_bind_u64(statement, 2, request);
    }
    return db_run(db, statement);
}

static int run_with_number(struct journal_db *db, enum journal_statement which, uint64_t number)
{
    sqlite3_stmt *statement = db_statement(db, which);
    db_bind_u64(statement, 1, number);
    return db_run(db, statement);
}

static int put_put(struct journal_db *db, const struct journal_put *put)
{
    int error = put_items(db, put);
    if (error == 0 && !wire_key_is_zero(&put->queue.forgotten_putter)) {
        error = run_with_key(db, STATEMENT_DROP_PUTTER, &put->queue.forgotten_putter, 0);
    }
    if (error == 0) {
        error = run_with_key(db, STATEMENT_SET_PUTTER, &put->queue.putter, put->queue.request);
    }
    return error;
}

/* By the item's number, or that of its queue. */
static int free_blobs(struct journal_db *db, enum journal_statement which, uint64_t number)
{
    sqlite3_stmt *drop = db_statement(db, which);
    db_bind_u64(drop, 1, number);
    return db_free_blobs(db, drop);
}

static int put_done(struct journal_db *db, const struct journal_put *put)
{
    sqlite3_stmt *done = db_statement(db, STATEMENT_ITEM_DONE);
    db_bind_u64(done, 1, put->queue.item);
    db_bind_u64(done, 2, put->queue.hand);
    int error = db_run(db, done);
    error = error == 0 ? free_blobs(db, STATEMENT_DROP_ITEM_BLOB, put->queue.item) : error;
    return error == 0 && put->queue.forgotten != 0
               ? run_with_number(db, STATEMENT_DROP_ITEM, put->queue.forgotten)
               : error;
}

int db_put_queue(struct journal_db *db, const struct journal_put *put)
{
    int error;
    switch ((unsigned)put->type) { /* as a number: only these */
    case CORE_RECORD_QUEUE:
        return add_queue(db, put, put->bytes);
    case CORE_RECORD_QUEUE_PUT:
        return put_put(db, put);
    case CORE_RECORD_QUEUE_DONE:
        return put_done(db, put);
    case CORE_RECORD_QUEUE_REMOVED:
        error = free_blobs(db, STATEMENT_DROP_ITEM_BLOBS, put->job);
        error = error == 0 ? run_with_number(db, STATEMENT_DROP_ITEMS, put->job) : error;
        return error == 0 ? run_with_number(db, STATEMENT_DROP_QUEUE, put->job) : error;
    default:
        ensure(!"reached");
    }
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* What is left of the statement after its last row. */
static int finish(struct journal_db *db, sqlite3_stmt *rows, int rc)
{
    int error = rc == SQLITE_DONE ? 0 : db_error(db);
    IGNORE(sqlite3_reset(rows)); /* says the same error again */
    return error;
}

static struct wire_key key_of(sqlite3_stmt *row, int i)
{
    struct wire_key key = {0};
    struct slice bytes = db_blob(row, i);
    if (bytes.n == sizeof(key.b)) {
        memcpy(key.b, bytes.p, sizeof(key.b));
    }
    return key;
}

int journal_db_each_queue(struct journal_db *db, journal_queue_cb each, void *user)
{
    sqlite3_stmt *rows = db_statement(db, STATEMENT_QUEUES);
    int rc;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        each(user, db_u64(rows, 0), (uint32_t)db_u64(rows, 1), db_blob(rows, 2));
    }
    return finish(db, rows, rc);
}

int journal_db_each_item(struct journal_db *db, journal_item_cb each, void *user)
{
    sqlite3_stmt *rows = db_statement(db, STATEMENT_ITEMS);
    int rc;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        struct core_kept_item item = {.number = db_u64(rows, 0),
                                      .putter = key_of(rows, 2),
                                      .hand = db_u64(rows, 3),
                                      .content = {.bytes = db_blob(rows, 4)}};
        struct slice hash = db_blob(rows, 5);
        if (hash.n == sizeof(item.content.hash.b)) {
            memcpy(item.content.hash.b, hash.p, hash.n);
        }
        each(user, db_u64(rows, 1), &item);
    }
    return finish(db, rows, rc);
}

int journal_db_each_putter(struct journal_db *db, journal_putter_cb each, void *user)
{
    sqlite3_stmt *rows = db_statement(db, STATEMENT_PUTTERS);
    int rc;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        struct wire_key key = key_of(rows, 0);
        each(user, &key, db_u64(rows, 1));
    }
    return finish(db, rows, rc);
}
