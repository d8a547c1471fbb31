#include "tests/sim/explain.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/base/mem.h"

#define SEED_SECONDS   300u /* of real time: a run that is not over by then is stuck */
#define SHRINKS_MAX    40u
#define TIMELINE_BYTES (24u << 10)

struct shared { /* with the child */
    uint32_t n_planned;
    size_t n_trace;
    char trace[TIMELINE_BYTES];
};

static struct shared *shared;

static void last_line(int fd, char *text)
{
    char bytes[4096];
    size_t n = 0;
    ssize_t rc;
    while ((rc = read(fd, bytes + n, sizeof(bytes) - 1 - n)) > 0) {
        n += (size_t)rc;
        if (n == sizeof(bytes) - 1) { /* the end is what counts */
            memmove(bytes, bytes + n / 2, n - n / 2);
            n -= n / 2;
        }
    }
    while (n > 0 && bytes[n - 1] == '\n') {
        n--;
    }
    bytes[n] = '\0';
    const char *line = strrchr(bytes, '\n');
    snprintf(text, EXPLAIN_TEXT_BYTES, "%.*s", (int)EXPLAIN_TEXT_BYTES - 1,
             line != NULL ? line + 1 : bytes);
}

/* The trace is kept outside the process that dies: the last of it is what matters. */
static struct buf trace;

static void on_abort(int signal)
{
    size_t n = trace.n < TIMELINE_BYTES ? trace.n : TIMELINE_BYTES;
    memcpy(shared->trace, trace.p + trace.n - n, n);
    shared->n_trace = n;
    _exit(3);
}

static _Noreturn void child(const struct sim_options *options, int fd)
{
    dup2(fd, STDERR_FILENO);
    alarm(SEED_SECONDS);
    struct sim_options mine = *options;
    mine.planned = &shared->n_planned;
    if (options->trace != NULL) {
        buf_init(&trace, 256u << 20);
        mine.trace = &trace;
        mine.trace_bytes_max = 4 * TIMELINE_BYTES;
        struct sigaction action = {.sa_handler = on_abort};
        sigaction(SIGABRT, &action, NULL);
        sigaction(SIGALRM, &action, NULL);
    }
    struct sim_report report;
    sim_play(&mine, &report);
    _exit(0);
}

bool explain_play(const struct sim_options *options, char text[static EXPLAIN_TEXT_BYTES])
{
    if (shared == NULL) {
        shared =
            mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ensure(shared != MAP_FAILED);
    }
    int fds[2];
    int rc = pipe(fds);
    ensure(rc == 0);
    fflush(NULL);
    pid_t pid = fork();
    ensure(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child(options, fds[1]);
    }
    close(fds[1]);
    last_line(fds[0], text);
    close(fds[0]);
    int status = 0;
    rc = waitpid(pid, &status, 0);
    ensure(rc == pid);
    bool is_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!is_well && text[0] == '\0') {
        snprintf(text, EXPLAIN_TEXT_BYTES, "it does not end");
    }
    return is_well;
}

/* The smallest prefix of the schedule that still fails; halving, as if there were one border. */
static void shrink_prefix(struct sim_options *options, uint32_t n_planned)
{
    char text[EXPLAIN_TEXT_BYTES];
    uint32_t good = 0;
    uint32_t bad = n_planned < options->n_faults_first ? n_planned : options->n_faults_first;
    options->n_faults_first = 0;
    if (!explain_play(options, text)) {
        return;
    }
    while (bad - good > 1) {
        uint32_t middle = good + (bad - good) / 2;
        options->n_faults_first = middle;
        if (explain_play(options, text)) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    options->n_faults_first = bad;
}

/* Faults of that prefix that it does not need. */
static void shrink_holes(struct sim_options *options)
{
    char text[EXPLAIN_TEXT_BYTES];
    unsigned n_tries = 0;
    for (uint32_t i = options->n_faults_first; i-- > 0 && n_tries < SHRINKS_MAX; n_tries++) {
        if (options->n_skips == SIM_SKIPS_MAX) {
            return;
        }
        options->skips[options->n_skips++] = i;
        if (explain_play(options, text)) {
            options->n_skips--;
        }
    }
}

static void print_replay(const struct sim_options *options)
{
    printf("  replay: sim --seed %llu", (unsigned long long)options->seed);
    if (options->n_peers > 0) {
        printf(" --peers %u", options->n_peers);
    }
    if (options->n_faults_first != SIM_FIRST_ALL) {
        printf(" --first %u", options->n_faults_first);
    }
    for (uint32_t i = 0; i < options->n_skips; i++) {
        printf("%s%u", i == 0 ? " --without " : ",", options->skips[i]);
    }
    printf(" --trace -\n");
}

void explain_seed(const struct sim_options *failing)
{
    struct sim_options options = *failing;
    char text[EXPLAIN_TEXT_BYTES];
    options.trace = NULL;
    if (explain_play(&options, text)) {
        printf("seed %llu: broke a rule once, and does not again: something is not repeatable\n",
               (unsigned long long)options.seed);
        return;
    }
    printf("seed %llu breaks a rule: %s\n", (unsigned long long)options.seed, text);
    uint32_t n_planned = shared->n_planned;
    shrink_prefix(&options, n_planned);
    shrink_holes(&options);
    uint32_t n_left = options.n_faults_first - options.n_skips;
    printf("  with %u of its %u faults it still does\n", n_left, n_planned);
    print_replay(&options);
    struct buf wanted;
    options.trace = &wanted; /* only says that there is to be one */
    if (!explain_play(&options, text)) {
        printf("  %s\n  the end of its timeline:\n%.*s", text, (int)shared->n_trace, shared->trace);
    }
    fflush(stdout);
}
