/* A program of libmesh as users write them, in one line of output for each thing it saw:
 *
 *     caller good          what each kind of argument and result comes to
 *     caller bad           how calls fail that must
 *     caller steady N MS [FOLDER]  N calls of MS milliseconds; "N right" when each came back,
 * right; each leaves its start and its end in FOLDER/events, as task.c does caller share BYTES N
 * one value by reference to N calls caller pass BYTES N MS  two results, each of N pairs of calls
 * made from both before, in MS milliseconds or more; "passed on, right" */
#include <fcntl.h>
#include <inttypes.h>
#include <mesh.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LARGE (3u << 20) /* goes by blob */

MESH_FUNCTION(twice)
{
    return mesh_return_int(task, 2 * mesh_arg_int(task, 0));
}

MESH_FUNCTION(half)
{
    return mesh_return_double(task, mesh_arg_double(task, 0) / 2);
}

MESH_FUNCTION(hello)
{
    char text[64];
    const char *name = mesh_arg_string(task, 0);
    snprintf(text, sizeof(text), "hello %s", name != NULL ? name : "nobody");
    return mesh_return_string(task, text);
}

/* Each byte and one: of any bytes, and of an in-out buffer. */
MESH_FUNCTION(next_bytes)
{
    size_t n;
    const uint8_t *from = mesh_arg_bytes(task, 0, &n);
    uint8_t *to = from != NULL ? mesh_return_space(task, n) : NULL;
    for (size_t i = 0; to != NULL && i < n; i++) {
        to[i] = (uint8_t)(from[i] + 1);
    }
    return to != NULL ? 0 : -1;
}

MESH_FUNCTION(change)
{
    size_t n;
    uint8_t *bytes = mesh_arg_inout(task, 0, &n);
    for (size_t i = 0; bytes != NULL && i < n; i++) {
        bytes[i] = (uint8_t)(bytes[i] + 1);
    }
    return bytes != NULL ? 0 : -1;
}

MESH_FUNCTION(sum_of_bytes)
{
    size_t n;
    int64_t sum = 0;
    const uint8_t *bytes = mesh_arg_bytes(task, 0, &n);
    for (size_t i = 0; bytes != NULL && i < n; i++) {
        sum += bytes[i];
    }
    return mesh_return_int(task, sum);
}

static void fill(uint8_t *to, size_t n, uint64_t seed)
{
    uint64_t x = 88172645463325252u + seed; /* xorshift64, by George Marsaglia */
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        to[i] = (uint8_t)(x >> 56);
    }
}

static void blend(uint8_t *to, const uint8_t *p, const uint8_t *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)(p[i] + 3 * q[i] + 1);
    }
}

MESH_FUNCTION(make_bytes)
{
    size_t n = (size_t)mesh_arg_int(task, 0);
    uint8_t *to = mesh_return_space(task, n);
    if (to != NULL) {
        fill(to, n, (uint64_t)mesh_arg_int(task, 1));
    }
    poll(NULL, 0, (int)mesh_arg_int(task, 2));
    return to != NULL ? 0 : -1;
}

MESH_FUNCTION(blend_bytes)
{
    size_t n;
    size_t k;
    const uint8_t *p = mesh_arg_bytes(task, 0, &n);
    const uint8_t *q = mesh_arg_bytes(task, 1, &k);
    uint8_t *to = p != NULL && q != NULL && n == k ? mesh_return_space(task, n) : NULL;
    if (to != NULL) {
        blend(to, p, q, n);
    }
    poll(NULL, 0, (int)mesh_arg_int(task, 2));
    return to != NULL ? 0 : -1;
}

MESH_FUNCTION(crash)
{
    return raise((int)mesh_arg_int(task, 0));
}

MESH_FUNCTION(leave)
{
    _exit((int)mesh_arg_int(task, 0));
}

MESH_FUNCTION(refuse)
{
    return mesh_fail(task, "no, not %" PRId64, mesh_arg_int(task, 0));
}

MESH_FUNCTION(nothing)
{
    return task == NULL;
}

/* Which run of this call it is: the one after those that have started. */
static int count_run(const char *path, int64_t input)
{
    char line[256];
    char wanted[64];
    int n_runs = 1;
    FILE *file = fopen(path, "re");
    int n = snprintf(wanted, sizeof(wanted), "start %" PRId64 " ", input);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        n_runs += strncmp(line, wanted, (size_t)n) == 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return n_runs;
}

