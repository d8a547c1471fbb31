/* The thread: takes all that waits, writes its records in one group, reads what was asked for, and
 * gives everything back. When nothing waits it deletes what may go, a little at a time. */
#include <errno.h>

#include "mesh/clock.h"
#include "mesh/journal_internal.h"
#include "wire/base/mem.h"

#define KEEP_S (UINT64_C(86400) * MESHD_JOURNAL_KEEP_DAYS)
/* How often it is looked for jobs that ended long ago. */
#define SWEEP_NS (UINT64_C(600) * 1000000000)

/* --- writing -----------------------------------------------------------------------------------
 */

static int write_group(struct journal_db *db, struct list *items)
{
    int error = journal_db_begin(db);
    if (error < 0) {
        return error;
    }
    list_for_each (it, items) {
        struct journal_item *item = LIST_ENTRY(it, struct journal_item, node);
        error = item->kind == JOURNAL_PUT ? journal_db_put(db, &item->put) : 0;
        if (error < 0) {
            journal_db_rollback(db);
            return error;
        }
    }
    return journal_db_commit(db);
}

static bool has_puts(const struct list *items)
{
    list_for_each (it, items) {
        if (LIST_ENTRY(it, struct journal_item, node)->kind == JOURNAL_PUT) {
            return true;
        }
    }
    return false;
}

