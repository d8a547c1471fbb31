/* Meshes of more than 64 peers: who holds sessions with whom, and how the rest is known. */
#include <errno.h>
#include <stdio.h>

#include "mesh/core/exec.h"
#include "mesh/core/peer.h"
#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

#define N_LARGE   72
#define N_HUNDRED 100

static struct world *mesh_of(uint64_t seed, unsigned n)
{
    struct world *world = world_new(seed);
    for (unsigned i = 0; i < n; i++) {
        world_start(world, i, true);
    }
    return world;
}

static const struct core_peer *peer_at(struct world *world, unsigned i, unsigned of)
{
    return core_peer_find(world_core(world, i), &world_config(world, of)->key);
}

static bool has_session(struct world *world, unsigned i, unsigned of)
{
    const struct core_peer *peer = peer_at(world, i, of);
    return peer != NULL && peer->link != NULL;
}

static bool is_shown_up(struct world *world, unsigned i, unsigned of)
{
    const struct core_card *card =
        core_card_find(world_core(world, i), &world_config(world, of)->key);
    return card != NULL && core_card_wire_state(card) == WIRE_PEER_UP;
}

static uint32_t n_shown_up(struct world *world, unsigned i)
{
    struct core_counts counts = core_counts(world_core(world, i));
    return counts.n_peers_up + counts.n_peers_known;
}

/* How many can be reached over sessions from the first that lives. */
static unsigned n_reached(struct world *world, unsigned n)
{
    bool is_reached[WORLD_NODES_MAX] = {0};
    unsigned queue[WORLD_NODES_MAX];
    unsigned n_queued = 0;
    for (unsigned i = 0; i < n && n_queued == 0; i++) {
        if (world_core(world, i) != NULL) {
            queue[n_queued++] = i;
            is_reached[i] = true;
        }
    }
    for (unsigned k = 0; k < n_queued; k++) {
        for (unsigned j = 0; j < n; j++) {
            if (!is_reached[j] && world_core(world, j) != NULL && has_session(world, queue[k], j)) {
                is_reached[j] = true;
                queue[n_queued++] = j;
            }
        }
    }
    return n_queued;
}

/* --- scores ------------------------------------------------------------------------------------
 */

static struct wire_key random_key(uint64_t *state)
{
    struct wire_key key;
    for (unsigned i = 0; i < WIRE_KEY_BYTES; i++) {
        key.b[i] = (uint8_t)(core_sparse_mix((*state)++) >> 13);
    }
    return key;
}

START_TEST(scores_are_symmetric_and_spread_evenly)
{
    enum { N = 200 };
    static struct wire_key keys[N];
    static uint64_t scores[N][N];
    uint64_t state = 1;
    for (unsigned i = 0; i < N; i++) {
        keys[i] = random_key(&state);
    }
    static bool is_chosen[N][N];
    for (unsigned i = 0; i < N; i++) {
        for (unsigned j = 0; j < N; j++) {
            scores[i][j] = core_sparse_score(&keys[i], &keys[j]);
            ck_assert(i <= j || scores[i][j] == scores[j][i]);
        }
    }
    for (unsigned i = 0; i < N; i++) {
        for (unsigned j = 0; j < N; j++) {
            unsigned n_higher = 0;
            for (unsigned k = 0; k < N; k++) {
                n_higher += k != i && scores[i][k] > scores[i][j];
            }
            is_chosen[i][j] = i != j && n_higher < CORE_CHOSEN;
        }
    }
    unsigned n_all = 0;
    for (unsigned i = 0; i < N; i++) {
        unsigned degree = 0;
        for (unsigned j = 0; j < N; j++) {
            degree += is_chosen[i][j] || is_chosen[j][i];
        }
        ck_assert_uint_ge(degree, CORE_CHOSEN);
        ck_assert_uint_le(degree, CORE_DENSE_MAX);
        n_all += degree;
    }
    ck_assert_uint_le(n_all / N, CORE_CHOSEN + CORE_CHOSEN / 4);
}
END_TEST

/* --- sessions ----------------------------------------------------------------------------------
 */

