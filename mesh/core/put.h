/* Blobs that a client put, to be read by tasks of its jobs: pinned until it takes them back or
 * leaves. */
#ifndef MESH_CORE_PUT_H
#define MESH_CORE_PUT_H

#include "mesh/core/core_internal.h"

/* What the shell stored for it; answered. */
void core_put_on_put(struct core *core, struct core_client *client, const struct wire_put *put);
void core_put_on_release(struct core *core, struct core_client *client,
                         const struct wire_hash *hash);
/* One put more of a blob that is here. The zero hash is nothing. */
void core_put_add(struct core *core, struct core_client *client, const struct wire_hash *hash,
                  uint64_t n_bytes);
/* Whether each ref is of a blob that it put, of that size. */
bool core_put_has_all(const struct core_client *client, struct wire_refs refs);
/* It leaves. */
void core_put_drop_all(struct core *core, struct core_client *client);

#endif
