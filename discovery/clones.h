/* Finds out whether another machine embeds a responder with our identity.
 *
 * The records of our service need no probing, so nothing ever collides: of two clones each resets
 * its records when it hears the other's, for ever. So each process also announces a marker: a
 * shared PTR record of our host's name that points to a random one. Hearing a marker that is not
 * ours proves a clone. Of several the one with the least marker goes on announcing the service;
 * the others are silent until that marker is gone. */
#ifndef MESH_DISCOVERY_CLONES_H
#define MESH_DISCOVERY_CLONES_H

#include <avahi-core/core.h>
#include <stdbool.h>

#include "discovery/discovery.h"
#include "wire/base/ensure.h"

struct clones;

/* Announces the marker on the interfaces in use and listens for others. on_changed tells that
 * clones_are_silencing() has another answer; it runs inside Avahi's callbacks. NULL: no memory, or
 * Avahi refuses. */
struct clones *clones_new(struct disc *disc, AvahiServer *server, void (*on_changed)(void *user),
                          void *user) MUST_CHECK;
/* Other interfaces are in use. */
void clones_announce(struct clones *clones);
/* Whether another holder of our identity announces it, so that we must not. */
bool clones_are_silencing(const struct clones *clones);
/* Before the server is freed. */
struct clones *clones_free(struct clones *clones);

#endif
