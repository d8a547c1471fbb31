/* What `mesh trust` and `mesh ban` share: which peer is meant, and what the daemon keeps of trust.
 */
#ifndef MESH_CLI_TRUST_ASK_H
#define MESH_CLI_TRUST_ASK_H

#include "cli/cmd.h"
#include "cli/peer_arg.h"
#include "mesh/client/client.h"
#include "wire/limits.h"

/* The options of both, in this order, and what was said with them: one of `peer`, `remove` and
 * `is_list`. Borrowed from argv. */
enum { CMD_KEY_REMOVE = 1, CMD_KEY_LIST, CMD_KEY_JSON };
struct cmd_trust_words {
    const char *peer, *remove; /* NULL: not given */
    bool is_list, is_json;     /* the latter with the former only */
};

/* 0, or -EINVAL and err says what is wrong. */
int cmd_trust_words_parse(const struct cmd_command *command, char *const *argv, unsigned n_argv,
                          struct cmd_trust_words *ret_words, struct errmsg *err) MUST_CHECK;

/* A peer that was found, with its own copy of the name. */
struct cmd_peer {
    struct wire_key key;
    bool is_listed; /* among those to choose from; else only its key was given */
    size_t n_name;  /* 0: it has none that is known */
    char name[WIRE_NAME_BYTES_MAX + 1];
};

/* Which peer `text` means (cli/peer_arg.h), of those that the daemon lists. `among`: only these
 * keys are meant, and they are whether they are in sight or not; NULL: all that are. Complains; 0
 * or -errno. */
int cmd_peer_ask(struct mesh_client *client, const struct wire_bans *among, const char *text,
                 struct cmd_peer *ret_peer) MUST_CHECK;

/* "hal k3vq-7d2m", printable. Returns `to`. */
const char *cmd_peer_text(const struct cmd_peer *peer, char to[static CMD_CANDIDATE_TEXT_BYTES]);

/* How the mesh stands: borrowed until the client is used again. Complains; 0 or -errno. */
int cmd_trust_ask(struct mesh_client *client, const struct wire_trust_list **ret_list) MUST_CHECK;

/* Who is banned. The caller frees it. */
struct cmd_table *cmd_bans_table(const struct wire_bans *bans);

#endif
