/* The typed messages of mesh: what peers say to each other, and what clients and their daemon say
 * over the local socket. Plain structures; wire/message_codec.h turns them into bytes and back.
 *
 * Ownership: a message borrows. Every slice and array in it points into memory that somebody else
 * owns: after decoding, into the frame's body and the arena that was given; in an effect of the
 * core, into the effects' arena. Who keeps a message copies what it needs.
 *
 * Zero is "none" everywhere: an all-zero key or hash, an empty slice, an enum's first value. */
#ifndef MESH_WIRE_MESSAGE_H
#define MESH_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"
#include "wire/limits.h"
#include "wire/message_blob.h"
#include "wire/message_enums.h"
#include "wire/message_files.h"
#include "wire/message_parts.h"
#include "wire/message_queue.h"
#include "wire/message_trust.h"

/* Names one placement of one task for ever, together with its owner's key. */
struct wire_attempt_id {
    uint64_t job;
    uint32_t task;        /* from 1, in order of submission */
    uint32_t incarnation; /* the owner's, when it placed the attempt */
    uint32_t number;      /* from 1; only grows for one task */
};

/* A job's number is its owner's incarnation, then a counter: never used again. People see it as
 * "INCARNATION.COUNT". */
#define WIRE_JOB_TEXT_BYTES 24
const char *wire_job_text(uint64_t job, char to[static WIRE_JOB_TEXT_BYTES]);
/* 0, or -EINVAL. */
int wire_job_parse(const char *text, uint64_t *ret_job) MUST_CHECK;

/* --- parts -------------------------------------------------------------------------------------
 */

/* A file that travels with a job and stands in each task's directory. */
struct wire_file {
    struct slice path; /* relative, no "..", WIRE_PATH_BYTES_MAX */
    uint32_t mode;     /* permission bits, 0777 at most */
    struct wire_hash hash;
    uint64_t bytes;
    struct slice arch; /* of the executors it is for; empty: for all. Only they fetch it, and find
                        * it at its path, which another architecture's file may share */
};

struct wire_files {
    const struct wire_file *items;
    uint32_t n;
};

/* A blob that a task reads: it is at the executor before the attempt begins. */
struct wire_ref {
    struct wire_hash hash; /* not zero */
    uint64_t bytes;
    struct wire_key holder; /* in a task: who has it, where that is not the owner, and may give it
                             * to the executor; else zero */
};

struct wire_refs {
    const struct wire_ref *items;
    uint32_t n; /* WIRE_REFS_MAX at most */
};

/* A job that another waits for. */
struct wire_job_ref {
    uint64_t job;
};

struct wire_job_refs {
    const struct wire_job_ref *items;
    uint32_t n; /* WIRE_AFTER_MAX at most */
};

/* One captured stream. */
struct wire_output {
    uint64_t bytes;        /* all of it */
    struct slice inlined;  /* all of it when bytes <= WIRE_INLINE_BYTES_MAX, else empty */
    struct wire_hash hash; /* of the blob when it is not inlined */
};

/* What is known of an attempt that ended. Times are of the executor's clock.
 *
 * Of a call: `out` is the value that the function returned, `err` what it printed. `end` is EXITED
 * with a `status` of enum wire_call_status when the function returned, or with
 * WIRE_CALL_EXITED + its exit status when the worker exited under it, SIGNALED when the worker was
 * killed; `detail` says what went wrong. */
struct wire_result {
    uint32_t end;     /* enum wire_end */
    uint32_t status;  /* exit status or signal number */
    uint64_t wall_us; /* from start to end of the program */
    uint64_t user_us;
    uint64_t sys_us;
    uint64_t peak_kib; /* largest resident set */
    struct wire_output out;
    struct wire_output err;
    struct slice detail;            /* one line for people, or empty; WIRE_REASON_BYTES_MAX */
    struct wire_result_files files; /* that were brought back; what is missing of the task's returns
                                     * has a fault, and where nothing else was wrong, `end` says so
                                     */
};

