// RMS norm: y = x / sqrt(mean(x^2) + epsilon) * gain (Zhang and Sennrich, 2019; the gain may be
// missing), rows of f32 to f32 or q8.
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

void emit_norm(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  bool q8 = spec->output == HONE_Q8;
  ir_value_t x = kernel_pointer(k, 0), gain = kernel_pointer(k, 1), out = kernel_pointer(k, 2);
  ir_value_t groups = ir_i64(b, (int64_t)hone_padded(spec->K) / HONE_GROUP);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t row = kernel_at(k, x, m, (int64_t)hone_row_bytes(HONE_F32, spec->K));
    ir_value_t to = kernel_at(k, out, m, (int64_t)hone_row_bytes(spec->output, spec->K));
    ir_value_t inverse = inverse_root(k, row, groups);
    IR_FOR (b, g, k->zero, groups, k->one) {
      ir_value_t y[GROUP_VECTORS_LIMIT];
      ir_value_t from = kernel_at(k, row, g, HONE_GROUP * 4);
      ir_value_t gains = {0};
      if (spec->gain) gains = kernel_at(k, gain, g, HONE_GROUP * 4);
      ir_value_t plain = kernel_at(k, to, g, HONE_GROUP * 4);
      for (int v = 0; v < HONE_GROUP / k->lanes; v++) {
        int64_t offset = (int64_t)v * k->lanes * 4;
        ir_value_t x_at = ir_advance(b, from, offset);
        ir_value_t item = ir_load(b, k->reals, x_at, 0);
        y[v] = ir_op(b, mulf, item, inverse);
        if (spec->gain) {
          ir_value_t gain_at = ir_advance(b, gains, offset);
          ir_value_t weight = ir_load(b, k->reals, gain_at, 0);
          y[v] = ir_op(b, mulf, y[v], weight);
        }
        if (q8) continue;
        ir_value_t at = ir_advance(b, plain, offset);
        ir_store(b, y[v], at, 0);
      }
      if (q8) {
        quantized_row_t codes = quantized_row_at(k, to, g);
        quantize_group(k, y, &codes);
      }
    }
    if (q8) quantize_pad(k, to);
  }
}
