// Our verifier, after MLIR's: what IRDL cannot say. This part drives it and checks module level and
// recipes.
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Diagnostics.h>
#include <stdio.h>
#include <string.h>

#include "ir/verify_internal.h"

bool ir_verify_fail(ir_verifier_t *v, MlirOperation op, const char *format, ...) {
  if (v->error_count++ >= IR_ERROR_LIMIT) return false;
  va_list args;
  va_start(args, format);
  const char *text = hone_arena_vformat(v->arena, format, args);
  va_end(args);
  MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
  const char *message =
      hone_arena_format(v->arena, "'%.*s'%s%s: %s", (int)name.length, name.data,
                        v->function ? " in @" : "", v->function ? v->function : "", text);
  mlirEmitError(mlirOperationGetLocation(op), message);
  return false;
}

const char *ir_verify_type_text(ir_verifier_t *v, MlirType type) {
  hone_buffer_t buffer = {0};
  mlirTypePrint(type, ir_print_into, &buffer);
  const char *text = hone_arena_strdup(v->arena, hone_buffer_cstr(&buffer));
  hone_buffer_deinit(&buffer);
  return text;
}

bool ir_verify_format(hone_format_t format, const char **out_reason) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  *out_reason = NULL;
  if (!info) {
    *out_reason = "its format is unknown";
  } else if (!hone_format_group_known(format)) {
    *out_reason = "its group is not one that the format allows (hone list formats)";
  }
  return *out_reason == NULL;
}

static bool has_size(int64_t size) { return size >= 1 && size <= IR_DIMENSION_LIMIT; }

// The type of a recipe: (N, K) of any format, or (N) of f32.
static bool check_type(ir_verifier_t *v, MlirOperation op, MlirStringRef name) {
  MlirAttribute attribute = ir_attribute(op, "type");
  hone_format_t format;
  int64_t N, K;
  if (mlirAttributeIsNull(attribute) || !mlirAttributeIsAType(attribute)) {
    return ir_verify_fail(v, op, "recipe @%.*s has no type", (int)name.length, name.data);
  }
  MlirType type = mlirTypeAttrGetValue(attribute);
  const char *text = ir_verify_type_text(v, type);
  if (!ir_type_shape(type, &format, &N, &K) || !has_size(N) || !has_size(K)) {
    return ir_verify_fail(v, op,
                          "recipe @%.*s has the type %.100s; it must be a static tensor of one or "
                          "two dimensions in a format of `hone list formats`",
                          (int)name.length, name.data, text);
  }
  intptr_t rank = mlirShapedTypeGetRank(type);
  MlirType plain = ir_tensor_type(v->context, format, (size_t)rank, (int64_t[]){N, K});
  if (!mlirTypeEqual(type, plain)) {
    return ir_verify_fail(v, op, "recipe @%.*s has the type %.100s; encodings are not supported",
                          (int)name.length, name.data, text);
  }
  if (rank == 1 && format.storage != HONE_F32) {
    return ir_verify_fail(v, op, "recipe @%.*s is a vector, so it must be f32, not %.100s",
                          (int)name.length, name.data, text);
  }
  const char *reason;
  if (ir_verify_format(format, &reason)) return true;
  return ir_verify_fail(v, op, "recipe @%.*s has the type %.100s: %s", (int)name.length, name.data,
                        text, reason);
}

static bool check_sources(ir_verifier_t *v, MlirOperation op, MlirStringRef name) {
  MlirAttribute sources = ir_attribute(op, "sources");
  intptr_t count = 0;
  if (!mlirAttributeIsNull(sources) && mlirAttributeIsAArray(sources)) {
    count = mlirArrayAttrGetNumElements(sources);
  }
  intptr_t fewest = mlirAttributeIsNull(ir_attribute(op, "corrects")) ? 1 : 0;
  if (count < fewest || count > IR_SOURCE_LIMIT) {
    return ir_verify_fail(v, op, "recipe @%.*s needs 1 to %d sources, not %d", (int)name.length,
                          name.data, IR_SOURCE_LIMIT, count > 1000 ? 1000 : (int)count);
  }
  for (intptr_t i = 0; i < count; i++) {
    MlirStringRef text;
    bool is_text = ir_attribute_text(mlirArrayAttrGetElement(sources, i), &text);
    if (!is_text || text.length == 0 || memchr(text.data, '\0', text.length)) {
      return ir_verify_fail(v, op, "recipe @%.*s: source %d is not the name of a tensor",
                            (int)name.length, name.data, (int)i);
    }
  }
  MlirStringRef combine = {0};
  ir_attribute_text(ir_attribute(op, "combine"), &combine);
  if (count == 0 && ir_ref_is(combine, "single")) return true;
  intptr_t least = ir_ref_is(combine, "single") ? 1 : 2;
  intptr_t most = least == 1 ? 1 : ir_ref_is(combine, "interleave") ? 2 : IR_SOURCE_LIMIT;
  if (count >= least && count <= most) return true;
  return ir_verify_fail(v, op,
                        "recipe @%.*s combines \"%.*s\", which does not go with %d source(s)",
                        (int)name.length, name.data, (int)combine.length, combine.data, (int)count);
}

