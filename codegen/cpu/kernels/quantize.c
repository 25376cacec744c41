// f32 rows to q8 or b1 rows, rotated or not. q8: per group of 64, scale = max|x| / 127, codes
// rounded to nearest even, and minus their sums. b1: signs, and one scale per row.
#include <math.h>

#include "codegen/cpu/kernels/kernels.h"
#include "quant/grid.h"

enum { GROUP_PARTS = HONE_GROUP / 16 };

quantized_row_t quantized_row_at(kernel_t *k, uint32_t K, ir_value_t row, ir_value_t group) {
  int64_t Kp = (int64_t)hone_padded(K);
  ir_value_t scales = ir_advance(k->b, row, Kp);
  ir_value_t sums = ir_advance(k->b, row, Kp + Kp / HONE_GROUP * 4);
  quantized_row_t at;
  at.codes = kernel_at(k, row, group, HONE_GROUP);
  at.scales = kernel_at(k, scales, group, 4);
  at.sums = kernel_at(k, sums, group, 4);
  ir_value_t parts = ir_advance(k->b, sums, Kp / HONE_GROUP * 4);
  at.parts = kernel_at(k, parts, group, 4 * 4);
  return at;
}

// A butterfly between lanes `far` apart: lane i becomes x[i] + x[i + far] or x[i - far] - x[i].
static ir_value_t rotate_lanes(kernel_t *k, ir_value_t x, int far) {
  int64_t lanes[16];
  float signs[16];
  for (int i = 0; i < k->lanes; i++) {
    lanes[i] = i ^ far;
    signs[i] = i & far ? -1.0f : 1.0f;
  }
  ir_value_t partner = ir_shuffle(k->b, x, x, (size_t)k->lanes, lanes);
  ir_value_t sign = ir_floats(k->b, (size_t)k->lanes, signs);
  return ir_op(k->b, fma, x, sign, partner);
}

// x H / sqrt(n), H the Hadamard matrix of size n in Sylvester's order: a fast Walsh-Hadamard
// transform, stages of butterflies within vectors and then across them; the same sums on every ISA.
static void rotate_block(kernel_t *k, ir_value_t *vectors) {
  ir_builder_t *b = k->b;
  int count = k->spec->rotate / k->lanes;
  for (int far = 1; far < k->lanes; far *= 2) {
    for (int v = 0; v < count; v++) vectors[v] = rotate_lanes(k, vectors[v], far);
  }
  for (int far = 1; far < count; far *= 2) {
    for (int v = 0; v < count; v++) {
      if (v & far) continue;
      ir_value_t x = vectors[v], y = vectors[v + far];
      vectors[v] = ir_op(b, addf, x, y);
      vectors[v + far] = ir_op(b, subf, x, y);
    }
  }
  ir_value_t share = ir_real(b, k->reals, 1 / sqrt((double)k->spec->rotate));
  for (int v = 0; v < count; v++) vectors[v] = ir_op(b, mulf, vectors[v], share);
}

// One group of vectors to codes, scale and sum of a q8 row.
static void quantize_group(kernel_t *k, const ir_value_t *vectors, const quantized_row_t *to) {
  ir_builder_t *b = k->b;
  int count = HONE_GROUP / k->lanes;
  ir_value_t widest = ir_op(b, fabs, vectors[0]);
  for (int v = 1; v < count; v++) {
    ir_value_t size = ir_op(b, fabs, vectors[v]);
    widest = math_max(k, size, widest);
  }
  ir_value_t largest = math_maximum(k, widest);
  ir_value_t limit = ir_real(b, k->real, 127.0);
  ir_value_t scale = ir_op(b, divf, largest, limit);
  ir_store(b, scale, to->scales, 0);
  // Below the smallest normal scale 1 / scale overflows: such a group is zeros.
  ir_value_t inverse = ir_op(b, divf, limit, largest);
  ir_value_t smallest = ir_real(b, k->real, 1e-34);
  ir_value_t usable = ir_op(b, ogt, largest, smallest);
  ir_value_t nothing = ir_real(b, k->real, 0.0);
  ir_value_t factor = ir_op(b, select, usable, inverse, nothing);
  ir_value_t factors = math_splat(k, factor);
  ir_value_t parts[GROUP_PARTS];  // of 16 columns: all their words, added
  for (int v = 0; v < count; v++) {
    ir_value_t scaled = ir_op(b, mulf, vectors[v], factors);
    ir_value_t rounded = ir_op(b, roundeven, scaled);
    ir_value_t words = ir_cast(b, fptosi, k->words, rounded);
    ir_value_t codes = ir_cast(b, trunci, ir_vector(b, IR_I8, k->lanes), words);
    ir_value_t at = ir_advance(b, to->codes, (int64_t)v * k->lanes);
    ir_store(b, codes, at, 0);
    ir_value_t *part = &parts[v * k->lanes / 16];
    *part = v * k->lanes % 16 ? ir_op(b, addi, *part, words) : words;
  }
  ir_value_t sums = math_word_sums(k, parts, GROUP_PARTS);
  ir_value_t nothing_yet = ir_int(b, ir_vector(b, IR_I32, GROUP_PARTS), 0);
  ir_value_t minus = ir_op(b, subi, nothing_yet, sums);
  ir_store(b, minus, to->parts, 4);
  ir_value_t total = ir_op(b, sum, minus);
  ir_store(b, total, to->sums, 0);
}

