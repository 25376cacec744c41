// Between the files that make operands. Never included outside autotune.
#ifndef HONE_AUTOTUNE_OPERANDS_INTERNAL_H
#define HONE_AUTOTUNE_OPERANDS_INTERNAL_H

#include "autotune/operands.h"

HONE_MUST_CHECK bool hone_operands_linear(const hone_operands_spec_t *spec,
                                          hone_operands_t *operands, hone_status_t *status);
HONE_MUST_CHECK bool hone_operands_attend(const hone_operands_spec_t *spec,
                                          hone_operands_t *operands, hone_status_t *status);
HONE_MUST_CHECK bool hone_step_linear(const hone_operands_t *operands, bool is_hard,
                                      hone_step_t *step, hone_status_t *status);
HONE_MUST_CHECK bool hone_step_attend(const hone_operands_t *operands, bool is_hard,
                                      hone_step_t *step, hone_status_t *status);
// What some columns of row m must be, and how far off they may be. Returns how many.
typedef struct hone_expected {
  uint32_t column;
  double value, tolerance;
} hone_expected_t;
size_t hone_expect_linear(const hone_operands_t *operands, const hone_step_t *step, uint32_t m,
                          hone_expected_t out[HONE_OPERANDS_SAMPLES]);
size_t hone_expect_attend(const hone_operands_t *operands, const hone_step_t *step, uint32_t m,
                          hone_expected_t out[HONE_OPERANDS_SAMPLES]);
double hone_tolerance_linear(const hone_operands_t *operands, const hone_step_t *step, uint32_t m);

// A number in (-1, 1) that depends on its place only.
float hone_operand_at(uint64_t seed, uint64_t index);
// `copies` of `bytes` from `data`, read-only.
HONE_MUST_CHECK bool hone_operands_repeat(const void *data, size_t bytes, uint64_t cold_bytes,
                                          hone_operands_t *operands, int index,
                                          hone_status_t *status);

#endif
