/* Made-up /proc and control group trees in a folder. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/cores.h"
#include "tests/lib/runner.h"

static char root[64];

static void put(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0755);
        *slash = '/';
    }
    FILE *f = fopen(whole, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void set_up(void)
{
    snprintf(root, sizeof root, "/tmp/test-cores-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    put("/proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 1 kB\n");
}

static void tear_down(void)
{
    pid_t rm = fork();
    if (rm == 0) {
        execlp("rm", "rm", "-rf", root, NULL);
        _exit(127);
    }
    waitpid(rm, NULL, 0);
}

static uint32_t affinity(void)
{
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    return (uint32_t)CPU_COUNT(&set);
}

static void put_v2(const char *group)
{
    char text[256];
    snprintf(text, sizeof text, "0::%s\n", group);
    put("/proc/self/cgroup", text);
    put("/proc/self/mountinfo",
        "22 1 0:20 / /proc rw - proc proc rw\n"
        "30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
}

START_TEST(without_control_groups_the_mask_counts)
{
    ck_assert_uint_eq(cores_effective(root), affinity());
    ck_assert_uint_eq(cores_memory_total_bytes(root), 8000000ull * 1024);
    ck_assert_uint_eq(cores_memory_limit_bytes(root), 8000000ull * 1024);
    ck_assert_uint_eq(cores_memory_total_bytes("/no/such/root"), 0);
    ck_assert_uint_eq(cores_memory_limit_bytes("/no/such/root"), 0);
}
END_TEST

START_TEST(the_mask_limits)
{
    cpu_set_t all;
    cpu_set_t one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
        }
    }
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_uint_eq(cores_effective(root), 1);
    ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
}
END_TEST

START_TEST(v2_the_least_quota_on_the_way_up_counts)
{
    put_v2("/user.slice/job");
    put("/sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/user.slice/job/memory.max", "max\n");
    ck_assert_uint_eq(cores_effective(root), affinity());
    put("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "1073741824\n");
    ck_assert_uint_eq(cores_effective(root), 1);
    ck_assert_uint_eq(cores_memory_limit_bytes(root), 1073741824);
    put("/sys/fs/cgroup/user.slice/job/cpu.max", "25000 100000\n");
    ck_assert_uint_eq(cores_effective(root), 1); /* a quarter is still one */
}
END_TEST

START_TEST(v1_each_controller_has_its_tree)
{
    put("/proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/lab-h\n3:memory:/lab-m/x\n0::/\n");
    put("/proc/self/mountinfo",
        "31 1 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 1 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/cpu,cpuacct/lab-h/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/lab-h/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/memory/lab-m/x/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/lab-m/memory.limit_in_bytes", "67108864\n");
    ck_assert_uint_eq(cores_effective(root), affinity());
    ck_assert_uint_eq(cores_memory_limit_bytes(root), 67108864);
    put("/sys/fs/cgroup/cpu,cpuacct/lab-h/cpu.cfs_quota_us", "100000\n");
    ck_assert_uint_eq(cores_effective(root), 1);
}
END_TEST

START_TEST(a_container_sees_only_its_part_of_the_tree)
{
    put("/proc/self/cgroup", "0::/docker/abc/in\n");
    put("/proc/self/mountinfo", "30 1 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/memory.max", "2097152\n");
    put("/sys/fs/cgroup/in/memory.max", "1048576\n");
    put("/memory.max", "1024\n"); /* above the mount point: none of ours */
    put("/sys/fs/memory.max", "1024\n");
    ck_assert_uint_eq(cores_memory_limit_bytes(root), 1048576);
    put("/proc/self/cgroup", "0::/docker/abcdef\n"); /* shares the letters, not the path */
    ck_assert_uint_eq(cores_memory_limit_bytes(root), 2097152);
}
END_TEST

START_TEST(nonsense_does_not_limit)
{
    put_v2("/x");
    put("/sys/fs/cgroup/x/cpu.max", "-5 0\n");
    put("/sys/fs/cgroup/x/memory.max", "\n");
    ck_assert_uint_eq(cores_effective(root), affinity());
    ck_assert_uint_eq(cores_memory_limit_bytes(root), 8000000ull * 1024);
    put("/proc/self/cgroup", "nonsense\n0:");
    put("/proc/self/mountinfo", "1 2 - cgroup2\n - \n\n");
    ck_assert_uint_eq(cores_effective(root), affinity());
}
END_TEST

START_TEST(this_machine_has_cores_and_memory)
{
    ck_assert_uint_ge(cores_effective(""), 1);
    ck_assert_uint_le(cores_effective(""), affinity());
    ck_assert_uint_gt(cores_memory_limit_bytes(""), 1 << 20);
    ck_assert_uint_le(cores_memory_limit_bytes(""), cores_memory_total_bytes(""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cores");
    TCase *tc = tcase_create("cores");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, without_control_groups_the_mask_counts);
    tcase_add_test(tc, the_mask_limits);
    tcase_add_test(tc, v2_the_least_quota_on_the_way_up_counts);
    tcase_add_test(tc, v1_each_controller_has_its_tree);
    tcase_add_test(tc, a_container_sees_only_its_part_of_the_tree);
    tcase_add_test(tc, nonsense_does_not_limit);
    tcase_add_test(tc, this_machine_has_cores_and_memory);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
