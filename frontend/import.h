// Phase 0: from what the user names to model IR and an opened checkpoint. Thread rule: the
// session's thread.
#ifndef HONE_FRONTEND_IMPORT_H
#define HONE_FRONTEND_IMPORT_H

#include "frontend/checkpoint.h"
#include "ir/model.h"

// `path` is a Hugging Face folder (its config.json names the family) or a textual model ending in
// ".mlir" (its `checkpoint` names the folder of the weights, relative to the file). The model that
// comes out is verified, its checkpoint is an absolute path, and every source of every recipe
// exists in *out_checkpoint with a shape that combines to the recipe's type. The caller destroys
// the model and closes the checkpoint, in any order; after a failure *out_model is zero and
// *out_checkpoint NULL. Errors: see checkpoint.h, family.h and llama.h.
HONE_MUST_CHECK bool hone_import(ir_session_t *session, const char *path, ir_model_t *out_model,
                                 hone_checkpoint_t **out_checkpoint, hone_status_t *status);

#endif
