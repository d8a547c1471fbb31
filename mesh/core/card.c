/* The cards of everybody we ever heard of: who it is, where it can be dialled, and what is said
 * of it. A session with somebody, a dial, or tasks make a core_peer besides (peer.c). */
#include <string.h>

#include "mesh/core/peer.h"
#include "mesh/core/queue.h"
#include "wire/base/mem.h"

/* --- addresses ---------------------------------------------------------------------------------
 */

static void address_drop(struct core_card *card, uint32_t i)
{
    struct core_address **at = &card->addresses;
    for (uint32_t k = 0; k < i; k++) {
        at = &(*at)->next;
    }
    struct core_address *address = *at;
    ensure(address != NULL); /* n_addresses counts them */
    *at = address->next;
    mem_free(address);
    card->n_addresses--;
    if (card->peer != NULL) {
        card->peer->i_address -= card->peer->i_address > i;
    }
}

const char *core_card_address(const struct core_card *card, uint32_t i)
{
    const struct core_address *address = card->addresses;
    for (; address != NULL && i > 0; i--) {
        address = address->next;
    }
    return address != NULL ? address->text : NULL;
}

bool core_card_has_address(const struct core_card *card, struct slice text)
{
    for (const struct core_address *address = card->addresses; address != NULL;
         address = address->next) {
        if (slice_eq_str(text, address->text)) {
            return true;
        }
    }
    return false;
}

void core_card_drop_source(struct core_card *card, unsigned source)
{
    uint32_t i = 0;
    struct core_address *next;
    for (struct core_address *address = card->addresses; address != NULL; address = next) {
        next = address->next;
        address->sources &= (uint8_t) ~(1u << source);
        if (address->sources == 0) {
            address_drop(card, i);
        } else {
            i++;
        }
    }
}

void core_card_drop_address(struct core_card *card, const char *text)
{
    uint32_t i = 0;
    for (struct core_address *address = card->addresses; address != NULL; i++) {
        if (strcmp(address->text, text) == 0) {
            address_drop(card, i);
            return;
        }
        address = address->next;
    }
}

void core_card_drop_addresses(struct core_card *card)
{
    while (card->n_addresses > 0) {
        address_drop(card, 0);
    }
}

bool core_card_has_source(const struct core_card *card, unsigned source)
{
    for (const struct core_address *address = card->addresses; address != NULL;
         address = address->next) {
        if (address->sources & (1u << source)) {
            return true;
        }
    }
    return false;
}

void core_card_add_address(struct core_card *card, struct slice text, unsigned source)
{
    if (text.n == 0 || text.n > WIRE_ADDRESS_BYTES_MAX) {
        return;
    }
    for (struct core_address *address = card->addresses; address != NULL; address = address->next) {
        if (slice_eq_str(text, address->text)) {
            address->sources |= (uint8_t)(1u << source);
            return;
        }
    }
    if (card->n_addresses == WIRE_PEER_ADDRESSES_MAX) {
        if (source == CORE_SOURCE_GOSSIP) {
            return; /* hearsay displaces nothing */
        }
        address_drop(card, 0);
    }
    struct core_address *address = mem_alloc(1, sizeof(*address) + text.n + 1);
    if (address == NULL) {
        return; /* somebody will name it again */
    }
    memcpy(address->text, text.p, text.n);
    address->sources = (uint8_t)(1u << source);
    struct core_address **last = &card->addresses;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = address;
    card->n_addresses++;
}

void core_card_prove_address(struct core_card *card, struct slice text)
{
    for (struct core_address *address = card->addresses; address != NULL; address = address->next) {
        if (address->sources & 1u << CORE_SOURCE_PROVED) { /* once, and still one to try */
            address->sources &= (uint8_t) ~(1u << CORE_SOURCE_PROVED);
            address->sources |= 1u << CORE_SOURCE_GOSSIP;
        }
    }
    core_card_add_address(card, text, CORE_SOURCE_PROVED);
}

const char *core_card_proved_address(const struct core_card *card)
{
    for (const struct core_address *address = card->addresses; address != NULL;
         address = address->next) {
        if (address->sources & 1u << CORE_SOURCE_PROVED) {
            return address->text;
        }
    }
    return "";
}

/* --- what is said of it ------------------------------------------------------------------------
 */

const char *core_card_name(const struct core_card *card)
{
    const char *texts = card->texts != NULL ? card->texts : "";
    return card->peer != NULL ? card->peer->name : texts;
}

const char *core_card_arch(const struct core_card *card)
{
    const char *texts = card->texts != NULL ? card->texts + strlen(card->texts) + 1 : "";
    return card->peer != NULL ? card->peer->arch : texts;
}

uint32_t core_card_cores(const struct core_card *card)
{
    return card->peer != NULL ? card->peer->cores : card->cores;
}

bool core_card_is_meant(const struct core_card *card, const char *text)
{
    return strcmp(core_card_name(card), text) == 0 || wire_id_matches(&card->key, text);
}

static void set_texts(struct core_card *card, const char *name, const char *arch)
{
    size_t n_name = strlen(name) + 1;
    size_t n_arch = strlen(arch) + 1;
    if (card->texts != NULL && strcmp(card->texts, name) == 0 &&
        strcmp(card->texts + n_name, arch) == 0) {
        return;
    }
    card->texts = mem_free(card->texts);
    card->texts = mem_alloc(n_name + n_arch, 1);
    if (card->texts != NULL) { /* else it has no name until it is told of again */
        memcpy(card->texts, name, n_name);
        memcpy(card->texts + n_name, arch, n_arch);
    }
}

