#include "tests/lab/closed.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/key.h"

#define ARGS_MAX 96

struct lab_process *closed_start(struct lab_host *host, const char *cores)
{
    return daemon_start(host, "--cores", cores, "--dead-after", "2", "--log-level", "debug",
                        "--bind-rw", daemon_log_folder(host->lab), NULL);
}

void closed_lock(struct lab_host *host)
{
    lab_expect(daemon_ask(host, "lock", NULL), CLOSED_PATIENCE_MS, 0);
}

void closed_invite(struct lab_host *host, const char *valid, char code[static CLOSED_CODE_BYTES])
{
    struct lab_process *process = daemon_ask(host, "invite", "--valid", valid, NULL);
    lab_expect(process, CLOSED_PATIENCE_MS, 0);
    const char *out = lab_output(process);
    size_t n = strcspn(out, "\n");
    ck_assert_uint_gt(n, 50);
    ck_assert_uint_lt(n, CLOSED_CODE_BYTES);
    ck_assert_str_eq(out + n, "\n");
    memcpy(code, out, n);
    code[n] = '\0';
}

struct lab_process *closed_join_begin(struct lab_host *host, const char *code)
{
    static unsigned n_codes;
    char path[LAB_PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/code-%u", lab_share(host->lab), ++n_codes);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, code, strlen(code)), (int)strlen(code));
    close(fd);
    const char *argv[] = {getenv("MESH"), "--socket", DAEMON_SOCKET, "join", NULL};
    const struct lab_start how = {.stdin_path = path};
    return lab_spawnv(host, argv, &how);
}

void closed_take_in(struct lab_host *inviter, struct lab_host *joiner)
{
    char code[CLOSED_CODE_BYTES];
    closed_invite(inviter, "10", code);
    lab_expect(closed_join_begin(joiner, code), CLOSED_PATIENCE_MS, 0);
}

void closed_make(struct lab_host *const *hosts, unsigned n_hosts)
{
    closed_lock(hosts[0]);
    for (unsigned i = 1; i < n_hosts; i++) {
        closed_take_in(hosts[0], hosts[i]);
    }
    daemon_wait_whole_mesh(hosts, n_hosts, CLOSED_PATIENCE_MS);
}

void closed_ban(struct lab_host *host, const char *peer)
{
    lab_expect(daemon_ask(host, "ban", peer, NULL), CLOSED_PATIENCE_MS, 0);
}

void closed_expect_refusal(struct lab_process *process, const char *says)
{
    lab_expect(process, CLOSED_PATIENCE_MS, 1);
    const char *line = lab_errors(process);
    ck_assert_msg(strstr(line, says) != NULL, "'%s' is not in: %s", says, line);
    ck_assert_int_eq(strncmp(line, "mesh: ", 6), 0);
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
}

/* --- state -------------------------------------------------------------------------------------
 */

static unsigned get_count(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_array(value)) {
        return (unsigned)json_array_size(value);
    }
    ck_assert_msg(json_is_integer(value), "mesh trust --list --json: no '%s'", key);
    return (unsigned)json_integer_value(value);
}

struct closed_state closed_get_state(struct lab_host *host)
{
    struct lab_process *process = daemon_ask(host, "trust", "--list", "--json", NULL);
    lab_expect(process, CLOSED_PATIENCE_MS, 0);
    json_t *object = json_loads(lab_output(process), 0, NULL);
    ck_assert(json_is_object(object));
    struct closed_state state = {
        .is_locked = json_is_true(json_object_get(object, "locked")),
        .generation = get_count(object, "generation"),
        .n_members = get_count(object, "members"),
        .n_pins = get_count(object, "pins"),
        .n_bans = get_count(object, "bans"),
    };
    json_decref(object);
    return state;
}

struct wanted {
    struct lab_host *host;
    unsigned generation;
    const char *name;
    const char *state;
    const char *detail;
};

static bool is_of_generation(void *context)
{
    const struct wanted *wanted = context;
    return closed_get_state(wanted->host).generation == wanted->generation;
}

