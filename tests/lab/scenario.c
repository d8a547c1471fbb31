/* The happy path: scenario_begin_named() makes hosts and daemons and waits until all see one
 * another; jobs leave their log in the shared folder; what is asked about runs is answered from
 * that log, and what is asked about peers from `mesh peers --watch --json`, which runs on every
 * host. */
#include "tests/lab/scenario.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/scenario_internal.h"
#include "wire/base/text.h"

#define ARGS_MAX 48
/* The figure of when every task that was lost runs again. */
#define RERUNS "all run again after"

double scenario_patience(void)
{
#ifdef __SANITIZE_ADDRESS__
    double factor = 4;
#else
    double factor = 1;
#endif
    return getenv("MESH_LAB_WRAP") == NULL ? factor : HUGE_VAL;
}

static double ms_since(uint64_t at_ns)
{
    return (double)(lab_now_ns() - at_ns) / 1e6;
}

/* --- the mesh ----------------------------------------------------------------------------------
 */

static void start_watch(struct scenario *sc, unsigned host)
{
    if (sc->watch[host] != NULL && lab_is_running(sc->watch[host])) {
        return; /* it is not of the daemon's death that it ends */
    }
    sc->watch[host] = daemon_ask(sc->hosts[host], "peers", "--watch", "--json", NULL);
}

void scenario_start(struct scenario *sc, unsigned host)
{
    const char *words[ARGS_MAX] = {"--cores",      host == 0 ? "0" : sc->setup.cores,
                                   "--dead-after", sc->setup.dead_after,
                                   "--bind-rw",    daemon_log_folder(sc->lab)};
    unsigned n = 6;
    for (const char *const *flag = sc->setup.flags; flag != NULL && *flag != NULL; flag++) {
        ck_assert_uint_lt(n, ARGS_MAX - 1);
        words[n++] = *flag;
    }
    sc->daemons[host] = daemon_startv(sc->hosts[host], words);
}

struct look {
    struct scenario *sc;
    unsigned observer;
    unsigned n_up;
};

static bool sees_enough(void *context)
{
    const struct look *look = context;
    return daemon_sees_up(look->sc->hosts[look->observer], look->n_up);
}

static void learn_ids(struct scenario *sc)
{
    struct daemon_peers peers;
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        ck_assert(daemon_get_peers(sc->hosts[i], &peers));
        snprintf(sc->id[i], sizeof(sc->id[i]), "%s", peers.rows[0].id);
    }
}

double scenario_wait_whole(struct scenario *sc)
{
    uint64_t from_ns = lab_now_ns();
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        struct look look = {.sc = sc, .observer = i, .n_up = sc->n_hosts - 1};
        if (!lab_until(sees_enough, &look, SCENARIO_PATIENCE_MS)) {
            lab_fail(sc->lab, "%s does not list %u others as up", sc->hosts[i]->name, look.n_up);
        }
        start_watch(sc, i);
    }
    double took_ms = ms_since(from_ns);
    if (sc->id[0][0] == '\0') {
        learn_ids(sc);
    }
    return took_ms;
}

const char *const scenario_names[SCENARIO_HOSTS_MAX] = {
    "hal",  "lily", "max",  "rosa", "kim",  "ida",  "otto", "nora", "emil", "vera", "paul", "anna",
    "hugo", "lena", "karl", "mia",  "theo", "ella", "finn", "jana", "leon", "zoe",  "jan",  "eva"};

void scenario_begin_named(struct scenario *sc, const char *function, const char *title,
                          const struct scenario_setup *setup)
{
    static const struct scenario_setup usual;
    memset(sc, 0, sizeof(*sc));
    /* Check's START_TEST(name) makes a function name_fn. */
    size_t n = strlen(function);
    n -= n > 3 && strcmp(function + n - 3, "_fn") == 0 ? 3 : 0;
    snprintf(sc->name, sizeof(sc->name), "%.*s", (int)n, function);
    sc->title = title;
    sc->setup = setup != NULL ? *setup : usual;
    sc->setup.n_executors = sc->setup.n_executors > 0 ? sc->setup.n_executors : 3;
    sc->setup.cores = sc->setup.cores != NULL ? sc->setup.cores : "6";
    /* What makes a daemon slow makes it silent. */
    const char *dead_after = scenario_patience() > 1 ? "4" : "1";
    sc->setup.dead_after = sc->setup.dead_after != NULL ? sc->setup.dead_after : dead_after;
    sc->n_hosts = sc->setup.n_executors + 1;
    ck_assert_uint_le(sc->n_hosts, SCENARIO_HOSTS_MAX);
    sc->log = calloc(1, sizeof(*sc->log));
    ck_assert_ptr_nonnull(sc->log);
    sc->lab = lab_new();
    sc->begun_ns = lab_now_ns();
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        sc->hosts[i] = lab_host(sc->lab, scenario_names[i]);
    }
    if (sc->setup.is_late) {
        return;
    }
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        scenario_start(sc, i);
    }
    scenario_wait_whole(sc);
    scenario_report(sc, false);
}

