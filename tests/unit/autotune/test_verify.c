// Right kernels of every format, epilogue and form of attention pass; kernels that are a little
// wrong do not.
#include "autotune/verify.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autotune/kernels.h"
#include "base/file.h"
#include "tests/unit/autotune/fixture.h"

typedef struct place {
  hone_arena_t *arena;
  char *folder;
  hone_kernels_t *kernels;
  const hone_cpu_isa_t *isa;
} place_t;

static int setup(void **state) {
  hone_status_t status = {0};
  hone_arena_t *arena = hone_arena_create();
  place_t *place = HONE_NEW(arena, place_t);
  place->arena = arena;
  place->isa = hone_cpu_isa_find("avx2");  // what every machine that runs tests has
  assert_works(hone_scratch_create(arena, &place->folder, &status), &status);
  assert_works(hone_kernels_create(&place->kernels, &status), &status);
  *state = place;
  return 0;
}

static int teardown(void **state) {
  place_t *place = *state;
  hone_kernels_destroy(place->kernels);
  hone_scratch_remove(place->folder);
  hone_arena_destroy(place->arena);
  return 0;
}

static hone_operands_t operands_of(place_t *place, const hone_kernel_spec_t *spec) {
  hone_status_t status = {0};
  hone_operands_t operands;
  const hone_operands_spec_t wanted = {.problem = spec,
                                       .position = spec->heads ? 40 : 0,
                                       .rows = 5,
                                       .cold_bytes = 100000,
                                       .threads = 1,
                                       .scratch = place->folder};
  assert_works(hone_operands_create(&wanted, &operands, &status), &status);
  return operands;
}

static hone_kernel_fn *load(place_t *place, const hone_kernel_spec_t *spec) {
  hone_status_t status = {0};
  assert_works(hone_kernels_build(place->kernels, spec, place->isa, &status), &status);
  assert_works(hone_kernels_load(place->kernels, place->folder, &status), &status);
  return hone_kernels_find(place->kernels, spec, place->isa);
}

// All of `specs` compute the same; all must pass.
static void check_all(place_t *place, const hone_kernel_spec_t *specs, size_t count) {
  hone_status_t status = {0};
  hone_operands_t operands = operands_of(place, &specs[0]);
  hone_verifier_t verifier;
  assert_works(hone_verifier_create(&operands, 5, &verifier, &status), &status);
  for (size_t i = 0; i < count; i++) {
    hone_evidence_t evidence;
    hone_kernel_fn *kernel = load(place, &specs[i]);
    if (!hone_verifier_check(&verifier, &specs[i], kernel, &evidence))
      fail_msg("%s: %s", hone_kernel_spec_name(&specs[i], place->arena), evidence.reason);
  }
  hone_verifier_destroy(&verifier);
  hone_operands_destroy(&operands);
}

// A gemv, and a flat where there are two.
static void check_linear(place_t *place, hone_kernel_spec_t spec, size_t count) {
  hone_kernel_spec_t specs[2] = {spec, spec};
  specs[0].family = HONE_FAMILY_GEMV;
  specs[1].family = HONE_FAMILY_FLAT;
  specs[1].schedule.tokens = 2;
  check_all(place, specs, count);
}

static void test_formats(void **state) {
  place_t *place = *state;
  for (size_t i = 0; i < hone_format_count(); i++) {
    const hone_format_info_t *info = hone_format_at(i);
    hone_kernel_spec_t spec = {.weight = hone_format_default(info->storage), .N = 70, .K = 192};
    check_linear(place, spec, 1);  // f32 rows
    if (!hone_format_is_quantized(info->storage)) continue;
    spec.input = HONE_Q8;
    check_linear(place, spec, 1 + i % 2);
    spec.input = HONE_B1;
    if (info->grid == HONE_GRID_PLANES) check_linear(place, spec, 1);
  }
}

