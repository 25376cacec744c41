// Our own learner: regression trees, boosted on squared errors (Friedman, Annals of Statistics 29,
// 2001). Every split is looked for among all midpoints; ties go to the first feature and the
// smallest threshold.
#include <stdlib.h>
#include <string.h>

#include "autotune/learned_internal.h"
#include "base/arena.h"

enum { TREES = 80, DEPTH = 3, NODES = (1 << (DEPTH + 1)) - 1, LEAF_ROWS = 2 };
static const double shrinkage = 0.2;

typedef struct node {
  int feature;  // -1: a leaf
  double threshold, value;
} node_t;

typedef struct model {
  double mean;
  node_t trees[TREES][NODES];  // children of i: 2i + 1 (below or at the threshold), 2i + 2
} model_t;

typedef struct fit {
  const double *features;
  size_t count, width;
  double *residuals;  // (count)
  uint8_t *place;     // (count): the node a row is in
  size_t *order;      // (width, count): rows by each feature
} fit_t;

typedef struct split {
  double gain, threshold;
  int feature;
} split_t;

static double at(const fit_t *fit, size_t row, size_t feature) {
  return fit->features[row * fit->width + feature];
}

// Best threshold of one feature for the rows in a node.
static void try_feature(const fit_t *fit, uint8_t node, size_t feature, double sum, size_t rows,
                        split_t *best) {
  const size_t *order = fit->order + feature * fit->count;
  double left = 0, previous = 0, base = sum * sum / (double)rows;
  size_t left_rows = 0;
  for (size_t i = 0; i < fit->count; i++) {
    size_t row = order[i];
    if (fit->place[row] != node) continue;
    double value = at(fit, row, feature);
    size_t right_rows = rows - left_rows;
    if (left_rows >= LEAF_ROWS && right_rows >= LEAF_ROWS && value > previous) {
      double right = sum - left;
      double gain = left * left / (double)left_rows + right * right / (double)right_rows - base;
      if (gain > best->gain * (1 + 1e-12) + 1e-15)
        *best = (split_t){gain, (previous + value) / 2, (int)feature};
    }
    left += fit->residuals[row];
    left_rows++;
    previous = value;
  }
}

static void grow(const fit_t *fit, node_t *tree, uint8_t node) {
  double sum = 0;
  size_t rows = 0;
  for (size_t i = 0; i < fit->count; i++)
    if (fit->place[i] == node) sum += fit->residuals[i], rows++;
  tree[node] = (node_t){-1, 0, rows ? shrinkage * sum / (double)rows : 0};
  if (rows < 2 * LEAF_ROWS || 2 * node + 2 >= NODES) return;
  split_t best = {.feature = -1};
  for (size_t f = 0; f < fit->width; f++) try_feature(fit, node, f, sum, rows, &best);
  if (best.feature < 0) return;
  tree[node].feature = best.feature;
  tree[node].threshold = best.threshold;
  for (size_t i = 0; i < fit->count; i++)
    if (fit->place[i] == node)
      fit->place[i] =
          (uint8_t)(2 * node + (at(fit, i, (size_t)best.feature) > best.threshold ? 2 : 1));
  grow(fit, tree, (uint8_t)(2 * node + 1));
  grow(fit, tree, (uint8_t)(2 * node + 2));
}

static double value_of(const node_t *tree, const double *features) {
  int node = 0;
  while (tree[node].feature >= 0)
    node = 2 * node + (features[tree[node].feature] > tree[node].threshold ? 2 : 1);
  return tree[node].value;
}

// Insertion sort: stable, and rows are few.
static void sort_rows(fit_t *fit) {
  for (size_t f = 0; f < fit->width; f++) {
    size_t *order = fit->order + f * fit->count;
    for (size_t i = 0; i < fit->count; i++) {
      size_t j = i;
      for (; j > 0 && at(fit, order[j - 1], f) > at(fit, i, f); j--) order[j] = order[j - 1];
      order[j] = i;
    }
  }
}

static bool fit(const double *features, const double *targets, size_t count, size_t width,
                void **out_model, hone_status_t *status) {
  (void)status;
  model_t *model = calloc(1, sizeof *model);
  if (!model) hone_out_of_memory();
  hone_arena_t *arena = hone_arena_create();
  fit_t fit = {.features = features,
               .count = count,
               .width = width,
               .residuals = HONE_NEW_ARRAY(arena, double, count),
               .place = HONE_NEW_ARRAY(arena, uint8_t, count),
               .order = HONE_NEW_ARRAY(arena, size_t, count * width)};
  for (size_t i = 0; i < count; i++) model->mean += targets[i] / (double)count;
  for (size_t i = 0; i < count; i++) fit.residuals[i] = targets[i] - model->mean;
  sort_rows(&fit);
  for (int t = 0; t < TREES; t++) {
    memset(fit.place, 0, count);
    grow(&fit, model->trees[t], 0);
    for (size_t i = 0; i < count; i++)
      fit.residuals[i] -= value_of(model->trees[t], features + i * width);
  }
  hone_arena_destroy(arena);
  *out_model = model;
  return true;
}

static bool predict(const void *model, const double *features, size_t count, size_t width,
                    double *out, hone_status_t *status) {
  (void)status;
  const model_t *trees = model;
  for (size_t i = 0; i < count; i++) {
    out[i] = trees->mean;
    for (int t = 0; t < TREES; t++) out[i] += value_of(trees->trees[t], features + i * width);
  }
  return true;
}

const hone_learner_ops_t hone_learner_trees = {fit, predict, free};
