// The evolutionary strategy: children of the fastest so far, by mutation and crossover, in the
// order that a learned model (trees.h) expects of them. A few are drawn blindly, so that the model
// also learns where nobody looked.
#include <math.h>

#include "autotune/search_internal.h"
#include "autotune/trees.h"

enum { FIRST = 12, PARENTS = 6, BROOD = 48, LITTER = 8, BLIND = 2, OF_SPACE = 3, DULL_LIMIT = 3 };

static void describe(const hone_search_state_t *state, size_t index,
                     double out[HONE_SEARCH_FEATURES]) {
  const hone_candidate_t *candidate = &state->pool.items[index];
  double *feature = out;
  for (int i = 0; i < HONE_SCHEDULE_FIELD_COUNT; i++)
    *feature++ = log2(1 + hone_schedule_get(&candidate->schedule, (hone_schedule_field_t)i));
  *feature++ = candidate->family == HONE_FAMILY_GEMV;
  *feature++ = candidate->family == HONE_FAMILY_GEMM;
  *feature++ = candidate->family == HONE_FAMILY_ATTEND_DECODE;
  *feature++ = log(state->cost[index]);
}

// Expects the logarithm of a time. NULL while too little is known.
static hone_trees_t *learn(hone_search_state_t *state) {
  size_t count = 0, tried = hone_search_tried(state);
  double *features = HONE_NEW_ARRAY(state->arena, double, tried *HONE_SEARCH_FEATURES);
  double *targets = HONE_NEW_ARRAY(state->arena, double, tried);
  for (size_t i = 0; i < state->pool.count; i++) {
    const hone_evidence_t *evidence = &state->evidence[i];
    if (!state->is_tried[i] || evidence->verdict != HONE_VERDICT_OK || !evidence->samples) continue;
    describe(state, i, features + count * HONE_SEARCH_FEATURES);
    targets[count++] = log(evidence->median_ns);
  }
  return count < LITTER
             ? NULL
             : hone_trees_fit(features, targets, count, HONE_SEARCH_FEATURES, state->arena);
}

// The fastest, best first; returns how many.
static size_t choose_parents(const hone_search_state_t *state, size_t out[PARENTS]) {
  size_t count = 0;
  for (size_t i = 0; i < state->pool.count; i++) {
    const hone_evidence_t *evidence = &state->evidence[i];
    if (!state->is_tried[i] || evidence->verdict != HONE_VERDICT_OK || !evidence->samples) continue;
    size_t j = count < PARENTS ? count++ : PARENTS;
    for (; j > 0 && state->evidence[out[j - 1]].median_ns > evidence->median_ns; j--)
      if (j < PARENTS) out[j] = out[j - 1];
    if (j < PARENTS) out[j] = i;
  }
  return count;
}

typedef struct brood {
  size_t children[BROOD];
  double expected[BROOD];
  size_t count;
} brood_t;

// Keeps the brood ordered by what is expected of it.
static void bear(const hone_search_state_t *state, const hone_trees_t *model, size_t child,
                 brood_t *brood) {
  double features[HONE_SEARCH_FEATURES];
  if (state->is_tried[child] || brood->count == BROOD) return;
  for (size_t i = 0; i < brood->count; i++)
    if (brood->children[i] == child) return;
  describe(state, child, features);
  double expected = model ? hone_trees_predict(model, features) : log(state->cost[child]);
  size_t j = brood->count++;
  for (; j > 0 && brood->expected[j - 1] > expected; j--) {
    brood->children[j] = brood->children[j - 1];
    brood->expected[j] = brood->expected[j - 1];
  }
  brood->children[j] = child;
  brood->expected[j] = expected;
}

static size_t untried(const hone_search_state_t *state, uint64_t *random) {
  size_t start = hone_random_below(random, state->pool.count);
  for (size_t i = 0; i < state->pool.count; i++) {
    size_t index = (start + i) % state->pool.count;
    if (!state->is_tried[index]) return index;
  }
  return start;
}

static hone_index_list_t next_generation(hone_search_state_t *state, uint64_t *random) {
  size_t parents[PARENTS], count = choose_parents(state, parents);
  hone_trees_t *model = learn(state);
  brood_t brood = {0};
  hone_index_list_t list = {0};
  for (int draw = 0; draw < 4 * BROOD && count > 0; draw++) {
    size_t parent = parents[hone_random_below(random, count)];
    size_t other = parents[hone_random_below(random, count)];
    size_t child = hone_space_cross(&state->pool, parent, other, random);
    bear(state, model, hone_space_mutate(&state->pool, child, random), &brood);
  }
  for (int i = 0; i < BROOD / 4; i++) bear(state, model, untried(state, random), &brood);
  for (size_t i = 0; i < brood.count && i < LITTER - BLIND; i++)
    hone_list_push(state->arena, &list, brood.children[i]);
  for (int i = 0; i < BLIND; i++) hone_list_push(state->arena, &list, untried(state, random));
  return list;
}

bool hone_search_evolve(hone_search_state_t *state) {
  uint64_t random = state->search->seed;
  size_t most = state->pool.count / OF_SPACE;
  if (most < FIRST + LITTER) most = FIRST + LITTER;
  hone_index_list_t list = {0};
  hone_list_push(state->arena, &list, state->untuned);
  hone_list_push(state->arena, &list, state->incumbent);
  for (size_t i = 0; i < FIRST && i < state->pool.count; i++)
    hone_list_push(state->arena, &list,
                   i % 2 ? hone_random_below(&random, state->pool.count) : state->ranked[i / 2]);
  if (!hone_search_try(state, &list)) return false;
  for (int dull = 0; dull < DULL_LIMIT && hone_search_tried(state) < most;) {
    size_t before = hone_search_best(state);
    list = next_generation(state, &random);
    if (!hone_search_try(state, &list)) return false;
    dull = hone_search_best(state) == before ? dull + 1 : 0;
  }
  return true;
}
