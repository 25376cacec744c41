// The model as a module: its life cycle, its configuration (the attribute hone.model), printing and
// finishing. Recipes are in recipe.c, blocks in block.c, ops in build_op.c and op.c.
#include "ir/model.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <string.h>

#include "ir/attribute_internal.h"

static MlirAttribute config_attribute(MlirContext context, const ir_config_t *config) {
  size_t eos_count = config->eos_count < IR_EOS_LIMIT ? config->eos_count : IR_EOS_LIMIT;
  const ir_named_t entries[] = {
      {"family", ir_make_text(context, config->family ? config->family : "")},
      {"vocab", ir_make_i64(context, config->vocab)},
      {"width", ir_make_i64(context, config->width)},
      {"context", ir_make_i64(context, config->context)},
      {"bos", ir_make_i64(context, config->bos)},
      {"add_bos", mlirBoolAttrGet(context, config->add_bos)},
      {"eos", mlirDenseI64ArrayGet(context, (intptr_t)eos_count, config->eos)},
      {"checkpoint", ir_make_text(context, config->checkpoint ? config->checkpoint : "")},
  };
  enum { COUNT = sizeof entries / sizeof *entries };
  MlirNamedAttribute named[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    MlirIdentifier name = mlirIdentifierGet(context, ir_ref(entries[i].name));
    named[i] = mlirNamedAttributeGet(name, entries[i].value);
  }
  return mlirDictionaryAttrGet(context, COUNT, named);
}

static void set_config(ir_model_t *model, const ir_config_t *config) {
  MlirAttribute value = config_attribute(ir_session_context(model->session), config);
  mlirOperationSetAttributeByName(mlirModuleGetOperation(model->module), ir_ref("hone.model"),
                                  value);
}

bool ir_model_create(ir_session_t *session, const ir_config_t *config, ir_model_t *out_model,
                     hone_status_t *status) {
  if (config->eos_count > IR_EOS_LIMIT) {
    return hone_fail(status, HONE_UNSUPPORTED, "a model can have %d end-of-text tokens, not %zu",
                     IR_EOS_LIMIT, config->eos_count);
  }
  MlirLocation nowhere = mlirLocationUnknownGet(ir_session_context(session));
  *out_model = (ir_model_t){session, mlirModuleCreateEmpty(nowhere)};
  set_config(out_model, config);
  return true;
}

void ir_model_destroy(ir_model_t *model) {
  if (!mlirModuleIsNull(model->module)) mlirModuleDestroy(model->module);
  *model = (ir_model_t){0};
}

void ir_model_print(const ir_model_t *model, hone_buffer_t *out) {
  mlirOperationPrint(mlirModuleGetOperation(model->module), ir_print_into, out);
}

typedef struct reader {  // of the entries of hone.model; the first failure sticks
  MlirAttribute dictionary;
  hone_arena_t *arena;
  hone_status_t *status;
  bool ok;
} reader_t;

static MlirAttribute entry(reader_t *reader, const char *name) {
  return mlirDictionaryAttrGetElementByName(reader->dictionary, ir_ref(name));
}

static void expect(reader_t *reader, bool found, const char *name, const char *kind) {
  if (found || !reader->ok) return;
  reader->ok =
      hone_fail(reader->status, HONE_INVALID, "hone.model needs the entry %s, %s", name, kind);
}

static void read_text(reader_t *reader, const char *name, const char **out) {
  MlirStringRef text;
  bool found = ir_attribute_text(entry(reader, name), &text);
  expect(reader, found, name, "a string");
  if (found) *out = ir_ref_copy(text, reader->arena);
}

static void read_i64(reader_t *reader, const char *name, int64_t *out) {
  expect(reader, ir_attribute_i64(entry(reader, name), out), name, "an i64 integer");
}

static void read_bool(reader_t *reader, const char *name, bool *out) {
  MlirAttribute attribute = entry(reader, name);
  bool found = !mlirAttributeIsNull(attribute) && mlirAttributeIsABool(attribute);
  expect(reader, found, name, "true or false");
  if (found) *out = mlirBoolAttrGetValue(attribute);
}

