/* sim: plays seeds, hunts for one that breaks a rule, and explains it. */
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/explain.h"
#include "tests/sim/sim.h"
#include "wire/base/mem.h"

#define WORKERS_MAX   64u
#define BROKEN_MAX    1000u
#define EXPLAINED_MAX 2u
#define SEED_SECONDS  300u
#define ROWS_LEAST    100u  /* --thorough: each row of each table */
#define KINDS_LEAST   1000u /* and each kind of fault */
#define PEERS_MAX     1000u /* more take their time: scale.c has what those cost */
#define MINUTES_MAX   1440u
#define SIZES_LEAST   1000u /* and meshes of 2, 4, 8, 16, 32 peers and more */

static const char usage[] =
    "usage: sim --seeds A..B | --seed N [OPTION]...\n"
    "Plays whole meshes in memory, each drawn from its seed, and checks every rule after every\n"
    "event. Ends with the line `N seeds, N events, N faults, N violations`, and with status 1 if\n"
    "there was a violation.\n"
    "  --seeds A..B      these seeds, both included\n"
    "  --seed N          one seed\n"
    "  --peers N         with N peers, at most 1000 (drawn: 2 to 60)\n"
    "  --minutes M       faults go on for M minutes of virtual time (drawn: 30 to 45 s)\n"
    "  --fault NAME      only this kind of fault; may be given again; `none` for none; `list`\n"
    "  --transport T     full, fast (curves stood in for) or bare (no sessions); drawn: a tenth\n"
    "                    of the seeds full, the others fast\n"
    "  --first K         only the first K faults of the schedule\n"
    "  --without I,J...  and of those not these\n"
    "  --trace FILE      one seed: every event and effect goes there; - is standard output\n"
    "  --twice           plays each seed twice and compares the two traces, bit for bit\n"
    "  --brief           ends at the first seed that breaks a rule, and says which rule\n"
    "  --thorough        also fails if a row of a table, a kind of fault or a size of\n"
    "                    mesh came up too seldom, or a run was too short\n"
    "  --jobs N          so many processes (as many as there are processors)\n"
    "example: sim --seeds 1..10000\n";

struct worker {
    pid_t pid;
    _Atomic uint64_t seed; /* being played; 0: none */
    struct sim_report report;
    uint64_t n_seeds;
};

struct shared {
    _Atomic uint64_t next;
    struct worker workers[WORKERS_MAX];
};

struct command {
    struct sim_options options;
    uint64_t first, last;
    unsigned n_workers;
    bool is_twice, is_thorough, is_brief;
    const char *trace;
};

static struct shared *shared;

static _Noreturn void bad_usage(const char *what, const char *value)
{
    fprintf(stderr, "sim: %s '%s' (see --help)\n", what, value);
    exit(2);
}

static uint64_t number(const char *text, const char **ret_end)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (end == text || *text == '-') {
        bad_usage("not a number:", text);
    }
    *ret_end = end;
    return n;
}

static uint64_t whole_number(const char *text)
{
    const char *end;
    uint64_t n = number(text, &end);
    if (*end != '\0') {
        bad_usage("not a number:", text);
    }
    return n;
}

static uint32_t number_up_to(const char *text, uint32_t max)
{
    uint64_t n = whole_number(text);
    if (n == 0 || n > max) {
        char what[64];
        snprintf(what, sizeof(what), "not a number from 1 to %u:", max);
        bad_usage(what, text);
    }
    return (uint32_t)n;
}

/* --- playing -----------------------------------------------------------------------------------
 */

static void play(const struct command *command, uint64_t seed, struct sim_report *ret_report)
{
    struct sim_options options = command->options;
    options.seed = seed;
    struct buf trace;
    buf_init(&trace, 256u << 20);
    if (command->is_twice) {
        options.trace = &trace;
        options.trace_bytes_max = 1u << 20;
    }
    sim_play(&options, ret_report);
    if (command->is_twice) {
        uint64_t hash = ret_report->hash;
        buf_clear(&trace);
        sim_play(&options, ret_report);
        if (hash != ret_report->hash) {
            fprintf(stderr, "seed %llu gives another trace the second time\n",
                    (unsigned long long)seed);
            abort();
        }
    }
    buf_done(&trace);
}

/* Of one seed: processor time, for others may be busy as well. */
static void limit_cpu(void)
{
    const struct itimerval limit = {.it_value.tv_sec = SEED_SECONDS};
    setitimer(ITIMER_PROF, &limit, NULL);
}

