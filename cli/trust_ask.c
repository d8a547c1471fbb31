#include "cli/trust_ask.h"

#include <errno.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/table.h"
#include "wire/base/mem.h"
#include "wire/key.h"

/* --- words -------------------------------------------------------------------------------------
 */

static int on_option(void *to, int key, const char *value, struct errmsg *err)
{
    struct cmd_trust_words *words = to;
    words->remove = key == CMD_KEY_REMOVE ? value : words->remove;
    words->is_list = words->is_list || key == CMD_KEY_LIST;
    words->is_json = words->is_json || key == CMD_KEY_JSON;
    return 0;
}

int cmd_trust_words_parse(const struct cmd_command *command, char *const *argv, unsigned n_argv,
                          struct cmd_trust_words *ret_words, struct errmsg *err)
{
    struct cmd_trust_words words = {0};
    unsigned n;
    int r = cmd_options_parse(command->options, command->n_options, argv, n_argv, on_option, &words,
                              &n, err);
    if (r < 0) {
        return r;
    }
    words.peer = n < n_argv ? argv[n] : NULL;
    if ((words.peer != NULL) + (words.remove != NULL) + words.is_list != 1 || n_argv - n > 1) {
        errmsg_set(err, "give one peer, or --remove %s, or --list",
                   command->options[CMD_KEY_REMOVE - 1].arg);
        return -EINVAL;
    }
    if (words.is_json && !words.is_list) {
        errmsg_set(err, "--json goes with --list");
        return -EINVAL;
    }
    *ret_words = words;
    return 0;
}

/* --- questions ---------------------------------------------------------------------------------
 */

/* The keys to choose from, and what they are called by those in sight. The same key may be in sight
 * under one name only; a ban without a peer in sight has none. */
static uint32_t collect(const struct wire_peers_list *peers, const struct wire_bans *among,
                        struct cmd_candidate *to)
{
    if (among == NULL) {
        for (uint32_t i = 0; i < peers->n; i++) {
            to[i] =
                (struct cmd_candidate){.key = peers->items[i].key, .name = peers->items[i].name};
        }
        return peers->n;
    }
    for (uint32_t i = 0; i < among->n; i++) {
        to[i] = (struct cmd_candidate){.key = among->items[i].key};
        for (uint32_t j = 0; j < peers->n; j++) {
            if (wire_key_eq(&peers->items[j].key, &to[i].key)) {
                to[i].name = peers->items[j].name;
            }
        }
    }
    return among->n;
}

int cmd_peer_ask(struct mesh_client *client, const struct wire_bans *among, const char *text,
                 struct cmd_peer *ret_peer)
{
    const struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    const struct wire_message *answer;
    int r = cmd_ask(client, &query, WIRE_MESSAGE_PEERS_LIST, &answer);
    if (r < 0) {
        return r;
    }
    uint32_t n_max = among != NULL ? among->n : answer->peers_list.n;
    struct cmd_candidate *candidates = mem_alloc_or_die(n_max, sizeof(*candidates));
    uint32_t n = collect(&answer->peers_list, among, candidates);
    struct cmd_peer peer = {.n_name = 0};
    uint32_t at;
    struct errmsg err;
    r = cmd_peer_find(candidates, n, text, &peer.key, &at, &err);
    if (r < 0) {
        cmd_complain("%s", err.text);
    } else {
        peer.is_listed = at < n;
        if (at < n && candidates[at].name.n > 0 && candidates[at].name.n <= WIRE_NAME_BYTES_MAX) {
            peer.n_name = candidates[at].name.n;
            memcpy(peer.name, candidates[at].name.p, peer.n_name);
        }
        *ret_peer = peer;
    }
    mem_free(candidates);
    return r;
}

const char *cmd_peer_text(const struct cmd_peer *peer, char to[static CMD_CANDIDATE_TEXT_BYTES])
{
    const struct cmd_candidate candidate = {.key = peer->key,
                                            .name = slice_of(peer->name, peer->n_name)};
    return cmd_candidate_text(&candidate, to);
}

int cmd_trust_ask(struct mesh_client *client, const struct wire_trust_list **ret_list)
{
    const struct wire_message query = {.type = WIRE_MESSAGE_TRUST_QUERY};
    const struct wire_message *answer;
    int r = cmd_ask(client, &query, WIRE_MESSAGE_TRUST_LIST, &answer);
    if (r == 0) {
        *ret_list = &answer->trust_list;
    }
    return r;
}

static const struct cmd_column ban_columns[] = {{"ID", "id", false}, {"KEY", "key", false}};

struct cmd_table *cmd_bans_table(const struct wire_bans *bans)
{
    struct cmd_table *table = cmd_table_new(ban_columns, ARRAY_LEN(ban_columns));
    for (uint32_t i = 0; i < bans->n; i++) {
        char id[MESH_CLIENT_ID_BYTES];
        char key[MESH_CLIENT_KEY_BYTES];
        const struct cmd_value values[ARRAY_LEN(ban_columns)] = {
            cmd_text(slice_str(mesh_client_id_text(&bans->items[i].key, id))),
            cmd_text(slice_str(mesh_client_key_text(&bans->items[i].key, key))),
        };
        cmd_table_add(table, values);
    }
    return table;
}
