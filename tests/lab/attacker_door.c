/* Attacks on the door: all that an unproved stranger can do, and proved ones in great numbers. */
#include <errno.h>
#include <unistd.h>

#include "tests/lab/attacker.h"
#include "wire/base/mem.h"

#define MANY 2000u

/* The frame in `out` gets one bit wrong, so many bytes behind its prefix. */
static void spoil(struct foe *foe, size_t at)
{
    ensure(WIRE_PREFIX_BYTES + at < foe->out.n);
    foe->out.p[WIRE_PREFIX_BYTES + at] ^= 1;
}

/* Until the target said something or closed, or so long. */
static void hear_something(struct foe *foe, unsigned ms)
{
    uint64_t until_ns = raid_now_ns() + UINT64_C(1000000) * ms;
    size_t before = foe->in.n;
    while (foe->fd >= 0 && foe->in.n == before && raid_now_ns() < until_ns) {
        IGNORE(foe_pump(foe, ms)); /* fd tells */
    }
}

void attack_bad_hello(struct raid *raid)
{
    while (!raid_is_over(raid)) {
        struct foe foe;
        foe_init(&foe, raid, NULL);
        if (foe_connect(&foe) == 0) {
            foe_hello(&foe);
            /* The signature, or the signed body. */
            size_t at = WIRE_MAGIC_BYTES + 1 + raid_random(raid) % (foe.out.n - 16);
            spoil(&foe, at);
            raid->n_sent++;
            hear_something(&foe, 50);
        }
        foe_done(&foe);
    }
}

void attack_bad_proof(struct raid *raid)
{
    while (!raid_is_over(raid)) {
        struct foe foe;
        foe_init(&foe, raid, NULL);
        if (foe_connect(&foe) == 0) {
            foe_hello(&foe);
            struct buf hello = foe.out;
            buf_init(&foe.out, (size_t)1 << 20);
            foe.handshake.identity = NULL; /* hears nothing by itself yet */
            buf_append_slice(&foe.out, buf_slice(&hello));
            buf_done(&hello);
            while (foe.fd >= 0 && foe.in.n < 300 && foe_pump(&foe, 200) == 0 && foe.in.n > 0) {
            }
            uint8_t proof[WIRE_PREFIX_BYTES + WIRE_MAGIC_BYTES + 1 + WIRE_STREAM_HEADER_BYTES + 81];
            raid_bytes(raid, proof, sizeof(proof));
            wire_put_u32(proof, sizeof(proof) - WIRE_PREFIX_BYTES);
            memcpy(proof + WIRE_PREFIX_BYTES, WIRE_MAGIC, WIRE_MAGIC_BYTES);
            proof[WIRE_PREFIX_BYTES + WIRE_MAGIC_BYTES] = WIRE_HANDSHAKE_PROOF;
            if (foe.fd >= 0) {
                foe_send_raw(&foe, slice_of(proof, sizeof(proof)));
                raid->n_sent += 2;
                hear_something(&foe, 50);
            }
        }
        foe_done(&foe);
    }
}

void attack_bad_lengths(struct raid *raid)
{
    static const uint32_t lengths[] = {0,    1,      4,       5,        2048,       2049,
                                       5000, 100000, 2097233, 20000000, 0x7fffffff, 0xffffffff};
    for (unsigned i = 0; !raid_is_over(raid); i++) {
        struct foe foe;
        foe_init(&foe, raid, NULL);
        bool is_proved = i % 2 == 1;
        if ((is_proved ? foe_enter(&foe) : foe_connect(&foe)) == 0) {
            uint8_t bytes[4096];
            raid_bytes(raid, bytes, sizeof(bytes));
            wire_put_u32(bytes, lengths[i / 2 % ARRAY_LEN(lengths)]);
            memcpy(bytes + WIRE_PREFIX_BYTES, WIRE_MAGIC, WIRE_MAGIC_BYTES);
            bytes[WIRE_PREFIX_BYTES + WIRE_MAGIC_BYTES] = (uint8_t)(i % 5);
            foe_send_raw(&foe, slice_of(bytes, sizeof(bytes)));
            raid->n_sent++;
            hear_something(&foe, 20);
        }
        foe_done(&foe);
    }
}

/* A crowd of connections that is kept up: whoever is closed is replaced. */
static void crowd(struct raid *raid, unsigned n, void (*begin)(struct foe *foe),
                  void (*go_on)(struct foe *foe), unsigned turn_ms)
{
    struct foe *foes = mem_alloc_or_die(n, sizeof(*foes));
    for (unsigned i = 0; i < n; i++) {
        foe_init(&foes[i], raid, NULL);
    }
    while (!raid_is_over(raid)) {
        for (unsigned i = 0; i < n && !raid_is_over(raid); i++) {
            if (foes[i].fd < 0) {
                foe_done(&foes[i]);
                foe_init(&foes[i], raid, NULL);
                if (foe_connect(&foes[i]) == 0) {
                    begin(&foes[i]);
                } else {
                    foe_done(&foes[i]);
                    foe_init(&foes[i], raid, NULL);
                    break; /* the target takes no more at the moment */
                }
            } else if (go_on != NULL) {
                go_on(&foes[i]);
            }
        }
        foe_pump_all(foes, n, turn_ms);
    }
    for (unsigned i = 0; i < n; i++) {
        foe_done(&foes[i]);
    }
    mem_free(foes);
}

