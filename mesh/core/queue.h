/* Named queues: items that one peer keeps, any peer puts, and one getter at a time has.
 *
 * A queue lives at the peer whose client made it, and on that peer's disk: nothing is answered
 * before it is there. Other peers know its name by hearsay. A client talks to its own daemon, which
 * asks the peers that have the queue, itself by the same messages as others. wire/README.md,
 * Queues, says what the messages promise.
 *
 * queue.c keeps queues, items and their order; queue_recv.c is what peers ask of them, queue_blob.c
 * large items, queue_kept.c the disk. queue_client.c is what clients say and hear, queue_ask.c what
 * becomes of it, queue_where.c at which peer; queue_names.c is who has which queue, and the table
 * of them. */
#ifndef MESH_CORE_QUEUE_H
#define MESH_CORE_QUEUE_H

#include "mesh/core/core_internal.h"

/* What an item is counted as, beside its bytes. */
#define CORE_ITEM_OVERHEAD 192u
static_assert(sizeof(struct core_item) <= CORE_ITEM_OVERHEAD, "what it takes in memory");

/* --- for the rest of the core ------------------------------------------------------------------
 */

void core_queue_init(struct core *core);
void core_queue_free_all(struct core *core);
void core_queue_check(const struct core *core);
/* Asks that may go on, names to be told. */
void core_queue_run(struct core *core);
/* Whether there is anything for which a daemon without clients has to stay. */
bool core_queue_is_needed(const struct core *core);

/* Messages of clients and of peers; false: not one of these. */
bool core_queue_on_client_message(struct core *core, struct core_client *client,
                                  const struct wire_message *message);
bool core_queue_on_message(struct core *core, struct core_peer *peer,
                           const struct wire_message *message);
void core_queue_client_gone(struct core *core, struct core_client *client);
/* Somebody came into sight, or went. */
void core_queue_sight_changed(struct core *core);
/* A new session stands. */
void core_queue_link_up(struct core *core, struct core_peer *peer);
/* It is down, or has another life: nothing of it is here any more. */
void core_queue_peer_lost(struct core *core, struct core_peer *peer);
/* Whether its session is needed for a queue, and its silence has to be noticed soon. */
bool core_queue_needs(const struct core_peer *peer);

/* What peers tell of one another: the names of those at that peer, our own included. */
struct wire_slices core_queue_names(struct core *core, const struct core_card *card);
void core_queue_heard(struct core *core, struct core_card *card, const struct wire_slices *names);
/* The card goes. */
void core_queue_forget_names(struct core *core, struct core_card *card);

/* The disk: what a record says; false: there is no need for it any more. Only for journal.c. */
bool core_queue_fill(struct core *core, const struct core_entry *entry, struct core_record *record);
void core_queue_on_kept(struct core *core, const struct core_entry *entry);
/* Whether it has to be said again. */
bool core_queue_on_failed(struct core *core, struct core_entry *entry, struct slice fault);
void core_queue_restore(struct core *core, const struct core_event *event);
void core_queue_restored(struct core *core);

/* --- queue.c -----------------------------------------------------------------------------------
 */

void core_queue_name_set(char to[static CORE_QUEUE_NAME_BYTES], struct slice from);
/* NULL: it is not here. */
struct core_queue *core_queue_find(const struct core *core, const char *name);
struct core_queue *core_queue_by_id(const struct core *core, uint64_t id);
struct core_queue *core_queue_new(struct core *core, uint64_t id, uint32_t uid, const char *name);
/* With all items; getters are told. */
void core_queue_drop(struct core *core, struct core_queue *queue);
/* NULL: one more would be too many. */
struct core_putter *core_putter_get(struct core *core, const struct wire_key *key,
                                    struct wire_key *ret_forgotten);
struct core_putter *core_putter_find(const struct core *core, const struct wire_key *key);
/* Why so much more of this peer finds no room; empty when it does. */
struct slice core_queue_full(struct core *core, const struct core_queue *queue,
                             const struct core_peer *peer, const struct wire_queue_items *items);
struct core_item *core_item_find(const struct core *core, uint64_t number);
/* NEW, in no list of the queue yet; a blob is not asked for. NULL: memory is short. */
struct core_item *core_item_new(struct core *core, struct core_queue *queue,
                                struct core_putter *putter, uint64_t number,
                                const struct wire_queue_bytes *content);
