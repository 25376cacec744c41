// Causal attention over the KV cache with online softmax (Milakov and Gimelshein, 2018;
// FlashAttention's recurrence), for grouped queries and sliding windows. All query heads of a kv
// head go through its keys and values together, so the cache is read once per tile of tokens: of
// one token in the decode form, of several in the prefill form.
//
// What is computed has two levels, so that how the work is cut does not change a bit: chunks of
// HONE_CHUNK positions each have a largest score, a sum of weights and sums of values of their own,
// and these fold together in the order of the positions. With `split`, units share the chunks of a
// token's kv head (Flash-Decoding: Dao, Haziza, Massa, Sizov, 2023), and whoever is the last to
// finish folds them: no second launch, and no thread waits.
#include "codegen/cpu/kernels/attend.h"

#include <assert.h>

// The pads of an out row belong to the unit of the last kv head.
static void store_pads(attend_t *a, ir_value_t m, ir_value_t kv_head) {
  kernel_t *k = a->k;
  uint32_t K = k->spec->heads * k->spec->head_dim;
  int64_t used = (int64_t)K * 4;
  bool is_coded = k->spec->output == HONE_Q8;
  if (!is_coded && used == a->out_bytes) return;
  ir_value_t last = ir_i64(k->b, (int64_t)k->spec->kv_heads - 1), none = {0};
  ir_value_t is_last = ir_op(k->b, eq, kv_head, last);
  IR_IF (k->b, is_last) {
    ir_value_t row = kernel_at(k, a->out, m, a->out_bytes);
    ir_value_t pad = ir_advance(k->b, row, used);
    if (is_coded)
      quantize_end(k, K, row, none);
    else
      zero_bytes(k, pad, a->out_bytes - used);
  }
}

static void enter_head(attend_t *a, ir_value_t kv_head, tile_t *tile) {
  kernel_t *k = a->k;
  ir_value_t in_block = ir_i64(k->b, HONE_CACHE_BLOCK);
  ir_value_t per_head = ir_op(k->b, divui, a->capacity, in_block);
  ir_value_t blocks = ir_op(k->b, muli, kv_head, per_head);
  tile->keys = kernel_at(k, a->keys, blocks, a->cache.block_bytes);
  tile->values = kernel_at(k, a->values, blocks, a->cache.block_bytes);
}

// The query heads of pass `pass`, and the rows they make.
static void enter_pass(attend_t *a, ir_value_t kv_head, ir_value_t pass, tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  int share = (int)(k->spec->heads / k->spec->kv_heads);
  ir_value_t skipped = kernel_times(k, pass, a->heads);
  ir_value_t first = kernel_times(k, kv_head, share);
  tile->first_head = ir_op(b, addi, first, skipped);
  ir_value_t all = ir_i64(b, share), most = ir_i64(b, a->heads), block = ir_i64(b, a->block);
  ir_value_t rest = ir_op(b, subi, all, skipped);
  tile->head_count = ir_op(b, minsi, rest, most);
  ir_value_t rows = kernel_times(k, tile->count, a->heads);
  ir_value_t up = kernel_plus(k, rows, a->block - 1);
  ir_value_t blocks = ir_op(b, divui, up, block);
  tile->row_count = ir_op(b, muli, blocks, block);
}

// ---- steps

static ir_value_t round_up(attend_t *a, ir_value_t x, int64_t multiple) {
  ir_value_t size = ir_i64(a->k->b, multiple);
  ir_value_t up = kernel_plus(a->k, x, multiple - 1);
  ir_value_t count = ir_op(a->k->b, divui, up, size);
  return ir_op(a->k->b, muli, count, size);
}

// Keys [start, start + ATTEND_STEP), of which those from `end` on do not exist.
static void run_step(attend_t *a, const tile_t *tile, ir_value_t start, ir_value_t end) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t in_block = ir_i64(b, HONE_CACHE_BLOCK), most = ir_i64(b, ATTEND_STEP);
  ir_value_t index = ir_op(b, divui, start, in_block);
  ir_value_t key_blocks = kernel_at(k, tile->keys, index, a->cache.block_bytes);
  ir_value_t value_blocks = kernel_at(k, tile->values, index, a->cache.block_bytes);
  ir_value_t rest = ir_op(b, subi, end, start);
  ir_value_t keys = ir_op(b, minsi, rest, most);
  ir_value_t spans = round_up(a, keys, attend_span(a));
  attend_scores(a, tile, key_blocks, spans);
  attend_weights(a, tile, start, spans, value_blocks);
  attend_values(a, tile, value_blocks, keys);
}

