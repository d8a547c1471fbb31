/* Shared by blobs.c (the table, quota, parts) and blobs_scan.c and blobs_put.c (files and threads),
 * and by nobody else. */
#ifndef MESH_BLOBS_INTERNAL_H
#define MESH_BLOBS_INTERNAL_H

#include "mesh/blobs.h"
#include "wire/base/list.h"
#include "wire/base/table.h"
#include "wire/blob_hash.h"

#define BLOB_KNOWN_MAX  4u
#define BLOB_NAME_BYTES 80
#define BLOB_COPY_BYTES (128u << 10)

struct blob {
    struct table_entry by_hash;
    struct list lru; /* in blobs->lru, longest unused first */
    struct wire_hash hash;
    uint64_t bytes;
    uint32_t n_holds;
    bool is_pinned;
    bool is_verified; /* hashed in this life */
    uint8_t n_known;
    struct wire_key known[BLOB_KNOWN_MAX];
};

struct meshd_blobs {
    uv_loop_t *loop;
    int fd; /* of the directory */
    uint64_t quota_bytes;
    uint64_t used_bytes; /* of blobs, and reserved for what is being written */
    struct table by_hash;
    struct list lru;
    uint64_t next_temporary;
    uint32_t n_works;
    bool is_closing;
    void (*on_closed)(void *user);
    void *on_closed_user;
};

struct blob *blob_find(const struct meshd_blobs *blobs, const struct wire_hash *hash);
/* Into the table, as most recently used; its bytes are counted already. NULL: no memory. */
struct blob *blob_add(struct meshd_blobs *blobs, const struct wire_hash *hash,
                      uint64_t bytes) MUST_CHECK;
/* The file and the entry. */
void blob_drop(struct meshd_blobs *blobs, struct blob *blob);
void blob_touch(struct meshd_blobs *blobs, struct blob *blob);
/* Counts `bytes` in, dropping others for it. 0 or -ENOSPC. */
int blobs_reserve(struct meshd_blobs *blobs, uint64_t bytes) MUST_CHECK;
void blobs_unreserve(struct meshd_blobs *blobs, uint64_t bytes);
/* Renames a finished temporary whose bytes are reserved, or drops it where the blob is there
 * already; the reservation becomes the blob's. The blob is held once more. 0 or -errno (the
 * temporary is gone and the reservation returned). */
int blobs_adopt(struct meshd_blobs *blobs, const char *temporary, const struct wire_hash *hash,
                uint64_t reserved_bytes, uint64_t bytes) MUST_CHECK;
/* Opens a new temporary and says its name. A descriptor or -errno. */
int blobs_temporary(struct meshd_blobs *blobs, char ret_name[static BLOB_NAME_BYTES]) MUST_CHECK;
void blobs_maybe_closed(struct meshd_blobs *blobs);
/* Reads the directory: temporaries go, blobs enter the table, oldest first. 0 or -errno. */
int blobs_scan(struct meshd_blobs *blobs) MUST_CHECK;

#endif
