// One choice per item under budgets, as a mixed-integer program solved by GLPK:
//   min sum_i value[i][choice_i]   subject to   sum_i cost_b[i][choice_i] <= budget_b for every b.
// Deterministic: the same problem gives the same choices. Thread rule: one solve at a time (GLPK
// keeps its environment per thread).
#ifndef HONE_NAS_MIP_H
#define HONE_NAS_MIP_H

#include <stddef.h>

#include "hone/status.h"

typedef struct hone_mip_option {
  double value;        // what is to be small
  const double *cost;  // (budget_count)
} hone_mip_option_t;

typedef struct hone_mip_item {
  const hone_mip_option_t *options;
  size_t count;
} hone_mip_item_t;

typedef struct hone_mip {
  const hone_mip_item_t *items;
  size_t item_count;
  const double *budget;  // (budget_count)
  size_t budget_count;
} hone_mip_t;

// out_choice (item_count). HONE_NOT_FOUND when no choice fits the budgets.
HONE_MUST_CHECK bool hone_mip_solve(const hone_mip_t *problem, size_t *out_choice,
                                    double *out_value, hone_status_t *status);

#endif
