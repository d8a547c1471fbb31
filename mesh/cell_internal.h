/* Shared by cell.c (the life of a cell) and cell_attempt.c (an attempt in it). */
#ifndef MESH_CELL_INTERNAL_H
#define MESH_CELL_INTERNAL_H

#include "mesh/cell.h"
#include "mesh/cell_proto.h"
#include "mesh/input.h"

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
    struct cell_result result;
};

struct cell {
    struct cell_config config;
    uv_process_t process; /* bwrap, or mesh-cell itself; at last the remover */
    uv_poll_t poll;       /* socket_fd */
    uv_timer_t timer;     /* until READY, and after close: kills a cell that hangs */
    uv_timer_t later;     /* 0 ms: what must not call back at once */
    int socket_fd;
    int err_fd;       /* what bwrap and mesh-cell say when they fail */
    char *dir;        /* owned; bare cells' folder, else NULL */
    unsigned n_open;  /* handles, outputs and inputs that are not closed yet */
    uint64_t serials; /* given out */
    bool is_ready;
    bool is_dead;
    bool has_exited;
    bool is_closing;
    bool is_removed; /* the folder is gone, or its remover failed */
    struct errmsg death;
    struct cell_attempt attempt;
    void (*on_closed)(void *user);
    void *closed_user;
};

/* --- cell_attempt.c --- */

void cell_attempt_on_message(struct cell *cell, const struct cell_message *message);
/* The cell is dead: the attempt under way ends so. */
void cell_attempt_on_death(struct cell *cell);
/* Carries out what was put off to the next turn. */
void cell_attempt_on_later(struct cell *cell);
/* Closes outputs and input without a word. */
void cell_attempt_abandon(struct cell *cell);

/* --- cell.c --- */

/* For outputs and inputs: counts them out. */
void cell_part_closed(void *user);
void cell_run_later(struct cell *cell);

#endif
