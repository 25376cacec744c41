// Operands of a kernel: the fields of hone_kernel_args_t as values, and addresses made of them.
#include <stddef.h>

#include "codegen/cpu/kernels/kernels.h"

static ir_value_t argument(kernel_t *k, ir_type_t type, size_t offset) {
  ir_value_t at = ir_advance(k->b, k->args, (int64_t)offset);
  return ir_load(k->b, type, at, 0);
}

ir_value_t kernel_pointer(kernel_t *k, int index) {
  return argument(k, ir_pointer(k->b),
                  offsetof(hone_kernel_args_t, ptr) + (size_t)index * sizeof(void *));
}

ir_value_t kernel_M(kernel_t *k) { return argument(k, k->i64, offsetof(hone_kernel_args_t, M)); }
ir_value_t kernel_position(kernel_t *k) {
  return argument(k, k->i64, offsetof(hone_kernel_args_t, position));
}
ir_value_t kernel_capacity(kernel_t *k) {
  return argument(k, k->i64, offsetof(hone_kernel_args_t, capacity));
}

ir_value_t kernel_scalar(kernel_t *k) {
  ir_value_t wide = argument(k, ir_type(k->b, IR_REAL64), offsetof(hone_kernel_args_t, scalar));
  return ir_cast(k->b, truncf, k->real, wide);
}

ir_value_t kernel_times(kernel_t *k, ir_value_t x, int64_t factor) {
  if (factor == 1) return x;
  ir_value_t constant = ir_i64(k->b, factor);
  return ir_op(k->b, muli, x, constant);
}

ir_value_t kernel_plus(kernel_t *k, ir_value_t x, int64_t term) {
  if (term == 0) return x;
  ir_value_t constant = ir_i64(k->b, term);
  return ir_op(k->b, addi, x, constant);
}

ir_value_t kernel_at(kernel_t *k, ir_value_t base, ir_value_t index, int64_t stride_bytes) {
  ir_value_t bytes = kernel_times(k, index, stride_bytes);
  return ir_offset(k->b, base, bytes);
}
