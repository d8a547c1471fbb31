/* scale: how cost grows with peers, submitters and tasks. Each row is measured in a process of its
 * own, over a mesh in memory without faults, in which all hosts are alike. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/gauge.h"
#include "wire/base/mem.h"

#define CORES           8u
#define SESSIONS_MAX    200u /* more peers than this pass messages without sessions */
#define FOUND_NS        (20 * SIM_S)
#define FOUND_MAX       200u /* of others; the rest is hearsay */
#define SETTLE_NS       (120 * SIM_S)
#define IDLE_SECONDS    60u
#define BUSY_TASKS      200000u
#define MILLION         1000000u
#define TASK_MICROS     1000u /* of run time, at most */
#define LOOK_NS         (5 * SIM_MS)
#define CPU_LIMIT_NS    2000.0                /* of core CPU for a task that does nothing, */
#define CPU_LIMIT_PEERS 100u                  /* with so many peers */
#define MEMORY_LIMIT    (UINT64_C(200) << 20) /* in the submitter of a million tasks */

static const char usage[] =
    "usage: scale [--json] [--row NAME]...\n"
    "Measures what a mesh costs: idle, with 10 to 5,000 peers; busy, with 1 to 100 submitters; "
    "and\n"
    "with a million tasks from one submitter. Ends with status 1 if a task at 100 peers costs all\n"
    "cores together 2 us or more, or the submitter of a million tasks holds 200 MiB or more.\n"
    "  --json      the same as JSON\n"
    "  --row NAME  only this row; may be given again; `list` names them\n"
    "example: scale --row busy-100-1\n";

struct plan {
    const char *name;
    uint32_t n_peers, n_submitters, n_tasks; /* no submitter: idle */
};

static const struct plan plans[] = {
    {"idle-10", 10, 0, 0},
    {"idle-100", 100, 0, 0},
    {"idle-1000", 1000, 0, 0},
    {"idle-5000", 5000, 0, 0},
    {"busy-100-1", 100, 1, BUSY_TASKS},
    {"busy-100-10", 100, 10, BUSY_TASKS},
    {"busy-100-100", 100, 100, BUSY_TASKS},
    {"busy-1000-1", 1000, 1, BUSY_TASKS},
    {"busy-1000-10", 1000, 10, BUSY_TASKS},
    {"busy-1000-100", 1000, 100, BUSY_TASKS},
    {"busy-5000-1", 5000, 1, BUSY_TASKS},
    {"busy-5000-10", 5000, 10, BUSY_TASKS},
    {"busy-5000-100", 5000, 100, BUSY_TASKS},
    {"million", 100, 1, MILLION},
};

struct figures {
    bool is_there, is_bare;
    double seconds; /* of virtual time */
    uint64_t n_messages, n_bytes, n_sessions, n_sessions_max, n_known;
    struct gauge_times times;
    double pair_ns;
    uint64_t memory, memory_max;                     /* of all cores; of the largest */
    uint64_t owner_before, owner_peak, n_tasks_peak; /* of the first submitter */
    uint64_t owner_at_peak;                          /* when it had most tasks */
    uint64_t rss_peak;                               /* of the process */
};

struct row {
    const struct plan *plan;
    struct figures *figures; /* shared with the child that measures */
};

/* --- measuring ---------------------------------------------------------------------------------
 */

/* Each hears from its own multicast of those behind it, within the first seconds. */
static void find_some(struct sim *sim)
{
    unsigned n = sim->n_nodes - 1 < FOUND_MAX ? sim->n_nodes - 1 : FOUND_MAX;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        for (unsigned k = 1; k <= n; k++) {
            const struct sim_node *of = sim->nodes[(i + k) % sim->n_nodes];
            found_tell(sim, sim->nodes[i], of, dice_roll(&sim->dice, FOUND_NS), of->address_number);
        }
    }
}

