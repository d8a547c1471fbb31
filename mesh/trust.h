/* What the shell makes of the core's state of trust: the door of all sessions, and the file. What
 * the state is to be, the core decides. */
#ifndef MESH_TRUST_H
#define MESH_TRUST_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "mesh/core/trust_state.h"
#include "mesh/log.h"
#include "mesh/sink.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/door.h"

struct meshd_trust;

/* Reads DIR_FD/trust and makes the door of it. dir_fd and log are borrowed. 0, or -errno with one
 * line in err: a file that cannot be used stops the start. */
int meshd_trust_new(uv_loop_t *loop, const struct meshd_sink *sink, int dir_fd,
                    const struct meshd_log *log, struct meshd_trust **ret_trust,
                    struct errmsg *err) MUST_CHECK;
/* What was read; valid until meshd_trust_forget(), which wipes it: once the core has its copy. */
const struct core_trust_state *meshd_trust_state(const struct meshd_trust *trust);
void meshd_trust_forget(struct meshd_trust *trust);
/* Writes what is not written yet, closes and wipes; then calls on_closed, before it returns if
 * nothing is left to write. No event is put any more. */
void meshd_trust_close(struct meshd_trust *trust, void (*on_closed)(void *user), void *user);

/* The one door: all sessions ask it. */
const struct wire_door *meshd_trust_door(const struct meshd_trust *trust);
/* Makes the door of another state. True: its present secret is another than before. */
bool meshd_trust_set(struct meshd_trust *trust, const struct core_trust_state *state) MUST_CHECK;
/* Writes the state to disk, on one of libuv's threads; TRUST_KEPT with this number follows, in the
 * order of the calls. */
void meshd_trust_keep(struct meshd_trust *trust, uint64_t number,
                      const struct core_trust_state *state);

#endif
