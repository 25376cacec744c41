// The table of families, and the parts of a configuration that do not depend on the family.
#include "frontend/family.h"

#include <string.h>

#include "base/file.h"
#include "frontend/llama.h"

static const hone_model_family_t families[] = {
#define FAMILY(name, importer, summary) {#name, summary, importer},
#include "frontend/families.def"
#undef FAMILY
};

size_t hone_model_family_count(void) { return sizeof families / sizeof *families; }

const hone_model_family_t *hone_model_family_at(size_t index) { return &families[index]; }

bool hone_model_family_of(const hone_config_t *config, const hone_model_family_t **out_family,
                          hone_status_t *status) {
  const char *name;
  if (!hone_config_text(config, "model_type", &name, status)) return false;
  for (size_t i = 0; i < hone_model_family_count(); i++) {
    if (strcmp(name, families[i].name)) continue;
    *out_family = &families[i];
    return true;
  }
  hone_buffer_t known = {0};
  for (size_t i = 0; i < hone_model_family_count(); i++)
    hone_buffer_format(&known, "%s%s", i ? ", " : "", families[i].name);
  hone_fail(status, HONE_UNSUPPORTED, "%s: key 'model_type': unknown family '%.60s'; known are: %s",
            config->path, name, hone_buffer_cstr(&known));
  hone_buffer_deinit(&known);
  return false;
}

// Opens FOLDER/name if it is there: *out is closed if not.
static bool open_optional(const char *folder, const char *name, hone_config_t *out,
                          hone_status_t *status) {
  *out = (hone_config_t){.section = ""};
  hone_arena_t *arena = hone_arena_create();
  const char *path = hone_path_join(arena, folder, name);
  bool ok = !hone_file_exists(path) || hone_config_open(path, out, status);
  hone_arena_destroy(arena);
  return ok;
}

bool hone_model_family_special_ids(const hone_model_family_input_t *input, ir_config_t *config,
                                   hone_status_t *status) {
  const char *folder = hone_checkpoint_folder(input->checkpoint);
  hone_config_t generation, tokenizer;
  int64_t last = config->vocab - 1;
  config->eos_count = 0;
  if (!hone_config_int_or(input->config, "bos_token_id", -1, 0, last, &config->bos, status) ||
      !hone_config_int_set(input->config, "eos_token_id", 0, last, IR_EOS_LIMIT, config->eos,
                           &config->eos_count, status) ||
      !open_optional(folder, "generation_config.json", &generation, status))
    return false;
  bool ok =
      !generation.object || hone_config_int_set(&generation, "eos_token_id", 0, last, IR_EOS_LIMIT,
                                                config->eos, &config->eos_count, status);
  hone_config_close(&generation);
  if (!ok || !open_optional(folder, "tokenizer_config.json", &tokenizer, status)) return false;
  config->add_bos = true;
  ok = !tokenizer.object ||
       hone_config_bool_or(&tokenizer, "add_bos_token", true, &config->add_bos, status);
  hone_config_close(&tokenizer);
  config->add_bos = config->add_bos && config->bos >= 0;
  return ok;
}
