/* How a job goes: soak_job_begin() draws what it is from the seed and its number, writes what it
 * reads into a folder of its own, and starts `mesh submit` there, or a program of libmesh. From
 * then on soak_jobs_step() looks whether its process has ended, has that end checked (soak_ends.c)
 * and does what comes next. For most jobs that is nothing: the slot is free. A detached one is kept
 * by its daemon, is waited for with `mesh wait` as soon as that daemon answers, and is forgotten
 * with `mesh forget` when its results are here.
 *
 * Whatever is cut on the way is done again, as a user would: a `mesh wait` or `mesh forget` that
 * ends with its daemon, or is killed, is started anew. What is killed of a `mesh submit` is gone.
 * The power takes all processes of the host with it; only detached jobs outlive that. */
#include "tests/lab/soak_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lab/soak.h"
#include "tests/lab/soak_check.h"
#include "tests/lab/soak_ends.h"
#include "tests/sim/dice.h"

#define ARGS_MAX 32
#define BUSY_MS  12000 /* of all tasks of a job together, about */

const char *soak_job_text(enum soak_job_kind kind)
{
    static const char *const texts[SOAK_N_JOBS] = {
#define X(name, text) text,
        SOAK_JOBS(X)
#undef X
    };
    return texts[kind];
}

static bool has_base(const struct soak_job *job)
{
    return job->kind == SOAK_JOB_BASE;
}

bool soak_job_has_files(const struct soak_job *job)
{
    return job->kind == SOAK_JOB_FILES || job->kind == SOAK_JOB_DETACHED_FILES;
}

bool soak_job_is_detached(const struct soak_job *job)
{
    return job->kind == SOAK_JOB_DETACHED || job->kind == SOAK_JOB_DETACHED_FILES;
}

/* --- what it is --------------------------------------------------------------------------------
 */

static unsigned between(struct dice *dice, unsigned low, unsigned high)
{
    return (unsigned)dice_between(dice, low, high);
}

static void draw_sizes(struct soak_job *job, struct dice *dice)
{
    static const unsigned times[] = {5, 30, 150, 600, 2500};
    job->ms = times[dice_roll(dice, ARRAY_LEN(times))];
    unsigned n = BUSY_MS / job->ms;
    job->n_tasks = n < 6 ? 6 : n > 100 ? 100 : n;
    job->n_lines = between(dice, 1, 3);
    job->n_bytes = 0;
    switch (job->kind) {
    case SOAK_JOB_BASE:
        job->n_bytes = between(dice, 100000, 700000);
        job->n_tasks = between(dice, 8, 30);
        break;
    case SOAK_JOB_FILES:
    case SOAK_JOB_DETACHED_FILES:
        job->n_bytes = (unsigned)dice_log(dice, 100, 300000);
        job->n_tasks = between(dice, 4, 14);
        break;
    case SOAK_JOB_OUTPUT:
        job->n_lines = between(dice, 2000, 8000);
        job->n_tasks = between(dice, 3, 10);
        break;
    case SOAK_JOB_STDIN:
        job->n_bytes = between(dice, 200000, 500000);
        job->n_lines = (unsigned)dice_log(dice, 1, 4000);
        job->n_tasks = 1;
        break;
    case SOAK_JOB_ONCE:
    case SOAK_JOB_CALLS:
    case SOAK_JOB_PLAIN:
    case SOAK_JOB_ORDERED:
    case SOAK_JOB_DETACHED:
    case SOAK_N_JOBS:
        break;
    }
}

const char *soak_job_log_path(struct soak_host *host, const struct soak_job *job)
{
    static char path[LAB_PATH_BYTES_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s-%u", daemon_log_folder(host->soak->lab), host->host->name,
             job->number);
    return path;
}

static FILE *create(const struct soak_job *job, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", job->folder, name);
    FILE *file = fopen(path, "we");
    ck_assert_msg(file != NULL, "soak: cannot make %s: %s", path, strerror(errno));
    return file;
}

static void write_bytes(const struct soak_job *job, const char *name, unsigned i)
{
    uint8_t *bytes = malloc(job->n_bytes + 1);
    ck_assert_ptr_nonnull(bytes);
    soak_fill(job, i, bytes);
    FILE *file = create(job, name);
    ck_assert_uint_eq(fwrite(bytes, 1, job->n_bytes, file), job->n_bytes);
    ck_assert_int_eq(fclose(file), 0);
    free(bytes);
}

