/* A disk that loses power when its program is killed: linked to meshd in place of SQLite's own way
 * to files, for the journal alone.
 *
 * What was written and not synced is in memory only, so that SIGKILL loses it, as a power failure
 * does. Some of it reaches the disk all the same, in pieces of 512 bytes and in any order, as a
 * kernel writes back when it likes: pages are torn and writes overtake one another. And by a seed
 * writes and syncs fail, with "no space" or an I/O error, once or for a while. After a sync that
 * failed nobody knows what is on disk: here, any part of it.
 *
 * It does not do this to blobs, nor to the directory: a rename is on disk at once. $MESH_TORN_SEED
 * is the seed; without it this is an ordinary disk. */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/ensure.h"
#include "wire/base/list.h"
#include "wire/base/mem.h"

#define SECTOR 512

struct pending { /* a write that was not synced */
    struct list node;
    sqlite3_int64 at;
    int n;
    uint8_t bytes[];
};

struct torn_file {
    sqlite3_file base;
    struct list pending; /* oldest first */
    bool is_torn;        /* else it is passed through */
    sqlite3_int64 size;  /* as the program sees it */
    /* the real one follows, behind this structure */
};

static sqlite3_vfs *below;
static uint64_t dice;
static bool has_seed;
static unsigned outage; /* operations that still fail */
static int outage_error;

static unsigned roll(unsigned n)
{
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice >> 33) % n;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)((char *)file + sizeof(struct torn_file));
}

static struct torn_file *torn(sqlite3_file *file)
{
    return (struct torn_file *)(void *)file;
}

/* --- the weather -------------------------------------------------------------------------------
 */

/* 0, or what the disk says this time. */
static int weather(int io_error)
{
    if (outage > 0) {
        outage--;
        return outage_error != 0 ? outage_error : io_error;
    }
    if (roll(400) == 0) {
        outage = roll(3) == 0 ? roll(40) : 0;
        outage_error = roll(2) == 0 ? SQLITE_FULL : 0;
        return outage_error != 0 ? outage_error : io_error;
    }
    return SQLITE_OK;
}

/* --- pending writes ----------------------------------------------------------------------------
 */

static int write_through(sqlite3_file *file, const struct pending *write)
{
    return real(file)->pMethods->xWrite(real(file), write->bytes, write->n, write->at);
}

/* Sectors of it, each with an even chance. */
static void leak(sqlite3_file *file, const struct pending *write)
{
    for (int i = 0; i < write->n; i += SECTOR) {
        int n = write->n - i < SECTOR ? write->n - i : SECTOR;
        if (roll(2) == 0) {
            IGNORE(real(file)->pMethods->xWrite(real(file), write->bytes + i, n, write->at + i));
        }
    }
}

static void leak_some(sqlite3_file *file)
{
    list_for_each (it, &torn(file)->pending) {
        if (roll(4) == 0) {
            leak(file, LIST_ENTRY(it, struct pending, node));
        }
    }
}

static int flush(sqlite3_file *file)
{
    int rc = SQLITE_OK;
    list_for_each_safe (it, &torn(file)->pending) {
        struct pending *write = LIST_ENTRY(it, struct pending, node);
        rc = rc == SQLITE_OK ? write_through(file, write) : rc;
        list_remove(it);
        mem_free(write);
    }
    return rc;
}

/* --- a file ------------------------------------------------------------------------------------
 */

static int torn_close(sqlite3_file *file)
{
    int rc = flush(file); /* closed in an orderly way */
    int closed = real(file)->pMethods->xClose(real(file));
    return rc == SQLITE_OK ? closed : rc;
}

/* Puts what of a pending write lies in the range over what was read. */
static void overlay(const struct pending *write, uint8_t *to, int n, sqlite3_int64 at)
{
    sqlite3_int64 from = write->at > at ? write->at : at;
    sqlite3_int64 write_end = write->at + write->n;
    sqlite3_int64 end = write_end < at + n ? write_end : at + n;
    if (from < end) {
        memcpy(to + (from - at), write->bytes + (from - write->at), (size_t)(end - from));
    }
}

