/* A hostile peer's connections: what every attack needs to get as far as it wants to get. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/attacker.h"
#include "wire/base/arena.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"

#define READ_BYTES (64u << 10)

/* --- the raid ----------------------------------------------------------------------------------
 */

uint64_t raid_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool raid_is_over(const struct raid *raid)
{
    return raid_now_ns() >= raid->until_ns ||
           (raid->is_told_to_end && raid->n_sent >= raid->n_least);
}

void raid_pause(unsigned ms)
{
    poll(NULL, 0, (int)ms);
}

/* splitmix64 (Vigna, public domain). */
uint64_t raid_random(struct raid *raid)
{
    uint64_t x = raid->seed += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void raid_bytes(struct raid *raid, void *to, size_t n)
{
    uint8_t *at = to;
    for (size_t i = 0; i < n; i++) {
        at[i] = (uint8_t)raid_random(raid);
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

void foe_init(struct foe *foe, struct raid *raid, struct wire_identity *lent)
{
    *foe = (struct foe){.raid = raid, .fd = -1, .cores = 4, .name = slice_str("eve")};
    foe->identity = lent;
    foe->is_identity_lent = lent != NULL;
    buf_init(&foe->in, (size_t)64 << 20);
    buf_init(&foe->out, (size_t)64 << 20);
    buf_init(&foe->plain, (size_t)4 << 20);
    buf_init(&foe->body, WIRE_BODY_BYTES_MAX);
}

void foe_done(struct foe *foe)
{
    if (foe->fd >= 0) {
        IGNORE(close(foe->fd)); /* the target is to see a cut */
        foe->fd = -1;
    }
    wire_handshake_done(&foe->handshake);
    foe->handshake = (struct wire_handshake){0};
    if (!foe->is_identity_lent) {
        foe->identity = wire_identity_free(foe->identity);
    }
    buf_done(&foe->in);
    buf_done(&foe->out);
    buf_done(&foe->plain);
    buf_done(&foe->body);
    foe->is_up = false;
}

static int wait_for(int fd, short events, unsigned ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int n = poll(&poll_fd, 1, (int)ms);
    return n == 0 ? -ETIMEDOUT : n < 0 ? -errno : 0;
}

int foe_connect(struct foe *foe)
{
    static const int ttl = 255; /* an open mesh takes no other */
    const struct sockaddr_storage *to = &foe->raid->target;
    bool is_v4 = to->ss_family == AF_INET;
    socklen_t n = is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    foe->fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (foe->fd < 0) {
        return -errno;
    }
    int rc = is_v4 ? setsockopt(foe->fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl))
                   : setsockopt(foe->fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof(ttl));
    if (rc == 0) {
        rc = connect(foe->fd, (const struct sockaddr *)to, n);
    }
    if (rc < 0 && errno != EINPROGRESS) {
        return -errno;
    }
    rc = wait_for(foe->fd, POLLOUT, FOE_TIMEOUT_MS);
    int error = 0;
    socklen_t n_error = sizeof(error);
    if (rc == 0 && getsockopt(foe->fd, SOL_SOCKET, SO_ERROR, &error, &n_error) == 0) {
        rc = -error;
    }
    return rc;
}

/* --- bytes -------------------------------------------------------------------------------------
 */

/* What the socket takes now. */
static int write_some(struct foe *foe)
{
    while (foe->out.n > 0) {
        ssize_t n = send(foe->fd, foe->out.p, foe->out.n, MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN ? 0 : -EPIPE;
        }
        buf_consume(&foe->out, (size_t)n);
    }
    return 0;
}

/* What the socket has now. 1: something. */
static int read_some(struct foe *foe)
{
    uint8_t *to = buf_reserve(&foe->in, READ_BYTES);
    ssize_t n = to != NULL ? recv(foe->fd, to, READ_BYTES, 0) : 0;
    if (n > 0) {
        buf_extend(&foe->in, (size_t)n);
        return 1;
    }
    return n < 0 && errno == EAGAIN ? 0 : -EPIPE;
}

/* --- what is heard -----------------------------------------------------------------------------
 */

static void hear_message(struct foe *foe, const struct wire_message *message)
{
    if (message->type == WIRE_MESSAGE_BEAT) {
        struct wire_message ack = {.type = WIRE_MESSAGE_BEAT_ACK};
        ack.beat_ack.token = message->beat.token;
        foe_say(foe, &ack);
        foe_seal(foe);
    }
    if (foe->on_message != NULL) {
        foe->on_message(foe, message);
    }
}

static int hear_frame(struct foe *foe, struct slice frame)
{
    struct wire_opened opened;
    int rc = wire_frame_open(&foe->handshake.secrets->receive, frame, &foe->plain, &opened);
    struct slice body = rc == 0 ? opened.body : slice_of(NULL, 0);
    uint32_t n = 0;
    if (rc == 0) {
        rc = wire_body_open(&body, &n);
    }
    struct arena arena;
    arena_init(&arena, WIRE_ARENA_BYTES_MAX);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        struct wire_message message;
        struct errmsg err;
        rc = wire_message_decode(&body, &arena, &message, &err);
        if (rc == 0) {
            hear_message(foe, &message);
        }
    }
    arena_done(&arena);
    return rc;
}

static int hear_handshake(struct foe *foe, struct slice frame)
{
    enum wire_reason reason;
    struct errmsg err;
    int rc = wire_handshake_frame(&foe->handshake, frame, &foe->out, &reason, &err);
    if (rc == 0 && foe->handshake.state == WIRE_HANDSHAKE_PROVED) {
        foe->is_up = true;
        foe->peer = foe->handshake.peer.key;
        foe->raid->n_up++;
    }
    return rc;
}

static int hear_all(struct foe *foe)
{
    size_t at = 0;
    int rc = 0;
    while (rc == 0) {
        struct slice frame;
        enum wire_reason reason;
        struct slice rest = slice_from(buf_slice(&foe->in), at);
        int has_one = foe->is_up ? wire_frame_peek(rest, WIRE_FRAME_BYTES_MAX, &frame)
                                 : wire_handshake_peek(rest, &frame, &reason);
        if (has_one <= 0) {
            rc = has_one;
            break;
        }
        at += WIRE_PREFIX_BYTES + frame.n;
        rc = foe->is_up ? hear_frame(foe, frame) : hear_handshake(foe, frame);
    }
    buf_consume(&foe->in, at);
    return rc;
}

/* --- moving ------------------------------------------------------------------------------------
 */

static int move(struct foe *foe, bool is_readable)
{
    int rc = write_some(foe);
    if (rc == 0 && is_readable && !foe->is_deaf) {
        int n = read_some(foe);
        rc = n < 0 ? n : 0;
        if (rc == 0 && n > 0 && foe->handshake.identity != NULL) {
            rc = hear_all(foe) < 0 ? -EPIPE : write_some(foe);
        }
    }
    if (rc < 0) {
        IGNORE(close(foe->fd)); /* it has closed, too */
        foe->fd = -1;
    }
    return rc;
}

int foe_pump(struct foe *foe, unsigned wait_ms)
{
    return foe_pump_all(foe, 1, wait_ms) == 1 ? 0 : -EPIPE;
}

unsigned foe_pump_all(struct foe *foes, unsigned n, unsigned wait_ms)
{
    struct pollfd *fds = mem_alloc_or_die(n, sizeof(*fds));
    for (unsigned i = 0; i < n; i++) {
        int events = (foes[i].is_deaf ? 0 : POLLIN) | (foes[i].out.n > 0 ? POLLOUT : 0);
        fds[i] = (struct pollfd){.fd = foes[i].fd, .events = (short)events};
    }
    IGNORE(poll(fds, n, (int)wait_ms)); /* whatever it says, each is looked at */
    unsigned n_open = 0;
    for (unsigned i = 0; i < n; i++) {
        bool is_open = foes[i].fd >= 0;
        if (is_open && (fds[i].revents != 0 || foes[i].out.n > 0)) {
            is_open = move(&foes[i], (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) == 0;
        }
        n_open += is_open;
    }
    mem_free(fds);
    return n_open;
}

/* --- the handshake -----------------------------------------------------------------------------
 */

void foe_hello(struct foe *foe)
{
    if (foe->identity == NULL) {
        uint8_t seed[WIRE_SEED_BYTES];
        raid_bytes(foe->raid, seed, sizeof(seed));
        foe->identity = wire_identity_new(seed);
        ensure(foe->identity != NULL);
    }
    struct wire_session_config config = {
        .identity = foe->identity,
        .door = foe->raid->door,
        .is_initiator = true,
        .hello = {.version_min = WIRE_VERSION_MIN,
                  .version_max = WIRE_VERSION_MAX,
                  .epoch = raid_random(foe->raid),
                  .incarnation = 1,
                  .cores = foe->cores,
                  .port = 7499,
                  .name = foe->name,
                  .arch = slice_str("x86_64"),
                  .os = slice_str("linux"),
                  .program = slice_str("0.0.0")},
    };
    randombytes_buf(config.random, sizeof(config.random));
    int rc = wire_handshake_init(&foe->handshake, &config, &foe->out);
    ensure(rc == 0);
}

int foe_enter(struct foe *foe)
{
    int rc = foe_connect(foe);
    if (rc < 0) {
        return rc;
    }
    foe_hello(foe);
    uint64_t until_ns = raid_now_ns() + UINT64_C(1000000) * FOE_TIMEOUT_MS;
    while (!foe->is_up && raid_now_ns() < until_ns) {
        if (foe_pump(foe, 100) < 0) {
            return -EPROTO;
        }
    }
    return foe->is_up ? 0 : -ETIMEDOUT;
}

/* --- saying ------------------------------------------------------------------------------------
 */

void foe_say(struct foe *foe, const struct wire_message *message)
{
    size_t before = foe->body.n;
    int rc = wire_message_encode(message, &foe->body);
    if (rc == -ENOBUFS || foe->n_body == WIRE_BATCH_MESSAGES_MAX) {
        foe->body.n = before;
        foe_seal(foe);
        rc = wire_message_encode(message, &foe->body);
    }
    ensure(rc == 0);
    foe->n_body++;
    foe->raid->n_sent++;
    if (foe->body.n >= WIRE_BATCH_BYTES) {
        foe_seal(foe);
    }
}

void foe_seal(struct foe *foe)
{
    if (foe->n_body == 0) {
        return;
    }
    struct buf body;
    buf_init(&body, WIRE_BODY_BYTES_MAX + 16u);
    wire_body_begin(&body, foe->n_body);
    buf_append_slice(&body, buf_slice(&foe->body));
    foe_seal_body(foe, buf_slice(&body));
    buf_done(&body);
    buf_clear(&foe->body);
    foe->n_body = 0;
}

static uint8_t *plain_of(struct foe *foe, struct slice body)
{
    buf_clear(&foe->plain);
    uint8_t *plain = buf_reserve(&foe->plain, WIRE_SIGNATURE_BYTES + body.n);
    ensure(plain != NULL);
    memcpy(plain + WIRE_SIGNATURE_BYTES, body.p, body.n);
    return plain;
}

void foe_seal_body(struct foe *foe, struct slice body)
{
    if (foe->fd < 0) {
        return;
    }
    /* Its own buffer: what was heard last may still be looked at in `plain`. */
    struct buf plain;
    buf_init(&plain, WIRE_SIGNATURE_BYTES + WIRE_BODY_BYTES_MAX + 16u);
    uint8_t *at = buf_reserve(&plain, WIRE_SIGNATURE_BYTES + body.n);
    ensure(at != NULL);
    memcpy(at + WIRE_SIGNATURE_BYTES, body.p, body.n);
    int rc = wire_frame_seal(&foe->handshake.secrets->send, foe->identity, at,
                             WIRE_SIGNATURE_BYTES + body.n, false, &foe->out);
    ensure(rc == 0);
    buf_done(&plain);
}

void foe_seal_unsigned(struct foe *foe, struct slice body)
{
    size_t n = WIRE_SIGNATURE_BYTES + body.n;
    uint8_t *plain = plain_of(foe, body);
    raid_bytes(foe->raid, plain, WIRE_SIGNATURE_BYTES);
    uint8_t *to = buf_reserve(&foe->out, WIRE_PREFIX_BYTES + n + WIRE_SEAL_BYTES);
    ensure(to != NULL);
    wire_put_u32(to, (uint32_t)(n + WIRE_SEAL_BYTES));
    wire_seal_push(&foe->handshake.secrets->send, slice_of(plain, n), false,
                   to + WIRE_PREFIX_BYTES);
    buf_extend(&foe->out, WIRE_PREFIX_BYTES + n + WIRE_SEAL_BYTES);
}

void foe_send_raw(struct foe *foe, struct slice bytes)
{
    buf_append_slice(&foe->out, bytes);
}

void foe_say_nothing(struct foe *foe)
{
    (void)foe;
}

void foe_serve(struct raid *raid, unsigned n, void (*begin)(struct foe *foe),
               void (*go_on)(struct foe *foe))
{
    struct foe *foes = mem_alloc_or_die(n, sizeof(*foes));
    for (unsigned i = 0; i < n; i++) {
        foe_init(&foes[i], raid, NULL);
    }
    while (!raid_is_over(raid)) {
        for (unsigned i = 0; i < n; i++) {
            if (foes[i].fd < 0) {
                foe_done(&foes[i]);
                foe_init(&foes[i], raid, NULL);
                if (foe_enter(&foes[i]) < 0) {
                    foe_done(&foes[i]);
                    foe_init(&foes[i], raid, NULL);
                    raid_pause(5);
                    continue;
                }
                begin(&foes[i]);
            }
            if (foes[i].out.n < FOE_BACKLOG_BYTES) {
                go_on(&foes[i]);
                foe_seal(&foes[i]);
            }
        }
        foe_pump_all(foes, n, 5);
    }
    for (unsigned i = 0; i < n; i++) {
        foe_done(&foes[i]);
    }
    mem_free(foes);
}
