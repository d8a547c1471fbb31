/* The file is text, one peer a line: KEY SEEN ADDRESS[,ADDRESS...] NAME. */
#include "mesh/known_peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/identity.h"

#define RENEW_S 3600

struct meshd_known_peers {
    struct meshd_known_peer *items; /* owned; grown in steps up to the maximum */
    size_t n;
    size_t cap;
};

struct meshd_known_peers *meshd_known_peers_new(void)
{
    return mem_alloc(1, sizeof(struct meshd_known_peers));
}

struct meshd_known_peers *meshd_known_peers_free(struct meshd_known_peers *known)
{
    if (known != NULL) {
        mem_free(known->items);
    }
    return mem_free(known);
}

static struct meshd_known_peer *find(struct meshd_known_peers *known, const struct wire_key *key)
{
    for (size_t i = 0; i < known->n; i++) {
        if (wire_key_eq(&known->items[i].key, key)) {
            return &known->items[i];
        }
    }
    return NULL;
}

static bool is_at_host(const struct meshd_known_peer *peer, struct slice address)
{
    const void *colon = memrchr(address.p, ':', address.n);
    size_t n = colon != NULL ? (size_t)((const uint8_t *)colon - address.p) + 1 : address.n;
    return strlen(peer->addresses[0]) >= n && memcmp(peer->addresses[0], address.p, n) == 0;
}

/* Of those at the same host, or of all when the address is empty. *ret_n: how many those are. */
static struct meshd_known_peer *longest_unseen(struct meshd_known_peers *known,
                                               struct slice address, size_t *ret_n)
{
    struct meshd_known_peer *oldest = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < known->n; i++) {
        struct meshd_known_peer *peer = &known->items[i];
        if (address.n == 0 || is_at_host(peer, address)) {
            (*ret_n)++;
            oldest = oldest == NULL || peer->seen_s < oldest->seen_s ? peer : oldest;
        }
    }
    return oldest;
}

/* Who makes room for one more at that address; NULL: nobody has to. */
static struct meshd_known_peer *to_replace(struct meshd_known_peers *known, struct slice address)
{
    size_t n;
    struct meshd_known_peer *peer = longest_unseen(known, address, &n);
    if (n >= MESHD_KNOWN_HOST_MAX && address.n > 0) {
        return peer;
    }
    return known->n == MESHD_KNOWN_PEERS_MAX ? longest_unseen(known, slice_str(""), &n) : NULL;
}

/* NULL when memory is short: then this peer is not remembered, which harms nobody now. */
static struct meshd_known_peer *add(struct meshd_known_peers *known, const struct wire_key *key,
                                    struct slice address)
{
    struct meshd_known_peer *peer = to_replace(known, address);
    if (peer == NULL) {
        if (known->n == known->cap) {
            size_t cap = known->cap > 0 ? 2 * known->cap : 8;
            struct meshd_known_peer *items = mem_realloc(known->items, cap, sizeof(*items));
            if (items == NULL) {
                return NULL;
            }
            known->items = items;
            known->cap = cap;
        }
        ensure(known->items != NULL);
        peer = &known->items[known->n++];
    }
    *peer = (struct meshd_known_peer){.key = *key};
    return peer;
}

/* Moves the address to the front, or puts it there and drops the last. Whether anything changed. */
static bool put_address(struct meshd_known_peer *peer, const char *address)
{
    uint32_t at = 0;
    while (at < peer->n_addresses && strcmp(peer->addresses[at], address) != 0) {
        at++;
    }
    if (at == 0 && peer->n_addresses > 0) {
        return false;
    }
    if (at == peer->n_addresses) {
        if (peer->n_addresses < MESHD_KNOWN_ADDRESSES_MAX) {
            peer->n_addresses++;
        } else {
            at--;
        }
    }
    memmove(peer->addresses[1], peer->addresses[0], at * sizeof(peer->addresses[0]));
    IGNORE(snprintf(peer->addresses[0], sizeof(peer->addresses[0]), "%s", address)); /* fits */
    return true;
}

