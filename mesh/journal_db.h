/* The journal's file: STATE/journal.db, a SQLite database. Plain calls that wait for the disk; who
 * may wait is journal.c's affair (its thread), and what the records mean is the core's.
 *
 * Records hold whole messages as the local socket carries them (wire/local.h), so that what a later
 * version adds to one travels by itself; what SQL has to ask for has a column. One database is used
 * by one thread at a time.
 *
 * Errors: -ENOSPC: the disk, the quota or the file's limit is full; -EBADMSG: the file is corrupt;
 * -ENOMEM; -EIO for all else that a disk says. */
#ifndef MESH_JOURNAL_DB_H
#define MESH_JOURNAL_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/core/effect.h"
#include "mesh/core/event.h"
#include "wire/base/buf.h"
#include "wire/base/errmsg.h"

#define JOURNAL_DB_NAME    "journal.db"
#define JOURNAL_DB_VERSION 2
/* Rows that one sweep deletes: what records wait for at most. */
#define JOURNAL_SWEEP_ROWS 2000u

struct journal_db;

struct journal_put_queue {   /* of records of queues, whose `job` is the queue */
    uint64_t first, request; /* PUT */
    struct wire_key putter, forgotten_putter;
    uint64_t item, hand, forgotten; /* DONE */
};

/* A record as it is written. All borrowed. */
struct journal_put {
    enum core_record_type type;
    uint64_t job;
    uint32_t uid;             /* JOB */
    uint32_t task;            /* TASK, RESULT */
    bool is_success, is_lost; /* RESULT */
    uint64_t at_s;            /* the wall clock's; JOB, OVER */
    struct slice bytes;       /* the message: submit, add_task, done, job_done; else empty.
                               * Of a queue its name, of a put its items, see journal_queue.c */
    struct journal_put_queue queue;
    const struct wire_hash *hashes; /* of blobs that it names: made durable before it is */
    uint32_t n_hashes;
    bool *are_new; /* one for each: set where the job did not name that blob before */
};

/* Opens DIR/journal.db, makes it where it is missing, and reads all of it once to see that it is
 * whole. One that is not is kept aside with what belongs to it, as journal.db.corrupt-N, and an
 * empty one takes its place; `said` then holds a line about that, else it is empty.
 *
 * dir_path is that of dir_fd; blobs_fd the directory with the blobs that records name, borrowed.
 * 0, or -errno with err set: -ENOTSUP: a newer version's. */
int journal_db_open(const char *dir_path, int dir_fd, int blobs_fd, struct journal_db **ret_db,
                    struct errmsg *said, struct errmsg *err) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct journal_db *journal_db_close(struct journal_db *db);
/* What is there is corrupt: closes it, keeps it aside and opens an empty one in its place. 0 or
 * -errno with err; then there is none open, and every call says -EBADMSG. */
int journal_db_start_over(struct journal_db *db, struct errmsg *said,
                          struct errmsg *err) MUST_CHECK;

/* A group of records: all of them are on disk, blobs they name included, when commit() has returned
 * 0; none of them is after any error. */
int journal_db_begin(struct journal_db *db) MUST_CHECK;
int journal_db_put(struct journal_db *db, const struct journal_put *put) MUST_CHECK;
int journal_db_commit(struct journal_db *db) MUST_CHECK;
void journal_db_rollback(struct journal_db *db);
/* Of each blob that is not named any more since the last group or sweep, once for each name it had.
 * Where that failed there is none. */
void journal_db_tell_freed(struct journal_db *db,
                           void (*freed)(void *user, const struct wire_hash *hash), void *user);
/* Results that were written for a task that had one; the first stands. Never, if all is well. */
uint64_t journal_db_n_doubled(const struct journal_db *db);

/* --- reading ---
 * Messages are appended to a buffer, each as it was written; -ENOBUFS or -ENOMEM is the buffer's.
 */

struct journal_job {
    uint64_t job;
    uint32_t uid;
    uint64_t made_s, ended_s; /* wall clock; 0: not ended */
    bool is_complete, is_cancelled, is_over;
    uint32_t n_tasks, n_results, n_succeeded, n_lost;
    struct slice submit; /* message; borrowed for the call */
    struct slice over;   /* message job_done; empty unless is_over */
};

typedef void (*journal_job_cb)(void *user, const struct journal_job *job);
/* Jobs that have neither ended nor been forgotten, in the order of their numbers. */
int journal_db_each_open(struct journal_db *db, journal_job_cb each, void *user) MUST_CHECK;
/* Jobs that ended, the last first, at most n. Without n_tasks and what follows: `over` has them. */
int journal_db_each_over(struct journal_db *db, uint32_t n, journal_job_cb each,
                         void *user) MUST_CHECK;
/* One job, with all of it. `each` is called once. 0, -ENOENT, -errno. */
int journal_db_job(struct journal_db *db, uint64_t job, journal_job_cb each, void *user) MUST_CHECK;
/* Tasks without result from `first` on, by number: at most n, and fewer once they take that many
 * bytes. */
int journal_db_tasks(struct journal_db *db, uint64_t job, uint32_t first, uint32_t n,
                     uint64_t bytes, struct buf *to, uint32_t *ret_n) MUST_CHECK;
/* Results in the order in which they came to be here, behind number `after` of that order; of one
 * task only unless it is 0. Of each, the task as it was added, if asked for, and the done.
 * *ret_last is the last one's number in that order. */
int journal_db_results(struct journal_db *db, uint64_t job, uint64_t after, uint32_t task,
                       uint32_t n, uint64_t bytes, bool has_tasks, struct buf *to, uint32_t *ret_n,
                       uint64_t *ret_last) MUST_CHECK;
/* Each blob that a record names, once for each job. */
int journal_db_each_blob(struct journal_db *db,
                         void (*each)(void *user, const struct wire_hash *hash),
                         void *user) MUST_CHECK;

/* --- queues, in journal_db_queue.c --- */

typedef void (*journal_queue_cb)(void *user, uint64_t id, uint32_t uid, struct slice name);
typedef void (*journal_item_cb)(void *user, uint64_t queue, const struct core_kept_item *item);
typedef void (*journal_putter_cb)(void *user, const struct wire_key *key, uint64_t request);
/* Bytes are borrowed for the call. */
int journal_db_each_queue(struct journal_db *db, journal_queue_cb each, void *user) MUST_CHECK;
/* Of all queues, by number. */
int journal_db_each_item(struct journal_db *db, journal_item_cb each, void *user) MUST_CHECK;
int journal_db_each_putter(struct journal_db *db, journal_putter_cb each, void *user) MUST_CHECK;

/* --- what may go --- */

/* Deletes some of what belongs to forgotten jobs, and gives room back to the disk; jobs that ended
 * before that time are forgotten first. *ret_is_more: there is more to be deleted. */
int journal_db_sweep(struct journal_db *db, uint64_t ended_before_s, bool *ret_is_more) MUST_CHECK;

#endif
