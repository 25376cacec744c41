// What the parts of the linear families share: linear.c walks units, tokens and groups of columns;
// linear_codes.c, linear_reals.c and signs.c add a group to the accumulators of a register block,
// linear_tile.c a run of groups to the sums of many tokens.
#ifndef HONE_CODEGEN_CPU_KERNELS_LINEAR_H
#define HONE_CODEGEN_CPU_KERNELS_LINEAR_H

#include "codegen/cpu/kernels/rope.h"
#include "codegen/cpu/kernels/weight.h"

enum { VECTORS_LIMIT = 8, TILES_LIMIT = 4, ACCUMULATORS_LIMIT = 32 };

typedef struct linear {
  kernel_t *k;
  weight_t weight;
  ir_value_t x, bias, residual, out;
  int64_t x_bytes, out_bytes;  // row strides
  int vectors;                 // of rows of weights in a register block
  int tiles;                   // that a block's rows lie in
  int unit_tiles;              // that a unit covers
  int split;                   // parts of a unit's columns; 0 or 1: all at once
  ir_value_t parts;            // with split > 1
  int pass_tokens;             // gemm: that share a panel
  // Outputs that are quantized: those of a unit wait here, (tokens, 64) f32 on the stack.
  ir_value_t wait;               // null: none
  ir_value_t wait_m, wait_tile;  // first token and tile in it
  rope_t rope;                   // with spec->rope
} linear_t;

// A group of 64 columns of a register block: `vectors` vectors of rows of weights, from vector
// `first` of the unit on, times `tokens` rows of activations.
typedef struct linear_group {
  weight_place_t place[TILES_LIMIT];  // of each tile of the block
  int first, tokens;
  ir_value_t panel;              // the weights decoded, instead of codes; null: none
  ir_value_t x;                  // elements of the first token
  ir_value_t scale, sum, parts;  // q8 rows: the first token's scale, and minus its sums
} linear_group_t;

// A register block: `vectors` vectors from `first` of the tiles from `tile` on, times `tokens` rows
// of activations from `m` on.
typedef struct linear_block {
  ir_value_t tile, m;
  int first, tokens;
} linear_block_t;

// Where registers hold less than a block's tiles, their vectors take turns.
#define FOR_TURNS(l, first) \
  for (int first = 0; first < (l)->tiles * (l)->weight.halves; first += (l)->vectors)

// Groups [from, to), at most a fold, from zero.
void linear_sum(linear_t *l, const linear_block_t *block, ir_value_t from, ir_value_t to,
                ir_value_t *acc);
// Outputs of half a tile, or a whole one, for token m: `y` with bias, gated activation and
// residual.
void linear_output(linear_t *l, ir_value_t y, ir_value_t tile, int half, ir_value_t m);
// Outputs from accumulators.
void linear_finish(linear_t *l, const linear_block_t *block, const ir_value_t *acc);
// What is done before a unit's outputs for tokens [from, to) are made, and after.
void linear_unit_begin(linear_t *l, ir_value_t unit, ir_value_t from, ir_value_t to);
void linear_unit_end(linear_t *l, ir_value_t unit, ir_value_t from, ir_value_t to);

// ---- split columns (linear_split.c); `part` counts parts of units
// The folds of a part, for tokens [m, m + tokens).
void linear_split_add(linear_t *l, ir_value_t part, ir_value_t m, int tokens);
// After all M tokens of a part: whoever is last of its unit makes the outputs.
void linear_split_end(linear_t *l, ir_value_t part, ir_value_t M);

// acc[v * tokens + t] += the group's products; a lane is a row of weights.
void linear_codes(linear_t *l, const linear_group_t *g, ir_value_t *acc);  // q8 rows
void linear_reals(linear_t *l, const linear_group_t *g, ir_value_t *acc);  // f32 rows
void linear_signs(linear_t *l, const linear_group_t *g, ir_value_t *acc);  // b1 rows (signs.c)

// Step `step` (16 columns) of the group.
linear_group_t linear_step(linear_t *l, const linear_group_t *g, ir_value_t step);
// Calls `body` on steps [first, first + count) of the group; gemv has them one after the other, the
// others, whose bodies are long, in a loop that carries `values`.
typedef void linear_step_fn(linear_t *l, const linear_group_t *step, int plane, ir_value_t *values);
void linear_steps(linear_t *l, const linear_group_t *g, int first, int count, int plane,
                  linear_step_fn *body, ir_value_t *values, size_t value_count);

// Decoded weights of a step: vector v of plane `plane`, its quad (q8 rows) or column (f32 rows)
// `index`.
int64_t linear_panel_bytes(const linear_t *l);  // of a group
ir_value_t linear_weight(linear_t *l, const linear_group_t *step, int v, int plane, int index);
void linear_decode(linear_t *l, const linear_group_t *g, ir_value_t to);  // a group

// ---- gemm
typedef struct linear_pass {  // of tokens [from, to) over a unit
  ir_value_t panel, sums;     // sums: f32 (tokens, vectors, lanes)
  ir_value_t totals;          // of folds that are over; the sums where those are whole
  ir_value_t from, to;
} linear_pass_t;

// Where blocks of `tokens` from `from` on end: as many as fit before `to`.
ir_value_t linear_cover(kernel_t *k, ir_value_t from, ir_value_t to, int tokens);

// ---- AMX tiles (linear_tile.c)
typedef struct linear_tiles {
  int64_t run;               // groups in the panel, at most
  ir_value_t panel, scales;  // decoded codes and scales of the weights
  ir_value_t products;       // two, 16 x 16 i32
  ir_value_t tail, tail_scales;
} linear_tiles_t;

// Outside loops, once; close it before the kernel returns.
void linear_tiles_open(linear_t *l, int64_t run, linear_tiles_t *out);
void linear_tiles_close(linear_t *l);
// Groups [from, to) of the block at tile `row_tile` onto the sums of the pass, which hold a
// multiple of 16 tokens.
void linear_tiles_run(linear_t *l, const linear_tiles_t *tiles, const linear_pass_t *pass,
                      ir_value_t row_tile, ir_value_t from, ir_value_t to);

#endif
