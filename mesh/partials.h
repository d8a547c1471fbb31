/* Unfinished blobs of links that are down, kept for a while to go on with: after a short cut a
 * large blob need not be sent from its beginning. Each holds a descriptor and room on the disk, so
 * there are few of them, and for those whose peer does not come back soon nobody asks again: the
 * work that wanted them runs elsewhere. Knows nothing of links or of the core. */
#ifndef MESH_PARTIALS_H
#define MESH_PARTIALS_H

#include <uv.h>

#include "mesh/blobs.h"
#include "wire/base/ensure.h"
#include "wire/base/list.h"

/* More than so many: the oldest goes. */
#define MESHD_PARTIALS_MAX 16u
/* A cable that is out and back in, a host that reboots fast. */
#define MESHD_PARTIALS_KEEP_MS 60000u

struct meshd_partials {
    struct list list; /* of struct partial, oldest first */
    uint32_t n;
    uint64_t keep_ms;
    uv_timer_t timer; /* for the oldest */
    void (*on_closed)(void *user);
    void *on_closed_user;
};

/* Each is dropped after so long. */
void meshd_partials_init(struct meshd_partials *partials, uv_loop_t *loop, uint64_t keep_ms);
/* Drops all; on_closed comes from the loop, and the memory is the caller's again. */
void meshd_partials_close(struct meshd_partials *partials, void (*on_closed)(void *user),
                          void *user);

/* What came of this blob, bytes_total long, from that peer. Takes the part. */
void meshd_partials_keep(struct meshd_partials *partials, const struct wire_key *key,
                         const struct wire_hash *hash, uint64_t bytes_total,
                         struct meshd_blob_part *part);
/* Gives such a part back, to be freed by the caller; NULL: there is none. */
struct meshd_blob_part *meshd_partials_take(struct meshd_partials *partials,
                                            const struct wire_key *key,
                                            const struct wire_hash *hash, uint64_t bytes_total);
/* Their room is needed. */
void meshd_partials_drop_all(struct meshd_partials *partials);

#endif
