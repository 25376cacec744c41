// Codes of packed weights as f32, scaled: what kernels on f32 rows multiply with.
#include "codegen/cpu/kernels/weight.h"

weight_row_t weight_row(kernel_t *k, const weight_t *w, ir_value_t codes, const ir_value_t *scale) {
  ir_builder_t *b = k->b;
  weight_row_t row = {.codes = codes};
  for (int i = 0; i < w->parts * w->planes; i++) row.scale[i] = scale[i];
  if (w->low.ptr) {
    for (int i = 0; i < w->parts; i++) {
      row.low[i] = ir_op(b, mulf, w->low, scale[i]);
      if (w->high.ptr) row.high[i] = ir_op(b, mulf, w->high, scale[i]);
    }
  }
  if (w->info->code_bits == 6) {
    weight_codes(k, w, codes, 0, row.bytes);
    ir_value_t bias = ir_int(b, ir_vector(b, IR_I8, k->isa->bytes), weight_bias(k, w));
    for (int h = 0; h < HONE_GROUP / (int)k->isa->bytes; h++)
      row.bytes[h] = ir_op(b, subi, row.bytes[h], bias);
  }
  return row;
}

// 16 entries by index; the index's upper bits are ignored.
static ir_value_t look_up(kernel_t *k, ir_value_t low, ir_value_t high, ir_value_t index) {
  ir_builder_t *b = k->b;
  if (k->lanes == 16)
    return ir_intrinsic(b, "llvm.x86.avx512.permvar.sf.512", k->reals, low, index);
  ir_value_t lower = ir_intrinsic(b, "llvm.x86.avx2.permps", k->reals, low, index);
  ir_value_t upper = ir_intrinsic(b, "llvm.x86.avx2.permps", k->reals, high, index);
  ir_value_t places = ir_int(b, k->words, 28);
  ir_value_t sign = ir_op(b, shli, index, places);  // bit 3 of the index as the sign
  ir_value_t nothing = ir_int(b, k->words, 0);
  ir_value_t is_upper = ir_op(b, slt, sign, nothing);
  return ir_op(b, select, is_upper, upper, lower);
}

// Elements 0..31 are the low nibbles of bytes 0..31, the others the high ones.
static ir_value_t table_reals(kernel_t *k, const weight_row_t *row, int first, int part) {
  ir_builder_t *b = k->b;
  ir_value_t at = ir_advance(b, row->codes, first % 32);
  ir_value_t bytes = ir_load(b, ir_vector(b, IR_I8, k->lanes), at, 0);
  ir_value_t index = ir_cast(b, extui, k->words, bytes);
  if (first >= 32) {
    ir_value_t places = ir_int(b, k->words, 4);
    index = ir_op(b, shrui, index, places);
  }
  return look_up(k, row->low[part], row->high[part], index);
}

// Byte b holds b + 16 i in its bits 2 i and 2 i + 1. The table repeats, so that bits above them do
// not matter.
static ir_value_t pair_reals(kernel_t *k, const weight_row_t *row, int first, int part) {
  ir_builder_t *b = k->b;
  ir_value_t at = ir_advance(b, row->codes, first % 16);
  ir_value_t bytes = ir_load(b, ir_vector(b, IR_I8, k->lanes), at, 0);
  ir_value_t index = ir_cast(b, extui, k->words, bytes);
  if (first >= 16) {
    ir_value_t places = ir_int(b, k->words, first / 16 * 2);
    index = ir_op(b, shrui, index, places);
  }
  if (k->lanes == 16)
    return ir_intrinsic(b, "llvm.x86.avx512.permvar.sf.512", k->reals, row->low[part], index);
  return ir_intrinsic(b, "llvm.x86.avx2.permps", k->reals, row->low[part], index);
}

