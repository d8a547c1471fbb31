/* Several cores joined by links in memory, over virtual time: the shell of tests.
 *
 * Each node is a core whose effects are carried out by the world: dials become links after a
 * handshake, messages arrive after a latency, attempts end after a run time, blobs are fetched.
 * Everything that happens is an entry in one queue ordered by time, so that a world is repeatable
 * from its seed. core_check() runs after every event.
 *
 * A program is its argv[0]: "run MS STATUS" style words are kept as
 *   argv = {"exit", "3"}  ends with that status after the world's run_ns
 *   {"sleep", MS}         runs so long, then exits with 0
 *   {"blob", BYTES}       exits with 0, its output is a blob
 *   {"same", BYTES}       the same, but one blob for all tasks; and as errors one of its own, twice
 *                         as large
 *   {"stream", N}         streams N chunks of 1,000 bytes, 1 ms apart, within the window
 *   {"missing"}           is refused: command not found
 *   {"missing", MS}       the same, task n only n * MS later
 *   {"nocell", MS}        is refused while the world is younger than that: no cell
 *   {"poison"}            its cell dies
 *   {"full"}              its output does not fit on the executor's disk
 *   {"every", N}          exits with 0 for each Nth task, else with 1
 *   {"hog", MS}           as sleep, but killed by a signal of its own
 * The world asserts for every client: each task is reported at most once. */
#ifndef MESH_TESTS_CORE_WORLD_H
#define MESH_TESTS_CORE_WORLD_H

#include "mesh/core/core.h"
#include "mesh/core/limits.h"
#include "wire/base/buf.h"

#define WORLD_NODES_MAX 200
#define WORLD_TASKS_MAX 200000u
#define WORLD_CLIENT    7u    /* the id of each node's client */
#define WORLD_LONE_LINK 1000u /* a lone link's number is this or a little more */

struct core_book;
struct kept_queues;
struct world;

#define WORLD_ASKS_MAX 64u /* numbers of puts and gets of queues that a client may use, from 1 */

struct world_ask { /* what was heard of one */
    unsigned n_replies, n_taken;
    uint32_t error;
    char error_text[WIRE_REASON_BYTES_MAX + 1];
    char taken[64]; /* the last item */
};

struct world_client { /* what the client of a node has seen */
    bool is_closed;   /* by the daemon */
    bool is_up, is_accepted, is_kept, is_job_done, has_error, has_ok;
    uint64_t job, tasks_max, n_done, n_done_acked;
    uint32_t error;
    struct wire_job_done job_done;
    uint8_t *n_reports;    /* by task */
    struct wire_done last; /* slices cleared */
    uint32_t n_by_end[16];
    uint32_t n_failed_status;
    struct buf stream;            /* all of stream 1 */
    struct buf notices, progress; /* the latter: notices of passing interest */
    bool holds_acks;              /* does not acknowledge results */
    bool holds_stream_acks;
    uint32_t n_rows;
    struct wire_peer_row rows[WORLD_NODES_MAX + 1]; /* of the last list; slices cleared */
    /* feeding */
    uint32_t n_tasks, n_added;
    bool is_fed, has_input; /* set the latter before world_submit(): each task gets its own */
    const char *words[2];
    struct slice args; /* of each task of later submits, if any; */
    struct wire_refs refs;
    uint32_t n_puts, put_error; /* answered; the last answer */
    bool keeps_result;          /* as each task of later submits says */
    uint32_t n_gots, n_gone;
    struct wire_got got;   /* the last; its text cleared */
    struct wire_gone gone; /* the last */
    char error_text[WIRE_REASON_BYTES_MAX + 1];
    uint32_t n_answers; /* ok, error, invitation: since the last world_ask() */
    bool has_invitation;
    struct wire_invitation invitation; /* its addresses cleared */
    bool has_trust;
    struct wire_trust_list trust; /* slices cleared */
    uint32_t n_banned;            /* in it */
    struct world_ask asks[WORLD_ASKS_MAX + 1];
    unsigned n_queue_rows;
    struct wire_queue_row queue_rows[WIRE_QUEUES_MAX]; /* of the last table; peers cleared */
    char queue_names[WIRE_QUEUES_MAX][WIRE_NAME_BYTES_MAX + 1];
};

