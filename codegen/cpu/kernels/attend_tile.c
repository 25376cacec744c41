// One tile of attention over one step of the cache. Scores are a small matrix product with keys
// along the lanes (the cache holds keys that way), weighted values one with columns along the
// lanes; both take a block of rows at a time, so that an element of the cache is converted once
// for all of them. Every row's sums run in the order of head_dim and of the keys, whatever the
// block: tiles of any size give the same bits.
//
// Keys that a row may not see get weight exactly 0, so that a step without any leaves it as it was.
#include "codegen/cpu/kernels/attend.h"

enum { BLOCK_VECTORS = 2, BLOCK_ROWS_LIMIT = 8, KEY_UNROLL = 4 };

// Finite, so that differences are never NaN. A hidden key is below any peak: its weight is 0.
static const double lowest_peak = -1e29, hidden_score = -1e30;

static int span(const attend_t *a) { return BLOCK_VECTORS * a->k->lanes; }  // keys of a block

static ir_value_t stack_row(attend_t *a, ir_value_t base, ir_value_t row, int64_t floats) {
  return kernel_at(a->k, base, row, floats * 4);
}

static ir_value_t load_reals(attend_t *a, ir_value_t base, int64_t vector) {
  ir_value_t at = ir_advance(a->k->b, base, vector * a->k->lanes * 4);
  return ir_load(a->k->b, a->k->reals, at, 4);
}

static void store_reals(attend_t *a, ir_value_t value, ir_value_t base, int64_t vector) {
  ir_value_t at = ir_advance(a->k->b, base, vector * a->k->lanes * 4);
  ir_store(a->k->b, value, at, 4);
}

static ir_value_t load_splat(attend_t *a, ir_value_t base, int64_t bytes) {
  ir_value_t at = ir_advance(a->k->b, base, bytes);
  ir_value_t item = ir_load(a->k->b, a->k->real, at, 0);
  return math_splat(a->k, item);
}

static ir_value_t round_up(attend_t *a, ir_value_t x, int64_t multiple) {
  ir_value_t size = ir_i64(a->k->b, multiple);
  ir_value_t up = kernel_plus(a->k, x, multiple - 1);
  ir_value_t count = ir_op(a->k->b, divui, up, size);
  return ir_op(a->k->b, muli, count, size);
}

// ---- the cache, as vectors of f32

// Vector `part` of a span's keys is in block part * lanes / 16.
static ir_value_t key_part(attend_t *a, ir_value_t span_keys, int part) {
  int key = part * a->k->lanes;
  int64_t bytes = key / HONE_CACHE_BLOCK * a->cache.block_bytes +
                  (int64_t)(key % HONE_CACHE_BLOCK) * a->cache.item;
  return ir_advance(a->k->b, span_keys, bytes);
}

static ir_value_t part_scales(attend_t *a, ir_value_t span_blocks, int part) {
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
    ir_value_t row = kernel_at(k, from, d, (int64_t)span(a) * 4);
    ir_value_t at = ir_advance(k->b, row, ((int64_t)ahead * span(a) + part * k->lanes) * 4);
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
    ir_value_t to = kernel_at(k, a->wide, d, (int64_t)span(a) * 4);
    for (int part = 0; part < BLOCK_VECTORS; part++) {
      ir_value_t keys = load_keys(a, from, part, d, 0, false);
      store_reals(a, keys, to, part);
    }
  }
}

// ---- scores = q . k

