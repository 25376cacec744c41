// Scores of next-token predictions; see score.h.
#include "tools/score.h"

#include <math.h>
#include <stdlib.h>

void hone_score_init(hone_score_t *score, hone_arena_t *arena, size_t capacity) {
  *score = (hone_score_t){.capacity = capacity, .kl = HONE_NEW_ARRAY(arena, double, capacity)};
}

// log(sum exp(logits)), and the index of the largest (the lowest on ties).
static double log_sum_exp(const float *logits, size_t vocab, size_t *out_top) {
  size_t top = 0;
  for (size_t i = 1; i < vocab; i++)
    if (logits[i] > logits[top]) top = i;
  double sum = 0;
  for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - logits[top]);
  *out_top = top;
  return logits[top] + log(sum);
}

void hone_score_add(hone_score_t *score, const float *logits, const float *reference, size_t vocab,
                    int32_t next) {
  if (score->count == score->capacity) return;
  size_t top, reference_top;
  double total = log_sum_exp(logits, vocab, &top);
  double nll = total - logits[next];
  score->nll += nll;
  score->nll_squared += nll * nll;
  if (reference) {
    score->has_reference = true;
    double reference_total = log_sum_exp(reference, vocab, &reference_top), kl = 0;
    for (size_t i = 0; i < vocab; i++) {
      double p = reference[i] - reference_total, q = logits[i] - total;
      kl += exp(p) * (p - q);
    }
    score->kl[score->count] = kl;
    score->reference_nll += reference_total - reference[next];
    score->agree += top == reference_top;
  }
  score->count++;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void hone_score_finish(hone_score_t *score, hone_score_result_t *out_result) {
  size_t n = score->count;
  *out_result = (hone_score_result_t){.count = n};
  if (!n) return;
  double mean = score->nll / (double)n;
  double variance = score->nll_squared / (double)n - mean * mean;
  out_result->perplexity = exp(mean);
  if (n > 1 && variance > 0)
    out_result->perplexity_error = sqrt(variance / (double)(n - 1)) * out_result->perplexity;
  if (!score->has_reference) return;
  qsort(score->kl, n, sizeof *score->kl, compare_doubles);
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += score->kl[i];
  out_result->reference_perplexity = exp(score->reference_nll / (double)n);
  out_result->kl_mean = sum / (double)n;
  out_result->kl_median = score->kl[n / 2];
  out_result->kl_p999 = score->kl[(size_t)((double)(n - 1) * 0.999)];
  out_result->top1_agreement = (double)score->agree / (double)n;
}
