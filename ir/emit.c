// Verbs over ir_create: each knows the attributes its op needs. No kernels, no dialect of ours.
#include "ir/emit.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <string.h>

typedef enum result_rule { RESULT_SAME, RESULT_SECOND, RESULT_BITS, RESULT_ELEMENT } result_rule_t;

static const struct {
  const char *name;
  size_t operand_count;
  result_rule_t result;
  const char *attributes;
} verbs[] = {
#define OP(verb, name, operands, result, attributes) {name, operands, RESULT_##result, attributes},
#define CAST(verb, name)                             {name, 1, RESULT_SAME, ""},
#include "ir/upstream.def"
#undef CAST
#undef OP
};

enum { ATTRIBUTE_LIMIT = 4, CALL_LIMIT = 8 };

static MlirStringRef text_ref(const char *text) { return mlirStringRefCreateFromCString(text); }

// ---- types
ir_type_t ir_type(const ir_builder_t *b, ir_scalar_t scalar) {
  MlirContext c = b->context;
  switch (scalar) {
    case IR_I1: return mlirIntegerTypeGet(c, 1);
    case IR_I8: return mlirIntegerTypeGet(c, 8);
    case IR_I16: return mlirIntegerTypeGet(c, 16);
    case IR_I32: return mlirIntegerTypeGet(c, 32);
    case IR_I64: return mlirIntegerTypeGet(c, 64);
    case IR_F16: return mlirF16TypeGet(c);
    case IR_BF16: return mlirBF16TypeGet(c);
    case IR_REAL32: return mlirF32TypeGet(c);
    case IR_REAL64: return mlirF64TypeGet(c);
  }
  return (ir_type_t){0};
}

ir_type_t ir_vector(const ir_builder_t *b, ir_scalar_t scalar, int64_t lanes) {
  return mlirVectorTypeGet(1, &lanes, ir_type(b, scalar));
}

ir_type_t ir_pointer(const ir_builder_t *b) {
  return mlirTypeParseGet(b->context, text_ref("!llvm.ptr"));
}

static ir_type_t element_of(ir_type_t type) {
  return mlirTypeIsAVector(type) ? mlirShapedTypeGetElementType(type) : type;
}

static ir_type_t like(ir_type_t shape, ir_type_t element) {
  if (!mlirTypeIsAVector(shape)) return element;
  int64_t lanes = mlirShapedTypeGetDimSize(shape, 0);
  return mlirVectorTypeGet(1, &lanes, element);
}

// ---- ops
static ir_value_t create_one(ir_builder_t *b, const ir_op_spec_t *spec) {
  return ir_result(ir_create(b, spec), 0);
}

static bool usable(ir_builder_t *b, const char *name, const ir_value_t *operands, size_t count) {
  if (ir_failed(b)) return false;
  for (size_t i = 0; i < count; i++) {
    if (operands[i].ptr) continue;
    ir_reject(b, "operand %zu of %s is null", i, name);
    return false;
  }
  return true;
}

// The attributes of a table row: `names` is storage for what `out` points to.
static size_t parse_attributes(ir_builder_t *b, const char *text, ir_named_t out[ATTRIBUTE_LIMIT]) {
  if (!*text) return 0;
  ir_attribute_t all = mlirAttributeParseGet(b->context, text_ref(text));
  if (mlirAttributeIsNull(all)) {
    ir_reject(b, "attributes %s cannot be read", text);
    return 0;
  }
  size_t count = (size_t)mlirDictionaryAttrGetNumElements(all);
  for (size_t i = 0; i < count && i < ATTRIBUTE_LIMIT; i++) {
    MlirNamedAttribute item = mlirDictionaryAttrGetElement(all, (intptr_t)i);
    out[i] = (ir_named_t){mlirIdentifierStr(item.name).data, item.attribute};
  }
  return count;
}