static void score_rows(attend_t *a, ir_value_t row, ir_value_t keys, ir_value_t blocks,
                       ir_value_t first_key) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t sums[BLOCK_ROWS_LIMIT * BLOCK_VECTORS];
  size_t count = (size_t)a->block * BLOCK_VECTORS;
  int unroll = a->D % 4 ? 2 : 4;
  ir_value_t queries = stack_row(a, a->queries, row, a->D);
  ir_value_t D = ir_i64(b, a->D), trip = ir_i64(b, unroll);
  for (size_t i = 0; i < count; i++) sums[i] = ir_real(b, k->reals, 0.0);
  IR_FOR_CARRY (b, d, k->zero, D, trip, sums, count) {
    ir_value_t at = kernel_at(k, queries, d, 4);
    for (int u = 0; u < unroll; u++) {
      ir_value_t parts[BLOCK_VECTORS];
      for (int p = 0; p < BLOCK_VECTORS; p++) parts[p] = load_keys(a, keys, p, d, u, a->widens);
      for (int r = 0; r < a->block; r++) {
        ir_value_t q = load_splat(a, at, ((int64_t)r * a->D + u) * 4);
        for (int p = 0; p < BLOCK_VECTORS; p++) {
          ir_value_t *sum = &sums[r * BLOCK_VECTORS + p];
          *sum = ir_op(b, fma, q, parts[p], *sum);
        }
      }
    }
  }
  ir_value_t to = stack_row(a, a->scores, row, ATTEND_STEP);
  ir_value_t at = kernel_at(k, to, first_key, 4);
  for (int p = 0; p < BLOCK_VECTORS; p++) {
    ir_value_t scales = a->cache.has_scales ? part_scales(a, blocks, p) : k->zero;
    for (int r = 0; r < a->block; r++) {
      ir_value_t sum = sums[r * BLOCK_VECTORS + p];
      if (a->cache.has_scales) sum = ir_op(b, mulf, sum, scales);
      store_reals(a, sum, at, (int64_t)r * ATTEND_STEP / k->lanes + p);
    }
  }
}

static void score_step(attend_t *a, const tile_t *tile, ir_value_t blocks, ir_value_t keys) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t trip = ir_i64(b, span(a)), block = ir_i64(b, a->block);
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

// ---- weights = exp(score - peak)

// The keys a row sees, as bounds relative to the step: [first, last].
typedef struct view {
  ir_value_t first, last;  // splat i32
} view_t;

static view_t view_of(attend_t *a, const tile_t *tile, ir_value_t row, ir_value_t start) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  view_t view = {0};
  ir_value_t heads = ir_i64(b, a->heads);
  ir_value_t token = ir_op(b, divui, row, heads);
  ir_value_t m = ir_op(b, addi, tile->from, token);
  ir_value_t position = ir_op(b, addi, a->position, m);
  ir_value_t last = ir_op(b, subi, position, start);
  ir_value_t narrow = ir_cast(b, trunci, k->i32, last);
  view.last = ir_cast(b, broadcast, k->words, narrow);
  if (!k->spec->window) return view;
  ir_value_t first = kernel_plus(k, last, 1 - (int64_t)k->spec->window);
  ir_value_t low = ir_cast(b, trunci, k->i32, first);
  view.first = ir_cast(b, broadcast, k->words, low);
  return view;
}

// Which of the keys key .. key + lanes the row sees: i1 per lane.
static ir_value_t visible(attend_t *a, const view_t *view, ir_value_t key, int part) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  int32_t lane[16];
  for (int i = 0; i < 16; i++) lane[i] = part * k->lanes + i;
  ir_value_t narrow = ir_cast(b, trunci, k->i32, key);
  ir_value_t base = ir_cast(b, broadcast, k->words, narrow);
  ir_value_t lanes = ir_words(b, (size_t)k->lanes, lane);
  ir_value_t keys = ir_op(b, addi, base, lanes);
  ir_value_t inside = ir_op(b, sle, keys, view->last);
  if (!k->spec->window) return inside;
  ir_value_t not_before = ir_op(b, sge, keys, view->first);
  return ir_op(b, andi, inside, not_before);
}

// Hides what the row does not see and gives the largest score of the step and before, splat.
static ir_value_t new_peak(attend_t *a, const view_t *view, ir_value_t scores, ir_value_t keys,
                           ir_value_t peak) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t hidden = ir_real(b, k->reals, hidden_score), trip = ir_i64(b, span(a));
  ir_value_t largest[BLOCK_VECTORS];
  for (int p = 0; p < BLOCK_VECTORS; p++) largest[p] = peak;
  IR_FOR_CARRY (b, key, k->zero, keys, trip, largest, BLOCK_VECTORS) {
    ir_value_t at = kernel_at(k, scores, key, 4);
    for (int p = 0; p < BLOCK_VECTORS; p++) {
      ir_value_t inside = visible(a, view, key, p);
      ir_value_t raw = load_reals(a, at, p);
      ir_value_t score = ir_op(b, select, inside, raw, hidden);
      store_reals(a, score, at, p);
      largest[p] = math_max(k, score, largest[p]);
    }
  }
  for (int p = 1; p < BLOCK_VECTORS; p++) largest[0] = math_max(k, largest[p], largest[0]);
  ir_value_t top = math_maximum(k, largest[0]);
  return math_splat(k, top);
}

