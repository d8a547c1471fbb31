/* The blob store: immutable files named by the BLAKE2b-256 hash of their bytes, in STATE/blobs.
 *
 * A blob appears whole: written as a temporary, then renamed. It is not fsynced: a blob that was
 * here before this start is hashed again before its first use, so one that a crash tore is found
 * and dropped, and a submit does not wait for the disk. Those that detached jobs need are fsynced
 * by the journal; one that is known to be whole is never replaced, so they stay so.
 *
 * The store keeps within its quota by dropping what was not used for longest. It never drops what
 * is pinned (the core needs it, until BLOB_RELEASE) or held (the shell is at work with it).
 *
 * Files are hashed and copied on libuv's threads; callbacks come on the loop. Disk full, quota and
 * all else come back as -errno. */
#ifndef MESH_BLOBS_H
#define MESH_BLOBS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"
#include "wire/message.h"

/* The default quota: so much, or this part of the disk if that is less. */
#define MESHD_BLOBS_BYTES_MAX (UINT64_C(10) << 30)
#define MESHD_BLOBS_DISK_PART 10u

struct meshd_blobs;
struct meshd_blob_part;

/* Opens DIR_FD/blobs, makes it where it is missing, and drops what an earlier life left unfinished.
 * quota_bytes 0: the default. 0 or -errno with err set. */
int meshd_blobs_new(uv_loop_t *loop, int dir_fd, uint64_t quota_bytes,
                    struct meshd_blobs **ret_blobs, struct errmsg *err) MUST_CHECK;
/* Waits for what is under way (no callback of a put comes any more), frees, then calls on_closed
 * from the loop, or at once when nothing was under way. Parts must be freed before. */
void meshd_blobs_close(struct meshd_blobs *blobs, void (*on_closed)(void *user), void *user);

/* error: 0 or -errno. hash and bytes are valid when it is 0; the blob is held, and the callee
 * unholds it. */
typedef void (*meshd_blobs_put_cb)(void *user, int error, const struct wire_hash *hash,
                                   uint64_t bytes);

/* Stores a file: its bytes from the first one on, as far as they go now. Takes the descriptor; it
 * must be a regular file's. 0: on_put follows, never before this returns. -errno: nothing follows,
 * and the descriptor is closed all the same. */
int meshd_blobs_put(struct meshd_blobs *blobs, int fd, meshd_blobs_put_cb on_put,
                    void *user) MUST_CHECK;

/* Makes sure that a blob is there and whole: hashed again if that was not done in this life. The
 * callback as for put, but it may come before this returns; -ENOENT: not there, or it was torn and
 * is dropped now. */
int meshd_blobs_verify(struct meshd_blobs *blobs, const struct wire_hash *hash,
                       meshd_blobs_put_cb on_verified, void *user) MUST_CHECK;

/* Whether it is there. */
bool meshd_blobs_has(const struct meshd_blobs *blobs, const struct wire_hash *hash);
/* The directory with the files, each named by its hash (wire_hash_text); lives as long as the
 * store.
 */
int meshd_blobs_dir_fd(const struct meshd_blobs *blobs);
/* Opens it for reading. 0; -ENOENT; -errno. */
int meshd_blobs_open(struct meshd_blobs *blobs, const struct wire_hash *hash, int *ret_fd,
                     uint64_t *ret_bytes) MUST_CHECK;

/* Counted; the blob must be there. */
void meshd_blobs_hold(struct meshd_blobs *blobs, const struct wire_hash *hash);
void meshd_blobs_unhold(struct meshd_blobs *blobs, const struct wire_hash *hash);
/* The core begins, or ends, to need it. Not counted. A blob that is not there is left alone. */
void meshd_blobs_pin(struct meshd_blobs *blobs, const struct wire_hash *hash);
void meshd_blobs_unpin(struct meshd_blobs *blobs, const struct wire_hash *hash);

/* A peer that sent us the blob in this life, or was sent it by us, may use ours; others must show
 * that they have it. */
void meshd_blobs_set_known(struct meshd_blobs *blobs, const struct wire_hash *hash,
                           const struct wire_key *key);
bool meshd_blobs_is_known(const struct meshd_blobs *blobs, const struct wire_hash *hash,
                          const struct wire_key *key);

/* --- a blob that comes in pieces, in order --- */

/* Makes room for bytes_total and a temporary file. 0; -ENOSPC; -errno. */
int meshd_blob_part_new(struct meshd_blobs *blobs, uint64_t bytes_total,
                        struct meshd_blob_part **ret_part) MUST_CHECK;
/* Drops it. NULL is allowed. Returns NULL. */
struct meshd_blob_part *meshd_blob_part_free(struct meshd_blob_part *part);
uint64_t meshd_blob_part_bytes(const struct meshd_blob_part *part);
/* -EFBIG: more than was announced; -ENOSPC and other -errno: the part is of no use any more. */
int meshd_blob_part_append(struct meshd_blob_part *part, struct slice bytes) MUST_CHECK;
/* All is there: puts it into the store if its hash is this one, and holds it. 0; -EBADMSG: it is
 * not; -errno. Free the part afterwards in any case. */
int meshd_blob_part_finish(struct meshd_blob_part *part, const struct wire_hash *hash) MUST_CHECK;

/* For logs and tests. */
struct meshd_blobs_counts {
    uint64_t used_bytes;
    uint64_t quota_bytes;
    uint32_t n_blobs;
    uint32_t n_works; /* under way on threads */
};
struct meshd_blobs_counts meshd_blobs_counts(const struct meshd_blobs *blobs);

#endif
