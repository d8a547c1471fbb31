/* Where connections come from, so that one host does not take what is meant for all: the caps on
 * connections, handshakes, memory and time hold for a source, however many keys it makes itself.
 *
 * A source is an IPv4 address, an IPv6 /64, or a whole link-local IPv6 address with its link. It
 * exists while a connection refers to it, and a little longer, so that its rate is remembered.
 *
 * For link.c, links.c and listener.c. */
#ifndef MESH_SOURCES_H
#define MESH_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "wire/base/ensure.h"
#include "wire/base/list.h"
#include "wire/base/table.h"

/* Connections that are accepted: so many at once, then so many a second. What is beyond is closed
 * at once. A handshake costs us some 0.4 ms. */
#define MESHD_ACCEPTS_SOURCE_BURST 64u
#define MESHD_ACCEPTS_SOURCE_PER_S 32u
#define MESHD_ACCEPTS_BURST        512u
#define MESHD_ACCEPTS_PER_S        256u
/* Sources without a connection whose rate is remembered. */
#define MESHD_SOURCES_IDLE_MAX 4096u
/* What all sessions together may hold of what came in or is to go out. A source may hold as much of
 * it as is still free: alone half of it, and there is always something left for the next. */
#define MESHD_LINKS_BYTES_MAX ((size_t)256 << 20)

/* While this host works for others, the messages of one source take one part in so many of its
 * processors. It may be ahead of that by so much, by the clock. */
#define MESHD_SOURCE_PART     4u
#define MESHD_SOURCE_AHEAD_NS UINT64_C(20000000)
/* What took longer did so, for the most part, because the daemon was stopped meanwhile or waited
 * for a processor: the rest of it is held against nobody. */
#define MESHD_SOURCE_TOOK_MAX_NS UINT64_C(100000000)

#define MESHD_SOURCE_KEY_BYTES 24

struct meshd_source {
    struct table_entry by_key;
    uint8_t key[MESHD_SOURCE_KEY_BYTES];
    struct list idle;      /* in sources->idle while nobody refers to it */
    struct list in_turn;   /* in links->turns while links of it wait */
    struct list waiting;   /* of struct meshd_link.waiting: those whose time was up */
    unsigned n_links;      /* that refer to it */
    unsigned n_accepted;   /* of these, connections from there */
    unsigned n_handshakes; /* of these, not proved yet */
    size_t bytes;          /* that its sessions hold */
    uint64_t paid_ns;      /* connections were accepted on account up to then */
    uint64_t turn;         /* of the loop, */
    uint64_t spent_ns;     /* and what it took of that */
    uint64_t due_ns;       /* its messages had their part of the processors up to then */
};

struct meshd_sources {
    struct table all;
    struct list idle; /* oldest first */
    unsigned n_idle;
    size_t bytes;
    uint64_t paid_ns;
};

void sources_init(struct meshd_sources *sources, uint64_t seed);
/* Nobody may refer to any. */
void sources_done(struct meshd_sources *sources);

/* The source of this address, with one reference more. NULL when memory is short. */
struct meshd_source *source_ref(struct meshd_sources *sources,
                                const struct sockaddr_storage *address, uint64_t now_ns) MUST_CHECK;
void source_unref(struct meshd_sources *sources, struct meshd_source *source, uint64_t now_ns);

/* Whether one more connection from there is within the rates; counts it if so. */
bool source_may_connect(struct meshd_sources *sources, struct meshd_source *source,
                        uint64_t now_ns) MUST_CHECK;

/* Its messages took so much of a processor; there are n_processors, one at least. */
void source_spend(struct meshd_source *source, uint64_t took_ns, uint64_t now_ns,
                  uint32_t n_processors);
/* How long it is until the source has no more than its part; 0: it has not. */
uint64_t source_rest_ns(const struct meshd_source *source, uint64_t now_ns);

/* A session of the source that held `before` bytes holds `after`. False: that is more than the
 * source may hold; it is counted all the same. */
bool source_account(struct meshd_sources *sources, struct meshd_source *source, size_t before,
                    size_t after);

#endif
