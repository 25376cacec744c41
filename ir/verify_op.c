// The verifier's part for ops: shapes, element types and references, one function per row of
// ops.def.
#include <inttypes.h>
#include <math.h>
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <stdio.h>
#include <string.h>

#include "ir/verify_internal.h"

typedef enum accept { ACCEPT_F32, ACCEPT_CODES } accept_t;  // CODES: f32, q8 or b1

// Codes of an activation: q8 in groups of 64, b1 with one scale for the whole row.
static bool check_codes(ir_verifier_t *v, MlirOperation op, const char *role, MlirType type,
                        hone_format_t format, int64_t columns) {
  if (format.storage == HONE_Q8 && format.group != HONE_GROUP) {
    return ir_verify_fail(v, op, "%s is %.100s: activations have groups of %d", role,
                          ir_verify_type_text(v, type), HONE_GROUP);
  }
  if (format.storage != HONE_B1) return true;
  if (format.group != columns || columns % HONE_GROUP != 0) {
    return ir_verify_fail(v, op,
                          "%s is %.100s: b1 activations have one group, the row, of a multiple of "
                          "%d columns",
                          role, ir_verify_type_text(v, type), HONE_GROUP);
  }
  return true;
}

// An activation is tensor<?xWxf32>, or with ACCEPT_CODES also tensor<?xWx!hone.q8<64>> or
// tensor<?xWx!hone.b1<W>>.
static bool check_activation(ir_verifier_t *v, MlirOperation op, const char *role, ir_value_t x,
                             accept_t accept, int64_t *out_columns) {
  hone_format_t format;
  int64_t rows, columns;
  if (ir_value_is_null(x)) return ir_verify_fail(v, op, "%s is missing", role);
  MlirType type = mlirValueGetType(x);
  bool shaped =
      ir_type_shape(type, &format, &rows, &columns) && mlirShapedTypeGetRank(type) == 2 &&
      rows == -1 && columns >= 1 && columns <= IR_DIMENSION_LIMIT &&
      mlirTypeEqual(type, ir_tensor_type(v->context, format, 2, (int64_t[]){rows, columns}));
  if (!shaped) {
    return ir_verify_fail(v, op, "%s is %.100s; an activation is tensor<?xWIDTHxf32>", role,
                          ir_verify_type_text(v, type));
  }
  bool is_code = format.storage == HONE_Q8 || format.storage == HONE_B1;
  if (format.storage != HONE_F32 && !(accept == ACCEPT_CODES && is_code)) {
    return ir_verify_fail(v, op, "%s is %.100s; it must be %s", role, ir_verify_type_text(v, type),
                          accept == ACCEPT_CODES ? "f32, q8 or b1" : "f32");
  }
  if (!check_codes(v, op, role, type, format, columns)) return false;
  *out_columns = columns;
  return true;
}

static bool check_columns(ir_verifier_t *v, MlirOperation op, const char *role, ir_value_t x,
                          int64_t columns) {
  int64_t found = 0;
  if (!check_activation(v, op, role, x, ACCEPT_F32, &found)) return false;
  if (found == columns) return true;
  return ir_verify_fail(v, op, "%s has %" PRId64 " columns; it must have %" PRId64, role, found,
                        columns);
}

static bool check_result(ir_verifier_t *v, MlirOperation op, int64_t columns) {
  return check_columns(v, op, "the result", mlirOperationGetResult(op, 0), columns);
}

// Operand `position` comes from hone.weight and has this rank; its recipe's name goes to
// *out_recipe.
static bool check_weight_operand(ir_verifier_t *v, MlirOperation op, size_t position,
                                 const char *role, intptr_t rank, const char **out_recipe,
                                 int64_t *out_N, int64_t *out_K) {
  ir_value_t value = ir_op_operand(op, position);
  if (ir_value_is_null(value)) return ir_verify_fail(v, op, "%s is missing", role);
  *out_recipe = ir_value_recipe(value, v->model->session);
  if (!*out_recipe) return ir_verify_fail(v, op, "%s must be the result of hone.weight", role);
  MlirType type = mlirValueGetType(value);
  hone_format_t format;
  if (!ir_type_shape(type, &format, out_N, out_K) || mlirShapedTypeGetRank(type) != rank ||
      *out_N < 1 || *out_K < 1) {
    return ir_verify_fail(v, op, "%s @%s is %.100s; it must be a %s", role, *out_recipe,
                          ir_verify_type_text(v, type), rank == 1 ? "vector" : "matrix");
  }
  return true;
}

