/* What a disk has of queues: for the disks of the world of cores and of the simulator. Records go
 * in in their order; at a start, events come out. It says what no daemon may ever write. */
#ifndef MESH_TESTS_KEPT_QUEUES_H
#define MESH_TESTS_KEPT_QUEUES_H

#include "mesh/core/effect.h"
#include "mesh/core/event.h"
#include "wire/base/table.h"

struct kept_item {
    struct table_entry by_number;
    uint64_t number, hand; /* hand: not zero once it is done */
    struct wire_key putter;
    struct wire_hash hash; /* of a blob, in place of the bytes */
    uint64_t blob_bytes;
    size_t n;
    uint8_t bytes[];
};

struct kept_queue {
    struct list node;
    uint64_t id;
    uint32_t uid;
    char name[WIRE_NAME_BYTES_MAX + 1];
    struct table items; /* of kept_item.by_number */
    uint64_t n_done;    /* ever */
};

struct kept_queues {
    struct list queues; /* of kept_queue.node */
    struct table putters;
};

bool kept_is_of_queue(enum core_record_type type);
void kept_queues_init(struct kept_queues *kept);
/* Nothing is left of it; it may be used again. */
void kept_queues_wipe(struct kept_queues *kept);
/* A record whose texts are copied into the arena. */
struct core_record kept_record_copy(struct arena *arena, const struct core_record *record);
/* NULL, or what is wrong with it. */
const char *kept_queues_apply(struct kept_queues *kept, const struct core_record *record);
/* All that a daemon is told when it starts, but JOURNAL_END. */
void kept_queues_restore(const struct kept_queues *kept,
                         void (*step)(void *user, struct core_event *event), void *user);
struct kept_queue *kept_queue_find(const struct kept_queues *kept, const char *name);
/* Items that are not done; of all queues for NULL. */
unsigned kept_n_items(const struct kept_queues *kept, const char *name);
/* How many items that are not done hold just these bytes. */
unsigned kept_n_of(const struct kept_queues *kept, struct slice bytes);

#endif