static _Noreturn void work(const struct command *command, struct worker *worker)
{
    IGNORE(freopen("/dev/null", "w", stderr)); /* it is played again for what it has to say */
    for (;;) {
        uint64_t seed = atomic_fetch_add(&shared->next, 1);
        if (seed > command->last) {
            worker->seed = 0;
            _exit(0);
        }
        worker->seed = seed;
        limit_cpu();
        struct sim_report report;
        play(command, seed, &report);
        sim_report_add(&worker->report, &report);
        worker->n_seeds++;
    }
}

static void spawn(const struct command *command, struct worker *worker)
{
    fflush(NULL);
    pid_t pid = fork();
    ensure(pid >= 0);
    if (pid == 0) {
        work(command, worker);
    }
    worker->pid = pid; /* shared with the child: only we write it */
}

/* Plays all seeds; those that broke a rule go to `broken`. Returns how many did. */
static size_t hunt(const struct command *command, uint64_t *broken)
{
    size_t n_broken = 0;
    unsigned n_running = command->n_workers;
    shared->next = command->first;
    for (unsigned i = 0; i < command->n_workers; i++) {
        spawn(command, &shared->workers[i]);
    }
    while (n_running > 0) {
        int status;
        pid_t pid = wait(&status);
        ensure(pid > 0);
        struct worker *worker = shared->workers;
        while (worker->pid != pid) {
            worker++;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            n_running--;
            continue;
        }
        worker->n_seeds++;
        if (n_broken < BROKEN_MAX) {
            broken[n_broken] = worker->seed;
        }
        n_broken++;
        fprintf(stderr, "seed %llu breaks a rule; the hunt goes on\n",
                (unsigned long long)worker->seed);
        if (command->is_brief) {
            shared->next = command->last + 1;
        }
        spawn(command, worker);
    }
    return n_broken;
}

/* --- printing ----------------------------------------------------------------------------------
 */

static bool print_faults(const struct sim_report *report, bool is_thorough)
{
    bool is_enough = true;
    printf("faults injected:\n");
    for (unsigned kind = 0; kind < SIM_N_FAULTS; kind++) {
        uint64_t n = report->n_by_kind[kind];
        bool is_few = is_thorough && n < KINDS_LEAST;
        is_enough &= !is_few;
        printf("  %-14s %9llu%s\n", sim_fault_name((enum sim_fault_kind)kind),
               (unsigned long long)n, is_few ? "  too few" : "");
    }
    return is_enough;
}

static bool print_rows(const struct sim_report *report, bool is_thorough)
{
    static const char *const machines[] = {"peer", "task", "attempt"};
    bool is_enough = true;
    printf("rows taken:\n");
    for (unsigned machine = 0; machine < CORE_N_MACHINES; machine++) {
        for (unsigned row = 0; row < core_n_rows((enum core_machine)machine); row++) {
            struct core_row_text text = core_row_text((enum core_machine)machine, row);
            uint64_t n = report->n_taken[machine][row];
            bool is_few = is_thorough && n < ROWS_LEAST;
            is_enough &= !is_few;
            printf("  %-8s %-9s + %-8s -> %-9s %12llu%s\n", machines[machine], text.from,
                   text.cause, text.to, (unsigned long long)n, is_few ? "  too few" : "");
        }
    }
    return is_enough;
}

/* What a run is like, at least. */
static bool print_sizes(const struct sim_report *report, bool is_thorough)
{
    bool is_enough = true;
    printf("runs by how many peers they began with:");
    for (unsigned size = 0; size < SIM_SIZES; size++) {
        uint64_t n = report->n_by_size[size];
        is_enough &= n >= SIZES_LEAST;
        printf(" %u..%u %llu%s", 2u << size,
               size + 1 < SIM_SIZES ? (4u << size) - 1 : SIM_PEERS_MAX, (unsigned long long)n,
               size + 1 < SIM_SIZES ? "," : "\n");
    }
    is_enough &= report->n_full * 10 >= report->n_plays && report->least_ns >= SIM_SPAN_MIN &&
                 report->n_begun_least >= SIM_TASKS_MIN;
    printf("%llu of %llu runs with full sessions; each run at least %.1f virtual seconds and %llu "
           "tasks begun%s\n",
           (unsigned long long)report->n_full, (unsigned long long)report->n_plays,
           (double)report->least_ns / 1e9, (unsigned long long)report->n_begun_least,
           is_thorough && !is_enough ? "  too few" : "");
    return is_enough || !is_thorough;
}

