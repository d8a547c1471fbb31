#include "mesh/cores.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/ensure.h"
#include "wire/base/text.h"

#define LINE_BYTES 4096

/* --- where this process' control group is ------------------------------------------------------
 * /proc/self/cgroup names the group below its hierarchy's root, /proc/self/mountinfo says which
 * part of the hierarchy is mounted where. A container often sees only its own part. */

struct group {
    char dir[PATH_MAX]; /* as seen under `root`; "" when there is none */
    size_t n_mount;     /* the front part that is the mount point: limits are looked for up to it */
};

static bool has_word(const char *list, const char *word)
{
    size_t n_word = strlen(word);
    for (const char *at = list; *at != '\0';) {
        size_t n = strcspn(at, ",");
        if (n == n_word && memcmp(at, word, n) == 0) {
            return true;
        }
        at += n + (at[n] == ',');
    }
    return false;
}

static FILE *open_below(const char *root, const char *path)
{
    char whole[PATH_MAX];
    int n = snprintf(whole, sizeof whole, "%s%s", root, path);
    return n > 0 && (size_t)n < sizeof whole ? fopen(whole, "re") : NULL;
}

/* The group's path within its hierarchy; v2's line has no controller names. */
static bool group_path(const char *root, const char *controller, bool is_v2, char *to, size_t n_to)
{
    char line[LINE_BYTES];
    bool found = false;
    FILE *f = open_below(root, "/proc/self/cgroup");
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':');
        char *path = names != NULL ? strchr(names + 1, ':') : NULL;
        if (path == NULL) {
            continue;
        }
        *path++ = '\0';
        names++;
        if (is_v2 ? names[0] == '\0' : has_word(names, controller)) {
            int n = snprintf(to, n_to, "%s", path);
            found = n > 0 && (size_t)n < n_to;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return found;
}

/* One line of mountinfo: is it the hierarchy, and what part of it is where? */
static bool parse_mount(char *line, const char *controller, bool is_v2, const char **ret_part,
                        const char **ret_at)
{
    char *options = strstr(line, " - ");
    char *save = NULL;
    if (options == NULL) {
        return false;
    }
    *options = '\0';
    const char *type = strtok_r(options + 3, " \n", &save);
    const char *source = strtok_r(NULL, " \n", &save);
    const char *super = strtok_r(NULL, " \n", &save);
    bool is_it = type != NULL && source != NULL && super != NULL &&
                 (is_v2 ? strcmp(type, "cgroup2") == 0
                        : strcmp(type, "cgroup") == 0 && has_word(super, controller));
    if (!is_it) {
        return false;
    }
    /* id, parent, device, part, mount point */
    const char *fields[5] = {NULL};
    const char *field = strtok_r(line, " ", &save);
    for (size_t i = 0; i < ARRAY_LEN(fields) && field != NULL; i++) {
        fields[i] = field;
        field = strtok_r(NULL, " ", &save);
    }
    *ret_part = fields[3];
    *ret_at = fields[4];
    return fields[4] != NULL;
}

static void join(struct group *group, const char *root, const char *part, const char *at,
                 const char *path)
{
    size_t n_part = strcmp(part, "/") == 0 ? 0 : strlen(part);
    /* A path outside the mounted part (another namespace's): the mount point is all there is. */
    const char *rest =
        strncmp(path, part, n_part) == 0 && (path[n_part] == '/' || path[n_part] == '\0')
            ? path + n_part
            : "";
    int n_mount = snprintf(group->dir, sizeof group->dir, "%s%s", root, at);
    if (n_mount < 0 || (size_t)n_mount + strlen(rest) + 1 > sizeof group->dir) {
        group->dir[0] = '\0';
        return;
    }
    group->n_mount = (size_t)n_mount;
    memcpy(group->dir + n_mount, rest, strlen(rest) + 1);
}

