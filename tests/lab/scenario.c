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
#define CORES    6

double scenario_patience(void)
{
#ifdef __SANITIZE_ADDRESS__
    double factor = 4;
#else
    double factor = 1;
#endif
    return getenv("MESH_LAB_WRAP") == NULL ? factor : HUGE_VAL;
}

double scenario_ms_since(uint64_t at_ns)
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
    char cores[16];
    snprintf(cores, sizeof(cores), "%u", host == 0 ? 0 : sc->setup.cores);
    const char *words[ARGS_MAX] = {"--cores",      cores,
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
    double took_ms = scenario_ms_since(from_ns);
    if (sc->id[0][0] == '\0') {
        learn_ids(sc);
    }
    return took_ms;
}

const char *const scenario_names[SCENARIO_HOSTS_MAX] = {
    "hal",  "lily", "max",  "rosa", "kim",  "ida",  "otto", "nora", "emil", "vera", "paul", "anna",
    "hugo", "lena", "karl", "mia",  "theo", "ella", "finn", "jana", "leon", "zoe",  "jan",  "eva"};

unsigned scenario_newcomer(struct scenario *sc)
{
    ck_assert_uint_lt(sc->n_hosts, SCENARIO_HOSTS_MAX);
    sc->hosts[sc->n_hosts] = lab_host(sc->lab, scenario_names[sc->n_hosts]);
    return sc->n_hosts++;
}

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
    sc->setup.cores = sc->setup.cores > 0 ? sc->setup.cores : CORES;
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
    sc->downs_before[host] = scenario_downs(sc, host == 0 ? 1 : 0, host);
    scenario_mark(sc, (int)host, text);
    sc->marks[sc->n_marks - 1].is_strike = true;
    sc->is_struck[host] = true;
    sc->last_struck_ns[host] = lab_now_ns();
    if (sc->struck_ns == 0) {
        sc->struck_ns = sc->last_struck_ns[host];
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

void scenario_read_log(struct scenario *sc)
{
    daemon_read_log(sc->lab, sc->log);
}

static unsigned count_events(struct scenario *sc, const struct scenario_job *job, bool is_end)
{
    bool seen[SCENARIO_TASKS_MAX] = {false};
    unsigned n = 0;
    scenario_read_log(sc);
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

bool scenario_is_run_by(const struct scenario *sc, const struct task_event *event, unsigned host)
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
    unsigned n_cores = sc->setup.cores * sc->setup.n_executors;
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
            if (!event->is_end && scenario_is_run_by(sc, event, host) &&
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

unsigned scenario_count_started(struct scenario *sc, const struct scenario_job *job)
{
    return count_events(sc, job, false);
}

unsigned scenario_count_ended(struct scenario *sc, const struct scenario_job *job)
{
    return count_events(sc, job, true);
}

unsigned scenario_count_runs(struct scenario *sc, int host)
{
    unsigned n = 0;
    scenario_read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        n += !event->is_end && (host < 0 || scenario_is_run_by(sc, event, (unsigned)host));
    }
    return n;
}

struct runs {
    struct scenario *sc;
    int host;
    unsigned n;
};

static bool has_runs(void *context)
{
    const struct runs *runs = context;
    return scenario_count_runs(runs->sc, runs->host) >= runs->n;
}

void scenario_wait_runs(struct scenario *sc, int host, unsigned n)
{
    struct runs runs = {.sc = sc, .host = host, .n = n};
    if (!lab_until(has_runs, &runs, SCENARIO_PATIENCE_MS)) {
        lab_fail(sc->lab, "only %u of %u runs have begun", scenario_count_runs(sc, host), n);
    }
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

/* --- the end -----------------------------------------------------------------------------------
 */

/* Whether it is the first start, or the first end, of its task. */
static bool is_first(const struct task_log *log, const struct task_event *event)
{
    for (const struct task_event *other = log->events; other < event; other++) {
        if (other->is_end == event->is_end && other->input == event->input) {
            return false;
        }
    }
    return true;
}

/* Nothing where no task left anything in the log. */
static void count_work(struct scenario *sc)
{
    unsigned n_more[2] = {0, 0}; /* starts and ends beyond one a task */
    scenario_read_log(sc);
    for (unsigned i = 0; i < sc->log->n; i++) {
        const struct task_event *event = &sc->log->events[i];
        n_more[event->is_end] += !is_first(sc->log, event);
    }
    if (sc->log->n > 0) {
        scenario_figure(sc, "runs beyond one a task", n_more[false], "runs", -1);
        scenario_figure(sc, "of these to their end", n_more[true], "runs", sc->is_once ? 0 : -1);
    }
}

static void count_bytes(struct scenario *sc)
{
    double n = 0;
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        n += (double)lab_counters(sc->hosts[i], SWITCH_FROM_HOST).n_bytes;
    }
    scenario_figure(sc, "on the wire", ceil(n / 1024), "KiB", -1);
}

void scenario_end(struct scenario *sc)
{
    if (!sc->has_reruns) {
        scenario_tell_reruns(sc);
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
