// GPTQ in the form of feedback through Cholesky's factor of H itself (H = G G^T, columns by rising
// diag(H), quantized from the last to the first): the error of row w - q is |(w - q) G|^2, whose
// i-th term vanishes where
//   q_i = w_i + sum_{j > i} (w - q)_j G_ji / G_ii,
// and the nearest code to that is taken. It gives the codes that spreading each error by the factor
// of H^-1 gives (QuIP, arXiv 2307.13304, theorem 6) without that inverse. What columns behind a
// block contribute comes by one product per block.
#include <stdlib.h>

#include "quant/curvature_internal.h"
#include "quant/hot_internal.h"

enum { BLOCK = HONE_CURVATURE_BLOCK, LANES = HONE_CURVATURE_LANES };

typedef struct block {
  const hone_curvature_t *c;
  const hone_quantizer_t *q;
  const hone_lanes_t *lanes;
  uint64_t first, count;         // columns, in the factor's order
  float feedback[BLOCK][BLOCK];  // [i][j] = G_ji / G_ii
  float inverse[BLOCK];          // 1 / G_ii
} block_t;

static void load_block(block_t *b) {
  const float *G = b->c->factor.G;
  uint64_t K = b->c->K;
  for (uint64_t i = 0; i < b->count; i++) b->inverse[i] = 1.0f / G[(b->first + i) * (K + 1)];
  for (uint64_t j = 0; j < b->count; j++)
    for (uint64_t i = 0; i < j; i++)
      b->feedback[i][j] = G[(b->first + j) * K + b->first + i] * b->inverse[i];
}

// A strip of lanes from `lane` on through the block.
HONE_HOT static void quantize_strip(const block_t *b, uint64_t lane) {
  const hone_lanes_t *lanes = b->lanes;
  float rest[BLOCK][LANES], wanted[LANES], value[LANES];
  for (uint64_t i = b->count; i-- > 0;) {
    uint64_t column = b->c->order[b->first + i], at = column * lanes->count + lane;
    const float *w = lanes->weights + at, *slope = lanes->slope + i * lanes->count + lane;
    for (int l = 0; l < LANES; l++) wanted[l] = w[l] + slope[l] * b->inverse[i];
    for (uint64_t j = i + 1; j < b->count; j++) hone_lanes_add(wanted, rest[j], b->feedback[i][j]);
    uint64_t scale = column / b->q->format.group * b->q->planes;
    hone_quantizer_nearest(b->q, lanes->scales + scale * lanes->count + lane, lanes->count, wanted,
                           LANES, lanes->codes + at, value);
    float *ordered = lanes->ordered + (b->first + i) * lanes->count + lane;
    for (int l = 0; l < LANES; l++) {
      lanes->decoded[at + (uint64_t)l] = value[l];
      lanes->miss[at + (uint64_t)l] = value[l] - w[l];
      ordered[l] = rest[i][l] = w[l] - value[l];
    }
  }
}

bool hone_gptq_lanes(const hone_curvature_t *c, const hone_quantizer_t *q,
                     const hone_lanes_t *lanes) {
  block_t *b = malloc(sizeof *b);
  if (!b) return false;
  *b = (block_t){.c = c, .q = q, .lanes = lanes};
  uint64_t K = c->K;
  bool ok = true;
  for (uint64_t first = (K - 1) / BLOCK * BLOCK; ok; first -= BLOCK) {
    uint64_t last = first + BLOCK < K ? first + BLOCK : K;
    b->first = first;
    b->count = last - first;
    load_block(b);
    ok = hone_matrix_multiply(
        &(hone_product_t){.M = b->count,
                          .N = lanes->count,
                          .K = K - last,
                          .A = {c->factor.G + last * K + first, 1, K},
                          .B = {lanes->ordered + last * lanes->count, lanes->count, 1},
                          .C = lanes->slope,
                          .row = lanes->count},
        1);
    for (uint64_t lane = 0; lane < lanes->count && ok; lane += LANES) quantize_strip(b, lane);
    if (first == 0) break;
  }
  free(b);
  return ok;
}
