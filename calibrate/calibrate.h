// Calibration: statistics of what enters every linear of a model while it reads a text. The
// compiler uses its own product: it compiles the un-quantized model with f32 activations into a
// scratch folder, loads it and walks it block by block (runtime/walk.h), all windows of the text
// through one block before the next. Second moments are K x K: they are kept for one block at a
// time, unless those of the whole model fit `memory_bytes`. Thread rule: the compile's thread, or
// one at a time.
#ifndef HONE_CALIBRATE_CALIBRATE_H
#define HONE_CALIBRATE_CALIBRATE_H

#include "passes/pipeline.h"

// For hone_compile_t.calibrate: reads options.calibrate and fills compile->statistics. Errors:
// HONE_INVALID for a text that is too short or a model without tokenizer.
HONE_MUST_CHECK bool hone_calibrate(hone_compile_t *compile, hone_status_t *status);

#endif