// Scores to weights; gives their sum per lane, added to `total`. Those of q8 values take in the
// values' scales, which hidden keys may not have.
static ir_value_t weigh(attend_t *a, ir_value_t scores, ir_value_t keys, ir_value_t peak,
                        ir_value_t values, ir_value_t total) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t trip = ir_i64(b, span(a)), in_block = ir_i64(b, HONE_CACHE_BLOCK);
  ir_value_t lowest = ir_real(b, k->reals, lowest_peak), nothing = ir_real(b, k->reals, 0.0);
  IR_FOR_CARRY (b, key, k->zero, keys, trip, &total, 1) {
    ir_value_t at = kernel_at(k, scores, key, 4);
    ir_value_t index = ir_op(b, divui, key, in_block);
    ir_value_t blocks = kernel_at(k, values, index, a->cache.block_bytes);
    for (int p = 0; p < BLOCK_VECTORS; p++) {
      ir_value_t score = load_reals(a, at, p);
      ir_value_t below = ir_op(b, subf, score, peak);
      ir_value_t weight = math_exp(k, below);
      total = ir_op(b, addf, total, weight);
      if (a->cache.has_scales) {
        ir_value_t scales = part_scales(a, blocks, p);
        ir_value_t inside = ir_op(b, ogt, score, lowest);
        ir_value_t known = ir_op(b, select, inside, scales, nothing);
        weight = ir_op(b, mulf, weight, known);
      }
      store_reals(a, weight, at, p);
    }
  }
  return total;
}

static void weigh_step(attend_t *a, const tile_t *tile, ir_value_t start, ir_value_t keys,
                       ir_value_t values) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  IR_FOR (b, row, k->zero, tile->row_count, k->one) {
    view_t view = view_of(a, tile, row, start);
    ir_value_t scores = stack_row(a, a->scores, row, ATTEND_STEP);
    ir_value_t peak_at = stack_row(a, a->peaks, row, k->lanes);
    ir_value_t total_at = stack_row(a, a->totals, row, k->lanes);
    ir_value_t shrink_at = stack_row(a, a->shrinks, row, k->lanes);
    ir_value_t before = load_reals(a, peak_at, 0);
    ir_value_t peak = new_peak(a, &view, scores, keys, before);
    ir_value_t drop = ir_op(b, subf, before, peak);
    ir_value_t shrink = math_exp(k, drop);
    ir_value_t old = load_reals(a, total_at, 0);
    ir_value_t kept = ir_op(b, mulf, old, shrink);
    ir_value_t total = weigh(a, scores, keys, peak, values, kept);
    store_reals(a, peak, peak_at, 0);
    store_reals(a, total, total_at, 0);
    store_reals(a, shrink, shrink_at, 0);
  }
}

// ---- sums += weights . values

typedef struct columns {
  int vectors;       // of a register block
  ir_value_t first;  // column, i64
} columns_t;

