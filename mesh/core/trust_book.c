#include "mesh/core/trust_book.h"

#include <assert.h>
#include <stddef.h>

#include "mesh/core/limits.h"
#include "wire/key.h"

/* --- arrays by key -----------------------------------------------------------------------------
 */

/* Both kinds of items begin with their key. */
static_assert(offsetof(struct core_member, key) == 0, "a key first");
static_assert(offsetof(struct wire_ban, key) == 0, "a key first");

/* The place of the key among those in order; true when it is there. */
static bool find(const struct buf *items, size_t size, const struct wire_key *key, size_t *ret_i)
{
    size_t low = 0;
    size_t high = items->n / size;
    while (low < high) {
        size_t i = low + (high - low) / 2;
        int order = memcmp(items->p + i * size, key->b, sizeof(key->b));
        if (order == 0) {
            *ret_i = i;
            return true;
        }
        low = order < 0 ? i + 1 : low;
        high = order < 0 ? high : i;
    }
    *ret_i = low;
    return false;
}

static bool insert(struct buf *items, size_t i, const void *item, size_t size)
{
    uint8_t *room = buf_reserve(items, size);
    if (room == NULL) {
        items->error = 0; /* full, or no memory: what is there stays */
        return false;
    }
    uint8_t *at = items->p + i * size;
    memmove(at + size, at, items->n - i * size);
    memcpy(at, item, size);
    buf_extend(items, size);
    return true;
}

static void drop(struct buf *items, size_t i, size_t size)
{
    uint8_t *at = items->p + i * size;
    memmove(at, at + size, items->n - (i + 1) * size);
    items->n -= size;
}

static void copy(struct buf *to, const struct buf *from)
{
    buf_append_slice(to, buf_slice(from));
    ensure(buf_error(to) == 0);
}

/* --- life --------------------------------------------------------------------------------------
 */

void core_book_init(struct core_book *book)
{
    *book = (struct core_book){0};
    buf_init(&book->members, WIRE_MEMBERS_MAX * sizeof(struct core_member));
    buf_init(&book->bans, WIRE_BANS_MAX * sizeof(struct wire_ban));
    buf_init(&book->pins, WIRE_PINS_MAX * sizeof(struct core_pin));
}

void core_book_done(struct core_book *book)
{
    buf_done(&book->members);
    buf_done(&book->bans);
    buf_done(&book->pins);
    explicit_bzero(&book->present, sizeof(book->present));
    explicit_bzero(book->olds, sizeof(book->olds));
    core_book_init(book);
}

void core_book_copy(struct core_book *to, const struct core_book *from)
{
    to->present = from->present;
    memcpy(to->olds, from->olds, sizeof(to->olds));
    to->n_olds = from->n_olds;
    to->is_renewal_due = from->is_renewal_due;
    copy(&to->members, &from->members);
    copy(&to->bans, &from->bans);
    copy(&to->pins, &from->pins);
}

void core_book_load(struct core_book *book, const struct core_trust_state *state)
{
    book->present = state->present;
    book->n_olds = state->n_olds < CORE_OLDS_MAX ? state->n_olds : CORE_OLDS_MAX;
    memcpy(book->olds, state->olds, sizeof(book->olds));
    book->is_renewal_due = state->is_renewal_due;
    for (uint32_t i = 0; i < state->n_bans; i++) {
        core_book_put_ban(book, &state->bans[i]);
    }
    for (uint32_t i = 0; i < state->n_members; i++) {
        core_book_add_member(book, &state->members[i].key, state->members[i].is_invited_here);
    }
    for (uint32_t i = 0; i < state->n_pins; i++) {
        core_book_set_pin(book, slice_str(state->pins[i].name), &state->pins[i].key);
    }
}

