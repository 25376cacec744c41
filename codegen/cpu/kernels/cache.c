// Elements of the KV cache: their size and their conversions.
#include "codegen/cpu/kernels/cache.h"

#include <mlir-c/BuiltinTypes.h>

cache_t cache_open(const kernel_t *k) {
  hone_storage_t storage = k->spec->cache;
  cache_t cache = {.has_scales = storage == HONE_Q8};
  cache.item = (int)hone_cache_item_bytes(storage);
  cache.block_bytes = (int64_t)hone_cache_block_bytes(storage, k->spec->head_dim);
  cache.scales = (int64_t)hone_head_padded(k->spec->head_dim) * HONE_CACHE_BLOCK * cache.item;
  return cache;
}

ir_value_t cache_load(kernel_t *k, ir_value_t pointer) {
  ir_builder_t *b = k->b;
  if (k->spec->cache == HONE_F32) return ir_load(b, k->reals, pointer, 0);
  if (k->spec->cache == HONE_F16) {
    ir_value_t halves = ir_load(b, ir_vector(b, IR_F16, k->lanes), pointer, 0);
    return math_half(k, halves);
  }
  ir_value_t codes = ir_load(b, ir_vector(b, IR_I8, k->lanes), pointer, 0);
  ir_value_t words = ir_cast(b, extsi, k->words, codes);
  return ir_cast(b, sitofp, k->reals, words);
}

// Below the smallest normal scale 127 / largest overflows: such a head is zeros.
ir_value_t cache_factor(kernel_t *k, ir_value_t largest) {
  ir_builder_t *b = k->b;
  ir_value_t limit = ir_real(b, k->real, 127.0);
  ir_value_t smallest = ir_real(b, k->real, 1e-34);
  ir_value_t nothing = ir_real(b, k->real, 0.0);
  ir_value_t inverse = ir_op(b, divf, limit, largest);
  ir_value_t usable = ir_op(b, ogt, largest, smallest);
  return ir_op(b, select, usable, inverse, nothing);
}

ir_value_t cache_narrow(kernel_t *k, ir_value_t reals) {
  ir_builder_t *b = k->b;
  if (!reals.ptr || k->spec->cache == HONE_F32) return reals;
  int64_t lanes = mlirShapedTypeGetDimSize(mlirValueGetType(reals), 0);
  if (k->spec->cache == HONE_F16) return ir_cast(b, truncf, ir_vector(b, IR_F16, lanes), reals);
  ir_value_t rounded = ir_op(b, roundeven, reals);
  ir_value_t words = ir_cast(b, fptosi, ir_vector(b, IR_I32, lanes), rounded);
  return ir_cast(b, trunci, ir_vector(b, IR_I8, lanes), words);
}
