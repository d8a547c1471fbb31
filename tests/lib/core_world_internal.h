/* The insides of the world of cores; only for tests/lib/core_world*.c. */
#ifndef MESH_TESTS_CORE_WORLD_INTERNAL_H
#define MESH_TESTS_CORE_WORLD_INTERNAL_H

#include "mesh/core/trust_book.h"
#include "tests/lib/core_world.h"
#include "tests/lib/kept_queues.h"
#include "wire/base/arena.h"
#include "wire/base/heap.h"
#include "wire/base/list.h"
#include "wire/key.h"

#define WORLD_BEGIN_NS (1000 * CORE_S)

#define LINKS_MAX    20000
#define STREAM_CHUNK 1000u
#define WATCHED_MAX  512u
#define LONE_LINK    WORLD_LONE_LINK

enum item_kind {
    ITEM_TICK,
    ITEM_EVENT,
    ITEM_STARTED,
    ITEM_ENDED,
    ITEM_STREAM,
    ITEM_FEED,
    ITEM_WRITTEN,
    ITEM_READ,
    ITEM_LOOK
};

struct run { /* an attempt that a node's "processes" run */
    struct list node;
    struct wire_key owner;
    struct wire_attempt_id id;
    uint64_t cell;
    uint32_t cores;
    char word[16], value[16];
    bool is_killed, is_begun;
    uint64_t begun_ns;      /* when it was started */
    bool is_paused, is_due; /* its end waits until it goes on */
    enum wire_end end;
    uint64_t sent, acked;
};

struct world_proof { /* what a dial proves */
    uint32_t older;
    bool has_invitation;
    struct wire_token token;
    struct wire_key key; /* whom it must meet; zero: anybody */
};

struct item {
    struct heap_entry at;
    struct list held; /* back, while its node is frozen or cut off */
    enum item_kind kind;
    unsigned node, life;
    struct core_event event;
    struct wire_message message;
    struct world_proof proof; /* of a dial */
    struct arena arena;
    uint64_t link;  /* 0: of no link */
    bool is_remote; /* came over a cable, and waits while it is pulled */
    struct wire_key owner;
    struct wire_attempt_id id;
    struct core_effect asked; /* LOOK: what for; numbers only */
};

struct link {
    unsigned node[2]; /* 0 dialled */
    unsigned life[2];
    bool is_up[2];
    struct wire_credit credit[2]; /* as node i heard it */
    uint32_t n_out[2];
};

struct disk {
    struct list jobs;  /* of disk_job.node: what is on it, over all lives */
    struct list queue; /* of disk_record.node: said, and not written */
    unsigned n_queued, n_writing;
    uint64_t said, number; /* numbers of records: said last, written last */
    struct kept_queues queues;
    uint64_t latency_ns, random, n_reads, n_said[16];
    bool is_full, is_torn, is_unreadable;
};

struct node {
    char name[8], address[16];
    struct core_config config;
    struct core *core;
    struct core_effects effects;
    unsigned life;
    bool is_frozen, is_cut, is_finding, has_exited, is_broken;
    uint64_t slowness;
    uint32_t cores;
    struct list runs;
    struct list held; /* of item.held */
    struct item tick;
    struct world_client client;
    uint32_t n_started;
    uint64_t n_effects[32], n_sent[128], n_steps;
    struct {
        struct wire_hash hash;
        uint64_t link;
    } fetches[512];
    unsigned n_fetches;
    struct world_closed closed;
    struct disk disk;
    struct core_book door, kept; /* as the shell and its file have them */
    struct core_invitation invitations[CORE_INVITATIONS_MAX];
    uint32_t n_invitations;
    int trust_error;               /* of each write of that file */
    uint32_t protocol;             /* the highest that it speaks */
    uint64_t room;                 /* for each blob it fetches */
    bool has_watched[WATCHED_MAX]; /* of world.watched */
    uint64_t lone_token[8];        /* of the last beat over link LONE_LINK + index */
};

struct world {
    uint64_t now_ns, latency_ns, run_ns, seed, drawn;
    struct heap heap;
    struct node nodes[WORLD_NODES_MAX];
    unsigned n_nodes; /* the highest that ever lived, and one */
    uint32_t n_running_max;
    enum wire_message_type lost; /* 0: none */
    struct wire_hash watched[WATCHED_MAX];
    unsigned n_watched;
    struct link *links;
    uint64_t n_links;
    bool is_tracing, is_ack_checked;
    uint64_t hash;
    struct buf text, line;
};

struct item *world_item_new(struct world *world, enum item_kind kind, unsigned i, uint64_t in_ns);
void world_item_free(struct world *world, struct item *item);
struct item *world_event_in(struct world *world, unsigned i, uint64_t in_ns,
                            const struct core_event *event);
void world_link_down_in(struct world *world, uint64_t id, unsigned side, uint64_t in_ns,
                        enum core_link_end end, enum wire_reason reason);
unsigned world_side_of(const struct link *link, unsigned i);
void world_step(struct world *world, unsigned i, struct core_event *event);
struct run *world_run_find(struct node *node, const struct wire_key *owner,
                           const struct wire_attempt_id *id);
void world_run_item(struct world *world, enum item_kind kind, unsigned i, const struct run *run,
                    uint64_t in_ns);
void world_on_start(struct world *world, unsigned i, const struct core_effect *effect);
void world_run_started(struct world *world, unsigned i, struct run *run);
void world_run_finish(struct world *world, unsigned i, struct run *run);
void world_run_pause(struct world *world, unsigned i, struct run *run, bool is_paused);
void world_run_stream(struct world *world, unsigned i, struct run *run);
void world_client_say_in(struct world *world, unsigned i, const struct wire_message *message);
void world_feed(struct world *world, unsigned i);
/* Whether a fetch is answered without the peer: the blob is here, or finds no room. */
bool world_store_answers(struct world *world, unsigned i, const struct core_effect *effect);
void world_check_start(struct world *world, unsigned i, const struct core_effect *effect);
/* core_world_queue.c: what a client hears of queues. */
void world_queue_on_message(struct world *world, unsigned i, const struct wire_message *message);
void world_disk_init(struct world *world, unsigned i);
void world_disk_start(struct world *world, unsigned i);
void world_disk_kill(struct world *world, unsigned i);
void world_disk_on_journal(struct world *world, unsigned i, const struct core_record *record);
void world_disk_on_read(struct world *world, unsigned i, const struct core_effect *effect);
void world_disk_written(struct world *world, unsigned i);
void world_disk_read(struct world *world, const struct item *item);
/* JOURNAL_LOOK and JOURNAL_LIST, and their answers. */
void world_disk_on_look(struct world *world, unsigned i, const struct core_effect *effect);
void world_disk_look(struct world *world, const struct item *item);
/* How a handshake ends: NONE, and the doors of the one that dialled and of the other; or why not.
 */
enum wire_reason world_doors(struct world *world, unsigned from, unsigned to,
                             const struct world_proof *proof,
                             enum wire_door_kind ret_doors[static 2]);
void world_on_trust(struct world *world, unsigned i, const struct core_effect *effect);
void world_on_draw(struct world *world, unsigned i);
void world_trust_init(struct node *node);
void world_trust_done(struct node *node);
const struct core_trust_state *world_trust_start(struct node *node, struct core_trust_state *state);
void world_on_client_send(struct world *world, unsigned i, const struct wire_message *message);

#endif
