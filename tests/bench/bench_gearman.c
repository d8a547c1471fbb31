/* Gearman's figures, for tests/bench/calls, by its own C library: a client and a worker whose
 * function does nothing.
 *
 *     bench_gearman PORT worker            until it is killed
 *     bench_gearman PORT submit N DEPTH    calls, DEPTH at most under way: calls per second
 *     bench_gearman PORT latency N         one call after the other: the median, in microseconds */
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(gearman_return_t ret, const char *what)
{
    if (gearman_failed(ret)) {
        fprintf(stderr, "bench_gearman: %s: %s\n", what, gearman_strerror(ret));
        exit(EXIT_FAILURE);
    }
}

/* --- the worker --------------------------------------------------------------------------------
 */

static gearman_return_t nothing(gearman_job_st *job, void *context)
{
    (void)context;
    return gearman_job_send_complete(job, gearman_job_workload(job),
                                     gearman_job_workload_size(job));
}

static void work(in_port_t port)
{
    gearman_worker_st *worker = gearman_worker_create(NULL);
    check(gearman_worker_add_server(worker, "127.0.0.1", port), "add a server");
    gearman_function_t function = gearman_function_create(nothing);
    check(gearman_worker_define_function(worker, "nothing", strlen("nothing"), function, 0, NULL),
          "define a function");
    gearman_return_t ret;
    do {
        ret = gearman_worker_work(worker);
    } while (ret == GEARMAN_SUCCESS || ret == GEARMAN_IO_WAIT || ret == GEARMAN_NO_JOBS);
    check(ret, "work");
}

/* --- the client --------------------------------------------------------------------------------
 */

static unsigned long n_complete;

static gearman_return_t on_complete(gearman_task_st *task)
{
    n_complete += gearman_task_data_size(task) == sizeof(unsigned long);
    return GEARMAN_SUCCESS;
}

/* libgearman knows no window: so many are added, run, and only then the next. */
static double submit(gearman_client_st *client, unsigned long n, unsigned long depth)
{
    unsigned long *values = calloc(depth, sizeof(*values));
    if (values == NULL) {
        exit(EXIT_FAILURE);
    }
    n_complete = 0;
    double began_s = now_s();
    for (unsigned long i = 0; i < n; i += depth) {
        for (unsigned long j = 0; j < depth && i + j < n; j++) {
            gearman_return_t ret;
            values[j] = i + j;
            gearman_client_add_task(client, NULL, NULL, "nothing", NULL, &values[j],
                                    sizeof(values[j]), &ret);
            check(ret, "add a task");
        }
        check(gearman_client_run_tasks(client), "run tasks");
        gearman_client_task_free_all(client);
    }
    double took_s = now_s() - began_s;
    free(values);
    if (n_complete != n) {
        fprintf(stderr, "bench_gearman: %lu of %lu calls came back\n", n_complete, n);
        exit(EXIT_FAILURE);
    }
    return (double)n / took_s;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double latency_us(gearman_client_st *client, unsigned long n)
{
    double *took_s = calloc(n, sizeof(*took_s));
    if (took_s == NULL) {
        exit(EXIT_FAILURE);
    }
    for (unsigned long i = 0; i < n; i++) {
        size_t bytes;
        gearman_return_t ret;
        double began_s = now_s();
        void *value = gearman_client_do(client, "nothing", NULL, &i, sizeof(i), &bytes, &ret);
        took_s[i] = now_s() - began_s;
        check(ret, "do");
        free(value);
    }
    qsort(took_s, n, sizeof(*took_s), compare);
    double median = took_s[n / 2];
    free(took_s);
    return median * 1e6;
}

int main(int argc, char **argv)
{
    unsigned long port = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long n = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    unsigned long depth = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    if (argc == 3 && strcmp(argv[2], "worker") == 0) {
        work((in_port_t)port);
        return EXIT_FAILURE;
    }
    gearman_client_st *client = gearman_client_create(NULL);
    check(gearman_client_add_server(client, "127.0.0.1", (in_port_t)port), "add a server");
    gearman_client_set_complete_fn(client, on_complete);
    if (n > 0 && depth > 0 && strcmp(argv[2], "submit") == 0) {
        printf("%.1f\n", submit(client, n, depth));
    } else if (n > 0 && strcmp(argv[2], "latency") == 0) {
        printf("%.2f\n", latency_us(client, n));
    } else {
        fprintf(stderr, "usage: bench_gearman PORT worker | submit N DEPTH | latency N\n");
        return EXIT_FAILURE;
    }
    gearman_client_free(client);
    return EXIT_SUCCESS;
}
