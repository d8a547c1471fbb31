/* The journal's file, without the thread: what goes, and what never is there twice. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/journal_db.h"
#include "tests/lib/runner.h"

#define JOB     UINT64_C(0x100000001)
#define N_TASKS 5000u

static char folder[64];
static int dir_fd;
static struct journal_db *db;

static void open_db(void)
{
    struct errmsg said, err;
    int r = journal_db_open(folder, dir_fd, dir_fd, &db, &said, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    ck_assert_str_eq(said.text, "");
}

static void set_up(void)
{
    snprintf(folder, sizeof(folder), "/tmp/mesh-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    open_db();
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(name);
}

static void tear_down(void)
{
    db = journal_db_close(db);
    close(dir_fd);
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static uint64_t file_bytes(void)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof(path), "%s/" JOURNAL_DB_NAME, folder);
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void put(enum core_record_type type, uint64_t job, uint32_t task)
{
    static const char text[100] = "a message";
    struct journal_put one = {.type = type,
                              .job = job,
                              .task = task,
                              .at_s = 5000,
                              .bytes = slice_of(text, sizeof(text))};
    ck_assert_int_eq(journal_db_put(db, &one), 0);
}

/* A job whose tasks all have results, over if asked for. */
static void put_job(uint64_t job, uint32_t n_tasks, bool is_over)
{
    ck_assert_int_eq(journal_db_begin(db), 0);
    put(CORE_RECORD_JOB, job, 0);
    for (uint32_t i = 1; i <= n_tasks; i++) {
        put(CORE_RECORD_TASK, job, i);
        put(CORE_RECORD_RESULT, job, i);
    }
    if (is_over) {
        put(CORE_RECORD_OVER, job, 0);
    }
    ck_assert_int_eq(journal_db_commit(db), 0);
}

static unsigned sweep_all(uint64_t ended_before_s)
{
    bool is_more = true;
    unsigned n = 0;
    while (is_more) {
        ck_assert_int_eq(journal_db_sweep(db, ended_before_s, &is_more), 0);
        n += is_more;
    }
    return n;
}

static void count_job(void *user, const struct journal_job *job)
{
    ++*(unsigned *)user;
}

static unsigned n_over(void)
{
    unsigned n = 0;
    ck_assert_int_eq(journal_db_each_over(db, 10, count_job, &n), 0);
    return n;
}

static unsigned n_open(void)
{
    unsigned n = 0;
    ck_assert_int_eq(journal_db_each_open(db, count_job, &n), 0);
    return n;
}

START_TEST(what_is_forgotten_gives_its_room_back_a_little_at_a_time)
{
    put_job(JOB, N_TASKS, true);
    db = journal_db_close(db);
    uint64_t full = file_bytes();
    ck_assert_uint_gt(full, 500000);
    open_db();
    ck_assert_int_eq(journal_db_begin(db), 0);
    put(CORE_RECORD_FORGET, JOB, 0);
    ck_assert_int_eq(journal_db_commit(db), 0);
    ck_assert_uint_ge(sweep_all(0), 2 * N_TASKS / JOURNAL_SWEEP_ROWS);
    db = journal_db_close(db);
    ck_assert_uint_le(file_bytes(), full / 10);
    open_db();
}
END_TEST

START_TEST(jobs_that_ended_long_ago_are_forgotten_and_no_others)
{
    put_job(JOB, 1, true); /* at second 5,000 */
    put_job(JOB + 1, 1, false);
    ck_assert_uint_eq(sweep_all(5000), 0);
    ck_assert_uint_eq(n_over(), 1);
    ck_assert_uint_gt(sweep_all(5001), 0);
    ck_assert_uint_eq(n_over(), 0);
    ck_assert_uint_eq(n_open(), 1);
}
END_TEST

START_TEST(a_second_result_does_not_take_the_firsts_place)
{
    struct buf read;
    uint32_t n = 0;
    uint64_t last = 0;
    put_job(JOB, 1, false);
    ck_assert_int_eq(journal_db_begin(db), 0);
    struct journal_put again = {
        .type = CORE_RECORD_RESULT, .job = JOB, .task = 1, .bytes = slice_str("another")};
    ck_assert_int_eq(journal_db_put(db, &again), 0);
    ck_assert_int_eq(journal_db_commit(db), 0);
    ck_assert_uint_eq(journal_db_n_doubled(db), 1);
    buf_init(&read, 4096);
    ck_assert_int_eq(journal_db_results(db, JOB, 0, 0, 10, 4096, false, &read, &n, &last), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(memcmp(read.p, "a message", 9), 0);
    buf_done(&read);
}
END_TEST

START_TEST(a_group_that_is_rolled_back_leaves_nothing)
{
    put_job(JOB, 1, false);
    ck_assert_int_eq(journal_db_begin(db), 0);
    put(CORE_RECORD_JOB, JOB + 1, 0);
    put(CORE_RECORD_CANCEL, JOB, 0);
    journal_db_rollback(db);
    ck_assert_uint_eq(n_open(), 1);
    ck_assert_int_eq(journal_db_job(db, JOB + 1, count_job, &(unsigned){0}), -ENOENT);
    put_job(JOB + 1, 1, false);
    ck_assert_uint_eq(n_open(), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_db");
    TCase *tc = tcase_create("journal_db");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_forgotten_gives_its_room_back_a_little_at_a_time);
    tcase_add_test(tc, jobs_that_ended_long_ago_are_forgotten_and_no_others);
    tcase_add_test(tc, a_second_result_does_not_take_the_firsts_place);
    tcase_add_test(tc, a_group_that_is_rolled_back_leaves_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
