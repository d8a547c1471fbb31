#include "tests/lib/queues_world.h"

#include <check.h>

struct world *queues_mesh_of(unsigned n, uint64_t seed)
{
    /* Who is young waits for others before it makes a queue. */
    return world_mesh_kept(n, seed, 2 * CORE_S);
}

void queues_put(struct world *world, unsigned i, uint64_t id, const char *name, const char *words)
{
    world_queue_put(world, i, id, name, words);
    const struct world_ask *ask = world_queue_wait(world, i, id);
    ck_assert_msg(ask->error == 0, "put: %s", ask->error_text);
    world_run_for(world, 20 * CORE_MS); /* others hear of it */
}

void queues_get(struct world *world, unsigned i, uint64_t id, const char *name, const char *item)
{
    world_queue_get(world, i, id, name);
    const struct world_ask *ask = world_queue_wait(world, i, id);
    ck_assert_uint_eq(ask->n_replies, 0);
    ck_assert_str_eq(ask->taken, item);
}

uint32_t queues_end_of(struct world *world, unsigned i, uint64_t id, bool is_done)
{
    world_queue_end(world, i, id, is_done);
    return world_queue_wait(world, i, id)->error;
}

void queues_done(struct world *world, unsigned i, uint64_t id)
{
    ck_assert_uint_eq(queues_end_of(world, i, id, true), 0);
}

unsigned queues_n_kept(const struct world *world, unsigned i, const char *name)
{
    return kept_n_items(world_kept_queues(world, i), name);
}

void queues_end(struct world *world)
{
    for (unsigned i = 0; i < 8; i++) {
        if (world_core(world, i) != NULL) {
            world_client_down(world, i);
        }
    }
    world_run_for(world, 90 * CORE_S);
    for (unsigned i = 0; i < 8; i++) {
        struct core *core = world_core(world, i);
        if (core != NULL) {
            ck_assert_uint_eq(core_counts(core).n_asks, 0);
            ck_assert_uint_eq(core_counts(core).n_takers, 0);
        }
    }
    world_assert_quiet(world);
    world_free(world);
}
