/* The executor role: attempts held for owners (ourselves among them), the queue, cores, cells,
 * leases, results until they are acknowledged.
 *
 * exec.c decides what starts and acts on the shell's events; turn.c what is paused for it; held.c
 * is the life of one attempt; xjob.c the jobs of owners; cell.c sandboxes; credit.c what each owner
 * may send; exec_recv.c the messages of owners. */
#ifndef MESH_CORE_EXEC_H
#define MESH_CORE_EXEC_H

#include "mesh/core/core_internal.h"

void core_exec_init(struct core *core);
void core_exec_free_all(struct core *core);
void core_exec_on_event(struct core *core, const struct core_event *event);
/* False: not a message to this role. */
bool core_exec_on_message(struct core *core, struct core_peer *peer,
                          const struct wire_message *message);
/* Any message of an owner renews its leases. */
void core_exec_heard(struct core *core, struct core_peer *owner);
/* The owner is here, and has not too many results that it did not acknowledge. */
bool core_exec_may_begin(const struct core_peer *owner);
/* What waits in its queue, or whether it may begin, may have changed. */
void core_exec_turn(struct core *core, struct core_peer *owner);
/* What begins or goes on next, once there is room for it; NULL: nothing waits. */
struct core_held *core_exec_next(struct core *core);
/* Starts what fits, owner by owner, fairly. */
void core_exec_run(struct core *core);
void core_exec_on_late(struct core *core, uint64_t late_ns);
/* Sends the inventory and the first credit. */
void core_exec_link_up(struct core *core, struct core_peer *peer);
/* The session is gone: leases run. */
void core_exec_owner_gone(struct core *core, struct core_peer *peer);
/* Its session is not needed: jobs of which nothing is here end, for it may never come back. */
void core_exec_owner_idle(struct core *core, struct core_peer *peer);
/* It lives a new life, or left for good: what it had attached ends at once. Durable jobs stay. */
void core_exec_owner_restarted(struct core *core, struct core_peer *peer);
/* It is out: all that it has here ends at once, durable jobs too. */
void core_exec_owner_out(struct core *core, struct core_peer *peer);
bool core_exec_may_serve(const struct core *core, const struct core_peer *peer,
                         const struct wire_hash *hash);
/* Whether others get no cores here: another daemon on this host offers them, or there is no sandbox
 * to run strangers' tasks in. */
bool core_exec_is_for_own(const struct core *core);
/* What beats and announcements say: none, when they are for our own jobs alone. */
uint32_t core_exec_offered(const struct core *core);
void core_exec_set_cores(struct core *core, uint32_t cores);
/* The daemon is asked to end. */
void core_stop(struct core *core);

/* Whether one more of the job may be held, as far as memory goes. */
bool core_held_has_room(const struct core *core, const struct core_xjob *xjob,
                        const struct wire_task *task) MUST_CHECK;
/* held.c */
struct core_held *core_held_new(struct core *core, struct core_xjob *xjob,
                                const struct wire_task *task);
struct core_held *core_held_find(const struct core *core, const struct wire_key *owner,
                                 const struct wire_attempt_id *id);
bool core_held_move(struct core *core, struct core_held *held, enum core_held_cause cause);
/* Into the queue once nothing is missing. */
void core_held_maybe_ready(struct core *core, struct core_held *held);
void core_held_start(struct core *core, struct core_held *held, struct core_cell *cell);
void core_held_kill(struct core *core, struct core_held *held, enum wire_end end);
/* It ended: the result is kept and sent. */
void core_held_end(struct core *core, struct core_held *held, const struct wire_result *result);
void core_held_refuse(struct core *core, struct core_held *held, enum wire_refusal refusal,
                      struct slice text);
/* No result is wanted: gone at once, or after it was killed as `end`. */
void core_held_forget(struct core *core, struct core_held *held, enum wire_end end);
void core_held_ack(struct core *core, struct core_held *held);
void core_held_on_stream(struct core *core, struct core_held *held,
                         const struct wire_stream_data *data);
void core_held_on_stream_ack(struct core *core, struct core_held *held,
                             const struct wire_stream_ack *ack);
/* Sends again what an owner that was away may have missed. */
void core_held_repeat(struct core *core, struct core_held *held);
/* Only when the core is freed: nobody is told. */
void core_held_discard(struct core *core, struct core_held *held);
/* Frees cores and memory of one that held them. */
void core_held_release_cores(struct core *core, struct core_held *held);
bool core_held_has_cores(const struct core_held *held);
void core_refuse(struct core *core, struct core_peer *owner, const struct wire_attempt_id *id,
                 enum wire_refusal refusal, struct slice text);

