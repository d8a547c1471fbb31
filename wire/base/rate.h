/* A rate: at most `burst` at once, and `per_s` a second on average. Each takes its share of a
 * second in advance, and the account may be overdrawn by the burst: the generic cell rate algorithm
 * (ITU-T I.371), which needs one number and no timer. */
#ifndef MESH_WIRE_BASE_RATE_H
#define MESH_WIRE_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether one more is within the rate; counts it if so. `paid_ns`: up to when all was taken so far,
 * 0 at first. per_s: 1 to 10^9. */
static inline bool rate_take(uint64_t *paid_ns, uint64_t now_ns, unsigned per_s, unsigned burst)
{
    uint64_t each_ns = UINT64_C(1000000000) / per_s;
    uint64_t from_ns = *paid_ns > now_ns ? *paid_ns : now_ns;
    if (from_ns + each_ns - now_ns > burst * each_ns) {
        return false;
    }
    *paid_ns = from_ns + each_ns;
    return true;
}

#endif
