// See memory.h.
#include "autotune/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, PATTERN = 0xA5 };

bool hone_guarded_create(size_t bytes, hone_guarded_t *out, hone_status_t *status) {
  size_t rounded = (bytes + 63) / 64 * 64, inner = (rounded + PAGE - 1) / PAGE * PAGE;
  if (inner == 0) inner = PAGE;
  size_t whole = inner + 2 * PAGE;
  *out = (hone_guarded_t){0};
  uint8_t *pages = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED || mprotect(pages + PAGE, inner, PROT_READ | PROT_WRITE)) {
    if (pages != MAP_FAILED) munmap(pages, whole);
    return hone_fail(status, HONE_EXHAUSTED, "no memory for %zu bytes to measure with: %s", bytes,
                     strerror(errno));
  }
  (void)madvise(pages + PAGE, inner, MADV_HUGEPAGE);  // as a program maps its weights
  *out = (hone_guarded_t){pages + PAGE + (inner - rounded), rounded, pages, whole};
  memset(pages + PAGE, PATTERN, inner - rounded);
  return true;
}

void hone_guarded_destroy(hone_guarded_t *guarded) {
  if (guarded->pages) munmap(guarded->pages, guarded->page_bytes);
  *guarded = (hone_guarded_t){0};
}

void hone_guarded_protect(hone_guarded_t *guarded, bool is_read_only) {
  int access = is_read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  (void)mprotect(guarded->pages + PAGE, guarded->page_bytes - 2 * PAGE, access);
}

bool hone_guarded_intact(hone_guarded_t *guarded) {
  bool is_intact = true;
  for (uint8_t *at = guarded->pages + PAGE; at < guarded->data; at++) {
    is_intact &= *at == PATTERN;
    *at = PATTERN;
  }
  return is_intact;
}
