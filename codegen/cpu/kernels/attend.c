// Causal attention over the KV cache with online softmax (Milakov and Gimelshein, 2018;
// FlashAttention's recurrence), for grouped queries and sliding windows. Keys come in blocks of
// `lanes`, aligned to multiples of `lanes`; keys outside a token's range get weight exactly 0 and a
// block without any leaves the state as it was. So the decode form (one token, state in registers)
// and the prefill form (a tile of tokens share each block, state on the stack) give the same bits.
//
// State of a query: largest score so far (splat), sum of weights per lane, weighted sum of values.
#include "codegen/cpu/kernels/kernels.h"

enum { VALUE_LIMIT = HEAD_LIMIT / 8, STATE_LIMIT = 2 + VALUE_LIMIT };
static const double masked_score = -1e30;  // finite, so that differences of two are 0 and not NaN

typedef struct attend {
  kernel_t *k;
  int D, vectors;       // head_dim; vectors of a padded head
  int64_t cache_bytes;  // a key's row in the cache
  int64_t qkv_bytes, out_bytes;
  ir_value_t qkv, keys, values, out, position, capacity, M;
  ir_value_t total;                   // keys in the cache, this step's included
  ir_value_t whole;                   // total rounded down to whole blocks
  ir_value_t block;                   // keys in a block, i64
  ir_value_t head_keys, head_values;  // of the unit's kv head
} attend_t;

// One token's range of keys [first, last] and its query.
typedef struct query {
  ir_value_t first, last;
  ir_value_t q[VALUE_LIMIT];
} query_t;

static ir_value_t load_cache(attend_t *a, ir_value_t row, int vector) {
  kernel_t *k = a->k;
  bool half = k->spec->cache == HONE_F16;
  ir_value_t at = ir_advance(k->b, row, (int64_t)vector * k->lanes * (half ? 2 : 4));
  if (!half) return ir_load(k->b, k->reals, at, 0);
  ir_value_t halves = ir_load(k->b, ir_vector(k->b, IR_F16, k->lanes), at, 0);
  return math_half(k, halves);
}

// Row of key `start + j`. At the cache's end (`bounded`) later keys read the last one again; their
// weight is 0.
static ir_value_t cache_row(attend_t *a, ir_value_t head, ir_value_t start, int j, bool bounded) {
  kernel_t *k = a->k;
  if (!bounded) {
    ir_value_t base = kernel_at(k, head, start, a->cache_bytes);
    return ir_advance(k->b, base, j * a->cache_bytes);
  }
  ir_value_t index = kernel_plus(k, start, j);
  ir_value_t last = kernel_plus(k, a->total, -1);
  ir_value_t inside = ir_op(k->b, minsi, index, last);
  return kernel_at(k, head, inside, a->cache_bytes);
}

static ir_value_t scores(attend_t *a, const query_t *query, ir_value_t start, bool bounded) {
  kernel_t *k = a->k;
  ir_value_t dots[16];
  for (int j = 0; j < k->lanes; j++) {
    ir_value_t row = cache_row(a, a->head_keys, start, j, bounded);
    for (int d = 0; d < a->vectors; d++) {
      ir_value_t key = load_cache(a, row, d);
      dots[j] =
          d ? ir_op(k->b, fma, query->q[d], key, dots[j]) : ir_op(k->b, mulf, query->q[d], key);
    }
  }
  return math_sums(k, dots, k->lanes);
}

// Which keys of the block the token may see: i1 per lane.
static ir_value_t visible(attend_t *a, const query_t *query, ir_value_t start) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  int32_t lane[16];
  for (int i = 0; i < 16; i++) lane[i] = i;
  ir_value_t lanes = ir_words(b, (size_t)k->lanes, lane);
  ir_value_t to_last = ir_op(b, subi, query->last, start);
  ir_value_t narrow_last = ir_cast(b, trunci, k->i32, to_last);
  ir_value_t lasts = ir_cast(b, broadcast, k->words, narrow_last);
  ir_value_t not_after = ir_op(b, sle, lanes, lasts);
  if (!k->spec->window) return not_after;
  ir_value_t to_first = ir_op(b, subi, query->first, start);
  ir_value_t narrow_first = ir_cast(b, trunci, k->i32, to_first);
  ir_value_t firsts = ir_cast(b, broadcast, k->words, narrow_first);
  ir_value_t not_before = ir_op(b, sge, lanes, firsts);
  return ir_op(b, andi, not_after, not_before);
}

