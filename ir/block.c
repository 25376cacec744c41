// Blocks: the functions that @forward calls, and the building of models block by block.
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include "ir/attribute_internal.h"

typedef struct kind {
  const char *name;
  bool layered;
} kind_t;

static const kind_t kinds[] = {
#define KIND(name, layered, summary) {#name, layered},
#include "ir/kinds.def"
#undef KIND
};

bool ir_kind_known(MlirStringRef kind, bool *out_layered) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (!ir_ref_is(kind, kinds[i].name)) continue;
    *out_layered = kinds[i].layered;
    return true;
  }
  return false;
}

// ---- reading

static MlirOperation next_call(MlirOperation op) {
  while (!mlirOperationIsNull(op) && !ir_op_is(op, "func.call")) {
    op = mlirOperationGetNextInBlock(op);
  }
  return op;
}

static MlirOperation first_call(const ir_model_t *model) {
  MlirBlock body = ir_function_body(ir_function_find(model, "forward"));
  if (mlirBlockIsNull(body)) return (MlirOperation){0};
  return next_call(mlirBlockGetFirstOperation(body));
}

size_t ir_block_count(const ir_model_t *model) {
  size_t count = 0;
  MlirOperation call = first_call(model);
  for (; !mlirOperationIsNull(call); call = next_call(mlirOperationGetNextInBlock(call))) count++;
  return count;
}

bool ir_block_at(const ir_model_t *model, size_t index, ir_block_t *out_block) {
  MlirOperation call = first_call(model);
  for (; !mlirOperationIsNull(call) && index > 0; index--) {
    call = next_call(mlirOperationGetNextInBlock(call));
  }
  MlirStringRef name, kind;
  if (!ir_attribute_symbol(ir_attribute(call, "callee"), &name)) return false;
  hone_arena_t *arena = ir_session_arena(model->session);
  ir_block_t block = {.call = call, .name = ir_ref_copy(name, arena), .kind = "", .layer = -1};
  block.function = ir_function_find(model, block.name);
  if (mlirOperationIsNull(block.function)) return false;
  if (ir_attribute_text(ir_attribute(block.function, "hone.kind"), &kind)) {
    block.kind = ir_ref_copy(kind, arena);
  }
  ir_attribute_i64(ir_attribute(block.function, "hone.layer"), &block.layer);
  *out_block = block;
  return true;
}

// ---- building

MlirType ir_ids_type(MlirContext context) {
  int64_t any = mlirShapedTypeGetDynamicSize();
  return mlirRankedTensorTypeGet(1, &any, mlirIntegerTypeGet(context, 32), mlirAttributeGetNull());
}

static MlirAttribute function_type(MlirContext context, MlirType argument, const MlirType *result) {
  return mlirTypeAttrGet(mlirFunctionTypeGet(context, 1, &argument, result ? 1 : 0, result));
}

// A func.func with one argument, an empty body and no results yet, detached.
static MlirOperation make_function(ir_builder_t *b, const char *name, MlirType argument,
                                   const ir_named_t *extra, size_t extra_count) {
  MlirLocation location = ir_location(b);
  MlirBlock body = mlirBlockCreate(1, &argument, &location);
  MlirRegion region = mlirRegionCreate();
  mlirRegionAppendOwnedBlock(region, body);
  ir_named_t attributes[6] = {
      {"sym_name", ir_make_text(b->context, name)},
      {"function_type", function_type(b->context, argument, NULL)},
  };
  for (size_t i = 0; i < extra_count; i++) attributes[2 + i] = extra[i];
  return ir_create(b, &(ir_op_spec_t){.name = "func.func",
                                      .attributes = attributes,
                                      .attribute_count = 2 + extra_count,
                                      .regions = &region,
                                      .region_count = 1});
}

// What the next block of @forward is applied to: the last call's result, or the token ids.
static MlirValue chain_end(MlirBlock body) {
  MlirValue value = mlirBlockGetArgument(body, 0);
  MlirOperation op = mlirBlockGetFirstOperation(body);
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    if (ir_op_is(op, "func.call")) value = mlirOperationGetResult(op, 0);
  }
  return value;
}

static bool check_block(ir_model_t *model, const char *name, const char *kind, int64_t layer,
                        hone_status_t *status) {
  bool layered = false;
  if (!ir_ref_is_symbol(ir_ref(name))) {
    return hone_fail(status, HONE_INVALID, "'%.80s' cannot be the name of a block", name);
  }
  if (!ir_kind_known(ir_ref(kind), &layered)) {
    return hone_fail(status, HONE_INVALID, "block @%s has the unknown kind '%s'", name, kind);
  }
  if (layered != (layer >= 0)) {
    return hone_fail(status, HONE_INVALID, "block @%s of kind %s needs %s", name, kind,
                     layered ? "a layer number" : "layer -1 (it is outside the stack)");
  }
  bool taken = !mlirOperationIsNull(ir_function_find(model, name)) ||
               !mlirOperationIsNull(ir_recipe_find(model, ir_ref(name)));
  if (taken) return hone_fail(status, HONE_INVALID, "the name @%s is taken already", name);
  return true;
}