static int conclude_briefly(const struct command *command, uint64_t seed)
{
    struct sim_options options = command->options;
    char text[EXPLAIN_TEXT_BYTES];
    options.seed = seed;
    if (explain_play(&options, text)) {
        snprintf(text, sizeof(text), "once, and not again");
    }
    printf("seed %llu breaks a rule: %s\n", (unsigned long long)seed, text);
    return 1;
}

static int conclude(const struct command *command, const uint64_t *broken, size_t n_broken,
                    double seconds)
{
    if (command->is_brief && n_broken > 0) {
        return conclude_briefly(command, broken[0]);
    }
    struct sim_report report = {0};
    uint64_t n_seeds = 0;
    for (unsigned i = 0; i < command->n_workers; i++) {
        sim_report_add(&report, &shared->workers[i].report);
        n_seeds += shared->workers[i].n_seeds;
    }
    bool is_enough = print_faults(&report, command->is_thorough);
    is_enough &= print_rows(&report, command->is_thorough);
    for (size_t i = 0; i < n_broken && i < EXPLAINED_MAX; i++) {
        struct sim_options options = command->options;
        options.seed = broken[i];
        explain_seed(&options);
    }
    for (size_t i = EXPLAINED_MAX; i < n_broken && i < BROKEN_MAX; i++) {
        struct sim_options options = command->options;
        char text[EXPLAIN_TEXT_BYTES];
        options.seed = broken[i];
        if (i < 20 && !explain_play(&options, text)) {
            printf("seed %llu: %s\n", (unsigned long long)broken[i], text);
        } else {
            printf("seed %llu breaks a rule, too\n", (unsigned long long)broken[i]);
        }
    }
    is_enough &= print_sizes(&report, command->is_thorough);
    printf("%llu peers, %llu jobs, %llu tasks, %llu attempts (%llu of them second ones), %llu "
           "recalled, %llu messages in %llu frames, %.0f virtual hours in %.0f s; the slowest job "
           "used %.1f %% of the time allowed\n",
           (unsigned long long)report.n_peers, (unsigned long long)report.n_jobs,
           (unsigned long long)report.n_tasks, (unsigned long long)report.n_attempts,
           (unsigned long long)report.n_second, (unsigned long long)report.n_recalled,
           (unsigned long long)report.n_messages, (unsigned long long)report.n_frames,
           (double)report.virtual_ns / 3.6e12, seconds, (double)report.slowest_permille / 10);
    printf("%llu results stayed where they were made, %llu tasks read one, %llu were lost\n",
           (unsigned long long)report.n_away, (unsigned long long)report.n_passed,
           (unsigned long long)report.n_gone);
    printf("%llu meshes were closed, %llu peers were invited again, %llu traitors put out\n",
           (unsigned long long)report.n_closed, (unsigned long long)report.n_joins,
           (unsigned long long)report.n_bans);
    printf("%llu meshes had queues: %llu items were put, %llu were done\n",
           (unsigned long long)report.n_queue_plays, (unsigned long long)report.n_queue_items,
           (unsigned long long)report.n_queue_dones);
    printf(
        "%llu shares of executors were judged; the worst used %.1f %% of what it may fall short\n",
        (unsigned long long)report.n_shares, (double)report.unfair_permille / 10);
    printf("%llu seeds, %llu events, %llu faults, %zu violations\n", (unsigned long long)n_seeds,
           (unsigned long long)report.n_events, (unsigned long long)report.n_faults, n_broken);
    return n_broken == 0 && is_enough ? 0 : 1;
}

/* One seed with its whole trace, in this process. */
static int trace_one(const struct command *command)
{
    FILE *to = strcmp(command->trace, "-") == 0 ? stdout : fopen(command->trace, "w");
    if (to == NULL) {
        perror(command->trace);
        return 2;
    }
    struct sim_options options = command->options;
    options.seed = command->first;
    options.trace_file = to;
    struct buf trace;
    buf_init(&trace, 256u << 20);
    options.trace = &trace;
    options.trace_bytes_max = SIZE_MAX;
    struct sim_report report;
    sim_play(&options, &report);
    buf_done(&trace);
    fclose(to);
    return 0;
}

/* --- the command line --------------------------------------------------------------------------
 */

static void parse_seeds(struct command *command, const char *text)
{
    const char *end;
    command->first = number(text, &end);
    command->last = command->first;
    if (strncmp(end, "..", 2) == 0) {
        command->last = whole_number(end + 2);
    } else if (*end != '\0') {
        bad_usage("not A..B:", text);
    }
    if (command->first == 0 || command->last < command->first) {
        bad_usage("seeds count from 1, upwards:", text);
    }
}

