/* The daemon's parts, and the one way by which what happened becomes what is done:
 *
 *     a part's fact -> meshd_put() -> core_step() -> effects, carried out in order by the parts
 *
 * Shared by meshd.c (set-up), meshd_end.c, meshd_step.c (the way above) and meshd_effect.c (who
 * carries out what). No decisions here: an `if` about jobs or peers belongs in the core. */
#ifndef MESH_MESHD_INTERNAL_H
#define MESH_MESHD_INTERNAL_H

#include <uv.h>

#include "mesh/blobs.h"
#include "mesh/cgroup.h"
#include "mesh/control.h"
#include "mesh/core/core.h"
#include "mesh/executor.h"
#include "mesh/finder.h"
#include "mesh/journal.h"
#include "mesh/link.h"
#include "mesh/log.h"
#include "mesh/options.h"
#include "mesh/remember.h"
#include "mesh/state_dir.h"
#include "mesh/transfer.h"
#include "mesh/trust.h"
#include "wire/base/list.h"

/* From the beginning of the end: longer than a cell may take to close (cell.c). */
#define MESHD_END_MS     15000
#define MESHD_LOOKUPS_MS 500 /* for look-ups of names alone, when all else is closed */
#define MESHD_PARTS_MAX  9

/* A part that was told to close. */
struct meshd_closing {
    struct meshd *meshd;
    const char *what; /* a literal */
    bool is_open;
};

struct meshd {
    const struct meshd_options *options;
    struct meshd_log log;
    struct meshd_log_rate log_rate;
    uv_loop_t loop;
    uv_timer_t deadline;  /* the core's next */
    uint64_t deadline_ns; /* for which it is armed; UINT64_MAX: it is not */
    uv_prepare_t prepare; /* before each wait: flush, arm the deadline */
    uv_idle_t again;      /* started while a flush was left unfinished */
    uv_signal_t signals[2];
    struct meshd_state state;
    char state_path[MESHD_PATH_BYTES];
    char socket_path[MESHD_PATH_BYTES];
    char cgroup[CGROUP_PATH_BYTES]; /* see cgroup.h; "": none */
    bool is_socket_bound;           /* by root, before it became another */
    int socket_fd;                  /* then; the control's once there is one */
    struct wire_identity *identity;
    uint32_t cores_effective;
    uint64_t host_checked_ns;
    uint64_t seed; /* random, for hash tables */
    struct core *core;
    struct core_effects effects;
    bool is_stepping;
    struct list deferred; /* events that came while effects were carried out */
    struct meshd_blobs *blobs;
    struct meshd_trust *trust;
    struct meshd_journal *journal;
    struct meshd_links *links;
    struct meshd_transfers *transfers;
    struct meshd_control *control;
    struct meshd_executor *executor;
    struct meshd_remember *remember;
    struct meshd_finder *finder;
    bool is_loop_open;
    bool is_ending;
    uint32_t n_lookups;  /* of names, under way */
    uv_timer_t patience; /* with the end; runs from its beginning */
    struct meshd_closing closings[MESHD_PARTS_MAX];
    unsigned n_closings;
    unsigned n_closing; /* parts of the present stage that are not closed yet */
    int stage;          /* of the end */
    int status;         /* of the process */
    char host[WIRE_NAME_BYTES_MAX + 1];
    char arch[WIRE_ARCH_BYTES_MAX + 1];
    char os[WIRE_OS_BYTES_MAX + 1];
    char address[WIRE_ADDRESS_BYTES_MAX + 1];
};

/* --- meshd_step.c --- */

/* The sink of all parts; user is the struct meshd. */
void meshd_put(void *user, struct core_event *event);
/* At the end: what nobody will hear of any more. */
void meshd_drop_deferred(struct meshd *meshd);
/* Before the loop waits: what is queued leaves, the deadline is armed. */
void meshd_settle(struct meshd *meshd);

/* --- meshd_effect.c --- */

void meshd_carry_out(struct meshd *meshd, const struct core_effect *effect);

/* --- meshd_become.c --- */

/* The first thing of all: finds the paths, and makes of root what it is to be from now on. Says so
 * in the log. 0 or -errno with one line in err. */
int meshd_become(struct meshd *meshd, struct errmsg *err) MUST_CHECK;

/* --- meshd_end.c --- */

/* Begins the end; the loop ends when all is closed, or the process after MESHD_END_MS. May be
 * called more than once. */
void meshd_end(struct meshd *meshd, int status);

#endif
