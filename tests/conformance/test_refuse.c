// What has no kernel is HONE_UNSUPPORTED with a message that says what does not fit; objects are
// deterministic, carry no path and no AVX-512 code in the AVX2 level.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above first.
#include <cmocka.h>

#include "codegen/cpu/kernel_emit.h"
#include "codegen/cpu/object.h"

static const hone_kernel_spec_t good = {.family = HONE_FAMILY_GEMM,
                                        .weight = {HONE_NF4, 64},
                                        .input = HONE_Q8,
                                        .N = 8,
                                        .K = 64,
                                        .schedule.tokens = 4};

static ir_session_t *open_session(void) {
  ir_session_t *session = NULL;
  hone_status_t status = {0};
  if (!ir_session_create(NULL, &session, &status)) fail_msg("%s", status.message);
  return session;
}

static void refuses(ir_session_t *session, const hone_kernel_spec_t *spec, const char *words) {
  hone_status_t status = {0};
  hone_buffer_t out = {0};
  hone_cpu_kernel_t kernel = {*spec, "kernel"};
  bool built = hone_cpu_object_build(session, hone_cpu_isa_at(0), &kernel, 1, HONE_CPU_EMIT_OBJECT,
                                     &out, &status);
  assert_false(built);
  assert_int_equal(status.code, HONE_UNSUPPORTED);
  if (!strstr(status.message, words)) fail_msg("\"%s\" does not say \"%s\"", status.message, words);
  assert_int_equal(out.bytes, 0);
}

static void test_refusals(void **state) {
  (void)state;
  ir_session_t *session = open_session();
  hone_kernel_spec_t spec = good;
  spec.weight = (hone_format_t){HONE_BF16, 0};
  refuses(session, &spec, "bf16 weights with q8 activations");
  spec.weight = (hone_format_t){HONE_NF4, 48};
  refuses(session, &spec, "this weight format");
  spec = good, spec.K = 0;
  refuses(session, &spec, "K = 0");
  spec = good, spec.N = 9, spec.glu = 1, spec.activation = HONE_ACTIVATION_SILU;
  refuses(session, &spec, "odd number");
  spec = good, spec.glu = 1;
  refuses(session, &spec, "glu without activation");
  spec = good, spec.rope = 1, spec.heads = 3, spec.kv_heads = 1, spec.head_dim = 16, spec.N = 64;
  refuses(session, &spec, "not those of q, k and v");
  spec.N = 80, spec.residual = 1;
  refuses(session, &spec, "rope after glu or residual");
  spec.residual = 0, spec.head_dim = 24, spec.N = 120;
  refuses(session, &spec, "no multiple of 16");
  spec = good, spec.K = 2048, spec.schedule.split = 2;
  refuses(session, &spec, "split columns: use gemv or flat");
  spec.family = HONE_FAMILY_GEMV, spec.schedule.split = 3;
  refuses(session, &spec, "split = 3 of 2048 columns");
  spec = (hone_kernel_spec_t){
      .family = HONE_FAMILY_ATTEND_DECODE, .heads = 3, .kv_heads = 2, .head_dim = 64};
  refuses(session, &spec, "kv_heads does not divide");
  spec.heads = 4, spec.head_dim = 512;
  refuses(session, &spec, "head_dim = 512");
  spec.head_dim = 64, spec.cache = HONE_NF4;
  refuses(session, &spec, "cache");
  spec.cache = HONE_F16, spec.family = HONE_FAMILY_ATTEND_PREFILL;
  refuses(session, &spec, "tokens = 0");
  spec.schedule = (hone_schedule_t){.tokens = 4, .split = 2};
  refuses(session, &spec, "split heads: use attend_decode");
  spec.schedule = (hone_schedule_t){.split = 65}, spec.family = HONE_FAMILY_ATTEND_DECODE;
  refuses(session, &spec, "split = 65");
  spec.schedule.split = 2, spec.kv_heads = 1, spec.heads = 129;
  refuses(session, &spec, "more than 128 heads");
  spec.heads = 2, spec.output = HONE_B1;
  refuses(session, &spec, "neither f32 nor q8");
  spec.head_dim = 48, spec.output = HONE_Q8;
  refuses(session, &spec, "no whole groups of 64");
  spec = (hone_kernel_spec_t){.family = HONE_FAMILY_NORM, .K = 64, .output = HONE_NF4};
  refuses(session, &spec, "output");
  spec.output = HONE_F32, spec.rotate = 64;
  refuses(session, &spec, "rows that are not quantized");
  spec.output = HONE_Q8, spec.K = 100;
  refuses(session, &spec, "does not divide K");
  spec.K = 128, spec.rotate = 16;
  refuses(session, &spec, "not of 32, 64 or 128");
  spec.K = 192, spec.rotate = 128;
  refuses(session, &spec, "does not divide K");
  spec.K = 96, spec.rotate = 32, spec.output = HONE_B1;
  refuses(session, &spec, "no multiple of 64");
  spec = (hone_kernel_spec_t){.family = HONE_FAMILY_QUANTIZE, .K = 64};
  refuses(session, &spec, "output");
  spec = good, spec.input = HONE_B1;
  refuses(session, &spec, "nf4 weights with b1 activations: use f32 or q8");
  spec.weight = (hone_format_t){HONE_B1, 128}, spec.K = 100;
  refuses(session, &spec, "no multiple of 64");
  ir_session_destroy(session);
}

