// What the tests of autotune share. Thread rule: one thread.
#ifndef HONE_TESTS_UNIT_AUTOTUNE_FIXTURE_H
#define HONE_TESTS_UNIT_AUTOTUNE_FIXTURE_H

#include "autotune/problem.h"
#include "tests/unit/unit.h"

// A linear of nf4 weights on q8 rows.
static inline hone_kernel_spec_t fixture_linear(uint32_t N, uint32_t K) {
  return (hone_kernel_spec_t){.family = HONE_FAMILY_GEMV,
                              .weight = hone_format_default(HONE_NF4),
                              .input = HONE_Q8,
                              .N = N,
                              .K = K};
}

static inline hone_problem_t fixture_problem(uint32_t M, hone_arena_t *arena) {
  hone_problem_t problem = {.spec = fixture_linear(256, 512),
                            .isa = hone_cpu_isa_find("avx2"),
                            .M = M,
                            .threads = 1,
                            .count = 1,
                            .untuned = {.family = HONE_FAMILY_GEMV}};
  problem.name = hone_problem_name(&problem.spec, 0, arena);
  return problem;
}

#endif
