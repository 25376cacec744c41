// Codes of packed weights as int8: what kernels on q8 rows multiply with.
//
// Products want one unsigned factor. Codes of a small range are made unsigned by adding a bias that
// the dot product takes off again; with VNNI all codes are. AVX2's 16-bit sums have no room for
// 8-bit codes plus 128: those stay signed there, and the dot product moves their sign to the row.
#include "codegen/cpu/kernels/weight.h"
#include "quant/grid.h"

int weight_bias(const kernel_t *k, const weight_t *w) {
  switch (w->info->storage) {
    case HONE_Q6: return 32;
    case HONE_INT4: return 8;
    case HONE_TERNARY: return 1;
    case HONE_MXFP4:
    case HONE_NVFP4: return 12;
    default: break;
  }
  if (w->info->grid == HONE_GRID_PLANES) return 1;
  return k->isa->vnni ? 128 : 0;
}

static ir_type_t byte_vector(kernel_t *k) { return ir_vector(k->b, IR_I8, k->isa->bytes); }

// `from` over and over, as wide as a vector.
static ir_value_t repeat(kernel_t *k, ir_value_t from, int period) {
  int64_t lanes[HONE_GROUP];
  for (int i = 0; i < (int)k->isa->bytes; i++) lanes[i] = i % period;
  return ir_shuffle(k->b, from, from, k->isa->bytes, lanes);
}

ir_value_t weight_table(kernel_t *k, const weight_t *w, ir_value_t parameters) {
  ir_builder_t *b = k->b;
  const hone_grid_t *grid = hone_grid_get(w->info->storage);
  if (grid) {
    int8_t bytes[HONE_GROUP];
    for (int i = 0; i < HONE_GROUP; i++)
      bytes[i] = (int8_t)(uint8_t)(grid->integer[i % HONE_GRID_LEVELS] + w->bias);
    return ir_bytes(b, k->isa->bytes, bytes);
  }
  if (w->info->grid != HONE_GRID_LEARNED) return (ir_value_t){0};
  ir_value_t levels = ir_load(b, ir_vector(b, IR_I8, HONE_GRID_LEVELS), parameters, 0);
  ir_value_t table = repeat(k, levels, HONE_GRID_LEVELS);
  ir_value_t bias = ir_int(b, byte_vector(k), (int8_t)(uint8_t)w->bias);
  return ir_op(b, addi, table, bias);
}

static ir_value_t mask(kernel_t *k, ir_value_t bytes, int bits) {
  ir_value_t keep = ir_int(k->b, byte_vector(k), bits);
  return ir_op(k->b, andi, bytes, keep);
}

// 32-bit words of a byte vector shifted left by left[i] and right by right[i], i = byte / 16 of the
// row's codes; bits that cross into another byte are the caller's to mask.
static ir_value_t shift(kernel_t *k, ir_value_t bytes, int half, const int left[4],
                        const int right[4]) {
  ir_builder_t *b = k->b;
  int count = (int)k->isa->bytes / 4;
  int32_t by_left[16], by_right[16];
  bool any_left = false, any_right = false;
  for (int i = 0; i < count; i++) {
    int run = (half * count + i) / 4;
    by_left[i] = left[run], by_right[i] = right[run];
    any_left |= left[run] > 0, any_right |= right[run] > 0;
  }
  ir_value_t words = ir_cast(b, bitcast, k->words, bytes);
  if (any_left) {
    ir_value_t places = ir_words(b, (size_t)count, by_left);
    words = ir_op(b, shli, words, places);
  }
  if (any_right) {
    ir_value_t places = ir_words(b, (size_t)count, by_right);
    words = ir_op(b, shrui, words, places);
  }
  return ir_cast(b, bitcast, byte_vector(k), words);
}

// 4-bit codes: byte b holds j = b and j = b + 32.
static void nibbles(kernel_t *k, ir_value_t codes, ir_value_t *out) {
  static const int none[4] = {0}, right[4] = {0, 0, 4, 4};
  ir_value_t packed = ir_load(k->b, ir_vector(k->b, IR_I8, 32), codes, 0);
  ir_value_t both = repeat(k, packed, 32);
  for (int h = 0; h < HONE_GROUP / (int)k->isa->bytes; h++) {
    ir_value_t shifted = shift(k, both, h, none, right);
    out[h] = mask(k, shifted, 15);
  }
}