static void build(ir_session_t *session, const char *isa, hone_cpu_emit_t form,
                  hone_buffer_t *out) {
  hone_status_t status = {0};
  hone_kernel_spec_t attend = {.family = HONE_FAMILY_ATTEND_PREFILL,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = 64,
                               .cache = HONE_F16,
                               .scale = 0.125f,
                               .schedule.tokens = 4};
  hone_cpu_kernel_t kernels[] = {{good, "first"}, {attend, "second"}};
  if (!hone_cpu_object_build(session, hone_cpu_isa_find(isa), kernels, 2, form, out, &status)) {
    fail_msg("%s", status.message);
  }
}

static void test_determinism(void **state) {
  (void)state;
  for (int form = HONE_CPU_EMIT_OBJECT; form <= HONE_CPU_EMIT_ASM; form++) {
    hone_buffer_t first = {0}, second = {0};
    ir_session_t *session = open_session();
    build(session, "avx512", (hone_cpu_emit_t)form, &first);
    ir_session_destroy(session);
    session = open_session();
    build(session, "avx2", (hone_cpu_emit_t)form, &second);
    hone_buffer_deinit(&second);
    build(session, "avx512", (hone_cpu_emit_t)form, &second);
    ir_session_destroy(session);
    assert_int_equal(first.bytes, second.bytes);
    assert_memory_equal(first.data, second.data, first.bytes);
    const char *root = getenv("HONE_SOURCE_DIR");
    if (root) assert_null(memmem(first.data, first.bytes, root, strlen(root)));
    hone_buffer_deinit(&first);
    hone_buffer_deinit(&second);
  }
}

static void test_levels(void **state) {
  (void)state;
  ir_session_t *session = open_session();
  hone_buffer_t narrow = {0}, wide = {0};
  build(session, "avx2", HONE_CPU_EMIT_ASM, &narrow);
  build(session, "avx512", HONE_CPU_EMIT_ASM, &wide);
  const char *const only_512[] = {"%zmm", "%ymm16", "%xmm16", "%k1", "vpdpbusd"};
  for (size_t i = 0; i < sizeof only_512 / sizeof *only_512; i++) {
    if (strstr(hone_buffer_cstr(&narrow), only_512[i])) fail_msg("%s in AVX2 code", only_512[i]);
  }
  assert_non_null(strstr(hone_buffer_cstr(&narrow), "vpmaddubsw"));
  assert_non_null(strstr(hone_buffer_cstr(&wide), "vpdpbusd"));
  assert_null(strstr(hone_buffer_cstr(&wide), "call"));
  hone_buffer_deinit(&narrow);
  hone_buffer_deinit(&wide);
  ir_session_destroy(session);
}

static void test_names(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_kernel_spec_t spec = good;
  spec.residual = 1, spec.schedule.unroll = 2;
  assert_string_equal(hone_kernel_spec_name(&spec, arena),
                      "gemm.nf4<64>.q8 N=8 K=64 residual tokens=4 unroll=2");
  hone_kernel_spec_t rotated = {
      .family = HONE_FAMILY_QUANTIZE, .output = HONE_Q8, .K = 256, .rotate = 64};
  assert_string_equal(hone_kernel_spec_name(&rotated, arena), "quantize.q8 K=256 rotate=64");
  uint32_t count = 0, rows = 0;
  hone_kernel_spec_units(&rotated, &count, &rows);
  assert_int_equal(count, 4);
  rotated.rotate = 128;
  hone_kernel_spec_units(&rotated, &count, &rows);
  assert_int_equal(count, 2);
  rotated.output = HONE_B1;
  hone_kernel_spec_units(&rotated, &count, &rows);
  assert_true(count == 1 && rows == 1);
  hone_kernel_spec_units(&spec, &count, &rows);
  assert_int_equal(count, 4);
  assert_int_equal(rows, 0);
  spec.schedule.rows = 32;
  hone_kernel_spec_units(&spec, &count, &rows);
  assert_int_equal(count, 2);
  spec = (hone_kernel_spec_t){
      .family = HONE_FAMILY_ATTEND_PREFILL, .heads = 4, .kv_heads = 2, .schedule.tokens = 8};
  hone_kernel_spec_units(&spec, &count, &rows);
  assert_int_equal(count, 2);
  assert_int_equal(rows, 8);
  spec.family = HONE_FAMILY_ATTEND_DECODE;
  spec.schedule = (hone_schedule_t){.split = 4};
  hone_kernel_spec_units(&spec, &count, &rows);
  assert_true(count == 8 && rows == 1);
  hone_arena_destroy(arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_refusals),
                                     cmocka_unit_test(test_determinism),
                                     cmocka_unit_test(test_levels), cmocka_unit_test(test_names)};
  return cmocka_run_group_tests_name("refuse", tests, NULL, NULL);
}
