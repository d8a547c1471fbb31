/* Shared by journal_db.c (the file, writing) and journal_db_read.c (reading, sweeping), and by
 * nobody else. */
#ifndef MESH_JOURNAL_DB_INTERNAL_H
#define MESH_JOURNAL_DB_INTERNAL_H

#include <sqlite3.h>

#include "mesh/journal_db.h"
#include "mesh/state_dir.h"

/* X(NAME, SQL) */
#define JOURNAL_STATEMENTS(X)                                                                      \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(ADD_JOB, "INSERT INTO job(id, uid, made, submit) VALUES(?1, ?2, ?3, ?4)")                    \
    X(ADD_TASK, "INSERT INTO task(job, task, message) VALUES(?1, ?2, ?3)")                         \
    X(COMPLETE, "UPDATE job SET is_complete = 1 WHERE id = ?1")                                    \
    X(ADD_RESULT, "INSERT OR IGNORE INTO result(job, seq, task, is_success, is_lost, message) "    \
                  "VALUES(?1, ?2, ?3, ?4, ?5, ?6)")                                                \
    X(CANCEL, "UPDATE job SET is_cancelled = 1 WHERE id = ?1")                                     \
    X(OVER, "UPDATE job SET is_over = 1, ended = ?2, over = ?3 WHERE id = ?1")                     \
    X(FORGET, "UPDATE job SET is_forgotten = 1 WHERE id = ?1")                                     \
    X(ADD_BLOB, "INSERT OR IGNORE INTO blob(hash, job) VALUES(?1, ?2)")                            \
    X(LAST_SEQ,                                                                                    \
      "SELECT max(s) FROM (SELECT (SELECT max(seq) FROM result WHERE job = job.id) AS s FROM "     \
      "job)")                                                                                      \
    X(OPEN_JOBS,                                                                                   \
      "SELECT id, uid, made, ended, is_complete, is_cancelled, is_over, submit, over FROM job "    \
      "WHERE is_over = 0 AND is_forgotten = 0 ORDER BY id")                                        \
    X(OVER_JOBS,                                                                                   \
      "SELECT id, uid, made, ended, is_complete, is_cancelled, is_over, submit, over FROM job "    \
      "WHERE is_over = 1 AND is_forgotten = 0 ORDER BY id DESC LIMIT ?1")                          \
    X(ONE_JOB,                                                                                     \
      "SELECT id, uid, made, ended, is_complete, is_cancelled, is_over, submit, over FROM job "    \
      "WHERE id = ?1 AND is_forgotten = 0")                                                        \
    X(COUNT_TASKS, "SELECT count(*) FROM task WHERE job = ?1")                                     \
    X(COUNT_RESULTS,                                                                               \
      "SELECT count(*), total(is_success), total(is_lost) FROM result WHERE job = ?1")             \
    X(TASKS, "SELECT message FROM task WHERE job = ?1 AND task >= ?2 AND NOT EXISTS "              \
             "(SELECT 1 FROM result WHERE result.job = task.job AND result.task = task.task) "     \
             "ORDER BY task")                                                                      \
    X(RESULTS, "SELECT seq, result.message, task.message FROM result JOIN task USING(job, task) "  \
               "WHERE result.job = ?1 AND seq > ?2 ORDER BY seq")                                  \
    X(RESULT_OF,                                                                                   \
      "SELECT seq, result.message, task.message FROM result JOIN task USING(job, task) "           \
      "WHERE result.job = ?1 AND seq > ?2 AND result.task = ?3")                                   \
    X(BLOBS, "SELECT hash FROM blob")                                                              \
    X(ADD_QUEUE, "INSERT OR IGNORE INTO queue(id, uid, name) VALUES(?1, ?2, ?3)")                  \
    X(DROP_QUEUE, "DELETE FROM queue WHERE id = ?1")                                               \
    X(QUEUES, "SELECT id, uid, name FROM queue ORDER BY id")                                       \
    X(ADD_ITEM, "INSERT INTO queue_item(number, queue, putter, bytes) VALUES(?1, ?2, ?3, ?4)")     \
    X(ITEM_DONE, "UPDATE queue_item SET hand = ?2, bytes = x'' WHERE number = ?1")                 \
    X(DROP_ITEM, "DELETE FROM queue_item WHERE number = ?1")                                       \
    X(DROP_ITEMS, "DELETE FROM queue_item WHERE queue = ?1")                                       \
    X(ITEMS, "SELECT number, queue, putter, hand, bytes, (SELECT hash FROM blob WHERE job = "      \
             "~number) FROM queue_item ORDER BY number")                                           \
    X(DROP_ITEM_BLOB, "DELETE FROM blob WHERE job = ~?1 RETURNING hash")                           \
    X(DROP_ITEM_BLOBS, "DELETE FROM blob WHERE job IN (SELECT ~number FROM queue_item WHERE "      \
                       "queue = ?1) RETURNING hash")                                               \
    X(SET_PUTTER, "INSERT INTO queue_putter(key, request) VALUES(?1, ?2) "                         \
                  "ON CONFLICT(key) DO UPDATE SET request = ?2")                                   \
    X(DROP_PUTTER, "DELETE FROM queue_putter WHERE key = ?1")                                      \
    X(PUTTERS, "SELECT key, request FROM queue_putter")                                            \
    X(EXPIRE, "UPDATE job SET is_forgotten = 1 WHERE is_over = 1 AND ended < ?1")                  \
    X(FORGOTTEN, "SELECT id FROM job WHERE is_forgotten = 1 LIMIT 1")                              \
    X(SWEEP_RESULTS,                                                                               \
      "DELETE FROM result WHERE job = ?1 AND seq IN (SELECT seq FROM result WHERE job = ?1 "       \
      "LIMIT ?2)")                                                                                 \
    X(SWEEP_TASKS,                                                                                 \
      "DELETE FROM task WHERE job = ?1 AND task IN (SELECT task FROM task WHERE job = ?1 "         \
      "LIMIT ?2)")                                                                                 \
    X(SWEEP_BLOBS,                                                                                 \
      "DELETE FROM blob WHERE job = ?1 AND hash IN (SELECT hash FROM blob WHERE job = ?1 "         \
      "LIMIT ?2) RETURNING hash")                                                                  \
    X(SWEEP_JOB, "DELETE FROM job WHERE id = ?1")                                                  \
    X(VACUUM, "PRAGMA incremental_vacuum(2000)")

