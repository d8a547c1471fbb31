/* A mesh in memory: real cores and real sessions over a virtual clock and network, one thread, one
 * seed. Everything that happens is an entry in one queue ordered by virtual time, so that the same
 * options give the same run, bit for bit.
 *
 * A rule that is broken (oracle.c, core_check(), any ensure()) prints one line and aborts the
 * process: hunt.c runs seeds in children and takes note. */
#ifndef MESH_TESTS_SIM_SIM_H
#define MESH_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mesh/core/states.h"
#include "tests/sim/fault.h"
#include "wire/base/buf.h"

#define SIM_MS UINT64_C(1000000)
#define SIM_S  UINT64_C(1000000000)

#define SIM_PEERS_MAX 60u /* that a seed draws */
#define SIM_SKIPS_MAX 256u
#define SIM_TASKS_MIN 100u /* that a seed begins, at least; and so long it lasts: */
#define SIM_SPAN_MIN  (60 * SIM_S)
#define SIM_SIZES     5u /* of meshes: 2, 4, 8, 16, 32 peers and more */
#define SIM_FIRST_ALL UINT32_MAX

enum sim_transport {
    SIM_TRANSPORT_DRAWN, /* a tenth of the seeds FULL, the others FAST */
    SIM_TRANSPORT_FULL,  /* every byte as it travels: signed, sealed, checked */
    SIM_TRANSPORT_FAST,  /* the same, but for the curve arithmetic, which stands in (crypto.c) */
    SIM_TRANSPORT_BARE,  /* messages encoded and decoded, no sessions: for thousands of peers */
};

struct sim_options {
    uint64_t seed;
    uint32_t n_peers;     /* 0: drawn, log-uniform from 2 to SIM_PEERS_MAX */
    uint32_t seconds_min; /* virtual time before the faults stop, at least; 0: drawn */
    enum sim_transport transport;
    bool is_kind_off[SIM_N_FAULTS];
    uint32_t n_faults_first;       /* only the first so many of the schedule; SIM_FIRST_ALL: all */
    uint32_t skips[SIM_SKIPS_MAX]; /* and of those not these, by their number */
    uint32_t n_skips;
    bool is_calm;           /* no faults at all */
    bool is_plain;          /* hosts and jobs are all alike, for measuring (scale.c) */
    uint32_t plain_cores;   /* of each of them */
    uint32_t *planned;      /* borrowed; the faults in the schedule go there, before any strikes */
    struct buf *trace;      /* borrowed; NULL: none. One line for each event and effect */
    size_t trace_bytes_max; /* older lines go when it is longer */
    FILE *trace_file;       /* borrowed; or NULL. Each line as it comes */
};

struct sim_report {    /* what a run that broke no rule has to tell; everything adds up over runs */
    uint64_t n_events; /* core_step() calls */
    uint64_t n_faults, n_by_kind[SIM_N_FAULTS];
    uint32_t n_planned; /* faults in the schedule, before `first` and `skips` */
    uint64_t n_tasks, n_peers, n_jobs, n_attempts, n_second, n_recalled;
    uint64_t n_away, n_passed, n_gone;  /* results that stayed, were passed on, were lost */
    uint64_t n_closed, n_joins, n_bans; /* closed meshes; invited again; traitors put out */
    uint64_t n_queue_plays, n_queue_items, n_queue_dones; /* put, done: as clients heard it */
    uint64_t n_taken[CORE_N_MACHINES][CORE_ROWS_MAX];
    uint64_t n_frames, n_bytes, n_messages;
    uint64_t virtual_ns;
    uint64_t n_plays, n_full;         /* runs; with every byte as it travels */
    uint64_t n_by_size[SIM_SIZES];    /* by how many peers they began with */
    uint64_t least_ns, n_begun_least; /* shortest run; fewest tasks begun in one */
    uint64_t hash;                    /* of the whole trace */
    uint64_t slowest_permille;        /* largest share of a job's allowed time that was used */
    uint64_t n_shares;        /* windows in which submitters shared an executor (fairness.c) */
    uint64_t unfair_permille; /* largest part used of what a share may fall short by */
};

/* Plays one seed to its end. Returns only when no rule was broken. */
void sim_play(const struct sim_options *options, struct sim_report *ret_report);

/* Adds b to a. */
void sim_report_add(struct sim_report *a, const struct sim_report *b);

#endif
