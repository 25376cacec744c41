// Scores of one step of the cache: a small matrix product with keys along the lanes, as the cache
// holds them. It takes a block of rows at a time, so that an element of the cache is converted once
// for all of them; every row's sums run in the order of head_dim, whatever the block.
#include "codegen/cpu/kernels/attend.h"

int attend_span(const attend_t *a) { return ATTEND_VECTORS * a->k->lanes; }

// Vector `part` of a span's keys is in block part * lanes / 16.
static ir_value_t key_part(attend_t *a, ir_value_t span_keys, int part) {
  int key = part * a->k->lanes;
  int64_t bytes = key / HONE_CACHE_BLOCK * a->cache.block_bytes +
                  (int64_t)(key % HONE_CACHE_BLOCK) * a->cache.item;
  return ir_advance(a->k->b, span_keys, bytes);
}

ir_value_t attend_scales(attend_t *a, ir_value_t span_blocks, int part) {
  int key = part * a->k->lanes;
  int64_t bytes = key / HONE_CACHE_BLOCK * a->cache.block_bytes + a->cache.scales +
                  (int64_t)(key % HONE_CACHE_BLOCK) * 4;
  ir_value_t at = ir_advance(a->k->b, span_blocks, bytes);
  return ir_load(a->k->b, a->k->reals, at, 4);
}

// Row d of a span's keys; from the tile's f32 copy (D, span) if it has one.
static ir_value_t load_keys(attend_t *a, ir_value_t from, int part, ir_value_t d, int ahead,
                            bool widened) {
  kernel_t *k = a->k;
  if (widened) {
    ir_value_t row = kernel_at(k, from, d, (int64_t)attend_span(a) * 4);
    ir_value_t at = ir_advance(k->b, row, ((int64_t)ahead * attend_span(a) + part * k->lanes) * 4);
    return ir_load(k->b, k->reals, at, 4);
  }
  int64_t row_bytes = (int64_t)HONE_CACHE_BLOCK * a->cache.item;
  ir_value_t row = kernel_at(k, from, d, row_bytes);
  ir_value_t moved = ir_advance(k->b, row, ahead * row_bytes);
  ir_value_t at = key_part(a, moved, part);
  return cache_load(k, at);
}

static void widen_keys(attend_t *a, ir_value_t from) {
  kernel_t *k = a->k;
  ir_value_t D = ir_i64(k->b, a->D);
  IR_FOR (k->b, d, k->zero, D, k->one) {
    ir_value_t to = kernel_at(k, a->wide, d, (int64_t)attend_span(a) * 4);
    for (int part = 0; part < ATTEND_VECTORS; part++) {
      ir_value_t keys = load_keys(a, from, part, d, 0, false);
      attend_put(a, keys, to, part);
    }
  }
}

static void score_rows(attend_t *a, ir_value_t row, ir_value_t keys, ir_value_t blocks,
                       ir_value_t first_key) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t sums[ATTEND_BLOCK_LIMIT * ATTEND_VECTORS];
  size_t count = (size_t)a->block * ATTEND_VECTORS;
  int unroll = a->D % 4 ? 2 : 4;
  ir_value_t queries = attend_row(a, a->queries, row, a->D);
  ir_value_t D = ir_i64(b, a->D), trip = ir_i64(b, unroll);
  for (size_t i = 0; i < count; i++) sums[i] = ir_real(b, k->reals, 0.0);
  IR_FOR_CARRY (b, d, k->zero, D, trip, sums, count) {
    ir_value_t at = kernel_at(k, queries, d, 4);
    for (int u = 0; u < unroll; u++) {
      ir_value_t parts[ATTEND_VECTORS];
      for (int p = 0; p < ATTEND_VECTORS; p++) parts[p] = load_keys(a, keys, p, d, u, a->widens);
      for (int r = 0; r < a->block; r++) {
        ir_value_t q = attend_splat(a, at, ((int64_t)r * a->D + u) * 4);
        for (int p = 0; p < ATTEND_VECTORS; p++) {
          ir_value_t *sum = &sums[r * ATTEND_VECTORS + p];
          *sum = ir_op(b, fma, q, parts[p], *sum);
        }
      }
    }
  }
  ir_value_t to = attend_row(a, a->scores, row, ATTEND_STEP);
  ir_value_t at = kernel_at(k, to, first_key, 4);
  for (int p = 0; p < ATTEND_VECTORS; p++) {
    ir_value_t scales = a->cache.has_scales ? attend_scales(a, blocks, p) : k->zero;
    for (int r = 0; r < a->block; r++) {
      ir_value_t sum = sums[r * ATTEND_VECTORS + p];
      if (a->cache.has_scales) sum = ir_op(b, mulf, sum, scales);
      attend_put(a, sum, at, (int64_t)r * ATTEND_STEP / k->lanes + p);
    }
  }
}

void attend_scores(attend_t *a, const tile_t *tile, ir_value_t blocks, ir_value_t keys) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t trip = ir_i64(b, attend_span(a)), block = ir_i64(b, a->block);
  IR_FOR (b, key, k->zero, keys, trip) {
    ir_value_t in_block = ir_i64(b, HONE_CACHE_BLOCK);
    ir_value_t index = ir_op(b, divui, key, in_block);
    ir_value_t from = kernel_at(k, blocks, index, a->cache.block_bytes);
    if (a->widens) widen_keys(a, from);
    IR_FOR (b, row, k->zero, tile->row_count, block) {
      score_rows(a, row, a->widens ? a->wide : from, from, key);
    }
  }
}
