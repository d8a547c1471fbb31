/* The inside of libmesh: a handle, and what hangs on it. Shared by the files that make it up.
 *
 * Everything below is guarded by the handle's one lock, the connection included; the thread that
 * owns the connection gives the lock up only to poll, to open a connection and to call back. What
 * is named `..._locked` is called with the lock held; so is every function of this header that says
 * nothing else.
 *
 * A call goes BLOCKED (arguments are missing) -> WAITING (in its job's queue) -> SENT -> DONE. The
 * caller's thread makes it and queues it; the handle's thread sends it and receives the result. A
 * daemon that dies sends SENT back to WAITING. A result that stays where it was made is DONE, too,
 * when another call reads it; else it is FETCHING until it is here. See away.c. */
#ifndef MESH_CLIENT_HANDLE_H
#define MESH_CLIENT_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mesh/client/body.h"
#include "mesh/client/client.h"
#include "mesh/client/include/mesh.h"
#include "wire/base/buf.h"
#include "wire/base/errmsg.h"
#include "wire/base/list.h"
#include "wire/message.h"

#define MESH_CALLS_MAX      (1u << 20) /* under way; more wait in mesh_submit() */
#define MESH_LOSSES_MAX     3u         /* daemons that may die under one call */
#define MESH_REMAKES_MAX    3u         /* times that one lost result is computed again */
#define MESH_JOBS_MAX       64u        /* distinct sets of needs of one handle */
#define MESH_TASKS_MAX      (1u << 30) /* of one job; then another takes its place */
#define MESH_PROGRAMS_MAX   16u
#define MESH_FUNCTION_BYTES (WIRE_FUNCTION_BYTES_MAX + 1) /* of a name, its NUL included */
#define MESH_TEXTS          8u
#define MESH_PATIENCE_S     30.0
#define MESH_FREED_MAX      4096u /* freed futures that a checked build still recognises */

/* --- waiting -----------------------------------------------------------------------------------
 */

/* A thread that waits, on its stack. */
struct mesh_wait {
    struct list node;
    pthread_cond_t cond;
    bool (*is_over)(struct mesh_wait *wait); /* asked after each change */
    const void *what;
    size_t n, i; /* the predicate's own */
};

/* --- calls -------------------------------------------------------------------------------------
 */

/* What distinguishes jobs. Compared as bytes: zeroed before it is filled in. */
struct mesh_needs {
    uint64_t mem_bytes;
    uint64_t timeout_ms;
    uint32_t cores;
    uint32_t runs_max;
    uint32_t priority;
    uint32_t is_once;
    uint32_t no_speculate;
    char arch[WIRE_ARCH_BYTES_MAX + 4];
};

/* Tasks that were sent, by number. Open addressing. */
struct mesh_tasks {
    struct mesh_future **slots; /* owned */
    size_t n_slots;             /* a power of two, or 0 */
    size_t n;
};

struct mesh_job {
    struct list node; /* of mesh.jobs */
    struct mesh_needs needs;
    bool is_sent, is_accepted;
    bool is_full; /* nothing more is added */
    uint64_t id;
    uint64_t tasks_max;
    uint64_t n_done, n_acked;
    uint32_t n_added;
    struct list waiting; /* struct mesh_future.queue */
    struct mesh_tasks sent;
    struct buf cancels; /* uint32_t, numbers of tasks: to be told to the daemon */
};

struct mesh_name { /* of a function */
    struct list node;
    size_t n;
    char text[];
};

struct mesh_inout {
    uint8_t *p;
    size_t n;
};

/* What few calls have. */
struct mesh_extra {
    mesh_future *future; /* whose it is */
    mesh_group *group;
    struct list in_group; /* in order of submission */
    struct list in_done;  /* in the order in which they were done */
    void (*on_done)(mesh_future *future, void *user);
    void *user;
    struct mesh_data **refs;   /* owned array of owned references */
    mesh_future **deps;        /* the same: results that are arguments */
    mesh_future **dependents;  /* owned array of owned references: calls that wait for this one */
    struct mesh_inout *inouts; /* owned array */
    uint32_t n_refs, n_deps, n_dependents, cap_dependents, n_inouts;
    uint32_t n_deps_open; /* results that are missing, and one while the call is being made */
    /* How to make the result again, should it be lost where it stays. The arguments as they were
     * submitted: results among them by their places in deps. Owned. */
    struct mesh_needs needs; /* of the job, also for a call that waits for its arguments */
    struct mesh_body plan;
    uint32_t n_own_refs; /* of refs; those behind are results */
    uint32_t n_readers;  /* calls that are not done and have the result as an argument */
    uint8_t n_remakes;
    bool keeps_result;    /* may stay away though nobody reads it */
    bool has_lineage;     /* it is done, and what it was made of is kept */
    bool is_dropped;      /* the result was let go of, for nobody could read it any more */
    mesh_future *remake;  /* the call that makes the result again; it has a reference to this one */
    mesh_future *remakes; /* of such a call: whose. Owned reference */
    bool is_settled;      /* the in-out buffers are the caller's again */
    bool is_settling;     /* a thread writes them now */
    bool is_calling;      /* done, and its callback is due or runs */
    bool is_told;         /* its group knows that it is done */
    char *text;           /* of the error; owned */
    char *string;         /* of mesh_get_string(); owned */
    char *printed_text;
    struct mesh_body printed;
};

