/* Floods of messages that each would be in order. */
#include <stdio.h>

#include "tests/lab/attacker.h"
#include "wire/base/mem.h"

#define SESSIONS 8u
#define BATCH    1000u

/* Some sessions, each saying all that it can. */
static void flood(struct raid *raid, void (*say)(struct foe *foe))
{
    foe_serve(raid, SESSIONS, foe_say_nothing, say);
}

static struct wire_attempt_id make_id(struct foe *foe)
{
    return (struct wire_attempt_id){
        .job = UINT64_C(1) << 32 | (raid_random(foe->raid) % 8 + 1),
        .task = (uint32_t)(raid_random(foe->raid) % 1000 + 1),
        .incarnation = 1,
        .number = (uint32_t)(raid_random(foe->raid) % 3 + 1),
    };
}

static void say_beats(struct foe *foe)
{
    for (unsigned i = 0; i < BATCH; i++) {
        /* Numbers that differ each time, so that each is news to whoever watches. */
        uint32_t x = (uint32_t)raid_random(foe->raid);
        struct wire_message beat = {.type = WIRE_MESSAGE_BEAT,
                                    .beat = {.token = i,
                                             .interval_ms = x,
                                             .cores = x % WIRE_CORES_MAX,
                                             .free = x % 7,
                                             .n_queued = x}};
        foe_say(foe, &beat);
    }
}

void attack_beats(struct raid *raid)
{
    flood(raid, say_beats);
}

static void say_wants(struct foe *foe)
{
    for (unsigned i = 0; i < BATCH; i++) {
        struct wire_message want = {.type = WIRE_MESSAGE_WANT};
        want.want.n_tasks = (uint32_t)raid_random(foe->raid) % 3 * 100000;
        want.want.cores = (uint32_t)raid_random(foe->raid);
        foe_say(foe, &want);
        struct wire_message credit = {.type = WIRE_MESSAGE_CREDIT};
        credit.credit.n_tasks = (uint32_t)raid_random(foe->raid) % WIRE_CREDIT_MAX;
        foe_say(foe, &credit);
    }
}

void attack_wants(struct raid *raid)
{
    flood(raid, say_wants);
}

static void say_inventories(struct foe *foe)
{
    static struct wire_held_attempt items[WIRE_IDS_MAX];
    static struct wire_attempt_id ids[WIRE_IDS_MAX];
    for (unsigned i = 0; i < WIRE_IDS_MAX; i++) {
        items[i] = (struct wire_held_attempt){.id = make_id(foe), .held = 1 + i % 3};
        ids[i] = items[i].id;
    }
    struct wire_message inventory = {.type = WIRE_MESSAGE_INVENTORY};
    inventory.inventory.items = items;
    inventory.inventory.n = WIRE_IDS_MAX;
    inventory.inventory.is_last = raid_random(foe->raid) % 2 == 0;
    foe_say(foe, &inventory);
    struct wire_message recall = {.type = WIRE_MESSAGE_RECALL};
    recall.recall.ids.items = ids;
    recall.recall.ids.n = WIRE_IDS_MAX;
    foe_say(foe, &recall);
    struct wire_message drop = {.type = WIRE_MESSAGE_DROP};
    drop.drop.ids = recall.recall.ids;
    foe_say(foe, &drop);
    struct wire_message keep = {.type = WIRE_MESSAGE_KEEP};
    keep.keep.ids = recall.recall.ids;
    foe_say(foe, &keep);
}

void attack_inventories(struct raid *raid)
{
    flood(raid, say_inventories);
}

static void say_grants(struct foe *foe)
{
    for (unsigned i = 0; i < BATCH; i++) {
        struct wire_message grant = {.type = WIRE_MESSAGE_GRANT};
        grant.grant.id = make_id(foe);
        raid_bytes(foe->raid, grant.grant.peer.b, sizeof(grant.grant.peer.b));
        foe_say(foe, &grant);
    }
}

void attack_grants(struct raid *raid)
{
    flood(raid, say_grants);
}

/* Of blobs that are not there: of the target's, and in another owner's name, which may wait. */
static void say_blob_wants(struct foe *foe)
{
    for (unsigned i = 0; i < BATCH; i++) {
        struct wire_message want = {.type = WIRE_MESSAGE_BLOB_WANT};
        raid_bytes(foe->raid, want.blob_want.hash.b, sizeof(want.blob_want.hash.b));
        want.blob_want.offset = raid_random(foe->raid);
        if (i % 2 == 0) {
            raid_bytes(foe->raid, want.blob_want.owner.b, sizeof(want.blob_want.owner.b));
        }
        foe_say(foe, &want);
    }
}

void attack_blob_wants(struct raid *raid)
{
    flood(raid, say_blob_wants);
}

/* --- peers that are not there ------------------------------------------------------------------
 */

