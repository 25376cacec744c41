// A folder of results that can be made again: content-addressed, bounded, shared by programs that
// run at the same time. What is found is what was put in, or nothing: an entry that is torn,
// damaged or somebody else's counts as missing. Losing an entry costs time and never an error, so
// entries are not made durable. Thread rule: get and put from any thread; open and close from one.
#ifndef HONE_BASE_CACHE_H
#define HONE_BASE_CACHE_H

#include <stdint.h>

#include "base/text.h"
#include "hone/status.h"

enum { HONE_CACHE_KEY_BYTES = 33 };  // 32 hexadecimal digits (hone_hash128_hex) and a NUL

typedef struct hone_cache hone_cache_t;

// The folder need not exist: the first put makes it. The caller owns the cache.
hone_cache_t *hone_cache_open(const char *folder, uint64_t limit_bytes);
// Appends the entry to *out and marks it as used; false, and nothing appended, if there is none.
bool hone_cache_get(hone_cache_t *cache, const char *key, hone_buffer_t *out);
// Keeps a copy. What goes wrong is told by close.
void hone_cache_put(hone_cache_t *cache, const char *key, const void *data, size_t bytes);
// Removes what was not used for longest until all entries, in whole pages of 4 KiB, fit the limit;
// files that are not the cache's stay. False: entries could not be kept, and the first reason why.
// The cache is gone either way.
bool hone_cache_close(hone_cache_t *cache, hone_status_t *status);

#endif
