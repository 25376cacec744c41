// Codes of packed weights as f32: what kernels on f32 rows multiply with. A lane is a row; the four
// columns of a quad are the bytes of its 32-bit word.
#include "codegen/cpu/kernels/weight.h"

// 16 entries by index; the index's upper bits are ignored.
static ir_value_t look_up(kernel_t *k, ir_value_t low, ir_value_t high, ir_value_t index) {
  ir_builder_t *b = k->b;
  if (k->lanes == 16)
    return ir_intrinsic(b, "llvm.x86.avx512.permvar.sf.512", k->reals, low, index);
  ir_value_t lower = ir_intrinsic(b, "llvm.x86.avx2.permps", k->reals, low, index);
  if (!high.ptr) return lower;
  ir_value_t upper = ir_intrinsic(b, "llvm.x86.avx2.permps", k->reals, high, index);
  ir_value_t places = ir_int(b, k->words, 28);
  ir_value_t sign = ir_op(b, shli, index, places);  // bit 3 of the index as the sign
  ir_value_t nothing = ir_int(b, k->words, 0);
  ir_value_t is_upper = ir_op(b, slt, sign, nothing);
  return ir_op(b, select, is_upper, upper, lower);
}

static ir_value_t line_words(kernel_t *k, ir_value_t codes, int half, int line) {
  ir_value_t at = ir_advance(k->b, codes, (int64_t)line * LINE_BYTES + half * k->lanes * 4);
  return ir_load(k->b, k->words, at, 0);
}

static ir_value_t shift_right(kernel_t *k, ir_value_t words, int places) {
  if (places == 0) return words;
  ir_value_t by = ir_int(k->b, k->words, places);
  return ir_op(k->b, shrui, words, by);
}

// Bits [from, from + count) of each word.
static ir_value_t field(kernel_t *k, ir_value_t words, int from, int count) {
  ir_value_t moved = shift_right(k, words, from);
  ir_value_t keep = ir_int(k->b, k->words, (1 << count) - 1);
  return ir_op(k->b, andi, moved, keep);
}

// `bits` bits to a code, so many quads to a line, in the low bits of each word; bits above them are
// the next codes'.
static ir_value_t code_words(kernel_t *k, ir_value_t codes, int half, int bits, int column) {
  int quad = column / 4, per_line = 8 / bits;
  ir_value_t words = line_words(k, codes, half, quad / per_line);
  return shift_right(k, words, column % 4 * 8 + quad % per_line * bits);
}

static ir_value_t plain_real(kernel_t *k, const weight_t *w, ir_value_t codes, int half,
                             int column) {
  ir_builder_t *b = k->b;
  int64_t element = (int64_t)column * HONE_TILE_ROWS + half * k->lanes;
  ir_value_t at = ir_advance(b, codes, element * w->info->code_bits / 8);
  if (w->info->storage == HONE_F32) return ir_load(b, k->reals, at, 0);
  if (w->info->storage == HONE_F16) {
    ir_value_t halves = ir_load(b, ir_vector(b, IR_F16, k->lanes), at, 0);
    return math_half(k, halves);
  }
  ir_value_t shorts = ir_load(b, ir_vector(b, IR_I16, k->lanes), at, 0);
  return math_bfloat(k, shorts);
}

static ir_value_t linear_real(kernel_t *k, const weight_t *w, const weight_place_t *place, int half,
                              int column) {
  ir_builder_t *b = k->b;
  int quad = column / 4;
  ir_value_t words;
  if (w->info->code_bits == 8) {
    ir_value_t line = line_words(k, place->codes, half, quad);
    ir_value_t up = ir_int(b, k->words, 24 - column % 4 * 8), down = ir_int(b, k->words, 24);
    ir_value_t top = ir_op(b, shli, line, up);
    words = ir_op(b, shrsi, top, down);
  } else {  // 6 bits
    ir_value_t line = line_words(k, place->codes, half, quad / 2);
    ir_value_t upper_line = line_words(k, place->upper, half, quad / 4);
    ir_value_t lower = field(k, line, column % 4 * 8 + quad % 2 * 4, 4);
    ir_value_t upper = field(k, upper_line, column % 4 * 8 + quad % 4 * 2, 2);
    ir_value_t places = ir_int(b, k->words, 4), bias = ir_int(b, k->words, 32);
    upper = ir_op(b, shli, upper, places);
    words = ir_op(b, ori, lower, upper);
    words = ir_op(b, subi, words, bias);
  }
  return ir_cast(b, sitofp, k->reals, words);
}

// A row's four bits of a quad lie in the low or the high word of eight bytes; one of them is moved
// to the sign.
static ir_value_t plane_real(kernel_t *k, ir_value_t plane, int half, int column) {
  ir_builder_t *b = k->b;
  int64_t lanes[16];
  int32_t to_sign[16];
  for (int i = 0; i < k->lanes; i++) {
    int row = half * k->lanes + i;
    lanes[i] = row / 8;
    to_sign[i] = 31 - (row % 8 * 4 + column % 4);
  }
  ir_value_t at = ir_advance(b, plane, (int64_t)(column / 4) * 8);
  ir_value_t both = ir_load(b, ir_vector(b, IR_I32, 2), at, 1);
  ir_value_t words = ir_shuffle(b, both, both, (size_t)k->lanes, lanes);
  ir_value_t places = ir_words(b, (size_t)k->lanes, to_sign);
  ir_value_t moved = ir_op(b, shli, words, places);
  ir_value_t sign = ir_int(b, k->words, INT32_MIN), one = ir_int(b, k->words, 0x3f800000);
  ir_value_t kept = ir_op(b, andi, moved, sign);
  ir_value_t minus = ir_op(b, xori, kept, sign);
  ir_value_t bits = ir_op(b, ori, minus, one);
  return ir_cast(b, recast, k->reals, bits);
}

ir_value_t weight_real(kernel_t *k, const weight_t *w, const weight_place_t *place, int half,
                       int plane, int column) {
  ir_value_t codes = place->codes;
  int bits = (int)w->info->code_bits;
  switch (w->info->grid) {
    case HONE_GRID_FLOAT: return plain_real(k, w, codes, half, column);
    case HONE_GRID_LINEAR:
      if (bits != 2) return linear_real(k, w, place, half, column);
      // The table repeats, so that bits above the code's do not matter.
      return look_up(k, w->low, (ir_value_t){0}, code_words(k, codes, half, 2, column));
    case HONE_GRID_TABLE:
    case HONE_GRID_LEARNED:
      return look_up(k, w->low, w->high, code_words(k, codes, half, 4, column));
    case HONE_GRID_PLANES: {
      ir_value_t at = ir_advance(k->b, codes, (int64_t)plane * QUADS * 8);
      return plane_real(k, at, half, column);
    }
  }
  ir_reject(k->b, "weight format %s has no loader", w->info->name);
  return (ir_value_t){0};
}
