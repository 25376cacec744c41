// Probing: how much the predictions of a model change when some of its weights do. Replaces weights
// of the calibration's reference, runs some windows of the text and measures the KL divergence of
// the next-token distributions from the original's. Needs a compile whose phase calibrate has run;
// ends with the reference as it was. Verifying is the same for all weights at once, on the windows
// that nothing else has read. Thread rule: the compile's thread.
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

// Replaces the tensors of a block by hone_probe_replace. `is_head`: those that it multiplies by,
// which may be the embedding's.
typedef bool hone_probe_fill_fn(void *user, const char *block, bool is_head, hone_status_t *status);
// Mean KL divergence in nats on the held-out windows with every tensor replaced; *out_tokens: how
// many were read. Both models walk block by block, so that the changes of one block are in memory.
// The probe measures nothing after it.
HONE_MUST_CHECK bool hone_probe_verify(hone_probe_t *probe, hone_probe_fill_fn *fill, void *user,
                                       double *out_kl, uint64_t *out_tokens, hone_status_t *status);

#endif