// One block of keys into the state.
static void attend_block(attend_t *a, const query_t *query, ir_value_t start, bool bounded,
                         ir_value_t *state) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t raw = scores(a, query, start, bounded);
  ir_value_t inside = visible(a, query, start);
  ir_value_t floor = ir_real(b, k->reals, masked_score);
  ir_value_t nothing = ir_real(b, k->reals, 0.0);
  ir_value_t score = ir_op(b, select, inside, raw, floor);
  ir_value_t largest = math_maximum(k, score);
  ir_value_t spread = math_splat(k, largest);
  ir_value_t peak = math_max(k, spread, state[0]);
  ir_value_t below = ir_op(b, subf, score, peak);
  ir_value_t e = math_exp(k, below);
  ir_value_t weight = ir_op(b, select, inside, e, nothing);
  ir_value_t drop = ir_op(b, subf, state[0], peak);
  ir_value_t shrink = math_exp(k, drop);
  state[0] = peak;
  state[1] = ir_op(b, fma, state[1], shrink, weight);
  for (int d = 0; d < a->vectors; d++) state[2 + d] = ir_op(b, mulf, state[2 + d], shrink);
  for (int j = 0; j < k->lanes; j++) {
    ir_value_t row = cache_row(a, a->head_values, start, j, bounded);
    ir_value_t w = math_lane_splat(k, weight, j);
    for (int d = 0; d < a->vectors; d++) {
      ir_value_t value = load_cache(a, row, d);
      state[2 + d] = ir_op(b, fma, w, value, state[2 + d]);
    }
  }
}

static void range_of(attend_t *a, ir_value_t m, query_t *query) {
  kernel_t *k = a->k;
  query->last = ir_op(k->b, addi, a->position, m);
  query->first = k->zero;
  if (!k->spec->window) return;
  ir_value_t first = kernel_plus(k, query->last, 1 - (int64_t)k->spec->window);
  query->first = ir_op(k->b, maxsi, first, k->zero);
}

// The query of token m and query head `head`, times the score scale; lanes past head_dim are 0.
static void load_query(attend_t *a, ir_value_t m, ir_value_t head, query_t *query) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t row = kernel_at(k, a->qkv, m, a->qkv_bytes);
  ir_value_t from = kernel_at(k, row, head, a->D * 4);
  for (int d = 0; d < a->vectors; d++) {
    float factors[16];
    int valid = a->D - d * k->lanes;
    ir_value_t at = ir_advance(b, from, (int64_t)d * k->lanes * 4);
    ir_value_t q =
        ir_load(b, k->reals, at, 0);  // k and v follow q in the row: reading on stays inside it
    if (valid < k->lanes) {
      for (int i = 0; i < 16; i++) factors[i] = i < valid ? 1.0f : 0.0f;
      ir_value_t mask = ir_floats(b, (size_t)k->lanes, factors);
      ir_value_t nothing = ir_real(b, k->reals, 0.0);
      ir_value_t keep = ir_op(b, ogt, mask, nothing);
      q = ir_op(b, select, keep, q, nothing);
    }
    ir_value_t scale = ir_real(b, k->reals, (double)k->spec->scale);
    query->q[d] = ir_op(b, mulf, q, scale);
  }
}

static void initial_state(attend_t *a, ir_value_t *state) {
  kernel_t *k = a->k;
  state[0] = ir_real(k->b, k->reals, masked_score);
  for (int i = 0; i <= a->vectors; i++) state[1 + i] = ir_real(k->b, k->reals, 0.0);
}

// out[m][head] = weighted values / sum of weights; exactly head_dim floats, for the next head is
// another unit's.
static void store_result(attend_t *a, ir_value_t m, ir_value_t head, const ir_value_t *state) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t sum = math_sum(k, state[1]);
  ir_value_t sums = math_splat(k, sum);
  ir_value_t row = kernel_at(k, a->out, m, a->out_bytes);
  ir_value_t to = kernel_at(k, row, head, a->D * 4);
  for (int d = 0; d < a->vectors; d++) {
    ir_value_t y = ir_op(b, divf, state[2 + d], sums);
    int base = d * k->lanes, end = a->D - base < k->lanes ? a->D - base : k->lanes;
    for (int i = 0; i < end;) {
      int64_t lanes[16];
      int width = piece_width(k, end - i);
      for (int j = 0; j < width; j++) lanes[j] = i + j;
      ir_value_t piece = width == k->lanes ? y : ir_shuffle(b, y, y, (size_t)width, lanes);
      ir_value_t at = ir_advance(b, to, (int64_t)(base + i) * 4);
      ir_store(b, piece, at, 0);
      i += width;
    }
  }
}

