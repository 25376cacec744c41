// Causal attention over the KV cache with online softmax (Milakov and Gimelshein, 2018;
// FlashAttention's recurrence), for grouped queries and sliding windows. All query heads of a kv
// head go through its keys and values together, so the cache is read once per tile of tokens: of
// one token in the decode form, of several in the prefill form. Both give the same bits.
#include "codegen/cpu/kernels/attend.h"

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

// The keys from the first one that the tile's first token sees, in whole steps, to the last
// token's.
static void attend_tile(attend_t *a, const tile_t *tile) {
  kernel_t *k = a->k;
  ir_builder_t *b = k->b;
  ir_value_t step = ir_i64(b, ATTEND_STEP), low = k->zero;
  ir_value_t first = ir_op(b, addi, a->position, tile->from);
  ir_value_t end = ir_op(b, addi, first, tile->count);
  if (k->spec->window) {
    ir_value_t oldest = kernel_plus(k, first, 1 - (int64_t)k->spec->window);
    ir_value_t some = ir_op(b, maxsi, oldest, k->zero);
    ir_value_t skipped = ir_op(b, divui, some, step);
    low = ir_op(b, muli, skipped, step);
  }
  attend_begin(a, tile);
  IR_FOR (b, start, low, end, step) {
    attend_step(a, tile, start, end);
  }
  attend_end(a, tile);
}

void emit_attend(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  bool prefill = spec->family == HONE_FAMILY_ATTEND_PREFILL;
  attend_t a = attend_open(k, prefill ? (int)spec->schedule.tokens : 1);
  ir_value_t size = ir_i64(b, a.tokens), passes = ir_i64(b, a.passes);
  ir_value_t tiles_up = kernel_plus(k, a.M, a.tokens - 1);
  ir_value_t tiles = ir_op(b, divui, tiles_up, size);
  IR_FOR (b, unit, k->begin, k->end, k->one) {
    tile_t tile;
    ir_value_t kv_head = ir_op(b, divui, unit, tiles);
    ir_value_t index = ir_op(b, remui, unit, tiles);
    tile.from = ir_op(b, muli, index, size);
    ir_value_t rest = ir_op(b, subi, a.M, tile.from);
    tile.count = ir_op(b, minsi, rest, size);
    enter_head(&a, kv_head, &tile);
    IR_FOR (b, pass, k->zero, passes, k->one) {
      enter_pass(&a, kv_head, pass, &tile);
      attend_tile(&a, &tile);
    }
    IR_FOR (b, token, k->zero, tile.count, k->one) {
      ir_value_t m = ir_op(b, addi, tile.from, token);
      store_pads(&a, m, kv_head);
    }
  }
}
