#include "mesh/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "mesh/blobs_internal.h"
#include "wire/base/mem.h"

struct meshd_blob_part {
    struct meshd_blobs *blobs;
    int fd;
    bool is_adopted; /* the temporary became a blob, or is gone */
    uint64_t bytes;
    uint64_t bytes_total; /* reserved */
    struct wire_blob_hash hash;
    char temporary[BLOB_NAME_BYTES];
};

/* --- the table ---------------------------------------------------------------------------------
 */

struct blob *blob_find(const struct meshd_blobs *blobs, const struct wire_hash *hash)
{
    struct table_entry *entry = table_find(&blobs->by_hash, hash);
    return entry != NULL ? CONTAINER_OF(entry, struct blob, by_hash) : NULL;
}

struct blob *blob_add(struct meshd_blobs *blobs, const struct wire_hash *hash, uint64_t bytes)
{
    struct blob *blob = mem_alloc(1, sizeof(*blob));
    if (blob == NULL) {
        return NULL;
    }
    blob->hash = *hash;
    blob->bytes = bytes;
    table_insert(&blobs->by_hash, &blob->by_hash, &blob->hash);
    list_push_back(&blobs->lru, &blob->lru);
    return blob;
}

static void blob_forget(struct meshd_blobs *blobs, struct blob *blob)
{
    table_remove(&blobs->by_hash, &blob->by_hash);
    list_remove(&blob->lru);
    blobs_unreserve(blobs, blob->bytes);
    mem_free(blob);
}

void blob_drop(struct meshd_blobs *blobs, struct blob *blob)
{
    char name[WIRE_HASH_TEXT_BYTES];
    /* One that cannot be removed is found and counted again at the next start. */
    IGNORE(unlinkat(blobs->fd, wire_hash_text(&blob->hash, name), 0));
    blob_forget(blobs, blob);
}

void blob_touch(struct meshd_blobs *blobs, struct blob *blob)
{
    list_remove(&blob->lru);
    list_push_back(&blobs->lru, &blob->lru);
}

int blobs_reserve(struct meshd_blobs *blobs, uint64_t bytes)
{
    list_for_each_safe (it, &blobs->lru) {
        if (bytes <= blobs->quota_bytes && blobs->used_bytes <= blobs->quota_bytes - bytes) {
            break;
        }
        struct blob *blob = LIST_ENTRY(it, struct blob, lru);
        if (!blob->is_pinned && blob->n_holds == 0) {
            blob_drop(blobs, blob);
        }
    }
    if (bytes > blobs->quota_bytes || blobs->used_bytes > blobs->quota_bytes - bytes) {
        return -ENOSPC;
    }
    blobs->used_bytes += bytes;
    return 0;
}

void blobs_unreserve(struct meshd_blobs *blobs, uint64_t bytes)
{
    ensure(bytes <= blobs->used_bytes);
    blobs->used_bytes -= bytes;
}

