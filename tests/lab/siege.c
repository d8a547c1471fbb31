#include "tests/lab/siege.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/base/text.h"

#define PORT        "7437"
#define PATIENCE_MS 60000
/* Between two runs of `mesh peers`. */
#define ASK_PAUSE_MS 20
/* An attack is on its way for so long before honest work begins. */
#define LEAD_MS    700
#define TASKS_MAX  2000u
#define ROUNDS_MAX 9u
/* Some 10 ms of a processor. */
#define PRIMES_BELOW "100000"
#define PRIMES_SUM   "454396537"

/* What is asked for in numbers: that many keys, and the records of that many peers, four each. */
#define KEYS    10000u
#define RECORDS 40000u

const struct siege_attack siege_attacks[] = {
    {.name = "bad-hello"},
    {.name = "bad-proof"},
    {.name = "bad-lengths"},
    {.name = "half-handshakes"},
    {.name = "slow-hellos"},
    {.name = "hellos"},
    {.name = "replayed-hello"},
    {.name = "reflected-hello"},
    {.name = "keys-in-turn", .n_sent_min = KEYS},
    {.name = "keys-at-once"},
    {.name = "bad-frame"},
    {.name = "replayed-frame"},
    {.name = "huge-counts"},
    {.name = "deep-nesting"},
    {.name = "slow-frames"},
    {.name = "deaf"},
    {.name = "beats"},
    {.name = "wants"},
    {.name = "inventories"},
    {.name = "grants"},
    {.name = "blob-wants"},
    {.name = "hearsay"},
    {.name = "sums"},
    {.name = "names"},
    {.name = "jobs"},
    {.name = "sizes"},
    {.name = "arguments"},
    {.name = "output"},
    {.name = "wrong-blobs"},
    {.name = "long-blobs"},
    {.name = "results", .is_on_owner = true},
    {.name = "stolen-results", .is_on_owner = true},
    {.name = "streams", .is_on_owner = true, .is_streamed = true},
    {.name = "mdns", .n_sent_min = RECORDS},
};
const unsigned siege_n_attacks = ARRAY_LEN(siege_attacks);

const struct siege_attack *siege_find(const char *name)
{
    for (unsigned i = 0; i < siege_n_attacks; i++) {
        if (strcmp(siege_attacks[i].name, name) == 0) {
            return &siege_attacks[i];
        }
    }
    ck_abort_msg("no attack is called %s", name);
}

/* --- the scene ---------------------------------------------------------------------------------
 */

static void begin(struct siege *siege)
{
    unsigned n_processors = siege->apart.is_apart ? (unsigned)CPU_COUNT(&siege->apart.honest) : 0;
    char cores[16];
    snprintf(cores, sizeof(cores), "%u", n_processors > 0 ? 2 * n_processors : SIEGE_CORES);
    apart_be_hostile(&siege->apart); /* the switch */
    siege->lab = lab_new();
    apart_be_honest(&siege->apart);
    siege->owner = lab_host(siege->lab, "hal");
    siege->executor = lab_host(siege->lab, "lily");
    siege->eve = lab_host(siege->lab, "eve");
    apart_receive_honestly(&siege->apart, siege->owner);
    apart_receive_honestly(&siege->apart, siege->executor);
    siege->owner_daemon = daemon_start(siege->owner, "--cores", "0", "--listen", PORT, NULL);
    siege->executor_daemon =
        daemon_start(siege->executor, "--cores", cores, "--listen", PORT, NULL);
    struct lab_host *hosts[] = {siege->owner, siege->executor};
    daemon_wait_whole_mesh(hosts, ARRAY_LEN(hosts), PATIENCE_MS);
}

void siege_begin(struct siege *siege)
{
    memset(siege, 0, sizeof(*siege));
    begin(siege);
}

void siege_begin_apart(struct siege *siege)
{
    memset(siege, 0, sizeof(*siege));
    apart_init(&siege->apart);
    begin(siege);
}

