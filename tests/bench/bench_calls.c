/* One measurement of libmesh, for tests/bench/calls: a line of a number, or of several.
 *
 *     bench_calls cores N            waits until N cores of other peers are there
 *     bench_calls submit N DEPTH     calls that do nothing, one by one from one thread, at most
 *                                    DEPTH of them under way: calls per second
 *     bench_calls map N              elements of a map that does nothing, per second
 *     bench_calls latency N          submit and wait, N times: the median, in microseconds
 *     bench_calls primes             sum_primes of the published inputs: seconds
 *     bench_calls plain              the same in two processes without mesh: seconds
 *
 * What fails says so and exits with 1: a figure of calls that went wrong is none. */
#include <mesh.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_PRIMES    16
#define N_PROCESSES 2
#define PATIENCE_S  20.0
#define WARM_CALLS  2000
#define LOOK_MS     20

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_calls: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void *allocate(size_t n, size_t bytes)
{
    void *p = calloc(n, bytes);
    if (p == NULL) {
        die("no memory", "calloc");
    }
    return p;
}

/* --- what is called ----------------------------------------------------------------------------
 */

MESH_FUNCTION(nothing)
{
    return mesh_return_int(task, mesh_arg_int(task, 0));
}

MESH_FUNCTION(element)
{
    int64_t x;
    memcpy(&x, mesh_arg_raw(task, 0, sizeof(x)), sizeof(x));
    return mesh_return_int(task, x + 1);
}

static bool is_prime(int64_t n)
{
    if (n < 4) {
        return n >= 2;
    }
    if (n % 2 == 0) {
        return false;
    }
    for (int64_t divisor = 3; divisor * divisor <= n; divisor += 2) {
        if (n % divisor == 0) {
            return false;
        }
    }
    return true;
}

static int64_t sum_of_primes(int64_t below)
{
    int64_t sum = 0;
    for (int64_t i = 2; i < below; i++) {
        sum += is_prime(i) ? i : 0;
    }
    return sum;
}

MESH_FUNCTION(sum_primes)
{
    return mesh_return_int(task, sum_of_primes(mesh_arg_int(task, 0)));
}

static int64_t input(int i)
{
    return 500000 + 100 * (int64_t)(i % 8);
}

/* As published with Parallel Python. */
static const int64_t sums[] = {9914236195, 9917236483, 9922237979, 9926740220,
                               9930743046, 9934746636, 9938250425, 9941254397};

/* --- measuring ---------------------------------------------------------------------------------
 */

/* Looks often, so that it is not the look that takes the time: peers come within a second. */
static void wait_for_cores(mesh *m, unsigned cores)
{
    double until_s = now_s() + PATIENCE_S;
    while (mesh_cores(m) < cores) {
        if (now_s() > until_s) {
            die("the peers did not come", mesh_error_text(m));
        }
        (void)poll(NULL, 0, LOOK_MS); /* only to let time pass */
    }
}

static void take(mesh_future *future, int64_t wanted)
{
    if (mesh_get_int(future) != wanted || mesh_future_error(future) != 0) {
        die("a call went wrong", mesh_future_error_text(future));
    }
    mesh_free(future);
}

/* A ring of the calls under way: the oldest is taken before the next is submitted. */
static double submit_many(mesh *m, size_t n, size_t depth)
{
    mesh_future **ring = allocate(depth, sizeof(mesh_future *));
    double began_s = now_s();
    for (size_t i = 0; i < n; i++) {
        if (i >= depth) {
            take(ring[i % depth], (int64_t)(i - depth));
        }
        ring[i % depth] = mesh_submit(m, "nothing", mesh_int((int64_t)i));
    }
    for (size_t i = n > depth ? n - depth : 0; i < n; i++) {
        take(ring[i % depth], (int64_t)i);
    }
    double took_s = now_s() - began_s;
    free(ring);
    return (double)n / took_s;
}