/* --- what is measured ---------------------------------------------------------------------------
 */

void scenario_figure(struct scenario *sc, const char *name, double value, const char *unit,
                     double limit)
{
    ck_assert_uint_lt(sc->n_figures, SCENARIO_FIGURES_MAX);
    struct scenario_figure *figure = &sc->figures[sc->n_figures++];
    snprintf(figure->name, sizeof(figure->name), "%s", name);
    snprintf(figure->unit, sizeof(figure->unit), "%s", unit);
    figure->value = value;
    figure->limit = limit;
    figure->median_limit = -1;
    char promised[48] = "";
    if (limit >= 0) {
        snprintf(promised, sizeof(promised), " (limit %.0f)", limit);
    }
    printf("# figure: %s: %s %.0f %s%s\n", sc->title, name, value, unit, promised);
    fflush(stdout);
    scenario_report(sc, false);
    if (limit >= 0 && value > 0 && value > limit * scenario_patience()) {
        lab_fail(sc->lab, "%s: %s %.0f %s, more than %.0f", sc->title, name, value, unit, limit);
    }
}

static struct scenario_figure *find_figure(struct scenario *sc, const char *name)
{
    for (unsigned i = 0; i < sc->n_figures; i++) {
        if (strcmp(sc->figures[i].name, name) == 0) {
            return &sc->figures[i];
        }
    }
    return NULL;
}

void scenario_promise_median(struct scenario *sc, const char *name, double limit)
{
    struct scenario_figure *figure = find_figure(sc, name);
    ck_assert_ptr_nonnull(figure);
    figure->median_limit = limit;
    scenario_report(sc, false);
}

void scenario_mark(struct scenario *sc, int host, const char *text)
{
    ck_assert_uint_lt(sc->n_marks, SCENARIO_MARKS_MAX);
    struct scenario_mark *mark = &sc->marks[sc->n_marks++];
    mark->at_ns = lab_now_ns();
    mark->host = host;
    snprintf(mark->text, sizeof(mark->text), "%s", text);
}

void scenario_strike(struct scenario *sc, unsigned host, const char *text)
{
    scenario_mark(sc, (int)host, text);
    sc->is_struck[host] = true;
    if (sc->struck_ns == 0) {
        sc->struck_ns = lab_now_ns();
    }
}

/* --- jobs --------------------------------------------------------------------------------------
 */

static unsigned input_of(const struct scenario_job *job, unsigned i)
{
    return job->number * SCENARIO_TASKS_MAX + i;
}

static bool is_of(const struct task_event *event, const struct scenario_job *job)
{
    return event->input / SCENARIO_TASKS_MAX == job->number;
}

