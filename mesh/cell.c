/* The life of a cell: spawned, ready, dead, closed.
 *
 * A cell dies when its socket closes or its process exits, whichever is seen first; what bwrap or
 * mesh-cell wrote to standard error says why. Closing it closes the socket, at which the init
 * kills all and leaves; the process handle waits for that. */
#include "mesh/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/cell_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

/* Making a sandbox takes 5 ms; a machine under heavy load may be 100 times slower. */
#define READY_TIMEOUT_MS 20000
/* Longer than INIT_KILL_NS, within which an init gives up on its own. */
#define CLOSE_TIMEOUT_MS 12000

static void finish_close(struct cell *cell);

void cell_part_closed(void *user)
{
    struct cell *cell = user;
    ensure(cell->n_open > 0);
    cell->n_open--;
    finish_close(cell);
}

static void on_process_closed(struct spawned *process)
{
    cell_part_closed(CONTAINER_OF(process, struct cell, process));
}

static void on_timer_closed(uv_handle_t *handle)
{
    cell_part_closed(CONTAINER_OF((uv_timer_t *)handle, struct cell, timer));
}

static void on_later_closed(uv_handle_t *handle)
{
    cell_part_closed(CONTAINER_OF((uv_timer_t *)handle, struct cell, later));
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct cell *cell = CONTAINER_OF((uv_poll_t *)handle, struct cell, poll);
    close(cell->socket_fd); /* at this the init leaves */
    cell->socket_fd = -1;
    cell_part_closed(cell);
}

/* --- death --- */

/* The first line of what was said on standard error, or "". */
static void read_complaint(struct cell *cell, char *to, size_t n_to)
{
    char said[1024];
    ssize_t n = read(cell->err_fd, said, sizeof said);
    const char *end = n > 0 ? memchr(said, '\n', (size_t)n) : NULL;
    size_t n_line = end != NULL ? (size_t)(end - said) : n > 0 ? (size_t)n : 0;
    text_printable(slice_of(said, n_line), to, n_to);
}

void cell_die(struct cell *cell, const char *what)
{
    if (cell->is_dead || cell->is_closing) {
        return;
    }
    char complaint[300];
    cell->is_dead = true;
    uv_poll_stop(&cell->poll);
    uv_timer_stop(&cell->timer);
    read_complaint(cell, complaint, sizeof complaint);
    errmsg_set(&cell->death, "%s: %s", cell->is_ready ? "the cell died" : "no cell could be made",
               complaint[0] != '\0' ? complaint : what);
    if (cell->attempt.is_under_way) {
        cell_attempt_on_death(cell);
    } else {
        cell->config.events->on_dead(cell->config.user, cell, &cell->death);
    }
}

/* Takes one message. Returns false when there is none, or the cell is dead now. */
static bool take_message(struct cell *cell)
{
    struct cell_message message;
    int fds[CELL_GIVE_MAX];
    size_t n_fds = 0;
    int r = cell_message_receive(cell->socket_fd, &message, fds, &n_fds);
    if (r == -EAGAIN) {
        return false;
    }
    while (r == 0 && n_fds > (message.type == CELL_FILE)) {
        close(fds[--n_fds]); /* an init sends no others */
    }
    if (r < 0) {
        cell_die(cell, r == -EPIPE ? "its init ended" : strerror(-r));
    } else if (message.type != CELL_READY) {
        cell_attempt_on_message(cell, &message, n_fds > 0 ? fds[0] : -1);
    } else if (message.ready.version != CELL_PROTO_VERSION) {
        cell_die(cell, "mesh-cell is of another version");
    } else {
        cell->is_ready = true;
        uv_timer_stop(&cell->timer);
    }
    return !cell->is_dead && !cell->is_closing;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    IGNORE(take_message(CONTAINER_OF(poll, struct cell, poll))); /* one a turn */
}

static void on_process_end(struct spawned *process, int status, int signal)
{
    struct cell *cell = CONTAINER_OF(process, struct cell, process);
    cell->has_exited = true;
    if (cell->is_closing) {
        spawned_close(process, on_process_closed);
        uv_timer_stop(&cell->timer);
        uv_close((uv_handle_t *)&cell->timer, on_timer_closed);
        return;
    }
    /* What it said before it went counts. */
    for (bool more = !cell->is_dead; more;) {
        more = take_message(cell);
    }
    char what[64];
    snprintf(what, sizeof what, "%s %d", signal != 0 ? "killed by signal" : "exit status",
             signal != 0 ? signal : status);
    cell_die(cell, what);
}

