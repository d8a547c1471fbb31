/* A cell: a sandbox of one submitter's one job that runs one attempt at a time, and is kept for
 * the job's further attempts. The daemon's side; the other is mesh-cell (cell_init.h).
 *
 * An attempt is a program, run from its start to its end and cleaned up after; or in a cell that
 * was given a program of functions, a call: the program is started once, as a worker
 * (wire/worker.h), and takes one call after another, without a process, a message to the init or a
 * pipe for each. A worker that ends, or has to be killed, takes all it left in the cell with it;
 * the next call starts another.
 *
 * Knows nothing of jobs, peers and leases' owners: the shell turns the core's effects into these
 * calls and these callbacks into events. All of it belongs to the loop's thread. SIGPIPE must be
 * ignored in the process.
 *
 * After cell_start() or cell_call() said 0, exactly one of on_ended and on_refused follows,
 * whatever happens to the cell. A cell that is not usable any more runs nothing else; it is to be
 * closed. No callback runs before the call that causes it returns. A callback may call any of these
 * functions. */
#ifndef MESH_CELL_H
#define MESH_CELL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "mesh/output.h"
#include "mesh/sandbox.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/message.h"

struct cell;
struct cell_groups;
struct disk_share;

struct cell_result {
    enum wire_end end;
    uint32_t status; /* exit status or signal; of a call as in struct wire_result */
    uint64_t wall_us;
    uint64_t user_us; /* of all its processes */
    uint64_t sys_us;
    uint64_t peak_kib; /* of the largest of them */
    /* Collected output: memory is valid during on_ended; a spool file of the result is the
     * receiver's to close, and to give back what it has of the share. Streamed, or the cell died:
     * empty. */
    struct output_result out; /* of a call: the value it returned; its spool is a sealed file */
    struct output_result err; /* of a call: what it printed */
    struct errmsg detail;     /* one line for people, or "" */
    bool is_cell_usable;
};

struct cell_returned { /* of a task that has ended: a file, a directory, or what did not come */
    const char *path;  /* in the task's directory; borrowed */
    uint32_t mode;     /* permission bits */
    bool is_dir;
    bool is_named; /* it is one of the returns, not below one */
    enum wire_file_fault fault;
    int fd; /* of a file, open for reading: the receiver's to close. Nothing changes it any more,
             * but it is the receiver's to see that it is a regular file. Else -1 */
};

struct cell_events {
    /* The program runs. Of a call: it runs still, a moment after it was sent. */
    void (*on_started)(void *user, struct cell *cell);
    /* Streamed attempts only. */
    void (*on_output)(void *user, struct cell *cell, enum wire_stream stream, uint64_t offset,
                      struct slice bytes);
    void (*on_ended)(void *user, struct cell *cell, const struct cell_result *result);
    /* The content of the i-th of those files of the attempt that are no directories, counted from
     * 0, each once and in order; the descriptor becomes the cell's. 0 or -errno: the attempt is
     * refused with "file not received". */
    int (*open_content)(void *user, struct cell *cell, uint32_t i, int *ret_fd);
    /* Before on_ended, one at a time: the next comes when cell_take_next() was called, which may be
     * from within. */
    void (*on_returned)(void *user, struct cell *cell, const struct cell_returned *file);
    /* The program never ran. */
    void (*on_refused)(void *user, struct cell *cell, enum wire_refusal why,
                       const struct errmsg *err, bool is_cell_usable);
    /* The cell is gone while it ran nothing: it is to be closed. */
    void (*on_dead)(void *user, struct cell *cell, const struct errmsg *err);
};

struct cell_program {       /* of functions; everything is borrowed for the call it is given to */
    struct slice exec;      /* a file of the job: "./NAME" */
    struct wire_slices env; /* as in struct cell_start */
    struct slice peer;      /* the name of this one, which calls are told */
    uint32_t nice;
    uint64_t output_bytes_max; /* of what one call prints, and of its value */
};

