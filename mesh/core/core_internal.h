/* The structures behind struct core and what all its parts use. Only for mesh/core.
 *
 * One step is: the event, then due timers, then messages to ourselves, placing and starting, until
 * nothing is left to do. Objects that die in a step are buried and freed at the start of the next,
 * so that effects may point into them. */
#ifndef MESH_CORE_INTERNAL_H
#define MESH_CORE_INTERNAL_H

#include <assert.h>

#include "mesh/core/core.h"
#include "mesh/core/limits.h"
#include "mesh/core/load.h"
#include "mesh/core/states.h"
#include "mesh/core/trust_book.h"
#include "wire/base/heap.h"
#include "wire/base/list.h"
#include "wire/base/table.h"
#include "wire/key.h"

/* A deadline; all of a core's are in one heap. */
struct core_timer {
    struct heap_entry entry;
    void (*fire)(struct core *core, struct core_timer *timer);
};

/* Embedded in whatever may die while effects still point at it. */
struct core_grave {
    struct list node;
    void (*free)(struct core_grave *grave);
};

#include "mesh/core/blob_state.h" /* which need what stands above */
#include "mesh/core/queue_state.h"

/* --- peers (card.c, peer.c, dial.c, link.c, beat.c, gossip.c, sparse.c) ----------------------
 */

struct core_address {
    struct core_address *next;
    uint8_t sources; /* bit 1 << source */
    char text[];
};

#define CORE_SOURCE_GOSSIP 3 /* after those of event.h */
#define CORE_SOURCE_PROVED 4 /* the address of a session */

struct core_dial {
    struct table_entry by_id;
    uint64_t id;
    struct core_peer *peer;       /* or NULL */
    struct core_contact *contact; /* or NULL */
    struct list of_peer;
    char address[WIRE_ADDRESS_BYTES_MAX + 1]; /* of the peer; else empty */
};

struct core_contact { /* a --peer */
    struct list node;
    char address[WIRE_ADDRESS_BYTES_MAX * 4];
    struct core_peer *peer; /* whom it turned out to be; or NULL */
    bool is_self;
    uint64_t dial; /* 0: none under way */
    uint32_t n_rounds;
    struct core_timer timer;
};

struct core_link {
    struct table_entry by_id;
    uint64_t id;
    struct core_peer *peer;
    bool is_ours; /* we dialled */
    bool is_closing;
    enum wire_door_kind door; /* OPEN or PRESENT */
    uint64_t challenge; /* nonzero: an old life, which may prove by this token that it lives */
    uint64_t epoch, up_ns;
    struct core_timer challenge_timer;
};

struct core_stats {
    uint64_t n_tasks, n_failed, n_lost, wall_us, cpu_us;
};

/* Of everybody we ever heard of, ourselves included: who it is, where, and what is said of it. A
 * large mesh has thousands, so it is small. Whoever we have dealings with has a core_peer besides.
 */
struct core_card {
    struct table_entry by_key;
    /* What a walk over all of them looks at stands together. */
    struct core_peer *peer; /* or NULL: no dealings */
    uint64_t key_hash;
    uint64_t score; /* how close to us; the same seen from there */
    unsigned state; /* enum core_peer_state: NEW, KNOWN or DOWN; while it has no peer */
    uint8_t n_addresses;
    bool is_gone;      /* by hearsay */
    bool is_announced; /* others were told of it as it is */
    bool was_up;       /* we had a session with it */
    struct wire_key key;
    struct core_address *addresses; /* oldest first */
    uint64_t version;               /* of what is known of it by hearsay; 0: nothing */
    uint64_t told_ns;               /* when that was new */
    uint64_t failed_ns;             /* when we last could not reach it */
    struct list news;               /* in core.news, when neighbours are to be told */
    uint32_t n_rounds;              /* of dials that failed, since it was found or reached */
    uint32_t cores;                 /* while it has no peer, */
    char *texts;  /* as these: its name and, behind the NUL, its arch; NULL: both are empty */
    char *queues; /* names of those that live there, see queue_names.c; NULL: none */
    struct core_teller *teller; /* whom it counts for as hearsay, see teller.c; or NULL */
};
static_assert(sizeof(struct core_card) <= 192, "a large mesh has thousands of them");

