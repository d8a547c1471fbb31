/* The TXT record of a peer: "v=1", "id=<64 hex digits>", "cores=16", "arch=x86_64", "os=linux",
 * "mesh=<tag>". A hint from a stranger: read strictly, and never believed where it counts.
 *
 * Pure: no Avahi, no allocation. Strings of unknown keys are skipped; of a key given twice the
 * first counts (RFC 6763, section 6.4). */
#ifndef MESH_DISCOVERY_TXT_H
#define MESH_DISCOVERY_TXT_H

#include <stddef.h>
#include <stdint.h>

#include "discovery/discovery.h"
#include "wire/base/ensure.h"
#include "wire/base/slice.h"

#define TXT_STRING_BYTES_MAX 255u
#define TXT_STRINGS_MAX      32u /* looked at; the rest is skipped */
#define TXT_CORES_MAX        4096u

struct disc_txt {
    uint32_t version;
    uint8_t key[DISC_KEY_BYTES];
    uint32_t cores;
    char arch[DISC_TEXT_BYTES_MAX + 1];
    char os[DISC_TEXT_BYTES_MAX + 1];
    char mesh[DISC_TEXT_BYTES_MAX + 1];
};

/* Reads the strings of a record. 0, or -EINVAL: no "id" of 64 hexadecimal digits or no "v", or a
 * value that is no number, too large, or too long. */
int disc_txt_parse(const struct slice *strings, size_t n, struct disc_txt *ret_txt) MUST_CHECK;

/* How many strings disc_txt_format() writes. */
#define TXT_FORMAT_STRINGS 6u
/* The strings of our own record, NUL-terminated. */
void disc_txt_format(const struct disc_txt *txt,
                     char to[static TXT_FORMAT_STRINGS][TXT_STRING_BYTES_MAX + 1]);

#endif
