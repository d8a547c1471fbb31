/* What the journal costs a task: 100,000 tasks accepted and their results kept, through the
 * journal's thread as the daemon uses it, and plain SQLite one transaction each for scale.
 *
 *     bench_journal [FOLDER [TASKS]]      FOLDER on the disk that is to be measured; default: here
 *
 * One line of JSON: microseconds a task of wall time and of CPU (all threads), and of plain
 * commits. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mesh/clock.h"
#include "mesh/journal.h"
#include "wire/identity.h"

#define AHEAD     4096u /* as many as a client may add, and executors report, before it is kept */
#define PLAIN     2000u
#define JOB       UINT64_C(0x100000001)
#define TASKS_ALL 100000u

static uv_loop_t loop;
static struct meshd_journal *journal;
static uint64_t n_kept, n_said;
static bool is_closed;

static void on_put(void *user, struct core_event *event)
{
    if (event->type == CORE_EVENT_JOURNALED) {
        if (event->journaled.error < 0) {
            fprintf(stderr, "bench_journal: %s\n", strerror(-event->journaled.error));
            exit(1);
        }
        n_kept = event->journaled.number;
    }
}

static void on_closed(void *user)
{
    is_closed = true;
}

static void say(struct core_effect *effect)
{
    effect->type = CORE_EFFECT_JOURNAL;
    effect->journal.job = JOB;
    effect->journal.number = ++n_said;
    meshd_journal_carry_out(journal, effect);
    while (n_said - n_kept >= AHEAD) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static void say_all(unsigned n_tasks)
{
    struct core_effect job = {.journal.type = CORE_RECORD_JOB};
    job.journal.job_record.submit = (struct wire_submit){
        .name = slice_str("bench"), .is_detached = true, .spec = {.cores = 1, .lease_ms = 1000}};
    say(&job);
    for (uint32_t i = 1; i <= n_tasks; i++) {
        struct slice words[] = {slice_str("./simulate"), slice_str("--seed"), slice_str("123456")};
        struct core_effect task = {.journal.type = CORE_RECORD_TASK};
        task.journal.task =
            (struct wire_add_task){.job = JOB, .task = i, .argv = {words, 3}, .values = {words, 1}};
        say(&task);
    }
    struct core_effect complete = {.journal.type = CORE_RECORD_COMPLETE};
    say(&complete);
    for (uint32_t i = 1; i <= n_tasks; i++) {
        struct slice out = slice_str("some forty bytes of output, a line of it\n");
        struct core_effect result = {.journal.type = CORE_RECORD_RESULT};
        result.journal.result.is_success = true;
        result.journal.result.done = (struct wire_done){
            .job = JOB,
            .task = i,
            .attempt = 1,
            .n_runs = 1,
            .peer_name = slice_str("lily"),
            .result = {.end = WIRE_END_EXITED, .wall_us = 1234, .out = {out.n, out, {{0}}}}};
        say(&result);
    }
    while (n_kept < n_said) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Microseconds of one insertion in a transaction of its own. */
static double plain_us(const char *folder)
{
    char path[4200];
    sqlite3 *db;
    snprintf(path, sizeof(path), "%s/plain.db", folder);
    sqlite3_open(path, &db);
    sqlite3_exec(db,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                 "CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)",
                 NULL, NULL, NULL);
    uint64_t start_ns = meshd_clock_ns();
    for (unsigned i = 0; i < PLAIN; i++) {
        if (sqlite3_exec(db, "INSERT INTO t(b) VALUES(zeroblob(150))", NULL, NULL, NULL) !=
            SQLITE_OK) {
            fprintf(stderr, "bench_journal: %s\n", sqlite3_errmsg(db));
            exit(1);
        }
    }
    double us = (double)(meshd_clock_ns() - start_ns) / 1000 / PLAIN;
    sqlite3_close(db);
    return us;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(name);
}

int main(int argc, char **argv)
{
    char folder[4096];
    struct errmsg err;
    struct meshd_log log = {.fd = STDERR_FILENO, .level = CORE_LOG_WARN};
    struct meshd_blobs *blobs = NULL;
    unsigned n_tasks = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : TASKS_ALL;
    snprintf(folder, sizeof(folder), "%s/bench-journal-XXXXXX", argc > 1 ? argv[1] : ".");
    if (wire_init() < 0 || mkdtemp(folder) == NULL || n_tasks == 0) {
        fprintf(stderr, "bench_journal: cannot make %s\n", folder);
        return 1;
    }
    int dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct meshd_journal_config config = {
        .loop = &loop, .sink = {.put = on_put}, .log = &log, .dir_path = folder, .dir_fd = dir_fd};
    uv_loop_init(&loop);
    int rc = meshd_blobs_new(&loop, dir_fd, 0, &blobs, &err);
    config.blobs = blobs;
    rc = rc == 0 ? meshd_journal_new(&config, &journal, &err) : rc;
    rc = rc == 0 ? meshd_journal_report(journal, &err) : rc;
    if (rc < 0) {
        fprintf(stderr, "bench_journal: %s\n", err.text);
        return 1;
    }
    double cpu_before = cpu_us();
    uint64_t start_ns = meshd_clock_ns();
    say_all(n_tasks);
    double wall = (double)(meshd_clock_ns() - start_ns) / 1000 / n_tasks;
    double cpu = (cpu_us() - cpu_before) / n_tasks;
    meshd_journal_close(journal, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    meshd_blobs_close(blobs, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    double plain = plain_us(folder);
    printf("{\"bench\": \"journal\", \"tasks\": %u, \"wall_us_a_task\": %.1f, "
           "\"cpu_us_a_task\": %.1f, \"plain_commit_us\": %.1f}\n",
           n_tasks, wall, cpu, plain);
    close(dir_fd);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return is_closed ? 0 : 1;
}