static struct scenario_job *submit(struct scenario *sc, unsigned host, unsigned n_tasks,
                                   unsigned task_ms, const char *option)
{
    ck_assert_uint_lt(sc->n_jobs, SCENARIO_JOBS_MAX);
    ck_assert_uint_le(n_tasks, SCENARIO_TASKS_MAX);
    struct scenario_job *job = &sc->jobs[sc->n_jobs++];
    job->from = sc->hosts[host];
    job->number = sc->n_jobs;
    job->n_tasks = n_tasks;
    char path[LAB_PATH_BYTES_MAX + 32];
    snprintf(path, sizeof(path), "%s/inputs-%u", lab_share(sc->lab), job->number);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    for (unsigned i = 0; i < n_tasks; i++) {
        fprintf(file, "%u\n", input_of(job, i));
    }
    ck_assert_int_eq(fclose(file), 0);
    char ms[16];
    snprintf(ms, sizeof(ms), "%u", task_ms);
    char text[96];
    snprintf(text, sizeof(text), "job %u: %u tasks of %u ms", job->number, n_tasks, task_ms);
    scenario_mark(sc, (int)host, text);
    const char *argv[ARGS_MAX] = {getenv("MESH"), "--socket", DAEMON_SOCKET, "submit",
                                  option,         "-a",       path};
    unsigned n = 7;
    for (const char *const *word = sc->job_options; word != NULL && *word != NULL; word++) {
        ck_assert_uint_lt(n, ARGS_MAX - 5);
        argv[n++] = *word;
    }
    argv[n++] = getenv("LAB_TASK");
    argv[n++] = daemon_log_folder(sc->lab);
    argv[n++] = ms;
    argv[n] = "{}";
    const struct lab_start start = {.folder = lab_share(sc->lab)};
    job->process = lab_spawnv(sc->hosts[host], argv, &start);
    return job;
}

struct scenario_job *scenario_submit(struct scenario *sc, unsigned host, unsigned n_tasks,
                                     unsigned task_ms)
{
    return submit(sc, host, n_tasks, task_ms, "-k");
}

struct scenario_job *scenario_detach(struct scenario *sc, unsigned host, unsigned n_tasks,
                                     unsigned task_ms)
{
    struct scenario_job *job = submit(sc, host, n_tasks, task_ms, "--detach");
    lab_expect(job->process, SCENARIO_PATIENCE_MS, 0);
    const char *id = lab_output(job->process);
    snprintf(job->id, sizeof(job->id), "%.*s", (int)strcspn(id, "\n"), id);
    job->process = NULL;
    return job;
}

void scenario_attach(struct scenario *sc, struct scenario_job *job)
{
    scenario_mark(sc, -1, "attached again");
    job->process = daemon_ask(job->from, "wait", "-k", job->id, NULL);
}

static void read_log(struct scenario *sc)
{
    daemon_read_log(sc->lab, sc->log);
}

static unsigned count_events(struct scenario *sc, const struct scenario_job *job, bool is_end)
{
    bool seen[SCENARIO_TASKS_MAX] = {false};
    unsigned n = 0;
    read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        unsigned task = event->input % SCENARIO_TASKS_MAX;
        if (is_of(event, job) && event->is_end == is_end && !seen[task]) {
            seen[task] = true;
            n++;
        }
    }
    return n;
}

struct wanted {
    struct scenario *sc;
    const struct scenario_job *job;
    unsigned n;
    bool is_end;
};

static bool has_events(void *context)
{
    const struct wanted *wanted = context;
    return count_events(wanted->sc, wanted->job, wanted->is_end) >= wanted->n;
}

static bool is_run_by(const struct scenario *sc, const struct task_event *event, unsigned host)
{
    return strcmp(event->peer, sc->id[host]) == 0 ||
           strcmp(event->peer, sc->hosts[host]->name) == 0;
}

const struct task_event *scenario_end_of(const struct scenario *sc, const struct task_event *start)
{
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        if (event->is_end && event->input == start->input && event->attempt == start->attempt &&
            event->at_ns >= start->at_ns && strcmp(event->peer, start->peer) == 0) {
            return event;
        }
    }
    return NULL;
}

unsigned scenario_wait_busy(struct scenario *sc, const struct scenario_job *job)
{
    unsigned n_cores = (unsigned)atoi(sc->setup.cores) * sc->setup.n_executors;
    unsigned n = job->n_tasks < n_cores ? job->n_tasks : n_cores;
    struct wanted wanted = {.sc = sc, .job = job, .n = n};
    if (!lab_until(has_events, &wanted, SCENARIO_PATIENCE_MS)) {
        lab_fail(sc->lab, "only %u of %u tasks have started", count_events(sc, job, false), n);
    }
    unsigned n_running[SCENARIO_HOSTS_MAX] = {0};
    unsigned busiest = 0;
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        for (unsigned host = 1; host < sc->n_hosts; host++) {
            if (!event->is_end && is_run_by(sc, event, host) &&
                scenario_end_of(sc, event) == NULL) {
                n_running[host]++;
                busiest = n_running[host] > n_running[busiest] ? host : busiest;
            }
        }
    }
    if (busiest == 0) {
        lab_fail(sc->lab, "no task runs on any executor");
    }
    return busiest;
}

