// Sums of weighted values of one step: a small matrix product with columns along the lanes. It
// takes a block of rows at a time, so that an element of the cache is converted once for all of
// them; every row's sums run in the order of the keys, whatever the block.
#include "codegen/cpu/kernels/attend.h"

enum { KEY_UNROLL = 4 };

typedef struct columns {
  int vectors;       // of a register block
  ir_value_t first;  // column, i64
} columns_t;

// Values of the key whose row is `row`: of a block, or of the tile's f32 copy (ATTEND_STEP,
// columns).
static ir_value_t load_values(attend_t *a, ir_value_t row, int vector, bool widened) {
  kernel_t *k = a->k;
  if (widened) return attend_load(a, row, vector);
  int column = vector * k->lanes;
  int64_t elements = (int64_t)column / HONE_CACHE_BLOCK * HONE_CACHE_BLOCK * HONE_CACHE_BLOCK +
                     column % HONE_CACHE_BLOCK;
  ir_value_t at = ir_advance(k->b, row, elements * a->cache.item);
  return cache_load(k, at);
}

static ir_value_t value_row(attend_t *a, const columns_t *c, ir_value_t blocks, ir_value_t block,
                            ir_value_t slot) {
  kernel_t *k = a->k;
  ir_value_t at = kernel_at(k, blocks, block, a->cache.block_bytes);
  ir_value_t group = kernel_at(k, at, c->first, (int64_t)HONE_CACHE_BLOCK * a->cache.item);
  return kernel_at(k, group, slot, (int64_t)HONE_CACHE_BLOCK * a->cache.item);
}

static ir_value_t wide_row(attend_t *a, const columns_t *c, ir_value_t key) {
  return kernel_at(a->k, a->wide, key, (int64_t)c->vectors * a->k->lanes * 4);
}

static void widen_values(attend_t *a, const columns_t *c, ir_value_t blocks, ir_value_t keys) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t in_block = ir_i64(b, HONE_CACHE_BLOCK);
  IR_FOR (b, key, k->zero, keys, k->one) {
    ir_value_t block = ir_op(b, divui, key, in_block);
    ir_value_t slot = ir_op(b, remui, key, in_block);
    ir_value_t from = value_row(a, c, blocks, block, slot);
    ir_value_t to = wide_row(a, c, key);
    for (int v = 0; v < c->vectors; v++) {
      ir_value_t value = load_values(a, from, v, false);
      attend_put(a, value, to, v);
    }
  }
}

// Keys [low, high) of a run whose rows lie at `from` and whose weights of the block's first row at
// `weights`, `unroll` per trip.
static void add_keys(attend_t *a, const columns_t *c, ir_value_t from, ir_value_t weights,
                     ir_value_t low, ir_value_t high, int unroll, ir_value_t *sums) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  int64_t stride =
      a->widens ? (int64_t)c->vectors * k->lanes * 4 : (int64_t)HONE_CACHE_BLOCK * a->cache.item;
  ir_value_t trip = ir_i64(b, unroll);
  IR_FOR_CARRY (b, key, low, high, trip, sums, (size_t)(a->block * c->vectors)) {
    ir_value_t rows = kernel_at(k, from, key, stride);
    ir_value_t at = kernel_at(k, weights, key, 4);
    for (int u = 0; u < unroll; u++) {
      ir_value_t values[ATTEND_VECTORS];
      ir_value_t row = ir_advance(b, rows, u * stride);
      for (int v = 0; v < c->vectors; v++) values[v] = load_values(a, row, v, a->widens);
      for (int r = 0; r < a->block; r++) {
        ir_value_t weight = attend_splat(a, at, ((int64_t)r * ATTEND_STEP + u) * 4);
        for (int v = 0; v < c->vectors; v++) {
          ir_value_t *sum = &sums[r * c->vectors + v];
          *sum = ir_op(b, fma, weight, values[v], *sum);
        }
      }
    }
  }
}

// A run of `count` keys: whole trips, then one by one, for later keys may hold anything.
static void add_run(attend_t *a, const columns_t *c, ir_value_t from, ir_value_t weights,
                    ir_value_t count, ir_value_t *sums) {
  ir_builder_t *b = a->k->b;
  ir_value_t trip = ir_i64(b, KEY_UNROLL);
  ir_value_t trips = ir_op(b, divui, count, trip);
  ir_value_t whole = ir_op(b, muli, trips, trip);
  add_keys(a, c, from, weights, a->k->zero, whole, KEY_UNROLL, sums);
  add_keys(a, c, from, weights, whole, count, 1, sums);
}

static void add_values(attend_t *a, const columns_t *c, ir_value_t row, ir_value_t blocks,
                       ir_value_t keys) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t sums[ATTEND_BLOCK_LIMIT * ATTEND_VECTORS];
  ir_value_t rows = attend_row(a, a->sums, row, a->columns);
  ir_value_t to = kernel_at(k, rows, c->first, 4);
  ir_value_t shrinks = attend_row(a, a->shrinks, row, k->lanes);
  ir_value_t weights = attend_row(a, a->scores, row, ATTEND_STEP);
  for (int r = 0; r < a->block; r++) {
    ir_value_t shrink = a->is_unified ? (ir_value_t){0} : attend_load(a, shrinks, r);
    for (int v = 0; v < c->vectors; v++) {
      ir_value_t old = attend_load(a, to, (int64_t)r * a->columns / k->lanes + v);
      sums[r * c->vectors + v] = a->is_unified ? old : ir_op(b, mulf, old, shrink);
    }
  }
  if (a->widens) {
    add_run(a, c, a->wide, weights, keys, sums);
  } else {
    ir_value_t in_block = ir_i64(b, HONE_CACHE_BLOCK);
    IR_FOR_CARRY (b, key, k->zero, keys, in_block, sums, (size_t)(a->block * c->vectors)) {
      ir_value_t block = ir_op(b, divui, key, in_block);
      ir_value_t rest = ir_op(b, subi, keys, key);
      ir_value_t count = ir_op(b, minsi, rest, in_block);
      ir_value_t from = value_row(a, c, blocks, block, k->zero);
      ir_value_t at = kernel_at(k, weights, key, 4);
      add_run(a, c, from, at, count, sums);
    }
  }
  for (int r = 0; r < a->block; r++) {
    for (int v = 0; v < c->vectors; v++)
      attend_put(a, sums[r * c->vectors + v], to, (int64_t)r * a->columns / k->lanes + v);
  }
}

static void add_columns(attend_t *a, const tile_t *tile, const columns_t *c, ir_value_t blocks,
                        ir_value_t keys) {
  kernel_t *k = a->k;
  ir_value_t block = ir_i64(k->b, a->block);
  if (a->widens) widen_values(a, c, blocks, keys);
  IR_FOR (k->b, row, k->zero, tile->row_count, block) {
    add_values(a, c, row, blocks, keys);
  }
}

void attend_values(attend_t *a, const tile_t *tile, ir_value_t blocks, ir_value_t keys) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  int wide = ATTEND_VECTORS * k->lanes, whole = a->columns / wide * wide;
  ir_value_t end = ir_i64(b, whole), trip = ir_i64(b, wide);
  if (whole) {
    IR_FOR (b, first, k->zero, end, trip) {
      columns_t c = {.vectors = ATTEND_VECTORS, .first = first};
      add_columns(a, tile, &c, blocks, keys);
    }
  }
  if (whole < a->columns) {
    columns_t c = {.vectors = (a->columns - whole) / k->lanes, .first = end};
    add_columns(a, tile, &c, blocks, keys);
  }
}
