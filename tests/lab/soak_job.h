/* The soak's jobs: what they are, how they begin, and what their end has to be.
 *
 * The rule. A job whose `mesh submit` ends with 0 has each result once, whole and right, in order
 * where that was asked for. It may end with 125 for two reasons only:
 *  - its daemon was killed or stopped while it ran. What was printed until then is right, and what
 *    it says of how many tasks have no result is so.
 *  - its daemon was frozen for nearly as long as a command waits (soak_check.h) just before that,
 *    and it says that nobody answers. What was printed is right as far as it goes. Such ends are
 *    counted apart.
 * A detached job whose id was printed ends as the first, whatever happens to its daemon, as soon as
 * one runs again; `mesh wait` may be cut as often as one likes. Who is killed with kill -9, or with
 * its host, has no end: abandoned, and what it printed is right as far as it goes. Any other end is
 * against the rule.
 *
 * With --once no task begins twice, whatever happens, which a log of their beginnings shows; what
 * was lost with its peer is said to have failed, and all else has its result. */
#ifndef MESH_LAB_SOAK_JOB_H
#define MESH_LAB_SOAK_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/process.h"

#define SOAK_SLOTS     3   /* jobs of a submitter at once */
#define SOAK_TASKS_MAX 120 /* of a job */

/* NAME, text */
#define SOAK_JOBS(X)                                                                               \
    X(PLAIN, "plain")                                                                              \
    X(ORDERED, "in order (-k)")                                                                    \
    X(BASE, "with a file that all tasks read")                                                     \
    X(FILES, "with files sent and returned")                                                       \
    X(OUTPUT, "with much output")                                                                  \
    X(STDIN, "one task with standard input")                                                       \
    X(DETACHED, "detached")                                                                        \
    X(DETACHED_FILES, "detached, with files")                                                      \
    X(ONCE, "of tasks that run at most once (--once)")                                             \
    X(CALLS, "calls of functions")

enum soak_job_kind {
#define X(name, text) SOAK_JOB_##name,
    SOAK_JOBS(X)
#undef X
        SOAK_N_JOBS
};

enum soak_job_state {
    SOAK_JOB_NONE,
    SOAK_JOB_RUNS,    /* `mesh submit`, or a program of libmesh */
    SOAK_JOB_IS_KEPT, /* detached: its id is known, and nobody waits for it */
    SOAK_JOB_IS_AWAITED,
    SOAK_JOB_IS_OVER,      /* detached: its results are here, and it is to be forgotten */
    SOAK_JOB_IS_FORGOTTEN, /* `mesh forget` runs */
};

struct soak_host;
struct soak;

struct soak_job {
    enum soak_job_state state;
    enum soak_job_kind kind;
    struct lab_process *process;
    uint64_t begun_ns; /* of that process */
    bool is_killed;    /* that process, by us */
    unsigned number;   /* of its submitter's */
    unsigned n_tasks;
    unsigned ms;
    unsigned n_lines;   /* that each task prints */
    unsigned n_bytes;   /* of each file */
    unsigned n_forgets; /* `mesh forget` of a detached one */
    uint64_t first_ns;  /* when its first process began */
    uint64_t seed;      /* of its files */
    char id[32];        /* of a detached one */
    char folder[128];   /* its own, below the share */
};

/* What came of all jobs. */
struct soak_count {
    unsigned n_jobs[SOAK_N_JOBS]; /* that ended as they must */
    uint64_t n_tasks;             /* checked, of these */
    uint64_t n_bytes;             /* of output and files, checked */
    uint64_t n_once_lost;         /* tasks of --once that were lost with their peer, and said so */
    unsigned n_cut_jobs;          /* ended with 125, with their daemon */
    uint64_t n_cut_tasks;         /* results that they had */
    unsigned n_abandoned;         /* kill -9 of mesh submit, or the power */
    unsigned n_unanswered;        /* 125, as their daemon was frozen for as long as one waits */
    unsigned n_asked_again;       /* `mesh wait` and `mesh forget`, for that reason */
    unsigned n_survived;          /* detached ones that were cut and ended well */
    unsigned n_unasked;           /* kept, and nobody had learned their number */
};

const char *soak_job_text(enum soak_job_kind kind);
bool soak_job_has_files(const struct soak_job *job);
bool soak_job_is_detached(const struct soak_job *job);
/* The file in which each of its tasks says that it begins; until the next call. */
const char *soak_job_log_path(struct soak_host *host, const struct soak_job *job);

/* Begins a job in this slot, which is free. */
void soak_job_begin(struct soak_host *host, struct soak_job *job);

/* Looks whether its process has ended, checks what it did and goes on; may_begin: a slot that is
 * free gets a new job. */
void soak_jobs_step(struct soak *soak, bool may_begin);

/* How many jobs there are. */
unsigned soak_jobs_count(const struct soak *soak);

/* kill -9 of the oldest `mesh submit` or `mesh wait` of this host; false: there is none. */
bool soak_jobs_kill_one(struct soak_host *host);

/* The host is without power: all their processes have ended. */
void soak_jobs_on_power_off(struct soak_host *host);

#endif
