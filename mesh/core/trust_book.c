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
    explicit_bzero(book->rivals, sizeof(book->rivals));
    core_book_init(book);
}

void core_book_copy(struct core_book *to, const struct core_book *from)
{
    to->present = from->present;
    memcpy(to->olds, from->olds, sizeof(to->olds));
    to->n_olds = from->n_olds;
    memcpy(to->rivals, from->rivals, sizeof(to->rivals));
    to->n_rivals = from->n_rivals;
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

static bool is_among(const struct core_secret *secrets, uint32_t n,
                     const struct core_secret *secret)
{
    for (uint32_t i = 0; i < n; i++) {
        if (core_secret_cmp(&secrets[i], secret) == 0) {
            return true;
        }
    }
    return false;
}

/* In front of the others, of which the last may have to go. */
static void put_first(struct core_secret *secrets, uint32_t *n, const struct core_secret *secret)
{
    if (secret->generation == 0 || is_among(secrets, *n, secret)) {
        return;
    }
    *n += *n < CORE_OLDS_MAX;
    memmove(&secrets[1], secrets, (*n - 1) * sizeof(*secrets));
    secrets[0] = *secret;
}

void core_book_renew(struct core_book *book, uint64_t generation, const uint8_t *bytes)
{
    for (uint32_t i = book->n_rivals; i-- > 0;) {
        put_first(book->olds, &book->n_olds, &book->rivals[i]);
    }
    put_first(book->olds, &book->n_olds, &book->present);
    explicit_bzero(book->rivals, sizeof(book->rivals));
    book->n_rivals = 0;
    book->present.generation = generation;
    memcpy(book->present.secret.b, bytes, sizeof(book->present.secret.b));
    book->is_renewal_due = false;
}

void core_book_leave(struct core_book *book)
{
    explicit_bzero(&book->present, sizeof(book->present));
    explicit_bzero(book->olds, sizeof(book->olds));
    explicit_bzero(book->rivals, sizeof(book->rivals));
    book->n_olds = book->n_rivals = 0;
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
        ensure(book->bans.p != NULL); /* it was found there */
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

/* How the secret that is said stands to ours. */
enum standing {
    SAME,
    AHEAD,  /* it follows ours: whoever made it knew all that we know */
    BEHIND, /* ours follows it */
    BESIDE, /* neither: they were made apart */
};

static bool is_zero(const struct wire_secret *secret)
{
    static const struct wire_secret none;
    return memcmp(secret->b, none.b, sizeof(none.b)) == 0;
}

static bool is_sane(uint64_t generation, const struct wire_secret *secret)
{
    return generation > 0 && generation <= CORE_GENERATION_MAX && !is_zero(secret);
}

static bool does_follow(const struct wire_membership *said, const struct core_secret *secret)
{
    for (uint32_t i = 0; i < said->olders.n; i++) {
        const struct wire_older *older = &said->olders.items[i];
        if (older->generation == secret->generation &&
            memcmp(older->secret.b, secret->secret.b, sizeof(secret->secret.b)) == 0) {
            return true;
        }
    }
    return false;
}

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
        is_known = is_no_matter || (known != NULL && (known->is_banned || !is_later(ban, known)));
    }
    core_book_done(&theirs);
    return is_known;
}

/* Two members may renew the same secrets at once, and for nothing but to have them renewed: then
 * either does. Not where ours began with a word on somebody: of that the other cannot know,
 * whatever it says. */
static bool is_sibling(const struct core_book *book, const struct wire_membership *said)
{
    for (uint32_t i = 0; i < core_book_n_bans(book); i++) {
        if (core_book_bans(book)[i].generation == book->present.generation) {
            return false;
        }
    }
    /* The last one may have been too many for the other. */
    uint32_t n = book->n_olds == CORE_OLDS_MAX ? CORE_OLDS_MAX - 1 : book->n_olds;
    for (uint32_t i = 0; i < n; i++) {
        if (!does_follow(said, &book->olds[i])) {
            return false;
        }
    }
    return n > 0 && knows_bans(book, said);
}

static enum standing standing_of(const struct core_book *book, const struct wire_membership *said,
                                 const struct core_secret *theirs)
{
    int order = core_secret_cmp(theirs, &book->present);
    if (order == 0) {
        return SAME;
    }
    if (is_among(book->olds, book->n_olds, theirs)) {
        return BEHIND;
    }
    if (!core_book_is_locked(book) || does_follow(said, &book->present)) {
        return AHEAD;
    }
    if (is_sibling(book, said)) {
        return order < 0 ? AHEAD : BEHIND; /* the lower: a generation out of all reason goes */
    }
    return BESIDE;
}

/* A ban is lifted by who knows all that we know, and by nobody else; where two sides say different
 * things, the ban holds. No word is newer than the secret that it comes with. */
