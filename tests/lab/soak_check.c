#include "tests/lab/soak_check.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/soak_hash.h"
#include "tests/sim/dice.h"

/* A line: an input's name, a number, 16 digits. */
#define LINE_BYTES_MAX 96
#define MS             UINT64_C(1000000)

void soak_input_name(const struct soak_job *job, unsigned i, char *to, size_t n_to)
{
    if (job->kind == SOAK_JOB_STDIN) {
        snprintf(to, n_to, "in");
    } else {
        snprintf(to, n_to, "t%u-%u", job->number, i);
    }
}

void soak_fill(const struct soak_job *job, unsigned i, uint8_t *bytes)
{
    struct dice dice = {.state = dice_mix(job->seed + i)};
    for (unsigned k = 0; k < job->n_bytes; k += 8) {
        uint64_t x = dice_next(&dice);
        for (unsigned b = 0; b < 8 && k + b < job->n_bytes; b++) {
            bytes[k + b] = (uint8_t)(x >> (8 * b));
        }
    }
}

static void fault(struct soak_verdict *verdict, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fault(struct soak_verdict *verdict, const char *format, ...)
{
    if (verdict->what[0] == '\0') {
        va_list args;
        va_start(args, format);
        vsnprintf(verdict->what, sizeof(verdict->what), format, args);
        va_end(args);
    }
}

/* Which file a task of this job reads: SOAK_BASE, or its own; false: none. */
static bool reads_file(const struct soak_job *job, unsigned task, unsigned *ret_file)
{
    switch (job->kind) {
    case SOAK_JOB_BASE:
    case SOAK_JOB_STDIN:
        *ret_file = SOAK_BASE;
        return true;
    case SOAK_JOB_FILES:
    case SOAK_JOB_DETACHED_FILES:
        *ret_file = task;
        return true;
    case SOAK_JOB_PLAIN:
    case SOAK_JOB_ORDERED:
    case SOAK_JOB_OUTPUT:
    case SOAK_JOB_DETACHED:
    case SOAK_JOB_ONCE:
    case SOAK_JOB_CALLS:
    case SOAK_N_JOBS:
        return false;
    }
    return false;
}

/* What each task hashes. The caller frees it. */
static uint64_t *reckon(const struct soak_job *job)
{
    uint64_t *hashes = calloc(job->n_tasks, sizeof(*hashes));
    uint8_t *bytes = malloc(job->n_bytes + 1);
    ck_assert_ptr_nonnull(hashes);
    ck_assert_ptr_nonnull(bytes);
    for (unsigned i = 0; i < job->n_tasks; i++) {
        char name[32];
        unsigned file;
        soak_input_name(job, i, name, sizeof(name));
        hashes[i] = soak_hash_text(SOAK_HASH_BEGIN, name);
        if (reads_file(job, i, &file)) {
            if (file != SOAK_BASE || i == 0) {
                soak_fill(job, file, bytes);
            }
            hashes[i] = soak_hash(hashes[i], bytes, job->n_bytes);
        }
    }
    free(bytes);
    return hashes;
}

/* Which task this line begins with the name of; -1: none of this job's. */
static int task_of(const struct soak_job *job, const char *line)
{
    char name[32];
    size_t n = strcspn(line, " \n");
    for (unsigned i = 0; i < job->n_tasks; i++) {
        soak_input_name(job, i, name, sizeof(name));
        if (strlen(name) == n && memcmp(line, name, n) == 0) {
            return (int)i;
        }
    }
    return -1;
}

struct reading {
    const struct soak_job *job;
    const uint64_t *hashes;
    struct soak_verdict *verdict;
    unsigned n_seen[SOAK_TASKS_MAX];
    int task;        /* whose piece this is; -1: none has begun */
    unsigned n_line; /* of the piece, so far */
    int last;        /* task whose piece came before */
};

static void end_piece(struct reading *reading)
{
    const struct soak_job *job = reading->job;
    if (reading->n_seen[reading->task]++ > 0) {
        reading->verdict->n_doubled++;
        fault(reading->verdict, "the result of task %d came twice", reading->task + 1);
    } else {
        reading->verdict->n_right++;
    }
    bool is_ordered = job->kind == SOAK_JOB_ORDERED || job->kind == SOAK_JOB_OUTPUT ||
                      job->kind == SOAK_JOB_DETACHED || job->kind == SOAK_JOB_DETACHED_FILES;
    if (is_ordered && reading->task != reading->last + 1) {
        reading->verdict->n_wrong++;
        fault(reading->verdict, "task %d came behind task %d", reading->task + 1,
              reading->last + 1);
    }
    reading->last = reading->task;
    reading->task = -1;
    reading->n_line = 0;
}

static void read_line(struct reading *reading, const char *line, size_t n)
{
    char wanted[LINE_BYTES_MAX];
    char name[32];
    int task = reading->task >= 0 ? reading->task : task_of(reading->job, line);
    wanted[0] = '\0';
    if (task >= 0) {
        soak_input_name(reading->job, (unsigned)task, name, sizeof(name));
        snprintf(wanted, sizeof(wanted), "%s %u %016" PRIx64 "\n", name, reading->n_line,
                 soak_hash_line(reading->hashes[task], reading->n_line));
    }
    if (task < 0 || strlen(wanted) != n || memcmp(line, wanted, n) != 0) {
        reading->verdict->n_wrong++;
        fault(reading->verdict, "a line is '%.*s' and not '%.40s'", (int)(n > 60 ? 60 : n - 1),
              line, wanted);
        reading->task = -1;
        reading->n_line = 0;
        return;
    }
    reading->task = task;
    if (++reading->n_line == reading->job->n_lines) {
        end_piece(reading);
    }
}

/* libmesh's program says itself how many calls were right. */
static struct soak_verdict check_calls(const struct soak_job *job, const char *printed)
{
    struct soak_verdict verdict;
    char wanted[64];
    memset(&verdict, 0, sizeof(verdict));
    snprintf(wanted, sizeof(wanted), "first is there\n%u right\n", job->n_tasks);
    if (strcmp(printed, wanted) == 0) {
        verdict.n_right = job->n_tasks;
    } else {
        fault(&verdict, "it says '%.100s'", printed);
    }
    return verdict;
}

struct soak_verdict soak_check_output(const struct soak_job *job, const char *printed)
{
    if (job->kind == SOAK_JOB_CALLS) {
        return check_calls(job, printed);
    }
    struct soak_verdict verdict;
    memset(&verdict, 0, sizeof(verdict));
    uint64_t *hashes = reckon(job);
    struct reading reading = {
        .job = job, .hashes = hashes, .verdict = &verdict, .task = -1, .last = -1};
    const char *at = printed;
    for (const char *end = strchr(at, '\n'); end != NULL; end = strchr(at, '\n')) {
        read_line(&reading, at, (size_t)(end - at) + 1);
        at = end + 1;
    }
    verdict.is_torn = *at != '\0' || reading.task >= 0;
    verdict.n_bytes = (uint64_t)(at - printed);
    free(hashes);
    return verdict;
}

void soak_check_begun(const struct soak_job *job, const char *path, struct soak_verdict *verdict)
{
    unsigned n_begun[SOAK_TASKS_MAX] = {0};
    char line[LINE_BYTES_MAX];
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        int task = task_of(job, line);
        if (task < 0) {
            verdict->n_wrong++;
            fault(verdict, "a line of the log is '%.40s'", line);
        } else if (n_begun[task]++ > 0) {
            verdict->n_doubled++;
            fault(verdict, "task %d began twice", task + 1);
        }
    }
    if (file != NULL) { /* else none began */
        fclose(file);
    }
}