ir_value_t ir_op_emit(ir_builder_t *b, ir_verb_t verb, const ir_value_t *operands, size_t count) {
  const char *name = verbs[verb].name;
  if (!usable(b, name, operands, count)) return (ir_value_t){0};
  if (count != verbs[verb].operand_count) {
    ir_reject(b, "%s takes %zu operands, not %zu", name, verbs[verb].operand_count, count);
    return (ir_value_t){0};
  }
  ir_type_t first = mlirValueGetType(operands[0]);
  ir_type_t result = first;
  switch (verbs[verb].result) {
    case RESULT_SAME: break;
    case RESULT_SECOND: result = mlirValueGetType(operands[1]); break;
    case RESULT_BITS: result = like(first, ir_type(b, IR_I1)); break;
    case RESULT_ELEMENT: result = element_of(first); break;
  }
  ir_named_t attributes[ATTRIBUTE_LIMIT];
  size_t attribute_count = parse_attributes(b, verbs[verb].attributes, attributes);
  return create_one(
      b, &(ir_op_spec_t){name, operands, count, &result, 1, attributes, attribute_count, NULL, 0});
}

ir_value_t ir_cast_emit(ir_builder_t *b, ir_verb_t verb, ir_type_t type, ir_value_t x) {
  return create_one(b, &(ir_op_spec_t){verbs[verb].name, &x, 1, &type, 1, NULL, 0, NULL, 0});
}

// ---- constants
static ir_value_t constant(ir_builder_t *b, ir_attribute_t value) {
  if (ir_failed(b)) return (ir_value_t){0};
  ir_type_t type = mlirAttributeGetType(value);
  ir_named_t named = {"value", value};
  return create_one(b, &(ir_op_spec_t){"arith.constant", NULL, 0, &type, 1, &named, 1, NULL, 0});
}

static ir_value_t splat(ir_builder_t *b, ir_type_t type, ir_attribute_t element) {
  return constant(b,
                  mlirTypeIsAVector(type) ? mlirDenseElementsAttrSplatGet(type, element) : element);
}

ir_value_t ir_int(ir_builder_t *b, ir_type_t type, int64_t value) {
  return splat(b, type, mlirIntegerAttrGet(element_of(type), value));
}

ir_value_t ir_real(ir_builder_t *b, ir_type_t type, double value) {
  return splat(b, type, mlirFloatAttrDoubleGet(b->context, element_of(type), value));
}

ir_value_t ir_i64(ir_builder_t *b, int64_t value) { return ir_int(b, ir_type(b, IR_I64), value); }

ir_value_t ir_bytes(ir_builder_t *b, size_t count, const int8_t *values) {
  return constant(b, mlirDenseElementsAttrInt8Get(ir_vector(b, IR_I8, (int64_t)count),
                                                  (intptr_t)count, values));
}

ir_value_t ir_words(ir_builder_t *b, size_t count, const int32_t *values) {
  return constant(b, mlirDenseElementsAttrInt32Get(ir_vector(b, IR_I32, (int64_t)count),
                                                   (intptr_t)count, values));
}

ir_value_t ir_floats(ir_builder_t *b, size_t count, const float *values) {
  return constant(b, mlirDenseElementsAttrFloatGet(ir_vector(b, IR_REAL32, (int64_t)count),
                                                   (intptr_t)count, values));
}

// ---- vectors
ir_value_t ir_shuffle(ir_builder_t *b, ir_value_t x, ir_value_t y, size_t count,
                      const int64_t *lanes) {
  ir_value_t operands[] = {x, y};
  if (!usable(b, "vector.shuffle", operands, 2)) return (ir_value_t){0};
  int64_t shape = (int64_t)count;
  ir_type_t type = mlirVectorTypeGet(1, &shape, element_of(mlirValueGetType(x)));
  ir_named_t mask = {"mask", mlirDenseI64ArrayGet(b->context, (intptr_t)count, lanes)};
  return create_one(b, &(ir_op_spec_t){"vector.shuffle", operands, 2, &type, 1, &mask, 1, NULL, 0});
}