/* The hello, and not a byte more. */
static void begin_half(struct foe *foe)
{
    foe_hello(foe);
    foe->handshake.identity = NULL; /* never answers */
    foe->raid->n_sent++;
}

void attack_half_handshakes(struct raid *raid)
{
    crowd(raid, MANY, begin_half, NULL, 1);
}

/* A hello whose bytes come one by one: all of it waits in `body`. */
static void begin_slow(struct foe *foe)
{
    foe_hello(foe);
    buf_append_slice(&foe->body, buf_slice(&foe->out));
    buf_clear(&foe->out);
    foe->handshake.identity = NULL;
}

static void go_on_slow(struct foe *foe)
{
    if (foe->body.n > 0) {
        foe_send_raw(foe, slice_of(foe->body.p, 1));
        buf_consume(&foe->body, 1);
        foe->raid->n_sent++;
    }
}

void attack_slow_hellos(struct raid *raid)
{
    crowd(raid, 200, begin_slow, go_on_slow, 100);
}

void attack_hellos(struct raid *raid)
{
    while (!raid_is_over(raid)) {
        struct foe foe;
        foe_init(&foe, raid, NULL);
        if (foe_connect(&foe) == 0) {
            foe_hello(&foe);
            foe.handshake.identity = NULL;
            raid->n_sent++;
            /* Leaves as soon as the target has done its work on the answer. */
            while (foe.fd >= 0 && foe.in.n == 0 && foe_pump(&foe, 50) == 0 && foe.out.n > 0) {
            }
        }
        foe_done(&foe);
    }
}

/* The hello of a session that was proved, again and again, and behind it that session's proof. */
void attack_replayed_hello(struct raid *raid)
{
    struct foe first;
    struct buf said;
    buf_init(&said, (size_t)1 << 20);
    foe_init(&first, raid, NULL);
    if (foe_connect(&first) == 0) {
        foe_hello(&first);
        buf_append_slice(&said, buf_slice(&first.out));
        while (!first.is_up && foe_pump(&first, 500) == 0) {
        }
    }
    while (!raid_is_over(raid)) {
        struct foe foe;
        foe_init(&foe, raid, NULL);
        if (foe_connect(&foe) == 0) {
            foe_send_raw(&foe, buf_slice(&said));
            raid->n_sent++;
            hear_something(&foe, 20);
        }
        foe_done(&foe);
    }
    buf_done(&said);
    foe_done(&first);
}

/* What the target says comes back to it, on the same connection and on another. */
void attack_reflected_hello(struct raid *raid)
{
    struct buf heard;
    buf_init(&heard, (size_t)1 << 20);
    while (!raid_is_over(raid)) {
        struct foe foe;
        foe_init(&foe, raid, NULL);
        if (foe_connect(&foe) == 0 && heard.n > 0) {
            foe_send_raw(&foe, buf_slice(&heard));
            raid->n_sent++;
            hear_something(&foe, 20);
        } else if (foe.fd >= 0) {
            foe_hello(&foe);
            foe.handshake.identity = NULL;
            raid->n_sent++;
        }
        buf_clear(&heard);
        if (foe.fd >= 0 && foe_pump(&foe, 50) == 0 && foe.in.n > 0) {
            buf_append_slice(&heard, buf_slice(&foe.in));
            foe_send_raw(&foe, buf_slice(&heard));
            raid->n_sent++;
            hear_something(&foe, 20);
        }
        foe_done(&foe);
    }
    buf_done(&heard);
}

/* One key after the other, each tried, proved if the target lets it in, none staying. */
void attack_keys_in_turn(struct raid *raid)
{
    while (!raid_is_over(raid)) {
        struct foe foe;
        foe_init(&foe, raid, NULL);
        IGNORE(foe_enter(&foe)); /* the raid counts those that were let in */
        raid->n_sent++;
        foe_done(&foe);
    }
}

static void begin_key(struct foe *foe)
{
    foe_hello(foe);
    foe->raid->n_sent++;
}

/* As many as the target lets in, new ones for those that it does not, all staying, all wanting
 * something. */
static void go_on_key(struct foe *foe)
{
    if (foe->is_up && foe->last_job == 0) {
        struct wire_message want = {.type = WIRE_MESSAGE_WANT, .want = {1000, 1000}};
        foe_say(foe, &want);
        foe_seal(foe);
        foe->last_job = 1;
    }
}

void attack_keys_at_once(struct raid *raid)
{
    crowd(raid, MANY, begin_key, go_on_key, 1);
}
