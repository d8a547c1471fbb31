#include "wire/identity.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

#include "wire/base/text.h"

static_assert(WIRE_SEED_BYTES == crypto_sign_SEEDBYTES, "a seed is Ed25519's");
static_assert(WIRE_SIGNATURE_BYTES == crypto_sign_BYTES, "a signature is Ed25519's");
static_assert(WIRE_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "a key is Ed25519's");

/* Lives in sodium_malloc() memory: locked, between guard pages, wiped when freed. */
struct wire_identity {
    struct wire_key key;
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
};

int wire_init(void)
{
    return sodium_init() < 0 ? -EIO : 0;
}

struct wire_identity *wire_identity_new(const uint8_t seed[static WIRE_SEED_BYTES])
{
    struct wire_identity *identity = sodium_malloc(sizeof(*identity));
    if (identity != NULL) {
        /* Cannot fail: it only computes. */
        IGNORE(crypto_sign_seed_keypair(identity->key.b, identity->secret, seed));
    }
    return identity;
}

struct wire_identity *wire_identity_free(struct wire_identity *identity)
{
    sodium_free(identity);
    return NULL;
}

const struct wire_key *wire_identity_key(const struct wire_identity *identity)
{
    return &identity->key;
}

void wire_identity_sign(const struct wire_identity *identity, struct slice message,
                        uint8_t ret_signature[static WIRE_SIGNATURE_BYTES])
{
    int r = crypto_sign_detached(ret_signature, NULL, message.p, message.n, identity->secret);
    ensure(r == 0);
}

bool wire_verify(const struct wire_key *key, struct slice message,
                 const uint8_t signature[static WIRE_SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, message.p, message.n, key->b) == 0;
}

/* --- text --- */

const char *wire_key_text(const struct wire_key *key, char to[static WIRE_KEY_TEXT_BYTES])
{
    text_hex(slice_of(key->b, sizeof(key->b)), to, WIRE_KEY_TEXT_BYTES);
    return to;
}
