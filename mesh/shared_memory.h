/* Blobs as memory files that calls may read: one copy of a blob for all workers of this host.
 *
 * A worker never gets a file of the store, which it could open again for writing where it runs
 * under the daemon's uid. It gets a memory file that nobody can change any more (all seals),
 * through a descriptor for reading. That descriptor's position is shared by all who have it: they
 * map it.
 *
 * The copy is made on libuv's threads. One that nobody needs is kept for a while, for the next task
 * most likely needs it again; kept copies together take a part of the machine's memory at most.
 * Belongs to the loop's thread. */
#ifndef MESH_SHARED_MEMORY_H
#define MESH_SHARED_MEMORY_H

#include <stdint.h>
#include <uv.h>

#include "mesh/blobs.h"
#include "wire/base/ensure.h"
#include "wire/base/list.h"
#include "wire/message.h"

/* How long a copy outlives its last user, and which part of the memory such copies may take. */
#define SHARED_MEMORY_KEEP_MS 10000u
#define SHARED_MEMORY_PART    8u

struct shared_memory;

/* One user's need of a copy: the caller's memory, from take to give. */
struct shared_use {
    struct shared_blob *blob;
    struct list in_blob; /* of those that wait for it */
    void (*on_ready)(void *user, int error);
    void *user;
};

/* table_seed: random, for strangers choose what is in the blobs. */
struct shared_memory *shared_memory_new(uv_loop_t *loop, struct meshd_blobs *blobs,
                                        uint64_t table_seed);
/* Every use must have been given back. Waits for copies being made, frees, and calls on_closed from
 * the loop. */
void shared_memory_close(struct shared_memory *memory, void (*on_closed)(void *user), void *user);

/* Needs a copy of a blob, which is made where there is none; on_ready and user are set by the
 * caller. 0: it is there. -EINPROGRESS: on_ready follows from the loop, once, with 0 or -errno, and
 * the use is to be given back in any case. -ENOENT (not in the store), -ENOMEM (the machine has no
 * room for it), or another -errno: there is nothing to give back. */
int shared_memory_take(struct shared_memory *memory, const struct wire_hash *hash,
                       struct shared_use *use) MUST_CHECK;
/* No on_ready after this. A use that is zero, or was given back, is left alone. */
void shared_memory_give(struct shared_memory *memory, struct shared_use *use);

/* Of a copy that is there. The descriptor is borrowed until the use is given back. */
int shared_use_fd(const struct shared_use *use);
uint64_t shared_use_bytes(const struct shared_use *use);

/* For tests. */
struct shared_memory_counts {
    uint32_t n_blobs;
    uint64_t idle_bytes; /* of copies that nobody needs now */
    uint64_t n_copies;   /* made so far */
};
struct shared_memory_counts shared_memory_counts(const struct shared_memory *memory);

#endif
