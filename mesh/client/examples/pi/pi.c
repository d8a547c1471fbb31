/* pi [DIGITS]: pi by throwing darts, until it is known to so many digits with a likelihood of 95 %.
 * Each call that is done adds to the count and, while that is not enough, submits the next: there
 * is no loop that waits. */
#include <inttypes.h>
#include <math.h>
#include <mesh.h>
#include <stdio.h>
#include <stdlib.h>

#define DARTS INT64_C(5000000) /* to a call */

static uint64_t next_random(uint64_t *state) /* splitmix64, by Sebastiano Vigna */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Argument: a seed. Returns how many of DARTS hit the quarter of the disc. */
MESH_FUNCTION(throw_darts)
{
    uint64_t state = (uint64_t)mesh_arg_int(task, 0) << 40;
    int64_t n_hits = 0;
    for (int64_t i = 0; i < DARTS; i++) {
        uint64_t bits = next_random(&state);
        double x = (double)(uint32_t)bits / 4294967296.0;
        double y = (double)(bits >> 32) / 4294967296.0;
        n_hits += x * x + y * y < 1;
    }
    return mesh_return_int(task, n_hits);
}

struct count {
    mesh *m;
    mesh_group *group;
    int64_t seed, n_hits, n_darts;
    double wanted; /* half the width of the interval that is good enough */
    int error;
};

static void submit_next(struct count *count);

/* From the library's thread, one at a time. */
static void on_done(mesh_future *future, void *user)
{
    struct count *count = user;
    count->error = count->error != 0 ? count->error : mesh_future_error(future);
    count->n_hits += mesh_get_int(future);
    count->n_darts += DARTS;
    double share = (double)count->n_hits / (double)count->n_darts;
    double width = 4 * 1.96 * sqrt(share * (1 - share) / (double)count->n_darts);
    if (count->error == 0 && width > count->wanted) {
        submit_next(count);
    }
    mesh_free(future);
}

static void submit_next(struct count *count)
{
    struct mesh_call call = {.group = count->group, .on_done = on_done, .user = count};
    mesh_submit_with(count->m, &call, "throw_darts", mesh_int(++count->seed));
}

int main(int argc, char **argv)
{
    mesh_init();
    int digits = argc > 1 ? atoi(argv[1]) : 4;
    if (digits < 1 || digits > 6) {
        fprintf(stderr, "usage: pi [DIGITS], from 1 to 6\n");
        return 2;
    }
    mesh *m = mesh_open(NULL);
    struct count count = {.m = m, .group = mesh_group_new(m), .wanted = 0.5 * pow(10, -digits)};
    unsigned n = 2 * mesh_cores(m); /* so many at once: each is followed by the next */
    for (unsigned i = 0; i < n || i == 0; i++) {
        submit_next(&count);
    }
    mesh_group_wait(m, count.group, MESH_FOREVER);
    double share = (double)count.n_hits / (double)count.n_darts;
    if (count.error != 0) {
        fprintf(stderr, "pi: %s\n", mesh_strerror(count.error));
    } else {
        printf("%.*f from %.0f million darts\n", digits, 4 * share, (double)count.n_darts / 1e6);
    }
    mesh_print_stats(m, stderr);
    mesh_close(m);
    return count.error == 0 ? 0 : 1;
}
