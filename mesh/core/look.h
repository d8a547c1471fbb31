/* What the core has to ask its disk: of a job that it may have forgotten, as clients do who attach
 * to one or want it gone, and as jobs do that wait for others. The structure is core_look of
 * core_internal.h.
 *
 * look.c asks and answers clients; after.c is what becomes of jobs that wait for others. */
#ifndef MESH_CORE_LOOK_H
#define MESH_CORE_LOOK_H

#include "mesh/core/core_internal.h"

void core_look_init(struct core *core);
void core_look_free_all(struct core *core);
void core_look_on_looked(struct core *core, const struct core_event *event);
void core_look_on_listed(struct core *core, const struct core_event *event);
void core_look_on_client_down(struct core *core, uint64_t client);

/* Requests of clients; each is answered. */
void core_look_on_attach(struct core *core, struct core_client *client,
                         const struct wire_attach *attach);
void core_look_on_forget(struct core *core, struct core_client *client, uint64_t job);
/* Of a job that is not in memory: says why it cannot be cancelled. */
void core_look_on_cancel(struct core *core, struct core_client *client, uint64_t job);
void core_look_on_list(struct core *core, struct core_client *client);
/* False: this client is not attached to it. */
bool core_look_on_done_ack(struct core *core, const struct core_client *client,
                           const struct wire_done_ack *ack);
/* A result of it, or its end, is on disk now. */
void core_look_on_news(struct core *core, uint64_t job);

/* Asks after a job for one that waits for it. */
void core_look_for_after(struct core *core, struct core_job *waiter, uint64_t job);
/* Nobody waits any more. */
void core_look_drop_waiter(struct core *core, const struct core_job *waiter);

/* after.c */

/* What is wrong with the jobs that are named; empty: nothing, as far as is known in memory. */
struct slice core_after_fault(struct core *core, const struct core_client *client,
                              const struct wire_submit *submit);
/* Notes which jobs it waits for, and looks up those that are not in memory. */
void core_after_begin(struct core *core, struct core_job *job, struct wire_job_refs after);
/* The answer: 0, and how that job stands; or -ENOENT. */
void core_after_on_looked(struct core *core, struct core_job *waiter,
                          const struct core_event *event, uint64_t job);
/* A job has ended, or is given up before it began: what follows for others does so later in the
 * step.
 */
void core_after_on_end(struct core *core, const struct core_job *job);
/* That is now: core.ended is not empty. */
void core_after_run(struct core *core);
void core_after_free_all(struct core *core);

#endif