#define JOURNAL_ENUM_STATEMENT(name, sql) STATEMENT_##name,
enum journal_statement { JOURNAL_STATEMENTS(JOURNAL_ENUM_STATEMENT) N_JOURNAL_STATEMENTS };

struct journal_db {
    sqlite3 *sqlite; /* NULL: none is open, and none can be made */
    sqlite3_stmt *statements[N_JOURNAL_STATEMENTS];
    char dir_path[MESHD_PATH_BYTES];
    int dir_fd;   /* borrowed */
    int blobs_fd; /* borrowed */
    uint64_t next_seq;
    uint64_t n_doubled;
    bool is_begun;
    struct buf to_sync; /* struct wire_hash after the other: new in this group, */
    struct buf freed;   /* and not named any more since this group, or sweep */
};

/* The prepared statement, ready to be bound; NULL where no database is open. */
sqlite3_stmt *db_statement(struct journal_db *db, enum journal_statement which);
/* Runs one that yields no rows. */
int db_run(struct journal_db *db, sqlite3_stmt *statement);
/* What became of a step that gave neither a row nor the end: a negative errno. */
int db_error(struct journal_db *db);
/* Numbers are unsigned here and signed there: the bits are the same. */
void db_bind_u64(sqlite3_stmt *statement, int i, uint64_t value);
uint64_t db_u64(sqlite3_stmt *statement, int i);
struct slice db_blob(sqlite3_stmt *statement, int i);

void db_bind_bytes(sqlite3_stmt *statement, int i, struct slice bytes);

/* Of these blobs, by the first column; `freed` is filled. */
int db_free_blobs(struct journal_db *db, sqlite3_stmt *deleted) MUST_CHECK;
/* That number, of a job, or ~ that of an item, names the blob. */
int db_add_blob(struct journal_db *db, uint64_t number, const struct wire_hash *hash,
                bool *ret_is_new) MUST_CHECK;

/* journal_db_queue.c: a record of a queue. */
int db_put_queue(struct journal_db *db, const struct journal_put *put) MUST_CHECK;

#endif
