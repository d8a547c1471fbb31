/* Standard input of a task: a file's bytes, fed into a pipe as the task reads them.
 *
 * The task never gets the file itself: through a descriptor of a blob it could change the blob's
 * mode, or open it again for writing, wherever daemon and task run under one uid. The file is read
 * on libuv's threads. A task that stops reading early is no error. SIGPIPE must be ignored in the
 * process. */
#ifndef MESH_INPUT_H
#define MESH_INPUT_H

#include <uv.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

struct input;

struct input_config {
    uv_loop_t *loop;
    int file_fd; /* regular file, read from its beginning; becomes the input's on success */
    void *user;
    /* At most once: the file cannot be read; the task saw only a part. */
    void (*on_failed)(void *user, const struct errmsg *err);
};

/* *ret_read_fd, close-on-exec, becomes the caller's, who hands it to the task and closes it.
 * 0 or -errno. */
int input_new(const struct input_config *config, struct input **ret_input, int *ret_read_fd,
              struct errmsg *reterr) MUST_CHECK;

/* No callback but on_closed after this, which frees it. */
void input_close(struct input *input, void (*on_closed)(void *user), void *user);

#endif