struct core_teller { /* an origin that told us of others */
    struct table_entry by_text;
    uint32_t n_cards;
    char text[CORE_ORIGIN_BYTES]; /* as in core_origin, which may be gone */
};

struct core_peer { /* dealings with somebody: dials, a session, tasks there or from there */
    struct table_entry by_key;
    struct core_grave grave;
    struct core_card *card;
    struct wire_key key;
    unsigned state; /* enum core_peer_state */
    bool is_self, may_be_off_link;
    bool had_session; /* since these dealings began */
    uint64_t epoch;
    uint32_t incarnation, protocol, cores, free;

    /* dialling */
    uint32_t i_address; /* next to try in this round */
    uint32_t i_older;   /* with which secret: 0 the present one, 1 the newest of the older ones */
    bool is_misnamed;   /* in CONFLICT because its name is pinned to another key */
    uint64_t lost_ns, known_ns;
    struct list dials;
    struct core_timer dial_timer;

    /* liveness */
    struct core_link *link; /* the session that stands, or NULL */
    struct core_timer lost_timer, beat_timer, quiet_timer;
    uint32_t beat_ms, their_beat_ms; /* as announced */
    uint64_t heard_ns, busy_ns, token, token_ns, rtt_ns;
    bool has_rtt;

    /* a large mesh */
    uint64_t spare_ns;   /* since when we do not need its session; 0: we do */
    uint64_t sum_ns;     /* when its sums were last answered */
    bool is_spare_there; /* it does not need the session */
    bool is_sought;      /* dialled because tasks wait */

    /* as executor of our tasks */
    struct wire_credit credit;
    uint32_t n_placed, cores_placed; /* attempts that count against the credit */
    bool is_inventoried, is_resting;
    struct wire_want want_sent;
    uint64_t begun_ns;         /* when one of our attempts began there last */
    uint32_t cores_spoken;     /* only while core_tail_run() looks: idle cores given away in mind */
    struct list placed;        /* of core_attempt.of_peer */
    struct list past;          /* of core_attempt.of_peer: lost ones, whose answer may still come */
    struct list spare;         /* in core.spare, when it can take a task now, */
    struct heap_entry by_idle; /* and in core.by_idle */
    struct core_site *last_site; /* that core_site_get() found; or NULL */
    struct list sites;           /* of core_site.of_peer */
    struct list fetches;         /* of core_fetch.of_peer */
    struct list holds;           /* of core_holder.of_peer */
    struct list readers;         /* of core_reader.of_peer */
    struct list lefts;           /* of core_left.of_peer: results of ours that stayed there */
    uint32_t n_lefts;
    uint64_t left_bytes;
    struct core_timer rest_timer;
    struct core_stats stats;

    /* queues: its gets here, and what we want of its queues */
    struct list takers; /* of core_taker.of_peer */
    uint32_t n_takers;
    struct list posts;         /* of core_post.of_peer */
    struct core_post *putting; /* the put that is on its way there; or NULL */

    /* as owner of attempts here */
    struct core_origin *origin; /* NULL until its first session */
    struct wire_want want;
    struct wire_credit credit_given;
    uint32_t share;     /* of our cores, when last reckoned */
    struct list active; /* in core.active, when it wants something or has something open here */
    uint32_t n_open, n_queued, n_ended, cores_used, cores_open, n_xjobs;
    uint32_t n_paused;   /* of its attempts, which use no cores */
    uint64_t bytes_here; /* memory that its jobs and attempts take here; 0 for ourselves */
    uint64_t mem_open;   /* that the open ones need together, where our memory is known */
    uint64_t mem_each;   /* that one of them needed, when the last came; 0: not said */
    uint64_t wall_ns;    /* mean run time of its tasks here, 0: not known */
    uint64_t served;     /* when it was last given a core, in starts */
    uint64_t renew_ns;   /* when its leases were last renewed */
    uint64_t lease_ns;   /* shortest of its jobs here */
    struct list held;    /* of core_held.of_owner */
    struct list queue;   /* of core_held.in_queue, by priority, then arrival */
    struct list queued;  /* in its origin's waiting, when what is in the queue may begin */
    struct list xjobs;   /* of core_xjob.of_owner */
    struct list lends;   /* of core_lend.node: who may have its blobs from us, oldest first */
    uint32_t n_lends;