static void test_epilogues(void **state) {
  place_t *place = *state;
  hone_kernel_spec_t spec = fixture_linear(132, 200);
  spec.bias = 1;
  check_linear(place, spec, 2);
  spec.residual = 1;
  check_linear(place, spec, 2);
  spec.glu = 1;
  for (uint8_t a = HONE_ACTIVATION_NONE + 1; a < HONE_ACTIVATION_COUNT; a++) {
    spec.activation = a;
    check_linear(place, spec, 2);
    spec.residual = 0, spec.bias = 0;
  }
}

static void test_attention(void **state) {
  place_t *place = *state;
  static const hone_storage_t caches[] = {HONE_F32, HONE_F16, HONE_Q8};
  for (int i = 0; i < 6; i++) {
    hone_kernel_spec_t spec = {.family = HONE_FAMILY_ATTEND_DECODE,
                               .heads = 6,
                               .kv_heads = 2,
                               .head_dim = i % 2 ? 64 : 24,
                               .window = i / 3 ? 17 : 0,
                               .cache = caches[i % 3],
                               .scale = 0.125f};
    hone_kernel_spec_t specs[2] = {spec, spec};
    specs[1].family = HONE_FAMILY_ATTEND_PREFILL;
    specs[1].schedule.tokens = 4;
    check_all(place, specs, 2);
  }
}

// ---- wrong ones: a right kernel, and something done to what it wrote
static hone_kernel_fn *right;
static enum { SLIP, PAD, BEFORE, SPLIT, ZEROS, LAST_ROW, CRASHES } slip;
enum { COLUMNS = 70, STRIDE = 128 };

static void wrong(const hone_kernel_args_t *args, int64_t begin, int64_t end) {
  float *out = args->ptr[4];
  right(args, begin, end);
  if (begin == end) return;
  if (slip == SLIP && begin == 0) out[1] += 0.01f;
  if (slip == PAD && begin == 0) out[COLUMNS] = 1e-20f;
  if (slip == BEFORE && begin == 0) out[-1] = 0;
  if (slip == SPLIT && begin > 0) out[69] += 1e-6f;
  if (slip == ZEROS) memset(out, 0, STRIDE * sizeof *out);
  if (slip == LAST_ROW && begin == 0) out[(args->M - 1) * STRIDE + 60] *= 1.001f;
  if (slip == CRASHES && begin == 0) out[args->M * STRIDE] = 0;
}

static void test_wrong(void **state) {
  place_t *place = *state;
  static const char *const reasons[] = {"another kernel's",         "the pad at column 70",
                                        "writes before its output", "splitting the units",
                                        "splitting|should be",      "another kernel's"};
  hone_status_t status = {0};
  hone_evidence_t evidence;
  hone_kernel_spec_t spec = fixture_linear(COLUMNS, 192);
  hone_operands_t operands = operands_of(place, &spec);
  hone_verifier_t verifier;
  assert_works(hone_verifier_create(&operands, 5, &verifier, &status), &status);
  right = load(place, &spec);
  assert_true(hone_verifier_check(&verifier, &spec, right, &evidence));
  for (int i = 0; i < CRASHES; i++) {
    slip = i;
    assert_false(hone_verifier_check(&verifier, &spec, wrong, &evidence));
    assert_int_equal(evidence.verdict, HONE_VERDICT_WRONG);
    if (i != ZEROS && !strstr(evidence.reason, reasons[i]))
      fail_msg("'%s' says nothing of '%s'", evidence.reason, reasons[i]);
  }
  // A write past the output meets a page without access.
  pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    slip = CRASHES;
    _exit(hone_verifier_check(&verifier, &spec, wrong, &evidence));
  }
  int result;
  waitpid(child, &result, 0);
  assert_false(WIFEXITED(result) && WEXITSTATUS(result) < 2);
  hone_verifier_destroy(&verifier);
  hone_operands_destroy(&operands);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_formats), cmocka_unit_test(test_epilogues),
      cmocka_unit_test(test_attention), cmocka_unit_test(test_wrong)};
  return cmocka_run_group_tests_name("verify", tests, setup, teardown);
}