// 16-element blocks, four lanes of a tile each.
static ir_value_t plain_reals(kernel_t *k, const weight_t *w, const weight_row_t *row, int first) {
  ir_builder_t *b = k->b;
  int64_t element = first / 16 * 16 * HONE_TILE_ROWS + first % 16;
  ir_value_t at = ir_advance(b, row->codes, element * w->info->code_bits / 8);
  if (w->info->storage == HONE_F32) return ir_load(b, k->reals, at, 0);
  if (w->info->storage == HONE_F16) {
    ir_value_t halves = ir_load(b, ir_vector(b, IR_F16, k->lanes), at, 0);
    return math_half(k, halves);
  }
  ir_value_t shorts = ir_load(b, ir_vector(b, IR_I16, k->lanes), at, 0);
  return math_bfloat(k, shorts);
}

static ir_value_t linear_reals(kernel_t *k, const weight_row_t *row, int first, int part) {
  ir_builder_t *b = k->b;
  ir_type_t bytes = ir_vector(b, IR_I8, k->lanes);
  ir_value_t codes;
  if (row->bytes[0].ptr) {
    int64_t lanes[16];
    int width = (int)k->isa->bytes;
    for (int i = 0; i < k->lanes; i++) lanes[i] = first % width + i;
    ir_value_t from = row->bytes[first / width];
    codes = ir_shuffle(b, from, from, (size_t)k->lanes, lanes);
  } else {
    ir_value_t at = ir_advance(b, row->codes, first);
    codes = ir_load(b, bytes, at, 0);
  }
  ir_value_t words = ir_cast(b, extsi, k->words, codes);
  ir_value_t reals = ir_cast(b, sitofp, k->reals, words);
  return ir_op(b, mulf, reals, row->scale[part]);
}

// Bits [first, first + lanes) of a plane as a mask. Without mask registers a bit is moved to the
// sign of its lane, where a blend looks for it.
static ir_value_t plane_mask(kernel_t *k, ir_value_t plane, int first) {
  ir_builder_t *b = k->b;
  if (k->lanes == 16) {
    ir_value_t at = ir_advance(b, plane, first / 8);
    ir_value_t word = ir_load(b, ir_vector(b, IR_I16, 1), at, 1);
    return ir_cast(b, bitcast, ir_vector(b, IR_I1, 16), word);
  }
  int32_t to_sign[8];
  for (int i = 0; i < 8; i++) to_sign[i] = 31 - first % 32 - i;
  ir_value_t at = ir_advance(b, plane, first / 32 * 4);
  ir_value_t word = ir_load(b, k->i32, at, 1);
  ir_value_t all = ir_cast(b, broadcast, k->words, word);
  ir_value_t places = ir_words(b, 8, to_sign);
  ir_value_t sign = ir_op(b, shli, all, places);
  ir_value_t nothing = ir_int(b, k->words, 0);
  return ir_op(b, slt, sign, nothing);
}

// The planes' scales, each with the sign of its bit, added up in order.
static ir_value_t plane_reals(kernel_t *k, const weight_t *w, const weight_row_t *row, int first,
                              int part) {
  ir_builder_t *b = k->b;
  ir_value_t total = {0};
  for (int p = 0; p < w->planes; p++) {
    ir_value_t plane = ir_advance(b, row->codes, (int64_t)p * HONE_GROUP / 8);
    ir_value_t is_plus = plane_mask(k, plane, first);
    ir_value_t plus = row->scale[part * w->planes + p];
    ir_value_t minus = ir_op(b, negf, plus);
    ir_value_t term = ir_op(b, select, is_plus, plus, minus);
    total = p == 0 ? term : ir_op(b, addf, total, term);
  }
  return total;
}

ir_value_t weight_reals(kernel_t *k, const weight_t *w, const weight_row_t *row, int vector) {
  int first = vector * k->lanes, part = first * w->parts / HONE_GROUP;
  switch (w->info->grid) {
    case HONE_GRID_FLOAT: return plain_reals(k, w, row, first);
    case HONE_GRID_LINEAR:
      if (w->info->code_bits == 2) return pair_reals(k, row, first, part);
      return linear_reals(k, row, first, part);
    case HONE_GRID_TABLE:
    case HONE_GRID_LEARNED: return table_reals(k, row, first, part);
    case HONE_GRID_PLANES: return plane_reals(k, w, row, first, part);
  }
  ir_reject(k->b, "weight format %s has no loader", w->info->name);
  return (ir_value_t){0};
}
