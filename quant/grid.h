// What the codes of table formats mean: sixteen levels that a group's scale multiplies. Quantizers
// and kernels share these tables. Thread rule: const data.
#ifndef HONE_QUANT_GRID_H
#define HONE_QUANT_GRID_H

#include "base/format.h"

enum { HONE_GRID_LEVELS = 16 };

typedef struct hone_grid {
  float level[HONE_GRID_LEVELS];     // by code
  int8_t integer[HONE_GRID_LEVELS];  // for integer kernels: about level / unit
  float unit;
} hone_grid_t;

// NULL for formats whose grid is no fixed table.
const hone_grid_t *hone_grid_get(hone_storage_t storage);

// 2^(code - 127); codes of finite positive scales are 0..254.
float hone_f32_from_e8m0(uint8_t code);
// Unsigned E4M3: 0..0x7e, the largest is 448.
float hone_f32_from_e4m3(uint8_t code);

// The scale of signs with the least squared error on numbers of a normal distribution, in their
// root mean square: sqrt(2 / pi) (QuEST, arXiv 2502.05003).
#define HONE_SIGNS_SHARE 0.79788456080286536

#endif
