/* Every maximum and every span of time of the core, with its unit and its reason. Those of the
 * protocol are in wire/limits.h. */
#ifndef MESH_CORE_LIMITS_H
#define MESH_CORE_LIMITS_H

#include <stdint.h>

#define CORE_MS UINT64_C(1000000)
#define CORE_S  UINT64_C(1000000000)

/* --- peers -------------------------------------------------------------------------------------
 */

#define CORE_PEERS_MAX           8192u /* records; a new stranger beyond that is not taken up */
#define CORE_HEARSAY_MAX         6144u /* that hearsay may fill: the rest is for who was seen */
#define CORE_TOLD_MAX            512u  /* of these, from one origin */
#define CORE_HOST_KEYS_MAX       64u   /* up once at one host and away: the oldest is forgotten */
#define CORE_DIALS_MAX           64u   /* at once, over all peers */
#define CORE_DIALS_STRANGERS_MAX 32u   /* of these, to peers that never were up */
#define CORE_STATIC_MAX          256u  /* --peer */

#define CORE_BEAT_BUSY_MS 500u  /* where attempts are outstanding in either direction */
#define CORE_BEAT_IDLE_MS 5000u /* otherwise */
#define CORE_BEAT_MS_MAX  60000u

#define CORE_DIAL_TIMEOUT_NS (3 * CORE_S)    /* connect and handshake together */
#define CORE_DIAL_STAGGER_NS (200 * CORE_MS) /* then the next address is tried as well */
#define CORE_REDIAL_NS       (1 * CORE_S)    /* of a peer lost a short while ago */
#define CORE_REDIAL_FAST_NS  (600 * CORE_S)  /* this is "a short while" */
#define CORE_REDIAL_MAX_NS   (300 * CORE_S)  /* longest pause between rounds of dials */
#define CORE_FORGET_NS       (UINT64_C(7) * 86400 * CORE_S) /* nothing heard: no longer dialled */
#define CORE_OVERLAP_NS      (1500 * CORE_MS) /* two sessions this close overlapped in handshake */
#define CORE_LOST_NS         (150 * CORE_MS)  /* a cut peer that answers no redial is given up */
#define CORE_CHALLENGE_NS    (3 * CORE_S)     /* for the old session to prove a clone */
#define CORE_CONFLICT_NS     (60 * CORE_S)    /* a cloned identity is kept out */
#define CORE_ACCUSED_NS      (68 * CORE_S)   /* who is kept out looks again, when that has passed */
#define CORE_LATE_NS         (250 * CORE_MS) /* own loop this late: accuse nobody */
#define CORE_GRACE_NS        (750 * CORE_MS) /* for that long: one busy beat, and then some */
#define CORE_GOSSIP_PER_S    20u             /* dials to peers only heard of */
#define CORE_REST_NS         (5 * CORE_S)    /* of a peer that could not start a task */
#define CORE_RESTS_MAX       3u              /* in a row: it is out for the job */

/* --- large meshes (sparse.c, gossip.c) ---------------------------------------------------------
 */

#define CORE_DENSE_MAX     64u             /* peers, ourselves included: each with each */
#define CORE_CHOSEN        32u             /* others above that */
#define CORE_SPARE_NS      (30 * CORE_S)   /* a session that neither side needs is closed */
#define CORE_REVIEW_NS     (100 * CORE_MS) /* changes are gathered before sessions follow */
#define CORE_REVIEW_1_NS   (CORE_MS / 5)   /* and longer by this for each peer that is known */
#define CORE_SEEK_MAX      2u              /* more peers dialled per 100 ms while tasks wait */
#define CORE_SEEK_JOBS_MAX 16u             /* looked at for each of them */
#define CORE_NEWS_NS       (50 * CORE_MS)  /* news is gathered before it is told, */
#define CORE_NEWS_MAX      512u            /* and at most so much of it at once */
#define CORE_HEAR_BURST    CORE_PEERS_MAX  /* news taken from one origin at once, */
#define CORE_HEAR_PER_S    512u            /* and each second; sums find what was left out */
#define CORE_NEWS_FANOUT   6u              /* neighbours told: 1 - e^-6 of all hear it so */
#define CORE_BELIEVE_NS    (60 * CORE_S)   /* not reached, and others say that it is up */
#define CORE_SUMS_NS       (10 * CORE_S)   /* what was heard is compared with a neighbour */
#define CORE_TELL_SELF_NS  (1800 * CORE_S) /* at least so often we say that we are there */
#define CORE_TOLD_NS       (4500 * CORE_S) /* who did not for that long is gone */

/* --- trust -------------------------------------------------------------------------------------
 */

