/* Arguments and results, inside a function. */
#include "mesh/client/task.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wire/base/ensure.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define FILE_BYTES WIRE_INLINE_BYTES_MAX /* results from here on are made in a file */

static const char *const kinds[] = {
    [MESH_ARG_NIL] = "nothing",
    [MESH_ARG_INT] = "an integer",
    [MESH_ARG_DOUBLE] = "a double",
    [MESH_ARG_STRING] = "a string",
    [MESH_ARG_BYTES] = "bytes",
    [MESH_ARG_RAW] = "raw bytes",
    [MESH_ARG_INOUT] = "an in-out buffer",
    [MESH_ARG_FOREIGN] = "raw bytes of another architecture",
    [MESH_ARG_ELEMENT] = "an element of a map",
};

void mesh_task_fail(mesh_task *task, uint32_t status, const char *format, ...)
{
    if (task->status != WIRE_CALL_OK) {
        return;
    }
    va_list args;
    task->status = status;
    va_start(args, format);
    text_vformat(task->text, sizeof(task->text), format, args);
    va_end(args);
}

/* --- results -----------------------------------------------------------------------------------
 */

void mesh_result_done(struct mesh_result *result)
{
    if (result->fd >= 0) {
        IGNORE(munmap(result->p - MESH_SPACE_AT, MESH_SPACE_AT + result->n)); /* it is mapped */
        close(result->fd);
    } else {
        mem_free(result->p);
    }
    *result = (struct mesh_result){.fd = -1};
}

