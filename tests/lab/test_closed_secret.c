/* What others can learn of a closed mesh: who knocks at its door, who reads along on the wire, and
 * who looks around on a member's own host. */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/closed.h"
#include "wire/base/text.h"
#include "wire/invite.h"
#include "wire/key.h"
#include "wire/session.h"

/* --- at the door -------------------------------------------------------------------------------
 */

/* What the outsider has. */
enum knock {
    KNOCK_OPEN,         /* nothing: it is in the open mesh */
    KNOCK_OTHER_SECRET, /* the secret of another closed mesh */
    KNOCK_TAG, /* the mesh's tag, which everybody on the link can read, and a wrong secret */
    N_KNOCKS
};

struct visitor {
    enum knock knock;
    struct in_addr address;
    uint16_t port;
    uint8_t tag[WIRE_TAG_BYTES]; /* of the mesh */
    bool has_secret;             /* for the control: who has it gets in */
    struct wire_secret secret;
};

static struct wire_door *make_door(const struct visitor *visitor)
{
    struct wire_door *door = wire_door_new();
    const struct wire_secret wrong = {.b = {1, 2, 3}};
    ensure(door != NULL);
    if (visitor->has_secret) {
        wire_door_lock(door, &visitor->secret);
    } else if (visitor->knock != KNOCK_OPEN) {
        wire_door_lock(door, &wrong);
    }
    if (visitor->knock == KNOCK_TAG && !visitor->has_secret) {
        memcpy(door->present.tag, visitor->tag, sizeof(door->present.tag));
    }
    return door;
}

static struct wire_session *make_session(const struct visitor *visitor)
{
    uint8_t seed[WIRE_SEED_BYTES];
    ensure(wire_init() == 0);
    ensure(getrandom(seed, sizeof(seed), 0) == sizeof(seed));
    struct wire_session_config config = {
        .identity = wire_identity_new(seed),
        .door = make_door(visitor),
        .is_initiator = true,
        .hello = {.version_min = WIRE_VERSION_MIN,
                  .version_max = WIRE_VERSION_MAX,
                  .epoch = 7,
                  .cores = 1,
                  .name = slice_str("mallory"),
                  .arch = slice_str("x86_64"),
                  .os = slice_str("linux"),
                  .program = slice_str("0")},
    };
    ensure(getrandom(config.random, sizeof(config.random), 0) == sizeof(config.random));
    struct wire_session *session = wire_session_new(&config);
    ensure(session != NULL);
    return session;
}

static int say(int sock, struct wire_session *session)
{
    struct buf bytes;
    buf_init(&bytes, 1u << 20);
    while (wire_session_has_output(session)) {
        ensure(wire_session_drain(session, &bytes) == 0);
    }
    ssize_t n = send(sock, bytes.p, bytes.n, MSG_NOSIGNAL);
    buf_done(&bytes);
    return n < 0 ? -errno : 0;
}

/* Talks until the other end closes, or until the session is up and a message has come. */
static int visit(void *context)
{
    const struct visitor *visitor = context;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(visitor->port), .sin_addr = visitor->address};
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof(to)) < 0) {
        perror("connect");
        return 1;
    }
    struct wire_session *session = make_session(visitor);
    struct wire_message message;
    enum wire_reason reason = WIRE_REASON_NONE;
    struct errmsg err = {""};
    uint8_t bytes[4096];
    size_t n_bytes = 0;
    unsigned n_messages = 0;
    bool was_up = false;
    IGNORE(say(sock, session));
    for (ssize_t n; n_messages == 0 && (n = recv(sock, bytes, sizeof(bytes), 0)) > 0;) {
        n_bytes += (size_t)n;
        int r = wire_session_feed(session, slice_of(bytes, (size_t)n), &reason, &err);
        while (r == 0 && wire_session_next(session, &message, &reason, &err) == 1) {
            n_messages++;
        }
        was_up = was_up || wire_session_state(session) == WIRE_SESSION_UP;
        IGNORE(say(sock, session));
    }
    printf("up %d messages %u hello %d bytes %zu reason %s\n", was_up, n_messages,
           wire_session_peer(session) != NULL, n_bytes,
           wire_reason_text(wire_session_reason(session)));
    return 0;
}