bool ir_block_begin(ir_model_t *model, const char *name, const char *kind, int64_t layer,
                    ir_builder_t *out_builder, ir_value_t *out_argument, hone_status_t *status) {
  if (!check_block(model, name, kind, layer, status)) return false;
  MlirContext context = ir_session_context(model->session);
  const char *place = hone_arena_strdup(ir_session_arena(model->session), name);
  ir_builder_t b = {.context = context, .file = place, .line = 1, .status = status};
  MlirBlock module_body = mlirModuleGetBody(model->module);
  MlirOperation forward = ir_function_find(model, "forward");
  if (mlirOperationIsNull(forward)) {
    ir_builder_t outer = {.context = context, .file = "forward", .line = 1, .status = status};
    forward = make_function(&outer, "forward", ir_ids_type(context), NULL, 0);
    if (mlirOperationIsNull(forward)) return false;
    mlirBlockAppendOwnedOperation(module_body, forward);
  }
  MlirBlock forward_body = ir_function_body(forward);
  if (mlirBlockIsNull(forward_body) || mlirBlockGetNumArguments(forward_body) != 1) {
    return hone_fail(status, HONE_INVALID, "@forward is not a chain of calls from token ids");
  }
  MlirType argument = mlirValueGetType(chain_end(forward_body));
  const ir_named_t extra[] = {
      {"sym_visibility", ir_make_text(context, "private")},
      {"hone.kind", ir_make_text(context, kind)},
      {"hone.layer", ir_make_i64(context, layer)},
  };
  MlirOperation function = make_function(&b, name, argument, extra, layer >= 0 ? 3 : 2);
  if (mlirOperationIsNull(function)) return false;
  mlirBlockInsertOwnedOperationBefore(module_body, forward, function);
  b.block = ir_function_body(function);
  *out_builder = b;
  *out_argument = mlirBlockGetArgument(b.block, 0);
  return true;
}

bool ir_block_end(ir_model_t *model, ir_builder_t *b, ir_value_t result) {
  ir_create(b, &(ir_op_spec_t){.name = "func.return", .operands = &result, .operand_count = 1});
  if (ir_failed(b)) return false;
  MlirContext context = b->context;
  MlirOperation function = mlirBlockGetParentOperation(b->block);
  MlirType type = mlirValueGetType(result);
  MlirType argument = mlirValueGetType(mlirBlockGetArgument(b->block, 0));
  mlirOperationSetAttributeByName(function, ir_ref("function_type"),
                                  function_type(context, argument, &type));
  MlirStringRef symbol = {0};
  ir_attribute_text(ir_attribute(function, "sym_name"), &symbol);

  MlirOperation forward = ir_function_find(model, "forward");
  MlirBlock body = ir_function_body(forward);
  MlirValue end = chain_end(body);
  ir_builder_t outer = {
      .context = context, .block = body, .file = b->file, .line = 1, .status = b->status};
  const ir_named_t callee = {"callee", mlirFlatSymbolRefAttrGet(context, symbol)};
  ir_create(&outer, &(ir_op_spec_t){.name = "func.call",
                                    .operands = &end,
                                    .operand_count = 1,
                                    .results = &type,
                                    .result_count = 1,
                                    .attributes = &callee,
                                    .attribute_count = 1});
  MlirType ids = mlirValueGetType(mlirBlockGetArgument(body, 0));
  mlirOperationSetAttributeByName(forward, ir_ref("function_type"),
                                  function_type(context, ids, &type));
  return !ir_failed(&outer);
}

bool ir_model_finish(ir_model_t *model, hone_status_t *status) {
  MlirBlock body = ir_function_body(ir_function_find(model, "forward"));
  if (mlirBlockIsNull(body)) return hone_fail(status, HONE_INVALID, "the model has no blocks");
  MlirValue end = chain_end(body);
  ir_builder_t b = {.context = ir_session_context(model->session),
                    .block = body,
                    .file = "forward",
                    .line = 1,
                    .status = status};
  ir_create(&b, &(ir_op_spec_t){.name = "func.return", .operands = &end, .operand_count = 1});
  return !ir_failed(&b) && ir_model_verify(model, status);
}
