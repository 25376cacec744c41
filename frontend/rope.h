// Rotary position embedding: the inverse frequencies that a configuration asks for. Thread rule:
// pure.
#ifndef HONE_FRONTEND_ROPE_H
#define HONE_FRONTEND_ROPE_H

#include "frontend/config.h"

// Fills out_frequencies[head_dim / 2], in radians per position. Reads "rope_parameters"
// (transformers 5), or else "rope_theta" and "rope_scaling" (before), of kind default, linear or
// llama3. `theta` stands in for a missing rope_theta, `context` for a missing
// original_max_position_embeddings. HONE_UNSUPPORTED names any other kind, partial rotation and
// frequencies per layer.
HONE_MUST_CHECK bool hone_rope_frequencies(const hone_config_t *config, double theta,
                                           int64_t head_dim, int64_t context,
                                           double *out_frequencies, hone_status_t *status);

#endif
