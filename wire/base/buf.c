#include "wire/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire/base/mem.h"

#define BUF_FIRST_BYTES 256u

void buf_init(struct buf *buf, size_t bytes_max)
{
    *buf = (struct buf){.bytes_max = bytes_max};
}

void buf_done(struct buf *buf)
{
    buf->p = mem_free(buf->p);
    buf->n = 0;
    buf->cap = 0;
    buf->error = 0;
}

void buf_clear(struct buf *buf)
{
    buf->n = 0;
    buf->error = 0;
}

uint8_t *buf_reserve(struct buf *buf, size_t n_bytes)
{
    if (buf->error != 0) {
        return NULL;
    }
    if (n_bytes > buf->bytes_max - buf->n) {
        buf->error = -ENOBUFS;
        return NULL;
    }
    size_t want = buf->n + n_bytes;
    if (want > buf->cap || buf->p == NULL) {
        size_t cap = buf->cap > 0 ? buf->cap : BUF_FIRST_BYTES;
        while (cap < want) {
            cap = cap > SIZE_MAX / 2 ? want : cap * 2;
        }
        uint8_t *p = mem_realloc(buf->p, cap, 1);
        if (p == NULL) {
            buf->error = -ENOMEM;
            return NULL;
        }
        buf->p = p;
        buf->cap = cap;
    }
    return buf->p + buf->n;
}

void buf_extend(struct buf *buf, size_t n_bytes)
{
    ensure(n_bytes <= buf->cap - buf->n);
    buf->n += n_bytes;
}

void buf_append(struct buf *buf, const void *p, size_t n_bytes)
{
    uint8_t *to = buf_reserve(buf, n_bytes);
    if (to != NULL && n_bytes > 0) {
        memcpy(to, p, n_bytes);
        buf->n += n_bytes;
    }
}

void buf_append_slice(struct buf *buf, struct slice s)
{
    buf_append(buf, s.p, s.n);
}

void buf_append_u8(struct buf *buf, uint8_t v)
{
    buf_append(buf, &v, 1);
}

void buf_append_str(struct buf *buf, const char *s)
{
    buf_append(buf, s, strlen(s));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ensure(n >= 0);
    /* One more for vsnprintf's NUL, which stays outside the count. */
    uint8_t *to = buf_reserve(buf, (size_t)n + 1);
    if (to != NULL) {
        va_start(args, format);
        IGNORE(vsnprintf((char *)to, (size_t)n + 1, format, args)); /* measured above */
        va_end(args);
        buf->n += (size_t)n;
    }
}

void buf_consume(struct buf *buf, size_t n_bytes)
{
    ensure(n_bytes <= buf->n);
    buf->n -= n_bytes;
    if (buf->n > 0) {
        memmove(buf->p, buf->p + n_bytes, buf->n);
    }
}

int buf_error(const struct buf *buf)
{
    return buf->error;
}

struct slice buf_slice(const struct buf *buf)
{
    return slice_of(buf->p, buf->n);
}

const char *buf_cstr(struct buf *buf)
{
    uint8_t *end = buf_reserve(buf, 1);
    if (end == NULL) {
        return "";
    }
    *end = '\0';
    return (const char *)buf->p;
}
