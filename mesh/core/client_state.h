/* A local client, as the core knows it. Only for mesh/core: included by core_internal.h, behind
 * timers and the base's tables. */
#ifndef MESH_CORE_CLIENT_STATE_H
#define MESH_CORE_CLIENT_STATE_H

struct core_client {
    struct table_entry by_id;
    uint64_t id;
    uint32_t uid;
    bool is_privileged, is_watching, is_watch_due;
    struct table puts;             /* of core_put.by_hash, in put.c */
    uint32_t n_asks, n_queue_puts; /* of queues; of these puts */
    uint64_t listed_ns;
    struct core_timer watch_timer;
};

#endif
