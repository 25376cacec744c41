// Picks a token from probabilities. Pure functions of their arguments, so a run can be repeated
// exactly. Thread rule: pure functions.
#ifndef HONE_RUNTIME_SAMPLER_H
#define HONE_RUNTIME_SAMPLER_H

#include <stdint.h>

#include "hone/status.h"

typedef struct hone_candidate {
  float probability;
  int32_t id;
} hone_candidate_t;

// The index-th number of the stream `seed`, uniform in [0, 1) with 53 bits: SplitMix64 (Steele, Lea
// and Flood 2014) used as a counter-based generator, with the seed mixed first so that neighbouring
// seeds give unrelated streams.
double hone_random_unit(uint64_t seed, uint64_t index);

// Picks an id in [0, vocab) with the given probabilities (they need not sum to 1 exactly) by the
// number `unit` in [0, 1). With 0 < top_p < 1 only the nucleus counts: the likeliest tokens whose
// sum first reaches top_p (Holtzman et al. 2020); ties go to the lower id. `scratch` holds `vocab`
// items. Errors: HONE_INVALID if a probability is not a number.
HONE_MUST_CHECK bool hone_sample_pick(const float *probabilities, uint32_t vocab, float top_p,
                                      double unit, hone_candidate_t *scratch, int32_t *out_id,
                                      hone_status_t *status);

#endif