static int map_space(struct mesh_result *result, size_t n)
{
    int fd = memfd_create("mesh-result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    uint8_t *p = MAP_FAILED;
    if (ftruncate(fd, (off_t)(MESH_SPACE_AT + n)) == 0) {
        p = mmap(NULL, MESH_SPACE_AT + n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (p == MAP_FAILED) {
        int r = -errno;
        close(fd);
        return r;
    }
    result->fd = fd;
    result->p = p + MESH_SPACE_AT;
    return 0;
}

int mesh_result_space(struct mesh_result *result, size_t n)
{
    mesh_result_done(result);
    if (n > UINT32_MAX) {
        return -E2BIG;
    }
    if (n >= FILE_BYTES) {
        int r = map_space(result, n);
        if (r < 0) {
            return r;
        }
    } else {
        result->p = mem_alloc(n, 1);
        if (result->p == NULL) {
            return -ENOMEM;
        }
    }
    result->type = MESH_BYTES;
    result->n = n;
    return 0;
}

static int no_memory(mesh_task *task, size_t n)
{
    mesh_task_fail(task, WIRE_CALL_NO_MEMORY, "%s: no memory for a result of %zu bytes",
                   task->function, n);
    return -1;
}

int mesh_return_int(mesh_task *task, int64_t value)
{
    mesh_result_done(&task->result);
    task->result.type = MESH_INT;
    task->result.integer = value;
    return 0;
}

int mesh_return_double(mesh_task *task, double value)
{
    mesh_result_done(&task->result);
    task->result.type = MESH_DOUBLE;
    task->result.real = value;
    return 0;
}

static int return_copy(mesh_task *task, int type, const void *bytes, size_t n)
{
    struct mesh_result copy = {.fd = -1};
    if (bytes == NULL && n > 0) {
        mesh_task_fail(task, WIRE_CALL_FAILED, "%s: returned NULL", task->function);
        return -1;
    }
    if (mesh_result_space(&copy, n) < 0) {
        return no_memory(task, n);
    }
    if (n > 0) {
        ensure(copy.p != NULL);
        memcpy(copy.p, bytes, n); /* before the last result goes, in which it may be */
    }
    mesh_result_done(&task->result);
    task->result = copy;
    task->result.type = type;
    return 0;
}

int mesh_return_string(mesh_task *task, const char *text)
{
    return return_copy(task, MESH_STRING, text, text != NULL ? strlen(text) : 1);
}

int mesh_return_bytes(mesh_task *task, const void *bytes, size_t n_bytes)
{
    return return_copy(task, MESH_BYTES, bytes, n_bytes);
}

int mesh_return_raw(mesh_task *task, const void *value, size_t bytes)
{
    return return_copy(task, MESH_RAW, value, bytes);
}

void *mesh_return_space(mesh_task *task, size_t n_bytes)
{
    if (mesh_result_space(&task->result, n_bytes) < 0) {
        IGNORE(no_memory(task, n_bytes)); /* NULL says it */
        return NULL;
    }
    return task->result.p;
}

int mesh_fail(mesh_task *task, const char *format, ...)
{
    va_list args;
    if (task->status == WIRE_CALL_OK) {
        task->status = WIRE_CALL_FAILED;
        va_start(args, format);
        text_vformat(task->text, sizeof(task->text), format, args);
        va_end(args);
    }
    return -1;
}

/* --- arguments ---------------------------------------------------------------------------------
 */

static struct mesh_arg *find(mesh_task *task, size_t i)
{
    if (i >= task->n_args) {
        mesh_task_fail(task, WIRE_CALL_BAD_ARGUMENT,
                       "%s: there is no argument %zu, for there are %zu", task->function, i,
                       task->n_args);
        return NULL;
    }
    return &task->args[i];
}

static void wrong(mesh_task *task, size_t i, const char *wanted)
{
    mesh_task_fail(task, WIRE_CALL_BAD_ARGUMENT, "%s: argument %zu is %s, not %s", task->function,
                   i, kinds[task->args[i].kind], wanted);
}

size_t mesh_n_args(const mesh_task *task)
{
    return task->n_args;
}

int64_t mesh_arg_int(mesh_task *task, size_t i)
{
    const struct mesh_arg *arg = find(task, i);
    int64_t value = 0;
    if (arg != NULL && arg->kind == MESH_ARG_INT) {
        value = arg->integer;
    } else if (arg != NULL && arg->kind == MESH_ARG_ELEMENT && arg->n == sizeof(value)) {
        memcpy(&value, arg->p, sizeof(value));
    } else if (arg != NULL) {
        wrong(task, i, "an integer");
    }
    return value;
}

double mesh_arg_double(mesh_task *task, size_t i)
{
    const struct mesh_arg *arg = find(task, i);
    double value = 0;
    if (arg != NULL && arg->kind == MESH_ARG_DOUBLE) {
        value = arg->real;
    } else if (arg != NULL && arg->kind == MESH_ARG_INT && mesh_is_exact(arg->integer)) {
        value = (double)arg->integer;
    } else if (arg != NULL && arg->kind == MESH_ARG_ELEMENT && arg->n == sizeof(value)) {
        memcpy(&value, arg->p, sizeof(value));
    } else if (arg != NULL) {
        wrong(task, i, "a double");
    }
    return value;
}

/* A copy in its place, that is aligned and ends with a NUL. */
static bool copy_arg(mesh_task *task, struct mesh_arg *arg)
{
    if (arg->is_copied) {
        return true;
    }
    uint8_t *copy = (uint8_t *)mem_strndup((const char *)arg->p, arg->n);
    if (copy == NULL) {
        mesh_task_fail(task, WIRE_CALL_NO_MEMORY, "%s: no memory for an argument of %zu bytes",
                       task->function, arg->n);
        return false;
    }
    arg->p = copy;
    arg->is_copied = true;
    return true;
}

const char *mesh_arg_string(mesh_task *task, size_t i)
{
    struct mesh_arg *arg = find(task, i);
    if (arg == NULL) {
        return NULL;
    }
    if (arg->kind != MESH_ARG_STRING) {
        wrong(task, i, "a string");
        return NULL;
    }
    return copy_arg(task, arg) ? (const char *)arg->p : NULL;
}

static bool has_bytes(const struct mesh_arg *arg)
{
    return arg->kind == MESH_ARG_STRING || arg->kind == MESH_ARG_BYTES ||
           arg->kind == MESH_ARG_RAW || arg->kind == MESH_ARG_INOUT ||
           arg->kind == MESH_ARG_ELEMENT;
}

/* Where the bytes of an argument are, aligned; NULL and the call fails. */
static void *bytes_of(mesh_task *task, size_t i, bool is_inout)
{
    struct mesh_arg *arg = find(task, i);
    if (arg == NULL) {
        return NULL;
    }
    if (is_inout ? arg->kind != MESH_ARG_INOUT : !has_bytes(arg)) {
        wrong(task, i, is_inout ? kinds[MESH_ARG_INOUT] : "bytes");
        return NULL;
    }
    /* An element is as aligned as its array is by its size. */
    bool is_aligned = (uintptr_t)arg->p % MESH_ALIGN == 0 || arg->kind == MESH_ARG_ELEMENT;
    return (is_aligned && arg->p != NULL) || copy_arg(task, arg) ? arg->p : NULL;
}

const void *mesh_arg_bytes(mesh_task *task, size_t i, size_t *ret_bytes)
{
    const void *p = bytes_of(task, i, false);
    if (ret_bytes != NULL) {
        *ret_bytes = p != NULL ? task->args[i].n : 0;
    }
    return p;
}

const void *mesh_arg_raw(mesh_task *task, size_t i, size_t bytes)
{
    const void *p = bytes_of(task, i, false);
    if (p != NULL && task->args[i].n != bytes) {
        mesh_task_fail(task, WIRE_CALL_BAD_ARGUMENT, "%s: argument %zu has %zu bytes, not %zu",
                       task->function, i, task->args[i].n, bytes);
        return NULL;
    }
    return p;
}

void *mesh_arg_inout(mesh_task *task, size_t i, size_t *ret_bytes)
{
    void *p = bytes_of(task, i, true);
    if (ret_bytes != NULL) {
        *ret_bytes = p != NULL ? task->args[i].n : 0;
    }
    return p;
}

const char *mesh_task_peer(const mesh_task *task)
{
    return task->peer;
}

unsigned mesh_task_attempt(const mesh_task *task)
{
    return task->attempt;
}

/* --- before and after --------------------------------------------------------------------------
 */

static int take_result_of(mesh_task *task, struct mesh_arg *arg, struct slice body);

static void take_ext(mesh_task *task, struct mesh_arg *arg, const struct mesh_item *item)
{
    if (item->ext == MESH_EXT_INOUT) {
        arg->kind = MESH_ARG_INOUT;
    } else if (item->ext == MESH_EXT_RAW + (int)mesh_layout()) {
        arg->kind = MESH_ARG_RAW;
    } else if (item->ext >= MESH_EXT_RAW && item->ext < MESH_EXT_RAW + 4) {
        arg->kind = MESH_ARG_FOREIGN;
    } else {
        mesh_task_fail(task, WIRE_CALL_BAD_ARGUMENT, "%s: an argument of an unknown kind (%d)",
                       task->function, item->ext);
    }
}

static void take_item(mesh_task *task, struct mesh_arg *arg, const struct mesh_item *item)
{
    static const enum mesh_arg_kind kind_of[] = {
        [MESH_ITEM_NIL] = MESH_ARG_NIL,       [MESH_ITEM_INT] = MESH_ARG_INT,
        [MESH_ITEM_DOUBLE] = MESH_ARG_DOUBLE, [MESH_ITEM_STRING] = MESH_ARG_STRING,
        [MESH_ITEM_BYTES] = MESH_ARG_BYTES,   [MESH_ITEM_EXT] = MESH_ARG_NIL,
    };
    *arg = (struct mesh_arg){.kind = kind_of[item->kind],
                             .integer = item->integer,
                             .real = item->real,
                             .p = (uint8_t *)(uintptr_t)item->bytes.p, /* the body is writable */
                             .n = item->bytes.n};
    if (item->kind == MESH_ITEM_EXT) {
        take_ext(task, arg, item);
    }
}

/* The value in a result that came by reference. */
static int take_result_of(mesh_task *task, struct mesh_arg *arg, struct slice body)
{
    struct mesh_items items;
    struct mesh_item item;
    int r = mesh_items_init(&items, body);
    r = r == 0 ? mesh_items_next(&items, &item) : r;
    if (r == 0) {
        take_item(task, arg, &item);
    }
    return r;
}

static int take_arg(mesh_task *task, const struct mesh_item *item, const struct slice *refs,
                    size_t n_refs)
{
    struct mesh_arg *arg = &task->args[task->n_args++];
    bool is_ref =
        item->kind == MESH_ITEM_EXT && (item->ext == MESH_EXT_REF || item->ext == MESH_EXT_RESULT);
    if (!is_ref) {
        take_item(task, arg, item);
        return 0;
    }
    uint32_t i = mesh_item_index(item);
    if (i >= n_refs) {
        return -EPROTO;
    }
    if (item->ext == MESH_EXT_RESULT) {
        return take_result_of(task, arg, refs[i]);
    }
    *arg = (struct mesh_arg){
        .kind = MESH_ARG_BYTES, .p = (uint8_t *)(uintptr_t)refs[i].p, .n = refs[i].n};
    return 0;
}

int mesh_task_begin(mesh_task *task, struct slice body, const struct slice *refs, size_t n_refs,
                    struct mesh_chunk *ret_chunk)
{
    struct mesh_items items;
    struct mesh_item item;
    struct mesh_chunk chunk = {0};
    bool is_first = true;
    int r = body.n > 0 ? mesh_items_init(&items, body) : 0;
    while (r == 0 && body.n > 0 && (r = mesh_items_next(&items, &item)) == 0) {
        if (is_first && item.kind == MESH_ITEM_EXT && item.ext == MESH_EXT_CHUNK) {
            r = mesh_item_chunk(&item, &chunk);
        } else if (task->n_args == MESH_ARGS_MAX) {
            r = -EPROTO;
        } else {
            r = take_arg(task, &item, refs, n_refs);
        }
        is_first = false;
    }
    if (r == -ENODATA) {
        r = 0;
    }
    if (r == 0 && chunk.n > 0 &&
        (task->n_args == 0 || task->args[0].kind != MESH_ARG_BYTES ||
         task->args[0].n / chunk.n < chunk.in_bytes ||
         task->args[0].n != chunk.n * chunk.in_bytes || chunk.out_bytes > UINT32_MAX / chunk.n)) {
        r = -EPROTO;
    }
    if (r < 0) {
        mesh_task_fail(task, WIRE_CALL_BAD_ARGUMENT, "%s: its arguments cannot be read",
                       task->function);
    }
    *ret_chunk = chunk;
    return task->status == WIRE_CALL_OK ? 0 : -EPROTO;
}

static int write_value(struct mesh_result *result, struct mesh_writer *writer)
{
    struct slice bytes = slice_of(result->p, result->n);
    switch (result->type) {
    case MESH_INT:
        mesh_writer_int(writer, result->integer);
        break;
    case MESH_DOUBLE:
        mesh_writer_double(writer, result->real);
        break;
    case MESH_STRING:
        mesh_writer_string(writer, bytes);
        break;
    case MESH_RAW:
        mesh_writer_ext(writer, MESH_EXT_RAW + (int)mesh_layout(), bytes);
        break;
    case MESH_BYTES:
        if (result->fd >= 0) { /* it leaves from where it was made */
            size_t n = result->n;
            int fd = result->fd;
            IGNORE(munmap(result->p - MESH_SPACE_AT, MESH_SPACE_AT + n)); /* it is mapped */
            *result = (struct mesh_result){.fd = -1};
            mesh_writer_space(writer, fd, (uint32_t)n);
        } else {
            mesh_writer_bytes(writer, bytes);
        }
        break;
    default:
        mesh_writer_nil(writer);
    }
    return writer->error;
}

int mesh_task_write(mesh_task *task, struct mesh_writer *writer)
{
    int r = write_value(&task->result, writer);
    for (size_t i = 0; r == 0 && i < task->n_args; i++) {
        const struct mesh_arg *arg = &task->args[i];
        if (arg->kind == MESH_ARG_INOUT) {
            mesh_writer_ext(writer, MESH_EXT_INOUT, slice_of(arg->p, arg->n));
            r = writer->error;
        }
    }
    return r;
}

void mesh_task_give(mesh_task *task, uint8_t *to, size_t n_bytes)
{
    const struct mesh_result *result = &task->result;
    bool is_number = result->type == MESH_INT || result->type == MESH_DOUBLE;
    if (n_bytes == 0) {
        return;
    }
    if (result->type == MESH_NONE) {
        mesh_task_fail(task, WIRE_CALL_NO_RESULT, "%s: it set no result", task->function);
    } else if (is_number && n_bytes == sizeof(int64_t)) {
        const void *number =
            result->type == MESH_INT ? (const void *)&result->integer : (const void *)&result->real;
        memcpy(to, number, n_bytes);
    } else if (is_number || result->n != n_bytes) {
        mesh_task_fail(task, WIRE_CALL_FAILED, "%s: returned %zu bytes, where %zu are wanted",
                       task->function, is_number ? sizeof(int64_t) : result->n, n_bytes);
    } else {
        memcpy(to, result->p, n_bytes);
    }
}

void mesh_task_reset(mesh_task *task)
{
    if (task->result.p != NULL || task->result.fd >= 0) {
        mesh_result_done(&task->result);
    }
    task->result.type = MESH_NONE;
    task->status = WIRE_CALL_OK;
    task->text[0] = '\0';
}

void mesh_task_end(mesh_task *task)
{
    mesh_result_done(&task->result);
    for (size_t i = 0; i < task->n_args; i++) {
        if (task->args[i].is_copied) {
            mem_free(task->args[i].p);
        }
    }
    task->n_args = 0;
}
