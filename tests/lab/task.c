/* A task whose every run can be accounted for: `task FOLDER MS INPUT` writes a line when it starts
 * and one when it ends to FOLDER/events, takes MS milliseconds, and prints INPUT and the sum of the
 * primes below it. `task FOLDER start INPUT` and `task FOLDER end INPUT` only write such a line,
 * for tasks that are lines for a shell. It is sent to the peers as users' programs are, so it uses
 * libc only. */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : "?";
}

/* One write to a file opened with O_APPEND: lines of many tasks do not mix. */
static int note(const char *folder, const char *what, const char *input)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char path[512];
    char line[256];
    snprintf(path, sizeof(path), "%s/events", folder);
    int n =
        snprintf(line, sizeof(line), "%s %s %s %s %llu\n", what, input,
                 from_environment("MESH_PEER"), from_environment("MESH_ATTEMPT"),
                 (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (fd < 0 || write(fd, line, (size_t)n) != n) {
        perror(path);
        return -1;
    }
    return close(fd);
}

static uint64_t prime_sum(unsigned long below)
{
    uint64_t sum = 0;
    for (unsigned long n = 2; n < below; n++) {
        int is_prime = 1;
        for (unsigned long d = 2; is_prime && d * d <= n; d++) {
            is_prime = n % d != 0;
        }
        sum += is_prime ? n : 0;
    }
    return sum;
}

static unsigned long number(const char *text)
{
    unsigned long value = 0;
    return sscanf(text, "%lu", &value) == 1 ? value : 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: task FOLDER MS|start|end INPUT\n");
        return 2;
    }
    if (strcmp(argv[2], "start") == 0 || strcmp(argv[2], "end") == 0) {
        return note(argv[1], argv[2], argv[3]) < 0 ? 3 : 0;
    }
    if (note(argv[1], "start", argv[3]) < 0) {
        return 3;
    }
    uint64_t sum = prime_sum(number(argv[3]));
    poll(NULL, 0, (int)number(argv[2])); /* takes its time without taking the machine's */
    if (note(argv[1], "end", argv[3]) < 0) {
        return 3;
    }
    printf("%s %llu\n", argv[3], (unsigned long long)sum);
    return 0;
}
