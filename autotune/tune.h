// Tuning: searches the best candidate of each of a model's problems, those first that a model
// spends most of its time in, and keeps what it measures in the database. An interrupted or
// timed-out run goes on where it was. Thread rule: one thread.
#ifndef HONE_AUTOTUNE_TUNE_H
#define HONE_AUTOTUNE_TUNE_H

#include "autotune/database.h"
#include "autotune/search.h"
#include "autotune/worker.h"
#include "base/diagnostic.h"

typedef struct hone_tune_options {
  hone_strategy_t strategy;
  hone_learner_t learner;                     // of HONE_STRATEGY_EVOLVE
  double seconds;                             // for all problems together; 0: as long as it takes
  bool again;                                 // also what the database knows
  uint64_t seed;                              // of the strategies that draw
  const char *const *command;                 // of a worker (hone_worker_options_t)
  const volatile sig_atomic_t *is_cancelled;  // NULL: never
  bool progress;
} hone_tune_options_t;

typedef struct hone_tune_row {
  const hone_problem_t *problem;
  hone_found_t found;
  bool is_reached;  // false: the time was over before
} hone_tune_row_t;

typedef struct hone_tune_result {
  hone_tune_row_t *rows;  // in the problems' order
  size_t count, measured;
  bool is_cancelled;
} hone_tune_result_t;

// Problems that cannot be measured at all (no memory for their operands) are passed over with a
// diagnostic; false where nothing can go on, a database that cannot be written for one.
HONE_MUST_CHECK bool hone_tune_run(const hone_tune_options_t *options,
                                   const hone_problem_list_t *problems, hone_database_t *database,
                                   hone_diagnostics_t *diagnostics, hone_arena_t *arena,
                                   hone_tune_result_t *out_result, hone_status_t *status);

#endif
