/* Shared by cell.c (the life of a cell), cell_attempt.c (an attempt in it), cell_worker.c (a worker
 * in it) and cell_call.c (an attempt that is a call). */
#ifndef MESH_CELL_INTERNAL_H
#define MESH_CELL_INTERNAL_H

#include "mesh/cell.h"
#include "mesh/cell_groups.h"
#include "mesh/cell_proto.h"
#include "mesh/input.h"
#include "mesh/spawn.h"
#include "wire/base/buf.h"
#include "wire/worker.h"

struct cell_attempt {
    bool is_under_way;
    bool is_started;
    bool has_ended; /* its processes are gone; output may still have to be taken */
    uint64_t serial;
    struct output *out;
    struct output *err;
    struct input *input;    /* may be NULL */
    enum wire_end kill_end; /* what cell_kill() asked for; NONE: not asked */
    enum wire_end stop_end; /* output or input failed: overrides how it ended */
    uint64_t out_acked;     /* acknowledged, and not yet told to the outputs */
    uint64_t err_acked;
    bool is_call; /* all above that is of outputs and input is then unused */
    bool is_sent; /* to the worker */
    uint64_t lease_ms;
    uint64_t sent_ns;
    struct cell_result result;
    uint32_t n_contents, n_given; /* of its files; how many the init was given */
    bool is_file_due;             /* the init waits for TAKEN */
    bool is_content_missing;      /* it ends as one that never ran */
};

struct cell_worker {
    struct cell *cell;
    uv_poll_t poll; /* socket_fd */
    int socket_fd;
    struct output *output; /* what it prints: both streams */
    uint64_t serial;       /* of its START */
    uint64_t renewed_ns;   /* its lease */
    uint64_t user_us;      /* as its answers had it so far */
    uint64_t sys_us;
    bool is_ready;                         /* has said hello */
    bool is_ending;                        /* takes no more calls */
    bool is_killed;                        /* the init was told to */
    bool has_ended;                        /* the init said so, and: */
    bool is_clean;                         /* the cell is as new */
    uint32_t how;                          /* enum cell_how */
    uint32_t status;                       /* exit status or signal */
    struct errmsg fault;                   /* what it did that may not be, or "" */
    uint8_t packet[WIRE_WORKER_BYTES_MAX]; /* the last one received */
};

struct cell_program_state { /* what a worker is started with */
    struct cell_message start;
    int body_fd; /* owned; -1: this cell takes no calls */
    uint64_t output_bytes_max;
    struct buf peer;
};

struct cell {
    struct cell_config config;
    struct spawned process; /* bwrap, or mesh-cell itself; at last the remover */
    uv_poll_t poll;         /* socket_fd */
    uv_timer_t timer;       /* until READY, and after close: kills a cell that hangs */
    uv_timer_t later;       /* 0 ms: what must not call back at once */
    int socket_fd;
    struct cell_group group; /* none, where it is watched or bare */
    int err_fd;              /* what bwrap and mesh-cell say when they fail */
    char *dir;               /* owned; bare cells' folder, else NULL */
    unsigned n_open;         /* handles, outputs and inputs that are not closed yet */
    uint64_t serials;        /* given out */
    bool is_ready;
    bool is_dead;
    bool has_exited;
    bool is_paused; /* what runs in it was told to stand still */
    bool is_closing;
    bool is_removed; /* the folder is gone, or its remover failed */
    struct errmsg death;
    struct cell_attempt attempt;
    struct cell_program_state program;
    struct cell_worker *worker;        /* owned, or NULL */
    struct buf packet;                 /* the last call, encoded; kept for its memory */
    int kept_fds[WIRE_WORKER_FDS_MAX]; /* owned: of a call that waits for its worker */
    size_t n_kept;
    void (*on_closed)(void *user);
    void *closed_user;
};

/* --- cell_attempt.c --- */

/* fd: what came with it, or -1; taken. */
void cell_attempt_on_message(struct cell *cell, struct cell_message *message, int fd);
/* Has what runs killed: it ends so, whatever the program did. */
void cell_attempt_stop(struct cell *cell, enum wire_end end, const struct errmsg *err);
/* The cell is dead: the attempt under way ends so. */
void cell_attempt_on_death(struct cell *cell);
/* Carries out what was put off to the next turn. */
void cell_attempt_on_later(struct cell *cell);
/* Closes outputs and input without a word. */
void cell_attempt_abandon(struct cell *cell);
/* Ends it as one that never ran. */
void cell_attempt_refuse(struct cell *cell, enum wire_refusal why, const struct errmsg *err,
                         bool is_cell_usable);