static void read_eos(reader_t *reader, ir_config_t *config) {
  MlirAttribute attribute = entry(reader, "eos");
  bool found = !mlirAttributeIsNull(attribute) && mlirAttributeIsADenseI64Array(attribute);
  found = found && mlirDenseArrayGetNumElements(attribute) <= IR_EOS_LIMIT;
  expect(reader, found, "eos", "array<i64: ...> of at most 16 token ids");
  if (!found) return;
  config->eos_count = (size_t)mlirDenseArrayGetNumElements(attribute);
  for (size_t i = 0; i < config->eos_count; i++) {
    config->eos[i] = mlirDenseI64ArrayGetElement(attribute, (intptr_t)i);
  }
}

bool ir_model_config(const ir_model_t *model, ir_config_t *out_config, hone_status_t *status) {
  MlirAttribute dictionary = ir_attribute(mlirModuleGetOperation(model->module), "hone.model");
  if (mlirAttributeIsNull(dictionary) || !mlirAttributeIsADictionary(dictionary)) {
    return hone_fail(status, HONE_INVALID,
                     "the module has no attribute hone.model = {family = ..., vocab = ..., ...}");
  }
  ir_config_t config = {0};
  reader_t reader = {dictionary, ir_session_arena(model->session), status, true};
  read_text(&reader, "family", &config.family);
  read_i64(&reader, "vocab", &config.vocab);
  read_i64(&reader, "width", &config.width);
  read_i64(&reader, "context", &config.context);
  read_i64(&reader, "bos", &config.bos);
  read_bool(&reader, "add_bos", &config.add_bos);
  read_eos(&reader, &config);
  read_text(&reader, "checkpoint", &config.checkpoint);
  if (reader.ok) *out_config = config;
  return reader.ok;
}

void ir_model_set_checkpoint(ir_model_t *model, const char *folder) {
  MlirOperation op = mlirModuleGetOperation(model->module);
  MlirContext context = ir_session_context(model->session);
  MlirAttribute old = ir_attribute(op, "hone.model");
  if (mlirAttributeIsNull(old) || !mlirAttributeIsADictionary(old)) return;
  // Kept entry by entry, so that entries this version does not know survive.
  intptr_t count = mlirDictionaryAttrGetNumElements(old), kept = 0;
  hone_arena_t *arena = ir_session_arena(model->session);
  MlirNamedAttribute *entries = HONE_NEW_ARRAY(arena, MlirNamedAttribute, (size_t)count + 1);
  for (intptr_t i = 0; i < count; i++) {
    MlirNamedAttribute item = mlirDictionaryAttrGetElement(old, i);
    if (!ir_ref_is(mlirIdentifierStr(item.name), "checkpoint")) entries[kept++] = item;
  }
  MlirIdentifier name = mlirIdentifierGet(context, ir_ref("checkpoint"));
  entries[kept++] = mlirNamedAttributeGet(name, ir_make_text(context, folder));
  mlirOperationSetAttributeByName(op, ir_ref("hone.model"),
                                  mlirDictionaryAttrGet(context, kept, entries));
}

MlirOperation ir_function_find(const ir_model_t *model, const char *name) {
  MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(model->module));
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    MlirStringRef symbol;
    if (ir_op_is(op, "func.func") && ir_attribute_text(ir_attribute(op, "sym_name"), &symbol) &&
        ir_ref_is(symbol, name)) {
      return op;
    }
  }
  return op;
}

MlirBlock ir_function_body(MlirOperation function) {
  MlirBlock none = {0};
  if (mlirOperationIsNull(function) || mlirOperationGetNumRegions(function) != 1) return none;
  MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(function, 0));
  if (mlirBlockIsNull(block) || !mlirBlockIsNull(mlirBlockGetNextInRegion(block))) return none;
  return block;
}
