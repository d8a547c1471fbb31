#include "wire/door.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "wire/base/text.h"
#include "wire/frame.h"
#include "wire/key.h"

static_assert(WIRE_TAG_BYTES <= WIRE_DIGEST_BYTES, "a tag is cut from a hash");
static_assert(WIRE_SECRET_BYTES == WIRE_DIGEST_BYTES, "an invitation's secret is a hash");

static const uint8_t open_tag[WIRE_TAG_BYTES];

static void hash(const char *label, const uint8_t *p, size_t n,
                 uint8_t ret_hash[static WIRE_DIGEST_BYTES])
{
    crypto_generichash_state state;
    int r = crypto_generichash_init(&state, NULL, 0, WIRE_DIGEST_BYTES);
    ensure(r == 0);
    IGNORE(crypto_generichash_update(&state, (const uint8_t *)label, strlen(label) + 1));
    IGNORE(crypto_generichash_update(&state, p, n));
    IGNORE(crypto_generichash_final(&state, ret_hash, WIRE_DIGEST_BYTES));
    sodium_memzero(&state, sizeof(state));
}

void wire_mesh_tag(const struct wire_secret *secret, uint8_t ret_tag[static WIRE_TAG_BYTES])
{
    uint8_t whole[WIRE_DIGEST_BYTES] = {0};
    if (secret != NULL) {
        hash(WIRE_LABEL_TAG, secret->b, sizeof(secret->b), whole);
    }
    memcpy(ret_tag, whole, WIRE_TAG_BYTES);
}

const char *wire_tag_text(const uint8_t tag[static WIRE_TAG_BYTES],
                          char to[static WIRE_TAG_TEXT_BYTES])
{
    char *at = to;
    if (memcmp(tag, open_tag, WIRE_TAG_BYTES) != 0) {
        for (size_t i = 0; i < WIRE_TAG_TEXT_BYTES - 1; i++) {
            *at++ = text_base32_digit(text_base32_at(slice_of(tag, WIRE_TAG_BYTES), i));
        }
    }
    *at = '\0';
    return to;
}

void wire_invitation_secret(const struct wire_token *token, struct wire_secret *ret_secret)
{
    hash(WIRE_LABEL_INVITE, token->b, sizeof(token->b), ret_secret->b);
}

/* --- what the owner writes --- */

struct wire_door *wire_door_new(void)
{
    struct wire_door *door = sodium_malloc(sizeof(*door));
    if (door != NULL) {
        wire_door_clear(door);
    }
    return door;
}

struct wire_door *wire_door_free(struct wire_door *door)
{
    sodium_free(door);
    return NULL;
}

void wire_door_clear(struct wire_door *door)
{
    sodium_memzero(door, sizeof(*door));
}

static void set_secret(struct wire_door_secret *to, const struct wire_secret *secret)
{
    to->secret = *secret;
    wire_mesh_tag(secret, to->tag);
}

void wire_door_lock(struct wire_door *door, const struct wire_secret *secret)
{
    set_secret(&door->present, secret);
    door->is_locked = true;
}

void wire_door_add_older(struct wire_door *door, const struct wire_secret *secret)
{
    ensure(door->n_older < WIRE_OLDER_MAX);
    set_secret(&door->older[door->n_older++], secret);
}

void wire_door_add_invitation(struct wire_door *door, const struct wire_token *token,
                              const struct wire_key *key)
{
    ensure(door->n_invitations < WIRE_INVITATIONS_MAX);
    struct wire_door_invitation *invitation = &door->invitations[door->n_invitations++];
    invitation->token = *token;
    wire_invitation_secret(token, &invitation->made.secret);
    wire_mesh_tag(&invitation->made.secret, invitation->made.tag);
    invitation->is_bound = key != NULL;
    if (key != NULL) {
        invitation->key = *key;
    }
}

void wire_door_add_member(struct wire_door *door, const struct wire_key *key)
{
    ensure(door->n_members < WIRE_MEMBERS_MAX);
    door->members[door->n_members++] = *key;
}

void wire_door_add_ban(struct wire_door *door, const struct wire_key *key)
{
    ensure(door->n_bans < WIRE_BANS_MAX);
    door->bans[door->n_bans++] = *key;
}

/* --- the question --- */

static bool has_key(const struct wire_key *keys, uint32_t n, const struct wire_key *key)
{
    for (uint32_t i = 0; i < n; i++) {
        if (wire_key_eq(&keys[i], key)) {
            return true;
        }
    }
    return false;
}

bool wire_door_is_banned(const struct wire_door *door, const struct wire_key *key)
{
    return has_key(door->bans, door->n_bans, key);
}

bool wire_door_is_member(const struct wire_door *door, const struct wire_key *key)
{
    return has_key(door->members, door->n_members, key);
}

/* Tags are public: they may be compared in whatever time it takes. */
static bool is_of(const struct wire_door_secret *secret, const uint8_t *tag)
{
    return memcmp(secret->tag, tag, WIRE_TAG_BYTES) == 0;
}

/* Of those that a closed mesh's door knows. NULL in ret_answer->found: none. */
static void find(const struct wire_door *door, const uint8_t *tag, const struct wire_key *key,
                 struct wire_door_answer *ret_answer, enum wire_reason *reterr_reason)
{
    *ret_answer = (struct wire_door_answer){.kind = WIRE_DOOR_NONE};
    if (is_of(&door->present, tag)) {
        *ret_answer = (struct wire_door_answer){WIRE_DOOR_PRESENT, &door->present, NULL};
        return;
    }
    for (uint32_t i = 0; i < door->n_older; i++) {
        /* Whoever left the mesh, or was made to, may hold one of these still. */
        if (is_of(&door->older[i], tag) && wire_door_is_member(door, key)) {
            *ret_answer = (struct wire_door_answer){WIRE_DOOR_OLDER, &door->older[i], NULL};
            return;
        }
    }
    for (uint32_t i = 0; i < door->n_invitations; i++) {
        const struct wire_door_invitation *invitation = &door->invitations[i];
        if (!is_of(&invitation->made, tag)) {
            continue;
        }
        if (invitation->is_bound && !wire_key_eq(&invitation->key, key)) {
            *reterr_reason = WIRE_REASON_INVITATION;
        } else {
            *ret_answer = (struct wire_door_answer){WIRE_DOOR_INVITATION, &invitation->made,
                                                    &invitation->token};
        }
        return;
    }
}

int wire_door_admit(const struct wire_door *door, const uint8_t tag[static WIRE_TAG_BYTES],
                    const struct wire_key *key, struct wire_door_answer *ret_answer,
                    enum wire_reason *reterr_reason)
{
    if (wire_door_is_banned(door, key)) {
        *reterr_reason = WIRE_REASON_BANNED;
        return -EACCES;
    }
    struct wire_door_answer answer = {.kind = WIRE_DOOR_NONE};
    enum wire_reason reason = WIRE_REASON_MESH;
    if (door->is_locked) {
        find(door, tag, key, &answer, &reason);
    } else if (memcmp(tag, open_tag, WIRE_TAG_BYTES) == 0) {
        answer = (struct wire_door_answer){WIRE_DOOR_OPEN, &door->present, NULL};
    }
    if (answer.found == NULL) {
        *reterr_reason = reason;
        return -EACCES;
    }
    *ret_answer = answer;
    return 0;
}
