/* A scenario: a mesh on a lab's hosts, jobs on it, something that happens to them, and what came of
 * it.
 *
 *     struct scenario sc;
 *     scenario_begin(&sc, "kill -9 of an executor", NULL);
 *     struct scenario_job *job = scenario_submit(&sc, 0, 9, 1500);
 *     unsigned victim = scenario_wait_busy(&sc, job);
 *     scenario_strike(&sc, victim, "kill -9 of meshd");
 *     lab_kill(sc.daemons[victim]);
 *     scenario_expect_down(&sc, victim, 0);
 *     scenario_expect_results(&sc, job);
 *     scenario_expect_reruns(&sc, 500);
 *     scenario_end(&sc);
 *
 * The first host submits and offers no cores; the others offer some. They find one another by mDNS.
 * Every task of a job has an input that no other task of the scenario has, takes its time, prints
 * what can be checked (task.c), and leaves its start and its end in a log; so it is known who ran
 * what when, what ran twice and what never ended.
 *
 * What is measured is printed as `# figure:` lines. With $MESH_LAB_REPORT, a folder, it is also
 * written there, with every run and what happened when, to NAME.json for the report; from the
 * beginning on, so that a scenario that fails is in it too. Everything that is not as it must be
 * fails the test. */
#ifndef MESH_LAB_SCENARIO_H
#define MESH_LAB_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/lab/daemons.h"

#define SCENARIO_HOSTS_MAX   24
#define SCENARIO_JOBS_MAX    8
#define SCENARIO_MARKS_MAX   256
#define SCENARIO_FIGURES_MAX 48
#define SCENARIO_TASKS_MAX   1000 /* of one job */
/* What anything may take that is not itself measured. */
#define SCENARIO_PATIENCE_MS 60000
/* What the design promises of silence where --dead-after is 1 (and every setup's that does not say
 * otherwise is), and from when a loss is known until its tasks run elsewhere. */
#define SCENARIO_SILENCE_MS 1300
#define SCENARIO_RERUN_MS   500
/* And what one scenario may take as a whole, in seconds. */
#define SCENARIO_TIMEOUT_S 280

extern const char *const scenario_names[SCENARIO_HOSTS_MAX]; /* of hosts */

/* How the mesh is to be. All zeros, or no setup at all: three executors of 6 cores each (so that
 * each has room for what another one loses), who are silent for a second are down; in a build that
 * is slow, for four. */
struct scenario_setup {
    unsigned n_executors;
    unsigned cores;           /* of each executor, for --cores */
    const char *dead_after;   /* seconds, for --dead-after */
    const char *const *flags; /* more for every meshd, ended by NULL; may be NULL */
    bool is_late;             /* hosts are made, daemons are not started: scenario_start() does */
};

struct scenario_job {
    struct lab_host *from;
    struct lab_process *process; /* `mesh submit`, or `mesh wait` of a detached one */
    unsigned number;             /* 1, 2, ...: of the scenario */
    unsigned n_tasks;
    char id[32]; /* of a detached one */
};

struct scenario_mark {
    uint64_t at_ns;
    int host;       /* its index; -1: of none */
    bool is_strike; /* scenario_strike() */
    char text[96];
};

struct scenario_figure {
    char name[64];
    double value;
    char unit[16];
    double limit;        /* at most; below 0: none was promised */
    double median_limit; /* of many rounds' median, the same */
};

/* Read its fields; only scenario.c writes them, except for the first. */
struct scenario {
    const char *const *job_options; /* more for every `mesh submit`, ended by NULL; may be NULL */
    char name[96];                  /* of the test */
    const char *title;              /* for people */
    struct lab *lab;
    unsigned n_hosts;
    struct lab_host *hosts[SCENARIO_HOSTS_MAX]; /* the submitter first */
    struct lab_process *daemons[SCENARIO_HOSTS_MAX];
    struct lab_process *watch[SCENARIO_HOSTS_MAX]; /* its `mesh peers --watch --json` */
    char id[SCENARIO_HOSTS_MAX][16];
    struct scenario_setup setup;
    struct scenario_job jobs[SCENARIO_JOBS_MAX];
    unsigned n_jobs;
    struct scenario_mark marks[SCENARIO_MARKS_MAX];
    unsigned n_marks;
    struct scenario_figure figures[SCENARIO_FIGURES_MAX];
    unsigned n_figures;
    uint64_t begun_ns;
    uint64_t struck_ns; /* when the fault struck first; 0: not yet */
    bool is_struck[SCENARIO_HOSTS_MAX];
    uint64_t last_struck_ns[SCENARIO_HOSTS_MAX];
    unsigned downs_before[SCENARIO_HOSTS_MAX]; /* how often it had been listed as down by then */
    bool has_reruns;                           /* they were asked for */
    bool is_once;                              /* nothing may run to its end twice */
    struct task_log *log;                      /* owned; as of the last look */
};