static void parse_fault(struct command *command, const char *text, bool *is_any)
{
    enum sim_fault_kind kind;
    if (strcmp(text, "list") == 0) {
        for (unsigned i = 0; i < SIM_N_FAULTS; i++) {
            printf("%-14s %s\n", sim_fault_name((enum sim_fault_kind)i),
                   sim_fault_text((enum sim_fault_kind)i));
        }
        exit(0);
    }
    if (!*is_any) {
        memset(command->options.is_kind_off, true, sizeof(command->options.is_kind_off));
        *is_any = true;
    }
    if (strcmp(text, "none") == 0) {
        command->options.is_calm = true;
    } else if (sim_fault_parse(text, &kind)) {
        command->options.is_kind_off[kind] = false;
    } else {
        bad_usage("no such fault (try --fault list):", text);
    }
}

static void parse_transport(struct command *command, const char *text)
{
    static const char *const names[] = {"drawn", "full", "fast", "bare"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            command->options.transport = (enum sim_transport)i;
            return;
        }
    }
    bad_usage("no such transport:", text);
}

static void parse_without(struct command *command, const char *text)
{
    while (*text != '\0' && command->options.n_skips < SIM_SKIPS_MAX) {
        command->options.skips[command->options.n_skips++] = (uint32_t)number(text, &text);
        text += *text == ',';
    }
}

enum {
    SEEDS = 1,
    PEERS,
    MINUTES,
    FAULT,
    TRANSPORT,
    FIRST,
    WITHOUT,
    TRACE,
    TWICE,
    THOROUGH,
    BRIEF,
    JOBS,
    HELP
};

static void take(struct command *command, int option, bool *is_any_fault)
{
    switch (option) {
    case SEEDS:
        parse_seeds(command, optarg);
        break;
    case PEERS:
        command->options.n_peers = number_up_to(optarg, PEERS_MAX);
        break;
    case MINUTES:
        command->options.seconds_min = number_up_to(optarg, MINUTES_MAX) * 60;
        break;
    case FAULT:
        parse_fault(command, optarg, is_any_fault);
        break;
    case TRANSPORT:
        parse_transport(command, optarg);
        break;
    case FIRST:
        command->options.n_faults_first = (uint32_t)whole_number(optarg);
        break;
    case WITHOUT:
        parse_without(command, optarg);
        break;
    case TRACE:
        command->trace = optarg;
        break;
    case TWICE:
        command->is_twice = true;
        break;
    case THOROUGH:
        command->is_thorough = true;
        break;
    case BRIEF:
        command->is_brief = true;
        break;
    case JOBS:
        command->n_workers = number_up_to(optarg, WORKERS_MAX);
        break;
    case HELP:
        fputs(usage, stdout);
        exit(0);
    default: /* getopt has said what */
        exit(2);
    }
}

static void parse(struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"seeds", 1, NULL, SEEDS},
        {"seed", 1, NULL, SEEDS},
        {"peers", 1, NULL, PEERS},
        {"minutes", 1, NULL, MINUTES},
        {"fault", 1, NULL, FAULT},
        {"transport", 1, NULL, TRANSPORT},
        {"first", 1, NULL, FIRST},
        {"without", 1, NULL, WITHOUT},
        {"trace", 1, NULL, TRACE},
        {"twice", 0, NULL, TWICE},
        {"thorough", 0, NULL, THOROUGH},
        {"jobs", 1, NULL, JOBS},
        {"brief", 0, NULL, BRIEF},
        {"help", 0, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    bool is_any_fault = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        take(command, option, &is_any_fault);
    }
    if (command->first == 0 || optind < argc) {
        bad_usage("which seeds?", optind < argc ? argv[optind] : "");
    }
}

int main(int argc, char **argv)
{
    struct command command = {.n_workers = (unsigned)sysconf(_SC_NPROCESSORS_ONLN)};
    command.options.n_faults_first = SIM_FIRST_ALL;
    parse(&command, argc, argv);
    if (command.trace != NULL) {
        return trace_one(&command);
    }
    uint64_t n = command.last - command.first + 1;
    command.n_workers = command.n_workers == 0            ? 1
                        : command.n_workers > WORKERS_MAX ? WORKERS_MAX
                                                          : command.n_workers;
    command.n_workers = command.n_workers > n ? (unsigned)n : command.n_workers;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ensure(shared != MAP_FAILED);
    uint64_t *broken = mem_alloc_or_die(BROKEN_MAX, sizeof(*broken));
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    size_t n_broken = hunt(&command, broken);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    int status = conclude(&command, broken, n_broken, seconds);
    mem_free(broken);
    return status;
}
