// The view of a model before compilation: configuration, blocks, and every weight with its recipe.
#include <string.h>

#include "frontend/checkpoint.h"
#include "frontend/import.h"
#include "tools/inspect.h"

static uint64_t recipe_bytes(const ir_recipe_t *recipe) {
  return (uint64_t)((double)recipe->N * (double)recipe->K * hone_format_bits(recipe->format) / 8);
}

static const char *recipe_shape(hone_arena_t *arena, const ir_recipe_t *recipe) {
  if (recipe->K == 1) return hone_arena_format(arena, "%lld", (long long)recipe->N);
  return hone_arena_format(arena, "%lld x %lld", (long long)recipe->N, (long long)recipe->K);
}

static const char *recipe_sources(hone_arena_t *arena, const ir_recipe_t *recipe) {
  const char *text = recipe->source_count ? recipe->sources[0] : "";
  for (size_t i = 1; i < recipe->source_count; i++)
    text = hone_arena_format(arena, "%s %s %s", text, recipe->combine == IR_INTERLEAVE ? "~" : "+",
                             recipe->sources[i]);
  return text;
}

// Number of hone ops in a block, not counting uses of weights.
static size_t block_ops(const ir_block_t *block) {
  size_t count = 0;
  MlirRegion body = mlirOperationGetRegion(block->function, 0);
  MlirOperation op = mlirBlockGetFirstOperation(mlirRegionGetFirstBlock(body));
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    ir_op_kind_t kind = ir_op_kind(op);
    count += kind != IR_OP_OTHER && kind != IR_OP_WEIGHT;
  }
  return count;
}

static void print_text(hone_tool_t *tool, const ir_model_t *model, const ir_config_t *config,
                       hone_buffer_t *out) {
  uint64_t total = 0, parameters = 0;
  char size[16], format[24];
  hone_buffer_format(
      out, "family      %s\nvocabulary  %lld\nwidth       %lld\ncontext     %lld\n\nblocks\n",
      config->family, (long long)config->vocab, (long long)config->width,
      (long long)config->context);
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block)) continue;
    hone_buffer_format(out, "  %-28s %-12s %zu ops\n", block.name, block.kind, block_ops(&block));
  }
  hone_buffer_text(out, "\nweights\n");
  for (size_t i = 0; i < ir_recipe_count(model); i++) {
    ir_recipe_t recipe;
    if (!ir_recipe_at(model, i, &recipe)) continue;
    total += recipe_bytes(&recipe);
    parameters += (uint64_t)(recipe.N * recipe.K);
    hone_buffer_format(out, "  %-28s %-16s %-10s %9s  %s\n", recipe.name,
                       recipe_shape(tool->arena, &recipe), hone_format_text(recipe.format, format),
                       hone_text_bytes(recipe_bytes(&recipe), size),
                       recipe_sources(tool->arena, &recipe));
  }
  hone_buffer_format(out, "\n%llu parameters in %zu weights, %s\n", (unsigned long long)parameters,
                     ir_recipe_count(model), hone_text_bytes(total, size));
}

static void print_json(hone_tool_t *tool, const ir_model_t *model, const ir_config_t *config,
                       hone_buffer_t *out) {
  char format[24];
  hone_json_t json = {.out = out};
  hone_json_object_begin(&json, NULL);
  hone_json_string(&json, "schema", "hone.model/1");
  hone_json_string(&json, "family", config->family);
  hone_json_i64(&json, "vocab", config->vocab);
  hone_json_i64(&json, "width", config->width);
  hone_json_i64(&json, "context", config->context);
  hone_json_array_begin(&json, "blocks");
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block)) continue;
    hone_json_object_begin(&json, NULL);
    hone_json_string(&json, "name", block.name);
    hone_json_string(&json, "kind", block.kind);
    hone_json_u64(&json, "ops", block_ops(&block));
    hone_json_object_end(&json);
  }
  hone_json_array_end(&json);
  hone_json_array_begin(&json, "weights");
  for (size_t i = 0; i < ir_recipe_count(model); i++) {
    ir_recipe_t recipe;
    if (!ir_recipe_at(model, i, &recipe)) continue;
    hone_json_object_begin(&json, NULL);
    hone_json_string(&json, "name", recipe.name);
    hone_json_string(&json, "format", hone_format_text(recipe.format, format));
    hone_json_i64(&json, "N", recipe.N);
    hone_json_i64(&json, "K", recipe.K);
    hone_json_u64(&json, "bytes", recipe_bytes(&recipe));
    hone_json_string(&json, "sources", recipe_sources(tool->arena, &recipe));
    hone_json_object_end(&json);
  }
  hone_json_array_end(&json);
  hone_json_object_end(&json);
  hone_buffer_text(out, "\n");
}

bool hone_inspect_model(hone_tool_t *tool, const char *path, bool json, hone_buffer_t *out,
                        hone_status_t *status) {
  ir_session_t *session = NULL;
  ir_model_t model = {0};
  hone_checkpoint_t *checkpoint = NULL;
  ir_config_t config;
  bool ok = ir_session_create(tool->diagnostics, &session, status) &&
            hone_import(session, path, &model, &checkpoint, status) &&
            ir_model_config(&model, &config, status);
  if (ok && json) print_json(tool, &model, &config, out);
  if (ok && !json) print_text(tool, &model, &config, out);
  ir_model_destroy(&model);
  hone_checkpoint_close(checkpoint);
  ir_session_destroy(session);
  return ok;
}
