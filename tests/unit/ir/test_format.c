// Formats: text form, bits, and MLIR element types there and back.
#include "ir/format.h"

#include <mlir-c/BuiltinTypes.h>

#include "tests/unit/ir/fixture.h"

static void test_text_there_and_back(void **state) {
  (void)state;
  static const char *const texts[] = {"f32", "f16", "bf16", "q8<64>", "nf4<64>"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    hone_status_t status = {0};
    hone_format_t format;
    char text[24];
    assert_true(hone_format_parse(texts[i], &format, &status));
    assert_string_equal(hone_format_text(format, text), texts[i]);
  }
  assert_int_equal(hone_format_count(), sizeof texts / sizeof *texts);
  assert_null(hone_format_at(hone_format_count()));
}

static void test_group_defaults_to_64(void **state) {
  (void)state;
  hone_status_t status = {0};
  hone_format_t format;
  assert_true(hone_format_parse("nf4", &format, &status));
  assert_true(hone_format_equal(format, (hone_format_t){HONE_NF4, 64}));
}

static void test_bad_text(void **state) {
  (void)state;
  static const struct {
    const char *text, *want;
    hone_code_t code;
  } rows[] = {
      {"nf5", "did you mean nf4?", HONE_INVALID},
      {"", "unknown format", HONE_INVALID},
      {"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "use one of f32, f16",
       HONE_INVALID},
      {"f32<64>", "f32 takes no group", HONE_INVALID},
      {"nf4<", "written as in nf4<64>", HONE_INVALID},
      {"nf4<>", "written as in nf4<64>", HONE_INVALID},
      {"nf4<64", "written as in nf4<64>", HONE_INVALID},
      {"nf4<-64>", "written as in nf4<64>", HONE_INVALID},
      {"nf4<0>", "written as in nf4<64>", HONE_INVALID},
      {"nf4<99999999999999999999>", "written as in nf4<64>", HONE_INVALID},
      {"nf4<32>", "only groups of 64", HONE_UNSUPPORTED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hone_status_t status = {0};
    hone_format_t format;
    assert_false(hone_format_parse(rows[i].text, &format, &status));
    assert_contains(status.message, rows[i].want);
    assert_int_equal(status.code, rows[i].code);
  }
}

static void test_bits(void **state) {
  (void)state;
  assert_true(hone_format_bits((hone_format_t){HONE_F32, 0}) == 32);
  assert_true(hone_format_bits((hone_format_t){HONE_BF16, 0}) == 16);
  assert_true(hone_format_bits((hone_format_t){HONE_Q8, 64}) == 8.25);
  assert_true(hone_format_bits((hone_format_t){HONE_NF4, 64}) == 4.25);
  assert_int_equal(hone_format_info(HONE_NF4)->compute, HONE_Q8);
}

static void test_types_there_and_back(void **state) {
  fixture_t *f = *state;
  MlirContext context = ir_session_context(f->session);
  for (size_t i = 0; i < hone_format_count(); i++) {
    const hone_format_info_t *info = hone_format_at(i);
    hone_format_t format = {info->storage, info->grouped ? 64 : 0}, found;
    assert_true(ir_type_format(ir_format_type(context, format), &found));
    assert_true(hone_format_equal(format, found));
  }
}

static void test_foreign_types(void **state) {
  fixture_t *f = *state;
  static const char *const texts[] = {"i32",
                                      "f64",
                                      "index",
                                      "tensor<4xf32>",
                                      "!hone.nf4<0>",
                                      "!hone.nf4<-64>",
                                      "!hone.nf4<64 : i32>",
                                      "!llvm.ptr",
                                      "!hone.q8<123456789012345678>",
                                      "none"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    hone_format_t format;
    MlirType type =
        mlirTypeParseGet(ir_session_context(f->session), mlirStringRefCreateFromCString(texts[i]));
    if (mlirTypeIsNull(type)) fail_msg("%s does not parse", texts[i]);
    if (ir_type_format(type, &format)) fail_msg("%s was taken for a format", texts[i]);
  }
  hone_format_t format;
  assert_false(ir_type_format((ir_type_t){0}, &format));
}

static void test_tensor_type(void **state) {
  fixture_t *f = *state;
  MlirContext context = ir_session_context(f->session);
  MlirType made = ir_tensor_type(context, (hone_format_t){HONE_Q8, 64}, 2, (int64_t[]){-1, 172});
  MlirType read =
      mlirTypeParseGet(context, mlirStringRefCreateFromCString("tensor<?x172x!hone.q8<64>>"));
  assert_true(mlirTypeEqual(made, read));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text_there_and_back),
      cmocka_unit_test(test_group_defaults_to_64),
      cmocka_unit_test(test_bad_text),
      cmocka_unit_test(test_bits),
      cmocka_unit_test_setup_teardown(test_types_there_and_back, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_foreign_types, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_tensor_type, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
