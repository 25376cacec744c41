// rope_kv: rotary position embedding (Su et al., RoFormer, 2021; rotate-half form) of q in place
// and of k into the key cache, and v into the value cache. A row of `rope` is cos of the head_dim /
// 2 pairs, then their sin; rows are head_dim floats apart.
#include "codegen/cpu/kernels/kernels.h"

typedef struct heads {
  ir_value_t from;  // f32 head in the qkv row
  ir_value_t to;    // where it goes
  hone_storage_t storage;
} heads_t;

// (a, c) -> (a cos - c sin, c cos + a sin) for pairs (i, i + head_dim / 2).
static void rotate(kernel_t *k, const heads_t *head, ir_value_t rope) {
  ir_builder_t *b = k->b;
  int half = (int)k->spec->head_dim / 2;
  int item = head->storage == HONE_F16 ? 2 : 4;
  for (int i = 0; i < half;) {
    int width = piece_width(k, half - i);
    ir_type_t type = piece_type(k, width);
    ir_value_t a_at = ir_advance(b, head->from, i * 4);
    ir_value_t c_at = ir_advance(b, head->from, (i + half) * 4);
    ir_value_t cos_at = ir_advance(b, rope, i * 4);
    ir_value_t sin_at = ir_advance(b, rope, (i + half) * 4);
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
    ir_value_t first_at = ir_advance(b, head->to, i * item);
    ir_value_t second_at = ir_advance(b, head->to, (i + half) * item);
    piece_store(k, first, first_at, head->storage);
    piece_store(k, second, second_at, head->storage);
    i += width;
  }
}

static void copy(kernel_t *k, const heads_t *head) {
  int count = (int)k->spec->head_dim, item = head->storage == HONE_F16 ? 2 : 4;
  for (int i = 0; i < count;) {
    int width = piece_width(k, count - i);
    ir_value_t from = ir_advance(k->b, head->from, i * 4);
    ir_value_t value = ir_load(k->b, piece_type(k, width), from, 0);
    ir_value_t to = ir_advance(k->b, head->to, i * item);
    piece_store(k, value, to, head->storage);
    i += width;
  }
}

void emit_rope(kernel_t *k) {
  ir_builder_t *b = k->b;
  const hone_kernel_spec_t *spec = k->spec;
  int64_t D = spec->head_dim, item = spec->cache == HONE_F16 ? 2 : 4;
  int64_t cache_bytes = hone_head_padded(spec->head_dim) * item;
  int64_t row_bytes = (int64_t)hone_row_bytes(
      HONE_F32, (spec->heads + 2 * (uint64_t)spec->kv_heads) * spec->head_dim);
  ir_value_t qkv = kernel_pointer(k, 0), rope = kernel_pointer(k, 1);
  ir_value_t keys = kernel_pointer(k, 2), values = kernel_pointer(k, 3);
  ir_value_t position = kernel_position(k), capacity = kernel_capacity(k);
  ir_value_t heads = ir_i64(b, spec->heads), kv_heads = ir_i64(b, spec->kv_heads);
  IR_FOR (b, m, k->begin, k->end, k->one) {
    ir_value_t row = kernel_at(k, qkv, m, row_bytes);
    ir_value_t angles = kernel_at(k, rope, m, D * 4);
    ir_value_t k_row = ir_advance(b, row, spec->heads * D * 4);
    ir_value_t v_row = ir_advance(b, row, (spec->heads + spec->kv_heads) * D * 4);
    ir_value_t slot = ir_op(b, addi, position, m);
    IR_FOR (b, h, k->zero, heads, k->one) {
      ir_value_t head = kernel_at(k, row, h, D * 4);
      rotate(k, &(heads_t){head, head, HONE_F32}, angles);
    }
    IR_FOR (b, h, k->zero, kv_heads, k->one) {
      ir_value_t base = ir_op(b, muli, h, capacity);
      ir_value_t index = ir_op(b, addi, base, slot);
      ir_value_t key = kernel_at(k, k_row, h, D * 4);
      ir_value_t value = kernel_at(k, v_row, h, D * 4);
      ir_value_t key_slot = kernel_at(k, keys, index, cache_bytes);
      ir_value_t value_slot = kernel_at(k, values, index, cache_bytes);
      rotate(k, &(heads_t){key, key_slot, spec->cache}, angles);
      copy(k, &(heads_t){value, value_slot, spec->cache});
      ir_value_t key_pad = ir_advance(b, key_slot, D * item);
      ir_value_t value_pad = ir_advance(b, value_slot, D * item);
      zero_bytes(k, key_pad, cache_bytes - D * item);
      zero_bytes(k, value_pad, cache_bytes - D * item);
    }
  }
}
