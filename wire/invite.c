/* A code is bytes in base32: version, token, key, expiry, kinds and number of the addresses, these,
 * and a CRC-32 over all that. Reading goes from what can be said for certain to what depends on it:
 * characters, checksum, version, contents. */
#include "wire/invite.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "wire/base/text.h"

#define VERSION    1u
#define CRC_BYTES  4u
#define KINDS_AT   (1u + WIRE_TOKEN_BYTES + WIRE_KEY_BYTES + 4u) /* behind version and expiry */
#define HEAD_BYTES (KINDS_AT + 1u)
#define V4_BYTES   (4u + 2u)
#define V6_BYTES   (16u + 2u)
#define BYTES_MAX  (HEAD_BYTES + WIRE_INVITE_ADDRESSES_MAX * V6_BYTES + CRC_BYTES)
#define GROUP      5u

#define DIGITS(n_bytes) (((n_bytes)*8u + 4u) / 5u)
static_assert(DIGITS(BYTES_MAX) + DIGITS(BYTES_MAX) / GROUP < WIRE_INVITE_TEXT_BYTES,
              "the longest code fits");

/* The polynomial of Ethernet and zlib. It finds whatever was altered within four neighbouring
 * bytes, hence each wrong digit and each two that changed places; to keep that true at its own
 * edge it stands with its lowest byte first. */
static void crc32(const uint8_t *p, size_t n, uint8_t ret_crc[static CRC_BYTES])
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0xedb88320u : 0);
        }
    }
    for (unsigned i = 0; i < CRC_BYTES; i++) {
        ret_crc[i] = (uint8_t)(~crc >> 8 * i);
    }
}

/* --- writing --- */

struct writer {
    uint8_t bytes[BYTES_MAX];
    size_t n;
};

static void put(struct writer *to, const void *p, size_t n)
{
    ensure(n <= sizeof(to->bytes) - to->n);
    memcpy(to->bytes + to->n, p, n);
    to->n += n;
}

/* n_bytes of a number, the highest first. */
static void put_uint(struct writer *to, uint32_t v, unsigned n_bytes)
{
    for (unsigned i = n_bytes; i-- > 0;) {
        uint8_t byte = (uint8_t)(v >> 8 * i);
        put(to, &byte, 1);
    }
}

static void put_addresses(struct writer *to, const struct wire_invite_code *invite)
{
    uint32_t kinds = invite->n_addresses;
    for (uint32_t i = 0; i < invite->n_addresses; i++) {
        kinds |= invite->addresses[i].is_v6 ? 0x10u << i : 0;
    }
    put_uint(to, kinds, 1);
    for (uint32_t i = 0; i < invite->n_addresses; i++) {
        const struct wire_invite_address *address = &invite->addresses[i];
        put(to, address->ip, address->is_v6 ? 16 : 4);
        put_uint(to, address->port, 2);
    }
}

const char *wire_invite_code_format(const struct wire_invite_code *invite,
                                    char to[static WIRE_INVITE_TEXT_BYTES])
{
    ensure(invite->n_addresses > 0);
    ensure(invite->n_addresses <= WIRE_INVITE_ADDRESSES_MAX);
    struct writer code = {.n = 0};
    put_uint(&code, VERSION, 1);
    put(&code, invite->token.b, sizeof(invite->token.b));
    put(&code, invite->key.b, sizeof(invite->key.b));
    put_uint(&code, invite->expires_min, 4);
    put_addresses(&code, invite);
    uint8_t crc[CRC_BYTES];
    crc32(code.bytes, code.n, crc);
    put(&code, crc, sizeof(crc));

    char *at = to;
    for (size_t i = 0; i < DIGITS(code.n); i++) {
        if (i > 0 && i % GROUP == 0) {
            *at++ = '-';
        }
        *at++ = text_base32_digit(text_base32_at(slice_of(code.bytes, code.n), i));
    }
    *at = '\0';
    explicit_bzero(&code, sizeof(code));
    return to;
}

/* --- reading --- */

/* What was read: the bytes of a code, and how many digits they came in. */
struct reader {
    uint8_t bytes[BYTES_MAX + 1];
    size_t n_digits;
    size_t at; /* next byte to be taken */
};

/* Bytes of a character that separates: white space or a dash, those of word processors included; 0:
 * it is none. */
static size_t separator_bytes(struct slice s)
{
    static const char *const marks[] = {" ",
                                        "\t",
                                        "\n",
                                        "\r",
                                        "-",
                                        "\xc2\xa0" /* no-break space */,
                                        "\xc2\xad" /* soft hyphen */,
                                        "\xe2\x80\x8b" /* zero-width space */,
                                        "\xe2\x80\x90" /* hyphens and dashes, */,
                                        "\xe2\x80\x91",
                                        "\xe2\x80\x92",
                                        "\xe2\x80\x93",
                                        "\xe2\x80\x94",
                                        "\xe2\x80\x95",
                                        "\xe2\x88\x92" /* minus */};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        size_t n = strlen(marks[i]);
        if (s.n >= n && memcmp(s.p, marks[i], n) == 0) {
            return n;
        }
    }
    return 0;
}

