/* What the daemon and a cell's init say to each other.
 *
 * One SOCK_SEQPACKET pair per cell; every message is one struct cell_message in host byte order
 * (both ends run on one machine and come from one build: READY carries the version). START carries
 * descriptors in the order of enum cell_start_fd: the last only where it starts a worker, which
 * finds it as its descriptor 3. What has no fixed size (the words of a command) is in START's body,
 * a memory file. Libc only: the init is built from this too.
 *
 * Files of a task: behind START the daemon GIVEs the contents of its files as descriptors, some at
 * a time, in their order; the init copies them to their places, says GIVEN, and gets the next. The
 * program starts when all are there. Once it has ended and nothing runs, the init sends a FILE for
 * each file that is to be returned, with a descriptor of it, and waits each time for TAKEN; ENDED
 * follows. So no more than a few descriptors are under way, however many files there are. */
#ifndef MESH_CELL_PROTO_H
#define MESH_CELL_PROTO_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"
#include "wire/limits.h"

#define CELL_PROTO_VERSION 5u
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
    CELL_GIVE,  /* up to CELL_GIVE_MAX descriptors of the next files */
    CELL_TAKEN, /* the answer to FILE */
    CELL_READY, /* from the init */
    CELL_STARTED,
    CELL_START_FAILED,
    CELL_GIVEN, /* the answer to GIVE, when that was not the last */
    CELL_FILE,
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

#define CELL_GIVE_MAX 16u /* descriptors in any message */
static_assert((unsigned)CELL_FDS_MAX <= CELL_GIVE_MAX, "those of START fit");

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
    CELL_HOW_AWAKE,      /* it ran on while it was paused */
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
            uint32_t n_files;
            uint32_t n_returns;
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
        struct {
            uint32_t is_enough; /* no more files, please */
        } taken;
        struct { /* only this one is sent whole; the others end with the longest of them */
            uint32_t mode;     /* permission bits */
            uint32_t is_dir;   /* then it has no descriptor */
            uint32_t fault;    /* enum wire_file_fault; then it has none either */
            uint32_t is_named; /* it is one of the returns itself, and not below one */
            char path[WIRE_PATH_BYTES_MAX + 1];
        } file;
    };
};

/* A body is the program to execute, the arguments, the environment, the task's directory below the
 * scratch (empty: that), its files ("fMODE:PATH", or "dMODE:PATH" for a directory, MODE three octal
 * digits) and its returns, each ended by a NUL. */
struct cell_body { /* arrays for the start's n_args, n_env, n_files and n_returns, and a NULL each
                    */
    char **args, **env, **files, **returns;
    char *exec, *workdir;
};

/* Writes pointers into `body`. -EPROTO when it does not hold just that. */
int cell_body_parse(char *body, const struct cell_message *start, struct cell_body *to) MUST_CHECK;
/* Of an entry of `files`, which becomes its path. -EPROTO: it is none. */
int cell_body_file(char **file, bool *ret_is_dir, uint32_t *ret_mode) MUST_CHECK;

/* Whether it is relative, not empty, without empty, "." or ".." parts: may be created below a
 * directory. */
bool cell_path_is_inside(const char *path) MUST_CHECK;

/* Sends one packet with up to CELL_PACKET_FDS_MAX descriptors, which stay the caller's; `flags` are
 * sendmsg()'s. 0 or -errno. */
#define CELL_PACKET_FDS_MAX 66
int cell_packet_send(int socket_fd, struct slice packet, const int *fds, size_t n_fds, int flags);

/* Sends a message with up to CELL_GIVE_MAX descriptors, which stay the caller's.
 * 0 or -errno (-EAGAIN: the buffer is full; -EPIPE: the other end is gone). */
int cell_message_send(int socket_fd, const struct cell_message *message, const int *fds,
                      size_t n_fds) MUST_CHECK;

/* Receives one message. *ret_n_fds descriptors, close-on-exec, become the caller's: fds has room
 * for CELL_GIVE_MAX. 0, -EAGAIN, -EPIPE (the other end is gone), -EPROTO (not a message). */
int cell_message_receive(int socket_fd, struct cell_message *ret_message, int *fds,
                         size_t *ret_n_fds) MUST_CHECK;

#endif