    /* Last, for they are long and seldom read: the rest of a peer shares a few cache lines. */
    char id[WIRE_ID_TEXT_BYTES];
    char name[WIRE_NAME_BYTES_MAX + 1], arch[WIRE_ARCH_BYTES_MAX + 1];
    char os[WIRE_OS_BYTES_MAX + 1], program[WIRE_VERSION_BYTES_MAX + 1];
    char address[WIRE_ADDRESS_BYTES_MAX + 1], detail[WIRE_REASON_BYTES_MAX + 1];
};

/* --- submitter (job.c, task.c, place.c, tail.c, blackhole.c, owner_recv.c) ---------------------
 */

#define CORE_RUNS_KEPT 31u

/* How long the last tasks of a job ran that succeeded, from the word that they began to the result,
 * and what follows from it. */
struct core_runs {
    uint64_t ns[CORE_RUNS_KEPT]; /* a ring */
    uint32_t n;                  /* all that were noted; the ring holds the last of them */
    bool is_reckoned;            /* the two below are of the present ring */
    uint64_t typical_ns;         /* the median; 0: not known */
    uint64_t late_ns;            /* one that runs longer may be started again; 0: not known */
};

struct core_job {
    struct table_entry by_id;
    struct core_grave grave;
    uint64_t id;
    struct arena arena; /* of spec and texts */
    struct wire_job_spec spec;
    struct slice name;
    char **on, **except; /* NUL-terminated texts, n_on and n_except */
    uint32_t n_on, n_except;
    struct core_client *client; /* NULL once it left */
    uint32_t uid, jobs_max, runs_max;
    bool is_once, is_detached, may_speculate;
    uint32_t protocol_min; /* of peers that may have its tasks */
    uint64_t file_bytes;   /* to be sent to a peer before its first, and one more */
    bool is_complete;      /* all tasks are added */
    bool is_over;          /* done or cancelled; only cancelled attempts are left */
    bool is_alone_told, is_unfit_told;
    uint32_t n_refused; /* sites that are out */
    uint64_t tried;     /* pass of core_place_run() that found no peer */
    uint64_t since_ns;
    uint32_t n_added, n_waiting, n_active; /* active: placed, running or fetching */
    uint32_t n_extra;     /* attempts that are out beyond one for each active task */
    uint32_t n_resting;   /* sites that are rested or probed; see blackhole.c */
    uint64_t hopeless_ns; /* look at the tail that found no idle core for it */
    struct core_runs runs;
    uint32_t n_succeeded, n_failed, n_lost;
    uint64_t n_done, n_acked, tasks_max;
    uint64_t argv_bytes;    /* of tasks without result */
    uint64_t unacked_bytes; /* inlined output of results not acknowledged; see job_on_done_ack() */
    uint32_t cores_placed;
    struct table tasks;   /* of core_task.by_number */
    struct list waiting;  /* of core_task.in_waiting */
    struct list ready;    /* in core.ready, when tasks may be placed */
    struct list sites;    /* of core_site.of_job */
    struct table by_peer; /* of core_site.by_peer */
    struct core_timer stuck_timer;
    struct list in_startup; /* in core.startup: the submit is not answered yet */
    uint32_t require_peers;

    /* detached */
    bool is_unsaid;    /* nothing of it is on disk, nor on the way there */
    bool is_kept;      /* all of it is: it needs no client any more */
    bool is_forgotten; /* it never was, and never will be */
    bool is_cancelled, is_end_kept, is_restored, is_reading;
    uint32_t n_journaled;   /* tasks on disk */
    uint32_t n_unloaded;    /* tasks without result that are not in memory */
    uint32_t next_load;     /* the first of them, or the next to come */
    uint32_t n_keeping;     /* tasks whose result is on the way to disk */
    uint64_t keeping_bytes; /* their inlined output */
    uint64_t record_bytes;  /* arguments on the way to disk */
    bool is_room_told;      /* that there was none for its output */
    struct core_timer read_timer;
    struct wire_job_refs after; /* in arena */
    bool is_after_any, is_single, is_shell;
    bool *are_ended;                  /* each of those, once it counted; in arena */
    uint32_t n_awaited, n_looked_for; /* of those: not ended; the disk is asked */
    struct slice reason;              /* why it was cancelled; in arena */
};

