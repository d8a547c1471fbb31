#include "wire/key.h"

#include <errno.h>
#include <string.h>

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
    char lower = c;
    if (c >= 'A' && c <= 'Z') {
        lower = (char)(c - 'A' + 'a');
    }
    if (lower == 'o') {
        lower = '0';
    } else if (lower == 'i' || lower == 'l') {
        lower = '1';
    }
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

bool wire_key_is_zero(const struct wire_key *key)
{
    uint8_t any = 0;
    for (size_t i = 0; i < sizeof(key->b); i++) {
        any |= key->b[i];
    }
    return any == 0;
}

bool wire_key_eq(const struct wire_key *a, const struct wire_key *b)
{
    return wire_key_cmp(a, b) == 0;
}

int wire_key_cmp(const struct wire_key *a, const struct wire_key *b)
{
    return memcmp(a->b, b->b, sizeof(a->b));
}
