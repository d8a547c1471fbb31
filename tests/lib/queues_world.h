/* Steps that tests of queues take with the world of cores: each waits for its answer, and fails
 * when that is not as it should be. */
#ifndef MESH_TESTS_QUEUES_WORLD_H
#define MESH_TESTS_QUEUES_WORLD_H

#include "tests/lib/core_world.h"
#include "tests/lib/kept_queues.h"

/* So many peers, each with a disk, that see one another. */
struct world *queues_mesh_of(unsigned n, uint64_t seed);
/* These words, parted by spaces, as a client of node i. */
void queues_put(struct world *world, unsigned i, uint64_t id, const char *name, const char *words);
/* It must be this item. */
void queues_get(struct world *world, unsigned i, uint64_t id, const char *name, const char *item);
/* What the answer says. */
uint32_t queues_end_of(struct world *world, unsigned i, uint64_t id, bool is_done);
void queues_done(struct world *world, unsigned i, uint64_t id);
/* On the disk of node i, and not done. */
unsigned queues_n_kept(const struct world *world, unsigned i, const char *name);
/* All clients leave, and nothing may be left that was for them. Frees the world. */
void queues_end(struct world *world);

#endif
