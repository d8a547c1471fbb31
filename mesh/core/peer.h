/* Other peers: who they are, where they can be dialled, which session stands, whether they live.
 *
 * card.c keeps a small card of everybody, peer.c the dealings with some of them and their
 * state, dial.c dials, link.c sessions, beat.c heartbeats and silence, gossip.c what peers tell of
 * others. None of them knows jobs: they call core_owner_* (job.h) and core_exec_* (exec.h) where
 * those must act. */
#ifndef MESH_CORE_PEER_H
#define MESH_CORE_PEER_H

#include "mesh/core/core_internal.h"

void core_peer_new_self(struct core *core);
void core_peer_free_all(struct core *core);
void core_peer_on_event(struct core *core, const struct core_event *event);
/* A message from a peer, or from ourselves. */
void core_peer_deliver(struct core *core, struct core_peer *peer,
                       const struct wire_message *message);

/* NULL when there are no dealings with it, whether it is known or not. */
struct core_peer *core_peer_find(const struct core *core, const struct wire_key *key);
/* Dealings begin, if there are none; so does the card. NULL when there are too many. */
struct core_peer *core_peer_get(struct core *core, const struct wire_key *key);
/* The same for whom we know. NULL when memory is short. */
struct core_peer *core_peer_of(struct core *core, struct core_card *card);
/* Frees card and peer when nothing needs either any more. */
void core_peer_maybe_forget(struct core *core, struct core_peer *peer);
/* In a large mesh: dealings that are over are freed; the card stays. */
void core_peer_maybe_part(struct core *core, struct core_peer *peer);
/* Our own, for lists of peers. */
void core_peer_own_address(struct core *core, struct slice address);
/* Its name, or its id while it has none. */
const char *core_peer_label(const struct core_peer *peer);
/* True when the table has the change; acts on what leaving or reaching a state means. */
bool core_peer_move(struct core *core, struct core_peer *peer, enum core_peer_cause cause);
/* A session stands or stood a moment ago. */
bool core_peer_is_here(const struct core_peer *peer);
/* How many others are up. */
uint32_t core_peer_n_up(const struct core *core);
bool core_peer_is_any_up(const struct core *core);
/* Whether somebody could still turn up within the time of a handshake. */
bool core_peer_is_any_coming(const struct core *core);

/* card.c */
struct core_card *core_card_find(const struct core *core, const struct wire_key *key);
/* NULL when there are too many, or memory is short. */
struct core_card *core_card_get(struct core *core, const struct wire_key *key);
/* Whether somebody may still turn up by it, or others should hear of it. */
bool core_card_is_needed(const struct core *core, const struct core_card *card);
/* The same as core_peer_maybe_forget(). */
void core_card_maybe_forget(struct core *core, struct core_card *card);
/* Out of all tables; then it can be freed. */
void core_card_remove(struct core *core, struct core_card *card);
/* Nothing is known of it any more; forgets it unless it is needed. Its dials are stopped before. */
void core_card_dismiss(struct core *core, struct core_card *card);
void core_card_free(struct core_card *card);
void core_card_free_all(struct core *core);

/* teller.c */
/* Whether one more card may come in by hearsay from there. */
bool core_teller_may_add(const struct core *core, const struct core_origin *origin);
/* The card is new, and was heard of from there. */
void core_teller_add(struct core *core, const struct core_origin *origin, struct core_card *card);
/* It counts for nobody any more: it was up, or goes. */
void core_teller_drop(struct core *core, struct core_card *card);

/* card.c */
/* Those of its peer, if it has one. */
unsigned core_card_state(const struct core_card *card);
const char *core_card_name(const struct core_card *card);
const char *core_card_arch(const struct core_card *card);
uint32_t core_card_cores(const struct core_card *card);
void core_card_set_facts(struct core_card *card, struct slice name, struct slice arch,
                         uint32_t cores);
/* As core_peer_move(), with a peer or without. */
bool core_card_move(struct core *core, struct core_card *card, enum core_peer_cause cause);
enum wire_peer_state core_card_wire_state(const struct core_card *card);
/* Whether `text` (of --on) means this peer: its name, or a prefix of its id. */
bool core_card_is_meant(const struct core_card *card, const char *text);
/* The only place where these two change: core.sums follows. */
void core_card_set_news(struct core *core, struct core_card *card, uint64_t version, bool is_gone);
/* Which of core.sums it is in, and what it adds. Pure. */
unsigned core_card_part(const struct core_card *card);
uint64_t core_card_term(const struct core_card *card);
/* The i-th, or NULL. */
const char *core_card_address(const struct core_card *card, uint32_t i);
void core_card_add_address(struct core_card *card, struct slice text, unsigned source);
/* The address of a session: no other is the proved one any more. */
void core_card_prove_address(struct core_card *card, struct slice text);
/* Empty when there is none. */
const char *core_card_proved_address(const struct core_card *card);
bool core_card_has_address(const struct core_card *card, struct slice text);
bool core_card_has_source(const struct core_card *card, unsigned source);
void core_card_drop_source(struct core_card *card, unsigned source);
void core_card_drop_address(struct core_card *card, const char *text);
void core_card_drop_addresses(struct core_card *card);