static bool check_vector(ir_verifier_t *v, MlirOperation op, size_t position, const char *role,
                         int64_t count) {
  const char *recipe = NULL;
  int64_t N = 0, K = 0;
  if (!check_weight_operand(v, op, position, role, 1, &recipe, &N, &K)) return false;
  if (N == count) return true;
  return ir_verify_fail(v, op, "%s @%s has %" PRId64 " elements; it must have %" PRId64, role,
                        recipe, N, count);
}

static bool read_size(ir_verifier_t *v, MlirOperation op, const char *name, int64_t least,
                      int64_t *out_value) {
  bool read = ir_attribute_i64(ir_attribute(op, name), out_value);
  if (read && *out_value >= least && *out_value <= IR_DIMENSION_LIMIT) return true;
  return ir_verify_fail(v, op, "%s must be an i64 from %" PRId64 " to %d", name, least,
                        IR_DIMENSION_LIMIT);
}

static bool check_real(ir_verifier_t *v, MlirOperation op, const char *name) {
  double value;
  bool read = ir_attribute_f64(ir_attribute(op, name), &value);
  if (read && isfinite(value) && value > 0) return true;
  return ir_verify_fail(v, op, "%s must be a positive f64", name);
}

static bool check_frequencies(ir_verifier_t *v, MlirOperation op, int64_t head_dim) {
  const double *values;
  size_t count;
  if (head_dim % 2 != 0) {
    return ir_verify_fail(v, op, "head_dim is %" PRId64 "; rope needs an even one", head_dim);
  }
  if (!ir_attribute_f64s(ir_attribute(op, "frequencies"), v->arena, &values, &count)) {
    return ir_verify_fail(v, op, "frequencies must be array<f64: ...>");
  }
  if (count != (size_t)head_dim / 2) {
    return ir_verify_fail(v, op,
                          "there are %zu frequencies; a head_dim of %" PRId64 " needs %" PRId64,
                          count, head_dim, head_dim / 2);
  }
  for (size_t i = 0; i < count; i++) {
    if (isfinite(values[i]) && values[i] >= 0) continue;
    return ir_verify_fail(v, op, "frequency %zu is negative or not finite", i);
  }
  return true;
}

static bool check_recipe(ir_verifier_t *v, MlirOperation op) {
  return ir_verify_fail(v, op, "recipes belong to the module, not to a function");
}

static bool check_weight(ir_verifier_t *v, MlirOperation op) {
  MlirStringRef name;
  if (!ir_attribute_symbol(ir_attribute(op, "ref"), &name)) {
    return ir_verify_fail(v, op, "ref must be the name of a recipe, @name");
  }
  MlirOperation *recipe = hone_map_find(v->recipes, name.data, name.length);
  int shown = name.length > IR_NAME_LIMIT ? IR_NAME_LIMIT : (int)name.length;
  if (!recipe) return ir_verify_fail(v, op, "there is no recipe @%.*s", shown, name.data);
  MlirAttribute attribute = ir_attribute(*recipe, "type");
  MlirType type = mlirValueGetType(mlirOperationGetResult(op, 0));
  if (mlirAttributeIsNull(attribute) || !mlirAttributeIsAType(attribute)) return false;
  if (mlirTypeEqual(mlirTypeAttrGetValue(attribute), type)) return true;
  return ir_verify_fail(v, op, "the result is %.100s, but recipe @%.*s makes %.100s",
                        ir_verify_type_text(v, type), shown, name.data,
                        ir_verify_type_text(v, mlirTypeAttrGetValue(attribute)));
}

static int64_t rotation_of(ir_verifier_t *v, const char *recipe) {
  MlirOperation *op = hone_map_get(v->recipes, recipe);
  return op ? ir_op_int(*op, "rotate", 0) : 0;
}

// The rows that hone.norm, hone.quantize or a gated hone.linear make: codes if they are rotated,
// and then only linears may read them.
static bool check_rotated(ir_verifier_t *v, MlirOperation op, hone_storage_t storage,
                          int64_t columns) {
  if (mlirAttributeIsNull(ir_attribute(op, "rotate"))) return true;
  if (!ir_verify_rotate(v, op, "the result", columns)) return false;
  if (storage == HONE_F32) return ir_verify_fail(v, op, "rotate goes with a q8 or b1 result");
  MlirOpOperand use = mlirValueGetFirstUse(mlirOperationGetResult(op, 0));
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    if (ir_op_kind(mlirOpOperandGetOwner(use)) == IR_OP_LINEAR) continue;
    return ir_verify_fail(v, op, "the result is rotated, so only linears of this block may use it");
  }
  return true;
}