struct core_trust_state core_book_state(const struct core_book *book)
{
    struct core_trust_state state = {
        .present = book->present,
        .n_olds = book->n_olds,
        .is_renewal_due = book->is_renewal_due,
        .members = core_book_members(book),
        .n_members = core_book_n_members(book),
        .bans = core_book_bans(book),
        .n_bans = core_book_n_bans(book),
        .pins = core_book_pins(book),
        .n_pins = core_book_n_pins(book),
    };
    memcpy(state.olds, book->olds, sizeof(state.olds));
    return state;
}

bool core_book_eq(const struct core_book *a, const struct core_book *b)
{
    return core_secret_cmp(&a->present, &b->present) == 0 && a->n_olds == b->n_olds &&
           memcmp(a->olds, b->olds, a->n_olds * sizeof(a->olds[0])) == 0 &&
           a->is_renewal_due == b->is_renewal_due &&
           slice_eq(buf_slice(&a->members), buf_slice(&b->members)) &&
           slice_eq(buf_slice(&a->bans), buf_slice(&b->bans)) &&
           slice_eq(buf_slice(&a->pins), buf_slice(&b->pins));
}

/* --- secrets -----------------------------------------------------------------------------------
 */

bool core_book_is_locked(const struct core_book *book)
{
    return book->present.generation > 0;
}

int core_secret_cmp(const struct core_secret *a, const struct core_secret *b)
{
    if (a->generation != b->generation) {
        return a->generation < b->generation ? -1 : 1;
    }
    return memcmp(a->secret.b, b->secret.b, sizeof(a->secret.b));
}

/* Of the older ones the highest are kept. */
static void keep_older(struct core_book *book, const struct core_secret *secret)
{
    uint32_t i = 0;
    while (i < book->n_olds && core_secret_cmp(&book->olds[i], secret) > 0) {
        i++;
    }
    bool is_known = i < book->n_olds && core_secret_cmp(&book->olds[i], secret) == 0;
    if (secret->generation == 0 || i == CORE_OLDS_MAX || is_known) {
        return;
    }
    book->n_olds += book->n_olds < CORE_OLDS_MAX;
    memmove(&book->olds[i + 1], &book->olds[i], (book->n_olds - 1 - i) * sizeof(book->olds[0]));
    book->olds[i] = *secret;
}

void core_book_renew(struct core_book *book, uint64_t generation, const uint8_t *bytes)
{
    keep_older(book, &book->present);
    book->present.generation = generation;
    memcpy(book->present.secret.b, bytes, sizeof(book->present.secret.b));
    book->is_renewal_due = false;
}

void core_book_leave(struct core_book *book)
{
    explicit_bzero(&book->present, sizeof(book->present));
    explicit_bzero(book->olds, sizeof(book->olds));
    book->n_olds = 0;
    book->is_renewal_due = false;
    buf_clear(&book->members);
    for (uint32_t i = core_book_n_bans(book); i-- > 0;) {
        if (core_book_bans(book)[i].generation > 0) {
            drop(&book->bans, i, sizeof(struct wire_ban));
        }
    }
}

/* --- members -----------------------------------------------------------------------------------
 */

uint32_t core_book_n_members(const struct core_book *book)
{
    return (uint32_t)(book->members.n / sizeof(struct core_member));
}

const struct core_member *core_book_members(const struct core_book *book)
{
    return (const void *)book->members.p;
}

bool core_book_is_member(const struct core_book *book, const struct wire_key *key)
{
    size_t i;
    return find(&book->members, sizeof(struct core_member), key, &i);
}

bool core_book_add_member(struct core_book *book, const struct wire_key *key, bool is_invited_here)
{
    size_t i;
    if (wire_key_is_zero(key) || core_book_is_banned(book, key)) {
        return false;
    }
    struct core_member member;
    memset(&member, 0, sizeof(member));
    member.key = *key;
    member.is_invited_here = is_invited_here;
    if (!find(&book->members, sizeof(member), key, &i)) {
        return insert(&book->members, i, &member, sizeof(member));
    }
    struct core_member *known = (void *)book->members.p;
    bool is_new = is_invited_here && !known[i].is_invited_here;
    known[i].is_invited_here |= is_invited_here;
    return is_new;
}

