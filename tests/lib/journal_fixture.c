#include "tests/lib/journal_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mesh/journal_db.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"
#include "wire/identity.h"

#define JOB UINT64_C(0x100000001)

uv_loop_t jt_loop;
static char folder[64];
static int dir_fd;
static struct meshd_log log_;
static char log_path[96];
struct meshd_blobs *jt_blobs;
struct meshd_journal *jt_journal;
static unsigned n_closed;

struct jt_seen jt_seen;

static void note_looked(const struct core_event *event)
{
    jt_seen.looked = *event;
    jt_seen.n_looked++;
    for (uint32_t i = 0; i < event->journal_looked.n && i < SEEN_MAX; i++) {
        const struct wire_done *done = &event->journal_looked.results[i];
        const struct wire_add_task *tasks = event->journal_looked.tasks;
        jt_seen.results[i] = done->task;
        snprintf(jt_seen.out[i], sizeof(jt_seen.out[i]), "%.*s",
                 SLICE_FMT(done->result.out.inlined));
        snprintf(jt_seen.value[i], sizeof(jt_seen.value[i]), "%.*s",
                 tasks != NULL ? (int)tasks[i].values.items[0].n : 0,
                 tasks != NULL ? (const char *)tasks[i].values.items[0].p : "");
    }
}

static void note_items(const struct core_event *event)
{
    for (uint32_t i = 0; i < event->journal_items.n; i++) {
        const struct core_kept_item *item = &event->journal_items.items[i];
        ck_assert_uint_lt(jt_seen.n_items, SEEN_MAX);
        snprintf(jt_seen.bytes[jt_seen.n_items], sizeof(jt_seen.bytes[0]), "%.*s",
                 SLICE_FMT(item->content.bytes));
        jt_seen.items[jt_seen.n_items++] = *item;
    }
}

