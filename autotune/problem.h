// Tuning problems: what a model computes, without how: an op (a kernel specification without family
// and schedule), an instruction set level, a number of rows and of threads. Thread rule: values.
#ifndef HONE_AUTOTUNE_PROBLEM_H
#define HONE_AUTOTUNE_PROBLEM_H

#include "autotune/candidate.h"
#include "codegen/cpu/isa.h"
#include "codegen/plan/plan.h"

typedef struct hone_problem {
  const char *name;         // hone_problem_name
  hone_kernel_spec_t spec;  // family: one that can do it; schedule: zeros
  const hone_cpu_isa_t *isa;
  uint32_t M, threads;
  uint32_t position;         // attention: tokens in the cache before these rows
  uint32_t count;            // launches of it in one step of the model
  hone_candidate_t untuned;  // what the plan runs for M rows
} hone_problem_t;

// hone_kernel_problem_name, for attention followed by " position=N": its time depends on it.
const char *hone_problem_name(const hone_kernel_spec_t *spec, uint32_t position,
                              hone_arena_t *arena);
// Attention is tuned behind this many tokens: a power of two, 1024 unless the model's context is
// less than twice that.
uint32_t hone_problem_position(uint32_t context);

// The rows that are tuned for where nothing else is asked for.
enum { HONE_PROBLEM_ROWS = 9 };
extern const uint32_t hone_problem_rows[HONE_PROBLEM_ROWS];

typedef HONE_LIST(hone_problem_t) hone_problem_list_t;
// Every linear and every attention of a lowered plan, each once, in order of first use, for every M
// of `rows` that its part of the plan (body or head) can be run with.
void hone_problems_of_plan(const hone_draft_t *draft, const hone_cpu_isa_t *isa, uint32_t threads,
                           const uint32_t *rows, size_t row_count, hone_arena_t *arena,
                           hone_problem_list_t *out_problems);

#endif