/* Everything that it reads, in its folder. */
static void write_inputs(const struct soak_job *job)
{
    char name[32];
    char out[256];
    snprintf(out, sizeof(out), "%s/out", job->folder);
    ck_assert(mkdir(job->folder, 0755) == 0 && mkdir(out, 0755) == 0);
    FILE *list = create(job, "inputs");
    for (unsigned i = 0; i < job->n_tasks; i++) {
        soak_input_name(job, i, name, sizeof(name));
        fprintf(list, "%s\n", name);
        if (soak_job_has_files(job)) {
            write_bytes(job, name, i);
        }
    }
    ck_assert_int_eq(fclose(list), 0);
    if (has_base(job) || job->kind == SOAK_JOB_STDIN) {
        write_bytes(job, "base", SOAK_BASE);
    }
}

/* --- starting ----------------------------------------------------------------------------------
 */

static unsigned put_words(const char *argv[ARGS_MAX], unsigned n, const char *const *words)
{
    for (; *words != NULL; words++) {
        ck_assert_uint_lt(n, ARGS_MAX - 1);
        argv[n++] = *words;
    }
    argv[n] = NULL;
    return n;
}

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void spawn(struct soak_host *host, struct soak_job *job, const char *const *argv,
                  const char *stdin_path)
{
    static const char *const env[] = {"MESH_SOCKET=" DAEMON_SOCKET, NULL};
    const struct lab_start start = {.stdin_path = stdin_path, .folder = job->folder, .env = env};
    job->begun_ns = lab_now_ns();
    job->is_killed = false;
    job->process = lab_spawnv(host->host, argv, &start);
}

static void spawn_calls(struct soak_host *host, struct soak_job *job)
{
    char n_tasks[16];
    char ms[16];
    snprintf(n_tasks, sizeof(n_tasks), "%u", job->n_tasks);
    snprintf(ms, sizeof(ms), "%u", job->ms);
    const char *const argv[] = {getenv("LAB_CALLER"), "steady", n_tasks, ms, NULL};
    spawn(host, job, argv, NULL);
}

static void spawn_submit(struct soak_host *host, struct soak_job *job)
{
    const char *argv[ARGS_MAX];
    char ms[16];
    char n_lines[16];
    char base[256];
    snprintf(ms, sizeof(ms), "%u", job->ms);
    snprintf(n_lines, sizeof(n_lines), "%u", job->n_lines);
    snprintf(base, sizeof(base), "%s/base", job->folder);
    bool is_single = job->kind == SOAK_JOB_STDIN;
    unsigned n = put_words(argv, 0, WORDS(getenv("MESH"), "submit"));
    if (soak_job_is_detached(job)) {
        n = put_words(argv, n, WORDS("--detach"));
    } else if (job->kind == SOAK_JOB_ORDERED || job->kind == SOAK_JOB_OUTPUT) {
        n = put_words(argv, n, WORDS("-k"));
    }
    if (has_base(job)) {
        n = put_words(argv, n, WORDS("--basefile", "base"));
    } else if (job->kind == SOAK_JOB_ONCE) {
        n = put_words(argv, n, WORDS("--once"));
    }
    if (soak_job_has_files(job)) {
        n = put_words(argv, n, WORDS("--transferfile", "{}", "--return", "{}.out"));
    }
    if (!is_single) {
        n = put_words(argv, n, WORDS("-a", "inputs"));
    }
    n = put_words(argv, n, WORDS(getenv("LAB_SOAK_TASK"), ms, is_single ? "in" : "{}"));
    n = put_words(argv, n, WORDS("-l", n_lines));
    if (has_base(job) || is_single) {
        n = put_words(argv, n, WORDS("-r", is_single ? "-" : "base"));
    }
    if (soak_job_has_files(job)) {
        put_words(argv, n, WORDS("-r", "{}", "-w", "{}.out"));
    } else if (job->kind == SOAK_JOB_ONCE) {
        put_words(argv, n, WORDS("-b", soak_job_log_path(host, job)));
    }
    spawn(host, job, argv, is_single ? base : NULL);
}

