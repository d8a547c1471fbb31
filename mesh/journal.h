/* The journal: what the core says of detached jobs, on disk before anybody is told (effect.h).
 *
 * SQLite runs on a thread of its own; the loop never waits for a disk. Records are written in
 * groups: all that was said while one group is being written makes the next. So a commit, and what
 * the disk takes for it, is shared by as many tasks as there are just then.
 *
 * A blob that a record names is on disk before the record is, and stays in the store, held, as long
 * as a job on disk names it. Jobs that ended are forgotten after MESHD_JOURNAL_KEEP_DAYS. */
#ifndef MESH_JOURNAL_H
#define MESH_JOURNAL_H

#include <uv.h>

#include "mesh/blobs.h"
#include "mesh/core/effect.h"
#include "mesh/log.h"
#include "mesh/sink.h"

#define MESHD_JOURNAL_KEEP_DAYS 30u

struct meshd_journal;

struct meshd_journal_config {
    uv_loop_t *loop;
    struct meshd_sink sink;
    const struct meshd_log *log; /* borrowed */
    struct meshd_blobs *blobs;   /* borrowed; closed after the journal */
    const char *dir_path;        /* the state directory, as a path, */
    int dir_fd;                  /* and open; borrowed */
};

/* Opens the journal and reads it through; waits for the disk. 0 or -errno with one line in err: a
 * newer version's journal, a disk that fails. */
int meshd_journal_new(const struct meshd_journal_config *config, struct meshd_journal **ret_journal,
                      struct errmsg *err) MUST_CHECK;
/* Before any other event: puts what is on disk (JOURNAL_JOB, JOURNAL_TASKS, JOURNAL_END), waiting
 * for the disk, and starts the thread. 0 or -errno with err: it could not be read. */
int meshd_journal_report(struct meshd_journal *journal, struct errmsg *err) MUST_CHECK;
/* Writes what was said, closes the file, frees; on_closed is called from the loop. No event is put
 * any more. */
void meshd_journal_close(struct meshd_journal *journal, void (*on_closed)(void *user), void *user);

/* The effects JOURNAL, JOURNAL_READ, JOURNAL_LOOK and JOURNAL_LIST: each is answered by its event,
 * never before this returns. */
void meshd_journal_carry_out(struct meshd_journal *journal, const struct core_effect *effect);

#endif
