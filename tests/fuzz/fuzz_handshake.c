/* A network that belongs to an attacker: two honest peers with a handshake in each role, a third
 * peer with the attacker's key, and an input that says in its first byte what doors they have (see
 * enum scene), and then what reaches whom, four bytes a step: what is done, which frame, to whom,
 * how much. Frames are handed on as they are or changed, hellos are rewritten and signed with the
 * attacker's key. Whatever he does, whoever ends up proved with an honest peer has that peer for
 * its other end, in the same session, with the same version; and he himself is proved to nobody
 * whose door keeps him out. */
#include <sodium.h>

#include "tests/fuzz/fuzz.h"
#include "wire/handshake.h"

enum party { ALICE, BOB, MALLORY, N_PARTIES };

enum scene {
    OPEN,    /* the open mesh: he is in it */
    CLOSED,  /* a closed one that banned him: he has its secret of before */
    AWAY,    /* the same, but Alice was away and knows neither of the ban nor of the new secret */
    INVITED, /* Alice dials with an invitation that Bob bound to her, and that he got hold of */
    N_SCENES,
};

#define SIDES      6u
#define FRAMES_MAX 64u
#define STEPS_MAX  48u

struct side {
    enum party party;
    struct wire_handshake handshake;
};

struct network {
    enum scene scene;
    struct side sides[SIDES];
    struct buf said; /* every frame, one after the other */
    size_t ends[FRAMES_MAX];
    unsigned n_frames;
};

static struct wire_identity *identities[N_PARTIES];
static struct wire_door *doors[N_SCENES][N_PARTIES];
static const struct wire_token token = {{0x70}};

/* Member of a mesh with one secret: the new one, with the old one behind it; or still the old. */
static void lock(enum scene scene, enum party party, bool is_new)
{
    static const struct wire_secret old_secret = {{0x01}}, new_secret = {{0x02}};
    struct wire_door *door = doors[scene][party];
    wire_door_lock(door, is_new ? &new_secret : &old_secret);
    wire_door_add_member(door, wire_identity_key(identities[ALICE]));
    wire_door_add_member(door, wire_identity_key(identities[BOB]));
    if (is_new) {
        wire_door_add_older(door, &old_secret);
        wire_door_add_ban(door, wire_identity_key(identities[MALLORY]));
    } else {
        wire_door_add_member(door, wire_identity_key(identities[MALLORY]));
    }
}

static void set_up(void)
{
    ensure(wire_init() == 0);
    for (enum party party = 0; party < N_PARTIES; party++) {
        uint8_t seed[WIRE_SEED_BYTES] = {(uint8_t)(party + 1)};
        identities[party] = wire_identity_new(seed);
        ensure(identities[party] != NULL);
        for (enum scene scene = 0; scene < N_SCENES; scene++) {
            doors[scene][party] = wire_door_new();
            ensure(doors[scene][party] != NULL);
        }
    }
    for (enum party party = 0; party < N_PARTIES; party++) {
        lock(CLOSED, party, party != MALLORY);
        lock(AWAY, party, party == BOB);
    }
    lock(INVITED, BOB, true);
    lock(INVITED, MALLORY, false);
    wire_door_add_invitation(doors[INVITED][BOB], &token, wire_identity_key(identities[ALICE]));
    wire_door_add_invitation(doors[INVITED][MALLORY], &token, NULL);
}

/* Whether the attacker is proved to it only if something is wrong. */
static bool keeps_him_out(enum scene scene, unsigned i, enum party party)
{
    bool dials_bob = scene == INVITED && i == 0;
    return dials_bob ||
           wire_door_is_banned(doors[scene][party], wire_identity_key(identities[MALLORY]));
}