#define CORE_TRUST_OPS_MAX      32u             /* asked for and not answered */
#define CORE_VISITS_MAX         64u             /* members that were away, at once */
#define CORE_VISIT_NS           (3 * CORE_S)    /* for the two to say what they know */
#define CORE_JOIN_NS            (10 * CORE_S)   /* dials, handshake and answer of an inviter */
#define CORE_RENEW_SECRET_NS    (500 * CORE_MS) /* at most: others may be faster */
#define CORE_RENEW_HIGHER_NS    (2 * CORE_S)    /* on top, where another's secret is lower */
#define CORE_TRUST_RETRY_NS     (10 * CORE_S)   /* of a disk that failed */
#define CORE_INVITE_SECONDS_MAX (7u * 86400u)

/* --- submitter ---------------------------------------------------------------------------------
 */

#define CORE_STARTUP_NS           (1 * CORE_S)    /* to see peers before saying there are none */
#define CORE_STUCK_NS             (500 * CORE_MS) /* before "no peer can start it" is final */
#define CORE_JOBS_MAX             4096u
#define CORE_JOB_TASKS_MAX        4096u       /* of a job: added, its result not dealt with */
#define CORE_JOB_BYTES_MAX        (32u << 20) /* arguments of those */
#define CORE_TASKS_FIRST          64u         /* a client may add before it hears more */
#define CORE_TASKS_STEP           1024u       /* and at most this many ahead later */
#define CORE_DONE_UNACKED_MAX     1024u /* results a client has not dealt with: place no more */
#define CORE_DONE_BYTES_MAX       (16u << 20) /* their inlined output */
#define CORE_CELL_DEATHS_MAX      3u          /* of one task: it is poison */
#define CORE_OLD_ATTEMPTS_MAX     8u          /* lost ones whose answer would still be known */
#define CORE_LEASE_DEFAULT_MS     10000u      /* attached jobs */
#define CORE_LEASE_DETACHED_MS    (3600u * 1000u)
#define CORE_LEASE_MIN_MS         1000u
#define CORE_LEASE_MAX_MS         (86400u * 1000u)
#define CORE_OUTPUT_DEFAULT_BYTES (UINT64_C(1) << 30)
#define CORE_TAIL_NS              (10 * CORE_MS)  /* between two looks at the tail, */
#define CORE_TAIL_EACH_NS         UINT64_C(1000)  /* more for each attempt and each peer */
#define CORE_TAIL_BEGIN_NS        (250 * CORE_MS) /* what found an idle core should have begun */
#define CORE_TAIL_LATE_NS         (100 * CORE_MS) /* no task that runs less is a straggler */
#define CORE_RUN_MAX_NS           (30 * 86400 * CORE_S) /* longer than that is as long as that */
#define CORE_TAIL_RUNS_FEW        4u  /* fewer ends than this: twice the patience */
#define CORE_TAIL_BACKOFF_MAX     10u /* doublings of the patience with a task that was recalled */
#define CORE_NAP_ROW_MIN          3u  /* failures in a row that make a black hole, at least */
#define CORE_NAP_NS               (1 * CORE_S)  /* its first rest; each doubles, */
#define CORE_NAP_MAX_NS           (60 * CORE_S) /* up to this */
#define CORE_CLIENTS_MAX          256u
#define CORE_PUTS_MAX             65536u /* blobs that one client has put */
#define CORE_LEFTS_MAX            256u   /* results of calls that may stay with one peer, */
#define CORE_LEFT_BYTES_MAX       (UINT64_C(1) << 30) /* and their bytes: it is its disk */
#define CORE_GETS_MAX             4096u      /* one blob asked for by its client, at once */
#define CORE_HOLDERS_MAX          256u       /* peers known to have a blob */
#define CORE_REFS_MOVE_MAX        (4u << 20) /* more is not sent for a core that idles elsewhere */
#define CORE_WATCH_NS             (250 * CORE_MS) /* between two lists to a watcher */

/* A disk that failed is tried again after so long, twice as long each time. */
#define CORE_JOURNAL_RETRY_NS     (1 * CORE_S)
#define CORE_JOURNAL_RETRY_MAX_NS (30 * CORE_S)
#define CORE_LOOKS_MAX            1024u      /* clients and jobs that wait for the disk */
#define CORE_LOOK_BYTES           (4u << 20) /* of results read back in one piece */
#define CORE_LIST_OVER_MAX        4096u      /* jobs that ended, in a list */
#define CORE_READ_TASKS_MAX       1024u      /* of a long job, in one piece */

/* --- queues ------------------------------------------------------------------------------------
 */

#define CORE_QUEUE_ITEMS_MAX 1000000u
#define CORE_QUEUES_BYTES_MAX                                                                      \
    (UINT64_C(256) << 20) /* of all queues here, in memory and on disk                             \
                           */
