// Searches: which candidates of a space are worth measuring. They know neither kernels nor
// processes: costs, times and the end of the time come through functions. Deterministic but for
// what is measured. Thread rule: one thread.
#ifndef HONE_AUTOTUNE_SEARCH_H
#define HONE_AUTOTUNE_SEARCH_H

#include "autotune/learned.h"
#include "autotune/space.h"

typedef enum hone_strategy {
#define STRATEGY(name, ENUM, summary) HONE_STRATEGY_##ENUM,
#include "autotune/strategies.def"
#undef STRATEGY
  HONE_STRATEGY_COUNT
} hone_strategy_t;
// By its name; false if there is none.
bool hone_strategy_find(const char *name, hone_strategy_t *out_strategy);

typedef struct hone_tried {
  hone_candidate_t candidate;
  hone_evidence_t evidence;
} hone_tried_t;

enum { HONE_SEARCH_BATCH = 32 };  // candidates measured against each other at once

typedef struct hone_search {
  hone_strategy_t strategy;
  hone_learner_t learner;  // of HONE_STRATEGY_EVOLVE
  const hone_candidates_t *space;
  hone_candidate_t untuned;   // always measured; need not be of the space
  const hone_tried_t *known;  // from earlier: not measured again; a rejection keeps a candidate out
  size_t known_count;
  uint64_t seed;
  void *user;
  double (*cost)(void *user, const hone_candidate_t *candidate);  // an estimate, ns
  // Measures (count <= HONE_SEARCH_BATCH) candidates. The first is known to be right, if any is.
  bool (*measure)(void *user, const hone_candidate_t *candidates, size_t count,
                  hone_evidence_t *out_evidence, hone_status_t *status);
  bool (*is_over)(void *user);  // no time for another batch
} hone_search_t;

typedef struct hone_found {
  hone_tried_t best, untuned;  // samples 0: nothing was measured, or it was rejected
  size_t measured;             // candidates, without those known before
  size_t space_count;
} hone_found_t;

// A noise margin: who is known already wins against what is not better by more than this.
#define HONE_SEARCH_MARGIN 1.02

// False if measuring failed; *out_found then says what is known so far.
HONE_MUST_CHECK bool hone_search_run(const hone_search_t *search, hone_found_t *out_found,
                                     hone_status_t *status);

#endif
