/* A borrowed view of bytes. Never NUL-terminated; never kept past the call that received it unless
 * the header says so. */
#ifndef MESH_BASE_SLICE_H
#define MESH_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/base/ensure.h"

struct slice {
    const uint8_t *p; /* may be NULL when n is 0 */
    size_t n;         /* bytes */
};

static inline struct slice slice_of(const void *p, size_t n_bytes)
{
    return (struct slice){.p = p, .n = n_bytes};
}

/* n_bytes of s, from `at` on; there are that many. C forbids to add even 0 to the NULL of an empty
 * slice: what may be empty is cut with these two. */
static inline struct slice slice_part(struct slice s, size_t at, size_t n_bytes)
{
    ensure(at <= s.n);
    ensure(n_bytes <= s.n - at);
    return slice_of(at > 0 ? s.p + at : s.p, n_bytes);
}

/* All of s from `at` on (at <= s.n). */
static inline struct slice slice_from(struct slice s, size_t at)
{
    return slice_part(s, at, s.n - at);
}

/* The text without its NUL; NULL gives the empty slice. */
static inline struct slice slice_str(const char *s)
{
    return (struct slice){.p = (const uint8_t *)s, .n = s != NULL ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *s)
{
    return slice_eq(a, slice_str(s));
}

/* For printf's "%.*s". Foreign text passes text_printable() first. */
#define SLICE_FMT(s) (int)(s).n, (const char *)(s).p

#endif
