// What a learner is made of (learned.c). Never included outside autotune.
#ifndef HONE_AUTOTUNE_LEARNED_INTERNAL_H
#define HONE_AUTOTUNE_LEARNED_INTERNAL_H

#include "autotune/learned.h"

// One per row of learners.def; functions as in learned.h, of a model of the learner's own. A build
// that lacks a learner's library has none for it.
typedef struct hone_learner_ops {
  bool (*fit)(const double *features, const double *targets, size_t count, size_t width,
              void **out_model, hone_status_t *status);
  bool (*predict)(const void *model, const double *features, size_t count, size_t width,
                  double *out, hone_status_t *status);
  void (*destroy)(void *model);
} hone_learner_ops_t;

extern const hone_learner_ops_t hone_learner_trees;
extern const hone_learner_ops_t hone_learner_xgboost;  // where HONE_HAS_XGBOOST is defined

#endif
