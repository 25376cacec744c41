// Random numbers, and the choice of a token from a row of probabilities. Sums are in double and in
// a fixed order, so the same probabilities give the same token on every machine.
#include "runtime/sampler.h"

#include <math.h>
#include <stdlib.h>

static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double hone_random_unit(uint64_t seed, uint64_t index) {
  uint64_t bits = mix(mix(seed) + (index + 1) * 0x9e3779b97f4a7c15u);
  return (double)(bits >> 11) * 0x1p-53;
}

// Likeliest first; the lower id on ties, which makes the order total and qsort's result unique.
static int compare_candidates(const void *a, const void *b) {
  const hone_candidate_t *left = a, *right = b;
  if (left->probability != right->probability)
    return left->probability > right->probability ? -1 : 1;
  return left->id < right->id ? -1 : left->id > right->id;
}

// A token of the nucleus and all less likely ones sum to more than total - kept, and there are at
// most `vocab` of them, so it is likelier than (total - kept) / vocab. Leaving out the rest saves
// sorting most of a large vocabulary; the factor covers rounding.
static uint32_t collect_nucleus(const float *probabilities, uint32_t vocab, double total,
                                double kept, hone_candidate_t *out_candidates, double *out_sum) {
  double cutoff = (total - kept) / vocab * 0.999;
  uint32_t count = 0;
  for (uint32_t i = 0; i < vocab; ++i) {
    if (probabilities[i] >= cutoff)
      out_candidates[count++] = (hone_candidate_t){probabilities[i], (int32_t)i};
  }
  qsort(out_candidates, count, sizeof *out_candidates, compare_candidates);
  double sum = 0;
  uint32_t nucleus = 0;
  while (nucleus < count && (sum < kept || nucleus == 0))
    sum += out_candidates[nucleus++].probability;
  *out_sum = sum;
  return nucleus;
}

bool hone_sample_pick(const float *probabilities, uint32_t vocab, float top_p, double unit,
                      hone_candidate_t *scratch, int32_t *out_id, hone_status_t *status) {
  double total = 0;
  for (uint32_t i = 0; i < vocab; ++i) {
    if (!(probabilities[i] >= 0)) total = NAN;
    total += probabilities[i];
  }
  if (!isfinite(total) || total <= 0) {
    return hone_fail(
        status, HONE_INVALID,
        "the logits are not finite numbers; the checkpoint or its weight format is bad");
  }
  double sum = 0;
  if (top_p > 0 && top_p < 1) {
    double nucleus_sum;
    uint32_t count =
        collect_nucleus(probabilities, vocab, total, top_p * total, scratch, &nucleus_sum);
    double target = unit * nucleus_sum;
    uint32_t i = 0;
    for (sum = scratch[0].probability; sum <= target && i + 1 < count;)
      sum += scratch[++i].probability;
    *out_id = scratch[i].id;
    return true;
  }
  double target = unit * total;
  int32_t last = 0;  // the last token that can occur at all: rounding never picks an impossible one
  for (uint32_t i = 0; i < vocab; ++i) {
    if (probabilities[i] <= 0) continue;
    last = (int32_t)i;
    sum += probabilities[i];
    if (sum > target) break;
  }
  *out_id = last;
  return true;
}
