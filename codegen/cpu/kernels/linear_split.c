// gemv and flat with columns split among units: a part adds up its folds and keeps each sum; the
// part of a unit that is done last adds them in order and makes the outputs, so no launch more is
// needed and the bits are those of one unit for all columns. It is found by a counter, which it
// sets to zero for the next launch.
#include "codegen/cpu/kernels/linear.h"

static int64_t folds_of(const linear_t *l) { return (int64_t)hone_fold_count(l->k->spec->K); }

// Where the sums of fold `fold` of a block's token `t` are; those of its vectors follow each other.
static ir_value_t sums_at(linear_t *l, const linear_block_t *block, ir_value_t fold, int t) {
  kernel_t *k = l->k;
  int64_t row_bytes = l->weight.tiles * HONE_TILE_ROWS * 4;
  ir_value_t m = kernel_plus(k, block->m, t);
  ir_value_t sums = ir_advance(k->b, l->parts, (int64_t)hone_parts_counters_bytes(k->spec->N));
  ir_value_t row = kernel_at(k, sums, m, folds_of(l) * row_bytes);
  ir_value_t of_fold = kernel_at(k, row, fold, row_bytes);
  ir_value_t tile = kernel_at(k, of_fold, block->tile, HONE_TILE_ROWS * 4);
  return ir_advance(k->b, tile, (int64_t)block->first * k->lanes * 4);
}

static ir_value_t unit_of(linear_t *l, ir_value_t part) {
  ir_value_t split = ir_i64(l->k->b, l->split);
  return ir_op(l->k->b, divui, part, split);
}

// First fold of the part that is number `index` of its unit.
static ir_value_t fold_begin(linear_t *l, ir_value_t index) {
  ir_value_t split = ir_i64(l->k->b, l->split), product = kernel_times(l->k, index, folds_of(l));
  return ir_op(l->k->b, divui, product, split);
}

static void unit_tiles(linear_t *l, ir_value_t unit, ir_value_t *out_low, ir_value_t *out_high) {
  ir_builder_t *b = l->k->b;
  ir_value_t all = ir_i64(b, l->weight.tiles);
  *out_low = kernel_times(l->k, unit, l->unit_tiles);
  ir_value_t past = kernel_plus(l->k, *out_low, l->unit_tiles);
  *out_high = ir_op(b, minsi, past, all);
}

static void add_block(linear_t *l, const linear_block_t *block, ir_value_t begin, ir_value_t end) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t groups = ir_i64(b, l->weight.groups);
  IR_FOR (b, fold, begin, end, k->one) {
    ir_value_t acc[ACCUMULATORS_LIMIT], from = kernel_times(k, fold, HONE_FOLD);
    ir_value_t next = kernel_plus(k, from, HONE_FOLD), to = ir_op(b, minsi, next, groups);
    linear_sum(l, block, from, to, acc);
    for (int t = 0; t < block->tokens; t++) {
      ir_value_t sums = sums_at(l, block, fold, t);
      for (int v = 0; v < l->vectors; v++) {
        ir_value_t at = ir_advance(b, sums, (int64_t)v * k->lanes * 4);
        ir_store(b, acc[v * block->tokens + t], at, 0);
      }
    }
  }
}

void linear_split_add(linear_t *l, ir_value_t part, ir_value_t m, int tokens) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t split = ir_i64(b, l->split), step = ir_i64(b, l->tiles), low, high;
  ir_value_t index = ir_op(b, remui, part, split), after = kernel_plus(k, index, 1);
  ir_value_t begin = fold_begin(l, index), end = fold_begin(l, after), unit = unit_of(l, part);
  unit_tiles(l, unit, &low, &high);
  IR_FOR (b, tile, low, high, step) {
    FOR_TURNS(l, first) {
      linear_block_t block = {tile, m, first, tokens};
      add_block(l, &block, begin, end);
    }
  }
}

// Outputs of token `block->m`.
static void finish_block(linear_t *l, const linear_block_t *block) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t total[VECTORS_LIMIT], folds = ir_i64(b, folds_of(l));
  for (int v = 0; v < l->vectors; v++) total[v] = ir_real(b, k->reals, 0.0);
  IR_FOR_CARRY (b, fold, k->zero, folds, k->one, total, (size_t)l->vectors) {
    ir_value_t sums = sums_at(l, block, fold, 0);
    for (int v = 0; v < l->vectors; v++) {
      ir_value_t at = ir_advance(b, sums, (int64_t)v * k->lanes * 4);
      ir_value_t sum = ir_load(b, k->reals, at, 0);
      total[v] = ir_op(b, addf, total[v], sum);
    }
  }
  linear_finish(l, block, total);
}

static void finish_unit(linear_t *l, ir_value_t unit, ir_value_t M) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  ir_value_t step = ir_i64(b, l->tiles), low, high;
  unit_tiles(l, unit, &low, &high);
  IR_FOR (b, m, k->zero, M, k->one) {
    ir_value_t next = kernel_plus(k, m, 1);
    linear_unit_begin(l, unit, m, next);
    IR_FOR (b, tile, low, high, step) {
      FOR_TURNS(l, first) {
        linear_block_t block = {tile, m, first, 1};
        finish_block(l, &block);
      }
    }
    linear_unit_end(l, unit, m, next);
  }
}

void linear_split_end(linear_t *l, ir_value_t part, ir_value_t M) {
  kernel_t *k = l->k;
  ir_builder_t *b = k->b;
  if (l->split <= 1) return;
  ir_value_t unit = unit_of(l, part);
  ir_value_t counter = kernel_at(k, l->parts, unit, HONE_COUNTER_BYTES);
  ir_value_t before = ir_op(b, fetch_add, counter, k->one);
  ir_value_t others = ir_i64(b, l->split - 1), is_last = ir_op(b, eq, before, others);
  IR_IF (b, is_last) {
    ir_store(b, k->zero, counter, 8);
    finish_unit(l, unit, M);
  }
}