ir_value_t ir_lane(ir_builder_t *b, ir_value_t x, int64_t lane) {
  if (!usable(b, "vector.extract", &x, 1)) return (ir_value_t){0};
  ir_type_t type = element_of(mlirValueGetType(x));
  ir_named_t position = {"static_position", mlirDenseI64ArrayGet(b->context, 1, &lane)};
  return create_one(b, &(ir_op_spec_t){"vector.extract", &x, 1, &type, 1, &position, 1, NULL, 0});
}

// ---- memory
static ir_value_t element_pointer(ir_builder_t *b, const ir_value_t *operands, size_t count,
                                  int32_t index) {
  if (ir_failed(b)) return (ir_value_t){0};
  ir_type_t type = ir_pointer(b);
  ir_named_t attributes[] = {
      {"rawConstantIndices", mlirDenseI32ArrayGet(b->context, 1, &index)},
      {"elem_type", mlirTypeAttrGet(ir_type(b, IR_I8))},
  };
  return create_one(
      b, &(ir_op_spec_t){"llvm.getelementptr", operands, count, &type, 1, attributes, 2, NULL, 0});
}

ir_value_t ir_offset(ir_builder_t *b, ir_value_t pointer, ir_value_t bytes) {
  ir_value_t operands[] = {pointer, bytes};
  return element_pointer(b, operands, 2, INT32_MIN);  // INT32_MIN: taken from the operand
}

ir_value_t ir_advance(ir_builder_t *b, ir_value_t pointer, int64_t bytes) {
  if (bytes == 0) return pointer;
  if (bytes > INT32_MAX || bytes <= INT32_MIN) {
    ir_value_t far = ir_i64(b, bytes);
    return ir_offset(b, pointer, far);
  }
  return element_pointer(b, &pointer, 1, (int32_t)bytes);
}

// Without an alignment LLVM assumes the ABI's for the whole vector, so the element's is always
// given.
static ir_attribute_t alignment_of(ir_builder_t *b, ir_type_t type, int64_t alignment) {
  if (alignment == 0) {
    ir_type_t element = element_of(type);
    alignment = 8;
    if (mlirTypeIsAInteger(element)) alignment = mlirIntegerTypeGetWidth(element) / 8;
    if (mlirTypeIsAFloat(element)) alignment = mlirFloatTypeGetWidth(element) / 8;
  }
  return mlirIntegerAttrGet(ir_type(b, IR_I64), alignment);
}

ir_value_t ir_load(ir_builder_t *b, ir_type_t type, ir_value_t pointer, int64_t alignment) {
  if (ir_failed(b)) return (ir_value_t){0};
  ir_named_t named = {"alignment", alignment_of(b, type, alignment)};
  return create_one(b, &(ir_op_spec_t){"llvm.load", &pointer, 1, &type, 1, &named, 1, NULL, 0});
}

void ir_store(ir_builder_t *b, ir_value_t value, ir_value_t pointer, int64_t alignment) {
  ir_value_t operands[] = {value, pointer};
  if (!usable(b, "llvm.store", operands, 2)) return;
  ir_named_t named = {"alignment", alignment_of(b, mlirValueGetType(value), alignment)};
  ir_create(b, &(ir_op_spec_t){"llvm.store", operands, 2, NULL, 0, &named, 1, NULL, 0});
}

void ir_prefetch(ir_builder_t *b, ir_value_t pointer, int level) {
  if (!usable(b, "llvm.intr.prefetch", &pointer, 1)) return;
  ir_type_t type = ir_type(b, IR_I32);
  ir_named_t attributes[] = {
      {"rw", mlirIntegerAttrGet(type, 0)},
      {"hint", mlirIntegerAttrGet(type, level)},
      {"cache", mlirIntegerAttrGet(type, 1)},  // data
  };
  ir_create(b, &(ir_op_spec_t){"llvm.intr.prefetch", &pointer, 1, NULL, 0, attributes, 3, NULL, 0});
}

