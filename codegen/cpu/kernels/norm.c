// RMS norm: y = x / sqrt(mean(x^2) + epsilon) * gain (Zhang and Sennrich, 2019; the gain may be
// missing), rows of f32 to f32, q8 or b1.
#include "codegen/cpu/kernels/kernels.h"

// 1 / sqrt(mean + epsilon) of a row, as a splat. The pads are zero, so whole groups are summed.
static ir_value_t inverse_root(kernel_t *k, ir_value_t row, ir_value_t groups) {
  ir_builder_t *b = k->b;
  ir_value_t acc[GROUP_VECTORS_LIMIT];
  int count = HONE_GROUP / k->lanes;
  ir_value_t nothing = ir_real(b, k->reals, 0.0);
  for (int v = 0; v < count; v++) acc[v] = nothing;
  IR_FOR_CARRY (b, g, k->zero, groups, k->one, acc, (size_t)count) {
    ir_value_t from = kernel_at(k, row, g, HONE_GROUP * 4);
    for (int v = 0; v < count; v++) {
      ir_value_t at = ir_advance(b, from, (int64_t)v * k->lanes * 4);
      ir_value_t x = ir_load(b, k->reals, at, 0);
      acc[v] = ir_op(b, fma, x, x, acc[v]);
    }
  }
  for (int half = count / 2; half > 0; half /= 2) {
    for (int v = 0; v < half; v++) acc[v] = ir_op(b, addf, acc[v], acc[v + half]);
  }
  ir_value_t total = math_sum(k, acc[0]);
  ir_value_t width = ir_real(b, k->real, (double)k->spec->K);
  ir_value_t mean = ir_op(b, divf, total, width);
  ir_value_t epsilon = ir_real(b, k->real, (double)k->spec->epsilon);
  ir_value_t shifted = ir_op(b, addf, mean, epsilon);
  ir_value_t root = ir_op(b, sqrt, shifted);
  ir_value_t unit = ir_real(b, k->real, 1.0);
  ir_value_t inverse = ir_op(b, divf, unit, root);
  return math_splat(k, inverse);
}

// The normed vectors of a span, in registers. A null gain: none.
static void norm_span(kernel_t *k, ir_value_t row, ir_value_t gain, ir_value_t inverse,
                      ir_value_t span, ir_value_t *out) {
  ir_builder_t *b = k->b;
  int columns = (int)hone_kernel_spec_span(k->spec);
  ir_value_t from = kernel_at(k, row, span, columns * 4);
  ir_value_t gains = {0};
  if (k->spec->gain) gains = kernel_at(k, gain, span, columns * 4);
  for (int v = 0; v < columns / k->lanes; v++) {
    int64_t offset = (int64_t)v * k->lanes * 4;
    ir_value_t x_at = ir_advance(b, from, offset);
    ir_value_t item = ir_load(b, k->reals, x_at, 0);
    out[v] = ir_op(b, mulf, item, inverse);
    if (!k->spec->gain) continue;
    ir_value_t gain_at = ir_advance(b, gains, offset);
    ir_value_t weight = ir_load(b, k->reals, gain_at, 0);
    out[v] = ir_op(b, mulf, out[v], weight);
  }
}

void emit_norm(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  int columns = (int)hone_kernel_spec_span(spec);
  size_t carried = spec->output == HONE_B1;
  ir_value_t x = kernel_pointer(k, 0), gain = {0}, out = kernel_pointer(k, 2);
  if (spec->gain) gain = kernel_pointer(k, 1);
  ir_value_t groups = ir_i64(b, (int64_t)hone_padded(spec->K) / HONE_GROUP);
  ir_value_t spans = ir_i64(b, (int64_t)hone_padded(spec->K) / columns);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t row = kernel_at(k, x, m, (int64_t)hone_row_bytes(HONE_F32, spec->K));
    ir_value_t to = kernel_at(k, out, m, (int64_t)hone_row_bytes(spec->output, spec->K));
    ir_value_t inverse = inverse_root(k, row, groups);
    ir_value_t squares = ir_real(b, k->reals, 0.0);
    IR_FOR_CARRY (b, span, k->zero, spans, k->one, &squares, carried) {
      ir_value_t y[SPAN_VECTORS_LIMIT];
      norm_span(k, row, gain, inverse, span, y);
      ir_value_t plain = kernel_at(k, to, span, columns * 4);
      for (int v = 0; spec->output == HONE_F32 && v < columns / k->lanes; v++) {
        ir_value_t at = ir_advance(b, plain, (int64_t)v * k->lanes * 4);
        ir_store(b, y[v], at, 0);
      }
      if (spec->output != HONE_F32) quantize_span(k, spec->K, to, span, y, &squares);
    }
    if (spec->output != HONE_F32) quantize_end(k, spec->K, to, squares);
  }
}
