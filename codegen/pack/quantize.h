// Quantizers: rows of f32 weights to codes (and f16 scales), written with strides so that a packed
// layout's lanes can be filled directly. Pure number work: no files, no tensors, no choice of scale
// beyond the rules below.
//
//   f16, bf16  round to nearest, ties to even; a finite value that would become infinite is an
//   error q8         scale = f16(max|w| / 127); code = w / scale rounded to nearest even, clamped
//   to [-127, 127] nf4        scale = f16(max|w|); code = number of thresholds that w / scale
//   exceeds (strictly): bitsandbytes' tree
// Codes are computed against the scale as stored, so its rounding costs nothing twice. A group
// whose scale rounds to zero gets codes that mean zero. Inputs are finite (the reader checks). Any
// instruction set gives the same bytes. Thread rule: pure functions.
#ifndef HONE_CODEGEN_PACK_QUANTIZE_H
#define HONE_CODEGEN_PACK_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

// QLoRA's 4-bit NormalFloat levels and the midpoints between them, as in bitsandbytes
// (csrc/kernels.cu).
extern const float hone_nf4_table[16];
extern const float hone_nf4_thresholds[15];

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

// `groups` groups of 64 values. Codes of group g go to codes + g * code_stride (64 bytes for q8, 32
// for nf4: byte b holds value b in the low nibble and value b + 32 in the high one), its scale to
// scales[g * scale_stride]. False: the scale of some group overflows f16.
HONE_MUST_CHECK bool hone_quantize_q8(const float *row, size_t groups, int8_t *codes,
                                      size_t code_stride, uint16_t *scales, size_t scale_stride);
HONE_MUST_CHECK bool hone_quantize_nf4(const float *row, size_t groups, uint8_t *codes,
                                       size_t code_stride, uint16_t *scales, size_t scale_stride);

#endif
