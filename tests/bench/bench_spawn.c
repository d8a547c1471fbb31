/* How long the loop stands still to start one program: by mesh/spawn.h, and by libuv's uv_spawn(),
 * which forks, in a process that holds as much memory as named (default: 6 and 270 MiB, an idle
 * daemon and one that holds all it will hold for others). Medians. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "mesh/clock.h"
#include "mesh/spawn.h"
#include "wire/base/mem.h"

#define N_RUNS 201

static char program[] = "/bin/true";
static char *argv[] = {program, NULL};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double median_us(uint64_t *ns)
{
    qsort(ns, N_RUNS, sizeof *ns, compare);
    return (double)ns[N_RUNS / 2] / 1e3;
}

static void on_uv_exit(uv_process_t *process, int64_t status, int signal)
{
    uv_close((uv_handle_t *)process, NULL);
}

static void on_end(struct spawned *spawned, int status, int signal)
{
    spawned_close(spawned, NULL);
}

static double time_uv(uv_loop_t *loop)
{
    static uint64_t ns[N_RUNS];
    for (size_t i = 0; i < N_RUNS; i++) {
        char *env[] = {NULL};
        uv_process_t process;
        uv_process_options_t options = {
            .file = program, .args = argv, .env = env, .exit_cb = on_uv_exit};
        uint64_t start = meshd_clock_ns();
        ensure(uv_spawn(loop, &process, &options) == 0);
        ns[i] = meshd_clock_ns() - start;
        uv_run(loop, UV_RUN_DEFAULT);
    }
    return median_us(ns);
}

static double time_ours(uv_loop_t *loop)
{
    static uint64_t ns[N_RUNS];
    for (size_t i = 0; i < N_RUNS; i++) {
        struct spawned spawned;
        const struct spawn_options options = {.file = program, .argv = argv};
        uint64_t start = meshd_clock_ns();
        ensure(spawn(loop, &spawned, &options, on_end) == 0);
        ns[i] = meshd_clock_ns() - start;
        uv_run(loop, UV_RUN_DEFAULT);
    }
    return median_us(ns);
}

int main(int argc, char **args)
{
    static const size_t sizes[] = {6, 270};
    size_t n = argc > 1 ? (size_t)argc - 1 : 2;
    uv_loop_t loop;
    ensure(uv_loop_init(&loop) == 0);
    printf("{");
    for (size_t i = 0; i < n; i++) {
        size_t mib = argc > 1 ? strtoul(args[i + 1], NULL, 10) : sizes[i];
        char *held = mem_alloc(mib, 1 << 20);
        ensure(held != NULL);
        memset(held, 1, mib << 20); /* each page is there, and its own */
        printf("%s\"%zu_mib\": {\"spawn_us\": %.0f, \"uv_spawn_us\": %.0f}", i > 0 ? ", " : "", mib,
               time_ours(&loop), time_uv(&loop));
        mem_free(held);
    }
    printf("}\n");
    ensure(uv_loop_close(&loop) == 0);
    return 0;
}