static bool merge_bans(struct core_book *book, const struct wire_key *self,
                       const struct wire_membership *said, enum standing standing)
{
    bool is_new = false;
    for (uint32_t i = 0; i < said->bans.n; i++) {
        struct wire_ban word = said->bans.items[i];
        const struct wire_ban *known = core_book_ban(book, &word.key);
        if (word.generation > said->generation) {
            word.generation = said->generation;
        }
        if (word.is_banned && known != NULL && (standing == AHEAD || standing == BESIDE) &&
            known->generation > word.generation) {
            word.generation = known->generation;
        }
        bool may_count = word.is_banned || standing == SAME || standing == AHEAD;
        bool is_good =
            word.generation > 0 && !wire_key_is_zero(&word.key) && !wire_key_eq(&word.key, self);
        is_new |= may_count && is_good && core_book_put_ban(book, &word);
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

/* Those stay whom we invited, and who is in `theirs` (NULL: nobody): what else there was, a banned
 * key that knew our former secret may have brought in. */
static void drop_members(struct core_book *book, const struct core_book *theirs)
{
    for (uint32_t i = core_book_n_members(book); i-- > 0;) {
        const struct core_member *member = &core_book_members(book)[i];
        if (!member->is_invited_here &&
            (theirs == NULL || !core_book_is_member(theirs, &member->key))) {
            drop(&book->members, i, sizeof(*member));
        }
    }
}

/* The secrets that theirs follows, then what we had. */
static void follow(struct core_book *book, const struct wire_membership *said,
                   const struct core_secret *theirs)
{
    struct core_secret all[2 * CORE_OLDS_MAX + 1];
    uint32_t n = 0;
    for (uint32_t i = 0; i < said->olders.n && n < CORE_OLDS_MAX; i++) {
        const struct wire_older *older = &said->olders.items[i];
        all[n] = (struct core_secret){older->generation, older->secret};
        n += is_sane(older->generation, &older->secret);
    }
    uint32_t n_followed = n;
    all[n++] = book->present;
    memcpy(&all[n], book->olds, book->n_olds * sizeof(all[0]));
    n += book->n_olds;
    uint32_t n_rivals = 0;
    for (uint32_t i = 0; i < book->n_rivals; i++) {
        bool is_over = core_secret_cmp(&book->rivals[i], theirs) == 0 ||
                       is_among(all, n_followed, &book->rivals[i]);
        book->rivals[n_rivals] = book->rivals[i];
        n_rivals += !is_over;
    }
    book->n_rivals = n_rivals;
    book->n_olds = 0;
    for (uint32_t i = 0; i < n && book->n_olds < CORE_OLDS_MAX; i++) {
        bool is_known = is_among(book->olds, book->n_olds, &all[i]);
        book->olds[book->n_olds] = all[i];
        book->n_olds += all[i].generation > 0 && !is_known && core_secret_cmp(&all[i], theirs) != 0;
    }
    book->present = *theirs;
    explicit_bzero(all, sizeof(all));
}

static void adopt(struct core_book *book, const struct wire_key *self, const struct wire_key *from,
                  const struct wire_membership *said, const struct core_secret *theirs,
                  bool is_all_known)
{
    follow(book, said, theirs);
    struct wire_ban *bans = (void *)book->bans.p;
    for (uint32_t i = 0; i < core_book_n_bans(book); i++) {
        if (bans[i].generation > theirs->generation) {
            bans[i].generation = theirs->generation;
        }
    }
    if (is_all_known) {
        drop_members(book, NULL);
        add_members(book, self, &said->members);
    } /* else somebody whom we banned may have had a hand in it */
    core_book_add_member(book, from, false);
    book->is_renewal_due = !is_all_known || book->n_rivals > 0;
}

/* Who was away may have been told by somebody banned, which holds for either side: what only one
 * of the two knows, neither believes. False: nothing was made of it. */
static bool hold_against(struct core_book *book, const struct wire_key *from,
                         const struct wire_membership *said, const struct core_secret *theirs)
{
    struct core_book other;
    core_book_init(&other);
    for (uint32_t i = 0; i < said->members.n; i++) {
        core_book_add_member(&other, &said->members.items[i].key, false);
    }
    /* Else it names one new member, not all. */
    bool is_new =
        core_book_is_member(&other, from) && !is_among(book->rivals, book->n_rivals, theirs);
    if (is_new) {
        put_first(book->rivals, &book->n_rivals, theirs);
        drop_members(book, &other);
        book->is_renewal_due = true;
    }
    core_book_done(&other);
    return is_new;
}

bool core_book_merge(struct core_book *book, const struct wire_key *self,
                     const struct wire_key *from, const struct wire_membership *said,
                     struct core_merged *ret_merged)
{
    if (!is_sane(said->generation, &said->secret)) {
        return false;
    }
    struct core_secret theirs = {.generation = said->generation, .secret = said->secret};
    enum standing standing = standing_of(book, said, &theirs);
    bool is_all_known = knows_bans(book, said);
    struct core_merged merged = {.is_adopted = standing == AHEAD,
                                 .are_they_behind = standing == BEHIND};
    merged.are_bans_new = merge_bans(book, self, said, standing);
    if (standing == AHEAD) {
        adopt(book, self, from, said, &theirs, is_all_known);
    } else if (standing == BESIDE) {
        merged.is_rival_new = hold_against(book, from, said, &theirs);
        merged.are_they_behind = merged.is_rival_new;
    } else if (standing == BEHIND) {
        book->is_renewal_due |= merged.are_bans_new;
    } else if (!book->is_renewal_due) {
        merged.are_members_new = add_members(book, self, &said->members);
    }
    explicit_bzero(&theirs, sizeof(theirs));
    *ret_merged = merged;
    return true;
}
