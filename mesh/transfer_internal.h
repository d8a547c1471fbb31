/* Only for transfer*.c. */
#ifndef MESH_TRANSFER_INTERNAL_H
#define MESH_TRANSFER_INTERNAL_H

#include "mesh/partials.h"
#include "mesh/transfer.h"
#include "wire/base/list.h"

struct meshd_transfers {
    struct meshd_sink sink;
    struct meshd_links *links;
    struct meshd_blobs *blobs;
    /* transfer.c */
    struct list fetches; /* under way */
    struct list waiting; /* of fetches that are not, oldest first; they have no part */
    struct meshd_partials partials;
    uint32_t n_fetches; /* under way, those that are only checked here among them */
    bool is_starting;
    /* transfer_serve.c */
    struct list serves;
    uv_timer_t timer;
    uint64_t look_ms;
    uint8_t *chunk; /* WIRE_CHUNK_BYTES_MAX, while something is served */
    /* both */
    uint64_t told_ms; /* when the core last heard of one under way */
    bool is_closing;
    uint32_t n_checks;  /* verifications under way */
    uint32_t n_closing; /* timers */
    void (*on_closed)(void *user);
    void *on_closed_user;
};

/* A transfer that began at begun_ms (uv_now()) has come so far: the core hears of it where that
 * takes long, now and then. Call it last. */
void meshd_transfers_tell(struct meshd_transfers *transfers, uint64_t begun_ms, uint64_t link,
                          const struct wire_hash *hash, uint64_t n_moved, uint64_t n_bytes,
                          bool is_in);

/* Called where a verification has ended or a timer is closed: may free the transfers. */
void meshd_transfers_maybe_closed(struct meshd_transfers *transfers);

void meshd_serves_init(struct meshd_transfers *transfers, uv_loop_t *loop);
/* Those over this link; 0: all. */
void meshd_serves_drop(struct meshd_transfers *transfers, uint64_t link);

#endif
