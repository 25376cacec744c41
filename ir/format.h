// MLIR element types that carry number formats (base/format.h). Thread rule: the context's thread.
#ifndef HONE_IR_FORMAT_H
#define HONE_IR_FORMAT_H

#include "base/format.h"
#include "ir/builder.h"

ir_type_t ir_format_type(MlirContext context, hone_format_t format);     // f32, bf16, !hone.nf4<64>
bool ir_type_format(ir_type_t element_type, hone_format_t *out_format);  // false: not one of ours
// A ranked tensor of at most 8 dimensions; -1 = dynamic.
ir_type_t ir_tensor_type(MlirContext context, hone_format_t format, size_t rank,
                         const int64_t *shape);

#endif
