/* mesh: calls of C functions, spread over all cores of the LAN.
 *
 * A program registers functions by name, submits calls of them and gets a future for each. The
 * calls run in workers on every peer of the mesh: the program's own executable travels there, once,
 * and is started as a worker, in a sandbox. When a peer vanishes its calls run elsewhere.
 *
 *     #include <inttypes.h>
 *     #include <mesh.h>
 *     #include <stdio.h>
 *
 *     MESH_FUNCTION(sum_primes)                     // has one parameter: mesh_task *task
 *     {
 *         return mesh_return_int(task, sum_of_primes_below(mesh_arg_int(task, 0)));
 *     }
 *
 *     int main(void)
 *     {
 *         mesh_init();                              // in a worker this does not return
 *         mesh *m = mesh_open(NULL);
 *         mesh_future *sums[16];
 *         for (int i = 0; i < 16; i++) {
 *             sums[i] = mesh_submit(m, "sum_primes", mesh_int(500000 + 100 * i));
 *         }
 *         for (int i = 0; i < 16; i++) {
 *             printf("%d: %" PRId64 "\n", 500000 + 100 * i, mesh_get_int(sums[i]));
 *         }
 *         mesh_print_stats(m, stdout);
 *         mesh_close(m);
 *     }
 *
 * Errors: a function that can fail returns 0 or an error of enum mesh_error (all negative). What
 * returns a future never fails: what went wrong is the future's error.
 *
 * Ownership: what is passed in is copied before the function returns, except where its comment says
 * "borrowed". What a function returns belongs to the handle or the future that it was asked of and
 * is valid until that is freed, except where its comment says "owned". A future is owned by who
 * submitted it, until mesh_free(); mesh_close() frees what is left.
 *
 * Time: timeouts are in seconds. MESH_FOREVER waits without end; 0 only looks.
 *
 * Threads: one handle and its futures may be used from several threads at once; one future is freed
 * by one of them, when no other uses it any more. A mesh_task belongs to the thread that runs the
 * function.
 *
 * Fork: after fork() the child may use neither the handle nor what hangs on it; mesh_close() there
 * forgets it and does nothing else. It may open a handle of its own. Descriptors are close-on-exec.
 *
 * Signals: the library installs no handler and blocks all signals in its own thread.
 *
 * Globals: there are none but the table of functions, which is complete before main().
 *
 * A function runs at least once: where a peer is lost, somewhere else again. It must not count on
 * anything but its arguments: no files, no environment, no network; globals keep their values from
 * one call to the next in the same worker. Workers are never shared between users. */
#ifndef MESH_H
#define MESH_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MESH_API             __attribute__((visibility("default")))
#define MESH_PRINTF(fmt, at) __attribute__((format(printf, fmt, at)))
#else
#define MESH_API
#define MESH_PRINTF(fmt, at)
#endif

/* --- errors ------------------------------------------------------------------------------------
 */

enum mesh_error {
    MESH_OK = 0,
    MESH_EINVAL = -1,    /* an argument makes no sense; the text says which */
    MESH_ENOMEM = -2,    /* memory is short here */
    MESH_ETIMEDOUT = -3, /* the timeout of a wait came first; the call goes on */
    MESH_EDAEMON = -4,   /* no meshd answers and none could be started, or it is gone for good */
    MESH_EFUNCTION = -5, /* the program registers no function of that name */
    MESH_ETYPE = -6,     /* an argument or a result is there, but of another type */
    MESH_ENONE = -7,     /* no such argument, no such result: it was never set */
    MESH_ESMALL = -8,    /* the buffer is too small for the result; nothing was copied */
    MESH_EFAILED = -9, /* the function failed: mesh_fail(), or it returned something else than 0 */
    MESH_ECRASHED = -10,   /* its worker was killed by a signal, which the text names, or exited */
    MESH_ECANCELLED = -11, /* mesh_cancel(), or the handle was closed */
    MESH_ELATE = -12,      /* it ran longer than its timeout; an item was handed out again */
    MESH_ELOST = -13,      /* its peers were lost, more often than may be */
    MESH_ESTART = -14, /* no peer could start the program; the text has the loader's own words */
    MESH_EBUSY = -15,  /* an in-out buffer is on its way with another call */
    MESH_ELIMIT = -16, /* too large, or too many */
    MESH_EIO = -17,    /* a disk or a descriptor failed; the text says where */
};

