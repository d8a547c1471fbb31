/* What is read back from the journal, and what is deleted from it. */
#include <errno.h>
#include <string.h>

#include "mesh/journal_db_internal.h"

/* --- jobs --------------------------------------------------------------------------------------
 */

static struct journal_job job_of(sqlite3_stmt *row)
{
    return (struct journal_job){
        .job = db_u64(row, 0),
        .uid = (uint32_t)db_u64(row, 1),
        .made_s = db_u64(row, 2),
        .ended_s = db_u64(row, 3),
        .is_complete = db_u64(row, 4) != 0,
        .is_cancelled = db_u64(row, 5) != 0,
        .is_over = db_u64(row, 6) != 0,
        .submit = db_blob(row, 7),
        .over = db_blob(row, 8),
    };
}

static int count(struct journal_db *db, struct journal_job *job)
{
    sqlite3_stmt *tasks = db_statement(db, STATEMENT_COUNT_TASKS);
    sqlite3_stmt *results = db_statement(db, STATEMENT_COUNT_RESULTS);
    db_bind_u64(tasks, 1, job->job);
    db_bind_u64(results, 1, job->job);
    int error = sqlite3_step(tasks) == SQLITE_ROW ? 0 : db_error(db);
    job->n_tasks = error == 0 ? (uint32_t)db_u64(tasks, 0) : 0;
    if (error == 0) {
        error = sqlite3_step(results) == SQLITE_ROW ? 0 : db_error(db);
    }
    if (error == 0) {
        job->n_results = (uint32_t)db_u64(results, 0);
        job->n_succeeded = (uint32_t)db_u64(results, 1);
        job->n_lost = (uint32_t)db_u64(results, 2);
    }
    IGNORE(sqlite3_reset(tasks)); /* say their errors again */
    IGNORE(sqlite3_reset(results));
    return error;
}

static int each_job(struct journal_db *db, sqlite3_stmt *jobs, bool is_counted, journal_job_cb each,
                    void *user, unsigned *ret_n)
{
    unsigned n = 0;
    int error = 0;
    int rc = SQLITE_DONE;
    while (error == 0 && (rc = sqlite3_step(jobs)) == SQLITE_ROW) {
        struct journal_job job = job_of(jobs);
        error = is_counted ? count(db, &job) : 0;
        if (error == 0) {
            each(user, &job);
            n++;
        }
    }
    error = error == 0 && rc != SQLITE_DONE ? db_error(db) : error;
    IGNORE(sqlite3_reset(jobs)); /* says the same error again */
    *ret_n = n;
    return error;
}

int journal_db_each_open(struct journal_db *db, journal_job_cb each, void *user)
{
    sqlite3_stmt *jobs = db_statement(db, STATEMENT_OPEN_JOBS);
    unsigned n;
    return jobs != NULL ? each_job(db, jobs, true, each, user, &n) : -EBADMSG;
}

int journal_db_each_over(struct journal_db *db, uint32_t n_max, journal_job_cb each, void *user)
{
    sqlite3_stmt *jobs = db_statement(db, STATEMENT_OVER_JOBS);
    unsigned n;
    if (jobs == NULL) {
        return -EBADMSG;
    }
    db_bind_u64(jobs, 1, n_max);
    return each_job(db, jobs, false, each, user, &n);
}

int journal_db_job(struct journal_db *db, uint64_t job, journal_job_cb each, void *user)
{
    sqlite3_stmt *one = db_statement(db, STATEMENT_ONE_JOB);
    unsigned n;
    if (one == NULL) {
        return -EBADMSG;
    }
    db_bind_u64(one, 1, job);
    int error = each_job(db, one, true, each, user, &n);
    return error == 0 && n == 0 ? -ENOENT : error;
}

/* --- tasks and results -------------------------------------------------------------------------
 */

int journal_db_tasks(struct journal_db *db, uint64_t job, uint32_t first, uint32_t n_max,
                     uint64_t bytes, struct buf *to, uint32_t *ret_n)
{
    sqlite3_stmt *tasks = db_statement(db, STATEMENT_TASKS);
    size_t n_before = to->n;
    uint32_t n = 0;
    int rc = SQLITE_DONE;
    if (tasks == NULL) {
        return -EBADMSG;
    }
    db_bind_u64(tasks, 1, job);
    db_bind_u64(tasks, 2, first);
    while (n < n_max && (n == 0 || to->n - n_before < bytes) && buf_error(to) == 0 &&
           (rc = sqlite3_step(tasks)) == SQLITE_ROW) {
        buf_append_slice(to, db_blob(tasks, 0));
        n++;
    }
    int error = rc == SQLITE_DONE || rc == SQLITE_ROW ? buf_error(to) : db_error(db);
    IGNORE(sqlite3_reset(tasks)); /* says the same error again */
    *ret_n = n;
    return error;
}

