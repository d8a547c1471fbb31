/* What every subcommand shares: how it is found, called, explained, and how it reports. */
#ifndef MESH_CLI_CMD_H
#define MESH_CLI_CMD_H

#include <stdbool.h>

#include "cli/exit.h"
#include "cli/options.h"
#include "mesh/client/client.h"
#include "wire/base/errmsg.h"

struct cmd_globals {
    const char *socket_path; /* --socket, or NULL */
};

struct cmd_command {
    const char *name;
    const char *synopsis; /* behind "mesh NAME " */
    const char *summary;  /* one line, for the list of commands */
    const char *text;     /* what it does, for its help */
    const struct cmd_option *options;
    unsigned n_options;
    const char *examples; /* lines ready to print; the end of its help */
    int usage_exit;       /* exit status of wrong use */
    /* argv: the words behind the command's name. Returns the exit status. */
    int (*run)(const struct cmd_globals *globals, char *const *argv, unsigned n_argv);
};

extern const struct cmd_command cmd_peers, cmd_submit, cmd_jobs, cmd_cancel, cmd_stats, cmd_cores,
    cmd_wait, cmd_results, cmd_forget, cmd_lock, cmd_invite, cmd_join, cmd_unlock, cmd_trust,
    cmd_ban, cmd_queue;

/* The whole of `mesh`: returns the exit status. */
int cmd_main(int argc, char **argv);

/* "mesh: <text>" on standard error, in one write. */
void cmd_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for wrong use of a command, with a pointer to its help; returns its usage_exit. */
int cmd_misuse(const struct cmd_command *command, const struct errmsg *err);

/* For commands that take options only, --json among them: parses them, and complains about any
 * word that is left. 0 or -EINVAL (said already). */
struct cmd_simple_options {
    bool is_json;
    bool is_watch;
};
enum cmd_simple_key { CMD_SIMPLE_JSON = 1, CMD_SIMPLE_WATCH };
int cmd_simple_parse(const struct cmd_command *command, char *const *argv, unsigned n_argv,
                     struct cmd_simple_options *ret_options) MUST_CHECK;

/* Opens the daemon; complains on failure. 0 or -errno. */
int cmd_open(const struct cmd_globals *globals, bool may_start,
             struct mesh_client **ret_client) MUST_CHECK;
/* Sends a question and waits for a message of the type. An error reply, or the daemon's end, is
 * complained about. *ret_answer is borrowed until the client is used again. 0 or -errno. */
int cmd_ask(struct mesh_client *client, const struct wire_message *question,
            enum wire_message_type type, const struct wire_message **ret_answer) MUST_CHECK;
/* The same without a complaint: err has the line. Waits so long for each message. */
int cmd_question(struct mesh_client *client, const struct wire_message *question,
                 enum wire_message_type type, int timeout_ms,
                 const struct wire_message **ret_answer, struct errmsg *err) MUST_CHECK;
/* For commands without options and arguments that ask for something to be done: parses, asks, and
 * prints `done` once it is. Returns the exit status. */
int cmd_run_plain(const struct cmd_command *command, const struct cmd_globals *globals,
                  char *const *argv, unsigned n_argv, enum wire_message_type question,
                  const char *done);
/* Flushes standard output; complains if it could not be written. Returns CMD_EXIT_OK or _FAILED. */
int cmd_finish_output(void);

#endif
