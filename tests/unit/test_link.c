/* Two sets of links on one loop, talking over loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mesh/address.h"
#include "mesh/link.h"
#include "mesh/sources.h"
#include "tests/lib/runner.h"
#include "wire/base/mem.h"

struct side {
    struct meshd_links *links;
    struct wire_identity *identity;
    struct wire_door *door;
    enum wire_door_kind by; /* of the link */
    struct wire_token token;
    uint64_t link;
    uint64_t dial;
    bool is_on_link;
    char address[MESHD_ADDRESS_BYTES];
    unsigned n_up, n_down, n_failed, n_messages;
    enum core_link_end end;
    enum wire_reason reason;
    int error;
    uint64_t bytes; /* of blob data received */
    uint64_t last_token;
    bool is_closed;
    void (*put)(void *user, struct core_event *event); /* in the place of on_event(), if set */
    bool is_putting;
};

static uv_loop_t loop;
static struct side sides[2];
/* Whether the sides work for others than those they hear. */
static bool are_sides_wanted;

static bool is_wanted(void *user, const struct wire_key *key)
{
    return are_sides_wanted;
}

static void on_event(void *user, struct core_event *event)
{
    struct side *side = user;
    if (side->put != NULL && !side->is_putting) {
        side->is_putting = true;
        side->put(user, event);
        side->is_putting = false;
        return;
    }
    if (event->type == CORE_EVENT_LINK_UP) {
        side->n_up++;
        side->link = event->link_up.link;
        side->dial = event->link_up.dial;
        side->is_on_link = event->link_up.is_on_link;
        side->by = event->link_up.door;
        side->token = event->link_up.token;
        snprintf(side->address, sizeof(side->address), "%.*s", SLICE_FMT(event->link_up.address));
    } else if (event->type == CORE_EVENT_LINK_DOWN) {
        side->n_down++;
        side->end = event->link_down.end;
        side->reason = event->link_down.reason;
    } else if (event->type == CORE_EVENT_DIAL_FAILED) {
        side->n_failed++;
        side->error = event->dial_failed.error;
        side->reason = event->dial_failed.reason;
    } else if (event->type == CORE_EVENT_MESSAGE) {
        const struct wire_message *message = event->message.message;
        side->n_messages++;
        if (message->type == WIRE_MESSAGE_BLOB_DATA) {
            ck_assert_uint_eq(message->blob_data.offset, side->bytes);
            side->bytes += message->blob_data.bytes.n;
        } else if (message->type == WIRE_MESSAGE_BEAT) {
            ck_assert_uint_eq(message->beat.token, side->last_token + 1);
            side->last_token = message->beat.token;
        }
    } else {
        ck_abort_msg("unexpected event");
    }
}

static void on_closed(void *user)
{
    ((struct side *)user)->is_closed = true;
}

static void make_side(struct side *side, uint8_t seed)
{
    uint8_t bytes[WIRE_SEED_BYTES] = {seed};
    *side = (struct side){.identity = wire_identity_new(bytes), .door = wire_door_new()};
    struct meshd_links_config config = {
        .loop = &loop,
        .sink = {.put = on_event, .user = side},
        .identity = side->identity,
        .door = side->door,
        .hello = {.version_min = WIRE_VERSION_MIN,
                  .version_max = WIRE_VERSION_MAX,
                  .epoch = seed,
                  .incarnation = 1,
                  .cores = 2,
                  .name = slice_str("test"),
                  .arch = slice_str("x86_64"),
                  .os = slice_str("linux"),
                  .program = slice_str("0")},
        .dead_after_ns = UINT64_C(3000000000),
        .n_processors = 1,
        .is_wanted = is_wanted,
    };
    side->links = meshd_links_new(&config);
    ck_assert_ptr_nonnull(side->links);
}

static void set_up(void)
{
    struct errmsg err;
    ck_assert_int_eq(wire_init(), 0);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    make_side(&sides[0], 1);
    make_side(&sides[1], 2);
    ck_assert_int_eq(meshd_links_listen(sides[1].links, "127.0.0.1", 0, 1, &err), 0);
    ck_assert_uint_ne(meshd_links_port(sides[1].links), 0);
}

