#include "tests/lab/apart.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/lab/process.h"

#define STEERING_FILE "/sys/class/net/eth0/queues/rx-0/rps_cpus"
/* The kernel reads a mask of so many processors from one word. */
#define MASK_BITS   32
#define PATIENCE_MS 10000

void apart_init(struct apart *apart)
{
    *apart = (struct apart){0};
    cpu_set_t *all = &apart->honest;
    ck_assert_int_eq(sched_getaffinity(0, sizeof(*all), all), 0);
    int n = CPU_COUNT(all);
    int n_hostile = n >= 4 ? 2 : 1;
    apart->is_apart = n >= 2;
    for (int i = CPU_SETSIZE - 1; apart->is_apart && i >= 0 && n_hostile > 0; i--) {
        if (CPU_ISSET(i, all)) {
            CPU_CLR(i, &apart->honest);
            CPU_SET(i, &apart->hostile);
            n_hostile--;
        }
    }
}

static void be_on(const struct apart *apart, const cpu_set_t *processors)
{
    if (apart->is_apart) {
        ck_assert_int_eq(sched_setaffinity(0, sizeof(*processors), processors), 0);
    }
}

void apart_be_honest(const struct apart *apart)
{
    be_on(apart, &apart->honest);
}

void apart_be_hostile(const struct apart *apart)
{
    be_on(apart, &apart->hostile);
}

/* On the host. Its /sys may not be written; as this process alone sees it, it may. */
static int steer(void *context)
{
    const char *mask = context;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(NULL, "/sys", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        return 1;
    }
    int fd = open(STEERING_FILE, O_WRONLY | O_CLOEXEC);
    bool is_done = fd >= 0 && write(fd, mask, strlen(mask)) == (ssize_t)strlen(mask);
    return is_done ? 0 : 1;
}

void apart_receive_honestly(const struct apart *apart, struct lab_host *host)
{
    static char mask[16];
    unsigned bits = 0;
    for (int i = 0; i < MASK_BITS; i++) {
        bits |= CPU_ISSET(i, &apart->honest) ? 1u << i : 0;
    }
    if (!apart->is_apart || bits == 0) {
        return;
    }
    snprintf(mask, sizeof(mask), "%x", bits);
    int status = -1;
    struct lab_process *steering = lab_call(host, steer, mask);
    if (lab_wait(steering, PATIENCE_MS, &status) != 0 || status != 0) {
        fprintf(stderr, "# %s: frames are taken in on the switch's processor\n", host->name);
    }
}