enum mesh_call_state {
    MESH_CALL_BLOCKED,
    MESH_CALL_WAITING,
    MESH_CALL_SENT,
    MESH_CALL_FETCHING, /* it has ended, and its result is on the way here */
    MESH_CALL_DONE
};

struct mesh_future {
    uint32_t magic;
    uint8_t state; /* enum mesh_call_state */
    uint8_t n_losses;
    bool is_chunk; /* ours alone: of a map */
    bool is_user;  /* the caller has it; else only references keep it */
    int32_t error;
    int32_t mistake; /* of who last asked for a result that it has not */
    uint32_t n_refs; /* the caller's, our own until it is done, of a callback that is due, and of
                      * calls that have it as an argument or are its dependents */
    mesh *m;
    struct mesh_job *job; /* of a call that is WAITING or SENT */
    struct list all;      /* of mesh.futures or, done, of mesh.ended */
    struct list queue;    /* job->waiting, mesh.resolvable or mesh.called */
    const struct mesh_name *function;
    struct mesh_body args;
    struct mesh_body result;
    struct mesh_data *data;   /* the result's blob, to be passed on; owned reference */
    struct mesh_extra *extra; /* or NULL. Owned */
    struct mesh_peer_count *peer;
    struct mesh_piece *piece; /* of a map, that this call computes */
    uint32_t task;
    uint64_t serial; /* in order of submission */
    uint64_t wall_us;
};

#define MESH_MAGIC_LIVE  0x6d657368u
#define MESH_MAGIC_FREED 0x64656164u

/* --- the rest of what hangs on a handle --------------------------------------------------------
 */

struct mesh_data {
    struct list node; /* of mesh.datas */
    mesh *m;
    uint32_t n_refs;
    bool is_wanted; /* by something that the daemon of now must have it for */
    int fd;         /* where the bytes are; owned. Kept, for a daemon that comes after this one. -1
                     * while they are away */
    bool is_away;   /* the daemon knows who has them */
    bool is_asked;  /* and was asked for them */
    bool is_lost;   /* nobody has them any more */
    mesh_future *maker; /* the call that returned them, while it is there; or NULL. Borrowed */
    uint64_t bytes;
    struct wire_hash hash;
    uint64_t generation; /* of the connection that has it; 0: none yet */
    uint64_t put_id;     /* that was asked for and not answered yet; 0: none */
    int error;           /* the daemon does not take it */
    struct errmsg text;
};

struct mesh_group {
    struct list node; /* of mesh.groups */
    mesh *m;
    struct list calls; /* in order of submission */
    struct list done;
    size_t n_open; /* calls that are not done, or whose callback has not returned */
};

struct mesh_range { /* an in-out argument on its way */
    uintptr_t start, end;
    mesh_future *future;
};

/* A call with an in-out argument that was never begun: mesh_sync() tells of it, too. */
struct mesh_refused {
    const mesh_future *future; /* NULL: there is none */
    uintptr_t start, end;      /* of its first in-out argument */
};

struct mesh_peer_count {
    char name[WIRE_NAME_BYTES_MAX + 1];
    struct wire_key key;
    uint64_t n_calls, n_failed, wall_us;
};

struct mesh_program {
    int fd;
    char path[WIRE_NAME_BYTES_MAX + 3]; /* in the task's directory */
    char arch[WIRE_ARCH_BYTES_MAX + 1];
};

/* A question to the daemon, on the stack of who asks. */
struct mesh_request {
    struct list node; /* of mesh.requests */
    enum wire_message_type type;
    uint32_t cores; /* SET_CORES */
    bool is_sent, is_done;
    int error;
    struct errmsg text;
    struct mesh_peer *peers; /* PEERS_QUERY: filled in up to peers_max */
    size_t peers_max, n_peers;
    uint32_t cores_up;
    uint32_t n_up;
};