static struct group find_group(const char *root, const char *controller, bool is_v2)
{
    struct group group = {.dir = ""};
    char path[PATH_MAX];
    char line[LINE_BYTES];
    if (!group_path(root, controller, is_v2, path, sizeof path)) {
        return group;
    }
    FILE *f = open_below(root, "/proc/self/mountinfo");
    while (f != NULL && group.dir[0] == '\0' && fgets(line, sizeof line, f) != NULL) {
        const char *part;
        const char *at;
        if (parse_mount(line, controller, is_v2, &part, &at)) {
            join(&group, root, part, at, path);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return group;
}

int cores_own_group(const char *root, const char *controller, char *to, size_t n_to)
{
    struct group group = find_group(root, controller, controller[0] == '\0');
    size_t n = strlen(group.dir);
    if (n == 0) {
        return -ENOENT;
    }
    while (n > 1 && group.dir[n - 1] == '/') {
        group.dir[--n] = '\0';
    }
    if (n >= n_to) {
        return -ENAMETOOLONG;
    }
    memcpy(to, group.dir, n + 1);
    return 0;
}

/* One level up; false at the mount point. */
static bool go_up(struct group *group)
{
    char *slash = strrchr(group->dir, '/');
    if (slash == NULL || (size_t)(slash - group->dir) < group->n_mount) {
        return false;
    }
    *slash = '\0';
    return true;
}

static bool read_line(const char *dir, const char *name, char *to, int n_to)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    bool ok = f != NULL && fgets(to, n_to, f) != NULL;
    if (f != NULL) {
        fclose(f);
    }
    return ok;
}

/* The number that begins the line at *at, which moves behind it and the blank that follows. A
 * number that does not fit, "max" and "-1" are none. */
static bool next_number(char **at, uint64_t *ret_value)
{
    char *word = *at + strspn(*at, " ");
    size_t n = strcspn(word, " \n");
    bool is_last = word[n] == '\0';
    word[n] = '\0';
    *at = word + n + (is_last ? 0 : 1);
    return text_parse_u64(word, INT64_MAX, ret_value) == 0;
}

/* --- processors --- */

static void lower(uint64_t *least, uint64_t value)
{
    *least = value < *least ? value : *least;
}

/* In thousandths of a processor. */
static void lower_to_quota(uint64_t *milli, uint64_t quota, uint64_t period)
{
    if (quota > 0 && period > 0 && quota < UINT64_MAX / 1000) {
        lower(milli, quota * 1000 / period);
    }
}

static uint64_t quota_milli(const char *root)
{
    uint64_t milli = UINT64_MAX;
    char text[128];
    char text2[128];
    uint64_t quota;
    uint64_t period;
    struct group group = find_group(root, "", true);
    for (bool more = group.dir[0] != '\0'; more; more = go_up(&group)) {
        char *at = text;
        if (read_line(group.dir, "cpu.max", text, sizeof text) && next_number(&at, &quota) &&
            next_number(&at, &period)) {
            lower_to_quota(&milli, quota, period);
        }
    }
    group = find_group(root, "cpu", false);
    for (bool more = group.dir[0] != '\0'; more; more = go_up(&group)) {
        char *at = text;
        char *at2 = text2;
        if (read_line(group.dir, "cpu.cfs_quota_us", text, sizeof text) &&
            read_line(group.dir, "cpu.cfs_period_us", text2, sizeof text2) &&
            next_number(&at, &quota) && next_number(&at2, &period)) {
            lower_to_quota(&milli, quota, period);
        }
    }
    return milli;
}

/* Machines with more processors than the mask first tried holds refuse it. */
static uint64_t affinity_count(void)
{
    for (int n_max = 1024; n_max <= 1 << 20; n_max *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)n_max);
        if (set == NULL) {
            break;
        }
        size_t n_bytes = CPU_ALLOC_SIZE((size_t)n_max);
        int r = sched_getaffinity(0, n_bytes, set);
        int n = r == 0 ? CPU_COUNT_S(n_bytes, set) : 0;
        CPU_FREE(set);
        if (n > 0) {
            return (uint64_t)n;
        }
    }
    return 1;
}

uint32_t cores_effective(const char *root)
{
    uint64_t n = affinity_count();
    lower(&n, quota_milli(root) / 1000);
    return n == 0 ? 1 : (uint32_t)n;
}

/* --- memory --- */

uint64_t cores_memory_total_bytes(const char *root)
{
    char line[256];
    static const char label[] = "MemTotal:";
    uint64_t kib = 0;
    FILE *f = open_below(root, "/proc/meminfo");
    while (f != NULL && kib == 0 && fgets(line, sizeof line, f) != NULL) {
        char *at = line + sizeof label - 1;
        if (strncmp(line, label, sizeof label - 1) == 0 && !next_number(&at, &kib)) {
            break;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib * 1024;
}

static void lower_to_limits(uint64_t *least, struct group group, const char *name)
{
    char text[128];
    uint64_t bytes;
    for (bool more = group.dir[0] != '\0'; more; more = go_up(&group)) {
        /* "max" of v2 is no number; v1 says a huge one. */
        char *at = text;
        if (read_line(group.dir, name, text, sizeof text) && next_number(&at, &bytes)) {
            lower(least, bytes);
        }
    }
}

uint64_t cores_memory_limit_bytes(const char *root)
{
    uint64_t total = cores_memory_total_bytes(root);
    uint64_t least = total > 0 ? total : UINT64_MAX;
    lower_to_limits(&least, find_group(root, "", true), "memory.max");
    lower_to_limits(&least, find_group(root, "memory", false), "memory.limit_in_bytes");
    return least == UINT64_MAX ? 0 : least;
}