static struct sim *world(const struct plan *plan, struct gauge *gauge)
{
    struct sim_options options = {
        .seed = 1,
        .n_peers = plan->n_peers,
        .transport = plan->n_submitters > 0 || plan->n_peers > SESSIONS_MAX ? SIM_TRANSPORT_BARE
                                                                            : SIM_TRANSPORT_FAST,
        .is_plain = true,
        .plain_cores = CORES,
    };
    struct sim *sim = sim_new(&options);
    sim->gauge = &gauge->told;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        sim_node_start(sim, sim->nodes[i]);
    }
    find_some(sim);
    sim_run_until(sim, sim->now_ns + SETTLE_NS);
    return sim;
}

static void look_around(const struct sim *sim, const struct gauge *gauge, struct figures *figures)
{
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct core_counts counts = core_counts(sim->nodes[i]->core);
        figures->n_sessions += counts.n_links;
        figures->n_known += counts.n_peers - 1;
        if (counts.n_links > figures->n_sessions_max) {
            figures->n_sessions_max = counts.n_links;
        }
        uint64_t bytes = gauge->memory[i].bytes;
        figures->memory += bytes;
        figures->memory_max = bytes > figures->memory_max ? bytes : figures->memory_max;
    }
}

static void look_at_owner(const struct sim *sim, const struct gauge *gauge, struct figures *figures)
{
    struct core_counts counts = core_counts(sim->nodes[0]->core);
    if (counts.n_tasks > figures->n_tasks_peak) {
        figures->n_tasks_peak = counts.n_tasks;
        figures->owner_at_peak = gauge->memory[0].bytes;
    }
}

static void submit_all(struct sim *sim, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->n_submitters; i++) {
        IGNORE(client_submit_plain(sim, sim->nodes[i], plan->n_tasks / plan->n_submitters,
                                   TASK_MICROS));
    }
}

static void measure(const struct plan *plan, struct figures *figures)
{
    struct gauge gauge;
    gauge_init(&gauge, plan->n_peers);
    struct sim *sim = world(plan, &gauge);
    look_around(sim, &gauge, figures);
    figures->owner_before = gauge.memory[0].bytes;
    gauge.memory[0].peak = gauge.memory[0].bytes;
    struct sim_report before = sim->report;
    uint64_t from_ns = sim->now_ns;
    gauge_span_begin(&gauge);
    if (plan->n_submitters == 0) {
        sim_run_until(sim, sim->now_ns + IDLE_SECONDS * SIM_S);
    }
    submit_all(sim, plan);
    while (!client_are_all_over(sim)) {
        sim_run_until(sim, sim->now_ns + LOOK_NS);
        look_at_owner(sim, &gauge, figures);
    }
    figures->times = gauge_span_end(&gauge);
    figures->pair_ns = gauge.pair_ns;
    figures->is_bare = sim->transport == SIM_TRANSPORT_BARE;
    figures->seconds = (double)(sim->now_ns - from_ns) / 1e9;
    figures->n_messages = sim->report.n_messages - before.n_messages;
    figures->n_bytes = sim->report.n_bytes - before.n_bytes;
    figures->owner_peak = gauge.memory[0].peak;
    sim_free(sim);
    gauge_done(&gauge);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    figures->rss_peak = (uint64_t)used.ru_maxrss * 1024;
    figures->is_there = true;
}

static void measure_apart(const struct row *row)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        measure(row->plan, row->figures);
        _exit(0);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !row->figures->is_there) {
        fprintf(stderr, "scale: %s could not be measured\n", row->plan->name);
        exit(1);
    }
}

/* --- saying ------------------------------------------------------------------------------------
 */

static double cpu_of(const struct figures *figures)
{
    double ns = 0;
    for (unsigned role = 0; role < GAUGE_N_ROLES; role++) {
        ns += figures->times.cpu_ns[role];
    }
    return ns;
}

