/* How many calls of a function that does nothing a cell takes a second, one after the other, and
 * how long one takes: as the daemon sees it, bare and sandboxed. Beside it what two processes take
 * to pass a packet to and fro: less than that no call can cost. The median of several runs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "mesh/cell.h"
#include "mesh/sandbox_filter.h"

enum { N_RUNS = 7, N_CALLS = 20000 };

struct bench {
    uv_loop_t loop;
    struct cell *cell;
    unsigned n_left;
    double began_s;
    double took_us[N_CALLS];
    bool is_closed;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return values[n / 2];
}

static void call(struct bench *bench)
{
    struct errmsg err;
    const struct cell_call call = {.function = slice_str("echo"),
                                   .attempt = 1,
                                   .args = slice_str("0123456789"),
                                   .lease_ms = 30000};
    bench->began_s = now_s();
    ensure(cell_call(bench->cell, &call, &err) == 0);
}

static void on_ended(void *user, struct cell *cell, const struct cell_result *result)
{
    struct bench *bench = user;
    ensure(result->end == WIRE_END_EXITED);
    ensure(result->status == 0);
    ensure(result->out.bytes == 10);
    bench->took_us[--bench->n_left] = (now_s() - bench->began_s) * 1e6;
    if (bench->n_left > 0) {
        call(bench);
    }
}

static void on_started(void *user, struct cell *cell)
{
}

static void on_refused(void *user, struct cell *cell, enum wire_refusal why,
                       const struct errmsg *err, bool is_cell_usable)
{
    fprintf(stderr, "refused: %s\n", err->text);
    exit(EXIT_FAILURE);
}

static void on_dead(void *user, struct cell *cell, const struct errmsg *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(EXIT_FAILURE);
}

static void on_closed(void *user)
{
    struct bench *bench = user;
    bench->is_closed = true;
}

static const struct cell_events events = {
    .on_started = on_started, .on_ended = on_ended, .on_refused = on_refused, .on_dead = on_dead};

static void run_calls(struct bench *bench, unsigned n)
{
    bench->n_left = n;
    call(bench);
    while (bench->n_left > 0) {
        uv_run(&bench->loop, UV_RUN_ONCE);
    }
}

static void bench_cell(const char *name, bool is_bare)
{
    static struct bench bench;
    static double per_s[N_RUNS], p50[N_RUNS];
    char bwrap[256];
    char dir[] = "/tmp/bench-call-XXXXXX";
    struct errmsg err = {""};
    struct sandbox sandbox = {.cell_program = MESH_CELL_PROGRAM};
    const struct cell_file file = {.fd = open(MESH_CALL_WORKER, O_RDONLY | O_CLOEXEC),
                                   .path = "worker",
                                   .is_executable = true};
    const struct cell_program program = {
        .exec = slice_str("./worker"), .peer = slice_str("here"), .output_bytes_max = 1 << 20};
    struct cell_config config = {
        .loop = &bench.loop,
        .sandbox = &sandbox,
        .is_bare = is_bare,
        .work_dir = mkdtemp(dir),
        .size = {.scratch_bytes = 1 << 20,
                 .limits = {.memory_bytes = UINT64_C(1) << 30, .n_processes = 1024}},
        .files = &file,
        .n_files = 1,
        .program = &program,
        .events = &events,
        .user = &bench};
    if (!is_bare) {
        if (sandbox_find_bwrap(bwrap, sizeof bwrap, &err) < 0 ||
            sandbox_filter_make(&sandbox.filter_fd, &err) < 0) {
            printf("%s: %s\n", name, err.text);
            return;
        }
        sandbox.bwrap = bwrap;
    }
    bench.is_closed = false;
    ensure(uv_loop_init(&bench.loop) == 0);
    ensure(cell_new(&config, &bench.cell, &err) == 0);
    double began_s = now_s();
    run_calls(&bench, 1);
    double first_ms = (now_s() - began_s) * 1e3;
    for (int i = 0; i < N_RUNS; i++) {
        began_s = now_s();
        run_calls(&bench, N_CALLS);
        per_s[i] = N_CALLS / (now_s() - began_s);
        p50[i] = median(bench.took_us, N_CALLS);
    }
    printf("%-18s %8.0f calls/s, p50 %.1f us; the first, with its cell: %.1f ms\n", name,
           median(per_s, N_RUNS), median(p50, N_RUNS), first_ms);
    cell_close(bench.cell, on_closed, &bench);
    while (!bench.is_closed) {
        uv_run(&bench.loop, UV_RUN_ONCE);
    }
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    ensure(uv_loop_close(&bench.loop) == 0);
    if (!is_bare) {
        close(sandbox.filter_fd);
    }
    close(file.fd);
    rmdir(dir);
}

static void bench_packets(void)
{
    static double per_s[N_RUNS];
    int sockets[2];
    char packet[64] = {0};
    ensure(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(sockets[0]);
        while (recv(sockets[1], packet, sizeof packet, 0) > 0 &&
               send(sockets[1], packet, sizeof packet, 0) > 0) {
        }
        _exit(0);
    }
    close(sockets[1]);
    for (int i = 0; i < N_RUNS; i++) {
        double began_s = now_s();
        for (int n = 0; n < N_CALLS; n++) {
            ensure(send(sockets[0], packet, sizeof packet, 0) == sizeof packet);
            ensure(recv(sockets[0], packet, sizeof packet, 0) == sizeof packet);
        }
        per_s[i] = N_CALLS / (now_s() - began_s);
    }
    close(sockets[0]);
    waitpid(pid, NULL, 0);
    double rate = median(per_s, N_RUNS);
    printf("%-18s %8.0f round trips/s, %.1f us\n", "two processes", rate, 1e6 / rate);
}

int main(void)
{
    bench_packets();
    bench_cell("bare cell", true);
    bench_cell("sandboxed cell", false);
    bench_packets();
    return EXIT_SUCCESS;
}
