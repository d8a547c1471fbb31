/* The soak: hosts under random faults for as long as one likes, while three of them submit endless
 * jobs whose every line of output is checked; and whether the daemons grow.
 *
 * It goes in rounds. In each there are faults by plan (soak_plan.h) and jobs (soak_job.h); then
 * every fault is over, no new job begins, those that are there end, the mesh becomes whole, and
 * what each daemon has of memory, descriptors and processes is taken when nothing runs
 * (soak_gauge.h). What is not as it must be is blamed: counted, printed, and the run goes on. */
#ifndef MESH_LAB_SOAK_H
#define MESH_LAB_SOAK_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/daemons.h"
#include "tests/lab/soak_gauge.h"
#include "tests/lab/soak_job.h"
#include "tests/lab/soak_plan.h"

/* Each host's daemon offers so many cores, which all are mostly waited in. */
#define SOAK_CORES "2"
/* So much disk each host has: a tenth of it is for files of others, which is not much. */
#define SOAK_DISK_BYTES (UINT64_C(512) << 20)
/* What ends of itself when all faults are over must have done so by then; under a sanitizer as
 * well. */
#define SOAK_PATIENCE_MS 120000
/* From SIGTERM to the end of a daemon. */
#define SOAK_STOP_MS     20000
#define SOAK_BLAMES_KEPT 20

/* NAME, text */
#define SOAK_FAILURES(X)                                                                           \
    X(LOST, "lost")       /* tasks without a result in a job that ended well, or never */          \
    X(DOUBLED, "doubled") /* results that came twice */                                            \
    X(WRONG, "wrong")     /* results that are not what they must be */                             \
    X(BAD_END, "ends against the rule") /* of jobs */                                              \
    X(CRASHED, "daemons that ended by themselves")                                                 \
    X(NOT_WHOLE, "meshes that did not become whole")                                               \
    X(LEFT, "left over when all was quiet") /* processes, jobs */                                  \
    X(GREW, "grown")

enum soak_failure {
#define X(name, text) SOAK_##name,
    SOAK_FAILURES(X)
#undef X
        SOAK_N_FAILURES
};

struct soak_options {
    double minutes;
    uint64_t seed;
    unsigned n_hosts;
    unsigned round_ms;  /* of faults, in each round */
    const char *folder; /* for the report, absolute; NULL: none */
};

struct soak_host {
    struct soak *soak;
    struct lab_host *host;
    struct lab_process *daemon;
    unsigned index;
    bool is_wanted;     /* its daemon is to run */
    bool is_ready;      /* it answers */
    bool is_frozen;     /* it, or all of the host */
    uint64_t struck_ns; /* when its daemon was last killed, or told to end, in any way */
    uint64_t frozen_ns; /* when it was last frozen; 0: never */
    uint64_t thawed_ns; /* when it last went on after that */
    unsigned n_lives;   /* of its daemon */
    struct soak_job jobs[SOAK_SLOTS]; /* of a submitter */
    unsigned n_jobs;                  /* that it ever had */
};

struct soak {
    struct soak_options options;
    struct lab *lab;
    struct soak_host hosts[SOAK_HOSTS_MAX];
    uint64_t begun_ns;
    uint64_t round_ns; /* when this round began */
    unsigned round;
    struct soak_plan plan;
    unsigned n_faults[SOAK_N_KINDS];
    unsigned n_missed; /* kills that found nothing to kill */
    uint64_t n_failures[SOAK_N_FAILURES];
    char blames[SOAK_BLAMES_KEPT][512];
    unsigned n_blames;
    struct soak_count count;
    struct soak_gauges gauges;
    struct json_t *schedule; /* of what was done when; owned */
    uint64_t next_line_ns;   /* of progress */
    uint64_t next_look_ns;
};

static inline double soak_minutes(const struct soak *soak, uint64_t at_ns)
{
    return (double)(at_ns - soak->begun_ns) / 60e9;
}

/* Something is not as it must be, `n` times over. */
void soak_blame(struct soak *soak, enum soak_failure failure, uint64_t n, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* soak.c: everything that goes on besides faults, and some milliseconds of sleep. */
void soak_tick(struct soak *soak, bool may_begin);

/* soak_fault.c: the faults that are due begin and end; whether all of the plan is over. */
bool soak_faults_step(struct soak *soak);
/* Starts meshd on a host. */
void soak_start_daemon(struct soak_host *host);
/* Notices which daemons answer, and which have ended by themselves; those are started again. */
void soak_watch_daemons(struct soak *soak);

/* soak_rest.c: all is over: waits until nothing runs and the mesh is whole, blames what is not, and
 * takes the measure. */
void soak_rest(struct soak *soak);

/* soak_report.c: what the daemon has logged goes to the report's folder, if there is one. */
void soak_keep_log(struct soak_host *host);
/* And this text, in a file of this name. */
void soak_keep_text(struct soak *soak, const char *what, const char *name, const char *text);
/* And what a job's process has printed. */
void soak_keep_output(struct soak_host *host, struct soak_job *job);
const char *soak_failure_text(enum soak_failure failure);
void soak_print_progress(struct soak *soak);
/* Prints the report and, if asked for, writes it with all samples and faults as JSON; whether all
 * was as it must be. */
bool soak_report(struct soak *soak);
/* In the JSON report: this fault began or ended now. */
void soak_note_fault(struct soak *soak, const struct soak_fault *fault);

#endif
