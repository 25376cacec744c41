// The innermost loop of matrix products, for each instruction set. All give the same bytes.
#ifndef HONE_QUANT_MATRIX_INTERNAL_H
#define HONE_QUANT_MATRIX_INTERNAL_H

#include "quant/matrix.h"

enum { HONE_TILE_FLOATS = 12 * 32 };  // of the largest tile

// A tile (rows, columns) of C, whose rows are `stride` apart, from panels a (depth, rows) and b
// (depth, columns), 64-byte aligned: C = sign * sum, or C + sign * sum.
typedef void hone_tile_fn(uint64_t depth, const float *a, const float *b, float *c, uint64_t stride,
                          float sign, bool add);
typedef struct hone_tile {
  const char *name;
  unsigned rows, columns;
  hone_tile_fn *run;
} hone_tile_t;

// Those that this CPU can run, best first; NULL past the last.
const hone_tile_t *hone_tile_at(int index);
HONE_MUST_CHECK bool hone_matrix_multiply_with(const hone_tile_t *tile,
                                               const hone_product_t *product, int threads);

#endif
