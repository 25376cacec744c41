// The analytic prior: what a candidate should cost, good enough to say in which order candidates
// are worth measuring. Thread rule: pure function.
#ifndef HONE_AUTOTUNE_RANK_H
#define HONE_AUTOTUNE_RANK_H

#include "autotune/problem.h"

// Nanoseconds of one call.
double hone_rank_cost(const hone_problem_t *problem, const hone_candidate_t *candidate);

#endif
