// Writes ascending ranges of an output in whole pieces of 2 MiB that begin at multiples of it. File
// systems with large folios keep what is written so in the page cache as huge pages, and whoever
// maps the file reads it with few translations of addresses; a file written in smaller pieces stays
// in small ones until it leaves the cache. Gaps are zero. Thread rule: one thread at a time.
#ifndef HONE_BASE_GATHER_H
#define HONE_BASE_GATHER_H

#include "base/file.h"

typedef struct hone_gather hone_gather_t;
// What is put begins at `offset` or behind it.
hone_gather_t *hone_gather_create(hone_output_t *output, uint64_t offset);
// HONE_INTERNAL: `offset` lies before the end of what was put last. Otherwise as
// hone_output_write_at.
HONE_MUST_CHECK bool hone_gather_put(hone_gather_t *gather, uint64_t offset, const void *data,
                                     uint64_t bytes, hone_status_t *status);
// Writes what is left.
HONE_MUST_CHECK bool hone_gather_flush(hone_gather_t *gather, hone_status_t *status);
void hone_gather_destroy(hone_gather_t *gather);

#endif
