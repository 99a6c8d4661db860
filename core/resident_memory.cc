#include "core/resident_memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ctrlexec {
namespace {

// Linux 6.18 and later map as much around a page that is touched as lies in one piece in the page cache,
// which may be all of the program, but never beyond a mapping: pieces that differ in something harmless are
// mappings of their own.
constexpr std::size_t piece = 64 * 1024;

void let_go(char* begin, std::size_t size) {
    for (std::size_t at = 0; at < size; at += 2 * piece)
        madvise(begin + at, std::min(piece, size - at),
                MADV_DONTDUMP);  // code of ours is in no core file anyway
    madvise(begin, size, MADV_DONTNEED);
}

// Of the program itself, which comes first. What can be written holds relocations and data, and must stay.
int drop_pages(dl_phdr_info* program, std::size_t, void*) {
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    for (int i = 0; i < program->dlpi_phnum; ++i) {
        const auto& segment = program->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        const std::uintptr_t begin = (program->dlpi_addr + segment.p_vaddr) & ~(page - 1);
        const std::uintptr_t end = program->dlpi_addr + segment.p_vaddr + segment.p_memsz;
        let_go(reinterpret_cast<char*>(begin), end - begin);
    }
    return 1;
}

}  // namespace

void release_idle_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    dl_iterate_phdr(drop_pages, nullptr);
}

}  // namespace ctrlexec
