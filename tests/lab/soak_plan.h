/* What the soak does to whom when: a plan for each round, drawn from the seed and the number of the
 * round and from nothing else. Pure.
 *
 * The rule, so that nothing more breaks than the promises bear:
 *  - no more than half of the hosts are struck at once; the others can do the work;
 *  - a host has at most one fault of its processes at a time and one of its cable, which may meet,
 *    and some time between two of a kind; a host without power has no other;
 *  - the daemons of the first host (which submits) and of one more (which does not) are never
 *    restarted, so that what they grow shows: they are frozen, and their cables suffer;
 *  - cells and workers are killed at least SOAK_CELL_GAP_MS apart, by which a task that was hit has
 *    begun again and mostly ended: one that loses three cells is failed, as promised;
 *  - at a round's end every fault is over. */
#ifndef MESH_LAB_SOAK_PLAN_H
#define MESH_LAB_SOAK_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define SOAK_HOSTS_MAX   8
#define SOAK_SUBMITTERS  3 /* the first hosts; they offer cores as well */
#define SOAK_FAULTS_MAX  160
#define SOAK_CELL_GAP_MS 10000

/* KIND, text, may strike a daemon that is never restarted, shortest and longest in ms */
#define SOAK_KINDS(X)                                                                              \
    X(KILL, "kill -9 of meshd, and restart", false, 1, 5000)                                       \
    X(STOP, "SIGTERM of meshd, and restart", false, 1, 3000)                                       \
    X(POWER, "power off, and on", false, 1000, 12000)                                              \
    X(FREEZE_DAEMON, "meshd frozen", true, 300, 15000)                                             \
    X(FREEZE_HOST, "host frozen", true, 300, 15000)                                                \
    X(KILL_CELL, "kill -9 of a cell", true, 0, 0)                                                  \
    X(KILL_WORKER, "kill -9 of a worker of calls", true, 0, 0)                                     \
    X(KILL_SUBMIT, "kill -9 of a mesh submit or wait", true, 0, 0)                                 \
    X(UNPLUG, "cable out", true, 500, 20000)                                                       \
    X(CUT, "cable cut, carrier stays", true, 500, 20000)                                           \
    X(MUTE, "one way: is not heard", true, 500, 10000)                                             \
    X(DEAF, "one way: hears nothing", true, 500, 10000)                                            \
    X(LOSS, "packets lost (1, 5 or 20 %)", true, 4000, 20000)                                      \
    X(DELAY, "delay of 10 to 250 ms, with jitter", true, 4000, 20000)                              \
    X(REORDER, "10 % of packets overtaken by 30 ms", true, 4000, 20000)                            \
    X(DOUBLE, "10 % of packets doubled", true, 4000, 20000)                                        \
    X(FLIP, "1 % of packets with a wrong bit", true, 3000, 15000)                                  \
    X(SWAP, "0.1 % with words swapped, which checksums miss", true, 3000, 15000)                   \
    X(SLOW, "line of 1 Mbit/s", true, 4000, 20000)                                                 \
    X(NO_MULTICAST, "multicast blocked", true, 4000, 20000)                                        \
    X(ADDRESS, "another address, and the first again", true, 3000, 12000)                          \
    X(PARTITION, "partition of several hosts, and heal", true, 1000, 15000)

enum soak_kind {
#define X(name, text, is_for_all, low_ms, high_ms) SOAK_##name,
    SOAK_KINDS(X)
#undef X
        SOAK_N_KINDS
};

struct soak_fault {
    enum soak_kind kind;
    unsigned begin_ms; /* from the round's beginning */
    unsigned end_ms;
    uint32_t hosts; /* bit i: host i; one, but for a partition */
    unsigned value; /* percent of LOSS, ms of DELAY */
    /* What came of it, for who carries it out. */
    bool is_begun;
    bool is_over;
    bool is_missed; /* there was nothing to strike */
};

struct soak_plan {
    unsigned n;
    struct soak_fault faults[SOAK_FAULTS_MAX]; /* in order of their beginning */
};

const char *soak_kind_text(enum soak_kind kind);

/* Whether this host's daemon is never restarted. */
bool soak_is_steady(unsigned host);

/* The faults of this round (0, 1, ...), which all end within round_ms. */
void soak_plan_draw(struct soak_plan *plan, uint64_t seed, unsigned round, unsigned n_hosts,
                    unsigned round_ms);

#endif
