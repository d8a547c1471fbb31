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

#define ID_DIGITS 8

/* Crockford's base32: no i, l, o, u, so that an id survives being read aloud or copied by hand. */
static const char id_alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* The i-th group of 5 bits of the key, most significant first. */
static unsigned id_digit(const struct wire_key *key, unsigned i)
{
    uint64_t bits = 0;
    for (unsigned i_byte = 0; i_byte < ID_DIGITS * 5 / 8; i_byte++) {
        bits = bits << 8 | key->b[i_byte];
    }
    return (unsigned)(bits >> (5 * (ID_DIGITS - 1 - i))) & 31u;
}

const char *wire_id_text(const struct wire_key *key, char to[static WIRE_ID_TEXT_BYTES])
{
    char *at = to;
    for (unsigned i = 0; i < ID_DIGITS; i++) {
        if (i == ID_DIGITS / 2) {
            *at++ = '-';
        }
        *at++ = id_alphabet[id_digit(key, i)];
    }
    *at = '\0';
    return to;
}

/* What a character of an id as typed by a person stands for; -1: nothing. */
static int id_value(char c)
{
    char lower = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    lower = lower == 'o' ? '0' : lower == 'i' || lower == 'l' ? '1' : lower;
    const char *at = lower != '\0' ? strchr(id_alphabet, lower) : NULL;
    return at != NULL ? (int)(at - id_alphabet) : -1;
}

bool wire_id_matches(const struct wire_key *key, const char *text)
{
    unsigned n = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '-') {
            continue;
        }
        if (n == ID_DIGITS || id_value(*c) != (int)id_digit(key, n)) {
            return false;
        }
        n++;
    }
    return n > 0;
}

const char *wire_key_text(const struct wire_key *key, char to[static WIRE_KEY_TEXT_BYTES])
{
    text_hex(slice_of(key->b, sizeof(key->b)), to, WIRE_KEY_TEXT_BYTES);
    return to;
}

int wire_key_parse(const char *text, struct wire_key *ret_key)
{
    struct wire_key key;
    size_t n;
    if (strlen(text) != 2 * sizeof(key.b) ||
        sodium_hex2bin(key.b, sizeof(key.b), text, 2 * sizeof(key.b), NULL, &n, NULL) != 0 ||
        n != sizeof(key.b)) {
        return -EINVAL;
    }
    *ret_key = key;
    return 0;
}

bool wire_key_is_zero(const struct wire_key *key)
{
    return sodium_is_zero(key->b, sizeof(key->b)) != 0;
}

bool wire_key_eq(const struct wire_key *a, const struct wire_key *b)
{
    return wire_key_cmp(a, b) == 0;
}

int wire_key_cmp(const struct wire_key *a, const struct wire_key *b)
{
    return memcmp(a->b, b->b, sizeof(a->b));
}
