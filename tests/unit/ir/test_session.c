// The session: diagnostics with places, the first error kept, the dialect loaded, no threads.
#include "ir/session.h"

#include <mlir-c/BuiltinAttributes.h>

#include "tests/unit/ir/fixture.h"

static void test_loads_the_dialect(void **state) {
  fixture_t *f = *state;
  MlirContext context = ir_session_context(f->session);
#define OP(name, ...) \
  assert_true(        \
      mlirContextIsRegisteredOperation(context, mlirStringRefCreateFromCString("hone." #name)));
#include "ir/ops.def"
#undef OP
  assert_false(
      mlirContextIsRegisteredOperation(context, mlirStringRefCreateFromCString("hone.nope")));
  assert_true(
      mlirContextIsRegisteredOperation(context, mlirStringRefCreateFromCString("arith.addf")));
}

static void test_errors_become_diagnostics(void **state) {
  fixture_t *f = *state;
  ir_model_t model;
  const char *text = "module {\n  \"hone.zzz\"() : () -> ()\n}";
  assert_false(ir_model_parse(f->session, text, "x.mlir", &model, &f->status));
  assert_int_equal(f->status.code, HONE_INVALID);
  assert_contains(f->status.message, "x.mlir:2:3: ");
  assert_contains(f->status.message, "hone.zzz");
  assert_string_equal(f->status.message, ir_session_error(f->session));
  assert_int_equal(f->diagnostics.error_count, 1);
  assert_string_equal(f->diagnostics.list.items[0].place, "x.mlir:2:3");
  ir_session_clear_error(f->session);
  assert_string_equal(ir_session_error(f->session), "");
}

static void test_long_notes_are_cut(void **state) {
  fixture_t *f = *state;
  // A bad op inside a function of many ops: MLIR's note prints the op; a bad return prints the
  // function.
  hone_buffer_t text = {0};
  hone_buffer_text(&text, "module { func.func @f(%x: f32) -> f32 {\n");
  for (int i = 0; i < 500; i++) hone_buffer_format(&text, "%%v%d = arith.addf %%x, %%x : f32\n", i);
  hone_buffer_text(&text, "return\n} }");
  ir_model_t model;
  assert_false(ir_model_parse(f->session, hone_buffer_cstr(&text), "x.mlir", &model, &f->status));
  for (size_t i = 0; i < f->diagnostics.list.count; i++) {
    assert_true(strlen(f->diagnostics.list.items[i].message) <= 600);
    assert_null(strchr(f->diagnostics.list.items[i].message, '\n'));
  }
  hone_buffer_deinit(&text);
}

static void test_works_without_a_sink(void **state) {
  (void)state;
  ir_session_t *session = NULL;
  hone_status_t status = {0};
  assert_true(ir_session_create(NULL, &session, &status));
  ir_model_t model;
  assert_false(ir_model_parse(session, "module { oops", "y.mlir", &model, &status));
  assert_contains(status.message, "y.mlir:1:");
  ir_session_destroy(session);
  ir_session_destroy(NULL);
}

static void test_two_sessions_at_once(void **state) {
  fixture_t *f = *state;
  ir_session_t *other = NULL;
  assert_ok(f, ir_session_create(NULL, &other, &f->status));
  ir_model_t a, b;
  assert_ok(f, ir_model_parse(f->session, unfused_text, "a.mlir", &a, &f->status));
  assert_ok(f, ir_model_parse(other, fused_text, "b.mlir", &b, &f->status));
  assert_ok(f, ir_model_verify(&a, &f->status));
  assert_ok(f, ir_model_verify(&b, &f->status));
  ir_model_destroy(&a);
  ir_model_destroy(&b);
  ir_session_destroy(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_loads_the_dialect, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_errors_become_diagnostics, fixture_setup,
                                      fixture_teardown),
      cmocka_unit_test_setup_teardown(test_long_notes_are_cut, fixture_setup, fixture_teardown),
      cmocka_unit_test(test_works_without_a_sink),
      cmocka_unit_test_setup_teardown(test_two_sessions_at_once, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
