// A small learned model: regression trees, boosted on squared errors (Friedman, Annals of
// Statistics 29, 2001), for tens to thousands of measurements. Deterministic: equal rows give equal
// trees. Thread rule: one arena, one thread; a fitted model is const.
#ifndef HONE_AUTOTUNE_TREES_H
#define HONE_AUTOTUNE_TREES_H

#include <stdint.h>

#include "base/arena.h"

typedef struct hone_trees hone_trees_t;
// features (count, width), row-major; targets (count).
hone_trees_t *hone_trees_fit(const double *features, const double *targets, size_t count,
                             size_t width, hone_arena_t *arena);
double hone_trees_predict(const hone_trees_t *trees, const double *features);  // (width)

#endif
