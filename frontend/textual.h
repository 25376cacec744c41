// Textual models as an input of the compiler. Thread rule: the session's thread.
#ifndef HONE_FRONTEND_TEXTUAL_H
#define HONE_FRONTEND_TEXTUAL_H

#include "frontend/checkpoint.h"
#include "ir/model.h"

// Parses and verifies the .mlir file at `path` and makes its checkpoint an absolute path. After a
// failure *out_model is zero.
HONE_MUST_CHECK bool hone_textual_import(ir_session_t *session, const char *path,
                                         ir_model_t *out_model, hone_status_t *status);
// Every source of every recipe is in the checkpoint, and their shapes combine to the recipe's type.
HONE_MUST_CHECK bool hone_textual_check(const ir_model_t *model, const char *path,
                                        hone_checkpoint_t *checkpoint, hone_status_t *status);

#endif