START_TEST(up_to_64_peers_each_has_a_session_with_each)
{
    struct world *world = mesh_of(1, CORE_DENSE_MAX);
    world_run_for(world, 90 * CORE_S);
    for (unsigned i = 0; i < CORE_DENSE_MAX; i++) {
        struct core_counts counts = core_counts(world_core(world, i));
        ck_assert(!counts.is_sparse);
        ck_assert_uint_eq(counts.n_links, CORE_DENSE_MAX - 1);
        ck_assert_uint_eq(counts.n_peers_known, 0);
        ck_assert_uint_eq(world_n_sent(world, i, WIRE_MESSAGE_PEERS_SUM), 0);
    }
    world_free(world);
}
END_TEST

START_TEST(above_that_each_has_some_and_shows_all)
{
    struct world *world = mesh_of(2, N_HUNDRED);
    world_run_for(world, 90 * CORE_S);
    uint64_t n_peers = 0, n_dials = 0, n_closes = 0;
    for (unsigned i = 0; i < N_HUNDRED; i++) {
        struct core_counts counts = core_counts(world_core(world, i));
        ck_assert(counts.is_sparse);
        ck_assert_uint_ge(counts.n_links, CORE_CHOSEN);
        ck_assert_uint_le(counts.n_links, CORE_DENSE_MAX);
        ck_assert_uint_eq(counts.n_dials, 0);
        ck_assert_uint_eq(n_shown_up(world, i), N_HUNDRED - 1);
        n_peers += world_n_sent(world, i, WIRE_MESSAGE_PEERS);
        n_dials += world_n_effects(world, i, CORE_EFFECT_DIAL);
        n_closes += world_n_effects(world, i, CORE_EFFECT_CLOSE_LINK);
    }
    ck_assert_uint_eq(n_reached(world, N_HUNDRED), N_HUNDRED);
    /* At rest: nobody dials, closes, or tells anything but that nothing is new. */
    world_run_for(world, 60 * CORE_S);
    for (unsigned i = 0; i < N_HUNDRED; i++) {
        n_peers -= world_n_sent(world, i, WIRE_MESSAGE_PEERS);
        n_dials -= world_n_effects(world, i, CORE_EFFECT_DIAL);
        n_closes -= world_n_effects(world, i, CORE_EFFECT_CLOSE_LINK);
    }
    ck_assert_uint_eq(n_peers, 0);
    ck_assert_uint_eq(n_dials, 0);
    ck_assert_uint_eq(n_closes, 0);
    world_client_up(world, 0);
    struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    world_client_say(world, 0, &query);
    world_run_for(world, CORE_MS);
    const struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->n_rows, N_HUNDRED);
    for (unsigned k = 0; k < N_HUNDRED; k++) {
        ck_assert_uint_eq(client->rows[k].state, WIRE_PEER_UP);
        ck_assert_uint_eq(client->rows[k].cores, 2);
    }
    world_free(world);
}
END_TEST

/* Dealings cost kilobytes; those whom others only speak of must not. */
START_TEST(whom_nobody_deals_with_leaves_only_its_card)
{
    struct world *world = mesh_of(21, N_LARGE);
    world_run_for(world, 90 * CORE_S);
    for (unsigned i = 0; i < N_LARGE; i++) {
        const struct core *core = world_core(world, i);
        ck_assert_uint_eq(core->cards.n, N_LARGE);
        ck_assert_uint_eq(core->peers.n, core_counts(core).n_links + 1);
        table_for_each (entry, &core->cards) {
            const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
            ck_assert_str_ne(core_card_name(card), "");
            ck_assert_uint_eq(core_card_cores(card), 2);
            ck_assert(card->peer != NULL || card->state == CORE_PEER_KNOWN);
        }
    }
    world_free(world);
}
END_TEST

START_TEST(of_addresses_that_were_proved_the_last_is_told)
{
    struct world *world = mesh_of(22, 2);
    struct core *core = world_core(world, 0);
    struct wire_key key = {.b = {7}};
    struct core_card *card = core_card_get(core, &key);
    core_card_add_address(card, slice_str("10.0.0.1:1"), CORE_SOURCE_GOSSIP);
    core_card_prove_address(card, slice_str("10.0.0.2:1"));
    core_card_prove_address(card, slice_str("10.0.0.1:1"));
    ck_assert_str_eq(core_card_proved_address(card), "10.0.0.1:1");
    ck_assert_uint_eq(card->n_addresses, 2);
    core_card_drop_source(card, CORE_SOURCE_PROVED);
    ck_assert_str_eq(core_card_proved_address(card), "");
    ck_assert_uint_eq(card->n_addresses, 2); /* others named them, or may */
    core_card_drop_source(card, CORE_SOURCE_GOSSIP);
    ck_assert_uint_eq(card->n_addresses, 0);
    core_check(core);
    world_free(world);
}
END_TEST

