/* What tasks printed, on its way to ours: in whole pieces, standard output and standard error
 * apart and byte for byte, in the order of the inputs where that was asked for.
 *
 * What has to wait for an earlier task is kept in memory up to a limit and in an unlinked temporary
 * file beyond it. */
#ifndef MESH_CLI_OUTPUT_H
#define MESH_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/bar.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"

struct cmd_output;

struct cmd_output_options {
    bool is_keep_order;
    bool is_tagged;
    size_t memory_bytes_max; /* 0: the default, 16 MiB; smaller ones are for tests */
    struct cmd_bar *bar;     /* borrowed; is hidden before anything is written */
};

struct cmd_output *cmd_output_new(const struct cmd_output_options *options) MUST_CHECK;
/* NULL is allowed. What still waits is dropped. Returns NULL. */
struct cmd_output *cmd_output_free(struct cmd_output *output);

/* One stream of a task: `inlined`, or all of what `fd` holds from its start on. */
struct cmd_piece {
    struct slice inlined;
    int fd; /* taken over and closed; -1: none */
};

/* All that task `sequence` (1, 2, ...) printed: each comes once. Writes it, or keeps it until all
 * before it came. `tag` begins each line where lines are tagged.
 * 0; -EPIPE: nobody reads our standard output any more; -EINTR: a signal asks to stop; -errno with
 * err (a full disk). */
int cmd_output_piece(struct cmd_output *output, uint64_t sequence, struct slice tag,
                     struct cmd_piece out, struct cmd_piece err_piece,
                     struct errmsg *err) MUST_CHECK;

/* Some of what a streamed task printed, at once; `is_err`: on standard error. Errors as above. */
int cmd_output_stream(struct cmd_output *output, bool is_err, struct slice bytes,
                      struct errmsg *err) MUST_CHECK;
/* Lines, each behind the tag where lines are tagged. */
int cmd_output_lines(struct cmd_output *output, bool is_err, struct slice tag, struct slice bytes,
                     struct errmsg *err) MUST_CHECK;

/* Tasks whose output waits for an earlier one. */
size_t cmd_output_n_held(const struct cmd_output *output);

#endif
