// Reading ops of the hone dialect: kinds, attributes, optional operands, shapes of values. Safe on
// IR that has not been verified.
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <string.h>

#include "ir/attribute_internal.h"

static const char *const op_names[] = {
    [IR_OP_OTHER] = "",
#define OP(name, ENUM, ...) [IR_OP_##ENUM] = "hone." #name,
#include "ir/ops.def"
#undef OP
};

ir_op_kind_t ir_op_kind(MlirOperation op) {
  if (mlirOperationIsNull(op)) return IR_OP_OTHER;
  MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
  if (name.length < 5 || memcmp(name.data, "hone.", 5) != 0) return IR_OP_OTHER;
  for (size_t i = 1; i < sizeof op_names / sizeof *op_names; i++) {
    if (ir_ref_is(name, op_names[i])) return (ir_op_kind_t)i;
  }
  return IR_OP_OTHER;
}

const char *ir_op_string(MlirOperation op, const char *attribute, ir_session_t *session) {
  MlirAttribute value = ir_attribute(op, attribute);
  MlirStringRef text;
  if (!ir_attribute_text(value, &text) && !ir_attribute_symbol(value, &text)) return NULL;
  return ir_ref_copy(text, ir_session_arena(session));
}

int64_t ir_op_int(MlirOperation op, const char *attribute, int64_t fallback) {
  int64_t value;
  return ir_attribute_i64(ir_attribute(op, attribute), &value) ? value : fallback;
}

double ir_op_float(MlirOperation op, const char *attribute, double fallback) {
  double value;
  return ir_attribute_f64(ir_attribute(op, attribute), &value) ? value : fallback;
}

ir_epilogue_t ir_op_epilogue(MlirOperation op, ir_session_t *session) {
  bool is_glu = ir_op_kind(op) == IR_OP_GLU;
  const char *name = ir_op_string(op, is_glu ? "activation" : "epilogue", session);
  if (name && is_glu) name = hone_arena_format(ir_session_arena(session), "%s_glu", name);
  for (int i = 0; name && i < IR_EPILOGUE_COUNT; i++) {
    if (!strcmp(name, ir_epilogue_names[i])) return (ir_epilogue_t)i;
  }
  return IR_EPILOGUE_NONE;
}

bool ir_epilogue_is_gated(ir_epilogue_t epilogue) {
  return epilogue != IR_EPILOGUE_NONE && epilogue != IR_EPILOGUE_ROPE_KV;
}

ir_value_t ir_op_operand(MlirOperation op, size_t position) {
  ir_value_t none = {0};
  if (mlirOperationIsNull(op)) return none;
  int64_t index = (int64_t)position;
  MlirAttribute segments = ir_attribute(op, "operandSegmentSizes");
  if (!mlirAttributeIsNull(segments) && mlirAttributeIsADenseI32Array(segments)) {
    if ((intptr_t)position >= mlirDenseArrayGetNumElements(segments)) return none;
    if (mlirDenseI32ArrayGetElement(segments, (intptr_t)position) != 1) return none;
    index = 0;
    for (size_t i = 0; i < position; i++) {
      index += mlirDenseI32ArrayGetElement(segments, (intptr_t)i);
    }
  }
  if (index < 0 || index >= mlirOperationGetNumOperands(op)) return none;
  return mlirOperationGetOperand(op, index);
}

const double *ir_op_frequencies(MlirOperation op, ir_session_t *session) {
  const double *values;
  size_t count;
  MlirAttribute attribute = ir_attribute(op, "frequencies");
  if (!ir_attribute_f64s(attribute, ir_session_arena(session), &values, &count)) return NULL;
  return (int64_t)count == ir_op_int(op, "head_dim", 0) / 2 ? values : NULL;
}

bool ir_op_attention(MlirOperation op, ir_session_t *session, ir_attention_t *out_attention) {
  ir_op_kind_t kind = ir_op_kind(op);
  if (kind != IR_OP_ATTEND && kind != IR_OP_ATTEND_PACKED) return false;
  ir_attention_t attention = {.rope_scale = 1};
  bool read = ir_attribute_i64(ir_attribute(op, "heads"), &attention.heads) &&
              ir_attribute_i64(ir_attribute(op, "kv_heads"), &attention.kv_heads) &&
              ir_attribute_i64(ir_attribute(op, "head_dim"), &attention.head_dim) &&
              ir_attribute_i64(ir_attribute(op, "window"), &attention.window) &&
              ir_attribute_f64(ir_attribute(op, "scale"), &attention.scale);
  if (read && kind == IR_OP_ATTEND_PACKED) {
    size_t count;
    read = ir_attribute_f64(ir_attribute(op, "rope_scale"), &attention.rope_scale) &&
           ir_attribute_f64s(ir_attribute(op, "frequencies"), ir_session_arena(session),
                             &attention.frequencies, &count) &&
           count == (size_t)attention.head_dim / 2;
  }
  if (read) *out_attention = attention;
  return read;
}

bool ir_type_shape(MlirType type, hone_format_t *out_format, int64_t *out_rows,
                   int64_t *out_columns) {
  if (mlirTypeIsNull(type) || !mlirTypeIsARankedTensor(type)) return false;
  int64_t rank = mlirShapedTypeGetRank(type);
  if (rank != 1 && rank != 2) return false;
  if (!ir_type_format(mlirShapedTypeGetElementType(type), out_format)) return false;
  int64_t sizes[2] = {0, 1};
  for (intptr_t i = 0; i < rank; i++) {
    sizes[i] = mlirShapedTypeIsDynamicDim(type, i) ? -1 : mlirShapedTypeGetDimSize(type, i);
  }
  *out_rows = sizes[0];
  *out_columns = sizes[1];
  return true;
}

bool ir_value_shape(ir_value_t value, hone_format_t *out_format, int64_t *out_rows,
                    int64_t *out_columns) {
  if (ir_value_is_null(value)) return false;
  return ir_type_shape(mlirValueGetType(value), out_format, out_rows, out_columns);
}

const char *ir_value_recipe(ir_value_t value, ir_session_t *session) {
  if (ir_value_is_null(value) || !mlirValueIsAOpResult(value)) return NULL;
  MlirOperation op = mlirOpResultGetOwner(value);
  MlirStringRef name;
  if (ir_op_kind(op) != IR_OP_WEIGHT) return NULL;
  if (!ir_attribute_symbol(ir_attribute(op, "ref"), &name)) return NULL;
  return ir_ref_copy(name, ir_session_arena(session));
}

bool ir_value_is_null(ir_value_t value) { return value.ptr == NULL; }
