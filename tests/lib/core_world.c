/* The life of a world: its nodes, their faults, and what happened to them. */
#include <check.h>
#include <stdio.h>

#include "tests/lib/core_world_internal.h"
#include "wire/base/mem.h"

/* --- life --------------------------------------------------------------------------------------
 */

struct world *world_new(uint64_t seed)
{
    static const char *const names[] = {"hal",  "lily", "mona", "nick",
                                        "otto", "pam",  "quin", "rita"};
    struct world *world = mem_alloc_or_die(1, sizeof(*world));
    world->seed = seed;
    world->now_ns = WORLD_BEGIN_NS;
    world->latency_ns = CORE_MS / 5;
    world->run_ns = 10 * CORE_MS;
    world->hash = UINT64_C(0xcbf29ce484222325);
    world->links = mem_alloc_or_die(LINKS_MAX, sizeof(struct link));
    world->n_links = 1;
    world->drawn = seed;
    heap_init(&world->heap);
    buf_init(&world->text, 64u << 20);
    buf_init(&world->line, 1u << 20);
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        struct node *node = &world->nodes[i];
        if (i < ARRAY_LEN(names)) {
            snprintf(node->name, sizeof(node->name), "%s", names[i]);
        } else {
            snprintf(node->name, sizeof(node->name), "p%u", i);
        }
        snprintf(node->address, sizeof(node->address), "10.0.0.%u:7", i + 1);
        struct core_config *config = &node->config;
        memset(config->key.b, 0x11 * (int)(i + 1), sizeof(config->key.b));
        config->seed = seed * 31 + i;
        config->epoch = seed * 1000 + i + 1;
        config->incarnation = 1;
        config->name = node->name;
        config->arch = "x86_64";
        config->os = "linux";
        config->program = "test";
        config->address = node->address;
        config->cores = config->cores_effective = 2;
        config->dead_after_ns = 3 * CORE_S;
        config->has_sandbox = true;
        node->slowness = 1;
        node->protocol = WIRE_VERSION_MAX;
        node->room = UINT64_MAX;
        world_disk_init(world, i);
        world_trust_init(node);
        list_init(&node->runs);
        list_init(&node->held);
        node->tick.kind = ITEM_TICK;
        node->tick.node = i;
        core_effects_init(&node->effects);
        buf_init(&node->client.stream, 16u << 20);
        buf_init(&node->client.notices, 1u << 20);
        buf_init(&node->client.progress, 1u << 20);
    }
    return world;
}

static void drop_runs(struct node *node)
{
    while (!list_is_empty(&node->runs)) {
        struct run *run = LIST_ENTRY(node->runs.next, struct run, node);
        list_remove(&run->node);
        mem_free(run);
    }
}

static void drop_held(struct world *world, struct node *node)
{
    while (!list_is_empty(&node->held)) {
        world_item_free(world, LIST_ENTRY(node->held.next, struct item, held));
    }
}

struct world *world_free(struct world *world)
{
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        struct node *node = &world->nodes[i];
        heap_remove(&world->heap, &node->tick.at);
        node->core = core_free(node->core);
        world_disk_wipe(world, i);
        world_trust_done(node);
        core_effects_done(&node->effects);
        drop_runs(node);
        drop_held(world, node);
        buf_done(&node->client.stream);
        buf_done(&node->client.notices);
        buf_done(&node->client.progress);
        mem_free(node->client.n_reports);
    }
    while (heap_first(&world->heap) != NULL) {
        world_item_free(world, LIST_ENTRY(heap_first(&world->heap), struct item, at));
    }
    heap_done(&world->heap);
    buf_done(&world->text);
    buf_done(&world->line);
    mem_free(world->links);
    return mem_free(world);
}

struct core_config *world_config(struct world *world, unsigned i)
{
    return &world->nodes[i].config;
}

void world_found(struct world *world, unsigned i, unsigned of)
{
    struct slice address = slice_str(world->nodes[of].address);
    struct core_event event = {.type = CORE_EVENT_PEER_FOUND};
    event.peer_found.has_key = true;
    event.peer_found.key = world->nodes[of].config.key;
    event.peer_found.source = CORE_SOURCE_MDNS;
    event.peer_found.addresses = (struct wire_slices){.items = &address, .n = 1};
    world_event(world, i, &event);
}

void world_start(struct world *world, unsigned i, bool is_found)
{
    struct node *node = &world->nodes[i];
    world->n_nodes = i < world->n_nodes ? world->n_nodes : i + 1;
    node->config.now_ns = world->now_ns;
    node->cores = node->config.cores;
    struct core_trust_state trust;
    struct core_config config = node->config;
    config.trust = world_trust_start(node, &trust);
    node->core = core_new(&config);
    node->has_exited = false;
    struct core_event event = {.type = CORE_EVENT_TICK};
    world_step(world, i, &event);
    world_disk_start(world, i);
    for (unsigned j = 0; is_found && j < WORLD_NODES_MAX; j++) {
        if (j != i && world->nodes[j].core != NULL && !world->nodes[j].is_frozen) {
            world_found(world, i, j);
            world_found(world, j, i);
        }
    }
}

