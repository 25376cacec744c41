// Rows of signs (b1) times weights of binary planes. Thread rule: the kernel's.
#ifndef HONE_CODEGEN_CPU_KERNELS_SIGNS_H
#define HONE_CODEGEN_CPU_KERNELS_SIGNS_H

#include "codegen/cpu/kernels/weight.h"

// Adds a group of 64 columns to acc[t], 4 f32: a lane for each row of the tile. `codes` and
// `scales` are the tile's, rows[t] points at the group's bits of row t.
void signs_accumulate(kernel_t *k, const weight_t *w, ir_value_t codes,
                      const weight_place_t *scales, const ir_value_t *rows, ir_value_t *acc,
                      int tokens);

#endif
