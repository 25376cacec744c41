// The table of exporters, and what they all begin with: which tensors there are, and the format
// each is written in.
#include "codegen/export/export.h"

#include <string.h>

#include "base/map.h"
#include "codegen/export/export_internal.h"

static const char gguf_formats[] = "ternary,mxfp4,iq4nl,q8:32,f16";

static const hone_exporter_t exporters[] = {
    {"checkpoint",
     "Hugging Face folder: floats, or nf4 and fp4 as bitsandbytes has them",
     hone_export_checkpoint,
     {"a checkpoint folder", "nf4dq:128,nf4dq,nf4dq:32,bf16", HONE_STORAGE_COUNT,
      hone_export_checkpoint_bits}},
    {"gguf",
     "GGUF file of llama.cpp; ternary as TQ2_0",
     hone_export_gguf,
     {"GGUF", gguf_formats, HONE_F16, hone_export_gguf_bits}},
    {"gguf-tq1",
     "the same with ternary as TQ1_0: smaller, slower",
     hone_export_gguf_tq1,
     {"GGUF", gguf_formats, HONE_F16, hone_export_gguf_tq1_bits}},
};

const hone_exporter_t *hone_exporter_find(const char *name) {
  for (size_t i = 0; name && i < sizeof exporters / sizeof *exporters; i++)
    if (!strcmp(exporters[i].name, name)) return &exporters[i];
  return NULL;
}

// The recipes that blocks of kind embed and head use.
static hone_map_t *find_heads(const hone_compile_t *compile) {
  hone_map_t *heads = hone_map_create(compile->arena);
  for (size_t i = 0; i < ir_block_count(&compile->model); i++) {
    ir_block_t block;
    if (!ir_block_at(&compile->model, i, &block)) continue;
    if (strcmp(block.kind, "embed") && strcmp(block.kind, "head")) continue;
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(block.function, 0));
    MlirOperation op = mlirBlockGetFirstOperation(body);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
      if (ir_op_kind(op) != IR_OP_WEIGHT) continue;
      hone_map_put(heads, ir_value_recipe(mlirOperationGetResult(op, 0), compile->session), heads);
    }
  }
  return heads;
}

static bool list_tensor(const hone_export_t *export, const hone_map_t *heads,
                        const hone_format_t *head, hone_export_tensor_t *tensor,
                        hone_status_t *status) {
  const hone_compile_t *compile = export->compile;
  const ir_recipe_t *recipe = &tensor->recipe;
  int64_t N, K;
  if (recipe->combine != IR_SINGLE || recipe->source_count != 1)
    return hone_fail(status, HONE_UNSUPPORTED, "recipe %s joins several tensors of the checkpoint",
                     recipe->name);
  if (recipe->rotate)
    return hone_fail(status, HONE_UNSUPPORTED,
                     "recipe %s is rotated: other programs do not rotate what enters it",
                     recipe->name);
  if (recipe->gain)
    return hone_fail(status, HONE_UNSUPPORTED,
                     "recipe %s is scaled by %s, which other programs' norms do themselves",
                     recipe->name, recipe->gain);
  tensor->source = recipe->sources[0];
  if (!compile->reader->shape(compile->source, tensor->source, &N, &K, &tensor->storage, status))
    return hone_note(status, "recipe %s", recipe->name);
  tensor->is_vector = recipe->K == 1;
  tensor->is_head = !tensor->is_vector && hone_map_get(heads, recipe->name);
  tensor->rows = tensor->is_vector ? 1 : recipe->N;
  tensor->columns = tensor->is_vector ? recipe->N : recipe->K;
  tensor->format = recipe->format;
  const hone_format_t source = {.storage = tensor->storage};
  bool by_default = tensor->is_head && !compile->options.head && compile->allocation.count == 0;
  if (tensor->is_vector) tensor->format = source;
  if (by_default && hone_format_is_quantized(recipe->format.storage))
    tensor->format = head ? *head : source;
  return true;
}

bool hone_export_begin(hone_compile_t *compile, const hone_format_t *head,
                       hone_export_t *out_export, hone_status_t *status) {
  hone_export_t export = {.compile = compile, .arena = compile->arena};
  if (!hone_file_is_folder(compile->options.model))
    return hone_fail(status, HONE_UNSUPPORTED,
                     "'%s' is a textual model: only a Hugging Face folder has the configuration "
                     "that --emit %s needs",
                     compile->options.model, compile->options.emit);
  if (!ir_model_config(&compile->model, &export.config, status) ||
      !hone_solver_read(compile, "export", &export.solver, status))
    return false;
  hone_map_t *heads = find_heads(compile);
  export.count = ir_recipe_count(&compile->model);
  export.tensors = HONE_NEW_ARRAY(export.arena, hone_export_tensor_t, export.count);
  uint64_t total = 0;
  for (size_t i = 0; i < export.count; i++) {
    hone_export_tensor_t *tensor = &export.tensors[i];
    if (!ir_recipe_at(&compile->model, i, &tensor->recipe))
      return hone_fail(status, HONE_INTERNAL, "recipe %zu cannot be read", i);
    if (!list_tensor(&export, heads, head, tensor, status)) return false;
    total += (uint64_t)(tensor->rows * tensor->columns);
  }
  export.progress =
      hone_progress_create("exporting weights", total, false, compile->options.progress);
  *out_export = export;
  return true;
}

void hone_export_announce(const hone_export_t *export) {
  for (size_t i = 0; i < export->count; i++) {
    const hone_export_tensor_t *tensor = &export->tensors[i];
    hone_store_add(export->solver.store, &tensor->recipe, tensor->format, tensor->recipe.N);
  }
}

void hone_export_end(hone_export_t *export) { hone_progress_destroy(export->progress); }
