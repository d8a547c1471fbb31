/* Text from people and from the network: strict numbers, and nothing raw on a terminal. */
#ifndef MESH_BASE_TEXT_H
#define MESH_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/slice.h"

/* A decimal number and nothing else (no sign, no space), at most `max`.
 * 0, -EINVAL (not a number), -ERANGE (too large). */
int text_parse_u64(const char *s, uint64_t max, uint64_t *ret_value) MUST_CHECK;

/* A number with an optional K, M, G or T (powers of 1024). 0, -EINVAL, -ERANGE. */
int text_parse_size(const char *s, uint64_t *ret_bytes) MUST_CHECK;

/* Seconds as a decimal number with an optional fraction and an optional s, m, h or d behind it,
 * as nanoseconds. 0, -EINVAL, -ERANGE (over 100 years). */
int text_parse_duration(const char *s, uint64_t *ret_ns) MUST_CHECK;

/* Copies foreign text to `to`, NUL-terminated: valid printable UTF-8 stays, every other byte
 * becomes \xNN; cut with "..." when it does not fit. Returns `to`. n_to >= 16. */
const char *text_printable(struct slice s, char *to, size_t n_to);

/* Formats into `to`, NUL-terminated; what does not fit is cut, never inside a character of UTF-8.
 * Returns the length. n_to >= 1. */
size_t text_vformat(char *to, size_t n_to, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Whether it is valid UTF-8 (RFC 3629: no overlong forms, no surrogates) without NUL. */
bool text_is_utf8(struct slice s);

/* The lower-case hexadecimal form, NUL-terminated; n_to >= 2 * s.n + 1. */
void text_hex(struct slice s, char *to, size_t n_to);

/* Crockford's base32, in which ids and invitations are written: no i, l, o, u, so that it survives
 * being read aloud or copied by hand. The digit, lower case, of a value below 32; and the value of
 * a digit as a person typed it, in any case, o for 0, i and l for 1. -1: no digit. */
char text_base32_digit(unsigned value);
int text_base32_value(char c) MUST_CHECK;

/* The i-th digit's value of bytes written so, 5 bits each, the highest first; zeros behind the end.
 * There are (8 * n + 4) / 5 of them. */
unsigned text_base32_at(struct slice bytes, size_t i);

/* Appends the word quoted for sh(1) so that it is read back as the same bytes. */
void text_shell_quote(struct buf *to, struct slice word);

#endif
