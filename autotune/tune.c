// See tune.h.
#include "autotune/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "autotune/machine.h"
#include "base/file.h"
#include "base/packed.h"
#include "base/progress.h"
#include "codegen/cpu/cost.h"

enum { ROUNDS = 15, MEMORY_FACTOR = 4 };
static const uint64_t cold_bytes = (uint64_t)192 << 20;  // more than a share of most last caches
static const uint64_t spare_bytes = (uint64_t)4 << 30;   // LLVM, stacks, activations
static const double sample_ns = 2e6, least_seconds = 1;

typedef struct tuner {
  const hone_tune_options_t *options;
  hone_database_t *database;
  hone_worker_t *worker;
  char *scratch;
  const char *cpu, *compiler;
  double deadline;  // of all, seconds on the clock; 0: none
  // The problem at hand.
  const hone_problem_t *problem;
  uint32_t rows;        // largest M of its op
  double slice_end;     // 0: none
  hone_arena_t *arena;  // of the problem
} tuner_t;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static hone_tuning_key_t key_of(const tuner_t *tuner, const hone_problem_t *problem) {
  return (hone_tuning_key_t){.problem = problem->name,
                             .isa = problem->isa->name,
                             .M = problem->M,
                             .threads = problem->threads,
                             .cpu = tuner->cpu,
                             .compiler = tuner->compiler};
}

// ---- what the search asks for
static double cost_of(const hone_problem_t *problem, const hone_candidate_t *candidate) {
  const hone_kernel_spec_t spec = hone_candidate_spec(&problem->spec, candidate);
  return hone_cpu_cost(&spec, problem->isa, hone_cpu_facts_default(), problem->M, problem->threads)
      .ns;
}

static double cost(void *user, const hone_candidate_t *candidate) {
  const tuner_t *tuner = user;
  return cost_of(tuner->problem, candidate);
}

static bool is_over(void *user) {
  const tuner_t *tuner = user;
  double time = now();
  return (tuner->slice_end > 0 && time > tuner->slice_end) ||
         (tuner->deadline > 0 && time > tuner->deadline);
}

// What was measured is in the database before anybody hears of it.
static bool keep(tuner_t *tuner, const hone_candidate_t *candidates, size_t count,
                 const hone_evidence_t *evidence, hone_status_t *status) {
  hone_tuning_record_t *records = HONE_NEW_ARRAY(tuner->arena, hone_tuning_record_t, count);
  for (size_t i = 0; i < count; i++)
    records[i] = (hone_tuning_record_t){key_of(tuner, tuner->problem), candidates[i], evidence[i]};
  return hone_database_put(tuner->database, records, count, status);
}

static bool measure(void *user, const hone_candidate_t *candidates, size_t count,
                    hone_evidence_t *out_evidence, hone_status_t *status) {
  tuner_t *tuner = user;
  const hone_problem_t *problem = tuner->problem;
  hone_worker_job_t *job = HONE_NEW(tuner->arena, hone_worker_job_t);
  *job = (hone_worker_job_t){.spec = problem->spec,
                             .M = problem->M,
                             .threads = problem->threads,
                             .position = problem->position,
                             .rows = tuner->rows,
                             .cold_bytes = cold_bytes,
                             .sample_ns = sample_ns,
                             .rounds = ROUNDS,
                             .count = (uint32_t)count};
  snprintf(job->isa, sizeof job->isa, "%s", problem->isa->name);
  snprintf(job->scratch, sizeof job->scratch, "%s", tuner->scratch);
  memcpy(job->candidates, candidates, count * sizeof *candidates);
  return hone_worker_run(tuner->worker, job, out_evidence, status) &&
         keep(tuner, candidates, count, out_evidence, status);
}

// ---- order and shares of the time
// Time a model spends in the problem per token, as far as can be told before measuring.
static double share_of(const hone_problem_t *problem) {
  return problem->count * cost_of(problem, &problem->untuned) / problem->M;
}

