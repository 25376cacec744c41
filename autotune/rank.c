// See rank.h. A roofline: the larger of the time that memory needs and that the vector units need,
// with small factors for what hides latencies.
#include "autotune/rank.h"

#include <math.h>

#include "base/packed.h"
#include "codegen/cpu/linear_block.h"

// Of one thread; only their proportions matter.
static const double memory_rate = 12, cache_rate = 40;    // bytes per ns
static const double decode_ns = 0.5, multiply_ns = 0.35;  // of one vector register

static double linear_cost(const hone_problem_t *problem, const hone_candidate_t *candidate) {
  const hone_kernel_spec_t spec = hone_candidate_spec(&problem->spec, candidate);
  const hone_schedule_t *s = &candidate->schedule;
  bool is_gemm = candidate->family == HONE_FAMILY_GEMM;
  double tokens = hone_cpu_linear_tokens(&spec, problem->isa), blocks = ceil(problem->M / tokens);
  double lanes = spec.input == HONE_F32 ? problem->isa->lanes : problem->isa->bytes;
  double vectors = (double)spec.N * spec.K / lanes;
  double bytes = (double)hone_packed_bytes(spec.weight, spec.N, spec.K);
  double decodes = is_gemm ? 1 + 0.15 * blocks : blocks;  // a gemm keeps what it decoded in a cache
  // The last block is cut to what is left; more rows of weights load an activation for more.
  double loads = 0.3 / hone_cpu_linear_vectors(&spec, problem->isa);
  double compute = vectors * (decodes * decode_ns + problem->M * (1 + loads) * multiply_ns);
  double memory = bytes / memory_rate + (is_gemm ? 2 * vectors * lanes / cache_rate : 0);
  if (s->unroll == 1) compute *= 1.02;
  if (!is_gemm && s->prefetch == 0) memory *= 1.15;
  if (!is_gemm && s->prefetch) memory *= 1 + 0.01 * fabs(log2((double)s->prefetch / 64));
  if (is_gemm && s->chunk) memory *= 1 + 0.01 * fabs(log2((double)s->chunk / 192));
  return fmax(compute, memory) + 0.2 * fmin(compute, memory);
}

static double attend_cost(const hone_problem_t *problem, const hone_candidate_t *candidate) {
  const hone_kernel_spec_t *spec = &problem->spec;
  double tokens = candidate->schedule.tokens ? candidate->schedule.tokens : 1;
  double blocks = ceil(problem->M / tokens), context = problem->position + problem->M;
  double row = (double)spec->kv_heads * spec->head_dim * hone_cache_item_bytes(spec->cache);
  double memory = 2 * blocks * context * row / memory_rate;
  double compute = 2 * blocks * tokens * context * spec->heads * spec->head_dim /
                   problem->isa->lanes * multiply_ns;
  return fmax(compute, memory) + 0.2 * fmin(compute, memory);
}

double hone_rank_cost(const hone_problem_t *problem, const hone_candidate_t *candidate) {
  bool is_attention = problem->spec.family == HONE_FAMILY_ATTEND_DECODE ||
                      problem->spec.family == HONE_FAMILY_ATTEND_PREFILL;
  double ns = is_attention ? attend_cost(problem, candidate) : linear_cost(problem, candidate);
  return ns / problem->threads;
}
