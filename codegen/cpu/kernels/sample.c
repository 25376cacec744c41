// argmax and softmax over the vocabulary. Only the first K columns of a row count; the pads are not
// read as logits.
#include <math.h>

#include "codegen/cpu/kernels/kernels.h"

// Vector `v` lanes of the last, partly filled vector: lanes past K become `fill`.
static ir_value_t mask_tail(kernel_t *k, ir_value_t x, int64_t valid, double fill) {
  float below[16];
  for (int i = 0; i < 16; i++) below[i] = i < valid ? 1.0f : 0.0f;
  ir_value_t lanes = ir_floats(k->b, (size_t)k->lanes, below);
  ir_value_t nothing = ir_real(k->b, k->reals, 0.0);
  ir_value_t inside = ir_op(k->b, ogt, lanes, nothing);
  ir_value_t filler = ir_real(k->b, k->reals, fill);
  return ir_op(k->b, select, inside, x, filler);
}

// What happens to each vector of a row: `state` is loop-carried, `offset` the vector's byte offset
// (i64).
typedef void step_fn(kernel_t *k, ir_value_t x, ir_value_t offset, ir_value_t *state);

static void walk(kernel_t *k, ir_value_t row, double fill, step_fn *step, ir_value_t *state,
                 size_t count) {
  ir_builder_t *b = k->b;
  int64_t bytes = (int64_t)k->lanes * 4, K = k->spec->K;
  int64_t whole = K / k->lanes * bytes;
  ir_value_t end = ir_i64(b, whole), by = ir_i64(b, bytes);
  IR_FOR_CARRY (b, offset, k->zero, end, by, state, count) {
    ir_value_t at = ir_offset(b, row, offset);
    ir_value_t x = ir_load(b, k->reals, at, 0);
    step(k, x, offset, state);
  }
  if (K % k->lanes == 0) return;
  ir_value_t at = ir_advance(b, row, whole);
  ir_value_t x = ir_load(b, k->reals, at, 0);
  ir_value_t masked = mask_tail(k, x, K % k->lanes, fill);
  step(k, masked, end, state);
}

// state: best value per lane, its column per lane. Strictly greater: the lowest column wins.
static void step_argmax(kernel_t *k, ir_value_t x, ir_value_t offset, ir_value_t *state) {
  ir_builder_t *b = k->b;
  int32_t lane[16];
  for (int i = 0; i < 16; i++) lane[i] = i;
  ir_value_t four = ir_i64(b, 4);
  ir_value_t column = ir_op(b, divui, offset, four);
  ir_value_t narrow = ir_cast(b, trunci, k->i32, column);
  ir_value_t first = ir_cast(b, broadcast, k->words, narrow);
  ir_value_t lanes = ir_words(b, (size_t)k->lanes, lane);
  ir_value_t columns = ir_op(b, addi, first, lanes);
  ir_value_t greater = ir_op(b, ogt, x, state[0]);
  state[0] = ir_op(b, select, greater, x, state[0]);
  state[1] = ir_op(b, select, greater, columns, state[1]);
}

void emit_argmax(kernel_t *k) {
  ir_builder_t *b = k->b;
  ir_value_t logits = kernel_pointer(k, 0), out = kernel_pointer(k, 1);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t row = kernel_at(k, logits, m, (int64_t)hone_row_bytes(HONE_F32, k->spec->K));
    ir_value_t state[2];
    state[0] = ir_real(b, k->reals, -INFINITY);
    state[1] = ir_int(b, k->words, 0);
    walk(k, row, -INFINITY, step_argmax, state, 2);
    ir_value_t best = math_maximum(k, state[0]);
    ir_value_t bests = math_splat(k, best);
    ir_value_t equal = ir_op(b, oeq, state[0], bests);
    ir_value_t none = ir_int(b, k->words, INT32_MAX);
    ir_value_t columns = ir_op(b, select, equal, state[1], none);
    ir_value_t column = ir_op(b, minimum, columns);
    ir_value_t at = kernel_at(k, out, m, 4);
    ir_store(b, column, at, 0);
  }
}

// state: largest per lane; the factor
static void step_largest(kernel_t *k, ir_value_t x, ir_value_t offset, ir_value_t *state) {
  (void)offset;
  ir_value_t scaled = ir_op(k->b, mulf, x, state[1]);
  state[0] = math_max(k, scaled, state[0]);
}

// state: sum per lane; the factor; the largest; out row
static void step_exp(kernel_t *k, ir_value_t x, ir_value_t offset, ir_value_t *state) {
  ir_value_t scaled = ir_op(k->b, mulf, x, state[1]);
  ir_value_t below = ir_op(k->b, subf, scaled, state[2]);
  ir_value_t e = math_exp(k, below);
  ir_value_t at = ir_offset(k->b, state[3], offset);
  ir_store(k->b, e, at, 0);
  state[0] = ir_op(k->b, addf, state[0], e);
}

void emit_softmax(kernel_t *k) {
  ir_builder_t *b = k->b;
  int64_t row_bytes = (int64_t)hone_row_bytes(HONE_F32, k->spec->K), bytes = (int64_t)k->lanes * 4;
  int64_t used = ((int64_t)k->spec->K + k->lanes - 1) / k->lanes * bytes;
  ir_value_t logits = kernel_pointer(k, 0), out = kernel_pointer(k, 1);
  ir_value_t factor = kernel_scalar(k);
  ir_value_t factors = math_splat(k, factor);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t row = kernel_at(k, logits, m, row_bytes);
    ir_value_t to = kernel_at(k, out, m, row_bytes);
    ir_value_t state[4];
    state[0] = ir_real(b, k->reals, -INFINITY);
    state[1] = factors;
    walk(k, row, -INFINITY, step_largest, state, 2);
    ir_value_t largest = math_maximum(k, state[0]);
    state[0] = ir_real(b, k->reals, 0.0);
    state[1] = factors;
    state[2] = math_splat(k, largest);
    state[3] = to;
    walk(k, row, -INFINITY, step_exp, state, 4);
    ir_value_t total = math_sum(k, state[0]);
    ir_value_t totals = math_splat(k, total);
    ir_value_t end = ir_i64(b, used), by = ir_i64(b, bytes);
    IR_FOR (b, offset, k->zero, end, by) {
      ir_value_t at = ir_offset(b, to, offset);
      ir_value_t e = ir_load(b, k->reals, at, 0);
      ir_value_t p = ir_op(b, divf, e, totals);
      ir_store(b, p, at, 0);
    }
    ir_value_t pad = ir_advance(b, to, used);
    zero_bytes(k, pad, row_bytes - used);
  }
}
