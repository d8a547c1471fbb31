/* What a peer knows of its mesh, as the core shows it to the shell, which makes the door of it (who
 * may have a session, proved by which secret) and keeps it on disk. Plain data; whoever hands one
 * out owns what it points to. */
#ifndef MESH_CORE_TRUST_STATE_H
#define MESH_CORE_TRUST_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

#define CORE_OLDS_MAX        8u  /* older secrets, for members that were away */
#define CORE_INVITATIONS_MAX 64u /* that are open at once */

struct core_secret {
    uint64_t generation; /* 0: none, the mesh is open */
    struct wire_secret secret;
};

struct core_member {
    struct wire_key key;
    bool
        is_invited_here; /* by an invitation of ours: it stays a member though others do not know */
};

struct core_pin {
    char name[WIRE_NAME_BYTES_MAX + 1];
    struct wire_key key;
};

struct core_invitation {
    struct wire_token token;
    uint64_t expires_ns; /* as events count */
    bool is_bound;       /* only this key may still use it */
    struct wire_key key;
};

struct core_trust_state {
    /* For the disk. */
    struct core_secret present;
    struct core_secret olds[CORE_OLDS_MAX]; /* newest first */
    uint32_t n_olds;
    bool is_renewal_due;               /* a banned key may know the present secret */
    const struct core_member *members; /* by key; without ourselves and without the banned */
    uint32_t n_members;
    const struct wire_ban *bans; /* by key; only those with is_banned are banned */
    uint32_t n_bans;
    const struct core_pin *pins;
    uint32_t n_pins;
    /* For the door alone, and in no file: they end with the daemon. */
    const struct core_invitation *invitations;
    uint32_t n_invitations;
};

#endif
