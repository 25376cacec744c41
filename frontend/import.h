// Import: a checkpoint folder, or a textual model with its checkpoint, becomes model IR. Thread rule: the session's thread.
#ifndef HONE_FRONTEND_IMPORT_H
#define HONE_FRONTEND_IMPORT_H

#include "frontend/checkpoint.h"
#include "ir/model.h"

// `path` is a Hugging Face folder or a .mlir file. On success the caller owns both outputs; on failure nothing.
HONE_MUST_CHECK bool hone_import(ir_session_t *session, const char *path, ir_model_t *out_model,
                                 hone_checkpoint_t **out_checkpoint, hone_status_t *status);

#endif