// A result in f32 or as codes.
static bool check_coded_result(ir_verifier_t *v, MlirOperation op, int64_t columns) {
  ir_value_t result = mlirOperationGetResult(op, 0);
  hone_format_t format;
  int64_t rows, found;
  if (!check_activation(v, op, "the result", result, ACCEPT_CODES, &found)) return false;
  ir_value_shape(result, &format, &rows, &found);
  if (found == columns) return check_rotated(v, op, format.storage, columns);
  return ir_verify_fail(v, op, "the result has %" PRId64 " columns; it must have %" PRId64, found,
                        columns);
}

// (x R)(W R)^T = x W^T: both sides of a linear are rotated by the same R, or none.
static bool check_sides(ir_verifier_t *v, MlirOperation op, const char *recipe) {
  ir_value_t x = ir_op_operand(op, 0);
  bool made = mlirValueIsAOpResult(x);
  int64_t of_x = made ? ir_op_int(mlirOpResultGetOwner(x), "rotate", 0) : 0;
  int64_t of_weight = rotation_of(v, recipe);
  if (of_x == of_weight) return true;
  if (of_x && of_weight)
    return ir_verify_fail(v, op,
                          "x has rotate = %" PRId64 ", but weight @%s has rotate = %" PRId64
                          ": both must have the same",
                          of_x, recipe, of_weight);
  return ir_verify_fail(
      v, op, "%s is rotated, but %s%s is not: both must have rotate = %" PRId64 ", or none",
      of_x ? "x" : hone_arena_format(v->arena, "weight @%s", recipe), of_x ? "weight @" : "x",
      of_x ? recipe : "", of_x + of_weight);
}

// Rows of codes meet weights of codes, and rows of signs binary planes: there are no other
// products.
static bool check_product(ir_verifier_t *v, MlirOperation op, const char *recipe) {
  hone_format_t x, weight;
  int64_t rows, columns;
  ir_value_shape(ir_op_operand(op, 0), &x, &rows, &columns);
  ir_value_shape(ir_op_operand(op, 1), &weight, &rows, &columns);
  if (x.storage == HONE_Q8 && !hone_format_is_quantized(weight.storage))
    return ir_verify_fail(v, op, "x is q8, which goes with quantized weights; weight @%s is %s",
                          recipe, hone_format_info(weight.storage)->name);
  if (x.storage != HONE_B1 || hone_format_info(weight.storage)->grid == HONE_GRID_PLANES)
    return true;
  return ir_verify_fail(v, op,
                        "x is b1, which goes with weights of binary planes (b1, bcq2, ...); "
                        "weight @%s is %s",
                        recipe, hone_format_info(weight.storage)->name);
}

static bool check_embed(ir_verifier_t *v, MlirOperation op) {
  const char *recipe;
  int64_t N = 0, K = 0;
  MlirType ids = mlirValueGetType(mlirOperationGetOperand(op, 0));
  if (!mlirTypeEqual(ids, ir_ids_type(v->context))) {
    return ir_verify_fail(v, op, "ids are %.100s; they must be tensor<?xi32>",
                          ir_verify_type_text(v, ids));
  }
  if (!check_weight_operand(v, op, 1, "weight", 2, &recipe, &N, &K)) return false;
  if (v->has_config && N != v->config.vocab) {
    return ir_verify_fail(v, op, "weight @%s has %" PRId64 " rows, but vocab is %" PRId64, recipe,
                          N, v->config.vocab);
  }
  if (v->has_config && K != v->config.width) {
    return ir_verify_fail(v, op, "weight @%s has %" PRId64 " columns, but width is %" PRId64,
                          recipe, K, v->config.width);
  }
  if (rotation_of(v, recipe))
    return ir_verify_fail(v, op, "weight @%s is rotated; the rows of an embedding must not be",
                          recipe);
  return check_result(v, op, K);
}

static bool check_norm(ir_verifier_t *v, MlirOperation op) {
  int64_t columns = 0;
  double epsilon;
  if (!check_activation(v, op, "x", ir_op_operand(op, 0), ACCEPT_F32, &columns)) return false;
  bool has_gain = !ir_value_is_null(ir_op_operand(op, 1));
  if (has_gain && !check_vector(v, op, 1, "gain", columns)) return false;
  bool read = ir_attribute_f64(ir_attribute(op, "epsilon"), &epsilon);
  if (!read || !isfinite(epsilon) || epsilon < 0) {
    return ir_verify_fail(v, op, "epsilon must be an f64 that is not negative");
  }
  return check_coded_result(v, op, columns);
}

