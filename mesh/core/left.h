/* What calls returned and left with the peers that made it, as its owner sees it: who keeps it, who
 * may fetch it there, and how it comes here when somebody asks. The executor's side is grant.c.
 *
 * Such a result is reported and not acknowledged: that is what keeps it, by the executor's lease.
 * It is let go of (acknowledged) when neither client nor task needs it, or once it came here. */
#ifndef MESH_CORE_LEFT_H
#define MESH_CORE_LEFT_H

#include "mesh/core/put.h"

struct core_left { /* one peer that keeps a blob for us */
    struct list of_put, of_peer;
    struct core_put *put;
    struct core_peer *peer;
    struct wire_attempt_id id; /* of the result there */
    bool is_seen;              /* named in the present session */
};

enum core_left_state {
    CORE_LEFT_READY, /* here, or with a peer that has a session */
    CORE_LEFT_WAITS, /* with one whose session is just being made again */
    CORE_LEFT_GONE,  /* of a blob at least */
};

/* Whether the result of this attempt may stay where it is. */
bool core_left_may(const struct core_attempt *attempt, const struct wire_result *result);
/* That peer keeps it under this result's name. */
void core_left_add(struct core *core, struct core_put *put, struct core_peer *peer,
                   const struct wire_attempt_id *id);
/* NULL: no such result is left there. */
struct core_left *core_left_find(const struct core_peer *peer, const struct wire_attempt_id *id);
/* The blob is here. Who waited for it is answered. */
void core_left_is_here(struct core *core, struct core_put *put);
/* Fetches it if that is due; lets go of those who keep what is here and read by nobody. */
void core_left_review(struct core *core, struct core_put *put);
/* The put dies. */
void core_left_drop_all(struct core *core, struct core_put *put);
/* The client wants it; answered now or later. */
void core_left_on_get(struct core *core, struct core_client *client, const struct wire_hash *hash);

/* The client takes it back: who asked for it is told so. */
void core_left_is_released(struct core *core, struct core_put *put);

/* How it is about all that the task reads. */
enum core_left_state core_left_state_of(const struct core_task *task);
/* Bytes of it that are not here. */
uint64_t core_left_bytes_away(const struct core_task *task);
/* The task's refs as the executor is to hear of them, in the batch: with the holder's name where
 * one keeps the blob, which is told that this executor may have it. */
struct wire_refs core_left_refs_for(struct core *core, const struct core_task *task,
                                    struct core_peer *executor);
/* Whether the blob, which the task reads, is here. */
bool core_left_has(const struct core_task *task, const struct wire_hash *hash);
/* An executor asks for a blob that a task there reads, and that is away: it gets it later. False:
 * there is no such thing. */
bool core_left_ask(struct core *core, struct core_peer *peer, const struct wire_blob_want *want);
/* That peer has no room any more: what it keeps for us comes here. */
void core_left_bring(struct core *core, struct core_peer *peer);
/* A task of ours that we run ourselves: that peer did not have the blob. */
void core_left_refused(struct core *core, uint64_t job, const struct wire_hash *hash,
                       const struct wire_key *holder);

/* Sessions and inventories. */
void core_left_link_up(struct core_peer *peer);
void core_left_lose(struct core *core, struct core_peer *peer, bool are_seen_kept);

#endif