/* As in task.c. `run` is 0 at the start; what it returns is it at the end. -1 when it cannot. */
static int note(const char *folder, int64_t input, int run)
{
    struct timespec now;
    char path[512];
    char line[256];
    const char *what = run == 0 ? "start" : "end";
    const char *peer = getenv("MESH_PEER");
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(path, sizeof(path), "%s/events", folder);
    run = run == 0 ? count_run(path, input) : run;
    int n = snprintf(
        line, sizeof(line), "%s %" PRId64 " %s %d %llu\n", what, input, peer != NULL ? peer : "?",
        run, (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    bool is_written = fd >= 0 && write(fd, line, (size_t)n) == n;
    return fd >= 0 && close(fd) == 0 && is_written ? run : -1;
}

MESH_FUNCTION(slow)
{
    int64_t input = mesh_arg_int(task, 0);
    const char *folder = mesh_arg_string(task, 2);
    bool is_noted = folder != NULL && *folder != '\0';
    int run = is_noted ? note(folder, input, 0) : 0;
    poll(NULL, 0, (int)mesh_arg_int(task, 1));
    if (run < 0 || (is_noted && note(folder, input, run) < 0)) {
        return mesh_fail(task, "the log cannot be written");
    }
    return mesh_return_int(task, 2 * input);
}

/* --- what the program does with them ------------------------------------------------------------
 */

static int n_wrong;

static void check(const char *what, bool is_right)
{
    printf("%s: %s\n", what, is_right ? "right" : "WRONG");
    n_wrong += !is_right;
}

static bool is_next(const uint8_t *now, const uint8_t *before, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (now == NULL || now[i] != (uint8_t)(before[i] + 1)) {
            return false;
        }
    }
    return true;
}

static void check_sizes(mesh *m, size_t n)
{
    char what[64];
    size_t n_got = 0;
    uint8_t *bytes = malloc(n + 1);
    uint8_t *copy = malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = copy[i] = (uint8_t)(i * 31 + i / 251);
    }
    mesh_future *next = mesh_submit(m, "next_bytes", mesh_bytes(bytes, n));
    mesh_future *chained = mesh_submit(m, "next_bytes", mesh_result(next));
    const uint8_t *got = mesh_get_bytes(next, &n_got);
    snprintf(what, sizeof(what), "bytes of %zu", n);
    check(what, got != NULL && n_got == n && is_next(got, copy, n));
    const uint8_t *second = mesh_get_bytes(chained, &n_got);
    snprintf(what, sizeof(what), "a result of %zu, passed on", n);
    check(what, second != NULL && n_got == n && is_next(second, got, n));
    mesh_submit(m, "change", mesh_inout(bytes, n));
    snprintf(what, sizeof(what), "in-out of %zu", n);
    check(what, mesh_sync(m, bytes, n) == 0 && is_next(bytes, copy, n));
    free(copy);
    free(bytes);
}

static void check_map(mesh *m)
{
    static int64_t numbers[20000];
    bool is_right = true;
    for (int64_t i = 0; i < 20000; i++) {
        numbers[i] = i;
    }
    int r = mesh_map_array(m, "twice", numbers, 20000, sizeof(*numbers), numbers, sizeof(*numbers),
                           NULL);
    for (int64_t i = 0; i < 20000; i++) {
        is_right &= numbers[i] == 2 * i;
    }
    check("map in place", r == 0 && is_right);
}

static int do_good(mesh *m)
{
    check("int", mesh_get_int(mesh_submit(m, "twice", mesh_int(-21))) == -42);
    check("double", mesh_get_double(mesh_submit(m, "half", mesh_double(5))) == 2.5);
    mesh_future *hello = mesh_submit(m, "hello", mesh_string("Parallel"));
    check("string", strcmp(mesh_get_string(hello), "hello Parallel") == 0);
    check_sizes(m, 0);
    check_sizes(m, 1000);
    check_sizes(m, LARGE);
    check_map(m);
    printf("ran on %s\n", mesh_future_peer(hello));
    return n_wrong;
}

static void print_end(mesh_future *future)
{
    int error = mesh_future_error(future);
    printf("%s: %s\n", mesh_strerror(error), mesh_future_error_text(future));
}

static int do_bad(mesh *m)
{
    print_end(mesh_submit(m, "no_such_function"));
    print_end(mesh_submit(m, "twice", mesh_string("two")));
    print_end(mesh_submit(m, "twice"));
    print_end(mesh_submit(m, "crash", mesh_int(SIGABRT))); /* not a sanitizer's */
    print_end(mesh_submit(m, "leave", mesh_int(3)));
    print_end(mesh_submit(m, "refuse", mesh_int(7)));
    mesh_future *nothing = mesh_submit(m, "nothing");
    mesh_get_int(nothing);
    print_end(nothing);
    struct mesh_call hasty = {.timeout = 0.2};
    print_end(mesh_submit_with(m, &hasty, "slow", mesh_int(1), mesh_int(60000), mesh_string("")));
    mesh_future *cancelled = mesh_submit(m, "slow", mesh_int(1), mesh_int(60000), mesh_string(""));
    mesh_cancel(cancelled);
    print_end(cancelled);
    check("afterwards", mesh_get_int(mesh_submit(m, "twice", mesh_int(4))) == 8);
    return n_wrong;
}

