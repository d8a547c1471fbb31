/* What tasks printed, as files: GNU parallel's --results. NAME alone is a tree NAME/1/VALUE/2/VALUE
 * with stdout, stderr and seq in it; with a replacement string it is a file for each task (and .err
 * and .seq), or a folder where it ends in a slash; ending in .csv, .tsv or .json it is one table.
 *
 * Files are written beside their place and renamed. A value becomes one name: "/" is "\_", a
 * backslash "\\", a tab "\t", and ".", ".." and nothing begin with a backslash, so that no value
 * leads out of the tree. */
#ifndef MESH_CLI_RESULTS_TREE_H
#define MESH_CLI_RESULTS_TREE_H

#include "cli/file_write.h"
#include "cli/replace.h"
#include "wire/message.h"

struct cmd_results;

struct cmd_results_entry {    /* all borrowed */
    struct cmd_values values; /* and the task's number */
    struct slice command;
    const struct wire_done *done;
    struct cmd_content streams[2]; /* standard output and standard error */
};

/* What --results says. 0; -EINVAL with err: with no name at all the tree would stand in "/". */
int cmd_results_check_name(const char *name, struct errmsg *err) MUST_CHECK;

/* `name` is borrowed as long as the results live; n_values as each entry will have. 0; -errno with
 * err. */
int cmd_results_new(const char *name, unsigned n_values, struct cmd_results **ret_results,
                    struct errmsg *err) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct cmd_results *cmd_results_free(struct cmd_results *results);

/* 0; -EINTR; -errno with err: it is not written, or only part of it. */
int cmd_results_write(struct cmd_results *results, const struct cmd_results_entry *entry,
                      struct errmsg *err) MUST_CHECK;

#endif