/* --- bans --------------------------------------------------------------------------------------
 */

uint32_t core_book_n_bans(const struct core_book *book)
{
    return (uint32_t)(book->bans.n / sizeof(struct wire_ban));
}

const struct wire_ban *core_book_bans(const struct core_book *book)
{
    return (const void *)book->bans.p;
}

const struct wire_ban *core_book_ban(const struct core_book *book, const struct wire_key *key)
{
    size_t i;
    return find(&book->bans, sizeof(struct wire_ban), key, &i) ? &core_book_bans(book)[i] : NULL;
}

bool core_book_is_banned(const struct core_book *book, const struct wire_key *key)
{
    const struct wire_ban *ban = core_book_ban(book, key);
    return ban != NULL && ban->is_banned;
}

static bool is_later(const struct wire_ban *ban, const struct wire_ban *than)
{
    return ban->generation > than->generation ||
           (ban->generation == than->generation && ban->is_banned && !than->is_banned);
}

/* A ban that was lifted is the first to be forgotten, and of those the oldest. */
static void make_room(struct core_book *book)
{
    uint32_t i_oldest = UINT32_MAX;
    const struct wire_ban *bans = core_book_bans(book);
    for (uint32_t i = 0; i < core_book_n_bans(book); i++) {
        if (!bans[i].is_banned &&
            (i_oldest == UINT32_MAX || bans[i].generation < bans[i_oldest].generation)) {
            i_oldest = i;
        }
    }
    if (core_book_n_bans(book) == WIRE_BANS_MAX && i_oldest != UINT32_MAX) {
        drop(&book->bans, i_oldest, sizeof(*bans));
    }
}

bool core_book_put_ban(struct core_book *book, const struct wire_ban *ban)
{
    size_t i;
    struct wire_ban own;
    memset(&own, 0, sizeof(own));
    own.key = ban->key;
    own.generation = ban->generation;
    own.is_banned = ban->is_banned;
    if (find(&book->bans, sizeof(own), &ban->key, &i)) {
        struct wire_ban *known = (struct wire_ban *)(void *)book->bans.p + i;
        if (!is_later(ban, known)) {
            return false;
        }
        *known = own;
    } else {
        make_room(book);
        find(&book->bans, sizeof(own), &ban->key, &i);
        if (!insert(&book->bans, i, &own, sizeof(own))) {
            return false;
        }
    }
    if (ban->is_banned && find(&book->members, sizeof(struct core_member), &ban->key, &i)) {
        drop(&book->members, i, sizeof(struct core_member));
    }
    return true;
}

void core_book_drop_ban(struct core_book *book, const struct wire_key *key)
{
    size_t i;
    if (find(&book->bans, sizeof(struct wire_ban), key, &i)) {
        drop(&book->bans, i, sizeof(struct wire_ban));
    }
}

/* --- pins --------------------------------------------------------------------------------------
 */

uint32_t core_book_n_pins(const struct core_book *book)
{
    return (uint32_t)(book->pins.n / sizeof(struct core_pin));
}

const struct core_pin *core_book_pins(const struct core_book *book)
{
    return (const void *)book->pins.p;
}

const struct core_pin *core_book_pin(const struct core_book *book, struct slice name)
{
    const struct core_pin *pins = core_book_pins(book);
    for (uint32_t i = 0; i < core_book_n_pins(book); i++) {
        if (slice_eq_str(name, pins[i].name)) {
            return &pins[i];
        }
    }
    return NULL;
}

void core_book_set_pin(struct core_book *book, struct slice name, const struct wire_key *key)
{
    struct core_pin pin;
    memset(&pin, 0, sizeof(pin));
    ensure(name.n < sizeof(pin.name));
    memcpy(pin.name, name.p, name.n);
    pin.key = *key;
    core_book_drop_pin(book, name);
    insert(&book->pins, core_book_n_pins(book), &pin, sizeof(pin));
}

