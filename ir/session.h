// Session: one MLIR context with everything registered, the hone dialect loaded, and one diagnostic
// handler that turns MLIR's errors into ours. func, arith, scf, vector and llvm are loaded too;
// other dialects load when text names them. Thread rule: one session, one thread (multithreading
// inside MLIR is off).
#ifndef HONE_IR_SESSION_H
#define HONE_IR_SESSION_H

#include "base/diagnostic.h"
#include "ir/builder.h"

typedef struct ir_session ir_session_t;

// `diagnostics` may be NULL (then the first MLIR error becomes the status message only). LLVM
// targets are not initialised here (codegen does that); translations to LLVM IR and passes are
// registered.
HONE_MUST_CHECK bool ir_session_create(hone_diagnostics_t *diagnostics, ir_session_t **out_session,
                                       hone_status_t *status);
void ir_session_destroy(ir_session_t *session);  // NULL is fine
MlirContext ir_session_context(const ir_session_t *session);
hone_arena_t *ir_session_arena(const ir_session_t *session);
// The first MLIR error since the last call of ir_session_clear_error, e.g. "x.mlir:3:8: ...", or
// "".
const char *ir_session_error(const ir_session_t *session);
void ir_session_clear_error(ir_session_t *session);
// The IRDL text of the dialect, as built into this binary; NUL-terminated.
const char *ir_dialect_text(void);

#endif