void soak_job_begin(struct soak_host *host, struct soak_job *job)
{
    memset(job, 0, sizeof(*job));
    job->number = ++host->n_jobs;
    uint64_t seed = dice_mix(host->soak->options.seed) ^ dice_mix(host->index + 1);
    struct dice dice = {.state = seed + job->number};
    job->seed = dice_next(&dice);
    job->kind = (enum soak_job_kind)dice_roll(&dice, SOAK_N_JOBS);
    draw_sizes(job, &dice);
    snprintf(job->folder, sizeof(job->folder), "%s/%s-%u", lab_share(host->soak->lab),
             host->host->name, job->number);
    write_inputs(job);
    job->state = SOAK_JOB_RUNS;
    job->first_ns = lab_now_ns();
    if (job->kind == SOAK_JOB_CALLS) {
        spawn_calls(host, job);
    } else {
        spawn_submit(host, job);
    }
}

/* --- all of them --------------------------------------------------------------------------------
 */

static void await(struct soak_host *host, struct soak_job *job)
{
    const char *argv[ARGS_MAX];
    unsigned n = put_words(argv, 0, WORDS(getenv("MESH"), "wait", "-k"));
    if (soak_job_has_files(job)) {
        n = put_words(argv, n, WORDS("--files", "out"));
    }
    put_words(argv, n, WORDS(job->id));
    spawn(host, job, argv, NULL);
    job->state = SOAK_JOB_IS_AWAITED;
}

static void forget(struct soak_host *host, struct soak_job *job)
{
    spawn(host, job, WORDS(getenv("MESH"), "forget", job->id), NULL);
    job->n_forgets++;
    job->state = SOAK_JOB_IS_FORGOTTEN;
}

static void step(struct soak_host *host, struct soak_job *job)
{
    int status = 0;
    bool is_over = job->process != NULL && lab_wait(job->process, 0, &status) == 0;
    switch (job->state) {
    case SOAK_JOB_NONE:
        break;
    case SOAK_JOB_RUNS:
    case SOAK_JOB_IS_AWAITED:
    case SOAK_JOB_IS_FORGOTTEN:
        if (is_over) {
            soak_job_end(host, job, status);
        }
        break;
    case SOAK_JOB_IS_KEPT:
        if (host->is_ready) {
            await(host, job);
        }
        break;
    case SOAK_JOB_IS_OVER:
        if (host->is_ready) {
            forget(host, job);
        }
        break;
    }
}

void soak_jobs_step(struct soak *soak, bool may_begin)
{
    for (unsigned i = 0; i < SOAK_SUBMITTERS; i++) {
        struct soak_host *host = &soak->hosts[i];
        for (unsigned k = 0; k < SOAK_SLOTS; k++) {
            step(host, &host->jobs[k]);
            if (may_begin && host->jobs[k].state == SOAK_JOB_NONE && host->is_ready &&
                !host->is_frozen) {
                soak_job_begin(host, &host->jobs[k]);
            }
        }
    }
}

unsigned soak_jobs_count(const struct soak *soak)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SOAK_SUBMITTERS; i++) {
        for (unsigned k = 0; k < SOAK_SLOTS; k++) {
            n += soak->hosts[i].jobs[k].state != SOAK_JOB_NONE;
        }
    }
    return n;
}

bool soak_jobs_kill_one(struct soak_host *host)
{
    struct soak_job *oldest = NULL;
    for (unsigned k = 0; k < SOAK_SLOTS; k++) {
        struct soak_job *job = &host->jobs[k];
        bool is_one = (job->state == SOAK_JOB_RUNS && job->kind != SOAK_JOB_CALLS) ||
                      job->state == SOAK_JOB_IS_AWAITED;
        if (is_one && lab_is_running(job->process) &&
            (oldest == NULL || job->begun_ns < oldest->begun_ns)) {
            oldest = job;
        }
    }
    if (oldest == NULL) {
        return false;
    }
    lab_kill(oldest->process);
    oldest->is_killed = true;
    return true;
}

void soak_jobs_on_power_off(struct soak_host *host)
{
    for (unsigned k = 0; k < SOAK_SLOTS; k++) {
        host->jobs[k].is_killed = host->jobs[k].process != NULL;
    }
}
