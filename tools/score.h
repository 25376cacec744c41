// Scores of next-token predictions: negative log-likelihood, KL divergence, top-1 agreement; in
// total, as a histogram, and by position in the window. Plain double arithmetic. Thread rule: one
// thread.
#ifndef HONE_TOOLS_SCORE_H
#define HONE_TOOLS_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

// Sums over the tokens scored at one position of the window, or at several neighbouring ones.
typedef struct hone_score_sums {
  size_t count, agree;
  double nll, kl, kl_squared;
} hone_score_sums_t;

typedef struct hone_score {
  size_t count, capacity, agree;
  double nll, nll_squared, reference_nll, reference_nll_squared;
  double delta_squared;  // sum of (nll - reference nll)^2
  double *kl;            // (capacity), one per scored token; sorted by finish
  size_t positions;
  hone_score_sums_t *at;  // (positions)
  bool has_reference;
} hone_score_t;

// Errors are standard errors of the mean, tokens taken as independent.
typedef struct hone_score_result {
  size_t count;
  double perplexity,
      perplexity_error;  // exp(mean NLL); standard error sd / sqrt(n - 1) * perplexity
  double reference_perplexity, reference_perplexity_error;
  // perplexity / reference perplexity, from the differences token by token: far surer than the
  // two perplexities, since a hard token is hard for both.
  double perplexity_ratio, perplexity_ratio_error;
  double kl_mean, kl_mean_error, kl_median, kl_p99, kl_p999, kl_max;  // nats
  double top1_agreement, top1_error;                                  // 0..1
} hone_score_result_t;

// Bin i holds low * 10^(i / per_decade) <= kl < low * 10^((i + 1) / per_decade).
typedef struct hone_score_histogram {
  double low;
  size_t per_decade, bins;  // no bins if nothing is above zero
  size_t *counts;           // (bins)
  size_t below;             // of tokens under `low`, zeros among them
} hone_score_histogram_t;

// Room for `capacity` tokens and for `positions` of a window (0: sums by position are not kept).
void hone_score_init(hone_score_t *score, hone_arena_t *arena, size_t capacity, size_t positions);
// logits (vocab) of one position; `reference` (vocab) or NULL; `next` is the token that came.
void hone_score_add(hone_score_t *score, size_t position, const float *logits,
                    const float *reference, size_t vocab, int32_t next);
void hone_score_finish(hone_score_t *score, hone_score_result_t *out_result);  // sorts score->kl
// After finish. At most `decades` decades up to the largest value.
void hone_score_histogram(const hone_score_t *score, hone_arena_t *arena, size_t per_decade,
                          size_t decades, hone_score_histogram_t *out_histogram);
// Standard error of the mean of `count` values, from their sum and the sum of their squares.
double hone_score_error(double sum, double squares, size_t count);
// Adds up positions [begin, end).
hone_score_sums_t hone_score_range(const hone_score_t *score, size_t begin, size_t end);

#endif
