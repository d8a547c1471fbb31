/* Repeatable randomness: everything that a seed draws comes from here. splitmix64 (Vigna, public
 * domain). Integers only, so that a seed means the same on every machine. */
#ifndef MESH_TESTS_SIM_DICE_H
#define MESH_TESTS_SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint64_t dice_next(struct dice *dice)
{
    dice->state += UINT64_C(0x9e3779b97f4a7c15);
    return dice_mix(dice->state);
}

/* 0..below-1; 0 for below 0. */
static inline uint64_t dice_roll(struct dice *dice, uint64_t below)
{
    uint64_t x = dice_next(dice);
    return below > 0 ? x % below : 0;
}

/* low..high, both included. */
static inline uint64_t dice_between(struct dice *dice, uint64_t low, uint64_t high)
{
    return low + dice_roll(dice, high - low + 1);
}

/* low..high, each octave as likely as the next: small values are as well tried as large ones. */
static inline uint64_t dice_log(struct dice *dice, uint64_t low, uint64_t high)
{
    for (;;) {
        uint64_t x = dice_between(dice, low, high);
        if (dice_roll(dice, x) < low) { /* kept with probability low / x */
            return x;
        }
    }
}

static inline bool dice_chance(struct dice *dice, uint64_t percent)
{
    return dice_roll(dice, 100) < percent;
}

#endif
