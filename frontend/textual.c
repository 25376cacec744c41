// Textual models: parsing is ir/'s; here the file finds its checkpoint, and its recipes are held
// against the tensors.
#include "frontend/textual.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { TEXT_LIMIT_BYTES = 256 << 20 };

// The folder that `checkpoint` means in the file at `path`, absolute and in the arena.
static const char *resolve_folder(hone_arena_t *arena, const char *path, const char *checkpoint,
                                  hone_status_t *status) {
  const char *folder = checkpoint;
  if (*checkpoint != '/') {
    size_t length = (size_t)(hone_path_base(path) - path);
    folder = hone_path_join(arena, hone_arena_strndup(arena, path, length), checkpoint);
  }
  char *real = realpath(*folder ? folder : ".", NULL);
  if (!real) {
    hone_fail(status, HONE_NOT_FOUND,
              "%.300s: hone.model: checkpoint = \"%.200s\": there is no folder '%.300s'", path,
              checkpoint, folder);
    return NULL;
  }
  char *copy = hone_arena_strdup(arena, real);
  free(real);
  return copy;
}

bool hone_textual_import(ir_session_t *session, const char *path, ir_model_t *out_model,
                         hone_status_t *status) {
  hone_arena_t *scratch = hone_arena_create();
  char *text;
  size_t bytes;
  *out_model = (ir_model_t){0};
  bool parsed = hone_file_read(path, TEXT_LIMIT_BYTES, scratch, &text, &bytes, status) &&
                ir_model_parse(session, text, path, out_model, status);
  hone_arena_destroy(scratch);
  if (!parsed) return false;
  ir_config_t config;
  const char *folder = NULL;
  if (ir_model_verify(out_model, status) && ir_model_config(out_model, &config, status))
    folder = resolve_folder(ir_session_arena(session), path, config.checkpoint, status);
  if (folder) {
    ir_model_set_checkpoint(out_model, folder);
    return true;
  }
  ir_model_destroy(out_model);
  *out_model = (ir_model_t){0};
  return false;
}

// (N, K) of the recipe's sources together.
static bool combine_shapes(const ir_recipe_t *recipe, hone_checkpoint_t *checkpoint, int64_t *out_N,
                           int64_t *out_K, hone_status_t *status) {
  *out_N = 0;
  *out_K = 0;
  for (size_t i = 0; i < recipe->source_count; i++) {
    int64_t N, K, first_N = *out_N;
    hone_storage_t storage;
    if (!hone_checkpoint_shape(checkpoint, recipe->sources[i], &N, &K, &storage, status))
      return false;
    if (i > 0 && K != *out_K)
      return hone_fail(status, HONE_INVALID,
                       "source '%.200s' has %" PRId64 " columns, but '%.200s' has %" PRId64,
                       recipe->sources[i], K, recipe->sources[0], *out_K);
    if (i > 0 && recipe->combine == IR_INTERLEAVE && N != first_N / (int64_t)i)
      return hone_fail(status, HONE_INVALID,
                       "source '%.200s' has %" PRId64 " rows, but '%.200s' has %" PRId64,
                       recipe->sources[i], N, recipe->sources[0], first_N / (int64_t)i);
    *out_K = K;
    if (__builtin_add_overflow(*out_N, N, out_N))
      return hone_fail(status, HONE_INVALID, "the rows of its sources overflow");
  }
  return true;
}

bool hone_textual_check(const ir_model_t *model, const char *path, hone_checkpoint_t *checkpoint,
                        hone_status_t *status) {
  for (size_t i = 0; i < ir_recipe_count(model); i++) {
    ir_recipe_t recipe;
    int64_t N, K;
    if (!ir_recipe_at(model, i, &recipe)) continue;
    if (recipe.source_count == 0) continue;  // a correction
    if (!combine_shapes(&recipe, checkpoint, &N, &K, status))
      return hone_note(status, "%.300s: recipe @%.200s", path, recipe.name);
    if (N != recipe.N || K != recipe.K)
      return hone_fail(status, HONE_INVALID,
                       "%.300s: recipe @%.200s has %" PRId64 " rows and %" PRId64
                       " columns, but its sources give %" PRId64 " rows and %" PRId64 " columns",
                       path, recipe.name, recipe.N, recipe.K, N, K);
  }
  return true;
}
