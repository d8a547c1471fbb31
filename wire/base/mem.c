#include "wire/base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What comes fresh from the kernel is zero, and is not touched before it is used. */
static void *alloc_zeroed(size_t n_bytes)
{
    return calloc(1, n_bytes);
}

static const struct mem_ops libc_ops = {.alloc = alloc_zeroed, .realloc = realloc, .free = free};
static const struct mem_ops *ops = &libc_ops;

void mem_set_ops(const struct mem_ops *new_ops)
{
    ops = new_ops != NULL ? new_ops : &libc_ops;
}

static size_t product(size_t n, size_t size)
{
    size_t n_bytes;
    if (__builtin_mul_overflow(n, size, &n_bytes)) {
        return SIZE_MAX;
    }
    return n_bytes > 0 ? n_bytes : 1;
}

void *mem_alloc(size_t n, size_t size)
{
    size_t n_bytes = product(n, size);
    return n_bytes == SIZE_MAX ? NULL : ops->alloc(n_bytes);
}

void *mem_alloc_or_die(size_t n, size_t size)
{
    void *p = mem_alloc(n, size);
    if (p == NULL) {
        fprintf(stderr, "mesh: out of memory: %zu times %zu bytes wanted\n", n, size);
        abort();
    }
    return p;
}

void *mem_realloc(void *p, size_t n, size_t size)
{
    size_t n_bytes = product(n, size);
    return n_bytes == SIZE_MAX ? NULL : ops->realloc(p, n_bytes);
}

char *mem_strndup(const char *s, size_t n)
{
    char *copy = n == SIZE_MAX ? NULL : mem_alloc(n + 1, 1);
    if (copy != NULL && n > 0) {
        memcpy(copy, s, n);
    }
    return copy;
}

void *mem_dup(const void *p, size_t n_bytes)
{
    void *copy = mem_alloc(n_bytes, 1);
    if (copy != NULL && n_bytes > 0) {
        memcpy(copy, p, n_bytes);
    }
    return copy;
}

void *mem_free(void *p)
{
    if (p != NULL) {
        ops->free(p);
    }
    return NULL;
}

void mem_freep(void *pointer_to_pointer)
{
    void **p = pointer_to_pointer;
    *p = mem_free(*p);
}
