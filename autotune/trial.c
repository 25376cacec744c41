// See trial.h.
#include "autotune/trial.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "autotune/kernels.h"
#include "autotune/measure.h"
#include "autotune/verify.h"
#include "runtime/cpu.h"
#include "runtime/thread_pool.h"

enum { CPU_SECONDS = 1200 };  // that one job may use; the other side's patience ends long before

struct hone_trial {
  hone_kernels_t *kernels;
  hone_pool_t *pool;
  hone_operands_t operands;
  bool has_operands;
  size_t next_copy;  // of the cold operands: the one that was not used for longest
};

typedef struct run {  // one job
  hone_trial_t *trial;
  const hone_worker_job_t *job;
  hone_worker_reporter_t *reporter;
  const hone_cpu_isa_t *isa;
  hone_kernel_spec_t specs[HONE_WORKER_CANDIDATES];
  hone_kernel_fn *functions[HONE_WORKER_CANDIDATES];  // NULL: it has a verdict
  hone_verifier_t verifier;
} run_t;

hone_trial_t *hone_trial_create(void) {
  hone_trial_t *trial = calloc(1, sizeof *trial);
  if (!trial) hone_out_of_memory();
  return trial;
}

void hone_trial_destroy(hone_trial_t *trial) {
  if (!trial) return;
  hone_kernels_destroy(trial->kernels);
  hone_pool_destroy(trial->pool);
  if (trial->has_operands) hone_operands_destroy(&trial->operands);
  free(trial);
}

// A fence of its own, should nobody watch: CPU time used so far, and some.
static void limit_cpu(uint32_t threads) {
  struct rusage used;
  struct rlimit limit;
  if (getrusage(RUSAGE_SELF, &used) || getrlimit(RLIMIT_CPU, &limit)) return;
  limit.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                   (rlim_t)CPU_SECONDS * (threads ? threads : 1);
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
    limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_CPU, &limit);
}

// ---- preparation
static bool same_operands(const hone_trial_t *trial, const hone_worker_job_t *job) {
  return trial->has_operands && !memcmp(&trial->operands.spec, &job->spec, sizeof job->spec) &&
         trial->operands.position == job->position;
}

static bool prepare(run_t *run, hone_status_t *status) {
  hone_trial_t *trial = run->trial;
  const hone_worker_job_t *job = run->job;
  run->isa = hone_cpu_isa_find(job->isa);
  if (!run->isa || !hone_cpu_has(run->isa->name, NULL, 0))
    return hone_fail(status, HONE_UNSUPPORTED, "this machine cannot run %s", job->isa);
  limit_cpu(job->threads);
  if (!trial->kernels && !hone_kernels_create(&trial->kernels, status)) return false;
  if (trial->pool && hone_pool_threads(trial->pool) != job->threads) {
    hone_pool_destroy(trial->pool);
    trial->pool = NULL;
  }
  if (!trial->pool && !hone_pool_create(job->threads, &trial->pool, status)) return false;
  if (same_operands(trial, job)) return true;
  if (trial->has_operands) hone_operands_destroy(&trial->operands);
  trial->has_operands = false;
  hone_operands_spec_t spec = {.problem = &job->spec,
                               .position = job->position,
                               .rows = job->rows,
                               .cold_bytes = job->cold_bytes,
                               .threads = job->threads,
                               .scratch = job->scratch};
  trial->has_operands = hone_operands_create(&spec, &trial->operands, status);
  return trial->has_operands;
}

static bool build(run_t *run, hone_status_t *status) {
  const hone_worker_job_t *job = run->job;
  for (uint32_t i = 0; i < job->count; i++) {
    hone_status_t refused = {0};
    run->specs[i] = hone_candidate_spec(&job->spec, &job->candidates[i]);
    hone_worker_alive(run->reporter, i, "built");
    if (hone_kernels_build(run->trial->kernels, &run->specs[i], run->isa, &refused)) continue;
    hone_evidence_t evidence;
    hone_evidence_reject(&evidence, HONE_VERDICT_REFUSED, "%.150s", refused.message);
    hone_worker_report(run->reporter, i, &evidence);
  }
  if (!hone_kernels_load(run->trial->kernels, job->scratch, status)) return false;
  for (uint32_t i = 0; i < job->count; i++)
    run->functions[i] = hone_kernels_find(run->trial->kernels, &run->specs[i], run->isa);
  return true;
}

static void verify(run_t *run) {
  for (uint32_t i = 0; i < run->job->count; i++) {
    hone_evidence_t evidence;
    if (!run->functions[i]) continue;
    hone_worker_alive(run->reporter, i, "checked");
    if (hone_verifier_check(&run->verifier, &run->specs[i], run->functions[i], &evidence)) continue;
    hone_worker_report(run->reporter, i, &evidence);
    run->functions[i] = NULL;
  }
}

// ---- time
static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

typedef struct call {
  hone_kernel_fn *kernel;
  hone_kernel_args_t args;
} call_t;

static void run_units(void *data, int64_t begin, int64_t end) {
  const call_t *call = data;
  call->kernel(&call->args, begin, end);
}

// Calls on one copy after the other for at least sample_ns.
static double sample(void *user, uint32_t index, uint32_t round) {
  run_t *run = user;
  hone_trial_t *trial = run->trial;
  const hone_step_t *step = &run->verifier.steps[0];
  uint32_t count, rows, calls = 0;
  hone_kernel_spec_units(&run->specs[index], &count, &rows);
  int64_t units = (int64_t)count * (rows ? (step->M + rows - 1) / rows : 1);
  hone_worker_alive(run->reporter, index, "measured");
  double begin = now_ns(), spent;
  do {
    call_t call = {
        run->functions[index],
        hone_step_args(&trial->operands, step, trial->next_copy++ % trial->operands.copies,
                       run->verifier.out[0].data)};
    hone_pool_run(trial->pool, 0, units, run_units, &call);
    calls++;
    spent = now_ns() - begin;
  } while (spent < run->job->sample_ns);
  (void)round;
  return spent / calls;
}

static void measure(run_t *run) {
  bool is_in[HONE_WORKER_CANDIDATES];
  hone_evidence_t evidence[HONE_WORKER_CANDIDATES];
  for (uint32_t i = 0; i < run->job->count; i++) is_in[i] = run->functions[i] != NULL;
  hone_measure_run(run->job->count, is_in, run->job->rounds, sample, run, evidence);
  for (uint32_t i = 0; i < run->job->count; i++)
    if (is_in[i]) hone_worker_report(run->reporter, i, &evidence[i]);
}

bool hone_trial_run(void *user, const hone_worker_job_t *job, hone_worker_reporter_t *reporter,
                    hone_status_t *status) {
  run_t *run = calloc(1, sizeof *run);
  if (!run) return hone_fail(status, HONE_EXHAUSTED, "no memory for a job");
  run->trial = user, run->job = job, run->reporter = reporter;
  bool ok = prepare(run, status) && build(run, status) &&
            hone_verifier_create(&run->trial->operands, job->M, &run->verifier, status);
  if (ok) verify(run);
  if (ok) measure(run);
  hone_verifier_destroy(&run->verifier);
  free(run);
  return ok;
}
