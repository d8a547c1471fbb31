/* The library of orphan_worker.c. */
__attribute__((visibility("default"))) int nowhere(void);

int nowhere(void)
{
    return 0;
}
