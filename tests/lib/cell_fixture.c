#include "tests/lib/cell_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mesh/sandbox_filter.h"
#include "wire/base/text.h"

static bool have_sandbox; /* found out once, in main() */

static void on_guard(uv_timer_t *timer)
{
    ck_abort_msg("30 s passed");
}

static void on_started(void *user, struct cell *cell)
{
    struct cell_fixture *fx = user;
    fx->is_started = true;
    if (fx->when_started != NULL) {
        fx->when_started(fx);
    }
}

static void on_output(void *user, struct cell *cell, enum wire_stream stream, uint64_t offset,
                      struct slice bytes)
{
    struct cell_fixture *fx = user;
    struct buf *to = stream == WIRE_STREAM_OUT ? &fx->out : &fx->errs;
    ck_assert_uint_eq(offset, to->n);
    buf_append_slice(to, bytes);
    if (!fx->withhold_acks) {
        cell_ack(cell, stream, offset + bytes.n);
    }
}

static void collect(struct buf *to, const struct output_result *result)
{
    if (result->spool_fd < 0) {
        buf_append_slice(to, result->memory);
        return;
    }
    for (uint64_t at = 0; at < result->bytes;) {
        uint8_t *room = buf_reserve(to, 65536);
        ck_assert_ptr_nonnull(room);
        ssize_t n = pread(result->spool_fd, room, 65536, (off_t)at);
        ck_assert_int_gt(n, 0);
        buf_extend(to, (size_t)n);
        at += (uint64_t)n;
    }
    close(result->spool_fd);
}

static void on_ended(void *user, struct cell *cell, const struct cell_result *result)
{
    struct cell_fixture *fx = user;
    ck_assert(!fx->is_done);
    fx->is_done = true;
    fx->result = *result;
    fx->is_usable = result->is_cell_usable;
    collect(&fx->out, &result->out);
    collect(&fx->errs, &result->err);
}

static void on_refused(void *user, struct cell *cell, enum wire_refusal why,
                       const struct errmsg *err, bool is_cell_usable)
{
    struct cell_fixture *fx = user;
    ck_assert(!fx->is_done);
    fx->is_done = true;
    fx->is_refused = true;
    fx->refusal = why;
    fx->err = *err;
    fx->is_usable = is_cell_usable;
}

static void on_dead(void *user, struct cell *cell, const struct errmsg *err)
{
    struct cell_fixture *fx = user;
    fx->is_dead = true;
    fx->err = *err;
}

static void on_closed(void *user)
{
    struct cell_fixture *fx = user;
    fx->is_closed = true;
}

