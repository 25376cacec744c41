// Tokenizer import: which file of a folder counts, and what tokenizer_config.json adds to it.
#include "frontend/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "frontend/tokenizer_internal.h"

// The text of a token in tokenizer_config.json: a string, or an object with `content`; NULL if
// absent.
static const char *token_text(const json_t *value) {
  if (json_is_object(value)) value = json_object_get(value, "content");
  return json_string_value(value);
}

static bool config_token(const hone_tokenizer_draft_t *draft, const char *path,
                         const json_t *config, const char *key, int32_t *inout_id,
                         hone_status_t *status) {
  const json_t *value = json_object_get(config, key);
  const char *text = token_text(value);
  if (text == NULL) {
    if (value == NULL || json_is_null(value)) return true;
    return hone_fail(status, HONE_INVALID, "%s: %s is neither a string nor an object with content",
                     path, key);
  }
  int32_t id = hone_draft_find(draft, hone_slice(text));
  if (id < 0) {
    return hone_fail(status, HONE_INVALID, "%s: %s %s is not a token of %s", path, key,
                     hone_draft_quote(draft, hone_slice(text)), draft->name);
  }
  *inout_id = id;
  return true;
}

// Tokens that a sentencepiece folder adds to its model file, by id.
static bool config_added(hone_tokenizer_draft_t *draft, const char *path, const json_t *config,
                         hone_status_t *status) {
  const char *key;
  json_t *entry;
  json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, entry) {
    int64_t id;
    if (!hone_text_parse_i64(key, &id)) {
      return hone_fail(status, HONE_INVALID, "%s: added_tokens_decoder: %s is not an id", path,
                       hone_draft_quote(draft, hone_slice(key)));
    }
    const char *text = token_text(entry);
    if (text != NULL && hone_draft_find(draft, hone_slice(text)) == id)
      continue;  // as in the model
    const char *where = hone_arena_format(draft->arena, "added_tokens_decoder of %s", path);
    if (!hone_draft_added_json(draft, entry, id, where, status)) return false;
  }
  return true;
}

static bool config_bos(hone_tokenizer_draft_t *draft, const char *path, const json_t *config,
                       hone_status_t *status) {
  if (json_is_true(json_object_get(config, "add_eos_token"))) {
    return hone_fail(status, HONE_UNSUPPORTED, "%s: add_eos_token: prompts that end with EOS",
                     path);
  }
  const json_t *add = json_object_get(config, "add_bos_token");
  if (json_is_false(add)) draft->flags &= ~(uint32_t)HONE_TOKENIZER_ADD_BOS;
  if (!json_is_true(add)) return true;
  if (draft->bos < 0) {
    return hone_fail(status, HONE_INVALID, "%s: add_bos_token without a bos_token", path);
  }
  draft->flags |= HONE_TOKENIZER_ADD_BOS;
  return true;
}

static bool apply_config(hone_tokenizer_draft_t *draft, const char *path, const json_t *config,
                         bool is_model, hone_status_t *status) {
  if (!json_is_object(config)) {
    return hone_fail(status, HONE_INVALID, "%s: not a JSON object", path);
  }
  if (is_model) {
    if (!config_added(draft, path, config, status)) return false;
    // Since transformers fixed how text behind a special token is read, it says so with this key.
    if (json_is_false(json_object_get(config, "legacy")))
      draft->flags |= HONE_TOKENIZER_PREFIX_FIRST;
  }
  // The template's BOS is what the reference puts in front; the config's only names one otherwise.
  int32_t bos = draft->bos;
  if (!config_token(draft, path, config, "bos_token", &bos, status)) return false;
  if (is_model || draft->bos < 0) draft->bos = bos;
  if (!config_token(draft, path, config, "eos_token", &draft->eos, status)) return false;
  return config_bos(draft, path, config, status);
}

static bool read_config(hone_tokenizer_draft_t *draft, const char *folder, bool is_model,
                        hone_status_t *status) {
  const char *path = hone_path_join(draft->arena, folder, "tokenizer_config.json");
  if (!hone_file_exists(path)) return true;
  char *data;
  size_t bytes;
  if (!hone_file_read(path, HONE_TOKENIZER_FILE_LIMIT, draft->arena, &data, &bytes, status)) {
    return false;
  }
  json_error_t error;
  json_t *config = json_loadb(data, bytes, JSON_REJECT_DUPLICATES, &error);
  if (config == NULL) {
    return hone_fail(status, HONE_INVALID, "%s: not JSON: %s at line %d, byte %d", path, error.text,
                     error.line, error.position);
  }
  bool done = apply_config(draft, path, config, is_model, status);
  json_decref(config);
  return done;
}

static bool import(const char *name, const char *data, size_t bytes, bool is_model,
                   const char *folder, int64_t vocab, hone_buffer_t *out_blob,
                   hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  hone_tokenizer_draft_t draft;
  hone_draft_init(&draft, arena, name, vocab);
  bool done = is_model ? hone_draft_read_model(&draft, data, bytes, status)
                       : hone_draft_read_json(&draft, data, bytes, status);
  // A sentencepiece model does not say whether prompts start with BOS; llama's do.
  if (done && is_model && draft.bos >= 0) draft.flags |= HONE_TOKENIZER_ADD_BOS;
  done = done && (folder == NULL || read_config(&draft, folder, is_model, status)) &&
         hone_draft_write(&draft, out_blob, status);
  hone_arena_destroy(arena);
  return done;
}

bool hone_tokenizer_import_model(const char *name, const char *data, size_t bytes, int64_t vocab,
                                 hone_buffer_t *out_blob, hone_status_t *status) {
  return import(name, data, bytes, true, NULL, vocab, out_blob, status);
}

bool hone_tokenizer_import_json(const char *name, const char *data, size_t bytes, int64_t vocab,
                                hone_buffer_t *out_blob, hone_status_t *status) {
  return import(name, data, bytes, false, NULL, vocab, out_blob, status);
}

bool hone_tokenizer_import(const char *folder, int64_t vocab, hone_buffer_t *out_blob,
                           hone_status_t *status) {
  static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
  hone_arena_t *arena = hone_arena_create();
  bool done = true, found = false;
  for (size_t i = 0; i < 2 && !found; i++) {
    char *path = hone_path_join(arena, folder, names[i]), *data;
    size_t bytes;
    found = hone_file_exists(path);
    if (!found) continue;
    done = hone_file_read(path, HONE_TOKENIZER_FILE_LIMIT, arena, &data, &bytes, status) &&
           import(path, data, bytes, i == 1, folder, vocab, out_blob, status);
  }
  hone_arena_destroy(arena);
  return done;
}
