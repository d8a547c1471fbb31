/* Option tables: one description for parsing, for --help and for the test that compares the man
 * pages with both. Options come before the first word that is none; "--" ends them too. */
#ifndef MESH_CLI_OPTIONS_H
#define MESH_CLI_OPTIONS_H

#include <stdio.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

struct cmd_option {
    int key;               /* what the handler is told */
    char short_name;       /* 0: none */
    const char *long_name; /* without dashes; NULL: none */
    const char *arg;       /* how its argument is called; NULL: it has none */
    const char *help;
};

/* Called for each option; value is NULL when it has no argument. 0 or -errno with err filled. */
typedef int cmd_option_fn(void *to, int key, const char *value, struct errmsg *err);

/* Reads the options at the front of argv. 0, and *ret_n: how many words they took; -EINVAL, and err
 * names the option and what is near it. */
int cmd_options_parse(const struct cmd_option *options, unsigned n_options, char *const *argv,
                      unsigned n_argv, cmd_option_fn *on_option, void *to, unsigned *ret_n,
                      struct errmsg *err) MUST_CHECK;

/* One line for each, aligned. */
void cmd_options_print(const struct cmd_option *options, unsigned n_options, FILE *to);

/* The word of the list that `word` was most likely meant to be, or NULL. */
const char *cmd_nearest(const char *word, const char *const *words, unsigned n_words);

#endif