// A correction is the bias of the one linear whose weight it names.
static bool check_correction(ir_verifier_t *v, MlirOperation op, const char *weight) {
  const char *bias = ir_value_recipe(ir_op_operand(op, 2), v->model->session);
  const MlirOperation *recipe = bias ? hone_map_get(v->recipes, bias) : NULL;
  const char *corrects = recipe ? ir_op_string(*recipe, "corrects", v->model->session) : NULL;
  if (!corrects || !strcmp(corrects, weight)) return true;
  return ir_verify_fail(v, op, "bias @%s corrects @%s, but the weight is @%s", bias, corrects,
                        weight);
}

// Rows of whole heads, whose q, k and v one attention reads and nothing else.
static bool check_rope_kv(ir_verifier_t *v, MlirOperation op) {
  MlirOpOperand use = mlirValueGetFirstUse(mlirOperationGetResult(op, 0));
  bool once = !mlirOpOperandIsNull(use) && mlirOpOperandIsNull(mlirOpOperandGetNextUse(use));
  MlirOperation user = once ? mlirOpOperandGetOwner(use) : (MlirOperation){0};
  if (!once || ir_op_kind(user) != IR_OP_ATTEND_PACKED)
    return ir_verify_fail(v, op,
                          "epilogue rope_kv is for one hone.attend_packed, which alone may use the "
                          "result");
  if (!ir_value_is_null(ir_op_operand(op, 3)))
    return ir_verify_fail(v, op, "epilogue rope_kv goes with no residual");
  int64_t head_dim = ir_op_int(user, "head_dim", 0);
  if (head_dim % HONE_TILE_ROWS == 0) return true;
  return ir_verify_fail(v, op,
                        "epilogue rope_kv needs a head_dim that is a multiple of %d, not %" PRId64,
                        HONE_TILE_ROWS, head_dim);
}

static bool check_linear(ir_verifier_t *v, MlirOperation op) {
  int64_t columns = 0, N = 0, K = 0;
  const char *recipe;
  if (!check_activation(v, op, "x", ir_op_operand(op, 0), ACCEPT_CODES, &columns)) return false;
  if (!check_weight_operand(v, op, 1, "weight", 2, &recipe, &N, &K)) return false;
  if (columns != K) {
    return ir_verify_fail(v, op,
                          "x has %" PRId64 " columns, but weight @%s is (%" PRId64 ", %" PRId64 ")",
                          columns, recipe, N, K);
  }
  if (!check_sides(v, op, recipe) || !check_product(v, op, recipe)) return false;
  ir_value_t bias = ir_op_operand(op, 2), residual = ir_op_operand(op, 3);
  if (!ir_value_is_null(bias) &&
      (!check_vector(v, op, 2, "bias", N) || !check_correction(v, op, recipe)))
    return false;
  ir_epilogue_t epilogue = ir_op_epilogue(op, v->model->session);
  if (epilogue == IR_EPILOGUE_ROPE_KV && !check_rope_kv(v, op)) return false;
  bool glu = ir_epilogue_is_gated(epilogue);
  if (glu && N % 2 != 0) {
    return ir_verify_fail(
        v, op, "a gated epilogue pairs rows, but weight @%s has %" PRId64 " of them", recipe, N);
  }
  int64_t width = glu ? N / 2 : N;
  bool is_plain = !glu || !ir_value_is_null(residual);  // only what comes right after the gate
  if (is_plain ? !check_result(v, op, width) : !check_coded_result(v, op, width)) return false;
  return ir_value_is_null(residual) || check_columns(v, op, "residual", residual, width);
}

static bool check_rope(ir_verifier_t *v, MlirOperation op) {
  int64_t heads = 0, head_dim = 0;
  return read_size(v, op, "heads", 1, &heads) && read_size(v, op, "head_dim", 2, &head_dim) &&
         check_frequencies(v, op, head_dim) && check_real(v, op, "scale") &&
         check_columns(v, op, "x", ir_op_operand(op, 0), heads * head_dim) &&
         check_result(v, op, heads * head_dim);
}

// An op that writes the KV cache of its layer: the layer must be known and its own.
static bool check_cache(ir_verifier_t *v, MlirOperation op) {
  if (v->layer < 0) return ir_verify_fail(v, op, "attention needs a block with hone.layer");
  char key[24];
  snprintf(key, sizeof key, "%" PRId64, v->layer);
  const char *other = hone_map_get(v->cached_layers, key);
  if (other) {
    return ir_verify_fail(v, op, "layer %" PRId64 " already has attention, in @%s", v->layer,
                          other);
  }
  hone_map_put(v->cached_layers, key, hone_arena_strdup(v->arena, v->function));
  return true;
}