struct core *world_core(struct world *world, unsigned i)
{
    return world->nodes[i].core;
}

struct world_client *world_client(struct world *world, unsigned i)
{
    return &world->nodes[i].client;
}

uint64_t world_now(const struct world *world)
{
    return world->now_ns;
}

void world_event(struct world *world, unsigned i, struct core_event *event)
{
    world_step(world, i, event);
}

struct world_closed world_last_closed(const struct world *world, unsigned i)
{
    return world->nodes[i].closed;
}

uint64_t world_challenge(const struct world *world, unsigned i, uint64_t link)
{
    return world->nodes[i].lone_token[link - LONE_LINK];
}

/* --- faults ------------------------------------------------------------------------------------
 */

void world_kill(struct world *world, unsigned i)
{
    struct node *node = &world->nodes[i];
    heap_remove(&world->heap, &node->tick.at);
    node->core = core_free(node->core);
    node->life++;
    world_disk_kill(world, i);
    node->is_frozen = false;
    drop_runs(node);
    drop_held(world, node);
    node->n_fetches = 0;
    for (uint64_t id = 1; id < world->n_links; id++) {
        struct link *link = &world->links[id];
        unsigned side = world_side_of(link, i);
        if (link->node[side] != i) {
            continue;
        }
        link->is_up[side] = false;
        if (link->is_up[1 - side]) {
            world_link_down_in(world, id, 1 - side, world->latency_ns, CORE_LINK_END_CLOSED,
                               WIRE_REASON_NONE);
        }
    }
    struct world_client *client = &node->client;
    client->is_up = false;
}

void world_restart(struct world *world, unsigned i)
{
    struct node *node = &world->nodes[i];
    node->config.epoch += 1000000;
    node->config.incarnation++;
    world_start(world, i, true);
}

void world_cut(struct world *world, unsigned i)
{
    world->nodes[i].is_cut = true;
}

static void release_held(struct world *world, struct node *node)
{
    struct list moved;
    list_init(&moved);
    while (!list_is_empty(&node->held)) {
        struct list *first = node->held.next;
        list_remove(first);
        list_push_back(&moved, first);
    }
    while (!list_is_empty(&moved)) {
        struct item *item = LIST_ENTRY(moved.next, struct item, held);
        list_remove(&item->held);
        heap_set(&world->heap, &item->at, world->now_ns);
    }
}

void world_mend(struct world *world, unsigned i)
{
    world->nodes[i].is_cut = false;
    for (unsigned j = 0; j < WORLD_NODES_MAX; j++) {
        if (!world->nodes[j].is_frozen) {
            release_held(world, &world->nodes[j]);
        }
    }
}

void world_reset_link(struct world *world, unsigned i, unsigned j)
{
    for (uint64_t id = 1; id < world->n_links; id++) {
        struct link *link = &world->links[id];
        bool is_it = (link->node[0] == i && link->node[1] == j) ||
                     (link->node[0] == j && link->node[1] == i);
        for (unsigned side = 0; is_it && side < 2; side++) {
            if (link->is_up[side]) {
                world_link_down_in(world, id, side, 0, CORE_LINK_END_CLOSED, WIRE_REASON_NONE);
            }
        }
    }
}

void world_freeze(struct world *world, unsigned i)
{
    world->nodes[i].is_frozen = true;
}

void world_thaw(struct world *world, unsigned i)
{
    struct node *node = &world->nodes[i];
    node->is_frozen = false;
    if (node->core == NULL) {
        return;
    }
    heap_set(&world->heap, &node->tick.at, world->now_ns);
    release_held(world, node);
}

/* --- clients -----------------------------------------------------------------------------------
 */

void world_client_up(struct world *world, unsigned i)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_UP};
    event.client_up.client = WORLD_CLIENT;
    event.client_up.uid = 1000;
    event.client_up.is_privileged = true;
    world->nodes[i].client.is_up = true;
    world_step(world, i, &event);
}

void world_client_down(struct world *world, unsigned i)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_DOWN};
    event.client_down.client = WORLD_CLIENT;
    world->nodes[i].client.is_up = false;
    world_step(world, i, &event);
}

struct wire_message world_job(void)
{
    struct wire_message message = {.type = WIRE_MESSAGE_SUBMIT};
    message.submit.spec.cores = 1;
    message.submit.spec.lease_ms = 10000;
    message.submit.runs_max = 1;
    return message;
}

