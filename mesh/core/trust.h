/* The closed mesh: who is in it, and who is not. trust_book.c holds the state, trust.c what clients
 * ask for and how it is kept on disk, trust_join.c how a mesh is joined, trust_link.c what it means
 * for sessions, and what members tell each other. mesh/core/README.md, "Trust". */
#ifndef MESH_CORE_TRUST_H
#define MESH_CORE_TRUST_H

#include "mesh/core/core_internal.h"

/* From the config. */
void core_trust_init(struct core *core);
void core_trust_free_all(struct core *core);
bool core_trust_is_locked(const struct core *core);
bool core_trust_is_banned(const struct core *core, const struct wire_key *key);

/* --- trust.c --- */

/* TRUST_KEPT and DRAWN. */
void core_trust_on_event(struct core *core, const struct core_event *event);
/* Lock, unlock, invite, join, trust, ban: answered later, in their order. */
void core_trust_on_request(struct core *core, struct core_client *client,
                           const struct wire_message *message);
void core_trust_send_list(struct core *core, struct core_client *client);
/* Tells the shell of a change that nobody waits for. */
void core_trust_changed(struct core *core);
/* A member that may be in `now` goes in there, and in what is being made of it. */
void core_trust_add_member(struct core *core, const struct wire_key *key, bool is_invited_here);
/* The secret is to be renewed soon, if that is due. */
void core_trust_renew_soon(struct core *core);
/* The invitation with this token that this key may use, or NULL. */
struct core_invitation *core_trust_invitation(struct core *core, const struct wire_token *token,
                                              const struct wire_key *key);

/* The op under way, or NULL; ops end in the order in which they came. */
struct core_trust_op *core_trust_first_op(const struct core *core);
/* Begins the next op, if none is under way. */
void core_trust_run(struct core *core);
/* The first op is over; its client is told why it failed. */
void core_trust_op_failed(struct core *core, enum wire_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A copy of the present state, to be changed; and then to be kept. */
struct core_book *core_trust_next_begin(struct core *core);
void core_trust_next_keep(struct core *core);

/* --- trust_join.c --- */

void core_trust_join_begin(struct core *core, struct core_trust_op *op);
/* It took too long. */
void core_trust_join_fire(struct core *core, struct core_timer *timer);
/* Dials of a join, and its session. */
void core_trust_dial_failed(struct core *core, const struct core_event *event);
bool core_trust_join_takes(struct core *core, const struct core_event *event);
void core_trust_join_down(struct core *core, uint64_t link, enum wire_reason reason);
void core_trust_join_said(struct core *core, uint64_t link, const struct wire_membership *said);
/* We are in: the inviter is a peer, to be dialled where its invitation said. */
void core_trust_join_done(struct core *core, const struct core_trust_op *op);

/* --- trust_link.c --- */

/* Whether a link that has just come up is none of a peer's sessions: refused, or a visit, or of a
 * join. */
bool core_trust_takes_link(struct core *core, const struct core_event *event);
/* An ordinary session has just become the peer's. */
void core_trust_link_up(struct core *core, struct core_peer *peer);
/* Of links that are no peer's. */
void core_trust_on_message(struct core *core, uint64_t link, const struct wire_message *message);
void core_trust_link_down(struct core *core, const struct core_event *event);
/* From a peer over its session. */
void core_trust_on_membership(struct core *core, struct core_peer *peer,
                              const struct wire_membership *said);
/* A dial was refused: whether it is worth trying again with an older secret. */
bool core_trust_tries_older(const struct core *core, struct core_peer *peer,
                            enum wire_reason reason);
/* Says what we know over all sessions. */
void core_trust_tell_all(struct core *core);
/* The state changed: sessions that may not stand any more are closed. `is_other_mesh`: it is not
 * the mesh that it was; all are closed, and everybody is dialled anew. */
void core_trust_enforce(struct core *core, bool is_other_mesh);
/* Banned: refused, out of all hearsay, and what it has here ends. */
void core_trust_put_out(struct core *core, struct core_card *card);

#endif