static void on_timeout(uv_timer_t *timer)
{
    struct cell *cell = CONTAINER_OF(timer, struct cell, timer);
    spawned_kill(&cell->process, SIGKILL);
    cell_die(cell, "it did not stand in time");
}

static void on_later(uv_timer_t *timer)
{
    struct cell *cell = CONTAINER_OF(timer, struct cell, later);
    if (!cell->is_closing) {
        cell_attempt_on_later(cell);
    }
}

void cell_run_later(struct cell *cell, uint64_t ms)
{
    uv_timer_start(&cell->later, on_later, ms, 0);
}

/* --- birth --- */

static int make_bare_dir(struct cell *cell)
{
    static const char *const parts[] = {"/task", "/job"};
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/cell-XXXXXX", cell->config.work_dir);
    if (n < 0 || (size_t)n >= sizeof path - 16) {
        return -ENAMETOOLONG;
    }
    if (mkdtemp(path) == NULL) {
        return -errno;
    }
    cell->dir = mem_strndup(path, (size_t)n);
    if (cell->dir == NULL) {
        rmdir(path);
        return -ENOMEM;
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        memcpy(path + n, parts[i], strlen(parts[i]) + 1);
        if (mkdir(path, 0700) < 0) {
            return -errno;
        }
    }
    return 0;
}

static int make_boxed_command(struct cell *cell, int socket_fd, int err_fd,
                              struct sandbox_command *ret_command, struct errmsg *reterr)
{
    const struct cell_config *config = &cell->config;
    struct sandbox_size size = config->size;
    int procs_fd = -1;
    /* The init's watch ends what takes too much; a group holds what is faster, or does not show. */
    uint64_t bytes = size.limits.memory_bytes + size.limits.memory_bytes / 8;
    if (config->groups != NULL && size.limits.memory_bytes > 0 &&
        cell_group_make(config->groups, bytes, &cell->group, &procs_fd) == 0) {
        size.group_fd = procs_fd;
    }
    int r = sandbox_command_make(config->sandbox, CELL_ARG_SANDBOX, &size, config->files,
                                 config->n_files, socket_fd, err_fd, ret_command, reterr);
    if (procs_fd >= 0) {
        close(procs_fd);
    }
    return r;
}

static int make_command(struct cell *cell, int socket_fd, int err_fd,
                        struct sandbox_command *ret_command, struct errmsg *reterr)
{
    const struct cell_config *config = &cell->config;
    if (!config->is_bare) {
        return make_boxed_command(cell, socket_fd, err_fd, ret_command, reterr);
    }
    int r = make_bare_dir(cell);
    if (r < 0) {
        errmsg_set(reterr, "make a folder in %s: %s", config->work_dir, strerror(-r));
        return r;
    }
    return sandbox_bare_command_make(config->sandbox, cell->dir, config->files, config->n_files,
                                     socket_fd, err_fd, ret_command, reterr);
}

/* Of a cell that has no handles, or no more. */
static void free_cell(struct cell *cell)
{
    if (cell->program.body_fd >= 0) {
        close(cell->program.body_fd);
    }
    buf_done(&cell->program.peer);
    buf_done(&cell->packet);
    cell_group_done(&cell->group);
    mem_free(cell->dir);
    mem_free(cell);
}

/* From here on the cell is closed by cell_close() alone. */
static int open_handles(struct cell *cell, struct sandbox_command *command, struct errmsg *reterr)
{
    uv_loop_t *loop = cell->config.loop;
    int r = uv_poll_init(loop, &cell->poll, cell->socket_fd);
    if (r < 0) {
        errmsg_set(reterr, "watch a cell: %s", uv_strerror(r));
        close(cell->socket_fd);
        close(cell->err_fd);
        free_cell(cell);
        return r;
    }
    uv_timer_init(loop, &cell->timer);
    uv_timer_init(loop, &cell->later);
    cell->n_open = 4;
    r = sandbox_spawn(loop, &cell->process, command, on_process_end);
    if (r < 0) {
        errmsg_set(reterr, "run %s: %s", command->argv[0], uv_strerror(r));
        cell->has_exited = true;
        cell_close(cell, NULL, NULL);
        return r;
    }
    uv_poll_start(&cell->poll, UV_READABLE, on_readable);
    uv_timer_start(&cell->timer, on_timeout, READY_TIMEOUT_MS, 0);
    return 0;
}

