/* Attacks with frames and bodies, by a peer that was let in. */
#include "tests/lab/attacker.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"

#define CROWD 500u

static void put_beat(struct buf *body, uint64_t token)
{
    struct wire_message beat = {.type = WIRE_MESSAGE_BEAT,
                                .beat = {.token = token, .interval_ms = 500, .cores = 4}};
    wire_body_begin(body, 1);
    int rc = wire_message_encode(&beat, body);
    ensure(rc == 0);
}

/* Enters, says one thing, and listens to what it is told for it. */
static void say_once(struct raid *raid, void (*say)(struct foe *foe))
{
    while (!raid_is_over(raid)) {
        struct foe foe;
        foe_init(&foe, raid, NULL);
        if (foe_enter(&foe) == 0) {
            say(&foe);
            raid->n_sent++;
            while (foe_pump(&foe, 50) == 0 && (foe.out.n > 0 || !raid_is_over(raid))) {
            }
        } else {
            raid_pause(1);
        }
        foe_done(&foe);
    }
}

static void say_bad_frame(struct foe *foe)
{
    struct buf body;
    buf_init(&body, WIRE_BODY_BYTES_MAX);
    put_beat(&body, 1);
    if (foe->raid->n_sent % 2 == 0) {
        foe_seal_unsigned(foe, buf_slice(&body));
    } else { /* the seal itself */
        foe_seal_body(foe, buf_slice(&body));
        foe->out.p[foe->out.n - 1] ^= 1;
    }
    buf_done(&body);
}

void attack_bad_frame(struct raid *raid)
{
    say_once(raid, say_bad_frame);
}

static void say_twice(struct foe *foe)
{
    struct buf body;
    buf_init(&body, WIRE_BODY_BYTES_MAX);
    put_beat(&body, 1);
    buf_clear(&foe->out);
    foe_seal_body(foe, buf_slice(&body));
    buf_done(&body);
    struct buf frame = foe->out;
    buf_init(&foe->out, (size_t)64 << 20);
    foe_send_raw(foe, buf_slice(&frame));
    foe_send_raw(foe, buf_slice(&frame));
    buf_done(&frame);
}

void attack_replayed_frame(struct raid *raid)
{
    say_once(raid, say_twice);
}

/* Five bytes that claim four thousand million of something, at each place where there is a count.
 */
static void say_huge_count(struct foe *foe)
{
    static const uint8_t huge_body[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t huge_message[] = {0x91, 0xdd, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t huge_list[] = {0x91, 0x92, 0x04, 0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t huge_text[] = {0x91, 0x93, 0x01, 0x01, 0xdb, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t huge_bin[] = {0x91, 0x92, 0x18, 0xc6, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t huge_map[] = {0x91, 0x92, 0x7f, 0xdf, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t huge_ids[] = {0x91, 0x92, 0x11, 0xdd, 0x00, 0x10, 0x00, 0x00};
    const struct slice bodies[] = {
        slice_of(huge_body, sizeof(huge_body)), slice_of(huge_message, sizeof(huge_message)),
        slice_of(huge_list, sizeof(huge_list)), slice_of(huge_text, sizeof(huge_text)),
        slice_of(huge_bin, sizeof(huge_bin)),   slice_of(huge_map, sizeof(huge_map)),
        slice_of(huge_ids, sizeof(huge_ids)),
    };
    foe_seal_body(foe, bodies[foe->raid->n_sent % ARRAY_LEN(bodies)]);
}

void attack_huge_counts(struct raid *raid)
{
    say_once(raid, say_huge_count);
}

/* Arrays in arrays, as deep as a frame is long: in a known message, in an unknown one. */
static void say_deep(struct foe *foe)
{
    struct buf body;
    buf_init(&body, WIRE_BODY_BYTES_MAX);
    const uint8_t head[] = {0x91, 0x92, foe->raid->n_sent % 2 == 0 ? 0x04 : 0x3e};
    uint8_t *to = buf_reserve(&body, WIRE_BODY_BYTES_MAX);
    ensure(to != NULL);
    memset(to, 0x91, WIRE_BODY_BYTES_MAX);
    memcpy(to, head, sizeof(head));
    buf_extend(&body, WIRE_BODY_BYTES_MAX);
    foe_seal_body(foe, buf_slice(&body));
    buf_done(&body);
}

void attack_deep_nesting(struct raid *raid)
{
    say_once(raid, say_deep);
}

/* --- many that hold on to memory ---------------------------------------------------------------
 */

/* Brings up as many as the target takes, and keeps their number up. */
static void keep_up(struct foe *foes, unsigned n, void (*on_up)(struct foe *foe))
{
    for (unsigned i = 0; i < n && !raid_is_over(foes[i].raid); i++) {
        struct foe *foe = &foes[i];
        struct raid *raid = foe->raid;
        if (foe->fd < 0) {
            foe_done(foe);
            foe_init(foe, raid, NULL);
            if (foe_enter(foe) < 0) {
                foe_done(foe);
                foe_init(foe, raid, NULL);
                return;
            }
            on_up(foe);
        }
    }
}

static void hold(struct raid *raid, void (*on_up)(struct foe *foe), void (*go_on)(struct foe *foe),
                 unsigned turn_ms)
{
    struct foe *foes = mem_alloc_or_die(CROWD, sizeof(*foes));
    for (unsigned i = 0; i < CROWD; i++) {
        foe_init(&foes[i], raid, NULL);
    }
    while (!raid_is_over(raid)) {
        keep_up(foes, CROWD, on_up);
        for (unsigned i = 0; i < CROWD && go_on != NULL; i++) {
            if (foes[i].fd >= 0) {
                go_on(&foes[i]);
            }
        }
        foe_pump_all(foes, CROWD, turn_ms);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        foe_done(&foes[i]);
    }
    mem_free(foes);
}

/* The largest frame there is, but for its last bytes, which come one by one. */
static void begin_frame(struct foe *foe)
{
    uint8_t *bytes = mem_alloc_or_die(1, WIRE_FRAME_BYTES_MAX);
    wire_put_u32(bytes, WIRE_FRAME_BYTES_MAX);
    foe_send_raw(foe, slice_of(bytes, WIRE_FRAME_BYTES_MAX - 60000));
    mem_free(bytes);
    foe->raid->n_sent++;
}

static void go_on_frame(struct foe *foe)
{
    static const uint8_t byte = 0;
    if (foe->out.n == 0) {
        foe_send_raw(foe, slice_of(&byte, 1));
    }
}

void attack_slow_frames(struct raid *raid)
{
    hold(raid, begin_frame, go_on_frame, 100);
}

/* Asks for answers and reads none of them. */
static void begin_deaf(struct foe *foe)
{
    foe->is_deaf = true;
}

static void go_on_deaf(struct foe *foe)
{
    if (foe->out.n > FOE_BACKLOG_BYTES) {
        return;
    }
    uint8_t zeros[WIRE_PEERS_SUMS * 8] = {0};
    struct wire_message sum = {.type = WIRE_MESSAGE_PEERS_SUM};
    sum.peers_sum.sums = slice_of(zeros, sizeof(zeros));
    foe_say(foe, &sum);
    for (unsigned i = 0; i < 2000; i++) {
        struct wire_message beat = {.type = WIRE_MESSAGE_BEAT,
                                    .beat = {.token = UINT64_MAX - i, .interval_ms = 500}};
        foe_say(foe, &beat);
    }
    foe_seal(foe);
}

void attack_deaf(struct raid *raid)
{
    hold(raid, begin_deaf, go_on_deaf, 1);
}
