/* The state of trust as the core keeps it: secrets, members, bans, pins, and how what a member
 * tells of them is merged into it. Pure data: no peers, no links, no effects. The caller
 * initialises a book and is done with it. Allocates; what finds no memory is left out, as if it had
 * not been said. */
#ifndef MESH_CORE_TRUST_BOOK_H
#define MESH_CORE_TRUST_BOOK_H

#include "mesh/core/trust_state.h"
#include "wire/base/buf.h"
#include "wire/base/ensure.h"

/* A generation beyond it would leave no room for the next ones. */
#define CORE_GENERATION_MAX (UINT64_MAX / 2)

struct core_book {
    struct core_secret present;
    struct core_secret olds[CORE_OLDS_MAX]; /* those that the present one follows, newest first */
    uint32_t n_olds;
    /* Present ones of other members that were made without knowing of ours, newest first. Ours is
     * to be followed by one that follows them, too. In memory only: who has one says it again. */
    struct core_secret rivals[CORE_OLDS_MAX];
    uint32_t n_rivals;
    bool is_renewal_due;
    struct buf members, bans, pins; /* of core_member, wire_ban, core_pin; the first two by key */
};

void core_book_init(struct core_book *book);
/* Wipes the secrets. */
void core_book_done(struct core_book *book);
/* `to` is initialised and empty. Aborts when memory is short. */
void core_book_copy(struct core_book *to, const struct core_book *from);
void core_book_load(struct core_book *book, const struct core_trust_state *state);
/* A view, without invitations: valid until the book changes. */
struct core_trust_state core_book_state(const struct core_book *book);
bool core_book_eq(const struct core_book *a, const struct core_book *b);

bool core_book_is_locked(const struct core_book *book);
/* Below, at or above 0. */
int core_secret_cmp(const struct core_secret *a, const struct core_secret *b);
/* The new one follows the present one and all rivals. `bytes`: WIRE_SECRET_BYTES. */
void core_book_renew(struct core_book *book, uint64_t generation, const uint8_t *bytes);
/* Into the open mesh: secrets, members, and the bans of the closed one are forgotten. */
void core_book_leave(struct core_book *book);

uint32_t core_book_n_members(const struct core_book *book);
const struct core_member *core_book_members(const struct core_book *book);
bool core_book_is_member(const struct core_book *book, const struct wire_key *key);
/* True when that changed anything. The banned are never added. */
bool core_book_add_member(struct core_book *book, const struct wire_key *key, bool is_invited_here);

uint32_t core_book_n_bans(const struct core_book *book);
const struct wire_ban *core_book_bans(const struct core_book *book);
/* NULL: nobody ever said a word on it. */
const struct wire_ban *core_book_ban(const struct core_book *book, const struct wire_key *key);
bool core_book_is_banned(const struct core_book *book, const struct wire_key *key);
/* Takes the word in if it is the later one; who is banned is a member no more. True when that
 * changed anything. */
bool core_book_put_ban(struct core_book *book, const struct wire_ban *ban);
void core_book_drop_ban(struct core_book *book, const struct wire_key *key);

uint32_t core_book_n_pins(const struct core_book *book);
const struct core_pin *core_book_pins(const struct core_book *book);
/* NULL: the name is anybody's. */
const struct core_pin *core_book_pin(const struct core_book *book, struct slice name);
void core_book_set_pin(struct core_book *book, struct slice name, const struct wire_key *key);
void core_book_drop_pin(struct core_book *book, struct slice name);

struct core_merged {
    bool is_adopted;      /* its secret is the present one now */
    bool are_they_behind; /* they should hear of ours */
    bool is_rival_new;    /* neither of the two secrets follows the other */
    bool are_bans_new;
    bool are_members_new; /* of the secret that we had already */
};

/* What a member says (`from`; `self` is us). False: it makes no sense, and nothing is changed. */
bool core_book_merge(struct core_book *book, const struct wire_key *self,
                     const struct wire_key *from, const struct wire_membership *said,
                     struct core_merged *ret_merged) MUST_CHECK;

#endif