static void tear_down(void)
{
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        if (sides[i].links != NULL) {
            meshd_links_close(sides[i].links, on_closed, &sides[i]);
        }
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        ck_assert(sides[i].links == NULL || sides[i].is_closed);
        wire_identity_free(sides[i].identity);
        wire_door_free(sides[i].door);
    }
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void turn(bool may_wait)
{
    bool is_more = false;
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        if (sides[i].links != NULL) {
            is_more = meshd_links_go_on(sides[i].links) || is_more;
            is_more = meshd_links_flush(sides[i].links) || is_more;
        }
    }
    uv_run(&loop, is_more || !may_wait ? UV_RUN_NOWAIT : UV_RUN_ONCE);
}

#define TURN_UNTIL(condition)                                                                      \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            turn(true);                                                                            \
        }                                                                                          \
    } while (0)

static void dial_text(uint64_t number, const char *address, bool must_be_on_link, unsigned ms)
{
    struct meshd_dial dial = {.dial = number,
                              .address = slice_str(address),
                              .must_be_on_link = must_be_on_link,
                              .timeout_ns = UINT64_C(1000000) * ms};
    meshd_links_dial(sides[0].links, &dial);
}

static void dial(uint64_t number, uint16_t port, bool must_be_on_link)
{
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    dial_text(number, address, must_be_on_link, 5000);
}

static void connect_sides(void)
{
    dial(7, meshd_links_port(sides[1].links), true);
    TURN_UNTIL(sides[0].n_up == 1 && sides[1].n_up == 1);
}

START_TEST(a_dial_becomes_a_proved_link_on_both_sides)
{
    struct wire_key key;
    connect_sides();
    ck_assert_uint_eq(sides[0].dial, 7);
    ck_assert_uint_eq(sides[1].dial, 0);
    ck_assert(sides[0].is_on_link && sides[1].is_on_link);
    ck_assert(meshd_links_peer(sides[0].links, sides[0].link, &key));
    ck_assert(wire_key_eq(&key, wire_identity_key(sides[1].identity)));
    ck_assert(meshd_links_peer(sides[1].links, sides[1].link, &key));
    ck_assert(wire_key_eq(&key, wire_identity_key(sides[0].identity)));
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", meshd_links_port(sides[1].links));
    ck_assert_str_eq(sides[0].address, wanted);
    ck_assert_str_eq(sides[1].address, ""); /* the dialling side listens nowhere */
}
END_TEST

START_TEST(a_static_dial_by_name_is_looked_up)
{
    char address[32];
    snprintf(address, sizeof(address), "localhost:%u", meshd_links_port(sides[1].links));
    dial_text(3, address, false, 5000);
    TURN_UNTIL(sides[0].n_up == 1 || sides[0].n_failed == 1);
    /* Where localhost is ::1 first, nobody listens there. */
    ck_assert(sides[0].n_up == 1 || sides[0].error == -ECONNREFUSED);
}
END_TEST

