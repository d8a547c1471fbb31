#include "wire/base/table.h"

#include <string.h>

#include "wire/base/mem.h"

#define TABLE_FIRST_BUCKETS 16u

/* Both halves of the product: each bit of either factor reaches each bit of the result. */
static uint64_t fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else /* 32 bits: by halves */
    uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX);
    uint64_t middle = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
    uint64_t carried = (a & UINT32_MAX) * (b >> 32) + (middle & UINT32_MAX);
    uint64_t high = (a >> 32) * (b >> 32) + (middle >> 32) + (carried >> 32);
    return (carried << 32 | (low & UINT32_MAX)) ^ high;
#endif
}

static uint64_t word_at(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* One multiplication for 16 bytes, as in wyhash (Wang Yi, public domain); none waits for another
 * but by a sum. The seed is secret: without it nobody knows what makes a factor zero. */
uint64_t table_hash(const void *key, size_t n_bytes, uint64_t seed)
{
    const unsigned char *p = key;
    uint64_t a = seed ^ UINT64_C(0x9e3779b97f4a7c15);
    uint64_t b = (seed << 32 | seed >> 32) ^ UINT64_C(0xbf58476d1ce4e5b9);
    uint64_t h = n_bytes;
    for (; n_bytes >= 16; n_bytes -= 16, p += 16) {
        h = (h << 23 | h >> 41) + fold(word_at(p) ^ a, word_at(p + 8) ^ b);
    }
    uint64_t word = 0;
    uint64_t rest = 0;
    if (n_bytes >= 8) {
        word = word_at(p);
        p += 8;
        n_bytes -= 8;
    }
    if (n_bytes > 0) {
        memcpy(&rest, p, n_bytes);
    }
    return fold(h ^ word ^ a, rest ^ b);
}

void table_init(struct table *table, size_t key_bytes, uint64_t seed)
{
    *table = (struct table){.key_bytes = key_bytes, .seed = seed};
    list_init(&table->order);
}

void table_done(struct table *table)
{
    table->buckets = mem_free(table->buckets);
    table->n_buckets = 0;
    table->n = 0;
    list_init(&table->order);
}

static void rehash(struct table *table)
{
    size_t n_buckets = table->n_buckets > 0 ? table->n_buckets * 2 : TABLE_FIRST_BUCKETS;
    struct table_entry **buckets = mem_alloc_or_die(n_buckets, sizeof(struct table_entry *));
    table_for_each (entry, table) {
        struct table_entry **bucket = &buckets[entry->hash & (n_buckets - 1)];
        entry->next = *bucket;
        *bucket = entry;
    }
    mem_free(table->buckets);
    table->buckets = buckets;
    table->n_buckets = n_buckets;
}

void table_insert(struct table *table, struct table_entry *entry, const void *key)
{
    if (table->n >= table->n_buckets) {
        rehash(table);
    }
    entry->key = key;
    entry->hash = table_hash(key, table->key_bytes, table->seed);
    struct table_entry **bucket = &table->buckets[entry->hash & (table->n_buckets - 1)];
    entry->next = *bucket;
    *bucket = entry;
    list_push_back(&table->order, &entry->order);
    table->n++;
}

void table_remove(struct table *table, struct table_entry *entry)
{
    ensure(table->n > 0);
    struct table_entry **at = &table->buckets[entry->hash & (table->n_buckets - 1)];
    while (*at != entry) {
        ensure(*at != NULL);
        at = &(*at)->next;
    }
    *at = entry->next;
    entry->next = NULL;
    list_remove(&entry->order);
    table->n--;
}

struct table_entry *table_find(const struct table *table, const void *key)
{
    if (table->n_buckets == 0) {
        return NULL;
    }
    uint64_t hash = table_hash(key, table->key_bytes, table->seed);
    struct table_entry *entry = table->buckets[hash & (table->n_buckets - 1)];
    while (entry != NULL &&
           (entry->hash != hash || memcmp(entry->key, key, table->key_bytes) != 0)) {
        entry = entry->next;
    }
    return entry;
}
