// Times candidates against each other: in rounds, each round one sample of every candidate that is
// still in, so that what the machine does meanwhile meets all alike. Those that lose clearly leave
// early; the first stays to the end, as all others are compared with it. Thread rule: one thread.
#ifndef HONE_AUTOTUNE_MEASURE_H
#define HONE_AUTOTUNE_MEASURE_H

#include "autotune/candidate.h"

enum { HONE_MEASURE_ROUNDS = 32 };

// One sample of candidate `index`: the time of one call in ns. `round` counts from 0.
typedef double hone_measure_sample_fn(void *user, uint32_t index, uint32_t round);

// out_evidence (count): verdict ok with median and spread of the samples taken. `is_in` (count):
// false for candidates that are not to be measured, whose evidence is left alone. `rounds`: samples
// of those that stay, at most HONE_MEASURE_ROUNDS.
void hone_measure_run(uint32_t count, const bool *is_in, uint32_t rounds,
                      hone_measure_sample_fn *sample, void *user, hone_evidence_t *out_evidence);
// Median and median absolute deviation; reorders the values.
void hone_measure_summary(double *values, uint32_t count, double *out_median, double *out_mad);

#endif
