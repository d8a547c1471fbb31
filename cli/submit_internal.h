/* The state of a running submission: shared by submit_begin.c (all before the first task),
 * submit_run.c (the loop, adding tasks) and submit_done.c (what the daemon says). */
#ifndef MESH_CLI_SUBMIT_INTERNAL_H
#define MESH_CLI_SUBMIT_INTERNAL_H

#include <stdio.h>

#include "cli/attach_run.h"
#include "cli/joblog.h"
#include "cli/output.h"
#include "cli/results_tree.h"
#include "cli/submit_files.h"
#include "cli/submit_returns.h"
#include "cli/submit_run.h"
#include "wire/base/buf.h"
#include "wire/base/table.h"

/* A task that was added and has no result yet. */
struct cmd_task {
    struct table_entry entry; /* by number */
    uint32_t number;          /* as the daemon counts */
    uint64_t sequence;        /* as inputs are counted: another, where some of them ran before */
    struct slice command;     /* owned: for the joblog and for failures */
    struct slice tag;         /* owned */
    uint64_t seen[2];         /* streamed: bytes of out and err dealt with */
    struct buf part[2];       /* --line-buffer: the line that is not whole yet */
    bool has_ended;           /* its result came; files may still be on their way */
    struct cmd_returns returns;
    struct slice *values; /* owned, with their bytes: for --results; else NULL */
    unsigned n_values;
};

struct cmd_run {
    const struct cmd_submission *submission;
    struct mesh_client *client;
    struct cmd_output *output;
    struct cmd_bar bar;
    FILE *joblog; /* or NULL */
    int signal_fd;
    bool is_streamed;
    bool is_shell;
    bool is_single; /* no input source: exits as its one task */

    /* adding */
    bool has_next; /* `next_argv` is ready to be added */
    struct wire_slices next_argv;
    uint64_t n_read;           /* inputs, those that are left out included */
    struct cmd_joblog_ran ran; /* --resume: what is left out */
    struct buf tag;
    bool is_waiting; /* the input source has nothing now */
    bool is_input_over;
    bool is_end_sent;
    bool is_putting;               /* the next task's files are being taken in */
    struct cmd_sender *sender;     /* NULL: no option asks for files */
    struct cmd_receiver *receiver; /* the same; attached: --files was not given */
    struct cmd_results *results;   /* NULL: --results was not given, or not needed yet */
    struct cmd_values next_values; /* borrowed from the inputs */
    int stdin_fd;                  /* the task's input, spooled; -1: none */
    bool has_hinted;

    /* the job */
    bool is_accepted;
    bool is_kept;                    /* --detach: it goes on without us */
    bool is_cut;                     /* attached: it did not end with a result for each task */
    const struct cmd_attach *attach; /* NULL: not attached */
    uint64_t n_left;                 /* attached: files that were returned and not asked for */
    uint64_t n_faults;               /* results of which a file could not be had or written */
    uint64_t job;
    uint64_t tasks_max; /* credit */
    uint64_t n_added;
    uint64_t n_done;
    uint64_t n_acked;
    uint64_t n_failed;
    struct table tasks; /* struct cmd_task */
    bool is_job_done;   /* every task has its result; files may still be on their way */
    bool is_finished;
    int single_status;
    int stop_status;    /* not 0: the job is being cancelled, and this is the exit status */
    int64_t stopped_ms; /* when that began */
};

/* Deals with one message of the daemon. */
void cmd_run_on_message(struct cmd_run *run, const struct wire_message *message);
/* Ends the job everywhere, and the program with this status once the daemon confirmed. */
void cmd_run_stop(struct cmd_run *run, int status);
/* After a failure to print: stops quietly when the reader is gone or a signal came, else with err's
 * line. */
void cmd_run_output_failed(struct cmd_run *run, int error, const struct errmsg *err);
/* Says a line on standard error without breaking the bar. */
void cmd_run_say(struct cmd_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Tasks whose files are all there are done. */
void cmd_run_end_received(struct cmd_run *run);

void cmd_run_init(struct cmd_run *run, const struct cmd_submission *submission);
void cmd_run_done(struct cmd_run *run);
/* All of a submission but signals; returns the exit status. */
int cmd_run_submit(struct cmd_run *run);
/* Makes the next task ready that did not run before. 0; -ENODATA, -EAGAIN; other -errno with err.
 */
int cmd_run_prepare_next(struct cmd_run *run, struct errmsg *err) MUST_CHECK;
/* Until the job is over. */
void cmd_run_loop(struct cmd_run *run);
/* Takes in what the daemon said, and acknowledges results. */
void cmd_run_receive(struct cmd_run *run);
/* One turn of the loop behind that: draws the bar, and waits until something happens. */
void cmd_run_wait(struct cmd_run *run);
/* What is to be said in the end; returns the exit status. */
int cmd_run_finish(struct cmd_run *run);

/* The command as one line and the values as a tag are copied. */
struct cmd_task *cmd_task_new(struct cmd_run *run, uint32_t number, uint64_t sequence,
                              struct slice command, struct slice tag);
/* The values of a task's input sources as --tag shows them; emptied first. */
void cmd_tag_of(struct wire_slices values, struct buf *to);
void cmd_task_free(struct cmd_run *run, struct cmd_task *task);
/* How many tasks there are, as far as that is known. */
struct cmd_progress cmd_run_progress(const struct cmd_run *run);

#endif
