// Between curvature.c and the two solvers. Rows of weights are solved in lanes: a matrix (K, lanes)
// holds a column of the weights in each of its rows, one lane for every row of weights, so that
// what is done to one column is done to all rows by vector code.
#ifndef HONE_QUANT_CURVATURE_INTERNAL_H
#define HONE_QUANT_CURVATURE_INTERNAL_H

#include "quant/curvature.h"

enum {
  HONE_CURVATURE_BLOCK = 128,  // columns solved before what they change reaches the rest
  HONE_CURVATURE_LANES = 64    // rows that go through a block together
};

typedef struct hone_lanes {
  uint64_t count;    // of lanes, a multiple of HONE_CURVATURE_LANES; those past the last row are 0
  float *weights;    // (K, count) w
  float *decoded;    // (K, count) q: what codes and scales stand for
  float *miss;       // (K, count) q - w
  float *ordered;    // (K, count) w - q in the factor's order
  float *slope;      // (HONE_CURVATURE_BLOCK, count) what other columns' misses do to a block's
  float *scales;     // (scales of a row, count) as f32
  uint8_t *codes;    // (K, count)
  uint16_t *stored;  // (scales of a row, count)
} hone_lanes_t;

// GPTQ sets codes, decoded and miss, given weights and scales; the descent improves them, scales
// and stored. `first` is the row number of lane 0. False: no memory.
HONE_MUST_CHECK bool hone_gptq_lanes(const hone_curvature_t *c, const hone_quantizer_t *q,
                                     const hone_lanes_t *lanes);
HONE_MUST_CHECK bool hone_descent_lanes(const hone_curvature_t *c, const hone_quantizer_t *q,
                                        int sweeps, int64_t first, const hone_lanes_t *lanes);

// sum[l] += factor * x[l] for the lanes of a strip.
static inline void hone_lanes_add(float *sum, const float *x, float factor) {
  for (int l = 0; l < HONE_CURVATURE_LANES; l++) sum[l] += factor * x[l];
}

#endif