START_TEST(what_is_only_hearsay_and_old_is_forgotten)
{
    struct world *world = mesh_of(23, N_LARGE);
    world_run_for(world, 60 * CORE_S);
    struct core *core = world_core(world, 0);
    struct wire_key key = {.b = {7}};
    struct core_card *card = core_card_get(core, &key);
    core_card_add_address(card, slice_str("10.9.9.9:1"), CORE_SOURCE_GOSSIP);
    ck_assert(core_card_is_needed(core, card));
    card->told_ns -= CORE_TOLD_NS < card->told_ns ? CORE_TOLD_NS : card->told_ns;
    core->now_ns += CORE_TOLD_NS;
    ck_assert(!core_card_is_needed(core, card));
    core_card_add_address(card, slice_str("10.9.9.9:2"), CORE_SOURCE_MDNS);
    ck_assert(core_card_is_needed(core, card));
    core->now_ns -= CORE_TOLD_NS;
    world_free(world);
}
END_TEST

START_TEST(a_mesh_of_one_contact_becomes_whole)
{
    struct world *world = world_new(3);
    for (unsigned i = 0; i < N_LARGE; i++) {
        world_start(world, i, false);
        if (i > 0) {
            world_found(world, i, 0);
        }
    }
    world_run_for(world, 120 * CORE_S);
    for (unsigned i = 0; i < N_LARGE; i++) {
        ck_assert_uint_eq(n_shown_up(world, i), N_LARGE - 1);
        ck_assert_uint_le(core_counts(world_core(world, i)).n_links, CORE_DENSE_MAX);
    }
    ck_assert_uint_eq(n_reached(world, N_LARGE), N_LARGE);
    world_free(world);
}
END_TEST

START_TEST(a_mesh_near_the_limit_does_not_flap)
{
    struct world *world = mesh_of(4, CORE_DENSE_MAX + 2);
    world_run_for(world, 90 * CORE_S);
    for (unsigned i = 0; i < 3; i++) { /* 63 are left, which would have had sessions with all */
        world_kill(world, CORE_DENSE_MAX + 1 - i);
    }
    world_run_for(world, 20 * CORE_S);
    for (unsigned i = 0; i < 63; i++) {
        ck_assert(core_counts(world_core(world, i)).is_sparse);
        ck_assert_uint_le(core_counts(world_core(world, i)).n_links, 62);
    }
    for (unsigned i = 0; i < 63 - (CORE_DENSE_MAX - CORE_DENSE_MAX / 8); i++) {
        world_kill(world, 62 - i);
    }
    world_run_for(world, 20 * CORE_S);
    for (unsigned i = 0; i < (CORE_DENSE_MAX - CORE_DENSE_MAX / 8); i++) {
        ck_assert(!core_counts(world_core(world, i)).is_sparse);
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_links,
                          (CORE_DENSE_MAX - CORE_DENSE_MAX / 8) - 1);
    }
    world_free(world);
}
END_TEST

/* --- who is gone -------------------------------------------------------------------------------
 */

static void assert_all_show(struct world *world, unsigned of, bool is_up)
{
    for (unsigned i = 0; i < N_LARGE; i++) {
        if (i != of && world_core(world, i) != NULL) {
            ck_assert_msg(is_shown_up(world, i, of) == is_up, "%u shows %u as %s", i, of,
                          is_up ? "not up" : "up");
        }
    }
}

START_TEST(a_peer_that_ends_is_down_everywhere_within_two_seconds)
{
    struct world *world = mesh_of(5, N_LARGE);
    world_run_for(world, 60 * CORE_S);
    world_kill(world, 17);
    world_run_for(world, 2 * CORE_S);
    assert_all_show(world, 17, false);
    world_run_for(world, 60 * CORE_S);
    assert_all_show(world, 17, false);
    world_restart(world, 17);
    world_run_for(world, 20 * CORE_S);
    assert_all_show(world, 17, true);
    world_free(world);
}
END_TEST

