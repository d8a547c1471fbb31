/* Where owners come from: an owner that makes itself many keys gets no more cores by it. In an open
 * mesh those with the same source address are one origin; where a secret says who may join, each
 * key is its own. An origin exists while a peer refers to it. */
#include <assert.h>
#include <string.h>

#include "mesh/core/exec.h"
#include "mesh/core/peer.h"
#include "mesh/core/trust.h"
#include "wire/base/mem.h"

/* --- addresses ---------------------------------------------------------------------------------
 */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One group of up to four digits; how many characters it took, 0: none. */
static size_t parse_group(const char *s, size_t n, uint16_t *ret_group)
{
    size_t i = 0;
    unsigned value = 0;
    for (; i < n && i < 4 && hex_digit(s[i]) >= 0; i++) {
        value = value << 4 | (unsigned)hex_digit(s[i]);
    }
    *ret_group = (uint16_t)value;
    return i;
}

/* The first four groups of an IPv6 address; false when it is none, or ends in dotted decimals. */
static bool parse_prefix(const char *s, size_t n, uint16_t prefix[static 4])
{
    uint16_t groups[8] = {0};
    unsigned n_groups = 0;
    unsigned i_gap = 8; /* "::" stands before this group; 8: nowhere */
    size_t i = 0;
    if (n >= 2 && s[0] == ':' && s[1] == ':') {
        i_gap = 0;
        i = 2;
    }
    while (i < n && n_groups < 8) {
        size_t n_read = parse_group(&s[i], n - i, &groups[n_groups]);
        i += n_read;
        n_groups++;
        if (n_read == 0 || (i < n && s[i] != ':')) {
            return false;
        }
        i += i < n;
        if (i < n && s[i] == ':') {
            if (i_gap < 8) {
                return false;
            }
            i_gap = n_groups;
            i++;
        }
    }
    if (i < n || (i_gap == 8 && n_groups < 8)) {
        return false;
    }
    unsigned n_zeros = 8 - n_groups;
    for (unsigned k = 0; k < 4; k++) {
        prefix[k] = k < i_gap ? groups[k] : k < i_gap + n_zeros ? 0 : groups[k - n_zeros];
    }
    return true;
}

static void put(char to[static CORE_ORIGIN_BYTES], const char *s, size_t n)
{
    n = n < CORE_ORIGIN_BYTES ? n : CORE_ORIGIN_BYTES - 1;
    memcpy(to, s, n);
}

void core_origin_text(const char *address, char to[static CORE_ORIGIN_BYTES])
{
    memset(to, 0, CORE_ORIGIN_BYTES);
    if (address[0] != '[') {
        const char *colon = strrchr(address, ':');
        put(to, address, colon != NULL ? (size_t)(colon - address) : strlen(address));
        return;
    }
    const char *host = address + 1;
    size_t n = strcspn(host, "]");
    size_t n_bare = strcspn(host, "%]");
    static const char mapped[] = "::ffff:";
    size_t n_mapped = sizeof(mapped) - 1;
    if (n_bare > n_mapped && memcmp(host, mapped, n_mapped) == 0 &&
        memchr(host, '.', n_bare) != NULL) {
        put(to, host + n_mapped, n_bare - n_mapped);
        return;
    }
    uint16_t prefix[4];
    bool is_parsed = parse_prefix(host, n_bare, prefix);
    if (!is_parsed || (prefix[0] & 0xffc0) == 0xfe80) {
        put(to, host, n); /* of one link, its scope included */
        return;
    }
    static const char digits[] = "0123456789abcdef";
    char *at = to;
    for (unsigned k = 0; k < 4; k++) {
        for (int shift = 12; shift >= 0; shift -= 4) {
            *at++ = digits[prefix[k] >> shift & 0xf];
        }
        *at++ = k < 3 ? ':' : '/';
    }
}

/* --- turns -------------------------------------------------------------------------------------
 */

uint64_t core_origin_rank(const struct core_origin *origin)
{
    static_assert(WIRE_CORES_MAX < 1u << 16, "cores fit above 2^48 starts");
    return (uint64_t)origin->cores_used << 48 | origin->served;
}

