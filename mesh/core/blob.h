/* Which blobs are needed here, and from whom they come.
 *
 * The core does not know what the store holds: a blob is asked of the peer that named it, and the
 * shell answers at once when it may use what it has. A blob that one peer sent is not taken for
 * sent by another: each has its own fetch, one of a hash at a time. */
#ifndef MESH_CORE_BLOB_H
#define MESH_CORE_BLOB_H

#include "mesh/core/core_internal.h"

/* Something here uses this blob, which the store holds. Each ref takes one unref; with the last
 * goes a BLOB_RELEASE. The zero hash is nothing. */
void core_blob_ref(struct core *core, const struct wire_hash *hash);
void core_blob_unref(struct core *core, const struct wire_hash *hash);
/* The same for each blob of a result. */
void core_blob_ref_result(struct core *core, const struct wire_result *result);
void core_blob_unref_result(struct core *core, const struct wire_result *result);
/* It was stored for something that came to nothing: released, unless something else uses it. */
void core_blob_let_go(struct core *core, const struct wire_hash *hash);

/* The peer has the blob, or will soon; or it has not after all. Nothing for a blob of which nothing
 * is known here, and for ourselves. */
void core_blob_note_holder(struct core *core, const struct wire_hash *hash, struct core_peer *peer);
void core_blob_drop_holder(struct core *core, const struct wire_hash *hash, struct core_peer *peer);
/* Bytes of these that the peer is not known to have. Ourselves we have them all. */
uint64_t core_blob_bytes_missing(const struct core *core, struct wire_refs refs,
                                 const struct core_peer *peer);
void core_blob_forget_peer(struct core_peer *peer);

/* `need` gets the blob from the peer: it is met at once (own blobs, or fetched before), or
 * on_done is called from a later event, never from here. */
void core_need_want(struct core *core, struct core_need *need, struct core_peer *peer,
                    const struct wire_hash *hash, uint64_t n_bytes);
/* The same for what is the owner's and kept by that peer, which the owner lets give it to us. When
 * its session goes, the need fails. */
void core_need_want_of(struct core *core, struct core_need *need, struct core_peer *peer,
                       const struct core_peer *owner, const struct wire_hash *hash,
                       uint64_t n_bytes);
/* No longer; nothing is called. A need that wants nothing is left alone. */
void core_need_drop(struct core *core, struct core_need *need);

void core_blob_on_stored(struct core *core, const struct wire_hash *hash);
void core_blob_on_failed(struct core *core, const struct wire_hash *hash, bool is_ours);
void core_blob_link_up(struct core *core, struct core_peer *peer);
/* The owner of something that is being fetched says whom else to ask. */
void core_blob_on_from(struct core *core, struct core_peer *owner,
                       const struct wire_blob_from *from);
/* Whether it is here, for something that is needed, and had from that peer. */
bool core_blob_is_from(const struct core *core, const struct wire_hash *hash,
                       const struct core_peer *peer);
/* NULL: nothing here needs it. */
struct core_blob *core_blob_find(const struct core *core, const struct wire_hash *hash);
/* Serves it when the peer may have it. */
void core_blob_on_want(struct core *core, struct core_peer *peer,
                       const struct wire_blob_want *want);

/* Only when the core is freed: what the shell has not answered yet. */
void core_blob_free_all(struct core *core);

#endif