#define CORE_QUEUES_BLOBS_BYTES_MAX (UINT64_C(4) << 30) /* of large items: only on disk */
#define CORE_QUEUE_DONES_MAX        1024u               /* of a queue: hands that are remembered */
#define CORE_PUTTERS_MAX            4096u /* peers of which the last put is remembered */
#define CORE_TAKERS_MAX             1024u /* gets of one peer here */
#define CORE_ASKS_MAX               1024u /* gets and puts of one client, */
#define CORE_ASK_PUTS_MAX           16u   /* of these puts, which take memory */
/* A queue whose peer was lost so recently is not made a second time: that may be restarting. */
#define CORE_QUEUE_BACK_NS (10 * CORE_S)
/* A put or a done that was said is not answered for so long with its peer away: whether it counts
 * is not known then. */
#define CORE_QUEUE_GONE_NS  (60 * CORE_S)
#define CORE_QUEUE_ROWS_MAX 8192u        /* in the table of all queues: they fit one message */
#define CORE_QUEUE_LOOK_NS  (1 * CORE_S) /* for peers to say how their queues stand */

/* --- executor ----------------------------------------------------------------------------------
 */

#define CORE_OWNER_JOBS_MAX 1024u /* of one submitter here */
/* Blobs of one task that are asked for at once: no fewer than are ever on their way together. */
#define CORE_REFS_PENDING_MAX 256u
/* Memory for what others sent and have not taken back: jobs, tasks, results. An origin may hold as
 * much as is still free, so there is something left for the next one. No more than a quarter of the
 * host's. */
#define CORE_OTHERS_BYTES_MAX (UINT64_C(512) << 20)
#define CORE_HELD_ENDED_MAX   1024u        /* unacknowledged: begin no more of that submitter's */
#define CORE_RETRY_FILES_NS   (1 * CORE_S) /* of a job whose files found no room here */
#define CORE_CELL_IDLE_NS     (5 * CORE_S)
/* Idle cells kept beyond the cores, so that small jobs that take turns do not make a sandbox for
 * each task. Only of jobs without files: a cell holds a copy of those in memory. */
#define CORE_CELLS_SPARE      48u
#define CORE_PREFETCH_NS      (5 * CORE_MS) /* work to have at hand, or two round trips */
#define CORE_PREFETCH_LONG_NS (1 * CORE_S)  /* tasks that last longer are not prefetched */
#define CORE_GATHER_NS        (1 * CORE_MS) /* results of tasks that run less leave together */
#define CORE_GATHER_WAIT_NS   (2 * CORE_MS) /* what may wait does for so long, each way */
#define CORE_GATHER_TASKS     4u /* for each core at hand there: the next ones may wait */
#define CORE_RENEW_NS         (1 * CORE_S)
/* A task runs so long before it may be paused for others, and is paused so long before others that
 * wait let it go on: so short tasks have two thirds of a core that they share with an endless one.
 */
#define CORE_TURN_NS      (1 * CORE_S)
#define CORE_PAUSE_NS     (2 * CORE_S)
#define CORE_TURN_LOOK_NS (100 * CORE_MS) /* while somebody waits for cores */
/* Between two reckonings of shares, for each pair of owners that share: many may not cost more than
 * a small part of a processor. */
#define CORE_CREDIT_PAIR_NS UINT64_C(100)
#define CORE_GRANTS_STEP    8u
#define CORE_GRANTS_MAX     256u  /* peers that may fetch one result here; then one makes room */
#define CORE_WAITERS_MAX    1024u /* peers that wait for an owner's word */
#define CORE_WAITER_NS      (1 * CORE_S) /* so long: it comes over another session */
#define CORE_LENDS_MAX      256u /* of one owner's blobs here; then the oldest is forgotten */
/* Blobs that may go from executor to executor; below, an answer takes longer than the blob. */
#define CORE_SPREAD_BYTES_MIN (UINT64_C(1) << 20)
/* Who asks while another is being sent a copy waits for that, no longer than a link of 100 Mbit/s
 * takes for it. Who was sent to another executor gives that twice as long. */
#define CORE_SPREAD_WAIT_NS(n_bytes) (250 * CORE_MS + (n_bytes)*80)
#define CORE_SPREAD_VIA_NS(n_bytes)  (CORE_WAITER_NS + 2 * CORE_SPREAD_WAIT_NS(n_bytes))
#define CORE_SPREAD_FAILED_MAX       2u           /* in vain sent to one: nobody else is */
#define CORE_STOP_NS                 (2 * CORE_S) /* for what runs to end when the daemon stops */

#endif
