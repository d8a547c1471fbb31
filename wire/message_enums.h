/* The enumerations of the messages, and their names. Included by wire/message.h. */
#ifndef MESH_WIRE_MESSAGE_ENUMS_H
#define MESH_WIRE_MESSAGE_ENUMS_H

#include <stdint.h>

/* --- enumerations ------------------------------------------------------------------------------
 * Each is one X-macro, so that log, JSON and documents use one set of names. Values are the wire's
 * and never change. A value from a newer peer that is not in the list is taken as the first. */

/* Why a session ends; the `reason` of a goodbye. */
#define WIRE_REASONS(X)                                                                            \
    X(NONE, 0, "none")                                                                             \
    X(LEAVING, 1, "leaving")         /* the daemon stops */                                        \
    X(REPLACED, 2, "replaced")       /* a newer session with the same peer stands */               \
    X(PROTOCOL, 3, "protocol error") /* a rule of the protocol was broken */                       \
    X(VERSION, 4, "no common version")                                                             \
    X(SIGNATURE, 5, "bad signature")                                                               \
    X(SEAL, 6, "bad seal")     /* decryption failed, or the mesh secrets differ */                 \
    X(MESH, 7, "another mesh") /* the mesh tags differ */                                          \
    X(SELF, 8, "own identity") /* one's own key at the other end */                                \
    X(LIMIT, 9, "limit exceeded")                                                                  \
    X(CLONED, 10, "cloned identity") /* two live daemons with one key */                           \
    X(BANNED, 11, "banned")                                                                        \
    X(SILENT, 12, "silent too long")                                                               \
    X(OFF_LINK, 13, "not on this link")                                                            \
    X(TIMEOUT, 14, "handshake timed out")                                                          \
    X(IDLE, 15,                                                                                    \
      "not needed now") /* a large mesh: it has others to talk to, and so has the peer */          \
    X(INVITATION, 16, "the invitation is not valid (used, expired or unknown)")

/* How an attempt ended. */
#define WIRE_ENDS(X)                                                                               \
    X(NONE, 0, "none")                                                                             \
    X(EXITED, 1, "exited")       /* by itself; `status` is the exit status */                      \
    X(SIGNALED, 2, "signaled")   /* by a signal nobody of ours sent; `status` is its number */     \
    X(TIMEOUT, 3, "timeout")     /* killed: ran longer than the job's timeout */                   \
    X(CANCELLED, 4, "cancelled") /* killed: its owner said so */                                   \
    X(LEASE, 5, "lease expired") /* killed: its owner was not heard from */                        \
    X(OUTPUT_LIMIT, 6, "too much output")                                                          \
    X(CELL_DIED, 7, "cell died")             /* the executor's sandbox failed under it */          \
    X(NO_DISK, 8, "disk full")               /* the executor could not keep its output */          \
    X(LOST, 9, "lost")                       /* its peer was lost; only ever in a `done` */        \
    X(NOT_STARTED, 10, "not started")        /* no peer could start it; only ever in a `done` */   \
    X(NO_DATA, 11, "what it reads was lost") /* with the peers that had it; only in a `done` */    \
    X(NO_RETURN, 12, "a file was not returned") /* the program exited with 0; see result.files */

/* Why an executor gives an attempt back without having run it to an end. */
#define WIRE_REFUSALS(X)                                                                           \
    X(NONE, 0, "none")                                                                             \
    X(RECALLED, 1, "recalled") /* as the owner asked */                                            \
    X(NO_CREDIT, 2, "over credit")                                                                 \
    X(DRAINING, 3, "draining")                                                                     \
    X(UNKNOWN_JOB, 4, "unknown job")                                                               \
    X(NOT_FOUND, 5, "command not found")          /* exit status 127 */                            \
    X(NOT_EXECUTABLE, 6, "not executable")        /* exit status 126 */                            \
    X(NO_INTERPRETER, 7, "interpreter not found") /* 126 */                                        \
    X(WRONG_ARCH, 8, "wrong architecture")        /* 126 */                                        \
    X(NO_CELL, 9, "no cell")                      /* the sandbox could not be set up */            \
    X(NO_MEMORY, 10, "out of memory")                                                              \
    X(NO_DISK, 11, "disk full")                                                                    \
    X(NO_SANDBOX, 12, "runs no strangers' tasks") /* no sandbox there */                           \
    X(NO_BLOB, 13, "file not received")                                                            \
    X(TOO_LARGE, 14, "arguments too large")                                                        \
    X(BUSY, 15, "busy")

