/* The file of known peers in the state directory: read at start, written a few seconds after a
 * change on one of libuv's threads, and at the end. */
#ifndef MESH_REMEMBER_H
#define MESH_REMEMBER_H

#include <uv.h>

#include "mesh/known_peers.h"
#include "mesh/log.h"
#include "mesh/sink.h"

struct meshd_remember;

/* Reads DIR_FD/peers; an unreadable one is logged and begun anew. dir_fd and log are borrowed. */
struct meshd_remember *meshd_remember_new(uv_loop_t *loop, int dir_fd,
                                          const struct meshd_log *log) MUST_CHECK;
/* Writes what is not written yet and closes. */
void meshd_remember_close(struct meshd_remember *remember, void (*on_closed)(void *user),
                          void *user);

/* Puts PEER_FOUND for each. */
void meshd_remember_report(const struct meshd_remember *remember, const struct meshd_sink *sink);
/* Whether a session with it was ever proved, as far as that is remembered. */
bool meshd_remember_has(const struct meshd_remember *remember, const struct wire_key *key);
/* The effect. */
void meshd_remember_add(struct meshd_remember *remember, const struct wire_key *key,
                        struct slice address, struct slice name);

#endif
