/* mesh trust: which key a name belongs to. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/table.h"
#include "cli/table_internal.h"
#include "cli/trust_ask.h"
#include "wire/base/text.h"

static const struct cmd_option options[] = {
    {CMD_KEY_REMOVE, 0, "remove", "NAME", "any key may use the name again"},
    {CMD_KEY_LIST, 0, "list", NULL, "list the pinned names, and how the mesh stands"},
    {CMD_KEY_JSON, 0, "json", NULL, "with --list: print a JSON object, bans included"},
};

static int parse(char *const *argv, unsigned n_argv, struct cmd_trust_words *ret_how,
                 struct errmsg *err)
{
    struct cmd_trust_words how;
    int r = cmd_trust_words_parse(&cmd_trust, argv, n_argv, &how, err);
    if (r < 0) {
        return r;
    }
    if (how.remove != NULL && (how.remove[0] == '\0' || strlen(how.remove) > WIRE_NAME_BYTES_MAX)) {
        errmsg_set(err, "--remove: give a name of 1 to %u bytes", WIRE_NAME_BYTES_MAX);
        return -EINVAL;
    }
    *ret_how = how;
    return 0;
}

/* --- printing ----------------------------------------------------------------------------------
 */

static const struct cmd_column pin_columns[] = {
    {"NAME", "name", false}, {"ID", "id", false}, {"KEY", "key", false}};

static struct cmd_table *pins_table(const struct wire_pins *pins)
{
    struct cmd_table *table = cmd_table_new(pin_columns, ARRAY_LEN(pin_columns));
    for (uint32_t i = 0; i < pins->n; i++) {
        char id[MESH_CLIENT_ID_BYTES];
        char key[MESH_CLIENT_KEY_BYTES];
        const struct cmd_value values[ARRAY_LEN(pin_columns)] = {
            cmd_text(pins->items[i].name),
            cmd_text(slice_str(mesh_client_id_text(&pins->items[i].key, id))),
            cmd_text(slice_str(mesh_client_key_text(&pins->items[i].key, key))),
        };
        cmd_table_add(table, values);
    }
    return table;
}

static void print_json(const struct wire_trust_list *list)
{
    struct cmd_table *pins = pins_table(&list->pins);
    struct cmd_table *bans = cmd_bans_table(&list->bans);
    json_t *all =
        json_pack("{s:b, s:I, s:I, s:o, s:o}", "locked", (int)list->is_locked, "generation",
                  (json_int_t)list->generation, "members", (json_int_t)list->n_members, "pins",
                  cmd_table_json(pins), "bans", cmd_table_json(bans));
    ensure(all != NULL);
    IGNORE(json_dumpf(all, stdout, JSON_ENSURE_ASCII | JSON_INDENT(2)));
    putchar('\n');
    json_decref(all);
    cmd_table_free(bans);
    cmd_table_free(pins);
}

static void print(const struct wire_trust_list *list)
{
    if (list->is_locked) {
        printf("The mesh is closed: %" PRIu32 " member%s, secret number %" PRIu64 ".\n",
               list->n_members, list->n_members == 1 ? "" : "s", list->generation);
    } else {
        puts("The mesh is open.");
    }
    if (list->bans.n > 0) {
        printf("%" PRIu32 " banned: see `mesh ban --list`.\n", list->bans.n);
    }
    if (list->pins.n == 0) {
        puts("No name is pinned.");
        return;
    }
    struct cmd_table *table = pins_table(&list->pins);
    cmd_table_print(table);
    cmd_table_free(table);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static int list_pins(struct mesh_client *client, bool is_json)
{
    const struct wire_trust_list *list;
    if (cmd_trust_ask(client, &list) < 0) {
        return CMD_EXIT_FAILED;
    }
    if (is_json) {
        print_json(list);
    } else {
        print(list);
    }
    return cmd_finish_output();
}

static int remove_pin(struct mesh_client *client, const char *name)
{
    const struct wire_message message = {.type = WIRE_MESSAGE_TRUST,
                                         .trust = {.name = slice_str(name), .is_removed = true}};
    const struct wire_message *answer;
    return cmd_ask(client, &message, WIRE_MESSAGE_OK, &answer) == 0 ? CMD_EXIT_OK : CMD_EXIT_FAILED;
}

static int pin(struct mesh_client *client, const char *text)
{
    struct cmd_peer peer;
    if (cmd_peer_ask(client, NULL, text, &peer) < 0) {
        return CMD_EXIT_FAILED;
    }
    if (peer.n_name == 0) {
        cmd_complain("the peer with this key is not in sight, so its name is not known: run this "
                     "when `mesh peers` lists it");
        return CMD_EXIT_FAILED;
    }
    const struct wire_message message = {
        .type = WIRE_MESSAGE_TRUST,
        .trust = {.name = slice_of(peer.name, peer.n_name), .key = peer.key}};
    const struct wire_message *answer;
    if (cmd_ask(client, &message, WIRE_MESSAGE_OK, &answer) < 0) {
        return CMD_EXIT_FAILED;
    }
    char name[CMD_CANDIDATE_TEXT_BYTES];
    char id[MESH_CLIENT_ID_BYTES];
    char key[MESH_CLIENT_KEY_BYTES];
    printf("Only %s may be called %s now. Its whole key, to compare there:\n%s\n",
           mesh_client_id_text(&peer.key, id),
           text_printable(slice_of(peer.name, peer.n_name), name, sizeof(name)),
           mesh_client_key_text(&peer.key, key));
    return cmd_finish_output();
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct cmd_trust_words how;
    struct errmsg err;
    if (parse(argv, n_argv, &how, &err) < 0) {
        return cmd_misuse(&cmd_trust, &err);
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    int status = how.is_list          ? list_pins(client, how.is_json)
                 : how.remove != NULL ? remove_pin(client, how.remove)
                                      : pin(client, how.peer);
    mesh_client_free(client);
    return status;
}

const struct cmd_command cmd_trust = {
    .name = "trust",
    .synopsis = "PEER | --remove NAME | --list [--json]",
    .summary = "pin a peer's name to its key, here",
    .text =
        "Names identify nobody: any peer may call itself anything. From now on a peer that has\n"
        "the name of this one and another key is a conflict: it is listed as such, gets no tasks\n"
        "from here and none are taken from it. PEER is a name, an id, or the beginning of one.\n"
        "Only the daemon's own user and root may change this.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  mesh trust hal\n"
                "  mesh trust --remove hal      # hal has a new disk, and with it a new key\n"
                "  mesh trust --list\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
