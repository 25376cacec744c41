// The registry of targets, the null target's refusals, and dataflow texts.
#include "tests/unit/codegen/test.h"

#include "codegen/cpu/isa.h"
#include "codegen/plan/flow.h"
#include "codegen/target.h"
#include "passes/pipeline.h"

static void targets_are_found_by_name(void **state) {
  (void)state;
  assert_true(hone_target_count() >= 2);
  for (size_t i = 0; i < hone_target_count(); i++) {
    const hone_target_t *target = hone_target_at(i), *found = NULL;
    const char *levels = "";
    hone_status_t status = {0};
    assert_ok(&status, hone_target_find(target->name, &found, &levels, &status));
    assert_ptr_equal(found, target);
    assert_null(levels);
    assert_non_null(target->summary);
    assert_true(target->select_dataflow && target->build_kernels && target->pack_weights &&
                target->link);
  }
}

static void unknown_targets_are_unsupported(void **state) {
  (void)state;
  const char *const names[] = {"nvidia:sm_90", "amd:gfx942", "cpuu", ""};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const hone_target_t *found;
    const char *levels;
    hone_status_t status = {0};
    assert_false(hone_target_find(names[i], &found, &levels, &status));
    assert_int_equal(status.code, HONE_UNSUPPORTED);
    assert_contains(status.message, names[i]);
    assert_contains(status.message, "cpu");
  }
}

static void levels_of_a_target_are_checked(void **state) {
  (void)state;
  const char *const wrong[][2] = {
      {"cpu:", "'' is no instruction set level; there are amx, avx512, avx2"},
      {"cpu:avx1024", "'avx1024' is no"},
      {"cpu:avx2,", "'' is no"},
      {"cpu:avx2,sse", "'sse' is no"},
      {"null:avx2", "null has no instruction set levels"},
  };
  const hone_target_t *found;
  const char *text;
  hone_cpu_levels_t levels;
  hone_status_t status = {0};
  assert_ok(&status, hone_target_find("cpu:avx2,amx", &found, &text, &status));
  assert_ptr_equal(found, &hone_target_cpu);
  assert_string_equal(text, "avx2,amx");
  assert_ok(&status, hone_cpu_levels_read(text, &levels, &status));
  assert_int_equal(levels.count, 2);  // best first, however they are given
  assert_string_equal(levels.items[0]->name, "amx");
  assert_string_equal(levels.items[1]->name, "avx2");
  assert_ok(&status, hone_cpu_levels_read(NULL, &levels, &status));
  assert_int_equal(levels.count, HONE_CPU_ISA_COUNT);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    status = (hone_status_t){0};
    assert_false(hone_target_find(wrong[i][0], &found, &text, &status));
    assert_int_equal(status.code, HONE_INVALID);
    assert_contains(status.message, wrong[i][0]);
    assert_contains(status.message, wrong[i][1]);
  }
}

static void null_makes_no_code(void **state) {
  (void)state;
  hone_compile_t compile = {0};
  hone_status_t status = {0};
  assert_false(hone_target_null.build_kernels(&compile, &status));
  assert_int_equal(status.code, HONE_UNSUPPORTED);
  assert_contains(status.message, "--to memory");
}

static void flows_are_read(void **state) {
  (void)state;
  hone_flow_choice_t c[HONE_FLOW_LIMIT];
  size_t count;
  hone_status_t status = {0};
  assert_ok(&status, hone_flow_parse("gemv unroll=2 < 2,gemm  tokens=4<16, gemm tokens=6", c,
                                     &count, &status));
  assert_int_equal(count, 3);
  assert_true(c[0].family == HONE_FAMILY_GEMV && c[0].schedule.unroll == 2 &&
              c[0].schedule.tokens == 0 && c[0].below == 2);
  assert_true(c[1].family == HONE_FAMILY_GEMM && c[1].schedule.unroll == 0 &&
              c[1].schedule.tokens == 4 && c[1].below == 16);
  assert_true(c[2].schedule.tokens == 6 && c[2].below == UINT32_MAX);
  assert_ok(&status, hone_flow_parse("norm", c, &count, &status));
  assert_int_equal(count, 1);
}

static void bad_flows_are_explained(void **state) {
  (void)state;
  const char *const cases[][2] = {
      {"", "no kernel family"},
      {"gemw", "did you mean 'gemv'"},
      {"gemv < 2", "the last entry"},
      {"gemv, gemm", "the last entry"},
      {"gemv < 4, gemm < 4, gemm", "must grow"},
      {"gemv < two, gemm", "two"},
      {"gemv < 1, gemm", "above 1"},
      {"gemm tokens=", "tokens="},
      {"gemm tokens=99999999999", "tokens=99999999999"},
      {"gemm speed=9", "speed=9"},
      {"gemv < 2, gemv < 3, gemv < 4, gemv < 5, gemv < 6, gemv < 7, gemv < 8, gemv < 9, gemm",
       "more than 8"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hone_flow_choice_t c[HONE_FLOW_LIMIT];
    size_t count;
    hone_status_t status = {0};
    if (hone_flow_parse(cases[i][0], c, &count, &status)) fail_msg("'%s' was read", cases[i][0]);
    assert_contains(status.message, cases[i][1]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(targets_are_found_by_name),
      cmocka_unit_test(unknown_targets_are_unsupported),
      cmocka_unit_test(levels_of_a_target_are_checked),
      cmocka_unit_test(null_makes_no_code),
      cmocka_unit_test(flows_are_read),
      cmocka_unit_test(bad_flows_are_explained),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
