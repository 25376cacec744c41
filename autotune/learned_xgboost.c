// XGBoost as a learner, through its C API. One thread and the exact method: the same rows give the
// same model. Numbers are its f32.
#include <math.h>
#include <stdlib.h>
#include <xgboost/c_api.h>

#include "autotune/learned_internal.h"
#include "base/arena.h"

enum { ROUNDS = 80 };

static bool check(int code, const char *what, hone_status_t *status) {
  return code == 0 ||
         hone_fail(status, HONE_INTERNAL, "xgboost, %s: %.400s", what, XGBGetLastError());
}

// A matrix (count, width) of XGBoost's.
static bool make_matrix(const double *features, size_t count, size_t width, DMatrixHandle *out,
                        hone_status_t *status) {
  float *rows = malloc(count * width * sizeof *rows);
  if (!rows) hone_out_of_memory();
  for (size_t i = 0; i < count * width; i++) rows[i] = (float)features[i];
  bool ok = check(XGDMatrixCreateFromMat(rows, count, width, NAN, out), "rows", status);
  free(rows);
  return ok;
}

static bool set_parameters(BoosterHandle booster, double mean, hone_status_t *status) {
  char base[32];
  snprintf(base, sizeof base, "%.9g", mean);
  const char *const parameters[][2] = {{"objective", "reg:squarederror"},
                                       {"tree_method", "exact"},
                                       {"nthread", "1"},
                                       {"seed", "0"},
                                       {"verbosity", "0"},  // errors come back as values
                                       {"max_depth", "3"},
                                       {"min_child_weight", "2"},
                                       {"lambda", "0"},
                                       {"eta", "0.2"},
                                       {"base_score", base}};
  for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
    if (!check(XGBoosterSetParam(booster, parameters[i][0], parameters[i][1]), parameters[i][0],
               status))
      return false;
  return true;
}

static void destroy(void *model) { XGBoosterFree(model); }

static bool train(BoosterHandle booster, DMatrixHandle matrix, const double *targets, size_t count,
                  hone_status_t *status) {
  float *labels = malloc(count * sizeof *labels);
  if (!labels) hone_out_of_memory();
  double mean = 0;
  for (size_t i = 0; i < count; i++) {
    labels[i] = (float)targets[i];
    mean += targets[i] / (double)count;
  }
  bool ok = set_parameters(booster, mean, status) &&
            check(XGDMatrixSetFloatInfo(matrix, "label", labels, count), "targets", status);
  for (int round = 0; ok && round < ROUNDS; round++)
    ok = check(XGBoosterUpdateOneIter(booster, round, matrix), "a round", status);
  free(labels);
  return ok;
}

static bool fit(const double *features, const double *targets, size_t count, size_t width,
                void **out_model, hone_status_t *status) {
  DMatrixHandle matrix = NULL;
  BoosterHandle booster = NULL;
  if (!make_matrix(features, count, width, &matrix, status)) return false;
  bool ok = check(XGBoosterCreate(&matrix, 1, &booster), "a model", status) &&
            train(booster, matrix, targets, count, status);
  XGDMatrixFree(matrix);
  if (!ok && booster) XGBoosterFree(booster);
  *out_model = ok ? booster : NULL;
  return ok;
}

static bool predict(const void *model, const double *features, size_t count, size_t width,
                    double *out, hone_status_t *status) {
  DMatrixHandle matrix = NULL;
  bst_ulong given = 0;
  const float *values = NULL;
  if (count == 0) return true;
  if (!make_matrix(features, count, width, &matrix, status)) return false;
  bool ok =
      check(XGBoosterPredict((BoosterHandle)(uintptr_t)model, matrix, 0, 0, 0, &given, &values),
            "a prediction", status) &&
      (given == count || hone_fail(status, HONE_INTERNAL, "xgboost gave %llu numbers for %zu rows",
                                   (unsigned long long)given, count));
  for (size_t i = 0; ok && i < count; i++) out[i] = values[i];
  XGDMatrixFree(matrix);
  return ok;
}

const hone_learner_ops_t hone_learner_xgboost = {fit, predict, destroy};