void core_item_free(struct core *core, struct core_item *item);
/* Borrowed from the item. */
struct wire_queue_bytes core_item_content(const struct core_item *item);
/* It is there to be handed out, at its place in the order. */
void core_item_wait(struct core *core, struct core_item *item);
/* Its bytes are needed no more; it stays in the list of those taken. */
void core_item_leave(struct core *core, struct core_item *item);
/* It is in the list of those done. */
void core_item_done(struct core_item *item);
/* The oldest of those done, if there are too many; 0: none. */
uint64_t core_item_forget(struct core *core, struct core_queue *queue);
/* Gives waiting items to waiting getters. */
void core_queue_hand_out(struct core *core, struct core_queue *queue);

struct core_taker *core_taker_find(const struct core *core, const struct core_peer *peer,
                                   uint64_t request);
struct core_taker *core_taker_new(struct core *core, struct core_peer *peer,
                                  struct core_queue *queue, uint64_t request);
/* Behind the others that wait. */
void core_taker_wait(struct core *core, struct core_taker *taker);
/* What it has goes back, unless it is done. */
void core_taker_free(struct core *core, struct core_taker *taker);
void core_taker_has(struct core_taker *taker, struct core_item *item);
/* Sends the getter what it has; again, if it asks again. */
void core_taker_tell(struct core *core, const struct core_taker *taker);

/* --- queue_recv.c ------------------------------------------------------------------------------
 */

void core_queue_answer(struct core *core, struct core_peer *peer, uint64_t request,
                       enum wire_error error, struct slice text);
void core_queue_owner_link_up(struct core_peer *peer);
void core_queue_owner_lost(struct core *core, struct core_peer *peer);
bool core_queue_owner_on_message(struct core *core, struct core_peer *peer,
                                 const struct wire_message *message);

/* --- queue_blob.c ------------------------------------------------------------------------------
 */

/* It is in no list yet: said to the disk at once, or once the blobs of its items have come. */
void core_lot_begin(struct core *core, struct core_lot *lot, struct core_peer *from);
/* Nothing of it is put, and its putter is told so if it is here. Frees it. */
void core_lot_refuse(struct core *core, struct core_lot *lot, struct slice text);
/* What this peer put and did not send whole. */
void core_lots_lost(struct core *core, const struct core_peer *peer);
/* Of an item that is on disk: the store has it. */
void core_item_keep_blob(struct core *core, struct core_item *item);
/* Nothing for an item without. */
void core_item_let_blob_go(struct core *core, struct core_item *item);
/* Whether it is in an item which this peer has, or puts. */
bool core_queue_may_serve(const struct core *core, const struct core_peer *peer,
                          const struct wire_hash *hash);

/* --- queue_kept.c ------------------------------------------------------------------------------
 */

/* Empty when a queue can be made here, or added to. */
struct slice core_queue_fault(struct core *core);
void core_queue_keep(struct core *core, struct core_queue *queue);
void core_queue_keep_lot(struct core *core, struct core_lot *lot);
void core_queue_keep_done(struct core *core, struct core_item *item);
void core_queue_keep_removed(struct core *core, uint64_t queue, uint64_t client);

/* --- queue_ask.c, queue_where.c, queue_client.c ------------------------------------------------
 */

void core_ask_run(struct core *core);
void core_ask_link_up(struct core *core, struct core_peer *peer);
void core_ask_peer_lost(struct core *core, struct core_peer *peer);
bool core_ask_on_message(struct core *core, struct core_peer *peer,
                         const struct wire_message *message);
void core_ask_free_all(struct core *core);

/* --- queue_names.c -----------------------------------------------------------------------------
 */

/* Whether a peer has a queue of that name, or, NULL, any; as far as is known. */
bool core_queue_has(const struct core *core, const struct core_card *card, const char *name);
/* It said that it has not. */
void core_queue_unheard(struct core *core, struct core_card *card, const char *name);
/* Ours changed. */
void core_queue_names_changed(struct core *core);
void core_queue_look_start(struct core *core, struct core_client *client);
void core_queue_look_on_query(struct core *core, struct core_peer *peer, uint64_t request);
void core_queue_look_on_rows(struct core *core, struct core_peer *peer,
                             const struct wire_queue_rows *rows);
void core_queue_look_client_gone(struct core *core, const struct core_client *client);

#endif
