// Rows of quantized tensors as f32. Values are level * scale, in f32, with
//   nf4, fp4   scale = absmax, or nested_map[code] * nested_absmax + offset
//   mxfp4      scale = 2^(code - 127)
//   nvfp4      scale = E4M3 number * factor; factor = weight_scale_2 or 1 / weight_global_scale
//   ternary    scale = weight_scale or 1 / weight_scale
//   int4       (code - zero) * scale
// so that our quantizers, given the factor, find the same codes again (quant/quantizer.h).
// Thread rule: as checkpoint.h.
#ifndef HONE_FRONTEND_DEQUANTIZE_H
#define HONE_FRONTEND_DEQUANTIZE_H

#include "frontend/prequantized.h"

// Rows [row, row + count), which exist, to out (count, K). HONE_INVALID names tensor, companion,
// row and column of a scale that is NaN, infinite or (nvfp4) negative, and of codes that mean
// nothing.
HONE_MUST_CHECK bool dequantize_rows(const checkpoint_tensor_t *tensor, uint64_t row,
                                     uint64_t count, float *out, hone_status_t *status);

#endif
