// Import: what a path is, which family it belongs to, and where its weights lie.
#include "frontend/import.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "frontend/llama.h"

enum { TEXT_LIMIT = 256 << 20 };

static const struct {
  const char *name;
  bool (*import)(ir_model_t *model, hone_checkpoint_t *checkpoint, const hone_llama_config_t *config, hone_status_t *status);
} families[] = {
#define FAMILY(name, importer, summary) {name, importer},
#include "frontend/families.def"
#undef FAMILY
};

// generation_config.json's end tokens replace config.json's: it is what generation uses.
static bool merge_generation(const char *folder, hone_arena_t *arena, hone_llama_config_t *config, hone_status_t *status) {
  hone_config_t json;
  const char *path = hone_path_join(arena, folder, "generation_config.json");
  if (!hone_file_exists(path)) return true;
  if (!hone_config_open(path, arena, &json, status)) return false;
  bool ok = true;
  if (hone_config_has(&json, "eos_token_id"))
    ok = hone_config_ints(&json, "eos_token_id", config->eos, IR_EOS_LIMIT, &config->eos_count, status);
  hone_config_close(&json);
  return ok;
}

// Whether prompts begin with BOS: tokenizer_config.json decides; without the key, where there is a BOS.
static bool read_add_bos(const char *folder, hone_arena_t *arena, bool *out_add, hone_status_t *status) {
  hone_config_t json;
  const char *path = hone_path_join(arena, folder, "tokenizer_config.json");
  if (!hone_file_exists(path)) return true;
  if (!hone_config_open(path, arena, &json, status)) return false;
  bool ok = hone_config_bool_or(&json, "add_bos_token", *out_add, out_add, status);
  hone_config_close(&json);
  return ok;
}

static bool unknown_family(const char *path, const char *name, hone_status_t *status) {
  char known[256] = "";
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    strncat(known, i ? ", " : "", sizeof known - strlen(known) - 1);
    strncat(known, families[i].name, sizeof known - strlen(known) - 1);
  }
  return hone_fail(status, HONE_UNSUPPORTED, "%s: model_type '%.40s' is not supported; known families: %s", path, name, known);
}

static bool import_family(ir_session_t *session, const char *folder, const hone_config_t *json,
                          hone_checkpoint_t *checkpoint, ir_model_t *out_model, hone_status_t *status) {
  hone_arena_t *arena = ir_session_arena(session);
  hone_llama_config_t config;
  const char *name;
  if (!hone_config_text_or(json, "model_type", "", &name, status)) return false;
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    if (strcmp(families[i].name, name)) continue;
    if (!hone_llama_config_read(json, arena, &config, status) || !merge_generation(folder, arena, &config, status)) return false;
    ir_config_t ir = {.family = config.family, .vocab = config.vocab, .width = config.width, .context = config.context,
                      .bos = config.bos, .add_bos = config.bos >= 0, .eos_count = config.eos_count, .checkpoint = folder};
    memcpy(ir.eos, config.eos, sizeof ir.eos);
    if (!read_add_bos(folder, arena, &ir.add_bos, status) || !ir_model_create(session, &ir, out_model, status)) return false;
    return families[i].import(out_model, checkpoint, &config, status);
  }
  return unknown_family(json->path, name, status);
}

static const char *absolute(hone_arena_t *arena, const char *path) {
  char resolved[PATH_MAX];
  return hone_arena_strdup(arena, realpath(path, resolved) ? resolved : path);
}

static bool import_folder(ir_session_t *session, const char *path, ir_model_t *out_model, hone_checkpoint_t **out_checkpoint,
                          hone_status_t *status) {
  hone_arena_t *arena = ir_session_arena(session);
  const char *folder = absolute(arena, path);
  const char *config_path = hone_path_join(arena, path, "config.json");
  hone_config_t json;
  if (!hone_file_exists(config_path))
    return hone_fail(status, HONE_NOT_FOUND, "%s: no config.json; is it a Hugging Face model folder?", path);
  if (!hone_config_open(config_path, arena, &json, status)) return false;
  bool ok = hone_checkpoint_open(path, out_checkpoint, status) &&
            import_family(session, folder, &json, *out_checkpoint, out_model, status);
  hone_config_close(&json);
  return ok;
}

// Every recipe's sources exist and combine to its shape.
static bool check_recipe(const ir_recipe_t *recipe, hone_checkpoint_t *checkpoint, hone_status_t *status) {
  int64_t N, K, rows = 0;
  hone_storage_t storage;
  for (size_t i = 0; i < recipe->source_count; i++) {
    if (!hone_checkpoint_shape(checkpoint, recipe->sources[i], &N, &K, &storage, status)) return hone_note(status, "@%s", recipe->name);
    rows += N;
    if (K != recipe->K)
      return hone_fail(status, HONE_INVALID, "@%s: %s has %lld columns, the recipe %lld", recipe->name, recipe->sources[i],
                       (long long)K, (long long)recipe->K);
  }
  if (rows == recipe->N) return true;
  return hone_fail(status, HONE_INVALID, "@%s: its sources have %lld rows together, the recipe %lld", recipe->name,
                   (long long)rows, (long long)recipe->N);
}

static bool import_text(ir_session_t *session, const char *path, ir_model_t *out_model, hone_checkpoint_t **out_checkpoint,
                        hone_status_t *status) {
  hone_arena_t *arena = ir_session_arena(session);
  char *text;
  size_t bytes;
  ir_config_t config;
  if (!hone_file_read(path, TEXT_LIMIT, arena, &text, &bytes, status) ||
      !ir_model_parse(session, text, path, out_model, status) || !ir_model_verify(out_model, status) ||
      !ir_model_config(out_model, &config, status))
    return false;
  const char *slash = strrchr(path, '/'), *folder = config.checkpoint;
  if (*folder != '/' && slash) folder = hone_arena_format(arena, "%.*s/%s", (int)(slash - path), path, folder);
  folder = absolute(arena, folder);
  ir_model_set_checkpoint(out_model, folder);
  if (!hone_checkpoint_open(folder, out_checkpoint, status)) return hone_note(status, "%s: checkpoint", path);
  for (size_t i = 0; i < ir_recipe_count(out_model); i++) {
    ir_recipe_t recipe;
    if (ir_recipe_at(out_model, i, &recipe) && !check_recipe(&recipe, *out_checkpoint, status)) return hone_note(status, "%s", path);
  }
  return true;
}

bool hone_import(ir_session_t *session, const char *path, ir_model_t *out_model, hone_checkpoint_t **out_checkpoint,
                 hone_status_t *status) {
  *out_checkpoint = NULL;
  *out_model = (ir_model_t){0};
  bool ok;
  if (!hone_file_exists(path)) {
    ok = hone_fail(status, HONE_NOT_FOUND, "%s: no such file or folder", path);
  } else if (hone_file_is_folder(path)) {
    ok = import_folder(session, path, out_model, out_checkpoint, status);
  } else if (hone_text_ends(path, ".mlir")) {
    ok = import_text(session, path, out_model, out_checkpoint, status);
  } else if (hone_text_ends(path, ".gguf")) {
    ok = hone_fail(status, HONE_UNSUPPORTED, "%s: GGUF files are not read by this version; use the safetensors form", path);
  } else {
    ok = hone_fail(status, HONE_INVALID, "%s: a model folder or a textual model (.mlir) is expected", path);
  }
  if (ok) return true;
  ir_model_destroy(out_model);
  hone_checkpoint_close(*out_checkpoint);
  *out_checkpoint = NULL;
  return false;
}
