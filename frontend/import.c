// Import: decides what a path is, and who reads it.
#include "frontend/import.h"

#include <stdlib.h>

#include "base/file.h"
#include "frontend/family.h"
#include "frontend/textual.h"

static bool import_config(ir_session_t *session, const char *path, hone_checkpoint_t *checkpoint,
                          ir_model_t *out_model, hone_status_t *status) {
  hone_config_t config;
  if (!hone_config_open(path, &config, status)) return false;
  const hone_model_family_t *family;
  bool ok = hone_model_family_of(&config, &family, status);
  if (ok) {
    hone_model_family_input_t input = {family->name, session, &config, checkpoint};
    ok = family->import(&input, out_model, status);
  }
  hone_config_close(&config);
  return ok;
}

static bool import_folder(ir_session_t *session, const char *path, ir_model_t *out_model,
                          hone_checkpoint_t **out_checkpoint, hone_status_t *status) {
  char *real =
      realpath(path, NULL);  // fails where opening the checkpoint says better what is wrong
  const char *folder = hone_arena_strdup(ir_session_arena(session), real ? real : path);
  free(real);
  const char *config = hone_path_join(ir_session_arena(session), folder, "config.json");
  if (!hone_checkpoint_open(folder, out_checkpoint, status)) return false;
  if (!hone_file_exists(config))
    return hone_fail(status, HONE_NOT_FOUND,
                     "'%.400s' has weights but no config.json, which says what model it is",
                     folder);
  return import_config(session, config, *out_checkpoint, out_model, status);
}

static bool import_textual(ir_session_t *session, const char *path, ir_model_t *out_model,
                           hone_checkpoint_t **out_checkpoint, hone_status_t *status) {
  ir_config_t config;
  return hone_textual_import(session, path, out_model, status) &&
         ir_model_config(out_model, &config, status) &&
         hone_checkpoint_open(config.checkpoint, out_checkpoint, status) &&
         hone_textual_check(out_model, path, *out_checkpoint, status);
}

bool hone_import(ir_session_t *session, const char *path, ir_model_t *out_model,
                 hone_checkpoint_t **out_checkpoint, hone_status_t *status) {
  *out_model = (ir_model_t){0};
  *out_checkpoint = NULL;
  bool textual = hone_text_ends(path, ".mlir") && !hone_file_is_folder(path);
  bool ok = textual ? import_textual(session, path, out_model, out_checkpoint, status)
                    : import_folder(session, path, out_model, out_checkpoint, status);
  if (ok) return true;
  ir_model_destroy(out_model);
  hone_checkpoint_close(*out_checkpoint);
  *out_model = (ir_model_t){0};
  *out_checkpoint = NULL;
  return false;
}