/* What the executors of a job must know of it; sent to each once, before its first task. */
struct wire_job_spec {
    struct slice exec; /* what to execute: with a slash, relative to the task's directory or under
                        * /usr, /bin, /lib; else looked up along PATH. Empty: argv[0] */
    struct wire_files files;
    struct wire_slices env;    /* "NAME=VALUE" */
    struct slice arch;         /* empty: any */
    uint32_t cores;            /* a task's; at least 1 */
    uint64_t mem_bytes;        /* a task's need; 0: not said */
    uint64_t timeout_ms;       /* 0: none */
    uint64_t lease_ms;         /* at least 1,000 */
    uint64_t output_bytes_max; /* per stream */
    bool is_streamed;          /* output travels as it comes; results then carry no output */
    uint32_t nice;             /* 0..19 */
    uint32_t priority;         /* larger goes first among one submitter's jobs */
    bool is_durable; /* the owner keeps the job on disk: what it placed outlives its daemon */
    bool is_call;    /* `exec` is a program that is started as a worker and takes calls: argv[0] of
                      * a task names the function, there are no other words, and its arguments are
                      * its `args` or, when they are longer, its input */
};

/* --- peer to peer ------------------------------------------------------------------------------
 */

struct wire_goodbye {  /* the last message of a session */
    uint32_t reason;   /* enum wire_reason */
    struct slice text; /* for people, may be empty */
};

struct wire_beat {        /* sent each interval; any valid frame counts as one */
    uint64_t token;       /* the receiver sends it back in a beat_ack: round trip and challenge */
    uint32_t interval_ms; /* when to expect the next */
    uint32_t cores;       /* offered */
    uint32_t free;        /* of these idle */
    uint32_t n_queued;    /* attempts accepted and not begun, of all submitters */
    uint32_t n_running;
    bool is_spare; /* the sender would not miss this session */
};

struct wire_beat_ack {
    uint64_t token;
};

struct wire_peer_entry { /* a peer the sender has a proved session with, or heard of */
    struct wire_key key;
    struct slice name;
    struct wire_slices addresses; /* "HOST:PORT", at most WIRE_PEER_ADDRESSES_MAX */
    uint64_t version;             /* of what follows; raised by that peer alone. 0: none follows */
    bool is_gone;                 /* somebody lost it; it is up again under a higher version */
    uint32_t cores;               /* offered, when that was told last */
    struct slice arch;
    struct wire_slices queues; /* names of the queues that live there, WIRE_QUEUES_MAX */
};

struct wire_peers {
    const struct wire_peer_entry *items;
    uint32_t n;
};

struct wire_peers_sum { /* what the sender heard of others, in short: what differs is sent back */
    struct slice sums;  /* WIRE_PEERS_SUMS numbers of 8 bytes, big end first */
};

struct wire_want {    /* submitter to executor: what waits for it */
    uint32_t n_tasks; /* waiting tasks it could be sent; 0: none, credit may be withdrawn */
    uint32_t cores;   /* cores those tasks would occupy */
};

struct wire_credit {  /* executor to submitter: replaces the credit given before */
    uint32_t n_tasks; /* attempts that may be outstanding: sent, and neither ended nor refused */
    uint32_t cores;   /* the part of it that runs at once */
};

struct wire_job {
    uint64_t job;
    struct wire_job_spec spec;
};

struct wire_job_end { /* no more tasks of this job come; cells and files may go */
    uint64_t job;
};

struct wire_task { /* places an attempt */
    struct wire_attempt_id id;
    struct wire_slices argv; /* at least one */
    bool has_input;          /* standard input is the blob below; else it is empty */
    struct wire_hash input;
    uint64_t input_bytes;
    struct slice args; /* of a call: its arguments, WIRE_INLINE_BYTES_MAX; empty: none, or input */
    struct wire_refs refs;
    struct wire_task_files files; /* beside the job's, whose places they may not take */
    struct wire_slices returns;   /* files and directories to be brought back, in the task's */
    struct slice workdir; /* the task's directory, below its scratch; empty: the scratch. All its
                           * paths, and those of the job's files, are relative to it */
};

struct wire_cancel { /* kill it, or forget it if it has not begun; its result follows */
    struct wire_attempt_id id;
};

struct wire_started {
    struct wire_attempt_id id;
};

struct wire_stream_data { /* output of a streamed attempt */
    struct wire_attempt_id id;
    uint32_t stream; /* enum wire_stream */
    uint64_t offset; /* of the first byte */
    struct slice bytes;
};

struct wire_stream_ack { /* consumed up to here; opens the window */
    struct wire_attempt_id id;
    uint32_t stream;
    uint64_t offset;
};

struct wire_attempt_result {
    struct wire_attempt_id id;
    struct wire_result result;
};

struct wire_result_ack { /* the owner has it for good: the executor may forget it */
    struct wire_attempt_id id;
};

