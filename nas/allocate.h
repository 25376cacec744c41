// Bit allocation: a format for every linear, embedding and head so that the model meets a target
// size with the least loss. For each unit (the linears that read one input) a probe measures how
// much the predictions change per relative error of its weights; for each candidate format the
// error is computed; the sum of sensitivity * error is minimised under the budget by a small MIP
// (nas/mip.h). That losses add up and are linear in the squared error is the linearity theorem of
// HIGGS (arXiv 2411.17525); what they add up to is measured once for the whole choice, on text that
// was held out. Thread rule: the compile's thread.
#ifndef HONE_NAS_ALLOCATE_H
#define HONE_NAS_ALLOCATE_H

#include "passes/pipeline.h"

// For hone_compile_t.allocate: sets the recipes' formats and fills compile->allocation. Reads
// options.target_bpw or target_bytes, formats and probe_tokens; needs the phase calibrate. Errors:
// HONE_INVALID for a target that no choice of formats meets, naming the smallest that would be met.
HONE_MUST_CHECK bool hone_allocate(hone_compile_t *compile, hone_status_t *status);

#endif
