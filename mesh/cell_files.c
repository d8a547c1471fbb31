/* The files of one task, on the daemon's side: contents given to the init, and what it brings back.
 *
 * Contents are opened by the receiver of events, a few at a time, and stay open only until they are
 * sent. The first go out in the turn after START: who starts an attempt is called back no sooner.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/cell_internal.h"

int cell_append_word(struct buf *body, struct slice word)
{
    if (word.n > 0 && memchr(word.p, '\0', word.n) != NULL) {
        return -EINVAL;
    }
    buf_append_slice(body, word);
    buf_append_u8(body, '\0');
    return 0;
}

int cell_files_append(struct cell *cell, const struct cell_start *start, struct buf *body,
                      struct cell_message *message)
{
    int r = cell_append_word(body, start->workdir);
    for (uint32_t i = 0; r == 0 && i < start->files.n; i++) {
        const struct wire_task_file *file = &start->files.items[i];
        buf_printf(body, "%c%03o:", file->ref == 0 ? 'd' : 'f', (unsigned)file->mode & 0777);
        r = cell_append_word(body, file->path);
        cell->attempt.n_contents += file->ref > 0;
    }
    for (uint32_t i = 0; r == 0 && i < start->returns.n; i++) {
        r = cell_append_word(body, start->returns.items[i]);
    }
    message->start.n_files = start->files.n;
    message->start.n_returns = start->returns.n;
    return r;
}

/* It ends as soon as the init says that it is dead, and is refused then. */
static void content_is_missing(struct cell *cell, int error)
{
    struct errmsg err;
    errmsg_set(&err, "cannot open a stored file of the task: %s", strerror(-error));
    cell->attempt.is_content_missing = true;
    cell->attempt.n_contents = cell->attempt.n_given; /* no more */
    cell_attempt_stop(cell, WIRE_END_NO_DISK, &err);
}

void cell_files_give(struct cell *cell)
{
    struct cell_attempt *attempt = &cell->attempt;
    int fds[CELL_GIVE_MAX];
    size_t n = 0;
    int r = 0;
    while (r == 0 && n < CELL_GIVE_MAX && attempt->n_given + n < attempt->n_contents) {
        uint32_t i = attempt->n_given + (uint32_t)n;
        r = cell->config.events->open_content(cell->config.user, cell, i, &fds[n]);
        n += r == 0;
    }
    attempt->n_given += (uint32_t)n;
    if (r == 0 && n > 0 && !cell->is_dead) {
        struct cell_message message = {.type = CELL_GIVE, .serial = attempt->serial};
        r = cell_message_send(cell->socket_fd, &message, fds, n);
        r = r == -EPIPE ? 0 : r; /* the death that is about to be seen ends the attempt */
    }
    while (n > 0) {
        close(fds[--n]);
    }
    if (r < 0) {
        content_is_missing(cell, r);
    }
}

void cell_files_on_file(struct cell *cell, const struct cell_message *message, int fd)
{
    struct cell_attempt *attempt = &cell->attempt;
    struct cell_returned file = {.path = message->file.path,
                                 .mode = message->file.mode & 0777,
                                 .is_dir = message->file.is_dir == 1,
                                 .is_named = message->file.is_named == 1,
                                 .fault = (enum wire_file_fault)message->file.fault,
                                 .fd = fd};
    size_t n_path = strnlen(file.path, sizeof message->file.path);
    bool is_path = n_path < sizeof message->file.path && cell_path_is_inside(file.path);
    bool is_file = !file.is_dir && file.fault == WIRE_FILE_FAULT_NONE;
    if (attempt->is_file_due || !is_path || is_file != (fd >= 0)) {
        if (fd >= 0) {
            close(fd);
        }
        cell_die(cell, "its init sent what is no file");
        return;
    }
    attempt->is_file_due = true;
    cell->config.events->on_returned(cell->config.user, cell, &file);
}

void cell_take_next(struct cell *cell, bool is_enough)
{
    struct cell_attempt *attempt = &cell->attempt;
    struct cell_message message = {
        .type = CELL_TAKEN, .serial = attempt->serial, .taken = {.is_enough = is_enough}};
    if (!attempt->is_under_way || !attempt->is_file_due) {
        return;
    }
    attempt->is_file_due = false;
    if (!cell->is_dead) {
        /* One that cannot be told will not go on: its lease, or its death, ends it. */
        IGNORE(cell_message_send(cell->socket_fd, &message, NULL, 0));
    }
}
