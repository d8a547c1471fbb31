#include "mesh/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/mem.h"

#define INPUT_BYTES 65536u

struct input {
    struct input_config config;
    uv_poll_t poll;
    uv_fs_t read_request;
    int pipe_fd; /* write end; -1 once all is written or nobody reads */
    int64_t offset;
    size_t n; /* bytes held */
    size_t at;
    bool is_reading;
    bool is_closing;
    bool is_poll_closed;
    void (*on_closed)(void *user);
    void *closed_user;
    char bytes[INPUT_BYTES];
};

static void finish_close(struct input *input)
{
    if (!input->is_closing || !input->is_poll_closed || input->is_reading) {
        return;
    }
    if (input->pipe_fd >= 0) {
        close(input->pipe_fd);
    }
    close(input->config.file_fd);
    void (*on_closed)(void *user) = input->on_closed;
    void *user = input->closed_user;
    mem_free(input);
    on_closed(user);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct input *input = CONTAINER_OF((uv_poll_t *)handle, struct input, poll);
    input->is_poll_closed = true;
    /* Only now does the loop know the descriptor no more. */
    if (input->pipe_fd >= 0) {
        close(input->pipe_fd);
        input->pipe_fd = -1;
    }
    finish_close(input);
}

/* The task sees the end of its input. */
static void end(struct input *input)
{
    if (!uv_is_closing((uv_handle_t *)&input->poll)) {
        uv_close((uv_handle_t *)&input->poll, on_poll_closed);
    }
}

static void read_more(struct input *input);

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct input *input = CONTAINER_OF(poll, struct input, poll);
    while (input->at < input->n) {
        ssize_t n = write(input->pipe_fd, input->bytes + input->at, input->n - input->at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n < 0) { /* EPIPE: the task reads no more */
            end(input);
            return;
        }
        input->at += (size_t)n;
    }
    uv_poll_stop(&input->poll);
    read_more(input);
}

static void on_read(uv_fs_t *request)
{
    struct input *input = CONTAINER_OF(request, struct input, read_request);
    ssize_t n = request->result;
    uv_fs_req_cleanup(request);
    input->is_reading = false;
    if (input->is_closing) {
        finish_close(input);
        return;
    }
    if (n <= 0) {
        end(input);
        if (n < 0) {
            struct errmsg err;
            errmsg_set(&err, "read a task's input: %s", uv_strerror((int)n));
            input->config.on_failed(input->config.user, &err);
        }
        return;
    }
    input->offset += n;
    input->n = (size_t)n;
    input->at = 0;
    int r = uv_poll_start(&input->poll, UV_WRITABLE, on_writable);
    ensure(r == 0);
}

static void read_more(struct input *input)
{
    uv_buf_t bytes = uv_buf_init(input->bytes, sizeof input->bytes);
    int r = uv_fs_read(input->config.loop, &input->read_request, input->config.file_fd, &bytes, 1,
                       input->offset, on_read);
    ensure(r == 0); /* fails only without a callback or buffers */
    input->is_reading = true;
}

int input_new(const struct input_config *config, struct input **ret_input, int *ret_read_fd,
              struct errmsg *reterr)
{
    int ends[2];
    struct input *input = mem_alloc(1, sizeof *input);
    if (input == NULL) {
        errmsg_set(reterr, "out of memory");
        return -ENOMEM;
    }
    int r = pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;
    if (r == 0) {
        r = uv_poll_init(config->loop, &input->poll, ends[1]);
        if (r < 0) {
            close(ends[0]);
            close(ends[1]);
        }
    }
    if (r < 0) {
        mem_free(input);
        errmsg_set(reterr, "make a pipe for a task's input: %s", uv_strerror(r));
        return r;
    }
    input->config = *config;
    input->pipe_fd = ends[1];
    read_more(input);
    *ret_input = input;
    *ret_read_fd = ends[0];
    return 0;
}

void input_close(struct input *input, void (*on_closed)(void *user), void *user)
{
    ensure(!input->is_closing);
    input->is_closing = true;
    input->on_closed = on_closed;
    input->closed_user = user;
    if (!input->is_poll_closed) {
        end(input);
        return;
    }
    /* The pipe was closed before; only a read may be under way, and then its end frees. */
    finish_close(input);
}
