/* Limits, and the watch over a cell's memory.
 *
 * The kernel limits each process, not all of them together; so the init looks at what its cell
 * holds, the sooner again the less room was left. What counts: the processes' own memory, and
 * whatever lies in shared memory: files in the scratch, /tmp and /dev/shm, System V segments,
 * memory files that a process has open. Pages of programs and libraries do not: the kernel takes
 * those back when it needs room.
 *
 * A cheap sum comes first (statm). It counts shared pages once for each process that has them, so
 * when it is too large the exact one decides (smaps_rollup), which is slow. A process that made
 * itself unreadable shows its statm only, and counts in full. What is held in no way that shows
 * (the hidden rest of a shared mapping; a memory file that is on its way through a socket, or open
 * in an unreadable process) is left to the kernel, which takes tasks before anything else.
 *
 * Where the cell has a control group, that allows for one eighth more: it bounds what is taken
 * between two looks, and what does not show. The watch is what ends an attempt: the kernel kills
 * one process at a time, of which a bomb makes new ones. */
#include "mesh/cell_init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "mesh/clock.h"
#include "wire/base/text.h"

#define WAIT_NS_MIN 20000000u  /* 20 ms */
#define WAIT_NS_MAX 500000000u /* half a second */
/* No task fills memory faster: a page fault takes some 250 ns, and a cell has few cores. */
#define FILL_BYTES_PER_MS (8ull << 20)
/* A look may take one part in so many of the init's time. */
#define LOOK_SHARE 4

/* Memory files of different descriptors are mostly the same ones. More than these count each time.
 */
#define INODES_MAX 4096

struct sum {
    uint64_t own;    /* bytes that belong to processes */
    uint64_t mapped; /* of shared memory that processes have mapped */
    uint64_t files;  /* bytes in shared memory, mapped or not */
};

static uint64_t inodes[INODES_MAX]; /* an open hash table, 0: free; one init to a process */

/* --- set-up -------------------------------------------------------------------------------------
 */

static int limit(__rlimit_resource_t which, uint64_t value)
{
    struct rlimit now;
    if (value == 0 || getrlimit(which, &now) < 0) {
        return value == 0 ? 0 : -errno;
    }
    rlim_t least = now.rlim_max < value ? now.rlim_max : (rlim_t)value;
    struct rlimit to = {least, least};
    return setrlimit(which, &to) < 0 ? -errno : 0;
}

static int enter_group(const struct cell_limits *allowed)
{
    int fd = (int)allowed->group_fd;
    if (fd == 0) {
        return 0;
    }
    int r = write(fd, "0", 1) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int init_memory_set_up(struct init *init)
{
    const struct cell_limits *allowed = &init->allowed;
    init->memory.shmem_fd = -1;
    if (!init->is_sandbox) {
        return 0;
    }
    int r = enter_group(allowed);
    if (r < 0) {
        return r;
    }
    init->memory.shmem_fd = memfd_create("mesh-device", MFD_CLOEXEC);
    r = limit(RLIMIT_FSIZE, allowed->file_bytes);
    return r < 0 ? r : limit(RLIMIT_NPROC, allowed->n_processes);
}

/* What is not dumpable may not even write to its own /proc. Nothing else runs in the cell yet that
 * could look into this process, which is still a copy of the init, while it is. */
static void go_first(void)
{
    if (prctl(PR_SET_DUMPABLE, 1) < 0) {
        return;
    }
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    IGNORE(prctl(PR_SET_DUMPABLE, 0));
    if (fd >= 0) {
        IGNORE(write(fd, "1000", 4)); /* where it cannot be: as any other process */
        close(fd);
    }
}

int init_memory_become_task(const struct init *init)
{
    if (!init->is_sandbox) {
        return 0;
    }
    go_first();
    return limit(RLIMIT_AS, init->allowed.address_bytes);
}

static bool is_watched(const struct init *init)
{
    return init->attempt.pid != 0 && init->allowed.memory_bytes > 0;
}

void init_memory_begin(struct init *init)
{
    init->memory.next_ns = meshd_clock_ns() + WAIT_NS_MIN;
}

int init_memory_wait_ms(const struct init *init)
{
    if (!is_watched(init)) {
        return -1;
    }
    uint64_t now_ns = meshd_clock_ns();
    return now_ns >= init->memory.next_ns ? 0
                                          : (int)((init->memory.next_ns - now_ns) / 1000000) + 1;
}

/* --- reading ------------------------------------------------------------------------------------
 */

bool init_read_text(int dir_fd, const char *path, char *to, size_t n_to)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, to, n_to - 1);
    if (fd >= 0) {
        close(fd);
    }
    to[n > 0 ? n : 0] = '\0';
    return n > 0;
}

uint64_t init_number_at(const char *text, unsigned i)
{
    char word[24];
    uint64_t value = 0;
    for (;; i--) {
        text += strspn(text, " \t");
        size_t n = strcspn(text, " \t\n");
        if (i == 0 && n > 0 && n < sizeof word) {
            memcpy(word, text, n);
            word[n] = '\0';
            return text_parse_u64(word, INT64_MAX, &value) == 0 ? value : 0;
        }
        if (i == 0 || n == 0) {
            return 0;
        }
        text += n;
    }
}

