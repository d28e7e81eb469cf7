#include "tests/support/guard_page.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void guard_page_init(struct guard_page *page, size_t capacity_bytes)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t data_bytes = (capacity_bytes + page_bytes) / page_bytes * page_bytes;
    char *map = mmap(NULL, data_bytes + page_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + data_bytes, page_bytes, PROT_NONE) != 0) {
        perror("guard page");
        abort();
    }
    *page = (struct guard_page){
        .map = map,
        .map_bytes = data_bytes + page_bytes,
        .end = map + data_bytes,
        .capacity_bytes = data_bytes,
    };
}

void guard_page_release(struct guard_page *page)
{
    (void)munmap(page->map, page->map_bytes);
    *page = (struct guard_page){0};
}

char *guard_page_put(struct guard_page *page, const void *data, size_t bytes)
{
    assert(bytes <= page->capacity_bytes);
    char *start = page->end - bytes;
    if (bytes > 0) {
        memcpy(start, data, bytes);
    }
    return start;
}