/* Other peers may be listed by now: these two are what matters. */
void siege_check_well(struct siege *siege, unsigned deadline_ms)
{
    daemon_wait_state(siege->owner, "lily", "up", deadline_ms);
    daemon_wait_state(siege->executor, "hal", "up", deadline_ms);
    struct lab_host *max = lab_host(siege->lab, "max");
    struct lab_process *newcomer = daemon_start(max, "--cores", "1", NULL);
    daemon_wait_state(siege->executor, "max", "up", deadline_ms);
    daemon_wait_state(max, "lily", "up", deadline_ms);
    lab_stop(newcomer, PATIENCE_MS);
}

void siege_end(struct siege *siege)
{
    lab_stop(siege->owner_daemon, PATIENCE_MS);
    lab_stop(siege->executor_daemon, PATIENCE_MS);
    lab_free(siege->lab);
}

/* --- mesh peers, again and again ---------------------------------------------------------------
 */

static volatile sig_atomic_t is_ending;

static void on_term(int signal_number)
{
    is_ending = 1;
}

static int ask_once(const char *mesh)
{
    extern char **environ;
    char command[LAB_PATH_BYTES_MAX];
    snprintf(command, sizeof(command), "%s", mesh);
    char option[] = "--socket";
    char socket_path[] = DAEMON_SOCKET;
    char peers[] = "peers";
    char *argv[] = {command, option, socket_path, peers, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int status = -1;
    int rc = posix_spawn(&pid, command, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    while (rc == 0 && waitpid(pid, &status, 0) < 0) {
    }
    return status;
}

/* Prints how often it asked and how long the slowest took, when it is told to end. */
static int ask_on(void *context)
{
    struct sigaction on_end = {.sa_handler = on_term};
    sigaction(SIGTERM, &on_end, NULL);
    uint64_t slowest_ns = 0;
    unsigned n = 0;
    int n_bad = 0;
    while (!is_ending) {
        uint64_t start_ns = lab_now_ns();
        n_bad += ask_once(context) != 0;
        uint64_t took_ns = lab_now_ns() - start_ns;
        slowest_ns = took_ns > slowest_ns ? took_ns : slowest_ns;
        n++;
        lab_let_pass(ASK_PAUSE_MS);
    }
    printf("%u %llu\n", n, (unsigned long long)slowest_ns);
    fflush(stdout);
    return n_bad != 0;
}

/* --- figures -----------------------------------------------------------------------------------
 */

static unsigned peak_kib_of(pid_t pid)
{
    char path[64];
    char line[256];
    unsigned kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL && sscanf(line, "VmHWM: %u", &kib) != 1) {
    }
    fclose(file);
    return kib;
}

static double cpu_s_of(pid_t pid)
{
    char path[64];
    char line[1024];
    unsigned long user = 0;
    unsigned long kernel = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    fclose(file);
    const char *rest = strrchr(line, ')'); /* the name before it may hold anything */
    ck_assert_ptr_nonnull(rest);
    ck_assert_int_eq(
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel), 2);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static unsigned bytes_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (unsigned)st.st_size : 0;
}

/* What each honest task prints: the sum of the primes below PRIMES_BELOW. */
static void check_output(const char *text, unsigned n_tasks)
{
    static const char line[] = PRIMES_BELOW " " PRIMES_SUM "\n";
    for (unsigned i = 0; i < n_tasks; i++) {
        ck_assert_msg(strncmp(text, line, sizeof(line) - 1) == 0, "forged: %.80s", text);
        text += sizeof(line) - 1;
    }
    ck_assert_str_eq(text, "");
}

