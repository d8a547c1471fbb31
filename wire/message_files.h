/* Files of tasks: what a task is given beside the files of its job, and what it brings back.
 * Included by wire/message.h.
 *
 * All paths here are relative and have no component that is empty, "." or "..": a receiver may
 * create them below a directory of its own, if it follows no link on the way. */
#ifndef MESH_WIRE_MESSAGE_FILES_H
#define MESH_WIRE_MESSAGE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message_parts.h"

/* A file that stands in the task's directory when it starts, its own to change. */
struct wire_task_file {
    struct slice path; /* in the task's directory, WIRE_PATH_BYTES_MAX */
    uint32_t mode;     /* permission bits, 0777 at most */
    uint32_t ref;      /* its content: the task's refs, counted from 1; 0: it is a directory */
};

struct wire_task_files {
    const struct wire_task_file *items;
    uint32_t n;
};

/* Why a file that a task should have brought back did not come. */
#define WIRE_FILE_FAULTS(X)                                                                        \
    X(NONE, 0, "none")                                                                             \
    X(MISSING, 1, "it is not there")                                                               \
    X(LINK, 2, "it is a symbolic link, or lies behind one")                                        \
    X(KIND, 3, "it is neither a file nor a directory")                                             \
    X(UNREADABLE, 4, "it could not be read")                                                       \
    X(LIMIT, 5, "it is too long, or one too many")

#define WIRE_ENUM_FILE_FAULT(name, value, text) WIRE_FILE_FAULT_##name = value,
enum wire_file_fault { WIRE_FILE_FAULTS(WIRE_ENUM_FILE_FAULT) };

/* The text of a value; "unknown" for one that is not in the list. */
const char *wire_file_fault_text(uint32_t fault);

/* A file or directory that a task brought back, or one of those that it should have. */
struct wire_result_file {
    struct slice path; /* in the task's directory */
    uint32_t mode;     /* permission bits */
    uint64_t bytes;
    struct slice inlined;  /* all of it, or empty: no more than fits a result */
    struct wire_hash hash; /* of the blob when it is not inlined */
    bool is_dir;           /* of a directory: it has neither */
    uint32_t fault;        /* enum wire_file_fault; else nothing came but the path */
};

struct wire_result_files {
    const struct wire_result_file *items;
    uint32_t n;
};

#endif