struct core_site { /* a job at a peer */
    struct table_entry by_peer;
    struct core_grave grave;
    struct wire_key key;
    struct core_job *job;
    struct core_peer *peer;
    struct list of_job, of_peer;
    uint64_t job_link;         /* the link that carried JOB; 0: not sent */
    bool fits;                 /* arch, --on, --except */
    enum wire_refusal refusal; /* why it is out for this job */
    uint32_t n_rests;          /* start failures in a row that may pass, each after a rest */
    uint32_t n_placed;         /* attempts of the job that are placed there */
    bool has_begun;            /* one, ever: the files are there */
    uint64_t rested_ns;        /* when the last of n_rests came */
    uint64_t wall_ns;          /* mean run time of the job's tasks there; 0: not known */
    /* blackhole.c */
    uint32_t n_ok, n_bad; /* ends of its tasks there */
    uint32_t n_bad_row;   /* of those, the last in a row that were bad */
    uint32_t n_naps;      /* rests since the last good end */
    bool is_held_back;    /* rested while the timer runs, then probed */
    struct core_timer nap_timer;
    char detail[WIRE_REASON_BYTES_MAX + 1]; /* with the refusal */
};

struct core_attempt { /* one placement of a task of ours */
    struct list of_task, of_peer;
    struct core_task *task;
    struct core_site *site;
    uint32_t number, incarnation; /* of the life of ours that placed it */
    uint64_t at_ns, begun_ns;
    bool is_begun, is_cancelled, is_lost, is_seen;
    bool is_recalled; /* in the present session */
    bool is_answered; /* its result is not needed, and not acknowledged before one is kept */
};

struct core_streams { /* of a task; one for each stream */
    struct {
        uint64_t received, acked; /* sent to the client; written out by it */
        uint64_t of_attempt;      /* how far the present attempt has come */
    } of[2];
    char lost_on[WIRE_NAME_BYTES_MAX + 1]; /* the peer the last attempt was lost with */
};

struct core_task_input { /* its standard input */
    struct wire_hash hash;
    uint64_t bytes;
};

/* Thousands of them wait at a time: what few of them have is elsewhere. */
struct core_task {
    struct table_entry by_number;
    struct core_job *job;
    uint32_t number;
    unsigned state;       /* enum core_task_state */
    struct list attempts; /* of core_attempt.of_task, newest last */
    struct list in_waiting;
    uint32_t n_numbers, n_runs, n_lost_runs, n_cell_deaths, n_attempts;
    uint32_t n_out; /* attempts that are not lost, cancelled ones among them */
    uint32_t n_recalls;
    bool keeps_result;       /* it may stay where it was made */
    struct wire_slices argv; /* owned, behind the struct */
    size_t argv_bytes;
    const struct core_cargo *cargo; /* in that block; NULL: none */
    struct core_task_input *input;  /* owned; NULL: none */
    struct wire_key *died_on;       /* owned: peers its cell died on, or NULL */
    struct core_streams *streams;   /* of a streamed job; else NULL */
    struct core_returned *returned; /* while FETCHING */
    struct core_keeping *keeping;   /* while KEEPING */
    struct core_grave grave;
};

struct core_returned { /* a result whose output is on the way */
    struct core_grave grave;
    struct core_task *task;
    struct core_attempt *attempt;
    struct wire_result result; /* owned copy */
    struct arena arena;
    struct core_need *needs; /* in the arena: for out, err, and each of the files */
    uint32_t n_needs, n_pending;
    uint64_t full_ns;        /* since when there is no room here for it; 0: there was */
    struct core_timer timer; /* to see whether there is some now */
};

