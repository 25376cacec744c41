// rope_kv, and the same of a linear's heads: rotary position embedding (Su et al., RoFormer, 2021;
// rotate-half form) of q in place and of k into the key cache, and v into the value cache. A row of
// `rope` is cos of the head_dim / 2 pairs, then their sin; rows are head_dim floats apart. What
// goes into a cache passes through a padded head on the stack.
#include "codegen/cpu/kernels/rope.h"

// (a, c) -> (a cos - c sin, c cos + a sin) for pairs (i, i + head_dim / 2).
static void rotate(rope_t *r, ir_value_t from, ir_value_t to, ir_value_t angles) {
  kernel_t *k = r->k;
  ir_builder_t *b = k->b;
  int half = r->D / 2;
  for (int i = 0; i < half;) {
    int width = piece_width(k, half - i);
    ir_type_t type = piece_type(k, width);
    ir_value_t a_at = ir_advance(b, from, i * 4);
    ir_value_t c_at = ir_advance(b, from, (i + half) * 4);
    ir_value_t cos_at = ir_advance(b, angles, i * 4);
    ir_value_t sin_at = ir_advance(b, angles, (i + half) * 4);
    ir_value_t a = ir_load(b, type, a_at, 0);
    ir_value_t c = ir_load(b, type, c_at, 0);
    ir_value_t cosine = ir_load(b, type, cos_at, 0);
    ir_value_t sine = ir_load(b, type, sin_at, 0);
    ir_value_t c_sine = ir_op(b, mulf, c, sine);
    ir_value_t a_cosine = ir_op(b, mulf, a, cosine);
    ir_value_t a_sine = ir_op(b, mulf, a, sine);
    ir_value_t c_cosine = ir_op(b, mulf, c, cosine);
    ir_value_t first = ir_op(b, subf, a_cosine, c_sine);
    ir_value_t second = ir_op(b, addf, c_cosine, a_sine);
    ir_value_t first_at = ir_advance(b, to, i * 4);
    ir_value_t second_at = ir_advance(b, to, (i + half) * 4);
    ir_store(b, first, first_at, 0);
    ir_store(b, second, second_at, 0);
    i += width;
  }
}

static void copy(rope_t *r, ir_value_t from, ir_value_t to) {
  kernel_t *k = r->k;
  for (int i = 0; i < r->D;) {
    int width = piece_width(k, r->D - i);
    ir_value_t at = ir_advance(k->b, from, i * 4);
    ir_value_t value = ir_load(k->b, piece_type(k, width), at, 0);
    ir_value_t into = ir_advance(k->b, to, i * 4);
    ir_store(k->b, value, into, 0);
    i += width;
  }
}

// The head on the stack as vectors of the cache's elements; of q8, the position's scale is stored.
static void narrow_head(rope_t *r, ir_value_t block, ir_value_t slot, ir_value_t *out) {
  kernel_t *k = r->k;
  ir_builder_t *b = k->b;
  ir_value_t widest = ir_real(b, k->reals, 0.0), factors = {0};
  for (int v = 0; v < r->vectors; v++) {
    ir_value_t at = ir_advance(b, r->head, (int64_t)v * k->lanes * 4);
    out[v] = ir_load(b, k->reals, at, 0);
    if (!r->cache.has_scales) continue;
    ir_value_t size = ir_op(b, fabs, out[v]);
    widest = math_max(k, size, widest);
  }
  if (r->cache.has_scales) {
    ir_value_t largest = math_maximum(k, widest);
    ir_value_t limit = ir_real(b, k->real, 127.0);
    ir_value_t scale = ir_op(b, divf, largest, limit);
    ir_value_t scales = ir_advance(b, block, r->cache.scales);
    ir_value_t at = kernel_at(k, scales, slot, 4);
    ir_store(b, scale, at, 0);
    ir_value_t factor = cache_factor(k, largest);
    factors = math_splat(k, factor);
  }
  for (int v = 0; v < r->vectors; v++) {
    if (r->cache.has_scales) out[v] = ir_op(b, mulf, out[v], factors);
    out[v] = cache_narrow(k, out[v]);
  }
}

// Element d of position `slot` lies at (d, slot).
static void store_key(rope_t *r, ir_value_t block, ir_value_t slot) {
  kernel_t *k = r->k;
  ir_builder_t *b = k->b;
  ir_value_t narrow[HEAD_LIMIT / 8];
  int item = r->cache.item;
  ir_type_t type = item == 1 ? k->i8 : item == 2 ? ir_type(b, IR_I16) : k->i32;
  narrow_head(r, block, slot, narrow);
  for (int v = 0; v < r->vectors; v++) {
    ir_value_t at = ir_advance(b, r->narrow, (int64_t)v * k->lanes * item);
    ir_store(b, narrow[v], at, 0);
  }
  ir_value_t column = kernel_at(k, block, slot, item), D = ir_i64(b, r->D);
  IR_FOR (b, d, k->zero, D, k->one) {
    ir_value_t from = kernel_at(k, r->narrow, d, item);
    ir_value_t element = ir_load(b, type, from, 0);
    ir_value_t to = kernel_at(k, column, d, (int64_t)HONE_CACHE_BLOCK * item);
    ir_store(b, element, to, 0);
  }
}

