// Candidates as text, and the spaces they come from.
#include "autotune/space.h"
#include "base/artefact.h"
#include "codegen/cpu/linear_block.h"

#include "codegen/cpu/space.h"
#include "tests/unit/autotune/fixture.h"

typedef struct set {
  hone_arena_t *arena;
  hone_candidates_t linear, attend;
} set_t;

static set_t set_create(void) {
  hone_status_t status = {0};
  set_t set = {.arena = hone_arena_create()};
  hone_kernel_spec_t linear = fixture_linear(64, 128);
  hone_kernel_spec_t attend = {.family = HONE_FAMILY_ATTEND_DECODE,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = 64,
                               .cache = HONE_F16,
                               .scale = 0.125f};
  const hone_cpu_isa_t *isa = hone_cpu_isa_find("avx2");
  assert_works(hone_space_list(&linear, isa, set.arena, &set.linear, &status), &status);
  assert_works(hone_space_list(&attend, isa, set.arena, &set.attend, &status), &status);
  return set;
}

// The product of a family's rows.
static size_t product(hone_family_t family) {
  size_t count = 1;
  for (size_t i = 0; i < hone_cpu_axis_count(); i++)
    if (hone_cpu_axis_at(i)->family == family) count *= hone_cpu_axis_at(i)->count;
  return count;
}

static size_t count_family(const hone_candidates_t *space, hone_family_t family) {
  size_t count = 0;
  for (size_t i = 0; i < space->count; i++) count += space->items[i].family == family;
  return count;
}