ir_value_t ir_stack(ir_builder_t *b, int64_t bytes, int64_t alignment) {
  if (ir_failed(b)) return (ir_value_t){0};
  ir_value_t count = ir_i64(b, bytes);
  ir_type_t type = ir_pointer(b);
  ir_named_t attributes[] = {
      {"alignment", mlirIntegerAttrGet(ir_type(b, IR_I64), alignment)},
      {"elem_type", mlirTypeAttrGet(ir_type(b, IR_I8))},
  };
  return create_one(b, &(ir_op_spec_t){"llvm.alloca", &count, 1, &type, 1, attributes, 2, NULL, 0});
}

// `type` NULL: no result.
static MlirOperation call_intrinsic(ir_builder_t *b, const char *name, const ir_type_t *type,
                                    const ir_value_t *operands, size_t count) {
  int32_t segments[] = {(int32_t)count, 0};
  ir_named_t attributes[] = {
      {"intrin", mlirStringAttrGet(b->context, text_ref(name))},
      {"operandSegmentSizes", mlirDenseI32ArrayGet(b->context, 2, segments)},
      {"op_bundle_sizes", mlirDenseI32ArrayGet(b->context, 0, NULL)},
  };
  return ir_create(b, &(ir_op_spec_t){"llvm.call_intrinsic", operands, count, type, type ? 1 : 0,
                                      attributes, 3, NULL, 0});
}

ir_value_t ir_intrinsic_emit(ir_builder_t *b, const char *name, ir_type_t type,
                             const ir_value_t *operands, size_t count) {
  if (!usable(b, name, operands, count)) return (ir_value_t){0};
  return ir_result(call_intrinsic(b, name, &type, operands, count), 0);
}

void ir_effect(ir_builder_t *b, const char *name, const ir_value_t *operands, size_t count) {
  if (usable(b, name, operands, count)) call_intrinsic(b, name, NULL, operands, count);
}

// ---- scopes
static ir_scope_t scope_begin(ir_builder_t *b, ir_value_t *values, size_t count) {
  ir_scope_t scope = {.open = true, .values = values, .count = count, .outer = b->block};
  b->open_regions++;
  if (count > IR_CARRY_LIMIT)
    ir_reject(b, "a scope carries %zu values, at most %d", count, IR_CARRY_LIMIT);
  if (count && !usable(b, "a scope", values, count)) return scope;
  for (size_t i = 0; i < count && !ir_failed(b); i++) scope.before[i] = values[i];
  return scope;
}

ir_scope_t ir_for_begin(ir_builder_t *b, ir_value_t low, ir_value_t high, ir_value_t step,
                        ir_value_t *values, size_t count) {
  ir_scope_t scope = scope_begin(b, values, count);
  scope.operands[0] = low, scope.operands[1] = high, scope.operands[2] = step;
  if (!usable(b, "scf.for", scope.operands, 3)) return scope;
  ir_type_t types[1 + IR_CARRY_LIMIT];
  MlirLocation places[1 + IR_CARRY_LIMIT];
  types[0] = ir_type(b, IR_I64);
  for (size_t i = 0; i < count; i++) types[i + 1] = mlirValueGetType(values[i]);
  for (size_t i = 0; i <= count; i++) places[i] = ir_location(b);
  scope.region = mlirRegionCreate();
  MlirBlock body = mlirBlockCreate((intptr_t)count + 1, types, places);
  mlirRegionAppendOwnedBlock(scope.region, body);
  scope.index = mlirBlockGetArgument(body, 0);
  for (size_t i = 0; i < count; i++) values[i] = mlirBlockGetArgument(body, (intptr_t)i + 1);
  b->block = body;
  return scope;
}

