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

#include "mesh/journal_db.h"
#include "tests/lib/journal_fixture.h"
#include "tests/lib/runner.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"
#include "wire/identity.h"

#define JOB        UINT64_C(0x100000001)
#define TASKS_MANY 5000u

START_TEST(what_was_said_is_there_in_the_next_life)
{
    jt_say_some();
    jt_stop();
    jt_start();
    ck_assert_uint_eq(jt_seen.n_jobs, 1);
    ck_assert_uint_eq(jt_seen.job.journal_job.job, JOB);
    ck_assert_uint_eq(jt_seen.job.journal_job.uid, 7);
    ck_assert_str_eq(jt_seen.name, "some job");
    ck_assert(jt_seen.job.journal_job.is_complete && !jt_seen.job.journal_job.is_cancelled);
    ck_assert_uint_eq(jt_seen.job.journal_job.n_tasks, 3);
    ck_assert_uint_eq(jt_seen.job.journal_job.n_results, 2);
    ck_assert_uint_eq(jt_seen.job.journal_job.n_succeeded, 2);
    ck_assert_uint_eq(jt_seen.n_tasks, 1);
    ck_assert_uint_eq(jt_seen.tasks[0], 2);
    struct stat st;
    ck_assert_int_eq(stat(jt_path_of(JOURNAL_DB_NAME), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(jt_path_of(JOURNAL_DB_NAME "-wal"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(results_are_read_in_the_order_in_which_they_came)
{
    jt_say_some();
    jt_look(JOB, 0, 0, 1);
    ck_assert_uint_eq(jt_seen.looked.journal_looked.n, 1);
    ck_assert_uint_eq(jt_seen.results[0], 3);
    ck_assert_str_eq(jt_seen.out[0], "out3");
    ck_assert_str_eq(jt_seen.value[0], "v3");
    jt_look(JOB, jt_seen.looked.journal_looked.last, 0, 10);
    ck_assert_uint_eq(jt_seen.looked.journal_looked.n, 1);
    ck_assert_uint_eq(jt_seen.results[0], 1);
    jt_look(JOB, jt_seen.looked.journal_looked.last, 0, 10);
    ck_assert_uint_eq(jt_seen.looked.journal_looked.n, 0);
    jt_look(JOB, 0, 1, 10);
    ck_assert_uint_eq(jt_seen.looked.journal_looked.n, 1);
    ck_assert_str_eq(jt_seen.out[0], "out1");
    jt_look(JOB, 0, 2, 10);
    ck_assert_uint_eq(jt_seen.looked.journal_looked.n, 0);
    jt_look(JOB + 1, 0, 0, 10);
    ck_assert_int_eq(jt_seen.looked.journal_looked.error, -ENOENT);
}
END_TEST

START_TEST(a_job_that_is_over_is_listed_and_not_told_again)
{
    jt_say_some();
    jt_say_result(JOB, 2, NULL);
    jt_say_plain(CORE_RECORD_OVER, JOB);
    jt_await_said();
    jt_stop();
    jt_start();
    ck_assert_uint_eq(jt_seen.n_jobs, 0);
    jt_list_over();
    ck_assert_uint_eq(jt_seen.n_rows, 1);
    ck_assert_uint_eq(jt_seen.row.job, JOB);
    ck_assert_uint_eq(jt_seen.row.state, WIRE_JOB_ENDED);
    jt_look(JOB, 0, 0, 10);
    ck_assert(jt_seen.looked.journal_looked.is_over);
    ck_assert_uint_eq(jt_seen.looked.journal_looked.over.n_succeeded, 2);
    ck_assert_uint_eq(jt_seen.looked.journal_looked.n, 3);
}
END_TEST

START_TEST(a_long_job_is_told_as_far_as_memory_takes_it)
{
    jt_say_job(JOB, NULL);
    for (uint32_t i = 1; i <= TASKS_MANY; i++) {
        jt_say_task(JOB, i);
    }
    jt_say_plain(CORE_RECORD_COMPLETE, JOB);
    jt_await_said();
    jt_stop();
    jt_start();
    ck_assert_uint_eq(jt_seen.job.journal_job.n_tasks, TASKS_MANY);
    ck_assert_uint_eq(jt_seen.n_all_tasks, 4096);
    struct core_effect read = {.type = CORE_EFFECT_JOURNAL_READ};
    read.journal_read.job = JOB;
    read.journal_read.first = 4097;
    read.journal_read.n = 1000;
    read.journal_read.bytes = 1u << 20;
    meshd_journal_carry_out(jt_journal, &read);
    while (jt_seen.n_all_tasks == 4096) {
        uv_run(&jt_loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(jt_seen.n_all_tasks, TASKS_MANY);
    ck_assert_uint_eq(jt_seen.tasks[0], 4097);
}
END_TEST

/* --- blobs -------------------------------------------------------------------------------------
 */

START_TEST(blobs_of_records_stay_until_the_job_is_forgotten)
{
    struct wire_hash file = jt_put_blob('F', 100);
    struct wire_hash out = jt_put_blob('O', 100);
    jt_say_job(JOB, &file);
    jt_say_task(JOB, 1);
    jt_say_plain(CORE_RECORD_COMPLETE, JOB);
    jt_say_result(JOB, 1, &out);
    jt_say_plain(CORE_RECORD_OVER, JOB);
    jt_await_said();
    jt_crowd_out();
    ck_assert(meshd_blobs_has(jt_blobs, &file) && meshd_blobs_has(jt_blobs, &out));
    jt_stop();
    jt_start(); /* and in the next life */
    jt_crowd_out();
    ck_assert(meshd_blobs_has(jt_blobs, &file) && meshd_blobs_has(jt_blobs, &out));
    jt_say_plain(CORE_RECORD_FORGET, JOB);
    jt_await_said();
    for (unsigned i = 0; i < 200 && meshd_blobs_has(jt_blobs, &file); i++) {
        uv_run(&jt_loop, UV_RUN_NOWAIT);
        jt_crowd_out(); /* until the sweep has come by */
    }
    ck_assert(!meshd_blobs_has(jt_blobs, &file) && !meshd_blobs_has(jt_blobs, &out));
    jt_look(JOB, 0, 0, 1);
    ck_assert_int_eq(jt_seen.looked.journal_looked.error, -ENOENT);
}
END_TEST

START_TEST(a_blob_that_two_jobs_name_stays_for_the_second)
{
    struct wire_hash file = jt_put_blob('F', 100);
    jt_say_job(JOB, &file);
    jt_say_job(JOB + 1, &file);
    jt_say_plain(CORE_RECORD_FORGET, JOB);
    jt_await_said();
    for (unsigned i = 0; i < 50; i++) {
        uv_run(&jt_loop, UV_RUN_NOWAIT);
        jt_crowd_out();
    }
    ck_assert(meshd_blobs_has(jt_blobs, &file));
}
END_TEST

/* --- disks -------------------------------------------------------------------------------------
 */

static uint64_t file_bytes(const char *name)
{
    struct stat st;
    return stat(jt_path_of(name), &st) == 0 ? (uint64_t)st.st_size : 0;
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
    jt_say_some();
    uint64_t kept = jt_n_said;
    set_file_limit(file_bytes(JOURNAL_DB_NAME "-wal"));
    jt_say_result(JOB, 2, NULL);
    jt_say_job(JOB + 1, NULL);
    jt_await_said();
    ck_assert(jt_seen.error == -ENOSPC ||
              jt_seen.error == -EIO); /* SQLite does not pass EFBIG on */
    ck_assert_uint_eq(jt_seen.n_errors, 1);
    ck_assert_uint_eq(jt_seen.journaled, kept);
    jt_look(JOB, 0, 0, 10); /* still reads */
    ck_assert_uint_eq(jt_seen.looked.journal_looked.n, 2);
    set_file_limit(RLIM_INFINITY);
    jt_say_result(JOB, 2, NULL); /* again, under a new number */
    jt_await_said();
    ck_assert_int_eq(jt_seen.error, 0);
    ck_assert_uint_eq(jt_seen.n_errors, 1);
    jt_look(JOB, 0, 0, 10);
    ck_assert_uint_eq(jt_seen.looked.journal_looked.n, 3);
    jt_look(JOB + 1, 0, 0, 10);
    ck_assert_int_eq(jt_seen.looked.journal_looked.error, -ENOENT);
}
END_TEST

static void overwrite(const char *name, off_t at, size_t n)
{
    int fd = open(jt_path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)(i * 167 + 13);
        ck_assert_int_eq(pwrite(fd, &byte, 1, at + (off_t)i), 1);
    }
    close(fd);
}

/* 0: the header; 1: a page in the midst; 2: no database at all. */
START_TEST(a_corrupt_journal_is_kept_aside_and_an_empty_one_begun)
{
    jt_say_some();
    jt_stop();
    if (_i == 2) {
        ck_assert_int_eq(truncate(jt_path_of(JOURNAL_DB_NAME), 0), 0);
    }
    overwrite(JOURNAL_DB_NAME, _i == 1 ? 4096 * 3 : 0, 4000);
    jt_start();
    ck_assert_uint_eq(jt_seen.n_jobs, 0);
    ck_assert(jt_is_there(JOURNAL_DB_NAME ".corrupt-1"));
    ck_assert(jt_is_logged("the journal is corrupt: it is kept aside"));
    jt_say_some();
    jt_stop();
    overwrite(JOURNAL_DB_NAME, 0, 4000);
    jt_start(); /* a second one does not take the first one's place */
    ck_assert(jt_is_there(JOURNAL_DB_NAME ".corrupt-1") &&
              jt_is_there(JOURNAL_DB_NAME ".corrupt-2"));
}
END_TEST

START_TEST(corruption_that_shows_later_is_told_and_the_journal_goes_on)
{
    jt_are_tasks_long = true; /* more than SQLite keeps in memory */
    jt_say_job(JOB, NULL);
    for (uint32_t i = 1; i <= TASKS_MANY; i++) {
        jt_say_task(JOB, i);
    }
    jt_await_said();
    jt_stop();
    jt_start();
    for (uint64_t at = 4096; at < file_bytes(JOURNAL_DB_NAME); at += 4096) {
        overwrite(JOURNAL_DB_NAME, (off_t)at, 64);
    }
    unsigned n_errors = jt_seen.n_errors;
    for (uint32_t i = 1; i <= TASKS_MANY && jt_seen.n_errors == n_errors; i++) {
        jt_say_result(JOB, i, NULL);
        jt_look(JOB, 0, i, 1);
    }
    while (jt_seen.n_errors == n_errors) {
        uv_run(&jt_loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(jt_seen.error, -EBADMSG);
    ck_assert(jt_is_there(JOURNAL_DB_NAME ".corrupt-1"));
    jt_say_job(JOB + 1, NULL);
    jt_await_said();
    ck_assert_int_eq(jt_seen.error, 0);
    jt_look(JOB + 1, 0, 0, 1);
    ck_assert_int_eq(jt_seen.looked.journal_looked.error, 0);
}
END_TEST

/* What another program did to the file of a journal that is closed. */
static void tamper(const char *sql)
{
    sqlite3 *other;
    ck_assert_int_eq(sqlite3_open(jt_path_of(JOURNAL_DB_NAME), &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
}

START_TEST(a_newer_journal_is_refused_and_left_alone)
{
    struct errmsg err;
    jt_stop();
    tamper("PRAGMA user_version = 99");
    ck_assert_int_eq(jt_open_journal(&err), -ENOTSUP);
    ck_assert_ptr_nonnull(strstr(err.text, "of a newer mesh (version 99, this one knows "));
    ck_assert(!jt_is_there(JOURNAL_DB_NAME ".corrupt-1"));
    ck_assert_ptr_null(jt_journal);
}
END_TEST

START_TEST(an_older_journal_is_brought_up_with_all_that_is_in_it)
{
    jt_say_some();
    jt_stop();
    tamper("DROP TABLE queue; DROP TABLE queue_item; DROP TABLE queue_putter;"
           "PRAGMA user_version = 1");
    jt_start();
    ck_assert_uint_eq(jt_seen.n_jobs, 1);
    ck_assert(!jt_is_there(JOURNAL_DB_NAME ".corrupt-1"));
    jt_stop();
    jt_start(); /* and is then as any other */
    ck_assert_uint_eq(jt_seen.n_jobs, 1);
}
END_TEST

START_TEST(a_journal_that_lacks_a_table_is_kept_aside)
{
    jt_say_some();
    jt_stop();
    tamper("DROP TABLE queue_item");
    jt_start();
    ck_assert_uint_eq(jt_seen.n_jobs, 0);
    ck_assert(jt_is_there(JOURNAL_DB_NAME ".corrupt-1"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, jt_set_up, jt_tear_down);
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