// Columns are split where there are enough of them and few rows.
static void test_splits(void **state) {
  (void)state;
  static const struct {
    uint32_t N, K;
    bool is_split;
  } rows[] = {{256, 2048, true}, {256, 1024, false}, {16384, 2048, false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    set_t set = {.arena = hone_arena_create()};
    hone_status_t status = {0};
    hone_kernel_spec_t linear = fixture_linear(rows[i].N, rows[i].K);
    const hone_cpu_isa_t *isa = hone_cpu_isa_find("avx2");
    assert_works(hone_space_list(&linear, isa, set.arena, &set.linear, &status), &status);
    size_t count = 0;
    for (size_t c = 0; c < set.linear.count; c++) {
      const hone_candidate_t *candidate = &set.linear.items[c];
      if (candidate->schedule.split <= 1) continue;
      assert_int_not_equal(candidate->family, HONE_FAMILY_GEMM);
      assert_int_equal(candidate->schedule.split, 2);  // 2048 columns: two parts
      count++;
    }
    assert_int_equal(count > 0, rows[i].is_split);
    hone_arena_destroy(set.arena);
  }
}

// A panel of gemm is a whole number of folds, or with tiles a part of one: chunks between are the
// same kernel.
static void test_panels(void **state) {
  (void)state;
  hone_kernel_spec_t a = fixture_linear(256, 8192);
  a.family = HONE_FAMILY_GEMM, a.input = HONE_Q8, a.schedule.rows = 16;
  hone_kernel_spec_t b = a;
  a.schedule.chunk = 16, b.schedule.chunk = 128;
  assert_true(hone_cpu_same_kernel(&a, &b, hone_cpu_isa_find("amx")));
  assert_false(hone_cpu_same_kernel(&a, &b, hone_cpu_isa_find("avx512")));
  a.schedule.chunk = 8;
  assert_int_equal(hone_cpu_linear_run(&a, hone_cpu_isa_find("amx")), HONE_FOLD / 2);
  assert_int_equal(hone_cpu_linear_run(&a, hone_cpu_isa_find("avx512")), HONE_FOLD);
}

static void test_counts(void **state) {
  (void)state;
  set_t set = set_create();
  const hone_family_t linear[] = {HONE_FAMILY_GEMV, HONE_FAMILY_FLAT, HONE_FAMILY_GEMM};
  size_t sum = 0;
  for (size_t i = 0; i < 3; i++) {
    size_t count = count_family(&set.linear, linear[i]);
    // The rest is what the check refuses, or builds the same kernel as another.
    assert_in_range(count, 2, product(linear[i]));
    sum += count;
  }
  assert_int_equal(sum, set.linear.count);
  for (size_t i = 0; i < set.linear.count; i++) {
    const hone_candidate_t *a = &set.linear.items[i];
    for (size_t j = 0; j < i; j++) assert_false(hone_candidate_equal(a, &set.linear.items[j]));
  }
  assert_true(count_family(&set.attend, HONE_FAMILY_ATTEND_DECODE) > 0);
  assert_true(count_family(&set.attend, HONE_FAMILY_ATTEND_PREFILL) > 0);
  assert_int_equal(count_family(&set.attend, HONE_FAMILY_GEMV), 0);
  hone_arena_destroy(set.arena);
}

static void test_nothing_to_tune(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_status_t status = {0};
  hone_candidates_t space;
  hone_kernel_spec_t norm = {.family = HONE_FAMILY_NORM, .K = 64};
  assert_fails(hone_space_list(&norm, hone_cpu_isa_at(0), arena, &space, &status), &status,
               HONE_UNSUPPORTED, "nothing to tune");
  hone_kernel_spec_t bad = fixture_linear(64, 128);
  bad.input = HONE_B1;  // nf4 has no such kernel
  assert_fails(hone_space_list(&bad, hone_cpu_isa_at(0), arena, &space, &status), &status,
               HONE_UNSUPPORTED, "nothing to tune");
  hone_arena_destroy(arena);
}

// Every candidate is there once, and its text reads back to it.
static void test_text(void **state) {
  (void)state;
  set_t set = set_create();
  hone_status_t status = {0};
  for (size_t i = 0; i < set.linear.count; i++) {
    char text[HONE_CANDIDATE_TEXT_BYTES];
    hone_candidate_t back;
    assert_int_equal(hone_space_find(&set.linear, &set.linear.items[i]), i);
    hone_candidate_write(&set.linear.items[i], text);
    assert_works(hone_candidate_parse(hone_slice(text), &back, &status), &status);
    assert_true(hone_candidate_equal(&back, &set.linear.items[i]));
  }
  hone_candidate_t other;
  assert_fails(hone_candidate_parse(HONE_SLICE("gem tokens=4"), &other, &status), &status,
               HONE_INVALID, "no kernel family 'gem'");
  assert_fails(hone_candidate_parse(HONE_SLICE("gemm blocks=4"), &other, &status), &status,
               HONE_INVALID, "'blocks=4' is none of");
  assert_fails(hone_candidate_parse(HONE_SLICE("gemm unroll=1 tokens=4"), &other, &status), &status,
               HONE_INVALID, "is written 'gemm tokens=4 unroll=1'");
  assert_fails(hone_candidate_parse(HONE_SLICE(""), &other, &status), &status, HONE_INVALID,
               "no kernel family");
  hone_arena_destroy(set.arena);
}

static void test_draws(void **state) {
  (void)state;
  set_t set = set_create();
  uint64_t first = 7, second = 7;
  size_t moved = 0, crossed = 0;
  for (int i = 0; i < 500; i++) {
    size_t a = hone_random_below(&first, set.linear.count);
    assert_int_equal(a, hone_random_below(&second, set.linear.count));
    size_t b = hone_space_mutate(&set.linear, a, &first);
    assert_int_equal(b, hone_space_mutate(&set.linear, a, &second));
    assert_in_range(b, 0, set.linear.count - 1);
    assert_int_equal(set.linear.items[a].family, set.linear.items[b].family);
    moved += a != b;
    size_t c = hone_random_below(&first, set.linear.count);
    assert_int_equal(c, hone_random_below(&second, set.linear.count));
    size_t d = hone_space_cross(&set.linear, a, c, &first);
    assert_int_equal(d, hone_space_cross(&set.linear, a, c, &second));
    assert_in_range(d, 0, set.linear.count - 1);
    crossed += d != a && d != c;
  }
  assert_in_range(moved, 400, 500);
  assert_in_range(crossed, 20, 500);
  hone_arena_destroy(set.arena);
}

// One step of one field, whatever the rows are.
static void test_adjoins(void **state) {
  (void)state;
  hone_candidate_t a = {.family = HONE_FAMILY_FLAT}, b;
  for (size_t i = 0; i < hone_cpu_axis_count(); i++) {
    const hone_cpu_axis_t *axis = hone_cpu_axis_at(i);
    if (axis->family == a.family) hone_schedule_set(&a.schedule, axis->field, axis->values[0]);
  }
  assert_false(hone_space_adjoins(&a, &a));
  size_t fields = 0;
  hone_candidate_t both = a;
  for (size_t i = 0; i < hone_cpu_axis_count(); i++) {
    const hone_cpu_axis_t *axis = hone_cpu_axis_at(i);
    if (axis->family != a.family || axis->count < 3) continue;
    b = a;
    hone_schedule_set(&b.schedule, axis->field, axis->values[1]);
    assert_true(hone_space_adjoins(&a, &b) && hone_space_adjoins(&b, &a));
    hone_schedule_set(&b.schedule, axis->field, axis->values[2]);
    assert_false(hone_space_adjoins(&a, &b));
    hone_schedule_set(&b.schedule, axis->field, 77777);  // no value of the row
    assert_false(hone_space_adjoins(&a, &b));
    hone_schedule_set(&both.schedule, axis->field, axis->values[1]);
    fields++;
  }
  assert_true(fields >= 2);
  assert_false(hone_space_adjoins(&a, &both));
  b = a, b.family = HONE_FAMILY_GEMM;
  assert_false(hone_space_adjoins(&a, &b));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_splits),  cmocka_unit_test(test_counts),
      cmocka_unit_test(test_panels),  cmocka_unit_test(test_nothing_to_tune),
      cmocka_unit_test(test_text),    cmocka_unit_test(test_draws),
      cmocka_unit_test(test_adjoins),
  };
  return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