START_TEST(a_closed_port_is_refused_at_once_even_on_link)
{
    /* Bound and not listening: the port is closed, and stays ours. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(own);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&own, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&own, &n), 0);
    dial(1, ntohs(own.sin_port), true);
    TURN_UNTIL(sides[0].n_failed == 1);
    ck_assert_int_eq(sides[0].error, -ECONNREFUSED);
    close(fd);
}
END_TEST

START_TEST(a_peer_that_never_answers_times_out)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(own);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&own, n), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&own, &n), 0);
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(own.sin_port));
    dial_text(1, address, true, 50);
    TURN_UNTIL(sides[0].n_failed == 1);
    ck_assert_int_eq(sides[0].error, -ETIMEDOUT);
    close(fd);
}
END_TEST

START_TEST(nonsense_for_an_address_fails_without_a_socket)
{
    dial_text(1, "nowhere", true, 1000);
    ck_assert_uint_eq(sides[0].n_failed, 1);
    ck_assert_int_eq(sides[0].error, -EINVAL);
}
END_TEST

START_TEST(a_cancelled_dial_is_never_heard_of)
{
    dial(1, meshd_links_port(sides[1].links), true);
    meshd_links_cancel_dial(sides[0].links, 1);
    dial(2, meshd_links_port(sides[1].links), true);
    TURN_UNTIL(sides[0].n_up == 1 && sides[1].n_up == 1);
    ck_assert_uint_eq(sides[0].dial, 2);
    ck_assert_uint_eq(sides[0].n_failed, 0);
}
END_TEST

START_TEST(messages_arrive_once_and_in_order)
{
    connect_sides();
    for (uint64_t i = 1; i <= 10000; i++) {
        struct wire_message beat = {.type = WIRE_MESSAGE_BEAT, .beat = {.token = i}};
        meshd_links_send(sides[0].links, sides[0].link, &beat);
    }
    TURN_UNTIL(sides[1].last_token == 10000);
    ck_assert_uint_eq(sides[1].n_messages, 10000);
}
END_TEST

/* As if each message were much work. */
static void on_slow_event(void *user, struct core_event *event)
{
    uint64_t until_ns = uv_hrtime() + 100000;
    on_event(user, event);
    while (event->type == CORE_EVENT_MESSAGE && uv_hrtime() < until_ns) {
    }
}

/* 100 us each: a turn is over after some 5 ms. What else the loop has to do comes in between. */
START_TEST(a_flood_is_taken_a_turn_at_a_time)
{
    const uint64_t n_beats = 2000;
    const unsigned n_turn_max = 2 * (MESHD_TURN_NS + MESHD_TURN_SOURCE_NS) / 100000;
    sides[1].put = on_slow_event;
    connect_sides();
    for (uint64_t i = 1; i <= n_beats; i++) {
        struct wire_message beat = {.type = WIRE_MESSAGE_BEAT, .beat = {.token = i}};
        meshd_links_send(sides[0].links, sides[0].link, &beat);
    }
    while (sides[1].last_token < n_beats) {
        unsigned before = sides[1].n_messages;
        turn(true);
        ck_assert_uint_le(sides[1].n_messages - before, n_turn_max);
    }
}
END_TEST

static uint64_t flood_ns(uint64_t n_beats)
{
    uint64_t start_ns = uv_hrtime();
    uint64_t last = sides[1].last_token + n_beats;
    for (uint64_t i = sides[1].last_token + 1; i <= last; i++) {
        struct wire_message beat = {.type = WIRE_MESSAGE_BEAT, .beat = {.token = i}};
        meshd_links_send(sides[0].links, sides[0].link, &beat);
    }
    TURN_UNTIL(sides[1].last_token == last || sides[1].n_down > 0);
    ck_assert_msg(sides[1].n_down == 0, "the link ended: %d", (int)sides[1].end);
    return uv_hrtime() - start_ns;
}

/* 100 us each again: of one processor a quarter is the flood's while others are worked for. */
START_TEST(a_flood_rests_while_others_are_worked_for)
{
    const uint64_t n_beats = 1000;
    const uint64_t least_ns = (n_beats - 100) * 100000 * MESHD_SOURCE_PART - MESHD_SOURCE_AHEAD_NS;
    sides[1].put = on_slow_event;
    connect_sides();
    are_sides_wanted = true;
    ck_assert_uint_ge(flood_ns(n_beats), least_ns);
    are_sides_wanted = false; /* what is left of its rest is no matter then */
    ck_assert_uint_gt(flood_ns(10), 0);
}
END_TEST

START_TEST(a_goodbye_tells_the_other_side_why)
{
    connect_sides();
    meshd_links_close_link(sides[0].links, sides[0].link, WIRE_REASON_REPLACED, slice_str("old"));
    ck_assert_uint_eq(sides[0].n_down, 1);
    ck_assert_int_eq(sides[0].end, CORE_LINK_END_BY_US);
    TURN_UNTIL(sides[1].n_down == 1);
    ck_assert_int_eq(sides[1].end, CORE_LINK_END_CLOSED);
    ck_assert_int_eq(sides[1].reason, WIRE_REASON_REPLACED);
    struct wire_key key;
    ck_assert(!meshd_links_peer(sides[0].links, sides[0].link, &key));
}
END_TEST

START_TEST(a_peer_that_dies_is_noticed_at_once)
{
    connect_sides();
    meshd_links_close(sides[0].links, on_closed, &sides[0]);
    sides[0].links = NULL;
    TURN_UNTIL(sides[1].n_down == 1);
    ck_assert_int_eq(sides[1].end, CORE_LINK_END_CLOSED);
    ck_assert_int_eq(sides[1].reason, WIRE_REASON_NONE);
}
END_TEST

START_TEST(bulk_is_given_room_by_chunks_and_beats_pass_it)
{
    static uint8_t bytes[WIRE_CHUNK_BYTES_MAX];
    const uint64_t total = 8u << 20;
    uint64_t sent = 0;
    uint64_t n_beats = 0;
    connect_sides();
    size_t first;
    while ((first = meshd_links_bulk_room(sides[0].links, sides[0].link)) == 0) {
        turn(false); /* the handshake's last bytes leave */
    }
    ck_assert_uint_eq(first, 16384);
    while (sides[1].bytes < total) {
        size_t room = meshd_links_bulk_room(sides[0].links, sides[0].link);
        ck_assert_uint_le(room, WIRE_CHUNK_BYTES_MAX);
        size_t n = total - sent < room ? (size_t)(total - sent) : room;
        if (n > 0) {
            struct wire_message data = {
                .type = WIRE_MESSAGE_BLOB_DATA,
                .blob_data = {.offset = sent, .total = total, .bytes = slice_of(bytes, n)},
            };
            meshd_links_send_bulk(sides[0].links, sides[0].link, &data);
            sent += n;
            ck_assert_uint_eq(meshd_links_bulk_room(sides[0].links, sides[0].link), 0);
            struct wire_message beat = {.type = WIRE_MESSAGE_BEAT, .beat = {.token = ++n_beats}};
            meshd_links_send(sides[0].links, sides[0].link, &beat);
        }
        turn(false);
    }
    TURN_UNTIL(sides[1].last_token == n_beats);
}
END_TEST

START_TEST(own_identity_at_the_other_end_is_refused)
{
    struct errmsg err;
    ck_assert_int_eq(meshd_links_listen(sides[0].links, "127.0.0.1", 0, 1, &err), 0);
    dial(5, meshd_links_port(sides[0].links), true);
    TURN_UNTIL(sides[0].n_failed == 1);
    ck_assert_int_eq(sides[0].error, -EPROTO);
    ck_assert_int_eq(sides[0].reason, WIRE_REASON_SELF);
    ck_assert_uint_eq(sides[0].n_up, 0);
}
END_TEST

/* A socket of somebody else, whose packets arrive with this TTL. -1: it does not get through. */
static int stranger(int ttl)
{
    struct sockaddr_storage address;
    struct timeval patience = {.tv_usec = 100000};
    ck_assert_int_eq(meshd_address_set("127.0.0.1", meshd_links_port(sides[1].links), &address), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    if (connect(fd, (struct sockaddr *)&address, meshd_address_bytes(&address)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

START_TEST(packets_that_crossed_a_router_do_not_get_through)
{
    ck_assert_int_eq(stranger(254), -1);
    int fd = stranger(255);
    ck_assert_int_ge(fd, 0);
    close(fd);
}
END_TEST

START_TEST(garbage_ends_the_connection_with_a_refusal_and_is_not_reported)
{
    int fd = stranger(255);
    char garbage[4096];
    memset(garbage, 0xff, sizeof(garbage));
    ck_assert_int_eq(send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL), sizeof(garbage));
    ssize_t n = -1;
    size_t n_answer = 0;
    for (int i = 0; n != 0; i++) {
        turn(false); /* what is waited for is not the loop's */
        n = recv(fd, garbage, sizeof(garbage), MSG_DONTWAIT);
        ck_assert(n >= 0 || errno == EAGAIN);
        n_answer += n > 0 ? (size_t)n : 0;
    }
    ck_assert_uint_gt(n_answer, 0);
    ck_assert_uint_eq(sides[1].n_up + sides[1].n_down + sides[1].n_failed, 0);
    close(fd);
}
END_TEST

START_TEST(one_source_may_have_eight_handshakes_open)
{
    int fds[MESHD_HANDSHAKES_SOURCE_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = stranger(255);
        ck_assert_int_ge(fds[i], 0);
    }
    char byte;
    size_t last = ARRAY_LEN(fds) - 1;
    ssize_t n;
    do {
        turn(false); /* what is waited for is not the loop's */
        n = recv(fds[last], &byte, 1, MSG_DONTWAIT);
    } while (n < 0 && errno == EAGAIN);
    ck_assert_int_le(n, 0); /* closed, or reset */
    ck_assert(recv(fds[0], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
}
END_TEST

START_TEST(an_explicit_port_that_is_taken_is_an_error_and_a_default_one_is_not)
{
    struct errmsg err;
    uint16_t taken = meshd_links_port(sides[1].links);
    ck_assert_int_eq(meshd_links_listen(sides[0].links, "127.0.0.1", taken, 1, &err), -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err.text, "--listen"));
    ck_assert_int_eq(meshd_links_listen(sides[0].links, "127.0.0.1", taken, 32, &err), 0);
    ck_assert_uint_gt(meshd_links_port(sides[0].links), taken);
}
END_TEST

/* --- closed meshes --- */

static const struct wire_secret secret = {{1}}, other_secret = {{2}};
static const struct wire_token token = {{3}};

static void lock(struct side *side, const struct wire_secret *with)
{
    wire_door_clear(side->door);
    wire_door_lock(side->door, with);
    meshd_links_door_changed(side->links, true);
}

START_TEST(members_meet_and_are_told_by_which_secret)
{
    lock(&sides[0], &secret);
    lock(&sides[1], &secret);
    connect_sides();
    ck_assert_int_eq(sides[0].by, WIRE_DOOR_PRESENT);
    ck_assert_int_eq(sides[1].by, WIRE_DOOR_PRESENT);
    static const struct wire_token none;
    ck_assert_mem_eq(&sides[1].token, &none, sizeof(none));
}
END_TEST

START_TEST(an_outsider_is_refused_and_a_member_hears_nothing_of_it)
{
    lock(&sides[_i], &secret);
    dial(1, meshd_links_port(sides[1].links), true);
    TURN_UNTIL(sides[0].n_failed == 1);
    ck_assert_int_eq(sides[0].error, -EPROTO);
    ck_assert_int_eq(sides[0].reason, WIRE_REASON_MESH);
    ck_assert_uint_eq(sides[0].n_up + sides[1].n_up + sides[1].n_failed, 0);
}
END_TEST

static void dial_invited(const struct wire_key *key)
{
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u", meshd_links_port(sides[1].links));
    struct meshd_dial dial = {.dial = 4,
                              .address = slice_str(address),
                              .timeout_ns = UINT64_C(5000000000),
                              .has_invitation = true,
                              .invitation = token,
                              .peer = *key};
    meshd_links_dial(sides[0].links, &dial);
}

START_TEST(an_invitation_leads_from_an_open_mesh_into_a_closed_one)
{
    lock(&sides[1], &secret);
    wire_door_add_invitation(sides[1].door, &token, NULL);
    dial_invited(wire_identity_key(sides[1].identity));
    TURN_UNTIL(sides[0].n_up == 1 && sides[1].n_up == 1);
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        ck_assert_int_eq(sides[i].by, WIRE_DOOR_INVITATION);
        ck_assert_mem_eq(&sides[i].token, &token, sizeof(token));
    }
}
END_TEST

START_TEST(the_invited_meets_the_inviter_or_nobody)
{
    lock(&sides[1], &secret);
    wire_door_add_invitation(sides[1].door, &token, NULL);
    dial_invited(wire_identity_key(sides[0].identity));
    TURN_UNTIL(sides[0].n_failed == 1);
    ck_assert_int_eq(sides[0].error, -EPROTO);
    ck_assert_int_eq(sides[0].reason, WIRE_REASON_NONE);
    ck_assert_uint_eq(sides[1].n_up, 0);
}
END_TEST

START_TEST(a_member_that_was_away_is_dialled_with_its_own_secret)
{
    lock(&sides[0], &secret);
    wire_door_add_older(sides[0].door, &other_secret);
    wire_door_add_member(sides[0].door, wire_identity_key(sides[1].identity));
    lock(&sides[1], &other_secret);
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u", meshd_links_port(sides[1].links));
    struct meshd_dial dial = {
        .dial = 4, .address = slice_str(address), .timeout_ns = UINT64_C(5000000000), .older = 1};
    meshd_links_dial(sides[0].links, &dial);
    TURN_UNTIL(sides[0].n_up == 1 && sides[1].n_up == 1);
    ck_assert_int_eq(sides[0].by, WIRE_DOOR_OLDER);
    ck_assert_int_eq(sides[1].by, WIRE_DOOR_PRESENT);
}
END_TEST

START_TEST(a_new_secret_ends_what_is_not_up_and_leaves_what_is)
{
    connect_sides();
    dial(8, meshd_links_port(sides[1].links), true);
    lock(&sides[0], &secret);
    ck_assert_uint_eq(sides[0].n_failed, 1);
    ck_assert_int_eq(sides[0].error, -ECANCELED);
    struct wire_message beat = {.type = WIRE_MESSAGE_BEAT, .beat = {.token = 1}};
    meshd_links_send(sides[0].links, sides[0].link, &beat);
    TURN_UNTIL(sides[1].last_token == 1);
    ck_assert_uint_eq(sides[0].n_up + sides[1].n_up, 2);
    ck_assert_uint_eq(sides[0].n_down + sides[1].n_down, 0);
}
END_TEST

START_TEST(a_closed_mesh_takes_connections_from_beyond_routers_until_it_is_opened)
{
    lock(&sides[1], &secret);
    int fd = stranger(64);
    ck_assert_int_ge(fd, 0);
    turn(false);
    wire_door_clear(sides[1].door);
    meshd_links_door_changed(sides[1].links, true);
    ck_assert_int_eq(stranger(64), -1);
    char byte;
    ssize_t n;
    do {
        turn(false); /* what is waited for is not the loop's */
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
    } while (n < 0 && errno == EAGAIN);
    ck_assert_int_le(n, 0); /* closed: its handshake began at another door */
    close(fd);
}
END_TEST

START_TEST(addresses_are_read_and_written_alike)
{
    static const char *const good[] = {"10.0.0.1:6374", "[::1]:1", "[fe80::1%lo]:65535"};
    static const char *const bad[] = {"",     "10.0.0.1", "::1:5", "[::1]",     "[]:1",
                                      ":1",   "a:",       "a:-1",  "a:65536",   "a: 1",
                                      "[::1", "[::1]5",   "a:1x",  "[::1]:0x5", "a:+1"};
    char host[MESHD_HOST_BYTES], text[MESHD_ADDRESS_BYTES];
    uint16_t port;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct sockaddr_storage address;
        ck_assert_int_eq(meshd_address_split(slice_str(good[i]), host, &port), 0);
        ck_assert_int_eq(meshd_address_set(host, port, &address), 0);
        ck_assert_str_eq(meshd_address_format(&address, text), good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(meshd_address_split(slice_str(bad[i]), host, &port) < 0, "%s", bad[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link");
    TCase *tcase = tcase_create("link");
    tcase_set_timeout(tcase, 120); /* a flood rests by the clock, however loaded the machine is */
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_dial_becomes_a_proved_link_on_both_sides);
    tcase_add_test(tcase, a_static_dial_by_name_is_looked_up);
    tcase_add_test(tcase, a_closed_port_is_refused_at_once_even_on_link);
    tcase_add_test(tcase, a_peer_that_never_answers_times_out);
    tcase_add_test(tcase, nonsense_for_an_address_fails_without_a_socket);
    tcase_add_test(tcase, a_cancelled_dial_is_never_heard_of);
    tcase_add_test(tcase, messages_arrive_once_and_in_order);
    tcase_add_test(tcase, a_flood_is_taken_a_turn_at_a_time);
    tcase_add_test(tcase, a_flood_rests_while_others_are_worked_for);
    tcase_add_test(tcase, a_goodbye_tells_the_other_side_why);
    tcase_add_test(tcase, a_peer_that_dies_is_noticed_at_once);
    tcase_add_test(tcase, bulk_is_given_room_by_chunks_and_beats_pass_it);
    tcase_add_test(tcase, own_identity_at_the_other_end_is_refused);
    tcase_add_test(tcase, packets_that_crossed_a_router_do_not_get_through);
    tcase_add_test(tcase, garbage_ends_the_connection_with_a_refusal_and_is_not_reported);
    tcase_add_test(tcase, one_source_may_have_eight_handshakes_open);
    tcase_add_test(tcase, an_explicit_port_that_is_taken_is_an_error_and_a_default_one_is_not);
    tcase_add_test(tcase, members_meet_and_are_told_by_which_secret);
    tcase_add_loop_test(tcase, an_outsider_is_refused_and_a_member_hears_nothing_of_it, 0, 2);
    tcase_add_test(tcase, an_invitation_leads_from_an_open_mesh_into_a_closed_one);
    tcase_add_test(tcase, the_invited_meets_the_inviter_or_nobody);
    tcase_add_test(tcase, a_member_that_was_away_is_dialled_with_its_own_secret);
    tcase_add_test(tcase, a_new_secret_ends_what_is_not_up_and_leaves_what_is);
    tcase_add_test(tcase, a_closed_mesh_takes_connections_from_beyond_routers_until_it_is_opened);
    tcase_add_test(tcase, addresses_are_read_and_written_alike);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
