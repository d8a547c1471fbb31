/* Avahi's event loop interface (AvahiPoll) over a libuv loop, for avahi-client and avahi-core.
 *
 * Differences between the two, bridged here: Avahi may watch one descriptor twice (libuv allows one
 * poll handle each, so every watch polls a duplicate); its timeouts are absolute wall-clock times,
 * where NULL means disarmed; a watch or timeout may be freed inside its own callback (libuv's
 * memory is ours again only in the close callback). */
#ifndef MESH_DISCOVERY_AVAHI_POLL_UV_H
#define MESH_DISCOVERY_AVAHI_POLL_UV_H

#include <avahi-common/watch.h>
#include <uv.h>

#include "wire/base/ensure.h"

struct avahi_poll_uv;

/* NULL when memory is short. The loop must outlive it. */
struct avahi_poll_uv *avahi_poll_uv_new(uv_loop_t *loop) MUST_CHECK;
/* To be given to avahi_client_new() and avahi_server_new(). Borrowed. */
const AvahiPoll *avahi_poll_uv_api(struct avahi_poll_uv *poll);
/* Call when every client and server on it is freed. Frees itself once libuv has closed what is
 * left, from the loop, and then calls on_closed. */
void avahi_poll_uv_close(struct avahi_poll_uv *poll, void (*on_closed)(void *user), void *user);

#endif
