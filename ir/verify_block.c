// The verifier's part for functions: @forward is a chain of calls, every other function is a block.
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <stdio.h>
#include <string.h>

#include "ir/verify_internal.h"

// hone.kind, hone.layer: known, and going together.
static void check_kind(ir_verifier_t *v, MlirOperation function) {
  MlirStringRef kind;
  bool layered = false;
  MlirAttribute layer = ir_attribute(function, "hone.layer");
  v->layer = -1;
  if (!ir_attribute_text(ir_attribute(function, "hone.kind"), &kind)) {
    ir_verify_fail(v, function, "a block needs the attribute hone.kind (see docs/ir.md)");
    return;
  }
  if (!ir_kind_known(kind, &layered)) {
    ir_verify_fail(v, function, "unknown block kind \"%.*s\" (see ir/kinds.def)",
                   kind.length > 60 ? 60 : (int)kind.length, kind.data);
    return;
  }
  bool has_layer = ir_attribute_i64(layer, &v->layer);
  if (!mlirAttributeIsNull(layer) && (!has_layer || v->layer < 0 || v->layer > 65535)) {
    ir_verify_fail(v, function, "hone.layer must be an integer from 0 to 65535");
    v->layer = -1;
  } else if (layered != has_layer) {
    ir_verify_fail(v, function, "a block of kind \"%.*s\" %s hone.layer", (int)kind.length,
                   kind.data, layered ? "needs" : "has no");
  }
}

static void check_body_op(ir_verifier_t *v, MlirOperation op) {
  if (ir_op_is(op, "func.return")) return;
  if (ir_op_is(op, "func.call") || ir_op_is(op, "func.call_indirect")) {
    ir_verify_fail(v, op, "a block calls nothing; only @forward calls");
  } else if (ir_op_kind(op) == IR_OP_OTHER) {
    ir_verify_fail(v, op, "a block holds ops of the hone dialect only");
  } else {
    ir_verify_op(v, op);
  }
}

static void check_block(ir_verifier_t *v, MlirOperation function) {
  check_kind(v, function);
  MlirBlock body = ir_function_body(function);
  if (mlirBlockIsNull(body)) {
    ir_verify_fail(v, function, "a block function has a body of one basic block");
    return;
  }
  MlirAttribute attribute = ir_attribute(function, "function_type");
  MlirType type = mlirTypeAttrGetValue(attribute);
  if (mlirFunctionTypeGetNumInputs(type) != 1 || mlirFunctionTypeGetNumResults(type) != 1) {
    ir_verify_fail(v, function, "a block has one argument and one result");
    return;
  }
  MlirOperation op = mlirBlockGetFirstOperation(body);
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) check_body_op(v, op);
}

// One call of @forward: applied to the result before it. (A block may be called again; the pass
// canonical then gives each call a copy.)
static void check_call(ir_verifier_t *v, MlirOperation call, MlirValue previous) {
  MlirStringRef callee;
  if (!ir_attribute_symbol(ir_attribute(call, "callee"), &callee)) {
    ir_verify_fail(v, call, "the callee is not a function of this module");
    return;
  }
  const char *name = ir_ref_copy(callee, v->arena);
  if (mlirOperationIsNull(ir_function_find(v->model, name))) {
    ir_verify_fail(v, call, "there is no function @%s", name);
  }
  if (ir_ref_is(callee, "forward")) ir_verify_fail(v, call, "@forward calls itself");
  bool chained = mlirOperationGetNumOperands(call) == 1 &&
                 mlirValueEqual(mlirOperationGetOperand(call, 0), previous);
  if (!chained || mlirOperationGetNumResults(call) != 1) {
    ir_verify_fail(v, call, "@%s must be applied to the result of the call before it", name);
  }
}

static void check_forward_type(ir_verifier_t *v, MlirOperation forward) {
  MlirType type = mlirTypeAttrGetValue(ir_attribute(forward, "function_type"));
  MlirType ids = ir_ids_type(v->context);
  bool inputs = mlirFunctionTypeGetNumInputs(type) == 1 &&
                mlirTypeEqual(mlirFunctionTypeGetInput(type, 0), ids);
  if (!inputs) ir_verify_fail(v, forward, "@forward takes one tensor<?xi32> of token ids");
  if (!v->has_config) return;
  MlirType logits = ir_tensor_type(v->context, (hone_format_t){.storage = HONE_F32}, 2,
                                   (int64_t[]){-1, v->config.vocab});
  bool results = mlirFunctionTypeGetNumResults(type) == 1 &&
                 mlirTypeEqual(mlirFunctionTypeGetResult(type, 0), logits);
  if (results) return;
  ir_verify_fail(v, forward, "@forward must return one %s: a row of logits for each token",
                 ir_verify_type_text(v, logits));
}

static void check_forward(ir_verifier_t *v, MlirOperation forward) {
  size_t errors = v->error_count;
  MlirBlock body = ir_function_body(forward);
  if (mlirBlockIsNull(body)) {
    ir_verify_fail(v, forward, "@forward has a body of one basic block");
    return;
  }
  check_forward_type(v, forward);
  if (mlirBlockGetNumArguments(body) != 1) return;
  size_t calls = 0;
  MlirValue previous = mlirBlockGetArgument(body, 0);
  MlirOperation op = mlirBlockGetFirstOperation(body);
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    if (ir_op_is(op, "func.call")) {
      check_call(v, op, previous);
      calls++;
      if (mlirOperationGetNumResults(op) != 1) return;
      previous = mlirOperationGetResult(op, 0);
    } else if (!ir_op_is(op, "func.return")) {
      ir_verify_fail(v, op, "@forward holds calls of blocks and a return only");
      return;
    } else if (mlirOperationGetNumOperands(op) != 1 ||
               !mlirValueEqual(mlirOperationGetOperand(op, 0), previous)) {
      ir_verify_fail(v, op, "@forward must return the result of its last call");
    }
  }
  if (calls == 0 && v->error_count == errors) {
    ir_verify_fail(v, forward, "@forward calls no block");
  }
}

void ir_verify_functions(ir_verifier_t *v) {
  MlirOperation module = mlirModuleGetOperation(v->model->module);
  if (mlirOperationIsNull(ir_function_find(v->model, "forward"))) {
    ir_verify_fail(v, module, "the model has no function @forward");
  }
  MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(v->model->module));
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    MlirStringRef name;
    if (!ir_op_is(op, "func.func") || !ir_attribute_text(ir_attribute(op, "sym_name"), &name)) {
      continue;
    }
    v->function = NULL;
    if (!ir_ref_is_symbol(name)) {
      ir_verify_fail(v, op, "sym_name must be a letter, _ or $, then letters, digits and . _ $ -");
      continue;
    }
    v->function = ir_ref_copy(name, v->arena);
    if (ir_ref_is(name, "forward")) {
      check_forward(v, op);
    } else {
      check_block(v, op);
    }
  }
  v->function = NULL;
}