struct wire_refuse { /* the executor gives an attempt back */
    struct wire_attempt_id id;
    uint32_t refusal;  /* enum wire_refusal */
    struct slice text; /* one line for people, or empty */
};

struct wire_attempt_ids {
    const struct wire_attempt_id *items;
    uint32_t n;
};

struct wire_recall { /* give these back if they have not begun; a refuse answers for each that had
                      * not; for one that had begun nothing is sent */
    struct wire_attempt_ids ids;
};

struct wire_held_attempt {
    struct wire_attempt_id id;
    uint32_t held;   /* enum wire_held */
    uint64_t run_ms; /* for how long it has run; 0: it has not begun, or has ended */
};

struct wire_inventory { /* executor to owner, after each new session: all it holds for it */
    const struct wire_held_attempt *items;
    uint32_t n;
    bool is_last; /* false: another part follows */
};

struct wire_keep { /* the owner's answer to an inventory: what may go on */
    struct wire_attempt_ids ids;
};

struct wire_drop { /* and what may not: kill and forget, no result is sent */
    struct wire_attempt_ids ids;
};

struct wire_grant { /* owner to executor: this peer may fetch the output of a result that it keeps
                     */
    struct wire_attempt_id id;
    struct wire_key peer;
};

/* --- client and daemon -------------------------------------------------------------------------
 */

struct wire_client_hello { /* first message of a client */
    uint32_t protocol;     /* WIRE_VERSION_MAX of the client */
    struct slice version;
};

struct wire_daemon_hello { /* first message of the daemon */
    uint32_t protocol;
    struct slice version;
    struct wire_key key;
    struct slice name;
    uint32_t cores;
};

struct wire_submit { /* a new job; one descriptor travels along for each of spec.files, whose hash
                      * and bytes the daemon fills in. Answered by accepted or error */
    struct wire_job_spec spec;
    struct slice name; /* --name, or empty */
    uint32_t jobs_max; /* -j: tasks at once over the whole mesh; 0: no limit */
    uint32_t runs_max; /* --retries: runs of a failing task; 0: no limit */
    bool is_once;      /* --once */
    bool is_detached;
    bool may_speculate;
    uint32_t require_peers;    /* refuse when fewer other peers are up */
    struct wire_slices on;     /* --on: only these (name, id or prefix of one) */
    struct wire_slices except; /* --except */
    struct wire_job_refs
        after;         /* --after: no task begins before these have ended, all with success,
                        * else it is cancelled; of a detached job, detached ones only */
    bool is_after_any; /* --after-any: whatever became of them */
    /* For whoever attaches later: there was no input source, and the one task's exit status is the
     * job's; the tasks' command line is what sh -c is given. */
    bool is_single, is_shell;
};

struct wire_accepted { /* of a detached job: it is on disk so far */
    uint64_t job;
    uint64_t tasks_max; /* see task_credit */
};

struct wire_add_task { /* client: the next task of the job; one descriptor when has_input */
    uint64_t job;
    uint32_t task; /* 1, 2, 3, ... */
    struct wire_slices argv;
    bool has_input;
    struct wire_hash input; /* filled in by the daemon */
    uint64_t input_bytes;
    struct slice args;            /* as in wire_task */
    struct wire_refs refs;        /* each one that this connection put, or was given by a done */
    bool keeps_result;            /* of a call: what it returns may stay where it was made */
    struct wire_task_files files; /* these and what follows as in wire_task */
    struct wire_slices returns;
    struct slice workdir;
    struct wire_slices values; /* of a detached job: what the input sources gave,
                                * WIRE_VALUES_BYTES_MAX together; for whoever attaches later */
};

struct wire_submit_end { /* client: no more tasks */
    uint64_t job;
    uint32_t n_tasks; /* added in all */
};

struct wire_task_credit { /* daemon: the job may have this many tasks added in all by now */
    uint64_t job;
    uint64_t tasks_max;
};

struct wire_client_stream { /* daemon: output of a streamed task, as it comes */
    uint64_t job;
    uint32_t task;
    uint32_t stream;
    uint64_t offset;
    struct slice bytes;
};

struct wire_client_stream_ack { /* client: written out up to here */
    uint64_t job;
    uint32_t task;
    uint32_t stream;
    uint64_t offset;
};

