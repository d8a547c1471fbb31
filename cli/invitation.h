/* An invitation as the daemon gives and takes it, and the code that people carry from one machine
 * to the other. Pure. Whoever holds one wipes it (explicit_bzero) after use. */
#ifndef MESH_CLI_INVITATION_H
#define MESH_CLI_INVITATION_H

#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/invite.h"
#include "wire/limits.h"
#include "wire/message.h"

/* More than a code with all its separators, mail's quoting and line ends included, ever has. */
#define CMD_INVITATION_INPUT_BYTES_MAX 2048u

/* A code taken apart, with room for its addresses as text. */
struct cmd_invitation {
    struct wire_join join; /* its addresses are those below */
    uint32_t expires_min;  /* minutes since 1970 at whose end it is void */
    struct slice items[WIRE_INVITE_ADDRESSES_MAX];
    char text[WIRE_INVITE_ADDRESSES_MAX][WIRE_ADDRESS_BYTES_MAX + 1];
};

/* The code for what the daemon answered at `now_s`, seconds since 1970. Addresses that mean nothing
 * on another machine (those of one link, which name an interface) are left out, as are those beyond
 * the first WIRE_INVITE_ADDRESSES_MAX. 0, or -EADDRNOTAVAIL: none is left; err says so. */
int cmd_invitation_format(const struct wire_invitation *invitation, uint64_t now_s,
                          char to[static WIRE_INVITE_TEXT_BYTES], struct errmsg *err) MUST_CHECK;

/* Reads a code that was typed or pasted. `ret_invitation` points into itself: it is not to be
 * copied. 0, or an error of wire_invite_code_parse() with a line in err. */
int cmd_invitation_parse(struct slice text, struct cmd_invitation *ret_invitation,
                         struct errmsg *err) MUST_CHECK;

#endif
