// A search while it runs. Never included outside autotune.
#ifndef HONE_AUTOTUNE_SEARCH_INTERNAL_H
#define HONE_AUTOTUNE_SEARCH_INTERNAL_H

#include "autotune/search.h"

enum { HONE_SEARCH_FEATURES = HONE_SCHEDULE_FIELD_COUNT + 4 };

typedef struct hone_search_state {
  const hone_search_t *search;
  hone_candidates_t pool;  // the space, and the untuned candidate if it is none of it
  double *cost;            // (pool.count)
  size_t *ranked;          // pool indices by cost, then index
  hone_evidence_t *evidence;
  bool *is_tried;
  size_t untuned, incumbent;  // pool indices; incumbent: best known before, else untuned
  size_t measured;
  hone_arena_t *arena;
  hone_status_t *status;
} hone_search_state_t;

typedef HONE_LIST(size_t) hone_index_list_t;

// Measures those of the list that are not tried, and the best one again to compare with, in
// batches. False: measuring failed, or the time is over before all were measured.
bool hone_search_try(hone_search_state_t *state, const hone_index_list_t *list);
// Fastest so far, pool.count if there is none.
size_t hone_search_best(const hone_search_state_t *state);
size_t hone_search_tried(const hone_search_state_t *state);  // also known before
bool hone_search_evolve(hone_search_state_t *state);

#endif