// ---- chunks

// The keys of a tile: those that its first token sees, from a whole step on, to the last token's.
typedef struct range {
  ir_value_t low, end;
  ir_value_t first;  // where the chunk of `low` begins
} range_t;

static range_t range_of(attend_t *a, const tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t first = ir_op(b, addi, a->position, tile->from);
  range_t range = {.low = k->zero, .first = k->zero};
  range.end = ir_op(b, addi, first, tile->count);
  if (!k->spec->window) return range;
  ir_value_t step = ir_i64(b, ATTEND_STEP), chunk = ir_i64(b, HONE_CHUNK);
  ir_value_t oldest = kernel_plus(k, first, 1 - (int64_t)k->spec->window);
  ir_value_t some = ir_op(b, maxsi, oldest, k->zero);
  ir_value_t steps = ir_op(b, divui, some, step);
  range.low = ir_op(b, muli, steps, step);
  ir_value_t chunks = ir_op(b, divui, some, chunk);
  range.first = ir_op(b, muli, chunks, chunk);
  return range;
}

static void run_steps(attend_t *a, const tile_t *tile, ir_value_t low, ir_value_t end) {
  ir_builder_t *b = a->k->b;
  ir_value_t step = ir_i64(b, ATTEND_STEP);
  attend_clear(a, tile);
  IR_FOR (b, key, low, end, step) {
    run_step(a, tile, key, end);
  }
}

// The keys of the range in the chunk that begins at `start`, into the state being worked on.
static void run_chunk(attend_t *a, const tile_t *tile, const range_t *range, ir_value_t start) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t chunk_end = kernel_plus(k, start, HONE_CHUNK);
  ir_value_t low = ir_op(b, maxsi, start, range->low);
  ir_value_t end = ir_op(b, minsi, chunk_end, range->end);
  a->is_unified = k->spec->unified;
  run_steps(a, tile, low, end);
  if (!a->is_unified) return;
  ir_value_t failed = attend_settle(a, tile, start, end);
  ir_value_t is_failed = ir_op(b, slt, k->zero, failed);
  IR_IF (b, is_failed) {
    attend_t exact = *a;
    exact.is_unified = false;
    attend_enter(&exact, a->spare);
    run_steps(&exact, tile, low, end);
    attend_take(a, tile, &exact);
  }
}

// ---- whole heads

// The first chunk makes the result's state, later ones fold into it.
static void run_tile(attend_t *a, const tile_t *tile, ir_value_t states) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  range_t range = range_of(a, tile);
  ir_value_t chunk = ir_i64(b, HONE_CHUNK), far = ir_i64(b, a->state_bytes);
  attend_queries(a, tile);
  IR_FOR (b, start, range.first, range.end, chunk) {
    ir_value_t is_first = ir_op(b, eq, start, range.first);
    ir_value_t offset = ir_op(b, select, is_first, k->zero, far);
    ir_value_t state = ir_offset(b, states, offset);
    attend_enter(a, state);
    run_chunk(a, tile, &range, start);
    ir_value_t is_later = ir_op(b, slt, range.first, start);
    IR_IF (b, is_later) {
      attend_enter(a, states);
      attend_fold(a, tile, state);
    }
  }
  attend_enter(a, states);
  attend_store(a, tile);
}

static void emit_whole(attend_t *a) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t states = ir_stack(b, 2 * a->state_bytes, 64);
  ir_value_t size = ir_i64(b, a->tokens), passes = ir_i64(b, a->passes);
  ir_value_t tiles_up = kernel_plus(k, a->M, a->tokens - 1);
  ir_value_t tiles = ir_op(b, divui, tiles_up, size);
  IR_FOR (b, unit, k->begin, k->end, k->one) {
    tile_t tile;
    ir_value_t kv_head = ir_op(b, divui, unit, tiles);
    ir_value_t index = ir_op(b, remui, unit, tiles);
    tile.from = ir_op(b, muli, index, size);
    ir_value_t rest = ir_op(b, subi, a->M, tile.from);
    tile.count = ir_op(b, minsi, rest, size);
    enter_head(a, kv_head, &tile);
    IR_FOR (b, pass, k->zero, passes, k->one) {
      enter_pass(a, kv_head, pass, &tile);
      run_tile(a, &tile, states);
    }
    IR_FOR (b, token, k->zero, tile.count, k->one) {
      ir_value_t m = ir_op(b, addi, tile.from, token);
      store_pads(a, m, kv_head);
    }
  }
}