int blobs_temporary(struct meshd_blobs *blobs, char ret_name[static BLOB_NAME_BYTES])
{
    IGNORE(snprintf(ret_name, BLOB_NAME_BYTES, "new.%llu",
                    (unsigned long long)blobs->next_temporary++)); /* 24 bytes */
    int fd = openat(blobs->fd, ret_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

int blobs_adopt(struct meshd_blobs *blobs, const char *temporary, const struct wire_hash *hash,
                uint64_t reserved_bytes, uint64_t bytes)
{
    ensure(bytes <= reserved_bytes);
    char name[WIRE_HASH_TEXT_BYTES];
    struct blob *blob = blob_find(blobs, hash);
    int rc = 0;
    if (blob != NULL && blob->is_verified) {
        blob_touch(blobs, blob);
        IGNORE(unlinkat(blobs->fd, temporary, 0)); /* else the next start does it */
        blobs_unreserve(blobs, reserved_bytes);
    } else if (blob != NULL) {
        /* The new one replaces it: it is known to be whole, the old one may not be. */
        blob_touch(blobs, blob);
        rc = renameat(blobs->fd, temporary, blobs->fd, wire_hash_text(hash, name)) < 0 ? -errno : 0;
        blobs_unreserve(blobs, reserved_bytes);
    } else {
        rc = renameat(blobs->fd, temporary, blobs->fd, wire_hash_text(hash, name)) < 0 ? -errno : 0;
        blob = rc == 0 ? blob_add(blobs, hash, bytes) : NULL;
        blobs_unreserve(blobs, blob != NULL ? reserved_bytes - bytes : reserved_bytes);
        rc = rc == 0 && blob == NULL ? -ENOMEM : rc;
    }
    if (rc != 0) {
        IGNORE(unlinkat(blobs->fd, temporary, 0)); /* else the next start does it */
        return rc;
    }
    blob->is_verified = true;
    blob->n_holds++;
    return 0;
}

/* --- life --------------------------------------------------------------------------------------
 */

static uint64_t default_quota(int fd)
{
    struct statvfs st;
    if (fstatvfs(fd, &st) < 0) {
        return MESHD_BLOBS_BYTES_MAX;
    }
    uint64_t part = (uint64_t)st.f_blocks * st.f_frsize / MESHD_BLOBS_DISK_PART;
    return part < MESHD_BLOBS_BYTES_MAX ? part : MESHD_BLOBS_BYTES_MAX;
}

static struct meshd_blobs *blobs_free(struct meshd_blobs *blobs)
{
    table_for_each (it, &blobs->by_hash) {
        blob_forget(blobs, CONTAINER_OF(it, struct blob, by_hash));
    }
    table_done(&blobs->by_hash);
    if (blobs->fd >= 0) {
        IGNORE(close(blobs->fd)); /* a directory */
    }
    return mem_free(blobs);
}

int meshd_blobs_new(uv_loop_t *loop, int dir_fd, uint64_t quota_bytes,
                    struct meshd_blobs **ret_blobs, struct errmsg *err)
{
    struct meshd_blobs *blobs = mem_alloc_or_die(1, sizeof(*blobs));
    blobs->loop = loop;
    list_init(&blobs->lru);
    /* The keys are hashes that strangers cannot choose freely enough. */
    table_init(&blobs->by_hash, sizeof(struct wire_hash), 0);
    int rc = mkdirat(dir_fd, "blobs", 0700) < 0 && errno != EEXIST ? -errno : 0;
    blobs->fd = rc == 0 ? openat(dir_fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (rc == 0 && blobs->fd < 0) {
        rc = -errno;
    }
    if (rc == 0) {
        blobs->quota_bytes = quota_bytes > 0 ? quota_bytes : default_quota(blobs->fd);
        rc = blobs_scan(blobs);
    }
    if (rc < 0) {
        errmsg_set(err, "cannot use the folder \"blobs\" in the state directory: %s",
                   strerror(-rc));
        blobs_free(blobs);
        return rc;
    }
    *ret_blobs = blobs;
    return 0;
}

void blobs_maybe_closed(struct meshd_blobs *blobs)
{
    if (blobs->is_closing && blobs->n_works == 0) {
        void (*on_closed)(void *) = blobs->on_closed;
        void *user = blobs->on_closed_user;
        blobs_free(blobs);
        on_closed(user);
    }
}

void meshd_blobs_close(struct meshd_blobs *blobs, void (*on_closed)(void *user), void *user)
{
    blobs->is_closing = true;
    blobs->on_closed = on_closed;
    blobs->on_closed_user = user;
    blobs_maybe_closed(blobs);
}

/* --- what is there -----------------------------------------------------------------------------
 */

bool meshd_blobs_has(const struct meshd_blobs *blobs, const struct wire_hash *hash)
{
    return blob_find(blobs, hash) != NULL;
}

int meshd_blobs_dir_fd(const struct meshd_blobs *blobs)
{
    return blobs->fd;
}

int meshd_blobs_open(struct meshd_blobs *blobs, const struct wire_hash *hash, int *ret_fd,
                     uint64_t *ret_bytes)
{
    struct blob *blob = blob_find(blobs, hash);
    if (blob == NULL) {
        return -ENOENT;
    }
    char name[WIRE_HASH_TEXT_BYTES];
    int fd = openat(blobs->fd, wire_hash_text(hash, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    blob_touch(blobs, blob);
    *ret_fd = fd;
    *ret_bytes = blob->bytes;
    return 0;
}

void meshd_blobs_hold(struct meshd_blobs *blobs, const struct wire_hash *hash)
{
    struct blob *blob = blob_find(blobs, hash);
    ensure(blob != NULL);
    blob->n_holds++;
}

void meshd_blobs_unhold(struct meshd_blobs *blobs, const struct wire_hash *hash)
{
    struct blob *blob = blob_find(blobs, hash);
    ensure(blob != NULL && blob->n_holds > 0);
    blob->n_holds--;
}

void meshd_blobs_pin(struct meshd_blobs *blobs, const struct wire_hash *hash)
{
    struct blob *blob = blob_find(blobs, hash);
    if (blob != NULL) {
        blob->is_pinned = true;
    }
}

void meshd_blobs_unpin(struct meshd_blobs *blobs, const struct wire_hash *hash)
{
    struct blob *blob = blob_find(blobs, hash);
    if (blob != NULL) {
        blob->is_pinned = false;
    }
}

bool meshd_blobs_is_known(const struct meshd_blobs *blobs, const struct wire_hash *hash,
                          const struct wire_key *key)
{
    const struct blob *blob = blob_find(blobs, hash);
    for (unsigned i = 0; blob != NULL && i < blob->n_known; i++) {
        if (memcmp(blob->known[i].b, key->b, WIRE_KEY_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

void meshd_blobs_set_known(struct meshd_blobs *blobs, const struct wire_hash *hash,
                           const struct wire_key *key)
{
    struct blob *blob = blob_find(blobs, hash);
    if (blob == NULL || meshd_blobs_is_known(blobs, hash, key)) {
        return;
    }
    if (blob->n_known == BLOB_KNOWN_MAX) { /* the oldest must show it once more */
        memmove(&blob->known[0], &blob->known[1], (BLOB_KNOWN_MAX - 1) * sizeof(blob->known[0]));
        blob->n_known--;
    }
    blob->known[blob->n_known++] = *key;
}

struct meshd_blobs_counts meshd_blobs_counts(const struct meshd_blobs *blobs)
{
    return (struct meshd_blobs_counts){
        .used_bytes = blobs->used_bytes,
        .quota_bytes = blobs->quota_bytes,
        .n_blobs = (uint32_t)blobs->by_hash.n,
        .n_works = blobs->n_works,
    };
}

/* --- parts -------------------------------------------------------------------------------------
 */

int meshd_blob_part_new(struct meshd_blobs *blobs, uint64_t bytes_total,
                        struct meshd_blob_part **ret_part)
{
    int rc = blobs_reserve(blobs, bytes_total);
    if (rc < 0) {
        return rc;
    }
    struct meshd_blob_part *part = mem_alloc(1, sizeof(*part));
    rc = part != NULL ? blobs_temporary(blobs, part->temporary) : -ENOMEM;
    if (rc < 0) {
        mem_free(part);
        blobs_unreserve(blobs, bytes_total);
        return rc;
    }
    part->fd = rc;
    part->blobs = blobs;
    part->bytes_total = bytes_total;
    wire_blob_hash_init(&part->hash);
    *ret_part = part;
    return 0;
}

struct meshd_blob_part *meshd_blob_part_free(struct meshd_blob_part *part)
{
    if (part != NULL) {
        IGNORE(close(part->fd)); /* all of it was written with write() */
        if (!part->is_adopted) {
            IGNORE(unlinkat(part->blobs->fd, part->temporary, 0)); /* else the next start does it */
            blobs_unreserve(part->blobs, part->bytes_total);
        }
    }
    return mem_free(part);
}

uint64_t meshd_blob_part_bytes(const struct meshd_blob_part *part)
{
    return part->bytes;
}

int meshd_blob_part_append(struct meshd_blob_part *part, struct slice bytes)
{
    if (bytes.n > part->bytes_total - part->bytes) {
        return -EFBIG;
    }
    for (size_t done = 0; done < bytes.n;) {
        ssize_t n = write(part->fd, bytes.p + done, bytes.n - done);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    wire_blob_hash_update(&part->hash, bytes);
    part->bytes += bytes.n;
    return 0;
}

int meshd_blob_part_finish(struct meshd_blob_part *part, const struct wire_hash *hash)
{
    struct wire_hash found;
    wire_blob_hash_final(&part->hash, &found);
    if (part->bytes != part->bytes_total || !wire_hash_eq(&found, hash)) {
        return -EBADMSG;
    }
    part->is_adopted = true;
    return blobs_adopt(part->blobs, part->temporary, hash, part->bytes_total, part->bytes);
}
