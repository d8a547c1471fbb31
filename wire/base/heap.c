#include "wire/base/heap.h"

#include <stdlib.h>

#include "wire/base/mem.h"

#define CHILDREN 4u

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_done(struct heap *heap)
{
    heap->slots = mem_free(heap->slots);
    *heap = (struct heap){0};
}

static bool is_before(const struct heap_slot *a, const struct heap_slot *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

static void put(struct heap *heap, size_t i, struct heap_slot slot)
{
    heap->slots[i] = slot;
    slot.entry->index = i + 1;
    if (i == 0) {
        heap->first_ns = slot.at_ns;
    }
}

static void sift_up(struct heap *heap, size_t i, struct heap_slot slot)
{
    while (i > 0 && is_before(&slot, &heap->slots[(i - 1) / CHILDREN])) {
        put(heap, i, heap->slots[(i - 1) / CHILDREN]);
        i = (i - 1) / CHILDREN;
    }
    put(heap, i, slot);
}

/* The earliest child of i; n when there is none. */
static size_t first_child(const struct heap *heap, size_t i)
{
    size_t first = CHILDREN * i + 1;
    size_t end = first + CHILDREN < heap->n ? first + CHILDREN : heap->n;
    for (size_t child = first + 1; child < end; child++) {
        if (is_before(&heap->slots[child], &heap->slots[first])) {
            first = child;
        }
    }
    return first < heap->n ? first : heap->n;
}

static void sift_down(struct heap *heap, size_t i, struct heap_slot slot)
{
    for (size_t child = first_child(heap, i);
         child < heap->n && is_before(&heap->slots[child], &slot); child = first_child(heap, i)) {
        put(heap, i, heap->slots[child]);
        i = child;
    }
    put(heap, i, slot);
}

static void grow(struct heap *heap)
{
    size_t cap = heap->cap > 0 ? heap->cap * 2 : 16;
    struct heap_slot *slots = mem_realloc(heap->slots, cap, sizeof(*slots));
    ensure(slots != NULL);
    heap->slots = slots;
    heap->cap = cap;
}

void heap_set(struct heap *heap, struct heap_entry *entry, uint64_t at_ns)
{
    heap_remove(heap, entry);
    if (heap->n == heap->cap) {
        grow(heap);
    }
    entry->at_ns = at_ns;
    struct heap_slot slot = {.at_ns = at_ns, .sequence = heap->next_sequence++, .entry = entry};
    heap->n++;
    sift_up(heap, heap->n - 1, slot);
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
    if (entry->index == 0) {
        return;
    }
    size_t i = entry->index - 1;
    ensure(i < heap->n);
    ensure(heap->slots[i].entry == entry);
    struct heap_slot last = heap->slots[heap->n - 1];
    heap->n--;
    entry->index = 0;
    if (last.entry != entry) {
        if (i > 0 && is_before(&last, &heap->slots[(i - 1) / CHILDREN])) {
            sift_up(heap, i, last);
        } else {
            sift_down(heap, i, last);
        }
    }
}

struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->n > 0 ? heap->slots[0].entry : NULL;
}

uint64_t heap_first_ns(const struct heap *heap)
{
    return heap->n > 0 ? heap->first_ns : HEAP_NONE;
}

bool heap_has(const struct heap_entry *entry)
{
    return entry->index != 0;
}
