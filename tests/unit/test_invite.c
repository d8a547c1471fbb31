/* The code that people copy: what comes back, and every way in which a hand can spoil it. */
#include <errno.h>
#include <string.h>

#include "tests/lib/runner.h"
#include "wire/base/text.h"
#include "wire/invite.h"

#define N_CODES 12

static struct wire_invite_code codes[N_CODES];
static char texts[N_CODES][WIRE_INVITE_TEXT_BYTES];
static struct errmsg err;

static uint32_t random_u32(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void fill(uint32_t *seed, uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)random_u32(seed);
    }
}

/* Of each number of addresses, of each kind in each place. */
static void set_up(void)
{
    uint32_t seed = 1;
    memset(codes, 0, sizeof(codes));
    for (uint32_t i = 0; i < N_CODES; i++) {
        struct wire_invite_code *code = &codes[i];
        fill(&seed, code->token.b, sizeof(code->token.b));
        fill(&seed, code->key.b, sizeof(code->key.b));
        code->expires_min = i == 0 ? 0 : i == 1 ? UINT32_MAX : random_u32(&seed);
        code->n_addresses = 1 + i % WIRE_INVITE_ADDRESSES_MAX;
        for (uint32_t j = 0; j < code->n_addresses; j++) {
            code->addresses[j].is_v6 = ((i / 4 + j) & 1u) != 0;
            fill(&seed, code->addresses[j].ip, code->addresses[j].is_v6 ? 16 : 4);
            code->addresses[j].port = (uint16_t)random_u32(&seed);
        }
        ck_assert_ptr_eq(wire_invite_code_format(code, texts[i]), texts[i]);
    }
}

static int parse(const char *text, struct wire_invite_code *code)
{
    memset(code, 0, sizeof(*code));
    err.text[0] = '\0';
    int r = wire_invite_code_parse(slice_str(text), code, &err);
    if (r < 0) {
        static const struct wire_invite_code untouched;
        ck_assert_mem_eq(code, &untouched, sizeof(untouched));
        ck_assert_uint_gt(strlen(err.text), 0);
        ck_assert_ptr_null(strchr(err.text, '\n'));
        ck_assert(text_is_utf8(slice_str(err.text)));
    }
    return r;
}

/* Refused as something that a hand did, not as something that somebody wrote. */
static void is_found(const char *text, const char *what, size_t at)
{
    struct wire_invite_code code;
    int r = parse(text, &code);
    ck_assert_msg(r == -EBADMSG || r == -ENODATA, "%s at %zu: %d", what, at, r);
}

START_TEST(what_is_written_comes_back)
{
    for (int i = 0; i < N_CODES; i++) {
        struct wire_invite_code back;
        ck_assert_int_eq(parse(texts[i], &back), 0);
        ck_assert_mem_eq(&back, &codes[i], sizeof(back));
    }
}
END_TEST

START_TEST(it_is_of_groups_of_five_lower_case_digits)
{
    for (int i = 0; i < N_CODES; i++) {
        for (size_t at = 0; texts[i][at] != '\0'; at++) {
            char c = texts[i][at];
            if (at % 6 == 5) {
                ck_assert_int_eq(c, '-');
            } else {
                ck_assert_ptr_nonnull(strchr("0123456789abcdefghjkmnpqrstvwxyz", c));
            }
        }
    }
    ck_assert_uint_eq(strlen(texts[0]), 103 + 20); /* with one IPv4 address */
    ck_assert_uint_lt(strlen(texts[N_CODES - 1]), WIRE_INVITE_TEXT_BYTES);
}
END_TEST

/* Puts `mark` between all characters of a code, which is 8 of them apart, and in front and behind.
 */
static void with_marks(const char *code, const char *mark, struct buf *to)
{
    buf_append_str(to, mark);
    for (const char *c = code; *c != '\0'; c++) {
        if (*c != '-') {
            buf_append_u8(to, (uint8_t)*c);
            buf_append_str(to, mark);
        }
    }
}

START_TEST(white_space_and_dashes_of_all_kinds_do_not_count)
{
    static const char *const marks[] = {"",
                                        " ",
                                        "\t",
                                        "\r\n",
                                        "-",
                                        " - ",
                                        "\xe2\x80\x90",
                                        "\xe2\x80\x91",
                                        "\xe2\x80\x93",
                                        "\xe2\x80\x94",
                                        "\xe2\x88\x92",
                                        "\xc2\xa0",
                                        "\xc2\xad",
                                        "\xe2\x80\x8b"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        struct buf text;
        struct wire_invite_code back;
        buf_init(&text, 4096);
        with_marks(texts[i % N_CODES], marks[i], &text);
        ck_assert_int_eq(parse(buf_cstr(&text), &back), 0);
        ck_assert_mem_eq(&back, &codes[i % N_CODES], sizeof(back));
        buf_done(&text);
    }
}
END_TEST

