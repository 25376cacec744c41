// Scores of next-token predictions; see score.h.
#include "tools/score.h"

#include <math.h>
#include <stdlib.h>

void hone_score_init(hone_score_t *score, hone_arena_t *arena, size_t capacity, size_t positions) {
  *score = (hone_score_t){
      .capacity = capacity,
      .kl = HONE_NEW_ARRAY(arena, double, capacity),
      .positions = positions,
      .at = HONE_NEW_ARRAY(arena, hone_score_sums_t, positions),
  };
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

void hone_score_add(hone_score_t *score, size_t position, const float *logits,
                    const float *reference, size_t vocab, int32_t next) {
  if (score->count == score->capacity) return;
  hone_score_sums_t unwanted = {0};
  hone_score_sums_t *at = position < score->positions ? &score->at[position] : &unwanted;
  size_t top, reference_top;
  double total = log_sum_exp(logits, vocab, &top);
  double nll = total - logits[next];
  score->nll += nll;
  score->nll_squared += nll * nll;
  at->nll += nll;
  at->count++;
  if (reference) {
    score->has_reference = true;
    double reference_total = log_sum_exp(reference, vocab, &reference_top), kl = 0;
    for (size_t i = 0; i < vocab; i++) {
      double p = reference[i] - reference_total, q = logits[i] - total;
      kl += exp(p) * (p - q);
    }
    double reference_nll = reference_total - reference[next];
    score->kl[score->count] = kl;
    score->reference_nll += reference_nll;
    score->reference_nll_squared += reference_nll * reference_nll;
    score->delta_squared += (nll - reference_nll) * (nll - reference_nll);
    score->agree += top == reference_top;
    at->kl += kl;
    at->kl_squared += kl * kl;
    at->agree += top == reference_top;
  }
  score->count++;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double hone_score_error(double sum, double squares, size_t count) {
  double mean = sum / (double)count, variance = squares / (double)count - mean * mean;
  return count > 1 && variance > 0 ? sqrt(variance / (double)(count - 1)) : 0;
}

static void finish_reference(hone_score_t *score, double mean, hone_score_result_t *result) {
  size_t n = score->count;
  double sum = 0, squares = 0, tokens = (double)n;
  double reference = score->reference_nll / tokens;
  qsort(score->kl, n, sizeof *score->kl, compare_doubles);
  for (size_t i = 0; i < n; i++) sum += score->kl[i];
  for (size_t i = 0; i < n; i++) squares += score->kl[i] * score->kl[i];
  result->reference_perplexity = exp(reference);
  result->reference_perplexity_error =
      hone_score_error(score->reference_nll, score->reference_nll_squared, n) *
      result->reference_perplexity;
  result->perplexity_ratio = exp(mean - reference);
  result->perplexity_ratio_error =
      hone_score_error(score->nll - score->reference_nll, score->delta_squared, n) *
      result->perplexity_ratio;
  result->kl_mean = sum / tokens;
  result->kl_mean_error = hone_score_error(sum, squares, n);
  result->kl_median = score->kl[n / 2];
  result->kl_p99 = score->kl[(size_t)((double)(n - 1) * 0.99)];
  result->kl_p999 = score->kl[(size_t)((double)(n - 1) * 0.999)];
  result->kl_max = score->kl[n - 1];
  result->top1_agreement = (double)score->agree / tokens;
  result->top1_error = hone_score_error((double)score->agree, (double)score->agree, n);
}

void hone_score_finish(hone_score_t *score, hone_score_result_t *out_result) {
  size_t n = score->count;
  *out_result = (hone_score_result_t){.count = n};
  if (!n) return;
  double mean = score->nll / (double)n;
  out_result->perplexity = exp(mean);
  out_result->perplexity_error =
      hone_score_error(score->nll, score->nll_squared, n) * out_result->perplexity;
  if (score->has_reference) finish_reference(score, mean, out_result);
}

void hone_score_histogram(const hone_score_t *score, hone_arena_t *arena, size_t per_decade,
                          size_t decades, hone_score_histogram_t *out_histogram) {
  hone_score_histogram_t h = {.per_decade = per_decade};
  double least = INFINITY, most = 0;
  size_t n = score->has_reference ? score->count : 0;
  for (size_t i = 0; i < n; i++) {
    double kl = score->kl[i];
    if (!(kl > 0) || isinf(kl)) continue;
    if (kl < least) least = kl;
    if (kl > most) most = kl;
  }
  h.below = n;
  if (most > 0) {
    double steps = (double)per_decade, last = floor(log10(most) * steps);
    double first = fmax(floor(log10(least) * steps), last + 1 - (double)decades * steps);
    h.low = pow(10, first / steps);
    h.bins = (size_t)(last - first) + 1;
    h.counts = HONE_NEW_ARRAY(arena, size_t, h.bins);
    for (size_t i = 0; i < n; i++) {
      double at = floor(log10(score->kl[i]) * steps) - first;
      if (!(at >= 0) || at >= (double)h.bins) continue;
      h.counts[(size_t)at]++;
      h.below--;
    }
  }
  *out_histogram = h;
}

hone_score_sums_t hone_score_range(const hone_score_t *score, size_t begin, size_t end) {
  hone_score_sums_t sum = {0};
  for (size_t i = begin; i < end && i < score->positions; i++) {
    sum.count += score->at[i].count;
    sum.agree += score->at[i].agree;
    sum.nll += score->at[i].nll;
    sum.kl += score->at[i].kl;
    sum.kl_squared += score->at[i].kl_squared;
  }
  return sum;
}
