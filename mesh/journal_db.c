/* The file and what is written into it. Happy path: open() makes the tables or finds them, and
 * reads the file through; begin(), put() for each record, commit(). A corrupt file is renamed and
 * an empty one made, at the start and later. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/journal_db_internal.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"

/* "mesh", so that file(1) and people can tell whose it is. */
#define APPLICATION_ID 0x6d657368
/* More files than this in one group, and the whole file system is written out at once instead. */
#define SYNC_FILES_MAX 32u
#define ASIDE_MAX      1000u

static const char *const sql_of[] = {
#define SQL_OF(name, sql) [STATEMENT_##name] = (sql),
    JOURNAL_STATEMENTS(SQL_OF)
#undef SQL_OF
};

/* What turns a file of version i into one of version i + 1; 0 is an empty file. A step that was
 * once in use is never changed: what comes later is a step of its own, at the end. */
static const char *const steps[JOURNAL_DB_VERSION] = {
    "CREATE TABLE job(id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, made INTEGER NOT NULL, "
    "ended INTEGER NOT NULL DEFAULT 0, is_complete INTEGER NOT NULL DEFAULT 0, "
    "is_cancelled INTEGER NOT NULL DEFAULT 0, is_over INTEGER NOT NULL DEFAULT 0, "
    "is_forgotten INTEGER NOT NULL DEFAULT 0, submit BLOB NOT NULL, over BLOB);"
    "CREATE TABLE task(job INTEGER NOT NULL, task INTEGER NOT NULL, message BLOB NOT NULL, "
    "PRIMARY KEY(job, task)) WITHOUT ROWID;"
    "CREATE TABLE result(job INTEGER NOT NULL, seq INTEGER NOT NULL, task INTEGER NOT NULL, "
    "is_success INTEGER NOT NULL, is_lost INTEGER NOT NULL, message BLOB NOT NULL, "
    "PRIMARY KEY(job, seq)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX result_of_task ON result(job, task);"
    "CREATE TABLE blob(job INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY(job, hash)) "
    "WITHOUT ROWID;",
    /* Files that call themselves version 1 were made with and without these. */
    "CREATE TABLE IF NOT EXISTS queue(id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, "
    "name BLOB NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS queue_item(number INTEGER PRIMARY KEY, queue INTEGER NOT NULL, "
    "putter BLOB NOT NULL, hand INTEGER NOT NULL DEFAULT 0, bytes BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS queue_putter(key BLOB PRIMARY KEY, request INTEGER NOT NULL) "
    "WITHOUT ROWID;",
};

/* --- SQLite ------------------------------------------------------------------------------------
 */

static int errno_of(sqlite3 *sqlite, int rc)
{
    int system = sqlite3_system_errno(sqlite);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return system == ENOSPC || system == EDQUOT || system == EFBIG ? -ENOSPC : -EIO;
    default:
        return -EIO;
    }
}

int db_error(struct journal_db *db)
{
    return db->sqlite == NULL ? -EBADMSG
                              : errno_of(db->sqlite, sqlite3_extended_errcode(db->sqlite));
}

sqlite3_stmt *db_statement(struct journal_db *db, enum journal_statement which)
{
    return db->statements[which];
}

int db_run(struct journal_db *db, sqlite3_stmt *statement)
{
    if (statement == NULL) {
        return -EBADMSG;
    }
    int rc = sqlite3_step(statement);
    int error = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : db_error(db);
    IGNORE(sqlite3_reset(statement)); /* says the same error again */
    return error;
}

void db_bind_u64(sqlite3_stmt *statement, int i, uint64_t value)
{
    int rc = sqlite3_bind_int64(statement, i, (sqlite3_int64)value);
    ensure(rc == SQLITE_OK); /* the parameter is there */
}

void db_bind_bytes(sqlite3_stmt *statement, int i, struct slice bytes)
{
    int rc = sqlite3_bind_blob64(statement, i, bytes.n > 0 ? (const void *)bytes.p : "", bytes.n,
                                 SQLITE_STATIC);
    ensure(rc == SQLITE_OK);
}

