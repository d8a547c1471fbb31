#include "tests/lab/daemons.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ARGS_MAX 64
/* How every meshd that daemon_start() starts begins its arguments, and nothing else does. */
#define DAEMON_STATE "/var/lib/mesh"
#define DAEMON_FLAGS "--state " DAEMON_STATE
/* What a command that only asks may take, on a loaded machine under a sanitizer. */
#define ASK_MS 10000

static const char *needed(const char *name)
{
    const char *value = getenv(name);
    ck_assert_msg(value != NULL, "%s is not set: run this through meson test", name);
    return value;
}

/* Appends the variable arguments up to NULL. */
static unsigned append(const char *argv[ARGS_MAX], unsigned n, va_list args)
{
    for (const char *word = va_arg(args, const char *); word != NULL;
         word = va_arg(args, const char *)) {
        ck_assert_uint_lt(n, ARGS_MAX - 1);
        argv[n++] = word;
    }
    argv[n] = NULL;
    return n;
}

struct lab_process *daemon_startv(struct lab_host *host, const char *const *flags)
{
    const char *argv[ARGS_MAX];
    unsigned n = 0;
    const char *wrap = getenv("MESH_LAB_WRAP");
    char words[LAB_PATH_BYTES_MAX];
    char *rest = words;
    snprintf(words, sizeof(words), "%s", wrap != NULL ? wrap : "");
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        if (*word != '\0' && n < ARGS_MAX / 2) {
            argv[n++] = word;
        }
    }
    argv[n++] = needed("MESHD");
    argv[n++] = "--state";
    argv[n++] = DAEMON_STATE;
    argv[n++] = "--socket";
    argv[n++] = DAEMON_SOCKET;
    for (; *flags != NULL; flags++) {
        ck_assert_uint_lt(n, ARGS_MAX - 1);
        argv[n++] = *flags;
    }
    argv[n] = NULL;
    return lab_spawnv(host, argv, NULL);
}

struct lab_process *daemon_start(struct lab_host *host, ...)
{
    const char *flags[ARGS_MAX];
    va_list args;
    va_start(args, host);
    append(flags, 0, args);
    va_end(args);
    return daemon_startv(host, flags);
}

const char *const daemon_names[DAEMON_EXECUTORS + 1] = {"hal", "lily", "max", "rosa"};

void daemon_scene_make(struct daemon_scene *scene, const char *cores, unsigned deadline_ms)
{
    memset(scene, 0, sizeof(*scene));
    scene->lab = lab_new();
    for (unsigned i = 0; i <= DAEMON_EXECUTORS; i++) {
        scene->hosts[i] = lab_host(scene->lab, daemon_names[i]);
    }
    for (unsigned i = 0; i <= DAEMON_EXECUTORS; i++) {
        scene->daemons[i] = daemon_start(scene->hosts[i], "--cores", i == 0 ? "0" : cores,
                                         "--dead-after", "1", NULL);
    }
    daemon_wait_whole_mesh(scene->hosts, DAEMON_EXECUTORS + 1, deadline_ms);
}

struct lab_process *daemon_ask(struct lab_host *host, const char *command, ...)
{
    const char *argv[ARGS_MAX] = {needed("MESH"), "--socket", DAEMON_SOCKET, command};
    va_list args;
    va_start(args, command);
    append(argv, 4, args);
    va_end(args);
    return lab_spawnv(host, argv, NULL);
}

/* --- mesh peers --json -------------------------------------------------------------------------
 */

static void copy_text(const json_t *row, const char *key, char *to, size_t n_to)
{
    const json_t *value = json_object_get(row, key);
    ck_assert_msg(json_is_string(value), "mesh peers --json: no text '%s'", key);
    snprintf(to, n_to, "%s", json_string_value(value));
}

static unsigned get_unsigned(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    ck_assert_msg(json_is_integer(value) && json_integer_value(value) >= 0,
                  "mesh peers --json: no count '%s'", key);
    return (unsigned)json_integer_value(value);
}

static void read_row(const json_t *row, struct daemon_peer *peer)
{
    copy_text(row, "id", peer->id, sizeof(peer->id));
    copy_text(row, "key", peer->key, sizeof(peer->key));
    copy_text(row, "name", peer->name, sizeof(peer->name));
    copy_text(row, "arch", peer->arch, sizeof(peer->arch));
    copy_text(row, "state", peer->state, sizeof(peer->state));
    const json_t *address = json_object_get(row, "address");
    snprintf(peer->address, sizeof(peer->address), "%s",
             json_is_string(address) ? json_string_value(address) : "");
    copy_text(row, "detail", peer->detail, sizeof(peer->detail));
    peer->cores = get_unsigned(row, "cores");
    peer->free = get_unsigned(row, "free");
    peer->is_local = json_is_true(json_object_get(row, "local"));
    peer->has_rtt = json_is_number(json_object_get(row, "rtt_ms"));
}

/* The array of `mesh peers --json`, to be given back; NULL while no daemon answers. */
static json_t *ask_peers(struct lab_host *host)
{
    struct lab_process *process = daemon_ask(host, "peers", "--json", NULL);
    int status = -1;
    if (lab_wait(process, ASK_MS, &status) != 0) {
        lab_fail(host->lab, "%s: mesh peers does not end", host->name);
    }
    if (status != 0) {
        return NULL;
    }
    json_error_t error;
    json_t *array = json_loads(lab_output(process), 0, &error);
    if (!json_is_array(array)) {
        lab_fail(host->lab, "%s: mesh peers --json gives no array: %s", host->name, error.text);
    }
    return array;
}

