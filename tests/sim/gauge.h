/* What cores cost: their time, by what they did it for, and the memory that they hold.
 *
 * Time. Two readings of CLOCK_MONOTONIC (no system call) around each step; what two readings cost
 * with nothing between them is subtracted. As others may have had the processor meanwhile, the sum
 * is scaled by the share of it that this process had over the whole span, by
 * CLOCK_PROCESS_CPUTIME_ID: so it is process CPU time without a system call in each step.
 *
 * Memory. What is allocated while a core is made or steps, its batch of effects included, until it
 * is freed there, as malloc() rounds it. */
#ifndef MESH_TESTS_SIM_GAUGE_H
#define MESH_TESTS_SIM_GAUGE_H

#include "tests/sim/sim_internal.h"

enum gauge_role {
    GAUGE_OWNER,    /* clients, and what executors answer */
    GAUGE_EXECUTOR, /* what owners ask, and what programs do */
    GAUGE_REST,     /* peers, sessions, beats, timers */
    GAUGE_N_ROLES,
};

struct gauge_memory {
    uint64_t bytes, peak;
};

struct gauge_times { /* of a span */
    double cpu_ns[GAUGE_N_ROLES];
    uint64_t n_steps[GAUGE_N_ROLES];
    double share; /* of the processor that this process had */
};

struct gauge {
    struct sim_gauge told;
    double pair_ns; /* two readings with nothing in between */
    uint64_t from_ns, ns[GAUGE_N_ROLES], n_steps[GAUGE_N_ROLES];
    uint64_t span_ns, span_cpu_ns;   /* when it began */
    struct gauge_memory *memory;     /* of each node, by index */
    struct gauge_memory *of_present; /* of the core that steps, or NULL */
};

/* Measures the clock; from now on allocations are counted. Before the first allocation. */
void gauge_init(struct gauge *gauge, unsigned n_nodes);
void gauge_done(struct gauge *gauge);
void gauge_span_begin(struct gauge *gauge);
struct gauge_times gauge_span_end(const struct gauge *gauge);

#endif
