// The unfused elementwise families on padded f32 rows: glu and add.
#include "codegen/cpu/kernels/kernels.h"

typedef ir_value_t combine_fn(kernel_t *k, ir_value_t a, ir_value_t c);

static ir_value_t combine_add(kernel_t *k, ir_value_t a, ir_value_t c) {
  return ir_op(k->b, addf, a, c);
}

static ir_value_t combine_glu(kernel_t *k, ir_value_t gate, ir_value_t up) {
  ir_value_t active = math_activation(k, (hone_activation_t)k->spec->activation, gate);
  return ir_op(k->b, mulf, active, up);
}

// out[m] = combine(a[m], c[m]), K columns; in place allowed.
static void emit_rows(kernel_t *k, combine_fn *combine) {
  ir_builder_t *b = k->b;
  int64_t row_bytes = (int64_t)hone_row_bytes(HONE_F32, k->spec->K);
  ir_value_t a = kernel_pointer(k, 0), c = kernel_pointer(k, 1), out = kernel_pointer(k, 2);
  ir_value_t end = ir_i64(b, row_bytes), step = ir_i64(b, (int64_t)k->lanes * 4);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t a_row = kernel_at(k, a, m, row_bytes);
    ir_value_t c_row = kernel_at(k, c, m, row_bytes);
    ir_value_t out_row = kernel_at(k, out, m, row_bytes);
    IR_FOR (b, offset, k->zero, end, step) {
      ir_value_t a_at = ir_offset(b, a_row, offset);
      ir_value_t c_at = ir_offset(b, c_row, offset);
      ir_value_t lhs = ir_load(b, k->reals, a_at, 0);
      ir_value_t rhs = ir_load(b, k->reals, c_at, 0);
      ir_value_t result = combine(k, lhs, rhs);
      ir_value_t at = ir_offset(b, out_row, offset);
      ir_store(b, result, at, 0);
    }
  }
}

void emit_add(kernel_t *k) { emit_rows(k, combine_add); }

void emit_glu(kernel_t *k) { emit_rows(k, combine_glu); }
