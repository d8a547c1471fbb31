/* The insides of the simulated mesh; only for tests/sim.
 *
 * sim.c     the queue, nodes' lives, a step of a core and its effects
 * net_host.c  addresses, and how long it takes from host to host
 * net.c     dials, connections, bytes that take time
 * shell.c   what a daemon's shell does with links, messages and blobs
 * work.c    cells and the programs in them
 * draw.c    jobs as they are drawn
 * client.c  clients, and what they were told
 * disk.c    the journal
 * found.c   discovery
 * fault.c   what goes wrong, and its end; strike_*.c, kind by kind
 * queues.c  clients of named queues, and their rules
 * closed.c  closed meshes: members, invitations, traitors and their bans
 * contest.c  submitters that all want the same cores
 * oracle.c  the rules that must hold, seen from outside; fairness.c, those of who gets how much
 * crypto.c  libsodium, made repeatable */
#ifndef MESH_TESTS_SIM_INTERNAL_H
#define MESH_TESTS_SIM_INTERNAL_H

#include "mesh/core/core.h"
#include "mesh/core/limits.h"
#include "mesh/core/trust_book.h"
#include "tests/lib/kept_queues.h"
#include "tests/sim/dice.h"
#include "tests/sim/sim.h"
#include "wire/base/arena.h"
#include "wire/base/heap.h"
#include "wire/base/list.h"
#include "wire/base/table.h"
#include "wire/identity.h"
#include "wire/session.h"

struct sim;
struct sim_node;
struct fair;

/* --- the queue ---------------------------------------------------------------------------------
 */

/* Where a thing happens, and so when it has to wait. */
enum sim_layer {
    SIM_WORLD,  /* nowhere: never waits */
    SIM_HOST,   /* in the host's kernel: waits while the host sleeps */
    SIM_DAEMON, /* in the daemon: waits while that is stopped, too */
};

struct sim_event {
    struct heap_entry at;
    struct list parked; /* at its node, while that does not run */
    void (*fire)(struct sim *sim, struct sim_event *event);
    struct sim_node *node;
    uint32_t life; /* of the node; of another life: dropped. Unless the layer is SIM_WORLD */
    enum sim_layer layer;
    uint64_t a, b, c;
    struct wire_key key;
    void *bytes; /* owned */
    size_t n_bytes;
};

/* --- network -----------------------------------------------------------------------------------
 */

enum sim_end_state {
    SIM_END_NONE, /* not there yet */
    SIM_END_DIALLING,
    SIM_END_HANDSHAKE, /* connected, not proved */
    SIM_END_UP,
    SIM_END_LINGERING, /* a goodbye was said */
    SIM_END_CLOSED,
};

struct sim_serve { /* a blob on its way out */
    struct list node;
    struct wire_hash hash;
    uint64_t offset, total;
};

struct sim_end {   /* one end of a connection, and the direction away from it */
    uint64_t conn; /* its connection's id */
    struct sim_node *node;
    uint32_t life;
    enum sim_end_state state;
    uint64_t dial; /* of the core; 0 at the end that was dialled */
    struct wire_session *session;
    struct list of_node, dirty;
    struct list serves;  /* of sim_serve */
    struct buf out;      /* without a session: encoded messages */
    bool is_pumping;     /* the next chunk is planned */
    uint64_t arrival_ns; /* of what was sent last: nothing overtakes it */
    uint64_t line_ns;    /* the line is busy until then */
    struct list stuck;   /* of sim_event.parked: on a way that is cut, in order */
    uint64_t stuck_ns;   /* since when; 0: nothing is stuck */
    /* as its core was told, for the oracle */
    struct wire_credit credit;
    uint32_t n_out;
};

struct sim_conn {
    struct table_entry by_id;
    uint64_t id;
    struct sim_end ends[2]; /* 0 dialled */
    uint64_t dial_timeout_ns;
    bool is_dial_cancelled;
    /* what the dial proves */
    uint32_t older;
    bool has_invitation;
    struct wire_token token;
    struct wire_key key; /* whom it must meet; zero: anybody */
};

/* --- nodes -------------------------------------------------------------------------------------
 */

