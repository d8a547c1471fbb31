/* Checked allocation. Everything that mesh allocates goes through here.
 *
 * The functions take a count and a size and check the product. They return NULL when memory is
 * short or a test's fault says so; allocation made on a peer's behalf must be handled by dropping
 * that peer. The *_or_die forms are for our own state at start and in the core's own tables:
 * they abort with one line. libmesh uses only the forms that can fail. */
#ifndef MESH_BASE_MEM_H
#define MESH_BASE_MEM_H

#include <stddef.h>

#include "wire/base/ensure.h"

/* The allocator in use; tests put a failing or counting one in its place. */
struct mem_ops {
    void *(*alloc)(size_t n_bytes); /* zeroed */
    void *(*realloc)(void *p, size_t n_bytes);
    void (*free)(void *p);
};

/* Replaces the allocator; NULL restores libc's. Only before the first allocation or in tests. */
void mem_set_ops(const struct mem_ops *ops);

/* n * size zeroed bytes, or NULL. n * size of 0 gives a pointer that may be freed. */
void *mem_alloc(size_t n, size_t size) MUST_CHECK;
void *mem_alloc_or_die(size_t n, size_t size) MUST_CHECK;

/* Resizes to n * size bytes; new bytes are not cleared. On NULL the old block stands. */
void *mem_realloc(void *p, size_t n, size_t size) MUST_CHECK;

/* A NUL-terminated copy of n bytes, or NULL. */
char *mem_strndup(const char *s, size_t n) MUST_CHECK;
/* A copy of n bytes, or NULL. */
void *mem_dup(const void *p, size_t n_bytes) MUST_CHECK;

/* NULL is allowed. Returns NULL, so that `p = mem_free(p)` leaves nothing dangling. */
void *mem_free(void *p);

/* For CLEANUP(mem_freep) on any pointer variable. */
void mem_freep(void *pointer_to_pointer);

#endif
