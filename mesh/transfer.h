/* Blobs between peers: those this peer fetches into its store, and those it serves out of it. Which
 * ones, and to whom, the core decides.
 *
 * A fetch: its turn comes -> BLOB_WANT from where an earlier try ended -> chunks in order -> hash
 * checked -> in the store -> BLOB_STORED; or BLOB_FAILED. A serve: chunks as fast as the link has
 * room for bulk, the link's serves in turn; no more than one chunk waits in the session, so that
 * beats pass. */
#ifndef MESH_TRANSFER_H
#define MESH_TRANSFER_H

#include <uv.h>

#include "mesh/blobs.h"
#include "mesh/link.h"
#include "mesh/sink.h"

/* Serves that one link may have waiting; more are refused. */
#define MESHD_SERVES_MAX 1024u
/* Fetches under way over one link, and over all; what is more waits its turn, without a descriptor.
 */
#define MESHD_FETCHES_LINK_MAX 32u
#define MESHD_FETCHES_MAX      256u

/* Of what is under way for longer than this, whoever waits hears as often: of one at a time. */
#define MESHD_TELL_MS 3000u

struct meshd_transfers;

/* All are borrowed for the transfers' life. NULL when memory is short. */
struct meshd_transfers *meshd_transfers_new(uv_loop_t *loop, const struct meshd_sink *sink,
                                            struct meshd_links *links,
                                            struct meshd_blobs *blobs) MUST_CHECK;
/* Ends all of it without a word; before links and blobs are closed. on_closed is called from the
 * loop, and the transfers are freed before it. */
void meshd_transfers_close(struct meshd_transfers *transfers, void (*on_closed)(void *user),
                           void *user);

/* The effects. */
void meshd_transfers_fetch(struct meshd_transfers *transfers, uint64_t link,
                           const struct wire_hash *hash, uint64_t bytes,
                           const struct wire_key *owner, bool may_point);
void meshd_transfers_stop(struct meshd_transfers *transfers, const struct wire_hash *hash);
void meshd_transfers_serve(struct meshd_transfers *transfers, uint64_t link,
                           const struct wire_hash *hash, uint64_t offset);

/* What comes over links. */
void meshd_transfers_on_data(struct meshd_transfers *transfers, uint64_t link,
                             const struct wire_blob_data *data);
void meshd_transfers_on_refuse(struct meshd_transfers *transfers, uint64_t link,
                               const struct wire_hash *hash);
/* Its fetches end with BLOB_FAILED. Call after the core heard that the link is down. */
void meshd_transfers_on_link_down(struct meshd_transfers *transfers, uint64_t link);
/* The link took all it was given. */
void meshd_transfers_on_room(struct meshd_transfers *transfers, uint64_t link);

#endif
