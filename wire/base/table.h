/* A hash table with fixed-size keys, walked in insertion order.
 *
 * Entries are intrusive and owned by the caller. The hash is keyed with a seed that the caller
 * gives, so that strangers cannot choose collisions; the order of a walk does not depend on it,
 * nor on any address. */
#ifndef MESH_BASE_TABLE_H
#define MESH_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/list.h"

struct table_entry {
    struct list order;        /* in the table's `order` */
    struct table_entry *next; /* in its bucket */
    const void *key;          /* key_bytes bytes inside the owner; must not change while in */
    uint64_t hash;
};

struct table {
    struct table_entry **buckets; /* owned */
    size_t n_buckets;             /* a power of two, or 0 */
    size_t n;
    size_t key_bytes;
    uint64_t seed;
    struct list order; /* of table_entry.order, oldest first */
};

/* What tables hash their keys with: of use where a key would be longer than a table likes. */
uint64_t table_hash(const void *key, size_t n_bytes, uint64_t seed);

void table_init(struct table *table, size_t key_bytes, uint64_t seed);
/* Frees the buckets; entries are left alone. */
void table_done(struct table *table);

/* The key must not be in the table yet. Aborts when memory is short. */
void table_insert(struct table *table, struct table_entry *entry, const void *key);
/* The entry must be in the table. */
void table_remove(struct table *table, struct table_entry *entry);
/* NULL when there is none. */
struct table_entry *table_find(const struct table *table, const void *key);

/* `it` is a struct table_entry *; the body may remove and free `it`, and no other entry. */
#define table_for_each(it, table)                                                                  \
    for (struct list *it##_l = (table)->order.next, *it##_n = it##_l->next;                        \
         it##_l != &(table)->order; it##_l = it##_n, it##_n = it##_l->next)                        \
        for (struct table_entry *it = LIST_ENTRY(it##_l, struct table_entry, order); it != NULL;   \
             it = NULL)

#endif
