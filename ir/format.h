// Number formats (ir/formats.def) as the compiler knows them, and MLIR element types that carry
// them. Thread rule: the table is const; type functions belong to the context's thread.
#ifndef HONE_IR_FORMAT_H
#define HONE_IR_FORMAT_H

#include "base/artefact.h"
#include "ir/builder.h"

typedef struct hone_format_info {
  const char *name;
  hone_storage_t storage;
  uint32_t code_bits;
  bool grouped;
  uint32_t scale_bits;
  const char *grid;        // "float", "linear", "table"
  hone_storage_t compute;  // activation format its kernels prefer
  const char *summary;
} hone_format_info_t;

typedef struct hone_format {  // a format with its parameter
  hone_storage_t storage;
  uint32_t group;  // 0 for plain floats
} hone_format_t;

const hone_format_info_t *hone_format_info(hone_storage_t storage);  // NULL: no such format
size_t hone_format_count(void);
const hone_format_info_t *hone_format_at(size_t index);  // table order, for `hone list formats`
// The groups that packed layouts (base/artefact.h) know.
bool hone_format_group_known(uint32_t group);
// "nf4", "nf4<64>", "bf16"; group defaults to 64. Errors name the nearest format.
HONE_MUST_CHECK bool hone_format_parse(const char *text, hone_format_t *out_format,
                                       hone_status_t *status);
// "nf4<64>"; `out` holds at least 24 bytes.
const char *hone_format_text(hone_format_t format, char out[24]);
// All bits stored per weight, scales included: 4.25 for nf4<64>.
double hone_format_bits(hone_format_t format);
bool hone_format_equal(hone_format_t a, hone_format_t b);

ir_type_t ir_format_type(MlirContext context, hone_format_t format);     // f32, bf16, !hone.nf4<64>
bool ir_type_format(ir_type_t element_type, hone_format_t *out_format);  // false: not one of ours
// A ranked tensor of at most 8 dimensions; -1 = dynamic.
ir_type_t ir_tensor_type(MlirContext context, hone_format_t format, size_t rank,
                         const int64_t *shape);

#endif
