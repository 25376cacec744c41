// Memory that tells when a kernel leaves it: pages without access before and behind, a pattern in
// what the first page has to spare, and pages that can be made read-only. Thread rule: values.
#ifndef HONE_AUTOTUNE_MEMORY_H
#define HONE_AUTOTUNE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

typedef struct hone_guarded {  // zero is none
  uint8_t *data;               // 64-aligned; ends where the page without access begins
  size_t bytes;                // as asked for, rounded up to 64
  uint8_t *pages;
  size_t page_bytes;  // of the whole mapping
} hone_guarded_t;

// Zeroed; in huge pages where there are some, as the weights of a program are.
HONE_MUST_CHECK bool hone_guarded_create(size_t bytes, hone_guarded_t *out, hone_status_t *status);
void hone_guarded_destroy(hone_guarded_t *guarded);
void hone_guarded_protect(hone_guarded_t *guarded, bool is_read_only);
// Whether the bytes between the first page's beginning and `data` are untouched since the last
// call; they are again after it.
bool hone_guarded_intact(hone_guarded_t *guarded);

#endif
