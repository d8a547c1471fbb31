/* A daemon for tests of libmesh: it speaks the local socket's messages, and runs each call in a
 * worker that is forked from the test and runs libmesh's own worker: one for each peer it claims to
 * have. Functions that the test registers are theirs, and so are the test's pipes. */
#ifndef MESH_TESTS_FAKE_CALLS_H
#define MESH_TESTS_FAKE_CALLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fake_calls_counts { /* shared with the daemon, whichever it is */
    atomic_uint n_begun;   /* calls that a worker was given */
    atomic_uint n_submits, n_tasks, n_puts, n_releases, n_acked, n_daemons;
    atomic_uint n_unreleased;       /* blobs that somebody must release */
    atomic_uint n_open, n_open_max; /* tasks without a result */
    atomic_uint cores;
    atomic_uint n_away, n_gets, n_lost; /* results that stayed; that were asked for; lost */
};

struct fake_calls_options {
    uint32_t n_workers; /* 0: 2 */
    uint32_t credit;    /* tasks that may be outstanding; 0: 256 */
    uint32_t die_after; /* the first daemon ends after so many results; 0: it does not */
    uint32_t n_daemons; /* that are there one after the other; 0: 1 */
    uint32_t refuse;    /* enum wire_error for a submit; 0: accepts it */
    bool refuses_puts;
    bool keeps_results; /* large ones stay away where the call lets them */
    uint32_t
        n_losses; /* so many of these are lost, each when a call is to read it, or is asked for */
};

struct fake_calls {
    char dir[64];
    char path[96]; /* of the socket */
    pid_t pid;
    struct fake_calls_counts *counts;
};

void fake_calls_start(struct fake_calls *daemon, const struct fake_calls_options *options);
void fake_calls_stop(struct fake_calls *daemon);

#endif
