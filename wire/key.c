#include "wire/key.h"

#include <string.h>

#include "wire/base/text.h"

#define ID_DIGITS 8

/* The i-th digit of its id. */
static unsigned id_digit(const struct wire_key *key, unsigned i)
{
    return text_base32_at(slice_of(key->b, sizeof(key->b)), i);
}

const char *wire_id_text(const struct wire_key *key, char to[static WIRE_ID_TEXT_BYTES])
{
    char *at = to;
    for (unsigned i = 0; i < ID_DIGITS; i++) {
        if (i == ID_DIGITS / 2) {
            *at++ = '-';
        }
        *at++ = text_base32_digit(id_digit(key, i));
    }
    *at = '\0';
    return to;
}

bool wire_id_matches(const struct wire_key *key, const char *text)
{
    unsigned n = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '-') {
            continue;
        }
        if (n == ID_DIGITS || text_base32_value(*c) != (int)id_digit(key, n)) {
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