// ---- split heads

typedef struct split {
  ir_value_t counter;  // of the token's kv head: how many of its parts are done
  ir_value_t states;   // of its chunks, from the first one that the token sees
  ir_value_t count;    // of these chunks
  int64_t bytes;       // of a state's place
} split_t;

static split_t split_of(attend_t *a, const range_t *range, ir_value_t m, ir_value_t kv_head) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  split_t split = {.bytes =
                       (int64_t)hone_chunk_bytes(spec->heads / spec->kv_heads, (uint32_t)a->D)};
  ir_value_t chunk = ir_i64(b, HONE_CHUNK);
  ir_value_t whole = kernel_plus(k, a->capacity, HONE_CHUNK - 1);
  ir_value_t most = ir_op(b, divui, whole, chunk);
  if (spec->window) {  // as hone_chunk_count
    ir_value_t seen = ir_i64(b, (int64_t)hone_chunk_count(spec->window, UINT32_MAX));
    most = ir_op(b, minsi, most, seen);
  }
  ir_value_t row = kernel_times(k, m, spec->kv_heads);
  ir_value_t head = ir_op(b, addi, row, kv_head);
  split.counter = kernel_at(k, kernel_pointer(k, 4), head, HONE_COUNTER_BYTES);
  ir_value_t before = ir_op(b, muli, head, most);
  split.states = kernel_at(k, kernel_pointer(k, 5), before, split.bytes);
  ir_value_t keys = ir_op(b, subi, range->end, range->first);
  ir_value_t up = kernel_plus(k, keys, HONE_CHUNK - 1);
  split.count = ir_op(b, divui, up, chunk);
  return split;
}

static void fold_parts(attend_t *a, const tile_t *tile, const split_t *split) {
  kernel_t *k = a->k;
  attend_enter(a, split->states);
  IR_FOR (k->b, i, k->one, split->count, k->one) {
    ir_value_t later = kernel_at(k, split->states, i, split->bytes);
    attend_fold(a, tile, later);
  }
  attend_store(a, tile);
}

// Chunks part, part + parts, ... of a token's kv head. Who counts last, folds.
static void run_part(attend_t *a, const tile_t *tile, ir_value_t kv_head, ir_value_t part) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  range_t range = range_of(a, tile);
  split_t split = split_of(a, &range, tile->from, kv_head);
  ir_value_t parts = ir_i64(b, k->spec->schedule.split);
  attend_queries(a, tile);
  IR_FOR (b, i, part, split.count, parts) {
    ir_value_t skipped = kernel_times(k, i, HONE_CHUNK);
    ir_value_t start = ir_op(b, addi, range.first, skipped);
    ir_value_t state = kernel_at(k, split.states, i, split.bytes);
    attend_enter(a, state);
    run_chunk(a, tile, &range, start);
  }
  ir_value_t before = ir_op(b, fetch_add, split.counter, k->one);
  ir_value_t last = ir_i64(b, (int64_t)k->spec->schedule.split - 1);
  ir_value_t is_last = ir_op(b, eq, before, last);
  IR_IF (b, is_last) {
    ir_store(b, k->zero, split.counter, 0);
    fold_parts(a, tile, &split);
    store_pads(a, tile->from, kv_head);
  }
}

static void emit_split(attend_t *a) {
  kernel_t *k = a->k;
  assert(a->passes == 1);  // kernel_emit.c refuses more heads than a tile has rows
  ir_builder_t *b = k->b;
  ir_value_t parts = ir_i64(b, k->spec->schedule.split);
  IR_FOR (b, unit, k->begin, k->end, k->one) {
    tile_t tile = {.count = k->one};
    ir_value_t part = ir_op(b, remui, unit, parts);
    ir_value_t whole = ir_op(b, divui, unit, parts);
    ir_value_t kv_head = ir_op(b, divui, whole, a->M);
    tile.from = ir_op(b, remui, whole, a->M);
    enter_head(a, kv_head, &tile);
    enter_pass(a, kv_head, k->zero, &tile);
    run_part(a, &tile, kv_head, part);
  }
}

void emit_attend(kernel_t *k) {
  const hone_schedule_t *schedule = &k->spec->schedule;
  bool prefill = k->spec->family == HONE_FAMILY_ATTEND_PREFILL;
  attend_t a = attend_open(k, prefill ? (int)schedule->tokens : 1);
  if (schedule->split > 1)
    emit_split(&a);
  else
    emit_whole(&a);
}
