/* Large blobs of ours that several executors read: who asks while another is being sent a copy has
 * it from that one, so that each leaves here about once.
 *
 * A reader asks: the first is sent the blob, the next ones wait. One that has it says so, and one
 * that waits is sent to it, one at a time to each. Nobody waits for long: a copy that does not get
 * anywhere, a peer that lies about having one or gives something else costs that wait, and then the
 * blob is sent from here. */
#ifndef MESH_CORE_SPREAD_H
#define MESH_CORE_SPREAD_H

#include "mesh/core/core_internal.h"

/* A peer that may have it asks for a blob of so many bytes. */
void core_spread_on_want(struct core *core, struct core_peer *peer,
                         const struct wire_blob_want *want, uint64_t n_bytes);
/* The peer says that it has it. */
void core_spread_on_had(struct core *core, struct core_peer *peer, const struct wire_hash *hash);
/* Its session does not stand any more. */
void core_spread_link_gone(struct core *core, struct core_peer *peer);
/* Nothing here needs the blob any more. */
void core_spread_drop(struct core *core, struct core_blob *blob);

#endif
