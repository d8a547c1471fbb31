/* The file `trust` of the state directory: what a peer keeps of its mesh, the secret included.
 *
 * Text, one fact a line, and a hash of it all in the last. It is written whole, with mode 0600, and
 * refused when others could have read it. A file that is there and cannot be understood is an error
 * for whoever reads it and never an open mesh. No file: nothing was ever kept. */
#ifndef MESH_TRUST_FILE_H
#define MESH_TRUST_FILE_H

#include "mesh/core/trust_state.h"
#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"

/* Longer than the longest there can be. */
#define MESHD_TRUST_BYTES_MAX (1u << 20)

/* What was read, on its own. */
struct meshd_trust_kept {
    struct core_trust_state state; /* points into the rest */
    struct core_member members[WIRE_MEMBERS_MAX];
    struct wire_ban bans[WIRE_BANS_MAX];
    struct core_pin pins[WIRE_PINS_MAX];
};

/* Reads DIR_FD/trust. 0, or -errno with one line in err. Without a file: the state of an open mesh
 * in which nothing is known. */
int meshd_trust_load(int dir_fd, struct meshd_trust_kept **ret_kept, struct errmsg *err) MUST_CHECK;
/* Wipes and frees; NULL is allowed. Returns NULL. */
struct meshd_trust_kept *meshd_trust_kept_free(struct meshd_trust_kept *kept);

/* The text of a state, without its invitations, appended to a new buffer of MESHD_TRUST_BYTES_MAX.
 * It holds the secret: it grows by no reallocation, and meshd_trust_wipe() is how it ends. 0 or
 * -ENOMEM. */
int meshd_trust_format(const struct core_trust_state *state, struct buf *to) MUST_CHECK;
int meshd_trust_parse(struct slice text, struct meshd_trust_kept **ret_kept,
                      struct errmsg *err) MUST_CHECK;
/* Overwrites what is in the buffer, then as buf_done(). */
void meshd_trust_wipe(struct buf *text);

/* Replaces the file. 0 or -errno with err set. May be called on any thread. */
int meshd_trust_save(int dir_fd, struct slice text, struct errmsg *err) MUST_CHECK;

#endif