void scenario_wait_ended(struct scenario *sc, const struct scenario_job *job, unsigned n_tasks)
{
    struct wanted wanted = {.sc = sc, .job = job, .n = n_tasks, .is_end = true};
    if (!lab_until(has_events, &wanted, SCENARIO_PATIENCE_MS)) {
        lab_fail(sc->lab, "only %u of %u tasks have ended", count_events(sc, job, true), n_tasks);
    }
}

unsigned scenario_count_runs(struct scenario *sc, int host)
{
    unsigned n = 0;
    read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        n += !event->is_end && (host < 0 || is_run_by(sc, event, (unsigned)host));
    }
    return n;
}

const char *scenario_shell(struct scenario *sc, unsigned host, const char *line)
{
    struct lab_process *process = lab_spawn(sc->hosts[host], "/bin/sh", "-c", line, NULL);
    lab_expect(process, SCENARIO_PATIENCE_MS, 0);
    return lab_output(process);
}

void scenario_expect_results(struct scenario *sc, struct scenario_job *job)
{
    lab_expect(job->process, SCENARIO_PATIENCE_MS, 0);
    const char *line = lab_output(job->process);
    for (unsigned i = 0; i < job->n_tasks; i++) {
        char wanted[48];
        int n = snprintf(wanted, sizeof(wanted), "%u %llu\n", input_of(job, i),
                         (unsigned long long)daemon_prime_sum(input_of(job, i)));
        if (strncmp(line, wanted, (size_t)n) != 0) {
            lab_fail(sc->lab, "job %u: result %u is not %.*s but %.40s", job->number, i, n - 1,
                     wanted, line);
        }
        line += n;
    }
    if (*line != '\0') {
        lab_fail(sc->lab, "job %u: more than its results: %.80s", job->number, line);
    }
    char text[96];
    snprintf(text, sizeof(text), "job %u: all results are home", job->number);
    scenario_mark(sc, -1, text);
    scenario_figure(sc, "results, each right and once", job->n_tasks, "tasks", -1);
}

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

static bool is_down(void *context)
{
    const struct about *about = context;
    unsigned observer = about->host == 0 ? 1 : 0;
    return strcmp(read_watch(about->sc, observer, about->host).state, "down") == 0;
}

void scenario_expect_down(struct scenario *sc, unsigned host, double limit_ms)
{
    struct about about = {.sc = sc, .host = host};
    if (!lab_until(is_down, &about, SCENARIO_PATIENCE_MS)) {
        lab_fail(sc->lab, "%s is never listed as down", sc->hosts[host]->name);
    }
    double took_ms = ms_since(sc->struck_ns);
    scenario_mark(sc, (int)host, "listed as down");
    scenario_figure(sc, "noticed after", took_ms, "ms", limit_ms);
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

static bool is_run_by_struck(const struct scenario *sc, const struct task_event *event)
{
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        if (sc->is_struck[i] && is_run_by(sc, event, i)) {
            return true;
        }
    }
    return false;
}

/* When the task that a struck host was at first started on another one; 0: never. */
static uint64_t started_again_ns(const struct scenario *sc, const struct task_event *lost)
{
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *again = &sc->log->events[i];
        if (!again->is_end && again->input == lost->input && !is_run_by_struck(sc, again) &&
            again->attempt > lost->attempt) {
            return again->at_ns;
        }
    }
    return 0;
}

void scenario_expect_reruns(struct scenario *sc, double limit_ms)
{
    unsigned n_lost = 0;
    uint64_t slowest_ns = 0;
    read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *lost = &sc->log->events[i];
        const struct task_event *end = scenario_end_of(sc, lost);
        if (lost->is_end || lost->at_ns > sc->struck_ns || !is_run_by_struck(sc, lost) ||
            (end != NULL && end->at_ns < sc->struck_ns)) {
            continue;
        }
        n_lost++;
        uint64_t again_ns = started_again_ns(sc, lost);
        if (again_ns == 0) {
            lab_fail(sc->lab, "task %u never ran elsewhere", lost->input);
        }
        /* It may run twice before that, where it was late. */
        uint64_t took_ns = again_ns > sc->struck_ns ? again_ns - sc->struck_ns : 0;
        slowest_ns = took_ns > slowest_ns ? took_ns : slowest_ns;
    }
    if (n_lost == 0) {
        lab_fail(sc->lab, "nothing was struck that ran");
    }
    scenario_figure(sc, "affected tasks", n_lost, "tasks", -1);
    scenario_figure(sc, RERUNS, (double)slowest_ns / 1e6, "ms", limit_ms);
}