void world_submit(struct world *world, unsigned i, const struct wire_message *submit,
                  uint32_t n_tasks, const char *word, const char *value)
{
    struct world_client *client = &world->nodes[i].client;
    if (!client->is_up) {
        world_client_up(world, i);
    }
    mem_free(client->n_reports);
    client->n_reports = mem_alloc_or_die(WORLD_TASKS_MAX, 1);
    client->job = client->n_done = client->n_added = client->tasks_max = 0;
    client->is_fed = client->is_job_done = client->is_accepted = client->has_error = false;
    client->is_kept = client->has_ok = false;
    memset(client->n_by_end, 0, sizeof(client->n_by_end));
    client->n_failed_status = 0;
    client->n_tasks = n_tasks;
    client->words[0] = word;
    client->words[1] = value;
    buf_clear(&client->stream);
    buf_clear(&client->notices);
    buf_clear(&client->progress);
    world_client_say_in(world, i, submit);
}

/* --- what happened -----------------------------------------------------------------------------
 */

void world_set_run(struct world *world, uint64_t run_ns)
{
    world->run_ns = run_ns;
}

void world_lose(struct world *world, enum wire_message_type type)
{
    world->lost = type;
}

void world_set_slowness(struct world *world, unsigned i, uint64_t factor)
{
    world->nodes[i].slowness = factor;
}

void world_set_broken(struct world *world, unsigned i, bool is_broken)
{
    world->nodes[i].is_broken = is_broken;
}

void world_set_latency(struct world *world, uint64_t latency_ns)
{
    world->latency_ns = latency_ns;
}

uint32_t world_n_started(const struct world *world, unsigned i)
{
    return world->nodes[i].n_started;
}

uint32_t world_n_running(const struct world *world, unsigned i)
{
    uint32_t n = 0;
    list_for_each (at, &world->nodes[i].runs) {
        n++;
    }
    return n;
}

uint32_t world_n_running_max(const struct world *world)
{
    return world->n_running_max;
}

uint64_t world_n_effects(const struct world *world, unsigned i, enum core_effect_type type)
{
    return world->nodes[i].n_effects[type];
}

uint64_t world_n_sent(const struct world *world, unsigned i, enum wire_message_type type)
{
    return world->nodes[i].n_sent[type];
}

void world_check_acks(struct world *world)
{
    world->is_ack_checked = true;
}

bool world_has_exited(const struct world *world, unsigned i)
{
    return world->nodes[i].has_exited;
}

void world_trace(struct world *world)
{
    world->is_tracing = true;
}

uint64_t world_trace_hash(const struct world *world)
{
    return world->hash;
}

struct slice world_trace_text(const struct world *world)
{
    return buf_slice(&world->text);
}

void world_assert_quiet(struct world *world)
{
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        if (world->nodes[i].core == NULL) {
            continue;
        }
        struct core_counts counts = core_counts(world->nodes[i].core);
        const char *name = world->nodes[i].name;
        ck_assert_msg(counts.n_jobs == 0, "%s has jobs", name);
        ck_assert_msg(counts.n_tasks == 0, "%s has tasks", name);
        ck_assert_msg(counts.n_attempts == 0, "%s has attempts", name);
        ck_assert_msg(counts.n_held_queued == 0, "%s holds queued attempts", name);
        ck_assert_msg(counts.n_held_running == 0, "%s holds running attempts", name);
        ck_assert_msg(counts.n_held_ended == 0, "%s holds %u results", name, counts.n_held_ended);
        ck_assert_msg(counts.cores_used == 0, "%s uses cores", name);
        ck_assert_msg(counts.n_cells == 0, "%s has %u cells", name, counts.n_cells);
        ck_assert_msg(counts.n_blob_refs == 0, "%s needs %u blobs", name, counts.n_blob_refs);
        core_check(world->nodes[i].core);
    }
}

struct world *world_mesh(unsigned n, uint64_t seed)
{
    struct world *world = world_new(seed);
    for (unsigned i = 0; i < n; i++) {
        world_start(world, i, true);
    }
    world_run_for(world, 50 * CORE_MS);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_peers_up, n - 1);
        ck_assert_uint_eq(core_counts(world_core(world, i)).n_links, n - 1);
    }
    return world;
}

struct world *world_mesh_kept(unsigned n, uint64_t seed, uint64_t ns)
{
    struct world *world = world_new(seed);
    for (unsigned i = 0; i < n; i++) {
        world_config(world, i)->has_journal = true;
        world_start(world, i, true);
    }
    world_run_for(world, ns);
    return world;
}

void world_end(struct world *world)
{
    world_run_for(world, 30 * CORE_S);
    world_assert_quiet(world);
    world_free(world);
}