static uint16_t port_of(struct lab_host *host)
{
    struct daemon_peers peers;
    unsigned port;
    ck_assert(daemon_get_peers(host, &peers));
    ck_assert_int_eq(sscanf(strrchr(peers.rows[0].address, ':'), ":%u", &port), 1);
    return (uint16_t)port;
}

static const char *knock_at(struct lab_host *from, struct lab_host *to, enum knock knock,
                            const struct wire_secret *mesh, bool has_secret)
{
    struct visitor visitor = {.knock = knock, .has_secret = has_secret, .secret = *mesh};
    visitor.port = port_of(to);
    ck_assert_int_eq(inet_pton(AF_INET, to->address, &visitor.address), 1);
    wire_mesh_tag(mesh, visitor.tag);
    struct lab_process *process = lab_call(from, visit, &visitor);
    lab_expect(process, CLOSED_PATIENCE_MS, 0);
    return lab_output(process);
}

START_TEST(an_outsider_completes_no_session_and_learns_the_hello_at_most)
{
    static const char *const wanted[N_KNOCKS] = {
        "up 0 messages 0 hello 0 ",
        "up 0 messages 0 hello 0 ",
        "up 0 messages 0 hello 1 ",
    };
    static const char *const who[N_KNOCKS] = {"an open peer", "a peer of another closed mesh",
                                              "one with the tag and a wrong secret"};
    struct lab *lab = lab_new();
    struct lab_host *hosts[] = {lab_host(lab, "hal"), lab_host(lab, "lily")};
    struct lab_host *outside = lab_host(lab, "rosa");
    struct wire_secret secret;
    closed_start(hosts[0], "1");
    closed_start(hosts[1], "1");
    daemon_wait_whole_mesh(hosts, 2, CLOSED_PATIENCE_MS);
    closed_make(hosts, 2);
    closed_read_secret(hosts[0], &secret);
    for (int knock = 0; knock < N_KNOCKS; knock++) {
        for (unsigned i = 0; i < 2; i++) {
            const char *said = knock_at(outside, hosts[i], (enum knock)knock, &secret, false);
            ck_assert_msg(strncmp(said, wanted[knock], strlen(wanted[knock])) == 0, "%s at %s: %s",
                          who[knock], hosts[i]->name, said);
            size_t n_bytes;
            ck_assert_int_eq(sscanf(strstr(said, "bytes"), "bytes %zu", &n_bytes), 1);
            ck_assert_uint_le(n_bytes, WIRE_HELLO_BYTES_MAX);
            if (i == 0) {
                printf("# figure: closed: %s is told %zu bytes: %s", who[knock], n_bytes,
                       strstr(said, "reason"));
            }
        }
    }
    /* The same program with the secret is let in: the door is what stopped it. */
    const char *said = knock_at(outside, hosts[0], KNOCK_TAG, &secret, true);
    ck_assert_msg(strncmp(said, "up 1 ", 5) == 0, "%s", said);
    daemon_wait_whole_mesh(hosts, 2, CLOSED_PATIENCE_MS);
    lab_free(lab);
}
END_TEST

/* --- around ------------------------------------------------------------------------------------
 */

#define NEEDLES_MAX 24
#define N_LOOKS     10

/* Bytes that must not be seen, and for what they are. */
struct needles {
    unsigned n;
    struct {
        const char *what;
        size_t n;
        uint8_t bytes[CLOSED_CODE_BYTES];
    } items[NEEDLES_MAX];
};

static void add_needle(struct needles *needles, const char *what, const void *bytes, size_t n)
{
    ck_assert_uint_lt(needles->n, NEEDLES_MAX);
    needles->items[needles->n].what = what;
    needles->items[needles->n].n = n;
    memcpy(needles->items[needles->n].bytes, bytes, n);
    needles->n++;
}

