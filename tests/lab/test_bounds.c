/* What a host may use of the machine: memory, processors. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/bounds.h"
#include "tests/lab/host.h"
#include "tests/lab/process.h"

#define SPIN_NS UINT64_C(1000000000)

#define TAKE_100_MIB "head -c 100M /dev/zero | tail > /dev/null"

START_TEST(memory_of_a_host_is_limited)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    lab_limit_memory(hal, UINT64_C(64) << 20);
    ck_assert_int_eq(lab_run(lily, 10000, NULL, "sh", "-c", TAKE_100_MIB, NULL), 0);
    ck_assert_uint_eq(lab_memory_kills(hal), 0);
    ck_assert_int_eq(lab_run(hal, 10000, NULL, "sh", "-c", TAKE_100_MIB, NULL), 128 + SIGKILL);
    ck_assert_uint_eq(lab_memory_kills(hal), 1);
    ck_assert_uint_eq(lab_memory_kills(lily), 0);
    /* What it writes to its folders counts. */
    ck_assert_int_ne(lab_run(hal, 10000, NULL, "head", "-c", "100M", "/dev/zero", NULL), 0);
    lab_free(lab);
}
END_TEST

/* Two that want all of a processor, for a second; prints what they got, in milliseconds. */
static int spin(void *context)
{
    uint64_t end_ns = lab_now_ns() + SPIN_NS;
    for (unsigned i = 0; i < 2; i++) {
        if (fork() == 0) {
            while (lab_now_ns() < end_ns) {
            }
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    struct rusage used;
    if (getrusage(RUSAGE_CHILDREN, &used) < 0) {
        return 1;
    }
    printf("%ld\n", (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
                        (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000);
    return 0;
}

START_TEST(cores_of_a_host_are_limited)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    lab_limit_cores(hal, 0.1);
    lab_limit_memory(hal, UINT64_C(64) << 20); /* both at once */
    uint64_t from_ns = lab_now_ns();
    struct lab_process *process = lab_call(hal, spin, NULL);
    lab_expect(process, 15000, 0);
    double passed_ms = (double)(lab_now_ns() - from_ns) / 1e6;
    double used_ms = strtod(lab_output(process), NULL);
    printf("# figure: two that spin on a host of 0.1 cores: %.0f ms in %.0f ms\n", used_ms,
           passed_ms);
    ck_assert_double_gt(used_ms, 0);
    ck_assert_double_lt(used_ms, 0.1 * passed_ms + 60); /* of which it may borrow one period's */
    lab_free(lab);
}
END_TEST

/* Of a test that was killed together with what watches over its group. */
static void leave_group_beside(const char *folder, char path[static PATH_MAX])
{
    fflush(NULL);
    pid_t dead = fork();
    if (dead == 0) {
        _exit(0);
    }
    ck_assert_int_gt(dead, 0);
    ck_assert_int_eq(waitpid(dead, NULL, 0), dead);
    const char *slash = strrchr(folder, '/');
    snprintf(path, PATH_MAX, "%.*s/mesh-lab-%d-1", (int)(slash - folder), folder, (int)dead);
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

START_TEST(no_group_is_left)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    char folder[PATH_MAX];
    char left[PATH_MAX];
    lab_limit_cores(hal, 1);
    snprintf(folder, sizeof(folder), "%s", hal->groups[0].folder);
    ck_assert_int_eq(lab_run(hal, 5000, NULL, "sh", "-c", "setsid sleep 1000 & exit 0", NULL), 0);
    leave_group_beside(folder, left);
    lab_limit_cores(lily, 1);
    ck_assert_int_ne(access(left, F_OK), 0);
    ck_assert_int_eq(access(folder, F_OK), 0);
    lab_free(lab);
    ck_assert_int_ne(access(folder, F_OK), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bounds");
    TCase *tc = tcase_create("bounds");
    tcase_set_timeout(tc, 20);
    struct errmsg err;
    if (lab_may_limit(LAB_LIMIT_MEMORY, &err) && lab_may_limit(LAB_LIMIT_CORES, &err)) {
        tcase_add_test(tc, memory_of_a_host_is_limited);
        tcase_add_test(tc, cores_of_a_host_are_limited);
        tcase_add_test(tc, no_group_is_left);
    } else {
        printf("1..0 # SKIP limits of hosts: %s\n", err.text);
        return 0;
    }
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
