// Scores of next-token predictions: negative log-likelihood, KL divergence, top-1 agreement. Plain
// double arithmetic. Thread rule: one thread.
#ifndef HONE_TOOLS_SCORE_H
#define HONE_TOOLS_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct hone_score {
  size_t count, capacity, agree;
  double nll, nll_squared, reference_nll;
  double *kl;  // (capacity), one per scored position
  bool has_reference;
} hone_score_t;

typedef struct hone_score_result {
  size_t count;
  double perplexity,
      perplexity_error;  // exp(mean NLL); standard error sd / sqrt(n - 1) * perplexity
  double reference_perplexity;
  double kl_mean, kl_median, kl_p999;  // nats
  double top1_agreement;               // 0..1
} hone_score_result_t;

void hone_score_init(hone_score_t *score, hone_arena_t *arena, size_t capacity);
// logits (vocab) of one position; `reference` (vocab) or NULL; `next` is the token that came.
void hone_score_add(hone_score_t *score, const float *logits, const float *reference, size_t vocab,
                    int32_t next);
void hone_score_finish(hone_score_t *score, hone_score_result_t *out_result);  // sorts score->kl

#endif
