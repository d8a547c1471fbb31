/* The daemon's log: one line per fact on standard error, as text or as JSON.
 *
 * Text that came from elsewhere is made printable here, so that a peer cannot write escapes to
 * somebody's terminal. wire, core and client never log; the shell does, once, where it decides. */
#ifndef MESH_LOG_H
#define MESH_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/core/effect.h"
#include "wire/base/slice.h"

/* So many lines at once, then so many a second: what others do must not fill a disk. */
#define MESHD_LOG_BURST 200u
#define MESHD_LOG_PER_S 10u

struct meshd_log_rate {
    uint64_t paid_ns; /* lines were written on account up to then */
    uint64_t n_left_out;
};

struct meshd_log {
    struct meshd_log_rate *rate; /* borrowed; NULL: no limit. None holds at level debug */
    int fd;                      /* borrowed; standard error */
    enum core_log_level level;   /* less important lines are dropped */
    bool is_json;
};

/* One line. Newlines and other controls in it become \xNN. */
void meshd_log(const struct meshd_log *log, enum core_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void meshd_log_slice(const struct meshd_log *log, enum core_log_level level, struct slice text);

/* "error", "warn", "info", "debug"; what --log-level takes and JSON lines hold. */
const char *meshd_log_level_text(enum core_log_level level);

#endif
