/* Results here that their owner left with us, blobs that we have from their owner, and the third
 * peers that may fetch them: those that the owner named. What an owner lets go of is forgotten with
 * all that was granted of it.
 *
 * A peer that the owner sends to us may come before the owner's word does, over another session: it
 * waits a moment. It waits as long for what is not here at all, so that nobody learns by asking. */
#ifndef MESH_CORE_GRANT_H
#define MESH_CORE_GRANT_H

#include "mesh/core/core_internal.h"

void core_grant_init(struct core *core);
void core_grant_free_all(struct core *core);
/* The owner's word. */
void core_grant_on_grant(struct core *core, struct core_peer *owner,
                         const struct wire_grant *grant);
/* The same of a blob that we have from it, until its session goes. */
void core_grant_on_lend(struct core *core, struct core_peer *owner,
                        const struct wire_blob_lend *lend);
void core_grant_link_gone(struct core_peer *owner);
/* A third peer asks for what we keep for `want->owner`: served, now or in a moment, or refused. */
void core_grant_on_want(struct core *core, struct core_peer *peer,
                        const struct wire_blob_want *want);
/* A result of that owner's here, that is this blob; NULL: none. */
struct core_held *core_grant_find(const struct core_peer *owner, const struct wire_hash *hash);

#endif