/* The same, in the words of the init; or as a kill that came before. */
void cell_attempt_start_failed(struct cell *cell, const struct cell_message *message);
/* Keeps what workers of this cell are started with. 0 or -errno. */
int cell_program_keep(struct cell *cell, const struct cell_program *program) MUST_CHECK;
/* Whether it ended for the memory it took, by its init's hand or the kernel's, or because it did
 * not keep a pause, and a line that says so. An end MEMORY or AWAKE becomes a SIGKILL. */
bool cell_breach_end(struct cell *cell, struct cell_message *ended, struct errmsg *ret_text);
/* Lets tasks open the pipe anew, whoever they are. 0 or -errno. */
int cell_own_pipe(const struct cell *cell, int fd) MUST_CHECK;

/* --- cell_files.c --- */

/* Those of the start, its workdir and its returns, as words of a body: counted in the message. 0 or
 * -EINVAL (a word that holds a NUL). */
int cell_files_append(struct cell *cell, const struct cell_start *start, struct buf *body,
                      struct cell_message *message) MUST_CHECK;
/* Gives the init the next contents, if any are left. */
void cell_files_give(struct cell *cell);
void cell_files_on_file(struct cell *cell, const struct cell_message *message, int fd);
/* A word and its NUL. 0 or -EINVAL: it holds one itself. */
int cell_append_word(struct buf *body, struct slice word) MUST_CHECK;

/* --- cell_call.c --- */

void cell_call_abandon(struct cell *cell);
/* What the init says of workers. */
void cell_call_on_message(struct cell *cell, struct cell_message *message);
/* The worker said hello: a call that waits goes out. */
void cell_call_on_ready(struct cell *cell);
/* Whether an answer with this serial may come. */
bool cell_call_is_due(const struct cell *cell, uint64_t serial);
/* Whether the attempt under way has its answer and waits only for what it printed. */
bool cell_call_has_returned(const struct cell *cell);
/* The answer that was due. Takes the descriptor of its value; -1: it is inlined. */
void cell_call_on_return(struct cell *cell, const struct wire_worker_return *ret, int value_fd);
void cell_call_on_drained(struct cell *cell);
void cell_call_on_later(struct cell *cell);
void cell_call_kill(struct cell *cell, enum wire_end why);
/* The end that overrides whatever else ends it. Nothing happens when none is under way. */
void cell_call_stop(struct cell *cell, enum wire_end end, const struct errmsg *err);
/* Tells the result and forgets the attempt; the receiver may start the next from within. */
void cell_call_report(struct cell *cell);

/* --- cell_worker.c --- */

int cell_worker_start(struct cell *cell, struct errmsg *reterr) MUST_CHECK;
/* Has it killed; its end is reported by the init. */
void cell_worker_stop(struct cell_worker *worker);
/* The same, for what it did. */
void cell_worker_fault(struct cell_worker *worker, const char *what);
/* Frees it in the end. The cell's pointer to it is the caller's to clear. */
void cell_worker_close(struct cell_worker *worker);
/* 0, -EPIPE (it is gone), -EAGAIN (it does not read), or another -errno. */
int cell_worker_send(struct cell_worker *worker, struct slice packet, const int *fds,
                     size_t n_fds) MUST_CHECK;
/* Renews its lease if more than a quarter of it is gone. */
void cell_worker_renew(struct cell_worker *worker, uint64_t lease_ms);
/* Whether so much of its lease is gone that a renewal might come too late. */
bool cell_worker_is_stale(const struct cell_worker *worker, uint64_t lease_ms);
/* Receives one packet, if there is one. */
void cell_worker_take_packet(struct cell_worker *worker);
void cell_worker_on_started(struct cell_worker *worker);

/* --- cell.c --- */

/* For outputs and inputs: counts them out. */
void cell_part_closed(void *user);
/* Calls cell_attempt_on_later() after so many milliseconds; 0: in the next turn of the loop. */
void cell_run_later(struct cell *cell, uint64_t ms);
/* The cell is of no use any more. */
void cell_die(struct cell *cell, const char *what);

#endif