// Values of key `slot` of a block, or of the tile's f32 copy (ATTEND_STEP, columns).
static ir_value_t load_values(attend_t *a, const columns_t *c, ir_value_t row, int vector,
                              bool widened) {
  kernel_t *k = a->k;
  if (widened) return load_reals(a, row, vector);
  int column = vector * k->lanes;
  int64_t elements = (int64_t)column / HONE_CACHE_BLOCK * HONE_CACHE_BLOCK * HONE_CACHE_BLOCK +
                     column % HONE_CACHE_BLOCK;
  ir_value_t at = ir_advance(k->b, row, elements * a->cache.item);
  (void)c;
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
      ir_value_t value = load_values(a, c, from, v, false);
      store_reals(a, value, to, v);
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
      ir_value_t values[BLOCK_VECTORS];
      ir_value_t row = ir_advance(b, rows, u * stride);
      for (int v = 0; v < c->vectors; v++) values[v] = load_values(a, c, row, v, a->widens);
      for (int r = 0; r < a->block; r++) {
        ir_value_t weight = load_splat(a, at, ((int64_t)r * ATTEND_STEP + u) * 4);
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
  ir_value_t sums[BLOCK_ROWS_LIMIT * BLOCK_VECTORS];
  ir_value_t rows = stack_row(a, a->sums, row, a->columns);
  ir_value_t to = kernel_at(k, rows, c->first, 4);
  ir_value_t shrinks = stack_row(a, a->shrinks, row, k->lanes);
  ir_value_t weights = stack_row(a, a->scores, row, ATTEND_STEP);
  for (int r = 0; r < a->block; r++) {
    ir_value_t shrink = load_reals(a, shrinks, r);
    for (int v = 0; v < c->vectors; v++) {
      ir_value_t old = load_reals(a, to, (int64_t)r * a->columns / k->lanes + v);
      sums[r * c->vectors + v] = ir_op(b, mulf, old, shrink);
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
      store_reals(a, sums[r * c->vectors + v], to, (int64_t)r * a->columns / k->lanes + v);
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

static void add_step(attend_t *a, const tile_t *tile, ir_value_t blocks, ir_value_t keys) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  int wide = BLOCK_VECTORS * k->lanes, whole = a->columns / wide * wide;
  ir_value_t end = ir_i64(b, whole), trip = ir_i64(b, wide);
  if (whole) {
    IR_FOR (b, first, k->zero, end, trip) {
      columns_t c = {.vectors = BLOCK_VECTORS, .first = first};
      add_columns(a, tile, &c, blocks, keys);
    }
  }
  if (whole < a->columns) {
    columns_t c = {.vectors = (a->columns - whole) / k->lanes, .first = end};
    add_columns(a, tile, &c, blocks, keys);
  }
}

void attend_step(attend_t *a, const tile_t *tile, ir_value_t start, ir_value_t end) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t in_block = ir_i64(b, HONE_CACHE_BLOCK), most = ir_i64(b, ATTEND_STEP);
  ir_value_t index = ir_op(b, divui, start, in_block);
  ir_value_t key_blocks = kernel_at(k, tile->keys, index, a->cache.block_bytes);
  ir_value_t value_blocks = kernel_at(k, tile->values, index, a->cache.block_bytes);
  ir_value_t rest = ir_op(b, subi, end, start);
  ir_value_t keys = ir_op(b, minsi, rest, most);
  ir_value_t spans = round_up(a, keys, span(a));
  score_step(a, tile, key_blocks, spans);
  weigh_step(a, tile, start, spans, value_blocks);
  add_step(a, tile, value_blocks, keys);
}

// ---- begin and end

// The query of a token's head, times the score scale.
static void load_query(attend_t *a, ir_value_t from, ir_value_t to) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  for (int i = 0; i < a->D;) {
    int width = piece_width(k, a->D - i);
    ir_value_t at = ir_advance(b, from, i * 4);
    ir_value_t q = ir_load(b, piece_type(k, width), at, 0);
    ir_value_t scale = ir_real(b, piece_type(k, width), (double)k->spec->scale);
    ir_value_t scaled = ir_op(b, mulf, q, scale);
    ir_value_t into = ir_advance(b, to, i * 4);
    ir_store(b, scaled, into, 0);
    i += width;
  }
}

void attend_begin(attend_t *a, const tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t lowest = ir_real(b, k->reals, lowest_peak), nothing = ir_real(b, k->reals, 0.0);
  ir_value_t heads = ir_i64(b, a->heads);
  ir_value_t last_head = kernel_plus(k, tile->head_count, -1);
  ir_value_t last_token = kernel_plus(k, tile->count, -1);
  IR_FOR (b, row, k->zero, tile->row_count, k->one) {
    // Rows that pad a block, and heads past the last one, repeat others; nobody stores them.
    ir_value_t token = ir_op(b, divui, row, heads);
    ir_value_t head = ir_op(b, remui, row, heads);
    ir_value_t some_token = ir_op(b, minsi, token, last_token);
    ir_value_t some_head = ir_op(b, minsi, head, last_head);
    ir_value_t m = ir_op(b, addi, tile->from, some_token);
    ir_value_t h = ir_op(b, addi, tile->first_head, some_head);
    ir_value_t qkv = kernel_at(k, a->qkv, m, a->qkv_bytes);
    ir_value_t from = kernel_at(k, qkv, h, a->D * 4);
    ir_value_t to = stack_row(a, a->queries, row, a->D);
    load_query(a, from, to);
    ir_value_t peak_at = stack_row(a, a->peaks, row, k->lanes);
    ir_value_t total_at = stack_row(a, a->totals, row, k->lanes);
    ir_value_t sums = stack_row(a, a->sums, row, a->columns);
    store_reals(a, lowest, peak_at, 0);
    store_reals(a, nothing, total_at, 0);
    for (int v = 0; v < a->columns / k->lanes; v++) store_reals(a, nothing, sums, v);
  }
}

// out[m][head] = sums / total: exactly head_dim floats, for the next head is another tile's.
static void store_result(attend_t *a, ir_value_t row, ir_value_t to) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t total_at = stack_row(a, a->totals, row, k->lanes);
  ir_value_t lanes = load_reals(a, total_at, 0);
  ir_value_t total = math_sum(k, lanes);
  ir_value_t sums = stack_row(a, a->sums, row, a->columns);
  for (int i = 0; i < a->D;) {
    int width = piece_width(k, a->D - i);
    ir_value_t at = ir_advance(b, sums, i * 4);
    ir_value_t sum = ir_load(b, piece_type(k, width), at, 0);
    ir_value_t totals = ir_cast(b, broadcast, piece_type(k, width), total);
    ir_value_t y = ir_op(b, divf, sum, totals);
    ir_value_t into = ir_advance(b, to, i * 4);
    ir_store(b, y, into, 0);
    i += width;
  }
}

