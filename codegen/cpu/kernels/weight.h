// Packed weights (base/packed.h) in registers, a row of weights to a lane: codes as int8 for q8
// rows of activations, levels as f32 for f32 rows, and scales. weight.c knows layout and scales,
// weight_real.c and weight_code.c what codes mean. Nothing here knows what is done with them.
//
// A tile's rows are `halves` vectors of `lanes` rows. Thread rule: the kernel's.
#ifndef HONE_CODEGEN_CPU_KERNELS_WEIGHT_H
#define HONE_CODEGEN_CPU_KERNELS_WEIGHT_H

#include "base/packed.h"
#include "codegen/cpu/kernels/kernels.h"

enum {
  HALVES_LIMIT = HONE_TILE_ROWS / 8,  // vectors of rows in a tile, on the narrowest ISA
  QUADS = HONE_GROUP / 4,             // of columns in a group
  STEPS = 4,                          // of 16 columns in a group
  STEP_QUADS = QUADS / STEPS,
  STEP_COLUMNS = HONE_GROUP / STEPS,
  LINE_BYTES = 64,  // codes of a quad, a byte each
};

// A weight operand. "Group" is 64 columns here, as in packed.h; groups of the format that are
// narrower make `parts`, wider ones share their scales.
typedef struct weight {
  const hone_format_info_t *info;
  int64_t group_bytes;       // codes of a group, all rows of a tile
  int64_t tile_bytes;        // codes of a tile
  int64_t scale_tile_bytes;  // scales of a tile
  int64_t groups, tiles;
  int64_t width;  // columns that share a scale; 0: plain floats
  int parts,
      planes;  // scales of a row in a group: parts * planes; plain floats: one of each, unused
  int halves;
  bool is_plain;
  ir_value_t codes;   // pointer to the first code
  ir_value_t scales;  // pointer to the first scale
  ir_value_t factor;  // nvfp4: of all scales, f32
  ir_value_t second;  // nf4dq: pointer to the second level of the scales
  // nf4dq: the places of hone_packed_second_t, each splat over a vector of rows.
  ir_value_t offset[HONE_PACKED_SOURCES], base[HONE_PACKED_SOURCES], begin[HONE_PACKED_SOURCES];
  ir_value_t mask, shift;
  int64_t row_groups;    // nf4dq: groups of the format in a row, pads left out
  ir_value_t low, high;  // levels as f32: 16 (on narrow vectors in halves), or 4 over and over
  ir_value_t bytes;      // 16 levels as int8 plus the bias, in every 16 bytes of a vector
  // int8 codes come as code + 2^bias, so that they are an unsigned factor; -1: they are signed.
  int bias;
  double unit;  // what an int8 code of 1 stands for
} weight_t;

// Loads what is the same for all rows; called once, before the loops. `integer`: for weight_quad,
// else for weight_real.
weight_t weight_open(kernel_t *k, ir_value_t pointer, bool integer);

// Where the codes and scales of a group of a tile are.
typedef struct weight_place {
  ir_value_t codes, scales;  // pointers
  ir_value_t upper;          // q6: to the upper two bits
  ir_value_t tile, group;    // numbers; group: of the format's groups, the first one in it
} weight_place_t;
weight_place_t weight_place(kernel_t *k, const weight_t *w, ir_value_t tile, ir_value_t group);
// The codes of step `step` (16 columns) of the group.
weight_place_t weight_step(kernel_t *k, const weight_t *w, const weight_place_t *place,
                           ir_value_t step);

// A lane for each row of a half of the tile: its scale of this part and plane, f32.
ir_value_t weight_scale(kernel_t *k, const weight_t *w, const weight_place_t *place, int half,
                        int part, int plane);

// ---- f32 (weight_real.c)
// A lane for each row of a half of the tile: what its code in column `column` of the place stands
// for before it is scaled; of one plane, 1 or -1, if there are planes.
ir_value_t weight_real(kernel_t *k, const weight_t *w, const weight_place_t *place, int half,
                       int plane, int column);

// ---- int8 (weight_code.c)
ir_value_t weight_table(kernel_t *k, const weight_t *w, ir_value_t parameters);
// The bias that weight_quad's codes have, as a power of two; -1: none.
int weight_bias(const kernel_t *k, const weight_t *w);
// Codes of four columns of the place, of the rows of a half, four bytes to a row.
ir_value_t weight_quad(kernel_t *k, const weight_t *w, const weight_place_t *place, int half,
                       int plane, int quad);

#endif