START_TEST(a_silent_peer_is_down_everywhere_within_ten_seconds)
{
    struct world *world = mesh_of(6, N_LARGE);
    world_run_for(world, 60 * CORE_S);
    world_cut(world, 17);
    world_run_for(world, 10 * CORE_S);
    assert_all_show(world, 17, false);
    world_mend(world, 17);
    world_run_for(world, 30 * CORE_S);
    assert_all_show(world, 17, true); /* under a higher version, in the same life */
    for (unsigned i = 0; i < N_LARGE; i++) {
        if (i != 17) {
            ck_assert(is_shown_up(world, 17, i));
        }
    }
    world_free(world);
}
END_TEST

/* --- work --------------------------------------------------------------------------------------
 */

START_TEST(a_task_finds_a_peer_without_a_session)
{
    struct world *world = world_new(7);
    for (unsigned i = 0; i < N_LARGE; i++) {
        world_config(world, i)->arch = i % 10 == 9 ? "riscv64" : "x86_64";
        world_start(world, i, true);
    }
    world_run_for(world, 60 * CORE_S);
    unsigned other = 0;
    for (unsigned i = 1; i < N_LARGE && other == 0; i++) {
        other = has_session(world, 0, i) ? 0 : i;
    }
    ck_assert_uint_ne(other, 0);
    struct slice name = slice_str(world_config(world, other)->name);
    struct wire_message job = world_job();
    job.submit.on = (struct wire_slices){&name, 1};
    world_submit(world, 0, &job, 5, "sleep", "10");
    ck_assert(world_run_job(world, 0, 2 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 5);
    ck_assert_uint_eq(world_n_started(world, other), 5);
    ck_assert_uint_eq(world_client(world, 0)->notices.n, 0);
    ck_assert(has_session(world, 0, other));
    /* Not needed any more: closed, known still, and not dialled again. */
    world_run_for(world, 60 * CORE_S);
    ck_assert(!has_session(world, 0, other));
    ck_assert(!has_session(world, other, 0));
    ck_assert(is_shown_up(world, 0, other));
    uint64_t n_dials = world_n_effects(world, 0, CORE_EFFECT_DIAL);
    world_run_for(world, 120 * CORE_S);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL), n_dials);
    world_assert_quiet(world);
    world_free(world);
}
END_TEST

START_TEST(only_peers_that_can_run_it_are_sought)
{
    struct world *world = world_new(8);
    for (unsigned i = 0; i < N_LARGE; i++) {
        world_config(world, i)->arch = i % 10 == 9 ? "riscv64" : "x86_64";
        world_start(world, i, true);
    }
    world_run_for(world, 60 * CORE_S);
    uint64_t n_dials = world_n_effects(world, 0, CORE_EFFECT_DIAL);
    unsigned n_missing = 0;
    for (unsigned i = 9; i < N_LARGE; i += 10) {
        n_missing += !has_session(world, 0, i);
    }
    struct wire_message job = world_job();
    job.submit.spec.arch = slice_str("riscv64");
    world_submit(world, 0, &job, 60, "sleep", "5000");
    world_run_for(world, 3 * CORE_S);
    for (unsigned i = 9; i < N_LARGE; i += 10) {
        ck_assert_uint_eq(world_n_running(world, i), 2);
    }
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_DIAL) - n_dials, n_missing);
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    world_free(world);
}
END_TEST

/* Somebody else has moved in at the first of its addresses, and refuses for reasons of its own. */
START_TEST(who_is_sought_is_tried_where_it_moved_to)
{
    struct world *world = mesh_of(24, N_LARGE);
    world_run_for(world, 60 * CORE_S);
    unsigned other = 0;
    for (unsigned i = 1; i < N_LARGE && other == 0; i++) {
        other = has_session(world, 0, i) ? 0 : i;
    }
    ck_assert_uint_ne(other, 0);
    struct core *core = world_core(world, 0);
    struct core_card *card = core_card_find(core, &world_config(world, other)->key);
    core_card_drop_addresses(card);
    core_card_add_address(card, slice_str("10.9.9.9:1"), CORE_SOURCE_GOSSIP);
    core_card_add_address(card, slice_str(world_config(world, other)->address), CORE_SOURCE_GOSSIP);
    struct core_event event = {.type = CORE_EVENT_DIAL_FAILED};
    event.dial_failed.dial = core->next_dial;
    event.dial_failed.error = -EPROTO;
    event.dial_failed.reason = WIRE_REASON_VERSION;
    struct slice name = slice_str(world_config(world, other)->name);
    struct wire_message job = world_job();
    job.submit.on = (struct wire_slices){&name, 1};
    world_submit(world, 0, &job, 1, "sleep", "10");
    for (unsigned i = 0; i < 1000 && core->next_dial == event.dial_failed.dial; i++) {
        world_run_for(world, CORE_MS);
    }
    world_event(world, 0, &event);
    ck_assert_uint_eq(core_card_state(card), CORE_PEER_REFUSED);
    ck_assert(world_run_job(world, 0, 2 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, other), 1);
    ck_assert(is_shown_up(world, 0, other));
    world_free(world);
}
END_TEST

