/* Detached jobs: what is said to the disk and when it is acted on, what is read back from it.
 *
 * journal.c says records and hears how they fared; restore.c brings tasks from disk into memory,
 * at start and while a long job runs. The structures are core_journal, core_entry and core_keeping
 * of core_internal.h. */
#ifndef MESH_CORE_JOURNAL_H
#define MESH_CORE_JOURNAL_H

#include "mesh/core/core_internal.h"

void core_journal_init(struct core *core);
void core_journal_free_all(struct core *core);
void core_journal_on_journaled(struct core *core, uint64_t number, int error);

/* Why no detached job can be taken now; empty when it can. */
struct slice core_journal_fault(struct core *core);
/* Whether no task of this job may be placed: its results could not be kept, or executors have not
 * said yet what they hold of it. */
bool core_journal_is_blocked(const struct core *core, const struct core_job *job);

/* The job is accepted once this record is on disk. */
void core_journal_job(struct core *core, struct core_job *job);
/* A task came in; it is taken into memory when there is room. */
void core_journal_task(struct core *core, struct core_job *job, const struct wire_add_task *add);
/* All of them came: the job is kept once this is on disk. */
void core_journal_complete(struct core *core, struct core_job *job);
/* The task's one result: it is KEEPING, and core_task_kept() follows once that is on disk. */
void core_journal_result(struct core *core, struct core_task *task, struct core_attempt *attempt,
                         enum wire_refusal refusal, const struct wire_result *result);
/* Whether the result that is kept came from this attempt. */
bool core_journal_is_of(const struct core_task *task, const struct core_attempt *attempt);
/* It is kept, or nobody wants it any more: its executor may forget it. */
void core_journal_drop_keeping(struct core *core, struct core_task *task);
/* Nothing more of it runs. A client that asked hears OK once that is on disk; 0: nobody did. */
void core_journal_cancel(struct core *core, struct core_job *job, uint64_t client);
/* A job that is not kept is given up, or one that has ended may go: nothing of it stays. A client
 * that asked hears OK once that is on disk; 0: nobody did. */
void core_journal_forget(struct core *core, uint64_t job, uint64_t client);
/* Each task has its result. */
void core_journal_over(struct core *core, struct core_job *job);

/* Of queues, for queue_kept.c: said now, or when there is room again, when it is one that has to be
 * said. `item`: of QUEUE_DONE; `client`: who waits for QUEUE_REMOVED. Returns the record, for what
 * core_queue_fill() leaves to be filled in, or NULL when it waits. */
struct core_record *core_journal_queue(struct core *core, enum core_record_type type,
                                       uint64_t queue, uint64_t item, uint64_t client);
/* Empty, or what is wrong with the disk. */
struct slice core_journal_disk_fault(struct core *core);

/* restore.c */
void core_restore_on_job(struct core *core, const struct core_event *event);
void core_restore_on_tasks(struct core *core, const struct core_event *event);
void core_restore_on_end(struct core *core);
/* Reads more tasks of a long job when few are left in memory. */
void core_restore_read(struct core *core, struct core_job *job);
void core_restore_init(struct core *core);

#endif
