#include "wire/blob_hash.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

#include "wire/base/text.h"

static_assert(sizeof(crypto_generichash_state) == sizeof(struct wire_blob_hash),
              "the state is libsodium's");
static_assert(WIRE_HASH_BYTES == crypto_generichash_BYTES, "a hash is BLAKE2b-256's");

void wire_blob_hash_init(struct wire_blob_hash *hash)
{
    crypto_generichash_state state;
    int r = crypto_generichash_init(&state, NULL, 0, WIRE_HASH_BYTES);
    ensure(r == 0);
    memcpy(hash->state, &state, sizeof(state));
}

void wire_blob_hash_update(struct wire_blob_hash *hash, struct slice bytes)
{
    if (bytes.n == 0) {
        return;
    }
    crypto_generichash_state state;
    memcpy(&state, hash->state, sizeof(state));
    int r = crypto_generichash_update(&state, bytes.p, bytes.n);
    ensure(r == 0);
    memcpy(hash->state, &state, sizeof(state));
}

void wire_blob_hash_final(struct wire_blob_hash *hash, struct wire_hash *ret_hash)
{
    crypto_generichash_state state;
    memcpy(&state, hash->state, sizeof(state));
    int r = crypto_generichash_final(&state, ret_hash->b, sizeof(ret_hash->b));
    ensure(r == 0);
}

struct wire_hash wire_blob_hash(struct slice bytes)
{
    struct wire_blob_hash hash;
    struct wire_hash value;
    wire_blob_hash_init(&hash);
    wire_blob_hash_update(&hash, bytes);
    wire_blob_hash_final(&hash, &value);
    return value;
}

const char *wire_hash_text(const struct wire_hash *hash, char to[static WIRE_HASH_TEXT_BYTES])
{
    text_hex(slice_of(hash->b, sizeof(hash->b)), to, WIRE_HASH_TEXT_BYTES);
    return to;
}

int wire_hash_parse(const char *text, struct wire_hash *ret_hash)
{
    struct wire_hash hash;
    size_t n;
    if (strlen(text) != 2 * sizeof(hash.b) ||
        sodium_hex2bin(hash.b, sizeof(hash.b), text, 2 * sizeof(hash.b), NULL, &n, NULL) != 0 ||
        n != sizeof(hash.b)) {
        return -EINVAL;
    }
    *ret_hash = hash;
    return 0;
}

bool wire_hash_is_zero(const struct wire_hash *hash)
{
    return sodium_is_zero(hash->b, sizeof(hash->b)) != 0;
}

bool wire_hash_eq(const struct wire_hash *a, const struct wire_hash *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}