void closed_wait_generation(struct lab_host *host, unsigned generation)
{
    struct wanted wanted = {.host = host, .generation = generation};
    if (!lab_until(is_of_generation, &wanted, CLOSED_PATIENCE_MS)) {
        lab_fail(host->lab, "%s is of generation %u, not %u", host->name,
                 closed_get_state(host).generation, generation);
    }
}

static bool is_so(void *context)
{
    const struct wanted *wanted = context;
    struct daemon_peers peers;
    if (!daemon_get_peers(wanted->host, &peers)) {
        return false;
    }
    for (unsigned i = 0; i < peers.n; i++) {
        const struct daemon_peer *peer = &peers.rows[i];
        if (strcmp(peer->name, wanted->name) == 0 && strcmp(peer->state, wanted->state) == 0 &&
            strstr(peer->detail, wanted->detail) != NULL) {
            return true;
        }
    }
    return false;
}

void closed_wait_detail(struct lab_host *host, const char *name, const char *state,
                        const char *detail)
{
    struct wanted wanted = {.host = host, .name = name, .state = state, .detail = detail};
    if (!lab_until(is_so, &wanted, CLOSED_PATIENCE_MS)) {
        struct lab_process *list = daemon_ask(host, "peers", NULL);
        IGNORE(lab_wait(list, CLOSED_PATIENCE_MS, &(int){0}));
        lab_fail(host->lab, "%s does not list %s as %s (%s)", host->name, name, state, detail);
    }
}

void closed_read_secret(struct lab_host *host, struct wire_secret *ret_secret)
{
    struct lab_process *process;
    ck_assert_int_eq(
        lab_run(host, CLOSED_PATIENCE_MS, &process, "cat", "/var/lib/mesh/trust", NULL), 0);
    const char *line = strstr(lab_output(process), "\npresent ");
    ck_assert_ptr_nonnull(line);
    line = strchr(line + sizeof("\npresent ") - 1, ' ') + 1;
    char hex[2 * WIRE_SECRET_BYTES + 1];
    snprintf(hex, sizeof(hex), "%s", line);
    struct wire_key bytes;
    ck_assert_int_eq(wire_key_parse(hex, &bytes), 0);
    memcpy(ret_secret->b, bytes.b, sizeof(ret_secret->b));
    /* What cat printed lies in the share, which hosts see: away with it. */
    ck_assert_int_eq(unlink(process->out_path), 0);
}

/* --- jobs --------------------------------------------------------------------------------------
 */

struct lab_process *closed_submit(struct lab_host *host, unsigned first, unsigned n, const char *ms)
{
    char inputs[ARGS_MAX][16];
    const char *argv[ARGS_MAX] = {getenv("MESH"),
                                  "--socket",
                                  DAEMON_SOCKET,
                                  "submit",
                                  "-k",
                                  getenv("LAB_TASK"),
                                  daemon_log_folder(host->lab),
                                  ms,
                                  "{}",
                                  ":::"};
    unsigned n_words = 10;
    ck_assert_uint_lt(n_words + n, ARGS_MAX);
    for (unsigned i = 0; i < n; i++) {
        snprintf(inputs[i], sizeof(inputs[i]), "%u", first + i);
        argv[n_words++] = inputs[i];
    }
    argv[n_words] = NULL;
    return lab_spawnv(host, argv, NULL);
}

unsigned closed_n_started(struct lab_host *host, unsigned first, unsigned n)
{
    struct daemon_peers peers;
    static struct task_log log; /* large */
    ck_assert(daemon_get_peers(host, &peers));
    daemon_read_log(host->lab, &log);
    unsigned n_started = 0;
    for (unsigned i = 0; i < log.n; i++) {
        const struct task_event *event = &log.events[i];
        bool is_here = strcmp(event->peer, peers.rows[0].id) == 0 ||
                       strcmp(event->peer, peers.rows[0].name) == 0;
        n_started += is_here && !event->is_end && event->input >= first && event->input < first + n;
    }
    return n_started;
}
