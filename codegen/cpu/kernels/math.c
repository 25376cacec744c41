// Vector arithmetic the families share: exp, activations, conversions, reductions by fixed trees.
// No memory but pieces.
//
// Nothing here carries fast-math flags, so LLVM keeps the order of every rounding: gemv and gemm,
// and any split of the work, give the same bits.
#include <mlir-c/BuiltinTypes.h>

#include "codegen/cpu/kernels/kernels.h"

static ir_type_t type_of(ir_value_t x) { return x.ptr ? mlirValueGetType(x) : (ir_type_t){0}; }

static int lanes_of(ir_value_t x) {
  return x.ptr ? (int)mlirShapedTypeGetDimSize(mlirValueGetType(x), 0) : 1;
}

static ir_value_t real_like(kernel_t *k, ir_value_t x, double value) {
  return x.ptr ? ir_real(k->b, type_of(x), value) : x;
}

ir_value_t math_max(kernel_t *k, ir_value_t x, ir_value_t y) {
  ir_value_t greater = ir_op(k->b, ogt, x, y);
  return ir_op(k->b, select, greater, x, y);
}

// exp by range reduction, x = n ln 2 + r, and a polynomial on |r| <= ln 2 / 2 (coefficients: Cephes
// expf, Moshier). n is found by adding 1.5 * 2^23, which leaves it in the low bits of the sum.
ir_value_t math_exp(kernel_t *k, ir_value_t x) {
  static const double coefficients[] = {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
                                        1.6666665459e-1, 5.0000001201e-1};
  const double low = -87.33, high = 88.37, magic = 12582912.0;
  ir_builder_t *b = k->b;
  ir_value_t lowest = real_like(k, x, low);
  ir_value_t highest = real_like(k, x, high);
  ir_value_t below = ir_op(b, olt, x, lowest);
  ir_value_t above = ir_op(b, ogt, x, highest);
  ir_value_t capped = ir_op(b, select, above, highest, x);
  ir_value_t clamped = ir_op(b, select, below, lowest, capped);

  ir_value_t log2e = real_like(k, x, 1.44269504088896341);
  ir_value_t shift = real_like(k, x, magic);
  ir_value_t shifted = ir_op(b, fma, clamped, log2e, shift);
  ir_value_t n = ir_op(b, subf, shifted, shift);
  ir_value_t minus_ln2_high = real_like(k, x, -0.693359375);
  ir_value_t minus_ln2_low = real_like(k, x, 2.12194440e-4);
  ir_value_t partly = ir_op(b, fma, n, minus_ln2_high, clamped);
  ir_value_t r = ir_op(b, fma, n, minus_ln2_low, partly);

  ir_value_t p = real_like(k, x, 1.9875691500e-4);
  for (size_t i = 0; i < sizeof coefficients / sizeof *coefficients; i++) {
    ir_value_t c = real_like(k, x, coefficients[i]);
    p = ir_op(b, fma, p, r, c);
  }
  ir_value_t square = ir_op(b, mulf, r, r);
  ir_value_t tail = ir_op(b, fma, p, square, r);
  ir_value_t unit = real_like(k, x, 1.0);
  ir_value_t y = ir_op(b, addf, tail, unit);

  ir_type_t integers = ir_vector(b, IR_I32, lanes_of(x));
  ir_value_t bits = ir_cast(b, recast, integers, shifted);
  ir_value_t places = ir_int(b, integers, 23);
  ir_value_t exponent = ir_op(b, shli, bits, places);
  ir_value_t bias = ir_int(b, integers, 127 << 23);
  ir_value_t biased = ir_op(b, addi, exponent, bias);
  ir_value_t power = ir_cast(b, recast, type_of(x), biased);
  ir_value_t result = ir_op(b, mulf, y, power);
  ir_value_t nothing = real_like(k, x, 0.0);
  return ir_op(b, select, below, nothing, result);
}

// x / (1 + exp(-z)): silu for z = x; the tanh form of gelu for z = 2 sqrt(2 / pi) (x + 0.044715
// x^3), since (1 + tanh u) / 2 = 1 / (1 + exp(-2 u)). relu2 is max(x, 0)^2.
ir_value_t math_activation(kernel_t *k, hone_activation_t activation, ir_value_t x) {
  ir_builder_t *b = k->b;
  if (activation == HONE_ACTIVATION_NONE) return x;
  if (activation == HONE_ACTIVATION_RELU2) {
    ir_value_t nothing = real_like(k, x, 0.0);
    ir_value_t positive = math_max(k, x, nothing);
    return ir_op(b, mulf, positive, positive);
  }
  ir_value_t z = x;
  if (activation == HONE_ACTIVATION_GELU_TANH) {
    ir_value_t square = ir_op(b, mulf, x, x);
    ir_value_t cubic = real_like(k, x, 0.044715);
    ir_value_t unit = real_like(k, x, 1.0);
    ir_value_t inner = ir_op(b, fma, square, cubic, unit);
    ir_value_t scaled = ir_op(b, mulf, x, inner);
    ir_value_t factor = real_like(k, x, 1.5957691216057308);
    z = ir_op(b, mulf, scaled, factor);
  }
  ir_value_t negative = ir_op(b, negf, z);
  ir_value_t e = math_exp(k, negative);
  ir_value_t unit = real_like(k, x, 1.0);
  ir_value_t below = ir_op(b, addf, e, unit);
  return ir_op(b, divf, x, below);
}

