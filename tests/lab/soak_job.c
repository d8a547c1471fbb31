#include "tests/lab/soak_job.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lab/soak.h"
#include "tests/lab/soak_check.h"
#include "tests/sim/dice.h"

#define ARGS_MAX  32
#define EXIT_MESH 125
#define BUSY_MS   12000 /* of all tasks of a job together, about */
#define TOLD_MAX  10    /* lines of tasks that failed; the others are counted only */

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

static bool has_files(const struct soak_job *job)
{
    return job->kind == SOAK_JOB_FILES || job->kind == SOAK_JOB_DETACHED_FILES;
}

static bool is_detached(const struct soak_job *job)
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

/* Where each of its tasks says that it begins. */
static const char *log_path(struct soak_host *host, const struct soak_job *job)
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
        if (has_files(job)) {
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
    if (is_detached(job)) {
        n = put_words(argv, n, WORDS("--detach"));
    } else if (job->kind == SOAK_JOB_ORDERED || job->kind == SOAK_JOB_OUTPUT) {
        n = put_words(argv, n, WORDS("-k"));
    }
    if (has_base(job)) {
        n = put_words(argv, n, WORDS("--basefile", "base"));
    } else if (job->kind == SOAK_JOB_ONCE) {
        n = put_words(argv, n, WORDS("--once"));
    }
    if (has_files(job)) {
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
    if (has_files(job)) {
        put_words(argv, n, WORDS("-r", "{}", "-w", "{}.out"));
    } else if (job->kind == SOAK_JOB_ONCE) {
        put_words(argv, n, WORDS("-b", log_path(host, job)));
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

/* --- its end ------------------------------------------------------------------------------------
 */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    return remove(path);
}

static void drop(struct soak_job *job)
{
    if (job->process != NULL) {
        job->process = lab_forget(job->process);
    }
    IGNORE(nftw(job->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS)); /* the share goes at the end */
    job->state = SOAK_JOB_NONE;
}

static void blame(struct soak_host *host, struct soak_job *job, enum soak_failure failure,
                  uint64_t n, const char *what)
{
    soak_keep_output(host, job);
    soak_blame(host->soak, failure, n, "job %u of %s (%s, %u tasks of %u ms): %s", job->number,
               host->host->name, soak_job_text(job->kind), job->n_tasks, job->ms, what);
}

/* Its daemon was killed or told to end while this process of the job's ran. */
static bool is_cut(const struct soak_host *host, const struct soak_job *job)
{
    return host->struck_ns >= job->begun_ns;
}

/* Blames what was printed and is not right, and returns the rest. */
static struct soak_verdict check(struct soak_host *host, struct soak_job *job, bool is_whole)
{
    struct soak_verdict verdict = soak_check_output(job, lab_output(job->process));
    if (job->kind == SOAK_JOB_ONCE) {
        soak_check_begun(job, log_path(host, job), &verdict);
    }
    if (verdict.n_doubled > 0) {
        blame(host, job, SOAK_DOUBLED, verdict.n_doubled, verdict.what);
    }
    if (verdict.n_wrong > 0) {
        blame(host, job, SOAK_WRONG, verdict.n_wrong, verdict.what);
    } else if (verdict.is_torn && !job->is_killed && (is_whole || job->n_tasks > 1)) {
        blame(host, job, SOAK_WRONG, 1, "a result is torn");
    }
    return verdict;
}

/* So many tasks failed, and each that is told of because it or its cell was lost. */
static bool are_all_lost(struct soak_job *job, int n_failed)
{
    static const char failed[] = ") failed: ";
    int n_lost = 0;
    for (const char *at = strstr(lab_errors(job->process), failed); at != NULL;
         at = strstr(at, failed)) {
        at += strlen(failed);
        n_lost +=
            strncmp(at, "lost with its peer", strlen("lost with its peer")) == 0 ||
            strncmp(at, "given up, its sandbox died", strlen("given up, its sandbox died")) == 0;
    }
    return n_lost == (n_failed < TOLD_MAX ? n_failed : TOLD_MAX);
}

/* All results must be there, but for so many, and all files. */
static void check_whole(struct soak_host *host, struct soak_job *job, const char *files,
                        unsigned n_lost)
{
    char what[256];
    struct soak_count *count = &host->soak->count;
    struct soak_verdict verdict = check(host, job, true);
    unsigned n_files = has_files(job) ? soak_check_files(job, files, &verdict) : job->n_tasks;
    if (has_files(job) && verdict.n_wrong > 0) {
        blame(host, job, SOAK_WRONG, verdict.n_wrong, verdict.what);
    }
    unsigned n_right = verdict.n_right < n_files ? verdict.n_right : n_files;
    count->n_once_lost += n_lost;
    n_right += n_lost;
    if (n_right < job->n_tasks) {
        snprintf(what, sizeof(what), "%u results and %u files right; %s", verdict.n_right, n_files,
                 verdict.what);
        blame(host, job, SOAK_LOST, job->n_tasks - n_right, what);
        return;
    }
    count->n_jobs[job->kind]++;
    count->n_tasks += job->n_tasks;
    count->n_bytes += verdict.n_bytes;
    count->n_survived += is_detached(job) && host->struck_ns >= job->first_ns;
}

/* The last line of what it complained of. */
static const char *complaint(struct soak_job *job)
{
    static char line[200];
    const char *errors = lab_errors(job->process);
    size_t n = strlen(errors);
    n -= n > 0 && errors[n - 1] == '\n';
    size_t from = n;
    while (from > 0 && errors[from - 1] != '\n') {
        from--;
    }
    snprintf(line, sizeof(line), "%.*s", (int)(n - from), errors + from);
    return line;
}

/* It waited for a daemon that was frozen meanwhile, did not do so for ever, and says that. */
static bool is_unanswered(const struct soak_host *host, struct soak_job *job)
{
    bool was_frozen = host->is_frozen || host->thawed_ns >= job->begun_ns;
    return was_frozen && strstr(complaint(job), " does not answer: ") != NULL;
}

static void blame_end(struct soak_host *host, struct soak_job *job, const char *program, int status)
{
    char what[320];
    snprintf(what, sizeof(what), "%s ended with %d%s: %s", program, status,
             is_cut(host, job) ? " (its daemon was struck)" : "", complaint(job));
    blame(host, job, SOAK_BAD_END, 1, what);
}

/* "..: N of M+ tasks have no result": whether the others are what was printed. With -k some may
 * wait for those before them; where files come back a result is printed first. */
static bool counts_missing(struct soak_job *job, const struct soak_verdict *verdict)
{
    unsigned n_missing = 0;
    unsigned n_known = 0;
    const char *line = lab_errors(job->process);
    const char *end = strstr(line, " tasks have no result");
    if (end == NULL) {
        return verdict->n_right == 0; /* it had not come so far */
    }
    const char *at = end;
    while (at > line && strncmp(at, ": ", 2) != 0) {
        at--;
    }
    if (sscanf(at, ": %u of %u", &n_missing, &n_known) != 2 || n_missing > n_known ||
        n_known > job->n_tasks) {
        return false;
    }
    unsigned n_done = n_known - n_missing;
    switch (job->kind) {
    case SOAK_JOB_PLAIN:
    case SOAK_JOB_BASE:
        return verdict->n_right == n_done;
    case SOAK_JOB_FILES:
        return verdict->n_right >= n_done;
    case SOAK_JOB_ORDERED:
    case SOAK_JOB_OUTPUT:
        return verdict->n_right <= n_done;
    case SOAK_JOB_ONCE: /* some may have failed before */
    case SOAK_JOB_STDIN:
    case SOAK_JOB_DETACHED:
    case SOAK_JOB_DETACHED_FILES:
    case SOAK_JOB_CALLS:
    case SOAK_N_JOBS:
        return true;
    }
    return true;
}

static void end_attached(struct soak_host *host, struct soak_job *job, int status)
{
    struct soak_count *count = &host->soak->count;
    int cut_status = job->kind == SOAK_JOB_CALLS ? 1 : EXIT_MESH;
    bool may_lose = job->kind == SOAK_JOB_ONCE && status > 0 && status <= (int)job->n_tasks;
    if (status == 0 || (may_lose && are_all_lost(job, status))) {
        check_whole(host, job, job->folder, (unsigned)status);
    } else if (job->is_killed) {
        check(host, job, false);
        count->n_abandoned++;
    } else if (status == cut_status && is_unanswered(host, job)) {
        check(host, job, false);
        count->n_abandoned++;
    } else if (status == cut_status && is_cut(host, job)) {
        struct soak_verdict verdict = check(host, job, false);
        count->n_cut_jobs++;
        count->n_cut_tasks += verdict.n_right;
        if (job->kind != SOAK_JOB_CALLS && !counts_missing(job, &verdict)) {
            blame_end(host, job, "mesh submit (whose count is not that of what it printed)",
                      status);
        }
    } else {
        blame_end(host, job, job->kind == SOAK_JOB_CALLS ? "it" : "mesh submit", status);
    }
    drop(job);
}

/* Once its id is printed, the job is a promise. */
static void end_detaching(struct soak_host *host, struct soak_job *job, int status)
{
    const char *printed = lab_output(job->process);
    const char *end = strchr(printed, '\n');
    if (end != NULL && (status == 0 || job->is_killed || is_cut(host, job))) {
        snprintf(job->id, sizeof(job->id), "%.*s", (int)(end - printed), printed);
        job->process = lab_forget(job->process);
        job->state = SOAK_JOB_IS_KEPT;
        return;
    }
    if (job->is_killed || (status == EXIT_MESH && is_unanswered(host, job))) {
        host->soak->count.n_abandoned++;
    } else if (status == EXIT_MESH && is_cut(host, job)) {
        host->soak->count.n_cut_jobs++;
    } else {
        blame_end(host, job, "mesh submit --detach", status);
    }
    drop(job);
}

static void end_waiting(struct soak_host *host, struct soak_job *job, int status)
{
    char folder[256];
    if (status == 0) {
        snprintf(folder, sizeof(folder), "%s/out", job->folder);
        check_whole(host, job, folder, 0);
        job->state = SOAK_JOB_IS_OVER;
    } else if (job->is_killed ||
               (status == EXIT_MESH && (is_cut(host, job) || is_unanswered(host, job)))) {
        check(host, job, false);
        job->state = SOAK_JOB_IS_KEPT;
    } else {
        blame_end(host, job, "mesh wait", status);
        job->state = SOAK_JOB_IS_OVER;
    }
    job->process = lab_forget(job->process);
}

/* It may have been forgotten although nobody was told. */
static void end_forgetting(struct soak_host *host, struct soak_job *job, int status)
{
    if (status == 0 || job->n_forgets > 1) {
        drop(job);
    } else if (job->is_killed || is_cut(host, job) || is_unanswered(host, job)) {
        job->process = lab_forget(job->process);
        job->state = SOAK_JOB_IS_OVER;
    } else {
        blame_end(host, job, "mesh forget", status);
        drop(job);
    }
}

/* --- all of them --------------------------------------------------------------------------------
 */

static void await(struct soak_host *host, struct soak_job *job)
{
    const char *argv[ARGS_MAX];
    unsigned n = put_words(argv, 0, WORDS(getenv("MESH"), "wait", "-k"));
    if (has_files(job)) {
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
        if (is_over && is_detached(job)) {
            end_detaching(host, job, status);
        } else if (is_over) {
            end_attached(host, job, status);
        }
        break;
    case SOAK_JOB_IS_KEPT:
        if (host->is_ready) {
            await(host, job);
        }
        break;
    case SOAK_JOB_IS_AWAITED:
        if (is_over) {
            end_waiting(host, job, status);
        }
        break;
    case SOAK_JOB_IS_OVER:
        if (host->is_ready) {
            forget(host, job);
        }
        break;
    case SOAK_JOB_IS_FORGOTTEN:
        if (is_over) {
            end_forgetting(host, job, status);
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

void soak_jobs_give_up(struct soak *soak)
{
    for (unsigned i = 0; i < SOAK_SUBMITTERS; i++) {
        struct soak_host *host = &soak->hosts[i];
        for (unsigned k = 0; k < SOAK_SLOTS; k++) {
            struct soak_job *job = &host->jobs[k];
            if (job->state != SOAK_JOB_NONE) {
                blame(host, job, SOAK_LOST, job->n_tasks, "it does not end");
                if (job->process != NULL) {
                    lab_kill(job->process);
                }
                drop(job);
            }
        }
    }
}
