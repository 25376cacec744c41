// See signs.h. Where signs differ the product is -1, so a dot product of n of them is
// n - 2 popcount(x ^ w). The bits of a tile's four rows lie side by side: a vector has a lane per
// row.
#include "codegen/cpu/kernels/signs.h"

enum { ROWS = HONE_TILE_ROWS };

// The words of one part and plane, a lane per row. In memory they come row by row, each its planes,
// each its parts.
static ir_value_t rows_of(kernel_t *k, const weight_t *w, ir_value_t words, int part, int plane) {
  int64_t lanes[ROWS];
  for (int r = 0; r < ROWS; r++) lanes[r] = (r * w->planes + plane) * w->parts + part;
  return ir_shuffle(k->b, words, words, ROWS, lanes);
}

// n - 2 popcount(x ^ w) as f32, n the bits of a word.
static ir_value_t dot(kernel_t *k, ir_scalar_t type, ir_value_t words, ir_value_t x) {
  ir_builder_t *b = k->b;
  ir_type_t integers = ir_vector(b, IR_I32, ROWS);
  ir_value_t spread = ir_cast(b, broadcast, ir_vector(b, type, ROWS), x);
  ir_value_t differ = ir_op(b, xori, words, spread);
  ir_value_t count = ir_op(b, popcount, differ);
  if (type == IR_I64) count = ir_cast(b, trunci, integers, count);
  ir_value_t twice = ir_op(b, addi, count, count);
  ir_value_t all = ir_int(b, integers, type == IR_I64 ? 64 : 32);
  ir_value_t sum = ir_op(b, subi, all, twice);
  return ir_cast(b, sitofp, ir_vector(b, IR_REAL32, ROWS), sum);
}

void signs_accumulate(kernel_t *k, const weight_t *w, ir_value_t codes,
                      const weight_place_t *scales, const ir_value_t *rows, ir_value_t *acc,
                      int tokens) {
  ir_builder_t *b = k->b;
  ir_scalar_t type = w->parts == 1 ? IR_I64 : IR_I32;  // 64 columns of one scale, or two of 32
  ir_value_t scale = weight_scales(k, w, scales);
  ir_value_t words = ir_load(b, ir_vector(b, type, ROWS * w->planes * w->parts), codes, 0);
  for (int i = 0; i < w->parts * w->planes; i++) {
    int part = i / w->planes, plane = i % w->planes;
    ir_value_t weights = rows_of(k, w, words, part, plane);
    ir_value_t factor = weight_scale_rows(k, w, scale, part, plane);
    for (int t = 0; t < tokens; t++) {
      ir_value_t at = ir_advance(b, rows[t], (int64_t)part * HONE_GROUP / 8 / w->parts);
      ir_value_t x = ir_load(b, ir_type(b, type), at, 0);
      ir_value_t sum = dot(k, type, weights, x);
      acc[t] = ir_op(b, fma, sum, factor, acc[t]);
    }
  }
}