/* --- files -------------------------------------------------------------------------------------
 */

static bool is_file(const char *path, const uint8_t *bytes, size_t n)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    uint8_t *got = malloc(n + 1);
    ck_assert_ptr_nonnull(got);
    bool is_same = fread(got, 1, n + 1, file) == n && memcmp(got, bytes, n) == 0;
    free(got);
    fclose(file);
    return is_same;
}

unsigned soak_check_files(const struct soak_job *job, const char *folder,
                          struct soak_verdict *verdict)
{
    unsigned n_right = 0;
    uint8_t *bytes = malloc(job->n_bytes + 1);
    ck_assert_ptr_nonnull(bytes);
    for (unsigned i = 0; i < job->n_tasks; i++) {
        char name[32];
        char path[256];
        soak_input_name(job, i, name, sizeof(name));
        snprintf(path, sizeof(path), "%s/%s.out", folder, name);
        soak_fill(job, i, bytes);
        soak_transform(bytes, job->n_bytes);
        if (is_file(path, bytes, job->n_bytes)) {
            n_right++;
            verdict->n_bytes += job->n_bytes;
        } else if (access(path, F_OK) == 0) {
            verdict->n_wrong++;
            fault(verdict, "the file %s is not what it must be", name);
        }
    }
    free(bytes);
    return n_right;
}

/* --- a daemon that is frozen -------------------------------------------------------------------
 */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool soak_is_for_freeze(const struct soak_span *command, const struct soak_span *freeze)
{
    bool is_short = command->until_ns - command->from_ns < SOAK_ANSWER_MS * MS;
    uint64_t waited_ns = is_short ? command->from_ns : command->until_ns - SOAK_ANSWER_MS * MS;
    uint64_t from_ns = later(waited_ns, freeze->from_ns);
    uint64_t until_ns = freeze->until_ns < command->until_ns ? freeze->until_ns : command->until_ns;
    return freeze->from_ns > 0 && until_ns >= from_ns + SOAK_UNANSWERED_MS * MS;
}
