/* Queues while daemons die, links break and disks are full, at random: what is put is there once,
 * and comes out in full. QUEUE_SEED=N plays one random schedule and prints its timeline. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/core_world.h"
#include "tests/lib/kept_queues.h"
#include "tests/lib/runner.h"

#define N_SEEDS 60
#define N_NODES 4u
#define N_WORDS 24u

struct play {
    struct world *world;
    uint64_t random;
    bool is_dead[N_NODES];
    unsigned n_put, n_done[N_WORDS], n_answered[N_WORDS];
};

static unsigned draw(struct play *play, unsigned n)
{
    play->random = play->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(play->random >> 33) % n;
}

/* Each third one is a large item. */
static void name_word(unsigned k, char word[static 16])
{
    snprintf(word, 16, k % 3 == 0 ? "#%c" : "w%u", k % 3 == 0 ? 'a' + k : k);
}

/* Each client uses an id for one thing at a time: puts 1..24 by word, gets 30..33. */
static void act(struct play *play)
{
    struct world *world = play->world;
    unsigned i = draw(play, N_NODES);
    if (play->is_dead[i]) {
        world_restart(world, i);
        play->is_dead[i] = false;
        return;
    }
    unsigned what = draw(play, 20);
    uint64_t id = 30 + draw(play, 4);
    const struct world_ask *ask = world_ask_of(world, i, id);
    if (what < 6 && play->n_put < N_WORDS) {
        char word[16];
        name_word(play->n_put, word);
        world_queue_put(world, i, ++play->n_put, "q", word);
    } else if (what < 15) {
        if (ask->n_taken > ask->n_replies) {
            world_queue_end(world, i, id, draw(play, 4) > 0);
        } else if (ask->n_taken == ask->n_replies) {
            world_queue_get(world, i, id, "q");
        }
    } else if (what == 15) {
        world_client_down(world, i);
        memset(world_client(world, i)->asks, 0, sizeof(world_client(world, i)->asks));
    } else if (what == 16) {
        world_kill(world, i);
        memset(world_client(world, i)->asks, 0, sizeof(world_client(world, i)->asks));
        play->is_dead[i] = true;
    } else if (what == 17) {
        world_reset_link(world, i, (i + 1) % N_NODES);
    } else if (what == 18) {
        world_cut(world, i);
        world_run_for(world, draw(play, 6000) * CORE_MS);
        world_mend(world, i);
    } else {
        world_disk_set_full(world, i, draw(play, 2) == 0);
    }
}

static struct world *mesh_new(uint64_t seed)
{
    /* Who is young waits for others before it makes a queue. */
    return world_mesh_kept(N_NODES, seed, 2 * CORE_S);
}

START_TEST(nothing_is_lost_or_done_twice_whatever_happens)
{
    struct play play = {.world = mesh_new(100 + _i), .random = 100 + _i};
    struct world *world = play.world;
    bool is_shown = getenv("QUEUE_SEED") != NULL;
    if (is_shown) {
        world_trace(world);
    }
    world_queue_put(world, 0, 25, "q", "begin");
    ck_assert_uint_eq(world_queue_wait(world, 0, 25)->error, 0);
    for (unsigned n = 0; n < 150; n++) {
        act(&play);
        world_run_for(world, draw(&play, 300) * CORE_MS);
    }
    for (unsigned i = 0; i < N_NODES; i++) {
        if (play.is_dead[i]) {
            world_restart(world, i);
        }
        world_disk_set_full(world, i, false);
    }
    world_run_for(world, 20 * CORE_S);
    for (unsigned i = 0; i < N_NODES; i++) {
        world_client_down(world, i);
        memset(world_client(world, i)->asks, 0, sizeof(world_client(world, i)->asks));
    }
    world_run_for(world, 90 * CORE_S);
    /* What is left is there once, and comes out in full. */
    for (unsigned k = 0; k < play.n_put; k++) {
        char word[16];
        name_word(k, word);
        unsigned n = 0;
        for (unsigned i = 0; i < N_NODES; i++) {
            n += kept_n_of(world_kept_queues(world, i), slice_str(word));
        }
        ck_assert_msg(n <= 1, "%s is there %u times", word, n);
    }
    unsigned n_left = 0;
    for (unsigned i = 0; i < N_NODES; i++) {
        n_left += kept_n_items(world_kept_queues(world, i), NULL);
    }
    for (unsigned k = 0; k < n_left; k++) {
        world_queue_get(world, 1, 40, "q");
        ck_assert_uint_eq(world_queue_wait(world, 1, 40)->n_replies, k);
        world_queue_end(world, 1, 40, true);
        ck_assert_uint_eq(world_queue_wait(world, 1, 40)->error, 0);
    }
    if (is_shown) {
        struct slice text = world_trace_text(world);
        fwrite(text.p, 1, text.n, stderr);
    }
    world_client_down(world, 1);
    world_run_for(world, 90 * CORE_S);
    for (unsigned i = 0; i < N_NODES; i++) {
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_asks, 0);
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_takers, 0);
    }
    world_assert_quiet(world);
    world_free(world);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core_queue_chaos");
    TCase *tc = tcase_create("core_queue_chaos");
    const char *seed = getenv("QUEUE_SEED");
    int first = seed != NULL ? atoi(seed) : 0;
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, nothing_is_lost_or_done_twice_whatever_happens, first,
                        seed != NULL ? first + 1 : N_SEEDS);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
