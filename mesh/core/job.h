/* The submitter role: jobs of local clients, their tasks, where each is placed, and its one result.
 *
 * job.c is the life of a job, task.c of a task and its attempts, place.c chooses peers,
 * owner_recv.c hears executors, reunion.c settles what is where after a cut, stream.c passes output
 * on as it comes. */
#ifndef MESH_CORE_JOB_H
#define MESH_CORE_JOB_H

#include "mesh/core/core_internal.h"

/* job.c */
void core_job_init(struct core *core);
void core_job_free_all(struct core *core);
void core_job_stop_all(struct core *core);
struct core_job *core_job_find(const struct core *core, uint64_t id);
void core_job_submit(struct core *core, struct core_client *client,
                     const struct wire_submit *submit);
void core_job_add_task(struct core *core, struct core_client *client,
                       const struct wire_add_task *add);
void core_job_submit_end(struct core *core, struct core_job *job, uint32_t n_tasks);
void core_job_on_done_ack(struct core *core, struct core_job *job, uint64_t n_done);
void core_job_cancel(struct core *core, struct core_job *job);
/* Peers enough are there, and what it waits for is known: its client may add tasks, once it is on
 * disk where it has to be. */
void core_job_begin(struct core *core, struct core_job *job);
/* Before it began: the submit is answered with this error. */
void core_job_refuse(struct core *core, struct core_job *job, enum wire_error error,
                     struct slice text);
/* Why it will be cancelled. */
void core_job_set_reason(struct core_job *job, struct slice reason);
/* How it stands, as job_done says it. */
struct wire_job_done core_job_outcome(const struct core_job *job);
/* One task of an attached job, unless it has ended. */
void core_job_cancel_task(struct core *core, struct core_job *job, uint32_t number);
/* A detached job is accepted: its client may add tasks. */
void core_job_accept(struct core *core, struct core_job *job);
/* Without a client, and with this number. */
struct core_job *core_job_new(struct core *core, uint64_t id, uint32_t uid,
                              const struct wire_submit *submit);
/* Takes a task of it into memory. */
struct core_task *core_job_load_task(struct core *core, struct core_job *job,
                                     const struct wire_add_task *add);
/* What has no result yet gets none but "cancelled". */
void core_job_give_up_rest(struct core *core, struct core_job *job);
/* What depends on its counts: whether tasks may be placed, how many may be added, whether it is
 * over. To be called after each change. */
