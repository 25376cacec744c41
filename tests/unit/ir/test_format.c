// Formats as MLIR element types there and back.
#include "ir/format.h"

#include <mlir-c/BuiltinTypes.h>

#include "tests/unit/ir/fixture.h"

static void test_types_there_and_back(void **state) {
  fixture_t *f = *state;
  MlirContext context = ir_session_context(f->session);
  for (size_t i = 0; i < hone_format_count(); i++) {
    const hone_format_info_t *info = hone_format_at(i);
    hone_format_t format = hone_format_default(info->storage), found;
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
      cmocka_unit_test_setup_teardown(test_types_there_and_back, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_foreign_types, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_tensor_type, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