struct wire_done { /* daemon: a task's one result. A descriptor travels along for each stream whose
                    * output is not inlined: out's first. Of a call, such a blob counts as put by
                    * this connection: other tasks may read it, and it takes a release. So
                    * does, of any task, each blob of result.files; no descriptors come
                    * for those, see get */
    uint64_t job;
    uint32_t task;
    uint32_t attempt;     /* the one that counted; 0 when none ran */
    uint32_t n_runs;      /* times its program ran to an end, or was started and lost */
    struct wire_key peer; /* where; zero when nowhere */
    struct slice peer_name;
    uint32_t refusal; /* enum wire_refusal, when result.end is NOT_STARTED */
    struct wire_result result;
    bool is_away; /* the blob of result.out stayed where it was made: no descriptor, see get */
};

struct wire_done_ack { /* client: this many of the job's results are dealt with, in all */
    uint64_t job;
    uint64_t n_done;
};

struct wire_job_done { /* daemon: every task has its result; the job is forgotten unless detached */
    uint64_t job;
    uint32_t n_tasks;
    uint32_t n_succeeded;
    uint32_t n_failed;
    uint32_t n_lost;   /* of the failed: without a result of their own */
    struct slice text; /* why it was cancelled, or empty */
    bool is_cancelled;
    bool is_running; /* to whoever attached and does not wait: it goes on */
};

struct wire_notice { /* daemon: one line for the user, for instance that a task starts again */
    uint64_t job;
    struct slice text;
    bool is_progress; /* of passing interest: how far a large file has come */
};

struct wire_job_cancel {
    uint64_t job;
};

struct wire_peers_query {
    bool is_watch; /* send a new list at each change, at most 4 a second */
};

struct wire_peer_row {
    struct wire_key key;
    struct slice name;
    struct slice arch;
    struct slice os;
    struct slice version;
    struct slice address;
    uint32_t cores;
    uint32_t free;
    uint32_t state; /* enum wire_peer_state */
    bool is_local;
    bool has_rtt;
    uint64_t rtt_us;
    struct slice detail; /* why it is refused or in conflict */
};

struct wire_peers_list { /* the local peer first */
    const struct wire_peer_row *items;
    uint32_t n;
};

struct wire_stats_query {
    uint32_t unused;
};

struct wire_stats_row { /* what one peer did for the asked daemon's jobs, since that daemon started
                         */
    struct wire_key key;
    struct slice name;
    bool is_local;
    uint64_t n_tasks;  /* results that counted */
    uint64_t n_failed; /* of these failed */
    uint64_t n_lost;   /* attempts lost with the peer */
    uint64_t wall_us;  /* summed over n_tasks */
    uint64_t cpu_us;   /* user and system, the same */
};

struct wire_stats_list {
    const struct wire_stats_row *items;
    uint32_t n;
    uint64_t uptime_us;
    uint32_t n_running; /* of the asked daemon's tasks, anywhere */
    uint32_t cores;     /* of all peers that are up */
};

struct wire_jobs_query {
    uint32_t unused;
};

struct wire_job_row {
    uint64_t job;
    struct slice name;
    uint32_t uid;
    bool is_detached;
    bool is_complete; /* all tasks are added */
    uint32_t n_tasks;
    uint32_t n_waiting;
    uint32_t n_placed; /* at executors, begun or not */
    uint32_t n_succeeded;
    uint32_t n_failed;
    uint64_t age_us;
    uint32_t state;    /* enum wire_job_state */
    struct slice text; /* why it was cancelled, or empty */
};

struct wire_jobs_list {
    const struct wire_job_row *items;
    uint32_t n;
};

struct wire_set_cores { /* cores this peer offers from now on; 0 drains it. Answered by ok or error
                         */
    uint32_t cores;
};

struct wire_ok {
    uint32_t unused;
};

struct wire_error_reply {
    uint32_t error; /* enum wire_error */
    struct slice text;
};

struct wire_job_kept { /* daemon: all of a detached job is on disk. It needs its client no more */
    uint64_t job;
    uint32_t n_tasks;
};

struct wire_task_cancel { /* client: no result of this task is wanted any more. It ends as cancelled
                           * at once, if it has not ended; what runs is killed. Not answered. A
                           * detached job is cancelled as a whole only */
    uint64_t job;
    uint32_t task;
};

struct wire_attach { /* client: the results of a detached job of its user. Answered by attached or
                      * error; then, of each task that has a result, in the order in which they came
                      * to be, its kept_task if wanted and its done; then job_done. At most
                      * WIRE_ATTACH_AHEAD of them come before a done_ack */
    uint64_t job;
    uint32_t task;    /* of this one only; 0: of all */
    bool is_wait;     /* until the job has ended; else what is there now */
    bool wants_tasks; /* kept_task, too */
};

