// Rows of weights that are stored as floats and quantized by the model itself (latent_t), as f32:
//   LATENT_UNITS  w * factor, w one of -1, 0, 1
//   LATENT_MEAN   clamp(round(w / g), -1, 1) * g, g = mean |w| of the tensor, at least 1e-5
//                 (BitNet b1.58, arXiv 2402.17764)
//   LATENT_SIGNS  (sign(w R) * sqrt(2 / pi) * rms(w R)) R, w a row, R as in quant/hadamard.h and
//   its
//                 own inverse (QuEST, arXiv 2502.05003, at 1 bit): rotated, a row is signs times
//                 one scale again. A zero counts as negative, as QuEST rounds it.
// Thread rule: as checkpoint.h.
#ifndef HONE_FRONTEND_DEQUANTIZE_LATENT_H
#define HONE_FRONTEND_DEQUANTIZE_LATENT_H

#include "frontend/prequantized.h"

// The tensor's mean, for LATENT_MEAN: computed once, by the first reader.
struct latent_mean *latent_mean_create(hone_arena_t *arena);

// As dequantize_rows. HONE_INVALID names the place of a number that is not finite, and of one that
// is not -1, 0 or 1 in LATENT_UNITS.
HONE_MUST_CHECK bool dequantize_latent(const checkpoint_tensor_t *tensor, uint64_t row,
                                       uint64_t count, float *out, hone_status_t *status);

#endif
