/* Memory of a file that several processes map, in huge pages where the system gives some: rows that are met in any order
 * then seldom miss the table of pages, and taking the memory costs a seventh. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)1 << 21)
#define POPULATE_WRITE 23    /* Linux 5.14: take and map pages, or tell that there are none */
#define COLLAPSE 25          /* Linux 6.1: make one huge page of small ones, some of which may be missing */

/* The offset of the first page that begins at or after `at`. */
static size_t next_page(size_t at) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (at + page - 1) / page * page;
}

/* Maps `size` bytes of a file at a multiple of a huge page; NULL: the system does not let it. */
void *pages_map(int32_t file, int64_t size) {
    const size_t bytes = (size_t)size, room = bytes + HUGE_PAGE;
    char *region = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) return NULL;
    char *memory = region + (HUGE_PAGE - (uintptr_t)region % HUGE_PAGE) % HUGE_PAGE;
    char *end = memory + next_page(bytes);
    void *mapped = mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
    if (mapped == MAP_FAILED) {
        munmap(region, room);
        return NULL;
    }
    if (memory > region) munmap(region, (size_t)(memory - region));
    if (region + room > end) munmap(end, (size_t)(region + room - end));
    return mapped;
}

void pages_unmap(void *memory, int64_t size) { munmap(memory, (size_t)size); }

/* The pages need not be mapped until they are touched again. */
void pages_leave(void *memory, int64_t size) { madvise(memory, (size_t)size, MADV_DONTNEED); }

/* Takes memory for the pages that begin in [begin, end); 0, or an error number: EINVAL where the system cannot. */
int32_t pages_take(char *memory, int64_t begin, int64_t end) {
    const size_t first = next_page((size_t)begin), last = next_page((size_t)end);
    if (first >= last) return 0;
    for (size_t at = (first + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; at + HUGE_PAGE <= last; at += HUGE_PAGE)
        if (madvise(memory + at, 1, POPULATE_WRITE) || madvise(memory + at, HUGE_PAGE, COLLAPSE)) break;
    return madvise(memory + first, last - first, POPULATE_WRITE) ? errno : 0;
}
#else
void *pages_map(int32_t file, int64_t size) { return NULL; }
void pages_unmap(void *memory, int64_t size) {}
void pages_leave(void *memory, int64_t size) {}
int32_t pages_take(char *memory, int64_t begin, int64_t end) { return EINVAL; }
#endif

/* The number in shared memory, which grows by one: each is given to one process only. */
int64_t pages_next(int64_t *number) { return __atomic_fetch_add(number, 1, __ATOMIC_SEQ_CST); }