// The pads of an out row belong to the unit of the last kv head.
static void store_pads(attend_t *a, ir_value_t m, ir_value_t kv_head) {
  kernel_t *k = a->k;
  int64_t used = (int64_t)k->spec->heads * a->D * 4;
  if (used == a->out_bytes) return;
  ir_value_t last = ir_i64(k->b, (int64_t)k->spec->kv_heads - 1);
  ir_value_t is_last = ir_op(k->b, eq, kv_head, last);
  IR_IF (k->b, is_last) {
    ir_value_t row = kernel_at(k, a->out, m, a->out_bytes);
    ir_value_t pad = ir_advance(k->b, row, used);
    zero_bytes(k, pad, a->out_bytes - used);
  }
}

static ir_value_t first_block(attend_t *a, ir_value_t key) {
  ir_value_t index = ir_op(a->k->b, divui, key, a->block);
  return ir_op(a->k->b, muli, index, a->block);
}

static void decode_head(attend_t *a, ir_value_t m, ir_value_t head) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  query_t query;
  ir_value_t state[STATE_LIMIT];
  size_t count = 2 + (size_t)a->vectors;
  range_of(a, m, &query);
  load_query(a, m, head, &query);
  initial_state(a, state);
  ir_value_t low = first_block(a, query.first);
  ir_value_t need = kernel_plus(k, query.last, 1);
  ir_value_t high = ir_op(b, minsi, need, a->whole);
  IR_FOR_CARRY (b, start, low, high, a->block, state, count) {
    attend_block(a, &query, start, false, state);
  }
  ir_value_t partial = ir_op(b, sgt, need, a->whole);
  IR_IF_CARRY (b, partial, state, count) {
    attend_block(a, &query, a->whole, true, state);
  }
  store_result(a, m, head, state);
}

// ---- prefill: the states of a tile's tokens lie on the stack
typedef struct tile {
  ir_value_t memory;
  int64_t state_bytes;
  ir_value_t from, to;  // tokens
  ir_value_t head;
} tile_t;

static ir_value_t state_of(attend_t *a, const tile_t *tile, ir_value_t m) {
  ir_value_t slot = ir_op(a->k->b, subi, m, tile->from);
  return kernel_at(a->k, tile->memory, slot, tile->state_bytes);
}

static void store_state(attend_t *a, ir_value_t at, const ir_value_t *state) {
  kernel_t *k = a->k;
  for (int i = 0; i < 2 + a->vectors; i++) {
    ir_value_t to = ir_advance(k->b, at, (int64_t)i * k->lanes * 4);
    ir_store(k->b, state[i], to, 64);
  }
}

static void load_state(attend_t *a, ir_value_t at, ir_value_t *state) {
  kernel_t *k = a->k;
  for (int i = 0; i < 2 + a->vectors; i++) {
    ir_value_t from = ir_advance(k->b, at, (int64_t)i * k->lanes * 4);
    state[i] = ir_load(k->b, k->reals, from, 4);
  }
}

// A block of keys for every token of the tile that sees some of it.
static void prefill_block(attend_t *a, const tile_t *tile, ir_value_t start, bool bounded) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  IR_FOR (b, m, tile->from, tile->to, k->one) {
    query_t query;
    range_of(a, m, &query);
    ir_value_t next = ir_op(b, addi, start, a->block);
    ir_value_t starts = ir_op(b, sge, query.last, start);
    ir_value_t ends = ir_op(b, slt, query.first, next);
    ir_value_t some = ir_op(b, andi, starts, ends);
    IR_IF (b, some) {
      ir_value_t state[STATE_LIMIT];
      ir_value_t at = state_of(a, tile, m);
      load_query(a, m, tile->head, &query);
      load_state(a, at, state);
      attend_block(a, &query, start, bounded, state);
      store_state(a, at, state);
    }
  }
}

