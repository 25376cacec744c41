// Recipes: the hone.recipe ops at module level, read and written as plain structs.
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <string.h>

#include "ir/attribute_internal.h"

const char *const ir_combine_names[] = {"single", "concat", "interleave"};

static MlirOperation next_recipe(MlirOperation op) {
  while (!mlirOperationIsNull(op) && !ir_op_is(op, "hone.recipe")) {
    op = mlirOperationGetNextInBlock(op);
  }
  return op;
}

static MlirOperation first_recipe(const ir_model_t *model) {
  return next_recipe(mlirBlockGetFirstOperation(mlirModuleGetBody(model->module)));
}

static MlirOperation following_recipe(MlirOperation op) {
  return next_recipe(mlirOperationGetNextInBlock(op));
}

MlirOperation ir_recipe_find(const ir_model_t *model, MlirStringRef name) {
  MlirOperation op = first_recipe(model);
  for (; !mlirOperationIsNull(op); op = following_recipe(op)) {
    MlirStringRef symbol;
    if (ir_attribute_text(ir_attribute(op, "sym_name"), &symbol) &&
        mlirStringRefEqual(symbol, name)) {
      break;
    }
  }
  return op;
}

static ir_type_t recipe_type(MlirContext context, const ir_recipe_t *recipe) {
  size_t rank = recipe->K == 1 ? 1 : 2;
  return ir_tensor_type(context, recipe->format, rank, (int64_t[]){recipe->N, recipe->K});
}

// The op that a new recipe goes before; null: at the end.
static MlirOperation insertion_point(const ir_model_t *model) {
  MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(model->module)), last = {0};
  for (MlirOperation recipe = first_recipe(model); !mlirOperationIsNull(recipe);
       recipe = following_recipe(recipe)) {
    last = recipe;
  }
  return mlirOperationIsNull(last) ? op : mlirOperationGetNextInBlock(last);
}

void ir_recipe_add(ir_model_t *model, const ir_recipe_t *recipe) {
  MlirContext context = ir_session_context(model->session);
  size_t count = recipe->source_count < IR_SOURCE_LIMIT ? recipe->source_count : IR_SOURCE_LIMIT;
  MlirAttribute sources[IR_SOURCE_LIMIT];
  for (size_t i = 0; i < count; i++) sources[i] = ir_make_text(context, recipe->sources[i]);
  ir_named_t attributes[7] = {
      {"sym_name", ir_make_text(context, recipe->name)},
      {"sources", mlirArrayAttrGet(context, (intptr_t)count, sources)},
      {"combine", ir_make_text(context, ir_combine_names[recipe->combine])},
      {"type", mlirTypeAttrGet(recipe_type(context, recipe))},
  };
  size_t used = 4;
  if (recipe->corrects)
    attributes[used++] = (ir_named_t){"corrects", ir_make_text(context, recipe->corrects)};
  if (recipe->gain) attributes[used++] = (ir_named_t){"gain", ir_make_text(context, recipe->gain)};
  if (recipe->rotate)
    attributes[used++] = (ir_named_t){"rotate", ir_make_i64(context, recipe->rotate)};
  hone_status_t status = {0};  // what is wrong with a recipe's content is the verifier's to say
  ir_builder_t b = {.context = context, .file = recipe->name, .line = 1, .status = &status};
  MlirOperation op = ir_create(
      &b,
      &(ir_op_spec_t){.name = "hone.recipe", .attributes = attributes, .attribute_count = used});
  if (mlirOperationIsNull(op)) return;
  MlirBlock body = mlirModuleGetBody(model->module);
  MlirOperation next = insertion_point(model);
  if (mlirOperationIsNull(next)) {
    mlirBlockAppendOwnedOperation(body, op);
  } else {
    mlirBlockInsertOwnedOperationBefore(body, next, op);
  }
}

static bool read_sources(ir_session_t *session, MlirOperation op, ir_recipe_t *out) {
  MlirAttribute sources = ir_attribute(op, "sources");
  if (mlirAttributeIsNull(sources) || !mlirAttributeIsAArray(sources)) return false;
  intptr_t count = mlirArrayAttrGetNumElements(sources);
  if (count < 0 || count > IR_SOURCE_LIMIT) return false;
  for (intptr_t i = 0; i < count; i++) {
    MlirStringRef text;
    if (!ir_attribute_text(mlirArrayAttrGetElement(sources, i), &text)) return false;
    out->sources[i] = ir_ref_copy(text, ir_session_arena(session));
  }
  out->source_count = (size_t)count;
  return true;
}

// *out is NULL where the attribute is left out.
static bool read_name(ir_session_t *session, MlirOperation op, const char *name, const char **out) {
  MlirAttribute attribute = ir_attribute(op, name);
  MlirStringRef text;
  *out = NULL;
  if (mlirAttributeIsNull(attribute)) return true;
  if (!ir_attribute_text(attribute, &text)) return false;
  *out = ir_ref_copy(text, ir_session_arena(session));
  return true;
}

