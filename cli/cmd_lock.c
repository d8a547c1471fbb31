/* mesh lock: close the mesh. */
#include "cli/cmd.h"

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    return cmd_run_plain(&cmd_lock, globals, argv, n_argv, WIRE_MESSAGE_LOCK,
                         "This peer is alone in a closed mesh now.\n"
                         "To let another one in: `mesh invite` here, then `mesh join` there.\n");
}

const struct cmd_command cmd_lock = {
    .name = "lock",
    .synopsis = "",
    .summary = "close the mesh: only peers that were invited take part",
    .text = "Draws a secret that only members of the mesh have, and ends the sessions with all\n"
            "others: this peer is its only member at first. Members let more in, each with\n"
            "`mesh invite`. Only the daemon's own user and root may.\n",
    .examples =
        "  mesh lock\n"
        "  mesh invite         # prints a code: enter it on another machine, in `mesh join`\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
