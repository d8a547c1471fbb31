/* mesh jobs: my peer's jobs and how far they are. */
#include <assert.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/table.h"

static const struct cmd_option options[] = {
    {CMD_SIMPLE_JSON, 0, "json", NULL, "print a JSON array"},
};

static const struct cmd_column columns[] = {
    {"JOB", "job", false},     {"NAME", "name", false},      {"USER", "user", false},
    {"TASKS", "tasks", true},  {"WAITING", "waiting", true}, {"PLACED", "placed", true},
    {"OK", "succeeded", true}, {"FAILED", "failed", true},   {"AGE", "age_s", true},
    {"STATE", "state", false}, {NULL, "uid", true},          {NULL, "complete", false},
    {NULL, "detached", false}, {NULL, "reason", false},
};

static const char *user_text(uint32_t uid, char *to, size_t n_to)
{
    const struct passwd *entry = getpwuid(uid);
    if (entry != NULL) {
        snprintf(to, n_to, "%s", entry->pw_name);
    } else {
        snprintf(to, n_to, "%" PRIu32, uid);
    }
    return to;
}

static const char *age_text(uint64_t age_us, char *to, size_t n_to)
{
    uint64_t s = age_us / 1000000;
    if (s < 60) {
        snprintf(to, n_to, "%.1fs", (double)age_us / 1e6);
    } else if (s < 3600) {
        snprintf(to, n_to, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    } else {
        snprintf(to, n_to, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    }
    return to;
}

static void add_row(struct cmd_table *table, const struct wire_job_row *row)
{
    char job[WIRE_JOB_TEXT_BYTES], user[64], age[32], tasks[32];
    /* "12+": more of them are still being added. */
    snprintf(tasks, sizeof(tasks), "%" PRIu32 "%s", row->n_tasks, row->is_complete ? "" : "+");
    struct cmd_value n_tasks = cmd_uint(row->n_tasks);
    n_tasks.shown = tasks;
    const struct cmd_value values[] = {
        cmd_text(slice_str(wire_job_text(row->job, job))),
        cmd_text(row->name),
        cmd_text(slice_str(user_text(row->uid, user, sizeof(user)))),
        n_tasks,
        cmd_uint(row->n_waiting),
        cmd_uint(row->n_placed),
        cmd_uint(row->n_succeeded),
        cmd_uint(row->n_failed),
        cmd_real((double)row->age_us / 1e6, age_text(row->age_us, age, sizeof(age))),
        cmd_text(slice_str(wire_job_state_text(row->state))),
        cmd_uint(row->uid),
        cmd_bool(row->is_complete),
        cmd_bool(row->is_detached),
        cmd_text(row->text),
    };
    static_assert(ARRAY_LEN(values) == ARRAY_LEN(columns), "a value for each column");
    cmd_table_add(table, values);
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct cmd_simple_options how;
    if (cmd_simple_parse(&cmd_jobs, argv, n_argv, &how) < 0) {
        return CMD_EXIT_USAGE;
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    struct wire_message query = {.type = WIRE_MESSAGE_JOBS_QUERY};
    const struct wire_message *list;
    int status = CMD_EXIT_FAILED;
    if (cmd_ask(client, &query, WIRE_MESSAGE_JOBS_LIST, &list) == 0) {
        struct cmd_table *table = cmd_table_new(columns, ARRAY_LEN(columns));
        for (uint32_t i = 0; i < list->jobs_list.n; i++) {
            add_row(table, &list->jobs_list.items[i]);
        }
        if (how.is_json) {
            cmd_table_print_json(table, false);
        } else {
            cmd_table_print(table);
        }
        cmd_table_free(table);
        status = cmd_finish_output();
    }
    mesh_client_free(client);
    return status;
}

const struct cmd_command cmd_jobs = {
    .name = "jobs",
    .synopsis = "[--json]",
    .summary = "the jobs of this peer and how far they are",
    .text =
        "Lists the jobs that were submitted here: those that are not finished, and detached ones\n"
        "that have ended, until they are forgotten. WAITING tasks have no peer yet, PLACED ones\n"
        "are at a peer, running or about to. A + behind TASKS means that more are still being\n"
        "added. STATE: adding (its tasks), after (it waits for other jobs), running, stopping\n"
        "(cancelled), ended, cancelled.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  mesh jobs\n"
                "  mesh jobs --json | jq '.[].job'\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