static uint64_t kib_of(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    return at == NULL ? 0 : init_number_at(at + strlen(label), 0);
}

/* Files in a file system of the cell's own. Its blocks are there whether or not they have names. */
static uint64_t bytes_in(const char *path)
{
    struct statvfs fs;
    return statvfs(path, &fs) < 0 ? 0 : (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
}

/* Segments of System V, mapped or not: resident and swapped bytes are the last two columns. */
static uint64_t bytes_in_segments(void)
{
    enum { RSS_COLUMN = 14, SWAP_COLUMN = 15 };
    char line[512];
    uint64_t bytes = 0;
    FILE *f = fopen("/proc/sysvipc/shm", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        bytes += init_number_at(line, RSS_COLUMN) +
                 init_number_at(line, SWAP_COLUMN); /* no heading is one */
    }
    if (f != NULL) {
        fclose(f);
    }
    return bytes;
}

/* Whether this inode was not counted yet in this look. */
static bool is_new_inode(uint64_t inode)
{
    for (size_t i = 0; i < INODES_MAX; i++) {
        uint64_t *slot = &inodes[(inode + i) % INODES_MAX];
        if (*slot == inode) {
            return false;
        }
        if (*slot == 0) {
            *slot = inode;
            return true;
        }
    }
    return true;
}

/* Memory files that the process has open. */
static uint64_t bytes_in_memory_files(const struct init *init, int proc_fd, const char *pid)
{
    char path[64];
    struct stat device;
    struct stat st;
    uint64_t bytes = 0;
    snprintf(path, sizeof path, "%s/fd", pid);
    int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL || init->memory.shmem_fd < 0 || fstat(init->memory.shmem_fd, &device) < 0) {
        if (dir != NULL) {
            closedir(dir);
        } else if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && fstatat(fd, entry->d_name, &st, 0) == 0 &&
            st.st_dev == device.st_dev && S_ISREG(st.st_mode) && is_new_inode(st.st_ino)) {
            bytes += (uint64_t)st.st_blocks * 512;
        }
    }
    closedir(dir);
    return bytes;
}

/* Adds one process' pages: all that are resident, or exactly those that are its. */
static void add_process(struct sum *sum, int proc_fd, const char *pid, bool is_exact)
{
    char path[64];
    char text[2048];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    snprintf(path, sizeof path, "%s/smaps_rollup", pid);
    if (is_exact && init_read_text(proc_fd, path, text, sizeof text) &&
        strstr(text, "Pss_Anon:") != NULL) {
        sum->own += (kib_of(text, "Pss_Anon:") + kib_of(text, "SwapPss:")) * 1024;
        sum->mapped += kib_of(text, "Pss_Shmem:") * 1024;
        return;
    }
    snprintf(path, sizeof path, "%s/statm", pid);
    if (init_read_text(proc_fd, path, text, sizeof text)) {
        uint64_t resident = init_number_at(text, 1);
        uint64_t shared =
            init_number_at(text, 2); /* with files: those count only where it is cheap */
        sum->own += (is_exact && resident > shared ? resident - shared : resident) * page;
    }
}

static struct sum look(const struct init *init, bool is_exact)
{
    struct sum sum = {0};
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    memset(inodes, 0, sizeof inodes);
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        uint64_t pid;
        if (text_parse_u64(entry->d_name, INT32_MAX, &pid) == 0 && pid != (uint64_t)getpid()) {
            add_process(&sum, dirfd(proc), entry->d_name, is_exact);
            sum.files += bytes_in_memory_files(init, dirfd(proc), entry->d_name);
        }
    }
    if (proc != NULL) {
        closedir(proc);
    }
    sum.files += bytes_in(CELL_SCRATCH_DIR) + bytes_in("/tmp") + bytes_in("/dev/shm");
    sum.files += bytes_in_segments();
    return sum;
}

bool init_memory_is_over(struct init *init, uint64_t *ret_bytes)
{
    uint64_t began_ns = meshd_clock_ns();
    if (!is_watched(init) || began_ns < init->memory.next_ns) {
        return false;
    }
    uint64_t allowed = init->allowed.memory_bytes;
    struct sum sum = look(init, false);
    uint64_t bytes = sum.own + sum.files;
    if (bytes > allowed) {
        sum = look(init, true);
        /* What is mapped is mostly what lies in files: not counted twice. */
        bytes = sum.own + (sum.mapped > sum.files ? sum.mapped : sum.files);
    }
    uint64_t now_ns = meshd_clock_ns();
    uint64_t room = bytes < allowed ? allowed - bytes : 0;
    uint64_t wait_ns = room / FILL_BYTES_PER_MS * 1000000 / 2;
    wait_ns = wait_ns > WAIT_NS_MAX ? WAIT_NS_MAX : wait_ns;
    wait_ns = wait_ns < WAIT_NS_MIN ? WAIT_NS_MIN : wait_ns;
    uint64_t share_ns = (now_ns - began_ns) * LOOK_SHARE;
    init->memory.next_ns = now_ns + (share_ns > wait_ns ? share_ns : wait_ns);
    *ret_bytes = bytes;
    return bytes > allowed;
}