static bool check_heads(ir_verifier_t *v, MlirOperation op, ir_attention_t *out) {
  if (!read_size(v, op, "heads", 1, &out->heads)) return false;
  if (!read_size(v, op, "kv_heads", 1, &out->kv_heads)) return false;
  if (!read_size(v, op, "head_dim", 1, &out->head_dim)) return false;
  if (!read_size(v, op, "window", 0, &out->window)) return false;
  if (out->heads % out->kv_heads != 0) {
    return ir_verify_fail(v, op, "%" PRId64 " heads cannot share %" PRId64 " kv_heads evenly",
                          out->heads, out->kv_heads);
  }
  return check_real(v, op, "scale");
}

static bool check_attend(ir_verifier_t *v, MlirOperation op) {
  ir_attention_t a = {0};
  return check_heads(v, op, &a) &&
         check_columns(v, op, "q", ir_op_operand(op, 0), a.heads * a.head_dim) &&
         check_columns(v, op, "k", ir_op_operand(op, 1), a.kv_heads * a.head_dim) &&
         check_columns(v, op, "v", ir_op_operand(op, 2), a.kv_heads * a.head_dim) &&
         check_result(v, op, a.heads * a.head_dim) && check_cache(v, op);
}

// Rows in f32 or q8: whole groups of a head, which cannot be rotated.
static bool check_attended(ir_verifier_t *v, MlirOperation op, const ir_attention_t *a) {
  hone_format_t format;
  int64_t rows, columns;
  if (!check_coded_result(v, op, a->heads * a->head_dim)) return false;
  ir_value_shape(mlirOperationGetResult(op, 0), &format, &rows, &columns);
  if (format.storage == HONE_F32) return true;
  if (format.storage != HONE_Q8)
    return ir_verify_fail(v, op, "the result is %s; attention makes f32 or q8",
                          hone_format_info(format.storage)->name);
  if (!mlirAttributeIsNull(ir_attribute(op, "rotate")))
    return ir_verify_fail(v, op, "the result cannot be rotated");
  if (a->head_dim % HONE_GROUP == 0) return true;
  return ir_verify_fail(v, op, "head_dim is %" PRId64 "; q8 results need a multiple of %d",
                        a->head_dim, HONE_GROUP);
}

static bool check_attend_packed(ir_verifier_t *v, MlirOperation op) {
  ir_attention_t a = {0};
  return check_heads(v, op, &a) && check_frequencies(v, op, a.head_dim) &&
         check_real(v, op, "rope_scale") &&
         check_columns(v, op, "qkv", ir_op_operand(op, 0),
                       (a.heads + 2 * a.kv_heads) * a.head_dim) &&
         check_attended(v, op, &a) && check_cache(v, op);
}

static bool check_elementwise(ir_verifier_t *v, MlirOperation op, const char *first,
                              const char *second) {
  int64_t columns = 0;
  return check_activation(v, op, first, ir_op_operand(op, 0), ACCEPT_F32, &columns) &&
         check_columns(v, op, second, ir_op_operand(op, 1), columns) &&
         check_result(v, op, columns);
}

static bool check_glu(ir_verifier_t *v, MlirOperation op) {
  return check_elementwise(v, op, "gate", "up");
}

static bool check_add(ir_verifier_t *v, MlirOperation op) {
  return check_elementwise(v, op, "a", "b");
}

static bool check_quantize(ir_verifier_t *v, MlirOperation op) {
  int64_t columns = 0, found = 0, rows;
  hone_format_t format;
  ir_value_t result = mlirOperationGetResult(op, 0);
  if (!check_activation(v, op, "x", ir_op_operand(op, 0), ACCEPT_F32, &columns)) return false;
  if (!check_activation(v, op, "the result", result, ACCEPT_CODES, &found)) return false;
  ir_value_shape(result, &format, &rows, &found);
  if (format.storage == HONE_F32) return ir_verify_fail(v, op, "the result is not quantized");
  if (found == columns) return check_rotated(v, op, format.storage, columns);
  return ir_verify_fail(v, op, "the result has %" PRId64 " columns, but x has %" PRId64, found,
                        columns);
}

bool ir_verify_op(ir_verifier_t *v, MlirOperation op) {
  typedef bool check_fn(ir_verifier_t *, MlirOperation);
  static check_fn *const checks[] = {
      [IR_OP_OTHER] = NULL,
#define OP(name, ENUM, ...) [IR_OP_##ENUM] = check_##name,
#include "ir/ops.def"
#undef OP
  };
  check_fn *check = checks[ir_op_kind(op)];
  return check ? check(v, op) : true;
}