struct world *world_new(uint64_t seed);
struct world *world_free(struct world *world);
/* n nodes that have found one another. */
struct world *world_mesh(unsigned n, uint64_t seed);
/* n nodes with journals, and so long to find one another. */
struct world *world_mesh_kept(unsigned n, uint64_t seed, uint64_t ns);
/* Idle cells close, beats slow down, and nothing of any job is left; then it is freed. */
void world_end(struct world *world);

/* Before world_start(): what node i is made of. */
struct core_config *world_config(struct world *world, unsigned i);
/* Brings the node to life; peers are found by those that live when `is_found`. */
void world_start(struct world *world, unsigned i, bool is_found);
void world_found(struct world *world, unsigned i, unsigned of);
struct core *world_core(struct world *world, unsigned i);
struct world_client *world_client(struct world *world, unsigned i);
uint64_t world_now(const struct world *world);

void world_run_for(struct world *world, uint64_t ns);
/* Until the client's job is done, or for so long; whether it is done. */
bool world_run_job(struct world *world, unsigned i, uint64_t ns_max);

/* Faults. */
void world_kill(struct world *world, unsigned i); /* as kill -9: links close, dials are refused */
void world_cut(struct world *world, unsigned i);  /* as a pulled cable: silence */
void world_mend(struct world *world, unsigned i);
void world_reset_link(struct world *world, unsigned i, unsigned j); /* closed at both ends */
void world_freeze(struct world *world, unsigned i);
void world_thaw(struct world *world, unsigned i);
void world_restart(struct world *world, unsigned i); /* a new life of a killed one */
void world_event(struct world *world, unsigned i, struct core_event *event);

/* Links that only one node knows, made by world_event(): numbers from 1000. What the node sends
 * there goes nowhere. */
struct world_closed {
    uint64_t link;
    enum wire_reason reason;
};
struct world_closed world_last_closed(const struct world *world, unsigned i);
/* The token of the last beat that node i sent over this link; 0: none. */
uint64_t world_challenge(const struct world *world, unsigned i, uint64_t link);

/* The client of a node. */
void world_client_up(struct world *world, unsigned i);
void world_client_down(struct world *world, unsigned i);
void world_client_say(struct world *world, unsigned i, const struct wire_message *message);
/* A submit with sensible values, to be changed before world_submit(). */
struct wire_message world_job(void);
/* Connects if need be, submits, and feeds n_tasks of these two words as credit allows. */
void world_submit(struct world *world, unsigned i, const struct wire_message *submit,
                  uint32_t n_tasks, const char *word, const char *value);

/* Blobs that tasks read. A node starts no attempt before it keeps its refs. */
struct wire_ref world_ref(uint8_t name, uint64_t n_bytes);
/* The node's client puts it, or takes it back. */
void world_put(struct world *world, unsigned i, const struct wire_ref *ref);
void world_release(struct world *world, unsigned i, const struct wire_ref *ref);
/* It asks for bytes that a done left elsewhere. */
void world_get(struct world *world, unsigned i, const struct wire_ref *ref);
/* Node `from` sends node `to` a message that its core did not say. */
void world_forge(struct world *world, unsigned from, unsigned to,
                 const struct wire_message *message);
/* Stores are true to life for a blob that is watched, as each that is put: what was fetched once is
 * kept, and found at the next fetch. */
void world_watch(struct world *world, const struct wire_hash *hash);
void world_keep(struct world *world, unsigned i, const struct wire_hash *hash);
bool world_keeps(const struct world *world, unsigned i, const struct wire_hash *hash);
/* Blobs of more bytes find no room there. */
void world_set_room(struct world *world, unsigned i, uint64_t n_bytes);
/* Before world_start(): the highest version that it speaks. */
void world_set_protocol(struct world *world, unsigned i, uint32_t version);

/* The disk of a node whose config has a journal. It outlives kills and restarts; a kill leaves a
 * random part of what was being written. It asserts that no task has two results on it. */
