/* Peers once reached and where, kept in a file over restarts, so that a mesh is found again where
 * multicast fails. What is done with them is decided by the core; here they are only kept: a
 * bounded number, for a bounded time. */
#ifndef MESH_KNOWN_PEERS_H
#define MESH_KNOWN_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/slice.h"
#include "wire/limits.h"
#include "wire/message.h"

#define MESHD_KNOWN_PEERS_MAX     1024u
#define MESHD_KNOWN_ADDRESSES_MAX 4u
/* Of one host, whatever number of keys it had. */
#define MESHD_KNOWN_HOST_MAX 64u
/* A peer not reached for so long is forgotten. */
#define MESHD_KNOWN_S_MAX (14 * 24 * 3600)

struct meshd_known_peer {
    struct wire_key key;
    int64_t seen_s;       /* wall clock, of the last proved session */
    uint32_t n_addresses; /* the last one reached first */
    char addresses[MESHD_KNOWN_ADDRESSES_MAX][WIRE_ADDRESS_BYTES_MAX + 1];
    char name[WIRE_NAME_BYTES_MAX + 1]; /* for people who read the file */
};

struct meshd_known_peers;

/* Empty. NULL when memory is short. */
struct meshd_known_peers *meshd_known_peers_new(void) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct meshd_known_peers *meshd_known_peers_free(struct meshd_known_peers *known);

/* Takes in a file's text. Lines that make no sense or are too old are skipped and counted. */
unsigned meshd_known_peers_parse(struct meshd_known_peers *known, struct slice text, int64_t now_s);
/* Appends the file's text. */
void meshd_known_peers_format(const struct meshd_known_peers *known, struct buf *to);

/* A proved session: the peer can be reached there. The longest unseen peer makes room, of the same
 * host where that has so many. Returns
 * whether the file must be written for it (a renewed time alone waits for an hour). */
bool meshd_known_peers_remember(struct meshd_known_peers *known, const struct wire_key *key,
                                struct slice address, struct slice name, int64_t now_s);

/* Whether it is among them. */
bool meshd_known_peers_has(const struct meshd_known_peers *known, const struct wire_key *key);
size_t meshd_known_peers_count(const struct meshd_known_peers *known);
/* i < count; valid until the next change. */
const struct meshd_known_peer *meshd_known_peers_at(const struct meshd_known_peers *known,
                                                    size_t i);

#endif