static void settle_puts(struct list *items, int error)
{
    list_for_each (it, items) {
        struct journal_item *item = LIST_ENTRY(it, struct journal_item, node);
        if (item->kind == JOURNAL_PUT) {
            item->error = error;
        }
    }
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void on_found(void *user, const struct journal_job *job)
{
    struct journal_item *item = user;
    item->found = *job;
    item->has_over = job->over.n > 0;
    buf_append_slice(&item->bytes, job->submit);
    buf_append_slice(&item->bytes, job->over);
}

static void look(struct journal_db *db, struct journal_item *item)
{
    uint32_t n_max = item->n;
    item->n = 0;
    item->last = item->after;
    item->error = journal_db_job(db, item->job, on_found, item);
    if (item->error == 0 && n_max > 0) {
        item->error =
            journal_db_results(db, item->job, item->after, item->first, n_max, item->bytes_max,
                               item->has_tasks, &item->bytes, &item->n, &item->last);
    }
}

static void on_listed(void *user, const struct journal_job *job)
{
    struct journal_item *item = user;
    item->jobs[item->n++] = *job;
    buf_append_slice(&item->bytes, job->submit);
    buf_append_slice(&item->bytes, job->over);
}

static void list_jobs(struct journal_db *db, struct journal_item *item)
{
    uint32_t n_max = item->n;
    item->n = 0;
    item->jobs = mem_alloc(n_max, sizeof(*item->jobs));
    item->error = item->jobs != NULL ? journal_db_each_over(db, n_max, on_listed, item) : -ENOMEM;
    item->error = item->error == 0 ? buf_error(&item->bytes) : item->error;
}

static void read_item(struct journal_db *db, struct journal_item *item)
{
    uint32_t n_max = item->n;
    switch (item->kind) {
    case JOURNAL_PUT:
        return;
    case JOURNAL_READ:
        item->error = journal_db_tasks(db, item->job, item->first, n_max, item->bytes_max,
                                       &item->bytes, &item->n);
        return;
    case JOURNAL_LOOK:
        look(db, item);
        return;
    case JOURNAL_LIST:
        list_jobs(db, item);
        return;
    }
    ensure(!"reached");
}

static void on_freed(void *user, const struct wire_hash *hash)
{
    struct meshd_journal *journal = user;
    uv_mutex_lock(&journal->lock);
    buf_append(&journal->freed, hash, sizeof(*hash));
    uv_mutex_unlock(&journal->lock);
}

/* --- the thread --------------------------------------------------------------------------------
 */

static bool is_corrupt(const struct list *items)
{
    list_for_each (it, items) {
        if (LIST_ENTRY(it, struct journal_item, node)->error == -EBADMSG) {
            return true;
        }
    }
    return false;
}

/* Takes the file aside. What was in it is not there any more: the loop is told with the items. */
static void start_over(struct meshd_journal *journal)
{
    struct errmsg said;
    struct errmsg err;
    int error = journal_db_start_over(journal->db, &said, &err);
    uv_mutex_lock(&journal->lock);
    journal->said_text = error == 0 ? said : err;
    journal->is_lost = journal->is_failed = true;
    uv_mutex_unlock(&journal->lock);
}

static void tell_doubled(struct meshd_journal *journal)
{
    uv_mutex_lock(&journal->lock);
    errmsg_set(&journal->said_text,
               "a second result came to the journal for a task that has one: the first stands");
    uv_mutex_unlock(&journal->lock);
}

static void serve(struct meshd_journal *journal, struct list *items, bool is_refused)
{
    uint64_t n_doubled = journal_db_n_doubled(journal->db);
    if (has_puts(items)) {
        settle_puts(items, is_refused ? -ECANCELED : write_group(journal->db, items));
        journal_db_tell_freed(journal->db, on_freed, journal);
    }
    if (journal_db_n_doubled(journal->db) > n_doubled) {
        tell_doubled(journal); /* the core promised that this cannot be */
    }
    list_for_each (it, items) {
        read_item(journal->db, LIST_ENTRY(it, struct journal_item, node));
    }
    if (is_corrupt(items)) {
        start_over(journal);
    }
}

/* Whether there is more to be deleted. What goes wrong is tried again later. */
static bool sweep(struct meshd_journal *journal)
{
    uint64_t now_s = (uint64_t)meshd_clock_wall_s();
    bool is_more = false;
    uint64_t before_s = now_s > KEEP_S ? now_s - KEEP_S : 0;
    int error = journal_db_sweep(journal->db, before_s, &is_more);
    journal_db_tell_freed(journal->db, on_freed, journal);
    if (error == 0 && is_more) {
        IGNORE(uv_async_send(&journal->answered)); /* fails only for what is no async */
    }
    return error == 0 && is_more;
}

static void move_all(struct list *from, struct list *to)
{
    for (struct list *first; (first = list_first(from)) != NULL;) {
        list_remove(first);
        list_push_back(to, first);
    }
}

/* With the lock held: gives back what was served, takes what waits. False at the end. */
static bool exchange(struct meshd_journal *journal, struct list *items, bool *is_sweep_due,
                     bool *ret_is_refused)
{
    if (!list_is_empty(items)) {
        list_for_each (it, items) {
            const struct journal_item *item = LIST_ENTRY(it, struct journal_item, node);
            journal->is_failed |= item->kind == JOURNAL_PUT && item->error < 0;
        }
        move_all(items, &journal->answers);
        IGNORE(uv_async_send(&journal->answered)); /* fails only for what is no async */
    }
    while (list_is_empty(&journal->queue) && !journal->is_closing && !*is_sweep_due) {
        *is_sweep_due = uv_cond_timedwait(&journal->wake, &journal->lock, SWEEP_NS) != 0;
    }
    move_all(&journal->queue, items);
    *ret_is_refused = journal->is_failed;
    return !list_is_empty(items) || !journal->is_closing;
}

void journal_thread(void *arg)
{
    struct meshd_journal *journal = arg;
    struct list items;
    bool is_sweep_due = true;
    bool is_refused = false;
    list_init(&items);
    for (;;) {
        uv_mutex_lock(&journal->lock);
        bool is_more = exchange(journal, &items, &is_sweep_due, &is_refused);
        uv_mutex_unlock(&journal->lock);
        if (!is_more) {
            break;
        }
        if (list_is_empty(&items)) {
            is_sweep_due = sweep(journal);
        } else {
            is_sweep_due |= has_puts(&items); /* a FORGET may be among them */
            serve(journal, &items, is_refused);
        }
    }
    journal->db = journal_db_close(journal->db);
    uv_mutex_lock(&journal->lock);
    journal->is_ended = true;
    uv_mutex_unlock(&journal->lock);
    IGNORE(uv_async_send(&journal->answered)); /* fails only for what is no async */
}