/* --- journal (journal.c, restore.c) ------------------------------------------------------------
 */

struct core_keeping { /* a result on its way to disk */
    struct core_grave grave;
    struct wire_done done; /* owned copy */
    uint32_t incarnation;  /* of the attempt */
    struct arena arena;
};

struct core_entry { /* a record that is not on disk yet */
    struct list node;
    uint64_t number; /* 0: to be said again */
    enum core_record_type type;
    uint64_t job;
    uint32_t task;
    size_t bytes;    /* arguments of TASK */
    uint64_t item;   /* of QUEUE_DONE; `job` is the queue in records of those */
    uint64_t client; /* who waits for it; 0: nobody */
};

struct core_journal {
    bool is_read;    /* JOURNAL_END came */
    bool is_holding; /* restored jobs wait for inventories */
    bool is_failing; /* and `failed` is not empty, or on its way again */
    int error;
    uint64_t last;             /* number of the record said last */
    struct list said, failed;  /* of core_entry.node, in order */
    uint32_t n_said, n_failed; /* entries in them */
    uint32_t n_keeping;
    uint64_t retry_ns; /* the last pause */
    struct core_timer retry_timer, hold_timer;
};

/* --- executor (origin.c, exec.c, held.c, exec_recv.c, cell.c, credit.c) -------------------------
 */

struct core_origin { /* owners that share cores as if they were one */
    struct table_entry by_text;
    uint32_t n_peers, cores_used; /* here */
    uint64_t bytes;               /* of memory here, of what they sent */
    uint64_t heard_ns;            /* news was taken from them on account up to then */
    uint64_t served;              /* when one of them was last given a core, in starts */
    struct list waiting;          /* of core_peer.queued */
    struct heap_entry by_turn;    /* in core.turns, when somebody is waiting */
    uint32_t i_share;             /* while shares are reckoned, */
    uint64_t share_pass;          /* in this pass */
    char text[CORE_ORIGIN_BYTES]; /* an address or a prefix, zeros behind */
};

struct core_xjob_key {
    struct wire_key owner;
    uint64_t job;
    uint64_t incarnation;
};

struct core_xjob { /* a job of which we run tasks */
    struct table_entry by_key;
    struct core_grave grave;
    struct core_xjob_key key;
    struct core_peer *owner;
    struct list of_owner;
    struct arena arena;
    struct wire_job_spec spec;
    struct core_need *needs; /* one for each file */
    uint64_t bytes;          /* of memory, as it is counted for its owner */
    uint32_t n_missing, n_held;
    uint64_t link; /* that carried JOB last: of an older session, it may have ended unheard */
    bool is_over;
    enum wire_refusal failed_as; /* NONE, or why a file of it is not here */
    uint64_t failed_ns;
    struct list idle; /* of core_cell.of_xjob */
    struct list held; /* of core_held.of_xjob */
    struct core_timer lease_timer;
};

struct core_cell {
    uint64_t number;
    struct core_xjob *xjob;
    struct list of_xjob; /* while idle */
    struct list of_core; /* in core.idle_cells, oldest first */
    uint64_t idle_ns;
};

struct core_held_key {
    struct wire_key owner;
    struct wire_attempt_id id;
    uint32_t zero; /* so that no padding is compared */
};