/* In halves, for a packet may end within one; and in the digits that we write such bytes in. */
static void add_secret(struct needles *needles, const char *what, const uint8_t *bytes, size_t n)
{
    char text[2 * WIRE_SECRET_BYTES + 1];
    for (size_t half = 0; half < 2; half++) {
        struct slice part = slice_of(bytes + half * (n / 2), n / 2);
        text_hex(part, text, sizeof(text));
        add_needle(needles, what, part.p, part.n);
        add_needle(needles, what, text, strlen(text));
        size_t n_digits = part.n * 8 / 5; /* those that nothing behind the part has a share in */
        for (size_t i = 0; i < n_digits; i++) {
            text[i] = text_base32_digit(text_base32_at(part, i));
        }
        add_needle(needles, what, text, n_digits);
    }
}

/* What is found in them first, or NULL. */
static const char *find_any(const struct needles *needles, const void *bytes, size_t n)
{
    for (unsigned i = 0; i < needles->n; i++) {
        if (memmem(bytes, n, needles->items[i].bytes, needles->items[i].n) != NULL) {
            return needles->items[i].what;
        }
    }
    return NULL;
}

static char *read_file(const char *path, size_t *ret_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t cap = 1u << 16;
    char *bytes = fd >= 0 ? malloc(cap) : NULL;
    size_t n = 0;
    for (ssize_t r = 1; bytes != NULL && r > 0;) {
        if (n == cap) {
            cap *= 2;
            bytes = realloc(bytes, cap);
            ensure(bytes != NULL);
        }
        r = read(fd, bytes + n, cap - n);
        n += r > 0 ? (size_t)r : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    *ret_n = n;
    return bytes;
}

/* On a host, as anybody there may: the arguments and the environment of every process. */
static int scan_processes(void *context)
{
    static const char *const files[] = {"cmdline", "environ"};
    const struct needles *needles = context;
    DIR *proc = opendir("/proc");
    ensure(proc != NULL);
    unsigned n_seen = 0;
    for (struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
        for (unsigned i = 0; i < ARRAY_LEN(files) && isdigit((unsigned char)entry->d_name[0]);
             i++) {
            char path[300];
            size_t n;
            snprintf(path, sizeof(path), "/proc/%s/%s", entry->d_name, files[i]);
            char *bytes = read_file(path, &n);
            const char *found = bytes != NULL ? find_any(needles, bytes, n) : NULL;
            if (found != NULL) {
                printf("%s: %s\n", path, found);
            }
            n_seen += n > 0 && memmem(bytes, n, "/var/lib/mesh", 13) != NULL;
            free(bytes);
        }
    }
    closedir(proc);
    return n_seen > 0 ? 0 : 1; /* the daemon's arguments at least were seen */
}

static void expect_hidden_from_ps(struct lab_host *host, struct needles *needles)
{
    struct lab_process *process = lab_call(host, scan_processes, needles);
    lab_expect(process, CLOSED_PATIENCE_MS, 0);
    ck_assert_str_eq(lab_output(process), "");
}

static void expect_hidden_in_file(const char *path, const struct needles *needles,
                                  const void *control, size_t n_control)
{
    size_t n;
    char *bytes = read_file(path, &n);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_msg(memmem(bytes, n, control, n_control) != NULL,
                  "%s lacks what it must hold: nothing can be told of it", path);
    const char *found = find_any(needles, bytes, n);
    ck_assert_msg(found == NULL, "%s is in %s", found, path);
    free(bytes);
}

static void expect_mode_600(struct lab_host *host)
{
    struct lab_process *process;
    ck_assert_int_eq(lab_run(host, CLOSED_PATIENCE_MS, &process, "stat", "-c", "%a %F",
                             "/var/lib/mesh/trust", NULL),
                     0);
    ck_assert_str_eq(lab_output(process), "600 regular file\n");
}

static bool is_process_waiting(void *context)
{
    struct lab_process *process = context;
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;
    if (fd >= 0) {
        close(fd);
    }
    return n > 0 && memmem(text, (size_t)n, "join", 4) != NULL;
}

START_TEST(the_secret_is_nowhere_but_in_its_file)
{
    static struct needles needles; /* large */
    struct lab *lab = lab_new();
    struct lab_host *hosts[4];
    struct lab_process *daemons[4];
    struct wire_secret secret;
    char capture[LAB_PATH_BYTES_MAX], code[CLOSED_CODE_BYTES];
    snprintf(capture, sizeof(capture), "%s/frames", lab_share(lab));
    lab_capture(lab, capture);
    for (unsigned i = 0; i < 4; i++) {
        hosts[i] = lab_host(lab, daemon_names[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        daemons[i] = closed_start(hosts[i], i == 0 ? "0" : "1");
    }
    daemon_wait_whole_mesh(hosts, 4, CLOSED_PATIENCE_MS);
    closed_lock(hosts[0]);
    closed_read_secret(hosts[0], &secret);
    add_secret(&needles, "the first secret", secret.b, sizeof(secret.b));

    /* While `mesh join` waits for an inviter that does not answer, its host is looked at. */
    closed_invite(hosts[0], "10", code);
    struct wire_invite_code invitation;
    struct errmsg err;
    ck_assert_int_eq(wire_invite_code_parse(slice_str(code), &invitation, &err), 0);
    add_secret(&needles, "the token", invitation.token.b, sizeof(invitation.token.b));
    add_needle(&needles, "the code", code, strlen(code));
    lab_freeze(daemons[0]);
    struct lab_process *join = closed_join_begin(hosts[1], code);
    ck_assert(lab_until(is_process_waiting, join, CLOSED_PATIENCE_MS));
    for (unsigned i = 0; i < N_LOOKS; i++) { /* while it reads, asks, and waits */
        expect_hidden_from_ps(hosts[1], &needles);
    }
    ck_assert(lab_is_running(join));
    lab_thaw(daemons[0]);
    lab_expect(join, CLOSED_PATIENCE_MS, 0);

    closed_take_in(hosts[0], hosts[2]);
    closed_take_in(hosts[1], hosts[3]);
    daemon_wait_whole_mesh(hosts, 4, CLOSED_PATIENCE_MS);
    closed_ban(hosts[0], "rosa"); /* the second secret goes over sessions that stand */
    daemon_wait_whole_mesh(hosts, 3, CLOSED_PATIENCE_MS);
    closed_wait_generation(hosts[1], 2);
    closed_wait_generation(hosts[2], 2);
    struct wire_secret second;
    closed_read_secret(hosts[0], &second);
    ck_assert_mem_ne(&second, &secret, sizeof(secret));
    add_secret(&needles, "the second secret", second.b, sizeof(second.b));
    closed_read_secret(hosts[1], &secret);
    ck_assert_mem_eq(&second, &secret, sizeof(secret));
    closed_read_secret(hosts[3], &secret);
    ck_assert_mem_ne(&second, &secret, sizeof(secret));
    lab_expect(closed_submit(hosts[0], 100, 4, "50"), CLOSED_PATIENCE_MS, 0);

    for (unsigned i = 0; i < 4; i++) {
        expect_mode_600(hosts[i]);
        expect_hidden_from_ps(hosts[i], &needles);
        lab_stop(daemons[i], CLOSED_PATIENCE_MS);
        char log[LAB_PATH_BYTES_MAX];
        snprintf(log, sizeof(log), "%s", daemons[i]->err_path);
        expect_hidden_in_file(log, &needles, daemon_names[i], strlen(daemon_names[i]));
    }
    /* The inviter's key is in its hellos, in clear. */
    expect_hidden_in_file(capture, &needles, invitation.key.b, sizeof(invitation.key.b));
    lab_free(lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("closed_secret");
    TCase *tc = tcase_create("closed_secret");
    tcase_set_timeout(tc, getenv("MESH_LAB_WRAP") == NULL ? 120 : 280);
    tcase_add_test(tc, an_outsider_completes_no_session_and_learns_the_hello_at_most);
    tcase_add_test(tc, the_secret_is_nowhere_but_in_its_file);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
