// Rewriting in the middle of a block. The builder appends at a block's end; a rewrite moves what it
// appended to before an anchor.
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include "passes/pass_internal.h"

MlirOperation hone_block_first(const ir_block_t *block) {
  MlirRegion body = mlirOperationGetRegion(block->function, 0);
  return mlirBlockGetFirstOperation(mlirRegionGetFirstBlock(body));
}

size_t hone_value_uses(ir_value_t value) {
  size_t count = 0;
  MlirOpOperand use = mlirValueGetFirstUse(value);
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) count++;
  return count;
}

MlirOperation hone_value_owner(ir_value_t value) {
  if (ir_value_is_null(value) || !mlirValueIsAOpResult(value)) return (MlirOperation){0};
  return mlirOpResultGetOwner(value);
}

void hone_rewrite_begin(hone_rewrite_t *rewrite, ir_model_t *model, MlirOperation anchor,
                        hone_status_t *status) {
  MlirBlock block = mlirOperationGetBlock(anchor);
  *rewrite = (hone_rewrite_t){
      .builder = {.context = ir_session_context(model->session), .block = block, .status = status},
      .anchor = anchor,
      .last = mlirBlockGetTerminator(block),
  };
}

bool hone_rewrite_end(hone_rewrite_t *rewrite) {
  MlirOperation op = mlirOperationGetNextInBlock(rewrite->last);
  while (!mlirOperationIsNull(op)) {
    MlirOperation next = mlirOperationGetNextInBlock(op);
    mlirOperationMoveBefore(op, rewrite->anchor);
    op = next;
  }
  return !ir_failed(&rewrite->builder);
}

void hone_op_replace(MlirOperation op, ir_value_t value) {
  mlirValueReplaceAllUsesOfWith(mlirOperationGetResult(op, 0), value);
  mlirOperationDestroy(op);
}

void hone_op_set_int(MlirOperation op, const char *name, int64_t value) {
  MlirContext context = mlirOperationGetContext(op);
  MlirAttribute attribute = mlirIntegerAttrGet(mlirIntegerTypeGet(context, 64), value);
  mlirOperationSetAttributeByName(op, mlirStringRefCreateFromCString(name), attribute);
}
