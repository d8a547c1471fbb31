/* Shared by journal.c and journal_answer.c (the loop's side) and journal_thread.c (the thread's),
 * and by nobody else.
 *
 * An item goes from the loop to the thread and back. Each is owned by the list that it is in, or by
 * the thread while that is at it. */
#ifndef MESH_JOURNAL_INTERNAL_H
#define MESH_JOURNAL_INTERNAL_H

#include "mesh/journal.h"
#include "mesh/journal_db.h"
#include "wire/base/list.h"
#include "wire/base/table.h"

/* Answers of one reading; messages are longer in memory. */
#define JOURNAL_ANSWER_BYTES_MAX (256u << 20)

enum journal_kind { JOURNAL_PUT, JOURNAL_READ, JOURNAL_LOOK, JOURNAL_LIST };

struct journal_item {
    struct list node;
    enum journal_kind kind;
    uint64_t number; /* of the record, or of the request */
    uint64_t job;
    int error;              /* set by the thread */
    struct journal_put put; /* PUT: its bytes are in `bytes` */
    uint32_t first, n;      /* READ, LOOK: as the effect says; n also for the answer */
    uint64_t after, bytes_max, last;
    bool has_tasks;
    struct journal_job found; /* LOOK: without its messages, which come first in `bytes` */
    bool has_over;
    struct buf bytes;         /* PUT: the message; else the answer's messages */
    struct journal_job *jobs; /* LIST: n of them, owned; each one's messages are in `bytes` */
    struct wire_hash hashes_few[2];
    bool are_new_few[2];
    struct wire_hash *hashes; /* owned where they are not those few */
    bool *are_new;
};

struct meshd_journal {
    struct meshd_journal_config config;
    struct journal_db *db; /* the thread's, once that runs */
    struct table pins;     /* of pin, in journal.c */
    uint64_t said;         /* number of the record that was said last */
    uint64_t dropped;      /* what was said up to here is settled, whatever comes back of it */
    bool is_reading;       /* before the thread runs */
    uv_thread_t thread;
    bool is_thread_up;
    uv_async_t answered;
    bool is_async_up;
    void (*on_closed)(void *user);
    void *on_closed_user;

    uv_mutex_t lock; /* for what follows */
    uv_cond_t wake;
    struct list queue;       /* to the thread */
    struct list answers;     /* from it */
    struct buf freed;        /* hashes, of blobs that a job does not name any more */
    struct errmsg said_text; /* what the thread has to say in the log; "": nothing */
    bool is_failed;          /* records are not written until the loop has heard of it */
    bool is_lost;            /* an empty file took the place of what was there */
    bool is_closing, is_ended;
};

/* journal_answer.c */

/* The next of messages that stand one behind the other, which must be of this type. 0, or -EBADMSG:
 * it is not what it was when it was written. */
int journal_next_message(struct slice *from, struct arena *arena, enum wire_message_type type,
                         struct wire_message *ret_message) MUST_CHECK;
uint64_t journal_age_ns(const struct journal_job *job);
/* The event of an item that was read; the first is of READ only. */
void journal_put_tasks(struct meshd_journal *journal, const struct journal_item *item);
void journal_put_read(struct meshd_journal *journal, const struct journal_item *item);

/* journal_queue.c */
void journal_queue_fill(struct journal_item *item, const struct core_record *record);
int journal_queue_report(struct meshd_journal *journal) MUST_CHECK;

/* The thread. arg is the journal. */
void journal_thread(void *arg);
void journal_item_free(struct journal_item *item);

#endif
