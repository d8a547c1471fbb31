/* What a fault does to the mesh and to what ran: who is listed as down, what was lost and ran
 * again, what lived on. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/scenario_internal.h"

/* The figure of when every task that was lost runs again. */
#define RERUNS "all run again after"

/* --- faults ------------------------------------------------------------------------------------
 */

/* The state that the last whole line of a watch gives the peer of this name; "" for none. */
struct told {
    unsigned n_downs; /* how often it became down */
    char state[16];
};

static void add_line(struct told *told, const char *line, size_t n, const char *name)
{
    json_t *array = json_loadb(line, n, 0, NULL);
    size_t i;
    json_t *row;
    json_array_foreach(array, i, row)
    {
        const char *is = json_string_value(json_object_get(row, "name"));
        const char *state = json_string_value(json_object_get(row, "state"));
        if (is != NULL && state != NULL && strcmp(is, name) == 0) {
            told->n_downs += strcmp(state, "down") == 0 && strcmp(told->state, "down") != 0;
            snprintf(told->state, sizeof(told->state), "%s", state);
        }
    }
    json_decref(array);
}

static struct told read_watch(struct scenario *sc, unsigned observer, unsigned about)
{
    struct told told;
    memset(&told, 0, sizeof(told));
    const char *line = sc->watch[observer] != NULL ? lab_output(sc->watch[observer]) : "";
    for (const char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
        add_line(&told, line, (size_t)(end - line), sc->hosts[about]->name);
        line = end + 1;
    }
    return told;
}

struct about {
    struct scenario *sc;
    unsigned host;
};

static unsigned observer_of(unsigned host)
{
    return host == 0 ? 1 : 0;
}

/* Or was, however short a moment. */
static bool was_down(void *context)
{
    const struct about *about = context;
    return scenario_downs(about->sc, observer_of(about->host), about->host) >
           about->sc->downs_before[about->host];
}

double scenario_wait_down(struct scenario *sc, unsigned host)
{
    struct about about = {.sc = sc, .host = host};
    if (!lab_until(was_down, &about, SCENARIO_PATIENCE_MS)) {
        lab_fail(sc->lab, "%s is never listed as down", sc->hosts[host]->name);
    }
    double took_ms = scenario_ms_since(sc->last_struck_ns[host]);
    scenario_mark(sc, (int)host, "listed as down");
    return took_ms;
}

void scenario_expect_down(struct scenario *sc, unsigned host, double limit_ms)
{
    scenario_figure(sc, "noticed after", scenario_wait_down(sc, host), "ms", limit_ms);
}

unsigned scenario_downs(struct scenario *sc, unsigned observer, unsigned about)
{
    return read_watch(sc, observer, about).n_downs;
}

void scenario_expect_no_downs(struct scenario *sc)
{
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        for (unsigned k = 0; k < sc->n_hosts; k++) {
            if (scenario_downs(sc, i, k) > 0) {
                lab_fail(sc->lab, "%s took %s for dead", sc->hosts[i]->name, sc->hosts[k]->name);
            }
        }
    }
    scenario_figure(sc, "false deaths", 0, "peers", 0);
}

/* --- what was lost -----------------------------------------------------------------------------
 */

static bool is_run_by_struck(const struct scenario *sc, const struct task_event *event)
{
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        if (sc->is_struck[i] && scenario_is_run_by(sc, event, i)) {
            return true;
        }
    }
    return false;
}

/* When the host of this run was struck while it ran; 0: it was not. */
static uint64_t struck_at_ns(const struct scenario *sc, const struct task_event *run)
{
    const struct task_event *end = scenario_end_of(sc, run);
    for (unsigned i = 0; i < sc->n_marks; i++) {
        const struct scenario_mark *mark = &sc->marks[i];
        if (mark->is_strike && mark->at_ns > run->at_ns &&
            scenario_is_run_by(sc, run, (unsigned)mark->host)) {
            return end == NULL || end->at_ns > mark->at_ns ? mark->at_ns : 0;
        }
    }
    return 0;
}

/* When the task of a run that was struck at this time started again where it was safe: since then,
 * or before (where it was late) on a host that was not struck. 0: never. */
