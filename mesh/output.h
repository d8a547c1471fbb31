/* One output stream of a task: a pipe whose read end the daemon reads on its loop.
 *
 * Collected: up to OUTPUT_MEMORY_BYTES_MAX stay in memory; what is longer goes to an unlinked file
 * in the spool directory, in order, written on libuv's threads while reading waits. Streamed: bytes
 * are handed up as they come, at most a window ahead of what was acknowledged; then reading stops
 * and the task blocks. A byte is never lost without on_stop saying so.
 *
 * The object belongs to the loop's thread; output_new() to output_close()'s callback. */
#ifndef MESH_OUTPUT_H
#define MESH_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"
#include "wire/limits.h"

#define OUTPUT_MEMORY_BYTES_MAX WIRE_INLINE_BYTES_MAX

enum output_stop {
    OUTPUT_STOP_LIMIT, /* the task wrote more than bytes_max; the bytes up to there are kept */
    OUTPUT_STOP_DISK,  /* the spool could not be written: full, or broken */
};

struct disk_share;
struct output;

struct output_config {
    uv_loop_t *loop;
    const char *spool_dir;   /* borrowed until the close callback */
    struct disk_share *disk; /* referred to; NULL: no limit but the disk */
    uint64_t bytes_max;
    bool is_streamed;
    void *user;
    /* Streamed only. The bytes are borrowed. */
    void (*on_data)(void *user, struct output *output, uint64_t offset, struct slice bytes);
    /* At most once: the task must be killed, nothing more is read. */
    void (*on_stop)(void *user, struct output *output, enum output_stop why,
                    const struct errmsg *err);
    /* See output_drain(). */
    void (*on_drained)(void *user, struct output *output);
};

struct output_result {
    uint64_t bytes;      /* of all the stream */
    struct slice memory; /* all of it when spool_fd is -1; valid until output_close() */
    int spool_fd;        /* else a file of that many bytes; position it before reading; borrowed */
    uint64_t disk_bytes; /* that it has of the share */
};

/* *ret_write_fd, close-on-exec, becomes the caller's, who hands it to the task and closes it. No
 * callback before this returns. 0 or -errno. */
int output_new(const struct output_config *config, struct output **ret_output, int *ret_write_fd,
               struct errmsg *reterr) MUST_CHECK;

/* Streamed: everything before `offset` was consumed. Beyond what was handed up: ignored. May call
 * back before it returns. */
void output_ack(struct output *output, uint64_t offset);

/* All writers are gone: takes what is still in the pipe. Returns whether that is done already;
 * else on_drained follows, after writes to the spool or acknowledgements. May call on_data and
 * on_stop before it returns. */
bool output_drain(struct output *output) MUST_CHECK;

/* The writers live on, but what they write from now on is another's: takes what is in the pipe at
 * this moment. Returns whether that is done already, else on_drained follows. Collected only. */
bool output_cut(struct output *output) MUST_CHECK;
/* After a cut that is done: begins anew, with nothing read. What output_get() gave is gone. */
void output_next(struct output *output);

/* After it is drained or cut; for a streamed output only `bytes` is set. */
void output_get(const struct output *output, struct output_result *ret_result);
/* The spool file becomes the caller's, with what it has of the share, to be given
 * back when it is closed. -1 when there is none. */
int output_take_spool(struct output *output);

/* No callback but on_closed after this, which frees it. */
void output_close(struct output *output, void (*on_closed)(void *user), void *user);

#endif