// Column d of position `slot` lies at (d / 16, slot, d % 16).
static void store_value(rope_t *r, ir_value_t block, ir_value_t slot) {
  kernel_t *k = r->k;
  ir_value_t narrow[HEAD_LIMIT / 8];
  int item = r->cache.item;
  narrow_head(r, block, slot, narrow);
  ir_value_t row = kernel_at(k, block, slot, (int64_t)HONE_CACHE_BLOCK * item);
  for (int v = 0; v < r->vectors; v++) {
    int d = v * k->lanes, group = d / HONE_CACHE_BLOCK, column = d % HONE_CACHE_BLOCK;
    int64_t elements = (int64_t)group * HONE_CACHE_BLOCK * HONE_CACHE_BLOCK + column;
    ir_value_t to = ir_advance(k->b, row, elements * item);
    ir_store(k->b, narrow[v], to, 0);
  }
}

rope_t rope_open(kernel_t *k, int operand) {
  ir_builder_t *b = k->b;
  int64_t padded = hone_head_padded(k->spec->head_dim);
  rope_t r = {.k = k, .cache = cache_open(k), .D = (int)k->spec->head_dim};
  r.vectors = (int)padded / k->lanes;
  r.head = ir_stack(b, padded * 4, 64);
  r.narrow = ir_stack(b, padded * r.cache.item, 64);
  ir_value_t pad = ir_advance(b, r.head, r.D * 4);
  zero_bytes(k, pad, (padded - r.D) * 4);
  r.angles = kernel_pointer(k, operand);
  r.keys = kernel_pointer(k, operand + 1), r.values = kernel_pointer(k, operand + 2);
  r.position = kernel_position(k);
  ir_value_t capacity = kernel_capacity(k), in_block = ir_i64(b, HONE_CACHE_BLOCK);
  r.blocks = ir_op(b, divui, capacity, in_block);
  return r;
}

// The part of [from, to) in [first, past): its ends counted from `first`.
static void part_of(rope_t *r, ir_value_t from, ir_value_t to, uint32_t first, uint32_t past,
                    ir_value_t out[2]) {
  ir_builder_t *b = r->k->b;
  ir_value_t low = ir_i64(b, first), high = ir_i64(b, past);
  ir_value_t begin = ir_op(b, maxsi, from, low), end = ir_op(b, minsi, to, high);
  out[0] = ir_op(b, subi, begin, low);
  out[1] = ir_op(b, subi, end, low);
}

void rope_heads(rope_t *r, ir_value_t row, ir_value_t m, ir_value_t from, ir_value_t to) {
  kernel_t *k = r->k;
  ir_builder_t *b = k->b;
  uint32_t heads = k->spec->heads, kv_heads = k->spec->kv_heads;
  int64_t head_bytes = (int64_t)r->D * 4;
  ir_value_t angles = kernel_at(k, r->angles, m, head_bytes);
  ir_value_t at = ir_op(b, addi, r->position, m), in_block = ir_i64(b, HONE_CACHE_BLOCK);
  ir_value_t block = ir_op(b, divui, at, in_block), slot = ir_op(b, remui, at, in_block);
  ir_value_t part[2];
  part_of(r, from, to, 0, heads, part);
  IR_FOR (b, h, part[0], part[1], k->one) {
    ir_value_t head = kernel_at(k, row, h, head_bytes);
    rotate(r, head, head, angles);
  }
  for (int is_value = 0; is_value < 2; is_value++) {
    uint32_t first = heads + (is_value ? kv_heads : 0);
    ir_value_t rows = ir_advance(b, row, first * head_bytes);
    part_of(r, from, to, first, first + kv_heads, part);
    IR_FOR (b, h, part[0], part[1], k->one) {
      ir_value_t base = ir_op(b, muli, h, r->blocks);
      ir_value_t index = ir_op(b, addi, base, block);
      ir_value_t head = kernel_at(k, rows, h, head_bytes);
      ir_value_t to_block =
          kernel_at(k, is_value ? r->values : r->keys, index, r->cache.block_bytes);
      if (is_value) {
        copy(r, head, r->head);
        store_value(r, to_block, slot);
      } else {
        rotate(r, head, r->head, angles);
        store_key(r, to_block, slot);
      }
    }
  }
}

void emit_rope(kernel_t *k) {
  const hone_kernel_spec_t *spec = k->spec;
  uint32_t heads = spec->heads + 2 * spec->kv_heads;
  int64_t row_bytes = (int64_t)hone_row_bytes(HONE_F32, (uint64_t)heads * spec->head_dim);
  rope_t r = rope_open(k, 1);
  ir_value_t qkv = kernel_pointer(k, 0), all = ir_i64(k->b, heads);
  IR_FOR (k->b, m, k->begin, k->end, k->one) {
    ir_value_t row = kernel_at(k, qkv, m, row_bytes);
    rope_heads(&r, row, m, k->zero, all);
  }
}
