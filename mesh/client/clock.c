#include "mesh/client/clock.h"

#include <time.h>

int64_t mesh_client_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t mesh_client_now_ms(void)
{
    return mesh_client_now_us() / 1000;
}

void mesh_client_deadline(double seconds, struct timespec *ret_at)
{
    static const double far = 1e9; /* 30 years: no clock overflows, and nobody waits that long */
    double whole = seconds < far ? seconds : far;
    clock_gettime(CLOCK_MONOTONIC, ret_at);
    ret_at->tv_sec += (time_t)whole;
    ret_at->tv_nsec += (long)((whole - (double)(time_t)whole) * 1e9);
    if (ret_at->tv_nsec >= 1000000000) {
        ret_at->tv_nsec -= 1000000000;
        ret_at->tv_sec++;
    }
}

double mesh_client_wall_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}
