// Half-precision numbers: f16 and bfloat16, rounded to nearest, ties to even. A finite value that
// would become infinite is an overflow, never an infinity in the output. Any instruction set gives
// the same bytes. Thread rule: pure functions.
#ifndef HONE_QUANT_REAL_H
#define HONE_QUANT_REAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

// One f16 from one f32. *overflow becomes true (and is never cleared) where the result would be
// infinite.
uint16_t hone_f16_from_f32(float value, bool *overflow);
float hone_f32_from_f16(uint16_t bits);

// `count` is a multiple of 16; element k goes to out[k / 16 * stride + k % 16]. False: some value
// overflows.
HONE_MUST_CHECK bool hone_quantize_f16(const float *row, size_t count, uint16_t *out,
                                       size_t stride);
HONE_MUST_CHECK bool hone_quantize_bf16(const float *row, size_t count, uint16_t *out,
                                        size_t stride);

#endif
