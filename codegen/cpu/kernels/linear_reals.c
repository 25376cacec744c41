// f32 rows: per scale of the weights, the products of even and of odd columns are summed apart,
// then together, then scaled. The order is the same in every register block.
#include "codegen/cpu/kernels/linear.h"

static ir_value_t spread(linear_t *l, const linear_group_t *g, int t, int column) {
  kernel_t *k = l->k;
  ir_value_t at = ir_advance(k->b, g->x, t * l->x_bytes + column * 4);
  ir_value_t x = ir_load(k->b, k->real, at, 0);
  return math_splat(k, x);
}

void linear_reals(linear_t *l, const linear_group_t *g, ir_value_t *acc) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_t *w = &l->weight;
  int count = l->vectors * g->tokens, columns = HONE_GROUP / w->parts;
  for (int i = 0; i < w->parts * w->planes; i++) {
    int part = i / w->planes, plane = i % w->planes;
    ir_value_t sum[2][ACCUMULATORS_LIMIT], nothing = ir_real(b, k->reals, 0.0);
    for (int j = 0; j < 2 * count; j++) sum[j % 2][j / 2] = nothing;
    for (int j = part * columns; j < (part + 1) * columns; j++) {
      ir_value_t level[VECTORS_LIMIT];
      for (int v = 0; v < l->vectors; v++) level[v] = linear_weight(l, g, v, plane, j);
      for (int t = 0; t < g->tokens; t++) {
        ir_value_t x = spread(l, g, t, j);
        for (int v = 0; v < l->vectors; v++) {
          ir_value_t *to = &sum[j % 2][v * g->tokens + t];
          *to = ir_op(b, fma, level[v], x, *to);
        }
      }
    }
    for (int v = 0; v < l->vectors; v++) {
      int row = g->first + v;
      ir_value_t scale = {0};
      if (!w->is_plain)
        scale = weight_scale(k, w, &g->place[row / w->halves], row % w->halves, part, plane);
      for (int t = 0; t < g->tokens; t++) {
        int j = v * g->tokens + t;
        ir_value_t both = ir_op(b, addf, sum[0][j], sum[1][j]);
        acc[j] = w->is_plain ? ir_op(b, addf, acc[j], both) : ir_op(b, fma, both, scale, acc[j]);
      }
    }
  }
}
