// The IR builder: the state every emitting verb works on, and the one place (with the rest of ir/)
// that touches mlirOperationState. The first failure sticks in the builder and is asked once, by
// ir_finish. Verbs for upstream dialects and scopes (IR_FOR) are in ir/emit.h.
//
// One emitting call per statement: C does not order arguments. No break, goto or return inside
// IR_FOR. Thread rule: one builder, one thread, one context.
#ifndef HONE_IR_BUILDER_H
#define HONE_IR_BUILDER_H

#include <mlir-c/IR.h>

#include "hone/status.h"

typedef MlirValue ir_value_t;
typedef MlirType ir_type_t;
typedef MlirAttribute ir_attribute_t;

typedef struct ir_builder {
  MlirContext context;
  MlirBlock block;   // insertion point: the end of this block
  const char *file;  // C source location that becomes the MLIR location; NULL: unknown
  int line;
  int open_regions;  // IR_FOR nesting; ir_finish reports a region left open
  hone_status_t *status;
  bool failed;  // sticky; also true in effect when *status holds a failure
} ir_builder_t;

typedef struct ir_named {
  const char *name;
  ir_attribute_t value;
} ir_named_t;

// What one op is made of. Regions are adopted (destroyed on failure). Zero = none.
typedef struct ir_op_spec {
  const char *name;  // "arith.addf"
  const ir_value_t *operands;
  size_t operand_count;
  const ir_type_t *results;
  size_t result_count;
  const ir_named_t *attributes;
  size_t attribute_count;
  MlirRegion *regions;
  size_t region_count;
} ir_op_spec_t;

// Appends the op at the insertion point. On failure (unknown op, null operand, bad attribute) the
// builder's status is set and a null operation is returned; later calls do nothing.
MlirOperation ir_create(ir_builder_t *b, const ir_op_spec_t *spec);
bool ir_failed(const ir_builder_t *b);
// Records a failure of the code that emits: HONE_INTERNAL, with the C place the builder is at.
void ir_reject(ir_builder_t *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Result `index` of an op that ir_create returned; a null value for the null operation.
ir_value_t ir_result(MlirOperation op, size_t index);
// The location made of the builder's C place.
MlirLocation ir_location(const ir_builder_t *b);
// Verifies `op` (often the module) and reports the first failure since the builder was made.
HONE_MUST_CHECK bool ir_finish(ir_builder_t *b, MlirOperation op);

// Marks the C line that the next ops come from; evaluates to the builder.
#define IR_AT(b) ((b)->file = __FILE__, (b)->line = __LINE__, (b))

#endif