struct sim_blob {
    struct table_entry by_hash;
    struct wire_hash hash;
    uint64_t bytes;
};

struct sim_memory {
    struct wire_key key;
    uint32_t address_number; /* 0: none */
};

struct sim_gauge;

struct sim_fetch {
    struct list node;
    struct wire_hash hash;
    uint64_t link, got, bytes_max;
};

enum sim_program {
    SIM_SLEEP,  /* exits with 0 */
    SIM_EXIT,   /* with its own status */
    SIM_SIGNAL, /* dies of a signal of its own */
    SIM_FLAKY,  /* fails every other time */
    SIM_BLOB,   /* output that is too large for a message */
    SIM_STREAM,
    SIM_POISON, /* kills its cell */
    SIM_HANG,   /* ends only by being killed */
    SIM_N_PROGRAMS,
};

struct sim_run { /* an attempt in a cell */
    struct list node;
    struct sim_node *host;
    struct sim_task *task;
    struct wire_key owner;
    struct wire_attempt_id id;
    uint64_t number; /* of the run: events name it so */
    uint64_t cell;
    uint32_t cores;
    uint64_t mem_bytes;
    bool is_own, is_begun, is_ended, is_killed, is_hung;
    bool is_paused, is_due; /* what it was about to do waits until it goes on */
    enum wire_end killed_as;
    uint64_t start_ns;         /* its cores are taken since then: true time */
    uint64_t begun_ns;         /* true time */
    uint64_t lease_ns;         /* its length */
    uint64_t lease_end_ns;     /* true time */
    uint64_t heard_ns;         /* when its owner was last heard here, or it started: true time */
    uint64_t sent, window;     /* of a stream */
    struct wire_result result; /* once ended */
    enum wire_refusal refusal; /* instead of a result */
    bool is_cell_usable, has_output;
};

struct sim_node {
    unsigned index;
    char name[16], address[32];
    uint8_t seed[WIRE_SEED_BYTES];
    struct wire_identity *identity;
    struct wire_key key;
    struct core_config config;
    struct core *core; /* NULL: not running */
    struct core_effects effects;
    uint32_t life;
    bool is_host_up, is_frozen, is_suspended, was_started;
    struct sim_node *clone_of;
    struct list parked; /* of sim_event.parked */
    struct sim_event *tick;
    bool is_flush_due;

    /* its clock: local = base_local + (true - base_true) * (1e9 + drift) / 1e9 */
    uint64_t base_true_ns, base_local_ns;
    int64_t drift_ppb;

    /* its network */
    uint32_t address_number;
    uint64_t latency_ns, jitter_ns, delay_ns;
    uint64_t bandwidth; /* bytes a second; 0: without limit */
    uint32_t loss_percent;
    struct list ends;  /* of sim_end.of_node */
    struct list dirty; /* of sim_end.dirty */

    /* its machine */
    uint32_t cores_told; /* as its hello says */
    uint32_t slowness;   /* programs take so many times longer, in tenths: 10 is normal */
    bool is_black_hole, has_no_command;
    unsigned disk_error; /* 0, or an errno: of blob writes and journal writes */
    bool has_no_cells;
    bool is_given_up; /* the next job that begins there in vain is cancelled */
    bool is_frail;    /* its cells die when what runs there is started elsewhere again */
    struct list runs;
    uint64_t cores_used;
    struct table store; /* of sim_blob */
    struct list fetches;
    bool is_version_odd; /* speaks no version that the others speak */
    bool is_version_old; /* speaks version 1 only */
    bool had_disk_fault, has_clone, was_cloned, is_disk_slow;
    struct sim_memory *memories; /* nodes_max: whom it remembers, by index */

    /* a closed mesh */
    struct wire_door *door; /* NULL: as everybody's */
    struct core_book trust; /* as it is on disk */
    bool is_traitor, is_banned;
    uint64_t trust_client; /* who asks for what follows; 0: nobody */
    uint32_t invites;      /* 1 + index of whom; 0: nobody */
    struct sim_node *bans; /* or NULL */
    uint64_t asked_ns, join_until_ns;
    uint64_t n_trust_said, n_trust_kept; /* in this life */

