/* Local clients: what they ask and what they are told. */
#ifndef MESH_CORE_CLIENT_H
#define MESH_CORE_CLIENT_H

#include "mesh/core/core_internal.h"

void core_client_on_event(struct core *core, const struct core_event *event);
/* Watchers are told of changed peers, and the daemon that nobody needs ends. */
void core_client_after_step(struct core *core);
/* The daemon ends: every client hears so from its connection, and nothing more, and its jobs that
 * are not kept end as if it had left. What became of their tasks is not known, so none is said to
 * have failed. */
void core_client_close_all(struct core *core);
void core_client_free_all(struct core *core);

/* stats.c: the tables */
void core_stats_send_peers(struct core *core, struct core_client *client);
void core_stats_send_stats(struct core *core, struct core_client *client);
/* Those in memory, and behind them those that ended, as the disk has them. */
void core_stats_send_jobs(struct core *core, struct core_client *client,
                          const struct wire_job_row *over, uint32_t n_over);

#endif
