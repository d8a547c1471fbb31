/* Needs a library that cells do not have. */
int nowhere(void);

int main(void)
{
    return nowhere();
}
