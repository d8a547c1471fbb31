/* What can be said of a public key without cryptography: its text forms and its order. The core
 * and the command line use it without linking libsodium. */
#ifndef MESH_WIRE_KEY_H
#define MESH_WIRE_KEY_H

#include <stdbool.h>

#include "wire/base/ensure.h"
#include "wire/message.h"

/* "k3vq-7d2m" and its NUL: 40 bits of the key in Crockford's base32. */
#define WIRE_ID_TEXT_BYTES 10
/* 64 hexadecimal digits and a NUL. */
#define WIRE_KEY_TEXT_BYTES 65

/* The short id, NUL-terminated: for people only, never compared to decide anything. */
const char *wire_id_text(const struct wire_key *key, char to[static WIRE_ID_TEXT_BYTES]);
const char *wire_key_text(const struct wire_key *key, char to[static WIRE_KEY_TEXT_BYTES]);
/* 64 hexadecimal digits. 0 or -EINVAL. */
int wire_key_parse(const char *text, struct wire_key *ret_key) MUST_CHECK;
/* Whether `text` is a prefix of the short id (case and dashes do not count; o, i, l read as 0, 1, 1
 * as Crockford has it) of at least one character. */
bool wire_id_matches(const struct wire_key *key, const char *text) MUST_CHECK;

bool wire_key_is_zero(const struct wire_key *key);
bool wire_key_eq(const struct wire_key *a, const struct wire_key *b);
/* Below, at or above 0, as memcmp: the whole key, for tie-breaks. */
int wire_key_cmp(const struct wire_key *a, const struct wire_key *b);

#endif
