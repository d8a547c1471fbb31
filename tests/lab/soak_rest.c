/* The rest at a round's end: every fault is over, and no job begins any more. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/soak.h"
#include "tests/lab/soak_ends.h"

#define N_QUIET    2 /* processes of a host where nothing runs: its init, and meshd */
#define COMMAND_MS 20000

struct waiting {
    struct soak *soak;
    char why[256]; /* it is not so yet */
};

static bool wait_until(struct waiting *waiting, bool (*condition)(struct waiting *waiting))
{
    uint64_t end_ns = lab_now_ns() + SOAK_PATIENCE_MS * UINT64_C(1000000);
    while (!condition(waiting)) {
        if (lab_now_ns() >= end_ns) {
            return false;
        }
        soak_tick(waiting->soak, false);
    }
    return true;
}

/* `mesh COMMAND ARG` on a host; its exit status. */
static int run(struct soak_host *host, const char *command, const char *arg, json_t **ret_json)
{
    struct lab_process *process = daemon_ask(host->host, command, arg, NULL);
    int status = -1;
    if (lab_wait(process, COMMAND_MS, &status) != 0) {
        lab_fail(host->soak->lab, "%s: mesh %s does not end", host->host->name, command);
    }
    if (ret_json != NULL) {
        *ret_json = json_loads(lab_output(process), 0, NULL);
    }
    process = lab_forget(process);
    return status;
}

/* --- conditions --------------------------------------------------------------------------------
 */

static bool have_jobs_ended(struct waiting *waiting)
{
    return soak_jobs_count(waiting->soak) == 0;
}

static bool are_daemons_ready(struct waiting *waiting)
{
    bool is_so = true;
    for (unsigned i = 0; i < waiting->soak->options.n_hosts; i++) {
        is_so &= waiting->soak->hosts[i].is_ready;
    }
    return is_so;
}

/* A job that is in the list and not ours to wait for. Detached ones whose submitter was killed
 * before it could say their number run to their end, and are then forgotten. */
static bool settle_job(struct waiting *waiting, struct soak_host *host, const json_t *row)
{
    const char *job = json_string_value(json_object_get(row, "job"));
    const char *state = json_string_value(json_object_get(row, "state"));
    ck_assert(job != NULL && state != NULL);
    const char *detached = json_string_value(json_object_get(row, "detached"));
    bool is_kept = json_is_true(json_object_get(row, "detached")) ||
                   (detached != NULL && strcmp(detached, "true") == 0);
    bool is_over = strcmp(state, "ended") == 0 || strcmp(state, "cancelled") == 0;
    if (is_kept && is_over && run(host, "forget", job, NULL) == 0) {
        waiting->soak->count.n_unasked++;
        return true;
    }
    snprintf(waiting->why, sizeof(waiting->why), "%s still has job %s (%s%s)", host->host->name,
             job, state, is_kept ? ", detached" : "");
    return false;
}

static bool are_lists_empty(struct waiting *waiting)
{
    for (unsigned i = 0; i < SOAK_SUBMITTERS; i++) {
        struct soak_host *host = &waiting->soak->hosts[i];
        json_t *rows = NULL;
        bool is_so = run(host, "jobs", "--json", &rows) == 0 && json_is_array(rows);
        if (!is_so) {
            snprintf(waiting->why, sizeof(waiting->why), "%s does not list its jobs",
                     host->host->name);
        }
        for (size_t k = 0; is_so && k < json_array_size(rows); k++) {
            is_so = settle_job(waiting, host, json_array_get(rows, k));
        }
        json_decref(rows);
        if (!is_so) {
            return false;
        }
    }
    return true;
}

/* What `peers` says: everyone is up, and no core is taken. */
static bool is_whole_for(struct waiting *waiting, const struct daemon_peers *peers,
                         const char *name)
{
    if (peers->n != waiting->soak->options.n_hosts) {
        snprintf(waiting->why, sizeof(waiting->why), "%s lists %u peers", name, peers->n);
        return false;
    }
    for (unsigned i = 0; i < peers->n; i++) {
        const struct daemon_peer *row = &peers->rows[i];
        if (strcmp(row->state, "up") != 0 || row->free != row->cores) {
            snprintf(waiting->why, sizeof(waiting->why), "%s lists %s as %s, %u of %u cores free",
                     name, row->name, row->state, row->free, row->cores);
            return false;
        }
    }
    return true;
}

static bool is_whole(struct waiting *waiting)
{
    for (unsigned i = 0; i < waiting->soak->options.n_hosts; i++) {
        struct lab_host *host = waiting->soak->hosts[i].host;
        struct daemon_peers peers;
        if (!daemon_get_peers(host, &peers)) {
            snprintf(waiting->why, sizeof(waiting->why), "%s lists no peers", host->name);
            return false;
        }
        if (!is_whole_for(waiting, &peers, host->name)) {
            return false;
        }
    }
    return true;
}

/* Cells that idle end after a while. */
static bool are_processes_gone(struct waiting *waiting)
{
    for (unsigned i = 0; i < waiting->soak->options.n_hosts; i++) {
        char names[160];
        if (soak_gauges_processes(waiting->soak, i, names, sizeof(names)) != N_QUIET) {
            snprintf(waiting->why, sizeof(waiting->why), "%s runs %s",
                     waiting->soak->hosts[i].host->name, names);
            return false;
        }
    }
    return true;
}

/* --- the rest ------------------------------------------------------------------------------------
 */

/* Records of what has ended and is nobody's any more: questions that were asked above. */
static void forget_ended(struct soak_host *host)
{
    list_for_each_safe (node, &host->host->processes) {
        struct lab_process *process = LIST_ENTRY(node, struct lab_process, node);
        bool is_used = process == host->daemon;
        for (unsigned k = 0; k < SOAK_SLOTS; k++) {
            is_used |= process == host->jobs[k].process;
        }
        if (!is_used && !lab_is_running(process)) {
            process = lab_forget(process);
        }
    }
}

void soak_rest(struct soak *soak)
{
    struct waiting waiting = {.soak = soak};
    if (!wait_until(&waiting, have_jobs_ended)) {
        soak_jobs_give_up(soak);
    }
    if (!wait_until(&waiting, are_daemons_ready) || !wait_until(&waiting, are_lists_empty)) {
        soak_blame(soak, SOAK_LEFT, 1, "%s", waiting.why);
    }
    if (!wait_until(&waiting, is_whole)) {
        soak_blame(soak, SOAK_NOT_WHOLE, 1, "%s", waiting.why);
    }
    if (!wait_until(&waiting, are_processes_gone)) {
        soak_blame(soak, SOAK_LEFT, 1, "%s", waiting.why);
    }
    for (unsigned i = 0; i < soak->options.n_hosts; i++) {
        forget_ended(&soak->hosts[i]);
    }
    soak_gauges_take_rest(soak);
}
