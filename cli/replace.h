/* Replacement strings, as GNU parallel has them: {} {.} {/} {//} {/.} {#} and {N}, {N.}, {N/},
 * {N//}, {N/.} with N counting input sources from 1, or from the end when negative. Pure.
 *
 * A template is compiled once from the command's words and expanded for each task. What looks
 * like no replacement string stays as it is. */
#ifndef MESH_CLI_REPLACE_H
#define MESH_CLI_REPLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/message.h"

enum cmd_form {
    CMD_FORM_ARGV,  /* each word is an argument; where {} joins several sources it ends the word */
    CMD_FORM_SHELL, /* the words, joined by spaces, are a line for sh -c; values are quoted */
    CMD_FORM_LINES, /* no words: the values, joined by spaces, are themselves the line */
};

struct cmd_replace;

/* Whether any of the words holds a replacement string. */
bool cmd_replace_is_in(char *const *words, unsigned n_words);

/* Compiles the words, which are copied. When they hold no replacement string and `has_inputs`, {}
 * is appended. On success *ret_replace is owned by the caller.
 * 0; -EINVAL: a string of parallel's that has no meaning here; err says which. */
int cmd_replace_new(char *const *words, unsigned n_words, enum cmd_form form, bool has_inputs,
                    struct cmd_replace **ret_replace, struct errmsg *err) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct cmd_replace *cmd_replace_free(struct cmd_replace *replace);

/* The values of one task: one for each input source. */
struct cmd_values {
    const struct slice *items;
    unsigned n;
    uint64_t sequence; /* {#}: the task's number */
};

/* Expands to the argv of one task, borrowed until the next call on this template.
 * 0; -E2BIG (a word or all of them exceed what the kernel takes; err names the limit); -EINVAL (the
 * command has become empty). */
int cmd_replace_expand(struct cmd_replace *replace, const struct cmd_values *values,
                       struct wire_slices *ret_argv, struct errmsg *err) MUST_CHECK;

/* The same of any argv; `is_shell`: of a task whose line sh -c is given. */
void cmd_argv_line(struct wire_slices argv, bool is_shell, struct buf *to);
/* Appends the argv as one line that a shell would read back; the line itself for the shell forms.
 */
void cmd_replace_line(const struct cmd_replace *replace, struct wire_slices argv, struct buf *to);

#endif
