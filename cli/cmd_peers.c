/* mesh peers: who is here. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/peers_look.h"
#include "cli/table.h"

static const struct cmd_option options[] = {
    {CMD_SIMPLE_JSON, 0, "json", NULL, "print a JSON array, the local peer first"},
    {CMD_SIMPLE_WATCH, 0, "watch", NULL, "print the list again at each change, until Ctrl-C"},
};

#define N_COLUMNS 13
/* Why a peer is refused or a conflict stands in the table only where one is: the last heading is
 * set then. */
static const struct cmd_column columns[N_COLUMNS] = {
    {"NAME", "name", false}, {"CORES", "cores", true},  {"FREE", "free", true},
    {"ARCH", "arch", false}, {"STATE", "state", false}, {"RTT", "rtt_ms", true},
    {"ID", "id", false},     {NULL, "key", false},      {NULL, "os", false},
    {NULL, "local", false},  {NULL, "address", false},  {NULL, "version", false},
    {NULL, "detail", false},
};

/* The columns that are printed: a table of thousands of rows does not hold what nobody sees. */
struct picked {
    struct cmd_column columns[N_COLUMNS];
    unsigned from[N_COLUMNS];
    unsigned n;
};

static void add_row(struct cmd_table *table, const struct picked *picked,
                    const struct wire_peer_row *row)
{
    char id[MESH_CLIENT_ID_BYTES];
    char key[MESH_CLIENT_KEY_BYTES];
    char rtt[32];
    double rtt_ms = (double)row->rtt_us / 1000.0;
    snprintf(rtt, sizeof(rtt), rtt_ms < 100 ? "%.1fms" : "%.0fms", rtt_ms);
    const struct cmd_value values[] = {
        cmd_text(row->name),
        cmd_uint(row->cores),
        cmd_uint(row->free),
        cmd_text(row->arch),
        cmd_text(slice_str(wire_peer_state_text(row->state))),
        row->is_local  ? cmd_null("local")
        : row->has_rtt ? cmd_real(rtt_ms, rtt)
                       : cmd_null("-"),
        cmd_text(slice_str(mesh_client_id_text(&row->key, id))),
        cmd_text(slice_str(mesh_client_key_text(&row->key, key))),
        cmd_text(row->os),
        cmd_bool(row->is_local),
        cmd_text(row->address),
        cmd_text(row->version),
        cmd_text(row->detail),
    };
    static_assert(ARRAY_LEN(values) == ARRAY_LEN(columns), "a value for each column");
    struct cmd_value shown[N_COLUMNS];
    for (unsigned i = 0; i < picked->n; i++) {
        shown[i] = values[picked->from[i]];
    }
    cmd_table_add(table, shown);
}

static void pick_columns(const struct wire_peers_list *list, bool is_json,
                         struct picked *ret_picked)
{
    struct picked picked = {.n = 0};
    bool has_detail = false;
    for (uint32_t i = 0; i < list->n; i++) {
        has_detail = has_detail || list->items[i].detail.n > 0;
    }
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        struct cmd_column column = columns[i];
        if (i == N_COLUMNS - 1 && has_detail) {
            column.heading = "DETAIL";
        }
        if (is_json || column.heading != NULL) {
            picked.columns[picked.n] = column;
            picked.from[picked.n++] = i;
        }
    }
    *ret_picked = picked;
}

static void print_list(const struct wire_peers_list *list, const struct cmd_simple_options *how)
{
    struct picked picked;
    pick_columns(list, how->is_json, &picked);
    struct cmd_table *table = cmd_table_new(picked.columns, picked.n);
    for (uint32_t i = 0; i < list->n; i++) {
        add_row(table, &picked, &list->items[i]);
    }
    if (how->is_json) {
        cmd_table_print_json(table, how->is_watch);
    } else {
        cmd_table_print(table);
    }
    cmd_table_free(table);
}

static int watch(struct mesh_client *client, const struct wire_message *first,
                 const struct cmd_simple_options *how)
{
    bool is_screen = !how->is_json && isatty(STDOUT_FILENO);
    const struct wire_message *list = first;
    bool is_first = true;
    for (;;) {
        if (list->type == WIRE_MESSAGE_PEERS_LIST) {
            /* Home and clear on a terminal; an empty line between lists elsewhere. */
            fputs(is_screen ? "\033[H\033[2J" : is_first || how->is_json ? "" : "\n", stdout);
            is_first = false;
            print_list(&list->peers_list, how);
            int status = cmd_finish_output();
            if (status != CMD_EXIT_OK) {
                return status;
            }
        }
        struct errmsg err;
        int r;
        do {
            r = mesh_client_next(client, -1, &list, &err);
        } while (r == -EINTR);
        if (r < 0) {
            cmd_complain("%s: %s", mesh_client_socket_path(client), err.text);
            return CMD_EXIT_FAILED;
        }
    }
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct cmd_simple_options how;
    if (cmd_simple_parse(&cmd_peers, argv, n_argv, &how) < 0) {
        return CMD_EXIT_USAGE;
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, true, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    const struct wire_message *list = NULL;
    int status = CMD_EXIT_FAILED;
    if (how.is_watch) {
        struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY,
                                     .peers_query.is_watch = true};
        if (cmd_ask(client, &query, WIRE_MESSAGE_PEERS_LIST, &list) == 0) {
            status = watch(client, list, &how);
        }
    } else if (cmd_peers_ask(client, &list) == 0) {
        print_list(&list->peers_list, &how);
        status = cmd_finish_output();
    }
    mesh_client_free(client);
    return status;
}

const struct cmd_command cmd_peers = {
    .name = "peers",
    .synopsis = "[--json] [--watch]",
    .summary = "who is here: name, cores, free cores, architecture, state, round trip, id",
    .text =
        "Lists the peers of the mesh, the local one first. STATE is up, suspect (not heard from\n"
        "just now), down, refused or conflict. DETAIL, where there is one, says why: that a peer\n"
        "is of another mesh, is banned, or has a pinned name and another key.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  mesh peers\n"
                "  mesh peers --watch\n"
                "  mesh peers --json | jq -r '.[] | select(.state == \"up\") | .name'\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
