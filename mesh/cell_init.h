/* Private to mesh-cell, the init of a cell. It is the first process of a sandbox (pid 1 of its pid
 * namespace), or in bare mode a plain process that adopts its orphans. It runs one attempt at a
 * time for as long as its socket stands.
 *
 * A task is a stranger that runs under the same uid. It gets at nothing of the init: the init is
 * not dumpable (no ptrace, no /proc/1/fd), all its descriptors are close-on-exec, and pid 1 gets
 * no signal it has no handler for. What a task can reach all the same (limits, priority, affinity
 * of a process of its own uid) is compared after every attempt. */
#ifndef MESH_CELL_INIT_H
#define MESH_CELL_INIT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "mesh/cell_proto.h"

/* After this long a process that does not die (stuck in the kernel) makes the cell unusable. */
#define INIT_KILL_NS 10000000000u

struct init_usage { /* summed over all processes reaped in an attempt */
    uint64_t user_us;
    uint64_t sys_us;
    uint64_t peak_kib;
};

/* The words of a START, in one allocation each. */
struct init_command {
    char *text;
    struct cell_body body; /* args has one element more in front */
};

/* Files that are still to come. */
struct init_feed {
    bool is_open; /* not all of them are there */
    struct cell_message start;
    struct init_command command;
    int fds[CELL_FDS_MAX]; /* owned, of the start; -1: none */
    uint32_t next;         /* index into the command's files */
};

struct init_pause {
    bool is_paused;
    bool is_settled;   /* everything stood still, the last time that it could be seen */
    uint64_t next_ns;  /* when to look again */
    unsigned n_looks;  /* in this pause */
    uint64_t spent_us; /* of a processor, at the first of them */
    unsigned n_woken; /* looks in this attempt that found something running which had stood still */
};

struct init_attempt {
    bool is_active; /* from START to its end, whether something runs or not */
    uint64_t serial;
    struct init_feed feed;
    struct init_command command; /* for what is to be returned, once it runs */
    uint32_t n_returns;
    pid_t pid;     /* its own process; 0: nothing runs */
    int exec_pipe; /* tells whether the program could be executed; -1 once that is known */
    bool has_ended;
    int status; /* as wait(2) gives it, once has_ended */
    uint64_t started_ns;
    uint64_t ended_ns;
    struct init_usage usage;
    struct init_pause pause;
};

struct init_memory {  /* looking at what the cell holds */
    int shmem_fd;     /* an empty memory file: its device is that of all of them; -1: none */
    uint64_t next_ns; /* when to look again */
};

struct init_limits { /* what a task could change in its init */
    struct rlimit limits[RLIM_NLIMITS];
    cpu_set_t affinity;
    int priority;
};

struct init {
    bool is_sandbox;
    int socket_fd;
    int signal_fd; /* SIGCHLD */
    int timer_fd;  /* the lease; CLOCK_BOOTTIME: time asleep counts */
    const char *scratch;
    int scratch_fd;
    int task_fd; /* the attempt's directory, in the scratch or that itself; -1 while there is none
                  */
    const char *job_dir;
    char **files; /* "x:PATH" or "-:PATH" */
    int n_files;
    struct cell_limits allowed;
    struct init_attempt attempt;
    struct init_memory memory;
    struct init_limits limits;
};

/* What the child writes into the exec pipe when it cannot become the program. */
struct init_exec_failure {
    uint32_t why; /* enum cell_why */
    uint32_t error;
};

/* --- cell_init_start.c --- */

/* Reads the words. 0 or -errno; init_command_done() in any case. */
int init_command_read(struct init_command *command, const struct cell_message *start,
                      int body_fd) MUST_CHECK;
void init_command_done(struct init_command *command);
/* Forks and executes in the task's directory. The descriptors stay the caller's. On success
 * attempt.pid and attempt.exec_pipe are set; else nothing was left behind: -errno. */
int init_spawn(struct init *init, struct init_command *command, const struct cell_message *start,
               const int *fds) MUST_CHECK;