    bool is_stopping;
    uint32_t shortest_ms; /* of the tasks of all its jobs so far; 0: there were none */

    /* its journal */
    struct list kept; /* of sim_kept: jobs on disk */
    struct list said; /* records that are not there yet */
    uint64_t n_said, n_on_disk;
    bool is_writing;
    struct kept_queues queues;
};

/* --- clients -----------------------------------------------------------------------------------
 */

#define SIM_REFS_MAX 3u

struct sim_task {
    struct sim_job *job;
    uint32_t number;
    uint32_t reads; /* bits: of the job's refs */
    enum sim_program program;
    uint32_t status, millis;
    uint64_t bytes;
    /* what happened */
    bool is_cancelled; /* by its client, alone */
    uint32_t n_reports, n_started, n_begun, n_ended, n_failed, n_deaths, n_timeouts, n_refused;
    uint32_t n_running;                     /* now, anywhere */
    uint32_t good_number, good_incarnation; /* the attempt whose success its owner heard of first */
    uint32_t number_max;                    /* largest attempt number seen */
    uint64_t streamed;
    struct wire_ref passed; /* a result that it reads besides; no bytes: none */
    bool is_passed_gone;    /* and its client heard that this was lost */
};

struct sim_refusals { /* of tasks of a job by one host */
    uint32_t n_rests; /* times that it was rested for one that may pass */
    uint64_t at_ns;   /* of the last of those refusals */
    bool may_be_out;  /* for this job */
};

struct sim_job {
    struct list node; /* in sim.jobs */
    struct sim_node *owner;
    struct wire_key owner_key;
    uint32_t life; /* of the owner when it was submitted */
    uint64_t client, id;
    struct wire_message submit; /* its slices point into arena */
    struct arena arena;
    uint32_t n_tasks, n_added, tasks_max;
    struct sim_task *tasks;             /* 1 .. n_tasks */
    struct wire_ref refs[SIM_REFS_MAX]; /* put by its client */
    uint32_t n_refs;
    bool keeps_results;   /* they stay where they were made; see pass.c */
    struct wire_ref away; /* the last of them, to be passed on; no bytes: none */
    bool is_away_gone;
    uint32_t n_gets, n_gots;
    uint64_t n_done, n_acked;
    uint32_t plain_micros; /* at most, of each task; 0: drawn in milliseconds */
    bool is_connected, is_accepted, is_fed, is_done, is_dead, is_cancelled, is_refused;
    bool is_feed_due, is_ack_due, is_stalled, has_failures, has_deaths, may_hang;
    bool is_detached, is_kept, is_forgetting;
    struct wire_job_ref after;        /* a job that it comes after; 0: none */
    bool is_fickle;                   /* its client cancels tasks */
    uint64_t at_ns, done_ns, work_ns; /* core time of all its tasks at normal speed */
    uint64_t longest_ns;
    uint32_t n_running, n_refusals; /* tasks anywhere, now; times a host would not start one */
    struct sim_refusals *refusals;  /* nodes_max, by index */
    uint64_t hungry_ns;             /* since when cores idle that it could have; 0: none do */
    /* for fairness.c */
    bool is_simple; /* sleeps only, no files, no memory, no -j: nothing holds it back */
    uint32_t n_out; /* attempts sent and not answered */
};

/* --- pass.c ------------------------------------------------------------------------------------
 */

/* Whether the job's results stay where they are made. */
bool pass_draw(struct sim_job *job, struct dice *dice);
/* It waits for results before it adds another task. */
bool pass_is_held_back(const struct sim_job *job);
/* What the task reads besides, before it is added. */
void pass_choose(struct sim *sim, struct sim_job *job, struct sim_task *task);
void pass_on_done(struct sim *sim, struct sim_job *job, const struct wire_done *done);
void pass_on_gone(struct sim *sim, struct sim_job *job, const struct wire_hash *hash);
void pass_on_got(struct sim *sim, struct sim_job *job, const struct wire_got *got);
/* The owner has a job whose tasks each read what another made: such an attempt has its place in the
 * credit while it waits for that. */