struct mesh {
    pthread_mutex_t lock;
    pthread_t thread;
    bool has_thread;
    pid_t pid; /* of the process it was opened in */
    int wake_fd;
    bool is_asleep; /* who does the work of the thread polls, or is about to */
    bool is_woken;  /* since its turn began there is more to do */
    bool is_closing;
    /* A thread that waits does the handle's work meanwhile (loop.c), rather than be woken by the
     * thread that does it. */
    bool is_led;      /* one does */
    bool is_parked;   /* the handle's thread stands aside, until `unpark` or, if is_brief, soon */
    bool is_brief;    /* it looks again in a moment */
    bool is_brisk;    /* the last thing that a thread waited for so came within BRISK_US */
    bool has_waited;  /* somebody's wait was ended in this turn: the next may come at once */
    uint64_t n_leads; /* begun so far */
    pthread_cond_t unpark;

    int lost; /* 0, or the error all calls end with */
    int error;
    char texts[MESH_TEXTS][ERRMSG_BYTES];
    unsigned i_text;

    char *socket; /* owned, or NULL */
    struct mesh_program programs[MESH_PROGRAMS_MAX];
    unsigned n_programs;
    char exec[WIRE_NAME_BYTES_MAX + 3];
    char object[WIRE_NAME_BYTES_MAX + 32]; /* "MESH_OBJECT=./x.so", or empty */
    char name[WIRE_NAME_BYTES_MAX + 1];
    char arch[WIRE_ARCH_BYTES_MAX + 1]; /* of this process */
    uint32_t require_peers;
    int64_t patience_ms;
    uint32_t tasks_per_job; /* MESH_TASKS_MAX, but in tests */

    struct mesh_client *client;  /* NULL: none now */
    uint64_t generation;         /* counts connections */
    int64_t lost_ms;             /* since when there is none */
    bool has_puts;               /* data may be there that the daemon has not */
    struct mesh_job *submitting; /* whose submission has no answer yet; one at a time */
    struct buf releases;         /* struct wire_hash, to be sent */
    struct buf gets;             /* the same */
    struct list fetching;        /* FETCHING calls */
    struct list blocked;         /* BLOCKED calls that have not looked at their arguments yet */
    struct list dying;           /* futures without a reference */
    bool is_burying;

    struct list names, jobs, datas, groups, maps, requests, waits;
    struct list queue_ops;  /* of queue.c */
    struct list futures;    /* calls that are not done */
    struct list ended;      /* and those that are, and were not freed */
    struct list resolvable; /* BLOCKED calls whose arguments are there */
    struct list called;     /* calls whose callback is due */
    struct list freed;      /* checked builds: not used any more, kept to be recognised */
    size_t n_freed;
    unsigned n_jobs;
    uint64_t n_open;    /* calls that are not done */
    uint64_t n_calling; /* calls whose callback is due or runs */
    unsigned n_putting; /* threads in mesh_put() */
    uint64_t next_serial, next_put, next_queue;
    atomic_bool has_ranges;    /* there may be some: read without the lock */
    struct mesh_range *ranges; /* by address; owned */
    size_t n_ranges, cap_ranges;
    struct mesh_refused refused;    /* the first one that nobody was told of */
    struct mesh_peer_count **peers; /* owned array of owned */
    size_t n_peers, cap_peers;
    int64_t opened_ms;
    uint32_t cores_known;   /* of all peers, as last told; 0: not asked yet */
    int64_t cores_asked_ms; /* when that was asked last, by ourselves */
};

/* --- handle.c ----------------------------------------------------------------------------------
 */

