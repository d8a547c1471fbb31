/* The TXT record of a stranger: the input is a record as it stands in DNS, strings with a length
 * byte in front. */
#include "discovery/txt.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct slice strings[2 * TXT_STRINGS_MAX];
    size_t n_strings = 0;
    for (size_t i = 0; i < n && n_strings < ARRAY_LEN(strings);) {
        size_t length = bytes[i] < n - i - 1 ? bytes[i] : n - i - 1;
        strings[n_strings++] = slice_of(bytes + i + 1, length);
        i += 1 + length;
    }
    struct disc_txt txt;
    if (disc_txt_parse(strings, n_strings, &txt) == 0) {
        ensure(txt.cores <= TXT_CORES_MAX);
        char formatted[TXT_FORMAT_STRINGS][TXT_STRING_BYTES_MAX + 1];
        disc_txt_format(&txt, formatted);
        for (size_t i = 0; i < TXT_FORMAT_STRINGS; i++) {
            strings[i] = slice_str(formatted[i]);
        }
        struct disc_txt back;
        int r = disc_txt_parse(strings, TXT_FORMAT_STRINGS, &back);
        ensure(r == 0);
        ensure(memcmp(&back, &txt, sizeof(txt)) == 0);
    }
    return 0;
}