/* Takes its cores, or gives them back. */
void core_held_use_cores(struct core *core, struct core_held *held, bool is_used);

/* turn.c */
void core_turn_init(struct core *core);
/* The one that is to go on: whose turn it is again and whose origin has no more cores than this
 * rival; with NULL, any. NULL: none. */
struct core_held *core_turn_next(const struct core *core, const struct core_origin *rival);
/* Whether enough cores are idle for it. */
bool core_turn_has_room(const struct core *core, const struct core_held *held);
void core_turn_resume(struct core *core, struct core_held *held);
/* Those that are not being killed, however many cores there are. */
void core_turn_resume_all(struct core *core);
/* A paused one is about to be gone. */
void core_turn_forget(struct core *core, struct core_held *held);
/* Somebody may wait for cores: looks in a while whether it has to. */
void core_turn_watch(struct core *core);

/* xjob.c */
struct core_xjob *core_xjob_find(const struct core *core, const struct core_peer *owner,
                                 uint64_t incarnation, uint64_t job);
/* NULL when there are too many or memory is short. */
struct core_xjob *core_xjob_new(struct core *core, struct core_peer *owner, uint64_t incarnation,
                                const struct wire_job *job);
/* A file found no room here a while ago: is there some now? */
void core_xjob_retry(struct core *core, struct core_xjob *xjob);
void core_xjob_maybe_free(struct core *core, struct core_xjob *xjob);
/* Everything of it is dropped; `end` is what running attempts are killed as. */
void core_xjob_drop(struct core *core, struct core_xjob *xjob, enum wire_end end);

/* Not found any more, and freed once its last attempt is gone. */
void core_xjob_over(struct core *core, struct core_xjob *xjob);
void core_xjob_discard(struct core *core, struct core_xjob *xjob);

/* cell.c */
void core_cell_init(struct core *core);
/* An idle cell of the job, or a new one. */
struct core_cell *core_cell_take(struct core *core, struct core_xjob *xjob);
void core_cell_give(struct core *core, struct core_cell *cell, bool is_usable);
/* Closes the idle ones of a job. */
void core_cell_close_idle(struct core *core, struct core_xjob *xjob);

/* origin.c */
/* Of an address "HOST:PORT" or "[HOST]:PORT", zeros behind: the host; of IPv6 the /64 prefix,
 * except for addresses of one link. Pure. */
void core_origin_text(const char *address, char to[static CORE_ORIGIN_BYTES]);
/* By its address, as last proved. */
void core_origin_set(struct core *core, struct core_peer *peer);
/* NULL from then on. */
void core_origin_drop(struct core *core, struct core_peer *peer);
/* Fewest cores in use here first, then who was not served for longest. */
uint64_t core_origin_rank(const struct core_origin *origin);
/* Its rank, or who is waiting, may have changed. */
void core_origin_turn(struct core *core, struct core_origin *origin);
/* Of those who are waiting; there is one. */
/* Whether so much more of the owner's may be kept in memory. Always for ourselves. */
bool core_origin_has_room(const struct core *core, const struct core_peer *owner, uint64_t bytes);
/* What is kept of the owner's grew or shrank. */
void core_origin_weigh(struct core *core, struct core_peer *owner, uint64_t before, uint64_t after);
struct core_peer *core_origin_next_owner(const struct core_origin *origin);

/* credit.c */
void core_credit_run(struct core *core);
/* The credit of one owner may have changed through its own doing. */
void core_credit_init(struct core *core);
/* What it wants or has open here has changed to or from nothing. */
void core_credit_active(struct core *core, struct core_peer *owner);
void core_credit_update(struct core *core, struct core_peer *owner);
/* No cores are offered any more: what has not begun goes back. */
void core_credit_drain(struct core *core);
/* `cores` shared among `n` by demand; the first is ourselves and keeps half while it has that
 * demand. Pure. Writes the shares. */
void core_credit_share(uint32_t cores, bool has_self, const uint32_t *demands, uint32_t *shares,
                       uint32_t n);
/* For each of `n` the share it would have if it wanted everything, and the others what they do: by
 * core_credit_share() for all of them at once. `room` holds 2 * (cores + 1). Pure. */
void core_credit_share_each(uint32_t cores, bool has_self, const uint32_t *demands,
                            uint32_t *shares, uint32_t n, uint32_t *room);
/* The run time to expect of an owner's tasks after one that took so long, where this was expected
 * before, or 0. Pure. */
uint64_t core_credit_smooth(uint64_t expected_ns, uint64_t ns);
/* Tasks to have at hand beyond those that run. Pure. */
uint32_t core_credit_prefetch(uint32_t n_slots, uint64_t wall_ns, uint64_t rtt_ns);

#endif
