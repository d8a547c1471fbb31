/* The client's clocks: deadlines and times for people. The daemon has its own (mesh/clock.h). */
#ifndef MESH_CLIENT_CLOCK_H
#define MESH_CLIENT_CLOCK_H

#include <stdint.h>

/* Monotonic, for deadlines and durations. */
int64_t mesh_client_now_ms(void);
int64_t mesh_client_now_us(void);
/* The deadline that lies so many seconds ahead, for pthread_cond_timedwait() by CLOCK_MONOTONIC. */
struct timespec;
void mesh_client_deadline(double seconds, struct timespec *ret_at);
/* Seconds since 1970 as the wall clock says, for logs only. */
double mesh_client_wall_s(void);

#endif