int journal_db_results(struct journal_db *db, uint64_t job, uint64_t after, uint32_t task,
                       uint32_t n_max, uint64_t bytes, bool has_tasks, struct buf *to,
                       uint32_t *ret_n, uint64_t *ret_last)
{
    sqlite3_stmt *results = db_statement(db, task == 0 ? STATEMENT_RESULTS : STATEMENT_RESULT_OF);
    size_t n_before = to->n;
    uint64_t last = after;
    uint32_t n = 0;
    int rc = SQLITE_DONE;
    if (results == NULL) {
        return -EBADMSG;
    }
    db_bind_u64(results, 1, job);
    db_bind_u64(results, 2, after);
    if (task != 0) {
        db_bind_u64(results, 3, task);
    }
    while (n < n_max && (n == 0 || to->n - n_before < bytes) && buf_error(to) == 0 &&
           (rc = sqlite3_step(results)) == SQLITE_ROW) {
        last = db_u64(results, 0);
        if (has_tasks) {
            buf_append_slice(to, db_blob(results, 2));
        }
        buf_append_slice(to, db_blob(results, 1));
        n++;
    }
    int error = rc == SQLITE_DONE || rc == SQLITE_ROW ? buf_error(to) : db_error(db);
    IGNORE(sqlite3_reset(results)); /* says the same error again */
    *ret_n = n;
    *ret_last = last;
    return error;
}

int journal_db_each_blob(struct journal_db *db,
                         void (*each)(void *user, const struct wire_hash *hash), void *user)
{
    sqlite3_stmt *blobs = db_statement(db, STATEMENT_BLOBS);
    int rc = SQLITE_DONE;
    if (blobs == NULL) {
        return -EBADMSG;
    }
    while ((rc = sqlite3_step(blobs)) == SQLITE_ROW) {
        struct slice bytes = db_blob(blobs, 0);
        struct wire_hash hash;
        if (bytes.n == sizeof(hash)) {
            memcpy(&hash, bytes.p, sizeof(hash));
            each(user, &hash);
        }
    }
    int error = rc == SQLITE_DONE ? 0 : db_error(db);
    IGNORE(sqlite3_reset(blobs)); /* says the same error again */
    return error;
}

/* --- what may go -------------------------------------------------------------------------------
 */

static int sweep_rows(struct journal_db *db, enum journal_statement which, uint64_t job,
                      uint32_t *n_left)
{
    sqlite3_stmt *rows = db_statement(db, which);
    db_bind_u64(rows, 1, job);
    db_bind_u64(rows, 2, *n_left);
    int error = db_run(db, rows);
    if (error == 0) {
        *n_left -= (uint32_t)sqlite3_changes(db->sqlite);
    }
    return error;
}

static int sweep_blobs(struct journal_db *db, uint64_t job, uint32_t *n_left)
{
    sqlite3_stmt *blobs = db_statement(db, STATEMENT_SWEEP_BLOBS);
    size_t n_before = db->freed.n;
    db_bind_u64(blobs, 1, job);
    db_bind_u64(blobs, 2, *n_left);
    int error = db_free_blobs(db, blobs);
    *n_left -= (uint32_t)((db->freed.n - n_before) / sizeof(struct wire_hash));
    return error;
}

/* Some rows of one forgotten job; the job itself when none are left. */
static int sweep_job(struct journal_db *db, uint64_t job)
{
    uint32_t n_left = JOURNAL_SWEEP_ROWS;
    int error = sweep_rows(db, STATEMENT_SWEEP_RESULTS, job, &n_left);
    if (error == 0 && n_left > 0) {
        error = sweep_rows(db, STATEMENT_SWEEP_TASKS, job, &n_left);
    }
    if (error == 0 && n_left > 0) {
        error = sweep_blobs(db, job, &n_left);
    }
    if (error == 0 && n_left > 0) {
        sqlite3_stmt *last = db_statement(db, STATEMENT_SWEEP_JOB);
        db_bind_u64(last, 1, job);
        error = db_run(db, last);
    }
    return error;
}

static int find_forgotten(struct journal_db *db, bool *ret_is_any, uint64_t *ret_job)
{
    sqlite3_stmt *forgotten = db_statement(db, STATEMENT_FORGOTTEN);
    int rc = sqlite3_step(forgotten);
    *ret_is_any = rc == SQLITE_ROW;
    *ret_job = rc == SQLITE_ROW ? db_u64(forgotten, 0) : 0;
    int error = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : db_error(db);
    IGNORE(sqlite3_reset(forgotten)); /* says the same error again */
    return error;
}

/* Pages that nothing is in any more go back to the disk, some at a time. */
static int give_back(struct journal_db *db)
{
    sqlite3_stmt *vacuum = db_statement(db, STATEMENT_VACUUM);
    int rc;
    while ((rc = sqlite3_step(vacuum)) == SQLITE_ROW) {
    }
    int error = rc == SQLITE_DONE ? 0 : db_error(db);
    IGNORE(sqlite3_reset(vacuum)); /* says the same error again */
    return error;
}

int journal_db_sweep(struct journal_db *db, uint64_t ended_before_s, bool *ret_is_more)
{
    uint64_t job = 0;
    bool is_any = false;
    int error = journal_db_begin(db);
    if (error < 0) {
        return error;
    }
    sqlite3_stmt *expire = db_statement(db, STATEMENT_EXPIRE);
    db_bind_u64(expire, 1, ended_before_s);
    error = db_run(db, expire);
    if (error == 0) {
        error = find_forgotten(db, &is_any, &job);
    }
    if (error == 0 && is_any) {
        error = sweep_job(db, job);
    }
    if (error == 0) {
        error = db_run(db, db_statement(db, STATEMENT_COMMIT));
    }
    if (error < 0) {
        journal_db_rollback(db);
        return error;
    }
    db->is_begun = false;
    *ret_is_more = is_any;
    return is_any ? give_back(db) : 0;
}