struct world_kept { /* a job as the disk knows it */
    bool is_known, is_complete, is_cancelled, is_over;
    uint32_t n_tasks, n_results, n_succeeded, n_lost;
};
struct world_kept world_kept(const struct world *world, unsigned i, uint64_t job);
unsigned world_n_kept_jobs(const struct world *world, unsigned i);
/* Said, and reads asked for, in all lives. */
uint64_t world_n_records(const struct world *world, unsigned i, enum core_record_type type);
uint64_t world_n_reads(const struct world *world, unsigned i);
void world_disk_set_latency(struct world *world, unsigned i, uint64_t latency_ns);
void world_disk_set_full(struct world *world, unsigned i, bool is_full);
void world_disk_set_unreadable(struct world *world, unsigned i, bool is_unreadable);
void world_disk_tear(struct world *world, unsigned i); /* the next write ends half-way */
/* What is on it is gone, and the node is told. */
void world_disk_lose(struct world *world, unsigned i);
void world_disk_wipe(struct world *world, unsigned i); /* of a killed node: its state is gone */
/* From now on: no result is acknowledged to its executor before it is on disk. Only where all tasks
 * succeed and nothing is cancelled. */
void world_check_acks(struct world *world);
/* Whether the task has a result on that disk; true for a job that was not accepted. */
bool world_has_result(const struct world *world, unsigned i, uint64_t job, uint32_t task);

/* Trust. The client of a node asks (it connects if need be), and the world runs until it is
 * answered, for 20 s at most: true when that was ok, or an invitation. */
bool world_ask(struct world *world, unsigned i, const struct wire_message *message);
bool world_lock(struct world *world, unsigned i);
bool world_ban(struct world *world, unsigned i, unsigned whom, bool is_removed);
/* Node i invites, node j joins. */
bool world_invite(struct world *world, unsigned i, unsigned j);
/* Writes of the state of trust end with this error; 0: they work. */
void world_trust_fail(struct world *world, unsigned i, int error);
const struct core_book *world_kept_trust(const struct world *world, unsigned i);
/* Both have a session with the other. */
bool world_are_linked(struct world *world, unsigned i, unsigned j);

/* Queues: the client of a node (it connects if need be) puts these words, each an item of its own;
 * gets; is done or gives back; looks at the table. "#x" is a large item. */
void world_queue_put(struct world *world, unsigned i, uint64_t id, const char *name,
                     const char *words);
void world_queue_get(struct world *world, unsigned i, uint64_t id, const char *name);
void world_queue_end(struct world *world, unsigned i, uint64_t id, bool is_done);
void world_queue_remove(struct world *world, unsigned i, const char *name);
void world_queue_look(struct world *world, unsigned i);
/* What was heard of it; valid as long as the client. */
const struct world_ask *world_ask_of(struct world *world, unsigned i, uint64_t id);
/* Runs until it was answered, or has its item; fails after 20 s. */
const struct world_ask *world_queue_wait(struct world *world, unsigned i, uint64_t id);
const struct kept_queues *world_kept_queues(const struct world *world, unsigned i);

/* What happened. */
void world_set_run(struct world *world, uint64_t run_ns);
/* Messages of this type are lost from now on, as if the core did not send them. */
void world_lose(struct world *world, enum wire_message_type type);
/* Programs take so many times as long there. */
void world_set_slowness(struct world *world, unsigned i, uint64_t factor);
/* Every program exits with 1 there at once; again as it should with false. */
void world_set_broken(struct world *world, unsigned i, bool is_broken);
void world_set_latency(struct world *world, uint64_t latency_ns);
uint32_t world_n_started(const struct world *world, unsigned i); /* START effects */
uint32_t world_n_running(const struct world *world, unsigned i);
/* The most programs that ran at once, over all nodes. */
uint32_t world_n_running_max(const struct world *world);
uint64_t world_n_effects(const struct world *world, unsigned i, enum core_effect_type type);
uint64_t world_n_sent(const struct world *world, unsigned i, enum wire_message_type type);
bool world_has_exited(const struct world *world, unsigned i);
uint64_t world_trace_hash(const struct world *world);
/* Lines of events and effects are kept from now on: "  12.300 hal < message ...". */
void world_trace(struct world *world);
struct slice world_trace_text(const struct world *world);
/* Every node alive is at rest: nothing of any job is left. */
void world_assert_quiet(struct world *world);

#endif