void core_origin_turn(struct core *core, struct core_origin *origin)
{
    uint64_t rank = core_origin_rank(origin);
    if (list_is_empty(&origin->waiting)) {
        heap_remove(&core->turns, &origin->by_turn);
    } else if (!heap_has(&origin->by_turn) || origin->by_turn.at_ns != rank) {
        heap_set(&core->turns, &origin->by_turn, rank);
    }
}

static bool is_before(const struct core_peer *a, const struct core_peer *b)
{
    return a->cores_used != b->cores_used ? a->cores_used < b->cores_used : a->served < b->served;
}

struct core_peer *core_origin_next_owner(const struct core_origin *origin)
{
    struct core_peer *best = LIST_ENTRY(origin->waiting.next, struct core_peer, queued);
    list_for_each (node, &origin->waiting) {
        struct core_peer *owner = LIST_ENTRY(node, struct core_peer, queued);
        best = is_before(owner, best) ? owner : best;
    }
    return best;
}

bool core_is_working_for_others(const struct core *core, const struct wire_key *key)
{
    const struct core_peer *peer = core_peer_find(core, key);
    const struct core_origin *origin = peer != NULL ? peer->origin : NULL;
    return core->cores_used > (origin != NULL ? origin->cores_used : 0);
}

/* --- memory ------------------------------------------------------------------------------------
 */

static uint64_t bytes_max(const struct core *core)
{
    uint64_t quarter = core->config.mem_bytes / 4;
    return quarter > 0 && quarter < CORE_OTHERS_BYTES_MAX ? quarter : CORE_OTHERS_BYTES_MAX;
}

bool core_origin_has_room(const struct core *core, const struct core_peer *owner, uint64_t bytes)
{
    uint64_t max = bytes_max(core);
    return owner->is_self || (core->others_bytes + bytes <= max &&
                              owner->origin->bytes + bytes <= max - core->others_bytes - bytes);
}

void core_origin_weigh(struct core *core, struct core_peer *owner, uint64_t before, uint64_t after)
{
    if (owner->is_self) {
        return;
    }
    ensure(owner->bytes_here >= before);
    owner->bytes_here += after - before;
    owner->origin->bytes += after - before;
    core->others_bytes += after - before;
}

/* --- origins -----------------------------------------------------------------------------------
 */

void core_origin_drop(struct core *core, struct core_peer *peer)
{
    struct core_origin *origin = peer->origin;
    if (origin == NULL) {
        return;
    }
    origin->cores_used -= peer->cores_used;
    origin->bytes -= peer->bytes_here;
    origin->n_peers--;
    peer->origin = NULL;
    list_remove(&peer->queued);
    core_origin_turn(core, origin);
    if (origin->n_peers == 0) {
        table_remove(&core->origins, &origin->by_text);
        mem_free(origin);
    }
}

void core_origin_set(struct core *core, struct core_peer *peer)
{
    char text[CORE_ORIGIN_BYTES] = {0};
    if (peer->is_self || core_trust_is_locked(core) || peer->address[0] == '\0') {
        static_assert(1 + WIRE_KEY_BYTES <= CORE_ORIGIN_BYTES, "a key fits");
        text[0] = '='; /* which begins no address */
        memcpy(&text[1], peer->key.b, WIRE_KEY_BYTES);
    } else {
        core_origin_text(peer->address, text);
    }
    if (peer->origin != NULL && memcmp(peer->origin->text, text, sizeof(text)) == 0) {
        return;
    }
    core_origin_drop(core, peer);
    struct table_entry *entry = table_find(&core->origins, text);
    struct core_origin *origin =
        entry != NULL ? LIST_ENTRY(entry, struct core_origin, by_text) : NULL;
    if (origin == NULL) {
        origin = mem_alloc_or_die(1, sizeof(*origin));
        memcpy(origin->text, text, sizeof(text));
        list_init(&origin->waiting);
        table_insert(&core->origins, &origin->by_text, origin->text);
    }
    origin->cores_used += peer->cores_used;
    origin->bytes += peer->bytes_here;
    origin->n_peers++;
    peer->origin = origin;
}
