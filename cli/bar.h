/* The progress bar: one line at the bottom of the terminal, or a line for each tenth of the work
 * where standard error is none. */
#ifndef MESH_CLI_BAR_H
#define MESH_CLI_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct cmd_bar {
    bool is_on;
    bool is_terminal;
    bool is_shown;
    int64_t start_ms;
    int64_t drawn_ms;
    uint64_t tenths; /* printed so far, where it is no terminal */
};

struct cmd_progress {
    uint64_t n_done;
    uint64_t n_failed;
    uint64_t n_known; /* all tasks, or those that are known by now */
    bool is_total;    /* n_known is all */
};

void cmd_bar_init(struct cmd_bar *bar, bool is_on);
/* Draws if the last drawing is old enough; `is_last`: draws in any case and ends the line. */
void cmd_bar_update(struct cmd_bar *bar, const struct cmd_progress *progress, bool is_last);
/* Takes it off the terminal before something else is written there. */
void cmd_bar_hide(struct cmd_bar *bar);
/* When to update at the latest, for poll(): -1 for never. */
int cmd_bar_timeout_ms(const struct cmd_bar *bar);

/* The text of the line, at most n_columns wide. Pure; for tests. */
void cmd_bar_format(const struct cmd_progress *progress, int64_t elapsed_ms, unsigned n_columns,
                    char *to, unsigned n_to);

#endif
