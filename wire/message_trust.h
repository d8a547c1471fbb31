/* The messages of a closed mesh: who is in it, who is not, and what clients ask about that.
 * Included by wire/message.h, where all messages are listed. */
#ifndef MESH_WIRE_MESSAGE_TRUST_H
#define MESH_WIRE_MESSAGE_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message_parts.h"

/* With which kind of secret a session is proved: in no message, but what those who talk of
 * membership go by. */
#define WIRE_DOOR_KINDS(X)                                                                         \
    X(OPEN, "open")             /* none: both are in the open mesh */                              \
    X(PRESENT, "present")       /* the present one of our mesh */                                  \
    X(OLDER, "older")           /* one that it had before: one of the two was away */              \
    X(INVITATION, "invitation") /* an invitation's: somebody who joins */                          \
    X(NONE, "none")             /* not known yet */

#define WIRE_ENUM_DOOR_KIND(name, text) WIRE_DOOR_##name,
enum wire_door_kind { WIRE_DOOR_KINDS(WIRE_ENUM_DOOR_KIND) };

/* --- parts -------------------------------------------------------------------------------------
 */

/* Whether a key is kept out of a mesh. Of two words on one key the one of the higher generation
 * holds; of the same, the ban. */
struct wire_ban {
    struct wire_key key;
    uint64_t generation; /* of the mesh, which it began. 0: this peer's own, told to nobody */
    bool is_banned;      /* false: it was, and is no more */
};

struct wire_bans {
    const struct wire_ban *items;
    uint32_t n;
};

struct wire_member { /* of a closed mesh */
    struct wire_key key;
};

struct wire_members {
    const struct wire_member *items;
    uint32_t n;
};

/* A secret that the mesh had before. */
struct wire_older {
    uint64_t generation;
    struct wire_secret secret;
};

struct wire_olders {
    const struct wire_older *items;
    uint32_t n;
};

struct wire_pin { /* that name is that key's */
    struct slice name;
    struct wire_key key;
};

struct wire_pins {
    const struct wire_pin *items;
    uint32_t n;
};

/* --- peer to peer ------------------------------------------------------------------------------
 */

struct wire_membership { /* what a member of a closed mesh knows of it. See wire/README.md */
    uint64_t generation; /* of the secret; each ban makes the next */
    struct wire_secret secret;
    struct wire_bans bans;
    struct wire_members members;
    struct wire_olders olders; /* which whoever made the secret knew; the newest first */
};

/* --- client and daemon -------------------------------------------------------------------------
 */

struct wire_lock { /* client: close the mesh: a new secret, of which nobody else knows yet. Like the
                    * five that follow: for root and the daemon's own user; answered by error, or by
                    * ok (invite: invitation) once it is on disk and in force */
    uint32_t unused;
};

struct wire_unlock { /* client: leave the closed mesh, into the open one */
    uint32_t unused;
};

struct wire_invite { /* client: let one more peer in */
    uint32_t valid_s;
};

struct wire_invitation { /* daemon: what the invited must be given. It is in memory only */
    struct wire_key key; /* the inviter's */
    struct wire_token token;
    struct wire_slices addresses; /* "HOST:PORT", where it can be reached */
    uint32_t valid_s;             /* from now on */
};

struct wire_join { /* client: use an invitation */
    struct wire_key key;
    struct wire_token token;
    struct wire_slices addresses;
};

struct wire_trust { /* client: no other key counts as the peer of this name */
    struct slice name;
    struct wire_key key;
    bool is_removed; /* it may be anybody's again; the key does not matter */
};

struct wire_ban_key { /* client: keep the key out */
    struct wire_key key;
    bool is_removed; /* it may be invited again; in an open mesh it may come */
};

struct wire_trust_query { /* client: for everybody */
    uint32_t unused;
};

struct wire_trust_list { /* daemon: how its mesh stands, without any secret */
    bool is_locked;
    uint64_t generation;
    uint32_t n_members;
    struct wire_pins pins;
    struct wire_bans bans; /* all that are banned now */
};

#endif
