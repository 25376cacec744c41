// Quantizers: rows of f32 weights to codes and scales of any format of base/formats.def that has
// scales. Scales minimise the importance-weighted squared error over the group,
//   min_s  sum_j h_j (w_j - s * level(code_j))^2,
// with the sign of s free where the grid is not symmetric (a signed absmax halves the largest error
// of nf4 and int4), found by trying scales around the plain rule (max|w| / largest level) and
// refitting each by least squares, s = sum h w level / sum h level^2. Codes are computed against
// the scale as stored, so its rounding costs nothing twice. Without importance all h are 1.
//
// Idempotent: weights that already are codes times a scale of the format come back unchanged, also
// from groups whose largest weight is at a lower level (of nvfp4 with the same factor; up to the
// rounding of the scale where it was more precise than f16). Groups of zeros have scale 0. Same
// bytes on any instruction set. Inputs are finite (the reader checks). Thread rule: a prepared
// quantizer is const and can be shared.
#ifndef HONE_QUANT_QUANTIZER_H
#define HONE_QUANT_QUANTIZER_H

#include "base/packed.h"
#include "quant/grid.h"

enum { HONE_LEVEL_LIMIT = 16 };

// Levels in ascending order, for grids that are a list of at most 16 (table, learned, ternary, b1).
typedef struct hone_levels {
  int count;
  float value[HONE_LEVEL_LIMIT];      // the last one repeated past count
  float threshold[HONE_LEVEL_LIMIT];  // midpoints, infinite past count - 1; the rank of a value is
                                      // how many of them it exceeds
  uint8_t code[HONE_LEVEL_LIMIT];     // of rank i
  uint8_t zero;                       // code of the level nearest to zero
  bool symmetric;
} hone_levels_t;

typedef struct hone_quantizer {
  hone_format_t format;
  uint64_t K, Kp;
  uint32_t planes, scale_count;      // scales of a row: scale_count * planes
  uint32_t group_count;              // of a row, pads left out
  const float *importance;           // (Kp), zero at pads; borrowed
  float factor;                      // of nvfp4's scales: max|w| of the tensor / (448 * 6)
  const float *second;               // of nf4dq's scales (hone_packed_second_count); borrowed
  hone_packed_second_t places;       // ... and their offsets (quant/nested.h)
  int8_t learned[HONE_GRID_LEVELS];  // of nf4x, ascending, in units of 1/127
  hone_levels_t levels;              // count 0 for q8, q6 and planes
} hone_quantizer_t;

// `importance` (Kp) is borrowed and must outlive the quantizer; see hone_importance_fill.
void hone_quantizer_init(hone_quantizer_t *quantizer, hone_format_t format, uint64_t K,
                         const float *importance);
// Tensor-wide parameters: nvfp4's factor from max|w| of the tensor, nf4x's levels (ascending int8),
// nf4dq's second level of scales (borrowed).
void hone_quantizer_set_factor(hone_quantizer_t *quantizer, float largest);
void hone_quantizer_set_levels(hone_quantizer_t *quantizer, const int8_t levels[HONE_GRID_LEVELS]);
void hone_quantizer_set_second(hone_quantizer_t *quantizer, const float *second,
                               const hone_packed_second_t *places);

// Learns nf4x's levels from rows (count, Kp), weighing by importance. False: no memory.
HONE_MUST_CHECK bool hone_quantizer_learn(hone_quantizer_t *quantizer, const float *rows,
                                          int64_t count);

// Importance (Kp) from the mean squares (K) of the inputs, or ones if NULL: damped by a hundredth
// of their mean, so that inputs never seen still count a little; pads are zero.
void hone_importance_fill(const float *mean_squares, uint64_t K, float *out);

// Row number n of the tensor (Kp), pads zero -> one code per weight (Kp) and scale_count * planes
// scales as stored (bytes in the low half). False: a scale overflows its format, or an
// element is NaN or infinite.
HONE_MUST_CHECK bool hone_quantizer_row(const hone_quantizer_t *quantizer, uint64_t n,
                                        const float *row, uint8_t *codes, uint16_t *scales);
// The scales (group_count) that the row's groups would have if any f32 could be stored, and how
// much a squared error of each weighs: sum h level^2. Of formats with one of 16 levels.
void hone_quantizer_free_scales(const hone_quantizer_t *quantizer, const float *row, float *scales,
                                float *weights);
// The weights that codes and scales of row n stand for: out (Kp).
void hone_quantizer_decode(const hone_quantizer_t *quantizer, uint64_t n, const uint8_t *codes,
                           const uint16_t *scales, float *out);
// Number of group s of row n, counted through the tensor. Only nf4dq asks where a scale is.
static inline uint64_t hone_quantizer_group(const hone_quantizer_t *quantizer, uint64_t n,
                                            uint64_t s) {
  return n * quantizer->group_count + s;
}
// One stored scale as f32, sign and what is tensor-wide included.
float hone_quantizer_scale(const hone_quantizer_t *quantizer, uint64_t group, uint16_t stored);
// The byte of nf4dq that stands for the scale nearest to `wanted`.
uint8_t hone_quantizer_nested_code(const hone_quantizer_t *quantizer, uint64_t group, float wanted);
// The weight that a code stands for in a group with these scales (planes of them).
float hone_quantizer_value(const hone_quantizer_t *quantizer, const float *scales, uint8_t code);
// For `count` weights w, a multiple of 16, each of another group: the nearest codes and the weights
// they stand for. Plane p of the scales of weight i is scales[p * stride + i].
void hone_quantizer_nearest(const hone_quantizer_t *quantizer, const float *scales, uint64_t stride,
                            const float *w, int count, uint8_t *codes, float *out_values);

#endif
