// The simple strategies, and what all have in common. See search.h.
#include <stdlib.h>
#include <string.h>

#include "autotune/search_internal.h"

enum { LEAST = 8, MOST = 16, OF_SPACE = 10 };  // a shortlist's length: a tenth, within bounds

static const char *const names[] = {
#define STRATEGY(name, ENUM, summary) #name,
#include "autotune/strategies.def"
#undef STRATEGY
};

bool hone_strategy_find(const char *name, hone_strategy_t *out_strategy) {
  for (int i = 0; i < HONE_STRATEGY_COUNT; i++) {
    if (strcmp(names[i], name)) continue;
    *out_strategy = (hone_strategy_t)i;
    return true;
  }
  return false;
}

// ---- state
static size_t find(const hone_search_state_t *state, const hone_candidate_t *candidate) {
  int64_t index = hone_space_find(&state->pool, candidate);
  return index < 0 ? state->pool.count : (size_t)index;
}

static void rank(hone_search_state_t *state) {
  for (size_t i = 0; i < state->pool.count; i++) {
    size_t j = i;  // insertion sort: stable
    state->cost[i] = state->search->cost(state->search->user, &state->pool.items[i]);
    for (; j > 0 && state->cost[state->ranked[j - 1]] > state->cost[i]; j--)
      state->ranked[j] = state->ranked[j - 1];
    state->ranked[j] = i;
  }
}

static hone_search_state_t begin(const hone_search_t *search, hone_arena_t *arena,
                                 hone_status_t *status) {
  size_t most = search->space->count + 1;
  hone_search_state_t state = {.search = search,
                               .pool.items = HONE_NEW_ARRAY(arena, hone_candidate_t, most),
                               .cost = HONE_NEW_ARRAY(arena, double, most),
                               .ranked = HONE_NEW_ARRAY(arena, size_t, most),
                               .evidence = HONE_NEW_ARRAY(arena, hone_evidence_t, most),
                               .is_tried = HONE_NEW_ARRAY(arena, bool, most),
                               .arena = arena,
                               .status = status};
  for (size_t i = 0; i < search->space->count; i++)
    state.pool.items[state.pool.count++] = search->space->items[i];
  state.untuned = find(&state, &search->untuned);
  if (state.untuned == state.pool.count) state.pool.items[state.pool.count++] = search->untuned;
  rank(&state);
  for (size_t i = 0; i < search->known_count; i++) {
    size_t index = find(&state, &search->known[i].candidate);
    if (index == state.pool.count) continue;  // of another space
    state.evidence[index] = search->known[i].evidence;
    state.is_tried[index] = true;
  }
  state.incumbent = hone_search_best(&state);
  if (state.incumbent == state.pool.count) state.incumbent = state.untuned;
  return state;
}

static bool is_timed(const hone_search_state_t *state, size_t index) {
  return state->is_tried[index] && state->evidence[index].verdict == HONE_VERDICT_OK &&
         state->evidence[index].samples > 0;
}

size_t hone_search_best(const hone_search_state_t *state) {
  size_t best = state->pool.count;
  for (size_t i = 0; i < state->pool.count; i++) {
    if (!is_timed(state, i)) continue;
    if (best == state->pool.count || state->evidence[i].median_ns < state->evidence[best].median_ns)
      best = i;
  }
  return best;
}

size_t hone_search_tried(const hone_search_state_t *state) {
  size_t count = 0;
  for (size_t i = 0; i < state->pool.count; i++) count += state->is_tried[i];
  return count;
}

// ---- measuring
static bool try_batch(hone_search_state_t *state, const size_t *indices, size_t count) {
  const hone_search_t *search = state->search;
  hone_candidate_t candidates[HONE_SEARCH_BATCH];
  hone_evidence_t evidence[HONE_SEARCH_BATCH];
  for (size_t i = 0; i < count; i++) candidates[i] = state->pool.items[indices[i]];
  if (search->is_over(search->user)) return false;
  if (!search->measure(search->user, candidates, count, evidence, state->status)) return false;
  for (size_t i = 0; i < count; i++) {
    state->measured += !state->is_tried[indices[i]];
    state->evidence[indices[i]] = evidence[i];
    state->is_tried[indices[i]] = true;
  }
  return true;
}

bool hone_search_try(hone_search_state_t *state, const hone_index_list_t *list) {
  size_t next = 0;
  for (;;) {
    size_t batch[HONE_SEARCH_BATCH], count = 0, best = hone_search_best(state);
    if (best < state->pool.count) batch[count++] = best;
    size_t anchors = count;
    for (; next < list->count && count < HONE_SEARCH_BATCH; next++) {
      bool is_new = !state->is_tried[list->items[next]];
      for (size_t i = 0; i < count; i++) is_new &= batch[i] != list->items[next];
      if (is_new) batch[count++] = list->items[next];
    }
    if (count == anchors) return true;
    if (!try_batch(state, batch, count)) return false;
  }
}

