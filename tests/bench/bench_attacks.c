/* What each way to misbehave does to a daemon: the table of hostile peers. Run by
 * tests/lab/attacks on a release build; built on Check as all users of the lab are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/siege.h"

#define WELL_MS        10000
#define SLOWEST_MS_MAX 100
/* mesh/README.md, "Hostile peers": what one host may come to. */
#define PEAK_MIB_MAX 450u
#define PERCENT_MIN  50

static void print_row(const char *name, const struct siege_figures *f,
                      const struct siege_figures *before)
{
    double percent = 100 * f->tasks_per_s / before->tasks_per_s;
    printf("{\"bench\": \"attack\", \"attack\": \"%s\", \"sent\": %llu, \"sessions\": %llu,"
           " \"peak_kib\": %u, \"slowest_ms\": %.1f, \"undisturbed_ms\": %.1f, \"asked\": %u,"
           " \"tasks_per_s\": %.1f, \"percent\": %.1f, \"cpu_percent\": %.0f,"
           " \"log_bytes\": %u}\n",
           name, (unsigned long long)f->n_sent, (unsigned long long)f->n_up, f->peak_kib,
           f->slowest_ms, before->slowest_ms, f->n_asked, f->tasks_per_s, percent, f->cpu_percent,
           f->log_bytes);
    fflush(stdout);
}

static bool is_wanted(const char *name)
{
    const char *wanted = getenv("BENCH_ATTACKS"); /* names parted by spaces */
    char list[1024];
    snprintf(list, sizeof(list), " %s ", wanted != NULL ? wanted : "");
    char word[64];
    snprintf(word, sizeof(word), " %s ", name);
    return wanted == NULL || strstr(list, word) != NULL;
}

START_TEST(daemons_live_through)
{
    const struct siege_attack *attack = &siege_attacks[_i];
    if (!is_wanted(attack->name)) {
        return;
    }
    static const struct siege_plan plan = {.n_tasks = 200, .n_rounds = 3, .is_whole = true};
    struct siege siege;
    struct siege_figures before;
    struct siege_figures figures;
    siege_begin_apart(&siege);
    siege_run(&siege, NULL, &plan, &before);
    double base = before.tasks_per_s;
    siege_run(&siege, attack, &plan, &figures);
    print_row(attack->name, &figures, &before);
    siege_check_well(&siege, WELL_MS);
    siege_end(&siege);
    ck_assert_msg(figures.n_sent > 0 && figures.n_sent >= attack->n_sent_min, "%llu sent",
                  (unsigned long long)figures.n_sent);
    ck_assert_msg(figures.slowest_ms < SLOWEST_MS_MAX, "%.1f ms", figures.slowest_ms);
    ck_assert_msg(figures.peak_kib < PEAK_MIB_MAX * 1024, "%.1f MiB", figures.peak_kib / 1024.0);
    ck_assert_msg(100 * figures.tasks_per_s >= PERCENT_MIN * base, "%.0f of %.0f tasks/s",
                  figures.tasks_per_s, base);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attacks");
    TCase *tc = tcase_create("attacks");
    tcase_set_timeout(tc, 180);
    tcase_add_loop_test(tc, daemons_live_through, 0, (int)siege_n_attacks);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
