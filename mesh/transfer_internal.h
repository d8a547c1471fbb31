/* Only for transfer*.c. */
#ifndef MESH_TRANSFER_INTERNAL_H
#define MESH_TRANSFER_INTERNAL_H

#include "mesh/transfer.h"
#include "wire/base/list.h"

struct meshd_transfers {
    struct meshd_sink sink;
    struct meshd_links *links;
    struct meshd_blobs *blobs;
    /* transfer.c */
    struct list fetches; /* under way */
    struct list waiting; /* of fetches that are not, oldest first; they have no part */
    struct list partials;
    uint32_t n_fetches; /* under way, those that are only checked here among them */
    uint32_t n_partials;
    bool is_starting;
    /* transfer_serve.c */
    struct list serves;
    uv_timer_t timer;
    uint64_t look_ms;
    uint8_t *chunk; /* WIRE_CHUNK_BYTES_MAX, while something is served */
    /* both */
    bool is_closing;
    uint32_t n_checks; /* verifications under way */
    bool is_timer_closed;
    void (*on_closed)(void *user);
    void *on_closed_user;
};

/* Called where a verification has ended or the timer is closed: may free the transfers. */
void meshd_transfers_maybe_closed(struct meshd_transfers *transfers);

void meshd_serves_init(struct meshd_transfers *transfers, uv_loop_t *loop);
/* Those over this link; 0: all. */
void meshd_serves_drop(struct meshd_transfers *transfers, uint64_t link);

#endif
