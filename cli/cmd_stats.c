/* mesh stats: Parallel Python's table, counting tasks. */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/table.h"
#include "cli/table_internal.h"

static const struct cmd_option options[] = {
    {CMD_SIMPLE_JSON, 0, "json", NULL, "print a JSON object"},
};

static const struct cmd_column columns[] = {
    {"TASKS", "tasks", true},
    {"% OF ALL", "share", true},
    {"TIME SUM", "time_sum_s", true},
    {"TIME PER TASK", "time_per_task_s", true},
    {"FAILED", "failed", true},
    {"LOST", "lost", true},
    {"PEER", "peer", false},
    {"ID", "id", false},
    {NULL, "key", false},
    {NULL, "local", false},
    {NULL, "cpu_sum_s", true},
};

static void add_row(struct cmd_table *table, const struct wire_stats_row *row, uint64_t n_all)
{
    char id[MESH_CLIENT_ID_BYTES];
    char key[MESH_CLIENT_KEY_BYTES];
    char share_text[32], sum_text[32], per_text[32];
    double share = n_all > 0 ? 100.0 * (double)row->n_tasks / (double)n_all : 0;
    double sum_s = (double)row->wall_us / 1e6;
    double per_s = row->n_tasks > 0 ? sum_s / (double)row->n_tasks : 0;
    snprintf(share_text, sizeof(share_text), "%.2f", share);
    snprintf(sum_text, sizeof(sum_text), "%.3f", sum_s);
    snprintf(per_text, sizeof(per_text), "%.6f", per_s);
    const struct cmd_value values[] = {
        cmd_uint(row->n_tasks),
        cmd_real(share, share_text),
        cmd_real(sum_s, sum_text),
        cmd_real(per_s, per_text),
        cmd_uint(row->n_failed),
        cmd_uint(row->n_lost),
        cmd_text(row->name),
        cmd_text(slice_str(mesh_client_id_text(&row->key, id))),
        cmd_text(slice_str(mesh_client_key_text(&row->key, key))),
        cmd_bool(row->is_local),
        cmd_real((double)row->cpu_us / 1e6, NULL),
    };
    static_assert(ARRAY_LEN(values) == ARRAY_LEN(columns), "a value for each column");
    cmd_table_add(table, values);
}

static void print_json(const struct cmd_table *table, const struct wire_stats_list *list)
{
    json_t *all = json_pack("{s:o, s:f, s:i, s:i}", "peers", cmd_table_json(table), "uptime_s",
                            (double)list->uptime_us / 1e6, "active_tasks", (int)list->n_running,
                            "cores", (int)list->cores);
    ensure(all != NULL);
    IGNORE(json_dumpf(all, stdout, JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9) | JSON_INDENT(2)));
    putchar('\n');
    json_decref(all);
}

static void print(const struct wire_stats_list *list, bool is_json)
{
    uint64_t n_all = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        n_all += list->items[i].n_tasks;
    }
    struct cmd_table *table = cmd_table_new(columns, ARRAY_LEN(columns));
    for (uint32_t i = 0; i < list->n; i++) {
        add_row(table, &list->items[i], n_all);
    }
    if (is_json) {
        print_json(table, list);
    } else {
        puts("Task execution statistics:");
        cmd_table_print(table);
        printf("Time elapsed since meshd started: %.3f s\n", (double)list->uptime_us / 1e6);
        printf("%u active tasks, %u cores\n", list->n_running, list->cores);
    }
    cmd_table_free(table);
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct cmd_simple_options how;
    if (cmd_simple_parse(&cmd_stats, argv, n_argv, &how) < 0) {
        return CMD_EXIT_USAGE;
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    struct wire_message query = {.type = WIRE_MESSAGE_STATS_QUERY};
    const struct wire_message *list;
    int status = CMD_EXIT_FAILED;
    if (cmd_ask(client, &query, WIRE_MESSAGE_STATS_LIST, &list) == 0) {
        print(&list->stats_list, how.is_json);
        status = cmd_finish_output();
    }
    mesh_client_free(client);
    return status;
}

const struct cmd_command cmd_stats = {
    .name = "stats",
    .synopsis = "[--json]",
    .summary = "what each peer did: tasks, share, time sum, time per task",
    .text = "Counts the tasks of this daemon's jobs by the peer that ran them, since the daemon\n"
            "started. Times are wall time in seconds. FAILED tasks are among TASKS; LOST are\n"
            "attempts that went down with their peer and ran again elsewhere.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  mesh stats\n"
                "  mesh stats --json | jq '.peers[] | {peer, tasks}'\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