void mesh_lock(mesh *m);
void mesh_unlock(mesh *m);
/* Keeps the error for mesh_error(); returns it. */
int mesh_set_error(mesh *m, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Makes the handle's thread look at what there is to do. */
void mesh_wake(mesh *m);
/* Waits, with the lock given up meanwhile, until is_over() says so. 0; MESH_ETIMEDOUT;
 * MESH_EINVAL in the handle's own thread, where nobody would end the wait. */
int mesh_wait_until(mesh *m, struct mesh_wait *wait, double timeout);
/* The same in whatever thread, for what another thread ends without the handle's. */
int mesh_wait_short(mesh *m, struct mesh_wait *wait, double timeout);
/* Wakes those whose wait is over. */
void mesh_wake_waits(mesh *m);
/* An error of the system, as one of ours. */
int mesh_error_of(int negative_errno);

/* --- loop.c ------------------------------------------------------------------------------------
 */

/* Connects: once, for mesh_open(). */
int mesh_loop_connect(mesh *m, struct errmsg *err);
/* Starts the handle's thread. 0 or MESH_ENOMEM. */
int mesh_loop_start(mesh *m);
/* Does the handle's work until this wait is over or its time, in mesh_client_now_ms(), if it is not
 * negative. False: it cannot, or cannot go on, and the wait is to be waited for as any other. */
bool mesh_loop_lead(mesh *m, struct mesh_wait *wait, int64_t until_ms);
/* The handle's thread takes its work back, if nobody does it. */
void mesh_loop_unpark(mesh *m);
/* Asks the daemon and waits for the answer. 0 or an error, whose text is in the request. */
int mesh_ask(mesh *m, struct mesh_request *request);

/* --- job.c -------------------------------------------------------------------------------------
 */

/* The job for calls of these needs, made on first use. 0, MESH_ENOMEM, MESH_ELIMIT. */
int mesh_job_get(mesh *m, const struct mesh_needs *needs, struct mesh_job **ret_job);
/* Another of the same needs takes its waiting calls over. 0 or MESH_ENOMEM. */
int mesh_job_renew(mesh *m, struct mesh_job *job);
void mesh_job_free(mesh *m, struct mesh_job *job);
/* Every call of it ends with this error; the next call that needs it makes it anew. */
void mesh_job_fail(mesh *m, struct mesh_job *job, int error, const char *text);
/* The connection is gone, and the job with it: what was sent waits again. */
void mesh_job_lost(mesh *m, struct mesh_job *job);
/* No result of this call, that was sent, is wanted any more. */
void mesh_job_cancel_call(mesh_future *future);
/* Queues what is to be cancelled for sending. 0 or -errno. */
int mesh_job_send_cancels(mesh *m, struct mesh_job *job, struct errmsg *err);
/* Sends the job's submission. 0 or -errno. */
int mesh_job_send(mesh *m, struct mesh_job *job, struct errmsg *err);
/* Queues up to n_max of its calls for sending. 0 or -errno; *ret_n: how many. */
int mesh_job_send_tasks(mesh *m, struct mesh_job *job, unsigned n_max, unsigned *ret_n,
                        struct errmsg *err);

int mesh_tasks_add(struct mesh_tasks *tasks, mesh_future *future); /* 0 or -ENOMEM */
mesh_future *mesh_tasks_take(struct mesh_tasks *tasks, uint32_t task);

/* --- submit.c ----------------------------------------------------------------------------------
 */

int mesh_needs_of(const mesh *m, const struct mesh_call *call, bool is_raw,
                  struct mesh_needs *ret_needs);
/* Queues a call of the library's own: a chunk of a map. Takes the arguments and a reference to each
 * of the data. NULL when memory is short. */
mesh_future *mesh_submit_chunk(mesh *m, const struct mesh_needs *needs,
                               const struct mesh_name *function, struct mesh_body *args,
                               struct mesh_data *const *refs, uint32_t n_refs);
/* `future` waits for the result of dep. 0 or MESH_ENOMEM. */
int mesh_add_dependent(mesh_future *dep, mesh_future *future);
/* It has run, and is to run again. */
void mesh_queue_again(mesh_future *future);
/* Its arguments are all there: puts them in and queues it. */
void mesh_resolve(mesh_future *future);
/* 0, MESH_EINVAL, MESH_ENOMEM. */
int mesh_name_get(mesh *m, const char *text, const struct mesh_name **ret_name);
/* Writes values but in-outs and futures. 0 or an error; *ret_i: the value at fault. */
int mesh_write_value(struct mesh_writer *writer, const struct mesh_value *value, uint32_t i_ref);

/* --- future.c ----------------------------------------------------------------------------------
 */

mesh_future *mesh_future_new(mesh *m);
struct mesh_extra *mesh_future_extra(mesh_future *future); /* NULL when memory is short */
/* It is done, unless it was. The text may be NULL; it is copied. It may be gone after that. */
void mesh_finish(mesh_future *future, int error, const char *text);
/* The daemon's result. Descriptors are taken from the client. */
void mesh_finish_done(mesh_future *future, const struct wire_done *done);
/* Drops a reference; the last frees it. */
void mesh_future_unref(mesh_future *future);
/* The call failed, though it was done without an error. */
void mesh_future_spoil(mesh_future *future, int error, const char *text);
/* Those that wait for its result go on. */
void mesh_tell_dependents(mesh_future *future);
void mesh_drop_arguments(mesh_future *future);
/* Frees it whoever has a reference, when the handle is closed. */
void mesh_future_delete(mesh_future *future);
/* Writes the in-out buffers of a call that is done, once. Gives the lock up meanwhile. */
void mesh_settle(mesh_future *future);
/* Calls back what is due. Gives the lock up meanwhile. */
void mesh_call_back(mesh *m);
/* Frees what a checked build keeps of freed futures. */
void mesh_freed_done(mesh *m);

/* --- away.c ------------------------------------------------------------------------------------
 */

/* A result that stayed where it was made; the call is taken out of its job's table already. */
void mesh_away_done(mesh_future *future, const struct wire_done *done);
/* The call is done: its arguments are kept if its result is away, else dropped. */
void mesh_away_finish(mesh_future *future);
/* Whether the result can be read here: asks for it if it is away, and makes it again if it is lost.
 * True also when it is known that it never will be: the future then has an error. */
bool mesh_away_is_here(mesh_future *future);
/* Nobody but other calls can read it from now on. */
void mesh_away_freed(mesh_future *future);
void mesh_away_on_got(mesh *m, const struct wire_got *got);
void mesh_away_on_gone(mesh *m, const struct wire_hash *hash);
/* What the call reads was lost: it waits until that is there again. */
void mesh_away_block(mesh_future *future);
/* A result among its arguments was lost. */
bool mesh_away_has_lost(const mesh_future *future);
/* Looks at the arguments of calls that may wait for such. */
void mesh_away_run(mesh *m);
/* The daemon died. */
void mesh_away_lost(mesh *m);
/* A call that made a result again is done. */
void mesh_away_deliver(mesh_future *remake);

/* --- inout.c -----------------------------------------------------------------------------------
 */

/* Whether a call on its way has a part of these bytes. */
bool mesh_ranges_has(const mesh *m, const void *p, size_t n_bytes);
/* The first range, in order of address, that ends behind p. */
size_t mesh_ranges_find(const mesh *m, uintptr_t p);
/* 0, MESH_EBUSY, MESH_ENOMEM. */
int mesh_ranges_add(mesh_future *future, const void *p, size_t n_bytes);
void mesh_ranges_drop(mesh_future *future);
/* Settles every call that has a part of these bytes, and is done. Returns the error of the one that
 * was submitted first, of those that failed; its text is the handle's. Gives the lock up. */
int mesh_ranges_settle(mesh *m, uintptr_t start, uintptr_t end);

/* --- data.c ------------------------------------------------------------------------------------
 */

/* A sealed file in memory that holds these bytes, owned by the caller. 0 or -errno. */
int mesh_memory_file(const void *bytes, size_t n_bytes, int *ret_fd) MUST_CHECK;
/* Takes fd on success. With one reference. NULL when memory is short. */
struct mesh_data *mesh_data_new(mesh *m, int fd, uint64_t bytes);
/* The last one frees it, and tells the daemon. */
void mesh_data_unref(struct mesh_data *data);
/* The daemon need not keep it any more for this connection. */
void mesh_data_release(mesh *m, const struct wire_hash *hash);
/* Whether the daemon has it now. */
bool mesh_data_is_there(const struct mesh_data *data);
int mesh_data_send_puts(mesh *m, struct errmsg *err) MUST_CHECK;

/* --- queue.c -----------------------------------------------------------------------------------
 */

int mesh_queue_send(mesh *m, struct errmsg *err) MUST_CHECK;
/* Whether it was about a queue. */
bool mesh_queue_on_message(mesh *m, const struct wire_message *message);
/* The connection is. */
void mesh_queue_lost(mesh *m);

/* --- group.c, map.c, about.c -------------------------------------------------------------------
 */

/* The call is done and was called back. It is in a group. */
void mesh_group_on_done(mesh_future *future);
void mesh_group_forget(mesh_future *future);
void mesh_map_on_done(mesh_future *future);
/* Nothing of it is submitted any more; who waits for it gets this error. */
void mesh_map_kill(struct mesh_map *map, int error, const char *text);
struct mesh_map *mesh_map_of(struct list *node); /* of mesh.maps */
void mesh_map_delete(struct mesh_map *map);
/* Submits chunks of all maps, as far as they go; *ret_asks: the number of cores is to be asked for
 * again. */
void mesh_maps_feed(mesh *m, bool *ret_asks);
/* Counts a result for mesh_print_stats(); the future then knows its peer. */
void mesh_count(mesh_future *future, const struct wire_done *done, bool is_failed);
/* Fills a request in with the list. */
void mesh_take_peers(struct mesh_request *request, const struct wire_peers_list *list);

/* --- functions.c -------------------------------------------------------------------------------
 */

mesh_function *mesh_function_find(const char *name, size_t n);
/* Whether each has a name of its own, and one that can be sent. 0 or MESH_EINVAL. */
int mesh_functions_check(struct errmsg *err);
const struct mesh_entry *mesh_function_first(void);

#endif
