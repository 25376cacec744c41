// Between the files of the quantizer. A group is n values (a multiple of 16), importance h.
#ifndef HONE_QUANT_QUANTIZER_INTERNAL_H
#define HONE_QUANT_QUANTIZER_INTERNAL_H

#include "quant/quantizer.h"

enum { HONE_QUANT_PLANES = 3, HONE_QUANT_GROUP = 128 };

// Best scale of a group as it will be stored (levels.c, integers.c).
HONE_MUST_CHECK bool hone_levels_fit(const hone_quantizer_t *q, uint64_t group, const float *x,
                                     const float *h, int n, uint16_t *out_scale);
// The best scale of all f32 and the weight of a squared error in it.
void hone_levels_free(const hone_levels_t *levels, const float *x, const float *h, int n,
                      float *out_scale, float *out_weight);
HONE_MUST_CHECK bool hone_integers_fit(const hone_quantizer_t *q, const float *x, const float *h,
                                       int n, uint16_t *out_scale);
void hone_levels_codes(const hone_levels_t *levels, const float *x, int n, float scale,
                       uint8_t *codes);
void hone_integers_codes(int limit, const float *x, int n, float scale, uint8_t *codes, int bias);
// Binary planes (planes.c): scales as stored, f16, or e8m0 where they must be powers of two.
HONE_MUST_CHECK bool hone_planes_fit(int planes, bool is_power, const float *x, const float *h,
                                     int n, uint16_t *out_scales);
void hone_planes_codes(int planes, const float *scales, const float *x, int n, uint8_t *codes);
// As hone_quantizer_nearest.
void hone_levels_nearest(const hone_levels_t *levels, const float *scales, const float *w,
                         int count, uint8_t *codes, float *out_values);
void hone_integers_nearest(int limit, const float *scales, const float *w, int count,
                           uint8_t *codes, int bias, float *out_values);
void hone_planes_nearest(int planes, const float *scales, uint64_t stride, const float *w,
                         int count, uint8_t *codes, float *out_values);
static inline float hone_planes_value(int planes, const float *scales, unsigned code) {
  float sum = 0;
  for (int p = 0; p < planes; p++) sum += code >> p & 1 ? scales[p] : -scales[p];
  return sum;
}

#endif