static void on_put(void *user, struct core_event *event)
{
    switch ((int)event->type) {
    case CORE_EVENT_JOURNALED:
        jt_seen.n_journaled++;
        jt_seen.n_errors += event->journaled.error != 0;
        jt_seen.error = event->journaled.error;
        ck_assert_uint_ge(event->journaled.number, event->journaled.error ? 0 : jt_seen.journaled);
        jt_seen.journaled = event->journaled.number;
        return;
    case CORE_EVENT_JOURNAL_JOB:
        jt_seen.n_jobs++;
        jt_seen.job = *event;
        snprintf(jt_seen.name, sizeof(jt_seen.name), "%.*s",
                 SLICE_FMT(event->journal_job.submit->name));
        return;
    case CORE_EVENT_JOURNAL_TASKS:
        ck_assert_int_eq(event->journal_tasks.error, 0);
        jt_seen.n_tasks = 0;
        jt_seen.n_all_tasks += event->journal_tasks.n;
        for (uint32_t i = 0; i < event->journal_tasks.n && i < SEEN_MAX; i++) {
            jt_seen.tasks[jt_seen.n_tasks++] = event->journal_tasks.items[i].task;
        }
        return;
    case CORE_EVENT_JOURNAL_QUEUE:
        jt_seen.n_queues++;
        return;
    case CORE_EVENT_JOURNAL_ITEMS:
        note_items(event);
        return;
    case CORE_EVENT_JOURNAL_PUTTER:
        jt_seen.n_putters++;
        return;
    case CORE_EVENT_JOURNAL_END:
        jt_seen.n_end++;
        return;
    case CORE_EVENT_JOURNAL_LOOKED:
        note_looked(event);
        return;
    case CORE_EVENT_JOURNAL_LISTED:
        jt_seen.n_listed++;
        jt_seen.n_rows = event->journal_listed.n;
        jt_seen.row =
            event->journal_listed.n > 0 ? event->journal_listed.rows[0] : (struct wire_job_row){0};
        return;
    default:
        ck_abort_msg("an event that is none of the journal's");
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

int jt_open_journal(struct errmsg *err)
{
    struct meshd_journal_config config = {
        .loop = &jt_loop,
        .sink = {.put = on_put},
        .log = &log_,
        .blobs = jt_blobs,
        .dir_path = folder,
        .dir_fd = dir_fd,
    };
    memset(&jt_seen, 0, sizeof(jt_seen));
    return meshd_journal_new(&config, &jt_journal, err);
}

void jt_start(void)
{
    struct errmsg err;
    ck_assert_msg(jt_open_journal(&err) == 0, "%s", err.text);
    ck_assert_msg(meshd_journal_report(jt_journal, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(jt_seen.n_end, 1);
}

static void on_closed(void *user)
{
    n_closed++;
}

void jt_stop(void)
{
    unsigned before = n_closed;
    meshd_journal_close(jt_journal, on_closed, NULL);
    uv_run(&jt_loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_closed, before + 1);
    jt_journal = NULL;
}

void jt_set_up(void)
{
    struct errmsg err;
    ck_assert_int_eq(wire_init(), 0);
    snprintf(folder, sizeof(folder), "/tmp/mesh-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    log_ = (struct meshd_log){.fd = open(log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600),
                              .level = CORE_LOG_DEBUG};
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(uv_loop_init(&jt_loop), 0);
    ck_assert_int_eq(meshd_blobs_new(&jt_loop, dir_fd, 1000, &jt_blobs, &err), 0);
    jt_start();
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(name);
}

void jt_tear_down(void)
{
    if (jt_journal != NULL) {
        jt_stop();
    }
    meshd_blobs_close(jt_blobs, on_closed, NULL);
    uv_run(&jt_loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&jt_loop), 0);
    close(dir_fd);
    close(log_.fd);
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

bool jt_is_logged(const char *text)
{
    char bytes[8192];
    ssize_t n = pread(log_.fd, bytes, sizeof(bytes) - 1, 0);
    bytes[n > 0 ? n : 0] = '\0';
    return strstr(bytes, text) != NULL;
}

char *jt_path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

bool jt_is_there(const char *name)
{
    return access(jt_path_of(name), F_OK) == 0;
}

/* --- records -----------------------------------------------------------------------------------
 */

uint64_t jt_n_said;

struct core_effect jt_record(enum core_record_type type, uint64_t job)
{
    struct core_effect effect = {.type = CORE_EFFECT_JOURNAL};
    effect.journal.type = type;
    effect.journal.number = ++jt_n_said;
    effect.journal.job = job;
    return effect;
}

void jt_say(const struct core_effect *effect)
{
    meshd_journal_carry_out(jt_journal, effect);
}

void jt_await_said(void)
{
    unsigned n_errors = jt_seen.n_errors;
    while (jt_seen.journaled < jt_n_said && jt_seen.n_errors == n_errors) {
        uv_run(&jt_loop, UV_RUN_ONCE);
    }
}

void jt_say_job(uint64_t job, const struct wire_hash *file)
{
    struct core_effect effect = jt_record(CORE_RECORD_JOB, job);
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
    jt_say(&effect);
}

bool jt_are_tasks_long;

void jt_say_task(uint64_t job, uint32_t task)
{
    char text[16];
    struct core_effect effect = jt_record(CORE_RECORD_TASK, job);
    snprintf(text, sizeof(text), "v%u", task);
    static uint8_t long_word[4000];
    memset(long_word, 'x', sizeof(long_word));
    struct slice words[3] = {slice_str("run"), slice_str(text),
                             slice_of(long_word, jt_are_tasks_long ? sizeof(long_word) : 1)};
    effect.journal.task = (struct wire_add_task){.job = job,
                                                 .task = task,
                                                 .argv = {.items = words, .n = 3},
                                                 .values = {.items = &words[1], .n = 1}};
    jt_say(&effect);
}

void jt_say_result(uint64_t job, uint32_t task, const struct wire_hash *out)
{
    char text[16];
    struct core_effect effect = jt_record(CORE_RECORD_RESULT, job);
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
    jt_say(&effect);
}

void jt_say_plain(enum core_record_type type, uint64_t job)
{
    struct core_effect effect = jt_record(type, job);
    if (type == CORE_RECORD_OVER) {
        effect.journal.over = (struct wire_job_done){.job = job, .n_tasks = 3, .n_succeeded = 2};
    }
    jt_say(&effect);
}

/* Three tasks, of which 3 and 1 have results, in this order. */
void jt_say_some(void)
{
    jt_say_job(JOB, NULL);
    for (uint32_t i = 1; i <= 3; i++) {
        jt_say_task(JOB, i);
    }
    jt_say_plain(CORE_RECORD_COMPLETE, JOB);
    jt_say_result(JOB, 3, NULL);
    jt_say_result(JOB, 1, NULL);
    jt_await_said();
    ck_assert_int_eq(jt_seen.error, 0);
    ck_assert_uint_eq(jt_seen.journaled, jt_n_said);
}

void jt_look(uint64_t job, uint64_t after, uint32_t task, uint32_t n)
{
    struct core_effect effect = {.type = CORE_EFFECT_JOURNAL_LOOK};
    effect.journal_look.look = 9;
    effect.journal_look.job = job;
    effect.journal_look.after = after;
    effect.journal_look.task = task;
    effect.journal_look.n = n;
    effect.journal_look.bytes = 1u << 20;
    effect.journal_look.has_tasks = true;
    unsigned before = jt_seen.n_looked;
    meshd_journal_carry_out(jt_journal, &effect);
    while (jt_seen.n_looked == before) {
        uv_run(&jt_loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(jt_seen.looked.journal_looked.look, 9);
}

void jt_list_over(void)
{
    struct core_effect effect = {.type = CORE_EFFECT_JOURNAL_LIST};
    effect.journal_list.n = 10;
    unsigned before = jt_seen.n_listed;
    meshd_journal_carry_out(jt_journal, &effect);
    while (jt_seen.n_listed == before) {
        uv_run(&jt_loop, UV_RUN_ONCE);
    }
}

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
struct wire_hash jt_put_blob(char value, size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(write(fd, &value, 1), 1);
    }
    unsigned before = n_puts;
    ck_assert_int_eq(meshd_blobs_put(jt_blobs, fd, on_stored, NULL), 0);
    while (n_puts == before) {
        uv_run(&jt_loop, UV_RUN_ONCE);
    }
    meshd_blobs_unhold(jt_blobs, &put_hash);
    return put_hash;
}

/* The store has 1,000 bytes: this takes the place of all that nobody holds. */
void jt_crowd_out(void)
{
    static char value = 'a';
    jt_put_blob(value++, 400);
    jt_put_blob(value++, 400);
}
