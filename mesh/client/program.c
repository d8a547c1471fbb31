#include "mesh/client/program.h"

#include <elf.h>
#include <stdint.h>

static const struct {
    uint16_t machine; /* e_machine */
    uint8_t class;    /* EI_CLASS */
    uint8_t order;    /* EI_DATA */
    const char *arch;
} machines[] = {
    {EM_X86_64, ELFCLASS64, ELFDATA2LSB, "x86_64"},
    {EM_AARCH64, ELFCLASS64, ELFDATA2LSB, "aarch64"},
    {EM_386, ELFCLASS32, ELFDATA2LSB, "i686"},
    {EM_ARM, ELFCLASS32, ELFDATA2LSB, "armv7l"},
    {EM_RISCV, ELFCLASS64, ELFDATA2LSB, "riscv64"},
    {EM_PPC64, ELFCLASS64, ELFDATA2LSB, "ppc64le"},
    {EM_PPC64, ELFCLASS64, ELFDATA2MSB, "ppc64"},
    {EM_S390, ELFCLASS64, ELFDATA2MSB, "s390x"},
};

const char *mesh_program_arch(struct slice head)
{
    static const size_t machine_at = offsetof(Elf32_Ehdr, e_machine); /* the same in 64 bits */
    if (head.n < machine_at + 2 || memcmp(head.p, ELFMAG, SELFMAG) != 0) {
        return "";
    }
    const uint8_t *m = head.p + machine_at;
    uint16_t machine = head.p[EI_DATA] == ELFDATA2MSB ? (uint16_t)(m[0] << 8 | m[1])
                                                      : (uint16_t)(m[1] << 8 | m[0]);
    for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
        if (machines[i].machine == machine && machines[i].class == head.p[EI_CLASS] &&
            machines[i].order == head.p[EI_DATA]) {
            return machines[i].arch;
        }
    }
    return "";
}
