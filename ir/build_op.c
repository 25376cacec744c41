// The verbs that emit ops of the hone dialect. They infer result types and refuse what would have
// none; everything else is left to the verifier, so a verb stays a few lines.
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include "ir/attribute_internal.h"

const char *const ir_epilogue_names[] = {
    "none",
#define ACTIVATION(name, ENUM, summary) #name "_glu",
#include "ir/activations.def"
#undef ACTIVATION
    "rope_kv",
};

static const hone_format_t f32 = {.storage = HONE_F32};

// Ops get the location BLOCK:NUMBER:1, so that errors of a built model say where they are.
static ir_value_t emit(ir_builder_t *b, const ir_op_spec_t *spec) {
  if (b->file) b->line++;
  return ir_result(ir_create(b, spec), 0);
}

static ir_value_t fail(ir_builder_t *b, const char *op, const char *what) {
  if (!ir_failed(b)) {
    b->failed = true;
    hone_fail(b->status, HONE_INVALID, "hone.%s in @%s: %s", op, b->file ? b->file : "?", what);
  }
  return (ir_value_t){0};
}

static ir_type_t rows_type(const ir_builder_t *b, hone_format_t format, int64_t rows,
                           int64_t columns) {
  return ir_tensor_type(b->context, format, 2, (int64_t[]){rows, columns});
}

// Columns of an activation; -1 after a failure, which it records.
static int64_t columns_of(ir_builder_t *b, ir_value_t x, const char *op, int64_t *out_rows) {
  hone_format_t format;
  int64_t columns;
  if (ir_failed(b)) return -1;
  if (ir_value_is_null(x) || !ir_value_shape(x, &format, out_rows, &columns)) {
    fail(b, op, "an operand is not a tensor of a known format");
    return -1;
  }
  return columns;
}

ir_value_t ir_weight(ir_builder_t *b, ir_model_t *model, const char *recipe) {
  if (ir_failed(b)) return (ir_value_t){0};
  MlirAttribute type = ir_attribute(ir_recipe_find(model, ir_ref(recipe)), "type");
  if (mlirAttributeIsNull(type) || !mlirAttributeIsAType(type)) {
    b->failed = true;
    hone_fail(b->status, HONE_NOT_FOUND, "hone.weight in @%s: there is no recipe @%s",
              b->file ? b->file : "?", recipe);
    return (ir_value_t){0};
  }
  ir_type_t result = mlirTypeAttrGetValue(type);
  const ir_named_t ref = {"ref", ir_make_symbol(b->context, recipe)};
  return emit(b, &(ir_op_spec_t){.name = "hone.weight",
                                 .results = &result,
                                 .result_count = 1,
                                 .attributes = &ref,
                                 .attribute_count = 1});
}

ir_value_t ir_embed(ir_builder_t *b, ir_value_t ids, ir_value_t weight) {
  int64_t vocab, width = columns_of(b, weight, "embed", &vocab);
  if (width < 0) return (ir_value_t){0};
  ir_type_t result = rows_type(b, f32, -1, width);
  return emit(b, &(ir_op_spec_t){.name = "hone.embed",
                                 .operands = (ir_value_t[]){ids, weight},
                                 .operand_count = 2,
                                 .results = &result,
                                 .result_count = 1});
}

ir_value_t ir_norm(ir_builder_t *b, ir_value_t x, ir_value_t gain, double epsilon) {
  int64_t rows, width = columns_of(b, x, "norm", &rows);
  if (width < 0) return (ir_value_t){0};
  ir_type_t result = rows_type(b, f32, rows, width);
  const ir_named_t attributes[] = {{"kind", ir_make_text(b->context, "rms")},
                                   {"epsilon", ir_make_f64(b->context, epsilon)}};
  return emit(b, &(ir_op_spec_t){.name = "hone.norm",
                                 .operands = (ir_value_t[]){x, gain},
                                 .operand_count = ir_value_is_null(gain) ? 1 : 2,
                                 .results = &result,
                                 .result_count = 1,
                                 .attributes = attributes,
                                 .attribute_count = 2});
}

ir_value_t ir_linear(ir_builder_t *b, ir_value_t x, ir_value_t weight, ir_value_t bias,
                     ir_value_t residual, ir_epilogue_t epilogue) {
  int64_t rows, N;
  if (columns_of(b, x, "linear", &rows) < 0) return (ir_value_t){0};
  if (columns_of(b, weight, "linear", &N) < 0) return (ir_value_t){0};
  bool glu = ir_epilogue_is_gated(epilogue);
  if (glu && N % 2 != 0) return fail(b, "linear", "a gated epilogue needs an even number of rows");
  ir_type_t result = rows_type(b, f32, rows, glu ? N / 2 : N);
  ir_value_t operands[4] = {x, weight};
  size_t count = 2;
  int32_t segments[4] = {1, 1, !ir_value_is_null(bias), !ir_value_is_null(residual)};
  if (segments[2]) operands[count++] = bias;
  if (segments[3]) operands[count++] = residual;
  const ir_named_t attributes[] = {
      {"epilogue", ir_make_text(b->context, ir_epilogue_names[epilogue])},
      {"operandSegmentSizes", mlirDenseI32ArrayGet(b->context, 4, segments)},
  };
  return emit(b, &(ir_op_spec_t){.name = "hone.linear",
                                 .operands = operands,
                                 .operand_count = count,
                                 .results = &result,
                                 .result_count = 1,
                                 .attributes = attributes,
                                 .attribute_count = 2});
}