START_TEST(one_submitter_can_use_every_core)
{
    struct world *world = mesh_of(9, N_LARGE);
    world_run_for(world, 60 * CORE_S);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 300, "sleep", "20000");
    world_run_for(world, 6 * CORE_S);
    uint32_t n_running = 0;
    for (unsigned i = 0; i < N_LARGE; i++) {
        n_running += world_n_running(world, i);
    }
    ck_assert_uint_eq(n_running, 2 * N_LARGE);
    ck_assert(world_run_job(world, 0, 120 * CORE_S));
    world_run_for(world, 60 * CORE_S);
    ck_assert_uint_le(core_counts(world_core(world, 0)).n_links, CORE_DENSE_MAX);
    world_assert_quiet(world);
    world_free(world);
}
END_TEST

/* --- what it costs -----------------------------------------------------------------------------
 */

static double idle_messages_per_s(unsigned n)
{
    struct world *world = mesh_of(10, n);
    world_run_for(world, 60 * CORE_S);
    uint64_t n_before = 0, n_after = 0;
    for (unsigned i = 0; i < n; i++) {
        n_before += world_n_effects(world, i, CORE_EFFECT_SEND);
    }
    world_run_for(world, 20 * CORE_S);
    for (unsigned i = 0; i < n; i++) {
        n_after += world_n_effects(world, i, CORE_EFFECT_SEND);
    }
    world_free(world);
    return (double)(n_after - n_before) / 20 / n;
}

/* A beat and an acknowledgement for each session in 5 s, and a sum in 10 s. */
START_TEST(an_idle_peer_sends_no_more_in_a_larger_mesh)
{
    double of_10 = idle_messages_per_s(10);
    double of_64 = idle_messages_per_s(64);
    double of_90 = idle_messages_per_s(90);
    printf("# idle messages per peer and second: %.1f of 10 peers, %.1f of 64, %.1f of 90\n", of_10,
           of_64, of_90);
    ck_assert_double_le(of_10, 2. * 9 / 5 + 0.1);
    ck_assert_double_le(of_64, 2. * 63 / 5 + 0.1);
    ck_assert_double_le(of_90, of_64 * 3 / 4);
}
END_TEST

/* --- shares by source address ------------------------------------------------------------------
 */

static const char *origin_of(const char *address, char to[static CORE_ORIGIN_BYTES])
{
    core_origin_text(address, to);
    return to;
}

START_TEST(an_origin_is_an_address_or_a_prefix_of_64_bits)
{
    static const char *const rows[][2] = {
        {"10.0.0.5:7", "10.0.0.5"},
        {"10.0.0.50:7", "10.0.0.50"},
        {"[2001:db8::1]:7", "2001:0db8:0000:0000/"},
        {"[2001:DB8:0:0:9:9:9:9]:80", "2001:0db8:0000:0000/"},
        {"[2001:db8:1:2::]:80", "2001:0db8:0001:0002/"},
        {"[1::2:3:4:5]:80", "0001:0000:0000:0000/"},
        {"[1:2:3::8]:80", "0001:0002:0003:0000/"},
        {"[::1]:7", "0000:0000:0000:0000/"},
        {"[::2:3:4:5:6]:7", "0000:0000:0000:0002/"},
        {"[fe80::1%eth0]:7", "fe80::1%eth0"},
        {"[fe80::2%eth0]:7", "fe80::2%eth0"},
        {"[::ffff:10.0.0.5]:7", "10.0.0.5"},
        {"[1:2:3]:7", "1:2:3"},
        {"[1::2::3]:7", "1::2::3"},
        {"[12345::]:7", "12345::"},
        {"[1:2:3:4:5:6:7:8:9]:7", "1:2:3:4:5:6:7:8:9"},
        {"[]:7", ""},
        {"", ""},
    };
    char to[CORE_ORIGIN_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_str_eq(origin_of(rows[i][0], to), rows[i][1]);
    }
}
END_TEST

