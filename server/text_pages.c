/*
 * text_pages.c: a server at rest lets go of code that it does not run.
 *
 * Pages of programs and libraries that were touched once (start, a request an hour ago) stay mapped and count for the
 * process for ever, although the kernel has them in its page cache anyway. MADV_DONTNEED on segments that are only ever
 * read forgets the mapping; what is needed again comes back by a minor fault. Segments that may be written (data, GOT)
 * are never touched.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/scheduler.h"

#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void drop(uintptr_t start, uintptr_t end, uintptr_t page)
{
    start = (start + page - 1) / page * page; /* whole pages of this segment only */
    end = end / page * page;
    if (start < end) {
        (void)madvise((void *)start, end - start, MADV_DONTNEED); /* a refusal changes nothing */
    }
}

/* Code that was relocated in place (no library of Debian's on 64-bit machines) has pages that a file does not hold. */
static bool relocated_in_place(const struct dl_phdr_info *object)
{
    for (int i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) {
            continue;
        }
        const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
        for (; entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) {
                return true;
            }
        }
    }
    return false;
}

static int visit(struct dl_phdr_info *object, size_t size, void *context)
{
    uintptr_t page = *(const uintptr_t *)context;
    (void)size;
    if (strncmp(object->dlpi_name, "linux-vdso", 10) == 0 || relocated_in_place(object)) {
        return 0;
    }
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0) {
            uintptr_t start = (uintptr_t)object->dlpi_addr + segment->p_vaddr;
            drop(start, start + segment->p_filesz, page);
        }
    }
    return 0;
}

void td_text_pages_drop(void)
{
    long page = sysconf(_SC_PAGESIZE);
    uintptr_t size = page > 0 ? (uintptr_t)page : 4096;
    (void)dl_iterate_phdr(visit, &size);
}
