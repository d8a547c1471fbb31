/* What the soak's tasks make of their input, for the task (soak_task.c) and for who checks it.
 * Pure; libc only, for the task is sent to the peers. */
#ifndef MESH_LAB_SOAK_HASH_H
#define MESH_LAB_SOAK_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* FNV-1a of 64 bits (Fowler, Noll, Vo; public domain), from an earlier value on. */
#define SOAK_HASH_BEGIN UINT64_C(0xcbf29ce484222325)

static inline uint64_t soak_hash(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static inline uint64_t soak_hash_text(uint64_t hash, const char *text)
{
    return soak_hash(hash, text, strlen(text));
}

/* What the task prints in its line number i, behind its input and i. */
static inline uint64_t soak_hash_line(uint64_t hash, unsigned i)
{
    const uint8_t bytes[4] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16),
                              (uint8_t)(i >> 24)};
    return soak_hash(hash, bytes, sizeof(bytes));
}

/* What the task writes of what it read. */
static inline void soak_transform(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(bytes[i] * 5 + i);
    }
}

#endif