// ---- shortlist
static void add(hone_search_state_t *state, hone_index_list_t *list, size_t index) {
  for (size_t i = 0; i < list->count; i++)
    if (list->items[i] == index) return;
  hone_list_push(state->arena, list, index);
}

static bool adjoins_one(const hone_search_state_t *state, const hone_index_list_t *list,
                        size_t index) {
  for (size_t i = 0; i < list->count; i++)
    if (hone_space_adjoins(&state->pool.items[list->items[i]], &state->pool.items[index]))
      return true;
  return false;
}

// The untuned candidate, the first of each family, then the first ones of all, but none that
// adjoins one that is there: estimates hardly tell neighbours apart, and those of the best come
// later.
static hone_index_list_t rank_first(hone_search_state_t *state, size_t length) {
  hone_index_list_t list = {0};
  uint64_t seen = 0;
  add(state, &list, state->untuned);
  add(state, &list, state->incumbent);
  for (size_t i = 0; i < state->pool.count; i++) {
    uint64_t bit = (uint64_t)1 << state->pool.items[state->ranked[i]].family;
    if (!(seen & bit)) add(state, &list, state->ranked[i]);
    seen |= bit;
  }
  for (size_t i = 0; i < state->pool.count && list.count < length; i++)
    if (!adjoins_one(state, &list, state->ranked[i])) add(state, &list, state->ranked[i]);
  return list;
}

// Neighbours of the best one that are not tried yet, best ranked first; if all are, the next in
// rank.
static hone_index_list_t neighbours(hone_search_state_t *state, size_t length) {
  hone_index_list_t list = {0};
  size_t best = hone_search_best(state);
  for (size_t i = 0; i < state->pool.count && list.count < length && best < state->pool.count;
       i++) {
    size_t index = state->ranked[i];
    if (!state->is_tried[index] &&
        hone_space_adjoins(&state->pool.items[best], &state->pool.items[index]))
      hone_list_push(state->arena, &list, index);
  }
  for (size_t i = 0; i < state->pool.count && list.count == 0; i++)
    if (!state->is_tried[state->ranked[i]]) hone_list_push(state->arena, &list, state->ranked[i]);
  return list;
}

static bool run_shortlist(hone_search_state_t *state) {
  size_t length = state->pool.count / OF_SPACE;
  length = length < LEAST ? LEAST : length > MOST ? MOST : length;
  hone_index_list_t list = rank_first(state, (length * 2 + 2) / 3);
  if (!hone_search_try(state, &list)) return false;
  for (size_t tried; (tried = hone_search_tried(state)) < length;) {
    size_t left = length - tried;
    list = neighbours(state, left > 2 ? (left + 1) / 2 : left);
    if (list.count == 0) return true;
    if (!hone_search_try(state, &list)) return false;
  }
  return true;
}

static bool run_exhaustive(hone_search_state_t *state) {
  hone_index_list_t list = {state->ranked, state->pool.count, state->pool.count};
  hone_index_list_t first = {&state->untuned, 1, 1};
  return hone_search_try(state, &first) && hone_search_try(state, &list);
}

// What won against others at various times must also win against what it replaces, side by side.
static void confirm(hone_search_state_t *state) {
  size_t best = hone_search_best(state), batch[3] = {state->untuned, state->incumbent}, count = 1;
  if (state->measured == 0 || best == state->pool.count || best == state->untuned ||
      state->status->code != HONE_OK)
    return;
  if (!is_timed(state, state->untuned)) return;
  if (state->incumbent != state->untuned && is_timed(state, state->incumbent)) count++;
  if (best != state->incumbent) batch[count++] = best;
  (void)try_batch(state, batch, count);
}

static hone_tried_t tried(const hone_search_state_t *state, size_t index) {
  hone_tried_t result = {state->pool.items[index], {0}};
  if (is_timed(state, index)) result.evidence = state->evidence[index];
  return result;
}

bool hone_search_run(const hone_search_t *search, hone_found_t *out_found, hone_status_t *status) {
  hone_arena_t *arena = hone_arena_create();
  hone_search_state_t state = begin(search, arena, status);
  switch (search->strategy) {
    case HONE_STRATEGY_EXHAUSTIVE: (void)run_exhaustive(&state); break;
    case HONE_STRATEGY_EVOLVE: (void)hone_search_evolve(&state); break;
    default: (void)run_shortlist(&state); break;
  }
  confirm(&state);
  size_t best = hone_search_best(&state);
  if (best == state.pool.count) best = state.incumbent;
  if (is_timed(&state, state.incumbent) && state.evidence[state.incumbent].median_ns <=
                                               HONE_SEARCH_MARGIN * state.evidence[best].median_ns)
    best = state.incumbent;
  *out_found = (hone_found_t){.best = tried(&state, best),
                              .untuned = tried(&state, state.untuned),
                              .measured = state.measured,
                              .space_count = search->space->count};
  hone_arena_destroy(arena);
  return status->code == HONE_OK;
}
