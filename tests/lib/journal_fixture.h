/* A journal on a real directory, with a real loop and its own thread, and a store of 1,000 bytes:
 * for tests of the journal. Everything is made and removed by a checked fixture. */
#ifndef MESH_TESTS_JOURNAL_FIXTURE_H
#define MESH_TESTS_JOURNAL_FIXTURE_H

#include "mesh/journal.h"

#define SEEN_MAX 64u

/* What came back, since the journal was opened. */
struct jt_seen {
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
    unsigned n_queues, n_putters;
    struct core_kept_item items[SEEN_MAX]; /* without bytes */
    char bytes[SEEN_MAX][16];
    uint32_t n_items;
};

extern struct jt_seen jt_seen;
extern uv_loop_t jt_loop;
extern struct meshd_blobs *jt_blobs;
extern struct meshd_journal *jt_journal;
extern uint64_t jt_n_said;     /* number of the last record */
extern bool jt_are_tasks_long; /* those that are said from now on */

void jt_set_up(void);
void jt_tear_down(void);
int jt_open_journal(struct errmsg *err);
/* Opens it and hears what it has to report; closes it. */
void jt_start(void);
void jt_stop(void);
bool jt_is_logged(const char *text);
/* Of a file in the state directory; valid until the next call. */
char *jt_path_of(const char *name);
bool jt_is_there(const char *name);

/* A record with the next number, to be filled and said. */
struct core_effect jt_record(enum core_record_type type, uint64_t job);
void jt_say(const struct core_effect *effect);
/* Until all that was said is on disk, or an error came. */
void jt_await_said(void);
void jt_say_job(uint64_t job, const struct wire_hash *file);
void jt_say_task(uint64_t job, uint32_t task);
void jt_say_result(uint64_t job, uint32_t task, const struct wire_hash *out);
void jt_say_plain(enum core_record_type type, uint64_t job);
/* A job of three tasks, of which two have results. */
void jt_say_some(void);
void jt_look(uint64_t job, uint64_t after, uint32_t task, uint32_t n);
void jt_list_over(void);

/* A blob of so many bytes; nobody holds it. */
struct wire_hash jt_put_blob(char value, size_t n);
/* Takes the place of all that nobody holds. */
void jt_crowd_out(void);

#endif