/* "timed out", ...: never NULL. */
MESH_API const char *mesh_strerror(int error);

/* --- the table of functions --------------------------------------------------------------------
 */

typedef struct mesh mesh;               /* a handle: a program's way to its mesh */
typedef struct mesh_task mesh_task;     /* one call, as the function sees it */
typedef struct mesh_future mesh_future; /* one call, as its submitter sees it */
typedef struct mesh_data mesh_data;     /* bytes that were put once and are passed by reference */
typedef struct mesh_group mesh_group;   /* futures waited for together */
typedef struct mesh_map mesh_map;       /* a map whose results are taken as they come */

/* Returns 0 when the call succeeded. Anything else fails it, with the text of mesh_fail() if that
 * was called. */
typedef int mesh_function(mesh_task *task);

/* Defines the function NAME and registers it under that name, before main():
 *     MESH_FUNCTION(add) { return mesh_return_int(task, mesh_arg_int(task, 0) + 1); }
 * The parameter is called `task`. */
#define MESH_FUNCTION(name)                                                                        \
    static int name(mesh_task *task);                                                              \
    MESH_REGISTER(#name, name, name)                                                               \
    static int name(mesh_task *task)

/* Registers a function that is defined elsewhere under the name `text`, of 1 to 120 bytes; `unique`
 * is a word of your own that makes a symbol of this file. */
#define MESH_REGISTER(text, function, unique)                                                      \
    static struct mesh_entry mesh_entry_of_##unique = {text, function, NULL};                      \
    __attribute__((constructor)) static void mesh_register_##unique(void)                          \
    {                                                                                              \
        mesh_register(&mesh_entry_of_##unique);                                                    \
    }

struct mesh_entry { /* of the table; made by the macros */
    const char *name;
    mesh_function *function;
    struct mesh_entry *next;
};
/* `entry` is borrowed for ever. Of two functions of one name, or a name that is too long,
 * mesh_open() tells with MESH_EINVAL, and a worker with its end. */
MESH_API void mesh_register(struct mesh_entry *entry);

/* To be called first in main(): in a worker it runs calls and exits the process, never returning.
 * In an ordinary process it does nothing. A program that forgot it cannot be a worker: its calls
 * end with MESH_ESTART and a text that says so. */
MESH_API void mesh_init(void);

/* --- inside a function -------------------------------------------------------------------------
 * A wrong index or type fails the call, whatever it returns, with a text that names argument and
 * types; the value is then 0, NULL or empty. Pointers are valid until the function returns. */

MESH_API size_t mesh_n_args(const mesh_task *task);
MESH_API int64_t mesh_arg_int(mesh_task *task, size_t i);
MESH_API double mesh_arg_double(mesh_task *task, size_t i); /* an integer too, if it fits exactly */
MESH_API const char *mesh_arg_string(mesh_task *task, size_t i);
/* The bytes of a string, bytes, raw, data or in-out argument, or of a map's element, and their
 * number (ret_bytes may be NULL). Aligned to 16; an element of a map only as its size allows: those
 * of 8 bytes stand at multiples of 8, those of 12 at multiples of 4. */
MESH_API const void *mesh_arg_bytes(mesh_task *task, size_t i, size_t *ret_bytes);
/* The same, of exactly so many bytes: a raw struct, or an array of a known size. */
MESH_API const void *mesh_arg_raw(mesh_task *task, size_t i, size_t bytes);
/* An in-out argument, writable: what stands in it when the function returns 0 goes back. Its number
 * of bytes (ret_bytes may be NULL) cannot change. */
MESH_API void *mesh_arg_inout(mesh_task *task, size_t i, size_t *ret_bytes);

/* Set the result; the last one counts. They return 0, so that `return mesh_return_int(...)` reads
 * well, or fail the call for want of memory. */
MESH_API int mesh_return_int(mesh_task *task, int64_t value);
MESH_API int mesh_return_double(mesh_task *task, double value);
MESH_API int mesh_return_string(mesh_task *task, const char *text);
MESH_API int mesh_return_bytes(mesh_task *task, const void *bytes, size_t n_bytes);
MESH_API int mesh_return_raw(mesh_task *task, const void *value, size_t bytes);
/* n_bytes of zeros to be written in place: a large result is made where it leaves from, without a
 * copy. NULL (and the call fails) when memory is short. */
MESH_API void *mesh_return_space(mesh_task *task, size_t n_bytes);
/* Fails the call with a text for its submitter; the first one counts. Returns something else than
 * 0. */
MESH_API int mesh_fail(mesh_task *task, const char *format, ...) MESH_PRINTF(2, 3);

/* The name of the peer it runs on; how often this call was placed by now, counted from 1. */
MESH_API const char *mesh_task_peer(const mesh_task *task);
MESH_API unsigned mesh_task_attempt(const mesh_task *task);

/* --- values ------------------------------------------------------------------------------------
 */

/* One argument. Made by the functions below, read by mesh_submit(), never kept. */
struct mesh_value {
    int type;
    size_t bytes;
    union {
        int64_t integer;
        double real;
        const void *borrowed;
        void *inout;
        mesh_data *data;
        mesh_future *future;
    } as;
};

enum mesh_type {
    MESH_NONE,
    MESH_INT,
    MESH_DOUBLE,
    MESH_STRING,
    MESH_BYTES,
    MESH_RAW, /* bytes of this machine's layout: only workers of the same architecture get it */
    MESH_INOUT,
    MESH_DATA,
    MESH_FUTURE,
};

static inline struct mesh_value mesh_value_of_bytes(int type, const void *bytes, size_t n_bytes)
{
    struct mesh_value value;
    value.type = type;
    value.bytes = n_bytes;
    value.as.borrowed = bytes;
    return value;
}

static inline struct mesh_value mesh_int(int64_t integer)
{
    struct mesh_value value;
    value.type = MESH_INT;
    value.bytes = 0;
    value.as.integer = integer;
    return value;
}

static inline struct mesh_value mesh_double(double real)
{
    struct mesh_value value;
    value.type = MESH_DOUBLE;
    value.bytes = 0;
    value.as.real = real;
    return value;
}

MESH_API struct mesh_value mesh_string(const char *text);
static inline struct mesh_value mesh_bytes(const void *bytes, size_t n_bytes)
{
    return mesh_value_of_bytes(MESH_BYTES, bytes, n_bytes);
}

/* A struct or an array of this machine's layout, without pointers in it. */
static inline struct mesh_value mesh_raw(const void *raw, size_t n_bytes)
{
    return mesh_value_of_bytes(MESH_RAW, raw, n_bytes);
}

/* A buffer that travels out and comes back changed. Borrowed until the call is synchronised: the
 * caller neither reads nor writes it before a wait for this call (mesh_sync(), mesh_wait(),
 * mesh_get_...(), mesh_future_error(), a true mesh_is_done(), a group's) has returned, or its
 * on_done() is called. Only then are the new bytes in it. Until then another call with a part of it
 * as in-out, bytes or raw argument ends with MESH_EBUSY, so that which of two would win is never a
 * race. mesh_free() of a call that was not synchronised leaves the buffer as it was. */
static inline struct mesh_value mesh_inout(void *buffer, size_t n_bytes)
{
    struct mesh_value value;
    value.type = MESH_INOUT;
    value.bytes = n_bytes;
    value.as.inout = buffer;
    return value;
}

/* Bytes that were put; an executor receives them once, whatever the number of calls. */
static inline struct mesh_value mesh_ref(mesh_data *data)
{
    struct mesh_value value;
    value.type = MESH_DATA;
    value.bytes = 0;
    value.as.data = data;
    return value;
}

/* Another call's result, when it is there: the call waits for that one, and fails with its error if
 * that fails. A large result goes from worker to worker, not through here. */
static inline struct mesh_value mesh_result(mesh_future *future)
{
    struct mesh_value value;
    value.type = MESH_FUTURE;
    value.bytes = 0;
    value.as.future = future;
    return value;
}

/* --- a handle ----------------------------------------------------------------------------------
 */

struct mesh_options {    /* zero is the default everywhere */
    const char *socket;  /* the daemon's socket; NULL: as `mesh` finds it, started if absent */
    const char *program; /* what travels; NULL: the running executable. A shared object is named
                          * here: its functions are called, main() is not */
    const char *const *programs; /* the same program for other architectures, NULL-terminated */
    unsigned require_peers;      /* fail unless so many other peers are up */
    const char *name;            /* of the jobs, in `mesh jobs`; NULL: the program's name */
    double patience;             /* seconds to look for a daemon that died; 0: 30 */
};

/* Connects to the daemon of this machine. Never NULL, but for want of memory: look at mesh_error()
 * where that matters; every call submitted to a handle that did not open ends with its error. */
MESH_API mesh *mesh_open(const struct mesh_options *options);
/* Cancels what is not done, frees every future, group and data of this handle, and the handle. NULL
 * is allowed. Returns NULL. */
MESH_API mesh *mesh_close(mesh *m);
/* Why it could not be opened, why it was lost, or else the last error of a function of the handle
 * itself (mesh_put(), mesh_map_array(), ...); 0 when there was none. The text is never NULL, and is
 * valid until seven more errors came. */
MESH_API int mesh_error(const mesh *m);
MESH_API const char *mesh_error_text(const mesh *m);

struct mesh_peer {
    char name[65];
    char id[12];
    char arch[17];
    unsigned cores, free; /* offered; of these idle */
    bool is_local, is_up;
    double rtt; /* seconds of a round trip; 0 for the local one, and where it is not known */
};
/* Cores of all peers that are up; 0 and mesh_error() if that cannot be told. */
MESH_API unsigned mesh_cores(mesh *m);
/* Fills in up to peers_max, the local one first, and tells how many there are. */
MESH_API int mesh_peers(mesh *m, struct mesh_peer *peers, size_t peers_max, size_t *ret_n);
/* Changes the cores that the local peer offers from now on; 0 drains it. */
MESH_API int mesh_set_cores(mesh *m, unsigned cores);
/* Prints what Parallel Python's print_stats() prints: for each peer its count of calls, their
 * share, the sum of their run times, time per call; then the time since mesh_open() and the cores.
 */
MESH_API int mesh_print_stats(mesh *m, FILE *to);

struct mesh_stats {
    char peer[65];
    uint64_t n_calls, n_failed;
    double seconds; /* run time, summed */
};
MESH_API int mesh_get_stats(mesh *m, struct mesh_stats *stats, size_t stats_max, size_t *ret_n);

/* --- calls -------------------------------------------------------------------------------------
 */

struct mesh_call {      /* zero is the default everywhere */
    unsigned cores;     /* that one call occupies; 0: one */
    uint64_t mem_bytes; /* that one call needs; 0: not said */
    const char *arch;   /* "x86_64"; NULL: any the program was built for */
    double timeout;     /* seconds of one run; 0: none */
    unsigned runs_max;  /* runs of a call that fails or crashes; 0: one */
    unsigned priority;  /* larger goes first */
    bool is_once;       /* never run again after a loss: MESH_ELOST instead */
    bool no_speculate;  /* never run a second time beside a slow first one */
    bool keeps_result;  /* a large result stays where it was made until it is read or passed on */
    mesh_group *group;  /* it belongs to; borrowed until the call is freed */
    /* Called once, when the call is done in whatever way, from the library's own thread, or from
     * mesh_submit() or mesh_close() where there is none, without a lock: it may submit, get the
     * result and free the future, but not wait. Never begun after mesh_free() has returned. */
    void (*on_done)(mesh_future *future, void *user);
    void *user;
};

/* Calls the function with these values, at most MESH_VALUES_MAX (the macros take 32), or none:
 *     mesh_submit(m, "f")
 *     mesh_submit(m, "f", mesh_int(1), mesh_string("x"))
 * Never NULL but for want of memory. Never waits, but where a million calls are under way already:
 * then until some are done. */
#if defined(__cplusplus)
/* mesh_submit(m, function, values...) and mesh_submit_with(m, call, function, values...): below */
#else
#define mesh_submit(m, ...) mesh_submit_with(m, NULL, __VA_ARGS__)
#define mesh_submit_with(m, call, ...)                                                             \
    MESH_PASTE(MESH_SUBMIT_, MESH_SOME_OR_NONE(__VA_ARGS__))(m, call, __VA_ARGS__)
#endif
MESH_API mesh_future *mesh_submit_values(mesh *m, const struct mesh_call *call,
                                         const char *function, const struct mesh_value *values,
                                         size_t n_values);
#define MESH_VALUES_MAX 64

/* Each waits until the call is done and gives its result. The first four give 0, NaN, NULL, NULL
 * where there is none of that type: mesh_future_error() then tells why. Bytes are aligned to 16. */
MESH_API int64_t mesh_get_int(mesh_future *future);
MESH_API double mesh_get_double(mesh_future *future);
MESH_API const char *mesh_get_string(mesh_future *future);
MESH_API const void *mesh_get_bytes(mesh_future *future, size_t *ret_bytes);
/* Copies a result of bytes into the caller's buffer; *ret_bytes (may be NULL) is its size even when
 * the buffer is too small. */
MESH_API int mesh_get_copy(mesh_future *future, void *buffer, size_t buffer_bytes,
                           size_t *ret_bytes);

/* Until it is done, however it ended: 0, or MESH_ETIMEDOUT. In-out buffers are changed by then. */
MESH_API int mesh_wait(mesh_future *future, double timeout);
MESH_API bool mesh_is_done(mesh_future *future);
/* Waits. 0 or why there is no result, with a text in which the remote end has its say. */
MESH_API int mesh_future_error(mesh_future *future);
MESH_API const char *mesh_future_error_text(mesh_future *future);
/* Of a call that is done: the peer that ran it, "" if none did; the seconds it ran; what it
 * printed, on standard output and standard error. */
MESH_API const char *mesh_future_peer(mesh_future *future);
MESH_API double mesh_future_seconds(mesh_future *future);
MESH_API const char *mesh_future_printed(mesh_future *future);
/* It ends with MESH_ECANCELLED, at once, unless it was done before. What waits is never begun; what
 * runs is killed, with its worker, soon after. */
MESH_API void mesh_cancel(mesh_future *future);
/* NULL is allowed. Returns NULL. A call that is not done is cancelled, unless other calls wait for
 * its result. A result over 64 KiB holds a descriptor until then. */
MESH_API mesh_future *mesh_free(mesh_future *future);

/* Waits for several: all of them, or the first; 0 or MESH_ETIMEDOUT; MESH_EINVAL where one is NULL
 * or another handle's. *ret_i (may be NULL) is one that is done. */
MESH_API int mesh_wait_all(mesh_future *const *futures, size_t n_futures, double timeout);
MESH_API int mesh_wait_any(mesh_future *const *futures, size_t n_futures, double timeout,
                           size_t *ret_i);

/* A group holds the calls submitted with it, until they are taken. One that has a callback is done,
 * for its group, when that has returned: a callback may submit the next call of the group. Owned
 * until mesh_group_free() or mesh_close(). */
MESH_API mesh_group *mesh_group_new(mesh *m);
/* Until all calls of the group are done and were called back. NULL stands for every call of the
 * handle. */
MESH_API int mesh_group_wait(mesh *m, mesh_group *group, double timeout);
/* Takes the next out of the group, in the order in which they are done, or were submitted. NULL
 * when none is left or the time is over. The caller frees it. */
MESH_API mesh_future *mesh_group_next(mesh_group *group, double timeout);
MESH_API mesh_future *mesh_group_next_in_order(mesh_group *group, double timeout);
/* The calls stay. NULL is allowed. Returns NULL. */
MESH_API mesh_group *mesh_group_free(mesh_group *group);

/* Until every call is done that has a part of these bytes as an in-out argument; NULL stands for
 * all in-out arguments of the handle. 0, or the error of the first that failed, in order of
 * submission: its buffers are as they were. A call that was refused at once counts, too, behind
 * those, and only the first of such; one whose error was asked for before, or that was freed, does
 * not. */
MESH_API int mesh_sync(mesh *m, const void *buffer, size_t n_bytes);

#define MESH_FOREVER (-1.0)

/* --- data by reference -------------------------------------------------------------------------
 */

/* Puts bytes, or a file's, once; calls then get them by mesh_ref(). Waits until the daemon has
 * them. NULL and mesh_error() on failure. Owned until mesh_data_free() or mesh_close(). Bytes are
 * copied and kept in memory; a file stays on its disk and must not be changed. */
MESH_API mesh_data *mesh_put(mesh *m, const void *bytes, size_t n_bytes);
MESH_API mesh_data *mesh_put_file(mesh *m, const char *path);
/* Calls under way keep what they need. NULL is allowed. Returns NULL. */
MESH_API mesh_data *mesh_data_free(mesh_data *data);

/* --- queues ------------------------------------------------------------------------------------
 */

/* Named queues of items, which any program and any peer may use; see mesh(1), queue. A queue lives
 * on the disk of the peer that put something into it first. Each item is handed to one getter, and
 * to another when that one ends before it is done. */
typedef struct mesh_queue_item mesh_queue_item;

/* Adds an item of at most 2^30 bytes. 0 once it is on the queue's disk; MESH_ELIMIT where there
 * is no room; MESH_EDAEMON: the daemon ended, and it is not known. */
MESH_API int mesh_queue_put(mesh *m, const char *queue, const void *bytes, size_t n_bytes);
/* Waits for an item, also for a queue that is made later. NULL and mesh_error() on failure,
 * MESH_ETIMEDOUT among these. Owned until one of the next two is called, before mesh_close(). */
MESH_API mesh_queue_item *mesh_queue_get(mesh *m, const char *queue, double timeout);
/* A NUL stands behind them. Valid as long as the item. */
MESH_API const void *mesh_queue_item_bytes(const mesh_queue_item *item, size_t *ret_n);
/* It is done, and gone from the queue: 0 once that is on disk. MESH_ELATE: it was handed out again,
 * as this peer was away for too long. Frees the item in any case. */
MESH_API int mesh_queue_item_done(mesh_queue_item *item);
/* Gives it back, for another getter. NULL is allowed. Returns NULL. */
MESH_API mesh_queue_item *mesh_queue_item_free(mesh_queue_item *item);

struct mesh_queue_info {
    char name[65], peer[65]; /* the queue's; whose it is */
    uint64_t n_waiting, n_taken, n_getters;
    uint64_t n_done; /* since the daemon of its peer began */
    bool is_known;   /* these numbers: else its peer did not answer */
};
/* Fills in up to infos_max, and tells how many queues there are. */
MESH_API int mesh_queue_list(mesh *m, struct mesh_queue_info *infos, size_t infos_max,
                             size_t *ret_n);

/* --- maps --------------------------------------------------------------------------------------
 */

struct mesh_map_options {            /* zero is the default everywhere */
    struct mesh_call call;           /* group and callback are not used */
    size_t chunk;                    /* elements to a call; 0: chosen by measured run times */
    const struct mesh_value *values; /* further arguments, the same for each element: neither in-out
                                      * nor a future; borrowed until the map is done */
    size_t n_values;
};

/* Calls the function for each of n elements and writes the results, in place, into out: the
 * function has the element as its argument 0 (mesh_arg_raw()) and returns out_bytes
 * (mesh_return_raw(); an integer or a double is as good where out_bytes is 8). out may be NULL with
 * out_bytes 0, and may be `in`. Blocks. 0, or the error of the first element that failed, whose
 * text mesh_error_text() has; the others are then written nevertheless. */
MESH_API int mesh_map_array(mesh *m, const char *function, const void *in, size_t n,
                            size_t in_bytes, void *out, size_t out_bytes,
                            const struct mesh_map_options *options);
/* The same without blocking: results are taken one by one, in the order of the elements or as they
 * come. `in` and `out` are borrowed until the map is freed. Never NULL but for want of memory. */
MESH_API mesh_map *mesh_map_start(mesh *m, const char *function, const void *in, size_t n,
                                  size_t in_bytes, void *out, size_t out_bytes,
                                  const struct mesh_map_options *options);
/* 0 and an element whose result is in out[*ret_i]; MESH_ENONE when there are no more;
 * MESH_ETIMEDOUT; the error of that element, whose number is in *ret_i too and whose text is
 * mesh_map_error_text(). A map is asked by one thread at a time, and in one of the two orders. */
MESH_API int mesh_map_next(mesh_map *map, double timeout, size_t *ret_i);
MESH_API int mesh_map_next_in_order(mesh_map *map, double timeout, size_t *ret_i);
/* Of the failed element with the lowest number, of those that are there by now; "" if none failed.
 * Valid until it is asked again or the map is freed. */
MESH_API const char *mesh_map_error_text(const mesh_map *map);
/* Cancels what is not done. NULL is allowed. Returns NULL. */
MESH_API mesh_map *mesh_map_free(mesh_map *map);

/* --- private to the macros ---------------------------------------------------------------------
 */

#ifdef __cplusplus
}
template <typename... Values>
inline mesh_future *mesh_submit_with(mesh *m, const mesh_call *call, const char *function,
                                     Values... v)
{
    const mesh_value values[] = {v..., mesh_int(0)};
    return mesh_submit_values(m, call, function, values, sizeof...(v));
}

template <typename... Values>
inline mesh_future *mesh_submit(mesh *m, const char *function, Values... v)
{
    return mesh_submit_with(m, nullptr, function, v...);
}
#else
#define MESH_SUBMIT_NONE(m, call, function) mesh_submit_values(m, call, function, NULL, 0)
#define MESH_SUBMIT_SOME(m, call, function, ...)                                                   \
    mesh_submit_values(m, call, function, (const struct mesh_value[]){__VA_ARGS__},                \
                       sizeof((const struct mesh_value[]){__VA_ARGS__}) /                          \
                           sizeof(struct mesh_value))
#define MESH_PASTE(a, b)       MESH_PASTE_AGAIN(a, b)
#define MESH_PASTE_AGAIN(a, b) a##b
/* SOME when values follow the function's name: the 34th of what stands there then. */
#define MESH_SOME_OR_NONE(...)                                                                     \
    MESH_34TH(__VA_ARGS__, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, \
              SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME,  \
              SOME, SOME, SOME, SOME, SOME, SOME, NONE, NONE)
#define MESH_34TH(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, \
                  B, C, D, E, F, G, which, ...)                                                    \
    which
#endif

#endif
