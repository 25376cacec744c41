// Attention on a tile: the rows (tokens x query heads) that one pass of a unit works on, their
// state on the stack, and the steps over the cache. attend.c drives it, attend_tile.c emits it.
#ifndef HONE_CODEGEN_CPU_KERNELS_ATTEND_H
#define HONE_CODEGEN_CPU_KERNELS_ATTEND_H

#include "codegen/cpu/kernels/cache.h"

enum {
  ATTEND_STEP = 64,         // keys between two looks at the largest score
  ATTEND_ROWS_LIMIT = 128,  // rows of a tile: what its stack holds
};

typedef struct attend {
  kernel_t *k;
  cache_t cache;
  int D, columns;     // head_dim; padded
  int tokens, heads;  // of a tile; row = token * heads + head
  int passes;         // tiles until all query heads of a kv head are done
  int block, rows;    // rows of a register block; of a tile, whole blocks
  bool widens;        // the cache's elements become f32 once per tile rather than per block of rows
  int64_t qkv_bytes, out_bytes;
  ir_value_t qkv, keys, values, out, position, capacity, M;
  // The tile's stack, rows of f32: queries (D), scores (ATTEND_STEP), sums of values (columns);
  // largest scores, sums of weights and what the last step shrank by, each as a whole vector.
  ir_value_t queries, scores, sums, peaks, totals, shrinks;
  ir_value_t wide;  // f32 elements, where the tile widens
} attend_t;

// The tile being worked on.
typedef struct tile {
  ir_value_t from, count;  // tokens
  ir_value_t first_head, head_count;
  ir_value_t keys, values;  // of the kv head
  ir_value_t row_count;     // rows in use, padded to whole blocks
} tile_t;

attend_t attend_open(kernel_t *k, int tokens);
void attend_begin(attend_t *a, const tile_t *tile);
// Keys [start, start + ATTEND_STEP), of which those from `end` on do not exist.
void attend_step(attend_t *a, const tile_t *tile, ir_value_t start, ir_value_t end);
void attend_end(attend_t *a, const tile_t *tile);

#endif