bool pass_is_any_open(const struct sim *sim, const struct sim_node *owner);
/* Why that end of the task is wrong, or NULL. */
const char *pass_fault_of_no_data(const struct sim *sim, const struct sim_task *task);

/* --- the world ---------------------------------------------------------------------------------
 */

struct sim {
    struct sim_options options;
    struct sim_report report;
    struct dice dice;
    uint64_t now_ns, start_ns, faults_end_ns, healed_ns, end_ns;
    enum sim_transport transport;
    struct wire_door *door; /* everybody's: open */
    bool is_closed;
    struct dice closed_dice;
    struct sim_node *traitors[2];
    uint32_t n_traitors;
    uint64_t ban_ns;
    struct heap queue;
    struct sim_event *spare_events;
    uint64_t n_spare;
    struct sim_node **nodes; /* of nodes_max */
    unsigned n_nodes, nodes_max;
    struct table by_key; /* of sim_owner: who has or had a key */
    struct table conns;
    uint64_t next_conn, next_run, next_client, next_epoch;
    uint32_t *at_address; /* 1 + index of the node that has this address number; 0: nobody */
    uint32_t n_addresses;
    uint8_t *cut; /* [from * nodes_max + to]: how many faults cut this way; NULL: never cut */
    struct list jobs;
    struct table started;      /* of sim_started: attempts whose START was seen */
    struct fair *fair;         /* fairness.c; NULL: nobody looks */
    struct queue_play *queues; /* queues.c; NULL: there are none */
    struct sim_fault *faults;
    uint32_t n_faults;
    uint64_t dead_after_ns;
    uint32_t dense_max; /* 0: as it ships */
    bool is_multicast_dead, is_healed;
    struct sim_gauge *gauge; /* borrowed; NULL: cores are checked, not measured */
    struct buf line;
    uint64_t trace_hash;
    struct buf wire_bytes; /* scratch */
};

/* Told before and after each core_new() (no event) and core_step(), in place of core_check(). */
struct sim_gauge {
    void (*before)(struct sim_gauge *gauge, struct sim_node *node, const struct core_event *event);
    void (*after)(struct sim_gauge *gauge, struct sim_node *node, const struct core_event *event);
};

struct sim_owner {
    struct table_entry by_key;
    struct wire_key key;
    struct sim_node *node;
};

/* sim.c */
/* A world with its nodes, none of which runs yet; and its end. sim_play() is all of it. */
struct sim *sim_new(const struct sim_options *options) MUST_CHECK;
void sim_free(struct sim *sim);
struct sim_event *sim_event_new(struct sim *sim, enum sim_layer layer, struct sim_node *node,
                                uint64_t in_ns,
                                void (*fire)(struct sim *sim, struct sim_event *event));
