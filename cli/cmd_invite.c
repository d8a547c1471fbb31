/* mesh invite: a code that lets one more peer in. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/invitation.h"
#include "mesh/client/clock.h"
#include "wire/base/text.h"

#define VALID_S_DEFAULT 600u
#define VALID_S_MAX     604800u /* a week: whoever finds the code in that time comes in with it */

enum { KEY_VALID = 1 };

static const struct cmd_option options[] = {
    {KEY_VALID, 0, "valid", "MINUTES",
     "the code is good for so long, 10 by default, 10080 at most; 30s and 2h are understood"},
};

/* Minutes, unless a unit stands behind the number. */
static int parse_valid(const char *value, uint32_t *ret_s, struct errmsg *err)
{
    char with_unit[32];
    size_t n = strlen(value);
    bool is_plain =
        n > 0 && n < sizeof(with_unit) - 1 && value[n - 1] >= '0' && value[n - 1] <= '9';
    snprintf(with_unit, sizeof(with_unit), "%sm", is_plain ? value : "");
    uint64_t ns;
    int r = text_parse_duration(is_plain ? with_unit : value, &ns);
    if (r == -EINVAL) {
        char shown[64];
        errmsg_set(err, "--valid: '%s' is not a time: give minutes, or like 30s, 10m or 2h",
                   text_printable(slice_str(value), shown, sizeof(shown)));
        return -EINVAL;
    }
    uint64_t s = r == 0 ? ns / UINT64_C(1000000000) : 0;
    if (s == 0 || s > VALID_S_MAX) {
        errmsg_set(err, "--valid: out of range, give 1 to %u minutes", VALID_S_MAX / 60);
        return -EINVAL;
    }
    *ret_s = (uint32_t)s;
    return 0;
}

static int on_option(void *to, int key, const char *value, struct errmsg *err)
{
    ensure(key == KEY_VALID);
    return parse_valid(value, to, err);
}

static const char *valid_text(uint32_t s, char *to, size_t n_to)
{
    if (s % 60 == 0) {
        snprintf(to, n_to, "%u minute%s", s / 60, s == 60 ? "" : "s");
    } else {
        snprintf(to, n_to, "%u second%s", s, s == 1 ? "" : "s");
    }
    return to;
}

/* The code alone on standard output, so that it can be piped; what to do with it beside it. */
static int print(const struct wire_invitation *invitation)
{
    char code[WIRE_INVITE_TEXT_BYTES];
    char valid[32];
    struct errmsg err;
    if (cmd_invitation_format(invitation, (uint64_t)mesh_client_wall_s(), code, &err) < 0) {
        cmd_complain("%s", err.text);
        return CMD_EXIT_FAILED;
    }
    puts(code);
    explicit_bzero(code, sizeof(code));
    int status = cmd_finish_output();
    if (status == CMD_EXIT_OK) {
        fprintf(stderr,
                "Run `mesh join` on the machine that shall come in, and give it this code.\n"
                "It is good for one machine and for %s; keep it from others until then.\n",
                valid_text(invitation->valid_s, valid, sizeof(valid)));
    }
    return status;
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    uint32_t valid_s = VALID_S_DEFAULT;
    struct errmsg err;
    unsigned n;
    int r =
        cmd_options_parse(options, ARRAY_LEN(options), argv, n_argv, on_option, &valid_s, &n, &err);
    if (r == 0 && n < n_argv) {
        char shown[64];
        errmsg_set(&err, "'%s' is too much: it takes options only",
                   text_printable(slice_str(argv[n]), shown, sizeof(shown)));
        r = -EINVAL;
    }
    if (r < 0) {
        return cmd_misuse(&cmd_invite, &err);
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    const struct wire_message invite = {.type = WIRE_MESSAGE_INVITE, .invite.valid_s = valid_s};
    const struct wire_message *answer;
    int status = CMD_EXIT_FAILED;
    if (cmd_ask(client, &invite, WIRE_MESSAGE_INVITATION, &answer) == 0) {
        status = print(&answer->invitation);
    }
    mesh_client_free(client);
    return status;
}

const struct cmd_command cmd_invite = {
    .name = "invite",
    .synopsis = "[--valid MINUTES]",
    .summary = "let one more peer into the closed mesh: prints a code for `mesh join`",
    .text =
        "Prints a code on standard output. It holds a one-time token, this peer's key and\n"
        "addresses, and a checksum that finds typos; not the secret of the mesh. Whoever has\n"
        "it can come in until it is used or expires. It is gone when this daemon is restarted.\n"
        "Only the daemon's own user and root may.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  mesh invite\n"
                "  mesh invite --valid 2 | ssh lily mesh join\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
