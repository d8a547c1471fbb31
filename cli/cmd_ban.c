/* mesh ban: keep one key out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/table.h"
#include "cli/trust_ask.h"
#include "wire/base/mem.h"

static const struct cmd_option options[] = {
    {CMD_KEY_REMOVE, 0, "remove", "PEER", "lift the ban: it may be invited, or come, again"},
    {CMD_KEY_LIST, 0, "list", NULL, "list who is banned"},
};

static int list_bans(struct mesh_client *client)
{
    const struct wire_trust_list *list;
    if (cmd_trust_ask(client, &list) < 0) {
        return CMD_EXIT_FAILED;
    }
    if (list->bans.n == 0) {
        puts("Nobody is banned.");
        return cmd_finish_output();
    }
    struct cmd_table *table = cmd_bans_table(&list->bans);
    cmd_table_print(table);
    cmd_table_free(table);
    return cmd_finish_output();
}

static int tell(struct mesh_client *client, const struct cmd_peer *peer, bool is_removed)
{
    const struct wire_message message = {.type = WIRE_MESSAGE_BAN,
                                         .ban = {.key = peer->key, .is_removed = is_removed}};
    const struct wire_message *answer;
    return cmd_ask(client, &message, WIRE_MESSAGE_OK, &answer);
}

static int ban(struct mesh_client *client, const char *text)
{
    struct cmd_peer peer;
    const struct wire_trust_list *list;
    if (cmd_peer_ask(client, NULL, text, &peer) < 0 || tell(client, &peer, false) < 0 ||
        cmd_trust_ask(client, &list) < 0) {
        return CMD_EXIT_FAILED;
    }
    char shown[CMD_CANDIDATE_TEXT_BYTES];
    cmd_peer_text(&peer, shown);
    if (list->is_locked) {
        printf("%s is banned: the mesh has a new secret, which the other members are being told.\n",
               shown);
    } else {
        printf("%s is banned here. The mesh is open: other peers go on with it.\n", shown);
    }
    return cmd_finish_output();
}

/* Only who is banned can be meant, whether in sight or not. */
static int lift(struct mesh_client *client, const char *text)
{
    const struct wire_trust_list *list;
    if (cmd_trust_ask(client, &list) < 0) {
        return CMD_EXIT_FAILED;
    }
    /* The next question takes the place of this answer. */
    struct wire_bans bans = {.n = list->bans.n};
    struct wire_ban *items = mem_alloc_or_die(bans.n, sizeof(*items));
    if (bans.n > 0) {
        memcpy(items, list->bans.items, bans.n * sizeof(*items));
    }
    bans.items = items;
    struct cmd_peer peer;
    int r = cmd_peer_ask(client, &bans, text, &peer);
    mem_free(items);
    if (r == 0 && !peer.is_listed) {
        cmd_complain("this key is not banned: see `mesh ban --list`");
        r = -ENOENT;
    }
    if (r < 0 || tell(client, &peer, true) < 0) {
        return CMD_EXIT_FAILED;
    }
    char shown[CMD_CANDIDATE_TEXT_BYTES];
    printf("%s is not banned any more.\n", cmd_peer_text(&peer, shown));
    return cmd_finish_output();
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct cmd_trust_words how;
    struct errmsg err;
    if (cmd_trust_words_parse(&cmd_ban, argv, n_argv, &how, &err) < 0) {
        return cmd_misuse(&cmd_ban, &err);
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    int status = how.is_list          ? list_bans(client)
                 : how.remove != NULL ? lift(client, how.remove)
                                      : ban(client, how.peer);
    mesh_client_free(client);
    return status;
}

const struct cmd_command cmd_ban = {
    .name = "ban",
    .synopsis = "PEER | --remove PEER | --list",
    .summary = "keep one peer out, by its key",
    .text =
        "In a closed mesh: draws a new secret, hands it to the other members (to those that are\n"
        "away as soon as they are back), and ends the sessions with this peer; what it knows is\n"
        "worth nothing then. In an open mesh: this peer alone refuses it from now on. PEER is a\n"
        "name, an id, the beginning of one, or the whole key for one that is out of sight. Only\n"
        "the daemon's own user and root may change this.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  mesh ban lily\n"
                "  mesh ban --remove lily\n"
                "  mesh ban --list\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
