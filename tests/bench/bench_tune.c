// How good the default strategy of hone tune is: it and the exhaustive one on the same shapes, each
// from nothing, with the numbers of candidates they measured. The winners of both are then measured
// side by side. Prints the speed that the shortlist reaches of what exhaustive does.
// Usage: bench_tune HONE FORMAT THREADS NxK[,NxK...] M[,M...] [STRATEGY]
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/tune.h"
#include "base/file.h"
#include "runtime/cpu.h"

typedef struct setup {
  const char *command[3];
  hone_arena_t *arena;
  char *folder;
  hone_format_t weight;
  uint32_t threads;
  hone_strategy_t strategy;
} setup_t;

typedef struct outcome {
  hone_candidate_t best;
  size_t measured, space;
} outcome_t;

_Noreturn static void die(const hone_status_t *status) {
  fprintf(stderr, "bench_tune: %s\n", status->message);
  exit(1);
}

// One problem, in a database of its own.
static outcome_t search(const setup_t *setup, const hone_problem_t *problem,
                        hone_strategy_t strategy, const char *name) {
  hone_status_t status = {0};
  hone_database_t *database;
  hone_problem_list_t problems = {0};
  hone_tune_result_t result;
  hone_diagnostics_t diagnostics = {.arena = setup->arena};
  hone_list_push(setup->arena, &problems, *problem);
  const hone_tune_options_t options = {.strategy = strategy, .command = setup->command};
  const char *path = hone_arena_format(setup->arena, "%s/%s-%u-%u-%u.db", setup->folder, name,
                                       problem->spec.N, problem->spec.K, problem->M);
  if (!hone_database_open(path, HONE_DATABASE_WRITE, &database, &status) ||
      !hone_tune_run(&options, &problems, database, &diagnostics, setup->arena, &result, &status))
    die(&status);
  hone_diagnostics_print(&diagnostics, stderr, false);
  hone_database_close(database);
  const hone_found_t *found = &result.rows[0].found;
  return (outcome_t){found->best.candidate, found->measured, found->space_count};
}

// Times of both, measured in turns: b over a.
static double compare(const setup_t *setup, const hone_problem_t *problem,
                      const hone_candidate_t *a, const hone_candidate_t *b, double *out_ns) {
  hone_status_t status = {0};
  hone_evidence_t evidence[2];
  const hone_worker_options_t options = {.command = setup->command};
  hone_worker_t *worker = hone_worker_create(&options);
  hone_worker_job_t job = {.spec = problem->spec,
                           .M = problem->M,
                           .threads = problem->threads,
                           .rows = problem->M,
                           .cold_bytes = (uint64_t)192 << 20,
                           .sample_ns = 5e6,
                           .rounds = 32,
                           .count = hone_candidate_equal(a, b) ? 1 : 2,
                           .candidates = {*a, *b}};
  snprintf(job.isa, sizeof job.isa, "%s", problem->isa->name);
  snprintf(job.scratch, sizeof job.scratch, "%s", setup->folder);
  if (!hone_worker_run(worker, &job, evidence, &status)) die(&status);
  hone_worker_destroy(worker);
  *out_ns = evidence[0].median_ns;
  return job.count == 1 ? 1 : evidence[1].median_ns / evidence[0].median_ns;
}

static void bench(const setup_t *setup, uint32_t N, uint32_t K, uint32_t M, double sums[3]) {
  hone_problem_t problem = {.spec = {.family = HONE_FAMILY_GEMV,
                                     .weight = setup->weight,
                                     .input = hone_format_info(setup->weight.storage)->compute,
                                     .N = N,
                                     .K = K},
                            .M = M,
                            .threads = setup->threads,
                            .count = 1,
                            .untuned = {.family = M == 1 ? HONE_FAMILY_GEMV : HONE_FAMILY_GEMM}};
  for (size_t i = hone_cpu_isa_count(); i-- > 0;)
    if (hone_cpu_has(hone_cpu_isa_at(i)->name, NULL, 0)) problem.isa = hone_cpu_isa_at(i);
  problem.name = hone_problem_name(&problem.spec, 0, setup->arena);
  outcome_t fast = search(setup, &problem, setup->strategy, "strategy");
  outcome_t all = search(setup, &problem, HONE_STRATEGY_EXHAUSTIVE, "exhaustive");
  char fast_text[HONE_CANDIDATE_TEXT_BYTES], all_text[HONE_CANDIDATE_TEXT_BYTES];
  double ns, ratio = compare(setup, &problem, &fast.best, &all.best, &ns);
  hone_candidate_write(&fast.best, fast_text);
  hone_candidate_write(&all.best, all_text);
  printf("%6u x %-6u %5u | %4zu of %4zu | %10.1f us | %6.3f | %-34s | %s\n", N, K, M, fast.measured,
         all.measured, ns / 1e3, ratio, fast_text, all_text);
  fflush(stdout);
  sums[0] += log(ratio), sums[1] += (double)fast.measured, sums[2] += (double)all.measured;
}

int main(int argc, char **argv) {
  setup_t setup = {.arena = hone_arena_create()};
  hone_status_t status = {0};
  if (argc < 6) {
    fprintf(stderr, "usage: bench_tune HONE FORMAT THREADS NxK[,NxK...] M[,M...] [STRATEGY]\n");
    return 2;
  }
  setup.command[0] = argv[1], setup.command[1] = "--tune-worker";
  setup.threads = (uint32_t)atoi(argv[3]);
  if (!hone_format_parse(argv[2], &setup.weight, &status) ||
      !hone_scratch_create(setup.arena, &setup.folder, &status))
    die(&status);
  if (argc > 6 && !hone_strategy_find(argv[6], &setup.strategy)) return 2;
  double sums[3] = {0}, count = 0;
  printf(
      "     N x K          M | measured     | strategy's     | speed  | strategy's best      "
      "              | exhaustive's\n");
  for (char *shape = strtok(argv[4], ","), *next; shape; shape = next) {
    unsigned N, K;
    next = strtok(NULL, ",");
    if (sscanf(shape, "%ux%u", &N, &K) != 2) return 2;
    for (const char *M = argv[5]; M; M = strchr(M, ',') ? strchr(M, ',') + 1 : NULL, count++)
      bench(&setup, N, K, (uint32_t)atoi(M), sums);
  }
  printf("geometric mean of the speed reached: %.3f; measured %.0f of %.0f candidates (%.1f %%)\n",
         exp(sums[0] / count), sums[1], sums[2], 100 * sums[1] / sums[2]);
  hone_scratch_remove(setup.folder);
  hone_arena_destroy(setup.arena);
  return 0;
}
