/* Programs and functions running on a lab's hosts.
 *
 * Each is a child of the test, in the host's namespaces and in a session of its own, and dies with
 * the host. Its standard output and standard error go to files that can be read at any time, so no
 * one has to drain a pipe. Its environment is new: PATH, HOME=/tmp, LANG, what the sanitizers need
 * and what lab_start adds. */
#ifndef MESH_LAB_PROCESS_H
#define MESH_LAB_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/lab/host.h"
#include "wire/base/ensure.h"
#include "wire/base/list.h"

/* Read its fields; only process.c writes them. Belongs to its host until lab_free(). */
struct lab_process {
    struct list node;
    struct lab_host *host;
    char what[128];      /* its command line, cut, for messages */
    pid_t pid;           /* as the test sees it; valid for kill() while is_running */
    bool is_running;     /* as of the last look */
    int status;          /* what waitpid() said, once it is not running */
    uint64_t started_ns; /* lab_now_ns() */
    uint64_t ended_ns;   /* when its end was seen */
    char out_path[LAB_PATH_BYTES_MAX];
    char err_path[LAB_PATH_BYTES_MAX];
    char *out; /* what was last read of its output, owned */
    char *err;
};

/* How a process is to be started beyond its argv. All zeros: as above, nothing on standard input.
 */
struct lab_start {
    const char *stdin_path; /* read from this file; NULL: /dev/null */
    const char *folder;     /* working directory on the host; NULL: /tmp */
    const char *const *env; /* NULL-terminated list of NAME=VALUE in addition; may be NULL */
};

/* Starts a program; the list of arguments ends with NULL. A program that cannot be executed fails
 * the test. */
struct lab_process *lab_spawn(struct lab_host *host, const char *program, ...)
    __attribute__((sentinel));
struct lab_process *lab_spawnv(struct lab_host *host, const char *const *argv,
                               const struct lab_start *start);

/* Runs a function of the test on the host; what it returns is the exit status. */
struct lab_process *lab_call(struct lab_host *host, int (*function)(void *context), void *context);

/* Waits for its end. 0 and *ret_status as an exit status (128 + N for signal N), or -ETIMEDOUT. */
int lab_wait(struct lab_process *process, unsigned deadline_ms, int *ret_status) MUST_CHECK;

/* lab_wait() that fails the test, showing the process's output, when the status is another. */
void lab_expect(struct lab_process *process, unsigned deadline_ms, int status);

/* lab_spawnv(), and waits for its end; a program that is still running then is killed and fails the
 * test. The exit status; output and errors are in the process. */
int lab_run(struct lab_host *host, unsigned deadline_ms, struct lab_process **ret_process,
            const char *program, ...) __attribute__((sentinel));

/* Everything it has printed so far, NUL-terminated; valid until the next call for this process. */
const char *lab_output(struct lab_process *process);
const char *lab_errors(struct lab_process *process);

/* Waits until its output or its errors hold the text; whether they did in time. */
bool lab_wait_text(struct lab_process *process, const char *text, unsigned deadline_ms) MUST_CHECK;

/* kill -9: gone, and waited for, when this returns. What it started lives on. */
void lab_kill(struct lab_process *process);
/* SIGSTOP and SIGCONT to this process alone. */
void lab_freeze(struct lab_process *process);
void lab_thaw(struct lab_process *process);
/* The same for every process of a host; all stand still when the first returns. */
void lab_freeze_host(struct lab_host *host);
void lab_thaw_host(struct lab_host *host);
/* SIGTERM; fails the test unless it ends with 0 in time. */
void lab_stop(struct lab_process *process, unsigned deadline_ms);
/* Whether it still runs now. */
bool lab_is_running(struct lab_process *process);

/* From now on (NULL: no longer) an assertion that fails in this process shows what every process of
 * the lab has printed. For host.c: lab_new() begins it, lab_free() ends it. */
void lab_show_on_failure(struct lab *lab);

/* Fails the test with this line. */
_Noreturn void lab_fail(struct lab *lab, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The record of a process that has ended, and its output, are no longer wanted: for labs that start
 * thousands. Fails the test over a sanitizer's report. Returns NULL. */
struct lab_process *lab_forget(struct lab_process *process);

/* For host.c: frees all processes of a host that is gone, and fails the test over a sanitizer's
 * report in what they printed. */
void lab_forget_processes(struct lab_host *host);

#endif