/* When the host of this run was struck: the first thing that happened there after it began. 0: not.
 */
static uint64_t struck_at_ns(const struct scenario *sc, const struct task_event *run)
{
    for (unsigned i = 0; i < sc->n_marks; i++) {
        const struct scenario_mark *mark = &sc->marks[i];
        if (mark->host >= 0 && sc->is_struck[mark->host] && mark->at_ns > run->at_ns &&
            is_run_by(sc, run, (unsigned)mark->host)) {
            return mark->at_ns;
        }
    }
    return 0;
}

/* What ran on a host when that was struck, and began again later; nothing is asked of it. */
static void tell_reruns(struct scenario *sc)
{
    unsigned n_lost = 0;
    uint64_t slowest_ns = 0;
    read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *lost = &sc->log->events[i];
        const struct task_event *end = scenario_end_of(sc, lost);
        uint64_t from_ns = lost->is_end ? 0 : struck_at_ns(sc, lost);
        if (end != NULL && end->at_ns < from_ns) {
            continue;
        }
        for (unsigned k = i + 1; from_ns > 0 && k < sc->log->n; k++) {
            const struct task_event *again = &sc->log->events[k];
            if (!again->is_end && again->input == lost->input && again->attempt > lost->attempt &&
                again->at_ns > from_ns) {
                n_lost++;
                uint64_t took_ns = again->at_ns - from_ns;
                slowest_ns = took_ns > slowest_ns ? took_ns : slowest_ns;
                break;
            }
        }
    }
    if (n_lost > 0) {
        scenario_figure(sc, "affected tasks", n_lost, "tasks", -1);
        scenario_figure(sc, RERUNS, (double)slowest_ns / 1e6, "ms", -1);
    }
}

void scenario_expect_died(struct scenario *sc, int host, double slack_ms)
{
    read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        if (event->is_end && (host < 0 || is_run_by(sc, event, (unsigned)host)) &&
            (double)event->at_ns > (double)sc->struck_ns + slack_ms * 1e6) {
            lab_fail(sc->lab, "task %u lived on", event->input);
        }
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void count_work(struct scenario *sc)
{
    unsigned n_starts = 0;
    unsigned n_ends = 0;
    unsigned n_tasks = 0;
    unsigned n_done = 0;
    for (unsigned i = 0; i < sc->n_jobs; i++) {
        n_tasks += count_events(sc, &sc->jobs[i], false);
        n_done += count_events(sc, &sc->jobs[i], true);
    }
    for (unsigned i = 0; i < sc->log->n; i++) {
        n_starts += !sc->log->events[i].is_end;
        n_ends += sc->log->events[i].is_end;
    }
    scenario_figure(sc, "runs beyond one a task", n_starts - n_tasks, "runs", -1);
    scenario_figure(sc, "of these to their end", n_ends - n_done, "runs", -1);
}

static void count_bytes(struct scenario *sc)
{
    double n = 0;
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        if (sc->hosts[i]->init > 0) {
            n += (double)lab_counters(sc->hosts[i], SWITCH_FROM_HOST).n_bytes;
        }
    }
    scenario_figure(sc, "on the wire", ceil(n / 1024), "KiB", -1);
}

void scenario_end(struct scenario *sc)
{
    if (find_figure(sc, RERUNS) == NULL) {
        tell_reruns(sc);
    }
    count_work(sc);
    count_bytes(sc);
    scenario_report(sc, true);
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        if (sc->watch[i] != NULL && sc->hosts[i]->init > 0 && lab_is_running(sc->watch[i])) {
            lab_kill(sc->watch[i]);
        }
        if (sc->daemons[i] != NULL && sc->hosts[i]->init > 0 && lab_is_running(sc->daemons[i])) {
            lab_stop(sc->daemons[i], SCENARIO_PATIENCE_MS);
        }
    }
    lab_free(sc->lab);
    free(sc->log);
}
