// f32 rows: per scale of the weights, the products of even and of odd columns are summed apart,
// then together, then scaled. The order is the same in every register block.
#include "codegen/cpu/kernels/linear.h"

static ir_value_t spread(linear_t *l, const linear_group_t *g, int t, int column) {
  kernel_t *k = l->k;
  ir_value_t at = ir_advance(k->b, g->x, t * l->x_bytes + column * 4);
  ir_value_t x = ir_load(k->b, k->real, at, 0);
  return math_splat(k, x);
}

// Partial sums of even columns, then those of odd ones, of (v, t) each.
static void step_reals(linear_t *l, const linear_group_t *step, int plane, ir_value_t *sum) {
  kernel_t *k = l->k;
  int count = l->vectors * step->tokens;
  for (int j = 0; j < STEP_COLUMNS; j++) {
    ir_value_t level[VECTORS_LIMIT];
    for (int v = 0; v < l->vectors; v++) level[v] = linear_weight(l, step, v, plane, j);
    for (int t = 0; t < step->tokens; t++) {
      ir_value_t x = spread(l, step, t, j);
      for (int v = 0; v < l->vectors; v++) {
        ir_value_t *to = &sum[j % 2 * count + v * step->tokens + t];
        *to = ir_op(k->b, fma, level[v], x, *to);
      }
    }
  }
}

void linear_reals(linear_t *l, const linear_group_t *g, ir_value_t *acc) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  const weight_t *w = &l->weight;
  int count = l->vectors * g->tokens, steps = STEPS / w->parts;
  for (int i = 0; i < w->parts * w->planes; i++) {
    int part = i / w->planes, plane = i % w->planes;
    ir_value_t sum[2 * ACCUMULATORS_LIMIT], nothing = ir_real(b, k->reals, 0.0);
    for (int j = 0; j < 2 * count; j++) sum[j] = nothing;
    linear_steps(l, g, part * steps, steps, plane, step_reals, sum, 2 * (size_t)count);
    for (int v = 0; v < l->vectors; v++) {
      int row = g->first + v;
      ir_value_t scale = {0};
      if (!w->is_plain)
        scale = weight_scale(k, w, &g->place[row / w->halves], row % w->halves, part, plane);
      for (int j = v * g->tokens; j < (v + 1) * g->tokens; j++) {
        ir_value_t both = ir_op(b, addf, sum[j], sum[count + j]);
        acc[j] = w->is_plain ? ir_op(b, addf, acc[j], both) : ir_op(b, fma, both, scale, acc[j]);
      }
    }
  }
}
