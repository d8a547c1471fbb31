/* Programs that the daemon runs: started, noticed when they end, reaped.
 *
 * Starting one copies none of the daemon's memory: the child borrows it until it runs the program
 * (vfork), so that a daemon of 270 MiB starts a cell as fast as one of 6 MiB. The loop stands still
 * meanwhile, for some 100 us. Knows nothing of cells. */
#ifndef MESH_SPAWN_H
#define MESH_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "wire/base/ensure.h"

struct spawn_options { /* all borrowed for the call */
    const char *file;  /* a path, not looked for along $PATH */
    char *const *argv; /* NULL-terminated */
    const int *fds;    /* descriptor i of the program is fds[i]; -1: /dev/null up to 2, else none */
    size_t n_fds;      /* fewer than 3: the rest of those are /dev/null */
    bool has_id;       /* becomes user and group `id`, with no supplementary groups; root only */
    uint32_t id;
};

/* A program under way. The memory is its starter's, until spawned_close() has called back. */
struct spawned {
    uv_signal_t child_signal;
    pid_t pid;
    bool has_ended;
    void (*on_end)(struct spawned *spawned, int status, int signal);
    void (*on_closed)(struct spawned *spawned);
};

/* Runs the program: with an empty environment, every signal at its default and unblocked, the
 * daemon's working directory, session and limits, and no descriptors but those named (the daemon's
 * are close-on-exec). on_end is called once, from the loop: with the exit status, or the signal
 * that killed it, else 0. 0, or -errno, also when the program could not be executed; on_end is not
 * called then. As with uv_spawn(), spawned_close() is due in either case. */
int spawn(uv_loop_t *loop, struct spawned *spawned, const struct spawn_options *options,
          void (*on_end)(struct spawned *spawned, int status, int signal)) MUST_CHECK;

/* Sends a signal. Nothing happens when the program has ended. */
void spawned_kill(struct spawned *spawned, int signal);

/* After on_end, or when nothing was started. on_closed may be NULL, and is called from the loop. */
void spawned_close(struct spawned *spawned, void (*on_closed)(struct spawned *spawned));

#endif