static struct wire_session_config config_of(enum scene scene, unsigned i, enum party party)
{
    struct wire_session_config config = {
        .identity = identities[party],
        .door = doors[scene][party],
        .is_initiator = i % 2 == 0,
        .hello = {.version_min = 1, .version_max = 2, .cores = 4, .name = slice_str("fuzz")},
    };
    if (config.is_initiator && scene == AWAY && party == BOB) {
        config.older = 1; /* the one that Alice may still know */
    }
    if (config.is_initiator && scene == INVITED && party != BOB) {
        config.invitation = &token;
        config.peer = wire_identity_key(identities[BOB]);
    }
    memset(config.random, 0x11 * (int)(i + 1), sizeof(config.random));
    return config;
}

/* Notes the frames that were appended from `begin` on. */
static void note(struct network *network, size_t begin)
{
    struct slice rest = slice_from(buf_slice(&network->said), begin), frame;
    while (rest.n > 0 && network->n_frames < FRAMES_MAX) {
        ensure(wire_frame_peek(rest, WIRE_HELLO_BYTES_MAX, &frame) == 1);
        begin += WIRE_PREFIX_BYTES + frame.n;
        network->ends[network->n_frames++] = begin;
        rest = slice_from(rest, WIRE_PREFIX_BYTES + frame.n);
    }
    network->said.n = begin; /* no more than is noted */
}

static void begin(struct network *network, enum scene scene)
{
    static const enum party parties[SIDES] = {ALICE, BOB, BOB, ALICE, MALLORY, MALLORY};
    if (identities[0] == NULL) {
        set_up();
    }
    *network = (struct network){.scene = scene};
    buf_init(&network->said, 1u << 18);
    for (unsigned i = 0; i < SIDES; i++) {
        struct wire_session_config config = config_of(scene, i, parties[i]);
        size_t n_said = network->said.n;
        network->sides[i].party = parties[i];
        ensure(wire_handshake_init(&network->sides[i].handshake, &config, &network->said) == 0);
        note(network, n_said);
    }
}

/* Frame i without its prefix. */
static struct slice frame_of(const struct network *network, unsigned i)
{
    size_t from = (i > 0 ? network->ends[i - 1] : 0) + WIRE_PREFIX_BYTES;
    return slice_of(network->said.p + from, network->ends[i] - from);
}

static void deliver(struct network *network, struct side *side, struct slice frame)
{
    enum wire_reason reason = WIRE_REASON_NONE;
    struct errmsg err = {""};
    struct buf out;
    buf_init(&out, 1u << 14);
    enum wire_handshake_state before = side->handshake.state;
    if (before != WIRE_HANDSHAKE_PROVED && frame.n > WIRE_MAGIC_BYTES) {
        int r = wire_handshake_frame(&side->handshake, frame, &out, &reason, &err);
        ensure((side->handshake.state == WIRE_HANDSHAKE_FAILED) == (r < 0));
        /* That somebody else answers is no fault of the other end's, which is told none. */
        ensure(r == 0 || reason != WIRE_REASON_NONE || side->handshake.has_expected);
        ensure(r == 0 || err.text[0] != '\0');
        ensure(r == 0 || out.n == 0 || before != WIRE_HANDSHAKE_WAIT_HELLO);
    }
    size_t n_said = network->said.n;
    buf_append_slice(&network->said, buf_slice(&out));
    buf_done(&out);
    note(network, n_said);
}

/* `bytes` with a few changed: u8 place, u8 mask, as often as there are. */
static void change(uint8_t *bytes, size_t n, struct slice changes)
{
    for (size_t i = 0; i + 2 <= changes.n && n > 0; i += 2) {
        bytes[changes.p[i] * n / 256] ^= changes.p[i + 1];
    }
}