typedef struct place {
  size_t index;
  double share, op_share;  // op_share: of all M of the op; its operands are made once
  const char *name;
} place_t;

static int compare_places(const void *a, const void *b) {
  const place_t *x = a, *y = b;
  if (x->op_share != y->op_share) return x->op_share > y->op_share ? -1 : 1;
  int names = strcmp(x->name, y->name);
  if (names) return names;
  if (x->share != y->share) return x->share > y->share ? -1 : 1;
  return x->index < y->index ? -1 : 1;
}

static place_t *order_of(const hone_problem_list_t *problems, hone_arena_t *arena) {
  place_t *places = HONE_NEW_ARRAY(arena, place_t, problems->count);
  for (size_t i = 0; i < problems->count; i++) {
    const hone_problem_t *problem = &problems->items[i];
    places[i] = (place_t){.index = i, .share = share_of(problem), .name = problem->name};
    for (size_t j = 0; j < problems->count; j++)
      if (!strcmp(problems->items[j].name, problem->name))
        places[i].op_share += share_of(&problems->items[j]);
  }
  qsort(places, problems->count, sizeof *places, compare_places);
  return places;
}

// Of the time that is left, a problem gets its share among those that are left, and a second at
// least; what it does not use is the others'.
static double slice_end(const tuner_t *tuner, const place_t *places, size_t first, size_t count) {
  double left = tuner->deadline - now(), all = 0;
  if (tuner->deadline == 0) return 0;
  for (size_t i = first; i < count; i++) all += places[i].share;
  double slice = left * places[first].share / all;
  return now() + (slice > least_seconds ? slice : least_seconds);
}

// ---- one problem
typedef HONE_LIST(hone_tried_t) tried_list_t;

// What the database has for the problem; of other M what was rejected: a kernel that crashes or is
// wrong does so for any number of rows.
static bool read_known(tuner_t *tuner, const hone_problem_t *problem, tried_list_t *known,
                       hone_status_t *status) {
  const hone_tuning_key_t key = key_of(tuner, problem);
  hone_tuning_record_t *records;
  size_t count;
  if (tuner->options->again) return true;
  if (!hone_database_get_problem(tuner->database, &key, tuner->arena, &records, &count, status))
    return false;
  for (size_t i = 0; i < count; i++) {
    bool is_same = records[i].key.M == key.M && records[i].key.threads == key.threads;
    if (is_same || records[i].evidence.verdict != HONE_VERDICT_OK)
      hone_list_push(tuner->arena, known,
                     (hone_tried_t){records[i].candidate, records[i].evidence});
  }
  return true;
}

static uint64_t memory_of(const hone_problem_list_t *problems) {
  uint64_t most = 0;
  for (size_t i = 0; i < problems->count; i++) {
    const hone_kernel_spec_t *spec = &problems->items[i].spec;
    uint64_t bytes = spec->N ? hone_packed_bytes(spec->weight, spec->N, spec->K) : 0;
    most = bytes > most ? bytes : most;
  }
  return MEMORY_FACTOR * most + 2 * cold_bytes + spare_bytes;
}

static bool tune_problem(tuner_t *tuner, hone_tune_row_t *row, hone_status_t *status) {
  const hone_problem_t *problem = row->problem;
  hone_candidates_t space;
  tried_list_t known = {0};
  tuner->problem = problem;
  if (!hone_space_list(&problem->spec, problem->isa, tuner->arena, &space, status) ||
      !read_known(tuner, problem, &known, status))
    return false;
  const hone_search_t search = {.strategy = tuner->options->strategy,
                                .learner = tuner->options->learner,
                                .space = &space,
                                .untuned = problem->untuned,
                                .known = known.items,
                                .known_count = known.count,
                                .seed = tuner->options->seed,
                                .user = tuner,
                                .cost = cost,
                                .measure = measure,
                                .is_over = is_over};
  bool ok = hone_search_run(&search, &row->found, status);
  row->is_reached = row->found.best.evidence.samples > 0;
  return ok;
}