struct wire_attached {
    uint64_t job;
    struct slice name;
    uint32_t n_tasks;
    bool is_single, is_shell; /* as in submit */
};

struct wire_kept_task { /* daemon: what was added; its done follows */
    uint64_t job;
    uint32_t task;
    struct wire_slices argv;
    struct wire_slices values;
    struct wire_slices returns; /* paths of files that it was to bring back */
};

struct wire_job_forget { /* client: a detached job that has ended, with its results. Answered by ok
                          * or error */
    uint64_t job;
};

/* --- all of them -------------------------------------------------------------------------------
 */

/* X(NAME, number on the wire, struct, member of the union). Numbers never change; a new message
 * takes a new one. 1..63 between peers, 64..127 between client and daemon. */
#define WIRE_MESSAGES(X)                                                                           \
    X(GOODBYE, 1, wire_goodbye, goodbye)                                                           \
    X(BEAT, 2, wire_beat, beat)                                                                    \
    X(BEAT_ACK, 3, wire_beat_ack, beat_ack)                                                        \
    X(PEERS, 4, wire_peers, peers)                                                                 \
    X(WANT, 5, wire_want, want)                                                                    \
    X(CREDIT, 6, wire_credit, credit)                                                              \
    X(JOB, 7, wire_job, job)                                                                       \
    X(JOB_END, 8, wire_job_end, job_end)                                                           \
    X(TASK, 9, wire_task, task)                                                                    \
    X(CANCEL, 10, wire_cancel, cancel)                                                             \
    X(STARTED, 11, wire_started, started)                                                          \
    X(STREAM, 12, wire_stream_data, stream)                                                        \
    X(STREAM_ACK, 13, wire_stream_ack, stream_ack)                                                 \
    X(RESULT, 14, wire_attempt_result, result)                                                     \
    X(RESULT_ACK, 15, wire_result_ack, result_ack)                                                 \
    X(REFUSE, 16, wire_refuse, refuse)                                                             \
    X(RECALL, 17, wire_recall, recall)                                                             \
    X(INVENTORY, 18, wire_inventory, inventory)                                                    \
    X(KEEP, 19, wire_keep, keep)                                                                   \
    X(DROP, 20, wire_drop, drop)                                                                   \
    X(BLOB_WANT, 21, wire_blob_want, blob_want)                                                    \
    X(BLOB_DATA, 22, wire_blob_data, blob_data)                                                    \
    X(BLOB_REFUSE, 23, wire_blob_refuse, blob_refuse)                                              \
    X(PEERS_SUM, 24, wire_peers_sum, peers_sum)                                                    \
    X(GRANT, 25, wire_grant, grant)                                                                \
    X(MEMBERSHIP, 26, wire_membership, membership)                                                 \
    X(QUEUE_PUT, 27, wire_queue_put, queue_put)                                                    \
    X(QUEUE_GET, 28, wire_queue_get, queue_get)                                                    \
    X(QUEUE_ITEM, 29, wire_queue_item, queue_item)                                                 \
    X(QUEUE_DONE, 30, wire_queue_done, queue_done)                                                 \
    X(QUEUE_ANSWER, 31, wire_queue_answer, queue_answer)                                           \
    X(QUEUE_ALL, 32, wire_queue_all, queue_all)                                                    \
    X(QUEUE_QUERY, 33, wire_queue_query, queue_query)                                              \
    X(QUEUE_ROWS, 34, wire_queue_rows, queue_rows)                                                 \
    X(BLOB_FROM, 35, wire_blob_from, blob_from)                                                    \
    X(BLOB_LEND, 36, wire_blob_lend, blob_lend)                                                    \
    X(BLOB_HAD, 37, wire_blob_had, blob_had)                                                       \
    X(CLIENT_HELLO, 64, wire_client_hello, client_hello)                                           \
    X(DAEMON_HELLO, 65, wire_daemon_hello, daemon_hello)                                           \
    X(SUBMIT, 66, wire_submit, submit)                                                             \
    X(ACCEPTED, 67, wire_accepted, accepted)                                                       \
    X(ADD_TASK, 68, wire_add_task, add_task)                                                       \
    X(SUBMIT_END, 69, wire_submit_end, submit_end)                                                 \
    X(TASK_CREDIT, 70, wire_task_credit, task_credit)                                              \
    X(CLIENT_STREAM, 71, wire_client_stream, client_stream)                                        \
    X(CLIENT_STREAM_ACK, 72, wire_client_stream_ack, client_stream_ack)                            \
    X(DONE, 73, wire_done, done)                                                                   \
    X(DONE_ACK, 74, wire_done_ack, done_ack)                                                       \
    X(JOB_DONE, 75, wire_job_done, job_done)                                                       \
    X(NOTICE, 76, wire_notice, notice)                                                             \
    X(JOB_CANCEL, 77, wire_job_cancel, job_cancel)                                                 \
    X(PEERS_QUERY, 78, wire_peers_query, peers_query)                                              \
    X(PEERS_LIST, 79, wire_peers_list, peers_list)                                                 \
    X(STATS_QUERY, 80, wire_stats_query, stats_query)                                              \
    X(STATS_LIST, 81, wire_stats_list, stats_list)                                                 \
    X(JOBS_QUERY, 82, wire_jobs_query, jobs_query)                                                 \
    X(JOBS_LIST, 83, wire_jobs_list, jobs_list)                                                    \
    X(SET_CORES, 84, wire_set_cores, set_cores)                                                    \
    X(OK, 85, wire_ok, ok)                                                                         \
    X(ERROR, 86, wire_error_reply, error)                                                          \
    X(JOB_KEPT, 87, wire_job_kept, job_kept)                                                       \
    X(PUT, 88, wire_put, put)                                                                      \
    X(PUT_DONE, 89, wire_put_done, put_done)                                                       \
    X(RELEASE, 90, wire_release, release)                                                          \
    X(TASK_CANCEL, 91, wire_task_cancel, task_cancel)                                              \
    X(GET, 92, wire_get, get)                                                                      \
    X(GOT, 93, wire_got, got)                                                                      \
    X(GONE, 94, wire_gone, gone)                                                                   \
    X(LOCK, 95, wire_lock, lock)                                                                   \
    X(UNLOCK, 96, wire_unlock, unlock)                                                             \
    X(INVITE, 97, wire_invite, invite)                                                             \
    X(INVITATION, 98, wire_invitation, invitation)                                                 \
    X(JOIN, 99, wire_join, join)                                                                   \
    X(TRUST, 100, wire_trust, trust)                                                               \
    X(BAN, 101, wire_ban_key, ban)                                                                 \
    X(TRUST_QUERY, 102, wire_trust_query, trust_query)                                             \
    X(TRUST_LIST, 103, wire_trust_list, trust_list)                                                \
    X(ATTACH, 104, wire_attach, attach)                                                            \
    X(ATTACHED, 105, wire_attached, attached)                                                      \
    X(KEPT_TASK, 106, wire_kept_task, kept_task)                                                   \
    X(JOB_FORGET, 107, wire_job_forget, job_forget)                                                \
    X(QUEUE_ADD, 112, wire_queue_add, queue_add)                                                   \
    X(QUEUE_TAKE, 113, wire_queue_take, queue_take)                                                \
    X(QUEUE_TAKEN, 114, wire_queue_taken, queue_taken)                                             \
    X(QUEUE_END, 115, wire_queue_end, queue_end)                                                   \
    X(QUEUE_REPLY, 116, wire_queue_reply, queue_reply)                                             \
    X(QUEUE_REMOVE, 117, wire_queue_remove, queue_remove)                                          \
    X(QUEUES_QUERY, 118, wire_queues_query, queues_query)                                          \
    X(QUEUES_LIST, 119, wire_queues_list, queues_list)

#define WIRE_ENUM_MESSAGE(name, number, type, member) WIRE_MESSAGE_##name = number,
enum wire_message_type { WIRE_MESSAGE_NONE = 0, WIRE_MESSAGES(WIRE_ENUM_MESSAGE) };

#define WIRE_UNION_MEMBER(name, number, type, member) struct type member;
struct wire_message {
    enum wire_message_type type;
    union {
        WIRE_MESSAGES(WIRE_UNION_MEMBER)
    };
};

/* What counts against WIRE_VALUES_BYTES_MAX: each one with a NUL. */
size_t wire_values_bytes(const struct wire_slices *values);

/* "beat", "task", ...; "unknown" for a number that is none. */
const char *wire_message_name(uint32_t type);

struct buf;
/* Appends "beat{token=7 interval_ms=500 ...}": one line for traces and the debug log, with foreign
 * text made printable, bytes as their count, and nothing at all of secrets and tokens. */
void wire_message_print(const struct wire_message *message, struct buf *to);

#endif
