/* Which peer is meant by a PEER argument. Pure. */
#ifndef MESH_CLI_PEER_ARG_H
#define MESH_CLI_PEER_ARG_H

#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"
#include "wire/message.h"

/* A peer that may be meant. Its name comes from the network. */
struct cmd_candidate {
    struct wire_key key;
    struct slice name; /* borrowed; empty: unknown */
};

/* `text` is a name, an id, a unique prefix of one, or a whole key in hexadecimal, which need not be
 * among the candidates. A whole name or id goes before a prefix. *ret_at: the index of the one
 * meant, `n` for such a key. 0; -ENOENT, -EEXIST (several: err lists them). */
int cmd_peer_find(const struct cmd_candidate *candidates, uint32_t n, const char *text,
                  struct wire_key *ret_key, uint32_t *ret_at, struct errmsg *err) MUST_CHECK;

/* "hal k3vq-7d2m", printable; the id alone where there is no name. Returns `to`. */
#define CMD_CANDIDATE_TEXT_BYTES 160
const char *cmd_candidate_text(const struct cmd_candidate *candidate,
                               char to[static CMD_CANDIDATE_TEXT_BYTES]);

#endif
