// See space.h.
#include "autotune/space.h"

#include "codegen/cpu/kernel_emit.h"
#include "codegen/cpu/linear_block.h"
#include "codegen/cpu/space.h"

enum { AXIS_LIMIT = HONE_SCHEDULE_FIELD_COUNT, DRAWS = 16, SPLIT_UNITS = 128 };

static const hone_family_t linear[] = {HONE_FAMILY_GEMV, HONE_FAMILY_FLAT, HONE_FAMILY_GEMM};
static const hone_family_t attend[] = {HONE_FAMILY_ATTEND_DECODE, HONE_FAMILY_ATTEND_PREFILL};

static size_t axes_of(hone_family_t family, const hone_cpu_axis_t *out[AXIS_LIMIT]) {
  size_t count = 0;
  for (size_t i = 0; i < hone_cpu_axis_count() && count < AXIS_LIMIT; i++)
    if (hone_cpu_axis_at(i)->family == family) out[count++] = hone_cpu_axis_at(i);
  return count;
}

typedef HONE_LIST(hone_candidate_t) candidate_list_t;

static bool is_listed(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa,
                      const hone_candidate_t *items, size_t count) {
  for (size_t i = 0; i < count; i++) {
    hone_kernel_spec_t known = hone_candidate_spec(spec, &items[i]);
    if (hone_cpu_same_kernel(spec, &known, isa)) return true;
  }
  return false;
}

// Columns are worth splitting where there are fewer units than a machine may have threads for.
static bool is_split_in_vain(const hone_kernel_spec_t *spec) {
  return spec->schedule.split > 1 && hone_family_is_linear(spec->family) &&
         hone_padded(spec->N) / hone_kernel_spec_rows(spec) >= SPLIT_UNITS;
}

// The product of the family's rows, the last row fastest.
static void list_family(const hone_kernel_spec_t *problem, const hone_cpu_isa_t *isa,
                        hone_family_t family, hone_arena_t *arena, candidate_list_t *list) {
  const hone_cpu_axis_t *axes[AXIS_LIMIT];
  size_t count = axes_of(family, axes), total = 1;
  for (size_t i = 0; i < count; i++) total *= axes[i]->count;
  for (size_t number = 0; number < total; number++) {
    hone_candidate_t candidate = {.family = family};
    size_t rest = number;
    for (size_t i = count; i-- > 0; rest /= axes[i]->count)
      hone_schedule_set(&candidate.schedule, axes[i]->field,
                        axes[i]->values[rest % axes[i]->count]);
    hone_kernel_spec_t spec = hone_candidate_spec(problem, &candidate);
    hone_status_t illegal = {0};
    if (!is_split_in_vain(&spec) && hone_cpu_kernel_check(&spec, isa, &illegal) &&
        !is_listed(&spec, isa, list->items, list->count))
      hone_list_push(arena, list, candidate);
  }
}

bool hone_space_list(const hone_kernel_spec_t *problem, const hone_cpu_isa_t *isa,
                     hone_arena_t *arena, hone_candidates_t *out_space, hone_status_t *status) {
  candidate_list_t list = {0};
  for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) {
    if (linear[i] != problem->family) continue;
    for (size_t f = 0; f < sizeof linear / sizeof *linear; f++)
      list_family(problem, isa, linear[f], arena, &list);
  }
  for (size_t i = 0; i < sizeof attend / sizeof *attend; i++) {
    if (attend[i] != problem->family) continue;
    for (size_t f = 0; f < sizeof attend / sizeof *attend; f++)
      list_family(problem, isa, attend[f], arena, &list);
  }
  *out_space = (hone_candidates_t){list.items, list.count};
  if (list.count > 0) return true;
  return hone_fail(status, HONE_UNSUPPORTED, "%s: there is nothing to tune",
                   hone_kernel_problem_name(problem, arena));
}

int64_t hone_space_find(const hone_candidates_t *space, const hone_candidate_t *candidate) {
  for (size_t i = 0; i < space->count; i++)
    if (hone_candidate_equal(&space->items[i], candidate)) return (int64_t)i;
  return HONE_CANDIDATE_NONE;
}

// Place of a value in a row, or -1.
static int place_of(const hone_cpu_axis_t *axis, uint32_t value) {
  for (size_t i = 0; i < axis->count; i++)
    if (axis->values[i] == value) return (int)i;
  return -1;
}

bool hone_space_adjoins(const hone_candidate_t *a, const hone_candidate_t *b) {
  const hone_cpu_axis_t *axes[AXIS_LIMIT];
  size_t count = axes_of(a->family, axes);
  int steps = 0;
  if (a->family != b->family) return false;
  for (size_t i = 0; i < count; i++) {
    int from = place_of(axes[i], hone_schedule_get(&a->schedule, axes[i]->field));
    int to = place_of(axes[i], hone_schedule_get(&b->schedule, axes[i]->field));
    if (from < 0 || to < 0) return false;
    steps += from > to ? from - to : to - from;
  }
  return steps == 1;
}

// ---- chance
uint64_t hone_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

size_t hone_random_below(uint64_t *state, size_t limit) {
  return (size_t)((__uint128_t)hone_random(state) * limit >> 64);
}

size_t hone_space_mutate(const hone_candidates_t *space, size_t index, uint64_t *random) {
  const hone_cpu_axis_t *axes[AXIS_LIMIT];
  size_t count = axes_of(space->items[index].family, axes);
  for (int draw = 0; draw < DRAWS && count > 0; draw++) {
    hone_candidate_t candidate = space->items[index];
    const hone_cpu_axis_t *axis = axes[hone_random_below(random, count)];
    hone_schedule_set(&candidate.schedule, axis->field,
                      axis->values[hone_random_below(random, axis->count)]);
    int64_t found = hone_space_find(space, &candidate);
    if (found >= 0 && (size_t)found != index) return (size_t)found;
  }
  return index;
}

size_t hone_space_cross(const hone_candidates_t *space, size_t a, size_t b, uint64_t *random) {
  hone_candidate_t candidate = space->items[a];
  const hone_candidate_t *other = &space->items[b];
  if (candidate.family != other->family) return a;
  uint64_t coins = hone_random(random);
  for (int i = 0; i < HONE_SCHEDULE_FIELD_COUNT; i++) {
    hone_schedule_field_t field = (hone_schedule_field_t)i;
    if (coins >> i & 1)
      hone_schedule_set(&candidate.schedule, field, hone_schedule_get(&other->schedule, field));
  }
  int64_t found = hone_space_find(space, &candidate);
  return found < 0 ? a : (size_t)found;
}
