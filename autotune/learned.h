// Learned models: from rows of numbers to one number, for tens to thousands of rows. The same rows
// give the same model. Which there are: learners.def. Thread rule: a model belongs to one thread.
#ifndef HONE_AUTOTUNE_LEARNED_H
#define HONE_AUTOTUNE_LEARNED_H

#include <stdbool.h>
#include <stddef.h>

#include "hone/status.h"

typedef enum hone_learner {
  HONE_LEARNER_DEFAULT,  // the first of the table that this build has
#define LEARNER(name, ENUM, summary) HONE_LEARNER_##ENUM,
#include "autotune/learners.def"
#undef LEARNER
  HONE_LEARNER_COUNT
} hone_learner_t;

// Of the default: the name of the one it stands for.
const char *hone_learner_name(hone_learner_t learner);
// By its name, NULL: HONE_LEARNER_DEFAULT. HONE_INVALID: no such name; HONE_UNSUPPORTED: this build
// was made without it.
HONE_MUST_CHECK bool hone_learner_find(const char *name, hone_learner_t *out_learner,
                                       hone_status_t *status);

typedef struct hone_learned hone_learned_t;
// features (count, width), row-major; targets (count); all finite, count > 0. HONE_UNSUPPORTED:
// this build was made without the learner.
HONE_MUST_CHECK bool hone_learned_fit(hone_learner_t learner, const double *features,
                                      const double *targets, size_t count, size_t width,
                                      hone_learned_t **out_learned, hone_status_t *status);
// features (count, width of the fit), out (count).
HONE_MUST_CHECK bool hone_learned_predict(const hone_learned_t *learned, const double *features,
                                          size_t count, double *out, hone_status_t *status);
void hone_learned_destroy(hone_learned_t *learned);  // NULL is fine

#endif