void core_card_set_facts(struct core_card *card, struct slice name, struct slice arch,
                         uint32_t cores)
{
    struct core_peer *peer = card->peer;
    if (peer != NULL) {
        core_text_set(peer->name, sizeof(peer->name), name);
        core_text_set(peer->arch, sizeof(peer->arch), arch);
        peer->cores = peer->free = cores;
        return;
    }
    char name_text[sizeof(peer->name)];
    char arch_text[sizeof(peer->arch)];
    core_text_set(name_text, sizeof(name_text), name);
    core_text_set(arch_text, sizeof(arch_text), arch);
    set_texts(card, name_text, arch_text);
    card->cores = cores;
}

uint64_t core_card_term(const struct core_card *card)
{
    return card->version == 0
               ? 0
               : core_sparse_mix(card->key_hash ^ card->version << 1 ^ (card->is_gone ? 1 : 0));
}

unsigned core_card_part(const struct core_card *card)
{
    return card->key.b[1] % WIRE_PEERS_SUMS;
}

void core_card_set_news(struct core *core, struct core_card *card, uint64_t version, bool is_gone)
{
    uint64_t *sum = &core->sums[core_card_part(card)];
    *sum ^= core_card_term(card);
    card->version = version;
    card->is_gone = is_gone;
    *sum ^= core_card_term(card);
}

/* --- state -------------------------------------------------------------------------------------
 */

unsigned core_card_state(const struct core_card *card)
{
    return card->peer != NULL ? card->peer->state : card->state;
}

enum wire_peer_state core_card_wire_state(const struct core_card *card)
{
    switch ((enum core_peer_state)core_card_state(card)) {
    case CORE_PEER_UP:
    case CORE_PEER_KNOWN:
        return WIRE_PEER_UP;
    case CORE_PEER_SUSPECT:
    case CORE_PEER_LOST:
        return WIRE_PEER_SUSPECT;
    case CORE_PEER_REFUSED:
        return WIRE_PEER_REFUSED;
    case CORE_PEER_CONFLICT:
        return WIRE_PEER_CONFLICT;
    case CORE_PEER_NEW:
    case CORE_PEER_DOWN:
    case CORE_N_PEER_STATES:
        break;
    }
    return WIRE_PEER_DOWN;
}

bool core_card_move(struct core *core, struct core_card *card, enum core_peer_cause cause)
{
    if (card->peer != NULL) {
        return core_peer_move(core, card->peer, cause);
    }
    if (!core_move(&core->moves, CORE_MACHINE_PEER, &card->state, cause)) {
        return false;
    }
    char id[WIRE_ID_TEXT_BYTES];
    core_log(core, CORE_LOG_INFO, "%s (%s) is %s: %s", core_card_name(card),
             wire_id_text(&card->key, id), core_state_text(CORE_MACHINE_PEER, card->state),
             core_cause_text(CORE_MACHINE_PEER, cause));
    core->are_peers_changed = true;
    core->is_check_due = true; /* it may be the one that a job waits for, or was */
    core->is_place_due = true;
    core_sparse_changed(core);
    core_queue_sight_changed(core);
    return true;
}

/* --- life --------------------------------------------------------------------------------------
 */

struct core_card *core_card_find(const struct core *core, const struct wire_key *key)
{
    struct table_entry *entry = table_find(&core->cards, key);
    return entry != NULL ? LIST_ENTRY(entry, struct core_card, by_key) : NULL;
}

struct core_card *core_card_get(struct core *core, const struct wire_key *key)
{
    struct core_card *card = core_card_find(core, key);
    if (card != NULL || core->cards.n >= CORE_PEERS_MAX) {
        return card;
    }
    card = mem_alloc(1, sizeof(*card));
    if (card == NULL) {
        return NULL;
    }
    card->key = *key;
    card->key_hash = core_sparse_key_hash(key);
    card->state = CORE_PEER_NEW;
    card->told_ns = core->now_ns;
    card->score = core->self != NULL ? core_sparse_score(&core->self->key, key) : 0;
    list_init(&card->news);
    table_insert(&core->cards, &card->by_key, &card->key);
    return card;
}

bool core_card_is_needed(const struct core *core, const struct core_card *card)
{
    bool is_fresh =
        core->is_sparse && card->version > 0 && core->now_ns - card->told_ns < CORE_TOLD_NS;
    if (is_fresh || core_card_state(card) == CORE_PEER_KNOWN) {
        return true;
    }
    if (card->n_addresses == 0) {
        return false;
    }
    return !core->is_sparse || core_card_has_source(card, CORE_SOURCE_MDNS) ||
           core_card_has_source(card, CORE_SOURCE_REMEMBERED) ||
           (card->peer != NULL && heap_has(&card->peer->dial_timer.entry)) ||
           core->now_ns - card->told_ns < CORE_TOLD_NS;
}

void core_card_dismiss(struct core *core, struct core_card *card)
{
    core_card_drop_addresses(card);
    if (core_card_state(card) == CORE_PEER_KNOWN) {
        core_card_move(core, card, CORE_PEER_ON_GIVE_UP);
    }
    core_card_set_news(core, card, 0, false);
    card->was_up = false;
    core_card_maybe_forget(core, card);
}

void core_card_remove(struct core *core, struct core_card *card)
{
    core_card_set_news(core, card, 0, false);
    core_teller_drop(core, card);
    core_queue_forget_names(core, card);
    list_remove(&card->news);
    table_remove(&core->cards, &card->by_key);
    core->are_peers_changed = true;
}

void core_card_free(struct core_card *card)
{
    core_card_drop_addresses(card);
    mem_free(card->texts);
    mem_free(card);
}

void core_card_free_all(struct core *core)
{
    table_for_each (entry, &core->cards) {
        struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        core_card_remove(core, card);
        core_card_free(card);
    }
}