void core_job_update(struct core *core, struct core_job *job);
/* Its client does not deal with results: nothing more is begun for it. */
bool core_job_is_blocked(const struct core *core, const struct core_job *job);
/* As many attempts as -j allows are out. */
bool core_job_is_full(const struct core_job *job);
void core_job_notice(struct core *core, struct core_job *job, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether there is something to execute for that architecture. Pure. */
bool core_job_has_exec_for(const struct core_job *job, const char *arch);
/* A peer came up: jobs that wait for peers are answered. */
void core_job_on_peer_up(struct core *core);
void core_client_error(struct core *core, uint64_t client, enum wire_error error,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* task.c */
struct core_task *core_task_new(struct core *core, struct core_job *job,
                                const struct wire_add_task *add);
struct core_task *core_task_find(const struct core_job *job, uint32_t number);
bool core_task_move(struct core *core, struct core_task *task, enum core_task_cause cause);
void core_task_place(struct core *core, struct core_task *task, struct core_site *site);
/* Starts one that runs a second time, at another peer. */
void core_task_second(struct core *core, struct core_task *task, struct core_site *site);
/* Its one result. `attempt` may be NULL: none counted. */
void core_task_report(struct core *core, struct core_task *task, struct core_attempt *attempt,
                      enum wire_refusal refusal, const struct wire_result *result);
/* Ends it without a result of its own. */
void core_task_give_up(struct core *core, struct core_task *task, enum wire_end end,
                       enum wire_refusal refusal, struct slice detail);
/* Back to waiting, unless another attempt is out. */
void core_task_requeue(struct core *core, struct core_task *task);
void core_task_maybe_free(struct core *core, struct core_task *task);
/* The result counts; its output is fetched first where that is needed. */
void core_task_result(struct core *core, struct core_attempt *attempt,
                      const struct wire_result *result);
struct core_attempt *core_attempt_find(const struct core_task *task, const struct core_peer *peer,
                                       const struct wire_attempt_id *id);
/* One that an earlier life of ours placed, and that its peer holds. */
struct core_attempt *core_attempt_adopt(struct core *core, struct core_task *task,
                                        struct core_peer *peer, const struct wire_attempt_id *id,
                                        bool is_live);
/* It is known to have begun, and when. */
void core_attempt_begun(struct core *core, struct core_attempt *attempt, uint64_t begun_ns);
/* Its result is on disk. */
void core_task_kept(struct core *core, struct core_task *task);
/* Nothing is fetched for it any more. */
void core_task_drop_returned(struct core *core, struct core_task *task);
/* An end that the program came to by itself, or that its job asked for. */
bool core_task_is_own_end(uint32_t end);
/* The blobs of a result's files, which the client was told of: as if it had put each. They are
 * here.
 */
void core_task_put_files(struct core *core, struct core_client *client,
                         const struct wire_result *result);
/* Gone for good: no longer counted, freed. */
void core_attempt_free(struct core *core, struct core_attempt *attempt);
/* No longer counted, but known: it is lost, or has answered for good. */
void core_attempt_put_aside(struct core *core, struct core_attempt *attempt);
/* Its peer is lost, or does not have it. */
void core_attempt_lost(struct core *core, struct core_attempt *attempt);
/* A lost one is found to be there still. */
void core_attempt_found(struct core *core, struct core_attempt *attempt);
/* A lost one is found to run still, and its task was given to another meanwhile. If this one began
 * earlier it counts again, the other is cancelled, and true is returned. */
bool core_attempt_overtake(struct core *core, struct core_attempt *attempt);
struct wire_attempt_id core_attempt_id(const struct core_attempt *attempt);
void core_result_ack(struct core *core, struct core_peer *peer, const struct wire_attempt_id *id);

/* place.c */
void core_place_run(struct core *core);
void core_want_run(struct core *core);
/* Whether a job whose tasks wait could run there, as far as is known. */
bool core_place_could_take(const struct core *core, const struct core_card *card);
/* Cores that waiting tasks would occupy. */
uint64_t core_place_cores_waiting(const struct core *core);
/* Whether it can take tasks at all changed. */
void core_place_peer_changed(struct core *core, struct core_peer *peer);
/* What the job asks of peers changed. */
void core_place_job_changed(struct core *core, struct core_job *job);
/* Its credit or what is placed there changed. */
void core_place_update_spare(struct core *core, struct core_peer *peer);
void core_place_forget_peer(struct core *core, struct core_peer *peer);
struct core_site *core_site_get(struct core *core, struct core_job *job, struct core_peer *peer);
void core_site_free(struct core *core, struct core_site *site);
/* The job may run there, and is neither refused nor held back. */
bool core_site_is_open(const struct core_site *site);
/* A cell that ran the task died there. */
bool core_task_died_on(const struct core_task *task, const struct core_peer *peer);
void core_job_stuck_fire(struct core *core, struct core_timer *timer);

/* unfit.c: tells the client what the job asks for, and what those who were meant lack. */
void core_job_say_unfit(struct core *core, struct core_job *job);

/* tail.c */
void core_tail_init(struct core *core);
/* Something changed: looks at the tail in this step, or a little later. */
void core_tail_consider(struct core *core);
/* Recalls what waits in queues while cores idle elsewhere; else starts stragglers a second time. */
void core_tail_run(struct core *core);
/* A task succeeded in that time. */
void core_tail_note_run(struct core_site *site, uint64_t ns);
/* Median, and the time beyond which a run is a straggler's, of what was noted; 0: not known. */
void core_runs_reckon(struct core_runs *runs);
/* Asks for what has not begun there. */
void core_tail_recall_site(struct core *core, struct core_site *site);

/* blackhole.c */
void core_nap_fire(struct core *core, struct core_timer *timer);
/* A task of the job ended there by itself, well or badly. */
void core_site_note_end(struct core *core, struct core_site *site, bool is_good);
/* Whether the site may have no task now for what failed there. */
bool core_site_is_napping(const struct core_site *site);
/* Peers came or went: lets go what rests without cause. */
void core_job_review_naps(struct core *core, struct core_job *job);
/* The site dies. */
void core_site_nap_done(struct core *core, struct core_site *site);

/* owner_recv.c, reunion.c, stream.c */
bool core_owner_on_message(struct core *core, struct core_peer *peer,
                           const struct wire_message *message);
void core_owner_on_inventory(struct core *core, struct core_peer *peer,
                             const struct wire_inventory *inventory);
void core_owner_link_up(struct core *core, struct core_peer *peer);
void core_owner_peer_lost(struct core *core, struct core_peer *peer);
bool core_owner_may_serve(const struct core *core, const struct core_peer *peer,
                          const struct wire_hash *hash, uint64_t *ret_bytes);
/* moving.c: of what takes long, whoever waits for it is told how far it has come. */
void core_moving_on(struct core *core, const struct core_event *event);
void core_stream_on_data(struct core *core, struct core_peer *peer,
                         const struct wire_stream_data *data);
void core_stream_on_client_ack(struct core *core, struct core_job *job,
                               const struct wire_client_stream_ack *ack);
/* The attempt goes on, and says again what may be lost. */
void core_stream_found(struct core_task *task);
void core_stream_placed(struct core *core, struct core_task *task, const struct core_peer *peer);

#endif