uint64_t db_u64(sqlite3_stmt *statement, int i)
{
    return (uint64_t)sqlite3_column_int64(statement, i);
}

struct slice db_blob(sqlite3_stmt *statement, int i)
{
    const void *bytes = sqlite3_column_blob(statement, i); /* before the length */
    int n = sqlite3_column_bytes(statement, i);
    return slice_of(bytes, bytes != NULL && n > 0 ? (size_t)n : 0);
}

/* The first column of the first row of a pragma or a query; 0 where there is none. */
static int ask_number(sqlite3 *sqlite, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    int64_t number = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    int error = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : errno_of(sqlite, rc);
    IGNORE(sqlite3_finalize(statement)); /* says the same error again */
    if (error == 0) {
        *ret_number = number;
    }
    return error;
}

static int run_text(sqlite3 *sqlite, const char *sql)
{
    int rc = sqlite3_exec(sqlite, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : errno_of(sqlite, rc);
}

/* --- opening -----------------------------------------------------------------------------------
 */

/* Whether all pages hang together and all rows are in their indices. 0, -EBADMSG, -errno. */
static int check_whole(sqlite3 *sqlite)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(sqlite, "PRAGMA quick_check(1)", -1, &statement, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    int error = rc == SQLITE_ROW ? 0 : errno_of(sqlite, rc);
    const unsigned char *text = error == 0 ? sqlite3_column_text(statement, 0) : NULL;
    if (error == 0 && (text == NULL || strcmp((const char *)text, "ok") != 0)) {
        error = -EBADMSG;
    }
    IGNORE(sqlite3_finalize(statement)); /* says the same error again */
    return error;
}

/* All steps that the file has not seen, in one transaction. */
static int bring_up(sqlite3 *sqlite, int64_t version)
{
    char end[128];
    IGNORE(snprintf(end, sizeof(end),
                    "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION_ID,
                    JOURNAL_DB_VERSION)); /* fits */
    int error = run_text(sqlite, "BEGIN IMMEDIATE");
    for (int64_t i = version; error == 0 && i < JOURNAL_DB_VERSION; i++) {
        error = run_text(sqlite, steps[i]);
    }
    return error == 0 ? run_text(sqlite, end) : error;
}

/* What has to be said before the first write, and in this order. */
static const char settings[] = "PRAGMA auto_vacuum = INCREMENTAL;"
                               "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA cache_size = -8192;"
                               "PRAGMA wal_autocheckpoint = 8000;"
                               "PRAGMA journal_size_limit = 67108864";

static int set_up(sqlite3 *sqlite, struct errmsg *err)
{
    int64_t version = 0;
    int64_t n_tables = 0;
    /* As the state directory's lock says, too; and no shared memory is needed then. */
    int error = run_text(sqlite, "PRAGMA locking_mode = EXCLUSIVE");
    error = error == 0 ? ask_number(sqlite, "PRAGMA user_version", &version) : error;
    if (error == 0 && version > JOURNAL_DB_VERSION) {
        errmsg_set(err,
                   "the journal of detached jobs is of a newer mesh (version %lld, this one knows "
                   "%d): start that one, or move " JOURNAL_DB_NAME " away",
                   (long long)version, JOURNAL_DB_VERSION);
        return -ENOTSUP;
    }
    error = error == 0 ? run_text(sqlite, settings) : error;
    error =
        error == 0 ? ask_number(sqlite, "SELECT count(*) FROM sqlite_schema", &n_tables) : error;
    if (error == 0 && (version < 0 || (n_tables == 0) != (version == 0))) {
        return -EBADMSG; /* somebody else's, or half of ours */
    }
    if (error == 0 && version > 0) {
        error = check_whole(sqlite);
    }
    return error == 0 && version < JOURNAL_DB_VERSION ? bring_up(sqlite, version) : error;
}

static void close_sqlite(struct journal_db *db)
{
    for (unsigned i = 0; i < N_JOURNAL_STATEMENTS; i++) {
        IGNORE(sqlite3_finalize(db->statements[i])); /* says its last error again */
        db->statements[i] = NULL;
    }
    int rc = sqlite3_close(db->sqlite);
    ensure(rc == SQLITE_OK); /* no statement is left */
    db->sqlite = NULL;
    db->is_begun = false;
}

static int prepare(struct journal_db *db)
{
    for (unsigned i = 0; i < N_JOURNAL_STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(db->sqlite, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &db->statements[i], NULL);
        if (rc != SQLITE_OK) {
            /* A table or column is not there: it is not what its version says. */
            return rc == SQLITE_ERROR ? -EBADMSG : errno_of(db->sqlite, rc);
        }
    }
    sqlite3_stmt *last = db_statement(db, STATEMENT_LAST_SEQ);
    int error = sqlite3_step(last) == SQLITE_ROW ? 0 : db_error(db);
    db->next_seq = error == 0 ? db_u64(last, 0) + 1 : 1;
    IGNORE(sqlite3_reset(last)); /* says the same error again */
    return error;
}

/* An empty file with the mode that SQLite gives to those beside it, too. */
static int make_file(const struct journal_db *db)
{
    int fd = openat(db->dir_fd, JOURNAL_DB_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    int rc = fchmod(fd, 0600) < 0 ? -errno : 0;
    IGNORE(close(fd)); /* nothing was written */
    return rc;
}

static int open_sqlite(struct journal_db *db, struct errmsg *err)
{
    char path[MESHD_PATH_BYTES + sizeof(JOURNAL_DB_NAME) + 1];
    IGNORE(snprintf(path, sizeof(path), "%s/" JOURNAL_DB_NAME, db->dir_path)); /* fits */
    int error = make_file(db);
    if (error < 0) {
        errmsg_set(err, "cannot open " JOURNAL_DB_NAME ": %s", strerror(-error));
        return error;
    }
    int rc = sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    error = rc == SQLITE_OK ? 0 : errno_of(db->sqlite, rc);
    if (error == 0) {
        error = set_up(db->sqlite, err);
    }
    if (error == 0) {
        error = prepare(db);
    }
    if (error < 0 && error != -ENOTSUP) {
        errmsg_set(err, "cannot open " JOURNAL_DB_NAME ": %s",
                   error == -ENOSPC ? "the disk is full" : sqlite3_errmsg(db->sqlite));
    }
    if (error < 0) {
        close_sqlite(db);
    }
    return error;
}

/* --- corrupt -----------------------------------------------------------------------------------
 */

static int move_aside(const struct journal_db *db, struct errmsg *said, struct errmsg *err)
{
    char to[64];
    struct stat st;
    unsigned n = 1;
    do {
        IGNORE(snprintf(to, sizeof(to), JOURNAL_DB_NAME ".corrupt-%u", n)); /* fits */
    } while (fstatat(db->dir_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0 && n++ < ASIDE_MAX);
    /* It may be aside already: then a new one could not be made at once. */
    if (renameat(db->dir_fd, JOURNAL_DB_NAME, db->dir_fd, to) < 0 && errno != ENOENT) {
        int error = -errno;
        errmsg_set(err, JOURNAL_DB_NAME " is corrupt and cannot be moved aside: %s",
                   strerror(-error));
        return error;
    }
    char wal[80];
    IGNORE(snprintf(wal, sizeof(wal), "%s-wal", to));                      /* fits */
    IGNORE(renameat(db->dir_fd, JOURNAL_DB_NAME "-wal", db->dir_fd, wal)); /* if there is one */
    IGNORE(unlinkat(db->dir_fd, JOURNAL_DB_NAME "-shm", 0));               /* made anew */
    IGNORE(fsync(db->dir_fd)); /* else it is found corrupt once more */
    errmsg_set(said,
               "the journal is corrupt: it is kept aside as %s/%s, and an empty one is begun; the "
               "detached jobs in it are not known any more",
               db->dir_path, to);
    return 0;
}

int journal_db_start_over(struct journal_db *db, struct errmsg *said, struct errmsg *err)
{
    close_sqlite(db);
    int error = move_aside(db, said, err);
    return error == 0 ? open_sqlite(db, err) : error;
}

int journal_db_open(const char *dir_path, int dir_fd, int blobs_fd, struct journal_db **ret_db,
                    struct errmsg *said, struct errmsg *err)
{
    struct journal_db *db = mem_alloc_or_die(1, sizeof(*db));
    size_t n_path = strlen(dir_path);
    ensure(n_path < sizeof(db->dir_path)); /* meshd_state_path() made it */
    memcpy(db->dir_path, dir_path, n_path + 1);
    db->dir_fd = dir_fd;
    db->blobs_fd = blobs_fd;
    buf_init(&db->to_sync, SIZE_MAX);
    buf_init(&db->freed, SIZE_MAX);
    said->text[0] = '\0';
    int error = open_sqlite(db, err);
    if (error == -EBADMSG) {
        error = move_aside(db, said, err);
        error = error == 0 ? open_sqlite(db, err) : error;
    }
    if (error < 0) {
        journal_db_close(db);
        return error;
    }
    *ret_db = db;
    return 0;
}

struct journal_db *journal_db_close(struct journal_db *db)
{
    if (db != NULL) {
        close_sqlite(db);
        buf_done(&db->to_sync);
        buf_done(&db->freed);
        mem_free(db);
    }
    return NULL;
}

uint64_t journal_db_n_doubled(const struct journal_db *db)
{
    return db->n_doubled;
}

/* --- blobs -------------------------------------------------------------------------------------
 */

static int sync_file(const struct journal_db *db, const struct wire_hash *hash)
{
    char name[WIRE_HASH_TEXT_BYTES];
    int fd = openat(db->blobs_fd, wire_hash_text(hash, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -errno; /* what is not here any more was lost before */
    }
    int rc = fsync(fd) < 0 ? -errno : 0;
    IGNORE(close(fd)); /* was only read */
    return rc;
}

/* What the group names is on disk, and found under its name, before the group is. */
static int sync_blobs(struct journal_db *db)
{
    size_t n = db->to_sync.n / sizeof(struct wire_hash);
    int rc = buf_error(&db->to_sync);
    if (n == 0 || rc < 0) {
        return rc;
    }
    if (n > SYNC_FILES_MAX) {
        return syncfs(db->blobs_fd) < 0 ? -errno : 0;
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct wire_hash hash;
        memcpy(&hash, db->to_sync.p + i * sizeof(hash), sizeof(hash));
        rc = sync_file(db, &hash);
    }
    if (rc == 0 && fsync(db->blobs_fd) < 0) {
        rc = -errno;
    }
    return rc;
}

int db_add_blob(struct journal_db *db, uint64_t number, const struct wire_hash *hash,
                bool *ret_is_new)
{
    sqlite3_stmt *add = db_statement(db, STATEMENT_ADD_BLOB);
    db_bind_bytes(add, 1, slice_of(hash->b, sizeof(hash->b)));
    db_bind_u64(add, 2, number);
    int error = db_run(db, add);
    if (error < 0) {
        return error;
    }
    *ret_is_new = sqlite3_changes(db->sqlite) > 0;
    if (*ret_is_new) {
        buf_append(&db->to_sync, hash, sizeof(*hash));
    }
    return 0;
}

static int put_blobs(struct journal_db *db, const struct journal_put *put)
{
    int error = 0;
    for (uint32_t i = 0; i < put->n_hashes && error == 0; i++) {
        error = db_add_blob(db, put->job, &put->hashes[i], &put->are_new[i]);
    }
    return error;
}

int db_free_blobs(struct journal_db *db, sqlite3_stmt *deleted)
{
    int rc;
    while ((rc = sqlite3_step(deleted)) == SQLITE_ROW) {
        buf_append_slice(&db->freed, db_blob(deleted, 0));
    }
    int error = rc == SQLITE_DONE ? buf_error(&db->freed) : db_error(db);
    IGNORE(sqlite3_reset(deleted)); /* says the same error again */
    return error;
}

void journal_db_tell_freed(struct journal_db *db,
                           void (*freed)(void *user, const struct wire_hash *hash), void *user)
{
    for (size_t i = 0; i + sizeof(struct wire_hash) <= db->freed.n; i += sizeof(struct wire_hash)) {
        struct wire_hash hash;
        memcpy(&hash, db->freed.p + i, sizeof(hash));
        freed(user, &hash);
    }
    buf_clear(&db->freed);
}

/* --- writing -----------------------------------------------------------------------------------
 */

int journal_db_begin(struct journal_db *db)
{
    ensure(!db->is_begun);
    buf_clear(&db->to_sync);
    buf_clear(&db->freed);
    int error = db_run(db, db_statement(db, STATEMENT_BEGIN));
    db->is_begun = error == 0;
    return error;
}

void journal_db_rollback(struct journal_db *db)
{
    if (db->is_begun && sqlite3_get_autocommit(db->sqlite) == 0) {
        IGNORE(db_run(db, db_statement(db, STATEMENT_ROLLBACK))); /* an error has done it already */
    }
    db->is_begun = false;
    buf_clear(&db->freed); /* it is still named */
}

int journal_db_commit(struct journal_db *db)
{
    int error = sync_blobs(db);
    if (error == 0) {
        error = db_run(db, db_statement(db, STATEMENT_COMMIT));
    }
    if (error < 0) {
        journal_db_rollback(db);
    }
    db->is_begun = false;
    return error;
}

static int put_result(struct journal_db *db, const struct journal_put *put)
{
    sqlite3_stmt *add = db_statement(db, STATEMENT_ADD_RESULT);
    db_bind_u64(add, 1, put->job);
    db_bind_u64(add, 2, db->next_seq++);
    db_bind_u64(add, 3, put->task);
    db_bind_u64(add, 4, put->is_success);
    db_bind_u64(add, 5, put->is_lost);
    db_bind_bytes(add, 6, put->bytes);
    int error = db_run(db, add);
    if (error == 0 && sqlite3_changes(db->sqlite) == 0) {
        db->n_doubled++;
    }
    return error;
}

static sqlite3_stmt *bound(struct journal_db *db, const struct journal_put *put)
{
    static const enum journal_statement which[] = {
        [CORE_RECORD_JOB] = STATEMENT_ADD_JOB,       [CORE_RECORD_TASK] = STATEMENT_ADD_TASK,
        [CORE_RECORD_COMPLETE] = STATEMENT_COMPLETE, [CORE_RECORD_RESULT] = STATEMENT_ADD_RESULT,
        [CORE_RECORD_CANCEL] = STATEMENT_CANCEL,     [CORE_RECORD_OVER] = STATEMENT_OVER,
        [CORE_RECORD_FORGET] = STATEMENT_FORGET,
    };
    sqlite3_stmt *statement = db_statement(db, which[put->type]);
    db_bind_u64(statement, 1, put->job);
    return statement;
}

static int put_record(struct journal_db *db, const struct journal_put *put)
{
    if (put->type == CORE_RECORD_RESULT) {
        return put_result(db, put);
    }
    sqlite3_stmt *statement = bound(db, put);
    if (put->type == CORE_RECORD_JOB) {
        db_bind_u64(statement, 2, put->uid);
        db_bind_u64(statement, 3, put->at_s);
        db_bind_bytes(statement, 4, put->bytes);
    } else if (put->type == CORE_RECORD_TASK) {
        db_bind_u64(statement, 2, put->task);
        db_bind_bytes(statement, 3, put->bytes);
    } else if (put->type == CORE_RECORD_OVER) {
        db_bind_u64(statement, 2, put->at_s);
        db_bind_bytes(statement, 3, put->bytes);
    }
    return db_run(db, statement);
}

int journal_db_put(struct journal_db *db, const struct journal_put *put)
{
    if (db->sqlite == NULL) {
        return -EBADMSG;
    }
    ensure(db->is_begun);
    if (put->type >= CORE_RECORD_QUEUE) {
        return db_put_queue(db, put);
    }
    int error = put_record(db, put);
    return error == 0 ? put_blobs(db, put) : error;
}