static uint64_t per_task(const struct figures *figures)
{
    uint64_t more = figures->owner_at_peak - figures->owner_before;
    return figures->n_tasks_peak > 0 ? more / figures->n_tasks_peak : 0;
}

static void print_row(const struct row *row)
{
    const struct plan *plan = row->plan;
    const struct figures *f = row->figures;
    double n = plan->n_peers;
    if (plan->n_submitters == 0) {
        double peer_seconds = n * f->seconds;
        printf("%-14s %6u %9.1f %5llu %10.2f %10.0f %12.2f %11.1f\n", plan->name, plan->n_peers,
               (double)f->n_sessions / n, (unsigned long long)f->n_sessions_max,
               (double)f->n_messages / peer_seconds, (double)f->n_bytes / peer_seconds,
               cpu_of(f) / 1000 / peer_seconds, (double)f->memory / n / 1024);
        return;
    }
    double tasks = plan->n_tasks;
    printf("%-14s %6u %5u %8u %8.2f %8.0f %7.2f %7.2f %7.2f %7.2f %9.0f %8.1f %6llu\n", plan->name,
           plan->n_peers, plan->n_submitters, plan->n_tasks, (double)f->n_messages / tasks,
           (double)f->n_bytes / tasks, f->times.cpu_ns[GAUGE_OWNER] / 1000 / tasks,
           f->times.cpu_ns[GAUGE_EXECUTOR] / 1000 / tasks,
           f->times.cpu_ns[GAUGE_REST] / 1000 / tasks, cpu_of(f) / 1000 / tasks, tasks / f->seconds,
           (double)f->owner_peak / (1 << 20), (unsigned long long)per_task(f));
}

static void print_head(bool is_idle, double pair_ns)
{
    if (is_idle) {
        printf("Core time without what reading the clock costs (%.1f ns a step).\n\n", pair_ns);
        printf("%-14s %6s %15s %10s %10s %12s %11s\n", "", "", "sessions", "messages/s", "bytes/s",
               "CPU us/s", "memory KiB");
        printf("%-14s %6s %9s %5s %10s %10s %12s %11s\n", "idle", "peers", "mean", "most",
               "and peer", "and peer", "and peer", "and peer");
    } else {
        printf("\n%-14s %6s %5s %8s %17s %31s %9s %15s\n", "", "", "sub-", "", "a task",
               "core CPU us a task", "tasks a", "submitter");
        printf("%-14s %6s %5s %8s %8s %8s %7s %7s %7s %7s %9s %8s %6s\n", "busy", "peers", "mit",
               "tasks", "messages", "bytes", "owner", "exec.", "rest", "all", "second", "MiB",
               "B/task");
    }
}

static void print_json(const struct row *row, bool is_first)
{
    const struct plan *plan = row->plan;
    const struct figures *f = row->figures;
    printf("%s\n  {\"row\": \"%s\", \"peers\": %u, \"submitters\": %u, \"tasks\": %u, "
           "\"has_sessions\": %s,\n",
           is_first ? "[" : ",", plan->name, plan->n_peers, plan->n_submitters, plan->n_tasks,
           f->is_bare ? "false" : "true");
    printf("   \"virtual_seconds\": %.3f, \"messages\": %llu, \"bytes\": %llu, \"sessions\": %llu, "
           "\"sessions_most\": %llu, \"known\": %llu,\n",
           f->seconds, (unsigned long long)f->n_messages, (unsigned long long)f->n_bytes,
           (unsigned long long)f->n_sessions, (unsigned long long)f->n_sessions_max,
           (unsigned long long)f->n_known);
    printf("   \"cpu_owner_ns\": %.0f, \"cpu_executor_ns\": %.0f, \"cpu_rest_ns\": %.0f, "
           "\"steps\": %llu, \"clock_pair_ns\": %.1f, \"cpu_share\": %.3f,\n",
           f->times.cpu_ns[GAUGE_OWNER], f->times.cpu_ns[GAUGE_EXECUTOR],
           f->times.cpu_ns[GAUGE_REST],
           (unsigned long long)(f->times.n_steps[0] + f->times.n_steps[1] + f->times.n_steps[2]),
           f->pair_ns, f->times.share);
    printf("   \"memory\": %llu, \"memory_most\": %llu, \"submitter_before\": %llu, "
           "\"submitter_peak\": %llu, \"tasks_outstanding_peak\": %llu, "
           "\"bytes_per_outstanding_task\": %llu, \"process_rss_peak\": %llu}",
           (unsigned long long)f->memory, (unsigned long long)f->memory_max,
           (unsigned long long)f->owner_before, (unsigned long long)f->owner_peak,
           (unsigned long long)f->n_tasks_peak, (unsigned long long)per_task(f),
           (unsigned long long)f->rss_peak);
}

