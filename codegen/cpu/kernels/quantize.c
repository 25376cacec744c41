// f32 rows to q8 rows, rotated or not: per group of 64, scale = max|x| / 127, codes rounded to
// nearest even, and the codes' sum.
#include "codegen/cpu/kernels/kernels.h"

quantized_row_t quantized_row_at(kernel_t *k, ir_value_t row, ir_value_t group) {
  int64_t Kp = (int64_t)hone_padded(k->spec->K);
  ir_value_t scales = ir_advance(k->b, row, Kp);
  ir_value_t sums = ir_advance(k->b, row, Kp + Kp / HONE_GROUP * 4);
  quantized_row_t at;
  at.codes = kernel_at(k, row, group, HONE_GROUP);
  at.scales = kernel_at(k, scales, group, 4);
  at.sums = kernel_at(k, sums, group, 4);
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

// x H / 8, H the Hadamard matrix of size 64 in Sylvester's order: a fast Walsh-Hadamard transform
// of six stages of butterflies, within vectors and then across them; the same sums on every ISA.
static void rotate_group(kernel_t *k, ir_value_t *vectors) {
  ir_builder_t *b = k->b;
  int count = HONE_GROUP / k->lanes;
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
  ir_value_t eighth = ir_real(b, k->reals, 0.125);
  for (int v = 0; v < count; v++) vectors[v] = ir_op(b, mulf, vectors[v], eighth);
}

void quantize_group(kernel_t *k, ir_value_t *vectors, const quantized_row_t *to) {
  ir_builder_t *b = k->b;
  int count = HONE_GROUP / k->lanes;
  if (k->spec->rotate) rotate_group(k, vectors);
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
  ir_value_t total = ir_int(b, k->words, 0);
  for (int v = 0; v < count; v++) {
    ir_value_t scaled = ir_op(b, mulf, vectors[v], factors);
    ir_value_t rounded = ir_op(b, roundeven, scaled);
    ir_value_t words = ir_cast(b, fptosi, k->words, rounded);
    ir_value_t codes = ir_cast(b, trunci, ir_vector(b, IR_I8, k->lanes), words);
    ir_value_t at = ir_advance(b, to->codes, (int64_t)v * k->lanes);
    ir_store(b, codes, at, 0);
    total = ir_op(b, addi, total, words);
  }
  ir_value_t sum = ir_op(b, sum, total);
  ir_store(b, sum, to->sums, 0);
}

void quantize_pad(kernel_t *k, ir_value_t row) {
  int64_t Kp = (int64_t)hone_padded(k->spec->K), used = Kp + Kp / HONE_GROUP * 8;
  int64_t row_bytes = (int64_t)hone_row_bytes(HONE_Q8, k->spec->K);
  ir_value_t pad = ir_advance(k->b, row, used);
  zero_bytes(k, pad, row_bytes - used);
}

void emit_quantize(kernel_t *k) {
  ir_builder_t *b = k->b;
  int64_t groups = (int64_t)hone_padded(k->spec->K) / HONE_GROUP;
  ir_value_t x = kernel_pointer(k, 0), out = kernel_pointer(k, 1);
  ir_value_t per_row = ir_i64(b, groups), last = ir_i64(b, groups - 1);
  IR_FOR (b, unit, k->begin, k->end, k->one) {
    ir_value_t m = ir_op(b, divui, unit, per_row);
    ir_value_t group = ir_op(b, remui, unit, per_row);
    ir_value_t from =
        kernel_at(k, x, unit, HONE_GROUP * 4);  // f32 rows are whole groups, one after the other
    ir_value_t row = kernel_at(k, out, m, (int64_t)hone_row_bytes(HONE_Q8, k->spec->K));
    ir_value_t vectors[GROUP_VECTORS_LIMIT];
    for (int v = 0; v < HONE_GROUP / k->lanes; v++) {
      ir_value_t at = ir_advance(b, from, (int64_t)v * k->lanes * 4);
      vectors[v] = ir_load(b, k->reals, at, 0);
    }
    quantized_row_t to = quantized_row_at(k, row, group);
    quantize_group(k, vectors, &to);
    ir_value_t is_last = ir_op(b, eq, group, last);
    IR_IF (b, is_last) {
      quantize_pad(k, row);
    }
  }
}
