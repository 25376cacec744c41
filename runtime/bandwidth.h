// Measures how many bytes per second this machine's CPUs can read from memory: the ceiling for
// decoding, which reads every weight once per token. Needs AVX2. Thread rule: as hone_pool_run.
#ifndef HONE_RUNTIME_BANDWIDTH_H
#define HONE_RUNTIME_BANDWIDTH_H

#include "hone/status.h"
#include "runtime/session_internal.h"

typedef struct hone_bandwidth {
  uint64_t bytes, elapsed_ns;  // of the fastest pass
  uint32_t threads;
  bool is_from_weights;
} hone_bandwidth_t;

// Several passes over the mapped weights if they have 256 MB or more, else over a private buffer of
// 1 GB (or half of the free memory if that is less). `threads` 0: as many as the session uses.
// Takes about a second. Errors: HONE_EXHAUSTED without memory or threads.
HONE_MUST_CHECK bool hone_bandwidth_measure(hone_session_t *session, uint32_t threads,
                                            hone_bandwidth_t *out_result, hone_status_t *status);

uint64_t hone_clock_ns(void);  // monotonic

#endif
