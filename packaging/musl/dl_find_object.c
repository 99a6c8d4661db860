/* _dl_find_object of glibc 2.35, for the libgcc_eh of a compiler that was built for glibc: says which unwind table
 * covers a program counter. Only for musl; see toolchain.sh. */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>

struct dl_find_object {
    unsigned long long flags;
    void *map_start;
    void *map_end;
    void *link_map;
    void *eh_frame; /* the PT_GNU_EH_FRAME segment, not the section .eh_frame */
    unsigned long long reserved[7];
};

struct search {
    uintptr_t pc;
    struct dl_find_object *found;
};

static int look_at(struct dl_phdr_info *info, size_t size, void *data) {
    struct search *search = data;
    uintptr_t start = UINTPTR_MAX, end = 0, table = 0;
    int covers = 0;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + segment->p_vaddr, to = from + segment->p_memsz;
        if (segment->p_type == PT_GNU_EH_FRAME) table = from;
        if (segment->p_type != PT_LOAD) continue;
        if (from < start) start = from;
        if (to > end) end = to;
        covers |= from <= search->pc && search->pc < to;
    }
    if (!covers || !table) return 0;
    *search->found =
        (struct dl_find_object){.map_start = (void *)start, .map_end = (void *)end, .eh_frame = (void *)table};
    return 1;
}

int _dl_find_object(void *pc, struct dl_find_object *found) {
    struct search search = {.pc = (uintptr_t)pc, .found = found};
    return dl_iterate_phdr(look_at, &search) ? 0 : -1;
}
