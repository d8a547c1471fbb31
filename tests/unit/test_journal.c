/* The journal on a real directory, a real loop and its own thread. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/journal.h"
#include "mesh/journal_db.h"
#include "tests/lib/runner.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"
#include "wire/identity.h"

#define JOB        UINT64_C(0x100000001)
#define SEEN_MAX   64u
#define TASKS_MANY 5000u

static uv_loop_t loop;
static char folder[64];
static int dir_fd;
static struct meshd_log log_;
static char log_path[96];
static struct meshd_blobs *blobs;
static struct meshd_journal *journal;
static unsigned n_closed;

/* What came back. */
static struct {
    uint64_t journaled;
    int error;
    unsigned n_errors, n_journaled;
    unsigned n_jobs, n_end;
    struct core_event job; /* the last, without pointers */
    char name[64];
    uint32_t tasks[SEEN_MAX];
    uint32_t n_tasks;
    uint64_t n_all_tasks;
    struct core_event looked; /* without pointers */
    uint32_t results[SEEN_MAX];
    char out[SEEN_MAX][16];
    char value[SEEN_MAX][16];
    unsigned n_looked, n_listed;
    uint32_t n_rows;
    struct wire_job_row row; /* the first, without texts */
} seen;

static void note_looked(const struct core_event *event)
{
    seen.looked = *event;
    seen.n_looked++;
    for (uint32_t i = 0; i < event->journal_looked.n && i < SEEN_MAX; i++) {
        const struct wire_done *done = &event->journal_looked.results[i];
        const struct wire_add_task *tasks = event->journal_looked.tasks;
        seen.results[i] = done->task;
        snprintf(seen.out[i], sizeof(seen.out[i]), "%.*s", SLICE_FMT(done->result.out.inlined));
        snprintf(seen.value[i], sizeof(seen.value[i]), "%.*s",
                 tasks != NULL ? (int)tasks[i].values.items[0].n : 0,
                 tasks != NULL ? (const char *)tasks[i].values.items[0].p : "");
    }
}