/* The honest job: tasks that reckon. */
static double work_once(struct siege *siege, unsigned n_tasks, bool is_streamed)
{
    const char *argv[TASKS_MAX + 20] = {getenv("MESH"), "--socket",  DAEMON_SOCKET,
                                        "submit",       "--retries", "3"};
    unsigned n = 6;
    if (is_streamed) {
        argv[n++] = "--line-buffer";
    }
    argv[n++] = getenv("LAB_TASK");
    argv[n++] = "."; /* it leaves its notes in its scratch */
    argv[n++] = "0";
    argv[n++] = ":::";
    ck_assert_uint_le(n_tasks, TASKS_MAX);
    for (unsigned i = 0; i < n_tasks; i++) {
        argv[n++] = PRIMES_BELOW;
    }
    argv[n] = NULL;
    uint64_t start_ns = lab_now_ns();
    struct lab_process *job = lab_spawnv(siege->owner, argv, NULL);
    lab_expect(job, PATIENCE_MS, 0);
    if (!is_streamed) { /* else what an executor said before it gave a task back is shown, too */
        check_output(lab_output(job), n_tasks);
    }
    return n_tasks / ((double)(lab_now_ns() - start_ns) / 1e9);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median of some such jobs, one after the other. */
static double work(struct siege *siege, const struct siege_plan *plan, bool is_streamed)
{
    double speeds[ROUNDS_MAX];
    ck_assert_uint_le(plan->n_rounds, ROUNDS_MAX);
    for (unsigned i = 0; i < plan->n_rounds; i++) {
        speeds[i] = work_once(siege, plan->n_tasks, is_streamed);
    }
    qsort(speeds, plan->n_rounds, sizeof(speeds[0]), by_value);
    return speeds[plan->n_rounds / 2];
}

static struct lab_process *start_attack(struct siege *siege, const struct siege_attack *attack,
                                        const struct siege_plan *plan)
{
    const char *program = getenv("LAB_ATTACKER");
    const struct lab_host *target = attack->is_on_owner ? siege->owner : siege->executor;
    ck_assert_ptr_nonnull(program);
    char least[24];
    snprintf(least, sizeof(least), "%u", plan->is_whole ? attack->n_sent_min : 0);
    apart_be_hostile(&siege->apart);
    struct lab_process *attacker = lab_spawn(siege->eve, program, attack->name, target->address,
                                             PORT, "600", "1", least, NULL);
    apart_be_honest(&siege->apart);
    return attacker;
}

void siege_run(struct siege *siege, const struct siege_attack *attack,
               const struct siege_plan *plan, struct siege_figures *ret_figures)
{
    static char mesh[LAB_PATH_BYTES_MAX];
    bool is_on_owner = attack != NULL && attack->is_on_owner;
    struct lab_process *daemon = is_on_owner ? siege->owner_daemon : siege->executor_daemon;
    struct lab_host *host = is_on_owner ? siege->owner : siege->executor;
    unsigned log_bytes = bytes_of(daemon->err_path);
    double cpu_s = cpu_s_of(daemon->pid);
    uint64_t start_ns = lab_now_ns();
    *ret_figures = (struct siege_figures){0};
    snprintf(mesh, sizeof(mesh), "%s", getenv("MESH"));
    struct lab_process *asking = lab_call(host, ask_on, mesh);
    struct lab_process *attacker = attack != NULL ? start_attack(siege, attack, plan) : NULL;
    lab_let_pass(LEAD_MS);
    ret_figures->tasks_per_s = work(siege, plan, attack != NULL && attack->is_streamed);
    if (attacker != NULL) {
        unsigned long long n_sent = 0;
        unsigned long long n_up = 0;
        lab_stop(attacker, PATIENCE_MS);
        ck_assert_int_eq(sscanf(lab_output(attacker), "sent %llu up %llu", &n_sent, &n_up), 2);
        ret_figures->n_sent = n_sent;
        ret_figures->n_up = n_up;
    }
    lab_stop(asking, PATIENCE_MS);
    unsigned long long slowest_ns = 0;
    ck_assert_int_eq(sscanf(lab_output(asking), "%u %llu", &ret_figures->n_asked, &slowest_ns), 2);
    ret_figures->slowest_ms = (double)slowest_ns / 1e6;
    if (!lab_is_running(daemon)) {
        lab_fail(siege->lab, "%s: meshd has ended", host->name);
    }
    ret_figures->peak_kib = peak_kib_of(daemon->pid);
    ret_figures->cpu_percent =
        (cpu_s_of(daemon->pid) - cpu_s) / ((double)(lab_now_ns() - start_ns) / 1e9) * 100;
    ret_figures->log_bytes = bytes_of(daemon->err_path) - log_bytes;
}
