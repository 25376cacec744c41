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

static const char *const names[HONE_LEARNER_COUNT] = {
#define LEARNER(name, ENUM, summary) [HONE_LEARNER_##ENUM] = #name,
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

static hone_learner_t resolve(hone_learner_t learner) {
  for (int i = 0; learner == HONE_LEARNER_DEFAULT && i < HONE_LEARNER_COUNT; i++)
    if (all[i]) learner = (hone_learner_t)i;
  return learner;
}

static bool check_built(hone_learner_t learner, hone_status_t *status) {
  return all[learner] ||
         hone_fail(status, HONE_UNSUPPORTED,
                   "learner %s: this hone was built without it; install its library (Debian: "
                   "lib%s-dev) and build again, or take another one",
                   names[learner], names[learner]);
}

const char *hone_learner_name(hone_learner_t learner) { return names[resolve(learner)]; }

bool hone_learner_find(const char *name, hone_learner_t *out_learner, hone_status_t *status) {
  *out_learner = HONE_LEARNER_DEFAULT;
  if (!name) return true;
  for (int i = HONE_LEARNER_DEFAULT + 1; i < HONE_LEARNER_COUNT; i++) {
    if (strcmp(name, names[i]) != 0) continue;
    *out_learner = (hone_learner_t)i;
    return check_built(*out_learner, status);
  }
  return hone_fail(status, HONE_INVALID, "learner %s: there is no such one", name);
}

bool hone_learned_fit(hone_learner_t learner, const double *features, const double *targets,
                      size_t count, size_t width, hone_learned_t **out_learned,
                      hone_status_t *status) {
  *out_learned = NULL;
  learner = resolve(learner);
  if (!check_built(learner, status)) return false;
  hone_learned_t *learned = calloc(1, sizeof *learned);
  if (!learned) hone_out_of_memory();
  *learned = (hone_learned_t){.ops = all[learner], .width = width};
  if (learned->ops->fit(features, targets, count, width, &learned->model, status)) {
    *out_learned = learned;
    return true;
  }
  hone_learned_destroy(learned);
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
