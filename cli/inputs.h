/* Input sources, as GNU parallel has them: ::: words, :::: files and -a files, and :::+ / ::::+ for
 * sources linked to the one before. Combinations come in parallel's order, the last source changing
 * fastest; a linked source moves with the one before, and the shortest ends the group.
 *
 * The sources of the first group are read as they are needed, so that a list of any length, or a
 * pipe, costs no memory; later groups are read whole at open. */
#ifndef MESH_CLI_INPUTS_H
#define MESH_CLI_INPUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"

/* What the later groups may hold in memory. */
#define CMD_INPUTS_BYTES_MAX (1u << 30)
/* Sources of one job. */
#define CMD_INPUTS_MAX 64u

struct cmd_inputs;

/* `separator` ends a value in a file: '\n', or NUL for -0. */
struct cmd_inputs *cmd_inputs_new(char separator) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct cmd_inputs *cmd_inputs_free(struct cmd_inputs *inputs);

/* Adds a source of words, which are borrowed as long as the inputs live. -EINVAL: too many sources,
 * or linked to nothing. */
int cmd_inputs_add_words(struct cmd_inputs *inputs, char *const *words, unsigned n, bool is_linked,
                         struct errmsg *err) MUST_CHECK;
/* Adds a source read from a file, "-" being standard input. -ENOENT and the like; -EINVAL as above,
 * and for a directory. */
int cmd_inputs_add_file(struct cmd_inputs *inputs, const char *path, bool is_linked,
                        struct errmsg *err) MUST_CHECK;

/* Reads the later groups, and through regular files of the first one to count and check them. Once,
 * after the last add. 0; what cmd_inputs_next() returns for a bad line. */
int cmd_inputs_open(struct cmd_inputs *inputs, struct errmsg *err) MUST_CHECK;

unsigned cmd_inputs_n_sources(const struct cmd_inputs *inputs);
/* How many combinations there are in all; false while that cannot be known, for a pipe. */
bool cmd_inputs_total(const struct cmd_inputs *inputs, uint64_t *ret_total);

/* The next combination: one value for each source, borrowed until the next call.
 * 0; -ENODATA: there is none; -EAGAIN: a pipe has nothing now, see cmd_inputs_wait_fd();
 * -E2BIG: a line is longer than one argument may be; -EINVAL: it holds a NUL byte; -errno. err
 * names the file and the line. */
int cmd_inputs_next(struct cmd_inputs *inputs, const struct slice **ret_values,
                    struct errmsg *err) MUST_CHECK;
/* The same, waiting for a pipe. */
int cmd_inputs_next_wait(struct cmd_inputs *inputs, const struct slice **ret_values,
                         struct errmsg *err) MUST_CHECK;
/* After -EAGAIN: the descriptor to wait for. */
int cmd_inputs_wait_fd(const struct cmd_inputs *inputs);

#endif
