#include "mesh/disk_share.h"

#include <string.h>

#include "mesh/core/effect.h"
#include "wire/base/mem.h"

struct disk_share {
    struct table_entry by_origin;
    struct disk_shares *all;
    uint64_t bytes;
    uint32_t n_refs;
    bool is_own;
    char origin[CORE_ORIGIN_BYTES];
};

void disk_shares_init(struct disk_shares *shares, uint64_t bytes_max, uint64_t seed)
{
    *shares = (struct disk_shares){.bytes_max = bytes_max};
    table_init(&shares->by_origin, CORE_ORIGIN_BYTES, seed);
}

void disk_shares_done(struct disk_shares *shares)
{
    ensure(shares->by_origin.n == 0);
    ensure(shares->bytes == 0);
    table_done(&shares->by_origin);
}

struct disk_share *disk_share_get(struct disk_shares *shares, const char *origin, bool is_own)
{
    struct table_entry *entry = table_find(&shares->by_origin, origin);
    if (entry != NULL) {
        return disk_share_ref(CONTAINER_OF(entry, struct disk_share, by_origin));
    }
    struct disk_share *share = mem_alloc(1, sizeof(*share));
    if (share != NULL) {
        memcpy(share->origin, origin, sizeof(share->origin));
        share->all = shares;
        share->is_own = is_own;
        share->n_refs = 1;
        table_insert(&shares->by_origin, &share->by_origin, share->origin);
    }
    return share;
}

struct disk_share *disk_share_ref(struct disk_share *share)
{
    if (share != NULL) {
        share->n_refs++;
    }
    return share;
}

struct disk_share *disk_share_unref(struct disk_share *share)
{
    if (share != NULL && --share->n_refs == 0) {
        ensure(share->bytes == 0);
        table_remove(&share->all->by_origin, &share->by_origin);
        mem_free(share);
    }
    return NULL;
}

bool disk_share_take(struct disk_share *share, uint64_t bytes)
{
    if (share == NULL) {
        return true;
    }
    struct disk_shares *all = share->all;
    uint64_t n_free = all->bytes_max - all->bytes;
    if (bytes > n_free || (!share->is_own && share->bytes + bytes > n_free - bytes)) {
        return false;
    }
    share->bytes += bytes;
    all->bytes += bytes;
    return true;
}

void disk_share_give(struct disk_share *share, uint64_t bytes)
{
    if (share != NULL) {
        ensure(bytes <= share->bytes);
        share->bytes -= bytes;
        share->all->bytes -= bytes;
    }
}

uint64_t disk_share_bytes(const struct disk_share *share)
{
    return share->bytes;
}
