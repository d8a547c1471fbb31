/* The daemon's only clock. */
#ifndef MESH_CLOCK_H
#define MESH_CLOCK_H

#include <stdint.h>

/* Nanoseconds since the host started, time asleep included (CLOCK_BOOTTIME); never going back. */
uint64_t meshd_clock_ns(void);

/* Wall clock, for what is kept over restarts and for log lines only; it may jump. */
int64_t meshd_clock_wall_s(void);

/* "2026-11-21T11:05:02.123Z" of now, NUL-terminated. Returns `to`. */
#define MESHD_CLOCK_TEXT_BYTES 32
const char *meshd_clock_text(char to[static MESHD_CLOCK_TEXT_BYTES]);

#endif
