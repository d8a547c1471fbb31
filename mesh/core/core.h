/* Every decision of a peer: who is alive, which job's task runs where, what is kept and what is
 * dropped. A pure state machine: one event in, a batch of effects out.
 *
 * It never reads a clock, opens a file, draws a random number from outside its seed, starts a
 * thread or calls back. The same config and the same events give the same effects on every
 * machine. Two shells drive it: the daemon over libuv, and the simulator.
 *
 * A core has the two roles every peer has. As submitter it owns jobs (job.h, task.h, place.h); as
 * executor it runs attempts (exec.h). To itself it talks through the same messages as to others. */
#ifndef MESH_CORE_CORE_H
#define MESH_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/core/effect.h"
#include "mesh/core/event.h"
#include "mesh/core/states.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

struct core;

struct core_config {
    struct wire_key key;
    uint64_t epoch;       /* random, of this life of the daemon */
    uint32_t incarnation; /* raised at each start */
    uint64_t seed;        /* for hash tables, jitter and tie-breaks */
    uint64_t now_ns;
    const char *name, *arch, *os, *program, *address; /* copied; address: own, for tables */
    uint32_t cores;           /* offered: --cores or the effective processors */
    uint32_t cores_effective; /* what a later detection is compared with */
    bool are_cores_fixed;     /* --cores: detection does not change them */
    uint64_t mem_bytes;       /* what tasks may use together; 0: unknown */
    uint64_t dead_after_ns;   /* --dead-after; 3 s */
    bool has_sandbox;         /* false: others get no cores, and their tasks are refused */
    /* End this long after the last client and job; 0: never. Such a daemon has been started for a
     * client: its first jobs wait for a peer, CORE_STARTUP_NS at most. */
    uint64_t exit_idle_ns;
    /* As it was kept last, copied; the door is made of it already. NULL: nothing was, and the mesh
     * is open: anybody may join, and cores are shared among source addresses, then keys. */
    const struct core_trust_state *trust;
    /* From how many peers on a mesh is large, and how many others are then chosen; 0:
     * CORE_DENSE_MAX and CORE_CHOSEN. Tests make them small. */
    uint32_t dense_max, chosen;
    bool is_for_own; /* others get no cores: another daemon on this host offers them */
    /* The shell has a disk that keeps records (effect.h): detached jobs are taken. The first events
     * are then those of the journal, up to JOURNAL_END; only TICK and STOP may come before. */
    bool has_journal;
};

/* Aborts when memory is short. */
struct core *core_new(const struct core_config *config) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct core *core_free(struct core *core);

/* Takes one event in; `effects` is cleared first and then holds what is to be done. Events come
 * with times that never go back. */
void core_step(struct core *core, const struct core_event *event, struct core_effects *effects);

/* When to call with a TICK at the latest, UINT64_MAX for never. */
uint64_t core_next_deadline(const struct core *core);

/* Whether tasks run here that are neither this peer's nor of its origin: of ourselves or of others.
 * The key may be of nobody. */
bool core_is_working_for_others(const struct core *core, const struct wire_key *key);

/* Walks everything and aborts where an invariant (mesh/core/README.md, by number) does not hold. */
void core_check(const struct core *core);

/* What is held: for leak checks in tests and the simulator. */
struct core_counts {
    uint32_t n_peers, n_peers_up, n_peers_known, n_links, n_dials, n_clients;
    uint32_t n_jobs, n_tasks, n_attempts;                          /* as submitter */
    uint32_t n_held_queued, n_held_running, n_held_ended, n_cells; /* as executor */
    uint32_t cores_used, n_blob_refs;
    uint32_t n_lefts,
        n_waiters; /* results left with others; peers that ask for what is left here */
    /* Of the journal: said and not answered; to be said again; results of tasks among these. */
    uint32_t n_records_said, n_records_failed, n_keeping;
    /* Queues here, items and gets in them (done ones that are remembered included); puts and gets
     * of clients that are not over. */
    uint32_t n_queues, n_items, n_takers, n_asks;
    bool is_sparse; /* a large mesh: sessions with some */
};
struct core_counts core_counts(const struct core *core);
/* How often each row of each table was taken: valid until core_free(). */
const struct core_moves *core_moves_of(const struct core *core);

#endif
