/* A bump allocator with a ceiling: many small things that die together.
 *
 * Decoded messages and the core's effects live in arenas. Memory from an arena is zeroed, aligned
 * for any type, and valid until arena_clear() or arena_done(). */
#ifndef MESH_BASE_ARENA_H
#define MESH_BASE_ARENA_H

#include <stddef.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used_bytes;          /* handed out since the last clear */
    size_t bytes_max;           /* ceiling of used_bytes */
};

void arena_init(struct arena *arena, size_t bytes_max);
/* Frees everything; the arena may be used again. */
void arena_done(struct arena *arena);
/* Forgets everything handed out; keeps the largest chunk of a common size for reuse. */
void arena_clear(struct arena *arena);

/* Overwrites what was handed out, which stays handed out: for what was secret. */
void arena_wipe(struct arena *arena);

/* n * size zeroed bytes, or NULL when memory is short or the ceiling is hit. */
void *arena_alloc(struct arena *arena, size_t n, size_t size) MUST_CHECK;
/* Copies the bytes into the arena; *ret_copy is written on success. 0 or -ENOMEM. */
int arena_copy(struct arena *arena, struct slice s, struct slice *ret_copy) MUST_CHECK;

#endif