struct init_exec_failure init_failure_of(int error);

/* --- cell_init_files.c --- */

/* Bare mode: copies the job's files from their descriptors into job_dir and closes these. */
int init_copy_files(struct init *init) MUST_CHECK;
/* Makes the directories that lead to `path` below dir_fd. The path is inside (cell_proto.h). */
int init_make_parents(int dir_fd, const char *path) MUST_CHECK;
/* From where the one stands to its end. 0 or -errno. */
int init_copy_bytes(int from, int to) MUST_CHECK;
/* Links every file of the job into the task's directory. */
int init_link_files(struct init *init) MUST_CHECK;
/* Empties the directory: whatever its depth, modes and number of files. Follows no link. */
int init_empty_dir(int dir_fd) MUST_CHECK;

/* --- cell_init_task.c --- */

/* Makes the task's directory and opens it, as task_fd. 0 or -errno. */
int init_task_dir(struct init *init, const char *workdir) MUST_CHECK;
/* Makes directories up to the next file that needs a content. 1: there is one; 0: all are there;
 * or -errno. */
int init_feed_next(struct init *init) MUST_CHECK;
/* The content of that one. 0 or -errno. */
int init_feed_take(struct init *init, int content_fd) MUST_CHECK;
void init_feed_done(struct init_feed *feed);
/* Once nothing runs: sends a FILE for each file that is to be returned. 0; -ECANCELED: the attempt
 * was killed meanwhile; -ETIME: its lease is over; -EPIPE: the daemon is gone. */
int init_return_files(struct init *init) MUST_CHECK;

/* --- cell_init_clean.c --- */

/* Kills everything but ourselves and reaps until nothing is left; the attempt's own process' end
 * and all usage are noted. 0, or -EBUSY when something would not die. */
int init_kill_all(struct init *init) MUST_CHECK;
/* Reaps what has ended. Returns whether children are left. */
bool init_reap(struct init *init);
/* Removes what a task left behind: files, shared memory, semaphores, message queues. */
int init_clear(struct init *init) MUST_CHECK;
void init_limits_read(struct init_limits *limits);
/* 0, or -EPERM when something was changed. */
int init_limits_check(const struct init_limits *limits) MUST_CHECK;

/* --- cell_init_memory.c --- */

/* Sets the limits of this process, which what it starts inherits, and makes ready to look. 0 or
 * -errno. */
int init_memory_set_up(struct init *init) MUST_CHECK;
/* An attempt begins: when to look first. */
void init_memory_begin(struct init *init);
/* Milliseconds until the next look is due; -1: never. For poll(2). */
int init_memory_wait_ms(const struct init *init);
/* Where one is due: looks. Whether the cell holds more than it may; then *ret_bytes says how much.
 */
bool init_memory_is_over(struct init *init, uint64_t *ret_bytes);
/* In the child of an attempt: when memory runs out all the same, the kernel takes tasks first; and
 * a task's address space is not its init's. 0 or -errno. */
int init_memory_become_task(const struct init *init) MUST_CHECK;

/* The beginning of a file of /proc, NUL-terminated; false when it cannot be read. */
bool init_read_text(int dir_fd, const char *path, char *to, size_t n_to);
/* The i-th of the words that blanks part, as a number; 0 when it is none. */
uint64_t init_number_at(const char *text, unsigned i);

/* --- cell_init_pause.c --- */

/* Stops all processes of the attempt, or lets them go on. Only in a sandbox. */
void init_pause(struct init *init, bool is_paused);
/* Milliseconds until the next look is due; -1: never. For poll(2). */
int init_pause_wait_ms(const struct init *init);
/* Where one is due: looks, and stops again what runs. Whether that was once too often. */
bool init_pause_is_broken(struct init *init);

/* --- cell_init.c --- */

/* The lease of what is under way, from now on. */
void init_set_lease(struct init *init, uint64_t lease_ms);

#endif