/* --- the command -------------------------------------------------------------------------------
 */

static bool holds(const struct row *row)
{
    const struct plan *plan = row->plan;
    bool is_cheap = plan->n_submitters == 0 || plan->n_peers != CPU_LIMIT_PEERS ||
                    cpu_of(row->figures) / plan->n_tasks < CPU_LIMIT_NS;
    bool is_small = plan->n_tasks < MILLION || row->figures->owner_peak < MEMORY_LIMIT;
    if (!is_cheap || !is_small) {
        fprintf(stderr, "scale: %s needs too much %s\n", plan->name, is_cheap ? "memory" : "CPU");
    }
    return is_cheap && is_small;
}

static bool run_rows(const bool *is_chosen, bool is_json)
{
    struct figures *figures = mmap(NULL, sizeof(*figures) * ARRAY_LEN(plans),
                                   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ensure(figures != MAP_FAILED);
    const struct row *last = NULL;
    struct row rows[ARRAY_LEN(plans)];
    bool is_good = true;
    for (unsigned i = 0; i < ARRAY_LEN(plans); i++) {
        rows[i] = (struct row){.plan = &plans[i], .figures = &figures[i]};
        if (!is_chosen[i]) {
            continue;
        }
        measure_apart(&rows[i]);
        bool is_idle = plans[i].n_submitters == 0;
        if (is_json) {
            print_json(&rows[i], last == NULL);
        } else {
            if (last == NULL || is_idle != (last->plan->n_submitters == 0)) {
                print_head(is_idle, figures[i].pair_ns);
            }
            print_row(&rows[i]);
        }
        is_good &= holds(&rows[i]);
        last = &rows[i];
    }
    if (is_json) {
        printf("\n]\n");
    }
    munmap(figures, sizeof(*figures) * ARRAY_LEN(plans));
    return is_good;
}

static _Noreturn void bad_usage(const char *what)
{
    fprintf(stderr, "scale: %s\n%s", what, usage);
    exit(2);
}

static void choose(bool *is_chosen, const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(plans); i++) {
        if (strcmp(name, "list") == 0) {
            printf("%s\n", plans[i].name);
        } else if (strcmp(name, plans[i].name) == 0) {
            is_chosen[i] = true;
            return;
        }
    }
    if (strcmp(name, "list") == 0) {
        exit(0);
    }
    fprintf(stderr, "scale: there is no row '%s' (see --row list)\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"row", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool is_json = false;
    bool is_any = false;
    bool is_chosen[ARRAY_LEN(plans)] = {false};
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'j':
            is_json = true;
            break;
        case 'r':
            choose(is_chosen, optarg);
            is_any = true;
            break;
        case 'h':
            printf("%s", usage);
            return 0;
        default:
            bad_usage("unknown option");
        }
    }
    for (unsigned i = 0; i < ARRAY_LEN(plans) && !is_any; i++) {
        is_chosen[i] = true;
    }
    return run_rows(is_chosen, is_json) ? 0 : 1;
}
