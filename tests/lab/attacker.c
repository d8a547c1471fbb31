/* attacker ATTACK HOST PORT SECONDS [SEED [LEAST]]: misbehaves towards the daemon there for so long
 * (a numeric address), then prints how much it said. `attacker list` names what it can do. SIGTERM
 * ends it early, but not before it has said LEAST, and it prints all the same. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/lab/attacker.h"
#include "wire/base/text.h"

static const struct attack {
    const char *name;
    void (*run)(struct raid *raid);
} attacks[] = {
    {"bad-hello", attack_bad_hello},
    {"bad-proof", attack_bad_proof},
    {"bad-lengths", attack_bad_lengths},
    {"half-handshakes", attack_half_handshakes},
    {"slow-hellos", attack_slow_hellos},
    {"hellos", attack_hellos},
    {"replayed-hello", attack_replayed_hello},
    {"reflected-hello", attack_reflected_hello},
    {"keys-in-turn", attack_keys_in_turn},
    {"keys-at-once", attack_keys_at_once},
    {"bad-frame", attack_bad_frame},
    {"replayed-frame", attack_replayed_frame},
    {"huge-counts", attack_huge_counts},
    {"deep-nesting", attack_deep_nesting},
    {"slow-frames", attack_slow_frames},
    {"deaf", attack_deaf},
    {"beats", attack_beats},
    {"wants", attack_wants},
    {"inventories", attack_inventories},
    {"grants", attack_grants},
    {"blob-wants", attack_blob_wants},
    {"hearsay", attack_hearsay},
    {"sums", attack_sums},
    {"names", attack_names},
    {"jobs", attack_jobs},
    {"sizes", attack_sizes},
    {"arguments", attack_arguments},
    {"output", attack_output},
    {"wrong-blobs", attack_wrong_blobs},
    {"long-blobs", attack_long_blobs},
    {"results", attack_results},
    {"stolen-results", attack_stolen_results},
    {"streams", attack_streams},
    {"mdns", attack_mdns},
};

static struct raid raid;

static void on_term(int signal_number)
{
    raid.is_told_to_end = true;
}

static int usage(void)
{
    fprintf(stderr, "usage: attacker list | ATTACK HOST PORT SECONDS [SEED [LEAST]]\n");
    return 2;
}

static int set_target(const char *host, uint64_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&raid.target;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&raid.target;
    raid.port = (unsigned)port;
    snprintf(raid.host, sizeof(raid.host), "%s", host);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return 0;
    }
    return -1;
}

int main(int argc, char **argv)
{
    uint64_t port;
    uint64_t seconds;
    uint64_t seed = 1;
    uint64_t least = 0;
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
            printf("%s\n", attacks[i].name);
        }
        return 0;
    }
    if (argc < 5 || argc > 7 || text_parse_u64(argv[3], 65535, &port) < 0 ||
        text_parse_u64(argv[4], 3600, &seconds) < 0 || set_target(argv[2], port) < 0 ||
        (argc > 5 && text_parse_u64(argv[5], UINT64_MAX, &seed) < 0) ||
        (argc > 6 && text_parse_u64(argv[6], UINT64_MAX, &least) < 0)) {
        return usage();
    }
    struct rlimit files = {.rlim_cur = 65536, .rlim_max = 65536};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        IGNORE(setrlimit(RLIMIT_NOFILE, &files)); /* fewer at once, then */
    }
    ensure(wire_init() == 0);
    raid.seed = seed;
    raid.n_least = least;
    raid.door = wire_door_new();
    ensure(raid.door != NULL);
    raid.until_ns = raid_now_ns() + seconds * UINT64_C(1000000000);
    struct sigaction on_end = {.sa_handler = on_term};
    sigaction(SIGTERM, &on_end, NULL);
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
        if (strcmp(attacks[i].name, argv[1]) == 0) {
            attacks[i].run(&raid);
            raid.door = wire_door_free(raid.door);
            printf("sent %llu up %llu\n", (unsigned long long)raid.n_sent,
                   (unsigned long long)raid.n_up);
            return 0;
        }
    }
    return usage();
}