ir_scope_t ir_if_begin(ir_builder_t *b, ir_value_t condition, ir_value_t *values, size_t count) {
  ir_scope_t scope = scope_begin(b, values, count);
  scope.is_if = true;
  scope.operands[0] = condition;
  if (!usable(b, "scf.if", scope.operands, 1)) return scope;
  scope.region = mlirRegionCreate();
  MlirBlock body = mlirBlockCreate(0, NULL, NULL);
  mlirRegionAppendOwnedBlock(scope.region, body);
  b->block = body;
  return scope;
}

static void yield(ir_builder_t *b, const ir_value_t *values, size_t count) {
  ir_create(b, &(ir_op_spec_t){"scf.yield", values, count, NULL, 0, NULL, 0, NULL, 0});
}

// The else branch of a scope with values: yields what they were before.
static MlirRegion else_region(ir_builder_t *b, const ir_scope_t *scope) {
  MlirRegion region = mlirRegionCreate();
  if (scope->count == 0) return region;
  MlirBlock body = mlirBlockCreate(0, NULL, NULL);
  mlirRegionAppendOwnedBlock(region, body);
  b->block = body;
  yield(b, scope->before, scope->count);
  return region;
}

void ir_scope_end(ir_builder_t *b, ir_scope_t *scope) {
  scope->open = false;
  b->open_regions--;
  if (scope->region.ptr) yield(b, scope->values, scope->count);
  if (ir_failed(b)) {
    b->block = scope->outer;
    if (scope->region.ptr) mlirRegionDestroy(scope->region);
    return;
  }
  ir_value_t operands[3 + IR_CARRY_LIMIT];
  ir_type_t types[IR_CARRY_LIMIT];
  size_t operand_count = scope->is_if ? 1 : 3;
  for (size_t i = 0; i < operand_count; i++) operands[i] = scope->operands[i];
  for (size_t i = 0; i < scope->count; i++) types[i] = mlirValueGetType(scope->before[i]);
  for (size_t i = 0; i < scope->count && !scope->is_if; i++)
    operands[operand_count++] = scope->before[i];
  MlirRegion regions[2] = {scope->region};
  if (scope->is_if) regions[1] = else_region(b, scope);
  b->block = scope->outer;
  MlirOperation op =
      ir_create(b, &(ir_op_spec_t){scope->is_if ? "scf.if" : "scf.for", operands, operand_count,
                                   types, scope->count, NULL, 0, regions, scope->is_if ? 2 : 1});
  for (size_t i = 0; i < scope->count; i++) scope->values[i] = ir_result(op, i);
}

ir_function_t ir_function_begin(ir_builder_t *b, const char *name, const ir_type_t *types,
                                size_t count, ir_value_t *out_arguments) {
  ir_function_t function = {b->block};
  if (ir_failed(b)) return function;
  MlirLocation places[CALL_LIMIT];
  for (size_t i = 0; i < count && i < CALL_LIMIT; i++) places[i] = ir_location(b);
  MlirRegion region = mlirRegionCreate();
  MlirBlock body = mlirBlockCreate((intptr_t)count, types, places);
  mlirRegionAppendOwnedBlock(region, body);
  ir_type_t type = mlirFunctionTypeGet(b->context, (intptr_t)count, types, 0, NULL);
  ir_named_t attributes[] = {
      {"sym_name", mlirStringAttrGet(b->context, text_ref(name))},
      {"function_type", mlirTypeAttrGet(type)},
  };
  MlirOperation op =
      ir_create(b, &(ir_op_spec_t){"func.func", NULL, 0, NULL, 0, attributes, 2, &region, 1});
  if (mlirOperationIsNull(op)) return function;
  for (size_t i = 0; i < count; i++) out_arguments[i] = mlirBlockGetArgument(body, (intptr_t)i);
  b->block = body;
  return function;
}

void ir_function_end(ir_builder_t *b, ir_function_t *function) {
  ir_create(b, &(ir_op_spec_t){"func.return", NULL, 0, NULL, 0, NULL, 0, NULL, 0});
  b->block = function->outer;
}