struct core_held { /* an attempt here */
    /* First what each of its few steps touches, in as few cache lines as can be. */
    struct table_entry by_key;
    struct list of_owner;
    unsigned state;     /* enum core_held_state */
    bool is_forgotten;  /* no result is wanted any more */
    bool is_open;       /* counts against the credit */
    bool is_repeat_due; /* nothing of a streamed job goes out before all that may be lost */
    bool has_input;
    bool is_paused; /* RUNNING, or ENDING since; it has a cell and no cores */
    struct core_held_key key;
    struct core_peer *owner;
    struct core_xjob *xjob;
    struct core_cell *cell;
    const struct core_cargo *cargo; /* in the block of argv; NULL: none */
    struct core_need *ref_needs;    /* one for each of the cargo's refs; NULL: there are none */
    uint32_t n_refs_wanted;         /* of these, all before this one were asked for, */
    uint32_t n_refs_pending;        /* so many of them have not come, */
    uint32_t n_refs_met;            /* and all before this one are here */
    struct wire_key *grants;        /* owned: who may fetch the result, beside the owner */
    uint32_t n_grants;
    struct list of_xjob, in_queue;
    uint64_t start_ns; /* later by what it was paused */
    uint64_t turn_ns;  /* when it was started, paused or went on, whichever was last */
    struct core_timer timeout_timer;
    uint64_t timeout_left_ns; /* while it is paused; 0: none */
    struct list in_paused;    /* in core.paused */
    struct core_grave grave;
    struct wire_slices argv; /* owned, behind the struct */
    void *texts;             /* of the result, owned; NULL until ENDED */
    struct buf *streams;     /* two, of a streamed job: bytes not acknowledged */
    struct core_need input_need;
    enum wire_end killed_as;
    struct wire_hash input;
    uint64_t bytes;            /* of memory, as it is counted for its owner */
    struct wire_result result; /* once ENDED */
    uint64_t stream_at[2];     /* offset of the first byte that is not acknowledged */
};

#include "mesh/core/client_state.h" /* and what stands above */

/* --- trust (trust.c, trust_link.c) -------------------------------------------------------------
 */

enum core_trust_verb {
    CORE_TRUST_LOCK,
    CORE_TRUST_UNLOCK,
    CORE_TRUST_INVITE,
    CORE_TRUST_JOIN,
    CORE_TRUST_PIN,
    CORE_TRUST_BAN,
    CORE_TRUST_RENEW, /* nobody asked for it: somebody banned may know the secret */
};

struct core_trust_op { /* what a client asked for */
    struct list node;
    enum core_trust_verb verb;
    uint64_t client; /* 0: nobody waits for an answer */
    struct wire_key key;
    bool is_removed;
    uint32_t valid_s;
    char name[WIRE_NAME_BYTES_MAX + 1];
    /* joining */
    struct wire_token token;
    char addresses[WIRE_PEER_ADDRESSES_MAX][WIRE_ADDRESS_BYTES_MAX + 1];
    uint32_t n_addresses;
    uint64_t dials[WIRE_PEER_ADDRESSES_MAX]; /* 0: ended */
    uint64_t link;                           /* 0: none yet */
};

/* A session that is no session with a peer: of an older secret, or of an invitation of ours. */
struct core_visit {
    struct list node;
    uint64_t link;
    struct wire_key key;
    struct core_timer timer;
};

enum core_trust_stage {
    CORE_TRUST_IDLE,
    CORE_TRUST_DRAWING,
    CORE_TRUST_JOINING,
    CORE_TRUST_KEEPING
};

struct core_trust {
    struct core_book now;
    struct core_book next; /* what the first op makes of it, while that is KEEPING */
    struct list ops;       /* of core_trust_op.node; the first is under way, the others wait */
    uint32_t n_ops;
    enum core_trust_stage stage;
    uint64_t number, awaited; /* of the last effect; of the one that the first op waits for */
    struct core_invitation invitations[CORE_INVITATIONS_MAX];
    uint32_t n_invitations;
    struct list visits; /* of core_visit.node */
    uint32_t n_visits;
    struct core_timer op_timer, renew_timer, expiry_timer, retry_timer;
};

/* --- the core ----------------------------------------------------------------------------------
 */

struct core_letter { /* a message from one of our roles to the other */
    struct list node;
    struct wire_message message;
};

struct core {
    struct core_config config; /* its texts point into `self` */
    struct core_peer *self;
    uint64_t now_ns, promised_ns, grace_until_ns, random;
    bool is_stepping, is_stopping, has_exited;
    bool is_place_due, is_want_due, is_start_due, is_credit_due, are_peers_changed;
    struct core_effects *effects; /* of the present step */
    struct heap timers;
    struct list graves;
    struct list letters;
    struct arena letter_arena; /* for them; cleared when a step ends */
    uint64_t n_ignored;        /* messages that made no sense, and were no fault either */

