/* The three machines of the core, each one transition table: a peer as we see it, a task of ours,
 * an attempt that we hold for somebody.
 *
 * A change that is not in its table does not happen: it is counted and logged as a refusal. Each
 * row is counted too, so that the simulator can show which were taken. */
#ifndef MESH_CORE_STATES_H
#define MESH_CORE_STATES_H

#include <stdbool.h>
#include <stdint.h>

#define CORE_PEER_STATES(X)                                                                        \
    X(NEW, "new")           /* heard of, never proved */                                           \
    X(KNOWN, "known")       /* up, as others say; no session, and none is needed */                \
    X(UP, "up")             /* a session stands */                                                 \
    X(SUSPECT, "suspect")   /* and has been quiet for longer than it should */                     \
    X(LOST, "lost")         /* the session is cut a moment ago; redialled, its attempts stand */   \
    X(DOWN, "down")         /* given up; its attempts went back to waiting */                      \
    X(REFUSED, "refused")   /* it or we will not: other mesh, no common version, banned */         \
    X(CONFLICT, "conflict") /* two live daemons with its key, or its name is another's */

#define CORE_PEER_CAUSES(X)                                                                        \
    X(SESSION, "session")     /* a session is proved */                                            \
    X(TOLD, "told")           /* others say that it is up */                                       \
    X(TOLD_GONE, "told gone") /* others say that it is not */                                      \
    X(DISMISS, "dismiss")     /* its session is not needed, and closed */                          \
    X(QUIET, "quiet")         /* nothing heard for the time to suspect */                          \
    X(HEARD, "heard")         /* a message came */                                                 \
    X(SILENT, "silent")       /* nothing heard for the time to accuse */                           \
    X(CUT, "cut")             /* its link ended */                                                 \
    X(LEFT, "left")           /* it said goodbye, or came back with a new life */                  \
    X(GIVE_UP, "give up")     /* refused the redial, or did not answer it in time */               \
    X(REFUSE, "refuse")       /* a dial ended with a reason that another will not mend */          \
    X(CLONE, "clone")         /* two lives answered at once */                                     \
    X(MISNAMED, "misnamed")   /* it has a name that is pinned to another key */                    \
    X(EXPIRE, "expire")       /* what was said of a clone is old enough to look again */

#define CORE_PEER_TABLE(X)                                                                         \
    X(NEW, SESSION, UP)                                                                            \
    X(NEW, REFUSE, REFUSED)                                                                        \
    X(NEW, TOLD, KNOWN)                                                                            \
    X(KNOWN, SESSION, UP)                                                                          \
    X(KNOWN, TOLD_GONE, DOWN)                                                                      \
    X(KNOWN, GIVE_UP, DOWN)                                                                        \
    X(KNOWN, REFUSE, REFUSED)                                                                      \
    X(UP, DISMISS, KNOWN)                                                                          \
    X(UP, SESSION, UP)                                                                             \
    X(UP, QUIET, SUSPECT)                                                                          \
    X(UP, CUT, LOST)                                                                               \
    X(UP, LEFT, DOWN)                                                                              \
    X(UP, REFUSE, REFUSED)                                                                         \
    X(UP, CLONE, CONFLICT)                                                                         \
    X(SUSPECT, SESSION, UP)                                                                        \
    X(SUSPECT, HEARD, UP)                                                                          \
    X(SUSPECT, SILENT, DOWN)                                                                       \
    X(SUSPECT, CUT, LOST)                                                                          \
    X(SUSPECT, LEFT, DOWN)                                                                         \
    X(LOST, SESSION, UP)                                                                           \
    X(LOST, GIVE_UP, DOWN)                                                                         \
    X(LOST, REFUSE, REFUSED)                                                                       \
    X(DOWN, TOLD, KNOWN)                                                                           \
    X(DOWN, SESSION, UP)                                                                           \
    X(DOWN, REFUSE, REFUSED)                                                                       \
    X(REFUSED, TOLD, KNOWN)                                                                        \
    X(REFUSED, SESSION, UP)                                                                        \
    X(REFUSED, REFUSE, REFUSED)                                                                    \
    X(REFUSED, EXPIRE, DOWN)                                                                       \
    X(NEW, MISNAMED, CONFLICT)                                                                     \
    X(UP, MISNAMED, CONFLICT)                                                                      \
    X(DOWN, MISNAMED, CONFLICT)                                                                    \
    X(CONFLICT, EXPIRE, DOWN)

