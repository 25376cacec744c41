// Progress bar on stderr: drawn only on a terminal, with the time that is left once it can be told,
// removed when done. Thread rule:
// hone_progress_add from any thread, the rest from one.
#ifndef HONE_BASE_PROGRESS_H
#define HONE_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct hone_progress hone_progress_t;

// `total` in any unit; bytes are shown as such when `is_bytes`. `enabled` false makes every call a
// no-op.
hone_progress_t *hone_progress_create(const char *label, uint64_t total, bool is_bytes,
                                      bool enabled);
void hone_progress_add(hone_progress_t *progress, uint64_t amount,
                       const char *item);  // item may be NULL
void hone_progress_destroy(hone_progress_t *progress);

#endif
