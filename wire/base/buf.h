/* A growable byte buffer with a ceiling. The only thing in mesh that grows by reallocation.
 *
 * Errors are sticky: after -ENOMEM or -ENOBUFS every append is ignored and buf_error() keeps
 * saying so, so that a writer may append many times and look once. */
#ifndef MESH_BASE_BUF_H
#define MESH_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"

struct buf {
    uint8_t *p;       /* owned */
    size_t n;         /* bytes in use */
    size_t cap;       /* bytes allocated */
    size_t bytes_max; /* ceiling of n, fixed at init */
    int error;        /* 0, -ENOMEM, or -ENOBUFS when the ceiling was hit */
};

/* The buffer starts empty and allocates nothing. */
void buf_init(struct buf *buf, size_t bytes_max);
/* Frees the bytes. The buffer may be used again, empty, with the same ceiling. */
void buf_done(struct buf *buf);
/* Empties it, clears the error and keeps the memory. */
void buf_clear(struct buf *buf);

void buf_append(struct buf *buf, const void *p, size_t n_bytes);
void buf_append_slice(struct buf *buf, struct slice s);
void buf_append_u8(struct buf *buf, uint8_t v);
void buf_append_str(struct buf *buf, const char *s);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for n_bytes at the end, to be written by the caller and then counted in by buf_extend().
 * NULL on error. */
uint8_t *buf_reserve(struct buf *buf, size_t n_bytes) MUST_CHECK;
/* Counts n_bytes of the reserved room in. */
void buf_extend(struct buf *buf, size_t n_bytes);

/* Drops n_bytes from the front (n_bytes <= n); the rest moves down. */
void buf_consume(struct buf *buf, size_t n_bytes);

int buf_error(const struct buf *buf) MUST_CHECK;
struct slice buf_slice(const struct buf *buf);
/* The bytes with a NUL behind them, which does not count; "" on error. Valid until the next call.
 */
const char *buf_cstr(struct buf *buf);

#endif
