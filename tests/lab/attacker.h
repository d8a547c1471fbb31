/* A hostile peer: it speaks the protocol of wire/README.md as far as it takes to be listened to,
 * and then misbehaves in one of the ways that attacker.c lists.
 *
 * It stands on frames and the handshake and leaves the session out, because it must be able to say
 * what a session never would. One thread, one `struct raid` for its whole life, a `struct foe` for
 * each connection. Nothing here may decide whether a test passes: it only counts what it said. */
#ifndef MESH_TESTS_ATTACKER_H
#define MESH_TESTS_ATTACKER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "wire/base/buf.h"
#include "wire/base/slice.h"
#include "wire/door.h"
#include "wire/handshake.h"
#include "wire/identity.h"
#include "wire/message.h"

#define FOE_TIMEOUT_MS 2000u
/* What a connection may have waiting before more is made up for it. */
#define FOE_BACKLOG_BYTES (256u << 10)

/* One attack on one daemon. */
struct raid {
    struct sockaddr_storage target;
    char host[64]; /* the target as text, for hearsay */
    unsigned port;
    struct wire_door *door; /* open, as the target's is */
    uint64_t until_ns;      /* by the monotonic clock */
    volatile sig_atomic_t is_told_to_end;
    uint64_t n_least; /* messages to be sent before that */
    uint64_t n_sent;  /* messages, or frames or records where there are no messages */
    uint64_t n_up;    /* sessions that were proved */
    uint64_t seed;    /* of what is made up */
};

/* One connection, with an identity of its own unless it was lent one. */
struct foe {
    struct raid *raid;
    int fd; /* -1: closed */
    struct wire_identity *identity;
    bool is_identity_lent;
    struct wire_handshake handshake;
    bool is_up;   /* both proofs were given */
    bool is_deaf; /* it reads nothing */
    struct buf in, out, plain;
    struct buf body; /* messages said and not sealed yet, without their array's header */
    uint32_t n_body;
    uint32_t cores;       /* it claims to offer */
    struct slice name;    /* it claims to have */
    uint64_t last_job;    /* of what the target placed here */
    struct wire_key peer; /* the target's key, once it is up */
    /* May be NULL. What the target says; beats are acknowledged before. */
    void (*on_message)(struct foe *foe, const struct wire_message *message);
};

/* --- attacker_foe.c --- */

uint64_t raid_now_ns(void);
bool raid_is_over(const struct raid *raid);
/* Sleeps. */
void raid_pause(unsigned ms);
uint64_t raid_random(struct raid *raid);
void raid_bytes(struct raid *raid, void *to, size_t n);

/* A connection that is about to be opened; a fresh identity with its hello, or the one that is lent
 * (borrowed). */
void foe_init(struct foe *foe, struct raid *raid, struct wire_identity *lent);
/* Closes without a word. */
void foe_done(struct foe *foe);

/* Connects. 0 or -errno. */
int foe_connect(struct foe *foe);
/* Puts the hello of the handshake into `out`, not sent yet. */
void foe_hello(struct foe *foe);
/* Connects and goes through the whole handshake. 0, or -errno, or -EPROTO when it was refused. */
int foe_enter(struct foe *foe);

/* Adds one message to the next frame, which foe_seal() closes when it is due. */
void foe_say(struct foe *foe, const struct wire_message *message);
/* Seals what was said into one frame in `out`. */
void foe_seal(struct foe *foe);
/* A frame of this body, properly signed and sealed, whatever is in it. */
void foe_seal_body(struct foe *foe, struct slice body);
/* A frame whose seal is good and whose signature is not. */
void foe_seal_unsigned(struct foe *foe, struct slice body);
/* Bytes as they are. */
void foe_send_raw(struct foe *foe, struct slice bytes);

/* Moves bytes both ways for at most so long, or until nothing is left to be written and something
 * was heard. 0; -EPIPE once the target has closed. */
int foe_pump(struct foe *foe, unsigned wait_ms);
/* The same for many at once, once around. How many are still open. */
unsigned foe_pump_all(struct foe *foes, unsigned n, unsigned wait_ms);
/* n sessions until the raid is over, replaced when they are cut. `begin` is called for each new
 * one, `go_on` in each round for those that have little left to be written; what they say is
 * sealed. */
void foe_serve(struct raid *raid, unsigned n, void (*begin)(struct foe *foe),
               void (*go_on)(struct foe *foe));
void foe_say_nothing(struct foe *foe);

/* --- the attacks: each runs until the raid is over --- */

/* attacker_door.c: before anybody is proved */
void attack_bad_hello(struct raid *raid);
void attack_bad_proof(struct raid *raid);
void attack_bad_lengths(struct raid *raid);
void attack_half_handshakes(struct raid *raid);
void attack_slow_hellos(struct raid *raid);
void attack_hellos(struct raid *raid);
void attack_replayed_hello(struct raid *raid);
void attack_reflected_hello(struct raid *raid);
void attack_keys_in_turn(struct raid *raid);
void attack_keys_at_once(struct raid *raid);

/* attacker_frames.c: frames and bodies of a session */
void attack_bad_frame(struct raid *raid);
void attack_replayed_frame(struct raid *raid);
void attack_huge_counts(struct raid *raid);
void attack_deep_nesting(struct raid *raid);
void attack_slow_frames(struct raid *raid);
void attack_deaf(struct raid *raid);

/* attacker_floods.c: messages that are allowed, far too many of them */
void attack_beats(struct raid *raid);
void attack_wants(struct raid *raid);
void attack_inventories(struct raid *raid);
void attack_grants(struct raid *raid);
void attack_blob_wants(struct raid *raid);
void attack_hearsay(struct raid *raid);
void attack_sums(struct raid *raid);
void attack_names(struct raid *raid);

/* attacker_tasks.c: as an owner of tasks, and as an executor */
void attack_jobs(struct raid *raid);
void attack_sizes(struct raid *raid);
void attack_arguments(struct raid *raid);
void attack_output(struct raid *raid);
void attack_wrong_blobs(struct raid *raid);
void attack_long_blobs(struct raid *raid);
void attack_results(struct raid *raid);
void attack_stolen_results(struct raid *raid);
void attack_streams(struct raid *raid);

/* attacker_mdns.c */
void attack_mdns(struct raid *raid);

#endif
