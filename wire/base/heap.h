/* A min-heap of deadlines with back-indices: any entry can be moved or removed in O(log n). Four
 * children each, and the deadlines in the array: entries, which are anywhere in memory, are not
 * read to find the order.
 *
 * Entries are intrusive and owned by the caller. Equal deadlines come out in the order in which
 * they were set, so that the same events give the same effects. */
#ifndef MESH_BASE_HEAP_H
#define MESH_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"

#define HEAP_NONE UINT64_MAX

struct heap_entry {
    uint64_t at_ns; /* deadline */
    size_t index;   /* 1 + place in the heap; 0 when in none */
};

struct heap_slot {
    uint64_t at_ns;
    uint64_t sequence; /* breaks ties */
    struct heap_entry *entry;
};

struct heap {
    struct heap_slot *slots; /* owned array of borrowed entries */
    size_t n;
    size_t cap;
    uint64_t next_sequence;
    uint64_t first_ns; /* the earliest deadline, if there is one: known without reading an entry */
};

void heap_init(struct heap *heap);
/* Frees the array; entries are left alone. */
void heap_done(struct heap *heap);

/* Puts the entry in with this deadline, or moves it there. Aborts when memory is short. */
void heap_set(struct heap *heap, struct heap_entry *entry, uint64_t at_ns);
/* Takes it out; an entry that is in no heap is left alone. */
void heap_remove(struct heap *heap, struct heap_entry *entry);
/* The earliest entry, or NULL. */
struct heap_entry *heap_first(const struct heap *heap);
/* Its deadline, or HEAP_NONE. */
uint64_t heap_first_ns(const struct heap *heap);
bool heap_has(const struct heap_entry *entry);

#endif