// Pairs of bits, byte b holds j = b + 16 i: moved to bits `to` and to + 1.
static void pairs(kernel_t *k, ir_value_t codes, int to, ir_value_t *out) {
  int left[4], right[4];
  for (int i = 0; i < 4; i++) {
    left[i] = to > 2 * i ? to - 2 * i : 0;
    right[i] = 2 * i > to ? 2 * i - to : 0;
  }
  ir_value_t packed = ir_load(k->b, ir_vector(k->b, IR_I8, 16), codes, 0);
  ir_value_t all = repeat(k, packed, 16);
  for (int h = 0; h < HONE_GROUP / (int)k->isa->bytes; h++) {
    ir_value_t shifted = shift(k, all, h, left, right);
    out[h] = mask(k, shifted, 3 << to);
  }
}

static void six_bits(kernel_t *k, ir_value_t codes, ir_value_t *out) {
  ir_value_t upper[2], upper_at = ir_advance(k->b, codes, 32);
  nibbles(k, codes, out);
  pairs(k, upper_at, 4, upper);
  for (int h = 0; h < HONE_GROUP / (int)k->isa->bytes; h++)
    out[h] = ir_op(k->b, ori, out[h], upper[h]);
}

// A bit is 1 or -1, plus the bias 2 or 0.
static void signs(kernel_t *k, ir_value_t codes, ir_value_t *out) {
  ir_builder_t *b = k->b;
  int bytes = (int)k->isa->bytes;
  ir_type_t packed = ir_vector(b, bytes == 64 ? IR_I64 : IR_I32, 1);
  for (int h = 0; h < HONE_GROUP / bytes; h++) {
    ir_value_t at = ir_advance(b, codes, (int64_t)h * 4);
    ir_value_t word = ir_load(b, packed, at, 1);
    ir_value_t bits = ir_cast(b, bitcast, ir_vector(b, IR_I1, bytes), word);
    ir_value_t plus = ir_int(b, byte_vector(k), 2);
    ir_value_t minus = ir_int(b, byte_vector(k), 0);
    out[h] = ir_op(b, select, bits, plus, minus);
  }
}

static void whole_bytes(kernel_t *k, const weight_t *w, ir_value_t codes, ir_value_t *out) {
  ir_builder_t *b = k->b;
  for (int h = 0; h < HONE_GROUP / (int)k->isa->bytes; h++) {
    ir_value_t at = ir_advance(b, codes, (int64_t)h * k->isa->bytes);
    out[h] = ir_load(b, byte_vector(k), at, 0);
    if (!w->bias) continue;
    ir_value_t sign = ir_int(b, byte_vector(k), -128);
    out[h] = ir_op(b, xori, out[h], sign);
  }
}

static void look_up(kernel_t *k, const weight_t *w, ir_value_t *out) {
  const char *name = k->isa->bytes == 64 ? "llvm.x86.avx512.pshuf.b.512" : "llvm.x86.avx2.pshuf.b";
  for (int h = 0; h < HONE_GROUP / (int)k->isa->bytes; h++)
    out[h] = ir_intrinsic(k->b, name, byte_vector(k), w->bytes, out[h]);
}

void weight_codes(kernel_t *k, const weight_t *w, ir_value_t codes, int plane, ir_value_t *out) {
  if (w->info->grid == HONE_GRID_PLANES) {
    ir_value_t at = ir_advance(k->b, codes, (int64_t)plane * HONE_GROUP / 8);
    signs(k, at, out);
    return;
  }
  switch (w->info->code_bits) {
    case 8: whole_bytes(k, w, codes, out); break;
    case 6: six_bits(k, codes, out); break;
    case 2: pairs(k, codes, 0, out); break;
    default:
      nibbles(k, codes, out);
      if (w->info->storage != HONE_INT4) look_up(k, w, out);  // int4's codes are its levels + bias
      break;
  }
}
