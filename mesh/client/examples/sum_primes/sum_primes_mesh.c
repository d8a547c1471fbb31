/* sum_primes_mesh [N...]: the sums of the primes below each N, as calls of a function; with no N,
 * Parallel Python's sixteen inputs. Beside it stands sum_primes.c, the same without mesh. */
#include <err.h>
#include <inttypes.h>
#include <mesh.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_prime(int64_t n)
{
    if (n < 4) {
        return n >= 2;
    }
    if (n % 2 == 0) {
        return false;
    }
    for (int64_t divisor = 3; divisor * divisor <= n; divisor += 2) {
        if (n % divisor == 0) {
            return false;
        }
    }
    return true;
}

MESH_FUNCTION(sum_primes)
{
    int64_t below = mesh_arg_int(task, 0), sum = 0;
    for (int64_t i = 2; i < below; i++) {
        sum += is_prime(i) ? i : 0;
    }
    return mesh_return_int(task, sum);
}

int main(int argc, char **argv)
{
    mesh_init();
    size_t n = argc > 1 ? (size_t)argc - 1 : 16;
    int64_t *below = calloc(n, sizeof(*below));
    mesh_future **sums = calloc(n, sizeof(mesh_future *));
    mesh *m = mesh_open(NULL);
    if (below == NULL || sums == NULL) {
        errx(1, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        below[i] = argc > 1 ? strtoll(argv[i + 1], NULL, 10) : 500000 + 100 * (int64_t)(i % 8);
        if (below[i] < 1) {
            errx(2, "%s is not a number from 1 on", argv[i + 1]);
        }
        sums[i] = mesh_submit(m, "sum_primes", mesh_int(below[i]));
    }
    int n_failed = 0;
    for (size_t i = 0; i < n; i++) {
        if (mesh_future_error(sums[i]) == 0) {
            printf("%" PRId64 "\t%" PRId64 "\n", below[i], mesh_get_int(sums[i]));
        } else {
            fprintf(stderr, "%" PRId64 ": %s\n", below[i], mesh_future_error_text(sums[i]));
            n_failed++;
        }
    }
    mesh_print_stats(m, stderr);
    mesh_close(m);
    free(sums);
    free(below);
    return n_failed == 0 ? 0 : 1;
}