#define CORE_TASK_STATES(X)                                                                        \
    X(WAITING, "waiting")   /* for a peer */                                                       \
    X(PLACED, "placed")     /* sent to one */                                                      \
    X(RUNNING, "running")   /* which said that it began */                                         \
    X(FETCHING, "fetching") /* ended there; its output is on the way */                            \
    X(KEEPING, "keeping")   /* of a detached job: its result is on the way to disk */              \
    X(DONE, "done")         /* its one result is reported */

#define CORE_TASK_CAUSES(X)                                                                        \
    X(PLACE, "place")                                                                              \
    X(BEGIN, "begin")                                                                              \
    X(SECOND, "second")   /* started again elsewhere while it runs */                              \
    X(REQUEUE, "requeue") /* refused, lost, or failed with a run left */                           \
    X(FETCH, "fetch")     /* a result counts, and its output must be fetched first */              \
    X(RESUME, "resume")   /* this attempt came to nothing, but another is out */                   \
    X(KEEP, "keep")       /* the result of a detached job's task is to be written */               \
    X(REPORT, "report")   /* the result goes to the client, or is on disk */                       \
    X(GIVE_UP, "give up") /* cancelled, lost for good, or nobody can start it */

#define CORE_TASK_TABLE(X)                                                                         \
    X(WAITING, PLACE, PLACED)                                                                      \
    X(WAITING, FETCH, FETCHING)                                                                    \
    X(WAITING, KEEP, KEEPING)                                                                      \
    X(WAITING, REPORT, DONE)                                                                       \
    X(WAITING, GIVE_UP, DONE)                                                                      \
    X(PLACED, BEGIN, RUNNING)                                                                      \
    X(PLACED, REQUEUE, WAITING)                                                                    \
    X(PLACED, FETCH, FETCHING)                                                                     \
    X(PLACED, KEEP, KEEPING)                                                                       \
    X(PLACED, REPORT, DONE)                                                                        \
    X(PLACED, GIVE_UP, DONE)                                                                       \
    X(RUNNING, SECOND, RUNNING)                                                                    \
    X(RUNNING, RESUME, PLACED)                                                                     \
    X(RUNNING, REQUEUE, WAITING)                                                                   \
    X(RUNNING, FETCH, FETCHING)                                                                    \
    X(RUNNING, KEEP, KEEPING)                                                                      \
    X(RUNNING, REPORT, DONE)                                                                       \
    X(RUNNING, GIVE_UP, DONE)                                                                      \
    X(FETCHING, REQUEUE, WAITING)                                                                  \
    X(FETCHING, KEEP, KEEPING)                                                                     \
    X(FETCHING, REPORT, DONE)                                                                      \
    X(FETCHING, GIVE_UP, DONE)                                                                     \
    X(KEEPING, REPORT, DONE)                                                                       \
    X(KEEPING, GIVE_UP, DONE)

#define CORE_HELD_STATES(X)                                                                        \
    X(WANTING, "wanting")   /* files or input are on the way */                                    \
    X(QUEUED, "queued")     /* waits for cores */                                                  \
    X(STARTING, "starting") /* the shell was asked */                                              \
    X(RUNNING, "running")   /* its program runs */                                                 \
    X(ENDING, "ending")     /* the shell was asked to kill it */                                   \
    X(ENDED, "ended")       /* its result waits for the owner's word */                            \
    X(GONE, "gone")

#define CORE_HELD_CAUSES(X)                                                                        \
    X(READY, "ready") /* all it needs is here */                                                   \
    X(START, "start")                                                                              \
    X(BEGUN, "begun")                                                                              \
    X(KILL, "kill")                                                                                \
    X(END, "end")       /* ended, or was cancelled before it began */                              \
    X(REFUSE, "refuse") /* given back */                                                           \
    X(FORGET, "forget") /* dropped by its owner, or its lease ran out */                           \
    X(ACK, "ack")       /* the owner has the result */