// The bits of a span; a zero counts as negative. Rotation keeps the sum of squares.
static void quantize_signs(kernel_t *k, ir_value_t row, ir_value_t span,
                           const ir_value_t *vectors) {
  ir_builder_t *b = k->b;
  int columns = (int)hone_kernel_spec_span(k->spec);
  ir_value_t to = kernel_at(k, row, span, columns / 8);
  ir_value_t nothing = ir_real(b, k->reals, 0.0);
  ir_type_t packed = ir_vector(b, k->lanes == 16 ? IR_I16 : IR_I8, 1);
  for (int v = 0; v < columns / k->lanes; v++) {
    ir_value_t is_plus = ir_op(b, ogt, vectors[v], nothing);
    ir_value_t bits = ir_cast(b, bitcast, packed, is_plus);
    ir_value_t at = ir_advance(b, to, (int64_t)v * k->lanes / 8);
    ir_store(b, bits, at, 1);
  }
}

void quantize_span(kernel_t *k, uint32_t K, ir_value_t row, ir_value_t span, ir_value_t *vectors,
                   ir_value_t *squares) {
  ir_builder_t *b = k->b;
  int columns = (int)hone_kernel_spec_span(k->spec), rotate = k->spec->rotate;
  bool is_signs = k->spec->output == HONE_B1;
  for (int v = 0; is_signs && v < columns / k->lanes; v++)
    *squares = ir_op(b, fma, vectors[v], vectors[v], *squares);
  for (int at = 0; rotate && at < columns; at += rotate) rotate_block(k, &vectors[at / k->lanes]);
  if (is_signs) {
    quantize_signs(k, row, span, vectors);
    return;
  }
  ir_value_t first = kernel_times(k, span, columns / HONE_GROUP);
  for (int g = 0; g < columns / HONE_GROUP; g++) {
    ir_value_t group = kernel_plus(k, first, g);
    quantized_row_t to = quantized_row_at(k, K, row, group);
    quantize_group(k, &vectors[g * HONE_GROUP / k->lanes], &to);
  }
}

static ir_value_t signs_scale(kernel_t *k, uint32_t K, ir_value_t squares) {
  ir_builder_t *b = k->b;
  ir_value_t total = math_sum(k, squares);
  ir_value_t width = ir_real(b, k->real, (double)K);
  ir_value_t mean = ir_op(b, divf, total, width);
  ir_value_t root = ir_op(b, sqrt, mean);
  ir_value_t share = ir_real(b, k->real, HONE_SIGNS_SHARE);
  return ir_op(b, mulf, root, share);
}

void quantize_end(kernel_t *k, uint32_t K, ir_value_t row, ir_value_t squares) {
  int64_t Kp = (int64_t)hone_padded(K), used = Kp + Kp / HONE_GROUP * 24;
  if (k->spec->output == HONE_B1) {
    ir_value_t scale = signs_scale(k, K, squares);
    ir_value_t at = ir_advance(k->b, row, Kp / 8);
    ir_store(k->b, scale, at, 0);
    used = Kp / 8 + 4;
  }
  int64_t row_bytes = (int64_t)hone_row_bytes(k->spec->output, K);
  ir_value_t pad = ir_advance(k->b, row, used);
  zero_bytes(k, pad, row_bytes - used);
}

// The vectors of a span of an f32 row.
static void load_span(kernel_t *k, ir_value_t row, ir_value_t span, ir_value_t *vectors) {
  int columns = (int)hone_kernel_spec_span(k->spec);
  ir_value_t from = kernel_at(k, row, span, columns * 4);
  for (int v = 0; v < columns / k->lanes; v++) {
    ir_value_t at = ir_advance(k->b, from, (int64_t)v * k->lanes * 4);
    vectors[v] = ir_load(k->b, k->reals, at, 0);
  }
}

// Units are rows.
static void emit_signs(kernel_t *k, ir_value_t x, ir_value_t out, ir_value_t spans) {
  ir_builder_t *b = k->b;
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t from = kernel_at(k, x, m, (int64_t)hone_row_bytes(HONE_F32, k->spec->K));
    ir_value_t row = kernel_at(k, out, m, (int64_t)hone_row_bytes(HONE_B1, k->spec->K));
    ir_value_t squares = ir_real(b, k->reals, 0.0);
    IR_FOR_CARRY (b, span, k->zero, spans, k->one, &squares, 1) {
      ir_value_t vectors[SPAN_VECTORS_LIMIT];
      load_span(k, from, span, vectors);
      quantize_span(k, k->spec->K, row, span, vectors, &squares);
    }
    quantize_end(k, k->spec->K, row, squares);
  }
}

void emit_quantize(kernel_t *k) {
  ir_builder_t *b = k->b;
  int64_t spans = (int64_t)hone_padded(k->spec->K) / hone_kernel_spec_span(k->spec);
  ir_value_t x = kernel_pointer(k, 0), out = kernel_pointer(k, 1);
  ir_value_t per_row = ir_i64(b, spans), last = ir_i64(b, spans - 1);
  if (k->spec->output == HONE_B1) {
    emit_signs(k, x, out, per_row);
    return;
  }
  IR_FOR (b, unit, k->begin, k->end, k->one) {
    ir_value_t m = ir_op(b, divui, unit, per_row);
    ir_value_t span = ir_op(b, remui, unit, per_row);
    ir_value_t row = kernel_at(k, out, m, (int64_t)hone_row_bytes(HONE_Q8, k->spec->K));
    ir_value_t vectors[SPAN_VECTORS_LIMIT], none = {0};
    load_span(k, x, unit, vectors);  // f32 rows are whole spans, one after the other
    quantize_span(k, k->spec->K, row, span, vectors, &none);
    ir_value_t is_last = ir_op(b, eq, span, last);
    IR_IF (b, is_last) {
      quantize_end(k, k->spec->K, row, none);
    }
  }
}