START_TEST(case_does_not_count_and_letters_that_look_like_digits_are_these)
{
    static const char *const zeros = "0oO";
    static const char *const ones = "1iIlL";
    unsigned n_zeros = 0, n_ones = 0;
    for (int i = 0; i < N_CODES; i++) {
        char text[WIRE_INVITE_TEXT_BYTES];
        memcpy(text, texts[i], sizeof(text));
        for (char *c = text; *c != '\0'; c++) {
            if (*c == '0') {
                *c = zeros[n_zeros++ % 3];
            } else if (*c == '1') {
                *c = ones[n_ones++ % 5];
            } else if (*c >= 'a' && *c <= 'z' && (c - text) % 2 == 0) {
                *c = (char)(*c - 'a' + 'A');
            }
        }
        struct wire_invite_code back;
        ck_assert_int_eq(parse(text, &back), 0);
        ck_assert_mem_eq(&back, &codes[i], sizeof(back));
    }
    ck_assert_uint_gt(n_zeros, 9);
    ck_assert_uint_gt(n_ones, 9);
}
END_TEST

START_TEST(every_single_wrong_character_is_found)
{
    char text[WIRE_INVITE_TEXT_BYTES];
    memcpy(text, texts[_i], sizeof(text));
    for (size_t at = 0; text[at] != '\0'; at++) {
        char right = text[at];
        for (unsigned value = 0; right != '-' && value < 32; value++) {
            text[at] = text_base32_digit(value);
            if (text[at] != right) {
                is_found(text, "wrong character", at);
            }
        }
        text[at] = right;
    }
}
END_TEST

START_TEST(every_two_characters_that_changed_places_are_found)
{
    char plain[WIRE_INVITE_TEXT_BYTES];
    size_t n = 0;
    for (const char *c = texts[_i]; *c != '\0'; c++) {
        if (*c != '-') {
            plain[n++] = *c;
        }
    }
    plain[n] = '\0';
    for (size_t at = 0; at + 1 < n; at++) {
        /* Neighbours, and those with one between: "abc" for "cba". */
        for (size_t other = at + 1; other < n && other <= at + 2; other++) {
            char one = plain[at], two = plain[other];
            plain[at] = two;
            plain[other] = one;
            if (one != two) {
                is_found(plain, "changed places", at);
            }
            plain[at] = one;
            plain[other] = two;
        }
    }
}
END_TEST

START_TEST(every_character_that_is_missing_or_doubled_is_found)
{
    size_t n = strlen(texts[_i]);
    for (size_t at = 0; at < n; at++) {
        char text[WIRE_INVITE_TEXT_BYTES + 1];
        if (texts[_i][at] == '-') {
            continue;
        }
        memcpy(text, texts[_i], at);
        memcpy(text + at, texts[_i] + at + 1, n - at);
        is_found(text, "missing", at);
        memcpy(text, texts[_i], at + 1);
        memcpy(text + at + 1, texts[_i] + at, n - at + 1);
        is_found(text, "doubled", at);
    }
}
END_TEST

START_TEST(what_is_cut_off_is_called_so)
{
    size_t n = strlen(texts[_i]);
    for (size_t at = 0; at < n; at++) {
        char text[WIRE_INVITE_TEXT_BYTES];
        memcpy(text, texts[_i], at);
        text[at] = '\0';
        struct wire_invite_code code;
        ck_assert_int_eq(parse(text, &code), -ENODATA);
    }
    ck_assert_ptr_nonnull(strstr(err.text, "not all there"));
}
END_TEST

START_TEST(more_behind_the_end_is_a_typo)
{
    char twice[4 * WIRE_INVITE_TEXT_BYTES + 1] = "";
    for (int i = 0; i < 4; i++) {
        memcpy(twice + strlen(twice), texts[_i], strlen(texts[_i]) + 1);
        struct wire_invite_code code;
        ck_assert_int_eq(parse(twice, &code), i == 0 ? 0 : -EBADMSG);
    }
    ck_assert_ptr_nonnull(strstr(err.text, "typo"));
}
END_TEST