bool daemon_get_peers(struct lab_host *host, struct daemon_peers *ret_peers)
{
    json_t *array = ask_peers(host);
    if (array == NULL) {
        return false;
    }
    if (json_array_size(array) > DAEMON_PEERS_MAX) {
        lab_fail(host->lab, "%s: more peers than were expected", host->name);
    }
    memset(ret_peers, 0, sizeof(*ret_peers));
    ret_peers->n = (unsigned)json_array_size(array);
    for (unsigned i = 0; i < ret_peers->n; i++) {
        read_row(json_array_get(array, i), &ret_peers->rows[i]);
    }
    json_decref(array);
    return true;
}

bool daemon_lists(struct lab_host *host, const char *name, const char *state)
{
    json_t *array = ask_peers(host);
    bool is_listed = false;
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value)
    {
        struct daemon_peer row;
        read_row(value, &row);
        is_listed |= strcmp(row.name, name) == 0 && strcmp(row.state, state) == 0;
    }
    json_decref(array);
    return is_listed;
}

const struct daemon_peer *daemon_find(const struct daemon_peers *peers, const char *name)
{
    for (unsigned i = 0; i < peers->n; i++) {
        if (strcmp(peers->rows[i].name, name) == 0) {
            return &peers->rows[i];
        }
    }
    return NULL;
}

bool daemon_sees_up(struct lab_host *host, unsigned n)
{
    struct daemon_peers peers;
    if (!daemon_get_peers(host, &peers)) {
        return false;
    }
    unsigned n_up = 0;
    for (unsigned i = 0; i < peers.n; i++) {
        n_up += !peers.rows[i].is_local && strcmp(peers.rows[i].state, "up") == 0;
    }
    return n_up == n;
}

/* A daemon that is gone answers nobody: no use in waiting for it. */
static void expect_daemon_lives(struct lab_host *host)
{
    struct lab_process *last = NULL;
    list_for_each (node, &host->processes) {
        struct lab_process *process = LIST_ENTRY(node, struct lab_process, node);
        last = strstr(process->what, DAEMON_FLAGS) != NULL ? process : last;
    }
    if (last != NULL && !lab_is_running(last)) {
        lab_fail(host->lab, "%s: meshd has ended (wait status %#x)", host->name,
                 (unsigned)last->status);
    }
}

struct wanted {
    struct lab_host *host;
    unsigned n_up;
    const char *name;
    const char *state;
};

static bool has_n_up(void *context)
{
    const struct wanted *wanted = context;
    expect_daemon_lives(wanted->host);
    return daemon_sees_up(wanted->host, wanted->n_up);
}

uint64_t daemon_wait_whole_mesh(struct lab_host *const *hosts, unsigned n_hosts,
                                unsigned deadline_ms)
{
    for (unsigned i = 0; i < n_hosts; i++) {
        struct wanted wanted = {.host = hosts[i], .n_up = n_hosts - 1};
        if (!lab_until(has_n_up, &wanted, deadline_ms)) {
            lab_fail(hosts[i]->lab, "%s does not list %u others as up", hosts[i]->name,
                     n_hosts - 1);
        }
    }
    return lab_now_ns();
}

static bool is_in_state(void *context)
{
    const struct wanted *wanted = context;
    expect_daemon_lives(wanted->host);
    return daemon_lists(wanted->host, wanted->name, wanted->state);
}

uint64_t daemon_wait_state(struct lab_host *host, const char *name, const char *state,
                           unsigned deadline_ms)
{
    struct wanted wanted = {.host = host, .name = name, .state = state};
    if (!lab_until(is_in_state, &wanted, deadline_ms)) {
        lab_fail(host->lab, "%s does not list %s as %s", host->name, name, state);
    }
    return lab_now_ns();
}

/* --- tasks ---------------------------------------------------------------------------------------
 */

const char *daemon_log_folder(struct lab *lab)
{
    static char path[LAB_PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/log", lab_share(lab));
    mkdir(path, 0777);
    /* A task may run as another user than the daemon. */
    ck_assert_int_eq(chmod(path, 0777), 0);
    return path;
}

void daemon_read_log(struct lab *lab, struct task_log *ret_log)
{
    memset(ret_log, 0, sizeof(*ret_log));
    char path[LAB_PATH_BYTES_MAX + sizeof("/events")];
    snprintf(path, sizeof(path), "%s/events", daemon_log_folder(lab));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return; /* nothing has started yet */
    }
    char line[256];
    while (fgets(line, sizeof(line), file) != NULL) {
        struct task_event event;
        char what[8];
        unsigned long long at_ns;
        memset(&event, 0, sizeof(event));
        ck_assert_msg(sscanf(line, "%7s %u %79s %u %llu", what, &event.input, event.peer,
                             &event.attempt, &at_ns) == 5,
                      "the log of tasks has a torn line: %s", line);
        event.is_end = strcmp(what, "end") == 0;
        event.at_ns = at_ns;
        ck_assert_uint_lt(ret_log->n, DAEMON_EVENTS_MAX);
        ret_log->events[ret_log->n++] = event;
    }
    fclose(file);
}

uint64_t daemon_prime_sum(unsigned below)
{
    uint64_t sum = 0;
    for (unsigned n = 2; n < below; n++) {
        bool is_prime = true;
        for (unsigned d = 2; is_prime && d * d <= n; d++) {
            is_prime = n % d != 0;
        }
        sum += is_prime ? n : 0;
    }
    return sum;
}
