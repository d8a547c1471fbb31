/* What a shell does for trust: the door at which handshakes end, the file in which the state is
 * kept, random bytes. */
#include <check.h>
#include <errno.h>

#include "tests/lib/core_world_internal.h"

/* --- the door ----------------------------------------------------------------------------------
 */

static bool eq(const struct wire_secret *a, const struct wire_secret *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* The secret that a dial proves; NULL: none, of the open mesh. */
static const struct wire_secret *secret_of(const struct core_book *door, uint32_t older)
{
    if (!core_book_is_locked(door)) {
        return NULL;
    }
    ck_assert_uint_le(older, door->n_olds);
    return older == 0 ? &door->present.secret : &door->olds[older - 1].secret;
}

static enum wire_reason admit_invited(const struct node *to, const struct world_proof *proof,
                                      const struct wire_key *key)
{
    for (uint32_t i = 0; i < to->n_invitations; i++) {
        const struct core_invitation *invitation = &to->invitations[i];
        if (memcmp(&invitation->token, &proof->token, sizeof(proof->token)) == 0) {
            bool may = !invitation->is_bound || wire_key_eq(&invitation->key, key);
            return may ? WIRE_REASON_NONE : WIRE_REASON_INVITATION;
        }
    }
    return WIRE_REASON_MESH;
}

/* As wire/door.h: what the one that was dialled says to a hello. */
static enum wire_reason admit(const struct node *to, const struct world_proof *proof,
                              const struct wire_secret *secret, const struct wire_key *key,
                              enum wire_door_kind *ret_door)
{
    const struct core_book *door = &to->door;
    if (core_book_is_banned(door, key)) {
        return WIRE_REASON_BANNED;
    }
    if (proof->has_invitation) {
        *ret_door = WIRE_DOOR_INVITATION;
        return admit_invited(to, proof, key);
    }
    if (secret == NULL || !core_book_is_locked(door)) {
        *ret_door = WIRE_DOOR_OPEN;
        bool is_open = secret == NULL && !core_book_is_locked(door);
        return is_open ? WIRE_REASON_NONE : WIRE_REASON_MESH;
    }
    if (eq(secret, &door->present.secret)) {
        *ret_door = WIRE_DOOR_PRESENT;
        return WIRE_REASON_NONE;
    }
    for (uint32_t i = 0; i < door->n_olds; i++) {
        if (eq(secret, &door->olds[i].secret) && core_book_is_member(door, key)) {
            *ret_door = WIRE_DOOR_OLDER;
            return WIRE_REASON_NONE;
        }
    }
    return WIRE_REASON_MESH;
}

enum wire_reason world_doors(struct world *world, unsigned from, unsigned to,
                             const struct world_proof *proof,
                             enum wire_door_kind ret_doors[static 2])
{
    const struct node *dialer = &world->nodes[from];
    const struct node *other = &world->nodes[to];
    const struct wire_secret *secret =
        proof->has_invitation ? NULL : secret_of(&dialer->door, proof->older);
    ret_doors[0] = proof->has_invitation ? WIRE_DOOR_INVITATION
                   : secret == NULL      ? WIRE_DOOR_OPEN
                   : proof->older > 0    ? WIRE_DOOR_OLDER
                                         : WIRE_DOOR_PRESENT;
    if (core_book_is_banned(&dialer->door, &other->config.key)) {
        return WIRE_REASON_BANNED;
    }
    return admit(other, proof, secret, &dialer->config.key, &ret_doors[1]);
}

/* --- effects -----------------------------------------------------------------------------------
 */

static void take(struct core_book *book, const struct core_trust_state *state)
{
    core_book_done(book);
    core_book_load(book, state);
}

void world_on_trust(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct node *node = &world->nodes[i];
    const struct core_trust_state *state = effect->trust.state;
    take(&node->door, state);
    node->n_invitations = state->n_invitations;
    if (state->n_invitations > 0) {
        memcpy(node->invitations, state->invitations,
               state->n_invitations * sizeof(node->invitations[0]));
    }
    if (!effect->trust.must_keep) {
        return;
    }
    if (node->trust_error == 0) {
        take(&node->kept, state);
    }
    struct core_event event = {.type = CORE_EVENT_TRUST_KEPT};
    event.trust_kept.number = effect->trust.number;
    event.trust_kept.error = node->trust_error;
    world_event_in(world, i, 2 * CORE_MS, &event);
}

void world_on_draw(struct world *world, unsigned i)
{
    struct core_event event = {.type = CORE_EVENT_DRAWN};
    for (unsigned k = 0; k < sizeof(event.drawn.bytes); k++) {
        world->drawn = world->drawn * UINT64_C(6364136223846793005) + 1442695040888963407u;
        event.drawn.bytes[k] = (uint8_t)(world->drawn >> 56);
    }
    world_event_in(world, i, 0, &event);
}

/* --- lives -------------------------------------------------------------------------------------
 */

void world_trust_init(struct node *node)
{
    core_book_init(&node->door);
    core_book_init(&node->kept);
}

void world_trust_done(struct node *node)
{
    core_book_done(&node->door);
    core_book_done(&node->kept);
}

/* What was kept makes the first door. The state is the caller's, for core_new(). */
const struct core_trust_state *world_trust_start(struct node *node, struct core_trust_state *state)
{
    if (node->config.trust != NULL) { /* as a test wants it, in the first life */
        take(&node->kept, node->config.trust);
        node->config.trust = NULL;
    }
    *state = core_book_state(&node->kept);
    take(&node->door, state);
    node->n_invitations = 0;
    return state;
}

void world_trust_fail(struct world *world, unsigned i, int error)
{
    world->nodes[i].trust_error = error;
}

const struct core_book *world_kept_trust(const struct world *world, unsigned i)
{
    return &world->nodes[i].kept;
}

/* --- what tests ask ----------------------------------------------------------------------------
 */

bool world_lock(struct world *world, unsigned i)
{
    struct wire_message message = {.type = WIRE_MESSAGE_LOCK};
    return world_ask(world, i, &message);
}

bool world_ban(struct world *world, unsigned i, unsigned whom, bool is_removed)
{
    struct wire_message message = {.type = WIRE_MESSAGE_BAN};
    message.ban.key = world->nodes[whom].config.key;
    message.ban.is_removed = is_removed;
    return world_ask(world, i, &message);
}

bool world_invite(struct world *world, unsigned i, unsigned j)
{
    struct wire_message message = {.type = WIRE_MESSAGE_INVITE};
    message.invite.valid_s = 600;
    if (!world_ask(world, i, &message)) {
        return false;
    }
    struct slice address = slice_str(world->nodes[i].address);
    message.type = WIRE_MESSAGE_JOIN;
    message.join.key = world->nodes[i].client.invitation.key;
    message.join.token = world->nodes[i].client.invitation.token;
    message.join.addresses = (struct wire_slices){.items = &address, .n = 1};
    return world_ask(world, j, &message);
}

bool world_are_linked(struct world *world, unsigned i, unsigned j)
{
    for (uint64_t id = 1; id < world->n_links; id++) {
        const struct link *link = &world->links[id];
        bool is_it = (link->node[0] == i && link->node[1] == j) ||
                     (link->node[0] == j && link->node[1] == i);
        if (is_it && link->is_up[0] && link->is_up[1]) {
            return true;
        }
    }
    return false;
}
