#include "mesh/clock.h"

#include <stdio.h>
#include <time.h>

#include "wire/base/ensure.h"

uint64_t meshd_clock_ns(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_BOOTTIME, &now);
    ensure(rc == 0); /* fails for a clock the kernel does not have, and it has this one since 2.6 */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct timespec wall_now(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    ensure(rc == 0);
    return now;
}

int64_t meshd_clock_wall_s(void)
{
    return (int64_t)wall_now().tv_sec;
}

const char *meshd_clock_text(char to[static MESHD_CLOCK_TEXT_BYTES])
{
    struct timespec now = wall_now();
    struct tm parts;
    to[0] = '\0';
    if (gmtime_r(&now.tv_sec, &parts) != NULL) {
        size_t n = strftime(to, MESHD_CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
        unsigned ms = (unsigned)(now.tv_nsec / 1000000) % 1000u;
        IGNORE(snprintf(to + n, MESHD_CLOCK_TEXT_BYTES - n, ".%03uZ", ms)); /* 25 of 32 bytes */
    }
    return to;
}
