/* What the tests of a closed mesh share: worlds of cores, asked about trust. */
#ifndef MESH_TESTS_TRUST_WORLD_H
#define MESH_TESTS_TRUST_WORLD_H

#include "mesh/core/core_internal.h"
#include "mesh/core/trust.h"
#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

#define SETTLE_NS (5 * CORE_S)

static inline const struct core_book *book(struct world *world, unsigned i)
{
    return &world_core(world, i)->trust.now;
}

static inline uint64_t generation(struct world *world, unsigned i)
{
    return book(world, i)->present.generation;
}

static inline const struct wire_key *key_of(struct world *world, unsigned i)
{
    return &world_config(world, i)->key;
}

/* n nodes in one closed mesh, all invited by the first. */
static inline struct world *closed(unsigned n, uint64_t seed)
{
    struct world *world = world_mesh(n, seed);
    ck_assert(world_lock(world, 0));
    for (unsigned i = 1; i < n; i++) {
        ck_assert_msg(world_invite(world, 0, i), "%s", world_client(world, i)->error_text);
    }
    world_run_for(world, SETTLE_NS);
    return world;
}

/* Each of them has a session with each other of them, and all have one secret. */
static inline void assert_one_mesh(struct world *world, const unsigned *nodes, unsigned n)
{
    for (unsigned a = 0; a < n; a++) {
        for (unsigned b = a + 1; b < n; b++) {
            unsigned i = nodes[a];
            unsigned j = nodes[b];
            ck_assert_msg(core_secret_cmp(&book(world, i)->present, &book(world, j)->present) == 0,
                          "%u and %u have other secrets", i, j);
            ck_assert_msg(world_are_linked(world, i, j), "no session of %u and %u", i, j);
        }
    }
}

#define ASSERT_ONE_MESH(world, ...)                                                                \
    assert_one_mesh(world, (const unsigned[]){__VA_ARGS__},                                        \
                    ARRAY_LEN(((const unsigned[]){__VA_ARGS__})))

static inline void assert_alone(struct world *world, unsigned i, unsigned n)
{
    for (unsigned j = 0; j < n; j++) {
        ck_assert_msg(i == j || !world_are_linked(world, i, j), "%u has a session with %u", i, j);
    }
}

static inline void assert_refused(struct world *world, unsigned i, enum wire_error error,
                                  const char *text)
{
    struct world_client *client = world_client(world, i);
    ck_assert(client->has_error);
    ck_assert_str_eq(wire_error_text(client->error), wire_error_text(error));
    ck_assert_msg(strstr(client->error_text, text) != NULL, "%s", client->error_text);
}

static inline const struct wire_peer_row *row_of(struct world *world, unsigned i, unsigned of)
{
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS_QUERY};
    world_client_say(world, i, &message);
    world_run_for(world, CORE_MS);
    struct world_client *client = world_client(world, i);
    for (uint32_t k = 0; k < client->n_rows; k++) {
        if (wire_key_eq(&client->rows[k].key, key_of(world, of))) {
            return &client->rows[k];
        }
    }
    ck_abort_msg("no row");
}

#endif
