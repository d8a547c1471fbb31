/* The code that a person typed or pasted: the input is the text. What is read as a code must be
 * written as the same again, however it was typed. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/invite.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct wire_invite_code code, back;
    struct errmsg err;
    memset(&code, 0, sizeof(code));
    memset(&back, 0, sizeof(back));
    if (wire_invite_code_parse(slice_of(bytes, n), &code, &err) < 0) {
        ensure(strlen(err.text) > 0);
        ensure(strchr(err.text, '\n') == NULL);
        return 0;
    }
    char text[WIRE_INVITE_TEXT_BYTES];
    ensure(code.n_addresses > 0 && code.n_addresses <= WIRE_INVITE_ADDRESSES_MAX);
    int r = wire_invite_code_parse(slice_str(wire_invite_code_format(&code, text)), &back, &err);
    ensure(r == 0);
    ensure(memcmp(&code, &back, sizeof(code)) == 0);
    return 0;
}
