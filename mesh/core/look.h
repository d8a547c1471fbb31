/* What the core has to ask its disk: of a job that it may have forgotten, as clients do who attach
 * to one or want it gone, and as jobs do that wait for others.  *
 * look.c asks and answers clients; after.c is what becomes of jobs that wait for others. */
#ifndef MESH_CORE_LOOK_H
#define MESH_CORE_LOOK_H

#include "mesh/core/core_internal.h"

enum core_look_for {
    CORE_LOOK_ATTACH, /* a client wants results */
    CORE_LOOK_FORGET, /* a client wants a job forgotten */
    CORE_LOOK_CANCEL, /* a client wants a job cancelled that is not in memory */
    CORE_LOOK_LIST,   /* a client wants to know what jobs there are */
    CORE_LOOK_AFTER,  /* a job waits for another that is not in memory */
};

struct core_ended { /* a job, and what is to be told of it to those that come after it */
    struct list node;
    struct wire_job_done done; /* without text */
};

struct core_look {
    struct list node; /* in core.looks */
    enum core_look_for what;
    uint64_t number; /* of the effect that is out */
    bool is_out;
    uint64_t client, job;
    uint64_t waiter; /* AFTER */
    struct core_timer timer;
    /* ATTACH */
    uint64_t after;           /* the last result that was told, in the order on disk */
    uint64_t n_sent, n_acked; /* results */
    uint32_t task;
    bool is_wait, wants_tasks;
    bool is_told; /* attached was sent */
    bool is_news; /* something came to disk since it was asked */
};

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
