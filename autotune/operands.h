// What kernels of a problem are run on: weights or caches, many copies of them, so that each call
// finds them as cold as a decoding model does; activations, which stay hot; and what comes out by a
// plain sum in double. Two kinds of problem have operands: linears (operands_linear.c) and
// attention (operands_attend.c). Inputs are read-only to kernels, all memory is guarded. Thread
// rule: one thread.
#ifndef HONE_AUTOTUNE_OPERANDS_H
#define HONE_AUTOTUNE_OPERANDS_H

#include "autotune/candidate.h"
#include "autotune/memory.h"

enum { HONE_OPERANDS_SAMPLES = 48 };

typedef struct hone_operands {
  hone_kernel_spec_t spec;
  uint32_t position, capacity;  // attention: tokens before the rows, rows of the caches
  hone_guarded_t cold[2];       // weights; or keys and values: `copies` of each
  size_t cold_bytes[2];         // of one copy
  size_t copies;
  hone_guarded_t counters, chunks;  // attention: what kernels that split heads keep
  // Linears: some rows of the weights as codes and scales mean them, (SAMPLES, K).
  uint32_t sample_count, samples[HONE_OPERANDS_SAMPLES];
  float *sample_values;
  hone_guarded_t bias;
} hone_operands_t;

typedef struct hone_operands_spec {
  const hone_kernel_spec_t *problem;
  uint32_t position, rows;  // the largest M
  uint64_t cold_bytes;      // the copies are at least so large together
  uint32_t threads;         // that pack
  const char *scratch;      // folder for a packed tensor
} hone_operands_spec_t;

// HONE_UNSUPPORTED for other ops, EXHAUSTED without memory.
HONE_MUST_CHECK bool hone_operands_create(const hone_operands_spec_t *spec,
                                          hone_operands_t *out_operands, hone_status_t *status);
void hone_operands_destroy(hone_operands_t *operands);

// M rows of activations. Hard ones are what kernels may get wrong: zeros, the largest codes
// throughout and with alternating signs, one element among zeros, very small and very large scales.
typedef struct hone_step {
  uint32_t M, columns;  // columns of a row of `out`, logical
  size_t out_bytes;
  hone_guarded_t x, residual;
  hone_guarded_t parts;  // linears: what split kernels keep
  float *values;         // (M, K) what x means; attention: (M, width of a row)
} hone_step_t;
HONE_MUST_CHECK bool hone_step_create(const hone_operands_t *operands, uint32_t M, bool is_hard,
                                      hone_step_t *out_step, hone_status_t *status);
void hone_step_destroy(hone_step_t *step);

// Arguments for a call on one of the copies; `out` has step->out_bytes.
hone_kernel_args_t hone_step_args(const hone_operands_t *operands, const hone_step_t *step,
                                  size_t copy, void *out);
// Compares `out` with plain sums at some places, pads with zero. Where kernels work with rounded
// levels or in another order, the tolerance has room for it. False: *evidence says what is wrong.
HONE_MUST_CHECK bool hone_step_check(const hone_operands_t *operands, const hone_step_t *step,
                                     const void *out, hone_evidence_t *evidence);
// Largest difference that two right kernels may have in row m: they add in different orders.
double hone_step_tolerance(const hone_operands_t *operands, const hone_step_t *step, uint32_t m);

#endif