/* Adds the test to the suite, in a case of its own name: CK_RUN_CASE=name plays it alone. */
#define scenario_add(suite, test)                                                                  \
    do {                                                                                           \
        TCase *case_of_##test = tcase_create(#test);                                               \
        tcase_set_timeout(case_of_##test, SCENARIO_TIMEOUT_S);                                     \
        tcase_add_test(case_of_##test, test);                                                      \
        suite_add_tcase(suite, case_of_##test);                                                    \
    } while (0)

/* Or says why it cannot be played on this machine. */
#define scenario_skip(test, why) ((void)(test), printf("# SKIP %s: %s\n", #test, why))

/* A mesh that is whole. `setup` is copied; may be NULL. Call it as scenario_begin(). */
void scenario_begin_named(struct scenario *sc, const char *function, const char *title,
                          const struct scenario_setup *setup);
/* Variadic for the commas in a compound literal. */
#define scenario_begin(sc, title, ...) scenario_begin_named(sc, __func__, title, __VA_ARGS__)

/* Starts (again) meshd on a host; with what was kept of its state. */
void scenario_start(struct scenario *sc, unsigned host);

/* One more host, on which no daemon runs yet; its index. */
unsigned scenario_newcomer(struct scenario *sc);

/* Waits until all hosts see one another; how long it took, in milliseconds. */
double scenario_wait_whole(struct scenario *sc);

/* Milliseconds since this time of lab_now_ns(). */
double scenario_ms_since(uint64_t at_ns);

/* Says what is measured; `limit` below 0 where nothing was promised. More than the limit fails the
 * test; under a sanitizer more than four times as much, and under $MESH_LAB_WRAP nothing. */
void scenario_figure(struct scenario *sc, const char *name, double value, const char *unit,
                     double limit);
/* Of a figure that there is: what its median over many rounds may be at most. The report judges it.
 */
void scenario_promise_median(struct scenario *sc, const char *name, double limit);

/* --- jobs ----------------------------------------------------------------------------------- */

/* A job from this host, of so many tasks that take so long each; results come in order. */
struct scenario_job *scenario_submit(struct scenario *sc, unsigned host, unsigned n_tasks,
                                     unsigned task_ms);
/* The same with --detach; returns once its id is printed. */
struct scenario_job *scenario_detach(struct scenario *sc, unsigned host, unsigned n_tasks,
                                     unsigned task_ms);
/* `mesh wait` for it, from the host that it is of. */
void scenario_attach(struct scenario *sc, struct scenario_job *job);

/* Waits until as many of its tasks have started as run at once, or all; the executor that has most
 * of those that run. */
unsigned scenario_wait_busy(struct scenario *sc, const struct scenario_job *job);
/* Waits until so many of its tasks have ended. */
void scenario_wait_ended(struct scenario *sc, const struct scenario_job *job, unsigned n_tasks);
/* How many of its tasks have started, or ended, so far. */
unsigned scenario_count_started(struct scenario *sc, const struct scenario_job *job);
unsigned scenario_count_ended(struct scenario *sc, const struct scenario_job *job);

/* How many runs have begun so far: on this host, or on any (-1). */
unsigned scenario_count_runs(struct scenario *sc, int host);
/* Waits until so many have begun. */
void scenario_wait_runs(struct scenario *sc, int host, unsigned n);

/* A shell's line on a host, as root of it; fails the test unless it ends with 0. What it printed.
 */
const char *scenario_shell(struct scenario *sc, unsigned host, const char *line);

/* Each input has its right result, once and in its place, and the job says so (exit status 0). */
void scenario_expect_results(struct scenario *sc, struct scenario_job *job);

/* --- faults --------------------------------------------------------------------------------- */

/* Notes that something happens, to this host (-1: to none), for the report. */
void scenario_mark(struct scenario *sc, int host, const char *text);

/* Notes that the fault strikes this host, now. Do it right after. A host may be struck again. */
void scenario_strike(struct scenario *sc, unsigned host, const char *text);

/* Waits until the submitter (the second host, if it is the first that is struck) has listed the
 * host as down since that was struck last; how long after that, in milliseconds. */
double scenario_wait_down(struct scenario *sc, unsigned host);
/* The same as the figure `noticed after`, at most so many milliseconds (below 0: no promise). */
void scenario_expect_down(struct scenario *sc, unsigned host, double limit_ms);

/* Every task that a struck host was at has started again on one that was not struck, or since: at
 * most so many milliseconds after the strike (below 0: no promise). The figures `all run again
 * after` (the last one) and `affected tasks`. Where this is not asked for, scenario_end() gives
 * them, of those runs that never ended or were begun again; and, where some never began again,
 * `never begun again` in the place of the first. */
void scenario_expect_reruns(struct scenario *sc, double limit_ms);

/* At the end no task may have run to its end more than once. */
void scenario_expect_once(struct scenario *sc);

/* Waits until no task runs on any host any more: the figure `all ended after`, at most so many
 * milliseconds after the strike. */
void scenario_expect_idle(struct scenario *sc, double limit_ms);

/* No run on the host (-1: on any) came to its end later than so long after the strike. */
void scenario_expect_died(struct scenario *sc, int host, double slack_ms);

/* No run on the host began later than so long after its last strike. */
void scenario_expect_no_starts(struct scenario *sc, unsigned host, double slack_ms);

/* How often this host's daemon has listed that one as down so far. */
unsigned scenario_downs(struct scenario *sc, unsigned observer, unsigned about);

/* Fails if any host listed another one as down. */
void scenario_expect_no_downs(struct scenario *sc);

/* The end: counts what was done twice and what crossed the wire, writes the report and ends all
 * hosts. */
void scenario_end(struct scenario *sc);

/* How many times as long as promised a thing may take: promises are those of a build that users
 * run, and are not looked at under $MESH_LAB_WRAP (infinity). */
double scenario_patience(void);

#endif