static int do_steady(mesh *m, int n, int ms, const char *folder)
{
    int n_right = 0;
    mesh_group *group = mesh_group_new(m);
    struct mesh_call call = {.group = group, .runs_max = 3}; /* of workers that are killed */
    for (int i = 0; i < n; i++) {
        mesh_submit_with(m, &call, "slow", mesh_int(i), mesh_int(ms), mesh_string(folder));
    }
    mesh_future *future = mesh_group_next(group, MESH_FOREVER);
    printf("first is there\n");
    fflush(stdout);
    for (int i = 0; future != NULL; i++) {
        if (mesh_future_error(future) != 0) {
            printf("%s\n", mesh_future_error_text(future));
        }
        n_right += mesh_future_error(future) == 0;
        mesh_free(future);
        future = mesh_group_next_in_order(group, MESH_FOREVER);
    }
    printf("%d right\n", n_right);
    return n_right != n;
}

static int do_share(mesh *m, size_t bytes, int n)
{
    uint8_t *value = malloc(bytes);
    int64_t sum = 0;
    uint64_t x = 88172645463325252u; /* xorshift64, by George Marsaglia: does not compress */
    for (size_t i = 0; i < bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum += value[i] = (uint8_t)(x >> 56);
    }
    mesh_data *data = mesh_put(m, value, bytes);
    mesh_group *group = mesh_group_new(m);
    struct mesh_call call = {.group = group};
    for (int i = 0; i < n; i++) {
        mesh_submit_with(m, &call, "sum_of_bytes", mesh_ref(data));
    }
    int n_right = 0;
    for (mesh_future *f; (f = mesh_group_next(group, MESH_FOREVER)) != NULL; mesh_free(f)) {
        n_right += mesh_get_int(f) == sum;
    }
    printf("%d right\n", n_right);
    free(value);
    return n_right != n;
}

/* What it should come to. */
static int64_t pass_sum(size_t bytes, int n)
{
    uint8_t *now[2] = {malloc(bytes), malloc(bytes)};
    uint8_t *next[2] = {malloc(bytes), malloc(bytes)};
    int64_t sum = 0;
    fill(now[0], bytes, 0);
    fill(now[1], bytes, 1);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 2; k++) {
            blend(next[k], now[k], now[1 - k], bytes);
        }
        for (int k = 0; k < 2; k++) {
            uint8_t *before = now[k];
            now[k] = next[k];
            next[k] = before;
        }
    }
    for (size_t i = 0; i < bytes; i++) {
        sum += now[0][i] + now[1][i];
    }
    for (int k = 0; k < 2; k++) {
        free(now[k]);
        free(next[k]);
    }
    return sum;
}

static int do_pass(mesh *m, size_t bytes, int n, int ms)
{
    mesh_future *now[2];
    for (int k = 0; k < 2; k++) {
        now[k] = mesh_submit(m, "make_bytes", mesh_int((int64_t)bytes), mesh_int(k), mesh_int(ms));
    }
    mesh_future *first = now[0];
    for (int i = 0; i < n; i++) {
        mesh_future *next[2];
        for (int k = 0; k < 2; k++) {
            next[k] = mesh_submit(m, "blend_bytes", mesh_result(now[k]), mesh_result(now[1 - k]),
                                  mesh_int(ms));
        }
        for (int k = 0; k < 2; k++) {
            if (now[k] != first) {
                mesh_free(now[k]);
            }
            now[k] = next[k];
        }
    }
    mesh_future *totals[2]; /* asked for before the results are there, which stay away for it */
    for (int k = 0; k < 2; k++) {
        totals[k] = mesh_submit(m, "sum_of_bytes", mesh_result(now[k]));
    }
    mesh_wait(first, MESH_FOREVER);
    printf("first is there\n");
    fflush(stdout);
    int64_t sum = 0;
    for (int k = 0; k < 2; k++) {
        sum += mesh_get_int(totals[k]);
        if (mesh_future_error(totals[k]) != 0) {
            printf("%s\n", mesh_future_error_text(totals[k]));
        }
    }
    check("passed on,", sum == pass_sum(bytes, n));
    return n_wrong;
}

int main(int argc, char **argv)
{
    mesh_init();
    const char *mode = argc > 1 ? argv[1] : "";
    mesh *m = mesh_open(NULL);
    if (mesh_error(m) != 0) {
        fprintf(stderr, "%s\n", mesh_error_text(m));
        return 1;
    }
    int status = strcmp(mode, "good") == 0  ? do_good(m)
                 : strcmp(mode, "bad") == 0 ? do_bad(m)
                 : strcmp(mode, "steady") == 0
                     ? do_steady(m, atoi(argv[2]), atoi(argv[3]), argc > 4 ? argv[4] : "")
                 : strcmp(mode, "pass") == 0
                     ? do_pass(m, strtoul(argv[2], NULL, 10), atoi(argv[3]), atoi(argv[4]))
                     : do_share(m, strtoul(argv[2], NULL, 10), atoi(argv[3]));
    mesh_print_stats(m, stderr);
    mesh_close(m);
    return status != 0;
}
