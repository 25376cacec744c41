// Number formats: the table of base/formats.def, its text form and honest sizes. What codes mean is
// quant/grid.h; how they lie in memory is base/packed.h. Thread rule: the table is const.
#ifndef HONE_BASE_FORMAT_H
#define HONE_BASE_FORMAT_H

#include "base/artefact.h"
#include "hone/status.h"

typedef enum hone_scale {
  HONE_SCALE_NONE,
  HONE_SCALE_F16,
  HONE_SCALE_E8M0,  // 2^(code - 127)
  HONE_SCALE_E4M3,  // a positive E4M3 number times the tensor's f32
  HONE_SCALE_DQ8,   // a level of quant/nested.h times the f32 of 256 groups, plus the tensor's f32
} hone_scale_t;

typedef enum hone_grid_kind {
  HONE_GRID_FLOAT,
  HONE_GRID_LINEAR,
  HONE_GRID_TABLE,
  HONE_GRID_LEARNED,
  HONE_GRID_PLANES,
} hone_grid_kind_t;

enum { HONE_SCALE_BLOCK = 256 };  // scales that share a second-level one (dq8)

typedef struct hone_format_info {
  const char *name;
  hone_storage_t storage;
  uint32_t code_bits;
  uint32_t planes;  // scales per group
  hone_scale_t scale;
  uint32_t group, narrowest, widest;  // 0 for plain floats
  hone_grid_kind_t grid;
  hone_storage_t compute;  // activation format its kernels prefer
  const char *summary;
} hone_format_info_t;

typedef struct hone_format {  // a format with its parameter
  hone_storage_t storage;
  uint32_t group;  // 0 for plain floats
} hone_format_t;

// How a tensor's numbers are stored already: packing it so keeps every value.
typedef struct hone_native {
  hone_format_t format;
  float factor;           // of nvfp4's scales, else 0
  const uint8_t *second;  // of nf4dq: f32 for every 256 scales, not aligned; else NULL
  uint64_t second_count;
  float offset;  // of nf4dq's scales
} hone_native_t;

const hone_format_info_t *hone_format_info(hone_storage_t storage);  // NULL: no such format
size_t hone_format_count(void);
const hone_format_info_t *hone_format_at(size_t index);  // table order, for `hone list formats`
hone_format_t hone_format_default(hone_storage_t storage);
bool hone_format_group_known(hone_format_t format);
bool hone_format_is_quantized(hone_storage_t storage);  // has scales
uint32_t hone_scale_bits(hone_scale_t scale);           // 0, 16, 8, 8, 8
// "nf4", "nf4<32>", "nf4:32" (no quotes needed in a shell), "bf16"; the group defaults to the
// table's. Errors name the nearest format.
HONE_MUST_CHECK bool hone_format_parse(const char *text, hone_format_t *out_format,
                                       hone_status_t *status);
// "nf4<64>"; `out` holds at least 24 bytes.
const char *hone_format_text(hone_format_t format, char out[24]);
// Bits stored per weight of a long row, scales included: 4.25 for nf4<64>.
double hone_format_bits(hone_format_t format);
// All bits of an (N, K) tensor: codes, scales of every begun group, tables. No padding. (Each
// further source of a merged tensor in nf4dq adds an offset, and a second-level scale at most.)
uint64_t hone_format_tensor_bits(hone_format_t format, uint64_t N, uint64_t K);
bool hone_format_equal(hone_format_t a, hone_format_t b);

#endif
