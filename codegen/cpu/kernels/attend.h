// Attention on a tile: the rows (tokens x query heads) that one pass of a unit works on, and the
// steps over the cache. attend.c drives it; scores, softmax and values of a step, and what a tile
// keeps between steps (state), are one file each.
#ifndef HONE_CODEGEN_CPU_KERNELS_ATTEND_H
#define HONE_CODEGEN_CPU_KERNELS_ATTEND_H

#include "codegen/cpu/kernels/cache.h"

enum {
  ATTEND_STEP = 64,         // keys between two looks at the largest score
  ATTEND_VECTORS = 2,       // of keys or columns in a register block
  ATTEND_BLOCK_LIMIT = 8,   // rows of a register block
  ATTEND_ROWS_LIMIT = 128,  // rows of a tile: what its stack holds
};
// Finite, so that differences are never NaN. A hidden key is below any peak: its weight is 0.
static const double attend_lowest_peak = -1e29, attend_hidden_score = -1e30;

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
  // The tile's stack, rows of f32: queries (D), scores (ATTEND_STEP), and as a whole vector what
  // the last step shrank by.
  ir_value_t queries, scores, shrinks;
  ir_value_t wide;  // f32 elements, where the tile widens
  bool is_unified;  // how the step that is being emitted makes weights
  // The state being worked on, rows of f32: sums of values (columns), then largest scores and sums
  // of weights, each as a whole vector.
  int64_t state_bytes;
  ir_value_t spare;  // a state on the stack, for what the unified form cannot do
  ir_value_t sums, peaks, totals;
} attend_t;

// The tile being worked on.
typedef struct tile {
  ir_value_t from, count;  // tokens
  ir_value_t first_head, head_count;
  ir_value_t keys, values;  // of the kv head
  ir_value_t row_count;     // rows in use, padded to whole blocks
} tile_t;

// ---- state
attend_t attend_open(kernel_t *k, int tokens);
void attend_enter(attend_t *a, ir_value_t state);
void attend_queries(attend_t *a, const tile_t *tile);
void attend_clear(attend_t *a, const tile_t *tile);
// The state being worked on takes in that of later keys.
void attend_fold(attend_t *a, const tile_t *tile, ir_value_t later);
void attend_store(attend_t *a, const tile_t *tile);
// Row `row` of so many f32 each.
ir_value_t attend_row(attend_t *a, ir_value_t base, ir_value_t row, int64_t floats);
ir_value_t attend_load(attend_t *a, ir_value_t base, int64_t vector);
void attend_put(attend_t *a, ir_value_t value, ir_value_t base, int64_t vector);
ir_value_t attend_splat(attend_t *a, ir_value_t base, int64_t bytes);

// ---- one step of the cache; `keys`: how many, where scores are made in whole spans of them
int attend_span(const attend_t *a);  // keys of a register block
void attend_scores(attend_t *a, const tile_t *tile, ir_value_t blocks, ir_value_t keys);
// Where `is_unified`, exp(score); else exp(score - largest score of the chunk so far).
void attend_weights(attend_t *a, const tile_t *tile, ir_value_t start, ir_value_t keys,
                    ir_value_t values);
void attend_values(attend_t *a, const tile_t *tile, ir_value_t blocks, ir_value_t keys);
// After a chunk [start, end) in the unified form: gives rows their peaks and returns how many (i64)
// have sums out of bounds.
ir_value_t attend_settle(attend_t *a, const tile_t *tile, ir_value_t start, ir_value_t end);
// These rows become those of `exact`.
void attend_take(attend_t *a, const tile_t *tile, const attend_t *exact);
// Scales of vector `part` of the keys of q8 blocks.
ir_value_t attend_scales(attend_t *a, ir_value_t blocks, int part);

#endif