ir_value_t math_half(kernel_t *k, ir_value_t halves) {
  return ir_cast(k->b, extf, ir_vector(k->b, IR_REAL32, lanes_of(halves)), halves);
}

ir_value_t math_bfloat(kernel_t *k, ir_value_t shorts) {
  ir_builder_t *b = k->b;
  ir_type_t integers = ir_vector(b, IR_I32, lanes_of(shorts));
  ir_value_t wide = ir_cast(b, extui, integers, shorts);
  ir_value_t places = ir_int(b, integers, 16);
  ir_value_t shifted = ir_op(b, shli, wide, places);
  return ir_cast(b, recast, ir_vector(b, IR_REAL32, lanes_of(shorts)), shifted);
}

ir_value_t math_splat(kernel_t *k, ir_value_t scalar) {
  return ir_cast(k->b, broadcast, k->reals, scalar);
}

// The lower (part 0) or upper (part 1) half of every block of `block` lanes of x, then of y.
static ir_value_t half_blocks(kernel_t *k, ir_value_t x, ir_value_t y, int block, int part,
                              bool both) {
  int64_t lanes[32];
  size_t count = 0;
  int width = lanes_of(x);
  for (int i = 0; i < (both ? 2 * width : width); i++) {
    if (i % block / (block / 2) == part) lanes[count++] = i;
  }
  return ir_shuffle(k->b, x, y, count, lanes);
}

// Sums by a tree: the verb adds lanes.
static ir_value_t sums(kernel_t *k, const ir_value_t *vectors, int count, ir_verb_t add) {
  ir_value_t level[16];
  for (int i = 0; i < count; i++) level[i] = vectors[i];
  int block = lanes_of(vectors[0]);
  for (int rest = count; block > 1; block /= 2) {
    bool both =
        rest > 1;  // two vectors in, one of the same width out; at the end one in, half as wide out
    for (int i = 0; i < (both ? rest / 2 : 1); i++) {
      ir_value_t x = both ? level[2 * i] : level[0];
      ir_value_t y = both ? level[2 * i + 1] : level[0];
      ir_value_t lower = half_blocks(k, x, y, block, 0, both);
      ir_value_t upper = half_blocks(k, x, y, block, 1, both);
      level[i] = ir_op_emit(IR_AT(k->b), add, (const ir_value_t[]){lower, upper}, 2);
    }
    if (both) rest /= 2;
  }
  return level[0];
}

ir_value_t math_sums(kernel_t *k, const ir_value_t *vectors, int count) {
  return sums(k, vectors, count, IR_VERB_addf);
}

ir_value_t math_word_sums(kernel_t *k, const ir_value_t *vectors, int count) {
  return sums(k, vectors, count, IR_VERB_addi);
}

ir_value_t math_sum(kernel_t *k, ir_value_t x) {
  ir_value_t single = math_sums(k, &x, 1);
  return ir_lane(k->b, single, 0);
}

ir_value_t math_maximum(kernel_t *k, ir_value_t x) {
  for (int width = lanes_of(x); width > 1; width /= 2) {
    ir_value_t lower = half_blocks(k, x, x, width, 0, false);
    ir_value_t upper = half_blocks(k, x, x, width, 1, false);
    x = math_max(k, lower, upper);
  }
  return ir_lane(k->b, x, 0);
}

// ---- pieces
int piece_width(const kernel_t *k, int rest) {
  int width = k->lanes;
  while (width > rest) width /= 2;
  return width;
}

ir_type_t piece_type(const kernel_t *k, int width) { return ir_vector(k->b, IR_REAL32, width); }

void piece_store(kernel_t *k, ir_value_t value, ir_value_t pointer, hone_storage_t storage) {
  if (storage == HONE_F16)
    value = ir_cast(k->b, truncf, ir_vector(k->b, IR_F16, lanes_of(value)), value);
  ir_store(k->b, value, pointer, 0);
}

void zero_bytes(kernel_t *k, ir_value_t pointer, int64_t bytes) {
  for (int64_t done = 0; done < bytes;) {
    int width = piece_width(k, (int)((bytes - done) / 4));
    ir_value_t nothing = ir_real(k->b, piece_type(k, width), 0.0);
    ir_value_t at = ir_advance(k->b, pointer, done);
    ir_store(k->b, nothing, at, 2);
    done += (int64_t)width * 4;
  }
}