void attend_end(attend_t *a, const tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t heads = ir_i64(b, a->heads);
  IR_FOR (b, token, k->zero, tile->count, k->one) {
    ir_value_t m = ir_op(b, addi, tile->from, token);
    ir_value_t out = kernel_at(k, a->out, m, a->out_bytes);
    ir_value_t first_row = ir_op(b, muli, token, heads);
    IR_FOR (b, head, k->zero, tile->head_count, k->one) {
      ir_value_t row = ir_op(b, addi, first_row, head);
      ir_value_t h = ir_op(b, addi, tile->first_head, head);
      ir_value_t to = kernel_at(k, out, h, a->D * 4);
      store_result(a, row, to);
    }
  }
}

// ---- sizes

static void lay_out_stack(attend_t *a) {
  ir_builder_t *b = a->k->b;
  int64_t lanes = a->k->lanes, rows = a->rows;
  int64_t keys = (int64_t)a->D * span(a), values = (int64_t)ATTEND_STEP * BLOCK_VECTORS * lanes;
  a->queries = ir_stack(b, rows * a->D * 4, 64);
  a->scores = ir_stack(b, rows * ATTEND_STEP * 4, 64);
  a->sums = ir_stack(b, rows * a->columns * 4, 64);
  a->peaks = ir_stack(b, rows * lanes * 4, 64);
  a->totals = ir_stack(b, rows * lanes * 4, 64);
  a->shrinks = ir_stack(b, rows * lanes * 4, 64);
  if (a->widens) a->wide = ir_stack(b, (keys > values ? keys : values) * 4, 64);
}

static int parts(int whole, int limit) { return (whole + limit - 1) / limit; }

attend_t attend_open(kernel_t *k, int tokens) {
  const hone_kernel_spec_t *spec = k->spec;
  attend_t a = {.k = k, .cache = cache_open(k), .D = (int)spec->head_dim, .tokens = tokens};
  int share = (int)(spec->heads / spec->kv_heads), most_rows = k->lanes == 16 ? 8 : 4;
  uint64_t all_heads = spec->heads + 2 * (uint64_t)spec->kv_heads;
  a.columns = (int)hone_head_padded(spec->head_dim);
  a.passes = parts(share, ATTEND_ROWS_LIMIT / tokens);
  a.heads = parts(share, a.passes);
  a.passes = parts(share, a.heads);
  int rows = tokens * a.heads;
  a.block = parts(rows, parts(rows, most_rows));
  a.rows = parts(rows, a.block) * a.block;
  a.widens = spec->cache != HONE_F32 && a.rows > 2 * a.block;
  a.qkv_bytes = (int64_t)hone_row_bytes(HONE_F32, all_heads * spec->head_dim);
  a.out_bytes = (int64_t)hone_row_bytes(HONE_F32, (uint64_t)spec->heads * spec->head_dim);
  a.qkv = kernel_pointer(k, 0);
  a.keys = kernel_pointer(k, 1);
  a.values = kernel_pointer(k, 2);
  a.out = kernel_pointer(k, 3);
  a.position = kernel_position(k);
  a.capacity = kernel_capacity(k);
  a.M = kernel_M(k);
  lay_out_stack(&a);
  return a;
}
