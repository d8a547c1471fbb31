/* The door: who may have a session with us, and under which secret. wire/README.md, "Membership".
 *
 * Pure data and one question. The owner writes into it what it decided elsewhere; the handshake of
 * a responder asks it with the tag and the key of the hello that came, before anything is
 * answered, and both sides ask it once more when the peer is proved, for it may have changed
 * meanwhile. It knows no time: an invitation that ran out is taken out by the owner.
 *
 * One door serves all sessions of a peer. It holds secrets: it lives in locked memory that is
 * wiped when it is freed. */
#ifndef MESH_WIRE_DOOR_H
#define MESH_WIRE_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/message.h"

#define WIRE_TAG_BYTES 16
/* 26 digits and a NUL. */
#define WIRE_TAG_TEXT_BYTES 27
/* That are open at once. */
#define WIRE_INVITATIONS_MAX 64u

struct wire_door_secret {
    struct wire_secret secret;
    uint8_t tag[WIRE_TAG_BYTES];
};

struct wire_door_invitation {
    struct wire_token token;
    struct wire_door_secret made; /* from it */
    bool is_bound;                /* it was used: good for `key` alone from then on */
    struct wire_key key;
};

struct wire_door {
    bool is_locked;
    struct wire_door_secret present; /* zeros in an open mesh */
    uint32_t n_older, n_invitations, n_members, n_bans;
    struct wire_door_secret older[WIRE_OLDER_MAX];
    struct wire_door_invitation invitations[WIRE_INVITATIONS_MAX];
    struct wire_key members[WIRE_MEMBERS_MAX];
    struct wire_key bans[WIRE_BANS_MAX];
};

/* An open door: everybody who is in no closed mesh may come in. NULL when memory is short. */
struct wire_door *wire_door_new(void) MUST_CHECK;
/* Wipes and frees; NULL is allowed. Returns NULL. */
struct wire_door *wire_door_free(struct wire_door *door);

/* Open, and nothing known: what a new one is. All of it is wiped first. */
void wire_door_clear(struct wire_door *door);
/* Closes it. Everything here is copied. */
void wire_door_lock(struct wire_door *door, const struct wire_secret *secret);
/* The following know no more than their WIRE_*_MAX: one beyond that is a mistake of the caller. */
void wire_door_add_older(struct wire_door *door, const struct wire_secret *secret);
/* `key`: to whom it is bound, or NULL. */
void wire_door_add_invitation(struct wire_door *door, const struct wire_token *token,
                              const struct wire_key *key);
void wire_door_add_member(struct wire_door *door, const struct wire_key *key);
void wire_door_add_ban(struct wire_door *door, const struct wire_key *key);

/* Which secret answers a hello. Points into the door: valid until that is changed. */
struct wire_door_answer {
    enum wire_door_kind kind;
    const struct wire_door_secret *found; /* zeros when OPEN */
    const struct wire_token *token;       /* of an INVITATION; else NULL */
};
/* To a hello with this tag, signed by this key. 0, or -EACCES and *reterr_reason: BANNED;
 * INVITATION: of an invitation that another key used; MESH: every other. */
int wire_door_admit(const struct wire_door *door, const uint8_t tag[static WIRE_TAG_BYTES],
                    const struct wire_key *key, struct wire_door_answer *ret_answer,
                    enum wire_reason *reterr_reason) MUST_CHECK;
bool wire_door_is_banned(const struct wire_door *door, const struct wire_key *key) MUST_CHECK;
bool wire_door_is_member(const struct wire_door *door, const struct wire_key *key) MUST_CHECK;

/* The public tag of a mesh secret: the first 16 bytes of hash("mesh tag" | secret); zeros for
 * NULL. */
void wire_mesh_tag(const struct wire_secret *secret, uint8_t ret_tag[static WIRE_TAG_BYTES]);
/* As mDNS announces it: Crockford's base32, "" for zeros. Returns `to`. */
const char *wire_tag_text(const uint8_t tag[static WIRE_TAG_BYTES],
                          char to[static WIRE_TAG_TEXT_BYTES]);
/* What stands for the mesh's secret in a session that an invitation proves:
 * hash("mesh invite" | token). */
void wire_invitation_secret(const struct wire_token *token, struct wire_secret *ret_secret);

#endif
