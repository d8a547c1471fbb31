/* Makes up valid messages from a seed: for round trips, sessions, the simulator and the fuzzers'
 * corpus. The same seed gives the same message on every machine. */
#ifndef MESH_TESTS_RANDOM_MESSAGE_H
#define MESH_TESTS_RANDOM_MESSAGE_H

#include <stdint.h>

#include "wire/base/arena.h"
#include "wire/message.h"

enum random_size {
    RANDOM_EMPTY,   /* every number and length as small as it may be */
    RANDOM_SMALL,   /* texts and arrays of a few, numbers of all widths */
    RANDOM_LARGEST, /* every number and length as large as it may be; tables of 512 rows */
};

/* The next number; *seed moves on. */
uint64_t random_u64(uint64_t *seed);
/* 0..n-1. */
uint64_t random_below(uint64_t *seed, uint64_t n);

/* The i-th message type, for i of 0..random_n_types()-1, in order of number. */
uint32_t random_type(size_t i);
size_t random_n_types(void);

/* A message of that type which passes wire_message_check(). Its memory is the arena's; aborts when
 * that is too small (16 MiB always do). */
void random_message(uint64_t *seed, uint32_t type, enum random_size size, struct arena *arena,
                    struct wire_message *ret_message);

#endif
