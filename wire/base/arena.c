#include "wire/base/arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

#include "wire/base/mem.h"

#define ARENA_CHUNK_BYTES 480u         /* the first; each further one is twice as large */
#define ARENA_KEPT_BYTES  (64u * 1024) /* larger ones are for a rare burst: not held on to */

struct arena_chunk {
    struct arena_chunk *next;
    size_t cap;
    size_t n;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *arena, size_t bytes_max)
{
    *arena = (struct arena){.bytes_max = bytes_max};
}

void arena_done(struct arena *arena)
{
    while (arena->chunks != NULL) {
        struct arena_chunk *next = arena->chunks->next;
        mem_free(arena->chunks);
        arena->chunks = next;
    }
    arena->used_bytes = 0;
}

void arena_clear(struct arena *arena)
{
    if (arena->used_bytes == 0) { /* nothing was taken since the last time */
        return;
    }
    struct arena_chunk *kept = NULL;
    for (struct arena_chunk *c = arena->chunks; c != NULL; c = c->next) {
        bool is_larger = kept == NULL || c->cap > kept->cap;
        kept = is_larger && c->cap <= ARENA_KEPT_BYTES ? c : kept;
    }
    while (arena->chunks != NULL) {
        struct arena_chunk *next = arena->chunks->next;
        if (arena->chunks != kept) {
            mem_free(arena->chunks);
        }
        arena->chunks = next;
    }
    if (kept != NULL) {
        kept->next = NULL;
        kept->n = 0;
    }
    arena->chunks = kept;
    arena->used_bytes = 0;
}

void arena_wipe(struct arena *arena)
{
    for (struct arena_chunk *c = arena->chunks; c != NULL; c = c->next) {
        explicit_bzero(c->bytes, c->n);
    }
}

void *arena_alloc(struct arena *arena, size_t n, size_t size)
{
    size_t want;
    if (__builtin_mul_overflow(n, size, &want) ||
        __builtin_add_overflow(want, alignof(max_align_t) - 1, &want)) {
        return NULL;
    }
    want &= ~(alignof(max_align_t) - 1);
    if (want > arena->bytes_max - arena->used_bytes) {
        return NULL;
    }
    struct arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || want > chunk->cap - chunk->n) {
        size_t cap = chunk == NULL ? ARENA_CHUNK_BYTES : chunk->cap * 2;
        cap = cap < want ? want : cap;
        chunk = mem_realloc(NULL, sizeof(*chunk) + cap, 1);
        if (chunk == NULL) {
            return NULL;
        }
        *chunk = (struct arena_chunk){.next = arena->chunks, .cap = cap};
        arena->chunks = chunk;
    }
    void *p = chunk->bytes + chunk->n;
    chunk->n += want;
    arena->used_bytes += want;
    memset(p, 0, want);
    return p;
}

int arena_copy(struct arena *arena, struct slice s, struct slice *ret_copy)
{
    if (s.n == 0) { /* takes no memory, nor the arena's first chunk */
        *ret_copy = slice_str("");
        return 0;
    }
    void *p = arena_alloc(arena, s.n, 1);
    if (p == NULL) {
        return -ENOMEM;
    }
    memcpy(p, s.p, s.n);
    *ret_copy = slice_of(p, s.n);
    return 0;
}
