// What becomes of a head of q, k or v: rope_kv does it to all heads of a row, a linear of q, k and
// v to those that its unit has made.
#ifndef HONE_CODEGEN_CPU_KERNELS_ROPE_H
#define HONE_CODEGEN_CPU_KERNELS_ROPE_H

#include "codegen/cpu/kernels/cache.h"

typedef struct rope {
  kernel_t *k;
  cache_t cache;
  int D, vectors;     // head_dim; vectors of a padded head
  ir_value_t head;    // f32 (padded head_dim) on the stack, pads zero
  ir_value_t narrow;  // the same as elements of the cache
  ir_value_t angles;  // (M, head_dim): cos, then sin
  ir_value_t keys, values;
  ir_value_t position, blocks;  // tokens before this step; blocks of a head in a cache
} rope_t;

// `operand`: index of the table of angles; keys and values follow. Call it outside loops.
rope_t rope_open(kernel_t *k, int operand);
// Heads [from, to) of q, k and v of token m, whose row of them is `row`.
void rope_heads(rope_t *r, ir_value_t row, ir_value_t m, ir_value_t from, ir_value_t to);

#endif
