/* What peers tell each other of the rest, so that half-working multicast still gives a whole mesh.
 * Only peers with a proved session are told of; who is told of is dialled at a capped rate. */
#include "mesh/core/peer.h"

static void fill_entry(struct core *core, const struct core_peer *peer,
                       struct wire_peer_entry *entry)
{
    struct slice *addresses = core_batch_alloc(core, 1, sizeof(*addresses));
    addresses[0] = core_batch_copy(core, slice_str(peer->address));
    *entry = (struct wire_peer_entry){
        .key = peer->key,
        .name = core_batch_copy(core, slice_str(peer->name)),
        .addresses = {.items = addresses, .n = 1},
    };
}

static void tell(struct core *core, struct core_peer *to, const struct wire_peer_entry *entries,
                 uint32_t n)
{
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS};
    message.peers = (struct wire_peers){.items = entries, .n = n};
    core_send(core, to, &message);
}

void core_gossip_link_up(struct core *core, struct core_peer *peer)
{
    struct wire_peer_entry *others =
        core_batch_alloc(core, WIRE_PEERS_MAX, sizeof(struct wire_peer_entry));
    struct wire_peer_entry *this = core_batch_alloc(core, 1, sizeof(*this));
    fill_entry(core, peer, this);
    uint32_t n = 0;
    table_for_each (entry, &core->peers) {
        struct core_peer *other = LIST_ENTRY(entry, struct core_peer, by_key);
        if (other == peer || other->is_self || other->link == NULL) {
            continue;
        }
        if (n < WIRE_PEERS_MAX && other->address[0] != '\0') {
            fill_entry(core, other, &others[n++]);
        }
        if (!peer->is_announced && peer->address[0] != '\0') {
            tell(core, other, this, 1);
        }
    }
    peer->is_announced = true;
    if (n > 0) {
        tell(core, peer, others, n);
    }
}

void core_gossip_on_peers(struct core *core, const struct wire_peers *peers)
{
    for (uint32_t i = 0; i < peers->n; i++) {
        const struct wire_peer_entry *entry = &peers->items[i];
        if (wire_key_eq(&entry->key, &core->self->key) || wire_key_is_zero(&entry->key)) {
            continue;
        }
        struct core_peer *known = core_peer_find(core, &entry->key);
        if (known != NULL && known->link != NULL) {
            continue;
        }
        struct core_peer *peer = core_peer_get(core, &entry->key);
        if (peer == NULL) {
            return;
        }
        uint32_t n_known = peer->n_addresses;
        for (uint32_t j = 0; j < entry->addresses.n; j++) {
            core_dial_add_address(peer, entry->addresses.items[j], CORE_SOURCE_GOSSIP);
        }
        if (peer->n_addresses == n_known) {
            continue; /* no news: it is dialled in its own time */
        }
        uint64_t at_ns = core->gossip_ns > core->now_ns ? core->gossip_ns : core->now_ns;
        core->gossip_ns = at_ns + CORE_S / CORE_GOSSIP_PER_S;
        core_dial_start(core, peer, at_ns - core->now_ns);
    }
}
