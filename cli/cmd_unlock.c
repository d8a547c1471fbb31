/* mesh unlock: leave the closed mesh. */
#include "cli/cmd.h"

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    return cmd_run_plain(&cmd_unlock, globals, argv, n_argv, WIRE_MESSAGE_UNLOCK,
                         "This peer is in the open mesh again: any peer on its link may use it.\n"
                         "The other members stay in the closed one; `mesh unlock` there, too, or "
                         "`mesh ban` this\npeer there if it shall not come back.\n");
}

const struct cmd_command cmd_unlock = {
    .name = "unlock",
    .synopsis = "",
    .summary = "leave the closed mesh, into the open one",
    .text = "Forgets the secret of the closed mesh, its members and its bans. The other members\n"
            "stay in it: run this on each to end it. Only the daemon's own user and root may.\n",
    .examples = "  mesh unlock\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
