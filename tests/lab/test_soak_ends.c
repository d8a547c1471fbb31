/* When a command of the soak may be without an answer: its daemon was frozen for nearly as long as
 * a command waits, just before it gave up, and for no other reason. */
#include <check.h>

#include "tests/lab/soak_check.h"
#include "tests/lib/runner.h"
#include "wire/base/ensure.h"

#define MS UINT64_C(1000000)

/* In milliseconds; what goes on is over later than anything. */
static const struct {
    const char *what;
    uint64_t command[2];
    uint64_t freeze[2];
    bool is_for_it;
} lives[] = {
    {"frozen from before it begins until after it gave up", {10000, 15020}, {8000, 99000}, true},
    {"frozen for nearly all of the time", {10000, 15100}, {10200, 14700}, true},
    {"it waited for an answer, the longer time", {10000, 20000}, {9000, 16000}, true},
    {"frozen with its host, and gave up when it went on", {10000, 26500}, {11000, 26000}, true},
    {"late in a long life", {10000, 95000}, {89000, 94000}, true},
    {"frozen for a moment", {10000, 15000}, {10000, 10300}, false},
    {"frozen for a while, and hung after that", {10000, 15000}, {10000, 13000}, false},
    {"frozen just now", {10000, 15000}, {14900, 99000}, false},
    {"frozen before it began", {30000, 35000}, {8000, 23000}, false},
    {"frozen early in a long life, and hung later", {10000, 90000}, {20000, 35000}, false},
    {"never frozen", {10000, 15000}, {0, 0}, false},
};

START_TEST(only_a_long_freeze_just_before_is_why_nobody_answered)
{
    const struct soak_span command = {lives[_i].command[0] * MS, lives[_i].command[1] * MS};
    const struct soak_span freeze = {lives[_i].freeze[0] * MS, lives[_i].freeze[1] * MS};
    ck_assert_msg(soak_is_for_freeze(&command, &freeze) == lives[_i].is_for_it, "%s",
                  lives[_i].what);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("soak_ends");
    TCase *tcase = tcase_create("soak_ends");
    tcase_add_loop_test(tcase, only_a_long_freeze_just_before_is_why_nobody_answered, 0,
                        ARRAY_LEN(lives));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
