/* What each host's daemon has of memory, descriptors, threads and processes, from /proc, and
 * whether that grows.
 *
 * What is compared are rests only: moments in which nothing ran, no client was there, and the mesh
 * was whole. Each value of a rest is the median of SOAK_LOOKS looks. The first rests after
 * SOAK_SETTLE_MINUTES (pools, caches and tables have their size then) are held against the last
 * ones of the run, median against median.
 *
 * The limits, and why:
 *  - descriptors, processes, files: none. A quiet daemon of the same mesh has the same ones;
 *    SOAK_FDS_MORE is for a connection that is just being replaced. What a cut left of a blob is
 *    kept open for a minute, SOAK_PARTIALS_MAX at most: counted apart.
 *  - threads: none, where the daemon is the same; they are started when first needed.
 *  - memory: SOAK_RSS_MORE_KIB, where the daemon is the same. What it keeps for good is small (a
 *    record of each peer and blob), but malloc()'s arenas end up as large as their unluckiest
 *    moment made them, and the journal's cache fills. In half an hour about 53,000 tasks end
 * between the first rests and the last ones: an executor of eight runs an eighth of them, a
 * submitter of three has a third of them. So what is found is a leak of 160 bytes for each task
 * that is run, or of 60 for each that is submitted; of less in a longer run. How much it was for
 * 1,000 tasks of the whole mesh is printed beside it. Under a sanitizer memory is not judged: freed
 * memory is kept there on purpose. */
#ifndef MESH_LAB_SOAK_GAUGE_H
#define MESH_LAB_SOAK_GAUGE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/soak_plan.h"

#define SOAK_LOOKS          9
#define SOAK_LOOK_MS        200
#define SOAK_SETTLE_MINUTES 5
#define SOAK_WINDOW_MAX     3 /* rests on either side */
#define SOAK_RSS_MORE_KIB   1024
#define SOAK_FDS_MORE       2
#define SOAK_PARTIALS_MAX   16
#define SOAK_SAMPLES_MAX    20000 /* at one in SOAK_SAMPLE_MS, more than two days */
#define SOAK_SAMPLE_MS      10000

/* NAME, text */
#define SOAK_GAUGES(X)                                                                             \
    X(RSS, "rss_kib")          /* of meshd */                                                      \
    X(FDS, "descriptors")      /* of meshd, without the next */                                    \
    X(PARTIALS, "unfinished")  /* blobs that a cut left unfinished, which it has open */           \
    X(THREADS, "threads")      /* of meshd */                                                      \
    X(PROCESSES, "processes")  /* of the host */                                                   \
    X(CELLS_RSS, "others_kib") /* of all of these but its init and meshd */                        \
    X(FILES, "files")          /* in /tmp and /run of the host */                                  \
    X(BLOBS, "blobs")          /* in the store */                                                  \
    X(DISK, "disk_kib")        /* of the host */

enum soak_gauge {
#define X(name, text) SOAK_GAUGE_##name,
    SOAK_GAUGES(X)
#undef X
        SOAK_N_GAUGES
};

struct soak_sample {
    uint64_t at_ns;
    unsigned round;
    bool is_rest;
    uint64_t n_tasks;              /* that had ended by then, in the whole mesh */
    unsigned life[SOAK_HOSTS_MAX]; /* which of its daemons it was; 0: none ran */
    uint32_t values[SOAK_HOSTS_MAX][SOAK_N_GAUGES];
};

struct soak_gauges {
    struct soak_sample *samples; /* owned */
    unsigned n;
};

/* One host's one gauge, before and after. */
struct soak_growth {
    uint32_t first;
    uint32_t last;
    bool is_same_life; /* of the daemon */
    bool is_too_much;
};

struct soak;

const char *soak_gauge_text(enum soak_gauge gauge);

/* Looks once, and keeps it. */
void soak_gauges_take(struct soak *soak);
/* Looks several times and keeps the medians, as a rest. */
void soak_gauges_take_rest(struct soak *soak);

/* The processes of this host that are there now, its first included; with their names, parted by
 * spaces. */
unsigned soak_gauges_processes(struct soak *soak, unsigned host, char *names, unsigned n_names);

/* How many rests are on either side; 0: the run was too short to say anything. */
unsigned soak_gauges_window(const struct soak *soak);
struct soak_growth soak_gauges_growth(const struct soak *soak, unsigned host,
                                      enum soak_gauge gauge);
/* How many tasks ended in the whole mesh between the middle rests of either side. */
uint64_t soak_gauges_tasks_between(const struct soak *soak);
/* When the rests of either side were, in minutes. */
void soak_gauges_span(const struct soak *soak, bool is_last, double *ret_from, double *ret_to);

#endif
