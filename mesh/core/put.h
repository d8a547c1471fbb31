/* Blobs of a client, to be read by tasks of its jobs: those it put, and what its calls returned.
 * Pinned until it takes them back or leaves, and by its tasks for as long as these need them.
 *
 * What a call returned may stay with the peer that made it: such a blob is away, and left.c knows
 * who keeps it. It is fetched when the client asks, or when an executor cannot have it from there;
 * when nobody keeps it any more, and nothing came of that, it is gone. */
#ifndef MESH_CORE_PUT_H
#define MESH_CORE_PUT_H

#include "mesh/core/core_internal.h"

struct core_put { /* a blob of a client */
    struct table_entry by_hash;
    struct core_client *client;
    struct wire_hash hash;
    uint64_t bytes;
    uint64_t n;             /* times it was put and not taken back */
    uint32_t n_reads;       /* by tasks: refs of its jobs that name it */
    bool is_here;           /* our store has it, and this client may have it */
    bool is_gone;           /* and nobody has it */
    uint32_t n_gets;        /* the client asked for it, and has no answer yet */
    struct list lefts;      /* of core_left.of_put: who keeps it */
    struct list asks;       /* of core_ask.of_put: executors that wait until it is here */
    struct core_need need;  /* while it is fetched */
    struct core_left *from; /* from there */
};

/* What the shell stored for it; answered. */
void core_put_on_put(struct core *core, struct core_client *client, const struct wire_put *put);
void core_put_on_release(struct core *core, struct core_client *client,
                         const struct wire_hash *hash);
/* NULL: it is none of that client's. */
struct core_put *core_put_find(const struct core_client *client, const struct wire_hash *hash);
/* One put more of a blob, which is here or will be noted as left elsewhere. NULL for the zero hash,
 * which is nothing. */
struct core_put *core_put_add(struct core *core, struct core_client *client,
                              const struct wire_hash *hash, uint64_t n_bytes, bool is_here);
/* Whether each ref is of a blob that it put, of that size; and here, where that is asked for. */
bool core_put_has_all(const struct core_client *client, struct wire_refs refs, bool is_here);
/* A task of one of its jobs reads these from now on; or no longer. Nothing for NULL. */
void core_put_pin(struct core_client *client, struct wire_refs refs);
void core_put_unpin(struct core *core, struct core_client *client, struct wire_refs refs);
/* Freed, when neither the client nor a task needs it. */
void core_put_maybe_free(struct core *core, struct core_put *put);
/* It leaves. */
void core_put_drop_all(struct core *core, struct core_client *client);

#endif
