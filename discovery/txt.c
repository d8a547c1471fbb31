#include "discovery/txt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/text.h"

enum txt_key { TXT_V, TXT_ID, TXT_CORES, TXT_ARCH, TXT_OS, TXT_MESH, TXT_KEYS };

static const char *const key_names[TXT_KEYS] = {"v", "id", "cores", "arch", "os", "mesh"};

/* Keys are compared without case, as RFC 6763 has it. */
static int find_key(struct slice name)
{
    for (int key = 0; key < TXT_KEYS; key++) {
        size_t n = strlen(key_names[key]);
        if (n != name.n) {
            continue;
        }
        size_t i = 0;
        while (i < n && (name.p[i] | 0x20) == (uint8_t)key_names[key][i]) {
            i++;
        }
        if (i == n) {
            return key;
        }
    }
    return -1;
}

static int parse_number(struct slice value, uint64_t max, uint32_t *ret_number)
{
    char digits[16];
    if (value.n == 0 || value.n >= sizeof(digits)) {
        return -EINVAL;
    }
    memcpy(digits, value.p, value.n);
    digits[value.n] = '\0';
    uint64_t number;
    if (strlen(digits) != value.n || text_parse_u64(digits, max, &number) < 0) {
        return -EINVAL;
    }
    *ret_number = (uint32_t)number;
    return 0;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int parse_key(struct slice value, uint8_t ret_key[static DISC_KEY_BYTES])
{
    uint8_t key[DISC_KEY_BYTES];
    if (value.n != 2 * sizeof(key)) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof(key); i++) {
        int high = hex_digit(value.p[2 * i]);
        int low = hex_digit(value.p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -EINVAL;
        }
        key[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret_key, key, sizeof(key));
    return 0;
}

static int parse_text(struct slice value, char ret_text[static DISC_TEXT_BYTES_MAX + 1])
{
    if (value.n > DISC_TEXT_BYTES_MAX || !text_is_utf8(value)) {
        return -EINVAL;
    }
    if (value.n > 0) {
        memcpy(ret_text, value.p, value.n);
    }
    ret_text[value.n] = '\0';
    return 0;
}

static int parse_value(int key, struct slice value, struct disc_txt *txt)
{
    switch ((enum txt_key)key) {
    case TXT_V:
        return parse_number(value, UINT16_MAX, &txt->version);
    case TXT_ID:
        return parse_key(value, txt->key);
    case TXT_CORES:
        return parse_number(value, TXT_CORES_MAX, &txt->cores);
    case TXT_ARCH:
        return parse_text(value, txt->arch);
    case TXT_OS:
        return parse_text(value, txt->os);
    case TXT_MESH:
        return parse_text(value, txt->mesh);
    case TXT_KEYS:
        break;
    }
    ensure(!"reached");
    return -EINVAL;
}

int disc_txt_parse(const struct slice *strings, size_t n, struct disc_txt *ret_txt)
{
    struct disc_txt txt = {0};
    bool is_seen[TXT_KEYS] = {false};
    for (size_t i = 0; i < n && i < TXT_STRINGS_MAX; i++) {
        const uint8_t *equals = strings[i].n > 0 ? memchr(strings[i].p, '=', strings[i].n) : NULL;
        if (equals == NULL) {
            continue;
        }
        size_t n_name = (size_t)(equals - strings[i].p);
        int key = find_key(slice_of(strings[i].p, n_name));
        if (key < 0 || is_seen[key]) {
            continue;
        }
        is_seen[key] = true;
        int r = parse_value(key, slice_of(equals + 1, strings[i].n - n_name - 1), &txt);
        if (r < 0) {
            return r;
        }
    }
    if (!is_seen[TXT_V] || !is_seen[TXT_ID]) {
        return -EINVAL;
    }
    *ret_txt = txt;
    return 0;
}

void disc_txt_format(const struct disc_txt *txt,
                     char to[static TXT_FORMAT_STRINGS][TXT_STRING_BYTES_MAX + 1])
{
    char key[2 * DISC_KEY_BYTES + 1];
    text_hex(slice_of(txt->key, sizeof(txt->key)), key, sizeof(key));
    const size_t n = TXT_STRING_BYTES_MAX + 1;
    IGNORE(snprintf(to[0], n, "v=%u", txt->version)); /* all of these fit */
    IGNORE(snprintf(to[1], n, "id=%s", key));
    IGNORE(snprintf(to[2], n, "cores=%u", txt->cores));
    IGNORE(snprintf(to[3], n, "arch=%s", txt->arch));
    IGNORE(snprintf(to[4], n, "os=%s", txt->os));
    IGNORE(snprintf(to[5], n, "mesh=%s", txt->mesh));
}
