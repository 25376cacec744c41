// The evolutionary strategy: children of the fastest so far, by mutation and crossover, in the
// order that a learned model (learned.h) expects of them. A few are drawn blindly, so that the
// model also learns where nobody looked.
#include <math.h>

#include "autotune/learned.h"
#include "autotune/search_internal.h"

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

// A model of the logarithm of a time. NULL while too little is known.
static bool learn(hone_search_state_t *state, hone_learned_t **out_model) {
  size_t count = 0, tried = hone_search_tried(state);
  double *features = HONE_NEW_ARRAY(state->arena, double, tried *HONE_SEARCH_FEATURES);
  double *targets = HONE_NEW_ARRAY(state->arena, double, tried);
  for (size_t i = 0; i < state->pool.count; i++) {
    const hone_evidence_t *evidence = &state->evidence[i];
    if (!state->is_tried[i] || evidence->verdict != HONE_VERDICT_OK || !evidence->samples) continue;
    describe(state, i, features + count * HONE_SEARCH_FEATURES);
    targets[count++] = log(evidence->median_ns);
  }
  *out_model = NULL;
  return count < LITTER || hone_learned_fit(state->search->learner, features, targets, count,
                                            HONE_SEARCH_FEATURES, out_model, state->status);
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
  size_t count;
} brood_t;

static void bear(const hone_search_state_t *state, size_t child, brood_t *brood) {
  if (state->is_tried[child] || brood->count == BROOD) return;
  for (size_t i = 0; i < brood->count; i++)
    if (brood->children[i] == child) return;
  brood->children[brood->count++] = child;
}

// By what is expected of them, best first; equal ones in the order they were born.
static bool order(hone_search_state_t *state, brood_t *brood) {
  double features[BROOD][HONE_SEARCH_FEATURES], expected[BROOD];
  hone_learned_t *model;
  if (!learn(state, &model)) return false;
  for (size_t i = 0; i < brood->count; i++) {
    describe(state, brood->children[i], features[i]);
    expected[i] = log(state->cost[brood->children[i]]);
  }
  bool ok =
      !model || hone_learned_predict(model, features[0], brood->count, expected, state->status);
  hone_learned_destroy(model);
  for (size_t i = 1; i < brood->count; i++) {
    size_t child = brood->children[i], j = i;
    double of_child = expected[i];
    for (; j > 0 && expected[j - 1] > of_child; j--) {
      brood->children[j] = brood->children[j - 1];
      expected[j] = expected[j - 1];
    }
    brood->children[j] = child;
    expected[j] = of_child;
  }
  return ok;
}

static size_t untried(const hone_search_state_t *state, uint64_t *random) {
  size_t start = hone_random_below(random, state->pool.count);
  for (size_t i = 0; i < state->pool.count; i++) {
    size_t index = (start + i) % state->pool.count;
    if (!state->is_tried[index]) return index;
  }
  return start;
}

static bool next_generation(hone_search_state_t *state, uint64_t *random, hone_index_list_t *list) {
  size_t parents[PARENTS], count = choose_parents(state, parents);
  brood_t brood = {0};
  for (int draw = 0; draw < 4 * BROOD && count > 0; draw++) {
    size_t parent = parents[hone_random_below(random, count)];
    size_t other = parents[hone_random_below(random, count)];
    size_t child = hone_space_cross(&state->pool, parent, other, random);
    bear(state, hone_space_mutate(&state->pool, child, random), &brood);
  }
  for (int i = 0; i < BROOD / 4; i++) bear(state, untried(state, random), &brood);
  if (!order(state, &brood)) return false;
  for (size_t i = 0; i < brood.count && i < LITTER - BLIND; i++)
    hone_list_push(state->arena, list, brood.children[i]);
  for (int i = 0; i < BLIND; i++) hone_list_push(state->arena, list, untried(state, random));
  return true;
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
    hone_index_list_t litter = {0};
    if (!next_generation(state, &random, &litter) || !hone_search_try(state, &litter)) return false;
    dull = hone_search_best(state) == before ? dull + 1 : 0;
  }
  return true;
}
