// What a session holds; shared by the runtime's own files, never installed. Thread rule: one thread
// per session, except is_cancelled.
#ifndef HONE_RUNTIME_SESSION_INTERNAL_H
#define HONE_RUNTIME_SESSION_INTERNAL_H

#include <stdatomic.h>

#include "runtime/model_internal.h"
#include "runtime/sampler.h"
#include "runtime/thread_pool.h"

// A launch of the plan with its operands turned into pointers; only M, position and the head's
// input change later.
typedef struct session_launch {
  const hone_flow_t *flow;
  hone_kernel_args_t args;
  uint64_t
      bytes_per_row;  // memory one row of the step touches, weights included: how much work it is
  uint64_t bytes_per_key;  // the same, per row and per token in the KV cache
} session_launch_t;

struct hone_session {
  const hone_model_t *model;
  hone_pool_t *pool;  // NULL for one thread
  uint32_t threads;
  uint32_t context;   // positions the caller asked for
  uint32_t capacity;  // rows of the KV cache, `context` rounded up
  uint32_t position;
  uint64_t sampled_count;
  const float *last_logits;  // (vocab) row to sample from, in `logits`; NULL: none
  session_launch_t *launches;
  // One allocation, `pages`: all of these lie in it.
  uint8_t *pages;
  uint64_t pages_bytes;
  uint8_t *arena;
  uint8_t *parts;                // of split linears
  int32_t *ids;                  // (batch)
  float *rope;                   // (batch, head_dim)
  float *logits;                 // (head_batch, vocab padded)
  float *probabilities;          // (vocab padded)
  uint8_t *counters, *chunks;    // of split attention (base/artefact.h)
  int32_t *picked;               // argmax's answer
  hone_candidate_t *candidates;  // (vocab), the sampler's scratch
  uint8_t *cache;                // per layer K then V, each (kv_heads, capacity, head_dim padded)
  uint64_t cache_bytes;
  atomic_bool is_cancelled;
};

// cos, then sin, of position * frequency for each row of the step, in double, rounded once.
void hone_session_fill_rope(hone_session_t *session, uint32_t M);
// Runs launches [begin, end) on M rows. The first one's first operand is advanced by `skip_bytes`.
HONE_MUST_CHECK bool hone_session_run(hone_session_t *session, uint32_t begin, uint32_t end,
                                      uint32_t M, uint64_t skip_bytes, hone_status_t *status);

#endif
