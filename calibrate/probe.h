// Probing: how much the predictions of a model change when some of its weights do. Replaces weights
// of the calibration's reference, runs some windows of the text and measures the KL divergence of
// the next-token distributions from the original's. Needs a compile whose phase calibrate has run;
// ends with the reference as it was. Thread rule: the compile's thread.
#ifndef HONE_CALIBRATE_PROBE_H
#define HONE_CALIBRATE_PROBE_H

#include "passes/pipeline.h"

typedef struct hone_probe hone_probe_t;

// Runs the original on about `tokens` tokens of the calibration text and keeps its logits.
HONE_MUST_CHECK bool hone_probe_create(hone_compile_t *compile, int64_t tokens,
                                       hone_probe_t **out_probe, hone_status_t *status);
void hone_probe_destroy(hone_probe_t *probe);  // NULL is fine
// Puts a row (K) of a source tensor in place of the original's. Thread-safe for different rows.
// False: the reference does not hold the tensor as plain floats.
bool hone_probe_replace(hone_probe_t *probe, const char *source, int64_t row, const float *values);
// Mean KL divergence in nats over the windows, of the original's distributions from those with all
// replacements so far; then undoes them.
HONE_MUST_CHECK bool hone_probe_measure(hone_probe_t *probe, double *out_kl, hone_status_t *status);

#endif
