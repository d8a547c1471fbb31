#include "wire/base/heap.h"

#include <stdlib.h>

#include "wire/base/mem.h"

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_done(struct heap *heap)
{
    heap->entries = mem_free(heap->entries);
    *heap = (struct heap){0};
}

static bool is_before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

static void put(struct heap *heap, size_t i, struct heap_entry *entry)
{
    heap->entries[i] = entry;
    entry->index = i + 1;
    if (i == 0) {
        heap->first_ns = entry->at_ns;
    }
}

static void sift_up(struct heap *heap, size_t i, struct heap_entry *entry)
{
    while (i > 0 && is_before(entry, heap->entries[(i - 1) / 2])) {
        put(heap, i, heap->entries[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(heap, i, entry);
}

static void sift_down(struct heap *heap, size_t i, struct heap_entry *entry)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->n) {
            break;
        }
        if (child + 1 < heap->n && is_before(heap->entries[child + 1], heap->entries[child])) {
            child++;
        }
        if (is_before(entry, heap->entries[child])) {
            break;
        }
        put(heap, i, heap->entries[child]);
        i = child;
    }
    put(heap, i, entry);
}

static void grow(struct heap *heap)
{
    size_t cap = heap->cap > 0 ? heap->cap * 2 : 16;
    struct heap_entry **entries = mem_realloc(heap->entries, cap, sizeof(struct heap_entry *));
    ensure(entries != NULL);
    heap->entries = entries;
    heap->cap = cap;
}

void heap_set(struct heap *heap, struct heap_entry *entry, uint64_t at_ns)
{
    heap_remove(heap, entry);
    if (heap->n == heap->cap) {
        grow(heap);
    }
    entry->at_ns = at_ns;
    entry->sequence = heap->next_sequence++;
    heap->n++;
    sift_up(heap, heap->n - 1, entry);
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
    if (entry->index == 0) {
        return;
    }
    size_t i = entry->index - 1;
    ensure(i < heap->n);
    ensure(heap->entries[i] == entry);
    struct heap_entry *last = heap->entries[heap->n - 1];
    heap->n--;
    entry->index = 0;
    if (last != entry) {
        if (i > 0 && is_before(last, heap->entries[(i - 1) / 2])) {
            sift_up(heap, i, last);
        } else {
            sift_down(heap, i, last);
        }
    }
}

struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->n > 0 ? heap->entries[0] : NULL;
}

uint64_t heap_first_ns(const struct heap *heap)
{
    return heap->n > 0 ? heap->first_ns : HEAP_NONE;
}

bool heap_has(const struct heap_entry *entry)
{
    return entry->index != 0;
}
