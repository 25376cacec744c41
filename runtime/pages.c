// Maps files and memory. What is read over and over (weights) is mapped so that the kernel can use
// huge pages: a stream of weights through pages of 4 KiB waits for address translation.
#include "runtime/pages.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint64_t HUGE_BYTES = 2u << 20;  // of x86-64

void *hone_pages_map(uint64_t bytes, bool is_huge) {
  if (bytes == 0) bytes = 1;
  if (bytes > (uint64_t)PTRDIFF_MAX) return NULL;
  void *pages =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return NULL;
  if (is_huge) madvise(pages, bytes, MADV_HUGEPAGE);  // a wish: without it all works, only slower
  return pages;
}

// Address space of `bytes` whose address and `offset` agree modulo HUGE_BYTES, or NULL.
static void *reserve_like(uint64_t offset, uint64_t bytes) {
  uint8_t *space =
      mmap(NULL, bytes + HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED) return NULL;
  uint64_t skip = (offset - (uintptr_t)space) % HUGE_BYTES;
  if (skip) munmap(space, skip);
  munmap(space + skip + bytes, HUGE_BYTES - skip);
  return space + skip;
}

void *hone_pages_map_file(int fd, uint64_t offset, uint64_t bytes, bool is_private) {
  int access = is_private ? PROT_READ | PROT_WRITE : PROT_READ;
  int flags = is_private ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
  void *place = bytes < HUGE_BYTES || whole > (uint64_t)PTRDIFF_MAX - HUGE_BYTES
                    ? NULL
                    : reserve_like(offset, whole);
  void *pages = mmap(place, bytes, access, flags | (place ? MAP_FIXED : 0), fd, (off_t)offset);
  if (pages == MAP_FAILED) {
    int error = errno;
    if (place) munmap(place, whole);
    errno = error;
    return NULL;
  }
  if (place) madvise(pages, bytes, MADV_HUGEPAGE);
  return pages;
}

void hone_pages_unmap(void *pages, uint64_t bytes) {
  if (pages != NULL) munmap(pages, bytes == 0 ? 1 : bytes);
}