static void on_put(void *user, struct core_event *event)
{
    switch ((int)event->type) {
    case CORE_EVENT_JOURNALED:
        seen.n_journaled++;
        seen.n_errors += event->journaled.error != 0;
        seen.error = event->journaled.error;
        ck_assert_uint_ge(event->journaled.number, event->journaled.error ? 0 : seen.journaled);
        seen.journaled = event->journaled.number;
        return;
    case CORE_EVENT_JOURNAL_JOB:
        seen.n_jobs++;
        seen.job = *event;
        snprintf(seen.name, sizeof(seen.name), "%.*s", SLICE_FMT(event->journal_job.submit->name));
        return;
    case CORE_EVENT_JOURNAL_TASKS:
        ck_assert_int_eq(event->journal_tasks.error, 0);
        seen.n_tasks = 0;
        seen.n_all_tasks += event->journal_tasks.n;
        for (uint32_t i = 0; i < event->journal_tasks.n && i < SEEN_MAX; i++) {
            seen.tasks[seen.n_tasks++] = event->journal_tasks.items[i].task;
        }
        return;
    case CORE_EVENT_JOURNAL_END:
        seen.n_end++;
        return;
    case CORE_EVENT_JOURNAL_LOOKED:
        note_looked(event);
        return;
    case CORE_EVENT_JOURNAL_LISTED:
        seen.n_listed++;
        seen.n_rows = event->journal_listed.n;
        seen.row =
            event->journal_listed.n > 0 ? event->journal_listed.rows[0] : (struct wire_job_row){0};
        return;
    default:
        ck_abort_msg("an event that is none of the journal's");
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

static int open_journal(struct errmsg *err)
{
    struct meshd_journal_config config = {
        .loop = &loop,
        .sink = {.put = on_put},
        .log = &log_,
        .blobs = blobs,
        .dir_path = folder,
        .dir_fd = dir_fd,
    };
    memset(&seen, 0, sizeof(seen));
    return meshd_journal_new(&config, &journal, err);
}

static void start(void)
{
    struct errmsg err;
    ck_assert_msg(open_journal(&err) == 0, "%s", err.text);
    ck_assert_msg(meshd_journal_report(journal, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(seen.n_end, 1);
}

static void on_closed(void *user)
{
    n_closed++;
}

static void stop(void)
{
    unsigned before = n_closed;
    meshd_journal_close(journal, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_closed, before + 1);
    journal = NULL;
}

static void set_up(void)
{
    struct errmsg err;
    ck_assert_int_eq(wire_init(), 0);
    snprintf(folder, sizeof(folder), "/tmp/mesh-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    log_ = (struct meshd_log){.fd = open(log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600),
                              .level = CORE_LOG_DEBUG};
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(meshd_blobs_new(&loop, dir_fd, 1000, &blobs, &err), 0);
    start();
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(name);
}

static void tear_down(void)
{
    if (journal != NULL) {
        stop();
    }
    meshd_blobs_close(blobs, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    close(dir_fd);
    close(log_.fd);
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static bool is_logged(const char *text)
{
    char bytes[8192];
    ssize_t n = pread(log_.fd, bytes, sizeof(bytes) - 1, 0);
    bytes[n > 0 ? n : 0] = '\0';
    return strstr(bytes, text) != NULL;
}

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* --- records -----------------------------------------------------------------------------------
 */

static uint64_t n_said;

static struct core_effect record(enum core_record_type type, uint64_t job)
{
    struct core_effect effect = {.type = CORE_EFFECT_JOURNAL};
    effect.journal.type = type;
    effect.journal.number = ++n_said;
    effect.journal.job = job;
    return effect;
}

static void say(const struct core_effect *effect)
{
    meshd_journal_carry_out(journal, effect);
}

static void await_said(void)
{
    unsigned n_errors = seen.n_errors;
    while (seen.journaled < n_said && seen.n_errors == n_errors) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static void say_job(uint64_t job, const struct wire_hash *file)
{
    struct core_effect effect = record(CORE_RECORD_JOB, job);
    struct wire_file item = {.path = slice_str("prog"), .mode = 0755};
    effect.journal.job_record.uid = 7;
    effect.journal.job_record.submit =
        (struct wire_submit){.name = slice_str("some job"),
                             .is_detached = true,
                             .spec = {.cores = 1, .lease_ms = 1000, .is_durable = true}};
    if (file != NULL) {
        item.hash = *file;
        item.bytes = 1;
        effect.journal.job_record.submit.spec.files = (struct wire_files){.items = &item, .n = 1};
    }
    say(&effect);
}

static bool are_tasks_long;

static void say_task(uint64_t job, uint32_t task)
{
    char text[16];
    struct core_effect effect = record(CORE_RECORD_TASK, job);
    snprintf(text, sizeof(text), "v%u", task);
    static uint8_t long_word[4000];
    memset(long_word, 'x', sizeof(long_word));
    struct slice words[3] = {slice_str("run"), slice_str(text),
                             slice_of(long_word, are_tasks_long ? sizeof(long_word) : 1)};
    effect.journal.task = (struct wire_add_task){.job = job,
                                                 .task = task,
                                                 .argv = {.items = words, .n = 3},
                                                 .values = {.items = &words[1], .n = 1}};
    say(&effect);
}

static void say_result(uint64_t job, uint32_t task, const struct wire_hash *out)
{
    char text[16];
    struct core_effect effect = record(CORE_RECORD_RESULT, job);
    snprintf(text, sizeof(text), "out%u", task);
    effect.journal.result.is_success = task % 2 == 1;
    effect.journal.result.done =
        (struct wire_done){.job = job, .task = task, .result = {.end = WIRE_END_EXITED}};
    struct wire_output *output = &effect.journal.result.done.result.out;
    if (out != NULL) {
        *output = (struct wire_output){.bytes = 100000, .hash = *out};
    } else {
        *output = (struct wire_output){.bytes = strlen(text), .inlined = slice_str(text)};
    }
    say(&effect);
}

static void say_plain(enum core_record_type type, uint64_t job)
{
    struct core_effect effect = record(type, job);
    if (type == CORE_RECORD_OVER) {
        effect.journal.over = (struct wire_job_done){.job = job, .n_tasks = 3, .n_succeeded = 2};
    }
    say(&effect);
}

/* Three tasks, of which 3 and 1 have results, in this order. */
static void say_some(void)
{
    say_job(JOB, NULL);
    for (uint32_t i = 1; i <= 3; i++) {
        say_task(JOB, i);
    }
    say_plain(CORE_RECORD_COMPLETE, JOB);
    say_result(JOB, 3, NULL);
    say_result(JOB, 1, NULL);
    await_said();
    ck_assert_int_eq(seen.error, 0);
    ck_assert_uint_eq(seen.journaled, n_said);
}

static void look(uint64_t job, uint64_t after, uint32_t task, uint32_t n)
{
    struct core_effect effect = {.type = CORE_EFFECT_JOURNAL_LOOK};
    effect.journal_look.look = 9;
    effect.journal_look.job = job;
    effect.journal_look.after = after;
    effect.journal_look.task = task;
    effect.journal_look.n = n;
    effect.journal_look.bytes = 1u << 20;
    effect.journal_look.has_tasks = true;
    unsigned before = seen.n_looked;
    meshd_journal_carry_out(journal, &effect);
    while (seen.n_looked == before) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(seen.looked.journal_looked.look, 9);
}

static void list_over(void)
{
    struct core_effect effect = {.type = CORE_EFFECT_JOURNAL_LIST};
    effect.journal_list.n = 10;
    unsigned before = seen.n_listed;
    meshd_journal_carry_out(journal, &effect);
    while (seen.n_listed == before) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

START_TEST(what_was_said_is_there_in_the_next_life)
{
    say_some();
    stop();
    start();
    ck_assert_uint_eq(seen.n_jobs, 1);
    ck_assert_uint_eq(seen.job.journal_job.job, JOB);
    ck_assert_uint_eq(seen.job.journal_job.uid, 7);
    ck_assert_str_eq(seen.name, "some job");
    ck_assert(seen.job.journal_job.is_complete && !seen.job.journal_job.is_cancelled);
    ck_assert_uint_eq(seen.job.journal_job.n_tasks, 3);
    ck_assert_uint_eq(seen.job.journal_job.n_results, 2);
    ck_assert_uint_eq(seen.job.journal_job.n_succeeded, 2);
    ck_assert_uint_eq(seen.n_tasks, 1);
    ck_assert_uint_eq(seen.tasks[0], 2);
    struct stat st;
    ck_assert_int_eq(stat(path_of(JOURNAL_DB_NAME), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(path_of(JOURNAL_DB_NAME "-wal"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(results_are_read_in_the_order_in_which_they_came)
{
    say_some();
    look(JOB, 0, 0, 1);
    ck_assert_uint_eq(seen.looked.journal_looked.n, 1);
    ck_assert_uint_eq(seen.results[0], 3);
    ck_assert_str_eq(seen.out[0], "out3");
    ck_assert_str_eq(seen.value[0], "v3");
    look(JOB, seen.looked.journal_looked.last, 0, 10);
    ck_assert_uint_eq(seen.looked.journal_looked.n, 1);
    ck_assert_uint_eq(seen.results[0], 1);
    look(JOB, seen.looked.journal_looked.last, 0, 10);
    ck_assert_uint_eq(seen.looked.journal_looked.n, 0);
    look(JOB, 0, 1, 10);
    ck_assert_uint_eq(seen.looked.journal_looked.n, 1);
    ck_assert_str_eq(seen.out[0], "out1");
    look(JOB, 0, 2, 10);
    ck_assert_uint_eq(seen.looked.journal_looked.n, 0);
    look(JOB + 1, 0, 0, 10);
    ck_assert_int_eq(seen.looked.journal_looked.error, -ENOENT);
}
END_TEST

START_TEST(a_job_that_is_over_is_listed_and_not_told_again)
{
    say_some();
    say_result(JOB, 2, NULL);
    say_plain(CORE_RECORD_OVER, JOB);
    await_said();
    stop();
    start();
    ck_assert_uint_eq(seen.n_jobs, 0);
    list_over();
    ck_assert_uint_eq(seen.n_rows, 1);
    ck_assert_uint_eq(seen.row.job, JOB);
    ck_assert_uint_eq(seen.row.state, WIRE_JOB_ENDED);
    look(JOB, 0, 0, 10);
    ck_assert(seen.looked.journal_looked.is_over);
    ck_assert_uint_eq(seen.looked.journal_looked.over.n_succeeded, 2);
    ck_assert_uint_eq(seen.looked.journal_looked.n, 3);
}
END_TEST

START_TEST(a_long_job_is_told_as_far_as_memory_takes_it)
{
    say_job(JOB, NULL);
    for (uint32_t i = 1; i <= TASKS_MANY; i++) {
        say_task(JOB, i);
    }
    say_plain(CORE_RECORD_COMPLETE, JOB);
    await_said();
    stop();
    start();
    ck_assert_uint_eq(seen.job.journal_job.n_tasks, TASKS_MANY);
    ck_assert_uint_eq(seen.n_all_tasks, 4096);
    struct core_effect read = {.type = CORE_EFFECT_JOURNAL_READ};
    read.journal_read.job = JOB;
    read.journal_read.first = 4097;
    read.journal_read.n = 1000;
    read.journal_read.bytes = 1u << 20;
    meshd_journal_carry_out(journal, &read);
    while (seen.n_all_tasks == 4096) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(seen.n_all_tasks, TASKS_MANY);
    ck_assert_uint_eq(seen.tasks[0], 4097);
}
END_TEST

/* --- blobs -------------------------------------------------------------------------------------
 */

static struct wire_hash put_hash;
static unsigned n_puts;

static void on_stored(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    ck_assert_int_eq(error, 0);
    put_hash = *hash;
    n_puts++;
}

/* A blob of so many bytes; nobody holds it. */
static struct wire_hash put_blob(char value, size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(write(fd, &value, 1), 1);
    }
    unsigned before = n_puts;
    ck_assert_int_eq(meshd_blobs_put(blobs, fd, on_stored, NULL), 0);
    while (n_puts == before) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    meshd_blobs_unhold(blobs, &put_hash);
    return put_hash;
}

/* The store has 1,000 bytes: this takes the place of all that nobody holds. */
static void crowd_out(void)
{
    static char value = 'a';
    put_blob(value++, 400);
    put_blob(value++, 400);
}

START_TEST(blobs_of_records_stay_until_the_job_is_forgotten)
{
    struct wire_hash file = put_blob('F', 100);
    struct wire_hash out = put_blob('O', 100);
    say_job(JOB, &file);
    say_task(JOB, 1);
    say_plain(CORE_RECORD_COMPLETE, JOB);
    say_result(JOB, 1, &out);
    say_plain(CORE_RECORD_OVER, JOB);
    await_said();
    crowd_out();
    ck_assert(meshd_blobs_has(blobs, &file) && meshd_blobs_has(blobs, &out));
    stop();
    start(); /* and in the next life */
    crowd_out();
    ck_assert(meshd_blobs_has(blobs, &file) && meshd_blobs_has(blobs, &out));
    say_plain(CORE_RECORD_FORGET, JOB);
    await_said();
    for (unsigned i = 0; i < 200 && meshd_blobs_has(blobs, &file); i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        crowd_out(); /* until the sweep has come by */
    }
    ck_assert(!meshd_blobs_has(blobs, &file) && !meshd_blobs_has(blobs, &out));
    look(JOB, 0, 0, 1);
    ck_assert_int_eq(seen.looked.journal_looked.error, -ENOENT);
}
END_TEST

START_TEST(a_blob_that_two_jobs_name_stays_for_the_second)
{
    struct wire_hash file = put_blob('F', 100);
    say_job(JOB, &file);
    say_job(JOB + 1, &file);
    say_plain(CORE_RECORD_FORGET, JOB);
    await_said();
    for (unsigned i = 0; i < 50; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        crowd_out();
    }
    ck_assert(meshd_blobs_has(blobs, &file));
}
END_TEST

/* --- disks -------------------------------------------------------------------------------------
 */

static uint64_t file_bytes(const char *name)
{
    struct stat st;
    return stat(path_of(name), &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    ck_assert_int_eq(sigaction(SIGXFSZ, &ignored, NULL), 0);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_disk_that_fails_is_told_once_and_nothing_of_it_stays)
{
    say_some();
    uint64_t kept = n_said;
    set_file_limit(file_bytes(JOURNAL_DB_NAME "-wal"));
    say_result(JOB, 2, NULL);
    say_job(JOB + 1, NULL);
    await_said();
    ck_assert(seen.error == -ENOSPC || seen.error == -EIO); /* SQLite does not pass EFBIG on */
    ck_assert_uint_eq(seen.n_errors, 1);
    ck_assert_uint_eq(seen.journaled, kept);
    look(JOB, 0, 0, 10); /* still reads */
    ck_assert_uint_eq(seen.looked.journal_looked.n, 2);
    set_file_limit(RLIM_INFINITY);
    say_result(JOB, 2, NULL); /* again, under a new number */
    await_said();
    ck_assert_int_eq(seen.error, 0);
    ck_assert_uint_eq(seen.n_errors, 1);
    look(JOB, 0, 0, 10);
    ck_assert_uint_eq(seen.looked.journal_looked.n, 3);
    look(JOB + 1, 0, 0, 10);
    ck_assert_int_eq(seen.looked.journal_looked.error, -ENOENT);
}
END_TEST

static void overwrite(const char *name, off_t at, size_t n)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)(i * 167 + 13);
        ck_assert_int_eq(pwrite(fd, &byte, 1, at + (off_t)i), 1);
    }
    close(fd);
}

/* 0: the header; 1: a page in the midst; 2: no database at all. */
START_TEST(a_corrupt_journal_is_kept_aside_and_an_empty_one_begun)
{
    say_some();
    stop();
    if (_i == 2) {
        ck_assert_int_eq(truncate(path_of(JOURNAL_DB_NAME), 0), 0);
    }
    overwrite(JOURNAL_DB_NAME, _i == 1 ? 4096 * 3 : 0, 4000);
    start();
    ck_assert_uint_eq(seen.n_jobs, 0);
    ck_assert(is_there(JOURNAL_DB_NAME ".corrupt-1"));
    ck_assert(is_logged("the journal is corrupt: it is kept aside"));
    say_some();
    stop();
    overwrite(JOURNAL_DB_NAME, 0, 4000);
    start(); /* a second one does not take the first one's place */
    ck_assert(is_there(JOURNAL_DB_NAME ".corrupt-1") && is_there(JOURNAL_DB_NAME ".corrupt-2"));
}
END_TEST

START_TEST(corruption_that_shows_later_is_told_and_the_journal_goes_on)
{
    are_tasks_long = true; /* more than SQLite keeps in memory */
    say_job(JOB, NULL);
    for (uint32_t i = 1; i <= TASKS_MANY; i++) {
        say_task(JOB, i);
    }
    await_said();
    stop();
    start();
    for (uint64_t at = 4096; at < file_bytes(JOURNAL_DB_NAME); at += 4096) {
        overwrite(JOURNAL_DB_NAME, (off_t)at, 64);
    }
    unsigned n_errors = seen.n_errors;
    for (uint32_t i = 1; i <= TASKS_MANY && seen.n_errors == n_errors; i++) {
        say_result(JOB, i, NULL);
        look(JOB, 0, i, 1);
    }
    while (seen.n_errors == n_errors) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(seen.error, -EBADMSG);
    ck_assert(is_there(JOURNAL_DB_NAME ".corrupt-1"));
    say_job(JOB + 1, NULL);
    await_said();
    ck_assert_int_eq(seen.error, 0);
    look(JOB + 1, 0, 0, 1);
    ck_assert_int_eq(seen.looked.journal_looked.error, 0);
}
END_TEST

/* What another program did to the file of a journal that is closed. */
static void tamper(const char *sql)
{
    sqlite3 *other;
    ck_assert_int_eq(sqlite3_open(path_of(JOURNAL_DB_NAME), &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
}

START_TEST(a_newer_journal_is_refused_and_left_alone)
{
    struct errmsg err;
    stop();
    tamper("PRAGMA user_version = 99");
    ck_assert_int_eq(open_journal(&err), -ENOTSUP);
    ck_assert_ptr_nonnull(strstr(err.text, "of a newer mesh (version 99, this one knows "));
    ck_assert(!is_there(JOURNAL_DB_NAME ".corrupt-1"));
    ck_assert_ptr_null(journal);
}
END_TEST

START_TEST(an_older_journal_is_brought_up_with_all_that_is_in_it)
{
    say_some();
    stop();
    tamper("DROP TABLE queue; DROP TABLE queue_item; DROP TABLE queue_putter;"
           "PRAGMA user_version = 1");
    start();
    ck_assert_uint_eq(seen.n_jobs, 1);
    ck_assert(!is_there(JOURNAL_DB_NAME ".corrupt-1"));
    stop();
    start(); /* and is then as any other */
    ck_assert_uint_eq(seen.n_jobs, 1);
}
END_TEST

START_TEST(a_journal_that_lacks_a_table_is_kept_aside)
{
    say_some();
    stop();
    tamper("DROP TABLE queue_item");
    start();
    ck_assert_uint_eq(seen.n_jobs, 0);
    ck_assert(is_there(JOURNAL_DB_NAME ".corrupt-1"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_was_said_is_there_in_the_next_life);
    tcase_add_test(tc, results_are_read_in_the_order_in_which_they_came);
    tcase_add_test(tc, a_job_that_is_over_is_listed_and_not_told_again);
    tcase_add_test(tc, a_long_job_is_told_as_far_as_memory_takes_it);
    tcase_add_test(tc, blobs_of_records_stay_until_the_job_is_forgotten);
    tcase_add_test(tc, a_blob_that_two_jobs_name_stays_for_the_second);
    tcase_add_test(tc, a_disk_that_fails_is_told_once_and_nothing_of_it_stays);
    tcase_add_loop_test(tc, a_corrupt_journal_is_kept_aside_and_an_empty_one_begun, 0, 3);
    tcase_add_test(tc, corruption_that_shows_later_is_told_and_the_journal_goes_on);
    tcase_add_test(tc, a_newer_journal_is_refused_and_left_alone);
    tcase_add_test(tc, an_older_journal_is_brought_up_with_all_that_is_in_it);
    tcase_add_test(tc, a_journal_that_lacks_a_table_is_kept_aside);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
