/* The state of a running submission: shared by submit_run.c (the loop, adding tasks) and
 * submit_done.c (what the daemon says). */
#ifndef MESH_CLI_SUBMIT_INTERNAL_H
#define MESH_CLI_SUBMIT_INTERNAL_H

#include <stdio.h>

#include "cli/output.h"
#include "cli/submit_run.h"
#include "wire/base/buf.h"
#include "wire/base/table.h"

/* A task that was added and has no result yet. */
struct cmd_task {
    struct table_entry entry; /* by number */
    uint32_t number;
    struct slice command; /* owned: for the joblog and for failures */
    struct slice tag;     /* owned */
    uint64_t seen[2];     /* streamed: bytes of out and err dealt with */
    struct buf part[2];   /* --line-buffer: the line that is not whole yet */
};

struct cmd_run {
    const struct cmd_submission *submission;
    struct mesh_client *client;
    struct cmd_output *output;
    struct cmd_bar bar;
    FILE *joblog; /* or NULL */
    int signal_fd;
    bool is_streamed;
    bool is_single; /* no input source: exits as its one task */

    /* adding */
    bool has_next; /* `next_argv` is ready to be added */
    struct wire_slices next_argv;
    struct slice next_tag; /* in `tag` */
    struct buf tag;
    bool is_waiting; /* the input source has nothing now */
    bool is_input_over;
    bool is_end_sent;
    int stdin_fd; /* the task's input, spooled; -1: none */
    bool has_hinted;

    /* the job */
    bool is_accepted;
    uint64_t job;
    uint64_t tasks_max; /* credit */
    uint64_t n_added;
    uint64_t n_done;
    uint64_t n_acked;
    uint64_t n_failed;
    struct table tasks; /* struct cmd_task */
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

struct cmd_task *cmd_task_new(struct cmd_run *run, struct wire_slices argv);
void cmd_task_free(struct cmd_run *run, struct cmd_task *task);
/* How many tasks there are, as far as that is known. */
struct cmd_progress cmd_run_progress(const struct cmd_run *run);

#endif
