// The static memory plan: where in the session's arena every activation lies. Thread rule: the
// session's thread.
#ifndef HONE_PASSES_PLAN_MEMORY_H
#define HONE_PASSES_PLAN_MEMORY_H

#include "ir/model.h"

enum {
  HONE_PLAN_BATCH = 256,      // rows of one body step, unless the pass is told otherwise
  HONE_PLAN_HEAD_BATCH = 16,  // rows of one head step
};

typedef struct hone_memory_buffer {
  const char *block, *op;  // who writes it: "layers.0.ffn", "hone.linear"
  int64_t offset, bytes;
  int64_t first, last;  // steps (ops in call order) in which it holds a value, inclusive
  int64_t alias;        // index of the buffer it continues in place, or -1
} hone_memory_buffer_t;

typedef HONE_LIST(hone_memory_buffer_t) hone_memory_buffers_t;

// Computes the plan without writing it to the model; buffers in the order they are written.
HONE_MUST_CHECK bool hone_memory_plan(ir_model_t *model, int64_t batch, int64_t head_batch,
                                      hone_arena_t *arena, hone_memory_buffers_t *out_buffers,
                                      int64_t *out_bytes, hone_status_t *status);

// Checks the plan written to the model (hone.arena, hone.arena_bytes, ...) by running it on paper:
// every op reads what the op before it wrote, the head twice. Knows nothing of liveness, so it
// checks hone_memory_plan independently. HONE_INTERNAL names the op that would read garbage.
HONE_MUST_CHECK bool hone_memory_check(const ir_model_t *model, hone_status_t *status);

#endif
