// Model families: which importer understands a Hugging Face folder, by "model_type" of its
// config.json (frontend/families.def), and what all importers share. Thread rule: the session's
// thread.
#ifndef HONE_FRONTEND_FAMILY_H
#define HONE_FRONTEND_FAMILY_H

#include "frontend/checkpoint.h"
#include "frontend/config.h"
#include "ir/model.h"

typedef struct hone_model_family_input {  // borrowed
  const char *family;                     // name in families.def
  ir_session_t *session;
  const hone_config_t *config;    // config.json
  hone_checkpoint_t *checkpoint;  // its folder is an absolute path
} hone_model_family_input_t;

// Builds the unfused model of a family. Errors name the key of config.json or the tensor. After a
// failure *out_model is zero.
typedef bool hone_model_family_import_fn(const hone_model_family_input_t *input,
                                         ir_model_t *out_model, hone_status_t *status);

typedef struct hone_model_family {
  const char *name;
  const char *summary;
  hone_model_family_import_fn *import;
} hone_model_family_t;

size_t hone_model_family_count(void);
const hone_model_family_t *hone_model_family_at(size_t index);  // table order
// The family of config.json. HONE_UNSUPPORTED for an unknown one (the message lists the known
// ones).
HONE_MUST_CHECK bool hone_model_family_of(const hone_config_t *config,
                                          const hone_model_family_t **out_family,
                                          hone_status_t *status);

// Fills bos, add_bos and eos of *config, whose vocab is set: from config.json,
// generation_config.json (its end tokens are added) and add_bos_token of tokenizer_config.json,
// where the folder has them.
HONE_MUST_CHECK bool hone_model_family_special_ids(const hone_model_family_input_t *input,
                                                   ir_config_t *config, hone_status_t *status);

#endif
