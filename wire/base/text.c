#include "wire/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S       UINT64_C(1000000000)
#define DURATION_MAX_S (UINT64_C(100) * 366 * 86400)

/* Reads digits; *ret_end is the first byte that is none. */
static int parse_digits(const char *s, uint64_t *ret_value, const char **ret_end)
{
    uint64_t value = 0;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value)) {
            return -ERANGE;
        }
    }
    if (p == s) {
        return -EINVAL;
    }
    *ret_value = value;
    *ret_end = p;
    return 0;
}

int text_parse_u64(const char *s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value;
    const char *end;
    int r = parse_digits(s, &value, &end);
    if (r < 0) {
        return r;
    }
    if (*end != '\0') {
        return -EINVAL;
    }
    if (value > max) {
        return -ERANGE;
    }
    *ret_value = value;
    return 0;
}

int text_parse_size(const char *s, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    uint64_t value;
    const char *end;
    int r = parse_digits(s, &value, &end);
    if (r < 0) {
        return r;
    }
    if (*end != '\0') {
        const char *unit = strchr(units, *end >= 'a' && *end <= 'z' ? *end - 'a' + 'A' : *end);
        if (unit == NULL || end[1] != '\0') {
            return -EINVAL;
        }
        uint64_t factor = UINT64_C(1) << (10 * (unit - units + 1));
        if (__builtin_mul_overflow(value, factor, &value)) {
            return -ERANGE;
        }
    }
    *ret_bytes = value;
    return 0;
}

int text_parse_duration(const char *s, uint64_t *ret_ns)
{
    uint64_t whole = 0;
    uint64_t fraction_ns = 0;
    const char *p = s;
    if (*p != '.') {
        int r = parse_digits(s, &whole, &p);
        if (r < 0) {
            return r;
        }
    }
    if (*p == '.') {
        const char *first = ++p;
        for (uint64_t unit = NS_PER_S / 10; *p >= '0' && *p <= '9'; p++, unit /= 10) {
            fraction_ns += unit * (uint64_t)(*p - '0');
        }
        if (p == first) {
            return -EINVAL;
        }
    }
    uint64_t unit_s = 1;
    if (*p != '\0') {
        unit_s = *p == 's' ? 1 : *p == 'm' ? 60 : *p == 'h' ? 3600 : *p == 'd' ? 86400 : 0;
        if (unit_s == 0 || p[1] != '\0') {
            return -EINVAL;
        }
    }
    if (whole > DURATION_MAX_S / unit_s) {
        return -ERANGE;
    }
    *ret_ns = (whole * NS_PER_S + fraction_ns) * unit_s;
    return 0;
}

/* The length of the UTF-8 sequence at p, 0 when there is no valid one; *ret_code is the character.
 * RFC 3629, section 4. */
static size_t utf8_length(const uint8_t *p, size_t n, uint32_t *ret_code)
{
    uint8_t b = p[0];
    size_t length = b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3 : 4;
    if (length == 1) {
        *ret_code = b;
        return 1;
    }
    if (b < 0xc2 || b > 0xf4 || n < length) {
        return 0;
    }
    uint32_t code = b & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    *ret_code = code;
    return length;
}

bool text_is_utf8(struct slice s)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t code;
        size_t length = utf8_length(s.p + i, s.n - i, &code);
        if (length == 0 || code == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

/* Controls (C0, DEL, C1), and the characters that reorder or hide text: those that a terminal or
 * a reader could be misled by. */
static bool is_printable(uint32_t code)
{
    return code >= 0x20 && code != 0x7f && !(code >= 0x80 && code < 0xa0) &&
           !(code >= 0x200b && code <= 0x200f) && !(code >= 0x2028 && code <= 0x202e) &&
           !(code >= 0x2060 && code <= 0x2069) && code != 0xfeff;
}

const char *text_printable(struct slice s, char *to, size_t n_to)
{
    static const char more[] = "...";
    ensure(n_to >= 16);
    size_t room = n_to - sizeof(more);
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        uint32_t code = 0;
        size_t length = utf8_length(s.p + i, s.n - i, &code);
        char piece[8];
        size_t n_piece;
        if (length > 0 && is_printable(code)) {
            memcpy(piece, s.p + i, length);
            n_piece = length;
        } else {
            length = 1;
            n_piece = (size_t)snprintf(piece, sizeof(piece), "\\x%02x", s.p[i]);
        }
        if (n + n_piece > room) {
            memcpy(to + n, more, sizeof(more));
            return to;
        }
        memcpy(to + n, piece, n_piece);
        n += n_piece;
        i += length;
    }
    to[n] = '\0';
    return to;
}

size_t text_vformat(char *to, size_t n_to, const char *format, va_list args)
{
    ensure(n_to >= 1);
    int length = vsnprintf(to, n_to, format, args);
    ensure(length >= 0);
    size_t n = (size_t)length;
    if (n >= n_to) {
        n = n_to - 1;
        /* Back over the bytes that continue a character, and its first byte, if it is not whole. */
        size_t first = n;
        while (first > 0 && ((uint8_t)to[first - 1] & 0xc0) == 0x80) {
            first--;
        }
        uint32_t code;
        if (first > 0 && ((uint8_t)to[first - 1] & 0x80) != 0 &&
            utf8_length((const uint8_t *)to + first - 1, n - first + 1, &code) != n - first + 1) {
            n = first - 1;
        }
    }
    to[n] = '\0';
    return n;
}

void text_hex(struct slice s, char *to, size_t n_to)
{
    static const char digits[] = "0123456789abcdef";
    ensure(n_to >= 2 * s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        to[2 * i] = digits[s.p[i] >> 4];
        to[2 * i + 1] = digits[s.p[i] & 15];
    }
    to[2 * s.n] = '\0';
}

static const char base32_digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

char text_base32_digit(unsigned value)
{
    ensure(value < 32);
    return base32_digits[value];
}

unsigned text_base32_at(struct slice bytes, size_t i)
{
    size_t at = 5 * i / 8;
    ensure(at < bytes.n);
    unsigned two = (unsigned)bytes.p[at] << 8 | (at + 1 < bytes.n ? bytes.p[at + 1] : 0u);
    return two >> (11u - 5 * i % 8) & 31u;
}

int text_base32_value(char c)
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
    const char *at = lower != '\0' ? strchr(base32_digits, lower) : NULL;
    return at != NULL ? (int)(at - base32_digits) : -1;
}

void text_shell_quote(struct buf *to, struct slice word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_-+=./:,@%";
    size_t n_plain = 0;
    while (n_plain < word.n && word.p[n_plain] != '\0' && strchr(plain, word.p[n_plain]) != NULL) {
        n_plain++;
    }
    if (word.n > 0 && n_plain == word.n) {
        buf_append_slice(to, word);
        return;
    }
    buf_append_u8(to, '\'');
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] == '\'') {
            buf_append_str(to, "'\\''");
        } else {
            buf_append_u8(to, word.p[i]);
        }
    }
    buf_append_u8(to, '\'');
}
