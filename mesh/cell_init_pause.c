/* A paused attempt: all its processes are stopped, and stay so.
 *
 * A stopped process goes on with any SIGCONT, and a program can have one sent to itself: by a
 * timer of its own, which the kernel serves all the same. So the init looks at short intervals,
 * and stops again what runs. Once all stood still nothing runs again by chance: what does so more
 * than a few times is killed. So is what never comes to a stand, once it has used a processor for
 * longer than a way out of the kernel takes; on a busy machine a process may not get one for long,
 * and learns only then that it is to stop. What the kernel holds (state D) stops when it is let
 * go. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mesh/cell_init.h"
#include "mesh/clock.h"
#include "wire/base/text.h"

#define LOOK_NS UINT64_C(50000000)
/* A look may take one part in so many of the init's time. */
#define LOOK_SHARE 10
#define WOKEN_MAX  3u
/* Of a processor, in one pause, where not all stand still. */
#define UNSETTLED_US_MAX UINT64_C(500000)

enum stand {
    STANDS_STILL,
    IS_HELD, /* in the kernel */
    RUNS,
};

struct sight {
    enum stand most; /* what moves most */
    uint64_t ticks;  /* that these processes, and children that they saw end, had of a processor */
};

/* What a stat file says from the state on; NULL: there is none any more. */
static const char *read_stat(int dir_fd, const char *id, char *text, size_t n_text)
{
    char path[NAME_MAX + sizeof "/stat"];
    snprintf(path, sizeof path, "%s/stat", id);
    if (!init_read_text(dir_fd, path, text, n_text)) {
        return NULL;
    }
    const char *name_end = strrchr(text, ')'); /* the name may hold anything */
    return name_end != NULL && strlen(name_end) > 2 ? name_end + 2 : NULL;
}

static enum stand stand_of(char state)
{
    return state == 'D' ? IS_HELD : strchr("TtZXx", state) != NULL ? STANDS_STILL : RUNS;
}

static DIR *open_dir(int at_fd, const char *path)
{
    int fd = openat(at_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL && fd >= 0) {
        close(fd);
    }
    return dir;
}

/* Thread by thread: the first of them may have ended. */
static void look_at_threads(struct sight *sight, int proc_fd, const char *pid)
{
    char path[NAME_MAX + sizeof "/stat"];
    char text[512];
    snprintf(path, sizeof path, "%s/task", pid);
    DIR *dir = open_dir(proc_fd, path);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const char *stat = entry->d_name[0] != '.'
                               ? read_stat(dirfd(dir), entry->d_name, text, sizeof text)
                               : NULL;
        enum stand stand = stat != NULL ? stand_of(*stat) : STANDS_STILL;
        sight->most = stand > sight->most ? stand : sight->most;
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static struct sight look(void)
{
    enum { UTIME = 11, CSTIME = 14 }; /* the state is 0 */
    struct sight sight = {STANDS_STILL, 0};
    char text[512];
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        uint64_t pid;
        if (text_parse_u64(entry->d_name, INT32_MAX, &pid) < 0 || pid == (uint64_t)getpid()) {
            continue;
        }
        const char *stat = read_stat(dirfd(proc), entry->d_name, text, sizeof text);
        for (unsigned i = UTIME; stat != NULL && i <= CSTIME; i++) {
            sight.ticks += init_number_at(stat, i);
        }
        look_at_threads(&sight, dirfd(proc), entry->d_name);
    }
    if (proc != NULL) {
        closedir(proc);
    }
    return sight;
}

/* All but this process, which is the first of its namespace. What a program stopped itself goes on
 * with the rest. */
static void tell_all(int signal)
{
    IGNORE(kill(-1, signal)); /* none left: fine */
}

void init_pause(struct init *init, bool is_paused)
{
    struct init_pause *pause = &init->attempt.pause;
    tell_all(is_paused ? SIGSTOP : SIGCONT);
    pause->is_paused = is_paused;
    pause->is_settled = false;
    pause->n_looks = 0;
    pause->next_ns = meshd_clock_ns() + LOOK_NS;
}

int init_pause_wait_ms(const struct init *init)
{
    const struct init_pause *pause = &init->attempt.pause;
    if (!pause->is_paused) {
        return -1;
    }
    uint64_t now_ns = meshd_clock_ns();
    return now_ns >= pause->next_ns ? 0 : (int)((pause->next_ns - now_ns) / 1000000) + 1;
}

/* Stops what runs. Whether that was once too often. */
static bool act_on(struct init *init, const struct sight *sight)
{
    struct init_pause *pause = &init->attempt.pause;
    const struct init_usage *reaped = &init->attempt.usage;
    uint64_t spent_us =
        reaped->user_us + reaped->sys_us + sight->ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    if (sight->most == RUNS) {
        tell_all(SIGSTOP);
        pause->n_woken += pause->is_settled;
        pause->is_settled = false; /* it, too, may be long without a processor */
    } else if (sight->most == STANDS_STILL) {
        pause->is_settled = true;
    }
    pause->spent_us = pause->n_looks++ == 0 ? spent_us : pause->spent_us;
    bool is_unsettled = !pause->is_settled && spent_us > pause->spent_us + UNSETTLED_US_MAX;
    return pause->n_woken > WOKEN_MAX || is_unsettled;
}

bool init_pause_is_broken(struct init *init)
{
    uint64_t began_ns = meshd_clock_ns();
    if (!init->attempt.pause.is_paused || began_ns < init->attempt.pause.next_ns) {
        return false;
    }
    struct sight sight = look();
    bool is_broken = act_on(init, &sight);
    uint64_t now_ns = meshd_clock_ns();
    uint64_t share_ns = (now_ns - began_ns) * LOOK_SHARE;
    init->attempt.pause.next_ns = now_ns + (share_ns > LOOK_NS ? share_ns : LOOK_NS);
    return is_broken;
}