/* Three submitters at one executor, the first two from one host; how many cores each has. */
static void run_three(bool is_open, const char *of_first[3], uint32_t cores, uint32_t ret_used[3])
{
    static const struct core_trust_state locked = {.present = {.generation = 1}};
    struct world *world = world_new(11);
    for (unsigned i = 0; i < 4; i++) {
        world_config(world, i)->trust = is_open ? NULL : &locked;
        world_config(world, i)->cores = i == 0 ? 12 : 0;
        world_start(world, i, true);
    }
    struct core_peer *owners[3];
    world_run_for(world, CORE_S);
    for (unsigned i = 0; i < 3; i++) { /* as if it had been dialled from there */
        owners[i] = core_peer_find(world_core(world, 0), &world_config(world, i + 1)->key);
        core_text_set(owners[i]->address, sizeof(owners[i]->address), slice_str(of_first[i]));
        core_origin_set(world_core(world, 0), owners[i]);
    }
    struct wire_message job = world_job();
    job.submit.spec.cores = cores;
    for (unsigned i = 0; i < 3; i++) {
        world_submit(world, i + 1, &job, 400, "sleep", "50");
    }
    world_run_for(world, CORE_S);
    memset(ret_used, 0, 3 * sizeof(*ret_used));
    for (unsigned k = 0; k < 100; k++) { /* over time */
        world_run_for(world, 7 * CORE_MS);
        for (unsigned i = 0; i < 3; i++) {
            ret_used[i] += owners[i]->cores_used;
        }
    }
    world_free(world);
}

/* Shares are whole tasks: of two cores each, they are coarser. */
static void assert_near(uint32_t is, double should, uint32_t cores)
{
    ck_assert_double_ge(is, should * (1 - 0.1 * cores));
    ck_assert_double_le(is, should * (1 + 0.1 * cores));
}

START_TEST(two_keys_of_one_address_get_as_much_as_one_of_another)
{
    const char *addresses[3] = {"10.0.0.9:1", "10.0.0.9:2", "10.0.0.8:1"};
    const char *prefixes[3] = {"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1"};
    uint32_t used[3];
    for (uint32_t cores = 1; cores <= 2; cores++) {
        run_three(true, addresses, cores, used);
        uint32_t sum = used[0] + used[1] + used[2];
        ck_assert_uint_ge(sum, 12 * 100 * 8 / 10);
        assert_near(used[0] + used[1], sum / 2., cores);
        assert_near(used[0], sum / 4., cores);
        run_three(true, prefixes, cores, used);
        assert_near(used[2], (used[0] + used[1] + used[2]) / 2., cores);
        /* Where a secret says who may join, each key counts. */
        run_three(false, addresses, cores, used);
        assert_near(used[2], (used[0] + used[1] + used[2]) / 3., cores);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_sparse");
    TCase *tcase = tcase_create("large meshes");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, scores_are_symmetric_and_spread_evenly);
    tcase_add_test(tcase, up_to_64_peers_each_has_a_session_with_each);
    tcase_add_test(tcase, above_that_each_has_some_and_shows_all);
    tcase_add_test(tcase, whom_nobody_deals_with_leaves_only_its_card);
    tcase_add_test(tcase, of_addresses_that_were_proved_the_last_is_told);
    tcase_add_test(tcase, what_is_only_hearsay_and_old_is_forgotten);
    tcase_add_test(tcase, a_mesh_of_one_contact_becomes_whole);
    tcase_add_test(tcase, a_mesh_near_the_limit_does_not_flap);
    tcase_add_test(tcase, a_peer_that_ends_is_down_everywhere_within_two_seconds);
    tcase_add_test(tcase, a_silent_peer_is_down_everywhere_within_ten_seconds);
    tcase_add_test(tcase, a_task_finds_a_peer_without_a_session);
    tcase_add_test(tcase, only_peers_that_can_run_it_are_sought);
    tcase_add_test(tcase, who_is_sought_is_tried_where_it_moved_to);
    tcase_add_test(tcase, one_submitter_can_use_every_core);
    tcase_add_test(tcase, an_idle_peer_sends_no_more_in_a_larger_mesh);
    tcase_add_test(tcase, an_origin_is_an_address_or_a_prefix_of_64_bits);
    tcase_add_test(tcase, two_keys_of_one_address_get_as_much_as_one_of_another);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