/* Text that can stand in a line of the file: without space, comma and controls. */
static bool is_word(struct slice s, size_t n_max)
{
    if (s.n == 0 || s.n > n_max) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] == ',' || s.p[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

bool meshd_known_peers_remember(struct meshd_known_peers *known, const struct wire_key *key,
                                struct slice address, struct slice name, int64_t now_s)
{
    char text[WIRE_ADDRESS_BYTES_MAX + 1];
    if (!is_word(address, WIRE_ADDRESS_BYTES_MAX)) {
        return false;
    }
    memcpy(text, address.p, address.n);
    text[address.n] = '\0';
    struct meshd_known_peer *peer = find(known, key);
    if (peer == NULL) {
        peer = add(known, key, address);
        if (peer == NULL) {
            return false;
        }
    }
    bool is_changed = put_address(peer, text);
    text_printable(name, peer->name, sizeof(peer->name));
    if (is_changed || now_s - peer->seen_s >= RENEW_S || now_s < peer->seen_s) {
        peer->seen_s = now_s;
        is_changed = true;
    }
    return is_changed;
}

/* Cuts the next field off at `mark`; NULL when there is none. */
static char *next_field(char **line, const char *mark)
{
    char *field = strsep(line, mark);
    return field != NULL && field[0] != '\0' ? field : NULL;
}

static int parse_line(struct meshd_known_peers *known, char *line, int64_t now_s)
{
    char *key_text = next_field(&line, " ");
    char *seen_text = next_field(&line, " ");
    char *addresses = next_field(&line, " ");
    struct wire_key key;
    uint64_t seen_s;
    if (addresses == NULL || wire_key_parse(key_text, &key) < 0 ||
        text_parse_u64(seen_text, INT64_MAX, &seen_s) < 0 || find(known, &key) != NULL) {
        return -EINVAL;
    }
    if (now_s - (int64_t)seen_s > MESHD_KNOWN_S_MAX || known->n == MESHD_KNOWN_PEERS_MAX) {
        return -ESTALE;
    }
    struct meshd_known_peer peer = {.key = key, .seen_s = (int64_t)seen_s};
    for (char *one; (one = next_field(&addresses, ",")) != NULL;) {
        if (!is_word(slice_str(one), WIRE_ADDRESS_BYTES_MAX)) {
            return -EINVAL;
        }
        if (peer.n_addresses < MESHD_KNOWN_ADDRESSES_MAX) {
            memcpy(peer.addresses[peer.n_addresses++], one, strlen(one) + 1);
        }
    }
    text_printable(slice_str(line), peer.name, sizeof(peer.name));
    struct meshd_known_peer *added = add(known, &key, slice_str(""));
    if (added == NULL) {
        return -ENOMEM;
    }
    *added = peer;
    return 0;
}

unsigned meshd_known_peers_parse(struct meshd_known_peers *known, struct slice text, int64_t now_s)
{
    unsigned n_skipped = 0;
    char line[1024];
    while (text.n > 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
        if (n < sizeof(line)) {
            memcpy(line, text.p, n);
            line[n] = '\0';
        }
        if (n >= sizeof(line) || parse_line(known, line, now_s) < 0) {
            n_skipped++;
        }
        size_t n_used = end != NULL ? n + 1 : n;
        text = slice_from(text, n_used);
    }
    return n_skipped;
}

void meshd_known_peers_format(const struct meshd_known_peers *known, struct buf *to)
{
    for (size_t i = 0; i < known->n; i++) {
        const struct meshd_known_peer *peer = &known->items[i];
        char key[WIRE_KEY_TEXT_BYTES];
        buf_printf(to, "%s %lld ", wire_key_text(&peer->key, key), (long long)peer->seen_s);
        for (uint32_t j = 0; j < peer->n_addresses; j++) {
            buf_printf(to, "%s%s", j > 0 ? "," : "", peer->addresses[j]);
        }
        buf_printf(to, " %s\n", peer->name);
    }
}

bool meshd_known_peers_has(const struct meshd_known_peers *known, const struct wire_key *key)
{
    for (size_t i = 0; i < known->n; i++) {
        if (wire_key_eq(&known->items[i].key, key)) {
            return true;
        }
    }
    return false;
}

size_t meshd_known_peers_count(const struct meshd_known_peers *known)
{
    return known->n;
}

const struct meshd_known_peer *meshd_known_peers_at(const struct meshd_known_peers *known, size_t i)
{
    ensure(i < known->n);
    return &known->items[i];
}
