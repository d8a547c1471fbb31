/* mesh join: use an invitation. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/invitation.h"
#include "cli/secret_input.h"
#include "mesh/client/clock.h"

/* The daemon dials each of the inviter's addresses, and saves what it is handed. */
#define JOIN_TIMEOUT_MS 60000

static int parse(char *const *argv, unsigned n_argv, struct errmsg *err)
{
    unsigned n;
    int r = cmd_options_parse(NULL, 0, argv, n_argv, NULL, NULL, &n, err);
    if (r == 0 && n < n_argv) {
        errmsg_set(err, "a code is no argument, for everybody on this machine can see those: run "
                        "`mesh join` and enter it, or give it on standard input");
        r = -EINVAL;
    }
    return r;
}

static int read_code(struct cmd_invitation *ret_invitation, struct errmsg *err)
{
    char text[CMD_INVITATION_INPUT_BYTES_MAX];
    size_t n;
    int r = cmd_secret_read("Code (it is not shown): ", text, sizeof(text), &n, err);
    if (r == 0 && n == 0) {
        errmsg_set(err, "standard input is empty: give a code there, or run this in a terminal");
        r = -ENODATA;
    }
    if (r == 0) {
        r = cmd_invitation_parse(slice_of(text, n), ret_invitation, err);
    }
    explicit_bzero(text, sizeof(text));
    return r;
}

/* Whether it has expired is the inviter's to say, for clocks differ. Ours may explain a refusal. */
static void explain(const struct cmd_invitation *invitation, struct errmsg *err)
{
    uint64_t now_min = (uint64_t)mesh_client_wall_s() / 60;
    if (now_min >= invitation->expires_min) {
        uint64_t ago = now_min - invitation->expires_min;
        struct errmsg refusal = *err;
        errmsg_set(err, "%s; by this machine's clock it expired %" PRIu64 " minute%s ago",
                   refusal.text, ago, ago == 1 ? "" : "s");
    }
}

static int join(const struct cmd_globals *globals, const struct cmd_invitation *invitation)
{
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_JOIN, .join = invitation->join};
    const struct wire_message *answer;
    struct errmsg err;
    int r = cmd_question(client, &message, WIRE_MESSAGE_OK, JOIN_TIMEOUT_MS, &answer, &err);
    explicit_bzero(&message, sizeof(message));
    mesh_client_free(client);
    if (r < 0) {
        explain(invitation, &err);
        cmd_complain("%s", err.text);
        return CMD_EXIT_FAILED;
    }
    puts("This peer is a member of the closed mesh now: `mesh peers` lists the others.");
    return cmd_finish_output();
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct errmsg err;
    if (parse(argv, n_argv, &err) < 0) {
        return cmd_misuse(&cmd_join, &err);
    }
    struct cmd_invitation invitation = {0};
    if (read_code(&invitation, &err) < 0) {
        cmd_complain("%s", err.text);
        return CMD_EXIT_FAILED;
    }
    int status = join(globals, &invitation);
    explicit_bzero(&invitation, sizeof(invitation));
    return status;
}

const struct cmd_command cmd_join = {
    .name = "join",
    .synopsis = "[< FILE]",
    .summary = "become a member of a closed mesh, with a code of `mesh invite`",
    .text = "Reads the code from the terminal, without showing it, or from standard input. Case,\n"
            "spaces, dashes and line ends do not count, and a typo is told before anything else\n"
            "happens. The peer that printed the code has to be running and to be reached from\n"
            "here. Membership takes effect at once. Only the daemon's own user and root may.\n",
    .examples = "  mesh join\n"
                "  ssh hal mesh invite | mesh join\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