    struct table cards; /* of everybody; ourselves first */
    struct table peers; /* of those, whom we have dealings with; ourselves first */
    struct table links, dials;
    struct list contacts;
    uint64_t next_dial, next_token;
    uint64_t gossip_ns; /* when the next dial to somebody only heard of is due */

    bool is_sparse;                 /* too many peers for sessions with all */
    uint32_t n_believed;            /* believed up, ourselves included, when last counted */
    uint64_t score_min;             /* of those chosen */
    uint64_t alone_ns;              /* when the last session was lost; 0: forgiven */
    struct list news;               /* of core_card.news */
    uint64_t sums[WIRE_PEERS_SUMS]; /* of all cards' versions, by part of the keys */
    struct core_timer sparse_timer, news_timer, sums_timer;

    struct table jobs, clients;
    struct list ready, spare, startup;
    struct heap by_idle; /* of core_peer.by_idle: first who has most idle cores, then the nearest */
    uint64_t next_job;
    struct core_timer startup_timer, idle_timer;
    uint32_t n_tasks, n_attempts;
    bool is_check_due;
    unsigned want_class; /* bits of the number of waiting tasks, when last told */
    uint64_t n_passes;
    struct core_timer tail_timer;
    uint64_t tail_ns; /* when it was last looked at */
    bool is_tail_due;

    struct core_journal journal;
    struct list looks, ended; /* of core_look.node; of core_ended.node: others may wait for them */
    uint64_t n_looks, last_look;

    uint64_t others_bytes; /* of memory, of what others sent */
    struct table xjobs, held, blobs, origins, tellers;
    struct list waiters; /* of core_waiter, in grant.c */
    uint32_t n_waiters;
    struct core_timer waiter_timer;
    struct heap turns; /* of core_origin.by_turn: first whose turn it is */
    struct list idle_cells;
    struct list active;   /* of core_peer.active: who shares the cores; ourselves first */
    bool is_standing_due; /* owners without a standing credit may be there */
    uint32_t n_active;    /* in `active` */
    uint64_t credit_ns, n_credit_passes; /* when shares were last reckoned; how often */
    struct core_timer credit_timer;
    uint32_t n_cells, cores_used, n_running, n_queued;
    uint64_t mem_used, next_cell, n_starts;
    struct core_timer cell_timer, renew_timer, stop_timer;
    struct core_peer *reserved; /* whose wide task waits for cores; or NULL */
    struct list paused;         /* of core_held.in_paused, in the order of their pauses */
    uint32_t cores_paused;      /* that they had */
    struct core_timer turn_timer;
    uint32_t n_quiet_looks; /* of that timer: cores idled, and nobody waited for them */

    struct core_trust trust;
    struct core_queues queues;

    struct core_moves moves;
};

/* --- services (core.c) -------------------------------------------------------------------------
 */

void core_timer_set(struct core *core, struct core_timer *timer, uint64_t at_ns);
void core_timer_stop(struct core *core, struct core_timer *timer);
void core_bury(struct core *core, struct core_grave *grave, void (*free)(struct core_grave *grave));
uint64_t core_random(struct core *core, uint64_t below);

struct core_effect *core_emit(struct core *core, enum core_effect_type type);
/* Zeroed memory that lives as long as the batch. */
void *core_batch_alloc(struct core *core, size_t n, size_t size);
struct slice core_batch_copy(struct core *core, struct slice s);
struct slice core_batch_printf(struct core *core, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void core_log(struct core *core, enum core_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* To a peer over the session that stands, or to ourselves; nothing when it has none. What the
 * message points to must live in the batch, or until the next step. */
void core_send(struct core *core, struct core_peer *peer, const struct wire_message *message);
/* The same, of what may wait a moment for more that goes to that peer: a frame costs its two ends
 * far more than a message in it. */
void core_send_lazily(struct core *core, struct core_peer *peer,
                      const struct wire_message *message);
void core_client_send(struct core *core, uint64_t client, const struct wire_message *message);

/* NUL-terminated, cut to fit, made printable. */
void core_text_set(char *to, size_t n_to, struct slice from);
bool core_hash_is_zero(const struct wire_hash *hash);

#endif
