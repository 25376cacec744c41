// Codes of packed weights as int8: what kernels on q8 rows multiply with.
//
// Products want one unsigned factor. Codes of a small range are made unsigned by adding a bias that
// the dot product takes off again; with VNNI all codes are. AVX2's 16-bit sums have no room for
// 8-bit codes plus 128: those stay signed there, and the dot product moves their sign to the row.
// Tiles multiply signed codes: there none has a bias.
#include "codegen/cpu/kernels/weight.h"
#include "quant/grid.h"

int weight_bias(const kernel_t *k, const weight_t *w) {
  if (k->isa->tiles) return -1;
  switch (w->info->storage) {
    case HONE_Q6: return 5;
    case HONE_INT4: return 3;
    case HONE_TERNARY: return 0;
    case HONE_MXFP4:
    case HONE_NVFP4: return 4;  // levels of -12..12
    default: break;
  }
  if (w->info->grid == HONE_GRID_PLANES) return 0;
  return k->isa->vnni ? 7 : -1;
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
  int bias = w->bias < 0 ? 0 : 1 << w->bias;
  if (grid) {
    int8_t bytes[HONE_GROUP];
    for (int i = 0; i < HONE_GROUP; i++)
      bytes[i] = (int8_t)(uint8_t)(grid->integer[i % HONE_GRID_LEVELS] + bias);
    return ir_bytes(b, k->isa->bytes, bytes);
  }
  if (w->info->grid != HONE_GRID_LEARNED) return (ir_value_t){0};
  ir_value_t levels = ir_load(b, ir_vector(b, IR_I8, HONE_GRID_LEVELS), parameters, 0);
  ir_value_t table = repeat(k, levels, HONE_GRID_LEVELS);
  ir_value_t biases = ir_int(b, byte_vector(k), (int8_t)(uint8_t)bias);
  return ir_op(b, addi, table, biases);
}

static ir_value_t mask(kernel_t *k, ir_value_t bytes, int bits) {
  ir_value_t keep = ir_int(k->b, byte_vector(k), bits);
  return ir_op(k->b, andi, bytes, keep);
}

// The half's bytes of a line.
static ir_value_t line_bytes(kernel_t *k, ir_value_t codes, int half, int line) {
  ir_value_t at = ir_advance(k->b, codes, (int64_t)line * LINE_BYTES + half * (int)k->isa->bytes);
  return ir_load(k->b, byte_vector(k), at, 0);
}

// Bits [from, from + count) of each byte, moved to bit `to`.
static ir_value_t bits_of(kernel_t *k, ir_value_t bytes, int from, int count, int to) {
  ir_builder_t *b = k->b;
  if (from != to) {
    ir_value_t words = ir_cast(b, bitcast, k->words, bytes);
    ir_value_t places = ir_int(b, k->words, from > to ? from - to : to - from);
    words = from > to ? ir_op(b, shrui, words, places) : ir_op(b, shli, words, places);
    bytes = ir_cast(b, bitcast, byte_vector(k), words);
  }
  return mask(k, bytes, ((1 << count) - 1) << to);
}

static ir_value_t nibble(kernel_t *k, ir_value_t codes, int half, int quad) {
  ir_value_t bytes = line_bytes(k, codes, half, quad / 2);
  return bits_of(k, bytes, quad % 2 * 4, 4, 0);
}

static ir_value_t pair(kernel_t *k, ir_value_t codes, int half, int quad, int to) {
  ir_value_t bytes = line_bytes(k, codes, half, quad / 4);
  return bits_of(k, bytes, quad % 4 * 2, 2, to);
}

static ir_value_t six_bits(kernel_t *k, const weight_place_t *place, int half, int quad) {
  ir_value_t lower = nibble(k, place->codes, half, quad);
  ir_value_t upper = pair(k, place->upper, half, quad, 4);
  return ir_op(k->b, ori, lower, upper);
}

// Stored codes that are `zero` too large, with the bias they have or without any.
static ir_value_t biased(kernel_t *k, const weight_t *w, ir_value_t codes, int zero) {
  if (w->bias >= 0) return codes;
  ir_value_t zeros = ir_int(k->b, byte_vector(k), zero);
  return ir_op(k->b, subi, codes, zeros);
}

// A bit is 1 or -1, with the bias 2 or 0.
static ir_value_t signs(kernel_t *k, const weight_t *w, ir_value_t codes, int half, int quad) {
  ir_builder_t *b = k->b;
  int bytes = (int)k->isa->bytes;
  ir_type_t packed = ir_vector(b, bytes == 64 ? IR_I64 : IR_I32, 1);
  ir_value_t at = ir_advance(b, codes, (int64_t)quad * 8 + half * bytes / 8);
  ir_value_t word = ir_load(b, packed, at, 1);
  ir_value_t bits = ir_cast(b, bitcast, ir_vector(b, IR_I1, bytes), word);
  ir_value_t plus = ir_int(b, byte_vector(k), w->bias < 0 ? 1 : 2);
  ir_value_t minus = ir_int(b, byte_vector(k), w->bias < 0 ? -1 : 0);
  return ir_op(b, select, bits, plus, minus);
}

static ir_value_t whole_bytes(kernel_t *k, const weight_t *w, ir_value_t codes, int half,
                              int quad) {
  ir_value_t bytes = line_bytes(k, codes, half, quad);
  if (w->bias < 0) return bytes;
  ir_value_t sign = ir_int(k->b, byte_vector(k), -128);
  return ir_op(k->b, xori, bytes, sign);
}

static ir_value_t look_up(kernel_t *k, const weight_t *w, ir_value_t index) {
  const char *name = k->isa->bytes == 64 ? "llvm.x86.avx512.pshuf.b.512" : "llvm.x86.avx2.pshuf.b";
  return ir_intrinsic(k->b, name, byte_vector(k), w->bytes, index);
}

ir_value_t weight_quad(kernel_t *k, const weight_t *w, const weight_place_t *place, int half,
                       int plane, int quad) {
  ir_value_t codes = place->codes;
  if (w->info->grid == HONE_GRID_PLANES) {
    ir_value_t at = ir_advance(k->b, codes, (int64_t)plane * QUADS * 8);
    return signs(k, w, at, half, quad);
  }
  ir_value_t stored;
  switch (w->info->code_bits) {
    case 8: return whole_bytes(k, w, codes, half, quad);
    case 6: stored = six_bits(k, place, half, quad); return biased(k, w, stored, 32);
    case 2: stored = pair(k, codes, half, quad, 0); return biased(k, w, stored, 1);
    default: stored = nibble(k, codes, half, quad); break;
  }
  return w->info->storage == HONE_INT4 ? biased(k, w, stored, 8) : look_up(k, w, stored);
}