bool ir_recipe_read(ir_session_t *session, MlirOperation op, ir_recipe_t *out_recipe) {
  ir_recipe_t recipe = {0};
  MlirStringRef name, combine;
  MlirAttribute type = ir_attribute(op, "type");
  if (!ir_attribute_text(ir_attribute(op, "sym_name"), &name)) return false;
  if (!ir_attribute_text(ir_attribute(op, "combine"), &combine)) return false;
  if (mlirAttributeIsNull(type) || !mlirAttributeIsAType(type)) return false;
  if (!read_sources(session, op, &recipe)) return false;
  size_t kind = 0;
  while (kind <= IR_INTERLEAVE && !ir_ref_is(combine, ir_combine_names[kind])) kind++;
  if (kind > IR_INTERLEAVE) return false;
  recipe.combine = (ir_combine_t)kind;
  if (!ir_type_shape(mlirTypeAttrGetValue(type), &recipe.format, &recipe.N, &recipe.K)) {
    return false;
  }
  MlirAttribute rotate = ir_attribute(op, "rotate");
  if (!mlirAttributeIsNull(rotate) && !ir_attribute_i64(rotate, &recipe.rotate)) return false;
  if (!read_name(session, op, "gain", &recipe.gain) ||
      !read_name(session, op, "corrects", &recipe.corrects))
    return false;
  recipe.name = ir_ref_copy(name, ir_session_arena(session));
  *out_recipe = recipe;
  return true;
}

bool ir_recipe_get(const ir_model_t *model, const char *name, ir_recipe_t *out_recipe,
                   hone_status_t *status) {
  MlirOperation op = ir_recipe_find(model, ir_ref(name));
  if (mlirOperationIsNull(op)) {
    return hone_fail(status, HONE_NOT_FOUND, "there is no recipe @%s", name);
  }
  if (ir_recipe_read(model->session, op, out_recipe)) return true;
  return hone_fail(status, HONE_INVALID, "recipe @%s is malformed: run the verifier", name);
}

size_t ir_recipe_count(const ir_model_t *model) {
  size_t count = 0;
  MlirOperation op = first_recipe(model);
  for (; !mlirOperationIsNull(op); op = following_recipe(op)) count++;
  return count;
}

bool ir_recipe_at(const ir_model_t *model, size_t index, ir_recipe_t *out_recipe) {
  MlirOperation op = first_recipe(model);
  for (; !mlirOperationIsNull(op) && index > 0; op = following_recipe(op)) index--;
  return !mlirOperationIsNull(op) && ir_recipe_read(model->session, op, out_recipe);
}

void ir_recipe_remove(ir_model_t *model, const char *name) {
  MlirOperation op = ir_recipe_find(model, ir_ref(name));
  if (mlirOperationIsNull(op)) return;
  mlirOperationRemoveFromParent(op);
  mlirOperationDestroy(op);
}

typedef struct retype {
  MlirStringRef name;
  MlirType type;
} retype_t;

static MlirWalkResult retype_uses(MlirOperation op, void *user) {
  const retype_t *change = user;
  MlirStringRef name;
  if (ir_op_is(op, "hone.weight") && ir_attribute_symbol(ir_attribute(op, "ref"), &name) &&
      mlirStringRefEqual(name, change->name)) {
    mlirValueSetType(mlirOperationGetResult(op, 0), change->type);
  }
  return MlirWalkResultAdvance;
}

void ir_recipe_set_format(ir_model_t *model, const char *name, hone_format_t format) {
  MlirContext context = ir_session_context(model->session);
  MlirOperation op = ir_recipe_find(model, ir_ref(name));
  if (mlirOperationIsNull(op)) return;
  MlirAttribute attribute = ir_attribute(op, "type");
  if (mlirAttributeIsNull(attribute) || !mlirAttributeIsAType(attribute)) return;
  MlirType old = mlirTypeAttrGetValue(attribute);
  hone_format_t old_format;
  int64_t shape[2];
  if (!ir_type_shape(old, &old_format, &shape[0], &shape[1])) return;
  size_t rank = (size_t)mlirShapedTypeGetRank(old);
  retype_t change = {ir_ref(name), ir_tensor_type(context, format, rank, shape)};
  mlirOperationSetAttributeByName(op, ir_ref("type"), mlirTypeAttrGet(change.type));
  mlirOperationWalk(mlirModuleGetOperation(model->module), retype_uses, &change, MlirWalkPreOrder);
}

// Null: removes the attribute.
static void set_attribute(ir_model_t *model, const char *recipe, const char *name,
                          MlirAttribute attribute) {
  MlirOperation op = ir_recipe_find(model, ir_ref(recipe));
  if (mlirOperationIsNull(op)) return;
  if (mlirAttributeIsNull(attribute))
    mlirOperationRemoveAttributeByName(op, ir_ref(name));
  else
    mlirOperationSetAttributeByName(op, ir_ref(name), attribute);
}

void ir_recipe_set_rotate(ir_model_t *model, const char *name, int64_t rotate) {
  MlirContext context = ir_session_context(model->session);
  set_attribute(model, name, "rotate",
                rotate ? ir_make_i64(context, rotate) : mlirAttributeGetNull());
}

void ir_recipe_set_gain(ir_model_t *model, const char *name, const char *gain) {
  MlirContext context = ir_session_context(model->session);
  set_attribute(model, name, "gain", gain ? ir_make_text(context, gain) : mlirAttributeGetNull());
}
