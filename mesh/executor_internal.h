/* Shared by executor.c (attempts), executor_cell.c (making cells, and what goes into them) and
 * executor_call.c (attempts that are calls), and by nobody else. */
#ifndef MESH_EXECUTOR_INTERNAL_H
#define MESH_EXECUTOR_INTERNAL_H

#include "mesh/cell.h"
#include "mesh/cell_groups.h"
#include "mesh/disk_share.h"
#include "mesh/executor.h"
#include "mesh/shared_memory.h"
#include "wire/base/table.h"

/* The scratch of a cell, its /tmp and its /dev/shm, each at most; never more than half of its
 * memory.
 */
#define EXECUTOR_SCRATCH_BYTES (UINT64_C(1) << 30)
/* Nothing runs in less. */
#define EXECUTOR_MEMORY_BYTES_MIN (UINT64_C(16) << 20)
/* Where no control group holds a task's --mem: the address space of each of its processes is so
 * much larger than that, for what is reserved and never used. */
#define EXECUTOR_ADDRESS_BYTES_MORE (UINT64_C(4) << 30)
/* The largest file in a cell, and in the folders of --bind-rw. */
#define EXECUTOR_FILE_BYTES_MAX (UINT64_C(64) << 30)
/* Processes and threads of a cell; fewer where the daemon's user may not have twice as many for
 * each core. */
#define EXECUTOR_PROCESSES_MAX 1024u
#define EXECUTOR_PROCESSES_MIN 64u

struct attempt_key {
    struct wire_key owner;
    uint64_t job;
    uint32_t task;
    uint32_t incarnation;
    uint32_t number;
};

struct exec_cell {
    struct table_entry by_number; /* key: number */
    uint64_t number;              /* the core's */
    struct meshd_executor *executor;
    struct cell *cell;            /* owned */
    struct exec_attempt *attempt; /* that runs in it, or NULL */
    struct disk_share *disk;      /* of its submitter; referred to */
};

struct exec_call;
struct exec_files;

/* Index 0 is standard output, 1 standard error; of a call the value, and what it printed. */
struct exec_attempt {
    struct table_entry by_key;
    struct attempt_key key;
    struct meshd_executor *executor;
    struct wire_key owner;
    struct wire_attempt_id id;
    uint64_t lease_ms;
    struct exec_cell *cell;   /* NULL: it has ended, its outputs are being stored */
    struct exec_call *call;   /* owned; NULL: it reads nothing but its arguments */
    struct exec_files *files; /* owned; NULL: it has none, nor returns any */
    bool is_cell_usable;
    bool is_output_lost;
    bool is_blob[2];
    bool is_held[2];
    struct disk_share *disk; /* referred to */
    uint64_t disk_bytes[2];  /* taken of it, until the output is stored */
    unsigned n_storing;
    struct wire_hash hashes[2];
    uint8_t *inlined[2]; /* owned */
    struct wire_result result;
    char detail[WIRE_REASON_BYTES_MAX];
};

struct meshd_executor {
    struct meshd_executor_config config;
    struct table cells;    /* by number */
    struct table attempts; /* by attempt_key */
    unsigned n_cells;      /* not closed yet */
    unsigned n_storing;    /* outputs under way */
    bool has_sandbox;
    struct shared_memory *memory; /* owned; NULL once it is closed */
    struct disk_shares disk;
    struct sandbox sandbox;
    struct cell_groups groups;
    int filter_fd;              /* owned; -1: none */
    uint64_t memory_bytes_core; /* of a task that does not say --mem, for each of its cores */
    uint32_t n_processes;       /* of a cell; 0: this kernel cannot limit them */
    struct sandbox_bind binds[SANDBOX_BINDS_MAX];
    char cell_program[MESHD_PATH_BYTES];
    char bwrap[MESHD_PATH_BYTES];
    char work_dir[MESHD_PATH_BYTES];
    bool is_closing;
    void (*on_closed)(void *user);
    void *on_closed_user;
};

/* executor.c */
extern const struct cell_events executor_cell_events;
void executor_maybe_closed(struct meshd_executor *executor);
/* Each takes an attempt that never began, and its cell is free for another. */
void executor_refuse(struct exec_attempt *attempt, enum wire_refusal why, const struct errmsg *err,
                     bool is_cell_usable);
void executor_end_unbegun(struct exec_attempt *attempt, enum wire_end end);
/* A store of the attempt ended: where it was the last one of one that has ended, reports that. */
void executor_stored(struct exec_attempt *attempt);

/* executor_call.c */

/* Starts a call in the attempt's cell, at once or when what it reads is in memory. 0, or -errno and
 * why. */
int executor_call_start(struct exec_attempt *attempt, const struct core_effect *effect,
                        enum wire_refusal *reterr_why, struct errmsg *err) MUST_CHECK;
/* Whether it is not in its cell yet. */
bool executor_call_is_waiting(const struct exec_attempt *attempt);
/* Of one that waits: it ends so instead of beginning. */
void executor_call_kill(struct exec_attempt *attempt, enum wire_end end);
/* Gives back what it read; of any attempt. */
void executor_call_done(struct exec_attempt *attempt);

/* executor_files.c */

/* What a START says of files. 0 or -ENOMEM. */
int executor_files_keep(struct exec_attempt *attempt, const struct core_effect *effect,
                        uint64_t bytes_max) MUST_CHECK;
/* The events of its cell. */
int executor_open_content(void *user, struct cell *cell, uint32_t i, int *ret_fd);
void executor_on_returned(void *user, struct cell *cell, const struct cell_returned *file);
/* Puts what was returned into the attempt's result, pinned, and says what came of it. */
void executor_files_report(struct exec_attempt *attempt);
/* The core was told. */
void executor_files_done(struct exec_attempt *attempt);

/* executor_cell.c */

/* What one stream of a task may hold, and all its files together. */
uint64_t executor_output_max(const struct meshd_executor *executor,
                             const struct wire_job_spec *spec);

/* The cell of a START whose number is new. NULL, and why. */
struct exec_cell *executor_make_cell(struct meshd_executor *executor,
                                     const struct core_effect *effect,
                                     enum wire_refusal *reterr_why, struct errmsg *err) MUST_CHECK;
/* Starts the attempt of a START in its cell. 0, or -errno and why. */
int executor_start_in(struct exec_cell *exec_cell, const struct core_effect *effect,
                      enum wire_refusal *reterr_why, struct errmsg *err) MUST_CHECK;

#endif