bool ir_verify_rotate(ir_verifier_t *v, MlirOperation op, const char *what, int64_t columns) {
  int64_t rotate = 0;
  MlirAttribute attribute = ir_attribute(op, "rotate");
  if (mlirAttributeIsNull(attribute)) return true;
  if (!ir_attribute_i64(attribute, &rotate) || !hone_rotation_known(rotate))
    return ir_verify_fail(v, op, "%s: rotate must be an i64 of 32, 64 or 128, or left out", what);
  if (columns % rotate == 0) return true;
  return ir_verify_fail(v, op, "%s is rotated, but %lld does not divide its %lld columns", what,
                        (long long)rotate, (long long)columns);
}

// Of a recipe whose type is right; 1 for vectors.
static int64_t columns_of(MlirOperation op) {
  hone_format_t format;
  int64_t N = 0, K = 0;
  MlirType type = mlirTypeAttrGetValue(ir_attribute(op, "type"));
  return ir_type_shape(type, &format, &N, &K) ? K : 0;
}

static bool check_gain(ir_verifier_t *v, MlirOperation op, const char *what, int64_t columns) {
  MlirAttribute attribute = ir_attribute(op, "gain");
  MlirStringRef text;
  if (mlirAttributeIsNull(attribute)) return true;
  if (!ir_attribute_text(attribute, &text) || text.length == 0 ||
      memchr(text.data, '\0', text.length))
    return ir_verify_fail(v, op, "%s: gain is not the name of a tensor", what);
  return columns > 1 || ir_verify_fail(v, op, "%s: a vector has no columns for a gain", what);
}

static bool check_corrects(ir_verifier_t *v, MlirOperation op, const char *what, int64_t columns) {
  MlirAttribute attribute = ir_attribute(op, "corrects");
  MlirStringRef text;
  if (mlirAttributeIsNull(attribute)) return true;
  if (!ir_attribute_text(attribute, &text) || !ir_ref_is_symbol(text))
    return ir_verify_fail(v, op, "%s: corrects is not the name of a recipe", what);
  return columns == 1 || ir_verify_fail(v, op, "%s: only a vector can correct a linear", what);
}

static bool check_recipe(ir_verifier_t *v, MlirOperation op) {
  MlirStringRef name = {0};
  ir_attribute_text(ir_attribute(op, "sym_name"), &name);
  if (!ir_ref_is_symbol(name)) {
    return ir_verify_fail(v, op,
                          "sym_name must be a letter, _ or $, then letters, digits and . _ $ -, at "
                          "most %d characters",
                          IR_NAME_LIMIT);
  }
  MlirOperation *kept = HONE_NEW(v->arena, MlirOperation);
  *kept = op;
  if (!hone_map_insert(v->recipes, name.data, name.length, kept)) {
    return ir_verify_fail(v, op, "recipe @%.*s exists twice", (int)name.length, name.data);
  }
  if (!check_sources(v, op, name) || !check_type(v, op, name)) return false;
  int64_t K = columns_of(op);
  const char *what = hone_arena_format(v->arena, "recipe @%.*s", (int)name.length, name.data);
  if (!ir_verify_rotate(v, op, what, K) || !check_gain(v, op, what, K) ||
      !check_corrects(v, op, what, K))
    return false;
  ir_recipe_t recipe;
  if (!ir_recipe_read(v->model->session, op, &recipe)) {
    return ir_verify_fail(v, op, "recipe @%.*s is malformed", (int)name.length, name.data);
  }
  if (recipe.combine == IR_INTERLEAVE && recipe.N % 2 != 0) {
    return ir_verify_fail(v, op,
                          "recipe @%s interleaves two sources, so its %lld rows must be even",
                          recipe.name, (long long)recipe.N);
  }
  return true;
}

static void verify_module(ir_verifier_t *v) {
  MlirOperation first = mlirBlockGetFirstOperation(mlirModuleGetBody(v->model->module));
  for (MlirOperation op = first; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    if (ir_op_kind(op) == IR_OP_RECIPE) {
      check_recipe(v, op);
    } else if (!ir_op_is(op, "func.func")) {
      ir_verify_fail(v, op, "a model holds hone.recipe and func.func only");
    }
  }
  ir_verify_config(v);
  ir_verify_functions(v);
}

bool ir_model_verify(const ir_model_t *model, hone_status_t *status) {
  ir_session_t *session = model->session;
  ir_session_clear_error(session);
  if (!mlirOperationVerify(mlirModuleGetOperation(model->module))) {
    const char *error = ir_session_error(session);
    return hone_fail(status, HONE_INVALID, "%s", *error ? error : "the model does not verify");
  }
  hone_arena_t *arena = hone_arena_create();
  ir_verifier_t v = {
      .model = model, .context = ir_session_context(session), .arena = arena, .layer = -1};
  v.recipes = hone_map_create(arena);
  v.cached_layers = hone_map_create(arena);
  verify_module(&v);
  hone_arena_destroy(arena);
  if (v.error_count == 0) return true;
  const char *error = ir_session_error(session);
  return hone_fail(status, HONE_INVALID, "%s", *error ? error : "the model does not verify");
}