struct cell_config {
    uv_loop_t *loop;
    const struct sandbox *sandbox; /* borrowed until closed */
    bool is_bare;                  /* no sandbox: only ever for the daemon's own user */
    /* Borrowed until closed: the daemon's own directory for spooled output and bare cells'
     * folders. After a crash of the daemon "cell-*" may be left there. */
    const char *work_dir;
    struct disk_share *disk;    /* referred to: what its outputs may take of that; NULL: no limit */
    struct sandbox_size size;   /* of no meaning where it is bare */
    struct cell_groups *groups; /* borrowed until closed; NULL: none */
    const struct cell_file *files; /* borrowed for the call */
    size_t n_files;
    const struct cell_program *program; /* for calls; NULL: for programs that end */
    const struct cell_events *events;   /* borrowed until closed */
    void *user;
};

struct cell_start {          /* everything is borrowed for the call, but input_fd */
    struct slice exec;       /* empty: the first argument */
    struct wire_slices argv; /* at least one */
    struct wire_slices env;  /* "NAME=VALUE"; PATH, HOME, TMPDIR and LANG are set unless named */
    int input_fd;            /* a regular file, the cell's on success; -1: /dev/null */
    uint64_t lease_ms;       /* 0: none */
    uint32_t nice;
    uint64_t output_bytes_max; /* per stream */
    bool is_streamed;
    struct wire_task_files files; /* contents are asked for later, see open_content */
    struct wire_slices returns;
    struct slice workdir;
};

struct cell_ref {
    int fd; /* borrowed for the call: a memory file with all seals, open for reading */
    uint64_t bytes;
};

struct cell_call { /* everything is borrowed for the call */
    struct slice function;
    uint32_t attempt;                /* counted from 1 */
    struct slice args;               /* at most WIRE_INLINE_BYTES_MAX */
    const struct cell_ref *big_args; /* or instead, the arguments in a file; NULL */
    const struct cell_ref *refs;
    uint32_t n_refs; /* at most WIRE_CALL_REFS_MAX */
    uint64_t lease_ms;
};

/* Begins to make a cell; an attempt may be started at once and waits until it stands. 0 or -errno;
 * on failure there is nothing to close. */
int cell_new(const struct cell_config *config, struct cell **ret_cell,
             struct errmsg *reterr) MUST_CHECK;

/* In a cell without a program of functions, only while no attempt is under way and the cell is
 * usable. 0, -E2BIG (arguments), -EINVAL (a
 * word that holds a NUL), or another -errno for want of memory or descriptors; then no callback
 * follows and input_fd stays the caller's. */
int cell_start(struct cell *cell, const struct cell_start *start, struct errmsg *reterr) MUST_CHECK;

/* The same in a cell with one. 0, -EINVAL (a name of a function that is none), or another -errno;
 * then no callback follows.
 *
 * A call that its worker answers ends EXITED with the answer's status. One whose worker ends ends
 * SIGNALED, or EXITED with WIRE_CALL_STATUS_MAX + 1 + its exit status; a worker that does not keep
 * to wire/worker.h is killed, which ends the call as well. A program that cannot be a worker is
 * refused with what it, or its loader, said. */
int cell_call(struct cell *cell, const struct cell_call *call, struct errmsg *reterr) MUST_CHECK;

/* Kills every process of the attempt; its result's end will be `why`, unless it ended by itself
 * before. Nothing happens when no attempt is under way. */
void cell_kill(struct cell *cell, enum wire_end why);

/* All processes of the attempt under way stand still from now on, or go on. Its lease runs, and it
 * can be killed. Nothing happens when none is under way; never of a bare cell. */
void cell_pause(struct cell *cell, bool is_paused);

/* The attempt under way may run for lease_ms from now on. */
void cell_renew(struct cell *cell, uint64_t lease_ms);

/* Streamed: the receiver has consumed the stream up to offset. */
void cell_ack(struct cell *cell, enum wire_stream stream, uint64_t offset);

/* What on_returned brought is dealt with. `is_enough`: no more of it, please. Nothing happens when
 * none was brought. */
void cell_take_next(struct cell *cell, bool is_enough);

bool cell_is_busy(const struct cell *cell);

/* Kills what runs; no callback but on_closed after this, which frees the cell. on_closed may be
 * NULL. */
void cell_close(struct cell *cell, void (*on_closed)(void *user), void *user);

#endif