void core_book_drop_pin(struct core_book *book, struct slice name)
{
    const struct core_pin *pin = core_book_pin(book, name);
    if (pin != NULL) {
        drop(&book->pins, (size_t)(pin - core_book_pins(book)), sizeof(*pin));
    }
}

/* --- merging -----------------------------------------------------------------------------------
 */

/* Whether `said` knows of every ban in the book, or better. */
static bool knows_bans(const struct core_book *book, const struct wire_membership *said)
{
    struct core_book theirs;
    core_book_init(&theirs);
    for (uint32_t i = 0; i < said->bans.n; i++) {
        core_book_put_ban(&theirs, &said->bans.items[i]);
    }
    bool is_known = true;
    for (uint32_t i = 0; i < core_book_n_bans(book) && is_known; i++) {
        const struct wire_ban *ban = &core_book_bans(book)[i];
        const struct wire_ban *known = core_book_ban(&theirs, &ban->key);
        bool is_no_matter = ban->generation == 0 || !ban->is_banned;
        is_known = is_no_matter || (known != NULL && !is_later(ban, known));
    }
    core_book_done(&theirs);
    return is_known;
}

static bool merge_bans(struct core_book *book, const struct wire_key *self,
                       const struct wire_membership *said)
{
    bool is_new = false;
    for (uint32_t i = 0; i < said->bans.n; i++) {
        const struct wire_ban *ban = &said->bans.items[i];
        bool is_sane = ban->generation > 0 && ban->generation <= CORE_GENERATION_MAX &&
                       !wire_key_is_zero(&ban->key) && !wire_key_eq(&ban->key, self);
        is_new |= is_sane && core_book_put_ban(book, ban);
    }
    return is_new;
}

static bool add_members(struct core_book *book, const struct wire_key *self,
                        const struct wire_members *members)
{
    bool is_new = false;
    for (uint32_t i = 0; i < members->n; i++) {
        const struct wire_key *key = &members->items[i].key;
        is_new |= !wire_key_eq(key, self) && core_book_add_member(book, key, false);
    }
    return is_new;
}

/* Of our own members those stay whom we invited: what else there was, a banned key that knew our
 * former secret may have brought in. */
static void drop_members(struct core_book *book)
{
    for (uint32_t i = core_book_n_members(book); i-- > 0;) {
        if (!core_book_members(book)[i].is_invited_here) {
            drop(&book->members, i, sizeof(struct core_member));
        }
    }
}

static bool is_zero(const struct wire_secret *secret)
{
    static const struct wire_secret none;
    return memcmp(secret->b, none.b, sizeof(none.b)) == 0;
}

bool core_book_merge(struct core_book *book, const struct wire_key *self,
                     const struct wire_key *from, const struct wire_membership *said,
                     struct core_merged *ret_merged)
{
    if (said->generation == 0 || said->generation > CORE_GENERATION_MAX || is_zero(&said->secret)) {
        return false;
    }
    struct core_secret theirs = {.generation = said->generation, .secret = said->secret};
    int order = core_secret_cmp(&theirs, &book->present);
    bool is_all_known = knows_bans(book, said);
    struct core_merged merged = {.is_adopted = order > 0, .are_they_behind = order < 0};
    merged.are_bans_new = merge_bans(book, self, said);
    if (order > 0) {
        core_book_renew(book, theirs.generation, theirs.secret.b);
        if (is_all_known) {
            drop_members(book);
            add_members(book, self, &said->members);
        } /* else somebody whom we banned may have had a hand in it */
        core_book_add_member(book, from, false);
        book->is_renewal_due = !is_all_known;
    } else {
        book->is_renewal_due |= merged.are_bans_new;
    }
    if (order == 0) {
        merged.are_members_new = add_members(book, self, &said->members);
    } else if (order < 0) {
        keep_older(book, &theirs);
    }
    explicit_bzero(&theirs, sizeof(theirs));
    *ret_merged = merged;
    return true;
}
