// Conversions between MLIR's strings and attributes and C values. No op of the dialect is known
// here.
#include "ir/attribute_internal.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <string.h>

MlirStringRef ir_ref(const char *text) { return mlirStringRefCreateFromCString(text); }

bool ir_ref_is(MlirStringRef ref, const char *text) {
  return ref.length == strlen(text) && memcmp(ref.data, text, ref.length) == 0;
}

const char *ir_ref_copy(MlirStringRef ref, hone_arena_t *arena) {
  return hone_arena_strndup(arena, ref.data ? ref.data : "", ref.length);
}

void ir_print_into(MlirStringRef chunk, void *buffer) {
  hone_buffer_add(buffer, chunk.data, chunk.length);
}

bool ir_op_is(MlirOperation op, const char *name) {
  return !mlirOperationIsNull(op) && ir_ref_is(mlirIdentifierStr(mlirOperationGetName(op)), name);
}

bool ir_ref_is_symbol(MlirStringRef ref) {
  if (ref.length == 0 || ref.length > IR_NAME_LIMIT) return false;
  for (size_t i = 0; i < ref.length; i++) {
    char c = ref.data[i];
    bool first = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
    bool later = (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!first && !(i > 0 && later)) return false;
  }
  return true;
}

MlirAttribute ir_attribute(MlirOperation op, const char *name) {
  if (mlirOperationIsNull(op)) return mlirAttributeGetNull();
  return mlirOperationGetAttributeByName(op, ir_ref(name));
}

bool ir_attribute_text(MlirAttribute attribute, MlirStringRef *out_text) {
  if (mlirAttributeIsNull(attribute) || !mlirAttributeIsAString(attribute)) return false;
  *out_text = mlirStringAttrGetValue(attribute);
  return true;
}

bool ir_attribute_symbol(MlirAttribute attribute, MlirStringRef *out_name) {
  if (mlirAttributeIsNull(attribute) || !mlirAttributeIsAFlatSymbolRef(attribute)) return false;
  *out_name = mlirFlatSymbolRefAttrGetValue(attribute);
  return true;
}

bool ir_attribute_i64(MlirAttribute attribute, int64_t *out_value) {
  if (mlirAttributeIsNull(attribute) || !mlirAttributeIsAInteger(attribute)) return false;
  MlirType type = mlirAttributeGetType(attribute);
  if (!mlirTypeIsAInteger(type) || !mlirIntegerTypeIsSignless(type)) return false;
  if (mlirIntegerTypeGetWidth(type) != 64) return false;
  *out_value = mlirIntegerAttrGetValueInt(attribute);
  return true;
}

bool ir_attribute_f64(MlirAttribute attribute, double *out_value) {
  if (mlirAttributeIsNull(attribute) || !mlirAttributeIsAFloat(attribute)) return false;
  MlirType type = mlirAttributeGetType(attribute);
  if (!mlirTypeIsAF64(type) && !mlirTypeIsAF32(type)) return false;
  *out_value = mlirFloatAttrGetValueDouble(attribute);
  return true;
}

bool ir_attribute_f64s(MlirAttribute attribute, hone_arena_t *arena, const double **out_values,
                       size_t *out_count) {
  if (mlirAttributeIsNull(attribute) || !mlirAttributeIsADenseF64Array(attribute)) return false;
  intptr_t count = mlirDenseArrayGetNumElements(attribute);
  double *values = HONE_NEW_ARRAY(arena, double, (size_t)count);
  for (intptr_t i = 0; i < count; i++) values[i] = mlirDenseF64ArrayGetElement(attribute, i);
  *out_values = values;
  *out_count = (size_t)count;
  return true;
}

MlirAttribute ir_make_text(MlirContext context, const char *text) {
  return mlirStringAttrGet(context, ir_ref(text));
}

MlirAttribute ir_make_symbol(MlirContext context, const char *name) {
  return mlirFlatSymbolRefAttrGet(context, ir_ref(name));
}

MlirAttribute ir_make_i64(MlirContext context, int64_t value) {
  return mlirIntegerAttrGet(mlirIntegerTypeGet(context, 64), value);
}

MlirAttribute ir_make_f64(MlirContext context, double value) {
  return mlirFloatAttrDoubleGet(context, mlirF64TypeGet(context), value);
}

MlirAttribute ir_make_f64s(MlirContext context, const double *values, size_t count) {
  return mlirDenseF64ArrayGet(context, (intptr_t)count, values);
}