int cell_new(const struct cell_config *config, struct cell **ret_cell, struct errmsg *reterr)
{
    int sockets[2] = {-1, -1};
    int ends[2] = {-1, -1};
    struct sandbox_command command = {0};
    struct cell *cell = mem_alloc(1, sizeof *cell);
    int r = cell == NULL ? -ENOMEM : 0;
    if (r == 0) {
        cell->program.body_fd = -1;
        buf_init(&cell->program.peer, WIRE_NAME_BYTES_MAX);
        buf_init(&cell->packet, WIRE_WORKER_BYTES_MAX);
    }
    if (r == 0 && (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0 ||
                   pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)) {
        r = -errno;
    }
    if (r < 0) {
        errmsg_set(reterr, "make a cell: %s", strerror(-r));
    } else {
        cell->config = *config;
        cell->socket_fd = sockets[0];
        cell->err_fd = ends[0];
        r = make_command(cell, sockets[1], ends[1], &command, reterr);
    }
    if (r == 0 && config->program != NULL) {
        r = cell_program_keep(cell, config->program);
        if (r < 0) {
            errmsg_set(reterr, "make a cell: %s", strerror(-r));
            sandbox_command_done(&command);
        }
    }
    if (r == 0) {
        sockets[0] = -1;
        ends[0] = -1;
        r = open_handles(cell, &command, reterr);
        sandbox_command_done(&command);
    } else if (cell != NULL) {
        free_cell(cell);
    }
    for (int i = 0; i < 2; i++) {
        if (sockets[i] >= 0) {
            close(sockets[i]);
        }
        if (ends[i] >= 0) {
            close(ends[i]);
        }
    }
    if (r == 0) {
        cell->config.files = NULL; /* were borrowed for the call */
        cell->config.n_files = 0;
        cell->config.program = NULL;
        *ret_cell = cell;
    }
    return r;
}

/* --- end --- */

static void on_removed(struct spawned *process, int status, int signal)
{
    spawned_close(process, on_process_closed);
}

/* The folder of a bare cell whose init was killed may be full: mesh-cell empties it, for that may
 * take longer than the loop has. */
static void remove_dir(struct cell *cell)
{
    char program[] = "mesh-cell";
    char mode[] = CELL_ARG_REMOVE;
    char *argv[] = {program, mode, cell->dir, NULL};
    const struct spawn_options options = {
        .file = cell->config.sandbox->cell_program,
        .argv = argv,
    };
    cell->is_removed = true;
    cell->n_open++;
    if (spawn(cell->config.loop, &cell->process, &options, on_removed) < 0) {
        spawned_close(&cell->process, on_process_closed); /* the folder stays */
    }
}

static void finish_close(struct cell *cell)
{
    if (!cell->is_closing || cell->n_open > 0) {
        return;
    }
    if (cell->dir != NULL && !cell->is_removed) {
        remove_dir(cell);
        return;
    }
    close(cell->err_fd);
    void (*on_closed)(void *user) = cell->on_closed;
    void *user = cell->closed_user;
    free_cell(cell);
    if (on_closed != NULL) {
        on_closed(user);
    }
}

void cell_close(struct cell *cell, void (*on_closed)(void *user), void *user)
{
    ensure(!cell->is_closing);
    cell->is_closing = true;
    cell->on_closed = on_closed;
    cell->closed_user = user;
    cell_attempt_abandon(cell);
    if (cell->worker != NULL) {
        cell_worker_close(STEAL(cell->worker));
    }
    uv_close((uv_handle_t *)&cell->poll, on_poll_closed);
    uv_close((uv_handle_t *)&cell->later, on_later_closed);
    if (cell->has_exited) {
        spawned_close(&cell->process, on_process_closed);
        uv_close((uv_handle_t *)&cell->timer, on_timer_closed);
    } else {
        uv_timer_start(&cell->timer, on_timeout, CLOSE_TIMEOUT_MS, 0);
    }
}