static uint64_t started_again_ns(const struct scenario *sc, const struct task_event *lost,
                                 uint64_t struck_ns)
{
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *again = &sc->log->events[i];
        if (!again->is_end && again->input == lost->input && again->attempt > lost->attempt &&
            (again->at_ns > struck_ns || !is_run_by_struck(sc, again))) {
            return again->at_ns;
        }
    }
    return 0;
}

struct reruns {
    unsigned n_struck; /* runs */
    unsigned n_lost;   /* that never ended, or were begun again */
    unsigned n_again;  /* that were begun again */
    unsigned input;    /* of one that was not */
    double slowest_ms;
};

static struct reruns find_reruns(struct scenario *sc)
{
    struct reruns reruns = {.n_struck = 0};
    scenario_read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *lost = &sc->log->events[i];
        uint64_t struck_ns = lost->is_end ? 0 : struck_at_ns(sc, lost);
        if (struck_ns == 0) {
            continue;
        }
        uint64_t again_ns = started_again_ns(sc, lost, struck_ns);
        reruns.n_struck++;
        reruns.n_again += again_ns != 0;
        reruns.n_lost += again_ns != 0 || scenario_end_of(sc, lost) == NULL;
        reruns.input = again_ns == 0 ? lost->input : reruns.input;
        double took_ms = again_ns > struck_ns ? (double)(again_ns - struck_ns) / 1e6 : 0;
        reruns.slowest_ms = took_ms > reruns.slowest_ms ? took_ms : reruns.slowest_ms;
    }
    return reruns;
}

void scenario_expect_reruns(struct scenario *sc, double limit_ms)
{
    struct reruns reruns = find_reruns(sc);
    if (reruns.n_struck == 0) {
        lab_fail(sc->lab, "nothing was struck that ran");
    }
    if (reruns.n_again < reruns.n_struck) {
        lab_fail(sc->lab, "task %u never ran elsewhere", reruns.input);
    }
    sc->has_reruns = true;
    scenario_figure(sc, "affected tasks", reruns.n_struck, "tasks", -1);
    scenario_figure(sc, RERUNS, reruns.slowest_ms, "ms", limit_ms);
}

void scenario_tell_reruns(struct scenario *sc)
{
    struct reruns reruns = find_reruns(sc);
    if (reruns.n_lost == 0) {
        return;
    }
    scenario_figure(sc, "affected tasks", reruns.n_lost, "tasks", -1);
    if (reruns.n_again < reruns.n_lost) {
        scenario_figure(sc, "never begun again", reruns.n_lost - reruns.n_again, "tasks", -1);
    } else {
        scenario_figure(sc, RERUNS, reruns.slowest_ms, "ms", -1);
    }
}

void scenario_expect_once(struct scenario *sc)
{
    sc->is_once = true;
}

static bool is_idle(void *context)
{
    struct scenario *sc = context;
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        if (sc->hosts[i]->init > 0 &&
            lab_run(sc->hosts[i], SCENARIO_PATIENCE_MS, NULL, "pgrep", "-x", "task", NULL) != 1) {
            return false;
        }
    }
    return true;
}

void scenario_expect_idle(struct scenario *sc, double limit_ms)
{
    if (!lab_until(is_idle, sc, SCENARIO_PATIENCE_MS)) {
        lab_fail(sc->lab, "a task lives on");
    }
    double took_ms = scenario_ms_since(sc->struck_ns);
    scenario_mark(sc, -1, "no task runs any more");
    scenario_figure(sc, "all ended after", took_ms, "ms", limit_ms);
}

void scenario_expect_died(struct scenario *sc, int host, double slack_ms)
{
    scenario_read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        if (event->is_end && (host < 0 || scenario_is_run_by(sc, event, (unsigned)host)) &&
            (double)event->at_ns > (double)sc->struck_ns + slack_ms * 1e6) {
            lab_fail(sc->lab, "task %u lived on", event->input);
        }
    }
}

void scenario_expect_no_starts(struct scenario *sc, unsigned host, double slack_ms)
{
    scenario_read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        if (!event->is_end && scenario_is_run_by(sc, event, host) &&
            (double)event->at_ns > (double)sc->last_struck_ns[host] + slack_ms * 1e6) {
            lab_fail(sc->lab, "%s began task %u all the same", sc->hosts[host]->name, event->input);
        }
    }
}
