// See problem.h.
#include "autotune/problem.h"

#include <string.h>

enum { POSITION = 1024 };

const uint32_t hone_problem_rows[HONE_PROBLEM_ROWS] = {1, 2, 4, 8, 16, 32, 64, 128, 512};

const char *hone_problem_name(const hone_kernel_spec_t *spec, uint32_t position,
                              hone_arena_t *arena) {
  const char *name = hone_kernel_problem_name(spec, arena);
  return hone_family_is_attention(spec->family)
             ? hone_arena_format(arena, "%s position=%u", name, position)
             : name;
}

uint32_t hone_problem_position(uint32_t context) {
  uint32_t position = POSITION;
  while (position > 1 && position > context / 2) position /= 2;
  return position;
}

// The entry of the flow that M rows take, as a candidate.
static hone_candidate_t untuned_of(const hone_draft_t *draft, const hone_flow_t *flow, uint32_t M) {
  uint32_t entry = 0;
  while (entry + 1 < flow->count && M >= flow->below[entry]) entry++;
  const hone_kernel_spec_t *spec = &draft->kernels.items[flow->kernel[entry]].spec;
  return (hone_candidate_t){spec->family, spec->schedule};
}

// Of launches that compute the same, the one with the larger batch decides which M there are.
static void add(hone_problem_list_t *list, hone_arena_t *arena, const hone_problem_t *problem) {
  for (size_t i = 0; i < list->count; i++) {
    hone_problem_t *known = &list->items[i];
    if (known->M != problem->M || strcmp(known->name, problem->name)) continue;
    known->count++;
    return;
  }
  hone_list_push(arena, list, *problem);
}

void hone_problems_of_plan(const hone_draft_t *draft, const hone_cpu_isa_t *isa, uint32_t threads,
                           const uint32_t *rows, size_t row_count, hone_arena_t *arena,
                           hone_problem_list_t *out_problems) {
  uint32_t position = hone_problem_position(draft->header.context);
  size_t level = 0;
  while (hone_cpu_isa_at(level) != isa) level++;
  *out_problems = (hone_problem_list_t){0};
  for (size_t i = 0; i < draft->launches.count; i++) {
    const hone_flow_t *flow = &draft->flows[level].items[draft->launches.items[i].flow];
    hone_problem_t problem = {.isa = isa, .threads = threads, .count = 1};
    problem.spec = draft->kernels.items[flow->kernel[0]].spec;
    if (!hone_family_is_linear(problem.spec.family) &&
        !hone_family_is_attention(problem.spec.family))
      continue;
    problem.spec.schedule = (hone_schedule_t){0};
    problem.spec.output = HONE_F32;  // how outputs are stored does not choose between schedules
    problem.spec.rotate = 0;
    problem.spec.rope = 0;  // nor what becomes of them
    if (hone_family_is_attention(problem.spec.family)) problem.position = position;
    problem.name = hone_problem_name(&problem.spec, problem.position, arena);
    uint32_t batch = i < draft->header.body_count ? draft->header.batch : draft->header.head_batch;
    for (size_t r = 0; r < row_count; r++) {
      problem.M = rows[r];
      if (problem.M > batch || problem.M + problem.position > draft->header.context) continue;
      problem.untuned = untuned_of(draft, flow, problem.M);
      add(out_problems, arena, &problem);
    }
  }
}
