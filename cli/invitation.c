#include "cli/invitation.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/text.h"

/* "[2001:db8::1%eth0]:65535" and what else a daemon may say. */
static_assert(WIRE_ADDRESS_BYTES_MAX > INET6_ADDRSTRLEN + sizeof("[]:65535"), "an address fits");

/* Takes "10.0.0.1:7766" or "[2001:db8::1]:7766" apart. False for everything else: names, and
 * addresses of a link ("%eth0"), whose interface has another name elsewhere. */
static bool parse_address(struct slice text, struct wire_invite_address *ret_address)
{
    char copy[WIRE_ADDRESS_BYTES_MAX + 1];
    if (text.n >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    char *colon = strrchr(copy, ':');
    uint64_t port;
    if (colon == NULL || text_parse_u64(colon + 1, UINT16_MAX, &port) < 0 || port == 0) {
        return false;
    }
    *colon = '\0';
    struct wire_invite_address address = {.port = (uint16_t)port};
    size_t n = (size_t)(colon - copy);
    address.is_v6 = n >= 2 && copy[0] == '[' && copy[n - 1] == ']';
    char *host = copy;
    if (address.is_v6) {
        copy[n - 1] = '\0';
        host++;
    }
    if (inet_pton(address.is_v6 ? AF_INET6 : AF_INET, host, address.ip) != 1) {
        return false;
    }
    static const uint8_t link_local[] = {0xfe, 0x80};
    if (address.is_v6 && memcmp(address.ip, link_local, sizeof(link_local)) == 0) {
        return false;
    }
    *ret_address = address;
    return true;
}

int cmd_invitation_format(const struct wire_invitation *invitation, uint64_t now_s,
                          char to[static WIRE_INVITE_TEXT_BYTES], struct errmsg *err)
{
    struct wire_invite_code code = {.token = invitation->token, .key = invitation->key};
    for (uint32_t i = 0; i < invitation->addresses.n; i++) {
        if (code.n_addresses < WIRE_INVITE_ADDRESSES_MAX &&
            parse_address(invitation->addresses.items[i], &code.addresses[code.n_addresses])) {
            code.n_addresses++;
        }
    }
    if (code.n_addresses == 0) {
        explicit_bzero(&code, sizeof(code));
        errmsg_set(err, "this peer has no address that others could reach: connect this machine to "
                        "their network first");
        return -EADDRNOTAVAIL;
    }
    uint64_t expires_min = (now_s + invitation->valid_s + 59) / 60;
    code.expires_min = expires_min > UINT32_MAX ? UINT32_MAX : (uint32_t)expires_min;
    wire_invite_code_format(&code, to);
    explicit_bzero(&code, sizeof(code));
    return 0;
}

static void format_address(const struct wire_invite_address *address,
                           char to[static WIRE_ADDRESS_BYTES_MAX + 1])
{
    char ip[INET6_ADDRSTRLEN];
    ensure(inet_ntop(address->is_v6 ? AF_INET6 : AF_INET, address->ip, ip, sizeof(ip)) != NULL);
    snprintf(to, WIRE_ADDRESS_BYTES_MAX + 1, address->is_v6 ? "[%s]:%u" : "%s:%u", ip,
             (unsigned)address->port);
}

int cmd_invitation_parse(struct slice text, struct cmd_invitation *ret_invitation,
                         struct errmsg *err)
{
    struct wire_invite_code code;
    int r = wire_invite_code_parse(text, &code, err);
    if (r < 0) {
        return r;
    }
    ret_invitation->join.key = code.key;
    ret_invitation->join.token = code.token;
    ret_invitation->expires_min = code.expires_min;
    for (uint32_t i = 0; i < code.n_addresses; i++) {
        format_address(&code.addresses[i], ret_invitation->text[i]);
        ret_invitation->items[i] = slice_str(ret_invitation->text[i]);
    }
    ret_invitation->join.addresses =
        (struct wire_slices){.items = ret_invitation->items, .n = code.n_addresses};
    explicit_bzero(&code, sizeof(code));
    return 0;
}
