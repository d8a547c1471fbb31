#include "wire/key.h"

#include <errno.h>
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

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    char lower = c;
    if (c >= 'A' && c <= 'F') {
        lower = (char)(c - 'A' + 'a');
    }
    const char *at = lower != '\0' ? strchr(digits, lower) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

int wire_key_parse(const char *text, struct wire_key *ret_key)
{
    struct wire_key key;
    if (strlen(text) != 2 * sizeof(key.b)) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof(key.b); i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -EINVAL;
        }
        key.b[i] = (uint8_t)(high << 4 | low);
    }
    *ret_key = key;
    return 0;
}