static int torn_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
    struct torn_file *t = torn(file);
    int rc = real(file)->pMethods->xRead(real(file), to, n, at);
    if (!t->is_torn || (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)) {
        return rc;
    }
    list_for_each (it, &t->pending) {
        overlay(LIST_ENTRY(it, struct pending, node), to, n, at);
    }
    return at + n <= t->size ? SQLITE_OK : rc;
}

static int torn_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
    struct torn_file *t = torn(file);
    if (!t->is_torn) {
        return real(file)->pMethods->xWrite(real(file), from, n, at);
    }
    int rc = weather(SQLITE_IOERR_WRITE);
    if (rc != SQLITE_OK) {
        return rc;
    }
    struct pending *write = mem_alloc_or_die(1, sizeof(*write) + (size_t)n);
    write->at = at;
    write->n = n;
    memcpy(write->bytes, from, (size_t)n);
    list_push_back(&t->pending, &write->node);
    t->size = at + n > t->size ? at + n : t->size;
    if (roll(20) == 0) {
        leak_some(file);
    }
    return SQLITE_OK;
}

static int torn_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = flush(file);
    torn(file)->size = size;
    return rc == SQLITE_OK ? real(file)->pMethods->xTruncate(real(file), size) : rc;
}

static int torn_sync(sqlite3_file *file, int flags)
{
    int rc = torn(file)->is_torn ? weather(SQLITE_IOERR_FSYNC) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        leak_some(file);
        return rc;
    }
    rc = flush(file);
    return rc == SQLITE_OK ? real(file)->pMethods->xSync(real(file), flags) : rc;
}

static int torn_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    int rc = real(file)->pMethods->xFileSize(real(file), ret_size);
    if (rc == SQLITE_OK && torn(file)->is_torn) {
        *ret_size = torn(file)->size;
    }
    return rc;
}

static int torn_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int torn_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int torn_check_lock(sqlite3_file *file, int *ret_is_locked)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), ret_is_locked);
}

static int torn_control(sqlite3_file *file, int op, void *arg)
{
    return real(file)->pMethods->xFileControl(real(file), op, arg);
}

static int torn_sector(sqlite3_file *file)
{
    return SECTOR;
}

static int torn_characteristics(sqlite3_file *file)
{
    return 0; /* promises nothing */
}

/* Version 1: without shared memory, which a journal that is locked for one process needs none of.
 */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = torn_close,
    .xRead = torn_read,
    .xWrite = torn_write,
    .xTruncate = torn_truncate,
    .xSync = torn_sync,
    .xFileSize = torn_size,
    .xLock = torn_lock,
    .xUnlock = torn_unlock,
    .xCheckReservedLock = torn_check_lock,
    .xFileControl = torn_control,
    .xSectorSize = torn_sector,
    .xDeviceCharacteristics = torn_characteristics,
};

static int torn_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    struct torn_file *t = torn(file);
    memset(t, 0, sizeof(*t));
    list_init(&t->pending);
    int rc = below->xOpen(below, name, real(file), flags, ret_flags);
    if (rc == SQLITE_OK) {
        t->is_torn = has_seed && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0;
        rc = real(file)->pMethods->xFileSize(real(file), &t->size);
        t->base.pMethods = &methods;
    }
    return rc;
}

static void __attribute__((constructor)) begin(void)
{
    static sqlite3_vfs vfs;
    const char *seed = getenv("MESH_TORN_SEED");
    has_seed = seed != NULL;
    dice = has_seed ? strtoull(seed, NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1 : 0;
    below = sqlite3_vfs_find(NULL);
    ensure(below != NULL);
    vfs = *below;
    vfs.zName = "torn";
    vfs.szOsFile = (int)sizeof(struct torn_file) + below->szOsFile;
    vfs.xOpen = torn_open;
    int rc = sqlite3_vfs_register(&vfs, 1);
    ensure(rc == SQLITE_OK);
}
