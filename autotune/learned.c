// See learned.h.
#include <stdlib.h>
#include <string.h>

#include "autotune/learned_internal.h"
#include "base/arena.h"

struct hone_learned {
  const hone_learner_ops_t *ops;
  void *model;
  size_t width;
};

static const char *const names[] = {
#define LEARNER(name, ENUM, summary) #name,
#include "autotune/learners.def"
#undef LEARNER
};

// NULL: not in this build.
static const hone_learner_ops_t *const all[HONE_LEARNER_COUNT] = {
    [HONE_LEARNER_TREES] = &hone_learner_trees,
#ifdef HONE_HAS_XGBOOST
    [HONE_LEARNER_XGBOOST] = &hone_learner_xgboost,
#endif
};

const char *hone_learner_name(hone_learner_t learner) { return names[learner]; }

bool hone_learner_find(const char *name, hone_learner_t *out_learner, hone_status_t *status) {
  for (int i = 0; i < HONE_LEARNER_COUNT; i++) {
    if (name ? strcmp(name, names[i]) != 0 : !all[i]) continue;
    *out_learner = (hone_learner_t)i;
    if (all[i]) return true;
    return hone_fail(status, HONE_UNSUPPORTED,
                     "learner %s: this hone was built without it; install its library (Debian: "
                     "lib%s-dev) and build again, or take another one",
                     name, name);
  }
  return hone_fail(status, HONE_INVALID, "learner %s: there is no such one", name ? name : "");
}

bool hone_learned_fit(hone_learner_t learner, const double *features, const double *targets,
                      size_t count, size_t width, hone_learned_t **out_learned,
                      hone_status_t *status) {
  hone_learned_t *learned = calloc(1, sizeof *learned);
  if (!learned) hone_out_of_memory();
  *learned = (hone_learned_t){.ops = all[learner], .width = width};
  *out_learned = learned;
  if (learned->ops->fit(features, targets, count, width, &learned->model, status)) return true;
  hone_learned_destroy(learned);
  *out_learned = NULL;
  return false;
}

bool hone_learned_predict(const hone_learned_t *learned, const double *features, size_t count,
                          double *out, hone_status_t *status) {
  return learned->ops->predict(learned->model, features, count, learned->width, out, status);
}

void hone_learned_destroy(hone_learned_t *learned) {
  if (!learned) return;
  if (learned->model) learned->ops->destroy(learned->model);
  free(learned);
}
