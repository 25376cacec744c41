// Parallel-for over a range of units with persistent worker threads. The caller works too. Idle
// workers spin for a few microseconds and then sleep in the kernel. Thread rule: one thread at a
// time may call hone_pool_run.
#ifndef HONE_RUNTIME_THREAD_POOL_H
#define HONE_RUNTIME_THREAD_POOL_H

#include <stdint.h>

#include "hone/status.h"

enum { HONE_THREAD_LIMIT = 1024 };

typedef struct hone_pool hone_pool_t;
typedef void hone_pool_fn(void *data, int64_t begin, int64_t end);

// `threads` counts the caller: 1 makes no thread at all. Errors: HONE_EXHAUSTED if threads cannot
// be started, INVALID above HONE_THREAD_LIMIT.
HONE_MUST_CHECK bool hone_pool_create(uint32_t threads, hone_pool_t **out_pool,
                                      hone_status_t *status);
void hone_pool_destroy(hone_pool_t *pool);  // NULL is fine
uint32_t hone_pool_threads(const hone_pool_t *pool);

// Calls fn(data, begin, end) on disjoint pieces that together make [0, units), at most `threads` of
// them at a time (0: all), and returns when all are done; what they wrote is visible to the caller.
// Thread i first takes the i-th contiguous share (so data stays near its core), then helps with
// shares nobody has come to yet. NULL pool: inline.
void hone_pool_run(hone_pool_t *pool, uint32_t threads, int64_t units, hone_pool_fn *fn,
                   void *data);

#endif
