/* An executor by itself, for tests: one core, owners that exist only as the links they speak over,
 * and programs that end when the test says so. What must never be is asserted inside. */
#ifndef MESH_TESTS_CORE_HOST_H
#define MESH_TESTS_CORE_HOST_H

#include "mesh/core/core.h"
#include "mesh/core/limits.h"
#include "tests/lib/runner.h"

#define HOST_MEM_BYTES (UINT64_C(8) << 30)
#define RUNS_MAX       64
#define CLIENT         7u

enum { SELF, ADA, BOB, CYD, N_OWNERS, NOBODY = N_OWNERS };

struct run { /* a program of an owner that was started and did not end */
    unsigned owner;
    struct wire_attempt_id id;
    uint64_t cell;
};

struct host {
    struct core *core;
    struct core_effects effects;
    uint64_t now_ns;
    struct run runs[RUNS_MAX]; /* in the order of their start */
    unsigned n_runs;
    unsigned n_tasks[N_OWNERS], n_refused[N_OWNERS];
    enum wire_refusal refusal; /* the last */
    struct wire_credit credit[N_OWNERS];
    unsigned n_kills, n_renewals, n_beats, n_served[N_OWNERS]; /* blobs */
    uint64_t own_job;                                          /* 0: none was submitted here */
    unsigned first; /* the owner of the first task that the last step started; or NOBODY */
    uint64_t first_job;
    uint32_t first_task;
    unsigned n_first;
    uint64_t closed; /* the cell that it closed last; 0: none */
};

void host_step(struct host *host, struct core_event event);
void host_pass(struct host *host, uint64_t ns);
/* Else its loop would seem to be late. */
void host_pass_slowly(struct host *host, uint64_t ns);
void host_say(struct host *host, unsigned owner, const struct wire_message *message);
void host_name_job(struct host *host, unsigned owner, uint64_t job, struct wire_job_spec spec);
/* Task numbers count by owner over all its jobs. */
struct wire_attempt_id host_try_to_place(struct host *host, unsigned owner, uint64_t job);
struct wire_attempt_id host_place(struct host *host, unsigned owner, uint64_t job);
unsigned host_n_running(const struct host *host, unsigned owner);
/* The one that runs longest. */
struct run host_take_run(struct host *host, unsigned owner);
void host_end_run(struct host *host, const struct run *run, struct wire_result result);
void host_acknowledge(struct host *host, const struct run *run);
/* A program of this owner ends, after a millisecond; the owner of what starts in its place. */
unsigned host_end_one(struct host *host, unsigned owner);
/* Owners 1 to n, each with a job of its number whose tasks are known to be short, so that its
 * credit goes beyond the cores. */
void host_init(struct host *host, uint32_t cores, unsigned n_owners);
void host_done(struct host *host);
struct wire_key host_key_of(unsigned owner);

#endif
