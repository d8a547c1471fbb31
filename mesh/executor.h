/* The core's attempts and the cells that run them: START, KILL, RENEW, STREAM_WINDOW and CELL_CLOSE
 * on one side, mesh/cell.h on the other. Here it is settled what a task's cell gets: the files of
 * its job, its input, its environment; and outputs too large for a message go into the blob store
 * before the core hears that the attempt ended. */
#ifndef MESH_EXECUTOR_H
#define MESH_EXECUTOR_H

#include <uv.h>

#include "mesh/blobs.h"
#include "mesh/core/effect.h"
#include "mesh/log.h"
#include "mesh/options.h"
#include "mesh/sink.h"
#include "mesh/state_dir.h"

struct meshd_executor;

struct meshd_executor_config {
    uv_loop_t *loop;
    struct meshd_sink sink;
    struct meshd_blobs *blobs; /* borrowed, as all below */
    const struct meshd_log *log;
    const struct meshd_options *options;
    const struct meshd_state *state;
    const char *peer_name;     /* what tasks see as MESH_PEER */
    const char *arch;          /* files of other architectures are left out */
    uint64_t table_seed;       /* random: keys of attempts are chosen by others */
    const char *control_group; /* see cell_groups_init(); "": none */
};

/* Whether an executor could be made by this process as it is, and whether it would have a sandbox;
 * if it would not, err says why. Leaves nothing behind. 0 or -errno with err set. */
int meshd_executor_try(const struct meshd_options *options, bool *ret_has_sandbox,
                       struct errmsg *err) MUST_CHECK;
/* Finds out whether cells can be sandboxed here. 0 or -errno with err set. */
int meshd_executor_new(const struct meshd_executor_config *config,
                       struct meshd_executor **ret_executor, struct errmsg *err) MUST_CHECK;
/* Kills what runs and closes. No event is put any more; on_closed is called from the loop, and the
 * executor is freed before it. */
void meshd_executor_close(struct meshd_executor *executor, void (*on_closed)(void *user),
                          void *user);

/* False: strangers' tasks are refused. */
bool meshd_executor_has_sandbox(const struct meshd_executor *executor);

/* One of the five effects above. */
void meshd_executor_carry_out(struct meshd_executor *executor, const struct core_effect *effect);

#endif
