// See measure.h. Leaving follows successive halving (Jamieson, Talwalkar, AISTATS 2016), but nobody
// leaves who is within the noise of the best.
#include "autotune/measure.h"

#include <math.h>
#include <stdlib.h>

// After so many rounds only so large a part stays, unless it is within `near` of the best; and
// nobody stays who takes `far` times as long. The first cuts go by the shortest sample, as one
// disturbed sample spoils a median of two.
static const struct {
  uint32_t rounds;
  double part, near, far;
} cuts[] = {{2, 1, 1, 3}, {4, 0.5, 1.05, 1.5}, {7, 0.25, 1.03, 1.2}, {11, 0.125, 1.02, 1.1}};
enum { SHORTEST_ROUNDS = 4 };

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median_of(double *values, uint32_t count) {
  qsort(values, count, sizeof *values, compare_doubles);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void hone_measure_summary(double *values, uint32_t count, double *out_median, double *out_mad) {
  double median = median_of(values, count);
  for (uint32_t i = 0; i < count; i++) values[i] = fabs(values[i] - median);
  *out_mad = median_of(values, count);
  *out_median = median;
}

typedef struct runner {
  bool is_in;
  uint32_t count;
  double samples[HONE_MEASURE_ROUNDS];
  double standing;
} runner_t;

static double standing(const runner_t *runner) {
  double copy[HONE_MEASURE_ROUNDS], least = runner->samples[0];
  for (uint32_t i = 1; i < runner->count; i++) least = fmin(least, runner->samples[i]);
  if (runner->count <= SHORTEST_ROUNDS) return least;
  for (uint32_t i = 0; i < runner->count; i++) copy[i] = runner->samples[i];
  return median_of(copy, runner->count);
}

static void cut(runner_t *runners, uint32_t count, double part, double near, double far) {
  uint32_t in = 0;
  double best = INFINITY;
  for (uint32_t i = 0; i < count; i++) {
    if (!runners[i].is_in) continue;
    runners[i].standing = standing(&runners[i]);
    best = fmin(best, runners[i].standing);
    in++;
  }
  uint32_t places = (uint32_t)ceil(part * in);
  for (uint32_t i = 1; i < count; i++) {  // the first one stays
    if (!runners[i].is_in) continue;
    uint32_t rank = 0;  // how many are faster, also of those that leave now
    for (uint32_t j = 0; j < count; j++)
      rank += runners[j].count == runners[i].count && runners[j].standing < runners[i].standing;
    bool is_near = runners[i].standing <= near * best;
    if (runners[i].standing > far * best || (rank >= places && !is_near)) runners[i].is_in = false;
  }
}

void hone_measure_run(uint32_t count, const bool *is_in, uint32_t rounds,
                      hone_measure_sample_fn *sample, void *user, hone_evidence_t *out_evidence) {
  runner_t *runners = calloc(count ? count : 1, sizeof *runners);
  if (!runners) return;  // no verdicts: the caller sees samples of 0
  if (rounds > HONE_MEASURE_ROUNDS) rounds = HONE_MEASURE_ROUNDS;
  for (uint32_t i = 0; i < count; i++) runners[i].is_in = is_in[i];
  for (uint32_t round = 0; round < rounds; round++) {
    for (uint32_t k = 0; k < count; k++) {
      uint32_t i = (k + round) % count;  // no one is always first
      if (runners[i].is_in) runners[i].samples[runners[i].count++] = sample(user, i, round);
    }
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++)
      if (cuts[c].rounds == round + 1) cut(runners, count, cuts[c].part, cuts[c].near, cuts[c].far);
  }
  for (uint32_t i = 0; i < count; i++) {
    if (!is_in[i]) continue;
    hone_evidence_t *evidence = &out_evidence[i];
    *evidence = (hone_evidence_t){.samples = runners[i].count};
    hone_measure_summary(runners[i].samples, runners[i].count, &evidence->median_ns,
                         &evidence->mad_ns);
  }
  free(runners);
}