START_TEST(a_character_that_no_code_has_is_named_with_its_place)
{
    static const struct {
        const char *in, *place, *shown;
    } cases[] = {
        {"u", "character 4 ", "\"u\""},
        {"!", "character 4 ", "\"!\""},
        {"\xc3\xa4", "character 4 ", "\"\xc3\xa4\""},
        {"\x1b", "character 4 ", "\"\\x1b\""},
        {"\xff", "character 4 ", "\"\\xff\""},
        {"\xe2\x80", "character 4 ", "\\x"},
        {"- u", "character 6 ", "\"u\""},
        {"\xe2\x80\x93U", "character 5 ", "\"U\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_invite_code code;
        struct buf text;
        buf_init(&text, 4096);
        buf_append(&text, texts[0], 3);
        buf_append_str(&text, cases[i].in);
        buf_append_str(&text, texts[0] + 3);
        ck_assert_int_eq(parse(buf_cstr(&text), &code), -EILSEQ);
        buf_done(&text);
        ck_assert_msg(strstr(err.text, cases[i].place) != NULL, "%zu: %s", i, err.text);
        ck_assert_msg(strstr(err.text, cases[i].shown) != NULL, "%zu: %s", i, err.text);
    }
}
END_TEST

/* The bytes of a code as somebody else might write them, with a right checksum. */
static void encode(uint8_t *bytes, size_t n, char *to)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < 8 * n; i++) { /* bit by bit, as a wire would see it */
        uint32_t bit = (crc ^ bytes[i / 8] >> i % 8) & 1u;
        crc = crc >> 1 ^ (bit != 0 ? 0xedb88320u : 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        bytes[n + i] = (uint8_t)(~crc >> 8 * i);
    }
    for (size_t i = 0; i < 8 * (n + 4); i += 5) {
        unsigned value = 0;
        for (size_t bit = i; bit < i + 5; bit++) {
            value = value << 1 | (bit < 8 * (n + 4) ? bytes[bit / 8] >> (7 - bit % 8) & 1u : 0u);
        }
        *to++ = text_base32_digit(value);
    }
    *to = '\0';
}

enum { KINDS_AT = 53, N_SHORTEST = 60 };

START_TEST(another_version_is_called_so_whatever_follows)
{
    for (size_t n = 1; n < 120; n++) {
        uint8_t bytes[128] = {2};
        char text[256];
        struct wire_invite_code code;
        encode(bytes, n, text);
        ck_assert_int_eq(parse(text, &code), -EPROTONOSUPPORT);
        ck_assert_ptr_nonnull(strstr(err.text, "version 2"));
    }
}
END_TEST

START_TEST(a_code_that_makes_no_sense_is_refused_though_its_checksum_is_right)
{
    uint8_t bytes[256] = {1};
    char text[512];
    struct wire_invite_code code;
    bytes[KINDS_AT] = 1;
    encode(bytes, N_SHORTEST, text);
    ck_assert_int_eq(parse(text, &code), 0);
    ck_assert_uint_eq(code.n_addresses, 1);
    static const uint8_t senseless[] = {0, 0x21, 0x81, 5, 15, 0xff, 2, 0x11};
    for (size_t i = 0; i < sizeof(senseless); i++) {
        bytes[KINDS_AT] = senseless[i];
        encode(bytes, N_SHORTEST, text);
        ck_assert_msg(parse(text, &code) == -EINVAL, "%#x", senseless[i]);
    }
    bytes[KINDS_AT] = 1;
    encode(bytes, N_SHORTEST - 1, text);
    ck_assert_int_eq(parse(text, &code), -EINVAL);
    encode(bytes, N_SHORTEST + 1, text);
    ck_assert_int_eq(parse(text, &code), -EINVAL);
    encode(bytes, 1, text); /* a version and a checksum */
    ck_assert_int_eq(parse(text, &code), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("invite");
    TCase *tcase = tcase_create("codes");
    tcase_add_unchecked_fixture(tcase, set_up, NULL);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, what_is_written_comes_back);
    tcase_add_test(tcase, it_is_of_groups_of_five_lower_case_digits);
    tcase_add_test(tcase, white_space_and_dashes_of_all_kinds_do_not_count);
    tcase_add_test(tcase, case_does_not_count_and_letters_that_look_like_digits_are_these);
    tcase_add_loop_test(tcase, every_single_wrong_character_is_found, 0, N_CODES);
    tcase_add_loop_test(tcase, every_two_characters_that_changed_places_are_found, 0, N_CODES);
    tcase_add_loop_test(tcase, every_character_that_is_missing_or_doubled_is_found, 0, N_CODES);
    tcase_add_loop_test(tcase, what_is_cut_off_is_called_so, 0, N_CODES);
    tcase_add_loop_test(tcase, more_behind_the_end_is_a_typo, 0, N_CODES);
    tcase_add_test(tcase, a_character_that_no_code_has_is_named_with_its_place);
    tcase_add_test(tcase, another_version_is_called_so_whatever_follows);
    tcase_add_test(tcase, a_code_that_makes_no_sense_is_refused_though_its_checksum_is_right);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
