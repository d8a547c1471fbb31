/* soak MINUTES [--seed SEED] [--hosts N] [--round SECONDS] [--report FOLDER]: see soak.h, and
 * tests/lab/soak, which starts it. Exits 0 if all was as it must be, 77 where no lab is possible.
 */
#include "tests/lab/soak.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <jansson.h>

#include "tests/lab/scenario.h"
#include "wire/base/text.h"

#define TICK_MS     10
#define ROUND_MS    90000
#define MINUTES_MAX 100000.0
#define EXIT_SKIP   77
#define NS_PER_MIN  UINT64_C(60000000000)

static struct soak_options options = {.n_hosts = SOAK_HOSTS_MAX, .round_ms = ROUND_MS};

void soak_tick(struct soak *soak, bool may_begin)
{
    soak_watch_daemons(soak);
    soak_jobs_step(soak, may_begin);
    uint64_t now_ns = lab_now_ns();
    if (now_ns >= soak->next_look_ns) {
        soak_gauges_take(soak);
        soak->next_look_ns = now_ns + SOAK_SAMPLE_MS * UINT64_C(1000000);
    }
    if (now_ns >= soak->next_line_ns) {
        soak_print_progress(soak);
        soak->next_line_ns += NS_PER_MIN;
    }
    lab_let_pass(TICK_MS);
}

static void begin(struct soak *soak)
{
    memset(soak, 0, sizeof(*soak));
    soak->options = options;
    soak->schedule = json_array();
    soak->lab = lab_new();
    lab_limit_disks(soak->lab, SOAK_DISK_BYTES);
    for (unsigned i = 0; i < options.n_hosts; i++) {
        struct soak_host *host = &soak->hosts[i];
        host->soak = soak;
        host->index = i;
        host->host = lab_host(soak->lab, scenario_names[i]);
    }
    soak->begun_ns = lab_now_ns();
    soak->round_ns = soak->begun_ns;
    soak->next_look_ns = soak->begun_ns;
    soak->next_line_ns = soak->begun_ns + NS_PER_MIN;
    for (unsigned i = 0; i < options.n_hosts; i++) {
        soak_start_daemon(&soak->hosts[i]);
    }
}

static void play_round(struct soak *soak)
{
    soak_plan_draw(&soak->plan, options.seed, soak->round, options.n_hosts, options.round_ms);
    soak->round_ns = lab_now_ns();
    while (!soak_faults_step(soak)) {
        uint64_t at_ms = (lab_now_ns() - soak->round_ns) / UINT64_C(1000000);
        soak_tick(soak, at_ms < options.round_ms);
    }
    soak_rest(soak);
    soak->round++;
}

static void end(struct soak *soak)
{
    for (unsigned i = 0; i < options.n_hosts; i++) {
        lab_stop(soak->hosts[i].daemon, SOAK_STOP_MS);
        soak_keep_log(&soak->hosts[i]);
    }
    lab_free(soak->lab);
    json_decref(soak->schedule);
    free(soak->gauges.samples);
}

/* However it ends, nothing of it stays. */
static void die_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

START_TEST(all_is_well)
{
    static struct soak soak;
    die_with_parent(); /* Check's, and with us all hosts */
    setvbuf(stdout, NULL, _IOLBF, 0);
    begin(&soak);
    do {
        play_round(&soak);
    } while (soak_minutes(&soak, lab_now_ns()) < options.minutes);
    bool is_good = soak_report(&soak);
    end(&soak);
    ck_assert_msg(is_good, "not all was as it must be");
}
END_TEST

/* --- the command ---------------------------------------------------------------------------------
 */

static _Noreturn void refuse(const char *what)
{
    fprintf(stderr,
            "soak: %s\n"
            "usage: soak MINUTES [--seed SEED] [--hosts 4..8] [--round SECONDS] "
            "[--report FOLDER]\n",
            what);
    exit(2);
}

static uint64_t number(const char *text, uint64_t low, uint64_t high, const char *what)
{
    uint64_t value;
    if (text_parse_u64(text, high, &value) != 0 || value < low) {
        refuse(what);
    }
    return value;
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {{"seed", required_argument, NULL, 's'},
                                          {"hosts", required_argument, NULL, 'h'},
                                          {"round", required_argument, NULL, 'r'},
                                          {"report", required_argument, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};
    options.seed = (uint64_t)time(NULL);
    for (int c = getopt_long(argc, argv, "", known, NULL); c != -1;
         c = getopt_long(argc, argv, "", known, NULL)) {
        if (c == 's') {
            options.seed = number(optarg, 0, UINT64_MAX, "no seed");
        } else if (c == 'h') {
            options.n_hosts =
                (unsigned)number(optarg, SOAK_SUBMITTERS + 1, SOAK_HOSTS_MAX, "4 to 8 hosts");
        } else if (c == 'r') {
            options.round_ms = 1000 * (unsigned)number(optarg, 1, 600, "1 to 600 seconds a round");
        } else if (c == 'f') {
            options.folder = optarg;
        } else {
            refuse("unknown option");
        }
    }
    char *end = NULL;
    options.minutes = optind + 1 == argc ? strtod(argv[optind], &end) : -1;
    if (end == NULL || *end != '\0' || !(options.minutes > 0 && options.minutes < MINUTES_MAX)) {
        refuse("how many minutes?");
    }
}

int main(int argc, char **argv)
{
    struct errmsg err;
    die_with_parent();
    read_options(argc, argv);
    if (!lab_is_possible(&err)) {
        printf("# skipped: no lab on this machine: %s\n", err.text);
        return EXIT_SKIP;
    }
    printf("seed %" PRIu64 ": %u hosts, %.1f minutes, rounds of %u s\n", options.seed,
           options.n_hosts, options.minutes, options.round_ms / 1000);
    Suite *suite = suite_create("soak");
    TCase *tcase = tcase_create("soak");
    tcase_set_timeout(tcase, 3 * 60 * options.minutes + 1200);
    tcase_add_test(tcase, all_is_well);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_SILENT);
    int n_failed = srunner_ntests_failed(runner);
    if (n_failed > 0) {
        srunner_print(runner, CK_NORMAL);
    }
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