static int open_content(void *user, struct cell *cell, uint32_t i, int *ret_fd)
{
    struct cell_fixture *fx = user;
    ck_assert_uint_eq(i, fx->n_opened);
    fx->n_opened++;
    if (fx->contents[i] == NULL) {
        return -ENOENT;
    }
    int fd = memfd_create("content", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    size_t n = strlen(fx->contents[i]);
    ck_assert_int_eq(write(fd, fx->contents[i], n), (ssize_t)n);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    *ret_fd = fd;
    return 0;
}

static void on_returned(void *user, struct cell *cell, const struct cell_returned *file)
{
    struct cell_fixture *fx = user;
    char bytes[4096];
    buf_printf(&fx->returned, "%s%s", file->is_named ? "*" : "", file->path);
    if (file->fault != WIRE_FILE_FAULT_NONE) {
        buf_printf(&fx->returned, "! %s\n", wire_file_fault_text(file->fault));
    } else if (file->is_dir) {
        buf_printf(&fx->returned, " %03o/\n", (unsigned)file->mode);
    } else {
        ssize_t n = pread(file->fd, bytes, sizeof bytes, 0);
        ck_assert_int_ge(n, 0);
        buf_printf(&fx->returned, " %03o: %.*s\n", (unsigned)file->mode, (int)n, bytes);
        close(file->fd);
    }
    if (fx->when_returned != NULL) {
        fx->when_returned(fx);
    } else {
        cell_take_next(cell, false);
    }
}

static const struct cell_events events = {.on_started = on_started,
                                          .on_output = on_output,
                                          .on_ended = on_ended,
                                          .open_content = open_content,
                                          .on_returned = on_returned,
                                          .on_refused = on_refused,
                                          .on_dead = on_dead};

bool cell_skips(int mode)
{
    if (mode == CELL_BOXED && !have_sandbox) {
        fprintf(stderr, "SKIPPED: no sandbox on this machine\n");
        return true;
    }
    return false;
}

void cell_fixture_init(struct cell_fixture *fx)
{
    memset(fx, 0, sizeof *fx);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    ck_assert_int_eq(sigaction(SIGPIPE, &ignore, NULL), 0);
    ck_assert_int_eq(uv_loop_init(&fx->loop), 0);
    uv_timer_init(&fx->loop, &fx->guard);
    uv_timer_start(&fx->guard, on_guard, 30000, 0);
    uv_unref((uv_handle_t *)&fx->guard);
    snprintf(fx->work_dir, sizeof fx->work_dir, "/tmp/test-cell-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fx->work_dir));
    struct errmsg err = {""};
    fx->sandbox.cell_program = MESH_CELL_PROGRAM;
    if (sandbox_find_bwrap(fx->bwrap, sizeof fx->bwrap, &err) == 0) {
        fx->sandbox.bwrap = fx->bwrap;
        ck_assert_msg(sandbox_filter_make(&fx->sandbox.filter_fd, &err) == 0, "%s", err.text);
    }
    buf_init(&fx->out, 64 * MIB);
    buf_init(&fx->errs, 64 * MIB);
    buf_init(&fx->returned, 64 * MIB);
}

static void make(struct cell_fixture *fx, int mode, const struct cell_program *program)
{
    struct errmsg err = {""};
    struct cell_config config = {
        .loop = &fx->loop,
        .sandbox = &fx->sandbox,
        .is_bare = mode == CELL_BARE,
        .work_dir = fx->work_dir,
        .size = {.scratch_bytes = 16 * MIB, .limits = fx->limits},
        .files = fx->files,
        .n_files = fx->n_files,
        .program = program,
        .events = &events,
        .user = fx,
    };
    ck_assert_msg(cell_new(&config, &fx->cell, &err) == 0, "%s", err.text);
}

void cell_fixture_make(struct cell_fixture *fx, int mode)
{
    make(fx, mode, NULL);
}

bool cell_fixture_begin(struct cell_fixture *fx, int mode)
{
    if (cell_skips(mode)) {
        return false;
    }
    cell_fixture_init(fx);
    cell_fixture_make(fx, mode);
    return true;
}

void cell_fixture_make_calls(struct cell_fixture *fx, int mode, const char *worker,
                             const char *env_word)
{
    const struct slice env = slice_str(env_word);
    const struct cell_program program = {
        .exec = slice_str("./worker"),
        .env = {.items = &env, .n = env_word != NULL},
        .peer = slice_str("olive"),
        .output_bytes_max = fx->output_bytes_max > 0 ? fx->output_bytes_max : 32 * MIB,
    };
    if (fx->n_files == 0) {
        int fd = open(worker, O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        fx->files[fx->n_files++] =
            (struct cell_file){.fd = fd, .path = "worker", .is_executable = true};
    }
    make(fx, mode, &program);
}

void cell_fixture_close(struct cell_fixture *fx)
{
    fx->is_closed = false;
    cell_close(fx->cell, on_closed, fx);
    while (!fx->is_closed) {
        uv_run(&fx->loop, UV_RUN_ONCE);
    }
    fx->cell = NULL;
}

void cell_fixture_done(struct cell_fixture *fx)
{
    if (fx->cell != NULL) {
        cell_fixture_close(fx);
    }
    for (size_t i = 0; i < fx->n_files; i++) {
        close(fx->files[i].fd);
    }
    uv_close((uv_handle_t *)&fx->guard, NULL);
    uv_run(&fx->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&fx->loop), 0); /* nothing was left open */
    ck_assert_msg(rmdir(fx->work_dir) == 0, "%s: %s", fx->work_dir, strerror(errno));
    if (fx->sandbox.bwrap != NULL) {
        close(fx->sandbox.filter_fd);
    }
    buf_done(&fx->out);
    buf_done(&fx->errs);
    buf_done(&fx->returned);
}

void cell_fixture_add(struct cell_fixture *fx, const char *path, const void *bytes, size_t n,
                      bool is_exec)
{
    char name[] = "/tmp/test-cell-file-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    fx->files[fx->n_files++] = (struct cell_file){.fd = fd, .path = path, .is_executable = is_exec};
}

struct cell_start cell_command(struct slice *words, uint32_t n)
{
    return (struct cell_start){
        .argv = {words, n}, .input_fd = -1, .lease_ms = 60000, .output_bytes_max = 32 * MIB};
}

void cell_run(struct cell_fixture *fx, const struct cell_start *start)
{
    struct errmsg err = {""};
    fx->is_done = fx->is_started = fx->is_refused = false;
    buf_clear(&fx->out);
    buf_clear(&fx->errs);
    ck_assert_msg(cell_start(fx->cell, start, &err) == 0, "%s", err.text);
    while (!fx->is_done) {
        uv_run(&fx->loop, UV_RUN_ONCE);
    }
}

void cell_run_argv(struct cell_fixture *fx, const char *a, const char *b, const char *c)
{
    struct slice words[] = {slice_str(a), slice_str(b), slice_str(c)};
    struct cell_start start = cell_command(words, c != NULL ? 3 : b != NULL ? 2 : 1);
    cell_run(fx, &start);
}

void cell_run_sh(struct cell_fixture *fx, const char *script)
{
    cell_run_argv(fx, "sh", "-c", script);
}

struct cell_call cell_call_of(const char *function, const char *args)
{
    return (struct cell_call){
        .function = slice_str(function), .attempt = 1, .args = slice_str(args), .lease_ms = 60000};
}

void cell_run_call(struct cell_fixture *fx, const struct cell_call *call)
{
    struct errmsg err = {""};
    fx->is_done = fx->is_started = fx->is_refused = false;
    buf_clear(&fx->out);
    buf_clear(&fx->errs);
    ck_assert_msg(cell_call(fx->cell, call, &err) == 0, "%s", err.text);
    while (!fx->is_done) {
        uv_run(&fx->loop, UV_RUN_ONCE);
    }
}

void cell_run_function(struct cell_fixture *fx, const char *function, const char *args)
{
    struct cell_call call = cell_call_of(function, args);
    cell_run_call(fx, &call);
}

void cell_find_sandbox(void)
{
    char bwrap[256];
    struct errmsg err;
    struct sandbox sandbox = {.cell_program = MESH_CELL_PROGRAM, .filter_fd = -1};
    if (sandbox_find_bwrap(bwrap, sizeof bwrap, &err) == 0) {
        sandbox.bwrap = bwrap;
        have_sandbox = sandbox_filter_make(&sandbox.filter_fd, &err) == 0 &&
                       sandbox_probe(&sandbox, &err) == 0;
        if (sandbox.filter_fd >= 0) {
            close(sandbox.filter_fd);
        }
    }
    if (!have_sandbox) {
        fprintf(stderr, "SANDBOX TESTS SKIPPED: %s\n", err.text);
    }
}

int cell_number_in(struct buf *text)
{
    uint64_t n;
    const char *s = buf_cstr(text);
    text->p[strcspn(s, "\n")] = '\0';
    ck_assert_int_eq(text_parse_u64(s, INT_MAX, &n), 0);
    return (int)n;
}
