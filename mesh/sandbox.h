/* What this host offers to put tasks into: the mesh-cell program, bwrap, and the command line that
 * makes a sandbox from them. A sandbox's file system is an allow-list (see README.md); nothing of
 * the host is seen that is not named there or by the owner's binds. */
#ifndef MESH_SANDBOX_H
#define MESH_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/cell_proto.h"
#include "mesh/spawn.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

/* Who a task is inside, whoever runs the daemon: "mesh" of a made-up passwd. Outside it is the
 * daemon's user, or where that is root, this one ("nobody"). */
#define SANDBOX_INSIDE_ID  1000
#define SANDBOX_OUTSIDE_ID 65534

#define SANDBOX_BINDS_MAX 64

struct sandbox_bind { /* the owner's --bind and --bind-rw */
    const char *path; /* absolute; stands at the same place inside */
    bool is_writable;
};

/* All pointers are borrowed for as long as the struct is used. */
struct sandbox {
    const char *cell_program; /* path of mesh-cell */
    const char *bwrap;        /* path of bwrap; NULL: there is none, only bare cells */
    const struct sandbox_bind *binds;
    size_t n_binds; /* at most SANDBOX_BINDS_MAX */
    int filter_fd;  /* borrowed: sandbox_filter_make(); needed where there is a bwrap */
};

/* A file of the job. */
struct cell_file {
    int fd;           /* borrowed: opened anew where it is read */
    const char *path; /* relative, without "..": where it stands in the scratch */
    bool is_executable;
};

/* A command line with the descriptors it names: descriptor i of the child is fds[i]. */
struct sandbox_command {
    char **argv; /* owned, NULL-terminated */
    size_t n_args;
    size_t args_max;
    int *fds; /* owned copies, close-on-exec; -1: /dev/null */
    size_t n_fds;
    size_t fds_max;
    bool is_sandbox; /* not bare */
    bool is_short;   /* memory ran out while it was built */
};

/* Finds bwrap along $PATH. 0 and its path, or -ENOENT with a line that says what to do. */
int sandbox_find_bwrap(char *to, size_t n_to, struct errmsg *reterr) MUST_CHECK;

/* Finds mesh-cell: beside the running program, else where it is installed. 0 or -ENOENT. */
int sandbox_find_cell_program(char *to, size_t n_to, struct errmsg *reterr) MUST_CHECK;

/* The size of a sandbox. */
struct sandbox_size {
    uint64_t scratch_bytes;    /* of the scratch, and of /tmp and /dev/shm each */
    struct cell_limits limits; /* but its group_fd, which the command settles */
    int group_fd;              /* borrowed for the call: cell_group_make(); 0: none */
};

/* The command that makes a sandbox whose first process is `mesh-cell MODE ...`. socket_fd and
 * stderr_fd are duplicated; -1 for none. 0 or -errno; then *ret_command needs no
 * sandbox_command_done(). */
int sandbox_command_make(const struct sandbox *sandbox, const char *mode,
                         const struct sandbox_size *size, const struct cell_file *files,
                         size_t n_files, int socket_fd, int stderr_fd,
                         struct sandbox_command *ret_command, struct errmsg *reterr) MUST_CHECK;

/* The same for a bare cell whose directories are DIR/task and DIR/job. */
int sandbox_bare_command_make(const struct sandbox *sandbox, const char *dir,
                              const struct cell_file *files, size_t n_files, int socket_fd,
                              int stderr_fd, struct sandbox_command *ret_command,
                              struct errmsg *reterr) MUST_CHECK;

void sandbox_command_done(struct sandbox_command *command);

/* Whether commands are run under SANDBOX_OUTSIDE_ID: the daemon is root, in a user namespace where
 * that number exists. Elsewhere there is nobody to become, and nothing to lose: root in a namespace
 * that an ordinary user made has no more rights outside of it than that user. */
bool sandbox_drops_ids(void);

/* Runs the command: see spawn(). */
int sandbox_spawn(uv_loop_t *loop, struct spawned *process, const struct sandbox_command *command,
                  void (*on_end)(struct spawned *process, int status, int signal)) MUST_CHECK;

/* Makes a sandbox once and lets it end. Takes some 10 ms, 5 s at most; only at start. 0, or -errno
 * and why tasks of strangers cannot run here. */
int sandbox_probe(const struct sandbox *sandbox, struct errmsg *reterr) MUST_CHECK;

#endif