ir_value_t ir_rope(ir_builder_t *b, ir_value_t x, int64_t heads, int64_t head_dim,
                   const double *frequencies, double rope_scale) {
  int64_t rows, width = columns_of(b, x, "rope", &rows);
  if (width < 0) return (ir_value_t){0};
  if (head_dim < 2) return fail(b, "rope", "head_dim is less than 2");
  ir_type_t result = rows_type(b, f32, rows, width);
  const ir_named_t attributes[] = {
      {"heads", ir_make_i64(b->context, heads)},
      {"head_dim", ir_make_i64(b->context, head_dim)},
      {"frequencies", ir_make_f64s(b->context, frequencies, (size_t)head_dim / 2)},
      {"scale", ir_make_f64(b->context, rope_scale)},
  };
  return emit(b, &(ir_op_spec_t){.name = "hone.rope",
                                 .operands = &x,
                                 .operand_count = 1,
                                 .results = &result,
                                 .result_count = 1,
                                 .attributes = attributes,
                                 .attribute_count = 4});
}

enum { ATTEND_ATTRIBUTES = 5, ATTEND_PACKED_ATTRIBUTES = 7 };

static void attention_attributes(const ir_builder_t *b, const ir_attention_t *attention,
                                 ir_named_t out[ATTEND_ATTRIBUTES]) {
  out[0] = (ir_named_t){"heads", ir_make_i64(b->context, attention->heads)};
  out[1] = (ir_named_t){"kv_heads", ir_make_i64(b->context, attention->kv_heads)};
  out[2] = (ir_named_t){"head_dim", ir_make_i64(b->context, attention->head_dim)};
  out[3] = (ir_named_t){"window", ir_make_i64(b->context, attention->window)};
  out[4] = (ir_named_t){"scale", ir_make_f64(b->context, attention->scale)};
}

ir_value_t ir_attend(ir_builder_t *b, ir_value_t q, ir_value_t k, ir_value_t v,
                     const ir_attention_t *attention) {
  int64_t rows, width = columns_of(b, q, "attend", &rows);
  if (width < 0) return (ir_value_t){0};
  ir_type_t result = rows_type(b, f32, rows, width);
  ir_named_t attributes[ATTEND_ATTRIBUTES];
  attention_attributes(b, attention, attributes);
  return emit(b, &(ir_op_spec_t){.name = "hone.attend",
                                 .operands = (ir_value_t[]){q, k, v},
                                 .operand_count = 3,
                                 .results = &result,
                                 .result_count = 1,
                                 .attributes = attributes,
                                 .attribute_count = ATTEND_ATTRIBUTES});
}

ir_value_t ir_attend_packed(ir_builder_t *b, ir_value_t qkv, const ir_attention_t *attention) {
  int64_t rows;
  if (columns_of(b, qkv, "attend_packed", &rows) < 0) return (ir_value_t){0};
  int64_t heads = attention->heads, head_dim = attention->head_dim;
  if (!attention->frequencies || heads < 1 || head_dim < 2 || heads > IR_DIMENSION_LIMIT ||
      head_dim > IR_DIMENSION_LIMIT) {
    return fail(b, "attend_packed", "heads, head_dim or frequencies are missing");
  }
  ir_type_t result = rows_type(b, f32, rows, heads * head_dim);
  ir_named_t attributes[ATTEND_PACKED_ATTRIBUTES];
  attention_attributes(b, attention, attributes);
  attributes[5] = (ir_named_t){
      "frequencies", ir_make_f64s(b->context, attention->frequencies, (size_t)head_dim / 2)};
  attributes[6] = (ir_named_t){"rope_scale", ir_make_f64(b->context, attention->rope_scale)};
  return emit(b, &(ir_op_spec_t){.name = "hone.attend_packed",
                                 .operands = &qkv,
                                 .operand_count = 1,
                                 .results = &result,
                                 .result_count = 1,
                                 .attributes = attributes,
                                 .attribute_count = ATTEND_PACKED_ATTRIBUTES});
}

// Elementwise on two tensors of the first one's shape, as f32; `name` starts with "hone.".
static ir_value_t emit_binary(ir_builder_t *b, const char *name, ir_value_t x, ir_value_t y,
                              const ir_named_t *attribute) {
  int64_t rows, width = columns_of(b, x, name + 5, &rows);
  if (width < 0) return (ir_value_t){0};
  ir_type_t result = rows_type(b, f32, rows, width);
  return emit(b, &(ir_op_spec_t){.name = name,
                                 .operands = (ir_value_t[]){x, y},
                                 .operand_count = 2,
                                 .results = &result,
                                 .result_count = 1,
                                 .attributes = attribute,
                                 .attribute_count = attribute ? 1 : 0});
}

ir_value_t ir_glu(ir_builder_t *b, ir_value_t gate, ir_value_t up, const char *activation) {
  const ir_named_t attribute = {"activation", ir_make_text(b->context, activation)};
  return emit_binary(b, "hone.glu", gate, up, &attribute);
}

ir_value_t ir_add(ir_builder_t *b, ir_value_t a, ir_value_t c) {
  return emit_binary(b, "hone.add", a, c, NULL);
}

ir_value_t ir_quantize(ir_builder_t *b, ir_value_t x, hone_format_t format, int64_t rotate) {
  int64_t rows, width = columns_of(b, x, "quantize", &rows);
  if (width < 0) return (ir_value_t){0};
  ir_type_t result = rows_type(b, format, rows, width);
  const ir_named_t attribute = {"rotate", ir_make_i64(b->context, rotate)};
  return emit(b, &(ir_op_spec_t){.name = "hone.quantize",
                                 .operands = &x,
                                 .operand_count = 1,
                                 .results = &result,
                                 .result_count = 1,
                                 .attributes = &attribute,
                                 .attribute_count = rotate ? 1 : 0});
}