/* dial.c */
void core_dial_on_found(struct core *core, const struct core_event *event);
void core_dial_on_lost(struct core *core, const struct wire_key *key);
void core_dial_on_failed(struct core *core, const struct core_event *event);
/* Begins a round of dials now, or in `in_ns`; nothing when a session stands. */
void core_dial_start(struct core *core, struct core_peer *peer, uint64_t in_ns);
void core_dial_stop(struct core *core, struct core_peer *peer);
/* Begins a round when its turn comes: so many peers a second that were only heard of. */
void core_dial_heard_of(struct core *core, struct core_card *card);
/* A dial became a link: forgets it. */
void core_dial_done(struct core *core, uint64_t dial, struct core_peer *peer);
void core_dial_init(struct core_peer *peer);
/* The secret is another: what did not work with the one before may work now. */
void core_dial_anew(struct core *core);

/* link.c */
void core_link_on_up(struct core *core, const struct core_event *event);
void core_link_on_down(struct core *core, const struct core_event *event);
void core_link_close(struct core *core, struct core_link *link, enum wire_reason reason,
                     const char *text);
/* The older of two sessions stays: its handshake overlapped, and it is the dial of the smaller
 * key. Pure. */
bool core_link_is_older_kept(const struct wire_key *self, const struct wire_key *peer,
                             bool is_older_ours, bool is_newer_ours, uint64_t gap_ns);
/* One that has just come up and is not taken. */
void core_link_refuse(struct core *core, uint64_t link, enum wire_reason reason);
struct core_link *core_link_find(const struct core *core, uint64_t id);
void core_link_on_challenge_met(struct core *core, struct core_link *link);
void core_link_free_all(struct core *core);

/* beat.c */
void core_beat_init(struct core_peer *peer);
void core_beat_link_up(struct core *core, struct core_peer *peer);
void core_beat_link_gone(struct core *core, struct core_peer *peer);
void core_beat_heard(struct core *core, struct core_peer *peer);
void core_beat_on_beat(struct core *core, struct core_peer *peer, const struct wire_beat *beat);
void core_beat_on_ack(struct core *core, struct core_peer *peer, const struct wire_beat_ack *ack);
/* Attempts became outstanding: from now on the fast interval counts. */
void core_beat_hurry(struct core *core, struct core_peer *peer);
/* To everyone, at once: the offered cores changed. */
void core_beat_all(struct core *core);

/* gossip.c */
void core_gossip_init(struct core *core);
void core_gossip_link_up(struct core *core, struct core_peer *peer);
/* We had a session with it, and it is down. */
void core_gossip_lost(struct core *core, struct core_peer *peer);
/* What we say of ourselves changed. */
void core_gossip_self_changed(struct core *core);
/* The names of our queues did, which are told in any mesh. */
void core_gossip_queues_changed(struct core *core);
/* The mesh is a large one from now on. */
void core_gossip_grown(struct core *core);
void core_gossip_on_peers(struct core *core, struct core_peer *from,
                          const struct wire_peers *peers);
void core_gossip_on_sum(struct core *core, struct core_peer *from,
                        const struct wire_peers_sum *sum);

/* sparse.c */
void core_sparse_init(struct core *core);
/* Who is believed up changed, or tasks wait: whom to hold sessions with is looked at soon. */
void core_sparse_changed(struct core *core);
/* The same, now. */
void core_sparse_run(struct core *core);
/* Whether it is to be dialled. */
bool core_sparse_wants(const struct core *core, const struct core_card *card);
/* Whether its session is needed. */
bool core_sparse_keeps(const struct core *core, const struct core_peer *peer);
/* To be called each beat. True: nobody has needed the session for long, and it is closed. */
bool core_sparse_dismiss(struct core *core, struct core_peer *peer);
/* Its session, not needed, is gone. */
void core_sparse_dismissed(struct core *core, struct core_peer *peer);
/* How close two peers are: the same in either order, evenly spread. Pure, like those below. */
uint64_t core_sparse_score(const struct wire_key *a, const struct wire_key *b);
uint64_t core_sparse_key_hash(const struct wire_key *key);
uint64_t core_sparse_mix(uint64_t x);

#endif