/* A hello of whatever the attacker likes to say, with the signature it needs. */
static size_t forge(const struct slice hello, enum wire_role role, struct slice changes,
                    uint8_t to[static WIRE_HELLO_BYTES_MAX])
{
    const size_t head = WIRE_MAGIC_BYTES + 1, body = head + WIRE_SIGNATURE_BYTES;
    memcpy(to, hello.p, hello.n);
    if (hello.n <= body) {
        return hello.n;
    }
    /* Versions and key stand at fixed places: [array, min, max, bin 32, length, key...]. */
    if (hello.n >= body + 5 + 32) {
        memcpy(to + body + 5, wire_identity_key(identities[MALLORY])->b, 32);
    }
    change(to + body, hello.n - body, changes);
    uint8_t digest[32];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(digest));
    crypto_generichash_update(&state, (const uint8_t *)WIRE_LABEL_HELLO, sizeof(WIRE_LABEL_HELLO));
    crypto_generichash_update(&state, (const uint8_t[]){(uint8_t)role}, 1);
    crypto_generichash_update(&state, to + body, hello.n - body);
    crypto_generichash_final(&state, digest, sizeof(digest));
    wire_identity_sign(identities[MALLORY], slice_of(digest, sizeof(digest)), to + head);
    return hello.n;
}

static bool is_other_end(const struct side *one, const struct side *other)
{
    return other != one && other->handshake.has_session && other->party != MALLORY &&
           other->handshake.role != one->handshake.role &&
           wire_key_eq(&one->handshake.peer.key, wire_identity_key(identities[other->party])) &&
           wire_key_eq(&other->handshake.peer.key, wire_identity_key(identities[one->party])) &&
           memcmp(one->handshake.session_id, other->handshake.session_id, WIRE_SESSION_ID_BYTES) ==
               0 &&
           one->handshake.version == 2 && other->handshake.version == 2;
}

static void check(const struct network *network)
{
    for (unsigned i = 0; i < SIDES; i++) {
        const struct side *side = &network->sides[i];
        if (side->party == MALLORY || side->handshake.state != WIRE_HANDSHAKE_PROVED) {
            continue;
        }
        if (wire_key_eq(&side->handshake.peer.key, wire_identity_key(identities[MALLORY]))) {
            ensure(!keeps_him_out(network->scene, i, side->party));
            continue;
        }
        unsigned n_ends = 0;
        for (unsigned k = 0; k < SIDES; k++) {
            n_ends += is_other_end(side, &network->sides[k]);
        }
        ensure(n_ends == 1);
    }
}

/* What step[0] says: hand on, hand on changed, rewrite and sign, or bytes of the input itself. */
static size_t step(struct network *network, struct slice input)
{
    uint8_t bytes[WIRE_HELLO_BYTES_MAX];
    unsigned act = input.p[0] % 4;
    struct side *side = &network->sides[input.p[2] % SIDES];
    struct slice frame = frame_of(network, input.p[1] % network->n_frames);
    struct slice rest = slice_from(input, 4);
    struct slice argument = slice_of(rest.p, rest.n < input.p[3] ? rest.n : input.p[3]);
    switch (act) {
    case 0:
        deliver(network, side, frame);
        return 4;
    case 1:
        memcpy(bytes, frame.p, frame.n);
        change(bytes, frame.n, argument);
        deliver(network, side, slice_of(bytes, frame.n));
        break;
    case 2: {
        enum wire_role role =
            side->handshake.role == WIRE_ROLE_INITIATOR ? WIRE_ROLE_RESPONDER : WIRE_ROLE_INITIATOR;
        deliver(network, side, slice_of(bytes, forge(frame, role, argument, bytes)));
        break;
    }
    default:
        memcpy(bytes, WIRE_MAGIC, WIRE_MAGIC_BYTES);
        memcpy(bytes + WIRE_MAGIC_BYTES, argument.p, argument.n);
        deliver(network, side, slice_of(bytes, WIRE_MAGIC_BYTES + argument.n));
        break;
    }
    return 4 + argument.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct network network;
    struct slice input = slice_of(bytes, n);
    if (n == 0 || n > 4096) {
        return 0;
    }
    begin(&network, input.p[0] % N_SCENES);
    input = slice_from(input, 1);
    for (unsigned i = 0; i < STEPS_MAX && input.n >= 4; i++) {
        input = slice_from(input, step(&network, input));
        check(&network);
    }
    for (unsigned i = 0; i < SIDES; i++) {
        wire_handshake_done(&network.sides[i].handshake);
    }
    buf_done(&network.said);
    return 0;
}
