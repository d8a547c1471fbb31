/* What tasks' outputs take of the disk while they run, by submitter: nobody's may fill it for the
 * others. A submitter may take as much as is still free of what there is for all, so one alone has
 * half of it, and there is always something left for the next. The host's own user has all that
 * nobody else took.
 *
 * Submitters are told apart by a text: the core's origins, for who makes itself many keys has no
 * more by it. Knows nothing of files. */
#ifndef MESH_DISK_SHARE_H
#define MESH_DISK_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/table.h"

struct disk_share;

struct disk_shares {
    struct table by_origin; /* of struct disk_share */
    uint64_t bytes_max;     /* for all together */
    uint64_t bytes;         /* that all have */
};

void disk_shares_init(struct disk_shares *shares, uint64_t bytes_max, uint64_t seed);
/* Nobody may refer to any. */
void disk_shares_done(struct disk_shares *shares);

/* The share of that submitter, with one reference more: it exists while somebody refers to it.
 * is_own: the host's own user's. NULL when memory is short. */
struct disk_share *disk_share_get(struct disk_shares *shares, const char *origin,
                                  bool is_own) MUST_CHECK;
/* NULL is allowed. Returns the same. */
struct disk_share *disk_share_ref(struct disk_share *share);
/* NULL is allowed. Returns NULL. */
struct disk_share *disk_share_unref(struct disk_share *share);

/* Takes so many bytes more; false: it may not, and nothing was taken. NULL is a share without a
 * limit. */
bool disk_share_take(struct disk_share *share, uint64_t bytes) MUST_CHECK;
void disk_share_give(struct disk_share *share, uint64_t bytes);
/* What it has. */
uint64_t disk_share_bytes(const struct disk_share *share);

#endif
