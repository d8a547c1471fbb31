/* One JSON file for each scenario. Times are milliseconds from its beginning. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/scenario_internal.h"
#include "wire/base/text.h"

static json_t *time_of(const struct scenario *sc, uint64_t at_ns)
{
    return json_real(((double)at_ns - (double)sc->begun_ns) / 1e6);
}

static json_t *list_hosts(const struct scenario *sc)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        json_array_append_new(array, json_string(sc->hosts[i]->name));
    }
    return array;
}

/* What is asked for in this build. */
static json_t *limit_of(double limit)
{
    limit *= scenario_patience();
    return limit >= 0 && isfinite(limit) ? json_real(limit) : json_null();
}

static json_t *list_figures(const struct scenario *sc)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < sc->n_figures; i++) {
        const struct scenario_figure *figure = &sc->figures[i];
        json_array_append_new(array, json_pack("{s:s, s:f, s:s, s:o, s:o}", "name", figure->name,
                                               "value", figure->value, "unit", figure->unit,
                                               "limit", limit_of(figure->limit), "median_limit",
                                               limit_of(figure->median_limit)));
    }
    return array;
}

static json_t *list_marks(const struct scenario *sc)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < sc->n_marks; i++) {
        const struct scenario_mark *mark = &sc->marks[i];
        json_array_append_new(array, json_pack("{s:o, s:i, s:s}", "at", time_of(sc, mark->at_ns),
                                               "host", mark->host, "text", mark->text));
    }
    return array;
}

static int host_of(const struct scenario *sc, const char *peer)
{
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        if (strcmp(peer, sc->id[i]) == 0 || strcmp(peer, sc->hosts[i]->name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* Every run: on which host, of which task, from when to when; without an end, if it had none. */
static json_t *list_runs(const struct scenario *sc)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *start = &sc->log->events[i];
        if (start->is_end) {
            continue;
        }
        const struct task_event *end = scenario_end_of(sc, start);
        json_array_append_new(
            array, json_pack("{s:i, s:i, s:i, s:o, s:o}", "host", host_of(sc, start->peer), "input",
                             (int)start->input, "attempt", (int)start->attempt, "start",
                             time_of(sc, start->at_ns), "end",
                             end != NULL ? time_of(sc, end->at_ns) : json_null()));
    }
    return array;
}

void scenario_report(struct scenario *sc, bool is_over)
{
    const char *folder = getenv("MESH_LAB_REPORT");
    if (folder == NULL || *folder == '\0') {
        return;
    }
    daemon_read_log(sc->lab, sc->log);
    json_t *all =
        json_pack("{s:s, s:s, s:b, s:f, s:f, s:o, s:o, s:o, s:o}", "name", sc->name, "title",
                  sc->title, "passed", is_over, "seed", (double)sc->lab->seed, "ms",
                  (double)(lab_now_ns() - sc->begun_ns) / 1e6, "hosts", list_hosts(sc), "figures",
                  list_figures(sc), "marks", list_marks(sc), "runs", list_runs(sc));
    char path[LAB_PATH_BYTES_MAX];
    char fresh[LAB_PATH_BYTES_MAX + sizeof(".part")];
    snprintf(path, sizeof(path), "%s/%s.json", folder, sc->name);
    snprintf(fresh, sizeof(fresh), "%s.part", path);
    if (all == NULL || json_dump_file(all, fresh, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0 ||
        rename(fresh, path) < 0) {
        lab_fail(sc->lab, "cannot write %s: %s", path, strerror(errno));
    }
    json_decref(all);
}