/* 10,000 keys in all; each with more cores than anybody has, under a new version each time. */
static void say_hearsay(struct foe *foe)
{
    struct wire_peer_entry entries[WIRE_PEERS_MAX];
    static char texts[WIRE_PEERS_MAX][WIRE_PEER_ADDRESSES_MAX][WIRE_ADDRESS_BYTES_MAX + 1];
    struct slice addresses[WIRE_PEERS_MAX][WIRE_PEER_ADDRESSES_MAX];
    for (unsigned i = 0; i < WIRE_PEERS_MAX; i++) {
        struct wire_peer_entry *entry = &entries[i];
        *entry = (struct wire_peer_entry){
            .name = slice_str("legion"), .arch = slice_str("x86_64"), .cores = WIRE_CORES_MAX};
        uint32_t number = (uint32_t)(raid_random(foe->raid) % 10000);
        for (unsigned k = 0; k < WIRE_KEY_BYTES; k++) {
            entry->key.b[k] = (uint8_t)(number >> (k % 2 * 8)) ^ (uint8_t)(k * 37);
        }
        for (unsigned k = 0; k < WIRE_PEER_ADDRESSES_MAX; k++) {
            /* On the link, where nobody answers, or where nobody listens. */
            int n = snprintf(texts[i][k], sizeof(texts[i][k]), "10.99.0.%u:%u",
                             (unsigned)(raid_random(foe->raid) % 250 + 1), 1024 + k);
            addresses[i][k] = slice_of(texts[i][k], (size_t)n);
        }
        entry->addresses.items = addresses[i];
        entry->addresses.n = WIRE_PEER_ADDRESSES_MAX;
        entry->version = (UINT64_C(1) << 32) + foe->raid->n_sent;
        entry->is_gone = raid_random(foe->raid) % 4 == 0;
    }
    struct wire_message peers = {.type = WIRE_MESSAGE_PEERS};
    peers.peers.items = entries;
    peers.peers.n = WIRE_PEERS_MAX;
    foe_say(foe, &peers);
}

void attack_hearsay(struct raid *raid)
{
    flood(raid, say_hearsay);
}

/* Hearsay first, so that there is much to be told back. */
static void say_sums(struct foe *foe)
{
    if (foe->last_job++ % 1000 < 50) {
        say_hearsay(foe);
    }
    uint8_t sums[WIRE_PEERS_SUMS * 8];
    raid_bytes(foe->raid, sums, sizeof(sums));
    struct wire_message sum = {.type = WIRE_MESSAGE_PEERS_SUM};
    sum.peers_sum.sums = slice_of(sums, sizeof(sums));
    foe_say(foe, &sum);
}

void attack_sums(struct raid *raid)
{
    flood(raid, say_sums);
}

/* --- names -------------------------------------------------------------------------------------
 */

static const char *const evil_names[] = {
    "\033]0;owned\007",
    "\033[2J\033[31mred",
    "a\r\nb\n\tc\\",
    "\302\233"
    "31mc1",
    "\342\200\256gnp.exe",
    "%s%n%s%n",
    "\xef\xbb\xbf"
    "bom",
};

/* Stays with one name, so that it can be looked at, and tells of others under such names. */
void attack_names(struct raid *raid)
{
    struct foe foes[ARRAY_LEN(evil_names)];
    for (unsigned i = 0; i < ARRAY_LEN(foes); i++) {
        foe_init(&foes[i], raid, NULL);
    }
    while (!raid_is_over(raid)) {
        for (unsigned i = 0; i < ARRAY_LEN(foes); i++) {
            if (foes[i].fd >= 0) {
                continue;
            }
            foe_done(&foes[i]);
            foe_init(&foes[i], raid, NULL);
            foes[i].name = slice_str(evil_names[i]);
            if (foe_enter(&foes[i]) < 0) {
                foe_done(&foes[i]);
                foe_init(&foes[i], raid, NULL);
                raid_pause(20);
                continue;
            }
            struct slice address = slice_str("\033[7m:1");
            struct wire_peer_entry entry = {.name = slice_str(evil_names[i]),
                                            .arch = slice_str("\033[5m"),
                                            .addresses = {.items = &address, .n = 1},
                                            .version = UINT64_C(1) << 32};
            raid_bytes(raid, entry.key.b, sizeof(entry.key.b));
            struct wire_message peers = {.type = WIRE_MESSAGE_PEERS,
                                         .peers = {.items = &entry, .n = 1}};
            foe_say(&foes[i], &peers);
            foe_seal(&foes[i]);
        }
        foe_pump_all(foes, ARRAY_LEN(foes), 20);
    }
    for (unsigned i = 0; i < ARRAY_LEN(foes); i++) {
        foe_done(&foes[i]);
    }
}
