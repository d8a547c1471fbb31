/* A call as the function sees it: what a worker makes of a packet. Used by one thread. */
#ifndef MESH_CLIENT_TASK_H
#define MESH_CLIENT_TASK_H

#include "mesh/client/body.h"
#include "mesh/client/include/mesh.h"
#include "wire/base/list.h"
#include "wire/message.h"

#define MESH_ARGS_MAX (MESH_VALUES_MAX + 2) /* a chunk's head and elements among them */

enum mesh_arg_kind {
    MESH_ARG_NIL,
    MESH_ARG_INT,
    MESH_ARG_DOUBLE,
    MESH_ARG_STRING,
    MESH_ARG_BYTES,
    MESH_ARG_RAW,
    MESH_ARG_FOREIGN,
    MESH_ARG_INOUT,
    MESH_ARG_ELEMENT
};

struct mesh_arg {
    enum mesh_arg_kind kind;
    int64_t integer;
    double real;
    uint8_t *p; /* into the body, or a copy that is aligned and ends with a NUL */
    size_t n;
    bool is_copied; /* it is; owned */
};

/* What was returned, until it is written. */
struct mesh_result {
    int type; /* enum mesh_type */
    int64_t integer;
    double real;
    uint8_t *p; /* on the heap, or at MESH_SPACE_AT of the mapped file. Owned */
    size_t n;
    int fd; /* of the file; -1: on the heap */
};

struct mesh_task {
    char function[256];
    char peer[WIRE_NAME_BYTES_MAX + 1];
    unsigned attempt;
    struct mesh_arg args[MESH_ARGS_MAX];
    size_t n_args;
    struct mesh_result result;
    uint32_t status; /* enum wire_call_status, of what went wrong first */
    char text[WIRE_REASON_BYTES_MAX];
};

/* The arguments of a call: its body, which may be written to, and the bytes of its refs. 0; or the
 * task's status and text say what is wrong with them. A chunk's head is in *ret_chunk, its n 0 when
 * it is none; its elements are then args[0]. */
int mesh_task_begin(mesh_task *task, struct slice body, const struct slice *refs, size_t n_refs,
                    struct mesh_chunk *ret_chunk);
/* Writes the result of a single call, and its in-out arguments. 0 or -errno. */
int mesh_task_write(mesh_task *task, struct mesh_writer *writer);
/* Copies the result to an element of a map's array, or fails the task. */
void mesh_task_give(mesh_task *task, uint8_t *to, size_t n_bytes);
/* Forgets the result and what went wrong, for the next element. */
void mesh_task_reset(mesh_task *task);
/* Frees what the call had. */
void mesh_task_end(mesh_task *task);
/* The task fails, unless it has failed already. */
void mesh_task_fail(mesh_task *task, uint32_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* n zeroed bytes to be written in place: in a file where they are many. -ENOMEM. */
int mesh_result_space(struct mesh_result *result, size_t n);
void mesh_result_done(struct mesh_result *result);

/* --- worker.c ----------------------------------------------------------------------------------
 */

/* Takes calls from this socket until it ends. The process's exit status. */
int mesh_worker_run(int fd);

#endif
