// Scales that are quantized themselves, as bitsandbytes has them (nested statistics, double
// quantization of QLoRA, arXiv 2305.14314): scale g of a tensor, groups counted row by row, is
//   map[code] * second[g / 256] + offset,
// map being its signed dynamic map: 127 magnitudes in seven decades, 2^i evenly spaced ones in the
// i-th, both signs, 0 and 1. Thread rule: pure functions.
#ifndef HONE_QUANT_NESTED_H
#define HONE_QUANT_NESTED_H

#include <stdint.h>

#include "base/format.h"

// Ascending in the code: -0.993 at 0, 0 at 127, 1 at 255.
float hone_nested_level(uint8_t code);
uint8_t hone_nested_nearest(float value);

// Second-level scales and offset for `count` scales, of which the error of scale g counts by
// weights[g] (0: it may be anything). out_second holds one for every HONE_SCALE_BLOCK scales begun.
void hone_nested_fit(const float *scales, const float *weights, uint64_t count, float *out_second,
                     float *out_offset);

#endif