/* What a peer is to us. */
#define WIRE_PEER_STATES(X)                                                                        \
    X(NONE, 0, "none")                                                                             \
    X(UP, 1, "up")                                                                                 \
    X(SUSPECT, 2, "suspect")                                                                       \
    X(DOWN, 3, "down")                                                                             \
    X(REFUSED, 4, "refused")                                                                       \
    X(CONFLICT, 5, "conflict")

/* Where an attempt stands at its executor; used in inventories. */
#define WIRE_HELD(X)                                                                               \
    X(NONE, 0, "none")                                                                             \
    X(QUEUED, 1, "queued")                                                                         \
    X(RUNNING, 2, "running")                                                                       \
    X(ENDED, 3, "ended") /* result not acknowledged yet */

/* Why a daemon refuses what a client asked. */
#define WIRE_ERRORS(X)                                                                             \
    X(NONE, 0, "none")                                                                             \
    X(INVALID, 1, "invalid")         /* the request makes no sense */                              \
    X(DENIED, 2, "denied")           /* not this user's */                                         \
    X(UNKNOWN, 3, "unknown")         /* no such job, no such peer */                               \
    X(UNAVAILABLE, 4, "unavailable") /* not now: too few peers, disk full */                       \
    X(LIMIT, 5, "limit exceeded")                                                                  \
    X(NOT_FOUND, 6, "command not found")                                                           \
    X(NOT_EXECUTABLE, 7, "not executable")

/* Where a job stands. */
#define WIRE_JOB_STATES(X)                                                                         \
    X(NONE, 0, "none")                                                                             \
    X(ADDING, 1, "adding")       /* its client still adds tasks */                                 \
    X(AFTER, 2, "after")         /* it waits for other jobs to end */                              \
    X(RUNNING, 3, "running")     /* not ended */                                                   \
    X(STOPPING, 4, "stopping")   /* cancelled, and not gone from everywhere yet */                 \
    X(ENDED, 5, "ended")         /* each task has its result */                                    \
    X(CANCELLED, 6, "cancelled") /* it ended that way */

/* How a function ended that was called. */
#define WIRE_CALL_STATUSES(X)                                                                      \
    X(OK, 0, "ok")                                                                                 \
    X(FAILED, 1, "failed")             /* it said so */                                            \
    X(NO_FUNCTION, 2, "no function")   /* the program registers none of that name */               \
    X(BAD_ARGUMENT, 3, "bad argument") /* one is not there, or of another type */                  \
    X(NO_RESULT, 4, "no result")       /* it returned without having set one */                    \
    X(NO_MEMORY, 5, "out of memory")

/* Behind those: the worker exited with the rest of the status, without an answer. */
#define WIRE_CALL_EXITED 128u

#define WIRE_ENUM_REASON(name, value, text)  WIRE_REASON_##name = value,
#define WIRE_ENUM_END(name, value, text)     WIRE_END_##name = value,
#define WIRE_ENUM_REFUSAL(name, value, text) WIRE_REFUSAL_##name = value,
#define WIRE_ENUM_PEER(name, value, text)    WIRE_PEER_##name = value,
#define WIRE_ENUM_HELD(name, value, text)    WIRE_HELD_##name = value,
#define WIRE_ENUM_ERROR(name, value, text)   WIRE_ERROR_##name = value,
#define WIRE_ENUM_JOB(name, value, text)     WIRE_JOB_##name = value,
#define WIRE_ENUM_CALL(name, value, text)    WIRE_CALL_##name = value,
enum wire_reason { WIRE_REASONS(WIRE_ENUM_REASON) };
enum wire_end { WIRE_ENDS(WIRE_ENUM_END) };
enum wire_refusal { WIRE_REFUSALS(WIRE_ENUM_REFUSAL) };
enum wire_peer_state { WIRE_PEER_STATES(WIRE_ENUM_PEER) };
enum wire_held { WIRE_HELD(WIRE_ENUM_HELD) };
enum wire_error { WIRE_ERRORS(WIRE_ENUM_ERROR) };
enum wire_job_state { WIRE_JOB_STATES(WIRE_ENUM_JOB) };
enum wire_call_status { WIRE_CALL_STATUSES(WIRE_ENUM_CALL) };

/* The text of a value; "unknown" for one that is not in the list. */
const char *wire_reason_text(uint32_t reason);
const char *wire_end_text(uint32_t end);
const char *wire_refusal_text(uint32_t refusal);
const char *wire_peer_state_text(uint32_t state);
const char *wire_held_text(uint32_t held);
const char *wire_error_text(uint32_t error);
const char *wire_job_state_text(uint32_t state);
const char *wire_call_status_text(uint32_t status);

enum wire_stream { WIRE_STREAM_NONE = 0, WIRE_STREAM_OUT = 1, WIRE_STREAM_ERR = 2 };

#endif
