/* sum_primes N: prints the sum of all primes below N, by trial division up to the square root.
 *
 * Parallel Python's first example as a program of its own: nothing in it knows of mesh, which is
 * the point. Compute it on all the machines of the room with
 *
 *     mesh submit -k --tag ./sum_primes {} ::: 500000 500100 500200 500300
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The sum of the primes below this fits in 64 bits (it is less than N * N / 2). */
#define N_MAX UINT64_C(4294967296)

static bool is_prime(uint64_t n)
{
    if (n < 4) {
        return n >= 2;
    }
    if (n % 2 == 0) {
        return false;
    }
    for (uint64_t divisor = 3; divisor * divisor <= n; divisor += 2) {
        if (n % divisor == 0) {
            return false;
        }
    }
    return true;
}

static uint64_t sum_primes(uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 2; i < n; i++) {
        if (is_prime(i)) {
            sum += i;
        }
    }
    return sum;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: sum_primes N\n");
        return 2;
    }
    char *end;
    errno = 0;
    unsigned long long n = strtoull(argv[1], &end, 10);
    if (argv[1][0] < '0' || argv[1][0] > '9' || *end != '\0' || errno != 0 || n > N_MAX) {
        fprintf(stderr, "sum_primes: '%s' is no number from 0 to %" PRIu64 "\n", argv[1], N_MAX);
        return 2;
    }
    printf("%" PRIu64 "\n", sum_primes(n));
    return ferror(stdout) || fclose(stdout) != 0 ? 1 : 0;
}
