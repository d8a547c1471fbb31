/* The code that people copy from one machine to another to take it into a closed mesh:
 * "mesh invite" prints it, "mesh join" reads it. wire/README.md, "Membership", has its bytes.
 *
 * Pure, and without cryptography: a code says what was drawn elsewhere. It is secret as long as it
 * is valid; whoever holds one wipes it (explicit_bzero) after use. */
#ifndef MESH_WIRE_INVITE_H
#define MESH_WIRE_INVITE_H

#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"
#include "wire/message.h"

#define WIRE_INVITE_ADDRESSES_MAX 4u
/* The longest code in groups, with its NUL. */
#define WIRE_INVITE_TEXT_BYTES 262u

struct wire_invite_address {
    bool is_v6;
    uint8_t ip[16]; /* the first 4 of them when not is_v6 */
    uint16_t port;  /* in host order */
};

struct wire_invite_code {
    struct wire_token token;
    struct wire_key key;  /* whose invitation it is */
    uint32_t expires_min; /* minutes since 1970 (UTC) at whose end it is void */
    uint32_t n_addresses; /* of the inviter: 1 to WIRE_INVITE_ADDRESSES_MAX */
    struct wire_invite_address addresses[WIRE_INVITE_ADDRESSES_MAX];
};

/* Writes the code, lower case in groups of 5 between dashes, NUL-terminated. Returns `to`. */
const char *wire_invite_code_format(const struct wire_invite_code *invite,
                                    char to[static WIRE_INVITE_TEXT_BYTES]);

/* Reads one, whatever its case and however it is grouped: white space and dashes, those of
 * typographers too, do not count; o reads as 0, i and l as 1. 0, or one line in err:
 *   -EILSEQ           a character that no code has; err says which and where
 *   -ENODATA          it is not all there
 *   -EBADMSG          a typo: the checksum is wrong
 *   -EPROTONOSUPPORT  whole, but of a version that this build does not know
 *   -EINVAL           whole, but what it says makes no sense: nobody's typo
 * Whether it has expired is for the caller, who has a clock, and in the end for the inviter. */
int wire_invite_code_parse(struct slice text, struct wire_invite_code *ret_invite,
                           struct errmsg *err) MUST_CHECK;

#endif
