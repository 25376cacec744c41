// Packed weights (base/packed.h) in registers: codes as f32 for f32 activation rows, as int8 for q8
// rows, and their scales. weight.c knows layout and scales, weight_real.c and weight_code.c what
// codes mean. Nothing here knows what is done with them. Thread rule: the kernel's.
#ifndef HONE_CODEGEN_CPU_KERNELS_WEIGHT_H
#define HONE_CODEGEN_CPU_KERNELS_WEIGHT_H

#include "base/packed.h"
#include "codegen/cpu/kernels/kernels.h"

enum {
  PARTS_LIMIT = 4,   // scales of one plane in 64 codes: groups of 16
  SPLITS_LIMIT = 6,  // scales of all planes in 64 codes: bcq3 in groups of 32
  SCALES_LIMIT = 48  // values of weight_scales
};

// A weight operand. "Group" is 64 columns here, as in packed.h's code plane; groups of the format
// that are narrower make `parts`, wider ones share their scales.
typedef struct weight {
  const hone_format_info_t *info;
  int64_t row_bytes;         // from lane r to lane r + 1 within a group
  int64_t group_bytes;       // codes of a group, all rows of a tile
  int64_t tile_bytes;        // codes of a tile
  int64_t scale_tile_bytes;  // scales of a tile
  int64_t groups, tiles;
  int64_t width;      // columns that share a scale; 0: plain floats
  int parts, planes;  // scales of a row in a group: parts * planes; 0: plain floats
  ir_value_t codes;   // pointer to the first code
  ir_value_t scales;  // pointer to the first scale
  ir_value_t factor;  // nvfp4: of all scales, f32
  ir_value_t second;  // nf4dq: pointer to the second level of the scales
  // nf4dq: the places of hone_packed_second_t, each splat over the rows of a tile.
  ir_value_t offset[HONE_PACKED_SOURCES], base[HONE_PACKED_SOURCES], begin[HONE_PACKED_SOURCES];
  ir_value_t mask, shift;
  int64_t row_groups;    // nf4dq: groups of the format in a row, pads left out
  ir_value_t low, high;  // levels as f32: 16 (on narrow vectors in halves), or 4 over and over
  ir_value_t bytes;      // 16 levels as int8 plus `bias`, in every 16 bytes of a vector
  // int8 codes come as code + bias, so that they are an unsigned factor; 0: they are signed.
  int bias;
  double unit;  // what an int8 code of 1 stands for
} weight_t;

// Loads what is the same for all rows; called once, before the loops. `integer`: for weight_codes,
// else for weight_reals.
weight_t weight_open(kernel_t *k, ir_value_t pointer, bool integer);

// ---- scales
typedef struct weight_place {  // of the scales of a group
  ir_value_t at;               // pointer
  ir_value_t row;              // the first one
  // nf4dq, a lane for each row of a tile from `row` on:
  ir_value_t numbers;  // of the first of them
  ir_value_t offsets;  // of the row's source
} weight_place_t;
// `tile` points at the scales of the tile (or of one row in it), `row` is its first row (or that
// one).
weight_place_t weight_scales_at(kernel_t *k, const weight_t *w, ir_value_t tile, ir_value_t row,
                                ir_value_t group);
// The scales of a group for all rows of a tile, so many f32, in weight_scale_lanes' order.
ir_value_t weight_scales(kernel_t *k, const weight_t *w, const weight_place_t *place);
int weight_scales_count(const kernel_t *k, const weight_t *w);
// A vector with the scale of part[i] in lane i.
ir_value_t weight_scale_lanes(kernel_t *k, const weight_t *w, ir_value_t scales, const int *part,
                              int plane, int row);
// A lane for each row of the tile: its scale of this part and plane.
ir_value_t weight_scale_rows(kernel_t *k, const weight_t *w, ir_value_t scales, int part,
                             int plane);
// One scale, of lane 0 at `place`, as a splat.
ir_value_t weight_scale(kernel_t *k, const weight_t *w, const weight_place_t *place, int part,
                        int plane);

// ---- f32 (weight_real.c)
typedef struct weight_row {                        // a row of a group
  ir_value_t codes;                                // pointer
  ir_value_t scale[SPLITS_LIMIT];                  // splats, part-major
  ir_value_t low[PARTS_LIMIT], high[PARTS_LIMIT];  // tables times scale
  ir_value_t bytes[2];                             // q6: the codes as int8
} weight_row_t;
weight_row_t weight_row(kernel_t *k, const weight_t *w, ir_value_t codes, const ir_value_t *scale);
// Lanes [vector * lanes, ...) of the row as f32, scaled.
ir_value_t weight_reals(kernel_t *k, const weight_t *w, const weight_row_t *row, int vector);

// ---- int8 (weight_code.c)
ir_value_t weight_table(kernel_t *k, const weight_t *w, ir_value_t parameters);
// What weight_codes adds to codes.
int weight_bias(const kernel_t *k, const weight_t *w);
// A row of a group as 64 int8 in one vector or two; of one plane, as 1 and -1, if there are planes.
void weight_codes(kernel_t *k, const weight_t *w, ir_value_t codes, int plane, ir_value_t *out);

#endif
