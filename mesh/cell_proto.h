/* What the daemon and a cell's init say to each other.
 *
 * One SOCK_SEQPACKET pair per cell; every message is one struct cell_message in host byte order
 * (both ends run on one machine and come from one build: READY carries the version). Only START
 * carries descriptors, in the order of enum cell_start_fd: the last only where it starts a worker,
 * which finds it as its descriptor 3. What has no fixed size (the words of a
 * command) is in START's body, a memory file. Libc only: the init is built from this too. */
#ifndef MESH_CELL_PROTO_H
#define MESH_CELL_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"

#define CELL_PROTO_VERSION 4u
/* Where the init finds its end of the socket, and in bare mode the job's files, in their order. */
#define CELL_SOCKET_FD     3
#define CELL_FIRST_FILE_FD 4
/* Where the job's files and the scratch are inside a sandbox. */
#define CELL_JOB_DIR     "/job"
#define CELL_SCRATCH_DIR "/task"

/* The init's first argument. The others: scratch directory, directory of the job's files, limits as
 * cell_limits_format() writes them, then for each file "x:PATH" (may be executed) or "-:PATH".
 * REMOVE takes one directory. */
#define CELL_ARG_SANDBOX "sandbox"
#define CELL_ARG_BARE    "bare"
#define CELL_ARG_PROBE   "probe"  /* ends at once with status 0: the sandbox can be set up */
#define CELL_ARG_REMOVE  "remove" /* deletes a directory with all that is in it */

/* What all processes of a cell may take together, and each of them; 0: no limit. The init sets and
 * watches them; of a bare cell all are 0. */
struct cell_limits {
    uint64_t memory_bytes;  /* of all: their own memory, shared memory, files in the cell */
    uint64_t address_bytes; /* of each: RLIMIT_AS */
    uint64_t file_bytes;    /* the largest file: RLIMIT_FSIZE */
    uint32_t n_processes;   /* of all, threads included, and the init: RLIMIT_NPROC */
    /* The list of processes of a control group for the cell, open for writing: the init enters it.
     * 0: there is none. */
    uint32_t group_fd;
};

#define CELL_LIMITS_BYTES 128
void cell_limits_format(const struct cell_limits *limits, char to[static CELL_LIMITS_BYTES]);
/* 0 or -EINVAL. */
int cell_limits_parse(const char *text, struct cell_limits *ret_limits) MUST_CHECK;

enum cell_message_type {
    CELL_NONE = 0,
    CELL_START, /* to the init */
    CELL_KILL,
    CELL_RENEW,
    CELL_PAUSE,
    CELL_READY, /* from the init */
    CELL_STARTED,
    CELL_START_FAILED,
    CELL_ENDED,
};

enum cell_start_fd {
    CELL_FD_STDIN,
    CELL_FD_STDOUT,
    CELL_FD_STDERR,
    CELL_FD_BODY,
    CELL_FD_WORKER,
    CELL_FDS_MAX,
};

/* Why a program could not be started. */
enum cell_why {
    CELL_WHY_OTHER = 0,
    CELL_WHY_NOT_FOUND,
    CELL_WHY_NOT_EXECUTABLE,
    CELL_WHY_NO_INTERPRETER, /* the file is there, its "#!" program or dynamic loader is not */
    CELL_WHY_WRONG_ARCH,
    CELL_WHY_TOO_LARGE,
    CELL_WHY_NO_MEMORY,
    CELL_WHY_NO_DISK,
};

/* How the attempt's own process ended. */
enum cell_how {
    CELL_HOW_EXITED = 0, /* status: exit status */
    CELL_HOW_SIGNALED,   /* status: signal, not sent by the init */
    CELL_HOW_KILLED,     /* as KILL asked */
    CELL_HOW_LEASE,      /* not renewed in time */
    CELL_HOW_MEMORY,     /* all its processes together took more memory than they may */
};

struct cell_message {
    uint32_t type;   /* enum cell_message_type */
    uint32_t unused; /* 0 */
    uint64_t serial; /* of the attempt; 0 in READY and RENEW */
    union {
        struct {
            uint64_t lease_ms; /* until killed, unless renewed; 0: no lease */
            uint64_t body_bytes;
            uint32_t n_args; /* at least 1 */
            uint32_t n_env;
            uint32_t nice;
            uint32_t is_worker; /* has CELL_FD_WORKER */
        } start;
        struct {
            uint64_t lease_ms; /* from now on; ignored when nothing runs */
        } renew;
        struct {
            uint32_t is_paused; /* else they go on */
        } pause;
        struct {
            uint32_t version;
        } ready;
        struct {
            uint32_t why;      /* enum cell_why */
            uint32_t error;    /* errno, positive */
            uint32_t is_clean; /* the cell may be used again */
        } start_failed;
        struct {
            uint32_t how; /* enum cell_how */
            uint32_t status;
            uint32_t is_clean; /* nothing is left: processes, files, shared memory, limits */
            uint32_t error;    /* errno, positive, of what could not be cleaned; may be 0 */
            uint64_t wall_us;
            uint64_t user_us; /* of all its processes */
            uint64_t sys_us;
            uint64_t peak_kib;   /* of the largest of them */
            uint64_t memory_kib; /* MEMORY: what they had when they were killed */
        } ended;
    };
};

/* A body is the program to execute, the arguments and the environment, each ended by a NUL. Writes
 * pointers into `body` to *ret_exec and to the two arrays, which get a NULL at their ends and
 * hold n_args + 1 and n_env + 1 elements. -EPROTO when the body does not hold just that. */
int cell_body_parse(char *body, size_t body_bytes, uint32_t n_args, uint32_t n_env, char **ret_exec,
                    char **args, char **env) MUST_CHECK;

/* Whether it is relative, not empty, without empty, "." or ".." parts: may be created below a
 * directory. */
bool cell_path_is_inside(const char *path) MUST_CHECK;

/* Sends one packet with up to CELL_PACKET_FDS_MAX descriptors, which stay the caller's; `flags` are
 * sendmsg()'s. 0 or -errno. */
#define CELL_PACKET_FDS_MAX 66
int cell_packet_send(int socket_fd, struct slice packet, const int *fds, size_t n_fds, int flags);

/* Sends a message with up to CELL_FDS_MAX descriptors, which stay the caller's.
 * 0 or -errno (-EAGAIN: the buffer is full; -EPIPE: the other end is gone). */
int cell_message_send(int socket_fd, const struct cell_message *message, const int *fds,
                      size_t n_fds) MUST_CHECK;

/* Receives one message. *ret_n_fds descriptors, close-on-exec, become the caller's: fds has room
 * for CELL_FDS_MAX. 0, -EAGAIN, -EPIPE (the other end is gone), -EPROTO (not a message). */
int cell_message_receive(int socket_fd, struct cell_message *ret_message, int *fds,
                         size_t *ret_n_fds) MUST_CHECK;

#endif