/* Names the character at the head of `s`, which is the n-th of what was typed. */
static int refuse_character(struct slice s, size_t n, struct errmsg *err)
{
    size_t n_bytes = 1;
    while (n_bytes < s.n && n_bytes < 4 && (s.p[n_bytes] & 0xc0) == 0x80) {
        n_bytes++;
    }
    char shown[32];
    errmsg_set(err,
               "character %zu of the invitation is \"%s\", which none has: they are of digits and "
               "letters without u; copy it again",
               n, text_printable(slice_part(s, 0, n_bytes), shown, sizeof(shown)));
    return -EILSEQ;
}

/* Digits beyond what any code has are counted and dropped. */
static void take_digit(struct reader *from, unsigned value)
{
    size_t bit = 5 * from->n_digits++, at = bit / 8;
    if (at + 1 >= sizeof(from->bytes)) {
        return;
    }
    unsigned two = value << (11u - bit % 8);
    from->bytes[at] |= (uint8_t)(two >> 8);
    from->bytes[at + 1] |= (uint8_t)two;
}

static int read_digits(struct reader *from, struct slice text, struct errmsg *err)
{
    size_t n_characters = 0;
    while (text.n > 0) {
        n_characters++;
        size_t n = separator_bytes(text);
        if (n == 0) {
            int value = text_base32_value((char)text.p[0]);
            if (value < 0) {
                return refuse_character(text, n_characters, err);
            }
            take_digit(from, (unsigned)value);
            n = 1;
        }
        text = slice_from(text, n);
    }
    return 0;
}

static bool is_checksum_right(const struct reader *from)
{
    size_t n = 5 * from->n_digits / 8;
    if (n <= CRC_BYTES || n > BYTES_MAX || DIGITS(n) != from->n_digits || from->bytes[n] != 0) {
        return false; /* bits behind the last whole byte are zero */
    }
    uint8_t crc[CRC_BYTES];
    crc32(from->bytes, n - CRC_BYTES, crc);
    return memcmp(crc, from->bytes + n - CRC_BYTES, CRC_BYTES) == 0;
}

/* How many digits the whole code has, as far as its beginning tells. */
static size_t whole_digits(const struct reader *from)
{
    size_t n = HEAD_BYTES + V4_BYTES + CRC_BYTES; /* the shortest there is */
    if (5 * from->n_digits / 8 >= HEAD_BYTES) {
        unsigned kinds = from->bytes[KINDS_AT];
        n = HEAD_BYTES + CRC_BYTES;
        for (unsigned i = 0; i < (kinds & 15u) && i < WIRE_INVITE_ADDRESSES_MAX; i++) {
            n += (kinds >> (4u + i) & 1u) != 0 ? V6_BYTES : V4_BYTES;
        }
    }
    return DIGITS(n);
}

static int refuse_damaged(const struct reader *from, struct errmsg *err)
{
    size_t n_whole = whole_digits(from);
    if (from->n_digits < n_whole) {
        errmsg_set(err,
                   "the invitation is not all there: %zu characters of %zu, without the dashes; "
                   "copy it to its end",
                   from->n_digits, n_whole);
        return -ENODATA;
    }
    errmsg_set(err, "the invitation has a typo: its checksum is wrong; compare it, or copy it "
                    "again");
    return -EBADMSG;
}

static uint32_t take_uint(struct reader *from, unsigned n_bytes)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n_bytes; i++) {
        v = v << 8 | from->bytes[from->at++];
    }
    return v;
}

static void take(struct reader *from, void *to, size_t n)
{
    memcpy(to, from->bytes + from->at, n);
    from->at += n;
}

/* The checksum was right: the bytes are as somebody wrote them. */
static int read_contents(struct reader *from, struct wire_invite_code *invite, struct errmsg *err)
{
    uint32_t version = take_uint(from, 1);
    if (version != VERSION) {
        errmsg_set(err,
                   "the invitation is of version %u, this program knows only %u; update the older "
                   "of the two machines",
                   (unsigned)version, VERSION);
        return -EPROTONOSUPPORT;
    }
    bool makes_sense = from->n_digits == whole_digits(from);
    unsigned kinds = from->bytes[KINDS_AT];
    uint32_t n = kinds & 15u;
    makes_sense = makes_sense && n > 0 && n <= WIRE_INVITE_ADDRESSES_MAX && kinds >> (4u + n) == 0;
    if (!makes_sense) {
        errmsg_set(err, "the invitation makes no sense, though its checksum is right; `mesh "
                        "invite` makes a new one");
        return -EINVAL;
    }
    take(from, invite->token.b, sizeof(invite->token.b));
    take(from, invite->key.b, sizeof(invite->key.b));
    invite->expires_min = take_uint(from, 4);
    invite->n_addresses = n;
    from->at++;
    for (uint32_t i = 0; i < n; i++) {
        struct wire_invite_address *address = &invite->addresses[i];
        address->is_v6 = (kinds >> (4u + i) & 1u) != 0;
        take(from, address->ip, address->is_v6 ? 16 : 4);
        address->port = (uint16_t)take_uint(from, 2);
    }
    return 0;
}

int wire_invite_code_parse(struct slice text, struct wire_invite_code *ret_invite,
                           struct errmsg *err)
{
    struct reader from = {.n_digits = 0};
    struct wire_invite_code invite = {.n_addresses = 0};
    int r = read_digits(&from, text, err);
    if (r == 0) {
        r = is_checksum_right(&from) ? read_contents(&from, &invite, err)
                                     : refuse_damaged(&from, err);
    }
    if (r == 0) {
        *ret_invite = invite;
    }
    explicit_bzero(&from, sizeof(from));
    explicit_bzero(&invite, sizeof(invite));
    return r;
}