static double map_many(mesh *m, size_t n)
{
    int64_t *in = allocate(n, sizeof(*in));
    int64_t *out = allocate(n, sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        in[i] = (int64_t)i;
    }
    double began_s = now_s();
    if (mesh_map_array(m, "element", in, n, sizeof(*in), out, sizeof(*out), NULL) != 0) {
        die("a map went wrong", mesh_error_text(m));
    }
    double took_s = now_s() - began_s;
    for (size_t i = 0; i < n; i++) {
        if (out[i] != in[i] + 1) {
            die("a map went wrong", "a result is another");
        }
    }
    free(in);
    free(out);
    return (double)n / took_s;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double latency_us(mesh *m, size_t n)
{
    double *took_s = allocate(n, sizeof(*took_s));
    for (size_t i = 0; i < n; i++) {
        double began_s = now_s();
        take(mesh_submit(m, "nothing", mesh_int((int64_t)i)), (int64_t)i);
        took_s[i] = now_s() - began_s;
    }
    qsort(took_s, n, sizeof(*took_s), compare);
    double median = took_s[n / 2];
    free(took_s);
    return median * 1e6;
}

static double primes_s(mesh *m)
{
    mesh_future *futures[N_PRIMES];
    double began_s = now_s();
    for (int i = 0; i < N_PRIMES; i++) {
        futures[i] = mesh_submit(m, "sum_primes", mesh_int(input(i)));
    }
    for (int i = 0; i < N_PRIMES; i++) {
        take(futures[i], sums[i % 8]);
    }
    return now_s() - began_s;
}

static double plain_s(void)
{
    pid_t pids[N_PROCESSES];
    double began_s = now_s();
    for (int i_process = 0; i_process < N_PROCESSES; i_process++) {
        pids[i_process] = fork();
        if (pids[i_process] != 0) {
            continue;
        }
        for (int i = i_process; i < N_PRIMES; i += N_PROCESSES) {
            if (sum_of_primes(input(i)) != sums[i % 8]) {
                _exit(EXIT_FAILURE);
            }
        }
        _exit(EXIT_SUCCESS);
    }
    for (int i = 0; i < N_PROCESSES; i++) {
        int status;
        if (pids[i] < 0 || waitpid(pids[i], &status, 0) < 0 || status != 0) {
            die("a plain process went wrong", "its sums are others");
        }
    }
    return now_s() - began_s;
}

static size_t number(int argc, char **argv, int i)
{
    char *end;
    unsigned long n = i < argc ? strtoul(argv[i], &end, 10) : 0;
    if (n == 0 || *end != '\0') {
        die("usage", "bench_calls cores N | submit N DEPTH | map N | latency N | primes | plain");
    }
    return n;
}

static void measure(mesh *m, int argc, char **argv)
{
    const char *what = argv[1];
    submit_many(m, WARM_CALLS, WARM_CALLS); /* the program is there and its workers run */
    if (strcmp(what, "submit") == 0) {
        printf("%.1f\n", submit_many(m, number(argc, argv, 2), number(argc, argv, 3)));
    } else if (strcmp(what, "map") == 0) {
        printf("%.1f\n", map_many(m, number(argc, argv, 2)));
    } else if (strcmp(what, "latency") == 0) {
        printf("%.2f\n", latency_us(m, number(argc, argv, 2)));
    } else if (strcmp(what, "primes") == 0) {
        printf("%.4f\n", primes_s(m));
    } else {
        die("there is no measurement called", what);
    }
}

int main(int argc, char **argv)
{
    mesh_init();
    if (argc < 2) {
        number(argc, argv, 1);
    }
    if (strcmp(argv[1], "plain") == 0) {
        printf("%.4f\n", plain_s());
        return EXIT_SUCCESS;
    }
    mesh *m = mesh_open(NULL);
    if (mesh_error(m) != 0) {
        die("mesh_open", mesh_error_text(m));
    }
    if (strcmp(argv[1], "cores") == 0) {
        wait_for_cores(m, (unsigned)number(argc, argv, 2));
    } else {
        measure(m, argc, argv);
    }
    mesh_close(m);
    return EXIT_SUCCESS;
}