static uint32_t largest_M(const hone_problem_list_t *problems, const char *name) {
  uint32_t most = 0;
  for (size_t i = 0; i < problems->count; i++)
    if (!strcmp(problems->items[i].name, name) && problems->items[i].M > most)
      most = problems->items[i].M;
  return most;
}

// The bar's text: the problem, and how much faster than untuned the best of it is so far.
static void show(hone_progress_t *progress, const hone_tune_row_t *row, hone_arena_t *arena) {
  char best[HONE_CANDIDATE_TEXT_BYTES];
  const hone_found_t *found = &row->found;
  if (!row->is_reached || !found->untuned.evidence.samples) {
    hone_progress_add(progress, 1, row->problem->name);
    return;
  }
  hone_candidate_write(&found->best.candidate, best);
  double gain = found->untuned.evidence.median_ns / found->best.evidence.median_ns;
  hone_progress_add(progress, 1,
                    hone_arena_format(arena, "%.2fx %s M=%u %s", gain, best, row->problem->M,
                                      row->problem->name));
}

static bool tune_all(tuner_t *tuner, const hone_problem_list_t *problems,
                     hone_diagnostics_t *diagnostics, hone_arena_t *arena,
                     hone_tune_result_t *result, hone_status_t *status) {
  const place_t *places = order_of(problems, arena);
  hone_progress_t *progress =
      hone_progress_create("tuning", problems->count, false, tuner->options->progress);
  bool ok = true;
  for (size_t i = 0; i < problems->count && ok && !result->is_cancelled; i++) {
    hone_tune_row_t *row = &result->rows[places[i].index];
    hone_status_t failed = {0};
    tuner->arena = hone_arena_create();
    tuner->slice_end = slice_end(tuner, places, i, problems->count);
    tuner->rows = largest_M(problems, row->problem->name);
    if (!tune_problem(tuner, row, &failed)) {
      result->is_cancelled = failed.code == HONE_CANCELLED;
      ok = failed.code == HONE_CANCELLED || failed.code == HONE_EXHAUSTED ||
           failed.code == HONE_UNSUPPORTED;
      if (!ok) *status = failed;
      if (ok && !result->is_cancelled)
        hone_diagnose(diagnostics, HONE_WARNING, row->problem->name, "not tuned for M = %u: %s",
                      row->problem->M, failed.message);
    }
    result->measured += row->found.measured;
    show(progress, row, tuner->arena);
    hone_arena_destroy(tuner->arena);
  }
  hone_progress_destroy(progress);
  return ok;
}

bool hone_tune_run(const hone_tune_options_t *options, const hone_problem_list_t *problems,
                   hone_database_t *database, hone_diagnostics_t *diagnostics, hone_arena_t *arena,
                   hone_tune_result_t *out_result, hone_status_t *status) {
  tuner_t tuner = {.options = options,
                   .database = database,
                   .cpu = hone_machine_cpu(arena),
                   .compiler = hone_machine_compiler(arena),
                   .deadline = options->seconds > 0 ? now() + options->seconds : 0};
  const hone_worker_options_t worker = {.command = options->command,
                                        .memory_bytes = memory_of(problems),
                                        .is_cancelled = options->is_cancelled};
  *out_result = (hone_tune_result_t){
      .rows = HONE_NEW_ARRAY(arena, hone_tune_row_t, problems->count), .count = problems->count};
  for (size_t i = 0; i < problems->count; i++) out_result->rows[i].problem = &problems->items[i];
  if (!hone_scratch_create(arena, &tuner.scratch, status)) return false;
  tuner.worker = hone_worker_create(&worker);
  bool ok = tune_all(&tuner, problems, diagnostics, arena, out_result, status);
  hone_worker_destroy(tuner.worker);
  hone_scratch_remove(tuner.scratch);
  return ok;
}