static void prefill_head(attend_t *a, const tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  IR_FOR (b, m, tile->from, tile->to, k->one) {
    ir_value_t state[STATE_LIMIT];
    initial_state(a, state);
    ir_value_t at = state_of(a, tile, m);
    store_state(a, at, state);
  }
  query_t first, last;
  ir_value_t last_token = kernel_plus(k, tile->to, -1);
  range_of(a, tile->from, &first);
  range_of(a, last_token, &last);
  ir_value_t low = first_block(a, first.first);
  ir_value_t need = kernel_plus(k, last.last, 1);
  ir_value_t high = ir_op(b, minsi, need, a->whole);
  IR_FOR (b, start, low, high, a->block) {
    prefill_block(a, tile, start, false);
  }
  ir_value_t partial = ir_op(b, sgt, need, a->whole);
  IR_IF (b, partial) {
    prefill_block(a, tile, a->whole, true);
  }
  IR_FOR (b, m, tile->from, tile->to, k->one) {
    ir_value_t state[STATE_LIMIT];
    ir_value_t at = state_of(a, tile, m);
    load_state(a, at, state);
    store_result(a, m, tile->head, state);
  }
}

static attend_t attend_open(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  attend_t a = {.k = k, .D = (int)spec->head_dim};
  uint64_t all_heads = spec->heads + 2 * (uint64_t)spec->kv_heads;
  a.vectors = (int)hone_head_padded(spec->head_dim) / k->lanes;
  a.cache_bytes = hone_head_padded(spec->head_dim) * (spec->cache == HONE_F16 ? 2 : 4);
  a.qkv_bytes = (int64_t)hone_row_bytes(HONE_F32, all_heads * spec->head_dim);
  a.out_bytes = (int64_t)hone_row_bytes(HONE_F32, (uint64_t)spec->heads * spec->head_dim);
  a.qkv = kernel_pointer(k, 0);
  a.keys = kernel_pointer(k, 1);
  a.values = kernel_pointer(k, 2);
  a.out = kernel_pointer(k, 3);
  a.position = kernel_position(k);
  a.capacity = kernel_capacity(k);
  a.M = kernel_M(k);
  a.block = ir_i64(b, k->lanes);
  a.total = ir_op(b, addi, a.position, a.M);
  a.whole = first_block(&a, a.total);
  return a;
}

static void enter_head(attend_t *a, ir_value_t kv_head) {
  kernel_t *k = a->k;
  ir_value_t rows = ir_op(k->b, muli, kv_head, a->capacity);
  a->head_keys = kernel_at(k, a->keys, rows, a->cache_bytes);
  a->head_values = kernel_at(k, a->values, rows, a->cache_bytes);
}

void emit_attend(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  bool prefill = spec->family == HONE_FAMILY_ATTEND_PREFILL;
  int64_t tokens = prefill ? spec->schedule.tokens : 1;
  attend_t a = attend_open(k);
  tile_t tile = {.state_bytes = (2 + (int64_t)a.vectors) * k->lanes * 4};
  if (prefill) tile.memory = ir_stack(b, tokens * tile.state_bytes, 64);
  ir_value_t size = ir_i64(b, tokens);
  ir_value_t tiles_up = kernel_plus(k, a.M, tokens - 1);
  ir_value_t tiles = ir_op(b, divui, tiles_up, size);
  ir_value_t share = ir_i64(b, spec->heads / spec->kv_heads);
  IR_FOR (b, unit, k->begin, k->end, k->one) {
    ir_value_t kv_head = ir_op(b, divui, unit, tiles);
    ir_value_t index = ir_op(b, remui, unit, tiles);
    ir_value_t first_head = ir_op(b, muli, kv_head, share);
    ir_value_t end_head = ir_op(b, addi, first_head, share);
    enter_head(&a, kv_head);
    tile.from = ir_op(b, muli, index, size);
    ir_value_t next = ir_op(b, addi, tile.from, size);
    tile.to = ir_op(b, minsi, next, a.M);
    IR_FOR (b, head, first_head, end_head, k->one) {
      tile.head = head;
      if (prefill)
        prefill_head(&a, &tile);
      else
        decode_head(&a, tile.from, head);
    }
    IR_FOR (b, m, tile.from, tile.to, k->one) {
      store_pads(&a, m, kv_head);
    }
  }
}