void sim_event_free(struct sim *sim, struct sim_event *event);
void sim_step(struct sim *sim, struct sim_node *node, struct core_event *event);
/* Prints what is broken, with the time and the seed, and aborts. */
_Noreturn void sim_broken(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_note(struct sim *sim, const char *who, const char *arrow, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
struct sim_node *sim_node_new(struct sim *sim);
void sim_node_key(struct sim *sim, struct sim_node *node, struct dice *dice);
/* `clone` has the state of `of` as it is now. */
void sim_node_clone(struct sim *sim, struct sim_node *clone, struct sim_node *of);
void sim_node_start(struct sim *sim, struct sim_node *node);
/* The daemon is gone: killed (the kernel closes its connections) or with its host. */
/* Adds what its core took of the transition tables; before it is freed. */
void sim_count_moves(struct sim *sim, const struct core *core);
void sim_node_kill(struct sim *sim, struct sim_node *node, bool is_power);
void sim_node_unpark(struct sim *sim, struct sim_node *node);
bool sim_node_runs(const struct sim_node *node);
uint64_t sim_clock_local(const struct sim *sim, const struct sim_node *node);
void sim_clock_set(struct sim *sim, struct sim_node *node, uint64_t leap_ns, int64_t drift_ppb);
void sim_tick_update(struct sim *sim, struct sim_node *node);
struct sim_node *sim_owner_of(const struct sim *sim, const struct wire_key *key);
void sim_run_until(struct sim *sim, uint64_t until_ns);

/* net_host.c */
#define NET_PORT          6374u
#define NET_LOSS_DELAY_NS (200 * SIM_MS) /* until what was lost is sent again, the first time */
struct sim_node *net_node_at(const struct sim *sim, struct slice address);
uint64_t net_latency_ns(struct sim *sim, const struct sim_node *from, const struct sim_node *to);
/* Both ends have a session over it. NULL: false. */
bool net_is_up(const struct sim_conn *conn);
bool net_are_linked(const struct sim *sim, const struct sim_node *a, const struct sim_node *b);

/* net.c */
void net_init_node(struct sim *sim, struct sim_node *node);
void net_dial(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void net_cancel_dial(struct sim *sim, struct sim_node *node, uint64_t dial);
void net_flush(struct sim *sim, struct sim_node *node);
/* The door is another: what is not proved yet comes to nothing. */
void net_end_handshakes(struct sim *sim, struct sim_node *node);
struct sim_conn *net_conn(const struct sim *sim, uint64_t id);
struct sim_end *net_end(const struct sim *sim, uint64_t link, struct sim_conn **ret_conn);
uint64_t net_link(const struct sim_conn *conn, const struct sim_end *end);
void net_send(struct sim *sim, struct sim_conn *conn, struct sim_end *end,
              const struct wire_message *message, bool is_bulk);
void net_close(struct sim *sim, uint64_t link, enum wire_reason reason, struct slice text);
/* The connection breaks; the core of each end that is told hears of it after a while. */
void net_break(struct sim *sim, struct sim_conn *conn, bool is_told_0, bool is_told_1);
void net_node_gone(struct sim *sim, struct sim_node *node, bool is_power);
void net_cut(struct sim *sim, const struct sim_node *from, const struct sim_node *to, int change);
/* Ways may be open again: what is stuck goes on. */
void net_mended(struct sim *sim);
void net_set_address(struct sim *sim, struct sim_node *node, uint32_t number);
void net_free_all(struct sim *sim);
bool net_is_open(const struct sim *sim, const struct sim_node *from, const struct sim_node *to);

/* shell.c */
void shell_carry_out(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void shell_up(struct sim *sim, struct sim_conn *conn, struct sim_end *end);
void shell_down(struct sim *sim, struct sim_conn *conn, struct sim_end *end, enum core_link_end how,
                enum wire_reason reason);
void shell_message(struct sim *sim, struct sim_conn *conn, struct sim_end *end,
                   const struct wire_message *message);
void shell_store(struct sim_node *node, const struct wire_hash *hash, uint64_t n_bytes);
struct sim_blob *shell_stored(const struct sim_node *node, const struct wire_hash *hash);
void shell_store_drop(struct sim_node *node, const struct wire_hash *hash);
void shell_forget(struct sim_node *node);

/* work.c */
void work_start(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void work_kill(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void work_pause(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void work_renew(struct sim *sim, struct sim_node *node, const struct wire_key *owner);
void work_window(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void work_crash_all(struct sim *sim, struct sim_node *node);
void work_hang_all(struct sim *sim, struct sim_node *node, bool is_hung);
/* The daemon is gone, and all cells with it. */
void work_drop_all(struct sim *sim, struct sim_node *node);

/* draw.c */
struct sim_job *client_submit(struct sim *sim, struct sim_node *node, struct dice *dice,
                              uint32_t n_tasks);
/* What else it is to be like. */
struct sim_wish {
    const struct sim_node *host; /* nobody else may run it; NULL: as drawn */
    uint32_t millis_min;         /* of run time, where that does not make it too long */
    bool is_detached;
    bool has_files, has_output; /* large ones */
};
/* NULL also where the host could not run it. */
struct sim_job *client_submit_as(struct sim *sim, struct sim_node *node, struct dice *dice,
                                 uint32_t n_tasks, const struct sim_wish *wish);
/* Tasks of at most `micros` of run time, without any of what a drawn job may have. */
struct sim_job *client_submit_plain(struct sim *sim, struct sim_node *node, uint32_t n_tasks,
                                    uint32_t micros);
/* A job that nothing holds back: tasks that sleep for `millis`, or up to a quarter less. */
struct client_wish {
    uint32_t n_tasks, millis, cores, priority;
    uint32_t lease_ms;     /* 0: 5 s */
    struct wire_slices on; /* names; copied */
    bool may_speculate;
};
void client_submit_wish(struct sim *sim, struct sim_node *node, const struct client_wish *wish);

/* client.c */
void client_connect(struct sim *sim, struct sim_job *job);
void client_hear(struct sim *sim, struct sim_node *node, uint64_t client,
                 const struct wire_message *message);
void client_closed(struct sim *sim, struct sim_node *node, uint64_t client);
/* The disk has it that this detached job is over: some users have it forgotten soon after. */
void client_over(struct sim *sim, struct sim_job *job);
void client_leave(struct sim *sim, struct sim_job *job);
void client_cancel(struct sim *sim, struct sim_job *job);
void client_stall(struct sim *sim, struct sim_job *job, bool is_stalled);
void client_daemon_gone(struct sim *sim, struct sim_node *node);
struct sim_job *client_job(const struct sim *sim, const struct wire_key *owner, uint64_t id);
/* What a task of the job is made of, in room that the caller gives. */
struct sim_words {
    char number[16];
    struct slice argv[2];
    struct wire_ref refs[SIM_REFS_MAX + 1];
};
struct wire_add_task client_task(const struct sim_job *job, uint32_t number,
                                 struct sim_words *words);
/* Whether only executors of version 2 may have it. */
bool client_needs_calls(const struct sim_job *job);
bool client_does_read(const struct sim_task *task, const struct wire_hash *hash);
void client_free(struct sim_job *job);
void client_free_all(struct sim *sim);
struct sim_job *client_of(const struct sim *sim, uint64_t client);
bool client_are_all_over(const struct sim *sim);
/* Peers that could run it, were all of them well. */
uint32_t client_n_eligible(const struct sim *sim, const struct sim_job *job);
bool client_is_eligible(const struct sim_job *job, const struct sim_node *node);
/* The job is submitted, and neither done nor given up. */
bool client_is_open(const struct sim_job *job);

/* disk.c */
void disk_say(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void disk_read(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void disk_look(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
/* What is on disk, to a daemon that starts. */
void disk_start(struct sim *sim, struct sim_node *node);
void disk_kill(struct sim *sim, struct sim_node *node);
void disk_wipe(struct sim *sim, struct sim_node *node);
bool disk_has_result(const struct sim_node *node, uint64_t job, uint32_t task);
bool disk_names(const struct sim *sim, const struct sim_node *node, const struct wire_hash *hash);

/* queues.c */
void queues_play(struct sim *sim);
void queues_finish(struct sim *sim);
void queues_quiet(struct sim *sim);
void queues_free(struct sim *sim);
void queues_daemon_gone(struct sim *sim, const struct sim_node *node);
/* Whether it was for one of its clients. */
bool queues_hears(struct sim *sim, const struct sim_node *node, uint64_t id,
                  const struct wire_message *message);
/* A record is on disk; a disk is gone. */
void queues_apply(struct sim *sim, struct sim_node *node, const struct core_record *record);
void queues_wipe(struct sim *sim, struct sim_node *node);
/* Whether a large item that is not done has this hash on that disk; on any. */
bool queues_names(const struct sim_node *node, const struct wire_hash *hash);
bool queues_is_item(const struct wire_hash *hash);

/* found.c */
void found_new_node(struct sim *sim, struct sim_node *node);
void found_tell(struct sim *sim, struct sim_node *to, const struct sim_node *of, uint64_t in_ns,
                uint32_t address_number);
void found_lost(struct sim *sim, struct sim_node *to, const struct sim_node *of);
void found_all(struct sim *sim);
void found_remember(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void found_forget(struct sim *sim, struct sim_node *node);

/* strike_aimed.c */
void strike_aim_at_start(struct sim *sim, const struct sim_run *run);
void strike_aim_at_second(struct sim *sim, const struct sim_node *owner,
                          const struct wire_task *sent);

/* fault.c */
void fault_plan(struct sim *sim);
void fault_start(struct sim *sim);
/* Ends everything that still goes on. */
void fault_heal(struct sim *sim);

/* oracle.c */
void oracle_sent(struct sim *sim, struct sim_node *node, struct sim_end *end,
                 const struct wire_message *message);
void oracle_heard(struct sim *sim, struct sim_node *node, struct sim_end *end,
                  struct sim_node *from, const struct wire_message *message);
void oracle_start(struct sim *sim, struct sim_node *node, const struct core_effect *effect,
                  struct sim_task **ret_task);
/* The host does not start a task of the job, and its owner knows. */
void oracle_refused(const struct sim *sim, struct sim_job *job, const struct sim_node *host,
                    enum wire_refusal refusal);
void oracle_lease(struct sim *sim, const struct sim_run *run);
/* The core needs that blob no more. */
void oracle_release(struct sim *sim, const struct sim_node *node, const struct wire_hash *hash);
/* An attempt on its owner's own host has ended: no message says so. */
void oracle_own_result(struct sim *sim, const struct sim_run *run);
void oracle_done(struct sim *sim, struct sim_job *job, const struct wire_done *done);
void oracle_job_done(struct sim *sim, struct sim_job *job, const struct wire_job_done *done);
void oracle_watch(struct sim *sim);
/* Everybody has a session with everybody, or knows of them where the mesh is large. */
bool oracle_do_all_see(const struct sim *sim);
void oracle_quiet(struct sim *sim);
void oracle_cores(struct sim *sim, struct sim_run *run, bool is_start);
/* This one goes on after a pause. */
void oracle_room(struct sim *sim, const struct sim_run *run);
void oracle_free(struct sim *sim);

/* closed.c */
bool closed_is_drawn(const struct sim *sim);
void closed_begin(struct sim *sim);
void closed_play(struct sim *sim);
void closed_new_node(struct sim *sim, struct sim_node *node);
void closed_free_node(struct sim_node *node);
/* Its state directory is gone. */
void closed_forget(struct sim_node *node);
/* What is on its disk, and the door made of it; NULL: the mesh is open. */
const struct core_trust_state *closed_start(struct sim_node *node, struct core_trust_state *state);
void closed_trust(struct sim *sim, struct sim_node *node, const struct core_effect *effect);
void closed_draw(struct sim *sim, struct sim_node *node);
/* Whether it was an answer to what this file asked. */
bool closed_hears(struct sim *sim, struct sim_node *node, uint64_t client,
                  const struct wire_message *message);
void closed_watch(struct sim *sim);
bool closed_is_settled(const struct sim *sim);
void closed_quiet(struct sim *sim);

/* contest.c */
bool contest_is_drawn(const struct sim *sim);
/* It runs what others ask for, with all the cores that it has. */
bool contest_may_run(const struct sim_node *node);
/* Waits until all faults are forgotten, then lets several submit. */
void contest_start(struct sim *sim);

/* lab.c: when all is over and mended. */
bool lab_far_is_drawn(const struct sim *sim);
void lab_far_play(struct sim *sim);
bool lab_cut_is_drawn(const struct sim *sim);
void lab_cut_play(struct sim *sim);

#define FAIR_SETTLE_NS (15 * SIM_S) /* after the last fault: sessions, refusals, credits */
/* fairness.c: told by oracle.c of all that it needs. */
void fair_init(struct sim *sim);
void fair_free(struct sim *sim);
void fair_sent(struct sim *sim, struct sim_node *node, struct sim_end *end,
               const struct wire_message *message);
void fair_heard(struct sim *sim, struct sim_node *node, const struct sim_end *end,
                struct sim_node *from, const struct wire_message *message);
/* Before the run is among those of its host; and when its cores are taken, and free again. */
void fair_start(struct sim *sim, struct sim_node *node, const struct core_effect *effect,
                const struct sim_job *job);
void fair_cores(struct sim *sim, const struct sim_run *run, bool is_start);
/* Fewer of its tasks wait than before. */
void fair_fewer(struct sim *sim, const struct sim_job *job);
void fair_watch(struct sim *sim);

/* crypto.c */
/* libsodium draws from the seed from now on; `is_fast`: curves are stood in for. */
void crypto_seed(uint64_t seed, bool is_fast);

#endif