#define CORE_HELD_TABLE(X)                                                                         \
    X(WANTING, READY, QUEUED)                                                                      \
    X(WANTING, END, ENDED)                                                                         \
    X(WANTING, REFUSE, GONE)                                                                       \
    X(WANTING, FORGET, GONE)                                                                       \
    X(QUEUED, START, STARTING)                                                                     \
    X(QUEUED, END, ENDED)                                                                          \
    X(QUEUED, REFUSE, GONE)                                                                        \
    X(QUEUED, FORGET, GONE)                                                                        \
    X(STARTING, BEGUN, RUNNING)                                                                    \
    X(STARTING, KILL, ENDING)                                                                      \
    X(STARTING, END, ENDED)                                                                        \
    X(STARTING, REFUSE, GONE)                                                                      \
    X(RUNNING, KILL, ENDING)                                                                       \
    X(RUNNING, END, ENDED)                                                                         \
    X(ENDING, BEGUN, ENDING)                                                                       \
    X(ENDING, KILL, ENDING)                                                                        \
    X(ENDING, END, ENDED)                                                                          \
    X(ENDING, REFUSE, GONE)                                                                        \
    X(ENDING, FORGET, GONE)                                                                        \
    X(ENDED, FORGET, GONE)                                                                         \
    X(ENDED, ACK, GONE)

#define CORE_ENUM_PEER_STATE(name, text) CORE_PEER_##name,
#define CORE_ENUM_PEER_CAUSE(name, text) CORE_PEER_ON_##name,
#define CORE_ENUM_PEER_ROW(from, on, to) CORE_PEER_ROW_##from##_##on,
#define CORE_ENUM_TASK_STATE(name, text) CORE_TASK_##name,
#define CORE_ENUM_TASK_CAUSE(name, text) CORE_TASK_ON_##name,
#define CORE_ENUM_TASK_ROW(from, on, to) CORE_TASK_ROW_##from##_##on,
#define CORE_ENUM_HELD_STATE(name, text) CORE_HELD_##name,
#define CORE_ENUM_HELD_CAUSE(name, text) CORE_HELD_ON_##name,
#define CORE_ENUM_HELD_ROW(from, on, to) CORE_HELD_ROW_##from##_##on,
enum core_peer_state { CORE_PEER_STATES(CORE_ENUM_PEER_STATE) CORE_N_PEER_STATES };
enum core_peer_cause { CORE_PEER_CAUSES(CORE_ENUM_PEER_CAUSE) CORE_N_PEER_CAUSES };
enum core_peer_row { CORE_PEER_TABLE(CORE_ENUM_PEER_ROW) CORE_N_PEER_ROWS };
enum core_task_state { CORE_TASK_STATES(CORE_ENUM_TASK_STATE) CORE_N_TASK_STATES };
enum core_task_cause { CORE_TASK_CAUSES(CORE_ENUM_TASK_CAUSE) CORE_N_TASK_CAUSES };
enum core_task_row { CORE_TASK_TABLE(CORE_ENUM_TASK_ROW) CORE_N_TASK_ROWS };
enum core_held_state { CORE_HELD_STATES(CORE_ENUM_HELD_STATE) CORE_N_HELD_STATES };
enum core_held_cause { CORE_HELD_CAUSES(CORE_ENUM_HELD_CAUSE) CORE_N_HELD_CAUSES };
enum core_held_row { CORE_HELD_TABLE(CORE_ENUM_HELD_ROW) CORE_N_HELD_ROWS };

enum core_machine { CORE_MACHINE_PEER, CORE_MACHINE_TASK, CORE_MACHINE_HELD, CORE_N_MACHINES };

#define CORE_ROWS_MAX 64u

/* How often each row was taken and how often a change was refused, by machine. */
struct core_moves {
    uint64_t n_taken[CORE_N_MACHINES][CORE_ROWS_MAX];
    uint64_t n_refused[CORE_N_MACHINES];
};

/* Looks the change up and counts it. On success *state is the new state. False: not in the table,
 * nothing is changed but the count of refusals. */
bool core_move(struct core_moves *moves, enum core_machine machine, unsigned *state,
               unsigned cause);

/* Names for logs and tables; "?" for a number that is none. */
const char *core_state_text(enum core_machine machine, unsigned state);
const char *core_cause_text(enum core_machine machine, unsigned cause);
unsigned core_n_rows(enum core_machine machine);
/* "up + cut -> lost"; row < core_n_rows(). */
struct core_row_text {
    const char *from, *cause, *to;
};
struct core_row_text core_row_text(enum core_machine machine, unsigned row);

#endif
